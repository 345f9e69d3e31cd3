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

A WebSocket (RFC 6455) is opened like any request; after the server's 101 its bytes pass unread.
Where connections go is not decided here: `connect` opens them inside the host
(host_sockets.py), which reaches the lab and nothing else.
"""

from __future__ import annotations

import base64
import contextlib
import hmac
import html
import re
import secrets
import socket
import tempfile
import threading
from collections.abc import Callable
from email.utils import formatdate
from http import HTTPStatus
from typing import IO, Any, NamedTuple

import h11

from hoplab import wait
from hoplab.browser import tunnel
from hoplab.browser.host_sockets import Refused
from hoplab.browser.http_peer import PIECE, Fields, Peer, fields, options, value

IDLE_S = 60.0
PORT = 8642  # vagrant/Vagrantfile forwards it
MAX_BODY = 64 << 20
MAX_REWRITTEN = 4 << 20
IN_MEMORY = 1 << 20  # octets of a request's body; more lie in a file without a name
MAX_CONNECTIONS = 256  # at a time; anybody on the machine may open some
MAX_TUNNELS = 64
FULL_S = 0.2  # before it is tried again to take a connection

# Meant for the next hop alone (RFC 9110 section 7.6.1), or set by us.
HOP_BY_HOP = {
    "connection", "keep-alive", "proxy-connection", "proxy-authorization", "proxy-authenticate",
    "te", "trailer", "transfer-encoding", "upgrade", "content-length", "host", "expect",
}  # fmt: skip
IDEMPOTENT = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"}  # RFC 9110, 9.2.2
# Would lead the browser past the proxy.
UNWANTED = {"strict-transport-security", "alt-svc", "content-security-policy"}

# Host, port and whether to speak TLS -> a connection. Raises Refused.
Connect = Callable[[str, int, bool], socket.socket]


class Origin(NamedTuple):
    """A server of the lab."""

    host: str
    port: int = 80
    secure: bool = False

    @property
    def authority(self) -> str:
        """Host and port as in a Host header."""
        usual = 443 if self.secure else 80
        return self.host if self.port == usual else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"http{'s' if self.secure else ''}://{self.authority}"


Outside = Callable[[Origin], str]


class Proxy:
    """Listens on 127.0.0.1; a thread for each of the browser's connections."""

    def __init__(
        self,
        connect: Connect,
        say: Callable[[str], None] = lambda line: None,
        port: int | None = None,
    ) -> None:
        """On `port`; None: on PORT, or where that is taken on any that is free. Raises OSError."""
        self.connect = connect
        self.say = say
        self.token = secrets.token_hex(8)
        self._closing = threading.Event()
        self._places = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self.tunnels = threading.BoundedSemaphore(MAX_TUNNELS)
        try:
            self._listener = socket.create_server(("127.0.0.1", PORT if port is None else port))
        except OSError:
            if port is not None:
                raise
            self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._credentials = "Basic " + base64.b64encode(f"hoplab:{self.token}".encode()).decode()

    # ---- names

    def outside(self, origin: Origin) -> str:
        """Host and port under which the browser finds the lab's ORIGIN."""
        host, port, secure = origin
        plain = port == 80 and not secure and not _LABEL.search(host)
        label = "" if plain else f".{'s' if secure else 'p'}{port}"
        return f"{host}{label}.{self.token}.localhost:{self.port}"

    def url(self, url: str) -> str:
        """The lab's URL as the browser should open it. Raises ValueError."""
        match = re.fullmatch(
            r"(https?)://([A-Za-z0-9._-]+)(?::([0-9]{1,5}))?(?:#.*|([/?].*))?", url, re.IGNORECASE
        )
        if match is None:
            raise ValueError(url)
        origin = _origin(match[1], match[2], match[3])
        path = match[4] or "/"
        return f"http://{self.outside(origin)}{path if path.startswith('/') else '/' + path}"

    @property
    def as_proxy(self) -> str:
        """What http_proxy is to be set to."""
        return f"http://hoplab:{self.token}@127.0.0.1:{self.port}"

    def inside(self, host: str) -> Origin | None:
        """The lab's server that the Host header's name stands for; None without the token."""
        match = re.fullmatch(r"([a-z0-9._-]+)\.([0-9a-f]+)\.localhost", host)
        if match is None or not hmac.compare_digest(match[2], self.token):
            return None
        label = _LABEL.search(match[1])
        if label is None:
            return Origin(match[1])
        return Origin(match[1][: label.start()], int(label[2]), label[1] == "s")

    # ---- connections

    def serve(self) -> None:
        """Until `close`."""
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
                _Talk(self, sock).run()
        finally:
            self._places.release()


