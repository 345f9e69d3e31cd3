# SPDX-License-Identifier: Apache-2.0
"""The frames of one packet, one on each link that it crossed: as hop, as leg, and decoded.

What lives here: what each frame is by itself. What must not: what became of it (`end_of_copy.py`),
which of the frames count (`paths.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

from hoplab.decode import packet as wire
from hoplab.decode.packet import Packet
from hoplab.follow.model import Hop, Journey, Origin
from hoplab.story.coverage import Evidence, Fate
from hoplab.story.places import Places
from hoplab.story.records import Leg


@dataclass(slots=True, frozen=True)
class Copies:
    """hops, legs, packets: of each frame, parents before what was made of them. index: the place of
    a hop in these, by its `id`."""

    hops: list[Hop]
    legs: list[Leg]
    packets: list[Packet]
    index: dict[int, int]


def copies_of(places: Places, journey: Journey, evidence: Evidence) -> Copies:
    """The frames of a journey."""
    hops = list(journey.hops())
    index = {id(hop): place for place, hop in enumerate(hops)}
    packets = _packets(hops, index)
    legs = [_leg(places, hop, place, index, packets, evidence) for place, hop in enumerate(hops)]
    return Copies(hops, legs, packets, index)


def _packets(hops: list[Hop], index: dict[int, int]) -> list[Packet]:
    """The packet in each frame; what a switch copied is decoded once."""
    packets: list[Packet] = []
    for hop in hops:
        cause = hop.parent if hop.origin == Origin.SWITCHED else None
        same = cause is not None and cause.data == hop.data
        parent = index.get(id(cause)) if same else None
        packets.append(packets[parent] if parent is not None else wire.decode(hop.data))
    return packets


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
    tail, tail_interface, head, head_interface = places.link(hop.tail, hop.head)
    return Leg(
        index=place,
        parent=parent,
        tail=tail,
        tail_interface=tail_interface,
        head=head,
        head_interface=head_interface,
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
        received_ns=hop.received.t_ns if hop.received is not None else 0,
    )
