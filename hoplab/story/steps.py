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
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone

from hoplab.decode import dhcp as wire_dhcp
from hoplab.decode.x509 import Certificate
from hoplab.follow.wiring import Wiring
from hoplab.sentences import listed, say, term
from hoplab.story.causes import first_parts
from hoplab.story.counts import byte_count
from hoplab.story.leases import Exchange
from hoplab.story.lookups import Lookup
from hoplab.story.neighbour_causes import ASKS_MAC
from hoplab.story.records import Mapping, Step
from hoplab.story.secured import Secured
from hoplab.story.tcp_connection import Connection
from hoplab.story.tcp_records import ConnectionFigures
from hoplab.story.trip_records import Trip
from hoplab.story.wire_text import clean

LESSON = ("arp", "dns", "handshake", "http", "close")

HEADINGS = {
    "arp": term("ARP: whose card has this IP address?"),
    "dns": term("DNS: from the name to the address"),
    "handshake": term("TCP: three-way handshake"),
    "http": term("HTTP: request and response"),
    "tls": term("TLS: agree on a key, then speak sealed"),
    "close": term("TCP: four-way close"),
    "tcp": term("TCP: data"),
    "ping": term("Ping: echo request and echo reply"),
    "dhcp": term("DHCP: an address for a while"),
    "udp": term("UDP: datagrams"),
    "tunnel": term("Tunnels: packets inside packets"),
    "routing": term("Routing: what routers tell each other"),
    "icmp": term("ICMP: reports about packets"),
    "nd": term("Neighbour discovery: the ARP of IPv6"),
    "other": term("Other frames"),
}
LESSONS = {
    "arp": term(
        "On a link, frames are addressed by MAC. Before a node sends to a neighbour for the "
        "first time it asks everybody on the link which MAC belongs to the neighbour's IP address; "
        "it keeps the answer in its ARP cache."
    ),
    "dns": term(
        "The client knows a name, but a packet needs an IP address. It asks its resolver over UDP; "
        "a resolver that does not know asks on its behalf, from the root of all names downwards."
    ),
    "handshake": term(
        "Client and server tell each other the number of their first byte and confirm it: "
        "SYN, SYN + ACK, ACK. From then on bytes flow both ways."
    ),
    "http": term(
        "The client asks for a page in plain text; the server answers with a status and the "
        "page. TCP numbers every byte, and the receiver confirms by ACK what has come."
    ),
    "tls": term(
        "Client and server say hello in plain text and agree on a key that no listener can work "
        "out; the server proves who it is by a certificate. What follows is sealed: who speaks "
        "with whom, when and how much can be seen, what is said cannot."
    ),
    "close": term(
        "Each direction is closed by itself: FIN says 'no more from me', ACK confirms it. So "
        "the textbook counts four frames: FIN, ACK, FIN, ACK."
    ),
    "tcp": term("TCP numbers every byte, and the receiver confirms by ACK what has come."),
    "ping": term(
        "An echo request asks a machine to send the same bytes back: if the reply comes, the "
        "way there and the way back both work."
    ),
    "dhcp": term(
        "A machine without an address asks everybody on its link for one (Discover). Servers "
        "offer one (Offer), the machine says whose it takes (Request), and that server confirms "
        "it (ACK): the address is lent, until the lease ends."
    ),
    "udp": term("UDP sends single datagrams: no handshake, no confirmation."),
    "tunnel": term(
        "A tunnel carries whole packets, or whole frames, inside packets of another network, which "
        "looks at the outer header alone. At the other end the inner packet goes on by itself."
    ),
    "routing": term(
        "Routers learn from each other which networks there are. By OSPF each says hello to its "
        "neighbours, tells all routers what it is joined to, and works out the shortest ways; by "
        "RIP each tells its neighbours how far it is to every network that it knows."
    ),
    "icmp": term("With ICMP the network reports what became of a packet; the report quotes it."),
    "nd": term(
        "Before a node sends to an IPv6 neighbour for the first time it asks a multicast group "
        "which MAC belongs to the address; it keeps the answer in its neighbour cache."
    ),
    "other": term("What the nodes also sent; it is no part of the steps above."),
}

# Where packets stand that belong to no connection, no lookup and no other packet.
_ROUTING = (
    "ospf-hello", "ospf-description", "ospf-request", "ospf-update", "ospf-ack", "rip-request",
    "rip-response",
)  # fmt: skip
STEPS_OF_KINDS = {"tunnel": "tunnel", "quic": "udp", "udp": "udp"}
STEPS_OF_KINDS |= dict.fromkeys(_ROUTING, "routing")


