# SPDX-License-Identifier: Apache-2.0
"""An HTTP/1.1 server: one thread that waits for all connections at once.

The cast
    `Server`       the loop: accepts, waits with epoll(7), ends slow clients, stops gracefully
    `main`         the command line
    Its parts are in protocols/: web_connection.py is one client, http1.py cuts bytes into
    requests, web_site.py finds the answer, web_variants.py behaves otherwise, web_log.py writes
    it down

Run it, and fetch from it:

    python3 apps/web_server.py --listen 127.0.0.1 --port 8080
    curl -v http://127.0.0.1:8080/

Change it, in six lines: `handle` gives text, bytes, pieces, or a Response of protocols/http1.py.

    import time, web_server
    def handle(request):
        if request.path == "/clock":
            return time.ctime()
        return web_server.FILES.handle(request)
    web_server.main(handle=handle)

Files are answered by the loop itself; your function gets a thread, so it may take its time.
protocols/web_site.py has routes by a decorator.

Why no library? A student should be able to read all of it, the parser is what is taught here, and
one loop on epoll is faster than frameworks are (bench/web.py measures; docs/apps-http.md says
where the time goes).
"""

from __future__ import annotations

import argparse
import errno
import os
import queue
import re
import resource
import select
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

# With -I or -P Python does not look beside the program for modules; this one's are there.
sys.path.append(os.path.dirname(os.path.realpath(__file__)))
try:
    from protocols import service
    from protocols.command_line import Parser
    from protocols.http1 import (
        BadRequest,
        Request,
        Response,
        http_date,
        page,
    )
    from protocols.language import in_words, say
    from protocols.web_connection import App, Connection, Plain
    from protocols.web_log import AccessLog
    from protocols.web_site import Hosts, Site
    from protocols.web_variants import DEFAULT, VARIANTS, Variant
except ImportError as missing:
    import shlex  # imported here, since only this sentence needs it

    folder, program = os.path.split(os.path.abspath(__file__))
    print(
        f"{program} needs the folder protocols beside it, and site unless --site names a folder "
        f"({missing}).\n"
        '  Next: cp -r "$(dirname "$(hoplab path web_server)")"/protocols '
        f'"$(dirname "$(hoplab path web_server)")"/site {shlex.quote(folder)}',
        file=sys.stderr,
    )
    raise SystemExit(2) from None

if TYPE_CHECKING:
    import ssl

MAX_CONNECTIONS = 4000  # at a time; others wait in the kernel's queue
MAX_BODY = 64 << 20  # octets that a function of yours may be sent
GRACE_S = 5.0  # for what is being served when the server is to stop
THREADS = 16

TLS_CA = "/run/hoplab-ca"  # as in certificates.py, which is loaded only when TLS is asked for
SITE = os.path.join(os.path.dirname(os.path.realpath(__file__)), "site")
FILES = Site(SITE)  # what --site says; a `handle` of yours may fall back on it


