# SPDX-License-Identifier: Apache-2.0
"""Every frame that came to a switch, asked about in the shadow: what the tables did with it.

What lives here: the order of work. What must not: what an answer means (`answers.py`), how tables
were (`history.py`), how the shadow gets there (`stage.py`).

1. In order of time: changes are made when they were seen on their way to the switch, frames that
   came in are asked about, and so are those that the controller sent out (packet-outs).
2. What a switch is to send is looked for among the frames that were seen to leave it, and what it
   is to ask the controller among the packet-ins: the oldest with the same bytes, each once.
3. What was seen may be what older tables would have done: Open vSwitch decides by a cache that it
   brings up to date a moment after its tables have changed. Or what the next ones would have done,
   since the time of a change is only known within bounds. So frames that did otherwise than their
   tables say are asked about once more, with the tables of the last `CACHED_NS`, and of the next
   `EARLY_NS`. What fits none of them is said to fit none.
"""

from __future__ import annotations

import contextlib
import time
from bisect import bisect_left, bisect_right
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from hoplab.capture.observation import Observation
from hoplab.capture.pcapng_format import Note
from hoplab.capture.spanning_trees import SpanningTrees
from hoplab.decode.datapath_actions import fingerprint
from hoplab.decode.openflow import NO_BUFFER, Message
from hoplab.follow.passages import CT_NEW, METER, TREE_MESSAGE, Passage, Sent
from hoplab.follow.tree import STORM_FROM
from hoplab.follow.wiring import Wiring
from hoplab.openvswitch.shadow import Shadow
from hoplab.openvswitch.unixctl import Refused
from hoplab.replay.answers import Answerer
from hoplab.replay.history import Histories
from hoplab.replay.spanning_trees import pruned
from hoplab.replay.stage import Stage, port_numbers
from hoplab.story.conversation import ChannelMessage, Connection
from hoplab.story.open_questions import OpenQuestions, Question, same_frame
from hoplab.story.silence import loop_of_switches
from hoplab.wait import patience

# How long a switch may go by older tables. 10 ms is usual; a busy machine takes longer, and half a
# second is the most that Open vSwitch takes by itself (ovs-vswitchd.conf.db(5), max-revalidator).
CACHED_NS, EARLY_NS = 500_000_000, 1_000_000
_MOST_TRIALS = 48
_SLACK_NS = 1_000_000  # two interfaces of two processors are not of one clock
_LONGEST_NS = 2_000_000_000  # a queue in front of a cable may hold a frame for so long
_SOON_NS = 20_000_000
_ANEW_NS = 500_000_000  # bytes that were not there for so long were sent anew
_QUESTION_NS = 5_000_000_000
_FIRST_BYTES = 34
BEHIND_NS = 3_000_000_000
_NEXT_NS = 5_000_000  # what is said a moment later tells of what is just being done
_TOLD_NS = 400_000_000  # a switch is waited for so long to tell of a flow that it was given
_REVIEW_NS = 2 * _SOON_NS
_NEVER_NS = 1 << 62
_ASKS_NOT = 4  # since 1.3 a switch does not ask where it has no flow


@dataclass(slots=True)
class _Seen:
    """A frame that left a switch, or a question about one."""

    t_ns: int
    number: int
    data: bytes
    taken: bool = False


@dataclass(slots=True)
class _Arrival:
    """A frame that came to a switch, or that its controller has it send out (packet_out)."""

    t_ns: int
    number: int
    switch: str
    in_port: int
    data: bytes
    packet_out: bool = False
    actions: bytes = b""
    version: int = 4
    question: int = 0
    rewritten: bool = False  # other bytes than those of the frame that was asked about
    at: int = 0  # so many changes had been made
    passage: Passage | None = None
    used: list[_Seen] = field(default_factory=list)


