# SPDX-License-Identifier: Apache-2.0
"""What switches and controller said to each other: messages out of the captured OpenFlow channel.

What lives here: TCP put back together, just enough for a loopback interface, where segments
neither overtake each other nor get lost, except by the capture. What must not: what the messages
mean for a frame (`decisions.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from hoplab.capture.observation import Observation
from hoplab.decode import openflow
from hoplab.decode import packet as wire
from hoplab.openflow_channel import CONTROLLER_PORTS

FIRST_EPHEMERAL = 32768  # ip_local_port_range, as Linux has it
_CLOSED = openflow.Message("closed", 0, 0, 0)  # no message of OpenFlow: TCP's FIN or RST
Connection = tuple[str, int, int]  # the switch's address and port, the controller's port


@dataclass(slots=True, frozen=True)
class ChannelMessage:
    """One message, or 'closed'. number: of the frame in which it ended; up: from the switch."""

    t_ns: int
    number: int
    connection: Connection
    up: bool
    message: openflow.Message


@dataclass(slots=True)
class _Stream:
    """One direction of a connection: the sequence number that comes next, bytes not yet whole."""

    next: int | None = None
    rest: bytearray = field(default_factory=bytearray)


class Listener:
    """Puts messages together, frame by frame, in order of time."""

    def __init__(self) -> None:
        self._streams: dict[tuple[Connection, bool], _Stream] = {}

    def feed(self, seen: Observation) -> list[ChannelMessage]:
        """The messages that end in this frame."""
        if seen.outgoing:
            return []  # on a loopback interface each frame passes twice
        packet = wire.decode(seen.data)
        tcp = packet.tcp
        if tcp is None:
            return []
        up = _controllers(tcp.dport, tcp.sport)
        if up:
            connection = (packet.src, tcp.sport, tcp.dport)
        elif _controllers(tcp.sport, tcp.dport):
            connection = (packet.dst, tcp.dport, tcp.sport)
        else:
            return []
        if tcp.syn:
            self._streams[connection, up] = _Stream((tcp.seq + 1) & 0xFFFFFFFF)
            return []
        stream = self._streams.setdefault((connection, up), _Stream())
        _append(stream, tcp.seq, packet.payload)
        messages = [
            ChannelMessage(seen.t_ns, seen.number, connection, up, openflow.decode(raw))
            for raw in openflow.split(stream.rest)
        ]
        if tcp.fin or tcp.rst:
            messages.append(ChannelMessage(seen.t_ns, seen.number, connection, up, _CLOSED))
        return messages


def _controllers(port: int, peer: int) -> bool:
    """Whether the controller is at `port`, and the switch at `peer`. A script's may be anywhere:
    then it has the port that Linux gives nobody by itself."""
    if port in CONTROLLER_PORTS or peer in CONTROLLER_PORTS:
        return port in CONTROLLER_PORTS
    return port < FIRST_EPHEMERAL <= peer


def conversation(observations: Iterable[Observation]) -> list[ChannelMessage]:
    """All messages, in order of time."""
    listener = Listener()
    return [message for seen in observations for message in listener.feed(seen)]


def _append(stream: _Stream, seq: int, data: bytes) -> None:
    """The segment's new bytes behind what is there; after a gap what was there is of no use."""
    if not data:
        return
    if stream.next is not None:
        ahead = (seq - stream.next) & 0xFFFFFFFF
        if ahead >= 1 << 31:  # below what came before: a retransmission
            data = data[(1 << 32) - ahead :]
            if not data:
                return
            seq = stream.next
        elif ahead:
            stream.rest.clear()
    stream.rest += data
    stream.next = (seq + len(data)) & 0xFFFFFFFF
