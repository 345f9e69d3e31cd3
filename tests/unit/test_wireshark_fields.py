# SPDX-License-Identifier: Apache-2.0
"""The plugin for Wireshark: tshark's own reading of a kept run's comments, beside the story."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from hoplab import runs
from hoplab.capture import pcapng_writer
from hoplab.capture.observation import Observation, Reception
from hoplab.capture.pcapng_format import Capture, InterfaceInfo
from hoplab.client import recording
from hoplab.report.language import language, languages
from hoplab.wireshark import dissector

RUNS = Path(__file__).parent.parent / "data" / "runs"
FIELDS = ("packet", "hop", "hops", "from_port", "to_port", "fate", "asked", "story")


def fields(folder: Path, capture: Path) -> dict[int, list[str]]:
    """By frame number what tshark shows in the plugin's fields."""
    if shutil.which("tshark") is None:
        pytest.skip("tshark is not installed")
    plugin = folder / "hoplab.lua"
    plugin.write_text(dissector.lua(map(language, languages())), encoding="utf-8")
    shown = [word for name in FIELDS for word in ("-e", f"hoplab.{name}")]
    environment = {"HOME": str(folder), "LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"]}
    command = ["tshark", "-X", f"lua_script:{plugin}", "-r", str(capture)]
    done = subprocess.run(
        [*command, "-T", "fields", "-e", "frame.number", *shown],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    assert "Lua" not in done.stderr, done.stderr
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    return {int(row[0]): row[1:] for row in rows}


@pytest.mark.parametrize("code, name", [("en", "web-cold"), ("zh", "reply-lost")])
def test_the_fields_are_those_of_the_story(tmp_path: Path, code: str, name: str) -> None:
    story = runs.reopen(RUNS / name).story
    capture = tmp_path / runs.CAPTURE
    shutil.copy(RUNS / name / runs.CAPTURE, capture)
    recording.annotate(tmp_path, story, language(code))
    shown = fields(tmp_path, capture)
    expected: dict[int, list[str]] = {}
    for trip in story.trips:
        ignoring = {copy.leg for copy in trip.ignored}
        depth: list[int] = []
        for leg in trip.legs:
            depth.append(1 if leg.parent is None else depth[leg.parent] + 1)
        for leg in trip.legs:
            row = [str(trip.number), str(depth[leg.index]), str(max(depth))]
            row += [leg.tail_interface, leg.head_interface]
            fate = "lost" if leg.lost else "cut" if leg.cut else ""
            if leg.sent:
                expected[leg.sent] = [*row, fate, ""]
            if leg.received:
                expected[leg.received] = [*row, "ignored" if leg.index in ignoring else "", ""]
        for decision in trip.decisions:
            for frame, asked in ((decision.packet_in, "question"), (decision.packet_out, "answer")):
                if frame:
                    expected[frame] = [str(trip.number), "", "", "", "", "", asked]
    assert {frame: row[:-1] for frame, row in shown.items() if row[0]} == expected
    fates = {row[5] for row in shown.values()}
    assert ("ignored" if name == "web-cold" else "lost") in fates
    if code == "en":
        for trip in story.trips:
            (told,) = {shown[leg.sent][-1] for leg in trip.legs if leg.sent}
            assert told == trip.title


def test_a_title_that_looks_like_a_place_is_a_title(tmp_path: Path) -> None:
    """What comes from the wire may hold the very words of the template."""
    title = "HTTP GET /x, hop 9 of 9: a-eth0 to b-eth0, lost there"
    comment = recording.frame_comment(7, title, recording.place(1, 2), "h1-eth0", "s1-eth1")
    frames = [Observation(n, 10**18, 0, Reception.OUTGOING, bytes(60), 60) for n in (1, 2)]
    capture = tmp_path / "x.pcapng"
    with capture.open("wb") as file:
        pcapng_writer.write_all(
            file, Capture(interfaces=[InterfaceInfo("h1-eth0")], observations=frames),
            {1: str(comment), 2: "#8 somebody's own words, hop by hop"},
        )  # fmt: skip
    shown = fields(tmp_path, capture)
    assert shown[1] == ["7", "1", "2", "h1-eth0", "s1-eth1", "", "", title]
    assert shown[2] == [""] * len(FIELDS)  # a comment of somebody else's is left alone
