# SPDX-License-Identifier: Apache-2.0
"""Whether the times of a run are to be trusted, as records.

What lives here: plain frozen records. What must not: how they are found (`hop_times.py`,
`fidelity.py`), sentences (`fidelity_sentences.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

# What took the time.
SWITCH, ROUTER, CABLE, CONTROLLER = "switch", "router", "cable", "controller"
# Why, by what the machine's readings show.
STOPPED = "stopped"  # a signal had stopped the process that was to send it on
WAITED = "waited"  # that process waited for a processor
BUSY = "busy"  # it had one all the time, and more to do than it could
PRESSED = "pressed"  # tasks waited for a processor, and it is not known which
STOLEN = "stolen"  # another virtual machine had the processors
# Which queue was full.
BEHIND_PORT = "behind-port"  # frames that wait for a switch
BEFORE_CABLE = "before-cable"  # one that somebody made while the capture ran
STANDING = "standing"  # the same, made before it, and not by the lab
BACKLOG = "backlog"  # a processor's, of frames on their way from one interface to the next


class Passage(NamedTuple):
    """What one packet's way through a node, or over a cable, took: from began_ns on, when it was
    seen to come in, until ended_ns, when it was seen to go out.

    what: SWITCH, ROUTER, CABLE or CONTROLLER. place: the node, or the interface where a cable
    begins. port: the interface by which it left the node, "" where it did not. asked_ns: so much of
    it is what the link is there for: its rate, its delay; and what passages there usually take,
    where it took little more.
    """

    packet: int
    what: str
    place: str
    began_ns: int
    ended_ns: int
    port: str = ""
    asked_ns: int = 0

    @property
    def excess_ns(self) -> int:
        """What it took beyond what the link was asked to take."""
        return self.ended_ns - self.began_ns - self.asked_ns


@dataclass(slots=True, frozen=True)
class Spread:
    """What all passages through one place took."""

    what: str
    place: str
    passages: int
    median_ns: int
    p99_ns: int
    most_ns: int


@dataclass(slots=True, frozen=True)
class Cause:
    """What the machine did meanwhile. who: the process, "" for all of them. ns: for how long.
    of_ns: in how long a time, for what is told as a share of it."""

    code: str
    who: str
    ns: int
    of_ns: int = 0

    @property
    def share(self) -> float:
        """The cause's part of the time that it is about, 0 to 1."""
        return min(1.0, self.ns / self.of_ns) if self.of_ns else 0.0


@dataclass(slots=True, frozen=True)
class Spell:
    """A time in which the machine delayed frames: from a packet on, until one; the longest delay,
    how many passages were slow, and why."""

    packet: int
    last_packet: int
    began_ns: int
    ended_ns: int
    most_ns: int
    passages: int
    causes: tuple[Cause, ...]


@dataclass(slots=True, frozen=True)
class Crush:
    """A time in which tasks waited for a processor for a large part (share), whether a frame was
    late by that or not. packet: the first one from then on, 0 if none came any more."""

    packet: int
    began_ns: int
    ended_ns: int
    share: float


@dataclass(slots=True, frozen=True)
class FullQueue:
    """A queue that was full, though nothing in the network is there to limit what it takes.

    node, interface: where, "" for a backlog. frames: dropped, by the kernel's count. packet, t_ns:
    the first that is seen to be missing, or that it held back for most_ns at the longest; 0 where
    no frame shows it.
    """

    queue: str
    node: str
    interface: str
    frames: int
    packet: int = 0
    t_ns: int = 0
    most_ns: int = 0


@dataclass(slots=True, frozen=True)
class Fidelity:
    """The verdict, and what it is made from.

    verdict: 'trusted'; 'distorted'; 'unclear' where frames were late and the machine's readings do
    not show why; 'unknown' where the capture has no readings of the machine, or none of its frames
    can be judged. packet: from which on, 0 if that is not known; t_ns: when that was. most_ns: the
    longest delay. judged: passages that were looked at; unexplained: those that took longer than
    they should, for which the readings have no reason; most_unexplained_ns: the longest of these.
    pressed, stolen, idle: shares of the capture's time, 0 to 1: some task waited for a processor,
    another virtual machine had them, nobody had; None where it is not known. crushes: when it had
    too much to do.
    """

    verdict: str = "unknown"
    packet: int = 0
    t_ns: int = 0
    most_ns: int = 0
    judged: int = 0
    unexplained: int = 0
    most_unexplained_ns: int = 0
    spells: tuple[Spell, ...] = ()
    queues: tuple[FullQueue, ...] = ()
    spreads: tuple[Spread, ...] = ()
    pressed: float | None = None
    stolen: float | None = None
    idle: float | None = None
    readings: int = 0
    crushes: tuple[Crush, ...] = ()

    @property
    def distorted(self) -> bool:
        """The machine changed what is told of times, or lost frames."""
        return self.verdict == "distorted"

    @property
    def causes(self) -> tuple[Cause, ...]:
        """Of all spells, each kind once, with its process, the longest."""
        longest: dict[tuple[str, str], Cause] = {}
        for cause in (each for spell in self.spells for each in spell.causes):
            key = cause.code, cause.who
            if key not in longest or cause.ns > longest[key].ns:
                longest[key] = cause
        return tuple(longest.values())
