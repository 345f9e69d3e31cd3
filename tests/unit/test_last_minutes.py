# SPDX-License-Identifier: Apache-2.0
"""The last minutes of a lab, kept as a run: a capture that begins later than what is known."""

from __future__ import annotations

from pathlib import Path

from hoplab import runs
from hoplab.capture import notes, pcapng_reader
from hoplab.capture.pcapng_format import Capture
from hoplab.decode import tables
from hoplab.live.last_minutes import LastMinutes
from hoplab.replay.table_changes import table_changes
from hoplab.replay.tables_then import tables_then

KEPT = Path(__file__).parent.parent / "data" / "replay" / "learning_switch" / runs.CAPTURE


def kept(tmp_path: Path, minutes: LastMinutes, heard: Capture, begun_ns: int = 0) -> Capture:
    path = tmp_path / "kept.pcapng"
    assert minutes.write(path, heard, begun_ns) == len(pcapng_reader.read(path).observations)
    return pcapng_reader.read(path)


def test_all_of_a_short_time_is_the_capture_itself(tmp_path: Path) -> None:
    heard = pcapng_reader.read(KEPT)
    minutes = LastMinutes()
    minutes.take(heard.observations, heard.notes)
    again = kept(tmp_path, minutes, heard)
    assert [each.data for each in again.observations] == [each.data for each in heard.observations]
    assert again.notes == heard.notes and again.begun_ns == heard.begun_ns


def test_of_a_busy_lab_the_last_frames_are_kept_and_the_file_says_since_when(
    tmp_path: Path,
) -> None:
    heard = pcapng_reader.read(KEPT)
    minutes = LastMinutes(most=5)
    for frame in heard.observations:
        minutes.take([frame], [])
    again = kept(tmp_path, minutes, heard)
    last = heard.observations[-5:]
    assert [each.t_ns for each in again.observations] == [each.t_ns for each in last]
    assert set(again.begun_ns.values()) == {last[0].t_ns}
    later = kept(tmp_path, minutes, heard, last[2].t_ns)
    assert len(later.observations) == 3 and set(later.begun_ns.values()) == {last[2].t_ns}


def test_flows_from_before_are_flows_that_were_there() -> None:
    heard = pcapng_reader.read(KEPT)
    changes = list(table_changes(heard.notes))
    added = [each for each in changes if each["change"] == "added"]
    end_ns = max(each["t_ns"] for each in changes) + 1
    then = list(table_changes(tables_then(heard.notes, end_ns)))
    assert {each["change"] for each in then} == {"there"}

    def flows(told: list[dict[str, object]]) -> set[tuple[object, ...]]:
        names = ("switch", "table", "priority", "match", "next_table")
        return {tuple(each[name] for name in names) for each in told}

    assert flows(then) == flows(changes) and len(added) >= 2
    assert tables_then(heard.notes, 0) == heard.notes
    assert [each for each in tables_then(heard.notes, end_ns) if each.topic != notes.TABLES] == [
        each for each in heard.notes if each.topic != notes.TABLES
    ]


def test_a_flow_that_went_before_is_not_there() -> None:
    heard = pcapng_reader.read(KEPT)
    note, entry = next(
        (note, entry) for note in heard.notes for entry in tables.entries(note.data)
        if not tables.is_initial(note.data)
    )  # fmt: skip
    gone = entry[:2] + b"\0\1" + entry[4:]
    last = type(note)(note.t_ns + 10**12, note.topic, note.source, tables.with_entries([gone]))
    before = list(table_changes(tables_then(heard.notes, last.t_ns + 1)))
    after = list(table_changes(tables_then([*heard.notes, last], last.t_ns + 1)))
    assert len(after) == len(before) - 1


def test_many_flows_take_several_messages() -> None:
    entry = b"\x7d\x00\x00\x00" + bytes(32_000 - 4)
    messages = tables.as_initial([entry] * 5)
    assert sum(len(tables.entries(message)) for message in messages) == 5
    assert all(len(message) < 1 << 16 and tables.is_initial(message) for message in messages)
