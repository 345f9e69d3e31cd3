# SPDX-License-Identifier: Apache-2.0
"""Bytes of a frame to records with the standards' own field names.

What lives here: Ethernet, ARP, IPv4, IPv6, ICMP, UDP and TCP. What must not: what these carry,
which `dns`, `http`, `tls` and `openflow` read; sockets, files, labs, and any guess about where a
packet goes or why.

Rules:
1. `decode` never raises and never loops for ever, whatever the bytes. What is broken is said in
   `Packet.problem` and what stands before the broken part is still there.
2. A length comes from the innermost header that states it. Short Ethernet frames are padded to 60
   bytes, so the end of an IP packet is where its own length field says, not where the frame ends.
3. Nothing is reassembled: a record tells what this one frame carries.
4. Records cannot be changed. They are named tuples because a frozen dataclass takes three times as
   long to make, and a capture makes a million of them.

Wire facts: Ethernet II and 802.1Q tags (IEEE 802.3 clause 3, IEEE 802.1Q clause 9), ARP (RFC 826),
IPv4 (RFC 791), IPv6 (RFC 8200), ICMP (RFC 792), ICMPv6 (RFC 4443) with neighbour discovery
(RFC 4861), UDP (RFC 768), TCP (RFC 9293).

>>> packet = decode(frame)
>>> packet.ipv4.src, packet.ipv4.ttl, packet.tcp.syn
('10.1.0.10', 64, True)
"""

from __future__ import annotations

import socket
from functools import lru_cache
from struct import Struct
from typing import NamedTuple

from hoplab.sentences import say, term

ETH_IPV4 = 0x0800
ETH_ARP = 0x0806
ETH_VLAN = 0x8100
ETH_IPV6 = 0x86DD
ETH_QINQ = 0x88A8
_TAGS = (ETH_VLAN, ETH_QINQ)
ETH_PPPOE_DISCOVERY, ETH_PPPOE_SESSION = 0x8863, 0x8864
_PPPOE = (ETH_PPPOE_DISCOVERY, ETH_PPPOE_SESSION)

PROTO_ICMP = 1
PROTO_TCP = 6
PROTO_UDP = 17
PROTO_ICMPV6 = 58

# IPv6 extension headers that can stand before the upper layer (RFC 8200 section 4).
_HOP_BY_HOP, _ROUTING, _FRAGMENT, _AUTH, _DEST_OPTIONS, _NO_NEXT = 0, 43, 44, 51, 60, 59
_EXTENSIONS = frozenset((_HOP_BY_HOP, _ROUTING, _DEST_OPTIONS, _FRAGMENT, _AUTH))

ICMP_ERRORS = frozenset((3, 4, 5, 11, 12))  # RFC 792: these quote the packet that caused them
ICMP_WITH_IDENT = frozenset((0, 8, 13, 14, 15, 16, 17, 18))


class Ethernet(NamedTuple):
    """Ethernet II header. `type` is the EtherType behind any VLAN tag; below 1536 it is an 802.3
    length. `vlan` is the VLAN number of the outermost tag. `header_length` counts the tags."""

    dst: str
    src: str
    type: int
    vlan: int | None
    header_length: int


class Arp(NamedTuple):
    """ARP for IPv4 on Ethernet. `op` 1 asks, 2 answers."""

    op: int
    sender_mac: str
    sender_ip: str
    target_mac: str
    target_ip: str


class IPv4(NamedTuple):
    """`fragment_offset` is in bytes; `header` is the whole header with its options."""

    src: str
    dst: str
    ttl: int
    ident: int
    protocol: int
    flags_df: bool
    flags_mf: bool
    fragment_offset: int
    total_length: int
    dscp: int
    header: bytes

    @property
    def header_length(self) -> int:
        """Bytes of the header, options included."""
        return len(self.header)

    @property
    def fragment(self) -> bool:
        """True for every fragment, the first one included."""
        return self.flags_mf or self.fragment_offset > 0


class IPv6(NamedTuple):
    """`next_header` is that of the fixed header, `protocol` the upper layer behind the extension
    headers. `ident` is None unless a fragment header is there."""

    src: str
    dst: str
    hop_limit: int
    next_header: int
    payload_length: int
    protocol: int
    flow_label: int
    ident: int | None
    fragment_offset: int
    flags_mf: bool

    @property
    def fragment(self) -> bool:
        """True for every fragment, the first one included."""
        return self.flags_mf or self.fragment_offset > 0


