# SPDX-License-Identifier: Apache-2.0
"""What Open vSwitch's datapath makes of a frame: its actions carried out on the bytes.

`set(eth(src=02:00:00:00:00:05)),push_vlan(vid=100,pcp=0),3,pop_vlan,2` sends two frames, out of
ports 3 and 2. The notation is that of ovs-actions(7) and of dpctl(8). Checksums are left as they
are: `fingerprint` makes frames comparable that differ in these alone, since those of the lab may be
the network card's to fill in.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

_TAGS = (b"\x81\x00", b"\x88\xa8")
_MPLS = (b"\x88\x47", b"\x88\x48")
_IPV4, _IPV6, _ARP = b"\x08\x00", b"\x86\xdd", b"\x08\x06"
_TCP, _UDP, _ICMP, _ICMP6, _SCTP = 6, 17, 1, 58, 132
_CHECKSUMS = {_TCP: 16, _UDP: 6, _ICMP: 2, _ICMP6: 2, _SCTP: 8}  # where it is in the segment
_NOTHING = ("hash", "meter", "ct", "ct_clear", "drop", "skb_priority", "skb_mark", "trunc")


@dataclass(frozen=True)
class Result:
    """What became of a frame. sent: of each copy the port and its bytes, in their order. asked: it
    goes to the controller. again: it is looked up once more, under that number. unsure: an action
    whose effect is not known here, "" if there was none."""

    sent: tuple[tuple[str, bytes], ...]
    asked: bool = False
    again: tuple[str, ...] = ()
    unsure: str = ""
    left: bytes = b""  # the frame after the last action


def parts(text: str) -> Iterator[tuple[str, str]]:
    """The actions or fields of a list, each as its name and what stands in brackets or behind the
    sign of equality."""
    start = depth = 0
    for place, sign in enumerate(text + ","):
        depth += {"(": 1, ")": -1}.get(sign, 0)
        if sign == "," and not depth:
            word = text[start:place].strip()
            start = place + 1
            if word.endswith(")"):
                name, _, inside = word[:-1].partition("(")
                yield name, inside
            elif word:
                name, _, value = word.partition("=")
                yield name, value


def carry_out(actions: str, frame: bytes) -> Result:
    """What these actions do with a frame."""
    sent: list[tuple[str, bytes]] = []
    asked, unsure = False, ""
    again: list[str] = []
    for name, inside in parts(actions):
        if name.isdigit() or name == "LOCAL":
            sent.append((name, frame))
        elif name == "userspace":
            # Of a TTL at its end (reason 2) a controller hears only if it has asked for that.
            asked = asked or ("controller(" in inside and "reason=2" not in inside)
        elif name == "recirc":
            again.append(inside)
        elif name == "clone":
            inner = carry_out(inside, frame)
            sent += inner.sent
            asked, again = asked or inner.asked, [*again, *inner.again]
            unsure = unsure or inner.unsure
        elif name in _NOTHING:
            continue
        else:
            try:
                frame = _changed(name, inside, frame)
            except (KeyError, ValueError, IndexError, OSError):
                unsure = unsure or f"{name}({inside})"
    return Result(tuple(sent), asked, tuple(again), unsure, frame)


def _changed(name: str, inside: str, frame: bytes) -> bytes:
    if name == "push_vlan":
        fields = dict(parts(inside))
        tag = int(fields["pcp"]) << 13 | int(fields["vid"])
        tpid = int(fields.get("tpid", "0x8100"), 16)
        return frame[:12] + tpid.to_bytes(2, "big") + tag.to_bytes(2, "big") + frame[12:]
    if name == "pop_vlan":
        return frame[:12] + frame[16:] if frame[12:14] in _TAGS else frame
    if name == "push_mpls":
        fields = dict(parts(inside))
        at = _network(frame)[1]
        kind = int(fields["eth_type"], 16).to_bytes(2, "big")
        return frame[: at - 2] + kind + _label(fields) + frame[at:]
    if name == "pop_mpls":
        at = _network(frame)[1]
        kind = int(dict(parts(inside))["eth_type"], 16).to_bytes(2, "big")
        return frame[: at - 2] + kind + frame[at + 4 :]
    if name == "set":
        header, values = next(parts(inside))
        return _SETTERS[header](frame, dict(parts(values)))
    raise KeyError(name)


def _label(fields: Mapping[str, str]) -> bytes:
    word = int(fields["label"]) << 12 | int(fields["tc"]) << 9
    word |= int(fields["bos"]) << 8 | int(fields["ttl"])
    return word.to_bytes(4, "big")


def _network(frame: bytes) -> tuple[bytes, int]:
    """The type of what follows Ethernet's header and its tags, and where it begins."""
    at = 12
    while frame[at : at + 2] in _TAGS:
        at += 4
    return frame[at : at + 2], at + 2


def _transport(frame: bytes) -> tuple[int, int]:
    """The protocol above IP, and where it begins; (-1, 0) where there is none, or only a part."""
    kind, at = _network(frame)
    if kind == _IPV4 and len(frame) >= at + 20:
        if int.from_bytes(frame[at + 6 : at + 8], "big") & 0x1FFF:
            return -1, 0
        return frame[at + 9], at + (frame[at] & 15) * 4
    if kind == _IPV6 and len(frame) >= at + 40:
        return frame[at + 6], at + 40
    return -1, 0


def _put(frame: bytes, at: int, value: bytes, mask: bytes | None = None) -> bytes:
    old = frame[at : at + len(value)]
    if len(old) < len(value):
        raise ValueError("the frame is too short")
    if mask is not None:
        value = bytes(
            new & m | was & ~m & 0xFF for new, was, m in zip(value, old, mask, strict=True)
        )
    return frame[:at] + value + frame[at + len(value) :]


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def _ipv4(text: str) -> bytes:
    return socket.inet_pton(socket.AF_INET, text)


