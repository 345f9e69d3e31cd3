# SPDX-License-Identifier: Apache-2.0
"""What switches did with frames, by their own tables: one record for each frame that came to one.

What lives here: the records, and their plain form for a file. What must not: how they are found
(`hoplab.replay`), words for people.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

ACTION_SET = -1  # in place of a table: what was gathered on the way is carried out at its end
BEFORE, CONTROLLER, LEARNED, ELSEWHERE = "before", "controller", "learned", "elsewhere"
# Why a frame was sent nowhere, or not everywhere. A switch that runs a spanning tree by itself
# blocks ports: what comes by one is dropped, nothing leaves by it; the tree's messages it takes.
PORT_BLOCKED, TREE_BLOCKED, TREE_MESSAGE = "port-blocked", "tree-blocked", "tree-message"
NO_FLOW, EXPLICIT, METER, SAME_PORT, NO_PORT, PORT_DOWN, TTL, NO_BUCKET = (
    "no-flow", "explicit", "meter", "same-port", "no-port", "port-down", "ttl", "no-bucket",
)  # fmt: skip

# What the state of a frame's connection (ct) is taken to be: nobody keeps it.
CT_NEW, CT_KNOWN, CT_REPLY = "ct new", "ct known", "ct reply"
# NORMAL went by a port where its address had been before, which alone fits what was seen.
OLD_PLACE = "old place"


@dataclass(frozen=True, slots=True)
class Act:
    """An action as it was carried out, in Open vSwitch's notation. within: group and bucket, of
    each group that it was carried out for. remark: what Open vSwitch says about it, or ""."""

    text: str
    within: tuple[tuple[int, int], ...] = ()
    remark: str = ""


@dataclass(frozen=True, slots=True)
class FlowTaken:
    """A flow that took the frame; priority is None where a table had none for it, table is -1 for
    what was gathered on the way and carried out at the end (the action set).

    came: how the flow got into the table: a word of the above, "" if there is none. came_ns: when,
    0 if it is not known; flow_mod: the number of the frame in the capture that has the flow-mod.
    """

    table: int
    priority: int | None
    match: str
    cookie: int
    acts: tuple[Act, ...]
    came: str = ""
    came_ns: int = 0
    flow_mod: int = 0


@dataclass(frozen=True, slots=True)
class GroupTaken:
    """A group that the frame went through: its type, how many buckets it has, and which of them
    were carried out (counted from 0)."""

    number: int
    type: str
    buckets: int
    used: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class MeterTaken:
    """A meter that the frame had to pass. rate: of its band, in packets/s if `packets`, else in
    kbit/s. came, dropped: what it counted while the capture ran, None if that is not known."""

    number: int
    rate: int = 0
    packets: bool = False
    came: int | None = None
    dropped: int | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """A copy that is to leave by a port. data: its bytes, where they are not those that came.
    number: of the frame in the capture that was seen to leave so, 0 for none."""

    port: int
    data: bytes | None = None
    number: int = 0


@dataclass(frozen=True, slots=True)
class Passage:
    """What a switch did with a frame that came in, or that its controller sent out by it.

    number: of the frame in the capture; of a packet-out, that of the message. in_port: 0 for a
    packet-out that names none. packet_out: it is one, and `question` is the number of the frame in
    the capture that the switch had asked about, 0 for none; rewritten: with other bytes.
    asked: it went to the controller. meters: those that it had to pass. reason: why it was sent
    nowhere, a word of the above, "" if it was sent or if there is nothing to say.
    cached: what was seen is what an older table would have done: the switch had it in its cache
    still. early: what was seen is what the next table would have done. fits: what was seen to leave
    is what the tables say. unsure: what is not known of it, in a few words, or ""; of the state of
    its connection one of the words above.
    """

    number: int
    t_ns: int
    switch: str
    in_port: int
    flows: tuple[FlowTaken, ...]
    sent: tuple[Sent, ...]
    asked: bool = False
    groups: tuple[GroupTaken, ...] = ()
    meters: tuple[MeterTaken, ...] = ()
    reason: str = ""
    packet_out: bool = False
    question: int = 0
    rewritten: bool = False
    cached: bool = False
    early: bool = False
    fits: bool = True
    unsure: str = ""


class Made(NamedTuple):
    """What a switch made a frame of: the number of the frame that came to it. plain: a copy with
    the same bytes, by another port, that the controller had it send; its bytes show that as well,
    unless the controller took very long."""

    number: int
    plain: bool = False


def causes(passages: Iterable[Passage]) -> dict[int, Made]:
    """Frames that a switch made of another one, which their bytes or their number need not show:
    number of the frame that left -> the one that came."""
    found: dict[int, Made] = {}
    for passage in passages:
        cause = passage.question if passage.packet_out else passage.number
        if not cause:
            continue
        ports = [copy.port for copy in passage.sent]
        for copy in passage.sent:
            special = copy.data is not None or ports.count(copy.port) > 1
            special = special or copy.port == passage.in_port
            special = special or (passage.packet_out and passage.rewritten)
            if copy.number and (special or passage.packet_out):
                found[copy.number] = Made(cause, plain=not special)
    return found


def to_plain(passages: Iterable[Passage]) -> dict[str, Any]:
    """For a file of JSON. Flows are written once, however many frames they took."""
    flows: dict[FlowTaken, int] = {}
    rows = []
    for passage in passages:
        places = [flows.setdefault(flow, len(flows)) for flow in passage.flows]
        rows.append(_passage_to_plain(passage, places))
    return {"flows": [flow_to_plain(flow) for flow in flows], "passages": rows}


def _passage_to_plain(passage: Passage, flows: list[int]) -> dict[str, Any]:
    """A row for one passage, without what is not so. flows: their places in the list of flows."""
    row: dict[str, Any] = {
        "frame": passage.number, "t_ns": passage.t_ns, "switch": passage.switch,
        "in_port": passage.in_port, "flows": flows,
        "sent": [
            {"port": copy.port, "frame": copy.number,
             **({} if copy.data is None else {"bytes": copy.data.hex()})}
            for copy in passage.sent
        ],
    }  # fmt: skip
    if passage.groups:
        row["groups"] = [
            {"group": group.number, "type": group.type, "buckets": group.buckets,
             "used": list(group.used)}
            for group in passage.groups
        ]  # fmt: skip
    if passage.meters:
        row["meters"] = [
            {"meter": meter.number, "rate": meter.rate, "packets": meter.packets,
             "came": meter.came, "dropped": meter.dropped}
            for meter in passage.meters
        ]  # fmt: skip
    for name in ("asked", "packet_out", "rewritten", "cached", "early"):
        if getattr(passage, name):
            row[name] = True
    for name in ("question", "reason"):
        if getattr(passage, name):
            row[name] = getattr(passage, name)
    if not passage.fits:
        row["fits"] = False
    if passage.unsure:
        row["unsure"] = passage.unsure
    return row


def flow_to_plain(flow: FlowTaken) -> dict[str, Any]:
    """A flow for a file of JSON."""
    acts: list[dict[str, Any]] = []
    for act in flow.acts:
        row: dict[str, Any] = {"action": act.text}
        if act.within:
            row["within"] = [list(pair) for pair in act.within]
        if act.remark:
            row["remark"] = act.remark
        acts.append(row)
    return {
        "table": flow.table, "priority": flow.priority, "match": flow.match,
        "cookie": flow.cookie, "actions": acts, "came": flow.came, "came_ns": flow.came_ns,
        "flow_mod": flow.flow_mod,
    }  # fmt: skip


def from_plain(data: Mapping[str, Any]) -> list[Passage]:
    """Raises KeyError, TypeError, ValueError, IndexError for what is none."""
    flows = [_flow_from_plain(row) for row in data["flows"]]
    return [
        Passage(
            number=int(row["frame"]),
            t_ns=int(row["t_ns"]),
            switch=str(row["switch"]),
            in_port=int(row["in_port"]),
            flows=tuple(flows[int(place)] for place in row["flows"]),
            sent=tuple(
                Sent(
                    int(copy["port"]),
                    bytes.fromhex(copy["bytes"]) if "bytes" in copy else None,
                    int(copy["frame"]),
                )
                for copy in row["sent"]
            ),
            asked=bool(row.get("asked")),
            groups=tuple(
                GroupTaken(
                    int(group["group"]), str(group["type"]), int(group["buckets"]),
                    tuple(int(place) for place in group["used"]),
                )
                for group in row.get("groups", ())
            ),
            meters=tuple(
                MeterTaken(
                    int(meter["meter"]), int(meter["rate"]), bool(meter["packets"]),
                    meter["came"], meter["dropped"],
                )
                for meter in row.get("meters", ())
            ),
            reason=str(row.get("reason", "")),
            packet_out=bool(row.get("packet_out")),
            question=int(row.get("question", 0)),
            rewritten=bool(row.get("rewritten")),
            cached=bool(row.get("cached")),
            early=bool(row.get("early")),
            fits=bool(row.get("fits", True)),
            unsure=str(row.get("unsure", "")),
        )
        for row in data["passages"]
    ]  # fmt: skip


def _flow_from_plain(row: Mapping[str, Any]) -> FlowTaken:
    acts = tuple(
        Act(
            str(act["action"]),
            tuple((int(group), int(bucket)) for group, bucket in act.get("within", ())),
            str(act.get("remark", "")),
        )
        for act in row["actions"]
    )
    priority = row["priority"]
    return FlowTaken(
        int(row["table"]), None if priority is None else int(priority), str(row["match"]),
        int(row["cookie"]), acts, str(row["came"]), int(row["came_ns"]), int(row["flow_mod"]),
    )  # fmt: skip
