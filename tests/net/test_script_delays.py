# SPDX-License-Identifier: Apache-2.0
"""A script's delays, losses and queues, by TCLink and by hand, whether or not the kernel has netem;
and what a trace and `hoplab link` say of them.
"""

from __future__ import annotations

import re
import subprocess

import pytest

from hoplab.wait import patience
from tests.conftest import World

pytestmark = pytest.mark.net

SCRIPT = """
import sys
from mininet.link import TCLink
from mininet.log import setLogLevel
from mininet.net import Mininet
from mininet.node import OVSBridge

setLogLevel('info')
net = Mininet(controller=None, switch=OVSBridge, autoStaticArp=True)
h1, h2, s1 = net.addHost('h1'), net.addHost('h2'), net.addSwitch('s1')
cable = net.addLink(h1, s1, cls=TCLink, bw=10, delay='20ms', max_queue_size=500)
net.addLink(h2, s1)
net.start()

def ping(what, patience=9):
    said = h1.cmd('ping -c 3 -i 0.2 -q -W %d 10.0.0.2' % patience)
    print(what, said.splitlines()[-2:], flush=True)

ping('both')
print('shaped', flush=True)
sys.stdin.readline()
cable.intf1.config(loss=100)
ping('lost', 1)
cable.intf1.config(delay='7ms')
ping('again')
print(h1.cmd('tc qdisc del dev h1-eth0 root; tc qdisc add dev h1-eth0 root handle 1: netem delay '
             '30ms; tc qdisc add dev h1-eth0 parent 1:1 handle 10: tbf rate 2mbit burst 10kb '
             'latency 50ms; tc qdisc show dev h1-eth0'))
ping('by hand')
h1.cmd('tc qdisc change dev h1-eth0 root netem delay 9ms')
ping('changed')
h1.cmd('tc qdisc del dev h1-eth0 root')
s1.cmd('tc qdisc del dev s1-eth1 root')
ping('taken away')
print(h1.cmd('tc qdisc add dev h9-eth9 root netem delay 1ms; echo code $?'))
net.stop()
"""


def shortest(text: str, what: str) -> float:
    """The shortest time of a ping, which a busy machine cannot make shorter."""
    found = re.search(rf"{what} \[.*= ([\d.]+)/", text)
    assert found, text
    return float(found[1])


def test_tclink_and_tc_by_hand(make_world: object) -> None:
    hoplab: World = make_world(as_user=True)  # type: ignore[operator]
    (hoplab.home / "mine.py").write_text(SCRIPT)
    script = hoplab.popen(
        "run", "--", "/usr/bin/python3", "mine.py", stdin=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert script.stdout is not None
    head = ""
    while "shaped" not in head:
        line = script.stdout.readline()
        assert line, head
        head += line
    assert shortest(head, "both") >= 40 and "Error" not in head
    ends = hoplab("link", "--json").json[0]["ends"]
    assert [(end["rate"], end["delay_ms"]) for end in ends] == [(10_000_000, 20.0)] * 2
    told = hoplab("trace", "--json", "h1", "--", "ping", "-c", "2", "-i", "0.2", "10.0.0.2").json
    assert told["summary"]["lost_on_links"] == 0 and told["outcome"]["ok"]
    asked = [trip["path"] for trip in told["trips"] if "request" in trip["title"]]
    assert asked == [["h1", "s1", "h2"]] * 2
    rest, _ = script.communicate("\n", timeout=90 * patience())
    assert script.returncode == 0, rest
    assert re.search(r"lost \[.*100% packet loss", rest), rest
    assert shortest(rest, "again") >= 27 and "tbf 10: parent 1:1" in rest
    assert shortest(rest, "by hand") >= 50 and shortest(rest, "changed") >= 29
    assert shortest(rest, "taken away") < 20, rest  # of three, one is quick anywhere
    assert 'Cannot find device "h9-eth9"' in rest and "code 0" not in rest
    assert "Error" not in rest
