# SPDX-License-Identifier: Apache-2.0
"""The switch of two tables on a fake table, rule by rule, and against a plain model of a bridge."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.fake_table import FakeSwitch, Rig, frame, mac, ofp, others, start

A, B, C = "00:00:00:00:00:0a", "00:00:00:00:00:0b", "00:00:00:00:00:0c"
EVERYBODY = "ff:ff:ff:ff:ff:ff"
GROUP = "01:00:5e:00:00:fb"
AGE_S = 300
FIXED_FLOWS = 4


@pytest.fixture
def rig() -> Rig:
    return start("two_table_switch")


@pytest.fixture
def switch(rig: Rig) -> FakeSwitch:
    return rig.connect(FakeSwitch())


def learned(switch: FakeSwitch) -> dict[str, int]:
    """The MAC table as the switch has it: table 1's flows."""
    return {
        f.match["eth_dst"]: f.outputs()[0]
        for f in switch.flows
        if "eth_dst" in f.match and f.table == 1
    }


def sources(switch: FakeSwitch) -> set[tuple[int, str]]:
    return {(f.match["in_port"], f.match["eth_src"]) for f in switch.flows if "in_port" in f.match}


# ---- learning and forwarding --------------------------------------------------------------------


def test_unknown_destination_is_flooded_and_the_source_learned(
    rig: Rig, switch: FakeSwitch
) -> None:
    assert rig.send(switch, 1, frame(B, A)) == [2, 3, 4]
    assert learned(switch) == {A: 1}
    assert sources(switch) == {(1, A)}


def test_the_answer_goes_to_one_port_only(rig: Rig, switch: FakeSwitch) -> None:
    rig.send(switch, 1, frame(EVERYBODY, A))
    assert rig.send(switch, 2, frame(A, B)) == [1]
    assert rig.send(switch, 1, frame(B, A)) == [2]
    assert not switch.leaves_by(1, frame(B, A), 3)


def test_one_packet_in_per_address_and_then_none(rig: Rig, switch: FakeSwitch) -> None:
    rig.send(switch, 1, frame(EVERYBODY, A))
    rig.send(switch, 2, frame(A, B))
    for _ in range(5):
        rig.send(switch, 1, frame(B, A))
        rig.send(switch, 2, frame(A, B))
        rig.send(switch, 1, frame(C, A))  # unknown: flooded by the switch itself
    assert switch.packet_ins == 2


def test_eight_hosts_all_pairs_need_twenty_flows_and_eight_packet_ins(rig: Rig) -> None:
    switch = rig.connect(FakeSwitch(ports=tuple(range(1, 9))))
    hosts = {n: f"00:00:00:00:00:{n:02x}" for n in range(1, 9)}
    for a in hosts:
        for b in hosts:
            if a != b:
                rig.send(switch, a, frame(EVERYBODY, hosts[a]))
                assert rig.send(switch, b, frame(hosts[a], hosts[b])) == [a]
                assert rig.send(switch, a, frame(hosts[b], hosts[a])) == [b]
    assert (len(switch.flows), switch.packet_ins) == (20, 8)


@pytest.mark.parametrize("destination", [EVERYBODY, GROUP, "33:33:00:00:00:01"])
def test_broadcast_and_multicast_are_flooded_but_not_back(
    rig: Rig, switch: FakeSwitch, destination: str
) -> None:
    for _ in range(2):  # by the controller first, by the switch then
        assert rig.send(switch, 3, frame(destination, A)) == [1, 2, 4]


@pytest.mark.parametrize("source", [GROUP, EVERYBODY, "01:00:00:00:00:00"])
def test_a_group_is_never_learned(rig: Rig, switch: FakeSwitch, source: str) -> None:
    assert rig.send(switch, 1, frame(A, source)) == []
    switch.packet_in(1, frame(A, source))  # even if the switch asked
    rig.settle(switch)
    assert learned(switch) == {} and sources(switch) == set() and switch.left == []


@pytest.mark.parametrize("last", [0x00, 0x01, 0x02, 0x0E, 0x0F])
def test_reserved_addresses_are_not_forwarded(rig: Rig, switch: FakeSwitch, last: int) -> None:
    data = frame(f"01:80:c2:00:00:{last:02x}", A)
    assert rig.send(switch, 1, data) == []
    rig.send(switch, 1, frame(EVERYBODY, A))  # the same once the source is known
    assert rig.send(switch, 1, data) == []
    switch.left.clear()
    switch.packet_in(1, data)
    rig.settle(switch)
    assert switch.left == []


def test_the_addresses_after_the_reserved_ones_are_forwarded(rig: Rig, switch: FakeSwitch) -> None:
    assert rig.send(switch, 1, frame("01:80:c2:00:00:10", A)) == [2, 3, 4]


