# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 as bytes: requests and responses cut out of a stream and put into one.

No sockets, no files, no clock: what is here can be tried in a Python prompt.

The cast
    `RequestReader`   bytes as they come -> `Request`s and their bodies; raises `BadRequest`
    `Request`         method, target, path, query, version, headers, body
    `Response`        status, headers, body; `start()` is its head as bytes
    `Chunks`          a chunked body, read piece by piece; `chunk()` writes one
    `as_response`     what a student's function returns -> `Response`
    `conditional`, `ranged`   304, 412, 206 and 416: what the request's headers ask for

Try it:

    >>> reader = RequestReader()
    >>> reader.feed(b"GET /a%20b?c=1 HTTP/1.1\\r\\nHost: www.itheima.com\\r\\n\\r\\n")
    >>> request = reader.next()
    >>> request.method, request.path, request.query, request.host
    ('GET', '/a b', 'c=1', 'www.itheima.com')

Rules followed: RFC 9112 (the format, bodies, keep-alive) and RFC 9110 (meaning, conditions,
ranges). Where RFC 9112 lets a server choose between mending and refusing a request, this one
refuses if two readers could disagree on where the request ends: that is how requests are smuggled
past a proxy (RFC 9112 section 11.2).
"""

from __future__ import annotations

import os
import posixpath
import re
import time
from collections.abc import Iterable
from functools import lru_cache
from typing import BinaryIO, ClassVar, NamedTuple

from protocols.language import language, say, translated

MAX_LINE = 8000  # octets in the request line, RFC 9112 section 3
MAX_HEAD = 16_384  # octets in the whole head
MAX_FIELDS = 100  # header lines
MAX_CHUNK_LINE = 1024  # a chunk's size with its extensions
IN_MEMORY = 1 << 20  # octets of a body
KNOWN_HEADS = 512  # so many heads are remembered, see RequestReader
KNOWN_LINES = 2048  # so many header lines are remembered,
KNOWN_LINE = 512  # each of so many octets at the most
READY = 8192  # octets of a body that is kept together with its head

REASONS = {
    100: "Continue",
    101: "Switching Protocols",
    200: "OK",
    201: "Created",
    204: "No Content",
    206: "Partial Content",
    301: "Moved Permanently",
    302: "Found",
    303: "See Other",
    304: "Not Modified",
    307: "Temporary Redirect",
    308: "Permanent Redirect",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    411: "Length Required",
    412: "Precondition Failed",
    413: "Content Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    417: "Expectation Failed",
    421: "Misdirected Request",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    505: "HTTP Version Not Supported",
}

# The methods of RFC 9110 section 9 and PATCH: any other is 501, not 405.
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")

TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 section 5.6.2
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")  # what no header value may hold
_NO_TARGET = re.compile(rb"[\x00-\x20\x7f]")
_VERSION = re.compile(rb"HTTP/([0-9])\.([0-9])")
# A header line. Its name ends at the colon, so that this also refuses folded lines and a blank
# before the colon (RFC 9112 section 5). Its value holds no control characters.
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\x00-\x08\x0a-\x1f\x7f]*)\r?")
_END = re.compile(rb"\n\r?\n")  # a line may end in LF alone (RFC 9112 section 2.2)
# A name, an IPv4 address or [an IPv6 address], and a port (RFC 9110 section 7.2).
_HOST = re.compile(r"([A-Za-z0-9._~!$&'()*+,;=%-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]*))?")
_ABSOLUTE = re.compile(r"https?://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)
_ONCE = frozenset(("host", "content-length", "content-type", "authorization"))


class BadRequest(Exception):
    """What came is no request that we serve; the status says why. The connection must end."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why  # a sentence of `language.say`


