# SPDX-License-Identifier: Apache-2.0
"""Which frame a switch asked about: the newest of those alike, found in a storm of them, too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hoplab.replay.player import _SLACK_NS, _newest


@dataclass
class Came:
    t_ns: int


class Counted(list[Any]):
    """Counts how often one of its items is looked at."""

    looks = 0

    def __getitem__(self, place: Any) -> Any:
        self.looks += 1
        return super().__getitem__(place)

    def __reversed__(self) -> Iterator[Any]:
        for place in range(len(self) - 1, -1, -1):
            yield self[place]


def newest(arrivals: Any, t_ns: int) -> int | None:
    arrival = _newest(arrivals, t_ns)
    return None if arrival is None else arrival.t_ns


def test_the_newest_that_came_before() -> None:
    times = [_SLACK_NS * n for n in (10, 20, 20, 30)]
    arrivals = [Came(t_ns) for t_ns in times]
    assert newest(arrivals, times[0] - 2 * _SLACK_NS) is None
    assert newest(arrivals, times[0]) == times[0]
    assert newest(arrivals, times[3] - 2 * _SLACK_NS) == times[1]
    assert newest(arrivals, times[3] - _SLACK_NS) == times[3]  # clocks are that exact
    assert newest([], times[0]) is None


def test_a_storm_is_not_searched_from_its_end() -> None:
    arrivals = Counted(Came(n * 10 * _SLACK_NS) for n in range(50_000))
    assert newest(arrivals, 7 * 10 * _SLACK_NS) == 7 * 10 * _SLACK_NS
    assert arrivals.looks < 50
