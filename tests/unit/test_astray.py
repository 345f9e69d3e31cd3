# SPDX-License-Identifier: Apache-2.0
"""hoplab.story.astray: a packet that reached nobody is told by the copy that came furthest."""

from __future__ import annotations

import pytest

from hoplab.capture.observation import Reception
from hoplab.report.terminal import render
from hoplab.story.records import Story
from hoplab.story.trip_records import Trip
from tests.unit import frames
from tests.unit.playground import Playground, Spec, wire_up
from tests.unit.test_runs import untranslated

# h1, h2 - s1 - r1 - s2 - h3, h4 - and behind s2 another router with h5, h6 on s3; s4 hangs on s1.
SPEC: Spec = [
    ("h1", "10.0.1.10/24", "s1", ""),
    ("h2", "10.0.1.11/24", "s1", ""),
    ("r1", "10.0.1.1/24", "s1", ""),
    ("r1", "10.0.2.1/24", "s2", ""),
    ("h3", "10.0.2.10/24", "s2", ""),
    ("h4", "10.0.2.11/24", "s2", ""),
    ("r2", "10.0.2.2/24", "s2", ""),
    ("r2", "10.0.3.1/24", "s3", ""),
    ("h5", "10.0.3.10/24", "s3", ""),
    ("h6", "10.0.3.11/24", "s3", ""),
    ("s1", "", "s4", ""),
    ("h7", "10.0.1.12/24", "s4", ""),
    ("s2", "", "s5", ""),
    ("h8", "10.0.2.12/24", "s5", ""),
    ("h9", "10.0.2.13/24", "s5", ""),
]
ROUTES = {"h1": "10.0.1.1", "r1": "10.0.2.2", "r2": "10.0.2.1"}
MACS = {i.name: i.mac for i in wire_up(SPEC).interfaces}


def network() -> Playground:
    net = Playground(wire_up(SPEC, "hub"), ROUTES)
    net.warm()
    return net


def ping(net: Playground, to: str, ttl: int = 64) -> tuple[Trip, Story]:
    net.ip("10.0.1.10", to, 1, frames.echo(True, 9, 1), ttl=ttl)
    story = net.story(host="h1", command=f"ping -c 1 {to}")
    assert untranslated(story) == set()
    (trip,) = (trip for trip in story.trips if trip.kind == "icmp-echo-request")
    return trip, story


def test_it_died_behind_the_router_whose_hub_made_copies_too() -> None:
    net = network()
    net.down.add("h3-eth0")
    trip, story = ping(net, "10.0.2.10")
    assert trip.path == ("h1", "s1", "r1", "s2")
    port = "s2-eth2"
    assert trip.ended == (
        f"h3 has the MAC {MACS['h3-eth0']}, and no copy reached it: s2 sent none out of {port}"
    )
    assert story.outcome.where == "s2"
    assert story.outcome.why == [
        "It went h1 -> s1 -> r1 -> s2, and no further.",
        f"Its last frame: {trip.ended}.",
        f"Not one frame was seen between {port} and h3-eth0: that link may be down at either end, "
        "which `ip link` there tells.",
    ]


def test_behind_two_routers_and_a_switch_more() -> None:
    net = network()
    net.down.add("h5-eth0")
    assert ping(net, "10.0.3.10")[0].path == ("h1", "s1", "r1", "s2", "r2", "s3")
    net = network()
    net.down.add("h8-eth0")
    trip, _ = ping(net, "10.0.2.12")
    assert trip.path == ("h1", "s1", "r1", "s2", "s5")
    assert "s5 sent none out of s5-eth2" in trip.ended
    net = network()
    net.down.add("s5-eth1")
    trip, _ = ping(net, "10.0.2.12")
    assert trip.path == ("h1", "s1", "r1", "s2") and "s2 sent none out of s2-eth5" in trip.ended


@pytest.mark.parametrize("lost", ["s1-eth2", "s4-eth2", "s2-eth3", "s5-eth2"])
def test_a_copy_lost_on_a_side_branch_is_not_the_end(lost: str) -> None:
    """With the right branch dead elsewhere, of a link that is down or a TTL that ran out."""
    net = network()
    net.down.add("h3-eth0")
    net.drop = lambda interface, packet: interface == lost
    trip, story = ping(net, "10.0.2.10")
    assert [leg.tail_interface for leg in trip.lost] == [lost]
    assert trip.path == ("h1", "s1", "r1", "s2") and "s2 sent none out of s2-eth2" in trip.ended
    text = " ".join(render(story).split())
    assert f"lost between {lost}" in text and "s2 sent none out of s2-eth2" in text
    net = network()
    net.drop = lambda interface, packet: interface == lost
    trip, _ = ping(net, "10.0.3.10", ttl=2)
    assert trip.path == ("h1", "s1", "r1", "s2", "r2")
    assert trip.ended == "r2 took it in with TTL 1, which allows no further hop"


def test_a_copy_lost_on_the_way_to_the_card_is_the_end() -> None:
    net = network()
    net.drop = lambda interface, packet: interface in ("s2-eth2", "s1-eth2", "s2-eth3")
    trip, _ = ping(net, "10.0.2.10")
    assert trip.path == ("h1", "s1", "r1", "s2", "h3")
    assert trip.ended == "s2 sent it out of s2-eth2, it never arrived at h3"
    net = network()
    net.drop = lambda interface, packet: interface in ("s2-eth5", "s2-eth3")
    trip, _ = ping(net, "10.0.2.12")
    assert trip.ended == "s2 sent it out of s2-eth5, it never arrived at s5"


