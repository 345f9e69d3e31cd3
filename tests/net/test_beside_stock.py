# SPDX-License-Identifier: Apache-2.0
"""What stock Mininet and hoplab do with the same file: the table in docs/mininet.md, executed.

Stock Mininet runs as root in a private machine (`Box`). `ROWS` is the table: what is done, what
stock Mininet makes of it and how that shows, what hoplab makes of it and how that shows.
"""

from __future__ import annotations

import os
import re
import subprocess
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import NOBODY, PROJECT, need
from tests.net.test_stock import IN_USER_SPACE, SYSTEM_PYTHON, Box

DOCUMENT = PROJECT / "docs" / "mininet.md"
HEAD = "| done | stock Mininet | hoplab |\n|---|---|---|\n"
END = "\n<!-- end of comparison -->"

FILE = """
import os
from mininet.net import Mininet
from mininet.node import Controller, OVSBridge, RemoteController, UserSwitch
from mininet.topo import Topo
class T(Topo):
    def {method}(self):
{build}
if __name__ == "__main__":
    net = Mininet(T(), switch={switch}, controller={controller})
    net.start()
{main}
    net.stop()
"""
STAR = """
    s1 = self.addSwitch('s1')
    for n in 1, 2:
        self.addLink(self.addHost('h%d' % n), s1)
"""
RING = """
    s = [self.addSwitch('s%d' % n) for n in (1, 2, 3)]
    for n in range(3):
        self.addLink(s[n], s[(n + 1) % 3])
    self.addLink(self.addHost('h1'), s[0])
"""


@dataclass(frozen=True)
class Row:
    """A line of the table. never: what stock Mininet's output must not have. verb: which of
    hoplab's takes the file; then: a command in the lab afterwards, whose output counts as well."""

    done: str
    stock: str
    hoplab: str
    stock_shows: str
    hoplab_shows: str
    never: str = r"\0"
    verb: str = "up"
    then: str = ""
    method: str = "build"
    build: str = STAR
    main: str = "pass"
    switch: str = "OVSBridge"
    controller: str = "None"
    within_s: int = 60


ROWS = (
    Row(
        "`addLink(h1, s1, bw=10)` on a link that is no TCLink",
        "ignores it", "`up`: 10 Mbit/s",
        r"\[\]", r"rate 10Mbit",
        build="s1 = self.addSwitch('s1')\nself.addLink(self.addHost('h1'), s1, bw=10)",
        main="print([*net['h1'].cmd('tc class show dev h1-eth0')])",
        then="exec h1 -- tc class show dev h1-eth0",
    ),
    Row(
        "a host added twice", "one node, as described last", "the same, and `up` says so",
        r"10\.0\.0\.9", r"note: h1 has been added twice",
        build="self.addHost('h1')\nself.addHost('h1', ip='10.0.0.9/8')\n"
        "self.addLink('h1', self.addHost('h2'))",
        main="print(net['h1'].IP())",
    ),
    Row(
        "`mac='0:0:0:0:0:1'`", "takes it", "takes it",
        r"00:00:00:00:00:01", r"00:00:00:00:00:01",
        build="self.addLink(self.addHost('h1', mac='0:0:0:0:0:1'), self.addHost('h2'))",
        main="print(net['h1'].cmd('cat /sys/class/net/h1-eth0/address'))",
        then="exec h1 -- cat /sys/class/net/h1-eth0/address",
    ),
    Row(
        "a Topo whose hosts stand in a method that nobody calls", "an empty network, no word",
        "`up` names the method and its line",
        r"0 hosts", r"the topology is empty: no host, no switch; T has its hosts in fill\(\)",
        never="empty",
        method="fill", build="self.addHost('h1')",
        main="print(len(net.hosts), 'hosts')",
    ),
    Row(
        "a host without a cable pings", "`Network is unreachable`",
        "`up`, `pingall` and `trace` name the host that has no cable",
        r"Network is unreachable", r"note: h3 has no cable[^$]*h3 has no cable: it is joined to n",
        never="cable", build=f"{STAR}\n    self.addHost('h3')",
        main="print(net['h3'].cmd('ping -c 1 10.0.0.1'))",
        then="trace h3 -- ping -c 1 10.0.0.1",
    ),
    Row(
        "three switches in a ring, and no spanning tree", "no word", "`up` names the switches",
        "started", r"s1, s2 and s3 stand in a loop", never="loop",
        build=RING, main="print('started')",
    ),
    Row(
        "two hosts on one switch in two subnets, no router", "`Network is unreachable`",
        "`up` names both, with their masks",
        r"Network is unreachable", r"h1 \(10\.1\.0\.1/24\) and h2 \(10\.2\.0\.1/24\) are on one",
        build="s1 = self.addSwitch('s1')\nfor n in 1, 2:\n"
        "    self.addLink(self.addHost('h%d' % n, ip='10.%d.0.1/24' % n), s1)",
        main="print(net['h1'].cmd('ping -c 1 10.2.0.1'))",
    ),
    Row(
        "two hosts with one address", "no word", "`up` names them",
        "started", r"h1, h2 are on one link and have the same address", never="address",
        build="s1 = self.addSwitch('s1')\nfor n in 1, 2:\n"
        "    self.addLink(self.addHost('h%d' % n, ip='10.0.0.7/24'), s1)",
        main="print('started')",
    ),
    Row(
        "a host called `a_host_with_a_long_name`", "a traceback of its own code",
        "`up` says how many characters Linux allows",
        r"Traceback", r"is too long a name[^$]*Linux allows 15",
        build="self.addLink(self.addHost('a_host_with_a_long_name'), self.addHost('h2'))",
    ),
    Row(
        "a switch called `core`", "a traceback: no datapath ID to derive",
        "`up` says what to call it, or which `dpid` to add",
        r"Unable to derive default datapath ID", r"no number to make its datapath id from",
        build="self.addLink(self.addHost('h1'), self.addSwitch('core'))",
    ),
    Row(
        "`net.iperf()` with iperf 2.1", "waits for ever", "`run`: two results",
        r"^(?![^$]*bits/sec)", r"bits/sec', '", verb="run", within_s=12,
        main="print(net.iperf(seconds=1))",
    ),
    Row(
        "a RemoteController, and nobody listens", "says so, and goes on",
        "`run` says it with the line that starts one",
        r"Unable to contact the remote controller", r"no controller[^$]*hoplab run", verb="run",
        controller="lambda name: RemoteController(name, ip='127.0.0.1', port=6653)",
        main="net['h1'].cmd('sleep 3')",
    ),
    Row(
        "`switch=UserSwitch`, and the reference switch is not installed",
        "`Cannot find required executable`", "`run`: it forwards",
        r"Cannot find required executable", r"0% dropped", verb="run",
        switch="UserSwitch", controller="Controller",
        main="net.waitConnected()\n    net.pingAll()",
    ),
)  # fmt: skip


