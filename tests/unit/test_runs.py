# SPDX-License-Identifier: Apache-2.0
"""Recorded runs of a real lab, told offline: golden stories in both languages, golden reports.

`HOPLAB_UPDATE_GOLDEN=1 pytest tests/unit/test_runs.py` writes tests/golden/runs anew; read what
changed before you keep it. `tests/record_runs.py` records the runs.
"""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
from functools import cache
from pathlib import Path

import pytest

from hoplab import runs
from hoplab.capture import pcapng_reader, pcapng_writer
from hoplab.capture.observation import Reception
from hoplab.decode.packet import strip_padding
from hoplab.errors import Exit, LabError
from hoplab.report.cells import cells
from hoplab.report.language import language, read_language
from hoplab.report.markdown import markdown
from hoplab.report.page import page
from hoplab.report.terminal import render
from hoplab.story.records import Story
from tests.unit.scenarios import SCENARIOS

TESTS = Path(__file__).parent.parent
RUNS = TESTS / "data" / "runs"
GOLDEN = TESTS / "golden" / "runs"
NAMES = sorted(path.name for path in RUNS.iterdir())
OUTGOING = Reception.OUTGOING
UPDATE = os.environ.get("HOPLAB_UPDATE_GOLDEN") == "1"

# How each run must end: the code of its outcome, and where.
ENDS = {
    "cable-one-subnet": ("answered", "h2"),
    "cable-two-subnets": ("no-frame", "h1"),
    "controller-killed": ("answered", "h2"),
    "dead-host": ("arp-silent", "r2"),
    "fragmentation": ("answered", "h3"),
    "hub": ("answered", "h2"),
    "ipv6": ("answered", "h2"),
    "ipv6-too-early": ("failed", "h1"),
    "loop-storm": ("arp-silent", "h1"),
    "missing-gateway": ("no-frame", "h1"),
    "missing-gateway-back": ("ping-silent", "h3"),
    "must-not-fragment": ("unreachable", "r1"),
    "nat": ("answered", "h3"),
    "no-address": ("no-address", "resolver"),
    "no-such-page": ("http-error", "www"),
    "nxdomain": ("nxdomain", "resolver"),
    "refused": ("refused", "idle"),
    "reply-lost": ("reply-lost", "r1"),
    "routed-cold": ("answered", "h3"),
    "routed-warm": ("answered", "h3"),
    "switch": ("answered", "h2"),
    "tcp-full-queue": ("unanswered", "h2"),
    "tcp-no-room": ("unanswered", "h2"),
    "tcp-timeouts": ("talked", "h2"),
    "traceroute": ("route", "www"),
    "ttl-expiry": ("time-exceeded", "r1"),
    "web-cold": ("fetched", "www"),
    "web-hub": ("fetched", "www"),
    "web-warm": ("fetched", "www"),
    "wrong-netmask": ("arp-silent", "h1"),
}


@cache
def kept(name: str) -> runs.Run:
    return runs.reopen(RUNS / name)


def same(name: str, text: str) -> None:
    path = GOLDEN / name
    if UPDATE:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert path.exists(), f"{path.name} is missing: HOPLAB_UPDATE_GOLDEN=1 writes it"
    assert text == path.read_text(encoding="utf-8")


def test_every_run_is_known_and_small() -> None:
    assert set(NAMES) == set(ENDS)
    for name in NAMES:
        assert (RUNS / name / "capture.pcapng").stat().st_size < 100_000


@pytest.mark.parametrize("name", NAMES)
def test_golden_story(name: str) -> None:
    same(f"{name}.txt", render(kept(name).story))


@pytest.mark.parametrize("name", NAMES)
def test_golden_story_in_chinese(name: str) -> None:
    same(f"{name}.zh.txt", render(kept(name).story, tr=language("zh")))


@pytest.mark.parametrize("name", NAMES)
def test_golden_report(name: str) -> None:
    same(f"{name}.md", markdown([kept(name)], language("en")))


def test_a_comparison_has_the_links_of_both() -> None:
    first, second = kept("switch"), kept("web-cold")
    for left, right in ((first, second), (second, first)):
        page = markdown([left, right], language("en"))
        assert re.search(r"^\| *client-eth0 ─ s1-eth1 *\|.*-", page, re.M), page[-3000:]
        assert re.search(r"^\| *h4-eth0 ─ |─ h4-eth0", page, re.M)


