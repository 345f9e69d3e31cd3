# SPDX-License-Identifier: Apache-2.0
"""What our controllers share: templates, packet-ins taken apart, a socket written in chunks."""

from __future__ import annotations

import socket as sockets
import struct
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.fake_table import ROOT, FakeSwitch, frame, load, ofp, ofp_event, parser, start

kit = load("kit")
A, B = "00:00:00:00:00:0a", "00:00:00:00:00:0b"
MACS = st.binary(min_size=6, max_size=6)


@given(dst=MACS, src=MACS, port=st.integers(1, 0xFFFFFF00))
def test_a_filled_template_is_what_the_framework_would_have_made(
    dst: bytes, src: bytes, port: int
) -> None:
    """The mark may stand there twice: as cookie and as address."""

    def made(source: bytes, to: bytes, out: int) -> Any:
        match = {"in_port": out, "eth_src": kit.text(source), "eth_dst": kit.text(to)}
        return kit.flow(FakeSwitch(), 37, 1, match, out=out, cookie=kit.cookie_of(source))

    marks = kit.Template.MAC, kit.Template.MAC_2, kit.Template.PORT
    template = kit.Template(made(*marks), *marks)
    wanted = made(dst, src, port)
    wanted.xid = 0
    wanted.serialize()
    assert template.of(dst, src, port.to_bytes(4, "big")) == bytes(wanted.buf)


@pytest.mark.parametrize(
    "fields", [{"in_port": 7}, {"in_port": 7, "metadata": 5, "eth_type": 0x800}, {"metadata": 5}]
)
@pytest.mark.parametrize("length", [0, 13, 60])
def test_a_packet_in_is_taken_apart_as_the_framework_does(
    fields: dict[str, int], length: int
) -> None:
    switch, data = FakeSwitch(), bytes(range(length))
    match = parser.OFPMatch(**fields)
    body = bytearray()
    match.serialize(body, 0)
    head = struct.pack("!IHBBQ", 9, length + 40, 1, 3, 77)
    whole = struct.pack("!BBHI", 4, 10, 8 + len(head) + len(body) + 2 + length, 5)
    whole += head + bytes(body) + bytes(2) + data
    quick = kit.OFPPacketIn.parser(switch, 4, 10, len(whole), 5, whole)
    slow = parser.OFPPacketIn.parser(switch, 4, 10, len(whole), 5, whole)
    for name in ("buffer_id", "total_len", "reason", "table_id", "cookie", "data", "xid"):
        assert getattr(quick, name) == getattr(slow, name), name
    assert dict(quick.match.items()) == dict(slow.match.items())
    assert quick.in_port == fields.get("in_port")
    assert type(ofp_event.ofp_msg_to_ev(quick)) is ofp_event.EventOFPPacketIn


class Wire:
    """A socket that takes what is written, and gives what it was given piece by piece."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces, self.written, self.closed = list(pieces), b"", False

    def recv(self, size: int) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""

    def sendall(self, data: bytes) -> None:
        if self.closed:
            raise OSError
        self.written += data

    def close(self) -> None:
        self.closed = True

    def shutdown(self, how: int) -> None:
        self.written += b"<end>"


def test_chunks_give_the_bytes_that_came_in_order() -> None:
    chunks = kit.Chunks(Wire(b"abcdefg", b"hi"))
    assert [chunks.recv(3) for _ in range(5)] == [b"abc", b"def", b"g", b"hi", b""]


def test_what_waits_is_sent_at_once_and_before_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    wire, later = Wire(), []
    monkeypatch.setattr(kit.hub, "spawn", later.append)
    chunks = kit.Chunks(wire)
    for piece in (b"one ", b"two "):
        chunks.sendall(piece)
    assert wire.written == b"" and len(later) == 1
    later.pop()()
    assert wire.written == b"one two "
    chunks.sendall(b"three")
    chunks.shutdown(sockets.SHUT_WR)
    assert wire.written == b"one two three<end>"
    wire.closed = True
    chunks.sendall(b"four")
    later.pop()()
    later.pop()()  # nobody is there any more: no error leaves the green thread
    assert wire.closed


def test_a_switch_that_does_not_read_holds_up_who_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(kit, "MOST_WAITING", 2)
    monkeypatch.setattr(kit.hub, "spawn", lambda work: None)
    chunks = kit.Chunks(Wire())

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        chunks.waiting.pop()

    monkeypatch.setattr(kit.hub, "sleep", sleep)
    for _ in range(5):
        chunks.sendall(b"x")
    assert len(slept) == 2


def test_a_packet_in_does_not_overtake_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is answered where it is read, but only when no other event is in the app's queue."""
    rig = start("learning_switch")
    switch = rig.connect(FakeSwitch())
    delivered: list[Any] = []
    base = type(rig.app).__mro__[2]
    monkeypatch.setattr(
        base, "_send_event", lambda self, ev, state: delivered.append(ev), raising=True
    )
    match = parser.OFPMatch(in_port=1)
    msg = SimpleNamespace(datapath=switch, match=match, data=frame(B, A), total_len=64,
                          buffer_id=ofp.OFP_NO_BUFFER)  # fmt: skip
    event = ofp_event.EventOFPPacketIn(msg)
    rig.app._send_event(event, "main")
    assert delivered == [] and len(rig.app.switches[1].table) == 1
    rig.app._send_event(event, "config")
    rig.app.events.put((event, "main"))
    rig.app._send_event(event, "main")
    assert delivered == [event, event]
    rig.app.events.get()
    rig.app._send_event(ofp_event.EventOFPPacketIn(SimpleNamespace()), "main")  # only said


@pytest.mark.parametrize("name", ["hub", "spanning_tree", "router"])
@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ((0xFFFF, 2301, 0x4F4E4600), "experimenter 0x4f4e4600, error 2301"),  # of a bundle
        ((1, 9), "OFPET_BAD_REQUEST(1), OFPBRC_BAD_TABLE_ID(9)"),
    ],
)
def test_a_refusal_of_any_kind_is_said(
    name: str, kind: tuple[int, ...], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    """OpenFlow 1.3.5, 7.4.4: an error without a code is an experimenter's."""
    rig = start(name)
    switch = rig.connect(FakeSwitch())
    wire = struct.pack("!BBHI" + ("HHI" if len(kind) == 3 else "HH"), 4, 1, 0, 9999, *kind)
    wire += bytes.fromhex("0404001800000009")
    wire = wire[:2] + len(wire).to_bytes(2, "big") + wire[4:]
    error = parser.OFPErrorMsg.parser(switch, 4, 1, len(wire), 9999, wire)
    rig.app.switch_refuses(ofp_event.EventOFPErrorMsg(error))
    assert f"refused: {words}; sent: 0404001800000009" in caplog.text


@pytest.mark.parametrize("name", ["learning_switch", "two_table_switch"])
def test_what_a_student_reads_first_stays_short(name: str) -> None:
    assert len((ROOT / "controllers" / f"{name}.py").read_text().splitlines()) < 200
