# SPDX-License-Identifier: Apache-2.0
"""What can still be told where the capture missed frames, and what cannot.

What lives here: arrivals that no frame shows and the receiver's acknowledgement proves; remarks
that rest on a frame not being there. What must not: captures that lack nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hoplab.sentences import number_of, say
from hoplab.story.records import Remark, Step, Trip
from hoplab.story.tcp import Connection, Side

# Remarks that say that something did not happen because no frame shows it.
_ABSENT = frozenset(
    (
        "ack-missing", "arp-checks", "arp-none", "close-half", "close-open", "close-unfinished",
        "dns-none", "dns-silent", "http-silent", "syn-ack-lost", "syn-silent",
    )
)  # fmt: skip


def prove_arrivals(connections: Sequence[Connection], trips: Sequence[Trip]) -> None:
    """Marks segments as arrived that were not seen to, where the other side acknowledged their
    bytes (RFC 9293, 3.4; RFC 2018 for SACK). Of a segment that was sent twice that proves nothing:
    either may have come."""
    by_number = {trip.number: trip for trip in trips}
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
                trip = by_number[number]
                if number not in repeated and trip.doubt and not trip.delivered:
                    _prove(trip, side, peer, acks)


_Ack = tuple[int, int, Trip]  # the bytes from, up to and without; and who says so


def _from(trip: Trip, side: Side) -> bool:
    tcp = trip.packet.tcp
    return tcp is not None and (trip.packet.src, tcp.sport) in side.ends


def _acknowledged(trip: Trip, side: Side) -> Iterator[_Ack]:
    """What a segment acknowledges of that side's bytes."""
    tcp = trip.packet.tcp
    assert tcp is not None, "only segments are in a connection"
    if not tcp.ack_flag:
        return
    upto = side.relative(tcp.ack)
    if upto is not None:
        yield 0, upto, trip
    for left, right in tcp.sack:
        start, end = side.relative(left), side.relative(right)
        if start is not None and end is not None:
            yield start, end, trip


def _prove(trip: Trip, side: Side, peer: Side, acks: list[_Ack]) -> None:
    tcp = trip.packet.tcp
    if tcp is None or not _from(trip, side):
        return
    start = side.relative(tcp.seq)
    size = tcp.payload_length + tcp.syn + tcp.fin
    if start is None or not size:
        return
    proof = next(
        (ack for first, upto, ack in acks if first <= start and start + size <= upto), None
    )
    if proof is None:
        return
    trip.proved = True
    trip.delivered = [peer.node]
    trip.notes = [note for note in trip.notes if note != trip.doubt]
    trip.notes.append(
        say(
            "not seen to arrive, but it did: {node} acknowledged it (#{packet})",
            node=peer.node,
            packet=proof.number,
        )
    )
    for sending in side.sent:
        if sending.trip == trip.number and not sending.arrived_ns:
            sending.arrived_ns = proof.t_ns


def hedge_remarks(steps: Sequence[Step], missed: int) -> None:
    """Takes back what was concluded from a frame that is not there, and says why."""
    for step in steps:
        kept = [remark for remark in step.remarks if remark.code not in _ABSENT]
        if len(kept) < len(step.remarks):
            step.remarks = [*kept, Remark("capture-missed", _may_have_passed(missed))]


def _may_have_passed(missed: int) -> str:
    """missed: frames, 0 if it is not known how many."""
    if not missed:
        return say("The capture lacks frames: what is not seen here may have passed.")
    return number_of(
        "The capture missed {n:,} frame: what is not seen here may have passed.",
        "The capture missed {n:,} frames: what is not seen here may have passed.",
        missed,
    )
