# SPDX-License-Identifier: Apache-2.0
"""The hosts of one run as they were set: who has which address, who is on whose link, and which
route decides.

What lives here: questions with one answer. What must not: the walk of a packet (`walks.py`), what
would be right instead (`right_settings.py`), causes and words (`host_causes.py`).

On one link are all cards that cables and switches join, whatever their state.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address

from hoplab.follow.wiring import Wiring
from hoplab.story.host_causes import Words
from hoplab.story.host_state import Card, Host, HostFacts, Route
from hoplab.story.moved_cables import Moved, moved_cables, plain

NOT_KNOWN = Host("")  # as a host came up of which that was not read
_MAIN, _DEFAULT, _LOCAL = 254, 253, 255


@dataclass(slots=True, frozen=True)
class Packet:
    """What is on its way. protocol: "" if it is not known. size: of the IP packet, 0 if that is not
    known; whole: it must not be cut. back: it answers, so its port is the source's."""

    protocol: str
    src: str
    dst: IPv4Address
    port: int = 0
    size: int = 0
    whole: bool = False
    back: bool = False


class HostNetwork:
    """The network of one run, as its hosts were set at the end."""

    def __init__(self, wiring: Wiring, facts: HostFacts, words: Words) -> None:
        self.wiring = wiring
        self.facts = facts
        self.words = words
        self.hosts = facts.now.hosts
        self.switches = facts.now.switches
        self.ports = {
            (each.node, str(each.extra.get("ifname") or each.name)): port
            for port, each in enumerate(wiring.interfaces)
        }
        self._links: dict[tuple[str, str], dict[tuple[str, str], list[int]]] = {}
        self.moved = moved_cables(wiring, facts.built.cables)

    def built(self, node: str) -> Host:
        """A host as it came up; one without anything if that is not known."""
        return self.facts.built.hosts.get(node, NOT_KNOWN)

    def link(self, node: str, card: str) -> dict[tuple[str, str], list[int]]:
        """(node, card) of all others on the link of a card: the ports on the way to each."""
        ends = self._links.get((node, card))
        if ends is None:
            ends = self._links[node, card] = self._find_link(node, card, self.wiring.peer)
        return ends

    def built_link(self, node: str, card: str) -> dict[tuple[str, str], list[int]]:
        """The same as the lab came up, as far as its interfaces are there."""
        built = self.facts.built.cables
        port_of = {plain(each.name): port for port, each in enumerate(self.wiring.interfaces)}

        def peer_of(port: int) -> int | None:
            return port_of.get(built.get(plain(self.wiring.port_name(port)), ""))

        return self._find_link(node, card, peer_of)

    def moved_away(self, host: str, card: str, peer: str, there: str) -> Moved | None:
        """The cable for which two cards are on one link no more, as the lab came up."""
        if not self.moved or (peer, there) not in self.built_link(host, card):
            return None
        for node, name in ((host, card), (peer, there)):
            port = self.ports.get((node, name))
            if port is not None and plain(self.wiring.port_name(port)) in self.moved:
                return self.moved[plain(self.wiring.port_name(port))]
        return None

    def _find_link(
        self, node: str, card: str, peer_of: Callable[[int], int | None]
    ) -> dict[tuple[str, str], list[int]]:
        start = self.ports.get((node, card))
        if start is None:
            return {}
        ends: dict[tuple[str, str], list[int]] = {}
        passed: set[str] = set()
        waiting: list[tuple[int, list[int]]] = [(start, [start])]
        for port, ports in waiting:
            peer = peer_of(port)
            if peer is None:
                continue
            end = self.wiring.interfaces[peer]
            if not self.wiring.is_switch(peer):
                if end.node != node:
                    name = str(end.extra.get("ifname") or end.name)
                    ends.setdefault((end.node, name), [*ports, peer])
            elif end.node not in passed:
                passed.add(end.node)
                waiting += [
                    (out, [*ports, peer, out]) for out in self.wiring.ports(end.node)
                    if out != peer
                ]  # fmt: skip
        return ends

    @property
    def may_be_wired(self) -> bool:
        """Cables are hoplab's to change: a script has its own idea of the network."""
        return "script" not in self.wiring.extra

    def cable(self, node: str, card: str) -> tuple[str, ...]:
        """The ends of the cable at a card, as `hoplab link` wants them; () where nothing is there,
        or where a script has its own idea of the network."""
        port = self.ports.get((node, card))
        peer = self.wiring.peer(port) if port is not None else None
        if port is None or peer is None or not self.may_be_wired:
            return ()
        far = self.wiring.node_name(peer)
        peers = [self.wiring.peer(each) for each in self.wiring.ports(node)]
        if [self.wiring.node_name(each) for each in peers if each is not None].count(far) == 1:
            return node, far
        return self.wiring.port_name(port), self.wiring.port_name(peer)

    def lookup(
        self, host: Host, packet: Packet, card: str = "", without: tuple[Route, ...] = ()
    ) -> Route | None:
        """The line of the routing tables that decides (RFC 1812, 5.2.4.3)."""
        tables = [_MAIN, _DEFAULT]
        if host.rules:
            tables = [
                rule.table for rule in host.rules
                if rule.plain and rule.action == "table" and rule.table != _LOCAL
                and packet.dst in rule.to and address_in(packet.src, rule.source)
                and rule.way_in in ("", card)
            ]  # fmt: skip
        for table in tables:
            fitting = [
                route for route in host.routes
                if route.table == table and packet.dst in route.to and route not in without
                and route.kind != "throw"
            ]  # fmt: skip
            if fitting:
                return min(fitting, key=lambda route: (-route.to.prefixlen, route.metric))
        return None

    @staticmethod
    def has(host: Host, address: IPv4Address) -> bool:
        """Whether the host has the address."""
        return host.card_of(address) is not None

    def has_at(self, node: str, card: str, address: IPv4Address) -> bool:
        """Whether it is this card of the host that has the address."""
        own = self.hosts[node].card_of(address)
        return own is not None and own.name == card

    def meant(self, owners: list[tuple[str, str]], ip: IPv4Address) -> tuple[str, str]:
        """Of several who have an address the one that it was given to."""
        for name, there in owners:
            own = self.built(name).card_of(ip)
            if own is not None and own.name == there:
                return name, there
        for name, there in owners:
            port = self.ports.get((name, there))
            given = self.wiring.interfaces[port].addresses if port is not None else ()
            if any(each.partition("/")[0] == str(ip) for each in given):
                return name, there
        return owners[0]

    def lost_address(
        self, ip: IPv4Address, host: Host, card: Card | None
    ) -> tuple[str, str] | None:
        """Who had this address when the lab came up (on this link, if a card is named), and has
        it no more."""
        for name, built in self.facts.built.hosts.items():
            own = built.card_of(ip)
            if own is None or name not in self.hosts or self.has(self.hosts[name], ip):
                continue
            if card is None or (name, own.name) in self.link(host.name, card.name):
                return name, own.name
        return None

    def lost(self, host: Host, ip: IPv4Address) -> bool:
        """It had this address when the lab came up, and nobody has it now."""
        had = self.built(host.name).card_of(ip) is not None
        return had and not any(self.has(other, ip) for other in self.hosts.values())

    def owner_on(self, host: Host, card: Card, ip: IPv4Address) -> tuple[str, str] | None:
        """Who has an address on the link of a card."""
        return next(
            (
                (name, there) for name, there in self.link(host.name, card.name)
                if name in self.hosts and self.has_at(name, there, ip)
            ),
            None,
        )  # fmt: skip


def address_in(text: str, network: object) -> bool:
    """An address, as text, is in a network; one that is not known only in that of all."""
    try:
        return IPv4Address(text) in network  # type: ignore[operator]
    except ValueError:
        return getattr(network, "prefixlen", 0) == 0
