# SPDX-License-Identifier: Apache-2.0
"""The spanning tree on fake switches wired to each other: no circle at any moment, all reached."""

from __future__ import annotations

import itertools
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.fake_table import FakeSwitch, Rig, frame, load, ofp, start

A = "00:00:00:00:00:0a"
EVERYBODY = "ff:ff:ff:ff:ff:ff"
TURNS = 200  # a frame that is still on its way after so many hops goes in a circle

End = tuple[int, int]


class Net:
    """Switches, cables between their ports, and time. Port 1 of every switch has a host."""

    def __init__(self, switches: int, cables: list[tuple[End, End]]) -> None:
        self.rig: Rig = start("spanning_tree")
        self.cables = {end: far_end for pair in cables for end, far_end in (pair, pair[::-1])}
        ports: dict[int, set[int]] = {n: {1} for n in range(1, switches + 1)}
        for number, port in self.cables:
            ports[number].add(port)
        self.switches = {n: FakeSwitch(id=n, ports=tuple(sorted(ports[n]))) for n in ports}
        for switch in self.switches.values():
            self.rig.connect(switch)
        self.rig.app.now_s = lambda: self.now_s
        self.now_s = 1000.0
        for switch in self.rig.app.switches.values():
            switch.up_since_s = dict.fromkeys(switch.up_since_s, self.now_s)
        for switch in self.switches.values():
            switch.left.clear()

    def turn(self) -> None:
        """One round of probes, carried over the cables."""
        self.now_s += 0.25
        self.rig.app.probe()
        for number, switch in self.switches.items():
            left, switch.left = switch.left, []
            for port, data in left:
                there = self.cables.get((number, port))
                if there is not None and there[1] in self.switches[there[0]].ports:
                    self.switches[there[0]].receive(there[1], data)
                    self.rig.settle(self.switches[there[0]])
        self.rig.app.update()

    def settle(self) -> None:
        for _ in range(6):
            self.turn()
            self.deliver(1)  # no circle, not even before all is settled

    def deliver(self, sender: int) -> list[int]:
        """A broadcast from a switch's host; the switches whose hosts got it, with repetitions."""
        reached: list[int] = []
        way = [(sender, 1)]
        data = frame(EVERYBODY, A)
        for turn in itertools.count():
            if not way:
                return sorted(reached)
            assert turn < TURNS, "the frame goes round and round"
            number, port = way.pop()
            for to, _ in self.switches[number].forward(port, data)[0]:
                there = self.cables.get((number, to))
                if to == 1:
                    reached.append(number)
                elif there is not None and there[1] in self.switches[there[0]].ports:
                    way.append(there)
        raise AssertionError

    def port(self, end: End, up: bool) -> None:
        number, port = end
        switch = self.switches[number]
        kept = [each for each in switch.ports if each != port]
        switch.ports = tuple(sorted([*kept, port] if up else kept))
        state = 0 if up else ofp.OFPPS_LINK_DOWN
        self.rig.port_status(switch, port, ofp.OFPPR_MODIFY, state)
        switch.left.clear()


TRIANGLE = [((1, 2), (2, 2)), ((2, 3), (3, 2)), ((3, 3), (1, 3))]


@pytest.mark.parametrize("sender", [1, 2, 3])
def test_a_ring_carries_each_broadcast_once_to_everybody(sender: int) -> None:
    net = Net(3, TRIANGLE)
    net.settle()
    assert net.deliver(sender) == [n for n in (1, 2, 3) if n != sender]


def test_before_anything_is_known_nothing_passes() -> None:
    net = Net(3, TRIANGLE)
    assert net.deliver(1) == []
    net.turn()
    assert net.deliver(1) == []  # links are seen, but ports still listen


@pytest.mark.parametrize("cable", TRIANGLE)
def test_a_failed_cable_heals_and_its_return_makes_no_circle(cable: tuple[End, End]) -> None:
    net = Net(3, TRIANGLE)
    net.settle()
    for end in cable:
        net.port(end, up=False)
    net.turn()
    assert net.deliver(1) == [2, 3]
    for end in cable:
        net.port(end, up=True)
        net.deliver(1)
    for _ in range(8):
        net.turn()
        assert net.deliver(1) in ([2, 3], [2], [3])
    assert net.deliver(1) == [2, 3]


