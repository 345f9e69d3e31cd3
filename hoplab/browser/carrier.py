# SPDX-License-Identifier: Apache-2.0
"""A connection of the user's browser: its requests carried to the lab, one after the other.

What lives here: one request from its first byte to the last of its response, the connection to the
lab that it uses, tunnels, and the pages that say why a request is not carried. What must not: who
may connect (`proxy.py`), names and links (`origins.py`), what of a response is changed
(`passing.py`).
"""

from __future__ import annotations

import contextlib
import html
import re
import socket
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import IO, Any

import h11

from hoplab.browser import tunnel
from hoplab.browser.host_sockets import Refused
from hoplab.browser.http_peer import (
    PIECE,
    Fields,
    Peer,
    fields,
    octets,
    options,
    response_head,
    value,
)  # fmt: skip
from hoplab.browser.origins import Names, Origin, host_of, proxied
from hoplab.browser.passing import HOP_BY_HOP, Passing
from hoplab.sentences import number_of, say, term

IDLE_S = 60.0
MAX_BODY = 64 << 20
IN_MEMORY = 1 << 20  # octets of a request's body; more lie in a file without a name
MAX_TUNNELS = 64
IDEMPOTENT = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"}  # RFC 9110, 9.2.2

# Host, port and whether to speak TLS -> a connection. Raises Refused.
Connect = Callable[[str, int, bool], socket.socket]


@dataclass(frozen=True)
class Shared:
    """What the connections of one proxy share. show: takes a line for whoever watches. tr: makes
    of a sentence that of the reader's language. language: its code."""

    names: Names
    connect: Connect
    show: Callable[[str], None]
    tr: Callable[[str], str]
    language: str
    tunnels: threading.BoundedSemaphore


