# SPDX-License-Identifier: Apache-2.0
"""The router on a fake table: routes, neighbours, TTL, ARP and ICMP, judged by plain parsing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit import frames
from tests.unit.fake_table import FakeSwitch, Rig, load, ofp, start
from tests.unit.frames import checksum, ip, mac

R1, R2, R3 = (f"02:00:00:00:65:{n:02x}" for n in (1, 2, 3))
HOST, FAR, GATEWAY = "02:00:00:00:01:00", "02:00:00:00:02:00", "02:00:00:00:03:00"
EVERYBODY = "ff:ff:ff:ff:ff:ff"
CONFIG = {
    "65": {
        "name": "r1",
        "ports": {"1": "10.0.1.1/24", "2": "10.0.2.1/24", "3": "10.0.3.1/30"},
        "routes": {"10.9.0.0/16": "10.0.3.2", "10.9.9.0/24": "10.0.2.9", "0.0.0.0/0": "10.0.3.2"},
    }
}


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    file = tmp_path / "router.json"
    file.write_text(json.dumps(CONFIG))
    monkeypatch.setenv("ROUTER_CONFIG", str(file))
    return start("router")


@pytest.fixture
def r1(rig: Rig) -> FakeSwitch:
    return rig.connect(FakeSwitch(id=0x65, ports=(1, 2, 3)))


DATAGRAM = b"\0\1\0\2\0\x0c\0\0data"


def packet(
    source: str, to: str, *, ttl: int = 64, protocol: int = 17, body: bytes = DATAGRAM,
    offset: int = 0,
) -> bytes:  # fmt: skip
    return frames.ipv4(source, to, protocol, body, ttl, 7, frag=offset)


def ethernet(to: str, source: str, body: bytes, kind: int = 0x0800) -> bytes:
    return frames.eth(to, source, kind, body)


def arp(code: int, sender: tuple[str, str], target: tuple[str, str]) -> bytes:
    return frames.arp(code, *sender, *target)


def learn(rig: Rig, r1: FakeSwitch, port: int, address: str, card: str) -> None:
    """The neighbour asks the router, which makes it known."""
    own = f"10.0.{port}.1"
    question = arp(1, (card, address), ("00:00:00:00:00:00", own))
    rig.gives(r1, port, ethernet(EVERYBODY, card, question, 0x0806))


def ping(body: bytes = b"\x12\x34\0\1hello!") -> bytes:
    return b"\x08\0" + checksum(b"\x08\0\0\0" + body).to_bytes(2, "big") + body


def test_it_answers_arp_for_its_address_of_that_port_alone(rig: Rig, r1: FakeSwitch) -> None:
    for own, answered in (("10.0.1.1", True), ("10.0.2.1", False), ("10.0.1.9", False)):
        question = arp(1, (HOST, "10.0.1.10"), ("00:00:00:00:00:00", own))
        left = rig.gives(r1, 1, ethernet(EVERYBODY, HOST, question, 0x0806))
        reply = ethernet(HOST, R1, arp(2, (R1, own), (HOST, "10.0.1.10")), 0x0806)
        assert left == ([(1, reply)] if answered else [])


def test_a_packet_waits_for_its_neighbour_and_then_flows(rig: Rig, r1: FakeSwitch) -> None:
    data = packet("10.0.1.10", "10.0.2.20")
    asked = rig.gives(r1, 1, ethernet(R1, HOST, data))
    question = arp(1, (R2, "10.0.2.1"), ("00:00:00:00:00:00", "10.0.2.20"))
    assert asked == [(2, ethernet(EVERYBODY, R2, question, 0x0806))]
    assert rig.gives(r1, 1, ethernet(R1, HOST, data)) == []  # asked once, two wait
    answer = arp(2, (FAR, "10.0.2.20"), (R2, "10.0.2.1"))
    sent = ethernet(FAR, R2, packet("10.0.1.10", "10.0.2.20", ttl=63))
    assert rig.gives(r1, 2, ethernet(R2, FAR, answer, 0x0806)) == [(2, sent), (2, sent)]
    before = r1.packet_ins
    assert rig.gives(r1, 1, ethernet(R1, HOST, data)) == [(2, sent)]
    assert r1.packet_ins == before  # by the flows alone


@pytest.mark.parametrize(
    ("to", "hop", "port"),
    [
        ("10.0.2.77", "10.0.2.77", 2),
        ("10.9.1.1", "10.0.3.2", 3),
        ("10.9.9.1", "10.0.2.9", 2),  # the longer prefix
        ("192.0.2.1", "10.0.3.2", 3),  # the default route
    ],
)
def test_the_longest_prefix_wins(rig: Rig, r1: FakeSwitch, to: str, hop: str, port: int) -> None:
    data = ethernet(R1, HOST, packet("10.0.1.10", to))
    ((out, question),) = rig.gives(r1, 1, data)
    assert out == port and question[38:42] == ip(hop)
    learn(rig, r1, port, hop, GATEWAY)
    before = r1.packet_ins
    ((out, sent),) = rig.gives(r1, 1, data)
    assert (out, sent[:6], sent[30:34]) == (port, mac(GATEWAY), ip(to))
    assert r1.packet_ins == before


def test_it_answers_a_ping_to_any_of_its_addresses(rig: Rig, r1: FakeSwitch) -> None:
    learn(rig, r1, 1, "10.0.1.10", HOST)
    for own in ("10.0.1.1", "10.0.2.1"):
        asked = packet("10.0.1.10", own, protocol=1, body=ping())
        ((port, sent),) = rig.gives(r1, 1, ethernet(R1, HOST, asked))
        assert port == 1 and sent[:14] == mac(HOST) + mac(R1) + b"\x08\0"
        assert (sent[22], sent[26:30], sent[30:34]) == (64, ip(own), ip("10.0.1.10"))
        assert checksum(sent[14:34]) == 0 and checksum(sent[34:]) == 0
        assert sent[34:36] == b"\0\0" and sent[38:] == ping()[4:]


@pytest.mark.parametrize("offset", [0x2000, 0x2001, 3], ids=["first", "middle", "last"])
@pytest.mark.parametrize("protocol", [1, 17])
def test_what_comes_in_pieces_has_no_answer(
    rig: Rig, r1: FakeSwitch, offset: int, protocol: int
) -> None:
    learn(rig, r1, 1, "10.0.1.10", HOST)
    learn(rig, r1, 2, "10.0.2.20", FAR)
    for to, left in (("10.0.1.1", 0), ("10.0.2.20", 1)):
        part = packet("10.0.1.10", to, protocol=protocol, body=ping(), offset=offset)
        assert len(rig.gives(r1, 1, ethernet(R1, HOST, part))) == left
    may_not = packet("10.0.1.10", "10.0.1.1", protocol=1, body=ping(), offset=0x4000)
    assert len(rig.gives(r1, 1, ethernet(R1, HOST, may_not))) == 1, "whole, as DF is no MF"


@pytest.mark.parametrize(
    ("card", "address", "at", "replacement"),
    [
        (EVERYBODY, "10.0.1.10", 0, b""),
        ("01:00:5e:00:00:01", "10.0.1.10", 0, b""),
        ("00:00:00:00:00:00", "10.0.1.10", 0, b""),
        (HOST, "10.0.1.1", 0, b""),  # the router's own
        (HOST, "10.0.1.10", 0, b"\0\6"),  # not Ethernet
        (HOST, "10.0.1.10", 2, b"\x86\xdd"),  # not IPv4
        (HOST, "10.0.1.10", 4, b"\x08"),
        (HOST, "10.0.1.10", 5, b"\x10"),
    ],
)
def test_arp_that_cannot_be_true_is_not_believed(
    rig: Rig, r1: FakeSwitch, card: str, address: str, at: int, replacement: bytes
) -> None:
    for code in (1, 2):
        body = arp(code, (card, address), (R1, "10.0.1.1"))
        body = body[:at] + replacement + body[at + len(replacement) :]
        assert rig.gives(r1, 1, ethernet(R1, HOST, body, 0x0806)) == []
    assert rig.app.routers[0x65].neighbour_macs == {}


def error_of(left: list[tuple[int, bytes]]) -> tuple[int, int, str, bytes]:
    """Kind, code, from whom, and what is quoted, of the one ICMP error that left."""
    ((_, data),) = left
    assert data[23] == 1 and checksum(data[14:34]) == 0 and checksum(data[34:]) == 0
    return data[34], data[35], ".".join(map(str, data[26:30])), data[42:]


@pytest.mark.parametrize("ttl", [0, 1])
def test_a_packet_whose_time_is_over_is_reported(rig: Rig, r1: FakeSwitch, ttl: int) -> None:
    learn(rig, r1, 1, "10.0.1.10", HOST)
    data = packet("10.0.1.10", "10.0.2.20", ttl=ttl)
    assert error_of(rig.gives(r1, 1, ethernet(R1, HOST, data))) == (11, 0, "10.0.1.1", data)


def test_a_port_of_the_router_itself_is_unreachable(rig: Rig, r1: FakeSwitch) -> None:
    learn(rig, r1, 1, "10.0.1.10", HOST)
    data = packet("10.0.1.10", "10.0.2.1")
    assert error_of(rig.gives(r1, 1, ethernet(R1, HOST, data))) == (3, 3, "10.0.1.1", data)


def test_without_a_route_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "router.json"
    own = {"65": {"name": "r", "ports": {"1": "10.0.1.1/24"}}}
    file.write_text(json.dumps(own))
    monkeypatch.setenv("ROUTER_CONFIG", str(file))
    rig = start("router")
    r1 = rig.connect(FakeSwitch(id=0x65, ports=(1,)))
    learn(rig, r1, 1, "10.0.1.10", HOST)
    data = packet("10.0.1.10", "10.77.0.1")
    assert error_of(rig.gives(r1, 1, ethernet(R1, HOST, data)))[:2] == (3, 0)


def test_a_silent_neighbour_is_asked_three_times_then_reported(rig: Rig, r1: FakeSwitch) -> None:
    learn(rig, r1, 1, "10.0.1.10", HOST)
    data = packet("10.0.1.10", "10.0.2.20")
    rig.gives(r1, 1, ethernet(R1, HOST, data))
    for asked_before in (1, 2):
        rig.app.look()
        assert sum(port == 2 for port, _ in r1.left) == asked_before  # not before its time
        r1.now_s += 1.1
        rig.app.look()
    asked = [sent for port, sent in r1.left if port == 2]
    assert len(asked) == 3 and len(set(asked)) == 1
    r1.left.clear()
    r1.now_s += 1.1
    rig.app.look()
    assert error_of(r1.left)[:3] == (3, 1, "10.0.1.1")


def test_a_neighbour_may_answer_while_another_one_is_asked(
    rig: Rig, r1: FakeSwitch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sending may have to wait, and others go on meanwhile."""
    for last in (20, 21):
        rig.gives(r1, 1, ethernet(R1, HOST, packet("10.0.1.10", f"10.0.2.{last}")))
    r1.now_s += 1.1
    send = r1.send_msg

    def meanwhile(msg: object) -> None:
        monkeypatch.setattr(r1, "send_msg", send)
        for last in (20, 21):
            learn(rig, r1, 2, f"10.0.2.{last}", FAR)
        send(msg)

    for wait in rig.app.routers[0x65].waiting.values():
        wait.tries = 3
    learn(rig, r1, 1, "10.0.1.10", HOST)
    monkeypatch.setattr(r1, "send_msg", meanwhile)
    before = len(r1.left)
    rig.app.look()
    kinds = [data[34] for _, data in r1.left[before:] if data[12:14] == b"\x08\0" and data[23] == 1]
    assert kinds == [3], "one had no answer in time; the other one had"


