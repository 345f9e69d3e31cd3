# SPDX-License-Identifier: Apache-2.0
"""The network: a real `mininet.net.Mininet`, built in batches. The only importer of Mininet.

Users' Topo, Node, Link and Intf classes, `net.get('h1').cmd(...)` and the rest of Mininet's API
work unchanged; what changes is when the kernel is asked. `install` replaces the few methods of
Mininet's base classes that touch the kernel, so that they queue into a `Batch`; the queue is
flushed at the end of `build`, and before anything that needs the real thing (a shell, a process, a
pid). The lab is a process of its own, so nobody else's Mininet is changed.
"""

from __future__ import annotations

import functools
import importlib.util
import ipaddress
import os
import re
import subprocess
import sys
import traceback
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hoplab import netlink, ovsdb, switchd
from hoplab.batch import NAME_LIMIT, Batch, Place
from hoplab.errors import Exit, LabError, limited


def _distutils_shim() -> None:
    """Mininet wants one class of distutils, which takes 0.1 s to import and is gone in Python
    3.12; here is that class."""
    if "distutils" in sys.modules:
        return
    distutils = types.ModuleType("distutils")
    version = types.ModuleType("distutils.version")

    class StrictVersion(tuple):  # type: ignore[type-arg]
        """Dotted numbers that compare by value."""

        def __new__(cls, text: str) -> StrictVersion:
            return super().__new__(cls, [int(part) for part in re.findall(r"\d+", text)])

    version.StrictVersion = StrictVersion  # type: ignore[attr-defined]
    distutils.version = version  # type: ignore[attr-defined]
    sys.modules["distutils"] = distutils
    sys.modules["distutils.version"] = version


_distutils_shim()

try:
    import mininet.link
    import mininet.log
    import mininet.net
    import mininet.node
    import mininet.topo
    import mininet.util
except ImportError as error:  # told as what it is: something to install
    raise LabError(
        f"Mininet cannot be imported: {error}",
        "run scripts/install.sh, or: sudo apt-get install mininet",
        Exit.REFUSED,
    ) from error

MOST_NEIGHBOURS = 250_000  # about 100 MB; 500 hosts on one link
_LAZY = ("shell", "pid", "stdin", "stdout", "pollOut", "master", "slave")


# ---------------------------------------------------------------- Mininet's classes, queueing


def install(batch: Batch) -> None:
    """Make Mininet's base classes ask `batch` instead of the kernel."""
    # Mininet's own checks and tunings: programs are checked by `doctor`, and machine-wide sysctls
    # are not a lab's to change.
    mininet.node.Node.isSetup = True
    mininet.node.OVSSwitch.isSetup = True
    mininet.node.OVSSwitch.OVSVersion = "2.17"
    mininet.net.Mininet.inited = True
    mininet.util.numCores.ncores = os.cpu_count() or 1  # which it asks `grep`, once a network
    _install_nodes(batch)
    _install_interfaces(batch)
    _guard_topo()


def _place_of(batch: Batch, node: Any) -> Place:
    place: Place = node.__dict__.get("_place") or batch.root
    return place


def _install_nodes(batch: Batch) -> None:
    """mininet.node.Node: namespaces, routes and neighbours are queued; a shell starts when it is
    first used."""
    Node = mininet.node.Node
    start_shell = Node.startShell
    place_of = functools.partial(_place_of, batch)

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
                f"{self.name}: {options.get('via')} is no IP address of a gateway",
                "write the default route as in 'via 10.0.0.1'",
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

    stock_popen = Node.popen
    Node.startShell, Node.__getattr__ = queue_node, lazily
    Node.config, Node.setDefaultRoute, Node.popen = configure, default_route, popen
    Node.setARP = static_neighbour
    Node.private_etc = True  # every host has /etc/hosts and /etc/resolv.conf of its own


