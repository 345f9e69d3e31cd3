# SPDX-License-Identifier: Apache-2.0
"""OpenFlow as it is on the wire: messages out of a byte stream, and what they say.

Read are 1.3, what 1.2, 1.4 and 1.5 have like it or otherwise, and 1.0 (`openflow10.py`), all told
in the words of 1.3. Of 1.1 the heads alone are read.

What lives here: the head of every message, and the inside of those that say what became of a
frame: packet-in, packet-out, flow-mod, features reply, role request, and the bundle messages that
carry others.
Section numbers are those of OpenFlow Switch Specification 1.3.5. What must not: TCP, switches'
names, what a message means for a lab.

Nothing here raises for bytes from a network: what cannot be read is left out, and a message that
ends too early has `problem`.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from struct import Struct
from struct import error as StructError

from hoplab.decode import openflow10
from hoplab.decode.frame_fields import frame_fields

HEAD = 8  # bytes of ofp_header (7.1)
VERSION = 4  # on the wire; 1.3
READ = frozenset((1, 3, 4, 5, 6))  # versions whose messages are read
_V10, _V12, _V14, _V15 = 1, 3, 5, 6
NO_BUFFER = 0xFFFFFFFF

# Reserved port numbers (7.2.1).
PORTS = {
    0xFFFFFFF8: "IN_PORT",
    0xFFFFFFF9: "TABLE",
    0xFFFFFFFA: "NORMAL",
    0xFFFFFFFB: "FLOOD",
    0xFFFFFFFC: "ALL",
    0xFFFFFFFD: "CONTROLLER",
    0xFFFFFFFE: "LOCAL",
    0xFFFFFFFF: "ANY",
}
FLOODING = ("FLOOD", "ALL", "NORMAL")

_TYPES = {
    0: "hello",
    1: "error",
    2: "echo-request",
    3: "echo-reply",
    4: "experimenter",
    5: "features-request",
    6: "features-reply",
    10: "packet-in",
    11: "flow-removed",
    12: "port-status",
    13: "packet-out",
    14: "flow-mod",
    15: "group-mod",
    18: "multipart-request",
    19: "multipart-reply",
    20: "barrier-request",
    21: "barrier-reply",
    24: "role-request",
    25: "role-reply",
    29: "meter-mod",
    33: "bundle-control",
    34: "bundle-add",
}
VERSIONS = {1: "1.0", 2: "1.1", 3: "1.2", 4: "1.3", 5: "1.4", 6: "1.5"}  # as on the wire
REASONS = {0: "no-match", 1: "action", 2: "invalid-ttl"}  # 7.4.1
REMOVED = ("idle", "hard", "delete", "group-delete")  # 7.4.2
ROLES = {1: "equal", 2: "master", 3: "slave"}  # 7.3.9
COMMANDS = ("add", "modify", "modify-strict", "delete", "delete-strict")  # 7.3.4.1

# OXM fields of the basic class (7.2.3.7) that speak of frames: name, how to show it.
_FIELDS = {
    0: ("in_port", "number"),
    1: ("in_phy_port", "number"),
    2: ("metadata", "hex"),
    3: ("eth_dst", "mac"),
    4: ("eth_src", "mac"),
    5: ("eth_type", "hex"),
    6: ("vlan_vid", "vlan"),
    7: ("vlan_pcp", "number"),
    8: ("ip_dscp", "number"),
    9: ("ip_ecn", "number"),
    10: ("ip_proto", "number"),
    11: ("ipv4_src", "ip"),
    12: ("ipv4_dst", "ip"),
    13: ("tcp_src", "number"),
    14: ("tcp_dst", "number"),
    15: ("udp_src", "number"),
    16: ("udp_dst", "number"),
    17: ("sctp_src", "number"),
    18: ("sctp_dst", "number"),
    19: ("icmpv4_type", "number"),
    20: ("icmpv4_code", "number"),
    21: ("arp_op", "number"),
    22: ("arp_spa", "ip"),
    23: ("arp_tpa", "ip"),
    24: ("arp_sha", "mac"),
    25: ("arp_tha", "mac"),
    26: ("ipv6_src", "ip"),
    27: ("ipv6_dst", "ip"),
    28: ("ipv6_flabel", "number"),
    29: ("icmpv6_type", "number"),
    30: ("icmpv6_code", "number"),
    31: ("ipv6_nd_target", "ip"),
    32: ("ipv6_nd_sll", "mac"),
    33: ("ipv6_nd_tll", "mac"),
    34: ("mpls_label", "number"),
    35: ("mpls_tc", "number"),
    36: ("mpls_bos", "number"),
    38: ("tunnel_id", "hex"),
}
_TAGGED = 0x10  # of the first byte of a VLAN number: there is a tag (OFPVID_PRESENT)
_ANY = 0xFFFFFFFF  # port or group
_BASIC = 0x8000
_READ = {name for name, _ in _FIELDS.values()} - {
    "in_phy_port", "metadata", "tunnel_id", "ipv6_nd_target", "ipv6_nd_sll", "ipv6_nd_tll",
}  # fmt: skip
# ONF extension 230, and what 1.4 has in its place
_ONF, _BUNDLE_CONTROL, _BUNDLE_ADD, _COMMIT = 0x4F4E4600, 2300, 2301, 4
_ANY_TABLE = 0xFF

_head = Struct("!BBHI").unpack_from
_u32 = Struct("!I").unpack_from
_u64 = Struct("!Q").unpack_from
_oxm = Struct("!HBB").unpack_from
_pair = Struct("!HH").unpack_from
_question = Struct("!IHBB").unpack_from
_packet_out = Struct("!IIH").unpack_from
_flow_mod = Struct("!QQBBHHHIIIH").unpack_from
_flow_removed = Struct("!QHBBIIHH").unpack_from


@dataclass(slots=True)
class Match:
    """Field name -> value, and mask where there is one."""

    fields: dict[str, bytes] = field(default_factory=dict)
    masks: dict[str, bytes] = field(default_factory=dict)

    @property
    def in_port(self) -> int | None:
        raw = self.fields.get("in_port")
        return int.from_bytes(raw, "big") if raw is not None else None

    @property
    def key(self) -> frozenset[tuple[str, bytes, bytes | None]]:
        """The same for matches that differ only in the order of their fields, which is the
        sender's to choose (7.2.3.3 but for prerequisites)."""
        return frozenset((name, raw, self.masks.get(name)) for name, raw in self.fields.items())

    def takes(self, in_port: int | None, frame: bytes) -> bool | None:
        """Whether it takes a frame; None if it asks for something that is not read here."""
        parts = frame_fields(in_port, frame)
        unsure = False
        for name, wanted in self.fields.items():
            real = parts.get(name)
            if real is None:
                if name in _READ and (name != "in_port" or in_port is not None):
                    return False  # the frame has no such field
                unsure = True
                continue
            mask = self.masks.get(name, b"\xff" * len(wanted))
            if any((a ^ b) & m for a, b, m in zip(real, wanted, mask, strict=False)):
                return False
        return None if unsure else True

    def __str__(self) -> str:
        """'in_port=1, eth_src=02:00:00:00:00:01', 'any frame'."""
        words = []
        for name, raw in self.fields.items():
            mask = self.masks.get(name)
            if name == "vlan_vid" and (mask or not raw[0] & _TAGGED):
                # "Any tag" and "no tag" are said by a bit that stands beside the number.
                shown = [f"0x{value.hex()}" for value in (raw, mask) if value]
                words.append(f"{name}={'/'.join(shown)}")
                continue
            text = _shown(name, raw)
            words.append(f"{name}={text}" + (f"/{_shown(name, mask)}" if mask else ""))
        return ", ".join(words) or "any frame"


