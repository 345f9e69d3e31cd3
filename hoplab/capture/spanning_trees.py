# SPDX-License-Identifier: Apache-2.0
"""Spanning trees that switches run by themselves (STP, RSTP; IEEE 802.1D), as a capture keeps them:
the states of their ports when it began, and when it ended.

What lives here: which port was blocked when. What must not: what becomes of frames by that.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from hoplab.capture import notes
from hoplab.capture.pcapng_format import Note

_BRIDGES = bytes.fromhex("0180c2000000")  # the group address of a tree's own messages
_FORWARDING = "forwarding"


class SpanningTrees:
    """The states of ports by switch and interface, in each reading."""

    def __init__(self, kept: Iterable[Note] = ()) -> None:
        self._readings: dict[str, list[tuple[int, Mapping[str, str]]]] = {}
        self.note(kept)

    def note(self, kept: Iterable[Note]) -> None:
        """Take what switches told; what makes no sense is left out."""
        for note in kept:
            if note.topic != notes.SPANNING_TREE:
                continue
            try:
                states = json.loads(note.data)
            except ValueError:
                continue
            if isinstance(states, dict):
                self._readings.setdefault(note.source, []).append((note.t_ns, states))

    def runs_at(self, switch: str) -> bool:
        """Whether the switch runs a tree by itself."""
        return switch in self._readings

    def takes(self, switch: str, frame: bytes) -> bool:
        """Whether it is a message of the tree that a switch runs: no flow is asked about it."""
        return switch in self._readings and frame.startswith(_BRIDGES)

    def blocks(self, switch: str, interface: str, t_ns: int) -> bool:
        """Whether a port passed nothing on at that time, by the readings before and after."""
        readings = self._readings.get(switch, [])
        before = [states for at_ns, states in readings if at_ns <= t_ns][-1:]
        behind = [states for at_ns, states in readings if at_ns > t_ns][:1]
        around = [states.get(interface, _FORWARDING) for states in (*before, *behind)]
        return bool(around) and _FORWARDING not in around

    def always_blocked(self) -> set[tuple[str, str]]:
        """Switch and interface of the ports that were blocked in every reading."""
        return {
            (switch, interface)
            for switch, readings in self._readings.items()
            for interface in readings[0][1]
            if all(states.get(interface) != _FORWARDING for _, states in readings)
        }
