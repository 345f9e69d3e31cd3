# SPDX-License-Identifier: Apache-2.0
"""A controller may take longer than its switch's frames are waited for by their bytes: where the
tables show what it had the switch send, the packet is one packet all the same."""

from __future__ import annotations

import pytest

from hoplab.capture.observation import Observation
from hoplab.follow.follow import Follower
from hoplab.follow.model import Journey
from hoplab.follow.passages import Passage, Sent, causes, from_plain, to_plain
from tests.unit import frames
from tests.unit.playground import Playground
from tests.unit.test_controller_causes import arrival, network

MS = 1_000_000


def late_by(net: Playground, ms: int) -> list[Observation]:
    """What was captured of an echo request of a to b, which s1 sent on so late."""
    net.warm()
    net.ip("10.0.0.1", "10.0.0.2", 1, frames.icmp(8, 0, 1, b"ping"))
    net.run()
    way_in = {net.wiring.port("a-eth0"), net.wiring.port("s1-eth1")}
    return [
        Observation(
            seen.number, seen.t_ns + (0 if seen.port in way_in else ms * MS), seen.port,
            seen.reception, seen.data, seen.length,
        )
        for seen in net.observations() if seen.data[23:24] == b"\x01" and seen.data[34] == 8
    ]  # fmt: skip


def journeys(ms: int, *, told: bool) -> list[Journey]:
    """told: the tables show that the controller had s1 send it."""
    net = network()
    seen = late_by(net, ms)
    came = arrival(net)
    left = next(each for each in seen if each.port == net.wiring.port("s1-eth2"))
    asked = Passage(came.number, came.t_ns, "s1", 1, (), (), asked=True)
    sent = Passage(
        9_999, left.t_ns - MS, "s1", 1, (), (Sent(2, number=left.number),), packet_out=True,
        question=came.number,
    )  # fmt: skip
    passages = from_plain(to_plain([asked, sent])) if told else []
    return Follower(net.wiring, causes=causes(passages)).follow(seen)


@pytest.mark.parametrize("ms", [5, 1_006, 3_000])
def test_an_answer_that_comes_late_is_the_same_packet(ms: int) -> None:
    (journey,) = journeys(ms, told=True)
    assert [len(hop.children) for hop in journey.hops()] == [1, 0]


def test_without_the_tables_it_is_not_known() -> None:
    assert len(journeys(1_006, told=False)) == 2
