# SPDX-License-Identifier: Apache-2.0
"""The lab that a script's network is: a running lab that we did not build.

What differs from one that `up` has built: the wiring follows what the script does with it, while
captures run too; the controllers are the script's own until somebody puts one of ours in charge,
and can be put back.
"""

from __future__ import annotations

import contextlib
import shlex
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hoplab.capture import bpf
from hoplab.capture.capture import Capture
from hoplab.control import foreign, supervisor
from hoplab.control.process import Controller
from hoplab.errors import Exit, LabError
from hoplab.kernel.batch import Place
from hoplab.nearest import meant
from hoplab.openvswitch import bridges, daemons
from hoplab.ryu_apps import Apps
from hoplab.sentences import listed, say, term
from hoplab.service import loops
from hoplab.service.lab import Lab
from hoplab.service.spec import Spec
from hoplab.stock import linux_bridge
from hoplab.stock.members import ScriptMembers
from hoplab.stock.netem import Netem
from hoplab.stock.network import Change, Picture, Places, ScriptNetwork

LINUX_BRIDGE = "linux-bridge"  # in the place of a datapath of Open vSwitch's
_OLD_PORT = 6633  # OpenFlow's before IANA gave it one, where many a script has its controller


class ScriptLab(Lab):
    """A lab around the network of a script. argv: the script's command line."""

    changes_controllers = True

    def __init__(
        self,
        spec: Spec,
        argv: Sequence[str],
        switchd: daemons.Switchd | None,
        datapath: str,
        netem: Netem,
        places: Places,
    ) -> None:
        super().__init__(spec)
        self.argv = list(argv)
        self.switchd = switchd or daemons.Switchd(spec.logs)  # one without processes
        self.datapath = datapath if switchd is not None else "none"
        self.url = self.client = None
        self.network: ScriptNetwork = ScriptNetwork(places, netem.limits)
        self.cables.wires = netem.wires
        self.members = ScriptMembers(self)
        self._netem = netem
        self._turn = threading.RLock()
        self.fresh: Callable[[], None] = lambda: None  # called when the network is another one

    # ------------------------------------------------------------------ what changes

    def draw(self, who: int, picture: Picture | None) -> None:
        """A process of the script says what its network consists of now, or has ended (None)."""
        with self._turn:
            before = {node.name for node in self.network.hosts}
            self._take(self.network.draw(who, picture))
            if before.isdisjoint({node.name for node in self.network.hosts}):
                self.fresh()

    def refresh(self) -> None:
        with self._turn:
            self._take(self.network.refresh())

    def queue_goes(self, place: Place, name: str) -> None:
        """The script is about to replace the queue of an interface."""
        with self._turn:
            self.cables.settle(place, name)

    def queue_came(self, place: Place, name: str) -> None:
        """It has: what was asked of that interface from outside is no more."""
        with self._turn:
            self.network.script_shapes(place, name)
            self.refresh()

    def _take(self, change: Change) -> None:
        """Let captures hear what is new, and lab.json say it."""
        self.hearing.begin(change.new)
        if change.new:
            self.hearing.named()
        self.hearing.end(change.gone)
        own = self._own_controllers()
        self.cables.note_longest()
        if change.other or own != self.own or not self.spec.state.exists():
            self.own = own
            guarded: set[str] = set()
            if self.network.bridges():
                with contextlib.suppress(LabError, OSError):
                    guarded = bridges.with_spanning_tree()
            for name in self.network.linux_bridges():
                with contextlib.suppress(LabError, OSError):
                    if linux_bridge.has_spanning_tree(self.network.place(name), name):
                        guarded = {*guarded, name}
            self.loops = loops.find(self.network.wiring(), guarded)
            with contextlib.suppress(LabError):
                self.write_state()

    def _own_controllers(self) -> foreign.Foreign | None:
        """Those of the script, while they are in charge; what they were, while one of ours is."""
        if self.crew is not None and not isinstance(self.crew.controller, foreign.Foreign):
            return self.own
        wanted = self.network.bridges()
        if not wanted:  # a capture that runs has heard of those that there were
            return self.own if self.hearing.all else None
        try:
            targets = bridges.controllers()
        except (LabError, OSError):
            return self.own
        mine = {bridge: targets[bridge] for bridge in wanted if targets.get(bridge)}
        if not mine:
            return None
        names = [each["name"] for each in self.network.controllers]
        title = ",".join(dict.fromkeys(names)) or "controller"
        return foreign.Foreign.of(title, self.spec.folder, mine)

    # ------------------------------------------------------------------ what it is

    @property
    def controller(self) -> Controller | None:
        return self.crew.controller if self.crew is not None else self.own

    def command(self) -> str:
        return f"hoplab run -- {shlex.join(self.argv)}"

    def openflow_ports(self) -> Sequence[int]:
        named = [each["port"] for each in self.network.controllers]
        ports = {int(port) for port in named if str(port or "").isdigit()}
        return sorted({_OLD_PORT, *ports, *super().openflow_ports()})

    def state(self, controller: Controller | None = None) -> dict[str, Any]:
        return {
            **super().state(controller),
            **({"datapath": LINUX_BRIDGE} if self._bridged() else {}),
            "script": self.argv,
        }

    def _bridged(self) -> bool:
        """Whether Linux bridges alone forward here."""
        names = {switch.name for switch in self.network.switches}
        return bool(names) and names <= set(self.network.linux_bridges())

    def origin(self) -> dict[str, Any]:
        """The script alone knows its classes: what they do shows in what hosts are set to."""
        kinds = {"host": "Host", "switch": "OVSSwitch"}
        return {
            "nodes": {
                node.name: {"class": {"name": kinds[kind], "module": "mininet.node"}}
                for kind, nodes in (("host", self.network.hosts), ("switch", self.network.switches))
                for node in nodes
            },
            "cables": [],
        }

    # ------------------------------------------------------------------ what may be done

    def swap(
        self, apps: Apps, workplace: Path | None, wanted: Callable[[], None]
    ) -> dict[str, Any]:
        if self.crew is None:
            self.own = self.own or self._nobody()
            self._own_again(apps)
            self.crew = supervisor.Crew.around(
                self.own, list(self.own.targets), self.spec.platform, tell=self.event
            )
        return super().swap(apps, workplace, wanted)

    def _nobody(self) -> foreign.Foreign:
        """In charge of switches that have no controller. Raises LabError where none could have
        one."""
        alone = self.network.learning_alone()
        wanted = [name for name in self.network.bridges() if name not in alone]
        if not wanted:
            others = [f"{each.name} ({each.classes[0]})" for each in self.network.switches]
            raise LabError(
                say(
                    "no switch of this lab takes a controller: {switches}",
                    switches=listed(others),
                )
                if others
                else term("this lab has no switch, hence no controller"),
                term("one that does is an OVSSwitch, and Mininet(…) makes such unless told else"),
                Exit.BAD_INPUT,
            )
        return foreign.Foreign.of("none", self.spec.folder, {name: [] for name in wanted})

    def tables(self, switches: list[str]) -> dict[str, Any]:
        own = [switch.name for switch in self.network.switches]
        linux, ovs = self.network.linux_bridges(), self.network.bridges()
        self._need_tables(switches, own, [*linux, *ovs])
        by_name = {name: self._learned(name) for name in switches or own if name in linux}
        asked = [name for name in switches or own if name in ovs]
        whole: dict[str, Any] = {"controller": None, "shards": 0}
        if asked:
            whole = super().tables(asked)
            by_name |= {switch["name"]: switch for switch in whole["switches"]}
        there = [by_name[name] for name in switches or own if name in by_name]
        return {**whole, "switches": there}

    def _learned(self, name: str) -> dict[str, Any]:
        """What a Linux bridge has learned. Raises LabError."""
        interfaces = self.network.wiring()["interfaces"]
        ports = {each["ifname"]: each for each in interfaces if each["node"] == name}
        node_of = {each["mac"]: each["node"] for each in interfaces}
        return linux_bridge.table(self.network.place(name), name, ports, node_of)

    @staticmethod
    def _need_tables(wanted: list[str], own: list[str], there: list[str]) -> None:
        """Raises LabError for what is no switch, for switches that tell nothing, and where none
        does. own: all switches; there: those that tell."""
        if not own:
            raise LabError(
                term("this lab has no switch"),
                term("the script has stopped its network, or has not built it yet"),
                Exit.NO_SUCH,
            )
        for name in wanted:
            if name not in own:
                raise LabError(
                    say("this lab has no switch {switch}", switch=name),
                    meant(name, own),
                    Exit.NO_SUCH,
                )
        silent = [name for name in wanted or own if name not in there]
        if silent and (wanted or not there):
            raise LabError(
                say("{switches}: neither Open vSwitch nor a Linux bridge, so there is no table",
                    switches=listed(silent)),
                term("what it does with frames, a trace shows"),
                Exit.FAILED,
            )  # fmt: skip

    # ------------------------------------------------------------------ capturing

    def capture(self, path: Path) -> Capture:
        with self._turn:
            return super().capture(path)

    def listen(
        self,
        out: int,
        wanted: list[str],
        program: bpf.Program | None,
        count: int,
        *,
        fresh: bool,
    ) -> Capture:
        with self._turn:
            return super().listen(out, wanted, program, count, fresh=fresh)

    def hear(
        self, capture: Capture, *, whole: bool, program: bpf.Program | None = None
    ) -> Capture:
        super().hear(capture, whole=whole, program=program)
        self.network.keeping = len(self.hearing.all)
        return capture

    def ended(self, capture: Capture) -> None:
        with self._turn:
            super().ended(capture)
            self.network.keeping = len(self.hearing.all)
