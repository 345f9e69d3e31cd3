# SPDX-License-Identifier: Apache-2.0
"""The way that a packet would take through the hosts as they are set, and what stands in it.

What lives here: the walk from host to host by routing tables, addresses, wires and filters. What
must not: which packet failed and what its frames show (`diagnosis.py`), words (`host_causes.py`).

1. A host looks its routing table up (`ip route get`), asks for the MAC of the next hop on its link,
   and sends; a router does the same with what came. What does not work is a cause.
2. Behind a cause the walk goes on as if it were mended, by how the lab was built where that is
   known, so that two causes are both found.
3. On one link are all cards that cables and switches join, whatever their state.
4. Nothing is said of a node whose settings were not read, such as a router that speaks OpenFlow.
5. Where an address was translated (masquerade), the way back is that to the translator.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Interface

from hoplab.follow.wiring import Wiring
from hoplab.story.host_causes import Words, route_text
from hoplab.story.host_filters import Filter
from hoplab.story.host_state import Card, Host, HostFacts, Port, Route
from hoplab.story.records import Cause

_MOST_HOPS = 40
READDRESSED = ("no-address", "wrong-address")
_MAIN, _DEFAULT, _LOCAL = 254, 253, 255
_HOOKS_PASSED = {  # by what becomes of a packet at a host (netfilter's hooks)
    "input": {"prerouting", "input"},
    "forward": {"prerouting", "forward", "postrouting"},
    "output": {"output", "postrouting"},
}
_ECHO_REPLY, _ECHO_REQUEST = 0, 8  # ICMP types (RFC 792)
_EMPTY = Host("")


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


class Walks:
    """The network of one run, as its hosts were set at the end."""

    def __init__(self, wiring: Wiring, facts: HostFacts, words: Words) -> None:
        self.wiring = wiring
        self.facts = facts
        self.words = words
        self.hosts = facts.now.hosts
        self.switches = facts.now.switches
        self._ports = {
            (each.node, str(each.extra.get("ifname") or each.name)): port
            for port, each in enumerate(wiring.interfaces)
        }
        self._links: dict[tuple[str, str], dict[tuple[str, str], list[int]]] = {}

    def built(self, node: str) -> Host:
        """A host as it came up; one without anything if that is not known."""
        return self.facts.built.hosts.get(node, _EMPTY)

    # ---------------------------------------------------------------------- the walk

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
            if host.card_of(packet.dst) is not None or self._lost(host, packet.dst):
                walk.arrived = True
                if card:
                    self._note(walk, self._arrival(host, card, walk, packet))
                break
            following = self._pass(walk, host, card, packet)
            if following is None:
                break
            node, card = following.node, following.card
        return walk

    def home(self, node: str, card: str, packet: Packet) -> list[Cause]:
        """What a host does with an answer that came to its card."""
        return list(self._arrival(self.hosts[node], card, Walk(source=packet.src), packet))

    def _note(self, walk: Walk, causes: Iterable[Cause], place: int | None = None) -> None:
        at = len(walk.nodes) if place is None else place
        walk.found += [Found(cause, at) for cause in causes]

    def _pass(self, walk: Walk, host: Host, card: str, packet: Packet) -> _Next | None:
        """What a host does with a packet that is not for it: one of its own if it came by no
        card. The next one, None if nobody is."""
        if card:
            if not host.forwards:
                self._note(walk, [self.words.not_forwarding(host)])
            self._note(walk, self._reverse(host, card, walk.source))
        causes: list[Cause] = []
        following, out = self._next(host, packet, causes, card)
        hook = "forward" if card else "output"
        self._note(walk, self._filters(host, hook, packet, walk.source, card, out))
        if out and packet.whole and packet.size > host.cards[out].mtu:
            right = max(packet.size, 1500)
            self._note(walk, [self.words.small_mtu(host, host.cards[out], packet.size, right)])
        for cause in causes:
            # It came there all the same, if the ARP cache had the MAC: the fault is the next one's.
            there = following is not None and cause.node == following.node
            late = there and cause.code in READDRESSED
            self._note(walk, [cause], len(walk.nodes) + late)
        if out and self._masquerades(host, out) and not packet.back:
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

    # ---------------------------------------------------------------------- one host

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
            fits = packet.dst in rule.to and _address_in(packet.src, rule.source)
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

    def lookup(
        self, host: Host, packet: Packet, card: str = "", without: tuple[Route, ...] = ()
    ) -> Route | None:
        """The line of the routing tables that decides (RFC 1812, 5.2.4.3)."""
        tables = [_MAIN, _DEFAULT]
        if host.rules:
            tables = [
                rule.table for rule in host.rules
                if rule.plain and rule.action == "table" and rule.table != _LOCAL
                and packet.dst in rule.to and _address_in(packet.src, rule.source)
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

    def _over(
        self, host: Host, card: Card, hop: IPv4Address, packet: Packet, causes: list[Cause],
        route: Route | None,
    ) -> _Next | None:  # fmt: skip
        """Over the link at a card to whoever has the address `hop`."""
        link = self.link(host.name, card.name)
        owners = [
            (name, there) for name, there in link
            if name in self.hosts and self._has_at(name, there, hop)
        ]  # fmt: skip
        unknown = any(name not in self.hosts for name, _ in link)
        if not owners:
            if unknown:
                return None
            return self._nobody(host, card, hop, packet, causes, route)
        name, there = self._meant(owners, hop)
        if len(owners) > 1:
            causes.append(self._duplicate(owners, hop))
        peer = self.hosts[name]
        if route is not None and route.via and not peer.forwards and not self._is(peer, packet.dst):
            built = self.built(name)
            router = built.forwards if built is not _EMPTY else self.wiring.kind(name) == "router"
            if not router:
                return self._elsewhere(host, card, route, name, packet, causes)
        causes += self._neighbour(host, card, hop, peer, there)
        causes += self._wires(host.name, card.name, name, there, packet.size)
        return _Next(name, there)

    @staticmethod
    def _is(host: Host, address: IPv4Address) -> bool:
        return host.card_of(address) is not None

    def _has_at(self, node: str, card: str, address: IPv4Address) -> bool:
        own = self.hosts[node].card_of(address)
        return own is not None and own.name == card

    def _meant(self, owners: list[tuple[str, str]], ip: IPv4Address) -> tuple[str, str]:
        """Of several who have an address the one that it was given to."""
        for name, there in owners:
            own = self.built(name).card_of(ip)
            if own is not None and own.name == there:
                return name, there
        for name, there in owners:
            port = self._ports.get((name, there))
            given = self.wiring.interfaces[port].addresses if port is not None else ()
            if any(each.partition("/")[0] == str(ip) for each in given):
                return name, there
        return owners[0]

    def _duplicate(self, owners: list[tuple[str, str]], ip: IPv4Address) -> Cause:
        right = self._meant(owners, ip)
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
        lost = self._lost_address(hop, host, card)
        if lost is not None:
            name, there = lost
            causes.append(self._readdressed(self.hosts[name], there))
            causes += self._wires(host.name, card.name, name, there, packet.size)
            return _Next(name, there)
        if route is not None and route.via is not None:
            return self._elsewhere(host, card, route, "", packet, causes)
        elsewhere = [name for name, other in self.hosts.items() if other.card_of(hop) is not None]
        gone = self._lost_address(hop, host, None)
        if not elsewhere and gone is None:
            causes.append(self.words.nobody_has(hop))
            return None
        own = next((each for each in card.addresses if hop in each.network), None)
        if own is None:  # a route to a neighbour who is none
            return self._elsewhere(host, card, route, "", packet, causes) if route else None
        right = self._right_mask(host, card, own)
        causes.append(
            self.words.wide_mask(host, card, own, hop, right, self._routes_again(host, card))
        )
        return self._by_gateway(host, packet, causes, card)

    def _lost_address(
        self, ip: IPv4Address, host: Host, card: Card | None
    ) -> tuple[str, str] | None:
        """Who had this address when the lab came up (on this link, if a card is named), and has
        it no more."""
        for name, built in self.facts.built.hosts.items():
            own = built.card_of(ip)
            if own is None or name not in self.hosts or self._is(self.hosts[name], ip):
                continue
            if card is None or (name, own.name) in self.link(host.name, card.name):
                return name, own.name
        return None

    def _lost(self, host: Host, ip: IPv4Address) -> bool:
        """It had this address when the lab came up, and nobody has it now."""
        had = self.built(host.name).card_of(ip) is not None
        return had and not any(self._is(other, ip) for other in self.hosts.values())

    def _readdressed(self, host: Host, card_name: str) -> Cause:
        """A card has lost the address that it came up with."""
        card = host.cards.get(card_name) or Card(card_name)
        had = self.built(host.name).cards[card_name].addresses[0]
        again = self._routes_again(host, card)
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
        right = self._gateway(host, packet)
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

    # ---------------------------------------------------------------------- no route

    def _without_route(
        self, host: Host, packet: Packet, causes: list[Cause]
    ) -> tuple[_Next | None, str]:
        """Why a host has no route, and where the packet would go else."""
        if not set(host.cards) - {"lo"} and not set(self.built(host.name).cards) - {"lo"}:
            causes.append(self.words.no_cable(host))
            return None, ""
        down = self._card_down(host, packet)
        if down is not None:
            causes.append(self.words.interface_down(host, down, self._routes_again(host, down)))
            return self._as_built(host, down, packet, causes), ""
        stripped = self._card_stripped(host, packet)
        if stripped is not None:
            causes.append(self._readdressed(host, stripped.name))
            return self._as_built(host, stripped, packet, causes), ""
        bare = self._card_bare(host)
        if bare is not None:
            causes.append(self.words.no_address(host, bare, "", ()))
            return None, ""
        masked = self._masked(host, packet, causes)
        if masked is not None:
            return masked, ""
        gateway = self._gateway(host, packet)
        mend = self._route_line(host, packet, gateway)
        causes.append(self.words.no_route(host, packet.dst, mend, back=packet.back))
        if gateway is None:
            return self._as_built(host, None, packet, causes), ""
        return self._to_gateway(host, gateway, packet, causes), ""

    def _card_stripped(self, host: Host, packet: Packet) -> Card | None:
        """The card that has lost all its addresses and would have led there, as it came up."""
        built_host = self.built(host.name)
        for name, built in built_host.cards.items():
            if name not in host.cards:
                continue
            had = {own.ip for own in built.addresses}
            kept = had & {own.ip for own in host.cards[name].addresses}
            if had and not kept and self._leads(built_host, name, packet):
                return built
        return None

    @staticmethod
    def _card_bare(host: Host) -> Card | None:
        """The first card of a host none of whose cards has an address."""
        cards = [card for card in host.cards.values() if card.name != "lo"]
        if any(card.addresses for card in cards):
            return None
        return next(iter(cards), None)

    def _route_line(self, host: Host, packet: Packet, gateway: IPv4Address | None) -> str:
        """The line that gives a host a route for a packet, "" if none is known."""
        then = self.lookup(self.built(host.name), packet)
        if gateway is None:
            if then is not None and then.via is None:
                return f"ip route add {then.to} dev {then.card}"
            return ""
        to = "default" if then is None or not then.to.prefixlen else str(then.to)
        if host.forwards and then is None:
            to = f"{packet.dst}/32"
        return f"ip route add {to} via {gateway}"

    def _card_down(self, host: Host, packet: Packet) -> Card | None:
        """The card that is down and would have led there."""
        for card in host.cards.values():
            if card.up or (host.name, card.name) not in self._ports:
                continue
            alone = all(
                not each.up for each in host.cards.values()
                if (host.name, each.name) in self._ports
            )  # fmt: skip
            inside = any(packet.dst in own.network for own in card.addresses)
            if alone or inside or self._leads(self.built(host.name), card.name, packet):
                return card
        return None

    def _leads(self, host: Host, card: str, packet: Packet) -> bool:
        route = self.lookup(host, packet)
        return route is not None and route.card == card

    def _as_built(
        self, host: Host, card: Card | None, packet: Packet, causes: list[Cause]
    ) -> _Next | None:
        """On by the routes that the host came up with."""
        route = self.lookup(self.built(host.name), packet)
        if route is not None and route.kind == "unicast" and route.card in host.cards:
            out = host.cards[route.card]
            return self._over(host, replace(out, up=True), route.via or packet.dst, packet,
                              causes, route)  # fmt: skip
        if card is not None and any(packet.dst in own.network for own in card.addresses):
            return self._over(host, replace(card, up=True), packet.dst, packet, causes, None)
        gateway = self._gateway(host, packet)
        return self._to_gateway(host, gateway, packet, causes) if gateway else None

    def _masked(self, host: Host, packet: Packet, causes: list[Cause]) -> _Next | None:
        """The address is on the host's own link, or its gateway is, and a mask leaves it out."""
        for card in host.cards.values():
            hop = self._hop_by(host, card, packet)
            owner = self._owner_on(host, card, hop)
            if owner is None or not card.addresses or hop in card.addresses[0].network:
                continue
            cause = self._mask_cause(host, card, hop, owner, packet)
            if cause is None:
                return None
            causes.append(cause)
            return self._over(host, card, hop, packet, causes, None)
        return None

    def _hop_by(self, host: Host, card: Card, packet: Packet) -> IPv4Address:
        """The next hop of a packet by a card, if all masks were right."""
        then = self.lookup(self.built(host.name), packet)
        if then is not None:
            return then.via or packet.dst
        if self._owner_on(host, card, packet.dst) is not None:
            return packet.dst
        return self._left_out(host, card) or packet.dst

    def _mask_cause(
        self, host: Host, card: Card, hop: IPv4Address, owner: tuple[str, str], packet: Packet
    ) -> Cause | None:
        """Why a neighbour is in no network of a card; None where masks do not explain it."""
        own, (name, there) = card.addresses[0], owner
        theirs = next(each for each in self.hosts[name].cards[there].addresses if each.ip == hop)
        right = self._right_mask(host, card, own)
        if right is not None and right < own.network.prefixlen:
            again = self._routes_again(host, card)
            return self.words.narrow_mask(host, card, own, hop, name, right, again)
        if own.ip in theirs.network:
            right = theirs.network.prefixlen
            return self.words.narrow_mask(host, card, own, hop, name, right, ())
        if hop == packet.dst and self._gateway(host, packet) is None:
            return self.words.subnets_apart(host, card, own, name, theirs, there)
        return None

    def _owner_on(self, host: Host, card: Card, ip: IPv4Address) -> tuple[str, str] | None:
        """Who has an address on the link of a card."""
        return next(
            (
                (name, there) for name, there in self.link(host.name, card.name)
                if name in self.hosts and self._has_at(name, there, ip)
            ),
            None,
        )  # fmt: skip

    def _left_out(self, host: Host, card: Card) -> IPv4Address | None:
        """A router on the link that has this host in its network, and is not in the host's."""
        for name, there in self.link(host.name, card.name):
            other = self.hosts.get(name)
            if other is None or not other.forwards or name == host.name:
                continue
            for address in other.cards.get(there, Card("")).addresses:
                if any(
                    own.ip in address.network and address.ip not in own.network
                    for own in card.addresses
                ):
                    return address.ip
        return None

    def _right_mask(self, host: Host, card: Card, own: IPv4Interface) -> int | None:
        """The prefix length that the address had, or that most of its neighbours have; None if it
        is the one that it has."""
        built = self.built(host.name).cards.get(card.name)
        for each in built.addresses if built is not None else ():
            if each.ip == own.ip:
                return None if each.network == own.network else each.network.prefixlen
        lengths = [
            address.network.prefixlen
            for name, there in self.link(host.name, card.name)
            if name != host.name and name in self.hosts
            for address in self.hosts[name].cards.get(there, Card("")).addresses
        ]
        most = max(lengths, key=lengths.count, default=own.network.prefixlen)
        return most if most != own.network.prefixlen else None

    def _routes_again(self, host: Host, card: Card) -> list[str]:
        """The lines that put back the routes which a card came up with and has lost."""
        now = {(route.to, route.via) for route in host.routes}
        lines = [
            f"ip route replace {route_text(route)}"
            for route in self.built(host.name).routes
            if route.card == card.name and route.via and (route.to, route.via) not in now
        ]
        if not lines and not self.built(host.name).routes and not host.forwards:
            gateway = self._router_on(host, card)
            if gateway is not None and not any(not route.to.prefixlen for route in host.routes):
                lines = [f"ip route replace default via {gateway}"]
        return lines

    # ---------------------------------------------------------------------- gateways

    def _gateway(self, host: Host, packet: Packet) -> IPv4Address | None:
        """The next hop that the host came up with, or a router on its link."""
        then = self.lookup(self.built(host.name), packet)
        if then is not None and then.via is not None and then.card in host.cards:
            owner = self._owner_on(host, host.cards[then.card], then.via)
            if owner is not None or self._lost_address(then.via, host, host.cards[then.card]):
                return then.via
        if host.forwards:
            return self._router_towards(host, packet)
        for card in host.cards.values():
            found = self._router_on(host, card)
            if found is not None:
                return found
        return None

    def _router_on(self, host: Host, card: Card) -> IPv4Address | None:
        for name, there in self.link(host.name, card.name):
            other = self.hosts.get(name)
            if other is None or not other.forwards or name == host.name:
                continue
            for address in other.cards.get(there, Card("")).addresses:
                if any(address.ip in own.network for own in card.addresses):
                    return address.ip
        return None

    def _router_towards(self, host: Host, packet: Packet) -> IPv4Address | None:
        """A neighbour that passes packets on and is connected to where this one is to go, or has
        another way there than by the host itself."""
        for card in host.cards.values():
            for name, there in self.link(host.name, card.name):
                other = self.hosts.get(name)
                if other is None or not other.forwards or name == host.name:
                    continue
                route = self.lookup(other, packet)
                if route is None or route.card == there:
                    continue
                for address in other.cards.get(there, Card("")).addresses:
                    return address.ip
        return None

    def _by_gateway(
        self, host: Host, packet: Packet, causes: list[Cause], card: Card
    ) -> _Next | None:
        gateway = self._gateway(host, packet) or self._router_on(host, card)
        return self._to_gateway(host, gateway, packet, causes) if gateway else None

    def _to_gateway(
        self, host: Host, gateway: IPv4Address, packet: Packet, causes: list[Cause]
    ) -> _Next | None:
        """On to a gateway that the host should have."""
        for card in host.cards.values():
            for name, there in self.link(host.name, card.name):
                other = self.hosts.get(name)
                own = other.card_of(gateway) if other is not None else None
                if own is not None and own.name == there:
                    causes += self._wires(host.name, card.name, name, there, packet.size)
                    return _Next(name, there)
        return None

    # ---------------------------------------------------------------------- links

    def link(self, node: str, card: str) -> dict[tuple[str, str], list[int]]:
        """(node, card) of all others on the link of a card: the ports on the way to each."""
        known = self._links.get((node, card))
        if known is None:
            known = self._links[node, card] = self._find_link(node, card)
        return known

    def _find_link(self, node: str, card: str) -> dict[tuple[str, str], list[int]]:
        start = self._ports.get((node, card))
        if start is None:
            return {}
        found: dict[tuple[str, str], list[int]] = {}
        passed: set[str] = set()
        waiting: list[tuple[int, list[int]]] = [(start, [start])]
        for port, ports in waiting:
            peer = self.wiring.peer(port)
            if peer is None:
                continue
            end = self.wiring.interfaces[peer]
            if not self.wiring.is_switch(peer):
                if end.node != node:
                    name = str(end.extra.get("ifname") or end.name)
                    found.setdefault((end.node, name), [*ports, peer])
            elif end.node not in passed:
                passed.add(end.node)
                waiting += [
                    (out, [*ports, peer, out]) for out in self.wiring.ports(end.node)
                    if out != peer
                ]  # fmt: skip
        return found

    def _wires(self, node: str, card: str, peer: str, there: str, size: int) -> Iterator[Cause]:
        """What stands in the way over a link: cards and ports that are down, VLANs, switches that
        nobody told anything, an MTU that is smaller than what is sent."""
        ports = self.link(node, card).get((peer, there), [])
        sent = self.hosts[node].cards[card].mtu if card in self.hosts[node].cards else 0
        for port in ports:
            each = self.wiring.interfaces[port]
            name = str(each.extra.get("ifname") or each.name)
            host = self.hosts.get(each.node)
            if host is not None and name in host.cards:
                own = host.cards[name]
                if not own.up:
                    yield self.words.interface_down(host, own, self._routes_again(host, own))
                elif own.mtu < min(size, sent) and each.node != node:
                    yield self.words.unequal_mtu(each.node, name, own.mtu, size, sent)
                continue
            switch = self.switches.get(each.node)
            if switch is None or name not in switch.ports:
                continue
            if not switch.ports[name].up:
                far = self.wiring.peer(port)
                yield self.words.link_down(
                    switch, switch.ports[name],
                    self.wiring.node_name(far) if far is not None else "",
                )  # fmt: skip
        yield from self._in_switches(ports)

    def _in_switches(self, ports: list[int]) -> Iterator[Cause]:
        """What stands in the way inside of the switches between two hosts."""
        for way_in, way_out in zip(ports[1:-1:2], ports[2:-1:2], strict=False):
            node = self.wiring.node_name(way_in)
            switch = self.switches.get(node)
            if switch is None:
                continue
            if switch.flows == 0 and switch.secure and not switch.connected:
                yield self.words.no_controller(switch)
            first = switch.ports.get(self.wiring.port_name(way_in))
            second = switch.ports.get(self.wiring.port_name(way_out))
            if first is None or second is None or not switch.normal or first.tag == second.tag:
                continue
            tags = [port.tag for port in switch.ports.values()]
            wrong: Port = min((second, first), key=lambda port: tags.count(port.tag))
            yield self.words.wrong_vlan(switch, first, second, wrong)

    def _neighbour(
        self, host: Host, card: Card, hop: IPv4Address, peer: Host, there: str
    ) -> Iterator[Cause]:
        """An ARP entry made by hand that is another card's."""
        right = peer.cards[there].mac
        for entry in host.neighbours:
            if not entry.permanent or (entry.card, entry.ip) != (card.name, str(hop)):
                continue
            if entry.mac != right:
                fixed = any(
                    each.permanent and each.ip == entry.ip
                    for each in self.built(host.name).neighbours
                )
                yield self.words.wrong_neighbour(
                    host, card.name, entry.ip, entry.mac, peer.name, right, fixed
                )

    # ---------------------------------------------------------------------- inside of hosts

    def _arrival(self, host: Host, card: str, walk: Walk, packet: Packet) -> Iterator[Cause]:
        """What a host does with a packet that has come to it."""
        yield from self._reverse(host, card, walk.source)
        yield from self._filters(host, "input", packet, walk.source, card, "")
        if packet.protocol == "icmp" and not packet.back and host.ignores_echo:
            yield self.words.ignores_echo(host)

    def _reverse(self, host: Host, card: str, source: str) -> Iterator[Cause]:
        """What rp_filter throws away (ip-sysctl; RFC 3704)."""
        mode = max(host.rp_filter.get("all", 0), host.rp_filter.get(card, 0))
        rose = self.facts.rose(host.name, "IPReversePathFilter")
        if not mode or not source:
            return
        route = self.lookup(host, Packet("", "", IPv4Address(source)))
        if route is None or (mode == 1 and route.card != card):
            yield self.words.reverse_path(host, card, source, rose)

    def _filters(
        self, host: Host, hook: str, packet: Packet, source: str, way_in: str, way_out: str
    ) -> Iterator[Cause]:
        """The rules at this hook, and those before routing, that dropped such a packet."""
        before = self.facts.before.hosts.get(host.name)
        counted = {rule.key: rule for rule in before.filters} if before is not None else {}
        accepted: set[tuple[str, str]] = set()
        for rule in host.filters:
            if _HOOKS_PASSED[hook].isdisjoint(rule.hooks):
                continue
            if not _matches(rule, packet, source, way_in, way_out):
                continue
            rose = self._rose(rule, counted, known=before is not None)
            if rose == 0:
                continue
            if rule.verdict == "accept" and rule.rule:
                accepted.add((rule.table, rule.chain))
            drops = rule.verdict in ("drop", "reject")
            # Where nothing is counted, a rule that accepted it comes first.
            if drops and (rose is not None or (rule.table, rule.chain) not in accepted):
                yield self.words.filtered(host, hook, rule, rose)

    @staticmethod
    def _rose(rule: Filter, counted: dict[tuple[str, ...], Filter], *, known: bool) -> int | None:
        """By how much a rule's counter rose; None where nothing is counted."""
        if rule.packets is None:
            return None
        if not known:
            return rule.packets and None
        first = counted.get(rule.key)
        return rule.packets - ((first.packets or 0) if first is not None else 0)

    @staticmethod
    def _masquerades(host: Host, out: str) -> bool:
        return any(
            rule.verdict == "masquerade" and rule.way_out in ("", out) for rule in host.filters
        )


def _matches(rule: Filter, packet: Packet, source: str, way_in: str, way_out: str) -> bool:
    """A rule speaks of such a packet. source: the source address as the host sees it."""
    port, source_port = (0, packet.port) if packet.back else (packet.port, 0)
    if not rule.fits(packet.protocol, source, str(packet.dst), port, source_port, way_in, way_out):
        return False
    icmp_type = _ECHO_REPLY if packet.back else _ECHO_REQUEST
    return packet.protocol != "icmp" or rule.icmp_type in (None, icmp_type)


def _address_in(text: str, network: object) -> bool:
    try:
        return IPv4Address(text) in network  # type: ignore[operator]
    except ValueError:
        return getattr(network, "prefixlen", 0) == 0
