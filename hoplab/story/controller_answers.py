# SPDX-License-Identifier: Apache-2.0
"""Why a switch did what it did with a frame that it asked its controller about.

What lives here: what came of one question, in words. What must not: which question is about which
frame, and which answer is whose (`packet_ins.py`).

1. Which flow asked: the one of the packet-in's table and cookie that sends to the controller.
2. A flow that is gone is named no more, but a question that it would have spared is told with what
   became of it.
"""

from __future__ import annotations

from collections.abc import Sequence

from hoplab.decode.openflow import FLOODING, NO_BUFFER, Match, Message
from hoplab.follow.wiring import Wiring
from hoplab.sentences import Sentence, listed, number_of, say, term
from hoplab.story.arrivals import Arrival
from hoplab.story.conversation import ChannelMessage
from hoplab.story.flow_tables import FlowTables
from hoplab.story.open_questions import carries
from hoplab.story.openflow_words import (
    error_words,
    flow_words,
    installed_words,
    match_words,
    refused_words,
    verdict_words,
)
from hoplab.story.packet_ins import LLDP, Answers
from hoplab.story.trip_records import Decision


def controller_decision(
    wiring: Wiring, arrival: Arrival, question: ChannelMessage, answers: Answers, tables: FlowTables
) -> Decision:
    """What a switch did with a frame that it asked its controller about: the answer, the flows
    that came with it, and what of these the switch refused."""
    asked = question.message
    answer, flows = answers.find(question)
    if answer is None and arrival.data[12:14] == LLDP:
        return _handed_over(arrival, question)
    missed = tables.missed(arrival.in_port, arrival.data, asked.table)
    accepted, refused = _sorted_by_refusal(wiring, arrival.node, question, answers, flows)
    verdict: str = ""
    wait_ms = None
    ports: tuple[str, ...] = ()
    if answer is not None:
        wait_ms = (answer.t_ns - question.t_ns) / 1e6
        verdict = verdict_words(wiring, arrival.node, answer.message)
        ports = answer.message.ports
    reaction = _reaction(answer, asked, verdict, wait_ms, len(accepted))
    error = answers.refusal(question, answer.message) if answer is not None else None
    if error is not None:
        refused.append(say("the packet-out: {error}", error=error_words(error.message)))
        ports = ()
    if answer is not None and _is_empty(answer.message):
        verdict, ports = term("a packet-out without a frame"), ()
    elif answer is not None and _about_another(answer.message, asked):
        verdict = say("another frame to {verdict}", verdict=verdict)
        ports = ()
    flow = tables.asking(asked)
    return Decision(
        node=arrival.node,
        leg=arrival.leg,
        by="controller",
        sentence=_with_refusals(
            _with_drops(
                say(
                    "{why} (table {table}) and asked the controller, which {reaction}",
                    why=_why_asked(arrival.node, asked, missed), table=asked.table,
                    reaction=reaction,
                ),
                accepted,
            ),
            refused,
        ),
        answer=verdict,
        wait_ms=wait_ms,
        packet_in=question.number,
        packet_out=answer.number if answer is not None else 0,
        flow=flow_words(flow) if flow is not None else "",
        installed=tuple(installed_words(wiring, arrival.node, message) for message in accepted),
        refused=tuple(refused),
        missed=missed,
        ports=ports,
        named=len(ports) > 1 and not set(ports) & {*FLOODING, "TABLE"},
        end=_end(arrival.node, answer, asked, error),
    )  # fmt: skip


def _end(
    switch: str, answer: ChannelMessage | None, asked: Message, error: ChannelMessage | None
) -> Sentence | str:
    """What became of a frame that left by no port, "" where the answer is no reason for that.
    error: by which the switch refused the answer."""
    if answer is not None and _is_empty(answer.message):
        return say(
            "{switch} asked the controller about it, whose packet-out had no frame in it",
            switch=switch,
        )
    if answer is None or _about_another(answer.message, asked):
        return say(
            "{switch} asked the controller about it, which sent it nowhere while the capture ran",
            switch=switch,
        )
    if error is not None:
        return say(
            "the controller sent it back to {switch}, which refused to send it on: {error}",
            switch=switch, error=error_words(error.message),
        )  # fmt: skip
    if not answer.message.ports:
        return say("the controller had {switch} drop it", switch=switch)
    return ""


def _handed_over(arrival: Arrival, question: ChannelMessage) -> Decision:
    """A probe of the controller's, which needs no answer."""
    text = say(
        "{switch} handed it to the controller, which sees by it who is next to whom",
        switch=arrival.node,
    )
    return Decision(
        arrival.node, arrival.leg, "controller", text, term("handed over"),
        packet_in=question.number,
    )  # fmt: skip


def _sorted_by_refusal(
    wiring: Wiring, switch: str, question: ChannelMessage, answers: Answers,
    flows: Sequence[Message],
) -> tuple[list[Message], list[Sentence]]:  # fmt: skip
    """The flows that a switch accepted, and those that it refused in words."""
    accepted: list[Message] = []
    refused: list[Sentence] = []
    for flow in flows:
        error = answers.refusal(question, flow)
        if error is None:
            accepted.append(flow)
        else:
            refused.append(refused_words(wiring, switch, flow, error.message))
    return accepted, refused


def _with_drops(sentence: Sentence, accepted: Sequence[Message]) -> Sentence:
    """Which of the new flows drop what they take, behind what came of it: nobody will be asked
    about such frames."""
    for flow in accepted:
        if flow.ports or flow.table_next is not None:
            continue
        drops = say(
            "table {table}, priority {priority}, {match}",
            table=flow.table, priority=flow.priority, match=match_words(flow.match or Match()),
        )  # fmt: skip
        sentence = say(
            "{sentence}; from then on frames are dropped by {flow}", sentence=sentence, flow=drops
        )
    return sentence


def _with_refusals(sentence: Sentence, refused: list[Sentence]) -> Sentence:
    """What the switch refused of it, behind what came of it."""
    if not refused:
        return sentence
    more = say("the switch refused {messages}", messages=listed(refused))
    return say("{sentence}; {more}", sentence=sentence, more=more)


def _is_empty(answer: Message) -> bool:
    """A packet-out with no frame, neither in itself nor in a buffer."""
    return answer.kind == "packet-out" and answer.buffer_id == NO_BUFFER and not answer.data


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
    elif _is_empty(answer.message):
        reaction = say(
            "answered by a packet-out without a frame and without a buffer, so that nothing was "
            "sent, after {ms:.2f} ms",
            ms=wait_ms,
        )
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
    return answer.kind == "packet-out" and not carries(answer, asked)
