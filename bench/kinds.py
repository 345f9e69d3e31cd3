# SPDX-License-Identifier: Apache-2.0
"""Networks of the kinds that data centres and textbooks know: ours beside stock Mininet.

    python3 bench/kinds.py                     all kinds, ours and stock (half an hour)
    python3 bench/kinds.py --ours fat-tree,4   one kind, ours alone

Kinds: linear,N; tree,DEPTH,FANOUT; fat-tree,K (Al-Fares et al., SIGCOMM 2008: K pods of K switches,
K^3/4 hosts); vl2,DA,DI (Greenberg et al., SIGCOMM 2009: DA/2 intermediate, DI aggregation switches
and DA*DI/4 top-of-rack switches of two uplinks, here with five hosts each); mesh,N,HOSTS (every
switch joined to every other). These are the kinds of the first Mininet paper (Lantz, Heller,
McKeown, HotNets 2010).

Columns: `up`, `down` and `gone` as in bringup.py; `memory` is what the machine's MemAvailable lost
between an Open vSwitch without bridges and the network that is up, in MiB; `talk` is how many of
twelve pairs, spread over the hosts, answer a ping. Switches of kinds with loops forward nothing at
first; then they get their own rapid spanning tree (IEEE 802.1D-2004) and its time to settle before
the pairs are asked. That time is no part of `up`.

A stock run that takes longer than ten minutes is stopped and shown as `>600`.
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bringup
from bringup import Case, Failed, Machine, Times, in_machine, number, ratio, table

from hoplab import wait
from hoplab.openvswitch import daemons

PAIRS = 12
SETTLED_WITHIN_S = 120
ALL = [
    "linear,100", "vl2,4,4", "fat-tree,4", "fat-tree,6", "fat-tree,8", "mesh,10,40",
    "tree,4,4", "tree,2,16", "tree,2,32",
]  # fmt: skip


class KindCase(Case):
    """A network of one of the kinds."""

    @property
    def loops(self) -> bool:
        return self.kind in ("fat-tree", "vl2", "mesh")

    def options(self) -> dict[str, Any]:
        """Of the switches: how they forward until they are told more."""
        return {"sopts": {"failMode": "secure" if self.loops else "standalone"}}

    def topo(self, **options: Any) -> Any:
        makers: dict[str, Callable[..., Any]] = {"fat-tree": fat_tree, "vl2": vl2, "mesh": mesh}
        if self.kind not in makers:
            return super().topo(**options)
        return makers[self.kind](*self.sizes, **options)


def fat_tree(k: int, **options: Any) -> Any:
    """K pods, each of K/2 edge and K/2 aggregation switches; (K/2)^2 core switches."""
    from mininet.topo import Topo

    topo, half = Topo(**options), k // 2
    numbers = iter(range(1, 10_000))
    hosts = iter(range(1, 10_000))
    cores = [topo.addSwitch(f"c{next(numbers)}") for _ in range(half * half)]
    for _pod in range(k):
        above = [topo.addSwitch(f"a{next(numbers)}") for _ in range(half)]
        for place, switch in enumerate(above):
            for core in cores[place * half : (place + 1) * half]:
                topo.addLink(switch, core)
        for _ in range(half):
            edge = topo.addSwitch(f"e{next(numbers)}")
            for switch in above:
                topo.addLink(edge, switch)
            for _ in range(half):
                topo.addLink(topo.addHost(f"h{next(hosts)}"), edge)
    return topo


def vl2(da: int, di: int, **options: Any) -> Any:
    """DA/2 intermediate switches, each joined to all DI aggregation switches; racks below."""
    from mininet.topo import Topo

    topo = Topo(**options)
    numbers = iter(range(1, 10_000))
    hosts = iter(range(1, 10_000))
    middle = [topo.addSwitch(f"i{next(numbers)}") for _ in range(da // 2)]
    above = [topo.addSwitch(f"a{next(numbers)}") for _ in range(di)]
    for switch in above:
        for aggregate in middle:
            topo.addLink(switch, aggregate)
    for rack in range(da * di // 4):
        top = topo.addSwitch(f"t{next(numbers)}")
        for step in (0, 1):
            topo.addLink(top, above[(2 * rack + step) % di])
        for _ in range(5):
            topo.addLink(topo.addHost(f"h{next(hosts)}"), top)
    return topo


def mesh(n: int, hosts: int, **options: Any) -> Any:
    """N switches, each joined to every other; the hosts in turn at one of them."""
    from mininet.topo import Topo

    topo = Topo(**options)
    switches = [topo.addSwitch(f"s{number}") for number in range(1, n + 1)]
    for place, switch in enumerate(switches):
        for earlier in switches[:place]:
            topo.addLink(switch, earlier)
    for place in range(hosts):
        topo.addLink(topo.addHost(f"h{place + 1}"), switches[place % n])
    return topo


def available_mib() -> float:
    """The machine's memory that programs could still have (proc(5), MemAvailable), in MiB."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) / 1024
    raise Failed("/proc/meminfo has no MemAvailable")


