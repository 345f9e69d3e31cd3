# SPDX-License-Identifier: Apache-2.0
"""Honest remarks: where the real frames are not the textbook's, and why a step is empty.

What lives here: one function per step that looks at facts and says sentences, each with a stable
code. What must not: anything that frames do not show; where frames cannot tell, the sentence says
so.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from hoplab.sentences import Sentence, listed, number_of, say, term, together
from hoplab.story.causes import ASKS_MAC, Lookup
from hoplab.story.http_messages import Exchange
from hoplab.story.records import Remark, Request, Step, Trip
from hoplab.story.silence import loop_of_switches
from hoplab.story.steps import Facts
from hoplab.story.tcp import Connection, Side
from hoplab.story.titles import byte_count, clean, count_kind, times

_SHORT = {
    "arp": term("ARP"),
    "dns": term("DNS"),
    "handshake": term("the handshake"),
    "http": term("HTTP"),
    "tls": term("TLS"),
    "close": term("the close"),
    "tcp": term("TCP"),
    "ping": term("ping"),
    "udp": term("UDP"),
    "icmp": term("ICMP"),
}
_OTHERS = term("others")


def add_remarks(facts: Facts, steps: list[Step], request: Request | None) -> None:
    """Fills in `Step.remarks`."""
    place_of = {
        number: place
        for place, connection in enumerate(facts.connections)
        for number in connection.trips
    }
    again = _repetitions(facts)
    for step in steps:
        if step.key in ("arp", "nd"):
            step.remarks = _asked_again(facts, step) + _arp(facts, steps, step)
        elif step.key == "dns":
            step.remarks = _dns(facts, step, request)
        else:
            places = [place_of[number] for number in step.trips if number in place_of]
            connection = facts.connections[min(places)] if places else None
            step.remarks = _of_connection(facts, step, connection)
        if step.trips:
            step.remarks += _again(facts, step, again)
    _storms(facts, steps)
    _open_ends(facts, steps)


def _of_connection(facts: Facts, step: Step, connection: Connection | None) -> list[Remark]:
    """What is to be said of a step of TCP or above it, or of one that there was no connection
    for."""
    if connection is None:
        return _without_connection(facts, step)
    if step.key == "handshake":
        return _handshake(facts, connection)
    if step.key in ("http", "tcp", "tls"):
        return _exchange(facts, step, connection)
    return _close(connection) if step.key == "close" else []


def _without_connection(facts: Facts, step: Step) -> list[Remark]:
    sealed = [
        connection
        for connection in facts.connections
        if connection.tls and all(connection.tls.sealed)
    ]
    if step.key == "http" and sealed:
        return [Remark("http-sealed", _sealed(sealed[0]))]
    if step.number:
        return [Remark(f"{step.key}-none", term("No frame: it did not come to this."))]
    return []


def _arp(facts: Facts, steps: list[Step], step: Step) -> list[Remark]:
    requests = [
        trip for trip in facts.trips if trip.kind in ASKS_MAC and trip.group and not trip.stray
    ]
    if not requests:
        return [_no_arp(facts)]
    start, inside = step.trips[0] if step.trips else 0, set(step.trips)
    later = [trip for trip in requests if trip.number > start and trip.number not in inside]
    firsts: dict[tuple[str, str], int] = {}
    for trip in requests:
        firsts.setdefault((trip.sender, trip.dst), trip.number)
    new = set(firsts.values())
    first = [trip.number for trip in later if trip.number in new]
    again = [trip.number for trip in later if trip.number not in new]
    remarks = []
    if first:
        followed = say(
            "{requests} followed, where a node first needed a neighbour: {places}.",
            requests=_requests(step, len(first), more=bool(step.trips)),
            places=_places(steps, step, first),
        )
        text: str = followed
        if not step.trips:
            none = term("None before the first packet: its sender had the MAC in cache.")
            text = together(none, followed)
        remarks.append(Remark("arp-later", text))
    if again:
        text = say(
            "{requests} asked once more for what was asked before: {places}.",
            requests=_requests(step, len(again), more=False),
            places=_places(steps, step, again),
        )
        remarks.append(Remark("arp-later-again", text))
    return remarks


def _requests(step: Step, count: int, *, more: bool) -> Sentence:
    """'3 ARP requests', and by IPv6 '3 neighbour requests'. more: there were some before."""
    if step.key == "arp" and more:
        return number_of("{n:,} more ARP request", "{n:,} more ARP requests", count)
    if step.key == "arp":
        return count_kind("arp-request", count)
    if more:
        return number_of("{n:,} more neighbour request", "{n:,} more neighbour requests", count)
    return number_of("{n:,} neighbour request", "{n:,} neighbour requests", count)


def _no_arp(facts: Facts) -> Remark:
    if not facts.trips:
        return Remark("arp-none", term("No frame at all, so no ARP either."))
    checks = [trip.number for trip in facts.trips if trip.kind in ASKS_MAC and not trip.group]
    if not checks:
        text = term(
            "No ARP request in the whole capture: every node that sent already had the MAC of its "
            "next hop in its ARP cache."
        )
        return Remark("arp-none", text)
    text = number_of(
        "No ARP request to all: every node that sent already had the MAC of its next hop in its "
        "ARP cache. {n:,} check {packets} asked a neighbour itself whether it is still there.",
        "No ARP request to all: every node that sent already had the MAC of its next hop in its "
        "ARP cache. {n:,} checks {packets} asked a neighbour itself whether it is still there.",
        len(checks),
        packets=numbers(checks),
    )
    return Remark("arp-checks", text)


def _places(steps: list[Step], step: Step, wanted: list[int]) -> str:
    """In which other steps they are: 'DNS (#4, #6); the handshake (#22)'."""
    among = set(wanted)
    places: Sentence | None = None
    for elsewhere in steps:
        inside = [number for number in elsewhere.trips if number in among]
        if elsewhere is step or not inside:
            continue
        heading = _SHORT.get(elsewhere.key, _OTHERS)
        place = say("{step} {packets}", step=heading, packets=numbers(inside))
        places = place if places is None else say("{first}; {rest}", first=places, rest=place)
    return places or ""


def _asked_again(facts: Facts, step: Step) -> list[Remark]:
    """Requests that were repeated until one of them was answered."""
    tries: dict[tuple[str, str, int], list[int]] = {}
    for number in step.trips:
        trip = facts.by_number[number]
        if trip.kind in ASKS_MAC and trip.group and trip.answered_by:
            tries.setdefault((trip.sender, trip.dst, trip.answered_by), []).append(number)
    remarks = []
    for (asker, ip, _), requests in tries.items():
        if len(requests) > 1:
            text = say(
                "{asker} asked {times} for {ip} {packets} before an answer came.",
                asker=asker, times=times(len(requests)), ip=ip, packets=numbers(requests),
            )  # fmt: skip
            remarks.append(Remark("arp-again", text))
    return remarks


def _dns(facts: Facts, step: Step, request: Request | None) -> list[Remark]:
    if not step.trips:
        return [_no_dns(facts, request)]
    inside = set(step.trips)
    lookups = [lookup for lookup in facts.lookups if lookup.question in inside]
    remarks = _who_knew(facts, lookups)
    remarks += _ipv6_too(lookups)
    remarks += _unanswered(lookups)
    if any(lookup.truncated for lookup in lookups):
        text = term(
            "DNS went over TCP too: an answer that does not fit a datagram is fetched that way."
        )
        remarks.append(Remark("dns-tcp", text))
    elif any(lookup.tcp for lookup in lookups):
        text = term(
            "DNS went over TCP from the start: so it was asked, and no answer over UDP was too "
            "long."
        )
        remarks.append(Remark("dns-tcp", text))
    return list(dict.fromkeys(remarks))


def _who_knew(facts: Facts, lookups: list[Lookup]) -> list[Remark]:
    """Which servers asked others, and which answered by themselves."""
    remarks = []
    helped: dict[int, list[Lookup]] = {}  # question -> what was asked because of it
    for lookup in facts.lookups:
        helped.setdefault(lookup.serves, []).append(lookup)
    alone: dict[str, list[int]] = {}  # server -> questions that it answered by itself
    for lookup in lookups:
        if lookup.serves or not lookup.answer:
            continue
        if lookup.question in helped:
            text = _recursion(lookup, helped[lookup.question])
            remarks.append(Remark("dns-recursion", text))
        elif lookup.rcode == 0 and not lookup.referral and not lookup.truncated:
            alone.setdefault(lookup.server, []).append(lookup.question)
    for server, questions in alone.items():
        text = say(
            "{server} answered {packets} without asking anybody: from its cache or from data of "
            "its own.",
            server=server, packets=numbers(questions),
        )  # fmt: skip
        remarks.append(Remark("dns-cached", text))
    return remarks


def _recursion(lookup: Lookup, asked: list[Lookup]) -> Sentence:
    """What a resolver did to answer: it asked others, one after the other."""
    first, *more = dict.fromkeys(part.server for part in asked)
    chain: str = first
    for server in more:
        chain = say("{servers}, then {server}", servers=chain, server=server)
    resolver, record, name = lookup.server, lookup.kind, clean(lookup.name, 60)
    if not asked[-1].answer:
        return say(
            "{resolver} did not know {record} {name}; it asked {servers}, but {silent} did not "
            "answer it: what it then said is its own.",
            resolver=resolver, record=record, name=name, servers=chain, silent=asked[-1].server,
        )  # fmt: skip
    if more:
        return say(
            "{resolver} did not know {record} {name}; it asked {servers}, and passed the result "
            "on.",
            resolver=resolver, record=record, name=name, servers=chain,
        )  # fmt: skip
    return say(
        "{resolver} did not know {record} {name}; it asked {server}, and passed the result on.",
        resolver=resolver, record=record, name=name, server=first,
    )  # fmt: skip


def _ipv6_too(lookups: list[Lookup]) -> list[Remark]:
    """A client that asks for an address by IPv4 often asks for one by IPv6 as well."""
    of_client = [lookup for lookup in lookups if not lookup.serves]
    if not {"A", "AAAA"} <= {lookup.kind for lookup in of_client}:
        return []
    lookup = next(lookup for lookup in of_client if lookup.kind == "AAAA")
    text = say(
        "{asker} also asked for AAAA, the IPv6 address (#{packet}): {result}.",
        asker=lookup.asker, packet=lookup.question, result=lookup.result or term("no answer"),
    )  # fmt: skip
    return [Remark("dns-aaaa", text)]


def _unanswered(lookups: list[Lookup]) -> list[Remark]:
    tries: dict[tuple[str, str, str, str], int] = {}
    for lookup in lookups:
        if not lookup.answer:
            question = (lookup.asker, lookup.server, lookup.kind, clean(lookup.name, 60))
            tries[question] = tries.get(question, 0) + len(lookup.tries)
    remarks = []
    for (asker, server, record, name), count in tries.items():
        text = say(
            "{asker} asked {server} {times} for {record} {name} and got no answer.",
            asker=asker, server=server, times=times(count), record=record, name=name,
        )  # fmt: skip
        remarks.append(Remark("dns-silent", text))
    return remarks


def _no_dns(facts: Facts, request: Request | None) -> Remark:
    host = (urlsplit(request.url).hostname if request else "") or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        if any(connection.syn for connection in facts.connections):
            text = say(
                "No DNS frame: the client knew the address of {name} without asking (its "
                "/etc/hosts, a cache). Frames cannot show which.",
                name=clean(host, 60),
            )
            return Remark("dns-none", text)
        return Remark("dns-none", term("No frame: not one DNS question left the client."))
    text = say("The URL holds the address {ip} itself: nothing to resolve.", ip=host)
    return Remark("dns-address", text)


def _handshake(facts: Facts, connection: Connection) -> list[Remark]:
    if not connection.syn and connection.syn_ack:
        text = term("The capture began within the handshake: its SYN is missing.")
        return [Remark("syn-before", text)]
    if not connection.syn:
        text = term("It was open before the capture began: no SYN to be seen.")
        return [Remark("syn-before", text)]
    remarks = []
    if len(connection.syns) > 1:
        text = say(
            "The SYN was sent {n} times {packets}.",
            n=len(connection.syns), packets=numbers(connection.syns),
        )  # fmt: skip
        remarks.append(Remark("syn-again", text))
    if connection.refused_by:
        remarks.append(_refused(facts, connection))
    elif not connection.syn_ack:
        remarks.append(_no_syn_ack(connection))
    else:
        remarks += _third_frame(facts, connection)
    return remarks


def _refused(facts: Facts, connection: Connection) -> Remark:
    server, sender = connection.server.node, facts.by_number[connection.refused_by].sender
    if sender == server:
        text = say(
            "Instead of SYN + ACK {server} sent RST: nobody listens on port {port}.",
            server=server, port=connection.port,
        )  # fmt: skip
    else:
        text = say(
            "Instead of SYN + ACK from {server} came RST, which {node} sent in its name.",
            server=server, node=sender,
        )  # fmt: skip
    return Remark("syn-refused", text)


def _no_syn_ack(connection: Connection) -> Remark:
    if connection.server.base is not None:
        return Remark("syn-ack-missing", term("The SYN + ACK is not in the capture."))
    text = say("No SYN + ACK ever came from {server}.", server=connection.server.node)
    return Remark("syn-silent", text)


def _third_frame(facts: Facts, connection: Connection) -> list[Remark]:
    """What became of the ACK that ends the handshake, where it is not as in the textbook."""
    if not connection.ack and facts.by_number[connection.syn_ack].ended:
        text = say(
            "The SYN + ACK of {server} (#{packet}) never came back, so no ACK went.",
            server=connection.server.node, packet=connection.syn_ack,
        )  # fmt: skip
        return [Remark("syn-ack-lost", text)]
    if not connection.ack:
        text = term("The third frame, the ACK, is not in the capture.")
        return [Remark("ack-missing", text)]
    if connection.phases.get(connection.ack) != "handshake":
        text = say(
            "The ACK had no frame of its own: it rode on the first data (#{packet}).",
            packet=connection.ack,
        )
        return [Remark("ack-on-data", text)]
    return []


def _exchange(facts: Facts, step: Step, connection: Connection) -> list[Remark]:
    remarks = _frames_of_http(facts, connection) if step.key == "http" else []
    remarks += _no_response(connection)
    if step.key == "http":
        remarks += _manners(connection)
    pure = [number for number in step.trips if facts.by_number[number].kind == "tcp-ack"]
    if pure:
        text = number_of(
            "{n:,} frame {packets} carries nothing but an ACK; textbook pictures often leave them "
            "out.",
            "{n:,} frames {packets} carry nothing but an ACK; textbook pictures often leave them "
            "out.",
            len(pure),
            packets=numbers(pure),
        )
        remarks.append(Remark("pure-acks", text))
    return remarks


def _frames_of_http(facts: Facts, connection: Connection) -> list[Remark]:
    """Several requests in one connection, or one response in several frames."""
    if len(connection.exchanges) > 1:
        count = len(connection.exchanges)
        text = say("{n} requests shared one connection (keep-alive).", n=count)
        return [Remark("http-keep-alive", text)]
    parts = connection.server.data_trips
    if not connection.exchanges or len(parts) < 2:
        return []
    largest = max((facts.by_number[number] for number in parts), key=_size)
    if not _full(largest, connection):
        return []  # the server itself wrote it in parts
    text = say(
        "The response took {n} frames {packets}: one frame carries at most {size} of it here.",
        n=len(parts), packets=numbers(parts), size=byte_count(_size(largest)),
    )  # fmt: skip
    return [Remark("http-segments", text)]


def _no_response(connection: Connection) -> list[Remark]:
    """The first request that was not answered by HTTP."""
    silent = [exchange for exchange in connection.exchanges if exchange.status is None]
    if not silent:
        return []
    values = {
        "server": connection.server.node,
        "method": silent[0].method,
        "target": silent[0].target,
        "packet": silent[0].request,
    }
    if connection.server.arrived_bytes and not connection.exchanges[0].status:
        text = say(
            "What {server} sent is no HTTP response to {method} {target} (#{packet}).", **values
        )
        return [Remark("http-foreign", text)]
    text = say("{server} sent no response to {method} {target} (#{packet}).", **values)
    return [Remark("http-silent", text)]


_SLOW_NS = 100_000_000  # from when the server had the request to the first byte of its answer


def _manners(connection: Connection) -> list[Remark]:
    """How this server's way of answering differs from what most do today."""
    server = connection.server.node
    answered = [exchange for exchange in connection.exchanges if exchange.status is not None]
    remarks = []
    if any(exchange.version == "HTTP/1.0" for exchange in answered):
        text = say("{server} answered by HTTP/1.0.", server=server)
        if all(exchange.content_length is None for exchange in answered):
            text = say(
                "{server} answered by HTTP/1.0 and without a length: the end of the connection is "
                "the end of the page.",
                server=server,
            )
        remarks.append(Remark("http-1.0", text))
    elif any(exchange.closes for exchange in answered):
        text = say(
            "{server} said 'Connection: close': another request needs another handshake.",
            server=server,
        )
        remarks.append(Remark("http-close", text))
    slow = next((exchange for exchange in answered if _wait_ns(exchange) > _SLOW_NS), None)
    if slow is not None:
        text = say(
            "{server} took {ms:,.1f} ms before the first byte of its answer "
            "(#{request}, #{response}).",
            server=server, ms=_wait_ns(slow) / 1e6, request=slow.request, response=slow.response,
        )  # fmt: skip
        remarks.append(Remark("http-slow", text))
    return remarks


