# SPDX-License-Identifier: Apache-2.0
"""Why a TCP sender sent something again, by what it knew at that moment.

What lives here: the numbers that a sender keeps (RFC 9293, 3.3.1) and what follows from them. What
must not: frames, sentences.

A sender has two reasons to send again: a timer that ran out, or ACKs that show that later bytes had
come. Which one it was is read in this order:
1. The oldest bytes, after the least time that a sender waits (`LEAST_TIMEOUT_NS`), and no ACK came
   just before: a timeout (RFC 6298). So is what goes again after it, of all that had been sent
then. 2. ACKs had come that show that bytes are there which were sent later: three duplicates, SACK,
   or an ACK of something that had been sent after these bytes were, be it for the second time. That
   is fast retransmission (RFC 5681, 6675, 8985), and so is what else goes again before all is
   acknowledged that had been sent then. One or two duplicates without SACK only make it likely.
3. The last bytes that were sent, and none of that: likely a tail loss probe (RFC 8985, 7).
4. Later than any timer: a timeout, likely.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Iterable

from hoplab.story.tcp_records import FAST, PROBE, TIMEOUT, UNKNOWN, Repeat

LEAST_TIMEOUT_NS = 200_000_000  # Linux; RFC 6298 asks for a second
SLACK_NS = 10_000_000  # timers tick in steps of up to so long, and a probe never waits less
FAST_DUPLICATES = 3  # RFC 5681, 3.2

Range = tuple[int, int]  # numbers, from and up to without


class Scoreboard:
    """What a sender knows, one event after the other, in the order at its own card. Numbers are
    relative to its first.

    unacked: the oldest number that is not acknowledged. next: the one after the highest that was
    sent. sacked: what is acknowledged above `unacked`, apart and in order. duplicates: ACKs of
    `unacked` that brought nothing new while bytes were under way.
    """

    def __init__(self, lossy: bool = False) -> None:
        """lossy: ACKs may have come that the capture lacks."""
        self.lossy = lossy
        self.unacked = 0
        self.next = 0
        self.sacked: list[Range] = []
        self.duplicates = 0
        self._window: int | None = None
        self._heard_ns = 0  # when the last ACK came
        self._starts: list[int] = []  # of what was sent for the first time, in order
        self._sent_ns: list[int] = []  # when each of these was sent the last time
        self._ambiguous: list[int] = []  # a heap: where what was sent twice begins
        self._recovering = ""  # what began, and up to which number it goes
        self._recover_until = 0
        self._delivered_ns = 0  # when the newest was sent that is known to have come
        self._oldest = 0  # place in _starts of what is not acknowledged

    @property
    def in_flight(self) -> int:
        """Bytes that were sent and are not acknowledged, by SACK either."""
        sacked = sum(end - start for start, end in self.sacked)
        return max(0, self.next - self.unacked - sacked)

    def send(self, start: int, end: int, t_ns: int) -> Repeat | None:
        """Takes a segment. Why it goes back, None if it does not."""
        repeat = self._again(start, end, t_ns) if start < self.next else None
        if repeat is None:
            self._starts.append(start)
            self._sent_ns.append(t_ns)
        elif end > self.unacked:
            heapq.heappush(self._ambiguous, start)
        self.next = max(self.next, end)
        return repeat

    def hear(
        self, upto: int, blocks: Iterable[Range], t_ns: int, window: int, *, empty: bool
    ) -> tuple[bool, Range | None]:
        """Takes an ACK. Whether it measures a round trip, for no bytes that it acknowledges were
        sent twice (Karn); and what it says came twice (RFC 2883). empty: it has no data."""
        news = upto > self.unacked
        blocks = list(blocks)
        twice = _came_twice(upto, blocks)
        sacks = [block for block in blocks if block != twice]
        before = self.sacked
        if news:
            self.unacked, self.duplicates = upto, 0
            self.next = max(self.next, upto)  # the capture may lack what is acknowledged
        self.sacked = _joined(self.sacked, sacks, self.unacked)
        self._deliver(sacks)
        if not news and upto == self.unacked < self.next and empty and window:
            self.duplicates += window == self._window or self.sacked != before
        ambiguous = False
        while self._ambiguous and self._ambiguous[0] < self.unacked:
            heapq.heappop(self._ambiguous)
            ambiguous = True
        if self._recovering and self.unacked >= self._recover_until:
            self._recovering = ""
        self._window, self._heard_ns = window, t_ns
        return news and not ambiguous, twice

    def _deliver(self, blocks: list[Range]) -> None:
        """Notes when that was sent which is known to have come."""
        while self._oldest + 1 < len(self._starts) and (
            self._starts[self._oldest + 1] <= self.unacked
        ):
            self._delivered_ns = max(self._delivered_ns, self._sent_ns[self._oldest])
            self._oldest += 1
        for number in (number for start, end in blocks for number in (start, end - 1)):
            place = bisect_right(self._starts, number) - 1
            if place >= 0:
                self._delivered_ns = max(self._delivered_ns, self._sent_ns[place])

    def _again(self, start: int, end: int, t_ns: int) -> Repeat:
        """Why a segment goes back; see the rules above."""
        place = bisect_right(self._starts, start) - 1
        waited = t_ns - self._sent_ns[place] if place >= 0 else None
        duplicates = self.duplicates if start == self.unacked else 0
        cause = self._shown_cause(start, t_ns, waited, duplicates)
        likely = self.lossy and cause == TIMEOUT
        if not cause:
            cause = self._likely_cause(end, waited, duplicates)
            likely = cause != UNKNOWN
        after = bisect_right(self._starts, end - 1)
        for sent in range(max(place, 0), after):
            self._sent_ns[sent] = t_ns
        return Repeat(cause, likely, waited, duplicates)

    def _shown_cause(self, start: int, t_ns: int, waited: int | None, duplicates: int) -> str:
        """Rules 1 and 2; "" where the frames do not show it."""
        later_came = bool(self.sacked) and self.sacked[-1][1] > start
        quiet = _late(t_ns - self._heard_ns)
        recovering = self._recovering if start < self._recover_until else ""
        if start <= self.unacked and _late(waited) and (quiet or not (later_came or duplicates)):
            self._recover(TIMEOUT)
            return TIMEOUT
        if recovering == TIMEOUT:
            return TIMEOUT
        newer_came = waited is not None and t_ns - waited < self._delivered_ns
        if later_came or duplicates >= FAST_DUPLICATES or recovering or newer_came:
            self._recover(FAST)
            return FAST
        return ""

    def _likely_cause(self, end: int, waited: int | None, duplicates: int) -> str:
        """One or two duplicates, and rules 3 and 4."""
        if duplicates:
            return FAST
        if _late(waited):
            return TIMEOUT
        tail = end >= self.next and waited is not None and not self.lossy
        return PROBE if tail else UNKNOWN

    def _recover(self, cause: str) -> None:
        if not self._recovering or cause == TIMEOUT:
            self._recovering, self._recover_until = cause, self.next


def _late(waited: int | None) -> bool:
    """A timer may have run out since."""
    return waited is not None and waited >= LEAST_TIMEOUT_NS - SLACK_NS


def _came_twice(upto: int, blocks: list[Range]) -> Range | None:
    """The first block reports bytes that came twice if they are acknowledged already, or lie within
    the second block (RFC 2883, 4)."""
    if not blocks:
        return None
    start, end = blocks[0]
    within = len(blocks) > 1 and blocks[1][0] <= start and end <= blocks[1][1]
    return blocks[0] if end <= upto or within else None


def _joined(ranges: list[Range], more: list[Range], above: int) -> list[Range]:
    """Ranges and more of them, apart and in order, without what lies below a number."""
    if not more and (not ranges or ranges[0][0] >= above):
        return ranges
    made: list[Range] = []
    for start, end in sorted([*ranges, *more]):
        if end <= above:
            continue
        start = max(start, above)
        if made and start <= made[-1][1]:
            made[-1] = (made[-1][0], max(end, made[-1][1]))
        else:
            made.append((start, end))
    return made
