# SPDX-License-Identifier: Apache-2.0
"""What a check found: as records, from a single look to the verdicts of a sheet.

What lives here: plain records. What must not: how it is found, how it is printed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from hoplab.errors import Exit


@dataclass(frozen=True)
class Finding:
    """Why a check did not pass. node: where it was looked at, "" for nowhere in particular.

    where: the node at which a packet ended; why: as the story tells it. packet, frame: the one to
    look at, and its number in the capture, 0 for none. run: the run's folder, None without one.
    """

    expected: str
    seen: str
    node: str = ""
    where: str = ""
    why: tuple[str, ...] = ()
    packet: int = 0
    frame: int = 0
    run: Path | None = None


class Verdict(Enum):
    """What became of a check."""

    PASSED = "passed"
    FAILED = "failed"
    WARNING = "warning"  # it failed, and that is no failure of the sheet
    UNJUDGED = "unjudged"  # the machine was too busy for a capture without gaps
    SKIPPED = "skipped"  # one before it stopped the rest


@dataclass(frozen=True)
class Judgement:
    """A check's verdict. tries: how often it was looked at."""

    check: str
    verdict: Verdict
    finding: Finding | None = None
    tries: int = 0


NO_TESTS = 2
WARNINGS = 3


def exit_code(judgements: list[Judgement]) -> int:
    """0 all passed, 1 one failed, 2 there was none, 3 there were warnings alone: as those of
    `netlab validate`."""
    verdicts = {each.verdict for each in judgements}
    if not verdicts:
        return NO_TESTS
    if Verdict.FAILED in verdicts:
        return int(Exit.FAILED)
    return WARNINGS if verdicts - {Verdict.PASSED} else int(Exit.OK)
