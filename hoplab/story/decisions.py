# SPDX-License-Identifier: Apache-2.0
"""Why a switch did what it did with a frame: what it asked its controller, and what flows it had.

What lives here: the order of work, frame by frame in order of time. What must not: the bytes of
OpenFlow (`hoplab.decode.openflow`), layout.

1. Each frame that came to a switch (`arrivals.py`) is joined with the packet-in about it, if there
   is one (`packet_ins.py`).
2. What the channel says is taken up until then (`channel_state.py`, `flow_tables.py`).
3. If the switch asked, the controller's answer tells (`controller_answers.py`); else the flows that
   the channel has shown do, as far as they are known (`flow_decisions.py`).
4. Whoever knows better says so (`DecisionSource`), and is believed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from hoplab.follow.model import Journey
from hoplab.follow.wiring import Wiring
from hoplab.sentences import say, term
from hoplab.story.arrivals import Arrival, arrivals_of, time_of
from hoplab.story.channel_state import ChannelState, switches_of
from hoplab.story.controller_answers import controller_decision
from hoplab.story.conversation import ChannelMessage, Connection
from hoplab.story.flow_decisions import flow_decision
from hoplab.story.flow_tables import FlowTables
from hoplab.story.open_questions import AT_MOST_NS, same_frame
from hoplab.story.packet_ins import (
    FIRST_BYTES,
    SLACK_NS,
    Answers,
    join_questions,
    questions_by_frame,
)
from hoplab.story.trip_records import Decision, Trip, Way


class DecisionSource(Protocol):
    """Whoever knows better than the channel what a switch decided: a switch that was asked which
    flows take a frame, for one."""

    def decision(self, arrival: Arrival, by_channel: Decision | None) -> Decision | None:
        """The decision about a frame that came to a switch; None if there is nothing to tell.

        Arrivals come in order of time. `arrival.question` is the packet-in about it, if
        there is one. by_channel: what the channel shows or makes likely (`ChannelDecisions`); the
        answer where the source does not know.
        """

    def waits(self, arrival: Arrival) -> bool:
        """Whether it will know more of this arrival: then nothing is told of it yet."""


@dataclass(slots=True)
class Decisions:
    """What switches decided. switches: at the other end of the channel's connections, as far as
    they are known. by_packet: the decisions about each packet, by its number."""

    switches: dict[Connection, str]
    by_packet: dict[int, list[Decision]] = field(default_factory=dict)

    def about(self, number: int) -> tuple[Decision, ...]:
        """The decisions about that packet."""
        return tuple(self.by_packet.get(number, ()))


def with_named_ports(way: Way, decisions: Sequence[Decision]) -> Way:
    """The same, where copies that a switch made of a frame for one card, for some ports that were
    named, are no flood."""
    named = {decision.leg for decision in decisions if decision.named}
    if not named:
        return way
    fanouts = tuple(
        fanout._replace(named=True)
        if fanout.leg in named and not fanout.due and fanout.out < fanout.of
        else fanout
        for fanout in way.fanouts
    )
    return way._replace(fanouts=fanouts)


def find_decisions(
    wiring: Wiring,
    journeys: Sequence[Journey],
    trips: Sequence[Trip],
    messages: Sequence[ChannelMessage],
    source: DecisionSource | None = None,
) -> Decisions:
    """What switches decided about all these packets; `messages` may be nothing at all, which is
    telling too. source: who knows better, if anybody."""
    arrivals = [
        arrival
        for journey, trip in zip(journeys, trips, strict=True)
        for arrival in arrivals_of(wiring, journey, trip)
    ]
    return decide(wiring, arrivals, messages, source=source)


def decide(
    wiring: Wiring,
    arrivals: Iterable[Arrival],
    messages: Sequence[ChannelMessage],
    state: ChannelState | None = None,
    now_ns: int | None = None,
    source: DecisionSource | None = None,
) -> Decisions:
    """What `messages` tells of these arrivals, and what `source` knows better.

    now_ns: what is not answered by then may still be; None if there is nothing more to come.
    """
    channel = ChannelDecisions(wiring, sorted(arrivals, key=time_of), messages, state, now_ns)
    decisions = Decisions(channel.switches)
    for arrival in channel.arrivals:
        decision = channel.decision(arrival)
        if arrival.question is not None and channel.waits_for_answer(arrival, decision):
            continue
        if now_ns is not None and source is not None and source.waits(arrival):
            continue
        if source is not None:
            decision = source.decision(arrival, decision)
        if decision is not None:
            decisions.by_packet.setdefault(arrival.trip.number, []).append(decision)
    return decisions


class ChannelDecisions:
    """What the captured OpenFlow channel shows of decisions, and what it makes likely."""

    def __init__(
        self,
        wiring: Wiring,
        arrivals: Sequence[Arrival],
        messages: Sequence[ChannelMessage],
        state: ChannelState | None = None,
        now_ns: int | None = None,
    ) -> None:
        """arrivals, messages: all of them, in order of time. state: what earlier ones have shown,
        which stays as it is."""
        self._wiring, self._messages, self._now_ns = wiring, messages, now_ns
        self._state = state = state.copy() if state is not None else ChannelState()
        state.switches |= switches_of(wiring, messages)
        self.arrivals = join_questions(arrivals, messages, state.switches)
        for heard in messages:
            state.note_version(heard)
            state.note_question(heard)
        self._answers = Answers(messages, now_ns)
        self._questions = questions_by_frame(messages, state.switches)
        self._next = 0  # of the messages that have not been taken up

    @property
    def switches(self) -> dict[Connection, str]:
        """Whose the connections are, as far as it is known."""
        return self._state.switches

    def decision(self, arrival: Arrival) -> Decision | None:
        """The decision about the next arrival; None if nothing is to be told of it."""
        question = arrival.question
        tables = self._tables_at(arrival, arrival.t_ns if question is None else question.t_ns)
        if question is not None:
            return controller_decision(self._wiring, arrival, question, self._answers, tables)
        decision = flow_decision(self._wiring, arrival, tables, self._state)
        if decision is not None and decision.by != "nobody" and not decision.flow:
            return _perhaps_asked(arrival, decision, self._questions)
        return decision

    def _tables_at(self, arrival: Arrival, until_ns: int) -> FlowTables:
        """The flow tables of a frame's switch at that time, the frame counted."""
        while self._next < len(self._messages) and self._messages[self._next].t_ns <= until_ns:
            self._state.take(self._messages[self._next])
            self._next += 1
        tables = self._state.tables.get(arrival.node)
        if tables is None:
            tables = self._state.tables[arrival.node] = FlowTables()
        tables.pass_frame(arrival.in_port, arrival.data, arrival.t_ns)
        return tables

    def waits_for_answer(self, arrival: Arrival, decision: Decision | None) -> bool:
        """The controller was asked a moment ago and may still answer."""
        question, now_ns = arrival.question, self._now_ns
        if question is None or now_ns is None or now_ns - question.t_ns >= AT_MOST_NS:
            return False
        return decision is None or decision.wait_ms is None


def _perhaps_asked(
    arrival: Arrival,
    decision: Decision,
    questions: Mapping[tuple[str, bytes], list[ChannelMessage]],
) -> Decision:
    """The decision about a frame for which no question was found, unless the switch asked about
    others with the same bytes at that time: then it may be one of them, as where a host answers
    each copy of a storm."""
    near = questions.get((arrival.node, arrival.data[:FIRST_BYTES]), [])
    for place in range(bisect_left(near, arrival.t_ns - SLACK_NS, key=time_of), len(near)):
        if near[place].t_ns - arrival.t_ns > AT_MOST_NS:
            break
        if same_frame(arrival.data, near[place].message.data):
            text = say(
                "{node} asked the controller about frames with these bytes; whether this was one "
                "of them is not known",
                node=arrival.node,
            )
            return Decision(
                arrival.node, arrival.leg, "unknown", text, term("flood"), ports=("FLOOD",)
            )
    return decision
