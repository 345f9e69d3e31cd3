# SPDX-License-Identifier: Apache-2.0
"""The first hour of the README, typed from top to bottom by a new user: every line works, and
nothing is up at the end."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import need

PROJECT = Path(__file__).resolve().parents[2]
READMES = {"README.md": "## A first hour", "README.zh.md": "## 第一个小时"}
UNTIL_CTRL_C = "hoplab open"
MEANT_TO_FAIL = ("http://closed.itheima.com/", "ping -c 1 192.168.2.2")


def first_hour(name: str) -> list[str]:
    """The commands of that section, without the comments behind them."""
    page = (PROJECT / name).read_text(encoding="utf-8")
    section = page.partition(READMES[name] + "\n")[2].partition("\n## ")[0]
    typed = [line.strip() for line in section.splitlines() if line.startswith("    ")]
    return [line.partition(" # ")[0].rstrip() for line in typed]


def test_both_languages_have_the_same_commands() -> None:
    assert first_hour("README.md") == first_hour("README.zh.md")
    assert len(first_hour("README.md")) > 15


@pytest.mark.net
def test_a_new_user_can_type_it_from_top_to_bottom(make_world: Callable[..., Any]) -> None:
    need("tcpdump")
    world = make_world(as_user=True)
    env = {name: value for name, value in world.with_command().items() if "DISPLAY" not in name}
    for line in first_hour("README.md"):
        process = subprocess.Popen(
            ["bash", "-c", line],
            cwd=world.home,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        out = ""
        if line == UNTIL_CTRL_C:
            assert process.stdout is not None
            out = next(printed for printed in process.stdout if "Ctrl-C ends it" in printed)
            os.killpg(process.pid, signal.SIGINT)
        out += process.communicate(timeout=60)[0]
        assert process.returncode == line.endswith(MEANT_TO_FAIL), f"{line}\n{out}"
    assert world("ls", "--json").json == []
