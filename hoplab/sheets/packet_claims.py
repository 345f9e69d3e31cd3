# SPDX-License-Identifier: Apache-2.0
"""Claims about packets, held against a run.

What lives here: what each claim asks of the packets that its filter means, and what to say where
it does not hold: what was seen instead, where the packet ended, and why. What must not: how a run
is made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hoplab.decode.packet import decode
from hoplab.packet_filter.fates import VANISHED, fates
from hoplab.packet_filter.grammar import FilterError, Tree
from hoplab.packet_filter.matching import Test, compile_tree
from hoplab.runs import Run, data_of
from hoplab.sentences import Sentence, number_of, say, term
from hoplab.sheets.claims import (
    Becomes,
    Changes,
    Claim,
    Delay,
    Every,
    HowMany,
    Order,
    Seen,
    What,
)
from hoplab.sheets.findings import Finding
from hoplab.sheets.records import PacketClaims
from hoplab.story.trip_records import Leg, Trip


@dataclass(frozen=True)
class Miss:
    """A claim that does not hold. packet: the one that shows it, 0 for none. leg: its frame."""

    seen: str
    packet: int = 0
    leg: int | None = None


def find_miss(run: Run, entries: Sequence[PacketClaims]) -> Finding | None:
    """The first claim that does not hold, None if all do. Raises FilterError for names that the
    run has not."""
    judge = _Judge(run)
    for entry in entries:
        trips = judge.meant(entry.tree)
        if not any(_about_number(claim.what) for claim in entry.claims) and not trips:
            miss = Miss(term("there was no such packet"))
            return _finding(run, entry.text, "", miss, trips)
        for claim in entry.claims:
            miss_or_none = judge.look(claim.what, trips)
            if miss_or_none is not None:
                return _finding(run, entry.text, claim.text, miss_or_none, trips)
    return None


def count(run: Run, tree: Tree) -> int:
    """How many packets of a run a filter means. Raises FilterError."""
    return len(_Judge(run).meant(tree))


def _about_number(what: What) -> bool:
    return isinstance(what, HowMany) and what.of == "packets"


def _finding(
    run: Run, filter_text: str, claim_text: str, miss: Miss, trips: Sequence[Trip]
) -> Finding:
    """What was claimed and what was seen; where the packet died and why, as the story tells it."""
    by_number = {trip.number: trip for trip in run.story.trips}
    outcome = run.story.outcome
    trip = by_number.get(miss.packet) or next((each for each in trips if each.ended), None)
    where, why = "", []
    if trip is not None and trip.ended:
        where = trip.path[-1] if trip.path else trip.sender
        why.append(trip.ended)
    if outcome.ok is False:
        where = where or outcome.where
        why += [outcome.sentence, *outcome.why]
    packet = miss.packet or (trip.number if trip is not None else 0)
    if not packet and outcome.ok is False and outcome.evidence:
        packet = outcome.evidence[0]
    expected = f"{filter_text}: {claim_text}" if claim_text else filter_text
    return Finding(
        expected=expected, seen=miss.seen, where=where, why=tuple(dict.fromkeys(why)),
        packet=packet, frame=frame_of(by_number.get(packet), miss.leg),
    )  # fmt: skip


def frame_of(trip: Trip | None, leg: int | None = None) -> int:
    """The number of a frame in the capture: of that leg of a packet, else of the one with which it
    came furthest on its path; 0 for none."""
    if trip is None:
        return 0
    way = [trip.legs[leg]] if leg is not None else path_legs(trip)
    return (way[-1].received or way[-1].sent or 0) if way else 0


def path_legs(trip: Trip) -> list[Leg]:
    """The frames of a packet along its path, in order: to its receiver, or as far as it came."""
    wanted = trip.path
    if len(wanted) < 2:
        return list(trip.legs[:1])
    best: list[Leg] = []
    for leg in trip.legs:
        chain = [leg]
        while chain[0].parent is not None:
            chain.insert(0, trip.legs[chain[0].parent])
        nodes = [chain[0].tail, *(each.head for each in chain)]
        if tuple(nodes) == tuple(wanted):
            return chain
        if tuple(nodes) == tuple(wanted[: len(nodes)]) and len(chain) > len(best):
            best = chain
    return best or list(trip.legs[:1])


class _Judge:
    """Holds claims against the packets of one run."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._looks: dict[type, Callable[..., Miss | None]] = {
            HowMany: self._how_many, Seen: self._seen, Changes: self._changes,
            Becomes: self._becomes, Order: self._order, Delay: self._delay, Every: self._every,
        }  # fmt: skip

    def meant(self, tree: Tree) -> list[Trip]:
        """The packets that a filter means."""
        test: Test = compile_tree(tree, self._run)
        return [trip for trip in self._run.story.trips if test(trip)]

    def look(self, what: What, trips: Sequence[Trip]) -> Miss | None:
        """Where the claim does not hold, None if it does."""
        return self._looks[type(what)](what, trips)

    # ------------------------------------------------------------------ numbers

    def _how_many(self, what: HowMany, trips: Sequence[Trip]) -> Miss | None:
        if what.of == "packets":
            if what.count.holds(len(trips)):
                return None
            n = len(trips)
            seen = number_of("there was {n:,} packet", "there were {n:,} packets", n)
            return Miss(seen, trips[0].number if trips else 0)
        if what.of == "copies":
            for trip in trips:
                if not what.count.holds(trip.frames):
                    seen = say(
                        "#{packet} went over {cables}", packet=trip.number,
                        cables=number_of("{n} cable", "{n} cables", trip.frames),
                    )  # fmt: skip
                    return Miss(seen, trip.number)
            return None
        again = [trip for trip in trips if trip.timing is not None and trip.timing.again]
        if what.count.holds(len(again)):
            return None
        sent_again = number_of("{n} segment", "{n} segments", len(again))
        return Miss(
            say("{segments} of {packets} were sent again", segments=sent_again,
                packets=_packets(len(trips))),
            again[0].number if again else 0,
        )  # fmt: skip

    # ------------------------------------------------------------------ places

    def _seen(self, what: Seen, trips: Sequence[Trip]) -> Miss | None:
        for place in what.places:
            self._check_place(place)
        for trip in trips:
            went = fates(trip)
            arrived = [not fate & VANISHED for fate in went]
            for place in what.places:
                at = next(
                    (leg for leg in trip.legs if _touches(leg, place, arrived[leg.index])), None
                )
                if (at is not None) != what.wanted:
                    seen = (
                        say("#{packet} was not seen at {place}", packet=trip.number, place=place)
                        if what.wanted
                        else say("#{packet} was seen at {place}", packet=trip.number, place=place)
                    )
                    return Miss(seen, trip.number, at.index if at is not None else None)
            if what.nowhere_else:
                stray = self._beside(trip, what.places, arrived)
                if stray is not None:
                    seen = say(
                        "#{packet} was also seen at {place}", packet=trip.number,
                        place=stray.head or stray.tail_interface,
                    )  # fmt: skip
                    return Miss(seen, trip.number, stray.index)
        return None

    def _check_place(self, place: str) -> None:
        wiring = self._run.wiring
        if place not in wiring.nodes and all(each.name != place for each in wiring.interfaces):
            raise FilterError(place)

    def _beside(self, trip: Trip, places: Sequence[str], arrived: Sequence[bool]) -> Leg | None:
        """A frame with which a way ended that does not lead past any of these places."""
        parents = {leg.parent for leg in trip.legs}
        for leg in trip.legs:
            if leg.index in parents:
                continue
            step: Leg | None = leg
            while step is not None:
                if any(_touches(step, place, arrived[step.index]) for place in places):
                    break
                step = trip.legs[step.parent] if step.parent is not None else None
            if step is None:
                return leg
        return None

    # ------------------------------------------------------------------ fields

    def _values(
        self, trip: Trip, field: str, between: tuple[str, str] | None
    ) -> tuple[list[str], list[Leg], str]:
        """A field's values along the path, each frame's; the frames; the node of `between` that is
        not on the path, "" if both are."""
        way = path_legs(trip)
        if between is not None:
            first = next((i for i, leg in enumerate(way) if leg.tail == between[0]), None)
            last = next((i for i, leg in enumerate(way) if leg.head == between[1]), None)
            if first is None or last is None or last < first:
                return [], [], between[0] if first is None else between[1]
            way = way[first : last + 1]
        return [self._value(leg, field) for leg in way], way, ""

    def _value(self, leg: Leg, field: str) -> str:
        if field == "source MAC":
            return leg.src_mac
        if field == "destination MAC":
            return leg.dst_mac
        packet = decode(data_of(leg, self._run.frames))
        if field == "TTL":
            return str(packet.ttl) if packet.ttl is not None else ""
        return packet.src if field == "source IP" else packet.dst

    def _changes(self, what: Changes, trips: Sequence[Trip]) -> Miss | None:
        for trip in trips:
            values, way, missing = self._values(trip, what.field, what.between)
            if missing:
                return _not_past(trip, missing)
            places = [i for i in range(1, len(values)) if values[i] != values[i - 1]]
            if not what.count.holds(len(places)):
                seen = say(
                    "in #{packet} it changes {times}: {values}", packet=trip.number,
                    times=number_of("{n} time", "{n} times", len(places)),
                    values=" → ".join(self._named(value, what.field) for value in _runs(values)),
                )  # fmt: skip
                return Miss(seen, trip.number, way[places[-1]].index if places else None)
        return None

    def _becomes(self, what: Becomes, trips: Sequence[Trip]) -> Miss | None:
        for trip in trips:
            values, way, missing = self._values(trip, what.field, what.between)
            if missing:
                return _not_past(trip, missing)
            ends = (values[0], values[-1]) if values else ("", "")
            wanted = (what.first, what.last)
            if not all(
                self._means(name, value) for name, value in zip(wanted, ends, strict=True)
            ):
                seen = say(
                    "in #{packet} it is {values}", packet=trip.number,
                    values=" → ".join(self._named(value, what.field) for value in _runs(values)),
                )  # fmt: skip
                return Miss(seen, trip.number, way[-1].index if way else None)
        return None

    def _means(self, name: str, value: str) -> bool:
        """Whether a name or a value in a claim stands for that value."""
        if name.lower() == value.lower():
            return True
        for interface in self._run.wiring.interfaces:
            if name in (interface.node, interface.name) and value.lower() in (
                interface.mac, *(address.partition("/")[0] for address in interface.addresses)
            ):  # fmt: skip
                return True
        return False

    def _named(self, value: str, field: str) -> str:
        """A MAC address with its owner's name."""
        if field not in ("source MAC", "destination MAC"):
            return value
        owner = next((each.node for each in self._run.wiring.interfaces if each.mac == value), "")
        return f"{value} ({owner})" if owner else value

    # ------------------------------------------------------------------ time

    def _order(self, what: Order, trips: Sequence[Trip]) -> Miss | None:
        peers = self.meant(what.tree)
        if not trips or not peers:
            return Miss(say("there was no packet {filter}", filter=what.text)) if trips else None
        first, peer = trips[0], peers[0]
        if (first.way.t_ns < peer.way.t_ns) == what.earlier and first is not peer:
            return None
        seen = (
            say("#{packet} came after #{peer}", packet=first.number, peer=peer.number)
            if what.earlier
            else say("#{packet} came before #{peer}", packet=first.number, peer=peer.number)
        )
        return Miss(seen, first.number)

    def _delay(self, what: Delay, trips: Sequence[Trip]) -> Miss | None:
        peers = self.meant(what.tree)
        if not trips or not peers:
            return Miss(say("there was no packet {filter}", filter=what.text)) if trips else None
        ns = trips[0].way.t_ns - peers[0].way.t_ns
        if what.least_ns <= ns and (what.most_ns is None or ns <= what.most_ns):
            return None
        seen = say("#{packet} came {ms:,.1f} ms after #{peer}", packet=trips[0].number, ms=ns / 1e6,
                   peer=peers[0].number)  # fmt: skip
        return Miss(seen, trips[0].number)

    # ------------------------------------------------------------------ filters

    def _every(self, what: Every, trips: Sequence[Trip]) -> Miss | None:
        test = compile_tree(what.tree, self._run)
        for trip in trips:
            if test(trip) != what.wanted:
                seen = (
                    say("#{packet} is not: {title}", packet=trip.number, title=trip.title)
                    if what.wanted
                    else say("#{packet} is: {title}", packet=trip.number, title=trip.title)
                )
                return Miss(seen, trip.number)
        return None


def _touches(leg: Leg, place: str, arrived: bool) -> bool:
    """Whether this frame was at a node or interface: sent from it, or come to it."""
    if place in (leg.tail, leg.tail_interface):
        return True
    return arrived and place in (leg.head, leg.head_interface)


def _not_past(trip: Trip, node: str) -> Miss:
    return Miss(say("#{packet} did not come past {node}", packet=trip.number, node=node),
                trip.number)  # fmt: skip


def _packets(n: int) -> Sentence:
    return number_of("{n:,} packet", "{n:,} packets", n)


def _runs(values: Sequence[str]) -> list[str]:
    """The values without those that are like the one before."""
    return [value for i, value in enumerate(values) if not i or value != values[i - 1]]


def delays_asked(entries: Sequence[PacketClaims]) -> bool:
    """Whether any claim is about time, which a busy machine changes."""
    return any(isinstance(claim.what, Delay) for entry in entries for claim in entry.claims)


__all__ = ["Claim", "Miss", "count", "delays_asked", "find_miss", "path_legs"]
