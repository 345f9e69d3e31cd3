# SPDX-License-Identifier: Apache-2.0
"""Stories told from synthetic captures: every honest remark, every way to end, odd traffic."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hoplab.capture.observation import Observation, Reception
from hoplab.client.recording import _comments
from hoplab.decode import dns as wire_dns
from hoplab.follow.follow import follow
from hoplab.report.as_json import to_dict
from hoplab.report.terminal import DETAILS, render
from hoplab.story.dns_titles import dns_result
from hoplab.story.records import Request, Step, Story
from hoplab.story.tell import tell
from hoplab.story.trip_records import Trip
from hoplab.story.wire_text import clean
from tests.unit import frames
from tests.unit.frames import ACK, FIN, PSH, RST, SYN
from tests.unit.playground import CABLE, START_NS, WEB, Playground, Talk, wire_up
from tests.unit.scenarios import (
    CLIENT,
    DEAD,
    GET,
    IDLE,
    NAME,
    PAGE,
    RESOLVER,
    SCENARIOS,
    URL,
    WWW,
    close_merged,
    dead_host,
    fetch,
    hub_cold,
    no_route,
    nxdomain,
    ping_cable,
    ping_ttl,
    refused,
    resolve_cached,
    response,
    switch_cold,
    switch_warm,
    web,
)
from tests.unit.test_runs import untranslated


def step(story: Story, key: str) -> Step:
    return next(each for each in story.steps if each.key == key)


def codes(story: Story, key: str) -> list[str]:
    return [remark.code for remark in step(story, key).remarks]


def remark(story: Story, code: str) -> str:
    return next(r.text for step in story.steps for r in step.remarks if r.code == code)


def only(story: Story, kind: str) -> Trip:
    trips = [trip for trip in story.trips if trip.kind == kind]
    assert len(trips) == 1, [trip.title for trip in trips]
    return trips[0]


def first(story: Story, kind: str) -> Trip:
    return next(trip for trip in story.trips if trip.kind == kind)


# --- the shape that holds for every story ---------------------------------------------------


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_trip_is_under_exactly_one_heading(name: str) -> None:
    story = SCENARIOS[name]()
    times_told = Counter(number for step in story.steps for number in step.trips)
    assert times_told == Counter(trip.number for trip in story.trips)
    steps_of_trips = story.steps_of_trips()
    for trip in story.trips:
        assert trip.number in story.steps[steps_of_trips[trip.number]].trips
        assert story.trip(trip.number) is trip


@pytest.mark.parametrize("name", SCENARIOS)
def test_counts_agree_with_the_capture(name: str) -> None:
    story = SCENARIOS[name]()
    legs = [leg for trip in story.trips for leg in trip.legs]
    assert story.summary.frames == len(legs) == sum(link.frames for link in story.summary.links)
    assert story.summary.ignored == sum(link_count.ignored for link_count in story.summary.links)
    numbers = [number for leg in legs for number in (leg.sent, leg.received) if number]
    assert len(numbers) == len(set(numbers)), "no observation is told twice"


@pytest.mark.parametrize("name", SCENARIOS)
def test_steps_of_a_fetch_are_the_lessons(name: str) -> None:
    story = SCENARIOS[name]()
    numbers = [step.number for step in story.steps if step.number]
    assert numbers == ([1, 2, 3, 4, 5] if story.request else [])


@pytest.mark.parametrize("name", SCENARIOS)
def test_trips_inside_a_step_are_in_time_order(name: str) -> None:
    for step in SCENARIOS[name]().steps:
        assert step.trips == sorted(step.trips)


# --- paths, copies, routers -----------------------------------------------------------------


def test_path_and_router_rewrites_of_a_packet_between_subnets() -> None:
    syn = only(switch_cold(), "tcp-syn")
    assert syn.path == ("client", "s1", "r1", "r2", "s3", "www")
    assert syn.delivered == ("www",) and syn.target == "www" and not syn.ended
    r1, r2 = syn.rewrites
    assert (r1.node, r1.ttl_before, r1.ttl_after) == ("r1", 64, 63)
    assert (r2.node, r2.ttl_before, r2.ttl_after) == ("r2", 63, 62)
    assert (r1.src_owner_before, r1.dst_owner_before) == ("client", "r1")
    assert (r1.src_owner_after, r1.next_hop) == ("r1", "r2")
    assert r1.src_mac_after == r2.src_mac_before
    assert (r1.src_before, r1.dst_before) == (r2.src_after, r2.dst_after) == (CLIENT, WWW)
    assert not r1.translated


def test_broadcast_is_read_and_ignored_by_those_it_does_not_ask() -> None:
    asked = first(switch_cold(), "arp-request")
    assert asked.path == ("client", "s1", "r1")
    assert [(copy.node, copy.by) for copy in asked.ignored] == [("pc", "software")]
    assert [(fanout.node, fanout.out, fanout.of, fanout.due) for fanout in asked.fanouts] == [
        ("s1", 2, 2, True)
    ]


def test_hub_sends_unicast_to_cards_that_drop_it() -> None:
    syn = only(hub_cold(), "tcp-syn")
    assert [(copy.node, copy.by) for copy in syn.ignored] == [("pc", "card"), ("idle", "card")]
    assert all(fanout.flooded and not fanout.due for fanout in syn.fanouts)
    assert only(switch_cold(), "tcp-syn").ignored == ()


def test_hub_and_switch_differ_in_numbers_only_where_they_should() -> None:
    hub, switch = hub_cold().summary, switch_cold().summary
    assert hub.trips == switch.trips and hub.kinds == switch.kinds
    assert hub.frames > switch.frames and hub.ignored > 4 * switch.ignored
    assert switch.unicast_flooded == 0 < hub.unicast_flooded
    on_pc = {s.a: s for s in hub.links}["pc"]
    assert (on_pc.forth, on_pc.back, on_pc.ignored) == (0, on_pc.frames, on_pc.frames)


def test_lost_frame_is_flagged_where_it_was_lost() -> None:
    net = web(warm=True)
    net.drop = lambda interface, packet: interface == "r1-eth1" and packet.tcp is not None
    resolve_cached(net)
    Talk(net, CLIENT, WWW).say("c", SYN)
    story = net.story(URL)
    syn = only(story, "tcp-syn")
    assert [(leg.tail, leg.head) for leg in syn.lost] == [("r1", "r2")]
    assert "never arrived at r2" in syn.ended and story.summary.lost == 1
    assert (story.outcome.code, story.outcome.where) == ("syn-lost", "r2")


def test_address_given_after_the_wiring_was_written_is_learnt_from_frames() -> None:
    net = Playground(wire_up(CABLE, "", "cable"))
    mac_a, mac_b = (interface.mac for interface in net.wiring.interfaces)
    there = frames.ipv4("10.9.9.1", "10.9.9.2", 1, frames.echo(True, 1, 1))
    back = frames.ipv4("10.9.9.2", "10.9.9.1", 1, frames.echo(False, 1, 1))
    net.send(0, frames.eth(mac_b, mac_a, 0x0800, there))
    net.run()
    net.send(1, frames.eth(mac_a, mac_b, 0x0800, back))
    net.run()
    story = net.story(host="a")
    assert story.outcome.code == "answered" and story.trips[0].target == "b"


def test_address_given_later_to_a_silent_host_is_known_from_names_in_the_capture() -> None:
    """It has no way back: nothing that it sends shows whose the address is."""
    net = Playground(wire_up(CABLE, "", "cable"))
    mac_a, mac_b = (interface.mac for interface in net.wiring.interfaces)
    there = frames.ipv4("192.168.1.1", "10.9.9.2", 1, frames.echo(True, 1, 1))
    net.send(0, frames.eth(mac_b, mac_a, 0x0800, there))
    net.run()
    trip = net.story(names={"10.9.9.2": "b", "10.9.9.3": "nobody", "192.168.1.1": "b"}).trips[0]
    assert (trip.sender, trip.path, trip.ended) == ("a", ("a", "b"), "")
    assert "is no router" in net.story().trips[0].ended


# --- step 1: ARP ----------------------------------------------------------------------------


def test_arp_stands_with_the_packet_that_it_holds_up() -> None:
    story = switch_cold()
    question = first(story, "dns-question")
    asked = [trip for trip in story.trips if trip.kind == "arp-request"]
    assert step(story, "arp").trips == [1, 2]
    assert asked[0].causes == (question.number,)
    assert "before it could send #3, the DNS question" in asked[0].cause
    by_r1 = next(trip for trip in asked if trip.sender == "r1")
    assert by_r1.causes == (question.number,)
    assert by_r1.cause == (
        "r1 needed the MAC of 10.12.0.2 (r2) before it could pass on #3, the DNS question"
    )
    assert by_r1.number in step(story, "dns").trips
    assert all(trip.answered_by for trip in asked)
    assert "arp-later" in codes(story, "arp")


def test_the_comments_in_a_capture_count_hops_not_copies() -> None:
    comments = [text for text in _comments(switch_cold()).values() if text.startswith("#1 ")]
    places = [text.partition(", hop ")[2].partition(": ")[0] for text in comments if "hop" in text]
    assert places == ["1 of 2"] * 2 + ["2 of 2, one of 2 copies"] * 4


def test_no_arp_means_answered_from_cache() -> None:
    assert "ARP cache" in remark(switch_warm(), "arp-none")


def test_unicast_arp_is_a_check() -> None:
    net = Playground(wire_up(CABLE, "", "cable"))
    mac_a, mac_b = (interface.mac for interface in net.wiring.interfaces)
    ask = frames.arp(1, mac_a, "192.168.1.1", "00:00:00:00:00:00", "192.168.1.2")
    net.send(0, frames.eth(mac_b, mac_a, 0x0806, ask))
    net.run()
    trip = first(net.story(), "arp-request")
    assert trip.title.startswith("ARP check") and "checks that it still holds" in trip.cause


def test_a_request_in_anothers_name_is_no_check() -> None:
    lan = [(f"h{number}", f"10.0.0.{number}/24", "s1", "") for number in (1, 2, 3)]
    net = Playground(wire_up(lan, "hub"))
    h1, h2, h3 = (net.wiring.port(f"h{n}-eth0") for n in (1, 2, 3))
    macs = {port: net.wiring.interfaces[port].mac for port in (h1, h2, h3)}
    for port, target in ((h2, "10.0.0.3"), (h3, "10.0.0.1")):
        ask = frames.arp(1, macs[port], "10.0.0.2", "00:00:00:00:00:00", target)
        net.send(port, frames.eth(macs[h1], macs[port], 0x0806, ask))
        net.run()
    requests = [trip for trip in net.story().trips if trip.kind == "arp-request"]
    assert "still holds" in requests[0].cause
    cause = requests[1].cause
    assert "h3 gives as its own the address 10.0.0.2, which is one of h2" in cause
    assert "still holds" not in cause


def test_late_check_of_the_cache_stands_apart() -> None:
    net = web(warm=True)
    fetch(net)
    r1, client = net.wiring.port("r1-eth0"), net.wiring.port("client-eth0")
    assert r1 is not None and client is not None
    mac_r1, mac_client = (net.wiring.interfaces[port].mac for port in (r1, client))
    ask = frames.arp(1, mac_r1, "10.1.0.1", "00:00:00:00:00:00", CLIENT)
    net.send(r1, frames.eth(mac_client, mac_r1, 0x0806, ask))
    net.run()
    story = net.story(URL)
    assert [story.trip(number).kind for number in step(story, "other").trips] == [
        "arp-request",
        "arp-reply",
    ]
    assert "No ARP request to all" in remark(story, "arp-checks")


def test_a_host_that_stays_dead_is_asked_for_again() -> None:
    """What was given up is not what the next ARP request is for."""
    net = web(warm=True)
    for sport in (40000, 40001):
        Talk(net, CLIENT, DEAD, sport).say("c", SYN)
    assert "5 ARP requests asked once more" in remark(net.story(URL), "arp-later-again")
    assert "1 ARP request followed, where a node first" in remark(net.story(URL), "arp-later")
    asked = [trip for trip in net.story(URL).trips if trip.kind == "arp-request"]
    assert [trip.causes[0] for trip in asked] == [1, 1, 1, 6, 6, 6]


# --- step 2: DNS ----------------------------------------------------------------------------


def test_recursion_is_told_question_by_question() -> None:
    story = switch_cold()
    rows = [(row.textbook, row.real.split(": ")[1]) for row in step(story, "dns").mapping]
    assert rows == [
        ("client asks resolver", WWW),
        ("resolver asks root", "ask ns.com (10.53.0.3) about com"),
        ("resolver asks com", "ask ns.itheima.com (10.53.0.4) about itheima.com"),
        ("resolver asks ns", WWW),
    ]
    assert "it asked root, then com, then ns" in remark(story, "dns-recursion")
    inner = [trip for trip in story.trips if trip.kind == "dns-question"][1]
    assert inner.cause == "resolver asks because of #3"


def test_cache_and_aaaa_are_remarked() -> None:
    story = switch_warm()
    assert "without asking anybody" in remark(story, "dns-cached")
    assert "no AAAA record" in remark(story, "dns-aaaa")


def test_repeated_question_is_one_lookup() -> None:
    net = web(warm=True)
    for _ in range(2):
        net.udp(CLIENT, 33000, RESOLVER, 53, frames.dns(7, NAME))
    story = net.story(URL)
    assert [row.trips for row in step(story, "dns").mapping] == [(1, 2)]
    assert "2 times" in remark(story, "dns-silent")
    assert story.outcome.code == "dns-silent" and story.outcome.where == "resolver"


def test_question_lost_on_the_way() -> None:
    net = web(warm=True)
    net.drop = lambda interface, packet: interface == "r2-eth1"
    net.udp(CLIENT, 33000, RESOLVER, 53, frames.dns(7, NAME))
    outcome = net.story(URL).outcome
    assert outcome.code == "dns-lost" and "r2 sent it out of r2-eth1" in " ".join(outcome.why)


def test_resolver_that_gets_no_answer_itself() -> None:
    net = web(warm=True)
    net.udp(CLIENT, 33000, RESOLVER, 53, frames.dns(7, NAME))
    net.udp(RESOLVER, 34001, "10.53.0.2", 53, frames.dns(100, NAME))
    outcome = net.story(URL).outcome
    assert outcome.where == "root"
    assert "resolver asked root on behalf of client" in outcome.sentence
    failed = frames.dns(7, NAME, answer=True, rcode=2)
    net.udp(RESOLVER, 53, CLIENT, 33000, failed)
    outcome = net.story(URL).outcome
    assert outcome.code == "dns-failed" and "SERVFAIL" in outcome.sentence
    assert "resolver asked root and got no answer." in outcome.why
    story = net.story(URL)
    text = remark(story, "dns-recursion")
    assert "it asked root, but root did not answer it" in text and "passed" not in text
    assert "resolver asked root 1 time for A www" in remark(story, "dns-silent")
    assert untranslated(story) == set()


def test_name_without_address() -> None:
    net = web(warm=True)
    net.udp(CLIENT, 33000, RESOLVER, 53, frames.dns(7, NAME))
    net.udp(RESOLVER, 53, CLIENT, 33000, frames.dns(7, NAME, answer=True))
    assert net.story(URL).outcome.code == "no-address"


def test_url_with_an_address_needs_no_dns() -> None:
    net = web(warm=True)
    fetch(net)
    assert "holds the address" in remark(net.story(f"http://{WWW}/"), "dns-address")
    assert "without asking" in remark(net.story(URL), "dns-none")


def test_dns_over_tcp_stands_with_dns() -> None:
    net = web(warm=True)
    talk = Talk(net, CLIENT, RESOLVER, dport=53)
    talk.open()
    for speaker, message in (
        ("c", frames.dns(7, NAME)),
        ("s", frames.dns(7, NAME, answer=True, answers=[(NAME, "A", WWW)])),
    ):
        talk.say(speaker, PSH | ACK, len(message).to_bytes(2, "big") + message)
    talk.close_four()
    story = net.story(URL)
    assert len(step(story, "dns").trips) == len(story.trips)
    assert "dns-tcp" in codes(story, "dns")
    assert step(story, "dns").mapping[0].real.endswith(WWW)


# --- steps 3 to 5: TCP and HTTP -------------------------------------------------------------


def test_handshake_and_http_map_to_the_textbook() -> None:
    story = switch_cold()
    kinds = [story.trip(each.trips[0]).kind for each in step(story, "handshake").mapping]
    assert kinds == ["tcp-syn", "tcp-syn-ack", "tcp-ack"]
    rows = step(story, "http").mapping
    assert [story.trip(row.trips[0]).kind for row in rows] == ["http-request", "http-response"]
    assert rows[1].real == f"200 OK, {len(PAGE)} bytes of content"
    assert "pure-acks" in codes(story, "http")


def test_ack_that_rides_on_data() -> None:
    net = web(warm=True)
    talk = Talk(net, CLIENT, WWW)
    talk.say("c", SYN)
    talk.say("s", SYN | ACK)
    talk.say("c", PSH | ACK, GET)
    story = net.story(URL)
    assert codes(story, "handshake") == ["ack-on-data"]
    assert step(story, "handshake").mapping[2].real.endswith("riding on data")


def test_syn_sent_again() -> None:
    net = web(warm=True)
    net.drop = lambda interface, packet: interface == "s3-eth2"
    talk = Talk(net, CLIENT, WWW)
    talk.say("c", SYN)
    net.drop = lambda interface, packet: False
    talk.say("c", SYN, again=True)
    talk.say("s", SYN | ACK)
    talk.say("c", ACK)
    story = net.story(URL)
    assert codes(story, "handshake") == ["syn-again"]
    assert story.trips[1].notes == ("retransmission: the same bytes as #1, sent again",)


def test_retransmission_names_the_lost_first_sending() -> None:
    net = web(warm=True)
    talk = Talk(net, CLIENT, WWW)
    talk.open()
    net.drop = lambda interface, packet: interface == "r1-eth1"
    talk.say("c", PSH | ACK, GET)
    net.drop = lambda interface, packet: False
    talk.say("c", PSH | ACK, GET, again=True)
    talk.say("s", PSH | ACK, response(PAGE))
    story = net.story(URL)
    assert "The first sending was lost (#4)" in remark(story, "retransmission")
    assert story.outcome.code == "fetched" and story.outcome.bytes == len(PAGE)


def test_four_frame_close() -> None:
    story = switch_cold()
    assert codes(story, "close") == ["close-four"]
    rows = step(story, "close").mapping
    assert [row.textbook for row in rows] == ["FIN", "ACK", "FIN", "ACK"]
    assert len({each.trips for each in rows}) == 4


def test_three_frame_close() -> None:
    story = close_merged()
    assert codes(story, "close") == ["close-merged"]
    rows = step(story, "close").mapping
    assert rows[1].trips == rows[2].trips and "same frame" in rows[1].real


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("riding", ["fin-on-data", "close-four"]),
        ("riding-merged", ["fin-on-data", "close-merged"]),
        ("reset", ["close-reset"]),
        ("open", ["close-open"]),
    ],
)
def test_other_closes(how: str, expected: list[str]) -> None:
    net = web(warm=True)
    fetch(net, close=how)
    story = net.story(URL)
    assert codes(story, "close") == expected
    assert story.outcome.code == "fetched"


def test_half_close_and_reset_after_fin() -> None:
    net = web(warm=True)
    talk = fetch(net, close="open")
    talk.say("s", FIN | ACK)
    talk.say("c", ACK)
    assert codes(net.story(URL), "close") == ["close-half"]
    talk.say("c", RST | ACK)
    assert codes(net.story(URL), "close") == ["close-reset"]


def test_fin_on_data_stands_with_http_and_is_mapped_in_the_close() -> None:
    story = switch_warm()
    response_trip = only(story, "http-response")
    assert response_trip.title.endswith("+ FIN")
    assert response_trip.number in step(story, "http").trips
    assert step(story, "close").mapping[0].trips == (response_trip.number,)


def test_long_response_in_segments() -> None:
    story = close_merged()
    assert "7 frames" in remark(story, "http-segments")
    assert story.outcome.bytes == 9000


def test_two_requests_on_one_connection() -> None:
    net = web(warm=True)
    talk = Talk(net, CLIENT, WWW)
    talk.open()
    for _ in range(2):
        talk.say("c", PSH | ACK, GET)
        talk.say("s", PSH | ACK, response(PAGE))
    story = net.story(URL)
    assert "http-keep-alive" in codes(story, "http")
    assert [row.real for row in step(story, "http").mapping[1::2]] == [
        f"200 OK, {len(PAGE)} bytes of content"
    ] * 2


def test_two_connections_open_the_headings_again() -> None:
    net = web(warm=True)
    for sport in (40000, 40001):
        talk = Talk(net, CLIENT, WWW, sport)
        talk.open()
        talk.say("c", PSH | ACK, GET)
        talk.say("s", PSH | ACK, response(PAGE))
        talk.close_four()
    keys = [step.key for step in net.story(URL).steps]
    assert keys == ["arp", "dns", *["handshake", "http", "close"] * 2]


def test_connection_that_was_open_before() -> None:
    net = web(warm=True)
    talk = Talk(net, CLIENT, WWW)
    talk.say("c", PSH | ACK, GET)
    talk.say("s", PSH | ACK, response(PAGE))
    story = net.story(URL)
    assert story.outcome.code == "fetched"
    assert not step(story, "handshake").trips


def test_keep_alive_probe_is_no_retransmission() -> None:
    net = web(warm=True)
    talk = fetch(net, close="open")
    probe = frames.tcp(40000, 80, talk.seq["c"] - 1, talk.seq["s"], ACK)
    net.ip(CLIENT, WWW, 6, probe)
    assert net.story(URL).trips[-1].kind == "tcp-keepalive"


# --- endings --------------------------------------------------------------------------------


def test_success_in_numbers() -> None:
    outcome = switch_cold().outcome
    assert (outcome.ok, outcome.status, outcome.bytes) == (True, 200, len(PAGE))
    assert outcome.ms is not None and 0 < outcome.ms < 100


def test_nxdomain() -> None:
    outcome = nxdomain().outcome
    assert (outcome.ok, outcome.code, outcome.where) == (False, "nxdomain", "resolver")
    assert "ns is the one who knew (#19)." in outcome.why
    assert outcome.why[-1] == "The client program said: cannot resolve www.nosuch.com"


def test_refused() -> None:
    story = refused()
    assert (story.outcome.code, story.outcome.where) == ("refused", "idle")
    assert codes(story, "handshake") == ["syn-refused"]
    assert codes(story, "http") == ["http-none"]


def test_dead_host() -> None:
    story = dead_host()
    asked = [trip for trip in story.trips if trip.kind == "arp-request"]
    assert len(asked) == 3 and all(trip.path + trip.fan for trip in asked)
    assert asked[0].path == ("r2", "s3") and set(asked[0].fan) == {"www", "idle"}
    assert (story.outcome.code, story.outcome.where) == ("arp-silent", "r2")
    assert f"r2 asked 3 times for the MAC of {DEAD}" in story.outcome.sentence
    assert any("host unreachable" in line for line in story.outcome.why)
    error = only(story, "icmp-unreachable")
    assert error.cause == "r2 reports what became of #3, the SYN"
    assert error.number in step(story, "handshake").trips


def test_no_frame_left() -> None:
    story = no_route()
    assert (story.outcome.code, story.outcome.where) == ("no-frame", "client")
    assert story.trips == [] and "network is unreachable" in story.outcome.why[-1]


def test_dead_gateway() -> None:
    net = Playground(wire_up(WEB), {"client": "10.1.0.99"})
    net.udp(CLIENT, 33000, RESOLVER, 53, frames.dns(7, NAME))
    outcome = net.story(URL).outcome
    assert (outcome.code, outcome.where) == ("arp-silent", "client")
    assert "asked 3 times for the MAC of 10.1.0.99" in outcome.sentence


def test_no_route_after_the_name() -> None:
    net = web(warm=True)
    resolve_cached(net)
    assert net.story(URL).outcome.code == "no-syn"


def test_syn_never_answered_by_a_host_that_got_it() -> None:
    net = web(warm=True)
    resolve_cached(net)
    Talk(net, CLIENT, WWW).say("c", SYN)
    outcome = net.story(URL).outcome
    assert (outcome.code, outcome.where) == ("syn-silent", "www")


def test_request_never_answered() -> None:
    net = web(warm=True)
    talk = Talk(net, CLIENT, WWW)
    talk.open()
    talk.say("c", PSH | ACK, GET)
    assert net.story(URL).outcome.code == "request-silent"
    talk.say("s", RST | ACK)
    assert net.story(URL).outcome.code == "reset"


def test_opened_and_no_request() -> None:
    net = web(warm=True)
    Talk(net, CLIENT, WWW).open()
    assert net.story(URL).outcome.code == "no-request"


def test_http_error_status_and_cut_response() -> None:
    net = web(warm=True)
    fetch(net, status="404 Not Found")
    outcome = net.story(URL).outcome
    assert (outcome.ok, outcome.code, outcome.status) == (False, "http-error", 404)
    net = web(warm=True)
    talk = Talk(net, CLIENT, WWW)
    talk.open()
    talk.say("c", PSH | ACK, GET)
    talk.say("s", PSH | ACK | FIN, response(PAGE)[:-10])
    outcome = net.story(URL).outcome
    assert (outcome.ok, outcome.code) == (False, "cut-short")


def test_the_page_counts_not_what_was_fetched_after_it() -> None:
    net = web(warm=True)
    talk = Talk(net, CLIENT, WWW)
    talk.open()
    talk.say("c", PSH | ACK, GET)
    talk.say("s", PSH | ACK, response(PAGE))
    talk.say("c", PSH | ACK, GET.replace(b"GET /", b"GET /favicon.ico"))
    talk.say("s", PSH | ACK, response(b"no", "404 Not Found"))
    outcome = net.story(URL).outcome
    assert (outcome.ok, outcome.status, outcome.bytes) == (True, 200, len(PAGE))


def test_absent_aaaa_does_not_hide_the_address() -> None:
    net = web(warm=True)
    for ident, kind, rcode in ((7, "A", 0), (8, "AAAA", 3)):
        addresses = [(NAME, "A", WWW)] if kind == "A" else []
        net.udp(CLIENT, 33000, RESOLVER, 53, frames.dns(ident, NAME, kind))
        answer = frames.dns(ident, NAME, kind, answer=True, answers=addresses, rcode=rcode)
        net.udp(RESOLVER, 53, CLIENT, 33000, answer)
    assert net.story(URL).outcome.code == "no-syn"


# --- traffic that is no fetch ---------------------------------------------------------------


def test_ping_on_a_cable() -> None:
    story = ping_cable()
    assert [step.key for step in story.steps] == ["arp", "ping"]
    assert story.outcome.code == "answered" and "2 answered" in story.outcome.sentence


def test_ping_that_no_frame_left() -> None:
    net = Playground(wire_up(CABLE, "", "cable"))
    story = net.story(host="a", command="ping 10.0.0.1", said="Network is unreachable")
    assert (story.outcome.ok, story.outcome.code) == (False, "no-frame")
    story = net.story(host="a", command="ping 192.168.1.1")  # its own address
    assert (story.outcome.ok, story.outcome.code) == (True, "no-frame")
    assert untranslated(story) == set()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "client", CLIENT, "[::1]"])
def test_a_fetch_from_oneself_crosses_no_wire(host: str) -> None:
    story = web().story(f"http://{host}/", said="connection refused")
    assert (story.outcome.ok, story.outcome.code) == (False, "no-frame")
    assert "crosses no wire" in story.outcome.why[0]
    assert untranslated(story) <= {"connection refused"}


def test_a_page_from_port_53_is_no_dns() -> None:
    net = web(warm=True)
    talk = Talk(net, CLIENT, WWW, dport=53)
    talk.open()
    talk.say("c", PSH | ACK, GET)
    talk.say("s", PSH | ACK, response(PAGE))
    talk.close_four()
    story = net.story(f"http://{WWW}:53/")
    assert story.outcome.code == "fetched" and step(story, "handshake").trips
    net = web(warm=True)
    talk = Talk(net, CLIENT, WWW, dport=53)
    talk.say("c", SYN)
    talk.say("s", RST | ACK)
    assert net.story(f"http://{WWW}:53/").outcome.code == "refused"


def test_ttl_that_ran_out() -> None:
    story = ping_ttl()
    assert (story.outcome.code, story.outcome.where) == ("time-exceeded", "r2")
    assert "TTL 1" in story.trips[0].ended


def test_udp_and_port_unreachable() -> None:
    net = web(warm=True)
    net.udp(CLIENT, 5000, WWW, 9999, b"hello")
    sent = frames.ipv4(CLIENT, WWW, 17, frames.udp(5000, 9999, b"hello"), 62, 100)
    net.ip(WWW, CLIENT, 1, frames.icmp(3, 3, 0, sent[:28]))
    story = net.story(host="client", command="nc -u 10.80.0.80 9999")
    assert [step.key for step in story.steps] == ["udp"]
    assert story.trips[1].cause == "www reports what became of #1, the UDP datagram"


def test_plain_tcp_is_told_without_http() -> None:
    net = web(warm=True)
    talk = Talk(net, CLIENT, WWW, dport=5001)
    talk.open()
    talk.say("c", PSH | ACK, b"hello")
    talk.say("s", ACK)
    talk.close_four()
    story = net.story(host="client", command="nc 10.80.0.80 5001")
    assert [step.key for step in story.steps] == ["handshake", "tcp", "close"]
    assert story.outcome.ok


def test_commands_that_fetch_or_look_up() -> None:
    net = web(warm=True)
    resolve_cached(net)
    story = net.story(host="client", command=f"dig {NAME}")
    assert (story.outcome.ok, story.outcome.code) == (True, "resolved")
    fetch(net)
    story = net.story(host="client", command=f"curl {URL}")
    assert story.outcome.code == "fetched"
    assert [step.key for step in story.steps] == ["dns", "handshake", "http", "close"]
    assert not any(step.number for step in story.steps)


def test_refused_without_url() -> None:
    net = web(warm=True)
    talk = Talk(net, CLIENT, IDLE, dport=5001)
    talk.say("c", SYN)
    talk.say("s", RST | ACK)
    assert net.story(host="client").outcome.code == "refused"


def _ipv6(src: str, dst: str, hop_limit: int, payload: bytes) -> bytes:
    import socket
    import struct

    pack = socket.inet_pton
    head = struct.pack("!IHBB", 6 << 28, len(payload), 58, hop_limit)
    return head + pack(socket.AF_INET6, src) + pack(socket.AF_INET6, dst) + payload


def test_ipv6_neighbour_discovery_and_ping() -> None:
    import socket

    wiring = wire_up([("a", "fd00::1/64", "b", "fd00::2/64")], "", "cable")
    net = Playground(wiring)
    mac_a, mac_b = (interface.mac for interface in wiring.interfaces)
    b = socket.inet_pton(socket.AF_INET6, "fd00::2")
    ask = frames.icmp(135, 0, 0, b + b"\x01\x01" + frames.mac(mac_a))
    tell_ = frames.icmp(136, 0, 0x60000000, b + b"\x02\x01" + frames.mac(mac_b))
    for port, dst, src, packet in (
        (0, "33:33:ff:00:00:02", mac_a, _ipv6("fd00::1", "ff02::1:ff00:2", 255, ask)),
        (1, mac_a, mac_b, _ipv6("fd00::2", "fd00::1", 255, tell_)),
        (0, mac_b, mac_a, _ipv6("fd00::1", "fd00::2", 64, frames.icmp(128, 0, 1 << 16 | 1))),
        (1, mac_a, mac_b, _ipv6("fd00::2", "fd00::1", 64, frames.icmp(129, 0, 1 << 16 | 1))),
    ):
        net.send(port, frames.eth(dst, src, 0x86DD, packet))
        net.run()
        net.now_ns += 100_000
    story = net.story(host="a", command="ping fd00::2")
    assert [step.key for step in story.steps] == ["nd", "ping"]
    assert story.trips[0].target == "b" and story.trips[0].answered_by == 2
    assert "before it could send #3" in story.trips[0].cause
    assert story.outcome.code == "answered"


# --- small parts ----------------------------------------------------------------------------


def test_clean() -> None:
    assert clean("a\x1b[31mb\n") == "a?[31mb?"
    assert len(clean("x" * 500, 20)) == 20


def test_dns_results() -> None:
    def result(**kwargs: object) -> str:
        message = frames.dns(1, NAME, answer=True, **kwargs)  # type: ignore[arg-type]
        parsed = wire_dns.parse(message)
        assert parsed is not None
        return dns_result(parsed)

    assert result(rcode=5) == "REFUSED"
    alias = [(NAME, "CNAME", "web.itheima.com"), ("web.itheima.com", "A", WWW)]
    assert result(answers=alias) == f"alias of web.itheima.com, {WWW}"


def test_escape_codes_from_the_wire_never_reach_the_terminal() -> None:
    net = web(warm=True)
    talk = Talk(net, CLIENT, WWW)
    talk.open()
    talk.say("c", PSH | ACK, b"GET /\x1b[2Jevil HTTP/1.1\r\nHost: \x9b31m\r\n\r\n")
    talk.say("s", PSH | ACK, b"HTTP/1.1 200 \x1b]0;x\x07\r\nContent-Type: \x1b[1m\r\n\r\n")
    text = render(net.story(URL), detail="full")
    assert "\x1b" not in text and "\x9b" not in text and "\x07" not in text


# --- odd traffic must never raise -----------------------------------------------------------

MACS = [one.mac for one in wire_up(WEB).interfaces] + [frames.BROADCAST, "33:33:00:00:00:01"]
IPS = [CLIENT, WWW, RESOLVER, DEAD, "10.1.0.1", "10.12.0.2", "224.0.0.1", "255.255.255.255"]
PORTS = st.sampled_from([53, 80, 40000, 33000, 5353])
SMALL = st.binary(max_size=40)
DNS = st.builds(
    frames.dns,
    st.integers(0, 3),
    st.sampled_from([NAME, "com", "x.com"]),
    st.sampled_from(["A", "AAAA"]),
    answer=st.booleans(),
    rcode=st.integers(0, 5),
)
HTTP = st.sampled_from([GET, response(PAGE), b"HTTP/1.1 500 \r\n\r\n"])
DATA = st.one_of(SMALL, HTTP, DNS)
SEQ = st.sampled_from([0, 1, 5, 6, 100, 0xFFFFFFFF, 0x80000000])
LAYER4 = st.one_of(
    st.tuples(st.just(17), st.builds(frames.udp, PORTS, PORTS, DATA)),
    st.tuples(st.just(6), st.builds(frames.tcp, PORTS, PORTS, SEQ, SEQ, st.integers(0, 31), DATA)),
    st.tuples(
        st.just(1),
        st.builds(
            frames.icmp,
            st.sampled_from([0, 3, 5, 8, 11, 12]),
            st.integers(0, 5),
            st.integers(0, 2),
            SMALL,
        ),
    ),
    st.tuples(st.integers(0, 255), SMALL),
)
IP = st.builds(
    lambda src, dst, upper, ttl, ident: frames.ipv4(src, dst, upper[0], upper[1], ttl, ident),
    st.sampled_from(IPS),
    st.sampled_from(IPS),
    LAYER4,
    st.integers(0, 3),
    st.integers(0, 2),
)
ARP = st.builds(
    frames.arp,
    st.integers(0, 3),
    st.sampled_from(MACS),
    st.sampled_from(IPS),
    st.sampled_from(MACS),
    st.sampled_from(IPS),
)
FRAME = st.one_of(
    st.builds(frames.eth, st.sampled_from(MACS), st.sampled_from(MACS), st.just(0x0800), IP),
    st.builds(frames.eth, st.sampled_from(MACS), st.sampled_from(MACS), st.just(0x0806), ARP),
    st.builds(
        frames.eth,
        st.sampled_from(MACS),
        st.sampled_from(MACS),
        st.sampled_from([0x86DD, 0x88CC, 0x8100, 0x0800, 38]),
        st.binary(max_size=80),
    ),
    st.binary(max_size=80),
)
SEEN = st.lists(
    st.tuples(
        st.integers(0, 3_000_000),
        st.integers(0, 2 * len(WEB) - 1),
        st.sampled_from(list(Reception)),
        FRAME,
    ),
    max_size=25,
)


def _told(seen: list[tuple[int, int, Reception, bytes]], url: str) -> Story:
    wiring = wire_up(WEB)
    now = START_NS
    observations = []
    for number, (gap, port, reception, data) in enumerate(seen, 1):
        now += gap
        observations.append(Observation(number, now, port, reception, data, len(data)))
    request = Request(url, "client") if url else None
    return tell(wiring, follow(wiring, observations), request=request, host="client")


@settings(max_examples=200, deadline=None)
@given(SEEN, st.sampled_from(["", URL]), st.sampled_from(DETAILS), st.integers(40, 130))
def test_random_frames_never_raise(
    seen: list[tuple[int, int, Reception, bytes]], url: str, detail: str, width: int
) -> None:
    story = _told(seen, url)
    text = render(story, detail=detail, width=width, color=False)
    assert "\x1b" not in text
    assert render(story, detail=detail, width=width, ascii=True).isascii()
    json.dumps(to_dict(story))
    numbers = sorted(number for step in story.steps for number in step.trips)
    assert numbers == [trip.number for trip in story.trips]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 10_000), max_size=12), st.sampled_from(["", URL]))
def test_a_fetch_with_holes_never_raises(holes: list[int], url: str) -> None:
    """Any observations of a whole fetch may be missing: a story comes out all the same."""
    net = web("hub")
    resolve_cached(net)
    fetch(net)
    whole = net.observations()
    gone = {hole % len(whole) for hole in holes}
    left = [observed for place, observed in enumerate(whole) if place not in gone]
    request = Request(url, "client") if url else None
    story = tell(net.wiring, follow(net.wiring, left), request=request)
    render(story, detail="full")
    json.dumps(to_dict(story))
