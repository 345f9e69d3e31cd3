# SPDX-License-Identifier: Apache-2.0
"""A running lab: its Open vSwitch, its network, its controller, and what may be done to them.

Lives in the lab's own namespaces and process. Who asks, and over what, is `server.py`'s business.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import socket
import subprocess
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hoplab import ryu_apps
from hoplab.capture import bpf, notes
from hoplab.capture.capture import Capture
from hoplab.capture.notes import WOKEN
from hoplab.control import endings, faults, foreign, process, relay, supervisor
from hoplab.errors import Exit, LabError, cannot_write
from hoplab.kernel import netlink
from hoplab.kernel.namespaces import Background
from hoplab.kernel.refusals import TUN, refused
from hoplab.openflow_channel import CONTROLLER_PORTS
from hoplab.openvswitch import bridges, daemons, flows, send_room
from hoplab.ryu_apps import Apps
from hoplab.sentences import listed, say, term, to_plain
from hoplab.service import cable_words, captures, loops
from hoplab.service.cables import Cables
from hoplab.service.hearing import Gone, Hearings
from hoplab.service.host_facts import HostFacts
from hoplab.service.members import Members
from hoplab.service.services import Services
from hoplab.service.settings import HostSettings
from hoplab.service.spec import EARLY_CAPTURE, Spec

if TYPE_CHECKING:
    from hoplab.kernel.batch import Batch

# A queue has a thousand frames at most, as interfaces are made, and the kernel counts 2,304 bytes
# for a full one.
ROOM_OF_A_QUEUE = 1000 * 2304
EARLY_S = 30  # how long a capture that began with the lab waits to be asked for

Progress = Callable[[str], None]


def _lines(state: dict[str, Any]) -> str:
    """lab.json, with a line for each node and each interface."""

    def value(item: Any) -> str:
        if isinstance(item, list) and item and isinstance(item[0], dict):
            rows = ",\n  ".join(map(json.dumps, item))
            return f"[\n  {rows}\n ]"
        return json.dumps(item)

    rows = ",\n ".join(f"{json.dumps(key)}: {value(item)}" for key, item in state.items())
    return f"{{\n {rows}\n}}\n"


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
        look: Callable[[list[tuple[str, int]]], list[str]] = lambda wanted: [],
    ) -> None:
        """spare: a process that has Ryu loaded, if the topology is thought to have switches.
        carrier: where connections go that are to be carried on outside of the lab. look: asks
        whether controllers may be reached outside, at these addresses (`client/outside.py`)."""
        self.spec, self.spare, self.carrier, self._look = spec, spare, carrier, look
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
        self._silent: list[str] = []  # daemons that hang
        self.cables = Cables(self)
        self.facts = HostFacts(self)
        self.hearing = Hearings(self)
        self.services = Services(self)
        self.members = Members(self)
        self.host_settings = HostSettings(self)
        self.written: dict[str, Any] = {}  # what lab.json says
        self._drafts: dict[Path, dict[str, Any]] = {}  # what it may say next, by file
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
            daemons.choose_datapath(self._wish())
            for file in self._apps(topo).files:
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
        opening = self._open_early() if self.spare is not None else None
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
            opening = self._open(opening, topo, progress)
        else:
            self._close_early(opening)
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
        self.make_room()
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

    def _open(
        self, opening: Background[None] | None, topo: Any, progress: Progress
    ) -> Background[None]:
        """Start the controllers and, if it has not begun, Open vSwitch for a topology that has
        switches. Raises LabError."""
        from hoplab import network

        self.datapath = daemons.choose_datapath(self._wish())
        if self.datapath != "kernel" and not os.access(TUN, os.R_OK | os.W_OK):
            raise refused(OSError(13, os.strerror(13)))
        self.crew = self._crew(topo)
        self.crew.start(self.spare)
        opening = opening or Background(self._start_switchd)
        if self.datapath == "afxdp":
            progress(term("trying AF_XDP ports"))
            opening.result()
            self._try_afxdp(sum(map(topo.isSwitch, itertools.chain(*topo.links()))))
        return self._divide(opening, topo.switches(), network.patched(topo))

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
        self._say_left_out()

    def make_room(self) -> None:
        """Where cables limit what switches in user space send, room for what waits there."""
        limited = self.network.limited_ports() if self.datapath == "user" else []
        if limited:
            room = ROOM_OF_A_QUEUE * (1 + len(limited))
            first = {bridge: (bridge, port) for bridge, port in reversed(limited)}
            send_room.widen(self.switchd.vswitchds(), first.values(), room)

    def _open_early(self) -> Background[None] | None:
        """Start Open vSwitch before it is known whether the topology has switches, if nothing
        speaks against it; what does is told when it is known."""
        try:
            self.datapath = daemons.choose_datapath(self._wish())
        except LabError:
            return None
        may = self.datapath == "kernel" or os.access(TUN, os.R_OK | os.W_OK)
        return Background(self._start_switchd) if may else None

    def _close_early(self, opening: Background[None] | None) -> None:
        """The topology has no switches after all."""
        self.datapath = "none"
        if opening is not None:
            with contextlib.suppress(LabError):
                opening.result()
            self.switchd.stop()
        self._drop_spare()

    def _drop_spare(self) -> None:
        """No controller of ours is wanted."""
        if self.spare is not None and self.spare.stdin is not None:
            self.spare.kill()  # or it would load Ryu first
            self.spare.wait()
            self.spare.stdin.close()
        self.spare = None

    def _start_switchd(self) -> None:
        self.switchd.start()
        self.switchd.warm_up(self.datapath)

    def _divide(
        self, opening: Background[None], switches: list[str], patched: bool
    ) -> Background[None]:
        """Let several ovs-vswitchd share the switches of a large lab."""
        pairs = self.spec.vswitchd or daemons.pairs_for(len(switches))
        pairs = min(pairs, len(switches))
        if self.datapath == "kernel" or pairs < 2:
            return opening
        if patched:
            self.event(
                term("one ovs-vswitchd has all the switches, as patch ports (OVSLink) want it")
            )
            return opening

        def work() -> None:
            opening.result()
            self.switchd.divide(pairs)

        self.event(
            say(
                "the switches are divided among {n} ovs-vswitchd; ovs-vsctl speaks to the first "
                "of them, and to the second with {option}",
                n=pairs,
                option="--db=unix:/run/openvswitch/db-2.sock",
            )
        )
        return Background(work)

    def _wish(self) -> str:
        """The datapath asked for. 'fast' is as 'auto' where everything is to be captured from the
        start. Raises LabError where the two exclude each other."""
        wish = self.spec.datapath
        if self.spec.capture and wish == "afxdp":
            raise captures.unheard(term("this lab"))
        return "auto" if self.spec.capture and wish == "fast" else wish

    def _try_afxdp(self, ports: int) -> None:
        """Once Open vSwitch runs: whether it takes so many AF_XDP ports here. Raises LabError if
        they are insisted on and it does not."""
        why = self.switchd.try_afxdp(ports)
        if not why:
            self.event(
                term(
                    "frames pass the switches by AF_XDP, where a capture does not hear them: "
                    "visit, trace and open want a lab without --datapath"
                )
            )
            return
        if self.spec.datapath == "afxdp":
            raise LabError(
                say("AF_XDP ports do not work here: {reason}", reason=why),
                term(
                    "they want root, a kernel with XDP sockets and BPF, and memory; "
                    "leave out --datapath, or write --datapath fast to take them where they work"
                ),
                Exit.REFUSED,
                daemons.tail(self.spec.logs / "ovs-vswitchd.log", 5),
            )
        self.datapath = "user"
        self.event(
            say(
                "AF_XDP ports, which want root, do not work here ({reason}): plain ones are used",
                reason=why,
            )
        )

    def _apps(self, topo: Any) -> Apps:
        """What controls the switches: as asked for, else what the topology names. Raises
        LabError."""
        apps = self.spec.controller
        if apps.apps:
            return apps
        wish = str(getattr(topo, "controller", None) or "learning_switch")
        return ryu_apps.find(wish, apps.options, beside=self.spec.topology.parent)

    def _outside(self, topo: Any) -> foreign.Foreign | None:
        """The controller outside that the topology's file names, if it may be reached now."""
        from hoplab.network import script

        if self.carrier is None:
            return None
        for remote in script.remotes(self.spec.topology):
            addresses = [(remote.ip, port) for port in remote.ports]
            for address, state in zip(addresses, self._look(addresses), strict=True):
                if state == "there":
                    relay.lead_outside(address, self.switchd.vswitchds, self._carry)
                    target = f"tcp:{address[0]}:{address[1]}"
                    targets = {name: [target] for name in topo.switches()}
                    self.event(
                        say(
                            "the controller {controller} at {ip}:{port}, which runs outside, is in "
                            "charge, as line {line} has it",
                            controller=remote.name,
                            ip=address[0],
                            port=address[1],
                            line=remote.line,
                        )
                    )
                    topo.hoplab_outside = True
                    return foreign.Foreign.of(remote.name, self.spec.folder, targets)
        return None

    def _carry(self, address: tuple[str, int], switch: socket.socket) -> None:
        """Hand a switch's connection to whoever is outside."""
        assert self.carrier is not None
        message = json.dumps({"connect": address}).encode()
        socket.send_fds(self.carrier, [message], [switch.fileno()])

    def begin_switching(self) -> None:
        """A lab that came up without a switch is to have one: Open vSwitch and a controller begin.
        Raises LabError; all is as before then."""
        chosen = daemons.choose_datapath(self._wish())
        chosen = "user" if chosen == "afxdp" else chosen
        if chosen != "kernel" and not os.access(TUN, os.R_OK | os.W_OK):
            raise refused(OSError(13, os.strerror(13)))
        crew = self._crew(self.network.topo)
        self.datapath = self.network.datapath = chosen
        try:
            crew.start()
            self._start_switchd()
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

    def _crew(self, topo: Any) -> supervisor.Crew:
        """The controllers, not started yet."""
        spec, wish = self.spec, self.spec.controller
        if not wish.apps and not wish.options and not getattr(topo, "controller", None):
            self.own = self._outside(topo)
            if self.own is not None:
                self._drop_spare()
                return supervisor.Crew.around(
                    self.own, topo.switches(), spec.platform, tell=self.event
                )
        apps = self._apps(topo)
        self._say_not_used(apps)
        shards = max(1, min(spec.shards, len(topo.switches())))
        return supervisor.Crew(
            apps,
            spec.folder,
            spec.platform,
            shards=shards,
            standby=spec.standby,
            workplace=spec.workplace,
            tell=self.event,
        )

    @property
    def controller(self) -> process.Controller | None:
        """Who is in charge of the switches, or of the first of them."""
        return self.crew.controller if self.crew is not None else None

    def _say_not_used(self, apps: Apps) -> None:
        if apps.not_used:
            self.event(
                say(
                    "{options} is not used: where its controllers listen, and that switches come "
                    "to them without TLS, is the lab's business",
                    options=listed(dict.fromkeys(apps.not_used)),
                )
            )

    def _waiting(self) -> list[str]:
        """What becomes of frames at switches that still have no flow: up to OpenFlow 1.2 a switch
        hands to its controller what no flow matches, since 1.3 it drops that (5.4)."""
        if self.crew is None:
            return []
        self.empty = [name for name in self.empty if not flows.flows(name)]
        spoken = self.crew.versions() if self.empty else {}
        asking = [name for name in self.empty if spoken.get(name, 4) < 4]
        dropping = [name for name in self.empty if name not in asking]
        title = self.crew.controller.title
        remarks: list[str] = []
        if dropping:
            remarks.append(
                say(
                    "the controller {controller} has put no flow into {switches}: frames there "
                    "are dropped until it does",
                    controller=title,
                    switches=listed(dropping[:5]),
                )
            )
        if asking:
            remarks.append(
                say(
                    "the controller {controller} has put no flow into {switches} yet: each frame "
                    "is handed to it, as OpenFlow {version} has it where no flow matches",
                    controller=title,
                    switches=listed(asking[:5]),
                    version=endings.version_name(spoken[asking[0]]),
                )
            )
        return remarks

    def _say_left_out(self) -> None:
        """Of several apps in one file the framework runs one, and says nothing."""
        for file, (runs, *rest) in self.crew.left_out().items() if self.crew else ():
            self.event(
                say(
                    "of the apps in {file} Ryu runs the first by name, {app}, and not {rest}: "
                    "each other one wants a file of its own",
                    file=Path(file).name,
                    app=runs,
                    rest=listed(rest),
                )
            )

    def remarks(self) -> list[str]:
        """What is to be said of the controller now: switches that wait for its first flow, and what
        its apps have raised and nobody caught, a sentence for each kind."""
        raised = self.crew.raised() if self.crew is not None else []
        nodes = self.network.wiring()["nodes"] if raised else []
        names = {int(node["dpid"], 16): node["name"] for node in nodes if node.get("dpid")}
        remarks = [faults.sentence(kind, times, names) for kind, times in raised]
        with contextlib.suppress(LabError):  # Open vSwitch may be about to end
            remarks = [*self._waiting(), *remarks]
        return remarks

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
            "topology": self.spec.topology.stem,
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

    def _draft_state(self, controller: process.Controller | None = None) -> Path:
        """The new lab.json, beside the one that holds. Raises LabError, on a full disk too."""
        return self._draft(self.state(controller))

    def _draft(self, state: dict[str, Any]) -> Path:
        # Several threads may be at it.
        fresh = self.spec.state.with_suffix(f".new-{threading.get_ident()}")
        try:
            fresh.write_text(_lines(state))
        except OSError as error:
            with contextlib.suppress(OSError):
                fresh.unlink()
            raise cannot_write(error, self.spec.folder) from error
        self._drafts[fresh] = state
        return fresh

    def write_state(self) -> None:
        """Have lab.json say what there is. Raises LabError, on a full disk too."""
        self._replace_state(self._draft_state())

    def _replace_state(self, draft: Path) -> None:
        """Have lab.json be what was drafted; that takes no room."""
        os.replace(draft, self.spec.state)
        self.written = self._drafts.pop(draft)

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
        self._say_not_used(apps)
        try:
            # Drafted before anything changes: on a full disk nothing does.
            was, empty = self.crew.swap(
                apps,
                lambda new: drafts.append(self._draft_state(new)),
                wanted,
                workplace,
                instead,
            )
        except BaseException:
            for draft in drafts:
                draft.unlink(missing_ok=True)
            raise
        self._replace_state(drafts[-1])
        self.empty = empty
        self._say_left_out()
        self._watch_controllers()
        notes = [*self.events[events:], *self.remarks()]
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
        self._listen_for_silence()
        return self.switchd.ended()

    def _listen_for_silence(self) -> None:
        """Tell of a daemon of Open vSwitch that hangs, and when it goes on. It is not ended: it may
        be at work, and its switches' flows would go with it."""
        silent = self.switchd.silent()
        for name in silent:
            if name not in self._silent:
                self.event(
                    say(
                        "{daemon} has not answered for {s:g} s: its switches may stand still; if "
                        "it stays so, end the lab and bring it up again",
                        daemon=name,
                        s=daemons.Version.patience_s(),
                    )
                )
        for name in self._silent:
            if name not in silent:
                self.event(say("{daemon} answers again", daemon=name))
        self._silent = silent

    def node_of(self, word: str) -> str:
        """The node that a word means: itself, or the one that has the interface of that name."""
        if word in self.network.nameToNode:
            return word
        for node in [*self.network.hosts, *self.network.switches]:
            for intf in node.intfList():
                if word in (intf.name, self.network.label(intf), f"{node.name}:{intf.name}"):
                    return str(node.name)
        return word

    def may_change_members(self) -> None:
        """Raises LabError where nodes and cables are somebody else's to add and to take away."""

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
        self._replace_state(self._draft(state))

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
                    say("it has: {names}", names=listed(bridges) or term("none")),
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
