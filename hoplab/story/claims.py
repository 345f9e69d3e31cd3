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

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from hoplab.follow.wiring import Wiring
from hoplab.sentences import listed, number_of, say
from hoplab.story.records import Outcome, Remark, Step
from hoplab.story.trip_records import Trip

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
        questions = _answered_by(trip, address, asked)
        if not questions and _is_reply_to_somebody(trip):
            unasked.append(trip)
        if address not in disputed:
            continue
        card, holders = (trip.sender, mac), by_address.setdefault(address, {})
        if claim is not None or card in holders or wiring.node_of_ip(address) == trip.sender:
            holder = holders.setdefault(card, _Holder(card, trip))
            holder.used_ns = trip.t_ns
            holder.heard |= _heard(trip, wiring)
            holder.claims = holder.claims or claim is not None
            holder.answered.update(question.number for question in questions)
    return by_address, unasked


def _is_reply_to_somebody(trip: Trip) -> bool:
    return trip.kind == "arp-reply" and bool(trip.delivered) and not trip.group


def _answered_by(trip: Trip, address: str, asked: Mapping[tuple[str, str], Trip]) -> list[Trip]:
    """The questions for an address that this answer answers, and not too late."""
    if trip.kind not in ANSWERS:
        return []
    return [
        question for node in trip.delivered
        if (question := asked.get((node, address))) is not None
        and trip.t_ns - question.t_ns < ANSWERED_NS
    ]  # fmt: skip


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


def is_disputed(address: str, trips: Iterable[Trip], wiring: Wiring) -> bool:
    """By these packets more than one card claimed the address, or one that is not the lab's
    choice."""
    return address in _disputed(trips, wiring)


def claimed(trip: Trip) -> str:
    """The address that the packet's sender says it has, "" if it says so of none."""
    claim = _claim(trip)
    return claim[0] if claim is not None else ""


def _heard(trip: Trip, wiring: Wiring) -> set[str]:
    """The interfaces of hosts and routers that it reached before any router passed it on."""
    near: set[int] = set()
    interfaces = set()
    for leg in trip.legs:
        if leg.parent is None or (leg.parent in near and leg.origin == "switched"):
            near.add(leg.index)
            if leg.received is not None and leg.head and wiring.kind(leg.head) != "switch":
                interfaces.add(leg.head_interface)
    return interfaces


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


def _conflict(holder: _Holder, rival: _Holder) -> bool:
    if not holder.heard & rival.heard:
        return False
    if holder.answered & rival.answered:
        return True
    first, later = holder, rival
    if rival.first.t_ns < holder.first.t_ns:
        first, later = rival, holder
    return (first.claims or later.claims) and first.used_ns > later.first.t_ns


def claim_notes(claims: Claims, begun_ns: int | None) -> Iterator[tuple[int, str, str]]:
    """At the first claim of each card but the first one who else claims it; and what was not asked.
    Each with the packet's number and the address.

    begun_ns: when the capture began, None if it may have missed a question all the same.
    """
    for conflict in claims.conflicts:
        node, mac = conflict.cards[0]
        for number in conflict.proof[1:]:
            note = say(
                "{node} ({mac}) claims {ip} too (#{packet})",
                node=node, mac=mac, ip=conflict.address, packet=conflict.proof[0],
            )  # fmt: skip
            yield number, conflict.address, note
    for trip in claims.unasked:
        if begun_ns is not None and trip.t_ns - begun_ns > QUICK_NS:
            address = claimed(trip) or trip.packet.src
            yield trip.number, address, say("nobody whom it reached had asked for it")


def headlines(conflict: Conflict, trips: Iterable[Trip]) -> list[str]:
    """Who claims the address, and who got what was sent to it."""
    return [_rivals(conflict), *_shares(conflict, trips)]


def _rivals(conflict: Conflict) -> str:
    if len(conflict.cards) == 2:
        (first, first_mac), (second, second_mac) = conflict.cards
        return say(
            "Two cards claim {ip}: {first} ({first_mac}) and {second} ({second_mac}).",
            ip=conflict.address,
            first=first, first_mac=first_mac, second=second, second_mac=second_mac,
        )  # fmt: skip
    cards = listed(say("{node} ({mac})", node=node, mac=mac) for node, mac in conflict.cards)
    return number_of(
        "{n:,} card claims {ip}: {cards}.", "{n:,} cards claim {ip}: {cards}.",
        len(conflict.cards), ip=conflict.address, cards=cards,
    )  # fmt: skip


def _shares(conflict: Conflict, trips: Iterable[Trip]) -> list[str]:
    """How much of what was sent to the address came to the two who got most of it, where more than
    one node claims it."""
    nodes = list(dict.fromkeys(node for node, _ in conflict.cards))
    arrived = dict.fromkeys(nodes, 0)
    total = 0
    for trip in trips:
        if trip.packet.ip is None or trip.dst != conflict.address or trip.stray or trip.group:
            continue
        total += 1
        for node in nodes:
            arrived[node] += node in trip.delivered
    by_share = sorted(nodes, key=lambda node: -arrived[node])
    if len(nodes) < 2 or not arrived[by_share[0]]:
        return []
    best, second = by_share[:2]
    return [
        number_of(
            "Of {n:,} packet to it {best} got {most:,}, {second} {fewer:,}.",
            "Of {n:,} packets to it {best} got {most:,}, {second} {fewer:,}.",
            total,
            best=best,
            most=arrived[best],
            second=second,
            fewer=arrived[second],
        )
    ]


def tell_claims(
    claims: Claims,
    steps: Sequence[Step],
    outcome: Outcome,
    trips: Sequence[Trip],
) -> list[str]:
    """Puts the remarks and reasons where they are read first; gives the sentences that come before
    that on how it ended."""
    first: list[str] = []
    remarks: list[Remark] = []
    for conflict in claims.conflicts:
        sentences = headlines(conflict, trips)
        first += sentences
        remarks += [Remark("address-conflict", sentence) for sentence in sentences]
        reason = say(
            "{ip} belongs to one card alone ({packets}): which of them an asker keeps can change "
            "from one question to the next.",
            ip=conflict.address, packets=listed(f"#{number}" for number in conflict.proof),
        )  # fmt: skip
        outcome.why.insert(0, reason)
        outcome.evidence = sorted({*outcome.evidence, *conflict.proof})
    for move in claims.moves:
        sentence = _moved(move)
        remarks.append(Remark("address-moved", sentence))
        outcome.why.append(sentence)
        outcome.evidence = sorted({*outcome.evidence, move.number})
    if steps:
        steps[0].remarks[:0] = remarks
    return first


def _moved(move: Move) -> str:
    (node, old_mac), (successor, mac) = move.before, move.after
    if node == successor:
        return say(
            "{node} has {ip} at another MAC address since #{packet}: {mac}, before it was "
            "{old_mac}.",
            node=node, ip=move.address, packet=move.number, mac=mac, old_mac=old_mac,
        )  # fmt: skip
    return say(
        "{ip} moved from {node} ({old_mac}) to {successor} ({mac}), which said so by #{packet}; "
        "{node} has sent nothing from it since.",
        ip=move.address, node=node, old_mac=old_mac,
        successor=successor, mac=mac, packet=move.number,
    )  # fmt: skip