class Icmp(NamedTuple):
    """ICMP (`version` 4) or ICMPv6 (6).

    ident, seq: of an echo (and of the other ICMPv4 queries), else 0.
    rest: the second 32 bits of the header as one number.
    body: what follows the 8 bytes of header; in an error the packet that it quotes.
    target, link_address: of a neighbour solicitation or advertisement, else "".
    """

    version: int
    type: int
    code: int
    ident: int
    seq: int
    rest: int
    body: bytes
    target: str
    link_address: str

    @property
    def error(self) -> bool:
        """True if `body` quotes the packet that caused this message."""
        if self.version == 4:
            return self.type in ICMP_ERRORS
        # ICMPv6 errors are 0..127 (RFC 4443 section 2.1); a redirect (137) quotes in an option.
        return self.type < 128

    @property
    def echo_request(self) -> bool:
        """A ping."""
        return self.type == (8 if self.version == 4 else 128)

    @property
    def echo_reply(self) -> bool:
        """The answer to a ping."""
        return self.type == (0 if self.version == 4 else 129)

    @property
    def mtu(self) -> int | None:
        """The next link's MTU in "fragmentation needed" or "packet too big", else None."""
        if self.version == 4:
            return self.rest & 0xFFFF if (self.type, self.code) == (3, 4) else None
        return self.rest if self.type == 2 else None


class Udp(NamedTuple):
    """`length` is header and payload, as the header says it."""

    sport: int
    dport: int
    length: int


class Tcp(NamedTuple):
    """`flags` are the low 9 bits (NS to FIN). `payload_length` comes from the IP length, so it
    neither counts Ethernet padding nor shrinks when the capture cut the frame."""

    sport: int
    dport: int
    seq: int
    ack: int
    flags: int
    window: int
    options: bytes
    payload_length: int

    @property
    def fin(self) -> bool:
        """No more data from this side."""
        return bool(self.flags & 0x01)

    @property
    def syn(self) -> bool:
        """Opens this side's sequence numbers."""
        return bool(self.flags & 0x02)

    @property
    def rst(self) -> bool:
        """Refuses or breaks the connection."""
        return bool(self.flags & 0x04)

    @property
    def psh(self) -> bool:
        """Data to hand to the application now."""
        return bool(self.flags & 0x08)

    @property
    def ack_flag(self) -> bool:
        """The field `ack` counts."""
        return bool(self.flags & 0x10)

    @property
    def options_length(self) -> int:
        """Bytes of options."""
        return len(self.options)

    @property
    def header_length(self) -> int:
        """Bytes of the header, options included."""
        return 20 + len(self.options)

    def _option(self, wanted: int) -> bytes | None:
        """The value of the option of this kind, None if absent or malformed (RFC 9293, 3.1)."""
        data = self.options
        at = 0
        while at < len(data) and data[at] != 0:
            if data[at] == 1:
                at += 1
                continue
            size = data[at + 1] if at + 1 < len(data) else 0
            if size < 2 or at + size > len(data):
                return None
            if data[at] == wanted:
                return data[at + 2 : at + size]
            at += size
        return None

    @property
    def mss(self) -> int | None:
        """The maximum segment size option (kind 2), None if absent or malformed."""
        value = self._option(2)
        return int.from_bytes(value, "big") if value is not None and len(value) == 2 else None

    @property
    def window_scale(self) -> int | None:
        """The shift of the window scale option (kind 3, RFC 7323), None if absent or malformed.
        What is above 14 counts as 14."""
        value = self._option(3)
        return min(value[0], 14) if value is not None and len(value) == 1 else None

    @property
    def sack_permitted(self) -> bool:
        """The option by which a SYN says that its sender understands SACK (kind 4, RFC 2018)."""
        return self._option(4) is not None

    @property
    def timestamps(self) -> bool:
        """It has a timestamps option (kind 8, RFC 7323)."""
        return self._option(8) is not None

    @property
    def sack(self) -> tuple[tuple[int, int], ...]:
        """The blocks of the SACK option (kind 5, RFC 2018): from a sequence number up to, and
        without, another."""
        value = self._option(5) or b""
        pairs = (_unpack_u32x2(value, at) for at in range(0, len(value) - 7, 8))
        return tuple((left, right) for left, right in pairs)


