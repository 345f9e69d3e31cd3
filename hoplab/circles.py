# SPDX-License-Identifier: Apache-2.0
"""Nodes that cables join in a circle: between any two of them there are two ways.

What lives here: the search, in plain names. What must not: which nodes count, and what to say.
An Ethernet frame has no TTL, so where switches are wired in a circle, what they flood goes round
for ever: a lab warns of it when it comes up, and a story tells of it when it has happened.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence


def find(nodes: Sequence[str], cables: Iterable[tuple[str, str]]) -> list[list[str]]:
    """The nodes of each circle, in the order of `nodes`; circles that share a node are taken
    together. cables: the two nodes of each. Two between the same nodes are a circle, too, and so
    is one from a node to itself."""
    counts = Counter(frozenset(ends) for ends in cables)
    near: dict[str, set[str]] = {name: set() for name in nodes}
    for ends in counts:
        for name in ends:
            near[name] |= ends - {name}
    doubled = {ends for ends, count in counts.items() if count > 1 or len(ends) == 1}
    bridges = _bridges(nodes, near) - doubled
    circles, seen = [], set[str]()
    for start in nodes:
        if start in seen:
            continue
        part = _reached(start, near, bridges)
        seen |= part
        if len(part) > 1 or frozenset((start,)) in doubled:
            circles.append([name for name in nodes if name in part])
    return circles


def _reached(start: str, near: Mapping[str, set[str]], bridges: set[frozenset[str]]) -> set[str]:
    """Whom one can come to without crossing a bridge."""
    reached, waiting = {start}, [start]
    while waiting:
        name = waiting.pop()
        for peer in near[name]:
            if peer not in reached and frozenset((name, peer)) not in bridges:
                reached.add(peer)
                waiting.append(peer)
    return reached


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
