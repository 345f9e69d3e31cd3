# SPDX-License-Identifier: Apache-2.0
"""What each node and each cable took for each packet, and how much of it was asked for.

What lives here: passages, from packets as they are told. What must not: the machine
(`fidelity.py`), sentences.

1. Through a switch: from where the frame was seen to come in to where its copy was seen to leave.
   Where the controller was asked, the question and the answer divide the time: what lies between
   them is the controller's. Where it was asked and the answer is not known, nothing is judged.
2. Through a router: the same, unless it asked for the next MAC address meanwhile.
3. Over a cable: from where it was seen to leave to where it was seen to arrive.
4. What an interface that was made slow takes on purpose is asked for: its delay and jitter; and
   with a rate the wait behind the frame before it, and the frame's own time at that rate.
5. Only what was seen at both ends counts, and no frame that may be another one with the same bytes.
   A frame that goes round a loop of switches tells nothing.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from hoplab.follow.wiring import Wiring
from hoplab.story.fidelity_records import CABLE, CONTROLLER, ROUTER, SWITCH, Passage, Spread
from hoplab.story.trip_records import Decision, Leg, Trip

SLOW_NS = 1_000_000  # a passage through an idle machine takes a tenth of that
SLIGHT_NS = 200_000  # beyond what passages take there otherwise
_MILLISECOND = 1_000_000
_SOLICITATIONS = ("arp-request", "nd-solicitation")

_Key = tuple[str, str]  # what took it, and the place
# The same, from when until when, and the leg that it ends with, where it waited for a cable.
_Piece = tuple[str, str, int, int, Leg | None]


@dataclass(slots=True)
class HopTimes:
    """took_ns: of every passage, by what took it and where. slow: the passages that took SLOW_NS
    more than was asked for, in order of time. slight: those that did not, and took SLIGHT_NS more
    than that and than half of the passages there; what is usual there counts as asked for."""

    took_ns: dict[_Key, list[int]] = field(default_factory=lambda: defaultdict(list))
    slow: list[Passage] = field(default_factory=list)
    slight: list[Passage] = field(default_factory=list)

    @property
    def judged(self) -> int:
        """How many passages there are."""
        return sum(map(len, self.took_ns.values()))

    def spreads(self) -> tuple[Spread, ...]:
        """How long passages through each place took, the places sorted by kind and name."""
        times = sorted(self.took_ns.items())
        return tuple(_spread(what, place, sorted(took)) for (what, place), took in times)


def _spread(what: str, place: str, took: list[int]) -> Spread:
    most = len(took) - 1
    return Spread(what, place, len(took), took[most // 2], took[round(most * 0.99)], took[most])


def find_times(
    wiring: Wiring, trips: Sequence[Trip], asked_ns: Mapping[int, int] | None
) -> HopTimes:
    """asked_ns: when each message on the OpenFlow channel was seen, by its frame's number; None
    where the channel was not captured, so that nothing is known of switches that asked."""
    times = HopTimes()
    shapes = _Shapes(wiring, trips)
    candidates: list[tuple[Passage, Leg | None]] = []
    took_ns = times.took_ns
    kinds = _kinds(wiring)
    for trip in trips:
        if trip.storm is not None:
            continue
        for what, place, began_ns, ended_ns, leg in _pieces(kinds, trip, asked_ns):
            took_ns[what, place].append(ended_ns - began_ns)
            if ended_ns - began_ns >= SLIGHT_NS:
                port = leg.tail_interface if leg is not None else ""
                passage = Passage(trip.number, what, place, began_ns, ended_ns, port)
                candidates.append((passage, leg))
    _sort_out(times, candidates, trips, shapes)
    times.slight = _beyond_usual(times.slight, took_ns)
    for passages in (times.slow, times.slight):
        passages.sort(key=lambda passage: passage.began_ns)
    return times


def _sort_out(
    times: HopTimes,
    candidates: Sequence[tuple[Passage, Leg | None]],
    trips: Sequence[Trip],
    shapes: _Shapes,
) -> None:
    """Keeps the passages that took longer than was asked for, by how much."""
    asked_for = _Asked(trips) if any(each.what == ROUTER for each, _ in candidates) else None
    for passage, leg in candidates:
        if passage.what == ROUTER and asked_for is not None and asked_for.meanwhile(passage):
            continue
        if leg is not None:
            passage = passage._replace(asked_ns=shapes.asked_ns(leg, passage.began_ns))
        if passage.excess_ns >= SLOW_NS:
            times.slow.append(passage)
        elif passage.what != CONTROLLER and passage.excess_ns >= SLIGHT_NS:
            times.slight.append(passage)


def _beyond_usual(passages: Sequence[Passage], took_ns: Mapping[_Key, list[int]]) -> list[Passage]:
    """Those that took SLIGHT_NS more than half of all passages there."""
    keys = {(passage.what, passage.place) for passage in passages}
    usual_ns = {key: sorted(took_ns[key])[len(took_ns[key]) // 2] for key in keys}
    beyond = (
        passage._replace(asked_ns=passage.asked_ns + usual_ns[passage.what, passage.place])
        for passage in passages
    )
    return [passage for passage in beyond if passage.excess_ns >= SLIGHT_NS]


def _kinds(wiring: Wiring) -> dict[str, str]:
    """Of each node that passes frames on whether it does so as a SWITCH, by flows, or as a ROUTER
    of Linux's."""
    kinds = {name: node.kind for name, node in wiring.nodes.items() if node.kind != "host"}
    for port, interface in enumerate(wiring.interfaces):
        if wiring.is_datapath(port):
            kinds[interface.node] = SWITCH
    return kinds


