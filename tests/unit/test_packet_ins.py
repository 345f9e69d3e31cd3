# SPDX-License-Identifier: Apache-2.0
"""hoplab.story.packet_ins: whose a question is, where no connection says whose it is."""

from __future__ import annotations

from typing import Any, cast

from hoplab.decode import openflow
from hoplab.story.arrivals import Arrival
from hoplab.story.conversation import ChannelMessage, Connection
from hoplab.story.packet_ins import join_questions
from tests.unit import frames
from tests.unit.openflow_bytes import packet_in

US = 1_000
MAC = "02:00:00:00:01:00"
NO_TRIP = cast(Any, None)


def broadcast(ip: str = "10.0.0.2") -> bytes:
    ask = frames.arp(1, MAC, "10.0.0.1", "00:00:00:00:00:00", ip)
    return frames.eth(frames.BROADCAST, MAC, 0x0806, ask)


def came(node: str, t_us: int, data: bytes, in_port: int = 2) -> Arrival:
    return Arrival(t_us * US, node, in_port, data, NO_TRIP, 0)


def question(port: int, t_us: int, data: bytes, in_port: int = 2) -> ChannelMessage:
    connection: Connection = ("127.0.0.1", port, 6653)
    message = openflow.decode(packet_in(data, in_port))
    return ChannelMessage(t_us * US, t_us, connection, True, message)


def asked(arrivals: list[Arrival], questions: list[ChannelMessage]) -> dict[str, int]:
    """By switch the port of the connection on which its question came."""
    joined = join_questions(arrivals, questions, {})
    return {each.node: each.question.connection[1] for each in joined if each.question}


def test_a_switch_is_not_asked_about_a_frame_that_comes_to_it_later() -> None:
    """A broadcast is at the next switch within a millisecond of the question of the one before."""
    data = broadcast()
    arrivals = [came("s2", 100, data), came("s3", 600, data), came("s4", 1100, data)]
    questions = [question(50, 260, data), question(20, 760, data), question(30, 1260, data)]
    assert asked(arrivals, questions) == {"s2": 50, "s3": 20, "s4": 30}


def test_a_later_question_tells_whose_the_earlier_one_was() -> None:
    """Both switches had the first frame when it was asked about; only one had the second."""
    first, second = broadcast(), broadcast("10.0.0.3")
    arrivals = [came("s2", 100, first), came("s3", 200, first), came("s2", 5000, second)]
    questions = [question(50, 300, first), question(20, 400, first), question(50, 5100, second)]
    joined = join_questions(arrivals, questions, {})
    ports = [each.question.connection[1] if each.question else 0 for each in joined]
    assert ports == [50, 20, 50]


def test_a_frame_that_bears_a_time_a_little_later_may_be_meant_where_none_came_before() -> None:
    data = broadcast()
    assert asked([came("s2", 100, data)], [question(50, 90, data)]) == {"s2": 50}
