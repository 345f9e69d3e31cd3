# SPDX-License-Identifier: Apache-2.0
"""`hoplab run` and `hoplab mn`: scripts for stock Mininet, unchanged, as root and as a user."""

from __future__ import annotations

import os
import pty
import re
import select
import shlex
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from hoplab.capture import pcapng_reader
from hoplab.wait import patience
from tests.conftest import PROJECT, World, need
from tests.net.test_bad_input import nothing_left

pytestmark = pytest.mark.net

# As people write them: an API script with TCP data, its own exit code, something left running.
SCRIPT = """
from mininet.link import TCLink
from mininet.net import Mininet
from mininet.node import OVSBridge
from mininet.topo import Topo

class MyTopo(Topo):
    def build(self):
        s1, s2 = self.addSwitch('s1'), self.addSwitch('s2')
        self.addLink(self.addHost('h1'), s1)
        self.addLink(s1, s2)
        self.addLink(self.addHost('h2'), s2, bw=50)

for again in range(2):
    net = Mininet(MyTopo(), switch=OVSBridge, controller=None, link=TCLink)
    net.start()
    h1, h2 = net['h1'], net['h2']
    h2.cmd('timeout 300 python3 -m http.server 80 --directory /tmp &')
    for _ in range(1000):
        if 'LISTEN' in h2.cmd('ss -ltn sport = :80'):
            break
        h2.cmd('sleep 0.1')
    open('/tmp/page', 'w').write('x' * 20000)
    print('bytes', h1.cmd('curl -s http://10.0.0.2/page | wc -c').strip())
    net.stop()
h = __import__('subprocess').Popen(['sleep', '1000'])
raise SystemExit(3)
"""

BYTES = r"""
from mininet.net import Mininet

net = Mininet()
host = net.addHost('h1')
print(ascii(host.cmd("printf 'a\\353b'")))
net.stop()
"""


def test_a_script_with_tcp_twice_over_in_one_process(anybody: World) -> None:
    (anybody.home / "mine.py").write_text(SCRIPT)
    page = Path("/tmp/page")
    assert not page.exists()
    with nothing_left(anybody):
        result = anybody(
            "run", "--capture", "all.pcapng", "--", "/usr/bin/python3", "mine.py", code=3
        )
    assert result.out == "bytes 20000\nbytes 20000\n", result.err
    assert not page.exists()  # its /tmp was its own
    capture = pcapng_reader.read(anybody.home / "all.pcapng")
    names = [interface.name for interface in capture.interfaces]
    assert {"h1-eth0", "s1-eth1", "s2-eth2", "h2-eth0", "h1-eth0 (2)"} <= set(names)
    carried = {names[seen.port] for seen in capture.observations if len(seen.data) > 1000}
    assert {"h1-eth0", "s1-eth2", "h2-eth0", "h1-eth0 (2)"} <= carried


@pytest.mark.parametrize(
    "topology, client, url",
    [
        ("web", "client", "http://www.itheima.com/"),
        pytest.param("internet", "pc1", "http://www.green.org/", marks=pytest.mark.long),
    ],
)
def test_our_topologies_are_scripts_too(
    hoplab: World, topology: str, client: str, url: str
) -> None:
    """As the first lines of each say; what runs on the hosts runs there, too."""
    script = shlex.quote(str(PROJECT / "topologies" / f"{topology}.py"))
    learning = shlex.quote(str(PROJECT / "controllers" / "learning_switch.py"))
    command = f"ryu-manager {learning} >/dev/null 2>&1 & python3 {script}"
    fetch = f"{client} curl -sS --retry 20 --retry-delay 1 --retry-all-errors --max-time 5 {url}\n"
    result = hoplab("run", "--", "sh", "-c", command, input=fetch)
    assert "<h1>You have arrived." in result.out + result.err


def test_a_command_may_print_any_bytes(hoplab: World) -> None:
    """As OpenFlow's Hello does, which Mininet meets when it asks for a controller."""
    (hoplab.home / "bytes.py").write_text(BYTES)
    result = hoplab("run", "--", "python3", "bytes.py")
    assert result.out == "'a\\ufffdb'\n", result.err


def test_a_machine_that_is_so_busy_that_open_vswitch_takes_a_second(hoplab: World) -> None:
    vsctl = hoplab.home / "bin" / "ovs-vsctl"
    vsctl.parent.mkdir()
    vsctl.write_text(
        '#!/bin/sh\n[ "$*" = "-t 1 show" ] && { echo asked in haste >&2; exit 1; }\n'
        f'exec {need("ovs-vsctl")} "$@"\n'
    )
    vsctl.chmod(0o755)
    hoplab.env["PATH"] = f"{vsctl.parent}:{os.environ['PATH']}"
    result = hoplab("mn", "--", "--switch", "ovsbr", "--topo", "single,2", "--test", "pingall")
    assert "0% dropped" in result.out + result.err


