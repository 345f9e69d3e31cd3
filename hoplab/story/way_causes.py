# SPDX-License-Identifier: Apache-2.0
"""What stands in the way of a packet over one link, and inside of one host: cards and ports that
are down, VLANs, entries made by hand, reverse paths, filters.

What lives here: these, as causes. What must not: which way the packet takes (`walks.py`), words
(`host_causes.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address

from hoplab.story.host_filters import Filter
from hoplab.story.host_network import HostNetwork, Packet
from hoplab.story.host_state import Card, Host, Port
from hoplab.story.records import Cause
from hoplab.story.right_settings import routes_again

_HOOKS_PASSED = {  # by what becomes of a packet at a host (netfilter's hooks)
    "input": {"prerouting", "input"},
    "forward": {"prerouting", "forward", "postrouting"},
    "output": {"output", "postrouting"},
}
_ECHO_REPLY, _ECHO_REQUEST = 0, 8  # ICMP types (RFC 792)


def wires(
    network: HostNetwork, node: str, card: str, peer: str, there: str, size: int
) -> Iterator[Cause]:
    """What stands in the way over a link: cards and ports that are down, VLANs, switches that
    nobody told anything, an MTU that is smaller than what is sent."""
    ports = network.link(node, card).get((peer, there), [])
    sent = network.hosts[node].cards[card].mtu if card in network.hosts[node].cards else 0
    for port in ports:
        each = network.wiring.interfaces[port]
        name = str(each.extra.get("ifname") or each.name)
        host = network.hosts.get(each.node)
        if host is not None and name in host.cards:
            own = host.cards[name]
            if not own.up:
                yield network.words.interface_down(
                    host, own, routes_again(network, host, own), network.cable(each.node, name)
                )
            elif own.mtu < min(size, sent) and each.node != node:
                yield network.words.unequal_mtu(each.node, name, own.mtu, size, sent)
            continue
        switch = network.switches.get(each.node)
        if switch is None or name not in switch.ports:
            continue
        if not switch.ports[name].up:
            far = network.wiring.peer(port)
            yield network.words.link_down(
                switch, switch.ports[name],
                network.wiring.node_name(far) if far is not None else "",
                # In one order, so that both ends of a cut cable are one cause with one mend.
                sorted(network.cable(each.node, name)),
            )  # fmt: skip
    yield from _in_switches(network, ports)


def _in_switches(network: HostNetwork, ports: list[int]) -> Iterator[Cause]:
    """What stands in the way inside of the switches between two hosts."""
    for way_in, way_out in zip(ports[1:-1:2], ports[2:-1:2], strict=False):
        node = network.wiring.node_name(way_in)
        switch = network.switches.get(node)
        if switch is None:
            continue
        if switch.hung:
            yield network.words.hung_controller(switch)
        elif switch.flows == 0 and switch.secure and not switch.connected:
            yield network.words.no_controller(switch)
        first = switch.ports.get(network.wiring.port_name(way_in))
        second = switch.ports.get(network.wiring.port_name(way_out))
        if first is None or second is None or not switch.normal or first.tag == second.tag:
            continue
        tags = [port.tag for port in switch.ports.values()]
        wrong: Port = min((second, first), key=lambda port: tags.count(port.tag))
        yield network.words.wrong_vlan(switch, first, second, wrong)


def neighbour(
    network: HostNetwork, host: Host, card: Card, hop: IPv4Address, peer: Host, there: str
) -> Iterator[Cause]:
    """An ARP entry that is another card's: made by hand, or learned and no longer true. Of what was
    learned from another one who has the address as well, that he has it is the cause."""
    right = peer.cards[there].mac
    for entry in host.neighbours:
        if (entry.card, entry.ip) != (card.name, str(hop)) or entry.mac in ("", right):
            continue
        if entry.permanent:
            fixed = any(
                each.permanent and each.ip == entry.ip
                for each in network.built(host.name).neighbours
            )
            yield network.words.wrong_neighbour(
                host, card.name, entry.ip, entry.mac, peer.name, right, fixed
            )
        elif not _has_both(network, entry.mac, hop):
            yield network.words.stale_neighbour(
                host, card.name, entry.ip, entry.mac, peer.name, right
            )


def _has_both(network: HostNetwork, mac: str, ip: IPv4Address) -> bool:
    """Whether one node has both a card with that MAC and that address."""
    return any(
        card.mac == mac and any(each.ip == ip for each in card.addresses)
        for host in network.hosts.values()
        for card in host.cards.values()
    )


def arrival(
    network: HostNetwork, host: Host, card: str, source: str, packet: Packet
) -> Iterator[Cause]:
    """What a host does with a packet that has come to it. source: the address that it sees."""
    yield from reverse(network, host, card, source)
    yield from filters(network, host, "input", packet, source, card, "")
    if packet.protocol == "icmp" and not packet.back and host.ignores_echo:
        yield network.words.ignores_echo(host)


def reverse(network: HostNetwork, host: Host, card: str, source: str) -> Iterator[Cause]:
    """What rp_filter throws away (ip-sysctl; RFC 3704)."""
    mode = max(host.rp_filter.get("all", 0), host.rp_filter.get(card, 0))
    rose = network.facts.rose(host.name, "IPReversePathFilter")
    if not mode or not source:
        return
    route = network.lookup(host, Packet("", "", IPv4Address(source)))
    if route is None or (mode == 1 and route.card != card):
        yield network.words.reverse_path(host, card, source, rose)


def filters(
    network: HostNetwork,
    host: Host,
    hook: str,
    packet: Packet,
    source: str,
    way_in: str,
    way_out: str,
) -> Iterator[Cause]:
    """The rules at this hook, and those before routing, that dropped such a packet."""
    before = network.facts.before.hosts.get(host.name)
    counted = {rule.key: rule for rule in before.filters} if before is not None else {}
    accepted: set[tuple[str, str]] = set()
    for rule in host.filters:
        if _HOOKS_PASSED[hook].isdisjoint(rule.hooks):
            continue
        if not _matches(rule, packet, source, way_in, way_out):
            continue
        rose = _counted(rule, counted, known=before is not None)
        if rose == 0:
            continue
        if rule.verdict == "accept" and rule.rule:
            accepted.add((rule.table, rule.chain))
        drops = rule.verdict in ("drop", "reject")
        # Where nothing is counted, a rule that accepted it comes first.
        if drops and (rose is not None or (rule.table, rule.chain) not in accepted):
            yield network.words.filtered(host, hook, rule, rose)


def _counted(rule: Filter, counted: dict[tuple[str, ...], Filter], *, known: bool) -> int | None:
    """By how much a rule's counter rose; None where nothing is counted."""
    if rule.packets is None:
        return None
    if not known:
        return rule.packets and None
    first = counted.get(rule.key)
    return rule.packets - ((first.packets or 0) if first is not None else 0)


def masquerades(host: Host, out: str) -> bool:
    """The host puts its own address in the place of the source's, where it sends by this card."""
    return any(rule.verdict == "masquerade" and rule.way_out in ("", out) for rule in host.filters)


def redirects(host: Host, packet: Packet) -> bool:
    """The host may hand such a packet, which is addressed to it, to somebody else (DNAT)."""
    return any(
        rule.verdict == "redirect" and "prerouting" in rule.hooks
        and _matches(rule, packet, packet.src, "", "")
        for rule in host.filters
    )  # fmt: skip


def _matches(rule: Filter, packet: Packet, source: str, way_in: str, way_out: str) -> bool:
    """A rule speaks of such a packet. source: the source address as the host sees it."""
    port, source_port = (0, packet.port) if packet.back else (packet.port, 0)
    if not rule.fits(packet.protocol, source, str(packet.dst), port, source_port, way_in, way_out):
        return False
    icmp_type = _ECHO_REPLY if packet.back else _ECHO_REQUEST
    return packet.protocol != "icmp" or rule.icmp_type in (None, icmp_type)
