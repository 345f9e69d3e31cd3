# SPDX-License-Identifier: Apache-2.0
"""Frames for which there was no room: what the kernel counted, and which frames are missing.

Two queues of a node may be full, and the kernel counts what each did not take: the one behind a
switch's port, from which Open vSwitch takes frames, and the one in front of a cable, where frames
wait for their turn. What either drops is seen to come in and not to go out.

What lives here: counts and missing frames, held against each other. What must not: words.

1. A frame that came in and did not go out at all may have been dropped behind the port where it
   came in. In front of a cable it was dropped only if its like, the frame before or after it in the
   same flow and by the same way in, left by ports each of which dropped something. A frame that a
   flow of a switch drops has no like that went out.
2. A frame of which some copies went out lacks a copy at a port that dropped something, if its like
   left by the same ports and by that one. Its like is the next frame before or after it that left
   there, or where several ports are full, the last ones together that left by any of them.
3. Queues that may have dropped the same frames are judged together. If as many frames are missing
   as they counted, each was dropped there; else it is likely. Of copies that are missing nothing is
   said one by one where fewer than half were counted: many were never due. Some more may be missing
   than a cable's queue counted: Open vSwitch sends many frames in one go, and where one is refused
   it throws the rest away (netdev_linux_sock_batch_send), which nobody counts. Some fewer may be
   missing, too: where frames before it in the same go were taken, it tries the refused one once
   more, which is counted again.
4. What a node had just before the capture ended is neither: it may have sent it later.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter

from hoplab.follow.identity import find_layer3, untagged
from hoplab.follow.model import Hop
from hoplab.follow.wiring import Wiring
from hoplab.story.summary_records import QueueLoss

_Queue = tuple[int, bool]  # a port, and whether it is the queue in front of the cable
_Ports = frozenset[int]
_NOWHERE: _Ports = frozenset()
_Frame = tuple[int, Hop, _Ports]  # when it came, and by which ports it left
# By which ports the last of the frames like one left that left by a port, or (None) by any.
_Ways = Mapping[int | None, _Ports]
_came = itemgetter(0)


@dataclass(slots=True)
class Drops:
    """losses: what was counted, in the order of ports. vanished: frames that came in and did not go
    out, with the queues where they may have been dropped. lacking: frames of which a copy is
    missing, with the queues where."""

    losses: list[QueueLoss] = field(default_factory=list)
    vanished: dict[Hop, tuple[QueueLoss, ...]] = field(default_factory=dict)
    lacking: dict[Hop, tuple[QueueLoss, ...]] = field(default_factory=dict)

    def add(self, frame: _Missing, losses: Mapping[_Queue, QueueLoss]) -> None:
        """Takes up a frame, or a copy, that is missing."""
        where = self.lacking if frame.copy else self.vanished
        queues = (losses[queue] for queue in frame.queues)
        where[frame.hop] = (*where.get(frame.hop, ()), *queues)


@dataclass(slots=True)
class _Missing:
    """A frame, or one copy of it, that is missing; the queues where it may have been dropped."""

    hop: Hop
    queues: tuple[_Queue, ...]
    copy: bool


@dataclass(slots=True, frozen=True)
class _Group:
    """Queues that may have dropped the same frames, so they are judged together. counted: frames
    dropped there, by the kernel's count; missing: by the frames."""

    queues: Sequence[_Queue]
    counted: int
    missing: int

    @property
    def surplus(self) -> bool:
        """Whether so many are missing that most of them cannot have been due at all."""
        return self.missing > 2 * self.counted


def find_drops(
    wiring: Wiring,
    behind_ports: Mapping[int, int],
    before_cables: Mapping[int, int],
    hops: Iterable[Hop],
    held_at_end: Callable[[Hop], bool],
    lost_on_purpose: Mapping[int, int] | None = None,
    *,
    whole: bool = True,
) -> Drops:
    """behind_ports, before_cables: frames dropped, by port. hops: of frames, and none that is for
    the next bridge alone. lost_on_purpose: those of before_cables that were to be lost. whole:
    these are all, so frames can be counted against what was dropped."""
    counted = _counted(behind_ports, before_cables)
    missing: list[_Missing] = []
    held: Counter[_Queue] = Counter()
    for frame in _missing(wiring, counted, hops) if whole and counted else ():
        if held_at_end(frame.hop):
            held.update(frame.queues)
        else:
            missing.append(frame)
    losses: dict[_Queue, QueueLoss] = {}
    surplus: set[_Queue] = set()
    for group in _judged_together(counted, missing):
        for queue in group.queues:
            vanished = sum(queue in frame.queues for frame in missing) if whole else None
            loss = _loss(wiring, queue, counted[queue], vanished, held[queue], group)
            losses[queue] = _meant(loss, (lost_on_purpose or {}).get(queue[0], 0))
        if group.surplus:
            surplus.update(group.queues)
    drops = Drops([losses[queue] for queue in counted])
    for frame in missing:
        if not frame.copy or surplus.isdisjoint(frame.queues):
            drops.add(frame, losses)
    return drops


def _counted(
    behind_ports: Mapping[int, int], before_cables: Mapping[int, int]
) -> dict[_Queue, int]:
    """The queues that dropped something, in the order of ports, and how many frames."""
    behind = (((port, False), frames) for port, frames in behind_ports.items())
    before = (((port, True), frames) for port, frames in before_cables.items())
    return {queue: frames for queue, frames in sorted([*behind, *before]) if frames}


