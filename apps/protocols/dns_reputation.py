# SPDX-License-Identifier: Apache-2.0
"""How quickly each name server answers, and which ones are of no use.

The cast
    `Reputation`  puts those first that are worth asking first
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

LAME_S = 60.0  # a server that knows nothing of a zone is not asked for this long, if others are
MAX_SRTT_S = 10.0
MOST_SERVERS = 10_000  # remembered


class Reputation:
    """What is known about servers: how quickly they answer, and for which zones they are no use.

    The time is smoothed: 7 parts of what we thought, 3 parts of the new one. No answer counts as
    a time twice as long as thought. Servers that are passed over seem a little quicker each time,
    so that one that has recovered is asked again some day. An unknown server counts as quick.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._srtt: dict[str, float] = {}
        self._lame: dict[tuple[bytes, str], float] = {}

    def order(self, zone: bytes, pairs: list[tuple[bytes, str]]) -> list[tuple[bytes, str]]:
        """PAIRS (server, address), the one to ask first in front; the useless ones at the end."""
        now = self._clock()
        with self._lock:
            # sorted() keeps the order of those that are alike.
            return sorted(
                pairs,
                key=lambda pair: (
                    self._lame.get((zone, pair[1]), 0.0) > now,
                    self._srtt.get(pair[1], 0.0),
                ),
            )

    def answered(self, address: str, rtt_s: float, candidates: Sequence[str]) -> None:
        """ADDRESS has answered after RTT_S; CANDIDATES could have been asked instead."""
        with self._lock:
            self._room(self._srtt)
            before = self._srtt.get(address)
            self._srtt[address] = rtt_s if before is None else 0.7 * before + 0.3 * rtt_s
            for candidate in candidates:
                if candidate != address and candidate in self._srtt:
                    self._srtt[candidate] *= 0.98

    def silent(self, address: str, waited_s: float) -> None:
        """ADDRESS has not answered within WAITED_S."""
        with self._lock:
            self._room(self._srtt)
            before = self._srtt.get(address, 0.0)
            self._srtt[address] = min(MAX_SRTT_S, max(2 * before, waited_s, 0.5))

    def lame(self, zone: bytes, address: str) -> None:
        """ADDRESS is said to serve ZONE and does not."""
        with self._lock:
            self._room(self._lame)
            self._lame[zone, address] = self._clock() + LAME_S

    @staticmethod
    def _room(table: dict[str, float] | dict[tuple[bytes, str], float]) -> None:
        if len(table) >= MOST_SERVERS:
            table.clear()
