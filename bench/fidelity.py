# SPDX-License-Identifier: Apache-2.0
"""Whether hoplab sees that the machine distorted a run: judged against an injector's own log.

    python3 bench/fidelity.py                       # 100 runs with an overload, 100 without: 9 min
    python3 bench/fidelity.py --injected 10 --control 0 --kinds stop,queue
    python3 bench/fidelity.py --json > verdicts.json

One lab stays up. Each run is a ping of 1.4 s through two switches and a router, captured and told
as `hoplab trace` does it. In the runs with an overload an injector in the lab begins one at a
random moment, and writes down when it began and when it was over:

    hogs   busy processes take the machine's processors, several on each
    stop   ovs-vswitchd is stopped by a signal (SIGSTOP) and goes on later
    queue  a queue in front of a switch's cable (tc tbf) takes next to nothing, and is full

Each run's verdict is held against that log: was an overload told that was there (detected), was one
told that was not (false alarm), and how far from the overload's beginning the frame is that is
named. A control run counts only while all tasks together waited for a processor for less than 5 %
of its time (/proc/pressure/cpu, from the first moment to the last); how many did not count is said.
Intervals are Wilson's, for 95 %.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from hoplab import runs  # noqa: E402
from hoplab.client import labs, recording  # noqa: E402
from hoplab.client.commands import run_on  # noqa: E402
from hoplab.report import fidelity_as_json  # noqa: E402
from hoplab.story.fidelity_records import STOPPED, Fidelity  # noqa: E402

NAME = "bench-fidelity"
KINDS = ("hogs", "stop", "queue")
PRESSURE = Path("/proc/pressure/cpu")
QUIET = 0.05  # of the time of a control run that counts
PINGS, APART_S = 140, 0.01
HOGS_EACH = 8  # a processor
LASTS_S = {"hogs": (1.0, 1.2), "stop": (0.1, 0.5), "queue": (0.3, 0.6)}
QUEUE_PORT = "s2-eth2"  # towards the host that is pinged

# Runs in the lab, beside its switches: an order a line, an entry of its log a line.
INJECTOR = r"""
import json, os, signal, subprocess, sys, time

def vswitchd():
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/comm") as file:
                if file.read().strip() == "ovs-vswitchd":
                    return int(name)
        except OSError:
            pass
    raise SystemExit("no ovs-vswitchd")

