# SPDX-License-Identifier: Apache-2.0
"""Hosts, switches and cables of a running lab: added, and taken away, one at a time.

    lab.members.add_host("h5", to="s1")                    a free address, as its neighbours
    lab.members.add_host("h6", to="s1", ip="10.0.0.9/24", gateway=None, serve=[["web_server.py"]])
    lab.members.add_switch("s4")
    lab.members.add_cable("s4", "s1", limits={"delay_ms": 20.0})
    lab.members.remove("s4")                               with its cables
    lab.members.remove("h1", "s1")                         a cable

1. Each is done as a whole or not at all: what fails half-way, and what nobody waits for any more
   (`wanted` raises), is taken back.
2. Each returns data about what was made, and under "sentences" what was done and chosen.
3. Captures that run hear what is new from its first frame on. Nothing else is touched.

What lives here: whether it may be, the order, what follows. How a node or a cable is made is
`hoplab.network.additions`'; which address is free, `hoplab.network.addresses`'.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Interface
from typing import TYPE_CHECKING, Any

from hoplab.errors import Exit, LabError
from hoplab.kernel import kept_settings, netlink
from hoplab.kernel.kept_settings import Settings
from hoplab.nearest import meant
from hoplab.network import additions, addresses
from hoplab.network.addresses import Neighbour
from hoplab.sentences import listed, number_of, say, term
from hoplab.service import loops, neighbourhood

if TYPE_CHECKING:
    from hoplab.kernel.batch import Place
    from hoplab.service.lab import Lab

AS_NEIGHBOURS = "as-neighbours"  # in place of a gateway or a DNS server: whatever they have
Answer = dict[str, Any]
Wanted = Callable[[], None]


def nobody_asks() -> None:
    """A `wanted` for whoever goes on in any case."""


class Members:
    """Of one lab. A change at a time."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self.turn = threading.RLock()
        # What was configured on an interface whose cable is gone, and its index.
        self._lost: dict[tuple[str, str], tuple[int, Settings]] = {}
        # The ports of a cable that is gone, by its nodes: it is put back where it was.
        self._ports: dict[frozenset[str], dict[str, int]] = {}

    # ------------------------------------------------------------------ adding

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
        """A host, joined to a switch if one is named. ip: None for a free address of the subnet
        there. serve: command lines of what it is to run (`services.py`). force: an address that
        another host has, or that is in another subnet. Raises LabError."""
        lab = self._lab
        with self._change(wanted) as (undo, sentences):
            self._check_name(name)
            additions.check_names([f"{name}-eth0"])
            switch = self._switch(to) if to is not None else None
            around = neighbourhood.neighbours(lab, switch) if switch is not None else []
            own = self._address(ip, around, force=force)
            via = self._gateway(gateway, own, around)
            resolver = addresses.dns_for(around) if dns == AS_NEIGHBOURS else dns
            if dns not in (None, AS_NEIGHBOURS):
                addresses.read_ip(str(dns))
            host = additions.add_host(
                lab.network, name, ip=str(own), nameserver=resolver,
                **({"defaultRoute": f"via {via}"} if via is not None else {}),
            )  # fmt: skip
            undo.callback(additions.remove_host, lab.network, host)
            cable = None
            if switch is not None:
                cable = self._join(host, switch, undo, lambda _: additions.configure(host))
                wanted()
                sentences.append(say("{node} is joined to {switch}", node=name, switch=switch.name))
            else:
                sentences.append(say("{node} is there, without any cable", node=name))
            self._say_chosen(sentences, own, via, resolver, ip=ip, gateway=gateway, dns=dns)
            self.forget_addresses([own])
            self._static_arp()
            started = [lab.services.begin(host, list(words), wanted) for words in serve]
            sentences += [
                say("{node} serves: {program}", node=name, program=each) for each in started
            ]
            answer = {
                "host": name, "ip": str(own), "gateway": str(via) if via else None,
                "dns": resolver, "serves": started,
                "cable": [end.name for end in (cable.intf1, cable.intf2)] if cable else None,
            }  # fmt: skip
        return {**answer, "sentences": sentences}

    def add_switch(
        self, name: str, *, dpid: int | None = None, wanted: Wanted = nobody_asks
    ) -> Answer:
        """A switch, under the controller that is in charge. Raises LabError."""
        lab = self._lab
        with self._change(wanted) as (undo, sentences):
            self._check_name(name)
            additions.check_names([name], lab.network.batch.root.index)
            if lab.crew is None:
                lab.begin_switching()
                undo.callback(lab.end_switching)
                wanted()
            assert lab.crew is not None
            taken = lab.network.datapath_ids()
            if dpid is not None and dpid in taken:
                raise LabError(
                    say("the switch {switch} has the datapath id {dpid:x} already",
                        switch=taken[dpid], dpid=dpid),
                    term("leave it out: a free one is taken"),
                    Exit.TAKEN,
                )  # fmt: skip
            number = dpid or addresses.datapath_number(name, taken)
            switch = additions.add_switch(lab.network, name, number)
            undo.callback(additions.remove_switch, lab.network, switch)
            self._write_for_readers()
            lab.hearing.watch([name])
            undo.callback(lab.crew.let_go, name)
            empty = lab.crew.take_in(name, wanted)
            lab.empty = [*lab.empty, *empty]
            title = lab.crew.controller.title
            sentences.append(say("{switch} is there, under the controller {controller}",
                                 switch=name, controller=title))  # fmt: skip
            sentences.append(say("its datapath id is {dpid:x}; it has no cable yet: {command}",
                                 dpid=number, command=f"hoplab add cable {name} …"))  # fmt: skip
        return {"switch": name, "dpid": f"{number:016x}", "sentences": sentences}

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
        """A cable between two nodes, or between interfaces that are not there yet (`h1-eth0`):
        their names say at which ports it is to be. limits: what it does to frames, as for
        `Cables.shape`. ips: addresses of its ends, where they are to have some. force: beside one
        that is there. Raises LabError."""
        lab = self._lab
        with self._change(wanted) as (undo, sentences):
            (node, port), (node2, port2) = self._end(first), self._end(second)
            nodes = [node, node2]
            self._check_cable(nodes, force=force)
            own = [addresses.read_address(text, None) if text else None for text in ips]

            def prepare(made: Any) -> None:
                for end, address in zip((made.intf1, made.intf2), own, strict=True):
                    if address is not None:
                        end.setIP(str(address))

            cable = self._join(node, node2, undo, prepare, {node.name: port, node2.name: port2})
            ends = (cable.intf1, cable.intf2)
            if limits:
                undo.callback(lab.cables.forget, cable)
                lab.cables.shape(cable, dict(limits))
            sentences.append(say(
                "{node} and {peer} are joined: {port} - {port2}", node=node.name, peer=node2.name,
                port=ends[0].name, port2=ends[1].name,
            ))  # fmt: skip
            for end, address in zip(ends, own, strict=True):
                sentences += self._set_up(end, address)
            # While its cable was elsewhere, another card of the node may have answered for it.
            self.forget_addresses([own for end in ends for own in self._addresses_at(end)])
            sentences += self._loop_remarks()
            self._static_arp()
        return {"cable": [lab.network.label(end) for end in ends], "sentences": sentences}

    def _join(
        self,
        first: Any,
        second: Any,
        undo: contextlib.ExitStack,
        prepare: Callable[[Any], None],
        asked: Mapping[str, int | None] = {},
    ) -> Any:
        """A cable, taken away again if what follows fails. prepare: gives its ends what they are to
        have. asked: the ports that it is to be at, by node, None for any."""
        lab = self._lab
        before = self._ports.get(frozenset((first.name, second.name)), {})
        if any(port in node.intfs for node in (first, second)
               for name, port in before.items() if name == node.name):  # fmt: skip
            before = {}
        free = [before.get(node.name, node.newPort()) for node in (first, second)]
        wishes = [asked.get(node.name) for node in (first, second)]
        ports = [port if wish is None else wish for port, wish in zip(free, wishes, strict=True)]
        for node, port in zip((first, second), ports, strict=True):
            self._take_index_again(node, port)
        cable = additions.add_cable(
            lab.network, first, second, self, prepare, port1=ports[0], port2=ports[1]
        )
        additions.shapes_again(lab.network, cable)
        undo.callback(additions.remove_cable, lab.network, cable, self)
        return cable

    # ------------------------------------------------------------------ who listens meanwhile

    def begin(self, new: list[tuple[Place, str]]) -> None:
        """See `additions.Listeners`."""
        self._write_for_readers()
        self._lab.hearing.begin(new)

    def end(self, labels: list[str]) -> None:
        """See `additions.Listeners`."""
        self._lab.hearing.end(labels)

    def is_known(self, label: str) -> bool:
        """See `additions.Listeners`."""
        return self._lab.hearing.is_known(label)

    def _write_for_readers(self) -> None:
        """Whoever reads a capture while it runs learns from lab.json whose a new interface is,
        before it carries anything."""
        if self._lab.hearing.all:
            self._lab.write_state()

    def _take_index_again(self, node: Any, port: int) -> None:
        """Where the cable of an interface is put back, its settings tell it by its index."""
        place = self._lab.network.place(node.name)
        lost = self._lost.get((node.name, f"{node.name}-eth{port}"))
        if lost is not None and lost[0] not in place.index.values():
            place.reuse = lost[0]

    def _set_up(self, end: Any, address: IPv4Interface | None) -> Iterator[str]:
        """Give an end of a new cable its address, and say which."""
        lab, node = self._lab, end.node
        place = lab.network.place(node.name)
        if place is lab.network.batch.root:
            return
        index, before = self._lost.pop((node.name, end.name), (0, None))
        if address is None and before is not None and index == place.number(end.name):
            with contextlib.suppress(OSError):
                kept_settings.put_back(place.namespace.route, before, index)
            for own in neighbourhood.addresses_of(place, end.name)[:1]:
                end.ip, end.prefixLen = str(own.ip), own.network.prefixlen
                place.address[end.name] = str(own)
                yield say("{port} has {ip} again", port=end.name, ip=str(own))
                return
        elif address is None and node.params.get("ip") and len(node.intfList()) == 1:
            additions.configure(node)
            address = IPv4Interface(node.params["ip"])
        if address is None:
            yield say(
                "{port} has no address yet: {command}", port=end.name,
                command=f"hoplab set {end.name} --ip …",
            )  # fmt: skip
        else:
            yield say("{port} has {ip}", port=end.name, ip=str(address))

    def _loop_remarks(self) -> list[str]:
        """What to say of a loop that there was not before."""
        lab = self._lab
        before = lab.loops
        lab.find_loops()
        remark = loops.remark({**lab.written, "loops": lab.loops})
        return [remark] if remark and lab.loops != before else []

    # ------------------------------------------------------------------ taking away

    def remove(
        self, first: str, second: str | None = None, *, force: bool = False,
        wanted: Wanted = nobody_asks,
    ) -> Answer:  # fmt: skip
        """Take away a node with its cables, or the cable between two nodes or interfaces. force:
        though others need it. Raises LabError."""
        lab = self._lab
        with self._change(nobody_asks) as (_, sentences):
            wanted()  # what goes cannot be brought back half-way
            if second is not None:
                cable = lab.cables.find(first, second)
                lab.cables.need_real(cable)
                names = [lab.network.label(end) for end in (cable.intf1, cable.intf2)]
                self._unplug(cable)
                sentences.append(say("the cable {port} - {port2} is gone", port=names[0],
                                     port2=names[1]))  # fmt: skip
                sentences += self._alone([end.node for end in (cable.intf1, cable.intf2)])
                answer: Answer = {"removed": names}
            else:
                node = self._node(first)
                if not force:
                    self._check_needed(node)
                sentences += self._remove_node(node)
                answer = {"removed": [first]}
            looped = lab.loops
            lab.find_loops()
            if looped and not lab.loops:
                self.forget_neighbours()
        return {**answer, "sentences": sentences}

    def _remove_node(self, node: Any) -> list[str]:
        lab, name = self._lab, node.name
        cables = self._cables_of(node)
        for cable in cables:
            lab.cables.need_real(cable)
        peers = [end.node for cable in cables for end in (cable.intf1, cable.intf2)
                 if end.node is not node]  # fmt: skip
        lab.hearing.keep(lab.written, [name], [])
        own = self._addresses(node)
        for cable in cables:
            self._unplug(cable)
        if node in lab.network.switches:
            if lab.crew is not None:
                lab.crew.let_go(name)
            lab.empty = [each for each in lab.empty if each != name]
            additions.remove_switch(lab.network, node)
        else:
            lab.services.forget(name)
            additions.remove_host(lab.network, node)
        self._lost = {key: lost for key, lost in self._lost.items() if key[0] != name}
        self._ports = {ends: ports for ends, ports in self._ports.items() if name not in ends}
        if lab.client == name:
            lab.client = None
        self.forget_addresses(own)
        sentences = [
            number_of("{node} and its cable are gone", "{node} and its {n} cables are gone",
                      len(cables), node=name) if cables else say("{node} is gone", node=name)
        ]  # fmt: skip
        return sentences + self._alone(peers)

    def _cables_of(self, node: Any) -> list[Any]:
        return [
            link for link in self._lab.network.links
            if link.intf1 and link.intf2 and node in (link.intf1.node, link.intf2.node)
        ]  # fmt: skip

    def _alone(self, nodes: Sequence[Any]) -> list[str]:
        """Which of these have no cable any more."""
        there = self._lab.network.nameToNode
        alone = list(dict.fromkeys(
            node.name for node in nodes
            if node.name in there and not any(intf.link for intf in node.intfList())
        ))  # fmt: skip
        if not alone:
            return []
        return [number_of("{nodes} has no cable any more", "{nodes} have no cable any more",
                          len(alone), nodes=listed(alone))]  # fmt: skip

    def _unplug(self, cable: Any) -> None:
        """Take a cable away, with what it does to frames."""
        lab = self._lab
        ends = (cable.intf1, cable.intf2)
        lab.hearing.keep(lab.written, [], [lab.network.label(end) for end in ends])
        self._ports[frozenset(end.node.name for end in ends)] = {
            end.node.name: end.node.ports[end] for end in ends
        }
        for end in ends:
            place = lab.network.place(end.node.name)
            if place is not lab.network.batch.root:
                with contextlib.suppress(OSError, KeyError):
                    before = kept_settings.read(place.namespace.route)
                    self._lost[end.node.name, end.name] = place.number(end.name), before
        lab.cables.forget(cable)
        additions.remove_cable(lab.network, cable, self)
        for end in ends:
            end.link = None

    # ------------------------------------------------------------------ around every change

    @contextlib.contextmanager
    def _change(self, wanted: Wanted) -> Iterator[tuple[contextlib.ExitStack, list[str]]]:
        """One change as a whole: what is put on the stack is taken back where it fails; else what
        is said of it is told to captures, and lab.json says what there is now."""
        lab = self._lab
        sentences: list[str] = []
        with self.turn:
            wanted()
            begun_ns = lab.moment()
            try:
                with contextlib.ExitStack() as undo:
                    yield undo, sentences
                    wanted()
                    lab.switching.make_room()
                    lab.write_state()
                    undo.pop_all()
            except BaseException:
                with contextlib.suppress(LabError):
                    self._write_for_readers()  # what they were told of is no more
                raise
        lab.hearing.named()
        if sentences:
            lab.note_change(sentences[0], begun_ns)

    def _check_name(self, name: str) -> None:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_.]*(-[A-Za-z0-9_.]+)*", name):
            raise LabError(
                say("{name!r} is no name for a node", name=name),
                term("begin with a letter, and take letters, digits, - _ ."),
                Exit.USAGE,
            )
        if name in self._lab.network.nameToNode:
            raise LabError(
                say("there is a node {node} already", node=name),
                say("take another name, or take it away: {command}",
                    command=f"hoplab remove {name}"),
                Exit.TAKEN,
            )  # fmt: skip

    def _end(self, word: str) -> tuple[Any, int | None]:
        """The node of a new cable's end, and its port if an interface is named that is free.
        Raises LabError."""
        network = self._lab.network
        name, _, number = word.rpartition("-eth")
        if word in network.nameToNode or name not in network.nameToNode or not number.isdecimal():
            return self._node(word), None
        node, port = network.nameToNode[name], int(number)
        if port in node.intfs or (port == 0 and node in network.switches):
            raise LabError(
                say("there is an interface {interface} already", interface=word),
                say("name the node, and a free one is taken: {command}",
                    command=f"hoplab add cable {name} …"),
                Exit.TAKEN,
            )  # fmt: skip
        return node, port

    def _node(self, name: str) -> Any:
        network = self._lab.network
        node = network.nameToNode.get(name)
        if node is None:
            raise LabError(
                say("this lab has no node {node}", node=name),
                meant(name, network.nameToNode),
                Exit.NO_SUCH,
            )
        return node

    def _switch(self, name: str) -> Any:
        network = self._lab.network
        switches = [switch.name for switch in network.switches]
        if name not in switches and name not in network.nameToNode:
            raise LabError(
                say("this lab has no switch {switch}", switch=name),
                meant(name, switches),
                Exit.NO_SUCH,
            )
        node = network.nameToNode[name]
        if node not in network.switches:
            raise LabError(
                say("{node} is no switch", node=name),
                say("the switches are: {names}; a host is joined to another node by {command}",
                    names=listed(switches, most=40) or term("none"), command="hoplab add cable"),
                Exit.BAD_INPUT,
            )  # fmt: skip
        self._check_takes_ports(node)
        if name not in neighbourhood.bridges_of(self._lab):
            raise LabError(
                say("{node} is a switch that routes: each of its ports is a network of its own",
                    node=name),
                say("join the host to one of the others: {names}",
                    names=listed(sorted(neighbourhood.bridges_of(self._lab)), most=40)),
                Exit.BAD_INPUT,
            )  # fmt: skip
        return node

    def _check_takes_ports(self, node: Any) -> None:
        if node in self._lab.network.switches and not additions.is_open_vswitch(node):
            raise LabError(
                say("{switch} is no Open vSwitch, and takes no more cables", switch=node.name),
                term("join the node to another switch"),
                Exit.BAD_INPUT,
            )

    def _check_cable(self, nodes: Sequence[Any], *, force: bool) -> None:
        """Whether a cable may join these two."""
        first, second = nodes
        if first is second:
            raise LabError(
                say("a cable joins {node} to itself", node=first.name),
                term("give two nodes of different names"),
                Exit.BAD_INPUT,
            )
        for node in nodes:
            self._check_takes_ports(node)
        if first.connectionsTo(second) and not force:
            raise LabError(
                say("a cable joins {node} and {peer} already", node=first.name, peer=second.name),
                term("Mininet allows a second one beside it: --force adds it"),
                Exit.TAKEN,
            )

    def _address(
        self, text: str | None, around: Sequence[Neighbour], *, force: bool
    ) -> IPv4Interface:
        """The address that is asked for, or a free one."""
        network = addresses.subnet_of(around)
        if text is None:
            if network is None:
                network = addresses.fresh_subnet(neighbourhood.subnets(self._lab))
                around = self._in_network(network)
            return addresses.free_address(network, around)
        own = addresses.read_address(text, network)
        if not force:
            addresses.check_address(own, around)
        return own

    def _in_network(self, network: Any) -> list[Neighbour]:
        """Everybody with an address there, on whichever link."""
        own = [
            (each["node"], IPv4Interface(text)) for each in self._lab.written["interfaces"]
            for text in each["addresses"] if ":" not in text
        ]  # fmt: skip
        return [Neighbour(node, address) for node, address in own if address.ip in network]

    @staticmethod
    def _gateway(
        text: str | None, own: IPv4Interface, around: Sequence[Neighbour]
    ) -> IPv4Address | None:
        if text == AS_NEIGHBOURS:
            return addresses.gateway_for(own, around)
        if text is None:
            return None
        gateway = addresses.read_ip(text)
        addresses.check_gateway(gateway, [own])
        return gateway

    @staticmethod
    def _say_chosen(
        sentences: list[str], own: IPv4Interface, via: IPv4Address | None, resolver: str | None, *,
        ip: str | None, gateway: str | None, dns: str | None,
    ) -> None:  # fmt: skip
        """What it was given, and what of that was chosen."""
        values = {"ip": str(own), "gateway": str(via), "dns": str(resolver)}
        sentences.append(
            say("its address: {ip}, which is free there", **values) if ip is None
            else say("its address: {ip}", **values)
        )  # fmt: skip
        if via is None and gateway == AS_NEIGHBOURS:
            sentences.append(term("no gateway: its neighbours have none"))
        elif via is not None:
            sentences.append(
                say("its gateway: {gateway}, as its neighbours have it", **values)
                if gateway == AS_NEIGHBOURS else say("its gateway: {gateway}", **values)
            )  # fmt: skip
        if resolver is None and dns == AS_NEIGHBOURS:
            sentences.append(term("no DNS server: its neighbours have none"))
        elif resolver is not None:
            sentences.append(
                say("its DNS server: {dns}, as its neighbours have it", **values)
                if dns == AS_NEIGHBOURS else say("its DNS server: {dns}", **values)
            )  # fmt: skip

    def _check_needed(self, node: Any) -> None:
        """Whether somebody else could not do without it."""
        lab = self._lab
        own = {str(address.ip) for address in self._addresses(node)}
        own |= {
            text.partition("/")[0] for each in lab.written.get("interfaces", ())
            if each["node"] == node.name for text in each["addresses"]
        }  # fmt: skip
        routed, asking = [], []
        for host in lab.network.hosts if own else ():
            place = lab.network.place(host.name)
            if host is node or place is lab.network.batch.root:
                continue
            if str(neighbourhood.default_gateway(place)) in own:
                routed.append(host.name)
            if own.intersection(neighbourhood.resolvers(place)):
                asking.append(host.name)
        reasons = []
        if routed:
            reasons.append(say("it is the gateway of {hosts}", hosts=listed(routed, most=5)))
        if asking:
            reasons.append(say("{hosts} ask it for names (DNS)", hosts=listed(asking, most=5)))
        if reasons:
            raise LabError(
                say("{node} is needed: {reasons}", node=node.name, reasons=listed(reasons)),
                say("give them another one first ({command}), or take it away with --force",
                    command=f"hoplab set {(routed or asking)[0]} …"),
                Exit.TAKEN,
            )  # fmt: skip

    def _addresses(self, node: Any) -> list[IPv4Interface]:
        place = self._lab.network.place(node.name)
        if place is self._lab.network.batch.root:
            return []
        names = [intf.name for intf in node.intfList() if intf.name != "lo"]
        return [own for name in names for own in neighbourhood.addresses_of(place, name)]

    def _addresses_at(self, end: Any) -> list[IPv4Interface]:
        """Of one interface of a node; a switch's has none."""
        place = self._lab.network.place(end.node.name)
        if place is self._lab.network.batch.root:
            return []
        return list(neighbourhood.addresses_of(place, end.name))

    def _static_arp(self) -> None:
        """Where every host knows the MAC addresses of all others, those of new ones, too."""
        if self._lab.spec.static_arp:
            self._lab.network.staticArp()

    def forget_addresses(self, own: Sequence[IPv4Interface]) -> None:
        """What others have learned of these addresses is of whoever had them before; what they were
        told for good stays, unless the lab told it them."""
        texts = {str(address.ip) for address in own}
        told_by_lab = self._lab.spec.static_arp
        self._forget(
            lambda entry: entry["ip"] in texts and (told_by_lab or not entry["permanent"])
        )

    def forget_neighbours(self) -> None:
        """What hosts have learned of their neighbours. Frames that went round a loop taught
        switches wrong ports, and who knows all MAC addresses broadcasts nothing that would teach
        them the right ones."""
        self._forget(lambda entry: not entry["permanent"])

    def _forget(self, is_wrong: Callable[[Mapping[str, Any]], bool]) -> None:
        """Have hosts ask anew for the MAC addresses of such entries."""
        lab = self._lab
        for host in lab.network.hosts:
            place = lab.network.place(host.name)
            if place is lab.network.batch.root:
                continue
            with contextlib.suppress(OSError):
                route = place.namespace.route
                route.send([
                    netlink.neighbour_gone(entry["index"], entry["ip"])
                    for entry in route.neighbours() if is_wrong(entry)
                ])  # fmt: skip