class Packet(NamedTuple):
    """What one frame carries. `payload` is what the innermost decoded header carries, without
    Ethernet padding. `problem` is "" or one sentence on the first broken part."""

    eth: Ethernet | None
    arp: Arp | None
    ipv4: IPv4 | None
    ipv6: IPv6 | None
    icmp: Icmp | None
    udp: Udp | None
    tcp: Tcp | None
    payload: bytes
    problem: str

    @property
    def ip(self) -> IPv4 | IPv6 | None:
        """Whichever IP header there is."""
        return self.ipv4 or self.ipv6

    @property
    def src(self) -> str:
        """The IP source (of ARP the sender's address), "" if there is none."""
        ip = self.ipv4 or self.ipv6
        return ip.src if ip else self.arp.sender_ip if self.arp else ""

    @property
    def dst(self) -> str:
        """The IP destination (of ARP the target's address), "" if there is none."""
        ip = self.ipv4 or self.ipv6
        return ip.dst if ip else self.arp.target_ip if self.arp else ""

    @property
    def ttl(self) -> int | None:
        """TTL or hop limit."""
        return self.ipv4.ttl if self.ipv4 else self.ipv6.hop_limit if self.ipv6 else None


# Addresses repeat endlessly in a capture, so their text is made once each. The caches are bounded
# because a fuzzer or a scan can show millions of different ones.


@lru_cache(maxsize=65536)
def mac_text(raw: bytes) -> str:
    """'02:00:00:00:01:00' for six bytes."""
    return raw.hex(":")


@lru_cache(maxsize=65536)
def ipv4_text(raw: bytes) -> str:
    """'10.1.0.10' for four bytes."""
    return "{}.{}.{}.{}".format(*raw)


@lru_cache(maxsize=65536)
def ipv6_text(raw: bytes) -> str:
    """RFC 5952 text for sixteen bytes."""
    return socket.inet_ntop(socket.AF_INET6, raw)


# Makes a record from its fields in order, in half the time that calling it takes.
_record = tuple.__new__
_unpack_eth = Struct("!6s6sH").unpack_from
_unpack_u16 = Struct("!H").unpack_from
_unpack_u32x2 = Struct("!II").unpack_from
_unpack_arp = Struct("!HHBBH6s4s6s4s").unpack_from
_unpack_ipv4 = Struct("!BBHHHBBH4s4s").unpack_from
_unpack_ipv6 = Struct("!IHBB16s16s").unpack_from
_unpack_udp = Struct("!HHHH").unpack_from
_unpack_tcp = Struct("!HHIIHHHH").unpack_from
_unpack_icmp = Struct("!BBHI").unpack_from
_unpack_frag6 = Struct("!BBHI").unpack_from


def decode(data: bytes) -> Packet:
    """The frame that begins with the destination MAC, as records. Never raises."""
    size = len(data)
    if size < 14:
        problem = say("an Ethernet header needs 14 bytes, the frame has {n}", n=size)
        return Packet(None, None, None, None, None, None, None, bytes(data), problem)
    dst, src, kind = _unpack_eth(data)
    start = 14
    vlan: int | None = None
    while kind in _TAGS:
        if size < start + 4:
            eth = Ethernet(mac_text(dst), mac_text(src), kind, vlan, start)
            problem = term("the VLAN tag is cut")
            return Packet(eth, None, None, None, None, None, None, data[start:], problem)
        if vlan is None:
            vlan = _unpack_u16(data, start)[0] & 0x0FFF
        kind = _unpack_u16(data, start + 2)[0]
        start += 4
    eth = _record(Ethernet, (mac_text(dst), mac_text(src), kind, vlan, start))
    if kind == ETH_IPV4:
        return _ipv4(data, start, eth)
    if kind == ETH_IPV6:
        return _ipv6(data, start, eth)
    if kind == ETH_ARP:
        return _arp(data, start, eth)
    end = min(size, start + kind) if kind < 1536 else size
    return Packet(eth, None, None, None, None, None, None, data[start:end], "")


def routed(before: Packet, old: bytes, new: bytes) -> Packet | None:
    """The packet in the frame `new` that a router made of `old`, which bore the packet `before`:
    read are the headers that a router writes anew. None if it is another one in anything else."""
    eth, ip = before.eth, before.ipv4
    if eth is None or ip is None or eth.header_length != 14 or eth.type != ETH_IPV4:
        return None
    if new[26:] != old[26:] or new[12:22] != old[12:22] or new[23] != old[23]:
        return None
    addresses = mac_text(new[:6]), mac_text(new[6:12])
    header = (*ip[:2], new[22], *ip[3:10], new[14 : 14 + len(ip.header)])
    changed = (
        _record(Ethernet, (*addresses, ETH_IPV4, None, 14)), None, _record(IPv4, header), None
    )  # fmt: skip
    return _record(Packet, changed + before[4:])


