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
from hoplab.kernel.netlink_news import QdiscNews

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
    beginning of each queue. root: where the calling thread is; of a queue that is taken away there
    it is known what it dropped until then.

    `made` says where somebody made a queue; what is there when `begin` is called was there before.
    """

    def __init__(
        self, interfaces: Interfaces, *, since: bool = True, root: Place | None = None
    ) -> None:
        self._interfaces, self._root = interfaces, root
        self._news: QdiscNews | None = None
        if root is not None:
            with contextlib.suppress(OSError):
                self._news = QdiscNews()
        places = {each[0]: None for each in interfaces()} if since else {}
        self._before = {place: _read(place) for place in places}
        self._first = {place: set(queues) for place, queues in self._before.items()}
        self._replaced: set[str] = set()  # by the lab itself
        self._taken: list[Qdisc] = []  # away, by somebody else
        # By queues that are not there any more.
        self._gone: dict[_Count, dict[str, int]] = {dropped: {}, lost: {}}

    def look(self) -> bool:
        """Count from now on. Whether nothing has been dropped since the last look."""
        # Only where a queue stands before a cable can it be full.
        now = {
            place: _read(place)
            for place, queues in self._before.items()
            if any(queue.outgoing for queue in queues.values())
        }
        quiet = not any(
            any(dropped(queues, self._before[place]).values()) for place, queues in now.items()
        )
        self._before.update(now)
        return quiet

    def counted(self) -> dict[str, int]:
        """Frames dropped since; an interface that is missing has no queue."""
        self._hear()
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

    def begin(self) -> None:
        """The lab is as it is meant to be: the queues that are there now belong to it."""
        self._hear()
        self._taken.clear()
        places = {each[0]: None for each in self._interfaces()}
        self._first = {place: set(_read(place)) for place in places}

    def standing(self) -> list[str]:
        """The interfaces before which there was a queue when it began."""
        return [
            name
            for place, index, name in self._interfaces()
            if any(
                queue.index == index and queue.outgoing and queue.root
                for queue in self._before.get(place, {}).values()
            )
        ]

    def made(self) -> list[str]:
        """The interfaces before which somebody made a queue meanwhile who is not the lab."""
        self._hear()
        names = []
        for place, index, name in self._interfaces():
            queues = [*_read(place).values(), *(self._taken if place is self._root else ())]
            first = self._first.get(place, set())
            if name not in self._replaced and any(
                queue.index == index and queue.outgoing and queue.root and _key(queue) not in first
                for queue in queues
            ):
                names.append(name)
        return names

    def close(self) -> None:
        """Hear no more of queues that are taken away."""
        if self._news is not None:
            self._news.close()
            self._news = None

    def _hear(self) -> None:
        """What was taken away since, with what it had dropped."""
        taken = self._news.gone() if self._news is not None else []
        if not taken:
            return
        names = {index: name for place, index, name in self._interfaces() if place is self._root}
        before = self._before.get(self._root, {}) if self._root is not None else {}
        for queue in taken:
            name = names.get(queue.index, "")
            if name and name not in self._replaced and queue.outgoing and queue.root:
                old = before.get(_key(queue))
                frames = max(0, queue.drops - (old.drops if old is not None else 0))
                gone = self._gone[dropped]
                gone[name] = gone.get(name, 0) + frames
                self._taken.append(queue)

    def settle(self, place: Place, index: int, name: str) -> None:
        """The lab is about to replace the queue of an interface: keep what it has dropped."""
        self._hear()
        self._replaced.add(name)
        before = self._before.get(place, {})
        now = _read(place, index)
        for count, gone in self._gone.items():
            frames = count(now, before).get(index)
            if frames is not None:
                gone[name] = gone.get(name, 0) + frames
        for key in [key for key in before if key[0] == index]:
            del before[key]


def _key(queue: Qdisc) -> tuple[int, int, str]:
    return queue.index, queue.handle, queue.kind


def dropped_by(place: Place, index: int) -> int:
    """Frames that the queue of one interface has dropped since it is there."""
    return dropped(_read(place, index), {}).get(index, 0)


def _read(place: Place, index: int = 0) -> _Counts:
    """The queues there, or of one interface; none where the namespace has just been taken away."""
    with contextlib.suppress(OSError):
        return {_key(qdisc): qdisc for qdisc in place.namespace.route.qdiscs(index)}
    return {}
