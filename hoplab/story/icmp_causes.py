# SPDX-License-Identifier: Apache-2.0
"""What ICMP tells of other packets: echo replies of their requests, errors of what they quote.

What lives here: rules on ICMP of both versions. What must not: neighbour discovery
(`neighbour_causes.py`).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Collection, Mapping, Sequence, Set

from hoplab.decode import packet as wire
from hoplab.decode.packet import Packet
from hoplab.sentences import say
from hoplab.story.packet_names import short
from hoplab.story.relations import Drafts, Grouped, Key, Rule, first_and_last
from hoplab.story.trip_records import Trip


class Echoes(Grouped):
    """Echo requests and the replies to them, by what a router leaves as it is."""

    def about(self, kind: str) -> bool:
        return kind.startswith("icmp-echo-")

    def keys(self, trip: Trip) -> Collection[Key]:
        icmp = trip.packet.icmp
        if icmp is None or not (icmp.echo_request or icmp.echo_reply):
            return ()
        return ((icmp.ident, icmp.seq),)

    def relate(self, key: Key, trips: Sequence[Trip]) -> Drafts:
        drafts = Drafts()
        waiting: dict[Key, Trip] = {}
        for trip in trips:
            for packet in first_and_last(trip):
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


class IcmpErrors(Rule):
    """ICMP errors and what they quote. trips: all packets that are looked at.

    Most captures have no such error: packets are sorted by what it would quote only while there is
    one.
    """

    def __init__(self, trips: Mapping[int, Trip]) -> None:
        super().__init__()
        self._trips = trips
        self._bearers: dict[Key, list[int]] = {}  # packets by what an error would quote, in order
        self._identities: dict[int, tuple[Key, ...]] = {}  # of each packet
        self._errors: dict[Key, list[int]] = {}  # by what they quote, in order
        self._quoted: dict[int, Key] = {}  # of each error
        self._subjects: dict[int, int] = {}  # of each error the packet
        self._reports: dict[int, set[int]] = {}  # of each packet the errors
        self._touched: dict[int, None] = {}

    def put(self, trip: Trip) -> None:
        number, packet = trip.number, trip.packet
        if packet.icmp is not None and number not in self._quoted:
            inner = wire.quoted(packet)
            if inner is not None and inner.ip is not None:
                if not self._errors:
                    for earlier in self._trips.values():
                        self._sort(earlier)
                key = self._quoted[number] = _identity(inner)
                insort(self._errors.setdefault(key, []), number)
                self._touched[number] = None
        if self._errors:
            self._sort(trip)

    def _sort(self, trip: Trip) -> None:
        """Sorts a packet by what an error would quote of it."""
        number = trip.number
        before = self._identities.get(number, ())
        both = [packet for packet in first_and_last(trip) if packet.ip is not None]
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

    def forget(self, numbers: Set[int]) -> None:
        super().forget(numbers)
        if self._errors:
            for number in numbers:
                self._forget(number)

    def _forget(self, number: int) -> None:
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
            self._reports.get(self._subjects.pop(number, 0), set()).discard(number)
            if not self._errors:
                self._bearers.clear()
                self._identities.clear()
                self._reports.clear()
        self._reports.pop(number, None)

    def update(self, now_ns: int | None) -> set[int]:
        changed: set[int] = set()
        for number in self._touched:
            about = self._find(number) if number in self._quoted else None
            before = self._subjects.get(number, 0)
            if about is None or about.number == before:
                continue
            if before in self._trips:
                self._reports.get(before, set()).discard(number)
                self._take_reports(before)
            error = self._trips[number]
            self._subjects[number] = about.number
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


def _identity(packet: Packet) -> Key:
    """What an ICMP error quotes and what tells a packet from its neighbours."""
    ip = packet.ip
    assert ip is not None
    seq: object = packet.icmp.seq if packet.icmp is not None and packet.ipv6 is not None else None
    return (ip.src, ip.dst, ip.protocol, ip.ident, wire.quoted_ports(packet), seq)
