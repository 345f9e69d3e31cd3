# SPDX-License-Identifier: Apache-2.0
"""A kept visit through a load balancer of OpenFlow: one connection, though its addresses are other
ones on either side of the switch."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from hoplab import runs
from hoplab.openvswitch.shadow import missing
from hoplab.replay.explain import Explainer
from hoplab.report import terminal

KEPT = Path(__file__).parent.parent / "data" / "replay" / "balancer"

pytestmark = pytest.mark.skipif(bool(missing()), reason="Open vSwitch is not installed")


@cache
def visit() -> runs.Run:
    with Explainer() as explain:
        return runs.reopen(KEPT, explain=explain)


def test_a_frame_that_a_packet_out_changes_is_the_same_packet() -> None:
    """The SYN was asked about, and left with other addresses by the controller's order."""
    (syn,) = [trip for trip in visit().story.trips if trip.kind == "tcp-syn"]
    assert syn.path == ("h1", "s1", syn.target) and syn.target in ("h2", "h3")
    there, (out,) = syn.legs[0], [leg for leg in syn.legs if leg.parent == 0]
    assert (there.dst_mac, out.origin) == ("02:00:00:00:aa:00", "switched")
    assert out.dst_mac != there.dst_mac
    assert not any(trip.stray for trip in visit().story.trips if trip.kind.startswith("tcp"))


def test_it_is_one_connection_with_all_its_steps() -> None:
    story = visit().story
    server = next(trip.target for trip in story.trips if trip.kind == "tcp-syn")
    steps = {step.key: step for step in story.steps}
    assert [key for key in steps if key in ("handshake", "http", "close")] == [
        "handshake", "http", "close"
    ]  # fmt: skip
    assert steps["handshake"].mapping[0].real == f"h1 to {server}"
    assert steps["handshake"].mapping[1].real == f"{server} to h1"
    assert story.outcome.ok
    assert "200 OK" in story.outcome.sentence and server in story.outcome.sentence


def test_what_the_controller_made_is_told_as_made_by_it() -> None:
    answer = next(trip for trip in visit().story.trips if trip.kind == "arp-reply" and trip.stray)
    assert answer.cause == "the controller had s1 send it, asked about #1"


def test_what_a_flow_changes_is_told_once() -> None:
    lines = " ".join(terminal.render(visit().story).split())
    assert lines.count("set_field:10.0.0.100->ip_src") == 2, "it was installed twice"
