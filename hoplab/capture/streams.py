# SPDX-License-Identifier: Apache-2.0
"""What switches say on connections of our own, kept beside the frames, each message with its time.

A message of OpenFlow bears its length in its third and fourth byte (7.1), and more than that is not
read here. A thread waits for them, so that each is stamped when it comes, whatever the recorder is
at; what it gathers is taken by `take`.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import time

from hoplab.capture.pcapng_format import Note
from hoplab.capture.pcapng_writer import pack_note

_HEAD = 8
_AT_A_TIME = 1 << 18


class Streams:
    """Connections and what came on them. `fileno` becomes readable when there is something."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._sockets: dict[int, tuple[socket.socket, str, str]] = {}
        self._rests: dict[int, bytearray] = {}
        self._blocks: list[bytes] = []
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._thread: threading.Thread | None = None

    def fileno(self) -> int:
        return self._wake

    def add(self, sock: socket.socket, topic: str, source: str, since_ns: int) -> None:
        """Keep what comes here, under that topic and the name of who says it. An empty note says
        since when one could speak, which is a moment before anybody could hear it here."""
        self._blocks.append(pack_note(Note(since_ns, topic, source, b"")))
        sock.setblocking(False)
        number = sock.fileno()
        self._sockets[number] = sock, topic, source
        self._rests[number] = bytearray()
        self._epoll.register(number, select.EPOLLIN)
        if self._thread is None:
            self._thread = threading.Thread(target=self._listen, daemon=True)
            self._thread.start()

    def take(self) -> bytes:
        """What has come since, as blocks of the file."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake)
        blocks = self._blocks[:]  # the thread may append one meanwhile: that stays
        del self._blocks[: len(blocks)]
        return b"".join(blocks)

    def _listen(self) -> None:
        while True:
            ready = self._epoll.poll()
            now_ns = time.time_ns()
            for number, _ in ready:
                self._read(number, now_ns)
            os.eventfd_write(self._wake, 1)

    def _read(self, number: int, now_ns: int) -> None:
        sock, topic, source = self._sockets[number]
        try:
            data = sock.recv(_AT_A_TIME)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._epoll.unregister(number)
            sock.close()
            return
        rest = self._rests[number]
        rest += data
        while len(rest) >= _HEAD:
            size = int.from_bytes(rest[2:4], "big")
            if size < _HEAD:
                rest.clear()
            elif len(rest) < size:
                return
            else:
                message = bytes(rest[:size])
                del rest[:size]
                self._blocks.append(pack_note(Note(now_ns, topic, source, message)))
