# SPDX-License-Identifier: Apache-2.0
"""Answers that never came back, answers in somebody's name, and addresses that are elsewhere than
the wiring says."""

from __future__ import annotations

from functools import partial

from hoplab.decode.packet import Packet
from hoplab.story.records import Story
from tests.unit import frames
from tests.unit.frames import ACK, PSH, RST, SYN
from tests.unit.playground import CABLE, Playground, Talk, wire_up
from tests.unit.scenarios import (
    CLIENT,
    GET,
    IDLE,
    NAME,
    PAGE,
    RESOLVER,
    URL,
    WWW,
    fetch,
    resolve_cached,
    response,
    web,
)
from tests.unit.test_story import codes, first

LAN = [(name, f"10.0.0.{number}/24", "s1", "") for number, name in enumerate("abc", 1)]


def back_at_r2(packet: Packet) -> bool:
    """TCP on its way from www to the client."""
    return packet.tcp is not None and packet.src == WWW


def lost(story: Story, sentence: str) -> None:
    outcome = story.outcome
    assert (outcome.ok, outcome.code) == (False, "reply-lost"), outcome
    assert sentence in outcome.sentence
    assert outcome.why[0].startswith("The way there works: ")
    assert outcome.why[1].startswith("The way back does not: ")


def test_a_response_that_never_came() -> None:
    net = web(warm=True)
    resolve_cached(net)
    net.drop = lambda port, p: (
        port == "r2-eth0" and p.tcp is not None and p.tcp.payload_length > 0
    )
    talk = Talk(net, CLIENT, WWW)
    talk.open()
    talk.say("c", PSH | ACK, GET)
    talk.say("s", ACK)
    talk.say("s", PSH | ACK, response(PAGE))
    for _ in range(3):
        talk.say("s", PSH | ACK, response(PAGE), again=True)
    story = net.story(URL, said="timed out")
    lost(story, "www answered the HTTP request, but the response never came back.")
    assert "by #8, 4 times" in story.outcome.why[0]
    assert "The client program said: timed out" in story.outcome.why
    assert story.outcome.where == "r1"
    lost(net.story(host="client"), "www answered the HTTP request")


def test_a_response_whose_second_sending_came_is_one() -> None:
    net = web(warm=True)
    resolve_cached(net)
    talk = Talk(net, CLIENT, WWW)
    talk.open()
    talk.say("c", PSH | ACK, GET)
    net.drop = lambda port, p: port == "www-eth0" and back_at_r2(p)
    talk.say("s", PSH | ACK, response(PAGE))
    net.drop = lambda port, p: False
    talk.say("s", PSH | ACK, response(PAGE), again=True)
    assert net.story(URL).outcome.code == "fetched"


def test_what_the_client_could_not_use_is_no_success() -> None:
    net = web(warm=True)
    resolve_cached(net)
    fetch(net)
    outcome = net.story(URL, said="the disk is full").outcome
    assert not outcome.ok and "The client program said: the disk is full" in outcome.why


def test_a_syn_ack_that_never_came() -> None:
    net = web(warm=True)
    resolve_cached(net)
    net.drop = lambda port, p: port == "r2-eth0" and back_at_r2(p)
    talk = Talk(net, CLIENT, WWW)
    talk.say("c", SYN)
    talk.say("s", SYN | ACK)
    talk.say("c", SYN, again=True)
    talk.say("s", SYN | ACK, again=True)
    story = net.story(URL)
    lost(story, "The SYN of client to www was answered, but no SYN + ACK came back.")
    assert "syn-ack-lost" in codes(story, "handshake")
    assert "ack-missing" not in codes(story, "handshake")


def test_a_dns_answer_that_never_came() -> None:
    net = web(warm=True)
    net.drop = lambda port, p: port == "r2-eth0" and p.src == RESOLVER
    resolve_cached(net)
    lost(net.story(URL), f"The DNS question for {NAME} was answered, but no answer came back.")


