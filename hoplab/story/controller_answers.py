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
from hoplab.sentences import say
from hoplab.story.conversation import Connection, Said
from hoplab.story.records import Decision, Trip
from hoplab.story.titles import plural

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
    question: Said | None = None


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
            self.changed = True
            self.gone.pop(key, None)
            self._users.clear()
            self._look_ns = 0
            self.flows[key] = _Flow(
                table, message.priority, match, message.ports, message.table_next,
                message.cookie or 0, message.floods, message.idle_s, message.hard_s, t_ns, t_ns,
            )  # fmt: skip
        elif message.command == "delete-strict":
            flow = self.flows.get(key)
            if flow is not None and _sends_there(flow, message):
                self._take_out(key, "delete")
        elif message.command == "delete":
            mask = message.cookie_mask
            everything = table == _ANY_TABLE and not match.fields and not mask
            everything = everything and message.only is None and not message.grouped
            self.whole = self.whole or everything
            for old, flow in list(self.flows.items()):
                named = all(flow.match.fields.get(n) == v for n, v in match.fields.items())
                meant = (flow.cookie ^ (message.cookie or 0)) & mask == 0
                meant = meant and _sends_there(flow, message)
                if named and meant and table in (_ANY_TABLE, flow.table):
                    self._take_out(old, "delete")

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
                    return f"the last one expired, unused for {flow.idle_s} s"
                if why == "hard":
                    return f"the last one expired {flow.hard_s} s after it had come"
                return "the last one was deleted"
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
class Known:
    """What the channel has said of each switch before the messages at hand: whose a connection
    is, and the flows of each switch."""

    switches: dict[Connection, str] = field(default_factory=dict)
    tables: dict[str, _Tables] = field(default_factory=dict)
    open: dict[Connection, bool] = field(default_factory=dict)
    unread: dict[Connection, str] = field(default_factory=dict)  # version, if it is not read here
    missing: set[str] = field(default_factory=set)  # switches that have had no flow for a frame

    def learn(self, wiring: Wiring, said: Sequence[Said], arrivals: Iterable[Arrival]) -> None:
        """Take up messages, and frames at switches, that are looked at no more."""
        self.switches |= _connections(wiring, said)
        past: list[Said | Arrival] = [*said, *arrivals]
        for one in sorted(past, key=_time_of):
            if isinstance(one, Said):
                self.take(one)
            elif one.node in self.tables:
                self.tables[one.node].pass_frame(one.in_port, one.data, one.t_ns)

    def take(self, one: Said) -> None:
        """Take up one message."""
        message = one.message.inner or one.message
        self.open[one.connection] = message.kind != "closed"
        self.note_version(one)
        self.note_question(one)
        node = self.switches.get(one.connection)
        if node is not None and message.kind == ("flow-removed" if one.up else "flow-mod"):
            self.tables.setdefault(node, _Tables()).apply(message, one.t_ns)

    def alone(self, node: str) -> bool:
        """Its connection is closed; all are, if it is not known which one is its own."""
        mine = [one for one, owner in self.switches.items() if owner == node and one in self.open]
        known = [self.open[one] for one in mine or self.open]
        return bool(known) and not any(known)

    def note_question(self, one: Said) -> None:
        """What a question tells of the switch: no flow of its own takes all frames."""
        node = self.switches.get(one.connection)
        message = one.message
        if node is not None and message.kind == "packet-in" and message.reason == "no-match":
            self.missing.add(node)

    def note_version(self, one: Said) -> None:
        """Which version is spoken on a connection: the same from the first message to the last, but
        for those that come before it is agreed."""
        message = one.message
        if message.kind in ("hello", "error", "closed"):
            return
        if message.version == VERSION:
            self.unread.pop(one.connection, None)
        else:
            self.unread[one.connection] = VERSIONS.get(message.version, str(message.version))

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

    def copy(self) -> Known:
        """One that may be changed without this one."""
        tables = {node: one.copy() for node, one in self.tables.items()}
        unread, missing = dict(self.unread), set(self.missing)
        return Known(dict(self.switches), tables, dict(self.open), unread, missing)


