# SPDX-License-Identifier: Apache-2.0
"""hoplab.decode.openflow and hoplab.story.conversation: messages whole, cut, mixed, random."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from hoplab.capture.observation import Observation, Reception
from hoplab.decode import openflow
from hoplab.story.conversation import conversation
from tests.unit import frames
from tests.unit.openflow_bytes import (
    FLOOD,
    bundled,
    features,
    flow_mod,
    message,
    packet_in,
    packet_out,
    role,
)

FRAME = bytes.fromhex("ffffffffffff0200000001000806") + bytes(28)


def decoded(data: bytes) -> openflow.Message:
    return openflow.decode(data)


def test_a_packet_in_says_where_and_why() -> None:
    message = decoded(packet_in(FRAME, in_port=3, table=1, cookie=7, buffer_id=9, xid=5))
    assert (message.kind, message.in_port, message.table, message.cookie) == ("packet-in", 3, 1, 7)
    assert (message.buffer_id, message.reason, message.data, message.xid) == (
        9,
        "no-match",
        FRAME,
        5,
    )
    assert message.total == len(FRAME) and message.problem == ""


def test_a_packet_out_says_where_to() -> None:
    message = decoded(packet_out(FRAME, in_port=3, ports=(FLOOD,)))
    assert (message.in_port, message.ports, message.data, message.floods) == (
        3,
        ("FLOOD",),
        FRAME,
        True,
    )
    kept = decoded(packet_out(b"", in_port=3, ports=(2, 4), buffer_id=1))
    assert (kept.buffer_id, kept.ports, kept.data) == (1, ("2", "4"), b"")
    assert decoded(packet_out(FRAME, in_port=3, ports=())).ports == ()


def test_a_flow_mod_says_which_frames_and_where() -> None:
    message = decoded(flow_mod(1, {4: frames.mac("02:00:00:00:00:01"), 0: b"\0\0\0\2"}, ports=(5,)))
    assert (message.kind, message.command, message.table, message.ports) == (
        "flow-mod",
        "add",
        1,
        ("5",),
    )
    assert str(message.match) == "eth_src=02:00:00:00:00:01, in_port=2"
    goto = decoded(flow_mod(0, {}, goto=1))
    assert (goto.table_next, goto.ports, str(goto.match)) == (1, (), "any frame")


def test_a_match_takes_what_it_names() -> None:
    match = decoded(flow_mod(0, {3: b"\xff" * 6, 0: b"\0\0\0\1"})).match
    assert match is not None
    assert match.takes(1, FRAME) is True
    assert match.takes(2, FRAME) is False
    masked = decoded(flow_mod(0, {}, masked={3: (b"\1" + bytes(5), b"\1" + bytes(5))})).match
    assert masked is not None and masked.takes(1, FRAME) is True
    assert masked.takes(1, bytes(14)) is False
    deep = decoded(flow_mod(0, {12: bytes(4)})).match
    assert deep is not None and deep.takes(1, FRAME) is False, "it is no IPv4"
    beyond = decoded(flow_mod(0, {2: bytes(8)})).match
    assert beyond is not None and beyond.takes(1, FRAME) is None, "metadata is not in the frame"


def test_features_and_bundles() -> None:
    assert decoded(features(0xABC)).dpid == 0xABC
    inner = decoded(bundled(flow_mod(0, {}, ports=(FLOOD,)))).inner
    assert inner is not None and inner.kind == "flow-mod" and inner.floods
    assert decoded(bundled(bundled(b""))).inner is None


def test_another_version_has_a_head_only() -> None:
    data = bytearray(packet_in(FRAME, in_port=1))
    data[0] = 2
    message = decoded(bytes(data))
    assert (message.version, message.kind, message.data) == (2, "packet-in", b"")


MESSAGES = [packet_in(FRAME, 1), packet_out(FRAME, 1, (FLOOD,)), flow_mod(0, {0: bytes(4)}),
            features(1), bundled(flow_mod(0, {})), message(2, b"x")]  # fmt: skip


@given(st.sampled_from(MESSAGES), st.integers(0, 200))
def test_a_cut_message_is_a_message_with_a_problem_or_less_data(data: bytes, cut: int) -> None:
    message = decoded(data[:cut])
    assert len(message.data) <= len(data)


@given(st.binary(max_size=200), st.integers(0, 35))
def test_random_bytes_never_raise(data: bytes, kind: int) -> None:
    decoded(data)
    decoded(struct.pack("!BBHI", 4, kind, 8 + len(data), 1) + data)
    list(openflow.split(bytearray(data)))


@given(st.lists(st.sampled_from(MESSAGES), max_size=6), st.lists(st.integers(1, 60), max_size=20))
def test_a_stream_gives_its_messages_however_it_was_cut(
    messages: list[bytes], sizes: list[int]
) -> None:
    whole, parsed, stream = b"".join(messages), [], bytearray()
    for size in [*sizes, len(whole)]:
        stream += whole[:size]
        whole = whole[size:]
        parsed += list(openflow.split(stream))
    assert parsed == messages and not stream


# --- the captured channel ----------------------------------------------------------------------


def segments(parts: list[tuple[int, bytes]], sport: int = 40000) -> list[Observation]:
    """TCP segments from switch to controller: (sequence number, data) each."""
    out = []
    for number, (seq, data) in enumerate(parts, 1):
        raw = frames.tcp(sport, 6653, seq, 0, frames.ACK, data)
        frame = bytes(12) + b"\x08\x00" + frames.ipv4("127.0.0.1", "127.0.0.1", 6, raw)
        out.append(Observation(number, number, 0, Reception.HOST, frame, len(frame)))
    return out


def kinds(parts: list[tuple[int, bytes]]) -> list[str]:
    return [item.message.kind for item in conversation(segments(parts))]


def test_messages_over_several_segments_and_segments_sent_again() -> None:
    both = features(1) + packet_in(FRAME, 1)
    assert kinds([(100, both)]) == ["features-reply", "packet-in"]
    assert kinds([(100, both[:50]), (150, both[50:])]) == ["features-reply", "packet-in"]
    again = [(100, both[:50]), (100, both[:50]), (120, both[20:])]
    assert kinds(again) == ["features-reply", "packet-in"]
    top = (1 << 32) - 50
    assert kinds([(top, both[:50]), (0, both[50:])]) == ["features-reply", "packet-in"]


def test_after_a_gap_it_goes_on_with_the_next_whole_message() -> None:
    question = packet_in(FRAME, 1)
    assert kinds([(100, question[:30]), (5000, features(1))]) == ["features-reply"]


def test_both_directions_and_many_connections_are_kept_apart() -> None:
    question = packet_in(FRAME, 1)
    mixed = segments([(1, question[:20])], 40000) + segments([(1, question[:30])], 40001)
    mixed += segments([(21, question[20:])], 40000) + segments([(31, question[30:])], 40001)
    messages = conversation(mixed)
    assert [(s.connection[1], s.up, s.message.kind) for s in messages] == [
        (40000, True, "packet-in"), (40001, True, "packet-in")
    ]  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.binary(max_size=40)), max_size=8))
def test_any_segments_never_raise(parts: list[tuple[int, bytes]]) -> None:
    conversation(segments(parts))


def test_a_role_request_says_role_and_generation() -> None:
    request = decoded(role(3, 7))
    assert (request.kind, request.role, request.generation) == ("role-request", "slave", 7)
    assert decoded(message(24, b"\0")).problem.startswith("cut or broken")
