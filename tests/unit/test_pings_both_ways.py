# SPDX-License-Identifier: Apache-2.0
"""Echo requests of which some end on the way there and the answers to others on the way back: then
nobody may say that one of the two ways works."""

from __future__ import annotations

from collections.abc import Sequence

from hoplab.story.records import Story
from tests.unit import frames
from tests.unit.playground import START_NS, Playground, wire_up
from tests.unit.test_losses import LAN, edges, ping, told


def pings(lossy_ports: Sequence[str]) -> Story:
    """One echo request for each, of which the frame that leaves that port is lost; what comes to
    h2 is answered."""
    net = Playground(wire_up(LAN, "learning_switch", "switch"))
    net.warm()
    lossy = {""}
    net.drop = lambda interface, packet: interface in lossy
    for seq, port in enumerate(lossy_ports):
        lossy = {port}
        ping(net, seq=seq)
        if port != "s1-eth2":
            net.ip("10.0.0.2", "10.0.0.1", 1, frames.echo(False, 9, seq))
    command = f"ping -c {len(lossy_ports)} 10.0.0.2"
    coverage = edges(net, START_NS, None)
    return told(net, net.observations(), coverage, channel=[], host="h1", command=command)


def test_neither_way_works_where_frames_end_on_both() -> None:
    outcome = pings(["s1-eth2", "s1-eth2", "s1-eth1"]).outcome
    first, second = (str(sentence) for sentence in outcome.why[:2])
    assert first.startswith("On the way there 2 of 3 echo requests ended, the last one #2: ")
    assert second.startswith("On the way back 1 answer ended, the last one #4: ")
    assert outcome.ok is False and {2, 3, 4} <= set(outcome.evidence)


def test_the_way_there_works_where_only_answers_end() -> None:
    outcome = pings(["s1-eth1"]).outcome
    assert str(outcome.why[0]).startswith("The way there works: h2 answered #1 by #2")