def decode_ip(data: bytes) -> Packet:
    """An IP packet without Ethernet header (as an ICMP error quotes it). Never raises.

    A quoted packet is usually cut after a few bytes of layer 4 (RFC 792 asks for 8, RFC 1812 for
    more), so `problem` is often set and `tcp` may be missing while the addresses are there.
    """
    version = data[0] >> 4 if data else 0
    if version == 4:
        return _ipv4(data, 0, None)
    if version == 6:
        return _ipv6(data, 0, None)
    problem = say("no IP packet: version {n}", n=version)
    return Packet(None, None, None, None, None, None, None, bytes(data), problem)


def quoted(packet: Packet) -> Packet | None:
    """The packet that an ICMP error quotes, else None."""
    if packet.icmp is None or not packet.icmp.error or not packet.icmp.body:
        return None
    return decode_ip(packet.icmp.body)


def quoted_ports(packet: Packet) -> tuple[int, int] | None:
    """Source and destination port of an IP packet even where the TCP header is cut behind them."""
    if packet.tcp is not None:
        return packet.tcp.sport, packet.tcp.dport
    if packet.udp is not None:
        return packet.udp.sport, packet.udp.dport
    ip = packet.ip
    if ip is None or ip.protocol not in (PROTO_TCP, PROTO_UDP) or ip.fragment_offset:
        return None
    if len(packet.payload) < 4:
        return None
    return _unpack_u16(packet.payload, 0)[0], _unpack_u16(packet.payload, 2)[0]


def _arp(data: bytes, start: int, eth: Ethernet | None) -> Packet:
    if len(data) < start + 28:
        problem = term("the ARP message is cut")
        return Packet(eth, None, None, None, None, None, None, data[start:], problem)
    htype, ptype, hlen, plen, op, smac, sip, tmac, tip = _unpack_arp(data, start)
    if (htype, ptype, hlen, plen) != (1, ETH_IPV4, 6, 4):
        problem = say(
            "an ARP for hardware type {kind} and protocol 0x{protocol:04x}",
            kind=htype,
            protocol=ptype,
        )
        return Packet(eth, None, None, None, None, None, None, data[start:], problem)
    arp = Arp(op, mac_text(smac), ipv4_text(sip), mac_text(tmac), ipv4_text(tip))
    return Packet(eth, arp, None, None, None, None, None, b"", "")


def _ipv4(data: bytes, start: int, eth: Ethernet | None) -> Packet:
    size = len(data)
    problem: str
    if size < start + 20:
        problem = say("an IPv4 header needs 20 bytes, {n} are there", n=size - start)
        return Packet(eth, None, None, None, None, None, None, data[start:], problem)
    first, tos, total, ident, frag, ttl, proto, _sum, src, dst = _unpack_ipv4(data, start)
    header = (first & 0x0F) * 4
    if first >> 4 != 4 or header < 20:
        problem = say("the IPv4 header begins with 0x{octet:02x}", octet=first)
        return Packet(eth, None, None, None, None, None, None, data[start:], problem)
    problem = ""
    end = start + total
    if total < header:
        # A segment still to be cut by the card (TSO) can say 0; the frame is then all there is.
        end = size
        if total:
            problem = say("the IPv4 total length is {n}, less than its header", n=total)
    elif end > size:
        problem = say("{n} bytes of the IPv4 packet are not in the frame", n=end - size)
    offset = (frag & 0x1FFF) * 8
    body = start + header
    fields = (
        ipv4_text(src), ipv4_text(dst), ttl, ident, proto, bool(frag & 0x4000),
        bool(frag & 0x2000), offset, total, tos >> 2, data[start : min(body, size)],
    )  # fmt: skip
    ipv4 = _record(IPv4, fields)
    if body > size:
        problem = problem or term("the IPv4 options are cut")
        return Packet(eth, None, ipv4, None, None, None, None, b"", problem)
    if offset:
        return Packet(eth, None, ipv4, None, None, None, None, data[body:end], problem)
    upper = _BEHIND_IPV4.get(proto, _any)
    return upper(data, body, end, eth, ipv4, None, problem)


