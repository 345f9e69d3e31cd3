# SPDX-License-Identifier: Apache-2.0
"""The network that a script has built with Mininet's own classes, as a lab's service wants it.

A script's Python says which nodes, ports and cables there are (`sitecustomize.py`: a picture). The
rest is read from the kernel, as it is now, and asks nobody's shell, which may be busy: where a
node's process lives, what its interfaces are called, their addresses. Objects here have the names
of Mininet's as far as a lab asks for them.
"""

from __future__ import annotations

import contextlib
import ipaddress
import itertools
import os
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hoplab.errors import Exit, LabError
from hoplab.kernel import shaping
from hoplab.kernel.batch import Place
from hoplab.kernel.namespaces import Namespace, in_thread
from hoplab.kernel.shaping import Limits
from hoplab.kernel.system_calls import CLONE_NEWNET, setns, unshare
from hoplab.nearest import meant
from hoplab.sentences import say, term

_CLONE_FS = 0x200  # a thread that wanders between namespaces shares no root with the others
_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")

Picture = Mapping[str, Any]  # as `sitecustomize._Picture` draws it


NO_LIMITS = Limits()
Delayed = Callable[[Place, str, Collection[int] | None], Limits]


@dataclass(eq=False)
class Port:
    """An interface of a node's. label: its name in lab.json and in captures, which no other has and
    by which it is the same when it is looked at again."""

    name: str
    node: Node
    number: int
    label: str
    mac: str = ""
    addresses: list[str] = field(default_factory=list)
    limits: Limits = NO_LIMITS
    link: Cable | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Port) and other.label == self.label

    def __hash__(self) -> int:
        return hash(self.label)

    def _first(self) -> ipaddress.IPv4Interface | None:
        for text in self.addresses:
            address = ipaddress.ip_interface(text)
            if isinstance(address, ipaddress.IPv4Interface):
                return address
        return None

    def IP(self) -> str | None:
        first = self._first()
        return None if first is None else str(first.ip)

    def MAC(self) -> str:
        return self.mac

    @property
    def prefixLen(self) -> int:
        first = self._first()
        return 0 if first is None else first.network.prefixlen


@dataclass(eq=False)
class Cable:
    """Two interfaces that are wired to each other."""

    intf1: Port
    intf2: Port


@dataclass(eq=False)
class Node:
    """A node of the script's. classes: the names of its class and of those that it is made of."""

    name: str
    kind: str
    place: NumberedPlace
    classes: tuple[str, ...] = ()
    dpid: str | None = None
    intfs: dict[int, Port] = field(default_factory=dict)

    def intfList(self) -> list[Port]:
        return [port for _, port in sorted(self.intfs.items())]

    def defaultIntf(self) -> Port | None:
        ports = self.intfList()
        return ports[0] if ports else None


@dataclass(eq=False)
class NumberedPlace(Place):
    """A place with a number that none has again."""

    serial: int = 0
    next_index: int = 1_000_000  # beyond those that the kernel gives by itself


class Places:
    """The namespaces that nodes live in. root: that of the switches, and of our own process. asked:
    those that are needed though nobody has said yet which node lives there, and a process of each.
    gone: called for one that nobody lives in any more."""

    def __init__(self) -> None:
        self.root = NumberedPlace("root", Namespace.own("root"))
        # A number of the kernel's, which it gives to another once nobody holds the namespace.
        self._by_inode: dict[int, NumberedPlace] = {_inode(os.getpid()): self.root}
        self._serials = itertools.count(1)
        self._maker: Namespace | None = None
        self._turn = threading.RLock()
        self.asked: Callable[[], Iterable[tuple[Place, int]]] = tuple
        self.gone: Callable[[Place], None] = lambda place: None

    @property
    def places(self) -> list[NumberedPlace]:
        return list(self._by_inode.values())

    @property
    def maker(self) -> Namespace:
        """Where pairs are asked for: a namespace without any interface."""
        if self._maker is None:
            (self._maker,) = Namespace.create(["maker"])
        return self._maker

    def of_process(self, pid: int, name: str) -> NumberedPlace:
        """Where a process lives. Raises OSError if there is none."""
        with self._turn:
            inode = _inode(pid)
            if inode not in self._by_inode:
                self._by_inode[inode] = NumberedPlace(
                    name, Namespace.of_process(pid, name), serial=next(self._serials)
                )
            return self._by_inode[inode]

    def keep(self, places: Iterable[NumberedPlace]) -> None:
        """Let go of all others but the root: our descriptors would keep them alive."""
        with self._turn:
            kept = {self.root.serial, *(place.serial for place in places)}
            alive = {_inode_or_none(pid) for _, pid in self.asked()}
            for inode, place in list(self._by_inode.items()):
                if place.serial not in kept and inode not in alive:
                    del self._by_inode[inode]
                    self.gone(place)
                    place.namespace.close()


