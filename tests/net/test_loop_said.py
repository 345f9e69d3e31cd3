# SPDX-License-Identifier: Apache-2.0
"""Switches in a loop are said where a lab comes up, and not where somebody deals with them."""

from __future__ import annotations

import pytest

from tests.conftest import World

pytestmark = pytest.mark.net

STP = """
from mininet.topo import Topo
class T(Topo):
    def build(self):
        one, other = (self.addSwitch(name, stp=True) for name in ("s1", "s2"))
        self.addLink(one, other)
        self.addLink(one, other)
topos = {"stp": T}
"""


def test_a_loop_is_said_at_up_and_gone_with_a_spanning_tree(hoplab: World) -> None:
    result = hoplab("up", "loop", "--controller", "learning_switch")
    assert "note: s1, s2 and s3 stand in a loop: a broadcast goes round it for ever" in result.out
    (lab,) = hoplab("ls", "--json").json
    assert lab["loops"] == [["s1", "s2", "s3"]] and "in a loop" in lab["events"][-1]
    assert "in a loop" not in hoplab("swap", "spanning_tree").out
    assert hoplab("ls", "--json").json[0]["events"] == []
    assert "in a loop" in hoplab("swap", "hub").out


def test_switches_with_stp_need_no_word(hoplab: World) -> None:
    (hoplab.home / "stp.py").write_text(STP)
    data = hoplab("up", "./stp.py", "--controller", "hub", "--json").json
    assert data["loops"] == [] and not any("in a loop" in event for event in data["events"])
