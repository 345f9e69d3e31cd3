# SPDX-License-Identifier: Apache-2.0
"""What switches tell of their tables while a capture runs, as `trace --live --json` has it."""

from __future__ import annotations

import struct
from pathlib import Path

from hoplab import runs
from hoplab.capture import notes, pcapng_reader
from hoplab.capture.pcapng_format import Note
from hoplab.replay.table_changes import table_changes

KEPT = Path(__file__).parent.parent / "data" / "replay"


def test_flows_that_were_there_and_flows_that_came() -> None:
    capture = pcapng_reader.read(KEPT / "learning_switch" / runs.CAPTURE)
    changes = list(table_changes(capture.notes))
    there = [each for each in changes if each["change"] == "there" and each["switch"] == "s1"]
    assert [(each["priority"], each["sends_to"]) for each in there] == [
        (3, []), (2, []), (0, ["CONTROLLER"])
    ]  # fmt: skip
    added = [each for each in changes if each["change"] == "added"]
    assert {(each["match"], *each["sends_to"]) for each in added if each["switch"] == "s1"} >= {
        ("in_port=2, eth_src=02:00:00:00:04:00, eth_dst=02:00:00:00:01:00", "1"),
        ("in_port=1, eth_src=02:00:00:00:01:00, eth_dst=02:00:00:00:04:00", "2"),
    }
    assert {each["what"] for each in changes} == {"flow"}


def test_groups_that_were_there() -> None:
    group = struct.pack("!HBxI", 8, 1, 7)
    head = struct.pack("!BBHIHH4x", 4, 19, 16 + len(group), 7, 7, 0)
    note = Note(5, notes.TABLES, "s1", head + group)
    other = Note(5, notes.RAISED, "s1", b"{}")
    assert list(table_changes([other, note])) == [
        {"switch": "s1", "t_ns": 5, "change": "there", "what": "group", "group": 7,
         "type": "select"}
    ]  # fmt: skip
