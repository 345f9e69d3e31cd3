# SPDX-License-Identifier: Apache-2.0
"""The lab's web in the user's own browser: a proxy on loopback whose other side is a host.

Two ways in, both with a secret token, because other programs and other users of this machine can
reach a loopback port too, and so can any web page by DNS rebinding:

- by name: `http://NAME.TOKEN.localhost:PORT/` is the lab's `http://NAME/`. Browsers take every
  name below localhost for the loopback address (RFC 6761 section 6.3) and ask nobody. The token is
  a part of the Host header, so that a page from elsewhere cannot guess it. Another port of the
  lab's server is a label: `NAME.p8080.TOKEN.localhost`. Links in pages and redirects that name a
  server are put into this form, and a Content-Security-Policy keeps pages from asking the real
  world for anything.
- as an HTTP proxy, for programs that can be told one: `http://hoplab:TOKEN@127.0.0.1:PORT`. Nothing
  is rewritten then, and CONNECT carries TLS through unread.

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
import select
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from hoplab import content
from hoplab.gate import Refused

IDLE_S = 60.0
MAX_BODY = 64 << 20
MAX_REWRITTEN = 4 << 20
PIECE = 65_536

# Meant for the next hop alone (RFC 9110 section 7.6.1), or set by us.
HOP_BY_HOP = {
    "connection", "keep-alive", "proxy-connection", "proxy-authorization", "proxy-authenticate",
    "te", "trailer", "transfer-encoding", "upgrade", "content-length", "host", "expect",
}  # fmt: skip
# Would lead the browser past the proxy.
UNWANTED = {"strict-transport-security", "alt-svc", "content-security-policy"}

Connect = Callable[[str, int], socket.socket]


def _apps() -> tuple[Any, Any]:
    """The lab's own reading of HTTP: http1.py and fetch.py, loaded from where the apps are."""
    folder = str(content.folder("apps"))
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return importlib.import_module("http1"), importlib.import_module("fetch")


class Proxy:
    """Listens on 127.0.0.1; a thread for each of the browser's connections."""

    def __init__(self, connect: Connect, say: Callable[[str], None] = lambda line: None) -> None:
        self.connect = connect
        self.say = say
        self.token = secrets.token_hex(8)
        self.http1, self.fetch = _apps()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._credentials = "Basic " + base64.b64encode(f"hoplab:{self.token}".encode()).decode()

    # ---- names

    def outside(self, host: str, port: int = 80) -> str:
        """Host and port under which the browser finds the lab's HOST."""
        label = "" if port == 80 else f".p{port}"
        return f"{host}{label}.{self.token}.localhost:{self.port}"

    def url(self, url: str) -> str:
        """The lab's URL as the browser should open it. Raises ValueError."""
        match = re.fullmatch(r"http://([A-Za-z0-9._-]+)(?::([0-9]{1,5}))?(/.*)?", url)
        if match is None:
            raise ValueError(url)
        return f"http://{self.outside(match[1], int(match[2] or 80))}{match[3] or '/'}"

    @property
    def as_proxy(self) -> str:
        """What http_proxy is to be set to."""
        return f"http://hoplab:{self.token}@127.0.0.1:{self.port}"

    def inside(self, host: str) -> tuple[str, int] | None:
        """The lab's server that the Host header's name stands for; None without the token."""
        match = re.fullmatch(r"([a-z0-9._-]+?)(?:\.p([0-9]{1,5}))?\.([0-9a-f]+)\.localhost", host)
        if match is None or not hmac.compare_digest(match[3], self.token):
            return None
        return match[1], int(match[2] or 80)

    # ---- connections

    def serve(self) -> None:
        """Until `close`."""
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._attend, args=(sock,), daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _attend(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):
            sock.settimeout(IDLE_S)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _Talk(self, sock).run()


