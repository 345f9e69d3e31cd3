# SPDX-License-Identifier: Apache-2.0
"""An HTTP/1.1 server for the files of a small site.

The cast
    `RequestReader`   bytes as they come -> requests; raises `BadRequest` for what is none
    `Request`         method, target, version, headers
    `Site`            a folder; `respond(request) -> Response` is the seam for changes
    `Response`        status, headers, body; `head()` is its first part as bytes
    `serve`           the loop: a thread for each connection, many requests on each

Run it, and fetch from it:

    python3 apps/web_server.py --listen 127.0.0.1 --port 8080
    curl -v http://127.0.0.1:8080/

Change it, in ten lines: a site with one page that is made when it is asked for.

    import time, web_server
    class Clock(web_server.Site):
        def respond(self, request):
            if request.path != "/clock":
                return super().respond(request)
            body = time.ctime().encode()
            return web_server.Response(200, [("Content-Type", "text/plain")], body)
    web_server.main(site=Clock)

Rules followed: RFC 9112 (the format: request line, header fields, Host, keep-alive, closing),
RFC 9110 (GET, HEAD, 304, 404, 501, dates). Ranges, ETags and bodies of requests are left out: each
may be ignored or refused. Why not http.server? Importing it takes longer than everything here.
"""

from __future__ import annotations

import argparse
import os
import posixpath
import re
import socket
import stat
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import service

MAX_LINE = 8000  # octets, RFC 9112 section 3
MAX_HEAD = 16_384
MAX_CONNECTIONS = 256  # at a time; others wait in the kernel's queue
CHUNK = 65_536
LINGER_S = 1.0

REASONS = {
    200: "OK",
    301: "Moved Permanently",
    304: "Not Modified",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    408: "Request Timeout",
    414: "URI Too Long",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    505: "HTTP Version Not Supported",
}

# The mimetypes module reads files of the machine it runs on; a lab should not depend on these.
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".htm": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".md": "text/plain; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".ico": "image/x-icon",
    ".pdf": "application/pdf",
    ".woff2": "font/woff2",
}

TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 section 5.6.2
# A name, IPv4 address or [IPv6 address], and a port (RFC 9110 section 7.2); may be empty.
HOST = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")


class BadRequest(Exception):
    """What came is no request that we serve; the status says why. The connection must end."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Request(NamedTuple):
    """One request; header names in lower case, repeated ones joined by a comma."""

    method: str
    target: str
    version: tuple[int, int]
    headers: dict[str, str]

    @property
    def path(self) -> str:
        """The target's path, %-decoded, without "." and ".."; ends in / if the target did."""
        return decode_path(self.target)

    @property
    def keep_alive(self) -> bool:
        """May the connection carry another request after this one? (RFC 9112 section 9.3)"""
        options = [o.strip().lower() for o in self.headers.get("connection", "").split(",")]
        if "close" in options or self.has_body:
            return False  # a body is not read, so nobody knows where the next request begins
        return self.version >= (1, 1) or "keep-alive" in options

    @property
    def has_body(self) -> bool:
        """Does a body follow the head?"""
        return self.headers.get("content-length", "0").strip("0") != "" or (
            "transfer-encoding" in self.headers
        )


def decode_path(target: str) -> str:
    """See Request.path. Raises BadRequest."""
    if target[:7].lower() == "http://":  # the absolute form, RFC 9112 section 3.2.2
        target = "/" + target[7:].partition("/")[2]
    path = target.partition("?")[0].partition("#")[0]
    if not path.startswith("/"):
        raise BadRequest(400, "the target does not begin with /")
    first, *escapes = path.split("%")
    raw = bytearray(first.encode("latin-1"))
    for escape in escapes:
        if not re.match("[0-9A-Fa-f]{2}", escape):
            raise BadRequest(400, "a % in the target is not followed by two hex digits")
        raw.append(int(escape[:2], 16))
        raw += escape[2:].encode("latin-1")
    if b"\0" in raw:
        raise BadRequest(400, "the target contains NUL")
    # The same bytes as in the file's name on disk, whether they are UTF-8 or not.
    text = raw.decode("utf-8", "surrogateescape")
    clean = posixpath.normpath("/" + text.lstrip("/"))
    is_folder = text.endswith(("/", "/.", "/..")) and clean != "/"
    return clean + "/" if is_folder else clean


