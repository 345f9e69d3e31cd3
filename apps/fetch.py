# SPDX-License-Identifier: Apache-2.0
"""Fetch a URL and print each step: resolve, connect, request, response, close.

The cast
    `Url`              http://host:port/path taken apart
    `request_bytes`    the request as it goes out
    `ResponseReader`   bytes as they come -> status, headers, body (RFC 9112 sections 4, 6 and 7)
    `Fetch`            one exchange, its steps with their times; the only part with sockets
    `Session`          several: redirects followed, connections used again, a page with all it shows
    `waterfall`        when each of them waited for what, as a picture in text
    `FetchError`       a sentence, a next step, and the exit code

Run it on a host of the lab:

    python3 apps/fetch.py http://www.itheima.com/
    python3 apps/fetch.py http://www.itheima.com/ --all
    python3 apps/fetch.py http://www.itheima.com/ --output page.html
    python3 apps/fetch.py http://10.80.0.80/nothing-here --json

The name is resolved by the host's own resolver, with IPv4 alone asked for, so that one question
goes out. The connection is offered for more (keep-alive) and then closed by the client first.
"""

from __future__ import annotations

import argparse
import errno
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, NoReturn

import service
from http1 import Chunks

# The numbers are curl's, where curl has one.
EXIT_OK = 0
EXIT_HTTP_ERROR = 1
EXIT_USAGE = 2
EXIT_NO_NAME = 6
EXIT_NO_CONNECTION = 7
EXIT_WEIRD = 8
EXIT_PARTIAL = 18
EXIT_WRITE = 23
EXIT_TIMEOUT = 28
EXIT_TLS = 35
EXIT_REDIRECTS = 47
EXIT_EMPTY = 52
EXIT_RECEIVE = 56
EXIT_CERTIFICATE = 60

MAX_HEAD = 65_536
CLOSE_WAIT_S = 1.0
CONNECTIONS = 6  # to one server at a time, as browsers do
MOST_RESOURCES = 200
MOST_READ = 4 << 20  # octets of a page or a style sheet that are looked through
REDIRECTS = (301, 302, 303, 307, 308)
# Where a lab keeps the certificate of its own authority (lab_ca.py).
LAB_CA = "/run/hoplab-ca/ca.pem"


class FetchError(Exception):
    """Why there is no page, what to try next, and the exit code."""

    def __init__(self, code: int, message: str, hint: str) -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint


