# SPDX-License-Identifier: Apache-2.0
"""What of TLS can be read on the wire: the hellos, an alert that comes before there is a key, and
then only how much was sent.

Bytes to records; no guess about what is inside. Sources: the record layer, the hellos and the
alerts of RFC 8446 (TLS 1.3) sections 4.1, 4.2, 5.1 and 6, the server's name of RFC 6066 section 3,
ALPN of RFC 7301.
"""

from __future__ import annotations

from typing import NamedTuple

from hoplab.sentences import say, term

CHANGE_CIPHER, ALERT, HANDSHAKE, DATA = 20, 21, 22, 23
CLIENT_HELLO, SERVER_HELLO, CERTIFICATE = 1, 2, 11
_LONGEST_HANDSHAKE = 1 << 17  # bytes that are kept; a chain of certificates has some thousand
_VERSIONS = {0x0301: "TLS 1.0", 0x0302: "TLS 1.1", 0x0303: "TLS 1.2", 0x0304: "TLS 1.3"}
# The suites of TLS 1.3 (RFC 8446 section B.4), and those of versions before it that are in use, as
# OpenSSL calls them; others are shown by number.
_CIPHERS = {
    0x002F: "AES128-SHA",
    0x0033: "DHE-RSA-AES128-SHA",
    0x0035: "AES256-SHA",
    0x0039: "DHE-RSA-AES256-SHA",
    0x003C: "AES128-SHA256",
    0x003D: "AES256-SHA256",
    0x0067: "DHE-RSA-AES128-SHA256",
    0x006B: "DHE-RSA-AES256-SHA256",
    0x009C: "AES128-GCM-SHA256",
    0x009D: "AES256-GCM-SHA384",
    0x009E: "DHE-RSA-AES128-GCM-SHA256",
    0x009F: "DHE-RSA-AES256-GCM-SHA384",
    0xC009: "ECDHE-ECDSA-AES128-SHA",
    0xC00A: "ECDHE-ECDSA-AES256-SHA",
    0xC013: "ECDHE-RSA-AES128-SHA",
    0xC014: "ECDHE-RSA-AES256-SHA",
    0xC023: "ECDHE-ECDSA-AES128-SHA256",
    0xC024: "ECDHE-ECDSA-AES256-SHA384",
    0xC027: "ECDHE-RSA-AES128-SHA256",
    0xC028: "ECDHE-RSA-AES256-SHA384",
    0xC02B: "ECDHE-ECDSA-AES128-GCM-SHA256",
    0xC02C: "ECDHE-ECDSA-AES256-GCM-SHA384",
    0xC02F: "ECDHE-RSA-AES128-GCM-SHA256",
    0xC030: "ECDHE-RSA-AES256-GCM-SHA384",
    0xCCA8: "ECDHE-RSA-CHACHA20-POLY1305",
    0xCCA9: "ECDHE-ECDSA-CHACHA20-POLY1305",
    0xCCAA: "DHE-RSA-CHACHA20-POLY1305",
    0x1301: "AES-128-GCM",
    0x1302: "AES-256-GCM",
    0x1303: "ChaCha20-Poly1305",
    0x1304: "AES-128-CCM",
    0x1305: "AES-128-CCM-8",
}


# RFC 8446 section 6; those that say what ends a lesson's fetch. Others are shown by number.
_ALERTS: dict[int, str] = {
    0: term("close notify"),
    10: term("unexpected message"),
    20: term("bad record MAC"),
    22: term("record overflow"),
    40: term("handshake failure"),
    42: term("bad certificate"),
    43: term("unsupported certificate"),
    44: term("certificate revoked"),
    45: term("certificate expired"),
    46: term("certificate unknown"),
    47: term("illegal parameter"),
    48: term("unknown CA"),
    49: term("access denied"),
    50: term("decode error"),
    51: term("decrypt error"),
    70: term("protocol version"),
    71: term("insufficient security"),
    80: term("internal error"),
    86: term("inappropriate fallback"),
    90: term("user canceled"),
    109: term("missing extension"),
    110: term("unsupported extension"),
    112: term("unrecognized name"),
    113: term("bad certificate status response"),
    115: term("unknown PSK identity"),
    116: term("certificate required"),
    120: term("no application protocol"),
}
# Codes of alerts (RFC 8446 section 6) by which a story tells what was wrong.
UNEXPECTED, BAD_MAC, OVERFLOW, NO_HANDSHAKE, ILLEGAL = 10, 20, 22, 40, 47
UNKNOWN_CA, DECODE, DECRYPT, NO_VERSION, TOO_WEAK, INTERNAL = 48, 50, 51, 70, 71, 80
NO_NAME, CERTIFICATE_WANTED, NO_PROTOCOL = 112, 116, 120
CERTIFICATE_ALERTS = frozenset((42, 43, 44, 45, 46, UNKNOWN_CA))


class Tls(NamedTuple):
    """What the records that begin in a segment say.

    what: 'client-hello', 'server-hello', 'handshake', 'alert' or 'data', by the first record.
    server_name: whom the client wants, readable by everybody (SNI). version, cipher: what the
    server chose, or the newest version that the client offers. length: bytes in all. alert: what an
    alert says that is not sealed. cut: of a ClientHello, that it goes on behind these bytes; what
    stands there is "" then.
    """

    what: str
    server_name: str = ""
    version: str = ""
    cipher: str = ""
    length: int = 0
    alert: str = ""
    cut: bool = False


