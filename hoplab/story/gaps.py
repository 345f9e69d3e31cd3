# SPDX-License-Identifier: Apache-2.0
"""What can still be told where the capture missed frames, and what cannot.

What lives here: arrivals that no frame shows and the receiver's acknowledgement proves; remarks
that rest on a frame not being there. What must not: captures that lack nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hoplab.sentences import number_of, say
from hoplab.story.records import Remark, Step
from hoplab.story.tcp_connection import Connection, Side
from hoplab.story.trip_records import Proof, Way

# Remarks that say that something did not happen because no frame shows it.
_ABSENT = frozenset(
    (
        "ack-missing", "arp-checks", "arp-none", "close-half", "close-open", "close-unfinished",
        "dns-cached", "dns-none", "dns-silent", "http-silent", "syn-ack-lost", "syn-silent",
    )
)  # fmt: skip


def prove_arrivals(connections: Sequence[Connection], ways: Sequence[Way]) -> dict[int, Proof]:
    """Of segments that were not seen to arrive the proof that they did, by number, where the other
    side acknowledged their bytes (RFC 9293, 3.4; RFC 2018 for SACK). Of a segment that was sent
    twice that proves nothing: either may have come."""
    by_number = {way.number: way for way in ways}
    proofs: dict[int, Proof] = {}
    for connection in connections:
        repeated = set(connection.again)
        repeated.update(first for firsts in connection.again.values() for first in firsts)
        for side, peer in (connection.sides, connection.sides[::-1]):
            acks = [
                ack
                for number in connection.trips
                if _from(by_number[number], peer)
                for ack in _acknowledged(by_number[number], side)
            ]
            for number in connection.trips:
                way = by_number[number]
                if number not in repeated and way.doubt and not way.delivered:
                    proof = _prove(way, side, peer, acks)
                    if proof is not None:
                        proofs[number] = proof
    return proofs


_Ack = tuple[int, int, Way]  # the bytes from, up to and without; and who says so


def _from(way: Way, side: Side) -> bool:
    tcp = way.packet.tcp
    return tcp is not None and (way.packet.src, tcp.sport) in side.ends


def _acknowledged(way: Way, side: Side) -> Iterator[_Ack]:
    """What a segment acknowledges of that side's bytes."""
    tcp = way.packet.tcp
    assert tcp is not None, "only segments are in a connection"
    if not tcp.ack_flag:
        return
    upto = side.relative(tcp.ack)
    if upto is not None:
        yield 0, upto, way
    for left, right in tcp.sack:
        start, end = side.relative(left), side.relative(right)
        if start is not None and end is not None:
            yield start, end, way


def _prove(way: Way, side: Side, peer: Side, acks: list[_Ack]) -> Proof | None:
    tcp = way.packet.tcp
    if tcp is None or not _from(way, side):
        return None
    start = side.relative(tcp.seq)
    size = tcp.payload_length + tcp.syn + tcp.fin
    if start is None or not size:
        return None
    ack = next((ack for first, upto, ack in acks if first <= start and start + size <= upto), None)
    if ack is None:
        return None
    for sending in side.sent:
        if sending.trip == way.number and not sending.arrived_ns:
            sending.arrived_ns = ack.t_ns
    note = say(
        "not seen to arrive, but it did: {node} acknowledged it (#{packet})",
        node=peer.node,
        packet=ack.number,
    )
    return Proof(peer.node, note)


def hedge_remarks(steps: Sequence[Step], missed: int, place: str = "") -> None:
    """Takes back what was concluded from a frame that is not there, and says why. missed: frames, 0
    if it is not known how many. place: that the capture is of, where it is of one alone."""
    for step in steps:
        kept = [remark for remark in step.remarks if remark.code not in _ABSENT]
        if len(kept) < len(step.remarks):
            step.remarks = [*kept, Remark("capture-missed", _may_have_passed(missed, place))]


def _may_have_passed(missed: int, place: str) -> str:
    if place and not missed:
        return say("What did not pass {place} may have gone another way.", place=place)
    if not missed:
        return say("The capture lacks frames: what is not seen here may have passed.")
    return number_of(
        "The capture missed {n:,} frame: what is not seen here may have passed.",
        "The capture missed {n:,} frames: what is not seen here may have passed.",
        missed,
    )
