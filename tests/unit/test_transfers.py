# SPDX-License-Identifier: Apache-2.0
"""What TCP carried, how fast and how often again; and bytes on links, beside a plain count of the
frames that were seen."""

from __future__ import annotations

from collections import Counter

import pytest

from hoplab.capture.observation import Reception
from hoplab.story.summary_records import Summary, Transfer
from tests.unit import frames
from tests.unit.playground import Playground, Spec, Talk, wire_up

HOSTS: Spec = [(f"h{i}", f"10.0.0.{i}/24", "s1", "") for i in range(1, 5)]
ACK, PSH = frames.ACK, frames.PSH
PIECE = b"x" * 100


def lab(controller: str = "learning_switch") -> Playground:
    return Playground(wire_up(HOSTS, controller, "switch"))


def send(talk: Talk, pieces: int) -> None:
    talk.open()
    for _ in range(pieces):
        talk.say("c", ACK | PSH, PIECE)
        talk.say("s", ACK)
    talk.close_four()


def transfer(summary: Summary) -> Transfer:
    (carried,) = summary.transfers
    return carried


def test_bytes_are_counted_once_and_without_syn_and_fin() -> None:
    net = lab()
    send(Talk(net, "10.0.0.1", "10.0.0.2"), 12)
    carried = transfer(net.story().summary)
    assert (carried.sender, carried.receiver, carried.connections) == ("h1", "h2", 1)
    assert (carried.bytes, carried.segments, carried.retransmissions) == (1200, 12, 0)
    arrivals = [
        t_ns
        for t_ns, port, _, data in net.seen
        if net.wiring.node_name(port) == "h2" and PIECE in data
    ]
    assert carried.busy_ns == arrivals[-1] - arrivals[0]
    assert carried.bits_per_s == pytest.approx(1200 * 8 / (carried.busy_ns / 1e9))


def test_a_segment_that_is_sent_again_is_counted_where_it_is_sent() -> None:
    net = lab()
    talk = Talk(net, "10.0.0.1", "10.0.0.2")
    talk.open()
    talk.say("c", ACK | PSH, PIECE)
    lost = iter([True])
    net.drop = lambda interface, packet: (
        interface == "s1-eth2" and PIECE in packet.payload and next(lost, False)
    )
    for again in (False, True):  # the first is lost behind the switch
        talk.say("c", ACK | PSH, PIECE, again=again)
    talk.say("s", ACK)
    carried = transfer(net.story().summary)
    assert (carried.bytes, carried.segments, carried.retransmissions) == (200, 3, 1)
    assert carried.bits_per_s is None, "too little to speak of a throughput"


def test_a_segment_that_repeats_a_part_is_one_that_was_sent_again() -> None:
    net = lab()
    talk = Talk(net, "10.0.0.1", "10.0.0.2")
    talk.open()
    talk.say("c", ACK | PSH, PIECE)
    talk.seq["c"] -= 50  # its second half, and something new
    talk.say("c", ACK | PSH, PIECE)
    talk.say("s", ACK)
    carried = transfer(net.story().summary)
    assert (carried.bytes, carried.segments, carried.retransmissions) == (150, 2, 1)


def test_what_died_in_its_senders_own_queue_was_sent_again_all_the_same() -> None:
    """The wire has the bytes once, after later ones: TCP goes back for nothing else."""
    net = lab()
    talk = Talk(net, "10.0.0.1", "10.0.0.2")
    talk.open()
    talk.seq["c"] += 100  # never left the card
    talk.say("c", ACK | PSH, PIECE)
    talk.seq["c"] -= 200
    talk.say("c", ACK | PSH, PIECE)
    talk.seq["c"] += 100
    talk.say("s", ACK)
    carried = transfer(net.story().summary)
    assert (carried.bytes, carried.segments, carried.retransmissions) == (200, 2, 1)


def test_what_nobody_acknowledged_was_not_carried() -> None:
    net = lab()
    talk = Talk(net, "10.0.0.1", "10.0.0.2")
    talk.open()
    talk.say("c", ACK | PSH, PIECE)
    carried = transfer(net.story().summary)
    assert (carried.bytes, carried.segments, carried.busy_ns) == (0, 1, 0)


def test_pairs_are_apart_and_connections_of_a_pair_together() -> None:
    net = lab()
    for sport, (client, server) in enumerate(((1, 2), (3, 4), (1, 2)), 40000):
        send(Talk(net, f"10.0.0.{client}", f"10.0.0.{server}", sport), 10)
    first, second = net.story().summary.transfers
    assert (first.sender, first.receiver, first.connections, first.bytes) == ("h1", "h2", 2, 2000)
    assert (second.sender, second.receiver, second.connections) == ("h3", "h4", 1)
    # The pause between the two connections, in which h3 sent, is not their time.
    assert first.busy_ns < (first.last_ns - first.first_ns) * 0.9


@pytest.mark.parametrize("controller", ["hub", "learning_switch"])
def test_bytes_on_links_are_those_of_the_frames(controller: str) -> None:
    net = lab(controller)
    lost = iter([True])
    net.drop = lambda interface, packet: interface == "s1-eth3" and next(lost, False)
    send(Talk(net, "10.0.0.1", "10.0.0.2"), 20)
    sent: Counter[str] = Counter()
    arrived: Counter[str] = Counter()
    unwanted: Counter[str] = Counter()
    for _, port, reception, data in net.seen:
        interface = net.wiring.interfaces[port]
        if reception is Reception.OUTGOING:
            sent[interface.name] += len(data)
        elif not net.wiring.is_switch(port):
            arrived[interface.name] += len(data)
            for_other = reception is Reception.OTHERHOST
            asks_other = reception is Reception.BROADCAST and interface.node != "h2"
            unwanted[interface.name] += len(data) * (for_other or asks_other)
    summary = net.story().summary
    for link in summary.links:
        assert (link.forth_bytes, link.back_bytes) == (
            sent[link.a_interface],
            sent[link.b_interface],
        )
        assert link.arrived_bytes == arrived[link.a_interface]
        assert link.ignored_bytes == unwanted[link.a_interface]
    assert summary.bytes == sum(sent.values())
    assert summary.ignored_bytes == sum(unwanted.values())
    bystander = next(link for link in summary.links if link.a == "h4")
    assert bystander.unwanted_percent == "100%"
    assert (bystander.bytes > 1000) == (controller == "hub")
