# SPDX-License-Identifier: Apache-2.0
"""A TCP connection: what each side did, and what went over it.

What lives here: records of one connection. What must not: how segments are placed in it (`tcp.py`).
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from operator import attrgetter

from hoplab.decode.packet import Tcp
from hoplab.story.http_messages import Dialogue, Exchange, Sending
from hoplab.story.secured import Hello, Secured

End = tuple[str, int]
start_of_sending = attrgetter("start")


@dataclass(slots=True)
class NoRoom:
    """A side said that it takes no more bytes for now (a window of 0, RFC 9293 section 3.8.6).

    first, last: the trips that said so, and that there is room again (0: none did), with their
    times. probes: by which the other side asked meanwhile.
    """

    first: int
    first_ns: int
    last: int = 0
    last_ns: int = 0
    probes: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Side:
    """What one side of a connection did. Sequence numbers are relative to its first (its ISN).

    ends: its addresses and ports; more than one if a router translates.
    sent: the first sendings of its numbers, in the order of the numbers. mss: the longest segment
    that it takes, as its SYN says, 0 if no SYN was seen. no_room: when it took no more bytes.
    """

    node: str
    ends: set[End] = field(default_factory=set)
    base: int | None = None
    highest: int | None = None
    sent: list[Sending] = field(default_factory=list)
    mss: int = 0
    acked: int = -1
    data_trips: list[int] = field(default_factory=list)
    fin: int = 0
    fin_on_data: bool = False
    fin_end: int | None = None
    fin_acked_by: int = 0
    no_room: list[NoRoom] = field(default_factory=list)

    @property
    def full(self) -> NoRoom | None:
        """Since when it has had no room for more, None if it has room, as far as it said."""
        return self.no_room[-1] if self.no_room and not self.no_room[-1].last else None

    def note_window(self, tcp: Tcp, trip: int, t_ns: int) -> bool | None:
        """Takes the window that a segment of this side announces. True if it says that there is no
        room, False that there is room again, None for anything else."""
        full = self.full
        if tcp.rst or tcp.syn or not tcp.ack_flag:
            return None  # what these bear is no answer to bytes that came
        if not tcp.window:
            if full is None:
                self.no_room.append(NoRoom(trip, t_ns))
            return True
        if full is None:
            return None
        full.last, full.last_ns = trip, t_ns
        return False

    def relative(self, number: int) -> int | None:
        """A sequence number of this side counted from its first, None before the first."""
        if self.base is None:
            return None
        offset = (number - self.base) & 0xFFFFFFFF
        return offset - (1 << 32) if offset >= 1 << 31 else offset

    @property
    def arrived_bytes(self) -> int:
        """Bytes of data that came to the other side, each counted once."""
        size = 0
        for sending in self.sent:
            if sending.arrived_ns:
                size += sending.end - sending.start
                size -= sending.start == 0 and self.mss > 0  # the SYN has a number and is no byte
                size -= sending.end == self.fin_end  # nor is the FIN
        return size

    def sent_before(self, start: int, end: int) -> list[Sending]:
        """The first sendings of these numbers, none if the capture lacks that of the first one."""
        place = bisect_right(self.sent, start, key=start_of_sending) - 1
        if end <= start or place < 0 or self.sent[place].end <= start:
            return []
        after = bisect_right(self.sent, end - 1, key=start_of_sending)
        return self.sent[place:after]


@dataclass(slots=True, eq=False)
class Connection:
    """One connection. Fields that name trips hold their numbers, 0 for none.

    phases: trip number to 'handshake', 'exchange' or 'close'.
    again: trip number of a repetition to those of the first sendings.
    """

    port: int
    client: Side
    server: Side
    trips: list[int] = field(default_factory=list)
    phases: dict[int, str] = field(default_factory=dict)
    syn: int = 0
    syns: list[int] = field(default_factory=list)
    syn_ack: int = 0
    ack: int = 0
    refused_by: int = 0
    resets: list[int] = field(default_factory=list)
    again: dict[int, list[int]] = field(default_factory=dict)
    first_fin: int | None = None
    dialogue: Dialogue = field(default_factory=Dialogue)
    tls: Secured | None = None
    hello: Hello | None = None

    @property
    def sides(self) -> tuple[Side, Side]:
        """Client and server."""
        return self.client, self.server

    @property
    def mss(self) -> int:
        """The longest segment that both sides take, TCP options included, 0 if not known."""
        return min(self.client.mss, self.server.mss)

    @property
    def data_seen(self) -> bool:
        """At least one byte went over it."""
        return bool(self.client.data_trips or self.server.data_trips)

    @property
    def exchanges(self) -> list[Exchange]:
        """What was asked and answered by HTTP, in the order of the requests."""
        return self.dialogue.exchanges

    @property
    def dns(self) -> bool:
        """DNS over TCP (RFC 7766), as far as nothing else was seen to be spoken on its port."""
        return self.port == 53 and not self.exchanges and self.tls is None

    @property
    def http(self) -> bool:
        """HTTP was spoken, or the port says that it would have been."""
        return bool(self.exchanges) or self.port in (80, 8000, 8080)
