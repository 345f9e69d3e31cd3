# SPDX-License-Identifier: Apache-2.0
"""DNS messages: bytes to fields and back (RFC 1035 section 4). No sockets, no decisions.

The cast
    `Message`   the header's fields, the question, and three lists of RRsets
    `decode`    bytes -> Message, or Malformed
    `encode`    Message -> bytes of at most so many
    `Edns`      what the OPT record says (RFC 6891)

    +---------------------+
    |  Header  12 bytes   |   id, flags, how many of each that follow
    |  Question           |   name, type, class
    |  Answer             |   records: name, type, class, TTL, length, data
    |  Authority          |   who is in charge, or the SOA that goes with "no"
    |  Additional         |   addresses that will be wanted next; OPT
    +---------------------+

A name that was there before is not repeated: two bytes point back to it (section 4.1.4). Pointers
may only go backwards here, and a name has few of them, so reading it always ends, and soon.

Example:

    from protocols.dns_wire import decode, encode, question
    wire = encode(question("www.itheima.com.", "A"))
    print(decode(wire).name, decode(wire).type)
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from functools import lru_cache
from struct import Struct, error
from typing import NamedTuple

from protocols import dns_records
from protocols.dns_records import FIELDS, OPT, ROOT, SIZES, TSIG, RRset, name_text, type_text

HEADER = Struct("!HHHHHH")
RECORD = Struct("!HHIH")  # type, class, TTL, length
OPTION = Struct("!HHBBHH")  # of OPT: type, UDP size, rcode's high bits, version, flags, length
PAIR = Struct("!HH")

QR, AA, TC, RD, RA, AD, CD = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080, 0x0020, 0x0010
DO = 0x8000  # in the flags of OPT, RFC 3225
IN = 1
RCODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}
RCODES |= {9: "NOTAUTH", 16: "BADVERS"}
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED, NOTAUTH, BADVERS = RCODES
BY_NAME = {text: number for number, text in RCODES.items()}
MAX_MESSAGE = 65535
MAX_POINTERS = 127  # of one name: before each label of the longest one
# The types whose data have names that may be compressed when they are written.
COMPRESSED = {number: fields for number, fields in FIELDS.items() if "n" in fields}


class Malformed(ValueError):
    """The bytes are no DNS message."""


class TooLong(ValueError):
    """The message does not fit."""


class Edns(NamedTuple):
    """What an OPT record says: the largest UDP answer that its sender takes, version, DO."""

    size: int = 1232
    version: int = 0
    do: bool = False


@dataclass(slots=True)
class Message:
    """A query or a response. FLAGS holds QR, AA, ... as on the wire, without opcode and rcode."""

    id: int = 0
    opcode: int = 0
    flags: int = 0
    rcode: int = NOERROR
    # As it was written: resolvers may check that capital letters come back ("0x20").
    qname: bytes | None = None
    qtype: int = 0
    qclass: int = IN
    answer: list[RRset] = field(default_factory=list)
    authority: list[RRset] = field(default_factory=list)
    additional: list[RRset] = field(default_factory=list)
    edns: Edns | None = None
    signed: bool = False  # carries a TSIG record, which we cannot check
    over_tcp: bool = False  # how it came; not on the wire
    note: str = ""  # of a query: the line that the log is to have about it

    @property
    def name(self) -> str:
        """The name asked for, as text in small letters: "www.itheima.com."."""
        return name_text((self.qname or ROOT).lower())

    @property
    def type(self) -> str:
        """The type asked for, as text: "A"."""
        return type_text(self.qtype)

    def reply(self, *rrsets: RRset, rcode: str = "NOERROR", authoritative: bool = True) -> Message:
        """A response to this query with these records in its answer section."""
        return Message(
            self.id,
            self.opcode,
            QR | (AA if authoritative else 0) | (self.flags & (RD | CD)),
            BY_NAME[rcode],
            self.qname,
            self.qtype,
            self.qclass,
            list(rrsets),
        )


def question(name: str | bytes, rtype: str | int, *, flags: int = 0, edns: bool = True) -> Message:
    """A query with a random id (RFC 5452 section 4.5)."""
    wire = dns_records.name(name) if isinstance(name, str) else name
    number = dns_records.type_number(rtype) if isinstance(rtype, str) else rtype
    return Message(
        secrets.randbits(16), 0, flags, NOERROR, wire, number, edns=Edns() if edns else None
    )


# ---- bytes -> message ------------------------------------------------------------------------


def decode(wire: bytes) -> Message:
    """The message in WIRE. Raises Malformed, and nothing else."""
    try:
        return _decode(wire)
    except (IndexError, error):
        raise Malformed("it ends too early") from None


def _decode(wire: bytes) -> Message:
    number, bits, questions, answers, authorities, additionals = HEADER.unpack_from(wire)
    message = Message(number, bits >> 11 & 0xF, bits & 0x87B0, bits & 0xF)
    at = HEADER.size
    if questions > 1:
        raise Malformed("more than one question")  # RFC 9619
    if questions:
        message.qname, at = read_name(wire, at)
        message.qtype, message.qclass = PAIR.unpack_from(wire, at)
        at += 4
    for section, count in (
        (message.answer, answers),
        (message.authority, authorities),
        (message.additional, additionals),
    ):
        if count:
            at = _read_section(wire, at, count, section, message)
    if at != len(wire):
        raise Malformed("something follows the last record")
    return message


def read_name(wire: bytes, at: int) -> tuple[bytes, int]:
    """The name at AT, in full, and where what follows it begins."""
    start = at
    length = wire[at]
    while 0 < length < 64:
        at += 1 + length
        length = wire[at]
    if not length:  # the usual case: the name ends here, without a pointer
        name = wire[start : at + 1]
        after = at + 1
    else:
        labels = [wire[start:at]]
        size = at - start
        after = at + 2
        limit = start
        pointers = 0
        while length:
            if length < 64:
                labels.append(wire[at : at + 1 + length])
                size += 1 + length
                if size > dns_records.MAX_NAME:
                    raise Malformed("a name that is too long")
                at += 1 + length
            elif length >= 0xC0:
                at = (length & 0x3F) << 8 | wire[at + 1]
                if at >= limit:
                    raise Malformed("a name that points forward, or at itself")
                limit = at
                pointers += 1
                if pointers > MAX_POINTERS:
                    raise Malformed("a name of too many pointers")
            else:
                raise Malformed("a label of unknown kind")
            length = wire[at]
        name = b"".join(labels) + ROOT
    if len(name) > dns_records.MAX_NAME:
        raise Malformed("a name that is too long")
    return name, after


def _read_section(wire: bytes, at: int, count: int, section: list[RRset], message: Message) -> int:
    sets: dict[tuple[bytes, int], RRset] = {}
    present: set[tuple[bytes, int, bytes]] = set()  # name, type, data
    for _ in range(count):
        name, at = read_name(wire, at)
        rtype, rclass, ttl, length = RECORD.unpack_from(wire, at)
        at += RECORD.size
        end = at + length
        if end > len(wire):
            raise Malformed("a record that is longer than the message")
        if rtype == OPT:
            _read_opt(wire, at, end, name, rclass, ttl, section, message)
        elif rtype == TSIG:
            message.signed = True
        elif rclass == IN:  # records of other classes are left out
            raw = _read_data(wire, at, end, rtype)
            key = (name.lower(), rtype)
            rrset = sets.get(key)
            if rrset is None:
                # RFC 2181 section 8: a TTL with its first bit set counts as 0.
                sets[key] = rrset = RRset(name, rtype, ttl if ttl < 1 << 31 else 0, [raw])
                section.append(rrset)
            else:
                rrset.ttl = min(rrset.ttl, ttl)  # section 5.2
                if (*key, raw) not in present:
                    rrset.datas.append(raw)
            present.add((*key, raw))
        at = end
    return at


def _read_opt(
    wire: bytes,
    at: int,
    end: int,
    name: bytes,
    size: int,
    ttl: int,
    section: list[RRset],
    message: Message,
) -> None:
    """RFC 6891 section 6.1: one at most, in the additional section, with the root's name."""
    if message.edns is not None or name != ROOT or section is not message.additional:
        raise Malformed("an OPT record where none may be")
    while at < end:
        _, length = PAIR.unpack_from(wire, at)
        at += 4 + length
    if at != end:
        raise Malformed("an EDNS option that is longer than its record")
    message.edns = Edns(size, ttl >> 16 & 0xFF, bool(ttl & DO))
    message.rcode |= ttl >> 24 << 4


