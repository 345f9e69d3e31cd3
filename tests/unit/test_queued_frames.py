# SPDX-License-Identifier: Apache-2.0
"""Frames that wait for long in a full queue in front of a cable with a rate: what leaves the switch
late is what came in early, and no packet of the switch's own."""

from __future__ import annotations

import dataclasses

import pytest

from hoplab.follow.follow import Follower
from hoplab.follow.model import Doubt, Journey
from hoplab.follow.wiring import Wiring
from tests.unit import netmodel as nm
from tests.unit.test_follow import ASK, HOST, OTHER, OUT, Tape, W, packet

MS = nm.MS
RATE = 400_000


def squeezed(rate: int, queue: int = 0) -> Wiring:
    """The network with a rate at the switch's port to h2."""
    interfaces = [
        dataclasses.replace(interface, rate=rate, extra={"queue": queue} if queue else {})
        if interface.name == "s1-eth1"
        else interface
        for interface in W.interfaces
    ]
    return Wiring(list(W.nodes.values()), interfaces)


def burst(rate: int, frames: int, dropped: frozenset[int] = frozenset()) -> Tape:
    """h1 sends frames to h2, one a millisecond, and they leave s1 one behind the other."""
    tape, events, free = Tape(), [], 0
    for number in range(frames):
        data = packet("h1-eth0", "h2-eth0", "h1-eth0", "h2-eth0", ident=number, payload=bytes(1000))
        came = number * MS
        events += [(came, "h1-eth0", data, OUT), (came + 1000, "s1-eth0", data, OTHER)]
        if number not in dropped:
            free = max(free, came) + len(data) * 8 * 1_000_000_000 // rate
            events += [(free, "s1-eth1", data, OUT), (free + 1000, "h2-eth0", data, HOST)]
    for event in sorted(events, key=lambda event: event[0]):
        tape(*event)
    return tape


def lengths(journeys: list[Journey]) -> list[int]:
    return [len(list(journey.hops())) for journey in journeys]


def test_frames_that_wait_for_seconds_before_a_slow_cable_keep_their_way() -> None:
    dropped = frozenset({50, 70})
    journeys = Follower(squeezed(RATE)).follow(burst(RATE, 150, dropped).items)
    assert lengths(journeys) == [1 if number in dropped else 2 for number in range(150)]
    assert journeys[-1].root.children[0].t_ns - journeys[-1].root.t_ns > 2 * nm.S
    assert not any(hop.doubt for journey in journeys for hop in journey.hops())


def test_in_a_short_queue_nothing_waits_that_long() -> None:
    assert squeezed(RATE, 10).longest_queue_ns() < 400 * MS
    assert squeezed(RATE).longest_queue_ns() == 30 * nm.S
    assert squeezed(0).longest_queue_ns() == 0
    journeys = Follower(squeezed(RATE, 10)).follow(burst(RATE, 150).items)
    assert len(journeys) > 150, "it waited longer than that queue can hold it"


@pytest.mark.parametrize("rate", [0, RATE])
def test_a_question_asked_again_before_an_idle_cable_is_another_one(rate: int) -> None:
    tape = Tape()
    for second in range(3):  # the first one is dropped by the switch
        t = second * nm.S
        tape(t, "h1-eth0", ASK)
        tape(t + 1000, "s1-eth0", ASK, OTHER)
        if second:
            tape(t + 2000, "s1-eth1", ASK)
            tape(t + 3000, "h2-eth0", ASK, OTHER)
    journeys = Follower(squeezed(rate)).follow(tape.items)
    assert lengths(journeys) == [1, 2, 2]
    assert not any(hop.doubt & Doubt.CAUSE for journey in journeys for hop in journey.hops())
