# SPDX-License-Identifier: Apache-2.0
"""hoplab.replay where the tables do not say all: connection tracking, and what nothing explains."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hoplab import runs
from hoplab.capture import pcapng_reader, pcapng_writer
from hoplab.capture.observation import Observation, Reception
from hoplab.follow.passages import CT_KNOWN, CT_NEW, CT_REPLY, OLD_PLACE, Passage
from hoplab.follow.wiring import Wiring
from hoplab.openvswitch.shadow import Shadow, missing
from hoplab.replay.explain import Explainer
from hoplab.replay.player import play
from hoplab.story.trip_records import Trip
from tests.unit import frames
from tests.unit.test_replay_random import LAB, PORTS, Live

KEPT = Path(__file__).parent.parent / "data" / "replay"

pytestmark = pytest.mark.skipif(
    bool(missing()) or shutil.which("ovs-ofctl") is None, reason="Open vSwitch is not installed"
)


def passages_of(live: Live) -> list[Passage]:
    """What the switch's tables say of the frames that came to it."""
    sent = list(live.sent())
    wiring = Wiring.from_dict(LAB)
    events = [(t_ns, Reception.OTHERHOST, port, data) for t_ns, port, data in live.came]
    events += [(t_ns, Reception.OUTGOING, port, data) for t_ns, port, data in sent]
    events.sort(key=lambda event: event[0])
    observations = [
        Observation(number, t_ns, PORTS.index(port), reception, data, len(data))
        for number, (t_ns, reception, port, data) in enumerate(events, 1)
    ]
    ports = [wiring.port(f"s1-eth{port}") for port in PORTS]
    with Shadow() as shadow:
        return play(wiring, ports, live.notes, observations, [], shadow)


def datagram(source: int, target: int) -> bytes:
    ends = 40000 + source, 40000 + target
    return frames.eth(
        f"02:00:00:00:00:0{target}", f"02:00:00:00:00:0{source}", 0x0800,
        frames.ipv4(f"10.0.0.{source}", f"10.0.0.{target}", 17, frames.udp(*ends, b"hoplab")),
    )  # fmt: skip


def test_a_connection_that_the_switch_knows(tmp_path: Path) -> None:
    """What is done with a frame tells in which state its connection was."""
    live = Live(tmp_path)
    try:
        live.watch()
        for flow in (
            "table=0,priority=10,ct_state=-trk,ip,actions=ct(table=1)",
            "table=1,priority=10,ct_state=+trk+new,ip,in_port=1,actions=ct(commit),output:2",
            "table=1,priority=20,ct_state=+trk+est+rpl,ip,actions=output:1,output:3",
            "table=1,priority=15,ct_state=+trk+est-rpl,ip,actions=output:2,output:4",
        ):
            live.tell("add-flow", flow)
        for source, target in ((1, 2), (2, 1), (1, 2), (3, 1)):
            live.send(source, datagram(source, target))
            live.daemons.ask("revalidator/wait")
        live.socket.close()
    finally:
        live.daemons.close()
    answers = passages_of(live)
    assert [passage.unsure for passage in answers] == [CT_NEW, CT_REPLY, CT_KNOWN, CT_NEW]
    assert [sorted(copy.port for copy in passage.sent) for passage in answers] == [
        [2], [1, 3], [2, 4], []
    ]  # fmt: skip
    assert all(passage.fits for passage in answers)


def without(name: str, folder: Path, wanted: Trip) -> runs.Run:
    """The same run, of which the capture lacks the copy that left the first switch."""
    (copy,) = [leg for leg in wanted.legs if leg.parent == 0]
    capture = pcapng_reader.read(KEPT / name / runs.CAPTURE)
    kept = [seen for seen in capture.observations if seen.number not in (copy.sent, copy.received)]
    folder.mkdir()
    with open(folder / runs.CAPTURE, "wb") as file:
        pcapng_writer.write_all(file, capture, {}, kept)
    shutil.copyfile(KEPT / name / runs.STATE, folder / runs.STATE)
    with Explainer() as explain:
        return runs.reopen(folder, explain=explain)


def test_what_no_table_explains_is_said_to_be_unexplained(tmp_path: Path) -> None:
    """A flow sends it on, and it was not seen to leave: no older flow is made up for that."""
    shutil.copytree(KEPT / "learning_switch", tmp_path / "whole")
    with Explainer() as explain:
        story = runs.reopen(tmp_path / "whole", explain=explain).story
    plain = next(
        trip for trip in story.trips
        if trip.kind == "icmp-echo-reply" and trip.decisions and trip.decisions[0].plain
    )  # fmt: skip
    flow = plain.decisions[0].flow
    story = without("learning_switch", tmp_path / "cut", plain).story
    trip = story.trip(plain.number)
    (decision,) = trip.decisions
    assert decision.by == "unknown"
    assert decision.sentence == (
        f"nothing explains what {decision.node} did with this: by {flow} it sends it to port 2 "
        f"({decision.node}-eth2), and it was not seen to leave"
    )


def test_a_group_chooses_for_equal_frames_that_are_no_ip(tmp_path: Path) -> None:
    """By the hash of the datapath, each time: for the second as for the first one."""
    live = Live(tmp_path)
    try:
        live.watch()
        live.tell("add-group", "group_id=1,type=select,bucket=output:2,bucket=output:3")
        live.tell("add-group", "group_id=2,type=select,bucket=output:4,bucket=output:5")
        live.tell("add-flow", "actions=group:1,group:2")
        live.socket.close()
        live.watch()
        for place, number in enumerate((1, 2, 1, 2)):
            if place == 2:  # what was answered for equal frames holds no longer
                live.tell("add-flow", "priority=9,in_port=5,actions=drop")
            source = f"02:00:00:00:00:0{number}"
            asks = frames.arp(1, source, f"10.0.0.{number}", "00:00:00:00:00:00", "10.0.0.9")
            live.send(1, frames.eth("ff:ff:ff:ff:ff:ff", source, 0x0806, asks))
            live.daemons.ask("revalidator/wait")
        live.socket.close()
    finally:
        live.daemons.close()
    answers = passages_of(live)
    assert [len(passage.sent) for passage in answers] == [2] * 4
    assert all(passage.fits for passage in answers), answers


def test_a_port_where_an_address_was_before(tmp_path: Path) -> None:
    """NORMAL decided by a cache that did not know yet that a host has moved."""
    live = Live(tmp_path)
    try:
        live.watch()
        live.tell("add-flow", "actions=NORMAL")
        live.socket.close()
        live.watch()
        for source, target in ((2, 1), (1, 2)):
            live.send(source, datagram(source, target))
            live.daemons.ask("revalidator/wait")
        live.socket.close()
        live.came.insert(1, (live.came[1][0] - 1, 3, datagram(2, 1)))  # it was not learned from
    finally:
        live.daemons.close()
    first, moved, last = passages_of(live)
    assert first.fits and last.fits and last.unsure == OLD_PLACE
    assert [copy.port for copy in last.sent] == [2]
    assert not moved.fits, "nobody has sent that one"
