# SPDX-License-Identifier: Apache-2.0
"""Packet-ins: which frame each one asks about, and what the controller sent because of it.

What lives here: the join of frames, questions and answers. What must not: words.

1. Where no features reply says whose a connection is (the capture began later), its packet-ins do:
   it is the one switch to which the frames of all of them had come by then. Each such connection
   has a switch of its own.
2. A packet-in belongs to the newest frame that came to that switch by that port before it, has
   the same bytes (as many as were sent along) and has not been asked about yet. Only where there is
   none may the frame bear a time that is a little later.
3. Its answer is the first packet-out or flow-mod on the same connection with its buffer id, or the
   first packet-out that carries the same frame and answers no other question (`open_questions.py`);
   else the first packet-out within 50 ms and before the next question, unless an older question
   still waits: a router asks for a MAC address first. A probe (LLDP) needs no answer.
4. A flow was installed because of one question: the one whose buffer or xid it names; else one of
   those before it whose frame it takes, the oldest that has got nothing yet, or the newest; else
   one whose answer it takes, on the way back; else one with an Ethernet address that it names. One
   that names no address at all belongs to a question that came just before.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from hoplab.decode.frame_fields import frame_fields
from hoplab.decode.openflow import Match, Message
from hoplab.story.arrivals import Arrival, time_of
from hoplab.story.conversation import ChannelMessage, Connection
from hoplab.story.open_questions import (
    AT_MOST_NS,
    OpenQuestions,
    Question,
    buffered,
    same_frame,
)

OTHER_NS = 50_000_000  # a frame that is not the one asked about is an answer only right after
SLACK_NS = 1_000_000  # the clock is one, but two interfaces of two processors are not
ENOUGH = 50  # questions of a connection that are looked at to find out whose it is
FIRST_BYTES = 34  # bytes by which frames are looked up: Ethernet header and most of what follows
LLDP = b"\x88\xcc"  # IEEE 802.1AB


def join_questions(
    arrivals: Sequence[Arrival], messages: Sequence[ChannelMessage], switches: dict[Connection, str]
) -> list[Arrival]:
    """The arrivals, each with the question about it. Fills in the switches of connections that did
    not say."""
    questions: dict[Arrival, ChannelMessage] = {}
    by_bytes: dict[bytes, list[Arrival]] = {
        heard.message.data[:FIRST_BYTES]: [] for heard in messages if heard.message.data
    }
    for arrival in arrivals if by_bytes else ():
        same = by_bytes.get(arrival.data[:FIRST_BYTES])
        if same is not None:
            same.append(arrival)
    _find_switches(by_bytes, messages, switches)
    for question in messages:
        asked = question.message
        if asked.kind != "packet-in" or not asked.data:
            continue
        node = switches.get(question.connection)
        same = by_bytes.get(asked.data[:FIRST_BYTES], [])
        fitting = next(_fitting(same, question, node, questions), None)
        if fitting is not None:
            questions[fitting] = question
    if not questions:
        return [*arrivals]
    return [
        replace(arrival, question=questions[arrival]) if arrival in questions else arrival
        for arrival in arrivals
    ]


def _find_switches(
    by_bytes: Mapping[bytes, Sequence[Arrival]],
    messages: Sequence[ChannelMessage],
    switches: dict[Connection, str],
) -> None:
    """Fills in the switches of connections that did not say whose they are."""
    possible = _possible_switches(by_bytes, messages, switches)
    while sure := [connection for connection, nodes in possible.items() if len(nodes) == 1]:
        for connection in sure:
            (node,) = possible.pop(connection)
            switches[connection] = node
            for another, nodes in possible.items():  # of the same controller: of another switch
                if another[-1] == connection[-1] and len(nodes) > 1:
                    nodes.discard(node)


def _possible_switches(
    by_bytes: Mapping[bytes, Sequence[Arrival]],
    messages: Sequence[ChannelMessage],
    switches: Mapping[Connection, str],
) -> dict[Connection, set[str]]:
    """The switches to which the frames of all questions of a connection had come, for each
    connection that is not in `switches`."""
    possible: dict[Connection, set[str]] = {}
    looked_at: Counter[Connection] = Counter()
    for question in messages:
        asked, connection = question.message, question.connection
        if asked.kind != "packet-in" or not asked.data or connection in switches:
            continue
        if len(possible.get(connection, ())) == 1 or looked_at[connection] >= ENOUGH:
            continue  # in a storm there may be very many more
        looked_at[connection] += 1
        same = by_bytes.get(asked.data[:FIRST_BYTES], [])
        nodes = {arrival.node for arrival in _fitting(same, question, None, {})}
        if nodes:
            possible[connection] = possible.get(connection, nodes) & nodes or nodes
    return possible


def _fitting(
    same: Sequence[Arrival],
    question: ChannelMessage,
    node: str | None,
    questions: Mapping[Arrival, ChannelMessage],
) -> Iterator[Arrival]:
    """The arrivals that a question may be about, the newest first; where none came before it,
    those that bear a time a little later. same: those whose bytes begin alike, in order of time.
    node: the switch, if it is known. questions: those that have been asked about already."""
    asked = question.message

    def fits(arrival: Arrival) -> bool:
        return (
            arrival not in questions
            and (node is None or arrival.node == node)
            and (arrival.in_port is None or arrival.in_port == asked.in_port)
            and same_frame(arrival.data, asked.data)
        )

    before = place = bisect_right(same, question.t_ns, key=time_of)
    nothing = True
    while place and question.t_ns - same[place - 1].t_ns <= AT_MOST_NS:
        place -= 1
        if fits(same[place]):
            nothing = False
            yield same[place]
    if nothing:
        until = bisect_right(same, question.t_ns + SLACK_NS, key=time_of)
        yield from filter(fits, same[before:until])


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


class Answers:
    """What the controller messages, by connection; each answer and each flow is taken once."""

    def __init__(self, messages: Sequence[ChannelMessage], now_ns: int | None) -> None:
        self._now_ns = now_ns
        self._said: dict[Connection, list[ChannelMessage]] = {}
        self._asked: dict[Connection, list[int]] = {}  # when
        self._taken: set[int] = set()
        self._silent: dict[Connection, int] = {}  # when the last was asked that got nothing
        self._owned: set[int] = set()  # messages that belong to a question
        self._by_question: dict[int, list[ChannelMessage]] = {}
        self._refusals: dict[tuple[Connection, int], ChannelMessage] = {}
        questions: dict[Connection, OpenQuestions] = {}
        for heard in messages:
            message = heard.message
            if not heard.up:
                self._said.setdefault(heard.connection, []).append(heard)
                if heard.connection in questions:
                    self._find_owners(heard, questions[heard.connection])
            elif message.kind == "packet-in":
                self._asked.setdefault(heard.connection, []).append(heard.t_ns)
                questions.setdefault(heard.connection, OpenQuestions()).ask(Question(heard))
            elif message.kind == "error" and message.xid:
                self._refusals.setdefault((heard.connection, message.xid), heard)

    def _find_owners(self, heard: ChannelMessage, questions: OpenQuestions) -> None:
        """Whose a packet-out or a flow-mod is."""
        message = heard.message.inner or heard.message
        owner = None
        if message.kind == "packet-out":
            owner = questions.answer(heard)
        elif _installs(message):
            owner = _owner(message, questions.recent(heard.t_ns), heard.t_ns)
            if owner is not None:
                owner.served = True
        if owner is not None and heard.message.inner is None:
            self._owned.add(id(heard))
            self._by_question.setdefault(id(owner.heard), []).append(heard)

    def refusal(self, question: ChannelMessage, message: Message) -> ChannelMessage | None:
        """The error by which the switch of a question refused a message of the controller's."""
        return self._refusals.get((question.connection, message.xid)) if message.xid else None

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
            if id(heard) in self._owned:
                continue
            if heard.message.kind == "packet-out" and id(heard) not in self._taken:
                self._taken.add(id(heard))
                return heard, flows
            if _installs(heard.message):
                self._take(heard.message, flows)
        return None, flows

    def _own(self, question: ChannelMessage) -> tuple[ChannelMessage | None, list[Message]]:
        flows: list[Message] = []
        for heard in self._by_question.get(id(question), ()):
            message = heard.message
            if _installs(message):
                self._take(message, flows)
            if not _installs(message) or buffered(message, question.message):
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


