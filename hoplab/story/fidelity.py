# SPDX-License-Identifier: Apache-2.0
"""Whether the machine distorted a run: from which packet on, by how much, and why.

What lives here: the verdict, from what hops took (`hop_times.py`) and from readings of the machine
(`hoplab.capture.load`). What must not: /proc, sentences (`fidelity_sentences.py`).

It takes two witnesses: frames that were late, and a machine that had too much to do meanwhile. A
busy machine whose frames were in time has distorted nothing; a late frame without a reason in the
readings may be the network's own, say a queue that somebody made by hand.

1. A passage is late if it took SLOW_NS more than was asked for. It has a cause if for half of that
   the process that was to send the frame on was stopped by a signal, or waited for a processor
   while, around that time, tasks waited for one a quarter of the time; or if it had a processor all
   the time and more to do than it could; or if another virtual machine had the processors. What
   the kernel itself passes on, in routers and on cables, waits for a processor with everybody.
   Of a controller only that part is late which has a cause: the rest is its own work.
2. A passage that was late by less, SLIGHT_NS beyond what is usual there, counts where tasks waited
   for a processor a quarter of a longer time (LONG_NS): on an idle machine they never do so.
3. Late passages with a cause and at most APART_NS between them are one spell. A single one that is
   short is no spell, nor two that were late by less: such things happen on every machine.
4. A queue that was full has lost frames for the machine's sake where it is the one behind a port of
   a switch that did not come to it in time, a processor's backlog, or one in front of a cable that
   somebody made while the capture ran, or before, and not the lab. A queue that the lab made is the
   network's own, such as that of a cable with a rate, and does what it is there for.
5. A machine that had too much to do is told as such, with the packet from which on, also where no
   frame was late: whoever repeats the run may not be so lucky.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from hoplab.capture import load
from hoplab.capture.load import Load, Reading, Share
from hoplab.follow.model import Journey
from hoplab.follow.wiring import Wiring
from hoplab.story.fidelity_records import (
    BACKLOG,
    BEFORE_CABLE,
    BEHIND_PORT,
    BUSY,
    CONTROLLER,
    PRESSED,
    STANDING,
    STOLEN,
    STOPPED,
    SWITCH,
    WAITED,
    Cause,
    Crush,
    Fidelity,
    FullQueue,
    Passage,
    Spell,
)
from hoplab.story.full_queues import Drops
from hoplab.story.hop_times import SLIGHT_NS, SLOW_NS, HopTimes, find_times
from hoplab.story.trip_records import Trip

_MS = 1_000_000
AROUND_NS = 100 * _MS  # before and after a passage, for how busy the machine was around it
LONG_NS = 250 * _MS  # the same for what is but slightly late
UNDER_PRESSURE = 0.25  # of that time
ALONE_NS = 3 * _MS  # a single late passage of this length is a spell
SLIGHT_MANY = 3  # of those that are but slightly late
CERTAIN_NS = 10 * _MS  # a wait that is told whatever else the machine did
UNCLEAR_NS = 10 * _MS  # what is late for so long without a reason leaves the verdict open
APART_NS = 500 * _MS
BUSY_SHARE = 0.9
CRUSHED_SHARE = 0.5  # of a time of CRUSHED_NS or longer, in which tasks waited for a processor
CRUSHED_NS = 250 * _MS
STOLEN_SHARE = 0.05
TICK_NS = 1_000 * _MS  # stolen time is read but once a second
LOOKS_NS = 250 * _MS  # so often the lab looks whether somebody stopped a process

_ROLES = {SWITCH: load.SWITCH, CONTROLLER: load.CONTROLLER}


@dataclass(slots=True, frozen=True)
class _Delay:
    """A late passage, for how long the machine delayed it, and why."""

    passage: Passage
    ns: int
    cause: Cause


class _Machine:
    """The readings, asked about times."""

    def __init__(self, read: Load) -> None:
        self._load = read
        self._readings = read.readings
        self._times = [reading.t_ns for reading in read.readings]
        self._stops = {
            place: self._stops_of(place, process.name)
            for place, process in enumerate(read.processes)
        }

    def around(self, began_ns: int, ended_ns: int) -> tuple[Reading, Reading]:
        """The last reading before a time, and the first one behind it."""
        before = max(0, bisect_right(self._times, began_ns) - 1)
        behind = min(len(self._times) - 1, bisect_left(self._times, ended_ns))
        return self._readings[before], self._readings[max(before, behind)]

    def pressed(self, began_ns: int, ended_ns: int) -> Cause:
        """For how long some task waited for a processor."""
        before, behind = self.around(began_ns, ended_ns)
        waited_ns = (behind.pressed_us - before.pressed_us) * 1000
        return Cause(PRESSED, "", waited_ns, behind.t_ns - before.t_ns)

    def under_pressure(self, began_ns: int, ended_ns: int) -> bool:
        """Whether that was a large part of the time there."""
        if not self._load.measured:
            return True  # this kernel does not count it: the waits of single processes decide
        return self.pressed(began_ns - AROUND_NS, ended_ns + AROUND_NS).share >= UNDER_PRESSURE

    def hard_pressed(self, began_ns: int, ended_ns: int) -> bool:
        """Whether it was a large part of a long time, as far as that is known."""
        around = self.pressed(began_ns - LONG_NS, ended_ns + LONG_NS)
        return self._load.measured and around.share >= UNDER_PRESSURE

    def stopped(self, role: str, began_ns: int, ended_ns: int) -> Cause:
        """Of the processes of this role, for how long the one that was longest was stopped."""
        worst = Cause(STOPPED, "", 0)
        for place, process in self._of(role):
            overlaps = (
                min(last_ns, ended_ns) - max(first_ns, began_ns)
                for first_ns, last_ns in self._stops[place]
            )
            ns = sum(overlap for overlap in overlaps if overlap > 0)
            if ns > worst.ns:
                worst = Cause(STOPPED, process.name, ns)
        return worst

    def waited(self, role: str, began_ns: int, ended_ns: int) -> Cause:
        """The same for waiting for a processor."""
        return self._most(WAITED, role, began_ns, ended_ns, lambda share: share.waited_us)

    def ran(self, role: str, began_ns: int, ended_ns: int) -> Cause:
        """The same for having a processor."""
        return self._most(BUSY, role, began_ns, ended_ns, lambda share: share.ran_us)

    def stolen(self, began_ns: int, ended_ns: int) -> Cause:
        """For how long another virtual machine had a processor of ours."""
        before, behind = self.around(began_ns, ended_ns + TICK_NS)
        of_ns = (behind.t_ns - before.t_ns) * max(1, self._load.processors)
        return Cause(STOLEN, "", (behind.stolen_ms - before.stolen_ms) * _MS, of_ns)

    def _of(self, role: str) -> Iterable[tuple[int, load.Process]]:
        for place, process in enumerate(self._load.processes):
            if process.role == role:
                yield place, process

    def _most(
        self, code: str, role: str, began_ns: int, ended_ns: int, us_of: Callable[[Share], int]
    ) -> Cause:
        before, behind = self.around(began_ns, ended_ns)
        most = Cause(code, "", 0, behind.t_ns - before.t_ns)
        for place, process in self._of(role):
            if place < min(len(before.shares), len(behind.shares)):
                us = us_of(behind.shares[place]) - us_of(before.shares[place])
                if us * 1000 > most.ns:
                    most = Cause(code, process.name, us * 1000, most.of_ns)
        return most

    def _stops_of(self, place: int, name: str) -> list[tuple[int, int]]:
        """Between which readings a process was found stopped: from the last one before that to the
        first one after it, the longest that it may have been."""
        stops: list[tuple[int, int]] = []
        since_ns, last_ns = 0, 0
        for reading in self._readings:
            state = reading.shares[place].state if place < len(reading.shares) else ""
            if state in load.STOPPED_STATES:
                since_ns = since_ns or last_ns or reading.t_ns
            elif since_ns:
                stops.append((since_ns, reading.t_ns))
                since_ns = 0
            last_ns = reading.t_ns
        if since_ns:
            stops.append((since_ns, last_ns))
        for process, woken_ns in self._load.woken_ns:
            if process == name:
                before, _ = self.around(woken_ns, woken_ns)
                stops.append((max(before.t_ns, woken_ns - LOOKS_NS), woken_ns))
        return _merged(sorted(stops))


def _merged(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans of time in which those that overlap have become one; they come sorted by their
    begin."""
    merged: list[tuple[int, int]] = []
    for began_ns, ended_ns in spans:
        if merged and began_ns <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(ended_ns, merged[-1][1])
        else:
            merged.append((began_ns, ended_ns))
    return merged


