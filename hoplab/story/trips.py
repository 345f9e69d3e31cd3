# SPDX-License-Identifier: Apache-2.0
"""One journey to one `Trip`: its path, who got it, who ignored it, what each node did to it.

What lives here: the order of work for one journey, and what each node made of the packet. What must
not: why it was sent or what answers it (`causes.py`, `tcp.py`), headings (`steps.py`).

1. Each hop becomes a leg, and its frame is decoded (here).
2. Where nothing was made of a copy, it came to its end (`end_of_copy.py`). If it was delivered to
   nobody, one of these ends is the packet's (`undelivered.py`).
3. The branch that leads there is the path (`paths.py`).
4. What was remarkable on the way is noted (`trip_notes.py`, `circling.py`).
"""

from __future__ import annotations

from hoplab.decode import packet as wire
from hoplab.decode.packet import Packet
from hoplab.follow.model import Hop, Journey, Origin
from hoplab.sentences import Sentence, say
from hoplab.story.astray import how_it_ended
from hoplab.story.circling import find_storm, storm_notes
from hoplab.story.coverage import Evidence, Fate, reserved
from hoplab.story.destinations import wanted
from hoplab.story.end_of_copy import find_ends
from hoplab.story.paths import find_path, find_target, ignored_copies
from hoplab.story.places import Places
from hoplab.story.records import Fanout, Leg, Rewrite, Trip
from hoplab.story.titles import describe
from hoplab.story.trip_notes import (
    copies_too_many,
    fragments,
    missing_copies,
    under_way_at_start,
    way_unseen,
)
from hoplab.story.undelivered import find_death_of_packet, tell_end


def tell_trip(
    places: Places, journey: Journey, started_ns: int, evidence: Evidence | None = None
) -> Trip:
    """The journey as a trip, without anything that needs other journeys.

    evidence: what the capture could see. What it could not is not told as lost.
    """
    evidence = evidence or Evidence(places.wiring)
    hops = list(journey.hops())
    index = {id(hop): place for place, hop in enumerate(hops)}
    packets = _packets(hops, index)
    legs = [_leg(places, hop, place, index, packets, evidence) for place, hop in enumerate(hops)]
    ends = find_ends(places, hops, legs, packets, evidence)
    target = find_target(places, packets, ends)
    early = evidence.under_way_at_start(hops[0], _foreign(places, legs[0], packets[0]))
    death = find_death_of_packet(places, hops, legs, ends, packets)
    ended = fate = doubt = unreached = ""
    if death is not None:
        fate = how_it_ended(death, ends)
        ended, fate, doubt = tell_end(
            places, death, fate, hops, legs, evidence, target, early=early
        )
        unreached = death.unreached if ended == death.why else ""
    main, path, fan = find_path(legs, ends, target, death)
    last = main or 0
    kind, title = describe(packets[0])
    storm = find_storm(places, hops)
    stray = _stray(places, hops[0], packets[0])
    # The frame that it is a copy of may have come in where the capture misses frames.
    came_unseen = stray and not early and evidence.came_unseen(hops[0])
    return Trip(
        number=journey.number,
        t_ns=hops[0].t_ns,
        ms=(hops[0].t_ns - started_ns) / 1e6,
        kind=kind,
        title=title,
        sender=legs[0].tail,
        target=target,
        src=packets[0].src,
        dst=wanted(packets[0]),
        length=hops[0].seen.length,
        path=path,
        fan=fan,
        legs=legs,
        delivered=list(dict.fromkeys(end.node for end in ends if end.how == "delivered")),
        ignored=ignored_copies(path, ends, legs),
        fanouts=_fanouts(places, hops, legs, packets),
        rewrites=_rewrites(places, hops, index, legs, packets),
        ended=ended,
        fate=fate,
        unreached=unreached,
        packet=packets[0],
        arrived_ns=_arrived_ns(hops[last], main),
        last=packets[last],
        notes=[
            *under_way_at_start(early, legs[0]),
            *([way_unseen(legs[0].tail)] if came_unseen else []),
            *fragments(hops, legs, packets),
            *missing_copies(evidence, hops, ended),
            *(storm_notes(storm, hops) or copies_too_many(places, hops)),
            *filter(None, [doubt]),
        ],
        storm=storm,
        under_way=early or fate == "cut" or any(end.how == "cut" for end in ends),
        doubt=doubt,
        stray=stray,
        cause=_unexplained(legs[0]) if stray and not early and not came_unseen else "",
    )