def _read_data(wire: bytes, at: int, end: int, rtype: int) -> bytes:
    """The data of a record, its names in full; checked against the shape of its type."""
    fields = FIELDS.get(rtype)
    if fields is None:
        return wire[at:end]
    start = at
    out = []
    for letter in fields:
        if letter in "nN":
            name, after = read_name(wire, at)
            out.append(wire[start:at] + name)
            start = at = after
        elif letter == "s":
            at += 1 + wire[at]
        elif letter == "S":
            while at < end:
                at += 1 + wire[at]
        elif letter in "vx":
            at = end
        else:
            at += SIZES[letter]
        if at > end:
            break
    if at != end:
        raise Malformed(f"data that is no {type_text(rtype)}")
    out.append(wire[start:end])
    return b"".join(out)


# ---- message -> bytes ------------------------------------------------------------------------


def encode(message: Message, limit: int = MAX_MESSAGE) -> bytes:
    """MESSAGE as bytes. Raises TooLong when they are more than LIMIT."""
    out = bytearray(HEADER.size)
    seen: dict[bytes, int] = {}
    if message.qname is not None:
        _write_name(out, message.qname, seen)
        out += PAIR.pack(message.qtype, message.qclass)
    counts = [0, 0, 0]
    for index, section in enumerate((message.answer, message.authority, message.additional)):
        for rrset in section:
            _write_rrset(out, rrset, seen)
            counts[index] += len(rrset.datas)
            if len(out) > limit:
                raise TooLong
    edns = message.edns
    if edns is not None:
        flags = DO if edns.do else 0
        out += ROOT
        out += OPTION.pack(OPT, edns.size, message.rcode >> 4, edns.version, flags, 0)
        counts[2] += 1
    if len(out) > limit:
        raise TooLong
    bits = message.flags | message.opcode << 11 | message.rcode & 0xF
    questions = 0 if message.qname is None else 1
    HEADER.pack_into(out, 0, message.id, bits, questions, *counts)
    return bytes(out)


