# SPDX-License-Identifier: Apache-2.0
"""The machine's load, read from /proc while a capture runs, and handed over as notes.

What lives here: when to read, and what a reading costs (about 20 µs). What must not: what follows
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

from hoplab.capture import load, notes
from hoplab.capture.pcapng_format import Note
from hoplab.capture.pcapng_writer import pack_note

NEAR_S, FAR_S = 0.05, 0.1  # between two readings: a short time after a frame, and later
NEAR_FOR_S, TAIL_S = 0.5, 2.0
WHOLE_S = 1.0  # between two looks at what is counted in hundredths of a second
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
        self._dropped = _dropped(self._backlog)
        self._ticks = _stolen_and_idle_ms(self._stat)
        self._whole = self._ticks
        self._whole_s = time.monotonic()
        self._readings: list[load.Reading] = []
        self._due_s = 0.0
        self._frame_s = time.monotonic()
        self.watch("recorder", load.RECORDER, os.getpid())

    def watch(self, name: str, role: str, pid: int) -> None:
        """Read this process, too, from now on; one that is read already, or gone, is left out."""
        if pid in self._pids:
            return
        files = _opened(f"/proc/{pid}/schedstat"), _opened(f"/proc/{pid}/stat")
        if min(files) < 0:
            return
        self._pids.add(pid)
        self._processes.append(load.Process(name, role))
        self._files.append(files)
        self._first.append(_times_ns(files[0]) or (0, 0))
        self._due_s = 0.0

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
            self._whole = _stolen_and_idle_ms(self._stat)
        pressed_us = _pressed_us(self._pressure)
        self._readings.append(
            load.Reading(
                time.time_ns(),
                max(0, (pressed_us or 0) - self._pressed_us),
                max(0, _dropped(self._backlog) - self._dropped),
                self._whole[0] - self._ticks[0],
                self._whole[1] - self._ticks[1],
                tuple(self._share(place) for place in range(len(self._files))),
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

    def _share(self, place: int) -> load.Share:
        schedstat, stat = self._files[place]
        times = _times_ns(schedstat)
        if times is None:
            return load.Share(load.ENDED, 0, 0)
        first = self._first[place]
        state = load.ENDED
        with contextlib.suppress(OSError, IndexError):
            text = os.pread(stat, _LONGEST, 0)
            state = chr(text[text.rindex(b")") + 2])
        return load.Share(state, (times[0] - first[0]) // 1000, (times[1] - first[1]) // 1000)


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
