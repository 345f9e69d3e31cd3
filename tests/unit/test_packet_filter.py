# SPDX-License-Identifier: Apache-2.0
"""hoplab.packet_filter: each word of the language, against what the packets' records say."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from hoplab import runs
from hoplab.packet_filter import vocabulary
from hoplab.packet_filter.fates import LOST, fates
from hoplab.packet_filter.grammar import Both, FilterError, parse
from hoplab.packet_filter.matching import compile_filter
from hoplab.story.trip_records import Trip

RUNS = Path(__file__).parent.parent / "data" / "runs"
HANDSHAKE = range(21, 26)


@cache
def run(name: str = "web-cold") -> runs.Run:
    return runs.reopen(RUNS / name)


def found(text: str, name: str = "web-cold") -> list[int]:
    test = compile_filter(text, run(name))
    return [trip.number for trip in run(name).story.trips if test(trip)]


def passes(trip: Trip, node: str) -> bool:
    at = {name for leg in trip.legs for name in (leg.tail, leg.head)}
    return node in at and node not in (trip.sender, trip.target)


FILTERS: list[tuple[str, Callable[[Trip], bool]]] = [
    ("", lambda trip: True),
    ("dns", lambda trip: trip.kind.startswith("dns")),
    ("tcp.syn", lambda trip: trip.kind.startswith("tcp-syn")),
    ("tcp.flags.syn", lambda trip: trip.kind.startswith("tcp-syn")),
    ("from client to www", lambda trip: (trip.sender, trip.target) == ("client", "www")),
    ("from 10.80.0.80", lambda trip: trip.src == "10.80.0.80"),
    ("via r1 and not tcp", lambda trip: passes(trip, "r1") and trip.packet.tcp is None),
    ("via r1 AND NOT tcp", lambda trip: passes(trip, "r1") and trip.packet.tcp is None),
    ("via r1 && !tcp", lambda trip: passes(trip, "r1") and trip.packet.tcp is None),
    ("arp or (udp and to resolver)", lambda trip: trip.packet.arp is not None
        or (trip.packet.udp is not None and trip.target == "resolver")),
    ("#3..#5", lambda trip: 3 <= trip.number <= 5),
    ("22", lambda trip: trip.number == 22),
    ("ip.dst == 10.80.0.80", lambda trip: trip.dst == "10.80.0.80"),
    ("ip.addr != 10.80.0.80", lambda trip: "10.80.0.80" not in (trip.src, trip.dst)),
    ("length > 100 from www", lambda trip: trip.length > 100 and trip.sender == "www"),
    ("frame.len <= 60", lambda trip: trip.length <= 60),
    ("copies >= 5", lambda trip: trip.frames >= 5),
    ("flooded", lambda trip: any(fanout.flooded for fanout in trip.fanouts)),
    ("ignored", lambda trip: bool(trip.ignored)),
    ("routed", lambda trip: bool(trip.rewrites)),
    ("asked", lambda trip: any(d.by == "controller" and d.packet_in for d in trip.decisions)),
    ("answered", lambda trip: trip.answered_by > 0),
    ("(from resolver or from root) dns", lambda trip: trip.sender in ("resolver", "root")
        and trip.kind.startswith("dns")),
    ('"who has 10.53.0.3"', lambda trip: "who has 10.53.0.3" in trip.title),
    ("step 3", lambda trip: trip.number in HANDSHAKE),
    ("on s1-eth2", lambda trip: any("s1-eth2" in leg for leg in trip.legs)),
    ("pc", lambda trip: any(leg.head == "pc" for leg in trip.legs)),
    ("eth.src == 02:00:00:00:03:00",
        lambda trip: any(leg.src_mac == "02:00:00:00:03:00" for leg in trip.legs)),
    ("02:00:00:00:03:00", lambda trip: any("02:00:00:00:03:00" in leg for leg in trip.legs)),
    ("ttl == 62", lambda trip: trip.packet.ip is not None and len(trip.rewrites) > 1),
    ("ttl < 5", lambda trip: False),
    ("frame.number == 0", lambda trip: False),
    ("www.itheima.com", lambda trip: "www.itheima.com" in trip.title.lower()),
]  # fmt: skip


@pytest.mark.parametrize(("text", "wanted"), FILTERS, ids=[text for text, _ in FILTERS])
def test_a_filter_means_these_packets(text: str, wanted: Callable[[Trip], bool]) -> None:
    numbers = found(text)
    assert numbers == [trip.number for trip in run().story.trips if wanted(trip)]
    assert numbers or text in ("ttl < 5", "frame.number == 0")


def test_what_other_runs_have() -> None:
    assert found("lost", "reply-lost") == found("vanished", "reply-lost") == [2]
    assert found("translated", "nat") == [1, 2]
    neighbours = found("nd", "ipv6")
    assert neighbours
    assert found("arp", "ipv6") == [], "neighbour discovery is no ARP"
    assert set(neighbours) <= set(found("ipv6", "ipv6"))
    assert found("ipv4", "ipv6") == []
    assert found("ended", "loop-storm") == [1]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("via nobody", "nobody"), ("on nowhere", "nowhere"), ("ttl > many", "many"),
        ("(dns", "("), ("dns)", ")"), ("from client ==", "=="), ("ip.src > 10.0.0.1", ">"),
        ('"dns', '"'), ("from <", "<"), ("tcp or", "…"), ("and tcp", "and"), ("no.", "no."),
        ("not " * 200, "not"), ("length == 0x10", "0x10"), ("length ==", "=="),
    ],
)  # fmt: skip
def test_what_cannot_stand_there_is_named(text: str, word: str) -> None:
    with pytest.raises(FilterError) as error:
        compile_filter(text, run())
    assert error.value.word == word


def test_the_vocabulary_is_whole() -> None:
    """Each word of it means something here."""
    assert set(vocabulary.FIELDS.values()) == set(vocabulary.READINGS)
    for name in vocabulary.FIELDS:
        assert found(f"{name} == 1") is not None
    for state in vocabulary.STATES:
        found(state)
    for protocol in vocabulary.PROTOCOLS:
        found(protocol)
    for relation, value in zip(
        vocabulary.RELATIONS, ("client", "www", "r1", "pc", "s1-eth1", "dns"), strict=True
    ):
        assert found(f"{relation} {value}")
    assert parse("") == Both(())


def test_a_fate_for_each_leg() -> None:
    trip = run("reply-lost").story.trips[1]
    assert [bool(fate & LOST) for fate in fates(trip)] == [leg.lost for leg in trip.legs]