class _Talk:
    """One connection of the browser, and the one to the lab that it uses now."""

    def __init__(self, proxy: Proxy, sock: socket.socket) -> None:
        self.proxy = proxy
        self.sock = sock
        self.reader = proxy.http1.RequestReader()
        self.server: socket.socket | None = None
        self.origin: tuple[str, int] | None = None

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
                return self._page(400, "The lab's sites are http://NAME/ here.")
            if request.method == "CONNECT":
                return self._tunnel(*origin)
        else:
            origin = proxy.inside(request.host)
            if origin is None:
                return self._page(421, "Open the address that `hoplab open` has printed.")
        head = self._head(request, origin, body.size, as_proxy)
        try:
            reader = self._carry(request, origin, head, body, as_proxy)
        except Refused as refused:
            proxy.say(f"{request.method} {_url(request, origin)}: {refused}")
            return self._page(502, f"{refused}.")
        return reader is not None and request.keep_alive

    @staticmethod
    def _proxied(request: Any) -> tuple[str, int] | None:
        text = request.target
        if request.method != "CONNECT":
            if not text.lower().startswith("http://"):
                return None
            text = re.split("[/?#]", text[7:], maxsplit=1)[0]
        match = re.fullmatch(r"([A-Za-z0-9._-]+)(?::([0-9]{1,5}))?", text)
        return (match[1], int(match[2] or 80)) if match else None

    def _head(self, request: Any, origin: tuple[str, int], size: int, as_proxy: bool) -> bytes:
        """The request as the lab's server gets it."""
        target = request.target
        if as_proxy:
            rest = re.match(r"http://[^/?#]*(.*)", target, re.IGNORECASE)
            target = (rest[1] if rest else "") or "/"
            target = target if target.startswith("/") else "/" + target
        listed = request.headers.get("connection", "").lower()
        left_out = HOP_BY_HOP | {word.strip() for word in listed.split(",")}
        lines = [f"{request.method} {target} HTTP/1.1", f"Host: {_authority(*origin)}"]
        for name, value in request.headers.items():
            if name in left_out or (name == "accept-encoding" and not as_proxy):
                continue  # what is packed cannot be rewritten
            if name in ("referer", "origin") and not as_proxy:
                value = self._named_inside(value)
            lines.append(f"{name.title()}: {value}")
        if size or request.method in ("POST", "PUT", "PATCH"):
            lines.append(f"Content-Length: {size}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def _named_inside(self, url: str) -> str:
        match = re.fullmatch(r"http://([^/:]+):[0-9]+(.*)", url)
        origin = self.proxy.inside(match[1].lower()) if match else None
        return f"http://{_authority(*origin)}{match[2]}" if match and origin else url

    def _carry(
        self, request: Any, origin: tuple[str, int], head: bytes, body: Any, as_proxy: bool
    ) -> Any:
        """Send the request and pass the response on; None: the connection must end."""
        fresh = self.origin != origin or self.server is None
        if fresh:
            self._connect(origin)
        try:
            return self._exchange(request, origin, head, body, as_proxy)
        except _Unanswered as failure:
            if fresh:
                raise Refused(str(failure)) from None
            # It was closed while it was idle: a second try on a new one.
            self._connect(origin)
            try:
                return self._exchange(request, origin, head, body, as_proxy)
            except _Unanswered as again:
                raise Refused(str(again)) from None

    def _connect(self, origin: tuple[str, int]) -> None:
        self._drop()
        self.server = self.proxy.connect(*origin)
        self.server.settimeout(IDLE_S)
        self.origin = origin

    def _drop(self) -> None:
        if self.server is not None:
            self.server.close()
        self.server = self.origin = None

    def _exchange(
        self, request: Any, origin: tuple[str, int], head: bytes, body: Any, as_proxy: bool
    ) -> Any:
        server, fetch = self.server, self.proxy.fetch
        assert server is not None
        out = _Out(self, request, origin, as_proxy)
        reader = fetch.ResponseReader(request.method, out.take)
        out.reader = reader
        try:
            server.sendall(head)
            with contextlib.closing(body.open()) if body.size else contextlib.nullcontext() as file:
                while file is not None and (piece := file.read(PIECE)):
                    server.sendall(piece)
            while reader.state != "done":
                data = server.recv(PIECE)
                if data:
                    reader.feed(data)
                else:
                    reader.end()
        except (fetch.FetchError, OSError) as error:
            self._drop()
            if out.begun:
                return None  # half an answer is out: closing is the only way to say so
            raise _Unanswered(f"{origin[0]}: {error}") from None
        out.finish()
        keeps = reader.keeps
        if not keeps:
            self._drop()
        what = f"{request.method} {_url(request, origin)}"
        self.proxy.say(f"{what} {reader.status} {reader.received:,} bytes")
        return reader if out.keeps else None

    def _tunnel(self, host: str, port: int) -> bool:
        try:
            server = self.proxy.connect(host, port)
        except Refused as refused:
            return self._page(502, f"{refused}.")
        self.proxy.say(f"CONNECT {host}:{port}")
        with server:
            self.sock.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
            for data, other in _both_ways(self.sock, server):
                other.sendall(data)
        return False

    def _page(self, status: int, why: str) -> bool:
        """An answer of our own; always the last on its connection."""
        response = self.proxy.http1.page(status, why)
        if status == 407:
            response.headers.append(("Proxy-Authenticate", 'Basic realm="hoplab"'))
        with contextlib.suppress(OSError):
            self.sock.sendall(response.start(b"", b"close") + response.body)
        return False


class _Unanswered(Exception):
    """The server closed, or sent no HTTP, before anything of an answer was passed on."""


class _Out:
    """The response on its way to the browser."""

    def __init__(self, talk: _Talk, request: Any, origin: tuple[str, int], as_proxy: bool) -> None:
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
            data = _with_links(bytes(self._text), self.talk.proxy.outside)
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
        reader, proxy = self.reader, self.talk.proxy
        lines = [f"HTTP/1.1 {reader.status} {reader.reason}"]
        connection = reader.header("connection").lower()
        left_out = HOP_BY_HOP | {word.strip() for word in connection.split(",")}
        for name, value in reader.headers:
            key = name.lower()
            if key in left_out or (not self.as_proxy and key in UNWANTED):
                continue
            if not self.as_proxy and key == "location":
                value = _with_links(value.encode("latin-1"), proxy.outside).decode("latin-1")
            if not self.as_proxy and key == "set-cookie":
                value = re.sub(r"(?i);\s*domain=[^;]*", "", value)
            lines.append(f"{name}: {value}")
        if not self.as_proxy:
            lab = f"http://*.{proxy.token}.localhost:{proxy.port}"
            lines.append(
                f"Content-Security-Policy: default-src 'self' {lab} data: blob: 'unsafe-inline' "
                "'unsafe-eval'"
            )
            # The token stands in the address: it must not be told to anybody.
            lines.append("Referrer-Policy: same-origin")
        bodiless = self.request.method == "HEAD" or reader.status in (204, 304)
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
        self.talk.sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace"))

    def _send(self, data: bytes) -> None:
        if data:
            chunk = self.talk.proxy.http1.chunk
            self.talk.sock.sendall(chunk(data) if self._chunked else data)


_LINK = re.compile(
    rb"""(\A|\b(?:href|src|action|poster)\s*=\s*["']?|url\(\s*["']?|@import\s+["'])"""
    rb"""(?:http:)?//([A-Za-z0-9.-]+)(?::([0-9]{1,5}))?(?=[/"'?#\s>)]|\Z)""",
    re.IGNORECASE,
)


def _with_links(text: bytes, outside: Callable[[str, int], str]) -> bytes:
    """TEXT with every link to a server by name or address turned to the proxy.

    Pages in a lab cannot mean the world outside: it is not there.
    """

    def turned(match: re.Match[bytes]) -> bytes:
        name = outside(match[2].decode("ascii").lower(), int(match[3] or 80))
        return match[1] + b"http://" + name.encode("ascii")

    return _LINK.sub(turned, text)


def _authority(host: str, port: int) -> str:
    return host if port == 80 else f"{host}:{port}"


def _url(request: Any, origin: tuple[str, int]) -> str:
    path = re.sub("(?i)^http://[^/]*", "", request.target)
    return f"http://{_authority(*origin)}{path}"


def _both_ways(one: socket.socket, two: socket.socket) -> Iterator[tuple[bytes, socket.socket]]:
    """(bytes, where they go), until one side closes."""
    other = {one: two, two: one}
    while True:
        ready, _, _ = select.select([one, two], [], [], IDLE_S)
        if not ready:
            return
        for sock in ready:
            data = sock.recv(PIECE)
            if not data:
                return
            yield data, other[sock]