def test_a_frame_for_its_own_port_is_dropped(rig: Rig, switch: FakeSwitch) -> None:
    rig.send(switch, 1, frame(EVERYBODY, A))
    assert rig.send(switch, 1, frame(A, B)) == []  # by the controller
    assert rig.send(switch, 1, frame(A, B)) == []  # by the switch


# ---- packet-ins of every kind -------------------------------------------------------------------


@pytest.mark.parametrize("buffer_id", [0, 1, 7])
def test_the_switchs_own_copy_is_used(rig: Rig, switch: FakeSwitch, buffer_id: int) -> None:
    data = frame(EVERYBODY, A)
    switch.packet_in(1, data, buffer_id=buffer_id, cut=64)
    rig.settle(switch)
    assert sorted(switch.left) == [(port, data) for port in (2, 3, 4)]
    assert switch.kept == {}


def test_a_kept_copy_of_a_dropped_frame_is_freed(rig: Rig, switch: FakeSwitch) -> None:
    for data in (frame("01:80:c2:00:00:00", A), frame(A, GROUP)):
        switch.packet_in(1, data, buffer_id=0)
        rig.settle(switch)
        assert switch.left == [] and switch.kept == {}


def test_a_cut_frame_teaches_but_is_not_sent_on(rig: Rig, switch: FakeSwitch) -> None:
    switch.packet_in(1, frame(EVERYBODY, A), cut=20)
    rig.settle(switch)
    assert switch.left == [] and learned(switch) == {A: 1}


@pytest.mark.parametrize("length", range(14))
def test_less_than_a_header_is_harmless(rig: Rig, switch: FakeSwitch, length: int) -> None:
    switch.packet_in(1, frame(EVERYBODY, A)[:length])
    switch.packet_in(1, frame(EVERYBODY, A), cut=length)
    rig.settle(switch)
    assert switch.left == [] and len(switch.flows) == FIXED_FLOWS


def test_a_packet_in_without_a_port_is_harmless(rig: Rig, switch: FakeSwitch) -> None:
    switch.packet_in(None, frame(EVERYBODY, A))
    rig.settle(switch)
    assert switch.left == [] and len(switch.flows) == FIXED_FLOWS


def test_a_packet_in_of_an_unknown_switch_is_harmless(rig: Rig) -> None:
    stranger = FakeSwitch(id=99)
    stranger.packet_in(1, frame(EVERYBODY, A))
    rig.settle(stranger)
    assert stranger.left == [] and stranger.flows == []


# ---- moving, ageing, ports ----------------------------------------------------------------------


def test_a_moved_host_is_found_at_its_new_port(rig: Rig, switch: FakeSwitch) -> None:
    rig.send(switch, 1, frame(EVERYBODY, A))
    rig.send(switch, 2, frame(A, B))
    assert rig.send(switch, 3, frame(B, A)) == [2]
    assert rig.send(switch, 2, frame(A, B)) == [3]
    assert learned(switch) == {A: 3, B: 2}
    assert sources(switch) == {(3, A), (2, B)}  # nothing stale
    assert rig.send(switch, 1, frame(B, A)) == [2]  # and back again
    assert sources(switch) == {(1, A), (2, B)}


def test_a_silent_host_is_forgotten(rig: Rig, switch: FakeSwitch) -> None:
    rig.send(switch, 1, frame(EVERYBODY, A))
    rig.wait(switch, AGE_S - 1)
    assert learned(switch) == {A: 1}
    rig.wait(switch, 1)
    assert len(switch.flows) == FIXED_FLOWS and rig.app.switches[1].ports == {}
    assert rig.send(switch, 2, frame(A, B)) == [1, 3, 4]


