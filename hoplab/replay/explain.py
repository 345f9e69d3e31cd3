# SPDX-License-Identifier: Apache-2.0
"""What switches did with the frames of a capture, by a shadow that is there for as long as it is
needed.

What lives here: what is asked when a capture has ended, or piece by piece, and what is said where
there is no shadow.
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
from hoplab.openvswitch.shadow import Unavailable
from hoplab.replay.asked_shadow import AskedShadow, ports_of
from hoplab.replay.player import Player, play
from hoplab.sentences import Sentence, say, term
from hoplab.story.conversation import ChannelMessage

MOST_ASKED = 50_000
_KEPT_NS = 6_000_000_000  # as long as an answer may take
_NEVER_NS = 1 << 62


def unasked(problem: str) -> Sentence:
    """What to say where the switches' own tables cannot be asked."""
    return say(
        "note: Open vSwitch could not be asked why switches did what they did ({reason}): what "
        "is told of it is what the OpenFlow channel shows, or makes likely",
        reason=problem,
    )


class Explainer(AskedShadow):
    """Asks a shadow of the switches. It starts in the background, so it is there by the time that
    a capture has ended."""

    def __init__(self, state: Mapping[str, Any] | None = None) -> None:
        """state: of the lab (lab.json) whose switches will be asked about: the shadow starts now,
        and not only when there is something to ask it."""
        super().__init__()
        if state is not None:
            self._start(ports_of(state))

    def note(self) -> Sentence | None:
        """What to say of it where nothing could be explained; None if there is nothing to say."""
        if not self.problem:
            return None
        return unasked(self.problem)

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
        shadow, passages = self._start(), list[Passage]()
        if shadow is None:
            return passages
        with self._asking():
            passages = play(wiring, ports, kept, frames, messages, shadow)
        with contextlib.suppress(OSError):
            self.close()
        return passages

    def begin(
        self, wiring: Wiring, ports: Sequence[int | None], kept: Sequence[Note]
    ) -> Pieces | None:
        """The same, of a capture that is read piece by piece."""
        if not any(note.topic == notes.TABLES for note in kept):
            self.problem = term("the capture does not have the switches' tables")
            return None
        shadow = self._start()
        if shadow is None:
            return None
        player = Player(wiring, ports, shadow)
        player.take(kept)
        return Pieces(self, player)


class Pieces:
    """A capture too large to hold, asked about piece by piece: about its first frames alone where
    it has more than can be asked about in a few seconds."""

    def __init__(self, explainer: Explainer, player: Player) -> None:
        self.settled_ns = 0
        self._explainer = explainer
        self._player: Player | None = player
        self._left = MOST_ASKED

    def take(
        self, frames: Sequence[Observation], messages: Sequence[ChannelMessage]
    ) -> None:
        """See `hoplab.runs.Pieces`."""
        if self._player is not None:
            self._player.take(frames=frames, messages=messages)

    def advance(self, until_ns: int | None) -> list[Passage]:
        """See `hoplab.runs.Pieces`."""
        player = self._player
        if player is None:
            return []
        passages: list[Passage] = []
        try:
            passages = player.advance(until_ns, most=self._left)
            self._left -= player.asked
            if self._left <= 0:
                passages += player.give_up()
                self._end(say("only about the first {n:,} frames that came to one", n=MOST_ASKED))
            elif until_ns is None:
                self._end("")
            else:
                self.settled_ns = player.settled_ns
                player.forget(player.settled_ns - _KEPT_NS)
        except (Unavailable, OSError) as error:
            self._end(str(error))
        return passages

    def _end(self, problem: str) -> None:
        self._explainer.problem = self._explainer.problem or problem
        self._player = None
        self.settled_ns = _NEVER_NS
        with contextlib.suppress(OSError):
            self._explainer.close()
