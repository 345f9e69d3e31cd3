# SPDX-License-Identifier: Apache-2.0
"""Who is in charge of a lab's switches: how it is chosen, and what is to be said of it.

What lives here: the choice, and remarks on it. What must not: how controllers run and change
(`hoplab.control`).
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hoplab import ryu_apps
from hoplab.control import endings, faults, foreign, relay, supervisor
from hoplab.errors import LabError
from hoplab.openvswitch import flows
from hoplab.ryu_apps import Apps
from hoplab.sentences import listed, say

if TYPE_CHECKING:
    from hoplab.service.lab import Lab

LookOutside = Callable[[list[tuple[str, int]]], list[str]]  # by address: "there", or what instead


class InCharge:
    """The controllers of one lab; those that run are the lab's `crew`.

    spare: a process that has Ryu loaded, for the first of them. carrier: where connections go that
    are to be carried on outside of the lab. look_outside: asks whether controllers may be reached
    outside, at these addresses (`client/outside.py`)."""

    def __init__(
        self,
        lab: Lab,
        spare: subprocess.Popen[bytes] | None,
        carrier: socket.socket | None,
        look_outside: LookOutside,
    ) -> None:
        self._lab = lab
        self.spare, self.carrier, self._look_outside = spare, carrier, look_outside

    def crew_for(self, topo: Any) -> supervisor.Crew:
        """The controllers, not started yet."""
        spec, wish = self._lab.spec, self._lab.spec.controller
        if not wish.apps and not wish.options and not getattr(topo, "controller", None):
            self._lab.own = self._outside(topo)
            if self._lab.own is not None:
                self.drop_spare()
                return supervisor.Crew.around(
                    self._lab.own, topo.switches(), spec.platform, tell=self._lab.event
                )
        apps = self.apps(topo)
        self.say_not_used(apps)
        shards = max(1, min(spec.shards, len(topo.switches())))
        return supervisor.Crew(
            apps,
            spec.folder,
            spec.platform,
            shards=shards,
            standby=spec.standby,
            workplace=spec.workplace,
            tell=self._lab.event,
        )

    def apps(self, topo: Any) -> Apps:
        """What controls the switches: as asked for, else what the topology names. Raises
        LabError."""
        apps = self._lab.spec.controller
        if apps.apps:
            return apps
        wish = str(getattr(topo, "controller", None) or "learning_switch")
        return ryu_apps.find(wish, apps.options, beside=self._lab.spec.topology.parent)

    def _outside(self, topo: Any) -> foreign.Foreign | None:
        """The controller outside that the topology's file names, if it may be reached now."""
        from hoplab.network import script

        if self.carrier is None:
            return None
        for remote in script.remotes(self._lab.spec.topology):
            addresses = [(remote.ip, port) for port in remote.ports]
            for address, state in zip(addresses, self._look_outside(addresses), strict=True):
                if state == "there":
                    relay.lead_outside(address, self._lab.switchd.vswitchds, self._carry)
                    target = f"tcp:{address[0]}:{address[1]}"
                    targets = {name: [target] for name in topo.switches()}
                    self._lab.event(
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
                    return foreign.Foreign.of(remote.name, self._lab.spec.folder, targets)
        return None

    def _carry(self, address: tuple[str, int], switch: socket.socket) -> None:
        """Hand a switch's connection to whoever is outside."""
        assert self.carrier is not None
        message = json.dumps({"connect": address}).encode()
        socket.send_fds(self.carrier, [message], [switch.fileno()])

    def drop_spare(self) -> None:
        """No controller of ours is wanted."""
        if self.spare is not None and self.spare.stdin is not None:
            self.spare.kill()  # or it would load Ryu first
            self.spare.wait()
            self.spare.stdin.close()
        self.spare = None

    def say_not_used(self, apps: Apps) -> None:
        if apps.not_used:
            self._lab.event(
                say(
                    "{options} is not used: where its controllers listen, and that switches come "
                    "to them without TLS, is the lab's business",
                    options=listed(dict.fromkeys(apps.not_used)),
                )
            )

    def _waiting(self) -> list[str]:
        """What becomes of frames at switches that still have no flow: up to OpenFlow 1.2 a switch
        hands to its controller what no flow matches, since 1.3 it drops that (5.4)."""
        if self._lab.crew is None:
            return []
        self._lab.empty = [name for name in self._lab.empty if not flows.flows(name)]
        spoken = self._lab.crew.versions() if self._lab.empty else {}
        asking = [name for name in self._lab.empty if spoken.get(name, 4) < 4]
        dropping = [name for name in self._lab.empty if name not in asking]
        title = self._lab.crew.controller.title
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

    def say_left_out(self) -> None:
        """Of several apps in one file the framework runs one, and says nothing."""
        for file, (runs, *rest) in self._lab.crew.left_out().items() if self._lab.crew else ():
            self._lab.event(
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
        raised = self._lab.crew.raised() if self._lab.crew is not None else []
        nodes = self._lab.network.wiring()["nodes"] if raised else []
        names = {int(node["dpid"], 16): node["name"] for node in nodes if node.get("dpid")}
        remarks = [faults.sentence(kind, times, names) for kind, times in raised]
        with contextlib.suppress(LabError):  # Open vSwitch may be about to end
            remarks = [*self._waiting(), *remarks]
        return remarks
