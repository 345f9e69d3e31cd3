# SPDX-License-Identifier: Apache-2.0
"""How much TCP carried from whom to whom, how fast, and how much of it was sent again.

What lives here: the counting of what connections moved. What must not: the reading of sequence
numbers (`tcp.py`), and layout.

Rules:
1. The bytes of a transfer are those of the payload that the receiver acknowledged, each once.
2. Its time is that during which data came to the receiver: from the arrival of the first data
   frame of a connection to that of the last one which brought something new. Where connections
   overlap, a moment counts once; while none moved anything, no time passes.
3. A retransmission is a segment with data that goes back below the highest number sent so far: TCP
   has no other reason to. It need not have arrived; nor need the wire have seen the first try,
   which may have died in the full queue in front of its sender's own cable.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from hoplab.story.summary_records import Transfer
from hoplab.story.tcp_connection import Connection, Side
from hoplab.story.trip_records import Trip

Span = tuple[int, int]  # from, to, in nanoseconds


def transfers(connections: Iterable[Connection], trips: Mapping[int, Trip]) -> list[Transfer]:
    """From each node to each other that it sent data to, in the order of the first connection.
    trips: by number."""
    pairs: dict[tuple[str, str], list[tuple[Connection, Side, Side]]] = {}
    for connection in connections:
        for side, peer in (connection.sides, connection.sides[::-1]):
            if side.data_trips:
                ways = pairs.setdefault((side.node, peer.node), [])
                ways.append((connection, side, peer))
    return [_transfer(*nodes, ways, trips) for nodes, ways in pairs.items()]


def _transfer(
    sender: str,
    receiver: str,
    ways: Sequence[tuple[Connection, Side, Side]],
    trips: Mapping[int, Trip],
) -> Transfer:
    carried, segments, again = 0, 0, 0
    spans: list[Span] = []
    for connection, side, peer in ways:
        carried += _acknowledged(connection, side)
        sent, repeated = _segments(connection, side, peer, trips)
        segments += sent
        again += repeated
        data = set(side.data_trips)
        arrivals = [
            sending.arrived_ns
            for sending in side.sent
            if sending.trip in data and sending.arrived_ns
        ]
        if arrivals:
            spans.append((min(arrivals), max(arrivals)))
    first_ns = min((begin for begin, _ in spans), default=0)
    last_ns = max((end for _, end in spans), default=0)
    busy_ns = covered(spans)
    return Transfer(
        sender, receiver, len(ways), carried, segments, again, busy_ns, first_ns, last_ns
    )


def _acknowledged(connection: Connection, side: Side) -> int:
    """Bytes of payload: the SYN and the FIN have numbers, but are none."""
    opened = connection.syn if side is connection.client else connection.syn_ack
    closed = side.fin_end is not None and side.acked >= side.fin_end
    return max(0, side.acked - bool(opened) - closed)


def _segments(
    connection: Connection, side: Side, peer: Side, trips: Mapping[int, Trip]
) -> tuple[int, int]:
    """The side's segments with data, and how many of them sent something again."""
    sent, repeated, highest = 0, 0, None
    for number in connection.trips:
        trip = trips[number]
        tcp = trip.packet.tcp
        if tcp is None or not tcp.payload_length or not _from(side, peer, trip):
            continue
        if trip.kind in ("tcp-keepalive", "tcp-window-probe"):  # to be answered, not to carry
            continue
        starts_at = (side.relative(tcp.seq) or 0) + tcp.syn
        sent += 1
        repeated += highest is not None and starts_at < highest
        highest = max(highest or 0, starts_at + tcp.payload_length)
    return sent, repeated


def _from(side: Side, peer: Side, trip: Trip) -> bool:
    packet = trip.packet
    assert packet.tcp is not None
    source, target = (packet.src, packet.tcp.sport), (packet.dst, packet.tcp.dport)
    return source in side.ends or target in peer.ends


def covered(spans: Iterable[Span]) -> int:
    """How long at least one of them lasted."""
    total, until = 0, 0
    for begin, end in sorted(spans):
        total += max(0, end - max(begin, until))
        until = max(until, end)
    return total