class Server:
    """The loop. One thread runs `serve`; `stop` may be called from any other."""

    def __init__(
        self,
        app: App,
        log: service.Log | None = None,
        access: AccessLog | None = None,
        idle_s: float = 15.0,
        max_body: int = MAX_BODY,
        variant: Variant = DEFAULT,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.app = app
        self.log = service.Log(None) if log is None else log
        self.access = access
        self.idle_s = idle_s
        self.max_body = max_body
        self.variant = variant
        self.tls = tls
        self.stopping = False
        self.now = time.monotonic()
        self.poll = select.epoll()
        self.connections: dict[int, Connection] = {}
        self._listener: socket.socket | None = None
        self._accepting = False
        self._tick_s = min(1.0, idle_s / 4)
        self._next_tick = self.now
        self._results: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._tasks: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._threads = 0
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.setblocking(False)
        self._wake_write.setblocking(False)
        self.poll.register(self._wake_read, select.EPOLLIN)
        self.date = b""

    # ---- the loop

    def serve(self, listener: socket.socket) -> None:
        """Answer until `stop`."""
        listener.setblocking(False)
        self._listener = listener
        self._accept_more(True)
        end = float("inf")
        while True:
            self.turn()
            if self.stopping:
                if end == float("inf"):
                    end = self.now + GRACE_S
                    self._wind_up()
                if not self.connections or self.now > end:
                    return self.log.write()

    def turn(self) -> None:
        """Wait until something happens, and do what is due."""
        self.log.write()
        events = self.poll.poll(max(0.0, self._next_tick - time.monotonic()))
        self.now = now = time.monotonic()
        self.app.new_turn()
        if now >= self._next_tick:
            self._tick()
        for fd, event in events:
            connection = self.connections.get(fd)
            if connection is None:
                self._own_socket(fd)
            elif event & select.EPOLLOUT:
                connection.writable()
            elif event & select.EPOLLIN:
                connection.readable()
            else:
                connection.close()  # the client has reset it

    def _own_socket(self, fd: int) -> None:
        """The listener, or the socket by which other threads wake the loop, has something."""
        if self._listener is not None and fd == self._listener.fileno():
            self._accept()
        elif fd == self._wake_read.fileno():
            try:
                self._wake_read.recv(4096)
            except BlockingIOError:
                pass
            while not self._results.empty():
                self._results.get()()

    def _tick(self) -> None:
        """Once a second: the date, and who has been too slow."""
        now = self.now
        self._next_tick = now + self._tick_s
        self.date = http_date(time.time()).encode("ascii")
        for connection in [c for c in self.connections.values() if c.deadline < now]:
            connection.late()
        if not self._accepting and not self.stopping:
            self._accept_more(len(self.connections) < MAX_CONNECTIONS)

    def _accept(self) -> None:
        assert self._listener is not None
        for _ in range(64):
            try:
                sock, peer = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    self.log(f"no room for another connection: {error.strerror}")
                    self._accept_more(False)  # the next tick tries again
                return  # any other error: the client hung up before it was its turn
            self.adopt(sock, peer[0] if peer else "-")
            if len(self.connections) >= MAX_CONNECTIONS:
                return self._accept_more(False)

    def _accept_more(self, accepting: bool) -> None:
        if accepting != self._accepting and self._listener is not None:
            self._accepting = accepting
            if accepting:
                self.poll.register(self._listener, select.EPOLLIN)
            else:
                self.poll.unregister(self._listener)

    def adopt(self, sock: socket.socket, peer: str) -> Connection:
        """Serve this connection from now on."""
        sock.setblocking(False)
        if sock.family != socket.AF_UNIX:
            # Small segments leave at once instead of waiting for the last one's ACK (Nagle).
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls is not None:
            sock = self.tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        connection = Connection(self, sock, peer)
        if self.tls is not None:
            connection.state = "tls"
        self.connections[connection.fd] = connection
        self.poll.register(connection.fd, connection.events)
        return connection

    def forget(self, connection: Connection) -> None:
        """CONNECTION closes: wait for it no more."""
        self.connections.pop(connection.fd, None)
        self.poll.unregister(connection.fd)

    # ---- answers

    def ask(self, request: Request) -> Response:
        """The app's answer; a fault in it costs this client its answer, and nobody else
        anything."""
        try:
            if self.variant.pause_s:
                time.sleep(self.variant.pause_s)
            return self.app.handle(request)
        except BadRequest as bad:
            return page(bad.status, say("{error}.", error=bad.why))
        except Exception as error:
            self.log(f"error in handle(): {type(error).__name__}: {error}")
            return page(500, say("The server has a fault; its log says which."))

    def in_thread(self, work: Callable[[], Any], then: Callable[[Any], None]) -> None:
        """Do WORK in a thread, and call THEN with its result in the loop's."""

        def task() -> None:
            result = work()
            self._results.put(lambda: then(result))
            self._wake()

        self._tasks.put(task)
        if self._threads < THREADS:
            self._threads += 1
            threading.Thread(target=self._work, daemon=True).start()

    def _work(self) -> None:
        while True:
            self._tasks.get()()

    def _wake(self) -> None:
        try:
            self._wake_write.send(b"x")
        except OSError:
            pass  # it is full of wake-ups already, or the server has ended

    # ---- the end

    def stop(self) -> None:
        """Take no more connections, finish what is being served, and return from `serve`."""
        self.stopping = True
        self._wake()

    def _wind_up(self) -> None:
        self._accept_more(False)
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for connection in [c for c in self.connections.values() if c.idle]:
            connection.close()


# ---- the command -------------------------------------------------------------------------------


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = Parser(
        "web_server.py",
        say("HTTP/1.1 server for the files of a small site."),
        """  python3 apps/web_server.py
  python3 apps/web_server.py --site my-site --listen 127.0.0.1 --port 8080
  python3 apps/web_server.py --site www.a.lab=a --site www.b.lab=b
  python3 apps/web_server.py --variant slow --port 8080
  python3 apps/web_server.py --tls localhost --tls-ca my-ca --port 8443
  python3 apps/web_server.py --background --log access.log --log-format combined
  curl -v http://127.0.0.1:8080/""",
        say(
            "exit codes: 0 ended or went to the background; 1 cannot listen; 2 bad options or "
            "site; 3 died"
        ),
    )
    parser.add_argument(
        "--site",
        metavar="[NAME=]DIR",
        action="append",
        default=[],
        help=say(
            "folder to serve (default: the bundled site); with NAME for that Host alone. Again "
            "for another one; unknown names get the first"
        ),
    )
    parser.add_argument(
        "--variant",
        choices=sorted(VARIANTS),
        help=say(
            "behave differently: answer by HTTP/1.0, close after each answer, be slow, or reset "
            "the connection in the middle of the body"
        ),
    )
    parser.add_argument(
        "--tls",
        metavar="NAME",
        action="append",
        default=[],
        help=say(
            "speak TLS, with a certificate for NAME (a name or an address; again for more); "
            "add --port 443"
        ),
    )
    parser.add_argument(
        "--tls-ca",
        metavar="DIR",
        default=TLS_CA,
        help=say("folder of the lab's authority, made if it is not there (default %(default)s)"),
    )
    parser.add_argument(
        "--keylog",
        metavar="FILE",
        help=say("write down the keys of every TLS connection: with them Wireshark can read it"),
    )
    parser.add_argument(
        "--idle",
        metavar="S",
        type=service.seconds,
        default=15.0,
        help=say("seconds after which a silent connection is closed (default %(default)s)"),
    )
    parser.add_argument(
        "--max-body",
        metavar="N",
        type=service.number(0, 1 << 40),
        default=MAX_BODY,
        help=say("octets that a request may bring (default %(default)s)"),
    )
    parser.add_argument(
        "--log-format",
        choices=AccessLog.FORMATS,
        default="short",
        help=say("of the lines in the log (default %(default)s)"),
    )
    service.add_options(parser, port=80)
    return parser


def tls_context(folder: str, names: Sequence[str], keylog: str | None) -> ssl.SSLContext:
    """TLS with a certificate for NAMES, signed by the lab's authority. Raises ServiceError."""
    import ssl  # imported here, since most servers of a lab speak plain text

    from protocols import certificates

    try:
        pem, key = certificates.certificate(folder, names)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem, key)
        context.set_alpn_protocols(["http/1.1"])
        if keylog is not None:
            context.keylog_filename = keylog
    except certificates.CaError as error:
        raise service.ServiceError(error.message, error.hint) from None
    except OSError as error:
        raise service.ServiceError(
            say("no TLS: {reason}", reason=in_words(error)), say("Check --tls-ca and --keylog.")
        ) from None
    return context


