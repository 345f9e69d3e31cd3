# SPDX-License-Identifier: Apache-2.0
"""TCP through 1, 2, 4 and 8 switches: every datapath that works here beside a Linux bridge and a
bare veth pair.

    python3 bench/datapath.py [--quick] [--json]

A chain of N switches with a host at each end, built by hoplab's network in a private machine, and
iperf3 (one TCP connection, Debian's package iperf3) from the first host to the last. The contenders
alternate; each figure is the median of its runs. Columns:

    Gbit/s         what arrived
    of veth        divided by what a bare veth pair between the hosts carries, in the same round
    of bridge      divided by what as many Linux bridges carry, in the same round
    CPU s/GiB      of iperf3 on both sides and of Open vSwitch (user and system), for a GiB
    idle           share of a core that Open vSwitch takes while nothing is sent

Contenders: `kernel` (where the module is loaded), `user` (plain packet sockets, what a lab has
without the module), `afxdp` (AF_XDP sockets polled by the main thread, `hoplab up --datapath
afxdp`), `afxdp, pmd` (the same with a thread that polls all the time). Offloads are off
everywhere, as in labs; without that a bare veth pair carries several times as much, in segments
that no wire would take.

A second table: a row of many switches, each with a host, whose bridges are divided among 1, 2 and 4
ovs-vswitchd (`hoplab up --vswitchd N`). Columns: `up`, seconds until the network is there, the
further daemons' start included; `ping`, milliseconds from the first host to the last and back, the
median of ten; `all pairs`, seconds until all have reached all; `MiB`, what the daemons take after
that (Pss).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bringup import ALL_PAIRS_UP_TO, Case, Failed, Machine, Times, in_machine, table
from peers import left_out

from hoplab import wait
from hoplab.kernel.namespaces import ipv6_off
from hoplab.openvswitch import daemons

SIZES, SIZES_QUICK = (1, 2, 4, 8), (1, 4)
LONG, LONG_QUICK = (50, 100), (50,)
BARE = "bare veth"
BRIDGE = "Linux bridge"
KINDS = {"kernel": "", "user": "", "afxdp": "afxdp-nonpmd", "afxdp, pmd": "afxdp"}
GIB = 1 << 30


def chain(switches: int, cls: Any = None) -> Any:
    """h1, so many switches in a row, h2."""
    from mininet.topo import Topo

    topo = Topo()
    last = topo.addHost("h1", ip="10.0.0.1/24")
    for number in range(1, switches + 1):
        options = {"cls": cls} if cls else {"failMode": "standalone"}
        topo.addLink(last, switch := topo.addSwitch(f"s{number}", **options))
        last = switch
    topo.addLink(last, topo.addHost("h2", ip="10.0.0.2/24"))
    return topo


def linux_bridge() -> Any:
    """A switch class of Mininet's that is a Linux bridge."""
    from mininet.node import Switch

    class LinuxBridge(Switch):
        def start(self, controllers: Any) -> None:
            ports = [i.name for i in self.intfList() if i.name != "lo"]
            run(["ip", "link", "add", self.name, "type", "bridge"])
            for name in [self.name, *ports]:
                if name != self.name:
                    run(["ip", "link", "set", name, "master", self.name])
                run(["ip", "link", "set", name, "up"])

    return LinuxBridge


def run(argv: list[str]) -> None:
    result = subprocess.run(argv, capture_output=True, text=True, timeout=20)
    if result.returncode:
        raise Failed(f"{' '.join(argv)}: {result.stderr.strip()}")


