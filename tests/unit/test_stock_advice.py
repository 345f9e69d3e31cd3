# SPDX-License-Identifier: Apache-2.0
"""What `hoplab run` advises for a command that could not do what was meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from hoplab.stock import advice


@pytest.mark.parametrize("first", ["", "#!/usr/bin/python\n", "#!/usr/bin/env python\n"])
def test_a_script_in_the_place_of_a_program_gets_the_line_that_runs_it(
    tmp_path: Path, first: str
) -> None:
    script = tmp_path / "my script.py"
    script.write_text(f"{first}print(1)\n")
    line = advice.line_for_script([str(script), "--k", "4"])
    assert line.endswith(f"hoplab run -- python3 '{script}' --k 4")


def test_a_script_without_the_ending_is_known_by_its_first_line(tmp_path: Path) -> None:
    script = tmp_path / "start"
    script.write_text("#!/usr/bin/python2.7\n")
    assert advice.line_for_script([str(script)])
    script.write_text("#!/bin/sh\n")
    assert not advice.line_for_script([str(script)])
    assert not advice.line_for_script(["no-such-program"])


def test_a_script_for_python_2_gets_the_line_that_rewrites_it(tmp_path: Path) -> None:
    script = tmp_path / "old.py"
    script.write_text("print 'up'\n")
    assert f"2to3 -w {script}" in advice.for_python2(["python3", str(script)])
    assert not advice.for_python2(["python2", str(script)])
    script.write_text("class T(:\n")
    assert not advice.for_python2(["python3", str(script)])
    script.write_text("raise SystemExit(1)\n")
    assert not advice.for_python2(["python3", str(script)])
    assert not advice.for_python2(["python3", str(tmp_path / "none.py")])
