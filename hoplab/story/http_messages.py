# SPDX-License-Identifier: Apache-2.0
"""HTTP/1 messages in the bytes of a connection: where each begins and ends (RFC 9112).

What lives here: which bytes are a head, which are content, which are framing; which response
answers which request. What must not: sequence numbers of segments and what is sent twice
(`tcp.py`), the grammar of a head (`hoplab.decode.http`), sentences.

A segment may hold half a head or two messages, so each direction is read as one stream of bytes,
in the order of their numbers. Bytes that the capture lacks are waited for until the receiver
acknowledges them: then they did arrive, and are counted where they can only be content.
"""

from __future__ import annotations

import re
from bisect import insort
from dataclasses import dataclass, field, replace
from enum import Enum, auto

from hoplab.decode import http as wire_http
from hoplab.decode.http import HttpStart
from hoplab.story.wire_text import clean

CLIENT, SERVER = 0, 1


@dataclass(slots=True)
class Sending:
    """The first time that these numbers were sent: from `start` up to, and without, `end`.

    trip: its number, 0 if the capture lacks it. sent_ns: when it left its sender. arrived_ns: when
    the receiver first had these bytes, 0 if they never came.
    """

    start: int
    end: int
    trip: int
    sent_ns: int
    arrived_ns: int


@dataclass(slots=True, eq=False)
class Exchange:
    """One HTTP request and what came back. Bytes are of the content; times in nanoseconds.

    version: of the response, "HTTP/1.1". closes: the server said Connection: close in it.
    upgrade: the protocol that both go over to, as the response names it (RFC 9110, 7.8).
    content_length: as announced, None where it is not, or does not count (chunked).
    unfinished: sent in chunks, and the one of size 0 that ends them was not seen (RFC 9112, 8).
    asked_in, answered_in: the sendings that carried the request and the response.
    """

    request: int
    method: str
    target: str
    response: int = 0
    status: int | None = None
    reason: str = ""
    content_length: int | None = None
    unfinished: bool = False
    body_bytes: int = 0
    version: str = ""
    closes: bool = False
    upgrade: str = ""
    asked_in: list[Sending] = field(default_factory=list)
    answered_in: list[Sending] = field(default_factory=list)

    @property
    def heard_ns(self) -> int:
        """When the server had the whole request, 0 if that is not known."""
        times = [sending.arrived_ns for sending in self.asked_in]
        return max(times, default=0) if all(times) else 0

    @property
    def answered_ns(self) -> int:
        """When the response left the server, 0 if none did."""
        return self.answered_in[0].sent_ns if self.answered_in else 0

    @property
    def ended_ns(self) -> int:
        """When the last byte of the response came, of those that came at all."""
        return max((sending.arrived_ns for sending in self.answered_in), default=0)


class _Part(Enum):
    """What the next byte of a direction belongs to."""

    HEAD = auto()
    CONTENT = auto()  # of a known length
    REST = auto()  # content up to the end of the connection
    CHUNK_SIZE = auto()
    CHUNK = auto()
    CHUNK_END = auto()
    TRAILER = auto()
    UNKNOWN = auto()  # no HTTP, or bytes are missing and the next message is not found


_HEAD_MOST = 65536
_BLANK = re.compile(rb"\n\r?\n")
_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}[ \t]*(?:;.*)?")


