# SPDX-License-Identifier: Apache-2.0
"""What switches tell of their tables while a capture runs, as plain data.

What lives here: one object for each flow or group that was there, came, changed or went. What must
not: who wanted it (`history.py`), what it did to a frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from hoplab.capture import notes
from hoplab.capture.pcapng_format import Note
from hoplab.decode import openflow, tables

_CHANGES = {tables.ADDED: "added", tables.DELETED: "removed", tables.MODIFIED: "changed"}
_THERE = "there"  # when the capture began


def table_changes(kept: Iterable[Note]) -> Iterator[dict[str, Any]]:
    """The changes in what a capture keeps beside its frames, in order."""
    for note in kept:
        if note.topic != notes.TABLES:
            continue
        for item in tables.read(note.data):
            told: dict[str, Any] = {"switch": note.source, "t_ns": note.t_ns}
            if isinstance(item, tables.FlowChange):
                change = _THERE if tables.is_initial(note.data) else _CHANGES[item.event]
                yield {**told, "change": change, **_flow(item)}
            elif isinstance(item, tables.Group):
                buckets = {"group": item.number, "type": item.type}
                yield {**told, "change": _THERE, "what": "group", **buckets}


def _flow(flow: tables.FlowChange) -> dict[str, Any]:
    message = openflow.decode(flow.message())
    return {
        "what": "flow",
        "table": flow.table,
        "priority": flow.priority,
        "match": str(flow.match) if flow.match.fields else "",
        "cookie": flow.cookie,
        "sends_to": list(message.ports),
        "next_table": message.table_next,
        "reason": flow.reason,
    }