def test_golden_comparison() -> None:
    same("hub-switch.md", markdown([kept("hub"), kept("switch")], language("en")))


@pytest.mark.parametrize("name", NAMES)
def test_every_frame_found_its_place(name: str) -> None:
    run = kept(name)
    health = run.story.summary.health
    assert (health.orphans, health.healed, health.dropped) == (0, 0, 0)
    numbers = [n for t in run.story.trips for leg in t.legs for n in (leg.sent, leg.received) if n]
    counted = 0
    for trip in run.story.trips:
        rest = trip.storm.rest if trip.storm else ()
        counted += sum(count.frames + count.arrived for count in rest)
    assert len(numbers) + counted == len(run.frames)
    assert len(set(numbers)) == len(numbers) and (counted or sorted(numbers) == sorted(run.frames))


def test_a_storm_is_counted_from_the_capture() -> None:
    """The judge is a plain count over the capture's frames, without any following."""
    run = kept("loop-storm")
    (trip,) = [trip for trip in run.story.trips if trip.storm]
    storm = trip.storm
    assert storm is not None and len(trip.legs) < 50
    names = {port: run.wiring.interfaces[port] for port in range(len(run.wiring.interfaces))}
    capture = pcapng_reader.read(RUNS / "loop-storm" / runs.CAPTURE)
    ports = run.wiring.port_map(capture.interfaces)
    request = run.frames[trip.legs[0].sent or 0].data
    same = [
        (names[port], observation)
        for observation in capture.observations
        if (port := ports[observation.port]) is not None
        and strip_padding(observation.data) == request
    ]
    arrivals = [
        observed
        for at, observed in same
        if at.node == storm.node and observed.reception != OUTGOING
    ]
    assert storm.node == "s1" and storm.back == len(arrivals) - 1 > 20
    assert storm.frames == sum(observed.reception == OUTGOING for _, observed in same)
    assert storm.ms == pytest.approx((same[-1][1].t_ns - same[0][1].t_ns) / 1e6)
    at_hosts = [
        at
        for at, observed in same
        if at.node in ("h1", "h2", "h3") and observed.reception != OUTGOING
    ]
    assert run.story.summary.arrivals == len(at_hosts) == run.story.summary.ignored
    assert run.story.summary.frames == storm.frames


@pytest.mark.parametrize("name", NAMES)
def test_every_packet_was_made_by_the_owner_of_its_source_address(name: str) -> None:
    """A frame linked to no cause would look as if a router had made it."""
    run = kept(name)
    for trip in run.story.trips:
        owner = run.wiring.node_of_ip(trip.src)
        # A wrong netmask does not change whose address it is.
        assert owner in (None, trip.sender), f"#{trip.number} {trip.title}"


@pytest.mark.parametrize("name", NAMES)
def test_the_end(name: str) -> None:
    outcome = kept(name).story.outcome
    assert (outcome.code, outcome.where) == ENDS[name]
    good = ("answered", "fetched", "route", "talked", "unanswered")
    assert outcome.ok == (outcome.code in good)


@pytest.mark.parametrize("name", NAMES)
def test_links_bear_what_was_sent(name: str) -> None:
    """Both ends of a link saw the same bytes: what the report shows once is true of both."""
    run = kept(name)
    for trip in run.story.trips:
        for leg in trip.legs:
            if leg.sent and leg.received:
                sent, received = run.frames[leg.sent].data, run.frames[leg.received].data
                assert strip_padding(sent) == strip_padding(received)


def test_hub_and_switch() -> None:
    hub, switch = kept("hub").story.summary, kept("switch").story.summary
    assert hub.trips == switch.trips == 4
    assert hub.frames == 16 and switch.frames == 10
    assert hub.unicast_flooded == 3 and switch.unicast_flooded == 0


def test_a_controller_that_comes_back_answers_what_was_asked_again() -> None:
    """While it is away the switch drops what no flow matches; the host asks until it is back."""
    story = kept("controller-killed").story
    asked = [trip for trip in story.trips if trip.kind == "arp-request"]
    assert [bool(trip.ended) for trip in asked] == [True, False]
    assert [[decision.by for decision in trip.decisions] for trip in asked] == [
        ["nobody"],
        ["controller"],
    ]
    assert story.steps[0].remarks[0].text == (
        "h1 asked 2 times for 10.0.0.2 (#1, #2) before an answer came."
    )