def add_decisions(
    wiring: Wiring, journeys: Sequence[Journey], trips: Sequence[Trip], said: Sequence[Said]
) -> dict[Connection, str]:
    """Fills in `Trip.decisions`; `said` may be nothing at all, which is telling too. Gives the
    switches of the connections, as far as they are known."""
    arrivals = [
        arrival
        for journey, trip in zip(journeys, trips, strict=True)
        for arrival in arrivals_of(wiring, journey, trip)
    ]
    return decide(wiring, arrivals, said)


def decide(
    wiring: Wiring,
    arrivals: Iterable[Arrival],
    said: Sequence[Said],
    known: Known | None = None,
    now_ns: int | None = None,
) -> dict[Connection, str]:
    """Adds to `Trip.decisions` of these arrivals what `said` tells of them; the switches of the
    connections, as far as they are known.

    now_ns: what is not answered by then may still be; None if there is nothing more to come.
    """
    arrivals = sorted(arrivals, key=lambda one: one.t_ns)
    known = known.copy() if known is not None else Known()
    known.switches |= _connections(wiring, said)
    _join(arrivals, said, known.switches)
    for one in said:
        known.note_version(one)
        known.note_question(one)
    answers, questions = _Answers(said, now_ns), _questions(said, known.switches)
    place = 0
    for arrival in arrivals:
        asked = arrival.question
        until = asked.t_ns if asked is not None else arrival.t_ns
        while place < len(said) and said[place].t_ns <= until:
            known.take(said[place])
            place += 1
        tables = known.tables.get(arrival.node, _Tables())
        tables.pass_frame(arrival.in_port, arrival.data, arrival.t_ns)
        if asked is None:
            alone, unread = known.alone(arrival.node), known.unread_version(arrival.node)
            decision = _unasked(wiring, arrival, tables, known, alone, unread)
            if decision is not None and decision.answer == "flood" and not decision.flow:
                decision = _perhaps_asked(arrival, decision, questions)
        else:
            decision = _asked(wiring, arrival, asked, answers, tables)
            waits = now_ns is not None and now_ns - asked.t_ns < AT_MOST_NS
            if waits and decision.wait_ms is None:
                continue
        if decision is not None:
            arrival.trip.decisions.append(decision)
    return known.switches


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


def _connections(wiring: Wiring, said: Sequence[Said]) -> dict[Connection, str]:
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
        one.connection: by_id[one.message.dpid]
        for one in said
        if one.message.dpid is not None and one.message.dpid in by_id
    }


def _join(
    arrivals: Sequence[Arrival], said: Sequence[Said], switches: dict[Connection, str]
) -> None:
    """Fills in `Arrival.question`, and the switches of connections that did not say."""
    by_bytes: dict[bytes, list[Arrival]] = {}
    for arrival in arrivals:
        by_bytes.setdefault(arrival.data[:_KEY], []).append(arrival)
    for one in said:
        asked = one.message
        if asked.kind != "packet-in" or not asked.data:
            continue
        node = switches.get(one.connection)
        same = by_bytes.get(asked.data[:_KEY], [])
        place = bisect_right(same, one.t_ns + SLACK_NS, key=_time_of)
        fitting: list[Arrival] = []
        while place and one.t_ns - same[place - 1].t_ns <= AT_MOST_NS:
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
                    break  # the newest; in a storm there may be very many
        if node is None and len({arrival.node for arrival in fitting}) == 1:
            switches[one.connection] = fitting[0].node
        if fitting:
            fitting[0].question = one


def _same(frame: bytes, part: bytes) -> bool:
    """The same frame, cut by the switch or padded on the way."""
    size = min(len(frame), len(part))
    return frame[:size] == part[:size]


