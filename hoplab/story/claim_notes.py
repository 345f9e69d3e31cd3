# SPDX-License-Identifier: Apache-2.0
"""Notes on packets whose address another node claims too, kept up to date.

What lives here: the rule by which packets are looked at again when an address is disputed. What
must not: what a claim is, and sentences on it (`claims.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from hoplab.follow.wiring import Wiring
from hoplab.story.claims import claim_notes, claimed, find_claims, is_disputed
from hoplab.story.neighbour_causes import ASKS_MAC
from hoplab.story.relations import Drafts, Grouped, Key
from hoplab.story.trip_records import Trip


class ClaimNotes(Grouped):
    """Who else claims an address, and claims that nobody asked for, by address. trips: all packets
    that are looked at; those that come from an address that is disputed speak of it, too."""

    def __init__(
        self, wiring: Wiring, trips: Mapping[int, Trip], begun_ns: int | None
    ) -> None:
        super().__init__()
        self._wiring = wiring
        self._trips = trips
        self._begun_ns = begun_ns
        self._disputed: set[str] = set()

    def keys(self, trip: Trip) -> Collection[Key]:
        address = claimed(trip)
        asked = trip.dst if trip.kind in ASKS_MAC else address
        return {(name,) for name in (address, asked) if name}

    def put(self, trip: Trip) -> None:
        if trip.kind.startswith(("arp-", "nd-")):
            super().put(trip)
        if self._disputed and trip.packet.src in self._disputed and not claimed(trip):
            self._touched[trip.packet.src,] = None

    def relate(self, key: Key, trips: Sequence[Trip]) -> Drafts:
        (address,) = key
        assert isinstance(address, str)
        self._disputed.discard(address)
        if is_disputed(address, trips, self._wiring):
            self._disputed.add(address)
            by_number = {trip.number: trip for trip in trips}
            for trip in self._trips.values():
                if trip.packet.src == address and not claimed(trip):
                    by_number[trip.number] = trip
            trips = [by_number[number] for number in sorted(by_number)]
        drafts = Drafts()
        found = find_claims(trips, self._wiring)
        for number, about, note in claim_notes(found, self._begun_ns):
            if about == address:
                drafts[number].notes.append(note)
        return drafts
