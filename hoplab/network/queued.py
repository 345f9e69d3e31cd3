# SPDX-License-Identifier: Apache-2.0
"""Mininet's base classes, made to queue into a `Batch` instead of asking the kernel.

Replaced are the few methods that touch the kernel, and `Topo.addLink`, which refuses what cannot
be built while the line of the user's file is still known, and `Topo.addNode`, for `remarks`.
"""

from __future__ import annotations

import codecs
import functools
import ipaddress
import os
import re
import subprocess
from typing import Any

import mininet.link
import mininet.net
import mininet.node
import mininet.topo
import mininet.util

from hoplab.errors import Exit, LabError
from hoplab.kernel import cgroups, netlink, shaping
from hoplab.kernel.batch import Batch, Place
from hoplab.network import cpu_limited
from hoplab.sentences import say, term

_LAZY = ("shell", "pid", "stdin", "stdout", "pollOut", "master", "slave")
NOT_DONE = "hoplab: tc failed"
_NETEM = ("delay", "jitter", "loss")  # what TCIntf asks of sch_netem, and of nothing else
_SHAPES: dict[str, tuple[type, ...]] = {
    "bw": (int, float),
    "loss": (int, float),
    "delay": (str,),
    "jitter": (str,),
    "max_queue_size": (int,),
}


def is_shaped(params: dict[str, Any]) -> bool:
    """Whether a link's parameters ask for a shape, in values that a TCLink takes."""
    ends = [params, *(params.get(end) or {} for end in ("params1", "params2"))]
    wanted = [(kind, v) for end in ends for kind in _SHAPES if (v := end.get(kind)) is not None]
    return bool(wanted) and all(isinstance(value, _SHAPES[kind]) for kind, value in wanted)


def install(batch: Batch) -> None:
    """Make Mininet's base classes ask `batch` instead of the kernel."""
    # Mininet's own checks and tunings: programs are checked by `doctor`, and machine-wide sysctls
    # are not a lab's to change.
    mininet.node.Node.isSetup = True
    mininet.node.OVSSwitch.isSetup = True
    mininet.node.OVSSwitch.OVSVersion = "2.17"
    mininet.net.Mininet.inited = True
    cpu_limited.install(mininet.node, cgroups.enter, lambda *_: None)  # `remarks` says it
    mininet.util.numCores.ncores = os.cpu_count() or 1  # which it asks `grep`, once a network
    # What a node's command prints may be any bytes.
    decoder = codecs.getincrementaldecoder("utf-8")
    mininet.node.getincrementaldecoder = functools.partial(decoder, errors="replace")
    _install_nodes(batch)
    _install_interfaces(batch)
    _install_links(batch)
    _guard_topo()


def place_of_node(batch: Batch, node: Any) -> Place:
    place: Place = node.__dict__.get("_place") or batch.root
    return place


def _install_nodes(batch: Batch) -> None:
    """mininet.node.Node: namespaces, routes and neighbours are queued; a shell starts when it is
    first used."""
    _install_commands(batch)
    _install_settings(batch)
    # Every host has /etc/hosts and /etc/resolv.conf of its own.
    mininet.node.Node.private_etc = True


def _install_commands(batch: Batch) -> None:
    """A node's namespaces, its shell, and the programs that run in it."""
    Node = mininet.node.Node
    start_shell, stock_popen = Node.startShell, Node.popen
    place_of = functools.partial(place_of_node, batch)

    def queue_node(self: Any, mnopts: Any = None) -> None:
        for name in _LAZY:
            self.__dict__.pop(name, None)
        self._mnopts = mnopts
        if self.inNamespace:
            self._place = batch.place(self.name)
            self._place.files = etc_files(self.name, self.params)

    def lazily(self: Any, name: str) -> Any:
        if name not in _LAZY or "_mnopts" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        batch.flush()
        for lazy in _LAZY:
            self.__dict__[lazy] = None
        inside, self.inNamespace = self.inNamespace, False  # it has its namespaces already
        try:
            place_of(self).namespace.run(lambda: start_shell(self, self._mnopts))
        finally:
            self.inNamespace = inside
        return self.__dict__[name]

    def popen(self: Any, *args: Any, **options: Any) -> Any:
        if not self.inNamespace or "mncmd" in options:
            return stock_popen(self, *args, **options)
        batch.flush()
        argv = list(args[0]) if isinstance(args[0], list) else list(args)
        shell = options.pop("shell", False)
        if len(argv) == 1 and not shell and not isinstance(args[0], list):
            argv = argv[0].split()
        if shell:
            argv = [os.environ.get("SHELL", "/bin/sh"), "-c", " ".join(argv)]
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        return place_of(self).namespace.popen(argv, **options)

    Node.startShell, Node.__getattr__, Node.popen = queue_node, lazily, popen


