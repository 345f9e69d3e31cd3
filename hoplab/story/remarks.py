# SPDX-License-Identifier: Apache-2.0
"""Honest remarks: where the real frames are not the textbook's, and why a step is empty.

What lives here: one function per step that looks at facts and says sentences, each with a stable
code. What must not: anything that frames do not show; where frames cannot tell, the sentence says
so.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from hoplab.story.causes import ASKS_MAC, Lookup
from hoplab.story.records import Remark, Request, Step, Trip
from hoplab.story.silence import loop_of_switches
from hoplab.story.steps import Facts
from hoplab.story.tcp import Connection, Side
from hoplab.story.titles import clean, plural

_SHORT = {
    "arp": "ARP",
    "dns": "DNS",
    "handshake": "the handshake",
    "http": "HTTP",
    "tls": "TLS",
    "close": "the close",
    "tcp": "TCP",
    "ping": "ping",
    "udp": "UDP",
    "icmp": "ICMP",
}


def add_remarks(facts: Facts, steps: list[Step], request: Request | None) -> None:
    """Fills in `Step.remarks`."""
    place_of = {
        number: place for place, one in enumerate(facts.connections) for number in one.trips
    }
    again = _repetitions(facts)
    for step in steps:
        place = min((place_of[number] for number in step.trips if number in place_of), default=None)
        connection = None if place is None else facts.connections[place]
        if step.key in ("arp", "nd"):
            step.remarks = _asked_again(facts, step) + _arp(facts, steps, step)
        elif step.key == "dns":
            step.remarks = _dns(facts, step, request)
        elif connection is None:
            sealed = [one for one in facts.connections if one.tls and all(one.tls.sealed)]
            if step.key == "http" and sealed:
                step.remarks = [Remark("http-sealed", _sealed(sealed[0]))]
            elif step.number:
                step.remarks = [Remark(f"{step.key}-none", "No frame: it did not come to this.")]
        elif step.key == "handshake":
            step.remarks = _handshake(facts, connection)
        elif step.key in ("http", "tcp", "tls"):
            step.remarks = _exchange(facts, step, connection)
        elif step.key == "close":
            step.remarks = _close(connection)
        if step.trips:
            step.remarks += _again(facts, step, again)
    _storms(facts, steps)
    _open_ends(facts, steps)


def _arp(facts: Facts, steps: list[Step], step: Step) -> list[Remark]:
    asked = [
        trip for trip in facts.trips if trip.kind in ASKS_MAC and trip.group and not trip.stray
    ]
    start, inside = step.trips[0] if step.trips else 0, set(step.trips)
    later = [trip for trip in asked if trip.number > start and trip.number not in inside]
    name = "ARP" if step.key == "arp" else "neighbour"
    if not asked:
        return [_no_arp(facts)]
    seen: dict[tuple[str, str], int] = {}
    for trip in asked:
        seen.setdefault((trip.sender, trip.dst), trip.number)
    new = set(seen.values())
    first = [trip.number for trip in later if trip.number in new]
    again = [trip.number for trip in later if trip.number not in new]
    none = "" if step.trips else "None before the first packet: its sender had the MAC in cache. "
    out = []
    if first:
        few = plural(len(first), f"{'more ' if step.trips else ''}{name} request")
        where = _places(steps, step, first)
        text = f"{none}{few} followed, where a node first needed a neighbour: {where}."
        out.append(Remark("arp-later", text))
    if again:
        few = plural(len(again), f"{name} request")
        text = f"{few} asked once more for what was asked before: {_places(steps, step, again)}."
        out.append(Remark("arp-later-again", text))
    return out


def _no_arp(facts: Facts) -> Remark:
    if not facts.trips:
        return Remark("arp-none", "No frame at all, so no ARP either.")
    checks = [trip.number for trip in facts.trips if trip.kind in ASKS_MAC and not trip.group]
    had = "every node that sent already had the MAC of its next hop in its ARP cache."
    if not checks:
        return Remark("arp-none", f"No ARP request in the whole capture: {had}")
    few = plural(len(checks), "check")
    text = f"No ARP request to all: {had} {few} {numbers(checks)} asked a neighbour itself whether "
    return Remark("arp-checks", text + "it is still there.")


def _places(steps: list[Step], step: Step, wanted: list[int]) -> str:
    """In which other steps they are: 'DNS (#4, #6); the handshake (#22)'."""
    among = set(wanted)
    return "; ".join(
        f"{_SHORT.get(other.key, 'others')} {numbers(found)}"
        for other in steps
        if other is not step and (found := [one for one in other.trips if one in among])
    )


def _asked_again(facts: Facts, step: Step) -> list[Remark]:
    """Requests that were repeated until one of them was answered."""
    tries: dict[tuple[str, str, int], list[int]] = {}
    for number in step.trips:
        trip = facts.by_number[number]
        if trip.kind in ASKS_MAC and trip.group and trip.answered_by:
            tries.setdefault((trip.sender, trip.dst, trip.answered_by), []).append(number)
    out = []
    for (asker, address, _), asked in tries.items():
        if len(asked) > 1:
            times = plural(len(asked), "time")
            text = f"{asker} asked {times} for {address} {numbers(asked)} before an answer came."
            out.append(Remark("arp-again", text))
    return out


def _dns(facts: Facts, step: Step, request: Request | None) -> list[Remark]:
    inside = set(step.trips)
    lookups = [one for one in facts.lookups if one.question in inside]
    if not step.trips:
        return [_no_dns(facts, request)]
    out = []
    helped: dict[int, list[Lookup]] = {}  # question -> what was asked because of it
    for other in facts.lookups:
        helped.setdefault(other.serves, []).append(other)
    alone: dict[str, list[int]] = {}  # server -> questions that it answered by itself
    for one in lookups:
        if one.serves or not one.answer:
            continue
        if one.question in helped:
            chain = ", then ".join(dict.fromkeys(other.server for other in helped[one.question]))
            text = f"{one.server} did not know {one.kind} {clean(one.name, 60)}; it asked {chain}"
            last = helped[one.question][-1]
            text += ", and passed the result on." if last.answer else (
                f", but {last.server} did not answer it: what it then said is its own."
            )  # fmt: skip
            out.append(Remark("dns-recursion", text))
        elif one.rcode == 0 and not one.referral and not one.truncated:
            alone.setdefault(one.server, []).append(one.question)
    for server, asked in alone.items():
        text = f"{server} answered {numbers(asked)} without asking anybody"
        out.append(Remark("dns-cached", f"{text}: from its cache or from data of its own."))
    client = [one for one in lookups if not one.serves]
    kinds = {one.kind for one in client}
    if {"A", "AAAA"} <= kinds:
        other = next(one for one in client if one.kind == "AAAA")
        result = other.result or "no answer"
        text = f"{other.asker} also asked for AAAA, the IPv6 address (#{other.question}): {result}."
        out.append(Remark("dns-aaaa", text))
    silent: dict[tuple[str, str, str, str], int] = {}
    for one in lookups:
        if not one.answer:
            asked_for = (one.asker, one.server, one.kind, clean(one.name, 60))
            silent[asked_for] = silent.get(asked_for, 0) + len(one.tries)
    for (asker, server, kind, what), tries in silent.items():
        text = f"{asker} asked {server} {plural(tries, 'time')} for {kind} {what}"
        out.append(Remark("dns-silent", f"{text} and got no answer."))
    if any(one.truncated for one in lookups):
        text = "DNS went over TCP too: an answer that does not fit a datagram is fetched that way."
        out.append(Remark("dns-tcp", text))
    elif any(one.tcp for one in lookups):
        text = "DNS went over TCP from the start: so it was asked, and no answer over UDP was too "
        out.append(Remark("dns-tcp", text + "long."))
    return list(dict.fromkeys(out))


def _no_dns(facts: Facts, request: Request | None) -> Remark:
    host = (urlsplit(request.url).hostname if request else "") or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        if any(one.syn for one in facts.connections):
            text = f"No DNS frame: the client knew the address of {clean(host, 60)} without asking "
            return Remark("dns-none", text + "(its /etc/hosts, a cache). Frames cannot show which.")
        return Remark("dns-none", "No frame: not one DNS question left the client.")
    return Remark("dns-address", f"The URL holds the address {host} itself: nothing to resolve.")


def _handshake(facts: Facts, connection: Connection) -> list[Remark]:
    server = connection.server.node
    if not connection.syn and connection.syn_ack:
        return [Remark("syn-before", "The capture began within the handshake: its SYN is missing.")]
    if not connection.syn:
        return [Remark("syn-before", "It was open before the capture began: no SYN to be seen.")]
    out = []
    if len(connection.syns) > 1:
        text = f"The SYN was sent {len(connection.syns)} times {numbers(connection.syns)}."
        out.append(Remark("syn-again", text))
    if connection.refused_by:
        text = f"Instead of SYN + ACK {server} sent RST: nobody listens on port {connection.port}."
        sender = facts.by_number[connection.refused_by].sender
        if sender != server:
            text = f"Instead of SYN + ACK from {server} came RST, which {sender} sent in its name."
        out.append(Remark("syn-refused", text))
    elif not connection.syn_ack and connection.server.base is not None:
        out.append(Remark("syn-ack-missing", "The SYN + ACK is not in the capture."))
    elif not connection.syn_ack:
        out.append(Remark("syn-silent", f"No SYN + ACK ever came from {server}."))
    elif not connection.ack and facts.by_number[connection.syn_ack].ended:
        text = f"The SYN + ACK of {server} (#{connection.syn_ack}) never came back, so no ACK went."
        out.append(Remark("syn-ack-lost", text))
    elif not connection.ack:
        out.append(Remark("ack-missing", "The third frame, the ACK, is not in the capture."))
    elif connection.phases.get(connection.ack) != "handshake":
        text = f"The ACK had no frame of its own: it rode on the first data (#{connection.ack})."
        out.append(Remark("ack-on-data", text))
    return out


def _exchange(facts: Facts, step: Step, connection: Connection) -> list[Remark]:
    out = []
    parts = connection.server.data_trips
    if step.key == "http" and len(connection.exchanges) > 1:
        text = f"{len(connection.exchanges)} requests shared one connection (keep-alive)."
        out.append(Remark("http-keep-alive", text))
    if step.key == "http" and len(connection.exchanges) == 1 and len(parts) > 1:
        text = f"The response took {len(parts)} frames {numbers(parts)}: one frame carries at most "
        largest = max((facts.by_number[number] for number in parts), key=_size)
        if _full(largest, connection):  # else the server itself wrote it in parts
            size = plural(_size(largest), "byte")
            out.append(Remark("http-segments", f"{text}{size} of it here."))
    silent = [one for one in connection.exchanges if one.status is None]
    if silent and connection.server.arrived_bytes and not connection.exchanges[0].status:
        text = f"What {connection.server.node} sent is no HTTP response to {silent[0].method}"
        out.append(Remark("http-foreign", f"{text} {silent[0].target} (#{silent[0].request})."))
    elif silent:
        text = f"{connection.server.node} sent no response to {silent[0].method}"
        out.append(Remark("http-silent", f"{text} {silent[0].target} (#{silent[0].request})."))
    if step.key == "http":
        out += _manners(connection)
    pure = [number for number in step.trips if facts.by_number[number].kind == "tcp-ack"]
    if pure:
        verb = "carries" if len(pure) == 1 else "carry"
        text = f"{plural(len(pure), 'frame')} {numbers(pure)} {verb} nothing but an ACK"
        out.append(Remark("pure-acks", f"{text}; textbook pictures often leave them out."))
    return out


_SLOW_NS = 100_000_000  # from when the server had the request to the first byte of its answer


def _manners(connection: Connection) -> list[Remark]:
    """How this server's way of answering differs from what most do today."""
    out = []
    server = connection.server.node
    answered = [one for one in connection.exchanges if one.status is not None]
    if any(one.version == "HTTP/1.0" for one in answered):
        if all(one.content_length is None for one in answered):
            text = f"{server} answered by HTTP/1.0 and without a length: the end of the connection "
            out.append(Remark("http-1.0", text + "is the end of the page."))
        else:
            out.append(Remark("http-1.0", f"{server} answered by HTTP/1.0."))
    elif any(one.closes for one in answered):
        text = f"{server} said 'Connection: close': another request needs another handshake."
        out.append(Remark("http-close", text))
    slow = [one for one in answered if one.heard_ns and one.answered_ns - one.heard_ns > _SLOW_NS]
    if slow:
        ms = (slow[0].answered_ns - slow[0].heard_ns) / 1e6
        text = f"{server} took {ms:,.1f} ms before the first byte of its answer"
        out.append(Remark("http-slow", f"{text} (#{slow[0].request}, #{slow[0].response})."))
    return out