def _packets(hops: list[Hop], index: dict[int, int]) -> list[Packet]:
    """The packet in each frame; what a switch copied is decoded once."""
    packets: list[Packet] = []
    for hop in hops:
        same = hop.origin == Origin.SWITCHED and hop.parent is not None
        parent = index.get(id(hop.parent)) if same else None
        packets.append(packets[parent] if parent is not None else wire.decode(hop.data))
    return packets


def _arrived_ns(last: Hop, main: int | None) -> int:
    """When the frame of the last leg arrived; when it was seen, if it did not, or if it is not
    known which one is the last."""
    if main is not None and last.received is not None:
        return last.received.t_ns
    return last.t_ns


def _unexplained(leg: Leg) -> Sentence:
    return say("{node} sent it, and no frame that came in explains it", node=leg.tail)


def _foreign(places: Places, leg: Leg, packet: Packet) -> bool:
    """The packet's source is another node than the one that sent the first frame of it."""
    if places.switch(leg.tail):
        return places.card(leg.src_mac) not in ("", leg.tail)
    owner = places.owner(packet.src)
    return owner not in ("", leg.tail)


def _stray(places: Places, first: Hop, packet: Packet) -> bool:
    """A switch sent it, and it is no frame of its own: none of the machine that it runs on, which
    bears the MAC address of one of its ports, none of spanning tree, no probe of its controller."""
    node, eth = places.node(first.tail), packet.eth
    if not places.switch(node) or eth is None or places.card(eth.src) == node:
        return False
    return eth.type != 0x88CC and not reserved(first)


def _leg(
    places: Places,
    hop: Hop,
    place: int,
    index: dict[int, int],
    packets: list[Packet],
    evidence: Evidence,
) -> Leg:
    # Copies that switches made share the Ethernet header of the frame that they copied.
    eth = packets[place].eth
    parent = index.get(id(hop.parent)) if hop.parent is not None else None
    fate = evidence.fate(hop)
    return Leg(
        index=place,
        parent=parent,
        tail=places.node(hop.tail),
        tail_interface=places.name(hop.tail),
        head=places.node(hop.head),
        head_interface=places.name(hop.head),
        t_ns=hop.t_ns,
        sent=hop.sent.number if hop.sent is not None else None,
        received=hop.received.number if hop.received is not None else None,
        origin=hop.origin.value,
        src_mac=eth.src if eth else "",
        dst_mac=eth.dst if eth else "",
        length=hop.seen.length,
        lost=fate is Fate.LOST,
        healed=hop.healed,
        cut=fate is Fate.CUT,
        uncertain=hop.doubt != 0,
        unseen=fate is Fate.UNSEEN,
    )


def _fanouts(
    places: Places, hops: list[Hop], legs: list[Leg], packets: list[Packet]
) -> list[Fanout]:
    out = []
    for place, hop in enumerate(hops):
        node = legs[place].head
        if places.switch(node) and not hop.more:  # some of its copies are only counted
            ports = {child.tail for child in hop.children} - {hop.head}
            further = max(places.wired_ports.get(node, 1) - 1, len(ports))
            eth = packets[place].eth
            due = eth is not None and bool(int(eth.dst[:2], 16) & 1)
            out.append(Fanout(node, len(ports), further, due, place))
    return out


def _rewrites(
    places: Places, hops: list[Hop], index: dict[int, int], legs: list[Leg], packets: list[Packet]
) -> list[Rewrite]:
    out = []
    for place, hop in enumerate(hops):
        if hop.origin not in (Origin.ROUTED, Origin.TRANSLATED) or hop.parent is None:
            continue
        parent = index[id(hop.parent)]
        before, after, old, new = legs[parent], legs[place], packets[parent], packets[place]
        out.append(
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
    return out
