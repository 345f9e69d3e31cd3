# SPDX-License-Identifier: Apache-2.0
"""The flow tables of a switch, as far as the OpenFlow channel shows them.

What lives here: flows as they are put in, used, timed out and taken out, and which of them takes a
frame, as in OpenFlow 1.3.5. What must not: whose connection a message came over
(`channel_state.py`), why a switch did what it did (`decisions.py`).

Where the capture began later than the flows some are not known, and one of these may stand before
any that is. A flow is gone when a flow-removed or a deletion says so, or its time-out has passed
(5.5).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hoplab.decode.openflow import Match, Message
from hoplab.sentences import say, term

SECOND = 1_000_000_000
LATE_NS = 2 * SECOND  # Open vSwitch looks about once a second which flows have timed out
_HEADER = 14  # bytes; a match that asks for more than these is told apart no further
_ANY_TABLE = 0xFF
_NEVER_NS = 1 << 62
# Table, priority and `Match.key` of a flow: two that agree in these are one (OpenFlow 1.3.5, 5.2).
_Key = tuple[int, int, frozenset[tuple[str, bytes, "bytes | None"]]]


@dataclass(slots=True)
class Flow:
    """A flow as the channel showed it. since_ns, used_ns: when it came, and took a frame last."""

    table: int
    priority: int
    match: Match
    ports: tuple[str, ...]
    next: int | None
    cookie: int
    floods: bool
    idle_s: int
    hard_s: int
    since_ns: int
    used_ns: int

    def end_ns(self) -> tuple[int, str] | None:
        """When it times out if no frame comes, and of what; None for never."""
        ends = []
        if self.idle_s:
            ends.append((self.used_ns + self.idle_s * SECOND, "idle"))
        if self.hard_s:
            ends.append((self.since_ns + self.hard_s * SECOND, "hard"))
        return min(ends, default=None)

    def copy(self) -> Flow:
        """One that may be used without this one."""
        return Flow(
            self.table, self.priority, self.match, self.ports, self.next, self.cookie,
            self.floods, self.idle_s, self.hard_s, self.since_ns, self.used_ns,
        )  # fmt: skip


@dataclass(slots=True)
class FlowTables:
    """The flows of a switch. whole: they were seen from the first one on. gone: those that were
    there before, with what became of them: 'idle', 'hard' or 'delete'."""

    flows: dict[_Key, Flow] = field(default_factory=dict)
    gone: dict[_Key, tuple[Flow, str]] = field(default_factory=dict)
    whole: bool = False
    changed: bool = False  # flows were put in while the capture ran
    # Flows with time-outs that take a frame with this port and Ethernet header, until flows change.
    _users: dict[tuple[int | None, bytes], list[_Key]] = field(default_factory=dict)
    _look_ns: int = 0  # before then none times out

    def apply(self, message: Message, t_ns: int) -> None:
        """A flow-mod (7.3.4.1) or a flow-removed (7.4.2)."""
        match = message.match or Match()
        table = message.table or 0
        key = (table, message.priority, match.key)
        if message.kind == "flow-removed":
            self._take_out(key, message.reason)
        elif message.command in ("add", "modify", "modify-strict"):
            self._put_in(key, message, match, t_ns)
        elif message.command == "delete-strict":
            flow = self.flows.get(key)
            if flow is not None and _sends_there(flow, message):
                self._take_out(key, "delete")
        elif message.command == "delete":
            self._delete(table, message, match)

    def _put_in(self, key: _Key, message: Message, match: Match, t_ns: int) -> None:
        self.changed = True
        self.gone.pop(key, None)
        self._users.clear()
        self._look_ns = 0
        self.flows[key] = Flow(
            key[0], message.priority, match, message.ports, message.table_next,
            message.cookie or 0, message.floods, message.idle_s, message.hard_s, t_ns, t_ns,
        )  # fmt: skip

    def _delete(self, table: int, message: Message, match: Match) -> None:
        """Takes out all flows that a deletion means; one that means every flow shows that none is
        left from before the capture."""
        mask = message.cookie_mask
        if table == _ANY_TABLE and not match.fields and not mask:
            self.whole = self.whole or (message.only is None and not message.grouped)
        for key, flow in list(self.flows.items()):
            named = all(flow.match.fields.get(name) == raw for name, raw in match.fields.items())
            meant = (flow.cookie ^ (message.cookie or 0)) & mask == 0
            meant = meant and _sends_there(flow, message)
            if named and meant and table in (_ANY_TABLE, flow.table):
                self._take_out(key, "delete")

    def copy(self) -> FlowTables:
        """One that may be changed without this one."""
        flows = {key: flow.copy() for key, flow in self.flows.items()}
        users = dict(self._users)
        return FlowTables(flows, dict(self.gone), self.whole, self.changed, users, self._look_ns)

    def _take_out(self, key: _Key, why: str) -> None:
        flow = self.flows.pop(key, None)
        if flow is not None:
            self.gone[key] = flow, why
            self._users.clear()

    def pass_frame(self, in_port: int | None, frame: bytes, t_ns: int) -> None:
        """A frame came at that time: what has timed out is gone, what takes it is in use."""
        if t_ns > self._look_ns:
            self._time_out(t_ns)
        head = in_port, frame[:_HEADER]
        users = self._users.get(head)
        if users is None:
            users = self._users[head] = [
                key for key, flow in self.flows.items()
                if (flow.idle_s or flow.hard_s) and flow.match.takes(in_port, frame) is not False
            ]  # fmt: skip
        for key in users:
            flow = self.flows[key]
            if flow.used_ns < t_ns:
                flow.used_ns = t_ns

    def _time_out(self, t_ns: int) -> None:
        ends = []
        for key, flow in list(self.flows.items()):
            end = flow.end_ns()
            if end is None:
                continue
            if t_ns > end[0] + LATE_NS:
                self._take_out(key, end[1])
            else:
                ends.append(end[0] + LATE_NS)  # or later, if it is used meanwhile
        self._look_ns = min(ends, default=_NEVER_NS)

    def decide(self, in_port: int | None, frame: bytes, t_ns: int) -> Flow | None:
        """The flow that sends the frame on, None if that cannot be told."""
        table: int | None = 0
        for _ in range(256):
            fitting = []
            for flow in self.flows.values():
                if flow.table != table:
                    continue
                takes = flow.match.takes(in_port, frame)
                end = flow.end_ns()
                if takes is None or (takes and end is not None and t_ns > end[0]):
                    return None  # a switch may be late to take out what has timed out
                if takes:
                    fitting.append(flow)
            if not fitting:
                return None
            best = max(fitting, key=lambda flow: flow.priority)
            if best.next is None:
                return best
            table = best.next
        return None

    def missed(self, in_port: int | None, frame: bytes, table: int | None) -> str:
        """What became of the flow that would have taken the frame, as a clause, or ""."""
        for flow, why in reversed(list(self.gone.values())):
            if flow.table != table or "CONTROLLER" in flow.ports or not flow.match.fields:
                continue
            if flow.match.takes(in_port, frame):
                if why == "idle":
                    return say("the last one expired, unused for {seconds} s", seconds=flow.idle_s)
                if why == "hard":
                    return say(
                        "the last one expired {seconds} s after it had come", seconds=flow.hard_s
                    )
                return term("the last one was deleted")
        return ""

    def asking(self, message: Message) -> Flow | None:
        """The flow that sent a packet-in."""
        for flow in self.flows.values():
            if (flow.table, flow.cookie) == (message.table, message.cookie or 0) and (
                "CONTROLLER" in flow.ports
            ):
                return flow
        return None


def _sends_there(flow: Flow, message: Message) -> bool:
    """A deletion that names a port means flows that send there (7.3.4.1); groups are not known."""
    return not message.grouped and (message.only is None or message.only in flow.ports)
