# SPDX-License-Identifier: Apache-2.0
"""Long runs of alike packets, folded to their first and last ones and a line that counts the rest.

A packet that has something of its own to say (a note, a loss, a cause) is not folded away, unless
1. it belongs to a storm, or is of a kind that storms: one storm begets others, because hosts answer
   each copy of a question, and the remains of older ones go round beside them. Those are counted in
   a line, wherever they stand in their step;
2. its step is so long (`CROWDED`) that nobody would read it: then the line says how many of those
   that it counts did not arrive, and the remarks and numbers say why.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hoplab.sentences import Sentence, listed, number_of, say
from hoplab.story.counts import byte_count
from hoplab.story.records import Step, Story
from hoplab.story.storms import DROWNED, kind_of, storming
from hoplab.story.titles import count_kind
from hoplab.story.trip_records import Trip

EVIDENCE_MOST = 12  # packets that are named as those that prove how it ended
STORM_TOLD = 1  # packets of a storm that are told in a step, before the others are counted
STORM_ROOM = 4  # packets that a step has room for, where there is a storm
CROWDED = 300  # packets of a step; beyond, those with something to say are counted as well
FOLD_FROM = 8  # a run of alike packets at least this long is folded to its first 2 and last 2
_ALIKE = {
    "tcp-data": "tcp",
    "tcp-ack": "tcp",
    "icmp-echo-request": "echo",
    "icmp-echo-reply": "echo",
    "udp": "udp",
    "lldp": "lldp",
    "ospf-hello": "ospf-hello",
}


@dataclass(frozen=True, slots=True)
class Fold:
    """Packets that are only counted. cut: not because they are alike, but for want of room."""

    trips: Sequence[Trip]
    cut: bool = False

    def sentence(self) -> Sentence:
        """'#5 to #30: 20 pure ACKs, 6 TCP data segments with 800 bytes, 26 frames'."""
        trips = self.trips
        packets = say("#{packet}", packet=trips[0].number)
        if len(trips) > 1:
            last = trips[-1].number
            packets = say("#{packet} to #{packet2}", packet=trips[0].number, packet2=last)
        counts = Counter(trip.kind for trip in trips)
        kinds = listed(count_kind(kind, n) for kind, n in counts.most_common())
        frames = number_of("{n:,} frame", "{n:,} frames", sum(trip.frames for trip in trips))
        payload = sum(
            len(trip.packet.payload) for trip in trips if trip.kind in ("tcp-data", "udp")
        )
        counted = say("{packets}: {kinds}, {frames}", packets=packets, kinds=kinds, frames=frames)
        if payload:
            counted = say(
                "{packets}: {kinds} with {size}, {frames}",
                packets=packets,
                kinds=kinds,
                size=byte_count(payload),
                frames=frames,
            )
        astray = sum(bool(trip.ended) and not (trip.stray or trip.under_way) for trip in trips)
        if self.cut or not astray:
            return counted
        return number_of(
            "{counted}; {n:,} of them did not arrive",
            "{counted}; {n:,} of them did not arrive",
            astray,
            counted=counted,
        )


def parts(
    trips: Sequence[Trip], *, alike: bool = True, room: int | None = None, stormy: bool = False
) -> list[Trip | Fold]:
    """The packets in order, runs of them folded. alike: fold also what is no storm. room: at most
    so many packets, then one Fold with all that follow. stormy: there is a storm in the story, if
    not among these packets."""
    out: list[Trip | Fold] = []
    trips, storm = _apart(trips, stormy)
    if room is None and (storm is not None or stormy):
        room = STORM_ROOM
    for run in _runs(trips, alike):
        if len(run) < FOLD_FROM:
            out += run
        else:
            out += [*run[:2], Fold(run[2:-2]), *run[-2:]]
    if storm is not None:
        first = storm.trips[0].number
        place = next((n for n, part in enumerate(out) if _number(part) > first), len(out))
        out.insert(place, storm)
    if room is None:
        return out
    taken = 0
    for place, part in enumerate(out):
        if isinstance(part, Fold):
            continue
        if taken == room:
            rest = [
                trip
                for later in out[place:]
                for trip in (later.trips if isinstance(later, Fold) else (later,))
            ]
            return [*out[:place], Fold(rest, cut=True)]
        taken += 1
    return out


def _apart(trips: Sequence[Trip], stormy: bool) -> tuple[Sequence[Trip], Fold | None]:
    """What is told one by one, and the rest of a storm: the first packets that go round show how.
    One storm begets others, and packets that go round nowhere: a host answers each copy."""
    storms = storming(trips)
    if not (storms or stormy):
        return trips, None
    shown: list[Trip] = []
    rest: list[Trip] = []
    times: Counter[str] = Counter()
    for trip in trips:
        kind = kind_of(trip, storms)
        alike = kind[0] if kind[0] in DROWNED else " ".join(kind)
        times[alike] += 1
        (shown if times[alike] <= STORM_TOLD else rest).append(trip)
    return shown, Fold(rest) if rest else None


def merged(steps: Sequence[Step]) -> list[Step]:
    """Steps with the same heading as one, where a storm has torn them apart."""
    out: dict[tuple[str, str], Step] = {}
    for step in steps:
        first = out.setdefault((step.key, step.heading), step)
        if first is not step:
            out[step.key, step.heading] = replace(
                first,
                trips=sorted((*first.trips, *step.trips)),
                mapping=[*first.mapping, *step.mapping],
                remarks=[*first.remarks, *step.remarks],
            )
    return list(out.values())


def _number(part: Trip | Fold) -> int:
    return part.trips[0].number if isinstance(part, Fold) else part.number


def chosen(story: Story, most: int) -> list[list[Trip | Fold]]:
    """What a page of bounded size tells of each step: about `most` packets, and at least the first
    few of each step. Storms are folded always, what else is alike only where it gets crowded."""
    crowded = len(story.trips) > most
    stormy = any(trip.storm is not None for trip in story.trips)
    left = most
    out = []
    for step in story.steps:
        trips = [story.trip(number) for number in step.trips]
        room = max(left, 4) if crowded else None
        chosen_parts = parts(trips, alike=crowded, room=room, stormy=stormy)
        left -= sum(not isinstance(part, Fold) for part in chosen_parts)
        out.append(chosen_parts)
    return out


def _runs(trips: Sequence[Trip], alike: bool) -> list[list[Trip]]:
    """Neighbours that may be folded together."""
    runs: list[list[Trip]] = []
    before = ""
    crowded = len(trips) > CROWDED
    for trip in trips:
        family = _ALIKE.get(trip.kind, "") if alike else ""
        if not crowded and (trip.notes or trip.ended or trip.cause or trip.lost):
            family = ""
        if trip.stray:
            family = "stray"
        elif alike and trip.under_way:
            family = "under way"
        if family and family == before:
            runs[-1].append(trip)
        else:
            runs.append([trip])
        before = family
    return runs