class Spool:
    """A body as it comes: in memory while it is small, then in a file without a name."""

    __slots__ = ("_file", "size")

    def __init__(self) -> None:
        self._file: BinaryIO | None = None
        self.size = 0

    def write(self, data: bytes) -> None:
        """Add DATA at the end."""
        import io  # imported here and below, since most requests have no body

        if self._file is None:
            self._file = io.BytesIO()
        self.size += len(data)
        if self.size > IN_MEMORY and isinstance(self._file, io.BytesIO):
            import tempfile

            memory, self._file = self._file, tempfile.TemporaryFile()  # noqa: SIM115
            self._file.write(memory.getvalue())
        self._file.write(data)

    def open(self) -> BinaryIO:
        """What was written, as a file, from its start."""
        import io

        if self._file is None:
            return io.BytesIO()
        self._file.seek(0)
        return self._file


NO_BODY = Spool()


class Request:
    """One request, taken apart. Nothing here changes later: equal heads share one object.

    method: as it came, "GET". target: as it came. version: (1, 1).
    headers: names in lower case, repeated ones joined by a comma.
    path: %-decoded, without "." and ".."; ends in / if the target did. "*" for OPTIONS *.
    query: what stands after the ?, as it came. host: without port, in lower case.
    length: octets of the body that is announced, None if it comes in chunks, 0 if there is none.
    keep_alive: may the connection carry another request after this one (RFC 9112 section 9.3)?
    usual: a GET after which the connection goes on, as nearly all are.
    plain: no condition, no range: the answer is the same for everybody.
    gzip: may the body of the answer be packed with gzip?
    body: the whole body, when the request is handed to the one who answers. A large one lies in a
    file, which `open` gives, so that it need not be in memory at once.
    """

    __slots__ = (
        "_spool", "gzip", "headers", "host", "keep_alive", "length", "method", "path", "plain",
        "query", "target", "usual", "version",
    )  # fmt: skip

    def __init__(
        self, method: str, target: str, version: tuple[int, int], headers: dict[str, str]
    ) -> None:
        self.method = method
        self.target = target
        self.version = version
        self.headers = headers
        self._spool = NO_BODY
        self.length = _body_length(version, headers)
        authority, self.path, self.query = _split_target(method, target)
        # The authority of an absolute target wins over Host (RFC 9112 section 3.2.2).
        self.host = _host_name(headers.get("host") if authority is None else authority, version)
        if authority is not None:
            _host_name(headers.get("host"), version)
        connection = headers.get("connection")
        options: list[str] = []
        if connection is not None:
            options = [word.strip() for word in connection.lower().split(",")]
        self.keep_alive = "close" not in options and (version >= (1, 1) or "keep-alive" in options)
        self.usual = self.keep_alive and version >= (1, 1) and method == "GET"
        self.plain = _CONDITIONS.isdisjoint(headers)
        accepted = headers.get("accept-encoding")
        self.gzip = accepted is not None and _accepts_gzip(accepted)

    @property
    def body(self) -> bytes:
        """All of the body."""
        return self._spool.open().read()

    def open(self) -> BinaryIO:
        """The body as a file, from its start."""
        return self._spool.open()

    def with_body(self, spool: Spool) -> Request:
        """The same request with its body, as a new object."""
        copy = Request.__new__(Request)
        for name in Request.__slots__:
            setattr(copy, name, getattr(self, name))
        copy._spool = spool
        return copy

    @property
    def expects_continue(self) -> bool:
        """Does the client wait for a word before it sends the body? (RFC 9110 section 10.1.1)"""
        return self.version >= (1, 1) and self.headers.get("expect", "").lower() == "100-continue"


@lru_cache(256)
def _accepts_gzip(text: str) -> bool:
    """What the Accept-Encoding TEXT says about this one coding (RFC 9110 section 12.5.3)."""
    weights: dict[str, float] = {}
    for part in text.lower().split(","):
        coding, *parameters = (word.strip() for word in part.split(";"))
        weight = 1.0
        for parameter in parameters:
            match = re.fullmatch(r"q\s*=\s*([01](?:\.[0-9]{0,3})?)", parameter)
            weight = float(match[1]) if match else weight
        weights[coding] = weight
    return weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0))) > 0


