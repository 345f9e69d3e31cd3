# SPDX-License-Identifier: Apache-2.0
"""The captures that run in a lab, while its network changes: what is new is heard from its first
frame on, what goes is let go of, and who reads a capture later learns of what there was.

What lives here: who hears what. What must not: how a capture is made (`captures.py`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hoplab.capture import bpf
from hoplab.capture.capture import Capture
from hoplab.service import captures

if TYPE_CHECKING:
    from hoplab.kernel.batch import Place
    from hoplab.service.lab import Lab

Gone = dict[str, list[dict[str, Any]]]  # "nodes" and "interfaces", as lab.json had them


@dataclass(eq=False)
class Hearing:
    """A capture that runs. whole: it is to hear interfaces that come later, too, and takes of each
    the frames that `program` takes. gone: what there was when it began, and is not any more."""

    capture: Capture
    whole: bool
    program: bpf.Program | None = None
    gone: Gone = field(default_factory=lambda: {"nodes": [], "interfaces": []})


class Hearings:
    """All of a lab."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self.all: list[Hearing] = []

    def add(
        self, capture: Capture, *, whole: bool, program: bpf.Program | None = None
    ) -> Capture:
        """This one runs from now on."""
        self.all = [*self.all, Hearing(capture, whole, program)]
        return capture

    def remove(self, capture: Capture) -> None:
        """Nobody attends to it any more."""
        self.all = [each for each in self.all if each.capture is not capture]

    def gone(self, capture: Capture) -> Gone | None:
        """What it has heard that is not there any more; None if there is nothing."""
        for each in self.all:
            if each.capture is capture and any(each.gone.values()):
                return each.gone
        return None

    # ------------------------------------------------------------------ while the network changes

    def begin(self, new: Sequence[tuple[Place, str]]) -> None:
        """These interfaces are there, and have not carried anything yet."""
        for hearing in self.all:
            if hearing.whole and new:
                with contextlib.suppress(OSError):  # an interface is gone again
                    captures.tap(self._lab, hearing.capture, new, hearing.program)

    def named(self) -> None:
        """Addresses may be others now."""
        for hearing in self.all:
            hearing.capture.add_names(captures.names(self._lab))

    def watch(self, switches: Sequence[str]) -> None:
        """These switches are new: what their tables hold is kept, too."""
        for hearing in self.all:
            if hearing.whole and hearing.program is None:
                captures.watch_tables(hearing.capture, switches)

    def end(self, labels: Sequence[str]) -> None:
        """These interfaces are about to go."""
        for hearing in self.all:
            for label in labels:
                hearing.capture.drop(label)

    def keep(
        self, state: Mapping[str, Any], nodes: Collection[str], ports: Collection[str]
    ) -> None:
        """Keep for those who hear what lab.json says of these nodes and interfaces, which go."""
        for hearing in self.all:
            for kind, names in (("nodes", nodes), ("interfaces", ports)):
                kept = {each["name"] for each in hearing.gone[kind]}
                hearing.gone[kind] += [
                    dict(each) for each in state.get(kind, ())
                    if each["name"] in names and each["name"] not in kept
                ]  # fmt: skip

    def is_known(self, label: str) -> bool:
        """Whether a capture that runs has heard an interface of that name which has gone."""
        return any(
            entry["name"] == label for each in self.all for entry in each.gone["interfaces"]
        )