@dataclass(slots=True)
class Message:
    """One message. What does not apply stays as it is by default.

    kind: a word such as 'packet-in'; 'type-N' for one that is not known.
    ports: where it sends the frame, as words: '3', 'FLOOD', 'CONTROLLER', 'group:7'; of a flow-mod,
        where its flow will. only: of a deletion, to flows that send there, None for all; grouped:
        or to those of a group. table_next: the table that the flow goes on to.
    reason: why a packet-in came, or a flow was removed (a word of `REMOVED`).
    idle_s, hard_s: the time-outs of a flow, 0 for none. lasted_s: how long a removed one was there.
    data: the frame inside a packet-in or packet-out, or the beginning of the message that an error
        is about. error: its type and code. inner: the message inside a bundle.
    actions: of a packet-out, as they are on the wire. bundle: the number of the bundle that a
        message is added to or that is committed (commit), None if it is about none.
    raw: the whole message.
    """

    kind: str
    xid: int
    version: int
    length: int
    buffer_id: int = NO_BUFFER
    in_port: int | None = None
    data: bytes = b""
    total: int = 0
    reason: str = ""
    table: int | None = None
    cookie: int | None = None
    match: Match | None = None
    ports: tuple[str, ...] = ()
    table_next: int | None = None
    command: str = ""
    only: str | None = None
    grouped: bool = False
    priority: int = 0
    dpid: int | None = None
    cookie_mask: int = 0
    idle_s: int = 0
    hard_s: int = 0
    lasted_s: float = 0.0
    role: str = ""
    generation: int | None = None
    inner: Message | None = None
    error: tuple[int, int] | None = None
    actions: bytes = b""
    bundle: int | None = None
    commit: bool = False
    raw: bytes = b""
    problem: str = ""

    @property
    def floods(self) -> bool:
        """It sends frames to every port."""
        return any(port in FLOODING for port in self.ports)


