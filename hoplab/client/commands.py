# SPDX-License-Identifier: Apache-2.0
"""Commands on a lab's hosts: heard, passed through, or in a terminal of their own.

What lives here: a command's streams and the signals that are for it. What must not: what its frames
tell, and who asked for it.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

from hoplab import wait
from hoplab.client import labs
from hoplab.client.interrupts import heeded
from hoplab.errors import LabError
from hoplab.sentences import say, term
from hoplab.service.spec import LARGEST_MESSAGE

MOST_OUTPUT = 1 << 20  # bytes of a command's output that are kept: half of them its first ones


class TimedOut(LabError):
    """The command had not ended in time; `output` is what it printed."""

    output = ""


class Interrupts:
    """Ctrl-C, or a polite request to end, while a command runs: the first goes to the command, so
    that there is a story of what was; the second is a KeyboardInterrupt, as it is before the
    command has been asked for."""

    def __init__(self) -> None:
        self.count = 0
        self._begun = False
        self._command: socket.socket | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        for number in heeded((signal.SIGINT, signal.SIGTERM)):
            self._before[number] = signal.signal(number, self._caught)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def goes_to(self, command: socket.socket | None) -> None:
        """From now on the first goes to the command at the other end; None: it has ended."""
        self._begun = True
        self._command = command

    def _caught(self, number: int, frame: object) -> None:
        self.count += 1
        if self.count > 1 or not self._begun:
            raise KeyboardInterrupt
        if self._command is not None:
            labs.send(self._command, {"signal": number})  # read once the command has started


def run_on(
    handle: labs.Handle,
    host: str,
    argv: Sequence[str],
    *,
    echo: Callable[[str], None] | None = None,
    show: bool = False,
    timeout_s: float | None = None,
    interrupts: Interrupts | None = None,
) -> tuple[int, str]:
    """Run a command on a host; its exit code and what it printed on stdout and stderr together.

    echo: called with each line that it prints. show: it goes to our stdout and stderr, too.
    Raises TimedOut when it does not end within `timeout_s`.
    """
    printed = _Printed(echo, show)
    with open(os.devnull, "rb") as null, handle.connect() as sock:
        if interrupts is not None:
            interrupts.goes_to(sock)
        request = request_for(host, argv)
        try:
            labs.send(sock, request, (null.fileno(), *printed.write_ends))
        finally:
            printed.begin()
        labs.receive(sock, handle.name)
        try:
            code = labs.receive(sock, handle.name, timeout_s)["exit"]
        except labs.NoAnswer:
            labs.send(sock, {"signal": int(signal.SIGKILL)})
            late = TimedOut(
                say("the command on {host} has not ended after {s:g} s", host=host, s=timeout_s),
                term(
                    "give it more time with --timeout, or a command that ends by itself (ping -c 3)"
                ),
            )
            late.output = printed.end()
            raise late from None
        finally:
            if interrupts is not None:
                interrupts.goes_to(None)
        return int(code), printed.end()


class _Printed(threading.Thread):
    """What a command prints, from the pipes that are its stdout and stderr.

    Shown on one screen (or in one file) the two share a pipe, so that their order is the
    command's; else each has its own and goes where ours of that name goes.
    """

    def __init__(self, echo: Callable[[str], None] | None, show: bool) -> None:
        super().__init__(daemon=True)
        self._echo, self._show = echo, show
        self._first, self._last, self._size = b"", b"", 0
        self._line = b""
        self._midline = False  # on stdout, as shown
        apart = show and not _same_file(1, 2)
        self._out = os.pipe()
        self._err = os.pipe() if apart else self._out
        self.write_ends = (self._out[1], self._err[1])

    def begin(self) -> None:
        """The command has the write ends: read until it and its children have closed them."""
        for fd in {*self.write_ends}:
            os.close(fd)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        self.start()

    def end(self) -> str:
        """All of it, once the command has ended; its children may go on, unheard."""
        self.join(timeout=2)
        if self._show and self._midline:
            self._pass_on(1, b"\n")
        self._show, self._echo = False, None
        text = (self._first + self._last).decode(errors="replace")
        left_out = self._size - len(self._first) - len(self._last)
        if left_out:
            text = (
                # It stands among the program's own words: no language, a number and its unit.
                f"{self._first.decode(errors='replace')}\n[… {left_out:,} B …]\n"
                f"{self._last.decode(errors='replace')}"
            )
        return text.replace("\r\n", "\n").replace("\r", "\n")

    def run(self) -> None:
        """Until the last write end is closed."""
        ends = {self._out[0]: 1, self._err[0]: 2} if self._err != self._out else {self._out[0]: 1}
        while ends:
            for fd in wait.readable(list(ends)):
                piece = os.read(fd, 1 << 16)
                if piece:
                    self._take(ends[fd], piece)
                else:
                    del ends[fd]
                    os.close(fd)
        if self._line:
            self._tell_line(self._line)

    def _take(self, stream: int, piece: bytes) -> None:
        self._size += len(piece)
        if self._show:
            self._pass_on(stream, piece)
            if stream == 1:
                self._midline = not piece.endswith(b"\n")
        room = MOST_OUTPUT // 2 - len(self._first)
        self._first += piece[: max(room, 0)]
        if len(piece) > room:
            self._last = (self._last + piece[max(room, 0) :])[-(MOST_OUTPUT // 2) :]
        if self._echo is not None:
            *lines, self._line = (self._line + piece).split(b"\n")
            for line in lines:
                self._tell_line(line)

    def _tell_line(self, line: bytes) -> None:
        if self._echo is not None:
            self._echo(line.decode(errors="replace").rstrip("\r"))

    def _pass_on(self, stream: int, piece: bytes) -> None:
        while piece and self._show:
            try:
                piece = piece[os.write(stream, piece) :]
            except BlockingIOError:
                select.select([], [stream], [])
            except OSError:  # nobody reads, or the disk is full: the story says so
                self._show = False


def _same_file(first: int, second: int) -> bool:
    """Whether two descriptors lead to the same place."""
    try:
        return os.path.samestat(os.fstat(first), os.fstat(second))
    except OSError:
        return False


def request_for(host: str, argv: Sequence[str]) -> dict[str, Any]:
    """The request to run a command with this process's environment and working directory."""
    return {
        "op": "exec",
        "host": host,
        "argv": list(argv),
        "env": dict(os.environ),
        "cwd": labs.here(),
    }


