# SPDX-License-Identifier: Apache-2.0
"""Why a switch floods a frame for which no question was found, where it asked about others."""

from __future__ import annotations

from hoplab.story.records import Story
from tests.unit import frames
from tests.unit.playground import START_NS
from tests.unit.test_controller_causes import (
    FLOOD,
    MS,
    Channel,
    arrival,
    features,
    network,
    packet_in,
    packet_out,
    story,
)


def sentences(whole: Story) -> list[str]:
    return [decision.sentence for trip in whole.trips for decision in trip.decisions]


def asked_once_of(requests: int, *, same: bool) -> Story:
    """A host asks for a MAC so often, and the switch asks its controller about the first only."""
    net, channel = network(), Channel()
    mac = net.wiring.interfaces[0].mac
    for number in range(requests):
        wanted = "10.0.0.77" if same else f"10.0.0.{77 + number}"
        ask = frames.arp(1, mac, "10.0.0.1", "00:00:00:00:00:00", wanted)
        net.send(0, frames.eth(frames.BROADCAST, mac, 0x0806, ask))
        net.run()
        net.now_ns += 100 * MS
    arrived = arrival(net)
    channel.say(START_NS - MS, True, features(1))
    channel.say(arrived.t_ns + MS // 10, True, packet_in(arrived.data, 1))
    channel.say(arrived.t_ns + MS // 5, False, packet_out(arrived.data, 1, (FLOOD,)))
    return story(net, channel)


def test_of_frames_with_the_same_bytes_another_may_be_the_one_asked_about() -> None:
    """A host that answers each copy of a storm makes thousands of them."""
    texts = sentences(asked_once_of(2, same=True))
    assert sum("and asked the controller, which answered flood" in text for text in texts) == 1
    assert not any("from before the capture" in text for text in texts), texts


def test_who_had_no_flow_for_a_frame_has_none_that_floods_whatever_comes() -> None:
    whole = asked_once_of(2, same=False)
    assert sentences(whole)[1] == (
        "s1 did not ask the controller, and the capture does not show by which flow it floods this"
    )
