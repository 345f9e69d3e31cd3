# SPDX-License-Identifier: Apache-2.0
"""The lab's web in the user's own browser: a proxy on loopback whose other side is a host.

Two ways in, both with a secret token, because other programs and other users of this machine can
reach a loopback port too, and so can any web page by DNS rebinding:

- by name: `http://NAME.TOKEN.localhost:PORT/` is the lab's `http://NAME/`. Browsers take every
  name below localhost for the loopback address (RFC 6761 section 6.3) and ask nobody. The token is
  a part of the Host header, so that a page from elsewhere cannot guess it. Another port of the
  lab's server is a label: `NAME.p8080.TOKEN.localhost`; `NAME.s443.TOKEN.localhost` is the lab's
  `https://NAME/`, spoken with TLS from here on. Links in pages and redirects that name a server are
  put into this form, and a Content-Security-Policy keeps pages from asking the real world for
  anything.
- as an HTTP proxy, for programs that can be told one: `http://hoplab:TOKEN@127.0.0.1:PORT`. Nothing
  is rewritten then, and CONNECT carries TLS through unread.

`origins.py` holds the names, `carrier.py` what becomes of a connection, `passing.py` what of a
response is changed.

A WebSocket (RFC 6455) is opened like any request; after the server's 101 its bytes pass unread.
Where connections go is not decided here: `connect` opens them inside the host
(host_sockets.py), which reaches the lab and nothing else.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

from hoplab import wait
from hoplab.browser.carrier import IDLE_S, MAX_TUNNELS, Carrier, Connect, Shared
from hoplab.browser.origins import Names

PORT = 8642  # vagrant/Vagrantfile forwards it
MAX_CONNECTIONS = 256  # at a time; anybody on the machine may open some
FULL_S = 0.2  # how long no connection is accepted once there is no room for one


class Proxy:
    """Listens on 127.0.0.1; a thread for each of the browser's connections."""

    def __init__(
        self,
        connect: Connect,
        show: Callable[[str], None] = lambda line: None,
        port: int | None = None,
        tr: Callable[[str], str] = str,
        language: str = "en",
    ) -> None:
        """On `port`; None: on PORT, or where that is taken on any that is free. Raises OSError.

        show: takes a line for each request. tr, language: of the pages that are our own.
        """
        self._closing = threading.Event()
        self._places = threading.BoundedSemaphore(MAX_CONNECTIONS)
        try:
            self._listener = socket.create_server(("127.0.0.1", PORT if port is None else port))
        except OSError:
            if port is not None:
                raise
            self._listener = socket.create_server(("127.0.0.1", 0))
        self.names = Names(self._listener.getsockname()[1])
        self.tunnels = threading.BoundedSemaphore(MAX_TUNNELS)
        self._shared = Shared(self.names, connect, show, tr, language, self.tunnels)

    def serve(self) -> None:
        """Take connections of browsers, each in a thread of its own, until `close`."""
        while not self._closing.is_set():
            try:
                wait.readable([self._listener.fileno()])
                sock, _ = self._listener.accept()
            except ValueError:  # it is closed
                return
            except OSError:  # the peer has gone, or too much is open: that may pass
                self._closing.wait(FULL_S)
                continue
            if not self._places.acquire(blocking=False):
                sock.close()
                continue
            try:
                threading.Thread(target=self._attend, args=(sock,), daemon=True).start()
            except RuntimeError:  # no more threads
                self._places.release()
                sock.close()

    def close(self) -> None:
        """Take no more connections."""
        self._closing.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _attend(self, sock: socket.socket) -> None:
        try:
            with sock, contextlib.suppress(OSError):
                sock.settimeout(IDLE_S)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                Carrier(self._shared, sock).run()
        finally:
            self._places.release()