def test_a_change_of_the_tree_forgets_what_was_learned() -> None:
    net = Net(3, TRIANGLE)
    net.settle()
    net.deliver(1)
    assert any(f.cookie == 1 for f in net.switches[2].flows)
    for end in TRIANGLE[0]:
        net.port(end, up=False)
    net.turn()
    assert not any(f.cookie == 1 for f in net.switches[2].flows)


def test_what_a_late_frame_taught_is_forgotten() -> None:
    """A frame by the old way, when the tree has changed: its address would lead nowhere."""
    net = Net(3, TRIANGLE)
    net.settle()
    for end in TRIANGLE[0]:
        net.port(end, up=False)
    net.turn()
    for end in TRIANGLE[0]:
        net.port(end, up=True)
    before = net.rig.app.tree
    for _ in range(20):
        net.turn()
        if net.rig.app.tree != before:
            break
    else:
        raise AssertionError("the cable was not taken back")
    late = "00:00:00:00:00:0b"  # at switch 2, once reached by switch 3
    net.switches[1].receive(3, frame(EVERYBODY, late))
    assert any(f.match.get("eth_dst") == late for f in net.switches[1].flows)
    net.turn()
    assert not any(f.match.get("eth_dst") == late for f in net.switches[1].flows)
    assert net.deliver(1) == [2, 3]


def test_a_switch_without_its_controller_keeps_its_place() -> None:
    net = Net(3, TRIANGLE)
    net.settle()
    net.rig.disconnect(net.switches[2])
    net.now_s += 60
    for _ in range(3):
        net.turn()
    assert net.deliver(1) == [2, 3]


def test_an_update_waits_for_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sending may have to wait, and others go on meanwhile: more updates, new switches."""
    net = Net(3, TRIANGLE)
    app, sending, late = net.rig.app, [], [FakeSwitch(id=9)]

    def meanwhile(switch: FakeSwitch, data: bytes) -> None:
        assert sending == [], "in the middle of another update"
        sending.append(switch)
        if late:
            net.rig.connect(late.pop())
            app.now_s = lambda: net.now_s
        app.update()
        sending.pop()
        FakeSwitch.send(switch, data)

    for switch in net.switches.values():
        monkeypatch.setattr(switch, "send", partial(meanwhile, switch))
    net.settle()
    assert sorted(app.switches) == [1, 2, 3, 9]
    assert net.deliver(1) == [2, 3]


def test_ports_may_change_while_probes_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Net(3, TRIANGLE)
    switches = net.rig.app.switches

    def meanwhile(msg: object) -> None:
        switches[1].up_since_s.pop(2, None)
        switches.pop(3, None)

    monkeypatch.setattr(net.switches[1], "send_msg", meanwhile)
    net.rig.app.probe()


@settings(max_examples=40, deadline=None)
@given(
    switches=st.integers(2, 6),
    pairs=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=10),
)
def test_any_wiring_becomes_a_tree(switches: int, pairs: list[tuple[int, int]]) -> None:
    free = {n: itertools.count(2) for n in range(1, switches + 1)}
    cables = []
    for a, b in pairs:
        end, far_end = a % switches + 1, b % switches + 1
        if end != far_end:
            cables.append(((end, next(free[end])), (far_end, next(free[far_end]))))
    net = Net(switches, cables)
    net.settle()
    reached = {1}
    while True:
        more = {o[0] for c in cables for s, o in (c, c[::-1]) if s[0] in reached} - reached
        if not more:
            break
        reached |= more
    assert net.deliver(1) == sorted(reached - {1})


def test_probes_are_read_back_and_nothing_else_is() -> None:
    module = load("spanning_tree")
    data = module.probe(b"\x02\0\0\0\0\1", 0xABCDEF, 7)
    assert module.read_probe(data) == (0xABCDEF, 7)
    assert module.read_probe(data + bytes(20)) == (0xABCDEF, 7)  # padded on its way
    assert module.read_probe(data[:-1]) is None
    assert module.read_probe(frame("01:80:c2:00:00:0e", A)) is None