def _install_settings(batch: Batch) -> None:
    """A node's addresses, its default route and its neighbours."""
    Node = mininet.node.Node
    place_of = functools.partial(place_of_node, batch)

    def configure(
        self: Any, mac: Any = None, ip: Any = None, defaultRoute: Any = None, lo: str = "up",
        **_params: Any,
    ) -> dict[str, Any]:  # fmt: skip
        results: dict[str, Any] = {}
        self.setParam(results, "setMAC", mac=mac)
        self.setParam(results, "setIP", ip=ip)
        self.setParam(results, "setDefaultRoute", defaultRoute=defaultRoute)
        if lo != "up":  # it is up from the start
            self.cmd("ifconfig lo " + lo)
        return results

    set_default_route = Node.setDefaultRoute

    def default_route(self: Any, intf: Any = None) -> Any:
        words = str(intf).split()
        if len(words) == 1:
            words = ["dev", *words]
        options = dict(zip(words[::2], words[1::2], strict=False))
        place = place_of(self)
        device = options.get("dev")
        if not set(options) <= {"dev", "via"} or (device and device not in place.index):
            return set_default_route(self, intf)
        number = place.number(device) if device else None
        try:
            message = netlink.route(None, gateway=options.get("via"), index=number)
        except ValueError:
            raise LabError(
                say(
                    "{node}: {address} is no IP address of a gateway",
                    node=self.name,
                    address=options.get("via"),
                ),
                term("write the default route as in 'via 10.0.0.1'"),
                Exit.BAD_INPUT,
            ) from None
        batch.later(place, message)
        return ""

    set_arp = Node.setARP

    def static_neighbour(self: Any, ip: str, mac: str) -> Any:
        place, address = place_of(self), ipaddress.ip_address(ip)
        for intf in self.intfList():
            own = ipaddress.ip_interface(f"{intf.IP()}/{intf.prefixLen}") if intf.IP() else None
            if own is not None and intf.name in place.index and address in own.network:
                batch.later(place, netlink.neighbour(place.number(intf.name), ip, mac))
                return ""
        return set_arp(self, ip, mac)

    Node.config, Node.setDefaultRoute, Node.setARP = configure, default_route, static_neighbour


def _install_interfaces(batch: Batch) -> None:
    """mininet.link.Intf: what is asked of an interface is queued."""
    Intf = mininet.link.Intf
    place_of = functools.partial(place_of_node, batch)

    def set_mac(self: Any, mac: str) -> str:
        try:
            self.mac = mac = netlink.mac_text(mac)  # takes one without leading zeros, too
        except ValueError:
            raise LabError(
                say("{interface}: {mac} is no MAC address", interface=self.name, mac=mac),
                term("write six bytes in hexadecimal, as in 02:00:00:00:00:01"),
                Exit.BAD_INPUT,
            ) from None
        place = place_of(self.node)
        batch.later(place, netlink.link_mac(place.number(self.name), self.name, mac))
        return ""

    def set_ip(self: Any, ip: str, prefixLen: Any = None) -> str:
        if "/" in ip:
            self.ip, self.prefixLen = ip.split("/")
        elif prefixLen is None:
            raise LabError(
                say("{interface}: {ip} has no prefix length", interface=self.name, ip=ip),
                say("write it with one, for example {ip}/24", ip=ip),
                Exit.BAD_INPUT,
            )
        else:
            self.ip, self.prefixLen = ip, prefixLen
        place, cidr = place_of(self.node), f"{self.ip}/{self.prefixLen}"
        try:
            ipaddress.ip_interface(cidr)
        except ValueError:
            raise LabError(
                say(
                    "{interface}: {address} is no IP address with a prefix length",
                    interface=self.name,
                    address=cidr,
                ),
                term("write it as in 10.0.0.1/24"),
                Exit.BAD_INPUT,
            ) from None
        batch.set_address(place, self.name, cidr)
        return ""

    stock_ifconfig, stock_is_up = Intf.ifconfig, Intf.isUp

    def ifconfig(self: Any, *args: Any) -> Any:
        place = place_of(self.node)
        if args in (("up",), ("down",)) and self.name in place.index:
            batch.set_up(place, self.name, args == ("up",))
            return ""
        return stock_ifconfig(self, *args)

    def is_up(self: Any, setUp: bool = False) -> Any:
        if setUp and self.name == "lo":
            return True
        return stock_is_up(self, setUp)

    Intf.setMAC, Intf.setIP, Intf.ifconfig, Intf.isUp = set_mac, set_ip, ifconfig, is_up


