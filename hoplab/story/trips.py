# SPDX-License-Identifier: Apache-2.0
"""One journey to one `Trip`: its path, who got it, who ignored it, what each node did to it.

What lives here: what one journey alone can tell. What must not: why it was sent or what answers
it (`causes.py`, `tcp.py`), headings (`steps.py`).

How a copy's end is judged, at a host or router that passed nothing on:
1. The kernel saw another card's MAC on it (`Reception.OTHERHOST`): the card drops it, ignored.
2. A broadcast or multicast that asks for one address (ARP, neighbour solicitation): delivered to
   the owner of that address; everybody else read it and ignored it.
3. Any other broadcast or multicast: delivered, since frames do not show who listens.
4. A unicast frame to this card: delivered if the IP destination is this node's, else stuck here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from hoplab.capture.observation import Reception
from hoplab.decode import packet as wire
from hoplab.decode.packet import Packet
from hoplab.follow.model import Doubt, Hop, Journey, Origin, Tally
from hoplab.follow.wiring import Wiring, natural
from hoplab.sentences import Sentence, listed, say, term
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
from hoplab.story.coverage import Evidence, Fate, reserved
from hoplab.story.records import Fanout, Ignored, Leg, QueueLoss, Rest, Rewrite, Storm, Trip
from hoplab.story.silence import loop_of_switches
from hoplab.story.titles import describe, frame_count, times


class Places:
    """Who is who: the questions that this folder asks of the wiring."""

    def __init__(self, wiring: Wiring) -> None:
        self.wiring = wiring
        self.extra_ips: dict[str, str] = {}
        self._macs: dict[str, str] = {}  # node of a source MAC address, by the frames it made
        # Address -> nodes that have shown that it is theirs; and those that sent something from it.
        self._claims: dict[str, dict[str, None]] = {}
        self._used: set[tuple[str, str]] = set()
        self.wired_ports = {
            node: sum(wiring.peer(port) is not None for port in wiring.ports(node))
            for node in wiring.nodes
        }

    def learn(self, journeys: Iterable[Journey]) -> None:
        """Take addresses that the wiring does not know (given later, link-local) from the frames
        of the nodes that use them; and those that have moved, or that a second node has, from ARP
        and from answers, which only come from who has an address."""
        for journey in journeys:
            hop = journey.root
            if hop.origin != Origin.BORN or hop.sent is None or self.switch(self.node(hop.tail)):
                continue
            packet, node = wire.decode(hop.data), self.node(hop.tail)
            source = packet.src
            if packet.eth is not None:
                self._macs[packet.eth.src] = node
            self._used.add((source, node))
            if _claims(packet) and not self.router(node):  # it may be a proxy (RFC 1027)
                self._claims.setdefault(source, {})[node] = None
            if source not in ("", "0.0.0.0", "::") and not self.owner(source):
                self.extra_ips[source] = node

    def node(self, port: int | None) -> str:
        """The node of a port, "" for none."""
        return self.wiring.node_name(port) if port is not None else ""

    def name(self, port: int | None) -> str:
        """The interface name of a port, "" for none."""
        return self.wiring.port_name(port) if port is not None else ""

    def switch(self, node: str) -> bool:
        """True if the node passes frames on without an address of its own."""
        return node != "" and self.wiring.kind(node) == "switch"

    def router(self, node: str) -> bool:
        """True if the node passes packets on between networks."""
        return node != "" and self.wiring.kind(node) == "router"

    def owner(self, ip: str) -> str:
        """The node that has this IP address, "" if none. One that the wiring names has it unless it
        keeps silent while another has it."""
        wired = self.wiring.node_of_ip(ip)
        claims = self._claims.get(ip, {})
        if wired and (not claims or wired in claims or (ip, wired) in self._used):
            return wired
        return next(iter(claims), "") or self.extra_ips.get(ip, "")

    def has(self, node: str, ip: str) -> bool:
        """Whether the node has this address; two may, by mistake."""
        return self.owner(ip) == node or node in self._claims.get(ip, {})

    def holder(self, mac: str) -> str:
        """The host or router that has a card with this MAC address, by the wiring or by a frame
        that it sent; "" if there is none. A switch takes in no frame for itself."""
        node = self.card(mac) or self._macs.get(mac, "")
        return "" if self.switch(node) else node

    def card(self, mac: str) -> str:
        """The node whose card has this MAC address, "" if none."""
        return self.wiring.node_of_mac(mac) or ""


def _claims(packet: Packet) -> bool:
    """Only who has an address sends this from it: ARP, an echo reply, a SYN + ACK."""
    if packet.arp is not None:
        return packet.arp.sender_ip != "0.0.0.0"
    if packet.icmp is not None:
        return packet.icmp.echo_reply
    return packet.tcp is not None and packet.tcp.syn and packet.tcp.ack_flag


def probes(packet: Packet) -> bool:
    """It asks whether an address is free (RFC 5227 for ARP, RFC 4862 section 5.4 for IPv6)."""
    if packet.arp is not None:
        return packet.arp.op == 1 and packet.arp.sender_ip == "0.0.0.0"
    icmp = packet.icmp
    return icmp is not None and icmp.version == 6 and icmp.type == 135 and packet.src == "::"


def wanted(packet: Packet) -> str:
    """The address that the packet is for; of ARP and neighbour solicitations the one asked for."""
    if packet.icmp is not None and packet.icmp.version == 6 and packet.icmp.type == 135:
        return packet.icmp.target
    return packet.dst


def tell_trip(
    places: Places, journey: Journey, started_ns: int, evidence: Evidence | None = None
) -> Trip:
    """The journey as a trip, without anything that needs other journeys.

    evidence: what the capture could see. What it could not is not told as lost.
    """
    evidence = evidence or Evidence(places.wiring)
    hops = list(journey.hops())
    index = {id(hop): place for place, hop in enumerate(hops)}
    packets = _packets(hops, index)
    legs = [_leg(places, hop, place, index, packets, evidence) for place, hop in enumerate(hops)]
    ends = _ends(places, hops, legs, packets, evidence)
    target = _target(places, packets, ends)
    early = evidence.under_way_at_start(hops[0], _foreign(places, legs[0], packets[0]))
    death = _undelivered(places, hops, legs, ends, packets)
    ended = fate = doubt = unreached = ""
    if death is not None:
        fate = how_it_ended(death, ends)
        ended, fate, doubt = _told_end(
            places, death, fate, hops, legs, evidence, target, early=early
        )
        unreached = death.unreached if ended == death.why else ""
    main, path, fan = _path(legs, ends, target, death)
    last = main or 0
    kind, title = describe(packets[0])
    storm = _storm(places, hops)
    stray = _stray(places, hops[0], packets[0])
    # The frame that it is a copy of may have come in where the capture misses frames.
    came_unseen = stray and not early and evidence.came_unseen(hops[0])
    return Trip(
        number=journey.number,
        t_ns=hops[0].t_ns,
        ms=(hops[0].t_ns - started_ns) / 1e6,
        kind=kind,
        title=title,
        sender=legs[0].tail,
        target=target,
        src=packets[0].src,
        dst=wanted(packets[0]),
        length=hops[0].seen.length,
        path=path,
        fan=fan,
        legs=legs,
        delivered=_unique(end.node for end in ends if end.how == "delivered"),
        ignored=_ignored(path, ends, legs),
        fanouts=_fanouts(places, hops, legs, packets),
        rewrites=_rewrites(places, hops, index, legs, packets),
        ended=ended,
        fate=fate,
        unreached=unreached,
        packet=packets[0],
        arrived_ns=_arrived_ns(hops[last], main),
        last=packets[last],
        notes=[
            *_early_notes(early, legs[0]),
            *([_came_unseen(legs[0].tail)] if came_unseen else []),
            *_cuts(hops, legs, packets),
            *_lacking(evidence, hops, ended),
            *(_storm_notes(storm, hops) or _extra(places, hops)),
            *filter(None, [doubt]),
        ],
        storm=storm,
        under_way=early or fate == "cut" or any(end.how == "cut" for end in ends),
        doubt=doubt,
        stray=stray,
        cause=_unexplained(legs[0]) if stray and not early and not came_unseen else "",
    )


def _packets(hops: list[Hop], index: dict[int, int]) -> list[Packet]:
    """The packet in each frame; what a switch copied is decoded once."""
    packets: list[Packet] = []
    for hop in hops:
        same = hop.origin == Origin.SWITCHED and hop.parent is not None
        parent = index.get(id(hop.parent)) if same else None
        packets.append(packets[parent] if parent is not None else wire.decode(hop.data))
    return packets


def _ends(
    places: Places, hops: list[Hop], legs: list[Leg], packets: list[Packet], evidence: Evidence
) -> list[End]:
    """What became of each copy that nothing was made of, in order of time."""
    ends = [
        _end(places, hop, legs[place], packets[place], evidence)
        for place, hop in enumerate(hops)
        if not hop.children and not hop.more
    ]
    ends.sort(key=lambda end: (legs[end.leg].t_ns, legs[end.leg].sent or 0))
    return ends


def _undelivered(
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


def _arrived_ns(last: Hop, main: int | None) -> int:
    """When the frame of the last leg arrived; when it was seen, if it did not, or if it is not
    known which one is the last."""
    if main is not None and last.received is not None:
        return last.received.t_ns
    return last.t_ns


def _unexplained(leg: Leg) -> Sentence:
    return say("{node} sent it, and no frame that came in explains it", node=leg.tail)


def _came_unseen(node: str) -> Sentence:
    return say("how it came to {node} was not seen: the capture missed frames there", node=node)


def _foreign(places: Places, leg: Leg, packet: Packet) -> bool:
    """The packet's source is another node than the one that sent the first frame of it."""
    if places.switch(leg.tail):
        return places.card(leg.src_mac) not in ("", leg.tail)
    owner = places.owner(packet.src)
    return owner not in ("", leg.tail)


