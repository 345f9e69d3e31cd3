# SPDX-License-Identifier: Apache-2.0
"""The head of an HTTP/1 message, as far as it stands in one segment (RFC 9112)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from hoplab.decode.packet import Packet


class HttpStart(NamedTuple):
    """The head of an HTTP/1 message. A request has `method`, a response has `status`.

    version: as on the wire, "HTTP/1.1".
    host, content_type, content_length: the header fields, "" or None where absent or not in this
        segment.
    complete: the empty line that ends the head is in this segment.
    """

    method: str
    target: str
    version: str
    host: str
    status: int | None
    reason: str
    content_type: str
    content_length: int | None
    complete: bool

    @property
    def request(self) -> bool:
        """True for a request, False for a response."""
        return self.status is None


_REQUEST = re.compile(rb"([A-Z][A-Z-]{0,19}) ([^ \r\n]+) (HTTP/\d\.\d)\r?\n")
_RESPONSE = re.compile(rb"(HTTP/\d\.\d) (\d{3})(?: ([^\r\n]*))?\r?\n")
PREFACE_2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # RFC 9113, 3.4: what a client of HTTP/2 says first
_BLANK = re.compile(rb"\n\r?\n")  # the line that ends a head
_HEAD_LIMIT = 16384  # a head longer than this is read so far and no farther


def read(packet: Packet) -> HttpStart | None:
    """The HTTP/1 request or response that begins in this TCP segment (any port), else None."""
    if packet.tcp is None or not packet.payload:
        return None
    return parse(packet.payload)


def parse(data: bytes) -> HttpStart | None:
    """The head of an HTTP/1 message from its first byte, else None. Never raises."""
    first = data[0] if data else 0
    if not 0x41 <= first <= 0x5A:  # every method and "HTTP" begin with a capital letter
        return None
    head = data[:_HEAD_LIMIT]
    blank = _BLANK.search(head)
    return _parse(head if blank is None else head[: blank.end()])


@lru_cache(maxsize=64)  # one head is asked about as a segment, and as part of its connection
def _parse(head: bytes) -> HttpStart | None:
    match = _RESPONSE.match(head)
    method = target = reason = ""
    status: int | None = None
    if match:
        version = match[1].decode("ascii")
        status = int(match[2])
        reason = (match[3] or b"").decode("latin-1")
    else:
        match = _REQUEST.match(head)
        if not match or head.startswith(PREFACE_2[:14]):
            return None  # the preface looks like a request so that no HTTP/1 server takes it
        method = match[1].decode("ascii")
        target = match[2].decode("latin-1")
        version = match[3].decode("ascii")
    host = content_type = ""
    length: int | None = None
    complete = False
    lines = head[match.end() :].split(b"\n")
    for line in lines[:-1]:  # what follows the last line end may be half a field
        line = line.rstrip(b"\r")
        if not line:
            complete = True
            break
        name, colon, value = line.partition(b":")
        if not colon:
            continue
        key = name.lower()
        if key == b"host":
            host = value.strip().decode("latin-1")
        elif key == b"content-type":
            content_type = value.strip().decode("latin-1")
        elif key == b"content-length":
            number = value.strip()
            # isdigit of bytes is ASCII only; the limit keeps int() cheap on a hostile header.
            length = int(number) if number.isdigit() and len(number) < 20 else None
    return HttpStart(method, target, version, host, status, reason, content_type, length, complete)
