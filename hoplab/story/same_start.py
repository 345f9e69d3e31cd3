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
from hoplab.sentences import listed, number_of, say
from hoplab.story.fidelity_sentences import distortion
from hoplab.story.records import Story
from hoplab.story.trip_records import Trip

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


def distorted(sides: Sequence[Side]) -> list[str]:
    """A sentence for each run whose times and losses are the machine's doing in part: what it cost
    cannot be held against what the others cost."""
    return [
        say(
            "With {run} the machine distorted the run, so these figures cannot be compared with "
            "others: {distortion}",
            run=side.name,
            distortion=distortion(side.story.fidelity, side.story.started_ns),
        )
        for side in sides
        if side.story.fidelity.distorted
    ]


def differences(side: Side, peer: Side) -> list[str]:
    """A sentence for each thing that was not alike; none if the two can be compared."""
    if _cables(side.wiring) != _cables(peer.wiring):
        return [say("The two networks are not the same.")]
    unlike = _networks(side, peer)
    same_commands = _commands(side.story) == _commands(peer.story)
    if not same_commands:
        unlike.append(
            say("{run} and {peer} did not run the same commands.", run=side.name, peer=peer.name)
        )
    for mine, theirs in ((side, peer), (peer, side)):
        unlike += _failed_alone(mine, theirs)
        missed = mine.story.summary.health.dropped
        if missed:
            unlike.append(_capture_missed(mine, missed))
    for mine, theirs in ((side, peer), (peer, side)):
        unlike += [
            say(
                "With {run} {node} did not have to ask for the MAC address of {neighbour}.",
                run=mine.name,
                node=node,
                neighbour=neighbour,
            )
            for node, neighbour in _more(_neighbours(mine), _neighbours(theirs))
        ]
        unlike += [
            say(
                "With {run} {switch} already knew the port of {node}.",
                run=mine.name,
                switch=switch,
                node=node,
            )
            for switch, node in _more(_stations(mine), _stations(theirs))
        ]
        unlike += _talked(mine, theirs)
    if same_commands and any(_commands(side.story)):
        return unlike
    return unlike + _transfers(side, peer)


def _failed_alone(mine: Side, theirs: Side) -> list[str]:
    alike = failed_in_all((mine, theirs))
    return [
        say(
            "With {run}, and not with {other}: {failure}",
            run=mine.name,
            other=theirs.name,
            failure=failure,
        )
        for failure in mine.failed
        if failure not in alike
    ]


def _capture_missed(side: Side, missed: int) -> str:
    return number_of(
        "With {run} the capture missed {n:,} frame: its figures are low.",
        "With {run} the capture missed {n:,} frames: its figures are low.",
        missed,
        run=side.name,
    )


def failed_in_all(sides: Sequence[Side]) -> list[str]:
    """What failed everywhere: alike, but worth saying."""
    first = sides[0].failed if sides else ()
    return [failure for failure in first if all(failure in side.failed for side in sides)]


def _cables(wiring: Wiring) -> set[tuple[str, str | None]]:
    return {(interface.name, interface.peer) for interface in wiring.interfaces}


def _commands(story: Story) -> tuple[str, ...]:
    """What was run or fetched, and where; empty texts if that is not known."""
    if story.request is not None:
        return (story.request.client, story.request.url)
    return (story.setting.host, story.setting.command)


def _networks(side: Side, peer: Side) -> list[str]:
    unlike: list[str] = []
    mine, theirs = side.story.setting, peer.story.setting
    if mine.datapath != theirs.datapath:
        unlike.append(
            say(
                "The switches forwarded by another datapath: {datapath} with {run}, "
                "{peer_datapath} with {peer}.",
                datapath=mine.datapath,
                run=side.name,
                peer_datapath=theirs.datapath,
                peer=peer.name,
            )
        )
    rates = {interface.name: interface.rate for interface in peer.wiring.interfaces}
    if any(
        rates.get(interface.name, interface.rate) != interface.rate
        for interface in side.wiring.interfaces
    ):
        unlike.append(say("The cables have not the same rate in both."))
    return unlike


