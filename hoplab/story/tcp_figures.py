# SPDX-License-Identifier: Apache-2.0
"""Connections to figures: options, round trips, windows, what was sent again and why.

What lives here: the order of work over the segments of a connection. What must not: the rules for
times (`tcp_timing.py`) and for causes (`tcp_loss_causes.py`), sentences (`tcp_sentences.py`).

Each direction is gone through once, in the order of events at its sender's card: its own segments
leave, those of the other side arrive.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hoplab.decode.packet import Tcp
from hoplab.story.tcp_connection import Connection, Side
from hoplab.story.tcp_loss_causes import Scoreboard
from hoplab.story.tcp_options import agree, options_of, window_of
from hoplab.story.tcp_records import (
    ConnectionFigures,
    Direction,
    Ending,
    Full,
    Options,
    Repeat,
    SegmentTiming,
)
from hoplab.story.tcp_timing import HELD_BACK_NS, RoundTrips, Waits, overtaken, spread, throughput
from hoplab.story.trip_records import Trip

_ASKING = ("tcp-keepalive", "tcp-window-probe")  # to be answered, not to carry


def find_figures(
    connections: Iterable[Connection], trips: Mapping[int, Trip], *, lossy: bool = False
) -> tuple[tuple[ConnectionFigures, ...], dict[int, SegmentTiming]]:
    """The figures of the connections, and of each of their packets. trips: by number. lossy: the
    capture is known to lack frames."""
    timings: dict[int, SegmentTiming] = {}
    figures = tuple(
        _Reading(connection, trips, lossy).figures(timings) for connection in connections
    )
    return figures, timings


@dataclass(slots=True)
class _Sent:
    """A segment of one side: its packet, and its numbers from and up to."""

    trip: Trip
    tcp: Tcp
    start: int
    end: int

    @property
    def empty(self) -> bool:
        """Nothing of it has a number, and so nothing is acknowledged."""
        return self.end == self.start


@dataclass(slots=True)
class _Half:
    """A direction while it is read. marks: numbers that are no bytes. repeat_at: of the first
    number of what was sent again the last packet that did so, and up to which number. acks: of what
    the receiver sent, each that acknowledges more than those before: up to which number, when,
    packet."""

    sender: Side
    receiver: Side
    segments: list[_Sent] = field(default_factory=list)
    options: Options | None = None
    windows: list[int] = field(default_factory=list)
    marks: set[int] = field(default_factory=set)
    trips: RoundTrips = field(default_factory=RoundTrips)
    rtts: list[int] = field(default_factory=list)
    repeats: dict[int, Repeat] = field(default_factory=dict)
    repeat_at: dict[int, tuple[int, int]] = field(default_factory=dict)
    in_flight: int = 0
    acks: list[tuple[int, int, int]] = field(default_factory=list)
    delayed: list[int] = field(default_factory=list)
    delay_most_ns: int = 0


class _Reading:
    """One connection, while it is read."""

    def __init__(self, connection: Connection, trips: Mapping[int, Trip], lossy: bool) -> None:
        self._connection = connection
        self._trips = trips
        self._lossy = lossy
        client, server = connection.sides
        self._halves = (_Half(client, server), _Half(server, client))
        self._values: dict[int, dict[str, Any]] = {}
        for number in connection.trips:
            trip = trips.get(number)
            if trip is not None:
                self._sort_in(trip)

    def _sort_in(self, trip: Trip) -> None:
        """Puts a packet to the side that sent it."""
        packet = trip.packet
        tcp = packet.tcp
        if tcp is None:
            return
        source, target = (packet.src, tcp.sport), (packet.dst, tcp.dport)
        from_client = (
            source in self._connection.client.ends or target in self._connection.server.ends
        )
        half = self._halves[not from_client]
        start = half.sender.relative(tcp.seq) or 0
        size = tcp.payload_length + tcp.syn + tcp.fin
        half.segments.append(_Sent(trip, tcp, start, start + size))
        if tcp.syn:
            half.options = half.options or options_of(tcp)
            half.marks.add(start)
        if tcp.fin:
            half.marks.add(start + size - 1)
        self._values[trip.number] = {}

    def figures(self, timings: dict[int, SegmentTiming]) -> ConnectionFigures:
        """All of it; notes the timings of the packets."""
        connection = self._connection
        forth, back = self._halves
        agreed = agree(forth.options, back.options)
        for half in self._halves:
            for sent in half.segments:
                window = window_of(sent.tcp, half.options, agreed)
                if window is not None and not sent.tcp.rst:
                    self._values[sent.trip.number]["window"] = window
                    if not sent.tcp.syn:
                        half.windows.append(window)
        directions = [self._direction(forth, back), self._direction(back, forth)]
        for number, values in self._values.items():
            timings[number] = SegmentTiming(**values)
        handshake = self._values.get(connection.syn_ack, {})
        return ConnectionFigures(
            client=connection.client.node,
            client_port=_port(forth, back),
            server=connection.server.node,
            server_port=connection.port,
            packets=(connection.trips[0], connection.trips[-1]),
            client_options=forth.options,
            server_options=back.options,
            agreed=agreed,
            handshake_rtt_ns=handshake.get("rtt_ns"),
            forth=directions[0],
            back=directions[1],
            ending=_ending(connection, self._trips),
        )

    def _direction(self, half: _Half, peer: _Half) -> Direction:
        self._at_sender(half, peer)
        self._at_receiver(half, peer)
        late = self._overtaken(half)
        return Direction(
            sender=half.sender.node,
            receiver=half.receiver.node,
            segments=sum(
                sent.tcp.payload_length > 0 and sent.trip.kind not in _ASKING
                for sent in half.segments
            ),
            rtt=spread(half.rtts),
            hops=half.trips.hops(),
            in_flight=half.in_flight,
            window_least=min(peer.windows, default=None),
            window_most=max(peer.windows, default=None),
            repeats=tuple(half.repeats.items()),
            overtaken=tuple(sorted(late)),
            delayed_acks=tuple(half.delayed),
            delay_most_ns=half.delay_most_ns,
            full=tuple(
                Full(
                    span.first,
                    span.last,
                    span.last_ns - span.first_ns if span.last else None,
                    tuple(span.probes),
                )
                for span in half.receiver.no_room
            ),
            throughput=throughput(half.sender, half.marks),
        )  # fmt: skip

    def _at_sender(self, half: _Half, peer: _Half) -> None:
        """What leaves the sender's card and what comes there, in that order."""
        heard = [
            (sent.trip.arrived_ns, 0, sent)
            for sent in peer.segments
            if half.sender.node in sent.trip.delivered and sent.tcp.ack_flag
        ]
        left = [(sent.trip.t_ns, 1, sent) for sent in half.segments if not sent.empty]
        half.acks = _rising(half.sender, peer.segments)
        board = Scoreboard(self._lossy)
        under_way: list[_Sent] = []  # sent for the first time, and not acknowledged
        done = 0
        for t_ns, leaves, sent in sorted(left + heard, key=lambda event: event[:2]):
            if leaves:
                if self._leave(half, board, sent, t_ns):
                    under_way.append(sent)
                continue
            upto, measures = self._hear(half, board, sent, t_ns)
            newest = None
            while done < len(under_way) and under_way[done].end <= upto:
                newest = under_way[done]
                done += 1
            if newest is not None and measures and sent.trip.way.delivered:
                self._measure(half, newest, sent)

    def _leave(self, half: _Half, board: Scoreboard, sent: _Sent, t_ns: int) -> bool:
        """A segment leaves. Whether it is to be acknowledged, and was not sent before."""
        if sent.trip.kind in _ASKING or sent.tcp.rst:
            return False
        values = self._values[sent.trip.number]
        acknowledged = board.unacked >= sent.end
        repeat = board.send(sent.start, sent.end, t_ns)
        if sent.tcp.payload_length:
            marks = sum(board.unacked <= number < board.next for number in half.marks)
            in_flight = max(0, board.in_flight - marks)
            values["in_flight"] = in_flight
            half.in_flight = max(half.in_flight, in_flight)
        if repeat is None:
            return True
        half.repeats[sent.trip.number] = (
            replace(repeat, needless="acknowledged")
            if acknowledged
            else self._crossed(half, sent, repeat)
        )
        values["again"] = half.repeats[sent.trip.number]
        half.repeat_at[sent.start] = (sent.trip.number, sent.end)
        return False

    def _crossed(self, half: _Half, sent: _Sent, repeat: Repeat) -> Repeat:
        """Whether the ACK of all of it had left the receiver before this sending came there. That
        an earlier sending came to its card proves less: a filter behind it may have dropped it."""
        trip = sent.trip
        came_ns = trip.arrived_ns if trip.way.delivered else trip.t_ns
        place = bisect_left(half.acks, (sent.end, 0, 0))
        if place < len(half.acks) and half.acks[place][1] < came_ns:
            return replace(repeat, needless="crossed", proof=half.acks[place][2])
        return repeat

    def _hear(
        self, half: _Half, board: Scoreboard, sent: _Sent, t_ns: int
    ) -> tuple[int, bool]:
        """An ACK comes: up to which number, and whether it measures a round trip."""
        side, tcp, number = half.sender, sent.tcp, sent.trip.number
        upto = side.relative(tcp.ack)
        if upto is None:
            return 0, False
        blocks = [
            (start, end)
            for left, right in tcp.sack
            if (start := side.relative(left)) is not None
            and (end := side.relative(right)) is not None
        ]
        before = board.duplicates
        empty = sent.empty and not tcp.rst
        measures, twice = board.hear(upto, blocks, t_ns, tcp.window, empty=empty)
        if board.duplicates > before:
            self._values[number]["duplicate"] = board.duplicates
        if twice is not None:
            self._came_twice(half, twice, number)
        return upto, measures

    def _came_twice(self, half: _Half, twice: tuple[int, int], ack: int) -> None:
        """The receiver says that these bytes came twice: the last sending of them was needless."""
        number, end = half.repeat_at.get(twice[0], (0, 0))
        repeat = half.repeats.get(number)
        if repeat is not None and end <= twice[1] and repeat.needless != "acknowledged":
            half.repeats[number] = replace(repeat, needless="d-sack", proof=ack)
            self._values[number]["again"] = half.repeats[number]

    def _measure(self, half: _Half, newest: _Sent, ack: _Sent) -> None:
        """A segment and the ACK of it make a round trip, seen from each card on the way."""
        rtt_ns = half.trips.add(newest.trip, ack.trip)
        if rtt_ns is not None:
            half.rtts.append(rtt_ns)
            values = self._values[ack.trip.number]
            values["rtt_ns"], values["rtt_of"] = rtt_ns, newest.trip.number

    def _at_receiver(self, half: _Half, peer: _Half) -> None:
        """How long bytes waited at their receiver for an ACK."""
        waits = Waits(half.sender)
        for sent in peer.segments:
            upto = half.sender.relative(sent.tcp.ack) if sent.tcp.ack_flag else None
            if upto is None:
                continue
            waited_ns = waits.acknowledged(upto, sent.trip.t_ns)
            if waited_ns is None:
                continue
            self._values[sent.trip.number]["ack_delay_ns"] = waited_ns
            if sent.empty and not sent.tcp.rst and waited_ns >= HELD_BACK_NS:
                half.delayed.append(sent.trip.number)
                half.delay_most_ns = max(half.delay_most_ns, waited_ns)

    def _overtaken(self, half: _Half) -> set[int]:
        """Packets that were sent once, and that later ones overtook."""
        late = overtaken(
            [
                (sent.trip.number, sent.trip.arrived_ns)
                for sent in half.segments
                if sent.tcp.payload_length
                and sent.trip.way.delivered
                and sent.trip.number not in half.repeats
            ]
        )
        for number in late:
            self._values[number]["overtaken"] = True
        return late


