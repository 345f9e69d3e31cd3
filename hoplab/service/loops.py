# SPDX-License-Identifier: Apache-2.0
"""Switches that stand in a loop, found in the wiring, and what to say of them.

An Ethernet frame has no TTL: where switches are wired in a circle, whatever they flood goes round
for ever. Two cables between the same two switches are a circle, too; a way through a host or a
router is none.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from hoplab import content
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
    cables: Counter[frozenset[str]] = Counter()
    names = set(switches)
    for port in wiring["interfaces"]:
        ends = frozenset((port["node"], node_of.get(port["peer"], "")))
        if ends <= names:
            cables[ends] += 1  # each cable twice, once from each end
    near: dict[str, set[str]] = {name: set() for name in switches}
    for ends in cables:
        for name in ends:
            near[name] |= ends - {name}
    doubled = {ends for ends, count in cables.items() if count > 2 or len(ends) == 1}
    bridges = _bridges(switches, near) - doubled
    circles, seen = [], set[str]()
    for start in switches:
        if start in seen:
            continue
        part, stack = [], [start]
        seen.add(start)
        while stack:
            name = stack.pop()
            part.append(name)
            for peer in near[name]:
                if peer not in seen and frozenset((name, peer)) not in bridges:
                    seen.add(peer)
                    stack.append(peer)
        itself = frozenset((start,)) in doubled
        if (len(part) > 1 or itself) and not set(part) <= set(guarded):
            circles.append([name for name in switches if name in part])
    return circles


def _bridges(nodes: Sequence[str], near: Mapping[str, set[str]]) -> set[frozenset[str]]:
    """The pairs of neighbours that nothing else joins (Tarjan's way, without recursion)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    bridges = set()
    for root in nodes:
        if root in order:
            continue
        order[root] = low[root] = len(order)
        stack = [(root, "", iter(near[root]))]
        while stack:
            name, above, peers = stack[-1]
            for peer in peers:
                if peer == above:
                    continue
                if peer in order:
                    low[name] = min(low[name], order[peer])
                else:
                    order[peer] = low[peer] = len(order)
                    stack.append((peer, name, iter(near[peer])))
                    break
            else:
                stack.pop()
                if above:
                    low[above] = min(low[above], low[name])
                    if low[name] > order[above]:
                        bridges.add(frozenset((name, above)))
    return bridges


def remark(state: Mapping[str, Any]) -> str:
    """What to say of a lab's loops, "" if there are none or its controller deals with them.
    state: lab.json."""
    circles = state.get("loops") or []
    files = [Path(name) for name in (state.get("controller_file") or "").split(",") if name]
    ours = [file.stem for file in files if _is_ours(file)]
    if not circles or TREE in ours:
        return ""
    first, *more = map(_stand, circles[:3])
    where: str = first
    for circle in more:
        where = say("{first}; {second}", first=where, second=circle)
    option = "" if state["name"] == "lab" else f" --name {state['name']}"
    values = {"where": where, "tree": TREE, "command": f"hoplab swap{option} {TREE}"}
    if any(name in FLOODING for name in ours):
        return say(
            "{where}: a broadcast goes round it for ever, and its copies drown everything else; "
            "the controller {tree} opens it (--controller {tree}, or {command})",
            **values,
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
