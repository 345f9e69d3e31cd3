# SPDX-License-Identifier: Apache-2.0
"""The frames of one packet, one on each link that it crossed: as hop, as leg, and decoded.

What lives here: what each frame is by itself. What must not: what became of it (`end_of_copy.py`),
which of the frames count (`paths.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

from hoplab.decode.packet import Packet
from hoplab.follow.model import Hop
from hoplab.story.coverage import Evidence, Fate
from hoplab.story.places import Places, packet_in, packet_made_of
from hoplab.story.trip_records import Leg


@dataclass(slots=True, frozen=True)
class Copies:
    """hops, legs, packets: of each frame, parents before what was made of them. index: the place of
    a hop in these, by its `id`."""

    hops: list[Hop]
    legs: list[Leg]
    packets: list[Packet]
    index: dict[int, int]


def copies_of(places: Places, hops: list[Hop], evidence: Evidence) -> Copies:
    """The frames of a journey, by its hops.

    One pass, since each packet has some five of them: a frame that a switch copied is decoded once,
    who is at the ends of a link is looked up by its ports, and only a frame that was not seen to
    arrive is asked what became of it.
    """
    legs: list[Leg] = []
    packets: list[Packet] = []
    index: dict[int, int] = {}
    for place, hop in enumerate(hops):
        index[id(hop)] = place
        cause, origin = hop.parent, hop.origin
        parent = index.get(id(cause)) if cause is not None else None
        sent, received = hop.sent, hop.received
        seen = sent or received
        assert seen is not None, "a hop is made from at least one observation"
        if parent is not None:
            packet = packet_made_of(packets[parent], hops[parent], hop)
        else:
            packet = packet_in(hop)
        eth = packet.eth
        fate = evidence.fate(hop) if received is None else None
        tail, tail_interface, head, head_interface = places.link(hop.tail, hop.head)
        leg = Leg(
            place,
            parent,
            tail,
            tail_interface,
            head,
            head_interface,
            origin._value_,  # as `value`, which is a slow property
            eth.src if eth else "",
            eth.dst if eth else "",
            seen.t_ns,
            sent.number if sent is not None else None,
            received.number if received is not None else None,
            seen.length,
            fate is Fate.LOST,
            hop.healed,
            fate is Fate.CUT,
            hop.doubt != 0,
            fate is Fate.UNSEEN,
            received.t_ns if received is not None else 0,
            eth.vlan if eth else None,
        )
        legs.append(leg)
        packets.append(packet)
    return Copies(hops, legs, packets, index)
