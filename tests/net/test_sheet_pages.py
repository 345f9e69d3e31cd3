# SPDX-License-Identifier: Apache-2.0
"""The lab sheets of labs/NN-name: every command of their pages is run as it stands there, and what
a page says will be seen is seen, in both languages; and their checks tell right from wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from hoplab.sheets import sheet_file
from tests.conftest import PROJECT
from tests.net.printed_pages import type_page

pytestmark = pytest.mark.net

# With every change; all of them with `-m long`.
ALWAYS = {("03-hub", "zh")}
PAGES = {"en": "README.md", "zh": "README.zh.md"}


def cases() -> Iterator[Any]:
    for folder in sheet_file.folders():
        for code, page in PAGES.items():
            often = (folder.name, code) in ALWAYS
            marks = () if often else (pytest.mark.long,)
            yield pytest.param(folder / page, code, marks=marks, id=f"{folder.name}-{code}")


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("page", "code"), list(cases()))
def test_every_command_does_what_the_page_says(hoplab: Any, page: Any, code: str) -> None:
    env = {**hoplab.with_command(), "HOPLAB_LANG": code}
    type_page(hoplab, page.read_text(encoding="utf-8"), env)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", sheet_file.names())
def test_the_checks_tell_right_from_wrong(hoplab: Any, name: str) -> None:
    score(hoplab, name)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_busy_machine_changes_no_verdict(hoplab: Any) -> None:
    score(hoplab, "03", "--repeat", "100", "--load", str(2 * (os.cpu_count() or 2)))


def score(hoplab: Any, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, str(PROJECT / "scripts" / "mutation_score.py"), *arguments],
        cwd=hoplab.home, env=hoplab.environment(), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
