# SPDX-License-Identifier: Apache-2.0
"""How fast networks come up, connect and go: ours beside stock Mininet, on the same machine.

    python3 bench/bringup.py            every size up to 500 hosts (about ten minutes)
    python3 bench/bringup.py --quick    the small ones, in less than two minutes

Two tables. The first is the engine alone: the same Mininet topology, built by hoplab's network
and by stock Mininet, each in a private machine with an Open vSwitch (userspace datapath) that runs
already. The second is what a user types: `hoplab up`, `pingall` and `down` beside
`mn --test pingall`, program start included; hoplab also starts its Open vSwitch and controller in
that time, which for mn run already.

The runs alternate (ours, stock, ours, stock, …), a run begins when the kernel has taken away what
the one before left, and each figure is the median. Columns:

    up      from the topology to a started network; in rows with a controller, until every switch
            has finished its handshake with it
    ping    all pairs of ten of the hosts (of all, if fewer), in the way of each: ours keeps 64 raw
            echo requests in flight, stock runs `ping` for one pair after the other
    down    until the user has the prompt back
    gone    until the kernel has freed everything; nobody waits for it
    ratio   stock divided by ours
    bare    single switches alone: the namespaces, veth pairs and addresses over netlink and nothing
            else, no Mininet and no Open vSwitch: by two threads as ours, and by one as a plain
            program would; `of bare` is our `up` divided by the one and by the other

Works as root and as an ordinary user who may run labs. The exit code is 1 if anything failed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import select
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from hoplab import ryu_apps, wait  # noqa: E402
from hoplab.control import process  # noqa: E402
from hoplab.kernel import netlink, sandbox, system_calls  # noqa: E402
from hoplab.kernel.namespaces import Namespace, ipv6_off  # noqa: E402
from hoplab.openvswitch import daemons  # noqa: E402

PINGED = 10  # hosts whose pairs are pinged in the table
ALL_PAIRS_UP_TO = 50  # hosts; more take minutes on a busy machine
RUN_S = 400  # no single run takes as long
CONTROLLER = ROOT / "controllers" / "learning_switch.py"


@dataclass(frozen=True)
class Case:
    """A network to measure. `kind` and `sizes` are as in `mn --topo KIND,SIZES`."""

    kind: str
    sizes: tuple[int, ...]
    controller: bool = False

    def __str__(self) -> str:
        text = ",".join([self.kind, *map(str, self.sizes)])
        return text + (" + controller" if self.controller else "")

    def topo(self, **options: Any) -> Any:
        """The Topo of Mininet's own that `mn` makes of it."""
        from mininet.topo import LinearTopo, SingleSwitchTopo
        from mininet.topolib import TreeTopo

        kinds = {"single": SingleSwitchTopo, "linear": LinearTopo, "tree": TreeTopo}
        return kinds[self.kind](*self.sizes, **options)


QUICK = [
    Case("single", (2,)),
    Case("single", (10,)),
    Case("single", (50,)),
    Case("linear", (10,)),
    Case("tree", (2, 3)),
    Case("single", (10,), controller=True),
]
FULL = [
    *QUICK[:3],
    Case("single", (200,)),
    Case("single", (500,)),
    Case("linear", (10,)),
    Case("linear", (50,)),
    Case("tree", (2, 3)),
    Case("tree", (2, 7)),
    Case("tree", (2, 22)),
    Case("single", (10,), controller=True),
    Case("single", (200,), controller=True),
    Case("tree", (2, 3), controller=True),
]
COMMANDS_QUICK = [Case("single", (10,), controller=True)]
COMMANDS_FULL = [Case(kind, sizes, controller=True) for kind, sizes in (
    ("single", (2,)), ("single", (10,)), ("linear", (10,)), ("tree", (2, 3)))]  # fmt: skip

INTRODUCTION = f"""\
The engines, in seconds (medians): ours, stock Mininet, stock / ours. Each alternates with the other
in private machines of the same kind, over Open vSwitch's userspace datapath. `ping`: all pairs of
up to {PINGED} hosts. `all pairs`: of all hosts, by ours alone, in networks of up to
{ALL_PAIRS_UP_TO} hosts.
"""