def _pieces(
    kinds: Mapping[str, str], trip: Trip, asked_ns: Mapping[int, int] | None
) -> Iterator[_Piece]:
    """A packet's way, piece by piece."""
    legs = trip.legs
    decisions = {each.leg: each for each in trip.decisions}
    for leg in legs:
        if leg.sent is None or leg.uncertain:
            continue
        if leg.received_ns:
            yield CABLE, leg.tail_interface, leg.t_ns, leg.received_ns, None
        came_ns = _came_ns(legs, leg)
        if not came_ns:
            continue
        what = kinds.get(leg.tail, "")
        decision = decisions.get(leg.parent or 0) if what == SWITCH else None
        if decision is not None and decision.packet_in:
            yield from _asked(leg, came_ns, decision, asked_ns or {})
        elif what == ROUTER or (what == SWITCH and asked_ns is not None):
            yield what, leg.tail, came_ns, leg.t_ns, leg


def _came_ns(legs: Sequence[Leg], leg: Leg) -> int:
    """When the packet came to the node that a leg leaves, 0 if that is not known for certain."""
    if leg.parent is None or legs[leg.parent].uncertain:
        return 0
    return legs[leg.parent].received_ns


def _asked(
    leg: Leg, came_ns: int, decision: Decision, asked_ns: Mapping[int, int]
) -> Iterator[_Piece]:
    """The pieces of a passage through a switch that asked its controller."""
    question_ns = asked_ns.get(decision.packet_in, 0)
    answer_ns = asked_ns.get(decision.packet_out, 0)
    if came_ns <= question_ns <= answer_ns <= leg.t_ns:
        node = leg.tail
        yield SWITCH, node, came_ns, question_ns, None
        yield CONTROLLER, node, question_ns, answer_ns, None
        yield SWITCH, node, answer_ns, leg.t_ns, leg


class _Asked:
    """When nodes asked for somebody's MAC address."""

    def __init__(self, trips: Sequence[Trip]) -> None:
        self._times: dict[str, list[int]] = defaultdict(list)
        for trip in trips:
            if trip.kind in _SOLICITATIONS:
                self._times[trip.sender].append(trip.t_ns)
        for times in self._times.values():
            times.sort()

    def meanwhile(self, passage: Passage) -> bool:
        """Whether the node asked for an address while it held the packet, or just before."""
        times = self._times.get(passage.place, ())
        # It may have asked for another packet before, and had no answer yet; it asks each second.
        place = bisect_right(times, passage.ended_ns)
        return bool(place) and times[place - 1] > passage.began_ns - 1000 * _MILLISECOND


class _Shapes:
    """What interfaces that were made slow do with frames."""

    def __init__(self, wiring: Wiring, trips: Sequence[Trip]) -> None:
        self._rate: dict[str, int] = {}
        self._held_ns: dict[str, int] = {}
        for interface in wiring.interfaces:
            times = (interface.extra.get(key) for key in ("delay_ms", "jitter_ms"))
            held = sum(time for time in times if isinstance(time, int | float))
            if held:
                self._held_ns[interface.name] = round(held * _MILLISECOND)
            if interface.rate:
                self._rate[interface.name] = interface.rate
        self._trips = trips
        self._left_ns: dict[str, list[int]] | None = None

    def asked_ns(self, leg: Leg, came_ns: int) -> int:
        """How long a frame that came then may wait in front of the cable that it left by."""
        name = leg.tail_interface
        held_ns, rate = self._held_ns.get(name, 0), self._rate.get(name, 0)
        if not rate:
            return held_ns
        if self._left_ns is None:
            self._left_ns = defaultdict(list)
            for each in (each for trip in self._trips for each in trip.legs):
                if each.tail_interface in self._rate and each.sent is not None:
                    self._left_ns[each.tail_interface].append(each.t_ns)
            for times in self._left_ns.values():
                times.sort()
        times = self._left_ns.get(name, [])
        place = bisect_left(times, leg.t_ns)
        behind_ns = max(0, times[place - 1] - came_ns) if place else 0
        return held_ns + behind_ns + leg.length * 8 * 1_000_000_000 // rate
