# SPDX-License-Identifier: Apache-2.0
"""hoplab.replay: kept captures whose switches' tables are played again in a shadow Open vSwitch."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from hoplab import runs
from hoplab.follow import passages
from hoplab.follow.passages import Passage
from hoplab.openvswitch.shadow import Shadow, missing
from hoplab.replay.answers import Answerer
from hoplab.replay.explain import Explainer
from hoplab.replay.history import SwitchHistory
from hoplab.replay.stage import Stage
from hoplab.report import terminal
from hoplab.story.trip_records import Decision
from tests.unit import frames

KEPT = Path(__file__).parent.parent / "data" / "replay"
NAMES = sorted(folder.name for folder in KEPT.iterdir())

pytestmark = pytest.mark.skipif(bool(missing()), reason="Open vSwitch is not installed")


@cache
def told(name: str) -> runs.Run:
    with Explainer() as explain:
        run = runs.reopen(KEPT / name, explain=explain)
    assert not explain.problem
    return run


def decisions(name: str) -> Iterator[Decision]:
    for trip in told(name).story.trips:
        yield from trip.decisions


@pytest.mark.parametrize("name", NAMES)
def test_every_frame_did_what_the_tables_say(name: str) -> None:
    """What was seen on the wire is the oracle: each copy, each question, and none beside them. But
    for what a meter dropped, which tables do not say."""
    answers = told(name).passages
    assert answers
    for passage in answers:
        assert passage.fits or passage.reason == passages.METER, passage


def the_only(name: str, wanted: Callable[[Passage], bool]) -> Passage:
    fitting = [passage for passage in told(name).passages if wanted(passage)]
    assert len(fitting) == 1, fitting
    return fitting[0]


def test_a_flow_without_actions_drops() -> None:
    passage = the_only("drop", lambda passage: not passage.sent)
    assert passage.reason == passages.EXPLICIT
    (flow,) = passage.flows
    assert (flow.table, flow.priority, flow.came) == (0, 10, passages.BEFORE)
    assert flow.match == "eth_type=0x0800, ipv4_src=10.0.0.1, ip_proto=1"


def test_no_flow_at_all_drops() -> None:
    passage = the_only("nomiss", lambda passage: True)
    assert passage.reason == passages.NO_FLOW


def test_a_port_that_is_not_there_drops() -> None:
    passage = the_only("badport", lambda passage: passage.reason != "" and not passage.packet_out)
    assert passage.reason == passages.NO_PORT
    assert passage.flows[0].came == passages.CONTROLLER


def test_a_meter_drops_and_counts() -> None:
    dropped = [passage for passage in told("meter").passages if passage.reason == passages.METER]
    assert len(dropped) == 5
    (meter,) = dropped[0].meters
    assert (meter.number, meter.rate, meter.packets) == (1, 1, True)
    assert (meter.came, meter.dropped) == (6, 5)


def test_a_group_has_its_buckets() -> None:
    groups = [group for passage in told("grp").passages for group in passage.groups]
    assert groups
    for group in groups:
        assert (group.number, group.type, group.buckets) == (7, "all", 4)
        assert group.used == (0, 1, 2, 3)


def test_a_tag_is_part_of_what_is_sent() -> None:
    passage = the_only("vlan", lambda passage: passage.in_port == 1)
    (copy,) = passage.sent
    assert copy.data is not None and copy.data[12:16] == b"\x81\x00\x00\x64"
    assert copy.number, "it was seen to leave"


def test_a_mirror_sends_two_copies() -> None:
    ports = {
        tuple(sorted(copy.port for copy in passage.sent))
        for passage in told("mirror").passages
        if not passage.packet_out and passage.sent
    }
    assert ports == {(1, 3)} or ports == {(2, 3), (1, 3)}


def test_a_flow_of_openflow_1_0_is_known() -> None:
    for passage in told("of10flood").passages:
        assert [(flow.priority, flow.came) for flow in passage.flows] == [(100, passages.BEFORE)]
        assert len(passage.sent) == 3


def test_flows_of_both_tables_are_named() -> None:
    tables = {
        tuple(flow.table for flow in passage.flows)
        for passage in told("two_table_switch").passages
        if passage.sent and not passage.packet_out
    }
    assert (0, 1) in tables


REASONS = {
    "drop": "s1 drops this by table 0, priority 10, eth_type=0x0800, ipv4_src=10.0.0.1, ip_proto=1 "
    "(from before the capture)",
    "nomiss": "s1 has no flow for this in table 0, and none for whatever comes (table-miss): it "
    "drops it",
    "badport": "s1 drops this: table 0, priority 1, in_port=1 (installed because of #1) would send "
    "it out of a port that it has not",
    "meter": "s1 drops this: meter 1 lets no more than 1 packet/s pass (table 0, priority 10, "
    "eth_type=0x0800 (from before the capture)); of 6 frames that came to this meter meanwhile it "
    "dropped 5",
}


@pytest.mark.parametrize("name", REASONS)
def test_a_drop_has_its_reason_in_the_packet_and_in_the_conclusion(name: str) -> None:
    assert REASONS[name] in [decision.sentence for decision in decisions(name)]
    assert any(REASONS[name] in why for why in told(name).story.outcome.why)


def test_a_packet_out_of_bytes_that_were_asked_about_costs_no_second_question(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A storm is many of them, and flows come meanwhile, which have no say in it."""
    asked: list[tuple[str, str, bytes]] = []
    ask = Shadow.trace_out

    def count(shadow: Shadow, switch: str, where: str, frame: bytes, words: str) -> str:
        asked.append((switch, where, frame))
        return ask(shadow, switch, where, frame, words)

    monkeypatch.setattr(Shadow, "trace_out", count)
    flood = struct.pack("!HHIH6x", 0, 16, 0xFFFFFFFB, 0)
    ask_mac = frames.arp(1, "02:00:00:00:01:00", "10.0.0.1", "00:00:00:00:00:00", "10.0.0.2")
    frame = frames.eth("ff:ff:ff:ff:ff:ff", "02:00:00:00:01:00", 0x0806, ask_mac)
    with Shadow() as shadow:
        shadow.open({"s1": [1, 2, 3]})
        stage = Stage(shadow, "s1", SwitchHistory())
        answerer = Answerer(stage)
        for stage.at, stage.ports_at, questions in ((0, 0, 1), (0, 0, 1), (1, 0, 1), (2, 1, 2)):
            passage = answerer.packet_out(1, 1, 1, frame, flood, 4)
            assert [copy.port for copy in passage.sent] == [2, 3]
            assert len(asked) == questions


