# SPDX-License-Identifier: Apache-2.0
"""hoplab.story.open_questions: which of several questions about one frame an answer belongs to."""

from __future__ import annotations

from itertools import count

from hoplab.decode import openflow
from hoplab.story.conversation import ChannelMessage, Connection
from hoplab.story.open_questions import OpenQuestions, Question
from hoplab.story.packet_ins import Answers
from tests.unit import frames
from tests.unit.openflow_bytes import packet_in, packet_out

MS = 1_000_000
CONNECTION: Connection = ("127.0.0.1", 40000, 6653)
MAC = "02:00:00:00:01:00"


def frame(ip: str) -> bytes:
    ask = frames.arp(1, MAC, "10.0.0.1", "00:00:00:00:00:00", ip)
    return frames.eth(frames.BROADCAST, MAC, 0x0806, ask)


SAME, OTHER = frame("10.0.0.2"), frame("10.0.0.3")


class Channel:
    """What is said on one connection. answered: by each answer, the time of its question."""

    def __init__(self) -> None:
        self.numbers = count(1)
        self.messages: list[ChannelMessage] = []
        self.open = OpenQuestions()
        self.answered: list[int] = []

    def ask(self, ms: int, data: bytes = SAME) -> None:
        self._say(ms, packet_in(data, 1), up=True)

    def answer(self, ms: int, data: bytes = SAME) -> None:
        self._say(ms, packet_out(data, 1, [2]), up=False)

    def _say(self, ms: int, raw: bytes, *, up: bool) -> None:
        message = openflow.decode(raw)
        heard = ChannelMessage(ms * MS, next(self.numbers), CONNECTION, up, message)
        self.messages.append(heard)
        if up:
            self.open.ask(Question(heard))
        else:
            question = self.open.answer(heard)
            self.answered.append(question.heard.t_ns // MS if question is not None else -1)

    def by_question(self) -> dict[int, int]:
        """The time of each question, and of the answer that the story gives it."""
        answers = Answers(self.messages, None)
        asked = [heard for heard in self.messages if heard.up]
        told = ((heard, answers.find(heard)[0]) for heard in asked)
        return {heard.t_ns // MS: found.t_ns // MS for heard, found in told if found is not None}


def test_equal_questions_are_answered_in_their_order() -> None:
    """A controller that falls behind gets the copies of a storm faster than it answers them."""
    channel = Channel()
    for ms in (0, 1, 2):
        channel.ask(ms)
    for ms in (10, 20, 30):
        channel.answer(ms)
    assert channel.answered == [0, 1, 2]
    assert channel.by_question() == {0: 10, 1: 20, 2: 30}


def test_what_was_let_be_stays_without_an_answer() -> None:
    """A host asks once a second until somebody answers, and controllers drop what they do not know
    yet: the answer is that of the last question."""
    channel = Channel()
    for ms in (0, 1000, 2000):
        channel.ask(ms)
    channel.answer(2003)
    assert channel.answered == [2000]
    assert channel.by_question() == {2000: 2003}


def test_a_question_is_passed_over_when_a_later_one_is_answered() -> None:
    channel = Channel()
    channel.ask(0)
    channel.ask(5, OTHER)
    channel.answer(10, OTHER)
    channel.ask(15)
    channel.answer(20)
    assert channel.answered == [5, 15]
    assert channel.by_question() == {5: 10, 15: 20}


def test_a_controller_that_is_always_slow_is_waited_for() -> None:
    channel = Channel()
    channel.ask(0, OTHER)
    channel.answer(1500, OTHER)
    channel.ask(2000)
    channel.ask(3000)
    channel.answer(3500)
    channel.answer(5000)
    assert channel.answered == [0, 2000, 3000]


def test_a_second_frame_of_one_answer_is_no_answer_to_the_next_question() -> None:
    """A mirror: one packet-out for the frame, one for its copy, while another question waits that
    gets nothing."""
    channel = Channel()
    channel.ask(0)
    channel.ask(1, OTHER)
    channel.answer(2)
    channel.answer(3)
    assert channel.answered == [0, 0]
    assert channel.by_question() == {0: 2}
