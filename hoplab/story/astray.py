# SPDX-License-Identifier: Apache-2.0
"""Where a packet came to its end that reached nobody it was for: the branch that counts.

What lives here: the choice among the copies of one packet, from its legs and the wiring. What must
not: what became of a single copy (`end_of_copy.py`), other packets.

1. The copies that crossed the most routers tell: a packet that died behind a router died there,
   whatever became of the copies that a hub made of it on the way.
2. In the network behind that router the frame is for one card. The copy that came nearest to that
   card tells; one that went another way was of no use to anybody, lost or not.
3. Whose card it is the wiring says, or the frames that the card sent. If no card has the MAC
   address, no branch is better than the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hoplab.follow.wiring import Wiring
from hoplab.sentences import listed, say
from hoplab.story.trip_records import Leg

_PASSED_ON = ("routed", "translated")
DEAD = ("lost", "dropped", "stopped", "stuck")  # how a copy comes to nothing
_SUREST = (*DEAD, "unseen", "cut", "ignored")  # of several fragments the first tells


@dataclass(slots=True)
class End:
    """What became of one copy. how: 'delivered', 'ignored', 'lost', 'dropped' (for want of room
    in a queue), 'stopped', 'stuck', 'unseen' (it may have gone on) or 'cut'."""

    how: str
    leg: int
    node: str
    why: str = ""


@dataclass(slots=True, frozen=True)
class Question:
    """Whom the frames of a packet in its last network are for.

    holder: who has the MAC address (or the address that a broadcast asks for), "" if nobody is
    known to. nobody: the sentence on a frame that no such card got. whole: all copies are legs.
    """

    holder: str
    nobody: str
    group: bool
    whole: bool


@dataclass(slots=True, frozen=True)
class Death:
    """network: the legs in the network in which the packet ended. leg: the one of them that came
    furthest, None if none of them did. why: a sentence. unreached: who has the MAC address and got
    no copy, though every frame that was sent arrived."""

    network: frozenset[int]
    leg: int | None
    why: str
    unreached: str = ""


def last_networks(legs: Sequence[Leg]) -> list[frozenset[int]]:
    """The legs behind the last router that the packet crossed; one set for each fragment."""
    crossed: list[int] = []
    first: list[int] = []
    for leg in legs:  # parents come before their children
        new = leg.origin in _PASSED_ON
        crossed.append(new + (crossed[leg.parent] if leg.parent is not None else 0))
        first.append(leg.index if new or leg.parent is None else first[leg.parent])
    most = max(crossed)
    networks: dict[int, set[int]] = {}
    for leg in legs:
        if crossed[leg.index] == most:
            networks.setdefault(first[leg.index], set()).add(leg.index)
    return [frozenset(network) for network in networks.values()]


def surest(deaths: Sequence[Death], ends: Sequence[End]) -> Death:
    """Of the deaths of several fragments the one that can be told best."""
    return min(deaths, key=lambda death: _SUREST.index(how_it_ended(death, ends)))


def how_it_ended(death: Death, ends: Iterable[End]) -> str:
    """`End.how` of the copy that tells; 'ignored' where other copies went on, or none of them
    tells more than the others."""
    return next((end.how for end in ends if end.leg == death.leg), "ignored")


def find_death(
    wiring: Wiring,
    legs: Sequence[Leg],
    ends: Sequence[End],
    network: frozenset[int],
    question: Question,
) -> Death:
    """The end of the frames in one network, none of which was delivered."""
    mine = {end.leg: end for end in ends if end.leg in network}
    if not question.holder:
        return _for_nobody(network, mine, question)
    away = distances(wiring, question.holder)
    best = min(
        (legs[place] for place in network if legs[place].head in away),
        key=lambda leg: (away[leg.head], leg.lost or leg.cut or leg.unseen, leg.index),
        default=None,
    )
    values = {"node": question.holder, "mac": legs[min(network)].dst_mac}
    if best is None:
        alone = mine.get(min(network))
        if alone is not None and alone.how != "ignored":
            return Death(network, alone.leg, alone.why)
        if question.group:
            return Death(network, None, question.nobody)
        return Death(network, None, _elsewhere(legs, network, away, values))
    end = mine.get(best.index)
    if end is not None and end.how != "ignored":
        return Death(network, best.index, end.why)
    if question.group:  # every copy of a broadcast is as good as any
        return Death(network, None, question.nobody)
    if end is not None:  # the kernel of the very machine says that the frame is not for it
        why = say(
            "{node} had the MAC {mac} when the lab came up, but its card took this frame for "
            "another's",
            **values,
        )
        return Death(network, best.index, why)
    taken = next((each for each in mine.values() if each.how == "stuck"), None)
    if taken is not None:
        why = say(
            "{node} has the MAC {mac}, and no copy reached it: {switch} sent this to {taker}, "
            "whose card took it for its own",
            switch=legs[taken.leg].tail, taker=taken.node, **values,
        )  # fmt: skip
        return Death(network, taken.leg, why, question.holder)
    if not question.whole:
        why = say("{node} has the MAC {mac}, and no copy reached it", **values)
        return Death(network, best.index, why, question.holder)
    why = say(
        "{node} has the MAC {mac}, and no copy reached it: {switch} sent none out of {port}",
        switch=best.head, port=way_to(wiring, best.head, question.holder), **values,
    )  # fmt: skip
    return Death(network, best.index, why, question.holder)


def _elsewhere(
    legs: Sequence[Leg],
    network: frozenset[int],
    away: Mapping[str, int],
    values: Mapping[str, object],
) -> str:
    """Why no copy came nearer to the card that it is for. away: see `distances`."""
    if any(legs[place].tail in away for place in network):
        # What a switch sent of which nobody saw how it came there: one copy, by another way.
        nodes = listed(sorted({legs[place].head for place in network}))
        return say("{node} has the MAC {mac}, and this copy went to {nodes}", nodes=nodes, **values)
    return say("{node} has the MAC {mac}, but is in another network", **values)


def _for_nobody(network: frozenset[int], mine: Mapping[int, End], question: Question) -> Death:
    """The end of frames for a card that nobody is known to have."""
    untold = ("delivered", "ignored", "stuck")
    if not mine or any(end.how in untold for end in mine.values()):
        return Death(network, None, question.nobody)
    surest_end = min(mine.values(), key=lambda end: _SUREST.index(end.how))
    return Death(network, surest_end.leg, surest_end.why)


def way_to(wiring: Wiring, switch: str, holder: str) -> str:
    """The port of a switch on the shortest way to another node of its network, "" if none is."""
    away = distances(wiring, holder)
    here = away.get(switch, 0)
    return next(
        (
            wiring.port_name(port) for port in wiring.ports(switch)
            if (peer := wiring.peer(port)) is not None
            and away.get(wiring.node_name(peer), here) < here
        ),
        "",
    )  # fmt: skip


def distances(wiring: Wiring, node: str) -> Mapping[str, int]:
    """How many cables lie between a node and each switch of its networks; 0 for itself."""
    away, waiting = {node: 0}, [node]
    for at in waiting:
        for port in wiring.ports(at):
            peer = wiring.peer(port)
            if peer is None or not wiring.is_switch(peer):
                continue
            if wiring.node_name(peer) not in away:
                away[wiring.node_name(peer)] = away[at] + 1
                waiting.append(wiring.node_name(peer))
    return away
