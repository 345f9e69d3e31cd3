# SPDX-License-Identifier: Apache-2.0
"""Two controllers at one switch: one is its master, the other waits (OpenFlow 1.3.5, 6.3.5).

A switch is connected to both processes. It obeys the MASTER; from a SLAVE it takes no change, and
sends it no packet-in. Ordinary apps know nothing of that: when a switch connects they put in their
flows, and a slave's would be refused. So the role is played here, between the framework and the
apps, which stay as they are:

1. A switch connects: it is told this process's role before any app hears of the switch, with the
   generation of the master, which is how a switch tells a late claim of an old one from a new one
   (6.3.5). It refuses a lower one, a slave's too.
2. As slave: what the framework would tell apps about the switch is held back, the newest of each
   kind.
3. `master G` is read: the role is taken at every switch. Then the apps are told what was held
   back, in its order, and find a switch that has just connected.

A master is never made a slave: who hands over is dead or about to be. The lab starts such a
process with HOPLAB_ROLE='slave G' or 'master G', and writes such words to its stdin.

What lives here: plain Python. ryu_main and osken_main, which know the framework, put it in.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

VARIABLE = "HOPLAB_ROLE"
# What tells an app that a switch is there. All else is answers, or meant for a master.
HELD = {
    "EventOFPHello", "EventOFPStateChange", "EventOFPSwitchFeatures", "EventOFPPortDescStatsReply",
    "EventOFPPortStatus", "EventOFPPortStateChange",
}  # fmt: skip
ROLE_REQUEST_FAILED = 11  # OFPET_ROLE_REQUEST_FAILED (7.4.4)
DEAD = "dead"  # the framework's name for the state of a connection that has ended

Send = Callable[[Any, Any, Any], None]  # send_event_to_observers(brick, event, state)


class Role:
    """What this process is to its switches, and what its apps have not been told yet."""

    def __init__(self, send: Send, words: str) -> None:
        role, generation = words.split()
        self.master = role == "master"
        self.generation = int(generation)
        self._send = send
        self._held: dict[Any, dict[tuple[Any, ...], tuple[Any, Any, Any]]] = {}

    def tell(self, brick: Any, event: Any, state: Any = None) -> None:
        """In place of `send_event_to_observers`: steps 1 and 2."""
        kind = type(event).__name__
        message: Any = getattr(event, "msg", None)
        datapath: Any = getattr(event, "datapath", None) or getattr(message, "datapath", None)
        if kind == "EventOFPSwitchFeatures":
            self._claim(datapath)
        elif kind == "EventOFPErrorMsg" and message.type == ROLE_REQUEST_FAILED:
            number = f"{datapath.id or 0:d}"
            print(f"switch {number} refuses the role {self}, code {message.code}", file=sys.stderr)
        if self.master:
            self._send(brick, event, state)
        elif state == DEAD:
            self._held.pop(datapath, None)  # no app has heard of it
        elif kind in HELD:
            port = getattr(event, "port_no", getattr(getattr(message, "desc", None), "port_no", 0))
            part = id(event) if kind == "EventOFPPortDescStatsReply" else 0  # comes in parts
            held = self._held.setdefault(datapath, {})
            key = (kind, state, port, part)
            held.pop(key, None)  # what is newer comes later
            held[key] = (brick, event, state)

    def __str__(self) -> str:
        return f"{'master' if self.master else 'slave'} {self.generation}"

    def become(self, words: str) -> None:
        """Step 3, or a slave that hears of a new generation."""
        role, generation = words.split()
        self.master, self.generation = self.master or role == "master", int(generation)
        for datapath, events in self._held.items():
            if any(key[0] == "EventOFPSwitchFeatures" for key in events):
                self._claim(datapath)
            for brick, event, state in events.values() if self.master else ():
                self._send(brick, event, state)
        if self.master:
            self._held = {}

    def _claim(self, datapath: Any) -> None:
        """Say the role (7.3.9). What is sent afterwards on the connection is obeyed after it."""
        ofp, parser = datapath.ofproto, datapath.ofproto_parser
        role = ofp.OFPCR_ROLE_MASTER if self.master else ofp.OFPCR_ROLE_SLAVE
        datapath.send_msg(parser.OFPRoleRequest(datapath, role, self.generation))

    def listen(self, stdin: int) -> None:
        """Obey what the lab writes, until it closes the pipe; runs in a green thread."""
        os.set_blocking(stdin, False)  # for a green read to wait without holding up the others
        rest = b""
        while data := os.read(stdin, 4096):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self.become(line.decode())


def install(ofp_handler: Any, spawn: Callable[..., Any]) -> None:
    """Play the role that the lab asked for, if it asked for one. `ofp_handler` is the framework's
    module that speaks with switches, `spawn` starts a green thread."""
    words = os.environ.pop(VARIABLE, "")
    if words:
        brick = ofp_handler.OFPHandler
        role = Role(brick.send_event_to_observers, words)
        brick.send_event_to_observers = lambda self, event, state=None: role.tell(
            self, event, state
        )
        spawn(role.listen, 0)
