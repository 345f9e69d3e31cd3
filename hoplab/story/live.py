# SPDX-License-Identifier: Apache-2.0
"""The story while it happens: packets told as soon as they seem complete, and why they came.

What lives here: when to tell a packet, and when to tell more of it. What must not: clocks (the
caller says what time it is), sockets, layout, and any rule of its own: records of packets are made
by what makes those of the finished story too, each once, and again only where a packet has come
further or another one has shown something of it.

Nobody can know that a packet is at its end: a router may hold it for seconds while it asks by ARP.
So a packet is told when it has not moved for QUIET_NS; if it moves again, it is told once more, as
a continuation under the same number. One that never rests (a storm) is told after PATIENCE_NS all
the same, and again each time its age has doubled. Numbers are given in time order, as in the
finished story, a little before packets are told: so what a packet made necessary is mostly known
by then. A cause that shows later is told later, and so is where a packet ended, once it cannot go
on. How it all ended is left to the finished story.

Memory holds the packets of the last WINDOW_NS, at most WINDOW_MOST, and of each TCP connection a
few numbers a segment.

>>> live = Live(wiring)
>>> live.feed(*observations)
>>> for news in live.poll(time.time_ns()):
...     print(news.trip.number, news.trip.title, news.more, news.cause)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from hoplab.capture.observation import Observation
from hoplab.capture.pcapng_format import Note
from hoplab.follow.ages import MILLISECOND
from hoplab.follow.follow import Follower
from hoplab.follow.model import Hop, Journey, Origin
from hoplab.follow.passages import Passage, causes
from hoplab.follow.tree import last_seen
from hoplab.follow.wiring import Wiring
from hoplab.story import quic
from hoplab.story.arrivals import Arrival, arrivals_of
from hoplab.story.causes import Causes
from hoplab.story.channel_state import ChannelState
from hoplab.story.conversation import ChannelMessage, Listener
from hoplab.story.coverage import Coverage, Evidence
from hoplab.story.decisions import Decisions, decide
from hoplab.story.open_questions import AT_MOST_NS
from hoplab.story.places import Places
from hoplab.story.same_route import Routes
from hoplab.story.summary_records import QueueLoss
from hoplab.story.table_decisions import TableDecisions
from hoplab.story.tcp import Connections
from hoplab.story.trip_records import UNRELATED, Decision, Relation, Segment, Trip, Way
from hoplab.story.trips import tell_way

QUIET_NS = 300 * MILLISECOND
NUMBER_NS = QUIET_NS // 2
PATIENCE_NS = 1000 * MILLISECOND
WINDOW_NS = 12_000 * MILLISECOND  # a packet is held for three ARP tries at most, a second each
WINDOW_MOST = 2000  # packets
FED_MOST = 5000  # observations that wait to be followed
TABLES_NS = 60 * MILLISECOND  # as long as a switch may take to tell of its tables


class Tables(Protocol):
    """Whoever asks the switches' own tables what they did, while frames come. settled_ns: of all
    frames until then it is known, or never will be; skipped: those of which it never will, by
    their numbers."""

    settled_ns: int
    skipped: set[int]

    def take(
        self,
        kept: Iterable[Note] = (),
        frames: Iterable[Observation] = (),
        messages: Sequence[ChannelMessage] = (),
    ) -> None:
        """Take what was captured meanwhile."""

    def advance(self, until_ns: int | None) -> list[Passage]:
        """What switches did with frames until then, as far as there is time to ask; None for all
        that is left."""

    def forget(self, before_ns: int) -> None:
        """Nothing is asked any more about what was before."""


class News(NamedTuple):
    """A packet as far as it has come, and what of it has not been told before.

    more: it was told before. moved: it has come further since, or is new. The others are those of
    the trip, "" or nothing where they were told already. ended is told once it is sure.
    """

    trip: Trip
    more: bool
    moved: bool
    cause: str
    decisions: tuple[Decision, ...]
    notes: tuple[str, ...]
    ended: str


@dataclass(slots=True)
class _Shown:
    """What a reader has read of a packet."""

    last_ns: int = 0
    causes: tuple[int, ...] = ()
    cause: str = ""
    decisions: tuple[tuple[str, int], ...] = ()
    notes: tuple[str, ...] = ()
    ended: bool = False


@dataclass(slots=True, eq=False)
class _Packet:
    """A packet, and the records of it. last_ns: when it was last seen to move, as far as `way`
    knows; 0: it is not told yet. again_ns: when it is told though it does not rest, or an older
    one does not. hurry: it was told though it did not rest. arrivals: at switches. arrived: each
    copy came to somebody who passes nothing on. sure: it can go no further.
    """

    journey: Journey
    again_ns: int
    last_ns: int = 0
    hurry: bool = False
    way: Way | None = None
    segment: Segment | None = None
    relation: Relation = UNRELATED
    decisions: tuple[Decision, ...] = ()
    arrivals: list[Arrival] = field(default_factory=list)
    arrived: bool = False
    sure: bool = False
    shown: _Shown | None = None

    @property
    def trip(self) -> Trip:
        """All records as one."""
        assert self.way is not None, "only what has a way is told"
        return Trip(self.way, self.segment, None, self.relation, self.decisions)


class Live:
    """`feed` takes observations in time order; `poll` gives what there is to tell now.

    channel: what switches and controller say to each other is captured too, and comes by `hear`;
    what switches tell of their tables, by `note`.
    """

    def __init__(
        self,
        wiring: Wiring,
        ports: Sequence[int | None] | None = None,
        tables: Tables | None = None,
    ) -> None:
        """tables: who asks the switches' own tables, if anybody."""
        self.packets = 0
        self.channel = False
        self._wiring = wiring
        self._follower = Follower(wiring, ports=ports)
        self._fed: list[Observation] = []  # not followed yet
        self._places = Places(wiring)
        self._routes = Routes(self._places)
        self._connections = Connections()
        self._quic = quic.Conversations()
        self._by_root: dict[int, _Packet] = {}  # by id of the first hop, which it keeps alive
        self._numbered_ns = 0  # when the last of them began that has a number
        self._moving: dict[int, _Packet] = {}  # by number; those that may go on
        self._recent: deque[_Packet] = deque()  # by number
        self._by_number: dict[int, _Packet] = {}  # those
        self._causes = Causes(self._places)  # until the first packet tells when it all began
        self._changed: dict[int, _Packet] = {}  # by number; not all of it has been told
        self._started_ns = 0
        self._listener = Listener()
        self._heard: deque[ChannelMessage] = deque()
        self._state = ChannelState()
        self._undecided: deque[_Packet] = deque()  # by number; more may be decided about these
        self._stale = False  # something came that may be the cause of something
        self._evidence = Evidence(wiring)
        self._tables = tables
        self._source = TableDecisions(wiring, ()) if tables is not None else None
        # A cable may hold it back: it has not come to rest by that.
        self._rest_ns = NUMBER_NS + wiring.longest_delay_ns()

    @property
    def unexplained(self) -> int:
        """Packets of which it is not told why a switch did what it did: there was no time to ask
        its tables."""
        return len(self._source.untold) if self._source is not None else 0

    def grow(self) -> None:
        """The wiring has grown: what comes from now on may be at what is new."""
        self._follow()
        self._follower.grow()
        self._places.read()

    def cover(self, coverage: Coverage) -> None:
        """What is known by now of what the capture can see; before `finish`, that and its end."""
        packets = self._by_root.values() if coverage.ended_ns else ()
        journeys = [packet.journey for packet in packets]
        self._evidence = Evidence(self._wiring, coverage, journeys, whole=False)

    @property
    def queue_losses(self) -> list[QueueLoss]:
        """What nodes dropped for want of room, as far as it is known: at the end."""
        return self._evidence.drops.losses

    @property
    def orphans(self) -> int:
        """Frames of which nothing can be told, as in the finished story's `Health`."""
        self._follow()
        return self._follower.ignored

    def feed(self, *observations: Observation) -> None:
        """Takes the next observations: many at once cost less than one by one."""
        self._fed += observations
        if self._tables is not None:
            self._tables.take(frames=observations)
        if len(self._fed) >= FED_MOST:
            newest_ns = self._fed[-1].t_ns
            self._ask(newest_ns - TABLES_NS)
            self._follow(newest_ns - NUMBER_NS)

    def note(self, kept: Sequence[Note]) -> None:
        """Takes what switches tell of their tables."""
        if self._tables is not None:
            self._tables.take(kept=kept)

    def _follow(self, until_ns: int | None = None) -> None:
        """Follows what was fed: many at once cost less than one by one. What came after that time
        waits for what its switches' tables say of it, since what a switch has made of a frame may
        show there alone."""
        count = len(self._fed)
        if self._tables is not None and until_ns is not None:
            until_ns = max(until_ns, self._tables.settled_ns)
            count = next(
                (place for place, seen in enumerate(self._fed) if seen.t_ns > until_ns), count
            )
        self._follower.feed(self._fed[:count])
        del self._fed[:count]

    def _ask(self, until_ns: int | None) -> None:
        """Asks the tables about what came until then."""
        if self._tables is None or self._source is None:
            return
        passages = self._tables.advance(until_ns)
        self._source.add(passages)
        self._source.skipped |= self._tables.skipped
        self._source.settled_ns = self._tables.settled_ns
        self._tables.skipped.clear()
        self._follower.explain(causes(passages))
        self._stale = self._stale or bool(passages)

    def hear(self, observation: Observation) -> None:
        """Takes the next frame of the OpenFlow channel."""
        messages = self._listener.feed(observation)
        self._heard.extend(messages)
        if self._tables is not None and messages:
            self._tables.take(messages=messages)
        self._stale = self._stale or bool(messages)

    def poll(self, now_ns: int) -> list[News]:
        """What has come to rest by now, in the order of the packets' numbers."""
        self._ask(now_ns - TABLES_NS)
        self._look(now_ns, final=False)
        for journey in self._follower.ready():
            packet = self._by_root.pop(id(journey.root), None)
            if packet is not None:
                self._settle(packet, journey.last_ns)
        self._forget(now_ns)
        if self._stale:
            self._relate(now_ns)
        return self._news(now_ns, final=False)

    def finish(self, *, asking: bool = True) -> list[News]:
        """All that is left. Nothing may be fed afterwards. asking: the switches' tables are asked
        about it, too; they can be asked nothing more then."""
        if asking:
            self._ask(None)
        self._look(0, final=True)
        for packet in self._by_root.values():
            self._settle(packet, last_seen(packet.journey.root))
        self._relate(None)
        return self._news(0, final=True)

    def _look(self, now_ns: int, *, final: bool) -> None:
        """Gives numbers, and takes up what has moved and rests again."""
        self._follow(None if final else now_ns - NUMBER_NS)
        if final:
            self._follower.settle()
        else:
            self._follower.settle(now_ns - self._rest_ns)
        for root in self._follower.growing(0 if final else self._numbered_ns, self._by_root):
            if not final and now_ns - root.t_ns < self._rest_ns:
                break  # an earlier one may still be stamped later: no number yet
            packet = self._number(root)
            self._moving[packet.journey.number] = packet
        waiting = False  # an older one is not taken up yet
        for packet in [*self._moving.values()]:
            if self._look_at(packet, now_ns, waiting=waiting, final=final):
                waiting = True

    def _look_at(self, packet: _Packet, now_ns: int, *, waiting: bool, final: bool) -> bool:
        """Takes up a packet that has moved, once it rests again and no older one is `waiting`, or
        its patience is over. Whether younger ones are to wait for it."""
        root = packet.journey.root
        hops, moved = packet.journey.walk()
        if moved <= packet.last_ns or root.origin is not Origin.BORN:
            return False
        rests = final or now_ns - moved >= self._rest_ns
        if not final and now_ns < packet.again_ns and (waiting or not rests):
            return not packet.hurry
        packet.hurry = not rests
        if packet.hurry:
            packet.again_ns = now_ns + max(PATIENCE_NS, now_ns - root.t_ns)
        packet.last_ns = moved
        way = self._tell(packet, hops)
        if packet.arrived and not packet.hurry and way.storm is None:
            # Should it move all the same, that is seen when it is settled.
            del self._moving[packet.journey.number]
        return False

    def _number(self, root: Hop) -> _Packet:
        self.packets += 1
        self._numbered_ns = max(self._numbered_ns, root.t_ns)
        if not self._started_ns:
            self._started_ns = root.t_ns
            self._causes = Causes(self._places, begun_ns=root.t_ns)
        packet = _Packet(Journey(self.packets, root), root.t_ns + PATIENCE_NS)
        self._by_root[id(root)] = packet
        self._recent.append(packet)
        if self.channel:
            self._undecided.append(packet)
        self._by_number[packet.journey.number] = packet
        # Before any of the packets is told that come after it.
        moved = self._places.learn([packet.journey])
        if moved:
            self._causes.moved(moved)
        return packet

    def _tell(self, packet: _Packet, hops: list[Hop] | None = None) -> Way:
        """Makes the record of the packet's way, and hands it to whoever makes others by it."""
        first = packet.way is None
        way = packet.way = tell_way(
            self._places, packet.journey, self._started_ns, self._evidence, self._routes, hops
        )
        # An address of IPv6, a link-local one, may yet turn out to be that of a node that got it.
        packet.arrived = way.at_rest and way.packet.ipv6 is None
        if first:  # a segment is placed once
            packet.segment = self._connections.add(way) or self._quic.add(way)
        else:
            self._connections.note_ends(way)
        trip = packet.trip
        if trip.number in self._by_number:
            self._causes.put(trip)
            if self.channel:
                packet.arrivals = list(arrivals_of(self._wiring, packet.journey, trip))
        self._changed[trip.number] = packet
        self._stale = True
        return way

    def _settle(self, packet: _Packet, moved: int) -> None:
        """It goes no further than it went at the time `moved`. Whose an address is may have shown
        only since it was told."""
        packet.sure = True
        self._moving.pop(packet.journey.number, None)
        if packet.way is None:
            return
        if packet.way.ended or moved > packet.last_ns:
            packet.last_ns = moved
            self._tell(packet)

    def _forget(self, now_ns: int) -> None:
        """What is too long ago to be the cause of anything."""
        recent, limit = self._recent, now_ns - WINDOW_NS
        past: list[Arrival] = []
        gone: set[int] = set()
        while recent and (recent[0].journey.root.t_ns < limit or len(recent) > WINDOW_MOST):
            packet = recent.popleft()
            if self._undecided and self._undecided[0] is packet:
                past += self._undecided.popleft().arrivals
                packet.arrivals = []
            number = packet.journey.number
            del self._by_number[number]
            gone.add(number)
        if gone:
            self._causes.forget(gone)
        if recent:
            limit = max(limit, recent[0].journey.root.t_ns)
        over = []
        while self._heard and self._heard[0].t_ns < limit:
            over.append(self._heard.popleft())
        self._state.learn(self._wiring, over, past)
        if self._tables is not None and self._source is not None:
            self._tables.forget(limit)
            self._source.forget(limit)

    def _relate(self, now_ns: int | None) -> None:
        """What the recent packets tell of each other, as far as it has changed."""
        self._stale = False
        for number, relation in self._causes.update(now_ns).items():
            packet = self._by_number[number]
            relation = _kept(packet.relation, relation)
            if relation != packet.relation:
                packet.relation = relation
                self._changed[number] = packet
        if self.channel:
            self._decide(now_ns)

    def _decide(self, now_ns: int | None) -> None:
        """What switches decided about the recent packets, as far as more can be decided about them:
        each answer and each flow is told of one question."""
        # A question may be about a packet that has no number yet, and none of those before it.
        messages = [
            message
            for message in self._heard
            if now_ns is None or message.t_ns < now_ns - NUMBER_NS or not message.up
        ]
        arrivals = [arrival for packet in self._undecided for arrival in packet.arrivals]
        found = decide(self._wiring, arrivals, messages, self._state, now_ns, self._source)
        for number in found.by_packet:
            packet, decisions = self._by_number[number], found.about(number)
            if decisions != packet.decisions:
                packet.decisions = decisions
                self._changed[number] = packet
        if self._source is not None:
            self._note_makers(self._source, found)
        if now_ns is not None:
            self._learn_decided(now_ns, found)

    def _note_makers(self, source: TableDecisions, found: Decisions) -> None:
        """Which packets the controller had a switch send, asked about which others."""
        unexplained = [
            packet for packet in self._undecided if packet.way is not None and packet.way.cause
        ]
        if not unexplained:
            return
        by_packet = {packet.journey.number: [*packet.decisions] for packet in self._recent}
        for packet in unexplained:
            assert packet.way is not None
            packet.way = source.made_by_controller(
                packet.way, Decisions(found.switches, by_packet)
            )

    def _learn_decided(self, now_ns: int, found: Decisions) -> None:
        """Takes up, once for all, the frames and messages after which no decision is found
        otherwise: what a question is about, and what answers it, is no further away than that."""
        limit = now_ns - AT_MOST_NS
        if self._source is not None:
            limit = min(limit, self._source.settled_ns)
        undecided = self._undecided
        past: list[Arrival] = []
        while undecided and _decided(undecided[0], limit):
            packet = undecided.popleft()
            past += packet.arrivals
            packet.arrivals = []
        if undecided:
            limit = min(limit, undecided[0].journey.root.t_ns)
        over: list[ChannelMessage] = []
        while self._heard and self._heard[0].t_ns < limit:
            over.append(self._heard.popleft())
        if past or over:
            self._state.switches |= found.switches
            self._state.learn(self._wiring, over, past)

    def _news(self, now_ns: int, *, final: bool) -> list[News]:
        out = []
        quiet_ns = now_ns - QUIET_NS
        for number in sorted(self._changed):
            packet = self._changed[number]
            shown = packet.shown
            moved = shown is None or packet.last_ns > shown.last_ns
            if moved and packet.last_ns > quiet_ns and not final and not packet.hurry:
                continue
            del self._changed[number]
            new = self._new(packet, packet.trip, moved)
            if moved or new.cause or new.decisions or new.notes or new.ended:
                out.append(new)
        return out

    def _new(self, packet: _Packet, trip: Trip, moved: bool) -> News:
        """What has not been said; it is, afterwards."""
        shown, cause, notes = packet.shown, trip.cause, trip.notes
        ended = trip.ended if packet.sure or packet.arrived else ""
        if shown is None:
            decisions, names = _unread(trip.decisions, ()) if trip.decisions else ((), ())
            packet.shown = _Shown(packet.last_ns, trip.causes, cause, names, notes, bool(ended))
            return News(trip, False, moved, cause, decisions, notes, ended)
        decisions, names = _unread(trip.decisions, shown.decisions)
        # The same packet as cause, named in other words, is no news.
        if shown.cause and (cause == shown.cause or trip.causes == shown.causes):
            cause = ""
        if notes and shown.notes:
            notes = tuple(note for note in notes if note not in shown.notes)
        if shown.ended:
            ended = ""
        shown.last_ns, shown.causes, shown.decisions = packet.last_ns, trip.causes, names
        shown.cause = trip.cause or shown.cause
        shown.notes += notes
        shown.ended = shown.ended or bool(ended)
        return News(trip, True, moved, cause, decisions, notes, ended)


