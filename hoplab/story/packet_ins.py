# SPDX-License-Identifier: Apache-2.0
"""Packet-ins: which frame each one asks about, and what the controller sent because of it.

What lives here: the join of frames, questions and answers. What must not: words.

1. Where no features reply says whose a connection is (the capture began later), the first packet-in
   whose frame came to exactly one switch tells.
2. A packet-in belongs to the newest frame that came to that switch by that port before it, has
   the same bytes (as many as were sent along) and has not been asked about yet.
3. Its answer is the first packet-out or flow-mod on the same connection with its buffer id, or the
   first packet-out that carries the same frame; else the first packet-out within 50 ms and before
   the next question, unless an older question still waits: a router asks for a MAC address first.
   A probe (LLDP) needs no answer.
4. Flows were installed because of it if the controller sent them between question and answer and
   they name an address of the frame, or its port alone, or bear the question's xid. Each is told of
   one question.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from hoplab.decode.openflow import NO_BUFFER, Match, Message
from hoplab.story.arrivals import Arrival, time_of
from hoplab.story.conversation import ChannelMessage, Connection

AT_MOST_NS = 5_000_000_000  # a controller that takes longer has answered something else
OTHER_NS = 50_000_000  # a frame that is not the one asked about is an answer only right after
SLACK_NS = 1_000_000  # the clock is one, but two interfaces of two processors are not
FIRST_BYTES = 34  # bytes by which frames are looked up: Ethernet header and most of what follows
LLDP = b"\x88\xcc"  # IEEE 802.1AB


def join_questions(
    arrivals: Sequence[Arrival], messages: Sequence[ChannelMessage], switches: dict[Connection, str]
) -> list[Arrival]:
    """The arrivals, each with the question about it. Fills in the switches of connections that did
    not say."""
    questions: dict[Arrival, ChannelMessage] = {}
    by_bytes: dict[bytes, list[Arrival]] = {}
    for arrival in arrivals:
        by_bytes.setdefault(arrival.data[:FIRST_BYTES], []).append(arrival)
    for question in messages:
        asked = question.message
        if asked.kind != "packet-in" or not asked.data:
            continue
        node = switches.get(question.connection)
        fitting = _fitting(by_bytes.get(asked.data[:FIRST_BYTES], []), question, node, questions)
        if node is None and len({arrival.node for arrival in fitting}) == 1:
            switches[question.connection] = fitting[0].node
        if fitting:
            questions[fitting[0]] = question
    return [
        replace(arrival, question=questions[arrival]) if arrival in questions else arrival
        for arrival in arrivals
    ]


def _fitting(
    same: Sequence[Arrival],
    question: ChannelMessage,
    node: str | None,
    questions: Mapping[Arrival, ChannelMessage],
) -> list[Arrival]:
    """The arrivals that a question may be about, the newest first; of a switch that is known no
    more than that one, since in a storm there may be very many. same: those whose bytes begin
    alike, in order of time. questions: those that have been asked about already."""
    asked = question.message
    fitting: list[Arrival] = []
    place = bisect_right(same, question.t_ns + SLACK_NS, key=time_of)
    while place and question.t_ns - same[place - 1].t_ns <= AT_MOST_NS:
        place -= 1
        arrival = same[place]
        if (
            arrival not in questions
            and (node is None or arrival.node == node)
            and (arrival.in_port is None or arrival.in_port == asked.in_port)
            and same_frame(arrival.data, asked.data)
        ):
            fitting.append(arrival)
            if node is not None:
                break
    return fitting


def questions_by_frame(
    messages: Sequence[ChannelMessage], switches: Mapping[Connection, str]
) -> dict[tuple[str, bytes], list[ChannelMessage]]:
    """What switches asked, by switch and by the first bytes of the frame, in order of time."""
    questions: dict[tuple[str, bytes], list[ChannelMessage]] = {}
    for heard in messages:
        node = switches.get(heard.connection)
        if heard.message.kind == "packet-in" and node is not None:
            questions.setdefault((node, heard.message.data[:FIRST_BYTES]), []).append(heard)
    return questions


def same_frame(frame: bytes, part: bytes) -> bool:
    """The same frame, cut by the switch or padded on the way."""
    size = min(len(frame), len(part))
    return frame[:size] == part[:size]


class Answers:
    """What the controller messages, by connection; each answer and each flow is taken once."""

    def __init__(self, messages: Sequence[ChannelMessage], now_ns: int | None) -> None:
        self._now_ns = now_ns
        self._said: dict[Connection, list[ChannelMessage]] = {}
        self._asked: dict[Connection, list[int]] = {}  # when
        self._taken: set[int] = set()
        self._silent: dict[Connection, int] = {}  # when the last was asked that got nothing
        for heard in messages:
            if not heard.up:
                self._said.setdefault(heard.connection, []).append(heard)
            elif heard.message.kind == "packet-in":
                self._asked.setdefault(heard.connection, []).append(heard.t_ns)

    def find(self, question: ChannelMessage) -> tuple[ChannelMessage | None, list[Message]]:
        """The answer, and the flows that came with it."""
        answer, flows = self._own(question)
        if answer is None:
            answer, more = self._other(question)
            flows += more
        if answer is None and not flows:
            self._silent[question.connection] = question.t_ns
        return answer, flows

    def _other(self, question: ChannelMessage) -> tuple[ChannelMessage | None, list[Message]]:
        """What came right after, before anything else was asked, though it does not name the frame:
        a router asks for a MAC address first, say, or knows one now."""
        flows: list[Message] = []
        if question.message.data[12:14] == LLDP:
            return None, flows  # it needs no answer; what follows is another probe
        if question.t_ns - self._silent.get(question.connection, -OTHER_NS) < OTHER_NS:
            return None, flows  # it may be the answer to that
        until = question.t_ns + OTHER_NS
        if self._now_ns is not None and self._now_ns < until:
            return None, flows  # its own may be still to come
        asked = self._asked.get(question.connection, [])
        place = bisect_right(asked, question.t_ns)
        if place < len(asked):
            until = min(until, asked[place])
        for heard in self._after(question, until):
            if heard.message.kind == "packet-out" and id(heard) not in self._taken:
                self._taken.add(id(heard))
                return heard, flows
            if _installs(heard.message):
                self._take(heard.message, flows)
        return None, flows

    def _own(self, question: ChannelMessage) -> tuple[ChannelMessage | None, list[Message]]:
        asked = question.message
        flows: list[Message] = []
        for heard in self._after(question, question.t_ns + AT_MOST_NS):
            message = heard.message
            if _installs(message):
                if _because(message, asked):
                    self._take(message, flows)
                answers = _buffered(message, asked)
            else:
                answers = message.kind == "packet-out" and carries(message, asked)
            if answers and id(heard) not in self._taken:
                self._taken.add(id(heard))
                return heard, flows
        return None, flows

    def _after(self, question: ChannelMessage, until_ns: int) -> Iterator[ChannelMessage]:
        """What was said on its connection later, up to that time."""
        later = self._said.get(question.connection, [])
        for place in range(bisect_right(later, question.t_ns, key=time_of), len(later)):
            if later[place].t_ns > until_ns:
                return
            yield later[place]

    def _take(self, flow: Message, flows: list[Message]) -> None:
        if id(flow) not in self._taken:
            self._taken.add(id(flow))
            flows.append(flow)


def _installs(message: Message) -> bool:
    return message.kind == "flow-mod" and message.command in ("add", "modify")


def carries(message: Message, asked: Message) -> bool:
    """A packet-out with the frame of a question, or with the number of the buffer it is in."""
    if message.buffer_id != NO_BUFFER or not message.data:
        return _buffered(message, asked)
    return message.in_port in (None, asked.in_port) and same_frame(message.data, asked.data)


def _buffered(message: Message, asked: Message) -> bool:
    return message.buffer_id == asked.buffer_id != NO_BUFFER


def _because(message: Message, asked: Message) -> bool:
    match = message.match or Match()
    ends = {asked.data[:6], asked.data[6:12]}
    if _buffered(message, asked) or (message.xid == asked.xid != 0):
        return True
    named = [match.fields[name] for name in ("eth_src", "eth_dst") if name in match.fields]
    return any(mac in ends for mac in named) or (
        not named and match.in_port is not None and match.in_port == asked.in_port
    )
