# SPDX-License-Identifier: Apache-2.0
"""Connections and lookups that are the same again and again: the first is told, the others counted.

What lives here: what makes two of them alike, and the sentence that counts them. What must not:
layout, and which details a reader has asked for.

Alike are connections between the same two, to the same port, in which the same was asked and
answered and which ended alike. How many frames a close took, and how long it all took, may differ
and is said. One that ended otherwise, lost a packet or sent it again is like no other, unless many
are like it: so it is told by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence

from hoplab.sentences import listed, number_of, say, together
from hoplab.story.causes import Lookup
from hoplab.story.records import Repeats, Step, Trip
from hoplab.story.steps import Facts
from hoplab.story.tcp import Connection

REPEATS_FROM = 4  # fewer are told one by one


def find_repeats(facts: Facts, steps: Sequence[Step]) -> Repeats | None:
    """What of these steps need not be told, and what to say instead; None if nothing."""
    connection_of = {
        number: place for place, one in enumerate(facts.connections) for number in one.trips
    }
    lookups_of: dict[int, Lookup] = {one.question: one for one in facts.lookups}
    of_connection: dict[int, list[int]] = {}  # place of a connection -> places of its steps
    of_lookups: dict[Hashable, list[int]] = {}  # what was looked up -> places of steps
    for place, step in enumerate(steps):
        owners = {connection_of[number] for number in step.trips if number in connection_of}
        asked = [lookups_of[number] for number in step.trips if number in lookups_of]
        if step.key == "dns" and asked and not _trouble(facts, step.trips):
            key = tuple(
                (one.asker, one.server, one.kind, one.name, one.result, len(one.tries))
                for one in asked
            )
            of_lookups.setdefault(key, []).append(place)
        elif step.key != "dns" and len(owners) == 1:
            of_connection.setdefault(owners.pop(), []).append(place)
    alike: dict[Hashable, list[int]] = {}
    for which in of_connection:
        alike.setdefault(_ending(facts, facts.connections[which]), []).append(which)
    hidden: list[int] = []
    sentences: list[str] = []
    for group in alike.values():
        if len(group) >= REPEATS_FROM:
            places = [place for which in group[1:] for place in of_connection[which]]
            hidden += places
            sentences.append(_connections(facts, group, _packets(facts, steps, places)))
    for places in of_lookups.values():
        if len(places) >= REPEATS_FROM:
            hidden += places[1:]
            sentences.append(_lookups(facts, steps, places, lookups_of))
    return Repeats(frozenset(hidden), sentences) if hidden else None


def _ending(facts: Facts, connection: Connection) -> Hashable:
    """What alike connections have in common."""
    exchanges = tuple(
        (one.method, one.target, one.status, one.body_bytes) for one in connection.exchanges
    )
    closed = "reset" if connection.resets else "closed" if connection.first_fin is not None else ""
    ends = connection.client.node, connection.server.node, connection.port
    trouble = bool(connection.again) or _trouble(facts, connection.trips)
    secured = connection.tls is not None and connection.tls.alert_text
    opened = bool(connection.ack), len(connection.syns), bool(connection.refused_by)
    sizes = tuple(bool(side.data_trips) for side in connection.sides)
    return ends, opened, exchanges, sizes, closed, trouble, secured


def _trouble(facts: Facts, numbers: Sequence[int]) -> bool:
    """A packet that did not arrive, or of which not all was seen."""
    trips = [facts.by_number[number] for number in numbers]
    return any(trip.ended or trip.lost or trip.under_way for trip in trips)


def _packets(facts: Facts, steps: Sequence[Step], places: Sequence[int]) -> list[Trip]:
    numbers = sorted(number for place in places for number in steps[place].trips)
    return [facts.by_number[number] for number in numbers]


def _counted(trips: Sequence[Trip]) -> dict[str, object]:
    return {
        "first": trips[0].number,
        "last": trips[-1].number,
        "packets": number_of("{n:,} packet", "{n:,} packets", len(trips)),
        "frames": number_of("{n:,} frame", "{n:,} frames", sum(trip.frames for trip in trips)),
    }


def _connections(facts: Facts, group: Sequence[int], trips: Sequence[Trip]) -> str:
    first = facts.connections[group[0]]
    others = [facts.connections[which] for which in group[1:]]
    spans = []
    closes: Counter[int] = Counter()
    for one in others:
        mine = [facts.by_number[number] for number in one.trips]
        spans.append((max(trip.arrived_ns for trip in mine) - mine[0].t_ns) / 1e6)
        closes[sum(phase == "close" for phase in one.phases.values())] += 1
    text = number_of(
        "{n:,} more connection from {client} to {server}, port {port}, went as connection {told} "
        "did (#{first} to #{last}: {packets}, {frames}).",
        "{n:,} more connections from {client} to {server}, port {port}, went as connection {told} "
        "did (#{first} to #{last}: {packets}, {frames}).",
        len(others),
        client=first.client.node,
        server=first.server.node,
        port=first.port,
        told=group[0] + 1,
        **_counted(trips),
    )
    took = say("Each took {least:,.1f} to {most:,.1f} ms.", least=min(spans), most=max(spans))
    if len(closes) < 2:
        return together(text, took)
    ways = [
        number_of(
            "{n:,} with {packets}", "{n:,} with {packets}", count,
            packets=number_of("{n:,} packet", "{n:,} packets", size),
        )
        for size, count in sorted(closes.items())
    ]  # fmt: skip
    return together(text, took, say("They were closed: {ways}.", ways=listed(ways)))


def _lookups(
    facts: Facts, steps: Sequence[Step], places: Sequence[int], lookups: dict[int, Lookup]
) -> str:
    first = next(lookups[number] for number in steps[places[0]].trips if number in lookups)
    return number_of(
        "{asker} looked {name} up {n:,} more time at {server}, with the same answer (#{first} to "
        "#{last}: {packets}, {frames}).",
        "{asker} looked {name} up {n:,} more times at {server}, with the same answer (#{first} to "
        "#{last}: {packets}, {frames}).",
        len(places) - 1,
        asker=first.asker,
        name=first.name,
        server=first.server,
        **_counted(_packets(facts, steps, places[1:])),
    )
