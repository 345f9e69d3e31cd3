# SPDX-License-Identifier: Apache-2.0
"""hoplab.story.decisions: whoever knows better than the channel what a switch decided."""

from __future__ import annotations

from dataclasses import replace

from hoplab.follow.follow import follow
from hoplab.follow.model import Journey
from hoplab.sentences import say
from hoplab.story.arrivals import Arrival
from hoplab.story.conversation import conversation
from hoplab.story.decisions import DecisionSource, find_decisions
from hoplab.story.places import Places
from hoplab.story.trip_records import Decision, Trip
from hoplab.story.trips import tell_way
from tests.unit.openflow_bytes import FLOOD, packet_in, packet_out
from tests.unit.playground import START_NS
from tests.unit.test_controller_causes import MS, Channel, arrival, pinged, taught

FLOW = "table 0, priority 0, any frame"


class Switch:
    """One that can be asked about frames that nobody was asked about."""

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []

    def decision(self, arrival: Arrival, by_channel: Decision | None) -> Decision | None:
        self.arrivals.append(arrival)
        if arrival.question is not None and by_channel is not None:
            return replace(by_channel, flow="table 0, priority 7")
        if by_channel is not None:
            return by_channel
        text = say("{switch} sent it by a flow", switch=arrival.node)
        return Decision(arrival.node, arrival.leg, "flow", text)


def decisions(source: DecisionSource | None) -> list[Decision]:
    """Of a ping and its ARP request, the only frame that the switch asked its controller about."""
    net, channel = pinged(), Channel()
    seen = arrival(net)
    taught(channel, START_NS - 9 * MS)
    channel.say(seen.t_ns + 1, True, packet_in(seen.data, 1))
    channel.say(seen.t_ns + 2, False, packet_out(seen.data, 1, (FLOOD,)))
    journeys: list[Journey] = sorted(
        follow(net.wiring, net.observations()), key=lambda journey: journey.number
    )
    places = Places(net.wiring)
    places.learn(journeys)
    trips = [Trip(tell_way(places, journey, START_NS)) for journey in journeys]
    made = find_decisions(net.wiring, journeys, trips, conversation(channel.seen), source)
    return [decision for trip in trips for decision in made.about(trip.number)]


def test_without_a_source_the_channel_alone_tells() -> None:
    (asked,) = decisions(None)
    assert (asked.by, asked.answer, asked.flow) == ("controller", "flood", FLOW)


def test_a_source_is_asked_about_every_frame_and_believed() -> None:
    switch = Switch()
    asked, *by_flow = decisions(switch)
    assert (asked.by, asked.answer, asked.flow) == ("controller", "flood", "table 0, priority 7")
    assert len(by_flow) == len(switch.arrivals) - 1 > 0
    assert {decision.sentence for decision in by_flow} == {"s1 sent it by a flow"}
    times = [arrived.t_ns for arrived in switch.arrivals]
    assert times == sorted(times)
    assert [arrived.question is None for arrived in switch.arrivals][:2] == [False, True]


def test_a_source_that_knows_nothing_leaves_what_the_channel_shows() -> None:
    class Ignorant:
        def decision(self, arrival: Arrival, by_channel: Decision | None) -> Decision | None:
            return by_channel

    assert decisions(Ignorant()) == decisions(None)
