# SPDX-License-Identifier: Apache-2.0
"""Labs come up, talk, run side by side, and go without a trace."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hoplab import wait

pytestmark = pytest.mark.net

HOMES = """
from mininet.topo import Topo

class Homes(Topo):
    def build(self):
        for number, home in enumerate("ab", 1):
            switch = self.addSwitch(f"s{number}")
            for i in (1, 2):
                host = self.addHost(f"{home}{i}", ip=f"192.168.1.{i}/24")
                self.addLink(host, switch)

topos = {"homes": Homes}
"""
ZERO = """
from mininet.topo import Topo

class Zero(Topo):
    def build(self):
        for name in ("h1", "h2"):
            self.addLink(self.addHost(name), self.addSwitch("s0"))

topos = {"zero": Zero}
"""
# Data both ways over TCP and UDP: over a userspace switch a ping works when these do not.
ECHO = """
import socket, sys, threading
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); udp.bind(("0.0.0.0", 7))
tcp = socket.create_server(("0.0.0.0", 7))
print("ready", flush=True)
def serve():
    conn, _ = tcp.accept()
    while data := conn.recv(65536):
        conn.sendall(data)
threading.Thread(target=serve, daemon=True).start()
data, peer = udp.recvfrom(65536); udp.sendto(data, peer)
sys.stdin.read()
"""
ASK = """
import socket, sys
where = (sys.argv[1], 7)
data = bytes(range(256)) * 4000
tcp = socket.create_connection(where, timeout=10)
import threading
threading.Thread(target=lambda: (tcp.sendall(data), tcp.shutdown(socket.SHUT_WR))).start()
back = b""
while part := tcp.recv(65536):
    back += part
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); udp.settimeout(10)
udp.sendto(b"x" * 1400, where)
print(back == data, len(udp.recv(65536)))
"""

CASES = {
    "cable": ("h1", "h2", "192.168.1.2", 2),
    "hub": ("h1", "h4", "10.0.0.4", 12),
    "switch,n=6": ("h2", "h5", "10.0.0.5", 30),
    "routed": ("h1", "h3", "10.0.2.10", 20),
    "routed,subnets=3,hosts=1": ("h1", "h3", "10.0.3.10", 12),
    "web": ("pc", "www", "10.80.0.80", 90),
    "web,routers=4,clients=1": ("client", "idle", "10.80.0.81", 110),
}


@pytest.mark.parametrize("topology", CASES)
def test_every_pair_talks_and_tcp_and_udp_carry_data(hoplab: Any, topology: str) -> None:
    client, server_host, address, pairs = CASES[topology]
    up = hoplab("up", topology, "--json").json
    assert up["datapath"] == ("none" if topology == "cable" else up["datapath"])
    reached = hoplab("pingall", "--json").json
    assert (reached["pairs"], reached["reached"], reached["lost"]) == (pairs, pairs, [])
    server = hoplab.popen("exec", server_host, "--", "python3", "-c", ECHO, stdin=subprocess.PIPE)
    assert server.stdout.readline() == "ready\n"
    answer = hoplab("exec", client, "--", "python3", "-c", ASK, address)
    assert answer.out == "True 1400\n"
    server.communicate(timeout=20)
    hoplab("down")
    assert hoplab("ls", "--json").json == []


def test_a_lab_says_what_it_is(hoplab: Any) -> None:
    text = hoplab("up", "web", "--controller", "hub").out
    assert text.startswith("lab lab is up: web, 8 hosts, 2 routers, 3 switches, controller hub, ")
    assert re.search(r"the kernel's datapath|Open vSwitch's userspace datapath", text)
    listed = hoplab("ls").out.splitlines()
    assert listed[0].split()[:2] == ["NAME", "TOPOLOGY"]
    assert listed[1].split()[:3] == ["lab", "web", "hub"]


def test_labs_with_the_same_hosts_run_side_by_side(hoplab: Any) -> None:
    names = ["one", "two", "three"]
    for name in names:
        hoplab("up", "switch", "--name", name)
    assert [lab["name"] for lab in hoplab("ls", "--json").json] == sorted(names)
    for name in names:
        assert hoplab("pingall", "--name", name, "--json").json["lost"] == []
    assert hoplab("exec", "h1", "--", "true", code=4).err.startswith("hoplab: several labs are up")
    hoplab("down", "--name", "two")
    assert hoplab("pingall", "--name", "one", "--json").json["lost"] == []
    hoplab("down", "--all")


def test_the_only_lab_needs_no_name(hoplab: Any) -> None:
    hoplab("up", "cable", "--name", "my-cable")
    assert hoplab("exec", "h1", "--", "hostname").out == "h1\n"


class TestExec:
    def test_streams_and_exit_code_pass_through(self, hoplab: Any) -> None:
        hoplab("up", "cable")
        result = hoplab(
            "exec", "h2", "--", "sh", "-c", "cat; echo no >&2; exit 42", code=42, input="in"
        )
        assert (result.out, result.err) == ("in", "no\n")

    def test_a_host_has_its_own_name_address_and_etc(self, hoplab: Any) -> None:
        hoplab("up", "web")
        text = hoplab("exec", "pc", "--", "cat", "/etc/resolv.conf", "/etc/hosts").out
        assert "nameserver 10.53.0.53" in text and "10.1.0.11 pc" in text
        assert Path("/etc/hosts").read_text() not in text
        links = hoplab("exec", "pc", "--", "ip", "-br", "-4", "addr").out
        assert re.search(r"^pc-eth0\S* +UP +10\.1\.0\.11/24", links, re.M)
        seen = hoplab("exec", "pc", "--", "ls", "/sys/class/net").out.split()
        assert sorted(seen) == ["lo", "pc-eth0"]

    def test_static_arp_leaves_nothing_to_ask(self, hoplab: Any) -> None:
        up = hoplab("up", "routed", "--static-arp").out
        assert "no ARP will be seen" in up
        neighbours = hoplab("exec", "h1", "--", "ip", "neigh").out.splitlines()
        assert len(neighbours) == 2 and all(line.split()[-1] == "PERMANENT" for line in neighbours)
        story = hoplab("trace", "h1", "--", "ping", "-c", "1", "10.0.2.10").out
        assert "ICMP echo reply, seq 1" in story and "ARP" not in story

    def test_static_arp_outlives_a_large_pingall(self, hoplab: Any) -> None:
        """It tells many hosts each other's MAC addresses for its time; these stay."""
        hoplab("up", "switch,n=24", "--static-arp")
        assert hoplab("pingall", "--json").json["lost"] == []
        neighbours = hoplab("exec", "h1", "--", "ip", "neigh").out.splitlines()
        assert len(neighbours) == 23 and all("PERMANENT" in line for line in neighbours)

    def test_static_arp_is_of_the_own_link_alone(self, hoplab: Any) -> None:
        """Two homes with the same addresses, and no cable between them."""
        (hoplab.home / "homes.py").write_text(HOMES)
        hoplab("up", "homes.py", "--static-arp")
        for home, mac in (("a", "02:00:00:00:02:00"), ("b", "02:00:00:00:04:00")):
            out = hoplab("exec", f"{home}1", "--", "ip", "neigh").out
            neighbours = [
                line.rstrip() for line in out.split("\n")
            ]  # older ones end them by a space
            assert neighbours == [f"192.168.1.2 dev {home}1-eth0 lladdr {mac} PERMANENT", ""]
            hoplab("exec", f"{home}1", "--", "ping", "-c", "1", "-W", "5", "192.168.1.2")

    def test_a_switch_number_0_is_known_to_all(self, hoplab: Any) -> None:
        """Open vSwitch takes no datapath id of zero, which is what Mininet makes of its name."""
        (hoplab.home / "zero.py").write_text(ZERO)
        hoplab("up", "zero.py")
        shown = hoplab("exec", "s0", "--", "ovs-ofctl", "-O", "OpenFlow13", "show", "s0").out
        assert "dpid:ffff000000000003" in shown
        hoplab("exec", "h1", "--", "ping", "-c", "1", "-W", "5", "10.0.0.2")
        assert "s0 knows 2 addresses" in hoplab("table", "s0").out

    def test_offloads_are_off(self, hoplab: Any) -> None:
        hoplab("up", "routed")
        for host, interface in (("h1", "h1-eth0"), ("r1", "r1-eth1")):
            text = hoplab("exec", host, "--", "ethtool", "-k", interface).out
            for name in ("tx-checksumming", "scatter-gather", "tx-tcp-segmentation",
                         "generic-receive-offload", "generic-segmentation-offload"):  # fmt: skip
                assert f"{name}: off" in text, (host, name)

    def test_a_signal_reaches_the_command(self, hoplab: Any) -> None:
        hoplab("up", "cable")
        script = "trap 'echo got; exit 5' INT; echo ready; while :; do read -t 9 line; done"
        process = hoplab.popen("exec", "h1", "--", "bash", "-c", script)
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=20)
        assert (out, process.returncode) == ("got\n", 5)

    def test_a_killed_exec_ends_its_command(self, hoplab: Any) -> None:
        hoplab("up", "cable")
        process = hoplab.popen("exec", "h1", "--", "sh", "-c", "echo $$; exec sleep 1000")
        pid = process.stdout.readline().strip()
        process.kill()
        process.communicate()
        wait.until(
            lambda: hoplab("exec", "h2", "--", "test", "-d", f"/proc/{pid}", code=None).code,
            "its pid, as the lab counts, to be free",
            within_s=20,
        )

    def test_a_command_that_is_not_there(self, hoplab: Any) -> None:
        hoplab("up", "cable")
        result = hoplab("exec", "h1", "--", "no-such-program", code=4)
        assert result.err.startswith("hoplab: no-such-program: command not found\n  Next: ")

    def test_an_unknown_host(self, hoplab: Any) -> None:
        hoplab("up", "cable")
        result = hoplab("exec", "h3", "--", "true", code=4)
        assert result.err == ("hoplab: this lab has no host h3\n  Next: it has: h1, h2\n")


