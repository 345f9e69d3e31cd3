# SPDX-License-Identifier: Apache-2.0
"""What was configured on an interface, kept so that it can be put back.

The kernel takes routes, IPv6 addresses and neighbours from an interface that is set down, and gives
none of them back when it is set up. What it tells of each (rtnetlink(7)) is what it takes to make
it, so whole messages are kept, as `ip route save` does: metrics, tables, several next hops and all.
What a routing daemon, the kernel itself or a router's advertisement has made is left to them.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from hoplab.kernel import netlink
from hoplab.kernel.netlink import Message
from hoplab.sentences import term

# linux/rtnetlink.h, RTPROT_*: nobody said, `ip route`, a script for good, a DHCP client.
_BY_HAND = (0, 3, 4, 16)
_TABLE_LOCAL = 255
_RTA_OIF, _RTA_MULTIPATH, _RTA_CACHEINFO, _RTA_TABLE, _RTA_PRIORITY = 4, 9, 12, 15, 6
_RTA_DST, _RTA_SRC, _RTA_GATEWAY, _RTA_VIA = 1, 2, 5, 18
_IFA_CACHEINFO, _IFA_FLAGS, _IFA_F_NODAD, _IFA_F_PERMANENT = 6, 8, 0x02, 0x80
_NDA_DST, _NDA_LLADDR, _NUD_PERMANENT = 1, 2, 0x80
_SCOPE_LINK = 253
_ROUNDS = 3  # a route's gateway may be reached by another route, and that by a third
_FAMILIES = (socket.AF_INET, socket.AF_INET6)
_THERE = (errno.EEXIST,)


@dataclass(frozen=True)
class Settings:
    """Of a whole namespace: what makes each address, route and neighbour, by what tells it from
    others; indexes of the interfaces that each is on stand beside."""

    addresses: dict[bytes, tuple[frozenset[int], bytes]]
    routes: dict[bytes, tuple[frozenset[int], bytes]]
    neighbours: dict[bytes, tuple[frozenset[int], bytes]]


def read(route: netlink.Socket, *, neighbours: bool = True) -> Settings:
    """What is configured in a namespace now; neighbours: those too. Raises OSError."""
    addresses = route.raw(netlink.RTM_GETADDR, struct.pack("=BBBBI", 0, 0, 0, 0, 0))
    routes = [
        body
        for family in _FAMILIES
        for body in route.raw(netlink.RTM_GETROUTE, struct.pack("=B11x", family))
    ]
    entries = (
        route.raw(netlink.RTM_GETNEIGH, struct.pack("=BBHiHBB", 0, 0, 0, 0, 0, 0, 0))
        if neighbours
        else []
    )
    return Settings(
        dict(_addresses(addresses)), dict(_routes(routes)), dict(_neighbours(entries))
    )


def put_back(route: netlink.Socket, before: Settings, index: int) -> None:
    """Make what is missing of what was configured on the interface of that index. What cannot be
    made any more is left out. Raises OSError if nothing can be read."""
    now = read(route)
    for kind, kept, there in (
        (netlink.RTM_NEWADDR, before.addresses, now.addresses),
        (netlink.RTM_NEWROUTE, before.routes, now.routes),
        (netlink.RTM_NEWNEIGH, before.neighbours, now.neighbours),
    ):
        missing = [
            Message(kind, netlink.NLM_F_CREATE | netlink.NLM_F_EXCL, body, term("put it back"))
            for key, (indexes, body) in kept.items()
            if index in indexes and key not in there
        ]
        _make(route, missing)


def messages(entries: dict[bytes, tuple[frozenset[int], bytes]], keys: Iterable[bytes]) -> (
    list[Message]
):
    """The messages that make these addresses."""
    return [
        Message(netlink.RTM_NEWADDR, netlink.NLM_F_CREATE, entries[key][1], term("put it back"))
        for key in keys
    ]


def _make(route: netlink.Socket, messages: list[Message]) -> None:
    for _ in range(_ROUNDS):
        left = []
        for message in messages:
            try:
                route.send([message])
            except OSError as error:
                if error.errno not in _THERE:
                    left.append(message)
        if not left:
            return
        messages = left


def _part(data: bytes, attributes: Iterable[tuple[int, bytes]]) -> bytes:
    return data + b"".join(netlink.attribute(kind, value) for kind, value in attributes)


Entry = tuple[bytes, tuple[frozenset[int], bytes]]


def _addresses(bodies: Iterable[bytes]) -> Iterator[Entry]:
    for body in bodies:
        family, prefix, flags, scope, index = struct.unpack_from("=BBBBI", body)
        attributes = netlink.read_attributes(body, 8)
        raw = attributes.get(_IFA_FLAGS)
        all_flags = struct.unpack("=I", raw)[0] if raw else flags
        if scope == _SCOPE_LINK or not all_flags & _IFA_F_PERMANENT:
            continue  # the kernel's own, or lent for a time
        key = body[:2] + body[4:8] + attributes.get(netlink.IFA_LOCAL, b"")
        key += attributes.get(netlink.IFA_ADDRESS, b"")
        if family == socket.AF_INET6:  # nobody else has it: no doubt for a second
            attributes[_IFA_FLAGS] = struct.pack("=I", _IFA_F_NODAD | _IFA_F_PERMANENT)
        attributes.pop(_IFA_CACHEINFO, None)
        head = struct.pack("=BBBBI", family, prefix, 0, scope, index)
        yield key, (frozenset((index,)), _part(head, attributes.items()))


def _routes(bodies: Iterable[bytes]) -> Iterator[Entry]:
    for body in bodies:
        head = bytearray(body[:12])
        table, protocol, flags = head[4], head[5], struct.unpack_from("=I", body, 8)[0]
        attributes = netlink.read_attributes(body, 12)
        raw = attributes.get(_RTA_TABLE)
        table = struct.unpack("=I", raw)[0] if raw else table
        if protocol not in _BY_HAND or table == _TABLE_LOCAL or flags & netlink.RTM_F_CLONED:
            continue
        struct.pack_into("=I", head, 8, flags & netlink.RTNH_F_ONLINK)
        attributes.pop(_RTA_CACHEINFO, None)
        out = attributes.get(_RTA_OIF)
        indexes = {struct.unpack("=I", out)[0]} if out else set()
        if _RTA_MULTIPATH in attributes:
            hops, own = _next_hops(attributes[_RTA_MULTIPATH])
            attributes[_RTA_MULTIPATH] = hops
            indexes |= own
        order = (_RTA_DST, _RTA_SRC, _RTA_GATEWAY, _RTA_VIA, _RTA_OIF, _RTA_TABLE, _RTA_PRIORITY,
                 _RTA_MULTIPATH)  # fmt: skip
        key = _part(bytes(head[:4]), [(k, attributes[k]) for k in order if k in attributes])
        yield key, (frozenset(indexes), _part(bytes(head), attributes.items()))


def _next_hops(data: bytes) -> tuple[bytes, set[int]]:
    """Several next hops (struct rtnexthop) without what they are at the moment, dead or down; and
    their interfaces."""
    made, indexes, at = bytearray(data), set(), 0
    while at + 8 <= len(data):
        length, flags, _, index = struct.unpack_from("=HBBi", data, at)
        made[at + 2] = flags & netlink.RTNH_F_ONLINK
        indexes.add(index)
        at += max(8, (length + 3) & ~3)
    return bytes(made), indexes


def _neighbours(bodies: Iterable[bytes]) -> Iterator[Entry]:
    for body in bodies:
        family, _, _, index, state, flags, kind = struct.unpack_from("=BBHiHBB", body)
        attributes = netlink.read_attributes(body, 12)
        if not state & _NUD_PERMANENT or _NDA_DST not in attributes or kind not in (0, 1):
            continue
        head = struct.pack("=BBHiHBB", family, 0, 0, index, _NUD_PERMANENT, flags, 0)
        own = [(k, attributes[k]) for k in (_NDA_DST, _NDA_LLADDR) if k in attributes]
        yield body[:1] + body[4:8] + attributes[_NDA_DST], (frozenset((index,)), _part(head, own))
