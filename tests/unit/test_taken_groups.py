# SPDX-License-Identifier: Apache-2.0
"""Groups and meters of a switch, taken away and put back: an Open vSwitch without a network."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from hoplab.openvswitch import flows
from hoplab.openvswitch.shadow import Shadow, missing

pytestmark = pytest.mark.skipif(
    bool(missing()) or shutil.which("ovs-ofctl") is None, reason="Open vSwitch is not installed"
)


def test_groups_and_meters_go_with_their_flows_and_come_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Shadow() as daemons:
        daemons.open({"s1": (1, 2, 3)})
        monkeypatch.setattr(flows, "RUN", daemons.folder)

        def tool(*words: str) -> list[str]:
            """The lines of an answer, without counters and ages."""
            command = ["ovs-ofctl", "-O", "OpenFlow13", words[0],
                       f"unix:{daemons.folder}/sh0.mgmt", *words[1:]]  # fmt: skip
            text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            return sorted(
                " ".join(word for word in line.split() if not word.startswith(("duration", "n_")))
                for line in text.splitlines()[1:]
            )

        tool("add-meter", "meter=5,pktps,band=type=drop,rate=9")
        tool("add-group", "group_id=8,type=indirect,bucket=output:3")
        tool("add-group", "group_id=7,type=all,bucket=output:2,bucket=group:8")
        tool("add-flow", "cookie=0x11,priority=4,idle_timeout=600,in_port=1,actions=group:7")
        tool("add-flow", "priority=3,in_port=2,actions=meter:5,output:1")
        tool("add-flow", "priority=2,actions=output:1")
        before = [tool("dump-groups"), tool("dump-meters"), tool("dump-flows")]
        taken = flows.take_groups("sh0")
        assert (len(taken.groups), len(taken.meters), len(taken.flows)) == (2, 1, 3)
        assert tool("dump-groups") == tool("dump-meters") == []
        (left,) = tool("dump-flows")
        assert "priority=2" in left
        flows.put_groups("sh0", taken)
        assert [tool("dump-groups"), tool("dump-meters"), tool("dump-flows")] == before


def test_a_switch_without_them_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    with Shadow() as daemons:
        daemons.open({"s1": (1,)})
        monkeypatch.setattr(flows, "RUN", daemons.folder)
        assert flows.take_groups("sh0") == flows.Taken()