Times = dict[str, float]


# ----------------------------------------------------------------------------- a private machine


class Failed(Exception):
    """A run that did not do what it was to do; the text says what."""


def in_machine(work: Callable[[Callable[[Times], None]], None]) -> Times:
    """Run `work(report)` in a fresh private machine. What it reports is returned, with `down` if it
    did not report that itself: how long the machine took to end."""

    def inside(channel: socket.socket) -> int:
        def report(times: Times) -> None:
            channel.send(json.dumps(times).encode())

        try:
            work(report)
        except BaseException:
            channel.send(json.dumps({"failed": traceback.format_exc()[-4000:]}).encode())
        signal.pause()  # the bench ends it
        return 0

    times: dict[str, Any]
    started = sandbox.start("bench", [], inside)
    pidfd = os.pidfd_open(started.pid)
    try:
        started.channel.settimeout(RUN_S)
        data = started.channel.recv(1 << 16)
        times = json.loads(data) if data else {"failed": "its process ended"}
        began = time.perf_counter()
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        started.ended(60)  # what `hoplab down` waits for, too
        times.setdefault("down", time.perf_counter() - began)
        select.select([pidfd], [], [], 60)
        freed()
        times["gone"] = time.perf_counter() - began + times.pop("stopping", 0)
    except TimeoutError:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        raise Failed(f"it has not ended after {RUN_S} s") from None
    finally:
        os.close(pidfd)
        started.channel.close()
    if "failed" in times:
        raise Failed(times["failed"])
    return times


def freed() -> None:
    """Wait until the kernel has freed the network namespaces that nobody is in any more.

    It frees them one batch after the other, so one more that comes last tells: it holds one end of
    a veth pair, and the other end disappears with it. Done in a child, which may enter namespaces.
    """
    child = os.fork()
    if child == 0:
        code = 1
        with contextlib.suppress(BaseException):
            new = system_calls.CLONE_NEWNET | (system_calls.CLONE_NEWUSER if os.geteuid() else 0)
            system_calls.unshare(new)
            here = Namespace.own("here")
            (last,) = Namespace.create(["last"])
            ends = (netlink.End("here", "02:00:00:00:00:01", 10, here.net),
                    netlink.End("there", "02:00:00:00:00:02", 10, last.net))  # fmt: skip
            here.route.send([netlink.veth(*ends)])
            os.close(last.net)
            last.route.close()
            wait.until(
                lambda: "here" not in [name for _, name in socket.if_nameindex()],
                "the kernel to free the namespaces",
                within_s=120,
                longest_s=0.01,
            )
            code = 0
        os._exit(code)
    _, status = os.waitpid(child, 0)
    if status:
        raise Failed("the kernel did not free the namespaces of the run within 120 s")


def neighbours() -> tuple[int, int]:
    """How many entries the machine's table of neighbours (ARP) holds, and how many it may: one
    table for all network namespaces, so every lab on the machine has its share in it."""
    rows = Path("/proc/net/stat/arp_cache").read_text().splitlines()
    most = Path("/proc/sys/net/ipv4/neigh/default/gc_thresh3").read_text()
    return int(rows[1].split()[0], 16), int(most)


def crowded() -> str:
    """A sentence if that table is so full that pings are lost for it, else nothing."""
    try:
        held, most = neighbours()
    except (OSError, ValueError, IndexError):
        return ""
    if held < most * 0.8:
        return ""
    return (
        f"the machine's table of neighbours holds {held} of {most} entries, so pings are lost: "
        "another lab with many hosts is up; end it, or raise net.ipv4.neigh.default.gc_thresh3"
    )


