# SPDX-License-Identifier: Apache-2.0
"""DNS messages to records (RFC 1035, 3596, 2782, 6891, 9460).

What lives here: what one message says. What must not: which question an answer belongs to.
Rules: those of `packet`. Nothing raises, a name that points at itself ends, and what stands before
a broken part is still there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from struct import Struct
from typing import Any, NamedTuple

from hoplab.decode.packet import Packet, ipv4_text, ipv6_text

PORT = 53

TYPES = {
    1: "A",
    2: "NS",
    5: "CNAME",
    6: "SOA",
    12: "PTR",
    13: "HINFO",
    15: "MX",
    16: "TXT",
    28: "AAAA",
    33: "SRV",
    35: "NAPTR",
    39: "DNAME",
    41: "OPT",
    43: "DS",
    46: "RRSIG",
    47: "NSEC",
    48: "DNSKEY",
    50: "NSEC3",
    52: "TLSA",
    64: "SVCB",
    65: "HTTPS",
    251: "IXFR",
    252: "AXFR",
    255: "ANY",
    257: "CAA",
}
RCODES = {
    0: "NOERROR",
    1: "FORMERR",
    2: "SERVFAIL",
    3: "NXDOMAIN",
    4: "NOTIMP",
    5: "REFUSED",
}

DnsQuestion = tuple[str, str]
DnsRecord = tuple[str, str, int, str]


class Dns(NamedTuple):
    """One DNS message. Names have no final dot, the root is "."; a byte of a label that is not
    printable is written \\DDD (RFC 4343 section 2.1).

    questions: (name, type); answers, authority, additional: (name, type, ttl, value).
    """

    id: int
    qr: bool
    opcode: int
    aa: bool
    tc: bool
    rd: bool
    ra: bool
    rcode: int
    questions: tuple[DnsQuestion, ...]
    answers: tuple[DnsRecord, ...]
    authority: tuple[DnsRecord, ...]
    additional: tuple[DnsRecord, ...]
    problem: str

    @property
    def rcode_text(self) -> str:
        """'NOERROR', 'NXDOMAIN', …"""
        return RCODES.get(self.rcode, f"RCODE{self.rcode}")


_USUAL = 512  # bytes of a message; a cache of larger ones would take much memory


class _Cut(Exception):
    """The message ends, or a name cannot be read: parsing stops here."""


_unpack_u16 = Struct("!H").unpack_from
_unpack_dns = Struct("!HHHHHH").unpack_from
_unpack_record = Struct("!HHIH").unpack_from
_unpack_soa = Struct("!IIIII").unpack_from


def read(packet: Packet) -> Dns | None:
    """The DNS message in a packet from or to port 53, else None.

    Over TCP the two bytes of length (RFC 1035 section 4.2.2) are taken off; the message must
    begin in this segment.
    """
    if packet.udp is not None:
        if packet.udp.sport != PORT and packet.udp.dport != PORT:
            return None
        return parse(packet.payload)
    if packet.tcp is not None:
        if packet.tcp.sport != PORT and packet.tcp.dport != PORT:
            return None
        if len(packet.payload) < 14:
            return None
        length = _unpack_u16(packet.payload)[0]
        if length < 12:
            return None
        return parse(packet.payload[2 : 2 + length])
    return None


def parse(message: bytes) -> Dns | None:
    """A DNS message from its first byte, None if it has not even a header. Never raises."""
    if len(message) < 12:
        return None
    rest = _behind_id(message[2:]) if len(message) <= _USUAL else _read_behind_id(message[2:])
    return tuple.__new__(Dns, _unpack_u16(message) + rest)


def _read_behind_id(tail: bytes) -> tuple[Any, ...]:
    """The fields of a message but for its number; tail: what stands behind that."""
    message = b"\0\0" + tail
    _, flags, *counts = _unpack_dns(message)
    problem = ""
    questions: list[DnsQuestion] = []
    sections: tuple[list[DnsRecord], list[DnsRecord], list[DnsRecord]] = ([], [], [])
    try:
        at = 12
        for _ in range(counts[0]):
            name, at = _name(message, at)
            if at + 4 > len(message):
                raise _Cut("a question is cut")
            questions.append((name, _type_text(_unpack_u16(message, at)[0])))
            at += 4
        for section, count in zip(sections, counts[1:], strict=True):
            for _ in range(count):
                record, at = _record(message, at)
                section.append(record)
    except _Cut as fault:
        problem = str(fault)
    return (
        bool(flags & 0x8000),
        flags >> 11 & 15,
        bool(flags & 0x0400),
        bool(flags & 0x0200),
        bool(flags & 0x0100),
        bool(flags & 0x0080),
        flags & 15,
        tuple(questions),
        tuple(sections[0]),
        tuple(sections[1]),
        tuple(sections[2]),
        problem,
    )


# Names are asked for again and again, each time with another number.
_behind_id = lru_cache(maxsize=1024)(_read_behind_id)


def _type_text(number: int) -> str:
    return TYPES.get(number) or f"TYPE{number}"  # RFC 3597 section 5


@lru_cache(maxsize=4096)  # bounded, since anybody can ask for ever new names
def _label_text(label: bytes) -> str:
    if label.isalnum():
        return label.decode("ascii")
    out = []
    for byte in label:
        if byte in b".\\":
            out.append("\\" + chr(byte))
        elif 0x21 <= byte <= 0x7E:
            out.append(chr(byte))
        else:
            out.append(f"\\{byte:03d}")
    return "".join(out)


def _name(message: bytes, at: int) -> tuple[str, int]:
    """The name at `at` and where the reading goes on (RFC 1035 section 4.1.4).

    A pointer must lead to an earlier place than the part that holds it. That is what compression
    means ("a prior occurrence"), and it makes every chain of pointers end.
    """
    labels: list[str] = []
    after = -1
    part = at  # where the current run of labels began
    total = 1
    size = len(message)
    while True:
        if at >= size:
            raise _Cut("a name runs past the end of the message")
        length = message[at]
        if length == 0:
            at += 1
            break
        if length >= 0xC0:
            if at + 2 > size:
                raise _Cut("a compression pointer is cut")
            target = _unpack_u16(message, at)[0] & 0x3FFF
            if after < 0:
                after = at + 2
            if target >= part:
                raise _Cut("a compression pointer does not lead back")
            at = part = target
            continue
        if length >= 0x40:
            raise _Cut(f"a label begins with 0x{length:02x}")
        begin = at + 1
        at = begin + length
        if at > size:
            raise _Cut("a label is cut")
        total += 1 + length
        if total > 255:
            raise _Cut("a name is longer than 255 bytes")
        labels.append(_label_text(message[begin:at]))
    return ".".join(labels) or ".", at if after < 0 else after


def _record(message: bytes, at: int) -> tuple[DnsRecord, int]:
    name, at = _name(message, at)
    if at + 10 > len(message):
        raise _Cut("a record is cut")
    kind, klass, ttl, length = _unpack_record(message, at)
    at += 10
    end = at + length
    if end > len(message):
        raise _Cut("a record's data is cut")
    try:
        value = _value(message, at, end, kind, klass)
    except _Cut:
        value = None
    if value is None:  # unknown, or not as its type says: RFC 3597 section 5
        value = f"\\# {length} {message[at:end].hex()}".rstrip()
    return (name, _type_text(kind), ttl, value), end


def _value(message: bytes, at: int, end: int, kind: int, klass: int) -> str | None:
    """The record's data as a zone file would write it, None if its type is not known here."""
    reader = _VALUES.get(kind)
    return reader(message, at, end, klass) if reader is not None else None


