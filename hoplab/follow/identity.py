# SPDX-License-Identifier: Apache-2.0
"""What stays of a frame when a switch, a router or NAT passes it on.

What lives here: bytes compared with bytes. What must not: hops, time, wiring. Offsets are those of
Ethernet II with 802.1Q tags (IEEE 802.1Q 9.6), IPv4 (RFC 791 3.1), IPv6 (RFC 8200 3), TCP, UDP and
ICMP.
"""

from __future__ import annotations

from struct import Struct

Layer3 = tuple[int, int, int]  # where the IP header and its payload begin; the IP version

_USUAL: Layer3 = (14, 34, 4)  # IPv4 without tags and without options
_UNCUT = (b"\x40\x00", b"\x00\x00")  # the flags and the offset of a packet that is no fragment
_unpack_u16 = Struct("!H").unpack_from
_BYTE = [bytes((value,)) for value in range(256)]
_BYTE.append(b"none")  # TTL 255 raised by one: no packet comes in with that


def untagged(data: bytes) -> bytes:
    """The frame without 802.1Q tags: a switch puts them on and takes them off."""
    while len(data) > 18 and (
        (data[12] == 0x81 and data[13] == 0) or (data[12] == 0x88 and data[13] == 0xA8)
    ):
        data = data[:12] + data[16:]
    return data


def find_layer3(data: bytes) -> Layer3 | None:
    """Where the IP header and what follows it begin, and the IP version; None for other frames."""
    if data[12:15] == b"\x08\x00\x45" and len(data) >= 34:
        return _USUAL
    start = 14
    kind = data[12:14]
    while kind in (b"\x81\x00", b"\x88\xa8"):
        kind = data[start + 2 : start + 4]
        start += 4
    if kind == b"\x08\x00":
        if len(data) < start + 20 or data[start] >> 4 != 4:
            return None
        header = (data[start] & 15) * 4
        return (start, start + header, 4) if header >= 20 else None
    if kind == b"\x86\xdd" and len(data) >= start + 40:
        return start, start + 40, 6
    return None


def route_key(data: bytes, up: int) -> bytes | None:
    """What a router leaves alone, NAT included, in few bytes, with the TTL raised by `up`.

    Total length, identification, fragment field, TTL, protocol, and the first bytes of layer 4
    that are neither port nor checksum. Packets with equal keys are compared in full afterwards.
    """
    if data[12:15] == b"\x08\x00\x45" and data[20:22] in _UNCUT and len(data) >= 34:
        # The usual packet: IPv4 without tags, options and fragments.
        protocol = data[23]
        head = data[16:22] + _BYTE[data[22] + up]
        if protocol == 6:
            return head + data[38:50]
        if protocol == 17:
            return head + data[42:62]
    layer3 = find_layer3(data)
    if layer3 is None:
        return None
    start, body, version = layer3
    if version == 4:
        protocol = data[start + 9]
        head = data[start + 2 : start + 8] + _BYTE[data[start + 8] + up]
        if data[start + 6] & 0x1F or data[start + 7]:
            protocol = -1  # no layer-4 header in this fragment
    else:
        protocol = data[start + 6]
        head = data[start + 4 : start + 7] + _BYTE[data[start + 7] + up]
    if protocol == 6:
        return head + data[body + 4 : body + 16]
    if protocol == 17:
        return head + data[body + 8 : body + 28]
    if protocol == 1 and version == 4:
        if data[body : body + 1] in (b"\x00", b"\x08"):
            return head + data[body : body + 2] + data[body + 6 : body + 24]
        return head + data[body : body + 2]
    return head + data[body : body + 20]


def fragment_key(data: bytes, up: int) -> bytes | None:
    """Identification, TTL raised by `up`, and protocol of an IPv4 packet. An OUT (`up` 1) has a
    key only if it is a fragment."""
    layer3 = find_layer3(data)
    if layer3 is None or layer3[2] != 4:
        return None
    start = layer3[0]
    if up and not (data[start + 6] & 0x3F or data[start + 7]):
        return None
    ttl = _BYTE[data[start + 8] + up]
    return data[start + 4 : start + 6] + ttl + data[start + 9 : start + 10]


def fragment_offset(data: bytes) -> int:
    """The fragment offset in units of 8 bytes, -1 if the frame is no IPv4."""
    layer3 = find_layer3(data)
    if layer3 is None or layer3[2] != 4:
        return -1
    return int(_unpack_u16(data, layer3[0] + 6)[0]) & 0x1FFF


def same_layer3(before: bytes, after: bytes) -> bool:
    """Equal addresses and equal bytes behind the IP header (the rest is in the route key).

    The type of service may differ: a queue may mark congestion in it (RFC 3168).
    """
    if before[12:15] == b"\x08\x00\x45" == after[12:15] and before[26:] == after[26:]:
        return True
    old, new = find_layer3(before), find_layer3(after)
    if old is None or new is None:
        return False
    if old[2] == 4:
        return before[old[0] + 12 : old[0] + 20] == after[new[0] + 12 : new[0] + 20] and behind(
            before, old, 0
        ) == behind(after, new, 0)
    return behind(before, old, -32) == behind(after, new, -32)


def behind(data: bytes, layer3: Layer3, step: int) -> bytes:
    """The bytes from `step` behind the IP header to the end of the packet, padding left out."""
    start, body, version = layer3
    length = _unpack_u16(data, start + 2 if version == 4 else start + 4)[0]
    end = (start if version == 4 else body) + length
    return data[body + step : end] if length else data[body + step :]


def has_ident(data: bytes, layer3: Layer3) -> bool:
    start, _body, version = layer3
    return version == 4 and data[start + 4 : start + 6] != b"\0\0"


def same_behind_ports(one: bytes, two: bytes, packet: bytes, layer3: Layer3, ident: bool) -> bool:
    """Equal layer 4, `one` and `two`, but for ports, checksums and the identifier of an echo.

    `packet` is the one that `one` is from; `ident` tells that the IP identifications are equal and
    mean something.
    """
    start, _body, version = layer3
    protocol = packet[start + 9] if version == 4 else packet[start + 6]
    if version == 4 and (packet[start + 6] & 0x1F or packet[start + 7]):
        return one == two  # a fragment without layer-4 header
    if protocol == 6:
        return one[4:16] == two[4:16] and one[18:] == two[18:]
    if protocol == 17:
        return one[4:6] == two[4:6] and one[8:] == two[8:]
    if protocol == 1:
        if one[:1] in (b"\x00", b"\x08"):
            return one[:2] == two[:2] and one[6:] == two[6:]
        # An error quotes the packet with its addresses, which NAT rewrites too.
        return ident and one[:2] == two[:2]
    return one == two
