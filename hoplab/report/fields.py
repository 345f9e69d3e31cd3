# SPDX-License-Identifier: Apache-2.0
"""A frame byte by byte: which bytes are which field, under the standards' own names.

`hoplab.decode.packet` says what a frame means; this says where in it each thing stands, for the hex
view and for comparing a frame before and after a node. Whatever the bytes are, `fields` never
raises, and its fields cover the frame from the first byte to the last without overlap.

Wire facts: as in `hoplab.decode.packet`; the Internet checksum is RFC 1071.
"""

from __future__ import annotations

from typing import NamedTuple

from hoplab.decode import dhcp as wire_dhcp
from hoplab.decode import dns as wire_dns
from hoplab.decode import http as wire_http
from hoplab.decode import packet as wire
from hoplab.decode import tunnels
from hoplab.report import fields_carried, fields_tunnels
from hoplab.report.cutter import Cutter, Field, extent, hexadecimal, ip4, ip6, mac, named, number
from hoplab.report.fields_tunnels import Entrance
from hoplab.sentences import listed, say, term

_ETHERTYPES = {0x0800: "IPv4", 0x0806: "ARP", 0x86DD: "IPv6", 0x88CC: "LLDP"}
_PROTOCOLS = {1: "ICMP", 2: "IGMP", 6: "TCP", 17: "UDP", 47: "GRE", 58: "ICMPv6"}
_ICMP = {
    0: term("echo reply"), 3: term("unreachable"), 5: term("redirect"), 8: term("echo request"),
    11: term("time exceeded"),
}  # fmt: skip
_ICMP6 = {
    1: term("unreachable"), 2: term("packet too big"), 3: term("time exceeded"),
    128: term("echo request"), 129: term("echo reply"), 135: term("neighbour solicitation"),
    136: term("neighbour advertisement"),
}  # fmt: skip
_FLAGS = ("FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR", "NS")


def fields(data: bytes) -> list[Field]:
    """All fields of a frame that begins with the destination MAC."""
    cut = Cutter(data)
    _frame(cut)
    return cut.out


def _frame(cut: Cutter) -> None:
    """A frame from where the cut is to its end: the whole one, or one in a tunnel."""
    start = cut.at
    cut.take("Ethernet", term("destination"), 6, mac)
    cut.take("Ethernet", term("source"), 6, mac)
    kind = number(cut.take("Ethernet", term("type"), 2, named(_ETHERTYPES, "0x{:04x}")))
    tag = 1
    while kind in (wire.ETH_VLAN, wire.ETH_QINQ) and cut.left() >= 4:
        layer = "802.1Q" if tag == 1 else f"802.1Q {tag}"
        cut.take(layer, term("VLAN"), 2, lambda raw: str(number(raw) & 0x0FFF))
        kind = number(cut.take(layer, term("type"), 2, named(_ETHERTYPES, "0x{:04x}")))
        tag += 1
    whole = start + len(wire.strip_padding(cut.data[start : cut.end]))
    _network(cut, kind, whole)
    if cut.at < whole:
        cut.take(term("data"), term("payload"), whole - cut.at, extent)
    cut.take("Ethernet", term("padding"), cut.left(), extent)


def _network(cut: Cutter, kind: int, whole: int) -> None:
    """What an EtherType says that a frame carries, up to `whole`."""
    if kind == wire.ETH_ARP:
        _arp(cut)
    elif kind == wire.ETH_IPV4:
        _ipv4(cut, "IPv4", whole)
    elif kind == wire.ETH_IPV6:
        _ipv6(cut, whole)
    elif kind in (wire.ETH_PPPOE_DISCOVERY, wire.ETH_PPPOE_SESSION):
        _inside(cut, fields_tunnels.pppoe(cut, kind == wire.ETH_PPPOE_SESSION, whole), whole)


def _inside(cut: Cutter, entrance: Entrance | None, whole: int) -> None:
    """What is in a tunnel whose header has been cut; None for what is none."""
    if entrance is None or len(cut.tunnels) >= fields_tunnels.MOST_INSIDE or cut.at >= whole:
        return
    with cut.inside(entrance.tunnel, whole):
        if entrance.ethertype == tunnels.ETH_BRIDGED:
            _frame(cut)
            return
        head = bytes(12) + entrance.ethertype.to_bytes(2, "big")
        packet = wire.strip_padding(head + cut.data[cut.at : cut.end])
        end = cut.at + len(packet) - len(head)
        _network(cut, entrance.ethertype, end)
        cut.take(term("data"), term("payload"), cut.left(), extent)


