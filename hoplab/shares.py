# SPDX-License-Identifier: Apache-2.0
"""A list divided evenly, neighbours together."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def shares(things: Sequence[T], count: int) -> list[list[T]]:
    """`count` lists with all of the things in order, of lengths that differ by one at most."""
    ends = [round(len(things) * place / count) for place in range(count + 1)]
    return [list(things[one:other]) for one, other in itertools.pairwise(ends)]
