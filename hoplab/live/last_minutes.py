# SPDX-License-Identifier: Apache-2.0
"""The last minutes of a lab that is followed, so that they can be kept as a run.

What lives here: the frames of that time, what switches told of their tables, the file of both. What
must not: when somebody wants it, the other files of a run.

Memory is bounded by frames and by bytes: of a busy lab there is less than `KEPT_NS`. What switches
told of their tables before the first frame is written as what was there when the capture began:
who wanted those flows is not in the file.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from pathlib import Path

from hoplab.capture import pcapng_writer
from hoplab.capture.observation import Observation
from hoplab.capture.pcapng_format import Capture, Note
from hoplab.replay.tables_then import tables_then

KEPT_NS = 300_000_000_000
MOST_FRAMES = 100_000
MOST_BYTES = 48 << 20
MOST_NOTES = 16 << 20  # bytes; beyond them the frames alone tell


class LastMinutes:
    """What came last. kept_ns: for so long it is kept."""

    def __init__(self, kept_ns: int = KEPT_NS, most: int = MOST_FRAMES) -> None:
        self._kept_ns, self._most = kept_ns, most
        self._frames: deque[Observation] = deque()
        self._bytes = 0
        self._notes: list[Note] | None = []
        self._note_bytes = 0
        self._since_ns = 0  # all frames from then on are there; 0: from the beginning

    def take(self, frames: Iterable[Observation], notes: Iterable[Note]) -> None:
        """The next ones, in order of time."""
        for frame in frames:
            self._frames.append(frame)
            self._bytes += len(frame.data)
        for note in notes:
            self._note_bytes += len(note.data)
            if self._notes is not None:
                self._notes.append(note)
        if self._note_bytes > MOST_NOTES:
            self._notes = None
        self._forget()

    def _forget(self) -> None:
        kept = self._frames
        while kept and (
            kept[-1].t_ns - kept[0].t_ns > self._kept_ns
            or len(kept) > self._most
            or self._bytes > MOST_BYTES
        ):
            self._bytes -= len(kept.popleft().data)
            self._since_ns = kept[0].t_ns if kept else 0

    def write(self, path: Path, heard: Capture, begun_ns: int = 0) -> int:
        """Write them as a capture; how many frames are in it. heard: what stands beside the frames
        in the stream that they came by. begun_ns: nothing from before it. Raises OSError."""
        frames = [frame for frame in self._frames if frame.t_ns >= begun_ns]
        since_ns = max(self._since_ns, begun_ns)
        notes = tables_then(self._notes or (), since_ns)
        with open(path, "wb") as file:
            writer = pcapng_writer.Writer(file, heard.interfaces, names=heard.names)
            for port in range(len(heard.interfaces)):
                started_ns = max(since_ns, heard.begun_ns.get(port, 0))
                if started_ns:
                    writer.write_start(port, started_ns)
            for note in notes:
                file.write(pcapng_writer.pack_note(note))
            for frame in frames:
                writer.write(frame)
        return len(frames)