def _arp(cut: Cutter) -> None:
    cut.take("ARP", term("hardware type"), 2, named({1: "Ethernet"}))
    cut.take("ARP", term("protocol type"), 2, named(_ETHERTYPES, "0x{:04x}"))
    size = number(cut.take("ARP", term("hardware size"), 1))
    length = number(cut.take("ARP", term("protocol size"), 1))
    cut.take("ARP", term("operation"), 2, named({1: "request", 2: "reply"}))
    if (size, length) == (6, 4):
        cut.take("ARP", term("sender MAC"), 6, mac)
        cut.take("ARP", term("sender IP"), 4, ip4)
        cut.take("ARP", term("target MAC"), 6, mac)
        cut.take("ARP", term("target IP"), 4, ip4)


def checksum(raw: bytes) -> int:
    """The Internet checksum of bytes (RFC 1071); 0 over a header that holds a correct one."""
    total = sum(number(raw[i : i + 2].ljust(2, b"\0")) for i in range(0, len(raw), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _ipv4(cut: Cutter, layer: str, whole: int) -> None:
    start = cut.at
    first = cut.data[start] if cut.left() else 0
    length = max(20, (first & 0x0F) * 4)
    cut.take(layer, term("version, header length"), 1, lambda raw: _version(raw, length))
    cut.take(layer, term("DSCP, ECN"), 1, hexadecimal)
    cut.take(layer, term("total length"), 2)
    cut.take(layer, term("identification"), 2, lambda raw: f"{number(raw)} (0x{raw.hex()})")
    fragment = number(cut.take(layer, term("flags, fragment offset"), 2, _fragment))
    cut.take(layer, term("TTL"), 1)
    protocol = number(cut.take(layer, term("protocol"), 1, named(_PROTOCOLS)))
    right = checksum(cut.data[start : start + length]) == 0
    cut.take(layer, term("header checksum"), 2, lambda raw: _checked(raw, right))
    cut.take(layer, term("source"), 4, ip4)
    cut.take(layer, term("destination"), 4, ip4)
    if length > 20:
        cut.take(layer, term("options"), length - 20, extent)
    if not fragment & 0x1FFF:
        _upper(cut, protocol, whole, 4)


def _version(raw: bytes, length: int) -> str:
    return say("{version}, {n} bytes", version=raw[0] >> 4, n=length)


def _checked(raw: bytes, right: bool) -> str:
    """A checksum, and whether it is the one that the header's bytes make."""
    if right:
        return say("{value} (right)", value=hexadecimal(raw))
    return say("{value} (wrong)", value=hexadecimal(raw))


def _fragment(raw: bytes) -> str:
    value = number(raw)
    names = [name for bit, name in ((0x4000, "DF"), (0x2000, "MF")) if value & bit]
    return listed([*names, say("offset {n}", n=(value & 0x1FFF) * 8)])


def _ipv6(cut: Cutter, whole: int) -> None:
    cut.take("IPv6", term("version, class, flow label"), 4, hexadecimal)
    cut.take("IPv6", term("payload length"), 2)
    protocol = number(cut.take("IPv6", term("next header"), 1, named(_PROTOCOLS)))
    cut.take("IPv6", term("hop limit"), 1)
    cut.take("IPv6", term("source"), 16, ip6)
    cut.take("IPv6", term("destination"), 16, ip6)
    count = 0
    while protocol in (0, 43, 60) and cut.left() >= 8:
        count += 1
        extension = say("IPv6 extension {n}", n=count)
        size = (cut.data[cut.at + 1] + 1) * 8
        protocol = number(cut.take(extension, term("next header"), 1))
        cut.take(extension, term("rest"), size - 1, extent)
    _upper(cut, protocol, whole, 6)


def _upper(cut: Cutter, protocol: int, whole: int, version: int) -> None:
    if cut.at >= whole:
        return
    if protocol == wire.PROTO_TCP:
        _tcp(cut, whole)
    elif protocol == wire.PROTO_UDP:
        source = number(cut.take("UDP", term("source port"), 2))
        destination = number(cut.take("UDP", term("destination port"), 2))
        cut.take("UDP", term("length"), 2)
        cut.take("UDP", term("checksum"), 2, hexadecimal)
        if wire_dns.PORT in (source, destination):
            fields_carried.dns(cut, whole)
        elif {wire_dhcp.SERVER_PORT, wire_dhcp.CLIENT_PORT} & {source, destination}:
            fields_carried.dhcp(cut, whole)
        elif destination == tunnels.VXLAN_PORT:
            _inside(cut, fields_tunnels.vxlan(cut, whole), whole)
        elif destination == tunnels.GENEVE_PORT:
            _inside(cut, fields_tunnels.geneve(cut, whole), whole)
        else:
            fields_carried.quic(cut, whole)
    elif protocol == tunnels.PROTO_GRE:
        _inside(cut, fields_tunnels.gre(cut, whole), whole)
    elif protocol in (wire.PROTO_ICMP, wire.PROTO_ICMPV6):
        _icmp(cut, whole, version)


def _icmp(cut: Cutter, whole: int, version: int) -> None:
    layer = "ICMP" if version == 4 else "ICMPv6"
    kind = number(cut.take(layer, term("type"), 1, named(_ICMP if version == 4 else _ICMP6)))
    cut.take(layer, term("code"), 1)
    cut.take(layer, term("checksum"), 2, hexadecimal)
    if kind in ((0, 8) if version == 4 else (128, 129)):
        cut.take(layer, term("identifier"), 2)
        cut.take(layer, term("sequence number"), 2)
        cut.take(layer, term("data"), whole - cut.at, extent)
        return
    cut.take(layer, term("rest of header"), 4, hexadecimal)
    if version == 6 and kind in (135, 136):
        cut.take(layer, term("target"), 16, ip6)
        cut.take(layer, term("options"), whole - cut.at, extent)
    elif version == 4 and kind in wire.ICMP_ERRORS:
        cut.take(layer, term("quoted packet"), whole - cut.at, extent)


def _tcp(cut: Cutter, whole: int) -> None:
    source = number(cut.take("TCP", term("source port"), 2))
    destination = number(cut.take("TCP", term("destination port"), 2))
    cut.take("TCP", term("sequence number"), 4)
    cut.take("TCP", term("acknowledgement number"), 4)
    bits = number(cut.take("TCP", term("header length, flags"), 2, _tcp_flags))
    cut.take("TCP", term("window"), 2)
    cut.take("TCP", term("checksum"), 2, hexadecimal)
    cut.take("TCP", term("urgent pointer"), 2)
    options = min((bits >> 12) * 4 - 20, whole - cut.at)
    if options > 0:
        cut.take("TCP", term("options"), options, extent)
    if cut.at >= whole:
        return
    if wire_dns.PORT in (source, destination) and whole - cut.at > 14:
        cut.take("DNS", term("length"), 2)
        fields_carried.dns(cut, whole)
        return
    if wire_http.parse(cut.data[cut.at : whole]) is not None:
        fields_carried.http(cut, whole)


def _tcp_flags(raw: bytes) -> str:
    bits = number(raw)
    names = [name for place, name in enumerate(_FLAGS) if bits >> place & 1]
    return say("{n} bytes, {flags}", n=(bits >> 12) * 4, flags=" ".join(names) or "-")


class Change(NamedTuple):
    """A field that is not the same in two frames; "" where one has no such field."""

    layer: str
    name: str
    before: str
    after: str


def changes(before: bytes, after: bytes) -> tuple[list[Change], int]:
    """(what changed, how many fields did not) from one frame to another of the same packet."""
    old = {(f.layer, f.name): (f.value, before[f.start : f.end]) for f in fields(before)}
    new = {(f.layer, f.name): (f.value, after[f.start : f.end]) for f in fields(after)}
    out, same = [], 0
    for layer, name in dict.fromkeys([*old, *new]):
        was, raw = old.get((layer, name), ("", b""))
        now, raw_now = new.get((layer, name), ("", b""))
        if raw == raw_now:
            same += 1
        elif was == now:
            out.append(Change(layer, name, was, say("{value}, but other bytes", value=now)))
        else:
            out.append(Change(layer, name, was, now))
    return out, same