def _install_interfaces(batch: Batch) -> None:
    """mininet.link: interfaces, pairs and addresses are queued."""
    Intf, Link, TCIntf = mininet.link.Intf, mininet.link.Link, mininet.link.TCIntf
    place_of = functools.partial(_place_of, batch)

    def set_mac(self: Any, mac: str) -> str:
        try:
            netlink.mac_bytes(mac)
        except ValueError:
            raise LabError(
                f"{self.name}: {mac} is no MAC address",
                "write six bytes in hexadecimal, as in 02:00:00:00:00:01",
                Exit.BAD_INPUT,
            ) from None
        self.mac = mac
        place = place_of(self.node)
        batch.later(place, netlink.link_mac(place.number(self.name), self.name, mac))
        return ""

    def set_ip(self: Any, ip: str, prefixLen: Any = None) -> str:
        if "/" in ip:
            self.ip, self.prefixLen = ip.split("/")
        elif prefixLen is None:
            raise LabError(
                f"{self.name}: {ip} has no prefix length",
                f"write it with one, for example {ip}/24",
                Exit.BAD_INPUT,
            )
        else:
            self.ip, self.prefixLen = ip, prefixLen
        place, cidr = place_of(self.node), f"{self.ip}/{self.prefixLen}"
        try:
            ipaddress.ip_interface(cidr)
        except ValueError:
            raise LabError(
                f"{self.name}: {cidr} is no IP address with a prefix length",
                "write it as in 10.0.0.1/24",
                Exit.BAD_INPUT,
            ) from None
        batch.set_address(place, self.name, cidr)
        return ""

    stock_ifconfig, stock_is_up = Intf.ifconfig, Intf.isUp

    def ifconfig(self: Any, *args: Any) -> Any:
        place = place_of(self.node)
        if args in (("up",), ("down",)) and self.name in place.index:
            batch.later(place, netlink.link_up(place.number(self.name), self.name, args == ("up",)))
            return ""
        return stock_ifconfig(self, *args)

    def is_up(self: Any, setUp: bool = False) -> Any:
        if setUp and self.name == "lo":
            return True
        return stock_is_up(self, setUp)

    def make_pair(
        cls: Any, intfname1: str, intfname2: str, addr1: Any = None, addr2: Any = None,
        node1: Any = None, node2: Any = None, deleteIntfs: bool = True,
    ) -> None:  # fmt: skip
        one = place_of(node1) if node1 is not None else batch.root
        other = place_of(node2) if node2 is not None else batch.root
        random = mininet.net.Mininet.randMac
        batch.pair(one, intfname1, addr1 or random(), other, intfname2, addr2 or random())
        if node1 is None:
            batch.flush()

    stock_tc = TCIntf.tc

    def shape(self: Any, command: str, tc: str = "tc") -> str:
        """Stock Mininet prints what tc refused, and goes on without."""
        batch.flush()  # the shell that runs tc may be there before the interface
        said: str = stock_tc(self, command, tc)
        refused = [x for x in said.splitlines() if x.strip() and not x.startswith("Warning")]
        if refused and " add " in command:  # there may be nothing to delete
            raise LabError(
                f"{self.name}: this kernel does not shape the link as asked: {refused[0].strip()}",
                "leave out delay, jitter and loss (they want the module sch_netem), or take a "
                "kernel that has it; `hoplab doctor` tells",
                Exit.REFUSED,
            )
        return said

    Intf.setMAC, Intf.setIP, Intf.ifconfig, Intf.isUp = set_mac, set_ip, ifconfig, is_up
    TCIntf.tc = shape
    Link.makeIntfPair = classmethod(make_pair)


def etc_files(name: str, params: dict[str, Any]) -> dict[str, str]:
    """A host's own /etc/hosts and /etc/resolv.conf. It knows itself by name, and asks the DNS
    server in its parameter `nameserver`, if it has one, about everybody else."""
    hosts = "127.0.0.1 localhost\n"
    ip = params.get("ip")
    if ip:
        hosts += f"{str(ip).split('/')[0]} {name}\n"
    server = params.get("nameserver")
    resolv = (
        f"nameserver {server}\noptions timeout:2 attempts:2\n" if server else "# no DNS server\n"
    )
    return {"/etc/hosts": hosts, "/etc/resolv.conf": resolv}


