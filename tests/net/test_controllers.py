# SPDX-License-Identifier: Apache-2.0
"""Our controllers on real Open vSwitches, by the command line, judged by hosts and switches."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import textwrap
import time
from collections.abc import Iterator
from typing import Any

import pytest

from hoplab.wait import patience
from tests.conftest import PROJECT

pytestmark = pytest.mark.net

SWITCHES = ["learning_switch", "two_table_switch", "datapath_learning", "fast_switch"]
H = {n: f"02:00:00:00:{n:02x}:00" for n in range(1, 9)}  # the hosts of the topology switch
EVERYBODY = "ff:ff:ff:ff:ff:ff"

# Sends a raw frame: destination, source, how often, the pause between them, and what is in them.
SEND = """
import socket, sys, time
to, source, times, pause_s, words = sys.argv[1:]
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
raw.bind((next(n for _, n in socket.if_nameindex() if "-eth" in n), 0))
data = bytes.fromhex((to + source).replace(":", "") + "88b5") + words.encode().ljust(50)
for _ in range(int(times)):
    raw.send(data)
    time.sleep(float(pause_s))
"""
TEXT = "hoplab test frame"
# Obeys a line each: "send DESTINATION SOURCE" sends such a frame, "listen" forgets what has come,
# "count" says how many have come since then. One process a host, since to start one costs more
# than all of its frames.
CARD = """
import socket, sys, select
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88b5))
raw.bind((next(n for _, n in socket.if_nameindex() if "-eth" in n), 0x88b5))
raw.setblocking(False)
def arrived(pause_s):
    count = 0
    while select.select([raw], [], [], pause_s)[0]:
        data, where = raw.recvfrom(2000)
        count += b"hoplab test frame" in data and where[2] != socket.PACKET_OUTGOING
    return count
for line in sys.stdin:
    verb, *words = line.split()
    if verb == "send":
        raw.send(bytes.fromhex("".join(words).replace(":", "") + "88b5")
                 + b"hoplab test frame".ljust(50))
        print("sent", flush=True)
    else:
        print(arrived(0.2 if verb == "count" else 0), flush=True)
