# SPDX-License-Identifier: Apache-2.0
"""Terminals on hosts, in a page: a shell in a pseudo-terminal of the lab's, and its bytes.

What lives here: bytes both ways, the size, the end. What must not: how a page draws them.

A page pays for what it is sent: a terminal sends as many bytes as the page has given it credit for,
and reads no more, so that a command that prints without end waits, and nothing grows.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import socket
import struct
import termios
from collections.abc import Awaitable, Callable
from typing import Any

from hoplab.client import commands, labs
from hoplab.errors import Exit, LabError
from hoplab.nearest import meant
from hoplab.sentences import say

SHELL = ["bash", "--norc", "-i"]
CREDIT = 1 << 17  # bytes that a terminal may send before the page pays
PIECE = 1 << 14
TYPED_MOST = 1 << 16  # bytes that wait for the terminal to take them
END_S = 3.0


class Terminal:
    """A shell on a host, for one page."""

    def __init__(self, number: int, lab: str, host: str, rows: int, columns: int) -> None:
        self.number = number
        self._handle = labs.find(lab)
        self._host = host
        self._size = rows, columns
        self._credit = CREDIT
        self._master = -1
        self._sock: socket.socket | None = None
        self._more = asyncio.Event()
        self._typed = b""

    def open(self) -> None:
        """Begin the shell. Blocks for a moment. Raises LabError."""
        names = [node["name"] for node in self._handle.state()["nodes"]]
        if self._host not in names:
            raise LabError(
                say("this lab has no host {host}", host=self._host),
                meant(self._host, names),
                Exit.NO_SUCH,
            )
        request = commands.request_for(self._host, SHELL)
        request["env"] |= {"PS1": f"{self._host}:\\w\\$ ", "TERM": "xterm-256color"}
        self._sock = self._handle.connect()
        self._master = commands.ask_for_terminal(self._handle, self._sock, request, self._size)
        os.set_blocking(self._master, False)

    async def pass_on(self, send: Callable[[bytes], Awaitable[None]]) -> int:
        """Send what it shows until it ends; the exit code of its shell."""
        loop = asyncio.get_running_loop()
        head = self.number.to_bytes(4, "big")
        while True:
            while self._credit <= 0:
                self._more.clear()
                await self._more.wait()
            readable = loop.create_future()
            loop.add_reader(self._master, _once, readable)
            try:
                await readable
            finally:
                loop.remove_reader(self._master)
            try:
                data = os.read(self._master, min(PIECE, self._credit))
            except BlockingIOError:
                continue
            except OSError:  # EIO: the last process has closed the terminal
                break
            if not data:
                break
            self._credit -= len(data)
            await send(head + data)
        return await asyncio.to_thread(self._exit_code)

    def _exit_code(self) -> int:
        assert self._sock is not None
        try:
            return int(labs.receive(self._sock, self._handle.name, END_S)["exit"])
        except LabError:
            return int(Exit.LAB_DIED)

    def pay(self, size: int) -> None:
        """The page has drawn so many bytes."""
        self._credit = min(self._credit + max(size, 0), CREDIT)
        self._more.set()

    def type(self, data: bytes) -> None:
        """Keys. What the terminal does not take waits; too much of it is lost, as in any."""
        self._typed = (self._typed + data)[:TYPED_MOST]
        self._write()

    def _write(self) -> None:
        if self._master < 0:
            return
        loop = asyncio.get_running_loop()
        loop.remove_writer(self._master)
        with contextlib.suppress(BlockingIOError):
            try:
                self._typed = self._typed[os.write(self._master, self._typed) :]
            except BlockingIOError:
                raise
            except OSError:
                self._typed = b""
        if self._typed:
            loop.add_writer(self._master, self._write)

    def resize(self, rows: int, columns: int) -> None:
        """The page shows it in another size."""
        if self._master >= 0 and self._sock is not None:
            size = struct.pack("HHHH", *(min(max(each, 1), 1000) for each in (rows, columns)), 0, 0)
            with contextlib.suppress(OSError):
                fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)
                labs.send(self._sock, {"signal": int(signal.SIGWINCH)})

    def close(self) -> None:
        """End the shell: the lab ends it when the connection ends."""
        if self._master >= 0:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._master)
            loop.remove_writer(self._master)
            os.close(self._master)
            self._master = -1
        if self._sock is not None:
            self._sock.close()


def _once(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def asked(message: dict[str, Any]) -> Terminal:
    """The terminal that a page asks for. Raises LabError, KeyError, ValueError."""
    return Terminal(
        int(message["id"]), str(message["lab"]), str(message["host"]), int(message["rows"]),
        int(message["cols"]),
    )  # fmt: skip
