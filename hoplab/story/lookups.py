# SPDX-License-Identifier: Apache-2.0
"""Questions for names: which answer belongs to which, and on whose behalf a resolver asked.

What lives here: DNS questions and answers by the number that both bear, and by both ends. What must
not: what an answer says, in words (`dns_titles.py`), how a lookup ended (`end_of_lookup.py`).

A DNS question by a resolver is caused by the question that it has been asked and has not yet
answered.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from hoplab.decode import dns as wire_dns
from hoplab.decode import packet as wire
from hoplab.decode.dns import Dns
from hoplab.sentences import say
from hoplab.story.dns_titles import dns_refers, dns_result
from hoplab.story.relations import Draft, Drafts, Grouped, Key, Rule, first_and_last
from hoplab.story.trip_records import Trip


@dataclass(slots=True)
class Lookup:
    """One DNS question and its answer. Trips by number, 0 for none.

    replied_ns: when the answer was sent. tries: all sendings of the question. serves: the question
    on whose behalf it was asked. referral: the answer sends the asker on to other servers. lost:
    answers that never came.
    """

    question: int
    asker: str
    server: str
    name: str
    kind: str
    asked_ns: int
    tries: list[int] = field(default_factory=list)
    answer: int = 0
    answered_ns: int = 0
    replied_ns: int = 0
    rcode: int | None = None
    result: str = ""
    has_record: bool = False  # the answer holds a record of the type asked for
    referral: bool = False
    truncated: bool = False
    serves: int = 0
    tcp: bool = False
    lost: list[int] = field(default_factory=list)


class Lookups(Grouped):
    """Questions for names and their answers, by the number that both bear."""

    def __init__(self) -> None:
        super().__init__()
        self._lookups: dict[Key, list[Lookup]] = {}
        self._messages: dict[int, Dns] = {}  # of each packet
        self.changed = False  # since somebody has looked

    @property
    def all(self) -> list[Lookup]:
        """In the order in which they were asked."""
        lookups = [lookup for group in self._lookups.values() for lookup in group]
        return sorted(lookups, key=lambda lookup: lookup.question)

    def keys(self, trip: Trip) -> Collection[Key]:
        if trip.kind not in ("dns-question", "dns-answer"):
            return ()
        dns = wire_dns.read(trip.packet)
        if dns is None:
            return ()
        self._messages[trip.number] = dns
        return ((dns.id,),)

    def relate(self, key: Key, trips: Sequence[Trip]) -> Drafts:
        drafts = Drafts()
        messages = [(trip, self._messages[trip.number]) for trip in trips]
        self._lookups[key] = _lookups(messages, drafts)
        self.changed = True
        if not trips:
            del self._lookups[key]
        return drafts

    def forget(self, number: int) -> None:
        keys = self._keys.get(number, ())
        super().forget(number)
        self._messages.pop(number, None)
        for key in keys:
            if key not in self._groups:
                self._lookups.pop(key, None)


def _lookups(messages: Iterable[tuple[Trip, Dns]], drafts: Drafts) -> list[Lookup]:
    lookups: list[Lookup] = []
    waiting: dict[Key, Lookup] = {}
    for trip, dns in messages:
        keys = _dns_keys(trip, dns)
        lookup = next((waiting[key] for key in keys if key in waiting), None)
        if not dns.qr:
            if lookup is None or lookup.answer or (lookup.name, lookup.kind) != _asked(dns):
                lookup = _new_lookup(trip, dns)
                lookups.append(lookup)
            else:
                note = say("the question of #{packet} again", packet=lookup.tries[-1])
                drafts[trip.number].notes.append(note)
            lookup.tries.append(trip.number)
            for key in keys:
                waiting[key] = lookup
        elif lookup is not None and not lookup.answer:
            drafts[trip.number].causes = [lookup.tries[-1]]
            if trip.reached(lookup.asker):
                _take_answer(lookup, trip, dns)
            else:
                lookup.lost.append(trip.number)
    for lookup in lookups:
        if lookup.answer:
            for number in lookup.tries:
                drafts[number].answered_by = lookup.answer
    return lookups


def _dns_keys(trip: Trip, dns: Dns) -> list[Key]:
    keys: list[Key] = []
    for packet in first_and_last(trip):
        ports = wire.quoted_ports(packet)
        if ports is not None:
            keys.append((dns.id, frozenset(((packet.src, ports[0]), (packet.dst, ports[1])))))
    return keys


def _asked(dns: Dns) -> tuple[str, str]:
    """Name and type of the first question, which is the only one in practice."""
    return dns.questions[0] if dns.questions else ("?", "?")


def _new_lookup(trip: Trip, dns: Dns) -> Lookup:
    name, kind = _asked(dns)
    server, over_tcp = trip.target or trip.dst, trip.packet.tcp is not None
    return Lookup(trip.number, trip.sender, server, name, kind, trip.t_ns, tcp=over_tcp)


def _take_answer(lookup: Lookup, trip: Trip, dns: Dns) -> None:
    lookup.answer, lookup.answered_ns = trip.number, trip.arrived_ns
    lookup.replied_ns = trip.t_ns
    if not trip.stray:
        lookup.server = trip.sender  # two cards may have the address that was asked
    lookup.rcode, lookup.result = dns.rcode, dns_result(dns)
    lookup.has_record = any(of == lookup.kind for _, of, _, _ in dns.answers)
    lookup.referral = dns_refers(dns)
    lookup.truncated = dns.tc


class Recursion(Rule):
    """Links what a resolver asks to what it was asked."""

    def __init__(self, lookups: Lookups) -> None:
        super().__init__()
        self._lookups = lookups

    def put(self, trip: Trip) -> None:
        pass  # what it looks at are lookups

    def forget(self, number: int) -> None:
        self.drafts.pop(number, None)

    def update(self, now_ns: int | None) -> set[int]:
        if not self._lookups.changed:
            return set()
        self._lookups.changed = False
        before, self.drafts = self.drafts, _recursion(self._lookups.all)
        return {
            number
            for number in before.keys() | self.drafts.keys()
            if before.get(number) != self.drafts.get(number)
        }


def _recursion(lookups: Iterable[Lookup]) -> Drafts:
    drafts = Drafts()
    asked_of: dict[str, list[Lookup]] = {}  # server -> questions that it has not yet answered
    for lookup in lookups:
        pending = [
            earlier
            for earlier in asked_of.get(lookup.asker, [])
            if not earlier.answer or earlier.replied_ns >= lookup.asked_ns
        ]
        asked_of[lookup.asker] = pending
        lookup.serves = _likeliest(pending, lookup).question if pending else 0
        if lookup.serves:
            cause = say("{node} asks because of #{packet}", node=lookup.asker, packet=lookup.serves)
            drafts[lookup.question] = Draft(cause, [lookup.serves])
        asked_of.setdefault(lookup.server, []).append(lookup)
    return drafts


def _likeliest(pending: list[Lookup], lookup: Lookup) -> Lookup:
    """The pending question that a resolver asks for: the newest, if possible of the same name."""
    return min(
        reversed(pending),
        key=lambda earlier: (earlier.name != lookup.name) + (earlier.kind != lookup.kind),
    )
