# SPDX-License-Identifier: Apache-2.0
"""`import hoplab` in a program of its own: docs/api.md, executed, and what becomes of labs when
the program is killed, as an ordinary user."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from hoplab import wait
from tests.conftest import PROJECT, World

pytestmark = pytest.mark.net

EXAMPLES = """
import doctest, os, sys
os.chdir(sys.argv[1])
failed, tried = doctest.testfile(sys.argv[1] + "/docs/api.md", module_relative=False)
print(tried, "examples")
sys.exit(bool(failed))
"""
KILLED = """
import os, signal, threading, hoplab
threading.Thread(target=threading.Event().wait, daemon=True).start()
lab = hoplab.Lab("cable").up()
assert lab["h1"].run("ping -c 1 192.168.1.2", check=True).ok
print(lab.name, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def program(world: World, text: str) -> subprocess.CompletedProcess[str]:
    """Run a Python program as whoever the world is."""
    python = world.argv(["ls"])[:-3]
    return subprocess.run(
        [*python, "-c", text, str(world.project)],
        cwd=world.home, env=world.environment(), capture_output=True, text=True, timeout=120,
    )  # fmt: skip


@pytest.fixture
def user(make_world: Any) -> World:
    world: World = make_world(as_user=True)
    return world


def test_the_examples_of_the_page(user: World) -> None:
    ended = program(user, EXAMPLES)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    text = (PROJECT / "docs" / "api.md").read_text(encoding="utf-8")
    assert ended.stdout.strip() == f"{text.count('>>> ')} examples"


def test_labs_end_with_a_program_that_is_killed(user: World) -> None:
    ended = program(user, KILLED)
    assert ended.returncode < 0 and ended.stdout, ended.stderr
    folder = Path(user.state / "hoplab" / "labs" / ended.stdout.strip())
    wait.until(lambda: not folder.exists(), "the lab to end", within_s=20)