def _wait_ns(exchange: Exchange) -> int:
    """From when the server had the request until its answer began to leave, 0 if not known."""
    return exchange.answered_ns - exchange.heard_ns if exchange.heard_ns else 0


def _sealed(connection: Connection) -> Sentence:
    return say(
        "It is inside the sealed records: which page was asked for, the status, the page itself "
        "and the headers cannot be seen here. Only {client} and {server} have the key.",
        client=connection.client.node, server=connection.server.node,
    )  # fmt: skip


def _size(trip: Trip) -> int:
    return trip.packet.tcp.payload_length if trip.packet.tcp is not None else 0


def _full(trip: Trip, connection: Connection) -> bool:
    """No more data would have fitted into the segment."""
    tcp = trip.packet.tcp
    size = tcp.payload_length + tcp.options_length if tcp is not None else 0
    return 0 < connection.mss <= size


def _close(connection: Connection) -> list[Remark]:
    reset = connection.resets[0] if connection.resets else 0
    if connection.first_fin is None:
        text = say("No FIN: the connection was broken off by RST (#{packet}).", packet=reset)
        return [Remark("close-reset", text)] if reset else []
    first = connection.sides[connection.first_fin]
    second = connection.sides[1 - connection.first_fin]
    remarks = []
    if first.fin_on_data:
        text = say(
            "The first FIN had no frame of its own: it rode on the last data of {node} "
            "(#{packet}).",
            node=first.node, packet=first.fin,
        )  # fmt: skip
        remarks.append(Remark("fin-on-data", text))
    if not second.fin and reset:
        text = say(
            "Only {node} sent FIN; then RST (#{packet}) ended it.", node=first.node, packet=reset
        )
        return [*remarks, Remark("close-reset", text)]
    if not second.fin:
        text = say(
            "Only {node} closed its direction; {peer} never did.",
            node=first.node, peer=second.node,
        )  # fmt: skip
        return [*remarks, Remark("close-half", text)]
    remarks.append(_count(first, second))
    if reset:
        text = say("After the FINs came an RST (#{packet}).", packet=reset)
        remarks.append(Remark("close-reset-after", text))
    return remarks


