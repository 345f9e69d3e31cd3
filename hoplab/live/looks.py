# SPDX-License-Identifier: Apache-2.0
"""How a running lab is: asked again and again, and told when it has changed.

What lives here: what is asked, and what is left out of the answers since it changes all the time.
What must not: whoever is told, captures.
"""

from __future__ import annotations

from typing import Any

from hoplab.client import labs

COUNTED = ("sent", "sent_bytes", "dropped")  # at the ends of cables


def cables_of(handle: labs.Handle) -> list[dict[str, Any]]:
    """The cables as `hoplab link --json` lists them, without what is counted at their ends.
    Raises LabError."""
    cables: list[dict[str, Any]] = handle.ask({"op": "links"})
    for cable in cables:
        for end in cable["ends"]:
            for counted in COUNTED:
                end.pop(counted, None)
    return cables


class Looks:
    """What was seen of a lab last."""

    def __init__(self, handle: labs.Handle) -> None:
        self._handle = handle
        self._seen: dict[str, Any] = {}

    def news(self) -> list[dict[str, Any]]:
        """What is otherwise than it was seen last, all of it at first, as events of
        `hoplab trace --live --json`. Raises LabError."""
        now: dict[str, dict[str, Any]] = {
            "controller": {"controller": self._handle.ask({"op": "status"})["controller"]},
            "links": {"cables": cables_of(self._handle)},
        }
        changed = [
            {"event": event, **data} for event, data in now.items()
            if self._seen.get(event) != data
        ]  # fmt: skip
        self._seen = now
        return changed
