# SPDX-License-Identifier: Apache-2.0
"""A WebSocket to the server of `hoplab web`, spoken by hand: what a page sends and is sent."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    Ping,
    RejectConnection,
    Request,
    TextMessage,
)

from hoplab.wait import patience

WITHIN_S = 20.0


class SocketClient:
    """messages: those that nobody has asked for yet, in their order. data: bytes by terminal."""

    def __init__(self, port: int, token: str, headers: Mapping[str, str] | None = None) -> None:
        head = {"Host": f"127.0.0.1:{port}", **(headers or {})}
        self.messages: list[dict[str, Any]] = []
        self.data: dict[int, bytes] = {}
        self.status: int | None = None
        self._text = ""
        self._sock = socket.create_connection(("127.0.0.1", port), 10)
        self._ws = WSConnection(ConnectionType.CLIENT)
        request = Request(
            host=head.pop("Host"),
            target="/ws",
            subprotocols=["hoplab.v1", f"token.{token}"],
            extra_headers=[(name.encode(), text.encode()) for name, text in head.items()],
        )
        self._sock.sendall(self._ws.send(request))

    def __enter__(self) -> SocketClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()

    def send(self, **message: Any) -> None:
        """A message of the page's."""
        self._sock.sendall(self._ws.send(TextMessage(json.dumps(message))))

    def type(self, terminal: int, text: str) -> None:
        """Keys pressed in a terminal."""
        data = terminal.to_bytes(4, "big") + text.encode()
        self._sock.sendall(self._ws.send(BytesMessage(data)))

    def refused(self) -> int | None:
        """The status by which the server refused the connection, None if it took it."""
        self._wait(lambda: self.status is not None)
        return self.status if self.status != 101 else None

    def until(
        self, kind: str, fits: Callable[[dict[str, Any]], Any] = lambda message: True
    ) -> dict[str, Any]:
        """The next message of this type that fits; those before it stay for others. A batch is
        paid for as it comes, so that another one may follow."""
        found: list[dict[str, Any]] = []

        def look() -> bool:
            for message in self.messages:
                if message["type"] == kind and fits(message):
                    found.append(message)
                    self.messages.remove(message)
                    return True
            return False

        self._wait(look)
        return found[0]

    def shown(self, terminal: int, text: str) -> str:
        """What a terminal has shown, once this is in it."""
        self._wait(lambda: text.encode() in self.data.get(terminal, b""))
        return self.data[terminal].decode(errors="replace")

    def _wait(self, until: Callable[[], bool]) -> None:
        deadline = time.monotonic() + WITHIN_S * patience()
        while not until():
            left = deadline - time.monotonic()
            kinds = [message["type"] for message in self.messages]
            assert left > 0, f"it did not come; what came: {kinds}"
            self._sock.settimeout(left)
            data = self._sock.recv(1 << 16)
            self._ws.receive_data(data or None)
            for event in self._ws.events():
                self._take(event)
            assert data or until(), f"the server has closed; what came: {kinds}"

    def _take(self, event: Any) -> None:
        if isinstance(event, AcceptConnection):
            self.status = 101
        elif isinstance(event, RejectConnection):
            self.status = event.status_code
        elif isinstance(event, Ping):
            self._sock.sendall(self._ws.send(event.response()))
        elif isinstance(event, BytesMessage):
            data = bytes(event.data)
            number = int.from_bytes(data[:4], "big")
            self.data[number] = self.data.get(number, b"") + data[4:]
        elif isinstance(event, TextMessage):
            self._text += event.data
            if event.message_finished:
                message = json.loads(self._text)
                self._text = ""
                self.messages.append(message)
                if message["type"] == "batch":
                    self.send(type="credit", batch=message["batch"])