def _guard_topo() -> None:
    """Refuse the same link twice: between switches it makes a loop that no frame ever leaves."""
    add_link = mininet.topo.Topo.addLink

    def checked(
        self: Any, node1: str, node2: str, port1: Any = None, port2: Any = None, key: Any = None,
        **opts: Any,
    ) -> Any:  # fmt: skip
        known = set(self.g.nodes())
        for node in (node1, node2):
            if node not in known:
                raise LabError(
                    f"a link goes to {node}, which the topology has not added",
                    f"add it first: self.addHost({str(node)!r}) or self.addSwitch({str(node)!r})",
                    Exit.BAD_INPUT,
                )
        if node1 == node2:
            raise LabError(
                f"a link joins {node1} to itself",
                "give two nodes of different names",
                Exit.BAD_INPUT,
            )
        named = port1 is not None or port2 is not None or key is not None
        named = named or "intfName1" in opts or "intfName2" in opts
        if not named and (
            node2 in self.g.edge.get(node1, ()) or node1 in self.g.edge.get(node2, ())
        ):
            raise LabError(
                f"the link {node1} - {node2} is built twice",
                "remove one; if two parallel cables are meant, name their ports: "
                f"addLink({str(node1)!r}, {str(node2)!r}, port1=2, port2=2)",
                Exit.BAD_INPUT,
            )
        return add_link(self, node1, node2, port1, port2, key, **opts)

    mininet.topo.Topo.addLink = checked


# ------------------------------------------------------------------------------------- switches


class LabSwitch:
    """What is put before a user's OVSSwitch class: the lab's datapath, all bridges in one
    transaction, and the controllers set later by the engine for all at once."""

    lab_datapath = "user"

    def __init__(self, name: str, **params: Any) -> None:
        params["datapath"] = "kernel" if self.lab_datapath == "kernel" else "user"
        params.setdefault("protocols", "OpenFlow10,OpenFlow13")
        super().__init__(name, **params)  # type: ignore[call-arg]

    def start(self: Any, controllers: Sequence[Any]) -> None:
        if self.inNamespace:
            raise LabError(
                f"{self.name}: a switch with a namespace of its own is not supported",
                "leave out inNamespace=True",
                Exit.BAD_INPUT,
            )
        other = {"datapath-id": self.dpid, "disable-in-band": "true", "dp-desc": self.name}
        columns: dict[str, Any] = {"fail_mode": self.failMode, "other_config": ovsdb.words(other)}
        kind = switchd.PORT_KINDS.get(self.lab_datapath, "")
        if self.datapath == "user":
            columns["datapath_type"] = "netdev"
        if self.protocols:
            columns["protocols"] = ovsdb.several(self.protocols.split(","))
        if self.stp:
            columns["stp_enable"] = True
        self._bridge = ovsdb.Bridge(self.name, columns)
        for intf in self.intfList():
            if self.ports[intf] and not intf.IP():
                peer = ""
                if isinstance(intf, mininet.link.OVSIntf):
                    ends = (intf.link.intf1, intf.link.intf2)
                    peer = str(ends[1] if ends[0] is intf else ends[0])
                port = ovsdb.Port(intf.name, self.ports[intf], peer, "" if peer else kind)
                self._bridge.ports.append(port)

    def vsctl(self: Any, *args: Any, **options: Any) -> Any:
        """Mininet's own, asked of the database that has this switch."""
        database = switchd.database_of(self.name)
        where = [] if database == ovsdb.SOCKET else [f"--db=unix:{database}"]
        return super().vsctl(*where, *args, **options)  # type: ignore[misc]

    @classmethod
    def batchStartup(cls, switches: Sequence[Any], run: Any = None) -> Sequence[Any]:
        switchd.add_bridges([switch._bridge for switch in switches])
        for switch in switches:
            switch.batch = False
            for intf in switch.intfList():
                if isinstance(intf, mininet.link.TCIntf):
                    intf.config(**intf.params)  # Open vSwitch takes the queueing discipline away
        return switches


