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

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from hoplab.capture.observation import Observation
from hoplab.capture.pcapng_format import Note
from hoplab.decode.datapath_actions import fingerprint
from hoplab.decode.openflow import NO_BUFFER
from hoplab.follow.passages import METER, Passage, Sent
from hoplab.follow.wiring import Wiring
from hoplab.openvswitch.shadow import Shadow
from hoplab.openvswitch.unixctl import Refused
from hoplab.replay.answers import Answerer
from hoplab.replay.history import histories
from hoplab.replay.stage import Stage, port_numbers
from hoplab.story.conversation import ChannelMessage, Connection

# How long a switch may go by older tables. 10 ms is usual; a busy machine takes longer, and half a
# second is the most that Open vSwitch takes by itself (ovs-vswitchd.conf.db(5), max-revalidator).
CACHED_NS, EARLY_NS = 500_000_000, 1_000_000
_MOST_TRIALS = 48
_SLACK_NS = 1_000_000  # two interfaces of two processors are not of one clock
_LONGEST_NS = 2_000_000_000  # a queue in front of a cable may hold a frame for so long
_SOON_NS = 20_000_000
_QUESTION_NS = 5_000_000_000
_FIRST_BYTES = 34


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
    question: int = 0
    rewritten: bool = False  # other bytes than those of the frame that was asked about
    at: int = 0  # so many changes had been made
    passage: Passage | None = None
    used: list[_Seen] = field(default_factory=list)


# A packet-in, and the frame that it is about, where that was seen.
_Question = tuple[ChannelMessage, _Arrival | None]


class Player:
    """Plays the past of some switches in a shadow, which is opened here. Raises Unavailable."""

    def __init__(
        self,
        wiring: Wiring,
        ports: Sequence[int | None],
        kept: Iterable[Note],
        frames: Iterable[Observation],
        messages: Sequence[ChannelMessage],
        shadow: Shadow,
    ) -> None:
        """ports: for each port of the capture that of the wiring. frames: of hosts, in order of
        time."""
        self._wiring, self._ports, self._messages = wiring, ports, messages
        self._left: dict[tuple[str, int], dict[bytes, list[_Seen]]] = {}
        self._asked: dict[tuple[str, int], dict[bytes, list[_Seen]]] = {}
        self._prints: dict[bytes, bytes] = {}
        self._arrivals, self._by_bytes = self._take_in(frames)
        self.histories, self._owners = histories(wiring, kept, messages, self._came_to)
        shadow.open({name: port_numbers(history) for name, history in self.histories.items()})
        self._stages = {
            name: Stage(shadow, name, history) for name, history in self.histories.items()
        }
        self._answerers = {name: Answerer(stage) for name, stage in self._stages.items()}

    def play(self) -> list[Passage]:
        """What the switches did, in order of time."""
        arrivals = [
            arrival for arrival in (*self._arrivals, *self._packet_outs())
            if arrival.switch in self.histories
            and arrival.t_ns >= self.histories[arrival.switch].known_ns
        ]  # fmt: skip
        arrivals.sort(key=lambda arrival: (arrival.t_ns, arrival.number))
        for arrival in arrivals:
            self._go_to(arrival)
            arrival.passage = self._ask(arrival)
            self._match(arrival)
        for arrival in arrivals:
            if arrival.passage is not None and not arrival.packet_out:
                self._look_again(arrival)
        for arrival in arrivals:  # what was taken for a copy of another one may be theirs now
            if arrival.packet_out and arrival.passage is not None and not arrival.passage.fits:
                for seen in arrival.used:
                    seen.taken = False
                self._match(arrival)
        return [arrival.passage for arrival in arrivals if arrival.passage is not None]

    # ------------------------------------------------------------------ what there is

    def _take_in(
        self, frames: Iterable[Observation]
    ) -> tuple[list[_Arrival], dict[tuple[str, int, bytes], list[_Arrival]]]:
        """The frames that came to switches, and the same by their first bytes; those that left."""
        wiring = self._wiring
        arrivals: list[_Arrival] = []
        by_bytes: dict[tuple[str, int, bytes], list[_Arrival]] = {}
        places: dict[int, tuple[str, int]] = {}
        for number, port in enumerate(self._ports):
            if port is None or not wiring.is_datapath(port):
                continue
            openflow = wiring.interfaces[port].extra.get("port")
            node = wiring.node_name(port)
            if isinstance(openflow, int):
                places[number] = node, openflow
        for seen in frames:
            place = places.get(seen.port)
            if place is None or len(seen.data) < 14:
                continue
            if seen.outgoing:
                left = self._left.setdefault(place, {})
                left.setdefault(self._print(seen.data), []).append(
                    _Seen(seen.t_ns, seen.number, seen.data)
                )
            else:
                arrival = _Arrival(seen.t_ns, seen.number, *place, seen.data)
                arrivals.append(arrival)
                by_bytes.setdefault((*place, seen.data[:_FIRST_BYTES]), []).append(arrival)
        return arrivals, by_bytes

    def _came_to(self, heard: ChannelMessage) -> set[str]:
        """The switches that a packet-in may be of: the frame in it came there just before."""
        message = heard.message
        if message.kind != "packet-in" or not message.data:
            return set()
        head = message.data[:_FIRST_BYTES]
        fitting = set()
        for switch in self._wiring.nodes:
            about = _newest(
                self._by_bytes.get((switch, message.in_port or 0, head), ()), heard.t_ns
            )
            if about is not None and heard.t_ns - about.t_ns < _SOON_NS:
                fitting.add(switch)
        return fitting

    def _packet_outs(self) -> list[_Arrival]:
        """Those of the controllers, and which question each one answers; takes in questions."""
        asked: dict[Connection, list[_Question]] = {}
        outs: list[_Arrival] = []
        for heard in self._messages:
            message, switch = heard.message, self._owners.get(heard.connection, "")
            if switch not in self.histories:
                continue
            if heard.up and message.kind == "packet-in" and message.data:
                asked.setdefault(heard.connection, []).append(self._take_question(heard, switch))
            elif not heard.up and message.kind == "packet-out":
                question = _question(asked.get(heard.connection, ()), heard)
                packet_out = _packet_out(heard, switch, question)
                if packet_out is not None:
                    outs.append(packet_out)
        return outs

    def _take_question(self, heard: ChannelMessage, switch: str) -> _Question:
        """Keep a packet-in of this switch, and find the frame that it is about."""
        data, in_port = heard.message.data, heard.message.in_port or 0
        head = data[:_FIRST_BYTES]
        about = _newest(self._by_bytes.get((switch, in_port, head), ()), heard.t_ns)
        questions = self._asked.setdefault((switch, in_port), {}).setdefault(head, [])
        questions.append(_Seen(heard.t_ns, heard.number, data))
        return heard, about

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
        answerer = self._answerers[arrival.switch]
        try:
            if arrival.packet_out:
                passage = answerer.packet_out(
                    arrival.number, arrival.t_ns, arrival.in_port, arrival.data, arrival.actions
                )
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
        reason = METER if passage.meters and sent and not used else passage.reason
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
        for place in self._places_near(arrival):
            if self._explains(arrival, place):
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
        kept = arrival.passage
        arrival.passage = trial
        self._match(arrival)
        assert arrival.passage is not None
        if arrival.passage.fits and not self._unexplained(arrival):
            early = place > arrival.at
            arrival.passage = replace(arrival.passage, cached=not early, early=early)
            return True
        _release(arrival)
        arrival.passage = kept
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


