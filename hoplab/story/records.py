# SPDX-License-Identifier: Apache-2.0
"""The shape of a story: what `story.tell` returns and what `hoplab.report` shows.

What lives here: plain records, and the words for a frame, a trip and a step. What must not: any
rule about protocols (`trips.py`, `tcp.py`, `steps.py`), any layout (`hoplab.report`).

The words:
- A *frame* lives on one link. It is a `Leg` here.
- A *trip* is one packet from the node that made it to every node that got it, in a new frame on
  every link. Its number is the journey's number. Each analysis says what it has to say of a packet
  in a record of its own, which nobody changes; a `Trip` is those records, read as one.
- A *step* gathers the trips that do one thing of the lesson: resolve the name, shake hands, ….
- A *remark* says how the real frames differ from the textbook, or why they came.

Nobody changes a record. Those of which a packet has many, one a link or node, are named tuples: a
frozen dataclass takes three times as long to make.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from hoplab.decode.packet import Packet
from hoplab.follow.passages import Passage
from hoplab.story.tcp_records import ConnectionFigures, SegmentTiming

FEWEST_SEGMENTS = 10  # in fewer a throughput would tell of the moment, not of the network


def percent(part: int, whole: int) -> str:
    """'33%'; '<1%' where rounding would hide it."""
    share = f"{part / whole if whole else 0:.0%}"
    return "<1%" if part and share == "0%" else share


@dataclass(slots=True, frozen=True)
class Request:
    """The fetch that the story is about.

    client_report: what the client program itself reported, "" if nothing; quoted, never taken as
    proof.
    """

    url: str
    client: str
    client_report: str = ""


@dataclass(slots=True, frozen=True)
class Setting:
    """Where it happened. `command` is what `hoplab trace` ran on `host`, "" for a fetch."""

    topology: str = ""
    controller: str = ""
    datapath: str = ""
    host: str = ""
    command: str = ""


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
    say when they were seen."""

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


class Leg(NamedTuple):
    """One frame on one link, as part of a trip.

    index, parent: place in `Trip.legs` and that of the leg it was made from, None for the first.
    tail, head: node names; head is "" where the interface is wired to nothing.
    sent, received: `Observation.number` at either end, None where it was not seen. received_ns:
    when it was seen to arrive, 0 if it was not.
    origin: 'born', 'switched', 'routed' or 'translated'.
    lost: sent, and never arrived, for certain.
    cut: the capture ended before it could be seen to arrive; that is no loss.
    uncertain: other frames had the same bytes, and one of them may be meant.
    unseen: it was not seen to arrive, where the capture missed frames; it may have.
    """

    index: int  # type: ignore[assignment]  # instead of a method of tuples that nobody needs
    parent: int | None
    tail: str
    tail_interface: str
    head: str
    head_interface: str
    t_ns: int
    sent: int | None
    received: int | None
    origin: str
    src_mac: str
    dst_mac: str
    length: int
    lost: bool
    healed: bool
    cut: bool = False
    uncertain: bool = False
    unseen: bool = False
    received_ns: int = 0


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
    one.
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


@dataclass(slots=True, frozen=True)
class Way:
    """What one packet's journey alone tells of it; `trips.py` makes it, once.

    kind: a stable word such as 'arp-request', 'dns-question', 'tcp', 'icmp-echo-reply'.
    title: one line for a reader.
    sender: the node that made it. target: the node it is for, "" if nobody has that address.
    path: node names from the sender on: to the target, or as far as the packet got.
    fan: where the path ends in a flood that reached nobody it was for, the nodes that got it.
    delivered: nodes that got it and were meant to.
    ended: "" if it arrived, else one sentence on where it ended. fate: "" if it arrived, else what
    became of the copy that came furthest: 'lost', 'stopped', 'stuck', 'cut' or 'ignored'.
    unreached: the node that its last frames were for, if they all arrived and none of them there.
    cause: why there is nothing to explain it: `stray`, a switch sent it, and no frame that came
        in explains it.
    storm: what is known of its copies, if it went in circles.
    under_way: a part of its way lies before the capture began, or after it ended.
    doubt: the one of its notes that says that its end cannot be told, since the capture missed
        frames; `ended` is "" then.
    packet: the records of the first leg's frame; `last` those of the last leg on the path.
    """

    number: int
    t_ns: int
    ms: float
    kind: str
    title: str
    sender: str
    target: str
    src: str
    dst: str
    length: int
    path: tuple[str, ...]
    fan: tuple[str, ...]
    legs: tuple[Leg, ...]
    delivered: tuple[str, ...]
    ignored: tuple[Ignored, ...]
    fanouts: tuple[Fanout, ...]
    rewrites: tuple[Rewrite, ...]
    ended: str
    packet: Packet
    arrived_ns: int
    last: Packet
    notes: tuple[str, ...] = ()
    cause: str = ""
    storm: Storm | None = None
    fate: str = ""
    unreached: str = ""
    under_way: bool = False
    doubt: str = ""
    stray: bool = False