def lab_switch(cls: Any, datapath: str) -> Any:
    """`cls` with LabSwitch in front if it is an Open vSwitch class that is not ours yet."""
    if not isinstance(cls, type) or not issubclass(cls, mininet.node.OVSSwitch):
        return cls
    if issubclass(cls, LabSwitch):
        return cls
    return type(cls.__name__, (LabSwitch, cls), {"lab_datapath": datapath})


# ------------------------------------------------------------------------------------ the network


class Network(mininet.net.Mininet):
    """Mininet with a batch underneath, MAC addresses that can be read, and a map of itself.

    MAC addresses are 02:00:00:HH:HH:PP: locally administered (IEEE 802, the 02 bit), HH the place
    of the node in the topology counted from 1, PP the number of the port.
    """

    def __init__(self, topo: Any, batch: Batch, datapath: str) -> None:
        self.batch = batch
        self.datapath = datapath
        # Mininet builds in the order of the alphabet; people think in the file's, hosts first.
        names = sorted(topo.g.nodes(), key=topo.isSwitch)
        self._order = {name: number for number, name in enumerate(names, 1)}
        mininet.log.setLogLevel("warning")
        switch = lab_switch(mininet.node.OVSSwitch, datapath)
        super().__init__(topo=topo, switch=switch, controller=None, build=False)

    def addHost(self, name: str, cls: Any = None, **params: Any) -> Any:
        self._order.setdefault(name, len(self._order) + 1)
        return super().addHost(name, cls=cls, **params)

    def addSwitch(self, name: str, cls: Any = None, **params: Any) -> Any:
        self._order.setdefault(name, len(self._order) + 1)
        return super().addSwitch(name, cls=lab_switch(cls, self.datapath), **params)

    def addLink(self, node1: Any, node2: Any, port1: Any = None, port2: Any = None, cls: Any = None,
                **params: Any) -> Any:  # fmt: skip
        ends = [self[n] if isinstance(n, str) else n for n in (node1, node2)]
        for number, end, port in ((1, ends[0], port1), (2, ends[1], port2)):
            if port is None:
                port = params.get(f"params{number}", {}).get("port", end.newPort())
            params.setdefault(f"addr{number}", self._mac(end.name, port))
        return super().addLink(*ends, port1=port1, port2=port2, cls=cls, **params)

    def _mac(self, node: str, port: int) -> str:
        number = self._order[node]
        return f"02:00:00:{number >> 8 & 0xFF:02x}:{number & 0xFF:02x}:{port & 0xFF:02x}"

    def build(self) -> None:
        """Make every node, link and address. Raises LabError, naming the topology's file and the
        line of it that is at fault, if one is."""
        file = getattr(self.topo, "hoplab_file", None)
        try:
            super().build()
            self._check_datapath_ids()
            self.batch.flush()
        except LabError as error:
            if file is not None and error.code == Exit.BAD_INPUT:
                error.message = f"{file}: {error.message}"
            raise
        except Exception as error:
            if file is None or not _own_frames(file, error):
                raise
            hint = "mend the line; it was reached while the network was built"
            raise _blame(file, error, hint) from error

    def _check_datapath_ids(self) -> None:
        """A controller tells switches apart by nothing else."""
        known: dict[int, str] = {}
        for switch in self.switches:
            number = int(switch.dpid, 16)
            if number in known:
                raise LabError(
                    f"the switches {known[number]} and {switch.name} have the same datapath id, "
                    f"{number:x}",
                    "it is made of the first number in the name: change one, or add dpid='2a'",
                    Exit.BAD_INPUT,
                )
            known[number] = switch.name

    def start(self) -> None:
        """Build, start the switches (without controllers yet) and wait for the hosts' services.
        Raises LabError."""
        if not self.built:
            self.build()
        super().start()
        self.batch.flush()
        self._offloads_off()
        self.batch.built = True
        for host in self.hosts:
            ready = getattr(host, "ready", None)
            if callable(ready):
                try:
                    ready()
                except Exception as error:
                    raise LabError(
                        f"a service of {host.name} did not start: {error}",
                        "its own words are above; try the same command by hand with `hoplab exec`",
                        Exit.LAB_DIED,
                    ) from error

    def settle(self, warn: Callable[[str], None]) -> None:
        """Let hosts wait for what needs the switches, which have their controller now. A host that
        waits in vain is no failure of the lab: WARN is called with the reason."""
        for host in self.hosts:
            settled = getattr(host, "settled", None)
            if callable(settled):
                try:
                    settled()
                except Exception as error:
                    warn(f"{host.name}: {error}")

    def staticArp(self) -> None:
        """Tell every host the MAC addresses of all others on its link. Raises LabError where that
        would take hundreds of megabytes of the kernel's memory."""
        links: dict[Any, list[tuple[str, str, Place, int]]] = {}
        for host in self.hosts:
            place = self.place(host.name)
            for intf in host.intfList():
                if intf.IP() and intf.name in place.index:
                    network = ipaddress.ip_interface(f"{intf.IP()}/{intf.prefixLen}").network
                    one = (intf.IP(), intf.MAC(), place, place.number(intf.name))
                    links.setdefault(network, []).append(one)
        entries = sum(len(link) * (len(link) - 1) for link in links.values())
        if entries > MOST_NEIGHBOURS:
            raise LabError(
                f"static ARP for this network takes {entries:,} entries in the kernel's table",
                "leave it out: hosts that do not talk to all others need few entries",
                Exit.BAD_INPUT,
            )
        for link in links.values():
            for one in link:
                for other in link:
                    if one is not other:
                        one[2].queue.append(netlink.neighbour(one[3], other[0], other[1]))
        self.batch.flush()

    def _offloads_off(self) -> None:
        """Once more where a TCLink is: it turns checksum offload on."""
        for node in [*self.hosts, *self.switches]:
            for intf in node.intfList():
                place = self.place(node.name)
                if isinstance(intf, mininet.link.TCIntf) and intf.name in place.index:
                    netlink.offloads_off(place.namespace.route, intf.name)

    def place(self, name: str) -> Place:
        """Where a node lives. Raises LabError for a name that is no node."""
        node = self.nameToNode.get(name)
        if node is None:
            known = ", ".join(self.nameToNode)
            raise LabError(
                f"this lab has no host {name}",
                f"it has: {known[:300]}",
                Exit.NO_SUCH,
            )
        return _place_of(self.batch, node)

    def bridges(self) -> list[str]:
        """The names of the switches that are Open vSwitch bridges."""
        return [s.name for s in self.switches if isinstance(s, mininet.node.OVSSwitch)]

    def wiring(self) -> dict[str, Any]:
        """Nodes, interfaces and who is wired to whom, as plain data for lab.json."""
        interfaces, peers = [], {}
        for link in self.links:
            one, other = link.intf1, link.intf2
            if one is not None and other is not None:
                peers[(one.node.name, one.name)] = self._label(other)
                peers[(other.node.name, other.name)] = self._label(one)
        nodes = []
        for node in sorted([*self.hosts, *self.switches], key=lambda node: self._order[node.name]):
            switch = node in self.switches
            # A switch whose controller makes it a router says so in its topology.
            kind = node.params.get("role", "switch") if switch else self._kind(node)
            own = node.params.get("addresses") or {}
            given = self._given(node)
            entry: dict[str, Any] = {"name": node.name, "kind": kind}
            if switch:
                entry["dpid"] = getattr(node, "dpid", None)
            nodes.append(entry)
            for port, intf in sorted(node.intfs.items()):
                if intf.name == "lo":
                    continue
                address = f"{intf.IP()}/{intf.prefixLen}" if intf.IP() else own.get(port)
                addresses = [address] if address else []
                addresses += [one for one in given.get(intf.name, []) if one != address]
                interfaces.append(
                    {
                        "name": self._label(intf),
                        "ifname": intf.name,
                        "node": node.name,
                        "port": port,
                        "mac": intf.MAC(),
                        "addresses": addresses,
                        "peer": peers.get((node.name, intf.name)),
                    }
                )
        return {"nodes": nodes, "interfaces": interfaces}

    def _given(self, node: Any) -> dict[str, list[str]]:
        """The addresses on a host's interfaces, by name. Mininet knows one IPv4 address of each;
        a program in the host may have given them others, by IPv6 or DHCP."""
        place = self.place(node.name)
        if place is self.batch.root or not place.namespace.entered:
            return {}
        try:
            found = place.namespace.route.addresses()
        except OSError:
            return {}
        return {name: found.get(index, []) for name, index in place.index.items()}

    @staticmethod
    def _label(intf: Any) -> str:
        """An interface's name, made unique by its node's where it does not tell it."""
        name: str = intf.name
        return name if name.startswith(intf.node.name) else f"{intf.node.name}:{name}"

    def _kind(self, node: Any) -> str:
        place = self.place(node.name)
        if len([i for i in node.intfList() if i.name != "lo"]) < 2 or place is self.batch.root:
            return "host"
        forward = Path("/proc/sys/net/ipv4/ip_forward")
        return "router" if place.namespace.run(forward.read_text).strip() == "1" else "host"


