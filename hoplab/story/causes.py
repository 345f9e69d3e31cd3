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
from hoplab.story.claims import add_claim_notes, find_claims
from hoplab.story.records import Trip
from hoplab.story.titles import dns_refers, dns_result
from hoplab.story.trips import Places, probes

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
    found: bool = False  # the answer holds a record of the type asked for
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
        by_number[number].notes.append(f"a later part of the packet that began with #{first}")
    _echoes(trips)
    _icmp_errors(trips)
    _arp_answers(trips)
    _arp_causes(places, trips, now_ns)
    add_claim_notes(trips, find_claims(trips, places.wiring), begun_ns)
    found = _lookups(trips)
    _recursion(found, by_number)
    return found


def claims(trip: Trip) -> bool:
    """It asks for an address of its own, to see that it is free: no answer is the good one."""
    return probes(trip.packet)


def first_parts(trips: Iterable[Trip]) -> dict[int, int]:
    """Of each later fragment the trip with the first one (RFC 791 section 3.2)."""
    firsts: dict[Key, int] = {}
    found = {}
    for trip in trips:
        ip = trip.packet.ip
        if ip is not None and ip.fragment:
            first = firsts.setdefault((ip.src, ip.dst, ip.protocol, ip.ident), trip.number)
            if first != trip.number:
                found[trip.number] = first
    return found


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
            trip.causes += [one.number for one in waiting.get((trip.target, asked), [])[-1:]]
        for node in trip.delivered:
            requests = waiting.pop((node, asked), [])
            for place, request in enumerate(requests):
                request.answered_by = trip.number
                if place == len(requests) - 1:
                    trip.causes.append(request.number)


def _arp_causes(places: Places, trips: list[Trip], now_ns: int | None) -> None:
    sent: dict[Key, list[tuple[int, int, bool]]] = {}  # (node, next hop) -> time, trip, passed on
    held: dict[str, list[tuple[int, Trip]]] = {}  # node -> packets that came to it and stayed
    for trip in trips:
        if trip.packet.ip is None or trip.kind.startswith("nd-"):
            continue
        for leg in trip.legs:
            if leg.origin != "switched":
                key = (leg.tail, places.card(leg.dst_mac))
                sent.setdefault(key, []).append((leg.t_ns, trip.number, leg.origin != "born"))
        if trip.ended and trip.legs:
            held.setdefault(trip.path[-1], []).append((trip.arrived_ns, trip))
    for moments in sent.values():
        moments.sort()
    by_number = {trip.number: trip for trip in trips}
    for trip in trips:
        if trip.kind not in ASKS_MAC or trip.stray:
            continue
        if claims(trip):
            trip.cause = f"{trip.sender} wants to use {trip.dst} and checks that nobody else does"
            continue
        if not trip.group:
            trip.cause = f"{trip.sender} knows the MAC of {trip.dst} and checks that it still holds"
            continue
        owner = places.owner(trip.dst)
        wants = f"{trip.sender} needed the MAC of {trip.dst}" + (f" ({owner})" if owner else "")
        moments = sent.get((trip.sender, owner), []) if owner else []
        place = bisect_left(moments, (trip.t_ns, 0, False))
        if place < len(moments) and moments[place][0] - trip.t_ns <= MAX_WAIT_NS:
            _, number, passed = moments[place]
            trip.causes = [number]
            verb = "pass on" if passed else "send"
            trip.cause = f"{wants} before it could {verb} #{number}, {short(by_number[number])}"
            continue
        stuck = [
            packet
            for moment, packet in held.get(trip.sender, [])
            if 0 <= trip.t_ns - moment <= MAX_WAIT_NS
            and packet.number < trip.number
            and not 0 < packet.answered_by < trip.number  # given up, and its sender told so
        ]
        if stuck:
            first = next((packet for packet in stuck if packet.dst == trip.dst), stuck[0])
            trip.causes = [first.number]
            trip.cause = f"{wants} to pass on #{first.number}, {short(first)}"
        elif not trip.answered_by and (now_ns is None or now_ns - trip.t_ns > MAX_WAIT_NS):
            trip.cause = f"{wants}; the packet that it wanted to send never left"


def short(trip: Trip) -> str:
    """The kind of packet in a few words, to speak of it elsewhere."""
    names = {
        "dns-question": "the DNS question",
        "dns-answer": "the DNS answer",
        "tcp-syn": "the SYN",
        "tcp-syn-ack": "the SYN + ACK",
        "tcp-ack": "an ACK",
        "tcp-rst": "the RST",
        "tcp-fin": "the FIN",
        "http-request": "the HTTP request",
        "http-response": "the HTTP response",
        "icmp-echo-request": "the echo request",
        "icmp-echo-reply": "the echo reply",
        "udp": "the UDP datagram",
    }
    if trip.kind in names:
        return names[trip.kind]
    return "an ICMP message" if trip.kind.startswith("icmp") else f"a packet to {trip.dst}"


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
                trip.cause = f"{trip.sender} reports what became of #{about.number}, {short(about)}"
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
    found: list[Lookup] = []
    open_ones: dict[Key, Lookup] = {}
    for trip in trips:
        if trip.kind not in ("dns-question", "dns-answer"):
            continue
        dns = wire_dns.read(trip.packet)
        if dns is None:
            continue
        keys = _dns_keys(trip, dns)
        known = next((open_ones[key] for key in keys if key in open_ones), None)
        name, kind = dns.questions[0] if dns.questions else ("?", "?")
        if not dns.qr:
            if known is None or known.answer or (known.name, known.kind) != (name, kind):
                known = Lookup(
                    trip.number,
                    trip.sender,
                    trip.target or trip.dst,
                    name,
                    kind,
                    trip.t_ns,
                    tcp=trip.packet.tcp is not None,
                )
                found.append(known)
            else:
                trip.notes.append(f"the question of #{known.tries[-1]} again")
            known.tries.append(trip.number)
            for key in keys:
                open_ones[key] = known
        elif known is not None and not known.answer and not trip.reached(known.asker):
            known.lost.append(trip.number)
            trip.causes = [known.tries[-1]]
        elif known is not None and not known.answer:
            known.answer, known.answered_ns = trip.number, trip.arrived_ns
            if not trip.stray:
                known.server = trip.sender  # two cards may have the address that was asked
            known.rcode, known.result = dns.rcode, dns_result(dns)
            known.found = any(of == known.kind for _, of, _, _ in dns.answers)
            known.referral = dns_refers(dns)
            known.truncated = dns.tc
            trip.causes = [known.tries[-1]]
    return found


def _recursion(found: list[Lookup], by_number: dict[int, Trip]) -> None:
    """Links what a resolver asks to what it was asked."""
    for lookup in found:
        if lookup.answer:
            for number in lookup.tries:
                by_number[number].answered_by = lookup.answer
    asked_of: dict[str, list[Lookup]] = {}  # server -> questions that it has not yet answered
    for lookup in found:
        pending = [
            earlier
            for earlier in asked_of.get(lookup.asker, [])
            if not earlier.answer or by_number[earlier.answer].t_ns >= lookup.asked_ns
        ]
        asked_of[lookup.asker] = pending
        if pending:
            cause = min(
                reversed(pending),
                key=lambda one: (one.name != lookup.name) + (one.kind != lookup.kind),
            )
            lookup.serves = cause.question
            trip = by_number[lookup.question]
            trip.causes = [lookup.serves]
            trip.cause = f"{lookup.asker} asks because of #{lookup.serves}"
        asked_of.setdefault(lookup.server, []).append(lookup)
