# SPDX-License-Identifier: Apache-2.0
"""Whether a lab that is used for hours stays as it was: memory, descriptors, threads.

    python3 bench/soak.py                  # half an hour
    python3 bench/soak.py --minutes 240 --json soak.json

One lab of four hosts, used in turns: traffic, a recorded command, a capture, a cable that is pulled
and put back, another controller, requests that fail. At the end of each turn, when nothing is under
way, every process of the lab is measured (in /proc/PID: Pss_Anon in smaps_rollup, fd, Threads in
status) and added up by what it is. What is read from files is left out of the memory: the share of
it that counts as ours grows when somebody else's Python ends. The first quarter is warming up. What
is printed of the rest: the median of its first and of its last third, and the slope of a straight
line through all of it (least squares).
Flat means: the last third is above the first by no more than one percent or 512 KiB of memory, and
by not one descriptor, thread or process.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NAME = "bench-soak"
WARM = 0.25  # of the whole time
MEMORY_KIB, MEMORY_SHARE = 512, 0.01

Sample = dict[tuple[str, str], float]  # (kind of process, quantity) -> value


def role(command: str) -> str:
    """What a process is, by its command line."""
    for mark, name in (
        ("ovsdb-server", "ovsdb-server"),
        ("ovs-vswitchd", "ovs-vswitchd"),
        ("ryu_main", "controller"),
        ("capture.recorder", "recorder"),
    ):
        if mark in command:
            return name
    return "lab" if "hoplab" in command else "host's command"


def measure(init: int) -> Sample:
    """Every process of the lab whose process 1 is `init`, added up by role."""
    ours = os.readlink(f"/proc/{init}/ns/pid")
    total: Sample = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if os.readlink(entry / "ns/pid") != ours:
                continue
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            status = (entry / "status").read_text()
            rollup = (entry / "smaps_rollup").read_text()
            values = {
                "KiB": float(rollup.split("\nPss_Anon:")[1].split()[0]),
                "descriptors": float(len(os.listdir(entry / "fd"))),
                "threads": float(status.split("\nThreads:")[1].split()[0]),
                "processes": 1.0,
            }
        except (OSError, IndexError):
            continue  # it has ended meanwhile
        for resource, value in values.items():
            key = role(command), resource
            total[key] = total.get(key, 0) + value
    return total


class Lab:
    """The lab under test, used through the command line as a user would."""

    def __init__(self, state: Path) -> None:
        self.env = {**os.environ, "XDG_STATE_HOME": str(state), "PYTHONPATH": str(ROOT)}
        self.folder = state / "hoplab" / "labs" / NAME
        self.failed: list[str] = []

    def run(self, verb: str, *words: str, code: int = 0) -> None:
        """One command; a code other than `code` is counted as a failure."""
        argv = [sys.executable, "-m", "hoplab.cli.main", verb, "--name", NAME, *words]
        result = subprocess.run(
            argv, env=self.env, cwd=self.env["XDG_STATE_HOME"], capture_output=True, text=True,
            timeout=180,
        )  # fmt: skip
        if result.returncode != code:
            self.failed.append(
                f"{verb} {' '.join(words)}: {result.returncode} {result.stderr[-300:]}"
            )

    def turn(self, number: int) -> None:
        """Something of everything."""
        self.run("exec", "h1", "--", "ping", "-q", "-c", "100", "-i", "0.01", "10.0.0.3")
        self.run("trace", "--timeout", "30", "h2", "--", "ping", "-c", "2", "10.0.0.4")
        self.run("capture", "--duration", "0.5", "-w", "soak.pcapng")
        self.run("pingall")
        self.run("exec", "h4", "--", "ip", "link", "set", "h4-eth0", "down")
        self.run("exec", "h1", "--", "ping", "-q", "-c", "1", "-W", "1", "10.0.0.4", code=1)
        self.run("exec", "h4", "--", "ip", "link", "set", "h4-eth0", "up")
        self.run("exec", "h4", "--", "ping", "-q", "-c", "1", "-W", "5", "10.0.0.1")
        self.run("swap", ("hub", "learning_switch")[number % 2])
        self.run("swap", "no_such_controller", code=4)
        self.run("exec", "h9", "--", "true", code=4)
        self.run("table")


def slope(times: Sequence[float], values: Sequence[float]) -> float:
    """Of the straight line through the points (least squares), a second."""
    return statistics.linear_regression(times, values).slope


def verdicts(times: list[float], samples: list[Sample]) -> list[dict[str, object]]:
    """One row a kind of process and quantity."""
    begin = times[0] + WARM * (times[-1] - times[0])
    kept = [(at, sample) for at, sample in zip(times, samples, strict=True) if at >= begin]
    third = max(1, len(kept) // 3)
    rows = []
    for key in sorted({key for _, sample in kept for key in sample}):
        values = [sample.get(key, 0.0) for _, sample in kept]
        first, last = statistics.median(values[:third]), statistics.median(values[-third:])
        allowed = max(MEMORY_KIB, first * MEMORY_SHARE) if key[1] == "KiB" else 0
        rows.append(
            {
                "process": key[0],
                "quantity": key[1],
                "first": first,
                "last": last,
                "an_hour": 3600 * slope([at for at, _ in kept], values),
                "flat": last - first <= allowed,
            }
        )
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--json", metavar="FILE", help="keep every sample and the verdicts")
    arguments = parser.parse_args()
    state = Path(tempfile.mkdtemp(prefix="hoplab-soak-"))
    lab = Lab(state)
    times: list[float] = []
    samples: list[Sample] = []
    try:
        lab.run("up", "switch")
        if lab.failed:
            print(lab.failed[0])
            return 1
        init = int((lab.folder / "init.pid").read_text())
        began = time.monotonic()
        while time.monotonic() - began < 60 * arguments.minutes:
            lab.turn(len(samples))
            time.sleep(1.0)  # what the turn began has ended by then
            times.append(time.monotonic() - began)
            samples.append(measure(init))
    finally:
        lab.run("down")
        shutil.rmtree(state, ignore_errors=True)
    minutes = times[-1] / 60
    print(f"{len(samples)} turns in {minutes:.1f} minutes, {len(lab.failed)} requests failed")
    for text in lab.failed[:10]:
        print(f"  {text}")
    if len(samples) < 8:
        print("too few turns to say more; take more --minutes")
        return 1
    rows = verdicts(times, samples)
    print(f"{'process':16}{'quantity':14}{'first third':>12}{'last third':>12}{'an hour':>12}")
    for row in rows:
        print(
            f"{row['process']:16}{row['quantity']:14}{row['first']:12,.0f}{row['last']:12,.0f}"
            f"{row['an_hour']:+12,.1f}  {'flat' if row['flat'] else 'NOT FLAT'}"
        )
    if arguments.json:
        every = [{"at_s": at, **{" ".join(k): v for k, v in s.items()}} for at, s in
                 zip(times, samples, strict=True)]  # fmt: skip
        Path(arguments.json).write_text(json.dumps({"rows": rows, "samples": every}, indent=1))
    return 0 if all(row["flat"] for row in rows) and not lab.failed else 1


if __name__ == "__main__":
    sys.exit(main())