def test_a_router_without_a_way_on_behind_a_hub() -> None:
    net = network()
    del net.gateways["r1"]
    net.drop = lambda interface, packet: interface == "s4-eth2"
    trip, _ = ping(net, "10.0.3.10")
    assert (trip.path, trip.ended) == (("h1", "s1", "r1"), "r1 took it in and sent nothing on")


def test_a_switch_behind_the_router_dropped_it() -> None:
    """And switches to the side, which know that the card is not behind them, drop theirs too."""
    net = network()
    silent = {"s2", "s4"}
    learn = net._switch
    net._switch = lambda port, data: (  # type: ignore[method-assign]
        None if net.wiring.node_name(port) in silent else learn(port, data)
    )
    trip, _ = ping(net, "10.0.2.10")
    assert trip.path == ("h1", "s1", "r1", "s2")
    assert trip.ended == "s2 took it in by s2-eth1 and sent it out of no port"


def test_a_mac_that_no_card_has_and_one_of_a_card_elsewhere() -> None:
    net = network()
    net.cache["r1", "10.0.2.10"] = "02:00:00:00:ff:01"
    trip, _ = ping(net, "10.0.2.10")
    assert trip.ended == (
        "no card that the lab set up has the MAC 02:00:00:00:ff:01, and no frame came from it"
    )
    assert trip.path == ("h1", "s1", "r1", "s2") and "h4" in trip.fan and "h2" not in trip.fan
    net = network()
    net.cache["r1", "10.0.2.10"] = MACS["h5-eth0"]
    trip, _ = ping(net, "10.0.2.10")
    assert trip.ended == f"h5 has the MAC {MACS['h5-eth0']}, but is in another network"


def test_a_mac_that_a_card_was_given_later() -> None:
    """The wiring does not know it; the frames that the card sends with it tell."""
    net, new = network(), "02:00:00:00:ff:02"
    port = net.wiring.port("h3-eth0")
    assert port is not None
    announcement = frames.arp(1, new, "10.0.2.10", "00:00:00:00:00:00", "10.0.2.10")
    net.send(port, frames.eth(frames.BROADCAST, new, 0x0806, announcement))
    net.run()
    net.down.add("h3-eth0")
    net.cache["r1", "10.0.2.10"] = new
    assert ping(net, "10.0.2.10")[0].ended == (
        f"h3 has the MAC {new}, and no copy reached it: s2 sent none out of s2-eth2"
    )


def test_a_card_that_has_another_mac_by_now() -> None:
    """The copy reaches it, and its kernel says that it is not for it."""
    net = network()
    port = net.wiring.port("h3-eth0")
    assert port is not None
    arrive = net._arrive

    def changed(to: int, data: bytes) -> None:
        arrive(to, data)
        if to == port:
            when, _, _, frame = net.seen[-1]
            net.seen[-1] = (when, port, Reception.OTHERHOST, frame)

    net._arrive = changed  # type: ignore[method-assign]
    trip, _ = ping(net, "10.0.2.10")
    assert trip.ended == (
        f"h3 had the MAC {MACS['h3-eth0']} when the lab came up, but its card took this frame for "
        "another's"
    )
    assert trip.path[-1] == "h3"


def test_a_broadcast_names_all_who_got_it_or_where_it_stayed() -> None:
    net = network()
    net.down.add("h9-eth0")
    net.cache.pop(("h8", "10.0.2.13"), None)
    net.ip("10.0.2.12", "10.0.2.13", 1, frames.echo(True, 9, 1))
    asked = net.story(host="h8", command="ping").trips[0]
    assert asked.ended == "nobody whom it reached has 10.0.2.13"
    assert set(asked.fan) == {"r1", "h3", "h4", "r2"}
    net = network()
    net.cache.pop(("h1", "10.0.1.12"))
    net.down.add("h7-eth0")
    net.ip("10.0.1.10", "10.0.1.12", 1, frames.echo(True, 9, 1))
    asked = net.story(host="h1", command="ping").trips[0]
    assert asked.path == ("h1", "s1", "s4")
    assert asked.ended == "s4 took it in by s4-eth1 and sent it out of no port"


def test_a_copy_that_a_switch_sent_elsewhere_is_not_in_another_network() -> None:
    """What came to the switch before the capture began leaves it as one packet a copy."""
    net = network()
    at_h4 = net.wiring.port("h4-eth0")
    assert at_h4 is not None
    port = net.wiring.peer(at_h4)
    assert port is not None
    packet = frames.ipv4("10.0.2.1", "10.0.2.10", 1, frames.echo(True, 9, 1))
    net.send(port, frames.eth(MACS["h3-eth0"], MACS["r1-eth1"], 0x0800, packet))
    net.run()
    story = net.story(host="h1", command="ping -c 1 10.0.2.10")
    assert untranslated(story) == set()
    (trip,) = (trip for trip in story.trips if trip.kind == "icmp-echo-request")
    assert trip.ended == f"h3 has the MAC {MACS['h3-eth0']}, and this copy went to h4"
