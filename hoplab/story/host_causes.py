# SPDX-License-Identifier: Apache-2.0
"""Why something could not be reached, each cause in words: a sentence, its evidence, and the
command that mends it.

What lives here: the words. What must not: the search for causes (`walks.py`, `diagnosis.py`).

The commands are for a shell outside of the lab, and work as they stand.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface

from hoplab.sentences import listed, number_of, say
from hoplab.story.host_filters import Filter
from hoplab.story.host_state import Card, Host, Listener, Port, Route, Switch
from hoplab.story.moved_cables import Added, Moved, back_again
from hoplab.story.records import Cause

USUAL_LAB = "lab"  # the name of a lab that was given none
_MANY = 6
_PLAIN = re.compile(r"[\w@%+=:,./ -]+", re.ASCII)  # what no shell reads as more than words


class Words:
    """The causes in one lab, by whose name its commands find it."""

    def __init__(self, lab: str, controller: str) -> None:
        self._option = f" --name {shlex.quote(lab)}" if lab and lab != USUAL_LAB else ""
        self._controller = controller or "learning_switch"

    def on(self, node: str, *lines: str) -> tuple[str, ...]:
        """The command that runs these lines on a node; () for none."""
        lines = tuple(line for line in lines if line)
        if not lines:
            return ()
        inner = lines[0] if len(lines) == 1 else f"sh -c {shlex.quote('; '.join(lines))}"
        if len(lines) == 1 and not _PLAIN.fullmatch(inner):
            inner = f"sh -c {shlex.quote(inner)}"  # what a host calls things is no shell's business
        return (f"hoplab exec{self._option} {node} -- {inner}",)

    # ---------------------------------------------------------------------- cards and cables

    def joined(self, cable: Sequence[str]) -> tuple[str, ...]:
        """The command that joins a cable again, with all that was configured on its ends."""
        return (f"hoplab link{self._option} {shlex.join(cable)} up",)

    def interface_down(
        self, host: Host, card: Card, routes: Iterable[str], cable: Sequence[str]
    ) -> Cause:
        """cable: its two ends; () where it is not hoplab's to join."""
        by_hand = self.on(host.name, f"ip link set {card.name} up", *routes)
        return Cause(
            "interface-down", host.name,
            say("The card {card} of {node} is set down.", card=card.name, node=host.name),
            [say("`ip link` on {node} shows it; its routes went with it.", node=host.name)],
            self.joined(cable) if cable else by_hand,
        )  # fmt: skip

    def link_down(self, switch: Switch, port: Port, far: str, cable: Sequence[str]) -> Cause:
        return Cause(
            "link-down", switch.name,
            say(
                "The port {port} of {switch} is set down: the cable to {node} is dead.",
                port=port.name, switch=switch.name, node=far,
            ),
            [say("`ip link` on {node} shows it.", node=switch.name)],
            self.joined(cable) if cable else self.on(switch.name, f"ip link set {port.name} up"),
        )  # fmt: skip

    def changes(self, lines: Iterable[str]) -> tuple[str, ...]:
        """The commands that change the lab so. lines: as behind `hoplab`."""
        verbs = (line.partition(" ") for line in lines)
        return tuple(f"hoplab {verb}{self._option} {rest}" for verb, _, rest in verbs)

    def moved_cables(self, group: Sequence[Moved], *, mendable: bool) -> Cause:
        """group: cables that are in each other's place, or one. Whoever meets one of them meets the
        same fault, so the first of them is told."""
        cable = group[0]
        nodes = list(dict.fromkeys(each.node for each in group))
        values = {"port": cable.interface, "peer": cable.peer, "peer2": cable.built_peer}
        sentence = say(
            "The cables of {nodes} are exchanged: that of {port} leads to {peer}, and led to "
            "{peer2} when the lab came up.",
            nodes=listed(nodes), **values,
        ) if len(group) > 1 else say(
            "The cable of {port} leads to {peer}, and led to {peer2} when the lab came up.",
            **values,
        )  # fmt: skip
        return Cause(
            "moved-cable", cable.node, sentence,
            [say("`hoplab link` lists what each cable joins.")],
            self.changes(back_again(group)) if mendable else (),
        )  # fmt: skip

    def switch_loop(
        self, switches: Sequence[str], added: Added | None, *, mendable: bool
    ) -> Cause:
        """added: the cable that has closed it, where that is known."""
        node = added.node if added is not None else switches[0]
        mend: tuple[str, ...] = (f"hoplab swap{self._option} spanning_tree",)
        evidence: str = say("`hoplab link` lists what each cable joins.")
        if added is not None:
            mend = self.changes([f"remove {added.interface} {added.peer}"])
            evidence = say(
                "The cable {port} - {port2} closes it: it was not there when the lab came up.",
                port=added.interface, port2=added.peer,
            )  # fmt: skip
        return Cause(
            "switch-loop", node,
            say(
                "{switches} stand in a loop: broadcasts go round in it for ever, and no switch "
                "can learn from them where a host is.",
                switches=listed(switches, most=8),
            ),
            [evidence], mend if mendable else (),
        )  # fmt: skip

    def wrong_vlan(self, switch: Switch, port: Port, other: Port, wrong: Port) -> Cause:
        def vlan(each: Port) -> str:
            return say("VLAN {tag}", tag=each.tag) if each.tag else say("no VLAN")

        right = other if wrong is port else port
        line = f"set port {wrong.name} tag={right.tag}" if right.tag else (
            f"clear port {wrong.name} tag"
        )  # fmt: skip
        return Cause(
            "vlan-mismatch", switch.name,
            say(
                "{switch} keeps {port} and {port2} apart: {port} is in {vlan}, {port2} in {vlan2}.",
                switch=switch.name, port=port.name, vlan=vlan(port), port2=other.name,
                vlan2=vlan(other),
            ),
            [say("`ovs-vsctl list port {port}` shows its tag.", port=wrong.name)],
            self.on(switch.name, f"ovs-vsctl {line}"),
        )  # fmt: skip

    def no_controller(self, switch: Switch) -> Cause:
        if switch.controllers:
            sentence: str = say(
                "{switch} has no connection to its controller, and no flow: it drops every frame.",
                switch=switch.name,
            )
        else:
            sentence = say(
                "{switch} has no controller and no flow: it drops every frame.",
                switch=switch.name,
            )
        return Cause(
            "no-controller", switch.name, sentence,
            [
                say(
                    "`ovs-vsctl show` names its controllers, `hoplab table {switch}` its flows.",
                    switch=switch.name,
                )
            ],
            (f"hoplab swap{self._option} {shlex.quote(self._controller)}",),
        )  # fmt: skip

    def hung_controller(self, switch: Switch) -> Cause:
        return Cause(
            "hung-controller", switch.name,
            say(
                "The controller {controller} of {switch} hangs: its process is stopped, and "
                "answers nothing that {switch} asks.",
                controller=self._controller, switch=switch.name,
            ),
            [say("The state of its process is T (stopped), as `ps` shows it.")],
            (f"hoplab swap{self._option} {shlex.quote(self._controller)}",),
        )  # fmt: skip

    def small_mtu(self, host: Host, card: Card, size: int, right: int, sender: str) -> Cause:
        """sender: whose packet it is, which remembers for ten minutes what a router told it."""
        return Cause(
            "mtu-too-small", host.name,
            say(
                "{node} sends nothing longer than {mtu} bytes by {card}, and this packet of {size} "
                "bytes must not be cut (DF).",
                node=host.name, mtu=card.mtu, card=card.name, size=size,
            ),
            [say("`ip link` on {node} shows the MTU.", node=host.name)],
            self.on(host.name, f"ip link set {card.name} mtu {right}")
            + (self.on(sender, "ip route flush cache") if sender != host.name else ()),
        )  # fmt: skip

    def unequal_mtu(self, node: str, card: str, mtu: int, size: int, right: int) -> Cause:
        return Cause(
            "mtu-mismatch", node,
            say(
                "{card} of {node} takes frames of {mtu} bytes at most, and what is sent to it is "
                "longer ({size}): it is thrown away.",
                card=card, node=node, mtu=mtu, size=size,
            ),
            [say("`ip link` at both ends of the cable shows two different MTUs.")],
            self.on(node, f"ip link set {card} mtu {right}"),
        )  # fmt: skip

    # ---------------------------------------------------------------------- addresses

    def no_address(self, host: Host, card: Card, had: str, routes: Iterable[str]) -> Cause:
        evidence: list[str] = [say("`ip addr` on {node} shows none.", node=host.name)]
        if had:
            evidence = [_had(host.name, had)]
        return Cause(
            "no-address", host.name,
            say("{node} has no IPv4 address on {card}.", node=host.name, card=card.name),
            evidence,
            self.on(host.name, f"ip addr add {had} dev {card.name}", *routes) if had else (),
        )  # fmt: skip

    def wrong_address(
        self, host: Host, card: Card, had: IPv4Interface, routes: Iterable[str]
    ) -> Cause:
        return Cause(
            "wrong-address", host.name,
            say(
                "{node} has {now} on {card}, and no longer {cidr}.",
                node=host.name, now=_addresses(card), card=card.name, cidr=str(had),
            ),
            [_had(host.name, str(had))],
            self.on(host.name, f"ip addr add {had} dev {card.name}", *routes),
        )  # fmt: skip

    def nobody_has(self, ip: IPv4Address) -> Cause:
        return Cause(
            "nobody-has-it", "",
            say("No node of this lab has the address {ip}.", ip=str(ip)),
            [say("`ip addr` shows the addresses of a node.")],
        )  # fmt: skip

    def narrow_mask(
        self, host: Host, card: Card, own: IPv4Interface, ip: IPv4Address, who: str,
        right: int, routes: Iterable[str],
    ) -> Cause:  # fmt: skip
        return Cause(
            "mask-narrow", host.name,
            say(
                "{ip} is not in {network}: the mask {mask} of {node} leaves it out, though {peer}, "
                "who has it, is on the same link.",
                ip=str(ip), network=str(own.network), mask=str(own.netmask), node=host.name,
                peer=who,
            ),
            [say("`ip addr` on {node}: {cidr}", node=host.name, cidr=str(own))],
            self.on(host.name, *_new_mask(card, own, right), *routes),
        )  # fmt: skip

    def wide_mask(
        self, host: Host, card: Card, own: IPv4Interface, ip: IPv4Address, right: int | None,
        routes: Iterable[str],
    ) -> Cause:  # fmt: skip
        mend = self.on(host.name, *_new_mask(card, own, right), *routes) if right else ()
        return Cause(
            "mask-wide", host.name,
            say(
                "The mask {mask} of {node} puts {ip} into {network}, though it is on another link: "
                "{node} asks for its MAC by ARP, where only a router could pass the packet on.",
                mask=str(own.netmask), node=host.name, ip=str(ip), network=str(own.network),
            ),
            [say("`ip addr` on {node}: {cidr}", node=host.name, cidr=str(own))],
            mend,
        )  # fmt: skip

    def subnets_apart(
        self, host: Host, card: Card, own: IPv4Interface, peer: str, theirs: IPv4Interface,
        peer_card: str,
    ) -> Cause:  # fmt: skip
        return Cause(
            "subnets-apart", host.name,
            say(
                "{node} is in {network} (mask {mask}) and {peer} in {network2} (mask {mask2}): two "
                "subnets on one link, and neither has a gateway to the other.",
                node=host.name, network=str(own.network), mask=str(own.netmask), peer=peer,
                network2=str(theirs.network), mask2=str(theirs.netmask),
            ),
            [say("`ip route` on {node}: {routes}", node=host.name, routes=_routes(host))],
            (
                *self.on(host.name, f"ip route add {theirs.network} dev {card.name}"),
                *self.on(peer, f"ip route add {own.network} dev {peer_card}"),
            ),
        )  # fmt: skip

    def duplicate(self, ip: IPv4Address, nodes: Sequence[str], wrong: str, line: str) -> Cause:
        return Cause(
            "duplicate-address", wrong or nodes[0],
            say(
                "{nodes} on one link all have the address {ip}: whoever answers first gets what is "
                "meant for the other.",
                nodes=listed(nodes), ip=str(ip),
            ),
            [say("`ip addr` on each of them shows it.")],
            self.on(wrong, line) if wrong else (),
        )  # fmt: skip

    def wrong_neighbour(self, host: Host, card: str, ip: str, mac: str, who: str, right: str,
                        fixed: bool) -> Cause:  # fmt: skip
        line = f"ip neigh replace {ip} lladdr {right} dev {card} nud permanent"
        return Cause(
            "static-arp", host.name,
            say(
                "{node} was told for good that {ip} has the MAC {mac}; {peer}, who has it, has "
                "{right}.",
                node=host.name, ip=ip, mac=mac, peer=who, right=right,
            ),
            [say("`ip neigh` on {node} shows that entry as PERMANENT.", node=host.name)],
            self.on(host.name, line if fixed else f"ip neigh del {ip} dev {card}"),
        )  # fmt: skip

    def stale_neighbour(
        self, host: Host, card: str, ip: str, mac: str, who: str, right: str
    ) -> Cause:
        return Cause(
            "stale-arp", host.name,
            say(
                "{node} has {ip} in its ARP cache with the MAC {mac}; {peer}, who has it, has "
                "{right} now.",
                node=host.name, ip=ip, mac=mac, peer=who, right=right,
            ),
            [say("`ip neigh` on {node} shows that entry, which it has learned.", node=host.name)],
            self.on(host.name, f"ip neigh del {ip} dev {card}"),
        )  # fmt: skip

    # ---------------------------------------------------------------------- routes

    def no_cable(self, host: Host) -> Cause:
        return Cause(
            "no-cable", host.name,
            say("{node} has no cable: it is joined to nothing.", node=host.name),
            [
                say(
                    "`ip link` on {node} shows no interface but lo: no addLink() names it.",
                    node=host.name,
                )
            ],
            (),
        )  # fmt: skip

    def no_route(self, host: Host, ip: IPv4Address, mend: str, *, back: bool) -> Cause:
        values = {"node": host.name, "ip": str(ip)}
        if host.forwards and back:
            code, sentence = "no-route", say(
                "The router {node} has no route back to {ip}.", **values
            )  # fmt: skip
        elif host.forwards:
            code, sentence = "no-route", say("The router {node} has no route to {ip}.", **values)
        elif back:
            code, sentence = "no-return-route", say(
                "{node} has no route back to {ip}: it has no default gateway.", **values
            )  # fmt: skip
        else:
            code, sentence = "no-gateway", say(
                "{node} has no route to {ip}: it has no default gateway.", **values
            )  # fmt: skip
        return Cause(
            code, host.name, sentence,
            [say("`ip route` on {node}: {routes}", node=host.name, routes=_routes(host))],
            self.on(host.name, mend),
        )  # fmt: skip

    def refusing_route(self, host: Host, route: Route, ip: IPv4Address) -> Cause:
        return Cause(
            f"route-{route.kind}", host.name,
            say(
                "{node} has a route that refuses {ip}: `{route}`.",
                node=host.name, ip=str(ip), route=route_text(route),
            ),
            [say("`ip route` on {node}: {routes}", node=host.name, routes=_routes(host))],
            self.on(host.name, f"ip route del {route_text(route)}"),
        )  # fmt: skip

    def refusing_rule(self, host: Host, priority: int, action: str, ip: IPv4Address) -> Cause:
        return Cause(
            f"route-{action}", host.name,
            say(
                "{node} has a rule that refuses {ip}: `{action}`, priority {priority}.",
                node=host.name, ip=str(ip), action=action, priority=priority,
            ),
            [say("`ip rule` on {node} shows it.", node=host.name)],
            self.on(host.name, f"ip rule del priority {priority}"),
        )  # fmt: skip

    def gateway_outside(self, host: Host, route: Route, mend: str) -> Cause:
        networks = listed(
            str(address.network) for card in host.cards.values() for address in card.addresses
        )
        return Cause(
            "gateway-outside", host.name,
            say(
                "The gateway {gateway} of {node} is in no network that {node} is connected to "
                "({networks}).",
                gateway=str(route.via), node=host.name, networks=networks,
            ),
            [say("`ip route` on {node}: {routes}", node=host.name, routes=_routes(host))],
            self.on(host.name, mend),
        )  # fmt: skip

    def wrong_gateway(self, host: Host, route: Route, peer: str, mend: str) -> Cause:
        values = {"node": host.name, "gateway": str(route.via), "route": route_text(route)}
        if route.via is None:
            sentence: str = say(
                "{node} looks for it on the link of {card} (`{route}`), where nobody has the "
                "address.",
                node=host.name, card=route.card, route=route_text(route),
            )  # fmt: skip
        elif peer:
            sentence = say(
                "{node} sends it to {gateway} (`{route}`), which is {peer}: that is no router "
                "(ip_forward is 0).",
                peer=peer, **values,
            )  # fmt: skip
        else:
            sentence = say(
                "{node} sends it to {gateway} (`{route}`), and nobody on its link has that "
                "address.",
                **values,
            )
        code = "wrong-route" if route.to.prefixlen else "wrong-gateway"
        return Cause(
            code, host.name, sentence,
            [say("`ip route` on {node}: {routes}", node=host.name, routes=_routes(host))],
            self.on(host.name, mend),
        )  # fmt: skip

    def routing_loop(self, nodes: Sequence[str], ip: IPv4Address, node: str, mend: str) -> Cause:
        return Cause(
            "routing-loop", node,
            say(
                "{nodes} send what is for {ip} round and round, until its TTL is used up.",
                nodes=listed(nodes), ip=str(ip),
            ),
            [say("`ip route get {ip}` on each of them shows where it goes.", ip=str(ip))],
            self.on(node, mend),
        )  # fmt: skip

    def not_forwarding(self, host: Host) -> Cause:
        return Cause(
            "not-forwarding", host.name,
            say("{node} does not pass packets on: its ip_forward is 0.", node=host.name),
            [say("`sysctl net.ipv4.ip_forward` on {node} shows it.", node=host.name)],
            self.on(host.name, "sysctl -w net.ipv4.ip_forward=1"),
        )  # fmt: skip

    def reverse_path(self, host: Host, card: str, source: str, rose: int) -> Cause:
        evidence: list[str] = [
            number_of(
                "The kernel of {node} counted {n:,} packet thrown away for that.",
                "The kernel of {node} counted {n:,} packets thrown away for that.",
                rose, node=host.name,
            )
        ] if rose else [
            say("It does not answer ARP requests from there, either: no packet is counted then.")
        ]  # fmt: skip
        return Cause(
            "rp-filter", host.name,
            say(
                "{node} throws away what comes from {ip} by {card}: its own way to {ip} is "
                "another, and rp_filter wants the same.",
                node=host.name, ip=source, card=card,
            ),
            evidence,
            self.on(
                host.name, f"sysctl -w net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.{card}."
                "rp_filter=0",
            ),
            likely=not rose,
        )  # fmt: skip

    # ---------------------------------------------------------------------- filters

    def filtered(self, host: Host, hook: str, rule: Filter, rose: int | None) -> Cause:
        values = {"node": host.name, "chain": rule.chain, "rule": rule.rule}
        if rule.rule and rule.verdict == "reject":
            sentence: str = say("A filter of {node} refuses it: `{rule}` in {chain}.", **values)
        elif rule.rule:
            sentence = say("A filter of {node} drops it: `{rule}` in {chain}.", **values)
        else:
            sentence = say(
                "A filter of {node} drops it: DROP is what {chain} does where no rule says "
                "otherwise.",
                **values,
            )
        evidence: list[str] = [
            number_of(
                "Its counter rose by {n:,} packet.", "Its counter rose by {n:,} packets.",
                rose,
            )
            if rose
            else say("It counts nothing, so this is told by what the rule says.")
        ]
        return Cause(
            f"filter-{hook}", host.name, sentence, evidence, self.on(host.name, _unfilter(rule)),
            likely=not rose or not rule.exact,
        )  # fmt: skip

    def ignores_echo(self, host: Host) -> Cause:
        return Cause(
            "echo-ignored", host.name,
            say("{node} answers no ping: its icmp_echo_ignore_all is 1.", node=host.name),
            [say("`sysctl net.ipv4.icmp_echo_ignore_all` on {node} shows it.", node=host.name)],
            self.on(host.name, "sysctl -w net.ipv4.icmp_echo_ignore_all=0"),
        )  # fmt: skip

    # ---------------------------------------------------------------------- services

    def nobody_listens(
        self, host: Host, protocol: str, port: int, served: Listener | None
    ) -> Cause:
        there = sorted({(each.port, each.protocol.upper()) for each in host.listeners})
        names = [say("{protocol} {port}", protocol=name, port=number) for number, name in there]
        evidence: list[str] = []
        if names:
            evidence.append(
                say("`ss -lntu` on {node}: {ports}", node=host.name, ports=listed(names[:_MANY]))
            )
        else:
            evidence.append(say("`ss -lntu` on {node} shows no socket.", node=host.name))
        code = "port-closed"
        mend: tuple[str, ...] = ()
        if served is not None and served.argv:
            code = "dns-server-down" if port == 53 else "service-down"
            evidence.append(
                say(
                    "When the lab came up, {program} listened there.", program=program_of(served)
                )
            )
            mend = (f"{self.on(host.name, shlex.join(served.argv))[0]} &",)
            if "--background" in served.argv:
                mend = self.on(host.name, shlex.join(served.argv))
        return Cause(
            code, host.name,
            say(
                "Nobody on {node} listens on {protocol} port {port}.",
                node=host.name, protocol=protocol.upper(), port=port,
            ),
            evidence, mend,
        )  # fmt: skip

    def bound_to_loopback(self, host: Host, listener: Listener) -> Cause:
        argv = [word.replace(listener.address, "0.0.0.0") for word in listener.argv]
        mend: tuple[str, ...] = ()
        if tuple(argv) != listener.argv and listener.pid:
            again = shlex.join(argv)
            lines = [f"kill {listener.pid}", "sleep 0.5", f"exec {again}"]
            mend = (f"{self.on(host.name, *lines)[0]} &",)
            if "--background" in argv:
                mend = self.on(host.name, *lines)
        return Cause(
            "bound-to-loopback", host.name,
            say(
                "{program} on {node} listens on {address}, port {port}, alone: what comes from "
                "outside does not reach it.",
                program=program_of(listener), node=host.name, address=listener.address,
                port=listener.port,
            ),
            [
                say(
                    "`ss -lntu` on {node}: {address}:{port}",
                    node=host.name, address=listener.address, port=listener.port,
                )
            ],
            mend,
        )  # fmt: skip

    def wrong_resolver(self, host: Host, ip: str, right: str, reason: str) -> Cause:
        evidence = [reason] if reason else []
        if right:
            evidence.append(say("When the lab came up, it named {ip}.", ip=right))
        return Cause(
            "wrong-resolver", host.name,
            say(
                "/etc/resolv.conf of {node} names {ip} as its DNS server, and that is none.",
                node=host.name, ip=ip,
            ),
            evidence,
            self.on(host.name, f"echo nameserver {right} > /etc/resolv.conf") if right else (),
        )  # fmt: skip

    def no_resolver(self, host: Host, right: str) -> Cause:
        return Cause(
            "no-resolver", host.name,
            say("/etc/resolv.conf of {node} names no DNS server.", node=host.name),
            [say("When the lab came up, it named {ip}.", ip=right)] if right else [],
            self.on(host.name, f"echo nameserver {right} > /etc/resolv.conf") if right else (),
        )  # fmt: skip

    def name_missing(
        self, server: Host, name: str, now: Listener | None, served: Listener | None
    ) -> Cause:
        sentence = say(
            "The zone that {server} serves has no name {name}.", server=server.name, name=name
        )
        evidence, mend = self._served(server, now, served)
        return Cause("name-missing", server.name, sentence, evidence, mend)

    def remembered(self, cause: Cause, resolver: Host, listener: Listener) -> Cause:
        """The same, where a resolver keeps the answer for a while (RFC 2308)."""
        again = self.on(
            resolver.name, f"kill {listener.pid}", "sleep 0.5", shlex.join(listener.argv)
        )
        reason = say(
            "{resolver} remembers that there is no such name until it is started anew.",
            resolver=resolver.name,
        )
        evidence = [*cause.evidence, reason]
        return replace(cause, evidence=evidence, mend=(*cause.mend, *again))

    def zone_missing(
        self, server: Host, name: str, now: Listener | None, served: Listener | None
    ) -> Cause:
        sentence = say(
            "{server} serves no zone that {name} is in, though it is asked for it.",
            server=server.name, name=name,
        )  # fmt: skip
        evidence, mend = self._served(server, now, served)
        return Cause("zone-missing", server.name, sentence, evidence, mend)

    def _served(
        self, server: Host, now: Listener | None, served: Listener | None
    ) -> tuple[list[str], tuple[str, ...]]:
        """What a name server runs now and ran before, and the line that brings that back."""
        evidence: list[str] = []
        mend: tuple[str, ...] = ()
        if now is not None and now.argv:
            evidence.append(
                say("It runs `{command}`.", command=shlex.join(now.argv[-8:]))
            )
        if now is not None and served is not None and served.argv and now.argv != served.argv:
            evidence.append(
                say(
                    "When the lab came up, it ran `{command}`.",
                    command=shlex.join(served.argv[-8:]),
                )
            )
            mend = self.on(
                server.name, f"kill {now.pid}", "sleep 0.5", shlex.join(served.argv)
            )
        return evidence, mend