# --------------------------------------------------------------------------- a user's topology file


def load_topo(path: Path, arguments: str = "") -> Any:
    """The Topo that a file describes, as `mn --custom FILE --topo NAME,ARGUMENTS` finds it.

    The file's dictionary `topos` is looked at first (one entry, or the one that has the file's
    name), else its one Topo class. `arguments`: 'n=4' or '4,2', as for `mn`.
    Raises LabError(BAD_INPUT), naming the line at fault.
    """
    module = load_file(path, "topology")
    makers = _makers(module, path)
    args, kwargs = _split(arguments)
    try:
        topo = makers(*args, **kwargs)
    except LabError as error:
        error.message = f"{path}: {error.message}"
        raise
    except Exception as error:
        given = arguments or "(none)"
        if isinstance(error, TypeError) and not _own_frames(path, error):
            raise LabError(
                f"{path}: the topology does not take the parameters {given}: {error}",
                "the file's docstring says what it takes",
                Exit.BAD_INPUT,
            ) from error
        hint = "mend the line; it was reached while the topology was built"
        if arguments:
            hint = f"other parameters than {arguments}? the file's docstring says what it takes"
        raise _blame(path, error, hint) from error
    _check_names(path, topo)
    topo.hoplab_file = path  # what goes wrong later can name it
    return topo


