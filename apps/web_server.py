# SPDX-License-Identifier: Apache-2.0
"""An HTTP/1.1 server: one thread that waits for all connections at once.

The cast
    `Server`       the loop: accepts, waits with epoll(7), ends slow clients, stops gracefully
    `Connection`   one client: bytes in, requests out, responses back, in order
    http1.py cuts bytes into requests, web_site.py finds the answer, web_variants.py behaves
    otherwise, web_log.py writes it down; sockets are here alone

Run it, and fetch from it:

    python3 apps/web_server.py --listen 127.0.0.1 --port 8080
    curl -v http://127.0.0.1:8080/

Change it, in six lines: `handle` gives text, bytes, pieces, or a Response of http1.py.

    import time, web_server
    def handle(request):
        if request.path == "/clock":
            return time.ctime()
        return web_server.FILES.handle(request)
    web_server.main(handle=handle)

Files are answered by the loop itself; your function gets a thread, so it may take its time.
web_site.py has routes by a decorator.

Why no library? A student should be able to read all of it, the parser is what is taught here, and
one loop on epoll is faster than frameworks are (bench/http.py measures; docs/apps-http.md says
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
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import service
from http1 import (
    BadRequest,
    Body,
    FilePart,
    Request,
    RequestReader,
    Response,
    Spool,
    as_response,
    chunk,
    http_date,
    page,
)
from web_log import AccessLog
from web_site import Hosts, Site
from web_variants import DEFAULT, VARIANTS, Reset, Variant, varied

if TYPE_CHECKING:
    import ssl

MAX_CONNECTIONS = 4000  # at a time; others wait in the kernel's queue
MAX_BODY = 64 << 20  # octets that a function of yours may be sent
DRAINED = 65_536  # an unwanted body up to this size is read, so that the connection can go on
PIECE = 65_536
PENDING = 262_144  # octets that wait for a client before no more of its requests are answered
LINGER_S = 5.0
LAST_S = 1.0  # the same, when the server is to stop
GRACE_S = 5.0  # for what is being served when the server is to stop
THREADS = 16

TLS_CA = "/run/hoplab-ca"  # as in lab_ca.py, which is loaded only when TLS is asked for
SITE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "site")
FILES = Site(SITE)  # what --site says; a `handle` of yours may fall back on it


class App(Protocol):
    """Whoever answers. Site and Hosts of web_site.py do; a plain function is wrapped."""

    def handle(self, request: Request) -> Response:
        """The answer."""

    def takes_body(self, request: Request) -> bool:
        """Will `handle` read the body?"""

    def is_quick(self, request: Request) -> bool:
        """May the loop wait for it?"""

    def new_turn(self) -> None:
        """The loop has waited: what the app has just looked at may have changed."""


class Plain:
    """A function as an App: it may be sent a body, and it gets a thread."""

    def __init__(self, function: Callable[[Request], object]) -> None:
        self._function = function

    def handle(self, request: Request) -> Response:
        return as_response(self._function(request))

    def takes_body(self, request: Request) -> bool:
        return True

    def is_quick(self, request: Request) -> bool:
        return False

    def new_turn(self) -> None:
        pass


class Connection:
    """One client.

    The loop calls `readable` and `writable`; nothing here waits. The states, in `state`:
      tls       the TLS handshake
      head      waiting for a request
      body      its body is coming
      thinking  a function is working on the answer
      sending   the answer is on its way and the client is slower than we are
      linger    all is sent; what the client still sends is thrown away
    """

    def __init__(self, server: Server, sock: socket.socket, peer: str) -> None:
        self.server = server
        self.sock = sock
        self.fd = sock.fileno()
        self.peer = peer
        self.reader = RequestReader()
        self.out: deque[bytes | FilePart | Iterator[bytes]] = deque()
        self.state = "head"
        self.deadline = server.now + server.idle_s
        self.events = select.EPOLLIN
        self.request: Request | None = None
        self.wanted = False  # is the body to be kept?
        self.kept = NOTHING
        self.ending = False  # close when `out` is empty
        self.mute = False  # the client has said that it sends no more
        self.waiting = False  # an iterator's next piece is being made
        self.answered = 0  # octets of the body, for the log

    # ---- bytes come

    def readable(self) -> None:
        """Bytes, or the end, have come."""
        if self.state == "tls":
            return self._shake_hands()
        while True:
            try:
                data = self.sock.recv(PIECE)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if _wants_more(error):
                    return
                return self.close()
            if not data:
                return self._client_is_done()
            if self.state != "linger":
                self.reader.feed(data)
                self.advance()
            # TLS may hold bytes back that epoll knows nothing of.
            if self.server.tls is None or self.fd < 0 or self.state in ("thinking", "sending"):
                return

    def _shake_hands(self) -> None:
        try:
            self.sock.do_handshake()  # type: ignore[attr-defined]
        except OSError as error:
            if not _wants_more(error):
                self.server.log(f"{self.peer} no TLS: {error}")
                self.close()
            return
        self.state = "head"
        self.deadline = self.server.now + self.server.idle_s
        self.readable()

    def _client_is_done(self) -> None:
        if self.state == "linger":
            return self.close()
        # It may still read, as `nc` does: it gets the answers that it waits for.
        self.mute = True
        self._wait_for(self.events & ~select.EPOLLIN)
        self.advance()

    # ---- requests

    def advance(self) -> None:
        """As far as one can go with the bytes that are here."""
        while self.reader.buffer and self._requests():
            self.flush()
            if self.state not in ("head", "body"):
                return
        if self.mute and self.state in ("head", "body"):
            self.ending = True  # there will be no other request
            self.flush()
        if self.state == "head" and not self.reader.started:
            self.deadline = self.server.now + self.server.idle_s

    def _requests(self) -> bool:
        """Begin with every request that is here; False: there was none."""
        some = False
        try:
            while self.reader.buffer and self.state in ("head", "body"):
                if self.state == "head":
                    request = self.reader.next()
                    if request is None:
                        break
                    self._begin(request)
                elif not self._take_body():
                    break
                some = True
        except BadRequest as bad:
            self._refuse(bad.status, f"{bad}.")
            some = True
        return some

    def _begin(self, request: Request) -> None:
        self.request = request
        if not self.reader.in_body:
            if request.method in ("POST", "PUT", "PATCH") and self._lacks_length(request):
                return self._refuse(411, "Say how long the body is.", keep=True)
            return self._answer(request)
        server, length = self.server, request.length
        self.wanted = server.app.takes_body(request)
        if length is not None and length > server.max_body:
            return self._refuse(413, f"At most {server.max_body} octets are taken.")
        expect = request.headers.get("expect")
        if expect is not None and not request.expects_continue and request.version >= (1, 1):
            return self._refuse(417, "The only thing to expect here is 100-continue.")
        if not self.wanted and ((length or 0) > DRAINED or expect is not None):
            # Nobody wants it: the answer goes out at once, and the connection ends.
            self.ending = True
            return self._answer(request)
        if request.expects_continue and not self.mute:
            self.out.append(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.flush()
        if self.wanted:
            self.kept = Spool()
        self.state = "body"

    def _lacks_length(self, request: Request) -> bool:
        return "content-length" not in request.headers and self.server.app.takes_body(request)

    def _take_body(self) -> bool:
        """Read on in the body; False: more must come first."""
        data = self.reader.body()
        if data:
            self.deadline = self.server.now + self.server.idle_s
            self.answered += len(data)
            if self.answered > self.server.max_body:
                raise BadRequest(413, f"at most {self.server.max_body} octets are taken")
            if self.wanted:
                self.kept.write(data)
            elif self.answered > DRAINED:
                self.ending = True  # it goes on and on, and nobody wants it
        if self.reader.in_body and not self.ending:
            return False
        request, self.answered = self.request, 0
        assert request is not None
        if self.wanted:
            request = request.with_body(self.kept)
            self.kept = NOTHING
        self._answer(request)
        return True

    def _refuse(self, status: int, why: str, keep: bool = False) -> None:
        """Answer with an error; what comes after it cannot be trusted to be a request."""
        if not keep:
            self.ending = True
        request, self.kept, self.answered = self.request, NOTHING, 0
        self._respond(request if self.state == "body" or keep else None, page(status, why))

    # ---- answers

    def _answer(self, request: Request) -> None:
        server = self.server
        if server.variant.pause_s or not server.app.is_quick(request):
            self.state = "thinking"
            self.deadline = float("inf")
            self._wait_for(0)  # a client that sends on and on must not fill the memory
            server.in_thread(lambda: server.ask(request), self._thought)
            return
        self._respond(request, server.ask(request))

    def _thought(self, response: Response) -> None:
        """A thread has found the answer."""
        if self.fd < 0:
            _drop(response.body)
            return
        self._respond(self.request, response)
        self._go_on()

    def _respond(self, request: Request | None, response: Response) -> None:
        """Queue RESPONSE; REQUEST is None if there was none that could be read."""
        server, body = self.server, response.body
        if request is None or not request.usual or self.ending or not isinstance(body, bytes) or (
            server.variant is not DEFAULT or server.stopping
        ):  # fmt: skip
            return self._respond_with_care(request, response)
        self.out.append(response.whole(server.date))
        if server.access is not None:
            server.access(self.peer, request, response.status, len(body))
        self.state = "sending" if len(self.out) > 8 or len(body) > PENDING else "head"

    def _respond_with_care(self, request: Request | None, response: Response) -> None:
        """The same where the connection may have to end, or the body is no bytes."""
        server = self.server
        variant = server.variant
        body, length = response.body, response.length
        if variant is not DEFAULT:
            body = varied(variant, response)
        version, method = (1, 1), "GET"
        if request is not None:
            version, method = request.version, request.method
            if not request.keep_alive:
                self.ending = True
        if server.stopping or not variant.keep or (length is None and version < (1, 1)):
            self.ending = True
        connection = b"close" if self.ending else b"" if version > (1, 0) else b"keep-alive"
        if variant.version == b"HTTP/1.0":
            connection = b""
        if length is None and version < (1, 1):
            head = response.start(server.date, connection, b"HTTP/1.0")
        else:
            head = response.start(server.date, connection, variant.version)
        sent = length or 0
        if method == "HEAD" or response.status in (204, 304):
            _drop(body)
            self.out.append(head)
            sent = 0
        elif isinstance(body, bytes):
            self.out.append(head + body)
        elif isinstance(body, FilePart):
            self.out.append(head)
            self.out.append(body)
        else:
            self.out.append(head)
            pieces = iter(body)
            chunked = length is None and version >= (1, 1) and variant.version == b"HTTP/1.1"
            self.out.append(_chunked(pieces) if chunked else pieces)
        if server.access is not None:
            server.access(self.peer, request, response.status, sent)
        self.state = "sending" if self.ending or len(self.out) > 8 or sent > PENDING else "head"

    def _go_on(self) -> None:
        """Something has been waited for, and is there now."""
        self.flush()
        self.advance()
        # What TLS has read already, epoll does not tell of.
        if self.server.tls is not None and self.fd >= 0 and self.state in ("head", "body"):
            self.readable()

    # ---- bytes go

    def writable(self) -> None:
        """There is room in the kernel's buffer again."""
        if self.state == "tls":
            return self._shake_hands()
        self._go_on()

    def flush(self) -> None:
        """Send what the kernel takes; then close, go on reading, or wait for room."""
        out = self.out
        try:
            while out and self.fd >= 0:
                first = out[0]
                if isinstance(first, bytes):
                    if len(out) > 1 and isinstance(out[1], bytes):
                        # Answers to pipelined requests leave together.
                        pieces = [out.popleft()]
                        while out and isinstance(out[0], bytes):
                            pieces.append(out.popleft())
                        first = b"".join(pieces)  # type: ignore[arg-type]
                        out.appendleft(first)
                    more = len(out) > 1 and isinstance(out[1], FilePart)
                    flags = socket.MSG_MORE if more and self.server.tls is None else 0
                    count = self.sock.send(first, flags)
                    if count < len(first):
                        out[0] = first[count:]
                        return self._wait_for_room()
                    out.popleft()
                elif isinstance(first, FilePart):
                    if not self._send_file(first):
                        return
                elif not self.waiting:
                    return self._make_next(first)
                else:
                    return
        except (BlockingIOError, InterruptedError):
            return self._wait_for_room()
        except OSError as error:
            if _wants_more(error):
                return self._wait_for_room()
            return self.close()
        if self.fd < 0:
            return
        if self.server.stopping and self.state in ("head", "sending") and not self.reader.started:
            self.ending = True  # its head promised more, but this was the last
        if self.ending and self.state not in ("thinking", "linger"):
            return self._linger()
        if self.state == "sending":
            self.state = "head"
            self.deadline = self.server.now + self.server.idle_s
        self._wait_for(0 if self.mute else select.EPOLLIN)

    def _send_file(self, part: FilePart) -> bool:
        """Send a piece of the file; False: the rest cannot be sent now, or never."""
        count = min(part.size, PIECE * 4)
        if self.server.tls is None:
            sent = os.sendfile(self.fd, part.fd, part.offset, count)
        else:
            sent = self.sock.send(os.pread(part.fd, min(count, PIECE), part.offset))
        if sent == 0:
            # The file has become shorter than was announced: only closing tells the client
            # (RFC 9112 section 8).
            self.close()
            return False
        if sent == part.size:
            os.close(part.fd)
            self.out.popleft()
        else:
            self.out[0] = FilePart(part.fd, part.offset + sent, part.size - sent)
        self.deadline = self.server.now + self.server.idle_s
        return True

    def _make_next(self, pieces: Iterator[bytes]) -> None:
        self.waiting = True
        self.state = "sending"
        self.deadline = float("inf")
        self.server.in_thread(lambda: _next(pieces), self._made)
        self._wait_for(0)

    def _made(self, piece: bytes | _Broken | None) -> None:
        """A thread has made the next piece of the body; None: that was all."""
        self.waiting = False
        if self.fd < 0:
            return
        if isinstance(piece, _Broken):
            # The head is out, so that no status can tell: the connection breaks.
            self.server.log(f"error in a body: {piece.why}")
            return self.close(reset=piece.reset)
        if piece is None:
            self.out.popleft()
        else:
            self.out.appendleft(piece)
            self.deadline = self.server.now + self.server.idle_s
        self._go_on()

    def _wait_for_room(self) -> None:
        self.state = "sending"
        self.deadline = self.server.now + self.server.idle_s
        self._wait_for(select.EPOLLOUT)

    def _wait_for(self, events: int) -> None:
        if events != self.events and self.fd >= 0:
            self.events = events
            self.server.poll.modify(self.fd, events)

    # ---- the end

    def _linger(self) -> None:
        """Close so that the client can still read the response (RFC 9112 section 9.6).

        Closing with unread bytes would send a reset, and a reset throws away what is on its way.
        """
        if self.mute and self.server.tls is None:
            return self.close()
        self.state = "linger"
        self.deadline = self.server.now + (LAST_S if self.server.stopping else LINGER_S)
        try:
            if self.server.tls is not None:
                self.sock.unwrap()  # type: ignore[attr-defined]
        except (OSError, ValueError):
            pass
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            return self.close()
        if self.mute:
            return self.close()
        self._wait_for(select.EPOLLIN)

    def late(self) -> None:
        """The deadline has passed."""
        if self.state in ("head", "body") and (self.reader.started or self.state == "body"):
            self._refuse(408, "The request did not become complete in time.")
            self.flush()
        else:
            self.close()

    @property
    def idle(self) -> bool:
        """Is there nothing to finish?"""
        return self.state in ("tls", "linger") or (
            self.state == "head" and not self.out and not self.reader.started
        )

    def close(self, reset: bool = False) -> None:
        """The end; with RESET the client gets a RST, not a FIN."""
        if self.fd < 0:
            return
        self.server.forget(self)
        self.fd = -1
        if reset:
            linger = struct.pack("ii", 1, 0)
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.sock.close()
        for item in self.out:
            if not isinstance(item, bytes):
                _drop(item)
        self.out.clear()
        self.kept = NOTHING


