# SPDX-License-Identifier: Apache-2.0
"""A socket whose other end speaks HTTP/1.1: bytes in, events out (h11), and back.

What lives here: reading and writing. What must not: what a request or a response is for.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import h11

PIECE = 65_536
MAX_HEAD = 65_536  # octets of a request's or a response's head

Fields = list[tuple[str, str]]


class Peer:
    """role: which side we are, h11.SERVER for a browser's connection, h11.CLIENT for a server's.

    heard: whether anything has come since the last request was sent. ended: the other end has
    closed. What is no HTTP raises h11.RemoteProtocolError, a broken connection OSError.
    """

    def __init__(self, sock: socket.socket, role: Any) -> None:
        self.sock = sock
        self.http = h11.Connection(role, max_incomplete_event_size=MAX_HEAD)
        self.heard = self.ended = False

    def event(self) -> Any:
        """The next event, once it has come."""
        while (event := self.http.next_event()) is h11.NEED_DATA:
            self._receive()
        return event

    def body(self) -> Iterator[bytes]:
        """The octets of a body, as many at a time as came together."""
        pieces: list[bytes] = []
        while True:
            event = self.http.next_event()
            if isinstance(event, h11.Data):
                pieces.append(bytes(event.data))
                continue
            if pieces:
                yield b"".join(pieces)
                pieces.clear()
            if event is not h11.NEED_DATA:
                return
            self._receive()

    def _receive(self) -> None:
        data = self.sock.recv(PIECE)
        self.heard = self.heard or bool(data)
        self.ended = not data
        self.http.receive_data(data)

    def send(self, event: Any) -> None:
        data = self.http.send(event)
        if data:
            self.sock.sendall(data)

    def rest(self) -> bytes:
        """What has come after the last message, for a protocol that takes over from here."""
        data, _ = self.http.trailing_data
        return bytes(data)

    def again(self) -> bool:
        """Make ready for the next request; whether this connection may carry one."""
        if self.http.our_state is not h11.DONE or self.http.their_state is not h11.DONE:
            return False
        self.http.start_next_cycle()
        self.heard = False
        return True


def fields(message: Any) -> Fields:
    """The header lines of a request or response, names as they were written."""
    lines = message.headers.raw_items()
    return [(name.decode("ascii"), value.decode("latin-1")) for name, value in lines]


def value(message: Any, name: str, default: str = "") -> str:
    """The value of the header `name` (in lower case); those of repeated ones joined."""
    values = [octets.decode("latin-1") for key, octets in message.headers if key == name.encode()]
    return ", ".join(values) if values else default


def options(message: Any) -> set[str]:
    """What the Connection header lists (RFC 9110 section 7.6.1)."""
    return {word.strip() for word in value(message, "connection").lower().split(",")} - {""}


def response_head(status: int, reason: str, headers: Fields) -> Any:
    """Status line and headers, as an event of h11."""
    kind = h11.InformationalResponse if status < 200 else h11.Response
    return kind(status_code=status, headers=octets(headers), reason=reason.encode("latin-1"))


def octets(headers: Fields) -> list[tuple[bytes, bytes]]:
    """As h11 wants them. A blank is left at the end where something was cut out of a value."""
    return [
        (name.encode("ascii"), text.strip(" \t").encode("latin-1", "replace"))
        for name, text in headers
    ]
