# SPDX-License-Identifier: Apache-2.0
"""Whom a packet is for, and whom it asks for, by the addresses that it bears.

What lives here: what one decoded packet says by itself. What must not: the network, in which some
node has such an address or none (`places.py`).
"""

from __future__ import annotations

from hoplab.decode import dhcp as wire_dhcp
from hoplab.decode.packet import Packet


def wanted(packet: Packet) -> str:
    """The address that the packet is for; of ARP and neighbour solicitations the one asked for."""
    if packet.icmp is not None and packet.icmp.version == 6 and packet.icmp.type == 135:
        return packet.icmp.target
    return packet.dst


def client_card(packet: Packet) -> str:
    """The MAC address of the card that a DHCP server's message is for, "" for any other packet: a
    client that has no address yet is reached by its card (RFC 2131 section 4.1)."""
    if packet.udp is None or packet.udp.dport != wire_dhcp.CLIENT_PORT:
        return ""
    dhcp = wire_dhcp.read(packet)
    if dhcp is None or dhcp.op != wire_dhcp.BOOTREPLY:
        return ""
    return dhcp.client_mac if packet.dst in (dhcp.yiaddr, "255.255.255.255") else ""


def probes(packet: Packet) -> bool:
    """It asks whether an address is free (RFC 5227 for ARP, RFC 4862 section 5.4 for IPv6)."""
    if packet.arp is not None:
        return packet.arp.op == 1 and packet.arp.sender_ip == "0.0.0.0"
    icmp = packet.icmp
    return icmp is not None and icmp.version == 6 and icmp.type == 135 and packet.src == "::"


def resolves_address(packet: Packet) -> bool:
    """ARP, or a message of neighbour discovery about one address."""
    return packet.arp is not None or (packet.icmp is not None and packet.icmp.target != "")


def announces(packet: Packet) -> bool:
    """Broadcast to tell everybody, not to ask one: gratuitous ARP, unsolicited advertisement."""
    if packet.arp is not None:
        return packet.arp.op != 1 or packet.arp.sender_ip == packet.arp.target_ip
    return packet.icmp is not None and packet.icmp.type != 135


def is_group_mac(mac: str) -> bool:
    """A broadcast or multicast MAC address: bit 0 of its first octet is set (IEEE 802)."""
    return mac[:2] != "" and bool(int(mac[:2], 16) & 1)


def is_group_address(address: str) -> bool:
    """An IP multicast or limited broadcast address."""
    head = address.split(".")[0]
    return (head.isdigit() and int(head) >= 224) or address.lower().startswith("ff")