class _Messages:
    """One direction: takes its bytes in order and finds the messages in them."""

    requests = False

    def __init__(self) -> None:
        self._part = _Part.HEAD
        self._text = bytearray()  # a head, or a line of chunked framing, that is not complete yet
        self._left = 0  # of the content, or of the chunk
        self._begun = False  # the first line of the head was read
        self._head_in: list[Sending] = []  # what carried the head until then
        self.foreign = 0  # bytes behind which, or in which, HTTP/1 was lost sight of

    def take(self, piece: bytes, sending: Sending, fresh: bool) -> None:
        """The next bytes. `fresh`: a segment begins with them."""
        if self._part is _Part.UNKNOWN and fresh and self._mine(wire_http.parse(piece)):
            self._part = _Part.HEAD  # a message begins here, so HTTP can be read again
        while piece and self._part is not _Part.UNKNOWN:
            if self._part is _Part.HEAD:
                piece = self._take_head(piece, sending)
            elif self._part in (_Part.CONTENT, _Part.CHUNK, _Part.REST):
                piece = piece[self._count(len(piece), sending) :]
            else:
                piece = self._take_line(piece, sending)
        self.foreign += len(piece)

    def skip(self, sending: Sending) -> None:
        """Bytes that arrived and that the capture lacks: content if they can be nothing else."""
        size = sending.end - sending.start
        if self._part in (_Part.CONTENT, _Part.CHUNK, _Part.REST):
            size -= self._count(size, sending)
        if size:
            self._lose()

    def _begin(self, head: HttpStart, sending: Sending) -> None:
        raise NotImplementedError

    def _carry(self, sending: Sending, content: int) -> None:
        raise NotImplementedError

    def _complete(self, head: HttpStart, fields: dict[bytes, bytes]) -> _Part:
        raise NotImplementedError

    def _end(self) -> None:
        """Ends the content in chunks, after the last one or where it cannot be read any more."""

    def _mine(self, head: HttpStart | None) -> bool:
        return head is not None and head.request == self.requests

    def _lose(self) -> None:
        self._end()
        self._part, self._begun = _Part.UNKNOWN, False
        self._text.clear()
        self._head_in.clear()

    def _take_head(self, piece: bytes, sending: Sending) -> bytes:
        """Reads on in a head. Returns what follows it."""
        if not self._text:
            piece = piece.lstrip(b"\r\n")  # empty lines before a message are none of it
        if not piece:
            return b""
        self._text += piece
        _note(self._head_in, sending)
        blank = _BLANK.search(self._text)
        text = bytes(self._text[: blank.end()] if blank else self._text)
        head = wire_http.parse(text)
        if head is None and _may_become_a_head(text):
            return b""
        if head is None or not self._mine(head) or len(text) > _HEAD_MOST:
            self.foreign += len(text)
            self._lose()
            return b""
        if not self._begun:
            self._begin(head, self._head_in[0])
            self._begun = True
        for carrier in self._head_in:
            self._carry(carrier, 0)
        self._head_in.clear()
        return self._end_head(head, text, blank.end()) if blank is not None else b""

    def _end_head(self, head: HttpStart, text: bytes, end: int) -> bytes:
        """The head is complete. Returns what follows it."""
        rest = bytes(self._text[end:])
        self._text.clear()
        self._begun = False
        self._part = self._complete(head, _fields(text))
        self._left = head.content_length or 0
        if self._part is _Part.CONTENT and not self._left:
            self._part = _Part.HEAD
        return rest

    def _count(self, size: int, sending: Sending) -> int:
        """Counts content. Returns how many of the bytes were content."""
        if self._part is not _Part.REST:
            size = min(size, self._left)
            self._left -= size
            if not self._left:
                self._part = _Part.HEAD if self._part is _Part.CONTENT else _Part.CHUNK_END
        self._carry(sending, size)
        return size

    def _take_line(self, piece: bytes, sending: Sending) -> bytes:
        """Reads on in the framing of chunks, line by line. Returns what follows the line."""
        self._carry(sending, 0)
        line, newline, rest = piece.partition(b"\n")
        self._text += line
        if not newline:
            if len(self._text) > _HEAD_MOST:
                self._lose()
            return b""
        text = bytes(self._text).rstrip(b"\r")
        self._text.clear()
        if self._part is _Part.TRAILER:
            self._part = _Part.TRAILER if text else _Part.HEAD
        elif self._part is _Part.CHUNK_END and not text:
            self._part = _Part.CHUNK_SIZE
        elif self._part is _Part.CHUNK_SIZE and _SIZE.fullmatch(text):
            self._left = int(text.partition(b";")[0], 16)
            self._part = _Part.CHUNK if self._left else _Part.TRAILER
            if not self._left:
                self._end()
        else:
            self._lose()
        return rest


def _may_become_a_head(text: bytes) -> bool:
    """The beginning of a first line, which is not complete yet."""
    return b"\n" not in text and text[:1].isupper() and len(text) < _HEAD_MOST


class _Requests(_Messages):
    """What the client says."""

    requests = True

    def __init__(self, exchanges: list[Exchange]) -> None:
        super().__init__()
        self._exchanges = exchanges

    def _begin(self, head: HttpStart, sending: Sending) -> None:
        asked = Exchange(sending.trip, head.method, clean(head.target, 60))
        self._exchanges.append(asked)

    def _carry(self, sending: Sending, content: int) -> None:
        _note(self._exchanges[-1].asked_in, sending)

    def _complete(self, head: HttpStart, fields: dict[bytes, bytes]) -> _Part:
        if b"chunked" in fields.get(b"transfer-encoding", b"").lower():
            return _Part.CHUNK_SIZE
        return _Part.HEAD if head.content_length is None else _Part.CONTENT


