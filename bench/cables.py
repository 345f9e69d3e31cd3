# SPDX-License-Identifier: Apache-2.0
"""What a cable does beside what `hoplab link` asked of it: rate, delay and loss.

    python3 bench/cables.py
    python3 bench/cables.py --frames 20000 --pings 200

A lab of one switch and two hosts is brought up for it, and the cable h1 s1 is changed. The rate is
that of full frames as they come to h2, while h1 sends twice as many; the delay is half of what a
ping takes longer than over the plain cable, the median of all; the loss is what of so many frames
did not come. The first line says who delays frames: the kernel (netem) or hoplab itself. The same
script runs on machines of both kinds.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RATES = ("1M", "5M", "20M")
DELAYS = ("1ms", "10ms", "50ms", "150ms")
LOSSES = ("1%", "10%", "50%")
UNITS = {"M": 1e6, "k": 1e3}
PORT, PAYLOAD, FRAME = 5001, 1472, 1514
PACE = 1000  # frames a second where losses are counted
LAB = "cables"

# Counts what comes until nothing has for five seconds; the first line says that it listens.
RECEIVE = f"""
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, 33, 1 << 24)  # SO_RCVBUFFORCE: a busy machine loses none here
s.bind(("", {PORT}))
print("listens", flush=True)
s.settimeout(20)
times = []
try:
    while True:
        s.recv(2048)
        times.append(time.monotonic())
        s.settimeout(5)
except TimeoutError:
    pass
print(len(times), times[-1] - times[0] if times else 0)
"""
# Frames at an even pace: all that are due are sent, then it sleeps for a millisecond.
SEND = f"""
import socket, sys, time
to, frames, pace = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
begun, sent = time.monotonic(), 0
while sent < frames:
    while sent < min(frames, (time.monotonic() - begun) * pace):
        s.sendto(bytes({PAYLOAD}), (to, {PORT}))
        sent += 1
    time.sleep(0.001)
"""


def command(verb: str, *rest: str) -> list[str]:
    return [sys.executable, "-m", "hoplab.cli.main", verb, "--name", LAB, *rest]


def hoplab(verb: str, *rest: str) -> str:
    """A command of hoplab's; ends the bench if it fails."""
    ended = subprocess.run(command(verb, *rest), cwd=ROOT, capture_output=True, text=True)
    if ended.returncode and verb != "exec":
        sys.exit(ended.stdout + ended.stderr)
    return ended.stdout


def frames(number: int, pace: float) -> tuple[int, float]:
    """How many of so many frames came from h1 to h2, and within how many seconds."""
    line = command("exec", "h2", "--", sys.executable, "-c", RECEIVE)
    with subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, text=True) as receiver:
        assert receiver.stdout is not None
        receiver.stdout.readline()
        hoplab("exec", "h1", "--", sys.executable, "-c", SEND, "10.0.0.2", f"{number}", f"{pace}")
        count, seconds = receiver.stdout.readline().split()
    return int(count), float(seconds)


def round_trip(pings: int) -> float:
    """The median of so many pings, in milliseconds."""
    printed = hoplab("exec", "h1", "--", "ping", "-c", f"{pings}", "-i", "0.02", "10.0.0.2")
    return statistics.median(float(time) for time in re.findall(r"time=([\d.]+)", printed))


def has_netem() -> bool:
    line = "tc qdisc add dev lo root netem delay 1ms && tc qdisc del dev lo root && echo yes"
    return "yes" in hoplab("exec", "h1", "--", "sh", "-c", f"{line} 2>/dev/null")


def measure(number: int, pings: int) -> None:
    print("delay by", "the kernel (netem)" if has_netem() else "hoplab (no netem)", flush=True)
    print("\n| asked | measured |\n|---|---|", flush=True)
    for rate in RATES:
        asked = float(rate[:-1]) * UNITS[rate[-1]]
        hoplab("link", "h1", "s1", "--rate", rate)
        pace = 2 * asked / (8 * FRAME)
        count, seconds = frames(max(200, min(number, int(pace * 4))), pace)
        print(f"| --rate {rate} | {(count - 1) * 8 * FRAME / seconds / 1e6:.2f}M |", flush=True)
    hoplab("link", "h1", "s1", "--clear")
    plain = round_trip(pings)
    for delay in DELAYS:
        hoplab("link", "h1", "s1", "--delay", delay)
        print(f"| --delay {delay} | {(round_trip(pings) - plain) / 2:.2f}ms |", flush=True)
    hoplab("link", "h1", "s1", "--clear")
    for loss in LOSSES:
        hoplab("link", "h1", "s1", "--loss", loss)
        count, _ = frames(number, PACE)
        print(f"| --loss {loss} | {100 * (number - count) / number:.2f}% |", flush=True)
    hoplab("link", "h1", "s1", "--clear")
    count, _ = frames(number, PACE)
    print(f"| nothing | {100 * (number - count) / number:.2f}% lost, {plain:.2f}ms both ways |")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--frames", type=int, default=5000, help="of which losses are counted")
    parser.add_argument("--pings", type=int, default=50, help="of which the median is taken")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_STATE_HOME"] = folder
        hoplab("up", "switch,n=2")
        try:
            hoplab("exec", "h1", "--", "ping", "-c", "1", "10.0.0.2")
            measure(arguments.frames, arguments.pings)
        finally:
            hoplab("down")


if __name__ == "__main__":
    main()