class _Bad(Exception):
    """A request that is not carried; the status says why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class _Talk:
    """One connection of the browser, and the one to the lab that it uses now."""

    def __init__(self, proxy: Proxy, sock: socket.socket) -> None:
        self.proxy = proxy
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
                    raise _Bad(505, "This proxy speaks HTTP/1.1.")
                with self._body(request) as body:
                    goes_on = self._answer(request, body)
                if not goes_on or not self.browser.again():
                    return
        except _Bad as bad:
            self._page(bad.status, str(bad))
        except h11.RemoteProtocolError as error:
            self._page(error.error_status_hint, f"{error}.")
        finally:
            self._drop()

    def _body(self, request: Any) -> IO[bytes]:
        """The request's body as a file. Raises _Bad."""
        body = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115
        try:
            if self.browser.http.they_are_waiting_for_100_continue:
                go_on = h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")
                self.browser.send(go_on)
            for piece in self.browser.body():
                body.write(piece)
                if body.tell() > MAX_BODY:
                    raise _Bad(413, f"At most {MAX_BODY} octets are carried.")
        except BaseException:
            body.close()
            raise
        return body

    # ---- one request

    def _answer(self, request: Any, body: IO[bytes]) -> bool:
        """Carry it; False: the connection is to be closed."""
        proxy = self.proxy
        as_proxy = request.method == b"CONNECT" or not request.target.startswith(b"/")
        if as_proxy:
            credentials = value(request, "proxy-authorization")
            if not hmac.compare_digest(credentials.encode(), proxy._credentials.encode()):
                return self._page(407, "The proxy's address has a user and a password in it.")
            origin = _proxied(request)
            if origin is None:
                return self._page(400, "The lab's sites are http://NAME/ here, or CONNECT.")
            if request.method == b"CONNECT":
                return self._connect_through(origin)
        else:
            origin = proxy.inside(_host(request))
            if origin is None:
                return self._page(421, "Open the address that `hoplab open` has printed.")
        asked = self._head(request, origin, body.tell(), as_proxy)
        try:
            out = self._carry(request, origin, asked, body, as_proxy)
        except Refused as refused:
            proxy.say(f"{_what(request, origin)}: {refused}")
            return self._page(502, f"{refused}.")
        if out is not None and out.status == 101:
            return self._websocket(request, origin, out)
        return out is not None

    def _head(self, request: Any, origin: Origin, size: int, as_proxy: bool) -> Any:
        """The request as the lab's server gets it."""
        target = request.target
        if as_proxy:
            rest = re.match(rb"http://[^/?#]*(.*)", target, re.IGNORECASE)
            target = (rest[1] if rest else b"") or b"/"
            target = target if target.startswith(b"/") else b"/" + target
        left_out = HOP_BY_HOP | options(request)
        headers: Fields = [("Host", origin.authority)]
        for name, text in fields(request):
            key = name.lower()
            if key in left_out or (key == "accept-encoding" and not as_proxy):
                continue  # what is packed cannot be rewritten
            if key in ("referer", "origin") and not as_proxy:
                text = self._named_inside(text)
            headers.append((name, text))
        if _wants_websocket(request):
            headers += [("Connection", "Upgrade"), ("Upgrade", "websocket")]
        if size or request.method in (b"POST", b"PUT", b"PATCH"):
            headers.append(("Content-Length", str(size)))
        return h11.Request(method=request.method, target=target, headers=_octets(headers))

    def _named_inside(self, url: str) -> str:
        match = re.fullmatch(r"http://([^/:]+):[0-9]+(.*)", url)
        origin = self.proxy.inside(match[1].lower()) if match else None
        return f"{origin}{match[2]}" if match and origin else url

    def _carry(
        self, request: Any, origin: Origin, asked: Any, body: IO[bytes], as_proxy: bool
    ) -> _Out | None:
        """Send the request and pass the response on; None: the connection must end."""
        # A connection that was kept may just be closing, and what is no idempotent request must not
        # be sent twice by a proxy (RFC 9110, 9.2.2).
        idempotent = request.method.decode() in IDEMPOTENT
        kept = self.origin == origin and self.server is not None and idempotent
        if not kept:
            self._connect(origin)
        try:
            return self._exchange(request, origin, asked, body, as_proxy)
        except _Unanswered as failure:
            if not kept or not failure.unheard:
                raise Refused(str(failure)) from None
            # It was closed while it was idle: a second try on a new one.
            self._connect(origin)
            try:
                return self._exchange(request, origin, asked, body, as_proxy)
            except _Unanswered as again:
                raise Refused(str(again)) from None

    def _connect(self, origin: Origin) -> None:
        self._drop()
        sock = self.proxy.connect(*origin)
        sock.settimeout(IDLE_S)
        self.server, self.origin = Peer(sock, h11.CLIENT), origin

    def _drop(self) -> None:
        if self.server is not None:
            self.server.sock.close()
        self.server = self.origin = None

    def _exchange(
        self, request: Any, origin: Origin, asked: Any, body: IO[bytes], as_proxy: bool
    ) -> _Out | None:
        server = self.server
        assert server is not None
        out: _Out | None = None
        received = 0
        try:
            server.send(asked)
            body.seek(0)
            while piece := body.read(PIECE):
                server.send(h11.Data(data=piece))
            server.send(h11.EndOfMessage())
            response = server.event()
            while isinstance(response, h11.InformationalResponse) and response.status_code != 101:
                response = server.event()
            out = _Out(self, request, response, origin, as_proxy)
            if out.status == 101:
                return out  # from here on it is no HTTP any more
            for piece in server.body():
                received += len(piece)
                out.take(piece)
            out.finish()
        except (h11.RemoteProtocolError, OSError) as error:
            self._drop()
            if out is not None and out.begun:
                return None  # half an answer is out: closing is the only way to say so
            unheard = not server.heard and not isinstance(error, TimeoutError)
            raise _Unanswered(f"{origin.host}: {_why(server, error)}", unheard=unheard) from None
        if not server.again() or server.rest():
            self._drop()
        self.proxy.say(f"{_what(request, origin)} {out.status} {received:,} bytes")
        return out

    # ---- tunnels

    def _connect_through(self, origin: Origin) -> bool:
        """CONNECT (RFC 9110 section 9.3.6)."""
        try:
            sock = self.proxy.connect(origin.host, origin.port, False)
        except Refused as refused:
            return self._page(502, f"{refused}.")
        with sock:
            agreed = h11.Response(status_code=200, headers=[], reason=b"Connected")
            return self._tunnel(sock, agreed, f"CONNECT {origin.host}:{origin.port}", b"")

    def _websocket(self, request: Any, origin: Origin, out: _Out) -> bool:
        """The server has agreed to an upgrade (RFC 9110 section 7.8)."""
        assert self.server is not None
        title = f"{_what(request, origin)} WebSocket"
        return self._tunnel(self.server.sock, out.switch(), title, self.server.rest())

    def _tunnel(self, sock: socket.socket, agreed: Any, title: str, early: bytes) -> bool:
        """Tell the browser by AGREED that the way is open, and be one. EARLY: what the server has
        sent on it already."""
        if not self.proxy.tunnels.acquire(blocking=False):
            return self._page(503, f"More than {MAX_TUNNELS} tunnels at once are not dug.")
        try:
            self.browser.send(agreed)
            self.proxy.say(f"{title} opened")
            there, back = tunnel.carry(self.browser.sock, sock, (self.browser.rest(), early))
            self.proxy.say(f"{title} closed, {there:,} bytes sent, {back:,} received")
        finally:
            self.proxy.tunnels.release()
        return False

    def _page(self, status: int, why: str) -> bool:
        """An answer of our own; always the last on its connection."""
        title = f"{status} {HTTPStatus(status).phrase}"
        text = (
            "<!DOCTYPE html>\n"
            f'<html lang="en"><meta charset="utf-8"><title>{title}</title>\n'
            f"<h1>{title}</h1>\n<p>{html.escape(why, quote=False)}</p></html>\n"
        ).encode("utf-8", "replace")
        headers: Fields = [
            ("Server", "hoplab"),
            ("Content-Type", "text/html; charset=utf-8"),
            ("Date", formatdate(usegmt=True)),
            ("Content-Length", str(len(text))),
            ("Connection", "close"),
        ]
        if status == 407:
            headers.append(("Proxy-Authenticate", 'Basic realm="hoplab"'))
        with contextlib.suppress(OSError, h11.LocalProtocolError):  # it has gone, or has an answer
            self.browser.send(_response(status, HTTPStatus(status).phrase, headers))
            self.browser.send(h11.Data(data=text))
        return False