class _Responses(_Messages):
    """What the server says: the first response answers the first request, and so on."""

    def __init__(self, exchanges: list[Exchange]) -> None:
        super().__init__()
        self._exchanges = exchanges
        self._next = 0  # the first request that has no response yet
        self._exchange: Exchange | None = None  # what is being answered

    def _begin(self, head: HttpStart, sending: Sending) -> None:
        self._exchange = None
        if _interim(head) or self._next == len(self._exchanges):
            return  # the real answer is still to come, or the request was not seen
        exchange = self._exchange = self._exchanges[self._next]
        self._next += 1
        exchange.response, exchange.status = sending.trip, head.status
        exchange.reason, exchange.version = clean(head.reason, 40), head.version

    def _carry(self, sending: Sending, content: int) -> None:
        if self._exchange is not None:
            self._exchange.body_bytes += content
            _note(self._exchange.answered_in, sending)

    def _end(self) -> None:
        if self._exchange is not None:
            self._exchange.unfinished = False

    def _complete(self, head: HttpStart, fields: dict[bytes, bytes]) -> _Part:
        exchange = self._exchange
        codings = fields.get(b"transfer-encoding", b"").lower()
        part = self._following(head, codings, exchange.method if exchange is not None else "")
        if exchange is not None:
            exchange.content_length = None if codings else head.content_length
            exchange.closes = b"close" in fields.get(b"connection", b"").lower()
            exchange.unfinished = part is _Part.CHUNK_SIZE
            if head.status == 101:
                exchange.upgrade = clean(fields.get(b"upgrade", b"").decode("latin-1"), 40)
        return part

    def _following(self, head: HttpStart, codings: bytes, method: str) -> _Part:
        """What follows the head of a response (RFC 9112, 6.3). method: of the request, "" if that
        was not seen."""
        status = head.status or 0
        if status == 101 or (method == "CONNECT" and status < 300):
            return _Part.UNKNOWN  # another protocol from here on
        if _interim(head) or method == "HEAD" or status in (204, 304):
            return _Part.HEAD
        if b"chunked" in codings:
            return _Part.CHUNK_SIZE
        return _Part.REST if codings or head.content_length is None else _Part.CONTENT


def _interim(head: HttpStart) -> bool:
    """'100 Continue' and its like: the answer is still to come."""
    return head.status is not None and head.status < 200 and head.status != 101


def _note(sendings: list[Sending], sending: Sending) -> None:
    """Each sending once, though several parts of a message may be in it."""
    if not sendings or sendings[-1] is not sending:
        sendings.append(sending)


def _fields(head: bytes) -> dict[bytes, bytes]:
    """The header fields by name, in small letters."""
    pairs = [line.partition(b":") for line in head.split(b"\n")[1:]]
    return {name.strip().lower(): value.strip() for name, colon, value in pairs if colon}


_HELD_MOST = 1000  # segments; a receiver has no window for more


class _Stream:
    """Hands one direction's bytes on to its messages in the order of their numbers."""

    def __init__(self, messages: _Messages) -> None:
        self._messages = messages
        self._at = 0  # number of the next byte
        self._held: list[tuple[int, int, int, bytes, Sending]] = []  # bytes before are missing
        self._order = 0

    def open(self, at: int) -> None:
        self._at = at

    def take(self, start: int, size: int, data: bytes, sending: Sending) -> None:
        self._order += 1
        insort(self._held, (start, self._order, size, data, sending))
        self._hand_on()
        if len(self._held) > _HELD_MOST:
            self._jump(self._held[0][0], 0)

    def acknowledged(self, upto: int, t_ns: int) -> None:
        while self._at < upto:
            self._jump(min(upto, self._held[0][0]) if self._held else upto, t_ns)

    def _jump(self, to: int, t_ns: int) -> None:
        """Goes on behind bytes that the capture lacks."""
        self._messages.skip(Sending(self._at, to, 0, t_ns, t_ns))
        self._at = to
        self._hand_on()

    def _hand_on(self) -> None:
        while self._held and self._held[0][0] <= self._at:
            start, _, size, data, sending = self._held.pop(0)
            seen = data[self._at - start : size]
            if seen:
                self._messages.take(seen, sending, start == self._at)
                self._at += len(seen)
            if self._at < start + size:  # the capture cut the frame
                self._messages.skip(replace(sending, start=self._at))
                self._at = start + size


class Dialogue:
    """What the two sides of a connection say to each other, as far as it is HTTP/1."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []
        self._both = _Requests(self.exchanges), _Responses(self.exchanges)
        self._streams = [_Stream(messages) for messages in self._both]

    @property
    def foreign(self) -> tuple[int, int]:
        """Bytes of the client and of the server behind the last HTTP/1: after an upgrade those of
        the other protocol, as far as the capture has them."""
        return self._both[CLIENT].foreign, self._both[SERVER].foreign

    def open(self, role: int, at: int) -> None:
        """The first byte of the client or the server will have this number."""
        self._streams[role].open(at)

    def take(self, role: int, start: int, size: int, data: bytes, sending: Sending) -> None:
        """`size` bytes that were not sent before, and what the capture has of them."""
        self._streams[role].take(start, size, data, sending)

    def acknowledged(self, role: int, upto: int, t_ns: int) -> None:
        """The other side has all bytes of this one before `upto`, captured or not."""
        self._streams[role].acknowledged(upto, t_ns)