def _value_a(message: bytes, at: int, end: int, klass: int) -> str | None:
    return ipv4_text(message[at:end]) if end - at == 4 else None


def _value_aaaa(message: bytes, at: int, end: int, klass: int) -> str | None:
    return ipv6_text(message[at:end]) if end - at == 16 else None


def _value_name(message: bytes, at: int, end: int, klass: int) -> str | None:
    name, after = _name(message, at)
    return name if after == end else None


def _value_mx(message: bytes, at: int, end: int, klass: int) -> str | None:
    if end - at < 3:
        return None
    name, after = _name(message, at + 2)
    return f"{_unpack_u16(message, at)[0]} {name}" if after == end else None


def _value_srv(message: bytes, at: int, end: int, klass: int) -> str | None:
    if end - at < 7:
        return None
    name, after = _name(message, at + 6)
    priority, weight, port = (_unpack_u16(message, at + step)[0] for step in (0, 2, 4))
    return f"{priority} {weight} {port} {name}" if after == end else None


def _value_soa(message: bytes, at: int, end: int, klass: int) -> str | None:
    mname, at = _name(message, at)
    rname, at = _name(message, at)
    if end - at != 20:
        return None
    return " ".join([mname, rname, *map(str, _unpack_soa(message, at))])


def _value_txt(message: bytes, at: int, end: int, klass: int) -> str | None:
    texts = []
    while at < end:
        length = message[at]
        if at + 1 + length > end:
            return None
        text = _text(message[at + 1 : at + 1 + length])
        texts.append(f'"{text}"')
        at += 1 + length
    return " ".join(texts) if texts else None


def _text(raw: bytes) -> str:
    return "".join(
        "\\" + chr(byte) if byte in b'"\\' else chr(byte) if 32 <= byte <= 126 else f"\\{byte:03d}"
        for byte in raw
    )


def _value_opt(message: bytes, at: int, end: int, klass: int) -> str | None:
    return f"udp {klass}"  # RFC 6891 section 6.1.2: the class is the sender's UDP payload size


_VALUES: dict[int, Callable[[bytes, int, int, int], str | None]] = {
    1: _value_a,
    2: _value_name,
    5: _value_name,
    6: _value_soa,
    12: _value_name,
    15: _value_mx,
    16: _value_txt,
    28: _value_aaaa,
    33: _value_srv,
    39: _value_name,
    41: _value_opt,
}