class _Unanswered(Exception):
    """The server closed, or sent no HTTP, before anything of an answer was passed on. `unheard`: it
    closed without a word, as one does that has waited long enough for a request."""

    def __init__(self, text: str, *, unheard: bool) -> None:
        super().__init__(text)
        self.unheard = unheard


class _Out:
    """The response on its way to the browser."""

    def __init__(
        self, talk: _Talk, request: Any, response: Any, origin: Origin, as_proxy: bool
    ) -> None:
        self.talk, self.request, self.response = talk, request, response
        self.origin, self.as_proxy = origin, as_proxy
        self.status = int(response.status_code)
        self.begun = False
        self._text: bytearray | None = None  # of a page that is to be rewritten

    def take(self, data: bytes) -> None:
        """Octets of the body."""
        self._begin()
        if self._text is not None:
            self._text += data
            if len(self._text) <= MAX_REWRITTEN:
                return
            data, self._text = bytes(self._text), None
            self._head(None)
        self.talk.browser.send(h11.Data(data=data))

    def finish(self) -> None:
        """The body has ended."""
        self._begin()
        if self._text is not None:
            data = _with_links(bytes(self._text), self.talk.proxy.outside, self.origin.secure)
            self._head(len(data))
            self.talk.browser.send(h11.Data(data=data))
        self.talk.browser.send(h11.EndOfMessage())

    def _begin(self) -> None:
        if self.begun:
            return
        self.begun = True
        response = self.response
        kind = value(response, "content-type").partition(";")[0].strip().lower()
        packed = value(response, "content-encoding", "identity") != "identity"
        whole = self.request.method != b"HEAD" and self.status not in (204, 206, 304)
        if not self.as_proxy and kind in ("text/html", "text/css") and whole and not packed:
            self._text = bytearray()
            return
        chunked = value(response, "transfer-encoding")  # wins over a length (RFC 9112, 6.3)
        length = "" if chunked else value(response, "content-length")
        self._head(int(length) if re.fullmatch("[0-9]{1,18}", length) else None)

    def _head(self, length: int | None) -> None:
        """Status line and headers, with a LENGTH or as h11 sees fit for this browser: in chunks, or
        up to the end of the connection."""
        headers = self._headers()
        if length is not None:
            headers.append(("Content-Length", str(length)))
        self.talk.browser.send(_response(self.status, self._reason(), headers))

    def switch(self) -> Any:
        """The head of a 101."""
        headers = [*self._headers(), ("Connection", "Upgrade"), ("Upgrade", "websocket")]
        return _response(101, self._reason(), headers)

    def _reason(self) -> str:
        return str(self.response.reason.decode("latin-1"))

    def _headers(self) -> Fields:
        """Those that are passed on."""
        proxy, headers = self.talk.proxy, Fields()
        left_out = HOP_BY_HOP | options(self.response)
        for name, text in fields(self.response):
            key = name.lower()
            if key in left_out or (not self.as_proxy and key in UNWANTED):
                continue
            if not self.as_proxy and key in ("location", "refresh"):
                there = _with_links(text.encode("latin-1"), proxy.outside, self.origin.secure)
                text = there.decode("latin-1")
            if not self.as_proxy and key == "set-cookie":
                text = re.sub(r"(?i);\s*domain=[^;]*", "", text)
            headers.append((name, text))
        if not self.as_proxy:
            lab = f"*.{proxy.token}.localhost:{proxy.port}"
            policy = f"default-src 'self' http://{lab} ws://{lab} data: blob: "
            headers.append(("Content-Security-Policy", policy + "'unsafe-inline' 'unsafe-eval'"))
            # The token stands in the address: it must not be told to anybody.
            headers.append(("Referrer-Policy", "same-origin"))
        return headers


