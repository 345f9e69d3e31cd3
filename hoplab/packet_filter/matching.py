# SPDX-License-Identifier: Apache-2.0
"""Which packets of a run a filter means.

What lives here: what each word of the language asks of a packet. What must not: grammar.

>>> test = compile_filter("tcp.syn from client not via r2", run)
>>> [trip.number for trip in run.story.trips if test(trip)]

The player's page has the same in `web/static/filter.js`, over columns that are made from the
functions here; a test compares the two, filter by filter.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any

from hoplab.packet_filter.fates import FLOODED, IGNORED, LOST, ROUTED, VANISHED, fates
from hoplab.packet_filter.grammar import (
    Both,
    Compared,
    Either,
    FilterError,
    Not,
    Related,
    Title,
    Tree,
    Word,
    parse,
)
from hoplab.packet_filter.vocabulary import PROTOCOLS, STATES
from hoplab.runs import Run, data_of
from hoplab.story.records import Step
from hoplab.story.trip_records import Trip

Test = Callable[[Trip], bool]
_SPAN = re.compile(r"#?([0-9]+)(?:\.\.#?([0-9]+))?")
_ADDRESS = re.compile(r"[0-9.]+|.*:.*")
_NAME_OF_SITE = re.compile(r"\.[A-Za-z0-9_]{2,}\Z")
_SIGNS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq, "=": operator.eq, "!=": operator.eq, "<": operator.lt, ">": operator.gt,
    "<=": operator.le, ">=": operator.ge,
}  # fmt: skip
TICK_NS = 100  # times are compared to this


def compile_filter(text: str, run: Run) -> Test:
    """What tells of each packet of a run whether the filter means it. Raises FilterError, also for
    names that the run has not."""
    return compile_tree(parse(text), run)


def compile_tree(tree: Tree, run: Run) -> Test:
    """The same for a filter that is parsed already. Raises FilterError for names that the run has
    not."""
    return _Asker(run).test(tree)


def words(trip: Trip) -> set[str]:
    """Protocols and kinds that a packet can be asked for: 'tcp', 'syn', 'ip'."""
    packet = trip.packet
    layers = {
        "arp": packet.arp, "ip": packet.ip, "ipv4": packet.ipv4, "ipv6": packet.ipv6,
        "icmp": packet.icmp, "udp": packet.udp, "tcp": packet.tcp,
    }  # fmt: skip
    return {*trip.kind.split("-"), *(name for name, layer in layers.items() if layer is not None)}


def ttl(data: bytes) -> int:
    """The TTL (RFC 791) or hop limit (RFC 8200) of a frame's packet, 0 if it has none."""
    at = 12
    while data[at : at + 2] in (b"\x81\x00", b"\x88\xa8"):  # tags of VLANs (IEEE 802.1Q)
        at += 4
    kind, field = data[at : at + 2], {b"\x08\x00": at + 10, b"\x86\xdd": at + 9}
    place = field.get(kind, len(data))
    return data[place] if place < len(data) else 0


