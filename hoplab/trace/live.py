# SPDX-License-Identifier: Apache-2.0
"""The story while it happens: packets told as soon as they seem complete.

What lives here: when to tell a packet, and when to tell more of it. What must not: clocks (the
caller says what time it is), sockets, layout.

Nobody can know that a packet is at its end: a router may hold it for seconds while it asks by ARP.
So a packet is told when it has not moved for QUIET_NS; if it moves again, it is told once more, as
a continuation under the same number. One that never rests (a storm) is told after PATIENCE_NS all
the same, and again each time its age has doubled. Numbers are given in time order, as in the
finished story. What needs frames that are yet to come (why it was sent, what answers it, where it
ended) is left to that.

Memory holds the packets of the last seconds, and of each TCP connection a few numbers a segment.

>>> live = Live(wiring)
>>> for observation in observations:
...     live.feed(observation)
>>> for news in live.poll(time.time_ns()):
...     print(news.trip.number, news.trip.title, news.more)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hoplab.trace.ages import MILLISECOND
from hoplab.trace.follow import Follower
from hoplab.trace.model import Hop, Journey
from hoplab.trace.narrative import Trip
from hoplab.trace.tcp import Connections
from hoplab.trace.tree import last_seen
from hoplab.trace.trips import Places, tell_trip
from hoplab.trace.wiring import Wiring
from hoplab.wire.observation import Observation

QUIET_NS = 300 * MILLISECOND
PATIENCE_NS = 1000 * MILLISECOND


@dataclass(frozen=True, slots=True)
class News:
    """A packet as far as it has come. more: it was told before, and has moved since."""

    trip: Trip
    more: bool


@dataclass(slots=True)
class _Told:
    """What has been told of a journey. last_ns: when it was last seen to move, then; 0: nothing
    yet. again_ns: when it is told though it does not rest."""

    journey: Journey
    again_ns: int
    last_ns: int = 0
    trip: Trip | None = None


class Live:
    """`feed` takes observations in time order; `poll` gives what there is to tell now."""

    def __init__(self, wiring: Wiring, ports: Sequence[int | None] | None = None) -> None:
        self.packets = 0
        self._follower = Follower(wiring, ports=ports)
        self._places = Places(wiring)
        self._connections = Connections()
        self._told: dict[int, _Told] = {}  # by id of the first hop, which it keeps alive
        self._started_ns = 0

    def feed(self, observation: Observation) -> None:
        """Takes the next observation."""
        self._follower.feed((observation,))

    def poll(self, now_ns: int) -> list[News]:
        """What has come to rest by now, in the order of the packets' numbers."""
        news = self._look(now_ns, final=False)
        for journey in self._follower.ready():
            self._told.pop(id(journey.root), None)
        return news

    def finish(self) -> list[News]:
        """All that is left. Nothing may be fed afterwards."""
        return self._look(0, final=True)

    def _look(self, now_ns: int, *, final: bool) -> list[News]:
        news = []
        for root in self._follower.growing():
            told = self._told.get(id(root))
            if told is None:
                if not final and now_ns - root.t_ns < QUIET_NS:
                    break  # an earlier one may still be stamped later: no number yet
                told = self._number(root)
            moved = last_seen(root)
            if moved <= told.last_ns:
                continue
            if not final and now_ns - moved < QUIET_NS:
                if now_ns < told.again_ns:
                    continue
                told.again_ns = now_ns + max(PATIENCE_NS, now_ns - root.t_ns)
            told.last_ns = moved
            news.append(self._tell(told))
        return news

    def _number(self, root: Hop) -> _Told:
        self.packets += 1
        self._started_ns = self._started_ns or root.t_ns
        told = _Told(Journey(self.packets, root), root.t_ns + PATIENCE_NS)
        self._told[id(root)] = told
        return told

    def _tell(self, told: _Told) -> News:
        before = told.trip
        if before is None:
            self._places.learn([told.journey])
        trip = told.trip = tell_trip(self._places, told.journey, self._started_ns)
        if before is None:
            self._connections.add(trip)
        else:
            trip.kind, trip.title = before.kind, before.title  # a segment is placed once
        return News(trip, before is not None)
