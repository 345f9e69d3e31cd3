# SPDX-License-Identifier: Apache-2.0
"""Which displays are carried into a command's machine."""

from __future__ import annotations

import pytest

from hoplab.stock import display


@pytest.mark.parametrize(
    ("name", "port"),
    [
        ("localhost:10.0", 6010),
        ("127.0.0.1:11", 6011),
        (":0", 0),
        ("other.machine:10.0", 0),
        ("localhost:/tmp/x", 0),
        ("", 0),
    ],
)
def test_the_port_of_a_display(name: str, port: int) -> None:
    assert display.port_of({"DISPLAY": name}) == port
    assert display.port_of({}) == 0
