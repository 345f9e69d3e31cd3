# SPDX-License-Identifier: Apache-2.0
"""Whether a process that is there answers: asked every now and then, and never waited for.

What lives here: when to ask, and how many questions may go unanswered. What must not: how a process
is asked; whoever knows its protocol says so in a class of its own (`switchd.Version`,
`control.Echoes`).
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import ClassVar


class Pulse(ABC):
    """BEAT_S: between two questions; BEATS: so many unanswered in a row, and it has stopped.

    Beats are counted and not seconds, so that nobody is blamed when it is we who were held up.
    """

    BEAT_S: ClassVar[float]
    BEATS: ClassVar[int]

    def __init__(self) -> None:
        self._asked_s = 0.0
        self._missed = 0  # beats since the last answer

    @classmethod
    def patience_s(cls) -> float:
        """How long a process may be silent."""
        return cls.BEATS * cls.BEAT_S

    def stopped(self) -> bool:
        """Ask, if it is time; whether the last BEATS brought no answer."""
        if self._answered():
            self._missed = 0
        now_s = time.monotonic()
        if now_s - self._asked_s >= self.BEAT_S:
            self._asked_s = now_s
            self._missed += 1
            self._ask()
        return self._missed > self.BEATS

    @abstractmethod
    def _ask(self) -> None:
        """Send a question, unless one is under way that will do."""

    @abstractmethod
    def _answered(self) -> bool:
        """Read what has come; whether an answer was among it."""

    @abstractmethod
    def close(self) -> None:
        """Ask no more for now."""