def _ipv6(data: bytes, start: int, eth: Ethernet | None) -> Packet:
    size = len(data)
    problem: str
    if size < start + 40:
        problem = say("an IPv6 header needs 40 bytes, {n} are there", n=size - start)
        return Packet(eth, None, None, None, None, None, None, data[start:], problem)
    word, length, next_header, hop_limit, src, dst = _unpack_ipv6(data, start)
    if word >> 28 != 6:
        problem = say("the IPv6 header says version {n}", n=word >> 28)
        return Packet(eth, None, None, None, None, None, None, data[start:], problem)
    body = start + 40
    # Length 0 with a hop-by-hop header is a jumbogram (RFC 2675) or a segment not yet cut (TSO).
    end = body + length if length else (size if next_header == _HOP_BY_HOP else body)
    problem = ""
    if end > size:
        problem = say("{n} bytes of the IPv6 packet are not in the frame", n=end - size)
    limit = min(end, size)
    proto = next_header
    ident: int | None = None
    offset = 0
    more = False
    if proto in _EXTENSIONS:
        body, proto, ident, offset, more = _extensions(data, body, limit, proto)
        if proto in _EXTENSIONS and not offset:
            problem = problem or term("an IPv6 extension header is cut")
    ipv6 = IPv6(
        ipv6_text(src),
        ipv6_text(dst),
        hop_limit,
        next_header,
        length,
        proto,
        word & 0xFFFFF,
        ident,
        offset,
        more,
    )
    if body > limit:
        problem = problem or term("an IPv6 extension header is cut")
        return Packet(eth, None, None, ipv6, None, None, None, b"", problem)
    if offset or proto == _NO_NEXT:
        return Packet(eth, None, None, ipv6, None, None, None, data[body:end], problem)
    upper = _BEHIND_IPV6.get(proto, _any)
    return upper(data, body, end, eth, None, ipv6, problem)


def _extensions(
    data: bytes, start: int, limit: int, proto: int
) -> tuple[int, int, int | None, int, bool]:
    """The extension headers from `start` on: where what they carry begins and which protocol it
    is; the identification, offset and M flag of a fragment header. One that is cut is left where
    it stands, as the protocol."""
    ident: int | None = None
    offset = 0
    more = False
    while proto in _EXTENSIONS and limit >= start + 8:
        following, words, field, number = _unpack_frag6(data, start)
        if proto == _FRAGMENT:
            ident, offset, more = number, field & 0xFFF8, bool(field & 1)
            start += 8
        else:  # at least 8 bytes each time: the loop ends with the frame
            start += (words + 2) * 4 if proto == _AUTH else (words + 1) * 8
        proto = following
        if offset:
            break
    return start, proto, ident, offset, more


# What IP carries, from `start`; the IP packet ends at `end`, which may lie behind the bytes that we
# have. `problem` is what was broken before.


def _tcp(
    data: bytes,
    start: int,
    end: int,
    eth: Ethernet | None,
    ipv4: IPv4 | None,
    ipv6: IPv6 | None,
    problem: str,
) -> Packet:
    limit = min(end, len(data))
    if limit < start + 20:
        problem = problem or say("a TCP header needs 20 bytes, {n} are there", n=limit - start)
        return Packet(eth, None, ipv4, ipv6, None, None, None, data[start:limit], problem)
    sport, dport, seq, ack, bits, window, _sum, _urgent = _unpack_tcp(data, start)
    header = bits >> 12 << 2
    body = start + header
    if header < 20:
        problem = problem or say("the TCP header length is {n}", n=header)
        body = start + 20
    elif body > limit:
        problem = problem or term("the TCP options are cut")
        body = limit
    options = data[start + 20 : body]
    size = max(0, end - body)
    tcp = _record(Tcp, (sport, dport, seq, ack, bits & 0x1FF, window, options, size))
    return _record(Packet, (eth, None, ipv4, ipv6, None, None, tcp, data[body:limit], problem))


def _udp(
    data: bytes,
    start: int,
    end: int,
    eth: Ethernet | None,
    ipv4: IPv4 | None,
    ipv6: IPv6 | None,
    problem: str,
) -> Packet:
    limit = min(end, len(data))
    if limit < start + 8:
        problem = problem or say("a UDP header needs 8 bytes, {n} are there", n=limit - start)
        return Packet(eth, None, ipv4, ipv6, None, None, None, data[start:limit], problem)
    sport, dport, length, _sum = _unpack_udp(data, start)
    if length < 8 and length != 0:
        problem = problem or say("the UDP length is {n}, less than its header", n=length)
    elif length > end - start and not (ipv4 and ipv4.flags_mf) and not (ipv6 and ipv6.flags_mf):
        problem = problem or say("the UDP length {n} is more than the IP packet has", n=length)
    elif length >= 8:
        limit = min(limit, start + length)
    udp = _record(Udp, (sport, dport, length))
    payload = data[start + 8 : limit]
    return _record(Packet, (eth, None, ipv4, ipv6, None, udp, None, payload, problem))


