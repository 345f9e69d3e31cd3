# SPDX-License-Identifier: Apache-2.0
"""OpenFlow 1.0, where it is laid out otherwise than 1.3: matches, actions, and the messages around
them, as plain values in the words of 1.3.

Section numbers are those of OpenFlow Switch Specification 1.0.0. What lives here: bytes to values.
What must not: what a message means (`openflow.py`). Raises struct.error where bytes are missing.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from struct import Struct

# Types of messages that have other numbers in 1.3, or are none there (5.1).
TYPES = {
    15: "port-mod",
    16: "multipart-request",
    17: "multipart-reply",
    18: "barrier-request",
    19: "barrier-reply",
}
# Reserved ports (5.2.1) end like those of 1.3.
_FIRST_RESERVED, _WIDER = 0xFF00, 0xFFFF0000
_NO_VLAN, _TAGGED = 0xFFFF, 0x1000
_ARP, _IPV4 = 0x0806, 0x0800
_EXACT = 0x3FFFFF  # OFPFW_ALL: none of these bits is set for a flow that names all fields (3.4)
_PORTS = {1: ("icmpv4_type", "icmpv4_code"), 6: ("tcp_src", "tcp_dst"), 17: ("udp_src", "udp_dst"),
          132: ("sctp_src", "sctp_dst")}  # fmt: skip
_match = Struct("!IH6s6sHBxHBB2x4s4sHH").unpack_from
_packet_in = Struct("!IHHBx").unpack_from
_packet_out = Struct("!IHH").unpack_from
_flow_mod = Struct("!QHHHHIHH").unpack_from
_flow_removed = Struct("!QHBxIIH").unpack_from
_pair = Struct("!HH").unpack_from

Fields = tuple[dict[str, bytes], dict[str, bytes]]


def wide(port: int) -> int:
    """The number of a port, as 1.3 writes it."""
    return port | _WIDER if port >= _FIRST_RESERVED else port


def match(data: bytes, at: int) -> Fields:
    """The fields and masks of the 40 bytes of ofp_match (5.2.3), by their names in 1.3."""
    wild, in_port, src, dst, vlan, pcp, kind, tos, protocol, *rest = _match(data, at)
    ip_src, ip_dst, first, second = rest
    fields: dict[str, bytes] = {}
    masks: dict[str, bytes] = {}

    def put(bit: int, name: str, value: bytes) -> None:
        if not wild >> bit & 1:
            fields[name] = value

    put(0, "in_port", wide(in_port).to_bytes(4, "big"))
    put(3, "eth_dst", dst)
    put(2, "eth_src", src)
    put(4, "eth_type", kind.to_bytes(2, "big"))
    tag = 0 if vlan == _NO_VLAN else _TAGGED | vlan & 0xFFF
    put(1, "vlan_vid", tag.to_bytes(2, "big"))
    if not wild >> 1 & 1 and tag:
        put(20, "vlan_pcp", pcp.to_bytes(1, "big"))
    known = None if wild >> 4 & 1 else kind
    if known == _IPV4:
        put(21, "ip_dscp", (tos >> 2).to_bytes(1, "big"))
        put(5, "ip_proto", protocol.to_bytes(1, "big"))
        _addresses(wild, ("ipv4_src", ip_src), ("ipv4_dst", ip_dst), fields, masks)
        names = None if wild >> 5 & 1 else _PORTS.get(protocol)
        if names is not None:
            size = 1 if protocol == 1 else 2
            put(6, names[0], (first & (1 << 8 * size) - 1).to_bytes(size, "big"))
            put(7, names[1], (second & (1 << 8 * size) - 1).to_bytes(size, "big"))
    elif known == _ARP:
        put(5, "arp_op", protocol.to_bytes(2, "big"))
        _addresses(wild, ("arp_spa", ip_src), ("arp_tpa", ip_dst), fields, masks)
    return fields, masks


def _addresses(
    wild: int,
    source: tuple[str, bytes],
    target: tuple[str, bytes],
    fields: dict[str, bytes],
    masks: dict[str, bytes],
) -> None:
    """Addresses of which so many bits at the end are wild."""
    for shift, (name, value) in ((8, source), (14, target)):
        bits = min(wild >> shift & 0x3F, 32)
        if bits == 32:
            continue
        fields[name] = value
        if bits:
            mask = 0xFFFFFFFF << bits & 0xFFFFFFFF
            masks[name] = mask.to_bytes(4, "big")
            fields[name] = (int.from_bytes(value, "big") & mask).to_bytes(4, "big")


def exact(data: bytes, at: int) -> bool:
    """Whether a match names every field: its flow goes before all others (3.4)."""
    return not int.from_bytes(data[at : at + 4], "big") & _EXACT


def packet_in(data: bytes) -> tuple[int, int, int, int, bytes]:
    """5.4.1: buffer, length of the whole frame, port, reason, frame."""
    buffer_id, total, in_port, reason = _packet_in(data, 8)
    return buffer_id, total, in_port, reason, data[18:]


def packet_out(data: bytes) -> tuple[int, int, bytes, bytes]:
    """5.3.6: buffer, port, actions, frame."""
    buffer_id, in_port, size = _packet_out(data, 8)
    return buffer_id, wide(in_port), data[16 : 16 + size], data[16 + size :]


def flow_mod(data: bytes) -> tuple[int, ...]:
    """5.3.3: cookie, command, idle and hard time-out, priority, buffer, out-port, flags."""
    return _flow_mod(data, 48)


def flow_removed(data: bytes) -> tuple[int, ...]:
    """5.4.3: cookie, priority, reason, seconds and nanoseconds, idle time-out."""
    return _flow_removed(data, 48)


def ports(data: bytes, at: int, end: int) -> Iterator[int]:
    """The ports that a list of actions sends to (5.2.4: output is type 0, enqueue 11)."""
    while at + 8 <= end:
        kind, size = _pair(data, at)
        if size < 8:
            return
        if kind in (0, 11):
            yield wide(int.from_bytes(data[at + 4 : at + 6], "big"))
        at += size


def actions_text(data: bytes) -> str | None:
    """A list of actions in Open vSwitch's notation; None for one that is not read here."""
    words: list[str] = []
    at = 0
    while at + 8 <= len(data):
        kind, size = _pair(data, at)
        value = data[at + 4 : at + size]
        if size < 8 or kind not in _TEXTS:
            return None
        words.append(_TEXTS[kind](value))
        at += size
    return ",".join(words)


