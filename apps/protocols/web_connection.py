# SPDX-License-Identifier: Apache-2.0
"""One client of the web server: bytes in, requests out, responses back, in order.

The cast
    `Connection`  its state, and what comes next; nothing here waits, the loop in web_server.py does
    `App`         whoever answers
"""

from __future__ import annotations

import os
import select
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple, Protocol

from protocols.http1 import (
    BadRequest,
    FilePart,
    Request,
    RequestReader,
    Response,
    Spool,
    as_response,
    chunk,
    page,
)
from protocols.language import say
from protocols.web_variants import DEFAULT, Reset, varied

if TYPE_CHECKING:
    from web_server import Server

DRAINED = 65_536  # an unwanted body up to this size is read, so that the connection can go on
PIECE = 65_536
FILE_PIECE = 2 << 20  # of a file in one go: what a connection's buffer takes, and no other waits
PENDING = 262_144  # octets that wait for a client before no more of its requests are answered
LINGER_S = 5.0  # for a client to read the last answer before the connection ends
LAST_S = 1.0  # the same, when the server is to stop


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
        self.body_wanted = False  # is the body to be kept?
        self.body = NOTHING
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
        """Go on as far as the bytes allow that have come."""
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
        any_begun = False
        try:
            while self.reader.buffer and self.state in ("head", "body"):
                if self.state == "head":
                    request = self.reader.next()
                    if request is None:
                        break
                    self._begin(request)
                elif not self._take_body():
                    break
                any_begun = True
        except BadRequest as bad:
            self._refuse(bad.status, say("{error}.", error=bad.why))
            any_begun = True
        return any_begun

    def _begin(self, request: Request) -> None:
        self.request = request
        if not self.reader.in_body:
            if request.method in ("POST", "PUT", "PATCH") and self._lacks_length(request):
                return self._refuse(411, say("Say how long the body is."), keep=True)
            return self._answer(request)
        server, length = self.server, request.length
        self.body_wanted = server.app.takes_body(request)
        if length is not None and length > server.max_body:
            why = say("At most {count} octets are taken.", count=server.max_body)
            return self._refuse(413, why)
        expect = request.headers.get("expect")
        if expect is not None and not request.expects_continue and request.version >= (1, 1):
            return self._refuse(
                417, say("The only thing to expect here is 100-continue.")
            )
        if not self.body_wanted and ((length or 0) > DRAINED or expect is not None):
            # Nobody wants it: the answer goes out at once, and the connection ends.
            self.ending = True
            return self._answer(request)
        if request.expects_continue and not self.mute:
            self.out.append(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.flush()
        if self.body_wanted:
            self.body = Spool()
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
                most = self.server.max_body
                raise BadRequest(413, say("at most {count} octets are taken", count=most))
            if self.body_wanted:
                self.body.write(data)
            elif self.answered > DRAINED:
                self.ending = True  # it goes on and on, and nobody wants it
        if self.reader.in_body and not self.ending:
            return False
        request, self.answered = self.request, 0
        assert request is not None
        if self.body_wanted:
            request = request.with_body(self.body)
            self.body = NOTHING
        self._answer(request)
        return True

    def _refuse(self, status: int, why: str, keep: bool = False) -> None:
        """Answer with an error; what comes after it cannot be trusted to be a request."""
        if not keep:
            self.ending = True
        request, self.body, self.answered = self.request, NOTHING, 0
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
            return
        self._respond(self.request, response)
        self._go_on()

    def _respond(self, request: Request | None, response: Response) -> None:
        """Queue RESPONSE; REQUEST is None if there was none that could be read."""
        server, body = self.server, response.body
        if request is None or not request.usual or self.ending or (
            server.variant is not DEFAULT or server.stopping
        ):  # fmt: skip
            return self._respond_with_care(request, response)
        if isinstance(body, bytes):
            size = len(body)
            self.out.append(response.whole(server.date))
        elif isinstance(body, FilePart) and response.status == 200:
            size = body.size
            self.out += (response.whole(server.date), body)
        else:
            return self._respond_with_care(request, response)
        if server.access is not None:
            server.access(self.peer, request, response.status, size)
        self.state = "sending" if len(self.out) > 8 or size > PENDING else "head"

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
        """Go on after a wait for a thread, or for room in the kernel's buffer."""
        self.flush()
        self.advance()
        # Of bytes that TLS has read already, epoll does not tell.
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
            self.ending = True  # the head promised more octets than the pieces had
        if self.ending and self.state not in ("thinking", "linger"):
            return self._linger()
        if self.state == "sending":
            self.state = "head"
            self.deadline = self.server.now + self.server.idle_s
        self._wait_for(0 if self.mute else select.EPOLLIN)

    def _send_file(self, part: FilePart) -> bool:
        """Send a piece of the file; False: the rest cannot be sent now, or never."""
        if self.server.tls is None:
            sent = os.sendfile(self.fd, part.file.fd, part.offset, min(part.size, FILE_PIECE))
        else:
            piece = os.pread(part.file.fd, min(part.size, PIECE), part.offset)
            sent = self.sock.send(piece)
        if sent == 0:
            # The file has become shorter than was announced: only closing tells the client
            # (RFC 9112 section 8).
            self.close()
            return False
        if sent == part.size:
            self.out.popleft()
        else:
            self.out[0] = FilePart(part.file, part.offset + sent, part.size - sent)
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
            # The head is sent, so no status can say that this went wrong: the connection breaks.
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
            self._refuse(408, say("The request did not become complete in time."))
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
        self.out.clear()
        self.body = NOTHING


class _Broken(NamedTuple):
    """An iterator that failed."""

    why: str
    reset: bool = False


NOTHING = Spool()


def _wants_more(error: OSError) -> bool:
    """Is this TLS saying that it waits for the other side?"""
    return type(error).__name__ in ("SSLWantReadError", "SSLWantWriteError")


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