@dataclass(slots=True)
class Facts:
    """What earlier stages found out, in one place. explained: what hosts were set to says why it
    failed, so that nobody needs to guess. figures: of the connections, in their order. place: as in
    `Coverage`."""

    trips: list[Trip]
    connections: list[Connection]
    lookups: list[Lookup]
    by_number: dict[int, Trip]
    wiring: Wiring
    leases: list[Exchange] = field(default_factory=list)
    explained: bool = False
    figures: Sequence[ConnectionFigures] = ()
    place: str = ""


Label = tuple[str, int]  # step key, and its place among those of its kind


def make_steps(facts: Facts, lesson: bool) -> list[Step]:
    """All steps in order, with trips and mappings, without remarks. `lesson`: it is a fetch."""
    labels = _labels(facts)
    gathered: dict[Label, list[int]] = {}
    for trip in facts.trips:
        gathered.setdefault(labels[trip.number], []).append(trip.number)
    order = sorted(gathered, key=lambda label: (label[0] == "other", gathered[label][0]))
    steps = []
    times = Counter(key for key, _ in order)
    for key, place in order:
        step = _step(key, lesson)
        step.trips = gathered[(key, place)]
        if key in ("handshake", "http", "tls", "close", "tcp"):
            connection = facts.connections[place]
            if times[key] > 1:
                step.heading = say(
                    "{heading} (connection {number}, port {port})",
                    heading=step.heading, number=place + 1, port=connection.port,
                )  # fmt: skip
            step.mapping = _tcp_mapping(facts, key, connection)
        elif key == "dns":
            step.mapping = _dns_mapping(facts, step)
        elif key == "dhcp":
            step.mapping = _dhcp_mapping(facts)
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
        elif trip.kind.startswith("dhcp-"):
            labels[trip.number] = ("dhcp", 0)
        elif trip.kind.startswith("icmp"):
            about = labels.get(trip.causes[0]) if trip.causes else None
            labels[trip.number] = about or ("icmp", 0)
        else:
            labels[trip.number] = (STEPS_OF_KINDS.get(trip.kind, "other"), 0)
    _label_neighbours(facts, labels)
    return labels


def _label_tcp(facts: Facts, labels: dict[int, Label]) -> None:
    for place, connection in enumerate(facts.connections):
        for number, phase in connection.phases.items():
            if connection.dns:
                continue  # DNS over TCP stands with DNS
            carries = "tls" if connection.tls else "http" if connection.http else "tcp"
            key = carries if phase == "exchange" else phase
            labels[number] = (key, place)


def _label_dns(facts: Facts, labels: dict[int, Label]) -> None:
    """DNS in sessions: a connection that opens in between starts a new one."""
    opens = sorted(connection.trips[0] for connection in facts.connections if not connection.dns)
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
            its_own = [labels[number] for number in connection.trips if number in labels]
            for number in connection.trips:
                labels[number] = its_own[0] if its_own else ("dns", 0)
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
    there = say("{sender} to {receiver}", sender=client, receiver=server)
    back = say("{sender} to {receiver}", sender=server, receiver=client)
    ack = there
    if connection.phases.get(connection.ack) != "handshake":
        ack = say("{sender} to {receiver}, riding on data", sender=client, receiver=server)
    return [
        _mapping(term("SYN"), there, *connection.syns),
        _mapping(term("SYN + ACK"), back, connection.syn_ack),
        _mapping(term("ACK"), ack, connection.ack),
    ]


def _tls_mapping(facts: Facts, connection: Connection, tls: Secured) -> list[Mapping]:
    client, server = connection.client.node, connection.server.node
    hello = say("{client} asks for {server}", client=client, server=server)
    if tls.server_name:
        hello = say(
            "{client} asks for {server} by the name {name}",
            client=client, server=server, name=tls.server_name,
        )  # fmt: skip
    lines = [_mapping(term("ClientHello"), hello, tls.client_hello)]
    if tls.server_hello:
        chosen = say(
            "{server} chooses {version} with {cipher}",
            server=server, version=tls.version, cipher=tls.cipher,
        )  # fmt: skip
        lines.append(_mapping(term("ServerHello"), chosen, tls.server_hello))
        if tls.certificate is not None:
            shown = certificate_text(server, tls.certificate)
            lines.append(_mapping(term("Certificate"), shown, tls.certificate_trip))
        sent, received = tls.sealed
        sizes = say(
            "{sent} to {server}, {received} back",
            sent=byte_count(sent), server=server, received=byte_count(received),
        )  # fmt: skip
        lines.append(_mapping(term("sealed"), sizes, *tls.sealed_trips))
    if tls.alert:
        node = facts.by_number[tls.alert].sender
        end = say("{node} ends it: {alert}", node=node, alert=tls.alert_text)
        lines.append(_mapping(term("alert"), end, tls.alert))
    return lines


