# SPDX-License-Identifier: Apache-2.0
"""What of QUIC can be read without a key: long headers, and which connection a short one is of.

What lives here: the invariants of all versions (RFC 8999), the packet types of version 1 (RFC 9000
section 17.2) and version 2 (RFC 9369 section 3.2). What must not: anything sealed.
Rules: those of `packet`. Nothing raises.
"""

from __future__ import annotations

from typing import NamedTuple

NEGOTIATION = 0
VERSION_1, VERSION_2 = 0x00000001, 0x6B3343CF
_TYPES = {
    VERSION_1: ("Initial", "0-RTT", "Handshake", "Retry"),
    VERSION_2: ("Retry", "Initial", "0-RTT", "Handshake"),
}
_LONGEST_ID = 20  # bytes, in every version that is known (RFC 9000 section 17.2)
_MOST_PACKETS = 8  # of one datagram that are read


class Quic(NamedTuple):
    """One packet with a long header. type: 'Initial', '0-RTT', 'Handshake', 'Retry', or 'Version
    Negotiation'; "" where the version is not known. dcid, scid: the connection ids, of whom it is
    for and of who sent it. versions: what a Version Negotiation offers."""

    version: int
    type: str
    dcid: bytes
    scid: bytes
    versions: tuple[int, ...] = ()

    @property
    def version_text(self) -> str:
        """'v1', 'draft-29', '0x1a2a3a4a'."""
        return version_text(self.version)


def version_text(version: int) -> str:
    """The name of a version."""
    if version in _TYPES:
        return "v1" if version == VERSION_1 else "v2"
    if version >> 8 == 0xFF0000:
        return f"draft-{version & 0xFF}"
    return f"0x{version:08x}"


def known(version: int) -> bool:
    """Whether it is the number of a version, of a draft, or one of those that are sent to keep
    versions exchangeable (RFC 9000 section 15)."""
    reserved = version & 0x0F0F0F0F == 0x0A0A0A0A
    return version in _TYPES or version >> 8 == 0xFF0000 or reserved


def parse(data: bytes) -> list[Quic]:
    """The packets with long headers that a datagram begins with; none if it is not QUIC, or begins
    with a short header, which looks like anything."""
    packets: list[Quic] = []
    at = 0
    while len(packets) < _MOST_PACKETS and at < len(data):
        header = _long(data, at)
        if header is None:
            break
        packet, end = header
        packets.append(packet)
        following = _end(data, packet, end)
        if following is None:
            break
        at = following
    return packets


def _long(data: bytes, at: int) -> tuple[Quic, int] | None:
    """A long header from `at`, and where what all versions share ends (RFC 8999 section 5.1)."""
    if len(data) < at + 7 or not data[at] & 0x80:
        return None
    version = int.from_bytes(data[at + 1 : at + 5], "big")
    if version != NEGOTIATION and not (known(version) and data[at] & 0x40):
        return None
    dcid = _id(data, at + 5)
    scid = _id(data, dcid[1]) if dcid is not None else None
    if dcid is None or scid is None:
        return None
    end = scid[1]
    if version == NEGOTIATION:
        offered = _offered(data[end:])
        negotiation = Quic(version, "Version Negotiation", dcid[0], scid[0], offered)
        return (negotiation, len(data)) if offered else None
    types = _TYPES.get(VERSION_1 if version >> 8 == 0xFF0000 else version)
    kind = types[data[at] >> 4 & 3] if types is not None else ""
    return Quic(version, kind, dcid[0], scid[0]), end


def _id(data: bytes, at: int) -> tuple[bytes, int] | None:
    """A connection id behind its length, and where it ends; None if it is cut, or longer than any
    is."""
    size = data[at] if at < len(data) else _LONGEST_ID + 1
    end = at + 1 + size
    return (data[at + 1 : end], end) if size <= _LONGEST_ID and end <= len(data) else None


def _offered(data: bytes) -> tuple[int, ...]:
    """The versions that a negotiation offers; none where they do not look like any."""
    offered = tuple(int.from_bytes(data[at : at + 4], "big") for at in range(0, len(data), 4))
    whole = data and len(data) % 4 == 0
    return offered if whole and any(known(version) for version in offered) else ()


def _end(data: bytes, packet: Quic, at: int) -> int | None:
    """Where the packet ends, hence the next one of the datagram begins (RFC 9000 section 12.2);
    None if it does not say, or says more than there is."""
    if packet.type == "Initial":
        token = _number(data, at)
        if token is None:
            return None
        at = token[1] + token[0]
    elif packet.type not in ("0-RTT", "Handshake"):
        return None
    length = _number(data, at)
    if length is None or length[1] + length[0] > len(data):
        return None
    return length[1] + length[0]


def _number(data: bytes, at: int) -> tuple[int, int] | None:
    """A number of variable length and where it ends (RFC 9000 section 16); None if it is cut."""
    if at >= len(data):
        return None
    size = 1 << (data[at] >> 6)
    if at + size > len(data):
        return None
    value = int.from_bytes(data[at : at + size], "big")
    return value & ((1 << (8 * size - 2)) - 1), at + size
