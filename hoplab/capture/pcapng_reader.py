# SPDX-License-Identifier: Apache-2.0
"""Captures read from pcapng files and pipes.

What lives here: blocks and options to `Observation`. What must not: sockets, clocks, labs, and
any reading of a frame's inside beyond the MAC addresses.

Rules:
1. A file whose end is cut or broken gives what stands before, and says so in `Capture.problem`.
2. Any resolution of time is read, both byte orders, several sections, and every kind of block that
   has held a frame; blocks that are not known are skipped.
3. For files by writers that do not say whether a frame was sent, or for whom it was received, its
   MAC addresses tell, as far as the file names those of the interfaces.
4. A reader is not safe for use by two threads at once.

>>> read("capture.pcapng").observations[0].data
"""

from __future__ import annotations

import itertools
import os
import socket
from bisect import bisect_left
from collections.abc import Iterator
from operator import itemgetter
from struct import Struct
from typing import BinaryIO

from hoplab.capture.collector import gc_paused
from hoplab.capture.observation import Observation, Reception
from hoplab.capture.pcapng_format import (
    CABLE_DROPS,
    COMMENT,
    EPB_FLAGS,
    IF_DESCRIPTION,
    IF_IPV4,
    IF_IPV6,
    IF_MAC,
    IF_NAME,
    IF_TSOFFSET,
    IF_TSRESOL,
    INTERFACE,
    ISB_DROPPED,
    ISB_OSDROP,
    ISB_RECEIVED,
    ISB_START,
    LINKTYPE_ETHERNET,
    NAMES,
    NOTE,
    OLD_PACKET,
    PACKET,
    QUEUE_DROPS,
    SECTION,
    SHB_HARDWARE,
    SHB_OS,
    SHB_USERAPPL,
    SIMPLE_PACKET,
    STATISTICS,
    Capture,
    InterfaceInfo,
    Note,
    PcapngError,
    Unordered,
)
from hoplab.sentences import say, term

_PIECE = 1 << 20
_by_time = itemgetter(0)  # of a frame
_LATEST_TIME = (1 << 64) - 1  # what fits into a file again; no clock goes further
_MICROSECONDS = 6  # the resolution of times where an interface says none: 10**-6 s
_LATEST_NS = 250_000_000  # a recorder that cannot keep up writes a frame so much too late
# How pcap files begin that are no pcapng, in one of the two byte orders: times in microseconds, in
# nanoseconds, and as Alexey Kuznetzov's patches had it.
_CLASSIC = (b"\xa1\xb2\xc3\xd4", b"\xa1\xb2\x3c\x4d", b"\xa1\xb2\xcd\x34")
_RECEPTIONS = {
    1: Reception.HOST,
    2: Reception.MULTICAST,
    3: Reception.BROADCAST,
    4: Reception.OTHERHOST,
}
# By the lower five bits of a frame's flags; None where they do not say it.
_BY_FLAGS = [
    Reception.OUTGOING if flags & 3 == 2 else _RECEPTIONS.get(flags >> 2) for flags in range(32)
]
_USUAL = 44  # bytes of a block around a frame that has flags and no other option
# What stands behind a frame's second option, by its code: the end of the options is that option, or
# stands behind a comment.
_ENDING = {0: b"", COMMENT: b"\0\0\0\0"}


def read(source: str | os.PathLike[str] | BinaryIO) -> Capture:
    """A capture from a path or an open binary file.

    Raises PcapngError if the file is no pcapng, OSError if it cannot be read. A file whose end is
    cut or broken gives what stands before, and `Capture.problem`.
    """
    if isinstance(source, (str, os.PathLike)):
        with open(source, "rb") as file:
            data = file.read()
        label = os.fspath(source)
    else:
        data = source.read()
        name = getattr(source, "name", None)
        label = term("the file") if name is None else str(name)
    with gc_paused():
        return parse(data, label)


def parse(data: bytes, label: str) -> Capture:
    """A capture from the bytes of a file; label: what to call it in errors. Raises PcapngError."""
    return _Parser(data, label).parse()


