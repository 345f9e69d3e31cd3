# SPDX-License-Identifier: Apache-2.0
"""What of TLS can be read on the wire: the hellos, and then only how much was sent.

Bytes to records; no guess about what is inside. Sources: the record layer and the hellos of RFC
8446 (TLS 1.3) sections 4.1, 4.2 and 5.1, the server's name of RFC 6066 section 3, ALPN of RFC 7301.
"""

from __future__ import annotations

from typing import NamedTuple

CHANGE_CIPHER, ALERT, HANDSHAKE, DATA = 20, 21, 22, 23
CLIENT_HELLO, SERVER_HELLO = 1, 2
_VERSIONS = {0x0301: "TLS 1.0", 0x0302: "TLS 1.1", 0x0303: "TLS 1.2", 0x0304: "TLS 1.3"}
# The suites of TLS 1.3 (RFC 8446 section B.4); others are shown by number.
_CIPHERS = {
    0x1301: "AES-128-GCM",
    0x1302: "AES-256-GCM",
    0x1303: "ChaCha20-Poly1305",
}


class Tls(NamedTuple):
    """What the records that begin in a segment say.

    what: 'client-hello', 'server-hello', 'handshake', 'alert' or 'data', by the first record.
    server_name: whom the client wants, readable by everybody (SNI). version, cipher: what the
    server chose, or the newest version that the client offers. length: bytes in all.
    """

    what: str
    server_name: str = ""
    version: str = ""
    cipher: str = ""
    length: int = 0


def parse(data: bytes) -> Tls | None:
    """The TLS records that DATA begins with, else None. Never raises."""
    if len(data) < 6 or data[0] not in (CHANGE_CIPHER, ALERT, HANDSHAKE, DATA):
        return None
    if data[1] != 3 or data[2] > 4:
        return None
    size = int.from_bytes(data[3:5], "big")
    if not 0 < size <= 16_640:  # RFC 8446 section 5.2: 2^14 and 256
        return None
    if data[0] == DATA:
        return Tls("data", length=len(data))
    if data[0] == ALERT:
        return Tls("alert", length=len(data))
    if data[0] == HANDSHAKE and data[5] in (CLIENT_HELLO, SERVER_HELLO):
        try:
            return _hello(data[5 : 5 + size], len(data))
        except (IndexError, ValueError):
            pass
    return Tls("handshake", length=len(data))


class _Cursor:
    """Reads on; raises IndexError at the end."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        piece = self.data[self.at : self.at + count]
        if len(piece) < count:
            raise IndexError
        self.at += count
        return piece

    def number(self, count: int) -> int:
        return int.from_bytes(self.take(count), "big")

    def vector(self, width: int) -> bytes:
        """Bytes after their length, which has so many bytes itself."""
        return self.take(self.number(width))


def _hello(message: bytes, length: int) -> Tls:
    """A ClientHello or ServerHello (RFC 8446 sections 4.1.2 and 4.1.3)."""
    cursor = _Cursor(message)
    from_client = cursor.number(1) == CLIENT_HELLO
    cursor.take(3)  # its length; a hello that continues in another segment is read as far as it is
    version = cursor.number(2)
    cursor.take(32)  # random
    cursor.vector(1)  # session
    cipher = 0
    if from_client:
        cursor.vector(2)
        cursor.vector(1)
    else:
        cipher = cursor.number(2)
        cursor.take(1)
    name = ""
    try:
        extensions = _Cursor(message[cursor.at + 2 :])
        while extensions.at < len(extensions.data):
            kind, body = extensions.number(2), extensions.vector(2)
            if kind == 0 and from_client:  # server_name: a list of (type 0, name)
                name = body[5:].decode("ascii", "replace")
            elif kind == 43:  # supported_versions
                offered = body[1:] if from_client else body
                pairs = [
                    int.from_bytes(offered[i : i + 2], "big") for i in range(0, len(offered), 2)
                ]
                version = max((one for one in pairs if one in _VERSIONS), default=version)
    except IndexError:
        pass  # the rest is in the next segment
    what = "client-hello" if from_client else "server-hello"
    known = _CIPHERS.get(cipher, f"cipher suite 0x{cipher:04x}") if cipher else ""
    return Tls(what, name, _VERSIONS.get(version, f"TLS 0x{version:04x}"), known, length)
