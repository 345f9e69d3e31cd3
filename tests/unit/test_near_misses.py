# SPDX-License-Identifier: Apache-2.0
"""What somebody meant who wrote something else, and a help that fits a screen."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

from hoplab.cli import main as command
from hoplab.cli import verbs_completion
from hoplab.cli.parser import GROUPS, build_parser
from hoplab.client import labs
from hoplab.errors import LabError
from hoplab.nearest import did_you_mean, meant
from hoplab.network.topofile import load_topo
from hoplab.report.cells import cells


def verbs() -> dict[str, Any]:
    parser = build_parser()
    (action,) = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    return dict(action.choices)


def test_every_verb_stands_in_a_group_and_all_of_them_fit_a_screen() -> None:
    grouped = {verb for _, names, _ in GROUPS for verb in names}
    assert grouped == set(verbs())
    lines = build_parser().format_help().splitlines()
    assert len(lines) <= 26 and max(map(cells, lines)) <= 80
    assert sum(line.startswith("  look ") for line in lines) == 1


@pytest.mark.parametrize("verb", sorted(verbs()))
def test_the_help_of_a_verb_begins_with_two_examples(verb: str) -> None:
    text = verbs()[verb].format_help()
    above = text[: text.index("usage:")]
    assert above.count(f"  hoplab {verb}") + above.count(f"(hoplab {verb}") >= 1
    assert len([line for line in above.splitlines() if line.startswith("  ")]) == 2


@pytest.mark.parametrize("verb", sorted(verbs()))
def test_no_example_is_wider_than_a_terminal(verb: str) -> None:
    lines = [f"  {command}{comment}" for command, comment in verbs()[verb].examples]
    assert [line for line in lines if cells(line) > 80] == []


def test_a_verb_that_there_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["vist"]) == 2
    assert "did you mean visit?" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["exec", "ping", "-c", "1", "10.0.0.2"],
                                   ["trace", "ping", "-c", "1", "10.0.0.2"]])  # fmt: skip
def test_a_host_that_was_forgotten(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(words) == 2
    complaint = capsys.readouterr().err
    assert f"was the host forgotten? hoplab {words[0]} HOST -- ping -c 1 10.0.0.2" in complaint


@pytest.mark.parametrize("verb", ["trace", "exec"])
def test_a_host_that_was_forgotten_before_a_command_of_one_word(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main([verb, "--", "ls"]) == 2
    assert f"was the host forgotten? hoplab {verb} HOST -- ls" in capsys.readouterr().err


@pytest.mark.parametrize("state", ["up", "down"])
def test_a_cable_of_which_one_end_is_named(
    state: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(labs, "find", lambda name: labs.Handle("lab"))
    assert command.main(["link", "h1", state]) == 2
    assert "of which cable?" in capsys.readouterr().err


def test_a_lab_without_any_says_that() -> None:
    assert meant("s1", []) == "it has none"


def test_names_that_are_near() -> None:
    assert did_you_mean("clinet", ["client", "pc"]) == "did you mean client?"
    assert did_you_mean("x", ["client"]) == ""
    assert "it has: client, pc" in meant("x", ["client", "pc"])


def test_a_parameter_that_is_no_number_is_named(tmp_path: Path) -> None:
    file = tmp_path / "row.py"
    file.write_text(
        "from mininet.topo import Topo\nclass Row(Topo):\n    def build(self, n=4, rate=''):\n"
        "        for i in range(n):\n            self.addHost(f'h{i}')\n"
    )
    with pytest.raises(LabError) as error:
        load_topo(file, "n=abc")
    assert "the parameter n takes a number, and abc is none" in error.value.message
    assert "n=4" in error.value.hint
    assert len(load_topo(file, "n=2,rate=10M").hosts()) == 2


@pytest.mark.parametrize(
    ("line", "lab"),
    [("hoplab exec --name mine h", "mine"), ("hoplab exec --name=mine h", "mine"),
     ("hoplab exec h", None), ("hoplab exec --name mi", None)],
)  # fmt: skip
def test_the_lab_that_a_line_is_about(line: str, lab: str | None) -> None:
    assert verbs_completion._lab_in(line) == lab