def find_fidelity(
    wiring: Wiring,
    journeys: Sequence[Journey],
    trips: Sequence[Trip],
    drops: Drops,
    read: Load | None,
    asked_ns: Mapping[int, int] | None,
) -> Fidelity:
    """The verdict on a run. drops: what queues dropped. read: the machine, None if nobody read it.
    asked_ns: see `find_times`."""
    times = find_times(wiring, trips, asked_ns)
    queues = [*_full_queues(journeys, drops, times, read), *_backlogs(trips, read)]
    before_cables = (BEFORE_CABLE, STANDING)
    held_by = {queue.interface for queue in queues if queue.queue in before_cables} - {""}
    late = [passage for passage in times.slow if passage.port not in held_by]
    spells: Sequence[Spell] = ()
    unexplained: Sequence[Passage] = ()
    shares: dict[str, Any] = {}
    crushes: Sequence[Crush] = ()
    if read is not None and len(read.readings) > 1:
        machine = _Machine(read)
        late += [
            passage
            for passage in times.slight
            if passage.port not in held_by
            and machine.hard_pressed(passage.began_ns, passage.ended_ns)
        ]
        late.sort(key=lambda passage: passage.began_ns)
        spells, unexplained = _judge(machine, late)
        shares = _shares(read)
        crushes = _crushes(read, trips)
    most_unexplained_ns = max((passage.excess_ns for passage in unexplained), default=0)
    begun = [(spell.began_ns, spell.packet) for spell in spells]
    begun += [(queue.t_ns, queue.packet) for queue in queues if queue.packet]
    t_ns, packet = min(begun, default=(0, 0))
    known = bool(shares) and times.judged > 0
    return Fidelity(
        _verdict(bool(spells or queues), known, most_unexplained_ns),
        packet=packet,
        t_ns=t_ns,
        most_ns=max(
            (*(spell.most_ns for spell in spells), *(queue.most_ns for queue in queues)), default=0
        ),
        judged=times.judged,
        unexplained=len(unexplained),
        most_unexplained_ns=most_unexplained_ns,
        spells=tuple(spells),
        queues=tuple(queues),
        spreads=times.spreads(),
        crushes=tuple(crushes),
        **shares,
    )


