# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C while a lab is being broken, or mended: what is said afterwards is so."""

from __future__ import annotations

from typing import Any

import pytest

from hoplab.cli import main as command
from hoplab.client import labs
from hoplab.faults import breaking, kept
from hoplab.faults.kinds import Fault

FAULT = Fault("mtu", "the MTU of r1 is too small", (("r1", "a"),), (("r1", "b"),), "", "r1", "h1",
              ("true",))  # fmt: skip


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is done to a lab, in which the one who waits presses Ctrl-C."""
    done: list[str] = []

    def waits(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(labs, "find", lambda name: labs.Handle("lab"))
    monkeypatch.setattr(breaking, "look_at", lambda handle: None)
    monkeypatch.setattr(breaking, "choose", lambda *_: FAULT)
    monkeypatch.setattr(breaking, "put_in", lambda *_: done.append("put in"))
    monkeypatch.setattr(breaking, "take_out", lambda *_: done.append("taken out"))
    monkeypatch.setattr(breaking, "wait_until_felt", waits)
    monkeypatch.setattr(breaking, "wait_until_it_works", waits)
    monkeypatch.setattr(kept, "is_broken", lambda handle: False)
    monkeypatch.setattr(kept, "state_of", lambda handle: {})
    monkeypatch.setattr(kept, "keep", lambda *_: done.append("kept"))
    monkeypatch.setattr(kept, "kept", lambda handle: (FAULT, 1, {}))
    monkeypatch.setattr(kept, "forget", lambda handle: done.append("forgotten"))
    return done


def test_a_fault_that_nobody_waited_for_is_taken_out(done: list[str]) -> None:
    assert command.main(["break", "mtu"]) == 130
    assert done == ["kept", "put in", "taken out", "forgotten"]


def test_a_mend_that_nobody_waited_for_can_be_done_again(
    done: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["break", "--mend"]) == 130
    assert done == ["taken out"], "it is known still what was broken"
    complaint = capsys.readouterr().err
    assert "nothing was left behind" not in complaint
    assert "hoplab break --name lab --mend" in complaint