def certificate_text(server: str, certificate: Certificate) -> str:
    """For whom a server's certificate is, who signed it, and until when it holds."""
    names = listed(clean(name, 60) for name in certificate.names[:3]) or "?"
    values = {"server": server, "names": names, "date": day(certificate.not_after)}
    if certificate.self_signed:
        return say(
            "{server} shows a certificate for {names}, signed by itself, until {date}", **values
        )
    return say(
        "{server} shows a certificate for {names}, signed by {issuer}, until {date}",
        issuer=clean(certificate.issuer, 60) or "?", **values,
    )  # fmt: skip


def day(seconds: int | None) -> str:
    """A day by the calendar, UTC."""
    if seconds is None:
        return "?"
    return datetime.fromtimestamp(seconds, timezone.utc).date().isoformat()


def _http_mapping(connection: Connection) -> list[Mapping]:
    lines = []
    for exchange in connection.exchanges:
        request = say("{method} {target}", method=exchange.method, target=exchange.target)
        answer = f"{exchange.status} {exchange.reason}".rstrip()  # as the status line has it
        size = byte_count(exchange.body_bytes)
        response = say("{answer}, {size} of content", answer=answer, size=size)
        lines.append(_mapping(term("request"), request, exchange.request))
        lines.append(_mapping(term("response"), response, exchange.response))
    return lines


def _close_mapping(facts: Facts, connection: Connection) -> list[Mapping]:
    if connection.first_fin is None:
        senders = {number: facts.by_number[number].sender for number in connection.resets}
        return [
            Mapping(term("RST"), (number,), say("{node} ends it at once", node=sender))
            for number, sender in senders.items()
        ]
    first = connection.sides[connection.first_fin]
    second = connection.sides[1 - connection.first_fin]
    lines = []
    for side, peer in ((first, second), (second, first)):
        fin = say("{node} has no more to send", node=side.node)
        if side.fin_on_data:
            fin = say("{node} has no more to send, riding on data", node=side.node)
        lines.append(_mapping(term("FIN"), fin, side.fin))
        ack = say("{node} confirms", node=peer.node)
        if side.fin_acked_by and side.fin_acked_by == peer.fin:
            ack = say("{node} confirms, the same frame as its own FIN", node=peer.node)
        lines.append(_mapping(term("ACK"), ack, side.fin_acked_by))
    return lines


def _dns_mapping(facts: Facts, step: Step) -> list[Mapping]:
    inside = set(step.trips)
    lines = []
    for lookup in facts.lookups:
        if lookup.question not in inside:
            continue
        ends = say("{asker} asks {server}", asker=lookup.asker, server=lookup.server)
        result = say(
            "{record} {name}: {result}",
            record=lookup.kind, name=clean(lookup.name, 60),
            result=lookup.result if lookup.answer else term("no answer"),
        )  # fmt: skip
        lines.append(_mapping(ends, result, *lookup.tries, lookup.answer))
    return lines


_DHCP_WORDS = (
    (wire_dhcp.DISCOVER, term("Discover")),
    (wire_dhcp.OFFER, term("Offer")),
    (wire_dhcp.REQUEST, term("Request")),
    (wire_dhcp.ACK, term("ACK")),
)


def _dhcp_mapping(facts: Facts) -> list[Mapping]:
    """The four messages of the textbook, for each exchange that began from nothing."""
    lines = []
    for exchange in facts.leases:
        if not exchange.all(wire_dhcp.DISCOVER):
            continue
        client = exchange.client or exchange.mac
        for kind, word in _DHCP_WORDS:
            messages = exchange.all(kind)
            ips = {dhcp.yiaddr or dhcp.requested for _, dhcp in messages} - {""}
            senders = listed(dict.fromkeys(trip.sender for trip, _ in messages))
            if kind == wire_dhcp.DISCOVER:
                real = say("{client} asks everybody", client=client)
            elif kind == wire_dhcp.OFFER:
                real = say("{servers} offers {ips}", servers=senders, ips=listed(sorted(ips)))
            elif kind == wire_dhcp.REQUEST:
                real = say("{client} takes {ips}", client=client, ips=listed(sorted(ips)))
            else:
                real = say("{servers} confirms {ips}", servers=senders, ips=listed(sorted(ips)))
            lines.append(_mapping(word, real, *(trip.number for trip, _ in messages)))
    return lines


def _mapping(textbook: str, real: str, *trips: int) -> Mapping:
    """One line of the table; a frame that did not come has number 0."""
    arrived = tuple(number for number in trips if number)
    return Mapping(textbook, arrived, real if arrived else term("did not come"))