def _install_links(batch: Batch) -> None:
    """mininet.link: pairs are queued, and a link that is not shaped as asked is an error."""
    Link, TCIntf = mininet.link.Link, mininet.link.TCIntf
    place_of = functools.partial(place_of_node, batch)

    def make_pair(
        cls: Any, intfname1: str, intfname2: str, addr1: Any = None, addr2: Any = None,
        node1: Any = None, node2: Any = None, deleteIntfs: bool = True,
    ) -> None:  # fmt: skip
        place1 = place_of(node1) if node1 is not None else batch.root
        place2 = place_of(node2) if node2 is not None else batch.root
        random = mininet.net.Mininet.randMac
        batch.pair(place1, intfname1, addr1 or random(), place2, intfname2, addr2 or random())
        if node1 is None:
            batch.flush()

    stock_tc = TCIntf.tc

    def shape(self: Any, command: str, tc: str = "tc") -> str:
        """Stock Mininet prints what tc refused, and goes on without."""
        batch.flush()  # the shell that runs tc may be there before the interface
        # A limit alone, as netem without anything else keeps it, is kept on any kernel.
        command = re.sub(r"\bnetem (limit \d+)$", r"pfifo \1", command)
        printed: str = stock_tc(self, f"{command} || echo {NOT_DONE}", tc)
        printed, _, failed = printed.partition(NOT_DONE)  # its warnings are no failures
        if failed and " add " in command:  # there may be nothing to delete
            lines = printed.strip().splitlines()
            reason = lines[0].strip() if lines else term("tc does not say why")
            raise LabError(
                say(
                    "{interface}: this kernel does not shape the link as asked: {reason}",
                    interface=self.name,
                    reason=reason,
                ),
                say("what it was asked: {command}", command=command % (tc, self)),
                Exit.REFUSED,
            )
        return printed

    stock_config = TCIntf.config

    def config(self: Any, **params: Any) -> Any:
        """What wants netem, on a kernel without it, the engine does once all is built."""
        if any(params.get(kind) for kind in _NETEM) and not has_netem(batch):
            self.hoplab_shapes = True
            return mininet.link.Intf.config(self, **params)
        return stock_config(self, **params)

    TCIntf.tc, TCIntf.config = shape, config
    Link.makeIntfPair = classmethod(make_pair)


def has_netem(batch: Batch) -> bool:
    """Whether this kernel has netem, by trying it where nobody lives."""
    if batch.netem is None:
        batch.netem = shaping.has_netem(batch.maker.popen)
    return batch.netem


def etc_files(name: str, params: dict[str, Any]) -> dict[str, str]:
    """A host's own /etc/hosts and /etc/resolv.conf. It knows itself by name, and asks the DNS
    server in its parameter `nameserver`, if it has one, about everybody else."""
    hosts = "127.0.0.1 localhost\n"
    ip = params.get("ip")
    if ip:
        hosts += f"{str(ip).split('/')[0]} {name}\n"
    return {"/etc/hosts": hosts, "/etc/resolv.conf": resolv_conf(params.get("nameserver"))}


def resolv_conf(server: object) -> str:
    """The /etc/resolv.conf of a host that asks this DNS server, None for one that asks nobody."""
    return f"nameserver {server}\noptions timeout:2 attempts:2\n" if server else "# no DNS server\n"


def _guard_topo() -> None:
    """Refuse links that cannot be built, and note which nodes were added twice."""
    add_link, add_node = mininet.topo.Topo.addLink, mininet.topo.Topo.addNode

    def checked(
        self: Any, node1: str, node2: str, port1: Any = None, port2: Any = None, key: Any = None,
        **opts: Any,
    ) -> Any:  # fmt: skip
        names = set(self.g.nodes())
        for node in (node1, node2):
            if node not in names:
                raise LabError(
                    say("a link goes to {node}, which the topology has not added", node=node),
                    say(
                        "add it first: self.addHost({node!r}) or self.addSwitch({node!r})",
                        node=str(node),
                    ),
                    Exit.BAD_INPUT,
                )
        if node1 == node2:
            raise LabError(
                say("a link joins {node} to itself", node=node1),
                term("give two nodes of different names"),
                Exit.BAD_INPUT,
            )
        return add_link(self, node1, node2, port1, port2, key, **opts)

    def noted(self: Any, name: str, **opts: Any) -> Any:
        if name in self.g.nodes():
            self.__dict__.setdefault("hoplab_twice", {})[name] = None  # in order, each once
        return add_node(self, name, **opts)

    mininet.topo.Topo.addLink, mininet.topo.Topo.addNode = checked, noted
