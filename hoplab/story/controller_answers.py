# SPDX-License-Identifier: Apache-2.0
"""Why a switch did what it did with a frame that it asked its controller about.

What lives here: what came of one question, in words. What must not: which question is about which
frame, and which answer is whose (`packet_ins.py`).

1. Which flow asked: the one of the packet-in's table and cookie that sends to the controller.
2. A flow that is gone is named no more, but a question that it would have spared is told with what
   became of it.
"""

from __future__ import annotations

from hoplab.decode.openflow import Message
from hoplab.follow.wiring import Wiring
from hoplab.sentences import Sentence, number_of, say, term
from hoplab.story.arrivals import Arrival
from hoplab.story.conversation import ChannelMessage
from hoplab.story.flow_tables import FlowTables
from hoplab.story.openflow_words import flow_words, installed_words, verdict_words
from hoplab.story.packet_ins import LLDP, Answers, carries
from hoplab.story.records import Decision


def controller_decision(
    wiring: Wiring, arrival: Arrival, question: ChannelMessage, answers: Answers, tables: FlowTables
) -> Decision:
    """What came of a question."""
    asked = question.message
    answer, flows = answers.find(question)
    if answer is None and arrival.data[12:14] == LLDP:
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
    ports: tuple[str, ...] = ()
    if answer is not None:
        wait_ms = (answer.t_ns - question.t_ns) / 1e6
        verdict = verdict_words(wiring, arrival.node, answer.message)
        ports = answer.message.ports
    reaction = _reaction(answer, asked, verdict, wait_ms, len(flows))
    if answer is not None and _about_another(answer.message, asked):
        verdict = say("another frame to {verdict}", verdict=verdict)
        ports = ()
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
        flow=flow_words(flow) if flow is not None else "",
        installed=tuple(installed_words(wiring, arrival.node, message) for message in flows),
        missed=missed,
        ports=ports,
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
    return answer.kind == "packet-out" and not carries(answer, asked)