class Machine:
    """What both find in their private machine: a running Open vSwitch, and a controller that
    listens, if the case wants one."""

    def __init__(self, case: Case) -> None:
        from hoplab.kernel.batch import raise_file_limit

        raise_file_limit()
        Namespace.own("root").route.send([netlink.link_up(netlink.LOOPBACK, "lo")])
        logs = Path("/run/bench/logs")
        logs.mkdir(parents=True)
        self.switchd = daemons.Switchd(logs)
        self.switchd.start()
        self.switchd.warm_up("user")
        if case.controller:
            self.controller = process.Controller(ryu_apps.of_files(CONTROLLER), 6653, logs.parent)
            self.controller.start()
            self.controller.ready()
            # Mininet asks telnet whether a controller listens and stumbles over its output when
            # the controller's random numbers are in it; this one says what Mininet looks for.
            telnet = logs / "telnet"
            telnet.write_text("#!/bin/bash\n(exec 3<>/dev/tcp/$3/$4) && echo Connected\n")
            telnet.chmod(0o755)
            os.environ["PATH"] = f"{logs}:{os.environ['PATH']}"


def options(case: Case) -> dict[str, Any]:
    """Without a controller a switch must forward by itself."""
    return {"sopts": {"failMode": "secure" if case.controller else "standalone"}}


