# SPDX-License-Identifier: Apache-2.0
"""The firewall and the monitor on a fake table: what passes, what is counted, what is told."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.fake_table import FakeSwitch, Rig, load, ofp, parser, start
from tests.unit.test_controllers_router import EVERYBODY, FAR, HOST, arp, ethernet, packet

H1, H2 = "10.0.0.1", "10.0.0.2"
MakeRig = Callable[[str], Rig]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeRig:
    monkeypatch.setenv("FIREWALL_RULES", str(tmp_path / "rules"))
    monkeypatch.setenv("HOPLAB_FOLDER", str(tmp_path))

    def make_rig(rules: str) -> Rig:
        (tmp_path / "rules").write_text(rules)
        return start("firewall")

    return make_rig


def tcp(port: int, source: str = H1, to: str = H2) -> bytes:
    body = b"\x30\x39" + port.to_bytes(2, "big") + bytes(16)
    return ethernet(FAR, HOST, packet(source, to, protocol=6, body=body))


ARP = ethernet(EVERYBODY, HOST, arp(1, (HOST, H1), (FAR, H2)), 0x0806)
PING = ethernet(FAR, HOST, packet(H1, H2, protocol=1, body=b"\x08\0\0\0\0\0\0\0"))
IPV6 = ethernet(FAR, HOST, b"\x60" + bytes(60), 0x86DD)

CASES = [
    ("allow any", {"arp": 1, "ping": 1, "80": 1, "23": 1, "ipv6": 1}),
    ("", {"arp": 0, "ping": 0, "80": 0, "23": 0, "ipv6": 0}),
    ("deny tcp port 23\nallow any", {"arp": 1, "ping": 1, "80": 1, "23": 0, "ipv6": 1}),
    ("allow any\ndeny tcp port 23", {"23": 1}),  # the first that fits
    ("allow arp\nallow icmp", {"arp": 1, "ping": 1, "80": 0, "ipv6": 0}),
    (f"deny ip from {H1}\nallow any", {"arp": 1, "ping": 0, "80": 0, "ipv6": 1}),
    ("deny ip to 10.0.0.0/30\nallow any", {"arp": 1, "ping": 0, "80": 0}),
    ("deny ip to 10.0.0.4/30\nallow any", {"ping": 1}),
    (f"deny arp to {H2}\nallow any", {"arp": 0, "ping": 1}),
    (f"allow tcp from any to {H2} port 80  # the web", {"80": 1, "23": 0, "arp": 0}),
    (f"deny any to {H2}\nallow any", {"ping": 0, "80": 0, "arp": 1}),
]


@pytest.mark.parametrize(("rules", "passes"), CASES)
def test_the_first_rule_that_fits_decides(
    make: MakeRig, rules: str, passes: dict[str, int]
) -> None:
    rig = make(rules)
    switch = rig.connect(FakeSwitch())
    frames = {"arp": ARP, "ping": PING, "80": tcp(80), "23": tcp(23), "ipv6": IPV6}
    for name, allowed in passes.items():
        assert rig.send(switch, 1, frames[name]) == ([2, 3, 4] if allowed else []), name
    assert switch.packet_ins == 0


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("permit any", "'permit' is neither allow nor deny"),
        ("allow", "'' is none of any, arp"),
        ("deny ipx", "'ipx' is none of any, arp"),
        ("deny ip port 5", "only tcp and udp have ports"),
        ("deny tcp port 70000", "70000 is no port"),
        ("deny tcp port", "something is missing after 'port'"),
        ("deny ip from 10.0.0.300", "Octet 300 (> 255) not permitted in '10.0.0.300'"),
        ("deny ip over there", "'over' is none of from, to, port"),
    ],
)
def test_a_line_that_is_no_rule_is_named(line: str, complaint: str) -> None:
    module = load("firewall")
    with pytest.raises(module.NotUnderstood, match=r"^my\.rules, line 3: ") as caught:
        module.parse(f"# first\nallow arp\n{line}\n", "my.rules")
    assert str(caught.value).partition("line 3: ")[2].startswith(complaint)


def save(tmp_path: Path, rules: str) -> None:
    """As an editor does, at another time than before."""
    before = (tmp_path / "rules").stat().st_mtime_ns
    (tmp_path / "rules").write_text(rules)
    os.utime(tmp_path / "rules", ns=(before + 10**9, before + 10**9))


def test_a_saved_file_is_in_force_at_one_instant(make: MakeRig, tmp_path: Path) -> None:
    rig = make("allow any")
    first, second = rig.connect(FakeSwitch(id=1)), rig.connect(FakeSwitch(id=2))
    save(tmp_path, "deny icmp\nallow any")
    first.applied.clear()
    rig.app.look()
    assert first.applied == ["bundle of 5"]
    assert rig.send(first, 1, PING) == rig.send(second, 1, PING) == []
    assert rig.send(first, 1, tcp(80)) == [2, 3, 4]
    first.applied.clear()
    rig.app.look()
    assert first.applied == []  # nothing has changed


def test_a_switch_may_come_while_new_rules_are_sent(make: MakeRig, tmp_path: Path) -> None:
    rig = make("allow any")
    first, second = rig.connect(FakeSwitch(id=1)), FakeSwitch(id=2)
    send = first.send
    first.send = lambda data: (rig.connect(second), send(data))  # type: ignore[method-assign]
    save(tmp_path, "deny icmp\nallow any")
    rig.app.look()
    assert rig.send(first, 1, PING) == rig.send(second, 1, PING) == []


@pytest.mark.parametrize("bad", ["deny nonsense\nallow any", None])
def test_a_bad_file_leaves_the_rules_of_before(
    make: MakeRig, tmp_path: Path, bad: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    rig = make("deny icmp\nallow any")
    switch = rig.connect(FakeSwitch())
    if bad is None:
        (tmp_path / "rules").unlink()
    else:
        save(tmp_path, bad)
    rig.app.look()
    assert rig.send(switch, 1, PING) == [] and rig.send(switch, 1, tcp(80)) == [2, 3, 4]
    assert "the rules of before stay in force" in caplog.text


def test_bytes_that_are_no_text_are_read_as_a_bad_line(make: MakeRig, tmp_path: Path) -> None:
    rig = make("allow any")
    switch = rig.connect(FakeSwitch())
    for number, (text, passes) in enumerate(
        [
            (b"deny ip from \xff\nallow any", True),
            (b"deny icmp  # \xe9\nallow any", False),  # in a comment
            (b"allow any", True),
        ]
    ):
        (tmp_path / "rules").write_bytes(text)
        os.utime(tmp_path / "rules", ns=(number, number))
        rig.app.look()
        assert bool(rig.send(switch, 1, PING)) == passes


def test_whatever_happens_the_file_is_looked_at_again(
    make: MakeRig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    app = make("allow any").app
    looked = []

    def look() -> None:
        looked.append(1)
        if len(looked) == 3:
            raise SystemExit
        raise RuntimeError("a slip")

    monkeypatch.setattr(app, "look", look)
    monkeypatch.setitem(type(app).look_for_ever.__globals__, "LOOK_S", 0)
    with pytest.raises(SystemExit):
        app.look_for_ever()
    assert caplog.text.count("RuntimeError: a slip") == 2


def test_counters_stand_beside_their_rules(make: MakeRig, tmp_path: Path) -> None:
    rig = make("# comment\ndeny icmp\nallow any")
    for number in (1, 2):
        switch = rig.connect(FakeSwitch(id=number))
        rules = [(f.cookie, f.table) for f in switch.flows]
        body = [
            SimpleNamespace(table_id=table, cookie=cookie, packet_count=cookie * 10, byte_count=9)
            for cookie, table in rules
        ]
        rig.app.counters_arrive(SimpleNamespace(msg=SimpleNamespace(datapath=switch, body=body)))
    data = json.loads((tmp_path / "firewall.json").read_text())
    assert [(rule["line"], rule["rule"], rule["packets"], rule["bytes"]) for rule in data] == [
        (2, "deny icmp", 40, 18),
        (3, "allow any", 60, 18),
        (0, "deny what no rule fits", 0, 18),
    ]


def test_the_file_that_is_shipped_is_understood() -> None:
    module = load("firewall")
    text = Path(module.__file__).with_name("firewall.rules").read_text()
    assert [rule.text for rule in module.parse(text, "it")] == [
        "deny tcp to 10.0.0.2 port 23",
        "allow any",
    ]


# ---- the monitor --------------------------------------------------------------------------------


def ports(at_s: float, packets: int) -> list[Any]:
    return [
        SimpleNamespace(
            port_no=number, duration_sec=int(at_s), duration_nsec=int(at_s % 1 * 1e9),
            rx_packets=packets, rx_bytes=packets * 100, tx_packets=0, tx_bytes=0,
        )
        for number in (1, ofp.OFPP_LOCAL)
    ]  # fmt: skip


def test_rates_are_differences_over_the_switchs_own_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOPLAB_FOLDER", str(tmp_path))
    rig = start("monitor")
    switch = FakeSwitch(id=10)

    def answer(body: list[Any], flags: int = 0) -> Any:
        msg = SimpleNamespace(datapath=switch, body=body, flags=flags)
        rig.app.ports_answer(SimpleNamespace(msg=msg))
        return json.loads((tmp_path / "monitor.json").read_text())["switches"]["000000000000000a"]

    assert answer(ports(10, 1000)) == {"ports": {}}
    rates = answer(ports(12.5, 1500))["ports"]
    assert set(rates) == {"1 in", "1 out"}  # the local port is none
    assert (rates["1 in"]["packets_s"], rates["1 in"]["bit_s"]) == (200, 160_000)
    assert answer(ports(13, 3))["ports"].keys() == {"1 out"}  # counted anew: no rate
    rates = answer(ports(14, 13), ofp.OFPMPF_REPLY_MORE)
    assert rates["ports"].keys() == {"1 out"}  # half an answer tells nothing
    assert answer([])["ports"]["1 in"]["packets_s"] == 10


def test_a_flow_is_named_by_what_makes_it_one() -> None:
    module = load("monitor")
    match = parser.OFPMatch(in_port=3, eth_dst="00:00:00:00:00:01")
    flow = SimpleNamespace(table_id=1, priority=7, match=match)
    assert module.name_of(flow) == "table=1,priority=7,eth_dst=00:00:00:00:00:01,in_port=3"


def test_it_asks_only_who_is_there_and_touches_no_flow() -> None:
    rig = start("monitor")
    switch = rig.connect(FakeSwitch())
    assert switch.flows == [] and switch.applied == []
    load("monitor").ask(switch)
    assert [type(each).__name__ for each in switch.asked] == [
        "OFPPortStatsRequest",
        "OFPFlowStatsRequest",
    ]
