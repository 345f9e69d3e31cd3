# SPDX-License-Identifier: Apache-2.0
"""Claims of a sheet's checks: about packets on recorded runs, about tables and flows on built
ones."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from hoplab import runs
from hoplab.packet_filter.grammar import FilterError
from hoplab.sheets.claims import ClaimError, read_claim, read_filter
from hoplab.sheets.findings import Finding
from hoplab.sheets.flow_claims import Cables, miss_of_flow, read_flow_claim, read_packet
from hoplab.sheets.packet_claims import find_miss
from hoplab.sheets.records import PacketClaims
from hoplab.sheets.table_claims import Names, miss_of_host, miss_of_switch, read_table_claim
from hoplab.story.host_state import Card, Host, Listener, Neighbour, Route

RUNS = Path(__file__).parent.parent / "data" / "runs"


@cache
def run(name: str) -> runs.Run:
    return runs.reopen(RUNS / name)


def miss(name: str, filter_text: str, *claims: str) -> Finding | None:
    entry = PacketClaims(filter_text, read_filter(filter_text), tuple(map(read_claim, claims)))
    return find_miss(run(name), [entry])


# Each claim once where it holds and once, said otherwise, where it does not.
HOLD: list[tuple[str, str, str, str]] = [
    ("routed-cold", "icmp.echo.request", "1 packet", "2 packets"),
    ("routed-cold", "icmp.echo.request", "at least 1 packet", "at least 2 packets"),
    ("routed-cold", "tcp", "no packets", "some packets"),
    ("routed-cold", "arp", "2 to 8 packets", "at most 1 packet"),
    ("routed-cold", "icmp.echo.request", "4 copies", "3 copies"),
    ("routed-cold", "icmp.echo.request", "ttl 64 -> 63", "ttl 64 -> 62"),
    ("routed-cold", "icmp.echo.request", "source MAC changes 1 time between h1 and h3",
     "source MAC changes 2 times between h1 and h3"),
    ("routed-cold", "icmp.echo.request", "source IP stays", "source MAC stays"),
    ("routed-cold", "icmp.echo.request", "destination MAC r1 -> h3", "destination MAC h3 -> r1"),
    ("routed-cold", "icmp.echo.request", "destination MAC stays between h1 and r1",
     "destination MAC stays between h1 and h3"),
    ("routed-cold", "icmp.echo.request", "all via r1 answered", "none via r1"),
    ("routed-cold", "icmp.echo.request", "before icmp.echo.reply", "after icmp.echo.reply"),
    ("routed-cold", "icmp.echo.request", "after arp.request", "before arp.request"),
    ("routed-cold", "icmp.echo.reply", "within 1 s of icmp.echo.request",
     "at least 1 s after icmp.echo.request"),
    ("hub", "icmp", "seen at s1-eth2", "not seen at s1-eth2"),
    ("hub", "icmp", "seen at h3, h4", "seen at h2 and nowhere else"),
    ("switch", "icmp.echo.request", "seen at s1-eth2 and nowhere else", "seen at s1-eth3"),
    ("switch", "icmp.echo.request", "not seen at h3, h4", "seen at h1, h3"),
    ("web-cold", "http.request", "source MAC changes 2 times between client and www",
     "source MAC changes 1 time between client and www"),
    ("web-cold", "http.request", "ttl 64 -> 62", "ttl stays"),
    ("web-cold", "tcp", "0 retransmissions", "some retransmissions"),
    ("web-cold", "dns.question from client", "before tcp.syn", "after tcp.syn"),
    ("tcp-timeouts", "tcp", "at least 1 retransmission", "no retransmissions"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "filter_text", "claim", "wrong"), HOLD)
def test_a_claim_holds_or_does_not(name: str, filter_text: str, claim: str, wrong: str) -> None:
    assert miss(name, filter_text, claim) is None
    finding = miss(name, filter_text, wrong)
    assert finding is not None
    assert finding.expected == f"{filter_text}: {wrong}"
    assert finding.seen


def test_a_failure_says_where_the_packet_died_and_which_frame_shows_it() -> None:
    finding = miss("dead-host", "tcp from client", "all answered")
    assert finding is not None
    assert finding.where == "r2"
    assert finding.why[0] == "r2 took it in and sent nothing on"
    assert "nobody answered" in finding.why[1]
    assert finding.packet > 0
    finding = miss("dead-host", "icmp.echo.request", "all answered")
    assert finding is not None
    assert finding.seen == "there was no such packet"
    finding = miss("ttl-expiry", "icmp.echo.request", "none ended")
    assert finding is not None
    assert finding.where == "r1"
    assert any("TTL" in reason for reason in finding.why)
    assert finding.frame > 0


def test_names_that_the_run_has_not_are_no_miss() -> None:
    with pytest.raises(FilterError):
        miss("hub", "from nobody9x at h77", "1 packet")
    with pytest.raises(FilterError):
        miss("hub", "icmp", "seen at s9-eth1")


@pytest.mark.parametrize(
    "words", ["", "1 parcel", "seen", "ttl 64", "MAC changes", "not seen at h1 and nowhere else",
              "all (", "within 2 of tcp", "source MAC changes between a and b"],
)  # fmt: skip
def test_what_claims_nothing_is_told(words: str) -> None:
    with pytest.raises(ClaimError):
        read_claim(words)


# ------------------------------------------------------------------------ tables

MACS = {f"h{n}": f"02:00:00:00:0{n}:00" for n in (1, 2, 3)}
INTERFACES: list[dict[str, Any]] = [
    *({"name": f"{name}-eth0", "node": name, "mac": mac, "addresses": [f"10.0.0.{n}/24"],
       "peer": f"s1-eth{n}"} for n, (name, mac) in enumerate(MACS.items(), 1)),
    *({"name": f"s1-eth{n}", "node": "s1", "mac": "", "addresses": [], "peer": f"h{n}-eth0"}
      for n in (1, 2, 3)),
]  # fmt: skip
NAMES = Names.of(INTERFACES)
TABLE = {
    "addresses": [{"mac": MACS["h1"], "who": "h1", "port": "1", "interface": "s1-eth1"}],
    "flows": [
        {"priority": 3, "table": 0, "match": "dl_dst=02:00:00:00:02:00,ip", "actions": "output:2"},
        {"priority": 0, "table": 0, "match": "", "actions": "CONTROLLER:65535"},
    ],
}
OF_SWITCH = {
    "h1 at s1-eth1": "h1 at s1-eth2", "02:00:00:00:01:00 at port 1": "h2 at s1-eth1",
    "no h3": "no h1", "1 address": "2 addresses", "at least 1 flow": "no flows",
    "flow dl_dst=h2: output:2": "flow dl_dst=h2: output:3", "no flow dl_dst=h1": "no flow ip",
    "flow priority=0: controller:65535": "flow priority=7",
}  # fmt: skip


@pytest.mark.parametrize(("right", "wrong"), OF_SWITCH.items())
def test_what_a_switch_has(right: str, wrong: str) -> None:
    assert miss_of_switch(read_table_claim(right), TABLE, NAMES) is None
    assert miss_of_switch(read_table_claim(wrong), TABLE, NAMES)


def a_host() -> Host:
    from ipaddress import IPv4Address, IPv4Interface, IPv4Network

    return Host(
        "h1",
        {"h1-eth0": Card("h1-eth0", MACS["h1"], addresses=(IPv4Interface("10.0.0.1/24"),))},
        (Route(IPv4Network("0.0.0.0/0"), IPv4Address("10.0.0.2"), "h1-eth0"),
         Route(IPv4Network("10.0.0.0/24"), None, "h1-eth0")),
        neighbours=(Neighbour("h1-eth0", "10.0.0.2", MACS["h2"]),
                    Neighbour("h1-eth0", "10.0.0.9", "")),
        listeners=(Listener("tcp", "", 80), Listener("tcp", "127.0.0.1", 25)),
        resolvers=("10.0.0.3",),
    )  # fmt: skip


OF_HOST = {
    "address 10.0.0.1/24": "address 10.0.0.1/25", "gateway h2": "gateway h3",
    "gateway": "no gateway",
    "route 0.0.0.0/0 via 10.0.0.2": "route default via 10.0.0.3",
    "route 10.0.0.0/24 dev h1-eth0": "no route 10.0.0.0/24",
    "no route 10.9.0.0/16": "route 10.9.0.0/16",
    "neighbour 10.0.0.2 at h2": "neighbour h2 at h1", "no neighbour 10.0.0.9": "neighbour 10.0.0.9",
    "resolver h3": "resolver 10.0.0.53", "listener tcp 80": "listener tcp 25",
    "no forwards": "forwards",
}  # fmt: skip


@pytest.mark.parametrize(("right", "wrong"), OF_HOST.items())
def test_what_a_host_has(right: str, wrong: str) -> None:
    assert miss_of_host(read_table_claim(right), a_host(), NAMES) is None
    assert miss_of_host(read_table_claim(wrong), a_host(), NAMES)


# ------------------------------------------------------------------------ flows

STATE = {
    "nodes": [{"name": name, "kind": "host"} for name in MACS] + [{"name": "s1", "kind": "switch"}],
    "interfaces": INTERFACES,
}
PORTS = ["s1-eth1", "s1-eth2", "s1-eth3"]
TRACE = 'Flow: icmp,in_port="s1-eth1"\n\nbridge("s1")\n 0. {flow}\n\nDatapath actions: {actions}\n'


@pytest.mark.parametrize(
    ("flow", "actions", "right", "wrong"),
    [
        ('priority 1\n    output:"s1-eth2"', "s1-eth2", "out of s1-eth2",
         "out of s1-eth1, s1-eth2"),
        ("priority 0\n    FLOOD", "s1,s1-eth3,s1-eth2", "out of every other port", "dropped"),
        ("priority 0\n    CONTROLLER:65535", "userspace(pid=0,controller(reason=1))",
         "to the controller", "dropped"),
        ("priority 5\n    drop", "drop", "dropped", "to the controller"),
    ],
)  # fmt: skip
def test_where_a_switch_would_send_it(flow: str, actions: str, right: str, wrong: str) -> None:
    text = TRACE.format(flow=flow, actions=actions)
    assert miss_of_flow(read_flow_claim(right), text, PORTS, "s1-eth1") is None
    assert miss_of_flow(read_flow_claim(wrong), text, PORTS, "s1-eth1")


def test_of_a_select_group_no_claim_holds() -> None:
    """Its second look at the frame ends in "no live bucket", which is no drop."""
    first = TRACE.format(flow="priority 9\n    group:1", actions="hash(l4(0)),recirc(0x1)")
    again = TRACE.format(flow="priority 9\n    group:1\n     no live bucket", actions="drop")
    for words in ("dropped", "out of s1-eth2", "to the controller"):
        text = f"{first}\nrecirc(0x1) - resume conntrack with default ct_state\n\n{again}"
        miss = miss_of_flow(read_flow_claim(words), text, PORTS, "s1-eth1")
        assert miss is not None and "hash" in str(miss)


def test_a_packet_in_words_has_the_fields_of_a_real_one() -> None:
    fields = Cables(STATE).fields(read_packet("from h1 to h2 tcp 80"), "s1")
    assert fields == (
        "in_port=s1-eth1,dl_src=02:00:00:00:01:00,dl_dst=02:00:00:00:02:00,tcp,nw_src=10.0.0.1,"
        "nw_dst=10.0.0.2,nw_ttl=64,tp_src=40000,tp_dst=80"
    )
    with pytest.raises(ClaimError):
        Cables(STATE).fields(read_packet("from h1 to h9"), "s1")


def test_behind_a_router_the_frame_has_other_addresses() -> None:
    def end(node: str, number: int, mac: str, address: str, peer: str) -> dict[str, Any]:
        return {"name": f"{node}-eth{number}", "node": node, "mac": mac,
                "addresses": [address] if address else [], "peer": peer}  # fmt: skip

    state = {
        "nodes": [{"name": "h1", "kind": "host"}, {"name": "h3", "kind": "host"},
                  {"name": "r1", "kind": "router"},
                  *({"name": name, "kind": "switch"} for name in ("s1", "s2"))],
        "interfaces": [
            end("h1", 0, "0a", "10.0.1.10/24", "s1-eth1"), end("s1", 1, "", "", "h1-eth0"),
            end("s1", 2, "", "", "r1-eth0"), end("r1", 0, "0b", "10.0.1.1/24", "s1-eth2"),
            end("r1", 1, "0c", "10.0.2.1/24", "s2-eth1"), end("s2", 1, "", "", "r1-eth1"),
            end("s2", 2, "", "", "h3-eth0"), end("h3", 0, "0d", "10.0.2.10/24", "s2-eth2"),
        ],
    }  # fmt: skip
    cables, packet = Cables(state), read_packet("from h1 to h3")
    assert cables.fields(packet, "s1").startswith("in_port=s1-eth1,dl_src=0a,dl_dst=0b,icmp,")
    there = cables.fields(packet, "s2")
    assert there.startswith("in_port=s2-eth1,dl_src=0c,dl_dst=0d,icmp,nw_src=10.0.1.10,")
    assert "nw_ttl=63" in there
