# SPDX-License-Identifier: Apache-2.0
"""Why nodes ask for MAC addresses, and which reply answers which request.

What lives here: rules on ARP and neighbour discovery. What must not: two nodes that claim one
address (`claim_notes.py`).

An ARP request (or IPv6 neighbour solicitation) by a node for a next hop is caused by the first
packet that the node then sends to the MAC of that next hop; if none ever leaves, by the packet that
came to the node, was to go on and never did.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Collection, Iterable, Mapping, Sequence, Set

from hoplab.sentences import Sentence, say
from hoplab.story.destinations import probes
from hoplab.story.packet_names import short
from hoplab.story.places import Places
from hoplab.story.relations import Draft, Drafts, Grouped, Key, Rule, gather
from hoplab.story.trip_records import Trip

ASKS_MAC = ("arp-request", "nd-solicitation")
MAX_WAIT_NS = 10_000_000_000  # a packet is held for at most about three ARP tries, a second each
Moment = tuple[int, int, bool]  # when, the packet's number, and whether it was only passed on
_NEVER: Moment = (1 << 62, 0, False)


def claims(trip: Trip) -> bool:
    """It asks for an address of its own, to see that it is free: no answer is the good one."""
    return probes(trip.packet)


class MacAnswers(Grouped):
    """Pairs each request for a MAC with the reply that came to its asker; one reply ends all its
    tries. By the address that is asked for."""

    def about(self, kind: str) -> bool:
        return kind in ASKS_MAC or kind in ("arp-reply", "nd-advertisement")

    def keys(self, trip: Trip) -> Collection[Key]:
        arp, icmp = trip.packet.arp, trip.packet.icmp
        if trip.kind in ASKS_MAC:
            return ((trip.dst,),)
        if trip.kind == "arp-reply" and arp is not None:
            return ((arp.sender_ip,),)
        if trip.kind == "nd-advertisement" and icmp is not None:
            return ((icmp.target,),)
        return ()

    def relate(self, key: Key, trips: Sequence[Trip]) -> Drafts:
        drafts = Drafts()
        waiting: dict[str, list[Trip]] = {}  # by asker
        for trip in trips:
            if trip.kind in ASKS_MAC:
                waiting.setdefault(trip.sender, []).append(trip)
                continue
            if not trip.delivered:  # sent because of the request, but the asker never got it
                for request in waiting.get(trip.target, [])[-1:]:
                    drafts[trip.number].causes.append(request.number)
            for node in trip.delivered:
                requests = waiting.pop(node, [])
                for request in requests:
                    drafts[request.number].answered_by = trip.number
                if requests:
                    drafts[trip.number].causes.append(requests[-1].number)
        return drafts


class MacNeeds(Rule):
    """Why nodes ask for MACs: what they then sent to the neighbour, or could not send.

    trips: all packets that are looked at. answering: the rules that know what answers a packet.
    """

    def __init__(
        self, places: Places, trips: Mapping[int, Trip], answering: Sequence[Rule]
    ) -> None:
        super().__init__()
        self._places = places
        self._trips = trips
        self._answering = answering
        self._sent: dict[Key, list[Moment]] = {}  # by node and next hop, in order of time
        self._moments: dict[int, list[tuple[Key, Moment]]] = {}  # of each packet
        self._held: dict[str, dict[int, Trip]] = {}  # by node what came to it and went no further
        self._holder: dict[int, str] = {}  # the node that has it, of each of these
        self._requests: dict[int, Trip] = {}
        self._askers: dict[str, dict[int, Trip]] = {}  # requests by the node that sent them
        self._waiting: dict[Key, dict[int, Trip]] = {}  # requests by node and next hop
        self._hop: dict[int, Key] = {}  # that node and next hop, of each request
        self._met: dict[int, Moment] = {}  # what was sent after a request
        self._open: dict[int, Trip] = {}  # requests of which nothing is known yet
        self._touched: dict[int, None] = {}

    def put(self, trip: Trip) -> None:
        if trip.kind in ASKS_MAC:
            if not trip.stray:
                self._requests[trip.number] = trip
                self._askers.setdefault(trip.sender, {})[trip.number] = trip
                self._touched[trip.number] = None
        elif trip.packet.ip is not None:
            self._put_sent(trip)
            self._put_held(trip)

    def about(self, kind: str) -> bool:
        return kind in ASKS_MAC or not kind.startswith(("arp-", "nd-"))

    def _put_sent(self, trip: Trip) -> None:
        way, sent_by = trip.way, self._sent
        number, legs = way.number, way.legs
        moments: list[tuple[Key, Moment]] = [
            (ends, (legs[leg].t_ns, number, passed)) for leg, ends, passed in way.next_hops
        ]
        before = self._moments.get(number)
        if before is not None:
            if moments == before:
                return
            for key, moment in before:
                sent_by[key].remove(moment)
        self._moments[number] = moments
        for key, moment in moments:
            sent = sent_by.get(key)
            if sent is None:
                sent_by[key] = [moment]
            elif not sent or sent[-1] < moment:  # as a rule
                sent.append(moment)
            else:
                insort(sent, moment)
            waiting = self._waiting.get(key)
            if waiting:
                self._touch_earlier(waiting, moment)

    def _touch_earlier(self, waiting: Mapping[int, Trip], moment: Moment) -> None:
        """Looks again at the requests that a packet sent then is the first one after."""
        for asking, request in waiting.items():
            if request.t_ns <= moment[0] < self._met.get(asking, _NEVER)[0]:
                self._touched[asking] = None

    def _put_held(self, trip: Trip) -> None:
        if not trip.ended and trip.number not in self._holder:
            return  # as a rule
        before = self._holder.pop(trip.number, "")
        if before:
            del self._held[before][trip.number]
        holder = trip.path[-1] if trip.ended and trip.legs else ""
        if holder:
            self._holder[trip.number] = holder
            self._held.setdefault(holder, {})[trip.number] = trip
        for node in {before, holder}:
            self._touched.update(dict.fromkeys(self._askers.get(node, ())))

    def forget(self, numbers: Set[int]) -> None:
        super().forget(numbers)
        for number in self._moments.keys() & numbers:
            for key, moment in self._moments.pop(number):
                moments = self._sent[key]
                moments.remove(moment)
                if not moments:
                    del self._sent[key]
        for number in self._holder.keys() & numbers:
            del self._held[self._holder.pop(number)][number]
        for number in self._requests.keys() & numbers:
            request = self._requests.pop(number)
            del self._askers[request.sender][number]
            self._waiting.get(self._hop.pop(number, ()), {}).pop(number, None)
            self._met.pop(number, None)
            self._open.pop(number, None)

    def moved(self, addresses: Iterable[str]) -> None:
        """These addresses are another node's than before."""
        for address in addresses:
            for number, request in self._requests.items():
                if address in (request.src, request.dst):
                    self._touched[number] = None

    def answered(self, numbers: Iterable[int]) -> None:
        """What answers these packets may be known now."""
        for number in numbers:
            if number in self._requests:
                self._touched[number] = None
            holder = self._holder.get(number, "")
            self._touched.update(dict.fromkeys(self._askers.get(holder, ())))

    def update(self, now_ns: int | None) -> set[int]:
        for number, request in self._open.items():
            if now_ns is None or now_ns - request.t_ns > MAX_WAIT_NS:
                self._touched[number] = None
        changed = set()
        for number in self._touched:
            asking = self._requests.get(number)
            if asking is None:
                continue
            before = self.drafts.pop(number, None)
            draft = self._draft(asking, now_ns)
            if draft is not None:
                self.drafts[number] = draft
            if draft != before:
                changed.add(number)
        self._touched.clear()
        return changed

    def _draft(self, trip: Trip, now_ns: int | None) -> Draft | None:
        if claims(trip):
            cause = say(
                "{node} wants to use {ip} and checks that nobody else does",
                node=trip.sender, ip=trip.dst,
            )  # fmt: skip
            return Draft(cause)
        holder = self._places.owner(trip.src)
        if holder and holder != trip.sender:
            cause = say(
                "{node} gives as its own the address {ip}, which is one of {holder}: who takes "
                "that in sends to {node} what is meant for {holder}",
                node=trip.sender, ip=trip.src, holder=holder,
            )  # fmt: skip
            return Draft(cause)
        if not trip.group:
            cause = say(
                "{node} knows the MAC of {ip} and checks that it still holds",
                node=trip.sender, ip=trip.dst,
            )  # fmt: skip
            return Draft(cause)
        owner = self._places.owner(trip.dst)
        address = trip.dst
        if owner not in ("", trip.dst):
            address = say("{ip} ({node})", ip=trip.dst, node=owner)
        self._open.pop(trip.number, None)
        moment = self._next_sent(trip, owner)
        if moment is not None:
            _, number, passed = moment
            cause = _needed(trip.sender, address, self._trips[number], passed)
            return Draft(cause, [number])
        stuck = self._stuck_before(trip)
        if stuck is not None:
            cause = say(
                "{node} needed the MAC of {address} to pass on #{packet}, {name}",
                node=trip.sender, address=address, packet=stuck.number, name=short(stuck),
            )  # fmt: skip
            return Draft(cause, [stuck.number])
        if self._answer_of(trip.number):
            return None
        if now_ns is not None and now_ns - trip.t_ns <= MAX_WAIT_NS:
            self._open[trip.number] = trip
            return None
        cause = say(
            "{node} needed the MAC of {address}; the packet that it wanted to send never left",
            node=trip.sender, address=address,
        )  # fmt: skip
        return Draft(cause)

    def _next_sent(self, request: Trip, neighbour: str) -> Moment | None:
        """The first packet that the node then sent to that neighbour; None if it came too late to
        have waited."""
        key: Key = (request.sender, neighbour)
        before = self._hop.get(request.number)
        if before is not None and before != key:
            self._waiting[before].pop(request.number, None)
        self._hop[request.number] = key
        self._waiting.setdefault(key, {})[request.number] = request
        self._met.pop(request.number, None)
        moments = self._sent.get(key, []) if neighbour else []
        place = bisect_left(moments, (request.t_ns, 0, False))
        if place == len(moments) or moments[place][0] - request.t_ns > MAX_WAIT_NS:
            return None
        self._met[request.number] = moments[place]
        return moments[place]

    def _stuck_before(self, request: Trip) -> Trip | None:
        """The packet that the asker could not pass on when it asked, the one for the address that
        it asks for before any other."""
        stuck = [
            packet
            for _, packet in sorted(self._held.get(request.sender, {}).items())
            if 0 <= request.t_ns - packet.arrived_ns <= MAX_WAIT_NS
            and packet.number < request.number
            # An answered one was given up, and its sender told so.
            and not 0 < self._answer_of(packet.number) < request.number
        ]
        same = next((packet for packet in stuck if packet.dst == request.dst), None)
        return same or (stuck[0] if stuck else None)

    def _answer_of(self, number: int) -> int:
        return gather(self._answering, number).answered_by


def _needed(node: str, address: str, trip: Trip, passed: bool) -> Sentence:
    """Why a node asked for a MAC: what it then sent, or passed on."""
    if passed:
        return say(
            "{node} needed the MAC of {address} before it could pass on #{packet}, {name}",
            node=node, address=address, packet=trip.number, name=short(trip),
        )  # fmt: skip
    return say(
        "{node} needed the MAC of {address} before it could send #{packet}, {name}",
        node=node, address=address, packet=trip.number, name=short(trip),
    )  # fmt: skip
