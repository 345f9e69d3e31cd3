# SPDX-License-Identifier: Apache-2.0
"""What the trips have to do with each other: which answers which, and which made which necessary.

What lives here: pairs and causes that frames prove. What must not: headings and how it all ended.

1. An ARP request (or IPv6 neighbour solicitation) by a node for a next hop is caused by the first
   packet that the node then sends to the MAC of that next hop; if none ever leaves, by the packet
   that came to the node, was to go on and never did.
2. An ICMP error quotes the packet that caused it.
3. A DNS question by a resolver is caused by the question that it has been asked and has not yet
   answered.
4. Answers: ARP by address, DNS by id and both ends, echo by ident and seq and both ends.
5. A switch needs no address and asks for nothing. What it sent without a frame that came in for it
   is told so, and is nobody's question.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from hoplab.decode import dns as wire_dns
from hoplab.decode import packet as wire
from hoplab.decode.dns import Dns
from hoplab.decode.packet import Packet
from hoplab.follow.wiring import Wiring
from hoplab.sentences import Sentence, say, term
from hoplab.story import leases
from hoplab.story.claims import claim_notes, claimed, find_claims, is_disputed
from hoplab.story.destinations import probes
from hoplab.story.dns_titles import dns_refers, dns_result
from hoplab.story.places import Places
from hoplab.story.records import Relation, Trip
from hoplab.story.relations import Draft, Drafts, Grouped, Key, Rule, gather

ASKS_MAC = ("arp-request", "nd-solicitation")
MAX_WAIT_NS = 10_000_000_000  # a packet is held for at most about three ARP tries, a second each



@dataclass(slots=True)
class Lookup:
    """One DNS question and its answer. Trips by number, 0 for none.

    replied_ns: when the answer was sent. tries: all sendings of the question. serves: the question
    on whose behalf it was asked. referral: the answer sends the asker on to other servers. lost:
    answers that never came.
    """

    question: int
    asker: str
    server: str
    name: str
    kind: str
    asked_ns: int
    tries: list[int] = field(default_factory=list)
    answer: int = 0
    answered_ns: int = 0
    replied_ns: int = 0
    rcode: int | None = None
    result: str = ""
    has_record: bool = False  # the answer holds a record of the type asked for
    referral: bool = False
    truncated: bool = False
    serves: int = 0
    tcp: bool = False
    lost: list[int] = field(default_factory=list)


class Causes:
    """What packets tell of each other. `put` takes them, in any order, and again as they come
    further; `update` says whose relation has changed by that.

    begun_ns: from then on no packet is missing; None if some may be.
    """

    def __init__(self, places: Places, begun_ns: int | None = None) -> None:
        self._numbers: set[int] = set()  # of all packets that are looked at
        errors, echoes, answers = _IcmpErrors(), _Echoes(), _Answers()
        self._answering = (errors, echoes, answers)
        self._needs = _Needs(places, self._answering)
        self._lookups = _Lookups()
        # A later one knows better why a packet came and what answers it.
        self.rules: tuple[Rule, ...] = (
            _Parts(), *self._answering, leases.Answers(), self._needs,
            _ClaimNotes(places.wiring, begun_ns), self._lookups, _Recursion(self._lookups),
        )  # fmt: skip

    @property
    def lookups(self) -> list[Lookup]:
        """All questions for names, in the order in which they were asked."""
        return self._lookups.all

    def put(self, trip: Trip) -> None:
        """Takes a packet, or takes it again as it has come further."""
        self._numbers.add(trip.number)
        for rule in self.rules:
            rule.put(trip)

    def forget(self, number: int) -> None:
        """Looks at the packet no more; what it has shown of others is not taken back by that."""
        self._numbers.discard(number)
        for rule in self.rules:
            rule.forget(number)

    def moved(self, addresses: Iterable[str]) -> None:
        """These addresses are another node's than before."""
        self._needs.moved(addresses)

    def update(self, now_ns: int | None = None) -> dict[int, Relation]:
        """The relations that may have changed, by number. now_ns: what has not come by then may
        still come; None if there is nothing more to come."""
        changed: set[int] = set()
        for rule in self.rules:
            news = rule.update(now_ns)
            if rule in self._answering:
                self._needs.answered(news)
            changed |= news
        return {number: gather(self.rules, number) for number in changed & self._numbers}


