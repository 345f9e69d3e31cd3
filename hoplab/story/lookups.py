# SPDX-License-Identifier: Apache-2.0
"""Questions for names: which answer belongs to which, and on whose behalf a resolver asked.

What lives here: DNS questions and answers by the number that both bear, and by both ends. What must
not: what an answer says, in words (`dns_titles.py`), how a lookup ended (`end_of_lookup.py`).

A DNS question by a resolver is caused by the question that it has been asked and has not yet
answered.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Collection, Iterable, Sequence, Set
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
        self._news: list[tuple[list[Lookup], list[Lookup]]] = []

    @property
    def all(self) -> list[Lookup]:
        """In the order in which they were asked."""
        lookups = [lookup for group in self._lookups.values() for lookup in group]
        return sorted(lookups, key=_asked_at)

    def news(self) -> list[tuple[list[Lookup], list[Lookup]]]:
        """Lookups that are found anew since somebody has asked: those of one number as they were,
        and as they are."""
        news, self._news = self._news, []
        return news

    def about(self, kind: str) -> bool:
        return kind in ("dns-question", "dns-answer")

    def keys(self, trip: Trip) -> Collection[Key]:
        dns = _message(trip)
        return () if dns is None else ((dns.id,),)

    def relate(self, key: Key, trips: Sequence[Trip]) -> Drafts:
        drafts = Drafts()
        lookups = _lookups(trips, drafts)
        self._replace(key, lookups)
        return drafts

    def forget(self, numbers: Set[int]) -> None:
        keys = {key for number in self._keys.keys() & numbers for key in self._keys[number]}
        super().forget(numbers)
        for key in keys - self._groups.keys():
            self._replace(key, [])

    def _replace(self, key: Key, lookups: list[Lookup]) -> None:
        self._news.append((self._lookups.pop(key, []), lookups))
        if lookups:
            self._lookups[key] = lookups


def _asked_at(lookup: Lookup) -> int:
    return lookup.question


def _message(trip: Trip) -> Dns | None:
    """The DNS message in a packet; over TCP the one that begins in the segment."""
    return trip.message if isinstance(trip.message, Dns) else wire_dns.read(trip.packet)


def _lookups(trips: Iterable[Trip], drafts: Drafts) -> list[Lookup]:
    lookups: list[Lookup] = []
    waiting: dict[Key, Lookup] = {}
    for trip in trips:
        dns = _message(trip)
        if dns is None:
            continue
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
    """Links what a resolver asks to what it was asked. A lookup that has changed says something of
    itself, and of what its server has asked since."""

    def __init__(self, lookups: Lookups) -> None:
        super().__init__()
        self._lookups = lookups
        self._asked_by: dict[str, list[Lookup]] = {}  # by asker, in order
        self._asked_of: dict[str, _Duties] = {}  # by server

    def put(self, trip: Trip) -> None:
        pass  # what it looks at are lookups

    def about(self, kind: str) -> bool:
        return kind in ("dns-question", "dns-answer")

    def update(self, now_ns: int | None) -> set[int]:
        since: dict[str, int] = {}  # by server the first of the questions to it that have changed
        changed: set[int] = set()
        touched: dict[int, Lookup] = {}
        for before, now in self._lookups.news():
            for lookup in before:
                self._take_out(lookup)
                if self.drafts.pop(lookup.question, None) is not None:
                    changed.add(lookup.question)
            for lookup in now:
                self._put_in(lookup)
                touched[lookup.question] = lookup
            for lookup in (*before, *now):
                first = since.get(lookup.server, lookup.question)
                since[lookup.server] = min(first, lookup.question)
        for server, first in since.items():
            asked = self._asked_by.get(server, [])
            for lookup in asked[bisect_right(asked, first, key=_asked_at) :]:
                touched[lookup.question] = lookup
        for number in sorted(touched):
            if self._relate(touched[number]):
                changed.add(number)
        return changed

    def _put_in(self, lookup: Lookup) -> None:
        insort(self._asked_by.setdefault(lookup.asker, []), lookup, key=_asked_at)
        self._asked_of.setdefault(lookup.server, _Duties()).put_in(lookup)

    def _take_out(self, lookup: Lookup) -> None:
        asked = self._asked_by[lookup.asker]
        del asked[bisect_left(asked, lookup.question, key=_asked_at)]
        if not asked:
            del self._asked_by[lookup.asker]
        duties = self._asked_of[lookup.server]
        duties.take_out(lookup)
        if duties.none:
            del self._asked_of[lookup.server]

    def _relate(self, lookup: Lookup) -> bool:
        """Finds on whose behalf a question was asked; True if that is another one than before."""
        duties = self._asked_of.get(lookup.asker)
        pending = duties.pending(lookup) if duties is not None else []
        lookup.serves = _likeliest(pending, lookup).question if pending else 0
        before = self.drafts.pop(lookup.question, None)
        if lookup.serves:
            cause = say("{node} asks because of #{packet}", node=lookup.asker, packet=lookup.serves)
            self.drafts[lookup.question] = Draft(cause, [lookup.serves])
        return before != self.drafts.get(lookup.question)


class _Duties:
    """What a server was asked: what it has not answered, and the rest by when it did."""

    def __init__(self) -> None:
        self._unanswered: dict[int, Lookup] = {}
        self._answered: list[Lookup] = []

    @property
    def none(self) -> bool:
        """Whether no lookup was put in."""
        return not (self._unanswered or self._answered)

    def put_in(self, lookup: Lookup) -> None:
        if lookup.answer:
            insort(self._answered, lookup, key=_replied_at)
        else:
            self._unanswered[lookup.question] = lookup

    def take_out(self, lookup: Lookup) -> None:
        if lookup.answer:
            del self._answered[bisect_left(self._answered, _replied_at(lookup), key=_replied_at)]
        else:
            del self._unanswered[lookup.question]

    def pending(self, lookup: Lookup) -> list[Lookup]:
        """What the server had not answered when it asked this itself, in order."""
        late = self._answered[bisect_left(self._answered, (lookup.asked_ns, 0), key=_replied_at) :]
        pending = [*self._unanswered.values(), *late]
        return sorted(
            (earlier for earlier in pending if earlier.question < lookup.question), key=_asked_at
        )


def _replied_at(lookup: Lookup) -> tuple[int, int]:
    return lookup.replied_ns, lookup.question


def _likeliest(pending: list[Lookup], lookup: Lookup) -> Lookup:
    """The pending question that a resolver asks for: the newest, if possible of the same name."""
    return min(
        reversed(pending),
        key=lambda earlier: (earlier.name != lookup.name) + (earlier.kind != lookup.kind),
    )