class _Answers:
    """What the controller said, by connection; each answer and each flow is taken once."""

    def __init__(self, said: Sequence[Said], now_ns: int | None) -> None:
        self._now_ns = now_ns
        self._said: dict[Connection, list[Said]] = {}
        self._asked: dict[Connection, list[int]] = {}  # when
        self._taken: set[int] = set()
        self._silent: dict[Connection, int] = {}  # when the last was asked that got nothing
        for one in said:
            if not one.up:
                self._said.setdefault(one.connection, []).append(one)
            elif one.message.kind == "packet-in":
                self._asked.setdefault(one.connection, []).append(one.t_ns)

    def find(self, question: Said) -> tuple[Said | None, list[Message]]:
        """The answer, and the flows that came with it."""
        answer, flows = self._own(question)
        if answer is None:
            answer, more = self._other(question)
            flows += more
        if answer is None and not flows:
            self._silent[question.connection] = question.t_ns
        return answer, flows

    def _other(self, question: Said) -> tuple[Said | None, list[Message]]:
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
        for one in self._after(question, until):
            if one.message.kind == "packet-out" and id(one) not in self._taken:
                self._taken.add(id(one))
                return one, flows
            if _installs(one.message):
                self._take(one.message, flows)
        return None, flows

    def _own(self, question: Said) -> tuple[Said | None, list[Message]]:
        asked = question.message
        flows: list[Message] = []
        for one in self._after(question, question.t_ns + AT_MOST_NS):
            message = one.message
            if _installs(message):
                if _because(message, asked):
                    self._take(message, flows)
                answers = _buffered(message, asked)
            else:
                answers = message.kind == "packet-out" and _carries(message, asked)
            if answers and id(one) not in self._taken:
                self._taken.add(id(one))
                return one, flows
        return None, flows


    def _after(self, question: Said, until_ns: int) -> Iterator[Said]:
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


def _time_of(one: Said | Arrival) -> int:
    return one.t_ns


def _carries(message: Message, asked: Message) -> bool:
    """A packet-out with the frame of a question, or with the number of the buffer it is in."""
    if message.buffer_id != NO_BUFFER or not message.data:
        return _buffered(message, asked)
    return message.in_port in (None, asked.in_port) and _same(message.data, asked.data)


def _asked(
    wiring: Wiring, arrival: Arrival, question: Said, answers: _Answers, known: _Tables
) -> Decision:
    """What came of a question."""
    asked = question.message
    answer, flows = answers.find(question)
    by = known.asking(asked)
    words = [_flow(wiring, arrival.node, flow) for flow in flows]
    verdict, by_another = "", ""
    if answer is not None:
        verdict = _verdict(wiring, arrival.node, answer.message)
        if answer.message.kind == "packet-out" and not _carries(answer.message, asked):
            verdict, by_another = f"another frame to {verdict}", "by "
    wait_ms = (answer.t_ns - question.t_ns) / 1e6 if answer is not None else None
    why = (
        f"{arrival.node} had no flow for it"
        if asked.reason == "no-match"
        else f"{arrival.node} has a flow that sends it to the controller"
    )
    missed = known.missed(arrival.in_port, arrival.data, asked.table)
    if missed:
        why = f"{arrival.node} had no flow for it any more: {missed}"
    if answer is None and arrival.data[12:14] == _LLDP:
        text = f"{arrival.node} handed it to the controller, which sees by it who is next to whom"
        return Decision(
            arrival.node, arrival.leg, "controller", text, "handed over",
            packet_in=question.number,
        )  # fmt: skip
    text = f"{why} (table {asked.table}) and asked the controller, which "
    if words:
        text += f"installed {plural(len(words), 'flow')} and "
    if answer is None:
        text += "gave no answer" if not words else "sent no frame back"
    else:
        text += f"answered {by_another}{verdict} after {wait_ms:.2f} ms"
    return Decision(
        node=arrival.node,
        leg=arrival.leg,
        by="controller",
        sentence=text,
        answer=verdict,
        wait_ms=wait_ms,
        packet_in=question.number,
        packet_out=answer.number if answer is not None else 0,
        flow=f"table {by.table}, priority {by.priority}, {by.match}" if by is not None else "",
        installed=tuple(words),
        missed=missed,
    )


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
    if not message.ports:
        return "drop"
    return " and ".join(_port(wiring, node, port) for port in message.ports)


