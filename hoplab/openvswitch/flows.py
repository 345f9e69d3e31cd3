# SPDX-License-Identifier: Apache-2.0
"""A switch's flows, read and taken away over its management socket.

Open vSwitch listens for OpenFlow on a unix socket for each bridge (`/run/openvswitch/s1.mgmt`).
Speaking it here costs a millisecond; a program a question costs ten, and a lab may have a hundred
switches. OpenFlow 1.3.5: 7.3.5.2 (flow statistics) and 7.3.4.1 (flow-mod). A bridge that its
topology keeps from speaking 1.3 is asked by that program.
"""

from __future__ import annotations

import contextlib
import re
import socket
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from hoplab.errors import Exit, LabError, reason_of
from hoplab.openvswitch import tables
from hoplab.openvswitch.ovsdb import RUN
from hoplab.sentences import say, term
from hoplab.wait import patience

ANSWER_S = 20.0

_VERSION = 4
_HELLO, _ERROR, _ECHO_REQUEST, _ECHO_REPLY, _FLOW_MOD = 0, 1, 2, 3, 14
_MULTIPART_REQUEST, _MULTIPART_REPLY, _BARRIER_REQUEST, _BARRIER_REPLY = 18, 19, 20, 21
_FLOW_STATS, _MORE = 1, 1
_PORT_MOD, _PORT_DESC = 16, 13
_PORT = struct.Struct("!I4x6s2x16xI28x")  # ofp_port (7.2.1): number, address, config
_PORT_CHANGE = struct.Struct("!I4x6s2xIII4x")  # the same, a mask and speeds (7.3.4.3)
# OFPPC_NO_RECV, _NO_FWD, _NO_PACKET_IN (7.2.1). PORT_DOWN is left out: a user takes cables away.
_CLOSED = 4 | 32 | 64
# OFPET_HELLO_FAILED, OFPET_BAD_REQUEST with OFPBRC_BAD_VERSION (7.4.4)
_OTHER_VERSION = ((0, 0), (1, 0))
_DELETE_STRICT = 4
_GROUP_MOD, _METER_MOD, _GROUP_DESC, _METER_CONFIG = 15, 29, 7, 10
_DELETE_GROUP, _ALL_GROUPS, _DELETE_METER = 2, 0xFFFFFFFC, 2
_ALL_TABLES, _ANY, _NO_BUFFER = 0xFF, 0xFFFFFFFF, 0xFFFFFFFF
_PACKET_OUT, _CONTROLLER = 13, 0xFFFFFFFD  # OFPT_PACKET_OUT, OFPP_CONTROLLER
# OFPIT_WRITE_ACTIONS, OFPIT_APPLY_ACTIONS; OFPAT_OUTPUT, OFPAT_GROUP
_INSTRUCTIONS, _OUTPUT, _GROUP = (3, 4), 0, 22
_SENDS_ON = re.compile(r"output:|group:|FLOOD|ALL|NORMAL|IN_PORT|LOCAL")  # as ovs-ofctl prints it
_TOO_LONG = bytes(12) + b"\x88\xb5" + bytes(64_000)  # a local experimental EtherType
_HEADER = struct.Struct("!BBHI")  # version, type, length, number
_STATS = struct.Struct("!HBxIIHHHH4xQQQ")  # length, table, seconds, nanoseconds, priority, …


@dataclass(frozen=True)
class Flow:
    """A flow: its age in seconds, what it counted, and what names it: table, priority and match
    (7.2.2, with its padding). forwards: it sends frames on, and not to the controller alone."""

    age_s: float
    table: int
    priority: int
    packets: int
    match: bytes
    forwards: bool = False


@dataclass(frozen=True)
class Port:
    """A port: its number, its MAC address, and what it was told not to do (7.2.1, OFPPC_*)."""

    number: int
    mac: bytes
    config: int


