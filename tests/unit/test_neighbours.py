# SPDX-License-Identifier: Apache-2.0
"""What ARP does by IPv4, neighbour discovery does by IPv6; each is counted by itself."""

from __future__ import annotations

import socket
import struct

from hoplab.story.records import Story
from tests.unit import frames
from tests.unit.playground import Playground
from tests.unit.scenarios import URL, fetch, resolve, web


def solicit(net: Playground, number: int) -> None:
    """The client asks its link who has an IPv6 address."""
    interface = net.wiring.interfaces[0]
    asker = socket.inet_pton(socket.AF_INET6, "fe80::10")
    target = socket.inet_pton(socket.AF_INET6, f"fe80::{number:x}")
    group = socket.inet_pton(socket.AF_INET6, f"ff02::1:ff00:{number:x}")
    body = frames.icmp(135, 0, 0, target + b"\1\1" + frames.mac(interface.mac))
    packet = struct.pack("!IHBB", 6 << 28, len(body), 58, 255) + asker + group + body
    data = frames.eth(f"33:33:ff:00:00:{number:02x}", interface.mac, 0x86DD, packet)
    net.at(200, lambda: net.send(0, data))
    net.run()


def remarks(story: Story) -> dict[str, str]:
    return {r.code: r.text for step in story.steps if step.key == "arp" for r in step.remarks}


def test_neighbour_solicitations_are_no_arp_requests() -> None:
    stories = []
    for arp_requests in (0, 5):
        net = web()
        resolve(net)
        for number in range(arp_requests):
            solicit(net, 0x20 + number)
        fetch(net)
        stories.append(net.story(URL))
    without, beside = map(remarks, stories)
    assert without["arp-later"].startswith("6 more ARP requests followed")
    assert beside["arp-later"].startswith("6 more ARP requests followed")
    assert stories[1].summary.kinds["nd-solicitation"] == 5
    assert stories[1].summary.kinds["arp-request"] == stories[0].summary.kinds["arp-request"]


def test_no_arp_where_there_is_neighbour_discovery_alone() -> None:
    net = web()
    solicit(net, 0x20)
    story = net.story(URL)
    assert "No ARP request in the whole capture" in remarks(story)["arp-none"]