def _had(node: str, cidr: str) -> str:
    return say("When the lab came up, {node} had {cidr}.", node=node, cidr=cidr)


def _addresses(card: Card) -> str:
    return listed(map(str, card.addresses)) or say("no address")


def _new_mask(card: Card, own: IPv4Interface, right: int) -> list[str]:
    """The lines that give an address another mask. Added first: with its last address a card
    loses its routes."""
    return [
        f"ip addr add {own.ip}/{right} dev {card.name}", f"ip addr del {own} dev {card.name}"
    ]  # fmt: skip


def _routes(host: Host) -> str:
    texts = [f"`{route_text(route)}`" for route in host.routes]
    if len(texts) > _MANY:
        texts = [*texts[:_MANY], "…"]
    return listed(texts) or say("no route")


def route_text(route: Route) -> str:
    """A route as `ip route` writes it."""
    to = "default" if not route.to.prefixlen else str(route.to)
    words = [] if route.kind == "unicast" else [route.kind]
    words += [to, *(("via", str(route.via)) if route.via else ())]
    words += ["dev", route.card] if route.card and route.kind == "unicast" else []
    words += ["table", str(route.table)] if route.table != 254 else []
    words += ["onlink"] if route.onlink else []
    return " ".join(words)


def _unfilter(rule: Filter) -> str:
    """The line that takes a rule away, or lets through what no rule speaks of."""
    if rule.tool == "nft":
        if rule.rule:
            return f"nft delete rule {rule.table} {rule.chain} handle {rule.handle}"
        return f"nft chain {rule.table} {rule.chain} '{{ policy accept ; }}'"
    table = f" -t {rule.table}" if rule.table != "filter" else ""
    tool = rule.tool
    if rule.rule:
        return f"{tool}{table} -D {rule.chain} {rule.rule}"
    return f"{tool}{table} -P {rule.chain} ACCEPT"


def program_of(listener: Listener) -> str:
    """The name of a program, without its folder and without that of the interpreter."""
    words = [word.rpartition("/")[2] for word in listener.argv if word]
    if len(words) > 1 and words[0].startswith(("python", "sh", "bash", "perl")):
        return next((word for word in words[1:] if not word.startswith("-")), words[0])
    return words[0] if words else "?"
