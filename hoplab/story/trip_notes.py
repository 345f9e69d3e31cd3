# SPDX-License-Identifier: Apache-2.0
"""What is remarkable about the way of one packet: it was under way when the capture began, a router
cut it, a switch sent it where no switch does by itself, a copy is missing.

What lives here: notes that one journey alone gives rise to. What must not: those that need other
packets (`tcp.py`, `causes.py`, `claims.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hoplab.decode.frame_fields import service_tags, vlan_tags
from hoplab.follow.model import Doubt, Hop, Origin
from hoplab.sentences import Sentence, listed, say
from hoplab.story.copies import Copies
from hoplab.story.counts import times
from hoplab.story.coverage import Evidence
from hoplab.story.end_of_copy import no_copy
from hoplab.story.places import Places
from hoplab.story.trip_records import Leg

_MOST_SPANS = 6  # of a way through many trunks


def under_way_at_start(early: bool, leg: Leg) -> list[str]:
    """Where a packet was that was under way when the capture began."""
    if not early:
        return []
    if leg.sent is None:
        return [say("it was on its way to {node} when the capture began", node=leg.head)]
    return [say("{node} had it when the capture began", node=leg.tail)]


def way_unseen(node: str) -> Sentence:
    """The frame that it is a copy of may have come in where the capture misses frames."""
    return say("how it came to {node} was not seen: the capture missed frames there", node=node)


def fragments(copies: Copies) -> list[str]:
    """Where a router cut the packet, because it was too long for the next link (RFC 791 3.2)."""
    notes: list[str] = []
    for hop, leg in zip(copies.hops, copies.legs, strict=True):
        if len(hop.children) < 2:
            continue
        pieces = [
            copies.packets[copies.index[id(child)]]
            for child in hop.children
            if child.origin in (Origin.ROUTED, Origin.TRANSLATED)
        ]
        sizes = [piece.ipv4.total_length for piece in pieces if piece.ipv4 is not None]
        if len(sizes) > 1 and all(piece.ip is not None and piece.ip.fragment for piece in pieces):
            note = say(
                "{router} cut it into {n} fragments: IP packets of {sizes} bytes",
                router=leg.head, n=len(sizes), sizes=listed(map(str, sizes)),
            )  # fmt: skip
            notes.append(note)
    return notes


def tags(legs: Sequence[Leg], hops: Sequence[Hop], last: int | None) -> list[str]:
    """Where on its way it bears tags (IEEE 802.1Q). last: the leg at the end of its path, None if
    it has several ends."""
    if all(leg.vlan is None for leg in legs):
        return []
    chain = [*legs] if last is None else []
    while last is not None:
        chain.insert(0, legs[last])
        last = legs[last].parent
    spans: list[tuple[str, str, tuple[str, ...]]] = []
    for leg in chain:
        vlans = _vlans(hops[leg.index].data) if leg.vlan is not None else ()
        if spans and spans[-1][1:] == (leg.tail, vlans):
            spans[-1] = spans[-1][0], leg.head, vlans
        else:
            spans.append((leg.tail, leg.head, vlans))
    return [
        say(
            "802.1Q tags on the way: {hops}",
            hops=listed(_span(*span) for span in spans[:_MOST_SPANS]),
        )
    ]


def _vlans(frame: bytes) -> tuple[str, ...]:
    """The numbers of its tags, the outermost first; of a provider's with the name of its kind."""
    kinds = zip(vlan_tags(frame), service_tags(frame), strict=True)
    return tuple(f"{vlan} (802.1ad)" if service else str(vlan) for vlan, service in kinds)


def _span(near: str, far: str, vlans: tuple[str, ...]) -> Sentence:
    if not vlans:
        return say("none from {near} to {far}", near=near, far=far)
    if len(vlans) == 1:
        return say("VLAN {vlan} from {near} to {far}", vlan=vlans[0], near=near, far=far)
    return say(
        "VLANs {vlans}, the outermost first, from {near} to {far}",
        vlans=listed(vlans), near=near, far=far,
    )  # fmt: skip


def missing_copies(evidence: Evidence, hops: list[Hop], ended: str) -> list[str]:
    """The copies for which there was no room, but for the one that says how it ended."""
    lacking = evidence.drops.lacking
    if not lacking:
        return []
    notes = [no_copy(loss) for hop in hops if hop in lacking for loss in lacking[hop]]
    return [note for note in notes if note != ended]


def copies_too_many(places: Places, hops: list[Hop]) -> list[str]:
    """Copies that no switch makes by itself: back out of the port by which the frame came, or more
    than one out of the same port."""
    notes = []
    for hop in hops:
        children = hop.children
        if not children or (len(children) == 1 and children[0].tail != hop.head):
            continue  # as a rule
        switch = places.node(hop.head)
        if not places.switch(switch):
            continue
        sure = [child.tail for child in hop.children if not child.doubt & Doubt.CAUSE]
        if hop.head not in sure and len(set(sure)) == len(sure):
            continue  # as a rule
        for port, count in Counter(sure).items():
            back = port == hop.head
            if back or count > 1:
                notes.append(_copies(switch, places.name(port), count, back))
    return list(dict.fromkeys(notes))


def _copies(switch: str, interface: str, count: int, back: bool) -> str:
    """How often a switch sent one frame out of one port; back: it had come by that port."""
    if not back:
        return say(
            "{switch} sent it out of {interface} {times}",
            switch=switch, interface=interface, times=times(count),
        )  # fmt: skip
    if count > 1:
        return say(
            "{switch} sent it back out of {interface}, where it came {times}",
            switch=switch, interface=interface, times=times(count),
        )  # fmt: skip
    return say(
        "{switch} sent it back out of {interface}, where it came",
        switch=switch, interface=interface,
    )  # fmt: skip