def _release(arrival: _Arrival) -> None:
    """What was seen and matched with this arrival is free again for others."""
    for seen in arrival.used:
        seen.taken = False


def _packet_out(
    heard: ChannelMessage, switch: str, question: _Question | None
) -> _Arrival | None:
    """A packet-out as an arrival at its switch; None when the frame in it is not known."""
    message, data = heard.message, heard.message.data
    about = question[1] if question is not None else None
    if message.buffer_id != NO_BUFFER and question is not None:
        data = about.data if about is not None else question[0].message.data
    if len(data) < 14:
        return None
    return _Arrival(
        heard.t_ns, heard.number, switch, message.in_port or 0, data, True, message.actions,
        about.number if about is not None else 0, about is not None and not _same(data, about.data),
    )  # fmt: skip


def _newest(arrivals: Sequence[_Arrival], t_ns: int) -> _Arrival | None:
    """The newest of these that came before that time."""
    for arrival in reversed(arrivals):
        if arrival.t_ns <= t_ns + _SLACK_NS:
            return arrival
    return None


def _first(seen: Sequence[_Seen], t_ns: int, within_ns: int) -> _Seen | None:
    """The oldest of these that is not taken, from that time on."""
    place = bisect_left(seen, t_ns - _SLACK_NS, key=lambda one: one.t_ns)
    for index in range(place, len(seen)):
        if seen[index].t_ns > t_ns + within_ns:
            return None
        if not seen[index].taken:
            return seen[index]
    return None


def _question(asked: Sequence[_Question], heard: ChannelMessage) -> _Question | None:
    """The question that a packet-out answers: by the number of its buffer, by the same frame, by
    one that ends alike (the controller has written new addresses into it)."""
    message = heard.message
    recent = [pair for pair in asked[-256:] if heard.t_ns - pair[0].t_ns <= _QUESTION_NS]
    if message.buffer_id != NO_BUFFER:
        for pair in reversed(recent):
            if pair[0].message.buffer_id == message.buffer_id:
                return pair
        return None
    for alike in (_same, _ends_alike):
        for pair in reversed(recent):
            if alike(pair[0].message.data, message.data):
                return pair
    return None


def _same(part: bytes, frame: bytes) -> bool:
    size = min(len(part), len(frame))
    return part[:size] == frame[:size]


def _ends_alike(part: bytes, frame: bytes) -> bool:
    """The same type of frame, and the same bytes behind its addresses and checksums."""
    return (
        part[12:14] == frame[12:14] == b"\x08\x00"
        and len(part) == len(frame) > 42
        and part[18:20] == frame[18:20]
        and part[23:24] == frame[23:24]
        and part[38:] == frame[38:]
    )
