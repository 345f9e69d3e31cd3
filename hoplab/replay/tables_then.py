# SPDX-License-Identifier: Apache-2.0
"""What switches told of their tables, for a capture that begins later than they did.

What lives here: notes from before the beginning, made into what was there when it began. What must
not: files, what a flow means.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from hoplab.capture import notes
from hoplab.capture.pcapng_format import Note
from hoplab.decode import tables


def tables_then(kept: Iterable[Note], begun_ns: int) -> list[Note]:
    """The same notes, with the flows that were there at that time as if they had been there when
    the switches were asked, and without those that had gone. 0: the notes as they are."""
    if not begun_ns:
        return list(kept)
    made: list[Note] = []
    flows: dict[tuple[str, tuple[int, int, bytes]], bytes] = {}
    later: list[Note] = []
    heads: dict[str, Note] = {}
    for note in kept:
        if note.t_ns >= begun_ns:
            later.append(note)
            continue
        entries = tables.entries(note.data) if note.topic == notes.TABLES else []
        if not entries:
            made.append(note)
            continue
        heads.setdefault(note.source, note)
        for entry in entries:
            for change in tables.read(tables.with_entries([entry])):
                if not isinstance(change, tables.FlowChange):
                    continue
                key = note.source, change.key
                flows.pop(key, None)
                if change.event != tables.DELETED:
                    flows[key] = entry
    for switch, head in heads.items():
        there = [entry for (name, _), entry in flows.items() if name == switch]
        made += [replace(head, data=data) for data in tables.as_initial(there)]
    return [*sorted(made, key=lambda note: note.t_ns), *later]
