# SPDX-License-Identifier: Apache-2.0
"""Captures too large to hold, whose switches' tables are asked piece by piece."""

from __future__ import annotations

from pathlib import Path

import pytest

from hoplab import runs
from hoplab.capture import pcapng_reader
from hoplab.capture.observation import Observation, Reception
from hoplab.follow.tree import STORM_FROM
from hoplab.follow.wiring import Interface, Node, Wiring
from hoplab.openvswitch.shadow import missing
from hoplab.replay import explain as explaining
from hoplab.replay.explain import Explainer
from hoplab.replay.player import Player

KEPT = Path(__file__).parent.parent / "data" / "replay"

pytestmark = pytest.mark.skipif(bool(missing()), reason="Open vSwitch is not installed")


def told(name: str) -> tuple[runs.Run, Explainer]:
    with Explainer() as explain:
        return runs.reopen(KEPT / name, explain=explain), explain


@pytest.mark.parametrize("name", ["balancer", "learning_switch", "meter", "mirror"])
def test_the_same_as_of_a_small_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, _ = told(name)
    monkeypatch.setattr(runs, "HELD_MOST", 0)
    monkeypatch.setattr(pcapng_reader, "_PIECE", 1500)
    parted, explain = told(name)
    assert not explain.problem
    assert len(parted.story.trips) == len(whole.story.trips)
    for trip, each in zip(whole.story.trips, parted.story.trips, strict=True):
        assert (each.path, len(each.legs), each.cause) == (trip.path, len(trip.legs), trip.cause)
        assert [made.sentence for made in each.decisions] == [
            made.sentence for made in trip.decisions
        ]
    assert parted.story.outcome == whole.story.outcome


def test_more_than_can_be_asked_about_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "HELD_MOST", 0)
    monkeypatch.setattr(explaining, "MOST_ASKED", 5)
    parted, explain = told("learning_switch")
    assert 0 < sum(not passage.packet_out for passage in parted.passages) <= 5
    assert "first 5 frames" in explain.problem
    whole, _ = told("learning_switch")
    assert len(parted.story.trips) == len(whole.story.trips)


def test_later_copies_of_a_storm_are_not_asked_about() -> None:
    """A story only counts them, and each would cost a question: in a loop alone, and only what
    comes by several ports."""

    def asked(looped: bool, ports: tuple[int, ...]) -> int:
        peers = {"s1-eth1": "s2-eth1", "s1-eth2": "s2-eth2" if looped else "h2-eth0"}
        peers |= {peer: port for port, peer in peers.items()}
        interfaces = [
            Interface(name, name[:2], "", (), peer, extra={"port": int(name[-1])})
            for name, peer in peers.items()
        ]
        nodes = [Node("s1", "switch"), Node("s2", "switch"), Node("h2", "host")]
        wiring = Wiring(nodes, interfaces)
        player = Player(wiring, range(len(interfaces)), None)  # type: ignore[arg-type]
        came, frame = Reception.BROADCAST, b"\xff" * 60
        seen = [
            Observation(number, number * 1_000_000, ports[number % len(ports)], came, frame, 60)
            for number in range(1, 401)
        ]
        player.take(frames=seen)
        return len(player._waiting)

    assert asked(True, (0, 1)) == 2 * STORM_FROM
    assert asked(False, (0, 1)) == asked(True, (0,)) == 400