class _NotCarried(Exception):
    """A request that is not carried; status and sentence say why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


class Carrier:
    """One connection of the browser, and the one to the lab that it uses now."""

    def __init__(self, shared: Shared, sock: socket.socket) -> None:
        self.shared = shared
        self.browser = Peer(sock, h11.SERVER)
        self.server: Peer | None = None
        self.origin: Origin | None = None

    def run(self) -> None:
        try:
            while True:
                request = self.browser.event()
                if not isinstance(request, h11.Request):  # the browser has closed
                    return
                if not request.http_version.startswith(b"1."):
                    raise _NotCarried(505, term("This proxy speaks HTTP/1.1."))
                with self._body(request) as body:
                    goes_on = self._answer(request, body)
                if not goes_on or not self.browser.again():
                    return
        except _NotCarried as failure:
            self._page(failure.status, failure.reason)
        except h11.RemoteProtocolError as error:
            self._page(error.error_status_hint, say("{reason}.", reason=str(error)))
        finally:
            self._drop()

    def _body(self, request: Any) -> IO[bytes]:
        """The request's body as a file. Raises _NotCarried."""
        body = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115
        try:
            if self.browser.http.they_are_waiting_for_100_continue:
                go_on = h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")
                self.browser.send(go_on)
            for piece in self.browser.body():
                body.write(piece)
                if body.tell() > MAX_BODY:
                    raise _NotCarried(413, say("At most {n} octets are carried.", n=MAX_BODY))
        except BaseException:
            body.close()
            raise
        return body

    # ---- one request

    def _answer(self, request: Any, body: IO[bytes]) -> bool:
        """Carry it; False: the connection is to be closed."""
        as_proxy = request.method == b"CONNECT" or not request.target.startswith(b"/")
        if as_proxy:
            if not self.shared.names.admits(request):
                reason = term("The proxy's address has a user and a password in it.")
                return self._page(407, reason)
            origin = proxied(request)
            if origin is None:
                return self._page(400, term("The lab's sites are http://NAME/ here, or CONNECT."))
            if request.method == b"CONNECT":
                return self._connect_through(origin)
        elif self.shared.names.is_for_site(request):
            if not self.shared.names.admits_to_site(request):
                return self._page(401, term("The address has a user and a password in it."))
            origin = self.shared.names.site
            assert origin is not None
        else:
            origin = self.shared.names.inside(host_of(request))
            if origin is None:
                return self._page(421, term("Open the address that `hoplab open` has printed."))
        head = self._head(request, origin, body.tell(), as_proxy)
        try:
            passing = self._carry(request, origin, head, body, as_proxy)
        except Refused as refused:
            line = say(
                "{request}: {reason}", request=_title(request, origin), reason=refused.reason
            )
            self.shared.show(line)
            return self._page(502, say("{reason}.", reason=refused.reason))
        if passing is not None and passing.status == 101:
            return self._websocket(request, origin, passing)
        return passing is not None

    def _head(self, request: Any, origin: Origin, size: int, as_proxy: bool) -> Any:
        """The request as the lab's server gets it."""
        headers = self._headers(request, origin, as_proxy)
        if _wants_websocket(request):
            headers += [("Connection", "Upgrade"), ("Upgrade", "websocket")]
        if size or request.method in (b"POST", b"PUT", b"PATCH"):
            headers.append(("Content-Length", str(size)))
        target = _path(request.target) if as_proxy else request.target
        return h11.Request(method=request.method, target=target, headers=octets(headers))

    def _headers(self, request: Any, origin: Origin, as_proxy: bool) -> Fields:
        """The header fields that the lab's server gets, but for those of the connection."""
        left_out = HOP_BY_HOP | options(request)
        headers: Fields = [("Host", origin.authority)]
        for name, text in fields(request):
            key = name.lower()
            if key == "authorization" and self.shared.names.admits_to_site(request):
                continue  # it was for us
            if key in left_out or (key == "accept-encoding" and not as_proxy):
                continue  # what is packed cannot be rewritten
            if key in ("referer", "origin") and not as_proxy:
                text = self.shared.names.named_inside(text)
            headers.append((name, text))
        return headers

    def _carry(
        self, request: Any, origin: Origin, head: Any, body: IO[bytes], as_proxy: bool
    ) -> Passing | None:
        """Send the request and pass the response on; None: the connection must end."""
        # A connection that was kept may just be closing, and what is no idempotent request must not
        # be sent twice by a proxy (RFC 9110, 9.2.2).
        idempotent = request.method.decode() in IDEMPOTENT
        kept = self.origin == origin and self.server is not None and idempotent
        if not kept:
            self._connect(origin)
        try:
            return self._exchange(request, origin, head, body, as_proxy)
        except _Unanswered as failure:
            if not kept or not failure.unheard:
                raise Refused(failure.reason) from None
            # It was closed while it was idle: a second try on a new one.
            self._connect(origin)
            try:
                return self._exchange(request, origin, head, body, as_proxy)
            except _Unanswered as again:
                raise Refused(again.reason) from None

    def _connect(self, origin: Origin) -> None:
        self._drop()
        sock = self.shared.connect(*origin)
        sock.settimeout(IDLE_S)
        self.server, self.origin = Peer(sock, h11.CLIENT), origin

    def _drop(self) -> None:
        if self.server is not None:
            self.server.sock.close()
        self.server = self.origin = None

    def _exchange(
        self, request: Any, origin: Origin, head: Any, body: IO[bytes], as_proxy: bool
    ) -> Passing | None:
        server = self.server
        assert server is not None
        passing: Passing | None = None
        received = 0
        try:
            server.send(head)
            body.seek(0)
            while piece := body.read(PIECE):
                server.send(h11.Data(data=piece))
            server.send(h11.EndOfMessage())
            response = server.event()
            while isinstance(response, h11.InformationalResponse) and response.status_code != 101:
                response = server.event()
            passing = Passing(self.browser, self.shared.names, request, response, origin, as_proxy)
            if passing.status == 101:
                return passing  # from here on it is no HTTP any more
            for piece in server.body():
                received += len(piece)
                passing.take(piece)
            passing.finish()
        except (h11.RemoteProtocolError, OSError) as error:
            self._drop()
            if passing is not None and passing.begun:
                return None  # half an answer is out: closing is the only way to say so
            unheard = not server.heard and not isinstance(error, TimeoutError)
            reason = say("{server}: {reason}", server=origin.host, reason=_reason(server, error))
            raise _Unanswered(reason, unheard=unheard) from None
        if not server.again() or server.rest():
            self._drop()
        self.shared.show(
            number_of(
                "{request} {status} {n:,} byte",
                "{request} {status} {n:,} bytes",
                received,
                request=_title(request, origin),
                status=passing.status,
            )
        )
        return passing

    # ---- tunnels

    def _connect_through(self, origin: Origin) -> bool:
        """CONNECT (RFC 9110 section 9.3.6)."""
        try:
            sock = self.shared.connect(origin.host, origin.port, False)
        except Refused as refused:
            return self._page(502, say("{reason}.", reason=refused.reason))
        with sock:
            agreed = h11.Response(status_code=200, headers=[], reason=b"Connected")
            return self._tunnel(sock, agreed, f"CONNECT {origin.host}:{origin.port}", b"")

    def _websocket(self, request: Any, origin: Origin, passing: Passing) -> bool:
        """The server has agreed to an upgrade (RFC 9110 section 7.8)."""
        assert self.server is not None
        title = f"{_title(request, origin)} WebSocket"
        return self._tunnel(self.server.sock, passing.switch(), title, self.server.rest())

    def _tunnel(self, sock: socket.socket, agreed: Any, title: str, early: bytes) -> bool:
        """Tell the browser by AGREED that the way is open, and be one. EARLY: what the server has
        sent on it already."""
        shared = self.shared
        if not shared.tunnels.acquire(blocking=False):
            reason = say("More than {n} tunnels at once are not dug.", n=MAX_TUNNELS)
            return self._page(503, reason)
        try:
            self.browser.send(agreed)
            shared.show(say("{request} opened", request=title))
            sent, received = tunnel.carry(self.browser.sock, sock, (self.browser.rest(), early))
            shared.show(
                say(
                    "{request} closed, {sent:,} bytes sent, {received:,} received",
                    request=title,
                    sent=sent,
                    received=received,
                )
            )
        finally:
            shared.tunnels.release()
        return False

    def _page(self, status: int, reason: str) -> bool:
        """An answer of our own; always the last on its connection."""
        title = f"{status} {HTTPStatus(status).phrase}"
        text = (
            "<!DOCTYPE html>\n"
            f'<html lang="{self.shared.language}"><meta charset="utf-8"><title>{title}</title>\n'
            f"<h1>{title}</h1>\n<p>{html.escape(self.shared.tr(reason), quote=False)}</p></html>\n"
        ).encode("utf-8", "replace")
        headers: Fields = [
            ("Server", "hoplab"),
            ("Content-Type", "text/html; charset=utf-8"),
            ("Date", formatdate(usegmt=True)),
            ("Content-Length", str(len(text))),
            ("Connection", "close"),
        ]
        if status == 401:
            headers.append(("WWW-Authenticate", 'Basic realm="hoplab"'))
        if status == 407:
            headers.append(("Proxy-Authenticate", 'Basic realm="hoplab"'))
        with contextlib.suppress(OSError, h11.LocalProtocolError):  # it has gone, or has an answer
            self.browser.send(response_head(status, HTTPStatus(status).phrase, headers))
            self.browser.send(h11.Data(data=text))
        return False


