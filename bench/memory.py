# SPDX-License-Identifier: Apache-2.0
"""What an idle host of a large lab costs in memory, the kernel's part included.

    python3 bench/memory.py
    python3 bench/memory.py --hosts 200 --times 5

A lab of one switch is brought up with two hosts and with many, in turns, and nothing is done in it.
Measured are, of /proc/meminfo, what the kernel takes for itself (SUnreclaim, the slab that it does
not give back, and Percpu), by how much MemAvailable falls, and the Pss of the lab's own processes.
The medians' difference is divided by the number of hosts. `together` is SUnreclaim, Percpu and Pss;
MemAvailable also moves with everything else on the machine. Take more --times where it is busy.

`bare` is what nobody can go below on this kernel: as many network namespaces, each joined to one
more by a veth pair with an address, and nothing else.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from hoplab.kernel import netlink, sandbox  # noqa: E402
from hoplab.kernel.batch import raise_file_limit  # noqa: E402
from hoplab.kernel.namespaces import Namespace  # noqa: E402

NAME = "bench-memory"
TOPO = """
from mininet.topo import Topo

class Single(Topo):
    def build(self, n=2):
        s1 = self.addSwitch("s1")
        for i in range(1, n + 1):
            self.addLink(self.addHost(f"h{i}", ip=f"10.0.{i // 250}.{i % 250 + 1}/16"), s1)

topos = {"single": Single}
"""
SPACES: list[Namespace] = []
QUANTITIES = ("SUnreclaim", "Percpu", "Pss", "together", "MemAvailable")


def meminfo() -> dict[str, int]:
    """KiB by name."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return {line.split(":")[0]: int(line.split()[1]) for line in lines}


def pss(init: int) -> tuple[int, int]:
    """(KiB, number) of all processes of the lab whose process 1 is `init`."""
    ours, total, number = os.readlink(f"/proc/{init}/ns/pid"), 0, 0
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.readlink(entry / "ns/pid") == ours:
                total += int((entry / "smaps_rollup").read_text().split("\nPss:")[1].split()[0])
                number += 1
        except (OSError, IndexError):
            continue  # it has ended meanwhile
    return total, number


def once(state: Path, hosts: int) -> tuple[dict[str, int], int]:
    """KiB that a lab of so many hosts takes, and how many processes it has."""
    env = {**os.environ, "XDG_STATE_HOME": str(state), "PYTHONPATH": str(ROOT)}

    def hoplab(*words: str) -> None:
        argv = [sys.executable, "-m", "hoplab.cli.main", *words, "--name", NAME]
        subprocess.run(argv, env=env, check=True, capture_output=True, timeout=120)

    before = meminfo()
    hoplab("up", f"{state}/single.py,n={hosts}")
    try:
        time.sleep(1)  # what is freed late
        after = meminfo()
        own, number = pss(int((state / "hoplab/labs" / NAME / "init.pid").read_text()))
    finally:
        hoplab("down")
    settle()
    taken = {
        "MemAvailable": before["MemAvailable"] - after["MemAvailable"],
        **{name: after[name] - before[name] for name in ("SUnreclaim", "Percpu")},
        "Pss": own,
    }
    taken["together"] = taken["SUnreclaim"] + taken["Percpu"] + taken["Pss"]
    return taken, number


def bare(hosts: int) -> dict[str, int]:
    """KiB of the kernel's that so many namespaces with a veth pair take."""

    def inside(channel: socket.socket) -> int:
        raise_file_limit()
        root = Namespace.own("root")
        before = meminfo()
        for i, space in enumerate(Namespace.create(f"h{i}" for i in range(hosts))):
            here = netlink.End(f"e{i}", f"02:00:00:00:{i >> 8:02x}:{i & 255:02x}", 10 + i, root.net)
            there = netlink.End("eth0", f"02:00:00:01:{i >> 8:02x}:{i & 255:02x}", 2, space.net)
            root.route.send([netlink.veth(here, there), netlink.link_up(10 + i, here.name)])
            address = netlink.address(2, "eth0", f"10.0.{i // 250}.{i % 250 + 1}/16")
            space.route.send([address, netlink.link_up(2, "eth0")])
            SPACES.append(space)
        time.sleep(1)
        after = meminfo()
        taken = [str(after[name] - before[name]) for name in ("SUnreclaim", "Percpu")]
        channel.send(" ".join(taken).encode())
        channel.recv(1)  # until it is read
        return 0

    started = sandbox.start("bench", [], inside)
    slab, percpu = map(int, started.channel.recv(100).split())
    started.channel.close()
    started.ended(60)
    settle()
    return {"SUnreclaim": slab, "Percpu": percpu}


def settle(within_s: float = 60) -> None:
    """Until the kernel has taken a lab down: memory has not grown for a second."""
    deadline, last = time.monotonic() + within_s, 0
    while time.monotonic() < deadline:
        now = meminfo()["MemAvailable"]
        if now - last < 1024:
            return
        last = now
        time.sleep(1)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--hosts", type=int, default=500)
    parser.add_argument("--times", type=int, default=3)
    arguments = parser.parse_args()
    state = Path(tempfile.mkdtemp(prefix="hoplab-memory-"))
    sizes = (2, arguments.hosts)
    (state / "single.py").write_text(TOPO)
    seen: dict[int, list[dict[str, int]]] = {size: [] for size in sizes}
    processes: dict[int, int] = {}
    floors = []
    try:
        once(state, 2)  # what is read from disk for the first time is no lab's
        for _ in range(arguments.times):
            for size in sizes:
                taken, processes[size] = once(state, size)
                seen[size].append(taken)
            floor = bare(arguments.hosts)
            floors.append(sum(floor.values()) / arguments.hosts)
    finally:
        shutil.rmtree(state, ignore_errors=True)
    print(f"{arguments.times} times each; processes: "
          + ", ".join(f"{processes[size]} with {size} hosts" for size in sizes))  # fmt: skip
    print(f"{'KiB':14}{'2 hosts':>12}{f'{arguments.hosts} hosts':>12}{'a host':>12}")
    for name in QUANTITIES:
        few, many = (statistics.median(taken[name] for taken in seen[size]) for size in sizes)
        share = (many - few) / (arguments.hosts - 2)
        print(f"{name:14}{few:12,.0f}{many:12,.0f}{share:12,.1f}")
        if name == "together":
            together = share
    least = statistics.median(floors)
    print(f"{'bare':38}{least:12,.1f}")
    print(f"together / bare: {together / least:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
