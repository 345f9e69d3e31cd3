# SPDX-License-Identifier: Apache-2.0
"""Which packet made an entry of a table: where a switch learned an address, by which answer a host
knows a neighbour, why a flow was put in."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from hoplab import runs
from hoplab.capture import pcapng_reader
from hoplab.follow.passages import CONTROLLER
from hoplab.follow.wiring import Wiring
from hoplab.live.entries import tables_of
from hoplab.live.origins import Origins
from hoplab.openvswitch.shadow import missing
from hoplab.replay.explain import Explainer

KEPT = Path(__file__).parent.parent / "data" / "replay" / "learning_switch"
NEVER_NS = 1


@cache
def story() -> runs.Run:
    with Explainer() as explain:
        return runs.reopen(KEPT, explain=explain)


@cache
def origins() -> Origins:
    told = Origins(Wiring.load(KEPT / runs.STATE))
    told.note(pcapng_reader.read(KEPT / runs.CAPTURE).notes)
    told.tell(story().story.trips)
    return told


def kind(number: int) -> str:
    return next(trip.kind for trip in story().story.trips if trip.number == number)


def test_a_switch_learns_an_address_from_the_first_frame_of_its() -> None:
    macs = origins().of("s1", NEVER_NS, {})["macs"]
    first = min(
        trip.number for trip in story().story.trips
        for leg in trip.legs if leg.head == "s1" and leg.src_mac == "02:00:00:00:01:00"
    )  # fmt: skip
    assert macs["02:00:00:00:01:00"] == ["s1-eth1", first]


def test_a_host_knows_a_neighbour_by_the_arp_packet_that_came() -> None:
    neighbours = origins().of("h1", NEVER_NS, {})["neighbours"]
    assert [kind(packet) for _, packet in neighbours.values()] == ["arp-reply"]
    held: dict[str, Any] = {"routes": [], "connections": [], "listeners": []}
    ((ip, (mac, packet)),) = neighbours.items()
    for entry_mac, permanent, made_by in ((mac, False, packet), (mac, True, 0), ("02:9", False, 0)):
        entry = {"ip": ip, "mac": entry_mac, "permanent": permanent, "card": "h1-eth0"}
        arp = tables_of({**held, "neighbours": [entry]}, {"neighbours": neighbours})[0]
        assert (arp["rows"], arp["packets"]) == ([[ip, entry_mac, "h1-eth0"]], [made_by])


@pytest.mark.skipif(bool(missing()), reason="Open vSwitch is not installed")
def test_a_flow_has_the_packet_that_the_controller_was_asked_about() -> None:
    flow_mods = {
        (flow.table, flow.priority, flow.match): flow.flow_mod
        for passage in story().passages if passage.switch == "s1"
        for flow in passage.flows if flow.came == CONTROLLER and flow.priority is not None
    }  # fmt: skip
    flows = origins().of("s1", NEVER_NS, flow_mods)["flows"]
    made_by = {flow["match"]: flow["packet"] for flow in flows}
    assert made_by[""] == 0, "it was there"
    late = dict.fromkeys(flow_mods, 10**9) | {(0, 0, ""): 10**9}
    later = origins().of("s1", NEVER_NS, late)["flows"]
    assert [flow["packet"] for flow in later if not flow["match"]] == [0], "put in unasked"
    assert kind(made_by["in_port=2, eth_src=02:00:00:00:04:00, eth_dst=02:00:00:00:01:00"]) == (
        "arp-reply"
    )
    assert kind(made_by["in_port=1, eth_src=02:00:00:00:01:00, eth_dst=02:00:00:00:04:00"]) == (
        "icmp-echo-request"
    )
