# SPDX-License-Identifier: Apache-2.0
"""Captures in files: a writer and a reader of pcapng (draft-ietf-opsawg-pcapng).

What lives here: blocks and options, to and from `Observation`. What must not: sockets, clocks,
labs, and any reading of a frame's inside beyond the destination MAC.

Rules:
1. A block is handed to the file in one `write`, so a capture that is killed between two writes is
   whole and one killed in the middle of a write lacks its last block only. The reader takes such a
   file and says so in `Capture.problem`.
2. Time is written in nanoseconds; any resolution is read.
3. Direction and reception (section 4.3.1, `epb_flags`) keep what the kernel said about each frame:
   outgoing is direction "outbound"; received is "inbound" with the reception type unicast (to this
   interface), broadcast, multicast, or promiscuous (to somebody else).
4. The reader takes both byte orders, several sections, and skips blocks that it does not know.
5. Neither side is safe for use by two threads at once.

>>> with open("capture.pcapng", "wb") as file:
...     writer = Writer(file, [InterfaceInfo("h1-eth0", "h1 to s1", "02:00:00:00:00:01")])
...     writer.write(observation, comment="h1 asks who has 10.0.0.2")
>>> read("capture.pcapng").observations[0].data
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import socket
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from struct import Struct
from typing import BinaryIO

from hoplab.capture.observation import Observation, Reception

# Block types (section 4).
_SECTION, _INTERFACE, _NAMES, _STATISTICS, _PACKET = 0x0A0D0D0A, 1, 4, 5, 6
_MAGIC = 0x1A2B3C4D

# No option of the format counts what a switch dropped: a comment on a port's statistics does.
_QUEUE_DROPS = "hoplab: frames dropped by the switch for want of room in its queue: "
_CABLE_DROPS = "hoplab: frames dropped by the queue in front of the cable: "
_LINKTYPE_ETHERNET = 1
_SNAPLEN = 262144  # what Wireshark takes as "never cut"
_PIECE = 1 << 20
_LATEST_NS = 250_000_000  # a recorder that cannot keep up writes a frame so much too late

# Options (sections 3.5 and 4.1 to 4.6).
_COMMENT = 1
_SHB_HARDWARE, _SHB_OS, _SHB_USERAPPL = 2, 3, 4
_IF_NAME, _IF_DESCRIPTION, _IF_IPV4, _IF_IPV6, _IF_MAC = 2, 3, 4, 5, 6
_IF_TSRESOL, _IF_TSOFFSET = 9, 14
_EPB_FLAGS = 2
_ISB_START, _ISB_END, _ISB_RECEIVED, _ISB_DROPPED, _ISB_OSDROP = 2, 3, 4, 5, 7

# epb_flags by reception: bits 0-1 direction (1 in, 2 out), bits 2-4 reception type.
_FLAGS = {
    Reception.HOST: 0b001_01,
    Reception.MULTICAST: 0b010_01,
    Reception.BROADCAST: 0b011_01,
    Reception.OTHERHOST: 0b100_01,
    Reception.OUTGOING: 0b000_10,
}
_RECEPTIONS = {
    1: Reception.HOST,
    2: Reception.MULTICAST,
    3: Reception.BROADCAST,
    4: Reception.OTHERHOST,
}


class PcapngError(ValueError):
    """The file is no pcapng; the message says what it looks like."""


class Unordered(PcapngError):
    """A capture whose frames stand in no order, so that it cannot be read in pieces."""


@dataclass(frozen=True, slots=True)
class InterfaceInfo:
    """An interface as the file names it.

    mac: 'aa:bb:cc:dd:ee:ff' or "" if unknown. addresses: with prefix length, '10.0.0.1/24'.
    """

    name: str
    description: str = ""
    mac: str = ""
    addresses: tuple[str, ...] = ()
    linktype: int = _LINKTYPE_ETHERNET


@dataclass(slots=True)
class Capture:
    """What a file holds.

    observations: in time order (equal times keep the file's order), numbered from 1; `port` is an
        index into `interfaces`.
    comment: of the file, `comments`: of frames, by number.
    received, dropped: the kernel's counts by port, where the file has them.
    begun_ns: from when on all of a port's frames are in the file, by port, where the file says so.
    ended_ns: when the counts were taken: the end of a capture that was stopped; 0 if not in the
        file.
    queue_drops: frames that found no room in a switch's own queue behind the port, while the
        capture ran, by port; only where they were counted.
    cable_drops: the same of the queue in front of the cable (tc(8)), where the port has one.
    names: IP address -> host name.
    problem: "" or a sentence on why the end of the file is missing.
    """

    interfaces: list[InterfaceInfo] = field(default_factory=list)
    observations: list[Observation] = field(default_factory=list)
    comment: str = ""
    comments: dict[int, str] = field(default_factory=dict)
    received: dict[int, int] = field(default_factory=dict)
    dropped: dict[int, int] = field(default_factory=dict)
    begun_ns: dict[int, int] = field(default_factory=dict)
    ended_ns: int = 0
    queue_drops: dict[int, int] = field(default_factory=dict)
    cable_drops: dict[int, int] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    hardware: str = ""
    os: str = ""
    userappl: str = ""
    problem: str = ""


_u32 = Struct("<I")
_head = Struct("<II")
_option_head = Struct("<HH")
_packet_head = Struct("<IIIIIII")
_PADDING = (b"", b"\0\0\0", b"\0\0", b"\0")  # by length modulo 4
_END_OF_OPTIONS = b"\0\0\0\0"

# Behind the data of a frame without comment: padding, the flags option, the end of options. By
# reception, in the order of its numbers, then by length modulo 4.
_TAILS = tuple(
    tuple(
        padding + _option_head.pack(_EPB_FLAGS, 4) + _u32.pack(_FLAGS[reception]) + _END_OF_OPTIONS
        for padding in _PADDING
    )
    for reception in Reception
)


def _option(code: int, value: bytes) -> bytes:
    return _option_head.pack(code, len(value)) + value + _PADDING[len(value) & 3]


def _text_option(code: int, text: str) -> bytes:
    """An option of text, nothing for an empty one. A text too long for an option is cut."""
    raw = text.encode("utf-8", "replace")
    if len(raw) > 0xFFFF:
        raw = raw[:0xFFFF].decode("utf-8", "ignore").encode()
    return _option(code, raw) if raw else b""


def _block(kind: int, body: bytes, options: bytes = b"") -> bytes:
    body += _PADDING[len(body) & 3]
    if options:
        body += options + _END_OF_OPTIONS
    total = 12 + len(body)
    return _head.pack(kind, total) + body + _u32.pack(total)


def _mac_bytes(text: str) -> bytes:
    raw = bytes.fromhex(text.replace(":", ""))
    if len(raw) != 6:
        raise ValueError(f"{text!r} is no MAC address")
    return raw


def _address_option(text: str) -> bytes:
    address, _, prefix = text.partition("/")
    if ":" in address:
        length = int(prefix or 128)
        return _option(_IF_IPV6, socket.inet_pton(socket.AF_INET6, address) + bytes((length,)))
    length = int(prefix or 32)
    mask = (0xFFFFFFFF << (32 - length)) & 0xFFFFFFFF
    raw = socket.inet_pton(socket.AF_INET, address) + mask.to_bytes(4, "big")
    return _option(_IF_IPV4, raw)


def _interface_block(info: InterfaceInfo) -> bytes:
    options = [_text_option(_IF_NAME, info.name), _text_option(_IF_DESCRIPTION, info.description)]
    options.extend(_address_option(address) for address in info.addresses)
    if info.mac:
        options.append(_option(_IF_MAC, _mac_bytes(info.mac)))
    options.append(_option(_IF_TSRESOL, b"\x09"))  # times count units of 10**-9 s
    body = _option_head.pack(info.linktype, 0) + _u32.pack(_SNAPLEN)
    return _block(_INTERFACE, body, b"".join(options))


def _time(t_ns: int) -> bytes:
    return _head.pack(t_ns >> 32 & 0xFFFFFFFF, t_ns & 0xFFFFFFFF)


class Writer:
    """Writes one section to a binary file or pipe, which stays the caller's to flush and close.

    The section header and the interfaces are written at once, so that a reader at the other end of
    a pipe knows them before the first frame.
    """

    def __init__(
        self,
        file: BinaryIO,
        interfaces: Sequence[InterfaceInfo] = (),
        comment: str = "",
        *,
        hardware: str = "",
        os: str = "",
        userappl: str = "hoplab",
        names: Mapping[str, str] | None = None,
        begun: bool = False,
    ) -> None:
        """begun: another writer has put the section header into the file already."""
        self._file = file
        self.interfaces: list[InterfaceInfo] = []
        if begun:
            return
        options = b"".join(
            (
                _text_option(_COMMENT, comment),
                _text_option(_SHB_HARDWARE, hardware),
                _text_option(_SHB_OS, os),
                _text_option(_SHB_USERAPPL, userappl),
            )
        )
        # Version 1.0; a section length of -1 says "not known", as it must while capturing.
        body = Struct("<IHHq").pack(_MAGIC, 1, 0, -1)
        file.write(_block(_SECTION, body, options))
        for info in interfaces:
            self.add_interface(info)
        if names:
            self.add_names(names)

    def add_interface(self, info: InterfaceInfo) -> int:
        """Writes an interface, at any time before its first frame; returns its port index."""
        self._file.write(_interface_block(info))
        self.interfaces.append(info)
        return len(self.interfaces) - 1

    def add_names(self, names: Mapping[str, str]) -> None:
        """Writes a name resolution block: IP address (a prefix length is ignored) -> host name."""
        records = []
        for address, name in names.items():
            address = address.partition("/")[0]
            kind, family = (2, socket.AF_INET6) if ":" in address else (1, socket.AF_INET)
            raw = socket.inet_pton(family, address) + name.encode()[:1024] + b"\0"
            records.append(_option(kind, raw))
        if records:
            self._file.write(_block(_NAMES, b"".join(records) + _END_OF_OPTIONS))

    def write(self, observation: Observation, comment: str = "") -> None:
        """Writes a frame, with a comment that Wireshark shows as `frame.comment`."""
        self.write_frame(
            observation.port,
            observation.t_ns,
            observation.reception,
            observation.data,
            observation.length,
            comment,
        )

    def write_frame(
        self,
        port: int,
        t_ns: int,
        reception: Reception,
        data: bytes,
        length: int,
        comment: str = "",
    ) -> None:
        """As `write`, for a capture that has no `Observation` yet."""
        if not 0 <= port < len(self.interfaces):
            # Written all the same it would make the file unreadable for everybody.
            raise ValueError(f"port {port} is not among the {len(self.interfaces)} interfaces")
        self._file.write(pack_frame(port, t_ns, reception, data, length, comment))

    def write_start(self, port: int, start_ns: int) -> None:
        """Writes from when on an interface is listened to, before its first frame, so that a
        reader of a pipe knows it in time."""
        options = _option(_ISB_START, _time(start_ns))
        self._file.write(_block(_STATISTICS, _u32.pack(port) + _time(start_ns), options))

    def write_statistics(
        self,
        port: int,
        t_ns: int,
        received: int,
        dropped: int,
        start_ns: int | None = None,
        queue_drops: int | None = None,
        cable_drops: int | None = None,
    ) -> None:
        """Writes the kernel's counts of an interface so far; the last ones written count."""
        if not 0 <= port < len(self.interfaces):
            raise ValueError(f"port {port} is not among the {len(self.interfaces)} interfaces")
        options = b""
        if queue_drops is not None:
            options += _text_option(_COMMENT, f"{_QUEUE_DROPS}{queue_drops}")
        if cable_drops is not None:
            options += _text_option(_COMMENT, f"{_CABLE_DROPS}{cable_drops}")
        if start_ns is not None:
            options += _option(_ISB_START, _time(start_ns))
        options += _option(_ISB_END, _time(t_ns))
        options += _option(_ISB_RECEIVED, received.to_bytes(8, "little"))
        options += _option(_ISB_DROPPED, dropped.to_bytes(8, "little"))
        self._file.write(_block(_STATISTICS, _u32.pack(port) + _time(t_ns), options))


def pack_frame(
    port: int, t_ns: int, reception: int, data: bytes, length: int, comment: str = ""
) -> bytes:
    """One enhanced packet block (section 4.3); `reception` is the number of a `Reception`."""
    size = len(data)
    tail = _TAILS[reception][size & 3]
    if comment:
        tail = tail[:-4] + _text_option(_COMMENT, comment) + _END_OF_OPTIONS
    total = 32 + size + len(tail)
    high, low = t_ns >> 32, t_ns & 0xFFFFFFFF
    head = _packet_head.pack(_PACKET, total, port, high, low, size, length)
    return b"".join((head, data, tail, _u32.pack(total)))


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
        label = str(getattr(source, "name", "the file"))
    with gc_paused():
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
    given, given_ns, newest_ns = 0, 0, 0
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
                given += 1
                frames.append(Observation(given, t_ns, port, reception, data, length))
            del pending[:ready]
        if frames and frames[0].t_ns < given_ns:
            raise Unordered(f"{path}: a frame stands more than {_LATEST_NS / 1e9:g} s late")
        if frames:
            given_ns = frames[-1].t_ns
        yield capture, frames


def _pieces(path: str | os.PathLike[str]) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while piece := file.read(_PIECE):
            yield piece


@contextlib.contextmanager
def gc_paused() -> Iterator[None]:
    """Holds Python's cycle collector while a great many objects that stay are made.

    It would go through all of them again and again and find nothing; that is a third of the time.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class _Parser:
    """Goes through the blocks once; frames are put in order at the end."""

    def __init__(self, data: bytes, label: str) -> None:
        self.data = data
        self.label = label
        self.capture = Capture()
        self.first = 0  # index of this section's first interface among all sections' interfaces
        self.clocks: list[tuple[int, int, int]] = []  # by port: multiplier, divisor, offset in ns
        self.macs: list[bytes] = []
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
            if kind == _PACKET:
                if self.frames_wanted:
                    self._packet(at + 8, at + total - 4)
            else:
                self._take(kind, at + 8, at + total - 4)
            at += total
        return at, ""

    def check_start(self) -> None:
        """Says what the file is, if it is no pcapng."""
        data = self.data
        if data[:4] == b"\x0a\x0d\x0d\x0a" and self._byte_order(0) is not None:
            return
        if not data:
            what = "is empty"
        elif data[:4] in (b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\xc3\xd4", b"\x4d\x3c\xb2\xa1"):
            what = "is a classic pcap file; `editcap -F pcapng IN OUT` converts it"
        elif data[:2] == b"\x1f\x8b":
            what = "is compressed; unpack it with gunzip first"
        else:
            what = f"is no pcapng file: it begins with {data[:4].hex(' ')}"
        raise PcapngError(f"{self.label} {what}")

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

    def _stop(self, why: str) -> None:
        self.capture.problem = self.capture.problem or why

    def _take(self, kind: int, at: int, end: int) -> None:
        if kind == _INTERFACE:
            self._interface(at, end)
        elif kind == _SECTION:
            self._section(at, end)
        elif kind == _NAMES:
            self._names(at, end)
        elif kind == _STATISTICS:
            self._statistics(at, end)

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
            if code == _COMMENT:
                capture.comment = _joined(capture.comment, _text(value))
            elif code == _SHB_HARDWARE:
                capture.hardware = _text(value)
            elif code == _SHB_OS:
                capture.os = _text(value)
            elif code == _SHB_USERAPPL:
                capture.userappl = _text(value)

    def _interface(self, at: int, end: int) -> None:
        if end - at < 8:
            self._stop(f"the interface block before byte {end} is too short")
            linktype = _LINKTYPE_ETHERNET
        else:
            linktype = self.unpack_u16x2(self.data, at)[0]
        name = description = ""
        mac = b""
        addresses: list[str] = []
        resolution, offset = 6, 0
        for code, value in self._options(at + 8, end):
            if code == _IF_NAME:
                name = _text(value)
            elif code == _IF_DESCRIPTION:
                description = _text(value)
            elif code == _IF_IPV4 and len(value) == 8:
                prefix = int.from_bytes(value[4:], "big").bit_count()
                addresses.append(f"{socket.inet_ntop(socket.AF_INET, value[:4])}/{prefix}")
            elif code == _IF_IPV6 and len(value) == 17:
                addresses.append(f"{socket.inet_ntop(socket.AF_INET6, value[:16])}/{value[16]}")
            elif code == _IF_MAC and len(value) == 6:
                mac = value
            elif code == _IF_TSRESOL and value:
                resolution = value[0]
            elif code == _IF_TSOFFSET and len(value) == 8:
                offset = self.unpack_i64(value)[0]
        # The high bit chooses powers of two, else powers of ten (section 4.2).
        divisor = 2 ** (resolution & 0x7F) if resolution & 0x80 else 10**resolution
        self.clocks.append((1_000_000_000, divisor, offset * 1_000_000_000))
        self.macs.append(mac)
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
        data = self.data[at : at + captured]
        at += captured + (-captured & 3)
        flags = 0
        comment = ""
        if end - at == 12 and self.unpack_u16x2(self.data, at) == (_EPB_FLAGS, 4):
            flags = self.unpack_u32(self.data, at + 4)[0]  # the usual frame: flags and no more
        elif at != end:
            for code, value in self._options(at, end):
                if code == _EPB_FLAGS and len(value) == 4:
                    flags = self.unpack_u32(value)[0]
                elif code == _COMMENT:
                    comment = _joined(comment, _text(value))
        if flags & 3 == 2:
            reception = Reception.OUTGOING
        else:
            reception_of = _RECEPTIONS.get(flags >> 2 & 7)
            reception = reception_of if reception_of is not None else self._reception(port, data)
        t_ns = self._time(port, high, low)
        self.frames.append((t_ns, port, reception, data, max(length, captured), comment))

    def _time(self, port: int, high: int, low: int) -> int:
        multiplier, divisor, offset = self.clocks[port]
        t_ns = high << 32 | low
        if divisor != multiplier:
            t_ns = t_ns * multiplier // divisor
        return t_ns + offset

    def _reception(self, port: int, data: bytes) -> Reception:
        """For files by writers that do not say it: what the destination MAC tells."""
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
            if code == _COMMENT:
                head, _, count = _text(value).rpartition(" ")
                counts = {
                    _QUEUE_DROPS: self.capture.queue_drops, _CABLE_DROPS: self.capture.cable_drops
                }.get(f"{head} ")  # fmt: skip
                if counts is not None and count.isdecimal():
                    counts[port] = int(count)
            if len(value) != 8:
                continue
            if code == _ISB_START:
                start = self.unpack_u32x2(value)
                self.capture.begun_ns[port] = self._time(port, *start)
            elif code == _ISB_RECEIVED:
                self.capture.received[port] = self.unpack_u64(value)[0]
            elif code in (_ISB_DROPPED, _ISB_OSDROP):
                dropped = (dropped or 0) + self.unpack_u64(value)[0]
        if dropped is not None:
            self.capture.dropped[port] = dropped

    def _finish(self) -> Capture:
        capture = self.capture
        self.frames.sort(key=_by_time)  # stable: equal times keep the file's order
        for number, (t_ns, port, reception, data, length, comment) in enumerate(self.frames, 1):
            capture.observations.append(Observation(number, t_ns, port, reception, data, length))
            if comment:
                capture.comments[number] = comment
        return capture


class Stream:
    """Reads a capture while it is written, piece by piece, as from a pipe.

    `feed` gives the frames that a piece completes, in the writer's order and numbered from 1: a
    writer that puts them in order of time makes the numbers those of the finished file. `capture`
    knows the interfaces so far. Memory holds one unfinished block.
    """

    def __init__(self, label: str = "the stream", *, frames: bool = True) -> None:
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


def _by_time(frame: tuple[int, int, Reception, bytes, int, str]) -> int:
    return frame[0]


def _text(raw: bytes) -> str:
    return raw.rstrip(b"\0").decode("utf-8", "replace")


def _joined(before: str, text: str) -> str:
    return f"{before}\n{text}" if before else text


def write_all(
    file: BinaryIO,
    capture: Capture,
    comments: Mapping[int, str] | Iterable[tuple[int, str]] = (),
    frames: Iterable[Observation] | None = None,
) -> None:
    """A whole capture to a file, with the given comments by frame number beside its own; `frames`
    come in place of `capture.observations` where there are too many to hold."""
    merged = dict(capture.comments)
    merged.update(comments)
    writer = Writer(
        file,
        capture.interfaces,
        capture.comment,
        hardware=capture.hardware,
        os=capture.os,
        userappl=capture.userappl,
        names=capture.names,
    )
    last = 0
    for observation in capture.observations if frames is None else frames:
        writer.write(observation, merged.get(observation.number, ""))
        last = observation.t_ns
    end = capture.ended_ns or last
    for port in sorted({*capture.received, *capture.dropped, *capture.begun_ns}):
        writer.write_statistics(
            port,
            end,
            capture.received.get(port, 0),
            capture.dropped.get(port, 0),
            capture.begun_ns.get(port),
            capture.queue_drops.get(port),
            capture.cable_drops.get(port),
        )
