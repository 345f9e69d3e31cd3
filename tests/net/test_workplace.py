# SPDX-License-Identifier: Apache-2.0
"""A controller works where its user is: relative names mean files in the folder where `up` or
`swap` was typed, in every process that a lab starts for it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hoplab import wait

pytestmark = pytest.mark.net

# Reads `greeting` and adds a line to `notes`, both by relative names, when a process begins.
APP = '''
import os
from hub import Hub


class Writer(Hub):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        with open("greeting") as file, open("notes", "a") as notes:
            notes.write(f"{file.read()} {os.getcwd()}\\n")
'''


def folder_of_a_user(hoplab: Any, name: str) -> Path:
    """With the app, what it reads, and what Python must not take for modules of its own."""
    folder: Path = hoplab.home / name
    folder.mkdir()
    (folder / "app.py").write_text(APP)
    (folder / "greeting").write_text("hello")
    for module in ("queue.py", "eventlet.py", "ryu.py"):
        (folder / module).write_text("raise SystemExit('taken from the working directory')\n")
    if hoplab.as_user:
        folder.chmod(0o777)
    return folder


def notes(folder: Path, lines: int) -> list[str]:
    """What the processes have written there, once they are so many."""
    file = folder / "notes"
    wait.until(
        lambda: file.exists() and len(file.read_text().splitlines()) >= lines,
        f"{lines} lines in {file}",
        within_s=20,
    )
    return file.read_text().splitlines()


def test_relative_names_are_meant_from_where_the_user_is(anybody: Any) -> None:
    first, second = (folder_of_a_user(anybody, name) for name in ("first", "second"))
    anybody("up", "switch", "--controllers", "2", "--controller", "./app.py", cwd=first)
    assert notes(first, 2) == [f"hello {first}"] * 2  # who is in charge, and who stands by
    result = anybody("swap", str(first / "app.py"), cwd=second)
    assert notes(second, 2) == [f"hello {second}"] * 2
    assert len(notes(first, 2)) == 2 and "note:" not in result.out

    # A folder that is gone stops nobody; where the new one works instead is said.
    shutil.rmtree(second)
    script = "mkdir gone && cd gone && rmdir ../gone && hoplab swap hub"
    result = subprocess.run(
        ["bash", "-c", script],
        cwd=first,
        env=anybody.with_command(),
        capture_output=True,
        text=True,
    )
    instead = anybody.state / "hoplab/labs/lab"
    assert result.returncode == 0, result.stderr
    assert f"cannot work in {second}" in result.stdout and str(instead) in result.stdout
    assert any(str(instead) in event for event in anybody("ls", "--json").json[0]["events"])


def test_a_folder_that_its_user_may_not_enter(make_world: Any) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can close a folder to the user that this test is")
    world = make_world(as_user=True)
    closed = world.home / "closed"
    closed.mkdir(mode=0o700)
    ended = world("up", "switch", cwd=closed)
    assert f"cannot work in {closed}" in ended.out
    assert world("pingall", "--json").json["lost"] == []


LINKS = """
from hub import Hub
from ryu.controller.handler import set_ev_cls
from ryu.topology import event


class Links(Hub):
    @set_ev_cls(event.EventLinkAdd)
    def link(self, ev):
        with open("notes", "a") as notes:
            notes.write(f"{ev.link.src.dpid} {ev.link.dst.dpid}\\n")
"""


def test_an_app_that_asks_for_links_gets_them(hoplab: Any) -> None:
    (hoplab.home / "links.py").write_text(LINKS)
    hoplab("up", "linear,2", "--controller", "./links.py")
    assert set(notes(hoplab.home, 2)) == {"1 2", "2 1"}
