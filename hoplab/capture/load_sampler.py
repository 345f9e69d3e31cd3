# SPDX-License-Identifier: Apache-2.0
"""The machine's load, read from /proc while a capture runs, and handed over as notes.

What lives here: when to read, and what a reading costs (about 30 µs). What must not: what follows
from it.

The recorder asks (`look`) whenever it has looked for frames. While frames come, and until they have
been quiet for `TAIL_S`, the machine is read every few hundredths of a second: a process that a
signal has stopped shows only as long as it stands. Where nobody sends, nobody can be delayed, so
nothing is read and the recorder sleeps. Counts go on meanwhile: the next reading has them.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence
from typing import Any

from hoplab.capture import load, notes
from hoplab.capture.pcapng_format import Note
from hoplab.capture.pcapng_writer import pack_note

NEAR_S, FAR_S = 0.05, 0.1  # between two readings: a short time after a frame, and later
NEAR_FOR_S, TAIL_S = 0.5, 2.0
WHOLE_S = 1.0  # between two looks at what need not be known so often
TOGETHER = 50  # readings in a note
_MS_PER_TICK = 1000 // os.sysconf("SC_CLK_TCK")
_LONGEST = 1 << 14


class Sampler:
    """Reads the machine; `take` gives what was read as blocks of the file."""

    def __init__(self) -> None:
        self._processes: list[load.Process] = []
        self._pids: set[int] = set()
        self._files: list[tuple[int, int]] = []  # of each process: its schedstat, its stat
        self._first: list[tuple[int, int]] = []
        self._pressure = _opened("/proc/pressure/cpu")
        self._backlog = _opened("/proc/net/softnet_stat")
        self._stat = _opened("/proc/stat")
        self.measured = _pressed_us(self._pressure) is not None
        self._pressed_us = _pressed_us(self._pressure) or 0
        self._first_counts = self._counts()
        self._last_counts = self._first_counts
        self._whole_s = time.monotonic()
        self._readings: list[load.Reading] = []
        self._begun = False
        self._due_s = 0.0
        self._frame_s = time.monotonic()
        self.watch("recorder", load.RECORDER, os.getpid())

    def watch(self, name: str, role: str, pid: int, times: tuple[int, int] | None = None) -> None:
        """Read this process, too, from now on; one that is read already, or gone, is left out.
        times: what it had had (see `_times_ns`) when the capture began, if somebody looked then."""
        if pid in self._pids:
            return
        files = _opened(f"/proc/{pid}/schedstat"), _opened(f"/proc/{pid}/stat")
        if min(files) < 0:
            return
        self._pids.add(pid)
        self._processes.append(load.Process(name, role))
        self._files.append(files)
        self._first.append(times or _times_ns(files[0]) or (0, 0))
        self._due_s = 0.0

    def begun(self, t_ns: int, pressed_us: int) -> None:
        """Count since that time, when somebody read this. A recorder that has to wait for a
        processor before it runs at all would not know of the first moments."""
        earlier_us = self._pressed_us - pressed_us
        if self._begun or earlier_us < 0:
            return
        self._begun = True
        self._pressed_us = pressed_us
        self._readings = [
            reading._replace(pressed_us=reading.pressed_us + earlier_us)
            for reading in self._readings
        ]
        asleep = tuple(load.Share("S", 0, 0) for _ in self._files)
        self._readings.insert(0, load.Reading(t_ns, shares=asleep))

    def wait_s(self) -> float | None:
        """How long the recorder may sleep until the next reading; None: as long as it likes."""
        now_s = time.monotonic()
        if now_s - self._frame_s > TAIL_S:
            return None
        return max(0.0, self._due_s - now_s)

    def look(self, frames: int) -> None:
        """Reads the machine if it is time. frames: how many have come since the last look."""
        now_s = time.monotonic()
        if frames:
            self._frame_s = now_s
        if now_s >= self._due_s and now_s - self._frame_s <= TAIL_S:
            near = now_s - self._frame_s < NEAR_FOR_S
            self._due_s = now_s + (NEAR_S if near else FAR_S)
            self.read()

    def read(self, *, whole: bool = False) -> None:
        """Reads the machine now. whole: also what is read but once a second."""
        now_s = time.monotonic()
        if whole or now_s - self._whole_s >= WHOLE_S:
            self._whole_s = now_s
            self._last_counts = self._counts()
        pressed_us = _pressed_us(self._pressure)
        counts = zip(self._last_counts, self._first_counts, strict=True)
        dropped, stolen_ms, idle_ms = (max(0, now - first) for now, first in counts)
        self._readings.append(
            load.Reading(
                time.time_ns(),
                max(0, (pressed_us or 0) - self._pressed_us),
                dropped,
                stolen_ms,
                idle_ms,
                tuple([self._share(place) for place in range(len(self._files))]),
            )
        )

    def take(self, *, everything: bool = False) -> bytes:
        """The readings as a block of the file, as soon as there are many, or all that there are."""
        readings = self._readings
        if not readings or (len(readings) < TOGETHER and not everything):
            return b""
        self._readings = []
        data = load.pack(os.cpu_count() or 1, self.measured, self._processes, readings)
        return pack_note(Note(readings[0].t_ns, notes.LOAD, "machine", data))

    def _counts(self) -> tuple[int, int, int]:
        """Frames dropped from a backlog, ms stolen, ms idle: what is seldom looked at."""
        return _dropped(self._backlog), *_stolen_and_idle_ms(self._stat)

    def _share(self, place: int) -> load.Share:
        schedstat, stat = self._files[place]
        times = _times_ns(schedstat)
        if times is None:
            return load.Share(load.ENDED, 0, 0)
        first = self._first[place]
        state = "R" if not place else _state(stat)  # the first is the recorder, which runs
        return load.Share(state, (times[0] - first[0]) // 1000, (times[1] - first[1]) // 1000)


def look_first(pids: Sequence[int]) -> dict[str, Any]:
    """What a sampler counts from, read by whoever starts a capture: `begun` and `watch` take it."""
    file = _opened("/proc/pressure/cpu")
    files = [_opened(f"/proc/{pid}/schedstat") for pid in pids]
    try:
        return {
            "t_ns": time.time_ns(),
            "pressed_us": _pressed_us(file),
            "times": [_times_ns(each) for each in files],
        }
    finally:
        for each in (file, *files):
            if each >= 0:
                os.close(each)


def _opened(path: str) -> int:
    """A file of /proc, -1 where the machine has none."""
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1


def _pressed_us(file: int) -> int | None:
    """`total` of the line `some`; None where the kernel does not count it."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        line = os.pread(file, _LONGEST, 0).split(b"\n", 1)[0]
        return int(line.rpartition(b"total=")[2])
    return None


def _times_ns(file: int) -> tuple[int, int] | None:
    """For how long a process had a processor, and waited for one; None once it has ended."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        ran, waited, _ = os.pread(file, _LONGEST, 0).split()
        return int(ran), int(waited)
    return None


def _state(file: int) -> str:
    """Whether a process runs, sleeps, is stopped: a letter (proc(5), stat, field 3)."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        text = os.pread(file, _LONGEST, 0)
        return chr(text[text.rindex(b")") + 2])
    return load.ENDED


def _dropped(file: int) -> int:
    """Frames that found a backlog full, of all processors (column 2, in hexadecimal)."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return sum(int(line.split()[1], 16) for line in os.pread(file, _LONGEST, 0).splitlines())
    return 0


def _stolen_and_idle_ms(file: int) -> tuple[int, int]:
    """Of all processors together (proc(5): the columns steal, idle and iowait)."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        columns = os.pread(file, 256, 0).split(b"\n", 1)[0].split()
        idle = int(columns[4]) + int(columns[5])
        return int(columns[8]) * _MS_PER_TICK, idle * _MS_PER_TICK
    return 0, 0
