# SPDX-License-Identifier: Apache-2.0
"""Fetch one URL and print each step: resolve, connect, request, response, close.

The cast
    `Url`              http://host:port/path taken apart
    `request_bytes`    the request as it goes out
    `ResponseReader`   bytes as they come -> status, headers, body (RFC 9112 sections 4, 6 and 7)
    `Fetch`            the steps with their times; the only part with sockets
    `FetchError`       a sentence, a next step, and the exit code

Run it on a host of the lab:

    python3 apps/fetch.py http://www.itheima.com/
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
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, NoReturn

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
EXIT_EMPTY = 52
EXIT_RECEIVE = 56

MAX_HEAD = 65_536
CLOSE_WAIT_S = 1.0


class FetchError(Exception):
    """Why there is no page, what to try next, and the exit code."""

    def __init__(self, code: int, message: str, hint: str) -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint


class Url(NamedTuple):
    """An http URL taken apart."""

    host: str  # as it is resolved: a name, or an address without brackets
    port: int
    target: str  # path and query, as it stands in the request line

    @property
    def authority(self) -> str:
        """Host and port as they stand in the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == 80 else f"{host}:{self.port}"


def parse_url(text: str) -> Url:
    """Take TEXT apart, or raise FetchError with exit code 2."""
    scheme, separator, rest = text.partition("://")
    if not separator:
        raise FetchError(EXIT_USAGE, f"{text!r} is no URL", f"Write http://{text}")
    if scheme.lower() != "http":
        hint = "Write http:// instead; there is no TLS in this lab."
        raise FetchError(EXIT_USAGE, f"{scheme}:// is not spoken here, only http://", hint)
    match = re.match(r"([^/?#]*)([^#]*)", rest)
    assert match is not None
    authority, path = match[1], match[2]
    hint = "Write http://NAME/PATH or http://NAME:PORT/PATH."
    if "@" in authority:
        raise FetchError(EXIT_USAGE, "a user name in the URL is not supported", hint)
    parts = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:\s]+))(?::([0-9]{0,5}))?", authority)
    if parts is None:
        raise FetchError(EXIT_USAGE, f"{authority!r} is no host", hint)
    port = int(parts[3] or 80)
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
    return Url(host, port, target)


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
        self._method = method
        self._sink = sink or (lambda data: None)
        self._buffer = bytearray()
        self._left = 0  # octets still to come, of the body or of the chunk
        self._chunk = "size"  # then data, then end, at last trailer

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

    def end(self) -> None:
        """The server has closed. Raises FetchError unless the response is complete."""
        if self.state == "close":
            self.state = "done"
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
        status = re.fullmatch(rb"HTTP/1\.[0-9] ([1-9][0-9]{2})(?: (.*))?", first.rstrip(b"\r"))
        if status is None:
            _weird("something that does not begin with HTTP/1.1")
        self.status = int(status[1])
        self.reason = (status[2] or b"").decode("latin-1")
        self.headers = []
        for line in lines:
            name, colon, value = line.rstrip(b"\r").partition(b":")
            if not colon:
                _weird("a header line without a colon")
            self.headers.append((name.decode("latin-1"), value.strip().decode("latin-1")))
        if 100 <= self.status < 200:
            return  # an interim response; the real one follows
        self._choose_body()

    def _choose_body(self) -> None:
        """RFC 9112 section 6.3: how long is the body?"""
        length = self.header("content-length")
        if self._method == "HEAD" or self.status in (204, 304):
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
        self._sink(data)

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
        if self._chunk == "data":
            data = bytes(self._buffer[: self._left])
            del self._buffer[: len(data)]
            self._left -= len(data)
            self._take(data)
            if not self._left:
                self._chunk = "end"
            return
        end = self._buffer.find(b"\n")
        if end < 0:
            if len(self._buffer) > MAX_HEAD:
                _weird("a chunk without a size")
            return
        line = bytes(self._buffer[:end]).rstrip(b"\r")
        del self._buffer[: end + 1]
        if self._chunk == "size":
            size = re.match(rb"([0-9A-Fa-f]{1,15})\s*(?:;|$)", line)
            if size is None:
                _weird("a chunk without a size")
            self._left = int(size[1], 16)
            self._chunk = "data" if self._left else "trailer"
        elif self._chunk == "end":
            if line:
                _weird("a chunk that is longer than it says")
            self._chunk = "size"
        elif not line:
            self.state = "done"


def _weird(what: str) -> NoReturn:
    raise FetchError(
        EXIT_WEIRD, f"the server sent {what}", "Is this really a web server? Check the port."
    )


