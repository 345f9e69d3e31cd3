# SPDX-License-Identifier: Apache-2.0
"""Which DHCP messages belong together: what a client asked, and what servers answered.

What lives here: exchanges, found among the trips. What must not: what one message says
(`hoplab.decode.dhcp`), and how an exchange ended, in words (`end_of_dhcp.py`).

An exchange is what bears one transaction id and the same card (RFC 2131 section 4.1). A client that
goes on with the offer of another server, or asks again, keeps the id; one that begins anew, to get
an address or to keep it, takes another.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from hoplab.decode import dhcp as wire_dhcp
from hoplab.decode.dhcp import Dhcp
from hoplab.sentences import say
from hoplab.story.relations import Drafts, Grouped, Key
from hoplab.story.trip_records import Trip


@dataclass(slots=True)
class Exchange:
    """What one client and the servers said. Messages by type: each trip with what it says, in
    order of time; those that a node only passed on as a relay are not among them."""

    client: str  # the node that asked, "" if it is not in the capture
    mac: str
    messages: dict[int, list[tuple[Trip, Dhcp]]] = field(default_factory=dict)

    def all(self, *types: int) -> list[tuple[Trip, Dhcp]]:
        """The messages of these types that belong to the lease, type by type."""
        return [message for kind in types for message in self.messages.get(kind, ())]

    def last(self, *types: int) -> tuple[Trip, Dhcp] | None:
        """The newest message of these types, None if there is none."""
        return max(self.all(*types), key=lambda message: message[0].number, default=None)

    @property
    def trips(self) -> list[int]:
        """All packets, by number."""
        return sorted(trip.number for trip, _ in self.all(*self.messages))


# What a server's message answers, the likeliest first.
_ANSWERS = {
    wire_dhcp.OFFER: (wire_dhcp.DISCOVER,),
    # With rapid commit (RFC 4039) a Discover is confirmed at once.
    wire_dhcp.ACK: (wire_dhcp.REQUEST, wire_dhcp.INFORM, wire_dhcp.DISCOVER),
    wire_dhcp.NAK: (wire_dhcp.REQUEST,),
}


def find_exchanges(trips: Iterable[Trip]) -> list[Exchange]:
    """The DHCP exchanges among the trips, in order of time."""
    exchanges: dict[Key, Exchange] = {}
    for trip in trips:
        dhcp = _message(trip)
        if dhcp is None:
            continue
        exchange = exchanges.setdefault(_key(dhcp), Exchange("", dhcp.client_mac))
        if dhcp.op == wire_dhcp.BOOTREQUEST:
            exchange.client = exchange.client or trip.sender
        exchange.messages.setdefault(dhcp.type, []).append((trip, dhcp))
    return list(exchanges.values())


def _message(trip: Trip) -> Dhcp | None:
    """What a client and a server say to each other; what a relay and a server do is left out."""
    dhcp = trip.message
    if not isinstance(dhcp, Dhcp) or not trip.kind.startswith("dhcp-"):
        return None
    if not dhcp.giaddr:
        return dhcp
    by_relay = dhcp.op == wire_dhcp.BOOTREQUEST or trip.dst == dhcp.giaddr
    return None if by_relay else dhcp


def _key(dhcp: Dhcp) -> Key:
    return (dhcp.xid, dhcp.client_mac)


class Answers(Grouped):
    """DHCP messages and the answers to them, by exchange."""

    def about(self, kind: str) -> bool:
        return kind.startswith("dhcp-")

    def keys(self, trip: Trip) -> Collection[Key]:
        dhcp = _message(trip)
        return () if dhcp is None else (_key(dhcp),)

    def relate(self, key: Key, trips: Sequence[Trip]) -> Drafts:
        drafts = Drafts()
        earlier: dict[int, list[tuple[Trip, Dhcp]]] = {}
        for trip in trips:
            dhcp = _message(trip)
            if dhcp is None:
                continue
            if dhcp.op == wire_dhcp.BOOTREQUEST:
                _ask(drafts, earlier, trip, dhcp)
            else:
                _answer(drafts, earlier, trip, dhcp)
            earlier.setdefault(dhcp.type, []).append((trip, dhcp))
        return drafts


def _ask(
    drafts: Drafts, earlier: Mapping[int, list[tuple[Trip, Dhcp]]], trip: Trip, dhcp: Dhcp
) -> None:
    """Why a client sent it, as far as the exchange shows it."""
    draft = drafts[trip.number]
    before = earlier.get(dhcp.type)
    if before and before[-1][1].requested == dhcp.requested:
        note = say("the question of #{packet} again", packet=before[-1][0].number)
        draft.notes.append(note)
    if dhcp.type != wire_dhcp.REQUEST or not dhcp.server_id:
        return
    taken = [
        offer.number
        for offer, terms in earlier.get(wire_dhcp.OFFER, ())
        if terms.server_id == dhcp.server_id
    ]
    if taken:
        draft.causes = [taken[-1]]
        draft.cause = say("{node} takes the offer of #{packet}", node=trip.sender, packet=taken[-1])


def _answer(
    drafts: Drafts, earlier: Mapping[int, list[tuple[Trip, Dhcp]]], trip: Trip, dhcp: Dhcp
) -> None:
    """Joins a server's message to the one that it answers."""
    for kind in _ANSWERS.get(dhcp.type, ()):
        asked = [question for question, _ in earlier.get(kind, ())]
        if not asked:
            continue
        drafts[trip.number].causes = [asked[-1].number]
        for question in asked if trip.delivered else ():
            draft = drafts[question.number]
            draft.answered_by = draft.answered_by or trip.number
        return
