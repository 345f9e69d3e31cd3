# SPDX-License-Identifier: Apache-2.0
"""hoplab.story.live: packets that come to rest in another order than that of their numbers."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from hoplab.capture.observation import Observation
from hoplab.decode.packet import Packet, decode
from hoplab.follow.follow import follow
from hoplab.follow.wiring import Wiring
from hoplab.story.live import PATIENCE_NS, QUIET_NS, Live, News
from hoplab.story.tell import tell
from hoplab.story.trip_records import Trip
from tests.unit import frames, netmodel
from tests.unit.playground import Playground, Spec, Talk, wire_up
from tests.unit.test_live import NAMES, finished, replay
from tests.unit.test_live import last_words as story_of_live

MS = 1_000_000
LOOK_NS = 50 * MS
CRAWL_NS = 100 * MS  # longer than between two looks, shorter than what counts as rest
LINE: Spec = [
    ("a", "10.0.0.1/24", "s1", ""),
    ("b", "10.0.0.2/24", "s1", ""),
    ("s1", "", "s2", ""),
    ("s2", "", "s3", ""),
    ("s3", "", "c", "10.0.0.3/24"),
]
A, B = "10.0.0.1", "10.0.0.2"
Frames = Callable[[Playground], None]


def crawling(net: Playground, crawls: Callable[[Packet], bool]) -> list[Observation]:
    """What was seen, but that some packets take long for each cable behind the first hub: they
    still move when others rest that came after them."""
    late_ns = {}
    for port, interface in enumerate(net.wiring.interfaces):
        ends = {interface.name, interface.peer}
        for cable, near in enumerate(("s2-eth1", "s3-eth1", "c-eth0"), 1):
            if near in ends:
                late_ns[port] = cable * CRAWL_NS
    shifted = [
        replace(
            observed,
            t_ns=observed.t_ns + late_ns.get(observed.port, 0) * crawls(decode(observed.data)),
        )
        for observed in net.observations()
    ]
    shifted.sort(key=lambda observed: observed.t_ns)
    return [replace(observed, number=number) for number, observed in enumerate(shifted, 1)]


def looked_at(
    wiring: Wiring, observations: list[Observation], every: Callable[[], int] = lambda: LOOK_NS
) -> list[tuple[int, News]]:
    """What is told, and when."""
    live, news = Live(wiring), []
    look = observations[0].t_ns
    for observation in observations:
        while look < observation.t_ns:
            news += [(look, message) for message in live.poll(look)]
            look += every()
        live.feed(observation)
    for _ in range(40):
        news += [(look, message) for message in live.poll(look)]
        look += LOOK_NS
    return news + [(look, message) for message in live.finish()]


def last_words(news: list[tuple[int, News]]) -> list[Trip]:
    trips = {message.trip.number: message.trip for _, message in news}
    return [trips[number] for number in sorted(trips)]


def ask(net: Playground) -> None:
    net.udp(A, 5000, B, 53, frames.dns(7, "www.example", "A"))
    answers = [("www.example", "A", B)]
    net.udp(B, 53, A, 5000, frames.dns(7, "www.example", "A", answers=answers))


def connect(net: Playground) -> None:
    talk = Talk(net, A, B)
    talk.open()
    talk.say("c", frames.ACK | frames.PSH, b"GET / HTTP/1.1\r\nHost: b\r\n\r\n")
    talk.say("s", frames.ACK | frames.PSH, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
    talk.close_four()


def ping(net: Playground) -> None:
    net.ip(A, B, 1, frames.echo(True, 1, 1))
    net.ip(B, A, 1, frames.echo(False, 1, 1))


def cut(net: Playground) -> None:
    for offset, more in ((0, 0x2000), (16, 0x2000), (32, 0)):
        packet = frames.ipv4(A, B, 17, bytes(16), 64, 9, frag=more | offset // 8)
        net.at(100, lambda packet=packet: net._route("a", packet))  # type: ignore[misc]
        net.run()


def untimed(trips: list[Trip]) -> list[Trip]:
    """Without the figures of TCP, which take a whole connection: live tells none."""
    return [trip._replace(timing=None) for trip in trips]


def of_kind(kind: str) -> Callable[[Packet], bool]:
    def crawls(packet: Packet) -> bool:
        tcp, ip, icmp, udp = packet.tcp, packet.ip, packet.icmp, packet.udp
        return {
            "syn": tcp is not None and tcp.syn and not tcp.ack_flag,
            "syn-ack": tcp is not None and tcp.syn and tcp.ack_flag,
            "data": tcp is not None and tcp.payload_length > 0,
            "fin": tcp is not None and tcp.fin,
            "arp": packet.arp is not None,
            "who-has": packet.arp is not None and packet.arp.op == 1,
            "question": udp is not None and udp.dport == 53,
            "request": icmp is not None and icmp.echo_request,
            "first part": ip is not None and ip.fragment and not ip.fragment_offset,
        }[kind]

    return crawls


@pytest.mark.parametrize(
    ("sends", "kind"),
    [
        (connect, "syn"), (connect, "syn-ack"), (connect, "data"), (connect, "fin"),
        (connect, "who-has"), (ask, "question"), (ask, "arp"), (ping, "request"),
        (ping, "who-has"), (cut, "first part"),
    ],
)  # fmt: skip
def test_an_older_packet_that_still_moves(sends: Frames, kind: str) -> None:
    net = Playground(wire_up(LINE, controller="hub"))
    if kind not in ("arp", "who-has"):
        net.warm()
    sends(net)
    observations = crawling(net, of_kind(kind))
    trips = last_words(looked_at(net.wiring, observations))
    assert trips == untimed(tell(net.wiring, follow(net.wiring, observations)).trips)


def test_what_is_translated_late_is_still_in_its_connection() -> None:
    """A router holds a SYN until it knows the MAC; what it sends then bears other ends."""
    net = netmodel.Net(random.Random(1))
    for name, kind in (("a", "host"), ("r1", "router"), ("b", "host")):
        net.node(name, kind)
    (inner, near), (outer, far) = net.join("a", "r1"), net.join("r1", "b")
    inner.address, near.address = "10.0.0.2/24", "10.0.0.1/24"
    outer.address, far.address = "10.1.0.1/24", "10.1.0.2/24"
    net.routes["r1"] = lambda dst: (outer.name, far.mac) if dst[1] else (near.name, inner.mac)
    net.nat["r1"] = outer.name
    a, r1, b = map(netmodel.ip, ("10.0.0.2", "10.1.0.1", "10.1.0.2"))
    syn = netmodel.ipv4(a, b, netmodel.tcp(4000, 80, 1, 0, 0x02), proto=6, ident=1)
    rst = netmodel.ipv4(b, r1, netmodel.tcp(80, 20000, 0, 2, 0x14), proto=6, ident=2)
    net.bear(0, inner.name, netmodel.eth(near.mac, inner.mac, 0x0800, syn))
    net.bear(900 * MS, far.name, netmodel.eth(outer.mac, far.mac, 0x0800, rst))
    net.run()
    case = net.case()
    held = [
        replace(observed, t_ns=observed.t_ns + 600 * MS * (observed.number in (3, 4)))
        for observed in case.observations
    ]  # fmt: skip
    trips = last_words(looked_at(case.wiring, held))
    assert trips == untimed(tell(case.wiring, follow(case.wiring, held)).trips)
    assert "refuses #1, the SYN" in trips[1].cause


# Where room was lacking in a queue, counters say so, and these are read when a capture ends.
COUNTED_AT_THE_END = {"tcp-full-queue"}


@pytest.mark.parametrize("name", sorted(set(NAMES) - COUNTED_AT_THE_END))
def test_the_same_records_of_kept_runs(name: str) -> None:
    """All but whom a packet is for, where that showed only after it had been told."""
    live, story = story_of_live(replay(name)), finished(name).trips
    assert [trip._replace(way=trip.way._replace(target="")) for trip in live] == [
        trip._replace(way=trip.way._replace(target="")) for trip in untimed(story)
    ]


@pytest.mark.parametrize("seed", range(12))
def test_the_same_records_in_any_network_however_slow(seed: int) -> None:
    rng = random.Random(seed)
    net = netmodel.random_net(rng, nat=bool(seed & 1), small_mtu=bool(seed & 2))
    net.wait, net.wait_chance = rng.choice((100, 500, 800)) * MS, 0.3
    spread_ns = rng.choice((20, 500, 4000)) * MS
    netmodel.random_traffic(net, 25, spread_ns=spread_ns, repeat_gap_ns=netmodel.S, repeats=0.1)
    net.run()
    case = net.case()
    news = looked_at(case.wiring, case.observations, lambda: rng.randrange(1, 300) * MS)
    story = tell(case.wiring, follow(case.wiring, case.observations))
    assert last_words(news) == untimed(story.trips)


def storms(begin_ms: range, pings_ms: range, until_ms: int) -> tuple[Wiring, list[Observation]]:
    """Two hubs in a loop of slow cables: what goes round never rests, and begins again and again.
    Beside them a cable between two others."""
    net = netmodel.Net(random.Random(1))
    for name, kind in (("a", "host"), ("s1", "switch"), ("s2", "switch"), ("b", "host"),
                       ("c", "host")):  # fmt: skip
        net.node(name, kind, hub=True)
    asker, _ = net.join("a", "s1")
    for _ in range(2):
        for end in net.join("s1", "s2"):
            net.delay[end.name] = 60 * MS
    source, sink = net.join("b", "c")
    asker.address, source.address, sink.address = "10.0.0.1/24", "10.1.0.1/24", "10.1.0.2/24"
    for number, begin in enumerate(begin_ms):
        wanted = netmodel.ip(f"10.0.0.{number + 2}")
        ask = netmodel.arp(
            1, asker.mac, netmodel.ip("10.0.0.1"), bytes(6), wanted, netmodel.BROADCAST
        )
        net.bear(begin * MS, asker.name, ask)
    ends = netmodel.ip("10.1.0.1"), netmodel.ip("10.1.0.2")
    for number, ping in enumerate(pings_ms):
        packet = netmodel.ipv4(*ends, frames.echo(True, 1, number), proto=1, ident=number)
        net.bear(ping * MS, source.name, netmodel.eth(sink.mac, source.mac, 0x0800, packet))
    net.run(limit=15_000)
    case = net.case()
    end_ns = case.observations[0].t_ns + until_ms * MS
    return case.wiring, [observed for observed in case.observations if observed.t_ns < end_ns]


def waited(news: list[tuple[int, News]], sender: str) -> list[int]:
    """How old the packets of a node were when they were told first, in ns."""
    return [
        look - message.trip.t_ns
        for look, message in news
        if message.trip.sender == sender and not message.more
    ]


def test_nobody_waits_for_ever_where_storms_begin_again_and_again() -> None:
    wiring, observations = storms(range(0, 5000, 300), range(150, 5000, 500), 7000)
    ages = waited(looked_at(wiring, observations), "b")
    assert len(ages) == 10 and max(ages) <= PATIENCE_NS + 2 * LOOK_NS
    assert max(ages) > QUIET_NS + 2 * LOOK_NS


def test_nobody_waits_for_a_storm_that_was_told() -> None:
    wiring, observations = storms(range(1), range(1500, 4000, 500), 6000)
    ages = waited(looked_at(wiring, observations), "b")
    assert len(ages) == 5 and max(ages) <= QUIET_NS + 2 * LOOK_NS
