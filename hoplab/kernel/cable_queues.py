# SPDX-License-Identifier: Apache-2.0
"""Frames that the queue in front of a cable did not take, as the kernel counts them.

An interface with a rate, a delay or a loss has a queue (tc(8)) that every frame passes before it is
sent. What the queue drops no packet socket sees: it is asked only when a frame leaves the queue.

What lives here: those counts, from one moment to another. What must not: captures, words.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping

from hoplab.kernel.batch import Place
from hoplab.kernel.netlink import Qdisc

_Counts = dict[tuple[int, int, str], Qdisc]  # by interface's index, handle and kind


def dropped(now: Mapping[tuple[int, int, str], Qdisc], before: _Counts) -> dict[int, int]:
    """Frames dropped between two readings, by the index of every interface that has a queue.

    A qdisc counts what its children refuse (__qdisc_qstats_drop in the kernel's net/sched), but not
    what netem throws away on purpose below it, so the larger of both ends of the chain counts. One
    that was not there before, or has been replaced, began at 0.
    """
    parents = {(one.index, one.parent >> 16) for one in now.values() if not one.root}
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for key, qdisc in now.items():
        if not qdisc.outgoing:
            continue
        old = before.get(key)
        since = qdisc.drops - old.drops if old is not None else qdisc.drops
        count = since if since >= 0 else qdisc.drops
        first.setdefault(qdisc.index, 0)
        if qdisc.root:
            first[qdisc.index] += count
        if (qdisc.index, qdisc.handle >> 16) not in parents:
            last[qdisc.index] = last.get(qdisc.index, 0) + count
    return {index: max(count, last.get(index, 0)) for index, count in first.items()}


Interfaces = Callable[[], Iterable[tuple[Place, int, str]]]


class CableDrops:
    """What queues in front of cables drop from now on, by the interface's name in the lab:
    `counted`. interfaces: where each of them is, its index there, and that name."""

    def __init__(self, interfaces: Interfaces) -> None:
        self._interfaces = interfaces
        self._before = {place: _read(place) for place in {each[0]: None for each in interfaces()}}

    def counted(self) -> dict[str, int]:
        """Frames dropped since; an interface that is missing has no queue."""
        names: dict[Place, dict[int, str]] = {}
        for place, index, name in self._interfaces():
            names.setdefault(place, {})[index] = name
        counts: dict[str, int] = {}
        for place, known in names.items():
            # In a namespace that was made meanwhile all counts began at 0.
            for index, count in dropped(_read(place), self._before.get(place, {})).items():
                if index in known:
                    counts[known[index]] = count
        return counts


def _read(place: Place) -> _Counts:
    """The queues there; none where the namespace has just been taken away."""
    with contextlib.suppress(OSError):
        return {(one.index, one.handle, one.kind): one for one in place.namespace.route.qdiscs()}
    return {}
