# SPDX-License-Identifier: Apache-2.0
"""A lab followed for as long as somebody looks: frames counted at once, and as many packets told
whole as there is time for.

What lives here: one capture into a pipe of ours, its frames by port, and when there is no time to
tell of them. What must not: what a reader sees, threads.

1. Every frame is counted when it comes.
2. A packet is told by all of its frames, or not at all. Telling takes about as long as ten frames
   take to count: where frames come faster than that, what is told would be later and later. So
   what comes is only counted as soon as it comes `LATE_NS` late, until that is made up for; the
   packets that were under way are told as far as they were seen, as at the end of a capture, and
   those that come afterwards as after the beginning of one.
3. Memory holds the frames of the last packets alone.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hoplab import runs, wait
from hoplab.capture.clock import Clock
from hoplab.capture.observation import Observation
from hoplab.client import labs
from hoplab.errors import LabError
from hoplab.follow.wiring import Wiring
from hoplab.live.heard import Heard, Piece
from hoplab.live.last_minutes import LastMinutes
from hoplab.live.listening import listen
from hoplab.live.origins import Origins
from hoplab.replay.live import LiveTables
from hoplab.story.live import Live, News

LATE_NS, IN_TIME_NS = 700_000_000, 250_000_000
READ_MOST = 1 << 20  # bytes that are read before somebody looks what there is to tell
LOOK_S = 0.1
LOOK_SHARE = 3  # times as long as a look took, frames are followed before the next one
KEPT_FRAMES = 30_000  # twice as many at the most
STOP_S = 5.0
ALL_NS = 1 << 62


@dataclass
class Counts:
    """Frames and bytes by port of the wiring: sent, and received. seen: frames on cables."""

    ports: dict[int, list[int]] = field(default_factory=dict)
    seen: int = 0

    def add(self, port: int, frame: Observation) -> None:
        counted = self.ports.get(port)
        if counted is None:
            counted = self.ports[port] = [0, 0, 0, 0]
        place = 0 if frame.outgoing else 2
        self.seen += frame.outgoing
        counted[place] += 1
        counted[place + 1] += frame.length


class Recent:
    """The last frames by number: so many, and at most as many again."""

    def __init__(self, most: int = KEPT_FRAMES) -> None:
        self._most = most
        self._new: dict[int, Observation] = {}
        self._old: dict[int, Observation] = {}

    def put(self, frames: Iterable[Observation]) -> None:
        """Keep these."""
        for frame in frames:
            self._new[frame.number] = frame
        if len(self._new) >= self._most:
            self._old, self._new = self._new, {}

    def of(self, numbers: Iterable[int]) -> dict[int, Observation]:
        """Those that are still kept."""
        kept = {}
        for number in numbers:
            frame = self._new.get(number) or self._old.get(number)
            if frame is not None:
                kept[number] = frame
        return kept


class Following:
    """The capture of one lab, and what is told of it.

    `step` waits for frames, and gives what there is to tell; `take_counts` what was counted since
    it was asked last. wiring: the lab; it grows with it. late: frames are only counted now.
    untold: frames on cables that were. ended: the lab has.
    """

    def __init__(self, handle: labs.Handle, *, packets: int = 0, tables: bool = True) -> None:
        """packets: so many were told before this begins. Raises LabError, WiringError."""
        state = handle.state()
        self.wiring = Wiring.from_dict(state)
        self.frames = Recent()
        self.minutes = LastMinutes()
        self.origins = Origins(self.wiring)
        self.late = False
        self.ended = False
        self.untold = 0
        self._ports: list[int | None] = []
        self._heard = Heard(self.wiring, self._ports, handle.folder / runs.STATE)
        self._name = handle.name
        self._counts = Counts()
        self._clock = Clock()
        self._last_ns = 0  # of the last frame that was told of
        self._looked_s, self._cost_s = 0.0, 0.0
        asked = tables and bool(state.get("controller"))
        self._tables = LiveTables(self.wiring, self._ports, state) if asked else None
        try:
            self._pipe, self._sock = listen(handle)
        except BaseException:
            if self._tables is not None:
                self._tables.close()
            raise
        self._live = self._window(packets)
        if self._tables is not None:
            self._tables.wait()

    def _window(self, packets: int) -> Live:
        """Packets are told from now on, after so many others."""
        live = Live(self.wiring, self._ports, self._tables)
        live.packets = packets
        return live

    @property
    def packets(self) -> int:
        """How many packets have been told."""
        return self._live.packets

    @property
    def problem(self) -> str:
        """Why the switches' own tables cannot be asked, or ""."""
        return self._tables.problem if self._tables is not None else ""

    def take_counts(self) -> Counts:
        """What was counted since this was asked last."""
        counts, self._counts = self._counts, Counts()
        return counts

    def keep(self, path: Path, begun_ns: int) -> int:
        """Write what came since then, as far as it is kept; how many frames. Raises OSError."""
        return self.minutes.write(path, self._heard.capture, begun_ns)

    def origins_of(self, node: str) -> dict[str, Any]:
        """Which packets made the entries of a node's tables, as far as it is known."""
        flow_mods = self._tables.flow_mods(node) if self._tables is not None else {}
        return self.origins.of(node, time.time_ns(), flow_mods)

    def descriptors(self) -> list[int]:
        """What becomes readable when there is something to do."""
        return [self._pipe]

    def step(self, within_s: float) -> list[News]:
        """Wait for frames, at most so long, and give what there is to tell."""
        news: list[News] = []
        waited = wait.readable([self._pipe], within_s)
        if waited and not self._read(news):
            self.ended = True
            return news + self._finish()
        now_s = time.monotonic()
        if now_s - self._looked_s >= max(LOOK_S, LOOK_SHARE * self._cost_s):
            news += self._live.poll(self._now_ns())
            self._looked_s = time.monotonic()
            self._cost_s = self._looked_s - now_s
        return news

    def _now_ns(self) -> int:
        """What time it is in the story: where the clock was set, no age means anything, and all is
        told at once."""
        return ALL_NS if self._clock.jumped() else time.time_ns()

    def _read(self, news: list[News]) -> bool:
        """Take what is in the pipe; whether it goes on."""
        size = 0
        while size < READ_MOST and wait.readable([self._pipe], 0):
            data = os.read(self._pipe, 1 << 16)
            if not data:
                return False
            size += len(data)
            self._take(self._heard.read(data), news)
        return True

    def _take(self, piece: Piece, news: list[News]) -> None:
        wired = [frame for frame in piece.frames if self._heard.wired(frame)]
        for frame in wired:
            port = self._ports[frame.port]
            if port is not None:
                self._counts.add(port, frame)
        if wired:
            age_ns = time.time_ns() - wired[-1].t_ns
            if not self.late and age_ns > LATE_NS:
                news += self._give_up()
            elif self.late and age_ns < IN_TIME_NS:
                self._begin_again(wired[-1].t_ns)
        self.minutes.take(piece.frames, piece.notes)
        self.origins.note(piece.notes)
        self._heard.tell(self._live, piece, wires=not self.late)
        if self.late:
            self.untold += sum(frame.outgoing for frame in wired)
        elif wired:
            self.frames.put(wired)
            self._last_ns = wired[-1].t_ns

    def _give_up(self) -> list[News]:
        """What comes is only counted from now on; what was under way ends here."""
        self.late = True
        self._live.cover(replace(self._heard.coverage(), ended_ns=self._last_ns))
        news = self._live.finish(asking=False)
        self._live = self._window(self._live.packets)
        return news

    def _begin_again(self, now_ns: int) -> None:
        self.late = False
        if self._tables is not None:
            self._tables.skip(now_ns)
        self._heard.begun_ns = now_ns
        self._live.cover(self._heard.coverage())

    def _finish(self) -> list[News]:
        self._live.cover(replace(self._heard.coverage(), ended_ns=self._heard.ended_ns))
        return self._live.finish()

    def close(self) -> None:
        """End the capture. The lab goes on."""
        with contextlib.suppress(LabError, OSError):
            labs.send(self._sock, {"stop": True})
        self._sock.close()
        os.close(self._pipe)
        if self._tables is not None:
            self._tables.close()
