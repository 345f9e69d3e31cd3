# SPDX-License-Identifier: Apache-2.0
"""Packets inside packets: outer and inner, in titles and in fields, beside tshark."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoplab.decode import tunnels
from hoplab.decode.packet import decode, strip_padding
from hoplab.report.fields import fields
from hoplab.story.titles import describe
from tests.unit import frames
from tests.unit.playground import CABLE, Playground, wire_up
from tests.unit.test_runs import untranslated
from tests.unit.tsharked import tshark

A, B = "02:00:00:00:00:01", "02:00:00:00:00:02"
OUTER = ("192.168.1.1", "192.168.1.2")
PING = frames.ipv4("10.0.0.1", "10.0.0.2", 1, frames.echo(True, 7, 3))
PING_FRAME = frames.eth("02:00:00:00:aa:02", "02:00:00:00:aa:01", 0x0800, PING)
TAGGED = frames.eth(
    "02:00:00:00:aa:02", "02:00:00:00:aa:01", 0x8100, b"\x00\x05\x08\x00" + PING
)  # fmt: skip


def outer(protocol: int, payload: bytes) -> bytes:
    return frames.eth(B, A, 0x0800, frames.ipv4(*OUTER, protocol, payload))


def vxlan(inner: bytes, vni: int = 42, flags: int = 8) -> bytes:
    head = struct.pack("!II", flags << 24, vni << 8)
    return outer(17, frames.udp(50000, 4789, head + inner))


def geneve(protocol: int, inner: bytes, options: bytes = b"") -> bytes:
    head = struct.pack("!BBHI", len(options) // 4, 0, protocol, 77 << 8)
    return outer(17, frames.udp(50000, 6081, head + options + inner))


def gre(protocol: int, inner: bytes, *, key: int | None = None, seq: int | None = None,
        summed: bool = False) -> bytes:  # fmt: skip
    flags = 0x8000 * summed | 0x2000 * (key is not None) | 0x1000 * (seq is not None)
    head = struct.pack("!HH", flags, protocol) + bytes(4) * summed
    head += b"".join(struct.pack("!I", value) for value in (key, seq) if value is not None)
    return outer(47, head + inner)


def pppoe(code: int, session: int, body: bytes, kind: int = 0x8864) -> bytes:
    return frames.eth(B, A, kind, struct.pack("!BBHH", 0x11, code, session, len(body)) + body)


WITH_PING = "ICMP echo request, seq 3"
CASES = {
    "vxlan": (vxlan(PING_FRAME), f"VXLAN network 42, {OUTER[0]} to {OUTER[1]}: {WITH_PING}"),
    "vxlan, tagged": (vxlan(TAGGED), f"VXLAN network 42, {OUTER[0]} to {OUTER[1]}: {WITH_PING}"),
    "gre": (gre(0x0800, PING), f"GRE, {OUTER[0]} to {OUTER[1]}: {WITH_PING}"),
    "gre, all": (
        gre(0x0800, PING, key=9, seq=5, summed=True),
        f"GRE key 9, {OUTER[0]} to {OUTER[1]}: {WITH_PING}",
    ),
    "gre, frame": (gre(0x6558, PING_FRAME), f"GRE, {OUTER[0]} to {OUTER[1]}: {WITH_PING}"),
    "gre, other": (gre(0x88B5, b"x" * 30), f"GRE, {OUTER[0]} to {OUTER[1]}: EtherType 0x88b5"),
    "geneve": (
        geneve(0x6558, PING_FRAME),
        f"Geneve network 77, {OUTER[0]} to {OUTER[1]}: {WITH_PING}",
    ),
    "geneve, ip": (
        geneve(0x0800, PING, b"\x01\x02\x03\x01abcd"),
        f"Geneve network 77, {OUTER[0]} to {OUTER[1]}: {WITH_PING}",
    ),
    "pppoe": (pppoe(0, 17, b"\x00\x21" + PING), f"PPPoE session 17: {WITH_PING}"),
    "pppoe, lcp": (
        pppoe(0, 17, b"\xc0\x21\x01\x01\x00\x04"), "PPPoE session 17: LCP of PPP"
    ),
    "padi": (
        pppoe(9, 0, b"\x01\x01\x00\x00", 0x8863),
        "PPPoE PADI: which access concentrator is there?",
    ),
    "pads": (pppoe(0x65, 17, b"", 0x8863), "PPPoE PADS: session 17 is open"),
    "padt": (pppoe(0xA7, 17, b"", 0x8863), "PPPoE PADT: session 17 is over"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_outer_and_inner_are_named(name: str) -> None:
    data, title = CASES[name]
    assert describe(decode(data)) == ("tunnel", title)


def test_tunnels_in_each_other() -> None:
    twice = outer(47, struct.pack("!HH", 0, 0x0800) + decode_free(vxlan(PING_FRAME)))
    title = describe(decode(twice))[1]
    assert title.startswith("GRE, ") and "VXLAN network 42" in title and WITH_PING in title
    layers = {field.layer for field in fields(twice)}
    assert {"GRE", "VXLAN in GRE", "Ethernet in VXLAN in GRE", "ICMP in VXLAN in GRE"} <= layers


def decode_free(frame: bytes) -> bytes:
    """The IP packet of a frame."""
    return frame[14:]


NAMES = (
    "vxlan.vni", "gre.key", "gre.sequence_number", "geneve.vni", "pppoe.session_id", "pppoe.code",
    "gre.proto", "geneve.proto_type",
)  # fmt: skip


def test_each_field_beside_tshark(tmp_path: Path) -> None:
    packets = [data for data, _ in CASES.values()]
    rows = tshark(tmp_path, packets, NAMES)
    twofold = ("ip.src", "ip.ttl", "eth.src", "icmp.seq")
    inner_rows = tshark(tmp_path, packets, twofold, every=True)
    for name, data, row, inner in zip(CASES, packets, rows, inner_rows, strict=True):
        named = {(field.layer, field.name): field.value for field in fields(data)}
        key = row[1] and str(int(row[1], 16))
        session, code = row[4] and str(int(row[4], 0)), row[5]
        theirs = {
            ("VXLAN", "VNI"): row[0], ("GRE", "key"): key, ("GRE", "sequence number"): row[2],
            ("Geneve", "VNI"): row[3] and str(int(row[3], 0)), ("PPPoE", "session"): session,
        }  # fmt: skip
        assert {place: named.get(place, "") for place in theirs} == theirs, name
        assert named.get(("PPPoE", "code"), "").startswith(code), name
        for layer, protocol in (("GRE", row[6]), ("Geneve", row[7])):
            assert named.get((layer, "protocol"), "").startswith(protocol), name
        ours = [
            ",".join(value for (layer, field), value in named.items()
                     if field == wanted and layer.split(" in ")[0] == of)
            for of, wanted in (("IPv4", "source"), ("IPv4", "TTL"), ("Ethernet", "source"))
        ]  # fmt: skip
        assert ours == inner[:3], name
        sequence = "".join(
            value for (layer, field), value in named.items()
            if layer.startswith("ICMP in ") and field == "sequence number"
        )  # fmt: skip
        assert sequence == inner[3], name


def test_padding_of_pppoe_is_none_of_its() -> None:
    short = CASES["pppoe, lcp"][0]
    padded = short.ljust(60, b"\0")
    assert strip_padding(padded) == short
    assert fields(padded)[-1].name == "padding"


def test_what_is_cut_is_told() -> None:
    cut = geneve(0x0800, b"", b"\x01\x02\x03\x01abcd")
    head = decode(cut)._replace(payload=decode(cut).payload[:10])
    tunnel = tunnels.read(head)
    assert tunnel is not None and tunnel.problem == "the Geneve options are cut"
    assert describe(decode(vxlan(PING_FRAME, flags=0)))[0] == "udp"
    assert describe(decode(gre(0x880B, b"x").replace(b"\x00\x00\x88\x0b", b"\x20\x01\x88\x0b")))[
        0
    ] == "ip"


def test_a_story_of_a_tunnel_is_told_under_its_heading() -> None:
    net = Playground(wire_up(CABLE, topology="cable"))
    net.warm()
    net.udp("192.168.1.1", 50000, "192.168.1.2", 4789, struct.pack("!II", 8 << 24, 42 << 8) +
            PING_FRAME)  # fmt: skip
    story = net.story(host="a", command="ping")
    assert [step.key for step in story.steps] == ["tunnel"]
    assert story.trips[0].title == CASES["vxlan"][1] and story.trips[0].delivered == ("b",)
    assert untranslated(story) == set()


def pings(answered: int) -> Playground:
    """Two pings through a VXLAN, of which so many are answered."""
    net = Playground(wire_up(CABLE, topology="cable"))
    net.warm()
    net.drop = lambda interface, packet: interface == "b-eth0"
    for seq in (1, 2):
        if seq <= answered:
            net.drop = lambda interface, packet: False
        for request in (True, False):
            ends = ("10.0.0.1", "10.0.0.2") if request else ("10.0.0.2", "10.0.0.1")
            inner = frames.ipv4(*ends, 1, frames.echo(request, 7, seq))
            data = struct.pack("!II", 8 << 24, 42 << 8) + frames.eth(A, B, 0x0800, inner)
            outer_ends = OUTER if request else OUTER[::-1]
            net.udp(outer_ends[0], 50000, outer_ends[1], 4789, data)
        net.drop = lambda interface, packet: interface == "b-eth0"
    return net


def test_pings_through_a_tunnel_have_an_outcome() -> None:
    whole = pings(2).story(host="a", command="ping")
    assert whole.outcome.ok and whole.outcome.code == "tunnel-pings"
    assert whole.outcome.sentence == "a pinged 2 times through VXLAN 42 to b, and 2 came back."
    half = pings(1).story(host="a", command="ping")
    assert half.outcome.ok is False and "and 1 came back" in half.outcome.sentence
    none = pings(0).story(host="a", command="ping")
    assert none.outcome.ok is False and "and 0 came back" in none.outcome.sentence
    for story in (whole, half, none):
        assert untranslated(story) == set()


@given(st.sampled_from(list(CASES.values())), st.data())
def test_whatever_the_bytes(case: tuple[bytes, str], draw: st.DataObject) -> None:
    data = bytearray(case[0])
    for _ in range(draw.draw(st.integers(0, 6))):
        data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    frame = bytes(data[: draw.draw(st.integers(0, len(data)))])
    describe(decode(frame))
    pieces = fields(frame)
    assert [piece.start for piece in pieces[1:]] == [piece.end for piece in pieces[:-1]]
    assert not frame or pieces[-1].end == len(frame)
    assert len({(piece.layer, piece.name) for piece in pieces}) == len(pieces)


def test_very_many_tunnels_in_each_other_end() -> None:
    inner = PING
    while len(inner) < 60_000:
        inner = frames.ipv4(*OUTER, 47, struct.pack("!HH", 0, 0x0800) + inner)
    frame = frames.eth(B, A, 0x0800, inner)
    assert describe(decode(frame))[1].count("GRE") >= 4
    assert fields(frame)[-1].end == len(frame)
