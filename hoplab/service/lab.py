# SPDX-License-Identifier: Apache-2.0
"""A running lab: its Open vSwitch, its network, its controller, and what may be done to them.

Lives in the lab's own namespaces and process. Who asks, and over what, is `server.py`'s business.
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import time
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hoplab.capture import bpf, notes
from hoplab.capture.capture import Capture
from hoplab.capture.notes import WOKEN
from hoplab.control import foreign, process, supervisor
from hoplab.errors import Exit, LabError, cannot_write
from hoplab.imports import formats
from hoplab.kernel import netlink
from hoplab.nearest import meant
from hoplab.openflow_channel import CONTROLLER_PORTS
from hoplab.openvswitch import bridges, daemons
from hoplab.ryu_apps import Apps
from hoplab.sentences import say, term, to_plain
from hoplab.service import cable_words, captures, loops
from hoplab.service.cables import Cables
from hoplab.service.hearing import Gone, Hearings
from hoplab.service.host_facts import HostFacts
from hoplab.service.in_charge import InCharge, LookOutside
from hoplab.service.members import Members
from hoplab.service.services import Services
from hoplab.service.settings import HostSettings
from hoplab.service.spec import EARLY_CAPTURE, Spec
from hoplab.service.state_file import StateFile
from hoplab.service.switching import Progress, Switching

if TYPE_CHECKING:
    from hoplab.kernel.batch import Batch

EARLY_S = 30  # how long a capture that began with the lab waits to be asked for


class Lab:
    """Everything between `build` and the end of the process. network: as `hoplab.network` builds
    it, or one of the same shape that somebody else has built (`hoplab.stock`)."""

    network: Any
    changes_controllers = False  # though it has none now

    def __init__(
        self,
        spec: Spec,
        spare: subprocess.Popen[bytes] | None = None,
        carrier: socket.socket | None = None,
        look_outside: LookOutside = lambda wanted: [],
    ) -> None:
        """spare: given if the topology is thought to have switches; it and the others are as in
        `InCharge`."""
        self.spec = spec
        self.own: foreign.Foreign | None = None  # a controller of somebody else's
        self.events: list[str] = []
        self.crew: supervisor.Crew | None = None
        self.switchd = daemons.Switchd(spec.logs)
        self.datapath = "none"
        self.early: Capture | None = None
        self.listening: weakref.WeakSet[Capture] = weakref.WeakSet()  # those that run, at least
        self._early_until = 0.0
        self.loops: list[list[str]] = []  # switches that stand in one
        self.empty: list[str] = []  # switches that got no flow from their controller
        self.switching = Switching(self)
        self.in_charge = InCharge(self, spare, carrier, look_outside)
        self.cables = Cables(self)
        self.facts = HostFacts(self)
        self.hearing = Hearings(self)
        self.services = Services(self)
        self.members = Members(self)
        self.host_settings = HostSettings(self)
        self.state_file = StateFile(spec.state)
        self.captures: list[Capture] = []  # those that run

    def refresh(self) -> None:
        """Before anybody asks for something: take note of what others have changed. Here nobody
        does."""

    def command(self) -> str:
        """What brings up a lab like this one."""
        wish = f" --controller {self.controller.name}" if self.controller else ""
        return f"hoplab up {self.spec.title}{wish if self.spec.controller.apps else ''}"

    def openflow_ports(self) -> Sequence[int]:
        """Where switches and controllers speak, on the lab's own loopback."""
        targets = self.own.targets.values() if self.own is not None else ()
        used = [target.rpartition(":")[2] for some in targets for target in some]
        return sorted({*CONTROLLER_PORTS, *(int(port) for port in used if port.isdigit())})

    # ------------------------------------------------------------------ coming up

    def check(self, progress: Progress) -> None:
        """Whether the lab could be built, as far as that shows before anything of it is made: its
        topology is read, its controllers are found and can be compiled, there is the datapath that
        it wants. Raises LabError."""
        progress(term("reading the topology"))
        from hoplab import network  # as in `build`
        from hoplab.kernel.batch import Batch

        network.install(Batch(ipv6=self.spec.ipv6))
        topo = self._read_topology()
        if topo.switches():
            self.switching.wished()
            for file in self.in_charge.apps(topo).files:
                _compile(file)

    def _read_topology(self) -> Any:
        """The Topo that is asked for. Raises LabError."""
        from hoplab import network

        return network.load_topo(
            self.spec.topology, self.spec.arguments, self.spec.chosen, self.spec.words
        )

    def build(self, progress: Progress) -> None:
        """Bring everything up; when this returns, every pair that should talk, talks.
        Raises LabError."""
        progress(term("reading the topology"))
        opening = self.switching.begin_early() if self.in_charge.spare is not None else None
        from hoplab import network  # takes its time; the sandbox is up before it is needed
        from hoplab.kernel.batch import Batch, raise_file_limit
        from hoplab.kernel.namespaces import ipv6_off

        raise_file_limit()
        batch = Batch(ipv6=self.spec.ipv6)
        network.install(batch)
        # Even with IPv6 on the hosts: here are the switches' interfaces alone, and a switch is no
        # neighbour. Theirs would ask for routers on every wire.
        ipv6_off()
        batch.root.namespace.route.send([netlink.link_up(netlink.LOOPBACK, "lo")])
        topo = self._read_topology()
        self.url = getattr(topo, "url", None)
        self.client = getattr(topo, "client", None)
        if topo.switches():
            self.datapath = self.switching.choose()
            self.crew = self.in_charge.crew_for(topo)
            self.crew.start(self.in_charge.spare)
            opening = self.switching.begin(opening, topo, progress)
        else:
            self.switching.give_up(opening)
            self.in_charge.drop_spare()
            opening = None
        try:
            progress(term("building the network"))
            if self.spec.capture:
                self._capture_early(batch)
            self.network = network.Network(
                topo,
                batch,
                self.datapath,
                lambda: opening is not None and opening.succeeded,
                self.spec.simple_macs,
            )
            self.network.build()
            for remark in network.remarks(self.network):
                self.event(remark)
            if self.spec.static_arp:
                self.network.staticArp()
                self.event(
                    term("every host knows all MAC addresses on its link: no ARP will be seen")
                )
        finally:
            if opening is not None:
                progress(term("starting Open vSwitch"))
                opening.result()
        self.network.start()
        self.cables.shape_built()
        self.switching.make_room()
        if self.early is not None:
            captures.watch_processes(self, self.early)
            captures.watch_switches(self, self.early)
        if self.crew is not None:
            self.find_loops()
        self.write_state()
        if self.crew is not None:
            self._hand_over(self.crew, progress)
        self.network.settle(self.event)
        self.write_state()
        self._early_until = time.monotonic() + EARLY_S

    def find_loops(self) -> None:
        """Which switches stand in one now."""
        if self.crew is not None:
            self.loops = loops.find(self.network.wiring(), bridges.with_spanning_tree())

    def _capture_early(self, batch: Batch) -> None:
        """Capture on every interface from its making on. Raises LabError."""
        path = self.spec.folder / EARLY_CAPTURE
        try:
            self.early = early = Capture(path, captures.comment(self))
        except OSError as error:
            raise cannot_write(error, path.parent) from error
        if self.controller is not None:
            captures.tap_openflow(batch.root, early)
        batch.on_new = lambda new: captures.tap(self, early, new)

    def _hand_over(self, crew: supervisor.Crew, progress: Progress) -> None:
        """Let the switches connect to their controllers, and wait for their first flows."""
        title = crew.controller.title
        progress(say("waiting for the controller {controller}", controller=title))
        self.empty = crew.take_charge(self.network.bridges())
        self.in_charge.say_left_out()

    def begin_switching(self) -> None:
        """A lab that came up without a switch is to have one: Open vSwitch and a controller begin.
        Raises LabError; all is as before then."""
        chosen = self.switching.choose()
        chosen = "user" if chosen == "afxdp" else chosen
        crew = self.in_charge.crew_for(self.network.topo)
        self.datapath = self.network.datapath = chosen
        try:
            crew.start()
            self.switching.start()
            crew.take_charge([])
        except BaseException:
            self._end_crew(crew)
            raise
        self.crew = crew
        for hearing in self.hearing.all:
            if hearing.whole and hearing.program is None:
                with contextlib.suppress(OSError):
                    captures.tap_openflow(self.network.batch.root, hearing.capture)

    def end_switching(self) -> None:
        """Nothing needs them after all."""
        crew, self.crew = self.crew, None
        if crew is not None:
            self._end_crew(crew)

    def _end_crew(self, crew: supervisor.Crew) -> None:
        for shard in crew.shards:
            for each in shard.processes():
                each.stop()
        self.switchd.stop()
        self.datapath = self.network.datapath = "none"

    @property
    def controller(self) -> process.Controller | None:
        """Who is in charge of the switches, or of the first of them."""
        return self.crew.controller if self.crew is not None else None

    def event(self, text: str) -> None:
        """Something the user should know; kept for `hoplab ls` and the log."""
        self.events.append(text)
        with contextlib.suppress(OSError), open(self.spec.logs / "lab.log", "a") as log:
            log.write(f"{time.strftime('%H:%M:%S')} {text}\n")

    # ------------------------------------------------------------------ what it is

    def state(self, controller: process.Controller | None = None) -> dict[str, Any]:
        """lab.json: what was built, and who is wired to whom. controller: the one that will be in
        charge, if it is not yet."""
        controller = controller or self.controller
        return {
            "format": 1,
            "name": self.spec.name,
            "topology": formats.title(self.spec.topology),
            "topology_file": str(self.spec.topology),
            "chosen": self.spec.chosen,
            "arguments": self.spec.arguments,
            "words": list(self.spec.words),
            "controller": controller.name if controller else None,
            "controller_file": ",".join(map(str, controller.files)) if controller else None,
            "controller_apps": controller.apps.as_data() if controller else None,
            "own_controller": self.own.name if self.own else None,
            "shards": self.crew.as_data() if self.crew else [],
            "datapath": self.datapath,
            "platform": self.spec.platform,
            "ipv6": self.spec.ipv6,
            "static_arp": self.spec.static_arp,
            "url": self.url,
            "client": self.client,
            "events": self.events,
            "loops": self.loops,
            **({"longest_delay_ms": longest} if (longest := self.cables.longest_ms) else {}),
            **self.network.wiring(),
        }

    @property
    def written(self) -> dict[str, Any]:
        """What lab.json says."""
        return self.state_file.written

    def write_state(self) -> None:
        """Have lab.json say what there is. Raises LabError, on a full disk too."""
        self.state_file.write(self.state())

    # ------------------------------------------------------------------ what may be done

    def swap(
        self, apps: Apps, workplace: Path | None, wanted: Callable[[], None]
    ) -> dict[str, Any]:
        """Put another controller in charge, which works in the folder `workplace`, or where the one
        before does; `wanted` raises LabError when nobody waits for it any more. Raises LabError;
        the old one is in charge then."""
        if self.crew is None:
            raise LabError(
                term("this lab has no switch, hence no controller"),
                say("take a topology with a switch: {command}", command="hoplab up switch"),
                Exit.BAD_INPUT,
            )
        instead = self._own_again(apps)
        drafts: list[Path] = []
        events = len(self.events)
        self.in_charge.say_not_used(apps)
        try:
            # Drafted before anything changes: on a full disk nothing does.
            was, empty = self.crew.swap(
                apps,
                lambda new: drafts.append(self.state_file.draft(self.state(new))),
                wanted,
                workplace,
                instead,
            )
        except BaseException:
            for draft in drafts:
                self.state_file.forget(draft)
            raise
        self.state_file.replace(drafts[-1])
        self.empty = empty
        self.in_charge.say_left_out()
        self._watch_controllers()
        notes = [*self.events[events:], *self.in_charge.remarks()]
        with contextlib.suppress(LabError):  # who stands by and what is to be warned of
            self.write_state()
        return {
            "controller": self.crew.controller.name,
            "was": was.name,
            "was_words": was.words,
            "switches": self.network.bridges(),
            "without_flows": empty,
            "notes": notes,
        }

    def _own_again(self, apps: Apps) -> foreign.Foreign | None:
        """The controller of somebody else's that is meant by its name, None where another one is.
        Raises LabError where it is in charge already."""
        if self.own is None or apps.names != self.own.apps.names:
            return None
        if isinstance(self.controller, foreign.Foreign):
            raise LabError(
                say("{controller} is in charge already", controller=self.own.title),
                term("put another one in charge first"),
                Exit.USAGE,
            )
        return self.own

    def mend(self) -> bool:
        """Replace controllers that are dead or of no use; whether there were any."""
        if self.crew is None or not self.crew.mend():
            return False
        self._watch_controllers()
        with contextlib.suppress(LabError):  # only what happened is new; the log has that too
            self.write_state()
        return True

    def _watch_controllers(self) -> None:
        """Have captures that run keep how busy the new processes are, too."""
        for capture in list(self.listening):
            captures.watch_processes(self, capture)

    def look_after_switches(self) -> str | None:
        """Wake what somebody stopped, tell of what hangs. The name of a dead part of Open vSwitch
        is returned, for then the lab cannot go on."""
        if self.early is not None and time.monotonic() > self._early_until:
            self._drop_early()  # whoever wanted it has gone
        stopped = self.switchd.wake()
        if stopped:
            for capture in list(self.listening):
                capture.add_note(WOKEN, stopped, "")
            self.event(say("{daemon} was stopped (SIGSTOP); it goes on", daemon=stopped))
        self.cables.look_after()
        self.switching.listen_for_silence()
        return self.switchd.ended()

    def node_of(self, word: str) -> str:
        """The node that a word means: itself, or the one that has the interface of that name."""
        if word in self.network.nameToNode:
            return word
        for node in [*self.network.hosts, *self.network.switches]:
            for intf in node.intfList():
                if word in (intf.name, self.network.label(intf), f"{node.name}:{intf.name}"):
                    return str(node.name)
        return word

    def change_cable(
        self, ends: tuple[str, str], *, up: bool | None, clear: bool, wish: dict[str, Any]
    ) -> dict[str, Any]:
        """Cut or mend a cable, and have it do what is wished; what it is then. Raises LabError."""
        cable = self.cables.find(*ends)
        self.cables.note_ends(cable)
        begun_ns = self.moment()
        if clear:
            self.cables.clear(cable)
        if wish:
            self.cables.shape(cable, wish)
        if up is not None:
            (self.cables.mend if up else self.cables.cut)(cable)
        if clear or wish:
            self._write_limits(cable)
        described = self.cables.describe([cable])[0]
        self.note_change(cable_words.sentence(described), begun_ns)
        return described

    def origin(self) -> dict[str, Any]:
        """Of which classes its nodes and cables are, and with which parameters."""
        from hoplab.network.planned import origin  # which imports Mininet

        return origin(self.network)

    def hang(self, hung: bool) -> None:
        """Stop the controllers, or have them go on. Raises LabError."""
        if self.crew is None:
            raise LabError(
                term("this lab has no switch, hence no controller"),
                say("take a topology with a switch: {command}", command="hoplab up switch"),
                Exit.BAD_INPUT,
            )
        begun_ns = self.moment()
        (self.crew.hang if hung else self.crew.resume)()
        title = self.crew.controller.title
        sentence = (
            say("the controller {controller} is stopped: it answers nothing", controller=title)
            if hung
            else say("the controller {controller} goes on", controller=title)
        )
        self.note_change(sentence, begun_ns)

    @staticmethod
    def moment() -> int:
        """Now, by the clock that frames have their times from."""
        return time.time_ns()

    def note_change(self, sentence: str, at_ns: int) -> None:
        """Tell whoever captures at this moment."""
        note = json.dumps({"sentence": to_plain(sentence), "at_ns": at_ns})
        for capture in list(self.captures):
            capture.add_note(notes.CHANGED, self.spec.name, note)

    def _write_limits(self, cable: Any) -> None:
        """Tell in lab.json what the ends of a cable do now. All else is as it was: a large network
        is not asked anew for one of its cables. Raises LabError."""
        state = dict(self.written)
        limits = {
            self.network.label(end): self.network.limits(end) for end in (cable.intf1, cable.intf2)
        }
        state["interfaces"] = [
            limits[each["name"]].put_into(each) if each["name"] in limits else each
            for each in state["interfaces"]
        ]
        state.pop("longest_delay_ms", None)
        if self.cables.longest_ms:
            state["longest_delay_ms"] = self.cables.longest_ms
        self.state_file.write(state)

    def watched(self) -> list[int]:
        """Descriptors that become readable when `mend` has something to do."""
        return self.crew.watched() if self.crew is not None else []

    def tables(self, switches: list[str]) -> dict[str, Any]:
        """What the named switches, or all of them, know and do now. Raises LabError."""
        from hoplab.openvswitch import tables

        bridges = self.network.bridges()
        for name in switches:
            if name not in bridges:
                raise LabError(
                    say("this lab has no switch {switch}", switch=name),
                    meant(name, bridges),
                    Exit.NO_SUCH,
                )
        return {
            "controller": self.controller.name if self.controller else None,
            "shards": len(self.crew.shards) if self.crew else 0,
            "switches": tables.read(switches or bridges, self.state(), self.spec.folder),
        }

    def _drop_early(self) -> None:
        dropped, self.early = self.early, None
        self.network.batch.on_new = None
        if dropped is not None:
            with contextlib.suppress(OSError):
                dropped.stop()
                (self.spec.folder / EARLY_CAPTURE).unlink()

    # ------------------------------------------------------------------ capturing

    def capture(self, path: Path) -> Capture:
        """Listen on every interface of every namespace, into `path`; the capture that runs since
        before the interfaces came up is handed over if there is one: its file is moved there when
        it ends. Raises LabError."""
        if self.datapath == "afxdp":
            raise captures.unheard(say("the lab {lab}", lab=self.spec.name))
        if self.early is not None:
            taken, self.early = self.early, None
            self.network.batch.on_new = None
            taken.add_names(captures.names(self))
            taken.move_to = path
            if taken.cables is not None:
                taken.cables.begin()
            return self.hear(taken, whole=True)
        try:
            with self.members.turn:
                return self.hear(captures.start(self, path), whole=True)
        except OSError as error:
            raise cannot_write(error, path.parent) from error

    def hear(
        self, capture: Capture, *, whole: bool, program: bpf.Program | None = None
    ) -> Capture:
        """A capture runs; whole: it is to hear what comes later, too."""
        return self.hearing.add(capture, whole=whole, program=program)

    def ended(self, capture: Capture) -> None:
        """Nobody attends to this capture any more."""
        self.hearing.remove(capture)

    def gone(self, capture: Capture) -> Gone | None:
        """What a capture has heard that is not in the network any more."""
        return self.hearing.gone(capture)

    def listen(
        self,
        out: int,
        wanted: list[str],
        program: bpf.Program | None,
        count: int,
        *,
        fresh: bool,
    ) -> Capture:
        """Listen on the interfaces of these hosts, or of these names (all: none named), into a
        file or pipe; `fresh`: what was in the file goes. Raises LabError."""
        with self.members.turn:
            capture = captures.start(self, out, wanted, program, count, fresh=fresh)
            return self.hear(capture, whole=not wanted, program=program)


def _compile(file: Path) -> None:
    """Raises LabError for a controller's file that is no Python."""
    try:
        compile(file.read_bytes(), str(file), "exec", dont_inherit=True)
    except SyntaxError as error:
        raise LabError(
            say("{file}, line {line}: {reason}", file=file, line=error.lineno, reason=error.msg),
            term("mend the line; `python3 -m py_compile FILE` checks it"),
            Exit.BAD_INPUT,
            (error.text or "").rstrip(),
        ) from error
    except (OSError, ValueError):
        pass  # whoever runs it says what is wrong with it
