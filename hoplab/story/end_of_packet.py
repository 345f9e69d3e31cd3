# SPDX-License-Identifier: Apache-2.0
"""Where a packet that was never answered came to its end, and why.

What lives here: the search for that place among the packets that followed from it: a report by
ICMP, a question for a MAC address in vain, a loss, the silence of whoever it reached. What must
not: which packet a command was waiting for (`end_of_connection.py` and the others of that name).
"""

from __future__ import annotations

from collections.abc import Sequence

from hoplab.sentences import Sentence, listed, say, together
from hoplab.story.astray import last_networks
from hoplab.story.counts import packet_numbers, times
from hoplab.story.neighbour_causes import ASKS_MAC, claims
from hoplab.story.packet_names import short
from hoplab.story.records import Outcome
from hoplab.story.silence import meant_for, node_at, silent_link
from hoplab.story.steps import Facts
from hoplab.story.trip_records import Trip

_ANSWERS_MAC = ("arp-reply", "nd-advertisement")


def no_answer(facts: Facts, trip: Trip, sentence: str, code: str) -> Outcome:
    """The end of a packet that nobody answered. The sentence tells that it was not, and the code
    stands for the kind of packet: it becomes `syn-lost` or `syn-silent`."""
    questions = _questions_in_vain(facts, trip)
    reports = _reports(facts, trip)
    why = [] if facts.place else _way(trip)
    where, evidence = trip.path[-1] if trip.path else trip.sender, [trip.number]
    if questions:
        asker = questions[-1].sender
        tries = [question for question in questions if question.sender == asker]
        asked, reasons = _asked_in_vain(facts, tries)
        sentence = together(sentence, asked)
        why += reasons
        where, code = asker, "arp-silent"
        evidence += [question.number for question in tries]
    if reports:
        report = reports[-1]
        why.append(
            say(
                "{node} reported it (#{packet}): {report}.",
                node=report.sender,
                packet=report.number,
                report=report.title,
            )
        )
        evidence.append(report.number)
        if not questions:
            where, code = report.sender, report.kind.removeprefix("icmp-")
    elif not questions and trip.ended:
        why += _loss(facts, trip)
        code = f"{code}-lost"
    elif not questions:
        if facts.place:
            silence = say(
                "#{packet}, {kind}, passed {place}; what became of it behind that is not known.",
                packet=trip.number, kind=short(trip), place=facts.place,
            )  # fmt: skip
        elif facts.explained:
            silence = say(
                "#{packet}, {kind}, reached {nodes}.",
                packet=trip.number, kind=short(trip), nodes=listed(trip.delivered),
            )  # fmt: skip
        else:
            silence = say(
                "#{packet}, {kind}, reached {nodes}, which kept silent.",
                packet=trip.number, kind=short(trip), nodes=listed(trip.delivered),
            )  # fmt: skip
        why += [silence, *_tagged(trip)]
        code = f"{code}-silent"
    return Outcome(False, code, sentence, why, where, sorted(set(evidence)))


def answer_lost(facts: Facts, question: int, answers: Sequence[int], sentence: str) -> Outcome:
    """It was answered, and none of the answers came to the one who asked."""
    last = facts.by_number[answers[-1]]
    values = {"node": last.sender, "question": question, "answer": answers[0]}
    if len(answers) == 1:
        there = say("The way there works: {node} answered #{question} by #{answer}.", **values)
    else:
        there = say(
            "The way there works: {node} answered #{question} by #{answer}, {n} times.",
            n=len(answers), **values,
        )  # fmt: skip
    why: list[str] = [there, say("The way back does not: {reason}.", reason=last.ended)]
    where = last.path[-1] if last.path else last.sender
    return Outcome(False, "reply-lost", sentence, why, where, [question, *answers])


def _way(trip: Trip) -> list[str]:
    """How far it came, where that is further than its sender."""
    path = " -> ".join(trip.path)
    if len(trip.path) < 2:
        return []
    if trip.ended:
        return [say("It went {path}, and no further.", path=path)]
    return [say("It went {path}.", path=path)]


def _reports(facts: Facts, trip: Trip) -> list[Trip]:
    """The ICMP errors about the packet, or about an earlier sending of it."""
    return [
        report
        for report in facts.trips
        if report.kind.startswith("icmp")
        and not report.kind.startswith(("icmp-echo", "icmp-redirect"))
        and report.causes
        and _same_flow(facts.by_number[report.causes[0]], trip)
    ]


def _questions_in_vain(facts: Facts, trip: Trip) -> list[Trip]:
    """The questions for a MAC address that were needed to send the packet on, and not answered."""
    return [
        question
        for question in facts.trips
        if question.kind in ASKS_MAC
        and not question.answered_by
        and question.causes
        and _same_flow(facts.by_number[question.causes[0]], trip)
    ]


def _same_flow(trip: Trip, again: Trip) -> bool:
    """The same packet, or an earlier sending of it."""
    flow = (trip.kind, trip.src, trip.dst, trip.sender)
    return trip.number == again.number or flow == (again.kind, again.src, again.dst, again.sender)