class Url(NamedTuple):
    """An http or https URL taken apart."""

    host: str  # as it is resolved: a name, or an address without brackets
    port: int
    target: str  # path and query, as it stands in the request line
    secure: bool = False  # https

    @property
    def authority(self) -> str:
        """Host and port as they stand in the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"http{'s' if self.secure else ''}://{self.authority}{self.target}"


def parse_url(text: str) -> Url:
    """Take TEXT apart, or raise FetchError with exit code 2."""
    scheme, separator, rest = text.partition("://")
    if not separator:
        raise FetchError(EXIT_USAGE, f"{text!r} is no URL", f"Write http://{text}")
    secure = scheme.lower() == "https"
    if not secure and scheme.lower() != "http":
        hint = "Write http:// instead."
        raise FetchError(EXIT_USAGE, f"{scheme}:// is not spoken here, only http and https", hint)
    match = re.match(r"([^/?#]*)([^#]*)", rest)
    assert match is not None
    authority, path = match[1], match[2]
    hint = "Write http://NAME/PATH or http://NAME:PORT/PATH."
    if "@" in authority:
        raise FetchError(EXIT_USAGE, "a user name in the URL is not supported", hint)
    parts = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:\s]+))(?::([0-9]{0,5}))?", authority)
    if parts is None:
        raise FetchError(EXIT_USAGE, f"{authority!r} is no host", hint)
    port = int(parts[3] or (443 if secure else 80))
    if not 0 < port < 65536:
        raise FetchError(EXIT_USAGE, f"{port} is no port", hint)
    host = parts[1] or parts[2]
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError:
            raise FetchError(EXIT_USAGE, f"{host!r} is no host name", hint) from None
    if not path.startswith("/"):
        path = "/" + path
    # Whatever may not stand in a request line is escaped, so that it cannot break out of it.
    raw = path.encode("utf-8", "surrogateescape")
    target = "".join(chr(c) if 0x20 < c < 0x7F else f"%{c:02X}" for c in raw)
    return Url(host, port, target, secure)


def request_bytes(url: Url, method: str = "GET") -> bytes:
    """The request, ready to be sent (RFC 9112 section 3)."""
    lines = [
        f"{method} {url.target} HTTP/1.1",
        f"Host: {url.authority}",
        "User-Agent: hoplab-fetch",
        "Accept: */*",
        "Connection: keep-alive",
        "",
        "",
    ]
    return "\r\n".join(lines).encode("ascii")


class ResponseReader:
    """Reads one response from bytes as they come (RFC 9112).

    States, in order; `state` names the one that is being read:
      head     status line and headers; a 1xx response ends here and the head begins again
      length   a body of Content-Length octets
      chunked  a body in chunks: size, data, ..., 0, trailers (section 7.1)
      close    a body that ends when the server closes
      done     the response is complete
    """

    def __init__(self, method: str = "GET", sink: Callable[[bytes], object] | None = None) -> None:
        self.state = "head"
        self.status = 0
        self.reason = ""
        self.headers: list[tuple[str, str]] = []
        self.received = 0  # octets of the body
        self._version = (1, 1)
        self._ended_by_close = False
        self._method = method
        self.sink = sink or (lambda data: None)
        self._buffer = bytearray()
        self._left = 0  # octets of the body still to come
        self._chunks = Chunks(strict=False)

    def header(self, name: str, default: str = "") -> str:
        """The value of the header NAME (lower case); values of repeated ones joined."""
        values = [value for key, value in self.headers if key.lower() == name]
        return ", ".join(values) if values else default

    def feed(self, data: bytes) -> None:
        """Take DATA as it came. Raises FetchError for what is no response."""
        self._buffer += data
        while self._buffer and self.state != "done":
            before = len(self._buffer), self.state
            if self.state == "head":
                self._read_head()
            elif self.state == "chunked":
                self._read_chunk()
            else:
                self._read_body()
            if (len(self._buffer), self.state) == before:
                break

    def rest(self) -> bytes:
        """What came after the response: after a 101 another protocol (RFC 9110 section 15.2.2)."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        return rest

    def end(self) -> None:
        """The server has closed. Raises FetchError unless the response is complete."""
        if self.state == "close":
            self.state = "done"
            self._ended_by_close = True
        elif self.state == "head":
            raise FetchError(
                EXIT_EMPTY,
                "the server closed the connection without a complete response",
                "Look at the server's log.",
            )
        elif self.state != "done":
            raise FetchError(
                EXIT_PARTIAL,
                f"the server closed after {self.received} bytes, in the middle of the body",
                "Fetch again; look at the server's log.",
            )

    def _read_head(self) -> None:
        match = re.search(rb"\n\r?\n", self._buffer)
        if match is None:
            if len(self._buffer) > MAX_HEAD:
                _weird("a header without an end")
            return
        first, *lines = bytes(self._buffer[: match.start()]).split(b"\n")
        del self._buffer[: match.end()]
        status = re.fullmatch(rb"HTTP/1\.([0-9]) ([1-9][0-9]{2})(?: (.*))?", first.rstrip(b"\r"))
        if status is None:
            _weird("something that does not begin with HTTP/1.1")
        self._version = (1, min(1, int(status[1])))
        self.status = int(status[2])
        self.reason = (status[3] or b"").decode("latin-1")
        self.headers = []
        for line in lines:
            name, colon, value = line.rstrip(b"\r").partition(b":")
            if not colon:
                _weird("a header line without a colon")
            self.headers.append((name.decode("latin-1"), value.strip().decode("latin-1")))
        if 100 <= self.status < 200 and self.status != 101:
            return  # an interim response; the real one follows
        self._choose_body()

    def _choose_body(self) -> None:
        """RFC 9112 section 6.3: how long is the body?"""
        length = self.header("content-length")
        if self._method == "HEAD" or self.status in (101, 204, 304):
            self.state = "done"
        elif "transfer-encoding" in (name.lower() for name, _ in self.headers):
            coding = self.header("transfer-encoding").lower()
            self.state = "chunked" if coding.endswith("chunked") else "close"
        elif length:
            numbers = {part.strip() for part in length.split(",")}
            number = numbers.pop()
            if numbers or not re.fullmatch("[0-9]{1,18}", number):
                _weird(f"the Content-Length {length!r}")
            self._left = int(number)
            self.state = "length" if self._left else "done"
        else:
            self.state = "close"

    def _take(self, data: bytes) -> None:
        self.received += len(data)
        self.sink(data)

    def _read_body(self) -> None:
        if self.state == "close":
            data = bytes(self._buffer)
        else:
            data = bytes(self._buffer[: self._left])
            self._left -= len(data)
            if not self._left:
                self.state = "done"
        del self._buffer[: len(data)]
        self._take(data)

    def _read_chunk(self) -> None:
        try:
            data, rest = self._chunks.take(bytes(self._buffer))
        except ValueError as error:
            _weird(str(error))
        self._buffer[:] = rest
        self._take(data)
        if self._chunks.done:
            self.state = "done"

    @property
    def keeps(self) -> bool:
        """May another request go over the connection (RFC 9112 section 9.3)?"""
        options = [word.strip() for word in self.header("connection").lower().split(",")]
        if self.state != "done" or self._buffer or "close" in options or self._ended_by_close:
            return False
        if self.status == 101:
            return False
        return self._version >= (1, 1) or "keep-alive" in options


