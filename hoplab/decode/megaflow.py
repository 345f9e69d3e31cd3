# SPDX-License-Identifier: Apache-2.0
"""On which bytes of a frame an answer of Open vSwitch's depends: its line `Megaflow:`, as a mask.

Open vSwitch names the fields that it looked at, so that its datapath can decide about alike frames
without asking again. Frames that have the same bytes where these fields are, and come by the same
port, have the same answer for as long as the tables stay as they are.

A field of which it looked at a part is taken whole here, and so are all bytes that say where the
others stand (types, tags, lengths of headers): that makes fewer frames alike than are, never more.

What lives here: where fields stand. What must not: answers, and how long they are good for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

_TAGS = (b"\x81\x00", b"\x88\xa8")
_IPV4, _IPV6, _ARP = b"\x08\x00", b"\x86\xdd", b"\x08\x06"
_TCP, _UDP, _ICMP, _ICMP6 = 6, 17, 1, 58
_MOST_BYTES = 128  # of a frame; all fields that are read here stand before
_MOST_ANSWERS = 20_000
# What is the same for all frames of one shape and port, or not of the frame at all. "drop" and the
# like name no field.
_CONSTANT = frozenset(
    "recirc_id eth ip ipv6 tcp udp icmp icmp6 tcp6 udp6 arp in_port packet_type skb_priority "
    "pkt_mark vlan_tci vlan_tci1 dl_vlan dl_vlan_pcp dl_vlan1 dl_vlan_pcp1 dl_type nw_proto "
    "nw_frag ct_state".split()
)  # fmt: skip
_ETHERNET = {"dl_dst": (0, 6), "dl_src": (6, 6)}
_NETWORK = {
    _IPV4: {"nw_src": (12, 4), "nw_dst": (16, 4), "nw_tos": (1, 1), "nw_ecn": (1, 1),
            "nw_ttl": (8, 1)},
    _IPV6: {"ipv6_src": (8, 16), "ipv6_dst": (24, 16), "ipv6_label": (0, 4), "nw_tos": (0, 4),
            "nw_ecn": (0, 4), "nw_ttl": (7, 1)},
    _ARP: {"arp_op": (6, 2), "arp_sha": (8, 6), "arp_spa": (14, 4), "arp_tha": (18, 6),
           "arp_tpa": (24, 4)},
}  # fmt: skip
_PORTS = {"tp_src": (0, 2), "tp_dst": (2, 2)}
_TRANSPORT = {
    _TCP: {**_PORTS, "tcp_flags": (12, 2)},
    _UDP: _PORTS,
    _ICMP: {"icmp_type": (0, 1), "icmp_code": (1, 1)},
    _ICMP6: {"icmp_type": (0, 1), "icmp_code": (1, 1)},
}
_LENGTHS = {_TCP: 20, _UDP: 8, _ICMP: 8, _ICMP6: 8}  # a shorter segment has no ports


@dataclass(frozen=True, slots=True)
class Shape:
    """Where the headers of a frame begin. kind: the EtherType behind all tags; protocol: above IP,
    0 where it cannot be told; network, transport: offsets, 0 for none."""

    kind: bytes
    network: int
    protocol: int
    transport: int


def shape_of(frame: bytes) -> Shape | None:
    """None for a frame whose fields are not read here: cut, in parts, with options before what it
    carries, or of a kind that has other fields."""
    at = 12
    while frame[at : at + 2] in _TAGS:
        at += 4
    kind, at = frame[at : at + 2], at + 2
    if kind == _ARP:
        return Shape(kind, at, 0, 0) if len(frame) >= at + 28 else None
    carried = None
    if kind == _IPV4 and len(frame) >= at + 20:
        carried = _carried_by_ipv4(frame, at)
    elif kind == _IPV6 and len(frame) >= at + 40:
        carried = _carried_by_ipv6(frame, at)
    if carried is None:
        return None
    protocol, above, size = carried
    if protocol not in _TRANSPORT or size < _LENGTHS[protocol] or above + 20 > _MOST_BYTES:
        return None
    return Shape(kind, at, protocol, above)


def _carried_by_ipv4(frame: bytes, at: int) -> tuple[int, int, int] | None:
    """The protocol behind such a header, where that begins and how long it is; None for a header
    that is wrong, a part of a packet, and one that is cut."""
    head, total = (frame[at] & 15) * 4, int.from_bytes(frame[at + 2 : at + 4], "big")
    fragment = int.from_bytes(frame[at + 6 : at + 8], "big") & 0x3FFF
    if frame[at] >> 4 != 4 or head < 20 or not head <= total <= len(frame) - at or fragment:
        return None
    return frame[at + 9], at + head, total - head


def _carried_by_ipv6(frame: bytes, at: int) -> tuple[int, int, int] | None:
    """The same of an IPv6 header."""
    size = int.from_bytes(frame[at + 4 : at + 6], "big")
    if frame[at] >> 4 != 6 or size > len(frame) - at - 40:
        return None
    return frame[at + 6], at + 40, size


def mask_of(megaflow: str, shape: Shape) -> int | None:
    """The bytes of a frame of that shape that a megaflow names, as a number; None where it names a
    field that is not read here."""
    fields = {
        **_ETHERNET,
        **{name: (shape.network + at, size) for name, (at, size) in _NETWORK[shape.kind].items()},
        **{
            name: (shape.transport + at, size)
            for name, (at, size) in _TRANSPORT.get(shape.protocol, {}).items()
        },
    }
    mask = _bytes(12, shape.network - 12)  # all tags, and the type
    if shape.kind == _IPV4:
        mask |= _bytes(shape.network, 1)
    for word in megaflow.split(","):
        name = word.partition("=")[0].strip()
        if name in fields:
            mask |= _bytes(*fields[name])
        elif name not in _CONSTANT:
            return None
    return mask


def _bytes(at: int, size: int) -> int:
    return ((1 << 8 * size) - 1) << 8 * (_MOST_BYTES - at - size)


Answer = TypeVar("Answer")


@dataclass
class Megaflows(Generic[Answer]):
    """Answers, to be found by frames that must have the same one. Whoever keeps answers here
    clears it when tables change."""

    _masks: dict[tuple[int, Shape], dict[int, dict[int, Answer]]] = field(default_factory=dict)
    _count: int = 0

    def find(self, in_port: int, frame: bytes) -> Answer | None:
        """The answer for a frame that is alike one that had it."""
        shape = shape_of(frame)
        tables = self._masks.get((in_port, shape)) if shape is not None else None
        if tables:
            number = _number(frame)
            for mask, answers in tables.items():
                answer = answers.get(number & mask)
                if answer is not None:
                    return answer
        return None

    def keep(self, in_port: int, frame: bytes, megaflow: str, answer: Answer) -> None:
        """Keep an answer, if it can be found again."""
        shape = shape_of(frame)
        mask = mask_of(megaflow, shape) if shape is not None else None
        if shape is None or mask is None:
            return
        if self._count >= _MOST_ANSWERS:
            self.clear()
        tables = self._masks.setdefault((in_port, shape), {})
        tables.setdefault(mask, {})[_number(frame) & mask] = answer
        self._count += 1

    def clear(self) -> None:
        """Forget all: an answer may be another one now."""
        self._masks.clear()
        self._count = 0


def _number(frame: bytes) -> int:
    return int.from_bytes(frame[:_MOST_BYTES].ljust(_MOST_BYTES, b"\0"), "big")