_CONDITIONS = frozenset((
    "if-none-match", "if-modified-since", "range", "if-match", "if-unmodified-since", "if-range",
))  # fmt: skip


def _body_length(version: tuple[int, int], headers: dict[str, str]) -> int | None:
    """RFC 9112 section 6.3. None: chunked. Raises BadRequest."""
    coding = headers.get("transfer-encoding")
    text = headers.get("content-length")
    if coding is None:
        if text is None:
            return 0
        if not (text.isascii() and text.isdigit()) or len(text) > 18:
            raise BadRequest(400, say("Content-Length is no number"))
        return int(text)
    if text is not None:
        raise BadRequest(400, say("Content-Length and Transfer-Encoding at once"))
    if version < (1, 1):
        raise BadRequest(400, say("Transfer-Encoding in HTTP/1.0"))
    codings = [word.strip() for word in coding.lower().split(",")]
    if codings.count("chunked") > 1:
        raise BadRequest(400, say("chunked twice"))
    if codings != ["chunked"]:
        raise BadRequest(501, say("the only transfer coding here is chunked"))
    return None


@lru_cache(KNOWN_HEADS)
def _split_target(method: str, target: str) -> tuple[str | None, str, str]:
    """(authority or None, path, query). Raises BadRequest. RFC 9112 section 3.2."""
    authority, local = None, target
    if method == "CONNECT":
        return None, "*", ""  # the authority form; refused later, for we are no proxy
    if not target.startswith("/") and not (target == "*" and method == "OPTIONS"):
        absolute = _ABSOLUTE.fullmatch(target)
        if absolute is None:
            raise BadRequest(400, say("the target does not begin with /"))
        authority, local = absolute[1], absolute[2]
        local = local if local.startswith("/") else "/" + local
    return authority, decode_path(local), local.partition("#")[0].partition("?")[2]


@lru_cache(KNOWN_HEADS)
def _host_name(text: str | None, version: tuple[int, int]) -> str:
    """The name in a Host header, without the port. Raises BadRequest."""
    if text is None:
        if version >= (1, 1):
            raise BadRequest(400, say("HTTP/1.1 without Host"))
        return ""
    match = _HOST.fullmatch(text)
    if match is None:
        raise BadRequest(400, say("the Host header is no host"))
    return match[1].lower().rstrip(".")


def decode_path(target: str) -> str:
    """The path of an origin-form target: see Request.path. Raises BadRequest."""
    if target == "*":
        return target
    path = target.partition("#")[0].partition("?")[0]
    if "%" not in path and "/." not in path and "//" not in path and path.isascii():
        return path  # nearly all paths have nothing to decode
    first, *escapes = path.split("%")
    raw = bytearray(first.encode("latin-1"))
    for escape in escapes:
        if not re.match("[0-9A-Fa-f]{2}", escape):
            raise BadRequest(400, say("a % in the target is not followed by two hex digits"))
        raw.append(int(escape[:2], 16))
        raw += escape[2:].encode("latin-1")
    if b"\0" in raw:
        raise BadRequest(400, say("the target contains NUL"))
    # The same bytes as in the file's name on disk, whether they are UTF-8 or not.
    text = raw.decode("utf-8", "surrogateescape")
    clean = posixpath.normpath("/" + text.lstrip("/"))
    is_folder = text.endswith(("/", "/.", "/..")) and clean != "/"
    return clean + "/" if is_folder else clean


def parse_head(head: bytes) -> Request:
    """The request whose head, down to the empty line, is HEAD. Raises BadRequest."""
    first, _, rest = head.partition(b"\n")
    method, target, version = _request_line(first)
    return Request(method, target, version, _fields(rest))


