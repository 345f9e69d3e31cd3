# SPDX-License-Identifier: Apache-2.0
"""A sentence as data for a reader of JSON: its template, and beside each value what it is.

What lives here: the shapes. They are those of `hoplab.sentences.to_plain`, with values that say
what they are, so that a page can link a packet or colour a node without reading English:

    {"node": "h1"}   a node of the lab         {"packet": 3}   the number after '#' in the template
    {"ip": "10.0.0.1"}   {"mac": "02:00:00:00:00:01"}          addresses

Anything else is the text or the number itself; a sentence inside a sentence has its own parts.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache
from ipaddress import ip_address
from typing import Any

from hoplab.sentences import Listing, Sentence, Together

_MAC = re.compile("[0-9a-f]{2}(?::[0-9a-f]{2}){5}")
_PACKETS = re.compile(r"#\{(\w+)")


def with_parts(data: Any, nodes: Collection[str]) -> Any:
    """Data for JSON in which every text that is made of parts has them beside it: `title` has
    `title_parts`, a list `why` a list `why_parts` with null for plain text."""
    if isinstance(data, list):
        return [with_parts(item, nodes) for item in data]
    if not isinstance(data, dict):
        return data
    out: dict[str, Any] = {}
    for key, value in data.items():
        out[key] = with_parts(value, nodes)
        if isinstance(value, str):
            made: Any = parts(value, nodes)
        elif isinstance(value, list) and any(map(_is_made, value)):
            made = [parts(item, nodes) if isinstance(item, str) else None for item in value]
        else:
            made = None
        if made is not None:
            out[f"{key}_parts"] = made
    return out


def _is_made(value: Any) -> bool:
    return isinstance(value, Sentence | Listing | Together)


def parts(text: str, nodes: Collection[str]) -> dict[str, Any] | None:
    """What a text is made of; None for one that was not made here: a name, a program's words.
    nodes: the names of the lab's nodes."""
    if isinstance(text, Listing):
        return {"listed": [typed(item, nodes) for item in text.items]}
    if isinstance(text, Together):
        return {"together": [typed(part, nodes) for part in text.parts]}
    if not isinstance(text, Sentence):
        return None
    packets = packets_of(text.template) | packets_of(text.plural)
    values = {
        name: {"packet": value}
        if name in packets and isinstance(value, int)
        else typed(value, nodes)
        for name, value in text.values.items()
    }
    made = {"say": text.template, "values": values}
    return {**made, "plural": text.plural, "n": text.n} if text.plural else made


@lru_cache(4096)
def packets_of(template: str) -> frozenset[str]:
    """The names of the values that stand after '#'."""
    return frozenset(_PACKETS.findall(template))


def typed(value: Any, nodes: Collection[str]) -> Any:
    """A value, and what it is."""
    if not isinstance(value, str):
        return value if value is None or isinstance(value, int | float) else str(value)
    made = parts(value, nodes)
    if made is not None:
        return made
    if value in nodes:
        return {"node": value}
    kind = _address(value)
    return {kind: value} if kind else value


@lru_cache(4096)
def _address(text: str) -> str:
    """'ip', 'mac', or "" for neither."""
    if _MAC.fullmatch(text):
        return "mac"
    try:
        ip_address(text)
    except ValueError:
        return ""
    return "ip"
