# SPDX-License-Identifier: Apache-2.0
"""Who is who in a network: the questions that this folder asks of the wiring, and of the frames
where these know better.

What lives here: which node has a port, an address, a card. What must not: what became of a packet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

from hoplab.decode import packet as wire
from hoplab.decode.packet import Packet
from hoplab.follow.model import Hop, Journey, Origin
from hoplab.follow.wiring import Wiring
from hoplab.story.destinations import client_card, wanted

_BORN = Origin.BORN


@lru_cache(maxsize=512)
def _decoded(data: bytes) -> Packet:
    return wire.decode(data)


def packet_in(hop: Hop) -> Packet:
    """The packet in a frame. While a packet is told its frames are asked for a few times, in a
    short time."""
    seen = hop.sent or hop.received
    assert seen is not None
    return _decoded(seen.data)


def packet_made_of(before: Packet, parent: Hop, hop: Hop) -> Packet:
    """The packet in a frame that a node made of another. before: the packet in that one."""
    old, new = parent.data, hop.data
    if old == new:
        return before
    return wire.routed(before, old, new) or packet_in(hop)


class Places:
    """Who is who: the questions that this folder asks of the wiring.

    They are asked for each frame, so what the wiring says is put into tables once: by port, by
    address, by MAC address. What frames have shown beside it is in `_macs`, `_claims`, `_used` and
    `extra_ips`; changes: how often they have shown something new.
    """

    def __init__(self, wiring: Wiring) -> None:
        self.wiring = wiring
        self.changes = 0
        self._wired_ips: dict[str, str] = {}  # node by its IP address, as far as they were asked
        self.extra_ips: dict[str, str] = {}
        self._macs: dict[str, str] = {}  # node of a source MAC address, by the frames it made
        # Address -> nodes that have shown that it is theirs; and those that sent something from it.
        self._claims: dict[str, dict[str, None]] = {}
        self._used: set[tuple[str, str]] = set()
        self._links: dict[tuple[int | None, int | None], tuple[str, str, str, str]] = {}
        self.read()

    def read(self) -> None:
        """Put what the wiring says into tables, once, and again when it has grown."""
        wiring = self.wiring
        self.changes += 1
        self._node_names = [interface.node for interface in wiring.interfaces]
        kinds = [(node.name, node.kind) for node in wiring.nodes.values()]
        self._switches = frozenset(name for name, kind in kinds if kind == "switch")
        self._routers = frozenset(name for name, kind in kinds if kind == "router")
        self._cards: dict[str, str] = {}  # node by the MAC address of its card
        for interface in wiring.interfaces:
            self._cards.setdefault(interface.mac, interface.node)
        self.wired_ports = {
            node: sum(wiring.peer(port) is not None for port in wiring.ports(node))
            for node in wiring.nodes
        }

    def add_names(self, names: Mapping[str, str] | None) -> None:
        """Take addresses that the wiring does not know, since they were given later, from what a
        capture says of who had which when it began. names: node by its IP address."""
        for ip, node in (names or {}).items():
            if node in self.wiring.nodes and not self.switch(node) and not self.owner(ip):
                self.extra_ips[ip] = node
                self.changes += 1

    def learn(self, journeys: Iterable[Journey]) -> set[str]:
        """Take addresses that the wiring does not know (given later, link-local) from the frames
        of the nodes that use them; and those that have moved, or that a second node has, from ARP
        and from answers, which only come from who has an address. Gives those whose owner is
        another one by that."""
        moved: set[str] = set()
        for journey in journeys:
            hop = journey.root
            node = self.node(hop.tail)
            if hop.origin is not _BORN or hop.sent is None or node in self._switches:
                continue
            packet = packet_in(hop)
            mac, source = packet.eth.src if packet.eth is not None else "", packet.src
            claims = _claims(packet) and not self.router(node)  # it may be a proxy (RFC 1027)
            if self._macs.get(mac) == node and self._nothing_new(source, node, claims):
                continue  # as a rule
            self.changes += 1
            before = self.owner(source)
            if mac:
                self._macs[mac] = node
            self._used.add((source, node))
            if claims:
                self._claims.setdefault(source, {})[node] = None
            if source not in ("", "0.0.0.0", "::") and not self.owner(source):
                self.extra_ips[source] = node
            if self.owner(source) != before:
                moved.add(source)
        return moved

    def _nothing_new(self, source: str, node: str, claims: bool) -> bool:
        """It is known that the node sends from this address, and claims it, if it does."""
        return (source, node) in self._used and (
            not claims or node in self._claims.get(source, ())
        )

    def node(self, port: int | None) -> str:
        """The node of a port, "" for none."""
        return self._node_names[port] if port is not None else ""

    def name(self, port: int | None) -> str:
        """The interface name of a port, "" for none."""
        return self.wiring.port_name(port) if port is not None else ""

    def link(self, tail: int | None, head: int | None) -> tuple[str, str, str, str]:
        """Node and interface of the port that a frame left, and of the one that it was sent to."""
        link = self._links.get((tail, head))
        if link is None:
            link = self.node(tail), self.name(tail), self.node(head), self.name(head)
            self._links[tail, head] = link
        return link

    def switch(self, node: str) -> bool:
        """True if the node passes frames on without an address of its own."""
        return node in self._switches

    def router(self, node: str) -> bool:
        """True if the node passes packets on between networks."""
        return node in self._routers

    def owner(self, ip: str) -> str:
        """The node that has this IP address, "" if none. One that the wiring names has it unless it
        keeps silent while another has it."""
        wired = self._wired_ips.get(ip)
        if wired is None:
            wired = self._wired(ip)
        claims = self._claims.get(ip)
        if wired and (not claims or wired in claims or (ip, wired) in self._used):
            return wired
        return (next(iter(claims), "") if claims else "") or self.extra_ips.get(ip, "")

    def _wired(self, ip: str) -> str:
        """The node that has the address by the wiring, "" if none; kept, if there is one."""
        wired = self.wiring.node_of_ip(ip) or ""
        if wired:
            self._wired_ips[ip] = wired
        return wired

    def recipient(self, packet: Packet) -> str:
        """The node that the packet is for, "" if none has the address that it bears."""
        mac = client_card(packet)
        return self.holder(mac) if mac else self.owner(wanted(packet))

    def has(self, node: str, ip: str) -> bool:
        """Whether the node has this address; two may, by mistake."""
        return self.owner(ip) == node or node in self._claims.get(ip, {})

    def holder(self, mac: str) -> str:
        """The host or router that has a card with this MAC address, by the wiring or by a frame
        that it sent; "" if there is none. A switch takes in no frame for itself."""
        node = self.card(mac) or self._macs.get(mac, "")
        return "" if self.switch(node) else node

    def card(self, mac: str) -> str:
        """The node whose card has this MAC address, "" if none."""
        return self._cards.get(mac, "") if mac else ""


def _claims(packet: Packet) -> bool:
    """Only who has an address sends this from it: ARP, an echo reply, a SYN + ACK."""
    if packet.arp is not None:
        return packet.arp.sender_ip != "0.0.0.0"
    if packet.icmp is not None:
        return packet.icmp.echo_reply
    return packet.tcp is not None and packet.tcp.syn and packet.tcp.ack_flag