def stopped(pid):
    with open(f"/proc/{pid}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()[0] == b"T"

def hogs(for_s, number, port):
    began_ns = time.time_ns()
    busy = []
    for _ in range(number):
        pid = os.fork()
        if not pid:
            while True:
                pass
        busy.append(pid)
    time.sleep(for_s)
    for pid in busy:
        os.kill(pid, signal.SIGKILL)
    for pid in busy:
        os.waitpid(pid, 0)
    return began_ns, time.time_ns()

def stop(for_s, number, port):
    pid = vswitchd()
    began_ns = time.time_ns()
    os.kill(pid, signal.SIGSTOP)
    until_s = time.monotonic() + for_s
    while time.monotonic() < until_s:
        time.sleep(0.002)
        if not stopped(pid):  # the lab lets it go on, as soon as it sees that
            os.kill(pid, signal.SIGSTOP)
    os.kill(pid, signal.SIGCONT)
    return began_ns, time.time_ns()

def queue(for_s, number, port):
    tc = ["tc", "qdisc", "replace", "dev", port, "root"]
    subprocess.run([*tc, "tbf", "rate", "8kbit", "burst", "200", "limit", "400"], check=True)
    began_ns = time.time_ns()
    time.sleep(for_s)
    ended_ns = time.time_ns()
    subprocess.run(["tc", "qdisc", "del", "dev", port, "root"], check=True)
    return began_ns, ended_ns

print("ready", flush=True)
for line in sys.stdin:
    kind, for_s, number, port = line.split()
    began_ns, ended_ns = globals()[kind](float(for_s), int(number), port)
    print(json.dumps({"kind": kind, "began_ns": began_ns, "ended_ns": ended_ns}), flush=True)
"""


class Injector:
    """The process that makes overloads."""

    def __init__(self, env: dict[str, str]) -> None:
        command = hoplab("exec", "--name", NAME, "s1", "--", sys.executable, "-c", INJECTOR)
        self.process = subprocess.Popen(
            command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None and self.process.stdin is not None
        if self.process.stdout.readline() != "ready\n":
            raise SystemExit("the injector did not start")

    def inject(self, kind: str, for_s: float, hogs: int) -> dict[str, Any]:
        """Make one, wait until it is over: what the injector wrote down."""
        assert self.process.stdout is not None and self.process.stdin is not None
        self.process.stdin.write(f"{kind} {for_s} {hogs} {QUEUE_PORT}\n")
        self.process.stdin.flush()
        entry: dict[str, Any] = json.loads(self.process.stdout.readline())
        return entry

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(10)


@dataclass
class Trial:
    """A run and its verdict. kind: of the overload, "" for none. pressed: the part of the time in
    which tasks waited for a processor. told: an overload of this kind was told. late_ms: from its
    beginning to the frame that is named, None where none is."""

    kind: str
    pressed: float
    told: bool
    late_ms: float | None = None
    log: dict[str, Any] = field(default_factory=dict)
    fidelity: dict[str, Any] = field(default_factory=dict)


def hoplab(*words: str) -> list[str]:
    return [sys.executable, "-m", "hoplab.cli.main", *words]


def pressed_us() -> int:
    return int(PRESSURE.read_text().split("\n", 1)[0].rpartition("total=")[2])


def one_run(
    handle: labs.Handle, injector: Injector, kind: str, rng: random.Random, folder: Path
) -> Trial:
    """One run, told, and judged against the injector's log."""
    log: dict[str, Any] = {}
    first_s, for_s = rng.uniform(0.2, 0.4), rng.uniform(*LASTS_S[kind]) if kind else 0.0

    def inject() -> None:
        time.sleep(first_s)
        log.update(injector.inject(kind, for_s, HOGS_EACH * (os.cpu_count() or 1)))

    command = ["ping", "-c", str(PINGS), "-i", str(APART_S), "-q", "10.0.2.10"]

    def ping() -> None:  # begins when all interfaces are heard
        worker = threading.Thread(target=inject) if kind else None
        if worker is not None:
            worker.start()
        run_on(handle, "h1", command)
        if worker is not None:
            worker.join()

    before_us, before_s = pressed_us(), time.monotonic()
    recording.watch(handle, folder, ping)
    pressed = (pressed_us() - before_us) / 1e6 / (time.monotonic() - before_s)
    story = runs.read(folder, host="h1", command=" ".join(command)).story
    fidelity = story.fidelity
    named = fidelity_as_json.to_dict(fidelity, story.started_ns)
    named.pop("took")
    if not kind:
        told = fidelity.distorted or bool(fidelity.crushes)
        return Trial("", pressed, told, fidelity=named)
    begins = begun_at(fidelity, kind)
    late_ms = (begins[0] - log["began_ns"]) / 1e6 if begins and begins[0] else None
    return Trial(kind, pressed, bool(begins), late_ms, log, named)


def begun_at(fidelity: Fidelity, kind: str) -> list[int]:
    """When each overload of this kind began by the verdict (0: it does not say), the first first;
    none where it tells of none."""
    if kind == "queue":
        return sorted(queue.t_ns for queue in fidelity.queues if queue.interface == QUEUE_PORT)
    begun = [
        spell.began_ns
        for spell in fidelity.spells
        if any((cause.code == STOPPED) == (kind == "stop") for cause in spell.causes)
    ]
    if kind == "hogs":  # told whether a frame was late by them or not
        begun += [crush.began_ns for crush in fidelity.crushes]
    return sorted(begun)


def interval(hits: int, of: int) -> tuple[float, float]:
    """Wilson's, for 95 %, of a share."""
    if not of:
        return 0.0, 1.0
    z, share = 1.96, hits / of
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of)) / (1 + z * z / of)
    return max(0.0, middle - half), min(1.0, middle + half)