def split(stream: bytearray) -> Iterator[bytes]:
    """Takes whole messages off the front of a stream. Bytes that can be no message are dropped up
    to the next ones that can (a stream that was joined in its middle)."""
    while len(stream) >= HEAD:
        version, kind, length, _ = _head(stream, 0)
        if not 1 <= version <= 6 or kind > 35 or length < HEAD:
            del stream[0]
            continue
        if len(stream) < length:
            return
        message = bytes(stream[:length])
        del stream[:length]
        yield message


def decode(data: bytes) -> Message:
    """The message in these bytes, which begin with its head."""
    if len(data) < HEAD:
        return Message("short", 0, 0, len(data), problem="shorter than a head")
    version, kind, length, xid = _head(data, 0)
    types = {**_TYPES, **openflow10.TYPES} if version == _V10 else _TYPES
    message = Message(types.get(kind, f"type-{kind}"), xid, version, length)
    message.raw = data[:length]
    if version not in READ and message.kind not in ("features-reply", "error"):
        return message  # the head is the same in all versions, the rest is not; but for these two
    readers = _READERS_OF_1_0 if version == _V10 else _READERS
    reader = readers.get(message.kind)
    if reader is not None:
        try:
            reader(message, data[:length])
        except (IndexError, ValueError, ArithmeticError, StructError) as error:
            message.problem = f"cut or broken: {error}"
    return message


def _read_error(message: Message, data: bytes) -> None:
    """7.4.4, the same in every version: type, code, at least 64 bytes of what was refused."""
    message.error = _pair(data, 8)
    message.data = data[12:]


def _read_packet_in(message: Message, data: bytes) -> None:
    """7.4.1: buffer, length of the whole frame, reason, table, cookie (since 1.3), match, two
    zeros, frame."""
    message.buffer_id, message.total, reason, message.table = _question(data, 8)
    at = 16
    if message.version > _V12:
        message.cookie, at = _u64(data, at)[0], 24
    message.reason = REASONS.get(reason, str(reason))
    message.match, at = read_match(data, at)
    message.in_port = message.match.in_port
    message.data = data[at + 2 :]


def _read_packet_out(message: Message, data: bytes) -> None:
    """7.3.7: buffer, in-port, length of the actions, actions, frame (if no buffer holds it). In 1.5
    a match stands between, in place of the port."""
    message.buffer_id, in_port, size = _packet_out(data, 8)
    at = 24
    if message.version >= _V15:
        size = in_port >> 16
        match, at = read_match(data, 16)
        in_port = match.in_port or _ANY
    message.in_port = None if in_port in PORTS else in_port
    message.ports = tuple(_actions(data, at, min(at + size, len(data))))
    message.actions = data[at : at + size]
    message.data = data[at + size :]