def text_of(row: Row) -> str:
    build = textwrap.indent(textwrap.dedent(row.build.strip("\n")), " " * 8)
    return FILE.format(
        method=row.method, build=build, switch=row.switch, controller=row.controller,
        main=f"    {row.main}",
    )  # fmt: skip


def as_table() -> str:
    return HEAD + "".join(f"| {row.done} | {row.stock} | {row.hoplab} |\n" for row in ROWS)


def test_the_table_is_what_is_executed() -> None:
    text = DOCUMENT.read_text()
    begin, end = text.index(HEAD), text.index(END)
    if os.environ.get("HOPLAB_UPDATE_GOLDEN"):
        DOCUMENT.write_text(text[:begin] + as_table() + text[end:])
        return
    assert text[begin:end] == as_table()


@pytest.mark.long
@pytest.mark.net
@pytest.mark.parametrize("row", ROWS, ids=[row.done for row in ROWS])
def test_stock_mininet_and_hoplab(row: Row, hoplab: Any, tmp_path: Path) -> None:
    need("mn")
    if os.geteuid() != 0:
        pytest.skip("stock Mininet needs root")
    file = tmp_path / "mine.py"
    file.write_text(text_of(row))
    in_box = f"timeout -k 2 {row.within_s} {SYSTEM_PYTHON} user.py mine.py"
    (tmp_path / "user.py").write_text(IN_USER_SPACE)
    stock = Box(tmp_path)("sh", "-c", f"{in_box} 2>&1; true")
    assert re.search(row.stock_shows, stock), stock
    assert not re.search(row.never, stock), stock
    (hoplab.home / "mine.py").write_text(text_of(row))
    if row.verb == "up":
        ended = hoplab("up", "--replace", "./mine.py", code=None)
    else:
        ended = hoplab("run", "--", SYSTEM_PYTHON, "mine.py", code=None)
    shown = ended.out + ended.err
    if row.then:
        shown += hoplab(*row.then.split(), code=None).out
    assert re.search(row.hoplab_shows, shown), shown


@pytest.mark.long
def test_stock_mininet_wants_root() -> None:
    mn = need("mn")
    user = ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"]
    if os.geteuid() != 0:
        user = []
    result = subprocess.run([*user, mn, "--test", "none"], capture_output=True, text=True)
    assert "must run as root" in result.stdout + result.stderr