def read_pieces(path: str | os.PathLike[str]) -> Iterator[tuple[Capture, list[Observation]]]:
    """A capture that is too large to hold, piece by piece: what stands beside the frames, and the
    next frames, with the numbers that `read` gives them. Interfaces and counts are those of the
    whole file from the start; of `problem` what is known so far. Raises as `read` does, and
    Unordered where a frame stands so late that its number cannot be known before the end."""
    whole = Stream(os.fspath(path), frames=False)
    for piece in _pieces(path):
        whole.feed(piece)
    whole.close()
    capture, parser = whole.capture, _Parser(b"", os.fspath(path))
    pending: list[tuple[int, int, Reception, bytes, int, str]] = []
    handed, handed_ns, newest_ns = 0, 0, 0
    pieces = itertools.chain(_pieces(path), (b"",))
    for piece in pieces:
        parser.data += piece
        with gc_paused():
            at, why = parser.advance() if parser.data else (0, "")
            parser.data = parser.data[at:]
            if why and not parser.cut:
                capture.problem = capture.problem or why
                parser.data = b""
            pending += parser.frames
            parser.frames.clear()
            pending.sort(key=_by_time)
            ready = len(pending)
            if piece and pending:
                newest_ns = max(newest_ns, pending[-1][0])
                ready = bisect_left(pending, newest_ns - _LATEST_NS, key=_by_time)
            frames = []
            for t_ns, port, reception, data, length, _ in pending[:ready]:
                handed += 1
                frames.append(Observation(handed, t_ns, port, reception, data, length))
            del pending[:ready]
        if frames and frames[0].t_ns < handed_ns:
            raise Unordered(f"{path}: a frame stands more than {_LATEST_NS / 1e9:g} s late")
        if frames:
            handed_ns = frames[-1].t_ns
        yield capture, frames


def _pieces(path: str | os.PathLike[str]) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while piece := file.read(_PIECE):
            yield piece