def _weird(what: str) -> NoReturn:
    raise FetchError(
        EXIT_WEIRD, f"the server sent {what}", "Is this really a web server? Check the port."
    )


class Link:
    """An open connection to a server; `number` counts them, from 1."""

    def __init__(self, sock: socket.socket, number: int) -> None:
        self.sock = sock
        self.number = number
        self.used = 0


class Fetch:
    """One exchange. `run` goes through the steps; `steps` and `facts` tell afterwards what was.

    `at` holds moments in seconds since `epoch` (of time.perf_counter): begin, resolved, connected,
    secured, sent, first (byte of the answer), done. Steps that were not needed are not in it.
    """

    def __init__(
        self,
        url: Url,
        method: str = "GET",
        timeout_s: float = 10.0,
        sink: Callable[[bytes], object] | None = None,
        show: Callable[[float, str, str], object] = lambda ms, step, text: None,
        cacert: str | None = None,
        epoch: float | None = None,
        names: dict[str, list[str]] | None = None,
    ) -> None:
        self.url = url
        self.reader = ResponseReader(method, sink)
        self.steps: list[dict[str, object]] = []
        self.facts: dict[str, object] = {}
        self.at: dict[str, float] = {}
        self.link: Link | None = None
        self.reused = False
        self.error: FetchError | None = None
        self._method = method
        self._timeout_s = timeout_s
        self._show = show
        self._cacert = cacert
        self._names = {} if names is None else names  # what is known already
        self._start = time.perf_counter()
        self._epoch = self._start if epoch is None else epoch
        self._since = self._start
        self._mark("begin")

    def run(self) -> None:
        """All steps, on a connection of its own; raises FetchError at the first that fails."""
        try:
            self.exchange(None, 1)
        finally:
            if self.link is not None:
                with self.link.sock:
                    if self.reader.state == "done":
                        self.close()

    def exchange(self, link: Link | None, number: int) -> None:
        """All steps but the close. LINK is a connection that is open already; a new one is the
        NUMBERth. Raises FetchError."""
        if link is None:
            link = Link(self._connect(self._resolve()), number)
            self.link = link
            if self.url.secure:
                link.sock = self._secure(link.sock)
        else:
            self.reused = True
            self.facts["reused"] = link.number
        self.link = link
        link.used += 1
        self._request(link.sock)
        self._response(link.sock)

    def close(self) -> None:
        """The last step."""
        assert self.link is not None
        self._since = time.perf_counter()
        self._close(self.link.sock)

    @property
    def redirect(self) -> str | None:
        """Where the answer points to, if it is a redirect."""
        return self.reader.header("location") or None if self.reader.status in REDIRECTS else None

    def _mark(self, moment: str) -> None:
        self.at[moment] = time.perf_counter() - self._epoch

    def _done(self, step: str, text: str) -> None:
        now = time.perf_counter()
        ms = (now - self._since) * 1000
        at_ms = (self._since - self._start) * 1000
        self._since = now
        self.steps.append(
            {"step": step, "at_ms": round(at_ms, 3), "ms": round(ms, 3), "text": text}
        )
        self._show(ms, step, text)

    def _left(self) -> float:
        left = self._start + self._timeout_s - time.perf_counter()
        if left <= 0:
            raise TimeoutError
        return left

    def _timed_out(self, what: str, hint: str) -> FetchError:
        return FetchError(EXIT_TIMEOUT, f"{what} within {self._timeout_s:g} s", hint)

    def _resolve(self) -> list[str]:
        host = self.url.host
        for family in (socket.AF_INET, socket.AF_INET6):
            try:
                socket.inet_pton(family, host)
            except OSError:
                continue
            self._mark("resolved")
            self._done("resolve", f"{host} is an address: no DNS question")
            return [host]
        if host in self._names:
            return self._names[host]
        result: list[str] | BaseException | None = None

        def ask() -> None:
            nonlocal result
            try:
                # AF_INET: one question (A). Without it the resolver would ask for AAAA as well.
                try:
                    found = socket.getaddrinfo(host, None, socket.AF_INET, socket.SOCK_STREAM)
                except socket.gaierror as error:
                    if error.errno != socket.EAI_NODATA:
                        raise
                    # A name without an A record. AI_ADDRCONFIG: only if we have IPv6 ourselves.
                    family, flags = socket.AF_INET6, socket.AI_ADDRCONFIG
                    try:
                        found = socket.getaddrinfo(host, None, family, socket.SOCK_STREAM, 0, flags)
                    except socket.gaierror:
                        raise error from None
                result = list(dict.fromkeys(str(entry[4][0]) for entry in found))
            except BaseException as error:
                result = error

        # getaddrinfo has no timeout of its own and cannot be interrupted; a thread can be left.
        worker = threading.Thread(target=ask, daemon=True)
        worker.start()
        worker.join(self._timeout_s)
        if result is None:
            raise self._timed_out(
                f"no answer about the name {host}",
                "Is the name server in /etc/resolv.conf up, and is there a route to it?",
            )
        if isinstance(result, socket.gaierror):
            raise FetchError(EXIT_NO_NAME, *_name_error(host, result))
        if isinstance(result, BaseException):
            raise FetchError(
                EXIT_NO_NAME, f"{host!r} cannot be resolved: {result}", "Check the name."
            )
        self._mark("resolved")
        self._names[host] = result
        self._done("resolve", f"{host} is {', '.join(result)}")
        return result

    def _connect(self, addresses: list[str]) -> socket.socket:
        port = self.url.port
        failure: FetchError | None = None
        for address in addresses:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            sock = socket.socket(family, socket.SOCK_STREAM)
            try:
                sock.settimeout(self._left())
                sock.connect((address, port))
            except OSError as error:
                sock.close()
                failure = self._connect_error(address, error)
                if failure.code == EXIT_TIMEOUT:
                    break
                continue
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            here = sock.getsockname()
            self.facts.update(address=address, port=port, local=[here[0], here[1]])
            self._mark("connected")
            self._done("connect", f"{here[0]} port {here[1]} to {address} port {port} (TCP)")
            return sock
        assert failure is not None
        raise failure

    def _connect_error(self, address: str, error: OSError) -> FetchError:
        where = f"{address} port {self.url.port}"
        # The kernel gives up by itself after two minutes (ETIMEDOUT, also a TimeoutError).
        if isinstance(error, TimeoutError):
            hint = f"Nobody answers, nobody refuses. See how far packets come: ping {address}"
            return self._timed_out(f"no connection to {where}", hint)
        said = {
            errno.ECONNREFUSED: (
                "connection refused",
                "The machine is there, but nothing listens on this port: is the server started?",
            ),
            errno.EHOSTUNREACH: (
                "no route to host",
                f"Nobody has this address, or a router has no way to it: ping {address}; ip neigh",
            ),
            errno.ENETUNREACH: (
                "network unreachable",
                "This host has no route there: is a default gateway set? See: ip route",
            ),
        }
        text, hint = said.get(
            error.errno or 0, (error.strerror or str(error), "See: ip addr; ip route")
        )
        return FetchError(EXIT_NO_CONNECTION, f"{where}: {text}", hint)

    def _secure(self, sock: socket.socket) -> socket.socket:
        """The TLS handshake (RFC 8446): who are you, and which key do we use?"""
        import ssl  # here: most of the lab is plain text

        name = self.url.host
        try:
            ca = self._cacert or (LAB_CA if os.path.exists(LAB_CA) else None)
            context = ssl.create_default_context(cafile=ca)
            context.set_alpn_protocols(["http/1.1"])
            sock.settimeout(self._left())
            secured = context.wrap_socket(sock, server_hostname=name)
        except ssl.SSLCertVerificationError as error:
            raise FetchError(
                EXIT_CERTIFICATE,
                f"the certificate of {name} is not to be trusted: {error.verify_message}",
                "Give the authority that signed it: --cacert FILE.",
            ) from None
        except (OSError, ValueError) as error:
            if isinstance(error, TimeoutError):
                raise self._timed_out("no TLS handshake", "Does this port speak TLS?") from None
            why = (getattr(error, "reason", None) or str(error)).replace("_", " ").lower()
            raise FetchError(
                EXIT_TLS, f"no TLS with {name}: {why}", "Does this port speak TLS? Try http://."
            ) from None
        certificate: Any = secured.getpeercert() or {}
        issuer = dict(pair[0] for pair in certificate.get("issuer", ()))
        cipher = secured.cipher()
        signed = plain(issuer.get("commonName", "?"))
        self._mark("secured")
        self._done("tls", f"{secured.version()}, {cipher and cipher[0]}, signed by {signed}")
        return secured

    def _request(self, sock: socket.socket) -> None:
        data = request_bytes(self.url, self._method)
        try:
            sock.settimeout(self._left())
            sock.sendall(data)
        except OSError as error:
            raise self._broken(error) from None
        self._mark("sent")
        self._done("request", f"{self._method} {self.url.target} ({len(data)} bytes)")

    def _response(self, sock: socket.socket) -> None:
        reader = self.reader
        try:
            while reader.state != "done":
                sock.settimeout(self._left())
                data = sock.recv(65536)
                if data:
                    if "first" not in self.at:
                        self._mark("first")
                    reader.feed(data)
                else:
                    reader.end()
        except OSError as error:
            raise self._broken(error) from None
        self._mark("done")
        kind = reader.header("content-type", "no type")
        self.facts.update(
            status=reader.status, reason=reader.reason, type=kind, bytes=reader.received
        )
        text = f"{reader.status} {reader.reason}, {kind}, {reader.received} bytes"
        if location := reader.header("location"):
            text += f"; it points to {plain(location)}"
        self._done("response", text)

    def _broken(self, error: OSError) -> FetchError:
        if isinstance(error, TimeoutError):
            return self._timed_out(
                "connected, but no complete response", "The server is busy or stuck: see its log."
            )
        if self.url.port == 443 and not self.url.secure:
            hint = f"Port 443 is that of https, which begins with TLS: try https://{self.url.host}/"
            return FetchError(EXIT_RECEIVE, f"the connection broke: {error.strerror}", hint)
        return FetchError(
            EXIT_RECEIVE,
            f"the connection broke: {error.strerror or error}",
            "The server or something between reset it; look at the server's log.",
        )

    def _close(self, sock: socket.socket) -> None:
        """Our FIN first, then wait for the server's: the four-way close (RFC 9293 section 3.6)."""
        if self.url.secure:
            sock = _unwrapped(sock)
        try:
            # A socket with a timeout would wait for something to read, whatever the flags say.
            sock.setblocking(False)
            first = sock.recv(1, socket.MSG_PEEK) == b""
        except OSError:
            first = False
        text = "the server closed first, then we did" if first else "we closed, then the server"
        try:
            sock.shutdown(socket.SHUT_WR)
            deadline = time.perf_counter() + CLOSE_WAIT_S
            while (left := deadline - time.perf_counter()) > 0:
                sock.settimeout(left)
                if not sock.recv(65536):
                    break
            else:
                raise TimeoutError
        except TimeoutError:
            text = f"we closed; the server had not closed after {CLOSE_WAIT_S:g} s"
        except OSError as error:
            text = f"closed, but not in peace: {error.strerror or error}"
        self._done("close", text)


