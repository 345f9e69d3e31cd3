# SPDX-License-Identifier: Apache-2.0
"""Stock Mininet's options in front of `--`: the error has the line that was meant."""

from __future__ import annotations

import pytest

from hoplab.cli.main import main


def test_the_line_that_was_meant_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mn", "--topo", "linear,3", "--test", "pingall"]) == 2
    assert "hoplab mn -- --topo linear,3 --test pingall (" in capsys.readouterr().err


def test_no_other_verb_is_given_such_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ls", "--topo", "mn"]) == 2
    assert " -- " not in capsys.readouterr().err
