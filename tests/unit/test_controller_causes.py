# SPDX-License-Identifier: Apache-2.0
"""hoplab.story.decisions: frames joined with what was said about them to a controller."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoplab.capture.observation import Observation, Reception
from hoplab.decode.openflow import decode
from hoplab.follow.follow import follow
from hoplab.follow.wiring import Wiring
from hoplab.report.language import language
from hoplab.report.terminal import render
from hoplab.story import controller_changes
from hoplab.story.controller_changes import Change
from hoplab.story.flow_tables import FlowTables
from hoplab.story.records import Story
from hoplab.story.tell import tell
from hoplab.story.trip_records import Decision
from tests.unit import frames
from tests.unit.openflow_bytes import (
    CONTROLLER,
    FLOOD,
    bundled,
    features,
    flow_mod,
    flow_removed,
    packet_in,
    packet_out,
    role,
)
from tests.unit.playground import START_NS, WEB, WEB_ROUTES, Playground, wire_up
from tests.unit.test_runs import untranslated

MS = 1_000_000
SPEC = [("a", "10.0.0.1/24", "s1", ""), ("b", "10.0.0.2/24", "s1", ""),
        ("c", "10.0.0.3/24", "s1", "")]  # fmt: skip
MAC_A = frames.mac("02:00:00:00:00:01")


def network() -> Playground:
    """Three hosts on one switch, whose ports have OpenFlow numbers and which has an id."""
    plain = wire_up(SPEC, topology="switch").as_dict()
    for node in plain["nodes"]:
        if node["kind"] == "switch":
            node["dpid"] = "0000000000000001"
    for interface in plain["interfaces"]:
        interface["port"] = int(interface["name"].rpartition("eth")[2])
    return Playground(Wiring.from_dict(plain))


class Channel:
    """One switch's connection, written by hand."""

    def __init__(self, sport: int = 40000) -> None:
        self.seen: list[Observation] = []
        self.sport = sport
        self.seq = {True: 1, False: 1}

    def say(self, t_ns: int, up: bool, data: bytes) -> int:
        ports = (self.sport, 6653) if up else (6653, self.sport)
        raw = frames.tcp(*ports, self.seq[up], 0, frames.ACK, data)
        self.seq[up] += len(data)
        frame = bytes(12) + b"\x08\x00" + frames.ipv4("127.0.0.1", "127.0.0.1", 6, raw)
        number = 1000 + len(self.seen)
        self.seen.append(Observation(number, t_ns, 99, Reception.HOST, frame, len(frame)))
        return number


def story(net: Playground, channel: Channel | None) -> Story:
    heard = None if channel is None else channel.seen
    return tell(net.wiring, follow(net.wiring, net.observations()), host="a", command="ping",
                channel=heard)  # fmt: skip


def arrival(net: Playground) -> Observation:
    """The first frame that came to the switch."""
    return next(o for o in net.observations() if net.wiring.is_switch(o.port) and not o.outgoing)


def pinged() -> Playground:
    net = network()
    net.ip("10.0.0.1", "10.0.0.2", 1, frames.icmp(8, 0, 1, b"ping"))
    return net


def first(whole: Story) -> Decision:
    return next(decision for trip in whole.trips for decision in trip.decisions)


def taught(channel: Channel, t_ns: int) -> None:
    """What a learning switch is sent at the start, in a bundle."""
    channel.say(t_ns, True, features(1))
    for each in (flow_mod(255, {}, command=3), flow_mod(0, {}, (CONTROLLER,), priority=0),
                 flow_mod(1, {}, (FLOOD,), priority=0)):  # fmt: skip
        channel.say(t_ns + 1, False, bundled(each))