def _count(first: Side, second: Side) -> Remark:
    """How many frames the four steps of the close took."""
    frames = {first.fin, first.fin_acked_by, second.fin, second.fin_acked_by} - {0}
    packets = numbers(sorted(frames))
    if not (first.fin_acked_by and second.fin_acked_by):
        text = term("Both sent FIN, but an ACK is not in the capture.")
        return Remark("close-unfinished", text)
    if first.fin_acked_by == second.fin and len(frames) == 3:
        text = say(
            "Three frames {packets} instead of four: {node} put its ACK and its own FIN into one "
            "(#{packet}).",
            packets=packets, node=second.node, packet=second.fin,
        )  # fmt: skip
        return Remark("close-merged", text)
    if second.fin < first.fin_acked_by:
        text = term("Both sides sent FIN before they saw the other's.")
        return Remark("close-crossed", text)
    text = say("Four frames {packets}, as in the textbook.", packets=packets)
    if first.fin_on_data and second.fin_on_data:
        text = say(
            "Four frames {packets}, the first and the third of them shared with data.",
            packets=packets,
        )
    elif first.fin_on_data:
        text = say("Four frames {packets}, the first of them shared with data.", packets=packets)
    elif second.fin_on_data:
        text = say("Four frames {packets}, the third of them shared with data.", packets=packets)
    return Remark("close-four", text)