def find_causes(
    places: Places, trips: Iterable[Trip], begun_ns: int | None = None
) -> tuple[dict[int, Relation], list[Lookup]]:
    """The relations of all packets of a finished story, by number, and the DNS lookups.

    begun_ns: from then on no packet is missing; None if some may be.
    """
    causes = Causes(places, begun_ns)
    for trip in trips:
        causes.put(trip)
    return causes.update(), causes.lookups


def claims(trip: Trip) -> bool:
    """It asks for an address of its own, to see that it is free: no answer is the good one."""
    return probes(trip.packet)


def first_parts(trips: Iterable[Trip]) -> dict[int, int]:
    """Of each later fragment the trip with the first one (RFC 791 section 3.2)."""
    firsts: dict[Key, int] = {}
    first_of = {}
    for trip in trips:
        ip = trip.packet.ip
        if ip is not None and ip.fragment:
            first = firsts.setdefault((ip.src, ip.dst, ip.protocol, ip.ident), trip.number)
            if first != trip.number:
                first_of[trip.number] = first
    return first_of


class _Parts(Grouped):
    """Later fragments, by what all parts of a packet have in common."""

    def keys(self, trip: Trip) -> Collection[Key]:
        ip = trip.packet.ip
        return ((ip.src, ip.dst, ip.protocol, ip.ident),) if ip is not None and ip.fragment else ()

    def relate(self, key: Key, trips: Sequence[Trip]) -> Drafts:
        drafts = Drafts()
        for number, first in first_parts(trips).items():
            note = say("a later part of the packet that began with #{packet}", packet=first)
            drafts[number].notes.append(note)
        return drafts


class _Answers(Grouped):
    """Pairs each request for a MAC with the reply that came to its asker; one reply ends all its
    tries. By the address that is asked for."""

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
            if not trip.delivered:  # it answers, and is no answer: the asker knows nothing of it
                for request in waiting.get(trip.target, [])[-1:]:
                    drafts[trip.number].causes.append(request.number)
            for node in trip.delivered:
                requests = waiting.pop(node, [])
                for request in requests:
                    drafts[request.number].answered_by = trip.number
                if requests:
                    drafts[trip.number].causes.append(requests[-1].number)
        return drafts


Moment = tuple[int, int, bool]  # when, the packet's number, and whether it was only passed on


