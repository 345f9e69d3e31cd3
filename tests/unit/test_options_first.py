# SPDX-License-Identifier: Apache-2.0
"""An option that stands where a command begins: the line that is meant is told."""

from __future__ import annotations

import shlex

import pytest

from hoplab.cli import parser
from hoplab.cli.verbs_host import _command
from hoplab.errors import LabError

LINES = {
    "trace client --detail brief -- ping -c 1 10.0.0.2":
        "hoplab trace --detail brief client -- ping -c 1 10.0.0.2",
    "exec h1 --json -- sh -c 'echo a b'": "hoplab exec --json h1 -- sh -c 'echo a b'",
    "trace client --detail brief ping 10.0.0.2": "hoplab trace --detail client -- COMMAND",
    "trace client --detail --": "hoplab trace --detail client -- COMMAND",
}  # fmt: skip


@pytest.mark.parametrize("typed", LINES)
def test_options_behind_the_host_are_put_before_it(typed: str) -> None:
    arguments = parser.build_parser().parse_args(shlex.split(typed))
    with pytest.raises(LabError) as caught:
        _command(arguments)
    assert caught.value.hint == f"options go before the host: {LINES[typed]}"