def flows(bridge: str) -> list[Flow]:
    """The flows of a bridge. Raises LabError."""
    if bridge not in _by_program:
        try:
            with _Connection(bridge) as connection:
                return connection.flows()
        except _AnotherVersion:
            _by_program.add(bridge)
    return [
        Flow(flow.get("age_s", 0), flow.get("table", 0), flow["priority"], flow.get("packets", 0),
             flow["match"].encode(), bool(_SENDS_ON.search(flow["actions"])))
        for flow in tables.flows_of(bridge)
    ]  # fmt: skip


def remove(bridge: str, some: list[Flow]) -> None:
    """Take these flows away, and return when they are gone. Raises LabError."""
    if bridge not in _by_program:
        with _Connection(bridge) as connection:
            connection.remove(some)
        return
    for flow in some:
        words = [f"table={flow.table}", f"priority={flow.priority}", flow.match.decode()]
        tables.ask(bridge, "--strict", "del-flows", after=[",".join(filter(None, words))])


def open_ports(bridge: str, configs: Mapping[int, Port] | None = None) -> dict[int, Port]:
    """Have every port of a bridge forward, receive and hand to the controller, as at the beginning:
    a controller may have told some not to. Those that were told otherwise are returned, and are
    told so again when they are given as `configs`. A bridge that does not speak 1.3 is left as it
    is. Raises LabError."""
    if bridge in _by_program:
        return {}
    with _Connection(bridge) as connection:
        if configs is not None:
            connection.set_ports({number: port.config for number, port in configs.items()}, configs)
            return dict(configs)
        closed = {port.number: port for port in connection.ports() if port.config & _CLOSED}
        connection.set_ports(dict.fromkeys(closed, 0), closed)
        return closed


@dataclass(frozen=True)
class Taken:
    """What `take_groups` took away, as the messages that put it back: groups, meters, and the flows
    that were there with them."""

    groups: tuple[bytes, ...] = ()
    meters: tuple[bytes, ...] = ()
    flows: tuple[bytes, ...] = ()


def take_groups(bridge: str) -> Taken:
    """Take away all groups and meters of a bridge, and with them the flows that go through them
    (6.5, 6.4). A bridge that does not speak 1.3 is left as it is. Raises LabError."""
    try:
        with _Connection(bridge) as connection:
            return connection.take_groups()
    except _AnotherVersion:
        return Taken()


def put_groups(bridge: str, taken: Taken) -> None:
    """Give a bridge the groups and meters again that were taken from it. Raises LabError."""
    if taken.groups or taken.meters:
        with _Connection(bridge) as connection:
            connection.put_groups(taken)


def refuse_to_send(bridge: str, port: int) -> None:
    """Have a bridge try to send a frame by a port that is longer than any link takes: the kernel
    refuses it, so nobody sees it. Raises LabError."""
    with _Connection(bridge) as connection:
        connection.refuse_to_send(port)


_by_program: set[str] = set()  # bridges that do not speak OpenFlow 1.3


class _AnotherVersion(LabError):
    """A bridge has said hello, and that it does not speak our version."""


