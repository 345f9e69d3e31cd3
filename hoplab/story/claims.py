# SPDX-License-Identifier: Apache-2.0
"""Whose card has an address, when more than one says so: claims by ARP and neighbour discovery.

What lives here: claims, and which of them go against each other. What must not: the wiring's
opinion on who ought to have the address, the questions' own pairs (`causes.py`).

1. A card claims an address by every ARP packet that names it as its sender (RFC 826), and by every
   neighbour advertisement (RFC 4861). A question whether an address is free claims nothing.
2. Two cards are in conflict over it if both answered one question, or if the earlier one still used
   the address after the later one had claimed it. They must have been heard by one and the same
   card: what two networks hear of an address is no conflict (a router answers for others in one of
   them, by proxy), nor is an answer given twice by one card.
3. If the earlier one kept silent from then on, the address has moved.
4. Two cards are two MAC addresses, or one MAC address at two nodes.
5. The node that the lab gave the address counts as one of them as soon as it sends anything from
   it, for it may have been asked before the capture. Any other may have made up the source.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from hoplab.follow.wiring import Wiring
from hoplab.story.records import Outcome, Remark, Step, Trip
from hoplab.story.titles import plural

ASKS = ("arp-request", "nd-solicitation")
ANSWERS = ("arp-reply", "nd-advertisement")
ANSWERED_NS = 5_000_000_000  # an answer later than that is to another question, or to none
QUICK_NS = 100_000_000  # who is asked answers within this time: a question was in the capture

Card = tuple[str, str]  # node, MAC address


@dataclass(slots=True)
class _Holder:
    """What one card did with an address. first: the trip by which it claimed or used it first.
    claims: whether it claimed it by any. used_ns: when it sent anything from it last. heard: the
    interfaces in its network that got such a packet. answered: questions that it answered."""

    card: Card
    first: Trip
    claims: bool = False
    used_ns: int = 0
    heard: set[str] = field(default_factory=set)
    answered: set[int] = field(default_factory=set)


@dataclass(slots=True, frozen=True)
class Conflict:
    """Cards that claim one address, and the first trip by which each did."""

    address: str
    cards: tuple[Card, ...]
    proof: tuple[int, ...]


@dataclass(slots=True, frozen=True)
class Move:
    """An address that another card has from then on; the trip by which that one said so."""

    address: str
    before: Card
    after: Card
    number: int


@dataclass(slots=True)
class Claims:
    """What was found, in the order in which it showed. unasked: ARP replies, each to somebody who
    had not asked for that address."""

    conflicts: list[Conflict] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)
    unasked: list[Trip] = field(default_factory=list)


def find_claims(trips: Iterable[Trip], wiring: Wiring) -> Claims:
    """All conflicts and moves of addresses."""
    by_address, unasked = _holders(trips, wiring)
    conflicts: list[Conflict] = []
    moves: list[Move] = []
    for address, cards in by_address.items():
        holders = list(cards.values())
        if len(holders) < 2 or not any(holder.claims for holder in holders):
            continue
        against = [
            holder for holder in holders
            if any(_conflict(holder, rival) for rival in holders if rival is not holder)
        ]  # fmt: skip
        if against:
            conflicts.append(
                Conflict(
                    address,
                    tuple(holder.card for holder in against),
                    tuple(holder.first.number for holder in against),
                )
            )
            continue
        for before, after in pairwise(holders):
            if after.claims and before.heard & after.heard:
                moves.append(Move(address, before.card, after.card, after.first.number))
    conflicts.sort(key=lambda conflict: max(conflict.proof))
    return Claims(conflicts, sorted(moves, key=lambda move: move.number), unasked)


def _holders(
    trips: Iterable[Trip], wiring: Wiring
) -> tuple[dict[str, dict[Card, _Holder]], list[Trip]]:
    """By address who claimed it or, if it is the lab's, used it, in the order of the first time;
    and the replies that were not asked for."""
    trips = list(trips)
    disputed = _disputed(trips, wiring)
    unasked: list[Trip] = []
    by_address: dict[str, dict[Card, _Holder]] = {}
    asked: dict[tuple[str, str], Trip] = {}  # by asker and address, the last question
    for trip in trips:
        if trip.stray or trip.packet.eth is None:
            continue
        if trip.kind in ASKS:
            asked[trip.sender, trip.dst] = trip
        claim = _claim(trip)
        address, mac = claim or (trip.packet.src, trip.packet.eth.src)
        questions = []
        if trip.kind in ANSWERS:
            questions = [
                question for node in trip.delivered
                if (question := asked.get((node, address))) is not None
                and trip.t_ns - question.t_ns < ANSWERED_NS
            ]  # fmt: skip
            if not questions and trip.delivered and trip.kind == "arp-reply" and not trip.group:
                unasked.append(trip)
        if address not in disputed:
            continue
        holders = by_address.setdefault(address, {})
        holder = holders.get((trip.sender, mac))
        if holder is None:
            if claim is None and wiring.node_of_ip(address) != trip.sender:
                continue
            holder = holders[trip.sender, mac] = _Holder((trip.sender, mac), trip)
        holder.used_ns = trip.t_ns
        holder.heard |= _heard(trip, wiring)
        holder.claims = holder.claims or claim is not None
        holder.answered.update(question.number for question in questions)
    return by_address, unasked


def _disputed(trips: Iterable[Trip], wiring: Wiring) -> set[str]:
    """The addresses that more than one card claimed, or one that is not the lab's choice."""
    cards: dict[str, set[Card]] = {}
    for trip in trips:
        claim = _claim(trip)
        if claim is not None and not trip.stray:
            cards.setdefault(claim[0], set()).add((trip.sender, claim[1]))
    return {
        address for address, some in cards.items()
        if len(some) > 1 or {node for node, _ in some} != {wiring.node_of_ip(address)}
    }  # fmt: skip


