# SPDX-License-Identifier: Apache-2.0
"""hoplab.story.same_route: who takes the way of one before is told as if there were none before."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

import pytest

from hoplab import runs
from hoplab.capture import pcapng_reader
from hoplab.decode.packet import decode, routed
from hoplab.follow.follow import follow
from hoplab.follow.model import Journey
from hoplab.follow.wiring import Wiring
from hoplab.story.coverage import Coverage, Evidence
from hoplab.story.places import Places
from hoplab.story.same_route import Routes, route_of
from hoplab.story.trips import tell_way
from tests.unit import frames
from tests.unit import netmodel as nm
from tests.unit.scenarios import CLIENT, WWW, web

RUNS = Path(__file__).parent.parent / "data" / "runs"
NAMES = sorted(path.name for path in RUNS.iterdir())


def told_alike(
    wiring: Wiring, journeys: Iterable[Journey], coverage: Coverage | None = None
) -> int:
    """How many are told by the way of another; each is told as it would be by itself."""
    journeys = list(journeys)
    places = Places(wiring)
    places.learn(journeys)
    evidence = Evidence(wiring, coverage, journeys)
    routes, seen, again = Routes(places), set[object](), 0
    for journey in journeys:
        alone = tell_way(places, journey, 0, evidence)
        assert tell_way(places, journey, 0, evidence, routes) == alone, journey.number
        route, _ = route_of(list(journey.hops()))
        again += route is not None and route in seen
        seen.add(route)
    return again


@pytest.mark.parametrize("name", NAMES)
def test_in_every_run_of_the_tests(name: str) -> None:
    capture = pcapng_reader.read(RUNS / name / runs.CAPTURE)
    wiring = Wiring.load(RUNS / name / runs.STATE)
    ports = wiring.port_map(capture.interfaces)
    journeys = follow(wiring, capture.observations, ports=ports)
    told_alike(wiring, journeys, runs.coverage(wiring, capture, ports))


@pytest.mark.parametrize("seed", range(30))
def test_in_networks_that_lose_and_repeat_frames(seed: int) -> None:
    """Few routes, much traffic; frames are lost, overtaken, sent again, and missed at the edges of
    the capture."""
    chance = random.Random(seed)
    net = nm.random_net(chance, nat=bool(seed & 1))
    net.loss = (0, 0.05, 0.2)[seed % 3]
    nm.random_traffic(net, 60, spread_ns=300 * nm.MS, repeat_gap_ns=20 * nm.MS, repeats=0.3)
    net.run()
    case = net.case()
    journeys = follow(case.wiring, case.observations)
    times = sorted(observation.t_ns for observation in case.observations)
    begun_ns = dict.fromkeys(range(len(case.wiring.interfaces)), times[len(times) // 8])
    edges = Coverage(begun_ns=begun_ns, ended_ns=times[-len(times) // 8])
    for coverage in (None, edges):
        told_alike(case.wiring, journeys, coverage)


def test_the_packets_of_a_flow_are_found_out_once() -> None:
    net = web(warm=True)
    for number in range(20):
        net.udp(CLIENT, 40000, WWW, 9, b"%d" % number * (number + 1))
    net.run()
    assert told_alike(net.wiring, follow(net.wiring, net.observations())) >= 19


def test_an_address_that_moves_makes_ways_be_found_out_anew() -> None:
    net = web(warm=True)
    net.udp(CLIENT, 40000, WWW, 9, b"datagram")
    net.run()
    first = follow(net.wiring, net.observations())[0]
    places = Places(net.wiring)
    routes = Routes(places)
    route, _ = route_of(list(first.hops()))
    assert route is not None
    places.learn([first])
    tell_way(places, first, 0, None, routes)
    assert routes.find(route) is not None
    places.learn([first])
    assert routes.find(route) is not None  # it says nothing new
    places.changes += 1
    assert routes.find(route) is None


# --- the packet that a router makes of another ----------------------------------------------------


def test_a_routed_packet_is_read_as_if_it_stood_alone() -> None:
    datagram = frames.ipv4("10.0.0.1", "10.1.0.1", 17, frames.udp(7, 9, b"text"), 64, 1)
    old = frames.eth("02:00:00:00:00:01", "02:00:00:00:00:02", 0x0800, datagram)
    chance = random.Random(7)
    read = 0
    for _ in range(2000):
        new = bytearray(old)
        for _ in range(chance.randrange(4)):
            new[chance.randrange(len(new))] = chance.randrange(256)
        if chance.random() < 0.1:
            del new[chance.randrange(len(new)) :]
        packet = routed(decode(old), old, bytes(new))
        assert packet in (None, decode(bytes(new)))
        read += packet is not None
    assert read > 500