def test_mn_and_its_default_controller(anybody: World) -> None:
    with nothing_left(anybody):
        result = anybody("mn", "--", "--topo", "single,2", "--test", "pingall")
    assert "0% dropped (2/2 received)" in result.out + result.err


def test_the_cli_on_a_terminal(hoplab: World) -> None:
    """Typed lines reach it, Ctrl-C ends a command and not the CLI, the exit code comes through."""
    process, master = _on_a_terminal(hoplab, "mn", "--", "--switch", "ovsbr", "--topo", "single,2")
    with nothing_left(hoplab):
        _expect(master, "mininet> ")
        os.write(master, b"h1 ping 10.0.0.2\n")
        _expect(master, "icmp_seq=2")
        os.write(master, b"\x03")
        _expect(master, "mininet> ")
        os.write(master, b"h2 hostname -I\n")
        _expect(master, "10.0.0.2", "mininet> ")
        os.write(master, b"exit\n")
        _expect(master, "completed in")
        assert process.wait(timeout=30) == 0
    os.close(master)


def _on_a_terminal(world: World, *arguments: str) -> tuple[subprocess.Popen[Any], int]:
    master, slave = pty.openpty()
    process = world.popen(
        *arguments, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
    )
    os.close(slave)
    return process, master


def _expect(master: int, *texts: str, within_s: float = 60) -> None:
    """Read until these have come, one after the other. What is typed before the prompt is there
    goes to the host's command, not to Mininet's."""
    deadline, seen = time.monotonic() + within_s * patience(), ""
    for text in texts:
        while text not in seen:
            left = deadline - time.monotonic()
            ready = left > 0 and select.select([master], [], [], left)[0]
            assert ready, f"no {text!r} in {seen!r}"
            seen += os.read(master, 65536).decode(errors="replace")
        seen = seen.partition(text)[2]


def test_whatever_ends_it_nothing_is_left(hoplab: World) -> None:
    for number, code in ((signal.SIGKILL, -9), (signal.SIGTERM, 143), (signal.SIGINT, 130)):
        with nothing_left(hoplab):
            process = hoplab.popen("run", "--", "sh", "-c", "echo on; sleep 1000 & exec sleep 999")
            assert process.stdout is not None and process.stdout.readline() == "on\n"
            process.send_signal(number)
            assert process.wait(timeout=30) == code


def test_errors_are_sentences(hoplab: World) -> None:
    with nothing_left(hoplab):
        result = hoplab("run", "--", "no-such-program", code=4)
        assert result.err.startswith("hoplab: no-such-program: command not found\n")
        result = hoplab("run", code=2)
        assert "no command was given" in result.err
        result = hoplab("run", "--capture", "no/such/file", "--", "true", code=4)
        assert "cannot be written" in result.err
        # Inside, one is root already, and what Mininet's scripts ask of the machine is there.
        no_python = {**hoplab.environment(), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}  # Debian's
        result = hoplab("run", "--", "sudo", "-E", "sh", "-c", "service openvswitch-switch start; "
                      "ovs-vsctl show && python -V && id -u && ls /tmp | wc -l",
                      env=no_python)  # fmt: skip
        assert result.out.split()[-2] == "0"


# ------------------------------------------------------------------- Mininet's own examples

EXAMPLES = Path("/usr/lib/python3/dist-packages/mininet/examples")
TABLE = PROJECT / "docs" / "mininet.md"
HEAD = "| example | as root | as a user | remark |\n|---|---|---|---|\n"