class _Needs(Rule):
    """Why nodes ask for MACs: what they then sent to the neighbour, or could not send."""

    def __init__(self, places: Places, answering: Sequence[Rule]) -> None:
        super().__init__()
        self._places = places
        self._answering = answering  # the rules that know what answers a packet
        self._packets: dict[int, Trip] = {}
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
        elif trip.packet.ip is not None and not trip.kind.startswith("nd-"):
            self._packets[trip.number] = trip
            self._put_sent(trip)
            self._put_held(trip)

    def _put_sent(self, trip: Trip) -> None:
        moments: list[tuple[Key, Moment]] = [
            (
                (leg.tail, self._places.card(leg.dst_mac)),
                (leg.t_ns, trip.number, leg.origin != "born"),
            )
            for leg in trip.legs
            if leg.origin != "switched"
        ]
        before = self._moments.get(trip.number, [])
        if moments == before:
            return
        self._moments[trip.number] = moments
        for key, moment in before:
            self._sent[key].remove(moment)
        for key, moment in moments:
            insort(self._sent.setdefault(key, []), moment)
            for number, request in self._waiting.get(key, {}).items():
                if request.t_ns <= moment[0] < self._met.get(number, _NEVER)[0]:
                    self._touched[number] = None

    def _put_held(self, trip: Trip) -> None:
        before = self._holder.pop(trip.number, "")
        if before:
            del self._held[before][trip.number]
        holder = trip.path[-1] if trip.ended and trip.legs else ""
        if holder:
            self._holder[trip.number] = holder
            self._held.setdefault(holder, {})[trip.number] = trip
        for node in {before, holder}:
            self._touched.update(dict.fromkeys(self._askers.get(node, ())))

    def forget(self, number: int) -> None:
        self.drafts.pop(number, None)
        self._packets.pop(number, None)
        for key, moment in self._moments.pop(number, ()):
            moments = self._sent[key]
            moments.remove(moment)
            if not moments:
                del self._sent[key]
        holder = self._holder.pop(number, "")
        if holder:
            del self._held[holder][number]
        request = self._requests.pop(number, None)
        if request is not None:
            del self._askers[request.sender][number]
            self._waiting.get(self._hop.pop(number, ()), {}).pop(number, None)
            self._met.pop(number, None)
            self._open.pop(number, None)

    def moved(self, addresses: Iterable[str]) -> None:
        """These addresses are another node's than before."""
        for address in addresses:
            for number, request in self._requests.items():
                if request.dst == address:
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
        if not trip.group:
            cause = say(
                "{node} knows the MAC of {ip} and checks that it still holds",
                node=trip.sender, ip=trip.dst,
            )  # fmt: skip
            return Draft(cause)
        owner = self._places.owner(trip.dst)
        address = say("{ip} ({node})", ip=trip.dst, node=owner) if owner else trip.dst
        self._open.pop(trip.number, None)
        moment = self._next_sent(trip, owner)
        if moment is not None:
            _, number, passed = moment
            cause = _needed(trip.sender, address, self._packets[number], passed)
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


_NEVER: Moment = (1 << 62, 0, False)


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


_SHORT = {
    "dns-question": term("the DNS question"),
    "dns-answer": term("the DNS answer"),
    "tcp-syn": term("the SYN"),
    "tcp-syn-ack": term("the SYN + ACK"),
    "tcp-ack": term("an ACK"),
    "tcp-rst": term("the RST"),
    "tcp-fin": term("the FIN"),
    "http-request": term("the HTTP request"),
    "http-response": term("the HTTP response"),
    "icmp-echo-request": term("the echo request"),
    "icmp-echo-reply": term("the echo reply"),
    "dhcp-discover": term("the DHCP Discover"),
    "dhcp-offer": term("the DHCP Offer"),
    "dhcp-request": term("the DHCP Request"),
    "dhcp-ack": term("the DHCP ACK"),
    "udp": term("the UDP datagram"),
}


def short(trip: Trip) -> Sentence:
    """The kind of packet in a few words, to speak of it elsewhere."""
    if trip.kind in _SHORT:
        return _SHORT[trip.kind]
    if trip.kind.startswith("icmp"):
        return term("an ICMP message")
    return say("a packet to {ip}", ip=trip.dst)


def _both(trip: Trip) -> list[Packet]:
    """The packet as born and as it arrived (translated, perhaps)."""
    return [trip.packet] if trip.last is trip.packet else [trip.packet, trip.last]


class _Echoes(Grouped):
    """Echo requests and the replies to them, by what a router leaves as it is."""

    def keys(self, trip: Trip) -> Collection[Key]:
        icmp = trip.packet.icmp
        if icmp is None or not (icmp.echo_request or icmp.echo_reply):
            return ()
        return ((icmp.ident, icmp.seq),)

    def relate(self, key: Key, trips: Sequence[Trip]) -> Drafts:
        drafts = Drafts()
        waiting: dict[Key, Trip] = {}
        for trip in trips:
            for packet in _both(trip):
                icmp = packet.icmp
                if icmp is None:
                    break
                if icmp.echo_request:
                    if not (trip.stray and (packet.src, packet.dst) in waiting):
                        waiting[packet.src, packet.dst] = trip
                elif icmp.echo_reply:
                    asked = waiting.get((packet.dst, packet.src))
                    if asked is not None and not drafts[asked.number].answered_by:
                        drafts[asked.number].answered_by = trip.number
                        drafts[trip.number].causes = [asked.number]
        return drafts


