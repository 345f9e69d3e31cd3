# SPDX-License-Identifier: Apache-2.0
"""A toy network that makes captures: hosts with ARP, routers with TTL, a hub or a switch.

Enough behaviour that the frames are those of a real lab, no more. Time is virtual, so a capture
is the same in every run. What must not live here: expectations about stories.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from itertools import count
from typing import Any

from hoplab.capture.observation import Observation, Reception
from hoplab.decode.packet import Packet, decode
from hoplab.follow.follow import follow
from hoplab.follow.wiring import Interface, Node, Wiring
from hoplab.story.records import Request, Story
from hoplab.story.summary_records import Health
from hoplab.story.tell import tell
from tests.unit import frames
from tests.unit.toynet import Toy

US = 1000
START_NS = 1_700_000_000_000_000_000
Spec = list[tuple[str, str, str, str]]  # node, its address, node, its address ("" at a switch)

WEB: Spec = [
    ("client", "10.1.0.10/24", "s1", ""),
    ("pc", "10.1.0.11/24", "s1", ""),
    ("r1", "10.1.0.1/24", "s1", ""),
    ("r1", "10.12.0.1/30", "r2", "10.12.0.2/30"),
    ("r2", "10.53.0.1/24", "s2", ""),
    ("resolver", "10.53.0.53/24", "s2", ""),
    ("root", "10.53.0.2/24", "s2", ""),
    ("com", "10.53.0.3/24", "s2", ""),
    ("ns", "10.53.0.4/24", "s2", ""),
    ("r2", "10.80.0.1/24", "s3", ""),
    ("www", "10.80.0.80/24", "s3", ""),
    ("idle", "10.80.0.81/24", "s3", ""),
]
WEB_ROUTES = {
    "client": "10.1.0.1",
    "pc": "10.1.0.1",
    "r1": "10.12.0.2",
    "r2": "10.12.0.1",
    "resolver": "10.53.0.1",
    "root": "10.53.0.1",
    "com": "10.53.0.1",
    "ns": "10.53.0.1",
    "www": "10.80.0.1",
    "idle": "10.80.0.1",
}
CABLE: Spec = [("a", "192.168.1.1/24", "b", "192.168.1.2/24")]


def wire_up(spec: Spec, controller: str = "learning_switch", topology: str = "web") -> Wiring:
    """The wiring of a list of cables. Names tell the kind: r1 a router, s1 a switch."""
    nodes: dict[str, Node] = {}
    interfaces: list[Interface] = []
    ports: dict[str, int] = {}
    for left, left_ip, right, right_ip in spec:
        pair = []
        for name, address in ((left, left_ip), (right, right_ip)):
            short = name[:1] in "rs" and name[1:].isdigit()
            kind = {"r": "router", "s": "switch"}[name[0]] if short else "host"
            nodes.setdefault(name, Node(name, kind))
            first = 1 if kind == "switch" else 0
            ports[name] = ports.get(name, first - 1) + 1
            pair.append((f"{name}-eth{ports[name]}", name, address))
        for (name, node, address), (peer, _, _) in zip(pair, pair[::-1], strict=True):
            number = len(interfaces) + 1
            mac = f"02:00:00:00:00:{number:02x}"
            interfaces.append(Interface(name, node, mac, (address,) if address else (), peer))
    return Wiring(
        list(nodes.values()),
        interfaces,
        topology=topology,
        controller=controller,
        datapath="user" if any(node.kind == "switch" for node in nodes.values()) else "",
    )


class Playground(Toy[int]):
    """Sends frames through the wiring and writes down what every interface sees.

    drop: asked for every frame with its sending interface's name; True loses it on the link.
    down: interfaces whose links are down: nothing is sent over them.
    """

    def __init__(self, wiring: Wiring, gateways: dict[str, str] | None = None) -> None:
        super().__init__(START_NS)
        self.wiring = wiring
        self.hub = wiring.controller == "hub"
        self.gateways = gateways or {}
        self.seen: list[tuple[int, int, Reception, bytes]] = []
        self.cache: dict[tuple[str, str], str] = {}
        self.held: dict[tuple[str, str], list[bytes]] = {}
        self.drop: Callable[[str, Packet], bool] = lambda interface, packet: False
        self.down: set[str] = set()
        self._ident = count(100)

    # --- what a test does ------------------------------------------------------------------

    def warm(self) -> None:
        """Every node knows every neighbour's MAC, every switch every port."""
        for port, interface in enumerate(self.wiring.interfaces):
            for address in interface.addresses:
                plain = address.split("/")[0]
                for node in self.wiring.nodes:
                    self.cache[node, plain] = interface.mac
            if interface.peer is not None:
                self._learn_everywhere(port, interface.mac)

    def ip(self, src: str, dst: str, protocol: int, payload: bytes, ttl: int = 64) -> None:
        """The owner of `src` sends a packet; time runs until the network is quiet again."""
        node = self.wiring.node_of_ip(src)
        assert node is not None
        packet = frames.ipv4(src, dst, protocol, payload, ttl, next(self._ident))
        self.at(100, lambda: self._route(node, packet))
        self.run()

    def udp(self, src: str, sport: int, dst: str, dport: int, payload: bytes) -> None:
        self.ip(src, dst, 17, frames.udp(sport, dport, payload))

    def at(
        self, delay_us: int, action: Callable[[], None], still: Callable[[], bool] = lambda: True
    ) -> None:
        """Later do something, if by then it is still wanted."""
        self.plan(self.now_ns + delay_us * US, action, still)

    def observations(self) -> list[Observation]:
        ordered = sorted(self.seen, key=lambda observed: observed[0])
        return [
            Observation(number, t_ns, port, reception, data, len(data))
            for number, (t_ns, port, reception, data) in enumerate(ordered, 1)
        ]

    def story(self, url: str = "", client: str = "client", said: str = "", **kwargs: Any) -> Story:
        request = Request(url, client, said) if url else None
        journeys = follow(self.wiring, self.observations())
        kwargs.setdefault("complaint", "" if url else said)
        return tell(self.wiring, journeys, request=request, health=Health(), **kwargs)

    # --- what the network does -------------------------------------------------------------

    def send(self, port: int, data: bytes) -> None:
        """Puts a frame on the cable at a port."""
        packet = decode(data)
        peer = self.wiring.peer(port)
        ends = {self.wiring.port_name(end) for end in (port, peer) if end is not None}
        if ends & self.down:
            return
        self.seen.append((self.now_ns, port, Reception.OUTGOING, data))
        if peer is None or self.drop(self.wiring.port_name(port), packet):
            return
        self.at(10, lambda: self._arrive(peer, data))

    def _arrive(self, port: int, data: bytes) -> None:
        interface = self.wiring.interfaces[port]
        reception = self.reception(data, frames.mac(interface.mac))
        self.seen.append((self.now_ns, port, reception, data))
        if self.wiring.is_switch(port):
            self.at(20, lambda: self._switch(port, data))
        elif reception != Reception.OTHERHOST:
            self.at(30, lambda: self._receive(port, data))

    def _switch(self, port: int, data: bytes) -> None:
        node = self.wiring.node_name(port)
        for copy in self.copies(node, port, data, self.wiring.ports(node), hub=self.hub):
            self.send(copy, data)

    def _receive(self, port: int, data: bytes) -> None:
        interface, packet = self.wiring.interfaces[port], decode(data)
        node = interface.node
        mine = {address.split("/")[0] for address in interface.addresses}
        if packet.arp is not None and packet.arp.target_ip in mine:
            arp = packet.arp
            self.cache[node, arp.sender_ip] = arp.sender_mac
            if arp.op == 1:
                reply = frames.arp(2, interface.mac, arp.target_ip, arp.sender_mac, arp.sender_ip)
                self.send(port, frames.eth(arp.sender_mac, interface.mac, 0x0806, reply))
            for packet_held in self.held.pop((node, arp.sender_ip), []):
                self._link(node, packet_held, arp.sender_ip)
        elif packet.ipv4 is not None and self._passes_on(node, packet.dst):
            self._forward(node, data[14:], packet, interface)

    def _passes_on(self, node: str, dst: str) -> bool:
        return self.wiring.kind(node) == "router" and self.wiring.node_of_ip(dst) != node

    def _forward(self, node: str, raw: bytes, packet: Packet, way_in: Interface) -> None:
        assert packet.ipv4 is not None
        if packet.ipv4.ttl <= 1:
            mine = way_in.addresses[0].split("/")[0]
            error = frames.icmp(11, 0, 0, raw[:28])
            self._route(node, frames.ipv4(mine, packet.src, 1, error, 64, next(self._ident)))
            return
        ip = packet.ipv4
        self._route(
            node,
            frames.ipv4(ip.src, ip.dst, ip.protocol, raw[20:], ip.ttl - 1, ip.ident),
        )

    def _route(self, node: str, packet: bytes) -> None:
        dst = decode(b"\0" * 12 + b"\x08\x00" + packet).dst
        direct = any(self._on_link(port, dst) for port in self.wiring.ports(node))
        next_hop = dst if direct else self.gateways.get(node, "")
        if next_hop:
            self._link(node, packet, next_hop)

    def _link(self, node: str, packet: bytes, next_hop: str) -> None:
        port = next(p for p in self.wiring.ports(node) if self._on_link(p, next_hop))
        mac_in_cache = self.cache.get((node, next_hop))
        if mac_in_cache is not None:
            mac = self.wiring.interfaces[port].mac
            self.send(port, frames.eth(mac_in_cache, mac, 0x0800, packet))
            return
        waiting = self.held.setdefault((node, next_hop), [])
        waiting.append(packet)
        if len(waiting) == 1:
            self._ask(node, port, next_hop, 1)

    def _ask(self, node: str, port: int, next_hop: str, attempt: int) -> None:
        interface = self.wiring.interfaces[port]
        mine = interface.addresses[0].split("/")[0]
        if attempt > 3:
            for packet in self.held.pop((node, next_hop)):
                source = decode(b"\0" * 12 + b"\x08\x00" + packet).src
                if self.wiring.node_of_ip(source) != node:
                    error = frames.icmp(3, 1, 0, packet[:28])
                    self._route(node, frames.ipv4(mine, source, 1, error, 64, next(self._ident)))
            return
        question = frames.arp(1, interface.mac, mine, "00:00:00:00:00:00", next_hop)
        self.send(port, frames.eth(frames.BROADCAST, interface.mac, 0x0806, question))
        self.at(
            1_000_000,
            lambda: self._ask(node, port, next_hop, attempt + 1),
            still=lambda: (node, next_hop) in self.held,
        )

    def _on_link(self, port: int, address: str) -> bool:
        return any(
            ipaddress.ip_address(address) in ipaddress.ip_interface(mine).network
            for mine in self.wiring.interfaces[port].addresses
        )

    def _learn_everywhere(self, port: int, mac: str) -> None:
        """The switches on the way know where this card is (one switch a subnet is enough)."""
        peer = self.wiring.peer(port)
        if peer is not None and self.wiring.is_switch(peer):
            table = self.tables.setdefault(self.wiring.node_name(peer), {})
            table[frames.mac(mac)] = peer


