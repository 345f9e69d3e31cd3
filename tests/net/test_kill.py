# SPDX-License-Identifier: Apache-2.0
"""kill -9 of any process of a lab, at any moment, leaves nothing: the campaign.

Each round starts something (up, a recorded command, a capture, a swap, down), waits a random while,
kills a random process of the lab or the command line itself, and then looks at the machine: no
process of the lab, no network interface, no mount, no lock, no ghost in `hoplab ls`. A lab that
survives the kill (the victim was a host's command, or the controller, which is started again) must
still go down.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from hoplab import wait
from tests.conftest import without_steps

pytestmark = pytest.mark.net

OWN_PIDS = os.stat("/proc/self/ns/pid").st_ino
LONGEST_S = {"up": 0.9, "run": 1.2, "capture": 0.8, "swap": 1.0, "down": 0.25}
TOPOLOGIES = ["cable", "switch", "switch,n=12", "routed", "web"]
LARGE = [*TOPOLOGIES * 3, "switch,n=2", "switch,n=50", "switch,n=100", "switch,n=200"]


def pid_namespace(pid: int) -> int | None:
    """The inode of a process's PID namespace, None if it has gone."""
    try:
        return os.stat(f"/proc/{pid}/ns/pid").st_ino
    except OSError:
        return None


def processes() -> dict[int, int]:
    """Every live process of the machine and its parent; zombies are gone already."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = Path(f"/proc/{entry}/stat").read_text()
            except OSError:
                continue
            state, parent = stat[stat.rindex(")") + 2 :].split()[:2]
            if state not in "ZX":
                parents[int(entry)] = int(parent)
    return parents


class Suspects:
    """The processes that belong to a lab: the command line, what it forked, and everything in the
    PID namespaces that were seen among them. `look` is called again and again."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.commands: set[int] = set()
        self.namespaces: set[int] = set()

    def look(self) -> list[int]:
        parents = processes()
        mine = {pid for pid in self.commands if pid in parents}
        grown = True
        while grown:
            grown = False
            for pid, parent in parents.items():
                if parent in mine and pid not in mine:
                    mine.add(pid)
                    grown = True
        for lock in self.state.glob("hoplab/labs/*/init.pid"):
            try:
                mine.add(int(lock.read_text() or 0))
            except (OSError, ValueError):
                continue
        for pid in list(mine):
            namespace = pid_namespace(pid)
            if namespace not in (None, OWN_PIDS):
                self.namespaces.add(namespace)
        mine |= {pid for pid in parents if pid_namespace(pid) in self.namespaces}
        return sorted(pid for pid in mine if pid in parents)

    def left(self) -> list[str]:
        """What is still there of them, in words."""
        remaining = []
        for pid in processes():
            with contextlib.suppress(OSError):  # it has just ended
                if pid_namespace(pid) in self.namespaces:
                    words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
                    remaining.append(f"{pid} {words.decode(errors='replace')}")
        return remaining


def interfaces() -> set[str]:
    return {
        line.split(":")[0].strip() for line in Path("/proc/net/dev").read_text().split("\n")[2:]
    }


def mounts() -> list[str]:
    text = Path("/proc/self/mountinfo").read_text()
    return [line for line in text.splitlines() if "hoplab" in line or "nsfs" in line]


