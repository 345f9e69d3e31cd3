# SPDX-License-Identifier: Apache-2.0
"""What a switch did with a frame, as short lines for a card beside it on the map.

What lives here: which lines. What must not: any statement that the decision does not hold.

    table 0, priority 10        the flow that took it; in each table that it went through
    in_port=1, eth_type=0x0800  what that flow matches
    → group:7                   what it does, in Open vSwitch's notation
    group 7 (all): bucket 1 of 4
    → port 2 (s1-eth2)          where the frame went, as far as that is known
"""

from __future__ import annotations

from collections.abc import Iterator

from hoplab.follow.passages import ACTION_SET, EXPLICIT, Passage
from hoplab.sentences import say, term
from hoplab.story.table_decisions import group_words
from hoplab.story.trip_records import Decision


def flow_card(decision: Decision) -> tuple[str, ...]:
    """The lines for a decision of a switch; long ones are broken where they are drawn. None where
    neither a flow nor an answer is known."""
    return tuple(_lines(decision))


def _lines(decision: Decision) -> Iterator[str]:
    asked = decision.by == "controller"
    if decision.passage is not None:
        yield from _by_tables(decision.passage)
    elif decision.flow:
        yield decision.flow
    elif asked:
        yield term("no flow that takes it")
    elif decision.by == "nobody":
        yield term("no flow, and no controller")
    else:
        return
    if asked:
        yield term("asked the controller")
        for installed in decision.installed:
            yield say("+ {flow}", flow=installed)
    if decision.answer and not _says_where(decision):
        yield say("→ {ports}", ports=decision.answer)


def _says_where(decision: Decision) -> bool:
    """Whether its flows name the one port by which the frame went, or say that it goes nowhere."""
    passage = decision.passage
    if passage is None or decision.by == "controller":
        return False
    acts = [act.text for flow in passage.flows for act in flow.acts]
    if not passage.sent:
        return passage.reason == EXPLICIT
    return len(passage.sent) == 1 and any(act.startswith("output:") for act in acts)


def _short(action: str) -> str:
    """'learn(…)' for one with a page of parameters."""
    name, bracket, _ = action.partition("(")
    return f"{name}(…)" if bracket and len(action) > 30 else action


def _by_tables(passage: Passage) -> Iterator[str]:
    for flow in passage.flows:
        if flow.priority is None:
            yield say("table {table}: no flow", table=flow.table)
            continue
        if flow.table != ACTION_SET:
            yield say(
                "table {table}, priority {priority}", table=flow.table, priority=flow.priority
            )
            yield flow.match or term("any frame")
        acts = ", ".join(_short(act.text) for act in flow.acts if not act.within)
        yield f"→ {acts or 'drop'}"
    for group in passage.groups:
        yield group_words(group)
    for meter in passage.meters:
        yield say("meter {meter}", meter=meter.number)