def _write_name(out: bytearray, name: bytes, seen: dict[bytes, int]) -> None:
    """NAME, or as much of it as has not been there before, and a pointer to the rest."""
    key = name.lower()
    at = 0
    base = len(out)
    while length := key[at]:
        rest = key[at:]
        before = seen.get(rest)
        if before is not None:
            out += name[:at]
            out += (0xC000 | before).to_bytes(2, "big")
            return
        if base + at < 0x4000:
            seen[rest] = base + at
        at += 1 + length
    out += name


def _write_rrset(out: bytearray, rrset: RRset, seen: dict[bytes, int]) -> None:
    rtype, ttl, name = rrset.rtype, rrset.ttl, rrset.name
    compressed = COMPRESSED.get(rtype)
    for raw in rrset.datas:
        _write_name(out, name, seen)
        if compressed is None:
            out += RECORD.pack(rtype, IN, ttl, len(raw))
            out += raw
            continue
        out += RECORD.pack(rtype, IN, ttl, 0)
        start = len(out)
        for is_name, piece in _parts(rtype, raw):
            if is_name:
                _write_name(out, piece, seen)
            else:
                out += piece
        out[start - 2 : start] = (len(out) - start).to_bytes(2, "big")


@lru_cache(4096)
def _parts(rtype: int, raw: bytes) -> tuple[tuple[bool, bytes], ...]:
    """Data that has names in it which may be compressed: (is it a name?, bytes), in order."""
    return tuple((field == "n", piece) for field, piece in dns_records.pieces(rtype, raw))
