# SPDX-License-Identifier: Apache-2.0
"""A list divided evenly, neighbours together."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def shares(things: Sequence[T], count: int) -> list[list[T]]:
    """`count` lists with all of the things in order; the first ones have one more where it does not
    come out even."""
    size, more = divmod(len(things), count)
    ends = [place * size + min(place, more) for place in range(count + 1)]
    return [list(things[begin:end]) for begin, end in itertools.pairwise(ends)]