def _asked_in_vain(facts: Facts, tries: Sequence[Trip]) -> tuple[Sentence, list[str]]:
    """The sentence on one node's questions for one MAC address, and reasons for their failure."""
    last = tries[-1]
    values = {
        "asker": last.sender,
        "times": times(len(tries)),
        "ip": last.dst,
        "packets": packet_numbers([question.number for question in tries]),
    }
    replies = _lost_replies(facts, tries)
    if not replies:
        silence = say(
            "{asker} asked {times} for the MAC of {ip} {packets}; nobody answered.", **values
        )
        return silence, [*_heard(facts, last), *_unreached(facts, last)]
    reply = replies[-1]
    reason = say(
        "{node} answered (#{packet}), but: {reason}.",
        node=reply.sender, packet=reply.number, reason=reply.ended,
    )  # fmt: skip
    loss = say(
        "{asker} asked {times} for the MAC of {ip} {packets}; no answer came back.", **values
    )
    return loss, [reason]


def _loss(facts: Facts, trip: Trip) -> list[str]:
    why: list[str] = [say("Its last frame: {end}.", end=trip.ended)]
    if trip.unreached:
        asker = trip.legs[min(last_networks(trip.legs)[0])].tail
        why += _silent_link(facts, trip, asker, trip.unreached)
    return why


def unanswered_arp(facts: Facts, node: str, after: int) -> list[Trip]:
    """The last questions of a node to all for one MAC address that nobody answered, sent after
    that packet; [] for none. Checks whether an address is free are none of these, nor is what a
    switch had already: it may have been answered before."""
    questions = [
        trip
        for trip in facts.trips
        if trip.kind in ASKS_MAC
        and trip.sender == node
        and trip.number > after
        and not trip.answered_by
        and trip.group
        and not (trip.stray or claims(trip))
    ]
    return [trip for trip in questions if trip.dst == questions[-1].dst]


def arp_in_vain(facts: Facts, questions: Sequence[Trip], before: str = "") -> Outcome:
    """A node got no further than asking for a MAC address. before: a sentence on what had gone
    well until then."""
    last = questions[-1]
    values = {"asker": last.sender, "times": times(len(questions)), "ip": last.dst}
    replies = _lost_replies(facts, questions)
    if replies:
        loss = say("{asker} asked {times} for the MAC of {ip}, and no answer came back.", **values)
        answers = [reply.number for reply in replies]
        return answer_lost(facts, replies[0].causes[-1], answers, together(before, loss))
    silence = say("{asker} asked {times} for the MAC of {ip}, and nobody answered.", **values)
    why = [*_heard(facts, last), *_unreached(facts, last)]
    packets = [question.number for question in questions]
    return Outcome(False, "arp-silent", together(before, silence), why, last.sender, packets)


def _lost_replies(facts: Facts, questions: Sequence[Trip]) -> list[Trip]:
    """Answers to these ARP requests (or neighbour solicitations) that reached nobody."""
    packets = {question.number for question in questions}
    return [
        trip for trip in facts.trips
        if trip.kind in _ANSWERS_MAC and trip.ended and packets.intersection(trip.causes)
    ]  # fmt: skip


def _heard(facts: Facts, question: Trip) -> list[str]:
    """Who got a question that nobody answered."""
    if facts.place:
        return []
    nodes = list(dict.fromkeys([*question.delivered, *(copy.node for copy in question.ignored)]))
    nodes = [node for node in nodes if node != question.sender]  # in a loop it comes back
    if nodes and question.delivered:
        return [say("It reached {nodes}.", nodes=listed(nodes)), *_tagged(question)]
    if len(nodes) == 1:
        return [say("{node} got the request; the address does not belong to it.", node=nodes[0])]
    if nodes:
        return [
            say(
                "{nodes} got the request; the address belongs to none of them.",
                nodes=listed(nodes),
            )
        ]
    return [say("Its last frame: {end}.", end=question.ended)] if question.ended else []


def _tagged(trip: Trip) -> list[str]:
    """Those that it came to with a tag that it did not have when it was sent."""
    came = {leg.head: leg.vlan for leg in trip.legs if leg.head in trip.delivered}
    return [
        say(
            "It came to {node} with the tag of VLAN {vlan}, which it did not have when {sender} "
            "sent it: {node} takes it only if it has a card in that VLAN.",
            node=node, vlan=vlan, sender=trip.sender,
        )
        for node, vlan in came.items()
        if vlan is not None and trip.legs[0].vlan is None
    ]  # fmt: skip


def _unreached(facts: Facts, question: Trip) -> list[str]:
    """Who could have answered, had the question come there, and the link it did not go over."""
    owner = question.target
    if not owner or owner in question.delivered:
        return []
    why = say("{node} has that address, but no request reached it.", node=owner)
    return [why, *_silent_link(facts, question, question.sender, owner)]


def _silent_link(facts: Facts, trip: Trip, asker: str, owner: str) -> list[str]:
    """The link on the way from one to the other, on the same network, that no frame went over, as
    far as its silence can be why the packet did not come."""
    near, far = silent_link(facts.wiring, facts.trips, asker, owner)
    if not near or facts.explained:
        return []
    meant = meant_for(facts.wiring, trip, near)
    if meant is False:
        return []
    if meant is None:
        return [
            say(
                "Not one frame was seen between {near} and {far}: that link may be down at either "
                "end, which `ip link` there tells, or a flow keeps {node} from sending there, "
                "which `hoplab table {node}` shows.",
                near=near,
                far=far,
                node=node_at(facts.wiring, near),
            )
        ]
    return [
        say(
            "Not one frame was seen between {near} and {far}: that link may be down at either "
            "end, which `ip link` there tells.",
            near=near,
            far=far,
        )
    ]