def _port(wiring: Wiring, node: str, port: str) -> str:
    """'flood', 'port 2 (s1-eth2)'."""
    named = {"FLOOD": "flood", "ALL": "all ports", "TABLE": "look in the tables again",
             "IN_PORT": "back where it came from", "CONTROLLER": "the controller"}  # fmt: skip
    if port in named:
        return named[port]
    if not port.isdigit():
        return port
    for number in wiring.ports(node) if node in wiring.nodes else ():
        if str(wiring.interfaces[number].extra.get("port")) == port:
            return f"port {port} ({wiring.port_name(number)})"
    return f"port {port}"


def _flow(wiring: Wiring, node: str, message: Message) -> str:
    """'table 1: eth_dst=02:… → port 1 (s1-eth1)'."""
    if message.table_next is not None:
        to = f"table {message.table_next}"
    else:
        to = _verdict(wiring, node, message)
    return f"table {message.table}: {message.match} → {to}"


def _unasked(
    wiring: Wiring, arrival: Arrival, tables: _Tables, known: Known, alone: bool, unread: str
) -> Decision | None:
    """Why a frame was flooded, or went nowhere, that nobody was asked about.

    unread: the version of what the switch and its controller say, if that is not read here.
    """
    node, leg = arrival.node, arrival.leg
    fan = next((one for one in arrival.trip.fanouts if one.leg == leg), None)
    trip = arrival.trip
    unjudged = trip.fate in ("dropped", "cut") or trip.doubt  # it is not seen that a flow decided
    if fan is not None and not fan.out and alone and not unjudged:
        text = f"{node} had no controller at that moment, and no flow that sends this on"
        text += ": it dropped it"
        return Decision(node, leg, "nobody", text, "drop")
    if fan is None or not fan.flooded:
        return None
    if unread:
        text = f"why {node} floods this is not known: it speaks OpenFlow {unread} with its "
        return Decision(node, leg, "unknown", text + "controller, which is not read here", "flood")
    flow = tables.decide(arrival.in_port, arrival.data, arrival.t_ns)
    asked = f"{node} did not ask the controller"
    if flow is not None and (flow.floods or _does(wiring, arrival, flow)):
        words = f"table {flow.table}, priority {flow.priority}, {flow.match}"
        does = "floods this"
        if not flow.floods:
            does = f"sends this to {' and '.join(_port(wiring, node, port) for port in flow.ports)}"
        text = f"{asked}: a flow it has {does} ({words})"
        if not tables.whole:
            text = f"{asked}: most likely a flow that came during the capture {does} ({words})"
        return Decision(node, leg, "flow", text, "flood", flow=words)
    # A flow that floods whatever comes would have taken the frames that it had no flow for.
    if tables.changed or tables.whole or node in known.missing:
        text = f"{asked}, and the capture does not show by which flow it floods this"
        return Decision(node, leg, "unknown", text, "flood")
    text = f"{asked}: a flow floods this, most likely one from before the capture"
    return Decision(node, leg, "flow", text, "flood")


def _questions(
    said: Sequence[Said], switches: Mapping[Connection, str]
) -> dict[tuple[str, bytes], list[Said]]:
    """What switches asked, by switch and by the first bytes of the frame, in order of time."""
    questions: dict[tuple[str, bytes], list[Said]] = {}
    for one in said:
        node = switches.get(one.connection)
        if one.message.kind == "packet-in" and node is not None:
            questions.setdefault((node, one.message.data[:_KEY]), []).append(one)
    return questions


def _perhaps_asked(
    arrival: Arrival, decision: Decision, questions: Mapping[tuple[str, bytes], list[Said]]
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
            return Decision(arrival.node, arrival.leg, "unknown", text, "flood")
    return decision


def _does(wiring: Wiring, arrival: Arrival, flow: _Flow) -> bool:
    """The frame left by the very ports that the flow names."""
    left = {
        port for leg in arrival.trip.legs
        if leg.parent == arrival.leg and (port := wiring.port(leg.tail_interface)) is not None
    }  # fmt: skip
    numbers = {str(wiring.interfaces[port].extra.get("port")) for port in left}
    return numbers == set(flow.ports)
