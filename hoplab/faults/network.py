# SPDX-License-Identifier: Apache-2.0
"""A lab that works, as somebody sees it who wants to break it.

What lives here: who reaches whom by which routers, and what runs where. What must not: faults.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv4Interface
from typing import Any

from hoplab.follow.wiring import Wiring, natural
from hoplab.story.host_causes import Words
from hoplab.story.host_state import Card, Host, HostFacts, HostState, Listener, Route, read_facts
from hoplab.story.walks import Packet, Walks


@dataclass(frozen=True)
class Pair:
    """Two hosts of which one reaches the other. way: the nodes that pass the packet on, both ends
    among them; switches are none."""

    source: Host
    target: Host
    address: IPv4Address
    way: tuple[str, ...]

    @property
    def routers(self) -> tuple[str, ...]:
        return self.way[1:-1]


class Network:
    """A lab. state: its lab.json; facts: what its hosts are set to now."""

    def __init__(self, state: dict[str, Any], facts: dict[str, Any]) -> None:
        self.state = state
        self.wiring = Wiring.from_dict(state)
        read = read_facts({"format": 1, **facts})
        self.facts = read if read is not None else HostFacts(HostState())
        self.walks = Walks(self.wiring, self.facts, Words(self.wiring.name, self.wiring.controller))

    @cached_property
    def hosts(self) -> list[Host]:
        """The hosts with one card and an address, no routers among them."""
        return [
            host for name, host in sorted(self.facts.now.hosts.items(), key=lambda h: natural(h[0]))
            if not host.forwards and len(host.cards) == 1 and card_of(host).addresses
        ]  # fmt: skip

    @cached_property
    def pairs(self) -> list[Pair]:
        """Of each host one that it reaches over its own link, and one behind a router, where there
        are any."""
        pairs = []
        for source in self.hosts:
            near = far = None
            for target in [*self.hosts[::-1]]:
                if target is source or (near and far):
                    continue
                pair = self.pair(source, target)
                if pair is not None and pair.routers:
                    far = far or pair
                elif pair is not None:
                    near = near or pair
            pairs += [pair for pair in (near, far) if pair is not None]
        return pairs

    def pair(self, source: Host, target: Host) -> Pair | None:
        """Two hosts; None if one does not reach the other."""
        address = card_of(target).addresses[0].ip
        way = self.walks.find(source.name, Packet("", str(own(source).ip), address))
        if not way.arrived or way.found:
            return None
        return Pair(source, target, address, tuple(way.nodes))

    @property
    def far(self) -> list[Pair]:
        """The pairs with a router between them."""
        return [pair for pair in self.pairs if pair.routers]

    def beside(self, host: Host, *others: str) -> Host | None:
        """Another host on the same link, none of the others."""
        link = self.walks.link(host.name, card_of(host).name)
        return next(
            (each for each in self.hosts if each is not host and each.name not in others
             and (each.name, card_of(each).name) in link),
            None,
        )  # fmt: skip

    def out_of(self, node: str, address: IPv4Address) -> Card | None:
        """The card by which a node sends to an address."""
        host = self.facts.now.hosts[node]
        route = self.walks.lookup(host, Packet("", "", address))
        return host.cards.get(route.card) if route is not None else None

    def port_of(self, host: Host) -> tuple[str, str] | None:
        """The switch at the other end of a host's cable, and its port."""
        for port in self.wiring.ports(host.name):
            peer = self.wiring.peer(port)
            if peer is not None and self.wiring.is_switch(peer):
                return self.wiring.node_name(peer), self.wiring.port_name(peer)
        return None

    def services(self, protocol: str, port: int) -> Iterator[tuple[Host, Listener]]:
        """Who serves there."""
        for host in self.hosts:
            for listener in host.listeners:
                if (listener.protocol, listener.port) == (protocol, port) and listener.argv:
                    yield host, listener


def card_of(host: Host) -> Card:
    """The one card of a host."""
    return next(iter(host.cards.values()))


def own(host: Host) -> IPv4Interface:
    """The address of a host with one card."""
    return card_of(host).addresses[0]


def default_of(host: Host) -> Route | None:
    """Its default route."""
    return next((route for route in host.routes if not route.to.prefixlen), None)
