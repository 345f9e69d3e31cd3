# SPDX-License-Identifier: Apache-2.0
"""Whom a packet is for, and whom it asks for, by the addresses that it bears.

What lives here: what one decoded packet says by itself. What must not: the network, in which some
node has such an address or none (`places.py`).
"""

from __future__ import annotations

from hoplab.decode.packet import Packet


def wanted(packet: Packet) -> str:
    """The address that the packet is for; of ARP and neighbour solicitations the one asked for."""
    if packet.icmp is not None and packet.icmp.version == 6 and packet.icmp.type == 135:
        return packet.icmp.target
    return packet.dst


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