def test_an_arp_reply_that_never_came() -> None:
    for url, host in ((URL, ""), ("", "client")):
        net = web()
        net.drop = lambda port, p: p.arp is not None and p.arp.op == 2
        net.udp(CLIENT, 33000, RESOLVER, 53, frames.dns(7, NAME))
        lost(net.story(url, host=host), "client asked 3 times for the MAC of 10.1.0.1")
    net = Playground(wire_up(CABLE))
    net.drop = lambda port, p: p.arp is not None and p.arp.op == 2
    net.ip("192.168.1.1", "192.168.1.2", 1, frames.echo(True, 1, 1))
    lost(net.story(host="a"), "no answer came back")


def test_a_router_that_refuses_in_the_name_of_a_server() -> None:
    net = web(warm=True)
    resolve_cached(net)
    net.drop = lambda port, p: port == "r1-eth1" and p.tcp is not None and p.tcp.syn
    talk = Talk(net, CLIENT, WWW)
    talk.say("c", SYN)
    segment = frames.tcp(80, 40000, 0, talk.seq["c"], RST | ACK)
    packet = frames.ipv4(WWW, CLIENT, 6, segment, 64, 99)
    net.at(100, lambda: net._route("r1", packet))
    net.run()
    outcome = net.story(URL).outcome
    assert outcome.sentence.startswith("r1 refused the connection in the name of www")
    assert (outcome.code, outcome.where) == ("refused", "r1")


def test_pings_to_several_targets_name_all_of_them() -> None:
    net = web(warm=True)
    for number, address in enumerate((RESOLVER, WWW, IDLE)):
        net.ip(CLIENT, address, 1, frames.echo(True, number, 1))
        net.ip(address, CLIENT, 1, frames.echo(False, number, 1))
    outcome = net.story(host="client").outcome
    assert outcome.sentence.startswith("3 echo requests to resolver, www, idle, 3 answered")


def test_a_redirect_is_no_death() -> None:
    """RFC 1122, 3.2.2.2: the packet went on its way."""
    net = web(warm=True)
    packet = frames.ipv4(CLIENT, RESOLVER, 1, frames.echo(True, 9, 1), 64, 500)
    net.at(100, lambda: net._route("client", packet))
    net.run()
    notice = frames.icmp(5, 1, 0x0A010063, packet[:28])
    redirect = frames.ipv4("10.1.0.1", CLIENT, 1, notice, 64, 501)
    net.at(100, lambda: net._route("r1", redirect))
    net.run()
    outcome = net.story(host="client").outcome
    assert (outcome.code, outcome.where) == ("ping-silent", "resolver")


def test_whether_an_address_is_free() -> None:
    """`arping -D` (RFC 5227): no answer is the good one."""
    net = Playground(wire_up(LAN))
    ports = net.wiring.ports("a")
    for asked, code, words in (
        ("10.0.0.9", "address-free", "nobody does."),
        ("10.0.0.2", "address-taken", "b has it."),
    ):
        net = Playground(wire_up(LAN))
        mac = net.wiring.interfaces[ports[0]].mac
        question = frames.arp(1, mac, "0.0.0.0", "00:00:00:00:00:00", asked)
        probe = frames.eth("ff:ff:ff:ff:ff:ff", mac, 0x806, question)
        net.at(100, partial(net.send, ports[0], probe))
        net.run()
        outcome = net.story(host="a").outcome
        assert (outcome.code, outcome.ok) == (code, code == "address-free"), outcome
        assert outcome.sentence.endswith(words)


def test_an_address_that_has_moved() -> None:
    """The wiring says that b has it; c answers."""
    net = Playground(wire_up(LAN))
    macs = {interface.node: interface.mac for interface in net.wiring.interfaces}
    net.cache["a", "10.0.0.2"], net.cache["c", "10.0.0.1"] = macs["c"], macs["a"]
    net.ip("10.0.0.1", "10.0.0.2", 1, frames.echo(True, 1, 1))
    reply = frames.ipv4("10.0.0.2", "10.0.0.1", 1, frames.echo(False, 1, 1), 64, 5)
    net.at(100, lambda: net._route("c", reply))
    net.run()
    story = net.story(host="a")
    assert story.outcome.sentence.startswith("1 echo request to c, 1 answered")
    assert first(story, "icmp-echo-request").delivered == ("c",)
