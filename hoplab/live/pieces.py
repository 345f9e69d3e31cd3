# SPDX-License-Identifier: Apache-2.0
"""Packets for a page that follows a lab: as columns of a scene, complete in themselves.

What lives here: which packets are shown where there are too many, and their columns. What must not:
when (`follower.py`), how they are drawn.

A page that is shown hundreds of packets in a second shows nothing to anybody. So a piece has at
most `MOST_PACKETS` of them, those first that were shown before and have come further, and at most
`MOST_LEGS` frames; the others are counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hoplab.capture.observation import Observation
from hoplab.follow.wiring import Wiring
from hoplab.report.language import Language
from hoplab.story.trip_records import Trip
from hoplab.web.scene import LEAST_TICK_NS, Told, columns, inside_of
from hoplab.web.texts import Texts

MOST_PACKETS = 60
MOST_LEGS = 4000
REMEMBERED = 4000  # packets that were shown


class Shown:
    """The packets that were shown last, as far as they had come."""

    def __init__(self) -> None:
        self._trips: dict[int, Trip] = {}

    def choose(self, trips: Iterable[Trip]) -> tuple[list[Trip], int]:
        """Those that are shown of these, in the order of their numbers, and how many of their
        frames were not shown before."""
        fresh = {trip.number: trip for trip in trips}
        ordered = sorted(fresh.values(), key=lambda trip: trip.number not in self._trips)
        chosen, legs, frames = list[Trip](), 0, 0
        for trip in ordered:
            legs += len(trip.legs)
            if chosen and (len(chosen) == MOST_PACKETS or legs > MOST_LEGS):
                break
            chosen.append(trip)
            before = self._trips.get(trip.number)
            frames += trip.frames - (before.frames if before is not None else 0)
            self._trips[trip.number] = trip
        if len(self._trips) > REMEMBERED:
            for number in sorted(self._trips)[: REMEMBERED // 2]:
                del self._trips[number]
        return sorted(chosen, key=lambda trip: trip.number), frames

    def packet(self, number: int) -> Trip | None:
        """A packet that was shown, None if that is too long ago."""
        return self._trips.get(number)


def numbers_of(trips: Iterable[Trip]) -> set[int]:
    """The numbers of the frames that tell of these packets."""
    return {
        number
        for trip in trips
        for leg in trip.legs
        for number in (leg.sent, leg.received)
        if number
    }


def piece(
    trips: Sequence[Trip],
    frames: Mapping[int, Observation],
    wiring: Wiring,
    started_ns: int,
    languages: Sequence[Language],
) -> dict[str, Any]:
    """Packets as columns. started_ns: when the time of the page began."""
    texts = Texts(languages, frozenset(wiring.nodes))
    first_ns = min((leg.t_ns for trip in trips for leg in trip.legs), default=started_ns)
    base = max(0, first_ns - started_ns) // LEAST_TICK_NS
    told = Told(trips, frames, wiring, started_ns + base * LEAST_TICK_NS)
    made = columns(told, LEAST_TICK_NS, texts, {})
    return {"base": base, **made, "templates": texts.templates}


def inside(
    trip: Trip,
    frames: Mapping[int, Observation],
    wiring: Wiring,
    languages: Sequence[Language],
) -> dict[str, Any]:
    """What is inside of the frames of one packet."""
    return inside_of(Told((trip,), frames, wiring, 0), languages)