def play(
    wiring: Wiring,
    ports: Sequence[int | None],
    kept: Iterable[Note],
    frames: Iterable[Observation],
    messages: Sequence[ChannelMessage],
    shadow: Shadow,
) -> list[Passage]:
    """What the switches of a capture did, in order of time. Raises Unavailable, OSError."""
    player = Player(wiring, ports, shadow)
    player.take(kept, frames, messages)
    return player.advance()


class Player:
    """Plays the past of some switches in a shadow, which is opened here.

    `take` takes what has been captured, in order of time; `advance` gives what the switches did
    with frames until some time ago, so that all is there that shows it: what left a switch, what it
    told of its tables. All at once or piece by piece, the answers are the same, but where a
    switch's connection is known only later. settled_ns: all frames before have been dealt with.
    skipped: frames, by their numbers, that were not asked about, since there was no time. asked:
    how many were asked about last.

    >>> player = Player(wiring, ports, shadow)
    >>> player.take(notes, frames, messages)
    >>> passages = player.advance()
    """

    def __init__(
        self, wiring: Wiring, ports: Sequence[int | None], shadow: Shadow
    ) -> None:
        """ports: for each port of the capture that of the wiring; it may grow."""
        self.settled_ns = 0
        self.skipped: set[int] = set()
        self.asked = 0
        self._wiring, self._ports, self._shadow = wiring, ports, shadow
        self._places: dict[int, tuple[str, int]] = {}  # by port of the capture
        self._placed = 0
        self._left: dict[tuple[str, int], dict[bytes, list[_Seen]]] = {}
        self._asked: dict[tuple[str, int], dict[bytes, list[_Seen]]] = {}
        self._prints: dict[bytes, bytes] = {}
        self._by_bytes: dict[tuple[str, int, bytes], list[_Arrival]] = {}
        # At which ports of a switch an address was, each with the time when it was there first.
        self._macs: dict[tuple[str, bytes], dict[int, int]] = {}
        # The switches that a frame may come to again, and what has come there, by its bytes: how
        # often by each port, and when last.
        self._circling = frozenset(loop_of_switches(wiring))
        self._copies: dict[tuple[str, bytes, bool], dict[int, tuple[int, int]]] = {}
        self._waiting: list[_Arrival] = []  # to be asked about
        self._reviewed: list[_Arrival] = []  # asked about; what they did is to be compared
        self._messages: deque[ChannelMessage] = deque()
        self._questions: dict[Connection, OpenQuestions] = defaultdict(OpenQuestions)
        self.histories = Histories(wiring, self._came_to)
        self._trees = SpanningTrees()
        self._names: dict[str, dict[int, str]] = {}  # interfaces by switch and OpenFlow number
        self._asking: set[str] = set()  # switches that ask about what they have no flow for
        self._opened = False
        self._stages: dict[str, Stage] = {}
        self._answerers: dict[str, Answerer] = {}

    def take(
        self,
        kept: Iterable[Note] = (),
        frames: Iterable[Observation] = (),
        messages: Sequence[ChannelMessage] = (),
    ) -> None:
        """Take what has been captured meanwhile; frames are those of hosts."""
        self._take_in(frames)
        kept = [*kept]
        self.histories.note(kept)
        self._trees.note(kept)
        self.histories.refusals(messages)
        self._messages.extend(messages)

    def advance(
        self,
        until_ns: int | None = None,
        within_s: float | None = None,
        most: int | None = None,
    ) -> list[Passage]:
        """What the switches did until then, in order of time; None for all that is left. within_s:
        so much time there is; what it does not suffice for is done next time, and skipped when it
        is `BEHIND_NS` late. most: the same for a number of frames. Raises Unavailable, OSError."""
        self.asked = 0
        heard_ns = None if until_ns is None else until_ns + _NEXT_NS
        messages: list[ChannelMessage] = []
        while self._messages and (heard_ns is None or self._messages[0].t_ns <= heard_ns):
            messages.append(self._messages.popleft())
        self.histories.hear(messages, heard_ns)
        if until_ns is not None:
            awaited_ns = self.histories.awaited_ns(until_ns - _TOLD_NS)
            if awaited_ns is not None:
                until_ns = min(until_ns, awaited_ns - 1)
        self._waiting += self._packet_outs(messages)
        if not self._open(until_ns):
            return []
        for switch in self._asking.intersection(self._stages):
            self._asking.discard(switch)
            self._shadow.ask_on_miss(switch)
        arrivals = self._due(until_ns, late=within_s is not None)
        end = None if within_s is None else time.monotonic() + within_s
        for place, arrival in enumerate(arrivals):
            if (end is not None and time.monotonic() > end) or self.asked == most:
                self._waiting = arrivals[place:] + self._waiting
                until_ns = arrival.t_ns - 1
                break
            self._go_to(arrival)
            arrival.passage = self._ask(arrival)
            self._match(arrival)
            self._reviewed.append(arrival)
            self.asked += 1
        return self._review(until_ns)

    def give_up(self) -> list[Passage]:
        """All that is left is skipped; what was asked about already is given."""
        self.skipped |= {each.number for each in self._waiting if not each.packet_out}
        self._waiting.clear()
        return self._review(None)

    def skip(self, until_ns: int) -> None:
        """What came until then and is not asked about yet is skipped, for others that come."""
        self.skipped |= {each.number for each in self._waiting if not each.packet_out}
        self._waiting.clear()
        self._reviewed.clear()
        self.settled_ns = max(self.settled_ns, until_ns)

    def _due(self, until_ns: int | None, *, late: bool) -> list[_Arrival]:
        """Those that are asked about now, in order of time. late: what is too late is skipped."""
        self._waiting.sort(key=lambda arrival: (arrival.t_ns, arrival.number))
        count = len(self._waiting)
        if until_ns is not None:
            count = bisect_right(self._waiting, until_ns, key=lambda arrival: arrival.t_ns)
        arrivals = []
        for arrival in self._waiting[:count]:
            history = self.histories.by_switch.get(arrival.switch)
            if history is None or arrival.t_ns < history.known_ns:
                continue
            if arrival.switch not in self._stages:
                continue
            if late and until_ns and arrival.t_ns < until_ns - BEHIND_NS * patience():
                if not arrival.packet_out:
                    self.skipped.add(arrival.number)
                continue
            arrivals.append(arrival)
        del self._waiting[:count]
        return arrivals

    def _review(self, until_ns: int | None) -> list[Passage]:
        """Those of which all is known that may be compared with them."""
        count = len(self._reviewed)
        if until_ns is not None:
            until_ns -= _REVIEW_NS
            count = bisect_right(self._reviewed, until_ns, key=lambda arrival: arrival.t_ns)
        arrivals = self._reviewed[:count]
        del self._reviewed[:count]
        for arrival in arrivals:
            if arrival.passage is not None and not arrival.packet_out:
                self._look_again(arrival)
        for arrival in arrivals:  # what was taken for a copy of another one may be theirs now
            if arrival.packet_out and arrival.passage is not None and not arrival.passage.fits:
                _release(arrival)
                names = self._names.get(arrival.switch, {})
                arrival.passage = pruned(self._trees, arrival.passage, names) or arrival.passage
                self._match(arrival)
        self.settled_ns = max(self.settled_ns, _NEVER_NS if until_ns is None else until_ns)
        return [arrival.passage for arrival in arrivals if arrival.passage is not None]

    def _open(self, until_ns: int | None) -> bool:
        """Whether the shadow has the switches: once all of them have told how they were, or those
        that have not are not waited for any longer."""
        if self._opened:
            self._open_new()
            return True
        histories = self.histories.by_switch
        if until_ns is not None:
            asked_ns = min((history.asked_ns for history in histories.values()), default=until_ns)
            whole = all(history.whole for history in histories.values())
            if until_ns - asked_ns < (_REVIEW_NS if whole else _TOLD_NS):
                return False
        self._opened = True
        self._shadow.open({name: port_numbers(history) for name, history in histories.items()})
        self._stages = {
            name: Stage(self._shadow, name, history) for name, history in histories.items()
        }
        self._answerers = {name: Answerer(stage) for name, stage in self._stages.items()}
        return True

    def _open_new(self) -> None:
        """Make the switches that are new since, once they have told how they are."""
        for name, history in self.histories.by_switch.items():
            if name not in self._stages and history.whole:
                self._shadow.add({name: port_numbers(history)})
                stage = self._stages[name] = Stage(self._shadow, name, history)
                self._answerers[name] = Answerer(stage)

    def forget(self, before_ns: int) -> None:
        """Forget what was seen before, for what goes on for hours."""
        self._prints.clear()
        for alike, by_port in list(self._copies.items()):
            if max(t_ns for _, t_ns in by_port.values()) < before_ns:
                del self._copies[alike]
        for seen_by in (self._left, self._asked):
            for by_bytes in seen_by.values():
                _prune(by_bytes, before_ns)
        _prune(self._by_bytes, before_ns)

    # ------------------------------------------------------------------ what there is

    def _take_in(self, frames: Iterable[Observation]) -> None:
        """Keeps the frames that came to switches, and those that left."""
        for number in range(self._placed, len(self._ports)):
            port = self._ports[number]
            if port is None or not self._wiring.is_datapath(port):
                continue
            openflow = self._wiring.interfaces[port].extra.get("port")
            if isinstance(openflow, int):
                switch = self._wiring.node_name(port)
                self._places[number] = switch, openflow
                self._names.setdefault(switch, {})[openflow] = self._wiring.port_name(port)
        self._placed = len(self._ports)
        for seen in frames:
            place = self._places.get(seen.port)
            if place is None or len(seen.data) < 14:
                continue
            if seen.outgoing:
                left = self._left.setdefault(place, {})
                left.setdefault(self._print(seen.data), []).append(
                    _Seen(seen.t_ns, seen.number, seen.data)
                )
            else:
                arrival = _Arrival(seen.t_ns, seen.number, *place, seen.data)
                if not self._goes_round(arrival):
                    self._waiting.append(arrival)
                alike = self._by_bytes.setdefault((*place, seen.data[:_FIRST_BYTES]), [])
                alike.append(arrival)
                ports = self._macs.setdefault((place[0], seen.data[6:12]), {})
                ports.setdefault(place[1], seen.t_ns)

    def _goes_round(self, arrival: _Arrival) -> bool:
        """Whether its bytes have come to the switch again and again, and by several ports: it is of
        a storm, whose later copies a story only counts. To ask about each would take minutes."""
        if arrival.switch not in self._circling:
            return False
        alike = arrival.switch, arrival.data, arrival.packet_out
        by_port = self._copies.setdefault(alike, {})
        count, last_ns = by_port.get(arrival.in_port, (0, 0))
        count = count + 1 if arrival.t_ns - last_ns < _ANEW_NS else 1
        by_port[arrival.in_port] = count, arrival.t_ns
        here = [port for port, (_, t_ns) in by_port.items() if arrival.t_ns - t_ns < _ANEW_NS]
        return count > STORM_FROM and len(here) > 1

    def _came_to(self, heard: ChannelMessage) -> set[str]:
        """The switches that a packet-in may be of: the frame in it came there just before; where it
        came to none just then, a busy switch has kept it for longer."""
        message = heard.message
        if message.kind != "packet-in" or not message.data:
            return set()
        head = message.data[:_FIRST_BYTES]
        fitting: set[str] = set()
        long_ago: set[str] = set()
        for switch in self._wiring.nodes:
            about = _newest(
                self._by_bytes.get((switch, message.in_port or 0, head), ()), heard.t_ns
            )
            if about is not None and heard.t_ns - about.t_ns < _QUESTION_NS:
                (fitting if heard.t_ns - about.t_ns < _SOON_NS else long_ago).add(switch)
        return fitting or long_ago

    def _packet_outs(self, messages: Iterable[ChannelMessage]) -> list[_Arrival]:
        """Those of the controllers, and which question each one answers; takes in questions."""
        outs: list[_Arrival] = []
        for heard in messages:
            message, switch = heard.message, self.histories.owners.get(heard.connection, "")
            if switch not in self.histories.by_switch:
                continue
            if message.version < _ASKS_NOT and message.kind in ("packet-in", "flow-mod"):
                self._asking.add(switch)
            if heard.up and message.kind == "packet-in" and message.data:
                self._take_question(heard, switch)
            elif not heard.up and message.kind == "packet-out":
                tests = () if message.buffer_id != NO_BUFFER else _ABOUT_ONE_FRAME
                question = self._questions[heard.connection].answer(heard, tests)
                packet_out = _packet_out(heard, switch, question)
                if packet_out is not None and not self._goes_round(packet_out):
                    outs.append(packet_out)
        return outs

    def _take_question(self, heard: ChannelMessage, switch: str) -> None:
        """Keep a packet-in of this switch, and find the frame that it is about."""
        data, in_port = heard.message.data, heard.message.in_port or 0
        head = data[:_FIRST_BYTES]
        about = _newest(self._by_bytes.get((switch, in_port, head), ()), heard.t_ns)
        number, frame = (about.number, about.data) if about is not None else (0, b"")
        self._questions[heard.connection].ask(Question(heard, number, frame))
        questions = self._asked.setdefault((switch, in_port), {}).setdefault(head, [])
        questions.append(_Seen(heard.t_ns, heard.number, data))

    # ------------------------------------------------------------------ one frame

    def _go_to(self, arrival: _Arrival) -> None:
        stage = self._stages[arrival.switch]
        changes = stage.history.changes
        place = stage.at
        while place < len(changes) and changes[place].from_ns <= arrival.t_ns:
            place += 1
        stage.go_to(place)
        arrival.at = place

    def _ask(self, arrival: _Arrival) -> Passage | None:
        if not arrival.packet_out and self._trees.takes(arrival.switch, arrival.data):
            return Passage(
                arrival.number, arrival.t_ns, arrival.switch, arrival.in_port, (), (),
                reason=TREE_MESSAGE,
            )  # fmt: skip
        answerer = self._answerers[arrival.switch]
        try:
            if arrival.packet_out:
                passage = answerer.packet_out(
                    arrival.number, arrival.t_ns, arrival.in_port, arrival.data, arrival.actions,
                    arrival.version,
                )  # fmt: skip
                return replace(
                    passage, question=arrival.question, rewritten=arrival.rewritten
                )
            return answerer.arrival(arrival.number, arrival.t_ns, arrival.in_port, arrival.data)
        except Refused:
            return None

    def _match(self, arrival: _Arrival) -> None:
        """Look for what is to be sent, or asked, among what was seen."""
        passage = arrival.passage
        if passage is None:
            return
        used: list[_Seen] = []
        sent: list[Sent] = []
        for copy in passage.sent:
            seen = self._find(arrival, copy)
            if seen is not None:
                seen.taken = True
                used.append(seen)
            sent.append(replace(copy, number=seen.number if seen is not None else 0))
        fits = len(used) == len(passage.sent)
        if passage.asked:
            question = self._find_question(arrival)
            if question is not None:
                question.taken = True
                used.append(question)
            fits = fits and question is not None
        arrival.used = used
        metered = any(meter.dropped != 0 for meter in passage.meters)
        reason = METER if metered and sent and not used else passage.reason
        arrival.passage = replace(passage, sent=tuple(sent), fits=fits, reason=reason)

    def _find(self, arrival: _Arrival, copy: Sent) -> _Seen | None:
        data = arrival.data if copy.data is None else copy.data
        left = self._left.get((arrival.switch, copy.port), {}).get(self._print(data), [])
        return _first(left, arrival.t_ns, _LONGEST_NS)

    def _find_question(self, arrival: _Arrival) -> _Seen | None:
        questions = self._asked.get((arrival.switch, arrival.in_port), {})
        return _first(questions.get(arrival.data[:_FIRST_BYTES], []), arrival.t_ns, _QUESTION_NS)

    def _print(self, data: bytes) -> bytes:
        known = self._prints.get(data)
        if known is None:
            known = self._prints[data] = fingerprint(data)
        return known

    # ------------------------------------------------------------------ what did otherwise

    def _look_again(self, arrival: _Arrival) -> None:
        """Whether it did what other tables would have done, if it did otherwise than these."""
        passage = arrival.passage
        assert passage is not None
        extra = self._unexplained(arrival)
        if (passage.fits or passage.reason == METER) and not extra:
            return
        _release(arrival)
        left = pruned(self._trees, passage, self._names.get(arrival.switch, {}))
        if left is not None and self._fits(arrival, left):
            return
        if passage.unsure == CT_NEW and self._tracked(arrival):
            return
        for place in self._places_near(arrival):
            if self._explains(arrival, place):
                return
        if self._moved(arrival):
            return
        self._match(arrival)
        if extra:
            assert arrival.passage is not None
            arrival.passage = replace(arrival.passage, fits=False)

    def _places_near(self, arrival: _Arrival) -> list[int]:
        """Places in the switch's history whose tables it may have used instead: the older ones that
        a cache may have kept, newest first, then those that may have come early."""
        changes = self._stages[arrival.switch].history.changes
        places: list[int] = []
        place = arrival.at
        while (
            place and len(places) < _MOST_TRIALS
            and changes[place - 1].until_ns >= arrival.t_ns - CACHED_NS
        ):  # fmt: skip
            place -= 1
            places.append(place)
        place = arrival.at
        while place < len(changes) and changes[place].from_ns <= arrival.t_ns + EARLY_NS:
            place += 1
            places.append(place)
        return places

    def _explains(self, arrival: _Arrival, place: int) -> bool:
        """Whether the tables at that place explain what was seen; the passage is theirs then."""
        self._stages[arrival.switch].go_to(place)
        try:
            trial = self._answerers[arrival.switch].arrival(
                arrival.number, arrival.t_ns, arrival.in_port, arrival.data, effects=False
            )
        except Refused:
            return False
        early = place > arrival.at
        return self._fits(arrival, replace(trial, cached=not early, early=early))

    def _tracked(self, arrival: _Arrival) -> bool:
        """Whether it did what is done with a frame of a connection that the switch knows."""
        self._stages[arrival.switch].go_to(arrival.at)
        answerer = self._answerers[arrival.switch]
        try:
            return any(
                self._fits(arrival, trial)
                for trial in answerer.tracked(
                    arrival.number, arrival.t_ns, arrival.in_port, arrival.data
                )
            )
        except Refused:
            return False

    def _moved(self, arrival: _Arrival) -> bool:
        """Whether it did what NORMAL does while it has the destination where that was before."""
        passage, data = arrival.passage, arrival.data
        assert passage is not None
        acts = (act.text for flow in passage.flows for act in flow.acts)
        if data[0] & 1 or not any("NORMAL" in text for text in acts):
            return False
        self._stages[arrival.switch].go_to(arrival.at)
        places = self._macs.get((arrival.switch, data[:6]), {})
        ports = [port for port, t_ns in places.items() if t_ns <= arrival.t_ns]
        trials = self._answerers[arrival.switch].elsewhere(passage, data, ports)
        try:
            with contextlib.closing(trials):
                return any(self._fits(arrival, trial) for trial in trials)
        except Refused:
            return False

    def _fits(self, arrival: _Arrival, trial: Passage) -> bool:
        """Whether that explains what was seen; it is the arrival's passage then."""
        before = arrival.passage
        arrival.passage = trial
        self._match(arrival)
        assert arrival.passage is not None
        if arrival.passage.fits and not self._unexplained(arrival):
            return True
        _release(arrival)
        arrival.passage = before
        return False

    def _unexplained(self, arrival: _Arrival) -> bool:
        """A frame with its bytes left the switch just then, or the switch asked about it, and
        nothing explains that."""
        if arrival.passage is not None and arrival.passage.asked:
            return False  # what left is what the controller sent out
        question = self._find_question(arrival)
        if question is not None and question.t_ns - arrival.t_ns < _SOON_NS:
            return True
        key = self._print(arrival.data)
        for (switch, port), left in self._left.items():
            if switch == arrival.switch and port != arrival.in_port:
                seen = _first(left.get(key, []), arrival.t_ns, _SOON_NS)
                if seen is not None:
                    return True
        return False


