# SPDX-License-Identifier: Apache-2.0
"""Kept runs listed and removed: `hoplab ls --runs`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hoplab.cli.main import main
from hoplab.errors import Exit


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a run, and what is none."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for folder in (tmp_path / "here" / "mine", tmp_path / "state" / "hoplab" / "runs" / "aside"):
        folder.mkdir(parents=True)
        (folder / "lab.json").write_text("{}")
        (folder / "capture.pcapng").write_bytes(b"x" * 1998)
    (tmp_path / "here" / "mine" / "trace.json").write_text('{"command": "ping -c 1 h2"}')
    (tmp_path / "here" / "other").mkdir()
    (tmp_path / "here" / "other" / "notes.txt").write_text("mine")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


def test_runs_are_listed_with_their_size(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ls", "--runs", "--json"]) == Exit.OK
    runs = {run["name"]: run for run in json.loads(capsys.readouterr().out)}
    assert set(runs) == {"mine", "aside"}
    assert (runs["aside"]["size"], runs["mine"]["of"]) == (2000, "ping -c 1 h2")
    assert main(["ls", "--runs"]) == Exit.OK
    assert "2.0 kB" in capsys.readouterr().out


def test_one_is_removed_and_what_is_not_ours_stays(kept: Path) -> None:
    mine = kept / "here" / "mine"
    (mine / "notes.txt").write_text("mine")
    assert main(["ls", "--runs", "--remove", "mine"]) == Exit.OK
    assert [path.name for path in mine.iterdir()] == ["notes.txt"]
    assert main(["ls", "--runs", "--remove", "aside"]) == Exit.OK
    assert not (kept / "state" / "hoplab" / "runs" / "aside").exists()
    assert main(["ls", "--runs", "--remove", "other"]) == Exit.NO_SUCH
    assert main(["ls", "--remove", "mine"]) == Exit.USAGE
    assert (kept / "here" / "other" / "notes.txt").exists()
