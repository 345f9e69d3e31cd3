# SPDX-License-Identifier: Apache-2.0
"""A script's switches that are no OVSSwitch, as a lab: what they know, who is in charge of them,
and a loop that is said. One network with one of each kind, and one that is a loop.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from tests.conftest import World, _make_world

pytestmark = pytest.mark.net

SCRIPT = """
import sys
from mininet.net import Mininet
from mininet.node import Controller, OVSBridge, UserSwitch
from mininet.nodelib import LinuxBridge

net = Mininet(controller=Controller)
net.addController('c0')
h1, h2 = net.addHost('h1'), net.addHost('h2')
s1, s2 = net.addSwitch('s1', cls=LinuxBridge), net.addSwitch('s2', cls=UserSwitch)
s3 = net.addSwitch('s3', cls=OVSBridge)
for ends in (h1, s1), (s1, s2), (s2, s3), (s3, h2):
    net.addLink(*ends)
net.start()
net.waitConnected()
print('up', flush=True)
sys.stdin.readline()
net.stop()
"""

LOOP = """
from mininet.net import Mininet
from mininet.node import OVSBridge
net = Mininet(controller=None, switch=OVSBridge)
s1, s2 = net.addSwitch('s1'), net.addSwitch('s2')
net.addLink(s1, s2), net.addLink(s1, s2)
net.start()
net.stop()
"""


@pytest.fixture(scope="module")
def hoplab() -> Iterator[World]:
    world = _make_world(as_user=True)
    (world.home / "mine.py").write_text(SCRIPT)
    script = world.popen("run", "--", "/usr/bin/python3", "mine.py", stdin=subprocess.PIPE)
    assert script.stdout is not None and script.stdout.readline() == "up\n"
    yield world
    script.communicate("\n", timeout=60)
    world.close()


def test_each_tells_what_it_knows(hoplab: World) -> None:
    told = hoplab("trace", "--json", "h1", "--", "ping", "-c", "1", "-w", "20", "10.0.0.2").json
    assert ["h1", "s1", "s2", "s3", "h2"] in [trip["path"] for trip in told["trips"]]
    tables = {each["name"]: each for each in hoplab("table", "--json").json["switches"]}
    assert list(tables) == ["s1", "s2", "s3"]
    for name, port in (("s1", "s1-eth1"), ("s3", "s3-eth1")):
        (entry,) = [each for each in tables[name]["addresses"] if each["who"] == "h1"]
        assert entry["interface"] == port
    assert tables["s1"]["kind"] == "bridge" and tables["s1"]["flows"] == []
    assert tables["s2"]["flows"], "of the reference switch"
    assert "s1, a Linux bridge, knows" in hoplab("table", "s1").out
    assert "it has: s1, s2, s3" in hoplab("table", "h1", code=None).err


def test_a_controller_is_put_in_charge_of_those_that_take_one(hoplab: World) -> None:
    swapped = hoplab("swap", "hub", "--json").json
    assert (swapped["controller"], swapped["was"]) == ("hub", "c0")
    assert hoplab("pingall").code == 0
    assert "FLOOD" in hoplab("table", "s2", "--json").out
    assert "NORMAL" in hoplab("table", "s3", "--json").out


def test_a_loop_is_said_as_soon_as_it_runs(hoplab: World) -> None:
    (hoplab.home / "ring.py").write_text(LOOP)
    ended = hoplab("run", "--", "/usr/bin/python3", "ring.py")
    assert "s1 and s2 stand in a loop" in ended.err and "stp=True" in ended.err
