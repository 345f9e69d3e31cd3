# SPDX-License-Identifier: Apache-2.0
"""The numbers of a story: what was counted on links and in nodes, and how good the capture is.

What lives here: plain records, and what follows from their own numbers by arithmetic. What must
not: the counting (`transfers.py`, `full_queues.py`, `tell.py`), the words (`queue_losses.py`,
`capture_quality.py`, `hoplab.report`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

FEWEST_SEGMENTS = 10  # in fewer a throughput would tell of the moment, not of the network


def percent(part: int, whole: int) -> str:
    """'33%'; '<1%' where rounding would hide it."""
    share = f"{part / whole if whole else 0:.0%}"
    return "<1%" if part and share == "0%" else share


@dataclass(slots=True, frozen=True)
class Health:
    """How good the capture is: frames of which nothing is told (on an interface that the lab does
    not know, or too short to be one), ends proved by the other end, frames that the kernel had to
    drop before they were read (which the capture missed), and hops that are told as the likeliest
    of several frames with the same bytes. unseen: frames that left and of which nothing tells
    whether they arrived. under_way: packets that the capture has a part of, because they were on
    their way when it began or ended. uncounted: packets that vanished in a switch of which
    nobody counts what it drops itself. cut: the rest of the file cannot be read. foreign: frames
    without an Ethernet header, which are not followed. untimed: frames of which the file does not
    say when they were seen. place: as in `Coverage`, of a capture of one place alone."""

    orphans: int = 0
    healed: int = 0
    dropped: int = 0
    uncertain: int = 0
    unseen: int = 0
    under_way: int = 0
    uncounted: int = 0
    cut: bool = False
    foreign: int = 0
    untimed: int = 0
    place: str = ""


@dataclass(slots=True, frozen=True)
class Transfer:
    """What TCP carried from one node to another; `hoplab.story.transfers` has the rules.

    bytes: of the payload, as far as they were acknowledged. segments: with data, those among them
    that were sent again are `retransmissions`. busy_ns: while data came to the receiver, the first
    at first_ns, the last at last_ns (0: none came).
    """

    sender: str
    receiver: str
    connections: int
    bytes: int
    segments: int
    retransmissions: int
    busy_ns: int
    first_ns: int = 0
    last_ns: int = 0

    @property
    def bits_per_s(self) -> float | None:
        """The throughput, None where too little was sent to speak of one."""
        if self.segments - self.retransmissions < FEWEST_SEGMENTS or not self.busy_ns:
            return None
        return self.bytes * 8 / (self.busy_ns / 1e9)


@dataclass(slots=True, frozen=True)
class LinkCount:
    """Frames and their bytes on one link, by direction; `a` and `b` are node names with their
    interfaces.

    ignored: frames that went over it to a node which they were not for. arrived_bytes: of all that
    came to hosts and routers at its ends; ignored_bytes are those among them that were not for the
    one that got them. rate: bit/s that it carries each way, 0 if nothing limits it.
    """

    a: str
    a_interface: str
    b: str
    b_interface: str
    forth: int
    back: int
    ignored: int = 0
    forth_bytes: int = 0
    back_bytes: int = 0
    arrived_bytes: int = 0
    ignored_bytes: int = 0
    rate: int = 0

    @property
    def frames(self) -> int:
        """Both directions together."""
        return self.forth + self.back

    @property
    def bytes(self) -> int:
        """Both directions together."""
        return self.forth_bytes + self.back_bytes

    @property
    def unwanted_percent(self) -> str:
        """The part of the bytes that nobody at its ends had a use for; "" where none arrived."""
        return percent(self.ignored_bytes, self.arrived_bytes) if self.arrived_bytes else ""


@dataclass(slots=True, frozen=True)
class QueueLoss:
    """What a node dropped at one port for want of room, by the kernel's count.

    frames: so many. vanished: frames that were seen to come in and not to go out there, None if
    they were not counted. open: more of these, which the node may have had when the capture ended.
    cable: it was the queue in front of the cable at that port, not the one of a switch for what
    comes in there. kind: of the node. certain: as many vanished as were dropped, so each of them
    was. beside: the ports of other queues that may have dropped the same frames; they are counted
    together. in_one_go: whoever sends there throws away what it was to send with a refused frame,
    which nobody counts, or tries that frame once more, which is counted again. meant: of the frames
    those that were lost because the cable is to lose some: there was room for them.
    """

    node: str
    interface: str
    frames: int
    vanished: int | None
    open: int = 0
    cable: bool = False
    kind: str = "switch"
    certain: bool = False
    beside: tuple[str, ...] = ()
    in_one_go: bool = False
    meant: int = 0

    @property
    def lossy(self) -> bool:
        """Every frame was lost because the cable is to lose some; no queue was full."""
        return 0 < self.meant == self.frames

    @property
    def own(self) -> bool:
        """The frames are the node's own: it is a host."""
        return self.kind == "host"


@dataclass(slots=True)
class Summary:
    """The numbers by which a hub and a switch are compared.

    trips: packets. frames: frames on links, all copies. arrivals: frames that a host or router
    received; ignored: those among them that were not for it. bytes, arrived_bytes, ignored_bytes:
    the same in bytes of the frames. transfers: what TCP carried. kinds: packets by kind.
    lost_on_links: frames that were sent and never arrived, for certain. queue_losses: what nodes
    dropped for want of room. What the capture missed is in neither, but in `health`.
    """

    trips: int = 0
    frames: int = 0
    arrivals: int = 0
    ignored: int = 0
    ignored_by_node: dict[str, int] = field(default_factory=dict)
    lost_on_links: int = 0
    queue_losses: list[QueueLoss] = field(default_factory=list)
    unicast_flooded: int = 0
    links: list[LinkCount] = field(default_factory=list)
    transfers: list[Transfer] = field(default_factory=list)
    kinds: dict[str, int] = field(default_factory=dict)
    health: Health = field(default_factory=Health)

    @property
    def lost_in_switches(self) -> int:
        """Frames that switches dropped for want of room."""
        return sum(loss.frames for loss in self.queue_losses if loss.kind == "switch")

    @property
    def lost_before_cables(self) -> int:
        """Frames that any node dropped in the queue in front of a cable."""
        return sum(loss.frames for loss in self.queue_losses if loss.cable)

    @property
    def lost(self) -> int:
        """All frames that were lost for certain, on links and in queues."""
        return self.lost_on_links + sum(loss.frames for loss in self.queue_losses)

    @property
    def ignored_share(self) -> float:
        """Ignored frames as a part of all that arrived, 0 to 1."""
        return self.ignored / self.arrivals if self.arrivals else 0.0

    @property
    def ignored_percent(self) -> str:
        """'33%'; '<1%' where rounding would hide them."""
        return percent(self.ignored, self.arrivals)

    @property
    def bytes(self) -> int:
        """Of all frames on links."""
        return sum(link.bytes for link in self.links)

    @property
    def arrived_bytes(self) -> int:
        """Of the frames that hosts and routers received."""
        return sum(link.arrived_bytes for link in self.links)

    @property
    def ignored_bytes(self) -> int:
        """Of those among them that were not for the one that got them."""
        return sum(link.ignored_bytes for link in self.links)

    @property
    def retransmissions(self) -> int:
        """Of all transfers."""
        return sum(transfer.retransmissions for transfer in self.transfers)
