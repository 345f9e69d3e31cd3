# SPDX-License-Identifier: Apache-2.0
"""hoplab.story.live: what is told while frames come, judged by the story told afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from hoplab import runs
from hoplab.capture import pcapng_reader
from hoplab.follow.wiring import Wiring
from hoplab.openflow_channel import INTERFACE as OPENFLOW
from hoplab.report.cells import cells
from hoplab.report.language import read_language
from hoplab.report.terminal import live_lines
from hoplab.story.live import QUIET_NS, Live, News
from hoplab.story.records import Story
from hoplab.story.trip_records import Trip
from tests.unit.scenarios import on_its_way

RUNS = Path(__file__).parent.parent / "data" / "runs"
NAMES = sorted(path.name for path in RUNS.iterdir())
MS = 1_000_000


def replay(name: str, every_ms: int = 50) -> list[News]:
    """A recorded run, looked at every so often in its own time."""
    capture = pcapng_reader.read(RUNS / name / runs.CAPTURE)
    wiring = Wiring.load(RUNS / name / runs.STATE)
    live = Live(wiring, wiring.port_map(capture.interfaces))
    spoken = [interface.name == OPENFLOW for interface in capture.interfaces]
    live.channel = any(spoken)
    news: list[News] = []
    look = 0
    for observation in capture.observations:
        while look and look < observation.t_ns:
            news += live.poll(look)
            look += every_ms * MS
        look = look or observation.t_ns
        if spoken[observation.port]:
            live.hear(observation)
        else:
            live.feed(observation)
    for late in range(1000 // every_ms):
        news += live.poll(look + late * every_ms * MS)
    return news + live.finish()


def last_words(news: list[News]) -> list[Trip]:
    """Of each packet what was told last, by number."""
    latest = {item.trip.number: item.trip for item in news}
    return [latest[number] for number in sorted(latest)]


def shape(trips: list[Trip]) -> list[object]:
    return [
        (
            t.number,
            t.ms,
            t.kind,
            t.path,
            t.fan,
            sorted(copy.node for copy in t.ignored),
            len(t.legs),
        )
        for t in trips
    ]


def finished(name: str) -> Story:
    return runs.reopen(RUNS / name).story


@pytest.mark.parametrize("name", NAMES)
def test_the_same_packets_as_in_the_finished_story(name: str) -> None:
    news = replay(name)
    story = finished(name)
    trips = last_words(news)
    if name == "ipv6":
        # Nobody can know whose link-local address is asked for until the owner has answered.
        ignored = tuple(copy for copy in trips[0].ignored if copy.node != "h2")
        trips[0] = on_its_way(trips[0], ignored=ignored)
    assert shape(trips) == shape(story.trips)
    assert [t.title for t in last_words(news)] == [t.title for t in story.trips]
    firsts = [item.trip.number for item in news if not item.more]
    assert sorted(firsts) == list(range(1, len(story.trips) + 1))


@pytest.mark.parametrize("name", NAMES)
def test_the_same_causes_as_in_the_finished_story(name: str) -> None:
    """And each is told once, though the packets that show it come later."""
    by_number: dict[int, list[News]] = {}
    for item in replay(name):
        by_number.setdefault(item.trip.number, []).append(item)
    story = finished(name)
    queues = story.summary.queue_losses
    for trip in story.trips:
        parts = by_number[trip.number]
        assert parts[0].moved and not parts[0].more and all(item.more for item in parts[1:])
        (last,) = {id(item.trip): item.trip for item in parts[-1:]}.values()
        assert (last.cause, last.causes, last.answered_by) == (
            trip.cause, trip.causes, trip.answered_by
        )  # fmt: skip
        assert [item.cause for item in parts if item.cause] == [trip.cause][: bool(trip.cause)]
        ended = [item.ended for item in parts if item.ended]
        if queues:  # only at its end a capture has the counters that say where room was lacking
            assert len(ended) == bool(trip.ended)
        else:
            assert ended == [trip.ended][: bool(trip.ended)]
        if trip.storm is None:
            assert tuple(note for item in parts for note in item.notes) == trip.notes
        sentences = [each.sentence for item in parts for each in item.decisions]
        questions = [(each.node, each.packet_in) for item in parts for each in item.decisions]
        assert len(set(questions)) == len(questions)
        assert set(sentences) == {each.sentence for each in trip.decisions}


@pytest.mark.parametrize("name", NAMES)
def test_what_is_out_of_the_window_is_told_as_it_was(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory holds few packets; what they showed of others before stays told, and told once."""
    monkeypatch.setattr("hoplab.story.live.WINDOW_MOST", 3)
    trips = last_words(replay(name, every_ms=2))
    story = finished(name)
    assert [trip.number for trip in trips] == [trip.number for trip in story.trips]
    assert [trip.title for trip in trips] == [trip.title for trip in story.trips]
    for live, whole in zip(trips, story.trips, strict=True):
        assert live.answered_by in (0, whole.answered_by) and live.path == whole.path


@pytest.mark.parametrize("every_ms", [3, 700])
@pytest.mark.parametrize("name", ["web-cold", "routed-cold", "nat", "cable-two-subnets"])
def test_however_often_one_looks(name: str, every_ms: int) -> None:
    assert last_words(replay(name, every_ms)) == last_words(replay(name))


def test_a_packet_held_for_arp_is_told_and_then_continued() -> None:
    """r1 asks for a host that is slow to answer: the packet rests there, and goes on."""
    wiring = Wiring.load(RUNS / "routed-cold" / runs.STATE)
    capture = pcapng_reader.read(RUNS / "routed-cold" / runs.CAPTURE)
    ports = wiring.port_map(capture.interfaces)
    story = finished("routed-cold")
    ping = next(t for t in story.trips if t.kind == "icmp-echo-request")
    routed = next(leg for leg in ping.legs if leg.origin == "routed")
    live = Live(wiring, ports)
    cut = next(o.t_ns for o in capture.observations if o.number == routed.sent)
    for observation in capture.observations:
        if observation.t_ns < cut:
            live.feed(observation)
    early = {item.trip.number: item for item in live.poll(cut + QUIET_NS)}
    assert not early[ping.number].more and early[ping.number].trip.path[-1] == routed.tail
    for observation in capture.observations:
        if observation.t_ns >= cut:
            live.feed(observation)
    late = {item.trip.number: item for item in live.poll(cut + 2000 * MS)}
    assert late[ping.number].more and late[ping.number].trip.path == ping.path
    assert live.poll(cut + 2001 * MS) == []


def test_nothing_is_told_while_it_moves() -> None:
    wiring = Wiring.load(RUNS / "switch" / runs.STATE)
    capture = pcapng_reader.read(RUNS / "switch" / runs.CAPTURE)
    live = Live(wiring, wiring.port_map(capture.interfaces))
    for observation in capture.observations:
        live.feed(observation)
    assert live.poll(capture.observations[0].t_ns + QUIET_NS - 1) == []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("width", [80, 100])
def test_lines_in_both_languages(name: str, width: int) -> None:
    tr = read_language("zh")
    for item in replay(name):
        for lines in (
            live_lines(item, width=width, tr=tr),
            live_lines(item, width=width),
        ):
            assert lines and all(cells(line) <= width for line in lines)
        plain = live_lines(item, width=width, ascii=True)
        assert all(line.isascii() for line in plain)
    assert tr.unknown == set()
