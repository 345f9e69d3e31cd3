# SPDX-License-Identifier: Apache-2.0
"""A running lab: its Open vSwitch, its network, its controller, and what may be done to them.

Lives in the lab's own namespaces and process. Who asks, and over what, is `daemon`'s business.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hoplab import content, control, listening, netlink, switchd
from hoplab.errors import Exit, LabError, cannot_write
from hoplab.sandbox import TUN, refused
from hoplab.spec import EARLY_CAPTURE, Spec
from hoplab.wire import bpf
from hoplab.wire.capture import Capture

RESTARTS, RESTARTS_WITHIN_S = 5, 60
EARLY_S = 30  # how long a capture that began with the lab waits to be asked for

Progress = Callable[[str], None]


class Lab:
    """Everything between `build` and the end of the process."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.events: list[str] = []
        self.controller: control.Controller | None = None
        self.standby: control.Controller | None = None
        self.switchd = switchd.Switchd(spec.logs)
        self.datapath = "none"
        self.early: Capture | None = None
        self._early_until = 0.0
        self.changing = threading.Lock()  # held by whoever changes controller or network
        self._restarts: list[float] = []
        self._given_up: control.Controller | None = None

    # ------------------------------------------------------------------ coming up

    def build(self, progress: Progress) -> None:
        """Bring everything up; when this returns, every pair that should talk, talks.
        Raises LabError."""
        progress("reading the topology")
        from hoplab import network  # takes its time; the sandbox is up before it is needed
        from hoplab.batch import Batch, raise_file_limit
        from hoplab.namespaces import ipv6_off

        raise_file_limit()
        batch = Batch(ipv6=self.spec.ipv6)
        network.install(batch)
        # Even with IPv6 on the hosts: here are the switches' interfaces alone, and a switch is no
        # neighbour. Theirs would ask for routers on every wire.
        ipv6_off()
        batch.root.namespace.route.send([netlink.link_up(netlink.LOOPBACK, "lo")])
        topo = network.load_topo(self.spec.topology, self.spec.arguments)
        self.url = getattr(topo, "url", None)
        self.client = getattr(topo, "client", None)
        switches = bool(topo.switches())
        if switches:
            self.datapath = switchd.choose_datapath(self.spec.datapath)
            if self.datapath == "user" and not os.access(TUN, os.R_OK | os.W_OK):
                raise refused(OSError(13, os.strerror(13)))
            self._start_controller(topo)
        opening = _Background(self._start_switchd) if switches else None
        try:
            progress("building the network")
            if self.spec.capture:
                path = self.spec.folder / EARLY_CAPTURE
                try:
                    self.early = early = Capture(path, listening.comment(self))
                except OSError as error:
                    raise cannot_write(error, path.parent) from error
                if self.controller is not None:
                    listening.tap_openflow(batch.root, early)
                batch.on_new = lambda new: listening.tap(self, early, new)
            self.network = network.Network(topo, batch, self.datapath)
            self.network.build()
        finally:
            if opening is not None:
                progress("starting Open vSwitch")
                opening.join()
        self.network.start()
        self._write_state()
        if self.controller is not None:
            progress(f"waiting for the controller {self.controller.title}")
            self.controller.ready()
            empty = control.change_over(self.network.bridges(), self.controller, first=True)
            self._warn_empty(empty)
            self._new_standby()
        self._write_state()
        self._early_until = time.monotonic() + EARLY_S

    def _start_switchd(self) -> None:
        self.switchd.start()
        warm = self.switchd.warm_up(self.datapath)
        if warm is not None:
            warm.wait()
            switchd.vsctl("--no-wait", "--if-exists", "del-br", "warm-up")

    def _start_controller(self, topo: Any) -> None:
        files = self.spec.controller
        if not files:
            wish = str(getattr(topo, "controller", None) or "learning_switch")
            beside = self.spec.topology.parent / wish
            files = (beside,) if beside.is_file() else content.find_all("controllers", wish)
        self.controller = control.Controller(
            files, control.PORTS[0], self.spec.folder, self.spec.platform
        )
        self.controller.start()

    def _new_controller(self, files: tuple[Path, ...]) -> control.Controller:
        """One that is not started yet, on a port of its own."""
        taken = [each.port for each in (self.controller, self.standby) if each is not None]
        last = max(taken, default=control.PORTS[0])
        ports = [*(p for p in control.PORTS if p > last), *control.PORTS]
        port = next(port for port in ports if port not in taken)
        return control.Controller(files, port, self.spec.folder, self.spec.platform)

    def _new_standby(self) -> None:
        """Start a process that waits for the one in charge to end, if the lab is to have one."""
        old, self.standby = self.standby, None
        if old is not None:
            old.stop()
        if self.spec.standby and self.controller is not None:
            standby = self._new_controller(self.controller.files)
            try:
                standby.start()
            except LabError as error:
                self.event(error.message)
                return
            self.standby = standby

    def _warn_empty(self, empty: list[str]) -> None:
        if empty and self.controller is not None:
            self.event(
                f"the controller {self.controller.title} has put no flow into "
                f"{', '.join(empty[:5])}: frames there are dropped until it does"
            )

    def event(self, text: str) -> None:
        """Something the user should know; kept for `hoplab ls` and the log."""
        self.events.append(text)
        with contextlib.suppress(OSError), open(self.spec.logs / "lab.log", "a") as log:
            log.write(f"{time.strftime('%H:%M:%S')} {text}\n")

    # ------------------------------------------------------------------ what it is

    def state(self) -> dict[str, Any]:
        """lab.json: what was built, and who is wired to whom."""
        controller = self.controller
        return {
            "format": 1,
            "name": self.spec.name,
            "topology": self.spec.topology.stem,
            "topology_file": str(self.spec.topology),
            "arguments": self.spec.arguments,
            "controller": controller.name if controller else None,
            "controller_file": ",".join(map(str, controller.files)) if controller else None,
            "datapath": self.datapath,
            "url": self.url,
            "client": self.client,
            "events": self.events,
            **self.network.wiring(),
        }

    def _write_state(self) -> None:
        data = json.dumps(self.state(), indent=1)
        fresh = self.spec.state.with_suffix(".new")
        try:
            fresh.write_text(data)
            os.replace(fresh, self.spec.state)
        except OSError as error:
            raise cannot_write(error, self.spec.folder) from error

    # ------------------------------------------------------------------ what may be done

    def swap(self, files: tuple[Path, ...]) -> dict[str, Any]:
        """Put another controller in charge. Raises LabError; the old one is in charge then."""
        with self.changing:
            old = self.controller
            if old is None:
                raise LabError(
                    "this lab has no switch, hence no controller",
                    "take a topology with a switch: hoplab up switch",
                    Exit.BAD_INPUT,
                )
            new = self._new_controller(files)
            bridges = self.network.bridges()
            try:
                new.start()
                new.ready()
                empty = control.change_over(bridges, new, first=False)
            except BaseException:
                new.stop()
                if not old.ended():
                    switchd.set_controller(bridges, [f"tcp:127.0.0.1:{old.port}"])
                raise
            self.controller = new
            old.stop()
            self._new_standby()
            self._warn_empty(empty)
            self._write_state()
            return {
                "controller": new.name,
                "was": old.name,
                "switches": bridges,
                "without_flows": empty,
            }

    def mend(self) -> str | None:
        """Look after the processes: a controller that is dead or does not answer is started again;
        the name of a dead part of Open vSwitch is returned, for then the lab cannot go on."""
        if self.early is not None and time.monotonic() > self._early_until:
            self._drop_early()  # whoever wanted it has gone
        dead = self.switchd.ended()
        if dead:
            return dead
        controller = self.controller
        if controller is None or controller is self._given_up:
            return None
        if not self.changing.acquire(False):
            return None
        try:
            if controller.ended():
                what = "ended"
            elif controller.stuck():
                what = f"has not answered for {control.BEATS * control.BEAT_S:g} s"
                controller.stop()
            else:
                return None
            controller.close()
            self._replace(controller, what)
        finally:
            self.changing.release()
        return None

    def watched(self) -> list[int]:
        """Descriptors that become readable when `mend` has something to do."""
        controller = self.controller
        return [controller.pidfd] if controller is not None and controller.pidfd >= 0 else []

    def _replace(self, dead: control.Controller, what: str) -> None:
        """Put the waiting process in charge, or a new one; a bounded number of times."""
        now = time.monotonic()
        self._restarts = [t for t in self._restarts if now - t < RESTARTS_WITHIN_S]
        self._restarts.append(now)
        if len(self._restarts) >= RESTARTS:
            self._given_up = dead
            self.event(
                f"the controller {dead.title} failed {RESTARTS} times in {RESTARTS_WITHIN_S} s and "
                "stays down; put another in charge with `hoplab swap`"
            )
            return
        new, self.standby = self.standby, None
        waited = new is not None and not new.ended()
        how = "the second one takes over" if waited else "it is started again"
        self.event(f"the controller {dead.title} {what}; {how}")
        try:
            if new is None or not waited:
                new = self._new_controller(dead.files)
                new.start()
            self.controller = new
            new.ready()
            switchd.set_controller(self.network.bridges(), [f"tcp:127.0.0.1:{new.port}"])
        except LabError as error:
            self.event(error.message)
            return
        self._new_standby()
        self._write_state()

    def tables(self, switches: list[str]) -> dict[str, Any]:
        """What the named switches, or all of them, know and do now. Raises LabError."""
        from hoplab import tables

        bridges = self.network.bridges()
        for name in switches:
            if name not in bridges:
                raise LabError(
                    f"this lab has no switch {name}",
                    f"it has: {', '.join(bridges) or 'none'}",
                    Exit.NO_SUCH,
                )
        return {
            "controller": self.controller.name if self.controller else None,
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
        if self.early is not None:
            taken, self.early = self.early, None
            self.network.batch.on_new = None
            taken.add_names(listening.names(self))
            taken.move_to = path
            return taken
        try:
            return listening.start(self, path)
        except OSError as error:
            raise cannot_write(error, path.parent) from error

    def listen(
        self, out: int, wanted: list[str], program: bpf.Program | None, count: int
    ) -> Capture:
        """Listen on the interfaces of these hosts, or of these names (all: none named), into a
        file or pipe. Raises LabError."""
        return listening.start(self, out, wanted, program, count)


class _Background:
    """A function at work in a thread; `join` waits and raises what it raised."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._error: BaseException | None = None

        def body() -> None:
            try:
                work()
            except BaseException as error:
                self._error = error

        self._thread = threading.Thread(target=body, daemon=True)
        self._thread.start()

    def join(self) -> None:
        self._thread.join()
        if self._error is not None:
            raise self._error