class Fetch:
    """One fetch. `run` goes through the steps; `steps` and `facts` tell afterwards what was."""

    def __init__(
        self,
        url: Url,
        method: str = "GET",
        timeout_s: float = 10.0,
        sink: Callable[[bytes], object] | None = None,
        show: Callable[[float, str, str], object] = lambda ms, step, text: None,
    ) -> None:
        self.url = url
        self.reader = ResponseReader(method, sink)
        self.steps: list[dict[str, object]] = []
        self.facts: dict[str, object] = {}
        self._method = method
        self._timeout_s = timeout_s
        self._show = show
        self._start = time.perf_counter()
        self._since = self._start

    def run(self) -> None:
        """All steps; raises FetchError at the first that fails."""
        addresses = self._resolve()
        with self._connect(addresses) as sock:
            self._request(sock)
            self._response(sock)
            self._close(sock)

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
            self._done("resolve", f"{host} is an address: no DNS question")
            return [host]
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

        import threading  # here: an address needs none

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

    def _request(self, sock: socket.socket) -> None:
        data = request_bytes(self.url, self._method)
        try:
            sock.settimeout(self._left())
            sock.sendall(data)
        except OSError as error:
            raise self._broken(error) from None
        self._done("request", f"{self._method} {self.url.target} ({len(data)} bytes)")

    def _response(self, sock: socket.socket) -> None:
        reader = self.reader
        try:
            while reader.state != "done":
                sock.settimeout(self._left())
                data = sock.recv(65536)
                if data:
                    reader.feed(data)
                else:
                    reader.end()
        except OSError as error:
            raise self._broken(error) from None
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
        return FetchError(
            EXIT_RECEIVE,
            f"the connection broke: {error.strerror or error}",
            "The server or something between reset it; look at the server's log.",
        )

    def _close(self, sock: socket.socket) -> None:
        """Our FIN first, then wait for the server's: the four-way close (RFC 9293 section 3.6)."""
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
        description="Fetch one http:// URL and print each step with its time.",
        epilog="""examples:
  python3 apps/fetch.py http://www.itheima.com/
  python3 apps/fetch.py http://www.itheima.com/network.png --output network.png
  python3 apps/fetch.py http://10.80.0.80/ --head
  python3 apps/fetch.py http://closed.itheima.com/ --json

exit codes: 0 fetched; 1 status 400 or above; 2 bad options or URL; 6 name not found; 7 refused, no
route or network unreachable; 8 no HTTP; 18 body cut short; 23 cannot write; 28 timeout; 52 empty
reply; 56 connection broke (curl's numbers, except for 1 and 2)""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("url", metavar="URL", help="such as http://www.itheima.com/")
    parser.add_argument("--head", action="store_true", help="ask for the head alone")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")
    parser.add_argument(
        "--output", metavar="FILE", help="write the body to FILE (-: stdout, the steps to stderr)"
    )
    parser.add_argument(
        "--timeout", metavar="S", type=_seconds, default=10.0, help="for all (default %(default)s)"
    )
    return parser


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is no time: give seconds, such as 2.5")
    return value


def main(argv: Sequence[str] | None = None) -> int:
    """Fetch, print, and return the exit code."""
    args = build_parser().parse_args(argv)
    steps_to = sys.stderr if args.output == "-" else sys.stdout

    def show(ms: float, step: str, text: str) -> None:
        if not args.json:
            print(f"{ms:9.1f} ms  {step:9} {plain(text)}", file=steps_to, flush=True)

    output = Output(args.output)
    fetch: Fetch | None = None
    error: FetchError | None = None
    started = time.perf_counter()
    try:
        url = parse_url(args.url)
        fetch = Fetch(url, "HEAD" if args.head else "GET", args.timeout, output.write, show)
        fetch.run()
        output.write(b"")
        code = EXIT_OK if fetch.reader.status < 400 else EXIT_HTTP_ERROR
    except FetchError as failure:
        error, code = failure, failure.code
    except KeyboardInterrupt:
        code = 130
    total_ms = (time.perf_counter() - started) * 1000
    if args.json:
        print_json(args.url, fetch, error, code, total_ms)
    elif error is None and code in (EXIT_OK, EXIT_HTTP_ERROR):
        print(f"{total_ms:9.1f} ms  in all", file=steps_to, flush=True)
    if error is not None:
        print(f"fetch: {plain(str(error))}.\n  Next: {error.hint}", file=sys.stderr)
    return code


def print_json(
    url: str, fetch: Fetch | None, error: FetchError | None, code: int, total_ms: float
) -> None:
    """The whole story as one object."""
    import json  # here: the plain output needs none

    report: dict[str, object] = {"url": url, "exit_code": code, "ms": round(total_ms, 3)}
    if fetch is not None:
        report.update(fetch.facts)
        report["headers"] = dict(fetch.reader.headers)
        report["steps"] = fetch.steps
    if error is not None:
        report["error"] = {"message": str(error), "hint": error.hint}
    print(json.dumps(report, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    exit_code = main()
    sys.stdout.flush()
    # A thread may still sit in getaddrinfo after a timeout: do not wait for it.
    os._exit(exit_code)