def load_file(path: Path, what: str) -> types.ModuleType:
    """Run a user's Python file as a module. Raises LabError(BAD_INPUT) naming the line at fault."""
    if not path.is_file():
        raise LabError(f"there is no file {path}", f"name a {what} file", Exit.NO_SUCH)
    name = f"hoplab_{what}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise LabError(f"{path} is no Python file", "its name must end in .py", Exit.BAD_INPUT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise LabError(
            f"{path}, line {error.lineno}: {error.msg}",
            "mend the line; `python3 -m py_compile FILE` checks it",
            Exit.BAD_INPUT,
            (error.text or "").rstrip(),
        ) from error
    except LabError:
        raise
    except BaseException as error:
        hint = "mend the line; it was reached while the file was loaded"
        raise _blame(path, error, hint) from error
    finally:
        sys.path.remove(str(path.parent))
    return module


def _own_frames(path: Path, error: BaseException) -> list[traceback.FrameSummary]:
    """Where in the user's own file an exception passed through, the deepest place last."""
    frames = traceback.extract_tb(error.__traceback__)
    return [frame for frame in frames if frame.filename == str(path)]


def _blame(path: Path, error: BaseException, hint: str) -> LabError:
    """The error to show for an exception in a user's file: its line, and what it says. That the
    machine gives no more of something is no fault of the file's."""
    short = limited(error)
    if short is not None:
        return short
    own = _own_frames(path, error)
    line = f", line {own[-1].lineno}" if own else ""
    return LabError(
        f"{path}{line}: {type(error).__name__}: {error}",
        hint,
        Exit.BAD_INPUT,
        own[-1].line or "" if own else "",
    )


