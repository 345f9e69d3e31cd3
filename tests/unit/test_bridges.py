# SPDX-License-Identifier: Apache-2.0
"""A host whose cards somebody has joined by a Linux bridge passes frames on as a switch does."""

from __future__ import annotations

from pathlib import Path

from hoplab import runs
from hoplab.capture.observation import Observation, Reception
from hoplab.follow.bridges import find_bridges, with_bridges
from tests.unit import frames
from tests.unit.playground import wire_up

KEPT = Path(__file__).parent.parent / "data" / "replay" / "bridge"
W = wire_up([("h1", "10.0.0.1/24", "m", ""), ("m", "10.0.1.1/24", "h2", "10.0.0.2/24")])
MAC = {interface.name: interface.mac for interface in W.interfaces}
MS = 1_000_000


def seen(number: int, ms: int, name: str, reception: Reception, source: str) -> Observation:
    port = W.port(name)
    assert port is not None
    data = frames.eth(frames.BROADCAST, source, 0x0806, bytes(28))
    return Observation(number, ms * MS, port, reception, data, len(data))


def bridges(source: str, out: str, ms: int) -> frozenset[str]:
    """m got a frame with that source by its first card at 0 ms, and sent it out by another one."""
    came = seen(1, 0, "m-eth0", Reception.BROADCAST, source)
    left = seen(2, ms, out, Reception.OUTGOING, source)
    return find_bridges(W, range(len(W.interfaces)), [came, left])


def test_who_passes_on_what_is_anothers_is_a_bridge() -> None:
    assert bridges(MAC["h1-eth0"], "m-eth1", 1) == {"m"}
    assert bridges(MAC["h1-eth0"], "m-eth0", 1) == frozenset(), "it goes back where it came"
    assert bridges(MAC["m-eth0"], "m-eth1", 1) == frozenset(), "its own, as a router's"
    assert bridges(MAC["h1-eth0"], "m-eth1", 500) == frozenset(), "much later: another one"
    assert with_bridges(W, frozenset({"m"})).kind("m") == "switch"


def test_a_ping_through_a_bridge_is_one_packet_each_way() -> None:
    story = runs.read(KEPT, host="a", command="ping -c 1 10.0.0.2").story
    assert [trip.path for trip in story.trips] == [
        ("a", "s1", "br", "b"), ("b", "br", "s1", "a"), ("a", "s1", "br", "b"),
        ("b", "br", "s1", "a"),
    ]  # fmt: skip
    assert story.outcome.ok and not any(trip.ended for trip in story.trips)
