# SPDX-License-Identifier: Apache-2.0
"""DHCP messages to records (RFC 2131, 2132, 3396).

What lives here: what one message says. What must not: which message answers which.
Rules: those of `packet`. Nothing raises, and what stands before a broken part is still there.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple

from hoplab.decode.packet import Packet, ipv4_text, mac_text

SERVER_PORT, CLIENT_PORT = 67, 68
BOOTREQUEST, BOOTREPLY = 1, 2

DISCOVER, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE, INFORM = range(1, 9)
# RFC 2132 section 9.6, as RFC 2131 writes them.
TYPES = {
    DISCOVER: "Discover", OFFER: "Offer", REQUEST: "Request", DECLINE: "Decline", ACK: "ACK",
    NAK: "NAK", RELEASE: "Release", INFORM: "Inform",
}  # fmt: skip
OF_SERVERS = frozenset((OFFER, ACK, NAK))

# Options (RFC 2132).
PAD, END = 0, 255
MASK, ROUTERS, DNS_SERVERS, HOST_NAME, DOMAIN = 1, 3, 6, 12, 15
REQUESTED, LEASE, OVERLOAD, TYPE, SERVER_ID, PARAMETERS, MESSAGE = 50, 51, 52, 53, 54, 55, 56
RENEWAL, REBINDING, CLIENT_ID = 58, 59, 61
FOREVER = 0xFFFFFFFF  # seconds of a lease that never ends

_COOKIE = b"\x63\x82\x53\x63"
_FIXED = 236  # bytes in front of the cookie
_unpack = Struct("!BBBBIHH4s4s4s4s16s64s128s").unpack_from


class Dhcp(NamedTuple):
    """One DHCP message, or one of BOOTP (`type` 0). Addresses that are not filled in are "".

    client_mac: for hardware other than Ethernet the address in the same form. yiaddr: the address
    that the client gets. server_id: which server is meant. requested: the address that is asked
    for. lease_s: None if it says nothing of a lease. message: what a server says beside a refusal.
    options: by their number, each with its bytes, in the order of the message.
    """

    op: int
    xid: int
    secs: int
    broadcast: bool
    ciaddr: str
    yiaddr: str
    siaddr: str
    giaddr: str
    client_mac: str
    type: int
    server_id: str
    requested: str
    lease_s: int | None
    message: str
    options: tuple[tuple[int, bytes], ...]
    problem: str

    @property
    def type_text(self) -> str:
        """'Discover', 'Offer', …"""
        return TYPES.get(self.type, f"type {self.type}" if self.type else "BOOTP")

    def option(self, code: int) -> bytes | None:
        """The bytes of an option, None if it is not there."""
        return dict(self.options).get(code)


def read(packet: Packet) -> Dhcp | None:
    """The DHCP message in a UDP packet from or to its ports, else None."""
    udp = packet.udp
    if udp is None or not {udp.sport, udp.dport} & {SERVER_PORT, CLIENT_PORT}:
        return None
    return parse(packet.payload)


def parse(data: bytes) -> Dhcp | None:
    """The DHCP message that DATA is, None if it is none. Never raises."""
    if len(data) < _FIXED or data[0] not in (BOOTREQUEST, BOOTREPLY):
        return None
    fixed = _unpack(data)
    op, _hardware, size, _hops, xid, secs, flags = fixed[:7]
    ciaddr, yiaddr, siaddr, giaddr, hardware_address, sname, file = fixed[7:]
    options: dict[int, bytes] = {}
    problem = ""
    cookie = data[_FIXED : _FIXED + 4]
    if cookie == _COOKIE:
        problem = _take(options, data[_FIXED + 4 :])
        # RFC 2132 section 9.3: options may go on in fields that are of no use otherwise.
        overload = options.get(OVERLOAD, b"\0")[:1]
        if overload in (b"\1", b"\3"):
            problem = _take(options, file) or problem
        if overload in (b"\2", b"\3"):
            problem = _take(options, sname) or problem
    elif cookie and _COOKIE.startswith(cookie):
        problem = "the options are cut"
    lease = options.get(LEASE, b"")
    return Dhcp(
        op,
        xid,
        secs,
        bool(flags & 0x8000),
        _address(ciaddr),
        _address(yiaddr),
        _address(siaddr),
        _address(giaddr),
        mac_text(hardware_address[: min(size, 16) or 6]),
        int.from_bytes(options.get(TYPE, b"")[:1], "big"),
        _address(options.get(SERVER_ID, b"")),
        _address(options.get(REQUESTED, b"")),
        int.from_bytes(lease, "big") if len(lease) == 4 else None,
        options.get(MESSAGE, b"").decode("utf-8", "replace").rstrip("\0"),
        tuple(options.items()),
        problem,
    )


def addresses(value: bytes) -> list[str]:
    """The addresses that an option of several holds; what is cut is left out."""
    return [ipv4_text(value[at : at + 4]) for at in range(0, len(value) - 3, 4)]


def split(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Each option of an options field: where it stands from and up to, its number and its bytes.
    What ends too soon is given with the bytes that are there."""
    at = 0
    while at < len(data):
        code = data[at]
        if code in (PAD, END):
            yield at, at + 1, code, b""
            if code == END:
                return
            at += 1
            continue
        size = data[at + 1] if at + 1 < len(data) else 0
        end = min(at + 2 + size, len(data))
        yield at, end, code, data[at + 2 : end]
        at += 2 + size


def _take(options: dict[int, bytes], field: bytes) -> str:
    """Puts the options of a field to the others. Parts of one option are joined (RFC 3396).
    Returns what is wrong, "" if nothing is."""
    code = PAD
    for at, end, code, value in split(field):
        if code not in (PAD, END):
            options[code] = options.get(code, b"") + value
            if end - at < 2 or end - at - 2 < field[at + 1]:
                return "an option is cut"
    return "" if code == END else "the options have no end"


def _address(raw: bytes) -> str:
    return ipv4_text(raw) if len(raw) == 4 and any(raw) else ""