def _repetitions(facts: Facts) -> dict[int, list[int]]:
    """TCP segments sent twice and their first sendings, apart from SYNs, which have a remark of
    their own."""
    return {
        number: firsts
        for connection in facts.connections
        for number, firsts in connection.again.items()
        if facts.by_number[number].kind != "tcp-syn"
    }


def _again(facts: Facts, step: Step, again: dict[int, list[int]]) -> list[Remark]:
    """The repetitions of a step."""
    inside = [number for number in step.trips if number in again]
    if not inside:
        return []
    firsts = sorted({first for number in inside for first in again[number]})
    lost = [number for number in firsts if facts.by_number[number].lost]
    text: str = number_of(
        "{n:,} retransmission {packets}: the same bytes again.",
        "{n:,} retransmissions {packets}: the same bytes again.",
        len(inside),
        packets=numbers(inside),
    )
    if lost:
        first = say("The first sending was lost {packets}.", packets=numbers(lost))
        text = together(text, first)
    return [Remark("retransmission", text)]


def _storms(facts: Facts, steps: list[Step]) -> None:
    """Frames that went in circles: nothing in an Ethernet header ends that. Told once, where the
    first of them stands."""
    storms = [trip.number for trip in facts.trips if trip.storm is not None and trip.storm.back]
    if not storms:
        return
    text = say(
        "Switches stand in a loop, and each sends on what comes round {packets}: an Ethernet frame "
        "has no TTL that would end it. The controller spanning_tree rests a cable until the loop "
        "is open; so does a switch with STP.",
        packets=numbers(storms),
    )
    if not loop_of_switches(facts.wiring):
        text = say(
            "Switches send a frame back out of the port by which it came {packets}: two that do "
            "pass it to and fro, and an Ethernet frame has no TTL that would end it.",
            packets=numbers(storms),
        )
    step = next(step for step in steps if storms[0] in step.trips)
    step.remarks.append(Remark("storm", text))


def _open_ends(facts: Facts, steps: list[Step]) -> None:
    """A connection that was never closed says so where the close would stand."""
    connections = facts.connections
    if any(connection.first_fin is not None or connection.resets for connection in connections):
        return
    for step in steps:
        if step.key == "close" and not step.trips and any(each.ack for each in connections):
            text = term("Nobody closed it while the capture ran: no FIN, no RST.")
            step.remarks = [Remark("close-open", text)]


def numbers(trips: list[int]) -> Sentence:
    """'(#3)', '(#3, #5)', '(#3 to #9)', '(#3, #5 … #80)'."""
    if len(trips) > 2 and trips[-1] - trips[0] == len(trips) - 1:
        return say("(#{first} to #{last})", first=trips[0], last=trips[-1])
    if len(trips) > 5:
        return say(
            "(#{first}, #{second} … #{last})", first=trips[0], second=trips[1], last=trips[-1]
        )
    return say("({packets})", packets=listed(f"#{number}" for number in trips))