def chosen(hosts: list[Any], count: int) -> list[Any]:
    """`count` of the hosts, evenly spread, the first and the last among them."""
    if len(hosts) <= count:
        return hosts
    return [hosts[i * (len(hosts) - 1) // (count - 1)] for i in range(count)]


# ---------------------------------------------------------------------------------- the engines


def ours(case: Case) -> Times:
    """hoplab's network, up, connected and down."""

    def work(report: Callable[[Times], None]) -> None:
        from hoplab import network
        from hoplab.kernel.batch import Batch
        from hoplab.service import pingall

        machine = Machine(case)
        ipv6_off()
        began = time.perf_counter()
        batch = Batch()
        network.install(batch)
        net = network.Network(case.topo(**options(case)), batch, "user")
        net.start()
        if case.controller:
            empty = process.change_over(
                dict.fromkeys(net.bridges(), machine.controller), first=True
            )
            assert not empty, f"no flow in {empty}"
        up = time.perf_counter() - began
        hosts = pingall.hosts_of(net)
        times = {"up": up, "ping": all_talk(chosen(hosts, PINGED))}
        if PINGED < len(hosts) <= ALL_PAIRS_UP_TO:
            times["all"] = all_talk(hosts)
        report(times)

    def all_talk(hosts: list[Any]) -> float:
        from hoplab.service import pingall

        result = pingall.ping_all(hosts)
        assert not result.lost, f"lost: {result.lost[:10]}"
        return result.seconds

    return in_machine(work)


def stock(case: Case) -> Times:
    """Stock Mininet, up, connected and down by net.stop()."""

    def work(report: Callable[[Times], None]) -> None:
        import mininet.log
        from mininet.net import Mininet
        from mininet.node import OVSSwitch, RemoteController
        from mininet.util import specialClass

        mininet.log.setLogLevel("error")
        Machine(case)
        began = time.perf_counter()
        net = Mininet(
            case.topo(**options(case)),
            switch=specialClass(OVSSwitch, defaults={"datapath": "user"}),  # as mn makes it
            controller=RemoteController if case.controller else None,
            waitConnected=case.controller,
        )
        net.start()
        up = time.perf_counter() - began
        began = time.perf_counter()
        lost = net.ping(hosts=chosen(net.hosts, PINGED), timeout="1")
        times = {"up": up, "ping": time.perf_counter() - began, "lost": lost}
        began = time.perf_counter()
        net.stop()
        times["down"] = times["stopping"] = time.perf_counter() - began
        report(times)

    return in_machine(work)


def bare(case: Case, *, threads: int) -> Times:
    """What the kernel takes for the same hosts, in the fewest messages; namespaces by one or two
    threads."""

    def work(report: Callable[[Times], None]) -> None:
        from hoplab.kernel.batch import raise_file_limit

        raise_file_limit()
        ipv6_off()
        began = time.perf_counter()
        root, (count,) = Namespace.own("root"), case.sizes
        # Namespace.create() divides many among two threads, and few not.
        size = count if threads == 2 else 10
        spaces: list[Namespace] = []
        for first in range(0, count, size):
            spaces += Namespace.create(f"h{i}" for i in range(first, min(first + size, count)))
        links = []
        for i, space in enumerate(spaces):
            tail = f"{i >> 8:02x}:{i & 255:02x}"
            here = netlink.End(f"s1-eth{i}", f"02:00:00:00:{tail}", 1000 + i, root.net)
            there = netlink.End("eth0", f"02:00:00:01:{tail}", 2, space.net)
            links.append(netlink.veth(here, there))
        root.route.send(links)
        root.route.send([netlink.link_up(1000 + i, "a port") for i in range(count)])
        for i, space in enumerate(spaces):
            address = netlink.address(2, "eth0", f"10.0.{i >> 8}.{i & 255}/8")
            space.route.send([address, netlink.link_up(2, "eth0")])
        report({"bare": time.perf_counter() - began})

    return in_machine(work)


# ---------------------------------------------------------------------------------- the commands


def ours_typed(case: Case) -> Times:
    """`hoplab up`, `hoplab pingall`, `hoplab down`, each a program of its own."""
    with tempfile.TemporaryDirectory(prefix="hoplab-bench-") as folder:
        file = Path(folder, "net.py")
        file.write_text(
            "from mininet.topo import LinearTopo, SingleSwitchTopo\n"
            "from mininet.topolib import TreeTopo\n"
            "topos = {'single': SingleSwitchTopo, 'linear': LinearTopo, 'tree': TreeTopo}\n"
            f"topos = {{'net': topos[{case.kind!r}]}}\n"
        )
        env = {**os.environ, "XDG_STATE_HOME": folder, "PYTHONPATH": str(ROOT)}

        def run(*arguments: str) -> float:
            began = time.perf_counter()
            result = subprocess.run(
                [sys.executable, "-m", "hoplab.cli.main", *arguments],
                env=env, capture_output=True, text=True, timeout=RUN_S,
            )  # fmt: skip
            if result.returncode:
                raise Failed(f"hoplab {' '.join(arguments)}: {result.stdout}{result.stderr}")
            return time.perf_counter() - began

        try:
            up = run("up", ",".join([str(file), *map(str, case.sizes)]))
            ping = run("pingall")
        except BaseException:
            with contextlib.suppress(Failed):
                run("down", "--all")
            raise
        down = run("down")
        freed()
    return {"up": up, "ping": ping, "down": down, "total": up + ping + down}


def stock_typed(case: Case) -> Times:
    """`mn --test pingall`."""
    mn = daemons._tool("mn")

    def work(report: Callable[[Times], None]) -> None:
        Machine(case)
        topo = ",".join([case.kind, *map(str, case.sizes)])
        argv = [mn, "--topo", topo, "--switch", "ovsk,datapath=user", "--controller", "remote"]
        began = time.perf_counter()
        result = subprocess.run(
            [*argv, "--test", "pingall"], capture_output=True, text=True, timeout=RUN_S
        )
        total = time.perf_counter() - began
        words = result.stdout + result.stderr
        assert result.returncode == 0 and "0% dropped" in words, words[-3000:]
        report({"total": total})

    return in_machine(work)


# -------------------------------------------------------------------------------------- the bench


@dataclass
class Pair:
    """All runs of one case."""

    case: Case
    run_ours: Callable[[Case], Times]
    run_stock: Callable[[Case], Times]
    ours: list[Times] = field(default_factory=list)
    stock: list[Times] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)  # by two threads
    plain: list[float] = field(default_factory=list)  # by one
    failed: list[str] = field(default_factory=list)

    def run(self) -> None:
        """One run of each, ours first in every other pair."""
        if self.run_ours is ours and self.case.kind == "single" and not self.case.controller:
            self.bare.append(bare(self.case, threads=2)["bare"])
            self.plain.append(bare(self.case, threads=1)["bare"])
        sides = [
            ("hoplab", self.run_ours, self.ours),
            ("stock", self.run_stock, self.stock),
        ]
        for name, function, times in sides[:: -1 if len(self.ours) % 2 else 1]:
            try:
                times.append(function(self.case))
            except Exception as error:
                self.failed.append(f"{name}, {self.case}: {error}\n{crowded()}".rstrip())

    def median(self, side: str, phase: str) -> float | None:
        values = [times[phase] for times in getattr(self, side) if phase in times]
        return statistics.median(values) if values else None

    def as_dict(self) -> dict[str, Any]:
        return {
            "network": str(self.case),
            "ours": self.ours,
            "stock": self.stock,
            "bare": self.bare,
            "bare, one thread": self.plain,
            "failed": self.failed,
        }


def number(value: float | None) -> str:
    """Seconds with three digits that matter, or a dash."""
    if value is None:
        return "-"
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def ratio(ours: float | None, stock: float | None) -> str:
    return "-" if not ours or not stock else f"{stock / ours:.1f}"


def table(rows: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0])]
            + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        )
        for row in rows
    )


