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
   it throws the rest away (netdev_linux_sock_batch_send), which nobody counts.
4. What a node had just before the capture ended is neither: it may have sent it later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter

from hoplab.follow.identity import find_layer3, untagged
from hoplab.follow.model import Hop
from hoplab.follow.wiring import Wiring
from hoplab.story.records import QueueLoss

_Queue = tuple[int, bool]  # a port, and whether it is the queue in front of the cable
_Ports = frozenset[int]
_NOWHERE: _Ports = frozenset()
_came = itemgetter(0)


@dataclass(slots=True)
class Drops:
    """losses: what was counted, in the order of ports. vanished: frames that came in and did not go
    out, with the queues where they may have been dropped. lacking: frames of which a copy is
    missing, with the queues where."""

    losses: list[QueueLoss] = field(default_factory=list)
    vanished: dict[Hop, tuple[QueueLoss, ...]] = field(default_factory=dict)
    lacking: dict[Hop, tuple[QueueLoss, ...]] = field(default_factory=dict)


@dataclass(slots=True)
class _Missing:
    """A frame, or one copy of it, that is missing; the queues where it may have been dropped."""

    hop: Hop
    queues: tuple[_Queue, ...]
    copy: bool


def find_drops(
    wiring: Wiring,
    behind_ports: Mapping[int, int],
    before_cables: Mapping[int, int],
    hops: Iterable[Hop],
    held_at_end: Callable[[Hop], bool],
    *,
    whole: bool = True,
) -> Drops:
    """behind_ports, before_cables: frames dropped, by port. hops: of frames, and none that is for
    the next bridge alone. whole: these are all, so frames can be counted against what was
    dropped."""
    counted: dict[_Queue, int] = {}
    for port, frames in behind_ports.items():
        counted[port, False] = frames
    for port, frames in before_cables.items():
        counted[port, True] = frames
    counted = {queue: frames for queue, frames in sorted(counted.items()) if frames}
    if not counted:
        return Drops()
    missing: list[_Missing] = []
    open_: dict[_Queue, int] = {}
    for each in _missing(wiring, counted, hops) if whole else ():
        if not held_at_end(each.hop):
            missing.append(each)
            continue
        for queue in each.queues:
            open_[queue] = open_.get(queue, 0) + 1
    together = _judged_together(counted, missing)
    losses: dict[_Queue, QueueLoss] = {}
    surplus: set[_Queue] = set()
    for queues in together:
        due = sum(counted[queue] for queue in queues)
        gone = sum(not set(each.queues).isdisjoint(queues) for each in missing)
        if gone > 2 * due:
            surplus.update(queues)
        for queue in queues:
            port, cable = queue
            node, interface = wiring.node_name(port), wiring.interfaces[port]
            losses[queue] = QueueLoss(
                node,
                interface.name,
                counted[queue],
                sum(queue in each.queues for each in missing) if whole else None,
                open_.get(queue, 0),
                cable=cable,
                in_one_go=cable and wiring.datapath == "user" and wiring.is_switch(port),
                kind=wiring.kind(node),
                certain=whole and gone == due,
                beside=tuple(wiring.port_name(other[0]) for other in queues if other != queue),
            )
    drops = Drops([losses[queue] for queue in counted])
    for each in missing:
        if each.copy and not surplus.isdisjoint(each.queues):
            continue
        where = drops.lacking if each.copy else drops.vanished
        where[each.hop] = (*where.get(each.hop, ()), *(losses[queue] for queue in each.queues))
    return drops


def _judged_together(
    counted: Mapping[_Queue, int], missing: Sequence[_Missing]
) -> list[list[_Queue]]:
    """The queues, in groups: in one group those that may have dropped the same frames."""
    groups: dict[_Queue, list[_Queue]] = {queue: [queue] for queue in counted}
    for queues in {each.queues for each in missing}:
        for queue in queues[1:]:
            one, other = groups[queues[0]], groups[queue]
            if one is not other:
                one.extend(other)
                groups.update(dict.fromkeys(other, one))
    return list({id(group): group for group in groups.values()}.values())


def _missing(
    wiring: Wiring, counted: Mapping[_Queue, int], hops: Iterable[Hop]
) -> Iterable[_Missing]:
    """Frames and copies that may have been dropped in one of these queues."""
    full = frozenset(port for port, cable in counted if cable)
    nodes = {wiring.node_name(port) for port in full}
    flows: dict[tuple[int, bytes], list[tuple[int, Hop, _Ports]]] = {}
    for hop in hops:
        if hop.head is None or hop.received is None or hop.more:
            continue
        if wiring.node_name(hop.head) in nodes:
            left = frozenset(child.tail for child in hop.children if child.tail is not None)
            flows.setdefault((hop.head, _flow(hop.data)), []).append((hop.came_ns, hop, left))
        elif not hop.children and (hop.head, False) in counted:
            yield _Missing(hop, ((hop.head, False),), False)
    for (head, _), frames in flows.items():
        behind = ((head, False),) if (head, False) in counted else ()
        frames.sort(key=_came)
        likes = [*zip(_before(frames), reversed(_before(frames[::-1])), strict=True)]
        for (_, hop, left), (earlier, later) in zip(frames, likes, strict=True):
            # Of several full ports each may lack what the next one got: together they are the way.
            wide = [frozenset().union(*like.values()) for like in (earlier, later)]
            if not left:
                ways = earlier.get(None, _NOWHERE), later.get(None, _NOWHERE)
                due = _due(left, (ways[0] | ways[1], *ways), full)
                cables = [(port, True) for port in sorted(due)]
                if behind:
                    yield _Missing(hop, (*behind, *cables), False)
                else:  # a copy in front of each
                    yield from (_Missing(hop, (queue,), False) for queue in cables)
                continue
            for port in sorted(full - left - {head}):
                if port in _due(left, (earlier.get(port), later.get(port), *wide), full):
                    yield _Missing(hop, ((port, True),), True)


def _before(frames: Sequence[tuple[int, Hop, _Ports]]) -> list[dict[int | None, _Ports]]:
    """For each frame the ports by which the last one before it went that went out at all (None),
    or by a certain port."""
    last: dict[int | None, _Ports] = {}
    found = []
    for _, _, left in frames:
        found.append(last)
        if left and any(last.get(port) != left for port in (None, *left)):
            last = {**last, **dict.fromkeys((None, *left), left)}
    return found


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
