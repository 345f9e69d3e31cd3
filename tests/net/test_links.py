# SPDX-License-Identifier: Apache-2.0
"""Cables that are listed, slowed, made lossy, cut and mended while a lab runs.

The kernel says what became of them; the story is told from frames, and must be true of a cable that
holds each back for long.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from hoplab import content
from tests.conftest import World

pytestmark = pytest.mark.net

# Prints everything that the kernel was told of a host's network, one thing a line.
SETTINGS = (
    "ip -o addr show; ip route show table all | grep -v 'table local'; "
    "ip -6 route show table all | grep -v 'table local\\|fe80\\|ff00'; "
    "ip neigh show nud permanent; ip rule"
)
TAGGED = """
import socket
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
sock.bind(("h1-eth0", 0))
sock.send(bytes.fromhex("ffffffffffff020000000200" "8100002a" "88b5") + b"tagged".ljust(60))
"""


def settings(lab: World, node: str) -> list[str]:
    """What a host is set to, without what changes by itself."""
    shown = lab("exec", node, "--", "sh", "-c", SETTINGS).out
    return sorted(re.sub(r"\b(valid_lft|preferred_lft) \S+|^\d+: ", "", line).strip()
                  for line in shown.splitlines())  # fmt: skip


def round_trips(lab: World, *command: str) -> list[float]:
    shown = lab("exec", "h1", "--", "ping", *command, code=None).out
    return [float(ms) for ms in re.findall(r"time=([\d.]+) ms", shown)]


def test_a_cable_is_changed_and_the_story_stays_true(anybody: Any) -> None:
    anybody("up", "routed")
    cables = anybody("link", "--json").json
    assert len(cables) == 6 and all(cable["state"] == "up" for cable in cables)
    assert {"h1-eth0", "s1-eth2"} in [{end["interface"] for end in c["ends"]} for c in cables]

    # 150 ms in each direction of two cables: each frame crosses, none is lost, one ping answered.
    for first, second in (("h1", "s1"), ("r1", "s2")):
        slowed = anybody("link", first, second, "--delay", "150ms", "--json").json
        assert [end["delay_ms"] for end in slowed["ends"]] == [150.0, 150.0]
    state = json.loads((anybody.state / "hoplab/labs/lab/lab.json").read_text())
    assert sum("delay_ms" in each for each in state["interfaces"]) == 4
    assert state["longest_delay_ms"] == 150.0
    story = anybody("trace", "--json", "h1", "--", "ping", "-c", "1", "-W", "5", "10.0.2.11").json
    assert story["outcome"]["ok"] is True
    assert story["summary"]["lost"] == 0 and not story["summary"]["lost_in_queues"]
    request = next(packet for packet in story["trips"] if "echo request" in packet["title"])
    assert [leg["head"] for leg in request["legs"]] == ["s1", "r1", "s2", "h4"]
    # Never sooner than both cables hold it back, there and back.
    assert min(round_trips(anybody, "-c", "1", "-W", "5", "10.0.2.11")) >= 600
    anybody("link", "r1", "s2", "--clear")
    anybody("link", "h1", "s1", "--rate", "10M", "--delay", "20ms")

    # A tag of a VLAN survives being held back; both frames are in the capture.
    saved = anybody.home / "tagged"
    anybody("trace", "--save", "tagged", "h1", "--", "python3", "-c", TAGGED)
    assert b"\x81\x00\x00\x2a\x88\xb5tagged" in (saved / "capture.pcapng").read_bytes()
    (own, peer) = anybody("link", "h1", "s1", "--json").json[0]["ends"]
    assert (own["rate"], own["delay_ms"], peer["rate"]) == (10_000_000, 20.0, 10_000_000)

    # What is lost on purpose is told as that, and as many as the kernel counted.
    anybody("link", "h1", "s1", "--clear")
    anybody("link", "h1", "s1", "--loss", "100%")
    lossy = anybody("trace", "--json", "h1", "--", "ping", "-c", "2", "-i", "0.2", "-W", "1",
                    "10.0.1.1", code=1).json  # fmt: skip
    lost = {loss["interface"]: loss for loss in lossy["summary"]["lost_in_queues"]}
    assert lost["h1-eth0"]["reason"] == "cable-lossy"
    assert lost["h1-eth0"]["lost_on_purpose"] == lost["h1-eth0"]["frames"] >= 2
    anybody("link", "h1", "s1", "--clear")
    assert "longest_delay_ms" not in (anybody.state / "hoplab/labs/lab/lab.json").read_text()
    assert "htb" not in anybody("exec", "h1", "--", "tc", "qdisc").out

    # Cut and mended: addresses, routes of all kinds and neighbours are what they were.
    anybody("exec", "r1", "--", "sh", "-c",
            "ip route add 10.9.0.0/16 via 10.0.2.10 metric 7;"
            "arp -s 10.0.2.11 02:00:00:00:00:99; ip route add 10.8.0.0/16 nexthop via 10.0.2.10 "
            "nexthop via 10.0.1.10 weight 3")  # fmt: skip
    before = settings(anybody, "r1")
    assert "is cut" in anybody("link", "r1", "s2", "down").out
    assert anybody("link", "r1", "s2", "--json").json[0]["state"] == "down"
    anybody("exec", "r1", "--", "ip", "link", "set", "r1-eth1", "down")  # and by hand besides
    assert settings(anybody, "r1") != before
    anybody("link", "r1", "s2", "up")
    assert settings(anybody, "r1") == before
    assert round_trips(anybody, "-c", "1", "-W", "5", "10.0.2.10")

    wrong = anybody("link", "h1", "h2", "down", code=4)
    assert "no cable joins h1 and h2" in wrong.err and "joined to: s1" in wrong.err
    assert "did you mean s2?" in anybody("link", "h1", "s22", "down", code=4).err
    assert anybody("link", "h1", "s1", "--rate", "10", code=2).err.count("10M") == 1
    anybody("down")


@pytest.mark.long
@pytest.mark.parametrize("topology", content.names("topologies"))
def test_every_cable_of_ours_can_be_cut_by_hand_and_mended(hoplab: World, topology: str) -> None:
    """By hand is worst: both ends are set down, and nobody has read what was configured."""
    if topology in ("ospf", "rip", "bgp"):
        pytest.skip("what their routers learn is theirs to learn anew")
    hoplab("up", topology, "--static-arp", "--controller", "spanning_tree")
    cables = hoplab("link", "--json").json
    nodes = {end["node"] for cable in cables for end in cable["ends"] if end["node"][0] != "s"}
    before = {node: settings(hoplab, node) for node in nodes}
    for cable in cables:
        ends = [end["interface"] for end in cable["ends"]]
        for end in cable["ends"]:
            ifname = end["interface"].partition(":")[2] or end["interface"]
            hoplab("exec", end["node"], "--", "ip", "link", "set", ifname, "down")
        hoplab("link", *ends, "up")
    assert {node: settings(hoplab, node) for node in nodes} == before
    hoplab("down")
