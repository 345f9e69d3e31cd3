# SPDX-License-Identifier: Apache-2.0
"""Frames made by hand, byte by byte, for tests. What must not live here: anything of hoplab.

Addresses are given as text or as bytes.
"""

from __future__ import annotations

import socket
import struct

BROADCAST = "ff:ff:ff:ff:ff:ff"
FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10
TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "AAAA": 28}


def mac(address: str | bytes) -> bytes:
    return address if isinstance(address, bytes) else bytes.fromhex(address.replace(":", ""))


def ip(address: str | bytes) -> bytes:
    return address if isinstance(address, bytes) else socket.inet_aton(address)


def eth(dst: str | bytes, src: str | bytes, kind: int, payload: bytes) -> bytes:
    return mac(dst) + mac(src) + struct.pack("!H", kind) + payload


def arp(
    op: int,
    sender_mac: str | bytes,
    sender_ip: str | bytes,
    target_mac: str | bytes,
    target_ip: str | bytes,
) -> bytes:
    head = struct.pack("!HHBBH", 1, 0x0800, 6, 4, op)
    return head + mac(sender_mac) + ip(sender_ip) + mac(target_mac) + ip(target_ip)


def checksum(data: bytes) -> int:
    """RFC 1071."""
    if len(data) % 2:
        data += b"\0"
    total = sum(int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(
    src: str | bytes,
    dst: str | bytes,
    protocol: int,
    payload: bytes,
    ttl: int = 64,
    ident: int = 1,
    *,
    frag: int = 0x4000,
    tos: int = 0,
) -> bytes:
    """frag: flags and offset; by default the packet must not be fragmented."""
    head = struct.pack(
        "!BBHHHBBH4s4s",
        0x45,
        tos,
        20 + len(payload),
        ident,
        frag,
        ttl,
        protocol,
        0,
        ip(src),
        ip(dst),
    )
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def udp(sport: int, dport: int, payload: bytes) -> bytes:
    """Without a checksum."""
    return struct.pack("!HHHH", sport, dport, 8 + len(payload), 0) + payload


def tcp(
    sport: int,
    dport: int,
    seq: int,
    ack: int,
    flags: int,
    payload: bytes = b"",
    sum_: int = 0,
    window: int = 64240,
) -> bytes:
    """sum_: the checksum, made up."""
    head = (sport, dport, seq, ack, 0x50, flags, window, sum_, 0)
    return struct.pack("!HHIIBBHHH", *head) + payload


def icmp(kind: int, code: int, rest: int, body: bytes = b"") -> bytes:
    head = struct.pack("!BBHI", kind, code, 0, rest)
    return head[:2] + struct.pack("!H", checksum(head + body)) + head[4:] + body


def echo(request: bool, ident: int, seq: int, body: bytes = b"hoplab!!") -> bytes:
    return icmp(8 if request else 0, 0, ident << 16 | seq, body)


def dns_name(name: str) -> bytes:
    labels = [label for label in name.split(".") if label]
    return b"".join(bytes([len(label)]) + label.encode() for label in labels) + b"\0"


def record(name: str, kind: str, value: str) -> bytes:
    data = {
        "A": lambda: ip(value),
        "AAAA": lambda: socket.inet_pton(socket.AF_INET6, value),
        "SOA": lambda: dns_name(value) + dns_name("admin." + value) + struct.pack("!5I", *[60] * 5),
    }.get(kind, lambda: dns_name(value))()
    return dns_name(name) + struct.pack("!HHIH", TYPES[kind], 1, 60, len(data)) + data


Records = list[tuple[str, str, str]]


def dns(
    ident: int,
    name: str,
    kind: str = "A",
    *,
    answer: bool = False,
    answers: Records | None = None,
    authority: Records | None = None,
    additional: Records | None = None,
    rcode: int = 0,
    authoritative: bool = False,
) -> bytes:
    flags = (0x8000 if answer else 0) | (0x0400 if authoritative else 0) | 0x0100 | rcode
    parts = [answers or [], authority or [], additional or []]
    out = struct.pack("!HHHHHH", ident, flags, 1, *(len(part) for part in parts))
    out += dns_name(name) + struct.pack("!HH", TYPES[kind], 1)
    return out + b"".join(record(*fields) for part in parts for fields in part)
