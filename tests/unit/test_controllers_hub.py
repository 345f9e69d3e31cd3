# SPDX-License-Identifier: Apache-2.0
"""The hub on a fake table: everything goes everywhere, and the controller sees nothing."""

from __future__ import annotations

import pytest

from tests.unit.fake_table import FakeSwitch, frame, others, start

A, B = "00:00:00:00:00:0a", "00:00:00:00:00:0b"
EVERYBODY = "ff:ff:ff:ff:ff:ff"
FRAMES = [
    frame(B, A),
    frame(A, B),
    frame(EVERYBODY, A),
    frame("01:00:5e:00:00:fb", A),
    frame("01:80:c2:00:00:00", A),  # a hub knows no reserved address: it repeats bits
]


@pytest.mark.parametrize("data", FRAMES)
@pytest.mark.parametrize("in_port", [1, 2, 3, 4])
def test_every_frame_leaves_by_every_other_port(data: bytes, in_port: int) -> None:
    rig = start("hub")
    switch = rig.connect(FakeSwitch())
    assert rig.send(switch, in_port, data) == others(switch.ports, in_port)
    assert switch.packet_ins == 0


def test_one_flow_is_all_there_is() -> None:
    rig = start("hub")
    switch = rig.connect(FakeSwitch())
    assert [(f.table, f.priority, f.match) for f in switch.flows] == [(0, 0, {})]


def test_flows_of_an_earlier_controller_go_at_the_same_instant() -> None:
    learning = start("two_table_switch")
    switch = learning.connect(FakeSwitch())
    learning.send(switch, 1, frame(EVERYBODY, A))
    learning.send(switch, 2, frame(A, B))
    assert len(switch.flows) > 4
    switch.applied.clear()
    start("hub").connect(switch)
    assert switch.applied == ["bundle of 2"]
    assert [(f.table, f.priority) for f in switch.flows] == [(0, 0)]
    assert switch.leaves_by(1, frame(B, A), 3)


def test_a_switch_without_bundles_becomes_a_hub_too() -> None:
    rig = start("hub")
    switch = rig.connect(FakeSwitch(bundles=False))
    assert switch.applied == ["delete", "add"]  # once, although three messages were refused
    assert rig.send(switch, 1, frame(B, A)) == [2, 3, 4]
