# SPDX-License-Identifier: Apache-2.0
"""Ours under stock Mininet, and stock Mininet's under hoplab.

Our topologies are plain Mininet files: `mn --custom` and `python3 FILE` run them unchanged, with
our controllers under `ryu-manager`. Stock Mininet kills by name and takes whatever Open vSwitch it
finds, so each of its runs gets a private machine of its own (`BOX`). And a user's own Mininet file,
written without any thought of hoplab, comes up in a lab.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import PROJECT, need
from tests.net.test_labs import ASK, ECHO

pytestmark = pytest.mark.net

SYSTEM_PYTHON = "/usr/bin/python3"
SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
RYU_MANAGER = Path(sys.executable).parent / "ryu-manager"

# Process 1 of the private machine. $WORK stays visible as /run/work; when this script ends, the
# kernel ends everything in its PID namespace.
BOX = f"""
set -e
export HOME=/run/home PATH=$PATH:/usr/sbin:/sbin
mount -t tmpfs tmpfs /run
mkdir -p /run/openvswitch /run/lock /run/home /run/work /run/project
mount --bind "$WORK" /run/work
mount --bind "$PROJECT" /run/project
mount -t tmpfs tmpfs /var/log
mount -t tmpfs tmpfs /tmp
mkdir -p "$PROJECT"  # which may lie in /tmp
mount --bind /run/project "$PROJECT"
ip link set lo up
cd /run/openvswitch
ovsdb-tool create conf.db {SCHEMA}
ovsdb-server conf.db --remote=punix:$PWD/db.sock --detach --pidfile -vconsole:off --log-file=o.log
ovs-vsctl --timeout=20 --no-wait init
ovs-vswitchd unix:$PWD/db.sock --detach --pidfile -vconsole:off --log-file=s.log
# Mininet asks telnet whether a remote controller listens, and stumbles over telnet's output when
# the controller's HELLO, with its random number, is in it. This one says what Mininet looks for.
printf '#!/bin/bash\\n(exec 3<>/dev/tcp/$3/$4) && echo Connected\\n' >/run/home/telnet
chmod +x /run/home/telnet
PATH=/run/home:$PATH
cd /run/work
if [ -n "$CONTROLLER" ]; then
    "$RYU_MANAGER" --ofp-listen-host 127.0.0.1 --wsapi-host 127.0.0.1 "$CONTROLLER" \\
        >controller.log 2>&1 &
    ryu=$!
    # 0A is LISTEN and 19FD is 6653: wait until it listens, or has ended, for 30 s at most.
    for _ in $(seq 600); do
        if grep -q ':19FD 00000000:0000 0A' /proc/net/tcp; then break; fi
        kill -0 $ryu || {{ cat controller.log; exit 1; }}
        sleep 0.05
    done