def pass_through(handle: labs.Handle, host: str, argv: Sequence[str]) -> int:
    """Run a command on a host with this process's own stdin, stdout and stderr. Signals that reach
    us reach it; returns its exit code."""
    with handle.connect() as sock:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()

        def forward(number: int, frame: object) -> None:
            labs.send(sock, {"signal": number})  # read once the command has started

        # In place before the command can print anything that makes somebody signal us; a signal
        # that comes before the request waits for it.
        caught = heeded((signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT))
        unheld = signal.pthread_sigmask(signal.SIG_BLOCK, caught)
        before = {number: signal.signal(number, forward) for number in caught}
        try:
            try:
                labs.send(sock, request_for(host, argv), (0, 1, 2))
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, unheld)
            labs.receive(sock, handle.name)
            return int(labs.receive(sock, handle.name, None)["exit"])
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def ask_for_terminal(
    handle: labs.Handle, sock: socket.socket, request: dict[str, Any], size: tuple[int, int]
) -> int:
    """Have a command run in a terminal of its own, of so many rows and columns; our end of that.
    sock: a connection to the lab; the command ends with it. Raises LabError."""
    labs.send(sock, {**request, "op": "pty", "size": size})
    labs.await_answer(sock, handle.name)
    try:
        data, fds, _, _ = socket.recv_fds(sock, LARGEST_MESSAGE, 1)
    except OSError:
        data, fds = b"", []
    labs.understood(data, handle.name)
    return fds[0]


def terminal(handle: labs.Handle, host: str, argv: Sequence[str]) -> int:
    """Run a command on a host in a terminal of its own, joined to ours. Returns its exit code."""
    import fcntl
    import struct
    import termios
    import tty

    def size() -> tuple[int, int]:
        raw = fcntl.ioctl(0, termios.TIOCGWINSZ, b"\0" * 8)
        rows, columns = struct.unpack("HHHH", raw)[:2]
        return rows or 24, columns or 80

    with handle.connect() as sock:
        master = ask_for_terminal(handle, sock, request_for(host, argv), size())

        def resize(number: int = 0, frame: object = None) -> None:
            fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", *size(), 0, 0))
            with contextlib.suppress(OSError):
                labs.send(sock, {"signal": int(signal.SIGWINCH)})

        before = termios.tcgetattr(0)
        signal.signal(signal.SIGWINCH, resize)
        try:
            tty.setraw(0)
            watched = [0, master]
            while True:
                ready = wait.readable(watched)
                if master in ready:
                    try:
                        text = os.read(master, 65536)
                    except OSError:  # EIO: the last process has closed the terminal
                        text = b""
                    if not text:
                        break
                    os.write(1, text)
                if 0 in ready:
                    typed = os.read(0, 65536)
                    if typed:
                        os.write(master, typed)
                    else:
                        watched.remove(0)
        finally:
            termios.tcsetattr(0, termios.TCSADRAIN, before)
            os.close(master)
        return int(labs.receive(sock, handle.name, 10)["exit"])
