# SPDX-License-Identifier: Apache-2.0
"""What stands in for the OpenFlow reference switch, and before ovs-vsctl: command lines alone."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from hoplab.stock import reference_switch as reference
from hoplab.stock import stand_ins


@pytest.mark.parametrize(
    ("words", "wish"),
    [
        # As mininet.node.UserSwitch and Mininet's scratchnetuser.py write them.
        (
            "-i s1-eth1,s1-eth2 punix:/tmp/s1 -d 000000000001 --no-slicing",
            (["s1-eth1", "s1-eth2"], "000000000001", "punix:/tmp/s1"),
        ),
        ("-i s0-eth1 ptcp:", (["s0-eth1"], "", "ptcp:")),
        ("--interfaces=a,b --datapath-id=7 ptcp:6634", (["a", "b"], "7", "ptcp:6634")),
    ],
)
def test_the_command_line_of_ofdatapath(words: str, wish: tuple[list[str], str, str]) -> None:
    assert reference.datapath_wish(words.split()) == wish


def test_a_switch_is_found_where_it_listens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reference, "FOLDER", tmp_path)
    bridge = reference.Bridge("s1", "", 7)
    reference.write("punix:/tmp/s1", bridge)
    assert reference.read("unix:/tmp/s1") == bridge
    assert reference.read("unix:/tmp/s2") is None
    reference.write("ptcp:", bridge)
    assert reference.read("tcp:localhost") == reference.read("tcp:127.0.0.1:6633") == bridge
    assert reference.read("tcp:10.0.123.1") is None  # a controller, elsewhere
    assert reference.read("tcp:127.0.0.1:6634") is None


@pytest.mark.parametrize(
    ("words", "printed"),
    [
        ("add-br br0", "add-br br0 -- set bridge br0 datapath_type=netdev"),
        (
            "--may-exist add-br a -- add-br b -- add-port a p",
            "--may-exist add-br a -- add-br b -- add-port a p "
            "-- set bridge a datapath_type=netdev -- set bridge b datapath_type=netdev",
        ),
        ("add-br a -- set bridge a datapath_type=netdev", None),
        ("add-br vlan9 br0 9", None),
        ("add-port br0 add-br", None),
        ("show", None),
    ],
)
def test_a_bridge_made_by_hand_forwards_in_user_space(
    tmp_path: Path, words: str, printed: str | None
) -> None:
    script = tmp_path / "ovs-vsctl"
    script.write_text(stand_ins.USER_SPACE["ovs-vsctl"].replace("@VSCTL@", "echo"))
    result = subprocess.run(["sh", str(script), *words.split()], capture_output=True, text=True)
    assert result.stdout.strip() == (printed or words)
