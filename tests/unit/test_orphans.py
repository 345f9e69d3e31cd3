# SPDX-License-Identifier: Apache-2.0
"""Frames that have no place in the lab are counted and said, wherever a run is told."""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from hoplab import runs
from hoplab.capture import pcapng_reader, pcapng_writer
from hoplab.capture.observation import Observation
from hoplab.capture.pcapng_format import Capture, InterfaceInfo
from hoplab.cli import verbs_live
from hoplab.follow.wiring import Wiring
from hoplab.report.as_json import to_dict
from hoplab.report.language import language
from hoplab.report.markdown import markdown
from hoplab.report.page import page
from hoplab.report.terminal import render
from hoplab.story.live import Live

RUNS = Path(__file__).parent.parent / "data" / "runs"
COMPLETE = "Capture: complete, every frame found its place."


def again(tmp_path: Path, name: str, change: Callable[[Capture], Capture]) -> runs.Run:
    """A recorded run whose capture was changed."""
    shutil.copyfile(RUNS / name / runs.STATE, tmp_path / runs.STATE)
    with open(tmp_path / runs.CAPTURE, "wb") as file:
        pcapng_writer.write_all(file, change(pcapng_reader.read(RUNS / name / runs.CAPTURE)))
    return runs.reopen(tmp_path)


def foreign(capture: Capture, count: int = 5) -> Capture:
    """`count` frames more, on an interface that the lab does not know."""
    frames = list(capture.observations)
    port = len(capture.interfaces)
    more = [dataclasses.replace(seen, port=port) for seen in frames[:count]]
    renumbered = [
        dataclasses.replace(seen, number=number)
        for number, seen in enumerate(sorted(frames + more, key=lambda seen: seen.t_ns), 1)
    ]
    interfaces = [*capture.interfaces, InterfaceInfo("eve-eth0")]
    return dataclasses.replace(
        capture, interfaces=interfaces, observations=renumbered, comments={}
    )


def runts(capture: Capture) -> Capture:
    """Two frames too short to have an Ethernet header, on an interface of the lab."""
    first = capture.observations[0]
    short = [Observation(0, first.t_ns, first.port, first.reception, b"abc", 3)] * 2
    frames = [
        dataclasses.replace(seen, number=number)
        for number, seen in enumerate([*short, *capture.observations], 1)
    ]
    return dataclasses.replace(capture, observations=frames, comments={})


@pytest.mark.parametrize("name", ["switch", "cable-one-subnet"])  # with a controller and without
@pytest.mark.parametrize(("change", "count"), [(foreign, 5), (runts, 2)])
def test_a_frame_without_a_place_is_told(
    name: str, change: Callable[[Capture], Capture], count: int, tmp_path: Path
) -> None:
    run = again(tmp_path, name, change)
    assert run.story.summary.health.orphans == count
    assert to_dict(run.story)["summary"]["capture"]["orphans"] == count
    sentence = f"{count} frames that fit no known way; the numbers may be too low."
    for text in (render(run.story), markdown([run], language("en")), page([run], language("en"))):
        assert sentence in " ".join(text.split()) and COMPLETE not in text
    assert f"{count} 个帧与已知的路径都不符" in render(run.story, tr=language("zh"))
    whole = runs.reopen(RUNS / name).story
    assert [trip.title for trip in run.story.trips] == [trip.title for trip in whole.trips]


def test_the_channel_of_the_controller_is_no_orphan() -> None:
    capture = pcapng_reader.read(RUNS / "switch" / runs.CAPTURE)
    assert "openflow" in [interface.name for interface in capture.interfaces]
    story = runs.reopen(RUNS / "switch").story
    assert story.summary.health.orphans == 0 and COMPLETE in render(story)


def test_a_file_whose_rest_cannot_be_read_is_not_complete(tmp_path: Path) -> None:
    """As a disk that was full leaves it: it ends in the middle of a frame."""
    shutil.copyfile(RUNS / "switch" / runs.STATE, tmp_path / runs.STATE)
    data = (RUNS / "switch" / runs.CAPTURE).read_bytes()
    (tmp_path / runs.CAPTURE).write_bytes(data[: len(data) * 2 // 3])
    story = runs.reopen(tmp_path).story
    assert story.summary.health.cut
    text = render(story)
    assert "the rest of the file cannot be read" in text and COMPLETE not in text
    assert "文件的其余部分无法读取" in render(story, tr=language("zh"))


@pytest.mark.parametrize("as_json", [False, True])
def test_a_live_story_says_it_at_its_end(
    as_json: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    capture = foreign(pcapng_reader.read(RUNS / "cable-one-subnet" / runs.CAPTURE))
    wiring = Wiring.load(RUNS / "cable-one-subnet" / runs.STATE)
    live = Live(wiring, wiring.port_map(capture.interfaces))
    for observation in capture.observations:
        live.feed(observation)
    live.finish()
    printer = verbs_live._Printer(argparse.Namespace(json=as_json))
    printer.end(live, {"dropped": 0}, 0, 0, "")
    out = capsys.readouterr().out
    if as_json:
        assert json.loads(out)["orphans"] == 5
    else:
        assert "5 frames that fit no known way" in out
