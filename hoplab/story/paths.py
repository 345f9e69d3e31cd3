# SPDX-License-Identifier: Apache-2.0
"""The path of a packet: of all branches the one that led to whom it is for, or as far as it came.

What lives here: the choice of the last leg, and of the nodes along the way to it. What must not:
how a packet ended there (`undelivered.py`).
"""

from __future__ import annotations

from hoplab.decode.packet import Packet
from hoplab.follow.wiring import natural
from hoplab.story.astray import Death, End
from hoplab.story.places import Places
from hoplab.story.trip_records import Ignored, Leg


def find_target(places: Places, packets: list[Packet], ends: list[End]) -> str:
    """Whom the packet is for: by the addresses it ended with (NAT may have changed them)."""
    for end in sorted(ends, key=lambda end: end.how != "delivered"):
        owner = places.recipient(packets[end.leg])
        if owner:
            return owner
    return places.recipient(packets[0])


def find_path(
    legs: list[Leg], ends: list[End], target: str, death: Death | None
) -> tuple[int | None, list[str], list[str]]:
    """(last leg, node names along it, nodes of a flood that has no one destination)."""
    if death is not None:
        ends = [end for end in ends if end.leg in death.network]
    best = _last_leg(ends, target, death)
    if best is not None:
        chain = _ancestry(legs, best)
        names = [legs[chain[0]].tail, *(legs[place].head for place in chain)]
        return best, [name for name in names if name], []
    chains = [_ancestry(legs, end.leg) for end in ends] or [[0]]
    shared = 0
    while all(len(chain) > shared for chain in chains) and (
        len({chain[shared] for chain in chains}) == 1
    ):
        shared += 1
    names = [legs[0].tail, *(legs[place].head for place in chains[0][:shared])]
    return None, [name for name in names if name], list(dict.fromkeys(end.node for end in ends))


def _last_leg(ends: list[End], target: str, death: Death | None) -> int | None:
    """The leg that leads to whom the packet is for, or as far as it came; None where several do as
    well as each other."""
    delivered = [end for end in ends if end.how == "delivered"]
    for end in delivered:
        if end.node == target:
            return end.leg
    if len(delivered) == 1:
        return delivered[0].leg
    if death is not None and death.leg is not None:
        return death.leg
    return ends[0].leg if not delivered and len(ends) == 1 else None


def _ancestry(legs: list[Leg], place: int) -> list[int]:
    """The legs from the root to this one."""
    chain = [place]
    while (parent := legs[chain[-1]].parent) is not None:
        chain.append(parent)
    return chain[::-1]


def ignored_copies(path: list[str], ends: list[End], legs: list[Leg]) -> list[Ignored]:
    """By where on the path the copy was made, then by name: which of a switch's copies arrived a
    moment earlier says nothing, and differs from run to run."""
    at = {node: place for place, node in reversed([*enumerate(path)])}
    ignored = [Ignored(end.node, end.why, end.leg) for end in ends if end.how == "ignored"]
    return sorted(
        ignored, key=lambda copy: (at.get(legs[copy.leg].tail, len(path)), natural(copy.node))
    )
