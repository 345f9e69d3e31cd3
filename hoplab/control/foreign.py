# SPDX-License-Identifier: Apache-2.0
"""Controllers that somebody else runs: a script's own, or one outside of the lab.

They are never started, watched or ended here; switches can be taken from them and given back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hoplab import ryu_apps, wait
from hoplab.control.log import Log
from hoplab.control.process import Controller, listening
from hoplab.errors import Exit, LabError
from hoplab.sentences import listed, say, term

LISTENS_S = 2.0  # for it to listen: it has done so all the time


def named(name: str) -> ryu_apps.Apps:
    """What stands for such a controller where apps are expected: its name alone."""
    return ryu_apps.Apps((ryu_apps.App(name, None),))


@dataclass
class Foreign(Controller):
    """A controller, or several, of somebody else's. targets: by switch, as Open vSwitch names
    them."""

    targets: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str, folder: Path, targets: dict[str, list[str]]) -> Foreign:
        return cls(named(name), 0, folder, targets=targets)

    def targets_of(self, bridge: str) -> Sequence[str]:
        return self.targets.get(bridge, [])

    def adopt(self, bridge: str) -> None:
        """A new switch finds its controller where the switches that are there find theirs."""
        self.targets.setdefault(bridge, next(iter(self.targets.values()), []))

    def start(self, ready: object = None) -> None:
        """It runs, or not: that is its owner's business."""

    def logged(self) -> Log:
        return Log()

    def stuck(self) -> str:
        return ""

    def ready(self, wanted: Callable[[], None] = lambda: None) -> None:
        """Raises LabError where nobody listens."""
        wanted()
        every = sorted({target for targets in self.targets.values() for target in targets})
        ports = [int(target.rpartition(":")[2]) for target in every if target.startswith("tcp:")]
        try:
            wait.until(
                lambda: all(map(listening, ports)),
                say("the controller {controller} to listen", controller=self.title),
                within_s=LISTENS_S,
            )
        except LabError:
            raise LabError(
                say(
                    "nobody answers for {controller}, at {targets}",
                    controller=self.title,
                    targets=listed(every),
                ),
                term("start it again first"),
                Exit.FAILED,
            ) from None