def test_a_flood_is_told_by_its_flow() -> None:
    sentences = {decision.sentence for decision in decisions("of10flood")}
    assert sentences == {
        "s1 did not ask the controller: it floods this by table 0, priority 100, any frame (from "
        "before the capture)"
    }


def test_a_hop_by_a_flow_is_known_and_left_out_of_the_short_text() -> None:
    plain = [decision for decision in decisions("learning_switch") if decision.plain]
    assert plain and all(decision.flow and decision.passage for decision in plain)
    short = terminal.render(told("learning_switch").story, width=300)
    full = terminal.render(told("learning_switch").story, width=300, detail="full")
    assert plain[0].sentence not in short
    assert plain[0].sentence in full


@pytest.mark.parametrize("name", ["meter", "vlan", "grp", "learning_switch"])
def test_what_was_found_is_kept_and_told_again(name: str, tmp_path: Path) -> None:
    """Without an Open vSwitch the folder alone tells the same."""
    run = told(name)
    for file in ("capture.pcapng", "lab.json"):
        (tmp_path / file).write_bytes((KEPT / name / file).read_bytes())
    head = {"switches": passages.to_plain(run.passages)}
    (tmp_path / "trace.json").write_text(json.dumps(head))
    again = runs.reopen(tmp_path)
    assert list(again.passages) == list(run.passages)
    assert terminal.render(again.story, width=100) == terminal.render(run.story, width=100)


@pytest.mark.parametrize("broken", [[], {"flows": [], "passages": [{}]}, {"flows": 3}])
def test_what_makes_no_sense_is_as_if_it_were_not_there(broken: object, tmp_path: Path) -> None:
    for file in ("capture.pcapng", "lab.json"):
        (tmp_path / file).write_bytes((KEPT / "drop" / file).read_bytes())
    (tmp_path / "trace.json").write_text(json.dumps({"switches": broken}))
    assert not runs.reopen(tmp_path).passages


def test_a_port_that_the_spanning_tree_of_a_switch_blocks() -> None:
    """Three switches in a ring that run STP by themselves, beside a learning switch: a broadcast
    comes to s2 by both sides, and goes on from there by the side that is not blocked."""
    sentences = {decision.sentence for decision in decisions("stp")}
    assert "s2 drops this: its spanning tree (STP) blocks the port by which it came" in sentences
    assert "s1 takes it itself, for the spanning tree that it runs (STP)" in sentences
    assert not any("nothing explains" in sentence for sentence in sentences)
    request = next(trip for trip in told("stp").story.trips if trip.kind == "arp-request")
    into_h2 = next(leg for leg in request.legs if leg.head == "h2")
    assert into_h2.parent is not None
    assert request.legs[into_h2.parent].tail == "s3"
    assert request.delivered == ("h3",)


def test_what_a_controller_answers_by_itself_has_come_where_it_was_to() -> None:
    """An ARP proxy: the question goes to the controller, and the answer comes from it."""
    story = told("arpproxy").story
    asked = [trip for trip in story.trips if trip.kind == "arp-request"]
    assert [trip.answered_by for trip in asked] == [2, 5]
    assert [trip.ended for trip in story.trips] == [""] * 6
    assert not any(trip.reached("h2") for trip in asked if trip.sender == "h1")
    assert "\u2717" not in terminal.render(story), "nothing went wrong"


def test_a_mac_address_at_another_port_than_its_owners() -> None:
    """h3 has taken the MAC address of h2, and the switch has learned that."""
    story = told("wrongport").story
    (request,) = story.trips
    assert request.path == ("h1", "s1", "h3")
    assert request.ended == (
        "h2 has the MAC 02:00:00:00:02:00, and no copy reached it: s1 sent this to h3, whose card "
        "took it for its own"
    )


def test_a_tag_is_taken_off_and_any_tag_is_asked_for() -> None:
    (request,) = [trip for trip in told("vlanpop").story.trips if trip.number == 3]
    off = next(decision for decision in request.decisions if decision.node == "s2")
    assert "in_port=2, vlan_vid=0x1000/0x1000 (" in off.sentence
    assert off.sentence.endswith("it takes the tag of VLAN 100 off it")
    assert request.notes == (
        "802.1Q tags on the way: none from h1 to s1, VLAN 100 from s1 to s2, none from s2 to h2",
    )
