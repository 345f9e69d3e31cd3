# SPDX-License-Identifier: Apache-2.0
"""Frames with the same bytes: what the rules of the follower share about them.

How one of them is chosen is each rule's own, for what they join differs: a cable delivers a frame
once and in order (`cables.py`), a switch copies it once to each port (`switching.py`), a router
makes another one of it, so that some fit better than others (`routing.py`). What lives here is how
doubt comes and goes: hops that may be meant instead of each other are in doubt together, are proved
together once nothing else can be meant, and are kept for as long as one of them may be.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from hoplab.follow.ages import MOST_ALIKE
from hoplab.follow.model import Hop

T = TypeVar("T")


def doubt(hops: Iterable[Hop], which: int) -> None:
    """Another frame may be meant, in the way that the bit `which` of `Doubt` says."""
    for hop in hops:
        hop.doubt |= which


def prove(hops: Iterable[Hop], which: int) -> None:
    """No other frame can be meant any more."""
    for hop in hops:
        hop.doubt &= ~which


def keep(alike: list[T], newest: T, most: int) -> bool:
    """Add one to those that are alike; of very many the oldest goes, and True is returned."""
    alike.append(newest)
    if len(alike) <= most:
        return False
    del alike[0]
    return True


def push(table: dict[bytes, list[Hop]], key: bytes, hop: Hop) -> None:
    """Adds a hop to the list of its key, which drops its oldest beyond MOST_ALIKE."""
    alike = table.get(key)
    if alike is None:
        table[key] = [hop]
    else:
        keep(alike, hop, MOST_ALIKE)


def past(limit: int, *lists: list[Hop]) -> bool:
    """Whether all that is alike was seen before `limit`; the first list that holds any tells."""
    newest = next((hops[-1] for hops in lists if hops), None)
    return newest is None or newest.t_ns < limit


def forget(table: dict[bytes, list[Hop]], limit: int) -> None:
    """Takes out the hops seen before `limit`; lists are in time order but for the slack."""
    if not table:
        return
    for key, alike in list(table.items()):
        if alike[-1].t_ns < limit:
            del table[key]
        elif alike[0].t_ns < limit:
            table[key] = [hop for hop in alike if hop.t_ns >= limit]
