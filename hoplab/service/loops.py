# SPDX-License-Identifier: Apache-2.0
"""Switches that stand in a loop, and what to say of them when a lab comes up.

A way through a host or a router makes no loop: frames end there.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from hoplab import circles, content
from hoplab.sentences import listed, say

# Of ours, those that flood by every port, and the one that rests cables until there is no loop.
FLOODING = ("hub", "learning_switch", "two_table_switch", "datapath_learning", "fast_switch")
TREE = "spanning_tree"
_NAMED = 6  # switches of a loop


def find(wiring: Mapping[str, Any], guarded: Collection[str] = ()) -> list[list[str]]:
    """The switches of each loop, loops that share a switch taken together. wiring: as in lab.json.
    guarded: switches that run a spanning tree by themselves; a loop of nothing else is none."""
    switches = [node["name"] for node in wiring["nodes"] if node["kind"] == "switch"]
    node_of = {port["name"]: port["node"] for port in wiring["interfaces"]}
    cables = [
        (port["node"], node_of[port["peer"]])
        for port in wiring["interfaces"]
        if port["peer"] in node_of and port["name"] < port["peer"]  # each cable has two ends
    ]
    names = set(switches)
    loops = circles.find(switches, [ends for ends in cables if names.issuperset(ends)])
    return [loop for loop in loops if not set(guarded).issuperset(loop)]


def remark(state: Mapping[str, Any]) -> str:
    """What to say of a lab's loops, "" if there are none or its controller deals with them.
    state: lab.json."""
    loops = state.get("loops") or []
    files = [Path(name) for name in (state.get("controller_file") or "").split(",") if name]
    ours = [file.stem for file in files if _is_ours(file)]
    if not loops or TREE in ours:
        return ""
    first, *more = map(_stand, loops[:3])
    where: str = first
    for further in more:
        where = say("{first}; {second}", first=where, second=further)
    option = "" if state["name"] == "lab" else f" --name {state['name']}"
    values = {"where": where, "tree": TREE, "command": f"hoplab swap{option} {TREE}"}
    if any(name in FLOODING for name in ours):
        return say(
            "{where}: a broadcast goes round it for ever, and its copies drown everything else; "
            "the controller {tree} opens it (--controller {tree}, or {command})",
            **values,
        )
    if not state.get("controller"):
        return say(
            "{where}: a broadcast goes round it for ever, and its copies drown everything else; "
            "a spanning tree opens it: {code} for each of them",
            where=where,
            code="addSwitch(…, stp=True)",
        )
    return say(
        "{where}: a broadcast goes round it for ever, unless {controller} prevents that; "
        "the controller {tree} opens it (--controller {tree}, or {command})",
        controller=state["controller"],
        **values,
    )


def _is_ours(file: Path) -> bool:
    return os.path.realpath(file.parent) == os.path.realpath(content.folder("controllers"))


def _stand(switches: Sequence[str]) -> str:
    """'s1, s2 and s3 stand in a loop'."""
    if len(switches) == 1:
        return say("{switch} stands in a loop", switch=switches[0])
    if len(switches) > _NAMED:
        return say(
            "{switches} and {n} more switches stand in a loop",
            switches=listed(switches[: _NAMED - 1]),
            n=len(switches) - _NAMED + 1,
        )
    return say(
        "{switches} and {last} stand in a loop", switches=listed(switches[:-1]), last=switches[-1]
    )