class _Connection:
    """One OpenFlow connection to a bridge; what goes wrong there is a LabError."""

    def __init__(self, bridge: str) -> None:
        self.bridge = bridge
        self._number = 0
        self._received = b""
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(ANSWER_S * patience())
        try:
            self._socket.connect(str(RUN / f"{bridge}.mgmt"))
        except OSError as error:
            self._socket.close()
            raise self._failure(
                say("it does not answer: {reason}", reason=reason_of(error))
            ) from error
        self._send(_HELLO)

    def __enter__(self) -> _Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def flows(self) -> list[Flow]:
        return [_parse(entry) for entry in self._flow_entries()]

    def _flow_entries(self) -> list[bytes]:
        """What the bridge says of each flow (7.3.5.2)."""
        wish = struct.pack("!HH4x", _FLOW_STATS, 0)
        wish += struct.pack("!B3xII4xQQ", _ALL_TABLES, _ANY, _ANY, 0, 0)
        wish += struct.pack("!HH4x", 1, 4)  # a match of nothing
        number = self._send(_MULTIPART_REQUEST, wish)
        entries: list[bytes] = []
        for kind, body in self._replies(number):
            if kind == _MULTIPART_REPLY:
                _, flags = struct.unpack_from("!HH", body)
                entries += _cut(body[8:])
                if not flags & _MORE:
                    return entries
        raise self._failure(term("it ended the connection"))

    def remove(self, some: list[Flow]) -> None:
        for flow in some:
            body = struct.pack("!QQBBHHHIIIH2x", 0, 0, flow.table, _DELETE_STRICT, 0, 0,
                               flow.priority, _NO_BUFFER, _ANY, _ANY, 0)  # fmt: skip
            self._send(_FLOW_MOD, body + flow.match)
        self._wait()

    def ports(self) -> list[Port]:
        number = self._send(_MULTIPART_REQUEST, struct.pack("!HH4x", _PORT_DESC, 0))
        ports: list[Port] = []
        for kind, body in self._replies(number):
            if kind == _MULTIPART_REPLY:
                _, flags = struct.unpack_from("!HH", body)
                entries = body[8 : 8 + (len(body) - 8) // _PORT.size * _PORT.size]
                ports += [Port(*values) for values in _PORT.iter_unpack(entries)]
                if not flags & _MORE:
                    return ports
        raise self._failure(term("it ended the connection"))

    def set_ports(self, configs: Mapping[int, int], ports: Mapping[int, Port]) -> None:
        for number, config in configs.items():
            mac = ports[number].mac
            self._send(_PORT_MOD, _PORT_CHANGE.pack(number, mac, config & _CLOSED, _CLOSED, 0))
        if configs:
            self._wait()

    def take_groups(self) -> Taken:
        groups = [
            self._message(_GROUP_MOD, struct.pack("!HBxI", 0, entry[2], number) + entry[8:])
            for entry, number in self._described(_GROUP_DESC)
        ]
        meters = [
            self._message(_METER_MOD, b"\0\0" + entry[2:])
            for entry, _ in self._described(_METER_CONFIG, struct.pack("!I4x", _ANY))
        ]
        if not groups and not meters:
            return Taken()
        whole = tuple(self._flow_messages())
        if groups:
            self._send(_GROUP_MOD, struct.pack("!HBxI", _DELETE_GROUP, 0, _ALL_GROUPS))
        if meters:
            self._send(_METER_MOD, struct.pack("!HHI", _DELETE_METER, 0, _ANY))
        self._wait()
        return Taken(tuple(groups), tuple(meters), whole)

    def put_groups(self, taken: Taken) -> None:
        # A group may send to one that comes later: what is refused at first is taken then.
        for message in (*taken.meters, *taken.groups, *taken.groups, *taken.flows):
            self._socket.sendall(message)
        with contextlib.suppress(LabError):
            self._wait()

    def _described(self, kind: int, wish: bytes = b"") -> Iterator[tuple[bytes, int]]:
        """What the bridge says of each group or meter (7.3.5.8, 7.3.5.15), with its number: length,
        type or flags, number, buckets or bands."""
        request = self._send(_MULTIPART_REQUEST, struct.pack("!HH4x", kind, 0) + wish)
        for answer, body in self._replies(request):
            if answer != _MULTIPART_REPLY:
                continue
            at = 8
            while at + 8 <= len(body):
                length, _, number = struct.unpack_from("!HHI", body, at)
                if length < 8:
                    break
                yield body[at : at + length], number
                at += length
            if not struct.unpack_from("!HH", body)[1] & _MORE:
                return
        raise self._failure(term("it ended the connection"))

    def _message(self, kind: int, body: bytes) -> bytes:
        return _HEADER.pack(_VERSION, kind, _HEADER.size + len(body), 0) + body

    def _flow_messages(self) -> Iterator[bytes]:
        """For each flow the flow-mod that makes it (7.3.4.1)."""
        for entry in self._flow_entries():
            _, table, _, _, priority, idle, hard, flags, cookie, _, _ = _STATS.unpack_from(entry)
            body = struct.pack("!QQBBHHHIIIH2x", cookie, 0, table, 0, idle, hard, priority,
                               _NO_BUFFER, _ANY, _ANY, flags)  # fmt: skip
            body += entry[_STATS.size :]
            yield self._message(_FLOW_MOD, body)

    def refuse_to_send(self, port: int) -> None:
        actions = struct.pack("!HHIH6x", 0, 16, port, 0)  # output (7.2.5)
        body = struct.pack("!IIH6x", _NO_BUFFER, _CONTROLLER, len(actions)) + actions
        self._send(_PACKET_OUT, body + _TOO_LONG)
        self._wait()

    def _wait(self) -> None:
        """Until the bridge has done what it was told."""
        number = self._send(_BARRIER_REQUEST)
        for kind, _ in self._replies(number):
            if kind == _BARRIER_REPLY:
                return
        raise self._failure(term("it ended the connection"))

    def _send(self, kind: int, body: bytes = b"") -> int:
        self._number += 1
        header = _HEADER.pack(_VERSION, kind, _HEADER.size + len(body), self._number)
        try:
            self._socket.sendall(header + body)
        except OSError as error:
            raise self._failure(
                say("it does not answer: {reason}", reason=reason_of(error))
            ) from error
        return self._number

    def _replies(self, number: int) -> Iterator[tuple[int, bytes]]:
        """The messages that answer that request, until the connection ends."""
        while True:
            while len(self._received) >= _HEADER.size:
                _, kind, length, to = _HEADER.unpack_from(self._received)
                if len(self._received) < length:
                    break
                body = self._received[_HEADER.size : length]
                self._received = self._received[max(length, _HEADER.size) :]
                if kind == _ERROR:
                    error_type, error_code = struct.unpack_from("!HH", body)
                    if (error_type, error_code) in _OTHER_VERSION:
                        raise _AnotherVersion(term("it speaks another OpenFlow"))
                    raise self._failure(
                        say(
                            "OpenFlow error of type {kind}, code {code}",
                            kind=error_type,
                            code=error_code,
                        )
                    )
                if kind == _ECHO_REQUEST:
                    self._send(_ECHO_REPLY, body)
                elif to == number:
                    yield kind, body
            try:
                data = self._socket.recv(1 << 18)
            except OSError as error:
                raise self._failure(
                    say("it does not answer: {reason}", reason=str(error))
                ) from error
            if not data:
                return
            self._received += data

    def _failure(self, text: str) -> LabError:
        return LabError(
            say(
                "the switch {switch} refused an OpenFlow request: {reason}",
                switch=self.bridge,
                reason=text,
            ),
            term("does the topology leave it OpenFlow13 in `protocols`? its log is in logs/"),
            Exit.LAB_DIED,
        )


def _cut(entries: bytes) -> Iterator[bytes]:
    """The entries of a reply, one by one; each begins with its own length."""
    at = 0
    while at + _STATS.size + 4 <= len(entries):
        length = int.from_bytes(entries[at : at + 2], "big")
        if length < _STATS.size:
            return  # a length that would never end
        yield entries[at : at + length]
        at += length


def _parse(entry: bytes) -> Flow:
    _, table, seconds, nano, priority, _, _, _, _, packets, _ = _STATS.unpack_from(entry)
    start = _STATS.size
    match = int.from_bytes(entry[start + 2 : start + 4], "big")  # 7.2.2: without its padding
    whole = (match + 7) // 8 * 8
    return Flow(seconds + nano / 1e9, table, priority, packets, entry[start : start + whole],
                any(_sends_on(entry, start + whole)))  # fmt: skip


def _sends_on(entry: bytes, at: int) -> Iterator[bool]:
    """Of each action of a flow (7.2.4, 7.2.5): whether it sends to a port or a group."""
    while at + 8 <= len(entry):
        instruction, length = struct.unpack_from("!HH", entry, at)
        action, end = at + 8, min(at + length, len(entry))
        while instruction in _INSTRUCTIONS and action + 8 <= end:
            kind, size, target = struct.unpack_from("!HHI", entry, action)
            yield kind == _GROUP or (kind == _OUTPUT and target != _CONTROLLER)
            action += max(size, 8)
        at += max(length, 8)