@pytest.mark.parametrize(
    "data",
    [
        packet("10.0.1.10", "10.0.2.20", ttl=1, protocol=1, body=b"\x0b\0\0\0\0\0\0\0"),
        packet("10.0.1.10", "10.0.2.20", ttl=1, offset=3),
        packet("224.0.0.1", "10.0.2.20", ttl=1),
        packet("0.0.0.0", "10.0.2.20", ttl=1),
        packet("10.0.1.10", "10.0.2.20", ttl=1)[:-3],  # cut
        b"\x45" + bytes(25),
    ],
    ids=["error", "fragment", "group", "nobody", "cut", "nonsense"],
)
def test_no_error_is_sent_about_these(rig: Rig, r1: FakeSwitch, data: bytes) -> None:
    learn(rig, r1, 1, "10.0.1.10", HOST)
    assert rig.gives(r1, 1, ethernet(R1, HOST, data)) == []


def test_errors_are_limited(rig: Rig, r1: FakeSwitch) -> None:
    learn(rig, r1, 1, "10.0.1.10", HOST)
    data = ethernet(R1, HOST, packet("10.0.1.10", "10.0.2.20", ttl=1))
    sent = sum(len(rig.gives(r1, 1, data)) for _ in range(200))
    assert sent == 50
    r1.now_s += 1
    assert len(rig.gives(r1, 1, data)) == 1


