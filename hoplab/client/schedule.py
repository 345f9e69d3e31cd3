# SPDX-License-Identifier: Apache-2.0
"""Changes that are made at set times while a command runs: `--at 3s "link r1 r2 down"`."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from hoplab.client import labs
from hoplab.client.changes import Request
from hoplab.errors import LabError
from hoplab.sentences import say


@dataclass(frozen=True)
class Planned:
    """A change of the lab, so many seconds after the command began. text: as it was asked."""

    at_s: float
    text: str
    request: Request


class Schedule:
    """Makes changes while a `with` block runs. remarks: what could not be made, and what there was
    no time for; known when the block has ended."""

    def __init__(self, handle: labs.Handle, planned: Sequence[Planned]) -> None:
        self._handle = handle
        self._planned = sorted(planned, key=lambda change: change.at_s)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.remarks: list[str] = []

    def __enter__(self) -> Schedule:
        if self._planned:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._planned:
            self._thread.join()

    def _run(self) -> None:
        began = time.monotonic()
        for place, change in enumerate(self._planned):
            if self._over.wait(max(0.0, began + change.at_s - time.monotonic())):
                self.remarks += [
                    say("the command had ended before {s:g} s: {change} was not done",
                        s=missed.at_s, change=missed.text)
                    for missed in self._planned[place:]
                ]  # fmt: skip
                return
            try:
                self._handle.ask(change.request)
            except LabError as error:
                self.remarks.append(
                    say("at {s:g} s, {change}: {reason}",
                        s=change.at_s, change=change.text, reason=error.message)
                )  # fmt: skip