def _sealed(connection: Connection) -> str:
    return (
        "It is inside the sealed records: which page was asked for, the status, the page itself "
        f"and the headers cannot be seen here. Only {connection.client.node} and "
        f"{connection.server.node} have the key."
    )


def _size(trip: Trip) -> int:
    return trip.packet.tcp.payload_length if trip.packet.tcp is not None else 0


def _full(trip: Trip, connection: Connection) -> bool:
    """No more data would have fitted into the segment."""
    tcp = trip.packet.tcp
    size = tcp.payload_length + tcp.options_length if tcp is not None else 0
    return 0 < connection.mss <= size


def _close(connection: Connection) -> list[Remark]:
    if connection.first_fin is None:
        if connection.resets:
            text = f"No FIN: the connection was broken off by RST (#{connection.resets[0]})."
            return [Remark("close-reset", text)]
        return []
    first = connection.sides[connection.first_fin]
    second = connection.sides[1 - connection.first_fin]
    out = []
    if first.fin_on_data:
        text = f"The first FIN had no frame of its own: it rode on the last data of {first.node}"
        out.append(Remark("fin-on-data", f"{text} (#{first.fin})."))
    if not second.fin:
        if connection.resets:
            text = f"Only {first.node} sent FIN; then RST (#{connection.resets[0]}) ended it."
            out.append(Remark("close-reset", text))
        else:
            text = f"Only {first.node} closed its direction; {second.node} never did."
            out.append(Remark("close-half", text))
        return out
    out.append(_count(first, second))
    if connection.resets:
        text = f"After the FINs came an RST (#{connection.resets[0]})."
        out.append(Remark("close-reset-after", text))
    return out


