# SPDX-License-Identifier: Apache-2.0
"""What a live story tells of switches' decisions: the finished story of the same capture judges."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest

from hoplab import runs
from hoplab.capture import pcapng_reader
from hoplab.decode.megaflow import Megaflows, mask_of, shape_of
from hoplab.follow import passages
from hoplab.follow.wiring import Wiring
from hoplab.openflow_channel import INTERFACE as OPENFLOW
from hoplab.openvswitch.shadow import Shadow, missing
from hoplab.replay import live as replay_live
from hoplab.replay.explain import Explainer
from hoplab.replay.live import LiveTables
from hoplab.report.terminal import live_lines
from hoplab.story.live import Live, News
from hoplab.story.trip_records import Decision, Trip
from tests.unit import frames

KEPT = Path(__file__).parent.parent / "data" / "replay"
NAMES = ["drop", "grp", "learning_switch", "meter", "mirror", "two_table_switch", "vip", "vlan"]
MS = 1_000_000

needs_switch = pytest.mark.skipif(bool(missing()), reason="Open vSwitch is not installed")


@pytest.fixture(autouse=True)
def _time_to_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is."""
    monkeypatch.setattr(replay_live, "ASK_S", 100.0)
    monkeypatch.setattr(replay_live, "LAST_S", 100.0)


@cache
def finished(name: str) -> runs.Run:
    with Explainer() as explain:
        return runs.reopen(KEPT / name, explain=explain)


def lived(name: str) -> tuple[list[News], Live]:
    """A kept capture, looked at every 50 ms in its own time."""
    capture = pcapng_reader.read(KEPT / name / runs.CAPTURE)
    state = json.loads((KEPT / name / runs.STATE).read_text())
    wiring = Wiring.from_dict(state)
    ports = wiring.port_map(capture.interfaces)
    spoken = [interface.name == OPENFLOW for interface in capture.interfaces]
    with LiveTables(wiring, ports, state) as tables:
        live = Live(wiring, ports, tables)
        live.channel = True
        news: list[News] = []
        notes = sorted(capture.notes, key=lambda note: note.t_ns)
        look = capture.observations[0].t_ns
        for seen in capture.observations:
            while notes and notes[0].t_ns <= seen.t_ns:
                live.note([notes.pop(0)])
            while look < seen.t_ns:
                news += live.poll(look)
                look += 50 * MS
            if spoken[seen.port]:
                live.hear(seen)
            else:
                live.feed(seen)
        live.note(notes)
        for late in range(20):
            news += live.poll(look + late * 50 * MS)
        news += live.finish()
        assert not tables.problem
    return news, live


def by_packet(trips: list[Trip]) -> dict[int, list[tuple[object, ...]]]:
    return {
        trip.number: [
            (made.node, made.by, made.answer, sorted(made.ports), flows(made))
            for made in trip.decisions
        ]
        for trip in trips
    }


def flows(made: Decision) -> list[tuple[object, ...]]:
    if made.passage is None:
        return []
    return [
        (flow.table, flow.priority, flow.match, flow.cookie, flow.came)
        for flow in made.passage.flows
    ]


@needs_switch
@pytest.mark.parametrize("name", NAMES)
def test_the_same_decisions_as_in_the_finished_story(name: str) -> None:
    news, live = lived(name)
    last = {item.trip.number: item.trip for item in news}
    story = finished(name).story
    assert by_packet([last[number] for number in sorted(last)]) == by_packet(list(story.trips))
    assert live.unexplained == 0
    for trip in story.trips:
        assert (last[trip.number].path, len(last[trip.number].legs)) == (trip.path, len(trip.legs))
    texts = [made.sentence for item in news for made in item.decisions]
    assert len(texts) == sum(len(trip.decisions) for trip in story.trips), "each is told once"


