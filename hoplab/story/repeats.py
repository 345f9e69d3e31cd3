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
from collections.abc import Hashable, Iterable, Iterator, Sequence

from hoplab.sentences import listed, number_of, say, together
from hoplab.story.lookups import Lookup
from hoplab.story.records import Repeats, Step
from hoplab.story.steps import Facts
from hoplab.story.tcp_connection import Connection
from hoplab.story.trip_records import Trip

REPEATS_FROM = 4  # fewer are told one by one
Repeated = tuple[Sequence[int], str]  # places of steps, and what to say instead of them


def find_repeats(facts: Facts, steps: Sequence[Step]) -> Repeats | None:
    """What of these steps need not be told, and what to say instead; None if nothing."""
    repeated = [*_repeated_connections(facts, steps), *_repeated_lookups(facts, steps)]
    if not repeated:
        return None
    hidden = frozenset(place for places, _ in repeated for place in places)
    return Repeats(hidden, [sentence for _, sentence in repeated])


def _repeated_connections(facts: Facts, steps: Sequence[Step]) -> Iterator[Repeated]:
    """Of connections that are alike, the steps of all but the first."""
    connection_of = {
        number: place
        for place, connection in enumerate(facts.connections)
        for number in connection.trips
    }
    steps_of: dict[int, list[int]] = {}  # place of a connection -> places of its steps
    for place, step in enumerate(steps):
        owners = {connection_of[number] for number in step.trips if number in connection_of}
        if step.key != "dns" and len(owners) == 1:
            steps_of.setdefault(owners.pop(), []).append(place)
    alike: dict[Hashable, list[int]] = {}
    for connection in steps_of:
        alike.setdefault(_ending(facts, facts.connections[connection]), []).append(connection)
    for group in alike.values():
        if len(group) >= REPEATS_FROM:
            places = [place for connection in group[1:] for place in steps_of[connection]]
            yield places, _connections(facts, group, _packets(facts, steps, places))


def _repeated_lookups(facts: Facts, steps: Sequence[Step]) -> Iterator[Repeated]:
    """Of lookups that are alike, the steps of all but the first."""
    lookups_of = {lookup.question: lookup for lookup in facts.lookups}
    alike: dict[Hashable, list[int]] = {}  # what was looked up -> places of steps
    for place, step in enumerate(steps):
        asked = [lookups_of[number] for number in step.trips if number in lookups_of]
        if step.key == "dns" and asked and not _trouble(facts, step.trips):
            alike.setdefault(_questions(asked), []).append(place)
    for places in alike.values():
        if len(places) >= REPEATS_FROM:
            yield places[1:], _lookups(facts, steps, places, lookups_of)


def _questions(lookups: Iterable[Lookup]) -> Hashable:
    """What alike lookups have in common."""
    return tuple(
        (
            lookup.asker, lookup.server, lookup.kind, lookup.name, lookup.result, len(lookup.tries)
        )
        for lookup in lookups
    )  # fmt: skip


def _ending(facts: Facts, connection: Connection) -> Hashable:
    """What alike connections have in common."""
    exchanges = tuple(
        (exchange.method, exchange.target, exchange.status, exchange.body_bytes)
        for exchange in connection.exchanges
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
    repeated = [facts.connections[place] for place in group[1:]]
    spans = []
    closes: Counter[int] = Counter()
    for connection in repeated:
        packets = [facts.by_number[number] for number in connection.trips]
        spans.append((max(trip.arrived_ns for trip in packets) - packets[0].t_ns) / 1e6)
        closes[sum(phase == "close" for phase in connection.phases.values())] += 1
    text = number_of(
        "{n:,} more connection from {client} to {server}, port {port}, went as connection {told} "
        "did (#{first} to #{last}: {packets}, {frames}).",
        "{n:,} more connections from {client} to {server}, port {port}, went as connection {told} "
        "did (#{first} to #{last}: {packets}, {frames}).",
        len(repeated),
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
