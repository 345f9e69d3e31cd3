# SPDX-License-Identifier: Apache-2.0
"""hoplab.story.trip_records: an analysis says what it has to say, and nobody changes it."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from hoplab import runs
from hoplab.story.causes import Causes, find_causes
from hoplab.story.places import Places
from hoplab.story.records import Story
from hoplab.story.trip_records import UNRELATED, Decision, Proof, Relation, Segment, Trip, Way
from tests.unit.scenarios import on_its_way, switch_cold

RUNS = Path(__file__).parent.parent / "data" / "runs"
NAMES = sorted(path.name for path in RUNS.iterdir())
PLAIN = (str, int, float, bytes, type(None))


def changeable(value: object, name: str) -> Iterator[str]:
    """The names of everything in a value that somebody could write into."""
    if isinstance(value, tuple):
        for place, item in enumerate(value):
            yield from changeable(item, f"{name}[{place}]")
    elif dataclasses.is_dataclass(value):
        if not value.__dataclass_params__.frozen:  # type: ignore[attr-defined]
            yield name
        for field in dataclasses.fields(value):
            yield from changeable(getattr(value, field.name), f"{name}.{field.name}")
    elif not isinstance(value, PLAIN):
        yield f"{name}: {type(value).__name__}"


@pytest.mark.parametrize("name", NAMES)
def test_nobody_can_write_into_a_record(name: str) -> None:
    for trip in runs.reopen(RUNS / name).story.trips:
        assert list(changeable(trip, f"#{trip.number}")) == []


@pytest.mark.parametrize("record", [Way, Segment, Proof, Relation, Trip, Decision])
def test_a_record_is_frozen(record: type) -> None:
    trip = next(trip for trip in switch_cold().trips if trip.kind == "tcp-syn")
    parts = (trip.way, trip.segment, Proof("www", ""), trip.relation, trip)
    made = next((part for part in parts if isinstance(part, record)), None)
    made = made or Decision("s1", 0, "flow", "")
    fields = getattr(record, "_fields", None) or [it.name for it in dataclasses.fields(record)]
    for field in fields:
        with pytest.raises(AttributeError):  # that of a frozen dataclass is one
            setattr(made, field, None)


def test_whose_word_counts() -> None:
    """A proof takes the doubt away; what TCP says of a segment stands before what its way says."""
    trip = next(trip for trip in switch_cold().trips if trip.kind == "tcp-syn")
    doubtful = on_its_way(trip, notes=("a doubt", "a note"), doubt="a doubt", delivered=())
    segment = Segment("tcp-syn", "a SYN", ("sent again",), "refused", (3,))
    bare = Trip(doubtful.way, segment)
    assert (bare.kind, bare.title, bare.cause, bare.causes) == ("tcp-syn", "a SYN", "refused", (3,))
    assert bare.notes == ("a doubt", "a note", "sent again") and not bare.delivered
    whole = bare._replace(
        proof=Proof("www", "it came"), relation=Relation("asked for", (1, 2), 9, ("late",))
    )
    assert whole.notes == ("a note", "sent again", "it came", "late")
    assert whole.delivered == ("www",) and whole.proved
    assert (whole.cause, whole.causes, whole.answered_by) == ("asked for", (1, 2), 9)


# --- relations, kept up to date -------------------------------------------------------------------


def unrelated(story: Story) -> list[Trip]:
    return [trip._replace(relation=UNRELATED) for trip in story.trips]


@pytest.mark.parametrize("name", NAMES)
def test_in_whatever_order_packets_come_they_are_related_alike(name: str) -> None:
    """Packets that are told late, or told again, and looks in between change nothing in the end."""
    run = runs.reopen(RUNS / name)
    places = Places(run.wiring)
    trips = unrelated(run.story)
    begun_ns = run.story.started_ns
    expected, lookups = find_causes(places, trips, begun_ns)
    for seed in range(5):
        chance = random.Random(seed)
        causes, relations = Causes(places, begun_ns), dict[int, Relation]()
        order = chance.sample(trips, len(trips))
        for trip in order + chance.sample(trips, len(trips) // 2):
            sent = trip.way.next_hops[:1]
            causes.put(on_its_way(trip, legs=trip.legs[:1], next_hops=sent, ended="on its way"))
            if chance.random() < 0.5:
                relations |= causes.update(trip.t_ns)
        for trip in order:
            causes.put(trip)
        relations |= causes.update()
        for trip in trips:
            number = trip.number
            assert relations.get(number, UNRELATED) == expected.get(number, UNRELATED), number
        assert causes.lookups == lookups


@pytest.mark.parametrize("name", ["routed-cold", "web-cold", "traceroute"])
def test_what_is_forgotten_leaves_nothing_behind(name: str) -> None:
    run = runs.reopen(RUNS / name)
    places = Places(run.wiring)
    causes = Causes(places)
    trips = unrelated(run.story)
    for trip in trips:
        causes.put(trip)
    causes.update(trips[-1].t_ns)
    for trip in trips:
        causes.forget({trip.number})
    causes.update(trips[-1].t_ns)
    for rule in causes.rules:
        for field, value in vars(rule).items():
            if isinstance(value, (dict, set, list)):
                assert not any(value.values() if isinstance(value, dict) else value), field


@pytest.mark.parametrize("name", ["web-cold", "nxdomain"])
def test_of_what_is_forgotten_nothing_is_said(name: str) -> None:
    """Whatever else is looked at by then: an answer whose question is forgotten, for one."""
    run = runs.reopen(RUNS / name)
    for seed in range(60):
        chance, causes, living = random.Random(seed), Causes(Places(run.wiring)), set[int]()
        for trip in unrelated(run.story):
            causes.put(trip)
            living.add(trip.number)
            assert causes.update(trip.t_ns).keys() <= living
            if chance.random() < 0.5:
                number = chance.choice(sorted(living))
                causes.forget({number})
                living.remove(number)
        assert causes.update().keys() <= living
