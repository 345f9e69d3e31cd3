# SPDX-License-Identifier: Apache-2.0
"""Labs whose switches take their frames by AF_XDP: where it works, and what is said where not."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any

import pytest

from hoplab import wait
from hoplab.openvswitch import daemons as switchd

pytestmark = pytest.mark.net

# A connection that carries a megabyte, and both ends of it.
RECEIVE = """
import socket
with socket.create_server(("", 5001)) as server:
    print("listening", flush=True)
    connection, _ = server.accept()
    got = 0
    while data := connection.recv(65536):
        got += len(data)
    print(got)
"""
SEND = """
import socket
with socket.create_connection(("10.0.0.2", 5001), 10) as connection:
    connection.sendall(bytes(1 << 20))
"""


@pytest.fixture
def no_kernel_datapath() -> None:
    if switchd.kernel_datapath():
        pytest.skip("the kernel's Open vSwitch datapath is loaded, which is taken first")


@pytest.mark.usefixtures("no_kernel_datapath")
@pytest.mark.long
def test_fast_ports_carry_everything_and_cannot_be_captured(hoplab: Any) -> None:
    if os.geteuid() != 0:
        pytest.skip("AF_XDP ports want root")
    up = hoplab("up", "switch,n=2", "--datapath", "fast", "--json").json
    if up["datapath"] != "afxdp":
        pytest.skip(f"AF_XDP does not work here: {up['events']}")
    assert "a capture does not hear them" in up["events"][0]
    assert "2 of 2 pairs" in hoplab("pingall").out
    server = hoplab.popen("exec", "h2", "--", "python3", "-c", RECEIVE)
    assert server.stdout.readline() == "listening\n"
    hoplab("exec", "h1", "--", "python3", "-c", SEND)
    assert server.communicate(timeout=30)[0].strip() == str(1 << 20)
    # Nothing half: a trace without the switches would tell a wrong story.
    for words in (("trace", "h1", "--", "true"), ("capture", "-w", "all.pcapng")):
        refused = hoplab(*words, code=1)
        assert "its datapath is afxdp" in refused.err and "hoplab capture h1 h2" in refused.err
    heard = hoplab("capture", "h1", "h2", "--duration", "0.2", "-w", "hosts.pcapng")
    assert "from 2 interfaces" in heard.err


@pytest.mark.usefixtures("no_kernel_datapath")
def test_where_it_does_not_work(make_world: Callable[..., Any]) -> None:
    """An ordinary user's Open vSwitch may not load the program that AF_XDP needs (bpf(2))."""
    user = make_world(as_user=True)
    refused = user("up", "switch,n=2", "--datapath", "afxdp", code=6)
    assert "AF_XDP ports do not work here: " in refused.err and "leave out" in refused.err
    up = user("up", "switch,n=2", "--datapath", "fast", "--json").json
    assert up["datapath"] == "user" and "plain ones are used" in up["events"][0]
    assert "2 of 2 pairs" in user("pingall").out
    user.env = {"PATH": f"/root/bin:{os.environ['PATH']}"}  # a folder closed to users stops nothing
    assert "AF_XDP ports" in user("doctor", code=None).out


@pytest.mark.usefixtures("no_kernel_datapath")
def test_what_is_captured_from_the_start_has_plain_ports(hoplab: Any) -> None:
    refused = hoplab(
        "trace", "--topology", "switch,n=2", "--datapath", "afxdp", "h1", "--", "true", code=1
    )
    assert "nothing can be captured" in refused.err
    ping = ("h1", "--", "ping", "-c", "1", "10.0.0.2")
    traced = hoplab("trace", "--topology", "switch,n=2", "--datapath", "fast", *ping)
    assert "datapath user" in traced.out and "h1 → s1 → h2" in traced.out


SHOW = """
for db in /run/openvswitch/db*.sock; do
    for switch in $(ovs-vsctl --timeout=5 --db=unix:$db list-br); do
        ovs-ofctl -O OpenFlow13 show $switch
    done
done
"""
PATCH = """
from mininet.link import OVSLink, TCLink
from mininet.topo import Topo

class Patch(Topo):
    def build(self):
        for i in range(1, 41, 2):
            one, other = self.addHost(f"a{i}"), self.addHost(f"a{i + 1}")
            self.addLink(one, other, cls=TCLink, bw=10)
        for number in "12":
            self.addLink(self.addHost("h" + number), self.addSwitch("s" + number))
        self.addLink("s1", "s2", cls=OVSLink)

topos = {"patch": Patch}
"""
CHAIN = """
from mininet.topo import LinearTopo

topos = {"chain": LinearTopo}
"""


