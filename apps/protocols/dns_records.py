# SPDX-License-Identifier: Apache-2.0
"""Names and records: as people write them, and as bytes. No messages here, no files, no sockets.

The cast
    `name`, `name_text`   "www.itheima.com." <-> b"\\3www\\7itheima\\3com\\0"
    `above`               a name, its parent, and so on up to the root
    `RRset`               all records of one name and type
    `record`              an RRset from text, for those who write a resolver
    `data`, `data_text`   what stands behind the type: "10 mail.lab." <-> bytes

A name is kept as the bytes that go over the wire (RFC 1035 section 3.1): each label with its length
in front, a zero at the end. Two names are the same when their `.lower()` are the same: a length is
63 at most, and no capital letter has a code that low, so lengths stay as they are. The name above
is a slice. No object, no parsing: that is what makes the servers quick.

One table, `TYPES`, says how each type's data is built; reading, writing, checking, and printing all
follow it. A type that is not in it is carried as plain bytes (RFC 3597).

Example:

    from protocols.dns_records import record
    print(record("mail.lab.", "MX", "10 mx.lab.", ttl=60))
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from struct import pack

from protocols.language import say

ROOT = b"\0"
MAX_NAME = 255  # bytes, RFC 1035 section 2.3.4
MAX_LABEL = 63
MAX_TTL = 2**31 - 1  # RFC 2181 section 8

# Type -> (number, fields). A field is one letter:
#   n  a name that may be compressed (RFC 3597 section 4)   N  a name that may not
#   b, h, i  a number of 8, 16, 32 bits     t  seconds, also written 1h30m
#   4, 6  an address     s  a string with its length in front     S  one or more of them
#   v  a string up to the end     x  bytes up to the end, written in hexadecimal
TYPES = {
    "A": (1, "4"),
    "NS": (2, "n"),
    "CNAME": (5, "n"),
    "SOA": (6, "nnitttt"),
    "PTR": (12, "n"),
    "HINFO": (13, "ss"),
    "MX": (15, "hn"),
    "TXT": (16, "S"),
    "AAAA": (28, "6"),
    "SRV": (33, "hhhN"),
    "NAPTR": (35, "hhsssN"),
    "DS": (43, "hbbx"),
    "SSHFP": (44, "bbx"),
    "TLSA": (52, "bbbx"),
    "SPF": (99, "S"),
    "CAA": (257, "bsv"),
}
NUMBERS = {name: number for name, (number, _) in TYPES.items()}
FIELDS = dict(TYPES.values())
# Types of questions and of the protocol's own records, never in a zone.
QUESTIONS = {"OPT": 41, "TSIG": 250, "IXFR": 251, "AXFR": 252, "ANY": 255}
MNEMONICS = {number: name for name, number in (NUMBERS | QUESTIONS).items()}
A, NS, CNAME, SOA, PTR, MX, TXT, AAAA, SRV, DS = (
    NUMBERS[word] for word in "A NS CNAME SOA PTR MX TXT AAAA SRV DS".split()
)
OPT, TSIG, IXFR, AXFR, ANY = QUESTIONS.values()
SIZES = {"b": 1, "h": 2, "i": 4, "t": 4, "4": 4, "6": 16}
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


class BadText(ValueError):
    """What somebody wrote is no name, no type or no data; the message says why."""


# ---- names -----------------------------------------------------------------------------------


def unescape(text: str) -> bytes:
    """TEXT with \\. and \\065 made into the bytes they mean (RFC 1035 section 5.1)."""
    if "\\" not in text:
        return text.encode("utf-8", "surrogateescape")
    out = bytearray()
    for piece in re.findall(r"\\\d{3}|\\\D|[^\\]+|\\\d?", text, re.DOTALL):
        if piece[0] != "\\":
            out += piece.encode("utf-8", "surrogateescape")
        elif len(piece) == 4 and int(piece[1:]) < 256:
            out.append(int(piece[1:]))
        elif len(piece) == 2 and not piece[1].isdigit():
            out += piece[1:].encode("utf-8", "surrogateescape")
        else:
            raise BadText(
                say("{text!r}: a backslash needs a character or three digits up to 255", text=text)
            )
    return bytes(out)


def name(text: str, origin: bytes | None = ROOT) -> bytes:
    """The name that TEXT means; one without a dot at its end continues with ORIGIN."""
    if text == "@" and origin is not None:
        return origin
    if text == ".":
        return ROOT
    out = bytearray()
    # Dots part labels, unless a backslash stands before them.
    labels = re.findall(r"((?:\\.|[^\\.])+)(\.|$)|(\.|\\$)", text, re.DOTALL)
    for label, _, _ in labels:
        raw = unescape(label)
        if not raw:
            raise BadText(say("{text!r} has an empty label", text=text))
        if len(raw) > MAX_LABEL:
            raise BadText(
                say("{text!r} has a label of more than {n} bytes", text=text, n=MAX_LABEL)
            )
        out.append(len(raw))
        out += raw
    if not out:
        raise BadText(say("an empty name"))
    if labels[-1][1]:
        out += ROOT
    elif origin is None:
        raise BadText(
            say("{text!r} has no dot at its end, and there is no $ORIGIN to go on with", text=text)
        )
    else:
        out += origin
    if len(out) > MAX_NAME:
        raise BadText(say("{text!r} is longer than {n} bytes", text=text, n=MAX_NAME))
    return bytes(out)


def labels_of(wire: bytes) -> list[bytes]:
    """The labels of a name, without the root's empty one."""
    labels = []
    at = 0
    while length := wire[at]:
        labels.append(wire[at + 1 : at + 1 + length])
        at += 1 + length
    return labels