fi
"$@"
"""

# What a script of ours says is Mininet's default, the kernel's datapath; where that is not loaded
# the same script runs over the userspace one.
IN_USER_SPACE = """
import runpy, sys
from mininet.node import OVSSwitch
stock = OVSSwitch.__init__
OVSSwitch.__init__ = lambda self, name, **p: stock(self, name, **{**p, "datapath": "user"})
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@dataclass
class Box:
    """A private machine with an Open vSwitch, for stock Mininet."""

    work: Path

    def __call__(
        self, *argv: str, controller: str = "", stdin: str = "", timeout: float = 100
    ) -> str:
        """Run a command there; what it printed. The exit code must be 0."""
        env = {k: v for k, v in os.environ.items() if not k.startswith(("HOPLAB_", "XDG_"))}
        env.update(
            WORK=str(self.work),
            PROJECT=str(PROJECT),
            CONTROLLER=controller and str(PROJECT / "controllers" / f"{controller}.py"),
            RYU_MANAGER=str(RYU_MANAGER),
            LC_ALL="C.UTF-8",
        )
        box = ["unshare", "-nmpf", "--mount-proc", "--kill-child", "bash", "-c", BOX, "box"]
        process = subprocess.Popen(
            [*box, *argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=env,
            start_new_session=True,
        )
        try:
            out, _ = process.communicate(stdin, timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, _ = process.communicate()
            raise AssertionError(f"{argv} hangs:\n{out}\n{self.logs()}") from None
        assert process.returncode == 0, f"{argv}: {process.returncode}\n{out}\n{self.logs()}"
        return out

    def logs(self) -> str:
        """The controller's words, for a failing test's message."""
        log = self.work / "controller.log"
        return log.read_text() if log.exists() else ""


@pytest.fixture
def stock(tmp_path: Path) -> Box:
    """Stock Mininet's private machine; skips where that cannot be had."""
    if os.geteuid() != 0:
        pytest.skip("stock Mininet wants to be root")
    for program in ("unshare", "mn", "ovsdb-server", "ovs-vswitchd"):
        need(program)
    if not Path(SCHEMA).exists():
        pytest.skip(f"{SCHEMA} is missing (the package openvswitch-switch)")
    result = subprocess.run(
        [SYSTEM_PYTHON, "-c", "import mininet.net"], capture_output=True, text=True
    )
    if result.returncode:
        pytest.skip(f"{SYSTEM_PYTHON}: {result.stderr.strip().splitlines()[-1]}")
    return Box(tmp_path)


def custom(name: str) -> str:
    """The path of one of our topologies, as a user would type it."""
    return str(PROJECT / "topologies" / f"{name}.py")


PAIRS = {
    "cable": 2,
    "hub,n=3": 6,
    "switch,n=3": 6,
    "linear,n=3,k=2": 30,
    "tree,2,2": 12,
    "routed,subnets=3,hosts=1": 12,
    "web,routers=3": 110,
    "internet,routers=3,lans=1,clients=1,sites=1,ipv6=1": 110,
}


def all_received(out: str, pairs: int) -> bool:
    """Whether Mininet's pingall says that all pairs talk."""
    return f"*** Results: 0% dropped ({pairs}/{pairs} received)" in out


@pytest.mark.parametrize("topology", PAIRS)
def test_mn_runs_it_with_a_bridge(stock: Box, topology: str) -> None:
    name = topology.partition(",")[0]
    out = stock(
        "mn", "--custom", custom(name), "--topo", topology, "--switch", "ovsbr,datapath=user",
        "--controller", "none", "--test", "pingall",
    )  # fmt: skip
    assert all_received(out, PAIRS[topology]), out


@pytest.mark.parametrize(
    "topology, controller",
    [("hub,n=3", "hub"), ("routed", "learning_switch")],  # the others are below, as scripts
)
def test_mn_runs_it_with_our_controller_under_ryu_manager(
    stock: Box, topology: str, controller: str
) -> None:
    if not RYU_MANAGER.exists():
        pytest.skip(f"{RYU_MANAGER} is not installed")
    out = stock(
        "mn", "--custom", custom(topology.partition(",")[0]), "--topo", topology,
        "--switch", "ovsk,datapath=user",
        "--controller", "remote", "--test", "pingall", controller=controller,
    )  # fmt: skip
    assert all_received(out, 6 if controller == "hub" else 20), out
    assert "Traceback" not in stock.logs()


def as_a_script(topology: str) -> list[str]:
    """The command line that runs a topology as a script."""
    return [SYSTEM_PYTHON, "-c", IN_USER_SPACE, custom(topology)]


@pytest.mark.parametrize(
    "topology, controller, pairs",
    [
        ("cable", "", 2),
        ("hub", "hub", 12),
        ("switch", "learning_switch", 12),
        ("linear", "learning_switch", 12),
        ("tree", "learning_switch", 12),
        ("routed", "learning_switch", 20),
    ],
)
def test_it_runs_as_a_script(stock: Box, topology: str, controller: str, pairs: int) -> None:
    out = stock(*as_a_script(topology), controller=controller, stdin="net\npingall\nexit\n")
    assert all_received(out, pairs), out
    assert "h1 h1-eth0:" in out  # the answer to `net`


FETCH = "curl -sS --retry 20 --retry-delay 1 --retry-all-errors --max-time 5"


def test_as_a_script_web_serves_its_page(stock: Box) -> None:
    lines = [
        f"client {FETCH} http://www.itheima.com/",
        "client cat /etc/resolv.conf",
        f"pc {FETCH} -o /dev/null -w 'the picture: %{{http_code}} %{{size_download}} bytes\\n' "
        "http://www.itheima.com/network.png",
    ]
    out = stock(*as_a_script("web"), controller="learning_switch", stdin="\n".join(lines) + "\n")
    assert "<h1>You have arrived." in out
    assert "nameserver 10.53.0.53" in out
    size = (PROJECT / "apps/site/network.png").stat().st_size
    assert f"the picture: 200 {size} bytes" in out


def test_mn_with_web_serves_its_page(stock: Box) -> None:
    out = stock(
        "mn", "--custom", custom("web"), "--topo", "web", "--switch", "ovsbr,datapath=user",
        "--controller", "none", stdin=f"client {FETCH} http://www.itheima.com/courses.html\n",
    )  # fmt: skip
    page = (PROJECT / "apps/site/courses.html").read_text()
    assert page.splitlines()[-1] in out and "<title>" in out


def test_stock_leaves_no_app_behind(stock: Box) -> None:
    """When Mininet stops, the servers of `web` stop: `terminate()` of the nodes works there too."""
    script = (
        f"mn --custom {custom('web')!r} --topo web --switch ovsbr,datapath=user --controller none"
        " --test none && for _ in $(seq 100); do pgrep -f 'apps/[a-z_]+[.]py' || exit 0; sleep 0.1;"
        " done; ps -ef; exit 1"
    )
    stock("bash", "-c", script)


# --------------------------------------------------------------------- a user's files in a lab


def write(folder: Path, name: str, text: str) -> str:
    """A topology file of a user's; its path as typed."""
    (folder / name).write_text(textwrap.dedent(text))
    return f"./{name}"


def test_limited_links(hoplab: Any) -> None:
    file = write(
        hoplab.home,
        "slow.py",
        """
        from mininet.link import TCLink
        from mininet.topo import Topo

        class SlowTopo(Topo):
            "Three hosts on links of 10 Mbit/s."
            def build(self, n=3):
                s1 = self.addSwitch('s1')
                for h in range(n):
                    host = self.addHost('h%s' % (h + 1))
                    self.addLink(host, s1, cls=TCLink, bw=10)

        topos = {'slow': SlowTopo}
        """,
    )
    hoplab("up", file)
    assert hoplab("pingall", "--json").json["lost"] == []
    classes = hoplab("exec", "h1", "--", "tc", "class", "show", "dev", "h1-eth0").out
    assert re.search(r"class htb .* rate 10Mbit ", classes)
    switch = hoplab("exec", "s1", "--", "tc", "class", "show", "dev", "s1-eth1").out
    assert "rate 10Mbit" in switch  # Open vSwitch has not taken it away
    # TCLink turns checksum offload on, which would break TCP over a userspace switch.
    server = hoplab.popen("exec", "h2", "--", "python3", "-c", ECHO, stdin=subprocess.PIPE)
    assert server.stdout.readline() == "ready\n"
    assert hoplab("exec", "h1", "--", "python3", "-c", ASK, "10.0.0.2").out == "True 1400\n"
    server.communicate(timeout=20)


def test_switch_classes_given_explicitly(hoplab: Any) -> None:
    file = write(
        hoplab.home,
        "two_switches.py",
        """
        from mininet.node import OVSKernelSwitch, OVSSwitch
        from mininet.topo import Topo

        class TwoSwitches(Topo):
            def build(self):
                left = self.addSwitch('s1', cls=OVSKernelSwitch)
                right = self.addSwitch('s2', cls=OVSSwitch, protocols='OpenFlow13', dpid='2a')
                self.addLink(left, right)
                for i, switch in enumerate((left, left, right, right), 1):
                    self.addLink(self.addHost('h%d' % i, mac='00:00:00:00:00:0%d' % i), switch)
        """,
    )
    hoplab("up", file, "--controller", "hub")
    assert hoplab("pingall", "--json").json["lost"] == []
    assert hoplab("exec", "h3", "--", "cat", "/sys/class/net/h3-eth0/address").out == (
        "00:00:00:00:00:03\n"
    )
    show = hoplab("exec", "s2", "--", "ovs-ofctl", "-O", "OpenFlow13", "show", "s2").out
    assert "dpid:000000000000002a" in show


def test_mininets_own_example_of_a_router(hoplab: Any) -> None:
    example = Path("/usr/share/doc/mininet/examples/linuxrouter.py")
    if not example.exists():
        pytest.skip(f"{example} is not installed (the package mininet)")
    shutil.copyfile(example, hoplab.home / "linuxrouter.py")
    assert hoplab("up", "./linuxrouter.py", "--json").json["routers"] == 1
    pings = hoplab("pingall", "--json").json
    assert (pings["pairs"], pings["lost"]) == (12, [])
    # Its router has three addresses, all given by intfName2 and params2.
    addresses = hoplab("exec", "r0", "--", "ip", "-4", "-br", "addr").out
    assert re.findall(r"^(r0-eth\d)\S* .* (\S+/\d+)", addresses, re.M) == [
        ("r0-eth1", "192.168.1.1/24"),
        ("r0-eth2", "172.16.0.1/12"),
        ("r0-eth3", "10.0.0.1/8"),
    ]
    route = hoplab("exec", "h1", "--", "traceroute", "-n", "-w", "5", "10.0.0.100").out
    assert [line.split()[1] for line in route.splitlines()[1:]] == ["192.168.1.1", "10.0.0.100"]


def test_a_router_class_of_ones_own(hoplab: Any) -> None:
    file = write(
        hoplab.home,
        "my_router.py",
        """
        from mininet.node import Node
        from mininet.topo import Topo

        class LinuxRouter(Node):
            def config(self, **params):
                super(LinuxRouter, self).config(**params)
                self.cmd('sysctl net.ipv4.ip_forward=1')

            def terminate(self):
                self.cmd('sysctl net.ipv4.ip_forward=0')
                super(LinuxRouter, self).terminate()

        class NetworkTopo(Topo):
            "No switch at all: two hosts on the two ports of a router."
            def build(self):
                r1 = self.addNode('r1', cls=LinuxRouter, ip='10.1.0.1/24')
                h1 = self.addHost('h1', ip='10.1.0.2/24', defaultRoute='via 10.1.0.1')
                h2 = self.addHost('h2', ip='10.2.0.2/24', defaultRoute='via 10.2.0.1')
                self.addLink(h1, r1, intfName2='r1-eth1', params2={'ip': '10.1.0.1/24'})
                self.addLink(h2, r1, intfName2='r1-eth2', params2={'ip': '10.2.0.1/24'})
        """,
    )
    up = hoplab("up", file, "--json").json
    assert (up["hosts"], up["routers"], up["switches"]) == (2, 1, 0)
    assert hoplab("pingall", "--json").json["lost"] == []
    story = hoplab("trace", "--json", "h1", "--", "ping", "-c1", "10.2.0.2").json
    request = next(trip for trip in story["trips"] if trip["kind"] == "icmp-echo-request")
    assert request["path"] == ["h1", "r1", "h2"]


def test_a_tree_of_switches(hoplab: Any) -> None:
    file = write(
        hoplab.home,
        "tree.py",
        """
        from mininet.topolib import TreeTopo
        topos = {'tree': lambda depth=2, fanout=3: TreeTopo(depth, fanout)}
        """,
    )
    up = hoplab("up", f"{file},depth=3,fanout=2", "--json").json
    assert (up["hosts"], up["switches"]) == (8, 7)
    pings = hoplab("pingall", "--json").json
    assert (pings["pairs"], pings["lost"]) == (56, [])


def test_hosts_that_run_commands_while_they_are_configured(hoplab: Any) -> None:
    file = write(
        hoplab.home,
        "greeters.py",
        """
        from mininet.node import Host
        from mininet.topo import Topo

        class Greeter(Host):
            "Uses cmd(), popen(), pexec() and IP() as Mininet's examples do."
            def config(self, word='hello', **params):
                result = super().config(**params)
                name = self.cmd('hostname').strip()
                addresses = self.cmd('ip -4 -o addr show dev %s' % self.defaultIntf())
                out, err, code = self.pexec('cat', '/proc/sys/net/ipv4/ip_forward')
                child = self.popen(['sh', '-c', 'echo popen'])
                said, _ = child.communicate()
                raw = self.cmd("printf '\\\\353'")  # no UTF-8
                with open('/run/greeting-' + self.name, 'w') as file:
                    print(word, name, self.IP() in addresses, out.strip(), code,
                          said.decode().strip(), self.pid > 0, ascii(raw), file=file)
                return result

        class GreetTopo(Topo):
            def build(self):
                s1 = self.addSwitch('s1')
                for i in (1, 2):
                    self.addLink(self.addHost('h%d' % i, cls=Greeter, word='good day'), s1)
        """,
    )
    hoplab("up", file)
    for name in ("h1", "h2"):
        text = hoplab("exec", name, "--", "cat", f"/run/greeting-{name}").out
        assert text == f"good day {name} True 0 0 popen True '\\ufffd'\n"
    assert hoplab("pingall", "--json").json["lost"] == []


def test_a_host_with_an_interface_before_its_first_link(hoplab: Any) -> None:
    file = write(
        hoplab.home,
        "early.py",
        """
        from mininet.node import Host
        from mininet.topo import Topo

        class Bridged(Host):
            def __init__(self, name, **params):
                super().__init__(name, **params)
                self.cmd('ip link add own0 type veth peer name own1')

        class Early(Topo):
            def build(self):
                self.addLink(self.addHost('h1', cls=Bridged), self.addHost('h2'))

        topos = {'early': Early}
        """,
    )
    hoplab("up", file)
    hoplab("exec", "h1", "--", "ping", "-c", "1", "-W", "5", "10.0.0.2")
    assert "own0" in hoplab("exec", "h1", "--", "ip", "-br", "link").out


def test_a_switch_class_keeps_its_own_start(hoplab: Any) -> None:
    file = write(
        hoplab.home, "started.py",
        """
        from mininet.node import OVSBridge, OVSSwitch
        from mininet.topo import Topo

        class Noted(OVSSwitch):
            "Its bridge is there when the start of the class that it extends returns."
            def start(self, controllers):
                super().start(controllers)
                with open('/run/started-' + self.name, 'w') as file:
                    print(self.cmd('ovs-vsctl list-ports', self.name).split(), file=file)

        class Old(OVSSwitch):
            def start(self, controllers):
                OVSSwitch.start(self, controllers)  # as Mininet's own classes call it
                with open('/run/started-' + self.name, 'w') as file:
                    print(self.cmd('ovs-vsctl list-br').split(), file=file)

        class Switches(Topo):
            def build(self):
                kinds = {'s1': Noted, 's2': Old, 's3': OVSBridge, 's4': None}
                for name, cls in kinds.items():
                    self.addSwitch(name, cls=cls)
                    self.addLink(self.addHost('h' + name[1:]), name)
                self.addLink('s1', 's2'), self.addLink('s2', 's3'), self.addLink('s3', 's4')
        """,
    )
    hoplab("up", file)
    read = ("exec", "h1", "--", "cat", "/run/started-s1", "/run/started-s2")
    assert hoplab(*read).out == "['s1-eth1', 's1-eth2']\n['s1', 's2']\n"
    assert hoplab("pingall", "--json").json["lost"] == []