def test_several_vswitchd_share_the_switches(anybody: Any) -> None:
    (anybody.home / "chain.py").write_text(CHAIN)
    up = anybody("up", "chain.py,4", "--vswitchd", "2", "--datapath", "user", "--json").json
    assert "divided among 2 ovs-vswitchd" in up["events"][0]
    assert "12 of 12 pairs" in anybody("pingall").out
    second = "ovs-vsctl --timeout=5 --db=unix:/run/openvswitch/db-2.sock"
    listed = anybody("exec", "s4", "--", "sh", "-c", f"ovs-vsctl list-br; echo; {second} list-br")
    assert listed.out.split("\n\n") == ["s1\ns2", "s3\ns4\n"]
    # What asks switches asks the right one, whoever has it.
    assert "s4 knows" in anybody("table", "s4").out and "s1 knows" in anybody("table", "s1").out
    anybody("exec", "s4", "--", "ovs-ofctl", "-O", "OpenFlow13", "dump-flows", "s4")
    anybody("swap", "hub")
    assert "12 of 12 pairs" in anybody("pingall").out
    output = anybody("trace", "h1", "--", "ping", "-c", "1", "-W", "5", "10.0.0.4").out
    assert "h1 → s1 → s2 → s3 → s4 → h4" in output


def test_patch_ports_keep_all_switches_in_one_vswitchd(hoplab: Any) -> None:
    """Shaped links are made at once, and Open vSwitch may be up by then."""
    (hoplab.home / "patch.py").write_text(PATCH)
    up = hoplab("up", "patch.py", "--vswitchd", "2", "--datapath", "user", "--json").json
    assert "as patch ports (OVSLink) want it" in up["events"][0]
    hoplab("exec", "h1", "--", "ping", "-c", "1", "-W", "5", "10.0.0.42")


def test_many_hosts_that_are_named_first_in_their_links(hoplab: Any) -> None:
    """Open vSwitch has interfaces of its own when the later ones are made."""
    assert hoplab("up", "switch,n=120", "--json").json["hosts"] == 120
    hoplab("exec", "h1", "--", "ping", "-c", "1", "-W", "5", "10.0.0.120")


@pytest.mark.parametrize("daemons", ["1", "2"])
def test_ports_that_are_opened_while_others_are_made(hoplab: Any, daemons: str) -> None:
    """Above a hundred links Open vSwitch has its ports in parts. None is forgotten, and none is
    down, as one would be that came up while it was opened."""
    divided = ("--vswitchd", daemons, "--datapath", "user") if daemons != "1" else ()
    hoplab("up", "tree,2,11", *divided)
    shown = hoplab("exec", "h1", "--", "sh", "-c", SHOW).out
    ports = re.findall(r"^ (\d+|LOCAL)\((s\d+)(?:-eth(\d+))?\).*\n.*config: +(\w+)", shown, re.M)
    numbered = [(switch, int(number)) for number, switch, _, _ in ports if number != "LOCAL"]
    assert len(numbered) == 11 * 12 + 11 and len(set(numbered)) == len(numbered)
    assert all(number == port for number, _, port, _ in ports if number != "LOCAL")
    assert [port for port in ports if "DOWN" in port[3] and port[0] != "LOCAL"] == []
    assert hoplab("pingall", "h1", "h2", "h60", "h121", "--json").json["lost"] == []


def test_the_end_of_any_vswitchd_is_the_labs(hoplab: Any) -> None:
    (hoplab.home / "chain.py").write_text(CHAIN)
    hoplab("up", "chain.py,4", "--vswitchd", "2", "--datapath", "user")
    hoplab("exec", "s4", "--", "pkill", "-KILL", "-f", "/ovs-vswitchd-2[.]ctl", code=None)
    log = hoplab.state / "hoplab/labs/lab/logs/lab.log"
    wait.until(lambda: "ovs-vswitchd-2 ended" in log.read_text(), "the lab to end", within_s=20)
