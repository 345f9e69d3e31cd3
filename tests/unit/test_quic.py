# SPDX-License-Identifier: Apache-2.0
"""QUIC: long headers beside tshark, and short ones only where long ones were seen."""

from __future__ import annotations

import struct
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from hoplab.decode import quic as wire_quic
from hoplab.decode.packet import decode
from hoplab.report.fields import fields
from hoplab.story.titles import describe
from tests.unit import frames
from tests.unit.playground import CABLE, Playground, wire_up
from tests.unit.test_runs import untranslated
from tests.unit.tsharked import tshark

CLIENT_ID, SERVER_ID = bytes.fromhex("8394c8f03e515708"), bytes.fromhex("f067a5502a4262b5")
BLANK = b""
V1, V2, DRAFT_29 = 1, 0x6B3343CF, 0xFF00001D


def number(value: int) -> bytes:
    """RFC 9000 section 16, in two bytes."""
    return struct.pack("!H", 0x4000 | value)


def long(kind: int, dcid: bytes, scid: bytes, size: int = 40, version: int = V1) -> bytes:
    """A packet with a long header; what is sealed in it is nothing."""
    head = bytes((0xC0 | kind << 4,)) + struct.pack("!I", version)
    head += bytes((len(dcid),)) + dcid + bytes((len(scid),)) + scid
    initial = kind == (1 if version == V2 else 0)
    return head + (b"\0" if initial else b"") + number(size) + bytes(size)


def dressed(payload: bytes, sport: int = 50000, dport: int = 443) -> bytes:
    packet = frames.ipv4("10.0.0.1", "10.0.0.2", 17, frames.udp(sport, dport, payload))
    return frames.eth("02:00:00:00:00:02", "02:00:00:00:00:01", 0x0800, packet)


NEGOTIATION = (
    b"\x80\0\0\0\0\x08" + CLIENT_ID + b"\x08" + SERVER_ID + struct.pack("!II", 1, 0x1A2A3A4A)
)  # fmt: skip
PACKETS = {
    "Initial": long(0, SERVER_ID, CLIENT_ID, 1160),
    "Handshake": long(2, CLIENT_ID, SERVER_ID),
    "0-RTT": long(1, SERVER_ID, CLIENT_ID),
    "Retry": bytes((0xF0,)) + struct.pack("!I", 1) + b"\x08" + CLIENT_ID + b"\0" + bytes(30),
    "v2": long(1, SERVER_ID, CLIENT_ID, version=V2),
    "draft": long(0, SERVER_ID, BLANK, version=DRAFT_29),
    "Version Negotiation": NEGOTIATION,
}


def test_long_headers_beside_tshark(tmp_path: Path) -> None:
    names = ("quic.version", "quic.dcid", "quic.scid", "quic.long.packet_type")
    data = [dressed(payload) for payload in PACKETS.values()]
    rows = tshark(tmp_path, data, names, "-d", "udp.port==443,quic")
    for (name, payload), row in zip(PACKETS.items(), rows, strict=True):
        (header,) = wire_quic.parse(payload)
        assert [f"0x{header.version:08x}", header.dcid.hex(), header.scid.hex()] == row[:3], name
        types = ("Initial", "0-RTT", "Handshake", "Retry")
        if row[3] and header.version != V2:
            assert header.type == types[int(row[3], 0)], name
        named = {field.name: field.value for field in fields(dressed(payload))}
        assert named["id that the receiver chose"] == row[1], name
        assert named.get("id that the sender chose", "") == row[2], name
        assert describe(decode(dressed(payload)))[0] == "quic"


def test_titles() -> None:
    def title(payload: bytes) -> str:
        return describe(decode(dressed(payload)))[1]

    assert title(PACKETS["Initial"]) == (
        f"QUIC v1 Initial, to {SERVER_ID.hex()} from {CLIENT_ID.hex()}, 1,186 bytes"
    )
    both = long(0, CLIENT_ID, SERVER_ID) + long(2, CLIENT_ID, SERVER_ID)
    assert title(both).startswith("QUIC v1 Initial + Handshake, to ")
    assert title(PACKETS["draft"]).startswith("QUIC draft-29 Initial, ")
    assert title(PACKETS["v2"]).startswith("QUIC v2 Initial, ")
    assert "Version Negotiation" in title(NEGOTIATION) and "v1, 0x1a2a3a4a" in title(NEGOTIATION)


def test_what_looks_alike_is_not_quic() -> None:
    for payload in (
        b"\xc0\0\0\0\x07\x08" + bytes(40),  # no such version
        b"\x80\0\0\0\x01\x08" + bytes(40),  # the fixed bit is not set
        b"\xc0\0\0\0\x01\x15" + bytes(60),  # an id of 21 bytes
        b"\x80" + bytes(30),  # a negotiation that offers nothing that exists
        b"\x40" + CLIENT_ID + bytes(30),  # a short header of a connection never seen
    ):
        assert describe(decode(dressed(payload)))[0] == "udp"


def test_short_headers_are_told_where_long_ones_were_seen() -> None:
    net = Playground(wire_up(CABLE, topology="cable"))
    net.warm()
    client, server = ("192.168.1.1", 50000), ("192.168.1.2", 443)
    sealed = b"\x41" + SERVER_ID + bytes(20)
    net.udp(*client, *server, sealed)  # before anything is known: a datagram
    net.udp(*client, *server, long(0, b"\1" * 8, CLIENT_ID))
    net.udp(*server, *client, long(0, CLIENT_ID, SERVER_ID))
    net.udp(*client, *server, sealed)
    net.udp(*server, *client, b"\x41" + CLIENT_ID + bytes(20))
    net.udp(*client, *server, b"\x41" + b"\7" * 8 + bytes(20))  # an id given under seal
    net.udp("192.168.1.1", 50001, *server, sealed)  # other ends
    story = net.story(host="a", command="curl --http3-only")
    assert [trip.kind for trip in story.trips] == ["udp", *["quic"] * 5, "udp"]
    assert story.trips[3].title == f"QUIC v1, sealed, to {SERVER_ID.hex()}, 29 bytes"
    assert story.trips[4].title == f"QUIC v1, sealed, to {CLIENT_ID.hex()}, 29 bytes"
    assert story.trips[5].title == "QUIC v1, sealed, 29 bytes"
    assert untranslated(story) == set()


@given(st.sampled_from(list(PACKETS.values())), st.data())
def test_whatever_the_bytes(packet: bytes, draw: st.DataObject) -> None:
    data = bytearray(packet)
    for _ in range(draw.draw(st.integers(0, 6))):
        data[draw.draw(st.integers(0, min(30, len(data) - 1)))] = draw.draw(st.integers(0, 255))
    payload = bytes(data[: draw.draw(st.integers(0, len(data)))])
    wire_quic.parse(payload)
    describe(decode(dressed(payload)))
    pieces = fields(dressed(payload))
    assert [piece.start for piece in pieces[1:]] == [piece.end for piece in pieces[:-1]]
    assert pieces[-1].end == len(dressed(payload))