def test_asked_answered_and_installed() -> None:
    net, channel = pinged(), Channel()
    arrived = arrival(net)
    taught(channel, START_NS - MS)
    question = channel.say(arrived.t_ns + MS // 10, True, packet_in(arrived.data, 1))
    channel.say(arrived.t_ns + MS, False, flow_mod(1, {3: MAC_A}, (1,)))
    channel.say(arrived.t_ns + MS, False, flow_mod(0, {0: b"\0\0\0\1", 4: MAC_A}, goto=1))
    channel.say(arrived.t_ns + MS, False, flow_mod(0, {4: b"\2" * 6}, (7,)))  # somebody else's
    answer = channel.say(arrived.t_ns + 13 * MS // 10, False, packet_out(arrived.data, 1, (FLOOD,)))
    whole = story(net, channel)
    decision = first(whole)
    assert (decision.node, decision.by) == ("s1", "controller")
    assert (decision.answer, decision.wait_ms) == ("flood", 1.2)
    assert (decision.packet_in, decision.packet_out) == (question, answer)
    assert decision.installed == (
        "table 1: eth_dst=02:00:00:00:00:01 → port 1 (s1-eth1)",
        "table 0: in_port=1, eth_src=02:00:00:00:00:01 → table 1",
    )
    assert decision.flow == "table 0, priority 0, any frame"
    assert decision.sentence == (
        "s1 had no flow for it (table 0) and asked the controller, which installed 2 flows and "
        "answered flood after 1.20 ms"
    )
    assert "answered flood after 1.20 ms" in " ".join(render(whole).split())


def test_a_buffer_number_is_enough() -> None:
    net, channel = pinged(), Channel()
    arrived = arrival(net)
    channel.say(arrived.t_ns, True, features(1))
    channel.say(arrived.t_ns + MS, True, packet_in(arrived.data[:34], 1, buffer_id=0))
    channel.say(arrived.t_ns + 2 * MS, False, packet_out(b"", 1, (2,), buffer_id=1))
    channel.say(arrived.t_ns + 3 * MS, False, packet_out(b"", 1, (2,), buffer_id=0))
    decision = first(story(net, channel))
    assert (decision.answer, decision.wait_ms) == ("port 2 (s1-eth2)", 2.0)


def test_a_flow_mod_may_be_the_answer_and_nothing_may() -> None:
    net, channel = pinged(), Channel()
    arrived = arrival(net)
    channel.say(arrived.t_ns, True, packet_in(arrived.data, 1, buffer_id=5))
    channel.say(arrived.t_ns + MS, False, flow_mod(0, {3: b"\xff" * 6}, (FLOOD,), buffer_id=5))
    assert first(story(net, channel)).answer == "flood"
    silent = Channel()
    silent.say(arrived.t_ns, True, packet_in(arrived.data, 1))
    decision = first(story(net, silent))
    assert (decision.answer, decision.packet_out) == ("", 0)
    assert "gave no answer" in decision.sentence
    dropped = Channel()
    dropped.say(arrived.t_ns, True, packet_in(arrived.data, 1))
    dropped.say(arrived.t_ns + 1, False, packet_out(arrived.data, 1, ()))
    assert first(story(net, dropped)).answer == "drop"


def test_a_flow_is_told_of_the_question_that_it_was_made_for() -> None:
    """Three questions at once: each answer brings the same flow."""
    net, channel = network(), Channel()
    for number in (1, 2, 3):
        net.ip("10.0.0.1", "10.0.0.2", 1, frames.icmp(8, 0, number, b"ping"))
    arrivals = [
        o for o in net.observations()
        if net.wiring.is_switch(o.port) and not o.outgoing and o.data[12:14] == b"\x08\x00"
    ][:3]  # fmt: skip
    last = arrivals[-1].t_ns
    channel.say(arrivals[0].t_ns, True, features(1))
    for each in arrivals:
        channel.say(each.t_ns, True, packet_in(each.data, 1))
    for each in arrivals:
        channel.say(last + MS, False, flow_mod(0, {3: MAC_A}, (1,)))
        channel.say(last + MS, False, packet_out(each.data, 1, (2,)))
    decisions = [
        decision
        for trip in story(net, channel).trips
        for decision in trip.decisions
        if decision.packet_in
    ]
    assert [len(made.installed) for made in decisions] == [1, 1, 1]
    assert {made.answer for made in decisions} == {"port 2 (s1-eth2)"}


def test_an_answer_by_another_frame() -> None:
    """As of a router: it asks for the next MAC address, and holds the packet meanwhile."""
    net, channel = pinged(), Channel()
    arrived = arrival(net)
    another = bytes(60)
    channel.say(arrived.t_ns, True, packet_in(arrived.data, 1, reason=1))
    channel.say(arrived.t_ns + MS, False, flow_mod(0, {10: b"\x08\x00"}, (2,)))
    channel.say(arrived.t_ns + MS, False, packet_out(another, CONTROLLER, (2,)))
    decision = first(story(net, channel))
    assert (decision.answer, decision.wait_ms) == ("another frame to port 2 (s1-eth2)", 1.0)
    assert decision.sentence == (
        "s1 has a flow that sends it to the controller (table 0) and asked the controller, which "
        "installed 1 flow and answered by another frame to port 2 (s1-eth2) after 1.00 ms"
    )
    assert untranslated(story(net, channel)) == set()
    late = Channel()
    late.say(arrived.t_ns, True, packet_in(arrived.data, 1))
    late.say(arrived.t_ns + 60 * MS, False, packet_out(another, CONTROLLER, (2,)))
    assert first(story(net, late)).answer == ""
    between = Channel()
    between.say(arrived.t_ns, True, packet_in(arrived.data, 1))
    between.say(arrived.t_ns + MS, True, packet_in(another, 1))
    between.say(arrived.t_ns + 2 * MS, False, packet_out(another, 1, (2,)))
    assert first(story(net, between)).answer == ""


def test_a_probe_needs_no_answer() -> None:
    net, channel = network(), Channel()
    probe = bytes.fromhex("0180c200000e020000000001" "88cc" "0000") + bytes(46)
    port = net.wiring.port("s1-eth2")
    assert port is not None
    net.send(net.wiring.peer(port) or 0, probe)
    net.run()
    arrived = arrival(net)
    channel.say(arrived.t_ns, True, packet_in(arrived.data, 2, reason=1))
    channel.say(arrived.t_ns + MS, False, packet_out(bytes(60), CONTROLLER, (2,)))
    whole = story(net, channel)
    decision = first(whole)
    assert decision.answer == "handed over" and "handed it to the controller" in decision.sentence
    assert whole.trips[0].kind == "lldp" and untranslated(whole) == set()


def test_a_router_that_is_a_datapath_asks_as_well() -> None:
    plain = wire_up(WEB, "router").as_dict()
    for node in plain["nodes"]:
        if node["name"] in ("r1", "s1"):
            node["dpid"] = "0000000000000065" if node["name"] == "r1" else "0000000000000001"
    net, channel = Playground(Wiring.from_dict(plain), WEB_ROUTES), Channel()
    net.udp("10.1.0.10", 5000, "10.53.0.53", 53, frames.dns(7, "www.itheima.com"))
    observation = next(o for o in net.observations() if net.wiring.port_name(o.port) == "r1-eth0")
    channel.say(observation.t_ns, True, features(0x65))
    channel.say(observation.t_ns, True, packet_in(observation.data, 1))
    channel.say(observation.t_ns + MS, False, packet_out(observation.data, 1, (FLOOD,)))
    decisions = [
        decision
        for t in story(net, channel).trips
        for decision in t.decisions
        if decision.packet_in
    ]
    assert [(each.node, each.answer) for each in decisions] == [("r1", "flood")]


def test_a_question_is_never_joined_with_another_ports_frame() -> None:
    net, channel = pinged(), Channel()
    arrived = arrival(net)
    channel.say(arrived.t_ns, True, packet_in(arrived.data, 3))
    assert all(
        decision.by != "controller" for t in story(net, channel).trips for decision in t.decisions
    )


def test_a_flood_that_was_not_asked_about() -> None:
    net, channel = pinged(), Channel()
    late = story(net, channel)
    assert first(late).sentence == (
        "s1 did not ask the controller: a flow floods this, most likely one from before the capture"
    )
    channel.say(START_NS - MS, True, features(1))
    channel.say(START_NS - MS, False, flow_mod(255, {}, command=3))
    channel.say(START_NS - MS, False, flow_mod(0, {}, (FLOOD,), priority=0))
    hub = story(net, channel)
    assert first(hub).flow == "table 0, priority 0, any frame"
    assert render(hub).count("did not ask") == 1, "the same of every frame is said once"


@pytest.mark.parametrize(
    ("flow", "clause"),
    [
        (flow_mod(0, {}, (2, 3)),
         "most likely a flow that came during the capture sends this to port 2 (s1-eth2) and "
         "port 3 (s1-eth3) (table 0, priority 1, any frame)"),
        (flow_mod(0, {}, (FLOOD,)),
         "most likely a flow that came during the capture floods this (table 0, priority 1, any "
         "frame)"),
        (flow_mod(0, {}, (2,)), None),
        (flow_mod(0, {3: b"\2" * 6}, (FLOOD,)), None),
    ],
)  # fmt: skip
def test_a_flood_by_a_flow_of_which_not_all_is_known(flow: bytes, clause: str | None) -> None:
    """The capture began after the controller: an unknown flow may stand before the one shown; and
    where what was shown does not do it, nothing is said of when the real one came."""
    net, channel = pinged(), Channel()
    channel.say(START_NS - 2 * MS, True, features(1))
    channel.say(START_NS - MS, False, flow)
    whole = story(net, channel)
    unknown = "s1 did not ask the controller, and the capture does not show by which flow it "
    unknown += "floods this"
    wanted = f"s1 did not ask the controller: {clause}" if clause else unknown
    assert first(whole).sentence == wanted
    assert first(whole).by == ("flow" if clause else "unknown")
    assert "before the capture" not in render(whole)
    assert untranslated(whole) == set()


def test_a_flow_that_names_the_ports_is_certain_if_all_flows_are_known() -> None:
    net, channel = pinged(), Channel()
    channel.say(START_NS - 2 * MS, True, features(1))
    channel.say(START_NS - 2 * MS, False, flow_mod(255, {}, command=3))
    channel.say(START_NS - MS, False, flow_mod(0, {}, (2, 3)))
    whole = story(net, channel)
    assert first(whole).sentence == (
        "s1 did not ask the controller: a flow it has sends this to port 2 (s1-eth2) and port 3 "
        "(s1-eth3) (table 0, priority 1, any frame)"
    )
    assert untranslated(whole) == set()


def in_version(message: bytes, version: int) -> bytes:
    return bytes((version, *message[1:]))


@pytest.mark.parametrize("version_known", [True, False])
def test_a_version_that_is_not_read_says_nothing_of_flows(version_known: bool) -> None:
    """OpenFlow 1.1: neither that the switch did not ask nor by what it floods is known. The id of
    the datapath stands where it does in 1.3."""
    net, channel = pinged(), Channel()
    arrived = arrival(net)
    if version_known:
        channel.say(START_NS - 2 * MS, True, in_version(features(1), 2))
    channel.say(arrived.t_ns + MS // 10, True, in_version(packet_in(arrived.data, 1), 2))
    channel.say(arrived.t_ns - MS, False, in_version(flow_mod(0, {}, (FLOOD,)), 2))
    whole = story(net, channel)
    assert first(whole).sentence == (
        "why s1 floods this is not known: it speaks OpenFlow 1.1 with its controller, which is not "
        "read here"
    )
    text = render(whole)
    assert "did not ask" not in text and "before the capture" not in text
    assert untranslated(whole) == set()


def test_a_hello_of_another_version_is_no_other_version() -> None:
    """Each side names the newest that it has (7.5.1); what is spoken then is the older one."""
    net, channel = pinged(), Channel()
    channel.say(START_NS - 3 * MS, True, bytes((6, 0, 0, 8, 0, 0, 0, 1)))
    channel.say(START_NS - 2 * MS, True, features(1))
    channel.say(START_NS - 2 * MS, False, flow_mod(255, {}, command=3))
    channel.say(START_NS - MS, False, flow_mod(0, {}, (FLOOD,), priority=0))
    assert "a flow it has floods this" in first(story(net, channel)).sentence


def test_another_controllers_version_is_not_this_switchs() -> None:
    net, channel, foreign = pinged(), Channel(), Channel(40001)
    channel.say(START_NS - 2 * MS, True, features(1))
    foreign.say(START_NS - 2 * MS, True, in_version(features(7), 1))
    foreign.say(START_NS - MS, True, in_version(packet_in(bytes(60), 1), 1))
    wiring = net.wiring.as_dict()
    wiring["nodes"].append({"name": "s7", "kind": "switch", "dpid": "0000000000000007"})
    channel.seen += foreign.seen
    whole = tell(Wiring.from_dict(wiring), follow(net.wiring, net.observations()), host="a",
                command="ping", channel=channel.seen)  # fmt: skip
    assert "most likely one from before the capture" in first(whole).sentence


def test_without_the_channel_nothing_is_said() -> None:
    assert not any(trip.decisions for trip in story(pinged(), None).trips)


@given(st.data())
def test_whatever_is_said_the_story_is_told(data: st.DataObject) -> None:
    net, channel = pinged(), Channel()
    arrived = arrival(net)
    pieces = [packet_in(arrived.data, 1), packet_out(arrived.data, 1, (FLOOD,)), features(1),
              flow_mod(0, {4: MAC_A}, (2,)), flow_mod(255, {}, command=3),
              flow_mod(1, {}, goto=0), flow_mod(0, {}, goto=1)]  # fmt: skip
    moments = data.draw(st.lists(st.tuples(st.integers(0, 50), st.booleans(),
                                           st.sampled_from(pieces)), max_size=12))  # fmt: skip
    for at, up, piece in sorted(moments, key=lambda made: made[0]):
        channel.say(arrived.t_ns - 10 * MS + at * MS, up, piece)
    whole = story(net, channel)
    for trip in whole.trips:
        for made in trip.decisions:
            assert made.node == "s1" and trip.legs[made.leg].head == "s1"
    questions = [o.packet_in for t in whole.trips for o in t.decisions if o.packet_in]
    assert len(questions) == len(set(questions))


def test_frames_in_hand_are_not_changed() -> None:
    net = pinged()
    before = [replace(observation) for observation in net.observations()]
    story(net, Channel())
    assert before == net.observations()


@pytest.mark.parametrize(
    ("reason", "clause"),
    [(0, "the last one expired, unused for 5 s"),
     (1, "the last one expired 9 s after it had come"),
     (2, "the last one was deleted")],
)  # fmt: skip
def test_a_flow_that_was_removed_is_named_as_the_reason_to_ask(reason: int, clause: str) -> None:
    net, channel = pinged(), Channel()
    arrived = arrival(net)
    taught(channel, START_NS - 20_000 * MS)
    flow = {"fields": {3: arrived.data[:6]}, "idle": 5, "hard": 9}
    channel.say(START_NS - 10_000 * MS, False, flow_mod(0, ports=(2,), **flow))  # type: ignore[arg-type]
    channel.say(START_NS - MS, True, flow_removed(0, reason=reason, **flow))  # type: ignore[arg-type]
    channel.say(arrived.t_ns + MS // 10, True, packet_in(arrived.data, 1))
    channel.say(arrived.t_ns + MS, False, packet_out(arrived.data, 1, (FLOOD,)))
    assert first(story(net, channel)).sentence == (
        f"s1 had no flow for it any more: {clause} (table 0) and asked the controller, which "
        "answered flood after 0.90 ms"
    )


@pytest.mark.parametrize(
    ("how", "age_s", "still_there"),
    [({}, 100, True), ({"hard": 5}, 4, True), ({"hard": 5}, 6, False), ({"hard": 5}, 8, False),
     ({"idle": 5}, 4, True), ({"idle": 5}, 8, False)],
)  # fmt: skip
def test_a_flow_that_has_timed_out_floods_no_more(
    how: dict[str, int], age_s: int, still_there: bool
) -> None:
    net, channel = network(), Channel()
    net.ip("10.0.0.1", "10.0.0.2", 1, frames.icmp(8, 0, 1, b"ping"))
    channel.say(START_NS - 200_000 * MS, True, features(1))
    then = START_NS - age_s * 1000 * MS
    channel.say(then, False, flow_mod(255, {}, command=3))
    channel.say(then, False, flow_mod(0, {}, (FLOOD,), **how))
    sentences = [
        decision.sentence for trip in story(net, channel).trips for decision in trip.decisions
    ]
    assert sentences
    assert ("a flow it has floods this" in sentences[0]) == still_there


def test_a_switch_may_write_the_fields_of_a_match_in_another_order() -> None:
    """As Open vSwitch does in flow-removed."""
    net, channel = pinged(), Channel()
    arrived = arrival(net)
    taught(channel, START_NS - 20_000 * MS)
    sent = {3: arrived.data[:6], 4: arrived.data[6:12]}
    whole = {4: arrived.data[6:12], 3: arrived.data[:6]}
    channel.say(START_NS - 10_000 * MS, False, flow_mod(0, sent, (2,), idle=5))
    channel.say(START_NS - 2 * MS, True, flow_removed(0, whole, 0, idle=5))
    channel.say(START_NS - MS, False, flow_mod(255, {3: arrived.data[:6]}, command=3))
    channel.say(arrived.t_ns + MS // 10, True, packet_in(arrived.data, 1))
    channel.say(arrived.t_ns + MS, False, packet_out(arrived.data, 1, (FLOOD,)))
    assert "the last one expired, unused for 5 s" in first(story(net, channel)).sentence


@pytest.mark.parametrize(("port", "still_there"), [(3, True), (FLOOD, False)])
@pytest.mark.parametrize("seen", [True, False])
def test_a_deletion_of_what_sends_to_a_port(port: int, still_there: bool, seen: bool) -> None:
    """As when a port goes down (OpenFlow 1.3.5, 7.3.4.1: out_port). It is none of everything."""
    net, channel = network(), Channel()
    net.ip("10.0.0.1", "10.0.0.2", 1, frames.icmp(8, 0, 1, b"ping"))
    channel.say(START_NS - 9 * MS, True, features(1))
    if seen:
        channel.say(START_NS - 8 * MS, False, flow_mod(255, {}, command=3))
    channel.say(START_NS - 7 * MS, False, flow_mod(0, {}, (FLOOD,)))
    channel.say(START_NS - 6 * MS, False, flow_mod(255, {}, command=3, only=port))
    sentences = [
        decision.sentence for trip in story(net, channel).trips for decision in trip.decisions
    ]
    assert sentences
    assert ("a flow it has floods this" in sentences[0]) == (still_there and seen)


def test_flows_that_many_frames_use_are_as_alive_as_looked_at_one_by_one() -> None:
    """Used, unused, and changed in between."""
    tables, frame = FlowTables(), bytes(range(6)) + bytes(6) + b"\x08\x00" + bytes(20)
    mod = decode(flow_mod(0, {3: frame[:6]}, (2,), idle=5))
    text = decode(flow_mod(0, {3: bytes(6)}, (3,), idle=5))
    second = 1000 * MS
    tables.apply(mod, 0)
    tables.apply(text, 0)
    for at in range(0, 20, 2):
        tables.pass_frame(1, frame, at * second)
    assert [flow.ports for flow in tables.flows.values()] == [("2",)]
    tables.apply(decode(flow_mod(0, {3: frame[:6]}, (4,), idle=5)), 20 * second)
    tables.pass_frame(1, frame, 24 * second)
    assert [flow.used_ns for flow in tables.flows.values()] == [24 * second]
    tables.pass_frame(1, bytes(40), 40 * second)
    assert tables.flows == {}


# ---- who is in charge ---------------------------------------------------------------------------


def changed(whole: Story) -> list[str]:
    return [r.text for step in whole.steps for r in step.remarks if r.code == "controller-changed"]


def restarted(after_ms: int, *roles: tuple[int, int]) -> Story:
    """A ping; so long after its first frame the switch speaks to a second controller."""
    net, old, new = pinged(), Channel(), Channel(sport=40001)
    began = min(seen.t_ns for seen in net.observations())
    taught(old, START_NS - 5 * MS)
    new.say(began + after_ms * MS, True, features(1))
    for role_number, generation in roles:
        new.say(began + after_ms * MS, False, role(role_number, generation))
    both = Channel()
    both.seen = sorted([*old.seen, *new.seen], key=lambda seen: seen.t_ns)
    return story(net, both)


def test_another_controller_takes_charge() -> None:
    assert changed(restarted(2)) == [
        "At +2.00 ms another controller (port 6653) took charge of s1."
    ]
    assert changed(restarted(2, (3, 1))) == []  # it waits as a slave
    assert changed(restarted(2, (3, 1), (2, 2))) == [
        "At +2.00 ms another controller (port 6653) took charge of s1 as its master "
        "(OpenFlow roles, generation 2)."
    ]
    assert "another controller" in render(restarted(2))
    for text in changed(restarted(2)) + changed(restarted(2, (2, 2))):
        chinese = language("zh")
        assert "另一个控制器" in chinese(text) and text not in chinese.unknown


def test_of_many_switches_the_first_are_named_and_the_last() -> None:
    some = [Change(7, (0, 0, 6654), f"s{number}") for number in (10, 3, 1, 2, 5, 4)]
    (remark,) = controller_changes._remarks(some, 0)
    assert "took charge of s1, s2, s3, s4, s5 … s10 (6)." in remark.text
    (remark,) = controller_changes._remarks(some[1:], 0)
    assert "took charge of s1, s2, s3, s4, s5." in remark.text


def test_how_the_network_came_up_is_no_change() -> None:
    assert changed(restarted(-1)) == []
    assert changed(restarted(-1, (2, 1))) == []
