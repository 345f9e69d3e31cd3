# SPDX-License-Identifier: Apache-2.0
"""A plan as a lab of Kathará or containerlab.

What lives here: the files of such a lab, as text by their path in its folder. What must not:
writing them.

A switch under the controller `hub` is a collision domain in Kathará, as one that was read is here.
Any other switch becomes a Linux bridge, which learns; whatever else its controller did is left out,
and said. Addresses, routes and what cables do to frames stand in each node's startup commands.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from hoplab.kernel.shaping import Limits
from hoplab.plans.plan import DEVICES, Host, Plan
from hoplab.sentences import say

KATHARA, CONTAINERLAB = "kathara", "containerlab"
HUB = "hub"
_IMAGE = {KATHARA: "kathara/base", CONTAINERLAB: "ghcr.io/srl-labs/network-multitool"}
_OWN_WAY = ("Host", "Node", "Computer", "Router", "Server")  # classes of which nothing is lost


@dataclass
class _Node:
    """cards: the collision domain of each, in their order. numbers: of each port, its card's."""

    cards: list[str] = field(default_factory=list)
    numbers: dict[int, int] = field(default_factory=dict)
    limits: dict[int, Limits] = field(default_factory=dict)


def files_of(plan: Plan, program: str, title: str) -> tuple[dict[str, str], list[str]]:
    """The files of the lab, and what is in the network and not in them."""
    remarks = list(plan.remarks)
    first = 0 if program == KATHARA else 1  # containerlab's eth0 is for its own management
    hubs = _hubs(plan) if program == KATHARA else frozenset()
    nodes = _nodes(plan, hubs, first)
    if set(plan.switches) - hubs:
        remarks.append(
            say("what the controller {controller} does: switches are bridges that learn",
                controller=plan.controller or "?")
        )  # fmt: skip
    commands: dict[str, list[str]] = {}
    for name, node in nodes.items():
        host = plan.hosts.get(name)
        lines = list(_bridge(node)) if host is None else list(_host(host, node, remarks))
        commands[name] = [*lines, *_shapes(node)]
    if program == KATHARA:
        return _kathara(nodes, commands), remarks
    return {f"{title}.clab.yml": _containerlab(title, nodes, commands)}, remarks


def _hubs(plan: Plan) -> frozenset[str]:
    """The switches that are nothing but a collision domain."""
    if plan.controller != HUB:
        return frozenset()
    beside: dict[str, list[str]] = {name: [] for name in plan.switches}
    for cable in plan.cables:
        for name, peer in (cable.nodes, cable.nodes[::-1]):
            if name in beside:
                beside[name].append(peer)
    return frozenset(
        name for name, peers in beside.items()
        if not set(peers) & set(plan.switches) and len(peers) != 2
    )  # fmt: skip


def _nodes(plan: Plan, hubs: frozenset[str], first: int) -> dict[str, _Node]:
    nodes = {name: _Node() for name in (*plan.hosts, *plan.switches) if name not in hubs}
    ends: list[tuple[str, int, str, Limits]] = []
    for number, cable in enumerate(plan.cables, 1):
        domain = next((name for name in cable.nodes if name in hubs), f"cable{number}")
        for (name, port), limits in zip(cable.ends, cable.limits, strict=True):
            if name not in hubs:
                ends.append((name, port, domain, limits))
    for name, port, domain, limits in sorted(ends, key=lambda end: end[:2]):
        node = nodes[name]
        card = first + len(node.cards)
        node.cards.append(domain)
        node.numbers[port] = card
        if limits:
            node.limits[card] = limits
    return nodes


def _host(host: Host, node: _Node, remarks: list[str]) -> Iterator[str]:
    if host.kind.module == DEVICES:
        for _, text in host.params.get("startup", ()):
            yield from text.splitlines()
        if host.params.get("files"):
            remarks.append(say("{node}: its files", node=host.name))
        return
    for port, addresses in host.cards.items():
        for address in addresses if port in node.numbers else ():
            yield f"ip address add {address} dev eth{node.numbers[port]}"
    if host.gateway:
        yield f"ip route add default via {host.gateway}"
    for network, hop in host.routes:
        yield f"ip route add {network} via {hop}"
    for server in host.dns[:1]:
        yield f"echo nameserver {server} > /etc/resolv.conf"
    if host.forwards:
        yield "sysctl -q -w net.ipv4.ip_forward=1"
    if host.serves:
        remarks.append(say("{node}: what serves there", node=host.name))
    if host.kind.name not in _OWN_WAY:
        remarks.append(say("{node}: its class {name}", node=host.name, name=host.kind.name))


def _bridge(node: _Node) -> Iterator[str]:
    yield "ip link add br0 type bridge"
    yield "ip link set br0 up"
    for card in sorted(node.numbers.values()):
        yield f"ip link set eth{card} master br0"


def _shapes(node: _Node) -> Iterator[str]:
    for card, limits in node.limits.items():
        words = []
        if limits.delays:
            words.append(f"delay {limits.delay_ms:g}ms")
            if limits.jitter_ms:
                words.append(f"{limits.jitter_ms:g}ms")
        if limits.loss:
            words.append(f"loss {limits.loss:g}%")
        if limits.rate:
            words.append(f"rate {limits.rate}bit")
        if limits.queue:
            words.append(f"limit {limits.queue}")
        if words:
            yield f"tc qdisc add dev eth{card} root netem {' '.join(words)}"


def _kathara(nodes: dict[str, _Node], commands: dict[str, list[str]]) -> dict[str, str]:
    lines = []
    for name, node in nodes.items():
        lines += [f'{name}[{number}]="{domain}"' for number, domain in enumerate(node.cards)]
        lines.append(f'{name}[image]="{_IMAGE[KATHARA]}"')
    files = {"lab.conf": _text(lines)}
    files |= {f"{name}.startup": _text(own) for name, own in commands.items() if own}
    return files


def _containerlab(title: str, nodes: dict[str, _Node], commands: dict[str, list[str]]) -> str:
    lines = [f"name: {title}", "topology:", "  nodes:"]
    ends: dict[str, list[str]] = {}
    for name, node in nodes.items():
        lines += [f"    {name}:", "      kind: linux", f"      image: {_IMAGE[CONTAINERLAB]}"]
        lines += ["      exec:"] if commands[name] else []
        # Its commands are run without a shell.
        lines += [f"        - {json.dumps(_shell(line))}" for line in commands[name]]
        for number, domain in enumerate(node.cards, 1):
            ends.setdefault(domain, []).append(f"{name}:eth{number}")
    lines.append("  links:")
    lines += [f"    - endpoints: {json.dumps(both)}" for both in ends.values()]
    return _text(lines)


def _shell(line: str) -> str:
    return f"sh -c '{line}'" if ">" in line else line


def _text(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
