# SPDX-License-Identifier: Apache-2.0
"""A frame byte by byte: which bytes are which field, under the standards' own names.

`hoplab.decode.packet` says what a frame means; this says where in it each thing stands, for the hex
view and for comparing a frame before and after a node. Whatever the bytes are, `fields` never
raises, and its fields cover the frame from the first byte to the last without overlap.

Wire facts: as in `hoplab.decode.packet`; the Internet checksum is RFC 1071.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from hoplab.decode import dns as wire_dns
from hoplab.decode import http as wire_http
from hoplab.decode import packet as wire
from hoplab.story.titles import clean


class Field(NamedTuple):
    """Bytes start to end (exclusive) of the frame. `name` is unique within a layer of a frame."""

    layer: str
    name: str
    start: int
    end: int
    value: str


_ETHERTYPES = {0x0800: "IPv4", 0x0806: "ARP", 0x86DD: "IPv6", 0x88CC: "LLDP"}
_PROTOCOLS = {1: "ICMP", 2: "IGMP", 6: "TCP", 17: "UDP", 58: "ICMPv6"}
_ICMP = {0: "echo reply", 3: "unreachable", 5: "redirect", 8: "echo request", 11: "time exceeded"}
_ICMP6 = {
    1: "unreachable", 2: "packet too big", 3: "time exceeded", 128: "echo request",
    129: "echo reply", 135: "neighbour solicitation", 136: "neighbour advertisement",
}  # fmt: skip
_FLAGS = ("FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR", "NS")


class _Cutter:
    """Takes fields off the front of the frame."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.out: list[Field] = []

    def left(self) -> int:
        return len(self.data) - self.at

    def take(
        self, layer: str, name: str, size: int, say: Callable[[bytes], str] | None = None
    ) -> bytes:
        """The next `size` bytes as a field: fewer if the frame ends, none if it has ended."""
        raw = self.data[self.at : self.at + max(0, size)]
        if raw:
            cut = len(raw) < size
            value = "cut" if cut else say(raw) if say is not None else str(number(raw))
            self.out.append(Field(layer, name, self.at, self.at + len(raw), value))
            self.at += len(raw)
        return raw


def number(raw: bytes) -> int:
    """Bytes as a number, the most significant first."""
    return int.from_bytes(raw, "big")


def _mac(raw: bytes) -> str:
    return wire.mac_text(raw)


def _ip4(raw: bytes) -> str:
    return wire.ipv4_text(raw)


def _ip6(raw: bytes) -> str:
    return wire.ipv6_text(raw)


def _hex(raw: bytes) -> str:
    return f"0x{raw.hex()}"


def _text(raw: bytes) -> str:
    return clean(raw.decode("latin-1").rstrip("\r\n"), 100)


def _size(raw: bytes) -> str:
    return f"{len(raw):,} bytes" if len(raw) != 1 else "1 byte"


def _named(names: dict[int, str], form: str = "{}") -> Callable[[bytes], str]:
    def say(raw: bytes) -> str:
        value = number(raw)
        name = names.get(value)
        return f"{form.format(value)} ({name})" if name else form.format(value)

    return say


def fields(data: bytes) -> list[Field]:
    """All fields of a frame that begins with the destination MAC."""
    cut = _Cutter(data)
    cut.take("Ethernet", "destination", 6, _mac)
    cut.take("Ethernet", "source", 6, _mac)
    kind = number(cut.take("Ethernet", "type", 2, _named(_ETHERTYPES, "0x{:04x}")))
    tag = 1
    while kind in (wire.ETH_VLAN, wire.ETH_QINQ) and cut.left() >= 4:
        layer = "802.1Q" if tag == 1 else f"802.1Q {tag}"
        cut.take(layer, "VLAN", 2, lambda raw: str(number(raw) & 0x0FFF))
        kind = number(cut.take(layer, "type", 2, _named(_ETHERTYPES, "0x{:04x}")))
        tag += 1
    whole = len(wire.strip_padding(data))
    if kind == wire.ETH_ARP:
        _arp(cut)
    elif kind == wire.ETH_IPV4:
        _ipv4(cut, "IPv4", whole)
    elif kind == wire.ETH_IPV6:
        _ipv6(cut, whole)
    if cut.at < whole:
        cut.take("data", "payload", whole - cut.at, _size)
    cut.take("Ethernet", "padding", cut.left(), _size)
    return cut.out


