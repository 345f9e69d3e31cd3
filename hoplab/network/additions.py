# SPDX-License-Identifier: Apache-2.0
"""Nodes and cables added to a network that runs, and taken out of it.

What lives here: how one of them is made and unmade, with Mininet's own objects, the kernel and Open
vSwitch. What must not: whether it may be, what else follows (`hoplab.service.members`).

A cable is there for captures first: who is to hear its ends is called when they are made and are
down still (`Listeners.begin`), and before they go (`Listeners.end`). Then its ends are set up, and
switches get their ports. Nothing else is touched, so no frame is lost elsewhere.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import mininet.link
import mininet.node

from hoplab.errors import Exit, LabError
from hoplab.kernel import netlink
from hoplab.kernel.batch import NewInterfaces, Place, check_length
from hoplab.network.queued import place_of_node
from hoplab.sentences import say, term

if TYPE_CHECKING:
    from hoplab.network.net import Network

_LAZY = ("shell", "pid", "stdin", "stdout", "pollOut", "master", "slave")
_GRACE_S = 2.0  # for the processes of a host that goes


class Listeners(Protocol):
    """The captures of a lab, which are told of interfaces that come and go."""

    def begin(self, new: list[tuple[Place, str]]) -> None:
        """Listen on these interfaces, which have been made and are still down."""

    def end(self, labels: list[str]) -> None:
        """Stop listening on these interfaces, which are about to be removed."""

    def is_known(self, label: str) -> bool:
        """Whether an interface of that name was listened on, and has been removed."""


def add_host(network: Network, name: str, **params: Any) -> Any:
    """A host without any cable. params: as for Mininet's `addHost`. Raises LabError."""
    before = network.nextIP
    try:
        host = network.addHost(name, **{"ip": None, **params})
        network.batch.flush()
        return host
    finally:
        network.nextIP = before


def remove_host(network: Network, host: Any) -> None:
    """Take a host away whose cables are gone, with all that runs on it."""
    place = place_of_node(network.batch, host)
    for name in _LAZY:  # a shell that was never used is not begun for this
        host.__dict__.setdefault(name, None)
    with contextlib.suppress(Exception):  # a class of the user's may raise anything
        host.terminate()
    network.hosts = [each for each in network.hosts if each is not host]
    network.nameToNode.pop(host.name, None)
    if place is not network.batch.root and place.space is not None:
        _end_processes(place)
        network.batch.places = [each for each in network.batch.places if each is not place]
        place.space.close()
        shutil.rmtree(Path("/run/hoplab", place.name), ignore_errors=True)


def _end_processes(place: Place) -> None:
    """End all that runs in a network namespace."""
    number = os.stat(place.namespace.net).st_ino
    deadline = time.monotonic() + _GRACE_S
    how = signal.SIGTERM
    while pids := list(_inside(number)):
        for pid in pids:
            with contextlib.suppress(OSError):
                os.kill(pid, how)
        if time.monotonic() > deadline:
            how = signal.SIGKILL
        if time.monotonic() > deadline + _GRACE_S:
            return  # nobody can end it, as a process that waits for a disk
        time.sleep(0.01)


def _inside(number: int) -> Iterator[int]:
    """The processes in a network namespace that have not ended."""
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                if os.stat(f"/proc/{entry}/ns/net").st_ino == number:
                    yield int(entry)


def add_switch(network: Network, name: str, dpid: int) -> Any:
    """A switch without any cable, and without a controller. Raises LabError."""
    switch = network.addSwitch(name, dpid=f"{dpid:016x}")
    switch.datapath = "kernel" if network.datapath == "kernel" else "user"
    try:
        switch.start([])
        network.finish_ports(switch)
    except BaseException:
        with contextlib.suppress(LabError):
            remove_switch(network, switch)
        raise
    return switch


def remove_switch(network: Network, switch: Any) -> None:
    """Take a switch away whose cables are gone. Raises LabError."""
    network.switches = [each for each in network.switches if each is not switch]
    network.nameToNode.pop(switch.name, None)
    network.remove_bridge(switch.name)
    if switch.__dict__.get("shell") is not None:
        with contextlib.suppress(Exception):
            switch.terminate()