def _response(status: int, reason: str, headers: Fields) -> Any:
    kind = h11.InformationalResponse if status < 200 else h11.Response
    return kind(status_code=status, headers=_octets(headers), reason=reason.encode("latin-1"))


def _octets(headers: Fields) -> list[tuple[bytes, bytes]]:
    """As h11 wants them. A blank is left at the end where something was cut out of a value."""
    return [
        (name.encode("ascii"), text.strip(" \t").encode("latin-1", "replace"))
        for name, text in headers
    ]


def _why(server: Peer, error: Exception) -> str:
    """Why there is no answer, in words."""
    if isinstance(error, OSError):
        return str(error)
    if server.ended:
        return "the server closed the connection without a complete response"
    return f"the server sent what is no HTTP/1.1: {error}"


def _host(request: Any) -> str:
    """The name in the Host header, without the port."""
    text = value(request, "host").lower()
    return re.sub(r":[0-9]*\Z", "", text).rstrip(".")


def _proxied(request: Any) -> Origin | None:
    """Where a request goes that names its server itself."""
    text = request.target.decode("ascii")
    if request.method != b"CONNECT":
        if not text.lower().startswith("http://"):
            return None
        text = re.split("[/?#]", text[7:], maxsplit=1)[0]
    match = re.fullmatch(r"([A-Za-z0-9._-]+)(?::([0-9]{1,5}))?", text)
    return _origin("http", match[1], match[2]) if match else None