def _icmp(
    data: bytes,
    start: int,
    end: int,
    eth: Ethernet | None,
    ipv4: IPv4 | None,
    ipv6: IPv6 | None,
    problem: str,
) -> Packet:
    limit = min(end, len(data))
    if limit < start + 8:
        problem = problem or say("an ICMP header needs 8 bytes, {n} are there", n=limit - start)
        return Packet(eth, None, ipv4, ipv6, None, None, None, data[start:limit], problem)
    icmp = _icmp_message(4 if ipv4 is not None else 6, data, start, limit)
    return Packet(eth, None, ipv4, ipv6, icmp, None, None, icmp.body, problem)


def _any(
    data: bytes,
    start: int,
    end: int,
    eth: Ethernet | None,
    ipv4: IPv4 | None,
    ipv6: IPv6 | None,
    problem: str,
) -> Packet:
    """A protocol that is not read."""
    return Packet(eth, None, ipv4, ipv6, None, None, None, data[start:end], problem)


# By protocol number; ICMP of the one version means nothing in the other.
_BEHIND_IPV4 = {PROTO_TCP: _tcp, PROTO_UDP: _udp, PROTO_ICMP: _icmp}
_BEHIND_IPV6 = {PROTO_TCP: _tcp, PROTO_UDP: _udp, PROTO_ICMPV6: _icmp}


def _icmp_message(version: int, data: bytes, start: int, limit: int) -> Icmp:
    """An ICMP message of this IP version, from `start` to `limit`, at least 8 bytes long."""
    kind, code, _sum, rest = _unpack_icmp(data, start)
    body = data[start + 8 : limit]
    ident = seq = 0
    target = link = ""
    if kind in (ICMP_WITH_IDENT if version == 4 else (128, 129)):
        ident, seq = rest >> 16, rest & 0xFFFF
    elif version == 6 and kind in (133, 134, 135, 136):
        target, link = _neighbour(kind, body)
    return Icmp(version, kind, code, ident, seq, rest, body, target, link)


def _neighbour(kind: int, body: bytes) -> tuple[str, str]:
    """Target address and link-layer address option of a neighbour discovery message (RFC 4861
    sections 4.1 to 4.4 and 4.6.1)."""
    target = ""
    at = 0
    if kind in (135, 136):
        if len(body) < 16:
            return "", ""
        target = ipv6_text(body[:16])
        at = 16
    elif kind == 134:
        at = 8  # reachable time and retransmission timer
    while at + 8 <= len(body):
        option, units = body[at], body[at + 1]
        if units == 0:
            break
        if option in (1, 2):
            return target, mac_text(body[at + 2 : at + 8])
        at += units * 8
    return target, ""


def strip_padding(data: bytes) -> bytes:
    """The frame without Ethernet padding: it ends where the ARP message or IP packet ends.

    A frame whose inner length cannot be read, or says more than there is, comes back whole.
    """
    size = len(data)
    if size < 14:
        return data
    kind = _unpack_u16(data, 12)[0]
    start = 14
    while kind in _TAGS and size >= start + 4:
        kind = _unpack_u16(data, start + 2)[0]
        start += 4
    if kind == ETH_IPV4:
        if size < start + 20:
            return data
        length = _unpack_u16(data, start + 2)[0]
        if length < 20:
            return data
    elif kind == ETH_IPV6:
        if size < start + 40:
            return data
        length = 40 + _unpack_u16(data, start + 4)[0]
        if length == 40 and data[start + 6] == _HOP_BY_HOP:
            return data
    else:
        length = _length_of_other(data, kind, start)
    return data[: start + length] if 0 <= length < size - start else data


def _length_of_other(data: bytes, kind: int, start: int) -> int:
    """How long what a frame carries is, if it is no IP packet; -1 if that cannot be read."""
    size = len(data)
    if kind == ETH_ARP:
        return 8 + 2 * (data[start + 4] + data[start + 5]) if size >= start + 8 else -1
    if kind in _PPPOE:
        return 6 + _unpack_u16(data, start + 4)[0] if size >= start + 6 else -1
    return kind if kind < 1536 else -1
