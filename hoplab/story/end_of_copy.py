# SPDX-License-Identifier: Apache-2.0
"""What became of each copy of a packet from which nothing was made.

What lives here: the end of a single copy, and why a copy is missing. What must not: which of the
copies tells how the packet ended (`astray.py`, `undelivered.py`).

How a copy's end is judged, at a host or router that passed nothing on:
1. The kernel saw another card's MAC on it (`Reception.OTHERHOST`): the card drops it, ignored.
2. A broadcast or multicast that asks for one address (ARP, neighbour solicitation): delivered to
   the owner of that address; everybody else read it and ignored it.
3. A DHCP server's message to a client without address: delivered to the card that it names.
4. Any other broadcast or multicast: delivered, since frames do not show who listens.
5. A unicast frame to this card: delivered if the IP destination is this node's, else stuck here.
"""

from __future__ import annotations

from collections.abc import Sequence

from hoplab.capture.observation import Reception
from hoplab.decode.packet import Packet
from hoplab.follow.model import Hop
from hoplab.sentences import Sentence, listed, say
from hoplab.story.astray import End
from hoplab.story.copies import Copies
from hoplab.story.coverage import Evidence, reserved
from hoplab.story.destinations import (
    announces,
    client_card,
    is_group_address,
    is_group_mac,
    resolves_address,
    wanted,
)
from hoplab.story.places import Places
from hoplab.story.summary_records import QueueLoss
from hoplab.story.trip_records import Leg


def find_ends(places: Places, copies: Copies, evidence: Evidence) -> list[End]:
    """What became of each copy that nothing was made of, in order of time."""
    ends = [
        _end(places, hop, leg, packet, evidence)
        for hop, leg, packet in zip(copies.hops, copies.legs, copies.packets, strict=True)
        if not hop.children and not hop.more
    ]
    ends.sort(key=lambda end: (copies.legs[end.leg].t_ns, copies.legs[end.leg].sent or 0))
    return ends


def _end(places: Places, hop: Hop, leg: Leg, packet: Packet, evidence: Evidence) -> End:
    """What became of the copy on a leg from which nothing went on."""
    if evidence.coverage.place:
        return End("delivered", leg.index, places.recipient(packet) or leg.head)
    on_link = _end_on_link(hop, leg, evidence)
    if on_link is not None:
        return on_link
    place, node = leg.index, leg.head
    if places.switch(node):
        return _end_in_switch(hop, leg, evidence)
    if is_group_mac(leg.dst_mac):
        return _end_of_group(places, leg, packet)
    if _other_card(places, hop, leg):
        return End("ignored", place, node, "card")
    address = wanted(packet)
    if resolves_address(packet) or packet.ip is None:
        return End("delivered", place, node)
    if places.has(node, address) or is_group_address(address):
        return End("delivered", place, node)
    if client_card(packet) and places.recipient(packet) == node:
        return End("delivered", place, node)
    return _end_on_the_way(places, hop, leg, packet, evidence)


def _end_on_link(hop: Hop, leg: Leg, evidence: Evidence) -> End | None:
    """What became of a copy that was not seen to arrive; None if it was."""
    place, node = leg.index, leg.head
    if not node:
        why = say("{interface} is wired to nothing", interface=leg.tail_interface)
        return End("lost", place, leg.tail, why)
    if leg.lost:
        why = say(
            "{sender} sent it out of {interface}, it never arrived at {node}",
            sender=leg.tail, interface=leg.tail_interface, node=node,
        )  # fmt: skip
        return End("lost", place, node, why)
    if leg.cut and evidence.before(hop):
        why = say("it was on its way to {node} when the capture began there", node=node)
        return End("cut", place, node, why)
    if leg.cut:
        why = say("the capture ended while it was on its way to {node}", node=node)
        return End("cut", place, node, why)
    if leg.unseen and hop.head in evidence.coverage.unheard:
        why = say("whether it arrived at {node} cannot be told: nobody captured there", node=node)
        return End("unseen", place, node, why)
    if leg.unseen:
        why = say(
            "whether it arrived at {node} cannot be told: the capture missed frames there",
            node=node,
        )
        return End("unseen", place, node, why)
    return None


def _end_in_switch(hop: Hop, leg: Leg, evidence: Evidence) -> End:
    """A switch took a copy in and did not send it out, as far as was seen."""
    place, node = leg.index, leg.head
    if evidence.held_at_end(hop):
        return End("cut", place, node, still_held(node))
    if reserved(hop):
        return End("delivered", place, node)
    interface = leg.head_interface
    losses = evidence.dropped_at(hop)
    if losses:
        return End("dropped", place, node, _no_room(node, losses))
    if evidence.passed_unseen(hop):
        return End("unseen", place, node, may_have_passed(node))
    why = say(
        "{switch} took it in by {interface} and sent it out of no port",
        switch=node, interface=interface,
    )  # fmt: skip
    return End("stopped", place, node, why)


