# SPDX-License-Identifier: Apache-2.0
"""Parts of a story that could not be told, because of a fault of ours: the rest is told.

What lives here: how a part is guarded. What must not: what the parts are (`tell.py`, the
renderers), and who prints this.

>>> faults = Faults()
>>> with faults.part(term("why packets came")):
...     relations, lookups = find_causes(places, trips)
>>> for line in faults.lines():
...     print(line)

Where nobody asks for it (`STRICT`) a fault is raised as ever, so that tests see it.
"""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hoplab.sentences import say

_MOST = 5  # faults that are named; one fault in a packet is often one in thousands


@dataclass(frozen=True, slots=True)
class Fault:
    """part: what is missing in the story. error: what was raised, and where; trail: on what way."""

    part: str
    error: str
    trail: str


class Faults:
    """What could not be told so far."""

    def __init__(self, *, strict: bool = False) -> None:
        self._strict = strict
        self.all: list[Fault] = []

    def __len__(self) -> int:
        return len(self.all)

    @contextlib.contextmanager
    def part(self, part: str) -> Iterator[None]:
        """Whatever is raised inside is noted, and only this part is missing."""
        try:
            yield
        except Exception as error:
            if self._strict:
                raise
            self.all.append(Fault(part, _where(error), traceback.format_exc()))

    def lines(self) -> list[str]:
        """'why packets came (IndexError: list index out of range, causes.py:120)'."""
        named: list[str] = [
            say("{part} ({error})", part=fault.part, error=fault.error)
            for fault in self.all[:_MOST]
        ]
        more = len(self.all) - len(named)
        return [*named, say("and {n:,} more", n=more)] if more else named

    def as_data(self) -> list[dict[str, str]]:
        """For JSON."""
        return [{"part": fault.part, "error": fault.error} for fault in self.all[:1000]]


STRICT = Faults(strict=True)


def _where(error: Exception) -> str:
    """The error in a line, with the place in our code that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f", {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}{': ' if text else ''}{text[:200]}{place}"
