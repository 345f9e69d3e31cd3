# SPDX-License-Identifier: Apache-2.0
"""What packets tell of each other, kept up to date: only what a packet touches is found anew.

What lives here: packets sorted by what a rule compares in them, and what the rule made of each.
What must not: any rule (`causes.py`).

A rule looks at packets that have a key in common: an address, a number of DNS. So a packet that
comes, or that has come further, changes nothing but what is told of packets with its keys. The
finished story takes all packets and asks once; a live story takes each as it is told, and asks
whenever it looks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence, Set
from dataclasses import dataclass, field

from hoplab.decode.packet import Packet
from hoplab.story.trip_records import UNRELATED, Relation, Trip

Key = tuple[object, ...]


@dataclass(slots=True)
class Draft:
    """What one rule makes of one packet, while it is at it; a `Relation` once all have been."""

    cause: str = ""
    causes: list[int] = field(default_factory=list)
    answered_by: int = 0
    notes: list[str] = field(default_factory=list)


class Drafts(dict[int, Draft]):
    """By the packets' numbers; one that is missing is empty."""

    def __missing__(self, number: int) -> Draft:
        draft = self[number] = Draft()
        return draft


def first_and_last(trip: Trip) -> list[Packet]:
    """The packet as born and, if it was translated, as it arrived."""
    way = trip.way
    return [way.packet, way.last] if way.translated else [way.packet]


class Rule:
    """Takes packets, and drafts what is to be said of them."""

    def __init__(self) -> None:
        self.drafts = Drafts()

    def about(self, kind: str) -> bool:
        """Whether it looks at packets of that kind."""
        return True

    def put(self, trip: Trip) -> None:
        """Takes a packet, or takes it again as it has come further."""
        raise NotImplementedError

    def forget(self, numbers: Set[int]) -> None:
        """Looks at the packets no more; what they have shown of others is not taken back."""
        for number in self.drafts.keys() & numbers:
            del self.drafts[number]

    def update(self, now_ns: int | None) -> set[int]:
        """The packets whose drafts may have changed. now_ns: what has not come by then may still
        come; None if there is nothing more to come."""
        raise NotImplementedError


class Grouped(Rule):
    """A rule for packets that have a key in common: a key with a new packet is gone through anew.
    Its groups must be small, or seldom touched. A packet is drafted under one of its keys alone."""

    def __init__(self) -> None:
        super().__init__()
        self._groups: dict[Key, dict[int, Trip]] = {}
        self._keys: dict[int, Collection[Key]] = {}  # of each packet
        self._drafted: dict[Key, Collection[int]] = {}  # the packets that a key had drafts for
        self._touched: dict[Key, None] = {}

    def keys(self, trip: Trip) -> Collection[Key]:
        """What the packet is to be compared by; none if the rule is not about it. It stays the same
        however far the packet comes."""
        raise NotImplementedError

    def relate(self, key: Key, trips: Sequence[Trip]) -> Drafts:
        """What packets with that key, in order, tell of each other."""
        raise NotImplementedError

    def put(self, trip: Trip) -> None:
        number = trip.way.number
        keys = self._keys.get(number)
        if keys is None:
            keys = self.keys(trip)
            if not keys:
                return
            self._keys[number] = keys
        for key in keys:
            self._groups.setdefault(key, {})[number] = trip
            self._touched[key] = None

    def forget(self, numbers: Set[int]) -> None:
        super().forget(numbers)
        for number in self._keys.keys() & numbers:
            for key in self._keys.pop(number):
                group = self._groups[key]
                del group[number]
                if not group:
                    del self._groups[key]
                    self._drafted.pop(key, None)

    def update(self, now_ns: int | None) -> set[int]:
        changed: set[int] = set()
        if not self._touched:
            return changed
        for key in self._touched:
            group = self._groups.get(key, {})
            in_order = sorted(group) if len(group) > 1 else group
            drafts = self.relate(key, [group[number] for number in in_order])
            drafted = self._drafted.get(key)
            before = {
                number: self.drafts.pop(number)
                for number in drafted or ()
                if number in self.drafts
            }
            if group:
                self._drafted[key] = drafts.keys()
            if not drafts and not before:
                continue
            self.drafts.update(drafts)
            changed.update(
                number
                for number in before.keys() | drafts.keys()
                if before.get(number) != drafts.get(number)
            )
        self._touched.clear()
        return changed


def gather(rules: Iterable[Rule], number: int) -> Relation:
    """What all rules have drafted for a packet, as one record; a later rule knows better."""
    cause, answered_by = "", 0
    causes: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    drafted = False
    for rule in rules:
        draft = rule.drafts.get(number)
        if draft is None:
            continue
        drafted = True
        cause = draft.cause or cause
        causes = tuple(draft.causes) or causes
        answered_by = draft.answered_by or answered_by
        notes += tuple(draft.notes)
    return Relation(cause, causes, answered_by, notes) if drafted else UNRELATED
