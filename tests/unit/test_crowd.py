# SPDX-License-Identifier: Apache-2.0
"""A live story of a storm: the first of each kind, and a line a second that counts the rest."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from hoplab import runs
from hoplab.cli import output, verbs_live
from hoplab.cli.verbs_live import ALIKE_MOST, COUNTED_S, STORM_OVER_S, Crowd
from hoplab.report.language import language
from hoplab.story.live import News
from hoplab.story.trip_records import Storm, Trip
from tests.unit.scenarios import on_its_way

RUN = Path(__file__).resolve().parents[1] / "data" / "runs" / "switch"


def packets() -> tuple[Trip, Trip]:
    """An ARP request, and one that goes round."""
    trips = runs.reopen(RUN).story.trips
    ask = next(trip for trip in trips if trip.kind == "arp-request")
    return ask, on_its_way(ask, storm=Storm("s1", 100, 1000.0, 600))


def test_of_what_goes_round_one_is_told_and_the_rest_counted() -> None:
    crowd, (_, storm) = Crowd(), packets()
    crowded = [crowd.takes(on_its_way(storm, number=n), 7, n / 100) for n in range(50)]
    assert crowded == [False] + [True] * 49
    assert crowd.take_out() == (49, 7 * 49, {"arp-request": 49})
    assert crowd.due(COUNTED_S) and not crowd.due(1.5 * COUNTED_S)
    assert crowd.takes(on_its_way(storm, number=51), 7, 2.0), "its kind has been told"
    assert crowd.take_out()[0] == 1 and crowd.take_out() == (0, 0, {})


def test_equal_packets_are_counted_from_some_number_on_each_second() -> None:
    crowd, (ask, _) = Crowd(), packets()
    crowded = [crowd.takes(on_its_way(ask, number=n), 1, 0.1) for n in range(ALIKE_MOST + 5)]
    assert crowded == [False] * ALIKE_MOST + [True] * 5
    assert not crowd.takes(on_its_way(ask, title="another"), 1, 0.1)
    crowd.due(COUNTED_S)
    assert not crowd.takes(on_its_way(ask, number=99), 1, 1.1)


def test_a_storm_that_is_over_hides_nothing() -> None:
    crowd, (ask, storm) = Crowd(), packets()
    crowd.takes(storm, 1, 0.0)
    assert crowd.takes(ask, 1, 1.0)
    crowd.due(STORM_OVER_S + 1)
    assert not crowd.takes(ask, 1, STORM_OVER_S + 1)


@pytest.mark.parametrize("as_json", [True, False])
def test_what_was_counted_is_told_and_is_in_the_sum(
    as_json: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(verbs_live.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(output, "_language", language("zh"))
    printer = verbs_live._Printer(argparse.Namespace(json=as_json))
    _, storm = packets()
    printer.news([])
    for number in range(1, 31):
        some = on_its_way(storm, number=number)
        printer.news([News(some, False, True, "", (), (), "")])
    assert printer._legs == 30 * storm.frames
    now[0] += COUNTED_S
    printer.news([])
    lines = capsys.readouterr().out.splitlines()
    if as_json:
        assert len(lines) == 2
        counted = {"event": "alike", "packets": 29, "frames": 29 * storm.frames}
        assert json.loads(lines[1]) == counted | {"kinds": {"arp-request": 29}}
    else:
        assert "29" in lines[-1] and "ARP 请求" in lines[-1] and len(lines) < 12
