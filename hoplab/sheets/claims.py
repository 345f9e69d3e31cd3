# SPDX-License-Identifier: Apache-2.0
"""What a check claims of packets: from words to records.

What lives here: the grammar of claims. What must not: packets (`packet_claims.py`).

    1 packet, no packets, at least 2 packets, 2 to 4 packets
    3 copies            0 retransmissions
    seen at s1-eth2 and nowhere else            not seen at h3, h4
    source MAC changes 2 times between client and www            source IP stays
    ttl 64 -> 62
    before tcp.syn            after dns.response
    within 2 s of dns.question            at least 100 ms after tcp.syn
    all answered            none lost
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from hoplab.packet_filter.grammar import FilterError, Tree, parse
from hoplab.sentences import say, sentence_of, term

FIELDS = ("source MAC", "destination MAC", "source IP", "destination IP", "TTL")
_BY_NAME = {name.lower(): name for name in FIELDS}
COUNT = (
    r"(?:(?P<word>no|some)|at least (?P<least>\d+)|at most (?P<most>\d+)"
    r"|(?P<low>\d+) to (?P<high>\d+)|(?P<exact>\d+))"
)
_FIELD = r"(?P<field>source mac|destination mac|source ip|destination ip|ttl)"
_BETWEEN = r"(?: between (?P<first_node>\S+) and (?P<last_node>\S+))?"
_SPAN = r"(?P<amount>\d+(?:\.\d+)?) ?(?P<unit>us|ms|s)"
_NS = {"us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}


class ClaimError(ValueError):
    """Words that claim nothing; its sentence says why."""


@dataclass(frozen=True)
class Count:
    """How many there are to be. most: None for any number."""

    least: int
    most: int | None

    def holds(self, n: int) -> bool:
        return self.least <= n and (self.most is None or n <= self.most)


@dataclass(frozen=True)
class HowMany:
    """So many packets, copies of each, or segments that were sent again. of: which of these."""

    of: str
    count: Count


@dataclass(frozen=True)
class Seen:
    """Each was at all of these places, or at none of them; nowhere_else: on no way beside them."""

    places: tuple[str, ...]
    wanted: bool
    nowhere_else: bool


@dataclass(frozen=True)
class Changes:
    """A field changes so often on the way of each. between: the part of the way that counts."""

    field: str
    count: Count
    between: tuple[str, str] | None


@dataclass(frozen=True)
class Becomes:
    """A field has this value first and that one last."""

    field: str
    first: str
    last: str
    between: tuple[str, str] | None


@dataclass(frozen=True)
class Order:
    """The first of them is earlier, or later, than the first that the filter means."""

    earlier: bool
    text: str
    tree: Tree


@dataclass(frozen=True)
class Delay:
    """So long after the first packet that the filter means. most_ns: None for however long."""

    least_ns: int
    most_ns: int | None
    text: str
    tree: Tree


@dataclass(frozen=True)
class Every:
    """Each of them is meant by the filter too, or none is."""

    wanted: bool
    text: str
    tree: Tree


What = HowMany | Seen | Changes | Becomes | Order | Delay | Every


@dataclass(frozen=True)
class Claim:
    """A claim and the words that it was made with."""

    text: str
    what: What


def read_claim(text: str) -> Claim:
    """The claim in these words. Raises ClaimError."""
    words = " ".join(text.split())
    for pattern, make in _FORMS:
        match = re.fullmatch(pattern, words, re.IGNORECASE)
        if match is not None:
            return Claim(words, make(match))
    raise ClaimError(
        say("{words} is no claim; such as: 1 packet, seen at s1-eth2 and nowhere else, "
            "ttl 64 -> 63, all answered", words=repr(words))
    )  # fmt: skip


def read_filter(text: str) -> Tree:
    """The tree of a filter. Raises ClaimError."""
    try:
        return parse(text)
    except FilterError as error:
        message = say("{reason}, in the filter {filter}", reason=sentence_of(error), filter=text)
        raise ClaimError(message) from error


def read_count(match: re.Match[str]) -> Count:
    """The number in the groups of COUNT."""
    groups = match.groupdict()
    if groups["word"]:
        return Count(0, 0) if groups["word"].lower() == "no" else Count(1, None)
    if groups["least"]:
        return Count(int(groups["least"]), None)
    if groups["most"]:
        return Count(0, int(groups["most"]))
    if groups["low"]:
        return Count(int(groups["low"]), int(groups["high"]))
    return Count(int(groups["exact"]), int(groups["exact"]))


def _how_many(match: re.Match[str]) -> What:
    kinds = {"p": "packets", "c": "copies", "r": "retransmissions"}
    return HowMany(kinds[match["kind"][0].lower()], read_count(match))


def _seen(match: re.Match[str]) -> What:
    places = tuple(filter(None, re.split(r"\s*(?:,|\band\b)\s*", match["places"])))
    nowhere_else = bool(match["else"])
    if match["not"] and nowhere_else:
        raise ClaimError(term("'not seen' and 'nowhere else' do not go together"))
    return Seen(places, not match["not"], nowhere_else)


def _between(match: re.Match[str]) -> tuple[str, str] | None:
    return (match["first_node"], match["last_node"]) if match["first_node"] else None


def _changes(match: re.Match[str]) -> What:
    return Changes(_BY_NAME[match["field"].lower()], read_count(match), _between(match))


def _stays(match: re.Match[str]) -> What:
    return Changes(_BY_NAME[match["field"].lower()], Count(0, 0), _between(match))


def _becomes(match: re.Match[str]) -> What:
    field = _BY_NAME[match["field"].lower()]
    return Becomes(field, match["first"], match["last"], _between(match))


def _order(match: re.Match[str]) -> What:
    text = match["filter"]
    return Order(match["which"].lower() == "before", text, read_filter(text))


def _delay(match: re.Match[str]) -> What:
    ns = round(float(match["amount"]) * _NS[match["unit"].lower()])
    text = match["filter"]
    if match["bound"].lower() == "within":
        return Delay(0, ns, text, read_filter(text))
    return Delay(ns, None, text, read_filter(text))


def _every(match: re.Match[str]) -> What:
    text = match["filter"]
    return Every(match["which"].lower() in ("all", "each"), text, read_filter(text))


_FORMS = (
    (rf"{COUNT} (?P<kind>packets?|cop(?:y|ies)|retransmissions?)", _how_many),
    (r"(?P<not>not )?seen at (?P<places>.+?)(?P<else> and nowhere else)?", _seen),
    (rf"{_FIELD} changes {COUNT} times?{_BETWEEN}", _changes),
    (rf"{_FIELD} (?:stays(?: the same)?|does not change){_BETWEEN}", _stays),
    (rf"{_FIELD} (?P<first>\S+) ?(?:->|→) ?(?P<last>\S+){_BETWEEN}", _becomes),
    (rf"(?P<bound>within) {_SPAN} of (?P<filter>.+)", _delay),
    (rf"(?P<bound>at least) {_SPAN} after (?P<filter>.+)", _delay),
    (r"(?P<which>before|after) (?P<filter>.+)", _order),
    (r"(?P<which>all|each|none) (?P<filter>.+)", _every),
)
