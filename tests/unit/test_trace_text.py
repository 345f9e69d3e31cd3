# SPDX-License-Identifier: Apache-2.0
"""hoplab.decode.trace_text: answers of Open vSwitch 3.1, read."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hoplab.decode.trace_text import ACTION_SET, Action, read_trace

HEAD = "Flow: icmp,in_port=1,nw_ttl=64\n\nbridge(\"s1\")\n------------\n"
TAIL = "\nFinal flow: unchanged\nMegaflow: recirc_id=0,eth,icmp,in_port=1\nDatapath actions: drop\n"


def actions(text: str) -> list[tuple[int, list[Action]]]:
    (only,) = read_trace(HEAD + text + TAIL)
    return [(hit.table, list(hit.actions)) for hit in only.hits]


def test_tables_and_what_is_gathered_on_the_way() -> None:
    text = """\
 0. icmp,in_port=1, priority 100
    meter:1
    dec_ttl
    write_actions(group:1)
     -> action set is: group:1
    goto_table:1
     1. ip, priority 7, cookie 0x77
            set_field:02:00:00:00:00:55->eth_src
            goto_table:2
         2. priority 32768
            output:3
--. Executing action set:
    group:1
    bucket 0
            output:1
             >> skipping output to input port
    bucket 1
            set_field:02:00:00:00:00:99->eth_dst
            output:2
"""
    (only,) = read_trace(HEAD + text + TAIL)
    assert [(hit.table, hit.priority, hit.match, hit.cookie) for hit in only.hits] == [
        (0, 100, "icmp,in_port=1", 0), (1, 7, "ip", 0x77), (2, 32768, "", 0),
        (ACTION_SET, None, "", 0),
    ]  # fmt: skip
    assert only.hits[0].actions[2] == Action(
        "write_actions(group:1)", remarks=("action set is: group:1",)
    )
    assert only.hits[2].actions == (Action("output:3"),)
    assert only.hits[3].actions == (
        Action("group:1"),
        Action("output:1", ((1, 0),), ("skipping output to input port",)),
        Action("set_field:02:00:00:00:00:99->eth_dst", ((1, 1),)),
        Action("output:2", ((1, 1),)),
    )
    assert (only.megaflow, only.datapath) == ("recirc_id=0,eth,icmp,in_port=1", "drop")


def test_what_follows_a_group_is_in_no_bucket() -> None:
    text = """\
 0. udp, priority 90
    group:3
     -> using bucket 0
    bucket 0
            output:3
    group:4
    bucket 0
            group:1
            bucket 0
                    output:1
            bucket 1
                    output:2
    output:2
"""
    assert actions(text) == [
        (0, [
            Action("group:3", (), ("using bucket 0",)),
            Action("output:3", ((3, 0),)),
            Action("group:4"),
            Action("group:1", ((4, 0),)),
            Action("output:1", ((4, 0), (1, 0))),
            Action("output:2", ((4, 0), (1, 1))),
            Action("output:2"),
        ])
    ]  # fmt: skip


def test_what_follows_a_look_into_another_table_is_of_the_first_one() -> None:
    text = """\
 0. icmp, priority 100
    resubmit(,1)
     1. ip, priority 7, cookie 0x77
            resubmit(,2)
             2. priority 32768
                    output:2
            output:4
    output:3
"""
    assert actions(text) == [
        (0, [Action("resubmit(,1)"), Action("output:3")]),
        (1, [Action("resubmit(,2)"), Action("output:4")]),
        (2, [Action("output:2")]),
    ]


def test_no_flow_and_what_open_vswitch_remarks() -> None:
    (only,) = read_trace(HEAD + " 0. No match.\n    drop\n" + TAIL)
    assert only.hits[0].missed and only.hits[0].actions == (Action("drop"),)
    text = """\
 0. arp, priority 80
    learn(table=3,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[])
     >> suppressing side effects, so learn action ignored
    NORMAL
     -> no learned MAC for destination, flooding
"""
    assert [action.remarks for action in actions(text)[0][1]] == [
        ("suppressing side effects, so learn action ignored",),
        ("no learned MAC for destination, flooding",),
    ]


def test_a_frame_that_is_looked_up_again() -> None:
    text = """\
 0. ipv6, priority 70
    ct(commit,table=4)
    drop
     -> A clone of the packet is forked to recirculate.
"""
    again = """
===============================================================================
recirc(0x2) - resume conntrack with default ct_state=trk|new (use --ct-next to customize)
===============================================================================

Flow: recirc_id=0x2,ct_state=new|trk,eth,ipv6

bridge("s1")
------------
    thaw
        Resuming from table 4
 4. No match.
    drop
"""
    first, second = read_trace(HEAD + text + TAIL + again + TAIL)
    assert first.recirc == "" and second.recirc == "0x2"
    assert second.hits[0].table == 4 and second.hits[0].missed


@given(st.text())
def test_nothing_else_is_a_fault(text: str) -> None:
    read_trace(text)
    read_trace(HEAD + text + TAIL)
