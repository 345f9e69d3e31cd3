# SPDX-License-Identifier: Apache-2.0
"""The shape of a followed packet: hops on links, joined into trees.

A packet's life is a tree. Its root is the hop on which it was born. A switch that copies a frame
to three ports gives its hop three children; a router that forwards gives one child with new MAC
addresses and a TTL one lower; a host that receives gives none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, IntFlag
from weakref import ref

from hoplab.capture.observation import Observation


class Origin(Enum):
    """What the node at the tail of a hop did to make the frame."""

    BORN = "born"  # the node made it
    SWITCHED = "switched"  # an identical copy of one that came in by another port
    ROUTED = "routed"  # the same packet, new MAC addresses, TTL (or hop limit) one lower
    TRANSLATED = "translated"  # routed, and addresses or ports rewritten (NAT)


_BORN = Origin.BORN  # a member of an Enum is slow to look up, and each hop begins as this one


class Doubt(IntFlag):
    """What cannot be told for certain of a hop, because other frames with the same bytes could be
    meant. What is said then is the likeliest: the frames in their order."""

    ENDS = 1  # `sent` and `received` may be two frames, or another one was lost
    CAUSE = 2  # another hop into the node may be the cause
    UNSEEN = 4  # the cause was not seen to arrive at the node, in a capture that lacks nothing


class Tally:
    """How often one frame, copied by switches, was on each link.

    A frame passes a link once in each direction, unless switches stand in a loop: then it comes
    back and back, and its tree would grow as long as the storm lasts. So a tree keeps the first few
    copies of each port, and the others are only counted here.

    left: by tail port, all hops. counted: by tail port, those that the tree lacks. came: by head
    port, the ones of those that were received. last_ns: when the last one was seen.
    into: the tally that took this one up, when a frame turned out to be a copy of another; see
    `top`.
    """

    __slots__ = ("_came", "_counted", "into", "last_ns", "left")

    def __init__(self, left: dict[int | None, int]) -> None:
        self.left = left
        self._counted: dict[int | None, int] | None = None  # made when needed: most never are
        self._came: dict[int | None, int] | None = None
        self.last_ns = 0
        self.into: Tally | None = None

    @property
    def counted(self) -> dict[int | None, int]:
        if self._counted is None:
            self._counted = {}
        return self._counted

    @property
    def came(self) -> dict[int | None, int]:
        if self._came is None:
            self._came = {}
        return self._came

    @property
    def top(self) -> Tally:
        """The tally that counts now."""
        tally = self
        while tally.into is not None:
            tally = tally.into
        return tally

    def merge(self, other: Tally) -> None:
        """Add what another tally has counted, which from now on counts here."""
        for mine, theirs in (
            (self.left, other.left),
            (self.counted, other.counted),
            (self.came, other.came),
        ):
            for port, count in theirs.items():
                mine[port] = mine.get(port, 0) + count
        self.last_ns = max(self.last_ns, other.last_ns)
        other.into = self


class Hop:
    """One frame on one link.

    tail, head: indexes of the interfaces that it left and entered; None where the interface is
        wired to nothing.
    sent, received: the observations at tail and head; at most one is None: the frame was lost on
        the link, or the capture missed one end (`healed` tells that the other end proves it).
    t_ns: when the frame was put on the link (or, unseen there, when it arrived).
    doubt: flags of `Doubt`, 0 if what is said about the hop is proved; see `hoplab.follow.follow`.
    tally: of this frame and its copies; None if no switch has copied it.
    counted: only counted in `tally`; `parent` is the nearest hop that the tree has.
    more: has effects that are only counted.

    A parent keeps its children in memory, and not the other way round: a tree that nobody needs
    any more goes at once, without Python's cycle collector.
    """

    __slots__ = (
        "__weakref__", "_parent", "children", "counted", "doubt", "head", "healed", "more",
        "origin", "received", "sent", "t_ns", "tail", "tally",
    )  # fmt: skip

    def __init__(
        self,
        tail: int | None,
        head: int | None,
        sent: Observation | None,
        received: Observation | None,
        healed: bool = False,
    ) -> None:
        self.tail = tail
        self.head = head
        if sent is not None:
            self.t_ns = sent.t_ns
        else:
            assert received is not None, "a hop is made from at least one observation"
            self.t_ns = received.t_ns
        self.sent = sent
        self.received = received
        self.healed = healed
        self.origin = _BORN
        self.children: Sequence[Hop] = ()
        self.doubt = 0
        self.tally: Tally | None = None
        self.counted = False
        self.more = False
        self._parent: ref[Hop] | None = None

    @property
    def parent(self) -> Hop | None:
        """The hop that caused it, None if its node made the frame."""
        return self._parent() if self._parent is not None else None

    @parent.setter
    def parent(self, parent: Hop) -> None:
        self._parent = ref(parent)

    @property
    def seen(self) -> Observation:
        """The observation to read the frame from: as sent if seen there, else as received."""
        sent = self.sent
        if sent is not None:
            return sent
        assert self.received is not None, "a hop is made from at least one observation"
        return self.received

    @property
    def data(self) -> bytes:
        """The frame's bytes."""
        sent = self.sent
        return sent.data if sent is not None else self.seen.data

    @property
    def came_ns(self) -> int:
        """When the frame arrived (or, unseen there, when it was sent)."""
        seen = self.received or self.sent
        assert seen is not None
        return seen.t_ns


@dataclass(slots=True, eq=False)
class Journey:
    """One packet from birth to its ends. `number` counts journeys in time order, from 1. last_ns:
    when it was last seen to move, of one that was handed out as it can grow no more; else 0."""

    number: int
    root: Hop
    last_ns: int = 0

    def hops(self) -> list[Hop]:
        """All hops, parents before children, children in time order."""
        return self.walk()[0]

    def walk(self) -> tuple[list[Hop], int]:
        """All hops, as above, and when the last of them was seen to move."""
        hops = []
        hop, last_ns = self.root, 0
        waiting: list[Hop] = []  # those that come after the hop's own children, the next one last
        while True:
            hops.append(hop)
            seen = hop.received
            came_ns = hop.t_ns if seen is None else seen.t_ns
            if came_ns > last_ns:
                last_ns = came_ns
            if hop.more and hop.tally is not None:
                last_ns = max(last_ns, hop.tally.top.last_ns)
            children = hop.children
            if len(children) == 1:  # as a rule
                hop = children[0]
                continue
            if children:
                waiting += sorted(children, key=lambda child: child.t_ns, reverse=True)
            if not waiting:
                return hops, last_ns
            hop = waiting.pop()
