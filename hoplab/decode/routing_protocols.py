# SPDX-License-Identifier: Apache-2.0
"""What routers tell each other: OSPF (RFC 2328) and RIP (RFC 2453) messages to records.

What lives here: what one message says. What must not: which route came of it.
Rules: those of `packet`. Nothing raises, and what stands before a broken part is still there.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple

from hoplab.decode.packet import Packet, ipv4_text

OSPF, RIP_PORT = 89, 520
HELLO, DESCRIPTION, REQUEST, UPDATE, ACKNOWLEDGEMENT = range(1, 6)
ROUTER_LSA = 1
MAX_AGE = 3600  # seconds; an LSA of that age is taken back
TO_ROUTER, TO_TRANSIT, TO_STUB = 1, 2, 3
RIP_REQUEST, RIP_RESPONSE = 1, 2
UNREACHABLE = 16  # RIP's distance to what there is no way to

_HEADER = Struct("!BBH4s4s").unpack_from
_HEADER_BYTES = 24
_HELLO = Struct("!4sHBBI4s4s").unpack_from
_HELLO_BYTES = 20
_LSA = Struct("!HBB4s4sIHH").unpack_from
_LSA_BYTES = 20
_LINK = Struct("!4s4sBBH").unpack_from
_LINK_BYTES = 12
_ENTRY = Struct("!HH4s4s4sI").unpack_from
_ENTRY_BYTES = 20


class Lsa(NamedTuple):
    """A link state advertisement, or the head of one. routers: those that the router is joined to
    by a cable; networks: those that it has, with their length (of a router LSA, where it is
    whole)."""

    age: int
    type: int
    id: str
    router: str
    sequence: int
    routers: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()


class Ospf(NamedTuple):
    """An OSPF packet. neighbours, hello_s, dead_s: of a Hello. entries: of a Link State Request,
    how many it asks for."""

    type: int
    router: str
    area: str
    neighbours: tuple[str, ...] = ()
    hello_s: int = 0
    dead_s: int = 0
    lsas: tuple[Lsa, ...] = ()
    entries: int = 0


class RipRoute(NamedTuple):
    network: str
    metric: int


class Rip(NamedTuple):
    """A RIP message. whole: a request for all routes."""

    command: int
    version: int
    routes: tuple[RipRoute, ...]
    whole: bool


def read_ospf(packet: Packet) -> Ospf | None:
    """The OSPF packet, version 2, in an IPv4 packet; else None."""
    ip, data = packet.ipv4, packet.payload
    if ip is None or ip.protocol != OSPF or ip.fragment or len(data) < _HEADER_BYTES:
        return None
    version, kind, length, router, area = _HEADER(data)
    if version != 2 or not HELLO <= kind <= ACKNOWLEDGEMENT:
        return None
    body = data[_HEADER_BYTES : max(length, _HEADER_BYTES)]
    message = Ospf(kind, ipv4_text(router), ipv4_text(area))
    if kind == HELLO and len(body) >= _HELLO_BYTES:
        _, hello_s, _, _, dead_s, _, _ = _HELLO(body)
        neighbours = tuple(
            ipv4_text(body[at : at + 4]) for at in range(_HELLO_BYTES, len(body) - 3, 4)
        )
        return message._replace(neighbours=neighbours, hello_s=hello_s, dead_s=dead_s)
    if kind == DESCRIPTION:
        return message._replace(lsas=tuple(_heads(body[8:])))
    if kind == REQUEST:
        return message._replace(entries=len(body) // 12)
    if kind == UPDATE:
        return message._replace(lsas=tuple(_whole(body[4:])))
    return message._replace(lsas=tuple(_heads(body)))


def _heads(data: bytes) -> Iterator[Lsa]:
    for at in range(0, len(data) - _LSA_BYTES + 1, _LSA_BYTES):
        yield _lsa(data[at:])


def _whole(data: bytes) -> Iterator[Lsa]:
    while len(data) >= _LSA_BYTES:
        length = _LSA(data)[-1]
        if length < _LSA_BYTES:
            return
        yield _lsa(data[:length])
        data = data[length:]


def _lsa(data: bytes) -> Lsa:
    age, _, kind, name, router, sequence, _, _ = _LSA(data)
    lsa = Lsa(age & 0x7FFF, kind, ipv4_text(name), ipv4_text(router), sequence)
    if kind != ROUTER_LSA:
        return lsa
    routers: list[str] = []
    networks: list[str] = []
    for at in range(_LSA_BYTES + 4, len(data) - _LINK_BYTES + 1, _LINK_BYTES):
        far, own, link, _, _ = _LINK(data, at)
        if link == TO_ROUTER:
            routers.append(ipv4_text(far))
        elif link == TO_STUB:
            networks.append(_network(far, own))
    return lsa._replace(routers=tuple(routers), networks=tuple(networks))


def _network(address: bytes, mask: bytes) -> str:
    return f"{ipv4_text(address)}/{int.from_bytes(mask).bit_count()}"


def read_rip(packet: Packet) -> Rip | None:
    """The RIP message in a UDP packet to or from its port, else None."""
    udp, data = packet.udp, packet.payload
    if udp is None or RIP_PORT not in (udp.sport, udp.dport) or len(data) < 4:
        return None
    command, version = data[0], data[1]
    if command not in (RIP_REQUEST, RIP_RESPONSE) or version not in (1, 2):
        return None
    routes: list[RipRoute] = []
    whole = False
    for at in range(4, len(data) - _ENTRY_BYTES + 1, _ENTRY_BYTES):
        family, _, address, mask, _, metric = _ENTRY(data, at)
        if family == 0 and metric == UNREACHABLE:
            whole = True
        elif family == 2:
            network = _network(address, mask) if version == 2 else ipv4_text(address)
            routes.append(RipRoute(network, metric))
    return Rip(command, version, tuple(routes), whole)
