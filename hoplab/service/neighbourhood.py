# SPDX-License-Identifier: Apache-2.0
"""Who is on a link with whom: the nodes that cables and switches join, their addresses, gateways
and DNS servers as they are now.

What lives here: looking. What must not: choosing (`hoplab.network.addresses`), changing.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import TYPE_CHECKING, Any

from hoplab.network.addresses import Neighbour
from hoplab.service.host_facts import etc_of

if TYPE_CHECKING:
    from hoplab.service.lab import Lab

MOST_ASKED = 40  # for their gateways and DNS servers: more would say the same
_TABLE_MAIN = 254


def bridges_of(lab: Lab) -> set[str]:
    """The switches that join their cables to one link; one that routes keeps them apart."""
    return {
        node.name for node in lab.network.switches
        if getattr(node, "params", {}).get("role", "switch") == "switch"
    }  # fmt: skip


def link_of(lab: Lab, start: Any) -> list[Any]:
    """The interfaces of hosts and routers on one link. start: a switch, or an interface of a host,
    which is not among them."""
    bridges = bridges_of(lab)
    by_node: dict[str, list[tuple[Any, Any]]] = {}
    for link in list(lab.network.links):
        for end, peer in ((link.intf1, link.intf2), (link.intf2, link.intf1)):
            if end is not None and peer is not None:
                by_node.setdefault(end.node.name, []).append((end, peer))
    across: dict[Any, None] = {}
    seen: set[str] = set()
    todo: list[str] = []
    if hasattr(start, "intfs"):
        todo.append(start.name)
    else:
        for end, peer in by_node.get(start.node.name, ()):
            if end is start:
                todo += [peer.node.name] if peer.node.name in bridges else []
                across |= {} if peer.node.name in bridges else {peer: None}
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        for _, peer in by_node.get(name, ()):
            if peer.node.name in bridges:
                todo.append(peer.node.name)
            else:
                across[peer] = None
    return [intf for intf in across if intf is not start]


def neighbours(lab: Lab, start: Any) -> list[Neighbour]:
    """What those on a link are set to. start: as for `link_of`."""
    kinds = {node["name"]: node["kind"] for node in lab.written.get("nodes", ())}
    return [
        neighbour
        for number, intf in enumerate(link_of(lab, start))
        for neighbour in _neighbour(
            lab, intf, kinds.get(intf.node.name) == "router", asked=number < MOST_ASKED
        )
    ]


def _neighbour(lab: Lab, intf: Any, passes_on: bool, *, asked: bool) -> Iterator[Neighbour]:
    name = intf.node.name
    place = lab.network.place(name)
    if place is lab.network.batch.root:  # a switch that routes
        own = getattr(intf.node, "params", {}).get("addresses") or {}
        ports = [port for port, each in intf.node.intfs.items() if each is intf]
        for text in [own[port] for port in ports if port in own]:
            yield Neighbour(name, IPv4Interface(text), passes_on=True)
        return
    gateway = default_gateway(place) if asked and not passes_on else None
    dns = resolvers(place) if asked and not passes_on else []
    for address in addresses_of(place, intf.name):
        yield Neighbour(name, address, gateway, dns[0] if dns else None, passes_on)


def addresses_of(place: Any, interface: str) -> list[IPv4Interface]:
    """The IPv4 addresses of an interface, as the kernel has them."""
    with contextlib.suppress(OSError, KeyError):
        every = place.namespace.route.addresses().get(place.number(interface), [])
        return [IPv4Interface(text) for text in every if ":" not in text]
    return []


def default_gateway(place: Any) -> IPv4Address | None:
    """The gateway of a host, None where it has none."""
    with contextlib.suppress(OSError):
        for route in place.namespace.route.routes():
            if route["to"] == "0.0.0.0/0" and route["table"] == _TABLE_MAIN and route["via"]:
                return IPv4Address(route["via"])
    return None


def resolvers(place: Any) -> list[str]:
    """The DNS servers that a host asks."""
    text = etc_of(place).get("resolv.conf", "")
    return re.findall(r"^\s*nameserver\s+(\S+)", text, re.MULTILINE)


def subnets(lab: Lab) -> list[IPv4Network]:
    """All the subnets that somebody in the lab has an address in, as lab.json says."""
    networks: dict[IPv4Network, None] = {}
    for interface in lab.written.get("interfaces", ()):
        for text in interface["addresses"]:
            if ":" not in text:
                networks[IPv4Interface(text).network] = None
    return list(networks)
