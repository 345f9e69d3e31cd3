# SPDX-License-Identifier: Apache-2.0
"""Storms: what goes round a loop of switches is told in the time and memory of its beginning."""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path

import pytest

from hoplab import runs
from hoplab.capture import pcapng_format, pcapng_reader, pcapng_writer
from hoplab.capture.observation import Reception
from hoplab.follow.follow import follow
from hoplab.follow.tree import STORM_FROM
from hoplab.report.as_json import to_dict
from hoplab.report.language import language
from hoplab.report.terminal import render
from hoplab.story.records import Story
from hoplab.story.tell import tell
from tests.unit import frames
from tests.unit import netmodel as nm

ASK = frames.eth(
    frames.BROADCAST,
    "02:00:00:00:00:01",
    0x0806,
    frames.arp(1, "02:00:00:00:00:01", "10.0.0.1", "00:00:00:00:00:00", "10.0.0.2"),
)
ANSWER = frames.eth(
    "02:00:00:00:00:01",
    "02:00:00:00:00:02",
    0x0806,
    frames.arp(2, "02:00:00:00:00:02", "10.0.0.2", "02:00:00:00:00:01", "10.0.0.1"),
)


def loop(cables: list[tuple[str, str]]) -> nm.Net:
    """Hubs wired so, and hosts h1, h2, … at as many of them as there are."""
    net = nm.Net(random.Random(1))
    names = sorted({name for cable in cables for name in cable})
    for name in names:
        net.node(name, "switch", hub=True)
    for number, name in enumerate(names, 1):
        net.node(f"h{number}", "host")
        net.join(f"h{number}", name)
    for end, far_end in cables:
        net.join(end, far_end)
    return net


SHAPES = {
    "two cables": [("s1", "s2"), ("s1", "s2")],
    "three": [("s1", "s2"), ("s2", "s3"), ("s3", "s1")],
    "four": [("s1", "s2"), ("s2", "s3"), ("s3", "s4"), ("s4", "s1")],
    "a mesh": list(itertools.combinations(("s1", "s2", "s3", "s4"), 2)),
}


def story_of(case: nm.Case, *, until: int | None = None, lossy: bool = False) -> Story:
    seen = case.observations[:until]
    return tell(case.wiring, follow(case.wiring, seen, lossy=lossy))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_storm_is_told_wherever_the_capture_ends(shape: str) -> None:
    """Also where each leg of the packet has effects that are only counted."""
    net = loop(SHAPES[shape])
    net.plan(0, lambda: net.send("h1-eth0", ASK, None))
    net.run(1500)
    case = net.case()
    for until in (*range(1, 250, 7), 700, None):
        story = story_of(case, until=until)
        assert story.trips and story.trips[0].path[:2] == ("h1", "s1")
        assert render(story).count("\n") < 75
    assert story.trips[0].storm is not None


def test_a_controller_ends_a_storm_only_where_there_is_one() -> None:
    net = loop(SHAPES["three"])
    net.plan(0, lambda: net.send("h1-eth0", ASK, None))
    net.run(1500)
    case = net.case()
    for controller, ends in (("hub", "hoplab swap spanning_tree"), ("", "STP on the switches")):
        case.wiring.controller = controller
        (alert,) = [each for each in story_of(case).alerts if each.startswith("What ends it")]
        assert ends in alert and ("swap" in alert) == bool(controller)


def test_what_goes_round_is_counted_to_the_last_frame() -> None:
    net = loop(SHAPES["three"])
    net.plan(0, lambda: net.send("h1-eth0", ASK, None))
    net.run(6000)
    case = net.case()
    story = story_of(case)
    (trip,) = story.trips
    sent = sum(seen.reception == Reception.OUTGOING for seen in case.observations)
    assert trip.frames == story.summary.frames == sent


