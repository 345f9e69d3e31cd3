# SPDX-License-Identifier: Apache-2.0
"""Whether the clock of the machine was set while we looked away.

Frames bear the time of day (the kernel stamps them so), hence whoever waits until a frame is old
enough compares times of day. Everything else in hoplab waits by the monotonic clock.
"""

from __future__ import annotations

import time

JUMP_NS = 1_000_000_000  # adjusting a clock bit by bit (adjtimex(2)) is no jump


class Clock:
    """The time of day, and whether it jumped since the last look."""

    def __init__(self) -> None:
        self._offset_ns = time.time_ns() - time.monotonic_ns()

    def jumped(self) -> bool:
        """Whether the clock was set since the last call; each jump is told once."""
        offset_ns = time.time_ns() - time.monotonic_ns()
        jump_ns, self._offset_ns = offset_ns - self._offset_ns, offset_ns
        return abs(jump_ns) > JUMP_NS