def _rising(sender: Side, answers: Iterable[_Sent]) -> list[tuple[int, int, int]]:
    """Of the receiver's segments those that acknowledge more than all before them."""
    rising: list[tuple[int, int, int]] = []
    for sent in answers:
        upto = sender.relative(sent.tcp.ack) if sent.tcp.ack_flag else None
        if upto is not None and upto > (rising[-1][0] if rising else 0):
            rising.append((upto, sent.trip.t_ns, sent.trip.number))
    return rising


def _port(forth: _Half, back: _Half) -> int:
    """The client's port."""
    if forth.segments:
        return forth.segments[0].tcp.sport
    return back.segments[0].tcp.dport if back.segments else 0


def _ending(connection: Connection, trips: Mapping[int, Trip]) -> Ending:
    """How the connection ended."""
    client, server = connection.sides
    if connection.refused_by:
        return Ending("refused", trips[connection.refused_by].sender, connection.refused_by)
    first = connection.first_fin
    both = client.fin and server.fin
    if both and not (connection.resets and not (client.fin_acked_by and server.fin_acked_by)):
        side = connection.sides[first or 0]
        acked = client.fin_acked_by and server.fin_acked_by
        return Ending("closed" if acked else "closing", side.node, side.fin)
    if connection.resets:
        return Ending("reset", trips[connection.resets[0]].sender, connection.resets[0])
    if first is not None:
        return Ending("half", connection.sides[first].node, connection.sides[first].fin)
    if connection.syn and not connection.syn_ack and server.base is None:
        return Ending("unanswered", client.node, connection.syn)
    return Ending("open")