class _Parser:
    """Goes through the blocks once; frames are put in order at the end."""

    def __init__(self, data: bytes, label: str) -> None:
        self.data = data
        self.label = label
        self.capture = Capture()
        self.first = 0  # index of this section's first interface among all sections' interfaces
        self.clocks: list[tuple[int, int, int]] = []  # by port: multiplier, divisor, offset in ns
        self.scaled: list[bool] = []  # by port, whether its clock is another than the usual
        self.macs: list[bytes] = []
        self.snaplens: list[int] = []  # by port, 0 for no limit
        self.latest_ns = 0  # the time of the last frame that has one
        self.frames: list[tuple[int, int, Reception, bytes, int, str]] = []
        self.order = "<"
        self.cut = False
        self.frames_wanted = True

    def parse(self) -> Capture:
        self.check_start()
        _, why = self.advance()
        if why:
            self._stop(why)
        return self._finish()

    def advance(self) -> tuple[int, str]:
        """Takes block after block; gives where it came to, and why it stopped before the end. A
        block that is cut, which a stream may yet complete, leaves `cut` True."""
        data = self.data
        size = len(data)
        at = 0
        self.cut = False
        while at < size:
            if size - at < 12:
                self.cut = True
                return at, f"the last block is cut at byte {at}"
            if data[at : at + 4] == b"\x0a\x0d\x0d\x0a":  # reads the same in both byte orders
                order = self._byte_order(at)
                if order is None:
                    return at, f"the section header at byte {at} is broken"
                self.order = order
                self._compile()
            kind, total = self.unpack_head(data, at)
            if total < 12 or total & 3:
                return at, f"the block at byte {at} has the length {total}"
            if total > size - at:
                self.cut = True
                return at, f"the last block is cut at byte {at}"
            if self.unpack_u32(data, at + total - 4)[0] != total:
                return at, f"the two lengths of the block at byte {at} differ"
            if kind == PACKET:
                if self.frames_wanted:
                    self._packet(at + 8, at + total - 4)
                    at = self._usual_packets(at + total)
                    continue
            else:
                self._take(kind, at + 8, at + total - 4)
            at += total
        return at, ""

    def _usual_packets(self, at: int) -> int:
        """Takes frames in a row as our own writer puts them: whole, with the usual clock, their
        flags first and a comment, if any, behind. Gives where something else begins."""
        data, frames, first, scaled = self.data, self.frames, self.first, self.scaled
        unpack_head, unpack_options = self.unpack_usual_head, self.unpack_usual_options
        unpack_u32 = self.unpack_u32
        count, size = len(scaled), len(data)
        while size - at >= _USUAL:
            kind, total, number, high, low, captured, length = unpack_head(data, at)
            options, end = at + 28 + (captured + 3 & ~3), at + total - 4
            if kind != PACKET or options + 12 > end or total > size - at or total & 3:
                break
            port = first + number
            code, width, flags, more, size_of_more = unpack_options(data, options)
            reception = _BY_FLAGS[flags & 31]
            if code != EPB_FLAGS or width != 4 or reception is None:
                break
            behind = options + 12 + (size_of_more + 3 & ~3)
            if _ENDING.get(more) != data[behind:end] or unpack_u32(data, end)[0] != total:
                break
            if port >= count or scaled[port]:
                break
            self.latest_ns = t_ns = high << 32 | low
            frame = data[at + 28 : at + 28 + captured]
            comment = _text(data[options + 12 : options + 12 + size_of_more]) if more else ""
            frames.append((t_ns, port, reception, frame, max(length, captured), comment))
            at += total
        return at

    def check_start(self) -> None:
        """Says what the file is, if it is no pcapng."""
        data = self.data
        if data[:4] == b"\x0a\x0d\x0d\x0a" and self._byte_order(0) is not None:
            return
        if not data:
            fault = say("{file} is empty", file=self.label)
        elif data[:4] in _CLASSIC or data[3::-1] in _CLASSIC:
            fault = say(
                "{file} is a classic pcap file; `editcap -F pcapng IN OUT` converts it",
                file=self.label,
            )
        elif data[:2] == b"\x1f\x8b":
            fault = say("{file} is compressed; unpack it with gunzip first", file=self.label)
        else:
            fault = say(
                "{file} is no pcapng file: it begins with {octets}",
                file=self.label,
                octets=data[:4].hex(" "),
            )
        raise PcapngError(fault)

    def _byte_order(self, at: int) -> str | None:
        magic = self.data[at + 8 : at + 12]
        return {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}.get(magic)

    def _compile(self) -> None:
        """The structs of a section, in its byte order."""
        order = self.order
        self.unpack_head = Struct(order + "II").unpack_from
        self.unpack_u32 = Struct(order + "I").unpack_from
        self.unpack_u16x2 = Struct(order + "HH").unpack_from
        self.unpack_time = Struct(order + "III").unpack_from
        self.unpack_u32x2 = Struct(order + "II").unpack_from
        self.unpack_u64 = Struct(order + "Q").unpack_from
        self.unpack_i64 = Struct(order + "q").unpack_from
        self.unpack_packet = Struct(order + "IIIII").unpack_from
        self.unpack_usual_head = Struct(order + "IIIIIII").unpack_from
        self.unpack_usual_options = Struct(order + "HHIHH").unpack_from

    def _stop(self, why: str) -> None:
        self.capture.problem = self.capture.problem or why

    def _take(self, kind: int, at: int, end: int) -> None:
        if kind == SIMPLE_PACKET:
            self._simple_packet(at, end)
        elif kind == OLD_PACKET:
            self._old_packet(at, end)
        elif kind == INTERFACE:
            self._interface(at, end)
        elif kind == SECTION:
            self._section(at, end)
        elif kind == NAMES:
            self._names(at, end)
        elif kind == STATISTICS:
            self._statistics(at, end)
        elif kind == NOTE:
            self._note(at, end)

    def _note(self, at: int, end: int) -> None:
        """See `pcapng_writer.pack_note`."""
        if end - at < 16:
            return
        high, low = self.unpack_u32x2(self.data, at)
        topic, source = self.unpack_u16x2(self.data, at + 8)
        names = self.data[at + 12 : at + 12 + topic + source]
        at += 12 + (topic + source + 3 & ~3)
        if at + 4 > end:
            return
        size = self.unpack_u32(self.data, at)[0]
        data = self.data[at + 4 : min(at + 4 + size, end)]
        if len(data) == size:
            self.capture.notes.append(
                Note(high << 32 | low, _text(names[:topic]), _text(names[topic:]), data)
            )

    def _options(self, at: int, end: int) -> Iterator[tuple[int, bytes]]:
        while at + 4 <= end:
            code, length = self.unpack_u16x2(self.data, at)
            at += 4
            if code == 0 or at + length > end:
                return
            yield code, self.data[at : at + length]
            at += length + (-length & 3)

    def _section(self, at: int, end: int) -> None:
        capture = self.capture
        self.first = len(capture.interfaces)
        for code, value in self._options(at + 16, end):
            if code == COMMENT:
                capture.comment = _joined(capture.comment, _text(value))
            elif code == SHB_HARDWARE:
                capture.hardware = _text(value)
            elif code == SHB_OS:
                capture.os = _text(value)
            elif code == SHB_USERAPPL:
                capture.userappl = _text(value)

    def _interface(self, at: int, end: int) -> None:
        if end - at < 8:
            self._stop(f"the interface block before byte {end} is too short")
            linktype, snaplen = LINKTYPE_ETHERNET, 0
        else:
            linktype = self.unpack_u16x2(self.data, at)[0]
            snaplen = self.unpack_u32(self.data, at + 4)[0]
        name = description = ""
        mac = b""
        addresses: list[str] = []
        resolution, offset = _MICROSECONDS, 0
        for code, value in self._options(at + 8, end):
            if code == IF_NAME:
                name = _text(value)
            elif code == IF_DESCRIPTION:
                description = _text(value)
            elif code in (IF_IPV4, IF_IPV6):
                addresses += _address(code, value)
            elif code == IF_MAC and len(value) == 6:
                mac = value
            elif code == IF_TSRESOL and value:
                resolution = value[0]
            elif code == IF_TSOFFSET and len(value) == 8:
                offset = self.unpack_i64(value)[0]
        # The high bit chooses powers of two, else powers of ten (section 4.2).
        divisor = 2 ** (resolution & 0x7F) if resolution & 0x80 else 10**resolution
        self.clocks.append((1_000_000_000, divisor, offset * 1_000_000_000))
        self.scaled.append(divisor != 1_000_000_000 or offset != 0)
        self.macs.append(mac)
        self.snaplens.append(snaplen)
        self.capture.interfaces.append(
            InterfaceInfo(name, description, mac.hex(":"), tuple(addresses), linktype)
        )

    def _packet(self, at: int, end: int) -> None:
        if end - at < 20:
            self._stop(f"the packet block before byte {end} is too short")
            return
        number, high, low, captured, length = self.unpack_packet(self.data, at)
        port = self.first + number
        at += 20
        if port >= len(self.clocks) or captured > end - at:
            self._stop(f"the packet block before byte {end} is broken")
            return
        # The usual clock counts nanoseconds; the rest is for `_time`.
        t_ns = self._time(port, high, low) if self.scaled[port] else high << 32 | low
        self._frame(port, t_ns, at, captured, length, end)

    def _old_packet(self, at: int, end: int) -> None:
        """The block that stood for `PACKET` before 2009 (section A.1 of the draft): the same, but
        for a count of drops beside the interface."""
        if end - at < 20:
            self._stop(f"the packet block before byte {end} is too short")
            return
        number, _drops = self.unpack_u16x2(self.data, at)
        _, high, low, captured, length = self.unpack_packet(self.data, at)
        port = self.first + number
        at += 20
        if port >= len(self.clocks) or captured > end - at:
            self._stop(f"the packet block before byte {end} is broken")
        elif self.frames_wanted:
            self._frame(port, self._time(port, high, low), at, captured, length, end)

    def _simple_packet(self, at: int, end: int) -> None:
        """A frame of the section's first interface, cut by its snaplen, without a time (section
        4.4)."""
        if end - at < 4 or self.first >= len(self.clocks):
            self._stop(f"the simple packet block before byte {end} is broken")
            return
        self.capture.untimed += 1
        if not self.frames_wanted:
            return
        length = self.unpack_u32(self.data, at)[0]
        snaplen = self.snaplens[self.first] or length
        captured = min(length, snaplen, end - at - 4)
        self._frame(self.first, self.latest_ns, at + 4, captured, length, at + 4 + captured)

    def _frame(self, port: int, t_ns: int, at: int, captured: int, length: int, end: int) -> None:
        """A frame from `at`, and its options behind it up to `end`."""
        data = self.data[at : at + captured]
        at += captured + (-captured & 3)
        flags = 0
        comment = ""
        if end - at == 12 and self.unpack_u16x2(self.data, at) == (EPB_FLAGS, 4):
            flags = self.unpack_u32(self.data, at + 4)[0]  # the usual frame: flags and no more
        elif at < end:
            for code, value in self._options(at, end):
                if code == EPB_FLAGS and len(value) == 4:
                    flags = self.unpack_u32(value)[0]
                elif code == COMMENT:
                    comment = _joined(comment, _text(value))
        if flags & 3 == 2:
            reception = Reception.OUTGOING
        else:
            reception_of = _RECEPTIONS.get(flags >> 2 & 7)
            if reception_of is None:
                reception_of = self._reception(port, data, inbound=flags & 3 == 1)
            reception = reception_of
        self.latest_ns = t_ns
        self.frames.append((t_ns, port, reception, data, max(length, captured), comment))

    def _time(self, port: int, high: int, low: int) -> int:
        multiplier, divisor, offset = self.clocks[port]
        t_ns = high << 32 | low
        if divisor != multiplier:
            t_ns = t_ns * multiplier // divisor
        return min(max(t_ns + offset, 0), _LATEST_TIME)

    def _reception(self, port: int, data: bytes, *, inbound: bool) -> Reception:
        """For files by writers that do not say it: what the MAC addresses tell. inbound: the file
        says that the frame was received."""
        if not inbound and self.macs[port] and data[6:12] == self.macs[port]:
            return Reception.OUTGOING
        dst = data[:6]
        if dst == b"\xff\xff\xff\xff\xff\xff":
            return Reception.BROADCAST
        if dst and dst[0] & 1:
            return Reception.MULTICAST
        mac = self.macs[port]
        return Reception.OTHERHOST if mac and dst != mac else Reception.HOST

    def _names(self, at: int, end: int) -> None:
        for kind, value in self._options(at, end):
            size, family = {1: (4, socket.AF_INET), 2: (16, socket.AF_INET6)}.get(kind, (0, 0))
            name = _text(value[size:].partition(b"\0")[0])
            if size and len(value) > size and name:
                self.capture.names[socket.inet_ntop(family, value[:size])] = name

    def _statistics(self, at: int, end: int) -> None:
        if end - at < 12:
            return
        number, high, low = self.unpack_time(self.data, at)
        port = self.first + number
        if port >= len(self.clocks):
            return
        self.capture.ended_ns = max(self.capture.ended_ns, self._time(port, high, low))
        dropped: int | None = None
        for code, value in self._options(at + 12, end):
            if code == COMMENT:
                head, _, count = _text(value).rpartition(" ")
                counts = {
                    QUEUE_DROPS: self.capture.queue_drops, CABLE_DROPS: self.capture.cable_drops
                }.get(f"{head} ")  # fmt: skip
                if counts is not None and count.isdecimal():
                    counts[port] = int(count)
            if len(value) != 8:
                continue
            if code == ISB_START:
                start = self.unpack_u32x2(value)
                self.capture.begun_ns[port] = self._time(port, *start)
            elif code == ISB_RECEIVED:
                self.capture.received[port] = self.unpack_u64(value)[0]
            elif code in (ISB_DROPPED, ISB_OSDROP):
                dropped = (dropped or 0) + self.unpack_u64(value)[0]
        if dropped is not None:
            self.capture.dropped[port] = dropped

    def _finish(self) -> Capture:
        capture = self.capture
        self.frames.sort(key=_by_time)  # stable: equal times keep the file's order
        capture.observations += [
            Observation(number, t_ns, port, reception, data, length)
            for number, (t_ns, port, reception, data, length, _) in enumerate(self.frames, 1)
        ]
        capture.comments |= {
            number: frame[5] for number, frame in enumerate(self.frames, 1) if frame[5]
        }
        return capture