def _read_flow_mod(message: Message, data: bytes) -> None:
    """7.3.4.1: cookie, mask, table, command, timeouts, priority, buffer, out-port and -group,
    flags; match, instructions."""
    cookie, mask, table, command, idle, hard, priority, *rest = _flow_mod(data, 8)
    buffer_id, out_port, out_group, _ = rest
    message.cookie, message.table, message.priority = cookie, table, priority
    message.cookie_mask, message.idle_s, message.hard_s = mask, idle, hard
    message.buffer_id = buffer_id
    message.only = None if out_port == _ANY else PORTS.get(out_port, str(out_port))
    message.grouped = out_group != _ANY
    message.command = COMMANDS[command] if command < len(COMMANDS) else str(command)
    message.match, at = read_match(data, 48)
    ports: list[str] = []
    while at + 4 <= len(data):
        kind, size = _pair(data, at)  # 7.2.4
        if size < 8:
            break
        if kind == 1:
            message.table_next = data[at + 4]
        elif kind in (3, 4):  # write-actions, apply-actions
            ports += _actions(data, at + 8, min(at + size, len(data)))
        at += size
    message.ports = tuple(ports)


def _read_flow_removed(message: Message, data: bytes) -> None:
    """7.4.2: cookie, priority, reason, table, how long it lasted, timeouts, counters, match."""
    cookie, priority, reason, table, seconds, nanoseconds, idle, hard = _flow_removed(data, 8)
    message.cookie, message.priority, message.table = cookie, priority, table
    message.reason = REMOVED[reason] if reason < len(REMOVED) else str(reason)
    message.lasted_s = seconds + nanoseconds / 1e9
    message.idle_s, message.hard_s = idle, hard
    message.match, _ = read_match(data, 48)


def _read_features(message: Message, data: bytes) -> None:
    """7.3.1; in every version it begins with the id."""
    message.dpid = _u64(data, 8)[0]


def _read_role(message: Message, data: bytes) -> None:
    """7.3.9: role, four bytes of padding, generation."""
    message.role = ROLES.get(_u32(data, 8)[0], "")
    message.generation = _u64(data, 16)[0]


def _read_experimenter(message: Message, data: bytes) -> None:
    """7.5.4, and ONF extension 230: a message to add to a bundle stands behind id and flags."""
    experimenter, kind = _u32(data, 8)[0], _u32(data, 12)[0]
    if experimenter == _ONF and kind == _BUNDLE_ADD and len(data) >= 24 + HEAD:
        message.bundle = _u32(data, 16)[0]
        _read_inner(message, data[24:])
    elif experimenter == _ONF and kind == _BUNDLE_CONTROL and len(data) >= 24:
        message.bundle, control = _u32(data, 16)[0], _pair(data, 20)[0]
        message.commit = control == _COMMIT


def _read_inner(message: Message, inside: bytes) -> None:
    """The message in a bundle. Never deeper than one: a bundle in a bundle is no message of the
    specification."""
    if inside[1] not in (4, 33, 34):
        message.inner = decode(inside)


def _read_bundle(message: Message, data: bytes) -> None:
    """1.4, 7.3.9: number of the bundle, what to do with it."""
    message.bundle, control = _u32(data, 8)[0], _pair(data, 12)[0]
    message.commit = control == _COMMIT


def _read_bundle_add(message: Message, data: bytes) -> None:
    """1.4, 7.3.9.6: number of the bundle, flags, the message to add."""
    message.bundle = _u32(data, 8)[0]
    _read_inner(message, data[16:])


def _read_packet_in_1_0(message: Message, data: bytes) -> None:
    message.buffer_id, message.total, port, reason, message.data = openflow10.packet_in(data)
    message.reason = REASONS.get(reason, str(reason))
    message.table, message.cookie = 0, 0
    message.match = Match({"in_port": openflow10.wide(port).to_bytes(4, "big")})
    message.in_port = message.match.in_port


def _read_packet_out_1_0(message: Message, data: bytes) -> None:
    message.buffer_id, port, message.actions, message.data = openflow10.packet_out(data)
    message.in_port = None if port in PORTS else port
    message.ports = _ports_of_1_0(message.actions, 0, len(message.actions))