def _unwrapped(sock: socket.socket) -> socket.socket:
    """Say goodbye in TLS (close_notify); the plain socket is what is left."""
    try:
        sock.settimeout(CLOSE_WAIT_S)
        plain_: socket.socket = sock.unwrap()  # type: ignore[attr-defined]
        return plain_
    except (OSError, ValueError):
        return sock


class Session:
    """Several fetches: redirects, and a page with all that it shows."""

    def __init__(
        self,
        make: Callable[..., Fetch],
        connections: int = CONNECTIONS,
        most_redirects: int = 10,
    ) -> None:
        self.fetches: list[Fetch] = []  # in the order in which they began
        self._make = make
        self._connections = connections
        self._most_redirects = most_redirects
        self._idle: dict[tuple[str, int, bool], list[Link]] = {}
        self._opened = 0  # connections so far
        self._lock = threading.Lock()

    def get(self, url: Url, **options: Any) -> Fetch:
        """Fetch URL, and where it points to, until there is an answer. Raises FetchError."""
        for _ in range(self._most_redirects + 1):
            fetch = self._once(url, **options)
            if fetch.redirect is None or self._most_redirects == 0:
                return fetch
            url = joined(url, fetch.redirect)
        raise FetchError(
            EXIT_REDIRECTS,
            f"more than {self._most_redirects} redirects, the last to {url}",
            "Do two pages point to each other? --max-redirects 0 shows each answer by itself.",
        )

    def _once(self, url: Url, **options: Any) -> Fetch:
        """One exchange, on an idle connection if there is one."""
        origin = (url.host, url.port, url.secure)
        with self._lock:
            fetch = self._make(url, **options)
            self.fetches.append(fetch)
            idle = self._idle.get(origin)
            link = idle.pop() if idle else None
            self._opened += link is None
            number = self._opened
        try:
            fetch.exchange(link, number)
        except FetchError as error:
            if fetch.link is not None:
                fetch.link.sock.close()
            if link is not None and "first" not in fetch.at and error.code != EXIT_TIMEOUT:
                # The server closed while the connection was idle: that is its right, and a
                # GET may simply be sent again (RFC 9112 section 9.3.1).
                with self._lock:
                    self.fetches.remove(fetch)
                    self._idle[origin] = []
                return self._once(url, **options)
            fetch.error = error
            raise
        assert fetch.link is not None
        if fetch.reader.keeps:
            with self._lock:
                self._idle.setdefault(origin, []).append(fetch.link)
        else:
            with fetch.link.sock:
                fetch.close()
        return fetch

    def all_of(self, urls: Sequence[Url]) -> None:
        """Fetch these, several at a time; what fails says so in its `error`."""
        waiting = list(urls)

        def work() -> None:
            while True:
                with self._lock:
                    if not waiting:
                        return
                    url = waiting.pop(0)
                try:
                    self.get(url)
                except FetchError:
                    pass

        workers = [
            threading.Thread(target=work, daemon=True)
            for _ in range(min(self._connections, len(waiting)))
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    def end(self) -> None:
        """Close what is open."""
        for idle in self._idle.values():
            for link in idle:
                fetch = next(f for f in self.fetches if f.link is link)
                with link.sock:
                    fetch.close()
        self._idle.clear()


def joined(base: Url, link: str) -> Url:
    """LINK as it is meant on the page BASE. Raises FetchError."""
    from urllib.parse import urljoin  # here and below: a plain fetch needs none of it

    return parse_url(urljoin(str(base), link))


def shown_by(page: str, base: Url) -> list[Url]:
    """What a browser fetches to show this HTML: style sheets, scripts, pictures, its icon."""
    from html.parser import HTMLParser

    links: list[str] = []

    class Finder(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found = {name: value or "" for name, value in attrs}
            rel = found.get("rel", "").lower().split()
            if tag == "link" and {"stylesheet", "icon"} & set(rel):
                links.append(found.get("href", ""))
            elif tag in ("img", "script", "source", "video", "audio", "iframe", "embed"):
                links.append(found.get("src", ""))

    Finder().feed(page)
    return _wanted(links, base)


def shown_by_css(text: str, base: Url) -> list[Url]:
    """What a style sheet brings in: url(...) and @import."""
    found = re.findall(r"""url\(\s*["']?([^"')]+)["']?\s*\)|@import\s+["']([^"']+)["']""", text)
    return _wanted([first or second for first, second in found], base)


def _wanted(links: Sequence[str], base: Url) -> list[Url]:
    urls = []
    for link in links:
        if link and not link.lower().startswith(("data:", "#", "javascript:", "about:")):
            try:
                urls.append(joined(base, link.strip()))
            except (FetchError, ValueError):
                continue
    return list(dict.fromkeys(urls))


def fetch_all(session: Session, url: Url, bodies: dict[int, bytearray], **options: Any) -> Fetch:
    """The page at URL, and then what it shows, and what its style sheets bring in. `bodies` holds
    what came, by the id of the fetch. Raises FetchError if the page itself cannot be had."""
    page = session.get(url, **options)
    known = {fetch.url for fetch in session.fetches}
    done = 0
    while done < len(session.fetches) < MOST_RESOURCES:
        fresh = session.fetches[done:]
        done = len(session.fetches)
        wanted: list[Url] = []
        for fetch in fresh:
            kind = fetch.reader.header("content-type").partition(";")[0].lower()
            text = bytes(bodies.get(id(fetch), b"")).decode("utf-8", "replace")
            if fetch.error is None and kind == "text/html" and fetch is page:
                wanted += shown_by(text, fetch.url)
            elif fetch.error is None and kind == "text/css":
                wanted += shown_by_css(text, fetch.url)
        wanted = [one for one in dict.fromkeys(wanted) if one not in known]
        known.update(wanted)
        session.all_of(wanted[: MOST_RESOURCES - len(session.fetches)])
    return page


PHASES = (
    ("resolved", ".", "name"), ("connected", "+", "connect"), ("secured", "*", "TLS"),
    ("sent", "-", "wait"), ("first", "-", "wait"), ("done", "#", "receive"),
)  # fmt: skip


def waterfall(fetches: Sequence[Fetch], width: int = 40) -> list[str]:
    """A line for each fetch: its connection, status, size, and when it did what."""
    end = max((max(fetch.at.values()) for fetch in fetches), default=0.0) or 1e-9
    start = min((fetch.at["begin"] for fetch in fetches), default=0.0)
    scale = width / max(end - start, 1e-9)
    lines = [f"  on  code    bytes  |{f'{(end - start) * 1000:.1f} ms':->{width}}|"]
    for fetch in fetches:
        bar = [" "] * width
        last = fetch.at["begin"]
        for moment, sign, _ in PHASES:
            if moment not in fetch.at:
                continue
            first, past = (int((t - start) * scale) for t in (last, fetch.at[moment]))
            for column in range(min(first, width - 1), min(max(past, first + 1), width)):
                bar[column] = sign
            last = fetch.at[moment]
        number = f"#{fetch.link.number}" if fetch.link else "-"
        code = str(fetch.reader.status or "-") if fetch.error is None else "fail"
        name = fetch.url.target if fetch.url.host == fetches[0].url.host else str(fetch.url)
        row = f"{number:>4}  {code:>4} {fetch.reader.received:>8,}  |{''.join(bar)}|"
        lines.append(f"{row} {plain(name)}")
    lines.append("  . name   + connect   * TLS   - wait   # receive      on: which connection")
    return lines


class Output:
    """Where the body goes: a file, stdout ("-"), or nowhere (None).

    Opened when the first bytes come, so that a fetch that fails leaves an older file alone.
    """

    def __init__(self, where: str | None) -> None:
        self._where = where
        self._fd: int | None = 1 if where == "-" else None

    def write(self, data: bytes) -> None:
        """Write DATA; empty DATA makes the file all the same. Raises FetchError."""
        if self._where is None:
            return
        try:
            if self._fd is None:
                flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
                self._fd = os.open(self._where, flags, 0o666)
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError as error:
            raise FetchError(
                EXIT_WRITE,
                f"cannot write {self._where}: {error.strerror}",
                "Choose another --output, or make room.",
            ) from None


def plain(text: str) -> str:
    """TEXT without control characters: what a server sends must not steer the terminal."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def _name_error(host: str, error: socket.gaierror) -> tuple[str, str]:
    """The sentence and the next step for a name that was not found."""
    no_data = getattr(socket, "EAI_NODATA", -5)
    if error.errno == socket.EAI_AGAIN:
        return (
            f"no name server could tell about {host}",
            "Is the name server in /etc/resolv.conf up, and is there a route to it?",
        )
    if error.errno == no_data:
        return f"{host} has no IPv4 address", f"See what it has: dig {host} AAAA"
    return f"there is no name {host}", f"Check the spelling; ask step by step: dig {host}"


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="fetch.py",
        description="Fetch a URL and print each step with its time.",
        epilog="""examples:
  python3 apps/fetch.py http://www.itheima.com/
  python3 apps/fetch.py http://www.itheima.com/ --all
  python3 apps/fetch.py http://www.itheima.com/network.png --output network.png
  python3 apps/fetch.py https://www.itheima.com/ --cacert ca.pem
  python3 apps/fetch.py http://10.80.0.80/ --head
  python3 apps/fetch.py http://closed.itheima.com/ --json

exit codes: 0 fetched; 1 status 400 or above; 2 bad options or URL; 6 name not found; 7 refused, no
route or network unreachable; 8 no HTTP; 18 body cut short; 23 cannot write; 28 timeout; 35 no TLS;
47 too many redirects; 52 empty reply; 56 connection broke; 60 certificate not trusted (curl's
numbers, except for 1 and 2)""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("url", metavar="URL", help="such as http://www.itheima.com/")
    parser.add_argument("--head", action="store_true", help="ask for the head alone")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")
    parser.add_argument(
        "--output", metavar="FILE", help="write the body to FILE (-: stdout, the steps to stderr)"
    )
    parser.add_argument(
        "--all",
        action="store_true",
        help="fetch what the page shows too (pictures, style sheets, scripts), as a browser does",
    )
    parser.add_argument(
        "--connections",
        metavar="N",
        type=service.number(1, 100),
        default=CONNECTIONS,
        help="with --all: so many at a time (default %(default)s)",
    )
    parser.add_argument(
        "--max-redirects",
        metavar="N",
        type=service.number(0, 100),
        default=10,
        help="follow so many (default %(default)s; 0: none)",
    )
    parser.add_argument(
        "--cacert",
        metavar="FILE",
        help=f"whom to trust for https (default: {LAB_CA} if it is there, else the system's)",
    )
    parser.add_argument(
        "--timeout",
        metavar="S",
        type=service.seconds,
        default=10.0,
        help="for all (default %(default)s)",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Fetch, print, and return the exit code."""
    args = build_parser().parse_args(argv)
    steps_to = sys.stderr if args.output == "-" else sys.stdout

    def show(ms: float, step: str, text: str) -> None:
        if not args.json:
            print(f"{ms:9.1f} ms  {step:9} {plain(text)}", file=steps_to, flush=True)

    output = Output(args.output)
    bodies: dict[int, bytearray] = {}
    names: dict[str, list[str]] = {}
    started = time.perf_counter()

    def make(url: Url, first: bool = False) -> Fetch:
        method = "HEAD" if args.head else "GET"
        # Of many at once the lines would mix: the waterfall tells of the others.
        said = show if first else lambda ms, step, text: None
        fetch = Fetch(url, method, args.timeout, None, said, args.cacert, started, names)
        kept = bodies.setdefault(id(fetch), bytearray())

        def sink(data: bytes) -> None:
            if first and fetch.redirect is None:
                output.write(data)
            if args.all and len(kept) < MOST_READ:
                kept.extend(data)

        fetch.reader.sink = sink
        return fetch

    session = Session(make, args.connections, args.max_redirects)
    error: FetchError | None = None
    try:
        url = parse_url(args.url)
        if args.all:
            fetch = fetch_all(session, url, bodies, first=True)
        else:
            fetch = session.get(url, first=True)
        session.end()
        output.write(b"")
        code = EXIT_OK if all(f.reader.status < 400 for f in session.fetches) else EXIT_HTTP_ERROR
        code = next((f.error.code for f in session.fetches if f.error), code)
    except FetchError as failure:
        error, code = failure, failure.code
    except KeyboardInterrupt:
        code = 130
    total_ms = (time.perf_counter() - started) * 1000
    if args.json:
        print_json(args.url, session.fetches, error, code, total_ms, args.all)
    elif error is None and code != 130:
        if args.all:
            print(*waterfall(session.fetches), sep="\n", file=steps_to)
        print(f"{total_ms:9.1f} ms  in all", file=steps_to, flush=True)
    for fetch in session.fetches if args.all else []:
        if fetch.error is not None and fetch.error is not error:
            print(f"fetch: {fetch.url}: {plain(str(fetch.error))}.", file=sys.stderr)
    if error is not None:
        print(f"fetch: {plain(str(error))}.\n  Next: {error.hint}", file=sys.stderr)
    return code


def print_json(
    url: str,
    fetches: Sequence[Fetch],
    error: FetchError | None,
    code: int,
    total_ms: float,
    every: bool,
) -> None:
    """The whole story as one object; what stands at its top is about the last redirect's answer."""
    import json  # here: the plain output needs none

    report: dict[str, object] = {"url": url, "exit_code": code, "ms": round(total_ms, 3)}
    if fetches:
        page = next((f for f in fetches if f.redirect is None), fetches[-1])
        report.update(page.facts)
        report["headers"] = dict(page.reader.headers)
        report["steps"] = [step for fetch in fetches for step in fetch.steps]
    if every or len(fetches) > 1:
        report["fetches"] = [
            {
                "url": str(fetch.url),
                "status": fetch.reader.status,
                "bytes": fetch.reader.received,
                "connection": fetch.link.number if fetch.link else None,
                "at_ms": {name: round(at * 1000, 3) for name, at in fetch.at.items()},
                **({"error": str(fetch.error)} if fetch.error else {}),
            }
            for fetch in fetches
        ]
    if error is not None:
        report["error"] = {"message": str(error), "hint": error.hint}
    print(json.dumps(report, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    exit_code = main()
    sys.stdout.flush()
    # A thread may still sit in getaddrinfo after a timeout: do not wait for it.
    os._exit(exit_code)
