# SPDX-License-Identifier: Apache-2.0
"""The packets of a recorded run, found by the filter language of docs/filter.md."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import overload

from hoplab.errors import Exit, LabError
from hoplab.packet_filter.matching import compile_filter
from hoplab.report import terminal
from hoplab.runs import Run, data_of
from hoplab.sentences import number_of, say, term
from hoplab.story.trip_records import Trip

_MOST_SHOWN = 5


@dataclass(frozen=True)
class Packet:
    """One packet, followed from the node that made it to every node that got it. `run` is the run
    that it is of, `trip` all that is known of it, as docs/architecture.md describes it."""

    run: Run = field(repr=False, compare=False)
    trip: Trip = field(repr=False)

    @property
    def number(self) -> int:
        """Its number in the story."""
        return self.trip.number

    @property
    def kind(self) -> str:
        """A stable word: 'arp-request', 'dns-question', 'tcp-syn', 'icmp-echo-reply' …"""
        return self.trip.kind

    @property
    def title(self) -> str:
        """One line for a reader."""
        return str(self.trip.title)

    @property
    def sender(self) -> str:
        """The node that made it."""
        return self.trip.sender

    @property
    def target(self) -> str:
        """The node that it is for, "" if no node has that address."""
        return self.trip.target

    @property
    def path(self) -> list[str]:
        """Nodes from the sender on: to the target, or as far as it came."""
        return list(self.trip.path)

    @property
    def delivered(self) -> list[str]:
        """Nodes that got it and were meant to."""
        return list(self.trip.delivered)

    @property
    def arrived(self) -> bool:
        """It was seen to be delivered, or its receiver's answer proves that it was."""
        return bool(self.trip.delivered)

    @property
    def ended(self) -> str:
        """Where it ended and what is known of why, in a sentence; "" if it arrived."""
        return str(self.trip.ended)

    @property
    def interfaces(self) -> list[str]:
        """Where its frames were captured, in the order of its way."""
        return list(dict.fromkeys(name for name, _ in self._seen()))

    @property
    def frames(self) -> list[int]:
        """Numbers of its frames in the capture file."""
        numbers = (n for leg in self.trip.legs for n in (leg.sent, leg.received))
        return sorted({number for number in numbers if number})

    def _seen(self) -> Iterator[tuple[str, str]]:
        """Interfaces that its frames were captured at, and the node of each."""
        for leg in self.trip.legs:
            if leg.sent:
                yield leg.tail_interface, leg.tail
            if leg.received:
                yield leg.head_interface, leg.head

    def seen_at(self, place: str) -> bool:
        """Whether a frame of it was captured at this interface, or at any of this node's. Raises
        LabError for a name that the run's network does not have."""
        wiring = self.run.wiring
        nodes = list(wiring.nodes)
        if place not in nodes and wiring.port(place) is None:
            ports = [interface.name for interface in wiring.interfaces]
            raise LabError(
                say("the network has no node and no interface {name}", name=place),
                say("it has: {names}", names=", ".join([*nodes, *ports][:40])),
                Exit.NO_SUCH,
            )
        return any(place in names for names in self._seen())

    def bytes_at(self, interface: str) -> bytes:
        """The frame as it was captured at this interface; b"" where it was not."""
        for leg in self.trip.legs:
            if interface in (leg.tail_interface, leg.head_interface):
                return data_of(leg, self.run.frames)
        return b""

    def text(self, *, width: int = 100) -> str:
        """Its part of the story: path, headers that changed, what switches did, where it ended."""
        return terminal.packet_list(self.run.story, [self.trip], width=width, detail="normal")

    def __repr__(self) -> str:
        way = " → ".join(self.path) or self.sender
        return f"<packet #{self.number} {self.title}: {way}{' ✗' if self.trip.ended else ''}>"


class Packets(Sequence[Packet]):
    """Packets in the order of time. asked: is told of each packet that somebody asks for."""

    def __init__(
        self, run: Run, trips: Sequence[Trip], asked: Callable[[Packet], None] | None = None
    ) -> None:
        self._run = run
        self._trips = trips
        self._asked = asked or (lambda packet: None)

    @overload
    def __getitem__(self, place: int) -> Packet: ...
    @overload
    def __getitem__(self, place: slice) -> Packets: ...
    def __getitem__(self, place: int | slice) -> Packet | Packets:
        if isinstance(place, slice):
            return Packets(self._run, self._trips[place], self._asked)
        return Packet(self._run, self._trips[place])

    def __len__(self) -> int:
        return len(self._trips)

    def where(self, words: str) -> Packets:
        """Those that a filter means: 'tcp.syn from client not via r2'. Raises LabError for a
        filter that means nothing."""
        means = compile_filter(words, self._run)
        return Packets(self._run, [trip for trip in self._trips if means(trip)], self._asked)

    def find(self, words: str) -> Packet:
        """The first that a filter means. Raises LabError if there is none."""
        packets = self.where(words)
        if not packets:
            raise self._none(words)
        self._asked(packets[0])
        return packets[0]

    def one(self, words: str) -> Packet:
        """The only one that a filter means. Raises LabError if there is none, or more."""
        packets = self.where(words)
        if len(packets) > 1:
            raise LabError(
                say("{n:,} packets are meant by {filter}", n=len(packets), filter=words),
                say("name one of them: {packets}", packets=_some(packets)),
                Exit.FAILED,
            )
        return self.find(words)

    def _none(self, words: str) -> LabError:
        every = number_of("{n:,} packet", "{n:,} packets", len(self))
        return LabError(
            say("no packet is meant by {filter}", filter=words),
            say("there are {packets}: {some}", packets=every, some=_some(self))
            if self
            else term("nobody sent anything: there is no packet at all"),
            Exit.NO_SUCH,
        )

    def __repr__(self) -> str:
        return f"<{len(self)} packets>"


def _some(packets: Sequence[Packet]) -> str:
    """The first of them in a few words."""
    text = ", ".join(f"#{packet.number} {packet.title}" for packet in packets[:_MOST_SHOWN])
    return f"{text} …" if len(packets) > _MOST_SHOWN else text