class RequestReader:
    """Cuts the bytes of a connection into requests (RFC 9112 sections 2 to 3)."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._scanned = 0

    @property
    def started(self) -> bool:
        """Has a part of a request come?"""
        return bool(self._buffer.strip(b"\r\n"))

    def feed(self, data: bytes) -> None:
        """Take DATA as it came."""
        self._buffer += data

    def next(self) -> Request | None:
        """The next request that is complete, or None. Raises BadRequest."""
        while self._buffer.startswith((b"\r\n", b"\n")):
            # Empty lines before a request are to be ignored (RFC 9112 section 2.2).
            del self._buffer[: self._buffer.index(b"\n") + 1]
            self._scanned = 0
        end = self._end_of_head()
        if end is None:
            if b"\n" not in self._buffer[: MAX_LINE + 2] and len(self._buffer) > MAX_LINE:
                raise BadRequest(414, "the request line is too long")
            if len(self._buffer) > MAX_HEAD:
                raise BadRequest(431, "the header is too long")
            return None
        if end > MAX_HEAD:
            raise BadRequest(431, "the header is too long")
        head = bytes(self._buffer[:end])
        del self._buffer[:end]
        self._scanned = 0
        return parse_head(head)

    def _end_of_head(self) -> int | None:
        """Where the empty line after the header ends."""
        # A line may end in LF alone (RFC 9112 section 2.2); do not scan twice what has no end.
        match = re.compile(rb"\n\r?\n").search(self._buffer, max(0, self._scanned - 2))
        if match is None:
            self._scanned = len(self._buffer)
            return None
        return match.end()


def parse_head(head: bytes) -> Request:
    """The request whose head, with the empty line at its end, is HEAD. Raises BadRequest."""
    first, *lines = [line[:-1] if line.endswith(b"\r") else line for line in head.split(b"\n")]
    if len(first) > MAX_LINE:
        raise BadRequest(414, "the request line is too long")
    parts = first.split(b" ")
    if len(parts) != 3:
        raise BadRequest(400, "the request line is not: method, target, version")
    method, target, version = parts
    if not TOKEN.fullmatch(method):
        raise BadRequest(400, "the method is no token")
    number = re.fullmatch(rb"HTTP/([0-9])\.([0-9])", version)
    if number is None:
        raise BadRequest(400, "the version is not HTTP/1.1")
    if number[1] != b"1":
        raise BadRequest(505, "this server speaks HTTP/1.1")
    if not target or any(c <= 0x20 or c == 0x7F for c in target):
        raise BadRequest(400, "the target is empty or has a control character")
    headers: dict[str, str] = {}
    for line in lines:
        if not line:
            break
        name, colon, value = line.partition(b":")
        # This also refuses folded lines and a space before the colon (RFC 9112 section 5).
        if not colon or not TOKEN.fullmatch(name):
            raise BadRequest(400, "a header line is not: name, colon, value")
        value = value.strip(b" \t")
        if any((c < 0x20 and c != 0x09) or c == 0x7F for c in value):
            raise BadRequest(400, "a header value has a control character")
        key, text = name.decode("ascii").lower(), value.decode("latin-1")
        if key in ("host", "content-length") and headers.get(key, text) != text:
            raise BadRequest(400, f"two different {key} headers")
        headers[key] = (
            text if key not in headers or text == headers[key] else (f"{headers[key]}, {text}")
        )
    minor = int(number[2])
    if minor >= 1 and "host" not in headers:
        raise BadRequest(400, "HTTP/1.1 without Host")
    if not HOST.fullmatch(headers.get("host", "")):
        raise BadRequest(400, "the Host header is no host")
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()):
        raise BadRequest(400, "Content-Length is no number")
    if "content-length" in headers and "transfer-encoding" in headers:
        raise BadRequest(400, "Content-Length and Transfer-Encoding at once")
    return Request(method.decode("ascii"), target.decode("latin-1"), (1, minor), headers)


class Response(NamedTuple):
    """One response. The body is bytes, or the name of a file of SIZE bytes."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes | str = b""
    size: int | None = None  # None: as many as `body` has

    @property
    def length(self) -> int:
        """Octets in the body."""
        return len(self.body) if self.size is None else self.size

    def head(self, connection: str = "", now: float | None = None) -> bytes:
        """Status line and header fields, down to the empty line."""
        lines = [
            f"HTTP/1.1 {self.status} {REASONS.get(self.status, 'Unknown')}",
            f"Date: {http_date(time.time() if now is None else now)}",
            "Server: hoplab",
        ]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.status != 304:
            # A 304 has no body, and a length in it would describe a body that is not sent.
            lines.append(f"Content-Length: {self.length}")
        if connection:
            lines.append(f"Connection: {connection}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def http_date(seconds: float) -> str:
    """SECONDS since 1970 as HTTP writes time (RFC 9110 section 5.6.7)."""
    return time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(seconds))


