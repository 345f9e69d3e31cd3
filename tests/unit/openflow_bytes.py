# SPDX-License-Identifier: Apache-2.0
"""OpenFlow 1.3 messages made by hand, byte by byte, for tests: nothing of hoplab is in here."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

FLOOD, CONTROLLER, NO_BUFFER = 0xFFFFFFFB, 0xFFFFFFFD, 0xFFFFFFFF


def message(kind: int, body: bytes, xid: int = 0) -> bytes:
    return struct.pack("!BBHI", 4, kind, 8 + len(body), xid) + body


def match(fields: Mapping[int, bytes], masked: Mapping[int, tuple[bytes, bytes]]) -> bytes:
    body = b"".join(
        struct.pack("!HBB", 0x8000, number << 1, len(value)) + value
        for number, value in fields.items()
    )
    for number, (value, mask) in masked.items():
        body += struct.pack("!HBB", 0x8000, number << 1 | 1, 2 * len(value)) + value + mask
    raw = struct.pack("!HH", 1, 4 + len(body)) + body
    return raw + bytes(-len(raw) % 8)


def output(port: int) -> bytes:
    return struct.pack("!HHIH6x", 0, 16, port, 0xFFFF)


def packet_in(frame: bytes, in_port: int, table: int = 0, cookie: int = 0,
              buffer_id: int = NO_BUFFER, xid: int = 0, reason: int = 0) -> bytes:  # fmt: skip
    head = struct.pack("!IHBBQ", buffer_id, len(frame), reason, table, cookie)
    where = match({0: in_port.to_bytes(4, "big")}, {})
    return message(10, head + where + bytes(2) + frame, xid)


def packet_out(frame: bytes, in_port: int, ports: Sequence[int],
               buffer_id: int = NO_BUFFER) -> bytes:  # fmt: skip
    actions = b"".join(output(port) for port in ports)
    head = struct.pack("!IIH6x", buffer_id, in_port, len(actions))
    return message(13, head + actions + frame, 1)


def flow_mod(table: int, fields: Mapping[int, bytes], ports: Sequence[int] = (),
             goto: int | None = None, masked: Mapping[int, tuple[bytes, bytes]] | None = None,
             command: int = 0, priority: int = 1, buffer_id: int = NO_BUFFER,
             idle: int = 0, hard: int = 0, only: int = 0xFFFFFFFF) -> bytes:  # fmt: skip
    head = struct.pack("!QQBBHHHIIIH2x", 0, 0, table, command, idle, hard, priority, buffer_id,
                       only, 0xFFFFFFFF, 0)  # fmt: skip
    body = b""
    if ports:
        actions = b"".join(output(port) for port in ports)
        body += struct.pack("!HH4x", 4, 8 + len(actions)) + actions
    if goto is not None:
        body += struct.pack("!HHB3x", 1, 8, goto)
    return message(14, head + match(fields, masked or {}) + body, 2)


def flow_removed(table: int, fields: Mapping[int, bytes], reason: int, priority: int = 1,
                 idle: int = 0, hard: int = 0) -> bytes:  # fmt: skip
    head = struct.pack("!QHBBIIHHQQ", 0, priority, reason, table, 7, 5, idle, hard, 1, 60)
    return message(11, head + match(fields, {}))


def features(dpid: int) -> bytes:
    return message(6, struct.pack("!QIBB2xII", dpid, 256, 254, 0, 0, 0))


def bundled(inner: bytes) -> bytes:
    return message(4, struct.pack("!IIIHH", 0x4F4E4600, 2301, 1, 0, 3) + inner)


def role(role_number: int, generation: int) -> bytes:
    return message(24, struct.pack("!I4xQ", role_number, generation))
