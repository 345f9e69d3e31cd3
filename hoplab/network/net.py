# SPDX-License-Identifier: Apache-2.0
"""The network itself: built, started, and described as plain data."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import mininet.link
import mininet.log
import mininet.net
import mininet.node

from hoplab.errors import Exit, LabError
from hoplab.kernel import netlink, offloads, shaping
from hoplab.kernel.batch import Batch, Place
from hoplab.kernel.shaping import Limits
from hoplab.nearest import meant
from hoplab.network import script, switches, topofile
from hoplab.network.queued import has_netem, is_shaped, place_of_node
from hoplab.openvswitch.bridges import Bridges
from hoplab.sentences import say, term

MOST_NEIGHBOURS = 250_000  # about 100 MB; 500 hosts on one link
NO_ZERO = 0xFFFF << 48  # a datapath id in place of zero has this and the switch's number


class Network(mininet.net.Mininet):
    """Mininet with a batch underneath, MAC addresses that can be read, and a map of itself.

    MAC addresses are 02:00:00:HH:HH:PP: locally administered (IEEE 802, the 02 bit), HH the place
    of the node in the topology counted from 1, PP the number of the port.
    """

    def __init__(
        self,
        topo: Any,
        batch: Batch,
        datapath: str,
        forwarding: Callable[[], bool] = lambda: True,
        simple_macs: bool = False,
    ) -> None:
        """forwarding: whether Open vSwitch is up yet; when `start` is called, it must be.
        simple_macs: hosts have 00:00:00:00:00:01 and so on, as by `mn --mac`. What the Topo's file
        hands to Mininet is taken where it can be (`script.Script`)."""
        self.batch = batch
        self.datapath = datapath
        self._forwarding = forwarding
        self._bridges = Bridges()
        self.asked: dict[Any, Limits] = {}  # what was asked of interfaces since they were built
        # Labels of interfaces that bear the name of one that has gone, and is in a capture still.
        self.again: dict[tuple[Place, str], str] = {}
        self._complete = False  # every node and link is known, if not there yet
        switches.install(self._bridges, datapath)
        batch.on_made = self._begin_ports
        # Mininet builds in the order of the alphabet; people think in the file's, hosts first.
        names = sorted(topo.g.nodes(), key=topo.isSwitch)
        self._order = {name: number for number, name in enumerate(names, 1)}
        mininet.log.setLogLevel("warning")
        file = topofile.users_file(topo)
        written = script.read(file) if file is not None else script.Script()
        self._shaping = written.links
        settings = {**written.settings, **({"autoSetMacs": True} if simple_macs else {})}
        super().__init__(
            topo=topo, switch=mininet.node.OVSSwitch, controller=None, build=False, **settings
        )

    def addHost(self, name: str, cls: Any = None, **params: Any) -> Any:
        self._order.setdefault(name, len(self._order) + 1)
        return super().addHost(name, cls=cls, **params)

    def addSwitch(self, name: str, cls: Any = None, **params: Any) -> Any:
        self._order.setdefault(name, len(self._order) + 1)
        return super().addSwitch(name, cls=cls, **params)

    def addLink(self, node1: Any, node2: Any, port1: Any = None, port2: Any = None, cls: Any = None,
                **params: Any) -> Any:  # fmt: skip
        ends = [self[n] if isinstance(n, str) else n for n in (node1, node2)]
        for number, end, port in ((1, ends[0], port1), (2, ends[1], port2)):
            if port is None:
                port = params.get(f"params{number}", {}).get("port", end.newPort())
            params.setdefault(f"addr{number}", self._mac(end.name, port))
        if cls in (None, mininet.link.Link):  # what asks for a shape has one
            params = {**self._shaping, **params}
            if is_shaped(params):
                cls = mininet.link.TCLink
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
            self._complete = True
            self._check_datapath_ids()
            self.batch.flush()
        except LabError as error:
            if file is not None and error.code == Exit.BAD_INPUT:
                error.message = say("{file}: {reason}", file=str(file), reason=error.message)
            raise
        except Exception as error:
            if file is None or not topofile.own_frames(file, error):
                raise
            hint = term("mend the line; it was reached while the network was built")
            raise topofile.blame(file, error, hint) from error

    # ------------------------------------------------------------------ what is added later

    def finish_ports(self, switch: Any, new: Sequence[Any] = ()) -> None:
        """Make the bridge of a switch, or give it these of its interfaces as ports, and wait until
        it forwards by them. Raises LabError."""
        names = [intf.name for intf in new]
        self._bridges.finish([switches.plan(switch, self.datapath, names)], only=names)
        switch.batch = False
        switch.has_ports = True

    def remove_port(self, switch: str, interface: str) -> None:
        """Take a port from a switch. Raises LabError."""
        self._bridges.remove_port(switch, interface)

    def remove_bridge(self, switch: str) -> None:
        """Take a switch from Open vSwitch. Raises LabError."""
        self._bridges.remove(switch)

    def datapath_ids(self) -> dict[int, str]:
        """The switches by the numbers by which controllers know them."""
        return {int(switch.dpid, 16): switch.name for switch in self.switches}

    def _check_datapath_ids(self) -> None:
        """Raises LabError for two switches with one datapath id, by which alone a controller tells
        them apart."""
        owners: dict[int, str] = {}
        for switch in self.switches:
            number = int(switch.dpid, 16)
            if number == 0:  # as of s0: Open vSwitch would make one up that nobody else knows
                number = NO_ZERO | self._order[switch.name]
                switch.dpid = f"{number:016x}"
            if number in owners:
                raise LabError(
                    say(
                        "the switches {switch} and {peer} have the same datapath id, {dpid:x}",
                        switch=owners[number],
                        peer=switch.name,
                        dpid=number,
                    ),
                    term(
                        "it is made of the first number in the name: change one, or add dpid='2a'"
                    ),
                    Exit.BAD_INPUT,
                )
            owners[number] = switch.name

    def _begin_ports(self, made: list[tuple[Place, str]]) -> None:
        """Let Open vSwitch open the ports that are there while the kernel makes the next ones."""
        if not self._complete or self.datapath == "afxdp" or not self._forwarding():
            return
        plain = [switch for switch in self._open_vswitches() if switch.starts_with_others]
        if plain and not switches.patched(self.topo):
            self._bridges.divide(self.bridges(), together=False)
            names = {name for place, name in made if place is self.batch.root}
            self._bridges.begin([switches.plan(switch, self.datapath, names) for switch in plain])

    def start(self) -> None:
        """Build, start the switches (without controllers yet) and wait for the hosts' services.
        Raises LabError."""
        if not self.built:
            self.build()
        self._bridges.divide(self.bridges(), together=switches.patched(self.topo))
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
                        say(
                            "a service of {host} did not start: {reason}",
                            host=host.name,
                            reason=str(error),
                        ),
                        term(
                            "its own words are above; try the same command by hand with "
                            "`hoplab exec`"
                        ),
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
                    warn(say("{host}: {reason}", host=host.name, reason=str(error)))

    def staticArp(self) -> None:
        """Tell every host the MAC addresses of all others on its link. Raises LabError where that
        would take hundreds of megabytes of the kernel's memory."""
        links: dict[Any, list[tuple[str, str, Place, int]]] = {}
        link_of = self.link_finder()
        for host in self.hosts:
            place = self.place(host.name)
            for intf in host.intfList():
                if intf.IP() and intf.name in place.index:
                    network = ipaddress.ip_interface(f"{intf.IP()}/{intf.prefixLen}").network
                    own = (intf.IP(), intf.MAC(), place, place.number(intf.name))
                    links.setdefault((link_of(intf), network), []).append(own)
        entries = sum(len(link) * (len(link) - 1) for link in links.values())
        if entries > MOST_NEIGHBOURS:
            raise LabError(
                say(
                    "static ARP for this network takes {n:,} entries in the kernel's table",
                    n=entries,
                ),
                term("leave it out: hosts that do not talk to all others need few entries"),
                Exit.BAD_INPUT,
            )
        for link in links.values():
            for own in link:
                for peer in link:
                    if own[0] != peer[0]:  # a neighbour with the node's own address is none
                        own[2].queue.append(netlink.neighbour(own[3], peer[0], peer[1]))
        self.batch.flush()

    def _offloads_off(self) -> None:
        """Once more where a TCLink is: it turns checksum offload on."""
        for node in [*self.hosts, *self.switches]:
            for intf in node.intfList():
                place = self.place(node.name)
                if isinstance(intf, mininet.link.TCIntf) and intf.name in place.index:
                    offloads.offloads_off(place.namespace.route, intf.name)

    def link_finder(self) -> Callable[[Any], Any]:
        """A function that tells of a host's interface which link it is on: the same object for all
        interfaces that cables and switches join."""
        bridges = {s for s in self.switches if s.params.get("role", "switch") == "switch"}
        joined: dict[Any, Any] = {}  # a node, or one interface of a node that keeps links apart

        def root(member: Any) -> Any:
            while member in joined:
                member = joined[member]
            return member

        for link in self.links:
            ends = [
                end.node if end.node in bridges else end
                for end in (link.intf1, link.intf2)
                if end is not None
            ]
            if len(ends) == 2 and root(ends[0]) is not root(ends[1]):
                joined[root(ends[0])] = root(ends[1])
        return root

    def shared_addresses(self) -> Iterator[tuple[str, list[str]]]:
        """(IP address, names of the nodes that have it) for every address that several have on one
        link, which is what switches join (RFC 5227 says what comes of it)."""
        owners: dict[str, list[Any]] = {}
        for node in self.hosts:
            for intf in node.intfList():
                if intf.IP() and intf.link is not None:
                    owners.setdefault(intf.IP(), []).append(intf)
        owners = {address: intfs for address, intfs in owners.items() if len(intfs) > 1}
        if not owners:
            return
        link_of = self.link_finder()
        for address, intfs in owners.items():
            links: dict[Any, dict[str, None]] = {}  # names in order, each once
            for intf in intfs:
                links.setdefault(link_of(intf), {})[intf.node.name] = None
            yield from ((address, list(names)) for names in links.values() if len(names) > 1)

    def place(self, name: str) -> Place:
        """Where a node lives. Raises LabError for a name that is no node."""
        node = self.nameToNode.get(name)
        if node is None:
            raise LabError(
                say("this lab has no host {host}", host=name),
                meant(name, self.nameToNode)
                if self.nameToNode
                else term("its topology is empty: no host, no switch"),
                Exit.NO_SUCH,
            )
        return place_of_node(self.batch, node)

    def limited_ports(self) -> list[tuple[str, int]]:
        """(bridge, number of the port) where a queue stands in front of the cable."""
        return [
            (switch.name, port)
            for switch in self._open_vswitches()
            for port, intf in switch.intfs.items()
            if (limits := self.limits(intf)).rate or limits.delays
        ]

    def limits(self, intf: Any) -> Limits:
        """What an interface does to the frames that it sends: what was asked last, or what the
        topology says."""
        return self.asked[intf] if intf in self.asked else _limits(intf)

    def has_netem(self) -> bool:
        """Whether the kernel delays frames by itself."""
        return has_netem(self.batch)

    def unshaped(self) -> Iterator[tuple[Any, Limits]]:
        """The interfaces of which the topology wants what stock Mininet cannot do here."""
        for node in [*self.hosts, *self.switches]:
            for intf in node.intfList():
                if isinstance(intf, mininet.link.TCIntf) and not self.shaped_by_stock(intf):
                    yield intf, _limits(intf)

    @staticmethod
    def shaped_by_stock(intf: Any) -> bool:
        """Whether what the topology wants of an interface is done by Mininet's own TCIntf."""
        return isinstance(intf, mininet.link.TCIntf) and not getattr(intf, "hoplab_shapes", False)

    def bridges(self) -> list[str]:
        """The names of the switches that are Open vSwitch bridges."""
        return [switch.name for switch in self._open_vswitches()]

    def _open_vswitches(self) -> list[Any]:
        return [switch for switch in self.switches if isinstance(switch, mininet.node.OVSSwitch)]

    def wiring(self) -> dict[str, Any]:
        """Nodes, interfaces and who is wired to whom, as plain data for lab.json."""
        interfaces, peers = [], {}
        for link in list(self.links):  # which somebody may add to, or take from
            intf1, intf2 = link.intf1, link.intf2
            if intf1 is not None and intf2 is not None:
                peers[(intf1.node.name, intf1.name)] = self.label(intf2)
                peers[(intf2.node.name, intf2.name)] = self.label(intf1)
        nodes = []
        for node in sorted([*self.hosts, *self.switches], key=lambda node: self._order[node.name]):
            switch = node in self.switches
            # A switch whose controller makes it a router says so in its topology.
            kind = node.params.get("role", "switch") if switch else self._kind(node)
            own = node.params.get("addresses") or {}
            configured = self._given(node)
            entry: dict[str, Any] = {"name": node.name, "kind": kind}
            if switch:
                entry["dpid"] = getattr(node, "dpid", None)
            nodes.append(entry)
            for port, intf in sorted(node.intfs.items()):
                if intf.name == "lo":
                    continue
                address = f"{intf.IP()}/{intf.prefixLen}" if intf.IP() else own.get(port)
                addresses = [address] if address else []
                addresses += [each for each in configured.get(intf.name, []) if each != address]
                interfaces.append(
                    {
                        "name": self.label(intf),
                        "ifname": intf.name,
                        "node": node.name,
                        "port": port,
                        "mac": intf.MAC(),
                        "addresses": addresses,
                        "peer": peers.get((node.name, intf.name)),
                        **self.limits(intf).as_data(),
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
            addresses = place.namespace.route.addresses()
        except OSError:
            return {}
        return {name: addresses.get(index, []) for name, index in place.index.items()}

    def label(self, intf: Any) -> str:
        """An interface's name, made unique by its node's where it does not tell it."""
        name: str = intf.name
        plain = name if name.startswith(intf.node.name) else f"{intf.node.name}:{name}"
        return self.again.get((place_of_node(self.batch, intf.node), name), plain)

    def label_of(self, place: Place, name: str) -> str:
        """What an interface is called in captures and in lab.json: unique within the lab."""
        plain = place is self.batch.root or name.startswith(place.name)
        return self.again.get((place, name), name if plain else f"{place.name}:{name}")

    def owner_of(self, place: Place, name: str) -> str:
        """The node that an interface belongs to; a switch lives in the root namespace."""
        return name.rsplit("-", 1)[0] if place is self.batch.root else place.name

    def _kind(self, node: Any) -> str:
        place = self.place(node.name)
        if len([i for i in node.intfList() if i.name != "lo"]) < 2 or place is self.batch.root:
            return "host"
        forward = Path("/proc/sys/net/ipv4/ip_forward")
        return "router" if place.namespace.run(forward.read_text).strip() == "1" else "host"


def _limits(intf: Any) -> Limits:
    """What the topology wants an interface to do to the frames that it sends."""
    if not isinstance(intf, mininet.link.TCIntf):
        return Limits()
    return shaping.of_parameters(intf.params)