@lru_cache(KNOWN_HEADS)
def _request_line(line: bytes) -> tuple[str, str, tuple[int, int]]:
    """(method, target, version). Raises BadRequest. RFC 9112 section 3."""
    if len(line) > MAX_LINE:
        raise BadRequest(414, say("the request line is too long"))
    parts = line.removesuffix(b"\r").split(b" ")
    if len(parts) != 3:
        raise BadRequest(400, say("the request line is not: method, target, version"))
    method, target, version = parts
    if not TOKEN.fullmatch(method):
        raise BadRequest(400, say("the method is no token"))
    number = _VERSION.fullmatch(version)
    if number is None:
        raise BadRequest(400, say("the version is not HTTP/1.1"))
    if number[1] != b"1":
        raise BadRequest(505, say("this server speaks HTTP/1.1"))
    if not target or _NO_TARGET.search(target):
        raise BadRequest(400, say("the target is empty or has a control character"))
    return method.decode("ascii"), target.decode("latin-1"), (1, min(int(number[2]), 1))


def _fields(lines: bytes) -> dict[str, str]:
    """Header LINES, down to the empty one, as Request.headers. Raises BadRequest.

    Most lines of a client are the same in all its requests, so lines are remembered too.
    """
    headers: dict[str, str] = {}
    split = lines.split(b"\n")
    del split[-2:]  # the empty line that ends the head, and the nothing behind it
    if len(split) > MAX_FIELDS:
        raise BadRequest(431, say("too many header lines"))
    for line in split:
        key, value = _known_lines.get(line) or _field(line)
        if key not in headers:
            headers[key] = value
        elif key in _ONCE:
            raise BadRequest(400, say("two {name} headers", name=key))
        else:
            headers[key] = f"{headers[key]}, {value}"
    return headers


_known_lines: dict[bytes, tuple[str, str]] = {}


def _field(line: bytes) -> tuple[str, str]:
    """(name in lower case, value) of one header line. Raises BadRequest."""
    match = _FIELD.fullmatch(line)
    if match is None:
        name, colon, _ = line.partition(b":")
        if colon and TOKEN.fullmatch(name):
            raise BadRequest(400, say("a header value has a control character"))
        raise BadRequest(400, say("a header line is not: name, colon, value"))
    name_and_value = match[1].decode("ascii").lower(), match[2].strip(b" \t").decode("latin-1")
    if len(line) <= KNOWN_LINE:
        if len(_known_lines) >= KNOWN_LINES:
            _known_lines.clear()
        _known_lines[line] = name_and_value
    return name_and_value


class RequestReader:
    """Cuts the bytes of a connection into requests and their bodies (RFC 9112 sections 2 to 7).

    Call `next` until it gives None. While `in_body` holds, call `body` instead: it gives the
    octets that have come. Browsers send the same head again and again, so heads that were taken
    apart once are remembered; that saves most of the work of a busy server.

    buffer: what has come and is not used yet.
    """

    _known_heads: ClassVar[dict[bytes, Request]] = {}  # of all connections

    def __init__(self) -> None:
        self.buffer = b""
        self._scanned = 0
        self._left = 0  # octets still to come of a body with a length
        self._chunks: Chunks | None = None
        self.in_body = False

    @property
    def started(self) -> bool:
        """Has a part of a request come?"""
        return bool(self.buffer.strip(b"\r\n"))

    def feed(self, data: bytes) -> None:
        """Take DATA as it came."""
        self.buffer = self.buffer + data if self.buffer else data

    def rest(self) -> bytes:
        """What has come after the last request, for a protocol that takes over from here."""
        rest, self.buffer = self.buffer, b""
        return rest

    def next(self) -> Request | None:
        """The next request whose head is complete, or None. Raises BadRequest."""
        buffer = self.buffer
        if not buffer:
            return None
        if buffer[0] in b"\r\n":
            # Empty lines before a request are to be ignored (RFC 9112 section 2.2).
            self.buffer = buffer = re.sub(rb"\A(?:\r?\n)+", b"", buffer)
            self._scanned = 0
        # What has been searched for the end of the head is not searched again.
        match = _END.search(buffer, max(0, self._scanned - 2))
        if match is None:
            self._scanned = len(buffer)
            if buffer not in (b"", b"\r") and not TOKEN.match(buffer):
                raise BadRequest(400, say("this does not begin with a method"))
            if len(buffer) > MAX_LINE and b"\n" not in buffer[: MAX_LINE + 2]:
                raise BadRequest(414, say("the request line is too long"))
            if len(buffer) > MAX_HEAD:
                raise BadRequest(431, say("the header is too long"))
            return None
        end = match.end()
        self._scanned = 0
        if end == len(buffer):
            head, self.buffer = buffer, b""
        else:
            head, self.buffer = buffer[:end], buffer[end:]
        request = self._known_heads.get(head)
        if request is not None:
            return request
        if end > MAX_HEAD:
            too_long = len(head.partition(b"\n")[0]) > MAX_LINE
            raise BadRequest(414 if too_long else 431, say("the header is too long"))
        lines_before = len(_known_lines)
        request = parse_head(head)
        if request.length is None:
            self._chunks = Chunks()
            self.in_body = True
        elif request.length:
            self._left = request.length
            self.in_body = True
        elif len(head) <= 2048 and len(_known_lines) == lines_before:
            # A head with a line that is new, a number or a time in it, hardly comes again.
            if len(self._known_heads) >= KNOWN_HEADS:
                self._known_heads.clear()
            self._known_heads[head] = request
        return request

    def body(self) -> bytes:
        """Octets of the present body that have come, maybe none; ends `in_body` with the last."""
        if self._chunks is not None:
            try:
                data, self.buffer = self._chunks.take(self.buffer)
            except ValueError as error:
                raise BadRequest(400, error.args[0]) from None
            if self._chunks.done:
                self._chunks = None
                self.in_body = False
            return data
        data, self.buffer = self.buffer[: self._left], self.buffer[self._left :]
        self._left -= len(data)
        self.in_body = self._left > 0
        return data