def test_shell_is_a_terminal(hoplab: Any) -> None:
    import pty

    hoplab("up", "cable")
    master, slave = pty.openpty()
    process = hoplab.popen("shell", "h2", stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)

    def read_until(text: str) -> str:
        output = ""
        while text not in output:
            output += os.read(master, 4096).decode()
        return output

    read_until("h2:")
    os.write(master, b"tty; echo; hostname; stty size; exit 9\n")
    echoed = read_until("exit\r\n")
    assert "/dev/pts/" in echoed and "\r\nh2\r\n" in echoed
    assert process.wait(timeout=20) == 9
    os.close(master)


class TestSwap:
    def test_flows_of_the_old_controller_go_and_a_ping_goes_on(self, anybody: Any) -> None:
        hoplab = anybody
        hoplab("up", "switch")
        hoplab("pingall")
        flows = ["exec", "h1", "--", "ovs-ofctl", "-O", "OpenFlow13", "dump-flows", "s1"]
        assert "dl_dst=" in hoplab(*flows).out
        ping = hoplab.popen("exec", "h1", "--", "ping", "-i", "0.01", "-c", "400", "10.0.0.3")
        assert "PING" in ping.stdout.readline()
        for controller in ("hub", "learning_switch", "hub"):
            data = hoplab("swap", controller, "--json").json
            assert (data["controller"], data["without_flows"]) == (controller, [])
        only = [line for line in hoplab(*flows).out.splitlines() if "cookie" in line]
        assert len(only) == 1 and "actions=FLOOD" in only[0]
        out, _ = ping.communicate(timeout=30)
        assert "400 packets transmitted, 400 received, 0% packet loss" in out

    def test_pingall_leaves_what_a_host_was_told(self, anybody: Any) -> None:
        """Among so many it tells hosts the MAC addresses of others, and lets them forget them."""
        hoplab = anybody
        hoplab("up", "switch,n=24")
        right = hoplab("exec", "h9", "--", "cat", "/sys/class/net/h9-eth0/address").out.strip()
        for host, mac in (("h1", right), ("h2", "02:00:00:00:99:99")):
            hoplab("exec", host, "--", "arp", "-s", "10.0.0.9", mac)
        data = hoplab("pingall", "--json", code=1).json
        assert data["lost"] == [["h2", "h9"], ["h9", "h2"]]
        for host, mac in (("h1", right), ("h2", "02:00:00:00:99:99")):
            assert mac in hoplab("exec", host, "--", "arp", "-n", "10.0.0.9").out
        left = hoplab("exec", "h3", "--", "ip", "neigh", "show", "nud", "permanent").out
        assert left == ""

    def test_a_strangers_app_gets_a_clean_table(self, hoplab: Any) -> None:
        hoplab("up", "switch")
        hoplab("pingall")
        (hoplab.home / "mine.py").write_text(
            "from ryu.base import app_manager\n"
            "from ryu.controller import ofp_event\n"
            "from ryu.controller.handler import CONFIG_DISPATCHER, set_ev_cls\n"
            "from ryu.ofproto import ofproto_v1_3\n"
            "class Mine(app_manager.RyuApp):\n"
            "    OFP_VERSIONS = [ofproto_v1_3.OFP_VERSION]\n"
            "    @set_ev_cls(ofp_event.EventOFPSwitchFeatures, CONFIG_DISPATCHER)\n"
            "    def on(self, ev):\n"
            "        dp = ev.msg.datapath; p = dp.ofproto_parser; o = dp.ofproto\n"
            "        act = [p.OFPActionOutput(o.OFPP_FLOOD)]\n"
            "        inst = [p.OFPInstructionActions(o.OFPIT_APPLY_ACTIONS, act)]\n"
            "        dp.send_msg(p.OFPFlowMod(datapath=dp, priority=7, match=p.OFPMatch(),\n"
            "                                 instructions=inst))\n"
        )
        hoplab("swap", "./mine.py")
        flows = hoplab("exec", "h1", "--", "ovs-ofctl", "-O", "OpenFlow13", "dump-flows", "s1").out
        lines = [line for line in flows.splitlines() if "cookie" in line]
        assert len(lines) == 1 and "priority=7" in lines[0]
        assert hoplab("pingall", "--json").json["lost"] == []

    def test_a_controller_that_raises_leaves_the_old_one_in_charge(self, hoplab: Any) -> None:
        hoplab("up", "switch")
        (hoplab.home / "bad.py").write_text("import os\n\nboom = os.no_such_thing\n")
        result = hoplab("swap", "./bad.py", code=3)
        assert "bad.py:3" in result.err and "no_such_thing" in result.err and "Next: " in result.err
        assert hoplab("ls", "--json").json[0]["controller"] == "learning_switch"
        assert hoplab("pingall", "--json").json["lost"] == []

    def test_a_killed_controller_is_started_again(self, hoplab: Any) -> None:
        hoplab("up", "switch")
        find = "pgrep -f 'hoplab[.]control[.](ryu|osken)_main'"
        before = hoplab("exec", "h1", "--", "sh", "-c", find).out.split()
        assert len(before) == 1
        hoplab("exec", "h1", "--", "kill", "-9", before[0])
        wait.until(lambda: "started again" in hoplab("ls").out, "the news", within_s=20)
        wait.until(
            lambda: hoplab("pingall", "--json", code=None).json["lost"] == [],
            "the new controller to be in charge",
            within_s=30,
        )
        after = hoplab("exec", "h1", "--", "sh", "-c", find).out.split()
        assert len(after) == 1 and after != before


