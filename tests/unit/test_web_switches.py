# SPDX-License-Identifier: Apache-2.0
"""What the player says of a switch: the lines of a card, and what it changed in a frame."""

from __future__ import annotations

from dataclasses import replace

from hoplab.follow.passages import EXPLICIT, Act, FlowTaken, GroupTaken, Passage, Sent
from hoplab.story.trip_records import Decision
from hoplab.web.changes import changes
from hoplab.web.flow_card import flow_card
from tests.unit import frames

FLOW = FlowTaken(0, 10, "in_port=1", 0, (Act("output:2"),))
PASSAGE = Passage(1, 0, "s1", 1, (FLOW,), (Sent(2, None, 2),))
DECISION = Decision("s1", 0, "flow", "…", "port 2 (s1-eth2)", passage=PASSAGE)


def by(*flows: FlowTaken, answer: str = "flood", **values: object) -> tuple[str, ...]:
    passage = replace(PASSAGE, flows=flows, **values)  # type: ignore[arg-type]
    return flow_card(replace(DECISION, passage=passage, answer=answer))


def test_the_flow_that_took_a_frame() -> None:
    assert flow_card(DECISION) == ("table 0, priority 10", "in_port=1", "→ output:2")


def test_each_table_and_the_group() -> None:
    first = replace(FLOW, acts=(Act(f"learn(table=1,{'x' * 40})"), Act("goto_table:1")))
    second = replace(
        FLOW, table=1, match="", acts=(Act("group:7"), Act("output:2", within=((7, 0),)))
    )
    group = GroupTaken(7, "all", 4, (0, 2))
    assert by(first, second, groups=(group,), sent=(Sent(2), Sent(3))) == (
        "table 0, priority 10", "in_port=1", "→ learn(…), goto_table:1",
        "table 1, priority 10", "any frame", "→ group:7",
        "group 7 (all): bucket 1, 3 of 4", "→ flood",
    )  # fmt: skip


def test_a_drop_and_a_table_without_a_flow() -> None:
    drop = replace(FLOW, acts=())
    assert by(drop, sent=(), reason=EXPLICIT, answer="drop")[-1] == "→ drop"
    no_flow = replace(FLOW, priority=None, table=3)
    assert by(no_flow, sent=(), answer="drop") == ("table 3: no flow", "→ drop")


def test_who_was_asked_and_what_it_put_in() -> None:
    asked = Decision(
        "s1", 0, "controller", "…", "port 2 (s1-eth2)", installed=("table 0: any frame → port 2",)
    )
    assert flow_card(asked) == (
        "no flow that takes it", "asked the controller", "+ table 0: any frame → port 2",
        "→ port 2 (s1-eth2)",
    )  # fmt: skip


def test_nothing_is_said_where_nothing_is_known() -> None:
    assert flow_card(Decision("s1", 0, "flow", "…", "flood")) == ()


def test_what_a_switch_changed() -> None:
    packet = frames.ipv4("10.0.0.1", "10.0.0.2", 17, b"", 64)
    plain = frames.eth("02:00:00:00:00:02", "02:00:00:00:00:01", 0x0800, packet)
    tagged = plain[:12] + b"\x81\x00\x00\x64" + plain[12:]
    assert changes(plain, plain) == ""
    assert changes(plain, tagged) == (
        "Ethernet, type: 0x0800 (IPv4)→0x8100, + 802.1Q, VLAN: 100, "
        "+ 802.1Q, type: 0x0800 (IPv4)"
    )
    assert changes(tagged, plain).endswith("without 802.1Q, VLAN, without 802.1Q, type")
    assert "Ethernet, source" in changes(plain, plain[:6] + bytes(6) + plain[12:])