def _count(first: Side, second: Side) -> Remark:
    """How many frames the four steps of the close took."""
    frames = {first.fin, first.fin_acked_by, second.fin, second.fin_acked_by} - {0}
    if not (first.fin_acked_by and second.fin_acked_by):
        return Remark("close-unfinished", "Both sent FIN, but an ACK is not in the capture.")
    if first.fin_acked_by == second.fin and len(frames) == 3:
        three = f"Three frames {numbers(sorted(frames))} instead of four"
        text = f"{three}: {second.node} put its ACK and its own FIN into one"
        return Remark("close-merged", f"{text} (#{second.fin}).")
    if second.fin < first.fin_acked_by:
        return Remark("close-crossed", "Both sides sent FIN before they saw the other's.")
    four = f"Four frames {numbers(sorted(frames))}"
    if first.fin_on_data and second.fin_on_data:
        return Remark("close-four", f"{four}, the first and the third of them shared with data.")
    if first.fin_on_data:
        return Remark("close-four", f"{four}, the first of them shared with data.")
    if second.fin_on_data:
        return Remark("close-four", f"{four}, the third of them shared with data.")
    return Remark("close-four", f"{four}, as in the textbook.")


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
    gone = [number for number in firsts if facts.by_number[number].lost]
    text = f"{plural(len(inside), 'retransmission')} {numbers(inside)}: the same bytes again."
    if gone:
        text += f" The first sending was lost {numbers(gone)}."
    return [Remark("retransmission", text)]


