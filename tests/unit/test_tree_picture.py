# SPDX-License-Identifier: Apache-2.0
"""A network as a tree in a terminal, and what somebody changed in it as a remark."""

from __future__ import annotations

import json
from typing import Any

from hoplab.capture import notes
from hoplab.capture.pcapng_format import Note
from hoplab.follow.wiring import Wiring
from hoplab.report.tree_picture import tree
from hoplab.sentences import say, to_plain
from hoplab.story.lab_changes import add_lab_changes, lab_changes
from hoplab.story.records import Step


def wiring(cables: str, addresses: dict[str, str] | None = None) -> Wiring:
    """Of cables like 's1-h1 s1-s2'; s: a switch."""
    names: dict[str, int] = {}
    interfaces: list[dict[str, Any]] = []
    for cable in cables.split():
        ends = []
        for node in cable.split("-"):
            names[node] = names.get(node, -1) + 1
            ends.append((node, f"{node}-eth{names[node]}"))
        for (node, name), (_, peer) in (ends, ends[::-1]):
            own = [addresses[node]] if addresses and node in addresses else []
            interfaces.append({"name": name, "node": node, "addresses": own, "peer": peer})
    nodes = [{"name": n, "kind": "switch" if n[0] == "s" else "host"} for n in names]
    return Wiring.from_dict({"format": 1, "nodes": nodes, "interfaces": interfaces})


def test_a_tree_with_a_cut_cable_and_a_circle() -> None:
    net = wiring("s1-h1 s1-s2 s2-h2 s2-s3 s3-s1 h7-h8", {"h1": "10.0.0.1/24"})
    assert tree(net, 80, cut={"s2-eth1"}) == [
        "s1",
        "├─ h1  10.0.0.1/24",
        "├─ s2",
        "│  └─ h2  (cable cut)",
        "└─ s3  (also joined to s2)",
        "h7",
        "└─ h8",
    ]


def test_many_hosts_are_two_and_every_line_fits() -> None:
    net = wiring(" ".join(f"s1-h{n}" for n in range(1, 41)),
                 {f"h{n}": f"10.0.0.{n}/24" for n in range(1, 41)})  # fmt: skip
    assert tree(net, 80, unicode=False) == [
        "s1", "`- h1 … h40  10.0.0.1/24 … 10.0.0.40/24  (40 hosts)",
    ]  # fmt: skip
    assert max(map(len, tree(net, 30))) <= 30


def test_a_change_is_told_in_the_step_of_its_time() -> None:
    sentence = say("the cable {port} - {port2} is cut", port="a", port2="b")
    data = json.dumps({"sentence": to_plain(sentence), "at_ns": 5_000_000})
    kept = [Note(6_000_000, notes.CHANGED, "lab", data.encode()),
            Note(6_000_000, notes.CHANGED, "lab", b"no JSON")]  # fmt: skip
    changes = lab_changes(kept)
    assert [(change.t_ns, change.sentence) for change in changes] == [(5_000_000, sentence)]
    steps = [Step("other", 0, "", "", [], [])]
    add_lab_changes(steps, [], changes, 2_000_000)
    (remark,) = steps[0].remarks
    assert remark.code == "lab-changed"
    assert remark.text == "At +3.00 ms somebody changed the network: the cable a - b is cut."
