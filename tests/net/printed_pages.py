# SPDX-License-Identifier: Apache-2.0
"""A page of a lab, typed as it stands there, beside what it says will be seen.

What lives here: what the tests of all such pages share. What must not: which pages there are.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from typing import TYPE_CHECKING

from hoplab.report.cells import wide
from hoplab.sheets.pages import FAILS, steps

if TYPE_CHECKING:
    from tests.conftest import World


def flat(text: str) -> str:
    """In one line, with one space where there are many: pages and terminals break lines. Beside a
    Chinese character there is none, since a line breaks there with and without one."""
    line = ""
    for word in text.split():
        joined = not line or wide(line[-1]) or wide(word[0])
        line += word if joined else f" {word}"
    return line


def missing(announced: list[str], out: str) -> list[str]:
    """The announced lines that do not come, each after the one before."""
    rest, lost = flat(out), []
    for line in announced:
        parts = [re.escape(flat(part)) for part in line.split("…")]
        match = re.search(".*?".join(parts), rest)
        if match is None:
            lost.append(line)
        else:
            rest = rest[match.end() :]
    return lost


def type_page(world: World, page: str, env: Mapping[str, str]) -> None:
    """Save its files, type its commands and see what it announces, from top to bottom."""
    for step in steps(page):
        for name, text in step.files.items():
            (world.home / name).write_text(text, encoding="utf-8")
        out = ""
        for command in step.commands:
            done = subprocess.run(
                ["bash", "-c", command], cwd=world.home, env=env, capture_output=True, text=True
            )
            out += done.stdout + done.stderr
            assert (done.returncode != 0) == command.endswith(FAILS), f"{command}\n{out}"
        lost = missing(step.seen, out)
        assert not lost, f"{step.commands}: {lost} is not in\n{out}"
