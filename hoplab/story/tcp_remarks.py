# SPDX-License-Identifier: Apache-2.0
"""Remarks on TCP: the handshake, the close, and what was sent again.

What lives here: where the frames of a connection are not the textbook's. What must not: what it
carried (`http_remarks.py`).
"""

from __future__ import annotations

from hoplab.sentences import number_of, say, term, together
from hoplab.story.counts import packet_numbers
from hoplab.story.records import Remark, Step
from hoplab.story.steps import Facts
from hoplab.story.tcp_connection import Connection, Side


def handshake_remarks(facts: Facts, connection: Connection) -> list[Remark]:
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
            n=len(connection.syns), packets=packet_numbers(connection.syns),
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


def close_remarks(connection: Connection) -> list[Remark]:
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
    packets = packet_numbers(sorted(frames))
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


def repetitions(facts: Facts) -> dict[int, list[int]]:
    """TCP segments sent twice and their first sendings, apart from SYNs, which have a remark of
    their own."""
    return {
        number: firsts
        for connection in facts.connections
        for number, firsts in connection.again.items()
        if facts.by_number[number].kind != "tcp-syn"
    }


def retransmissions(facts: Facts, step: Step, again: dict[int, list[int]]) -> list[Remark]:
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
        packets=packet_numbers(inside),
    )
    if lost:
        first = say("The first sending was lost {packets}.", packets=packet_numbers(lost))
        text = together(text, first)
    return [Remark("retransmission", text)]
