# SPDX-License-Identifier: Apache-2.0
"""What toy networks have in common: time, what an interface hears, and switches that learn.

On top of it stand `playground.py`, whose hosts and routers behave as those of a lab so that stories
can be told, and `netmodel.py`, which loses frames, bends clocks, and knows the truth about each.
Time is virtual, so a run is the same whenever it is run. What must not live here: anything of the
follower, for it is judged by what happens here.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Hashable, Iterable
from itertools import count
from typing import Generic, TypeVar

from hoplab.capture.observation import Reception

Port = TypeVar("Port", bound=Hashable)  # whatever a network calls the end of a cable


class Toy(Generic[Port]):
    """now_ns: the moment of what happens now. tables: by switch, where it learned a card to be."""

    def __init__(self, now_ns: int) -> None:
        self.now_ns = now_ns
        self.tables: dict[str, dict[bytes, Port]] = {}
        self._events: list[tuple[int, int, Callable[[], None], Callable[[], bool]]] = []
        self._order = count()

    def plan(
        self, t_ns: int, action: Callable[[], None], still: Callable[[], bool] = lambda: True
    ) -> None:
        """Do something at a time, if it is still wanted by then."""
        heapq.heappush(self._events, (t_ns, next(self._order), action, still))

    def run(self, limit: int = 1_000_000) -> None:
        """Until nothing is planned, or `limit` things were done."""
        while self._events and limit:
            moment, _, action, still = heapq.heappop(self._events)
            if still():
                limit -= 1
                self.now_ns = moment
                action()

    @staticmethod
    def reception(frame: bytes, mac: bytes) -> Reception:
        """How the card with this MAC address takes a frame."""
        if frame[:6] == b"\xff" * 6:
            return Reception.BROADCAST
        if frame[0] & 1:
            return Reception.MULTICAST
        return Reception.HOST if frame[:6] == mac else Reception.OTHERHOST

    def copies(
        self, switch: str, port: Port, frame: bytes, ports: Iterable[Port], *, hub: bool
    ) -> list[Port]:
        """The ports by which a frame leaves a switch that it entered by `port`: one of a hub, all
        others; one that learns learns from it."""
        table = self.tables.setdefault(switch, {})
        if not hub:
            table[frame[6:12]] = port
            out = table.get(frame[:6])
            if out is not None:
                return [out] if out != port else []
        return [number for number in ports if number != port]