_PLAIN = re.compile(rb"[A-Za-z0-9_.-]*")


@lru_cache(4096)
def name_text(wire: bytes) -> str:
    """A name as people write it, with the dot at its end."""
    if wire == ROOT:
        return "."
    labels = labels_of(wire)
    joined = b".".join(labels)
    if _PLAIN.fullmatch(joined) and joined.count(b".") == len(labels) - 1:
        return joined.decode("ascii") + "."  # as nearly all names, it has nothing to escape
    return "".join(_escape(label, '.();@$"\\ ') + "." for label in labels)


def _escape(raw: bytes, special: str) -> str:
    out = []
    for byte in raw:
        char = chr(byte)
        if char in special and char != " ":
            out.append("\\" + char)
        elif 0x20 < byte < 0x7F or (char == " " and " " not in special):
            out.append(char)
        else:
            out.append(f"\\{byte:03}")
    return "".join(out)


def above(wire: bytes) -> Iterator[bytes]:
    """The name itself, the name above it, ... and the root."""
    while wire != ROOT:
        yield wire
        wire = wire[1 + wire[0] :]
    yield ROOT


def parent(wire: bytes) -> bytes:
    """The name above this one; above the root there is the root."""
    return wire[1 + wire[0] :] or ROOT


def is_below(wire: bytes, top: bytes) -> bool:
    """Is a name TOP itself or below it? Both in small letters."""
    return wire.endswith(top) and any(ancestor == top for ancestor in above(wire))


def end_of_name(raw: bytes, at: int) -> int:
    """Where the name that begins at AT ends; it is not compressed."""
    while raw[at]:
        at += 1 + raw[at]
    return at + 1


# ---- types and their data ------------------------------------------------------------------


def type_number(text: str) -> int:
    """The number of a type; TYPE123 means 123 (RFC 3597 section 5)."""
    word = text.upper()
    if word in NUMBERS:
        return NUMBERS[word]
    if word in QUESTIONS:
        return QUESTIONS[word]
    if re.fullmatch(r"TYPE\d{1,5}", word) and int(word[4:]) < 65536:
        return int(word[4:])
    raise BadText(say("{text!r} is no type of record that we know", text=text))


def type_text(number: int) -> str:
    """The type's name."""
    return MNEMONICS.get(number) or f"TYPE{number}"


def seconds(text: str) -> int:
    """A TTL: 3600, or 1h, 2d12h."""
    total = 0
    if text.isascii() and text.isdigit():
        total = int(text)
    elif re.fullmatch(r"(\d+[smhdwSMHDW])+", text, re.ASCII):
        total = sum(int(n) * UNITS[u] for n, u in re.findall(r"(\d+)(.)", text.lower()))
    else:
        raise BadText(say("{text!r} is no time: give seconds, or 1h, 2d12h", text=text))
    if total > MAX_TTL:
        raise BadText(say("{text} is more than {n} seconds", text=text, n=MAX_TTL))
    return total


def data(rtype: int, words: Sequence[str], origin: bytes | None = ROOT) -> bytes:
    """The data of a record, from the words behind its type. Raises BadText."""
    words = list(words)
    if words and words[0] == "\\#":
        return _plain(rtype, words)
    fields = FIELDS.get(rtype)
    if fields is None:
        raise BadText(
            say("write {type} as \\# LENGTH HEXADECIMAL (RFC 3597)", type=type_text(rtype))
        )
    out = bytearray()
    for field in fields:
        if not words:
            raise BadText(
                say("{type} needs more: {fields}", type=type_text(rtype), fields=_shape(fields))
            )
        if field == "S":
            out += b"".join(_string(word) for word in words)
            words = []
        elif field == "x":
            out += _hexadecimal("".join(words))
            words = []
        else:
            out += _field(field, words.pop(0), origin)
    if words:
        raise BadText(
            say(
                "{word!r} is too much for {type}: {fields}",
                word=words[0],
                type=type_text(rtype),
                fields=_shape(fields),
            )
        )
    if len(out) > 65535:
        raise BadText(say("more than 65535 bytes of data"))
    return bytes(out)


def _field(field: str, word: str, origin: bytes | None) -> bytes:
    if field in "nN":
        return name(word, origin)
    if field == "s":
        return _string(word)
    if field == "v":
        return unescape(word)
    if field in "46":
        try:
            kind = ipaddress.IPv4Address if field == "4" else ipaddress.IPv6Address
            return kind(word).packed
        except ValueError:
            raise BadText(
                say("{word!r} is no IPv{version} address", word=word, version=field)
            ) from None
    if field == "t":
        return pack("!I", seconds(word))
    size = SIZES[field]
    if not (word.isascii() and word.isdigit() and int(word) < 256**size):
        raise BadText(say("{word!r} is no number from 0 to {most}", word=word, most=256**size - 1))
    return int(word).to_bytes(size, "big")