def _identity(packet: Packet) -> Key:
    """What an ICMP error quotes and what tells a packet from its neighbours."""
    ip = packet.ip
    assert ip is not None
    seq: object = packet.icmp.seq if packet.icmp is not None and packet.ipv6 is not None else None
    return (ip.src, ip.dst, ip.protocol, ip.ident, wire.quoted_ports(packet), seq)


class _IcmpErrors(Rule):
    """ICMP errors and what they quote."""

    def __init__(self) -> None:
        super().__init__()
        self._trips: dict[int, Trip] = {}
        self._bearers: dict[Key, list[int]] = {}  # packets by what an error would quote, in order
        self._identities: dict[int, tuple[Key, ...]] = {}  # of each packet
        self._errors: dict[Key, list[int]] = {}  # by what they quote, in order
        self._quoted: dict[int, Key] = {}  # of each error
        self._about: dict[int, int] = {}  # of each error the packet
        self._reports: dict[int, set[int]] = {}  # of each packet the errors
        self._touched: dict[int, None] = {}

    def put(self, trip: Trip) -> None:
        if trip.packet.ip is None:
            return
        number = trip.number
        if number not in self._trips:
            inner = wire.quoted(trip.packet)
            if inner is not None and inner.ip is not None:
                key = self._quoted[number] = _identity(inner)
                insort(self._errors.setdefault(key, []), number)
                self._touched[number] = None
        self._trips[number] = trip
        before = self._identities.get(number, ())
        both = [packet for packet in _both(trip) if packet.ip is not None]
        identities = tuple(dict.fromkeys(map(_identity, both)))
        if identities == before:
            return
        self._identities[number] = identities
        for key in before:
            self._bearers[key].remove(number)
        for key in identities:
            insort(self._bearers.setdefault(key, []), number)
            errors = self._errors.get(key, ())
            self._touched.update(dict.fromkeys(errors[bisect_right(errors, number) :]))

    def forget(self, number: int) -> None:
        self.drafts.pop(number, None)
        self._trips.pop(number, None)
        for key in self._identities.pop(number, ()):
            bearers = self._bearers[key]
            bearers.remove(number)
            if not bearers:
                del self._bearers[key]
        quoted = self._quoted.pop(number, None)
        if quoted is not None:
            self._errors[quoted].remove(number)
            if not self._errors[quoted]:
                del self._errors[quoted]
            self._reports.get(self._about.pop(number, 0), set()).discard(number)
        self._reports.pop(number, None)

    def update(self, now_ns: int | None) -> set[int]:
        changed: set[int] = set()
        for number in self._touched:
            about = self._find(number) if number in self._quoted else None
            before = self._about.get(number, 0)
            if about is None or about.number == before:
                continue
            if before in self._trips:
                self._reports.get(before, set()).discard(number)
                self._take_reports(before)
            error = self._trips[number]
            self._about[number] = about.number
            draft = self.drafts[number]
            draft.causes = [about.number]
            draft.cause = say(
                "{node} reports what became of #{packet}, {name}",
                node=error.sender, packet=about.number, name=short(about),
            )  # fmt: skip
            if error.kind != "icmp-redirect":  # that one went on its way
                self._reports.setdefault(about.number, set()).add(number)
                self._take_reports(about.number)
            changed |= {before, number, about.number} & self._trips.keys()
        self._touched.clear()
        return changed

    def _take_reports(self, about: int) -> None:
        """The first of the errors about a packet is its answer."""
        self.drafts[about].answered_by = min(self._reports.get(about, ()), default=0)

    def _find(self, error: int) -> Trip | None:
        """The last packet before the error that it may quote. What a switch sent unasked is one of
        them only if there is no other."""
        bearers = self._bearers.get(self._quoted[error], [])
        first: Trip | None = None
        for place in range(bisect_left(bearers, error) - 1, -1, -1):
            first = self._trips[bearers[place]]
            if not first.stray:
                break
        return first


