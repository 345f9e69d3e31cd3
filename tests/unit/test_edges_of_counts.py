# SPDX-License-Identifier: Apache-2.0
"""Counts of what was dropped hold for the moments at which a capture begins and ends: frames count
between these, so what was dropped before or after them would be dropped without a frame."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from hoplab.capture.capture import Capture
from hoplab.kernel import cable_queues
from hoplab.kernel.netlink import Qdisc
from hoplab.service import captures

ROOT_NS = 1000


class Clock:
    """Time passes by what is done in it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, dropped_ns: list[int]) -> None:
        self.now_ns = ROOT_NS
        self._dropped_ns = dropped_ns
        monkeypatch.setattr(time, "time_ns", lambda: self.now_ns)

    def by(self, t_ns: int) -> int:
        """What had been dropped by then."""
        return sum(dropped_ns <= t_ns for dropped_ns in self._dropped_ns)

    def read(self) -> int:
        """The same for now; reading takes 10."""
        self.now_ns += 10
        return self.by(self.now_ns)


@pytest.mark.parametrize("dropped_ns", [[], [900], [1005], [900, 1005], [900, 1005, 1012, 1027]])
def test_what_is_dropped_while_a_capture_ends_counts_up_to_its_end(
    monkeypatch: pytest.MonkeyPatch, dropped_ns: list[int]
) -> None:
    clock = Clock(monkeypatch, dropped_ns)
    ending: Any = SimpleNamespace(
        queue_drops=lambda: {"s1-eth1": 0}, cable_drops=lambda: {"s1-eth2": clock.read()}
    )
    stopped_ns, counts = Capture._count(ending)
    assert counts["cable_drops"] == {"s1-eth2": clock.by(stopped_ns)}
    assert counts["queue_drops"] == {"s1-eth1": 0}


def test_a_count_that_never_rests_ends_a_capture_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch, list(range(0, 100_000, 5)))
    ending: Any = SimpleNamespace(
        queue_drops=None, cable_drops=lambda: {"s1-eth2": clock.read()}
    )
    stopped_ns, counts = Capture._count(ending)
    assert 0 <= counts["cable_drops"]["s1-eth2"] - clock.by(stopped_ns) <= 2


@pytest.mark.parametrize("dropped_ns", [[], [900], [1005], [1005, 1015], [1005, 1015, 1022, 1035]])
def test_what_is_dropped_while_a_capture_begins_counts_from_its_beginning(
    monkeypatch: pytest.MonkeyPatch, dropped_ns: list[int]
) -> None:
    clock = Clock(monkeypatch, dropped_ns)

    def queues(_index: int = 0) -> list[Qdisc]:
        return [Qdisc(1, "tbf", 0x50000, 0xFFFFFFFF, clock.read())]

    place = Place(SimpleNamespace(route=SimpleNamespace(qdiscs=queues)))
    monkeypatch.setattr(cable_queues, "QdiscNews", lambda: SimpleNamespace(gone=list))
    monkeypatch.setattr(
        captures,
        "QueueDrops",
        lambda _: SimpleNamespace(look=lambda: True, counted=dict),
    )
    lab: Any = SimpleNamespace(
        cables=SimpleNamespace(queues=lambda: [(place, 1, "s1-eth2")], unread=dict),
        network=SimpleNamespace(
            batch=SimpleNamespace(root=place), wiring=lambda: {"interfaces": []}
        ),
        switchd=SimpleNamespace(vswitchds=list),
    )
    capture: Any = SimpleNamespace(last_words=[])
    since_ns = captures._count_drops(lab, capture)
    dropped = capture.cable_drops()["s1-eth2"]
    assert dropped == clock.by(clock.now_ns) - clock.by(since_ns)


class Place:
    """As much of a place as is asked for."""

    def __init__(self, namespace: Any) -> None:
        self.namespace = namespace
