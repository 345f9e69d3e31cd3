# SPDX-License-Identifier: Apache-2.0
"""hoplab.client.recording: what stands beside a capture, whatever happens while it runs."""

from __future__ import annotations

import errno
import shutil
import socket
from pathlib import Path
from typing import Any, cast

import pytest

from hoplab.client import labs, recording
from hoplab.errors import Exit, LabError


class Lab:
    """The outside of a lab that says yes to everything."""

    def __init__(self, folder: Path) -> None:
        self.name = "lab"
        self.folder = folder
        (folder / recording.STATE).write_text("{}")

    def connect(self) -> socket.socket:
        ours, self.theirs = socket.socketpair()
        return ours


def test_a_disk_that_fills_up_leaves_a_run_that_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lab").mkdir()
    (tmp_path / "run").mkdir()
    yes = {"ok": {"quiet": True, "frames": 1, "dropped": 0}}
    monkeypatch.setattr(labs, "send", lambda *_: None)
    monkeypatch.setattr(labs, "receive", lambda *_: yes)
    copy = shutil.copyfile

    def full(source: Path, target: Path) -> None:
        Path(target).write_text("{")  # as much as there was room for
        raise OSError(errno.ENOSPC, "No space left on device")

    def fill_the_disk(*_: Any, **__: Any) -> tuple[int, str]:
        monkeypatch.setattr(shutil, "copyfile", full)
        return 0, ""

    monkeypatch.setattr(recording, "run_on", fill_the_disk)
    lab = cast(labs.Handle, Lab(tmp_path / "lab"))
    with pytest.raises(LabError) as raised:
        recording.record(lab, "h1", ["true"], tmp_path / "run")
    monkeypatch.setattr(shutil, "copyfile", copy)
    assert raised.value.code == Exit.NO_SPACE
    assert (tmp_path / "run" / recording.STATE).read_text() == "{}"
    assert not list((tmp_path / "run").glob("*.new"))
