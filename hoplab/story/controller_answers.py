# SPDX-License-Identifier: Apache-2.0
"""Why a switch did what it did with a frame: what it asked its controller, and what flows it had.

What lives here: the join of frames with the captured OpenFlow channel. What must not: the bytes of
OpenFlow (`hoplab.decode.openflow`), layout.

1. A connection is a switch's: its features reply gives the datapath id; without one (the capture
   began later) the first packet-in whose frame came to exactly one switch tells.
2. A packet-in belongs to the newest frame that came to that switch by that port before it, has
   the same bytes (as many as were sent along) and has not been asked about yet.
3. Its answer is the first packet-out or flow-mod on the same connection with its buffer id, or the
   first packet-out that carries the same frame; else the first packet-out within 50 ms and before
   the next question, unless an older question still waits: a router asks for a MAC address first.
   A probe (LLDP) needs no answer.
4. Flows were installed because of it if the controller sent them between question and answer and
   they name an address of the frame, or its port alone, or bear the question's xid. Each is told of
   one question.
5. Which flow asked: the one of the packet-in's table and cookie that sends to the controller.
6. A frame that went nowhere while the connection was closed: there was nobody to ask.
7. A flood that was not asked about: the flows that the channel has shown so far are looked
   through as the switch does (OpenFlow 1.3.5, 5.1). Where the capture began later than they, one
   that does what was seen is likely, since one that is not known may stand before it; and where the
   channel has shown none at all, one from before the capture is. If some were shown and none of
   them does it, or if the channel is of a version that is not read, the flow is not known.
8. A flow is gone when a flow-removed or a deletion says so, or its time-out has passed (5.5). It is
   named no more, but a question that it would have spared is told with what became of it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from hoplab.decode.openflow import NO_BUFFER, VERSION, VERSIONS, Match, Message
from hoplab.follow.model import Journey
from hoplab.follow.wiring import Wiring
from hoplab.sentences import Sentence, number_of, say, term
from hoplab.story.conversation import ChannelMessage, Connection
from hoplab.story.records import Decision, Trip

AT_MOST_NS = 5_000_000_000  # a controller that takes longer has answered something else
OTHER_NS = 50_000_000  # a frame that is not the one asked about is an answer only right after
SECOND = 1_000_000_000
LATE_NS = 2 * SECOND  # Open vSwitch looks about once a second which flows have timed out
SLACK_NS = 1_000_000  # the clock is one, but two interfaces of two processors are not
_KEY = 34  # bytes by which frames are looked up: Ethernet header and most of what follows
_HEADER = 14  # bytes; a match that asks for more than these is told apart no further
_LLDP = b"\x88\xcc"  # IEEE 802.1AB
_ANY_TABLE = 0xFF
_NEVER_NS = 1 << 62

# Table, priority and `Match.key` of a flow: two that agree in these are one (OpenFlow 1.3.5, 5.2).
_Key = tuple[int, int, frozenset[tuple[str, bytes, "bytes | None"]]]


@dataclass(slots=True, eq=False)
class Arrival:
    """A frame that came to a switch."""

    t_ns: int
    node: str
    in_port: int | None
    data: bytes
    trip: Trip
    leg: int
    question: ChannelMessage | None = None


@dataclass(slots=True)
class _Flow:
    """A flow as the channel showed it. since_ns, used_ns: when it came, and took a frame last."""

    table: int
    priority: int
    match: Match
    ports: tuple[str, ...]
    next: int | None
    cookie: int
    floods: bool
    idle_s: int
    hard_s: int
    since_ns: int
    used_ns: int

    def end_ns(self) -> tuple[int, str] | None:
        """When it times out if no frame comes, and of what; None for never."""
        ends = []
        if self.idle_s:
            ends.append((self.used_ns + self.idle_s * SECOND, "idle"))
        if self.hard_s:
            ends.append((self.since_ns + self.hard_s * SECOND, "hard"))
        return min(ends, default=None)


@dataclass(slots=True)
class _Tables:
    """The flows of a switch. whole: they were seen from the first one on. gone: those that were
    there before, with what became of them: 'idle', 'hard' or 'delete'."""

    flows: dict[_Key, _Flow] = field(default_factory=dict)
    gone: dict[_Key, tuple[_Flow, str]] = field(default_factory=dict)
    whole: bool = False
    changed: bool = False  # flows were put in while the capture ran
    # Flows with time-outs that take a frame with this port and Ethernet header, until flows change.
    _users: dict[tuple[int | None, bytes], list[_Flow]] = field(default_factory=dict)
    _look_ns: int = 0  # before then none times out

    def apply(self, message: Message, t_ns: int) -> None:
        """A flow-mod (7.3.4.1) or a flow-removed (7.4.2)."""
        match = message.match or Match()
        table = message.table or 0
        key = (table, message.priority, match.key)
        if message.kind == "flow-removed":
            self._take_out(key, message.reason)
        elif message.command in ("add", "modify", "modify-strict"):
            self._put_in(key, message, match, t_ns)
        elif message.command == "delete-strict":
            flow = self.flows.get(key)
            if flow is not None and _sends_there(flow, message):
                self._take_out(key, "delete")
        elif message.command == "delete":
            self._delete(table, message, match)

    def _put_in(self, key: _Key, message: Message, match: Match, t_ns: int) -> None:
        self.changed = True
        self.gone.pop(key, None)
        self._users.clear()
        self._look_ns = 0
        self.flows[key] = _Flow(
            key[0], message.priority, match, message.ports, message.table_next,
            message.cookie or 0, message.floods, message.idle_s, message.hard_s, t_ns, t_ns,
        )  # fmt: skip

    def _delete(self, table: int, message: Message, match: Match) -> None:
        """Takes out all flows that a deletion means; one that means every flow shows that none is
        left from before the capture."""
        mask = message.cookie_mask
        if table == _ANY_TABLE and not match.fields and not mask:
            self.whole = self.whole or (message.only is None and not message.grouped)
        for key, flow in list(self.flows.items()):
            named = all(flow.match.fields.get(name) == raw for name, raw in match.fields.items())
            meant = (flow.cookie ^ (message.cookie or 0)) & mask == 0
            meant = meant and _sends_there(flow, message)
            if named and meant and table in (_ANY_TABLE, flow.table):
                self._take_out(key, "delete")

    def copy(self) -> _Tables:
        """One that may be changed without this one."""
        flows = {key: replace(flow) for key, flow in self.flows.items()}
        return _Tables(flows, dict(self.gone), self.whole, self.changed)

    def _take_out(self, key: _Key, why: str) -> None:
        flow = self.flows.pop(key, None)
        if flow is not None:
            self.gone[key] = flow, why
            self._users.clear()

    def pass_frame(self, in_port: int | None, frame: bytes, t_ns: int) -> None:
        """A frame came at that time: what has timed out is gone, what takes it is in use."""
        if t_ns > self._look_ns:
            self._time_out(t_ns)
        head = in_port, frame[:_HEADER]
        users = self._users.get(head)
        if users is None:
            users = self._users[head] = [
                flow for flow in self.flows.values()
                if (flow.idle_s or flow.hard_s) and flow.match.takes(in_port, frame) is not False
            ]  # fmt: skip
        for flow in users:
            flow.used_ns = max(flow.used_ns, t_ns)

    def _time_out(self, t_ns: int) -> None:
        ends = []
        for key, flow in list(self.flows.items()):
            end = flow.end_ns()
            if end is None:
                continue
            if t_ns > end[0] + LATE_NS:
                self._take_out(key, end[1])
            else:
                ends.append(end[0] + LATE_NS)  # or later, if it is used meanwhile
        self._look_ns = min(ends, default=_NEVER_NS)

    def decide(self, in_port: int | None, frame: bytes, t_ns: int) -> _Flow | None:
        """The flow that sends the frame on, None if that cannot be told."""
        table: int | None = 0
        for _ in range(256):
            fitting = []
            for flow in self.flows.values():
                if flow.table != table:
                    continue
                takes = flow.match.takes(in_port, frame)
                end = flow.end_ns()
                if takes is None or (takes and end is not None and t_ns > end[0]):
                    return None  # a switch may be late to take out what has timed out
                if takes:
                    fitting.append(flow)
            if not fitting:
                return None
            best = max(fitting, key=lambda flow: flow.priority)
            if best.next is None:
                return best
            table = best.next
        return None

    def missed(self, in_port: int | None, frame: bytes, table: int | None) -> str:
        """What became of the flow that would have taken the frame, as a clause, or ""."""
        for flow, why in reversed(list(self.gone.values())):
            if flow.table != table or "CONTROLLER" in flow.ports or not flow.match.fields:
                continue
            if flow.match.takes(in_port, frame):
                if why == "idle":
                    return say("the last one expired, unused for {seconds} s", seconds=flow.idle_s)
                if why == "hard":
                    return say(
                        "the last one expired {seconds} s after it had come", seconds=flow.hard_s
                    )
                return term("the last one was deleted")
        return ""

    def asking(self, message: Message) -> _Flow | None:
        """The flow that sent a packet-in."""
        for flow in self.flows.values():
            if (flow.table, flow.cookie) == (message.table, message.cookie or 0) and (
                "CONTROLLER" in flow.ports
            ):
                return flow
        return None


def _sends_there(flow: _Flow, message: Message) -> bool:
    """A deletion that names a port means flows that send there (7.3.4.1); groups are not known."""
    return not message.grouped and (message.only is None or message.only in flow.ports)


@dataclass(slots=True)
class ChannelState:
    """What the channel has said of each switch before the messages at hand: whose a connection
    is, and the flows of each switch."""

    switches: dict[Connection, str] = field(default_factory=dict)
    tables: dict[str, _Tables] = field(default_factory=dict)
    open: dict[Connection, bool] = field(default_factory=dict)
    unread: dict[Connection, str] = field(default_factory=dict)  # version, if it is not read here
    missing: set[str] = field(default_factory=set)  # switches that have had no flow for a frame

    def learn(
        self, wiring: Wiring, messages: Sequence[ChannelMessage], arrivals: Iterable[Arrival]
    ) -> None:
        """Take up messages, and frames at switches, that are looked at no more."""
        self.switches |= _connections(wiring, messages)
        past: list[ChannelMessage | Arrival] = [*messages, *arrivals]
        for event in sorted(past, key=_time_of):
            if isinstance(event, ChannelMessage):
                self.take(event)
            elif event.node in self.tables:
                self.tables[event.node].pass_frame(event.in_port, event.data, event.t_ns)

    def take(self, heard: ChannelMessage) -> None:
        """Take up one message."""
        message = heard.message.inner or heard.message
        self.open[heard.connection] = message.kind != "closed"
        self.note_version(heard)
        self.note_question(heard)
        node = self.switches.get(heard.connection)
        if node is not None and message.kind == ("flow-removed" if heard.up else "flow-mod"):
            self.tables.setdefault(node, _Tables()).apply(message, heard.t_ns)

    def alone(self, node: str) -> bool:
        """Its connection is closed; all are, if it is not known which one is its own."""
        mine = [
            connection
            for connection, owner in self.switches.items()
            if owner == node and connection in self.open
        ]
        is_open = [self.open[connection] for connection in mine or self.open]
        return bool(is_open) and not any(is_open)

    def note_question(self, heard: ChannelMessage) -> None:
        """What a question tells of the switch: no flow of its own takes all frames."""
        node = self.switches.get(heard.connection)
        message = heard.message
        if node is not None and message.kind == "packet-in" and message.reason == "no-match":
            self.missing.add(node)

    def note_version(self, heard: ChannelMessage) -> None:
        """Which version is spoken on a connection: the same from the first message to the last, but
        for those that come before it is agreed."""
        message = heard.message
        if message.kind in ("hello", "error", "closed"):
            return
        if message.version == VERSION:
            self.unread.pop(heard.connection, None)
        else:
            self.unread[heard.connection] = VERSIONS.get(message.version, str(message.version))

    def unread_version(self, node: str) -> str:
        """The version of OpenFlow on its connection, if it is one that is not read here; also of a
        connection that may be its own."""
        return next(
            (
                version for connection, version in self.unread.items()
                if self.open.get(connection, True) and self.switches.get(connection, node) == node
            ),
            "",
        )  # fmt: skip

    def copy(self) -> ChannelState:
        """One that may be changed without this one."""
        tables = {node: flows.copy() for node, flows in self.tables.items()}
        unread, missing = dict(self.unread), set(self.missing)
        return ChannelState(dict(self.switches), tables, dict(self.open), unread, missing)


def add_decisions(
    wiring: Wiring,
    journeys: Sequence[Journey],
    trips: Sequence[Trip],
    messages: Sequence[ChannelMessage],
) -> dict[Connection, str]:
    """Fills in `Trip.decisions`; `messages` may be nothing at all, which is telling too. Gives the
    switches of the connections, as far as they are known."""
    arrivals = [
        arrival
        for journey, trip in zip(journeys, trips, strict=True)
        for arrival in arrivals_of(wiring, journey, trip)
    ]
    return decide(wiring, arrivals, messages)


def decide(
    wiring: Wiring,
    arrivals: Iterable[Arrival],
    messages: Sequence[ChannelMessage],
    state: ChannelState | None = None,
    now_ns: int | None = None,
) -> dict[Connection, str]:
    """Adds to `Trip.decisions` of these arrivals what `messages` tells of them; the switches of the
    connections, as far as they are known.

    now_ns: what is not answered by then may still be; None if there is nothing more to come.
    """
    arrivals = sorted(arrivals, key=_time_of)
    state = state.copy() if state is not None else ChannelState()
    state.switches |= _connections(wiring, messages)
    _join(arrivals, messages, state.switches)
    for heard in messages:
        state.note_version(heard)
        state.note_question(heard)
    answers, questions = _Answers(messages, now_ns), _questions(messages, state.switches)
    place = 0
    for arrival in arrivals:
        asked = arrival.question
        until = asked.t_ns if asked is not None else arrival.t_ns
        while place < len(messages) and messages[place].t_ns <= until:
            state.take(messages[place])
            place += 1
        tables = state.tables.get(arrival.node, _Tables())
        tables.pass_frame(arrival.in_port, arrival.data, arrival.t_ns)
        if asked is None:
            decision = _unasked(wiring, arrival, tables, state)
            if decision is not None and decision.by != "nobody" and not decision.flow:
                decision = _perhaps_asked(arrival, decision, questions)
        else:
            decision = _asked(wiring, arrival, asked, answers, tables)
            waits = now_ns is not None and now_ns - asked.t_ns < AT_MOST_NS
            if waits and decision.wait_ms is None:
                continue
        if decision is not None:
            arrival.trip.decisions.append(decision)
    return state.switches


def arrivals_of(wiring: Wiring, journey: Journey, trip: Trip) -> Iterator[Arrival]:
    """Where a packet came to a datapath: a switch, or a router that is one."""
    for leg, hop in enumerate(journey.hops()):
        if hop.head is None or not wiring.is_datapath(hop.head):
            continue
        seen = hop.received or hop.seen
        number = wiring.interfaces[hop.head].extra.get("port")
        node = wiring.node_name(hop.head)
        in_port = number if isinstance(number, int) else None
        yield Arrival(seen.t_ns, node, in_port, hop.data, trip, leg)


def _connections(wiring: Wiring, messages: Sequence[ChannelMessage]) -> dict[Connection, str]:
    """Which switch is at the other end, where a features reply says it."""
    by_id: dict[int, str] = {}
    for node in wiring.nodes.values():
        text = node.extra.get("dpid")
        if isinstance(text, str):
            try:
                by_id[int(text, 16)] = node.name
            except ValueError:
                continue
    return {
        heard.connection: by_id[heard.message.dpid]
        for heard in messages
        if heard.message.dpid is not None and heard.message.dpid in by_id
    }


def _join(
    arrivals: Sequence[Arrival], messages: Sequence[ChannelMessage], switches: dict[Connection, str]
) -> None:
    """Fills in `Arrival.question`, and the switches of connections that did not say."""
    by_bytes: dict[bytes, list[Arrival]] = {}
    for arrival in arrivals:
        by_bytes.setdefault(arrival.data[:_KEY], []).append(arrival)
    for question in messages:
        asked = question.message
        if asked.kind != "packet-in" or not asked.data:
            continue
        node = switches.get(question.connection)
        fitting = _fitting(by_bytes.get(asked.data[:_KEY], []), question, node)
        if node is None and len({arrival.node for arrival in fitting}) == 1:
            switches[question.connection] = fitting[0].node
        if fitting:
            fitting[0].question = question


def _fitting(same: Sequence[Arrival], question: ChannelMessage, node: str | None) -> list[Arrival]:
    """The arrivals that a question may be about, the newest first; of a switch that is known no
    more than that one, since in a storm there may be very many. same: those whose bytes begin
    alike, in order of time."""
    asked = question.message
    fitting: list[Arrival] = []
    place = bisect_right(same, question.t_ns + SLACK_NS, key=_time_of)
    while place and question.t_ns - same[place - 1].t_ns <= AT_MOST_NS:
        place -= 1
        arrival = same[place]
        if (
            arrival.question is None
            and (node is None or arrival.node == node)
            and (arrival.in_port is None or arrival.in_port == asked.in_port)
            and _same(arrival.data, asked.data)
        ):
            fitting.append(arrival)
            if node is not None:
                break
    return fitting


def _same(frame: bytes, part: bytes) -> bool:
    """The same frame, cut by the switch or padded on the way."""
    size = min(len(frame), len(part))
    return frame[:size] == part[:size]


class _Answers:
    """What the controller messages, by connection; each answer and each flow is taken once."""

    def __init__(self, messages: Sequence[ChannelMessage], now_ns: int | None) -> None:
        self._now_ns = now_ns
        self._said: dict[Connection, list[ChannelMessage]] = {}
        self._asked: dict[Connection, list[int]] = {}  # when
        self._taken: set[int] = set()
        self._silent: dict[Connection, int] = {}  # when the last was asked that got nothing
        for heard in messages:
            if not heard.up:
                self._said.setdefault(heard.connection, []).append(heard)
            elif heard.message.kind == "packet-in":
                self._asked.setdefault(heard.connection, []).append(heard.t_ns)

    def find(self, question: ChannelMessage) -> tuple[ChannelMessage | None, list[Message]]:
        """The answer, and the flows that came with it."""
        answer, flows = self._own(question)
        if answer is None:
            answer, more = self._other(question)
            flows += more
        if answer is None and not flows:
            self._silent[question.connection] = question.t_ns
        return answer, flows

    def _other(self, question: ChannelMessage) -> tuple[ChannelMessage | None, list[Message]]:
        """What came right after, before anything else was asked, though it does not name the frame:
        a router asks for a MAC address first, say, or knows one now."""
        flows: list[Message] = []
        if question.message.data[12:14] == _LLDP:
            return None, flows  # it needs no answer; what follows is another probe
        if question.t_ns - self._silent.get(question.connection, -OTHER_NS) < OTHER_NS:
            return None, flows  # it may be the answer to that
        until = question.t_ns + OTHER_NS
        if self._now_ns is not None and self._now_ns < until:
            return None, flows  # its own may be still to come
        asked = self._asked.get(question.connection, [])
        place = bisect_right(asked, question.t_ns)
        if place < len(asked):
            until = min(until, asked[place])
        for heard in self._after(question, until):
            if heard.message.kind == "packet-out" and id(heard) not in self._taken:
                self._taken.add(id(heard))
                return heard, flows
            if _installs(heard.message):
                self._take(heard.message, flows)
        return None, flows

    def _own(self, question: ChannelMessage) -> tuple[ChannelMessage | None, list[Message]]:
        asked = question.message
        flows: list[Message] = []
        for heard in self._after(question, question.t_ns + AT_MOST_NS):
            message = heard.message
            if _installs(message):
                if _because(message, asked):
                    self._take(message, flows)
                answers = _buffered(message, asked)
            else:
                answers = message.kind == "packet-out" and _carries(message, asked)
            if answers and id(heard) not in self._taken:
                self._taken.add(id(heard))
                return heard, flows
        return None, flows

    def _after(self, question: ChannelMessage, until_ns: int) -> Iterator[ChannelMessage]:
        """What was said on its connection later, up to that time."""
        later = self._said.get(question.connection, [])
        for place in range(bisect_right(later, question.t_ns, key=_time_of), len(later)):
            if later[place].t_ns > until_ns:
                return
            yield later[place]

    def _take(self, flow: Message, flows: list[Message]) -> None:
        if id(flow) not in self._taken:
            self._taken.add(id(flow))
            flows.append(flow)


def _installs(message: Message) -> bool:
    return message.kind == "flow-mod" and message.command in ("add", "modify")


def _time_of(event: ChannelMessage | Arrival) -> int:
    return event.t_ns


def _carries(message: Message, asked: Message) -> bool:
    """A packet-out with the frame of a question, or with the number of the buffer it is in."""
    if message.buffer_id != NO_BUFFER or not message.data:
        return _buffered(message, asked)
    return message.in_port in (None, asked.in_port) and _same(message.data, asked.data)


def _asked(
    wiring: Wiring, arrival: Arrival, question: ChannelMessage, answers: _Answers, tables: _Tables
) -> Decision:
    """What came of a question."""
    asked = question.message
    answer, flows = answers.find(question)
    if answer is None and arrival.data[12:14] == _LLDP:
        text = say(
            "{switch} handed it to the controller, which sees by it who is next to whom",
            switch=arrival.node,
        )
        return Decision(
            arrival.node, arrival.leg, "controller", text, term("handed over"),
            packet_in=question.number,
        )  # fmt: skip
    missed = tables.missed(arrival.in_port, arrival.data, asked.table)
    verdict: str = ""
    wait_ms = None
    if answer is not None:
        wait_ms = (answer.t_ns - question.t_ns) / 1e6
        verdict = _verdict(wiring, arrival.node, answer.message)
    reaction = _reaction(answer, asked, verdict, wait_ms, len(flows))
    if answer is not None and _about_another(answer.message, asked):
        verdict = say("another frame to {verdict}", verdict=verdict)
    flow = tables.asking(asked)
    return Decision(
        node=arrival.node,
        leg=arrival.leg,
        by="controller",
        sentence=say(
            "{why} (table {table}) and asked the controller, which {reaction}",
            why=_why_asked(arrival.node, asked, missed), table=asked.table, reaction=reaction,
        ),
        answer=verdict,
        wait_ms=wait_ms,
        packet_in=question.number,
        packet_out=answer.number if answer is not None else 0,
        flow=_flow_words(flow) if flow is not None else "",
        installed=tuple(_installed(wiring, arrival.node, message) for message in flows),
        missed=missed,
    )  # fmt: skip


def _why_asked(switch: str, asked: Message, missed: str) -> Sentence:
    """Why a switch asked, as the beginning of a sentence."""
    if missed:
        return say("{switch} had no flow for it any more: {missed}", switch=switch, missed=missed)
    if asked.reason == "no-match":
        return say("{switch} had no flow for it", switch=switch)
    return say("{switch} has a flow that sends it to the controller", switch=switch)


def _reaction(
    answer: ChannelMessage | None, asked: Message, verdict: str, wait_ms: float | None, flows: int
) -> Sentence:
    """What the controller did, as the end of a sentence. flows: how many it installed."""
    if answer is None and flows:
        reaction = term("sent no frame back")
    elif answer is None:
        reaction = term("gave no answer")
    elif _about_another(answer.message, asked):
        reaction = say(
            "answered by another frame to {verdict} after {ms:.2f} ms", verdict=verdict, ms=wait_ms
        )
    else:
        reaction = say("answered {verdict} after {ms:.2f} ms", verdict=verdict, ms=wait_ms)
    if not flows:
        return reaction
    return number_of(
        "installed {n:,} flow and {reaction}", "installed {n:,} flows and {reaction}",
        flows, reaction=reaction,
    )  # fmt: skip


def _about_another(answer: Message, asked: Message) -> bool:
    """The controller sent out another frame than the one that it was asked about."""
    return answer.kind == "packet-out" and not _carries(answer, asked)


def _flow_words(flow: _Flow) -> Sentence:
    return say(
        "table {table}, priority {priority}, {match}",
        table=flow.table, priority=flow.priority, match=_match_words(flow.match),
    )  # fmt: skip


def _match_words(match: Match) -> str:
    return str(match) if match.fields else term("any frame")


def _buffered(message: Message, asked: Message) -> bool:
    return message.buffer_id == asked.buffer_id != NO_BUFFER


def _because(message: Message, asked: Message) -> bool:
    match = message.match or Match()
    ends = {asked.data[:6], asked.data[6:12]}
    if _buffered(message, asked) or (message.xid == asked.xid != 0):
        return True
    named = [match.fields[name] for name in ("eth_src", "eth_dst") if name in match.fields]
    return any(mac in ends for mac in named) or (
        not named and match.in_port is not None and match.in_port == asked.in_port
    )


def _verdict(wiring: Wiring, node: str, message: Message) -> str:
    return _ports(wiring, node, message.ports) if message.ports else term("drop")


def _ports(wiring: Wiring, node: str, ports: Iterable[str]) -> str:
    """'port 1 (s1-eth1) and port 2 (s1-eth2)'."""
    words: str = ""
    for port in ports:
        word = _port(wiring, node, port)
        words = say("{first} and {second}", first=words, second=word) if words else word
    return words


_NAMED_PORTS = {
    "FLOOD": term("flood"),
    "ALL": term("all ports"),
    "TABLE": term("look in the tables again"),
    "IN_PORT": term("back where it came from"),
    "CONTROLLER": term("the controller"),
}


def _port(wiring: Wiring, node: str, port: str) -> str:
    """'flood', 'port 2 (s1-eth2)'."""
    if port in _NAMED_PORTS:
        return _NAMED_PORTS[port]
    if not port.isdigit():
        return port
    for number in wiring.ports(node) if node in wiring.nodes else ():
        if str(wiring.interfaces[number].extra.get("port")) == port:
            interface = wiring.port_name(number)
            return say("port {port} ({interface})", port=port, interface=interface)
    return say("port {port}", port=port)


def _installed(wiring: Wiring, node: str, message: Message) -> Sentence:
    """'table 1: eth_dst=02:… → port 1 (s1-eth1)'."""
    action: str = _verdict(wiring, node, message)
    if message.table_next is not None:
        action = say("table {table}", table=message.table_next)
    match = _match_words(message.match or Match())
    return say("table {table}: {match} → {action}", table=message.table, match=match, action=action)


def _unasked(
    wiring: Wiring, arrival: Arrival, tables: _Tables, state: ChannelState
) -> Decision | None:
    """Why a frame was flooded, or went nowhere, that nobody was asked about."""
    node, leg, trip = arrival.node, arrival.leg, arrival.trip
    fan = next((fanout for fanout in trip.fanouts if fanout.leg == leg), None)
    unjudged = trip.fate in ("dropped", "cut") or trip.doubt  # it is not seen that a flow decided
    if fan is not None and not fan.out and not unjudged and state.alone(node):
        text = say(
            "{switch} had no controller at that moment, and no flow that sends this on: it "
            "dropped it",
            switch=node,
        )
        return Decision(node, leg, "nobody", text, term("drop"))
    if fan is None or not fan.flooded:
        return None
    unread = state.unread_version(node)
    if unread:
        text = say(
            "why {switch} floods this is not known: it speaks OpenFlow {version} with its "
            "controller, which is not read here",
            switch=node, version=unread,
        )  # fmt: skip
        return Decision(node, leg, "unknown", text, term("flood"))
    return _flooded(wiring, arrival, tables, node in state.missing)


def _flooded(wiring: Wiring, arrival: Arrival, tables: _Tables, missing: bool) -> Decision:
    """By which flow a switch flooded a frame that it did not ask about. missing: it has had no flow
    for some frame."""
    node, leg = arrival.node, arrival.leg
    flow = tables.decide(arrival.in_port, arrival.data, arrival.t_ns)
    if flow is not None and (flow.floods or _does(wiring, arrival, flow)):
        text = _by_flow(wiring, node, flow, tables.whole)
        return Decision(node, leg, "flow", text, term("flood"), flow=_flow_words(flow))
    # A flow that floods whatever comes would have taken the frames that it had no flow for.
    if tables.changed or tables.whole or missing:
        text = say(
            "{switch} did not ask the controller, and the capture does not show by which flow it "
            "floods this",
            switch=node,
        )
        return Decision(node, leg, "unknown", text, term("flood"))
    text = say(
        "{switch} did not ask the controller: a flow floods this, most likely one from before the "
        "capture",
        switch=node,
    )
    return Decision(node, leg, "flow", text, term("flood"))


def _by_flow(wiring: Wiring, node: str, flow: _Flow, certain: bool) -> Sentence:
    """certain: no flow that is not known may stand before it."""
    words = _flow_words(flow)
    if flow.floods and certain:
        return say(
            "{switch} did not ask the controller: a flow it has floods this ({flow})",
            switch=node, flow=words,
        )  # fmt: skip
    if flow.floods:
        return say(
            "{switch} did not ask the controller: most likely a flow that came during the capture "
            "floods this ({flow})",
            switch=node, flow=words,
        )  # fmt: skip
    ports = _ports(wiring, node, flow.ports)
    if certain:
        return say(
            "{switch} did not ask the controller: a flow it has sends this to {ports} ({flow})",
            switch=node, ports=ports, flow=words,
        )  # fmt: skip
    return say(
        "{switch} did not ask the controller: most likely a flow that came during the capture "
        "sends this to {ports} ({flow})",
        switch=node, ports=ports, flow=words,
    )  # fmt: skip


def _questions(
    messages: Sequence[ChannelMessage], switches: Mapping[Connection, str]
) -> dict[tuple[str, bytes], list[ChannelMessage]]:
    """What switches asked, by switch and by the first bytes of the frame, in order of time."""
    questions: dict[tuple[str, bytes], list[ChannelMessage]] = {}
    for heard in messages:
        node = switches.get(heard.connection)
        if heard.message.kind == "packet-in" and node is not None:
            questions.setdefault((node, heard.message.data[:_KEY]), []).append(heard)
    return questions


def _perhaps_asked(
    arrival: Arrival,
    decision: Decision,
    questions: Mapping[tuple[str, bytes], list[ChannelMessage]],
) -> Decision:
    """The decision about a frame for which no question was found, unless the switch asked about
    others with the same bytes at that time: then it may be one of them, as where a host answers
    each copy of a storm."""
    near = questions.get((arrival.node, arrival.data[:_KEY]), [])
    for place in range(bisect_left(near, arrival.t_ns - SLACK_NS, key=_time_of), len(near)):
        if near[place].t_ns - arrival.t_ns > AT_MOST_NS:
            break
        if _same(arrival.data, near[place].message.data):
            text = say(
                "{node} asked the controller about frames with these bytes; whether this was one "
                "of them is not known",
                node=arrival.node,
            )
            return Decision(arrival.node, arrival.leg, "unknown", text, term("flood"))
    return decision


def _does(wiring: Wiring, arrival: Arrival, flow: _Flow) -> bool:
    """The frame left by the very ports that the flow names."""
    left = {
        port for leg in arrival.trip.legs
        if leg.parent == arrival.leg and (port := wiring.port(leg.tail_interface)) is not None
    }  # fmt: skip
    numbers = {str(wiring.interfaces[port].extra.get("port")) for port in left}
    return numbers == set(flow.ports)