def parse_http_date(text: str) -> int | None:
    """Seconds since 1970, or None; all three forms that RFC 9110 section 5.6.7 asks for."""
    import calendar  # here: most requests carry no date

    forms = ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y")
    for form in forms:
        try:
            return calendar.timegm(time.strptime(text, form))
        except (ValueError, OverflowError):
            continue
    return None


def page(status: int, why: str) -> Response:
    """A small page about an error."""
    title = f"{status} {REASONS.get(status, '')}".strip()
    text = why.replace("&", "&amp;").replace("<", "&lt;")
    body = (
        "<!DOCTYPE html>\n"
        f'<html lang="en"><meta charset="utf-8"><title>{title}</title>\n'
        f"<h1>{title}</h1>\n<p>{text}</p>\n"
        '<p><a href="/">To the first page</a></p></html>\n'
    ).encode("utf-8", "replace")
    return Response(status, [("Content-Type", "text/html; charset=utf-8")], body)


class Site:
    """The files below one folder. Override `respond` to change what is served."""

    def __init__(self, folder: str) -> None:
        self.folder = os.path.realpath(folder)

    def respond(self, request: Request) -> Response:
        """The response to REQUEST; for HEAD the same as for GET, the loop leaves the body out."""
        if request.method not in ("GET", "HEAD"):
            return page(501, "This server knows GET and HEAD.")
        path = request.path
        found = self.find(path)
        if isinstance(found, Response):
            return found
        name, info = found
        # Never in the future: a client could not tell a newer file then (RFC 9110, 8.8.2.1).
        modified = min(int(info.st_mtime), int(time.time()))
        headers = [("Last-Modified", http_date(modified))]
        since = request.headers.get("if-modified-since")
        # If-None-Match would take precedence (RFC 9110 section 13.1.3), and we give no ETags.
        if since is not None and "if-none-match" not in request.headers:
            known = parse_http_date(since)
            if known is not None and modified <= known:
                return Response(304, headers)
        kind = TYPES.get(os.path.splitext(name)[1].lower(), "application/octet-stream")
        headers.insert(0, ("Content-Type", kind))
        if info.st_size > CHUNK:
            return Response(200, headers, name, info.st_size)
        try:
            with open(name, "rb") as file:
                return Response(200, headers, file.read(CHUNK))
        except OSError:
            return page(403, "This file cannot be read.")

    def find(self, path: str) -> tuple[str, os.stat_result] | Response:
        """The file for PATH, or the response that says why there is none."""
        missing = page(404, f"There is no {path} here.")
        if any(part.startswith(".") for part in path.split("/")):
            return missing  # hidden files stay hidden
        try:
            # realpath follows every symlink, so the test below is about where the file truly is.
            name = os.path.realpath(self.folder + path)
            if name != self.folder and not name.startswith(self.folder.rstrip("/") + "/"):
                return missing
            info = os.stat(name)
            if stat.S_ISDIR(info.st_mode):
                if not path.endswith("/"):
                    # Without the slash the page's relative links would start one level too high.
                    return self._moved(path + "/")
                return self.find(path + "index.html")
        except (OSError, ValueError):
            return missing
        if not stat.S_ISREG(info.st_mode) or path.endswith("/"):
            return missing
        return name, info

    @staticmethod
    def _moved(path: str) -> Response:
        safe = b"/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
        raw = path.encode("utf-8", "surrogateescape")
        location = "".join(chr(c) if c in safe else f"%{c:02X}" for c in raw)
        response = page(301, "This page has moved.")
        return response._replace(headers=[*response.headers, ("Location", location)])


def serve(
    listener: socket.socket, site: Site, log: Callable[[str], None], idle_s: float = 15.0
) -> None:
    """Answer for ever: a thread for each connection."""
    free = threading.BoundedSemaphore(MAX_CONNECTIONS)

    def work(conn: socket.socket, peer: str) -> None:
        try:
            with conn:
                converse(conn, peer, site, log, idle_s)
        except OSError:
            pass  # the client is gone
        finally:
            free.release()

    while True:
        free.acquire()
        try:
            conn, peer = listener.accept()
        except OSError:
            free.release()
            continue  # the client hung up before we came to it
        threading.Thread(target=work, args=(conn, peer[0]), daemon=True).start()


