# SPDX-License-Identifier: Apache-2.0
"""DHCP: read byte by byte, beside tshark; and told, from Discover to ACK or as far as it came."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoplab.decode import dhcp as wire_dhcp
from hoplab.decode.packet import decode
from hoplab.report.fields import fields
from hoplab.story.records import Story
from hoplab.story.titles import describe
from tests.unit import frames
from tests.unit.playground import Playground, Spec, wire_up
from tests.unit.test_runs import untranslated
from tests.unit.tsharked import tshark

NET: Spec = [
    ("h1", "10.0.0.1/24", "s1", ""),
    ("h2", "10.0.0.2/24", "s1", ""),
    ("new", "", "s1", ""),
]
SERVER, OTHER, CLIENT = 0, 2, 4  # ports of the hosts
GIVEN = "10.0.0.50"
COMMAND = {"host": "new", "command": "udhcpc"}


def option(code: int, value: bytes) -> bytes:
    return bytes((code, len(value))) + value


LEASE = option(54, frames.ip("10.0.0.1")) + option(51, (600).to_bytes(4, "big"))
SETTINGS = option(1, frames.ip("255.255.255.0")) + option(3, frames.ip("10.0.0.1"))


def message(
    kind: int,
    mac: str,
    options: bytes = b"",
    *,
    yiaddr: str = "0.0.0.0",
    ciaddr: str = "0.0.0.0",
    giaddr: str = "0.0.0.0",
    xid: int = 0x1234,
    file: bytes = b"",
) -> bytes:
    """The payload of a DHCP message of this type."""
    op = 2 if kind in (2, 5, 6) else 1
    head = struct.pack("!BBBBIHH", op, 1, 6, 0, xid, 0, 0)
    head += frames.ip(ciaddr) + frames.ip(yiaddr) + bytes(4) + frames.ip(giaddr)
    head += frames.mac(mac).ljust(16, b"\0") + bytes(64) + file.ljust(128, b"\0")
    return head + b"\x63\x82\x53\x63" + option(53, bytes((kind,))) + options + b"\xff"


class Lan(Playground):
    """Three hosts at a switch; one of them has no address yet."""

    def __init__(self) -> None:
        super().__init__(wire_up(NET, topology="switch"))
        self.mac = self.wiring.interfaces[CLIENT].mac

    def ask(self, kind: int, options: bytes = b"", src: str = "0.0.0.0", **more: str) -> None:
        """The client says something to everybody, or from its address to the server."""
        to_all = src == "0.0.0.0"
        data = message(kind, self.mac, options, **more)  # type: ignore[arg-type]
        packet = frames.ipv4(
            src, "255.255.255.255" if to_all else "10.0.0.1", 17, frames.udp(68, 67, data)
        )
        dst = frames.BROADCAST if to_all else self.wiring.interfaces[SERVER].mac
        self.put(CLIENT, frames.eth(dst, self.mac, 0x0800, packet))

    def answer(
        self, kind: int, options: bytes = LEASE, *, to_all: bool = False, yiaddr: str = GIVEN,
        **more: str,
    ) -> None:  # fmt: skip
        """The server says something to the client's card, or to everybody."""
        data = message(kind, self.mac, options, yiaddr=yiaddr, **more)  # type: ignore[arg-type]
        dst = "255.255.255.255" if to_all else yiaddr
        packet = frames.ipv4("10.0.0.1", dst, 17, frames.udp(67, 68, data))
        card = frames.BROADCAST if to_all else self.mac
        self.put(SERVER, frames.eth(card, self.wiring.interfaces[SERVER].mac, 0x0800, packet))

    def put(self, port: int, frame: bytes) -> None:
        self.at(500, lambda: self.send(port, frame))
        self.run()


def told(lan: Lan, **command: str) -> Story:
    story = lan.story(**{**COMMAND, **command})
    assert untranslated(story) == set()
    return story


