# SPDX-License-Identifier: Apache-2.0
"""What switches do with frames, asked in a shadow while the frames come.

What lives here: how long the asking may take, and what is done where there is no shadow. What must
not: pipes, what is told.

Most frames are like one that was asked about a moment ago (`answers.py`) and cost no question. A
shadow that cannot keep up with the others lets some go: from then on its own state may be another
one than that of the switch (it learns from frames), so what does not fit is let go as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hoplab.capture.observation import Observation
from hoplab.capture.pcapng_format import Note
from hoplab.follow.passages import METER, Passage
from hoplab.follow.wiring import Wiring
from hoplab.replay.asked_shadow import AskedShadow, ports_of
from hoplab.replay.player import Player
from hoplab.story.conversation import ChannelMessage

ASK_S = 0.05  # of each look, which are a tenth of a second apart
LAST_S = 1.0  # for what is left at the end
_NEVER_NS = 1 << 62


class LiveTables(AskedShadow):
    """A `hoplab.story.live.Tables`. It begins to start its shadow at once."""

    def __init__(
        self, wiring: Wiring, ports: Sequence[int | None], state: Mapping[str, Any]
    ) -> None:
        """ports: for each port of the capture that of the wiring; it may grow. state: of the lab
        (lab.json)."""
        super().__init__()
        self.settled_ns = 0
        self.skipped: set[int] = set()
        self._player: Player | None = None
        self._forgot_ns = 0
        self._behind = False
        shadow = self._start(ports_of(state))
        if shadow is not None:
            self._player = Player(wiring, ports, shadow)
        else:
            self._give_up()

    def wait(self) -> None:
        """Until the shadow is there: what comes meanwhile would have to wait for it."""
        if self._shadow is not None:
            self._shadow.wait()

    def _give_up(self) -> None:
        self.settled_ns = _NEVER_NS
        self._player = None

    def take(
        self,
        kept: Iterable[Note] = (),
        frames: Iterable[Observation] = (),
        messages: Sequence[ChannelMessage] = (),
    ) -> None:
        """See `Tables`."""
        if self._player is not None:
            self._player.take(kept, frames, messages)

    def advance(self, until_ns: int | None) -> list[Passage]:
        """See `Tables`."""
        player = self._player
        if player is None:
            return []
        passages: list[Passage] = []
        with self._asking():
            passages = player.advance(until_ns, ASK_S if until_ns is not None else LAST_S)
            if until_ns is None and player.settled_ns < _NEVER_NS:
                passages += player.give_up()  # there was no time for these
        if self.problem:
            self._give_up()
            return []
        self.settled_ns = player.settled_ns
        self.skipped |= player.skipped
        self._behind = self._behind or bool(player.skipped)
        player.skipped.clear()
        if not self._behind:
            return passages
        misfits = [
            passage for passage in passages if not passage.fits and passage.reason != METER
        ]
        self.skipped |= {passage.number for passage in misfits if not passage.packet_out}
        return [passage for passage in passages if passage not in misfits]

    def flow_mods(self, switch: str) -> dict[tuple[int, int, str], int]:
        """The flows that its controller put into a switch, by table, priority and match, each with
        the number of the frame that has the flow-mod, as far as they are known."""
        player = self._player
        history = player.histories.by_switch.get(switch) if player is not None else None
        found: dict[tuple[int, int, str], int] = {}
        for change in history.changes if history is not None else ():
            flow = change.flow
            if flow is not None and change.flow_mod:
                match = str(flow.match) if flow.match.fields else ""
                found[flow.table, flow.priority, match] = change.flow_mod
        return found

    def skip(self, until_ns: int) -> None:
        """Nothing is asked about frames until then: there is no time for them."""
        if self._player is not None:
            self._player.skip(until_ns)
            self._player.skipped.clear()
            self.settled_ns = self._player.settled_ns
            self._behind = True

    def forget(self, before_ns: int) -> None:
        """See `Tables`."""
        if self._player is not None and before_ns - self._forgot_ns > 1_000_000_000:
            self._forgot_ns = before_ns
            self._player.forget(before_ns)
