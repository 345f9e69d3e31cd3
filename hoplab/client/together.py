# SPDX-License-Identifier: Apache-2.0
"""Several commands on several hosts at the same time, with every frame of the lab captured.

Those that *serve* are begun first, each once the one before it listens, and are ended when all
others have ended: they would wait for ever. The others begin together.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hoplab import wait
from hoplab.client import labs, recording
from hoplab.client.commands import request_for, run_on
from hoplab.errors import LabError
from hoplab.sentences import say

LISTENS_WITHIN_S = 3.0  # a program that serves without listening is not waited for longer
ENDS_WITHIN_S = 1.0  # what has served its only client ends by itself
SOCKETS = ["cat", "/proc/net/tcp", "/proc/net/tcp6", "/proc/net/udp", "/proc/net/udp6"]
LISTENING = {"0A": "tcp", "07": "udp"}  # the states of such sockets, in include/net/tcp_states.h


@dataclass(frozen=True)
class Command:
    """A command on a host. serves: it is there for the others, and ends after them."""

    host: str
    argv: tuple[str, ...]
    serves: bool = False

    def __str__(self) -> str:
        return f"{self.host}: {shlex.join(self.argv)}"


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code and what it printed. late: it took too long and had to be
    ended. stopped: it served until the others had ended, which is no failure."""

    command: Command
    code: int
    output: str
    late: bool = False
    stopped: bool = False

    @property
    def failed(self) -> bool:
        return self.code != 0 and not self.stopped


@dataclass(frozen=True)
class Together:
    """What was recorded, and how the commands ended. began_ns: when the first of those that do not
    serve was begun, by the clock of the frames."""

    run: recording.Run
    began_ns: int
    ended: tuple[Ended, ...]


def record_all(
    handle: labs.Handle, commands: Sequence[Command], folder: Path, timeout_s: float
) -> Together:
    """Run the commands with everything captured into `folder`, which exists. What has not ended
    after `timeout_s` is ended. Raises LabError: a host is not there, or the lab died."""
    began_ns = 0
    ended: tuple[Ended, ...] = ()

    def work() -> None:
        nonlocal began_ns, ended
        with contextlib.ExitStack() as stack:
            servers = [
                _begin_server(stack, handle, command) for command in commands if command.serves
            ]
            began_ns = time.time_ns()
            asking = [
                stack.enter_context(_process(handle, command))
                for command in commands
                if not command.serves
            ]
            _await(asking, timeout_s)
            for process in asking:
                process.end(signal.SIGKILL, late=True)
            _await(servers, ENDS_WITHIN_S)
            for process in servers:
                process.end(signal.SIGINT)
            _await(servers, ENDS_WITHIN_S)
            for process in servers:
                process.end(signal.SIGKILL)
            ended = tuple(process.ended() for process in (*servers, *asking))

    run = recording.watch(handle, folder, work)
    return Together(run, began_ns, ended)


class _Process:
    """A command that runs. What it prints goes to a file in memory."""

    def __init__(
        self, handle: labs.Handle, command: Command, sock: socket.socket, output: int
    ) -> None:
        self.command = command
        self.sock = sock
        self.code: int | None = None
        self.late = False
        self.stopped = False
        self._name = handle.name
        self._output = output
        with open(os.devnull, "rb") as null:
            request = request_for(command.host, command.argv)
            labs.send(sock, request, (null.fileno(), self._output, self._output))
        labs.receive(sock, self._name)

    def hear(self) -> None:
        """Take its exit code, which is there."""
        self.code = int(labs.receive(self.sock, self._name)["exit"])

    def end(self, number: signal.Signals, *, late: bool = False) -> None:
        """Send the command a signal, if it still runs. late: because its time is over."""
        if self.code is None:
            self.late = late
            self.stopped = not late
            labs.send(self.sock, {"signal": int(number)})

    def ended(self) -> Ended:
        if self.code is None:
            self.hear()
        assert self.code is not None
        code = recording.LATE if self.late else self.code
        return Ended(self.command, code, self._printed(), self.late, self.stopped)

    def _printed(self) -> str:
        size = os.lseek(self._output, 0, os.SEEK_END)
        return os.pread(self._output, size, 0).decode(errors="replace")


@contextlib.contextmanager
def _process(handle: labs.Handle, command: Command) -> Iterator[_Process]:
    output = os.memfd_create("output")
    try:
        with handle.connect() as sock:
            yield _Process(handle, command, sock, output)
    finally:
        os.close(output)


def _begin_server(stack: contextlib.ExitStack, handle: labs.Handle, command: Command) -> _Process:
    """Begun, and listening: on a port that nobody on its host listened on before."""
    before = _listening(handle, command.host)
    process = stack.enter_context(_process(handle, command))

    def there() -> bool:
        if wait.readable([process.sock.fileno()], 0):
            process.hear()  # it has ended: what uses it will tell
            return True
        return bool(_listening(handle, command.host) - before)

    with contextlib.suppress(LabError):
        wait.until(
            there, say("{command} to listen", command=str(command)), within_s=LISTENS_WITHIN_S
        )
    return process


def _listening(handle: labs.Handle, host: str) -> set[tuple[str, str]]:
    """The sockets of a host that wait for somebody: (protocol, address and port)."""
    _, lines = run_on(handle, host, SOCKETS)
    rows = (line.split() for line in lines.splitlines())
    return {(LISTENING[row[3]], row[1]) for row in rows if len(row) > 3 and row[3] in LISTENING}


def _await(processes: Sequence[_Process], within_s: float) -> None:
    """Until all have ended, or the time is over."""
    deadline = time.monotonic() + within_s * wait.patience()
    while running := {p.sock.fileno(): p for p in processes if p.code is None}:
        ready = wait.readable([*running], max(0.0, deadline - time.monotonic()))
        for number in ready:
            running[number].hear()
        if not ready:
            return
