# SPDX-License-Identifier: Apache-2.0
"""What people's Mininet scripts do in `hoplab run`: iperf, a remote controller, names, files in
/tmp."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import PROJECT, need

pytestmark = pytest.mark.net

RESOLV = Path("/etc/resolv.conf")

IPERF = """
from mininet.net import Mininet
from mininet.topo import SingleSwitchTopo
net = Mininet(SingleSwitchTopo(2))
net.start()
print('tcp', net.iperf(seconds=1))
print('udp', net.iperf(l4Type='UDP', udpBw='5M', seconds=1))
net.stop()
"""
REMOTE = """
import sys, time
from mininet.net import Mininet
from mininet.node import RemoteController
from mininet.topo import SingleSwitchTopo
net = Mininet(SingleSwitchTopo(2), controller=RemoteController)
net.start()
for _ in range(int(sys.argv[1])):
    if net.ping(timeout=1) == 0:
        break
    time.sleep(1)
net.stop()
"""
NAMED_AS_MODULES = """
import subprocess
from mininet.net import Mininet
from mininet.topo import SingleSwitchTopo
net = Mininet(SingleSwitchTopo(2), waitConnected=True)
net.start()
print('lost', net.pingAll(timeout=5))
print(subprocess.run(["ryu-manager", "--version"], capture_output=True, text=True))
net.stop()
"""


def test_files_beside_a_script_are_not_taken_for_modules_of_its_controller(hoplab: Any) -> None:
    (hoplab.home / "mine.py").write_text(NAMED_AS_MODULES)
    for module in ("http.py", "eventlet.py", "ryu.py"):
        (hoplab.home / module).write_text(f"raise SystemExit('{module} is taken')\n")
    ended = hoplab("run", "--", "/usr/bin/python3", "mine.py", timeout=60)
    assert "lost 0.0" in ended.out and "is taken" not in ended.out + ended.err, ended.out


def test_iperf_ends_and_has_two_results(hoplab: Any) -> None:
    need("iperf")
    (hoplab.home / "mine.py").write_text(IPERF)
    out = hoplab("run", "--", "/usr/bin/python3", "mine.py").out
    rate = r"'[\d.]+ \w+/sec'"
    assert re.search(rf"^tcp \[{rate}, {rate}\]$", out, re.M), out
    assert re.search(rf"^udp \['5M', {rate}, {rate}\]$", out, re.M), out


def test_a_remote_controller_that_nobody_is_gets_the_line_that_works(hoplab: Any) -> None:
    (hoplab.home / "mine.py").write_text(REMOTE)
    ended = hoplab("run", "--", "python3", "mine.py", "1")
    assert "100% dropped" in ended.out + ended.err
    refusals = re.findall(r"no controller answers at 127\.0\.0\.1:6653", ended.err)
    line = re.search(r"hoplab run --controller .*", ended.err)
    assert len(refusals) == 1 and line, ended.err
    assert line[0] == "hoplab run --controller APP.py -- python3 mine.py 1"
    assert "in another terminal: ryu-manager APP.py\n" in ended.err

    # It is the line that works, and then nothing is missing.
    shutil.copy(PROJECT / "controllers" / "hub.py", hoplab.home / "APP.py")
    shutil.copy(PROJECT / "controllers" / "kit.py", hoplab.home)  # it imports that
    typed = line[0].replace("mine.py 1", "mine.py 30")
    ended = subprocess.run(
        ["bash", "-c", typed],
        cwd=hoplab.home,
        env=hoplab.with_command(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert " 0% dropped" in ended.stdout + ended.stderr, ended
    assert "no controller answers" not in ended.stderr


def test_mn_says_the_same(hoplab: Any) -> None:
    need("mn")
    typed = "h1 ping -c 1 -w 2 10.0.0.2\nexit\n"
    ended = hoplab("mn", "--", "--controller", "remote,port=6700", input=typed)
    assert "ryu-manager --ofp-tcp-listen-port 6700 APP.py\n" in ended.err
    wish = "hoplab mn --controller APP.py -- --controller remote,port=6700"
    assert wish in ended.err


def test_hosts_have_no_resolver_that_they_would_wait_for(anybody: Any) -> None:
    if "nameserver" not in RESOLV.read_text():
        pytest.skip("this machine has no DNS server")
    text = anybody("run", "--", "cat", "/etc/resolv.conf").out
    assert all(line.startswith("#") for line in text.splitlines()), text
    # A script that writes one for its hosts writes none of the machine's.
    anybody("run", "--", "sh", "-c", "echo nameserver 10.0.0.2 > /etc/resolv.conf")
    assert "10.0.0.2" not in RESOLV.read_text()


def test_what_goes_with_a_private_tmp_is_said(anybody: Any) -> None:
    write = "mkdir /tmp/a; echo x > /tmp/a/result.txt; touch /tmp/empty; echo y > here.txt"
    ended = anybody("run", "--", "sh", "-c", write)
    assert "/tmp/a/result.txt went with the command's own /tmp" in ended.err
    assert "empty" not in ended.err and (anybody.home / "here.txt").read_text() == "y\n"
    assert anybody("run", "--", "true").err == ""


def test_a_folder_may_be_its_tmp_and_stays(anybody: Any) -> None:
    ended = anybody("run", "--keep-tmp", "kept/here", "--", "sh", "-c", "echo x > /tmp/result.txt")
    assert (anybody.home / "kept" / "here" / "result.txt").read_text() == "x\n"
    assert ended.err == ""


def test_what_is_not_there_is_said_in_a_line_each(make_world: Any) -> None:
    """A limit that an ordinary user's host cannot have, programs, by a shell and without one."""
    user = make_world(True)
    (user.home / "mine.py").write_text(
        "from mininet.net import Mininet\nfrom mininet.node import CPULimitedHost, Host\n"
        "net = Mininet(host=CPULimitedHost, controller=None)\nh1 = net.addHost('h1', cpu=.1)\n"
        "h2, h3 = net.addHost('h2', cpu=.1), net.addHost('h3', cls=Host)\n"
        "net.start()\nprint('ran', h1.popen('echo here').communicate()[0].decode())\n"
        "print(h1.cmd('frobnicate -x; cat /nowhere'), h2.cmd('frobnicate'))\n"
        "h3.popen(['transmogrify', '-y']).wait()\nnet.stop()\nimport nosuchmodule\n"
    )
    ended = user("run", "--", "/usr/bin/python3", "mine.py", code=1)
    assert "ran here" in ended.out
    notes = [line for line in ended.err.splitlines() if line.startswith("hoplab: ")]
    limits = [line for line in notes if "without their CPU limit" in line]
    assert all("sudo hoplab run" in line for line in limits) and len(limits) <= 1
    wanted = [line.split(",")[0] for line in notes if "wants" in line and "cgcreate" not in line]
    assert wanted == ["hoplab: h1 wants frobnicate", "hoplab: h3 wants transmogrify"]
    assert "no module nosuchmodule: sudo apt-get install" in notes[-1]


DRAW = """
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=30) as screen:
    screen.sendall(b"window")
    screen.shutdown(socket.SHUT_WR)
    print(screen.makefile().read())
"""


def test_a_display_of_ssh_is_reached_from_inside_and_not_by_hosts(anybody: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        anybody.env["DISPLAY"] = f"localhost:{port - 6000}.0"

        def show() -> None:
            screen, _ = server.accept()
            with screen:
                screen.sendall(b"shown: " + screen.makefile("rb").read())

        thread = threading.Thread(target=show, daemon=True)
        thread.start()
        (anybody.home / "draw.py").write_text(DRAW)
        draw = f"/usr/bin/python3 draw.py {port}"
        of_a_host = f"unshare -n sh -c 'ip link set lo up; {draw} 2>&1 | tail -1'"
        ended = anybody("run", "--", "sh", "-c", f"{draw}; {of_a_host}")
        thread.join(timeout=30)
    shown, refused = ended.out.splitlines()
    assert shown == "shown: window" and "ConnectionRefusedError" in refused, ended.err