class Talk:
    """A TCP connection by hand: `say` sends one segment and keeps the numbers."""

    def __init__(
        self, net: Playground, client: str, server: str, sport: int = 40000, dport: int = 80
    ) -> None:
        self.net = net
        self.ends = {"c": (client, sport), "s": (server, dport)}
        self.seq = {"c": 1000, "s": 900_000}

    def say(
        self, speaker: str, flags: int, data: bytes = b"", again: bool = False, window: int = 64240
    ) -> None:
        listener = "s" if speaker == "c" else "c"
        (src, sport), (dst, dport) = self.ends[speaker], self.ends[listener]
        span = len(data) + bool(flags & frames.SYN) + bool(flags & frames.FIN)
        seq = self.seq[speaker] - span if again else self.seq[speaker]
        ack = self.seq[listener] if flags & frames.ACK else 0
        segment = frames.tcp(sport, dport, seq, ack, flags, data, window=window)
        if not again:
            self.seq[speaker] += span
        self.net.ip(src, dst, 6, segment)

    def open(self) -> None:
        self.say("c", frames.SYN)
        self.say("s", frames.SYN | frames.ACK)
        self.say("c", frames.ACK)

    def close_four(self) -> None:
        self.say("s", frames.FIN | frames.ACK)
        self.say("c", frames.ACK)
        self.say("c", frames.FIN | frames.ACK)
        self.say("s", frames.ACK)
