# SPDX-License-Identifier: Apache-2.0
"""A fault of ours in one part of a story: that part is missing and named, the rest is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hoplab import runs
from hoplab.report import as_json, terminal
from hoplab.story import tell
from hoplab.story.faults import Faults

RUN = Path(__file__).resolve().parents[1] / "data" / "runs" / "web-cold"
SWITCH = RUN.parent / "switch"


def broken(*_: Any, **__: Any) -> Any:
    raise IndexError("list index out of range")


def only_packet_5(real: Callable[..., Any]) -> Callable[..., Any]:
    def some(*arguments: Any, **named: Any) -> Any:
        if any(getattr(argument, "number", 0) == 5 for argument in arguments):
            broken()
        return real(*arguments, **named)

    return some


PARTS = {
    (tell.Places, "learn"): "whose address is whose",
    (tell, "connections"): "TCP connections",
    (tell, "find_causes"): "why packets came",
    (tell, "conversation"): "what switches asked their controller",
    (tell, "find_decisions"): "what switches asked their controller",
    (tell, "make_steps"): "the steps",
    (tell, "add_remarks"): "remarks",
    (tell, "add_changes"): "who was in charge of the switches",
    (tell, "find_outcome"): "how it ended",
    (tell, "_count"): "the numbers",
    (runs.Follower, "follow"): "where frames went",
    (terminal, "_header"): "the head of the story",
    (terminal, "_outcome"): "how it ended",
    (terminal, "summary_lines"): "the numbers",
    (terminal, "_mapping"): "the step DNS: from the name to the address",
    (as_json, "_outcome"): "how it ended in JSON",
    (as_json, "_step"): "the step arp in JSON",
    (as_json, "_summary"): "the numbers in JSON",
}


@pytest.mark.parametrize(
    ("where", "name", "part"),
    [(where, name, part) for (where, name), part in PARTS.items()],
    ids=[f"{getattr(where, '__name__', where)}.{name}" for where, name in PARTS],
)
def test_the_rest_of_the_story_is_told(
    where: Any, name: str, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = SWITCH if name == "add_changes" else RUN
    monkeypatch.setattr(where, name, broken)
    faults = Faults()
    story = runs.reopen(run, faults).story
    text = terminal.render(story, faults=faults)
    data = json.dumps(as_json.to_dict(story, faults))
    assert part in [fault.part for fault in faults.all]
    assert "IndexError: list index out of range, test_faults.py" in faults.lines()[0]
    assert "IndexError" in faults.all[0].trail and part in data
    if name != "follow":
        assert "DNS question" in text or "echo request" in text
    if where is not terminal:
        assert "In numbers" in text


@pytest.mark.parametrize(
    ("where", "name"), [(tell, "tell_way"), (terminal, "trip_lines"), (as_json, "trip_data")]
)
def test_one_packet_alone_is_missing(
    where: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(where, name, only_packet_5(getattr(where, name)))
    faults = Faults()
    story = runs.reopen(RUN, faults).story
    text = terminal.render(story, faults=faults)
    data = as_json.to_dict(story, faults)
    assert {fault.part for fault in faults.all} <= {"packet #5", "packet #5 in JSON"}
    for number in (4, 6):
        assert f" #{number} " in text
        assert number in [trip["number"] for trip in data["trips"]]


def test_very_many_faults_are_a_line() -> None:
    faults = Faults()
    for number in range(10_000):
        with faults.part(f"packet #{number}"):
            broken()
    assert len(", ".join(faults.lines())) < 500 and faults.lines()[-1] == "and 9,995 more"


def test_without_anybody_who_takes_it_a_fault_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tell, "find_causes", broken)
    with pytest.raises(IndexError):
        runs.reopen(RUN)
