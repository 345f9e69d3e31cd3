# SPDX-License-Identifier: Apache-2.0
"""The shape of a followed packet: hops on links, joined into trees.

A packet's life is a tree. Its root is the hop on which it was born. A switch that copies a frame
to three ports gives its hop three children; a router that forwards gives one child with new MAC
addresses and a TTL one lower; a host that receives gives none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from hoplab.wire.observation import Observation


class Origin(Enum):
    """What the node at the tail of a hop did to make the frame."""

    BORN = "born"  # the node made it
    SWITCHED = "switched"  # an identical copy of one that came in by another port
    ROUTED = "routed"  # the same packet, new MAC addresses, TTL (or hop limit) one lower
    TRANSLATED = "translated"  # routed, and addresses or ports rewritten (NAT)


@dataclass(slots=True, eq=False)
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

    left: dict[int | None, int]
    counted: dict[int | None, int] = field(default_factory=dict)
    came: dict[int | None, int] = field(default_factory=dict)
    last_ns: int = 0
    into: Tally | None = None

    @property
    def top(self) -> Tally:
        """The tally that counts now."""
        tally = self
        while tally.into is not None:
            tally = tally.into
        return tally

    def merge(self, other: Tally) -> None:
        """Take up another one."""
        for mine, theirs in (
            (self.left, other.left),
            (self.counted, other.counted),
            (self.came, other.came),
        ):
            for port, count in theirs.items():
                mine[port] = mine.get(port, 0) + count
        self.last_ns = max(self.last_ns, other.last_ns)
        other.into = self


@dataclass(slots=True, eq=False)
class Hop:
    """One frame on one link.

    tail, head: indexes of the interfaces that it left and entered; None where the interface is
        wired to nothing.
    sent, received: the observations at tail and head; at most one is None: the frame was lost on
        the link, or the capture missed one end (`healed` tells that the other end proves it).
    tally: of this frame and its copies; None if no switch has copied it.
    counted: only counted in `tally`; `parent` is the nearest hop that the tree has.
    more: has effects that are only counted.
    """

    tail: int | None
    head: int | None
    sent: Observation | None
    received: Observation | None
    origin: Origin = Origin.BORN
    # A repr of the relatives would print the whole tree, and a storm's is thousands of hops deep.
    parent: Hop | None = field(default=None, repr=False)
    children: list[Hop] = field(default_factory=list, repr=False)
    healed: bool = False
    tally: Tally | None = field(default=None, repr=False)
    counted: bool = False
    more: bool = False

    @property
    def seen(self) -> Observation:
        """The observation to read the frame from: as sent if seen there, else as received."""
        seen = self.sent or self.received
        assert seen is not None, "a hop is made from at least one observation"
        return seen

    @property
    def data(self) -> bytes:
        """The frame's bytes."""
        return self.seen.data

    @property
    def t_ns(self) -> int:
        """When the frame was put on the link (or, unseen there, when it arrived)."""
        return self.seen.t_ns


@dataclass(slots=True, eq=False)
class Journey:
    """One packet from birth to its ends. `number` counts journeys in time order, from 1."""

    number: int
    root: Hop

    def hops(self) -> Iterator[Hop]:
        """All hops, parents before children, children in time order."""
        stack = [self.root]
        while stack:
            hop = stack.pop()
            yield hop
            stack.extend(sorted(hop.children, key=lambda child: child.t_ns, reverse=True))
