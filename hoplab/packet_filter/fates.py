# SPDX-License-Identifier: Apache-2.0
"""What became of each frame of a packet, as bits.

What lives here: the bits, and how they follow from a packet's records; `web/static/scene.js` has
the same names. What must not: words for them.
"""

from __future__ import annotations

from hoplab.story.trip_records import Leg, Trip

(
    LOST, CUT, CARD, SOFTWARE, ARRIVED, UNCERTAIN, ROUTED, FLOODED, HEALED, ENDED, UNSEEN, COUNTED,
    CHANGED,
) = (1 << bit for bit in range(13))  # fmt: skip
IGNORED, VANISHED = CARD | SOFTWARE, LOST | CUT | UNSEEN


def fates(trip: Trip) -> list[int]:
    """A number for each leg. What a switch changed (`CHANGED`) the bytes alone can say."""
    ignored = {copy.leg: copy.by for copy in trip.ignored}
    passed_on = {leg.parent for leg in trip.legs}
    flooded = {fanout.leg for fanout in trip.fanouts if fanout.flooded}
    return [_fate(trip, leg, ignored, passed_on, flooded) for leg in trip.legs]


def _fate(
    trip: Trip,
    leg: Leg,
    ignored: dict[int, str],
    passed_on: set[int | None],
    flooded: set[int],
) -> int:
    bits = 0
    if leg.lost:
        bits |= LOST
    elif leg.unseen:
        bits |= UNSEEN
    elif leg.cut:
        bits |= CUT
    elif leg.index in ignored:
        bits |= CARD if ignored[leg.index] == "card" else SOFTWARE
    elif leg.index not in passed_on:
        # Of a storm the first frames are told one by one. What became of the last of them is among
        # the frames that were counted: nobody can say that it went no further.
        last = COUNTED if trip.frames > len(trip.legs) else ENDED
        bits |= ARRIVED if leg.head in trip.delivered else last
    bits |= UNCERTAIN if leg.uncertain else 0
    bits |= ROUTED if leg.origin in ("routed", "translated") else 0
    bits |= FLOODED if leg.index in flooded else 0
    return bits | (HEALED if leg.healed else 0)
