# SPDX-License-Identifier: Apache-2.0
"""Why a switch did what it did, as its own tables say it.

What lives here: a `Passage` made a `Decision`, and whose word counts where the channel shows
something, too. What must not: how a passage is found (`hoplab.replay`).

1. Of a frame that the controller was asked about, the channel tells what came of it; the tables,
   which flow asked.
2. Of any other one, the tables tell: by which flows it went, through which groups and meters, what
   they changed in it, or why it was dropped.
3. Where what was seen to leave is not what the tables say, nor what older or newer ones say, that
   is told, and that nothing explains it: neither they nor what the channel makes likely.
4. Of a frame that is in part beyond the capture nothing is told that the channel does not show.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from hoplab.capture import notes
from hoplab.capture.pcapng_format import Note
from hoplab.decode.frame_fields import vlan_tags
from hoplab.follow.passages import (
    ACTION_SET,
    BEFORE,
    CONTROLLER,
    CT_KNOWN,
    CT_NEW,
    CT_REPLY,
    EXPLICIT,
    LEARNED,
    METER,
    NO_BUCKET,
    NO_FLOW,
    NO_PORT,
    OLD_PLACE,
    PORT_BLOCKED,
    PORT_DOWN,
    SAME_PORT,
    TREE_BLOCKED,
    TREE_MESSAGE,
    TTL,
    FlowTaken,
    GroupTaken,
    Passage,
)
from hoplab.follow.wiring import Wiring
from hoplab.sentences import Sentence, from_plain, listed, number_of, say, term
from hoplab.story.arrivals import Arrival
from hoplab.story.decisions import Decisions
from hoplab.story.open_questions import AT_MOST_NS, same_frame
from hoplab.story.openflow_words import match_fields, named_in, ports_words
from hoplab.story.relations import Key
from hoplab.story.trip_records import Decision, Trip, Way

_NamedFlow = tuple[int, frozenset[str]]  # table, fields of its match
_MOST_SENT = 10_000
_MOST_ALIKE = 4096
_CACHED = term(
    "its tables were other ones by then, but it had decided by these and had it in its cache"
)
# What is taken to be so, since the tables do not say it.
_ASSUMED = {
    CT_NEW: term("the state of this connection (ct) is not recorded: it is taken to be new"),
    CT_KNOWN: term(
        "the state of this connection (ct) is not recorded: it is taken to be established, which "
        "fits what was seen"
    ),
    OLD_PLACE: term(
        "NORMAL likely had not learned yet that the address has moved: this fits where it was "
        "before"
    ),
    CT_REPLY: term(
        "the state of this connection (ct) is not recorded: it is taken to be established, and "
        "this the way back, which fits what was seen"
    ),
}
# What became of a frame, by the reason why the tables sent it nowhere.
_ENDS = {
    EXPLICIT: term("{switch} dropped it: a flow of its tables says so"),
    NO_FLOW: term("{switch} dropped it: no flow of its tables takes it"),
    SAME_PORT: term("{switch} dropped it: it was to leave by the port by which it had come"),
    NO_PORT: term("{switch} dropped it: it was to leave by a port that {switch} has not"),
    PORT_DOWN: term("{switch} dropped it: it was to leave by a port that is down"),
    TTL: term("{switch} dropped it: its TTL had come to its end"),
    NO_BUCKET: term("{switch} dropped it: no bucket of its group was alive"),
    PORT_BLOCKED: term("{switch} dropped it: its spanning tree blocks the port by which it came"),
    TREE_BLOCKED: term(
        "{switch} dropped it: it was to leave by a port that its spanning tree blocks"
    ),
}
# The same, with the flows.
_DROPS = {
    EXPLICIT: term("{switch} drops this by {flows}"),
    SAME_PORT: term(
        "{switch} drops this: {flows} would send it out of the port by which it came"
    ),
    NO_PORT: term("{switch} drops this: {flows} would send it out of a port that it has not"),
    PORT_DOWN: term("{switch} drops this: {flows} would send it out of a port that is down"),
    TTL: term("{switch} drops this: {flows} lowers its TTL, which has come to its end"),
    NO_BUCKET: term(
        "{switch} drops this: {flows} gives it to a group of which no bucket is alive"
    ),
    PORT_BLOCKED: term(
        "{switch} drops this: its spanning tree (STP) blocks the port by which it came"
    ),
    TREE_BLOCKED: term(
        "{switch} drops this: {flows} would send it out of a port that its spanning tree (STP) "
        "blocks"
    ),
}
_FLOODS = re.compile(r"\b(FLOOD|ALL|NORMAL)\b")
_CHANGES = re.compile(
    r"(set_field|load|move|push_|pop_|dec_ttl|mod_|set_vlan|strip_vlan|dec_mpls|copy_ttl|set_nw)"
)
_TAGS = re.compile(r"(push_vlan|pop_vlan|strip_vlan|mod_vlan|set_vlan|set_field:\S+->vlan_)")


@dataclass(frozen=True)
class Raised:
    """An exception of the controller's app that nobody caught. switch, frame: of the packet-in that
    it was at, "" and nothing where it was none or that is not known."""

    at_ns: int
    sentence: str
    switch: str = ""
    frame: bytes = b""


def exceptions(kept: Iterable[Note]) -> list[Raised]:
    """Those that a capture keeps beside its frames; what makes no sense is left out."""
    raised = []
    for note in kept:
        if note.topic != notes.RAISED:
            continue
        with contextlib.suppress(ValueError, KeyError, TypeError):
            data = json.loads(note.data, object_hook=from_plain)
            raised.append(
                Raised(
                    int(data["at_ns"]), data["sentence"], data.get("switch") or "",
                    bytes.fromhex(data.get("frame") or ""),
                )
            )  # fmt: skip
    return raised


class _SentWords(NamedTuple):
    """What is said of a frame that a switch sent on by its flows; as in `Decision`."""

    sentence: str
    answer: str
    flows: str
    ports: tuple[str, ...]
    plain: bool
    named: bool


class TableDecisions:
    """A source of decisions (`decisions.DecisionSource`): what the tables of switches say."""

    def __init__(
        self, wiring: Wiring, passages: Iterable[Passage], raised: Sequence[Raised] = ()
    ) -> None:
        self._wiring, self._raised = wiring, raised
        self._by_number: dict[int, Passage] = {}
        # While frames come: until when passages are known; frames that nobody asked about, for want
        # of time, and the packets of these.
        self.settled_ns = 0
        self.skipped: set[int] = set()
        self.untold: set[int] = set()
        # Frames that the controller had a switch send: the number of its message, by theirs.
        self.sent_out: dict[int, int] = {}
        # What was said of frames that were sent on, by all that decides it; with the flows.
        self._sent_alike: dict[Key, tuple[tuple[FlowTaken, ...], _SentWords]] = {}
        # Of each switch: packet-ins after which flows came, with the number of the packet, and of
        # the flows table and match.
        self._installs: dict[str, dict[int, tuple[int, frozenset[_NamedFlow]]]] = {}
        self.add(passages)

    def add(self, passages: Iterable[Passage]) -> None:
        """Take up more of what switches did."""
        for passage in passages:
            if not passage.packet_out:
                self._by_number[passage.number] = passage
                continue
            for copy in passage.sent:
                if copy.number:
                    self.sent_out[copy.number] = passage.number

    def made_by_controller(self, way: Way, decisions: Decisions) -> Way:
        """The same, of a packet that no frame explains, if the controller had a switch send it."""
        number = self.sent_out.get(way.legs[0].sent or 0)
        if not number or not way.cause:
            return way
        node = way.legs[0].tail
        asked = next(
            (
                packet for packet, made in decisions.by_packet.items()
                if any(decision.packet_out == number for decision in made)
            ),
            0,
        )  # fmt: skip
        if asked:
            text = say("the controller had {node} send it, asked about #{packet}",
                       node=node, packet=asked)  # fmt: skip
        else:
            text = say("the controller had {node} send it", node=node)
        return way._replace(cause=text)

    def forget(self, before_ns: int) -> None:
        """Nothing is asked any more about frames from before."""
        while self._by_number:
            number, passage = next(iter(self._by_number.items()))
            if passage.t_ns >= before_ns:
                break
            del self._by_number[number]
        while len(self.sent_out) > _MOST_SENT:
            del self.sent_out[next(iter(self.sent_out))]

    def waits(self, arrival: Arrival) -> bool:
        """See `DecisionSource`."""
        return arrival.number > 0 and arrival.t_ns > self.settled_ns

    def decision(self, arrival: Arrival, by_channel: Decision | None) -> Decision | None:
        """See `DecisionSource`."""
        if by_channel is not None:
            self._note_installs(arrival, by_channel)
            if by_channel.by == "controller":
                by_channel = self._with_exception(arrival, by_channel)
        if arrival.number in self.skipped:
            self.untold.add(arrival.trip.number)
            return by_channel if arrival.question is not None else None
        passage = self._by_number.get(arrival.number) if arrival.number else None
        if passage is None:
            return by_channel
        if arrival.question is not None:
            if by_channel is None:
                return None
            flow = by_channel.flow or self._flows(passage)
            return replace(by_channel, passage=passage, flow=flow)
        if not (passage.fits or passage.reason == METER):
            return self._unexplained(arrival, passage)
        if passage.asked:
            return by_channel
        if not passage.sent or passage.reason == METER:
            return self._dropped(arrival, passage, by_channel)
        return self._sent(arrival, passage)

    def _note_installs(self, arrival: Arrival, decision: Decision) -> None:
        """Keeps that flows came to a switch after it had asked about this frame."""
        if decision.installed and decision.packet_in:
            installs = self._installs.setdefault(arrival.node, {})
            flows = frozenset(map(named_in, decision.installed))
            installs[decision.packet_in] = arrival.trip.number, flows

    def _with_exception(self, arrival: Arrival, decision: Decision) -> Decision:
        """Why the controller did not answer, where its app raised an exception at this frame."""
        if decision.wait_ms is not None or arrival.question is None:
            return decision
        for raised in self._raised:
            if (
                raised.frame
                and raised.switch in ("", arrival.node)
                and abs(raised.at_ns - arrival.question.t_ns) < AT_MOST_NS
                and same_frame(arrival.data, raised.frame)
            ):
                text = say("{sentence}; {more}", sentence=decision.sentence, more=raised.sentence)
                return replace(decision, sentence=text, failed=True)
        return decision

    # ------------------------------------------------------------------ sent on

    def _sent(self, arrival: Arrival, passage: Passage) -> Decision:
        if any(copy.data is not None for copy in passage.sent):
            words = self._sent_words(arrival, passage)  # it tells how the bytes have changed
        else:
            # The frames of one flow are all sent on alike. While a flow stands here as a key, so
            # does the flow itself: no other one can have its `id`.
            key = (
                passage.switch, passage.in_port, tuple(map(id, passage.flows)),
                tuple([copy.port for copy in passage.sent]), passage.groups, passage.meters,
                passage.cached, passage.unsure, len(self._installs.get(arrival.node, ())),
            )  # fmt: skip
            kept = self._sent_alike.get(key)
            if kept is None:
                if len(self._sent_alike) >= _MOST_ALIKE:
                    self._sent_alike.clear()
                kept = passage.flows, self._sent_words(arrival, passage)
                self._sent_alike[key] = kept
            words = kept[1]
        return Decision(
            arrival.node, arrival.leg, "flow", words.sentence, words.answer, flow=words.flows,
            ports=words.ports, passage=passage, plain=words.plain, named=words.named,
        )  # fmt: skip

    def _sent_words(self, arrival: Arrival, passage: Passage) -> _SentWords:
        switch, flows = arrival.node, self._flows(passage)
        numbers = tuple(str(copy.port) for copy in passage.sent)
        acts = [act.text for flow in passage.flows for act in flow.acts]
        floods = any(_FLOODS.search(text) for text in acts) and len(set(numbers)) > 1
        ports = ports_words(self._wiring, switch, dict.fromkeys(numbers))
        answer: str = term("flood") if floods else ports
        if floods:
            text = say(
                "{switch} did not ask the controller: it floods this by {flows}",
                switch=switch, flows=flows,
            )  # fmt: skip
        else:
            text = say(
                "{switch} did not ask the controller: it sends this to {ports} by {flows}",
                switch=switch, ports=ports, flows=flows,
            )  # fmt: skip
        more = [
            *_changes(arrival, passage),
            *(group_words(group) for group in passage.groups),
            *(
                say("it had to pass meter {meter}", meter=meter.number)
                for meter in passage.meters
            ),
            *self._twice(switch, passage),
        ]
        if passage.cached:
            more.append(_CACHED)
        if passage.unsure in _ASSUMED:
            more.append(_ASSUMED[passage.unsure])
        plain = not more and len(numbers) == 1
        sentence: str = text
        for clause in more:
            sentence = say("{sentence}; {more}", sentence=sentence, more=clause)
        named = not floods and len(set(numbers)) > 1
        return _SentWords(sentence, answer, flows, numbers, plain, named)

    def _twice(self, switch: str, passage: Passage) -> list[str]:
        """A second copy out of one port, or one out of the port by which it came."""
        notes: list[str] = []
        ports = [copy.port for copy in passage.sent]
        for port in dict.fromkeys(ports):
            words = ports_words(self._wiring, switch, [str(port)])
            if ports.count(port) > 1:
                notes.append(
                    say("{n} copies go out of {port}", n=ports.count(port), port=words)
                )
            if port == passage.in_port:
                notes.append(say("a copy goes back out of {port}, where it came", port=words))
        return notes

    # ------------------------------------------------------------------ neither

    def _unexplained(self, arrival: Arrival, passage: Passage) -> Decision | None:
        """The decision of a switch that did what no table that it may have had explains."""
        trip, switch = arrival.trip, arrival.node
        if not _all_seen(trip):
            return None
        left = self._left_by(arrival)
        lost = {copy.port for copy in passage.sent if not copy.number}
        flows = self._flows(passage)
        seen = ports_words(self._wiring, switch, left)
        wanted = ports_words(
            self._wiring, switch, dict.fromkeys(str(copy.port) for copy in passage.sent)
        )
        if passage.asked and not left:
            text = say(
                "nothing explains what {switch} did with this: by {flows} it asks the controller, "
                "and it was not seen to ask",
                switch=switch, flows=flows,
            )  # fmt: skip
        elif not passage.sent and left:
            text = say(
                "nothing explains what {switch} did with this: by {flows} it drops it, and it was "
                "seen to leave by {seen}",
                switch=switch, flows=flows, seen=seen,
            )  # fmt: skip
        elif passage.sent and not left:
            text = say(
                "nothing explains what {switch} did with this: by {flows} it sends it to {ports}, "
                "and it was not seen to leave",
                switch=switch, flows=flows, ports=wanted,
            )  # fmt: skip
        elif passage.sent and (lost or set(left) != {str(copy.port) for copy in passage.sent}):
            text = say(
                "nothing explains what {switch} did with this: by {flows} it sends it to {ports}, "
                "and it was seen to leave by {seen}",
                switch=switch, flows=flows, ports=wanted, seen=seen,
            )  # fmt: skip
        else:
            return None
        return Decision(
            switch, arrival.leg, "unknown", text, flow=flows, ports=tuple(left), passage=passage
        )

    def _left_by(self, arrival: Arrival) -> list[str]:
        """The ports by which copies of it left, by their numbers."""
        names = {
            interface.name: interface.extra.get("port")
            for interface in self._wiring.interfaces
            if interface.node == arrival.node
        }
        return list(
            dict.fromkeys(
                str(names[leg.tail_interface])
                for leg in arrival.trip.legs
                if leg.parent == arrival.leg and leg.sent and leg.tail_interface in names
            )
        )

    # ------------------------------------------------------------------ dropped

    def _dropped(
        self, arrival: Arrival, passage: Passage, by_channel: Decision | None
    ) -> Decision | None:
        switch = arrival.node
        if passage.reason == TREE_MESSAGE:
            taken = say("{switch} takes it itself, for the spanning tree that it runs (STP)",
                        switch=switch)  # fmt: skip
            return Decision(switch, arrival.leg, "flow", taken, term("handed over"))
        if by_channel is not None and by_channel.by == "nobody" and passage.reason == NO_FLOW:
            return replace(by_channel, passage=passage)  # that nobody was there is the reason
        text: str = self._reason(switch, passage)
        if passage.cached:
            text = say("{sentence}; {more}", sentence=text, more=_CACHED)
        if passage.unsure in _ASSUMED:
            text = say("{sentence}; {more}", sentence=text, more=_ASSUMED[passage.unsure])
        return Decision(
            switch, arrival.leg, "flow", text, term("drop"), flow=self._flows(passage),
            passage=passage, end=_end(switch, passage),
        )  # fmt: skip

    def _reason(self, switch: str, passage: Passage) -> str:
        flows, reason = self._flows(passage), passage.reason
        if reason == NO_FLOW:
            return say(
                "{switch} has no flow for this in table {table}, and none for whatever comes "
                "(table-miss): it drops it",
                switch=switch, table=passage.flows[-1].table if passage.flows else 0,
            )  # fmt: skip
        if reason == METER:
            return self._metered(switch, passage)
        return say(_DROPS[reason], switch=switch, flows=flows)

    def _metered(self, switch: str, passage: Passage) -> str:
        meter, flows = passage.meters[-1], self._flows(passage)
        limit: str = number_of("{n:,} packet/s", "{n:,} packets/s", meter.rate)
        if not meter.packets:
            limit = say("{n:,} kbit/s", n=meter.rate)
        text = say(
            "{switch} drops this: meter {meter} lets no more than {limit} pass ({flows})",
            switch=switch, meter=meter.number, limit=limit, flows=flows,
        )  # fmt: skip
        if meter.came is None or meter.dropped is None:
            return text
        counted = say(
            "of {n:,} frames that came to this meter meanwhile it dropped {dropped:,}",
            n=meter.came, dropped=meter.dropped,
        )  # fmt: skip
        return say("{sentence}; {more}", sentence=text, more=counted)

    # ------------------------------------------------------------------ flows in words

    def _flows(self, passage: Passage) -> str:
        """'table 0, priority 1, eth_dst=02:… (installed because of #3)', of each flow."""
        words = [
            self._flow(passage.switch, flow)
            for flow in passage.flows
            if flow.table != ACTION_SET and flow.priority is not None
        ]
        return listed(words) if len(words) > 1 else words[0] if words else term("no flow")

    def _flow(self, switch: str, flow: FlowTaken) -> Sentence:
        if flow.cookie:
            return say(
                "table {table}, priority {priority}, cookie {cookie}, {match} ({came})",
                table=flow.table, priority=flow.priority, cookie=f"{flow.cookie:#x}",
                match=flow.match or term("any frame"), came=self._came(switch, flow),
            )  # fmt: skip
        return say(
            "table {table}, priority {priority}, {match} ({came})",
            table=flow.table, priority=flow.priority, match=flow.match or term("any frame"),
            came=self._came(switch, flow),
        )  # fmt: skip

    def _came(self, switch: str, flow: FlowTaken) -> str:
        if flow.came == BEFORE:
            return term("from before the capture")
        if flow.came == LEARNED:
            return term("learned by the switch itself")
        if flow.came != CONTROLLER:
            return term("not from the controller")
        installs = self._installs.get(switch, {})
        named = flow.table, match_fields(flow.match)
        asked = max(
            (asked for asked, (_, flows) in installs.items()
             if asked < flow.flow_mod and named in flows),
            default=0,
        )  # fmt: skip
        if asked:
            return say("installed because of #{packet}", packet=installs[asked][0])
        return term("installed during the capture")


def _all_seen(trip: Trip) -> bool:
    """Whether all that switches did with a packet could be seen, and is kept."""
    return not (trip.under_way or trip.storm is not None or trip.doubt)


def _changes(arrival: Arrival, passage: Passage) -> list[str]:
    """What the flows changed in the frame."""
    made = [copy.data for copy in passage.sent if copy.data is not None]
    if not made:
        return []
    tags = dict.fromkeys(_tag_words(arrival.data, data) for data in made)
    changed = dict.fromkeys(
        act.text for flow in passage.flows for act in flow.acts if _CHANGES.match(act.text)
    )
    if "" not in tags:
        changed = {text: None for text in changed if not _TAGS.match(text)}
    actions = [say("it changes the frame: {actions}", actions=", ".join(changed))]
    return [*filter(None, tags), *(actions if changed else [])]


def _tag_words(before: bytes, after: bytes) -> str:
    """Which tag was put on a frame or taken off it, "" if that is not what was done."""
    old, new = vlan_tags(before), vlan_tags(after)
    more = len(new) - len(old)
    if abs(more) > 1 and (old if more > 0 else new) == (new[more:] if more > 0 else old[-more:]):
        tags = listed(str(vlan) for vlan in (new[:more] if more > 0 else old[:-more]))
        if more > 0:
            return say("it puts the tags of VLANs {vlans} on it, the outermost first", vlans=tags)
        return say("it takes the tags of VLANs {vlans} off it, the outermost first", vlans=tags)
    if len(new) == len(old) + 1:
        return say("it puts the tag of VLAN {vlan} on it", vlan=new[0])
    if len(new) == len(old) - 1:
        return say("it takes the tag of VLAN {vlan} off it", vlan=old[0])
    if old and new and old[0] != new[0] and old[1:] == new[1:]:
        return say("its tag of VLAN {vlan} becomes that of VLAN {new}", vlan=old[0], new=new[0])
    return ""


def _end(switch: str, passage: Passage) -> Sentence:
    """What became of a frame that the tables of a switch dropped, in few words."""
    if passage.reason == METER:
        return say(
            "meter {meter} of {switch} dropped it", meter=passage.meters[-1].number, switch=switch
        )
    return say(_ENDS[passage.reason], switch=switch)


def group_words(group: GroupTaken) -> Sentence:
    """'group 7 (all): buckets 1, 2 of 4', buckets counted from 1."""
    used = ", ".join(str(bucket + 1) for bucket in group.used)
    return say(
        "group {group} ({type}): bucket {used} of {n}",
        group=group.number, type=group.type, used=used or "-", n=group.buckets,
    )  # fmt: skip