def _judge(machine: _Machine, late: Sequence[Passage]) -> tuple[Sequence[Spell], Sequence[Passage]]:
    """The spells in which the machine delayed frames, and what was late for no known reason."""
    delays: list[_Delay] = []
    unexplained: list[Passage] = []
    for passage in late:
        delay = _delay(machine, passage)
        if delay is not None:
            delays.append(delay)
        elif passage.what != CONTROLLER and passage.excess_ns >= SLOW_NS:
            unexplained.append(passage)
    return _spells(machine, delays), unexplained


def _verdict(distorted: bool, known: bool, unexplained_ns: int) -> str:
    if distorted:
        return "distorted"
    if not known:
        return "unknown"
    return "unclear" if unexplained_ns >= UNCLEAR_NS else "trusted"


def _shares(read: Load) -> dict[str, Any]:
    """How busy the machine was, as shares of the whole time of the capture."""
    first, last = read.readings[0], read.readings[-1]
    wall_ms = max(1, (last.t_ns - first.t_ns) // _MS)
    of_all_ms = wall_ms * max(1, read.processors)
    pressed = (last.pressed_us - first.pressed_us) / 1000 / wall_ms if read.measured else None
    return {
        "pressed": None if pressed is None else min(1.0, pressed),
        "stolen": min(1.0, (last.stolen_ms - first.stolen_ms) / of_all_ms),
        "idle": min(1.0, (last.idle_ms - first.idle_ms) / of_all_ms),
        "readings": len(read.readings),
    }


def _crushes(read: Load, trips: Sequence[Trip]) -> list[Crush]:
    """When tasks waited for a processor for half of the time and more, and for long."""
    spans = [
        (before, behind)
        for before, behind in pairwise(read.readings)
        if (behind.pressed_us - before.pressed_us) * 1000
        >= CRUSHED_SHARE * (behind.t_ns - before.t_ns) > 0
    ]
    merged: list[tuple[Reading, Reading]] = []
    for before, behind in spans:
        if merged and merged[-1][1].t_ns == before.t_ns:
            merged[-1] = merged[-1][0], behind
        else:
            merged.append((before, behind))
    crushes = []
    for first, last in merged:
        took_ns = last.t_ns - first.t_ns
        if took_ns >= CRUSHED_NS:
            packet = next((trip.number for trip in trips if trip.t_ns >= first.t_ns), 0)
            share = min(1.0, (last.pressed_us - first.pressed_us) * 1000 / took_ns)
            crushes.append(Crush(packet, first.t_ns, last.t_ns, share))
    return crushes


# ------------------------------------------------------------------------ late passages


def _delay(machine: _Machine, passage: Passage) -> _Delay | None:
    """For how long the machine delayed a passage that was late; None if nothing shows that."""
    late_ns = passage.excess_ns
    # The first that explains half of it: what is known of the process itself goes before the rest.
    cause = next(
        (each for each in _candidates(machine, passage) if each.ns >= late_ns / 2), Cause("", "", 0)
    )
    if not cause.code:
        return None
    if passage.what == CONTROLLER:
        late_ns = min(late_ns, cause.ns)
    least_ns = SLOW_NS if passage.what == CONTROLLER else SLIGHT_NS
    return _Delay(passage, late_ns, cause) if late_ns >= least_ns else None


def _candidates(machine: _Machine, passage: Passage) -> Iterator[Cause]:
    """What may have delayed it, the likeliest first."""
    began_ns, ended_ns = passage.began_ns, passage.ended_ns
    role = _ROLES.get(passage.what, "")
    pressed = machine.under_pressure(began_ns, ended_ns)
    if role:
        yield machine.stopped(role, began_ns, ended_ns)
        waited = machine.waited(role, began_ns, ended_ns)
        if pressed or min(waited.ns, passage.excess_ns) >= CERTAIN_NS:
            yield waited
    if pressed and passage.what != CONTROLLER:
        # Also in a switch: Open vSwitch has threads of its own that its main thread may wait for.
        yield machine.pressed(began_ns, ended_ns)
    if passage.what == SWITCH:
        ran = machine.ran(role, began_ns, ended_ns)
        if ran.share >= BUSY_SHARE:
            yield ran
    stolen = machine.stolen(began_ns, ended_ns)
    if stolen.share >= STOLEN_SHARE:
        yield stolen


def _spells(machine: _Machine, delays: Sequence[_Delay]) -> list[Spell]:
    groups: list[list[_Delay]] = []
    last_ns = 0
    for delay in delays:
        if not groups or delay.passage.began_ns > last_ns + APART_NS:
            groups.append([])
        groups[-1].append(delay)
        last_ns = max(last_ns, delay.passage.ended_ns)
    return [
        _spell(machine, group)
        for group in groups
        if len(group) >= SLIGHT_MANY
        or sum(delay.ns >= SLOW_NS for delay in group) > 1
        or any(delay.ns >= ALONE_NS or delay.cause.code == STOPPED for delay in group)
    ]


def _spell(machine: _Machine, delays: Sequence[_Delay]) -> Spell:
    passages = [delay.passage for delay in delays]
    began_ns = passages[0].began_ns
    ended_ns = max(passage.ended_ns for passage in passages)
    causes: dict[tuple[str, str], Cause] = {}
    for delay in delays:
        code, who = delay.cause.code, delay.cause.who
        if (code, who) not in causes:
            causes[code, who] = _whole(machine, delay, began_ns, ended_ns)
    pressed = machine.pressed(began_ns, ended_ns)
    if pressed.share >= UNDER_PRESSURE:
        causes.setdefault((PRESSED, ""), pressed)
    ordered = sorted(causes.values(), key=lambda cause: (cause.code != STOPPED, -cause.ns))
    return Spell(
        packet=passages[0].packet,
        last_packet=max(passage.packet for passage in passages),
        began_ns=began_ns,
        ended_ns=ended_ns,
        most_ns=max(delay.ns for delay in delays),
        passages=len(delays),
        causes=tuple(ordered),
    )


def _whole(machine: _Machine, delay: _Delay, began_ns: int, ended_ns: int) -> Cause:
    """The cause of a delay, over all of its spell."""
    role = _ROLES.get(delay.passage.what, "")
    code = delay.cause.code
    if code == STOPPED:
        cause = machine.stopped(role, began_ns, ended_ns)
    elif code == WAITED:
        cause = machine.waited(role, began_ns, ended_ns)
    elif code == BUSY:
        cause = machine.ran(role, began_ns, ended_ns)
    elif code == STOLEN:
        cause = machine.stolen(began_ns, ended_ns)
    else:
        cause = machine.pressed(began_ns, ended_ns)
    return cause if cause.who == delay.cause.who else delay.cause


# --------------------------------------------------------------------------- full queues


def _full_queues(
    journeys: Sequence[Journey], drops: Drops, times: HopTimes, read: Load | None
) -> list[FullQueue]:
    """The queues that were full and are no part of the network: it did not ask for them."""
    queues: list[FullQueue] = []
    made = dict.fromkeys(read.standing, STANDING) if read is not None else {}
    made |= dict.fromkeys(read.queues, BEFORE_CABLE) if read is not None else {}
    foreign = [
        loss
        for loss in drops.losses
        if not loss.lossy and (not loss.cable or loss.interface in made)
    ]
    first = _first_missing(journeys, drops) if foreign else {}
    for loss in foreign:
        t_ns, packet = first.get((loss.interface, loss.cable), (0, 0))
        held = [each for each in times.slow if loss.cable and each.port == loss.interface]
        if held:
            earliest = held[0].began_ns, held[0].packet
            t_ns, packet = min(earliest, (t_ns, packet)) if packet else earliest
        kind = made[loss.interface] if loss.cable else BEHIND_PORT
        most_ns = max((passage.excess_ns for passage in held), default=0)
        queues.append(
            FullQueue(kind, loss.node, loss.interface, loss.frames, packet, t_ns, most_ns)
        )
    return queues


def _first_missing(
    journeys: Sequence[Journey], drops: Drops
) -> dict[tuple[str, bool], tuple[int, int]]:
    """The first frame that each queue may have dropped (interface; whether it is the one in front
    of the cable): when it came, and which packet it is."""
    first: dict[tuple[str, bool], tuple[int, int]] = {}
    for journey in journeys:
        for hop in journey.hops():
            missing = hop.came_ns, journey.number
            for loss in (*drops.vanished.get(hop, ()), *drops.lacking.get(hop, ())):
                key = loss.interface, loss.cable
                first[key] = min(first.get(key, missing), missing)
    return first


def _backlogs(trips: Sequence[Trip], read: Load | None) -> list[FullQueue]:
    """A processor's backlog dropped frames, and frames are missing on cables."""
    if read is None or not read.readings or not read.readings[-1].dropped:
        return []
    lost = [(leg.t_ns, trip.number) for trip in trips for leg in trip.lost]
    if not lost:
        return []
    t_ns, packet = min(lost)
    return [FullQueue(BACKLOG, "", "", read.readings[-1].dropped, packet, t_ns)]