@needs_switch
def test_a_flow_is_told_in_a_line_the_first_time_that_it_is_used() -> None:
    flows_shown: set[str] = set()
    lines = " ".join(
        " ".join(line.split()) for item in lived("learning_switch")[0]
        for line in live_lines(item, flows_shown)
    )  # fmt: skip
    plain = {
        made.sentence
        for trip in finished("learning_switch").story.trips
        for made in trip.decisions
        if made.plain
    }
    assert plain
    for sentence in plain:
        assert lines.count(" ".join(sentence.split())) == 1


@needs_switch
def test_without_time_to_ask_packets_are_told_without_their_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(replay_live, "ASK_S", -1.0)
    monkeypatch.setattr(replay_live, "LAST_S", -1.0)
    news, live = lived("drop")
    last = {item.trip.number: item.trip for item in news}
    story = finished("drop").story
    assert list(last) == [trip.number for trip in story.trips]
    by_flow = {
        trip.number for trip in story.trips if any(made.by == "flow" for made in trip.decisions)
    }
    assert by_flow and live.unexplained >= len(by_flow)
    assert not any(made.by == "flow" for trip in last.values() for made in trip.decisions)


@needs_switch
def test_equal_frames_are_asked_about_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    real = Shadow.trace

    def trace(self: Shadow, switch: str, in_port: int, frame: bytes, *options: str) -> str:
        asked.append((switch, in_port))
        return real(self, switch, in_port, frame, *options)

    monkeypatch.setattr(Shadow, "trace", trace)
    with Explainer() as explain:
        run = runs.reopen(KEPT / "two_table_switch", explain=explain)
    arrivals = [passage for passage in run.passages if not passage.packet_out]
    assert len(asked) < len(arrivals) * 0.8, (len(asked), len(arrivals))


def frame(target: str = "10.0.0.2", *, ttl: int = 64, port: int = 80) -> bytes:
    payload = frames.tcp(40000, port, 1, 0, 0x02)
    return frames.eth(
        "02:00:00:00:00:02", "02:00:00:00:00:01", 0x0800,
        frames.ipv4("10.0.0.1", target, 6, payload, ttl=ttl),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("megaflow", "second", "alike"),
    [
        ("recirc_id=0,eth,ip,in_port=1,nw_frag=no", frame("10.0.0.9", port=81), True),
        ("recirc_id=0,eth,ip,in_port=1,nw_dst=10.0.0.2,nw_frag=no", frame("10.0.0.9"), False),
        ("recirc_id=0,eth,ip,in_port=1,nw_dst=10.0.0.0/24,nw_frag=no", frame(port=81), True),
        ("recirc_id=0,eth,tcp,in_port=1,nw_frag=no,tp_dst=80", frame(port=81), False),
        ("recirc_id=0,eth,tcp,in_port=1,nw_frag=no,tp_dst=80", frame("10.0.0.9"), True),
        ("recirc_id=0,eth,ip,in_port=1,nw_ttl=64,nw_frag=no", frame(ttl=63), False),
        ("recirc_id=0,eth,ip,in_port=1,nw_frag=no", b"\xff" * 6 + frame()[6:], True),
        ("recirc_id=0,eth,ip,in_port=1,dl_dst=02:00:00:00:00:02", b"\xff" * 6 + frame()[6:], False),
        ("recirc_id=0,eth,ip,in_port=1,nw_frag=no",
         frame()[:12] + b"\x81\x00\x00\x05" + frame()[12:], False),
        ("recirc_id=0,eth,ip,in_port=1,some_field=7", frame(), False),
    ],
)  # fmt: skip
def test_frames_are_alike_by_the_fields_that_were_looked_at(
    megaflow: str, second: bytes, alike: bool
) -> None:
    answers: Megaflows[str] = Megaflows()
    answers.keep(1, frame(), megaflow, "answer")
    assert (answers.find(1, second) == "answer") is alike
    assert answers.find(2, second) is None, "it came by another port"
    answers.clear()
    assert answers.find(1, second) is None


def test_a_cut_frame_is_like_none() -> None:
    assert shape_of(frame()[:50]) is None
    shape = shape_of(frame())
    assert shape is not None and mask_of("nw_dst=10.0.0.2", shape)
    assert passages.CT_NEW
