# SPDX-License-Identifier: Apache-2.0
"""A switch in the shadow, at any of its past states: changes are made one by one, and taken back.

What lives here: which messages make a change and which ones take it back, and what is known of a
flow, a group, a meter in the state at hand. What must not: frames.

Each flow has a number of its own in the shadow, in place of its cookie, by which a trace tells
which one it was.
"""

from __future__ import annotations

import contextlib
import functools
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace

from hoplab.decode import tables
from hoplab.follow.passages import MeterTaken
from hoplab.openvswitch.shadow import Shadow
from hoplab.openvswitch.unixctl import Refused
from hoplab.replay.history import Change, SwitchHistory

_GROUP_MOD = 15
_MODIFY_GROUP, _DELETE_GROUP = 1, 2
_ALL_GROUPS = 0xFFFFFFFC
_TakeBack = Callable[[], None]
_SEED = b"\x88\xb5" + bytes(46)  # a local experimental EtherType


@dataclass(frozen=True)
class Known:
    """A flow of the past state. change: what brought it, None if it was there."""

    flow: tables.FlowChange
    change: Change | None


@dataclass(frozen=True)
class GroupState:
    """A group: its type, how many buckets it has, the message that makes it."""

    type: str
    buckets: int
    message: bytes


class Stage:
    """The state of one switch in the shadow: `at` of its changes have been made, `ports_at` of them
    to something else than flows."""

    def __init__(self, shadow: Shadow, switch: str, history: SwitchHistory) -> None:
        self.shadow, self.switch, self.history = shadow, switch, history
        self.at = self.ports_at = 0
        self.known: list[Known] = []  # by the flow's number in the shadow, from 1
        self.groups: dict[int, GroupState] = {}
        self._flows: dict[tuple[int, int, bytes], int] = {}
        self._undo: list[list[_TakeBack]] = []
        self.ports: dict[int, tables.Port] = {port.number: port for port in history.ports}
        self._begin()

    def _begin(self) -> None:
        history = self.history
        for meter in history.meters:
            self.shadow.send(self.switch, meter.message())
        for _ in range(2):  # a group may send to one that is told of later
            for group in history.groups:
                self.shadow.send(self.switch, group.message())
        for group in history.groups:
            self.groups[group.number] = GroupState(
                group.type, _count_buckets(group.buckets), group.message()
            )
        for flow in history.flows:
            self._put(flow, None)
        for port in history.ports:
            if not port.up:
                self.shadow.set_port(self.switch, port.number, up=False)
        for number, _, mac in history.learned:
            self.teach(number, bytes.fromhex(mac.replace(":", "")))

    def teach(self, port: int, mac: bytes) -> None:
        """Have the switch learn, for NORMAL, that an address is at that port."""
        with contextlib.suppress(Refused):
            frame = b"\xff" * 6 + mac + _SEED
            self.shadow.trace_out(self.switch, str(port), frame, "NORMAL")

    def can_send(self, number: int) -> bool:
        """Whether a port is there and has a link: a trace does not ask."""
        port = self.ports.get(number)
        return not self.ports or (port is not None and port.up and port.there)

    # ------------------------------------------------------------------ forth and back

    def go_to(self, place: int) -> None:
        """Make changes, or take them back, until so many have been made."""
        while self.at < place:
            change = self.history.changes[self.at]
            self._undo.append(self._make(change))
            self.at += 1
            self.ports_at += change.flow is None
            self.history.made = max(self.history.made, self.at)
        while self.at > place:
            self.at -= 1
            self.ports_at -= self.history.changes[self.at].flow is None
            for take_back in reversed(self._undo.pop()):
                take_back()

    def _make(self, change: Change) -> list[_TakeBack]:
        """Make a change; what takes it back."""
        if change.flow is not None:
            return [self._change_flow(change.flow, change)]
        if change.port is not None:
            return [self._change_port(change.port)]
        kind = change.message[1] if len(change.message) > 1 else 0
        self.shadow.send(self.switch, change.message)
        if kind == _GROUP_MOD:
            return self._note_groups(change.message)
        return []

    # ------------------------------------------------------------------ flows

    def _put(self, flow: tables.FlowChange, change: Change | None) -> None:
        self.known.append(Known(flow, change))
        number = len(self.known)
        self._flows[flow.key] = number
        self._send_flow(flow, number)

    def _send_flow(self, flow: tables.FlowChange, number: int) -> None:
        added = replace(flow, cookie=number, event=tables.ADDED)
        self.shadow.send(self.switch, added.message())

    def _change_flow(self, flow: tables.FlowChange, change: Change) -> _TakeBack:
        before = self._flows.get(flow.key, 0)
        if flow.event == tables.DELETED:
            self._flows.pop(flow.key, None)
            self.shadow.send(self.switch, flow.message())
        else:
            self._put(flow, change)
        return functools.partial(self._restore_flow, flow.key, before)

    def _restore_flow(self, key: tuple[int, int, bytes], before: int) -> None:
        if before:
            self._flows[key] = before
            self._send_flow(self.known[before - 1].flow, before)
            return
        number = self._flows.pop(key, 0)
        if number:
            gone = replace(self.known[number - 1].flow, event=tables.DELETED)
            self.shadow.send(self.switch, gone.message())

    def flow(self, number: int) -> Known | None:
        """The flow of a number that a trace names as its cookie; None for one that the shadow has
        learned itself."""
        return self.known[number - 1] if 0 < number <= len(self.known) else None

    def meter(self, number: int) -> MeterTaken:
        """What is known of a meter; of one that came during the capture no more than its number."""
        history = self.history
        rate, packets = 0, False
        for meter in history.meters:
            if meter.number == number:
                rate, packets = meter.rate, meter.packets
        counts = [count[number] for count in history.counts if number in count]
        if len(counts) < 2:
            return MeterTaken(number, rate, packets)
        came = counts[-1].came - counts[0].came
        return MeterTaken(number, rate, packets, came, counts[-1].dropped - counts[0].dropped)

    # ------------------------------------------------------------------ groups and ports

    def _note_groups(self, message: bytes) -> list[_TakeBack]:
        """Keep a group-mod in mind (7.3.4.2); what takes it back."""
        try:
            command, kind, number = struct.unpack_from("!HBxI", message, 8)
        except struct.error:
            return []
        changed = list(self.groups) if number == _ALL_GROUPS else [number]
        undo: list[_TakeBack] = [
            functools.partial(self._restore_group, each, self.groups.get(each)) for each in changed
        ]
        if command == _DELETE_GROUP:
            for each in changed:
                self.groups.pop(each, None)
        elif kind < len(tables.GROUP_TYPES):
            word = tables.GROUP_TYPES[kind]
            self.groups[number] = GroupState(word, _count_buckets(message[16:]), message)
        return undo

    def _restore_group(self, number: int, before: GroupState | None) -> None:
        delete = struct.pack("!HBxI", _DELETE_GROUP, 0, number)
        head = struct.pack("!BBHI", 4, _GROUP_MOD, 8 + len(delete), 0)
        if before is None:
            self.groups.pop(number, None)
            self.shadow.send(self.switch, head + delete)
            return
        again = bytearray(before.message)
        again[8:10] = (0 if number not in self.groups else _MODIFY_GROUP).to_bytes(2, "big")
        self.groups[number] = before
        self.shadow.send(self.switch, bytes(again))

    def _change_port(self, port: tables.Port) -> _TakeBack:
        before = self.ports.get(port.number, replace(port, up=False, there=False))
        self.ports[port.number] = port
        self.shadow.set_port(self.switch, port.number, up=port.up and port.there)
        return functools.partial(self._set_port, before)

    def _set_port(self, port: tables.Port) -> None:
        self._change_port(port)


def _count_buckets(buckets: bytes) -> int:
    """How many there are (7.3.4.2: each begins with its length)."""
    count = at = 0
    while at + 2 <= len(buckets):
        length = int.from_bytes(buckets[at : at + 2], "big")
        if length < 2:
            break
        count += 1
        at += length
    return count


def port_numbers(history: SwitchHistory) -> list[int]:
    """The ports that a switch has, or had at some time."""
    numbers = {port.number for port in history.ports}
    numbers |= {change.port.number for change in history.changes if change.port is not None}
    return sorted(numbers)

