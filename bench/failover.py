# SPDX-License-Identifier: Apache-2.0
"""How long a new pair of hosts is without a controller after the one in charge fails.

    python3 bench/failover.py
    python3 bench/failover.py --times 9 --controller two_table_switch --platform os-ken

The one in charge is killed (KILL) or stopped (STOP), with one controller in the lab and with two.
From that moment on h1 sends a frame every 2 ms, each from an address that nobody knows, to h3;
measured is when the first one arrives. The switch alone carries none of them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
NAME = "bench-failover"
WITHIN_S = 20

LISTEN = """
import socket, time
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88b5))
raw.bind((next(n for _, n in socket.if_nameindex() if "-eth" in n), 0x88b5))
print("ready", flush=True)
raw.recv(2000)
print(time.monotonic())
"""
SEND = """
import os, select, socket, sys, time
pid, number, within_s = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
raw.bind((next(n for _, n in socket.if_nameindex() if "-eth" in n), 0))
os.kill(pid, number)
began = time.monotonic()
count = 0
while time.monotonic() - began < within_s:
    source = b"\\x02\\x77" + os.urandom(4)
    raw.send(b"\\x02\\0\\0\\0\\x03\\0" + source + b"\\x88\\xb5" + bytes(46))
    time.sleep(0.002)
    if select.select([0], [], [], 0)[0]:
        break
print(began)
"""


def hoplab(*words: str) -> list[str]:
    return [sys.executable, "-m", "hoplab.cli.main", *words]


def once(env: dict[str, str], how: int, up: list[str]) -> float:
    """Seconds from the failure to the first frame."""

    def run(*words: str) -> str:
        return subprocess.run(
            hoplab(*words), env=env, check=True, capture_output=True, text=True, timeout=60
        ).stdout

    run("up", "switch", "--name", NAME, *up)
    try:
        state = Path(env["XDG_STATE_HOME"]) / "hoplab/labs" / NAME / "lab.json"
        port = json.loads(state.read_text())["shards"][0]["port"]
        words = ("pgrep", "-f", f"tcp-listen-port {port}")
        pid = run("exec", "--name", NAME, "h1", "--", *words).split()[0]
        pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": env}
        python = (sys.executable, "-c")
        listener = subprocess.Popen(
            hoplab("exec", "--name", NAME, "h3", "--", *python, LISTEN), **pipes
        )
        assert listener.stdout is not None
        listener.stdout.readline()
        rest = (pid, str(how), str(WITHIN_S))
        sender = subprocess.Popen(
            hoplab("exec", "--name", NAME, "h1", "--", *python, SEND, *rest), **pipes
        )
        arrived = float(listener.communicate(timeout=WITHIN_S)[0])
        return arrived - float(sender.communicate("x", timeout=WITHIN_S)[0])
    finally:
        run("down", "--name", NAME)


def main() -> int:
    parser = argparse.ArgumentParser(description="Seconds without a controller, after it failed.")
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--controller", default="learning_switch")
    parser.add_argument("--platform", default="ryu", choices=("ryu", "os-ken"))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory(prefix="hoplab-bench-") as folder:
        env = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": folder}
        common = ["--controller", options.controller, "--platform", options.platform]
        for number in ("1", "2"):
            for name, how in (("KILL", 9), ("STOP", 19)):
                times = []
                for _ in range(options.times):
                    times.append(once(env, how, ["--controllers", number, *common]))
                    time.sleep(0.1)
                results[f"{number} controller(s), {name}"] = times
    if options.json:
        print(json.dumps(results, indent=1))
        return 0
    for name, times in results.items():
        every = " ".join(f"{seconds:.3f}" for seconds in sorted(times))
        print(f"{name:22} median {statistics.median(times):.3f} s   ({every})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
