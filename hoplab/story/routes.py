# SPDX-License-Identifier: Apache-2.0
"""The way to a node, as traceroute, tracepath and mtr look for it.

What lives here: which packets are such probes, and who answered them. What must not: sentences on
what became of a probe that nobody answered (`end_of_pings.py`).

A probe is told by its TTL: packets of one kind from one node to one address, whose TTLs rise by
one. Those that are used up on the way are reported by the router where that happens (ICMP time
exceeded): in the order of the TTLs these routers are the way. The first TTL to which the target
itself answers is the length of the way; by an echo reply, by port unreachable, by SYN + ACK or RST.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hoplab.decode.packet import Packet
from hoplab.story.steps import Facts
from hoplab.story.trip_records import Trip


@dataclass(slots=True)
class Route:
    """A way that was looked for. probes: trips in their order. hops: the routers by TTL, "*" where
    nobody answered. arrived: answers of the target; none if it did not answer."""

    sender: str
    target: str
    probes: list[Trip]
    hops: list[str] = field(default_factory=list)
    arrived: list[int] = field(default_factory=list)

    @property
    def path(self) -> str:
        """'r1 -> r2 -> www': who answered, in order."""
        return " -> ".join([*self.hops, self.target] if self.arrived else self.hops)


def find_routes(facts: Facts, host: str) -> list[Route]:
    """The ways that `host` (or anybody, if it is "") looked for."""
    groups: dict[tuple[str, str, str], list[Trip]] = {}
    for trip in facts.trips:
        kind = _kind(trip)
        if kind and not trip.group and (not host or trip.sender == host):
            groups.setdefault((trip.sender, trip.dst, kind), []).append(trip)
    return [_route(facts, probes) for (_, _, kind), probes in groups.items() if _rise(kind, probes)]


def _kind(trip: Trip) -> str:
    """The kind of probe that it may be, "" if none."""
    packet = trip.packet
    if packet.icmp is not None and packet.icmp.echo_request:
        return "echo"
    if packet.tcp is not None and packet.tcp.syn and not packet.tcp.ack_flag:
        return "syn"
    return "udp" if trip.kind == "udp" else ""


def _ttl(packet: Packet) -> int:
    if packet.ipv6 is not None:
        return packet.ipv6.hop_limit
    return packet.ipv4.ttl if packet.ipv4 is not None else 0


def _rise(kind: str, probes: list[Trip]) -> bool:
    ttls = {_ttl(trip.packet) for trip in probes}
    if len(ttls) == 1:  # of a way to a neighbour; an echo request with TTL 1 may be a ping's
        return ttls == {1} and kind != "echo"
    return len(ttls) == max(ttls) - min(ttls) + 1


def _route(facts: Facts, probes: list[Trip]) -> Route:
    route = Route(probes[0].sender, probes[0].target or probes[0].dst, probes)
    routers: dict[int, list[str]] = {}
    length = 0
    for trip in sorted(probes, key=lambda probe: _ttl(probe.packet)):
        ttl = _ttl(trip.packet)
        for answer in _answers(facts, trip):
            if route.sender not in answer.delivered:
                continue
            if answer.kind == "icmp-time-exceeded":
                routers.setdefault(ttl, []).append(answer.sender)
            elif answer.sender == route.target or answer.kind == "icmp-echo-reply":
                length = length or ttl
                route.arrived.append(answer.number)
    first = min(_ttl(trip.packet) for trip in probes)
    last = length - 1 if length else max(routers, default=0)
    for ttl in range(first, last + 1):
        route.hops.append("/".join(dict.fromkeys(routers.get(ttl, ()))) or "*")
    return route


def _answers(facts: Facts, probe: Trip) -> list[Trip]:
    numbers = [probe.answered_by]
    for connection in facts.connections:
        if probe.number in connection.syns:
            numbers += [connection.syn_ack, connection.refused_by]
    return [facts.by_number[number] for number in numbers if number]
