# SPDX-License-Identifier: Apache-2.0
"""What every learning switch of ours does, on a fake table: one law, several ways to obey it."""

from __future__ import annotations

import itertools
import logging
import struct
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.fake_table import FakeSwitch, Rig, frame, ofp, others, start

A, B, C = "00:00:00:00:00:0a", "00:00:00:00:00:0b", "00:00:00:00:00:0c"
EVERYBODY = "ff:ff:ff:ff:ff:ff"
GROUP = "01:00:5e:00:00:fb"
AGE_S = 300
SWITCHES = ["learning_switch", "two_table_switch", "datapath_learning", "fast_switch"]
WITH_PACKET_INS = ["learning_switch", "two_table_switch", "fast_switch"]


@pytest.fixture(params=SWITCHES)
def rig(request: pytest.FixtureRequest) -> Rig:
    return start(request.param)


@pytest.fixture
def switch(rig: Rig) -> FakeSwitch:
    return rig.connect(FakeSwitch())


def wait(rig: Rig, switch: FakeSwitch, seconds: float) -> None:
    """Time passes, for an app that looks at the clock by itself, too."""
    rig.wait(switch, seconds)
    if hasattr(rig.app, "sweep"):
        rig.app.sweep()
        rig.settle(switch)


def to_group_or_unknown(switch: FakeSwitch, addresses: set[str]) -> list[object]:
    """Flows towards an address that nobody has shown to be there."""
    return [
        f.match
        for f in switch.flows
        if isinstance(f.match.get("eth_dst"), str) and f.match["eth_dst"] not in addresses
    ]


# ---- learning and forwarding --------------------------------------------------------------------


def test_the_table_miss_flows_have_priority_0_and_no_match(switch: FakeSwitch) -> None:
    lowest = [f for f in switch.flows if f.priority == 0]
    assert lowest and all(f.match == {} for f in lowest)
    assert {f.table for f in lowest} == {f.table for f in switch.flows}


def test_unknown_is_flooded_and_never_back(rig: Rig, switch: FakeSwitch) -> None:
    for port in switch.ports:
        assert rig.send(switch, port, frame(B, A)) == others(switch.ports, port)


def test_the_answer_goes_to_one_port_only(rig: Rig, switch: FakeSwitch) -> None:
    rig.send(switch, 1, frame(EVERYBODY, A))
    assert rig.send(switch, 2, frame(A, B)) == [1]
    assert rig.send(switch, 1, frame(B, A)) == [2]
    assert not switch.leaves_by(1, frame(B, A), 3)


@pytest.mark.parametrize("destination", [EVERYBODY, GROUP, "33:33:00:00:00:01"])
def test_groups_are_flooded_but_not_back(rig: Rig, switch: FakeSwitch, destination: str) -> None:
    for _ in range(3):
        assert rig.send(switch, 3, frame(destination, A)) == [1, 2, 4]


def test_no_flow_towards_unknown_or_groups(rig: Rig, switch: FakeSwitch) -> None:
    for destination in (EVERYBODY, GROUP, C, B):
        rig.send(switch, 1, frame(destination, A))
    rig.send(switch, 2, frame(A, B))
    assert to_group_or_unknown(switch, {A, B}) == []


@pytest.mark.parametrize("source", [GROUP, EVERYBODY, "01:00:00:00:00:00"])
def test_a_group_is_never_learned(rig: Rig, switch: FakeSwitch, source: str) -> None:
    before = len(switch.flows)
    assert rig.send(switch, 1, frame(A, source)) == []
    assert len(switch.flows) == before
    assert rig.send(switch, 2, frame(source, B)) == [1, 3, 4]


@pytest.mark.parametrize("last", [0x00, 0x01, 0x02, 0x0E, 0x0F])
def test_reserved_addresses_are_not_forwarded(rig: Rig, switch: FakeSwitch, last: int) -> None:
    data = frame(f"01:80:c2:00:00:{last:02x}", A)
    assert rig.send(switch, 1, data) == []
    rig.send(switch, 1, frame(EVERYBODY, A))  # the same once the source is known
    assert rig.send(switch, 1, data) == []


