# SPDX-License-Identifier: Apache-2.0
"""One packet to its kind (a stable word) and its title (one line for a reader).

What lives here: everything that one packet alone can tell. What must not: other packets (TCP's
relative numbers are in `tcp.py`), nodes, times.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from hoplab.decode import dhcp as wire_dhcp
from hoplab.decode import dns as wire_dns
from hoplab.decode import quic as wire_quic
from hoplab.decode import tunnels
from hoplab.decode.dhcp import Dhcp
from hoplab.decode.dns import Dns
from hoplab.decode.packet import IPv4, IPv6, Packet
from hoplab.sentences import Sentence, number_of, say, term
from hoplab.story.counts import byte_count
from hoplab.story.dhcp_titles import dhcp_title
from hoplab.story.dns_titles import dns_title
from hoplab.story.icmp_titles import icmp_title
from hoplab.story.quic import quic_title
from hoplab.story.routing_titles import routing_title
from hoplab.story.tunnel_titles import MOST_INSIDE, tunnel_title

ETHERTYPES = {0x88CC: "LLDP", 0x86DD: "IPv6", 0x0800: "IPv4", 0x0806: "ARP", 0x8809: "LACP"}
PROTOCOLS = {1: "ICMP", 2: "IGMP", 6: "TCP", 17: "UDP", 47: "GRE", 58: "ICMPv6", 89: "OSPF"}
UDP_PORTS = {
    67: "BOOTP", 68: "BOOTP", 123: "NTP", 546: "DHCPv6", 547: "DHCPv6", 1900: "SSDP", 5353: "mDNS"
}  # fmt: skip

Message = Dns | Dhcp

# How many packets of a kind, in words.
_COUNTED: dict[str, Callable[[int], Sentence]] = {
    "arp-request": lambda n: number_of("{n:,} ARP request", "{n:,} ARP requests", n),
    "arp-reply": lambda n: number_of("{n:,} ARP reply", "{n:,} ARP replies", n),
    "arp-announcement": lambda n: number_of("{n:,} ARP announcement", "{n:,} ARP announcements", n),
    "arp-other": lambda n: number_of("{n:,} arp other", "{n:,} arp other", n),
    "dns-question": lambda n: number_of("{n:,} DNS question", "{n:,} DNS questions", n),
    "dns-answer": lambda n: number_of("{n:,} DNS answer", "{n:,} DNS answers", n),
    "tcp-syn": lambda n: number_of("{n:,} SYN", "{n:,} SYNs", n),
    "tcp-syn-ack": lambda n: number_of("{n:,} SYN + ACK", "{n:,} SYN + ACKs", n),
    "tcp-ack": lambda n: number_of("{n:,} pure ACK", "{n:,} pure ACKs", n),
    "tcp-data": lambda n: number_of("{n:,} TCP data segment", "{n:,} TCP data segments", n),
    "tcp-fin": lambda n: number_of("{n:,} FIN", "{n:,} FINs", n),
    "tcp-rst": lambda n: number_of("{n:,} RST", "{n:,} RSTs", n),
    "tcp-keepalive": lambda n: number_of("{n:,} TCP keep-alive", "{n:,} TCP keep-alives", n),
    "tcp-window-probe": lambda n: number_of(
        "{n:,} zero-window probe", "{n:,} zero-window probes", n
    ),
    "http-request": lambda n: number_of("{n:,} HTTP request", "{n:,} HTTP requests", n),
    "http-response": lambda n: number_of("{n:,} HTTP response", "{n:,} HTTP responses", n),
    "tls-client-hello": lambda n: number_of("{n:,} TLS ClientHello", "{n:,} TLS ClientHellos", n),
    "tls-server-hello": lambda n: number_of("{n:,} TLS ServerHello", "{n:,} TLS ServerHellos", n),
    "tls-handshake": lambda n: number_of(
        "{n:,} TLS handshake segment", "{n:,} TLS handshake segments", n
    ),
    "tls-data": lambda n: number_of("{n:,} sealed TLS segment", "{n:,} sealed TLS segments", n),
    "tls-alert": lambda n: number_of("{n:,} TLS alert", "{n:,} TLS alerts", n),
    "lldp": lambda n: number_of("{n:,} LLDP probe", "{n:,} LLDP probes", n),
    "icmp-echo-request": lambda n: number_of("{n:,} echo request", "{n:,} echo requests", n),
    "icmp-echo-reply": lambda n: number_of("{n:,} echo reply", "{n:,} echo replies", n),
    "icmp-unreachable": lambda n: number_of("{n:,} ICMP unreachable", "{n:,} ICMP unreachables", n),
    "icmp-time-exceeded": lambda n: number_of(
        "{n:,} ICMP time exceeded", "{n:,} ICMP time exceededs", n
    ),
    "icmp-too-big": lambda n: number_of("{n:,} icmp too big", "{n:,} icmp too big", n),
    "icmp-redirect": lambda n: number_of("{n:,} ICMP redirect", "{n:,} ICMP redirects", n),
    "icmp-other": lambda n: number_of("{n:,} icmp other", "{n:,} icmp other", n),
    "nd-solicitation": lambda n: number_of(
        "{n:,} neighbour solicitation", "{n:,} neighbour solicitations", n
    ),
    "nd-advertisement": lambda n: number_of(
        "{n:,} neighbour advertisement", "{n:,} neighbour advertisements", n
    ),
    "nd-router": lambda n: number_of(
        "{n:,} router discovery message", "{n:,} router discovery messages", n
    ),
    "mld": lambda n: number_of(
        "{n:,} multicast listener report", "{n:,} multicast listener reports", n
    ),
    "dhcp-discover": lambda n: number_of("{n:,} DHCP Discover", "{n:,} DHCP Discovers", n),
    "dhcp-offer": lambda n: number_of("{n:,} DHCP Offer", "{n:,} DHCP Offers", n),
    "dhcp-request": lambda n: number_of("{n:,} DHCP Request", "{n:,} DHCP Requests", n),
    "dhcp-ack": lambda n: number_of("{n:,} DHCP ACK", "{n:,} DHCP ACKs", n),
    "dhcp-nak": lambda n: number_of("{n:,} DHCP NAK", "{n:,} DHCP NAKs", n),
    "dhcp-other": lambda n: number_of("{n:,} DHCP message", "{n:,} DHCP messages", n),
    "quic": lambda n: number_of("{n:,} QUIC datagram", "{n:,} QUIC datagrams", n),
    "tunnel": lambda n: number_of("{n:,} packet in a tunnel", "{n:,} packets in tunnels", n),
    "udp": lambda n: number_of("{n:,} UDP datagram", "{n:,} UDP datagrams", n),
    "ospf-hello": lambda n: number_of("{n:,} OSPF Hello", "{n:,} OSPF Hellos", n),
    "ospf-description": lambda n: number_of(
        "{n:,} OSPF Database Description", "{n:,} OSPF Database Descriptions", n
    ),
    "ospf-request": lambda n: number_of(
        "{n:,} OSPF Link State Request", "{n:,} OSPF Link State Requests", n
    ),
    "ospf-update": lambda n: number_of(
        "{n:,} OSPF Link State Update", "{n:,} OSPF Link State Updates", n
    ),
    "ospf-ack": lambda n: number_of(
        "{n:,} OSPF Link State Acknowledgment", "{n:,} OSPF Link State Acknowledgments", n
    ),
    "rip-request": lambda n: number_of("{n:,} RIP Request", "{n:,} RIP Requests", n),
    "rip-response": lambda n: number_of("{n:,} RIP Response", "{n:,} RIP Responses", n),
    "fragment": lambda n: number_of("{n:,} fragment", "{n:,} fragments", n),
    "ip": lambda n: number_of("{n:,} ip", "{n:,} ip", n),
    "other": lambda n: number_of("{n:,} other", "{n:,} other", n),
}


def message_in(packet: Packet) -> Message | None:
    """What a datagram says, as far as that is read here."""
    if packet.udp is None:
        return None
    return wire_dns.read(packet) or wire_dhcp.read(packet)


def describe(packet: Packet, message: Message | None = None, depth: int = 0) -> tuple[str, str]:
    """Kind and title of a packet. message: what it says, if read. depth: in how many tunnels."""
    if packet.tcp is not None:
        title = _tcp(packet.tcp.sport, packet.tcp.dport)
        return "tcp-data" if packet.tcp.payload_length else "tcp-ack", title
    tunnel = tunnels.read(packet) if depth < MOST_INSIDE else None
    if tunnel is not None:
        return tunnel_title(packet, tunnel, lambda inner: describe(inner, None, depth + 1)[1])
    if packet.arp is not None:
        return _arp(packet)
    if packet.icmp is not None:
        return icmp_title(packet, packet.icmp)
    message = message or message_in(packet)
    if isinstance(message, Dns):
        return dns_title(message)
    if message is not None:
        return dhcp_title(message)
    routing = routing_title(packet)
    if routing is not None:
        return routing
    if packet.udp is not None:
        headers = wire_quic.parse(packet.payload)
        return quic_title(packet, headers) if headers else _udp(packet)
    return _other(packet)


def _arp(packet: Packet) -> tuple[str, str]:
    arp, eth = packet.arp, packet.eth
    assert arp is not None
    ip, mac = arp.sender_ip, arp.sender_mac
    if ip == arp.target_ip:
        return "arp-announcement", say("ARP announcement: {ip} is at {mac}", ip=ip, mac=mac)
    if arp.op == 1:
        if eth is None or int(eth.dst[:2], 16) & 1:
            title = say("ARP request: who has {ip}? tell {asker}", ip=arp.target_ip, asker=ip)
            return "arp-request", title
        title = say("ARP check: who has {ip}? tell {asker}", ip=arp.target_ip, asker=ip)
        return "arp-request", title
    if arp.op == 2:
        return "arp-reply", say("ARP reply: {ip} is at {mac}", ip=ip, mac=mac)
    return "arp-other", say("ARP operation {number} from {ip}", number=arp.op, ip=ip)


def _udp(packet: Packet) -> tuple[str, str]:
    udp = packet.udp
    assert udp is not None
    protocol = UDP_PORTS.get(udp.dport) or UDP_PORTS.get(udp.sport)
    size = byte_count(len(packet.payload))
    if protocol is None:
        title = say(
            "UDP, port {source} to {destination}, {size}",
            source=udp.sport, destination=udp.dport, size=size,
        )  # fmt: skip
        return "udp", title
    title = say(
        "{protocol} over UDP, port {source} to {destination}, {size}",
        protocol=protocol, source=udp.sport, destination=udp.dport, size=size,
    )  # fmt: skip
    return "udp", title


@lru_cache(maxsize=1024)  # all segments of a connection have it, before they are placed there
def _tcp(source: int, destination: int) -> str:
    return say("TCP port {source} to {destination}", source=source, destination=destination)


def _other(packet: Packet) -> tuple[str, str]:
    if packet.ip is not None:
        return _other_ip(packet.ip)
    if packet.eth is None:
        return "other", term("a frame too short for an Ethernet header")
    if packet.eth.dst == "01:80:c2:00:00:00":
        return "other", term("spanning tree message")
    ethertype = packet.eth.type
    if ethertype == 0x88CC and not packet.problem:
        return "lldp", term("LLDP probe: which switch is at the other end?")
    protocol = ETHERTYPES.get(ethertype)
    if protocol is None and ethertype >= 1536:
        protocol = say("EtherType 0x{ethertype:04x}", ethertype=ethertype)
    elif protocol is None:
        protocol = "802.3"
    if not packet.problem:
        return "other", say("{protocol} frame", protocol=protocol)
    title = say("{protocol} frame, broken: {problem}", protocol=protocol, problem=packet.problem)
    return "other", title


def _other_ip(ip: IPv4 | IPv6) -> tuple[str, str]:
    """Kind and title of an IP packet of which nothing inside is read."""
    protocol = PROTOCOLS.get(ip.protocol) or say("IP protocol {number}", number=ip.protocol)
    if ip.fragment:
        title = say(
            "{protocol} fragment at byte {offset}", protocol=protocol, offset=ip.fragment_offset
        )
        return "fragment", title
    title = say(
        "{protocol} {source} to {destination}",
        protocol=protocol, source=ip.src, destination=ip.dst,
    )  # fmt: skip
    return "ip", title


def count_kind(kind: str, count: int) -> Sentence:
    """'3 DNS questions'."""
    return _COUNTED.get(kind, _COUNTED["other"])(count)
