# SPDX-License-Identifier: Apache-2.0
"""Why a switch did what it did with a frame: what it asked its controller, and what flows it had.

What lives here: the join of frames with the captured OpenFlow channel. What must not: the bytes of
OpenFlow (`hoplab.wire.openflow`), layout.

1. A connection is a switch's: its features reply gives the datapath id; without one (the capture
   began later) the first packet-in whose frame came to exactly one switch tells.
2. A packet-in belongs to the newest frame that came to that switch by that port before it, has
   the same bytes (as many as were sent along) and has not been asked about yet.
3. Its answer is the first packet-out or flow-mod on the same connection with its buffer id, or the
   first packet-out that carries the same frame.
4. Flows were installed because of it if the controller sent them between question and answer and
   they name an address of the frame, or its port alone, or bear the question's xid.
5. Which flow asked: the one of the packet-in's table and cookie that sends to the controller.
6. A flood that was not asked about: the flows that the channel has shown so far are looked
   through as the switch does (OpenFlow 1.3.5, 5.1). Where the capture began after them, they are
   not known, and that is said.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from hoplab.trace.channel import Connection, Said
from hoplab.trace.model import Journey
from hoplab.trace.narrative import Decision, Trip
from hoplab.trace.titles import plural
from hoplab.trace.wiring import Wiring
from hoplab.wire.openflow import NO_BUFFER, Match, Message

AT_MOST_NS = 5_000_000_000  # a controller that takes longer has answered something else
SLACK_NS = 1_000_000  # the clock is one, but two interfaces of two processors are not
_KEY = 34  # bytes by which frames are looked up: Ethernet header and most of what follows
_ANY_TABLE = 0xFF


@dataclass(slots=True, eq=False)
class _Arrival:
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
    """A flow as the channel showed it."""

    table: int
    priority: int
    match: Match
    ports: tuple[str, ...]
    next: int | None
    cookie: int
    floods: bool


@dataclass(slots=True)
class _Tables:
    """The flows of a switch. whole: they were seen from the first one on."""

    flows: dict[tuple[int, int, str], _Flow] = field(default_factory=dict)
    whole: bool = False

    def apply(self, message: Message) -> None:
        """A flow-mod (7.3.4.1), without timeouts, which are longer than a lesson."""
        match = message.match or Match()
        table = message.table or 0
        key = (table, message.priority, str(match))
        if message.command in ("add", "modify", "modify-strict"):
            self.flows[key] = _Flow(
                table, message.priority, match, message.ports, message.table_next,
                message.cookie or 0, message.floods,
            )  # fmt: skip
        elif message.command == "delete-strict":
            self.flows.pop(key, None)
        elif message.command == "delete":
            everything = table == _ANY_TABLE and not match.fields
            self.whole = self.whole or everything
            for old, flow in list(self.flows.items()):
                named = all(flow.match.fields.get(n) == v for n, v in match.fields.items())
                if named and table in (_ANY_TABLE, flow.table):
                    del self.flows[old]

    def decide(self, in_port: int | None, frame: bytes) -> _Flow | None:
        """The flow that sends the frame on, None if that cannot be told."""
        table: int | None = 0
        for _ in range(256):
            fitting = []
            for flow in self.flows.values():
                if flow.table != table:
                    continue
                takes = flow.match.takes(in_port, frame)
                if takes is None:
                    return None
                if takes:
                    fitting.append(flow)
            if not fitting:
                return None
            best = max(fitting, key=lambda flow: flow.priority)
            if best.next is None:
                return best
            table = best.next
        return None

    def asking(self, message: Message) -> _Flow | None:
        """The flow that sent a packet-in."""
        for flow in self.flows.values():
            if (flow.table, flow.cookie) == (message.table, message.cookie or 0) and (
                "CONTROLLER" in flow.ports
            ):
                return flow
        return None


def add_decisions(
    wiring: Wiring, journeys: Sequence[Journey], trips: Sequence[Trip], said: Sequence[Said]
) -> dict[Connection, str]:
    """Fills in `Trip.decisions`; `said` may be nothing at all, which is telling too. Gives the
    switches of the connections, as far as they are known."""
    arrivals = sorted(_arrivals(wiring, journeys, trips), key=lambda one: one.t_ns)
    switches = _connections(wiring, said)
    _join(arrivals, said, switches)
    answers = _Answers(said)
    tables: dict[str, _Tables] = {}
    place = 0
    for arrival in arrivals:
        until = arrival.question.t_ns if arrival.question is not None else arrival.t_ns
        while place < len(said) and said[place].t_ns <= until:
            _learn(tables, switches, said[place])
            place += 1
        known = tables.get(arrival.node, _Tables())
        decision = (
            _asked(wiring, arrival, arrival.question, answers, known)
            if arrival.question is not None
            else _unasked(arrival, known)
        )
        if decision is not None:
            arrival.trip.decisions.append(decision)
    return switches


def _arrivals(
    wiring: Wiring, journeys: Sequence[Journey], trips: Sequence[Trip]
) -> Iterable[_Arrival]:
    for journey, trip in zip(journeys, trips, strict=True):
        for leg, hop in enumerate(journey.hops()):
            if hop.head is None or not wiring.is_switch(hop.head):
                continue
            seen = hop.received or hop.seen
            number = wiring.interfaces[hop.head].extra.get("port")
            node = wiring.node_name(hop.head)
            in_port = number if isinstance(number, int) else None
            yield _Arrival(seen.t_ns, node, in_port, hop.data, trip, leg)


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
    arrivals: Sequence[_Arrival], said: Sequence[Said], switches: dict[Connection, str]
) -> None:
    """Fills in `_Arrival.question`, and the switches of connections that did not say."""
    by_bytes: dict[bytes, list[_Arrival]] = {}
    for arrival in arrivals:
        by_bytes.setdefault(arrival.data[:_KEY], []).append(arrival)
    for one in said:
        asked = one.message
        if asked.kind != "packet-in" or not asked.data:
            continue
        node = switches.get(one.connection)
        same = by_bytes.get(asked.data[:_KEY], [])
        place = bisect_right(same, one.t_ns + SLACK_NS, key=_time_of)
        fitting: list[_Arrival] = []
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


def _learn(tables: dict[str, _Tables], switches: dict[Connection, str], one: Said) -> None:
    message = one.message.inner or one.message
    node = switches.get(one.connection)
    if node is not None and not one.up and message.kind == "flow-mod":
        tables.setdefault(node, _Tables()).apply(message)


class _Answers:
    """What the controller said, by connection; each answer is taken once."""

    def __init__(self, said: Sequence[Said]) -> None:
        self._said: dict[Connection, list[Said]] = {}
        self._taken: set[int] = set()
        for one in said:
            if not one.up:
                self._said.setdefault(one.connection, []).append(one)

    def find(self, question: Said) -> tuple[Said | None, list[Message]]:
        """The answer, and the flows that came with it."""
        asked = question.message
        flows: list[Message] = []
        later = self._said.get(question.connection, [])
        for place in range(bisect_right(later, question.t_ns, key=_time_of), len(later)):
            one = later[place]
            message = one.message
            if one.t_ns - question.t_ns > AT_MOST_NS:
                break
            if message.kind == "flow-mod" and message.command in ("add", "modify"):
                if _because(message, asked):
                    flows.append(message)
                answers = _buffered(message, asked)
            else:
                answers = message.kind == "packet-out" and _carries(message, asked)
            if answers and id(one) not in self._taken:
                self._taken.add(id(one))
                return one, flows
        return None, flows


def _time_of(one: Said | _Arrival) -> int:
    return one.t_ns


def _carries(message: Message, asked: Message) -> bool:
    """A packet-out with the frame of a question, or with the number of the buffer it is in."""
    if message.buffer_id != NO_BUFFER or not message.data:
        return _buffered(message, asked)
    return message.in_port in (None, asked.in_port) and _same(message.data, asked.data)


def _asked(
    wiring: Wiring, arrival: _Arrival, question: Said, answers: _Answers, known: _Tables
) -> Decision:
    """What came of a question."""
    asked = question.message
    answer, flows = answers.find(question)
    by = known.asking(asked)
    words = [_flow(wiring, arrival.node, flow) for flow in flows]
    verdict = _verdict(wiring, arrival.node, answer.message) if answer is not None else ""
    wait_ms = (answer.t_ns - question.t_ns) / 1e6 if answer is not None else None
    why = (
        f"{arrival.node} had no flow for it"
        if asked.reason == "no-match"
        else f"a flow of {arrival.node} sends it to the controller"
    )
    text = f"{why} (table {asked.table}) and asked the controller, which "
    if words:
        text += f"installed {plural(len(words), 'flow')} and "
    if answer is None:
        text += "gave no answer" if not words else "sent no frame back"
    else:
        text += f"answered {verdict} after {wait_ms:.2f} ms"
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


def _unasked(arrival: _Arrival, known: _Tables) -> Decision | None:
    """Why a frame was flooded that nobody was asked about."""
    fan = next((one for one in arrival.trip.fanouts if one.leg == arrival.leg), None)
    if fan is None or not fan.flooded:
        return None
    flow = known.decide(arrival.in_port, arrival.data) if known.whole else None
    if flow is not None and flow.floods:
        words = f"table {flow.table}, priority {flow.priority}, {flow.match}"
        text = f"{arrival.node} did not ask the controller: a flow it has floods this ({words})"
        return Decision(arrival.node, arrival.leg, "flow", text, "flood", flow=words)
    text = (
        f"{arrival.node} did not ask the controller: it has a flow that floods this, "
        "from before the capture"
    )
    return Decision(arrival.node, arrival.leg, "flow", text, "flood")
