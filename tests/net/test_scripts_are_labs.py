# SPDX-License-Identifier: Apache-2.0
"""A Mininet script in `hoplab run` is a lab like any other while it runs, its RemoteController is
found outside, and nothing of a host's gets there. One script, as an ordinary user.
"""

from __future__ import annotations

import json
import random
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hoplab.errors import Exit
from hoplab.wait import patience
from tests.conftest import World, _make_world

pytestmark = pytest.mark.net

# As one types it, without a Topo; it stands still at its input as it would at mininet>.
SCRIPT = """
import sys
from mininet.net import Mininet
from mininet.node import OVSBridge, RemoteController
net = Mininet(controller=None)
net.addController('c0', controller=RemoteController, ip='127.0.0.1', port=int(sys.argv[1]))
h1, h2, s1 = net.addHost('h1'), net.addHost('h2'), net.addSwitch('s1')
s2 = net.addSwitch('s2', cls=OVSBridge)
cables = [net.addLink(h1, s1), net.addLink(s1, s2), net.addLink(h2, s2)]
net.start()
for line in sys.stdin:
    if line == 'more\\n':
        h3 = net.addHost('h3', ip='10.0.0.3')
        s2.attach(net.addLink(h3, s2).intf2)
        h3.setIP('10.0.0.3/8')
    if line == 'move\\n':
        net.delLink(cables[2])
        s1.attach(net.addLink(h2, s1).intf2)
        h2.setIP('10.0.0.2/8')
    if line.startswith('px '):  # as mininet> has it
        exec(line[3:])
    print('done', line, end='', flush=True)
net.stop()
raise SystemExit(3)
"""

TOPOLOGY = """
from mininet.net import Mininet
from mininet.node import RemoteController
from mininet.topo import SingleSwitchTopo
topos = {'pair': lambda: SingleSwitchTopo(2)}
def main():
    net = Mininet(topo=topos['pair'](), controller=None)
    net.addController('c7', controller=RemoteController, port=PORT)
    net.start()
"""

# A hub of OpenFlow 1.3, which keeps what each connection begins with.
CONTROLLER = r"""
import socket, struct, sys, threading
def message(kind, body=b"", number=1):
    return struct.pack("!BBHI", 4, kind, 8 + len(body), number) + body
flood = struct.pack("!HHIHHIH6x", 4, 24, 0, 0, 16, 0xFFFFFFFB, 0)
flow = bytes(16) + struct.pack("!BBHHHIIIH2x", 0, 0, 0, 0, 0, *[0xFFFFFFFF] * 3, 0)
flow += struct.pack("!HH4x", 1, 4) + flood
def serve(sock):
    lines = sock.makefile("rb")
    first = lines.read(8)
    with open(sys.argv[2], "a") as log:
        print(first.hex(), file=log)
    sock.sendall(message(0) + message(14, flow))
    while head := lines.read(8):
        _, kind, size, number = struct.unpack("!BBHI", head)
        body = lines.read(size - 8)
        if kind == 2:
            sock.sendall(message(3, body, number))
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
"""

# What a program of a host might try at the controller's port.
HOSTILE = """
import socket, sys
try:
    with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5) as s:
        s.sendall(bytes([4, 0, 0, 8, 0, 0, 0, 9]))
        print("heard", s.recv(100))
except OSError as error:
    print("not reached", error)
"""


@dataclass
class Running:
    """A script that runs, and what its controller has noted."""

    hoplab: World
    script: subprocess.Popen[str]
    greetings: Path
    port: int

    def tell(self, word: str) -> None:
        """Have it do something, and wait until it has done it."""
        assert self.script.stdin is not None and self.script.stdout is not None
        self.script.stdin.write(f"{word}\n")
        self.script.stdin.flush()
        while self.script.stdout.readline() != f"done {word}\n":
            assert self.script.poll() is None


