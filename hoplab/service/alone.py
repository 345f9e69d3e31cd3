# SPDX-License-Identifier: Apache-2.0
"""Hosts that cannot talk because nothing joins them, and labs without any host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hoplab.sentences import listed, number_of, say, term

_NAMED = 5


def without_cable(state: Mapping[str, Any]) -> list[str]:
    """The hosts that no cable leads to. state: lab.json."""
    joined = {port["node"] for port in state["interfaces"] if port["peer"]}
    return [n["name"] for n in state["nodes"] if n["kind"] != "switch" and n["name"] not in joined]


def remark(state: Mapping[str, Any]) -> str:
    """What to say of such a lab, "" where there is nothing to say."""
    if not state["nodes"]:
        return term("the topology is empty: no host, no switch")
    alone = without_cable(state)
    if not alone:
        return ""
    names: str = listed(alone[:_NAMED])
    if len(alone) > _NAMED:
        names = say("{names} and {n} others", names=names, n=len(alone) - _NAMED)
    return number_of(
        "{nodes} has no cable: no addLink() names it",
        "{nodes} have no cable: no addLink() names them",
        len(alone),
        nodes=names,
    )