class Chunks:
    """A body in chunks (RFC 9112 section 7.1): size, data, ..., 0, trailers, empty line.

    strict: lines end in CRLF and nothing else. A server is strict about requests; a client takes
    what servers send.
    """

    def __init__(self, strict: bool = True) -> None:
        self.done = False
        self._strict = strict
        self._state = "size"  # then data, then end, for each chunk; then trailer
        self._left = 0
        self._trailer = 0

    def take(self, buffer: bytes) -> tuple[bytes, bytes]:
        """BUFFER -> (data of the body, what is not used yet). Raises ValueError."""
        out = []
        at = 0
        while not self.done:
            if self._state == "data":
                piece = buffer[at : at + self._left]
                if not piece:
                    break
                out.append(piece)
                at += len(piece)
                self._left -= len(piece)
                if not self._left:
                    self._state = "end"
                continue
            end = buffer.find(b"\n", at, at + MAX_CHUNK_LINE)
            if end < 0:
                if len(buffer) - at >= MAX_CHUNK_LINE:
                    raise ValueError(say("a line between chunks is too long"))
                break
            line = buffer[at:end]
            at = end + 1
            if line.endswith(b"\r"):
                line = line[:-1]
            elif self._strict:
                raise ValueError(say("a line between chunks does not end in CRLF"))
            self._line(line)
        return b"".join(out), buffer[at:]

    def _line(self, line: bytes) -> None:
        if self._state == "size":
            # Blanks may stand before an extension alone, and are no part of the number.
            match = re.fullmatch(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?", line)
            if match is None or (self._strict and _CONTROL.search(line)):
                raise ValueError(say("a chunk without a size"))
            if self._strict and b";" not in line and len(match[1]) != len(line):
                raise ValueError(say("a blank after a chunk's size"))
            self._left = int(match[1], 16)
            self._state = "data" if self._left else "trailer"
        elif self._state == "end":
            if line:
                raise ValueError(say("a chunk that is longer than it says"))
            self._state = "size"
        elif not line:
            self.done = True
        else:
            self._trailer += len(line)
            if self._trailer > MAX_HEAD:
                raise ValueError(say("the trailer is too long"))
            if self._strict and not TOKEN.fullmatch(line.partition(b":")[0]):
                raise ValueError(say("a trailer line is not: name, colon, value"))


def chunk(data: bytes) -> bytes:
    """DATA as one chunk; empty DATA is the last one."""
    return b"%x\r\n%b\r\n" % (len(data), data)


# ---- responses ---------------------------------------------------------------------------------


class OpenFile:
    """A file that is open for reading for as long as anybody holds this: several answers may
    share it, since each reads at offsets of its own."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __del__(self) -> None:
        os.close(self.fd)


class FilePart(NamedTuple):
    """A body that lies in an open file: SIZE octets from OFFSET."""

    file: OpenFile
    offset: int
    size: int


Body = bytes | FilePart | Iterable[bytes]


class Response:
    """One response.

    body: bytes, a FilePart, or an iterator of bytes. An iterator's length is not known before it
    has ended, so it is sent in chunks, unless `length` says how much it will give.
    """

    __slots__ = ("_date", "_lines", "_whole", "body", "headers", "length", "status")

    def __init__(
        self,
        status: int,
        headers: list[tuple[str, str]] | None = None,
        body: Body = b"",
        length: int | None = None,
    ) -> None:
        self.status = status
        self.headers = headers or []
        self.body = body
        if isinstance(body, bytes):
            length = len(body) if length is None else length
        elif isinstance(body, FilePart):
            length = body.size
        self.length = length
        self._lines: bytes | None = None
        self._date: bytes | None = None
        self._whole = b""

    def whole(self, date: bytes) -> bytes:
        """All of a response as an HTTP/1.1 client gets it on a connection that stays open, but
        for a body that lies in a file; a small one is kept ready for as long as the DATE is the
        same."""
        if self._date is date:
            return self._whole
        body = self.body if isinstance(self.body, bytes) and self.status not in (204, 304) else b""
        whole = self.start(date) + body
        if len(body) <= READY:
            self._date, self._whole = date, whole
        return whole

    def start(self, date: bytes, connection: bytes = b"", version: bytes = b"HTTP/1.1") -> bytes:
        """Status line and header fields, down to the empty line.

        DATE and CONNECTION are values; without CONNECTION there is no such line. With HTTP/1.0
        the body's length is not told: the end of the connection is its end.
        """
        lines = self._lines
        if lines is None:
            fields = [f"{name}: {value}\r\n" for name, value in self.headers]
            text = f" {self.status} {REASONS.get(self.status, 'Unknown')}\r\nServer: hoplab\r\n"
            lines = self._lines = (text + "".join(fields)).encode("latin-1", "replace")
        parts = [version, lines, b"Date: ", date]
        # 204 and 304 have no body, and a length would describe one (RFC 9110 section 8.6).
        if self.status >= 200 and self.status not in (204, 304) and version == b"HTTP/1.1":
            if self.length is None:
                parts.append(b"\r\nTransfer-Encoding: chunked")
            else:
                parts.append(b"\r\nContent-Length: %d" % self.length)
        if connection:
            parts.append(b"\r\nConnection: " + connection)
        parts.append(b"\r\n\r\n")
        return b"".join(parts)


def as_response(answer: object) -> Response:
    """What a student's function gives back: a Response, text, bytes, or a list of pieces.

    Text that begins with < is HTML. Raises TypeError.
    """
    if isinstance(answer, Response):
        return answer
    if isinstance(answer, str):
        kind = "html" if answer.lstrip().startswith("<") else "plain"
        return Response(
            200,
            [("Content-Type", f"text/{kind}; charset=utf-8")],
            answer.encode("utf-8", "replace"),
        )
    if isinstance(answer, bytes):
        return Response(200, [("Content-Type", "application/octet-stream")], answer)
    if isinstance(answer, Iterable) and not isinstance(answer, dict):
        pieces = (p.encode("utf-8", "replace") if isinstance(p, str) else p for p in answer)
        return Response(200, [("Content-Type", "text/plain; charset=utf-8")], pieces)
    raise TypeError(f"give text, bytes or a Response, not {type(answer).__name__}")


def page(status: int, why: str) -> Response:
    """A small page about an error, in the language of the server's user."""
    title = f"{status} {REASONS.get(status, '')}".strip()
    text = translated(why).replace("&", "&amp;").replace("<", "&lt;")
    back = translated(say("To the first page"))
    body = (
        "<!DOCTYPE html>\n"
        f'<html lang="{language()}"><meta charset="utf-8"><title>{title}</title>\n'
        f"<h1>{title}</h1>\n<p>{text}</p>\n"
        f'<p><a href="/">{back}</a></p></html>\n'
    ).encode("utf-8", "replace")
    return Response(status, [("Content-Type", "text/html; charset=utf-8")], body)


# ---- dates, conditions, ranges -----------------------------------------------------------------


def http_date(seconds: float) -> str:
    """SECONDS since 1970 as HTTP writes time (RFC 9110 section 5.6.7)."""
    return time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(seconds))


