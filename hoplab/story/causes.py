# SPDX-License-Identifier: Apache-2.0
"""What the trips have to do with each other: which answers which, and which made which necessary.

What lives here: pairs and causes that frames prove. What must not: headings and how it all ended.

1. An ARP request (or IPv6 neighbour solicitation) by a node for a next hop is caused by the first
   packet that the node then sends to the MAC of that next hop; if none ever leaves, by the packet
   that came to the node, was to go on and never did.
2. An ICMP error quotes the packet that caused it.
3. A DNS question by a resolver is caused by the question that it has been asked and has not yet
   answered.
4. Answers: ARP by address, DNS by id and both ends, echo by ident and seq and both ends.
5. A switch needs no address and asks for nothing. What it sent without a frame that came in for it
   is told so, and is nobody's question.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field

from hoplab.decode import dns as wire_dns
from hoplab.decode import packet as wire
from hoplab.decode.dns import Dns
from hoplab.decode.packet import Packet
from hoplab.sentences import Sentence, say, term
from hoplab.story.claims import add_claim_notes, find_claims
from hoplab.story.destinations import probes
from hoplab.story.dns_titles import dns_refers, dns_result
from hoplab.story.places import Places
from hoplab.story.records import Trip

ASKS_MAC = ("arp-request", "nd-solicitation")
MAX_WAIT_NS = 10_000_000_000  # a packet is held for at most about three ARP tries, a second each

Key = tuple[object, ...]


@dataclass(slots=True)
class Lookup:
    """One DNS question and its answer. Trips by number, 0 for none.

    tries: all sendings of the question. serves: the question on whose behalf it was asked.
    referral: the answer sends the asker on to other servers. lost: answers that never came.
    """

    question: int
    asker: str
    server: str
    name: str
    kind: str
    asked_ns: int
    tries: list[int] = field(default_factory=list)
    answer: int = 0
    answered_ns: int = 0
    rcode: int | None = None
    result: str = ""
    has_record: bool = False  # the answer holds a record of the type asked for
    referral: bool = False
    truncated: bool = False
    serves: int = 0
    tcp: bool = False
    lost: list[int] = field(default_factory=list)


def find_causes(
    places: Places,
    trips: list[Trip],
    now_ns: int | None = None,
    begun_ns: int | None = None,
) -> list[Lookup]:
    """Fills in `answered_by`, `cause` and `causes` of the trips; returns the DNS lookups.

    now_ns: what has not come by then may still come; None if there is nothing more to come.
    begun_ns: from then on no packet is missing; None if some may be.
    """
    by_number = {trip.number: trip for trip in trips}
    for number, first in first_parts(trips).items():
        note = say("a later part of the packet that began with #{packet}", packet=first)
        by_number[number].notes.append(note)
    _echoes(trips)
    _icmp_errors(trips)
    _arp_answers(trips)
    _arp_causes(places, trips, now_ns)
    add_claim_notes(trips, find_claims(trips, places.wiring), begun_ns)
    lookups = _lookups(trips)
    _recursion(lookups, by_number)
    return lookups


def claims(trip: Trip) -> bool:
    """It asks for an address of its own, to see that it is free: no answer is the good one."""
    return probes(trip.packet)


def first_parts(trips: Iterable[Trip]) -> dict[int, int]:
    """Of each later fragment the trip with the first one (RFC 791 section 3.2)."""
    firsts: dict[Key, int] = {}
    first_of = {}
    for trip in trips:
        ip = trip.packet.ip
        if ip is not None and ip.fragment:
            first = firsts.setdefault((ip.src, ip.dst, ip.protocol, ip.ident), trip.number)
            if first != trip.number:
                first_of[trip.number] = first
    return first_of


def _arp_answers(trips: list[Trip]) -> None:
    """Pairs each request with the reply that came to its asker; one reply ends all its tries."""
    waiting: dict[Key, list[Trip]] = {}
    for trip in trips:
        arp, icmp = trip.packet.arp, trip.packet.icmp
        if trip.kind in ASKS_MAC:
            waiting.setdefault((trip.sender, trip.dst), []).append(trip)
            continue
        if trip.kind == "arp-reply" and arp is not None:
            asked = arp.sender_ip
        elif trip.kind == "nd-advertisement" and icmp is not None:
            asked = icmp.target
        else:
            continue
        if not trip.delivered:  # it answers, and is no answer: the asker knows nothing of it
            trip.causes += [
                request.number for request in waiting.get((trip.target, asked), [])[-1:]
            ]
        for node in trip.delivered:
            requests = waiting.pop((node, asked), [])
            for place, request in enumerate(requests):
                request.answered_by = trip.number
                if place == len(requests) - 1:
                    trip.causes.append(request.number)


@dataclass(slots=True)
class _Senders:
    """What nodes sent to their neighbours, and what came to them and went no further.

    sent: node and next hop to time, trip, and whether the node only passed it on, in order of time.
    held: node to the packets that stayed there, with the time when they came.
    """

    sent: dict[Key, list[tuple[int, int, bool]]] = field(default_factory=dict)
    held: dict[str, list[tuple[int, Trip]]] = field(default_factory=dict)

    def next_sent(self, node: str, neighbour: str, since_ns: int) -> tuple[int, bool] | None:
        """The first packet that the node then sent to that neighbour, and whether it only passed
        it on; None if it came too late to have waited."""
        moments = self.sent.get((node, neighbour), []) if neighbour else []
        place = bisect_left(moments, (since_ns, 0, False))
        if place == len(moments) or moments[place][0] - since_ns > MAX_WAIT_NS:
            return None
        return moments[place][1:]

    def stuck_before(self, request: Trip) -> Trip | None:
        """The packet that the asker could not pass on when it asked, the one for the address that
        it asks for before any other."""
        stuck = [
            packet
            for moment, packet in self.held.get(request.sender, [])
            if 0 <= request.t_ns - moment <= MAX_WAIT_NS
            and packet.number < request.number
            and not 0 < packet.answered_by < request.number  # given up, and its sender told so
        ]
        same = next((packet for packet in stuck if packet.dst == request.dst), None)
        return same or (stuck[0] if stuck else None)


def _senders(places: Places, trips: list[Trip]) -> _Senders:
    senders = _Senders()
    for trip in trips:
        if trip.packet.ip is None or trip.kind.startswith("nd-"):
            continue
        for leg in trip.legs:
            if leg.origin != "switched":
                key = (leg.tail, places.card(leg.dst_mac))
                moment = (leg.t_ns, trip.number, leg.origin != "born")
                senders.sent.setdefault(key, []).append(moment)
        if trip.ended and trip.legs:
            senders.held.setdefault(trip.path[-1], []).append((trip.arrived_ns, trip))
    for moments in senders.sent.values():
        moments.sort()
    return senders


def _arp_causes(places: Places, trips: list[Trip], now_ns: int | None) -> None:
    senders = _senders(places, trips)
    by_number = {trip.number: trip for trip in trips}
    for trip in trips:
        if trip.kind not in ASKS_MAC or trip.stray:
            continue
        if claims(trip):
            trip.cause = say(
                "{node} wants to use {ip} and checks that nobody else does",
                node=trip.sender, ip=trip.dst,
            )  # fmt: skip
            continue
        if not trip.group:
            trip.cause = say(
                "{node} knows the MAC of {ip} and checks that it still holds",
                node=trip.sender, ip=trip.dst,
            )  # fmt: skip
            continue
        owner = places.owner(trip.dst)
        address = say("{ip} ({node})", ip=trip.dst, node=owner) if owner else trip.dst
        moment = senders.next_sent(trip.sender, owner, trip.t_ns)
        if moment is not None:
            number, passed = moment
            trip.causes = [number]
            trip.cause = _needed(trip.sender, address, by_number[number], passed)
            continue
        stuck = senders.stuck_before(trip)
        if stuck is not None:
            trip.causes = [stuck.number]
            trip.cause = say(
                "{node} needed the MAC of {address} to pass on #{packet}, {name}",
                node=trip.sender, address=address, packet=stuck.number, name=short(stuck),
            )  # fmt: skip
        elif not trip.answered_by and (now_ns is None or now_ns - trip.t_ns > MAX_WAIT_NS):
            trip.cause = say(
                "{node} needed the MAC of {address}; the packet that it wanted to send never left",
                node=trip.sender, address=address,
            )  # fmt: skip


def _needed(node: str, address: str, trip: Trip, passed: bool) -> Sentence:
    """Why a node asked for a MAC: what it then sent, or passed on."""
    if passed:
        return say(
            "{node} needed the MAC of {address} before it could pass on #{packet}, {name}",
            node=node, address=address, packet=trip.number, name=short(trip),
        )  # fmt: skip
    return say(
        "{node} needed the MAC of {address} before it could send #{packet}, {name}",
        node=node, address=address, packet=trip.number, name=short(trip),
    )  # fmt: skip


_SHORT = {
    "dns-question": term("the DNS question"),
    "dns-answer": term("the DNS answer"),
    "tcp-syn": term("the SYN"),
    "tcp-syn-ack": term("the SYN + ACK"),
    "tcp-ack": term("an ACK"),
    "tcp-rst": term("the RST"),
    "tcp-fin": term("the FIN"),
    "http-request": term("the HTTP request"),
    "http-response": term("the HTTP response"),
    "icmp-echo-request": term("the echo request"),
    "icmp-echo-reply": term("the echo reply"),
    "udp": term("the UDP datagram"),
}


def short(trip: Trip) -> Sentence:
    """The kind of packet in a few words, to speak of it elsewhere."""
    if trip.kind in _SHORT:
        return _SHORT[trip.kind]
    if trip.kind.startswith("icmp"):
        return term("an ICMP message")
    return say("a packet to {ip}", ip=trip.dst)


def _both(trip: Trip) -> list[Packet]:
    """The packet as born and as it arrived (translated, perhaps)."""
    return [trip.packet] if trip.last is trip.packet else [trip.packet, trip.last]


def _echoes(trips: list[Trip]) -> None:
    waiting: dict[Key, Trip] = {}
    for trip in trips:
        for packet in _both(trip):
            icmp = packet.icmp
            if icmp is None:
                break
            if icmp.echo_request:
                key = (packet.src, packet.dst, icmp.ident, icmp.seq)
                if not (trip.stray and key in waiting):
                    waiting[key] = trip
            elif icmp.echo_reply:
                asked = waiting.get((packet.dst, packet.src, icmp.ident, icmp.seq))
                if asked is not None and not asked.answered_by:
                    asked.answered_by = trip.number
                    trip.causes = [asked.number]


def _identity(packet: Packet) -> Key:
    """What an ICMP error quotes and what tells a packet from its neighbours."""
    ip = packet.ip
    assert ip is not None
    seq: object = packet.icmp.seq if packet.icmp is not None and packet.ipv6 is not None else None
    return (ip.src, ip.dst, ip.protocol, ip.ident, wire.quoted_ports(packet), seq)


def _icmp_errors(trips: list[Trip]) -> None:
    seen: dict[Key, Trip] = {}
    for trip in trips:
        inner = wire.quoted(trip.packet)
        if inner is not None and inner.ip is not None:
            about = seen.get(_identity(inner))
            if about is not None:
                trip.causes = [about.number]
                trip.cause = say(
                    "{node} reports what became of #{packet}, {name}",
                    node=trip.sender, packet=about.number, name=short(about),
                )  # fmt: skip
                if trip.kind != "icmp-redirect":  # that one went on its way
                    about.answered_by = about.answered_by or trip.number
        for packet in _both(trip):
            if packet.ip is not None and not (trip.stray and _identity(packet) in seen):
                seen[_identity(packet)] = trip


def _dns_keys(trip: Trip, dns: Dns) -> list[Key]:
    keys: list[Key] = []
    for packet in _both(trip):
        ports = wire.quoted_ports(packet)
        if ports is not None:
            keys.append((dns.id, frozenset(((packet.src, ports[0]), (packet.dst, ports[1])))))
    return keys


def _lookups(trips: Iterable[Trip]) -> list[Lookup]:
    lookups: list[Lookup] = []
    waiting: dict[Key, Lookup] = {}
    for trip in trips:
        if trip.kind not in ("dns-question", "dns-answer"):
            continue
        dns = wire_dns.read(trip.packet)
        if dns is None:
            continue
        keys = _dns_keys(trip, dns)
        lookup = next((waiting[key] for key in keys if key in waiting), None)
        if not dns.qr:
            if lookup is None or lookup.answer or (lookup.name, lookup.kind) != _asked(dns):
                lookup = _new_lookup(trip, dns)
                lookups.append(lookup)
            else:
                note = say("the question of #{packet} again", packet=lookup.tries[-1])
                trip.notes.append(note)
            lookup.tries.append(trip.number)
            for key in keys:
                waiting[key] = lookup
        elif lookup is not None and not lookup.answer:
            trip.causes = [lookup.tries[-1]]
            if trip.reached(lookup.asker):
                _take_answer(lookup, trip, dns)
            else:
                lookup.lost.append(trip.number)
    return lookups


def _asked(dns: Dns) -> tuple[str, str]:
    """Name and type of the first question, which is the only one in practice."""
    return dns.questions[0] if dns.questions else ("?", "?")


def _new_lookup(trip: Trip, dns: Dns) -> Lookup:
    name, kind = _asked(dns)
    server, over_tcp = trip.target or trip.dst, trip.packet.tcp is not None
    return Lookup(trip.number, trip.sender, server, name, kind, trip.t_ns, tcp=over_tcp)


def _take_answer(lookup: Lookup, trip: Trip, dns: Dns) -> None:
    lookup.answer, lookup.answered_ns = trip.number, trip.arrived_ns
    if not trip.stray:
        lookup.server = trip.sender  # two cards may have the address that was asked
    lookup.rcode, lookup.result = dns.rcode, dns_result(dns)
    lookup.has_record = any(of == lookup.kind for _, of, _, _ in dns.answers)
    lookup.referral = dns_refers(dns)
    lookup.truncated = dns.tc


def _recursion(lookups: list[Lookup], by_number: dict[int, Trip]) -> None:
    """Links what a resolver asks to what it was asked."""
    for lookup in lookups:
        if lookup.answer:
            for number in lookup.tries:
                by_number[number].answered_by = lookup.answer
    asked_of: dict[str, list[Lookup]] = {}  # server -> questions that it has not yet answered
    for lookup in lookups:
        pending = [
            earlier
            for earlier in asked_of.get(lookup.asker, [])
            if not earlier.answer or by_number[earlier.answer].t_ns >= lookup.asked_ns
        ]
        asked_of[lookup.asker] = pending
        if pending:
            lookup.serves = _likeliest(pending, lookup).question
            trip = by_number[lookup.question]
            trip.causes = [lookup.serves]
            trip.cause = say(
                "{node} asks because of #{packet}", node=lookup.asker, packet=lookup.serves
            )
        asked_of.setdefault(lookup.server, []).append(lookup)


def _likeliest(pending: list[Lookup], lookup: Lookup) -> Lookup:
    """The pending question that a resolver asks for: the newest, if possible of the same name."""
    return min(
        reversed(pending),
        key=lambda earlier: (earlier.name != lookup.name) + (earlier.kind != lookup.kind),
    )
