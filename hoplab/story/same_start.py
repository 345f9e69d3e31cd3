# SPDX-License-Identifier: Apache-2.0
"""Whether two runs can be compared: did both begin alike, and do the same?

What lives here: the search for what was different at the start or asked for, read from frames and
from how the commands ended. What must not: what the two cost (`costs.py`), and layout.

What is looked for, in a run and not in the other:
1. Another network: other cables, another datapath, a cable of another rate.
2. Other commands, or one that failed, or the capture missed frames.
3. A node that knew a neighbour's MAC address: it sent to it without having heard ARP from it.
4. A switch that knew where a card is: it sent to it alone before it had heard from it.
5. Hosts that were talking already: before the commands began, over connections without a first SYN,
   or with somebody whom they did not talk to in the other run.
6. Where the commands differ or are not known: a transfer that had neither the same bytes to move
   nor the same time. (A command that sends for a second sends what it can in it.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hoplab.follow.wiring import Wiring, natural
from hoplab.story.records import Story, Transfer, Trip
from hoplab.story.titles import plural

NEAR = 0.1  # amounts and times that differ by a tenth are the same
MOST_NAMES = 6

HEARD, SENT = 0, 1
_Event = tuple[int, int, str, str]  # when, what of the two, which node, which MAC address


@dataclass(frozen=True)
class Side:
    """A run. name: what to call it. began_ns: when its commands began, 0 if that is not known.
    failed: sentences on the commands that failed."""

    name: str
    wiring: Wiring
    story: Story
    began_ns: int = 0
    failed: tuple[str, ...] = ()


def differences(one: Side, other: Side) -> list[str]:
    """A sentence for each thing that was not alike; none if the two can be compared."""
    if _cables(one.wiring) != _cables(other.wiring):
        return ["The two networks are not the same."]
    said = _networks(one, other)
    same_asked = _asked(one.story) == _asked(other.story)
    if not same_asked:
        said.append(f"{one.name} and {other.name} did not run the same commands.")
    for side in (one, other):
        alone = [each for each in side.failed if each not in failed_in_all((one, other))]
        said += [f"With {side.name} alone: {sentence}" for sentence in alone]
        missed = side.story.summary.health.dropped
        if missed:
            said.append(
                f"With {side.name} the capture missed {plural(missed, 'frame')}: its figures are "
                "low."
            )
    for mine, theirs in ((one, other), (other, one)):
        asked = "did not have to ask for the MAC address of"
        said += _only(mine, _neighbours(mine), _neighbours(theirs), asked)
        said += _only(mine, _stations(mine), _stations(theirs), "already knew the port of")
        said += _talked(mine, theirs)
    return said if same_asked and any(_asked(one.story)) else said + _transfers(one, other)


def failed_in_all(sides: Sequence[Side]) -> list[str]:
    """What failed everywhere: alike, but worth saying."""
    first = sides[0].failed if sides else ()
    return [each for each in first if all(each in side.failed for side in sides)]


def _cables(wiring: Wiring) -> set[tuple[str, str | None]]:
    return {(each.name, each.peer) for each in wiring.interfaces}


def _asked(story: Story) -> tuple[str, ...]:
    """What was run or fetched, and where; empty texts if that is not known."""
    if story.request is not None:
        return (story.request.client, story.request.url)
    return (story.setting.host, story.setting.command)


def _networks(one: Side, other: Side) -> list[str]:
    said = []
    mine, theirs = one.story.setting, other.story.setting
    if mine.datapath != theirs.datapath:
        said.append(
            f"The switches forwarded by another datapath: {mine.datapath} with {one.name}, "
            f"{theirs.datapath} with {other.name}."
        )
    rates = {each.name: each.rate for each in other.wiring.interfaces}
    if any(rates.get(each.name, each.rate) != each.rate for each in one.wiring.interfaces):
        said.append("The cables have not the same rate in both.")
    return said


def _only(
    side: Side, mine: set[tuple[str, str]], theirs: set[tuple[str, str]], what: str
) -> list[str]:
    """A sentence on what one side knew and the other did not."""
    more = sorted(mine - theirs, key=lambda pair: (natural(pair[0]), natural(pair[1])))
    return [f"With {side.name} {node} {what} {whom}." for node, whom in more[:MOST_NAMES]]


def _neighbours(side: Side) -> set[tuple[str, str]]:
    """(node, neighbour) where the node sent IP to the neighbour without having heard ARP of it."""
    events: list[_Event] = []
    for trip in side.story.trips:
        arp = trip.packet.arp
        if arp is not None:
            events += [(trip.arrived_ns, HEARD, node, arp.sender_mac) for node in trip.delivered]
        elif trip.packet.ipv4 is not None and not trip.group:
            # A router may hold a packet while it asks: what counts is when it sent it on.
            own = (leg for leg in trip.legs if leg.origin != "switched" and not leg.uncertain)
            events += [(leg.t_ns, SENT, leg.tail, leg.dst_mac) for leg in own]
    return _known(side, events)


def _stations(side: Side) -> set[tuple[str, str]]:
    """(switch, node) where the switch sent to the node alone before it had heard from it."""
    events: list[_Event] = []
    for trip in side.story.trips:
        for leg in trip.legs:
            if leg.head and side.wiring.kind(leg.head) == "switch":
                events.append((leg.t_ns, HEARD, leg.head, leg.src_mac))
        for fanout in trip.fanouts:
            if not fanout.due and 0 < fanout.out < fanout.of:
                sent = (leg.t_ns for leg in trip.legs if leg.parent == fanout.leg)
                came = trip.legs[fanout.leg]
                events.append((min(sent, default=came.t_ns), SENT, fanout.node, came.dst_mac))
    return _known(side, events)


def _known(side: Side, events: list[_Event]) -> set[tuple[str, str]]:
    """(node, whom) where it sent to somebody's MAC address before it had heard from that one."""
    heard: set[tuple[str, str]] = set()
    known: set[tuple[str, str]] = set()
    for _, what, node, mac in sorted(events):
        if what == HEARD:
            heard.add((node, mac))
        elif (node, mac) not in heard:
            owner = side.wiring.node_of_mac(mac)
            if owner is not None:
                known.add((node, owner))
    return known