def parse_http_date(text: str) -> int | None:
    """Seconds since 1970, or None; all three forms that RFC 9110 section 5.6.7 asks for."""
    import calendar  # imported here, since most requests carry no date

    forms = ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y")
    for form in forms:
        try:
            return calendar.timegm(time.strptime(text, form))
        except (ValueError, OverflowError):
            continue
    return None


def _listed(etag: str, text: str, weak: bool) -> bool:
    """Is ETAG in the list TEXT? Weakly, W/ does not count (RFC 9110 section 8.8.3.2)."""
    tags = re.findall(r'(?:W/)?"[^"]*"', text)
    if weak:
        return etag.removeprefix("W/") in (tag.removeprefix("W/") for tag in tags)
    return not etag.startswith("W/") and etag in tags


def conditional(request: Request, etag: str, modified: int) -> int:
    """200, or the status that the request's conditions lead to: 304 or 412.

    The order is that of RFC 9110 section 13.2.2. MODIFIED is in seconds since 1970.
    """
    headers = request.headers
    if_match = headers.get("if-match")
    if if_match is not None:
        if if_match.strip() != "*" and not _listed(etag, if_match, weak=False):
            return 412
    else:
        since = parse_http_date(headers.get("if-unmodified-since", ""))
        if since is not None and modified > since:
            return 412
    if_none_match = headers.get("if-none-match")
    if if_none_match is not None:
        if if_none_match.strip() == "*" or _listed(etag, if_none_match, weak=True):
            return 304 if request.method in ("GET", "HEAD") else 412
        return 200
    since = parse_http_date(headers.get("if-modified-since", ""))
    if since is not None and modified <= since and request.method in ("GET", "HEAD"):
        return 304
    return 200


