# SPDX-License-Identifier: Apache-2.0
"""Packets that go the way of one before them: where it leads is found out once, and told of each.

What lives here: what of a packet's frames decides where it went and who got it, and the ways of
those that came before. What must not: how a way is found out (`trips.py`).

The packets of one flow cross the same links, one like the other. What is told of that, but for
times, frame numbers and what they carry, follows from
1. the links, in which order nodes sent the frame on, and how often,
2. the header of each frame that is not the copy of another: its MAC and IP addresses, its TTL, the
   protocol, of ARP all of it,
3. what the receivers' cards took it for, and which copy came to its end before which,
4. whose an address is, as far as frames have shown it by then.
The first three are the packet's `Route`. One with a frame that was lost or is in doubt, that went
round, or was cut to fragments has none: its way is found out anew.
"""

from __future__ import annotations

from functools import partial
from operator import add
from typing import Any, NamedTuple

from hoplab.follow.model import Hop, Origin, Tally
from hoplab.story.coverage import RESERVED
from hoplab.story.places import Places
from hoplab.story.trip_records import Leg, Way

Route = tuple[object, ...]
Stamps = tuple[Any, ...]  # what a leg has of its own: the fields from `t_ns` on

_MOST = 4096  # routes; a scan of ports and addresses would make ever more of them
_SWITCHED = Origin.SWITCHED
_TCP, _UDP, _ICMPV6 = 6, 17, 58
_DHCP_CLIENT = b"\0\x44"  # port 68: the message says which card it is for (RFC 2131 section 4.1)


class Taken(NamedTuple):
    """A way that a packet took. last: the leg at the end of its path, None if several are. whole:
    each copy was seen to come to somebody who took it, or left it alone. shared, links: what the
    way, and each of its legs, has in common with those of all packets on the route."""

    way: Way
    last: int | None
    whole: bool
    shared: tuple[Any, ...]
    links: tuple[tuple[Any, ...], ...]


_leg = partial(tuple.__new__, Leg)
_WAY_SHARED = Way._fields.index("sender")
_LEG_SHARED = Leg._fields.index("t_ns")


def taken_by(way: Way, last: int | None, *, whole: bool) -> Taken:
    """The way that a packet took; see `Taken`."""
    links = tuple(leg[:_LEG_SHARED] for leg in way.legs)
    return Taken(way, last, whole, way[_WAY_SHARED:], links)


class Routes:
    """The ways of packets by their routes, as long as addresses are where they were."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._changes = places.changes
        self._taken: dict[Route, Taken] = {}

    def find(self, route: Route) -> Taken | None:
        """The way that one before it took, None if there is none."""
        if self._changes != self._places.changes:
            self._changes = self._places.changes
            self._taken.clear()
        return self._taken.get(route)

    def keep(self, route: Route, taken: Taken) -> None:
        """Keeps a way, if there is nothing about it that the next one need not share."""
        way = taken.way
        if not taken.whole or way.ended or way.notes or way.cause or way.under_way or way.storm:
            return
        if len(self._taken) >= _MOST:
            self._taken.clear()
        self._taken[route] = taken


def route_of(hops: list[Hop]) -> tuple[Route | None, list[Stamps]]:
    """The route of a packet, None if more decides what became of it; and the stamps of its frames.
    hops: as in its journey."""
    route: list[object] = []
    stamps: list[Stamps] = []
    ends: list[tuple[int, int, int]] = []
    tally, before = None, b""
    for hop in hops:
        sent, received, children = hop.sent, hop.received, hop.children
        if sent is None or received is None or hop.doubt or hop.more or hop.counted:
            return None, stamps
        if hop.tally is not tally:
            tally = hop.tally
            if _went_round(tally):
                return None, stamps
        forks = len(children)
        if forks != 1:
            if not forks:
                ends.append((sent.t_ns, sent.number, len(stamps)))
            elif children[0].origin is not _SWITCHED:
                return None, stamps
        route += hop.tail, hop.head, forks, hop.origin._value_, received.reception
        data = sent.data
        if data != before:
            header = _header(data)
            if header is None:
                return None, stamps
            route.append(header)
            before = data
        stamps.append((
            sent.t_ns, sent.number, received.number, sent.length,
            False, hop.healed, False, False, False, received.t_ns, None,
        ))  # fmt: skip
    return (*route, *_in_order_of_time(ends)), stamps


def _went_round(tally: Tally | None) -> bool:
    """Whether a frame left one port more than once."""
    return tally is not None and max(tally.top.left.values()) > 1


def _in_order_of_time(ends: list[tuple[int, int, int]]) -> list[int]:
    """The places of the last hops, nothing for one alone; of each its time, its frame's number and
    its place."""
    ends.sort()
    return [place for _, _, place in ends] if len(ends) > 1 else []


def _header(data: bytes) -> bytes | None:
    """What of a frame decides whom it is for; None if that stands further behind, or if it is for
    the next bridge alone."""
    kind = data[12:15]
    if data.startswith(RESERVED):
        return None
    if kind == b"\x08\x00\x45" and len(data) >= 38:
        if data[23] == _UDP and data[36:38] == _DHCP_CLIENT:
            return None
        return data[:16] + data[20:24] + data[26:34]  # without length, identification, checksum
    if kind[:2] == b"\x08\x06":
        return data[:42]
    if kind[:2] == b"\x86\xdd" and len(data) >= 58:
        # Neighbour discovery asks for an address; of everything else the addresses tell.
        echo = data[20] == _ICMPV6 and data[54] in (128, 129)
        if echo or data[20] == _TCP or (data[20] == _UDP and data[56:58] != _DHCP_CLIENT):
            return data[:14] + data[20:54]
    return None


def legs_like(taken: Taken, stamps: list[Stamps]) -> tuple[Leg, ...]:
    """The frames of a packet on the route of another, which took this way."""
    return tuple(map(_leg, map(add, taken.links, stamps)))