def _dns_keys(trip: Trip, dns: Dns) -> list[Key]:
    keys: list[Key] = []
    for packet in _both(trip):
        ports = wire.quoted_ports(packet)
        if ports is not None:
            keys.append((dns.id, frozenset(((packet.src, ports[0]), (packet.dst, ports[1])))))
    return keys


class _ClaimNotes(Grouped):
    """Who else claims an address, and claims that nobody asked for, by address."""

    def __init__(self, wiring: Wiring, begun_ns: int | None) -> None:
        super().__init__()
        self._wiring = wiring
        self._begun_ns = begun_ns
        self._users: dict[str, dict[int, Trip]] = {}  # packets that come from an address
        self._source: dict[int, str] = {}  # of each of these
        self._disputed: set[str] = set()

    def keys(self, trip: Trip) -> Collection[Key]:
        address = claimed(trip)
        asked = trip.dst if trip.kind in ASKS_MAC else address
        return {(name,) for name in (address, asked) if name}

    def put(self, trip: Trip) -> None:
        super().put(trip)
        source = trip.packet.src
        if source and not claimed(trip):
            self._users.setdefault(source, {})[trip.number] = trip
            self._source[trip.number] = source
            if source in self._disputed:
                self._touched[source,] = None

    def forget(self, number: int) -> None:
        super().forget(number)
        source = self._source.pop(number, "")
        if source:
            del self._users[source][number]
            if not self._users[source]:
                del self._users[source]

    def relate(self, key: Key, trips: Sequence[Trip]) -> Drafts:
        (address,) = key
        assert isinstance(address, str)
        self._disputed.discard(address)
        if is_disputed(address, trips, self._wiring):
            self._disputed.add(address)
            by_number = {trip.number: trip for trip in trips} | self._users.get(address, {})
            trips = [by_number[number] for number in sorted(by_number)]
        drafts = Drafts()
        found = find_claims(trips, self._wiring)
        for number, about, note in claim_notes(found, self._begun_ns):
            if about == address:
                drafts[number].notes.append(note)
        return drafts


class _Lookups(Grouped):
    """Questions for names and their answers, by the number that both bear."""

    def __init__(self) -> None:
        super().__init__()
        self._lookups: dict[Key, list[Lookup]] = {}
        self.changed = False  # since somebody has looked

    @property
    def all(self) -> list[Lookup]:
        """In the order in which they were asked."""
        lookups = [lookup for group in self._lookups.values() for lookup in group]
        return sorted(lookups, key=lambda lookup: lookup.question)

    def keys(self, trip: Trip) -> Collection[Key]:
        if trip.kind not in ("dns-question", "dns-answer"):
            return ()
        dns = wire_dns.read(trip.packet)
        return ((dns.id,),) if dns is not None else ()

    def relate(self, key: Key, trips: Sequence[Trip]) -> Drafts:
        drafts = Drafts()
        self._lookups[key] = _lookups(trips, drafts)
        self.changed = True
        if not trips:
            del self._lookups[key]
        return drafts

    def forget(self, number: int) -> None:
        keys = self._keys.get(number, ())
        super().forget(number)
        for key in keys:
            if key not in self._groups:
                self._lookups.pop(key, None)