class _Broken(NamedTuple):
    """An iterator that failed."""

    why: str
    reset: bool = False


NOTHING = Spool()


def _wants_more(error: OSError) -> bool:
    """Is this TLS saying that it waits for the other side?"""
    return type(error).__name__ in ("SSLWantReadError", "SSLWantWriteError")


def _drop(body: Body) -> None:
    """Let go of a body that is not sent."""
    if isinstance(body, FilePart):
        os.close(body.fd)


def _next(pieces: Iterator[bytes]) -> bytes | _Broken | None:
    try:
        return next(pieces, None)
    except Reset:
        return _Broken("reset on purpose", reset=True)
    except Exception as error:
        return _Broken(f"{type(error).__name__}: {error}")


def _chunked(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """PIECES as chunks, with the last one; an empty piece would end the body too early."""
    for piece in pieces:
        if piece:
            yield chunk(piece)
    yield chunk(b"")


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
        self._done: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
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
                self._other(fd)
            elif event & select.EPOLLOUT:
                connection.writable()
            elif event & select.EPOLLIN:
                connection.readable()
            else:
                connection.close()  # reset by the client

    def _other(self, fd: int) -> None:
        if self._listener is not None and fd == self._listener.fileno():
            self._accept()
        elif fd == self._wake_read.fileno():
            try:
                self._wake_read.recv(4096)
            except BlockingIOError:
                pass
            while not self._done.empty():
                self._done.get()()

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
                return  # else: the client hung up before we came to it
            self.adopt(sock, peer[0] if peer else "-")
            if len(self.connections) >= MAX_CONNECTIONS:
                return self._accept_more(False)

    def _accept_more(self, wanted: bool) -> None:
        if wanted != self._accepting and self._listener is not None:
            self._accepting = wanted
            if wanted:
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
        """It closes."""
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
            return page(bad.status, f"{bad}.")
        except Exception as error:
            self.log(f"error in handle(): {type(error).__name__}: {error}")
            return page(500, "The server has a fault; its log says which.")

    def in_thread(self, work: Callable[[], Any], then: Callable[[Any], None]) -> None:
        """Do WORK in a thread, and call THEN with its result in the loop's."""

        def task() -> None:
            result = work()
            self._done.put(lambda: then(result))
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
    parser = argparse.ArgumentParser(
        prog="web_server.py",
        description="HTTP/1.1 server for the files of a small site.",
        epilog="""examples:
  python3 apps/web_server.py
  python3 apps/web_server.py --site my-site --listen 127.0.0.1 --port 8080
  python3 apps/web_server.py --site www.a.lab=a --site www.b.lab=b
  python3 apps/web_server.py --variant slow --port 8080
  python3 apps/web_server.py --tls localhost --tls-ca my-ca --port 8443
  python3 apps/web_server.py --background --log access.log --log-format combined
  curl -v http://127.0.0.1:8080/

exit codes: 0 ended or went to the background; 1 cannot listen; 2 bad options or site; 3 died""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--site",
        metavar="[NAME=]DIR",
        action="append",
        default=[],
        help="folder to serve (default: the bundled site); with NAME for that Host alone. Again "
        "for another one; unknown names get the first",
    )
    parser.add_argument(
        "--variant",
        choices=sorted(VARIANTS),
        help="behave differently: answer by HTTP/1.0, close after each answer, be slow, or reset "
        "the connection in the middle of the body",
    )
    parser.add_argument(
        "--tls",
        metavar="NAME",
        action="append",
        default=[],
        help="speak TLS, with a certificate for NAME (a name or an address; again for more); "
        "add --port 443",
    )
    parser.add_argument(
        "--tls-ca",
        metavar="DIR",
        default=TLS_CA,
        help="folder of the lab's authority, made if it is not there (default %(default)s)",
    )
    parser.add_argument(
        "--keylog",
        metavar="FILE",
        help="write down the keys of every TLS connection: with them Wireshark can read it",
    )
    parser.add_argument(
        "--idle",
        metavar="S",
        type=service.seconds,
        default=15.0,
        help="seconds after which a silent connection is closed (default %(default)s)",
    )
    parser.add_argument(
        "--max-body",
        metavar="N",
        type=service.number(0, 1 << 40),
        default=MAX_BODY,
        help="octets that a request may bring (default %(default)s)",
    )
    parser.add_argument(
        "--log-format",
        choices=AccessLog.FORMATS,
        default="short",
        help="of the lines in the log (default %(default)s)",
    )
    service.add_options(parser, port=80)
    return parser


def tls_context(folder: str, names: Sequence[str], keylog: str | None) -> ssl.SSLContext:
    """TLS with a certificate for NAMES, signed by the lab's authority. Raises ServiceError."""
    import ssl  # here: most servers of a lab speak plain text

    import lab_ca

    try:
        pem, key = lab_ca.certificate(folder, names)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem, key)
        context.set_alpn_protocols(["http/1.1"])
        if keylog is not None:
            context.keylog_filename = keylog
    except lab_ca.CaError as error:
        raise service.ServiceError(str(error), error.hint) from None
    except OSError as error:
        raise service.ServiceError(f"no TLS: {error}", "Check --tls-ca and --keylog.") from None
    return context


def sites(wishes: Sequence[str]) -> Site | Hosts:
    """What --site, given so often, asks for. Raises ServiceError."""
    first: Site | None = None
    named: dict[str, Site] = {}
    for wish in wishes or [SITE]:
        match = re.fullmatch(r"([A-Za-z0-9.-]+)=(.*)", wish)
        folder = match[2] if match and not os.path.isdir(wish) else wish
        if not os.path.isdir(folder):
            raise service.ServiceError(
                f"there is no folder {folder}", "Give --site a folder with an index.html."
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
    wanted = MAX_CONNECTIONS + 200
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


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
