# SPDX-License-Identifier: Apache-2.0
"""Times in a TCP connection: round trips from each card on, ACKs that waited, throughput.

What lives here: what is measured between frames that were seen. What must not: why something was
sent again (`tcp_loss_causes.py`), sentences.

A round trip begins when a segment leaves a card, and ends when an ACK of all of it comes back to
that same card; the newest segment counts that the ACK acknowledges for the first time. What was
sent twice measures nothing (Karn's rule): nobody can tell which sending is acknowledged.
"""

from __future__ import annotations

from collections.abc import Iterable

from hoplab.story.tcp_connection import Side
from hoplab.story.tcp_records import HopRtt, Spread, Throughput
from hoplab.story.trip_records import Trip

HELD_BACK_NS = 20_000_000  # an ACK that waits longer was held back by a timer: 40 ms in Linux
SLICES_MOST = 40  # of the throughput of a connection


def spread(times: Iterable[int]) -> Spread | None:
    """The least, the middle, the most; None of nothing. Of an even number the lower middle."""
    ordered = sorted(times)
    if not ordered:
        return None
    return Spread(len(ordered), ordered[0], ordered[(len(ordered) - 1) // 2], ordered[-1])


class RoundTrips:
    """The round trips of one direction, from each card on the way on."""

    def __init__(self) -> None:
        self._times: dict[tuple[str, str], list[int]] = {}  # by node and interface

    def add(self, segment: Trip, ack: Trip) -> int | None:
        """Takes a segment and its ACK. The time that its sender measures, None if it is not
        seen."""
        back = {leg.head_interface: leg.received_ns for leg in ack.legs if leg.received_ns}
        whole: int | None = None
        for leg in segment.legs:
            came_ns = back.get(leg.tail_interface)
            if came_ns is None or leg.sent is None or came_ns < leg.t_ns:
                continue
            took = came_ns - leg.t_ns
            self._times.setdefault((leg.tail, leg.tail_interface), []).append(took)
            if leg.parent is None:
                whole = took
        return whole

    def hops(self) -> tuple[HopRtt, ...]:
        """From each card on, the first card first."""
        made = []
        for (node, interface), times in self._times.items():
            rtt = spread(times)
            if rtt is not None:
                made.append(HopRtt(node, interface, rtt))
        return tuple(made)


class Waits:
    """How long a receiver had bytes before it acknowledged them. sender: whose bytes."""

    def __init__(self, sender: Side) -> None:
        self._sent = sender.sent
        self._place = 0

    def acknowledged(self, upto: int, t_ns: int) -> int | None:
        """How long the newest bytes were there that an ACK acknowledges for the first time, None if
        it acknowledges none, or is not seen to."""
        newest = 0
        while self._place < len(self._sent) and self._sent[self._place].end <= upto:
            newest = max(newest, self._sent[self._place].arrived_ns)
            self._place += 1
        return t_ns - newest if 0 < newest <= t_ns else None


def throughput(sender: Side, mark_bytes: set[int]) -> Throughput | None:
    """What came to the receiver by slices of time; None if nothing did. mark_bytes: numbers that
    are no bytes, of the SYN and the FIN."""
    came = sorted(
        (sending.arrived_ns, size)
        for sending in sender.sent
        if sending.arrived_ns
        and (
            size := sending.end - sending.start
            - sum(sending.start <= number < sending.end for number in mark_bytes)
        )
    )  # fmt: skip
    if not came:
        return None
    first_ns, last_ns = came[0][0], came[-1][0]
    slice_ns = _slice(last_ns - first_ns)
    counts = [0] * ((last_ns - first_ns) // slice_ns + 1)
    for arrived_ns, size in came:
        counts[(arrived_ns - first_ns) // slice_ns] += size
    return Throughput(first_ns, slice_ns, tuple(counts))


def _slice(whole_ns: int) -> int:
    """A round length of time of which no more than `SLICES_MOST` are needed: 1, 2 or 5 times a
    power of ten, a millisecond at least."""
    length = 1_000_000
    while True:
        for factor in (1, 2, 5):
            if whole_ns < length * factor * SLICES_MOST:
                return length * factor
        length *= 10


def overtaken(segments: list[tuple[int, int]]) -> set[int]:
    """Packets of (number, when it arrived), in the order in which they left and each sent for
    the first time, that came later than one which had left later."""
    late: set[int] = set()
    first_ns = 0  # arrival of any that left later
    for number, arrived_ns in reversed(segments):
        if first_ns and arrived_ns > first_ns:
            late.add(number)
        first_ns = min(first_ns, arrived_ns) if first_ns else arrived_ns
    return late