def _number(value: bytes) -> int:
    return int.from_bytes(value[:2], "big")


def _output(value: bytes) -> str:
    port = wide(_number(value))
    return _RESERVED.get(port, f"output:{port}")


_RESERVED = {
    0xFFFFFFF8: "in_port",
    0xFFFFFFF9: "resubmit(,0)",  # the order to look in the tables
    0xFFFFFFFA: "normal",
    0xFFFFFFFB: "flood",
    0xFFFFFFFC: "all",
    0xFFFFFFFD: "controller",
    0xFFFFFFFE: "local",
}
_TEXTS: dict[int, Callable[[bytes], str]] = {
    0: _output,
    1: lambda value: f"mod_vlan_vid:{_number(value)}",
    2: lambda value: f"mod_vlan_pcp:{value[0]}",
    3: lambda value: "strip_vlan",
    4: lambda value: f"mod_dl_src:{value[:6].hex(':')}",
    5: lambda value: f"mod_dl_dst:{value[:6].hex(':')}",
    6: lambda value: f"mod_nw_src:{socket.inet_ntoa(value[:4])}",
    7: lambda value: f"mod_nw_dst:{socket.inet_ntoa(value[:4])}",
    8: lambda value: f"mod_nw_tos:{value[0] & 0xFC}",
    9: lambda value: f"mod_tp_src:{_number(value)}",
    10: lambda value: f"mod_tp_dst:{_number(value)}",
}
