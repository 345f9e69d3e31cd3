# SPDX-License-Identifier: Apache-2.0
"""How the settings of a host should be for a packet to come through, where they are not.

What lives here: the gateway, the mask, the routes that would be right, by how the lab was built or
by who else is on the link; and which card should have led there. What must not: the walk
(`walks.py`), words (`host_causes.py`).
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface

from hoplab.story.host_causes import route_text
from hoplab.story.host_network import HostNetwork, Packet
from hoplab.story.host_state import Card, Host


def gateway_for(network: HostNetwork, host: Host, packet: Packet) -> IPv4Address | None:
    """The next hop that the host came up with, or a router on its link."""
    then = network.lookup(network.built(host.name), packet)
    if then is not None and then.via is not None and then.card in host.cards:
        owner = network.owner_on(host, host.cards[then.card], then.via)
        if owner is not None or network.lost_address(then.via, host, host.cards[then.card]):
            return then.via
    if host.forwards:
        return router_towards(network, host, packet)
    for card in host.cards.values():
        router = router_on(network, host, card)
        if router is not None:
            return router
    return None


def router_on(network: HostNetwork, host: Host, card: Card) -> IPv4Address | None:
    """The address of a router on the link of a card, in a network of the card's."""
    for name, there in network.link(host.name, card.name):
        other = network.hosts.get(name)
        if other is None or not other.forwards or name == host.name:
            continue
        for address in other.cards.get(there, Card("")).addresses:
            if any(address.ip in own.network for own in card.addresses):
                return address.ip
    return None


def router_towards(network: HostNetwork, host: Host, packet: Packet) -> IPv4Address | None:
    """A neighbour that passes packets on and is connected to where this one is to go, or has
    another way there than by the host itself."""
    for card in host.cards.values():
        for name, there in network.link(host.name, card.name):
            other = network.hosts.get(name)
            if other is None or not other.forwards or name == host.name:
                continue
            route = network.lookup(other, packet)
            if route is None or route.card == there:
                continue
            for address in other.cards.get(there, Card("")).addresses:
                return address.ip
    return None


def right_mask(network: HostNetwork, host: Host, card: Card, own: IPv4Interface) -> int | None:
    """The prefix length that the address had, or that most of its neighbours have; None if it
    is the one that it has."""
    built = network.built(host.name).cards.get(card.name)
    for each in built.addresses if built is not None else ():
        if each.ip == own.ip:
            return None if each.network == own.network else each.network.prefixlen
    lengths = [
        address.network.prefixlen
        for name, there in network.link(host.name, card.name)
        if name != host.name and name in network.hosts
        for address in network.hosts[name].cards.get(there, Card("")).addresses
    ]
    most = max(lengths, key=lengths.count, default=own.network.prefixlen)
    return most if most != own.network.prefixlen else None


def routes_again(network: HostNetwork, host: Host, card: Card) -> list[str]:
    """The lines that put back the routes which a card came up with and has lost."""
    now = {(route.to, route.via) for route in host.routes}
    lines = [
        f"ip route replace {route_text(route)}"
        for route in network.built(host.name).routes
        if route.card == card.name and route.via and (route.to, route.via) not in now
    ]
    if not lines and not network.built(host.name).routes and not host.forwards:
        gateway = router_on(network, host, card)
        if gateway is not None and not any(not route.to.prefixlen for route in host.routes):
            lines = [f"ip route replace default via {gateway}"]
    return lines


def route_line(
    network: HostNetwork, host: Host, packet: Packet, gateway: IPv4Address | None
) -> str:
    """The line that gives a host a route for a packet, "" if none is known."""
    then = network.lookup(network.built(host.name), packet)
    if gateway is None:
        if then is not None and then.via is None:
            return f"ip route add {then.to} dev {then.card}"
        return ""
    to = "default" if then is None or not then.to.prefixlen else str(then.to)
    if host.forwards and then is None:
        to = f"{packet.dst}/32"
    return f"ip route add {to} via {gateway}"


def left_out(network: HostNetwork, host: Host, card: Card) -> IPv4Address | None:
    """A router on the link that has this host in its network, and is not in the host's."""
    for name, there in network.link(host.name, card.name):
        other = network.hosts.get(name)
        if other is None or not other.forwards or name == host.name:
            continue
        for address in other.cards.get(there, Card("")).addresses:
            if any(
                own.ip in address.network and address.ip not in own.network
                for own in card.addresses
            ):
                return address.ip
    return None


def hop_by(network: HostNetwork, host: Host, card: Card, packet: Packet) -> IPv4Address:
    """The next hop of a packet by a card, if all masks were right."""
    then = network.lookup(network.built(host.name), packet)
    if then is not None:
        return then.via or packet.dst
    if network.owner_on(host, card, packet.dst) is not None:
        return packet.dst
    return left_out(network, host, card) or packet.dst


def leads(network: HostNetwork, host: Host, card: str, packet: Packet) -> bool:
    """The host's routes send the packet by this card."""
    route = network.lookup(host, packet)
    return route is not None and route.card == card


def card_stripped(network: HostNetwork, host: Host, packet: Packet) -> Card | None:
    """The card that has lost all its addresses and would have led there, as it came up."""
    built_host = network.built(host.name)
    for name, built in built_host.cards.items():
        if name not in host.cards:
            continue
        had = {own.ip for own in built.addresses}
        kept = had & {own.ip for own in host.cards[name].addresses}
        if had and not kept and leads(network, built_host, name, packet):
            return built
    return None


def card_bare(host: Host) -> Card | None:
    """The first card of a host none of whose cards has an address."""
    cards = [card for card in host.cards.values() if card.name != "lo"]
    if any(card.addresses for card in cards):
        return None
    return next(iter(cards), None)


def card_down(network: HostNetwork, host: Host, packet: Packet) -> Card | None:
    """The card that is down and would have led there."""
    for card in host.cards.values():
        if card.up or (host.name, card.name) not in network.ports:
            continue
        alone = all(
            not each.up for each in host.cards.values()
            if (host.name, each.name) in network.ports
        )  # fmt: skip
        inside = any(packet.dst in own.network for own in card.addresses)
        if alone or inside or leads(network, network.built(host.name), card.name, packet):
            return card
    return None
