# SPDX-License-Identifier: Apache-2.0
"""Kept captures told: what controllers wanted of switches, what switches refused, what they made of
frames. No Open vSwitch is needed here but where a test says so."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from hoplab import runs
from hoplab.decode.openflow_errors import error_name
from hoplab.openvswitch.shadow import missing
from hoplab.replay.explain import Explainer
from hoplab.report import as_json, phrases, terminal
from hoplab.story.records import Story
from hoplab.story.trip_records import Decision
from tests.unit.test_runs import untranslated

KEPT = Path(__file__).parent.parent / "data" / "replay"
with_shadow = pytest.mark.skipif(bool(missing()), reason="Open vSwitch is not installed")


@cache
def story(name: str, *, asked: bool = False) -> Story:
    """asked: a shadow of the switches is."""
    if not asked:
        return runs.reopen(KEPT / name).story
    with Explainer() as explain:
        return runs.reopen(KEPT / name, explain=explain).story


def decision(name: str, packet: int, *, asked: bool = False) -> Decision:
    (trip,) = [trip for trip in story(name, asked=asked).trips if trip.number == packet]
    (only,) = trip.decisions
    return only


def test_a_flow_that_the_switch_refused_is_not_installed() -> None:
    made = decision("prereq", 3)
    assert not made.installed
    (refused,) = made.refused
    assert refused == (
        "the flow table 0: in_port=1, eth_dst=02:00:00:00:02:00, eth_src=02:00:00:00:01:00, "
        "ipv4_dst=10.0.0.2 → port 2 (s1-eth2): bad match: a field that another one requires is "
        "missing, such as eth_type (OFPBMC_BAD_PREREQ: type 4, code 9)"
    )
    assert refused in made.sentence
    assert as_json.decision(made)["refused"] == [refused]
    assert len(decision("prereq", 2).installed) == 1, "the flow for ARP is in order"


def test_a_packet_out_to_no_port_is_refused() -> None:
    made = decision("badport", 1)
    assert made.refused == (
        "the packet-out: bad action: the switch has no such port (OFPBAC_BAD_OUT_PORT: type 2, "
        "code 4)",
    )
    assert not made.ports


def test_a_packet_out_without_a_frame_sends_nothing() -> None:
    made = decision("nodata", 1)
    assert "without a frame and without a buffer, so that nothing was sent" in made.sentence
    assert any(made.sentence in why for why in story("nodata").outcome.why)


def test_a_frame_that_was_not_sent_back_is_the_reason_in_the_conclusion() -> None:
    for name, packet, more in (
        ("nopo", 2, ""),
        (
            "dropin", 3,
            "; from then on frames are dropped by table 0, priority 100, eth_type=0x0800, "
            "ipv4_src=10.0.0.1",
        ),
    ):  # fmt: skip
        made = decision(name, packet)
        assert made.sentence.endswith("which installed 1 flow and sent no frame back" + more)
        assert any(made.sentence in why for why in story(name).outcome.why)


def test_each_flow_belongs_to_the_question_that_it_followed() -> None:
    assert [len(decision("nopo", packet).installed) for packet in (1, 2)] == [0, 1]
    installed = [decision("l3", packet).installed for packet in (1, 2, 3, 4)]
    assert [len(flows) for flows in installed] == [0, 0, 1, 1]
    assert installed[2] == (
        "table 0: eth_type=0x0800, ipv4_src=10.0.0.1, ipv4_dst=10.0.0.2 → port 2 (s1-eth2)",
    )


def test_a_flow_that_looks_at_more_than_ports_and_cards_is_told_in_the_normal_story() -> None:
    text = terminal.render(story("l3"), width=200)
    assert "+ table 0: eth_type=0x0800, ipv4_src=10.0.0.1, ipv4_dst=10.0.0.2 → port 2" in text
    assert "+ table 0: eth_type=0x0800, ipv4_src=10.0.0.2, ipv4_dst=10.0.0.1 → port 1" in text
    assert "  + " not in terminal.render(story("learning_switch"), width=200)


def test_an_exception_of_the_controller_is_the_reason() -> None:
    made = decision("exc", 1)
    assert made.failed
    assert made.sentence.endswith(
        "which gave no answer; the controller raised KeyError: 'eth_dst' (exc.py:6) at a "
        "packet-in of s1"
    )
    assert any(made.sentence in why for why in story("exc").outcome.why)


def test_a_group_is_an_answer() -> None:
    assert decision("grp", 1).answer == "group 7"


def test_a_mirror_copies_and_does_not_flood() -> None:
    mirrored = [trip for trip in story("mirror").trips if trip.number in (2, 3)]
    for trip in mirrored:
        assert phrases.flooded_by(trip) == "copied by s1 (2 ports)"
    assert not story("mirror", asked=True).summary.unicast_flooded


@with_shadow
def test_a_packet_stays_one_whatever_the_tables_write_into_it() -> None:
    """A virtual address: new addresses, a TTL one lower, and a mirror on the way back."""
    whole = story("vip", asked=True)
    assert [(trip.kind, trip.path) for trip in whole.trips] == [
        ("icmp-echo-request", ("h1", "s1", "h3")), ("icmp-echo-reply", ("h3", "s1", "h1")),
    ] * 2  # fmt: skip
    assert all(not trip.cause and not trip.ended for trip in whole.trips)
    request = whole.trips[0]
    assert (request.dst, request.last.dst, request.last.ttl) == ("10.0.0.100", "10.0.0.3", 63)
    (made,) = request.decisions
    assert made.sentence.endswith(
        "it changes the frame: set_field:10.0.0.3->ip_dst, "
        "set_field:02:00:00:00:03:00->eth_dst, dec_ttl"
    )
    assert whole.outcome.ok


@with_shadow
def test_a_tag_is_told_where_it_is_put_on() -> None:
    whole = story("vlan", asked=True)
    made = decision("vlan", 1, asked=True)
    assert made.sentence.endswith("; it puts the tag of VLAN 100 on it")
    tags = "802.1Q tags on the way: none from h1 to s1, VLAN 100 from s1 to h2"
    assert all(tags in trip.notes for trip in whole.trips)
    assert [leg.vlan for leg in whole.trips[0].legs] == [None, 100]
    assert (
        "It came to h2 with the tag of VLAN 100, which it did not have when h1 sent it: h2 takes "
        "it only if it has a card in that VLAN."
    ) in whole.outcome.why
    assert untranslated(whole) == set()


@with_shadow
def test_a_group_is_told_with_its_buckets() -> None:
    for packet in (2, 3, 4):
        made = decision("grp", packet, asked=True)
        assert made.sentence.endswith("group 7 (all): bucket 1, 2, 3, 4 of 4")


@pytest.mark.parametrize(
    ("kind", "code", "name"),
    [(4, 9, "OFPBMC_BAD_PREREQ"), (2, 4, "OFPBAC_BAD_OUT_PORT"), (6, 0, "OFPGMFC_GROUP_EXISTS"),
     (13, 5, "OFPTFFC_EPERM"), (13, 6, ""), (99, 0, "")],
)  # fmt: skip
def test_errors_have_their_names(kind: int, code: int, name: str) -> None:
    assert error_name(kind, code) == name
