# SPDX-License-Identifier: Apache-2.0
"""A packet that was delivered to nobody: where it came to its end, as far as the capture could see.

What lives here: from the ends of the copies (`end_of_copy.py`) and the branch that counts
(`astray.py`) to what is said of the packet. What must not: other packets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hoplab.sentences import say
from hoplab.story.astray import (
    DEAD,
    Death,
    End,
    Question,
    find_death,
    how_it_ended,
    last_networks,
    surest,
    way_to,
)
from hoplab.story.copies import Copies
from hoplab.story.coverage import Evidence
from hoplab.story.destinations import is_group_mac, probes, resolves_address, wanted
from hoplab.story.end_of_copy import may_have_passed, no_copy, still_held
from hoplab.story.places import Places


@dataclass(slots=True, frozen=True)
class Ending:
    """How the way of a packet ended, all "" if it arrived; ended, fate, unreached, doubt: as in
    `Trip`. death: the place, None if it arrived."""

    ended: str = ""
    fate: str = ""
    unreached: str = ""
    doubt: str = ""
    death: Death | None = None

    @property
    def last_leg(self) -> int | None:
        """The leg of the copy that came furthest, None if it arrived or none of them did."""
        return self.death.leg if self.death is not None else None


def find_ending(
    places: Places,
    copies: Copies,
    ends: Sequence[End],
    evidence: Evidence,
    target: str,
    *,
    early: bool,
) -> Ending:
    """How a packet ended that was delivered to nobody, as far as the capture could see. target:
    whom it was for. early: it was under way when the capture began."""
    death = _death_of_packet(places, copies, ends)
    if death is None:
        return Ending()
    fate = how_it_ended(death, ends)
    if fate == "unseen":
        return Ending(doubt=death.why, death=death)
    if fate == "ignored" and early:
        return Ending(death=death)
    if fate == "ignored":
        ending = _without_room(copies, evidence, death, target)
        ending = ending or _not_passed_on(places, copies, evidence, death)
        if ending is not None:
            return ending
    return Ending(death.why, fate, death.unreached, death=death)


def _without_room(copies: Copies, evidence: Evidence, death: Death, target: str) -> Ending | None:
    """The copy that would have reached whom it was for is missing: a queue was full."""
    goal = death.unreached or (target if death.leg is None else "")
    for place in sorted(death.network) if goal else ():
        for loss in evidence.drops.lacking.get(copies.hops[place], ()):
            if loss.interface == way_to(evidence.wiring, copies.legs[place].head, goal):
                return Ending(no_copy(loss), "dropped", death=death)
    return None


def _not_passed_on(
    places: Places, copies: Copies, evidence: Evidence, death: Death
) -> Ending | None:
    """Where no copy came to nothing, the one that is missing may have been sent after the capture
    had ended, or have gone unseen."""
    for place in sorted(death.network):
        node, hop = copies.legs[place].head, copies.hops[place]
        if not places.switch(node) or len(hop.children) + 1 >= places.wired_ports[node]:
            continue
        if evidence.held_at_end(hop):
            return Ending(still_held(node), "cut", death=death)
        if evidence.passed_unseen(hop):
            return Ending(doubt=may_have_passed(node), death=death)
    return None


def _death_of_packet(places: Places, copies: Copies, ends: Sequence[End]) -> Death | None:
    """Where the packet came to its end, if it was delivered to nobody."""
    # Without an end each leg has effects, but those of a storm are only counted.
    if not ends or any(end.how == "delivered" for end in ends):
        return None
    # Whoever asks whether an address is free does well without an answer.
    if probes(copies.packets[0]) and not any(end.how in DEAD for end in ends):
        return None
    whole = not any(hop.more for hop in copies.hops)
    deaths = []
    for network in last_networks(copies.legs):
        question = _question(places, copies, network, whole)
        deaths.append(find_death(places.wiring, copies.legs, ends, network, question))
    return surest(deaths, ends)


def _question(places: Places, copies: Copies, network: frozenset[int], whole: bool) -> Question:
    """Whom the frames in the last network are for. whole: all copies are legs."""
    first = min(network)
    packet, mac = copies.packets[first], copies.legs[first].dst_mac
    group = is_group_mac(mac)
    holder = places.recipient(packet) if group else places.holder(mac)
    nobody = say("nobody whom it reached has {ip}", ip=wanted(packet))
    if not (group and resolves_address(packet)) and not holder:
        nobody = say(
            "no card that the lab set up has the MAC {mac}, and no frame came from it",
            mac=mac or "?",
        )
    return Question(holder, nobody, group, whole)
