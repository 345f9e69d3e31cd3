# SPDX-License-Identifier: Apache-2.0
"""What the shadow answers about one frame, as a record.

What lives here: the questions to the shadow, and a trace made a `Passage`. What must not: time,
what was seen of a frame afterwards.

Open vSwitch names the fields that an answer depends on, and frames that are equal in these are not
asked about again until something changes (`hoplab.decode.megaflow`): what is changed in them is
carried out on their own bytes.

A trace shows everything but three things. Through a select group, the bucket is chosen by a hash
that only the datapath computes: the frame is sent into the shadow for that. Whether a meter lets a
frame pass is not said. The state of a connection (ct) is taken to be new.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field, replace

from hoplab.decode import openflow10
from hoplab.decode.datapath_actions import carry_out
from hoplab.decode.megaflow import Megaflows
from hoplab.decode.trace_text import ACTION_SET, Action, Hit, Round, read_trace
from hoplab.follow.passages import (
    CT_KNOWN,
    CT_NEW,
    CT_REPLY,
    EXPLICIT,
    LEARNED,
    NO_BUCKET,
    NO_FLOW,
    NO_PORT,
    OLD_PLACE,
    PORT_DOWN,
    SAME_PORT,
    TTL,
    Act,
    FlowTaken,
    GroupTaken,
    MeterTaken,
    Passage,
    Sent,
)
from hoplab.openvswitch.unixctl import Refused
from hoplab.replay.history import how_it_came
from hoplab.replay.stage import Stage

_LOCAL = 0xFFFFFFFE
_OUTPUT, _TABLE = 0, 0xFFFFFFF9
_SPARE_TABLE = 253  # of the shadow, for what a controller sends out; 254 is Open vSwitch's own
_FLOW_MOD = 14
_BASIC, _ETH_TYPE, _VLAN, _IP_PROTO = 0x8000, 5, 6, 10
_TAGS = (b"\x81\x00", b"\x88\xa8")
_METER = re.compile(r"\bmeter:(\d+)")
_GROUP = re.compile(r"\bgroup:(\d+)")
_TRACKS = re.compile(r"\bct\b")
_LOOKED_UP_AGAIN = re.compile(r"\b(recirc_id|dp_hash)=\w+,")
_PORT_IN_MATCH = re.compile(r"\bin_port=(\w+)")
_REASONS = (
    ("skipping output to input port", SAME_PORT),
    ("learned port is input port", SAME_PORT),
    ("Nonexistent output port", NO_PORT),
    ("down", PORT_DOWN),
    ("decrement TTL exception", TTL),
    ("no live bucket", NO_BUCKET),
)
_EFFECTS = ("learned that", "learn(")
_MOST_EQUAL = 20_000
# States of a connection, as the option --ct-next has them, given for so many looks at it.
_STATES = {"trk,est": CT_KNOWN, "trk,est,rpl": CT_REPLY}
_MOST_TRACKED = 4


@dataclass(frozen=True)
class _Answer:
    """What is the same for frames that are alike, as long as nothing changes. datapath: what is to
    be carried out on the bytes of each one of them, "" where they are not changed."""

    flows: tuple[FlowTaken, ...]
    sent: tuple[Sent, ...]
    asked: bool
    groups: tuple[GroupTaken, ...]
    meters: tuple[MeterTaken, ...]
    reason: str
    unsure: str
    datapath: str = ""


@dataclass
class _Execution:
    """What the rounds of a trace do to a frame, together. sent: port and bytes of each copy; hits:
    the flows that were met; asked: the controller was; unsure: what is not known of it."""

    sent: list[tuple[str, bytes]] = field(default_factory=list)
    hits: list[Hit] = field(default_factory=list)
    asked: bool = False
    unsure: str = ""


class Answerer:
    """Asks about the frames of one switch, in the state that its stage is in."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._alike: Megaflows[_Answer] = Megaflows()
        self._equal: dict[tuple[int, bytes], _Answer] = {}
        self._at = -1  # the place in the history that the kept answers belong to
        self._spare: dict[tuple[bytes, bytes], int] = {}
        # Of packet-outs that no table and no group has a say in, by all that decides about them.
        self._sent_out: dict[tuple[object, ...], _Answer] = {}

    def arrival(
        self, number: int, t_ns: int, in_port: int, frame: bytes, *, effects: bool = True
    ) -> Passage:
        """What the switch does with a frame that came in. effects: it may learn from it. Raises
        Refused."""
        answer = self._kept(in_port, frame) if effects else None
        if answer is None:
            stage = self._stage
            text = stage.shadow.trace(stage.switch, in_port, frame)
            rounds = read_trace(text)
            answer = self._answer(rounds, in_port, frame)
            if any(word in text for word in _EFFECTS):
                self._forget()  # what the shadow has learned by itself is a change, too
            elif effects:
                self._keep(rounds, in_port, frame, answer)
        return _passage(answer, number, t_ns, self._stage.switch, in_port)

    def tracked(self, number: int, t_ns: int, in_port: int, frame: bytes) -> Iterator[Passage]:
        """What it does with a frame whose connection it knows, in either direction. Raises
        Refused."""
        stage = self._stage
        for states, assumed in _STATES.items():
            options = ["--ct-next", states] * _MOST_TRACKED
            text = stage.shadow.trace(stage.switch, in_port, frame, *options)
            answer = self._answer(read_trace(text), in_port, frame)
            if answer.unsure == CT_NEW:
                answer = replace(answer, unsure=assumed)
                yield _passage(answer, number, t_ns, stage.switch, in_port)

    def elsewhere(
        self, passage: Passage, frame: bytes, ports: Iterable[int]
    ) -> Generator[Passage, None, None]:
        """What NORMAL does where it has learned the frame's destination at another port: a switch
        that decides from its cache learns late. The shadow is left as it was. Raises Refused."""
        stage = self._stage
        own = passage.in_port if passage.reason == SAME_PORT else None
        own = passage.sent[0].port if len(passage.sent) == 1 else own
        try:
            for port in ports:
                stage.teach(port, frame[:6])
                text = stage.shadow.trace(stage.switch, passage.in_port, frame)
                answer = self._answer(read_trace(text), passage.in_port, frame)
                answer = replace(answer, unsure=answer.unsure or OLD_PLACE)
                yield _passage(
                    answer, passage.number, passage.t_ns, stage.switch, passage.in_port
                )
        finally:
            if own is not None:
                stage.teach(own, frame[:6])
            self._forget()

    def _kept(self, in_port: int, frame: bytes) -> _Answer | None:
        """What was answered for a frame like this one since tables changed last."""
        if self._at != self._stage.at:
            self._forget()
            return None
        answer = self._equal.get((in_port, frame))
        if answer is None:
            answer = self._alike.find(in_port, frame)
            if answer is not None and answer.datapath:
                copies = self._copies(list(carry_out(answer.datapath, frame).sent), frame)
                answer = replace(answer, sent=copies)
        return answer

    def _keep(
        self, rounds: tuple[Round, ...], in_port: int, frame: bytes, answer: _Answer
    ) -> None:
        """Keep an answer for all frames that are alike; one that took several rounds, for those
        with the same bytes: the later ones look at what the earlier ones have changed."""
        if len(rounds) != 1 or "hash(" in rounds[0].datapath:
            if len(self._equal) < _MOST_EQUAL:
                self._equal[in_port, frame] = answer
            return
        if any(copy.data is not None for copy in answer.sent):
            answer = replace(answer, datapath=rounds[0].datapath)
        self._alike.keep(in_port, frame, rounds[0].megaflow, answer)

    def _forget(self) -> None:
        self._alike.clear()
        self._equal.clear()
        self._at = self._stage.at

    def packet_out(
        self, number: int, t_ns: int, in_port: int, frame: bytes, actions: bytes, version: int
    ) -> Passage:
        """What it does with one that the controller has it send out. version: of OpenFlow, in which
        the actions are written. Raises Refused."""
        stage = self._stage
        key = stage.ports_at, in_port, frame, actions, version
        answer = self._sent_out.get(key)
        if answer is None:
            words = self._words(actions, frame, version)
            where = str(in_port) if in_port else "CONTROLLER"
            text = stage.shadow.trace_out(stage.switch, where, frame, words)
            answer = self._answer(read_trace(text), in_port, frame)
            if any(word in text for word in _EFFECTS):
                self._forget()
            elif not (answer.flows or answer.groups or "NORMAL" in text):
                if len(self._sent_out) >= _MOST_EQUAL:
                    self._sent_out.clear()
                self._sent_out[key] = answer
        return _passage(answer, number, t_ns, stage.switch, in_port, packet_out=True)

    def _words(self, actions: bytes, frame: bytes, version: int) -> str:
        """Actions in Open vSwitch's notation: but for the order to look in the tables, which is the
        only one that stands in no flow, they are put into one of a table of our own."""
        if not actions:
            return "drop"
        if version == 1:
            text = openflow10.actions_text(actions)
            if text is None:
                raise Refused("an action that is not read here")
            return text
        if actions[:8] == struct.pack("!HHI", _OUTPUT, 16, _TABLE):
            return "resubmit(,0)"
        kind = _kind_of(frame)  # fields may be set only where a flow asks for what has them (7.2.5)
        number = self._spare.get((actions, kind))
        if number is None:
            number = self._spare[actions, kind] = len(self._spare) + 1
            stage = self._stage
            fields = struct.pack("!HBBI", 1, 15 << 1, 4, number) + kind
            match = struct.pack("!HH", 1, 4 + len(fields)) + fields
            match += bytes(-len(match) % 8)
            instruction = struct.pack("!HH4x", 4, 8 + len(actions)) + actions
            body = struct.pack("!QQBBHHHIIIH2x", 0, 0, _SPARE_TABLE, 0, 0, 0, 1, 0xFFFFFFFF,
                               0xFFFFFFFF, 0xFFFFFFFF, 0)  # fmt: skip
            body += match + instruction
            stage.shadow.send(
                stage.switch, struct.pack("!BBHI", version, _FLOW_MOD, 8 + len(body), 0) + body
            )
        return f"set_field:{number}->reg15,resubmit(,{_SPARE_TABLE})"

    # ------------------------------------------------------------------ a trace as a record

    def _answer(self, rounds: tuple[Round, ...], in_port: int, frame: bytes) -> _Answer:
        """What a trace says, and what it takes a second question to know."""
        execution = self._execute(rounds, in_port, frame)
        hits = execution.hits
        groups = self._groups(hits)
        copies = self._copies(execution.sent, frame)
        flows = tuple(self._flow(hit, in_port, frame) for hit in hits if hit.table != _SPARE_TABLE)
        if copies or execution.asked:
            reason = ""
        else:
            reason = PORT_DOWN if execution.sent else _reason(hits, groups)
        return _Answer(
            flows, copies, execution.asked, groups, self._meters(hits), reason, execution.unsure
        )

    def _execute(self, rounds: tuple[Round, ...], in_port: int, frame: bytes) -> _Execution:
        """Carries out round after round, those behind a hash as well."""
        execution = _Execution()
        frames = {"": frame}
        todo = list(rounds)
        while todo:
            now = todo.pop(0)
            result = carry_out(now.datapath, frames.get(now.recirc, frame))
            execution.hits += now.hits
            execution.sent += result.sent
            execution.asked = execution.asked or result.asked
            execution.unsure = execution.unsure or result.unsure
            for again in result.again:
                frames[again] = result.left
                if not any(later.recirc == again for later in todo):
                    todo += self._by_hash(now, again, in_port, frame)
            if _TRACKS.search(now.datapath):
                execution.unsure = execution.unsure or CT_NEW
        return execution

    def _copies(self, sent: list[tuple[str, bytes]], frame: bytes) -> tuple[Sent, ...]:
        """Those of the copies that a port can send, with their bytes where they differ."""
        return tuple(
            Sent(_LOCAL if port == "LOCAL" else int(port), None if data == frame else data)
            for port, data in sent
            if port != "LOCAL" and self._stage.can_send(int(port))
        )

    def _meters(self, hits: list[Hit]) -> tuple[MeterTaken, ...]:
        """The meters that were met, in their order."""
        numbers = dict.fromkeys(
            int(number)
            for hit in hits
            for act in hit.actions
            for number in _METER.findall(act.text)
        )
        return tuple(self._stage.meter(number) for number in numbers)

    def _by_hash(self, now: Round, again: str, in_port: int, frame: bytes) -> tuple[Round, ...]:
        """What a select group does, whose bucket the datapath's hash chooses."""
        stage = self._stage
        if "hash(" not in now.datapath:
            return ()
        value = stage.shadow.hash_of(stage.switch, in_port, frame)
        flow = now.flow if now.final == "unchanged" else now.final
        flow = _LOOKED_UP_AGAIN.sub("", flow)  # behind a group there may be another one
        flow = _PORT_IN_MATCH.sub(f"in_port={in_port}", flow)
        for protocol in ("udp", "sctp"):  # by these names of their ports they are not taken in
            if flow.startswith(protocol):
                flow = flow.replace("tp_src=", f"{protocol}_src=")
                flow = flow.replace("tp_dst=", f"{protocol}_dst=")
        try:
            text = stage.shadow.trace_flow(
                stage.switch, f"recirc_id={again},dp_hash={value or '0x0'},{flow}"
            )
        except Refused:
            return ()
        return tuple(
            Round(one.flow, one.hits, one.final, one.megaflow, one.datapath, again)
            for one in read_trace(text)
        )

    def _flow(self, hit: Hit, in_port: int, frame: bytes) -> FlowTaken:
        acts = tuple(_act(action) for action in hit.actions)
        if hit.priority is None:
            return FlowTaken(hit.table, None, "", 0, acts)
        known = self._stage.flow(hit.cookie)
        if known is None:
            return FlowTaken(hit.table, hit.priority, hit.match, hit.cookie, acts, LEARNED)
        came, came_ns, flow_mod = how_it_came(known.change)
        match = str(known.flow.match) if known.flow.match.fields else ""
        if any(name.startswith("field") for name in known.flow.match.fields):
            match = hit.match
        return FlowTaken(
            hit.table, hit.priority, match, known.flow.cookie, acts, came, came_ns, flow_mod
        )

    def _groups(self, hits: list[Hit]) -> tuple[GroupTaken, ...]:
        """The groups that were met, in their order."""
        used: dict[int, list[int]] = {}
        for hit in hits:
            for action in hit.actions:
                for found in _GROUP.findall(action.text):
                    if not action.text.startswith(("write_actions", "learn")):
                        used.setdefault(int(found), [])
                for group, bucket in action.within:
                    buckets = used.setdefault(group, [])
                    if bucket not in buckets:
                        buckets.append(bucket)
        taken = []
        for number, buckets in used.items():
            state = self._stage.groups.get(number)
            kind, count = (state.type, state.buckets) if state is not None else ("", len(buckets))
            taken.append(GroupTaken(number, kind, count, tuple(buckets)))
        return tuple(taken)


