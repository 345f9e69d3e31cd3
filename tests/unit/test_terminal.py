# SPDX-License-Identifier: Apache-2.0
"""What people read: golden pairs of text and JSON, and the rules of the layout.

`HOPLAB_UPDATE_GOLDEN=1 pytest tests/unit/test_terminal.py` writes tests/golden anew; read what
changed before you keep it.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from hoplab import runs
from hoplab.follow.follow import follow
from hoplab.report.as_json import FORMAT, to_dict
from hoplab.report.terminal import render
from hoplab.story.summary_records import Health
from hoplab.story.tell import tell
from hoplab.story.trip_records import UNRELATED
from tests.unit import frames
from tests.unit.playground import CABLE, Playground, wire_up
from tests.unit.scenarios import (
    SCENARIOS,
    close_merged,
    hub_cold,
    on_its_way,
    switch_cold,
    switch_warm,
)

GOLDEN = Path(__file__).parent.parent / "golden"
UPDATE = os.environ.get("HOPLAB_UPDATE_GOLDEN") == "1"


def _same(path: Path, text: str) -> None:
    if UPDATE:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert path.exists(), f"{path.name} is missing: HOPLAB_UPDATE_GOLDEN=1 writes it"
    assert text == path.read_text(encoding="utf-8")


def plain(data: Any) -> Any:
    """Without the parts of sentences, of which test_sentence_parts.py says that they make the
    text."""
    if isinstance(data, list):
        return [plain(item) for item in data]
    if not isinstance(data, dict):
        return data
    return {key: plain(value) for key, value in data.items() if not key.endswith("_parts")}


@pytest.mark.parametrize("name", SCENARIOS)
def test_golden_text(name: str) -> None:
    _same(GOLDEN / f"{name}.txt", render(SCENARIOS[name]()))


@pytest.mark.parametrize("name", SCENARIOS)
def test_golden_json(name: str) -> None:
    data = json.dumps(plain(to_dict(SCENARIOS[name]())), indent=1, ensure_ascii=False)
    _same(GOLDEN / f"{name}.json", data + "\n")


@pytest.mark.parametrize(
    ("name", "width", "detail", "ascii_only"),
    [("web_switch_cold", 80, "normal", True), ("web_hub_cold", 120, "full", False)],
)
def test_golden_variants(name: str, width: int, detail: str, ascii_only: bool) -> None:
    text = render(SCENARIOS[name](), width=width, detail=detail, ascii=ascii_only)
    suffix = f"{width}.{detail}{'.ascii' if ascii_only else ''}"
    _same(GOLDEN / f"{name}.{suffix}.txt", text)


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("width", [80, 100, 120])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_no_line_is_wider_than_asked(name: str, width: int, ascii_only: bool) -> None:
    for detail in ("brief", "normal", "full"):
        text = render(SCENARIOS[name](), width=width, detail=detail, ascii=ascii_only)
        wide = [line for line in text.splitlines() if len(line) > width]
        assert not wide, wide[:3]
        assert not any(line != line.rstrip() for line in text.splitlines())


def test_ascii_holds_no_other_character() -> None:
    assert render(hub_cold(), ascii=True).isascii()


def test_colour_changes_no_word() -> None:
    story = switch_cold()
    plain, painted = render(story), render(story, color=True)
    assert "\x1b[" in painted and "\x1b[" not in plain
    assert [line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", painted).splitlines()] == (
        plain.splitlines()
    )


def test_brief_is_shorter_and_full_is_longer() -> None:
    story = switch_cold()
    brief, normal, full = (
        len(render(story, detail=d).splitlines()) for d in ("brief", "normal", "full")
    )
    assert brief < normal < full
    with pytest.raises(ValueError, match="detail"):
        render(story, detail="chatty")


def test_runs_of_data_are_folded_but_counted() -> None:
    story = close_merged()
    normal, full = render(story), render(story, detail="full")
    assert "TCP data segments with" in normal and "TCP data segments with" not in full
    assert all(f"#{trip.number} " in full for trip in story.trips)


def test_full_names_the_frames_of_the_capture() -> None:
    story = switch_warm()
    leg = story.trips[0].legs[0]
    text = render(story, detail="full")
    assert f"frame {leg.sent} sent, {leg.received} received" in text


def test_capture_faults_are_said() -> None:
    net = Playground(wire_up(CABLE, "", "cable"))
    net.ip("192.168.1.1", "192.168.1.2", 1, frames.echo(True, 9, 1))
    journeys = follow(net.wiring, net.observations())
    text = render(tell(net.wiring, journeys, health=Health(orphans=2, dropped=3)))
    assert "3 frames missed by the capture" in text and "2 frames that fit no known way" in text
    assert "Capture: complete" in render(tell(net.wiring, journeys))


def test_json_points_into_the_capture() -> None:
    story = switch_cold()
    data = to_dict(story)
    assert data["format"] == FORMAT == 2
    assert json.loads(json.dumps(data)) == data
    trip = data["trips"][0]
    assert trip["legs"][0]["sent"] == 1 and trip["legs"][0]["received"] == 2
    assert trip["legs"][0]["tail_interface"] == "client-eth0"
    assert trip["legs"][1]["parent"] == 0
    assert data["summary"]["links"][0]["a"] == "client"


def test_a_row_of_storms_is_folded() -> None:
    """As when a host answers each copy of a question that goes round."""
    story = runs.reopen(GOLDEN.parent / "data" / "runs" / "loop-storm").story
    (trip,) = story.trips
    story.trips = [
        on_its_way(trip, number=number)._replace(relation=UNRELATED)
        for number in range(1, 11)
    ]
    story.steps[0].trips = [trip.number for trip in story.trips]
    for detail in ("normal", "full"):
        text = render(story, detail=detail)
        assert "… #2 to #10: 9 ARP requests, 2,250 frames" in text
        assert text.count("a storm of 250 frames") == 1
