# SPDX-License-Identifier: Apache-2.0
"""A fabric of switches in tiers: a fat tree, or leaves and spines.

What lives here: which part of a lab is one, and in which order its nodes stand. What must not:
sizes and places (`geometry.py`).

Drawn as a tree from one host's side, a network with many ways from switch to switch is a tangle
that is as high as it has switches. Whoever builds one draws it in rows: hosts below, the switches
that they hang from above them, and on top those that join these. A part of a lab is drawn so if

1. its switches and routers are joined by more than one loop, and
2. each cable between two of them joins neighbouring tiers, a tier being how far it is to the
   nearest host.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

from hoplab.follow.wiring import Wiring, natural


@dataclass(frozen=True)
class Fabric:
    """tiers: switches and routers, from those next to hosts upwards. hosts: those that hang from
    each of the lowest tier."""

    tiers: list[list[str]]
    hosts: dict[str, list[str]]


def fabric_of(wiring: Wiring, part: set[str], near: dict[str, list[str]]) -> Fabric | None:
    """A part of a lab as a fabric, None if it is none. near: the neighbours of each node."""
    inner = sorted((name for name in part if wiring.kind(name) != "host"), key=natural)
    joints = {name: [peer for peer in near[name] if wiring.kind(peer) != "host"] for name in inner}
    cables = sum(map(len, joints.values())) // 2
    if cables - len(inner) + 1 < 2:  # fewer than two loops
        return None
    hosts = {name: [peer for peer in near[name] if wiring.kind(peer) == "host"] for name in inner}
    hung = [host for name in inner for host in hosts[name]]
    if len(hung) != len(set(hung)):  # a host with two cables
        return None
    tiers = _in_rows(inner, joints, hosts)
    if tiers is None:
        return None
    _untangle(tiers, joints)
    return Fabric(tiers, {name: hosts[name] for name in tiers[0]})


def _in_rows(
    inner: list[str], joints: dict[str, list[str]], hosts: dict[str, list[str]]
) -> list[list[str]] | None:
    """The tiers from below; None where a cable joins others than neighbouring ones."""
    tier_of = _tiers(inner, joints, hosts)
    if any(abs(tier_of[a] - tier_of[b]) != 1 for a in inner for b in joints[a]):
        return None
    return [
        [name for name in inner if tier_of[name] == tier]
        for tier in range(max(tier_of.values()) + 1)
    ]


def _tiers(
    inner: list[str], joints: dict[str, list[str]], hosts: dict[str, list[str]]
) -> dict[str, int]:
    """How far it is from each to the nearest one that a host hangs from."""
    tier_of = {name: 0 for name in inner if hosts[name]}
    level = list(tier_of)
    while level:
        following = []
        for name in level:
            for peer in joints[name]:
                if peer not in tier_of:
                    tier_of[peer] = tier_of[name] + 1
                    following.append(peer)
        level = following
    return tier_of if tier_of else dict.fromkeys(inner, 0)


def _untangle(tiers: list[list[str]], joints: dict[str, list[str]]) -> None:
    """Orders each tier so that few cables cross: below, switches that have a way to each other
    without the uppermost tier stand together (a fat tree's pods); above, each stands over the
    middle of its own."""
    lower = {name for tier in tiers[:-1] for name in tier}
    pods: dict[str, int] = {}
    for name in tiers[0]:
        reached = [name] if name not in pods else []
        while reached:
            member = reached.pop()
            pods[member] = pods.get(name, len(pods))
            reached += [peer for peer in joints[member] if peer in lower and peer not in pods]
    tiers[0].sort(key=pods.__getitem__)
    for below, tier in pairwise(tiers):
        place = {name: at for at, name in enumerate(below)}
        means = {
            name: fmean(place[peer] for peer in joints[name] if peer in place) for name in tier
        }
        tier.sort(key=means.__getitem__)