def _early_notes(early: bool, leg: Leg) -> list[str]:
    """Where a packet was that was under way when the capture began."""
    if not early:
        return []
    if leg.sent is None:
        return [say("it was on its way to {node} when the capture began", node=leg.head)]
    return [say("{node} had it when the capture began", node=leg.tail)]


def _ignored(path: list[str], ends: list[End], legs: list[Leg]) -> list[Ignored]:
    """By where on the path the copy was made, then by name: which of a switch's copies arrived a
    moment earlier says nothing, and differs from run to run."""
    at = {node: place for place, node in reversed([*enumerate(path)])}
    ignored = [Ignored(end.node, end.why, end.leg) for end in ends if end.how == "ignored"]
    return sorted(
        ignored, key=lambda copy: (at.get(legs[copy.leg].tail, len(path)), natural(copy.node))
    )


def _extra(places: Places, hops: list[Hop]) -> list[str]:
    """Copies that no switch makes by itself: back out of the port by which the frame came, or more
    than one out of the same port."""
    notes = []
    for hop in hops:
        switch = places.node(hop.head)
        if not places.switch(switch):
            continue
        sure = [child.tail for child in hop.children if not child.doubt & Doubt.CAUSE]
        for port, count in Counter(sure).items():
            back = port == hop.head
            if back or count > 1:
                notes.append(_copies(switch, places.name(port), count, back))
    return _unique(notes)


