# SPDX-License-Identifier: Apache-2.0
"""X.509 certificates to records (RFC 5280, in the DER of ITU-T X.690).

What lives here: for whom a certificate is, who signed it, and how long it holds. What must not:
whether its signature is right, or whom anybody trusts.
Rules: those of `packet`. Nothing raises; what cannot be read is left out.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import NamedTuple

_SEQUENCE, _SET, _OID, _OCTETS = 0x30, 0x31, 0x06, 0x04
_UTC_TIME, _TIME = 0x17, 0x18
_VERSION, _EXTENSIONS = 0xA0, 0xA3
_DNS_NAME, _IP_ADDRESS = 0x82, 0x87
_COMMON_NAME, _ORGANISATION = b"\x55\x04\x03", b"\x55\x04\x0a"
_ALTERNATIVE_NAMES = b"\x55\x1d\x11"
_MOST_NAMES = 100


class Certificate(NamedTuple):
    """names: those of hosts and addresses that it is for, or the subject's name where it says none.
    issuer: who signed it, "" if that has no name. not_before, not_after: seconds since 1970, None
    if they cannot be read. self_signed: it says that its subject signed it."""

    names: tuple[str, ...]
    issuer: str
    not_before: int | None
    not_after: int | None
    self_signed: bool


class _Broken(Exception):
    """A value ends too soon."""


def parse(data: bytes) -> Certificate | None:
    """The certificate that DATA begins with, None if it is none."""
    try:
        return _parse(data)
    except (_Broken, StopIteration):
        return None


def _parse(data: bytes) -> Certificate | None:
    tag, whole = next(_values(data))
    if tag != _SEQUENCE:
        return None
    tag, signed = next(_values(whole))
    if tag != _SEQUENCE:
        return None
    parts = _values(signed)
    tag, _ = next(parts)
    if tag == _VERSION:
        next(parts)  # the serial number, which stands first where no version does
    next(parts)  # the algorithm
    issuer, validity, subject = (next(parts)[1] for _ in range(3))
    names: list[str] = []
    for kind, value in parts:
        if kind == _EXTENSIONS:
            names = _alternative_names(value)
    times = [_time(kind, value) for kind, value in _values(validity)]
    if not names:
        names = [name for name in [_name(subject)] if name]
    return Certificate(
        tuple(names),
        _name(issuer),
        times[0] if times else None,
        times[1] if len(times) > 1 else None,
        issuer == subject,
    )


def _values(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of one value after the other. Raises _Broken where one is cut."""
    at = 0
    while at + 2 <= len(data):
        tag, size = data[at], data[at + 1]
        at += 2
        if size & 0x80:
            count = size & 0x7F
            if not 0 < count <= 4 or at + count > len(data):
                raise _Broken
            size = int.from_bytes(data[at : at + count], "big")
            at += count
        if at + size > len(data):
            raise _Broken
        yield tag, data[at : at + size]
        at += size


def _name(data: bytes) -> str:
    """The common name in a distinguished name, else the organisation, else ""."""
    attributes: dict[bytes, str] = {}
    for kind, one_of in _values(data):
        for _, attribute in _values(one_of) if kind == _SET else ():
            pair = list(_values(attribute))
            if len(pair) == 2 and pair[0][0] == _OID:
                attributes.setdefault(pair[0][1], pair[1][1].decode("utf-8", "replace"))
    return attributes.get(_COMMON_NAME) or attributes.get(_ORGANISATION) or ""


def _alternative_names(data: bytes) -> list[str]:
    names: list[str] = []
    for _, extensions in _values(data):
        for _, extension in _values(extensions):
            parts = list(_values(extension))
            if not parts or parts[0] != (_OID, _ALTERNATIVE_NAMES) or parts[-1][0] != _OCTETS:
                continue
            for _, general_names in _values(parts[-1][1]):
                names += filter(None, (_general(*each) for each in _values(general_names)))
    return names[:_MOST_NAMES]


def _general(kind: int, value: bytes) -> str:
    if kind == _DNS_NAME:
        return value.decode("ascii", "replace")
    if kind == _IP_ADDRESS and len(value) in (4, 16):
        return str(ipaddress.ip_address(value))
    return ""


def _time(kind: int, value: bytes) -> int | None:
    """Seconds since 1970 (RFC 5280 section 4.1.2.5: two digits of a year are those up to 2049)."""
    text = value.decode("ascii", "replace")
    if kind == _UTC_TIME:
        text = ("20" if text[:2] < "50" else "19") + text
    elif kind != _TIME:
        return None
    try:
        moment = datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=timezone.utc)
    except ValueError:
        return None
    return int(moment.timestamp())