def test_nat_and_fragments_are_told() -> None:
    out = kept("nat").story.trips[0]
    assert [rewrite.src_after for rewrite in out.rewrites] == ["10.0.2.1"]
    cut = kept("fragmentation").story.trips[0]
    assert cut.notes == ("r1 cut it into 3 fragments: IP packets of 596, 596, 76 bytes",)
    later = kept("fragmentation").story.trips[2]
    assert later.notes == ("a later part of the packet that began with #2",)
    steps_of_trips = kept("fragmentation").story.steps_of_trips()
    assert steps_of_trips[2] == steps_of_trips[3]


def test_what_the_command_said_is_quoted_where_no_frame_can_tell() -> None:
    for name in ("cable-two-subnets", "missing-gateway"):
        assert "Network is unreachable" in kept(name).story.outcome.why[-1]


def test_a_run_without_trace_is_told_by_its_frames(tmp_path: Path) -> None:
    for file in (runs.STATE, runs.CAPTURE):
        (tmp_path / file).write_bytes((RUNS / "switch" / file).read_bytes())
    story = runs.reopen(tmp_path).story
    assert story.outcome.code == "answered" and not story.setting.host


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"lab\.json") as caught:
        runs.reopen(tmp_path)
    assert caught.value.code == Exit.NO_SUCH
    (tmp_path / runs.STATE).write_text("{}")
    with pytest.raises(LabError, match="format"):
        runs.reopen(tmp_path)
    (tmp_path / runs.TRACE).write_text("[")
    with pytest.raises(LabError, match=r"trace\.json"):
        runs.reopen(tmp_path)


# --- Chinese --------------------------------------------------------------------------------


def untranslated(story: Story, run: runs.Run | None = None) -> set[str]:
    """What a reader of Chinese would still see in English."""
    tr = read_language("zh")
    for detail in ("brief", "normal", "full"):
        render(story, tr=tr, detail=detail)
    if run is not None:
        page([run], tr)
        page([run, run], tr)
        markdown([run], tr)
    return tr.unknown


@pytest.mark.parametrize("name", NAMES)
def test_no_sentence_of_a_run_is_left_in_english(name: str) -> None:
    assert untranslated(kept(name).story, kept(name)) == set()


@pytest.mark.parametrize("name", SCENARIOS)
def test_no_sentence_of_a_scenario_is_left_in_english(name: str) -> None:
    assert untranslated(SCENARIOS[name]()) == set()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("width", [80, 100, 120])
def test_no_chinese_line_is_wider_than_asked(name: str, width: int) -> None:
    for detail in ("brief", "normal", "full"):
        text = render(kept(name).story, width=width, detail=detail, tr=language("zh"))
        assert [line for line in text.splitlines() if cells(line) > width] == []


def test_columns_stand_below_each_other_in_chinese() -> None:
    lines = render(kept("web-cold").story, tr=language("zh")).splitlines()
    head = next(i for i, line in enumerate(lines) if line.startswith("   链路"))
    frames = cells(lines[head].partition("帧数")[0]) + 4
    for line in lines[head + 1 : head + 13]:
        match = re.match(r".*─ \S+ +\d+ +\d+ +\d+", line)
        assert match and cells(match[0]) == frames


@pytest.mark.parametrize("name", ["web-cold", "routed-cold", "switch", "web-hub"])
def test_what_the_end_of_the_capture_cuts_is_not_lost(name: str, tmp_path: Path) -> None:
    """A run in which nothing was lost, stopped after any of its frames."""
    whole = pcapng_reader.read(RUNS / name / runs.CAPTURE)
    shutil.copyfile(RUNS / name / runs.STATE, tmp_path / runs.STATE)
    cut = 0
    every = max(1, len(whole.observations) // 25)
    for count in range(1, len(whole.observations), every):
        shown = whole.observations[:count]
        end = shown[-1].t_ns + 40_000_000
        part = dataclasses.replace(whole, observations=shown, ended_ns=end, comments={})
        with open(tmp_path / runs.CAPTURE, "wb") as file:
            pcapng_writer.write_all(file, part)
        story = runs.reopen(tmp_path).story
        assert [trip.title for trip in story.trips if trip.lost] == []
        legs = [leg for trip in story.trips for leg in trip.legs if leg.cut]
        cut += len(legs)
        assert all(leg.received is None for leg in legs)
        assert not any(" never arrived at " in trip.ended for trip in story.trips)
    assert cut
