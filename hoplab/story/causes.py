# SPDX-License-Identifier: Apache-2.0
"""What the trips have to do with each other: which answers which, and which made which necessary.

What lives here: the rules in their order, and that for fragments. The others have modules of their
own: `icmp_causes.py`, `neighbour_causes.py`, `claim_notes.py`, `lookups.py`; each finds pairs and
causes that frames prove. What must not: headings and how it all ended.

1. An ICMP error quotes the packet that caused it.
2. Answers: ARP by address, DNS by id and both ends, echo by ident and seq and both ends.
3. A switch needs no address and asks for nothing. What it sent without a frame that came in for it
   is told so, and is nobody's question.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence, Set

from hoplab.sentences import say
from hoplab.story import leases
from hoplab.story.claim_notes import ClaimNotes
from hoplab.story.icmp_causes import Echoes, IcmpErrors
from hoplab.story.lookups import Lookup, Lookups, Recursion
from hoplab.story.neighbour_causes import MacAnswers, MacNeeds
from hoplab.story.places import Places
from hoplab.story.relations import Drafts, Grouped, Key, Rule, gather
from hoplab.story.trip_records import Relation, Trip


class Causes:
    """What packets tell of each other. `put` takes them, in any order, and again as they come
    further; `update` says whose relation has changed by that.

    begun_ns: from then on no packet is missing; None if some may be.
    """

    def __init__(self, places: Places, begun_ns: int | None = None) -> None:
        self._trips: dict[int, Trip] = {}  # all packets that are looked at, as far as they came
        errors, echoes, answers = IcmpErrors(self._trips), Echoes(), MacAnswers()
        self._answering = (errors, echoes, answers)
        self._needs = MacNeeds(places, self._trips, self._answering)
        self._lookups = Lookups()
        # A later one knows better why a packet came and what answers it.
        self.rules: tuple[Rule, ...] = (
            _Parts(), *self._answering, leases.Answers(), self._needs,
            ClaimNotes(places.wiring, self._trips, begun_ns), self._lookups,
            Recursion(self._lookups),
        )  # fmt: skip
        self._by_kind: dict[str, tuple[Rule, ...]] = {}  # those that look at packets of a kind

    @property
    def lookups(self) -> list[Lookup]:
        """All questions for names, in the order in which they were asked."""
        return self._lookups.all

    def put(self, trip: Trip) -> None:
        """Takes a packet, or takes it again as it has come further."""
        self._trips[trip.way.number] = trip
        kind = trip.kind
        for rule in self._by_kind.get(kind) or self._about(kind):
            rule.put(trip)

    def forget(self, numbers: Set[int]) -> None:
        """Looks at the packets no more; what they have shown of others is not taken back."""
        by_kind: dict[str, set[int]] = {}
        for number in numbers:
            trip = self._trips.pop(number, None)
            if trip is not None:
                by_kind.setdefault(trip.kind, set()).add(number)
        by_rule: dict[Rule, set[int]] = {}
        for kind, alike in by_kind.items():
            for rule in self._about(kind):
                by_rule.setdefault(rule, set()).update(alike)
        for rule, theirs in by_rule.items():
            rule.forget(theirs)

    def _about(self, kind: str) -> tuple[Rule, ...]:
        rules = self._by_kind.get(kind)
        if rules is None:
            rules = self._by_kind[kind] = tuple(rule for rule in self.rules if rule.about(kind))
        return rules

    def moved(self, addresses: Iterable[str]) -> None:
        """These addresses are another node's than before."""
        self._needs.moved(addresses)

    def update(self, now_ns: int | None = None) -> dict[int, Relation]:
        """The relations that may have changed, by number. now_ns: what has not come by then may
        still come; None if there is nothing more to come."""
        changed: set[int] = set()
        for rule in self.rules:
            news = rule.update(now_ns)
            if rule in self._answering:
                self._needs.answered(news)
            changed |= news
        trips = self._trips
        return {
            number: gather(self._about(trips[number].kind), number)
            for number in changed & trips.keys()
        }


def find_causes(
    places: Places, trips: Iterable[Trip], begun_ns: int | None = None
) -> tuple[dict[int, Relation], list[Lookup]]:
    """The relations of all packets of a finished story, by number, and the DNS lookups.

    begun_ns: from then on no packet is missing; None if some may be.
    """
    causes = Causes(places, begun_ns)
    for trip in trips:
        causes.put(trip)
    return causes.update(), causes.lookups


def first_parts(trips: Iterable[Trip]) -> dict[int, int]:
    """Of each later fragment the trip with the first one (RFC 791 section 3.2)."""
    firsts: dict[Key, int] = {}
    first_of = {}
    for trip in trips:
        ip = trip.packet.ip
        if ip is not None and ip.fragment:
            first = firsts.setdefault((ip.src, ip.dst, ip.protocol, ip.ident), trip.number)
            if first != trip.number:
                first_of[trip.number] = first
    return first_of


class _Parts(Grouped):
    """Later fragments, by what all parts of a packet have in common."""

    def put(self, trip: Trip) -> None:
        ip = trip.packet.ip
        if ip is not None and ip.fragment:
            super().put(trip)

    def keys(self, trip: Trip) -> Collection[Key]:
        ip = trip.packet.ip
        return ((ip.src, ip.dst, ip.protocol, ip.ident),) if ip is not None else ()

    def relate(self, key: Key, trips: Sequence[Trip]) -> Drafts:
        drafts = Drafts()
        for number, first in first_parts(trips).items():
            note = say("a later part of the packet that began with #{packet}", packet=first)
            drafts[number].notes.append(note)
        return drafts