def _talked(mine: Side, theirs: Side) -> list[str]:
    """Frames that nobody asked for, on one side alone."""
    said = []
    early, early_there = _early(mine), _early(theirs)
    if early and not early_there:
        senders = ", ".join(sorted({trip.sender for trip in early}, key=natural)[:MOST_NAMES])
        said.append(
            f"With {mine.name} frames were flowing before the commands began: "
            f"{plural(len(early), 'packet')} of {senders}."
        )
    before = {(trip.sender, trip.dst) for trip in early}
    more = _conversations(mine) - _conversations(theirs)
    for sender, address in sorted(more, key=lambda pair: (natural(pair[0]), pair[1]))[:MOST_NAMES]:
        if (sender, address) not in before or early_there:
            said.append(f"Only with {mine.name} {sender} sent to {address}.")
    return said


def _hosts(side: Side) -> list[Trip]:
    """What hosts and routers sent of themselves, but for ARP, which depends on what they knew."""
    kinds = side.wiring.nodes
    return [
        trip
        for trip in side.story.trips
        if trip.packet.ipv4 is not None or trip.packet.ipv6 is not None
        if trip.sender in kinds and not side.wiring.is_switch(_port(side, trip))
    ]


def _port(side: Side, trip: Trip) -> int:
    port = side.wiring.port(trip.legs[0].tail_interface)
    assert port is not None, "a leg has the name of an interface of the wiring"
    return port


def _early(side: Side) -> list[Trip]:
    return [trip for trip in _hosts(side) if trip.t_ns < side.began_ns]


def _conversations(side: Side) -> set[tuple[str, str]]:
    """(who sent, to which address), errors of ICMP left out: they tell of what went wrong."""
    return {
        (trip.sender, trip.dst)
        for trip in _hosts(side)
        if trip.packet.icmp is None or trip.kind.startswith("icmp-echo")
    }


def _transfers(one: Side, other: Side) -> list[str]:
    there = {(each.sender, each.receiver): each for each in other.story.summary.transfers}
    said = []
    for mine in one.story.summary.transfers:
        theirs = there.get((mine.sender, mine.receiver))
        if theirs is None or mine.bits_per_s is None or theirs.bits_per_s is None:
            continue
        if not _near(mine.bytes, theirs.bytes) and not _near(mine.busy_ns, theirs.busy_ns):
            said.append(
                f"{mine.sender} to {mine.receiver} had neither the same bytes to move nor the same "
                f"time: {_amount(mine)} with {one.name}, {_amount(theirs)} with {other.name}."
            )
    return said


def _near(one: float, other: float) -> bool:
    return abs(one - other) <= NEAR * max(one, other)


def _amount(transfer: Transfer) -> str:
    return f"{transfer.bytes:,} bytes in {transfer.busy_ns / 1e9:.2f} s"


def all_differences(sides: Sequence[Side]) -> list[str]:
    """A sentence for each thing that was not alike in a run and in the first."""
    said = [sentence for other in sides[1:] for sentence in differences(sides[0], other)]
    return list(dict.fromkeys(said))
