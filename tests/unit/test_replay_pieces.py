# SPDX-License-Identifier: Apache-2.0
"""Captures too large to hold, whose switches' tables are asked piece by piece."""

from __future__ import annotations

from pathlib import Path

import pytest

from hoplab import runs
from hoplab.capture import pcapng_reader
from hoplab.openvswitch.shadow import missing
from hoplab.replay import explain as explaining
from hoplab.replay.explain import Explainer

KEPT = Path(__file__).parent.parent / "data" / "replay"

pytestmark = pytest.mark.skipif(bool(missing()), reason="Open vSwitch is not installed")


def told(name: str) -> tuple[runs.Run, Explainer]:
    with Explainer() as explain:
        return runs.reopen(KEPT / name, explain=explain), explain


@pytest.mark.parametrize("name", ["balancer", "learning_switch", "meter", "mirror"])
def test_the_same_as_of_a_small_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, _ = told(name)
    monkeypatch.setattr(runs, "HELD_MOST", 0)
    monkeypatch.setattr(pcapng_reader, "_PIECE", 1500)
    parted, explain = told(name)
    assert not explain.problem
    assert len(parted.story.trips) == len(whole.story.trips)
    for trip, each in zip(whole.story.trips, parted.story.trips, strict=True):
        assert (each.path, len(each.legs), each.cause) == (trip.path, len(trip.legs), trip.cause)
        assert [made.sentence for made in each.decisions] == [
            made.sentence for made in trip.decisions
        ]
    assert parted.story.outcome == whole.story.outcome


def test_more_than_can_be_asked_about_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "HELD_MOST", 0)
    monkeypatch.setattr(explaining, "MOST_ASKED", 5)
    parted, explain = told("learning_switch")
    assert 0 < sum(not passage.packet_out for passage in parted.passages) <= 5
    assert "first 5 frames" in explain.problem
    whole, _ = told("learning_switch")
    assert len(parted.story.trips) == len(whole.story.trips)
