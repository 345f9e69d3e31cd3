# SPDX-License-Identifier: Apache-2.0
"""How many tests a minute, each with a fresh network of ten nodes: ours beside Mininet and munet.

    sudo python3 bench/pytest_labs.py                ours and stock Mininet
    sudo python3 bench/pytest_labs.py --munet PYTHON and munet, for that Python (with pytest)

The same in all: nine hosts and a switch come up, h1 pings h9 once, all is taken down; one test
after the other in one process of pytest. Ours starts Open vSwitch and a learning switch (Ryu) for
each test. Mininet finds ovs-vswitchd running, and its switch forwards by itself (OVSBridge);
munet's is a Linux bridge. The rows `cable` are ours and Mininet's with two hosts and no switch.

Mininet and munet run in a network, mount and PID namespace of their own, so nothing of the
machine's is touched. They take turns with ours, --rounds times; figures are medians. The exit code
is 1 if a test failed.
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
from typing import Any

from bringup import Case, Failed, Machine, in_machine

ROOT = Path(__file__).resolve().parent.parent

TOPOLOGY = """
from mininet.topo import Topo
class Star(Topo):
    def build(self):
        s1 = self.addSwitch("s1")
        for i in range(1, 10):
            self.addLink(self.addHost(f"h{i}", ip=f"10.0.0.{i}/24"), s1)
class Cable(Topo):
    def build(self):
        self.addLink(self.addHost("h1", ip="10.0.0.1/24"), self.addHost("h9", ip="10.0.0.9/24"))
topos = {"star": Star, "cable": Cable}
"""
OURS = """
import pytest
@pytest.mark.topology("star.py:%(name)s")
@pytest.mark.controller("learning_switch")
@pytest.mark.parametrize("n", range(%(tests)d))
def test_ping(lab, n):
    assert lab["h1"].run("ping -c 1 -W 2 10.0.0.9").ok
"""
STOCK = """
import functools, pytest
from mininet.net import Mininet
from mininet.node import OVSBridge
import star
@pytest.mark.parametrize("n", range(%(tests)d))
def test_ping(n):
    switch = functools.partial(OVSBridge, datapath="user")
    net = Mininet(star.topos["%(name)s"](), switch=switch, controller=None)
    net.start()
    try:
        assert " 0%% packet loss" in net.get("h1").cmd("ping -c 1 -W 2 10.0.0.9")
    finally:
        net.stop()
"""
MUNET = """
import asyncio, copy, pathlib, pytest
from munet.parser import async_build_topology
NODES = [{"name": f"h{i}", "ip": f"10.0.0.{i}/24", "connections": [{"to": "s1", "name": "eth0"}]}
         for i in range(1, 10)]
CONFIG = {"config_pathname": str(pathlib.Path(__file__).absolute()),
          "topology": {"networks": [{"name": "s1"}], "nodes": NODES}}
async def ping(folder):
    net = await async_build_topology(config=copy.deepcopy(CONFIG), rundir=folder)
    try:
        await net.run()
        assert " 0%% packet loss" in net.hosts["h1"].cmd_raises("ping -c 1 -W 2 10.0.0.9")
    finally:
        await net.async_delete()
@pytest.mark.parametrize("n", range(%(tests)d))
def test_ping(n, tmp_path):
    asyncio.run(ping(str(tmp_path)))
"""
ALONE = ["unshare", "-nmp", "--fork", "--mount-proc"]
Figures = tuple[float, float]  # tests a minute, seconds a test


def measured(text: str, name: str, tests: int, command: list[str]) -> Figures:
    """One run of pytest over a file of tests. Raises Failed."""
    with tempfile.TemporaryDirectory(dir=Path.home(), prefix="bench-pytest-") as folder:
        Path(folder, "star.py").write_text(TOPOLOGY)
        Path(folder, "test_ping.py").write_text(text % {"name": name, "tests": tests})
        ended = subprocess.run(
            [*command, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", folder, "-q",
             "--durations=0", "--durations-min=0", "-vv"],
            cwd=folder, capture_output=True, text=True,
            env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
                 "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}",
                 "PYTEST_ADDOPTS": "-p hoplab.api.pytest_plugin" if text == OURS else ""},
        )  # fmt: skip
    found = re.search(rf"{tests} passed.* in ([0-9.]+)s", ended.stdout)
    if found is None:
        raise Failed(ended.stdout[-3000:] + ended.stderr[-1000:])
    took: dict[str, float] = {}  # of each test its setup, its call and its teardown
    for seconds, test in re.findall(r"^([0-9.]+)s \w+ +(\S+)$", ended.stdout, re.MULTILINE):
        took[test] = took.get(test, 0) + float(seconds)
    later = [seconds for test, seconds in took.items() if not test.endswith("[0]")]
    return 60 * tests / float(found[1]), statistics.median(later)


def ours(name: str, tests: int) -> Figures:
    return measured(OURS, name, tests, [sys.executable])


def stock(name: str, tests: int) -> Figures:
    """In a private machine where Open vSwitch runs already."""

    def work(report: Any) -> None:
        Machine(Case("single", (10,)))
        a_minute, seconds = measured(STOCK, name, tests, [sys.executable])
        report({"a_minute": a_minute, "seconds": seconds})

    times = in_machine(work)
    return times["a_minute"], times["seconds"]


def munet(python: str, tests: int) -> Figures:
    return measured(MUNET, "star", tests, [*ALONE, python])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tests", type=int, default=20, help="tests a run (default: 20)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--munet", metavar="PYTHON", help="a Python that has munet and pytest")
    arguments = parser.parse_args()
    rows: dict[tuple[str, str], list[Figures]] = {}
    failed = False
    for _ in range(arguments.rounds):
        runs: list[tuple[str, str, Any]] = [
            (name, who, lambda run=run, name=name: run(name, arguments.tests))
            for name in ("star", "cable")
            for who, run in (("ours", ours), ("Mininet", stock))
        ]
        if arguments.munet:
            runs.append(("star", "munet", lambda: munet(arguments.munet, arguments.tests)))
        for name, who, run in runs:
            try:
                figures = run()
                rows.setdefault((name, who), []).append(figures)
            except Failed as error:
                failed = True
                print(f"{who}, {name}: {error}", file=sys.stderr)
    print("| network | by | tests a minute | s a test |\n|---|---|---|---|")
    for (name, who), several in rows.items():
        a_minute, seconds = (statistics.median(column) for column in zip(*several, strict=True))
        print(f"| {name} | {who} | {a_minute:.0f} | {seconds:.2f} |")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
