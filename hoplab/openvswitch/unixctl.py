# SPDX-License-Identifier: Apache-2.0
"""Questions to an ovs-vswitchd on its control socket, thousands a second: one connection for all.

What ovs-appctl(8) says in a process of its own (JSON-RPC 1.0 over a unix socket) is said here on a
connection that stays.
"""

from __future__ import annotations

import json
import socket
from pathlib import Path

from hoplab.wait import patience

ANSWER_S = 10.0


class Refused(Exception):
    """The daemon could not do what it was asked; its own words."""


class Control:
    """A connection to the control socket of a daemon. Raises OSError if it does not answer."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(ANSWER_S * patience())
        try:
            self._socket.connect(str(path))
        except OSError:
            self._socket.close()
            raise
        self._decoder = json.JSONDecoder()
        self._received = b""
        self._number = 0

    def __enter__(self) -> Control:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def ask(self, method: str, *arguments: str) -> str:
        """What the daemon answers to a question. Raises Refused, OSError."""
        self._number += 1
        question = {"id": self._number, "method": method, "params": list(arguments)}
        self._socket.sendall(json.dumps(question).encode())
        while True:
            # An answer is one object, and nothing follows it before the next question.
            if self._received.endswith(b"}"):
                try:
                    answer = self._decoder.decode(self._received.decode())
                except ValueError:
                    pass
                else:
                    self._received = b""
                    if answer.get("error"):
                        raise Refused(str(answer["error"]))
                    return str(answer["result"])
            data = self._socket.recv(1 << 20)
            if not data:
                raise ConnectionError("the daemon ended the connection")
            self._received += data
