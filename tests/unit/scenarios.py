# SPDX-License-Identifier: Apache-2.0
"""Small histories in the toy network, each a function that gives a story.

`SCENARIOS` lists those that have a golden pair in tests/golden.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hoplab.story.records import Story
from hoplab.story.trip_records import Trip
from tests.unit import frames
from tests.unit.frames import ACK, FIN, PSH, RST, SYN
from tests.unit.playground import CABLE, WEB, WEB_ROUTES, Playground, Talk, wire_up

CLIENT, RESOLVER, WWW, IDLE, DEAD = (
    "10.1.0.10",
    "10.53.0.53",
    "10.80.0.80",
    "10.80.0.81",
    "10.80.0.99",
)
NAME = "www.itheima.com"
URL = f"http://{NAME}/"
GET = f"GET / HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n".encode()
PAGE = b"<!doctype html><title>hoplab</title><p>It works.</p>\n"


def on_its_way(trip: Trip, **values: Any) -> Trip:
    """The packet, with another number, say, or another end of its way."""
    return trip._replace(way=trip.way._replace(**values))


def response(body: bytes, status: str = "200 OK") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def web(controller: str = "learning_switch", warm: bool = False) -> Playground:
    net = Playground(wire_up(WEB, controller), WEB_ROUTES)
    if warm:
        net.warm()
    return net


def resolve(net: Playground, address: str = WWW, name: str = NAME, exists: bool = True) -> None:
    """The whole recursion: client, resolver, root, com, ns, and back."""
    net.udp(CLIENT, 33000, RESOLVER, 53, frames.dns(7, name))
    chain = [
        ("10.53.0.2", [("com", "NS", "ns.com")], [("ns.com", "A", "10.53.0.3")]),
        (
            "10.53.0.3",
            [("itheima.com", "NS", "ns.itheima.com")],
            [("ns.itheima.com", "A", "10.53.0.4")],
        ),
    ]
    for place, (server, authority, additional) in enumerate(chain):
        port, ident = 34001 + place, 100 + place
        net.udp(RESOLVER, port, server, 53, frames.dns(ident, name))
        referral = frames.dns(ident, name, answer=True, authority=authority, additional=additional)
        net.udp(server, 53, RESOLVER, port, referral)
    answers = [(name, "A", address)] if exists else []
    soa = [] if exists else [("itheima.com", "SOA", "ns.itheima.com")]
    rcode = 0 if exists else 3
    net.udp(RESOLVER, 34009, "10.53.0.4", 53, frames.dns(109, name))
    last = frames.dns(
        109, name, answer=True, answers=answers, authority=soa, rcode=rcode, authoritative=True
    )
    net.udp("10.53.0.4", 53, RESOLVER, 34009, last)
    net.udp(
        RESOLVER, 53, CLIENT, 33000, frames.dns(7, name, answer=True, answers=answers, rcode=rcode)
    )


def resolve_cached(net: Playground, address: str = WWW, aaaa: bool = False) -> None:
    """The resolver knows."""
    net.udp(CLIENT, 33000, RESOLVER, 53, frames.dns(7, NAME))
    if aaaa:
        net.udp(CLIENT, 33000, RESOLVER, 53, frames.dns(8, NAME, "AAAA"))
    reply = frames.dns(7, NAME, answer=True, answers=[(NAME, "A", address)])
    net.udp(RESOLVER, 53, CLIENT, 33000, reply)
    if aaaa:
        net.udp(RESOLVER, 53, CLIENT, 33000, frames.dns(8, NAME, "AAAA", answer=True))


def fetch(net: Playground, close: str = "four", body: bytes = PAGE, status: str = "200 OK") -> Talk:
    talk = Talk(net, CLIENT, WWW)
    talk.open()
    talk.say("c", PSH | ACK, GET)
    talk.say("s", ACK)
    whole = response(body, status)
    parts = [whole[at : at + 1448] for at in range(0, len(whole), 1448)]
    for place, part in enumerate(parts):
        last = place == len(parts) - 1
        fin = FIN if last and close in ("riding", "riding-merged") else 0
        talk.say("s", PSH | ACK | fin, part)
        if not last:
            talk.say("c", ACK)
    if close == "four":
        talk.say("c", ACK)
        talk.close_four()
    elif close == "merged":
        talk.say("c", ACK)
        talk.say("s", FIN | ACK)
        talk.say("c", FIN | ACK)
        talk.say("s", ACK)
    elif close == "riding":
        talk.say("c", ACK)
        talk.say("c", FIN | ACK)
        talk.say("s", ACK)
    elif close == "riding-merged":
        talk.say("c", FIN | ACK)
        talk.say("s", ACK)
    elif close == "reset":
        talk.say("c", ACK | RST)
    return talk


def switch_cold() -> Story:
    net = web()
    resolve(net)
    fetch(net)
    return net.story(URL)


def hub_cold() -> Story:
    net = web("hub")
    resolve(net)
    fetch(net)
    return net.story(URL)


def switch_warm() -> Story:
    net = web(warm=True)
    resolve_cached(net, aaaa=True)
    fetch(net, close="riding")
    return net.story(URL)


def close_merged() -> Story:
    net = web(warm=True)
    resolve_cached(net)
    fetch(net, close="merged", body=b"x" * 9000)
    return net.story(URL)


def nxdomain() -> Story:
    net = web()
    resolve(net, name="www.nosuch.com", exists=False)
    return net.story("http://www.nosuch.com/", said="cannot resolve www.nosuch.com")


def refused() -> Story:
    net = web(warm=True)
    resolve_cached(net, IDLE)
    talk = Talk(net, CLIENT, IDLE)
    talk.say("c", SYN)
    talk.say("s", RST | ACK)
    return net.story(URL)


def dead_host() -> Story:
    net = web(warm=True)
    resolve_cached(net, DEAD)
    talk = Talk(net, CLIENT, DEAD)
    talk.say("c", SYN)
    return net.story(URL, said="no route to host")


def link_down() -> Story:
    net = web(warm=True)
    net.cache.pop(("r2", WWW))
    net.down.add("www-eth0")
    resolve_cached(net)
    Talk(net, CLIENT, WWW).say("c", SYN)
    return net.story(URL, said="no route to host")


def no_route() -> Story:
    net = web()
    return net.story(URL, said="network is unreachable")


def ping_cable() -> Story:
    net = Playground(wire_up(CABLE, "", "cable"))
    for seq in (1, 2):
        net.ip("192.168.1.1", "192.168.1.2", 1, frames.echo(True, 9, seq))
        net.ip("192.168.1.2", "192.168.1.1", 1, frames.echo(False, 9, seq))
    return net.story(host="a", command="ping -c 2 192.168.1.2")


def ping_ttl() -> Story:
    net = web(warm=True)
    net.ip(CLIENT, WWW, 1, frames.echo(True, 9, 1), ttl=2)
    return net.story(host="client", command="ping -c 1 -t 2 10.80.0.80")


SCENARIOS: dict[str, Callable[[], Story]] = {
    "web_switch_cold": switch_cold,
    "web_hub_cold": hub_cold,
    "web_switch_warm": switch_warm,
    "web_close_merged": close_merged,
    "web_nxdomain": nxdomain,
    "web_refused": refused,
    "web_dead_host": dead_host,
    "web_no_route": no_route,
    "web_link_down": link_down,
    "ping_cable": ping_cable,
    "ping_ttl": ping_ttl,
}