def _copies(switch: str, interface: str, count: int, back: bool) -> str:
    """How often a switch sent one frame out of one port; back: it had come by that port."""
    if not back:
        return say(
            "{switch} sent it out of {interface} {times}",
            switch=switch, interface=interface, times=times(count),
        )  # fmt: skip
    if count > 1:
        return say(
            "{switch} sent it back out of {interface}, where it came {times}",
            switch=switch, interface=interface, times=times(count),
        )  # fmt: skip
    return say(
        "{switch} sent it back out of {interface}, where it came",
        switch=switch, interface=interface,
    )  # fmt: skip


def _stray(places: Places, first: Hop, packet: Packet) -> bool:
    """A switch sent it, and it is no frame of its own: none of the machine that it runs on, which
    bears the MAC address of one of its ports, none of spanning tree, no probe of its controller."""
    node, eth = places.node(first.tail), packet.eth
    if not places.switch(node) or eth is None or places.card(eth.src) == node:
        return False
    return eth.type != 0x88CC and not reserved(first)


def _comes_back(places: Places, hop: Hop) -> bool:
    """The frame that this one is a copy of has been at the same switch before."""
    node, above = places.node(hop.head), hop
    if not places.switch(node):
        return False
    while above.origin == Origin.SWITCHED and (parent := above.parent) is not None:
        if places.node(parent.head) == node:
            return True
        above = parent
    return False


