# SPDX-License-Identifier: Apache-2.0
"""Rule 1 of the follower: which OUT and which IN are one frame on one cable.

An IN belongs to the oldest OUT at the other end with identical bytes (Ethernet padding aside) that
no IN has taken yet. A cable delivers in order: an OUT is passed over if a frame that was sent
clearly later has arrived and an identical OUT is left to take.

Identical frames, of which one may have been lost. `n` of them sent and `n` arrived are matched in
one way only, so each pair is proved. As long as one more was sent than arrived, any of them may be
the missing one: all are in doubt (`Doubt.ENDS`). Frames further apart than an IN can be stamped
before its OUT have nothing to do with each other.
"""

from __future__ import annotations

from hoplab.follow.ages import MOST_ALIKE, Ages
from hoplab.follow.alike import doubt, forget, keep, past, prove
from hoplab.follow.model import Doubt, Hop

_ENDS = int(Doubt.ENDS)
_MADE = 16  # pairs that may turn out to be in doubt; a storm would make ever more of them


class _Alike:
    """Identical frames. waiting: sent and not arrived, in order. made: the pairs that are proved
    only once nothing waits any more."""

    __slots__ = ("made", "waiting")

    def __init__(self, first: Hop) -> None:
        self.made: list[Hop] = [] if first.received is None else [first]
        self.waiting: list[Hop] = [first] if first.received is None else []


class Cable:
    """One direction of a cable.

    flying: by bytes; a hop while it is alone of its kind. orphans: INs whose OUT may come yet.
    delivered: when the latest frame that arrived was sent.
    """

    __slots__ = ("_ages", "_flying", "_link_ns", "delivered", "lossy", "orphans")

    def __init__(self, ages: Ages) -> None:
        self._ages = ages
        self._link_ns = ages.link_ns
        self._flying: dict[bytes, Hop | _Alike] = {}
        self.orphans: dict[bytes, list[Hop]] = {}
        self.delivered = 0
        self.lossy = False

    def __len__(self) -> int:
        return len(self._flying) + len(self.orphans)

    def put(self, hop: Hop, data: bytes, t: int) -> None:
        """A frame was sent at time t (or, already arrived, must have been)."""
        flying = self._flying
        flown = flying.get(data)
        if flown is None:
            flying[data] = hop
            return
        if type(flown) is Hop:
            seen = flown.received or flown.sent
            assert seen is not None
            if seen.t_ns < t - self._reach(flown.received is not None):
                flying[data] = hop
                return
            flown = flying[data] = _Alike(flown)
        assert type(flown) is _Alike
        made, waiting = flown.made, flown.waiting
        if made and not waiting and made[-1].came_ns < t - self._reach(True):
            made.clear()
        if hop.received is not None:
            made.append(hop)
        elif keep(waiting, hop, MOST_ALIKE):
            made.clear()
        if waiting and made:
            doubt(made, _ENDS)
            doubt(waiting, _ENDS)

    def take(self, data: bytes, t: int) -> Hop | None:
        """The frame that arrived at time t; the caller fills in `received`."""
        hop = self._flying.get(data)
        if type(hop) is Hop:
            sent = hop.t_ns
            if hop.received is not None or t - sent > self._link_ns:
                return None
            if self.lossy and t - sent > self._ages.slack_ns:
                hop.doubt |= _ENDS
        else:
            hop = self._choose(hop, t) if type(hop) is _Alike else None
            if hop is None:
                return None
            sent = hop.t_ns
        if sent > self.delivered:
            self.delivered = sent
        return hop

    def _reach(self, arrived: bool) -> int:
        """How long after a frame arrived (or was sent) an identical one can be taken for it."""
        ages = self._ages
        return ages.slack_ns if arrived and not self.lossy else ages.link_ns + ages.slack_ns

    def _choose(self, alike: _Alike, t: int) -> Hop | None:
        waiting, made, slack = alike.waiting, alike.made, self._ages.slack_ns
        before = len(waiting)
        while waiting and waiting[0].t_ns < t - self._ages.link_ns:
            del waiting[0]
        lost = self.delivered - slack
        while len(waiting) > 1 and waiting[0].t_ns < lost and waiting[1].t_ns <= t + slack:
            del waiting[0]
        if len(waiting) < before:
            made.clear()  # one was lost, and it can be any of these: their doubt stays
        if not waiting:
            return None
        hop = waiting.pop(0)
        made.append(hop)
        if waiting or self.lossy:
            doubt(made, _ENDS)
            doubt(waiting, _ENDS)
        elif made[0].doubt or hop.doubt:
            prove(made, _ENDS)
        if len(made) > _MADE:
            del made[0]
        return hop

    def keep_orphan(self, hop: Hop, data: bytes) -> None:
        """Keeps a frame that arrived and was not seen to be sent: the clock of the port that
        sent it may be ahead, so that its sending is stamped later and comes yet."""
        flown = self._flying.get(data) if self.lossy else None
        if flown is not None:
            alike = flown.made + flown.waiting if isinstance(flown, _Alike) else [flown]
            doubt([*alike, hop], _ENDS)
        self.orphans.setdefault(data, []).append(hop)

    def orphan(self, data: bytes, t: int) -> Hop | None:
        """The hop that by its stamps arrived before it was sent, at time t; None for none."""
        alike = self.orphans.get(data)
        if alike is None:
            return None
        for place, hop in enumerate(alike):
            if -self._ages.slack_ns <= hop.t_ns - t <= self._ages.link_ns:
                del alike[place]
                if not alike:
                    del self.orphans[data]
                return hop
        return None

    def forget(self, now: int) -> None:
        """Drops frames that were sent so long ago that no arrival can belong to them."""
        ages = self._ages
        limit = now - ages.link_ns - ages.slack_ns
        flying = self._flying
        over = [
            data for data, flown in flying.items()
            if (
                flown.t_ns < limit if type(flown) is Hop
                else type(flown) is _Alike and past(limit, flown.waiting, flown.made)
            )
        ]  # fmt: skip
        for data in over:
            del flying[data]
        forget(self.orphans, now - 2 * ages.slack_ns)
