# SPDX-License-Identifier: Apache-2.0
"""An ARP request that a switch had already when a capture began is there, and no node's question of
that time: it may have been answered before."""

from __future__ import annotations

from hoplab.follow.follow import follow
from hoplab.story.records import Story
from hoplab.story.tell import tell
from tests.unit import frames
from tests.unit.test_controller_causes import network
from tests.unit.test_runs import untranslated

ASKED = (
    "No node was seen to ask all others for a MAC address: each that sent already had that of its "
    "next hop in its ARP cache. "
)


def story_beside(asker: str, to: str, command: str) -> Story:
    """A ping, and before it an ARP request of which nobody saw how it came to the switch."""
    net = network()
    net.warm()
    port = net.wiring.port("a-eth0")
    assert port is not None
    mac = net.wiring.interfaces[port].mac
    ask = frames.arp(1, mac, asker, "00:00:00:00:00:00", to)
    net.send(port, frames.eth("ff:ff:ff:ff:ff:ff", mac, 0x0806, ask))
    net.run()
    net.ip("10.0.0.1", "10.0.0.2", 1, frames.icmp(8, 0, 1, b"ping"))
    net.run()
    last = net.wiring.port("b-eth0")
    assert last is not None
    seen = [
        each for each in net.observations()
        if each.data[12:14] != b"\x08\x06" or each.port in (last, net.wiring.peer(last))
    ]
    return tell(net.wiring, follow(net.wiring, seen), host="a", command=command)


def remark_of(story: Story) -> str:
    return next(
        remark.text for step in story.steps for remark in step.remarks
        if remark.code.startswith("arp-")
    )  # fmt: skip


def test_it_is_counted_and_nobody_s() -> None:
    story = story_beside("10.0.0.1", "10.0.0.3", "ping -c 1 10.0.0.2")
    assert remark_of(story) == ASKED + (
        "1 ARP request (#1) came out of a switch, and no node was seen to send it."
    )
    assert "nobody answered" not in story.outcome.sentence
    assert untranslated(story) == set()


def test_a_check_whether_an_address_is_free_is_told_as_such() -> None:
    story = story_beside("0.0.0.0", "10.0.0.1", "ping -c 1 10.0.0.2")
    assert remark_of(story) == ASKED + "1 ARP request (#1) asked whether an address is free."
