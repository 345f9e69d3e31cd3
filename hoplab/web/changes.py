# SPDX-License-Identifier: Apache-2.0
"""What a switch changed in a frame that it sent on: a tag, an address, a TTL.

What lives here: two frames, field by field. What must not: why (the story says by which flow).
"""

from __future__ import annotations

from hoplab.decode.packet import strip_padding
from hoplab.report import fields
from hoplab.sentences import listed, say

MOST = 5  # fields that are named


def changed(before: bytes, after: bytes) -> bool:
    """Whether two frames are not the same; what a card filled a short one up with is no part."""
    return before != after and strip_padding(before) != strip_padding(after)


def changes(before: bytes, after: bytes) -> str:
    """The fields that differ, "" if none does."""
    if not changed(before, after):
        return ""
    items = [_words(change) for change in fields.changes(before, after)[0]]
    return listed(items if len(items) <= MOST else [*items[: MOST - 1], "…"])


def _words(change: fields.Change) -> str:
    values = {"layer": change.layer, "field": change.name}
    if not change.before:
        return say("+ {layer}, {field}: {value}", **values, value=change.after)
    if not change.after:
        return say("without {layer}, {field}", **values)
    return say("{layer}, {field}: {old}→{new}", **values, old=change.before, new=change.after)
