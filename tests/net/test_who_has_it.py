# SPDX-License-Identifier: Apache-2.0
"""What real kernels do with one address at two cards, and with a card whose link is down."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conftest import World

pytestmark = pytest.mark.net


def story(world: World, *command: str) -> dict[str, Any]:
    traced: dict[str, Any] = json.loads(world("trace", "--json", *command, code=None).out)
    return traced


def test_two_cards_with_one_address(hoplab: World) -> None:
    hoplab("up", "switch")
    hoplab("exec", "h3", "--", "ip", "address", "add", "10.0.0.2/24", "dev", "h3-eth0")
    ask = "for i in 1 2 3; do ip neigh flush all; ping -c 1 -W 2 10.0.0.2; done"
    traced = story(hoplab, "h1", "--", "sh", "-c", ask)
    sentence = traced["outcome"]["sentence"]
    assert sentence.startswith("Two cards claim 10.0.0.2: ")
    assert "02:00:00:00:02:00" in sentence and "02:00:00:00:03:00" in sentence
    senders = {p["sender"] for p in traced["trips"] if p["kind"] == "icmp-echo-reply"}
    if "h3" in senders:  # the kernel of h1 keeps the answer that it likes
        assert "answered by" in sentence


def test_a_link_that_is_down_behind_a_router_and_two_hubs(hoplab: World) -> None:
    hoplab("up", "routed", "--controller", "hub")
    hoplab("exec", "h1", "--", "ping", "-c", "1", "10.0.2.10")
    hoplab("exec", "h3", "--", "ip", "link", "set", "h3-eth0", "down")
    traced = story(hoplab, "h1", "--", "ping", "-c", "1", "-W", "1", "10.0.2.10")
    (packet,) = (p for p in traced["trips"] if p["kind"] == "icmp-echo-request")
    assert packet["path"] == ["h1", "s1", "r1", "s2"]
    assert packet["ended"].startswith("h3 has the MAC 02:00:00:00:04:00, and no copy reached it")
    assert [(c["code"], c["node"]) for c in traced["outcome"]["causes"]] == [
        ("interface-down", "h3")
    ]
    assert "The card h3-eth0 of h3 is set down." in traced["outcome"]["sentence"]