def cpu_s(process: subprocess.Popen[bytes]) -> float:
    """User and system time of a process so far (proc(5), stat)."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def children_s() -> float:
    """The same of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(contender: str, switches: int, seconds: int) -> Times:
    """One lab, one connection."""

    def work(report: Callable[[Times], None]) -> None:
        from hoplab import network
        from hoplab.kernel.batch import Batch

        machine = Machine(Case("linear", (switches,)))
        vswitchd = machine.switchd.processes["ovs-vswitchd"]
        ipv6_off()
        batch = Batch()
        network.install(batch)
        datapath = "kernel" if contender == "kernel" else "user"
        if KINDS.get(contender):
            daemons.PORT_KINDS["afxdp"] = KINDS[contender]
            datapath = "afxdp"
        if contender == BARE:
            topo = chain(0)
        else:
            topo = chain(switches, linux_bridge() if contender == BRIDGE else None)
        net = network.Network(topo, batch, datapath)
        net.start()
        h1, h2 = net["h1"], net["h2"]

        def there() -> bool:
            ping = h1.popen("ping -q -c 1 -W 1 10.0.0.2", stdout=subprocess.DEVNULL)
            return bool(ping.wait() == 0)

        wait.until(there, "h1 to reach h2", within_s=20)
        began, idle = time.monotonic(), cpu_s(vswitchd)
        time.sleep(0.5)
        idle = (cpu_s(vswitchd) - idle) / (time.monotonic() - began)
        server = h2.popen("iperf3 -s -1 --forceflush")
        server.stdout.readline()
        before = cpu_s(vswitchd) + children_s()
        client = h1.popen(f"iperf3 -c 10.0.0.2 -t {seconds} --json")
        output, wrong = client.communicate(timeout=seconds + 30)
        server.communicate(timeout=10)
        used = cpu_s(vswitchd) + children_s() - before
        answer = json.loads(output)
        if "error" in answer:
            raise Failed(f"iperf3: {answer['error']} {wrong.decode()}")
        received = answer["end"]["sum_received"]
        report({
            "gbit_s": received["bits_per_second"] / 1e9,
            "cpu_s": used / received["bytes"] * GIB,
            "idle": idle,
        })  # fmt: skip

    return in_machine(work)


def row_of(switches: int, pairs: int) -> Times:
    """A row of switches, divided among so many pairs of daemons."""

    def work(report: Callable[[Times], None]) -> None:
        from hoplab import network
        from hoplab.kernel.batch import Batch
        from hoplab.service import pingall

        case = Case("linear", (switches,))
        machine = Machine(case)
        ipv6_off()
        began = time.perf_counter()
        if pairs > 1:
            machine.switchd.divide(pairs)
        batch = Batch()
        network.install(batch)
        net = network.Network(case.topo(sopts={"failMode": "standalone"}), batch, "user")
        net.start()
        times = {"up": time.perf_counter() - began}
        far = net.hosts[-1].IP()

        def there() -> bool:
            first = net["h1"].popen(["ping", "-q", "-c", "1", "-W", "5", far])
            return bool(first.wait() == 0)

        wait.until(there, f"h1 to reach {far}", within_s=120)
        ping = net["h1"].popen(["ping", "-c", "10", "-i", "0.2", "-W", "5", far])
        output = ping.communicate(timeout=60)[0].decode()
        each = [float(ms) for ms in re.findall(r"time=([\d.]+)", output)]
        if not each:
            raise Failed(f"no answer through {switches} switches")
        times["ping_ms"] = statistics.median(each)
        if switches <= ALL_PAIRS_UP_TO:
            result = pingall.ping_all(pingall.hosts_of(net))
            if result.lost:
                raise Failed(f"pings lost: {result.lost[:10]}")
            times["all_s"] = result.seconds
        kib = 0
        for process in machine.switchd.processes.values():
            rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
            kib += int(rollup.split("\nPss:")[1].split()[0])
        report({**times, "mib": kib / 1024})

    return in_machine(work)


def divided(sizes: tuple[int, ...], count: int) -> list[dict[str, Any]]:
    """The second table's rows: medians, in turns."""
    seen: dict[tuple[int, int], list[Times]] = {}
    for _ in range(count):
        for key in [(size, pairs) for size in sizes for pairs in (1, 2, 4)]:
            sys.stderr.write(f"\r\x1b[K… {key[0]} switches, {key[1]} ovs-vswitchd")
            sys.stderr.flush()
            seen.setdefault(key, []).append(row_of(*key))
    sys.stderr.write("\r\x1b[K")
    return [
        {"switches": size, "vswitchd": pairs, "runs": len(times)}
        | {
            figure: statistics.median(each[figure] for each in times)
            for figure in ("up", "ping_ms", "all_s", "mib")
            if figure in times[0]
        }
        for (size, pairs), times in seen.items()
    ]


def contenders() -> list[str]:
    """Those that may work here; whether they do shows."""
    kernel = ["kernel"] if daemons.kernel_datapath() else []
    return [BRIDGE, *kernel, "user", "afxdp", "afxdp, pmd"]