def _read_flow_mod_1_0(message: Message, data: bytes) -> None:
    cookie, command, idle, hard, priority, buffer_id, port, _ = openflow10.flow_mod(data)
    message.match = Match(*openflow10.match(data, 8))
    message.cookie, message.table, message.buffer_id = cookie, 0, buffer_id
    message.priority = 0xFFFF if openflow10.exact(data, 8) else priority
    message.idle_s, message.hard_s = idle, hard
    port = openflow10.wide(port)
    message.command = COMMANDS[command] if command < len(COMMANDS) else str(command)
    if message.command.startswith("delete"):
        message.table = _ANY_TABLE
        message.only = None if port in (_ANY, 0) else PORTS.get(port, str(port))
    message.ports = _ports_of_1_0(data, 72, len(data))


def _read_flow_removed_1_0(message: Message, data: bytes) -> None:
    cookie, priority, reason, seconds, nanoseconds, idle = openflow10.flow_removed(data)
    message.match = Match(*openflow10.match(data, 8))
    message.cookie, message.priority, message.table = cookie, priority, 0
    message.reason = REMOVED[reason] if reason < len(REMOVED) else str(reason)
    message.lasted_s = seconds + nanoseconds / 1e9
    message.idle_s = idle


def _ports_of_1_0(data: bytes, at: int, end: int) -> tuple[str, ...]:
    return tuple(PORTS.get(port, str(port)) for port in openflow10.ports(data, at, end))


_READERS_OF_1_0 = {
    "error": _read_error,
    "packet-in": _read_packet_in_1_0,
    "packet-out": _read_packet_out_1_0,
    "flow-mod": _read_flow_mod_1_0,
    "flow-removed": _read_flow_removed_1_0,
    "features-reply": _read_features,
}
_READERS = {
    "error": _read_error,
    "packet-in": _read_packet_in,
    "packet-out": _read_packet_out,
    "flow-mod": _read_flow_mod,
    "flow-removed": _read_flow_removed,
    "features-reply": _read_features,
    "role-request": _read_role,
    "experimenter": _read_experimenter,
    "bundle-control": _read_bundle,
    "bundle-add": _read_bundle_add,
}


def read_match(data: bytes, at: int) -> tuple[Match, int]:
    """The match that begins at byte `at`, and where it ends with its padding (7.2.3)."""
    match = Match()
    kind, length = _pair(data, at)
    end = min(at + length, len(data))
    after = at + (length + 7) // 8 * 8
    at += 4
    while kind == 1 and at + 4 <= end:
        group, number, size = _oxm(data, at)
        value = data[at + 4 : min(at + 4 + size, end)]
        at += 4 + size
        name, _ = _FIELDS.get(number >> 1, (f"field{number >> 1}", ""))
        if group != _BASIC:
            name = f"field{group:x}.{number >> 1}"
        if number & 1:
            half = len(value) // 2
            match.masks[name] = value[half:]
            value = value[:half]
        match.fields[name] = value
    return match, after


def _actions(data: bytes, at: int, end: int) -> Iterator[str]:
    """The ports and groups that a list of actions sends to (7.2.5, 7.2.5.1: output is type 0,
    group 22)."""
    while at + 8 <= end:
        kind, size = _pair(data, at)
        if size < 8:
            return
        if kind == 0:
            number = _u32(data, at + 4)[0]
            yield PORTS.get(number, str(number))
        elif kind == 22:
            yield f"group:{_u32(data, at + 4)[0]}"
        at += size


def _shown(name: str, raw: bytes) -> str:
    how = next((how for known, how in _FIELDS.values() if known == name), "hexes")
    if how == "mac":
        return raw.hex(":")
    if how == "ip" and len(raw) == 4:
        return ".".join(map(str, raw))
    if how == "ip" and len(raw) == 16:
        return socket.inet_ntop(socket.AF_INET6, raw)
    if how == "vlan":
        return str(int.from_bytes(raw, "big") & 0xFFF)
    if how == "hex":
        return f"0x{raw.hex()}"
    return str(int.from_bytes(raw, "big")) if how == "number" else raw.hex()
