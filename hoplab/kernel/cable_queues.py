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


def lost(now: Mapping[tuple[int, int, str], Qdisc], before: _Counts) -> dict[int, int]:
    """Of these, by interface, the frames that were lost because somebody wants a cable to lose
    some: nothing that comes to a blackhole leaves it."""
    counts: dict[int, int] = {}
    for key, qdisc in now.items():
        if qdisc.kind == "blackhole":
            old = before.get(key)
            since = qdisc.drops - old.drops if old is not None else qdisc.drops
            count = since if since >= 0 else qdisc.drops
            counts[qdisc.index] = counts.get(qdisc.index, 0) + count
    return counts


Interfaces = Callable[[], Iterable[tuple[Place, int, str]]]
_Count = Callable[[Mapping[tuple[int, int, str], Qdisc], _Counts], dict[int, int]]


class CableDrops:
    """What queues in front of cables drop from now on, by the interface's name in the lab:
    `counted`, and `on_purpose` what of it somebody wanted lost. interfaces: where each of them is,
    its index there, and that name; several may serve one interface. since: False counts from the
    beginning of each queue."""

    def __init__(self, interfaces: Interfaces, *, since: bool = True) -> None:
        self._interfaces = interfaces
        places = {each[0]: None for each in interfaces()} if since else {}
        self._before = {place: _read(place) for place in places}
        # By queues that are not there any more.
        self._gone: dict[_Count, dict[str, int]] = {dropped: {}, lost: {}}

    def counted(self) -> dict[str, int]:
        """Frames dropped since; an interface that is missing has no queue."""
        return self._sum(dropped)

    def on_purpose(self) -> dict[str, int]:
        """Those of them that were to be lost; an interface that is missing is not to lose any."""
        return self._sum(lost)

    def _sum(self, count: _Count) -> dict[str, int]:
        names: dict[Place, dict[int, str]] = {}
        for place, index, name in self._interfaces():
            names.setdefault(place, {})[index] = name
        counts = dict(self._gone[count])
        for place, by_index in names.items():
            # In a namespace that was made meanwhile all counts began at 0.
            for index, frames in count(_read(place), self._before.get(place, {})).items():
                if index in by_index:
                    counts[by_index[index]] = counts.get(by_index[index], 0) + frames
        return counts

    def settle(self, place: Place, index: int, name: str) -> None:
        """The queue of an interface is about to be replaced: keep what it has dropped."""
        before = self._before.get(place, {})
        now = _read(place)
        for count, gone in self._gone.items():
            frames = count(now, before).get(index)
            if frames is not None:
                gone[name] = gone.get(name, 0) + frames
        for key in [key for key in before if key[0] == index]:
            del before[key]


def _read(place: Place) -> _Counts:
    """The queues there; none where the namespace has just been taken away."""
    with contextlib.suppress(OSError):
        return {(one.index, one.handle, one.kind): one for one in place.namespace.route.qdiscs()}
    return {}