# example -> (what to type, what its output must and must not have, remark). Those that are not
# here need an X display (consoles, miniedit, clusterdemo), or are no programs.
LINES = "pingall\nexit\n"
_NO_LOSS = (r"\b0% (dropped|packet loss)", r"[1-9]\d*% (dropped|packet loss)")
RUNS: dict[str, tuple[str, tuple[str, str], str]] = {
    "baresshd": ("exit\n", (r"You may now ssh", "Traceback"), "a user's sandbox has one user"),
    "bind": ("h1 df /var/run\nexit\n", (r"Private|mininet>|private", "Traceback"), ""),
    "cluster": ("", ("", "Traceback"), "wants the address of a real network"),
    "clusterSanity": ("", ("", "Traceback"), ""),
    "controllers": (LINES, _NO_LOSS, ""),
    "controllers2": (LINES, _NO_LOSS, ""),
    "controlnet": (LINES, (r"0% dropped", "Traceback"), ""),
    "cpu": ("", (r"\d", "Traceback|errFail"), "limits the processor with cgcreate"),
    "emptynet": (LINES, _NO_LOSS, ""),
    "hwintf": ("", (r"0% dropped", "Error|Traceback"), "needs a network card to give away"),
    "intfoptions": ("", ("Results|bits/sec", "Traceback"), ""),
    "limit": ("", ("bits/sec", "Traceback"), "limits the processor as cpu"),
    "linearbandwidth": ("", ("bits/sec", "Traceback"), ""),
    "linuxrouter": (LINES, _NO_LOSS, ""),
    "mobility": ("", _NO_LOSS, ""),
    "multilink": (LINES, _NO_LOSS, ""),
    "multiping": ("", (r"1 received|time=", "Traceback"), ""),
    "multipoll": ("", (r"h\d", "Traceback"), ""),
    "multitest": ("", _NO_LOSS, ""),
    "nat": ("h1 ping -c1 10.0.0.2\nexit\n", _NO_LOSS, "hosts reach the sandbox, not your network"),
    "natnet": (LINES, ("dropped", "Traceback"), "by design not every pair talks"),
    "numberedports": ("", (r"0% dropped|correct", "Traceback"), ""),
    "popen": ("", (r"time=|h\d", "Traceback"), ""),
    "popenpoll": ("", (r"time=|h\d", "Traceback"), ""),
    "scratchnet": ("", (r" 0% packet loss", "Traceback"), ""),
    "scratchnetuser": ("", (r" 0% packet loss", "Traceback"), ""),
    "simpleperf": ("", ("dropped|bits/sec", "Traceback"), "needs the netem module, and cgcreate"),
    "sshd": ("exit\n", ("sshd", "Traceback"), "as a user it starts; logins change user"),
    "treeping64": ("", (r"0% dropped", "Traceback"), "pings 4,032 pairs, three times over"),
    "vlanhost": (LINES, (r"0% dropped", "Traceback"), "needs VLAN interfaces (the module 8021q)"),
}


def verdict(world: World, name: str, within_s: int) -> tuple[str, str]:
    """'works', or what spoke against it; and the last lines that it printed."""
    typed, (must, never), _ = RUNS[name]
    argv = ["run", "--", "/usr/bin/timeout", "-k", "5", str(within_s),
            "/usr/bin/python3", str(EXAMPLES / f"{name}.py")]  # fmt: skip
    ended = world(*argv, code=None, input=typed, timeout=within_s + 30)
    text = ended.out + ended.err
    tail = "\n".join(text.splitlines()[-6:])
    if ended.code == 124:
        return f"does not end within {within_s} s", tail
    if re.search(never, text) or not re.search(must, text) or ended.code:
        why = [
            line.strip()
            for line in text.splitlines()
            if re.search(r"rror|annot|not found|No such|denied|% dropped", line)
        ]
        return f"no: {(why or tail.splitlines() or ['nothing printed'])[-1][:90]}", tail
    return "works", tail


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_mininets_own_examples(make_world: Any) -> None:
    """All of them, as root and as a user; HOPLAB_UPDATE_GOLDEN=1 writes the table."""
    need("mn")
    if not EXAMPLES.is_dir() or os.geteuid() != 0:
        pytest.skip("Mininet's examples as root and as a user: needs root and Debian's package")
    worlds = [make_world(False), make_world(True)]
    within_s = int(os.environ.get("HOPLAB_EXAMPLE_S", "120"))
    only = os.environ.get("HOPLAB_EXAMPLES", "").split()
    rows, page = [], TABLE.read_text()
    for name in only or RUNS:
        verdicts = [verdict(world, name, within_s) for world in worlds]
        print(name, verdicts, flush=True)
        cells = [text.replace("|", "/").replace("`", "'") for text, _ in verdicts]
        rows.append(f"| {name} | {cells[0]} | {cells[1]} | {RUNS[name][2]} |\n")
    if os.environ.get("HOPLAB_UPDATE_GOLDEN"):
        begin, end = page.index(HEAD) + len(HEAD), page.index("\n<!-- end of table -->")
        TABLE.write_text(page[:begin] + "".join(rows) + page[end:])
        return
    before = set(re.findall(r"^\| (\w+) \| works \| works", page, re.M))
    now = set(re.findall(r"^\| (\w+) \| works \| works", "".join(rows), re.M))
    assert before & set(only or RUNS) <= now, f"worked before: {sorted(before - now)}"
