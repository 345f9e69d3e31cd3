# SPDX-License-Identifier: Apache-2.0
"""Frames that came to switches: what a switch decides about, one at a time.

What lives here: a packet's arrivals at datapaths, and the order of time. What must not: what was
decided (`decisions.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import attrgetter

from hoplab.follow.model import Journey
from hoplab.follow.wiring import Wiring
from hoplab.story.conversation import ChannelMessage
from hoplab.story.trip_records import Fanout, Trip


@dataclass(slots=True, frozen=True, eq=False)
class Arrival:
    """A frame that came to a switch. fan: what the switch did with it, None if that is not known.
    question: the packet-in about it, once it is found."""

    t_ns: int
    node: str
    in_port: int | None
    data: bytes
    trip: Trip
    leg: int
    fan: Fanout | None = None
    number: int = 0  # of the frame in the capture, as it came in; 0: it was not seen there
    question: ChannelMessage | None = None


def arrivals_of(wiring: Wiring, journey: Journey, trip: Trip) -> Iterator[Arrival]:
    """Where a packet came to a datapath: a switch, or a router that is one."""
    fans = {fanout.leg: fanout for fanout in trip.way.fanouts}
    for leg, hop in enumerate(journey.hops()):
        if hop.head is None or not wiring.is_datapath(hop.head):
            continue
        seen = hop.received or hop.seen
        number = wiring.interfaces[hop.head].extra.get("port")
        node = wiring.node_name(hop.head)
        in_port = number if isinstance(number, int) else None
        came = hop.received.number if hop.received is not None else 0
        yield Arrival(seen.t_ns, node, in_port, hop.data, trip, leg, fans.get(leg), came)


time_of: Callable[[ChannelMessage | Arrival], int] = attrgetter("t_ns")
