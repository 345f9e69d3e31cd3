# SPDX-License-Identifier: Apache-2.0
"""`hoplab report`: a fault of ours in one part leaves the rest, and is said."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from hoplab.cli.main import main
from hoplab.report import markdown, page
from hoplab.story import tell
from hoplab.web import player

RUN = Path(__file__).resolve().parents[1] / "data" / "runs" / "switch"
# What breaks, in which form, and what the line on stderr names.
PARTS = [
    (page, "_figure", "--print", "Topology"),
    (page, "_verdict", "--print", "how it ended"),
    (page, "step_section", "--print", "the step ARP"),
    (page, "_numbers", "--print", "the numbers"),
    (page, "arrange", "--print", "h1: ping"),
    (player, "overlay", "", "the page that plays the run"),
    (tell, "find_outcome", "", "how it ended"),
    (markdown, "_topology", "--md", "Topology"),
    (markdown, "_step", "--md", "the step ARP"),
    (markdown, "_numbers", "--md", "the numbers"),
]


def broken(*_: Any, **__: Any) -> Any:
    raise IndexError("list index out of range")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return Path(shutil.copytree(RUN, tmp_path / "run"))


@pytest.mark.parametrize(("module", "name", "form", "part"), PARTS)
def test_the_rest_is_reported_and_what_is_missing_is_said(
    module: Any,
    name: str,
    form: str,
    part: str,
    run: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(module, name, broken)
    options = [form] if form else []
    assert main(["report", str(run), *options, "-o", str(run / "out"), "--lang", "en"]) == 0
    printed = capsys.readouterr()
    begin = "hoplab: not told, by a fault of hoplab: "
    (line,) = (line for line in printed.err.splitlines() if line.startswith(begin))
    assert part in line
    assert "IndexError: list index out of range" in line and str(run) in line
    text = (run / "out").read_text(encoding="utf-8")
    if name != "arrange":
        assert "ARP" in text and "In numbers" in text and "echo request" in text
    if module is not player and module is not tell:
        assert "Not told, by a fault of hoplab: " in text


def test_a_whole_report_says_nothing(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(run), "--md", "-o", "-", "--lang", "en"]) == 0
    printed = capsys.readouterr()
    assert "fault of hoplab" not in printed.err + printed.out