def _lookups(trips: Iterable[Trip], drafts: Drafts) -> list[Lookup]:
    lookups: list[Lookup] = []
    waiting: dict[Key, Lookup] = {}
    for trip in trips:
        dns = wire_dns.read(trip.packet)
        if dns is None:
            continue
        keys = _dns_keys(trip, dns)
        lookup = next((waiting[key] for key in keys if key in waiting), None)
        if not dns.qr:
            if lookup is None or lookup.answer or (lookup.name, lookup.kind) != _asked(dns):
                lookup = _new_lookup(trip, dns)
                lookups.append(lookup)
            else:
                note = say("the question of #{packet} again", packet=lookup.tries[-1])
                drafts[trip.number].notes.append(note)
            lookup.tries.append(trip.number)
            for key in keys:
                waiting[key] = lookup
        elif lookup is not None and not lookup.answer:
            drafts[trip.number].causes = [lookup.tries[-1]]
            if trip.reached(lookup.asker):
                _take_answer(lookup, trip, dns)
            else:
                lookup.lost.append(trip.number)
    for lookup in lookups:
        if lookup.answer:
            for number in lookup.tries:
                drafts[number].answered_by = lookup.answer
    return lookups


def _asked(dns: Dns) -> tuple[str, str]:
    """Name and type of the first question, which is the only one in practice."""
    return dns.questions[0] if dns.questions else ("?", "?")


def _new_lookup(trip: Trip, dns: Dns) -> Lookup:
    name, kind = _asked(dns)
    server, over_tcp = trip.target or trip.dst, trip.packet.tcp is not None
    return Lookup(trip.number, trip.sender, server, name, kind, trip.t_ns, tcp=over_tcp)


def _take_answer(lookup: Lookup, trip: Trip, dns: Dns) -> None:
    lookup.answer, lookup.answered_ns = trip.number, trip.arrived_ns
    lookup.replied_ns = trip.t_ns
    if not trip.stray:
        lookup.server = trip.sender  # two cards may have the address that was asked
    lookup.rcode, lookup.result = dns.rcode, dns_result(dns)
    lookup.has_record = any(of == lookup.kind for _, of, _, _ in dns.answers)
    lookup.referral = dns_refers(dns)
    lookup.truncated = dns.tc


class _Recursion(Rule):
    """Links what a resolver asks to what it was asked."""

    def __init__(self, lookups: _Lookups) -> None:
        super().__init__()
        self._lookups = lookups

    def put(self, trip: Trip) -> None:
        pass  # what it looks at are lookups

    def forget(self, number: int) -> None:
        self.drafts.pop(number, None)

    def update(self, now_ns: int | None) -> set[int]:
        if not self._lookups.changed:
            return set()
        self._lookups.changed = False
        before, self.drafts = self.drafts, _recursion(self._lookups.all)
        return {
            number
            for number in before.keys() | self.drafts.keys()
            if before.get(number) != self.drafts.get(number)
        }


def _recursion(lookups: Iterable[Lookup]) -> Drafts:
    drafts = Drafts()
    asked_of: dict[str, list[Lookup]] = {}  # server -> questions that it has not yet answered
    for lookup in lookups:
        pending = [
            earlier
            for earlier in asked_of.get(lookup.asker, [])
            if not earlier.answer or earlier.replied_ns >= lookup.asked_ns
        ]
        asked_of[lookup.asker] = pending
        lookup.serves = _likeliest(pending, lookup).question if pending else 0
        if lookup.serves:
            cause = say("{node} asks because of #{packet}", node=lookup.asker, packet=lookup.serves)
            drafts[lookup.question] = Draft(cause, [lookup.serves])
        asked_of.setdefault(lookup.server, []).append(lookup)
    return drafts


def _likeliest(pending: list[Lookup], lookup: Lookup) -> Lookup:
    """The pending question that a resolver asks for: the newest, if possible of the same name."""
    return min(
        reversed(pending),
        key=lambda earlier: (earlier.name != lookup.name) + (earlier.kind != lookup.kind),
    )
