# SPDX-License-Identifier: Apache-2.0
"""How a rule for sentences is entered, and what many of them ask of a value or of the evidence.

What lives here: the table of rules, and these questions. What must not: a rule.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from truth.evidence import Evidence, Frame
from truth.oracle import Rule, words

RULES: dict[str, Rule] = {}


def of(*templates: str) -> Callable[[Rule], Rule]:
    """Enters a rule for these templates."""

    def enter(rule: Rule) -> Rule:
        for template in templates:
            RULES[template] = rule
        return rule

    return enter


def packets_in(value: Any) -> list[int]:
    """The numbers of packets in a value, in order."""
    if isinstance(value, str):
        return [int(number.replace(",", "")) for number in re.findall(r"#([\d,]*\d)", value)]
    if isinstance(value, dict):
        if isinstance(value.get("packet"), int):
            return [value["packet"]]
        return [number for inner in value.values() for number in packets_in(inner)]
    if isinstance(value, list):
        return [number for inner in value for number in packets_in(inner)]
    return []


def nodes_in(value: Any) -> list[str]:
    """The nodes in a value, in order."""
    if isinstance(value, dict):
        if isinstance(value.get("node"), str):
            return [value["node"]]
        return [node for inner in value.values() for node in nodes_in(inner)]
    if isinstance(value, list):
        return [node for inner in value for node in nodes_in(inner)]
    return []


def cards(evidence: Evidence, node: str) -> set[str]:
    return {each.name for each in evidence.interfaces.values() if each.node == node}


def sent_by(evidence: Evidence, node: str) -> list[Frame]:
    names = cards(evidence, node)
    return [frame for frame in evidence.sent if frame.interface in names]


def heard_by(evidence: Evidence, node: str) -> list[Frame]:
    names = cards(evidence, node)
    return [frame for frame in evidence.captured if not frame.out and frame.interface in names]


def broken(evidence: Evidence, size: int, lengths: set[str]) -> bool:
    """Less than what was announced came, as a connection was reset."""
    resets = any(frame.tcp and frame.flag("reset") for frame in evidence.captured)
    return resets and 0 <= size < max(int(length) for length in lengths)


def times(value: Any) -> int:
    text = words(value)
    return {"once": 1, "twice": 2}.get(text) or int(text.split()[0].replace(",", ""))


def owns(evidence: Evidence, node: str, address: str) -> bool:
    return node in evidence.owners_of_ip(address)