def test_frames_for_others_are_not_routed(rig: Rig, r1: FakeSwitch) -> None:
    learn(rig, r1, 2, "10.0.2.20", FAR)
    data = packet("10.0.1.10", "10.0.2.20")
    for to in (R2, FAR, EVERYBODY):
        assert rig.gives(r1, 1, ethernet(to, HOST, data)) == []


def test_a_packet_may_leave_by_the_port_it_came_in_by(rig: Rig, r1: FakeSwitch) -> None:
    learn(rig, r1, 1, "10.0.1.20", FAR)
    ((port, sent),) = rig.gives(r1, 1, ethernet(R1, HOST, packet("10.0.1.10", "10.0.1.20")))
    assert (port, sent[:6], sent[22]) == (1, mac(FAR), 63)


def test_a_neighbour_with_a_new_card_is_followed(rig: Rig, r1: FakeSwitch) -> None:
    learn(rig, r1, 2, "10.0.2.20", FAR)
    learn(rig, r1, 2, "10.0.2.20", GATEWAY)
    ((_, sent),) = rig.gives(r1, 1, ethernet(R1, HOST, packet("10.0.1.10", "10.0.2.20")))
    assert sent[:6] == mac(GATEWAY)


def test_an_old_neighbour_is_asked_again(rig: Rig, r1: FakeSwitch) -> None:
    learn(rig, r1, 2, "10.0.2.20", FAR)
    rig.wait(r1, 301)
    ((_, sent),) = rig.gives(r1, 1, ethernet(R1, HOST, packet("10.0.1.10", "10.0.2.20")))
    assert sent[12:14] == b"\x08\x06"


