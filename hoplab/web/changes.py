# SPDX-License-Identifier: Apache-2.0
"""What a switch changed in a frame that it sent on: a tag, an address, a TTL.

What lives here: two frames, field by field. What must not: why (the story says by which flow).
"""

from __future__ import annotations

from hoplab.report.cutter import Field
from hoplab.report.fields import fields
from hoplab.sentences import listed, say

MOST = 5  # fields that are named


def changes(before: bytes, after: bytes) -> str:
    """The fields that differ, "" if none does."""
    if before == after:
        return ""
    old = {(field.layer, field.name): field for field in fields(before)}
    new = {(field.layer, field.name): field for field in fields(after)}
    items = [
        *(_changed(old[key], field) for key, field in new.items()
          if key in old and old[key].value != field.value),
        *(say("+ {layer}, {field}: {value}", layer=field.layer, field=field.name, value=field.value)
          for key, field in new.items() if key not in old),
        *(say("without {layer}, {field}", layer=field.layer, field=field.name)
          for key, field in old.items() if key not in new),
    ]  # fmt: skip
    return listed(items if len(items) <= MOST else [*items[: MOST - 1], "…"])


def _changed(old: Field, new: Field) -> str:
    return say(
        "{layer}, {field}: {old}→{new}",
        layer=new.layer, field=new.name, old=old.value, new=new.value,
    )  # fmt: skip
