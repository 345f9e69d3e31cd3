# SPDX-License-Identifier: Apache-2.0
"""What the OpenFlow channel has said of each switch so far: whose a connection is, whether it is
open, the flows of each switch.

What lives here: the state after the messages that were taken up. What must not: single frames and
what was decided about them (`decisions.py`).

A connection is a switch's: its features reply gives the datapath id.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from hoplab.decode.openflow import READ, VERSIONS
from hoplab.follow.wiring import Wiring
from hoplab.story.arrivals import Arrival, time_of
from hoplab.story.conversation import ChannelMessage, Connection
from hoplab.story.flow_tables import FlowTables


@dataclass(slots=True)
class ChannelState:
    """What the channel has said of each switch before the messages at hand: whose a connection
    is, and the flows of each switch."""

    switches: dict[Connection, str] = field(default_factory=dict)
    tables: dict[str, FlowTables] = field(default_factory=dict)
    open: dict[Connection, bool] = field(default_factory=dict)
    unread: dict[Connection, str] = field(default_factory=dict)  # version, if it is not read here
    missing: set[str] = field(default_factory=set)  # switches that have had no flow for a frame

    def learn(
        self, wiring: Wiring, messages: Sequence[ChannelMessage], arrivals: Iterable[Arrival]
    ) -> None:
        """Take up messages, and frames at switches, that are looked at no more."""
        if messages:
            self.switches |= switches_of(wiring, messages)
        past: list[ChannelMessage | Arrival] = [*messages, *arrivals]
        for event in sorted(past, key=time_of):
            if isinstance(event, ChannelMessage):
                self.take(event)
            elif event.node in self.tables:
                self.tables[event.node].pass_frame(event.in_port, event.data, event.t_ns)

    def take(self, heard: ChannelMessage) -> None:
        """Take up one message."""
        message = heard.message.inner or heard.message
        self.open[heard.connection] = message.kind != "closed"
        self.note_version(heard)
        self.note_question(heard)
        node = self.switches.get(heard.connection)
        if node is not None and message.kind == ("flow-removed" if heard.up else "flow-mod"):
            self.tables.setdefault(node, FlowTables()).apply(message, heard.t_ns)

    def alone(self, node: str) -> bool:
        """Its connection is closed; all are, if it is not known which one is its own."""
        mine = [
            connection
            for connection, owner in self.switches.items()
            if owner == node and connection in self.open
        ]
        is_open = [self.open[connection] for connection in mine or self.open]
        return bool(is_open) and not any(is_open)

    def note_question(self, heard: ChannelMessage) -> None:
        """What a question tells of the switch: no flow of its own takes all frames."""
        node = self.switches.get(heard.connection)
        message = heard.message
        if node is not None and message.kind == "packet-in" and message.reason == "no-match":
            self.missing.add(node)

    def note_version(self, heard: ChannelMessage) -> None:
        """Which version is spoken on a connection: the same from the first message to the last, but
        for those that come before it is agreed."""
        message = heard.message
        if message.kind in ("hello", "error", "closed"):
            return
        if message.version in READ:
            self.unread.pop(heard.connection, None)
        else:
            self.unread[heard.connection] = VERSIONS.get(message.version, str(message.version))

    def unread_version(self, node: str) -> str:
        """The version of OpenFlow on its connection, if it is one that is not read here; also of a
        connection that may be its own."""
        return next(
            (
                version for connection, version in self.unread.items()
                if self.open.get(connection, True) and self.switches.get(connection, node) == node
            ),
            "",
        )  # fmt: skip

    def copy(self) -> ChannelState:
        """A copy: what it learns does not change this one."""
        tables = {node: flows.copy() for node, flows in self.tables.items()}
        unread, missing = dict(self.unread), set(self.missing)
        return ChannelState(dict(self.switches), tables, dict(self.open), unread, missing)


def switches_of(wiring: Wiring, messages: Sequence[ChannelMessage]) -> dict[Connection, str]:
    """Which switch is at the other end, where a features reply says it."""
    by_id: dict[int, str] = {}
    for node in wiring.nodes.values():
        text = node.extra.get("dpid")
        if isinstance(text, str):
            try:
                by_id[int(text, 16)] = node.name
            except ValueError:
                continue
    return {
        heard.connection: by_id[heard.message.dpid]
        for heard in messages
        if heard.message.dpid is not None and heard.message.dpid in by_id
    }
