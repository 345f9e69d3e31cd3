# SPDX-License-Identifier: Apache-2.0
"""How many, and which, in words.

What lives here: bytes, frames, times and the numbers of packets. What must not: counts that need
more than a number.
"""

from __future__ import annotations

from hoplab.sentences import Sentence, listed, number_of, say


def byte_count(size: int) -> Sentence:
    """'1 byte', '1,460 bytes'."""
    return number_of("{n:,} byte", "{n:,} bytes", size)


def frame_count(count: int) -> Sentence:
    """'1 frame', '2,000 frames'."""
    return number_of("{n:,} frame", "{n:,} frames", count)


def times(count: int) -> Sentence:
    """'1 time', '3 times'."""
    return number_of("{n:,} time", "{n:,} times", count)


def packet_numbers(trips: list[int]) -> Sentence:
    """'(#3)', '(#3, #5)', '(#3 to #9)', '(#3, #5 … #80)'."""
    if len(trips) > 2 and trips[-1] - trips[0] == len(trips) - 1:
        return say("(#{first} to #{last})", first=trips[0], last=trips[-1])
    if len(trips) > 5:
        return say(
            "(#{first}, #{second} … #{last})", first=trips[0], second=trips[1], last=trips[-1]
        )
    return say("({packets})", packets=listed(f"#{number}" for number in trips))