def _kind_of(frame: bytes) -> bytes:
    """What kind of frame it is, as fields of a match (7.2.3.8): whether it is tagged, its type, the
    protocol above IP."""
    tagged = frame[12:14] in _TAGS
    fields = struct.pack("!HBBHH", _BASIC, _VLAN << 1 | 1, 4, 0x1000, 0x1000) if tagged else b""
    at = 16 if tagged else 12
    kind = frame[at : at + 2]
    fields += struct.pack("!HBB", _BASIC, _ETH_TYPE << 1, 2) + kind
    place = {b"\x08\x00": 9, b"\x86\xdd": 6}.get(kind)
    if place is not None and len(frame) > at + 2 + place:
        fields += struct.pack("!HBBB", _BASIC, _IP_PROTO << 1, 1, frame[at + 2 + place])
    return fields


def _act(action: Action) -> Act:
    remarks = [text for text in action.remarks if text != "no live bucket"]
    return Act(action.text, action.within, "; ".join(remarks))


def _reason(hits: list[Hit], groups: tuple[GroupTaken, ...]) -> str:
    """Why nothing was sent."""
    for hit in reversed(hits):
        for action in reversed(hit.actions):
            for remark in action.remarks:
                for words, reason in _REASONS:
                    if words in remark and not (
                        reason == NO_BUCKET and any(group.used for group in groups)
                    ):
                        return reason
    last = [hit for hit in hits if hit.table != ACTION_SET]
    return NO_FLOW if last and last[-1].missed else EXPLICIT


def _passage(
    answer: _Answer, number: int, t_ns: int, switch: str, in_port: int, *, packet_out: bool = False
) -> Passage:
    return Passage(
        number=number, t_ns=t_ns, switch=switch, in_port=in_port, flows=answer.flows,
        sent=answer.sent, asked=answer.asked, groups=answer.groups, meters=answer.meters,
        reason=answer.reason, packet_out=packet_out, unsure=answer.unsure,
    )  # fmt: skip


