# SPDX-License-Identifier: Apache-2.0
"""One journey to one `Way`: its path, who got it, who ignored it, what each node did to it.

What lives here: the order of work for one journey, and what each node made of the packet. What must
not: why it was sent or what answers it (`causes.py`, `tcp.py`), headings (`steps.py`).

A packet that takes the way of one before it is told by that (`same_route.py`). Of any other:

1. Each hop becomes a leg, and its frame is decoded (`copies.py`).
2. Where nothing was made of a copy, it came to its end (`end_of_copy.py`). If it was delivered to
   nobody, one of these ends is the packet's (`undelivered.py`).
3. The branch that leads there is the path (`paths.py`).
4. What was remarkable on the way is noted (`trip_notes.py`, `circling.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

from hoplab.decode.packet import Packet
from hoplab.follow.model import Hop, Journey, Origin
from hoplab.sentences import Sentence, say
from hoplab.story.circling import find_storm, storm_notes
from hoplab.story.copies import Copies, copies_of
from hoplab.story.coverage import Evidence, reserved
from hoplab.story.destinations import is_group_mac, wanted
from hoplab.story.end_of_copy import find_ends
from hoplab.story.paths import find_path, find_target, ignored_copies
from hoplab.story.places import Places, packet_in, packet_made_of
from hoplab.story.same_route import Routes, Stamps, Taken, legs_like, route_of, taken_by
from hoplab.story.titles import describe, message_in
from hoplab.story.trip_notes import (
    copies_too_many,
    fragments,
    missing_copies,
    tags,
    under_way_at_start,
    way_unseen,
)
from hoplab.story.trip_records import Fanout, Ignored, Leg, NextHop, Rewrite, Way
from hoplab.story.undelivered import find_ending


def tell_way(
    places: Places,
    journey: Journey,
    started_ns: int,
    evidence: Evidence | None = None,
    routes: Routes | None = None,
    hops: list[Hop] | None = None,
) -> Way:
    """What the journey alone tells.

    evidence: what the capture could see. What it could not is not told as lost. routes: the ways
    that packets took before it. hops: the journey's, if they are at hand.
    """
    evidence = evidence or Evidence(places.wiring)
    hops = hops or journey.hops()
    route = None
    if routes is not None and not evidence.may_bear_on(hops[0]):
        route, stamps = route_of(hops)
        taken = routes.find(route) if route is not None else None
        if taken is not None:
            return _tell_likewise(taken, journey.number, hops, stamps, started_ns)
    taken = _find_way(places, journey.number, hops, started_ns, evidence)
    if routes is not None and route is not None:
        routes.keep(route, taken)
    return taken.way


def _tell_likewise(
    taken: Taken, number: int, hops: list[Hop], stamps: list[Stamps], started_ns: int
) -> Way:
    """The way of a packet that took that of another."""
    first, last = hops[0], hops[taken.last or 0]
    packet = packet_in(first)
    message = message_in(packet)
    kind, title = describe(packet, message)
    t_ns = first.t_ns
    ms = (t_ns - started_ns) / 1e6
    arrived_ns = _arrived_ns(last, taken.last)
    translated = taken.way.translated
    arrived = packet_made_of(packet, first, last) if translated else packet
    legs = legs_like(taken, stamps)
    apart = (
        number, t_ns, ms, kind, title, first.seen.length, legs, packet, arrived_ns, arrived, message
    )  # fmt: skip
    return tuple.__new__(Way, apart + taken.shared)


def _find_way(
    places: Places, number: int, hops: list[Hop], started_ns: int, evidence: Evidence
) -> Taken:
    """The way of a packet like none before it."""
    copies = copies_of(places, hops, evidence)
    legs, packets = copies.legs, copies.packets
    ends = find_ends(places, copies, evidence)
    target = find_target(places, packets, ends)
    early = evidence.under_way_at_start(hops[0], _foreign(places, legs[0], packets[0]))
    ending = find_ending(places, copies, ends, evidence, target, early=early)
    main, path, fan = find_path(legs, ends, target, ending.death)
    last = main or 0
    message = message_in(packets[0])
    kind, title = describe(packets[0], message)
    translated = not _same_but_for_hops(packets[0], packets[last])
    storm = find_storm(places, hops)
    stray = _stray(places, hops[0], packets[0])
    # Of one that was under way at the start a note of its own says where it was.
    unseen = stray and not early and evidence.came_unseen(hops[0])
    unexplained = stray and not early and not unseen
    ignored = tuple(ignored_copies(path, ends, legs))
    way = Way(
        number=number,
        t_ns=hops[0].t_ns,
        ms=(hops[0].t_ns - started_ns) / 1e6,
        kind=kind,
        title=title,
        sender=_sender(places, legs[0], packets[0], evidence, early=early),
        target=target,
        src=packets[0].src,
        dst=wanted(packets[0]),
        length=hops[0].seen.length,
        path=tuple(path),
        fan=tuple(fan),
        legs=tuple(legs),
        delivered=tuple(dict.fromkeys(end.node for end in ends if end.how == "delivered")),
        ignored=ignored,
        fanouts=tuple(_fanouts(places, copies)),
        rewrites=tuple(_rewrites(places, copies)),
        ended=ending.ended,
        next_hops=_next_hops(places, legs),
        at_rest=_at_rest(places, legs, ignored),
        fate=ending.fate,
        unreached=ending.unreached,
        packet=packets[0],
        arrived_ns=_arrived_ns(hops[last], main),
        last=packets[last if translated else 0],
        notes=(
            *under_way_at_start(early, legs[0]),
            *([way_unseen(legs[0].tail)] if unseen else []),
            *tags(legs, hops, main),
            *fragments(copies),
            *missing_copies(evidence, hops, ending.ended),
            *(storm_notes(storm, hops) or copies_too_many(places, hops)),
            *filter(None, [ending.doubt]),
        ),
        storm=storm,
        under_way=early or ending.fate == "cut" or any(end.how == "cut" for end in ends),
        doubt=ending.doubt,
        stray=stray,
        cause=_unexplained(legs[0]) if unexplained else "",
        translated=translated,
        message=message,
        last_leg=ending.last_leg,
    )
    return taken_by(way, main, whole=all(end.how in ("delivered", "ignored") for end in ends))


def _arrived_ns(last: Hop, main: int | None) -> int:
    """When the frame of the last leg arrived; when it was seen, if it did not, or if it is not
    known which one is the last."""
    if main is not None and last.received is not None:
        return last.received.t_ns
    return last.t_ns


def _next_hops(places: Places, legs: list[Leg]) -> tuple[NextHop, ...]:
    """Where nodes sent it, by MAC address."""
    return tuple(
        NextHop(leg.index, (leg.tail, places.card(leg.dst_mac)), leg.origin != "born")
        for leg in legs
        if leg.origin != "switched"
    )


def _at_rest(places: Places, legs: list[Leg], ignored: Sequence[Ignored]) -> bool:
    """Each copy was seen to come to somebody who passes nothing on: no switch or router has it
    last, and no link."""
    alone = {copy.leg for copy in ignored}
    following = [leg.parent for leg in legs[1:]] + [None]
    for leg, parent in zip(legs, following, strict=True):
        # A leg that was made of another one stands directly behind it.
        if parent == leg.index or leg.index in alone:
            continue
        if leg.lost or places.switch(leg.head) or places.router(leg.head):
            return False
    return True


def _unexplained(leg: Leg) -> Sentence:
    return say("{node} sent it, and no frame that came in explains it", node=leg.tail)


def _sender(
    places: Places, leg: Leg, packet: Packet, evidence: Evidence, *, early: bool
) -> str:
    """The node that made it: who sent its first frame, unless that had only passed it on when the
    capture began (early), or before it came to the one place that the capture is of."""
    if not early and not evidence.coverage.place:
        return leg.tail
    return places.owner(packet.src) or places.card(leg.src_mac) or leg.tail


def _same_but_for_hops(before: Packet, after: Packet) -> bool:
    """Whether only routers, if anybody, have changed the packet on its way."""
    ends = (before.src, before.dst, before.icmp, before.udp, before.tcp)
    return ends == (after.src, after.dst, after.icmp, after.udp, after.tcp)


def _foreign(places: Places, leg: Leg, packet: Packet) -> bool:
    """The packet's source is another node than the one that sent the first frame of it, which may
    have passed it on: a switch any frame, who has several cards what is routed. What a host with
    one card sends is its own, whatever address it gives as its own."""
    if places.switch(leg.tail) or packet.ip is None:
        return places.card(leg.src_mac) not in ("", leg.tail)
    if not places.router(leg.tail) and places.wired_ports.get(leg.tail, 1) < 2:
        return False
    owner = places.owner(packet.src)
    return owner not in ("", leg.tail)


def _stray(places: Places, first: Hop, packet: Packet) -> bool:
    """A switch sent it, and it is no frame of its own: none of the machine that it runs on, which
    bears the MAC address of one of its ports, none of spanning tree, no probe of its controller."""
    node, eth = places.node(first.tail), packet.eth
    if not places.switch(node) or eth is None or places.card(eth.src) == node:
        return False
    return eth.type != 0x88CC and not reserved(first)


def _fanouts(places: Places, copies: Copies) -> list[Fanout]:
    """What switches did with it."""
    fanouts = []
    for hop, leg, packet in zip(copies.hops, copies.legs, copies.packets, strict=True):
        node = leg.head
        if places.switch(node) and not hop.more:  # some of its copies are only counted
            children = hop.children
            if len(children) == 1:
                out = int(children[0].tail != hop.head)
            else:
                out = len({child.tail for child in children} - {hop.head})
            further = max(places.wired_ports.get(node, 1) - 1, out)
            due = packet.eth is not None and is_group_mac(packet.eth.dst)
            fanouts.append(Fanout(node, out, further, due, leg.index))
    return fanouts


def _rewrites(places: Places, copies: Copies) -> list[Rewrite]:
    """What routers did with it."""
    rewrites = []
    for place, hop in enumerate(copies.hops):
        if hop.origin is Origin.BORN or hop.origin is Origin.SWITCHED or hop.parent is None:
            continue
        parent = copies.index[id(hop.parent)]
        before, after = copies.legs[parent], copies.legs[place]
        old, new = copies.packets[parent], copies.packets[place]
        rewrites.append(
            Rewrite(
                node=after.tail,
                leg=place,
                src_mac_before=before.src_mac,
                dst_mac_before=before.dst_mac,
                src_mac_after=after.src_mac,
                dst_mac_after=after.dst_mac,
                src_owner_before=places.card(before.src_mac),
                dst_owner_before=places.card(before.dst_mac),
                src_owner_after=places.card(after.src_mac),
                next_hop=places.card(after.dst_mac),
                src_before=old.src,
                dst_before=old.dst,
                src_after=new.src,
                dst_after=new.dst,
                ttl_before=old.ttl,
                ttl_after=new.ttl,
            )
        )
    return rewrites