def engine_table(pairs: list[Pair]) -> str:
    rows = [["network", "runs"]]
    for phase in ("up", "ping", "down", "gone"):
        rows[0] += [phase, "stock", "ratio"]
    rows[0] += ["all pairs", "bare", "of bare", "bare, one thread", "of bare"]
    for pair in pairs:
        row = [str(pair.case), str(min(len(pair.ours), len(pair.stock)))]
        for phase in ("up", "ping", "down", "gone"):
            mine, theirs = pair.median("ours", phase), pair.median("stock", phase)
            row += [number(mine), number(theirs), ratio(mine, theirs)]
        row.append(number(pair.median("ours", "all")))
        for times in (pair.bare, pair.plain):
            least = statistics.median(times) if times else None
            row += [number(least), ratio(least, pair.median("ours", "up"))]
        rows.append(row)
    return table(rows)


def command_table(pairs: list[Pair]) -> str:
    rows = [["network", "runs", "up", "pingall", "down", "total", "mn", "ratio"]]
    for pair in pairs:
        mine = [pair.median("ours", phase) for phase in ("up", "ping", "down", "total")]
        theirs = pair.median("stock", "total")
        runs = str(min(len(pair.ours), len(pair.stock)))
        rows.append(
            [str(pair.case), runs, *map(number, mine), number(theirs), ratio(mine[-1], theirs)]
        )
    return table(rows)


def rounds(pairs: list[Pair], count: int, budget_s: float) -> Iterator[Pair]:
    """Every pair once, then again, `count` times in all; after `budget_s` no further round of a
    pair begins (each has its first)."""
    began = time.monotonic()
    for turn in range(count):
        for pair in pairs:
            if turn == 0 or time.monotonic() - began < budget_s:
                yield pair


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog="\n".join(__doc__.splitlines()[1:]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="small networks, under two minutes")
    parser.add_argument("--runs", type=int, default=3, help="of each (default: 3)")
    parser.add_argument("--json", action="store_true", help="print every run as data")
    arguments = parser.parse_args()
    cases, commands = (QUICK, COMMANDS_QUICK) if arguments.quick else (FULL, COMMANDS_FULL)
    engines = [Pair(case, ours, stock) for case in cases]
    typed = [Pair(case, ours_typed, stock_typed) for case in commands]
    budget_s = 70.0 if arguments.quick else 1200.0
    if text := crowded():
        print(f"note: {text}", file=sys.stderr)
    runs_done = 0
    try:
        for pair in rounds([*typed, *engines], max(1, arguments.runs), budget_s):
            runs_done += 1
            sys.stderr.write(f"\r\x1b[K… run {runs_done}: {pair.case} ")
            sys.stderr.flush()
            pair.run()
    finally:
        sys.stderr.write("\r\x1b[K")
    failed = [text for pair in [*engines, *typed] for text in pair.failed]
    if arguments.json:
        print(json.dumps({"engines": [p.as_dict() for p in engines],
                          "commands": [p.as_dict() for p in typed]}, indent=1))  # fmt: skip
    else:
        print(INTRODUCTION)
        print(engine_table(engines))
        print("\nAs typed: hoplab up, pingall, down; and mn --test pingall. In seconds.\n")
        print(command_table(typed))
    for pair in engines:
        if lost := pair.median("stock", "lost"):
            print(f"\nnote: stock, {pair.case}: {lost:.0f} % of the pings were lost")
    for text in failed:
        print(f"\nFAILED  {text}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
