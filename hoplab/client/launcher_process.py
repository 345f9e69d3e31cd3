# SPDX-License-Identifier: Apache-2.0
"""The process that labs of a Python program come from: warm, and with one thread.

A process that makes a lab must have one thread (`kernel/sandbox.py`), and a program, or a test
under pytest, may have many. It should also have loaded Mininet and the rest already, which takes
ten times as long as building a small network. So a program begins this process once
(`launcher.py`), and each lab is brought up in a fork of it. The fork stays as long as its lab is
wanted: when the program lets go of the connection, or ends in whatever way, it ends the lab.

In the order of what goes over the connection: a `Wish`; a message as a lab sends it, with the
lab's name; then nothing, until either side closes it or the program says "down".
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import sys
from dataclasses import dataclass
from multiprocessing.connection import Connection

from hoplab import wait
from hoplab.client import up_down
from hoplab.client.interrupts import release_interrupts
from hoplab.errors import Exit, LabError
from hoplab.sentences import say, term, to_plain
from hoplab.service import server
from hoplab.service.spec import Spec

DOWN = b"down"


@dataclass(frozen=True)
class Wish:
    """A lab that somebody wants, with the variables and the working directory of who does."""

    spec: Spec
    environment: dict[str, str]
    folder: str


class _Unwanted(Exception):
    """Nobody waits for the lab any more."""


def main() -> None:
    """Answers until the program at the other end has ended. Each message is one byte and the
    descriptor of a connection for one lab."""
    control = socket.socket(fileno=int(sys.argv[1]))
    server.warm_up()
    gc.collect()
    gc.freeze()  # or each fork would copy the pages of all that is loaded at its first collection
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks
    while True:
        data, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not data:
            return
        if os.fork() == 0:
            try:
                control.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _serve(Connection(descriptors[0]))
            finally:
                os._exit(0)
        os.close(descriptors[0])


def _serve(line: Connection) -> None:
    """Bring up one lab, and end it when it is not wanted any more."""
    wish: Wish = line.recv()
    os.environ.clear()
    os.environ.update(wish.environment)

    def progress(step: str) -> None:
        if wait.readable([line.fileno()], 0):  # the other end has nothing to say but that it went
            raise _Unwanted

    try:
        os.chdir(wish.folder)
        handle = up_down.up(wish.spec, progress)
    except _Unwanted:
        return
    except Exception as error:
        line.send_bytes(json.dumps(to_plain(_as_lab_error(error).as_dict())).encode())
        return
    release_interrupts()
    try:
        line.send_bytes(json.dumps({"ok": handle.name}).encode())
        line.recv_bytes()
    except (EOFError, OSError):
        up_down.down(handle)
        return
    up_down.down(handle)
    line.send_bytes(b"{}")


def _as_lab_error(error: Exception) -> LabError:
    if isinstance(error, LabError):
        return error
    return LabError(
        say(
            "the lab failed in a way it should not: {kind}: {reason}",
            kind=type(error).__name__,
            reason=str(error),
        ),
        term("please report this with the lines below (--debug shows them)"),
        Exit.LAB_DIED,
        str(error),
    )


if __name__ == "__main__":
    main()