def converse(
    conn: socket.socket, peer: str, site: Site, log: Callable[[str], None], idle_s: float
) -> None:
    """One connection: request after request until one side closes."""
    # Small segments leave at once instead of waiting for the last one's ACK (Nagle).
    conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    reader = RequestReader()
    while True:
        line = "-"
        try:
            request = _receive(conn, reader, idle_s)
            if request is None:
                return
            line = f"{request.method} {request.target} HTTP/1.{request.version[1]}"
            response = site.respond(request)
            keep, body = request.keep_alive, request.method != "HEAD"
            connection = "close" if not keep else "keep-alive" if request.version < (1, 1) else ""
        except BadRequest as bad:
            response = page(bad.status, f"{bad}.")
            keep, body, connection = False, True, "close"
        except OSError:
            raise
        except Exception as error:
            # A bug in respond() costs this client its answer, and nobody else anything.
            log(f"error in respond(): {type(error).__name__}: {error}")
            response = page(500, "The server has a fault; its log says which.")
            keep, body, connection = False, True, "close"
        conn.settimeout(idle_s)
        sent = _send(conn, response, response.head(connection), body)
        log(f'{peer} "{line}" {response.status} {sent}')
        if not keep or sent < 0:
            return _linger(conn)


def _receive(conn: socket.socket, reader: RequestReader, idle_s: float) -> Request | None:
    """The next request; None when the client closed or stayed idle. Raises BadRequest."""
    deadline = time.monotonic() + idle_s
    while True:
        request = reader.next()
        if request is not None:
            return request
        try:
            # One deadline for the whole head: a client that sends a byte now and then is idle too.
            conn.settimeout(max(0.001, deadline - time.monotonic()))
            data = conn.recv(CHUNK)
        except TimeoutError:
            if reader.started:
                raise BadRequest(408, "the request did not become complete in time") from None
            return None
        if not data:
            return None
        reader.feed(data)


def _send(conn: socket.socket, response: Response, head: bytes, with_body: bool) -> int:
    """Send the response; returns the octets of its body, or -1 if the file changed meanwhile.

    Head and body (or its first part) go in one send: a small page is one segment on the wire.
    """
    if not with_body or response.status == 304:
        conn.sendall(head)
        return 0
    if isinstance(response.body, bytes):
        conn.sendall(head + response.body)
        return len(response.body)
    left = response.length
    try:
        with open(response.body, "rb") as file:
            while left and (data := file.read(min(CHUNK, left))):
                conn.sendall(head + data)
                head = b""
                left -= len(data)
    except FileNotFoundError:
        pass
    # Fewer octets than announced: only closing tells the client (RFC 9112 section 8).
    return -1 if left else response.length


def _linger(conn: socket.socket) -> None:
    """Close so that the client can still read the response (RFC 9112 section 9.6).

    Closing with unread bytes would send a reset, and a reset throws away what is on its way.
    """
    conn.shutdown(socket.SHUT_WR)
    deadline = time.monotonic() + LINGER_S
    while (left := deadline - time.monotonic()) > 0:
        conn.settimeout(left)
        if not conn.recv(CHUNK):
            return


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    default = os.path.join(os.path.dirname(os.path.abspath(__file__)), "site")
    parser = argparse.ArgumentParser(
        prog="web_server.py",
        description="HTTP/1.1 server for the files of a small site.",
        epilog="""examples:
  python3 apps/web_server.py
  python3 apps/web_server.py --site my-site --listen 127.0.0.1 --port 8080
  python3 apps/web_server.py --background --log access.log
  curl -v http://127.0.0.1:8080/

exit codes: 0 ended or went to the background; 1 cannot listen; 2 bad options or site; 3 died""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--site", metavar="DIR", default=default, help="folder to serve (default: the bundled site)"
    )
    parser.add_argument(
        "--idle",
        metavar="S",
        type=float,
        default=15.0,
        help="seconds after which a silent connection is closed (default %(default)s)",
    )
    service.add_options(parser, port=80)
    return parser


def main(argv: Sequence[str] | None = None, site: type[Site] = Site) -> int:
    """Run the server; SITE is the class whose `respond` answers."""
    args = build_parser().parse_args(argv)
    try:
        if not os.path.isdir(args.site):
            raise service.ServiceError(
                f"there is no folder {args.site}", "Give --site a folder with an index.html."
            )
        source = site(args.site)
        listener = service.listen_tcp(args.listen, args.port)
        return service.run(
            "web_server", lambda log: serve(listener, source, log, args.idle), listener, args
        )
    except service.ServiceError as error:
        return service.fail("web_server", error)


if __name__ == "__main__":
    sys.exit(main())
