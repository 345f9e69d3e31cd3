# SPDX-License-Identifier: Apache-2.0
"""The way that a packet would take through the hosts as they are set, and what stands in it.

What lives here: the walk from host to host. What must not: which packet failed and what its frames
show (`diagnosis.py`), who is on a link (`host_network.py`), what is in the way there
(`way_causes.py`), what would be right (`right_settings.py`), words (`host_causes.py`).

1. A host looks its routing table up (`ip route get`), asks for the MAC of the next hop on its link,
   and sends; a router does the same with what came. What does not work is a cause.
2. Behind a cause the walk goes on as if it were mended, by how the lab was built where that is
   known, so that two causes are both found.
3. Nothing is said of a node whose settings were not read, such as a router that speaks OpenFlow.
4. Where an address was translated (masquerade), the way back is that to the translator.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address

from hoplab.story.host_causes import route_text
from hoplab.story.host_network import NOT_KNOWN, HostNetwork, Packet, address_in
from hoplab.story.host_state import Card, Host, Route
from hoplab.story.moved_cables import exchanged
from hoplab.story.records import Cause
from hoplab.story.right_settings import (
    card_bare,
    card_down,
    card_stripped,
    gateway_for,
    hop_by,
    right_mask,
    route_line,
    router_on,
    routes_again,
)
from hoplab.story.way_causes import arrival, filters, masquerades, neighbour, reverse, wires

__all__ = ["READDRESSED", "Packet", "Walk", "Walks"]

_MOST_HOPS = 40
READDRESSED = ("no-address", "wrong-address")


@dataclass(slots=True)
class Found:
    """A cause, and how far along the way it stands: behind so many hosts."""

    cause: Cause
    place: int


@dataclass(slots=True)
class Walk:
    """nodes: the hosts and routers of the way, in order. found: what stands in it. arrived: it
    leads to who has the address. source: the source address as the last one sees it."""

    nodes: list[str] = field(default_factory=list)
    found: list[Found] = field(default_factory=list)
    arrived: bool = False
    source: str = ""


@dataclass(slots=True, frozen=True)
class _Next:
    """To whom a host sends: the node and the card by which it comes."""

    node: str
    card: str


class Walks(HostNetwork):
    """Ways through the network of one run, as its hosts were set at the end."""

    def find(self, node: str, packet: Packet) -> Walk:
        """The way of a packet that `node` sends."""
        walk = Walk(source=packet.src)
        card = ""
        while len(walk.nodes) < _MOST_HOPS:
            host = self.hosts.get(node)
            if host is None:
                break
            if node in walk.nodes:
                self._loops(walk, node, packet)
                break
            walk.nodes.append(node)
            if host.card_of(packet.dst) is not None or self.lost(host, packet.dst):
                walk.arrived = True
                if card:
                    self._note(walk, arrival(self, host, card, walk.source, packet))
                break
            following = self._pass(walk, host, card, packet)
            if following is None:
                break
            node, card = following.node, following.card
        return walk

    def home(self, node: str, card: str, packet: Packet) -> list[Cause]:
        """What a host does with an answer that came to its card."""
        return list(arrival(self, self.hosts[node], card, packet.src, packet))

    def _note(self, walk: Walk, causes: Iterable[Cause], place: int | None = None) -> None:
        at = len(walk.nodes) if place is None else place
        walk.found += [Found(cause, at) for cause in causes]

    def _pass(self, walk: Walk, host: Host, card: str, packet: Packet) -> _Next | None:
        """What a host does with a packet that is not for it: one of its own if it came by no
        card. The next one, None if nobody is."""
        if card:
            if not host.forwards:
                self._note(walk, [self.words.not_forwarding(host)])
            self._note(walk, reverse(self, host, card, walk.source))
        causes: list[Cause] = []
        following, out = self._next(host, packet, causes, card)
        hook = "forward" if card else "output"
        self._note(walk, filters(self, host, hook, packet, walk.source, card, out))
        if out and packet.whole and packet.size > host.cards[out].mtu:
            right = max(packet.size, 1500)
            small = self.words.small_mtu(host, host.cards[out], packet.size, right, walk.nodes[0])
            self._note(walk, [small])
        for cause in causes:
            # It came there all the same, if the ARP cache had the MAC: the fault is the next one's.
            there = following is not None and cause.node == following.node
            late = there and cause.code in READDRESSED
            self._note(walk, [cause], len(walk.nodes) + late)
        if out and masquerades(host, out) and not packet.back:
            walk.source = next((str(each.ip) for each in host.cards[out].addresses), walk.source)
        return following

    def _loops(self, walk: Walk, node: str, packet: Packet) -> None:
        round_trip = walk.nodes[walk.nodes.index(node) :]
        for name in round_trip:
            host = self.hosts[name]
            now, then = self.lookup(host, packet), self.lookup(self.built(name), packet)
            if now is not None and then is not None and (now.via, now.to) != (then.via, then.to):
                line = f"ip route del {route_text(now)}"
                if now.to == then.to:
                    line = f"ip route replace {route_text(then)}"
                self._note(walk, [self.words.routing_loop(round_trip, packet.dst, name, line)])
                return
        self._note(walk, [self.words.routing_loop(round_trip, packet.dst, node, "")])

    def _next(
        self, host: Host, packet: Packet, causes: list[Cause], card: str
    ) -> tuple[_Next | None, str]:
        """The next node, and the card by which the packet leaves ("" for none)."""
        refused = self._refused(host, packet, card, causes)
        route = self.lookup(host, packet, card, refused)
        if route is None:
            return self._without_route(host, packet, causes)
        out = host.cards.get(route.card)
        if out is None:
            return None, ""
        following = self._over(host, out, route.via or packet.dst, packet, causes, route)
        return following, out.name

    def _refused(
        self, host: Host, packet: Packet, card: str, causes: list[Cause]
    ) -> tuple[Route, ...]:
        """The routes that refuse the packet, as causes."""
        refused: tuple[Route, ...] = ()
        for rule in host.rules:
            fits = packet.dst in rule.to and address_in(packet.src, rule.source)
            if not rule.plain or not fits or (rule.way_in and rule.way_in != card):
                continue
            if rule.action in ("blackhole", "unreachable", "prohibit"):
                causes.append(
                    self.words.refusing_rule(host, rule.priority, rule.action, packet.dst)
                )
        while True:
            route = self.lookup(host, packet, card, refused)
            if route is None or route.kind == "unicast":
                return refused
            causes.append(self.words.refusing_route(host, route, packet.dst))
            refused += (route,)

    def _over(
        self, host: Host, card: Card, hop: IPv4Address, packet: Packet, causes: list[Cause],
        route: Route | None,
    ) -> _Next | None:  # fmt: skip
        """Goes on over the link at a card, to the node that has the address `hop` there."""
        link = self.link(host.name, card.name)
        owners = [
            (name, there) for name, there in link
            if name in self.hosts and self.has_at(name, there, hop)
        ]  # fmt: skip
        unknown = any(name not in self.hosts for name, _ in link)
        if not owners:
            if unknown:
                return None
            return self._nobody(host, card, hop, packet, causes, route)
        name, there = self.meant(owners, hop)
        if len(owners) > 1:
            causes.append(self._duplicate(owners, hop))
        peer = self.hosts[name]
        if route is not None and route.via and not peer.forwards and not self.has(peer, packet.dst):
            built = self.built(name)
            router = (
                built.forwards if built is not NOT_KNOWN else self.wiring.kind(name) == "router"
            )
            if not router:
                return self._elsewhere(host, card, route, name, packet, causes)
        causes += neighbour(self, host, card, hop, peer, there)
        causes += wires(self, host.name, card.name, name, there, packet.size)
        return _Next(name, there)

    def _duplicate(self, owners: list[tuple[str, str]], ip: IPv4Address) -> Cause:
        right = self.meant(owners, ip)
        wrong = [owner for owner in owners if owner != right]
        name, there = wrong[0]
        own = next(each for each in self.hosts[name].cards[there].addresses if each.ip == ip)
        nodes = [right[0], *(each[0] for each in wrong)]
        return self.words.duplicate(ip, nodes, name, f"ip addr del {own} dev {there}")

    def _nobody(
        self, host: Host, card: Card, hop: IPv4Address, packet: Packet, causes: list[Cause],
        route: Route | None,
    ) -> _Next | None:  # fmt: skip
        """Nobody on the link has the address that is asked for."""
        elsewhere = [
            (name, theirs.name) for name, peer in self.hosts.items()
            if (theirs := peer.card_of(hop)) is not None
        ]  # fmt: skip
        for name, there in elsewhere:
            cable = self.moved_away(host.name, card.name, name, there)
            if cable is not None:
                group = exchanged(self.moved, cable.interface)
                causes.append(self.words.moved_cables(group, mendable=self.may_be_wired))
                return _Next(name, there)
        lost = self.lost_address(hop, host, card)
        if lost is not None:
            name, there = lost
            causes.append(self._readdressed(self.hosts[name], there))
            causes += wires(self, host.name, card.name, name, there, packet.size)
            return _Next(name, there)
        if route is not None and route.via is not None:
            return self._elsewhere(host, card, route, "", packet, causes)
        gone = self.lost_address(hop, host, None)
        if not elsewhere and gone is None:
            causes.append(self.words.nobody_has(hop))
            return None
        own = next((each for each in card.addresses if hop in each.network), None)
        if own is None:  # a route to a neighbour who is none
            return self._elsewhere(host, card, route, "", packet, causes) if route else None
        right = right_mask(self, host, card, own)
        causes.append(
            self.words.wide_mask(host, card, own, hop, right, routes_again(self, host, card))
        )
        return self._by_gateway(host, packet, causes, card)

    def _readdressed(self, host: Host, card_name: str) -> Cause:
        """A card has lost the address that it came up with."""
        card = host.cards.get(card_name) or Card(card_name)
        had = self.built(host.name).cards[card_name].addresses[0]
        again = routes_again(self, host, card)
        if not card.addresses:
            return self.words.no_address(host, card, str(had), again)
        return self.words.wrong_address(host, card, had, again)

    def _elsewhere(
        self, host: Host, card: Card, route: Route | None, peer: str, packet: Packet,
        causes: list[Cause],
    ) -> _Next | None:  # fmt: skip
        """The next hop of a route is nobody, or no router (`peer`)."""
        assert route is not None
        connected = route.via is None or any(
            route.via in own.network
            for each in host.cards.values() for own in each.addresses
        )  # fmt: skip
        right = gateway_for(self, host, packet)
        mend = ""
        then = self.lookup(self.built(host.name), packet)
        if then is not None and then.to != route.to:  # it was put before the one that works
            mend = f"ip route del {route_text(route)}"
        elif right is not None:
            to = "default" if not route.to.prefixlen else str(route.to)
            mend = f"ip route replace {to} via {right}"
        if not connected and not peer:
            causes.append(self.words.gateway_outside(host, route, mend))
        else:
            causes.append(self.words.wrong_gateway(host, route, peer, mend))
        if right is not None:
            return self._to_gateway(host, right, packet, causes)
        if then is None or (then.to, then.via, then.card) == (route.to, route.via, route.card):
            return None
        return self._as_built(host, None, packet, causes)

    def _without_route(
        self, host: Host, packet: Packet, causes: list[Cause]
    ) -> tuple[_Next | None, str]:
        """Why a host has no route, and where the packet would go else."""
        if not set(host.cards) - {"lo"} and not set(self.built(host.name).cards) - {"lo"}:
            causes.append(self.words.no_cable(host))
            return None, ""
        down = card_down(self, host, packet)
        if down is not None:
            causes.append(
                self.words.interface_down(
                    host, down, routes_again(self, host, down), self.cable(host.name, down.name)
                )
            )
            return self._as_built(host, down, packet, causes), ""
        stripped = card_stripped(self, host, packet)
        if stripped is not None:
            causes.append(self._readdressed(host, stripped.name))
            return self._as_built(host, stripped, packet, causes), ""
        bare = card_bare(host)
        if bare is not None:
            causes.append(self.words.no_address(host, bare, "", ()))
            return None, ""
        masked = self._masked(host, packet, causes)
        if masked is not None:
            return masked, ""
        gateway = gateway_for(self, host, packet)
        mend = route_line(self, host, packet, gateway)
        causes.append(self.words.no_route(host, packet.dst, mend, back=packet.back))
        if gateway is None:
            return self._as_built(host, None, packet, causes), ""
        return self._to_gateway(host, gateway, packet, causes), ""

    def _as_built(
        self, host: Host, card: Card | None, packet: Packet, causes: list[Cause]
    ) -> _Next | None:
        """Goes on by the routes that the host came up with."""
        route = self.lookup(self.built(host.name), packet)
        if route is not None and route.kind == "unicast" and route.card in host.cards:
            out = host.cards[route.card]
            return self._over(host, replace(out, up=True), route.via or packet.dst, packet,
                              causes, route)  # fmt: skip
        if card is not None and any(packet.dst in own.network for own in card.addresses):
            return self._over(host, replace(card, up=True), packet.dst, packet, causes, None)
        gateway = gateway_for(self, host, packet)
        return self._to_gateway(host, gateway, packet, causes) if gateway else None

    def _masked(self, host: Host, packet: Packet, causes: list[Cause]) -> _Next | None:
        """The address is on the host's own link, or its gateway is, and a mask leaves it out."""
        for card in host.cards.values():
            hop = hop_by(self, host, card, packet)
            owner = self.owner_on(host, card, hop)
            if owner is None or not card.addresses or hop in card.addresses[0].network:
                continue
            cause = self._mask_cause(host, card, hop, owner, packet)
            if cause is None:
                return None
            causes.append(cause)
            return self._over(host, card, hop, packet, causes, None)
        return None

    def _mask_cause(
        self, host: Host, card: Card, hop: IPv4Address, owner: tuple[str, str], packet: Packet
    ) -> Cause | None:
        """Why a neighbour is in no network of a card; None where masks do not explain it."""
        own, (name, there) = card.addresses[0], owner
        theirs = next(each for each in self.hosts[name].cards[there].addresses if each.ip == hop)
        right = right_mask(self, host, card, own)
        if right is not None and right < own.network.prefixlen:
            again = routes_again(self, host, card)
            return self.words.narrow_mask(host, card, own, hop, name, right, again)
        if own.ip in theirs.network:
            right = theirs.network.prefixlen
            return self.words.narrow_mask(host, card, own, hop, name, right, ())
        if hop == packet.dst and gateway_for(self, host, packet) is None:
            return self.words.subnets_apart(host, card, own, name, theirs, there)
        return None

    def _by_gateway(
        self, host: Host, packet: Packet, causes: list[Cause], card: Card
    ) -> _Next | None:
        gateway = gateway_for(self, host, packet) or router_on(self, host, card)
        return self._to_gateway(host, gateway, packet, causes) if gateway else None

    def _to_gateway(
        self, host: Host, gateway: IPv4Address, packet: Packet, causes: list[Cause]
    ) -> _Next | None:
        """Goes on to the gateway that the host should have."""
        for card in host.cards.values():
            for name, there in self.link(host.name, card.name):
                other = self.hosts.get(name)
                own = other.card_of(gateway) if other is not None else None
                if own is not None and own.name == there:
                    causes += wires(self, host.name, card.name, name, there, packet.size)
                    return _Next(name, there)
        return None
