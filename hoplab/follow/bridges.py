# SPDX-License-Identifier: Apache-2.0
"""Hosts that pass frames on as switches do: somebody has joined their cards by a Linux bridge.

What lives here: the nodes that the frames show as such. What must not: how frames are followed.
A router makes a frame of its own, from its own card; a bridge sends on what it got, as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hoplab.capture.observation import Observation
from hoplab.follow.wiring import Wiring

_SOON_NS = 100_000_000


def find_bridges(
    wiring: Wiring, ports: Sequence[int | None], frames: Iterable[Observation]
) -> frozenset[str]:
    """Nodes that are no switches, and sent a frame with another's source address that had come to
    them just before. ports: for each port of the capture that of the wiring."""
    places = _candidates(wiring)
    if not places:
        return frozenset()
    own = {bytes.fromhex(each.mac.replace(":", "")) for each in wiring.interfaces
           if each.node in places.values()}  # fmt: skip
    came: dict[tuple[str, bytes], tuple[int, int]] = {}
    bridges: set[str] = set()
    for seen in frames:
        port = ports[seen.port]
        name = places.get(port, "") if port is not None else ""
        if port is None or not name or seen.data[6:12] in own:
            continue
        if not seen.outgoing:
            came[name, seen.data] = port, seen.t_ns
            continue
        before = came.get((name, seen.data))
        if before is not None and before[0] != port and seen.t_ns - before[1] < _SOON_NS:
            bridges.add(name)
    return frozenset(bridges)


def _candidates(wiring: Wiring) -> dict[int, str]:
    """The ports of nodes that have several and are no switches, with their nodes."""
    places: dict[int, str] = {}
    for name, node in wiring.nodes.items():
        wired = [port for port in wiring.ports(name) if wiring.peer(port) is not None]
        if node.kind != "switch" and len(wired) > 1:
            places |= dict.fromkeys(wired, name)
    return places


def with_bridges(wiring: Wiring, bridges: frozenset[str]) -> Wiring:
    """The same lab, in which these nodes are switches."""
    if not bridges:
        return wiring
    data = wiring.as_dict()
    for node in data["nodes"]:
        if node["name"] in bridges:
            node["kind"] = "switch"
    return Wiring.from_dict(data)