# The last label of a name outside: another port, plain (p) or with TLS (s).
_LABEL = re.compile(r"\.([ps])([0-9]{1,5})\Z")
_LINK = re.compile(
    rb"""(\A|\b(?:href|src|action|poster|srcset)\s*=\s*["']?|\burl\s*[(=]\s*["']?"""
    rb"""|@import\s+["'])(?:(https?):)?//([A-Za-z0-9.-]+)(?::([0-9]{1,5}))?(?=[/"'?#\s>)]|\Z)""",
    re.IGNORECASE,
)


def _with_links(text: bytes, outside: Outside, secure: bool = False) -> bytes:
    """TEXT with every link to a server by name or address turned to the proxy. SECURE: it came
    over https, which is then what //NAME/ means.

    Pages in a lab cannot mean the world outside: it is not there.
    """
    here = "https" if secure else "http"

    def turned(match: re.Match[bytes]) -> bytes:
        scheme, name, port = (part.decode("ascii") for part in match.groups(b"")[1:])
        origin = _origin(scheme or here, name, port)
        return match[1] + b"http://" + outside(origin).encode("ascii")

    return _LINK.sub(turned, text)


def _origin(scheme: str, host: str, port: str | None) -> Origin:
    """Of a URL's parts; without a port it is the scheme's."""
    secure = scheme.lower() == "https"
    return Origin(host.lower(), int(port or (443 if secure else 80)), secure)


def _wants_websocket(request: Any) -> bool:
    """The only upgrade that is carried (RFC 6455 section 4.1)."""
    named = value(request, "upgrade").lower() == "websocket"
    recent = request.http_version >= b"1.1"
    return request.method == b"GET" and recent and "upgrade" in options(request) and named


def _what(request: Any, origin: Origin) -> str:
    """Method and address, for whoever watches."""
    target = request.target.decode("ascii")
    path = re.sub("(?i)^http://[^/]*", "", target)
    return f"{request.method.decode()} {origin}{path}"