def twelve(hosts: list[Any]) -> list[tuple[int, int]]:
    """Twelve pairs of places among the hosts, near and far."""
    n = len(hosts)
    return [(place * n // PAIRS, (place * n // PAIRS + (place + 1) * n // PAIRS - 1) % n)
            for place in range(PAIRS)]  # fmt: skip


def set_all(bridges: list[str], column: str) -> None:
    """Change a column of all bridges at once."""
    words = [word for name in bridges for word in ("--", "set", "Bridge", name, column)]
    daemons.vsctl(*words[1:], timeout_s=120)


def settled() -> bool:
    """Whether the switches agree on one root and no port is on its way to forwarding."""
    listing = daemons.appctl("rstp/show")
    roots = listing.count("This bridge is the root")
    moving = re.search(r"Designated +(Discarding|Learning)", listing)
    return roots == 1 and "Forwarding" in listing and not moving


def talking(net: Any, case: KindCase, ping: Callable[[list[tuple[int, int]]], int]) -> Times:
    """How many of the twelve pairs talk, once the loops are broken, and of how many."""
    pairs = [pair for pair in twelve(net.hosts) if pair[0] != pair[1]]
    if not case.loops:
        return {"talk": ping(pairs), "asked": len(pairs)}
    bridges = [switch.name for switch in net.switches]
    set_all(bridges, "rstp_enable=true")
    wait.until(settled, "the spanning tree", within_s=SETTLED_WITHIN_S, longest_s=0.5)
    set_all(bridges, "fail_mode=standalone")
    best = 0
    deadline = time.monotonic() + SETTLED_WITHIN_S
    while best < len(pairs) and time.monotonic() < deadline:
        best = max(best, ping(pairs))
    return {"talk": best, "asked": len(pairs)}


def ours(case: Case) -> Times:
    """hoplab's network of that kind."""
    assert isinstance(case, KindCase)

    def work(report: Callable[[Times], None]) -> None:
        from hoplab import network
        from hoplab.kernel.batch import Batch
        from hoplab.kernel.namespaces import ipv6_off
        from hoplab.service import pingall

        Machine(case)
        ipv6_off()
        before = available_mib()
        began = time.perf_counter()
        batch = Batch()
        network.install(batch)
        net = network.Network(case.topo(**case.options()), batch, "user")
        net.start()
        up = time.perf_counter() - began
        memory = before - available_mib()
        hosts = pingall.hosts_of(net)

        def ping(pairs: list[tuple[int, int]]) -> int:
            return sum(pingall.ping_all([hosts[i], hosts[j]]).received == 2 for i, j in pairs)

        report({"up": up, "memory": memory, **talking(net, case, ping)})

    return in_machine(work)


def stock(case: Case) -> Times:
    """Stock Mininet's."""
    assert isinstance(case, KindCase)

    def work(report: Callable[[Times], None]) -> None:
        import mininet.log
        from mininet.net import Mininet
        from mininet.node import OVSSwitch
        from mininet.util import specialClass

        mininet.log.setLogLevel("error")
        Machine(case)
        before = available_mib()
        began = time.perf_counter()
        defaults = {"datapath": "user"}
        net = Mininet(case.topo(**case.options()), controller=None,
                      switch=specialClass(OVSSwitch, defaults=defaults))  # fmt: skip
        net.start()
        up = time.perf_counter() - began
        memory = before - available_mib()

        def ping(pairs: list[tuple[int, int]]) -> int:
            return sum(
                " 0% packet loss" in net.hosts[i].cmd(f"ping -c 1 -W 2 {net.hosts[j].IP()}")
                for i, j in pairs
            )

        times = {"up": up, "memory": memory, **talking(net, case, ping)}
        began = time.perf_counter()
        net.stop()
        times["down"] = times["stopping"] = time.perf_counter() - began
        report(times)

    return in_machine(work)


def spoken(times: Times) -> str:
    """As in 12/12."""
    return f"{times['talk']:.0f}/{times['asked']:.0f}" if "talk" in times else "-"


def run(side: Callable[[Case], Times], case: KindCase, failed: list[str]) -> Times | None:
    try:
        return side(case)
    except Failed as error:
        failed.append(f"{side.__name__}, {case}: {error}")
        return None


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog="\n".join(__doc__.splitlines()[1:]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("kinds", nargs="*", default=ALL, help=f"default: {' '.join(ALL)}")
    parser.add_argument("--ours", action="store_true", help="ours alone")
    parser.add_argument("--json", action="store_true", help="print the figures as data")
    arguments = parser.parse_args()
    bringup.RUN_S = 600
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    rows: list[list[str]] = []
    data: list[dict[str, Any]] = []
    failed: list[str] = []
    head = ["network", "hosts", "switches", "up", "stock", "ratio", "down", "stock", "ratio",
            "gone", "memory", "stock", "talk", "stock"]  # fmt: skip
    for text in arguments.kinds:
        kind, *sizes = text.split(",")
        case = KindCase(kind, tuple(map(int, sizes)))
        topo = case.topo()
        size = [str(len(topo.hosts())), str(len(topo.switches()))]
        sys.stderr.write(f"\r\x1b[K… {case}")
        sys.stderr.flush()
        ours_run = run(ours, case, failed) or {}
        stock_run = {} if arguments.ours else run(stock, case, failed) or {}
        data.append({"network": str(case), "ours": ours_run, "stock": stock_run})
        row = [str(case), *size]
        for phase in ("up", "down"):
            mine, theirs = ours_run.get(phase), stock_run.get(phase)
            row += [number(mine), number(theirs), ratio(mine, theirs)]
        row.append(number(ours_run.get("gone")))
        row += [
            f"{side['memory']:.0f}" if "memory" in side else "-" for side in (ours_run, stock_run)
        ]
        row += [spoken(side) for side in (ours_run, stock_run)]
        rows.append(row)
    sys.stderr.write("\r\x1b[K")
    print(json.dumps(data, indent=1) if arguments.json else table([head, *rows]))
    for line in failed:
        print(f"FAILED  {line}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