def _more(mine: set[tuple[str, str]], theirs: set[tuple[str, str]]) -> list[tuple[str, str]]:
    """The first pairs of names that one side has and the other has not."""
    more = sorted(mine - theirs, key=lambda pair: (natural(pair[0]), natural(pair[1])))
    return more[:MOST_NAMES]


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
    return _unlearned(side, events)


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
                into = trip.legs[fanout.leg]
                events.append((min(sent, default=into.t_ns), SENT, fanout.node, into.dst_mac))
    return _unlearned(side, events)


def _unlearned(side: Side, events: list[_Event]) -> set[tuple[str, str]]:
    """(node, owner) where it sent to somebody's MAC address before it had heard from that one."""
    heard: set[tuple[str, str]] = set()
    unlearned: set[tuple[str, str]] = set()
    for _, way, node, mac in sorted(events):
        if way == HEARD:
            heard.add((node, mac))
        elif (node, mac) not in heard:
            owner = side.wiring.node_of_mac(mac)
            if owner is not None:
                unlearned.add((node, owner))
    return unlearned


def _talked(mine: Side, theirs: Side) -> list[str]:
    """Frames that nobody asked for, on one side alone."""
    unlike: list[str] = []
    early, early_there = _early(mine), _early(theirs)
    if early and not early_there:
        senders = sorted({trip.sender for trip in early}, key=natural)
        unlike.append(
            number_of(
                "With {run} frames were flowing before the commands began: {n:,} packet of "
                "{hosts}.",
                "With {run} frames were flowing before the commands began: {n:,} packets of "
                "{hosts}.",
                len(early),
                run=mine.name,
                hosts=listed(senders[:MOST_NAMES]),
            )
        )
    before = {(trip.sender, trip.dst) for trip in early}
    more = _conversations(mine) - _conversations(theirs)
    for sender, address in sorted(more, key=lambda pair: (natural(pair[0]), pair[1]))[:MOST_NAMES]:
        if (sender, address) not in before or early_there:
            unlike.append(
                say(
                    "{node} sent to {ip} with {run}, and not with {other}.",
                    node=sender,
                    ip=address,
                    run=mine.name,
                    other=theirs.name,
                )
            )
    return unlike


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


def _transfers(side: Side, peer: Side) -> list[str]:
    there = {
        (transfer.sender, transfer.receiver): transfer for transfer in peer.story.summary.transfers
    }
    unlike: list[str] = []
    for mine in side.story.summary.transfers:
        theirs = there.get((mine.sender, mine.receiver))
        if theirs is None or mine.bits_per_s is None or theirs.bits_per_s is None:
            continue
        if not _near(mine.bytes, theirs.bytes) and not _near(mine.busy_ns, theirs.busy_ns):
            unlike.append(
                say(
                    "{sender} to {receiver} had neither the same bytes to move nor the same time: "
                    "{size:,} bytes in {s:.2f} s with {run}, {peer_size:,} bytes in {peer_s:.2f} s "
                    "with {peer}.",
                    sender=mine.sender,
                    receiver=mine.receiver,
                    size=mine.bytes,
                    s=mine.busy_ns / 1e9,
                    run=side.name,
                    peer_size=theirs.bytes,
                    peer_s=theirs.busy_ns / 1e9,
                    peer=peer.name,
                )
            )
    return unlike


def _near(amount: float, reference: float) -> bool:
    return abs(amount - reference) <= NEAR * max(amount, reference)


def all_differences(sides: Sequence[Side]) -> list[str]:
    """A sentence for each thing that was not alike in a run and in the first."""
    unlike = [sentence for peer in sides[1:] for sentence in differences(sides[0], peer)]
    return list(dict.fromkeys(unlike))
