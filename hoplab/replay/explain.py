# SPDX-License-Identifier: Apache-2.0
"""What switches did with the frames of a capture, by a shadow that is there for as long as it is
needed.

What lives here: when the shadow starts and ends, and what is said where there is none.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from hoplab.capture import notes
from hoplab.capture.observation import Observation
from hoplab.capture.pcapng_format import Note
from hoplab.follow.passages import Passage
from hoplab.follow.wiring import Wiring
from hoplab.openvswitch.shadow import Shadow, Unavailable
from hoplab.replay.player import play
from hoplab.sentences import Sentence, say, term
from hoplab.story.conversation import ChannelMessage


def ports_of(state: Mapping[str, Any]) -> dict[str, list[int]]:
    """The ports of each switch, as lab.json has them."""
    ports: dict[str, list[int]] = {}
    names = {node["name"] for node in state["nodes"] if node.get("dpid")}
    for interface in state["interfaces"]:
        if interface["node"] in names and isinstance(interface.get("port"), int):
            ports.setdefault(interface["node"], []).append(interface["port"])
    return ports


def unasked(problem: str) -> Sentence:
    """What to say where the switches' own tables cannot be asked."""
    return say(
        "note: Open vSwitch could not be asked why switches did what they did ({reason}): what "
        "is told of it is what the OpenFlow channel shows, or makes likely",
        reason=problem,
    )


class Explainer:
    """Asks a shadow of the switches. It starts in the background, so it is there by the time that
    a capture has ended; whoever makes one closes it. problem: why nothing was explained, or ""."""

    def __init__(self, state: Mapping[str, Any] | None = None) -> None:
        """state: of the lab (lab.json) whose switches will be asked about: the shadow starts now,
        and not only when there is something to ask it."""
        self.problem = ""
        self._shadow: Shadow | None = None
        if state is not None:
            self._start(ports_of(state))

    def __enter__(self) -> Explainer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the shadow."""
        if self._shadow is not None:
            self._shadow.close()
            self._shadow = None

    def note(self) -> Sentence | None:
        """What to say of it where nothing could be explained; None if there is nothing to say."""
        if not self.problem:
            return None
        return unasked(self.problem)

    def _start(self, switches: Mapping[str, Sequence[int]] | None = None) -> None:
        if self._shadow is None and not self.problem:
            try:
                self._shadow = Shadow(switches)
            except Unavailable as error:
                self.problem = str(error)

    def __call__(
        self,
        wiring: Wiring,
        ports: Sequence[int | None],
        kept: Sequence[Note],
        frames: Sequence[Observation],
        messages: Sequence[ChannelMessage],
    ) -> list[Passage]:
        """What each switch did with each frame, in order of time; nothing where it cannot be known.
        ports: for each port of the capture that of the wiring."""
        if not any(note.topic == notes.TABLES for note in kept):
            self.problem = term("the capture does not have the switches' tables")
            return []
        self._start()
        if self._shadow is None:
            return []
        try:
            return play(wiring, ports, kept, frames, messages, self._shadow)
        except (Unavailable, OSError) as error:
            self.problem = str(error)
            return []
        finally:
            with contextlib.suppress(OSError):
                self.close()
