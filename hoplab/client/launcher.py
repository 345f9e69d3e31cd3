# SPDX-License-Identifier: Apache-2.0
"""Labs for a Python program, brought up by a warm process of its own (`launcher_process.py`).

What lives here: that process's other end. What must not: what is done with a lab (`hoplab.api`).
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
from multiprocessing.connection import Connection
from pathlib import Path

from hoplab import wait
from hoplab.client import labs
from hoplab.client.launcher_process import DOWN, Wish
from hoplab.errors import Exit, LabError
from hoplab.sentences import term
from hoplab.service.spec import Spec

ENDED_S = 20


class Order:
    """A lab that was asked for: it comes up meanwhile, and lives until `end`, or until this
    process ends."""

    def __init__(self, line: Connection) -> None:
        self._line = line
        self._handle: labs.Handle | None = None

    def lab(self) -> labs.Handle:
        """The lab, once it is up. Raises LabError."""
        if self._handle is None:
            try:
                answer = self._line.recv_bytes()
            except (EOFError, OSError):
                raise _ended() from None
            self._handle = labs.Handle(labs.understood(answer, "")["ok"])
        return self._handle

    def end(self) -> None:
        """End the lab, whether it is up already or not."""
        with contextlib.suppress(OSError, EOFError):
            if self._handle is not None:
                self._line.send_bytes(DOWN)
                wait.readable([self._line.fileno()], ENDED_S * wait.patience())
        self._line.close()

    def give_up(self) -> None:
        """The same, without waiting for it."""
        self._line.close()


class _Launcher:
    """The warm process of this one."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # It starts in none of the user's folders, so that no module there is taken for another.
        ours = str(Path(__file__).resolve().parents[2])
        users = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
        path = os.pathsep.join([ours, *map(os.path.abspath, users)])
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "hoplab.client.launcher_process", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={**os.environ, "PYTHONPATH": path},
                start_new_session=True,  # Ctrl-C is for the program, which ends what it wants ended
            )

    def works(self) -> bool:
        return self.owner == os.getpid() and self._process.poll() is None

    def ask(self, wish: Wish) -> Order:
        """Raises OSError where the process has ended."""
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self._control, [b"+"], [theirs.fileno()])
        line = Connection(ours.detach())
        line.send(wish)
        return Order(line)


_lock = threading.Lock()
_launcher: _Launcher | None = None


def order(spec: Spec) -> Order:
    """Have a lab brought up, and do not wait for it. The first one takes longer: that process must
    begin. Raises LabError."""
    global _launcher
    wish = Wish(spec, dict(os.environ), labs.here())
    with _lock:
        for _ in range(2):  # it may have been killed between two labs
            if _launcher is None or not _launcher.works():
                _launcher = _Launcher()
            with contextlib.suppress(OSError):
                return _launcher.ask(wish)
    raise _ended()


def _ended() -> LabError:
    return LabError(
        term("the process that brings up labs has ended"),
        term("was it killed? try again"),
        Exit.LAB_DIED,
    )
