# SPDX-License-Identifier: Apache-2.0
"""Copies that no rule of a switch explains: of a mirror, back out of the way in, out of nowhere."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hoplab.capture.observation import Observation
from hoplab.follow.wiring import Wiring
from hoplab.report.terminal import render
from hoplab.story.live import Live
from hoplab.story.records import Story
from tests.unit import frames
from tests.unit.playground import START_NS, Playground, Spec, wire_up
from tests.unit.test_runs import untranslated

SPEC: Spec = [
    ("h1", "10.0.0.1/24", "s1", ""),
    ("h2", "10.0.0.2/24", "s1", ""),
    ("h3", "10.0.0.3/24", "s1", ""),
    ("s1", "", "s2", ""),
    ("h4", "10.0.0.4/24", "s2", ""),
]
MS = 1_000_000


def network(more: Callable[[Playground, int, bytes], None]) -> Playground:
    """Switches that do something more with a frame after they have sent it on."""
    net = Playground(wire_up(SPEC))
    forward = net._switch

    def switch(port: int, data: bytes) -> None:
        forward(port, data)
        more(net, port, data)

    net._switch = switch  # type: ignore[method-assign]
    return net


def out(net: Playground, name: str, data: bytes) -> None:
    port = net.wiring.port(name)
    assert port is not None
    net.send(port, data)


def mirror(net: Playground, port: int, data: bytes) -> None:
    if net.wiring.node_name(port) == "s1":
        out(net, "s1-eth3", data)


def back(net: Playground, port: int, data: bytes) -> None:
    if net.wiring.port_name(port) in ("s1-eth1", "s1-eth2", "s2-eth2"):
        net.send(port, data)


def ping(net: Playground) -> Story:
    net.ip("10.0.0.1", "10.0.0.2", 1, frames.echo(True, 9, 1))
    net.ip("10.0.0.2", "10.0.0.1", 1, frames.echo(False, 9, 1))
    return net.story(host="h1", command="ping -c 1 10.0.0.2")


@pytest.mark.parametrize("more", [mirror, back])
def test_a_copy_of_a_packet_is_no_new_packet(more: Callable[..., None]) -> None:
    plain, story = ping(network(lambda *_: None)), ping(network(more))
    assert [trip.kind for trip in story.trips] == [trip.kind for trip in plain.trips]
    assert [trip.sender for trip in story.trips] == ["h1", "h2", "h1", "h2"]
    assert story.outcome.sentence.startswith("1 echo request to h2, 1 answered")
    assert len(story.trips[0].legs) == len(plain.trips[0].legs) + 1
    assert not any(trip.storm for trip in story.trips)
    assert "needed the MAC" not in render(story).replace("h1 needed the MAC", "")
    assert untranslated(story) == set()


def test_the_copies_are_told_and_no_port_is_counted_twice() -> None:
    asked = ping(network(mirror)).trips[0]
    assert asked.notes == ("s1 sent it out of s1-eth3 2 times",)
    assert (asked.fanouts[0].out, asked.fanouts[0].of) == (3, 3)
    asked = ping(network(back)).trips[0]
    assert asked.notes == ("s1 sent it back out of s1-eth1, where it came",)
    assert (asked.fanouts[0].out, asked.fanouts[0].of) == (3, 3)
    assert "h1" in [copy.node for copy in asked.ignored]


def test_a_mirror_of_one_port_is_an_ordinary_copy() -> None:
    """The echo request goes to h2 and h3, each once: nothing to note."""
    assert all(not trip.notes for trip in ping(network(mirror)).trips[2:])


@pytest.mark.parametrize("seen_before", [False, True])
def test_a_frame_that_came_before_the_capture_is_nobodys_question(seen_before: bool) -> None:
    """Only its copies are seen. Which packet it was is not known, and no cause is invented."""
    net = Playground(wire_up(SPEC))
    card = net.wiring.interfaces[0].mac
    request = frames.arp(1, card, "10.0.0.1", "00:00:00:00:00:00", "10.0.0.2")
    frame = frames.eth(frames.BROADCAST, card, 0x0806, request)
    for name in ("s1-eth2", "s1-eth3", "s1-eth4"):
        out(net, name, frame)
    net.run()
    if seen_before:
        net.ip("10.0.0.1", "10.0.0.2", 1, frames.echo(True, 9, 1))
    story = net.story(host="h1", command="sleep 1")
    strays = [trip for trip in story.trips if trip.sender == "s1"]
    assert len(strays) == 3
    for trip in strays:
        assert trip.stray and trip.cause == "s1 sent it, and no frame that came in explains it"
        assert not trip.causes
    text = " ".join(render(story).split())
    assert "s1 needed" not in text and "s2 needed" not in text
    remarks = [remark.text for step in story.steps for remark in step.remarks]
    assert not any("first needed a neighbour" in text for text in remarks)
    assert untranslated(story) == set()


def test_a_stray_copy_of_an_echo_request_answers_for_none() -> None:
    """The reply belongs to the packet that the host sent."""
    net = Playground(wire_up(SPEC))
    net.warm()
    seen: list[bytes] = []
    send = net.send

    def listen(port: int, data: bytes) -> None:
        if net.wiring.port_name(port) == "h1-eth0":
            seen.append(data)
        send(port, data)

    net.send = listen  # type: ignore[method-assign]
    net.ip("10.0.0.1", "10.0.0.2", 1, frames.echo(True, 9, 1))
    net.now_ns += 950 * MS
    out(net, "s1-eth3", seen[0])  # too late to be a copy for certain
    net.ip("10.0.0.2", "10.0.0.1", 1, frames.echo(False, 9, 1))
    story = net.story(host="h1", command="ping")
    request, stray, reply = story.trips
    assert (stray.stray, stray.sender) == (True, "s1")
    assert (request.answered_by, stray.answered_by, reply.causes) == (3, 0, (1,))


def test_two_switches_that_send_frames_back_are_no_loop() -> None:
    def rally(net: Playground, port: int, data: bytes) -> None:
        between = net.wiring.port_name(port) in ("s1-eth4", "s2-eth1")
        if between and data[:6] == b"\xff" * 6 and net.now_ns < START_NS + 2 * MS:
            net.send(port, data)

    story = ping(network(rally))
    assert story.trips[0].storm is not None
    (remark,) = (r.text for step in story.steps for r in step.remarks if r.code == "storm")
    assert remark.startswith("Switches send a frame back out of the port by which it came (#1)")
    assert untranslated(story) == set()


def test_a_router_that_is_a_datapath_does_need_a_mac() -> None:
    plain = wire_up([("a", "10.0.1.1/24", "r1", "10.0.1.9/24"),
                     ("r1", "10.0.2.9/24", "b", "10.0.2.1/24")]).as_dict()  # fmt: skip
    for node in plain["nodes"]:
        if node["name"] == "r1":
            node["dpid"] = "0000000000000065"
    net = Playground(Wiring.from_dict(plain), {"a": "10.0.1.9", "b": "10.0.2.9"})
    net.ip("10.0.1.1", "10.0.2.1", 1, frames.echo(True, 9, 1))
    causes = [trip.cause for trip in net.story(host="a", command="ping").trips]
    assert any(cause.startswith("r1 needed the MAC of 10.0.2.1 (b)") for cause in causes)


def test_a_frame_of_the_machine_that_a_switch_runs_on_is_its_own() -> None:
    """It bears the MAC address of the port; so do probes and spanning tree, by their groups."""
    net = Playground(wire_up(SPEC))
    mine = net.wiring.interfaces[1].mac
    solicitation = frames.arp(1, mine, "0.0.0.0", "00:00:00:00:00:00", "10.0.0.77")
    out(net, "s1-eth1", frames.eth(frames.BROADCAST, mine, 0x0806, solicitation))
    out(net, "s1-eth1", frames.eth("01:80:c2:00:00:00", "02:00:00:00:77:77", 38, bytes(40)))
    net.run()
    story = net.story(host="h1", command="sleep 1")
    assert [trip.stray for trip in story.trips] == [False, False]
    assert "explains" not in render(story)


@pytest.mark.parametrize("more", [mirror, back])
def test_live_as_in_the_finished_story(more: Callable[..., None]) -> None:
    """Each packet under the number that it has in the end, though copies show late."""
    net = network(lambda net, port, data: net.at(40_000, lambda: more(net, port, data)))
    finished = ping(net)
    live, lived = Live(net.wiring), []
    last = 0
    observations: list[Observation] = net.observations()
    for observation in observations:
        for moment in range(last or observation.t_ns, observation.t_ns, 20 * MS):
            lived += live.poll(moment)
        last = observation.t_ns
        live.feed(observation)
    lived += live.poll(last + 400 * MS)
    lived += live.finish()
    assert {news.trip.number: news.trip.title for news in lived} == {
        trip.number: trip.title for trip in finished.trips
    }
