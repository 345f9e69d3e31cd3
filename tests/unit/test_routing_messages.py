# SPDX-License-Identifier: Apache-2.0
"""What routers tell each other is told as such: OSPF and RIP, whole, cut short and broken."""

from __future__ import annotations

import struct

import pytest

from hoplab.decode import routing_protocols as wire
from hoplab.decode.packet import Packet, decode
from hoplab.story.steps import HEADINGS, LESSONS, STEPS_OF_KINDS
from hoplab.story.titles import describe
from tests.unit import frames

R1, R2, R3 = "1.1.1.1", "2.2.2.2", "3.3.3.3"


def ospf(kind: int, body: bytes, router: str = R1) -> Packet:
    head = struct.pack("!BBH4s4sHH8x", 2, kind, 24 + len(body), frames.ip(router), bytes(4), 0, 0)
    packet = frames.ipv4("10.0.1.1", "224.0.0.5", 89, head + body, ttl=1)
    return decode(frames.eth("01:00:5e:00:00:05", "02:00:00:00:00:01", 0x0800, packet))


def hello(*neighbours: str) -> bytes:
    mask = frames.ip("255.255.255.252")
    body = struct.pack("!4sHBBI4s4s", mask, 10, 2, 1, 40, bytes(4), bytes(4))
    return body + b"".join(map(frames.ip, neighbours))


def lsa(router: str, links: bytes = b"", age: int = 1, kind: int = 1) -> bytes:
    body = struct.pack("!HH", 0, len(links) // 12) + links if links else b""
    head = struct.pack("!HBB4s4sIHH", age, 2, kind, frames.ip(router), frames.ip(router),
                       0x80000001, 0, 20 + len(body))  # fmt: skip
    return head + body


def link(kind: int, name: str, data: str) -> bytes:
    return struct.pack("!4s4sBBH", frames.ip(name), frames.ip(data), kind, 0, 10)


WHOLE = lsa(R1, link(1, R2, "10.0.1.1") + link(3, "10.1.0.0", "255.255.255.0"))


def update(*lsas: bytes) -> bytes:
    return struct.pack("!I", len(lsas)) + b"".join(lsas)


def rip(command: int, *routes: tuple[str, str, int]) -> Packet:
    body = bytes((command, 2, 0, 0)) + b"".join(
        struct.pack("!HH4s4s4sI", 2 if net else 0, 0, frames.ip(net or "0.0.0.0"),
                    frames.ip(mask), bytes(4), metric)
        for net, mask, metric in routes
    )  # fmt: skip
    packet = frames.ipv4("10.0.1.1", "224.0.0.9", 17, frames.udp(520, 520, body), ttl=1)
    return decode(frames.eth("01:00:5e:00:00:09", "02:00:00:00:00:01", 0x0800, packet))


@pytest.mark.parametrize(
    ("packet", "kind", "title"),
    [
        (ospf(1, hello()), "ospf-hello",
         "OSPF Hello from router 1.1.1.1, which hears nobody yet"),
        (ospf(1, hello(R2, R3)), "ospf-hello",
         "OSPF Hello from router 1.1.1.1, which hears 2.2.2.2, 3.3.3.3"),
        (ospf(2, bytes(8) + lsa(R1) + lsa(R2)), "ospf-description",
         "OSPF Database Description: router 1.1.1.1 has 2 LSAs"),
        (ospf(3, bytes(12)), "ospf-request",
         "OSPF Link State Request: router 1.1.1.1 asks for 1 LSA"),
        (ospf(4, update(WHOLE)), "ospf-update",
         "OSPF Link State Update: router 1.1.1.1 is joined to the routers 2.2.2.2, and has "
         "10.1.0.0/24"),
        (ospf(4, update(WHOLE, lsa(R2))), "ospf-update",
         "OSPF Link State Update: 2 LSAs, of the routers 1.1.1.1, 2.2.2.2"),
        (ospf(4, update(lsa(R3, age=3600))), "ospf-update",
         "OSPF Link State Update: an LSA of router 3.3.3.3 is taken back"),
        (ospf(5, lsa(R2)), "ospf-ack",
         "OSPF Link State Acknowledgment: router 1.1.1.1 has got 1 LSA"),
        (rip(1, ("", "0.0.0.0", 16)), "rip-request", "RIP Request: which routes do you know?"),
        (rip(2, ("10.2.0.0", "255.255.255.0", 1), ("10.3.0.0", "255.255.255.0", 16)),
         "rip-response", "RIP Response: 10.2.0.0/24 at 1, no way to 10.3.0.0/24"),
    ],
)  # fmt: skip
def test_a_message_is_told_as_what_it_is(packet: Packet, kind: str, title: str) -> None:
    assert tuple(map(str, describe(packet))) == (kind, title)
    assert STEPS_OF_KINDS[kind] == "routing" and HEADINGS["routing"] and LESSONS["routing"]


@pytest.mark.parametrize("packet", [ospf(4, update(WHOLE)), ospf(1, hello(R2)), ospf(2, bytes(40))])
def test_nothing_raises_wherever_it_is_cut(packet: Packet) -> None:
    for length in range(len(packet.payload)):
        cut = packet._replace(payload=packet.payload[:length])
        message = wire.read_ospf(cut)
        assert message is None or message.router == R1
        describe(cut)
    for length in range(44):
        whole = rip(2, ("10.2.0.0", "255.255.255.0", 1), ("10.3.0.0", "255.255.255.0", 2))
        described = describe(whole._replace(payload=whole.payload[:length]))
        assert described[0] in ("rip-response", "udp")


def test_an_lsa_of_no_length_ends_the_list() -> None:
    broken = WHOLE[:18] + b"\0\0" + WHOLE[20:]
    message = wire.read_ospf(ospf(4, update(WHOLE, broken, WHOLE)))
    assert message is not None and len(message.lsas) == 1


def test_other_versions_and_fragments_are_no_messages() -> None:
    packet = ospf(1, hello())
    assert wire.read_ospf(packet._replace(payload=b"\3" + packet.payload[1:])) is None
    assert wire.read_ospf(packet._replace(payload=b"\2\11" + packet.payload[2:])) is None