def _storms(facts: Facts, steps: list[Step]) -> None:
    """Frames that went in circles: nothing in an Ethernet header ends that. Told once, where the
    first of them stands."""
    found = [trip.number for trip in facts.trips if trip.storm is not None and trip.storm.back]
    if not found:
        return
    if not loop_of_switches(facts.wiring):
        text = f"Switches send a frame back out of the port by which it came {numbers(found)}: two "
        text += "that do pass it to and fro, and an Ethernet frame has no TTL that would end it."
    else:
        text = f"Switches stand in a loop, and each sends on what comes round {numbers(found)}: an "
        text += "Ethernet frame has no TTL that would end it. The controller spanning_tree rests a "
        text += "cable until the loop is open; so does a switch with STP."
    step = next(step for step in steps if found[0] in step.trips)
    step.remarks.append(Remark("storm", text))


def _open_ends(facts: Facts, steps: list[Step]) -> None:
    """A connection that was never closed says so where the close would stand."""
    if any(one.first_fin is not None or one.resets for one in facts.connections):
        return
    for step in steps:
        if step.key == "close" and not step.trips and any(one.ack for one in facts.connections):
            text = "Nobody closed it while the capture ran: no FIN, no RST."
            step.remarks = [Remark("close-open", text)]


def numbers(trips: list[int]) -> str:
    """'(#3)', '(#3, #5)', '(#3 to #9)', '(#3, #5 … #80)'."""
    if len(trips) > 2 and trips[-1] - trips[0] == len(trips) - 1:
        return f"(#{trips[0]} to #{trips[-1]})"
    if len(trips) > 5:
        return f"(#{trips[0]}, #{trips[1]} … #{trips[-1]})"
    return f"({', '.join(f'#{number}' for number in trips)})"
