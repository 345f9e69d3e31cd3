# SPDX-License-Identifier: Apache-2.0
"""Where a packet ended in a switch, the switch's own reason is told instead of what it looks like
from outside."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hoplab.follow import passages
from hoplab.follow.follow import follow
from hoplab.follow.passages import FlowTaken, MeterTaken, Passage
from hoplab.report.terminal import render
from hoplab.story.records import Story
from hoplab.story.tell import tell
from tests.unit import frames
from tests.unit.openflow_bytes import features, flow_mod, packet_in, packet_out
from tests.unit.playground import START_NS, Playground
from tests.unit.test_controller_causes import MS, Channel, arrival, network, story
from tests.unit.test_runs import untranslated

IP_FROM_A = {5: b"\x08\x00", 11: bytes([10, 0, 0, 1])}  # eth_type, ipv4_src
UNSENT = "s1 asked the controller about it, which sent it nowhere while the capture ran"
FLOW = FlowTaken(0, 10, "arp", 0, (), passages.BEFORE)


def stopped() -> Playground:
    """An echo request that came to s1 and left it by no port."""
    net = network()
    net.warm()
    net.down.update({"b-eth0", "c-eth0"})
    net.ip("10.0.0.1", "10.0.0.2", 1, frames.icmp(8, 0, 1, b"ping"))
    return net


def asked(net: Playground) -> Channel:
    """s1 asked its controller about it."""
    channel, seen = Channel(), arrival(net)
    channel.say(START_NS - MS, True, features(1))
    channel.say(seen.t_ns + 1, True, packet_in(seen.data, 1))
    return channel


def whole_of(net: Playground, channel: Channel) -> Story:
    whole = story(net, channel)
    assert "sent it out of no port" not in render(whole)
    assert untranslated(whole) == set()
    return whole


def test_a_flow_that_drops_is_told_of_the_frame_that_the_controller_kept() -> None:
    net = stopped()
    channel = asked(net)
    channel.say(arrival(net).t_ns + MS, False, flow_mod(0, IP_FROM_A, (), priority=100, hard=60))
    (trip,) = whole_of(net, channel).trips
    assert trip.ended == UNSENT
    assert trip.decisions[0].sentence.endswith(
        "which installed 1 flow and sent no frame back; from then on frames are dropped by "
        "table 0, priority 100, eth_type=0x0800, ipv4_src=10.0.0.1"
    )


def test_a_flow_that_sends_on_drops_nothing() -> None:
    net = stopped()
    channel = asked(net)
    channel.say(arrival(net).t_ns + MS, False, flow_mod(0, IP_FROM_A, (2,)))
    (trip,) = whole_of(net, channel).trips
    assert trip.ended == UNSENT
    assert "dropped" not in trip.decisions[0].sentence


def test_a_packet_out_may_have_no_port_and_no_frame() -> None:
    net = stopped()
    channel = asked(net)
    channel.say(arrival(net).t_ns + MS, False, packet_out(arrival(net).data, 1, ()))
    assert whole_of(net, channel).trips[0].ended == "the controller had s1 drop it"
    channel = asked(net)
    channel.say(arrival(net).t_ns + MS, False, packet_out(b"", 1, (2,)))
    (trip,) = whole_of(net, channel).trips
    assert trip.decisions[0].answer == "a packet-out without a frame"
    assert trip.ended == (
        "s1 asked the controller about it, whose packet-out had no frame in it"
    )


@pytest.mark.parametrize(
    ("reason", "ended"),
    [
        (passages.EXPLICIT, "s1 dropped it: a flow of its tables says so"),
        (passages.NO_FLOW, "s1 dropped it: no flow of its tables takes it"),
        (passages.METER, "meter 5 of s1 dropped it"),
        (passages.SAME_PORT,
         "s1 dropped it: it was to leave by the port by which it had come"),
        (passages.NO_PORT, "s1 dropped it: it was to leave by a port that s1 has not"),
        (passages.PORT_DOWN, "s1 dropped it: it was to leave by a port that is down"),
        (passages.TTL, "s1 dropped it: its TTL had come to its end"),
        (passages.NO_BUCKET, "s1 dropped it: no bucket of its group was alive"),
        (passages.PORT_BLOCKED,
         "s1 dropped it: its spanning tree blocks the port by which it came"),
        (passages.TREE_BLOCKED,
         "s1 dropped it: it was to leave by a port that its spanning tree blocks"),
    ],
)  # fmt: skip
def test_a_drop_by_the_tables_has_their_reason(reason: str, ended: str) -> None:
    net = stopped()
    seen = arrival(net)
    passage = Passage(seen.number, seen.t_ns, "s1", 1, (FLOW,), (), reason=reason)
    if reason == passages.METER:
        passage = replace(passage, meters=(MeterTaken(5, 1, True),))
    whole = tell(
        net.wiring, follow(net.wiring, net.observations()), host="a", command="ping", channel=[],
        passages=[passage],
    )  # fmt: skip
    assert [trip.ended for trip in whole.trips] == [ended]
    assert untranslated(whole) == set()