@pytest.mark.parametrize("to_all", [False, True])
def test_an_address_from_discover_to_ack(to_all: bool) -> None:
    lan = Lan()
    lan.ask(1)
    lan.answer(2, to_all=to_all)
    lan.ask(3, option(50, frames.ip(GIVEN)) + option(54, frames.ip("10.0.0.1")))
    lan.answer(5, LEASE + SETTINGS, to_all=to_all)
    story = told(lan)
    assert story.outcome.ok and story.outcome.code == "dhcp-got"
    assert story.outcome.sentence == "new got 10.0.0.50 from 10.0.0.1 for 600 s."
    settings = "With the address came: netmask 255.255.255.0, default gateway 10.0.0.1."
    assert story.outcome.why == [settings]
    assert [trip.title for trip in story.trips] == [
        f"DHCP Discover: who has an address for {lan.mac}?",
        f"DHCP Offer: 10.0.0.50 for {lan.mac} from 10.0.0.1, for 600 s",
        f"DHCP Request: {lan.mac} takes 10.0.0.50 from 10.0.0.1",
        f"DHCP ACK: 10.0.0.50 is {lan.mac}'s, for 600 s",
    ]
    (step,) = story.steps
    assert step.key == "dhcp" and step.trips == [1, 2, 3, 4]
    assert [line.textbook for line in step.mapping] == ["Discover", "Offer", "Request", "ACK"]
    assert [line.trips for line in step.mapping] == [(1,), (2,), (3,), (4,)]
    # What the server says is for the client's card, though nobody has the address yet.
    for trip in (story.trips[1], story.trips[3]):
        assert trip.delivered == ("new",) and not trip.ended and trip.target == "new"
        assert list(trip.path) == ["h1", "s1", "new"]
        assert [copy.node for copy in trip.ignored] == (["h2"] if to_all else [])
    assert [trip.answered_by for trip in story.trips] == [2, 0, 4, 0]
    assert story.trips[2].cause == "new takes the offer of #2"


def test_nobody_offers_an_address() -> None:
    lan = Lan()
    for _ in range(2):
        lan.ask(1)
    story = told(lan)
    assert not story.outcome.ok and story.outcome.code == "dhcp-silent"
    assert story.outcome.sentence == (
        "new asked 2 times for an address by DHCP, and no offer came."
    )
    assert story.outcome.why == ["It reached h1, h2: none of them answered as a DHCP server."]
    assert story.trips[1].notes == ("the question of #1 again",)


def test_an_offer_that_is_lost() -> None:
    lan = Lan()
    lan.drop = lambda interface, packet: interface == "s1-eth3" and packet.src == "10.0.0.1"
    lan.ask(1)
    lan.answer(2)
    story = told(lan)
    assert story.outcome.code == "dhcp-lost" and "no offer came" in story.outcome.sentence
    assert "h1 answered (#2), but that did not come" in story.outcome.why[0]


def test_an_offer_that_is_not_taken_and_one_that_is_not_confirmed() -> None:
    lan = Lan()
    lan.ask(1)
    lan.answer(2)
    assert told(lan).outcome.sentence == (
        "10.0.0.1 offered 10.0.0.50 to new, which did not ask for it."
    )
    lan.ask(3, option(50, frames.ip(GIVEN)) + option(54, frames.ip("10.0.0.1")))
    silent = told(lan).outcome
    assert silent.sentence == "new asked 1 time for 10.0.0.50, and no confirmation came."
    assert silent.ok is False


def test_a_refusal_a_renewal_a_return_and_a_collision() -> None:
    lan = Lan()
    lan.ask(3, option(50, frames.ip("192.168.7.7")))
    no = option(54, frames.ip("10.0.0.1")) + option(56, b"wrong network")
    lan.answer(6, no, to_all=True, yiaddr="0.0.0.0")
    refused = told(lan).outcome
    assert refused.code == "dhcp-refused"
    assert refused.sentence == "10.0.0.1 refused 192.168.7.7 to new (NAK)."
    assert refused.why[0] == "The server said: wrong network"
    renewal = Lan()
    renewal.ask(3, src=GIVEN, ciaddr=GIVEN)
    renewal.answer(5, ciaddr=GIVEN)
    assert told(renewal).outcome.sentence == "new keeps 10.0.0.50 from 10.0.0.1 for 600 s."
    returned = Lan()
    returned.ask(7, option(54, frames.ip("10.0.0.1")), src=GIVEN, ciaddr=GIVEN)
    end = told(returned).outcome
    assert end.ok and end.sentence == "new gave 10.0.0.50 back to 10.0.0.1."
    taken = Lan()
    taken.ask(4, option(50, frames.ip(GIVEN)) + option(54, frames.ip("10.0.0.1")))
    assert "declined it: somebody else uses that address" in told(taken).outcome.sentence


def test_what_another_client_does_is_not_the_command() -> None:
    lan = Lan()
    lan.ask(1)
    assert told(lan, host="h2", command="sleep 1").outcome.code not in ("dhcp-silent", "dhcp-got")


# --- one message -----------------------------------------------------------------------------