def sites(wishes: Sequence[str]) -> Site | Hosts:
    """The site, or the sites by the Host header, that the values of --site ask for. Raises
    ServiceError."""
    first: Site | None = None
    named: dict[str, Site] = {}
    for wish in wishes or [SITE]:
        match = re.fullmatch(r"([A-Za-z0-9.-]+)=(.*)", wish)
        folder = match[2] if match and not os.path.isdir(wish) else wish
        if not os.path.isdir(folder):
            raise service.ServiceError(
                say("there is no folder {folder}", folder=folder),
                say("Give --site a folder with an index.html."),
            )
        site = Site(folder)
        first = first or site
        if match and folder != wish:
            named[match[1].lower()] = site
    assert first is not None
    if not named:
        return first
    hosts = Hosts(first)
    hosts.by_name = named
    return hosts


def _more_descriptors() -> None:
    """A connection needs one, and many systems give a process 1024 unless it asks for more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = MAX_CONNECTIONS + 200
    if soft != resource.RLIM_INFINITY and soft < needed:
        limit = needed if hard == resource.RLIM_INFINITY else min(hard, needed)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


def main(
    argv: Sequence[str] | None = None, handle: App | Callable[[Request], object] | None = None
) -> int:
    """Run the server. HANDLE answers instead of the site's files: a function, or a Site."""
    global FILES
    args = build_parser().parse_args(argv)
    try:
        app: Any = sites(args.site)
        FILES = app.first if isinstance(app, Hosts) else app
        if handle is not None:
            app = handle if hasattr(handle, "takes_body") else Plain(handle)
        listener = service.listen_tcp(args.listen, args.port)
        variant = VARIANTS[args.variant] if args.variant else DEFAULT
        _more_descriptors()
        tls = tls_context(args.tls_ca, args.tls, args.keylog) if args.tls else None
        server = Server(app, idle_s=args.idle, max_body=args.max_body, variant=variant, tls=tls)

        def serve(log: service.Log) -> None:
            server.log = log
            server.access = AccessLog(log, args.log_format) if log.wanted else None
            server.serve(listener)

        return service.run("web_server", serve, listener, args, server.stop)
    except service.ServiceError as error:
        return service.fail("web_server", error)


if __name__ == "__main__":
    sys.exit(main())