@dataclass(slots=True, frozen=True)
class Segment:
    """What a packet is in its TCP connection (`tcp.py`).

    kind, title: instead of those of its way: 'tcp-syn', 'http-response'. cause, causes: of a
    refusal the SYN that it refuses.
    """

    kind: str
    title: str
    notes: tuple[str, ...] = ()
    cause: str = ""
    causes: tuple[int, ...] = ()


@dataclass(slots=True, frozen=True)
class Proof:
    """That a packet arrived at a node is known from what that node sent, though no frame was seen
    to arrive (`gaps.py`); the note says so."""

    node: str
    note: str


@dataclass(slots=True, frozen=True)
class Relation:
    """What other packets tell of a packet (`causes.py`).

    cause: "" or why it was sent, where another frame shows that; `causes` are those trips.
    answered_by: number of the trip that answers it, 0 if none is known.
    """

    cause: str = ""
    causes: tuple[int, ...] = ()
    answered_by: int = 0
    notes: tuple[str, ...] = ()


UNRELATED = Relation()


@dataclass(slots=True, frozen=True)
class Trip:
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

    def reached(self, node: str) -> bool:
        """Whether the node got it; what is not known to have ended anywhere may have."""
        return node in self.delivered or not self.ended

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
    def ended(self) -> str:
        return self.way.ended

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


@dataclass(slots=True, frozen=True)
class Mapping:
    """One frame of the textbook and the real trips that did its work (none: it did not come)."""

    textbook: str
    trips: tuple[int, ...]
    real: str


@dataclass(slots=True, frozen=True)
class Remark:
    """One honest sentence on how reality and textbook differ. `code` is stable, for tests."""

    code: str
    text: str


@dataclass(slots=True)
class Step:
    """One heading and its trips in time order.

    key: 'arp', 'dns', 'handshake', 'http', 'close', 'tcp', 'ping', 'dhcp', 'udp', 'icmp',
        'nd', 'other'.
    number: place in the lesson (ARP 1, DNS 2, handshake 3, HTTP 4, close 5), 0 outside it.
    lesson: what a learner should know before reading on.
    """

    key: str
    number: int
    heading: str
    lesson: str
    trips: list[int] = field(default_factory=list)
    mapping: list[Mapping] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)


@dataclass(slots=True)
class Cause:
    """Why something could not be reached, by what hosts and switches were set to. `code` is stable.

    node: where it is mended, "" for nowhere. evidence: sentences. mend: commands that mend it, for
    a shell outside of the lab. likely: inferred, and not shown by a counter or a table.
    """

    code: str
    node: str
    sentence: str
    evidence: list[str] = field(default_factory=list)
    mend: tuple[str, ...] = ()
    likely: bool = False


@dataclass(slots=True)
class Outcome:
    """How it ended. `code` is stable; `evidence` are the trips that prove the sentences.

    ok: None if it neither succeeded nor failed: somebody ended it before. causes: what hosts and
    switches were set to that explains it.
    """

    ok: bool | None
    code: str
    sentence: str
    why: list[str] = field(default_factory=list)
    where: str = ""
    evidence: list[int] = field(default_factory=list)
    status: int | None = None
    bytes: int | None = None
    ms: float | None = None
    causes: list[Cause] = field(default_factory=list)

    @property
    def mend(self) -> list[str]:
        """The commands that mend what stood in the way, each once."""
        return list(dict.fromkeys(line for cause in self.causes for line in cause.mend))

    @property
    def mark(self) -> str:
        """The sign before the sentence."""
        return "–" if self.ok is None else "✓" if self.ok else "✗"  # noqa: RUF001


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
    which nobody counts.
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


@dataclass(slots=True, frozen=True)
class Repeats:
    """What a reader who does not ask for everything is spared. steps: places in `Story.steps` of
    those that are like earlier ones; sentences: what to say instead of them."""

    steps: frozenset[int]
    sentences: list[str]


@dataclass(slots=True)
class Story:
    """Everything that a reader is told, in the order of telling. alerts: sentences that stand above
    all else, since the rest is hard to read without them: what went round a loop of switches."""

    setting: Setting
    request: Request | None
    started_ns: int
    trips: list[Trip]
    steps: list[Step]
    outcome: Outcome
    summary: Summary
    alerts: list[str] = field(default_factory=list)
    repeats: Repeats | None = None
    connections: tuple[ConnectionFigures, ...] = ()

    def steps_of_trips(self) -> dict[int, int]:
        """Of each trip the place in `steps` of the one that it is in."""
        return {
            number: place for place, step in enumerate(self.steps) for number in step.trips
        }  # fmt: skip

    def trip(self, number: int) -> Trip:
        """The trip of that number."""
        place = number - self.trips[0].number  # journeys are numbered without gaps, as a rule
        if 0 <= place < len(self.trips) and self.trips[place].number == number:
            return self.trips[place]
        return next(trip for trip in self.trips if trip.number == number)