def _end_of_group(places: Places, leg: Leg, packet: Packet) -> End:
    """What a host or router did with a broadcast or multicast."""
    place, node, address = leg.index, leg.head, wanted(packet)
    if places.has(node, address):
        return End("delivered", place, node)
    if client_card(packet):
        client = places.recipient(packet)
        how = "delivered" if client in ("", node) else "ignored"
        return End(how, place, node, "" if how == "delivered" else "software")
    ignored = not announces(packet) if resolves_address(packet) else places.owner(address) != ""
    return End("ignored", place, node, "software") if ignored else End("delivered", place, node)


def _end_on_the_way(places: Places, hop: Hop, leg: Leg, packet: Packet, evidence: Evidence) -> End:
    """A host or router took in a packet that is for another, and nothing of it went on."""
    place, node = leg.index, leg.head
    losses = evidence.dropped_at(hop)
    if losses:
        return End("dropped", place, node, _no_room(node, losses))
    waits = places.router(node) and (packet.ttl is None or packet.ttl > 1)
    if waits and evidence.held_at_end(hop):
        return End("cut", place, node, still_held(node))
    if waits and evidence.passed_unseen(hop):
        return End("unseen", place, node, may_have_passed(node))
    return End("stuck", place, node, _stuck(places, node, packet))


def _other_card(places: Places, hop: Hop, leg: Leg) -> bool:
    """The MAC on the frame is not this card's: the kernel says so, or else the wiring."""
    if hop.received is not None:
        return hop.received.reception == Reception.OTHERHOST
    return places.card(leg.dst_mac) not in ("", leg.head)


def _stuck(places: Places, node: str, packet: Packet) -> Sentence:
    if not places.router(node):
        return say(
            "{node} took it in, but is no router and passes on nothing that is for {ip}",
            node=node, ip=packet.dst,
        )  # fmt: skip
    if packet.ttl is not None and packet.ttl <= 1:
        return say(
            "{node} took it in with TTL {ttl}, which allows no further hop",
            node=node, ttl=packet.ttl,
        )  # fmt: skip
    return say("{node} took it in and sent nothing on", node=node)


def may_have_passed(node: str) -> Sentence:
    return say(
        "whether {node} sent it on cannot be told: the capture missed frames there", node=node
    )


def still_held(node: str) -> Sentence:
    return say("the capture ended while {node} had it", node=node)


def _no_room(node: str, losses: Sequence[QueueLoss]) -> str:
    """That a node dropped a frame, or likely did, and which of its queues had no room for it."""
    certain = all(loss.certain for loss in losses)
    cables = [loss.interface for loss in losses if loss.cable]
    behind = next((loss.interface for loss in losses if not loss.cable), "")
    if not cables and certain:
        return say(
            "{switch} dropped it at {interface}: its queue there was full",
            switch=node, interface=behind,
        )  # fmt: skip
    if not cables:
        return say(
            "{switch} likely dropped it at {interface}: its queue there was full",
            switch=node, interface=behind,
        )  # fmt: skip
    before = listed(cables)
    if not behind and all(loss.lossy for loss in losses):
        return _lost_by_cable(node, before, certain=certain)
    if not behind and certain:
        return say(
            "{node} dropped it in front of the cable at {before}: the queue there was full",
            node=node, before=before,
        )  # fmt: skip
    if not behind:
        return say(
            "{node} likely dropped it in front of the cable at {before}: the queue there was full",
            node=node, before=before,
        )  # fmt: skip
    if certain:
        return say(
            "{node} dropped it where a queue was full: at {behind}, where it came in, or in front "
            "of the cable at {before}",
            node=node, behind=behind, before=before,
        )  # fmt: skip
    return say(
        "{node} likely dropped it where a queue was full: at {behind}, where it came in, or in "
        "front of the cable at {before}",
        node=node, behind=behind, before=before,
    )  # fmt: skip


def _lost_by_cable(node: str, before: str, *, certain: bool) -> str:
    """That a frame was lost because a cable is to lose some."""
    if certain:
        return say(
            "the cable at {before} lost it as {node} sent it: it is to lose some frames",
            node=node, before=before,
        )  # fmt: skip
    return say(
        "the cable at {before} likely lost it as {node} sent it: it is to lose some frames",
        node=node, before=before,
    )  # fmt: skip


def no_copy(loss: QueueLoss) -> str:
    """That a copy is missing which a node made for one of its ports."""
    names = {"node": loss.node, "interface": loss.interface}
    if loss.lossy and loss.cable:
        return (
            say("the cable at {interface} lost the copy that {node} sent there: it is to lose some "
                "frames", **names)
            if loss.certain
            else say("the cable at {interface} likely lost the copy that {node} sent there: it is "
                     "to lose some frames", **names)
        )  # fmt: skip
    if loss.certain:
        return say(
            "{node} dropped the copy for {interface}: the queue in front of the cable there was "
            "full",
            **names,
        )
    return say(
        "{node} likely dropped the copy for {interface}: the queue in front of the cable there was "
        "full",
        **names,
    )