def _owner(message: Message, near: Sequence[Question], t_ns: int) -> Question | None:
    """The question that a flow was installed because of, out of those before it, if any."""
    for each in near:
        asked = each.heard.message
        if buffered(message, asked) or (message.xid == asked.xid != 0):
            return each
    match = message.match or Match()
    named = match.fields.keys() & _ADDRESSES.keys()
    macs = {match.fields.get("eth_src"), match.fields.get("eth_dst")}

    def takes(asked: Message, asked_ns: int) -> bool:
        if not named and t_ns - asked_ns > OTHER_NS:
            return False
        return match.takes(asked.in_port, asked.data) is True

    def takes_answer(asked: Message, _: int) -> bool:
        return bool(named) and _takes_the_answer(match, asked)

    def names(asked: Message, _: int) -> bool:
        return asked.data[:6] in macs or asked.data[6:12] in macs

    for fits in (takes, takes_answer, names):
        fitting = [each for each in near if fits(each.heard.message, each.heard.t_ns)]
        if fitting:
            empty = (each for each in fitting if not each.served and not each.answered)
            return next(empty, fitting[-1])
    return None


# Fields that name somebody, and those that name the same one where he answers.
_ADDRESSES = {
    "eth_src": "eth_dst", "eth_dst": "eth_src", "ipv4_src": "ipv4_dst", "ipv4_dst": "ipv4_src",
    "ipv6_src": "ipv6_dst", "ipv6_dst": "ipv6_src", "arp_spa": "arp_tpa", "arp_tpa": "arp_spa",
    "tcp_src": "tcp_dst", "tcp_dst": "tcp_src", "udp_src": "udp_dst", "udp_dst": "udp_src",
}  # fmt: skip


def _takes_the_answer(match: Match, asked: Message) -> bool:
    """A flow takes what comes back when the frame of a question is answered."""
    fields = frame_fields(asked.in_port, asked.data)
    for name, wanted in match.fields.items():
        if name == "in_port":
            continue  # by which port it comes is not known
        real = fields.get(_ADDRESSES.get(name, name))
        mask = match.masks.get(name, b"\xff" * len(wanted))
        if real is None or any((a ^ b) & m for a, b, m in zip(real, wanted, mask, strict=False)):
            return False
    return True