def test_a_dead_port_takes_its_routes_along(rig: Rig, r1: FakeSwitch) -> None:
    learn(rig, r1, 2, "10.0.2.9", FAR)
    data = ethernet(R1, HOST, packet("10.0.1.10", "10.9.9.1"))
    assert rig.gives(r1, 1, data)[0][0] == 2
    rig.port_status(r1, 2, ofp.OFPPR_MODIFY, ofp.OFPPS_LINK_DOWN)
    assert rig.gives(r1, 1, data)[0][0] == 3  # the shorter prefix
    rig.port_status(r1, 2, ofp.OFPPR_MODIFY)
    assert rig.gives(r1, 1, data)[0][0] == 2


def test_other_switches_are_ordinary_ones_and_the_start_is_a_bundle(
    rig: Rig, r1: FakeSwitch
) -> None:
    ordinary = rig.connect(FakeSwitch(id=1))
    assert rig.send(ordinary, 1, ethernet(R1, HOST, b"")) == [2, 3, 4]
    assert ordinary.applied == ["bundle of 2"]
    assert len(r1.applied) == 1 and r1.applied[0].startswith("bundle of ")
    refusing = rig.connect(FakeSwitch(id=0x65, ports=(1, 2, 3), bundles=False))
    assert len(refusing.flows) == len(r1.flows)


def test_a_next_hop_that_no_port_reaches_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "router.json"
    entry = {"name": "r", "ports": {"1": "10.0.1.1/24"}, "routes": {"10.9.0.0/16": "10.0.2.2"}}
    file.write_text(json.dumps({"1": entry}))
    with pytest.raises(ValueError, match=r"r has no port towards 10\.0\.2\.2"):
        load("router").read_config(file)
