# SPDX-License-Identifier: Apache-2.0
"""How long one change of one cable takes in a large lab with a trace running, and what others lose.

    python3 bench/changes.py
    python3 bench/changes.py --hosts 100 --rounds 3

A lab of ten switches and many hosts is brought up. While `hoplab trace` runs there, a host sends
another datagrams at an even pace, and the cable of a third is cut, joined again, slowed and cleared
by `hoplab link`, as somebody types it. wall: until the command has ended, the shortest and the
median; a busy machine makes it longer, so its load stands in the first line. CPU: what the command
itself took of a processor. The last line says how many of the datagrams did not come.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PORT, PACE = 5001, 100  # datagrams a second
LAB = "changes"
CABLE, SENDER, RECEIVER = ("h1s1", "s1"), "h2s1", "h2s2"
CHANGES = (
    ("down",), ("up",), ("--delay", "20ms"), ("--delay", "5ms"), ("--rate", "10M"),
    ("--loss", "1%"), ("--clear",),
)  # fmt: skip

# Says that it listens; then, when nothing has come for three seconds, how many different ones did.
RECEIVE = f"""
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, 33, 1 << 24)  # SO_RCVBUFFORCE: a busy machine loses none here
s.bind(("", {PORT}))
print("listens", flush=True)
seen = set()
s.settimeout(60)
try:
    while True:
        seen.add(s.recv(2048))
        s.settimeout(3)
except TimeoutError:
    pass
print(len(seen))
"""
# Numbered datagrams at an even pace until that file is there; prints how many.
SEND = f"""
import os, socket, sys, time
print("sends", flush=True)
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
begun, sent = time.monotonic(), 0
while not os.path.exists(sys.argv[2]):
    while sent < (time.monotonic() - begun) * {PACE}:
        s.sendto(str(sent).encode(), (sys.argv[1], {PORT}))
        sent += 1
    time.sleep(0.002)
print("sent", sent, flush=True)
"""


def command(verb: str, *rest: str) -> list[str]:
    return [sys.executable, "-m", "hoplab.cli.main", verb, "--name", LAB, *rest]


def hoplab(verb: str, *rest: str) -> str:
    """A command of hoplab's; ends the bench if it fails."""
    ended = subprocess.run(command(verb, *rest), cwd=ROOT, capture_output=True, text=True)
    if ended.returncode:
        sys.exit(ended.stdout + ended.stderr)
    return ended.stdout


def timed(*change: str) -> tuple[float, float]:
    """The wall clock's and the processor's milliseconds of one change of the cable."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    hoplab("link", *CABLE, *change)
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall * 1e3, used * 1e3


def measure(rounds: int, stop: Path) -> None:
    address = hoplab("exec", RECEIVER, "--", "hostname", "-I").split()[0]
    receive = command("exec", RECEIVER, "--", sys.executable, "-c", RECEIVE)
    send = command("trace", "--timeout", "600", "--detail", "brief", SENDER, "--",
                   sys.executable, "-c", SEND, address, str(stop))  # fmt: skip
    with subprocess.Popen(receive, cwd=ROOT, stdout=subprocess.PIPE, text=True) as receiver:
        assert receiver.stdout is not None
        receiver.stdout.readline()
        with subprocess.Popen(send, cwd=ROOT, stdout=subprocess.PIPE, text=True) as trace:
            assert trace.stdout is not None
            trace.stdout.readline()
            time.sleep(1)
            print(f"load {os.getloadavg()[0]:.1f}, trace running")
            print(f"\n| hoplab link {' '.join(CABLE)} | wall, ms: shortest | median | CPU, ms |")
            print("|---|---|---|---|", flush=True)
            taken: dict[tuple[str, ...], list[tuple[float, float]]] = {}
            for _ in range(rounds):
                for change in CHANGES:
                    taken.setdefault(change, []).append(timed(*change))
            stop.touch()
            printed, _ = trace.communicate()
        (came,) = receiver.stdout.read().split()
    for measured, times in taken.items():
        wall, used = zip(*times, strict=True)
        print(f"| {' '.join(measured)} | {min(wall):.0f} | {statistics.median(wall):.0f} "
              f"| {statistics.median(used):.0f} |")  # fmt: skip
    (sent,) = (line.split()[-1] for line in printed.splitlines() if line.startswith("sent "))
    print(f"\nlost elsewhere: {int(sent) - int(came)} of {sent} datagrams")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--hosts", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5, help="of all changes")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=Path.home(), prefix="bench-changes-") as folder:
        os.environ["XDG_STATE_HOME"] = folder
        hoplab("up", f"linear,n=10,k={-(-arguments.hosts // 10)}", "--static-arp")
        try:
            measure(arguments.rounds, Path(folder, "stop"))
        finally:
            hoplab("down")


if __name__ == "__main__":
    main()