def add_cable(
    network: Network,
    first: Any,
    second: Any,
    listeners: Listeners,
    prepare: Callable[[Any], None] = lambda cable: None,
    **params: Any,
) -> Any:
    """A cable between two nodes, up. prepare: called before it is made, to say what its ends are
    to have. params: as for Mininet's `addLink`. Raises LabError; nothing of it is there then."""
    ports = [params.get("port1", first.newPort()), params.get("port2", second.newPort())]
    names = [f"{node.name}-eth{port}" for node, port in zip((first, second), ports, strict=True)]
    check_names(names, network.batch.root.index)
    made: Any = None
    with _heard_by(network, listeners):
        for node, name in zip((first, second), names, strict=True):
            _label(network, node, name, listeners)
        try:
            made = network.addLink(first, second, port1=ports[0], port2=ports[1], **{
                key: value for key, value in params.items() if key not in ("port1", "port2")
            })  # fmt: skip
            prepare(made)
            network.batch.flush()
            for end in (made.intf1, made.intf2):
                if end.node in network.switches:
                    network.finish_ports(end.node, [end])
        except BaseException:
            with contextlib.suppress(Exception):
                if made is None:
                    _forget_halves(network, (first, second), ports, names)
                else:
                    remove_cable(network, made, listeners)
            raise
    return made


def check_names(names: list[str], taken: Any = ()) -> None:
    """Raises LabError for names that interfaces cannot have."""
    for name in names:
        check_length(name)
        if name in taken:
            raise LabError(
                say("there is an interface {interface} already", interface=name),
                term("give the node another name"),
                Exit.TAKEN,
            )


def _label(network: Network, node: Any, name: str, listeners: Listeners) -> None:
    """Where a capture knows of an interface of this name that has gone, this is another one."""
    place = place_of_node(network.batch, node)
    label = plain = network.label_of(place, name)
    number = 1
    while listeners.is_known(label):
        number += 1
        label = f"{plain} ({number})"
    if label != plain:
        network.again[place, name] = label


@contextlib.contextmanager
def _heard_by(network: Network, listeners: Listeners) -> Iterator[None]:
    """Meanwhile changes are queued, and what is made is heard before it is up."""
    batch = network.batch
    early: NewInterfaces | None = batch.on_new
    made = batch.on_made

    def new(interfaces: list[tuple[Place, str]]) -> None:
        if early is not None:
            early(interfaces)
        listeners.begin(interfaces)

    batch.on_new, batch.on_made, batch.built = new, None, False
    try:
        yield
    finally:
        if batch.on_new is new:  # whoever began to capture at this moment has taken it over
            batch.on_new = early
        batch.on_made, batch.built = made, True


def _forget_halves(network: Network, nodes: Any, ports: list[int], names: list[str]) -> None:
    """Take the interfaces of a cable out of Mininet's nodes, which knows of no link yet."""
    for node, port, name in zip(nodes, ports, names, strict=True):
        intf = node.intfs.get(port)
        if intf is not None and intf.name == name:
            node.delIntf(intf)
        place = place_of_node(network.batch, node)
        network.batch.forget(place, name)
        network.again.pop((place, name), None)


def remove_cable(network: Network, cable: Any, listeners: Listeners) -> None:
    """Take a cable away, with both of its interfaces. Raises LabError."""
    ends = (cable.intf1, cable.intf2)
    for end in ends:
        if isinstance(end.node, mininet.node.OVSSwitch):
            network.remove_port(end.node.name, end.name)
    listeners.end([network.label(end) for end in ends])
    network.links = [each for each in network.links if each is not cable]
    for end in ends:
        place = place_of_node(network.batch, end.node)
        if end.name in place.index:  # the other end's pair is this one
            number = place.number(end.name)
            with contextlib.suppress(OSError):
                place.namespace.route.send([netlink.link_gone(number, end.name)])
        network.batch.forget(place, end.name)
        network.again.pop((place, end.name), None)
        network.asked.pop(end, None)
        end.node.delIntf(end)


def configure(host: Any) -> None:
    """Give a host what its parameters say, once it has a cable. Raises LabError."""
    host.configDefault()


def is_open_vswitch(node: Any) -> bool:
    """Whether it is a switch that takes ports while it runs."""
    return isinstance(node, mininet.node.OVSSwitch)


def shapes_again(network: Network, cable: Any) -> None:
    """Have Mininet's own TCLink do what it is to do, now that ports are open: an interface that
    Open vSwitch opens loses its HTB."""
    for end in (cable.intf1, cable.intf2):
        if isinstance(end, mininet.link.TCIntf) and end.node in network.switches:
            end.config(**end.params)