def campaign(
    hoplab: Any, rounds: int, seed: int, topologies: list[str] = TOPOLOGIES
) -> dict[str, int]:
    """`rounds` kills; returns how the rounds ended, by kind."""
    dice = random.Random(seed)
    before = interfaces(), mounts()
    outcomes: dict[str, int] = {}
    for number in range(rounds):
        topology = dice.choice(topologies)
        switched = topology.startswith(("switch", "web"))
        phase = dice.choice(["up", "up", "run", "capture", "swap" if switched else "run", "down"])
        where = f"round {number}, seed {seed}: {phase} of {topology}"
        suspects = Suspects(hoplab.state)
        if phase != "up":
            hoplab("up", topology, "--name", "victim")
        arguments = {
            "up": ["up", topology, "--name", "victim"],
            "run": ["trace", "--name", "victim", *hello(topology)],
            "capture": ["capture", "--name", "victim", "--duration", "1", "-w", "all.pcapng"],
            "swap": ["swap", "--name", "victim", "hub"],
            "down": ["down", "--name", "victim"],
        }[phase]
        process = hoplab.popen(*arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        suspects.commands.add(process.pid)
        # What makes an ordinary user of us is no part of a lab.
        wait.until(lambda: is_python(process), "the command line to start", within_s=20)  # noqa: B023
        moment = time.monotonic() + dice.uniform(0, LONGEST_S[phase])
        while time.monotonic() < moment:
            suspects.look()  # also remembers the namespaces it sees
        targets = suspects.look()
        victim = "nothing"
        if targets:
            pid = dice.choice(targets)
            try:
                victim = (
                    Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()[:60]
                )
                os.kill(pid, signal.SIGKILL)
            except (ProcessLookupError, FileNotFoundError):
                pass
        where += f", killed {victim}"
        err = without_steps(process.communicate(timeout=60)[1])
        assert "Traceback" not in err, where + "\n" + err
        # A ping that was killed, or found no network left, is a story with exit code 1, told on
        # stdout; its own words are shown as it says them.
        own = [line for line in err.splitlines() if not line.startswith("ping: ")]
        reported = process.returncode == 1 and phase == "run" and not own
        # A capture first says that it has begun.
        err = "".join(line for line in err.splitlines(True) if "; Ctrl-C ends it" not in line)
        if not reported and process.returncode not in (0, -signal.SIGKILL):
            assert err.startswith("hoplab: ") and "Next: " in err, f"{where}\n{err}"
        suspects.look()
        # A lab whose end was begun may take a moment; a ghost stays.
        if settled(hoplab, suspects):
            outcomes["gone"] = outcomes.get("gone", 0) + 1
        else:
            outcomes["lives"] = outcomes.get("lives", 0) + 1
            # A lab whose switch daemon was the victim answers for a moment, then ends by itself.
            listed = [lab["name"] for lab in hoplab("ls", "--json").json]
            assert listed in (["victim"], []), f"{where}: {listed}"
            assert hoplab("down", "--name", "victim", code=None).code in (0, 4), where
        wait.until(lambda: not suspects.left(), f"the end of {where}", within_s=60)  # noqa: B023
        assert hoplab("ls", "--json").json == [], where
        left = interfaces() - before[0], set(mounts()) - set(before[1])
        assert left == (set(), set()), where  # what was there before may go meanwhile
    return outcomes


def is_python(process: subprocess.Popen[str]) -> bool:
    """Whether the command line itself runs by now (or has ended)."""
    try:
        words = Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0")
    except FileNotFoundError:
        return True
    return process.poll() is not None or b"python" in words[0]


def settled(hoplab: Any, suspects: Suspects) -> bool:
    """Whether the lab is gone; a lab that answers lives."""
    from hoplab.errors import LabError

    def decided() -> str:
        if not suspects.left():
            return "gone"
        listed = hoplab("ls", "--json").json
        answering = [lab for lab in listed if "state" not in lab]
        return "lives" if answering else ""

    try:
        return wait.until(decided, "the lab to be gone or to answer", within_s=60) == "gone"
    except LabError:
        return False


def hello(topology: str) -> list[str]:
    """Some traffic on a topology."""
    host, address = {
        "cable": ("h1", "192.168.1.2"),
        "switch": ("h2", "10.0.0.1"),
        "routed": ("h1", "10.0.2.10"),
        "web": ("client", "10.80.0.80"),
    }[topology.partition(",")[0]]
    return [host, "--", "ping", "-c", "8", "-i", "0.1", address]


def test_a_few_kills(anybody: Any) -> None:
    outcomes = campaign(anybody, 5, seed=random.randrange(1 << 30))
    assert sum(outcomes.values()) == 5


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(3))
def test_campaign(anybody: Any, seed: int) -> None:
    """50 kills each: 300 in all, over labs of 2 to 200 hosts."""
    outcomes = campaign(anybody, 50, seed, LARGE)
    print(f"50 kills, seed {seed}, {'user' if anybody.as_user else 'root'}: {outcomes}")
    assert sum(outcomes.values()) == 50
