# SPDX-License-Identifier: Apache-2.0
"""Why a switch did what it did with a frame: what it asked its controller, and what flows it had.

What lives here: the order of work, frame by frame in order of time. What must not: the bytes of
OpenFlow (`hoplab.decode.openflow`), layout.

1. Each frame that came to a switch (`arrivals.py`) is joined with the packet-in about it, if there
   is one (`packet_ins.py`).
2. What the channel says is taken up until then (`channel_state.py`, `flow_tables.py`).
3. If the switch asked, the controller's answer tells (`controller_answers.py`); else the flows that
   the channel has shown do, as far as they are known (`flow_decisions.py`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence

from hoplab.follow.model import Journey
from hoplab.follow.wiring import Wiring
from hoplab.sentences import say, term
from hoplab.story.arrivals import Arrival, arrivals_of, time_of
from hoplab.story.channel_state import ChannelState, switches_of
from hoplab.story.controller_answers import controller_decision
from hoplab.story.conversation import ChannelMessage, Connection
from hoplab.story.flow_decisions import flow_decision
from hoplab.story.flow_tables import FlowTables
from hoplab.story.packet_ins import (
    AT_MOST_NS,
    FIRST_BYTES,
    SLACK_NS,
    Answers,
    join_questions,
    questions_by_frame,
    same_frame,
)
from hoplab.story.records import Decision, Trip


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
    arrivals = sorted(arrivals, key=time_of)
    state = state.copy() if state is not None else ChannelState()
    state.switches |= switches_of(wiring, messages)
    join_questions(arrivals, messages, state.switches)
    for heard in messages:
        state.note_version(heard)
        state.note_question(heard)
    answers, questions = Answers(messages, now_ns), questions_by_frame(messages, state.switches)
    place = 0
    for arrival in arrivals:
        asked = arrival.question
        until = asked.t_ns if asked is not None else arrival.t_ns
        while place < len(messages) and messages[place].t_ns <= until:
            state.take(messages[place])
            place += 1
        tables = state.tables.get(arrival.node, FlowTables())
        tables.pass_frame(arrival.in_port, arrival.data, arrival.t_ns)
        if asked is None:
            decision = flow_decision(wiring, arrival, tables, state)
            if decision is not None and decision.by != "nobody" and not decision.flow:
                decision = _perhaps_asked(arrival, decision, questions)
        else:
            decision = controller_decision(wiring, arrival, asked, answers, tables)
            waits = now_ns is not None and now_ns - asked.t_ns < AT_MOST_NS
            if waits and decision.wait_ms is None:
                continue
        if decision is not None:
            arrival.trip.decisions.append(decision)
    return state.switches


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
            return Decision(arrival.node, arrival.leg, "unknown", text, term("flood"))
    return decision
