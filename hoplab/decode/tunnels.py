# SPDX-License-Identifier: Apache-2.0
"""Packets inside packets: VXLAN (RFC 7348), GRE (RFC 2784, 2890), Geneve (RFC 8926) and PPPoE
(RFC 2516, with the protocol numbers of PPP).

What lives here: one tunnel's header, and the packet behind it. What must not: what lies in a tunnel
inside that packet (`read` takes it again), and who built the tunnel.
Rules: those of `packet`. Nothing raises; an inner packet that is cut says so in its `problem`.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from hoplab.decode.packet import (
    ETH_IPV4,
    ETH_IPV6,
    ETH_PPPOE_DISCOVERY,
    ETH_PPPOE_SESSION,
    Packet,
    decode,
    decode_ip,
)
from hoplab.sentences import number_of, term

VXLAN_PORT, GENEVE_PORT = 4789, 6081  # those that IANA gave them
PROTO_GRE = 47
ETH_BRIDGED = 0x6558  # an Ethernet frame behind GRE or Geneve

PADI, PADO, PADR, PADS, PADT = 0x09, 0x07, 0x19, 0x65, 0xA7
# RFC 2516 section 5.
DISCOVERY = {PADI: "PADI", PADO: "PADO", PADR: "PADR", PADS: "PADS", PADT: "PADT"}
PPP_IPV4, PPP_IPV6 = 0x0021, 0x0057
# Protocols of PPP that carry no packet but arrange the link (RFC 1661, 1332, 5072, 1334, 1994).
PPP = {
    PPP_IPV4: "IPv4", PPP_IPV6: "IPv6", 0xC021: "LCP", 0xC023: "PAP", 0xC223: "CHAP",
    0x8021: "IPCP", 0x8057: "IPV6CP",
}  # fmt: skip

_u16 = Struct("!H").unpack_from
_pppoe = Struct("!BBHH").unpack_from


class Tunnel(NamedTuple):
    """The header of a tunnel.

    name: 'VXLAN', 'GRE', 'Geneve' or 'PPPoE'. number: which tunnel of its kind it is, as the header
    says: a VNI, a GRE key, a PPPoE session; None if it says none. protocol: the EtherType of what
    is inside, of PPPoE the protocol of PPP; 0 for PPPoE discovery. code: of PPPoE discovery, else
    0. seq: the number of the packet, None where GRE has none. header_length: bytes in front of
    what is inside. inner: the packet inside, None if it is none that is read here.
    """

    name: str
    number: int | None
    protocol: int
    code: int
    seq: int | None
    header_length: int
    inner: Packet | None
    problem: str


def read(packet: Packet) -> Tunnel | None:
    """The tunnel that a packet is in, None if it is in none."""
    if packet.udp is not None:
        if packet.udp.dport == VXLAN_PORT:
            return _vxlan(packet.payload)
        return _geneve(packet.payload) if packet.udp.dport == GENEVE_PORT else None
    ip = packet.ip
    if ip is not None:
        # A later fragment begins in the middle; what it is part of cannot be read here.
        return _gre(packet.payload) if ip.protocol == PROTO_GRE and not ip.fragment_offset else None
    if packet.eth is not None and packet.eth.type in (ETH_PPPOE_DISCOVERY, ETH_PPPOE_SESSION):
        return _read_pppoe(packet.payload, packet.eth.type == ETH_PPPOE_SESSION)
    return None


def _vxlan(data: bytes) -> Tunnel | None:
    if len(data) < 8 or not data[0] & 0x08:  # without the I flag the VNI means nothing
        return None
    vni = int.from_bytes(data[4:7], "big")
    return Tunnel("VXLAN", vni, ETH_BRIDGED, 0, None, 8, decode(data[8:]), "")


def _geneve(data: bytes) -> Tunnel | None:
    if len(data) < 8 or data[0] >> 6:  # another version may look otherwise
        return None
    size = 8 + (data[0] & 0x3F) * 4
    protocol = _u16(data, 2)[0]
    vni = int.from_bytes(data[4:7], "big")
    if len(data) < size:
        problem = term("the Geneve options are cut")
        return Tunnel("Geneve", vni, protocol, 0, None, size, None, problem)
    return Tunnel("Geneve", vni, protocol, 0, None, size, _inner(protocol, data[size:]), "")


def _gre(data: bytes) -> Tunnel | None:
    if len(data) < 4:
        return None
    flags, protocol = _u16(data)[0], _u16(data, 2)[0]
    if flags & 0x7:  # version 1 is PPTP's (RFC 2637)
        return None
    checksum, key, seq = (bool(flags & bit) for bit in (0x8000, 0x2000, 0x1000))
    size = 4 + 4 * (checksum + key + seq)
    if len(data) < size:
        return Tunnel("GRE", None, protocol, 0, None, size, None, term("the GRE header is cut"))
    at = 4 + 4 * checksum
    number = int.from_bytes(data[at : at + 4], "big") if key else None
    at += 4 * key
    place = int.from_bytes(data[at : at + 4], "big") if seq else None
    return Tunnel("GRE", number, protocol, 0, place, size, _inner(protocol, data[size:]), "")


def _read_pppoe(data: bytes, session: bool) -> Tunnel | None:
    if len(data) < 6 or data[0] != 0x11:  # version 1, type 1
        return None
    _, code, number, length = _pppoe(data)
    body = data[6 : 6 + length]
    problem: str = ""
    if len(body) != length:
        problem = number_of(
            "{n} byte of it is not there", "{n} bytes of it are not there", length - len(body)
        )
    if not session:
        return Tunnel("PPPoE", number, 0, code, None, 6, None, problem)
    if len(body) < 2:
        problem = problem or term("no protocol of PPP")
        return Tunnel("PPPoE", number, 0, code, None, 6, None, problem)
    protocol = _u16(body)[0]
    inner = decode_ip(body[2:]) if protocol in (PPP_IPV4, PPP_IPV6) else None
    return Tunnel("PPPoE", number, protocol, code, None, 8, inner, problem)


def _inner(protocol: int, data: bytes) -> Packet | None:
    """What is inside, if it is a frame or an IP packet."""
    if protocol == ETH_BRIDGED:
        return decode(data)
    return decode_ip(data) if protocol in (ETH_IPV4, ETH_IPV6) else None
