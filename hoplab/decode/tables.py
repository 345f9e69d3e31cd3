# SPDX-License-Identifier: Apache-2.0
"""What a switch says of its tables in OpenFlow 1.3: flows that come and go, groups, meters, ports.

What lives here: the answers to what `hoplab.openvswitch.monitor` asks, and the messages that would
make the same flow, group or meter again. Section numbers are those of OpenFlow Switch Specification
1.3.5; the flow monitor is ONF extension 187, in the layout of Open vSwitch's nicira-ext.h. What
must not: sockets, what a flow means for a frame.

Nothing here raises for bytes from a network: what cannot be read is left out.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from hoplab.decode.openflow import Match, read_match

VERSION = 4
ADDED, DELETED, MODIFIED = 0, 1, 2
INITIAL = 0xFFFF  # the number of our request: its answer is the table as it was then
# Why a flow went (7.4.2), and what Open vSwitch adds to it.
REASONS = ("idle", "hard", "delete", "group-delete", "meter-delete", "eviction")
_MULTIPART_REPLY, _PORT_STATUS, _FLOW_MOD, _GROUP_MOD, _METER_MOD = 19, 12, 14, 15, 29
_GROUP_DESC, _METER, _METER_CONFIG, _PORT_DESC, _EXPERIMENTER = 7, 9, 10, 13, 0xFFFF
_ONF, _FLOW_MONITOR = 0x4F4E4600, 1870
_NO_BUFFER = _ANY = 0xFFFFFFFF
GROUP_TYPES = ("all", "select", "indirect", "fast-failover")  # 7.3.4.2
_LONGEST = 60_000  # bytes of flows in a message of ours: its length is a number of 16 bits
_PORT_DOWN, _LINK_DOWN = 1, 1  # 7.2.1: OFPPC_PORT_DOWN, OFPPS_LINK_DOWN


@dataclass(frozen=True)
class FlowChange:
    """A flow that was there, came, was changed or went. event: ADDED, DELETED or MODIFIED.
    instructions: as they are on the wire (7.2.4); match_bytes: with its padding."""

    event: int
    reason: str
    table: int
    priority: int
    cookie: int
    match: Match
    match_bytes: bytes
    instructions: bytes

    @property
    def key(self) -> tuple[int, int, bytes]:
        """Two that agree in this are one flow (5.2)."""
        return self.table, self.priority, self.match_bytes

    def message(self) -> bytes:
        """The flow-mod that does the same, for a flow that never times out."""
        command = 4 if self.event == DELETED else 0  # delete-strict, add
        body = struct.pack("!QQBBHHHIIIH2x", self.cookie, 0, self.table, command, 0, 0,
                           self.priority, _NO_BUFFER, _ANY, _ANY, 0)  # fmt: skip
        body += self.match_bytes
        if self.event != DELETED:
            body += self.instructions
        return _message(_FLOW_MOD, body)


@dataclass(frozen=True)
class Group:
    """A group as a switch describes it. type: a word of `GROUP_TYPES`; buckets: as on the wire."""

    number: int
    type: str
    buckets: bytes

    def message(self) -> bytes:
        """The group-mod that makes it."""
        body = struct.pack("!HBxI", 0, GROUP_TYPES.index(self.type), self.number)
        return _message(_GROUP_MOD, body + self.buckets)


@dataclass(frozen=True)
class Meter:
    """A meter as a switch describes it. bands: as on the wire. rate: of the first band, in
    packets/s if `packets`, else in kbit/s."""

    number: int
    flags: int
    bands: bytes

    @property
    def packets(self) -> bool:
        return bool(self.flags & 2)

    @property
    def rate(self) -> int:
        return int.from_bytes(self.bands[4:8], "big")

    def message(self) -> bytes:
        """The meter-mod that makes it."""
        return _message(_METER_MOD, struct.pack("!HHI", 0, self.flags, self.number) + self.bands)


@dataclass(frozen=True)
class MeterCount:
    """What a meter has counted: frames that came to it, and those that its bands dropped."""

    number: int
    came: int
    dropped: int


@dataclass(frozen=True)
class Port:
    """A port of a switch. up: it can send. there: it has not been taken out."""

    number: int
    name: str
    up: bool
    there: bool = True


Item = FlowChange | Group | Meter | MeterCount | Port


def _message(kind: int, body: bytes) -> bytes:
    return struct.pack("!BBHI", VERSION, kind, 8 + len(body), 0) + body


def is_initial(message: bytes) -> bool:
    """Whether it answers our first question: it tells of what was there already."""
    return int.from_bytes(message[4:8], "big") == INITIAL


def entries(message: bytes) -> list[bytes]:
    """The changes of flows that a message tells of, each as it is on the wire."""
    at = 24  # behind the headers of message, multipart and experimenter
    found: list[bytes] = []
    try:
        version, kind, length, _, part = struct.unpack_from("!BBHIH", message)
        experimenter = struct.unpack_from("!II", message, 16)
        if (version, kind, part, experimenter) != (
            VERSION, _MULTIPART_REPLY, _EXPERIMENTER, (_ONF, _FLOW_MONITOR)
        ):  # fmt: skip
            return []
        while at + 4 <= length:
            size = struct.unpack_from("!H", message, at)[0]
            if size < 8:
                break
            found.append(message[at : at + size])
            at += size
    except struct.error:
        pass
    return found


def with_entries(changes: Iterable[bytes], number: int = 0) -> bytes:
    """A message that tells of these changes of flows. number: of the request that it answers."""
    body = struct.pack("!HH4xII", _EXPERIMENTER, 0, _ONF, _FLOW_MONITOR) + b"".join(changes)
    return struct.pack("!BBHI", VERSION, _MULTIPART_REPLY, 8 + len(body), number) + body


def as_initial(changes: Iterable[bytes]) -> list[bytes]:
    """Messages that tell of these flows as of flows that were there already; one at least."""
    told: list[list[bytes]] = [[]]
    size = 0
    for change in changes:
        if size + len(change) > _LONGEST:
            told.append([])
            size = 0
        size += len(change)
        told[-1].append(change[:2] + struct.pack("!H", ADDED) + change[4:])
    return [with_entries(each, INITIAL) for each in told]


def read(message: bytes) -> list[Item]:
    """What a message tells."""
    items: list[Item] = []
    try:
        version, kind, length, _ = struct.unpack_from("!BBHI", message)
        if version != VERSION:
            return items
        body = message[8:length]
        if kind == _PORT_STATUS:
            reason = body[0]
            items += _ports(body[8:], there=reason != 1)
        elif kind == _MULTIPART_REPLY:
            part = struct.unpack_from("!H", body)[0]
            reader = _PARTS.get(part)
            if reader is not None:
                items += reader(body[8:])
    except (struct.error, IndexError, ValueError):
        pass
    return items


def _changes(body: bytes) -> Iterator[FlowChange]:
    """Each: length, event, reason, priority, time-outs, length of the match, table, cookie, match,
    instructions."""
    if struct.unpack_from("!II", body) != (_ONF, _FLOW_MONITOR):
        return
    at = 8
    while at + 4 <= len(body):
        length, event = struct.unpack_from("!HH", body, at)
        if length < 8:
            return
        if event in (ADDED, DELETED, MODIFIED) and length >= 24:
            reason, priority, _, _, _, table, cookie = struct.unpack_from(
                "!HHHHHBxQ", body, at + 4
            )
            start = at + 24
            match, after = read_match(body, start)
            word = ""
            if event == DELETED:
                word = REASONS[reason] if reason < len(REASONS) else str(reason)
            yield FlowChange(
                event, word, table, priority, cookie, match,
                body[start:after], body[after : at + length],
            )  # fmt: skip
        at += length


def _groups(body: bytes) -> Iterator[Group]:
    """7.3.5.10: length, type, number, buckets."""
    at = 0
    while at + 8 <= len(body):
        length, kind, number = struct.unpack_from("!HBxI", body, at)
        if length < 8:
            return
        if kind < len(GROUP_TYPES):
            yield Group(number, GROUP_TYPES[kind], body[at + 8 : at + length])
        at += length


def _meters(body: bytes) -> Iterator[Meter]:
    """7.3.5.15: length, flags, number, bands."""
    at = 0
    while at + 8 <= len(body):
        length, flags, number = struct.unpack_from("!HHI", body, at)
        if length < 8:
            return
        yield Meter(number, flags, body[at + 8 : at + length])
        at += length


def _counts(body: bytes) -> Iterator[MeterCount]:
    """7.3.5.14: number, length, flows, frames and bytes that came, duration; of each band frames
    and bytes."""
    at = 0
    while at + 40 <= len(body):
        number, length = struct.unpack_from("!IH", body, at)
        if length < 40:
            return
        came = struct.unpack_from("!Q", body, at + 16)[0]
        bands = range(at + 40, min(at + length, len(body)) - 15, 16)
        dropped = sum(struct.unpack_from("!Q", body, place)[0] for place in bands)
        yield MeterCount(number, came, dropped)
        at += length


def _ports(body: bytes, *, there: bool = True) -> Iterator[Port]:
    """7.2.1: number, MAC address, name, configuration, state, …: 64 bytes."""
    for at in range(0, len(body) - 63, 64):
        number = struct.unpack_from("!I", body, at)[0]
        name = body[at + 16 : at + 32].partition(b"\0")[0].decode("utf-8", "replace")
        config, state = struct.unpack_from("!II", body, at + 32)
        yield Port(number, name, not (config & _PORT_DOWN or state & _LINK_DOWN), there)


_PARTS: dict[int, Callable[[bytes], Iterator[Item]]] = {
    _EXPERIMENTER: _changes,
    _GROUP_DESC: _groups,
    _METER: _counts,
    _METER_CONFIG: _meters,
    _PORT_DESC: _ports,
}