def _inode_or_none(pid: int) -> int | None:
    try:
        return _inode(pid)
    except OSError:  # it has ended
        return None


def _holds(queues: Iterable[tuple[int, str]], index: int, parameter: str) -> bool:
    """Whether one of the queues (index of the interface, kind) is what a parameter asks for."""
    kinds = ("htb", "hfsc", "tbf") if parameter == "bw" else ("netem",)
    return any((index, kind) in queues for kind in kinds)


def _inode(pid: int) -> int:
    return os.stat(f"/proc/{pid}/ns/net").st_ino


@dataclass(frozen=True)
class Change:
    """What has changed since the last look: interfaces that there were not, and the labels of those
    that are gone. other: anything else that lab.json says."""

    new: list[tuple[NumberedPlace, str]]
    gone: list[str]
    other: bool


class ScriptNetwork:
    """All that the script's processes have built, as it is now."""

    def __init__(
        self,
        places: Places | None = None,
        delayed: Delayed = lambda place, name, handles: NO_LIMITS,
    ) -> None:
        """delayed: what is done to the frames of an interface in the place of the kernel's netem
        (`Netem.limits`)."""
        self.batch = places or Places()
        self._delayed = delayed
        self.hosts: list[Node] = []
        self.switches: list[Node] = []
        self.links: list[Cable] = []
        self.controllers: list[dict[str, Any]] = []
        self.asked: dict[Port, Limits] = {}  # what was asked of interfaces from outside
        self._in_root: set[str] = set()  # interfaces beside those of the hosts, as a bridge's own
        self._netem: bool | None = None
        self.keeping = 0  # captures that run: what they have heard stays in the wiring
        self._pictures: dict[int, Picture] = {}  # by who drew them
        self._labels: dict[tuple[int, int], str] = {}  # (place, index) of an interface
        self._owners: dict[tuple[int, str], tuple[str, str]] = {}  # (place, name): node, label
        self._past: dict[str, Any] = {"nodes": [], "interfaces": []}
        self._wiring: dict[str, Any] = {"nodes": [], "interfaces": []}
        self._turn = threading.RLock()

    # ------------------------------------------------------------------ what changes

    def draw(self, who: int, picture: Picture | None) -> Change:
        """Take over what a process of the script's says; None: it has ended."""
        with self._turn:
            if picture is None:
                self._pictures.pop(who, None)
            else:
                self._pictures[who] = picture
            return self.refresh()

    def refresh(self) -> Change:
        """Look at the kernel again."""
        with self._turn:
            before, heard = self._wiring, dict(self._owners)
            nodes = self._nodes()
            self._in_root = {link["name"] for link in self.batch.root.namespace.route.links()}
            self._connect(nodes)
            self.hosts = [node for node in nodes.values() if node.kind != "switch"]
            self.switches = [node for node in nodes.values() if node.kind == "switch"]
            self._wiring = self._describe()
            self._retain(before)
            self.batch.keep(node.place for node in nodes.values())
            labels = {(place, label) for (place, _), (_, label) in self._owners.items()}
            was = {(place, label) for (place, _), (_, label) in heard.items()}
            new = [
                (node.place, port.name)
                for node in nodes.values()
                for port in node.intfs.values()
                if (node.place.serial, port.label) not in was and port.name in node.place.index
            ]
            gone = [label for place, label in was - labels]
            return Change(new, gone, before != self._wiring)

    def _nodes(self) -> dict[str, Node]:
        """The nodes whose processes are there, hosts first, with their ports."""
        nodes: dict[str, Node] = {}
        drawn = [node for picture in self._pictures.values() for node in picture["nodes"]]
        self.controllers = [
            each for picture in self._pictures.values() for each in picture["controllers"]
        ]
        for entry in sorted(drawn, key=lambda entry: entry["kind"] == "switch"):
            with contextlib.suppress(OSError):
                place = self.batch.of_process(int(entry["pid"]), entry["name"])
                nodes[entry["name"]] = Node(
                    entry["name"], entry["kind"], place, tuple(entry["classes"]), entry["dpid"]
                )
        self._owners = {}
        for place in self.batch.places:
            place.index = {}
            place.address = {}
        used = set(self._labels.values()) if self.keeping else set()
        for entry in drawn:
            if entry["name"] in nodes:
                self._add_ports(nodes[entry["name"]], entry["ports"], used)
        held = {
            (place.serial, index) for place in self.batch.places for index in place.index.values()
        }
        self._labels = {
            key: label for key, label in self._labels.items() if self.keeping or key in held
        }
        return nodes

    def _add_ports(self, node: Node, ports: list[Any], used: set[str]) -> None:
        place = node.place
        route = place.namespace.route
        links = {link["name"]: link for link in route.links()}
        addresses = route.addresses()
        standing = route.qdiscs()
        queues = {(queue.index, queue.kind) for queue in standing}
        for number, name, wanted in ports:
            link = links.get(name)
            index = link["index"] if link else 0
            label = self._label(node, name, index, used)
            # Stock Mininet goes on where the kernel does not shape as asked.
            shaped = {key: value for key, value in wanted.items() if _holds(queues, index, key)}
            port = Port(name, node, number, label)
            handles = {queue.handle >> 16 for queue in standing if queue.index == index}
            delayed = self._delayed(place, name, None if port in self.asked else handles)
            port.limits = shaping.of_parameters(shaped).changed(delayed.as_data())
            if link is not None:
                port.mac = link["mac"]
                port.addresses = addresses.get(index, [])
                place.index[name] = index
                if port.IP():
                    place.address[name] = f"{port.IP()}/{port.prefixLen}"
            node.intfs[number] = port
            self._owners[place.serial, name] = (node.name, label)

    def _label(self, node: Node, name: str, index: int, used: set[str]) -> str:
        """The label of an interface; one that is made again while a capture knows its former self
        is another one."""
        key = (node.place.serial, index)
        if key in self._labels:
            return self._labels[key]
        plain = name if name.startswith(node.name) else f"{node.name}:{name}"
        label, again = plain, 1
        while label in used:
            again += 1
            label = f"{plain} ({again})"
        if index:
            self._labels[key] = label
        return label

    def _connect(self, nodes: Mapping[str, Node]) -> None:
        self.links = []
        by_name = {
            (node.name, port.name): port for node in nodes.values() for port in node.intfs.values()
        }
        for picture in self._pictures.values():
            for name1, intf1, name2, intf2 in picture["links"]:
                ends = by_name.get((name1, intf1)), by_name.get((name2, intf2))
                if ends[0] is not None and ends[1] is not None:
                    cable = Cable(ends[0], ends[1])
                    ends[0].link = ends[1].link = cable
                    self.links.append(cable)

    # ------------------------------------------------------------------ what there is

    def _describe(self) -> dict[str, Any]:
        peers: dict[str, str] = {}
        for cable in self.links:
            peers[cable.intf1.label] = cable.intf2.label
            peers[cable.intf2.label] = cable.intf1.label
        forwarding = self._forwarding()
        nodes: list[dict[str, Any]] = []
        interfaces = []
        for node in [*self.hosts, *self.switches]:
            entry: dict[str, Any] = {"name": node.name, "kind": node.kind}
            if node.kind == "switch":
                entry["dpid"] = node.dpid
            elif node.name in forwarding and len(node.intfs) > 1:
                entry["kind"] = "router"
            nodes.append(entry)
            for port in node.intfList():
                if port.name != "lo":
                    interfaces.append(
                        {
                            "name": port.label,
                            "ifname": port.name,
                            "node": node.name,
                            "port": port.number,
                            "mac": port.mac,
                            "addresses": port.addresses,
                            "peer": peers.get(port.label),
                            **self.limits(port).as_data(),
                        }
                    )
        return {"nodes": nodes, "interfaces": interfaces}

    def _forwarding(self) -> set[str]:
        """The hosts with a network of their own that pass packets on."""

        def work() -> set[str]:
            unshare(_CLONE_FS)
            names = set()
            for host in self.hosts:
                if host.place is not self.batch.root:
                    setns(host.place.namespace.net, CLONE_NEWNET)
                    if _FORWARD.read_text().strip() != "0":
                        names.add(host.name)
            return names

        return in_thread(work)

    def _retain(self, before: Mapping[str, Any]) -> None:
        """What is gone stays in the wiring as long as a capture runs that has heard it."""
        if not self.keeping:
            self._past = {"nodes": [], "interfaces": []}
            return
        for kind, kept in self._past.items():
            names = {entry["name"] for entry in self._wiring[kind]}
            past = {entry["name"]: entry for entry in [*kept, *before[kind]]}
            self._past[kind] = [entry for name, entry in past.items() if name not in names]

    def wiring(self) -> dict[str, Any]:
        """Nodes, interfaces and who is wired to whom, as plain data for lab.json."""
        with self._turn:
            return {kind: [*now, *self._past[kind]] for kind, now in self._wiring.items()}

    def place(self, name: str) -> NumberedPlace:
        """Where a node lives. Raises LabError for a name that is no node."""
        nodes = [*self.hosts, *self.switches]
        for node in nodes:
            if node.name == name:
                return node.place
        hint: str = term("the script has stopped its network, or has not built it yet")
        if nodes:
            hint = meant(name, [node.name for node in nodes])
        raise LabError(say("this lab has no host {host}", host=name), hint, Exit.NO_SUCH)

    def bridges(self) -> list[str]:
        """The names of the switches that are Open vSwitch bridges, that of a UserSwitch included,
        which is one in here (`reference_switch.py`)."""
        return [
            switch.name
            for switch in self.switches
            if "OVSSwitch" in switch.classes
            or ("UserSwitch" in switch.classes and switch.name in self._in_root)
        ]

    def linux_bridges(self) -> list[str]:
        """Those that are Linux bridges, and are there."""
        return [
            switch.name
            for switch in self.switches
            if "LinuxBridge" in switch.classes and switch.name in self._in_root
        ]

    def limited_ports(self) -> list[tuple[str, int]]:
        """(bridge, number of the port) where a queue stands in front of the cable."""
        bridges = self.bridges()
        return [
            (switch.name, port.number)
            for switch in self.switches
            for port in switch.intfList()
            if switch.name in bridges and ((now := self.limits(port)).rate or now.delays)
        ]

    @property
    def nameToNode(self) -> dict[str, Node]:
        return {node.name: node for node in [*self.hosts, *self.switches]}

    @staticmethod
    def label(port: Port) -> str:
        """What an interface is called in lab.json."""
        return port.label

    def limits(self, port: Port) -> Limits:
        """What an interface does to the frames that it sends: what was asked last, or what the
        script has had it do."""
        return self.asked.get(port, port.limits)

    def script_shapes(self, place: Place, name: str) -> None:
        """The script has another queue in front of an interface than was asked from outside."""
        for port in [each for each in self.asked if each.name == name]:
            if port.node.place is place:
                del self.asked[port]

    def shaped_by_stock(self, port: Port) -> bool:
        """Whether the script's own Mininet could shape it again: nobody asks it to."""
        return False

    def has_netem(self) -> bool:
        """Whether the kernel delays frames by itself."""
        if self._netem is None:
            self._netem = shaping.has_netem(self.batch.maker.popen)
        return self._netem

    def learning_alone(self) -> list[str]:
        """Of these, those that are to do without a controller."""
        return [switch.name for switch in self.switches if "OVSBridge" in switch.classes]

    def label_of(self, place: NumberedPlace, name: str) -> str:
        """What an interface is called in captures and in lab.json."""
        return self._owners.get((place.serial, name), ("", name))[1]

    def owner_of(self, place: NumberedPlace, name: str) -> str:
        """The node that an interface belongs to."""
        return self._owners.get((place.serial, name), (place.name, ""))[0]
