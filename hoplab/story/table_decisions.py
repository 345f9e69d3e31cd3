# SPDX-License-Identifier: Apache-2.0
"""Why a switch did what it did, as its own tables say it.

What lives here: a `Passage` made a `Decision`, and whose word counts where the channel shows
something, too. What must not: how a passage is found (`hoplab.replay`).

1. Of a frame that the controller was asked about, the channel tells what came of it; the tables,
   which flow asked.
2. Of any other one, the tables tell: by which flows it went, through which groups and meters, what
   they changed in it, or why it was dropped.
3. Where what was seen to leave is not what the tables say, nor what older or newer ones say,
   they prove nothing; what the channel makes likely is left to stand.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from hoplab.capture import notes
from hoplab.capture.pcapng_format import Note
from hoplab.follow.passages import (
    ACTION_SET,
    BEFORE,
    CONTROLLER,
    EXPLICIT,
    LEARNED,
    METER,
    NO_BUCKET,
    NO_FLOW,
    NO_PORT,
    PORT_DOWN,
    SAME_PORT,
    TTL,
    FlowTaken,
    GroupTaken,
    Passage,
)
from hoplab.follow.wiring import Wiring
from hoplab.sentences import Sentence, from_plain, listed, number_of, say, term
from hoplab.story.arrivals import Arrival
from hoplab.story.openflow_words import ports_words
from hoplab.story.packet_ins import AT_MOST_NS, same_frame
from hoplab.story.trip_records import Decision

_CACHED = term(
    "its tables were other ones by then, but it had decided by these and had it in its cache"
)
_FLOODS = re.compile(r"\b(FLOOD|ALL|NORMAL)\b")
_CHANGES = re.compile(
    r"(set_field|load|move|push_|pop_|dec_ttl|mod_|set_vlan|strip_vlan|dec_mpls|copy_ttl|set_nw)"
)


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


class TableDecisions:
    """A source of decisions (`decisions.DecisionSource`): what the tables of switches say."""

    def __init__(
        self, wiring: Wiring, passages: Iterable[Passage], raised: Sequence[Raised] = ()
    ) -> None:
        self._wiring, self._raised = wiring, raised
        self._by_number = {
            passage.number: passage for passage in passages if not passage.packet_out
        }
        # Of each switch: packet-ins after which flows came, with the number of the packet.
        self._installs: dict[str, list[tuple[int, int]]] = {}

    def decision(self, arrival: Arrival, by_channel: Decision | None) -> Decision | None:
        """See `DecisionSource`."""
        if by_channel is not None:
            self._note_installs(arrival, by_channel)
            if by_channel.by == "controller":
                by_channel = self._with_exception(arrival, by_channel)
        passage = self._by_number.get(arrival.number) if arrival.number else None
        if passage is None:
            return by_channel
        if arrival.question is not None:
            if by_channel is None:
                return None
            flow = by_channel.flow or self._flows(passage)
            return replace(by_channel, passage=passage, flow=flow)
        if passage.asked or not (passage.fits or passage.reason == METER):
            return by_channel
        if not passage.sent or passage.reason == METER:
            return self._dropped(arrival, passage, by_channel)
        return self._sent(arrival, passage)

    def _note_installs(self, arrival: Arrival, decision: Decision) -> None:
        """Keeps that flows came to a switch after it had asked about this frame."""
        if decision.installed and decision.packet_in:
            installs = self._installs.setdefault(arrival.node, [])
            installs.append((decision.packet_in, arrival.trip.number))

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
            *self._changes(passage),
            *(_group_words(group) for group in passage.groups),
            *(
                say("it had to pass meter {meter}", meter=meter.number)
                for meter in passage.meters
            ),
            *self._twice(switch, passage),
        ]
        if passage.cached:
            more.append(_CACHED)
        plain = not more and len(numbers) == 1
        sentence: str = text
        for clause in more:
            sentence = say("{sentence}; {more}", sentence=sentence, more=clause)
        return Decision(
            switch, arrival.leg, "flow", sentence, answer, flow=flows, ports=numbers,
            passage=passage, plain=plain, named=not floods and len(set(numbers)) > 1,
        )  # fmt: skip

    def _changes(self, passage: Passage) -> list[str]:
        """What the flows changed in the frame."""
        if all(copy.data is None for copy in passage.sent):
            return []
        changed = dict.fromkeys(
            act.text for flow in passage.flows for act in flow.acts if _CHANGES.match(act.text)
        )
        return [say("it changes the frame: {actions}", actions=", ".join(changed))]

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

    # ------------------------------------------------------------------ dropped

    def _dropped(
        self, arrival: Arrival, passage: Passage, by_channel: Decision | None
    ) -> Decision | None:
        switch = arrival.node
        if by_channel is not None and by_channel.by == "nobody" and passage.reason == NO_FLOW:
            return replace(by_channel, passage=passage)  # that nobody was there is the reason
        text: str = self._reason(switch, passage)
        if passage.cached:
            text = say("{sentence}; {more}", sentence=text, more=_CACHED)
        return Decision(
            switch, arrival.leg, "flow", text, term("drop"), flow=self._flows(passage),
            passage=passage,
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
        if reason == SAME_PORT:
            return say(
                "{switch} drops this: {flows} would send it out of the port by which it came",
                switch=switch, flows=flows,
            )  # fmt: skip
        if reason == NO_PORT:
            return say(
                "{switch} drops this: {flows} would send it out of a port that it has not",
                switch=switch, flows=flows,
            )  # fmt: skip
        if reason == PORT_DOWN:
            return say(
                "{switch} drops this: {flows} would send it out of a port that is down",
                switch=switch, flows=flows,
            )  # fmt: skip
        if reason == TTL:
            return say(
                "{switch} drops this: {flows} lowers its TTL, which has come to its end",
                switch=switch, flows=flows,
            )  # fmt: skip
        if reason == NO_BUCKET:
            return say(
                "{switch} drops this: {flows} gives it to a group of which no bucket is alive",
                switch=switch, flows=flows,
            )  # fmt: skip
        assert reason == EXPLICIT
        return say("{switch} drops this by {flows}", switch=switch, flows=flows)

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
        because = [
            packet for asked, packet in self._installs.get(switch, ()) if asked < flow.flow_mod
        ]
        if because:
            return say("installed because of #{packet}", packet=because[-1])
        return term("installed during the capture")


def _group_words(group: GroupTaken) -> Sentence:
    """'group 7 (all): buckets 1, 2 of 4', buckets counted from 1."""
    used = ", ".join(str(bucket + 1) for bucket in group.used)
    return say(
        "group {group} ({type}): bucket {used} of {n}",
        group=group.number, type=group.type, used=used or "-", n=group.buckets,
    )  # fmt: skip
