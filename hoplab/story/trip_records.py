# SPDX-License-Identifier: Apache-2.0
"""One packet, as a story tells it: the frames of it, what nodes did with them, and what each
analysis has to say of it.

What lives here: plain records. What must not: any rule about protocols (`trips.py`, `tcp.py`,
`decisions.py`), any layout (`hoplab.report`).

- A *frame* lives on one link. It is a `Leg` here.
- A *trip* is one packet from the node that made it to every node that got it, in a new frame on
  every link. Its number is the journey's number. Each analysis says what it has to say of a packet
  in a record of its own, which nobody changes; a `Trip` is those records, read as one.

Nobody changes a record. Those that each packet has are named tuples: a frozen dataclass takes three
times as long to make.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from hoplab.decode.dhcp import Dhcp
from hoplab.decode.dns import Dns
from hoplab.decode.packet import Packet
from hoplab.follow.passages import Passage
from hoplab.story.tcp_records import SegmentTiming


class Leg(NamedTuple):
    """One frame on one link, as part of a trip.

    index, parent: place in `Trip.legs` and that of the leg it was made from, None for the first.
    tail, head: node names; head is "" where the interface is wired to nothing.
    origin: 'born', 'switched', 'routed' or 'translated'.
    sent, received: `Observation.number` at either end, None where it was not seen. received_ns:
    when it was seen to arrive, 0 if it was not.
    lost: sent, and never arrived, for certain.
    cut: the capture ended before it could be seen to arrive; that is no loss.
    uncertain: other frames had the same bytes, and one of them may be meant.
    unseen: it was not seen to arrive, where the capture missed frames; it may have.
    vlan: of its outermost tag, None if it bears none.

    What all packets on one route have in common stands first.
    """

    index: int  # type: ignore[assignment]  # instead of a method of tuples that nobody needs
    parent: int | None
    tail: str
    tail_interface: str
    head: str
    head_interface: str
    origin: str
    src_mac: str
    dst_mac: str
    t_ns: int
    sent: int | None
    received: int | None
    length: int
    lost: bool
    healed: bool
    cut: bool = False
    uncertain: bool = False
    unseen: bool = False
    received_ns: int = 0
    vlan: int | None = None


class NextHop(NamedTuple):
    """Where a node sent a frame of its own, or one that it had routed, as the MAC address says.

    leg: by which it left. ends: the node that sent it, and the one whose card it was for, "" if no
    node has it. passed: the node had not made the packet.
    """

    leg: int
    ends: tuple[str, str]
    passed: bool


class Ignored(NamedTuple):
    """A node that got a copy which was not for it.

    by: 'card' when the address on the frame is another card's and the card drops it, 'software'
    when it was a broadcast or multicast that the node had to read to see it is not meant.
    """

    node: str
    by: str
    leg: int


class Fanout(NamedTuple):
    """What a switch did with the frame: out of `out` of the `of` ports other than its own way in.

    due: the frame was a broadcast or multicast, which every switch must flood. named: a flow or the
    controller named the ports one by one, as for a mirror: that is no flood.
    """

    node: str
    out: int
    of: int
    due: bool
    leg: int
    named: bool = False

    @property
    def flooded(self) -> bool:
        """It went out of more than one port, and nobody had named these."""
        return self.out > 1 and not self.named


class Rewrite(NamedTuple):
    """What a router did with the packet: a new Ethernet header, TTL one lower, IP kept (or NAT).

    *_before are read from the frame that came in, *_after from the frame that left.
    next_hop: the node whose MAC the new frame bears, "" if no node has it.
    """

    node: str
    leg: int
    src_mac_before: str
    dst_mac_before: str
    src_mac_after: str
    dst_mac_after: str
    src_owner_before: str
    dst_owner_before: str
    src_owner_after: str
    next_hop: str
    src_before: str
    dst_before: str
    src_after: str
    dst_after: str
    ttl_before: int | None
    ttl_after: int | None

    @property
    def translated(self) -> bool:
        """An IP address changed."""
        return (self.src_before, self.dst_before) != (self.src_after, self.dst_after)


@dataclass(slots=True, frozen=True)
class Rest:
    """Copies of a storm on one link, in one direction, that are counted and not told one by one."""

    tail_interface: str
    head: str
    head_interface: str
    frames: int
    arrived: int


@dataclass(slots=True, frozen=True)
class Storm:
    """A frame that came back to a switch, because switches stand in a loop.

    node: the switch that it came back to most often, `back` times within `ms`. frames: all copies.
    rest: those that are no legs of the trip.
    """

    node: str
    back: int
    ms: float
    frames: int
    rest: tuple[Rest, ...] = ()


@dataclass(slots=True, frozen=True)
class Decision:
    """Why a switch did what it did with the frame, as the captured OpenFlow channel shows it.

    leg: the one by which the frame came. by: 'controller' if it was asked, 'flow' if the switch
    flooded it by a flow it had, 'unknown' if that flow is not known, 'nobody' if the controller was
    gone. answer: 'flood',
    'port 2 (s1-eth2)', 'drop', 'handed over' (a probe, which needs none), "" for none.
    ports: where the frame itself was to go, as OpenFlow says it ('2', 'FLOOD', 'TABLE'); none where
    the answer was about another frame. wait_ms: from question to answer. packet_in, packet_out:
    frame numbers, 0 for none. flow: the flow that asked, or that flooded, "" if it is not known.
    installed: what the controller put in because of this frame, in words. missed: what became of
    the flow that would have taken it, "" if there was none. passage: what the switch's own tables
    did with it, None if they are not known. plain: a flow sent it out of one port, and there is
    nothing more to say. refused: what the switch refused of what the controller said, and why.
    failed: the controller's app raised an exception at it. named: several ports were named one by
    one. end: a sentence on what became of the frame in the switch, where it is known why it sent it
    nowhere, else "".
    """

    node: str
    leg: int
    by: str
    sentence: str
    answer: str = ""
    wait_ms: float | None = None
    packet_in: int = 0
    packet_out: int = 0
    flow: str = ""
    installed: tuple[str, ...] = ()
    missed: str = ""
    ports: tuple[str, ...] = ()
    passage: Passage | None = None
    plain: bool = False
    refused: tuple[str, ...] = ()
    failed: bool = False
    named: bool = False
    end: str = ""


class Way(NamedTuple):
    """What one packet's journey alone tells of it; `trips.py` makes it, once.

    kind: a stable word such as 'arp-request', 'dns-question', 'tcp', 'icmp-echo-reply'.
    title: one line for a reader.
    sender: the node that made it. target: the node it is for, "" if nobody has that address.
    path: node names from the sender on: to the target, or as far as the packet got.
    fan: where the path ends in a flood that reached nobody it was for, the nodes that got it.
    delivered: nodes that got it and were meant to.
    ended: "" if it arrived, else one sentence on where it ended. fate: "" if it arrived, else what
    became of the copy that came furthest: 'lost', 'stopped', 'stuck', 'cut' or 'ignored'.
    last_leg: of one that ended, the leg of the copy that came furthest, None if none did.
    unreached: the node that its last frames were for, if they all arrived and none of them there.
    cause: why there is nothing to explain it: `stray`, a switch sent it, and no frame that came
        in explains it.
    storm: what is known of its copies, if it went in circles.
    next_hops: where nodes sent it, by MAC address; what switches did is not among that.
    at_rest: each copy was seen to come to somebody who passes nothing on.
    under_way: a part of its way lies before the capture began, or after it ended.
    doubt: the one of its notes that says that its end cannot be told, since the capture missed
        frames; `ended` is "" then.
    packet: the records of the first leg's frame. translated: those of the last leg on the path
        differ in more than routers change; `last` are these then, and else the same as `packet`.
    message: what a datagram says.

    What all packets on one route have in common stands last.
    """

    number: int
    t_ns: int
    ms: float
    kind: str
    title: str
    length: int
    legs: tuple[Leg, ...]
    packet: Packet
    arrived_ns: int
    last: Packet
    message: Dns | Dhcp | None
    sender: str
    target: str
    src: str
    dst: str
    path: tuple[str, ...]
    fan: tuple[str, ...]
    delivered: tuple[str, ...]
    ignored: tuple[Ignored, ...]
    fanouts: tuple[Fanout, ...]
    rewrites: tuple[Rewrite, ...]
    ended: str
    next_hops: tuple[NextHop, ...]
    at_rest: bool
    notes: tuple[str, ...] = ()
    cause: str = ""
    storm: Storm | None = None
    fate: str = ""
    unreached: str = ""
    under_way: bool = False
    doubt: str = ""
    stray: bool = False
    translated: bool = False
    last_leg: int | None = None


class Segment(NamedTuple):
    """What a packet is in its TCP connection (`tcp.py`).

    kind, title: instead of those of its way: 'tcp-syn', 'http-response'. cause, causes: of a
    refusal the SYN that it refuses.
    """

    kind: str
    title: str
    notes: tuple[str, ...] = ()
    cause: str = ""
    causes: tuple[int, ...] = ()


class Proof(NamedTuple):
    """That a packet arrived at a node is known from what that node sent, though no frame was seen
    to arrive (`gaps.py`); the note says so."""

    node: str
    note: str


class Relation(NamedTuple):
    """What other packets tell of a packet (`causes.py`).

    cause: "" or why it was sent, where another frame shows that; `causes` are those trips.
    answered_by: number of the trip that answers it, 0 if none is known.
    """

    cause: str = ""
    causes: tuple[int, ...] = ()
    answered_by: int = 0
    notes: tuple[str, ...] = ()


UNRELATED = Relation()


class Trip(NamedTuple):
    """One packet, told: what each analysis has found out about it, read as one.

    Each analysis makes a record of its own and never writes into another's; here is the one place
    that says whose word counts. What a field means is said where its record is.

    decisions: what switches asked their controller about it, and why they flooded it. timing: of a
    TCP segment what its numbers and times tell, None in a story that is told live.
    """

    way: Way
    segment: Segment | None = None
    proof: Proof | None = None
    relation: Relation = UNRELATED
    decisions: tuple[Decision, ...] = ()
    timing: SegmentTiming | None = None

    @property
    def kind(self) -> str:
        """A stable word such as 'arp-request', 'dns-question', 'tcp-syn', 'http-response'."""
        return self.way.kind if self.segment is None else self.segment.kind

    @property
    def title(self) -> str:
        """One line for a reader."""
        return self.way.title if self.segment is None else self.segment.title

    @property
    def delivered(self) -> tuple[str, ...]:
        """Nodes that got it and were meant to."""
        return self.way.delivered if self.proof is None else (self.proof.node,)

    @property
    def proved(self) -> bool:
        """That it arrived is known from what its receiver sent, not from a frame that arrived."""
        return self.proof is not None

    @property
    def cause(self) -> str:
        """Why it was sent, "" if that is not known."""
        segment = self.segment
        return self.relation.cause or (segment.cause if segment else "") or self.way.cause

    @property
    def causes(self) -> tuple[int, ...]:
        """The trips that it was sent because of."""
        return self.relation.causes or (self.segment.causes if self.segment else ())

    @property
    def answered_by(self) -> int:
        """Number of the trip that answers it, 0 if none is known."""
        return self.relation.answered_by

    @property
    def notes(self) -> tuple[str, ...]:
        """What else is to be said of it. A proof that it arrived takes away the doubt."""
        notes = self.way.notes
        if self.proof is not None:
            notes = tuple(note for note in notes if note != self.way.doubt)
        if self.segment is not None:
            notes += self.segment.notes
        if self.proof is not None:
            notes += (self.proof.note,)
        return notes + self.relation.notes

    @property
    def ended(self) -> str:
        """"" if it arrived, else one sentence on where it ended. Of a switch that sent it nowhere
        the switch's own reason counts, where it is known. What was handed to the controller has
        come where it was answered, if it was: an ARP proxy answers for all hosts."""
        way = self.way
        if way.fate == "stopped":
            for decision in self.decisions:
                if decision.end and decision.leg == way.last_leg:
                    handed_over = decision.by == "controller" and self.answered_by
                    return "" if handed_over else decision.end
        return way.ended

    def reached(self, node: str) -> bool:
        """Whether the node got it; what is not known to have ended anywhere may have."""
        return node in self.delivered or not self.way.ended

    @property
    def frames(self) -> int:
        """Frames on links, those of a storm included that are no legs."""
        rest = self.storm.rest if self.storm is not None else ()
        return len(self.legs) + sum(copies.frames for copies in rest)

    @property
    def lost(self) -> list[Leg]:
        """Frames that were sent and never received."""
        return [leg for leg in self.legs if leg.lost]

    @property
    def unseen(self) -> list[Leg]:
        """Frames that were sent, and of which nothing tells whether they were received."""
        return [] if self.proved else [leg for leg in self.legs if leg.unseen]

    @property
    def group(self) -> bool:
        """Sent to a broadcast or multicast MAC."""
        eth = self.packet.eth
        return eth is not None and bool(int(eth.dst[:2], 16) & 1)

    # Of the way as it is.

    @property
    def number(self) -> int:
        return self.way.number

    @property
    def t_ns(self) -> int:
        return self.way.t_ns

    @property
    def ms(self) -> float:
        return self.way.ms

    @property
    def sender(self) -> str:
        return self.way.sender

    @property
    def target(self) -> str:
        return self.way.target

    @property
    def src(self) -> str:
        return self.way.src

    @property
    def dst(self) -> str:
        return self.way.dst

    @property
    def length(self) -> int:
        return self.way.length

    @property
    def path(self) -> tuple[str, ...]:
        return self.way.path

    @property
    def fan(self) -> tuple[str, ...]:
        return self.way.fan

    @property
    def legs(self) -> tuple[Leg, ...]:
        return self.way.legs

    @property
    def ignored(self) -> tuple[Ignored, ...]:
        return self.way.ignored

    @property
    def fanouts(self) -> tuple[Fanout, ...]:
        return self.way.fanouts

    @property
    def rewrites(self) -> tuple[Rewrite, ...]:
        return self.way.rewrites

    @property
    def packet(self) -> Packet:
        return self.way.packet

    @property
    def arrived_ns(self) -> int:
        return self.way.arrived_ns

    @property
    def last(self) -> Packet:
        return self.way.last

    @property
    def storm(self) -> Storm | None:
        return self.way.storm

    @property
    def fate(self) -> str:
        return self.way.fate

    @property
    def unreached(self) -> str:
        return self.way.unreached

    @property
    def under_way(self) -> bool:
        return self.way.under_way

    @property
    def doubt(self) -> str:
        return self.way.doubt

    @property
    def stray(self) -> bool:
        return self.way.stray

    @property
    def message(self) -> Dns | Dhcp | None:
        return self.way.message
