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


@pytest.mark.parametrize(
    "text",
    [
        "from mininet.topo import Topo\nclass T(Topo):\n    pass\n",
        "import mininet.topo\nclass T(mininet.topo.LinearTopo):\n    pass\n",
        "topos = {'mine': lambda: None}\n",
    ],
)
def test_a_file_that_is_a_topo_alone_gets_the_line_that_brings_it_up(
    tmp_path: Path, text: str
) -> None:
    script = tmp_path / "my topo.py"
    script.write_text(text)
    told = advice.of_no_network(["python3", str(script)])
    assert f"hoplab up '{script}'" in told and "defines a Topo" in told


def test_a_mininet_that_nothing_comes_to_is_named(tmp_path: Path) -> None:
    script = tmp_path / "mine.py"
    script.write_text("class T(Topo):\n    pass\n\ndef main():\n    Mininet(topo=T())\n")
    told = advice.of_no_network(["python3", str(script)])
    assert "Mininet(…) of line 5" in told


def test_what_has_no_network_to_build_is_left_in_peace(tmp_path: Path) -> None:
    script = tmp_path / "plot.py"
    script.write_text("print('a figure')\n")
    assert not advice.of_no_network(["python3", str(script)])
    script.write_text("print 'old'\n")
    assert not advice.of_no_network(["python3", str(script)])
    assert not advice.of_no_network(["python3", str(tmp_path / "none.py")])
    assert not advice.of_no_network(["true"])
