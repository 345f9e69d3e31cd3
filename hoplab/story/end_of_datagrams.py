# SPDX-License-Identifier: Apache-2.0
"""What became of UDP datagrams that a command sent.

What lives here: datagrams by whom they were for, and what came back. What must not: DNS
(`end_of_lookup.py`), and what a machine sends to find its network.
"""

from __future__ import annotations

from collections.abc import Sequence

from hoplab.decode.packet import Icmp
from hoplab.sentences import Sentence, number_of, say
from hoplab.story.end_of_packet import no_answer
from hoplab.story.icmp_titles import icmp_reason
from hoplab.story.records import Outcome
from hoplab.story.steps import Facts
from hoplab.story.trip_records import Trip

_DHCP = frozenset((67, 68, 546, 547))
_KINDS = ("udp", "quic")
_MOST_TARGETS = 3


def ends_of_datagrams(facts: Facts, own: Sequence[Trip]) -> list[Outcome]:
    """One end for each address and port that the command sent datagrams to, answers left aside."""
    groups: dict[tuple[str, int], list[Trip]] = {}
    asked_from: set[tuple[str, int, str, int]] = set()  # who asked from there is answered, later
    mine = {trip.number for trip in own}
    for trip in facts.trips:
        udp = trip.packet.udp
        if trip.kind not in _KINDS or udp is None or trip.group or _DHCP & {udp.sport, udp.dport}:
            continue
        target = (trip.dst, udp.dport)
        if trip.number not in mine:
            asked_from.add((trip.src, udp.sport, *target))
        elif target in groups or (*target, trip.src, udp.sport) not in asked_from:
            groups.setdefault(target, []).append(trip)
    ends = [_end(facts, port, sent) for (_, port), sent in groups.items()]
    return ends[:_MOST_TARGETS]


def _end(facts: Facts, port: int, sent: Sequence[Trip]) -> Outcome:
    last, packets = sent[-1], {trip.number for trip in sent}
    target = last.target or last.dst
    datagrams = number_of("{n:,} UDP datagram", "{n:,} UDP datagrams", len(sent))
    values = {"datagrams": datagrams, "host": target, "port": port}
    reports = [
        trip
        for trip in facts.trips
        if trip.kind == "icmp-unreachable"
        and packets.intersection(trip.causes)
        and last.sender in trip.delivered
    ]
    if reports:
        report = reports[-1]
        icmp = report.packet.icmp
        assert icmp is not None, "the kind of the packet says that it is ICMP"
        sentence = say(
            "{datagrams} to {host}, port {port}: {node} reported {reason}.",
            node=report.sender, reason=icmp_reason(icmp), **values,
        )  # fmt: skip
        why: list[str] = []
        if _is_port_unreachable(icmp) and report.sender == target and not facts.explained:
            why.append(nobody_listens(port, facts.place))
        evidence = [report.causes[0], report.number]
        return Outcome(False, "unreachable", sentence, why, report.sender, evidence)
    answers = _answers(facts, sent)
    if answers:
        sentence = say(
            "{datagrams} to {host}, port {port}; {answers} came back.",
            answers=len(answers), **values,
        )  # fmt: skip
        evidence = [sent[0].number, answers[-1].number]
        return Outcome(None, "udp", sentence, [], target, evidence)
    if all(trip.ended for trip in sent):
        sentence = say("{datagrams} to {host}, port {port}.", **values)
        return no_answer(facts, last, sentence, "udp")
    sentence = say("{datagrams} to {host}, port {port}; none came back.", **values)
    return Outcome(None, "udp", sentence, [], target, [last.number])


def nobody_listens(port: int, place: str) -> Sentence:
    """Of a port that the machine itself says is closed. place: as in `Facts`: who else may have
    said so in its name is not seen there."""
    if place:
        return say(
            "Likely nobody listens on port {port}; a filter on the way may answer the same.",
            port=port,
        )
    return say("The way there and back works; nobody listens on port {port}.", port=port)


def _answers(facts: Facts, sent: Sequence[Trip]) -> list[Trip]:
    """Datagrams from the same machine to the ports that these were sent from; from whatever port:
    TFTP, for one, answers from another (RFC 1350, 4)."""
    last = sent[-1]
    sources = {trip.packet.udp.sport if trip.packet.udp else 0 for trip in sent}
    return [
        trip
        for trip in facts.trips
        if trip.kind in _KINDS
        and last.sender in trip.delivered
        and (udp := trip.last.udp) is not None
        and trip.last.src == last.dst
        and udp.dport in sources
    ]


def _is_port_unreachable(icmp: Icmp) -> bool:
    """RFC 792; RFC 4443, 3.1."""
    return icmp.code == (3 if icmp.version == 4 else 4)