def test_a_silent_host_is_forgotten_though_others_send_to_it(rig: Rig, switch: FakeSwitch) -> None:
    rig.send(switch, 1, frame(EVERYBODY, A))
    for _ in range(AGE_S // 100):
        rig.send(switch, 2, frame(A, B))
        rig.wait(switch, 100)
    assert A not in learned(switch)
    assert rig.send(switch, 2, frame(A, B)) == [1, 3, 4]


def test_a_host_that_only_sends_stays_reachable(rig: Rig, switch: FakeSwitch) -> None:
    # Its flow in table 1 is not used and expires; its next frame must teach it anew.
    rig.send(switch, 1, frame(EVERYBODY, A))
    for _ in range(2 * AGE_S // 100):
        rig.wait(switch, 100)
        rig.send(switch, 1, frame(EVERYBODY, A))
    assert learned(switch) == {A: 1}
    assert rig.send(switch, 2, frame(A, B)) == [1]


def test_an_old_flows_end_does_not_forget_a_moved_host(rig: Rig, switch: FakeSwitch) -> None:
    rig.send(switch, 1, frame(EVERYBODY, A))
    old = next(f for f in switch.flows if f.match.get("in_port") == 1)
    rig.send(switch, 3, frame(EVERYBODY, A))
    switch._tell_removed(old, ofp.OFPRR_IDLE_TIMEOUT)  # late on its way to the controller
    rig.settle(switch)
    assert learned(switch) == {A: 3}


@pytest.mark.parametrize(
    ("reason", "state"),
    [(ofp.OFPPR_MODIFY, ofp.OFPPS_LINK_DOWN), (ofp.OFPPR_DELETE, 0)],
    ids=["down", "deleted"],
)
def test_what_was_behind_a_dead_port_is_forgotten(
    rig: Rig, switch: FakeSwitch, reason: int, state: int
) -> None:
    rig.send(switch, 1, frame(EVERYBODY, A))
    rig.send(switch, 1, frame(EVERYBODY, C))
    rig.send(switch, 2, frame(A, B))
    rig.port_status(switch, 1, reason, state)
    assert learned(switch) == {B: 2} and sources(switch) == {(2, B)}
    assert len(switch.flows) == FIXED_FLOWS + 2
    assert rig.send(switch, 2, frame(A, B)) == [1, 3, 4]


def test_a_port_that_comes_up_changes_nothing(rig: Rig, switch: FakeSwitch) -> None:
    rig.send(switch, 1, frame(EVERYBODY, A))
    rig.port_status(switch, 1, ofp.OFPPR_MODIFY)
    rig.port_status(switch, 9, ofp.OFPPR_ADD)
    assert learned(switch) == {A: 1}


# ---- switches come and go -----------------------------------------------------------------------


def test_the_start_is_one_atomic_bundle(switch: FakeSwitch) -> None:
    assert switch.applied == ["bundle of 5"]
    assert len(switch.flows) == FIXED_FLOWS


def test_a_switch_without_bundles_gets_the_same_flows_once(rig: Rig) -> None:
    switch = rig.connect(FakeSwitch(bundles=False))
    assert switch.applied == ["delete", "add", "add", "add", "add"]
    assert rig.send(switch, 1, frame(EVERYBODY, A)) == [2, 3, 4]
    assert rig.send(switch, 2, frame(A, B)) == [1]


def test_two_switches_share_nothing(rig: Rig) -> None:
    first, second = rig.connect(FakeSwitch(id=1)), rig.connect(FakeSwitch(id=2))
    rig.send(first, 1, frame(EVERYBODY, A))
    assert learned(second) == {}
    assert rig.send(second, 2, frame(A, B)) == [1, 3, 4]
    rig.send(second, 4, frame(EVERYBODY, A))
    assert learned(first) == {A: 1} and learned(second) == {A: 4, B: 2}
    rig.disconnect(first)
    assert rig.send(second, 2, frame(A, B)) == [4]


def test_a_reconnect_starts_from_a_clean_table(rig: Rig, switch: FakeSwitch) -> None:
    rig.send(switch, 1, frame(EVERYBODY, A))
    again = FakeSwitch(flows=switch.flows)  # same number, flows kept, a new connection
    rig.connect(again)
    rig.disconnect(switch)  # the old one's end is noticed late
    assert len(again.flows) == FIXED_FLOWS
    assert rig.send(again, 2, frame(A, B)) == [1, 3, 4]
    assert rig.send(again, 1, frame(B, A)) == [2]


# ---- what is said -------------------------------------------------------------------------------


def test_the_log_tells_of_addresses_and_not_of_packets(
    rig: Rig, switch: FakeSwitch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            rig.send(switch, 1, frame(EVERYBODY, A))
        rig.send(switch, 2, frame(EVERYBODY, A))
        rig.send(switch, 1, frame(EVERYBODY, A))  # a loop would do this all day
        rig.wait(switch, AGE_S)
    assert [record.getMessage() for record in caplog.records] == [
        f"s1: learned {A} at port 1 (s1-eth1)",
        f"s1: {A} moved from port 1 (s1-eth1) to port 2 (s1-eth2)",
        f"s1: forgot {A} at port 1 (s1-eth1), unused for 300 s",
    ]


# ---- against a model ----------------------------------------------------------------------------


PORTS = (1, 2, 3)
HOSTS = [A, B, C]
STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("frame"),
            st.sampled_from(PORTS),
            st.sampled_from([*HOSTS, EVERYBODY, GROUP]),
            st.sampled_from(HOSTS),
        ),
        st.tuples(st.just("down"), st.sampled_from(PORTS), st.none(), st.none()),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(steps=STEPS, buffers=st.booleans())
def test_it_forwards_as_a_plain_bridge_does(
    steps: list[tuple[str, int, str, str]], buffers: bool
) -> None:
    rig = start("two_table_switch")
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
        assert learned(switch) == model
        assert sources(switch) == {(p, host) for host, p in model.items()}
        assert {host: p for host, p in model.items()} == {
            host: rig.app.switches[1].ports[mac(host)] for host in model
        }
    assert switch.kept == {}