def _loss(
    wiring: Wiring, queue: _Queue, frames: int, vanished: int | None, held: int, group: _Group
) -> QueueLoss:
    """What is known of the frames that one queue dropped. held: how many of those that might be
    missing the node may have had when the capture ended."""
    port, cable = queue
    node = wiring.node_name(port)
    return QueueLoss(
        node,
        wiring.port_name(port),
        frames,
        vanished,
        held,
        cable=cable,
        in_one_go=cable and wiring.datapath == "user" and wiring.is_switch(port),
        kind=wiring.kind(node),
        certain=group.missing == group.counted,
        beside=tuple(wiring.port_name(beside[0]) for beside in group.queues if beside != queue),
    )


def _meant(loss: QueueLoss, frames: int) -> QueueLoss:
    """The same, where so many of them were lost because the cable at that port is to lose some."""
    return replace(loss, meant=min(frames, loss.frames)) if loss.cable and frames else loss


def _judged_together(counted: Mapping[_Queue, int], missing: Sequence[_Missing]) -> list[_Group]:
    """The queues, in groups: in one group those that may have dropped the same frames."""
    groups: dict[_Queue, list[_Queue]] = {queue: [queue] for queue in counted}
    for queues in {frame.queues for frame in missing}:
        for queue in queues[1:]:
            group, added = groups[queues[0]], groups[queue]
            if group is not added:
                group.extend(added)
                groups.update(dict.fromkeys(added, group))
    return [
        _Group(
            group,
            sum(counted[queue] for queue in group),
            sum(not set(frame.queues).isdisjoint(group) for frame in missing),
        )
        for group in {id(group): group for group in groups.values()}.values()
    ]


def _missing(
    wiring: Wiring, counted: Mapping[_Queue, int], hops: Iterable[Hop]
) -> Iterator[_Missing]:
    """Frames and copies that may have been dropped in one of these queues."""
    full = frozenset(port for port, cable in counted if cable)
    nodes = {wiring.node_name(port) for port in full}
    flows: dict[tuple[int, bytes], list[_Frame]] = {}
    for hop in hops:
        if hop.head is None or hop.received is None or hop.more:
            continue
        if wiring.node_name(hop.head) in nodes:
            left = frozenset(child.tail for child in hop.children if child.tail is not None)
            flows.setdefault((hop.head, _flow(hop.data)), []).append((hop.came_ns, hop, left))
        elif not hop.children and (hop.head, False) in counted:
            yield _Missing(hop, ((hop.head, False),), False)
    for (head, _), frames in flows.items():
        behind: tuple[_Queue, ...] = ((head, False),) if (head, False) in counted else ()
        frames.sort(key=_came)
        earlier, later = _before(frames), reversed(_before(frames[::-1]))
        for (_, hop, left), likes in zip(frames, zip(earlier, later, strict=True), strict=True):
            if left:
                yield from _missing_copies(hop, left, likes, full)
            else:
                yield from _missing_frame(hop, likes, behind, full)


def _missing_frame(
    hop: Hop, likes: tuple[_Ways, _Ways], behind: tuple[_Queue, ...], full: _Ports
) -> Iterator[_Missing]:
    """A frame that did not go out at all. behind: the queue of the port where it came in, if that
    dropped something."""
    ways = [like.get(None, _NOWHERE) for like in likes]
    due = _due(_NOWHERE, (ways[0] | ways[1], *ways), full)
    cables = [(port, True) for port in sorted(due)]
    if behind:
        yield _Missing(hop, (*behind, *cables), False)
    else:  # a copy in front of each
        yield from (_Missing(hop, (queue,), False) for queue in cables)


def _missing_copies(
    hop: Hop, left: _Ports, likes: tuple[_Ways, _Ways], full: _Ports
) -> Iterator[_Missing]:
    """The copies that are missing of a frame that went out by some ports (left)."""
    # Of several full ports each may lack what the next one got: together they are the way.
    wide = [_NOWHERE.union(*like.values()) for like in likes]
    for port in sorted(full - left - {hop.head}):
        if port in _due(left, (*(like.get(port) for like in likes), *wide), full):
            yield _Missing(hop, ((port, True),), True)


def _before(frames: Sequence[_Frame]) -> list[dict[int | None, _Ports]]:
    """For each frame the ports by which the last one before it went that went out at all (None),
    or by a certain port."""
    last: dict[int | None, _Ports] = {}
    ways = []
    for _, _, left in frames:
        ways.append(last)
        if left and any(last.get(port) != left for port in (None, *left)):
            last = {**last, **dict.fromkeys((None, *left), left)}
    return ways


def _due(left: _Ports, likes: Sequence[_Ports | None], full: _Ports) -> _Ports:
    """The ports where a copy is missing, all of them full: those of a frame's like by which it did
    not leave; none if it went another way than its like."""
    for like in likes:
        if like is not None and left <= like and like - left <= full:
            return like - left
    return _NOWHERE


def _flow(data: bytes) -> bytes:
    """What the frames of one flow have in common: addresses, protocol, ports, and how far the
    packet has come (TTL), for a router passes on no further what has come too far."""
    data = untagged(data)
    layer3 = find_layer3(data)
    if layer3 is None:
        return data[:14] + (data[20:22] if data[12:14] == b"\x08\x06" else b"")
    start, body, version = layer3
    if version == 6:
        head, protocol, fragment = data[start + 6 : start + 40], data[start + 6], False
    else:
        head = data[start + 8 : start + 10] + data[start + 12 : start + 20]
        protocol = data[start + 9]
        fragment = bool(data[start + 6] & 0x1F or data[start + 7])
    if fragment:
        return data[:14] + head + b"fragment"
    many = {6: 4, 17: 4, 1: 2, 58: 2}.get(protocol, 0)  # ports, or type and code
    return data[:14] + head + data[body : body + many]
