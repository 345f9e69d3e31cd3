# SPDX-License-Identifier: Apache-2.0
"""What a network consists of, by whoever says so: a running lab, or a topology's file.

What lives here: the plan as data. What must not: where it comes from, and what becomes of it.

What a class of nodes does by itself when it comes up is not told, as nobody but it knows: its name
and its parameters stand for that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hoplab.kernel.shaping import Limits

OURS = "nodes"  # the module of our own classes of hosts
DEVICES = "devices"  # that of the devices of other programs' labs
ROUTING = "routing"  # that of routers that learn their routes
PLAIN = "Host"
ROUTER = "Router"
ASKS_FOR_ADDRESS = "DhcpComputer"


@dataclass(frozen=True)
class Class_:
    """A class of nodes or cables. module: `nodes` for ours, `mininet.…` for Mininet's, else the
    path of the file that it is in."""

    name: str = PLAIN
    module: str = "mininet.node"

    @property
    def plain(self) -> bool:
        return self.name == PLAIN and self.module.startswith("mininet.")

    @property
    def ours(self) -> bool:
        return self.module == OURS

    @property
    def users(self) -> bool:
        """What it does is known to its author alone."""
        return not self.ours and not self.module.startswith("mininet.")


@dataclass(frozen=True)
class Host:
    """A host or a router. cards: the addresses on each interface, by port. routes: (network,
    next hop). serves: command lines as in our `Server`. params: what else its class is told, as
    data; opaque: the names of what is no data."""

    name: str
    kind: Class_ = Class_()
    cards: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    gateway: str | None = None
    dns: tuple[str, ...] = ()
    routes: tuple[tuple[str, str], ...] = ()
    forwards: bool = False
    serves: tuple[tuple[str, ...], ...] = ()
    params: Mapping[str, Any] = field(default_factory=dict)
    opaque: tuple[str, ...] = ()

    @property
    def asks(self) -> bool:
        """Its address is somebody else's to give."""
        return self.kind.ours and self.kind.name == ASKS_FOR_ADDRESS


@dataclass(frozen=True)
class Switch:
    """A switch. dpid: its number. params, opaque: as of a host."""

    name: str
    dpid: int
    kind: Class_ = Class_("OVSSwitch")
    params: Mapping[str, Any] = field(default_factory=dict)
    opaque: tuple[str, ...] = ()


End = tuple[str, int]  # a node and a port of it


@dataclass(frozen=True)
class Cable:
    """A cable. limits: what each end does to the frames that it sends. kind: its class, where it is
    not for the limits alone. names: of its interfaces, "" for the usual ones."""

    ends: tuple[End, End]
    limits: tuple[Limits, Limits] = (Limits(), Limits())
    kind: Class_ = Class_("Link", "mininet.link")
    up: bool = True
    names: tuple[str, str] = ("", "")

    @property
    def nodes(self) -> tuple[str, str]:
        return self.ends[0][0], self.ends[1][0]


@dataclass(frozen=True)
class Plan:
    """A network. controller, url, client: as a Topo says them. remarks: what is there and is not
    told here."""

    hosts: Mapping[str, Host]
    switches: Mapping[str, Switch]
    cables: tuple[Cable, ...]
    controller: str | None = None
    url: str | None = None
    client: str | None = None
    remarks: tuple[str, ...] = ()


def from_data(data: Mapping[str, Any]) -> Plan:
    """A plan from plain data, as `hoplab.network.planned` makes it of a Topo."""

    def host(entry: Mapping[str, Any]) -> Host:
        return Host(
            entry["name"], Class_(**entry["kind"]),
            {int(port): tuple(own) for port, own in entry["cards"].items()},
            entry["gateway"], tuple(entry["dns"]), tuple((to, via) for to, via in entry["routes"]),
            entry["forwards"], tuple(map(tuple, entry["serves"])), entry["params"],
            tuple(entry["opaque"]),
        )  # fmt: skip

    def switch(entry: Mapping[str, Any]) -> Switch:
        return Switch(
            entry["name"], entry["dpid"], Class_(**entry["kind"]), entry["params"],
            tuple(entry["opaque"]),
        )  # fmt: skip

    def cable(entry: Mapping[str, Any]) -> Cable:
        first, second = entry["ends"]
        own, peer = entry["limits"]
        return Cable(
            ((first[0], first[1]), (second[0], second[1])), (Limits(**own), Limits(**peer)),
            Class_(**entry["kind"]), entry["up"],
            (unusual(entry["names"][0], first), unusual(entry["names"][1], second)),
        )  # fmt: skip

    return Plan(
        {name: host(entry) for name, entry in data["hosts"].items()},
        {name: switch(entry) for name, entry in data["switches"].items()},
        tuple(cable(entry) for entry in data["cables"]),
        data["controller"], data["url"], data["client"], tuple(data["remarks"]),
    )  # fmt: skip


def unusual(name: str, end: Sequence[Any]) -> str:
    """The name of an interface, "" for the one that Mininet gives it."""
    return "" if name == f"{end[0]}-eth{end[1]}" else name


def usual_dpid(name: str) -> int | None:
    """The datapath id that Mininet makes of a switch's name: the first number in it."""
    digits = ""
    for sign in name:
        if sign.isdigit():
            digits += sign
        elif digits:
            break
    return int(digits) if digits else None
