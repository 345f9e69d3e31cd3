# SPDX-License-Identifier: Apache-2.0
"""How busy the machine was while a capture ran: readings, as the capture keeps them.

Time in a lab is the time of the machine that it runs on. Where that has too much to do, a frame
waits in a switch that waits for a processor, and the capture alone would show a slow network. So
the recorder reads, at both edges and often while frames come, what the kernel counts of such waits:

- for how long some task, whoever's, waited for a processor (/proc/pressure/cpu, `some`, Linux's
  Documentation/accounting/psi.rst), exact to the microsecond;
- for how long Open vSwitch, the controllers and the recorder itself had a processor and waited for
  one (/proc/PID/schedstat, Documentation/scheduler/sched-stats.rst), and whether a signal had
  stopped them (/proc/PID/stat, field 3);
- for how long another virtual machine had the processors, and nobody (/proc/stat, in 1/100 s);
- how many frames the kernel threw away between two interfaces, since a processor's backlog was full
  (/proc/net/softnet_stat).

All are sums since the first reading, so two readings say what was between them, however late the
later one came. A note (`notes.LOAD`) holds some of them, in order of time.

What lives here: the readings and their form in the file. What must not: /proc (`load_sampler.py`),
and what follows from them (`hoplab.story.fidelity`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from hoplab.capture import notes
from hoplab.capture.pcapng_format import Note

SWITCH, CONTROLLER, RECORDER = "switch", "controller", "recorder"
STOPPED_STATES = frozenset("Tt")  # by a signal, by a debugger (proc(5))
ENDED = "X"


class Process(NamedTuple):
    """A process that is read. role: what it is in the lab, SWITCH, CONTROLLER or RECORDER."""

    name: str
    role: str


class Share(NamedTuple):
    """What a process had since the first reading: a processor (ran_us), none although it wanted one
    (waited_us). state: a letter of proc(5)."""

    state: str
    ran_us: int
    waited_us: int


class Reading(NamedTuple):
    """The machine at one moment, all sums since the first reading.

    pressed_us: some task waited for a processor. dropped: frames, from a full backlog. stolen_ms:
    another virtual machine ran; idle_ms: nobody did, of all processors together; both are read but
    once a second. shares: of the processes, in their order; of those that were known by then.
    """

    t_ns: int
    pressed_us: int = 0
    dropped: int = 0
    stolen_ms: int = 0
    idle_ms: int = 0
    shares: tuple[Share, ...] = ()


@dataclass(frozen=True, slots=True)
class Load:
    """What a capture says of the machine. measured: the kernel tells of the waits of all tasks, not
    of those of single processes alone. woken_ns: when the lab found a process stopped, and let it
    go on, by the process's name. queues: the interfaces before which a queue was made meanwhile: it
    is no part of the lab as it was when the capture began. standing: those before which there was
    one already then, and the lab had not made it."""

    processors: int = 0
    measured: bool = False
    processes: tuple[Process, ...] = ()
    readings: tuple[Reading, ...] = ()
    woken_ns: tuple[tuple[str, int], ...] = ()
    queues: frozenset[str] = frozenset()
    standing: frozenset[str] = frozenset()


def pack(
    processors: int,
    measured: bool,
    processes: Sequence[Process],
    readings: Sequence[Reading],
) -> bytes:
    """Some readings, as the data of a note."""
    first_ns = readings[0].t_ns
    rows: list[list[Any]] = []
    for reading in readings:
        shares = (part for share in reading.shares for part in share)
        rows.append([(reading.t_ns - first_ns) // 1000, *reading[1:5], *shares])
    data = {
        "processors": processors,
        "measured": measured,
        "processes": processes,
        "first_ns": first_ns,
        "rows": rows,
    }
    return json.dumps(data, separators=(",", ":")).encode()


def unpack(kept: Iterable[Note]) -> Load | None:
    """What a capture's notes say of the machine; None if they say nothing, or no sense."""
    load: Load | None = None
    readings: list[Reading] = []
    woken: list[tuple[str, int]] = []
    queues: dict[str, set[str]] = {notes.QUEUES: set(), notes.STANDING: set()}
    try:
        for note in kept:
            if note.topic == notes.LOAD:
                data = json.loads(note.data)
                readings += [_reading(row, int(data["first_ns"])) for row in data["rows"]]
                processes = tuple(Process(str(name), str(role)) for name, role in data["processes"])
                load = Load(int(data["processors"]), bool(data["measured"]), processes)
            elif note.topic == notes.WOKEN:
                woken.append((note.source, note.t_ns))
            elif note.topic in queues:
                queues[note.topic].update(str(name) for name in json.loads(note.data))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    if load is None:
        return None
    readings.sort(key=lambda reading: reading.t_ns)
    return replace(
        load,
        readings=tuple(readings),
        woken_ns=tuple(woken),
        queues=frozenset(queues[notes.QUEUES]),
        standing=frozenset(queues[notes.STANDING]),
    )


def _reading(row: list[Any], first_ns: int) -> Reading:
    t_us, pressed_us, dropped, stolen_ms, idle_ms = (int(value) for value in row[:5])
    shares = tuple(
        Share(str(row[at]), int(row[at + 1]), int(row[at + 2])) for at in range(5, len(row), 3)
    )
    return Reading(first_ns + t_us * 1000, pressed_us, dropped, stolen_ms, idle_ms, shares)
