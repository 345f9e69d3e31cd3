# SPDX-License-Identifier: Apache-2.0
"""Which silent link parts an asker from an owner."""

from __future__ import annotations

from hoplab.follow.wiring import Wiring
from hoplab.story.silence import silent_link
from tests.unit.playground import Playground, Spec, wire_up

ROW: Spec = [
    ("h1", "10.0.0.1/24", "s1", ""),
    ("h2", "10.0.0.2/24", "s2", ""),
    ("s1", "", "s2", ""),
    ("h3", "10.0.0.3/24", "s2", ""),
]
# A second way from s1 to s2, by s3.
RING: Spec = [*ROW, ("s1", "", "s3", ""), ("s3", "", "s2", "")]


def found(spec: Spec, *down: str, owner: str = "h2") -> tuple[str, str]:
    wiring = wire_up(spec)
    net = Playground(wiring)
    net.down.update(down)
    net.udp("10.0.0.1", 5000, f"10.0.0.{owner[1:]}", 5000, b"?")
    return find(wiring, net, owner)


def find(wiring: Wiring, net: Playground, owner: str) -> tuple[str, str]:
    return silent_link(wiring, net.story().trips, "h1", owner)


def test_the_owners_own_link() -> None:
    assert found(ROW, "h2-eth0") == ("s2-eth1", "h2-eth0")
    assert found(ROW, "s2-eth1") == ("s2-eth1", "h2-eth0"), "whichever end is down"


def test_a_link_between_switches() -> None:
    assert found(ROW, "s1-eth2") == ("s1-eth2", "s2-eth2")


def test_a_link_that_was_heard_is_not_silent() -> None:
    assert found(ROW) == ("", "")


def test_two_ways_in_silence_name_neither() -> None:
    assert found(RING, "s1-eth2", "s1-eth3") == ("", "")


def test_the_askers_own_link() -> None:
    wiring = wire_up(ROW)
    net = Playground(wiring)
    net.udp("10.0.0.2", 5000, "10.0.0.3", 5000, b"?")  # h1 itself has said nothing
    assert find(wiring, net, "h3") == ("", ""), "every link that h1 might use was heard"
    net = Playground(wiring)
    net.down.add("h1-eth0")
    net.udp("10.0.0.2", 5000, "10.0.0.3", 5000, b"?")
    assert find(wiring, net, "h3") == ("h1-eth0", "s1-eth1")


def test_a_router_is_no_way_through() -> None:
    spec: Spec = [
        ("h1", "10.0.0.1/24", "r1", "10.0.0.9/24"),
        ("r1", "10.9.0.9/24", "h2", "10.9.0.2/24"),
    ]
    wiring = wire_up(spec)
    assert silent_link(wiring, [], "h1", "h2") == ("", "")
    assert silent_link(wiring, [], "h1", "r1") == ("h1-eth0", "r1-eth0")