def _string(word: str) -> bytes:
    raw = unescape(word)
    if len(raw) > 255:
        raise BadText(say("a string of {n} bytes: 255 is the most, write several", n=len(raw)))
    return bytes((len(raw),)) + raw


def _hexadecimal(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise BadText(say("{text!r} is not hexadecimal", text=text)) from None


def _plain(rtype: int, words: list[str]) -> bytes:
    """\\# LENGTH HEXADECIMAL (RFC 3597 section 5); for a type that we know, checked too."""
    if len(words) < 2 or not words[1].isdigit():
        raise BadText(say("\\# needs a length"))
    raw = _hexadecimal("".join(words[2:]))
    if len(raw) != int(words[1]):
        raise BadText(
            say("\\# promises {promised} bytes and gives {n}", promised=words[1], n=len(raw))
        )
    if rtype in FIELDS:
        try:
            walked = sum(len(piece) for _, piece in pieces(rtype, raw))
        except (IndexError, ValueError):
            walked = -1
        if walked != len(raw):
            raise BadText(say("these bytes are no {type}", type=type_text(rtype)))
    return raw


def _shape(fields: str) -> str:
    words = {"n": "NAME", "N": "NAME", "t": "SECONDS", "4": "IPV4", "6": "IPV6", "x": "HEX"}
    words |= dict.fromkeys("bhi", "NUMBER") | dict.fromkeys("sSv", "STRING")
    return " ".join(words[field] for field in fields)


def pieces(rtype: int, raw: bytes) -> Iterator[tuple[str, bytes]]:
    """RAW cut into the fields of its type: (letter, bytes). Raises IndexError or ValueError."""
    at = 0
    for field in FIELDS[rtype]:
        if field in "nN":
            end = end_of_name(raw, at)
        elif field == "s":
            end = at + 1 + raw[at]
        elif field in "Svx":
            end = len(raw)
        else:
            end = at + SIZES[field]
        if end > len(raw):
            raise ValueError("too short")
        if field == "S":
            while at < end:
                size = 1 + raw[at]
                if at + size > end:
                    raise ValueError("too short")
                yield "s", raw[at : at + size]
                at += size
        else:
            yield field, raw[at:end]
        at = end


def data_text(rtype: int, raw: bytes) -> str:
    """The data of a record as people write it."""
    if rtype not in FIELDS:
        return f"\\# {len(raw)} {raw.hex()}".rstrip()
    words = []
    for field, piece in pieces(rtype, raw):
        if field in "nN":
            words.append(name_text(piece))
        elif field == "s" and rtype == NUMBERS["CAA"]:
            words.append(_escape(piece[1:], ' ;()"\\') or '""')
        elif field in "sv":
            words.append(f'"{_escape(piece[1:] if field == "s" else piece, chr(34) + chr(92))}"')
        elif field == "x":
            words.append(piece.hex().upper())
        elif field in "46":
            words.append(str(ipaddress.ip_address(piece)))
        else:
            words.append(str(int.from_bytes(piece, "big")))
    return " ".join(words)


@dataclass(slots=True)
class RRset:
    """All records of one name and type: their data, and how long they may be kept (seconds)."""

    name: bytes
    rtype: int
    ttl: int
    datas: list[bytes]

    def __str__(self) -> str:
        head = f"{name_text(self.name)} {self.ttl} IN {type_text(self.rtype)}"
        return ", ".join(f"{head} {data_text(self.rtype, raw)}" for raw in self.datas)

    def target(self) -> bytes:
        """The name that a CNAME, NS or PTR points at (that of its first record)."""
        return self.datas[0]

    def targets(self) -> list[bytes]:
        """The names whose addresses go with these records (RFC 1035 section 3.3)."""
        skip = {NS: 0, MX: 2, SRV: 6}.get(self.rtype)
        return [] if skip is None else [raw[skip:] for raw in self.datas]

    def minimum(self) -> int:
        """Of a SOA: how long a denial may be kept (RFC 2308 section 4)."""
        return int.from_bytes(self.datas[0][-4:], "big")


def record(owner: str, rtype: str, *values: str, ttl: int = 60) -> RRset:
    """Records from text: record("a.lab.", "A", "10.0.0.1"). Raises BadText."""
    number = type_number(rtype)
    return RRset(name(owner), number, ttl, [data(number, split(value)) for value in values])


WORD = re.compile(r'\s*(?:"((?:\\.|[^"\\])*)"|((?:\\.|[^\s"\\])+))', re.DOTALL)


def split(text: str) -> list[str]:
    """TEXT in words; quotation marks hold one together."""
    words = []
    at = 0
    while text[at:].strip():
        match = WORD.match(text, at)
        if match is None:
            raise BadText(
                say("a quotation mark too few, or a backslash at the end: {text!r}", text=text)
            )
        words.append(match[1] if match[1] is not None else match[2])
        at = match.end()
    return words
