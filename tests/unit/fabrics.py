# SPDX-License-Identifier: Apache-2.0
"""Labs that exist as `lab.json` alone: any nodes and cables, and the fabrics of data centres."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def lab(cables: Iterable[tuple[str, str]], topology: str = "fabric") -> dict[str, Any]:
    """The description of a lab. Names that begin with h are hosts, with r routers."""
    ports: dict[str, int] = {}
    interfaces: list[dict[str, Any]] = []
    for pair in cables:
        ends = []
        for node in pair:
            ports[node] = ports.get(node, 0) + 1
            name = f"{node}-eth{ports[node] - (node[0] == 'h')}"
            ends.append({"name": name, "node": node, "mac": "", "addresses": []})
            if node[0] == "h":
                number = len(ports)
                ends[-1] |= {"mac": f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}",
                             "addresses": [f"10.0.{number >> 8}.{number & 255}/16"]}  # fmt: skip
            elif node[0] != "r":
                ends[-1]["port"] = ports[node]
        ends[0]["peer"], ends[1]["peer"] = ends[1]["name"], ends[0]["name"]
        interfaces += ends
    kinds = {"h": "host", "r": "router"}
    nodes = [{"name": node, "kind": kinds.get(node[0], "switch")} for node in ports]
    return {"format": 1, "topology": topology, "controller": "learning_switch", "datapath": "user",
            "nodes": nodes, "interfaces": interfaces}  # fmt: skip


def fat_tree(k: int = 4) -> list[tuple[str, str]]:
    """The cables of a fat tree: k pods of k/2 edge and k/2 aggregation switches (e, a), k²/4 in
    the core (c), k³/4 hosts."""
    half, host = k // 2, 0
    cables = []
    for pod in range(k):
        for place in range(half):
            for far in range(half):
                cables.append((f"a{pod}{place}", f"c{place * half + far}"))
                cables.append((f"e{pod}{far}", f"a{pod}{place}"))
        for place in range(half):
            for _ in range(half):
                host += 1
                cables.append((f"h{host}", f"e{pod}{place}"))
    return cables


def leaves_and_spines(leaves: int, spines: int, hosts: int) -> list[tuple[str, str]]:
    """The cables of a network in which each leaf is joined to each spine, and has hosts."""
    cables = [(f"l{leaf}", f"s{spine}") for leaf in range(leaves) for spine in range(spines)]
    cables += [
        (f"h{leaf * hosts + host + 1}", f"l{leaf}")
        for leaf in range(leaves) for host in range(hosts)
    ]  # fmt: skip
    return cables
