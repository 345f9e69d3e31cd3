# SPDX-License-Identifier: Apache-2.0
"""The controllers of a lab: who is in charge of which switches, and who takes over.

A small lab has one shard: one process in charge of all switches. A large one may divide its
switches among several, each with a process of its own. Beside the one in charge, a second one may
stand by: it is connected to the same switches, as their slave (`roles`).

    hang         all processes are stopped, for a lab that is broken on purpose, until they are told
                 to go on.
    swap         new processes start and listen; all switches change over at one instant; the old
                 processes end. If a new one cannot start, nothing changes.
    mend         one in charge that has ended or is of no use is replaced: by the one that stands
                 by, which is connected already, or by a new one on another port. (To a new address
                 Open vSwitch goes at once, to an old one after its back-off of a second.)

What lives here: processes and switches. How one process starts, and how flows of an old controller
go, is `process.py`'s; who asks, the lab's.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hoplab.control import log, process
from hoplab.control.process import Controller
from hoplab.errors import Exit, LabError, cannot_write
from hoplab.kernel.threads import shares
from hoplab.openflow_channel import CONTROLLER_PORTS
from hoplab.openvswitch import daemons, flows
from hoplab.openvswitch.bridges import set_controllers
from hoplab.ryu_apps import Apps
from hoplab.sentences import say, term

RESTARTS, RESTARTS_WITHIN_S = 5, 60
# How a controller's file says that it must see the whole network.
_WHOLE = re.compile(r"^NEEDS_EVERY_SWITCH = True\b", re.MULTILINE)


@dataclass
class Shard:
    """Some of the switches, the process in charge of them, and the one that stands by.

    number: from 1. joined: whether the second one is connected. generation: of the last master
    named (OpenFlow 1.3.5, 6.3.5). restarts: when the one in charge was replaced; second_restarts:
    when the other was.
    """

    number: int
    controller: Controller
    standby: Controller | None = None
    joined: bool = False
    bridges: list[str] = field(default_factory=list)
    generation: int = 1
    restarts: list[float] = field(default_factory=list)
    second_restarts: list[float] = field(default_factory=list)
    given_up: bool = False

    def processes(self) -> list[Controller]:
        return [each for each in (self.controller, self.standby) if each is not None]


class Crew:
    """All controller processes of a lab. `tell` is called with what a user should know."""

    def __init__(
        self,
        apps: Apps,
        folder: Path,
        platform: str = "ryu",
        *,
        shards: int = 1,
        standby: bool = False,
        workplace: Path = Path("/"),
        tell: Callable[[str], None],
    ) -> None:
        """workplace: the folder that relative names in an app mean."""
        self.folder, self.platform, self.two, self.tell = folder, platform, standby, tell
        self._closed: set[Path] = set()  # workplaces that were told to be of no use
        self.changing = threading.Lock()  # held by whoever changes controllers or network
        self.hung = False  # all processes are stopped, and somebody wants them to be
        self._ports: list[int] = []  # given to processes, the newest last
        self._alone = True  # nobody but these processes listens where controllers do
        self.shards: list[Shard] = []
        for number in range(1, shards + 1):
            first = self._process(apps, number, shards, "master 1", workplace)
            shard = Shard(number, first)
            self.shards.append(shard)
            if standby:
                shard.standby = self._process(apps, number, shards, "slave 1", workplace)

    @classmethod
    def around(
        cls,
        controller: Controller,
        bridges: Sequence[str],
        platform: str = "ryu",
        *,
        tell: Callable[[str], None],
    ) -> Crew:
        """A crew of nobody but a controller that is in charge of these switches already."""
        crew = cls(
            controller.apps, controller.folder, platform, shards=0, tell=tell
        )
        crew.shards.append(Shard(1, controller, bridges=list(bridges)))
        crew._alone = False
        return crew

    # ------------------------------------------------------------------ processes

    @property
    def controller(self) -> Controller:
        """One of those in charge; all of them run the same files."""
        return self.shards[0].controller

    def _process(
        self, apps: Apps, number: int, shards: int, role: str, workplace: Path
    ) -> Controller:
        """One that is not started yet, on a port of its own. Raises LabError."""
        for file in apps.files if shards > 1 else ():
            if file.is_file() and _WHOLE.search(file.read_text(errors="replace")):
                raise LabError(
                    say("the controller {controller} must see every switch", controller=file.name),
                    term("leave out --shards"),
                    Exit.BAD_INPUT,
                )
        own = self.folder / f"shard-{number}" if shards > 1 else self.folder
        try:
            own.mkdir(exist_ok=True)
        except OSError as error:
            raise cannot_write(error, self.folder) from error
        role = role if self.two else ""
        workplace = self._workplace(workplace)
        return Controller(apps, self._port(), self.folder, self.platform, own, role, workplace)

    def _workplace(self, wanted: Path) -> Path:
        """The folder that is wanted, if it can be entered, else the lab's own, which is said once:
        it may have been taken away since, or lie where the lab has private folders."""
        if wanted.is_dir() and os.access(wanted, os.X_OK):
            return wanted
        if wanted not in self._closed:
            self._closed.add(wanted)
            self.tell(
                say(
                    "a controller cannot work in {wanted}, which is gone, closed or not to be "
                    "seen in the lab: relative names of files mean {folder}, which goes with the "
                    "lab",
                    wanted=wanted,
                    folder=self.folder,
                )
            )
        return self.folder

    def _next(self, shard: Shard, apps: Apps, workplace: Path) -> Controller:
        """A new one to be put in charge."""
        shard.generation += 1
        role = f"master {shard.generation}"
        return self._process(apps, shard.number, len(self.shards), role, workplace)

    def _port(self) -> int:
        """The next one that no process has; one that was used lately only if there is no other,
        for Open vSwitch waits a second before it tries an address again."""
        taken = {each.port for shard in self.shards for each in shard.processes()}
        if not self._alone:
            taken.update(port for port in CONTROLLER_PORTS if process.listening(port))
        last = self._ports[-1] if self._ports else CONTROLLER_PORTS[-1]
        turned = [*(p for p in CONTROLLER_PORTS if p > last), *CONTROLLER_PORTS]
        recent = self._ports[-len(CONTROLLER_PORTS) // 2 :]
        # Those of a swap under way are the newest.
        taken.update(self._ports[-len(self.shards) :] if self.shards else ())
        free = [p for p in turned if p not in taken]
        port = next((p for p in free if p not in recent), free[0])
        self._ports = [*self._ports[-len(CONTROLLER_PORTS) :], port]
        return port

    def start(self, ready: subprocess.Popen[bytes] | None = None) -> None:
        """Start all processes; `take_charge` waits for them. Raises LabError.

        ready: a process for the first of them that has loaded Ryu already (`preloaded.py`).
        """
        for shard in self.shards:
            for each in shard.processes():
                each.start(ready)
                ready = None

    def take_charge(self, bridges: Sequence[str]) -> list[str]:
        """Divide the switches, neighbours in the topology together, and put them under their
        controllers. Returns the switches that got no flow. Raises LabError."""
        for shard, share in zip(self.shards, shares(bridges, len(self.shards)), strict=True):
            shard.bridges = share
            shard.controller.ready()
        empty = process.change_over(self._charges(), first=True)
        for shard in self.shards:
            if shard.standby is not None:
                shard.standby.ready()
                self._join(shard)
        return empty

    def _charges(self, instead: Mapping[int, Controller] | None = None) -> dict[str, Controller]:
        """Switch -> the process in charge of it, or one of `others`, by shard."""
        return {
            bridge: (instead or {}).get(shard.number, shard.controller)
            for shard in self.shards
            for bridge in shard.bridges
        }

    def _join(self, shard: Shard) -> None:
        """Connect the second one to the switches, too."""
        targets = [each.target for each in shard.processes()]
        set_controllers(dict.fromkeys(shard.bridges, targets))
        shard.joined = shard.standby is not None

    def _stand_by(self, shard: Shard) -> None:
        """Start a process that waits, if this lab is to have one; `mend` connects it."""
        if shard.standby is not None:
            shard.standby.stop()
        shard.standby, shard.joined = None, False
        if self.two:
            try:
                first, role = shard.controller, f"slave {shard.generation}"
                waits = self._process(
                    first.apps, shard.number, len(self.shards), role, first.workplace
                )
                waits.start()
                shard.standby = waits
            except LabError as error:
                self.tell(error.message)

    # ------------------------------------------------------------------ changing

    def swap(
        self,
        apps: Apps,
        before: Callable[[Controller], None],
        wanted: Callable[[], None] = lambda: None,
        workplace: Path | None = None,
        instead: Controller | None = None,
    ) -> tuple[Apps, list[str]]:
        """Put another controller in charge of everything: what was in charge before, and the
        switches that got no flow. `before` is called with the first of the new ones when they are
        ready and nothing has changed yet; what it raises stops the swap, and
        what `wanted` raises, which is called all the time until then. workplace: where they work,
        None for where the old one does. instead: a controller that runs already, for the whole of
        `apps`. Raises LabError; the old one is in charge then."""
        with self.changing:
            wanted()
            old = self.controller
            new: dict[int, Controller] = {}
            try:
                for shard in self.shards:
                    new[shard.number] = instead or self._next(
                        shard, apps, workplace or old.workplace
                    )
                for each in new.values():
                    each.start()
                for each in new.values():
                    each.ready(wanted)
                wanted()
                before(new[self.shards[0].number])
                empty = process.change_over(self._charges(new), first=False)
            except BaseException:
                for each in new.values():
                    each.stop()
                self._as_before()
                raise
            self.hung = False
            for shard in self.shards:
                gone, shard.controller = shard.controller, new[shard.number]
                gone.stop()
                shard.given_up = False
                shard.restarts.clear()  # those were the old one's
                shard.second_restarts.clear()
                self._stand_by(shard)
            return old.apps, empty

    def take_in(self, bridge: str, wanted: Callable[[], None] = lambda: None) -> list[str]:
        """Put a switch that is new under those who have fewest, and wait until it has their first
        flows. Returns it if it got none. Raises LabError."""
        with self.changing:
            wanted()
            shard = min(self.shards, key=lambda each: len(each.bridges))
            shard.controller.adopt(bridge)
            shard.bridges = [*shard.bridges, bridge]
            began = time.monotonic()
            charged = shard.processes() if shard.joined else [shard.controller]
            set_controllers({bridge: [t for each in charged for t in each.targets_of(bridge)]})
            if shard.given_up or not shard.controller.targets_of(bridge):
                return [bridge]
            return process.await_flows({bridge: shard.controller}, began, wanted)

    def let_go(self, bridge: str) -> None:
        """A switch is taken out of the lab: no controller is in charge of it any more."""
        with self.changing:
            for shard in self.shards:
                shard.bridges = [each for each in shard.bridges if each != bridge]

    def _as_before(self) -> None:
        """Give the switches back to those that were in charge."""
        targets: dict[str, list[str]] = {}
        for shard in self.shards:
            if not shard.controller.ended():
                # What tried to be master may have told the switches its generation.
                shard.generation += 1
                shard.controller.become(f"master {shard.generation}")
                if shard.standby is not None:
                    shard.standby.become(f"slave {shard.generation}")
                wanted = shard.processes() if shard.joined else [shard.controller]
                targets |= {
                    bridge: [target for each in wanted for target in each.targets_of(bridge)]
                    for bridge in shard.bridges
                }
        with contextlib.suppress(LabError):
            set_controllers(targets)

    # ------------------------------------------------------------------ mending

    def watched(self) -> list[int]:
        """Descriptors that become readable when `mend` has something to do."""
        return [
            each.pidfd for shard in self.shards for each in shard.processes() if each.pidfd >= 0
        ]

    def mend(self) -> bool:
        """Look after every process; whether one was replaced. Does nothing during a change, nor
        while somebody wants them to hang."""
        if self.hung or not self.changing.acquire(False):
            return False
        try:
            return any([self._mend(shard) for shard in self.shards])
        finally:
            self.changing.release()

    def _mend(self, shard: Shard) -> bool:
        if shard.given_up:
            return False
        why = _trouble(shard.controller)
        if why:
            self._replace(shard, why)
            return True
        standby = shard.standby
        if standby is not None:
            why = _trouble(standby) if standby.ended() or shard.joined else ""
            if why:
                standby.stop()
                again = _may_restart(shard.second_restarts)
                values = {"controller": self._name(shard), "trouble": why}
                self.tell(
                    say(
                        "the second controller {controller} {trouble}; it is started again",
                        **values,
                    )
                    if again
                    else say(
                        "the second controller {controller} {trouble}; it stays down", **values
                    )
                )
                shard.standby, shard.joined = None, False
                if again:
                    self._stand_by(shard)
                return True
            if not shard.joined and process.listening(standby.port):
                self._join(shard)
        return False

    def _name(self, shard: Shard) -> str:
        title = shard.controller.title
        if len(self.shards) == 1:
            return title
        return say("{controller} (shard {shard})", controller=title, shard=shard.number)

    def _replace(self, shard: Shard, why: str) -> None:
        """Put the waiting process in charge, or a new one; a bounded number of times."""
        dead, name = shard.controller, self._name(shard)
        more = _may_restart(shard.restarts)
        second = shard.standby is not None and shard.joined and not shard.standby.ended()
        if not more and not second:
            dead.stop()
            shard.given_up = True
            self.tell(
                say(
                    "the controller {controller} failed {n} times in {s} s and stays down; put "
                    "another in charge with `hoplab swap`",
                    controller=name,
                    n=RESTARTS,
                    s=RESTARTS_WITHIN_S,
                )
            )
            return
        waiting, shard.standby = shard.standby, None
        if waiting is not None and waiting.ended():
            waiting.stop()
            waiting = None
        try:
            if waiting is not None:
                shard.generation += 1
                waiting.become(f"master {shard.generation}")  # first of all: it is connected
                self.tell(
                    say(
                        "the controller {controller} {trouble}; the second one takes over",
                        controller=name,
                        trouble=why,
                    )
                )
                new = waiting
            else:
                self.tell(
                    say(
                        "the controller {controller} {trouble}; it is started again",
                        controller=name,
                        trouble=why,
                    )
                )
                new = self._next(shard, dead.apps, dead.workplace)
                new.start()
            shard.controller = new
            dead.stop()
            new.ready()
            set_controllers({bridge: [new.target] for bridge in shard.bridges})
        except LabError as error:
            self.tell(error.message)
            shard.controller.stop()  # so that the next look finds it ended
            return
        if more:
            self._stand_by(shard)

    # ------------------------------------------------------------------ hanging

    def hang(self) -> None:
        """Stop every process (SIGSTOP) and leave it so. What switches forward by goes as well, or
        nobody would notice before it expires; what they ask by stays. Raises LabError where the
        controller is somebody else's."""
        with self.changing:
            processes = [each.process for shard in self.shards for each in shard.processes()]
            if not processes or None in processes:
                raise LabError(
                    say("{controller} is not hoplab's to stop", controller=self.controller.title),
                    term("stop it where it runs"),
                    Exit.BAD_INPUT,
                )
            self.hung = True
            self._signal(signal.SIGSTOP)
            for bridge in self._charges():
                flows.remove(bridge, [flow for flow in flows.flows(bridge) if flow.forwards])

    def resume(self) -> None:
        """Have them go on (SIGCONT), and the switches greet them anew, since a controller may have
        put in its flows then and never again. Raises LabError."""
        with self.changing:
            if not self.hung:
                return
            self._signal(signal.SIGCONT)
            for bridge in self._charges():
                daemons.reconnect(bridge)
            process.change_over(self._charges(), first=True)
            self.hung = False

    def _signal(self, number: signal.Signals) -> None:
        for shard in self.shards:
            for each in shard.processes():
                if each.process is not None:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(each.process.pid, number)

    # ------------------------------------------------------------------ what there is

    def halted(self) -> set[str]:
        """The switches of which the process in charge is stopped by a signal."""
        stopped = [shard for shard in self.shards if shard.controller.stands_still()]
        return {bridge for shard in stopped for bridge in shard.bridges}

    def versions(self) -> dict[str, int]:
        """Switch -> the OpenFlow version, in its wire form, that it speaks with its controller."""
        return process.versions(self._charges())

    def raised(self) -> list[tuple[log.Raised, int]]:
        """What the apps in charge have raised and nobody caught, each kind with its number."""
        every = [each for shard in self.shards for each in shard.controller.logged().raised]
        return list(log.same(every))

    def left_out(self) -> dict[str, list[str]]:
        """File -> the apps in it that do not run, because the framework takes one of each file."""
        return self.controller.logged().left_out

    def as_data(self) -> list[dict[str, Any]]:
        """The shards for lab.json."""
        return [
            {
                "number": shard.number,
                "switches": shard.bridges,
                "port": shard.controller.port,
                "standby": shard.standby.port if shard.standby is not None else None,
            }
            for shard in self.shards
        ]


def _trouble(controller: Controller) -> str:
    """What is wrong with it, as the end of a sentence that begins with its name; "" for nothing."""
    return term("ended") if controller.ended() else controller.stuck()


def _may_restart(restarts: list[float]) -> bool:
    """Notes one more; whether there were not too many of late."""
    now = time.monotonic()
    restarts[:] = [t for t in restarts if now - t < RESTARTS_WITHIN_S]
    restarts.append(now)
    return len(restarts) < RESTARTS