class _Unanswered(Exception):
    """The server closed, or sent no HTTP, before anything of an answer was passed on. `unheard`: it
    closed without a word, as one does that has waited long enough for a request."""

    def __init__(self, reason: str, *, unheard: bool) -> None:
        super().__init__(reason)
        self.reason, self.unheard = reason, unheard


def _reason(server: Peer, error: Exception) -> str:
    """Why there is no answer, in words."""
    if isinstance(error, OSError):
        return str(error)
    if server.ended:
        return term("the server closed the connection without a complete response")
    return say("the server sent what is no HTTP/1.1: {reason}", reason=str(error))


def _path(target: bytes) -> bytes:
    """What a server is asked for, of the whole address that a proxy is asked for."""
    rest = re.match(rb"http://[^/?#]*(.*)", target, re.IGNORECASE)
    path = (rest[1] if rest else b"") or b"/"
    return path if path.startswith(b"/") else b"/" + path


def _wants_websocket(request: Any) -> bool:
    """The only upgrade that is carried (RFC 6455 section 4.1)."""
    named = value(request, "upgrade").lower() == "websocket"
    recent = request.http_version >= b"1.1"
    return request.method == b"GET" and recent and "upgrade" in options(request) and named


def _title(request: Any, origin: Origin) -> str:
    """Method and address, for whoever watches."""
    target = request.target.decode("ascii")
    path = re.sub("(?i)^http://[^/]*", "", target)
    return f"{request.method.decode()} {origin}{path}"
