# SPDX-License-Identifier: Apache-2.0
"""What `up` remarks on a user's file: what it leaves out of it, and what cannot work in it."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.net


def topo(*lines: str) -> str:
    """A file with a Topo that has these lines in its build()."""
    body = "\n".join(f"        {line}" for line in lines)
    return (
        "from mininet.topo import Topo\nfrom mininet.link import TCLink\n"
        f"class MyTopo(Topo):\n    def build(self):\n{body}\n"
    )


def up(hoplab: Any, text: str, file: str = "mine.py") -> list[str]:
    """The remarks on such a file, the same in words and in data."""
    (hoplab.home / "mine.py").write_text(text)
    ended = hoplab("up", "--replace", "--no-outside-controller", f"./{file}")
    remarks = [line[8:] for line in ended.out.splitlines() if line.startswith("  note: ")]
    assert remarks == hoplab("ls", "--json").json[0]["events"]
    return remarks


CABLE = "self.addLink(self.addHost('h1'), self.addHost('h2'))"


def test_nothing_to_remark(hoplab: Any) -> None:
    assert up(hoplab, topo(CABLE)) == []


def test_what_stands_in_a_file_and_is_left_out(hoplab: Any) -> None:
    """All in one file: a line for each kind, and the most important first."""
    text = topo(
        "s1 = self.addSwitch('s1')",
        "self.addLink(self.addHost('h1'), s1, bw='10Mbit')",
        "self.addLink(self.addHost('h2', ip='10.0.1.2/24', cpu=.5), s1, bw=10)",
        "self.addLink(self.addHost('h1', ip='10.0.0.1/24', mac='0:0:0:0:0:a'), s1)",
        "self.addHost('h3')",
    )
    text += (
        "class Other(Topo):\n    pass\n"
        "def main():\n"
        "    net = Mininet(MyTopo(), link=TCLink, controller=RemoteController, inNamespace=True)\n"
        "    net['h1'].cmd('ip route add default via 10.0.0.9')\n"
    )
    begins = [
        "h3 has no cable",
        "h1 (10.0.0.1/24) and h2 (10.0.1.2/24) are on one link in two subnets",
        "several cables join h1 and s1",
        "h1 has been added twice",
        "nobody of yours answers for the RemoteController of line 13, at 127.0.0.1:6653",
        "of mine.py the Topo alone is read, not net['h1'].cmd(",
        "bw='10Mbit' of the link h1 - s1 is not applied: a TCLink takes bw=10",
        "the share of the processor that h2 should have",
        "of the topologies in mine.py, MyTopo was taken",
    ]
    remarks = up(hoplab, text)
    assert [r[: len(b)] for r, b in zip(remarks, begins, strict=True)] == begins
    assert "in line 14, nor Mininet's inNamespace=True in line 13" in remarks[5]
    assert f"hoplab run -- python3 {hoplab.home}/mine.py" in remarks[5]
    assert f"hoplab up {hoplab.home}/mine.py:Other" in remarks[8]
    ends = hoplab("ls", "--json").json  # it is up, two cables and a short MAC address or not
    assert ends[0]["hosts"] == 3
    assert hoplab("exec", "h1", "--", "cat", "/sys/class/net/h1-eth0/address").out == (
        "00:00:00:00:00:0a\n"
    )


def test_switches_that_are_to_have_no_controller_have_one(hoplab: Any) -> None:
    text = topo("self.addLink(self.addHost('h1'), self.addSwitch('s1'))")
    [remark] = up(hoplab, text + "def main():\n    Mininet(MyTopo(), controller=None)\n")
    assert remark.startswith("controller=None in line 7 is not heeded")
    assert f"hoplab run -- python3 {hoplab.home}/mine.py" in remark


def test_the_other_topology_is_taken_and_an_empty_one_is_said(hoplab: Any) -> None:
    text = topo(CABLE) + (
        "class Other(Topo):\n    def fill(self):\n        self.addHost('h1')\n"
    )
    remarks = up(hoplab, text, "mine.py:Other")
    assert len(remarks) == 1 and remarks[0].startswith("the topology is empty")
    assert "fill() (line 7)" in remarks[0]
    ended = hoplab("up", "--replace", "./mine.py:Third", code=4)
    assert "it has: MyTopo, Other" in ended.err


def test_what_a_link_asks_for_works_on_any_kernel(hoplab: Any) -> None:
    shaped = "self.addLink(self.addHost('h1'), self.addHost('h2'), cls=TCLink, bw=10{more})"
    assert up(hoplab, topo(shaped.format(more=", max_queue_size=20"))) == []
    queues = hoplab("exec", "h1", "--", "tc", "qdisc", "show", "dev", "h1-eth0").out
    assert "htb" in queues and "limit 20p" in queues
    plain = topo("self.addLink(self.addHost('h1'), self.addHost('h2'), bw=10, delay='50ms')")
    assert up(hoplab, plain) == []  # whoever asks for a bandwidth has it, TCLink or not
    (own, _) = hoplab("link", "h1", "h2", "--json").json[0]["ends"]
    assert (own["rate"], own["delay_ms"]) == (10_000_000, 50.0)
    classes = "for each in h1-eth0 wire0; do tc class show dev $each; done"
    assert "rate 10Mbit" in hoplab("exec", "h1", "--", "sh", "-c", classes).out
    pings = hoplab("exec", "h1", "--", "ping", "-c", "1", "-W", "5", "10.0.0.2").out
    assert float(pings.partition("time=")[2].split()[0]) >= 100


def test_a_command_line_simple_addresses_and_what_mininet_is_handed(hoplab: Any) -> None:
    text = (
        "import sys\nfrom mininet.topo import Topo\n"
        "class T(Topo):\n    def build(self):\n        s = self.addSwitch('s1')\n"
        "        for n in range(int(sys.argv[1])):\n"
        "            self.addLink(self.addHost('h%d' % (n + 1)), s)\n"
        "class Empty(Topo):\n    pass\n"
        "def main():\n    net = Mininet(T(), ipBase='192.168.7.0/24')\n"
    )
    (hoplab.home / "mine.py").write_text(text)
    hoplab("up", "--replace", "./mine.py 3", "--topo", "T", "--mac")
    facts = "ip -br address show h3-eth0; cat /sys/class/net/h3-eth0/address"
    assert hoplab("exec", "h3", "--", "sh", "-c", facts).out.split()[-2:] == [
        "192.168.7.3/24",
        "00:00:00:00:00:03",
    ]
    assert "6 of 6 pairs" in hoplab("pingall").out
    hoplab("up", "--replace", "./mine.py 3", "--topo", "Empty")
    ended = hoplab("pingall", code=1)
    assert "likely why: the topology is empty" in ended.out
    assert "has no host" in hoplab("visit", "http://10.0.0.1/", code=4).err


def test_a_host_without_a_cable_is_the_cause(hoplab: Any) -> None:
    up(hoplab, topo(CABLE, "self.addHost('h3')"))
    assert "likely why: h3 has no cable" in hoplab("pingall", code=1).out
    ended = hoplab("trace", "h3", "--", "ping", "-c", "1", "10.0.0.1", code=None)
    assert "✗ Not one frame left h3. h3 has no cable: it is joined to nothing." in ended.out


def test_a_lab_is_not_ended_for_one_that_cannot_be_read(hoplab: Any) -> None:
    """--replace: the topology, its parameters and the controller are looked at before."""
    up(hoplab, topo(CABLE))
    (hoplab.home / "app.py").write_text("class App(:\n")
    (hoplab.home / "bad.py").write_text(topo("1 / 0"))
    for words, sentence in {
        ("./bad.py",): "bad.py, line 5: ZeroDivisionError",
        ("./mine.py,n=1",): "'n'",
        ("hub", "--controller", "./app.py"): "app.py, line 1: ",
    }.items():
        failed = hoplab("up", "--replace", *words, code=3)
        assert sentence in failed.err and "; the lab lab that was up stays" in failed.err
    assert hoplab("ls", "--json").json[0]["topology"] == "mine"
    hoplab("pingall")
