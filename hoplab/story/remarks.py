# SPDX-License-Identifier: Apache-2.0
"""Honest remarks: where the real frames are not the textbook's, and why a step is empty.

What lives here: which remarks a step gets, and those on the network as a whole. The others have a
module for each kind of step: `arp_remarks.py`, `dns_remarks.py`, `tcp_remarks.py`,
`http_remarks.py`. Each remark has a stable code. What must not: anything that frames do not show;
where frames cannot tell, the sentence says so.
"""

from __future__ import annotations

from hoplab.sentences import say, term
from hoplab.story.arp_remarks import arp_remarks, asked_again
from hoplab.story.counts import packet_numbers
from hoplab.story.dns_remarks import dns_remarks
from hoplab.story.http_remarks import exchange_remarks, sealed_remark
from hoplab.story.records import Remark, Request, Step
from hoplab.story.silence import loop_of_switches
from hoplab.story.steps import Facts
from hoplab.story.tcp_connection import Connection
from hoplab.story.tcp_remarks import close_remarks, handshake_remarks, repetitions, retransmissions
from hoplab.story.tcp_sentences import in_one_line, remarkable


def add_remarks(facts: Facts, steps: list[Step], request: Request | None) -> None:
    """Fills in `Step.remarks`."""
    place_of = {
        number: place
        for place, connection in enumerate(facts.connections)
        for number in connection.trips
    }
    again = repetitions(facts)
    untold = set(range(len(facts.figures)))  # connections whose figures no step has had
    for step in steps:
        if step.key in ("arp", "nd"):
            step.remarks = asked_again(facts, step) + arp_remarks(facts, steps, step)
        elif step.key == "dns":
            step.remarks = dns_remarks(facts, step, request)
        else:
            places = [place_of[number] for number in step.trips if number in place_of]
            connection = facts.connections[min(places)] if places else None
            step.remarks = _of_connection(facts, step, connection)
            if step.key in ("http", "tls", "tcp"):
                step.remarks += _figures(facts, sorted(untold.intersection(places)))
                untold.difference_update(places)
        if step.trips:
            step.remarks += retransmissions(facts, step, again)
    _storms(facts, steps)
    _open_ends(facts, steps)


def _of_connection(facts: Facts, step: Step, connection: Connection | None) -> list[Remark]:
    """What is to be said of a step of TCP or above it, or of one that there was no connection
    for."""
    if connection is None:
        return _without_connection(facts, step)
    if step.key == "handshake":
        return handshake_remarks(facts, connection)
    if step.key in ("http", "tcp", "tls"):
        return exchange_remarks(facts, step, connection)
    return close_remarks(connection) if step.key == "close" else []


def _figures(facts: Facts, places: list[int]) -> list[Remark]:
    """The figures of these connections, where they are not the textbook's."""
    return [
        Remark("tcp-figures", in_one_line(facts.figures[place]))
        for place in places
        if remarkable(facts.figures[place])
    ]


def _without_connection(facts: Facts, step: Step) -> list[Remark]:
    sealed = [
        connection
        for connection in facts.connections
        if connection.tls and all(connection.tls.sealed)
    ]
    if step.key == "http" and sealed:
        return [Remark("http-sealed", sealed_remark(sealed[0]))]
    if step.number:
        return [Remark(f"{step.key}-none", term("No frame: it did not come to this."))]
    return []


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
        packets=packet_numbers(storms),
    )
    if not loop_of_switches(facts.wiring):
        text = say(
            "Switches send a frame back out of the port by which it came {packets}: two that do "
            "pass it to and fro, and an Ethernet frame has no TTL that would end it.",
            packets=packet_numbers(storms),
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
