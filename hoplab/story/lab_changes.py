# SPDX-License-Identifier: Apache-2.0
"""What somebody changed in the network while a story ran: cables cut, mended, slowed.

The lab says it itself, in a note beside the frames, at the moment when it is done. What lives here:
those notes, and the step in whose time each fell. What must not: what frames show of it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hoplab.capture import notes
from hoplab.capture.pcapng_format import Note
from hoplab.sentences import from_plain, say
from hoplab.story.records import Remark, Step
from hoplab.story.trip_records import Trip


@dataclass(frozen=True, slots=True)
class LabChange:
    """What was changed, in the lab's words."""

    t_ns: int
    sentence: str


def lab_changes(kept: Iterable[Note]) -> list[LabChange]:
    """Those that a capture keeps beside its frames; what makes no sense is left out."""
    changes = []
    for note in kept:
        if note.topic == notes.CHANGED:
            with contextlib.suppress(ValueError, KeyError, TypeError):
                data = json.loads(note.data, object_hook=from_plain)
                changes.append(LabChange(int(data["at_ns"]), data["sentence"]))
    return changes


def add_lab_changes(
    steps: Sequence[Step], trips: Sequence[Trip], changes: Sequence[LabChange], started_ns: int
) -> None:
    """Says each change in the step in whose time it fell: that of the last packet before it."""
    begins = {trip.number: trip.t_ns for trip in trips}
    for change in changes:
        before = [
            (begins[number], place)
            for place, step in enumerate(steps)
            for number in step.trips
            if begins[number] <= change.t_ns
        ]
        if steps:
            text = (
                say(
                    "At {ms:+,.2f} ms somebody changed the network: {change}.",
                    ms=(change.t_ns - started_ns) / 1e6, change=change.sentence,
                )
                if change.t_ns >= started_ns
                else say(
                    "{ms:,.2f} ms before the first packet somebody changed the network: {change}.",
                    ms=(started_ns - change.t_ns) / 1e6, change=change.sentence,
                )
            )  # fmt: skip
            place = max(before, default=(0, 0))[1]
            steps[place].remarks.append(Remark("lab-changed", text))
