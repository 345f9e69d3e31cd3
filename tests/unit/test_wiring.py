# SPDX-License-Identifier: Apache-2.0
"""hoplab.follow.wiring: look-ups, and a sentence for every way in which the file can be broken."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hoplab.capture.pcapng_format import InterfaceInfo
from hoplab.follow.wiring import Wiring, WiringError
from hoplab.report.language import read_language
from hoplab.sentences import sentence_of

LAB: dict[str, Any] = {
    "format": 1,
    "name": "demo",
    "topology": "web",
    "controller": "learning_switch",
    "datapath": "user",
    "started": 17,
    "nodes": [
        {"name": "client", "kind": "host", "services": ["dns"]},
        {"name": "s1", "kind": "switch"},
        {"name": "r1", "kind": "router"},
    ],
    "interfaces": [
        {
            "name": "client-eth0",
            "node": "client",
            "mac": "02:00:00:00:01:00",
            "addresses": ["10.1.0.10/24", "fd00::0001/64"],
            "peer": "s1-eth1",
        },
        {"name": "s1-eth1", "node": "s1", "mac": "", "addresses": [], "peer": "client-eth0"},
        {"name": "s1-eth2", "node": "s1", "addresses": [], "peer": "r1-eth0", "dpid": 1},
        {
            "name": "r1-eth0",
            "node": "r1",
            "mac": "02:00:00:00:0A:00",
            "addresses": ["10.1.0.1/24"],
            "peer": "s1-eth2",
        },
        {"name": "r1-eth1", "node": "r1", "mac": None, "addresses": None, "peer": None},
    ],
}


def test_look_ups(tmp_path: Path) -> None:
    path = tmp_path / "lab.json"
    path.write_text(json.dumps(LAB))
    w = Wiring.load(path)
    assert (w.name, w.topology, w.controller, w.datapath) == (
        "demo", "web", "learning_switch", "user",
    )  # fmt: skip
    assert w.extra == {"started": 17} and w.nodes["client"].extra == {"services": ["dns"]}
    assert w.port("s1-eth2") == 2 and w.port("nope") is None
    assert w.peer(2) == 3 and w.peer(3) == 2 and w.peer(4) is None
    assert w.node_name(3) == "r1" and w.node_of(3).kind == "router" and w.kind("s1") == "switch"
    assert [w.is_switch(port) for port in range(5)] == [False, True, True, False, False]
    assert w.ports("s1") == [1, 2] and w.port_name(4) == "r1-eth1"
    assert w.owner_of_mac("02:00:00:00:0a:00") == 3 == w.owner_of_mac("02:00:00:00:0A:00")
    assert w.node_of_mac("02:00:00:00:01:00") == "client" and w.node_of_mac("nope") is None
    assert w.owner_of_ip("10.1.0.10") == 0 == w.owner_of_ip("fd00:0::1/128")
    assert w.node_of_ip("10.1.0.1") == "r1" and w.node_of_ip("10.9.9.9") is None
    assert w.interface(2).extra == {"dpid": 1}
    names = [InterfaceInfo("r1-eth0"), InterfaceInfo("eth9"), InterfaceInfo("client-eth0")]
    assert w.port_map(names) == [3, None, 0]
    again = Wiring.from_dict(json.loads(json.dumps(w.as_dict())))
    assert again.as_dict() == w.as_dict()


def change(*path: str | int, to: Any) -> Callable[[dict[str, Any]], None]:
    def apply(lab: dict[str, Any]) -> None:
        place: Any = lab
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = to

    return apply


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (change("format", to=2), "format 2, this program reads 1"),
        (change("nodes", to={}), "no list 'nodes'"),
        (change("interfaces", to=None), "no list 'interfaces'"),
        (change("name", to=3), "'name' of the description of a lab is a number where text"),
        (change("nodes", 0, to="client"), "node 1 is text where an object"),
        (change("nodes", 0, "name", to=""), "node 1 has no 'name'"),
        (change("nodes", 0, "kind", to="hubb"), "'client' is of kind 'hubb'"),
        (change("nodes", 1, "name", to="client"), "two nodes named 'client'"),
        (change("interfaces", 4, "name", to="client-eth0"), "two interfaces named"),
        (change("interfaces", 1, "node", to="s9"), "'s9', which is not among the nodes"),
        (change("interfaces", 0, "peer", to="s9-eth1"), "'s9-eth1', which is not among"),
        (change("interfaces", 1, "peer", to=None), "is wired to nothing"),
        (change("interfaces", 1, "peer", to="r1-eth0"), "is wired to 'r1-eth0'"),
        (change("interfaces", 1, "peer", to="s1-eth1"), "wired to itself"),
        (change("interfaces", 0, "peer", to=7), "a peer that is no name"),
        (change("interfaces", 0, "mac", to="02:00"), "the MAC address '02:00', which is none"),
        (change("interfaces", 0, "addresses", to="10.0.0.1"), "no list of addresses but text"),
        (change("interfaces", 0, "addresses", to=["10.0.0.256"]), "'10.0.0.256', which is none"),
        (change("interfaces", 0, "addresses", to=[3]), "the address 3, which is none"),
    ],
)
def test_broken(fault: Callable[[dict[str, Any]], None], words: str) -> None:
    lab = copy.deepcopy(LAB)
    fault(lab)
    with pytest.raises(WiringError) as caught:
        Wiring.from_dict(lab)
    assert words in str(caught.value)
    chinese = read_language("zh")
    assert words not in chinese(sentence_of(caught.value)) and not chinese.unknown


def test_broken_files(tmp_path: Path) -> None:
    path = tmp_path / "lab.json"
    for text, words in [("{", "is no JSON file"), ("[]", "a list where an object is expected")]:
        path.write_text(text)
        with pytest.raises(WiringError, match=words):
            Wiring.load(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(WiringError, match=r"lab\.json is no JSON"):
        Wiring.load(path)
    with pytest.raises(OSError):
        Wiring.load(tmp_path / "none.json")