def row(name: str, hits: int, of: int, late: list[float]) -> str:
    low, high = interval(hits, of)
    share = f"{hits / of:7.1%}" if of else "      -"
    text = f"{name:<16} {hits:>4} of {of:<4} {share}  ({low:.1%} to {high:.1%})"
    if late:
        ordered = sorted(late)
        text += (
            f"   the frame named: median {statistics.median(ordered):+.0f} ms from the beginning,"
            f" {ordered[0]:+.0f} to {ordered[-1]:+.0f} ms"
        )
    return text


def tell(trials: list[Trial], took_s: float) -> None:
    injected = [trial for trial in trials if trial.kind]
    for kind in dict.fromkeys(trial.kind for trial in injected):
        every = [trial for trial in injected if trial.kind == kind]
        late = [trial.late_ms for trial in every if trial.late_ms is not None]
        print(row(f"detected {kind}", sum(trial.told for trial in every), len(every), late))
    if injected:
        print(row("detected", sum(trial.told for trial in injected), len(injected), []))
    control = [trial for trial in trials if not trial.kind]
    counted = [trial for trial in control if trial.pressed < QUIET]
    if control:
        print(row("false alarms", sum(trial.told for trial in counted), len(counted), []))
        print(
            f"{len(control) - len(counted)} of {len(control)} control runs do not count: tasks "
            f"waited for a processor {QUIET:.0%} of their time or more"
        )
    print(f"{len(trials)} runs in {took_s:.0f} s")


def all_runs(options: argparse.Namespace) -> list[Trial]:
    """A lab, and in it the runs, in an order that chance decides."""
    rng = random.Random(options.seed)
    kinds = options.kinds.split(",")
    wanted = [kinds[place % len(kinds)] for place in range(options.injected)]
    wanted += [""] * options.control
    rng.shuffle(wanted)
    trials: list[Trial] = []
    with tempfile.TemporaryDirectory(prefix="hoplab-bench-") as place:
        os.environ["XDG_STATE_HOME"] = place
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        subprocess.run(hoplab("up", "routed", "--name", NAME), env=env, check=True,
                       stdout=subprocess.DEVNULL)  # fmt: skip
        try:
            handle, injector = labs.Handle(NAME), Injector(env)
            warm = ("exec", "--name", NAME, "h1", "--", "ping", "-c", "3", "-i", "0.2", "-q")
            subprocess.run(hoplab(*warm, "10.0.2.10"), env=env, stdout=subprocess.DEVNULL)
            for number, kind in enumerate(wanted):
                folder = Path(place) / f"run-{number}"
                folder.mkdir()
                trial = one_run(handle, injector, kind, rng, folder)
                trials.append(trial)
                if options.keep and trial.told != bool(kind):
                    shutil.move(folder, Path(options.keep) / f"{kind or 'control'}-{number}")
                else:
                    shutil.rmtree(folder)
            injector.close()
        finally:
            subprocess.run(hoplab("down", "--name", NAME), env=env, stdout=subprocess.DEVNULL)
    return trials


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Whether hoplab sees that the machine distorted a run."
    )
    parser.add_argument("--injected", type=int, default=100, help="runs with an overload")
    parser.add_argument("--control", type=int, default=100, help="runs without")
    parser.add_argument("--kinds", default=",".join(KINDS), help="of overloads, by turns")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", metavar="DIR", help="keep the runs that were judged wrongly")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if not PRESSURE.exists():
        print(f"{PRESSURE} is missing (the kernel's option psi=1): left out: everything",
              file=sys.stderr)  # fmt: skip
        return 0
    if options.keep:
        Path(options.keep).mkdir(parents=True, exist_ok=True)
    began_s = time.monotonic()
    trials = all_runs(options)
    if options.json:
        print(json.dumps([asdict(trial) for trial in trials], indent=1))
    else:
        tell(trials, time.monotonic() - began_s)
    return 0


if __name__ == "__main__":
    sys.exit(main())