Rounds = dict[tuple[str, int], list[Times | None]]


def rounds(sizes: tuple[int, ...], count: int, seconds: int) -> tuple[Rounds, dict[str, str]]:
    """All of it, in turns; and why contenders are out, by name."""
    seen: Rounds = {}
    out: dict[str, str] = {}
    for _ in range(count):
        for name, size in [(BARE, 0), *((c, n) for n in sizes for c in contenders())]:
            sys.stderr.write(f"\r\x1b[K… {name}, {size}")
            sys.stderr.flush()
            result = None
            if name not in out:
                try:
                    result = measure(name, size, seconds)
                except Failed as error:
                    out[name] = str(error).strip().splitlines()[-1]
            seen.setdefault((name, size), []).append(result)
    sys.stderr.write("\r\x1b[K")
    return seen, out


def median(values: list[float]) -> float | None:
    return statistics.median(values) if values else None


def ratios(some: list[Times | None], theirs: list[Times | None]) -> float | None:
    """The median of what each round gives."""
    both = zip(some, theirs, strict=True)
    return median([a["gbit_s"] / b["gbit_s"] for a, b in both if a and b])


def rows(seen: Rounds) -> list[dict[str, Any]]:
    """One a contender and number of switches."""
    table = []
    for (name, size), times in seen.items():
        whole = [each for each in times if each]
        if not whole:
            continue
        row: dict[str, Any] = {"contender": name, "switches": size, "runs": len(whole)}
        for figure in ("gbit_s", "cpu_s", "idle"):
            row[figure] = median([each[figure] for each in whole])
        row["of_veth"] = ratios(times, seen[BARE, 0])
        bridges = seen.get((BRIDGE, size))
        row["of_bridge"] = ratios(times, bridges) if bridges else None
        table.append(row)
    return table


def as_table(measured: list[dict[str, Any]]) -> str:
    head = ["", "switches", "Gbit/s", "of veth", "of bridge", "CPU s/GiB", "idle"]

    def said(value: float | None, places: int = 2) -> str:
        return "-" if value is None else f"{value:.{places}f}"

    lines = [
        [row["contender"], str(row["switches"]), said(row["gbit_s"]), said(row["of_veth"], 3),
         said(row["of_bridge"]), said(row["cpu_s"], 1), f"{row['idle']:.0%}"]
        for row in measured
    ]  # fmt: skip
    return table([head, *lines])


def as_second_table(measured: list[dict[str, Any]]) -> str:
    def said(row: dict[str, Any], figure: str, places: int) -> str:
        return f"{row[figure]:.{places}f}" if figure in row else "-"

    lines = [
        [str(row["switches"]), str(row["vswitchd"]), said(row, "up", 2), said(row, "ping_ms", 0),
         said(row, "all_s", 1), said(row, "mib", 0)]
        for row in measured
    ]  # fmt: skip
    return table([["switches", "ovs-vswitchd", "up", "ping", "all pairs", "MiB"], *lines])


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog="\n".join(__doc__.splitlines()[1:]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="1 and 4 switches, one round")
    parser.add_argument("--rounds", type=int, default=3, help="of each (default: 3)")
    parser.add_argument("--seconds", type=int, default=1, help="of each connection (default: 1)")
    parser.add_argument("--json", action="store_true", help="print data instead of tables")
    arguments = parser.parse_args()
    if not shutil.which("iperf3"):
        left_out("iperf3", "everything, as it makes the load")
        return 0
    count = 1 if arguments.quick else max(1, arguments.rounds)
    sizes = SIZES_QUICK if arguments.quick else SIZES
    seen, out = rounds(sizes, count, arguments.seconds)
    table = rows(seen)
    many = divided(LONG_QUICK if arguments.quick else LONG, 1 if arguments.quick else 2)
    if arguments.json:
        print(json.dumps({"rows": table, "out": out, "divided": many}, indent=1))
    else:
        print(as_table(table))
        print()
        print(as_second_table(many))
    for name, why in out.items():
        print(f"\nnot here: {name}: {why}", file=sys.stderr)
    return 1 if BARE in out or "user" in out else 0


if __name__ == "__main__":
    sys.exit(main())
