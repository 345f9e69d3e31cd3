# SPDX-License-Identifier: Apache-2.0
"""Packet-ins that wait for an answer, and which of them a packet-out answers.

What lives here: the choice between questions about the same frame, for everybody who joins answers
with questions. What must not: which frame a question is about (`packet_ins.py`).

1. A buffer's number names one question.
2. A controller answers one after the other, so of several questions about the same frame the oldest
   is meant that has got no answer yet. One is passed over when a later one has been answered: the
   controller let it be.
3. It is also passed over when it waits for much longer than this controller has ever taken: a node
   repeats what nobody answered, and controllers drop what they do not know yet.
4. Where all of them have been answered the newest gets another one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from hoplab.decode.openflow import NO_BUFFER, Message
from hoplab.story.conversation import ChannelMessage

AT_MOST_NS = 5_000_000_000  # a controller that takes longer has answered something else
_USUAL_NS = 500_000_000  # so long a controller may take of which nothing is known yet
_MOST = 256  # questions of a connection that an answer is looked for among
_RECENT = 64  # questions among which that of a flow is looked for
_HEAD = 34  # bytes by which frames are looked up: in a storm there are thousands of answers


@dataclass(slots=True, eq=False)
class Question:
    """A packet-in. number, frame: of the frame that it is about, 0 where that was not seen. served:
    a flow belongs to it; answered: a frame was sent back. place: of all that were asked."""

    heard: ChannelMessage
    number: int = 0
    frame: bytes = b""
    served: bool = False
    answered: bool = False
    place: int = 0


Test = Callable[[Message, Message], bool]  # whether an answer and a question are about one frame


class OpenQuestions:
    """The questions of one connection, in order of time."""

    def __init__(self) -> None:
        self._asked: deque[Question] = deque()
        self._alike: dict[bytes, deque[Question]] = {}  # by how their frames begin
        self._count = 0
        self._answered = 0  # the place of the last one that has an answer
        self._longest_ns = 0

    def ask(self, question: Question) -> None:
        """Take one."""
        self._count += 1
        question.place = self._count
        self._asked.append(question)
        self._alike.setdefault(question.heard.message.data[:_HEAD], deque()).append(question)
        if len(self._asked) > _MOST:
            oldest = self._asked.popleft()
            head = oldest.heard.message.data[:_HEAD]
            self._alike[head].popleft()
            if not self._alike[head]:
                del self._alike[head]

    def recent(self, t_ns: int) -> list[Question]:
        """Those that a flow may belong to which was wanted at that time."""
        return _before(list(self._asked)[-_RECENT:], t_ns)

    def answer(self, heard: ChannelMessage, tests: Sequence[Test] = ()) -> Question | None:
        """The question that a message answers, with the same frame or its buffer. tests: others,
        where no question passes that one."""
        message = heard.message
        alike: Iterable[Question] = self._asked
        if message.buffer_id == NO_BUFFER:
            alike = self._alike.get(message.data[:_HEAD], ())
        for questions, test in ((alike, carries), *((self._asked, test) for test in tests)):
            fitting = [
                each
                for each in _before(questions, heard.t_ns)
                if test(message, each.heard.message)
            ]
            if fitting:
                return self._take(fitting, heard)
        return None

    def _take(self, fitting: Sequence[Question], heard: ChannelMessage) -> Question:
        waiting = [each for each in fitting if not each.answered]
        question = self._choose(waiting, heard) if waiting else fitting[-1]
        if len(waiting) == 1:
            self._longest_ns = max(self._longest_ns, heard.t_ns - question.heard.t_ns)
        question.answered = True
        self._answered = max(self._answered, question.place)
        return question

    def _choose(self, waiting: Sequence[Question], heard: ChannelMessage) -> Question:
        if heard.message.buffer_id != NO_BUFFER:
            return waiting[-1]  # the number was given anew
        since_ns = heard.t_ns - max(_USUAL_NS, 2 * self._longest_ns)
        in_time = [each for each in waiting if each.heard.t_ns >= since_ns]
        likely = [each for each in in_time if each.place > self._answered]
        return (likely or in_time or waiting[-1:])[0]


def _before(questions: Iterable[Question], t_ns: int) -> list[Question]:
    return [each for each in questions if 0 <= t_ns - each.heard.t_ns <= AT_MOST_NS]


def same_frame(frame: bytes, part: bytes) -> bool:
    """The same frame, cut by the switch or padded on the way."""
    size = min(len(frame), len(part))
    return frame[:size] == part[:size]


def buffered(message: Message, asked: Message) -> bool:
    """A message that names the buffer in which the frame of a question is."""
    return message.buffer_id == asked.buffer_id != NO_BUFFER


def carries(message: Message, asked: Message) -> bool:
    """A packet-out with the frame of a question, or with the number of the buffer it is in."""
    if message.buffer_id != NO_BUFFER or not message.data:
        return buffered(message, asked)
    return message.in_port in (None, asked.in_port) and same_frame(message.data, asked.data)
