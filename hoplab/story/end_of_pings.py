# SPDX-License-Identifier: Apache-2.0
"""How pings ended, and the search for a way.

What lives here: echo requests with their replies, and what traceroute and its like brought to
light. What must not: which packets are probes for a way (`routes.py`), and where an unanswered one
died (`end_of_packet.py`).
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hoplab.sentences import Sentence, listed, number_of, say
from hoplab.story.end_of_packet import answer_lost, no_answer
from hoplab.story.records import Outcome
from hoplab.story.routes import Route
from hoplab.story.steps import Facts
from hoplab.story.trip_records import Trip

_Pair = tuple[Trip, Trip]  # an echo request and its reply


def end_of_pings(facts: Facts, pings: Sequence[Trip]) -> Outcome:
    """How many echo requests were answered, by whom, and how fast."""
    replies = [
        (request, facts.by_number[request.answered_by])
        for request in pings
        if request.answered_by and facts.by_number[request.answered_by].kind == "icmp-echo-reply"
    ]
    back = [(request, reply) for request, reply in replies if request.sender in reply.delivered]
    # The card that answered need not be the one that the lab gave the address.
    strange = any(reply.sender != _target(request) for request, reply in back)
    answerers = list(dict.fromkeys(reply.sender for _, reply in back)) if strange else []
    sentence = _counted(pings, back, answerers)
    if len(back) == len(pings):
        evidence = [back[-1][0].number, back[-1][1].number]
        where = answerers[-1] if strange else _target(pings[-1])
        return Outcome(True, "answered", sentence, where=where, evidence=evidence)
    answered = {request.number for request, _ in back}
    lost = [(request, reply) for request, reply in replies if request.number not in answered]
    missing = [request for request in pings if request.number not in answered]
    if not lost:
        return no_answer(facts, missing[-1], sentence, "ping")
    request, reply = lost[-1]
    outcome = answer_lost(facts, request.number, [reply.number], sentence)
    return _both_ways(outcome, pings, missing, lost)


def _both_ways(
    outcome: Outcome, pings: Sequence[Trip], missing: Sequence[Trip], lost: Sequence[_Pair]
) -> Outcome:
    """Some answers died on the way back; if some died on the way there, neither of them works."""
    ended = [request for request in missing if not request.answered_by and request.ended]
    if not ended:
        return outcome
    end, reply = ended[-1], lost[-1][1]
    there = number_of(
        "On the way there {n:,} of {of} ended, the last one #{packet}: {reason}.",
        "On the way there {n:,} of {of} ended, the last one #{packet}: {reason}.",
        len(ended),
        of=number_of("{n:,} echo request", "{n:,} echo requests", len(pings)),
        packet=end.number,
        reason=end.ended,
    )
    back_again = number_of(
        "On the way back {n:,} answer ended, the last one #{packet}: {reason}.",
        "On the way back {n:,} answers ended, the last one #{packet}: {reason}.",
        len(lost),
        packet=reply.number,
        reason=reply.ended,
    )
    evidence = sorted({*outcome.evidence, end.number})
    return replace(outcome, why=[there, back_again], evidence=evidence)


def _target(request: Trip) -> str:
    return request.target or request.dst


def _counted(pings: Sequence[Trip], back: Sequence[_Pair], answerers: Sequence[str]) -> Sentence:
    """The numbers. answerers: who answered, where that is not who was expected to."""
    targets = [request.dst if answerers else _target(request) for request in pings]
    values: dict[str, Any] = {
        "requests": number_of("{n:,} echo request", "{n:,} echo requests", len(pings)),
        "hosts": listed(dict.fromkeys(targets)),
        "answered": len(back),
    }
    if not back:
        return say("{requests} to {hosts}, {answered:,} answered.", **values)
    values["ms"] = statistics.median(
        (reply.arrived_ns - request.t_ns) / 1e6 for request, reply in back
    )
    if answerers and len(back) == 1:
        return say(
            "{requests} to {hosts}, {answered:,} answered by {nodes}; there and back in "
            "{ms:.2f} ms.",
            nodes=listed(answerers), **values,
        )  # fmt: skip
    if answerers:
        return say(
            "{requests} to {hosts}, {answered:,} answered by {nodes}; there and back in "
            "{ms:.2f} ms (median).",
            nodes=listed(answerers), **values,
        )  # fmt: skip
    if len(back) == 1:
        return say(
            "{requests} to {hosts}, {answered:,} answered; there and back in {ms:.2f} ms.",
            **values,
        )
    return say(
        "{requests} to {hosts}, {answered:,} answered; there and back in {ms:.2f} ms (median).",
        **values,
    )


def end_of_search(facts: Facts, route: Route) -> Outcome:
    """What traceroute, tracepath or mtr looked for."""
    if route.arrived:
        sentence = say(
            "{asker} found the way to {target}: {path}, {hops}.",
            asker=route.sender, target=route.target, path=route.path,
            hops=number_of("{n:,} hop", "{n:,} hops", len(route.hops) + 1),
        )  # fmt: skip
        evidence = sorted({route.probes[0].number, *route.arrived[:3]})
        return Outcome(True, "route", sentence, [], route.target, evidence)
    if route.hops:
        sentence = say(
            "{asker} looked for the way to {target} and found {path}; {target} did not answer.",
            asker=route.sender, target=route.target, path=route.path,
        )  # fmt: skip
    else:
        sentence = say(
            "{asker} looked for the way to {target}; {target} did not answer.",
            asker=route.sender, target=route.target,
        )  # fmt: skip
    unanswered = [probe for probe in route.probes if not probe.answered_by] or route.probes
    return no_answer(facts, unanswered[-1], sentence, "route")
