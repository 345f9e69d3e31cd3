# SPDX-License-Identifier: Apache-2.0
"""Cables in each other's place, and one too many: broken so, and named by the story."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

from hoplab.client.changes import understood
from hoplab.faults import breaking
from hoplab.faults.kinds import LAB, Fault
from hoplab.faults.network import Network
from hoplab.follow.wiring import Wiring
from hoplab.story import diagnosis
from hoplab.story.diagnosis import Flow
from hoplab.story.host_causes import Words
from hoplab.story.host_state import read_facts
from hoplab.story.moved_cables import Added, added_between
from hoplab.story.records import Cause
from hoplab.story.walks import Packet, Walks
from tests.unit.hostnet import healthy, network
from tests.unit.playground import Spec, wire_up

FAR = Packet("icmp", "10.0.1.11", IPv4Address("10.0.2.11"))
ROW: Spec = [
    ("h1", "10.0.0.1/24", "s1", ""), ("h2", "10.0.0.2/24", "s1", ""),
    ("h3", "10.0.0.3/24", "s2", ""), ("s1", "", "s2", ""),
]  # fmt: skip


def cables_of(wiring: Wiring) -> list[list[str]]:
    return [[each.name, each.peer] for each in wiring.interfaces if each.name < each.peer]


def exchanged(wiring: Wiring, first: str, second: str) -> Wiring:
    """The wiring with two interfaces in each other's place."""
    peers = {each.name: each.peer for each in wiring.interfaces}
    peers[first], peers[second] = peers[second], peers[first]
    peers.update({peers[first]: first, peers[second]: second})
    return Wiring(
        list(wiring.nodes.values()),
        [replace(each, peer=peers[each.name]) for each in wiring.interfaces],
        topology=wiring.topology, controller=wiring.controller,
    )  # fmt: skip


def causes(first: str, second: str, flow: Flow) -> list[Cause]:
    data = healthy(network())
    data["built"]["cables"] = cables_of(network())
    facts = read_facts(json.loads(json.dumps(data)))
    assert facts is not None
    walks = Walks(exchanged(network(), first, second), facts, Words("lab", "learning_switch"))
    return diagnosis._distinct(diagnosis._causes_of(walks, flow))


def faults_of(spec: Spec, kind: str, **state: Any) -> list[Fault]:
    wiring = wire_up(spec)
    data = {**wiring.as_dict(), "shards": [], "controller_file": "learning_switch.py", **state}
    for number, each in enumerate(data["interfaces"]):
        each["port"] = int(each["name"].rpartition("eth")[2]) or number
    lab = Network(data, healthy(wiring, {}))
    return breaking.faults_of(lab, [kind]).get(kind, [])


def test_whoever_meets_one_of_two_exchanged_cables_names_both() -> None:
    """The router answers for its address by whichever card it is asked (Linux's arp_ignore), so the
    packet of h2 came to it, and what it met there is the cable of h4."""
    for reached in ({"h2"}, {"h2", "r1"}):
        (cause,) = causes("h2-eth0", "h4-eth0", Flow("h2", FAR, set(reached)))
        assert (cause.code, cause.node) == ("moved-cable", "h2")
        assert cause.sentence.startswith("The cables of h2, h4 are exchanged: that of h2-eth0")
        assert list(cause.mend) == [
            "hoplab remove h2-eth0 s2-eth3", "hoplab remove h4-eth0 s1-eth3",
            "hoplab add cable h2-eth0 s1-eth3", "hoplab add cable h4-eth0 s2-eth3",
        ]  # fmt: skip


def test_two_cables_of_a_router_are_named_at_the_router() -> None:
    (cause,) = causes("r1-eth0", "r1-eth1", Flow("h2", FAR, {"h2", "r1"}))
    assert (cause.code, cause.node) == ("moved-cable", "r1")


def test_exchanged_cables_are_a_fault_of_hosts_on_different_links() -> None:
    wiring = network()
    lab = Network({**wiring.as_dict(), "shards": []}, healthy(wiring))
    faults = breaking.faults_of(lab, ["exchanged-cables"])["exchanged-cables"]
    assert {fault.node for fault in faults} == {"h1", "h2", "r1"}
    for fault in faults:
        lines = [line for node, line in fault.do + fault.undo if node == LAB]
        assert len(lines) == 8 and all(understood(line) for line in lines)
    assert not faults_of(ROW, "exchanged-cables"), "on one link nothing would fail"


def test_a_loop_is_closed_where_switches_learn_and_flood() -> None:
    faults = faults_of(ROW, "loop")
    assert {fault.node for fault in faults} == {"s1"}
    words = faults[0].do[0][1]
    assert words.startswith("add cable s1-eth4 s2-eth3 --rate ") and words.endswith(" --force")
    assert faults[0].undo == ((LAB, "remove s1-eth4 s2-eth3"),)
    assert not faults_of(ROW, "loop", controller_file="spanning_tree.py")
    assert not faults_of(ROW, "loop", loops=["s1", "s2"]), "there is one already"


def test_the_cable_that_closed_a_loop_is_the_one_that_was_not_there() -> None:
    built = dict(pair for ends in cables_of(wire_up(ROW)) for pair in (ends, ends[::-1]))
    wiring = wire_up([*ROW, ("s1", "", "s2", "")])
    assert added_between(wiring, built, ["s1", "s2"]) == Added("s1", "s1-eth4", "s2-eth3")
    assert added_between(wire_up(ROW), built, ["s1", "s2"]) is None
    assert added_between(wiring, {}, ["s1", "s2"]) is None, "how it was built is not known"
