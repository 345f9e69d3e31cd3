# SPDX-License-Identifier: Apache-2.0
"""Nodes and cables of a script's lab: the script makes them, so a command that would add one or
take one away is answered with the Python that has the script do it.

Only the script's own objects can: Mininet's keep who is wired to whom, and talk to each node by a
shell that the script may be using right now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NoReturn

from hoplab.errors import Exit, LabError
from hoplab.sentences import say
from hoplab.service.members import AS_NEIGHBOURS, Answer, Members, Wanted, nobody_asks


class ScriptMembers(Members):
    """Says how, and changes nothing. Names that are not there are refused as in every lab."""

    def add_host(
        self,
        name: str,
        to: str | None = None,
        *,
        ip: str | None = None,
        gateway: str | None = AS_NEIGHBOURS,
        dns: str | None = AS_NEIGHBOURS,
        serve: Sequence[Sequence[str]] = (),
        force: bool = False,
        wanted: Wanted = nobody_asks,
    ) -> Answer:
        self._check_name(name)
        words = [repr(name)]
        words += [f"ip={ip!r}"] if ip else []
        if gateway not in (None, AS_NEIGHBOURS):
            words.append(f"defaultRoute={f'via {gateway}'!r}")
        lines = [f"h = net.addHost({', '.join(words)})"]
        if to is not None:
            lines += [f"link = net.addLink(h, {self._in_python(to)})", *self._plugged(to, 2)]
            lines.append("h.configDefault()")
        self._refuse(lines)

    def add_switch(
        self, name: str, *, dpid: int | None = None, wanted: Wanted = nobody_asks
    ) -> Answer:
        self._check_name(name)
        words = repr(name) if dpid is None else f"{name!r}, dpid='{dpid:x}'"
        self._refuse([f"net.addSwitch({words}).start(net.controllers)"])

    def add_cable(
        self,
        first: str,
        second: str,
        *,
        limits: Mapping[str, float] | None = None,
        ips: tuple[str | None, str | None] = (None, None),
        force: bool = False,
        wanted: Wanted = nobody_asks,
    ) -> Answer:
        words = [self._in_python(first), self._in_python(second)]
        if limits:
            words.append("cls=__import__('mininet.link').link.TCLink")
            words += [_of_tclink(key, value) for key, value in limits.items()]
        lines = [f"link = net.addLink({', '.join(words)})"]
        lines += [*self._plugged(first, 1), *self._plugged(second, 2)]
        lines += [f"link.intf{n}.setIP({ip!r})" for n, ip in enumerate(ips, 1) if ip]
        self._refuse(lines)

    def remove(
        self, first: str, second: str | None = None, *, force: bool = False,
        wanted: Wanted = nobody_asks,
    ) -> Answer:  # fmt: skip
        lab = self._lab
        if second is not None:
            cable = lab.cables.find(first, second)
            ends = [self._in_python(end.node.name) for end in (cable.intf1, cable.intf2)]
            self._refuse([f"net.delLinkBetween({', '.join(ends)})"])
        node = self._in_python(first)
        ends_of = [
            [end.node.name for end in (cable.intf1, cable.intf2)] for cable in lab.network.links
        ]
        peers = [name for names in ends_of if first in names for name in names if name != first]
        lines = [
            f"net.delLinkBetween({node}, {self._in_python(peer)}, allLinks=True)"
            for peer in dict.fromkeys(peers)
        ]
        self._refuse([*lines, f"net.delNode({node})"])

    def _in_python(self, name: str) -> str:
        """A node as the script's Mininet has it. Raises LabError where there is none."""
        return f"net[{self._node(name).name!r}]"

    def _plugged(self, name: str, end: int) -> list[str]:
        """What a switch that runs needs to be told of a port, which is this end of `link`."""
        if self._node(name) not in self._lab.network.switches:
            return []
        return [f"{self._in_python(name)}.attach(link.intf{end})"]

    def _refuse(self, lines: Sequence[str]) -> NoReturn:
        script = self._lab.spec.topology.name
        raise LabError(
            say("the nodes and cables of this lab are made and taken away by its script, {script}",
                script=script),
            say("have it done there, at the prompt mininet> or as a line of the script where "
                "`net` is its Mininet: {command}", command=f"px {'; '.join(lines)}"),
            Exit.REFUSED,
        )  # fmt: skip


def _of_tclink(key: str, value: float) -> str:
    """A limit of a cable as a parameter of TCLink's."""
    named = {
        "rate": ("bw", f"{value / 1e6:g}"),
        "delay_ms": ("delay", f"'{value:g}ms'"),
        "jitter_ms": ("jitter", f"'{value:g}ms'"),
        "loss": ("loss", f"{value:g}"),
        "queue": ("max_queue_size", f"{value:.0f}"),
    }
    return "=".join(named[key])
