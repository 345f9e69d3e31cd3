# SPDX-License-Identifier: Apache-2.0
"""Which folders of labs are swept away: those that whoever began them was killed too early to end.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hoplab.client import labs, up_down
from hoplab.service.spec import LOCK, SCRIPT


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    made = labs.labs_folder()
    made.mkdir(parents=True)
    return made


@pytest.mark.parametrize("held", [(), (LOCK,), (LOCK, SCRIPT), (LOCK, SCRIPT, "lab.json")])
def test_what_nobody_holds_goes(folder: Path, held: tuple[str, ...]) -> None:
    (folder / "mine").mkdir()
    for name in held:
        (folder / "mine" / name).touch()
    up_down.sweep()
    assert os.listdir(folder) == []


def test_what_somebody_holds_stays_and_so_do_logs_that_are_to_be_read(folder: Path) -> None:
    claimed = up_down.claim("held")
    (folder / "failed" / "logs").mkdir(parents=True)
    (folder / "failed" / LOCK).touch()
    up_down.sweep()
    assert sorted(os.listdir(folder)) == ["failed", "held"]
    claimed.give_up()
    assert os.listdir(folder) == ["failed"]