def _storm(places: Places, hops: list[Hop]) -> Storm | None:
    """What the tallies say, if the frame left a port more than once, and not only because a switch
    made several copies for the same port."""
    of_storm = [hop for hop in hops if _more_than_once(hop)]
    tallies = {id(hop.tally.top): hop.tally.top for hop in of_storm if hop.tally is not None}
    counted = any(tally.counted for tally in tallies.values())
    circles = any(_comes_back(places, hop) for hop in of_storm)
    circles = circles or (counted and bool(loop_of_switches(places.wiring)))
    if not circles and not counted:
        return None
    node, back = places.node(hops[0].head), 0
    if circles:
        node, back = _came_back(places, node, of_storm, tallies.values())
    last_ns = _last_seen_ns(hops[0], of_storm, tallies.values())
    rest = [part for tally in tallies.values() for part in _rest(places, tally)]
    frames = len(hops) + sum(part.frames for part in rest)
    return Storm(node, back, (last_ns - hops[0].t_ns) / 1e6, frames, tuple(rest))


def _more_than_once(hop: Hop) -> bool:
    """The frame, or a copy of it, left some port more than once."""
    return hop.tally is not None and max(hop.tally.top.left.values()) > 1


def _last_seen_ns(first: Hop, of_storm: list[Hop], tallies: Iterable[Tally]) -> int:
    seen_ns = [(hop.received or hop.seen).t_ns for hop in of_storm]
    return max([first.t_ns, *seen_ns, *(tally.last_ns for tally in tallies)])


def _came_back(
    places: Places, entry: str, of_storm: list[Hop], tallies: Iterable[Tally]
) -> tuple[str, int]:
    """The switch that the frame came back to most often, and how often. entry: where it came in."""
    arrived: Counter[str] = Counter()
    for hop in of_storm:
        if hop.received is not None:
            arrived[places.node(hop.head)] += 1
    for tally in tallies:
        for port, count in tally.came.items():
            arrived[places.node(port)] += count
    back = {node: count - 1 for node, count in arrived.items() if places.switch(node)}
    # The switch where the frame came in is the one to look at, unless the loop is elsewhere.
    node = max(back, key=lambda switch: (back[switch], switch == entry), default="")
    if back.get(entry, 0) * 2 >= back.get(node, 0):
        node = entry
    return node, back.get(node, 0)


def _rest(places: Places, tally: Tally) -> Iterator[Rest]:
    """The copies that are only counted, by the link that they went over."""
    for tail, count in tally.counted.items():
        head = places.wiring.peer(tail) if tail is not None else None
        names = places.name(tail), places.node(head), places.name(head)
        yield Rest(*names, count, tally.came.get(head, 0))


def _storm_notes(storm: Storm | None, hops: list[Hop]) -> list[str]:
    if storm is None and any(hop.more for hop in hops):
        note = term(
            "the same bytes go round already: its copies are counted among those of that storm"
        )
        return [note]
    if storm is None:
        return []
    shown = len(hops)
    if not storm.back:
        note = say(
            "switches made {frames} of it; the first {shown:,} are told one by one",
            frames=frame_count(storm.frames), shown=shown,
        )  # fmt: skip
    elif storm.frames == shown:
        note = say(
            "this frame came back to {switch} {times} in {ms:,.1f} ms: a storm of {frames}",
            switch=storm.node, times=times(storm.back), ms=storm.ms,
            frames=frame_count(storm.frames),
        )  # fmt: skip
    else:
        note = say(
            "this frame came back to {switch} {times} in {ms:,.1f} ms: a storm of {frames}; the "
            "first {shown:,} are told one by one, the others counted",
            switch=storm.node, times=times(storm.back), ms=storm.ms,
            frames=frame_count(storm.frames), shown=shown,
        )  # fmt: skip
    return [note]


def _lacking(evidence: Evidence, hops: list[Hop], ended: str) -> list[str]:
    """The copies for which there was no room, but for the one that says how it ended."""
    lacking = evidence.drops.lacking
    notes = [_no_copy(loss) for hop in hops if hop in lacking for loss in lacking[hop]]
    return [note for note in notes if note != ended]


