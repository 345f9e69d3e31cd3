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
Where connections go is not decided here: `connect` opens them inside the host (gate.py), which
reaches the lab and nothing else.
"""

from __future__ import annotations

import base64
import contextlib
import hmac
import importlib
import re
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from hoplab import content, tunnel, wait
from hoplab.gate import Refused

IDLE_S = 60.0
PORT = 8642  # vagrant/Vagrantfile forwards it
MAX_BODY = 64 << 20
MAX_REWRITTEN = 4 << 20
PIECE = 65_536
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


def _apps() -> tuple[Any, Any]:
    """How the lab's apps read HTTP, requests and responses, loaded from where the apps are."""
    folder = str(content.folder("apps"))
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return (
        importlib.import_module("protocols.http1"),
        importlib.import_module("protocols.fetch_response"),
    )


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
        self.http1, self.client = _apps()
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


class _Talk:
    """One connection of the browser, and the one to the lab that it uses now."""

    def __init__(self, proxy: Proxy, sock: socket.socket) -> None:
        self.proxy = proxy
        self.sock = sock
        self.reader = proxy.http1.RequestReader()
        self.server: socket.socket | None = None
        self.origin: Origin | None = None

    def run(self) -> None:
        http1 = self.proxy.http1
        try:
            while True:
                request = self._receive()
                if request is None:
                    return
                body = self._body(request)
                if not self._answer(request, body):
                    return
        except http1.BadRequest as bad:
            self._page(bad.status, f"{bad}.")
        finally:
            self._drop()

    def _receive(self) -> Any:
        while True:
            request = self.reader.next()
            if request is not None:
                return request
            data = self.sock.recv(PIECE)
            if not data:
                return None
            self.reader.feed(data)

    def _body(self, request: Any) -> Any:
        spool = self.proxy.http1.Spool()
        if self.reader.in_body and request.expects_continue:
            self.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        while self.reader.in_body:
            spool.write(self.reader.body())
            if spool.size > MAX_BODY:
                raise self.proxy.http1.BadRequest(413, f"at most {MAX_BODY} octets are carried")
            if self.reader.in_body:
                data = self.sock.recv(PIECE)
                if not data:
                    raise self.proxy.http1.BadRequest(400, "the body is not complete")
                self.reader.feed(data)
        return spool

    # ---- one request

    def _answer(self, request: Any, body: Any) -> bool:
        """Carry it; False: the connection is to be closed."""
        proxy = self.proxy
        as_proxy = request.method == "CONNECT" or not request.target.startswith("/")
        if as_proxy:
            given = request.headers.get("proxy-authorization", "")
            if not hmac.compare_digest(given.encode(), proxy._credentials.encode()):
                return self._page(407, "The proxy's address has a user and a password in it.")
            origin = self._proxied(request)
            if origin is None:
                return self._page(400, "The lab's sites are http://NAME/ here, or CONNECT.")
            if request.method == "CONNECT":
                return self._connect_through(origin)
        else:
            origin = proxy.inside(request.host)
            if origin is None:
                return self._page(421, "Open the address that `hoplab open` has printed.")
        upgrade = _wants_websocket(request)
        head = self._head(request, origin, body.size, as_proxy, upgrade)
        try:
            out = self._carry(request, origin, head, body, as_proxy)
        except Refused as refused:
            proxy.say(f"{request.method} {_url(request, origin)}: {refused}")
            return self._page(502, f"{refused}.")
        if out is not None and out.reader.status == 101:
            return self._websocket(request, origin, out)
        return out is not None and out.keeps and request.keep_alive

    @staticmethod
    def _proxied(request: Any) -> Origin | None:
        text = request.target
        if request.method != "CONNECT":
            if not text.lower().startswith("http://"):
                return None
            text = re.split("[/?#]", text[7:], maxsplit=1)[0]
        match = re.fullmatch(r"([A-Za-z0-9._-]+)(?::([0-9]{1,5}))?", text)
        return _origin("http", match[1], match[2]) if match else None

    def _head(
        self, request: Any, origin: Origin, size: int, as_proxy: bool, upgrade: bool
    ) -> bytes:
        """The request as the lab's server gets it."""
        target = request.target
        if as_proxy:
            rest = re.match(r"http://[^/?#]*(.*)", target, re.IGNORECASE)
            target = (rest[1] if rest else "") or "/"
            target = target if target.startswith("/") else "/" + target
        listed = request.headers.get("connection", "").lower()
        left_out = HOP_BY_HOP | {word.strip() for word in listed.split(",")}
        lines = [f"{request.method} {target} HTTP/1.1", f"Host: {origin.authority}"]
        for name, value in request.headers.items():
            if name in left_out or (name == "accept-encoding" and not as_proxy):
                continue  # what is packed cannot be rewritten
            if name in ("referer", "origin") and not as_proxy:
                value = self._named_inside(value)
            lines.append(f"{name.title()}: {value}")
        if upgrade:
            lines += ["Connection: Upgrade", "Upgrade: websocket"]
        if size or request.method in ("POST", "PUT", "PATCH"):
            lines.append(f"Content-Length: {size}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def _named_inside(self, url: str) -> str:
        match = re.fullmatch(r"http://([^/:]+):[0-9]+(.*)", url)
        origin = self.proxy.inside(match[1].lower()) if match else None
        return f"{origin}{match[2]}" if match and origin else url

    def _carry(
        self, request: Any, origin: Origin, head: bytes, body: Any, as_proxy: bool
    ) -> _Out | None:
        """Send the request and pass the response on; None: the connection must end."""
        # A connection that was kept may just be closing, and what is no idempotent request must not
        # be sent twice by a proxy (RFC 9110, 9.2.2).
        kept = self.origin == origin and self.server is not None and request.method in IDEMPOTENT
        if not kept:
            self._connect(origin)
        try:
            return self._exchange(request, origin, head, body, as_proxy)
        except _Unanswered as failure:
            if not kept or not failure.unheard:
                raise Refused(str(failure)) from None
            # It was closed while it was idle: a second try on a new one.
            self._connect(origin)
            try:
                return self._exchange(request, origin, head, body, as_proxy)
            except _Unanswered as again:
                raise Refused(str(again)) from None

    def _connect(self, origin: Origin) -> None:
        self._drop()
        self.server = self.proxy.connect(*origin)
        self.server.settimeout(IDLE_S)
        self.origin = origin

    def _drop(self) -> None:
        if self.server is not None:
            self.server.close()
        self.server = self.origin = None

    def _exchange(
        self, request: Any, origin: Origin, head: bytes, body: Any, as_proxy: bool
    ) -> _Out | None:
        server, client = self.server, self.proxy.client
        assert server is not None
        out = _Out(self, request, origin, as_proxy)
        reader = client.ResponseReader(request.method, out.take)
        out.reader = reader
        heard = False
        try:
            server.sendall(head)
            file = body.open() if body.size else None
            while file is not None and (piece := file.read(PIECE)):
                server.sendall(piece)
            while reader.state != "done":
                data = server.recv(PIECE)
                if data:
                    heard = True
                    reader.feed(data)
                else:
                    reader.end()
        except (client.FetchError, OSError) as error:
            self._drop()
            if out.begun:
                return None  # half an answer is out: closing is the only way to say so
            unheard = not heard and not isinstance(error, TimeoutError)
            raise _Unanswered(f"{origin.host}: {error}", unheard=unheard) from None
        if reader.status == 101:
            if _wants_websocket(request):
                return out  # from here on it is no HTTP any more
            self._drop()
            what = f"{origin.host} changed the protocol, and nobody had asked it to"
            raise _Unanswered(what, unheard=False)
        out.finish()
        if not reader.keeps:
            self._drop()
        what = f"{request.method} {_url(request, origin)}"
        self.proxy.say(f"{what} {reader.status} {reader.received:,} bytes")
        return out

    # ---- tunnels

    def _connect_through(self, origin: Origin) -> bool:
        """CONNECT (RFC 9110 section 9.3.6)."""
        try:
            server = self.proxy.connect(origin.host, origin.port, False)
        except Refused as refused:
            return self._page(502, f"{refused}.")
        with server:
            head = b"HTTP/1.1 200 Connected\r\n\r\n"
            return self._tunnel(server, head, f"CONNECT {origin.host}:{origin.port}", b"")

    def _websocket(self, request: Any, origin: Origin, out: _Out) -> bool:
        """The server has agreed to an upgrade (RFC 9110 section 7.8)."""
        assert self.server is not None
        what = f"{request.method} {_url(request, origin)} WebSocket"
        return self._tunnel(self.server, out.switch(), what, out.reader.rest())

    def _tunnel(self, server: socket.socket, head: bytes, what: str, early: bytes) -> bool:
        """Tell the browser by HEAD that the way is open, and be one. EARLY: what the server has
        sent on it already."""
        if not self.proxy.tunnels.acquire(blocking=False):
            return self._page(503, f"More than {MAX_TUNNELS} tunnels at once are not dug.")
        try:
            self.sock.sendall(head)
            self.proxy.say(f"{what} opened")
            there, back = tunnel.carry(self.sock, server, (self.reader.rest(), early))
            self.proxy.say(f"{what} closed, {there:,} bytes sent, {back:,} received")
        finally:
            self.proxy.tunnels.release()
        return False

    def _page(self, status: int, why: str) -> bool:
        """An answer of our own; always the last on its connection."""
        response = self.proxy.http1.page(status, why)
        if status == 407:
            response.headers.append(("Proxy-Authenticate", 'Basic realm="hoplab"'))
        with contextlib.suppress(OSError):
            date = self.proxy.http1.http_date(time.time()).encode()
            self.sock.sendall(response.start(date, b"close") + response.body)
        return False


class _Unanswered(Exception):
    """The server closed, or sent no HTTP, before anything of an answer was passed on. `unheard`: it
    closed without a word, as one does that has waited long enough for a request."""

    def __init__(self, text: str, *, unheard: bool) -> None:
        super().__init__(text)
        self.unheard = unheard


class _Out:
    """The response on its way to the browser."""

    def __init__(self, talk: _Talk, request: Any, origin: Origin, as_proxy: bool) -> None:
        self.talk, self.request, self.origin, self.as_proxy = talk, request, origin, as_proxy
        self.reader: Any = None
        self.begun = False
        self.keeps = True
        self._chunked = False
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
        self._send(data)

    def finish(self) -> None:
        """The body has ended."""
        self._begin()
        if self._text is not None:
            data = _with_links(bytes(self._text), self.talk.proxy.outside, self.origin.secure)
            self._head(len(data))
            self.talk.sock.sendall(data)
        elif self._chunked:
            self.talk.sock.sendall(self.talk.proxy.http1.chunk(b""))

    def _begin(self) -> None:
        if self.begun:
            return
        self.begun = True
        reader = self.reader
        kind = reader.header("content-type").partition(";")[0].strip().lower()
        packed = reader.header("content-encoding", "identity") != "identity"
        whole = self.request.method != "HEAD" and reader.status not in (204, 206, 304)
        if not self.as_proxy and kind in ("text/html", "text/css") and whole and not packed:
            self._text = bytearray()
            return
        length = reader.header("content-length")
        self._head(int(length) if re.fullmatch("[0-9]{1,18}", length) else None)

    def _head(self, length: int | None) -> None:
        """Status line and headers, with a LENGTH or in chunks."""
        lines = self._start()
        bodiless = self.request.method == "HEAD" or self.reader.status in (204, 304)
        if length is not None:
            lines.append(f"Content-Length: {length}")
        elif not bodiless and self.request.version >= (1, 1):
            self._chunked = True
            lines.append("Transfer-Encoding: chunked")
        elif not bodiless:
            self.keeps = False
        if not self.keeps or not self.request.keep_alive:
            self.keeps = False
            lines.append("Connection: close")
        self.talk.sock.sendall(_head_bytes(lines))

    def switch(self) -> bytes:
        """The head of a 101."""
        return _head_bytes([*self._start(), "Connection: Upgrade", "Upgrade: websocket"])

    def _start(self) -> list[str]:
        """The status line, and the headers that are passed on."""
        reader, proxy = self.reader, self.talk.proxy
        lines = [f"HTTP/1.1 {reader.status} {reader.reason}"]
        connection = reader.header("connection").lower()
        left_out = HOP_BY_HOP | {word.strip() for word in connection.split(",")}
        for name, value in reader.headers:
            key = name.lower()
            if key in left_out or (not self.as_proxy and key in UNWANTED):
                continue
            if not self.as_proxy and key in ("location", "refresh"):
                there = _with_links(value.encode("latin-1"), proxy.outside, self.origin.secure)
                value = there.decode("latin-1")
            if not self.as_proxy and key == "set-cookie":
                value = re.sub(r"(?i);\s*domain=[^;]*", "", value)
            lines.append(f"{name}: {value}")
        if not self.as_proxy:
            lab = f"*.{proxy.token}.localhost:{proxy.port}"
            lines.append(
                f"Content-Security-Policy: default-src 'self' http://{lab} ws://{lab} data: blob: "
                "'unsafe-inline' 'unsafe-eval'"
            )
            # The token stands in the address: it must not be told to anybody.
            lines.append("Referrer-Policy: same-origin")
        return lines

    def _send(self, data: bytes) -> None:
        if data:
            chunk = self.talk.proxy.http1.chunk
            self.talk.sock.sendall(chunk(data) if self._chunked else data)


def _head_bytes(lines: list[str]) -> bytes:
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


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
    asked = [word.strip() for word in request.headers.get("connection", "").lower().split(",")]
    named = request.headers.get("upgrade", "").lower() == "websocket"
    return request.method == "GET" and request.version >= (1, 1) and "upgrade" in asked and named


def _url(request: Any, origin: Origin) -> str:
    path = re.sub("(?i)^http://[^/]*", "", request.target)
    return f"{origin}{path}"