_Timed = TypeVar("_Timed", _Seen, _Arrival)
_Key = TypeVar("_Key")


def _prune(by_bytes: dict[_Key, list[_Timed]], before_ns: int) -> None:
    """Take out what is older."""
    for key in list(by_bytes):
        kept = [event for event in by_bytes[key] if event.t_ns >= before_ns]
        if kept:
            by_bytes[key] = kept
        else:
            del by_bytes[key]


def _release(arrival: _Arrival) -> None:
    """What was seen and matched with this arrival is free again for others."""
    for seen in arrival.used:
        seen.taken = False


def _packet_out(
    heard: ChannelMessage, switch: str, question: Question | None
) -> _Arrival | None:
    """A packet-out as an arrival at its switch; None when the frame in it is not known. question:
    the one that it answers."""
    message, data = heard.message, heard.message.data
    if message.buffer_id != NO_BUFFER and question is not None:
        data = question.frame or question.heard.message.data
    if len(data) < 14:
        return None
    number, frame = (question.number, question.frame) if question is not None else (0, b"")
    return _Arrival(
        heard.t_ns, heard.number, switch, message.in_port or 0, data, True, message.actions,
        message.version, number, bool(frame) and not same_frame(data, frame),
    )  # fmt: skip


def _newest(arrivals: Sequence[_Arrival], t_ns: int) -> _Arrival | None:
    """The newest of these that came before that time. They stand in the order of their times, and
    in a storm there are thousands of them."""
    place = bisect_right(arrivals, t_ns + _SLACK_NS, key=lambda arrival: arrival.t_ns)
    return arrivals[place - 1] if place else None


def _first(seen: Sequence[_Seen], t_ns: int, within_ns: int) -> _Seen | None:
    """The oldest of these that is not taken, from that time on."""
    place = bisect_left(seen, t_ns - _SLACK_NS, key=lambda one: one.t_ns)
    for index in range(place, len(seen)):
        if seen[index].t_ns > t_ns + within_ns:
            return None
        if not seen[index].taken:
            return seen[index]
    return None


def _has_the_frame(message: Message, asked: Message) -> bool:
    return same_frame(asked.data, message.data)


def _has_it_rewritten(message: Message, asked: Message) -> bool:
    """The same type of frame, and the same bytes behind its addresses and checksums: the controller
    has written new addresses into it."""
    part, frame = asked.data, message.data
    return (
        part[12:14] == frame[12:14] == b"\x08\x00"
        and len(part) == len(frame) > 42
        and part[18:20] == frame[18:20]
        and part[23:24] == frame[23:24]
        and part[38:] == frame[38:]
    )


# How else a packet-out may be about the same frame as a question, the surest first.
_ABOUT_ONE_FRAME = (_has_the_frame, _has_it_rewritten)