def _cuts(hops: list[Hop], legs: list[Leg], packets: list[Packet]) -> list[str]:
    """Where a router cut the packet, because it was too long for the next link (RFC 791 3.2)."""
    notes: list[str] = []
    index = {id(hop): place for place, hop in enumerate(hops)}
    for hop in hops:
        pieces = [
            packets[index[id(child)]]
            for child in hop.children
            if child.origin in (Origin.ROUTED, Origin.TRANSLATED)
        ]
        sizes = [piece.ipv4.total_length for piece in pieces if piece.ipv4 is not None]
        if len(sizes) > 1 and all(piece.ip is not None and piece.ip.fragment for piece in pieces):
            note = say(
                "{router} cut it into {n} fragments: IP packets of {sizes} bytes",
                router=legs[index[id(hop)]].head, n=len(sizes), sizes=listed(map(str, sizes)),
            )  # fmt: skip
            notes.append(note)
    return notes


def _leg(
    places: Places,
    hop: Hop,
    place: int,
    index: dict[int, int],
    packets: list[Packet],
    evidence: Evidence,
) -> Leg:
    # Copies that switches made share the Ethernet header of the frame that they copied.
    eth = packets[place].eth
    parent = index.get(id(hop.parent)) if hop.parent is not None else None
    fate = evidence.fate(hop)
    return Leg(
        index=place,
        parent=parent,
        tail=places.node(hop.tail),
        tail_interface=places.name(hop.tail),
        head=places.node(hop.head),
        head_interface=places.name(hop.head),
        t_ns=hop.t_ns,
        sent=hop.sent.number if hop.sent is not None else None,
        received=hop.received.number if hop.received is not None else None,
        origin=hop.origin.value,
        src_mac=eth.src if eth else "",
        dst_mac=eth.dst if eth else "",
        length=hop.seen.length,
        lost=fate is Fate.LOST,
        healed=hop.healed,
        cut=fate is Fate.CUT,
        uncertain=hop.doubt != 0,
        unseen=fate is Fate.UNSEEN,
    )


def _end(places: Places, hop: Hop, leg: Leg, packet: Packet, evidence: Evidence) -> End:
    """What became of the copy on a leg from which nothing went on."""
    on_link = _end_on_link(hop, leg, evidence)
    if on_link is not None:
        return on_link
    place, node = leg.index, leg.head
    if places.switch(node):
        return _end_in_switch(hop, leg, evidence)
    group = leg.dst_mac[:2] != "" and bool(int(leg.dst_mac[:2], 16) & 1)
    if group:
        return _end_of_group(places, leg, packet)
    if _other_card(places, hop, leg):
        return End("ignored", place, node, "card")
    address = wanted(packet)
    if _asks(packet) or packet.ip is None or places.has(node, address) or _group_address(address):
        return End("delivered", place, node)
    return _end_on_the_way(places, hop, leg, packet, evidence)


def _end_on_the_way(places: Places, hop: Hop, leg: Leg, packet: Packet, evidence: Evidence) -> End:
    """A host or router took in a packet that is for another, and nothing of it went on."""
    place, node = leg.index, leg.head
    losses = evidence.dropped_at(hop)
    if losses:
        return End("dropped", place, node, _no_room(node, losses))
    waits = places.router(node) and (packet.ttl is None or packet.ttl > 1)
    if waits and evidence.held_at_end(hop):
        return End("cut", place, node, _held(node))
    if waits and evidence.passed_unseen(hop):
        return End("unseen", place, node, _passed(node))
    return End("stuck", place, node, _stuck(places, node, packet))


def _asks(packet: Packet) -> bool:
    """ARP, or a message of neighbour discovery about one address."""
    return packet.arp is not None or (packet.icmp is not None and packet.icmp.target != "")


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
        return End("cut", place, node, _held(node))
    if reserved(hop):
        return End("delivered", place, node)
    interface = leg.head_interface
    losses = evidence.dropped_at(hop)
    if losses:
        return End("dropped", place, node, _no_room(node, losses))
    if evidence.passed_unseen(hop):
        return End("unseen", place, node, _passed(node))
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
    ignored = not _announces(packet) if _asks(packet) else places.owner(address) != ""
    return End("ignored", place, node, "software") if ignored else End("delivered", place, node)


def _no_room(node: str, losses: Sequence[QueueLoss]) -> str:
    """Where a node may have dropped a frame that it took in."""
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