class Stream:
    """Reads a capture while it is written, piece by piece, as from a pipe.

    `feed` gives the frames that a piece completes, in the writer's order and numbered from 1: a
    writer that puts them in order of time makes the numbers those of the finished file. `capture`
    knows the interfaces so far. Memory holds one unfinished block.
    """

    def __init__(self, label: str = term("the stream"), *, frames: bool = True) -> None:
        """frames: whether they are wanted, or only what stands beside them."""
        self._parser = _Parser(b"", label)
        self._parser.frames_wanted = frames
        self._count = 0
        self._started = False

    @property
    def capture(self) -> Capture:
        """What stands in the stream beside frames: interfaces, names, counts, `problem`."""
        return self._parser.capture

    def feed(self, piece: bytes) -> list[Observation]:
        """The frames that are whole now. Raises PcapngError if the stream is no pcapng."""
        parser = self._parser
        if parser.capture.problem:
            return []
        parser.data += piece
        if not self._started:
            if len(parser.data) < 12:
                return []
            parser.check_start()
            self._started = True
        at, why = parser.advance()
        parser.data = parser.data[at:]
        if why and not parser.cut:
            parser.capture.problem = why
        frames = []
        for t_ns, port, reception, data, length, _ in parser.frames:
            self._count += 1
            frames.append(Observation(self._count, t_ns, port, reception, data, length))
        parser.frames.clear()
        return frames

    def close(self) -> None:
        """The writer has ended: what is left is a block that was cut."""
        parser = self._parser
        if parser.data and not parser.capture.problem:
            parser.capture.problem = "the last block is cut"


def _address(code: int, value: bytes) -> list[str]:
    """The address with its prefix length that an option of an interface holds; none if it is
    malformed."""
    if code == IF_IPV4 and len(value) == 8:
        prefix = int.from_bytes(value[4:], "big").bit_count()
        return [f"{socket.inet_ntop(socket.AF_INET, value[:4])}/{prefix}"]
    if code == IF_IPV6 and len(value) == 17:
        return [f"{socket.inet_ntop(socket.AF_INET6, value[:16])}/{value[16]}"]
    return []


def _text(raw: bytes) -> str:
    return raw.rstrip(b"\0").decode("utf-8", "replace")


def _joined(before: str, text: str) -> str:
    return f"{before}\n{text}" if before else text
