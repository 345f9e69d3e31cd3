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
class Hop:
    """One frame on one link.

    tail, head: indexes of the interfaces that it left and entered; None where the interface is
        wired to nothing.
    sent, received: the observations at tail and head; at most one is None: the frame was lost on
        the link, or the capture missed one end (`healed` tells that the other end proves it).
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