def test_the_addresses_after_the_reserved_ones_are_forwarded(rig: Rig, switch: FakeSwitch) -> None:
    assert rig.send(switch, 1, frame("01:80:c2:00:00:10", A)) == [2, 3, 4]


def test_a_frame_for_its_own_port_is_dropped(rig: Rig, switch: FakeSwitch) -> None:
    rig.send(switch, 1, frame(EVERYBODY, A))
    for _ in range(2):
        assert rig.send(switch, 1, frame(A, B)) == []


# ---- moving, ageing, ports ----------------------------------------------------------------------


def test_a_moved_host_is_reached_after_its_first_frame(rig: Rig, switch: FakeSwitch) -> None:
    rig.send(switch, 1, frame(EVERYBODY, A))
    rig.send(switch, 2, frame(A, B))
    rig.send(switch, 1, frame(B, A))
    assert rig.send(switch, 3, frame(B, A)) == [2]
    assert rig.send(switch, 2, frame(A, B)) == [3]
    assert rig.send(switch, 1, frame(B, A)) == [2]  # and back again
    assert rig.send(switch, 2, frame(A, B)) == [1]


def test_a_silent_host_is_forgotten_though_others_send_to_it(rig: Rig, switch: FakeSwitch) -> None:
    rig.send(switch, 1, frame(EVERYBODY, A))
    for _ in range(AGE_S // 100):
        assert rig.send(switch, 2, frame(A, B)) == [1]
        wait(rig, switch, 100)
    assert rig.send(switch, 2, frame(A, B)) == [1, 3, 4]


def test_running_traffic_is_never_interrupted(rig: Rig, switch: FakeSwitch) -> None:
    rig.send(switch, 1, frame(EVERYBODY, A))
    for _ in range(3 * AGE_S // 100):
        assert rig.send(switch, 2, frame(A, B)) == [1]
        assert rig.send(switch, 1, frame(B, A)) == [2]
        wait(rig, switch, 100)


def test_a_host_that_only_sends_stays_reachable(rig: Rig, switch: FakeSwitch) -> None:
    rig.send(switch, 1, frame(EVERYBODY, A))
    for _ in range(2 * AGE_S // 100):
        wait(rig, switch, 100)
        rig.send(switch, 1, frame(EVERYBODY, A))
    assert rig.send(switch, 2, frame(A, B)) == [1]


@pytest.mark.parametrize(
    ("reason", "state"),
    [(ofp.OFPPR_MODIFY, ofp.OFPPS_LINK_DOWN), (ofp.OFPPR_DELETE, 0)],
    ids=["down", "deleted"],
)
def test_what_was_behind_a_dead_port_is_forgotten(
    rig: Rig, switch: FakeSwitch, reason: int, state: int
) -> None:
    rig.send(switch, 1, frame(EVERYBODY, A))
    rig.send(switch, 2, frame(A, B))
    rig.send(switch, 1, frame(B, A))
    rig.port_status(switch, 1, reason, state)
    assert not any(1 in f.outputs() or f.match.get("in_port") == 1 for f in switch.flows)
    assert rig.send(switch, 2, frame(A, B)) == [1, 3, 4]
    assert rig.send(switch, 3, frame(B, C)) == [2]


def test_a_port_that_comes_up_changes_nothing(rig: Rig, switch: FakeSwitch) -> None:
    rig.send(switch, 1, frame(EVERYBODY, A))
    rig.port_status(switch, 1, ofp.OFPPR_MODIFY)
    rig.port_status(switch, 9, ofp.OFPPR_ADD)
    assert rig.send(switch, 2, frame(A, B)) == [1]


def test_addresses_may_go_while_others_are_forgotten() -> None:
    """Sending may have to wait, and others go on meanwhile."""
    rig = start("learning_switch")
    switch = rig.connect(FakeSwitch())
    for source in (A, B, C):
        rig.send(switch, 1, frame(EVERYBODY, source))
    switch.now_s += AGE_S + 1
    send = switch.send_msg
    switch.send_msg = lambda msg: (rig.app.sweep(), send(msg))  # type: ignore[method-assign]
    rig.app.sweep()
    assert rig.app.switches[1].table == {}


# ---- switches come and go -----------------------------------------------------------------------


def test_the_start_is_one_atomic_bundle_that_leaves_nothing_of_before(rig: Rig) -> None:
    switch = FakeSwitch()
    start("two_table_switch").connect(switch)
    switch.applied.clear()
    fresh = rig.connect(FakeSwitch())
    rig.connect(switch)
    assert len(switch.applied) == 1 and switch.applied[0].startswith("bundle of ")
    assert [(f.table, f.priority, f.match) for f in switch.flows] == [
        (f.table, f.priority, f.match) for f in fresh.flows
    ]


def test_a_switch_without_bundles_gets_the_same_flows_once(rig: Rig, switch: FakeSwitch) -> None:
    old = rig.connect(FakeSwitch(id=2, bundles=False))
    assert old.applied == ["delete", *["add"] * len(switch.flows)]
    assert rig.send(old, 1, frame(EVERYBODY, A)) == [2, 3, 4]
    assert rig.send(old, 2, frame(A, B)) == [1]


def test_two_switches_share_nothing(rig: Rig) -> None:
    first, second = rig.connect(FakeSwitch(id=1)), rig.connect(FakeSwitch(id=2))
    rig.send(first, 1, frame(EVERYBODY, A))
    assert rig.send(second, 2, frame(A, B)) == [1, 3, 4]
    rig.send(second, 4, frame(EVERYBODY, A))
    assert rig.send(first, 3, frame(A, C)) == [1]
    rig.disconnect(first)
    assert rig.send(second, 2, frame(A, B)) == [4]


def test_a_reconnect_starts_from_a_clean_table(rig: Rig, switch: FakeSwitch) -> None:
    rig.send(switch, 1, frame(EVERYBODY, A))
    again = FakeSwitch(flows=switch.flows)  # same number, flows kept, a new connection
    rig.connect(again)
    rig.disconnect(switch)  # the old one's end is noticed late
    assert rig.send(again, 2, frame(A, B)) == [1, 3, 4]
    assert rig.send(again, 1, frame(B, A)) == [2]


# ---- packet-ins of every kind, for those that get any -------------------------------------------


@pytest.fixture(params=WITH_PACKET_INS)
def asking(request: pytest.FixtureRequest) -> tuple[Rig, FakeSwitch]:
    rig = start(request.param)
    return rig, rig.connect(FakeSwitch())


@pytest.mark.parametrize("buffer_id", [0, 1, 7])
def test_the_switchs_own_copy_is_used(asking: tuple[Rig, FakeSwitch], buffer_id: int) -> None:
    rig, switch = asking
    data = frame(EVERYBODY, A)
    switch.packet_in(1, data, buffer_id=buffer_id, cut=64)
    rig.settle(switch)
    assert sorted(switch.left) == [(port, data) for port in (2, 3, 4)]
    assert switch.kept == {}


def test_a_kept_copy_of_a_dropped_frame_is_freed(asking: tuple[Rig, FakeSwitch]) -> None:
    rig, switch = asking
    for data in (frame("01:80:c2:00:00:00", A), frame(A, GROUP)):
        switch.packet_in(1, data, buffer_id=0)
        rig.settle(switch)
        assert switch.left == [] and switch.kept == {}


@pytest.mark.parametrize("length", range(0, 22, 3))
def test_a_cut_frame_is_harmless_and_never_sent_on(
    asking: tuple[Rig, FakeSwitch], length: int
) -> None:
    rig, switch = asking
    before = len(switch.flows)
    switch.packet_in(1, frame(EVERYBODY, A), cut=length)
    switch.packet_in(1, frame(EVERYBODY, A)[:length])
    rig.settle(switch)
    assert all(len(data) == length for _, data in switch.left)
    if length < 14:
        assert len(switch.flows) == before and switch.left == []


def test_packet_ins_of_strangers_are_harmless(asking: tuple[Rig, FakeSwitch]) -> None:
    rig, switch = asking
    before = len(switch.flows)
    switch.packet_in(None, frame(EVERYBODY, A))
    rig.settle(switch)
    stranger = FakeSwitch(id=99)
    stranger.packet_in(1, frame(EVERYBODY, A))
    rig.settle(stranger)
    assert switch.left == stranger.left == [] and len(switch.flows) == before


def test_a_full_table_breaks_nothing(
    asking: tuple[Rig, FakeSwitch], caplog: pytest.LogCaptureFixture
) -> None:
    rig, switch = asking
    switch.room = len(switch.flows)
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            rig.send(switch, 1, frame(EVERYBODY, A))
            assert 1 in rig.send(switch, 2, frame(A, B))
            assert 2 in rig.send(switch, 1, frame(B, A))
    assert any("TABLE_FULL" in record.getMessage() for record in caplog.records)
    switch.room = None
    rig.send(switch, 1, frame(EVERYBODY, A))
    rig.send(switch, 2, frame(A, B))
    assert rig.send(switch, 1, frame(B, A)) == [2]


@pytest.mark.parametrize("name", ["learning_switch", "two_table_switch"])
def test_an_address_for_whose_flows_there_is_no_room_ages_as_any_other(name: str) -> None:
    rig = start(name)
    switch = rig.connect(FakeSwitch())
    fixed = len(switch.flows)
    switch.room = fixed + 1  # the flow of one pair
    rig.send(switch, 1, frame(EVERYBODY, A))
    for destination, port in ((A, 2), (C, 3), (A, 2)):
        rig.send(switch, port, frame(destination, B if port == 2 else C))
        rig.send(switch, 1, frame(B, A))
        rig.send(switch, 1, frame(C, A))
    for _ in range(2):  # first its flows, if any, then what they spoke for
        wait(rig, switch, AGE_S + 1)
    learned = rig.app.switches[1]
    assert not (learned.ports if name == "two_table_switch" else learned.table)
    assert len(switch.flows) == fixed


@pytest.mark.parametrize("name", ["learning_switch", "two_table_switch"])
def test_more_addresses_than_allowed_are_served_but_not_learned(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = start(name)
    monkeypatch.setitem(rig.app.learn.__func__.__globals__, "MAX_ADDRESSES", 2)
    switch = rig.connect(FakeSwitch())
    for number in range(10):
        assert rig.send(switch, 1, frame(EVERYBODY, f"02:00:00:00:00:{number:02x}")) == [2, 3, 4]
    assert rig.send(switch, 2, frame("02:00:00:00:00:01", B)) == [1]
    assert rig.send(switch, 2, frame("02:00:00:00:00:09", B)) == [1, 3, 4]


@pytest.mark.parametrize("name", ["learning_switch", "two_table_switch"])
def test_an_address_that_moves_too_often_stays_for_a_while(name: str) -> None:
    rig = start(name)
    switch = rig.connect(FakeSwitch())
    for _ in range(20):
        for port in (1, 2):
            assert rig.send(switch, port, frame(EVERYBODY, A)) == others(switch.ports, port)
    (held,) = rig.send(switch, 3, frame(A, B))
    away = 3 - held
    if name == "two_table_switch":
        before = switch.packet_ins
        for _ in range(20):
            rig.send(switch, away, frame(EVERYBODY, A))
        assert switch.packet_ins == before  # no frame of the loop reaches the controller
    assert rig.send(switch, 3, frame(A, B)) == [held]
    rig.wait(switch, 11)
    rig.send(switch, away, frame(EVERYBODY, A))
    assert rig.send(switch, 3, frame(A, B)) == [away]


# ---- against a model ----------------------------------------------------------------------------

PORTS = (1, 2, 3)
HOSTS = [A, B, C]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["frame", "frame", "frame", "frame", "down"]),
        st.sampled_from(PORTS),
        st.sampled_from([*HOSTS, EVERYBODY, GROUP]),
        st.sampled_from(HOSTS),
    ),
    max_size=40,
)


@pytest.mark.parametrize("name", SWITCHES)
@settings(max_examples=60, deadline=None)
@given(steps=STEPS, buffers=st.booleans())
def test_it_forwards_as_a_plain_bridge_does(
    name: str, steps: list[tuple[str, int, str, str]], buffers: bool
) -> None:
    rig = start(name)
    switch = rig.connect(FakeSwitch(ports=PORTS, buffers=buffers))
    model: dict[str, int] = {}
    for kind, port, destination, source in steps:
        rig.wait(switch, 2)  # slowly enough that nobody moves too often
        if kind == "down":
            rig.port_status(switch, port, ofp.OFPPR_MODIFY, ofp.OFPPS_LINK_DOWN)
            model = {host: at for host, at in model.items() if at != port}
            continue
        model[source] = port
        at = model.get(destination)
        expected = others(PORTS, port) if at is None else [at] if at != port else []
        assert rig.send(switch, port, frame(destination, source)) == expected
    assert switch.kept == {}


def test_eight_hosts_all_pairs_in_flows_and_packet_ins() -> None:
    counts = {}
    for name in SWITCHES:
        rig = start(name)
        switch = rig.connect(FakeSwitch(ports=tuple(range(1, 9))))
        hosts = {n: f"00:00:00:00:00:{n:02x}" for n in range(1, 9)}
        for a in hosts:
            for b in hosts:
                if a != b:
                    rig.send(switch, a, frame(EVERYBODY, hosts[a]))
                    assert rig.send(switch, b, frame(hosts[a], hosts[b])) == [a]
                    assert rig.send(switch, a, frame(hosts[b], hosts[a])) == [b]
        counts[name] = (switch.packet_ins, len(switch.flows))
    assert counts["two_table_switch"] == counts["fast_switch"] == (8, 20)
    assert counts["datapath_learning"] == (0, 12)
    assert counts["learning_switch"] == (112, 59)  # 56 broadcasts and 56 pairs; 56 flows and 3


# ---- the fast switch's own loop -----------------------------------------------------------------


def raw_packet_in(data: bytes, in_port: int, xid: int = 0) -> bytes:
    """OpenFlow 1.3.5, 7.4.1: no buffer, one match field, two bytes of padding before the frame."""
    match = struct.pack("!HHII4x", 1, 12, 0x80000004, in_port)
    body = struct.pack("!IHBBQ", 0xFFFFFFFF, len(data), 0, 0, 0) + match + bytes(2) + data
    return struct.pack("!BBHI", 4, 10, 8 + len(body), xid) + body


@given(cuts=st.lists(st.integers(1, 400), max_size=8))
def test_chunks_may_be_cut_anywhere(cuts: list[int]) -> None:
    rig = start("fast_switch")
    module = sys.modules[type(rig.app).__module__]
    switch = rig.connect(FakeSwitch())
    asked = [(frame(EVERYBODY, A), 1), (frame(A, B), 2), (frame(B, A), 1), (frame(C, B), 2)]
    stream = b"".join(raw_packet_in(*each) for each in asked)
    edges = sorted({0, len(stream), *(min(cut, len(stream)) for cut in cuts)})
    rest = b""
    for begin, end in itertools.pairwise(edges):
        rest += stream[begin:end]
        at, replies = module.take(switch, rest)
        rest = rest[at:]
        switch.send(replies)
    assert rest == b""
    ports = [sorted(p for p, sent in switch.left if sent == data) for data, _ in asked]
    assert ports == [[2, 3, 4], [1], [2], [1, 3, 4]]


@pytest.mark.parametrize("length", range(8))
def test_a_message_shorter_than_its_header_ends_the_connection(length: int) -> None:
    rig = start("fast_switch")
    module = sys.modules[type(rig.app).__module__]
    switch = rig.connect(FakeSwitch())
    assert module.take(switch, struct.pack("!BBHI", 4, 10, length, 0) + bytes(40))[0] < 0
