# SPDX-License-Identifier: Apache-2.0
"""What became of packets that a command sent through a tunnel.

What lives here: pings inside a tunnel, and how many packets went and came. What must not: packets
that are in none (the other modules named `end_of_...`).
"""

from __future__ import annotations

from collections.abc import Sequence

from hoplab.decode import tunnels
from hoplab.decode.packet import Packet
from hoplab.sentences import number_of
from hoplab.story.end_of_packet import no_answer
from hoplab.story.records import Outcome
from hoplab.story.steps import Facts
from hoplab.story.trip_records import Trip

_MOST_TUNNELS = 3
_Tunnel = tuple[str, str]  # its name with its number, and the node at the other end


def ends_of_tunnels(facts: Facts, own: Sequence[Trip]) -> list[Outcome]:
    """One end for each tunnel that the command's packets went into."""
    groups: dict[_Tunnel, list[Trip]] = {}
    for trip in own:
        name = _name(trip) if trip.kind == "tunnel" else ""
        if name:
            groups.setdefault((name, trip.target or trip.dst), []).append(trip)
    return [_end(facts, tunnel, sent) for tunnel, sent in groups.items()][:_MOST_TUNNELS]


def _name(trip: Trip) -> str:
    """'VXLAN 42', 'GRE'; "" where PPPoE only arranges a session."""
    tunnel = tunnels.read(trip.packet)
    if tunnel is None or tunnel.code:
        return ""
    return tunnel.name if tunnel.number is None else f"{tunnel.name} {tunnel.number}"


def _end(facts: Facts, tunnel: _Tunnel, sent: Sequence[Trip]) -> Outcome:
    name, peer = tunnel
    sender = sent[0].sender
    back = [
        trip
        for trip in facts.trips
        if trip.kind == "tunnel" and sender in trip.delivered and _name(trip) == name
    ]
    values = {"sender": sender, "peer": peer, "tunnel": name}
    evidence = [sent[0].number, (back or sent)[-1].number]
    asked = {key: trip for trip in sent if (key := _echo(trip, request=True)) is not None}
    replies = {_echo(trip, request=False) for trip in back}
    if asked:
        answered = sum(key in replies for key in asked)
        sentence = number_of(
            "{sender} pinged {n:,} time through {tunnel} to {peer}, and {answered:,} came back.",
            "{sender} pinged {n:,} times through {tunnel} to {peer}, and {answered:,} came back.",
            len(asked),
            answered=answered, **values,
        )  # fmt: skip
        if answered:
            return Outcome(answered == len(asked), "tunnel-pings", sentence, [], peer, evidence)
        return no_answer(facts, list(asked.values())[-1], sentence, "tunnel")
    sentence = number_of(
        "{sender} sent {n:,} packet through {tunnel} to {peer}, and {back:,} came from there.",
        "{sender} sent {n:,} packets through {tunnel} to {peer}, and {back:,} came from there.",
        len(sent),
        back=len(back), **values,
    )  # fmt: skip
    if not back and all(trip.ended for trip in sent):
        return no_answer(facts, sent[-1], sentence, "tunnel")
    return Outcome(None, "tunnel", sentence, [], peer, evidence)


def _echo(trip: Trip, *, request: bool) -> tuple[str, str, int, int] | None:
    """What an echo request in a tunnel and the reply to it have in common; None for others."""
    packet: Packet | None = trip.packet
    for _ in range(4):  # tunnels in each other
        tunnel = tunnels.read(packet) if packet is not None else None
        if tunnel is None:
            break
        packet = tunnel.inner
    icmp = packet.icmp if packet is not None else None
    if packet is None or icmp is None or not (icmp.echo_request if request else icmp.echo_reply):
        return None
    ends = (packet.src, packet.dst) if request else (packet.dst, packet.src)
    return (*ends, icmp.ident, icmp.seq)