def _heard(trip: Trip, wiring: Wiring) -> set[str]:
    """The interfaces of hosts and routers that it reached before any router passed it on."""
    near: set[int] = set()
    found = set()
    for leg in trip.legs:
        if leg.parent is None or (leg.parent in near and leg.origin == "switched"):
            near.add(leg.index)
            if leg.received is not None and leg.head and wiring.kind(leg.head) != "switch":
                found.add(leg.head_interface)
    return found


def _claim(trip: Trip) -> tuple[str, str] | None:
    """The address that the packet's sender says it has, and the MAC address that goes with it."""
    packet = trip.packet
    if packet.arp is not None:
        named = packet.arp.op in (1, 2) and packet.arp.sender_ip != "0.0.0.0"
        return (packet.arp.sender_ip, packet.arp.sender_mac) if named else None
    icmp = packet.icmp
    if icmp is None or icmp.version != 6 or icmp.type != 136 or packet.eth is None:
        return None
    return icmp.target, icmp.link_address or packet.eth.src


def _conflict(one: _Holder, rival: _Holder) -> bool:
    if not one.heard & rival.heard:
        return False
    if one.answered & rival.answered:
        return True
    first, later = (one, rival) if one.first.t_ns <= rival.first.t_ns else (rival, one)
    return (first.claims or later.claims) and first.used_ns > later.first.t_ns


def add_claim_notes(trips: Sequence[Trip], found: Claims, begun_ns: int | None) -> None:
    """At the first claim of each card but the first one who else claims it; and what was not asked.

    begun_ns: when the capture began, None if it may have missed a question all the same.
    """
    by_number = {trip.number: trip for trip in trips}
    for conflict in found.conflicts:
        node, mac = conflict.cards[0]
        for number in conflict.proof[1:]:
            note = f"{node} ({mac}) claims {conflict.address} too (#{conflict.proof[0]})"
            by_number[number].notes.append(note)
    for trip in found.unasked:
        if begun_ns is not None and trip.t_ns - begun_ns > QUICK_NS:
            trip.notes.append("nobody whom it reached had asked for it")


def headlines(conflict: Conflict, trips: Iterable[Trip]) -> list[str]:
    """Who claims the address, and who got what was sent to it."""
    address = conflict.address
    names = [f"{node} ({mac})" for node, mac in conflict.cards]
    if len(names) == 2:
        text = f"Two cards claim {address}: {names[0]} and {names[1]}."
    else:
        text = f"{len(names)} cards claim {address}: {', '.join(names)}."
    nodes = list(dict.fromkeys(node for node, _ in conflict.cards))
    got = dict.fromkeys(nodes, 0)
    total = 0
    for trip in trips:
        if trip.packet.ip is None or trip.dst != address or trip.stray or trip.group:
            continue
        total += 1
        for node in nodes:
            got[node] += node in trip.delivered
    shares = sorted(nodes, key=lambda node: -got[node])
    if len(nodes) < 2 or not got[shares[0]]:
        return [text]
    many = plural(total, "packet")
    best, second = shares[:2]
    return [text, f"Of {many} to it {best} got {got[best]:,}, {second} {got[second]:,}."]


def tell_claims(
    found: Claims,
    steps: Sequence[Step],
    outcome: Outcome,
    trips: Sequence[Trip],
) -> list[str]:
    """Puts the remarks and reasons where they are read first; gives the sentences that come before
    that on how it ended."""
    first: list[str] = []
    remarks: list[Remark] = []
    for conflict in found.conflicts:
        sentences = headlines(conflict, trips)
        first += sentences
        remarks += [Remark("address-conflict", sentence) for sentence in sentences]
        numbers = ", ".join(f"#{number}" for number in conflict.proof)
        outcome.why.insert(
            0,
            f"{conflict.address} belongs to one card alone ({numbers}): which of them an asker "
            "keeps can change from one question to the next.",
        )
        outcome.evidence = sorted({*outcome.evidence, *conflict.proof})
    for move in found.moves:
        text = _moved(move)
        remarks.append(Remark("address-moved", text))
        outcome.why.append(text)
        outcome.evidence = sorted({*outcome.evidence, move.number})
    if steps:
        steps[0].remarks[:0] = remarks
    return first


def _moved(move: Move) -> str:
    (node, mac), (after, new) = move.before, move.after
    if node == after:
        text = f"{node} has {move.address} at another MAC address since #{move.number}: {new}"
        return f"{text}, before it was {mac}."
    text = f"{move.address} moved from {node} ({mac}) to {after} ({new}), which said so by "
    return f"{text}#{move.number}; {node} has sent nothing from it since."