def test_a_lab_with_more_descriptors_than_select_knows_lives_on(anybody: Any) -> None:
    """As one of more than 500 hosts has them."""
    (anybody.home / "many.py").write_text(
        "import os\n"
        "from mininet.topo import SingleSwitchTopo\n"
        "HELD = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]\n"
        "topos = {'many': lambda: SingleSwitchTopo(2)}\n"
    )
    anybody("up", "many.py")
    anybody("capture", "--duration", "0.1", "-w", "many.pcapng")
    assert anybody("pingall", "--json").json["lost"] == []
    assert anybody("ls", "--json").json[0]["events"] == []


def test_the_table_of_a_switch_with_many_flows(hoplab: Any) -> None:
    """Longer than one message."""
    hoplab("up", "switch,n=40")
    hoplab("pingall")
    (switch,) = hoplab("table", "s1", "--json").json["switches"]
    assert len(switch["flows"]) > 40 * 39 and len(switch["addresses"]) >= 40


def test_with_ipv6_the_hosts_have_it_and_the_switches_ports_do_not(hoplab: Any) -> None:
    """A port of a switch is no neighbour: it must not ask for routers on the wire."""
    hoplab("up", "switch,n=2", "--ipv6")
    assert "h1-eth0" in hoplab("exec", "h1", "--", "cat", "/proc/net/if_inet6").out
    (note,) = hoplab.state.glob("hoplab/labs/*/init.pid")
    addresses = Path(f"/proc/{note.read_text().split()[0]}/net/if_inet6").read_text()
    assert "s1-eth1" in Path(f"/proc/{note.read_text().split()[0]}/net/dev").read_text()
    assert "s1" not in addresses


def test_a_users_path_without_sbin_is_enough(anybody: Any) -> None:
    """As on Debian, where sysctl, tc and ip lie where an ordinary user's PATH does not look: the
    router routes all the same."""
    anybody.env["PATH"] = "/usr/local/bin:/usr/bin:/bin:/usr/games"
    anybody("up", "routed")
    assert anybody("exec", "r1", "--", "cat", "/proc/sys/net/ipv4/ip_forward").out == "1\n"
    assert "1 received" in anybody("exec", "h1", "--", "ping", "-c", "1", "10.0.2.10").out
    anybody("down")
