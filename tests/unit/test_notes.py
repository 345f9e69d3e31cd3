# SPDX-License-Identifier: Apache-2.0
"""What a capture keeps beside its frames: written and read, and nothing in the way of others."""

from __future__ import annotations

import io
import os
import select
import socket
import struct
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from hoplab.capture import pcapng_reader, pcapng_writer
from hoplab.capture.observation import Observation, Reception
from hoplab.capture.pcapng_format import Capture, InterfaceInfo, Note
from hoplab.capture.streams import Streams
from hoplab.decode import tables

words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
notes = st.builds(Note, st.integers(0, (1 << 63) - 1), words, words, st.binary(max_size=200))


@given(st.lists(notes, max_size=5))
def test_notes_are_read_as_they_were_written(kept: list[Note]) -> None:
    frame = Observation(1, 7, 0, Reception.OUTGOING, bytes(60), 60)
    capture = Capture([InterfaceInfo("a-eth0")], [frame], notes=list(kept))
    file = io.BytesIO()
    pcapng_writer.write_all(file, capture)
    file.seek(0)
    again = pcapng_reader.read(file)
    assert again.notes == kept and again.observations == [frame] and not again.problem


@given(st.binary(max_size=60))
def test_a_broken_note_is_left_out(body: bytes) -> None:
    file = io.BytesIO()
    pcapng_writer.Writer(file, [InterfaceInfo("a-eth0")])
    body += bytes(-len(body) % 4)
    total = 12 + len(body)
    file.write(struct.pack("<II", 0x80686F70, total) + body + struct.pack("<I", total))
    file.seek(0)
    assert not pcapng_reader.read(file).problem


def test_each_message_of_a_stream_is_a_note(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    streams = Streams()
    streams.add(ours, "tables", "s1", 5)
    hello, barrier = bytes.fromhex("0400000800000001"), bytes.fromhex("0415000800000002")
    with theirs:
        theirs.sendall(hello + barrier[:3])
        theirs.sendall(barrier[3:])
    blocks = b""
    while blocks.count(b"tables") < 3:
        assert select.select([streams.fileno()], [], [], 20)[0], "its thread says when some came"
        blocks += streams.take()
    path = tmp_path / "capture.pcapng"
    with open(path, "wb") as file:
        pcapng_writer.Writer(file)
        file.write(blocks)
    first, *rest = pcapng_reader.read(os.fspath(path)).notes
    assert first == Note(5, "tables", "s1", b"")
    assert [note.data for note in rest] == [hello, barrier]


@given(st.binary(max_size=300))
def test_whatever_a_switch_says_is_read_without_a_fault(data: bytes) -> None:
    tables.read(data)
    head = struct.pack("!BBHI", 4, 19, 8 + len(data), 0xFFFF)
    for kind in (7, 9, 10, 13):
        tables.read(head + struct.pack("!HH4x", kind, 0) + data)
    monitor = struct.pack("!HH4xII", 0xFFFF, 0, 0x4F4E4600, 1870)
    tables.read(head + monitor + data)
