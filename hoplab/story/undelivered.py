# SPDX-License-Identifier: Apache-2.0
"""A packet that was delivered to nobody: where it came to its end, as far as the capture could see.

What lives here: from the ends of the copies (`end_of_copy.py`) and the branch that counts
(`astray.py`) to what is said of the packet. What must not: other packets.
"""

from __future__ import annotations

from hoplab.decode.packet import Packet
from hoplab.follow.model import Hop
from hoplab.sentences import say
from hoplab.story.astray import (
    DEAD,
    Death,
    End,
    Question,
    find_death,
    last_networks,
    surest,
    way_to,
)
from hoplab.story.coverage import Evidence
from hoplab.story.destinations import probes, resolves_address, wanted
from hoplab.story.end_of_copy import may_have_passed, no_copy, still_held
from hoplab.story.places import Places
from hoplab.story.records import Leg


def find_death_of_packet(
    places: Places, hops: list[Hop], legs: list[Leg], ends: list[End], packets: list[Packet]
) -> Death | None:
    """Where the packet came to its end, if it was delivered to nobody."""
    # Without an end each leg has effects, but those of a storm are only counted.
    if not ends or any(end.how == "delivered" for end in ends):
        return None
    # Whoever asks whether an address is free does well without an answer.
    if probes(packets[0]) and not any(end.how in DEAD for end in ends):
        return None
    whole = not any(hop.more for hop in hops)
    return _death(places, legs, ends, packets, whole)


def _death(
    places: Places, legs: list[Leg], ends: list[End], packets: list[Packet], whole: bool
) -> Death:
    """Where a packet that was delivered to nobody came to its end."""
    deaths = []
    for network in last_networks(legs):
        packet, mac = packets[min(network)], legs[min(network)].dst_mac
        group = mac[:2] != "" and bool(int(mac[:2], 16) & 1)
        holder = places.owner(wanted(packet)) if group else places.holder(mac)
        nobody = say("nobody whom it reached has {ip}", ip=wanted(packet))
        if not (group and resolves_address(packet)) and not holder:
            nobody = say(
                "no card that the lab set up has the MAC {mac}, and no frame came from it",
                mac=mac or "?",
            )
        question = Question(holder, nobody, group, whole)
        deaths.append(find_death(places.wiring, legs, ends, network, question))
    return surest(deaths, ends)


def tell_end(
    places: Places,
    death: Death,
    fate: str,
    hops: list[Hop],
    legs: list[Leg],
    evidence: Evidence,
    target: str,
    *,
    early: bool,
) -> tuple[str, str, str]:
    """(where it ended, how, why that cannot be told), as far as the capture could see. Where no
    copy came to nothing, the one that is missing may have gone unseen. early: the packet was under
    way when the capture began."""
    if fate == "unseen":
        return "", "", death.why
    if fate == "ignored" and early:
        return "", "", ""
    goal = death.unreached or (target if death.leg is None else "")
    for place in sorted(death.network) if fate == "ignored" and goal else ():
        for loss in evidence.drops.lacking.get(hops[place], ()):
            if loss.interface == way_to(evidence.wiring, legs[place].head, goal):
                return no_copy(loss), "dropped", ""
    if fate == "ignored":
        for place in sorted(death.network):
            node, copies = legs[place].head, len(hops[place].children)
            if places.switch(node) and copies + 1 < places.wired_ports[node]:
                if evidence.held_at_end(hops[place]):
                    return still_held(node), "cut", ""
                if evidence.passed_unseen(hops[place]):
                    return "", "", may_have_passed(node)
    return death.why, fate, ""