"""


def until(look: Any, state: str, within_s: float = 30) -> Any:
    """The answer of `look` once it is true. A look is a command or several: they come ever more
    slowly, so that looking does not take the processor from what is awaited."""
    end = time.monotonic() + within_s * patience()
    pause = 0.05
    while True:
        value = look()
        if value:
            return value
        assert time.monotonic() < end, f"not in time: {state}"
        time.sleep(pause)
        pause = min(pause * 1.3, 0.5)


def ofctl(hoplab: Any, command: str, *rest: str) -> str:
    out: str = hoplab("exec", "h1", "--", "ovs-ofctl", "-O", "OpenFlow13", command, *rest).out
    return out


def flows(hoplab: Any, switch: str = "s1") -> list[str]:
    return [line for line in ofctl(hoplab, "dump-flows", switch).splitlines() if "cookie" in line]


class Cards:
    """The cards of a lab's hosts: each sends frames and counts those that come to it."""

    def __init__(self, hoplab: Any) -> None:
        self.hoplab = hoplab
        self.processes: dict[str, subprocess.Popen[str]] = {}

    def ask(self, hosts: list[str], order: str) -> dict[str, str]:
        """Give an order to all these hosts at once; their answers."""
        for host in hosts:
            if host not in self.processes:
                self.processes[host] = self.hoplab.popen(
                    "exec", host, "--", "python3", "-c", CARD, stdin=subprocess.PIPE
                )
        pipes = [(host, self.processes[host]) for host in hosts]
        for _, process in pipes:
            process.stdin.write(f"{order}\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
        return {host: process.stdout.readline().strip() for host, process in pipes}  # type: ignore[union-attr]


@pytest.fixture
def hoplab(hoplab: Any) -> Iterator[Any]:
    """`hoplab("up", "web")`, with `hoplab.cards` for the lab that it brings up."""
    hoplab.cards = Cards(hoplab)
    yield hoplab
    for process in hoplab.cards.processes.values():
        process.communicate(timeout=30)


def send(hoplab: Any, host: str, to: str, source: str) -> None:
    assert hoplab.cards.ask([host], f"send {to} {source}") == {host: "sent"}


def reached(hoplab: Any, sender: str, to: str, source: str, hosts: list[str]) -> dict[str, int]:
    """How many copies of one frame from `sender` come to each of `hosts`."""
    hoplab.cards.ask(hosts, "listen")
    send(hoplab, sender, to, source)
    return {host: int(count) for host, count in hoplab.cards.ask(hosts, "count").items()}


def table(hoplab: Any, switch: str = "s1") -> dict[str, str]:
    """The MAC table: address to port."""
    addresses = hoplab("table", switch, "--json").json["switches"][0]["addresses"]
    return {entry["mac"]: entry["port"] for entry in addresses}


@pytest.mark.parametrize("controller", SWITCHES)
class TestSwitch:
    """The behaviours, in few labs since each costs a second."""

    def test_who_gets_which_frame(self, hoplab: Any, controller: str) -> None:
        hoplab("up", "switch", "--controller", controller)
        receivers = ["h2", "h3", "h4"]
        everybody = dict.fromkeys(receivers, 1)
        nobody = dict.fromkeys(receivers, 0)
        for case, to, source, expected in (
            ("unknown", H[8], H[1], everybody),
            ("broadcast", EVERYBODY, H[1], everybody),
            ("multicast", "01:00:5e:00:00:fb", H[1], everybody),
            ("reserved", "01:80:c2:00:00:03", H[1], nobody),
            ("group as source", H[2], "01:00:5e:00:00:fb", nobody),
        ):
            copies = reached(hoplab, "h1", to, source, ["h1", *receivers])
            assert copies.pop("h1") == 0, f"{case}: back to where it came from"
            assert copies == expected, case
        if controller != "learning_switch":  # which has flows for pairs alone
            assert set(table(hoplab)) == {H[1]}
        send(hoplab, "h2", H[1], H[2])
        assert set(table(hoplab)) >= {H[2]}
        assert reached(hoplab, "h1", H[2], H[1], receivers) == {"h2": 1, "h3": 0, "h4": 0}
        learned = [line for line in flows(hoplab) if "dl_dst=" in line]
        assert not any(f"dl_dst={to}" in line for line in learned for to in (H[8], EVERYBODY))

    def test_a_host_moves_and_a_port_goes_down(self, hoplab: Any, controller: str) -> None:
        hoplab("up", "switch", "--controller", controller)
        send(hoplab, "h1", EVERYBODY, H[7])
        # The first one waits for the controller: it must have come before the next is counted.
        assert reached(hoplab, "h2", H[7], H[2], ["h1"])["h1"] >= 1
        assert reached(hoplab, "h2", H[7], H[2], ["h1", "h3"]) == {"h1": 1, "h3": 0}
        send(hoplab, "h3", H[2], H[7])  # the host with this address is at port 3 now
        assert reached(hoplab, "h2", H[7], H[2], ["h1", "h3", "h4"]) == {"h1": 0, "h3": 1, "h4": 0}
        ofctl(hoplab, "mod-port", "s1", "3", "down")
        gone = re.compile(r"in_port=3,|output:3$")
        until(lambda: not any(gone.search(line) for line in flows(hoplab)), "port 3 forgotten")
        assert reached(hoplab, "h2", H[7], H[2], ["h1", "h4"]) == {"h1": 1, "h4": 1}

    def test_a_restart_begins_with_a_clean_table(self, hoplab: Any, controller: str) -> None:
        hoplab("up", "switch", "--controller", controller)
        hoplab("pingall")
        before = len(flows(hoplab))
        ofctl(hoplab, "add-flow", "s1", "priority=77,dl_dst=02:00:00:00:99:99,actions=drop")
        hoplab("exec", "h1", "--", "pkill", "-9", "-f", "hoplab[.]control[.](ryu|osken)_main")
        until(lambda: not any("priority=77" in f for f in flows(hoplab)), "a clean table")
        until(lambda: "started again" in hoplab("ls").out, "the event")
        assert len(flows(hoplab)) < before
        assert hoplab("pingall", "--json").json["lost"] == []


def test_packet_ins_and_flows_of_eight_hosts(hoplab: Any) -> None:
    """All pairs; what the switch counts at its table-miss flow is what the controller got."""
    figures = {}
    hoplab("up", "switch,n=8", "--controller", "two_table_switch")
    for controller in ("two_table_switch", "datapath_learning", "hub"):
        hoplab("swap", controller)
        assert hoplab("pingall", "--json").json["lost"] == []
        if controller == "datapath_learning":  # the switch teaches itself a moment later
            until(lambda: len(flows(hoplab)) >= 12, "a flow learned for each of eight hosts")
        listed = flows(hoplab)
        asked = [line for line in listed if "CONTROLLER" in line]
        counts = [int(re.search(r"n_packets=(\d+)", line)[1]) for line in asked]  # type: ignore[index]
        figures[controller] = (len(listed), len(asked), sum(counts))
    assert figures["two_table_switch"][0] == 20
    # pingall sends all at once, so a host's second frame may overtake its first one's flow.
    assert 8 <= figures["two_table_switch"][2] <= 8 * 14
    assert figures["datapath_learning"] == (12, 0, 0) and figures["hub"] == (1, 0, 0)


SLOW = [pytest.param(name, marks=pytest.mark.long) for name in SWITCHES[2:]]


@pytest.mark.parametrize("controller", [*SWITCHES[:2], *SLOW])
def test_addresses_age_and_running_traffic_goes_on(hoplab: Any, controller: str) -> None:
    """With an age of two seconds instead of three hundred."""
    hoplab.env["MAC_AGE_S"] = "2"
    hoplab("up", "switch", "--controller", controller)
    words = ["ping", "-q", "-c", "60", "-i", "0.1", "10.0.0.4"]
    ping = hoplab.popen("exec", "h2", "--", *words)  # three times the age
    assert "PING" in ping.stdout.readline()
    send(hoplab, "h1", EVERYBODY, H[1])
    listeners = ["h1", "h3"]

    def flooded() -> bool:
        copies = reached(hoplab, "h2", H[1], H[2], listeners)
        assert copies["h1"] == 1  # known or not, it is reached
        return copies["h3"] == 1

    until(flooded, "h1 to be forgotten")
    # It moved while it was silent: from its first word on it is there and nowhere else.
    words = ["python3", "-c", SEND, H[2], H[1], "1000", "0.2", "I am here"]
    mover = hoplab.popen("exec", "h3", "--", *words)
    until(lambda: table(hoplab).get(H[1]) == "3" or controller == "learning_switch", "the move")
    until(lambda: reached(hoplab, "h2", H[1], H[2], listeners) == {"h1": 0, "h3": 1}, "the move")
    mover.terminate()
    mover.communicate(timeout=30)
    assert "60 received" in ping.communicate(timeout=60)[0]


@pytest.mark.parametrize("controller", ["learning_switch", "two_table_switch"])
def test_an_address_that_moves_too_often_is_put_on_pause(hoplab: Any, controller: str) -> None:
    """As in a loop: frames of one source come in by two ports in turn."""
    hoplab("up", "switch", "--controller", controller)
    restless = "02:00:00:00:00:99"
    senders = [
        hoplab.popen("exec", host, "--", "python3", "-c", SEND, EVERYBODY, restless, "100", "0.02",
                     TEXT)
        for host in ("h1", "h2")
    ]  # fmt: skip
    log = hoplab.state / "hoplab/labs/lab/logs/controller-6653.log"
    words = re.compile(rf"{restless} (on pause, it )?moves too often")
    until(lambda: words.search(log.read_text()), "the log to say so")
    for sender in senders:
        sender.communicate(timeout=60)
    assert len(words.findall(log.read_text())) <= 2, "told once a pause, not once a move"
    assert hoplab("pingall", "--json").json["lost"] == []


@pytest.mark.parametrize(
    "controller",
    [
        "two_table_switch",
        pytest.param("learning_switch", marks=pytest.mark.long),
        pytest.param("fast_switch", marks=pytest.mark.long),
    ],
)
def test_too_much_of_anything_still_carries_every_frame(hoplab: Any, controller: str) -> None:
    hoplab.env["MAC_LIMIT"] = "5"
    hoplab("up", "switch", "--controller", controller)
    log = hoplab.state / "hoplab/labs/lab/logs/controller-6653.log"
    hoplab("pingall")
    # More addresses than allowed, then packet-ins cut to 64 bytes of a longer frame.
    for number in range(10, 16):
        send(hoplab, "h1", EVERYBODY, f"02:00:00:00:00:{number:02x}")
    assert set(H.values()) - set(table(hoplab)) == {H[n] for n in range(5, 9)}
    assert len(table(hoplab)) <= 5
    assert reached(hoplab, "h1", H[2], "02:00:00:00:00:20", ["h2", "h3"]) == {"h2": 1, "h3": 0}
    miss = "table=0,priority=0,actions=CONTROLLER:64"
    ofctl(hoplab, "--strict", "mod-flows", "s1", miss)
    long = ["ping", "-c", "1", "-s", "500", "10.0.0.3"]
    assert "1 received" in hoplab("exec", "h2", "--", *long).out
    # A table without room.
    hoplab("swap", controller)
    limit = ["--", "--id=@t", "create", "Flow_Table", "flow_limit=4", "overflow_policy=refuse"]
    hoplab("exec", "h1", "--", "ovs-vsctl", *limit, "--", "set", "Bridge", "s1", "flow_tables:0=@t")
    assert hoplab("pingall", "--json").json["lost"] == []
    log = max(log.parent.glob("controller-*.log"))
    until(lambda: "TABLE_FULL" in log.read_text(), "the log to say so")
    sent = re.search(r"TABLE_FULL.*; sent: 040e([0-9a-f]+)", log.read_text())
    assert sent, "what was sent is a flow-mod of OpenFlow 1.3"


class TestSpanningTree:
    def ping(self, hoplab: Any, count: int = 3, interval: str = "0.05") -> str:
        out: str = hoplab(
            "exec", "h1", "--", "ping", "-c", str(count), "-i", interval, "10.0.0.2", code=None
        ).out
        return out

    def settled(self, hoplab: Any) -> None:
        until(lambda: hoplab("pingall", "--json", code=None).json["lost"] == [], "all pairs")

    def test_a_ring_carries_and_heals(self, hoplab: Any) -> None:
        hoplab("up", "loop,n=4")
        self.settled(hoplab)
        hosts = ["h2", "h3", "h4"]
        assert reached(hoplab, "h1", EVERYBODY, H[1], hosts) == dict.fromkeys(hosts, 1)
        for port in ("2", "3"):  # the two cables of s1 to its neighbours, one after the other
            ofctl(hoplab, "mod-port", "s1", port, "down")
            self.settled(hoplab)
            assert "DUP" not in self.ping(hoplab)
            ofctl(hoplab, "mod-port", "s1", port, "up")

            def each_once() -> bool:  # the old tree carries too, until the cable changes it
                self.settled(hoplab)
                seen: dict[str, int] = reached(hoplab, "h1", EVERYBODY, H[1], hosts)
                return seen == dict.fromkeys(hosts, 1)

            until(each_once, "a broadcast that reaches everybody once")

    @pytest.mark.long
    def test_switches_with_many_ports(self, hoplab: Any) -> None:
        """Their changes are more messages than Ryu sends without letting others go on."""
        hoplab("up", "tree,2,20", "--controller", "spanning_tree")
        log = next(hoplab.state.glob("hoplab/labs/lab/logs/controller-*.log"))

        def open_ports(switch: int) -> int:
            return sum("priority=1,in_port=" in flow for flow in flows(hoplab, f"s{switch}"))

        for switch in range(1, 22):
            wanted = 20 if switch == 1 else 21
            until(lambda s=switch, w=wanted: open_ports(s) == w, f"the flows of s{switch}")
        for sender, address in (("h1", "10.0.0.2"), ("h1", "10.0.1.144"), ("h210", "10.0.0.41")):
            ping = ["exec", sender, "--", "ping", "-c", "5", "-i", "0.2", address]
            until(lambda p=ping: "5 received" in hoplab(*p, code=None).out, f"{address} to answer")
        assert "refused" not in log.read_text() and "Traceback" not in log.read_text()

    def test_a_cables_return_leaves_no_address_behind(self, hoplab: Any) -> None:
        hoplab("up", "loop")
        self.settled(hoplab)
        ofctl(hoplab, "mod-port", "s1", "2", "down")
        self.settled(hoplab)
        ping = hoplab.popen("exec", "h1", "--", "ping", "-i", "0.02", "-c", "200", "10.0.0.2")
        assert "PING" in ping.stdout.readline()
        ofctl(hoplab, "mod-port", "s1", "2", "up")
        log = next(hoplab.state.glob("hoplab/labs/lab/logs/controller-*.log"))
        until(lambda: log.read_text().count("out of the tree: switch 2") == 2, "the old tree")
        out, _ = ping.communicate(timeout=60)
        # h2 says nothing by itself: what the old tree taught would hide it to the end.
        assert "icmp_seq=200 " in out

    def test_a_hub_makes_a_storm_that_is_bounded(self, hoplab: Any) -> None:
        hoplab("up", "loop", "--controller", "hub")
        assert "DUP" in self.ping(hoplab, interval="1")  # time for what goes around
        limits = hoplab("exec", "h1", "--", "ovs-vsctl", "list-ports", "s1").out.split()
        shaped = [
            hoplab("exec", "h1", "--", "nsenter", "-t", "1", "-n", "tc", "class", "show", "dev", p)
            for p in limits[1:]
        ]
        assert all("500Kbit" in result.out for result in shaped), [result.out for result in shaped]
        hoplab("swap", "spanning_tree")
        self.settled(hoplab)
        assert "DUP" not in self.ping(hoplab)


class TestRouter:
    def test_the_same_visit_over_linux_and_over_flows(self, hoplab: Any) -> None:
        def law(story: dict[str, Any]) -> Any:
            trip = next(t for t in story["trips"] if t["kind"] == "http-request")
            return trip["path"], [
                (p["node"], p["before"]["ttl"] - p["after"]["ttl"],
                 (p["before"]["src"], p["before"]["dst"]) == (p["after"]["src"], p["after"]["dst"]),
                 p["before"]["src_mac"] != p["after"]["src_mac"])
                for p in trip["routers"]
            ]  # fmt: skip

        linux = hoplab("visit", "--json", "--down").json
        openflow = hoplab("visit", "--topology", "web_openflow", "--json", "--down").json
        assert openflow["outcome"]["ok"] is True
        assert law(openflow) == law(linux)
        assert [p[0] for p in law(openflow)[1]] == ["r1", "r2"]

    def test_it_speaks_as_a_router(self, hoplab: Any) -> None:
        def said(*command: str) -> str:
            out: str = hoplab("exec", "client", "--", *command, code=None).out
            return out

        hoplab("up", "web_openflow")
        assert hoplab("pingall", "--json").json["lost"] == []
        for own in ("10.1.0.1", "10.12.0.2", "10.53.0.1", "10.80.0.1"):
            assert "1 received" in said("ping", "-c1", "-W5", own)
        assert "From 10.1.0.1 icmp_seq=1 Time to live" in said("ping", "-c1", "-t1", "10.80.0.80")
        assert "From 10.12.0.2 icmp_seq=1 Time to live" in said("ping", "-c1", "-t2", "10.80.0.80")
        assert "From 10.1.0.1 icmp_seq=1 Destination Net Un" in said("ping", "-c1", "10.99.0.1")
        assert "From 10.12.0.2 icmp_seq=1 Destination Host Un" in said(
            "ping", "-c1", "-W9", "10.80.0.99"
        )


def test_the_firewall_obeys_its_file_while_it_runs(hoplab: Any) -> None:
    rules = hoplab.home / "my.rules"
    rules.write_text("allow arp\nallow icmp from 10.0.0.1\nallow icmp to 10.0.0.1\n")
    hoplab.env["FIREWALL_RULES"] = str(rules)
    hoplab("up", "switch", "--controller", "firewall,monitor")

    def talk() -> set[tuple[str, str]]:
        result = hoplab("pingall", "--json", code=None).json
        return {(a, b) for a in result["hosts"] for b in result["hosts"] if a != b} - {
            (a, b) for a, b in result["lost"]
        }

    with_h1 = {(a, b) for n in (2, 3, 4) for a, b in (("h1", f"h{n}"), (f"h{n}", "h1"))}
    assert talk() == with_h1
    rules.write_text("deny ip from 10.0.0.4\nallow any\n")
    pairs = {(f"h{a}", f"h{b}") for a in (1, 2, 3) for b in (1, 2, 3) if a != b}
    until(lambda: talk() == pairs, "the new rules")
    rules.write_text("deny ip from 10.0.0.4\nallow everything\n")
    log = hoplab.state / "hoplab/labs/lab/logs/controller-6653.log"
    until(lambda: "my.rules, line 2: 'everything' is none of" in log.read_text(), "the complaint")
    assert talk() == pairs
    counters = hoplab.state / "hoplab/labs/lab/firewall.json"
    until(lambda: json.loads(counters.read_text())[0]["packets"] > 0, "rule 1 to count")
    lines = hoplab("table", "s1").out
    assert "s1 carries, a second" in lines and "controller firewall,monitor" in lines


def test_the_table_is_readable(hoplab: Any) -> None:
    hoplab("up", "switch", "--controller", "two_table_switch")
    hoplab("exec", "h1", "--", "ping", "-c", "3", "-i", "0.05", "10.0.0.3")

    def row() -> list[str]:
        words: list[str] = hoplab("table", "s1").out.splitlines()[3].split()
        return words

    until(lambda: int(row()[-3]) >= 2, "the switch to have counted")  # it does now and then
    text = hoplab("table", "s1").out.splitlines()
    assert text[:2] == ["controller two_table_switch", "s1 knows 2 addresses"]
    assert text[2].split() == ["MAC", "WHO", "PORT", "AGE", "UNUSED", "FOR", "KEPT", "FOR",
                               "FRAMES"]  # fmt: skip
    assert row()[:5] == [H[1], "h1", "1", "to", "h1"] and row()[-2:] == ["to", "it"]
    entry = hoplab("table", "s1", "--json").json["switches"][0]["addresses"][1]
    assert (entry["who"], entry["port"], entry["interface"]) == ("h3", "3", "s1-eth3")
    assert entry["age_s"] < 60 and entry["idle_s"] is not None and entry["kept_s"] == 300
    for controller in ("learning_switch", "datapath_learning", "firewall"):
        hoplab("swap", controller)

        def learned() -> bool:
            hoplab("exec", "h1", "--", "ping", "-c", "2", "-i", "0.05", "10.0.0.3")
            return dict(table(hoplab)) == {H[1]: "1", H[3]: "3"}

        # Open vSwitch forwards by what it remembers of old flows until it has looked again.
        until(learned, f"{controller} to have learned both")
        first = hoplab("table", "s1", "--json").json["switches"][0]["addresses"][0]
        assert first["kept_s"] == (None if controller == "firewall" else 300), controller
    assert hoplab("table", "s9", code=4).err.startswith("hoplab: this lab has no switch s9\n")


def roles(hoplab: Any, number: int) -> dict[str, str]:
    """Port of a controller -> its role, as Open vSwitch has it, once so many are connected."""
    interval = itertools.count(5100)

    def look() -> dict[str, str]:
        # The database learns of connections with the statistics, every five seconds; a changed
        # interval makes it write at once.
        word = f"other_config:stats-update-interval={next(interval)}"
        hoplab("exec", "h1", "--", "ovs-vsctl", "set", "Open_vSwitch", ".", word)
        listed = hoplab("exec", "h1", "--", "ovs-vsctl", "--format=json", "--columns=target,role,"
                        "is_connected", "list", "Controller").json["data"]  # fmt: skip
        by_process = {row[0].rpartition(":")[2]: row[1] for row in listed if row[2] is True}
        named = set(by_process.values()) <= {"master", "slave"}  # "other" before they have asked
        return by_process if len(by_process) == number and named else {}

    return dict(until(look, f"{number} controllers to be connected"))


class TestFailOver:
    FIND = "pgrep -f 'hoplab[.]control[.](ryu|osken)_main'"

    def end(self, hoplab: Any, how: str) -> None:
        """Kill or stop the controller in charge."""
        state = json.loads((hoplab.state / "hoplab/labs/lab/lab.json").read_text())
        port = state["shards"][0]["port"]
        hoplab("exec", "h1", "--", "pkill", f"-{how}", "-f", f"tcp-listen-port {port}")

    @pytest.mark.parametrize("number", ["1", "2"])
    @pytest.mark.parametrize("how", ["KILL", "STOP"])
    def test_a_new_pair_talks_again(self, hoplab: Any, how: str, number: str) -> None:
        hoplab("up", "switch", "--controllers", number)
        if number == "2":
            before = roles(hoplab, 2)
            assert sorted(before.values()) == ["master", "slave"]
        hoplab("exec", "h1", "--", "ping", "-c", "1", "10.0.0.2")
        self.end(hoplab, how)
        # Whom the switch knows goes on; a new pair waits for the next controller.
        hoplab("exec", "h1", "--", "ping", "-c", "1", "-W", "2", "10.0.0.2")
        ping = ["ping", "-c", "1", "-W", "1", "10.0.0.3"]
        until(lambda: hoplab("exec", "h1", "--", *ping, code=None).code == 0, "a new pair")
        text = hoplab("ls").out
        assert {"KILL": " ended; ", "STOP": " was stopped (SIGSTOP); "}[how] in text
        assert {"1": "it is started again", "2": "the second one takes over"}[number] in text
        answered = until(
            lambda: (
                len(hoplab("exec", "h1", "--", "sh", "-c", self.FIND).out.split()) == int(number)
            ),
            "as many processes as before",
        )
        assert answered
        if number == "2":
            after = roles(hoplab, 2)
            (master,) = (port for port, role in after.items() if role == "master")
            assert before[master] == "slave" and sorted(after.values()) == ["master", "slave"]
            # What waits is refused nothing, for it asks for nothing.
            for log in hoplab.state.glob("hoplab/labs/lab/logs/controller-*.log"):
                assert "refuse" not in log.read_text()

    def test_the_second_ones_end_and_a_swap_leave_a_second_one(self, hoplab: Any) -> None:
        hoplab("up", "switch", "--controllers", "2", "--controller", "two_table_switch,monitor")
        waits = next(p for p, role in roles(hoplab, 2).items() if role == "slave")
        hoplab("exec", "h1", "--", "pkill", "-KILL", "-f", f"tcp-listen-port {waits}")
        until(lambda: "the second controller" in hoplab("ls").out, "the event")
        # Its row in the database goes when another one has joined in its place.
        until(lambda: waits not in roles(hoplab, 2), "another second controller")
        (hoplab.home / "bad.py").write_text("\n1 / 0\n")
        assert "bad.py:2" in hoplab("swap", "./bad.py", code=3).err
        assert sorted(roles(hoplab, 2).values()) == ["master", "slave"]
        hoplab("swap", "hub")
        assert sorted(roles(hoplab, 2).values()) == ["master", "slave"]
        self.end(hoplab, "KILL")
        until(lambda: "hub.py ended; the second one takes over" in hoplab("ls").out, "the event")
        assert hoplab("pingall", "--json").json["lost"] == []
        assert len(flows(hoplab)) == 1

    @pytest.mark.parametrize("number", ["1", "2"])
    def test_the_story_says_so(self, hoplab: Any, number: str) -> None:
        hoplab("up", "switch", "--controllers", number)
        hoplab("exec", "h1", "--", "ping", "-c", "1", "10.0.0.2")
        state = json.loads((hoplab.state / "hoplab/labs/lab/lab.json").read_text())
        port = state["shards"][0]["port"]
        # Two pairs that are new, before the end of the one in charge and after it.
        script = (
            f"ping -c 1 10.0.0.3; pkill -KILL -f '[t]cp-listen-port {port}'; "
            "until ping -c 1 -W 1 10.0.0.4; do :; done"
        )
        data = hoplab("trace", "--json", "h1", "--", "sh", "-c", script).json
        remarks = [r for step in data["steps"] for r in step["remarks"]]
        (remark,) = [r["text"] for r in remarks if r["code"] == "controller-changed"]
        assert "took charge of s1" in remark
        assert ("as its master (OpenFlow roles, generation 2)" in remark) == (number == "2")

    @pytest.mark.long
    def test_it_gives_up_after_a_few(self, hoplab: Any) -> None:
        (hoplab.home / "brief.py").write_text(
            "import os\nfrom ryu.base import app_manager\nfrom ryu.lib import hub\n"
            "from ryu.controller import ofp_event\n"
            "from ryu.controller.handler import CONFIG_DISPATCHER, MAIN_DISPATCHER, "
            "set_ev_cls\nfrom ryu.ofproto import ofproto_v1_3\n"
            "class Brief(app_manager.RyuApp):\n"
            "    OFP_VERSIONS = [ofproto_v1_3.OFP_VERSION]\n"
            "    @set_ev_cls(ofp_event.EventOFPPacketIn, MAIN_DISPATCHER)\n"
            "    def nothing(self, ev):\n"
            "        pass\n"
            "    @set_ev_cls(ofp_event.EventOFPSwitchFeatures, CONFIG_DISPATCHER)\n"
            "    def join(self, ev):\n"
            "        dp = ev.msg.datapath\n"
            "        dp.send_msg(dp.ofproto_parser.OFPFlowMod(datapath=dp))\n"
            "    def start(self):\n"
            "        super().start()\n"
            "        hub.spawn_after(4, os._exit, 3)\n"
        )
        hoplab("up", "switch", "--controller", "./brief.py")
        until(lambda: "stays down" in hoplab("ls").out, "an end to it", within_s=90)
        hoplab("swap", "hub")
        assert hoplab("pingall", "--json").json["lost"] == []


def test_switches_divided_among_processes(hoplab: Any) -> None:
    (hoplab.home / "linear.py").write_text(
        "from mininet.topo import LinearTopo\ntopos = {'linear': lambda: LinearTopo(k=5)}\n"
    )
    lab = ["up", "./linear.py", "--shards", "2"]
    wrong = hoplab(*lab, "--controller", "spanning_tree", code=3).err
    assert "spanning_tree.py must see every switch" in wrong
    hoplab(*lab, "--controller", "two_table_switch,monitor")
    assert hoplab("pingall", "--json").json["lost"] == []
    shards = hoplab("ls", "--json").json[0]["shards"]
    assert [each["switches"] for each in shards] == [["s1", "s2", "s3"], ["s4", "s5"]]
    assert "(s1 s2 s3 | s4 s5)" in hoplab("ls").out
    assert "s4 knows 5 addresses (shard 2)" in hoplab("table", "s4").out
    until(lambda: all(s["rates"] for s in hoplab("table", "--json").json["switches"]), "rates")
    logs = hoplab.state / "hoplab/labs/lab/logs"
    learned = [(logs / f"controller-{shard['port']}.log").read_text() for shard in shards]
    assert [sorted(set(re.findall(r"(s\d): learned", text))) for text in learned] == [
        each["switches"] for each in shards
    ]
    with pytest.raises(AssertionError, match="must see every switch"):
        hoplab("swap", "spanning_tree")
    hoplab("swap", "hub")
    assert {len(flows(hoplab, f"s{n}")) for n in range(1, 6)} == {1}
    port = hoplab("ls", "--json").json[0]["shards"][1]["port"]
    hoplab("exec", "h1", "--", "pkill", "-KILL", "-f", f"tcp-listen-port {port}")
    until(lambda: "(shard 2) ended; it is started again" in hoplab("ls").out, "the event")
    assert hoplab("pingall", "--json").json["lost"] == []


def test_several_apps_run_together_and_bad_ones_change_nothing(hoplab: Any) -> None:
    hoplab("up", "switch", "--controller", "two_table_switch,monitor")
    result = hoplab("swap", "hub,no_such", code=4)
    assert "there is no controller 'no_such'" in result.err
    (hoplab.home / "bad.py").write_text("\n1 / 0\n")
    assert "bad.py:2" in hoplab("swap", "hub,./bad.py", code=3).err
    assert hoplab("ls", "--json").json[0]["controller"] == "two_table_switch,monitor"
    assert hoplab("swap", "hub,monitor", "--json").json["controller"] == "hub,monitor"
    assert hoplab("pingall", "--json").json["lost"] == []


# OpenFlow 1.3.5, 7.5.1 and 7.3.5.2: elements that say they have no length. Who skips from element
# to element by their lengths goes round for ever; Ryu and os-ken both do.
ENDLESS = {
    "hello": "0400000c 00000000 00010000",
    "flow statistics": "0400000800000000 04130048 00000000 0001 0000 00000000" + "00" * 56,
}
NOT_ANSWERED = "has not answered"
SEND_TO_CONTROLLER = """
import socket, sys
peer = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
peer.sendall(bytes.fromhex(sys.argv[2]))
peer.settimeout(60)
while peer.recv(65536):
    pass
"""


@pytest.mark.parametrize("message", ENDLESS)
def test_a_message_that_hangs_a_controller_does_not_hang_the_lab(hoplab: Any, message: str) -> None:
    hoplab("up", "switch", "--controller", "two_table_switch")
    # The controller's port is in the lab, but no host reaches it.
    refused = hoplab("exec", "h1", "--", "nc", "-z", "-w1", "127.0.0.1", "6653", code=None)
    assert refused.code != 0
    inside = ["exec", "h1", "--", "nsenter", "-t", "1", "-n", "python3", "-c"]
    hoplab.popen(*inside, SEND_TO_CONTROLLER, "6653", ENDLESS[message])
    until(lambda: NOT_ANSWERED in hoplab("ls").out, "the watchdog to notice")
    until(lambda: hoplab("pingall", "--json", code=None).json["lost"] == [], "all pairs")


@pytest.mark.parametrize("controller", [*SWITCHES, "spanning_tree", "router,monitor"])
def test_the_same_files_run_on_the_maintained_fork(hoplab: Any, controller: str) -> None:
    pytest.importorskip("os_ken", reason="os-ken is not installed")
    topology = {"spanning_tree": "loop", "router,monitor": "web_openflow"}.get(controller, "switch")
    hoplab("up", topology, "--controller", controller, "--platform", "os-ken")
    until(lambda: hoplab("pingall", "--json", code=None).json["lost"] == [], "all pairs")
    argv = hoplab("exec", "h1" if topology != "web_openflow" else "client", "--", "pgrep", "-f",
                  "hoplab[.]control[.]osken_main").out  # fmt: skip
    assert argv.strip()


def test_the_ten_lines_of_the_manual_work(hoplab: Any) -> None:
    text = (PROJECT / "docs" / "controllers.md").read_text()
    block = text[text.index("    from ryu.base") : text.index("Save it as `mine.py`")]
    (hoplab.home / "mine.py").write_text(textwrap.dedent(block))
    hoplab("up", "switch")
    hoplab("swap", "./mine.py")
    assert hoplab("pingall", "--json").json["lost"] == []
    assert [line.partition("priority=")[2][:1] for line in flows(hoplab)] == ["0"]


def every_pair(names: list[str]) -> list[str]:
    """A round trip, from the first name back to it, that takes the way of every ordered pair once
    (Hierholzer's, on the complete graph)."""
    left = {name: [peer for peer in names if peer != name] for name in names}
    stack, tour = [names[0]], []
    while stack:
        if left[stack[-1]]:
            stack.append(left[stack[-1]].pop())
        else:
            tour.append(stack.pop())
    return tour[::-1]


THERE_AND_BACK = ["hub", *["learning_switch", "hub"] * 20]
CAMPAIGNS = {
    "hub and back, twenty times": ([], THERE_AND_BACK),
    "every pair": ([], every_pair(["hub", *SWITCHES])),
    "every pair, two shards": (["--shards", "2"], every_pair(["hub", *SWITCHES])),
    "every pair, two controllers": (["--controllers", "2"], every_pair(["hub", *SWITCHES])),
}


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("tour_name", CAMPAIGNS)
def test_swaps_lose_none_of_ten_thousand_pings(hoplab: Any, tour_name: str) -> None:
    """100 pings a second over three switches while controllers come and go."""
    options, tour = CAMPAIGNS[tour_name]
    (hoplab.home / "linear.py").write_text(
        "from mininet.topo import LinearTopo\ntopos = {'linear': lambda: LinearTopo(k=3)}\n"
    )
    hoplab("up", "./linear.py", "--controller", tour[0], *options)
    hoplab("pingall")
    ping = hoplab.popen("exec", "h1", "--", "ping", "-q", "-i", "0.01", "-c", "10000", "10.0.0.3")
    assert "PING" in ping.stdout.readline()
    for name in tour[1:]:
        hoplab("swap", name)
    assert ping.poll() is None, "the pings ended before the swaps"
    out, _ = ping.communicate(timeout=300)
    assert "10000 packets transmitted, 10000 received" in out, out
