# SPDX-License-Identifier: Apache-2.0
"""Open vSwitch in a running lab: its datapath chosen, its daemons begun and looked after.

What lives here: what a lab asks of Open vSwitch as a whole. What must not: how its daemons run
(`hoplab.openvswitch`), who controls the switches (`in_charge.py`).
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hoplab.errors import Exit, LabError
from hoplab.kernel.namespaces import Background
from hoplab.kernel.refusals import TUN, refused
from hoplab.openvswitch import daemons, send_room
from hoplab.sentences import say, term
from hoplab.service import captures

if TYPE_CHECKING:
    from hoplab.service.lab import Lab

# A queue has a thousand frames at most, as interfaces are made, and the kernel counts 2,304 bytes
# for a full one.
ROOM_OF_A_QUEUE = 1000 * 2304

Progress = Callable[[str], None]


@dataclass(frozen=True)
class _Room:
    """What was given to the sockets by which frames are sent: room for so many bytes, to those of
    these processes, for these bridges."""

    forwarders: frozenset[int] = frozenset()
    bridges: frozenset[str] = frozenset()
    size: int = 0

    def holds(self, wanted: _Room) -> bool:
        return (
            self.forwarders == wanted.forwarders
            and self.bridges >= wanted.bridges
            and self.size >= wanted.size
        )


class Switching:
    """Open vSwitch of one lab; which datapath it has, the lab itself says."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._silent: list[str] = []  # daemons that hang
        self._room = _Room()

    def choose(self) -> str:
        """Which datapath this lab is to have, and may. Raises LabError."""
        datapath = self.wished()
        if datapath != "kernel" and not os.access(TUN, os.R_OK | os.W_OK):
            raise refused(OSError(13, os.strerror(13)))
        return datapath

    def wished(self) -> str:
        """The datapath that fits what is asked for, on this machine. Raises LabError."""
        return daemons.choose_datapath(self._wish())

    def begin(
        self, opening: Background[None] | None, topo: Any, progress: Progress
    ) -> Background[None]:
        """Start Open vSwitch, if it has not begun, for a topology that has switches. Raises
        LabError."""
        from hoplab import network

        opening = opening or Background(self.start)
        if self._lab.datapath == "afxdp":
            progress(term("trying AF_XDP ports"))
            opening.result()
            self._try_afxdp(sum(map(topo.isSwitch, itertools.chain(*topo.links()))))
        return self._divide(opening, topo.switches(), network.patched(topo))

    def begin_early(self) -> Background[None] | None:
        """Start Open vSwitch before it is known whether the topology has switches, if nothing
        speaks against it; what does is told when it is known."""
        try:
            self._lab.datapath = self.choose()
        except LabError:
            return None
        return Background(self.start)

    def give_up(self, opening: Background[None] | None) -> None:
        """The topology has no switches after all."""
        self._lab.datapath = "none"
        if opening is not None:
            with contextlib.suppress(LabError):
                opening.result()
            self._lab.switchd.stop()

    def start(self) -> None:
        """Have its daemons run and its datapath be ready. Raises LabError."""
        self._lab.switchd.start()
        self._lab.switchd.warm_up(self._lab.datapath)

    def _divide(
        self, opening: Background[None], switches: list[str], patched: bool
    ) -> Background[None]:
        """Let several ovs-vswitchd share the switches of a large lab."""
        pairs = self._lab.spec.vswitchd or daemons.pairs_for(len(switches))
        pairs = min(pairs, len(switches))
        if self._lab.datapath == "kernel" or pairs < 2:
            return opening
        if patched:
            self._lab.event(
                term("one ovs-vswitchd has all the switches, as patch ports (OVSLink) want it")
            )
            return opening

        def work() -> None:
            opening.result()
            self._lab.switchd.divide(pairs)

        self._lab.event(
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
        wish = self._lab.spec.datapath
        if self._lab.spec.capture and wish == "afxdp":
            raise captures.unheard(term("this lab"))
        return "auto" if self._lab.spec.capture and wish == "fast" else wish

    def _try_afxdp(self, ports: int) -> None:
        """Once Open vSwitch runs: whether it takes so many AF_XDP ports here. Raises LabError if
        they are insisted on and it does not."""
        why = self._lab.switchd.try_afxdp(ports)
        if not why:
            self._lab.event(
                term(
                    "frames pass the switches by AF_XDP, where a capture does not hear them: "
                    "visit, trace and open want a lab without --datapath"
                )
            )
            return
        if self._lab.spec.datapath == "afxdp":
            raise LabError(
                say("AF_XDP ports do not work here: {reason}", reason=why),
                term(
                    "they want root, a kernel with XDP sockets and BPF, and memory; "
                    "leave out --datapath, or write --datapath fast to take them where they work"
                ),
                Exit.REFUSED,
                daemons.tail(self._lab.spec.logs / "ovs-vswitchd.log", 5),
            )
        self._lab.datapath = "user"
        self._lab.event(
            say(
                "AF_XDP ports, which want root, do not work here ({reason}): plain ones are used",
                reason=why,
            )
        )

    def make_room(self) -> None:
        """Where cables limit what switches in user space send, room for what waits there."""
        limited = self._lab.network.limited_ports() if self._lab.datapath == "user" else []
        if not limited:
            return
        # For twice as many at a time: it takes a while, and whoever changes one cable after the
        # other waits for it.
        room = ROOM_OF_A_QUEUE * (1 << len(limited).bit_length())
        first = {bridge: (bridge, port) for bridge, port in reversed(limited)}
        forwarders = self._lab.switchd.vswitchds()
        wanted = _Room(frozenset(forwarders), frozenset(first), room)
        if not self._room.holds(wanted) and send_room.widen(forwarders, first.values(), room):
            self._room = wanted

    def listen_for_silence(self) -> None:
        """Tell of a daemon of Open vSwitch that hangs, and when it goes on. It is not ended: it may
        be at work, and its switches' flows would go with it."""
        silent = self._lab.switchd.silent()
        for name in silent:
            if name not in self._silent:
                self._lab.event(
                    say(
                        "{daemon} has not answered for {s:g} s: its switches may stand still; if "
                        "it stays so, end the lab and bring it up again",
                        daemon=name,
                        s=daemons.Version.patience_s(),
                    )
                )
        for name in self._silent:
            if name not in silent:
                self._lab.event(say("{daemon} answers again", daemon=name))
        self._silent = silent
