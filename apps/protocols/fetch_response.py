# SPDX-License-Identifier: Apache-2.0
"""What a client says and hears, as bytes (RFC 9112 sections 3, 4, 6 and 7); no sockets.

The cast
    `request_bytes`   the request as it goes out
    `ResponseReader`  bytes as they come -> status, headers, body
    `plain`           what a server sent, fit for a terminal
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NoReturn

from protocols.fetch_errors import EXIT_EMPTY, EXIT_PARTIAL, EXIT_WEIRD, FetchError
from protocols.fetch_url import Url
from protocols.http1 import Chunks
from protocols.language import Sentence, say

MAX_HEAD = 65_536
HTTP_1 = b"HTTP/1."  # so begins every response (RFC 9112 section 4)


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
                say("the server closed the connection without a complete response"),
                say("Look at the server's log."),
            )
        elif self.state != "done":
            raise FetchError(
                EXIT_PARTIAL,
                say(
                    "the server closed after {n} bytes, in the middle of the body", n=self.received
                ),
                say("Fetch again; look at the server's log."),
            )

    def _read_head(self) -> None:
        if not self._buffer.startswith(HTTP_1[: len(self._buffer)]):
            _weird(say("something that does not begin with HTTP/1.1"))
        match = re.search(rb"\n\r?\n", self._buffer)
        if match is None:
            if len(self._buffer) > MAX_HEAD:
                _weird(say("a header without an end"))
            return
        first, *lines = bytes(self._buffer[: match.start()]).split(b"\n")
        del self._buffer[: match.end()]
        status = re.fullmatch(rb"HTTP/1\.([0-9]) ([1-9][0-9]{2})(?: (.*))?", first.rstrip(b"\r"))
        if status is None:
            _weird(say("something that does not begin with HTTP/1.1"))
        self._version = (1, min(1, int(status[1])))
        self.status = int(status[2])
        self.reason = (status[3] or b"").decode("latin-1")
        self.headers = []
        for line in lines:
            name, colon, value = line.rstrip(b"\r").partition(b":")
            if not colon:
                _weird(say("a header line without a colon"))
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
                _weird(say("the Content-Length {text!r}", text=length))
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
            _weird(error.args[0])
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


def _weird(description: Sentence) -> NoReturn:
    raise FetchError(
        EXIT_WEIRD,
        say("the server sent {description}", description=description),
        say("Is this really a web server? Check the port."),
    )


def plain(text: str) -> str:
    """TEXT without control characters: what a server sends must not steer the terminal."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