def _arp(cut: _Cutter) -> None:
    cut.take("ARP", "hardware type", 2, _named({1: "Ethernet"}))
    cut.take("ARP", "protocol type", 2, _named(_ETHERTYPES, "0x{:04x}"))
    size = number(cut.take("ARP", "hardware size", 1))
    length = number(cut.take("ARP", "protocol size", 1))
    cut.take("ARP", "operation", 2, _named({1: "request", 2: "reply"}))
    if (size, length) == (6, 4):
        for who in ("sender", "target"):
            cut.take("ARP", f"{who} MAC", 6, _mac)
            cut.take("ARP", f"{who} IP", 4, _ip4)


def checksum(raw: bytes) -> int:
    """The Internet checksum of bytes (RFC 1071); 0 over a header that holds a correct one."""
    total = sum(number(raw[i : i + 2].ljust(2, b"\0")) for i in range(0, len(raw), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _ipv4(cut: _Cutter, layer: str, whole: int) -> None:
    start = cut.at
    first = cut.data[start] if cut.left() else 0
    length = max(20, (first & 0x0F) * 4)
    cut.take(layer, "version, header length", 1, lambda raw: f"{raw[0] >> 4}, {length} bytes")
    cut.take(layer, "DSCP, ECN", 1, _hex)
    cut.take(layer, "total length", 2)
    cut.take(layer, "identification", 2, lambda raw: f"{number(raw)} (0x{raw.hex()})")
    fragment = number(cut.take(layer, "flags, fragment offset", 2, _fragment))
    cut.take(layer, "TTL", 1)
    protocol = number(cut.take(layer, "protocol", 1, _named(_PROTOCOLS)))
    right = checksum(cut.data[start : start + length]) == 0
    cut.take(
        layer, "header checksum", 2, lambda raw: f"{_hex(raw)} ({'right' if right else 'wrong'})"
    )
    cut.take(layer, "source", 4, _ip4)
    cut.take(layer, "destination", 4, _ip4)
    if length > 20:
        cut.take(layer, "options", length - 20, _size)
    if not fragment & 0x1FFF:
        _upper(cut, protocol, whole, 4)


def _fragment(raw: bytes) -> str:
    value = number(raw)
    names = [name for bit, name in ((0x4000, "DF"), (0x2000, "MF")) if value & bit]
    return ", ".join([*names, f"offset {(value & 0x1FFF) * 8}"])


def _ipv6(cut: _Cutter, whole: int) -> None:
    cut.take("IPv6", "version, class, flow label", 4, _hex)
    cut.take("IPv6", "payload length", 2)
    protocol = number(cut.take("IPv6", "next header", 1, _named(_PROTOCOLS)))
    cut.take("IPv6", "hop limit", 1)
    cut.take("IPv6", "source", 16, _ip6)
    cut.take("IPv6", "destination", 16, _ip6)
    count = 0
    while protocol in (0, 43, 60) and cut.left() >= 8:
        count += 1
        size = (cut.data[cut.at + 1] + 1) * 8
        protocol = number(cut.take(f"IPv6 extension {count}", "next header", 1))
        cut.take(f"IPv6 extension {count}", "rest", size - 1, _size)
    _upper(cut, protocol, whole, 6)


def _upper(cut: _Cutter, protocol: int, whole: int, version: int) -> None:
    if cut.at >= whole:
        return
    if protocol == wire.PROTO_TCP:
        _tcp(cut, whole)
    elif protocol == wire.PROTO_UDP:
        source = number(cut.take("UDP", "source port", 2))
        destination = number(cut.take("UDP", "destination port", 2))
        cut.take("UDP", "length", 2)
        cut.take("UDP", "checksum", 2, _hex)
        if wire_dns.PORT in (source, destination):
            _dns(cut, whole)
    elif protocol in (wire.PROTO_ICMP, wire.PROTO_ICMPV6):
        _icmp(cut, whole, version)


def _icmp(cut: _Cutter, whole: int, version: int) -> None:
    layer = "ICMP" if version == 4 else "ICMPv6"
    kind = number(cut.take(layer, "type", 1, _named(_ICMP if version == 4 else _ICMP6)))
    cut.take(layer, "code", 1)
    cut.take(layer, "checksum", 2, _hex)
    if kind in ((0, 8) if version == 4 else (128, 129)):
        cut.take(layer, "identifier", 2)
        cut.take(layer, "sequence number", 2)
        cut.take(layer, "data", whole - cut.at, _size)
        return
    cut.take(layer, "rest of header", 4, _hex)
    if version == 6 and kind in (135, 136):
        cut.take(layer, "target", 16, _ip6)
        cut.take(layer, "options", whole - cut.at, _size)
    elif version == 4 and kind in wire.ICMP_ERRORS:
        cut.take(layer, "quoted packet", whole - cut.at, _size)


def _tcp(cut: _Cutter, whole: int) -> None:
    ports = [number(cut.take("TCP", f"{which} port", 2)) for which in ("source", "destination")]
    cut.take("TCP", "sequence number", 4)
    cut.take("TCP", "acknowledgement number", 4)
    bits = number(cut.take("TCP", "header length, flags", 2, _tcp_flags))
    cut.take("TCP", "window", 2)
    cut.take("TCP", "checksum", 2, _hex)
    cut.take("TCP", "urgent pointer", 2)
    options = min((bits >> 12) * 4 - 20, whole - cut.at)
    if options > 0:
        cut.take("TCP", "options", options, _size)
    if cut.at >= whole:
        return
    if wire_dns.PORT in ports and whole - cut.at > 14:
        cut.take("DNS", "length", 2)
        _dns(cut, whole)
        return
    if wire_http.parse(cut.data[cut.at : whole]) is not None:
        _http(cut, whole)


def _tcp_flags(raw: bytes) -> str:
    bits = number(raw)
    names = [name for place, name in enumerate(_FLAGS) if bits >> place & 1]
    return f"{(bits >> 12) * 4} bytes, {' '.join(names) or '-'}"


def _http(cut: _Cutter, whole: int) -> None:
    """Line by line to the empty line that ends the head; then the body."""
    place = 0
    while cut.at < whole and place < 60:
        end = cut.data.find(b"\n", cut.at, whole)
        end = whole if end < 0 else end + 1
        place += 1
        line = cut.data[cut.at : end]
        if not line.strip():
            cut.take("HTTP", "end of head", end - cut.at, lambda raw: "")
            break
        name = "start line" if place == 1 else f"header {place - 1}"
        cut.take("HTTP", name, end - cut.at, _text)
    if cut.at < whole:
        cut.take("HTTP", "body", whole - cut.at, _size)


def _dns(cut: _Cutter, whole: int) -> None:
    start = cut.at
    message = wire_dns.parse(cut.data[start:whole])
    cut.take("DNS", "id", 2, _hex)
    cut.take("DNS", "flags", 2, _dns_flags)
    for name in ("questions", "answers", "authority", "additional"):
        cut.take("DNS", f"number of {name}", 2)
    if message is None or cut.at >= whole:
        return
    for place, (name, kind) in enumerate(message.questions, 1):
        end = _name_end(cut.data, cut.at, whole) + 4
        if end > whole:
            break
        cut.take("DNS", f"question {place}", end - cut.at, _fixed(f"{kind} {clean(name, 80)}"))
    for section in ("answers", "authority", "additional"):
        for place, (name, kind, ttl, value) in enumerate(getattr(message, section), 1):
            end = _name_end(cut.data, cut.at, whole)
            if end + 10 > whole:
                break
            end += 10 + number(cut.data[end + 8 : end + 10])
            if end > whole:
                break
            said = f"{clean(name, 60)} {ttl} {kind} {clean(value, 60)}"
            cut.take("DNS", f"{section} {place}", end - cut.at, _fixed(said))
    if cut.at < whole:
        cut.take("DNS", "rest", whole - cut.at, _size)


def _fixed(said: str) -> Callable[[bytes], str]:
    return lambda raw: said


def _dns_flags(raw: bytes) -> str:
    bits = number(raw)
    names = [
        name
        for bit, name in ((0x8000, "QR"), (0x0400, "AA"), (0x0200, "TC"), (0x0100, "RD"),
                          (0x0080, "RA"))
        if bits & bit
    ]  # fmt: skip
    rcode = wire_dns.RCODES.get(bits & 0x0F, str(bits & 0x0F))
    return " ".join([*names, rcode])


def _name_end(data: bytes, at: int, whole: int) -> int:
    """Where a domain name in the message ends (RFC 1035 section 4.1.4: a pointer ends it)."""
    while at < whole:
        size = data[at]
        if size >= 0xC0:
            return at + 2
        if size == 0:
            return at + 1
        at += 1 + size
    return whole


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
        now, other = new.get((layer, name), ("", b""))
        if raw == other:
            same += 1
        elif was == now:
            out.append(Change(layer, name, was, f"{now}, but other bytes"))
        else:
            out.append(Change(layer, name, was, now))
    return out, same