def test_a_host_that_answers_each_copy_is_told_once() -> None:
    """Its answers have the same bytes each, and go round too."""
    net = loop(SHAPES["three"])
    net.plan(0, lambda: net.send("h1-eth0", ASK, None))
    for number in range(200):
        net.plan((5 + number) * nm.MS // 10, lambda: net.send("h2-eth0", ANSWER, None))
    net.run(9000)
    case = net.case()
    story = story_of(case)
    # A port has sent STORM_FROM copies before it is known for certain that they go round.
    assert len(story.trips) < STORM_FROM + 8
    sent = sum(seen.reception == Reception.OUTGOING for seen in case.observations)
    assert story.summary.frames == sent


def test_a_question_again_beside_its_storm_is_a_packet_of_its_own() -> None:
    net = loop(SHAPES["three"])
    for again in range(3):
        net.plan(again * nm.S, lambda: net.send("h1-eth0", ASK, None))
    net.delay = dict.fromkeys(net.delay, 5 * nm.MS)
    net.run(4500)
    story = story_of(net.case())
    assert [trip.sender for trip in story.trips] == ["h1", "h1", "h1"]
    assert any("the same bytes go round already" in note for note in story.trips[1].notes)
    assert not story.trips[1].ended and not story.trips[1].lost


def test_a_capture_in_pieces_is_the_same_capture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frames a little out of order, as a recorder writes them that cannot keep up."""
    net = loop(SHAPES["three"])
    net.plan(0, lambda: net.send("h1-eth0", ASK, None))
    net.run(4000)
    case = net.case()
    seen = case.observations
    shuffled = [
        observed for start in range(0, len(seen), 8) for observed in seen[start : start + 8][::-1]
    ]
    interfaces = [
        pcapng_format.InterfaceInfo(interface.name) for interface in case.wiring.interfaces
    ]
    capture = pcapng_format.Capture(interfaces=interfaces, observations=shuffled)
    capture.received[0], capture.dropped[0] = 10, 3
    with open(tmp_path / runs.CAPTURE, "wb") as file:
        pcapng_writer.write_all(file, capture)
    whole = pcapng_reader.read(tmp_path / runs.CAPTURE)
    monkeypatch.setattr(pcapng_reader, "_PIECE", 1000)
    pieces = list(pcapng_reader.read_pieces(tmp_path / runs.CAPTURE))
    assert len(pieces) > 100
    assert pieces[0][0].dropped == {0: 3}, "known before the first frame is followed"
    assert [observed for _, some in pieces for observed in some] == whole.observations


def _wiring(case: nm.Case) -> str:
    return json.dumps(
        {
            "format": 1,
            "nodes": [{"name": n.name, "kind": n.kind} for n in case.wiring.nodes.values()],
            "interfaces": [
                {"name": i.name, "node": i.node, "mac": i.mac, "addresses": [], "peer": i.peer}
                for i in case.wiring.interfaces
            ],
        }
    )


def test_a_large_run_tells_the_same_story(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = loop(SHAPES["three"])
    net.plan(0, lambda: net.send("h1-eth0", ASK, None))
    net.run(3000)
    case = net.case()
    (tmp_path / runs.STATE).write_text(_wiring(case))
    interfaces = [
        pcapng_format.InterfaceInfo(interface.name) for interface in case.wiring.interfaces
    ]
    capture = pcapng_format.Capture(interfaces=interfaces, observations=case.observations)
    with open(tmp_path / runs.CAPTURE, "wb") as file:
        pcapng_writer.write_all(file, capture)
    small = runs.read(tmp_path)
    monkeypatch.setattr(runs, "HELD_MOST", 0)
    large = runs.read(tmp_path)
    assert render(large.story, detail="full") == render(small.story, detail="full")
    assert len(large.frames) < 100 < len(small.frames), "what only goes round is not held"
    for leg in large.story.trips[0].legs:
        assert leg.sent is None or leg.sent in large.frames


def test_a_storm_is_at_most_a_page() -> None:
    """Also where a host answers each of a hundred copies by a packet of its own, and many
    different frames go round."""
    net = loop(SHAPES["three"])
    net.plan(0, lambda: net.send("h1-eth0", ASK, None))
    for number in range(100):
        answer = ANSWER[:-1] + bytes((number,))
        net.plan(
            (2 + number) * nm.MS // 10, lambda answer=answer: net.send("h2-eth0", answer, None)
        )
    net.run(20000)
    story = story_of(net.case())
    assert len(story.trips) > 50
    for detail in ("normal", "full"):
        lines = render(story, detail=detail).splitlines()
        assert len(lines) <= (60 if detail == "normal" else 100), "\n".join(lines)
        assert any("…" in line and "ARP replies" in line for line in lines)


def test_the_first_lines_say_that_switches_stand_in_a_loop_and_what_to_do() -> None:
    net = loop([*SHAPES["three"], ("s3", "s4")])
    net.plan(0, lambda: net.send("h1-eth0", ASK, None))
    net.run(1500)
    case = net.case()
    case.wiring.controller = "hub"
    story = story_of(case)
    head = " ".join(" ".join(render(story).splitlines()[:10]).split())
    assert "s1, s2, s3 stand in a loop: 1 packet went round it" in head, "s4 stands in none"
    assert f"of all {story.summary.frames:,} frames" in head
    assert "hoplab swap spanning_tree" in head
    assert "s1、s2、s3 连成了环" in render(story, tr=language("zh"), width=300)


def test_where_nothing_goes_round_nothing_is_said_of_it() -> None:
    net = loop([("s1", "s2")])
    net.plan(0, lambda: net.send("h1-eth0", ASK, None))
    net.run(100)
    assert not story_of(net.case()).alerts


def test_pieces_of_older_storms_are_one_line() -> None:
    """Frames that were on their way when the capture began, each told apart by its MAC."""
    net = loop(SHAPES["three"])
    for number in range(60):
        answer = ANSWER[:-1] + bytes((number,))
        net.plan(number * nm.MS // 10, lambda answer=answer: net.send("h2-eth0", answer, None))
    net.run(9000)
    case = net.case()
    late = case.observations[1000:]
    story = tell(case.wiring, follow(case.wiring, late))
    assert len(story.trips) > 40
    lines = render(story).splitlines()
    assert len(lines) <= 60, "\n".join(lines)
    assert sum("when the capture began" in line for line in lines) < 6, "\n".join(lines)


def test_a_storm_as_data_is_bounded_and_says_what_it_leaves_out() -> None:
    net = loop(SHAPES["three"])
    net.plan(0, lambda: net.send("h1-eth0", ASK, None))
    for number in range(240):
        answer = ANSWER[:-1] + bytes((number,))
        net.plan(
            (2 + number) * nm.MS // 10, lambda answer=answer: net.send("h2-eth0", answer, None)
        )
    net.run(20000)
    story = story_of(net.case())
    data = to_dict(story)
    numbers = [trip["number"] for trip in data["trips"]]
    left_out = data["left_out"]
    assert numbers[0] == 1 and len(numbers) <= 2 * left_out["kept_of_each_kind"]
    assert left_out["trips"] + len(numbers) == data["summary"]["trips"] == len(story.trips)
    kept = sum(trip.frames for trip in story.trips if trip.number in numbers)
    assert left_out["frames"] + kept == data["summary"]["frames"]
    assert {number for step in data["steps"] for number in step["trips"]} == set(numbers)
    assert set(data["outcome"]["evidence"]) <= set(numbers)
    assert data["alerts"] == story.alerts
