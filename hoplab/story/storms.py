# SPDX-License-Identifier: Apache-2.0
"""What goes round a loop of switches: what it cost, and which of its packets are alike.

What lives here: the sentences at the head of a story with a storm, and the kinds by which whoever
shows such a story counts its packets instead of showing each. What must not: layout.

A storm has thousands of packets, since hosts answer each copy of a question, and the remains of
older storms go round beside it. One of each kind shows how; the others differ in nothing that a
reader could use.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from hoplab.follow.wiring import Wiring
from hoplab.sentences import listed, number_of, say, term
from hoplab.story.silence import loop_of_switches
from hoplab.story.trip_records import Trip

DROWNED = ("storm", "under way")  # kinds of packets that begin no step of a lesson
_NAMED = 8  # switches of a loop

Kind = tuple[str, ...]


def storming(trips: Iterable[Trip]) -> set[str]:
    """The kinds of packets of which some go round."""
    return {trip.kind for trip in trips if trip.storm is not None}


def kind_of(trip: Trip, storms: set[str]) -> Kind:
    """Packets of one kind are told by the first of them. storms: see `storming`."""
    if trip.storm is not None or trip.kind in storms:
        return ("storm", trip.kind)
    if trip.under_way and trip.fate != "cut":
        return ("under way", trip.kind)
    return (trip.kind, trip.sender, trip.title)


def firsts(trips: Iterable[Trip], of_each: int, most: int) -> set[int]:
    """The numbers of the first packets of each kind, `most` in all."""
    trips = list(trips)
    storms, times = storming(trips), Counter[Kind]()
    kept: set[int] = set()
    for trip in trips:
        kind = kind_of(trip, storms)
        times[kind] += 1
        if times[kind] <= of_each and len(kept) < most:
            kept.add(trip.number)
    return kept


def storm_alerts(trips: Sequence[Trip], wiring: Wiring, frames: int) -> list[str]:
    """What went round, what it cost, and what ends it; nothing where nothing did. frames: of all
    packets."""
    round_trips = [trip for trip in trips if trip.storm is not None and trip.storm.back]
    if not round_trips:
        return []
    begun = min(trip.ms for trip in round_trips)
    ended = max(trip.ms + trip.storm.ms for trip in round_trips if trip.storm is not None)
    cost = {
        "packets": number_of("{n:,} packet", "{n:,} packets", len(round_trips)),
        "frames": sum(trip.frames for trip in round_trips),
        "all": number_of("{n:,} frame", "{n:,} frames", frames),
        "ms": ended - begun,
    }
    loop = loop_of_switches(wiring)
    if not loop:
        return [
            say(
                "Switches send frames back out of the port by which they came: {packets} went to "
                "and fro for {ms:,.0f} ms and made {frames:,} of all {all}.",
                **cost,
            )
        ]
    names = listed(loop[:_NAMED])
    where = (
        say("{names} and {n:,} more switches stand in a loop", names=names, n=len(loop) - _NAMED)
        if len(loop) > _NAMED
        else number_of(
            "{names} stands in a loop", "{names} stand in a loop", len(loop), names=names
        )
    )
    return [
        say(
            "{where}: {packets} went round it for {ms:,.0f} ms and made {frames:,} of all {all}. "
            "An Ethernet frame has no TTL that would end it.",
            where=where,
            **cost,
        ),
        say(
            "What ends it: hoplab swap {tree}, a controller that rests a cable until the loop is "
            "open; or STP on the switches, or a cable less.",
            tree="spanning_tree",
        )
        if wiring.controller
        else term("What ends it: STP on the switches, or a cable less."),
    ]