def _ipv6(text: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6, text)


def _number(size: int) -> Callable[[str], bytes]:
    return lambda text: int(text, 0).to_bytes(size, "big")


def _set(
    frame: bytes,
    start: int,
    fields: Mapping[str, str],
    places: Mapping[str, tuple[int, Callable[[str], bytes]]],
) -> bytes:
    for name, text in fields.items():
        if name not in places:
            raise KeyError(name)
        offset, convert = places[name]
        value, _, mask = text.partition("/")
        frame = _put(frame, start + offset, convert(value), convert(mask) if mask else None)
    return frame


def _set_eth(frame: bytes, fields: Mapping[str, str]) -> bytes:
    return _set(frame, 0, fields, {"dst": (0, _mac), "src": (6, _mac)})


def _set_ipv4(frame: bytes, fields: Mapping[str, str]) -> bytes:
    kind, at = _network(frame)
    if kind != _IPV4:
        raise ValueError("no IPv4")
    # Open vSwitch names these two beside what it sets, and does not change them.
    wanted = {name: text for name, text in fields.items() if name not in ("proto", "frag")}
    return _set(
        frame, at, wanted,
        {"src": (12, _ipv4), "dst": (16, _ipv4), "tos": (1, _number(1)), "ttl": (8, _number(1))},
    )  # fmt: skip


def _set_ipv6(frame: bytes, fields: Mapping[str, str]) -> bytes:
    kind, at = _network(frame)
    if kind != _IPV6:
        raise ValueError("no IPv6")
    wanted = {name: text for name, text in fields.items() if name not in ("proto", "frag")}
    head = int.from_bytes(frame[at : at + 4], "big")
    if "tclass" in wanted:
        value, _, mask = wanted.pop("tclass").partition("/")
        bits = (int(mask, 0) if mask else 0xFF) << 20
        head = head & ~bits | int(value, 0) << 20 & bits
    if "label" in wanted:
        value, _, mask = wanted.pop("label").partition("/")
        bits = int(mask, 0) if mask else 0xFFFFF
        head = head & ~bits | int(value, 0) & bits
    frame = _put(frame, at, head.to_bytes(4, "big"))
    return _set(
        frame, at, wanted, {"src": (8, _ipv6), "dst": (24, _ipv6), "hlimit": (7, _number(1))}
    )


def _set_arp(frame: bytes, fields: Mapping[str, str]) -> bytes:
    kind, at = _network(frame)
    if kind != _ARP:
        raise ValueError("no ARP")
    return _set(
        frame, at, fields,
        {"op": (6, _number(2)), "sha": (8, _mac), "sip": (14, _ipv4), "tha": (18, _mac),
         "tip": (24, _ipv4)},
    )  # fmt: skip


def _set_ports(frame: bytes, fields: Mapping[str, str]) -> bytes:
    _, at = _transport(frame)
    if not at:
        raise ValueError("no ports")
    return _set(frame, at, fields, {"src": (0, _number(2)), "dst": (2, _number(2))})


def _set_icmp(frame: bytes, fields: Mapping[str, str]) -> bytes:
    _, at = _transport(frame)
    if not at:
        raise ValueError("no ICMP")
    return _set(frame, at, fields, {"type": (0, _number(1)), "code": (1, _number(1))})


def _set_mpls(frame: bytes, fields: Mapping[str, str]) -> bytes:
    kind, at = _network(frame)
    if kind not in _MPLS:
        raise ValueError("no MPLS")
    word = int.from_bytes(frame[at : at + 4], "big")
    for name, shift, bits in (("label", 12, 20), ("tc", 9, 3), ("bos", 8, 1), ("ttl", 0, 8)):
        if name in fields:
            value, _, part = fields[name].partition("/")
            mask = (int(part, 0) if part else (1 << bits) - 1) << shift
            word = word & ~mask | int(value, 0) << shift & mask
    return _put(frame, at, word.to_bytes(4, "big"))


def _set_nothing(frame: bytes, fields: Mapping[str, str]) -> bytes:
    return frame


_SETTERS: dict[str, Callable[[bytes, Mapping[str, str]], bytes]] = {
    "eth": _set_eth,
    "ipv4": _set_ipv4,
    "ipv6": _set_ipv6,
    "arp": _set_arp,
    "tcp": _set_ports,
    "udp": _set_ports,
    "sctp": _set_ports,
    "icmp": _set_icmp,
    "icmpv6": _set_icmp,
    "mpls": _set_mpls,
    "skb_priority": _set_nothing,
    "skb_mark": _set_nothing,
    "ct_mark": _set_nothing,
}


def fingerprint(frame: bytes) -> bytes:
    """The frame without its padding and without the checksums of IP and of what it carries."""
    kind, at = _network(frame)
    if kind == _IPV4 and len(frame) >= at + 20:
        end = at + int.from_bytes(frame[at + 2 : at + 4], "big")
        if at + 20 <= end < len(frame):
            frame = frame[:end]
        frame = frame[: at + 10] + b"\0\0" + frame[at + 12 :]
    elif kind == _ARP:
        frame = frame[: at + 28]
    elif kind == _IPV6 and len(frame) >= at + 40:
        frame = frame[: at + 40 + int.from_bytes(frame[at + 4 : at + 6], "big")]
    protocol, at = _transport(frame)
    place = _CHECKSUMS.get(protocol)
    if place is not None and len(frame) >= at + place + 2:
        frame = frame[: at + place] + b"\0\0" + frame[at + place + 2 :]
    return frame