def dressed(data: bytes, source: int = 68, destination: int = 67) -> bytes:
    packet = frames.ipv4("10.0.0.1", "10.0.0.9", 17, frames.udp(source, destination, data))
    return frames.eth("02:00:00:00:00:01", "02:00:00:00:00:02", 0x0800, packet)


MAC = "02:00:00:00:00:07"
ALL = [
    message(1, MAC, option(50, frames.ip(GIVEN)) + option(12, b"new") + option(55, b"\1\3\6")),
    message(2, MAC, LEASE + SETTINGS + option(6, frames.ip("10.0.0.1") * 2), yiaddr=GIVEN),
    message(3, MAC, option(61, b"\1" + frames.mac(MAC)), ciaddr=GIVEN, giaddr="10.9.9.9"),
    message(4, MAC, option(50, frames.ip(GIVEN))),
    message(5, MAC, option(51, b"\xff" * 4) + option(58, bytes(4)), yiaddr=GIVEN),
    message(5, MAC, LEASE, ciaddr=GIVEN),
    message(6, MAC, option(56, b"no")),
    message(7, MAC, ciaddr=GIVEN),
    message(8, MAC, option(52, b"\1"), ciaddr=GIVEN, file=option(15, b"x.test") + b"\xff"),
    message(13, MAC),
]


def test_a_message_beside_tshark(tmp_path: Path) -> None:
    names = (
        "dhcp.type", "dhcp.id", "dhcp.ip.client", "dhcp.ip.your", "dhcp.ip.relay",
        "dhcp.hw.mac_addr", "dhcp.option.dhcp", "dhcp.option.requested_ip_address",
        "dhcp.option.ip_address_lease_time", "dhcp.option.dhcp_server_id", "dhcp.option.message",
    )  # fmt: skip
    rows = tshark(tmp_path, [dressed(data) for data in ALL], names)
    for data, row in zip(ALL, rows, strict=True):
        dhcp = wire_dhcp.read(decode(dressed(data)))
        assert dhcp is not None and not dhcp.problem
        seconds = "" if dhcp.lease_s is None else str(dhcp.lease_s)
        ours = [
            str(dhcp.op), f"0x{dhcp.xid:08x}", dhcp.ciaddr or "0.0.0.0", dhcp.yiaddr or "0.0.0.0",
            dhcp.giaddr or "0.0.0.0", dhcp.client_mac, str(dhcp.type), dhcp.requested, seconds,
            dhcp.server_id, dhcp.message,
        ]  # fmt: skip
        assert ours == row
        kind, title = describe(decode(dressed(data)))
        assert kind.startswith("dhcp-") and title.startswith("DHCP ")
        named = {field.name: field.value for field in fields(dressed(data))}
        assert named["transaction id"] == row[1] and named["MAC of the client"] == row[5]
        values = " ".join(field.value for field in fields(dressed(data)))
        assert f"message type: {dhcp.type}" in values
        if dhcp.lease_s == 600:
            assert "lease: 600 s" in values


def test_options_in_the_field_of_the_file_and_in_parts() -> None:
    dhcp = wire_dhcp.parse(ALL[8])
    assert dhcp is not None and dhcp.option(15) == b"x.test"
    parts = message(5, MAC, option(56, b"hello ") + option(56, b"world"))
    joined = wire_dhcp.parse(parts)
    assert joined is not None and joined.message == "hello world"


def test_bootp_has_no_options() -> None:
    data = message(1, MAC)[:236] + bytes(64)
    assert describe(decode(dressed(data)))[1] == f"BOOTP: who has an address for {MAC}?"


def test_other_datagrams_on_its_ports_are_left_alone() -> None:
    assert wire_dhcp.read(decode(dressed(b"x" * 300))) is None
    assert describe(decode(dressed(b"x" * 20)))[0] == "udp"


@given(st.integers(0, len(ALL) - 1), st.data())
def test_whatever_the_bytes(number: int, draw: st.DataObject) -> None:
    data = bytearray(ALL[number])
    for _ in range(draw.draw(st.integers(0, 6))):
        data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    cut = bytes(data[: draw.draw(st.integers(0, len(data)))])
    frame = dressed(cut)
    wire_dhcp.parse(cut)
    describe(decode(frame))
    cut_up = fields(frame)
    assert [field.start for field in cut_up[1:]] == [field.end for field in cut_up[:-1]]
    assert cut_up[-1].end == len(frame)
    assert len({(field.layer, field.name) for field in cut_up}) == len(cut_up)
