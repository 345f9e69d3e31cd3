# SPDX-License-Identifier: Apache-2.0
"""What a capture could see, so that what it did not see is no loss by that alone.

What lives here: when it began and ended, where it missed frames, what switches dropped by their
own count; and for one hop, what follows from that. What must not: words for people, files.

A frame that was seen to leave and not to arrive is lost only if its arrival must have been seen:
1. Somebody listened at the other end from before it left, until long enough after. "Long enough"
   is the longest that any frame of this capture took on a link, `EDGE_NS` at least. At a node it
   is the longest that one was kept by a node, `HELD_NS` and the longest delay of a link at least,
   since a switch may ask its controller and a router by ARP, and a link that is slow on purpose
   holds frames back before they are seen to leave.
2. The capture missed nothing at the other end: the kernel counts what found no room in the socket
   that listens there. If it did miss some, this may be one of them (`Fate.UNSEEN`).

A frame that goes into a switch and does not come out was dropped on purpose (by a flow, or because
there is none), or it found a queue full, which the kernel counts: the switch's own queue at that
port (`hoplab.openvswitch.drops`) or the one in front of a cable (`hoplab.kernel.cable_queues`).
`full_queues.py` has the rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

from hoplab.follow.ages import MILLISECOND
from hoplab.follow.model import Hop, Journey, Origin
from hoplab.follow.wiring import Wiring
from hoplab.story.full_queues import Drops, find_drops
from hoplab.story.summary_records import QueueLoss

EDGE_NS = 5 * MILLISECOND
HELD_NS = 100 * MILLISECOND

# No bridge passes these on: what is sent there is for the next one (IEEE 802.1Q-2018, 8.6.3).
RESERVED = bytes.fromhex("0180c20000")


@dataclass(frozen=True, slots=True)
class Coverage:
    """What the capture says of itself, by port of the wiring.

    begun_ns: from when on a port was listened to; one that is missing was from the start, unless it
    is among `unheard`, which nobody listened to. ended_ns: when it all ended, None if not known.
    missed: frames that the capture had no room for; damaged: the file itself lacks some. place: the
    node that the capture is of, where it saw each frame pass at one place alone, and nobody can
    say what became of it behind that; "" for a capture of a whole lab. partial: it has some of a
    lab's interfaces.
    queue_drops: frames that a switch had no room for in its queue behind the port, where that was
    counted; cable_drops: the same for the queue in front of the cable; cable_losses: how many of
    these a cable lost because it was to lose some.
    """

    begun_ns: Mapping[int, int] = field(default_factory=dict)
    ended_ns: int | None = None
    missed: Mapping[int, int] = field(default_factory=dict)
    damaged: bool = False
    place: str = ""
    partial: bool = False
    unheard: frozenset[int] = frozenset()
    queue_drops: Mapping[int, int] = field(default_factory=dict)
    cable_drops: Mapping[int, int] = field(default_factory=dict)
    cable_losses: Mapping[int, int] = field(default_factory=dict)

    @property
    def missed_frames(self) -> int:
        """How many frames the capture missed, everywhere."""
        return sum(self.missed.values())

    @property
    def lossy(self) -> bool:
        """Frames are missing that were sent while the capture ran, or may be."""
        return self.damaged or self.missed_frames > 0 or self.place != "" or self.partial

    def may_miss(self, port: int | None) -> bool:
        """A frame at this port need not be in the capture."""
        return port is None or self.damaged or port in self.unheard or self.missed.get(port, 0) > 0


class Fate(Enum):
    """What is known of a hop that was not seen to arrive."""

    LOST = auto()  # it must have been seen, had it arrived
    CUT = auto()  # it was on its way when the capture began or ended
    UNSEEN = auto()  # it may have arrived: the capture missed frames there, or did not listen


class Evidence:
    """A capture's coverage, applied to the journeys in it."""

    def __init__(
        self,
        wiring: Wiring,
        coverage: Coverage | None = None,
        journeys: Iterable[Journey] = (),
        *,
        whole: bool = True,
    ) -> None:
        """whole: these are all journeys, so frames can be counted against what was dropped."""
        self.wiring = wiring
        self.coverage = coverage = coverage or Coverage()
        self.edge_ns, self.kept_ns = EDGE_NS, EDGE_NS  # longest on a link, longest in a node
        if not coverage.begun_ns:
            self.edge_ns = HELD_NS  # a file that does not know its beginning has a vague end, too
        self._whole = whole
        self._held_ns = HELD_NS + wiring.longest_delay_ns()
        hops = [hop for journey in journeys for hop in journey.hops()]
        if coverage.ended_ns is not None or coverage.begun_ns:
            self._measure(hops)
        self.drops: Drops = find_drops(
            wiring,
            coverage.queue_drops,
            coverage.cable_drops,
            (hop for hop in hops if not reserved(hop)),
            self.held_at_end,
            coverage.cable_losses,
            whole=whole,
        )

    def _measure(self, hops: list[Hop]) -> None:
        """How long frames are on a link and in a node, at the most."""
        for hop in hops:
            if hop.sent is not None and hop.received is not None:
                self.edge_ns = max(self.edge_ns, hop.received.t_ns - hop.sent.t_ns)
            parent = hop.parent
            if parent is not None:
                self.kept_ns = max(self.kept_ns, hop.t_ns - parent.came_ns)

    def dropped_at(self, hop: Hop) -> tuple[QueueLoss, ...]:
        """The queues where a frame may have been dropped that the node took in and did not send
        on; none if nothing speaks for it."""
        if self._whole or hop.head is None:
            return self.drops.vanished.get(hop, ())
        name = self.wiring.port_name(hop.head)
        return tuple(
            loss for loss in self.drops.losses if loss.interface == name and not loss.cable
        )

    def fate(self, hop: Hop) -> Fate | None:
        """Of a hop that was not seen to arrive, and proved to by nothing that follows from it;
        None for any other."""
        if hop.received is not None or hop.healed or hop.children or hop.more:
            return None
        coverage, head = self.coverage, hop.head
        if head is None:  # the interface is wired to nothing
            return Fate.LOST
        if head in coverage.unheard:
            return Fate.UNSEEN
        ended_ns = coverage.ended_ns
        if ended_ns is not None and hop.t_ns > ended_ns - self.edge_ns:
            return Fate.CUT
        if self.before(hop):
            return Fate.CUT
        return Fate.UNSEEN if coverage.may_miss(head) else Fate.LOST

    def before(self, hop: Hop) -> bool:
        """The hop left before the capture heard the interface that it went to."""
        return hop.head is not None and hop.t_ns < self.coverage.begun_ns.get(hop.head, 0)

    def held_at_end(self, hop: Hop) -> bool:
        """The node that the hop came to may still have held it when the capture ended."""
        ended_ns = self.coverage.ended_ns
        return ended_ns is not None and hop.came_ns > ended_ns - max(self.kept_ns, self._held_ns)

    def passed_unseen(self, hop: Hop) -> bool:
        """The node that the hop came to may have sent it on, although no frame shows it: by a port
        where the capture misses frames at both ends of the link."""
        may_miss, wiring = self.coverage.may_miss, self.wiring
        if hop.head is None:
            return False
        return any(
            may_miss(port) and may_miss(wiring.peer(port))
            for port in wiring.ports(wiring.node_name(hop.head))
            if port != hop.head and wiring.peer(port) is not None
        )

    def came_unseen(self, root: Hop) -> bool:
        """The node that a journey begins at may have had the frame from somebody, although no frame
        shows it: by a port where the capture misses frames at both ends of the link."""
        may_miss, wiring = self.coverage.may_miss, self.wiring
        if root.tail is None:
            return False
        return any(
            may_miss(port) and may_miss(wiring.peer(port))
            for port in wiring.ports(wiring.node_name(root.tail))
            if port != root.tail and wiring.peer(port) is not None
        )

    def may_bear_on(self, root: Hop) -> bool:
        """The journey from this hop may be told otherwise than its frames alone show it: it began
        about when the capture did, or frames are missing that there was no room for."""
        return bool(self.drops.lacking) or self.under_way_at_start(root, foreign=True)

    def under_way_at_start(self, root: Hop, foreign: bool) -> bool:
        """The frame that a journey begins with was on its way when the capture began.

        foreign: its source is another node than the one that it left."""
        begun_ns = self.coverage.begun_ns.get(root.tail) if root.tail is not None else None
        if begun_ns is None or root.origin is not Origin.BORN:
            return False
        if root.sent is None:
            return root.t_ns < begun_ns + self.edge_ns
        return foreign and root.t_ns < begun_ns + max(self.edge_ns, self.kept_ns)


def reserved(hop: Hop) -> bool:
    """Whether a frame is meant for the next bridge alone, as its group address says (802.1D)."""
    return hop.data.startswith(RESERVED)
