# SPDX-License-Identifier: Apache-2.0
"""Captures written to files and pipes, in pcapng.

What lives here: observations to blocks and options. What must not: sockets, clocks, labs, and
any reading of a frame's inside.

Rules:
1. A block is handed to the file in one `write`, so a capture that is killed between two writes is
   whole and one killed in the middle of a write lacks its last block only.
2. Time is written in nanoseconds.
3. Direction and reception (section 4.3.1, `epb_flags`) keep what the kernel said about each frame:
   outgoing is direction "outbound"; received is "inbound" with the reception type unicast (to this
   interface), broadcast, multicast, or promiscuous (to somebody else).
4. A writer is not safe for use by two threads at once.

>>> with open("capture.pcapng", "wb") as file:
...     writer = Writer(file, [InterfaceInfo("h1-eth0", "h1 to s1", "02:00:00:00:00:01")])
...     writer.write(observation, comment="h1 asks who has 10.0.0.2")
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping, Sequence
from struct import Struct
from typing import BinaryIO

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
    IF_TSRESOL,
    INTERFACE,
    ISB_DROPPED,
    ISB_END,
    ISB_RECEIVED,
    ISB_START,
    MAGIC,
    NAMES,
    NOTE,
    PACKET,
    QUEUE_DROPS,
    SECTION,
    SHB_HARDWARE,
    SHB_OS,
    SHB_USERAPPL,
    STATISTICS,
    Capture,
    InterfaceInfo,
    Note,
)

_SNAPLEN = 262144  # what Wireshark takes as "never cut"
# epb_flags by reception: bits 0-1 direction (1 in, 2 out), bits 2-4 reception type.
_FLAGS = {
    Reception.HOST: 0b001_01,
    Reception.MULTICAST: 0b010_01,
    Reception.BROADCAST: 0b011_01,
    Reception.OTHERHOST: 0b100_01,
    Reception.OUTGOING: 0b000_10,
}

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
        padding + _option_head.pack(EPB_FLAGS, 4) + _u32.pack(_FLAGS[reception]) + _END_OF_OPTIONS
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
        return _option(IF_IPV6, socket.inet_pton(socket.AF_INET6, address) + bytes((length,)))
    length = int(prefix or 32)
    mask = (0xFFFFFFFF << (32 - length)) & 0xFFFFFFFF
    raw = socket.inet_pton(socket.AF_INET, address) + mask.to_bytes(4, "big")
    return _option(IF_IPV4, raw)


def _interface_block(info: InterfaceInfo) -> bytes:
    options = [_text_option(IF_NAME, info.name), _text_option(IF_DESCRIPTION, info.description)]
    options.extend(_address_option(address) for address in info.addresses)
    if info.mac:
        options.append(_option(IF_MAC, _mac_bytes(info.mac)))
    options.append(_option(IF_TSRESOL, b"\x09"))  # times count units of 10**-9 s
    body = _option_head.pack(info.linktype, 0) + _u32.pack(_SNAPLEN)
    return _block(INTERFACE, body, b"".join(options))


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
                _text_option(COMMENT, comment),
                _text_option(SHB_HARDWARE, hardware),
                _text_option(SHB_OS, os),
                _text_option(SHB_USERAPPL, userappl),
            )
        )
        # Version 1.0; a section length of -1 says "not known", as it must while capturing.
        body = Struct("<IHHq").pack(MAGIC, 1, 0, -1)
        file.write(_block(SECTION, body, options))
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
            self._file.write(_block(NAMES, b"".join(records) + _END_OF_OPTIONS))

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
        options = _option(ISB_START, _time(start_ns))
        self._file.write(_block(STATISTICS, _u32.pack(port) + _time(start_ns), options))

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
            options += _text_option(COMMENT, f"{QUEUE_DROPS}{queue_drops}")
        if cable_drops is not None:
            options += _text_option(COMMENT, f"{CABLE_DROPS}{cable_drops}")
        if start_ns is not None:
            options += _option(ISB_START, _time(start_ns))
        options += _option(ISB_END, _time(t_ns))
        options += _option(ISB_RECEIVED, received.to_bytes(8, "little"))
        options += _option(ISB_DROPPED, dropped.to_bytes(8, "little"))
        self._file.write(_block(STATISTICS, _u32.pack(port) + _time(t_ns), options))


def pack_note(note: Note) -> bytes:
    """A block of our own: time, lengths of topic and source, both, length of the data, data."""
    topic, source = note.topic.encode(), note.source.encode()
    names = topic + source
    body = _time(note.t_ns) + _option_head.pack(len(topic), len(source))
    body += names + _PADDING[len(names) & 3] + _u32.pack(len(note.data)) + note.data
    return _block(NOTE, body)


def pack_frame(
    port: int, t_ns: int, reception: int, data: bytes, length: int, comment: str = ""
) -> bytes:
    """One enhanced packet block (section 4.3); `reception` is the number of a `Reception`."""
    size = len(data)
    tail = _TAILS[reception][size & 3]
    if comment:
        tail = tail[:-4] + _text_option(COMMENT, comment) + _END_OF_OPTIONS
    total = 32 + size + len(tail)
    high, low = t_ns >> 32, t_ns & 0xFFFFFFFF
    head = _packet_head.pack(PACKET, total, port, high, low, size, length)
    return b"".join((head, data, tail, _u32.pack(total)))


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
    for note in capture.notes:
        file.write(pack_note(note))
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
