# SPDX-License-Identifier: Apache-2.0
"""Remarks on ARP and neighbour discovery: who asked again, who asked later, why nobody asked.

What lives here: what is to be said of the step in which nodes look for MAC addresses. What must
not: any other step (`remarks.py`).
"""

from __future__ import annotations

from hoplab.sentences import Sentence, number_of, say, term, together
from hoplab.story.counts import packet_numbers, times
from hoplab.story.neighbour_causes import ASKS_MAC, claims
from hoplab.story.records import Remark, Step
from hoplab.story.steps import Facts
from hoplab.story.titles import count_kind
from hoplab.story.trip_records import Trip

_STEPS = {
    "arp": term("ARP"),
    "dns": term("DNS"),
    "handshake": term("the handshake"),
    "http": term("HTTP"),
    "tls": term("TLS"),
    "close": term("the close"),
    "tcp": term("TCP"),
    "ping": term("ping"),
    "dhcp": term("DHCP"),
    "udp": term("UDP"),
    "icmp": term("ICMP"),
}
_OTHER_STEPS = term("others")


def arp_remarks(facts: Facts, steps: list[Step], step: Step) -> list[Remark]:
    """Who asked whom after the first packet, and again; or why nobody asked."""
    requests = _requests_to_all(facts, step)
    if not requests:
        return [_no_arp(facts)] if step.key == "arp" else []
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


def _requests_to_all(facts: Facts, step: Step) -> list[Trip]:
    """The packets that ask everybody for a neighbour."""
    # Neighbour discovery does by IPv6 what ARP does by IPv4; each is counted by itself.
    kind = "arp-request" if step.key == "arp" else "nd-solicitation"
    return [
        trip for trip in facts.trips
        if trip.kind == kind and trip.group and not (trip.stray or claims(trip))
    ]  # fmt: skip


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
    requests = [trip for trip in facts.trips if trip.kind == "arp-request"]
    checks = [trip.number for trip in requests if not trip.group]
    if len(checks) < len(requests):
        return Remark("arp-checks", _asked_by_nobody(requests, checks))
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
        packets=packet_numbers(checks),
    )
    return Remark("arp-checks", text)


def _asked_by_nobody(requests: list[Trip], checks: list[int]) -> str:
    """No node needed a MAC address, though there are requests. checks: those to one card alone."""
    to_all = [trip for trip in requests if trip.group]
    free = [trip.number for trip in to_all if claims(trip)]
    astray = [trip.number for trip in to_all if not claims(trip)]
    parts: list[str] = [
        say(
            "No node was seen to ask all others for a MAC address: each that sent already had that "
            "of its next hop in its ARP cache."
        )
    ]
    if astray:
        parts.append(
            number_of(
                "{n:,} ARP request {packets} came out of a switch, and no node was seen to send "
                "it.",
                "{n:,} ARP requests {packets} came out of a switch, and no node was seen to send "
                "them.",
                len(astray),
                packets=packet_numbers(astray),
            )
        )
    if free:
        parts.append(
            number_of(
                "{n:,} ARP request {packets} asked whether an address is free.",
                "{n:,} ARP requests {packets} asked whether an address is free.",
                len(free),
                packets=packet_numbers(free),
            )
        )
    if checks:
        parts.append(
            number_of(
                "{n:,} check {packets} asked a neighbour itself whether it is still there.",
                "{n:,} checks {packets} asked a neighbour itself whether it is still there.",
                len(checks),
                packets=packet_numbers(checks),
            )
        )
    return together(*parts)


def _places(steps: list[Step], step: Step, wanted: list[int]) -> str:
    """In which other steps they are: 'DNS (#4, #6); the handshake (#22)'."""
    among = set(wanted)
    places: Sentence | None = None
    for elsewhere in steps:
        inside = [number for number in elsewhere.trips if number in among]
        if elsewhere is step or not inside:
            continue
        heading = _STEPS.get(elsewhere.key, _OTHER_STEPS)
        place = say("{step} {packets}", step=heading, packets=packet_numbers(inside))
        places = place if places is None else say("{first}; {rest}", first=places, rest=place)
    return places or ""


def asked_again(facts: Facts, step: Step) -> list[Remark]:
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
                asker=asker, times=times(len(requests)), ip=ip, packets=packet_numbers(requests),
            )  # fmt: skip
            remarks.append(Remark("arp-again", text))
    return remarks
