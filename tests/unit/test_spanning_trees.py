# SPDX-License-Identifier: Apache-2.0
"""Spanning trees that switches run by themselves: what Open vSwitch prints, what a capture keeps,
what they leave of what the tables say."""

from __future__ import annotations

import json

from hoplab.capture import notes
from hoplab.capture.pcapng_format import Note
from hoplab.capture.spanning_trees import SpanningTrees
from hoplab.follow.passages import PORT_BLOCKED, TREE_BLOCKED, Passage, Sent
from hoplab.openvswitch.monitor import read_spanning_trees
from hoplab.replay.spanning_trees import pruned

STP = """---- s1 ----
Root ID:
  stp-priority  32768
  stp-system-id   8a:af:f2:ce:b3:4a
  root-port       s1-eth1

Bridge ID:
  stp-priority  32768

  Interface  Role       State      Cost  Pri.Nbr
  ---------- ---------- ---------- ----- -------
  s1-eth2    designated forwarding 2     128.1
  s1-eth1    alternate  blocking   2     128.2

---- s2 ----
  This bridge is the root

  Interface  Role       State      Cost  Pri.Nbr
  ---------- ---------- ---------- ----- -------
  s2-eth1    designated listening  2     128.1

"""
RSTP = """---- s3 ----
Root ID:
  stp-priority    32768

  Interface  Role       State      Cost     Pri.Nbr
  ---------- ---------- ---------- -------- -------
  s3-eth1    Alternate  Discarding 2000     128.1
  s3-eth2    Root       Forwarding 2000     128.2
"""


def trees(*readings: tuple[int, dict[str, str]]) -> SpanningTrees:
    return SpanningTrees(
        Note(t_ns, notes.SPANNING_TREE, "s1", json.dumps(states).encode())
        for t_ns, states in readings
    )


def test_what_open_vswitch_prints_is_read() -> None:
    assert read_spanning_trees(STP) == {
        "s1": {"s1-eth2": "forwarding", "s1-eth1": "blocking"}, "s2": {"s2-eth1": "listening"},
    }  # fmt: skip
    assert read_spanning_trees(RSTP) == {"s3": {"s3-eth1": "discarding", "s3-eth2": "forwarding"}}
    assert read_spanning_trees("") == {}


def test_a_port_is_blocked_between_two_readings_that_say_so() -> None:
    kept = trees((10, {"s1-eth1": "blocking", "s1-eth2": "learning", "s1-eth3": "forwarding"}),
                 (20, {"s1-eth1": "blocking", "s1-eth2": "forwarding"}))  # fmt: skip
    assert [kept.blocks("s1", f"s1-eth{port}", 15) for port in (1, 2, 3)] == [True, False, False]
    assert kept.blocks("s1", "s1-eth1", 5) and kept.blocks("s1", "s1-eth1", 25)
    assert not kept.blocks("s1", "s1-eth2", 25), "it forwards by then"
    assert kept.always_blocked() == {("s1", "s1-eth1")}
    assert not kept.blocks("s2", "s2-eth1", 15), "it runs no tree"


def test_what_makes_no_sense_is_as_if_it_were_not_there() -> None:
    kept = SpanningTrees(
        [Note(1, notes.SPANNING_TREE, "s1", data) for data in (b"{", b"[]", b"\xff")]
    )
    assert not kept.runs_at("s1") and kept.always_blocked() == set()


def test_what_a_tree_leaves_of_what_the_tables_say() -> None:
    kept, names = trees((10, {"s1-eth1": "blocking"})), {1: "s1-eth1", 2: "s1-eth2", 3: "s1-eth3"}

    def left(in_port: int, *ports: int, asked: bool = False) -> Passage | None:
        sent = tuple(Sent(port) for port in ports)
        return pruned(kept, Passage(1, 11, "s1", in_port, (), sent, asked=asked), names)

    came = left(1, 2, asked=True)
    assert came is not None
    assert (came.reason, came.sent, came.asked) == (PORT_BLOCKED, (), False)
    flooded = left(2, 1, 3)
    assert flooded is not None
    assert (flooded.reason, [copy.port for copy in flooded.sent]) == ("", [3])
    dropped = left(2, 1)
    assert dropped is not None
    assert (dropped.reason, dropped.sent) == (TREE_BLOCKED, ())
    assert left(2, 3) is None
