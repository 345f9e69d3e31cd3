# SPDX-License-Identifier: Apache-2.0
"""What stands in for the OpenFlow reference switch, and before ovs-vsctl: command lines alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hoplab.stock import reference_switch as reference
from hoplab.stock import stand_ins
from tests.conftest import PROJECT


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
    bridge = reference.Bridge("s1", "", os.getpid())
    reference.write("punix:/tmp/s1", bridge)
    assert reference.read("unix:/tmp/s1") == bridge
    assert reference.read("unix:/tmp/s2") is None
    reference.write("ptcp:", bridge)
    assert reference.read("tcp:localhost") == reference.read("tcp:127.0.0.1:6633") == bridge
    assert reference.read("tcp:10.0.123.1") is None  # a controller, elsewhere
    assert reference.read("tcp:127.0.0.1:6634") is None


def test_a_switch_that_was_killed_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file of one that could take nothing away any more, as when Mininet's next network looks
    whether its own switch is connected."""
    monkeypatch.setattr(reference, "FOLDER", tmp_path)
    ended = subprocess.Popen(["true"])
    ended.wait()
    reference.write("unix:/tmp/s1", reference.Bridge("s1", "", ended.pid))
    assert reference.read("unix:/tmp/s1") is None


def test_who_is_ended_twice_still_takes_away_what_it_made(tmp_path: Path) -> None:
    """Mininet ends ofdatapath, and its shell at once after, which ends all that it has started."""
    program = (
        "import signal, subprocess, sys\n"
        "from hoplab.stock import reference_switch\n"
        "reference_switch.end_in_order()\n"
        "try:\n"
        "    print('here', flush=True)\n"
        "    signal.pause()\n"
        "finally:\n"
        "    print('ends', flush=True)\n"
        "    sys.stdin.read()\n"
        "    subprocess.run(['echo', 'taken away'])\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], cwd=PROJECT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    for line, ending in (("here\n", signal.SIGTERM), ("ends\n", signal.SIGHUP)):
        assert process.stdout.readline() == line
        process.send_signal(ending)
    assert process.communicate("")[0] == "taken away\n" and process.returncode == 0


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
