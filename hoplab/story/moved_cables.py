# SPDX-License-Identifier: Apache-2.0
"""Cables that join other interfaces than when the lab came up, and the commands that put them back.

What lives here: the comparison of both wirings. What must not: which packet failed by it
(`walks.py`, `diagnosis.py`), words (`host_causes.py`).

An interface that was made again while a capture knew the former one is called `h1-eth0 (2)` in
lab.json; here it is `h1-eth0`, as in commands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hoplab.follow.wiring import Wiring, natural


@dataclass(frozen=True, slots=True)
class Moved:
    """The cable of a host's or router's interface. peer: where it leads to; built_peer: where it
    led to when the lab came up."""

    node: str
    interface: str
    peer: str
    built_peer: str


@dataclass(frozen=True, slots=True)
class Added:
    """A cable that was not there when the lab came up. node: who has its first end."""

    node: str
    interface: str
    peer: str


def plain(name: str) -> str:
    """The name by which commands know an interface."""
    return name.partition(" (")[0]


def moved_cables(wiring: Wiring, built: Mapping[str, str]) -> dict[str, Moved]:
    """By interface, those of hosts and routers whose cables lead elsewhere. built: the other end of
    each interface's cable, as the lab came up."""
    moved = {}
    for port, each in enumerate(wiring.interfaces):
        peer, name = wiring.peer(port), plain(each.name)
        if peer is None or wiring.is_switch(port) or name not in built:
            continue
        there = plain(wiring.interfaces[peer].name)
        if there != built[name]:
            moved[name] = Moved(each.node, name, there, built[name])
    return moved


def exchanged(moved: Mapping[str, Moved], interface: str) -> list[Moved]:
    """The cable of an interface, and those that are where it and they were: in the order of their
    names, so that it is the same list for each of them."""
    group, waiting = {}, [interface]
    for name in waiting:
        group[name] = moved[name]
        waiting += [
            each.interface for each in moved.values()
            if each.peer == moved[name].built_peer and each.interface not in group
        ]  # fmt: skip
    return sorted(group.values(), key=lambda each: natural(each.interface))


def back_again(cables: Sequence[Moved]) -> list[str]:
    """The changes that put them back, as behind `hoplab`."""
    away = [("remove", each.interface, each.peer) for each in cables]
    back = [("add", "cable", each.interface, each.built_peer) for each in cables]
    return [" ".join(words) for words in (*away, *back)]


def added_between(
    wiring: Wiring, built: Mapping[str, str], nodes: Sequence[str]
) -> Added | None:
    """The cable between two of these nodes that was not there when the lab came up, the first of
    several; None where there is none, or where that is not known."""
    for port, each in enumerate(wiring.interfaces) if built else ():
        peer = wiring.peer(port)
        if peer is None or each.node not in nodes or wiring.node_name(peer) not in nodes:
            continue
        name, there = plain(each.name), plain(wiring.interfaces[peer].name)
        if built.get(name) != there:
            ends = sorted(((each.node, name), (wiring.node_name(peer), there)), key=_by_name)
            return Added(ends[0][0], ends[0][1], ends[1][1])
    return None


def _by_name(end: tuple[str, str]) -> tuple[tuple[int, int, str], ...]:
    return natural(end[1])