def free_port() -> int:
    """One below those that Linux gives to anybody by itself."""
    while True:
        port = random.randrange(15000, 32000)
        with socket.socket() as trial:
            if trial.connect_ex(("127.0.0.1", port)):
                return port


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    world = _make_world(as_user=True)
    port, greetings = free_port(), world.home / "greetings"
    for name, text in (("mine.py", SCRIPT), ("hub.py", CONTROLLER), ("hostile.py", HOSTILE)):
        (world.home / name).write_text(text)
    command = [*world.wrap(), "/usr/bin/python3", "hub.py", str(port), str(greetings)]
    controller = subprocess.Popen(command, cwd=world.home)
    script = world.popen(
        "run", "--name", "mine", "--", "/usr/bin/python3", "mine.py", str(port),
        stdin=subprocess.PIPE,
    )  # fmt: skip
    running = Running(world, script, greetings, port)
    try:
        running.tell("start")
        yield running
    finally:
        script.kill()
        script.wait()
        controller.kill()
        controller.wait()
        world.close()


def test_it_is_found_and_answers_while_the_script_stands_still(running: Running) -> None:
    hoplab = running.hoplab
    (lab,) = hoplab("ls", "--json").json
    assert (lab["name"], lab["controller"], lab["hosts"], lab["switches"]) == ("mine", "c0", 2, 2)
    deadline = time.monotonic() + 20 * patience()
    while hoplab("pingall", code=None).code:  # its switch asks for the controller in its own time
        assert time.monotonic() < deadline
    assert hoplab("exec", "h1", "--", "hostname", "-I").out.split() == ["10.0.0.1"]
    assert ["h1", "s1", "s2", "h2"] in paths(hoplab, "10.0.0.2")
    flows = hoplab("table", "s1", "--json").json
    assert flows["controller"] == "c0" and "FLOOD" in str(flows["switches"])


def paths(hoplab: World, address: str) -> list[list[str]]:
    """The nodes that each packet of a ping from h1 passed."""
    traced = hoplab("trace", "--json", "h1", "--", "ping", "-c", "1", "-w", "20", address).json
    return [packet["path"] for packet in traced["trips"]]


def test_a_host_does_not_reach_the_controller(running: Running) -> None:
    """Neither from its own network, where nobody listens, nor from that of the switches."""
    before = running.greetings.read_text()
    for node in ("h1", "s1"):
        words = running.hoplab(
            "exec", node, "--", "/usr/bin/python3", "hostile.py", str(running.port)
        ).out
        assert words.startswith("not reached") or words == "heard b''\n", words
    assert running.greetings.read_text() == before


def test_a_controller_of_ours_and_the_scripts_own_again(running: Running) -> None:
    hoplab = running.hoplab
    assert hoplab("swap", "hub", "--json").json["was"] == "c0"
    assert hoplab("pingall").code == 0
    assert hoplab("swap", "c0", "--json").json["controller"] == "c0"
    assert hoplab("pingall").code == 0
    assert hoplab("ls", "--json").json[0]["controller"] == "c0"


def test_the_wiring_follows_what_the_script_does(running: Running) -> None:
    hoplab = running.hoplab
    running.tell("more")
    assert ["h1", "s1", "s2", "h3"] in paths(hoplab, "10.0.0.3")

    # A cable that is moved while somebody traces: the frames on either are followed.
    command = (
        "ping -c 1 -w 20 10.0.0.2; touch begun; until [ -e end ]; do sleep 0.1; done; "
        "ip neigh flush all; ping -c 1 -w 20 10.0.0.2"
    )
    tracing = hoplab.popen("trace", "--json", "h1", "--", "sh", "-c", command)
    deadline = time.monotonic() + 20 * patience()
    while not (hoplab.home / "begun").exists():
        assert time.monotonic() < deadline and tracing.poll() is None
    running.tell("move")
    (hoplab.home / "end").touch()
    traced = json.loads(tracing.communicate(timeout=60)[0])
    went = [packet["path"] for packet in traced["trips"]]
    assert ["h1", "s1", "s2", "h2"] in went and ["h1", "s1", "h2"] in went


