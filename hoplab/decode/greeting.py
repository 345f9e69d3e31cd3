# SPDX-License-Identifier: Apache-2.0
"""The protocol that the first bytes of a connection belong to, and bytes shown to a reader.

What lives here: beginnings that no other protocol has. What must not: ports, which prove nothing.
"""

from __future__ import annotations

import re

from hoplab.decode.http import PREFACE_2

SMTP_OR_FTP = "SMTP or FTP"  # both begin alike

# What the client says first (RFC 9113 3.4, RFC 1945 4.1 and appendix A, RFC 5321, RFC 8446).
_CLIENT = (
    (re.compile(re.escape(PREFACE_2)), "HTTP/2"),
    (re.compile(rb"GET [^ \r\n]+\r?\n"), "HTTP/0.9"),
    (re.compile(rb"(EHLO|HELO) "), "SMTP"),
    (re.compile(rb"\x16\x03[\x00-\x04]"), "TLS"),
)
# What the server says first (SETTINGS of RFC 9113 3.4; RFC 4253 4.2, RFC 1939, RFC 3501, RFC 6143,
# RFC 5321 and RFC 959).
_SERVER = (
    (re.compile(rb"\x00\x00[\x00-\xff]\x04[\x00\x01]\x00\x00\x00\x00", re.DOTALL), "HTTP/2"),
    (re.compile(rb"SSH-[0-9.]+-"), "SSH"),
    (re.compile(rb"\+OK"), "POP3"),
    (re.compile(rb"\* (OK|PREAUTH) "), "IMAP"),
    (re.compile(rb"RFB \d{3}\.\d{3}\n"), "VNC"),
    (re.compile(rb"220[ -]"), SMTP_OR_FTP),
)


def of_client(data: bytes) -> str:
    """The protocol that a client begins like this, "" if the bytes do not tell."""
    return next((name for beginning, name in _CLIENT if beginning.match(data)), "")


def of_server(data: bytes) -> str:
    """The protocol that a server begins like this, "" if the bytes do not tell."""
    return next((name for beginning, name in _SERVER if beginning.match(data)), "")


def shown(data: bytes, limit: int = 40) -> str:
    """The beginning of some bytes: as text where they are text, else in hexadecimal."""
    text = data[: limit * 4].decode("utf-8", "ignore")
    line = " ".join(text.split())
    if line and line.isprintable() and len(text.encode()) > len(data[: limit * 4]) - 4:
        return f'"{line[: limit - 1]}…"' if len(line) > limit else f'"{line}"'
    return data[:12].hex(" ") + (" …" if len(data) > 12 else "")