NOTHING = (0, -1)


def ranged(request: Request, etag: str, modified: int, size: int) -> tuple[int, int] | None:
    """(first, last) octet that the request asks for, or None for the whole.

    Several ranges are answered with the whole, as RFC 9110 section 14.2 allows. NOTHING: there is
    nothing of that range, which is 416.
    """
    text = request.headers.get("range")
    if text is None or request.method != "GET":
        return None
    guard = request.headers.get("if-range")
    if guard is not None:
        # Only if it is still the same file (RFC 9110 section 13.1.5); dates must be equal.
        unchanged = guard == etag if '"' in guard else parse_http_date(guard) == modified
        if not unchanged or etag.startswith("W/"):
            return None
    match = re.fullmatch(r"bytes\s*=\s*([0-9]{0,18})-([0-9]{0,18})\s*", text, re.IGNORECASE)
    if match is None or match[1] == match[2] == "":
        return None
    if match[1] == "":
        count = min(int(match[2]), size)
        first, last = size - count, size - 1
    else:
        first = int(match[1])
        last = min(int(match[2]), size - 1) if match[2] else size - 1
        if match[2] and int(match[2]) < first:
            return None  # no valid range: it is ignored (RFC 9110 section 14.1.1)
    if first >= size or first > last:
        return NOTHING
    return first, last