class _Asker:
    """Makes tests from trees, for the names of one run."""

    def __init__(self, run: Run) -> None:
        self._run = run

    @cached_property
    def _step_of(self) -> dict[int, Step]:
        return {number: step for step in self._run.story.steps for number in step.trips}

    @cached_property
    def _interfaces(self) -> set[str]:
        return {interface.name for interface in self._run.wiring.interfaces}

    def test(self, tree: Tree) -> Test:
        """The test that a tree means."""
        if isinstance(tree, Either | Both):
            tests = [self.test(part) for part in tree.parts]
            together = any if isinstance(tree, Either) else all
            return lambda trip: together(test(trip) for test in tests)
        if isinstance(tree, Not):
            inner = self.test(tree.part)
            return lambda trip: not inner(trip)
        if isinstance(tree, Compared):
            return self._compared(tree)
        if isinstance(tree, Related):
            return self._related(tree.relation, tree.value)
        if isinstance(tree, Title):
            return _titled(tree.text)
        return self._word(tree)

    def _compared(self, tree: Compared) -> Test:
        read, holds = getattr(self, f"_{tree.reading}"), _SIGNS[tree.sign]
        exact = isinstance(tree.value, float)

        def some(trip: Trip) -> bool:
            values = read(trip)
            return any(holds(v if exact else str(v).lower(), tree.value) for v in values)

        return (lambda trip: not some(trip)) if tree.sign == "!=" else some

    # ------------------------------------------------------------------ readings

    def _length(self, trip: Trip) -> Iterable[int]:
        return (trip.length,)

    def _ttl(self, trip: Trip) -> Iterable[int]:
        values = (ttl(data_of(leg, self._run.frames)) for leg in trip.legs)
        return (value for value in values if value)

    def _time(self, trip: Trip) -> Iterable[float]:
        """Milliseconds from the first frame of the run to the first of the packet."""
        started = self._run.story.started_ns
        return (max(0, leg.t_ns - started) // TICK_NS * TICK_NS / 1e6 for leg in trip.legs[:1])

    def _packet(self, trip: Trip) -> Iterable[int]:
        return (trip.number,)

    def _copies(self, trip: Trip) -> Iterable[int]:
        return (trip.frames,)

    def _frame_number(self, trip: Trip) -> Iterable[int]:
        return (number for leg in trip.legs for number in (leg.sent, leg.received) if number)

    def _source(self, trip: Trip) -> Iterable[str]:
        return (trip.src,)

    def _destination(self, trip: Trip) -> Iterable[str]:
        return (trip.dst,)

    def _address(self, trip: Trip) -> Iterable[str]:
        return (trip.src, trip.dst)

    def _source_mac(self, trip: Trip) -> Iterable[str]:
        return (leg.src_mac for leg in trip.legs)

    def _destination_mac(self, trip: Trip) -> Iterable[str]:
        return (leg.dst_mac for leg in trip.legs)

    def _mac(self, trip: Trip) -> Iterable[str]:
        return (mac for leg in trip.legs for mac in (leg.src_mac, leg.dst_mac))

    # ------------------------------------------------------------------ relations

    def _related(self, relation: str, value: str) -> Test:
        nodes = self._run.wiring.nodes
        if relation == "from":
            by_name = value in nodes
            return lambda trip: (trip.sender if by_name else trip.src) == value
        if relation == "to":
            by_name = value in nodes
            return lambda trip: (trip.target if by_name else trip.dst) == value
        if relation == "step":
            return self._in_step(value.lower())
        if relation == "on":
            if value not in self._interfaces:
                raise FilterError(value)
            return lambda trip: any(
                value in (leg.tail_interface, leg.head_interface) for leg in trip.legs
            )
        if value not in nodes:
            raise FilterError(value)
        if relation == "at":
            return lambda trip: value in _touched(trip)
        return lambda trip: value not in (trip.sender, trip.target) and value in _touched(trip)

    def _in_step(self, value: str) -> Test:
        def within(trip: Trip) -> bool:
            step = self._step_of.get(trip.number)
            return step is not None and value in (str(step.number), step.key)

        return within

    # ------------------------------------------------------------------ words

    def _word(self, word: Word) -> Test:
        text, low = word.text, word.text.lower()
        span = _SPAN.fullmatch(text)
        if span is not None:
            first, last = int(span[1]), int(span[2] or span[1])
            return lambda trip: first <= trip.number <= last
        if text in self._run.wiring.nodes:
            return self._related("at", text)
        if text in self._interfaces:
            return self._related("on", text)
        if low in STATES:
            return _state(low)
        parts = low.removeprefix("tcp.flags.").split(".")
        parts = ["tcp", *parts] if low.startswith("tcp.flags.") else parts
        if parts[0] in PROTOCOLS:
            return lambda trip: words(trip).issuperset(parts)
        if _ADDRESS.fullmatch(text):
            return lambda trip: text in (trip.src, trip.dst) or low in self._mac(trip)
        if "." in text and not _NAME_OF_SITE.search(text):
            raise FilterError(text)
        return _titled(text)


def _titled(text: str) -> Test:
    low = text.lower()
    return lambda trip: low in trip.title.lower()


def _touched(trip: Trip) -> set[str]:
    """The nodes that sent a frame of it, or that one came to."""
    senders = {leg.tail for leg in trip.legs}
    return senders | {
        leg.head for leg, fate in zip(trip.legs, fates(trip), strict=True) if not fate & VANISHED
    }


_BITS = {
    "lost": LOST, "vanished": VANISHED, "flooded": FLOODED, "ignored": IGNORED, "routed": ROUTED,
}  # fmt: skip


def _state(name: str) -> Test:
    if name in _BITS:
        bits = _BITS[name]
        return lambda trip: any(fate & bits for fate in fates(trip))
    if name == "ended":
        return lambda trip: bool(trip.ended)
    if name == "translated":
        return lambda trip: any(rewrite.translated for rewrite in trip.rewrites)
    if name == "answered":
        return lambda trip: trip.answered_by > 0
    assert name == "asked"
    return lambda trip: any(
        decision.by == "controller" and decision.packet_in for decision in trip.decisions
    )