def _no_copy(loss: QueueLoss) -> str:
    """That a copy is missing which a node made for one of its ports."""
    names = {"node": loss.node, "interface": loss.interface}
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


def _told_end(
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
                return _no_copy(loss), "dropped", ""
    if fate == "ignored":
        for place in sorted(death.network):
            node, copies = legs[place].head, len(hops[place].children)
            if places.switch(node) and copies + 1 < places.wired_ports[node]:
                if evidence.held_at_end(hops[place]):
                    return _held(node), "cut", ""
                if evidence.passed_unseen(hops[place]):
                    return "", "", _passed(node)
    return death.why, fate, ""


def _passed(node: str) -> Sentence:
    return say(
        "whether {node} sent it on cannot be told: the capture missed frames there", node=node
    )


def _held(node: str) -> Sentence:
    return say("the capture ended while {node} had it", node=node)


def _other_card(places: Places, hop: Hop, leg: Leg) -> bool:
    """The MAC on the frame is not this card's: the kernel says so, or else the wiring."""
    if hop.received is not None:
        return hop.received.reception == Reception.OTHERHOST
    return places.card(leg.dst_mac) not in ("", leg.head)


def _announces(packet: Packet) -> bool:
    """Broadcast to tell everybody, not to ask one: gratuitous ARP, unsolicited advertisement."""
    if packet.arp is not None:
        return packet.arp.op != 1 or packet.arp.sender_ip == packet.arp.target_ip
    return packet.icmp is not None and packet.icmp.type != 135


def _group_address(address: str) -> bool:
    """An IP multicast or limited broadcast address."""
    head = address.split(".")[0]
    return (head.isdigit() and int(head) >= 224) or address.lower().startswith("ff")


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


def _target(places: Places, packets: list[Packet], ends: list[End]) -> str:
    """Whom the packet is for: by the addresses it ended with (NAT may have changed them)."""
    for end in sorted(ends, key=lambda end: end.how != "delivered"):
        owner = places.owner(wanted(packets[end.leg]))
        if owner:
            return owner
    return places.owner(wanted(packets[0]))


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
        if not (group and _asks(packet)) and not holder:
            nobody = say(
                "no card that the lab set up has the MAC {mac}, and no frame came from it",
                mac=mac or "?",
            )
        question = Question(holder, nobody, group, whole)
        deaths.append(find_death(places.wiring, legs, ends, network, question))
    return surest(deaths, ends)


def _path(
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
    return None, [name for name in names if name], _unique(end.node for end in ends)


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


def _fanouts(
    places: Places, hops: list[Hop], legs: list[Leg], packets: list[Packet]
) -> list[Fanout]:
    out = []
    for place, hop in enumerate(hops):
        node = legs[place].head
        if places.switch(node) and not hop.more:  # some of its copies are only counted
            ports = {child.tail for child in hop.children} - {hop.head}
            further = max(places.wired_ports.get(node, 1) - 1, len(ports))
            eth = packets[place].eth
            due = eth is not None and bool(int(eth.dst[:2], 16) & 1)
            out.append(Fanout(node, len(ports), further, due, place))
    return out


def _rewrites(
    places: Places, hops: list[Hop], index: dict[int, int], legs: list[Leg], packets: list[Packet]
) -> list[Rewrite]:
    out = []
    for place, hop in enumerate(hops):
        if hop.origin not in (Origin.ROUTED, Origin.TRANSLATED) or hop.parent is None:
            continue
        parent = index[id(hop.parent)]
        before, after, old, new = legs[parent], legs[place], packets[parent], packets[place]
        out.append(
            Rewrite(
                node=after.tail,
                leg=place,
                src_mac_before=before.src_mac,
                dst_mac_before=before.dst_mac,
                src_mac_after=after.src_mac,
                dst_mac_after=after.dst_mac,
                src_owner_before=places.card(before.src_mac),
                dst_owner_before=places.card(before.dst_mac),
                src_owner_after=places.card(after.src_mac),
                next_hop=places.card(after.dst_mac),
                src_before=old.src,
                dst_before=old.dst,
                src_after=new.src,
                dst_after=new.dst,
                ttl_before=old.ttl,
                ttl_after=new.ttl,
            )
        )
    return out


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
