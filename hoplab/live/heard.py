# SPDX-License-Identifier: Apache-2.0
"""What a lab's capture writes into a pipe, read piece by piece: frames by the lab's own ports, and
what stands beside them.

What lives here: which interface of the capture is which port of a lab that grows meanwhile; frames
counted. What must not: pipes, threads, clocks, what is told of frames.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from hoplab import runs
from hoplab.capture import notes, pcapng_reader
from hoplab.capture.observation import Observation
from hoplab.capture.pcapng_format import Capture, Note
from hoplab.follow.wiring import Wiring, WiringError
from hoplab.openflow_channel import INTERFACE as OPENFLOW
from hoplab.story.coverage import Coverage
from hoplab.story.live import Live


def _later(begun_ns: Mapping[int, int], than_ns: int) -> dict[int, int]:
    return {port: t_ns for port, t_ns in begun_ns.items() if t_ns > than_ns}


@dataclass(frozen=True)
class Piece:
    """frames: in order of time. grown: the lab has nodes or cables that it had not. fresh: there
    are interfaces that there were not."""

    frames: list[Observation]
    notes: list[Note] = field(default_factory=list)
    grown: bool = False
    fresh: bool = False


class Heard:
    """wiring, ports: what the lab is, and for each interface of the capture its port; both grow
    with the capture. state: the file that says what the lab is now."""

    def __init__(self, wiring: Wiring, ports: list[int | None], state: Path) -> None:
        self.wiring = wiring
        self.ports = ports
        self.begun_ns = 0  # since when all frames are handed on; 0: since the capture began
        self._state = state
        self._stream = pcapng_reader.Stream()

    def read(self, data: bytes) -> Piece:
        """The next bytes. Raises PcapngError."""
        frames = self._stream.feed(data)
        capture = self._stream.capture
        interfaces = capture.interfaces
        grown = self._grow(
            [*(each.name for each in interfaces[len(self.ports) :] if each.name != OPENFLOW),
             *(note.source for note in capture.notes if note.topic == notes.TABLES)]
        )  # fmt: skip
        fresh = len(interfaces) > len(self.ports)
        if fresh:  # whoever follows has this very list
            self.ports[:] = self.wiring.port_map(interfaces)
        kept = list(capture.notes)
        # What was lost on purpose counts until the end, and the last that is said of it.
        capture.notes[:] = [note for note in kept if note.topic == notes.LOST][-1:]
        return Piece(frames, kept, grown, fresh)

    def _grow(self, names: Iterable[str]) -> bool:
        """Read what the lab is now where it is told of interfaces or switches that are new."""
        if all(name in self.wiring.nodes or self.wiring.port(name) is not None for name in names):
            return False
        with contextlib.suppress(OSError, WiringError):  # it has ended
            return self.wiring.grow(Wiring.load(self._state))
        return False

    def wired(self, frame: Observation) -> bool:
        """Whether it went over one of the lab's wires, and not over the OpenFlow channel."""
        return self._stream.capture.interfaces[frame.port].name != OPENFLOW

    @property
    def capture(self) -> Capture:
        """What stands beside the frames."""
        return self._stream.capture

    @property
    def channel(self) -> bool:
        """Whether the capture hears what switches and controllers say to each other."""
        return any(each.name == OPENFLOW for each in self._stream.capture.interfaces)

    @property
    def ended_ns(self) -> int | None:
        """When the capture ended, None as long as it has not said that."""
        return self._stream.capture.ended_ns or None

    def coverage(self) -> Coverage:
        """What can be seen by what is handed on, as far as it is known by now."""
        seen = runs.coverage(self.wiring, self._stream.capture, self.ports)
        if not self.begun_ns:
            return seen
        begun = {port: self.begun_ns for port in self.ports if port is not None}
        return replace(seen, begun_ns={**begun, **_later(seen.begun_ns, self.begun_ns)})

    def tell(self, live: Live, piece: Piece, *, wires: bool = True) -> bool:
        """Hand a piece to whoever follows; without frames of the lab's `wires`, if there is no time
        for them. Whether such frames were in it."""
        if piece.grown:
            live.grow()
        if piece.fresh:
            live.cover(self.coverage())
        live.channel = self.channel
        if piece.notes:
            live.note(piece.notes)
        wired = []
        for frame in piece.frames:
            if self.wired(frame):
                wired.append(frame)
            else:
                live.hear(frame)
        if wires and wired:
            live.feed(*wired)
        return bool(wired)