def alert_text(body: bytes) -> str:
    """What the body of an alert record says; "" for one that is sealed."""
    if len(body) != 2 or body[0] not in (1, 2):
        return ""
    return _ALERTS.get(body[1], say("number {n}", n=body[1]))


class Records:
    """One direction of a connection, read on from record to record.

    sealed: bytes of records of application data, which are all that is sealed in TLS 1.3, with
    their heads. alert, alert_code: what the first alert says that can be read, in words and by its
    number (-1: there is none). certificate: the bytes of the first one that is shown in the open,
    as before TLS 1.3; b"" if there is none. Never raises.
    """

    def __init__(self) -> None:
        self.sealed = 0
        self.alert = ""
        self.alert_code = -1
        self.certificate = b""
        self._handshake = b""  # messages that may go on in another record
        self._open = True  # they are to be read on: nothing is sealed yet, and nothing is missing
        self._head = b""
        self._body = b""
        self._kind = self._left = 0
        self._lost = False  # where records begin is not known any more

    def take(self, data: bytes, missing: int = 0) -> None:
        """The next bytes, and how many more were sent that nobody captured."""
        while data and not self._lost:
            if not self._left:
                data = self._begin(data)
            else:
                piece, data = data[: self._left], data[self._left :]
                self._go_on(len(piece), piece)
        if missing and not self._lost:
            inside = min(missing, self._left)  # of the record that has begun
            self._go_on(inside, b"")
            missing -= inside
            self._lost = missing > 0
        if self._lost:
            self.sealed += len(data) + missing

    def _begin(self, data: bytes) -> bytes:
        """Reads on in a record's head. Returns what follows it."""
        take = 5 - len(self._head)
        self._head += data[:take]
        if len(self._head) == 5:
            self._kind, self._left = self._head[0], int.from_bytes(self._head[3:], "big")
            self._lost = not CHANGE_CIPHER <= self._kind <= DATA or self._head[1] != 3
            self.sealed += 5 * (self._kind == DATA)
            self._head = self._body = b""
        return data[take:]

    def _go_on(self, size: int, piece: bytes) -> None:
        self._left -= size
        if self._kind == DATA:
            self.sealed += size
        elif self._kind == HANDSHAKE:
            self._read_handshake(size, piece)
        elif self._kind == CHANGE_CIPHER:
            self._open, self._handshake = False, b""
        elif self._kind == ALERT and not self.alert:
            self._body += piece[:3]
            if not self._left:
                self.alert = alert_text(self._body)
                self.alert_code = self._body[1] if self.alert else -1

    def _read_handshake(self, size: int, piece: bytes) -> None:
        """Looks for the message with certificates (RFC 5246 section 7.4.2)."""
        if not self._open:
            return
        self._handshake += piece
        self._open = len(piece) == size and len(self._handshake) <= _LONGEST_HANDSHAKE
        while len(self._handshake) >= 4:
            length = int.from_bytes(self._handshake[1:4], "big")
            if len(self._handshake) < 4 + length:
                break
            kind, message = self._handshake[0], self._handshake[4 : 4 + length]
            self._handshake = self._handshake[4 + length :]
            if kind == CERTIFICATE:
                first = int.from_bytes(message[3:6], "big")
                self.certificate = message[6 : 6 + first]
                self._open = False
        if not self._open:
            self._handshake = b""


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
        return Tls("alert", length=len(data), alert=alert_text(data[5 : 5 + size]))
    if data[0] == HANDSHAKE and data[5] in (CLIENT_HELLO, SERVER_HELLO):
        cut = data[5] == CLIENT_HELLO and len(data) < 5 + size
        try:
            return _hello(data[5 : 5 + size], len(data), cut)
        except (IndexError, ValueError):
            if cut:
                return Tls("client-hello", length=len(data), cut=True)
    return Tls("handshake", length=len(data))


def may_begin_hello(data: bytes) -> bool:
    """Whether these, however few, can be the first bytes of a ClientHello that goes on behind
    them."""
    begins = data[:1] == b"\x16" and data[1:2] in (b"", b"\3") and data[2:3] <= b"\4"
    if not begins or data[5:6] not in (b"", b"\1"):
        return False
    return len(data) < 5 or len(data) < 5 + int.from_bytes(data[3:5], "big") <= 5 + 16_640


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


def _hello(message: bytes, length: int, cut: bool) -> Tls:
    """A ClientHello or ServerHello (RFC 8446 sections 4.1.2 and 4.1.3); cut: its end is not here.
    Raises IndexError if nothing can be said of it."""
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
    name, offers = "", False
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
                version = max((pair for pair in pairs if pair in _VERSIONS), default=version)
                offers = True
    except IndexError:
        pass  # the rest is in the next segment
    what = "client-hello" if from_client else "server-hello"
    suite = _CIPHERS.get(cipher, f"cipher suite 0x{cipher:04x}") if cipher else ""
    # Without that extension the field before it counts, but it may be in what is not here.
    text = _VERSIONS.get(version, f"TLS 0x{version:04x}") if offers or not cut else ""
    return Tls(what, name, text, suite, length, cut=cut)