def _unread(
    decisions: Iterable[Decision], read: tuple[tuple[str, int], ...]
) -> tuple[tuple[Decision, ...], tuple[tuple[str, int], ...]]:
    """Those of the decisions that nobody has read of; and the names of all that were read then."""
    unread: tuple[Decision, ...] = ()
    for decision in decisions:
        name = _name(decision)
        if name not in read:
            read += (name,)
            unread += (decision,)
    return unread, read


def _decided(packet: _Packet, limit_ns: int) -> bool:
    """Nothing more can be decided about it: it moves no more, and what was asked about it is
    answered, or was asked too long ago. limit_ns: what was asked since may yet be answered."""
    if not packet.sure or packet.last_ns >= limit_ns:
        return False
    waits = any(
        decision.by == "controller" and decision.wait_ms is None for decision in packet.decisions
    )
    return not waits or packet.last_ns < limit_ns - AT_MOST_NS


def _name(decision: Decision) -> tuple[str, int]:
    """Tells a decision from others about the same packet: a leg's number changes as it grows."""
    return decision.node, decision.packet_in


def _kept(before: Relation, now: Relation) -> Relation:
    """What was known stays known, though the packet that showed it is out of the window."""
    if before is UNRELATED:
        return now
    older = tuple(note for note in before.notes if note not in now.notes)
    return Relation(
        now.cause or before.cause,
        now.causes or before.causes,
        now.answered_by or before.answered_by,
        now.notes + older,
    )
