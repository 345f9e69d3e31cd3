# SPDX-License-Identifier: Apache-2.0
"""Trips to steps: which heading each belongs under, and how the textbook's frames map to them.

What lives here: headings, their explanations, the order. What must not: the honest remarks
(`remarks.py`), protocol state (`tcp.py`, `causes.py`), the end of it all (`outcome.py`).

Rules:
1. Steps stand in the order of their first trip. A second connection, or a name looked up later,
   opens the heading again; so the story stays in the order of time.
2. ARP (and neighbour solicitation) stands with the packet that it holds up. Only what came before
   every other frame has a heading of its own.
3. An ICMP error stands with the packet that it is about, a later fragment with the first.
4. A fetch has all five steps of the lesson; one that did not happen says so.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass

from hoplab.follow.wiring import Wiring
from hoplab.story.causes import ASKS_MAC, Lookup, first_parts
from hoplab.story.records import Mapping, Step, Trip
from hoplab.story.tcp import Connection, Secured
from hoplab.story.titles import clean, plural

LESSON = ("arp", "dns", "handshake", "http", "close")

HEADINGS = {
    "arp": "ARP: whose card has this IP address?",
    "dns": "DNS: from the name to the address",
    "handshake": "TCP: three-way handshake",
    "http": "HTTP: request and response",
    "tls": "TLS: agree on a key, then speak sealed",
    "close": "TCP: four-way close",
    "tcp": "TCP: data",
    "ping": "Ping: echo request and echo reply",
    "udp": "UDP: datagrams",
    "icmp": "ICMP: reports about packets",
    "nd": "Neighbour discovery: the ARP of IPv6",
    "other": "Other frames",
}
LESSONS = {
    "arp": "On a link, frames are addressed by MAC. Before a node sends to a neighbour for the "
    "first time it asks everybody on the link which MAC belongs to the neighbour's IP address; "
    "it keeps the answer in its ARP cache.",
    "dns": "The client knows a name, but a packet needs an IP address. It asks its resolver over "
    "UDP; a resolver that does not know asks on its behalf, from the root of all names downwards.",
    "handshake": "Client and server tell each other the number of their first byte and confirm it: "
    "SYN, SYN + ACK, ACK. From then on bytes flow both ways.",
    "http": "The client asks for a page in plain text; the server answers with a status and the "
    "page. TCP numbers every byte, and the receiver confirms by ACK what has come.",
    "tls": "Client and server say hello in plain text and agree on a key that no listener can work "
    "out; the server proves who it is by a certificate. What follows is sealed: who speaks with "
    "whom, when and how much can be seen, what is said cannot.",
    "close": "Each direction is closed by itself: FIN says 'no more from me', ACK confirms it. So "
    "the textbook counts four frames: FIN, ACK, FIN, ACK.",
    "tcp": "TCP numbers every byte, and the receiver confirms by ACK what has come.",
    "ping": "An echo request asks a machine to send the same bytes back: if the reply comes, the "
    "way there and the way back both work.",
    "udp": "UDP sends single datagrams: no handshake, no confirmation.",
    "icmp": "With ICMP the network reports what became of a packet; the report quotes it.",
    "nd": "Before a node sends to an IPv6 neighbour for the first time it asks a multicast group "
    "which MAC belongs to the address; it keeps the answer in its neighbour cache.",
    "other": "What the nodes also sent; it is no part of the steps above.",
}


@dataclass(slots=True)
class Facts:
    """What earlier stages found out, in one place."""

    trips: list[Trip]
    connections: list[Connection]
    lookups: list[Lookup]
    by_number: dict[int, Trip]
    wiring: Wiring


Label = tuple[str, int]  # step key, and which one of its kind


def make_steps(facts: Facts, lesson: bool) -> list[Step]:
    """All steps in order, with trips and mappings, without remarks. `lesson`: it is a fetch."""
    labels = _labels(facts)
    gathered: dict[Label, list[int]] = {}
    for trip in facts.trips:
        gathered.setdefault(labels[trip.number], []).append(trip.number)
    order = sorted(gathered, key=lambda label: (label[0] == "other", gathered[label][0]))
    steps = []
    times = Counter(key for key, _ in order)
    for key, which in order:
        step = _step(key, lesson)
        step.trips = gathered[(key, which)]
        if key in ("handshake", "http", "tls", "close", "tcp"):
            connection = facts.connections[which]
            if times[key] > 1:
                step.heading += f" (connection {which + 1}, port {connection.port})"
            step.mapping = _tcp_mapping(facts, key, connection)
        elif key == "dns":
            step.mapping = _dns_mapping(facts, step)
        steps.append(step)
    return _with_missing(steps) if lesson else steps


def plain_steps(trips: list[Trip]) -> list[Step]:
    """All packets under one heading, where it is not known what belongs together."""
    step = _step("other", False)
    step.trips = [trip.number for trip in trips]
    return [step] if trips else []


def _step(key: str, lesson: bool) -> Step:
    number = LESSON.index(key) + 1 if lesson and key in LESSON else 0
    return Step(key, number, HEADINGS[key], LESSONS[key])


def _with_missing(steps: list[Step]) -> list[Step]:
    """All five steps of the lesson, each missing one at its place."""
    for number, key in enumerate(LESSON, 1):
        if any(step.key == key for step in steps):
            continue
        # What has no number stands last, but HTTP that was sealed comes after its TLS.
        later = [
            place
            for place, step in enumerate(steps)
            if step.number > number or (step.number == 0 and step.key != "tls")
        ]
        steps.insert(later[0] if later else len(steps), _step(key, True))
    return steps


def _labels(facts: Facts) -> dict[int, Label]:
    labels: dict[int, Label] = {}
    _label_tcp(facts, labels)
    _label_dns(facts, labels)
    firsts = first_parts(facts.trips)
    for trip in facts.trips:
        first = firsts.get(trip.number)
        if first in labels:
            labels[trip.number] = labels[first]
        if trip.number in labels or trip.kind.startswith("arp") or trip.kind.startswith("nd-"):
            continue
        if trip.kind.startswith("icmp-echo"):
            labels[trip.number] = ("ping", 0)
        elif trip.kind.startswith("icmp"):
            about = labels.get(trip.causes[0]) if trip.causes else None
            labels[trip.number] = about or ("icmp", 0)
        else:
            labels[trip.number] = ("udp" if trip.kind == "udp" else "other", 0)
    _label_neighbours(facts, labels)
    return labels


def _label_tcp(facts: Facts, labels: dict[int, Label]) -> None:
    for which, connection in enumerate(facts.connections):
        for number, phase in connection.phases.items():
            if connection.dns:
                continue  # DNS over TCP stands with DNS
            carries = "tls" if connection.tls else "http" if connection.http else "tcp"
            key = carries if phase == "exchange" else phase
            labels[number] = (key, which)


def _label_dns(facts: Facts, labels: dict[int, Label]) -> None:
    """DNS in sessions: a connection that opens in between starts a new one."""
    opens = sorted(one.trips[0] for one in facts.connections if not one.dns)
    session_of: dict[int, int] = {}
    for lookup in facts.lookups:
        if lookup.serves in session_of:
            session = session_of[lookup.serves]
        else:
            session = bisect_left(opens, lookup.question)
        for number in lookup.tries:
            session_of[number] = session
            labels[number] = ("dns", session)
        if lookup.answer:
            labels[lookup.answer] = ("dns", session)
    for connection in facts.connections:
        if connection.dns:
            known = [labels[number] for number in connection.trips if number in labels]
            for number in connection.trips:
                labels[number] = known[0] if known else ("dns", 0)
    for trip in facts.trips:
        if trip.kind in ("dns-question", "dns-answer") and trip.number not in labels:
            labels[trip.number] = ("dns", bisect_left(opens, trip.number))


def _label_neighbours(facts: Facts, labels: dict[int, Label]) -> None:
    """Rule 2: ARP with the packet that it holds up."""
    firsts = [
        trip.number for trip in facts.trips if labels.get(trip.number, ("other", 0))[0] != "other"
    ]
    first = min(firsts, default=0)
    for trip in facts.trips:
        if trip.number in labels:
            continue
        key = "arp" if trip.kind.startswith("arp") else "nd"
        request = next((number for number in trip.causes if number < trip.number), 0)
        if trip.kind in ("arp-reply", "nd-advertisement") and request in labels:
            labels[trip.number] = labels[request]
        elif trip.number > first > 0 and trip.causes and trip.causes[0] in labels:
            labels[trip.number] = labels[trip.causes[0]]
        elif trip.number > first > 0 and not (trip.group and trip.kind in ASKS_MAC):
            labels[trip.number] = ("other", 0)  # a check, an announcement: it holds nothing up
        else:
            labels[trip.number] = (key, int(trip.number > first > 0))


def _tcp_mapping(facts: Facts, key: str, connection: Connection) -> list[Mapping]:
    if key == "handshake":
        return _handshake_mapping(connection)
    if key == "close":
        return _close_mapping(facts, connection)
    if key == "http":
        return _http_mapping(connection)
    if key == "tls" and connection.tls is not None:
        return _tls_mapping(facts, connection, connection.tls)
    return []


def _handshake_mapping(connection: Connection) -> list[Mapping]:
    client, server = connection.client.node, connection.server.node
    rode = connection.phases.get(connection.ack) != "handshake"
    riding = ", riding on data" if rode else ""
    return [
        _mapping("SYN", f"{client} to {server}", *connection.syns),
        _mapping("SYN + ACK", f"{server} to {client}", connection.syn_ack),
        _mapping("ACK", f"{client} to {server}{riding}", connection.ack),
    ]


def _tls_mapping(facts: Facts, connection: Connection, tls: Secured) -> list[Mapping]:
    client, server = connection.client.node, connection.server.node
    name = f" by the name {tls.server_name}" if tls.server_name else ""
    out = [_mapping("ClientHello", f"{client} asks for {server}{name}", tls.client_hello)]
    if tls.server_hello:
        chosen = f"{server} chooses {tls.version} with {tls.cipher}"
        out.append(_mapping("ServerHello", chosen, tls.server_hello))
        sizes = f"{plural(tls.sealed[0], 'byte')} to {server}, {plural(tls.sealed[1], 'byte')} back"
        out.append(_mapping("sealed", sizes, *tls.sealed_trips))
    if tls.alert:
        who = facts.by_number[tls.alert].sender
        out.append(_mapping("alert", f"{who} ends it: {tls.alert_text}", tls.alert))
    return out


def _http_mapping(connection: Connection) -> list[Mapping]:
    out = []
    for one in connection.exchanges:
        out.append(_mapping("request", f"{one.method} {one.target}", one.request))
        answer = f"{one.status} {one.reason}".rstrip()
        size = plural(one.body_bytes, "byte")
        out.append(_mapping("response", f"{answer}, {size} of content", one.response))
    return out


def _close_mapping(facts: Facts, connection: Connection) -> list[Mapping]:
    if connection.first_fin is None:
        return [
            Mapping("RST", (number,), f"{facts.by_number[number].sender} ends it at once")
            for number in connection.resets
        ]
    first = connection.sides[connection.first_fin]
    second = connection.sides[1 - connection.first_fin]
    out = []
    for side, other in ((first, second), (second, first)):
        riding = ", riding on data" if side.fin_on_data else ""
        out.append(_mapping("FIN", f"{side.node} has no more to send{riding}", side.fin))
        same = side.fin_acked_by and side.fin_acked_by == other.fin
        joined = ", the same frame as its own FIN" if same else ""
        out.append(_mapping("ACK", f"{other.node} confirms{joined}", side.fin_acked_by))
    return out


def _dns_mapping(facts: Facts, step: Step) -> list[Mapping]:
    inside = set(step.trips)
    out = []
    for lookup in facts.lookups:
        if lookup.question not in inside:
            continue
        what = f"{lookup.kind} {clean(lookup.name, 60)}"
        result = lookup.result if lookup.answer else "no answer"
        ends = f"{lookup.asker} asks {lookup.server}"
        out.append(_mapping(ends, f"{what}: {result}", *lookup.tries, lookup.answer))
    return out


def _mapping(textbook: str, real: str, *trips: int) -> Mapping:
    """One line of the table; a frame that did not come has number 0."""
    came = tuple(number for number in trips if number)
    return Mapping(textbook, came, real if came else "did not come")