def _makers(module: types.ModuleType, path: Path) -> Callable[..., Any]:
    topos = getattr(module, "topos", None)
    if isinstance(topos, dict) and topos:
        if path.stem in topos or len(topos) == 1:
            return topos.get(path.stem) or next(iter(topos.values()))
        raise LabError(
            f"{path} has several topologies: {', '.join(topos)}",
            "keep one a file, or give one the file's own name",
            Exit.BAD_INPUT,
        )
    own = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, mininet.topo.Topo)
        and value.__module__ == module.__name__
    ]
    if len(own) == 1:
        return own[0]
    if own:
        raise LabError(
            f"{path} has several Topo classes: {', '.join(each.__name__ for each in own)}",
            f"say which one is meant: topos = {{{path.stem!r}: {own[-1].__name__}}}",
            Exit.BAD_INPUT,
        )
    raise LabError(
        f"{path} has no Topo",
        "write a class YourTopo(mininet.topo.Topo), and end the file with: "
        f"topos = {{{path.stem!r}: YourTopo}}",
        Exit.BAD_INPUT,
    )


def _split(arguments: str) -> tuple[list[Any], dict[str, Any]]:
    def value(text: str) -> Any:
        for kind in (int, float):
            try:
                return kind(text)
            except ValueError:
                continue
        return {"True": True, "False": False, "None": None}.get(text, text)

    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for word in filter(None, (part.strip() for part in arguments.split(","))):
        key, equals, text = word.partition("=")
        if equals:
            kwargs[key.strip().replace("-", "_")] = value(text.strip())
        else:
            args.append(value(word))
    return args, kwargs


def _check_names(path: Path, topo: Any) -> None:
    """Refuse names that cannot be interfaces before anything is built."""
    if not isinstance(topo, mininet.topo.Topo):
        raise LabError(
            f"{path}: {type(topo).__name__} is no Topo",
            "`topos` must hold classes or functions that make a mininet.topo.Topo",
            Exit.BAD_INPUT,
        )
    for name in topo.g.nodes():
        if not isinstance(name, str):
            raise LabError(
                f"{path}: {name!r} is no name for a node",
                f"names are texts: self.addHost('h{name}')",
                Exit.BAD_INPUT,
            )
    degree = {name: 0 for name in topo.nodes()}
    for one, other in topo.links():
        degree[one] += 1
        degree[other] += 1
    for name in topo.nodes():
        longest = (
            f"{name}-eth{max(degree[name], 1) if topo.isSwitch(name) else max(degree[name] - 1, 0)}"
        )
        if len(longest.encode()) > NAME_LIMIT:
            raise LabError(
                f"{path}: {name} is too long a name: its interface {longest} has "
                f"{len(longest.encode())} characters, and Linux allows {NAME_LIMIT}",
                f"shorten it to {NAME_LIMIT - len(longest.encode()) + len(name.encode())} "
                "characters or fewer",
                Exit.BAD_INPUT,
            )
        if not re.fullmatch(r"[A-Za-z0-9_.:+-]+", name) or name in (".", ".."):
            raise LabError(
                f"{path}: {name!r} is no name for a node",
                "use letters, digits and - _ .",
                Exit.BAD_INPUT,
            )
    for name in topo.switches():
        dpid = topo.nodeInfo(name).get("dpid")
        digits = dpid.replace(":", "") if isinstance(dpid, str) else ""
        if dpid and not re.fullmatch(r"[0-9A-Fa-f]{1,16}", digits):
            raise LabError(
                f"{path}: the switch {name} has the datapath id {dpid!r}",
                "write up to 16 hexadecimal digits, as in dpid='2a'",
                Exit.BAD_INPUT,
            )
        if not re.search(r"\d", name) and not dpid:
            raise LabError(
                f"{path}: the switch {name} has no number to make its datapath id from",
                f"call it {name}1, or add dpid='1'",
                Exit.BAD_INPUT,
            )