def test_a_topology_file_finds_the_controller_too(running: Running) -> None:
    hoplab = running.hoplab
    (hoplab.home / "pair.py").write_text(TOPOLOGY.replace("PORT", str(running.port)))
    shut = hoplab("up", "pair.py", "--name", "pair", "--no-outside-controller", "--json").json
    assert shut["controller"] == "learning_switch"
    lab = hoplab("up", "pair.py", "--name", "pair", "--replace", "--json").json
    assert lab["controller"] == "c7" and "line 8" in lab["events"][0]
    assert hoplab("pingall", "--name", "pair").code == 0
    assert "FLOOD" in hoplab("table", "--name", "pair", "s1", "--json").out
    hoplab("down", "--name", "pair")


def test_a_second_one_beside_it(running: Running) -> None:
    """Under the same name in the file, and with the same names inside."""
    hoplab = running.hoplab
    taken = hoplab("run", "--name", "mine", "--", "true", code=5)
    assert "a lab called mine is up already" in taken.err
    text = "from mininet.net import Mininet\nnet = Mininet()\nnet.addHost('h1')\nnet.build()\n"
    (hoplab.home / "other").mkdir()
    (hoplab.home / "other" / "mine.py").write_text(text + "input()\nnet.stop()\n")
    second = hoplab.popen("run", "--", "/usr/bin/python3", "other/mine.py", stdin=subprocess.PIPE)
    deadline = time.monotonic() + 20 * patience()
    while hoplab("exec", "--name", "mine-2", "h1", "--", "true", code=None).code:
        assert time.monotonic() < deadline and second.poll() is None
    second.communicate("\n", timeout=60)
    assert second.returncode == 0


def test_nodes_and_cables_are_the_scripts_and_it_is_told_how(running: Running) -> None:
    """What `add` and `remove` refuse comes with the line that has the script do it."""
    hoplab = running.hoplab

    def asked(*words: str) -> None:
        refused = hoplab(*words, code=Exit.REFUSED).err
        line = re.search(r"px .*", refused)
        assert line is not None and "mine.py" in refused
        running.tell(line[0])

    asked("add", "host", "h8", "--to", "s1", "--ip", "10.0.0.8/8")
    assert hoplab("exec", "h8", "--", "ping", "-c", "1", "-w", "20", "10.0.0.1").code == 0
    asked("add", "switch", "s7")
    asked("add", "cable", "s7", "h8", "--rate", "10M", "--delay", "20ms")
    state = hoplab("ls", "mine", "--json").json
    assert {"h8", "s7"} <= {node["name"] for node in [*state["hosts"], *state["switches"]]}
    limits = hoplab("link", "s7", "h8").out
    assert "10M" in limits and "20ms" in limits
    asked("remove", "h8", "s7")
    asked("remove", "s7")
    asked("remove", "h8")
    state = hoplab("ls", "mine", "--json").json
    assert not {"h8", "s7"} & {node["name"] for node in [*state["hosts"], *state["switches"]]}
    unknown = hoplab("add", "cable", "h1", "h77", code=Exit.NO_SUCH)
    assert "no node h77" in unknown.err


def test_it_ends_with_its_script_and_says_so(running: Running) -> None:
    hoplab = running.hoplab
    shell = hoplab.popen("capture", "h1", "-w", "all.pcapng")
    waiting = hoplab.popen("exec", "h1", "--", "sleep", "1000")
    deadline = time.monotonic() + 20 * patience()
    while not (hoplab.home / "all.pcapng").exists():
        assert time.monotonic() < deadline
    running.script.communicate(timeout=60)
    assert running.script.returncode == 3
    _, err = waiting.communicate(timeout=60)
    assert waiting.returncode == 7 and "the lab mine ended with its script" in err
    shell.communicate(timeout=60)
    assert hoplab("ls", "--json").json == []
    # Nobody has said anything to the controller but switches, which greet it (OpenFlow 1.3, 7.5.1).
    assert re.fullmatch(r"(0[1-6]00[0-9a-f]{12}\n)+", running.greetings.read_text())
