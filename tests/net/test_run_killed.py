# SPDX-License-Identifier: Apache-2.0
"""kill -9 of any process of `hoplab run`, its command line included, at any moment: nothing stays.
No process, interface or mount, no folder of its lab's or of a display's, no control group.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from hoplab import wait
from hoplab.kernel import cgroups
from tests.conftest import World
from tests.net.test_kill import Suspects, interfaces, is_python, mounts

pytestmark = pytest.mark.net

LONGEST_S = 3.0  # into the script's network and what it does there

SCRIPT = """
from mininet.net import Mininet
from mininet.node import CPULimitedHost, RemoteController
from mininet.topo import SingleSwitchTopo
net = Mininet(SingleSwitchTopo(3), host=CPULimitedHost, controller=RemoteController)
net.start()
net['h1'].sendCmd('ping 10.0.0.2')
net['h3'].popen('sleep 1000')
net['h1'].waitOutput()
"""


def killed(hoplab: World, dice: random.Random, *, command_line: bool) -> str:
    """One of its processes is, at some moment; what it was."""
    suspects = Suspects(hoplab.state)
    process = hoplab.popen(
        "run", "--name", "victim", "--", "/usr/bin/python3", "mine.py",
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    suspects.commands.add(process.pid)
    wait.until(lambda: is_python(process), "the command line to start", within_s=20)
    moment = time.monotonic() + dice.uniform(0, LONGEST_S)
    while time.monotonic() < moment:
        suspects.look()  # also remembers the namespaces it sees
    pid = process.pid if command_line else dice.choice(suspects.look() or [process.pid])
    try:
        victim = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()[:60]
        suspects.look()
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, FileNotFoundError):
        victim = "nothing"
    # A script goes on without a process that is a host's.
    process.terminate()
    process.wait(timeout=60)
    wait.until(lambda: not suspects.left(), f"the end of {victim}", within_s=60)
    return victim


def orphans() -> list[str]:
    """Control groups of labs in which nobody is any more."""
    return [
        str(own)
        for folder in cgroups._hierarchies()
        for own in folder.glob(f"{cgroups.PREFIX}*")
        if not (own / "cgroup.procs").read_text()
    ]


def campaign(hoplab: World, rounds: int, seed: int) -> None:
    dice = random.Random(seed)
    (hoplab.home / "mine.py").write_text(SCRIPT)
    temporary = hoplab.home / "tmp"
    temporary.mkdir(mode=0o777)
    temporary.chmod(0o777)
    hoplab.env |= {"TMPDIR": str(temporary), "DISPLAY": "localhost:10.0"}
    before = interfaces(), mounts()
    for number in range(rounds):
        victim = killed(hoplab, dice, command_line=number == 0)
        where = f"round {number}, seed {seed}, killed {victim}"
        assert hoplab("ls", "--json").json == [], where  # it looks for what is left, too
        assert list(hoplab.state.glob("hoplab/labs/*")) == [], where
        assert list(temporary.iterdir()) == [], where
        left = interfaces() - before[0], set(mounts()) - set(before[1])
        assert left == (set(), set()), where  # what was there before may go meanwhile
        wait.until(lambda: not orphans(), f"the control groups of {where} to go", within_s=10)


def test_a_few_kills(anybody: World) -> None:
    campaign(anybody, 2, seed=random.randrange(1 << 30))


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_many_kills(anybody: World) -> None:
    campaign(anybody, 40, seed=random.randrange(1 << 30))
