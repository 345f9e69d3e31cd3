# SPDX-License-Identifier: Apache-2.0
"""Labs of Kathará and containerlab come up without root and do what their startup files say."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from hoplab import programs
from hoplab.wait import patience
from tests.conftest import World
from tests.unit.other_labs import LABS, Lab, written

pytestmark = pytest.mark.net


def work(hoplab: World, lab: Lab) -> None:
    """Every check of a lab succeeds, once its routes have been learned."""
    deadline = time.monotonic() + (lab.wait_s + 5) * patience()
    for device, command in lab.checks:
        while hoplab("exec", device, "--", "sh", "-c", command, code=None).code:
            assert time.monotonic() < deadline, (device, command)


def test_devices_have_files_and_services_of_their_own(hoplab: World) -> None:
    folder = hoplab.home / "kathara"
    startup = "ip address add 10.0.0.{n}/24 dev eth0\nservice networking start\n"
    files = {
        "lab.conf": 'pc1[0]="A"\npc2[0]="A"\npc3[0]="A"\npc2[env]="WORD=here"\n',
        **{f"pc{n}.startup": startup.format(n=n) for n in (1, 2, 3)},
        "pc1/etc/hosts": "10.0.0.3 third\n", "pc1/etc/mine/file": "of pc1\n",
        "pc1/var/www/html/index.html": "page\n",
    }  # fmt: skip
    files["pc2.startup"] += "echo $WORD >> /etc/hosts\nno-such-command x\n"
    for name, text in files.items():
        path = Path(folder / name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    notes = hoplab("up", str(folder), "--json").json["events"]
    assert any("no-such-command is called (pc2)" in note for note in notes)
    assert any("pc2.startup, line 4: `no-such-command x` ended with 127" in note for note in notes)

    def printed(device: str, command: str) -> str:
        return hoplab("exec", device, "--", "sh", "-c", command).out

    assert "1 received" in printed("pc1", "ping -c 1 third")
    assert printed("pc1", "cat /etc/mine/file /var/www/html/index.html") == "of pc1\npage\n"
    assert printed("pc2", "test ! -e /etc/mine && tail -n 1 /etc/hosts") == "here\n"
    assert printed("pc3", "touch /var/log/x /etc/x && ls /etc/init.d/frr") == "/etc/init.d/frr\n"
    assert printed("pc1", "ls /var/log") == printed("pc2", "ls /var/log")
    told = hoplab("trace", "--json", "pc1", "--", "ping", "-c", "1", "10.0.0.2").json
    assert told["outcome"]["ok"] is True


@pytest.mark.long
@pytest.mark.parametrize("name", LABS)
def test_a_lab_of_another_program_works(hoplab: World, name: str) -> None:
    lab = LABS[name]
    for program in lab.needs:
        if not programs.find(program):
            pytest.skip(f"{program} is not installed")
    wish = written(name, hoplab.home / name)
    assert not [note for note in hoplab("up", str(wish), "--json").json["events"]
                if "ended with" in note]  # fmt: skip
    work(hoplab, lab)
    device, command = lab.checks[0]
    told = hoplab("trace", "--json", device, "--", "sh", "-c", command).json
    assert told["exit_code"] == 0
