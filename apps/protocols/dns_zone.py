# SPDX-License-Identifier: Apache-2.0
"""Master files: the text in which zones are written (RFC 1035 section 5).

The cast
    `read_records`   a file -> its records one by one, or Fault with file and line
    `Zone`           one zone: which names exist, where it delegates, what it knows
    `load_zone`      a file -> Zone, checked: one SOA, an NS, nothing beside a CNAME

What a line may be:

    $ORIGIN lab.              what a name without a dot at its end goes on with
    $TTL 1h                   how long records may be kept that do not say so themselves
    $INCLUDE more.zone sub    another file, here, perhaps with another origin
    www 60 IN A 10.0.0.1      owner, TTL, class, type, data; TTL and class in any order or left out
        IN AAAA fd00::1       no owner: that of the line before
    @ IN SOA ns me ( 1 2      @ is the origin; between ( and ) lines go on
         3 4 5 )              ; and this is a comment

$INCLUDE takes files from the zone file's own folder and below, so that a zone which a stranger
wrote cannot print /etc/shadow into an error message.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from protocols import dns_records
from protocols.dns_records import (
    CNAME,
    DS,
    NS,
    SOA,
    BadText,
    RRset,
    above,
    data_text,
    name_text,
    type_text,
)
from protocols.language import Sentence, say

MAX_INCLUDES = 16  # files within files
MAX_BYTES = 64 * 1024 * 1024

# The pieces of a line: a comment, an end of line, a bracket, "words in quotes", a word, blanks.
PIECE = re.compile(
    r"""(?P<comment>;[^\n]*)|(?P<end>\n)|(?P<bracket>[()])|"(?P<quoted>(?:\\.|[^"\\\n])*)"
    |(?P<word>(?:\\.|[^\s"();\\])+)|(?P<blank>[^\S\n]+)|(?P<wrong>.)""",
    re.VERBOSE | re.DOTALL,
)


class Fault(Exception):
    """What is wrong with a master file: a sentence that begins with file and line."""


class BadLine(BadText):
    """What is wrong with the text itself, and in which line of it."""

    def __init__(self, number: int, sentence: Sentence) -> None:
        super().__init__(sentence)
        self.number = number


class Line:
    """One entry of a master file: its words, and whether it begins with a blank."""

    def __init__(self, number: int, words: list[str], indented: bool) -> None:
        self.number = number
        self.words = words
        self.indented = indented


def read_lines(text: str) -> Iterator[Line]:
    """The entries of a master file; what stands between brackets is one. Raises BadLine."""
    number = 1
    words: list[str] = []
    start, indented, at_start, depth = 1, False, True, 0
    opened = 0
    for match in PIECE.finditer(text):
        kind = match.lastgroup
        if at_start:
            start, indented, at_start = number, kind == "blank", False
        if kind == "word" or kind == "quoted":
            words.append(match[kind])
        elif kind == "bracket":
            depth += 1 if match[0] == "(" else -1
            opened = number
            if depth not in (0, 1):
                raise BadLine(number, say("a bracket {bracket} too many", bracket=match[0]))
        elif kind == "wrong":
            raise BadLine(number, say("a quotation mark too few, or a lonely backslash"))
        number += match[0].count("\n")
        if kind == "end" and depth == 0:
            if words:
                yield Line(start, words, indented)
            words, at_start = [], True
    if depth:
        raise BadLine(opened, say("a bracket ( that nobody closes"))
    if words:
        yield Line(start, words, indented)


def _place(path: Path, number: int) -> Sentence:
    return say("{file}, line {number}", file=path, number=number)


class Reader:
    """Walks through a master file and what it includes; remembers origin, owner and TTL."""

    def __init__(self, path: Path) -> None:
        self.folder = path.resolve().parent
        self.files: list[Path] = []  # all that were read, to see later whether they have changed
        self.ttl: int | None = None  # of $TTL
        self.last_ttl: int | None = None  # of the record before (RFC 1035 section 5.1)

    def read(
        self, path: Path, origin: bytes | None = None, depth: int = 0
    ) -> Iterator[tuple[Sentence, RRset]]:
        """(where it stands, the record), one by one. Raises Fault and OSError."""
        self.files.append(path.resolve())
        if path.stat().st_size > MAX_BYTES:
            raise Fault(say("{file}: more than {n} bytes", file=path, n=MAX_BYTES))
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
        owner: bytes | None = None
        number = 0
        try:
            for line in read_lines(text):
                number = line.number
                words = line.words
                command = words[0].upper() if not line.indented else ""
                if command == "$ORIGIN":
                    origin = dns_records.name(self._argument(words), origin)
                elif command == "$TTL":
                    self.ttl = dns_records.seconds(self._argument(words))
                elif command == "$INCLUDE":
                    inner = dns_records.name(words[2], origin) if len(words) > 2 else origin
                    yield from self._include(path, self._argument(words), inner, depth)
                elif command.startswith("$"):
                    raise BadText(
                        say("{word} is not known; $ORIGIN, $TTL and $INCLUDE are", word=words[0])
                    )
                else:
                    if not line.indented:
                        owner = dns_records.name(words.pop(0), origin)
                    if owner is None:
                        raise BadText(say("the first record has no owner"))
                    yield _place(path, number), self._record(owner, words, origin)
        except BadText as bad:
            where = _place(path, bad.number if isinstance(bad, BadLine) else number)
            raise Fault(say("{where}: {reason}", where=where, reason=bad.args[0])) from None

    @staticmethod
    def _argument(words: list[str]) -> str:
        if len(words) < 2:
            raise BadText(say("{word} needs something behind it", word=words[0]))
        return words[1]

    def _include(
        self, path: Path, file_name: str, origin: bytes | None, depth: int
    ) -> Iterator[tuple[Sentence, RRset]]:
        # Its own $ORIGIN ends with the file (RFC 1035 section 5.1), and so does its $TTL.
        inner = (path.parent / file_name).resolve()
        if not inner.is_relative_to(self.folder):
            raise BadText(
                say(
                    "$INCLUDE {file}: it lies outside the folder {folder}",
                    file=file_name,
                    folder=self.folder,
                )
            )
        if depth >= MAX_INCLUDES:
            raise BadText(say("more than {n} files within files", n=MAX_INCLUDES))
        if not inner.is_file():
            raise BadText(say("$INCLUDE {file}: there is no such file", file=file_name))
        before = self.ttl, self.last_ttl
        yield from self.read(inner, origin, depth + 1)
        self.ttl, self.last_ttl = before

    def _record(self, owner: bytes, words: list[str], origin: bytes | None) -> RRset:
        ttl: int | None = None
        # TTL and class stand in any order; the first word that is neither is the type.
        while words:
            word = words[0].upper()
            if word in ("CH", "HS", "CS"):
                raise BadText(say("class {word}: only IN is served", word=word))
            if word == "IN" or word == "CLASS1":
                words.pop(0)
            elif word[0:1].isdigit() and ttl is None:
                ttl = dns_records.seconds(words.pop(0))
            else:
                break
        if not words:
            raise BadText(say("no type"))
        rtype = dns_records.type_number(words.pop(0))
        if rtype == dns_records.OPT or 128 <= rtype <= 255:
            raise BadText(say("{type} is for questions, not for zones", type=type_text(rtype)))
        raw = dns_records.data(rtype, words, origin)
        if ttl is None:
            ttl = self.ttl if self.ttl is not None else self.last_ttl
        if ttl is None and rtype == SOA:
            ttl = int.from_bytes(raw[-4:], "big")  # the SOA's minimum, as BIND takes it
        if ttl is None:
            raise BadText(say("no TTL: write one, or $TTL above"))
        self.last_ttl = ttl
        return RRset(owner, rtype, ttl, [raw])


def read_records(path: Path) -> Iterator[RRset]:
    """The records of a master file. Raises Fault and OSError."""
    for _, rrset in Reader(path).read(path):
        yield rrset


class Zone:
    """One zone, with what its master file does not say outright. Names in small letters are keys.

    RECORDS: name -> type -> RRset. NAMES: all names that exist, also those that exist only because
    a name below them does (RFC 4592 section 2.2.2): lab. exists because of a.root-servers.lab.
    """

    def __init__(self, origin: bytes, records: dict[bytes, dict[int, RRset]]) -> None:
        self.origin = origin.lower()
        self.records = records
        self.names = {self.origin}
        self.files: list[Path] = []
        for name in records:
            for ancestor in above(name):
                if ancestor in self.names:
                    break
                self.names.add(ancestor)
        # Names that are handed to other servers.
        self.cuts = {name for name in records if NS in records[name] and name != self.origin}
        soa = records[self.origin][SOA]
        # RFC 2308 section 3: the SOA that goes with a "no"; its TTL is how long "no" may be kept.
        self.denial = RRset(soa.name, SOA, min(soa.ttl, soa.minimum()), soa.datas)

    def rrset(self, name: bytes, rtype: int) -> RRset | None:
        """The records of NAME (in small letters) and RTYPE, or None."""
        node = self.records.get(name)
        return None if node is None else node.get(rtype)

    def cut(self, name: bytes, rtype: int) -> bytes | None:
        """Where, between the zone's top and NAME, the zone is handed to other servers."""
        if not self.cuts:
            return None
        highest = None
        # The highest cut counts: what lies below it is not ours, not even another NS.
        for ancestor in above(name):
            if ancestor == self.origin:
                break
            if ancestor in self.cuts and not (ancestor == name and rtype == DS):
                highest = ancestor  # DS lives on the parent's side of a cut (RFC 4035 3.1.4.1)
        return highest

    def match(self, name: bytes) -> bytes | None:
        """The name whose records answer for NAME: itself, a wildcard, or None (NXDOMAIN)."""
        if name in self.names:
            return name
        for encloser in above(name):
            if encloser in self.names:
                wildcard = b"\1*" + encloser
                return wildcard if wildcard in self.names else None
        return None

    def all(self) -> Iterator[RRset]:
        """Every RRset, as a zone transfer gives them: the SOA first (RFC 5936 section 2.2)."""
        yield self.records[self.origin][SOA]
        for node in self.records.values():
            for rrset in node.values():
                if rrset.rtype != SOA:
                    yield rrset

    def text(self) -> str:
        """The zone as a master file, a record a line."""
        return "".join(
            f"{name_text(rrset.name)} {rrset.ttl} IN {type_text(rrset.rtype)} "
            f"{data_text(rrset.rtype, raw)}\n"
            for rrset in self.all()
            for raw in rrset.datas
        )


def load_zone(path: Path) -> Zone:
    """The zone in the master file PATH. Raises Fault and OSError."""
    reader = Reader(path)
    records: dict[bytes, dict[int, RRset]] = {}
    origin: bytes | None = None
    for where, rrset in reader.read(path):
        name = rrset.name.lower()
        if origin is None:
            if rrset.rtype != SOA:
                raise Fault(say("{where}: a zone begins with its SOA record", where=where))
            origin = name
        elif rrset.rtype == SOA:
            raise Fault(say("{where}: a second SOA record", where=where))
        if not dns_records.is_below(name, origin):
            raise Fault(
                say(
                    "{where}: {name} is not in the zone {zone}",
                    where=where,
                    name=name_text(name),
                    zone=name_text(origin),
                )
            )
        _add(records.setdefault(name, {}), rrset, where)
    if origin is None:
        raise Fault(say("{file}: there is no record in it", file=path))
    if NS not in records[origin]:
        raise Fault(say("{file}: the zone has no NS record at its top", file=path))
    zone = Zone(origin, records)
    zone.files = reader.files
    return zone


def _add(node: dict[int, RRset], rrset: RRset, where: Sentence) -> None:
    """Put one record to the others of its name."""
    if (CNAME in node) != (rrset.rtype == CNAME) and node:
        raise Fault(
            say("{where}: nothing may stand beside a CNAME (RFC 1034 section 3.6.2)", where=where)
        )
    stored = node.setdefault(rrset.rtype, rrset)
    if stored is rrset:
        return
    if rrset.rtype == CNAME:
        raise Fault(say("{where}: a second CNAME for one name", where=where))
    # RFC 2181 section 5.2: all records of a set have one TTL. That of the first counts.
    if rrset.datas[0] not in stored.datas:
        stored.datas.append(rrset.datas[0])
