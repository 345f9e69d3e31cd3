# SPDX-License-Identifier: Apache-2.0
"""What a command line does while its command runs in a machine of its own.

What lives here: signals and keys handed on to the command, what its machine notes shown, and what
it says at its end. What must not: how that machine is made, and what goes on inside (`run.py`).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import socket
import termios
import time
import tty
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hoplab.client import interrupts, outside
from hoplab.errors import Exit, LabError
from hoplab.kernel import sandbox
from hoplab.sentences import from_plain, listed, number_of, say, term
from hoplab.service.spec import LARGEST_MESSAGE
from hoplab.stock import advice

TURN_S = 0.25  # between looks for controllers outside
GRACE_S = 5.0  # for a command that was told to end; then its machine ends
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_MOST_NAMES = 5  # of files that went with the machine's /tmp

Show = Callable[[str], None]


def accompany(
    started: sandbox.Started, master: int, argv: Sequence[str], show: Show,
    capture: Path | None, reach: outside.Outside,
) -> int:
    """Until the command has ended: pass signals on, and the terminal if there is one."""
    company = _Company(started, master, show, reach)
    with company.signals(), company.terminal():
        answer = company.answer()
    if "error" in answer:
        raise LabError.from_dict(answer)
    if "died" in answer:
        raise LabError(
            term("the command's machine was ended"),
            term("was one of its processes killed? run it again"),
            Exit.LAB_DIED,
        )
    if answer.get("left"):
        names: str = listed(answer["left"][:_MOST_NAMES])
        more = len(answer["left"]) - _MOST_NAMES
        if more > 0:
            names = say("{names} and {n} more", names=names, n=more)
        show(
            say(
                "{files} went with the command's own /tmp: to keep such files, write them "
                "elsewhere, or hoplab run --keep-tmp DIR",
                files=names,
            )
        )
    hint = advice.for_python2(argv) if answer["exit"] == 1 else ""
    if answer["exit"] == 0 and not answer.get("network"):
        hint = advice.of_no_network(argv)
    if hint:
        show(hint)
    if capture is not None and "frames" in answer:
        show(
            say(
                "{frames} from {interfaces} in {file}",
                frames=number_of("{n:,} frame", "{n:,} frames", answer["frames"]),
                interfaces=number_of("{n} interface", "{n} interfaces", answer["interfaces"]),
                file=capture,
            )
        )
        if answer["problem"]:
            show(say("the end of the capture is missing: {reason}", reason=answer["problem"]))
    return int(answer["exit"])


class _Company:
    """The command's company outside its machine. master: our end of its terminal, -1 without one.
    until: how long a command that was told to end may take."""

    def __init__(
        self, started: sandbox.Started, master: int, show: Show, reach: outside.Outside
    ) -> None:
        self.channel, self.master, self.show = started.channel, master, show
        self.reach = reach
        self.until: float | None = None
        self._settings: list[Any] | None = None  # our terminal's own, while it passes on all keys

    @contextlib.contextmanager
    def signals(self) -> Iterator[None]:
        """What we are told by signals, the command is."""
        before: dict[int, Any] = {}
        try:
            for each in interrupts.heeded(SIGNALS):
                before[each] = signal.signal(each, self._forward)
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _forward(self, number: int, frame: object) -> None:
        if number != signal.SIGINT and self.until is None:
            self.until = time.monotonic() + GRACE_S
        self._tell({"signal": int(number)})

    @contextlib.contextmanager
    def terminal(self) -> Iterator[None]:
        """Our terminal passes on every key, and its size."""
        if self.master < 0:
            yield
            return
        settings = self._settings = termios.tcgetattr(0)
        self._resize()
        before = signal.signal(signal.SIGWINCH, self._resize)
        try:
            tty.setraw(0)
            yield
        finally:
            self._settings = None
            termios.tcsetattr(0, termios.TCSADRAIN, settings)
            signal.signal(signal.SIGWINCH, before)

    def _resize(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            size = fcntl.ioctl(0, termios.TIOCGWINSZ, b"\0" * 8)
            fcntl.ioctl(self.master, termios.TIOCSWINSZ, size)

    def answer(self) -> dict[str, Any]:
        """What the machine says at the end of its command."""
        watched: list[Any] = [self.channel] + ([0, self.master] if self.master >= 0 else [])
        # What the command says to its terminal is for ours, though its stdout may be a file.
        screen = next((fd for fd in (1, 2, 0) if os.isatty(fd)), 1)
        ways = {self.master: screen, 0: self.master}  # what is read, and where it goes
        answer: dict[str, Any] | None = None
        while answer is None:
            left = None if self.until is None else self.until - time.monotonic()
            if left is not None and left <= 0:
                answer = {"exit": 128 + signal.SIGKILL}
                break
            turn_s = min(left if left is not None else TURN_S, TURN_S)
            ready, _, _ = select.select(watched, [], [], turn_s)
            self._look_outside()
            for source in [each for each in ready if each in ways]:
                if not _copy(source, ways[source]):
                    watched.remove(source)
            if self.channel in ready:
                answer = self._hear()
        while self.master in watched and select.select([self.master], [], [], 0)[0]:
            if not _copy(self.master, screen):  # what it said last
                break
        return answer

    def _hear(self) -> dict[str, Any] | None:
        """The machine's answer; None if it only had something to note."""
        data, fds, _, _ = socket.recv_fds(self.channel, LARGEST_MESSAGE, 1)
        answer: dict[str, Any] = (
            json.loads(data, object_hook=from_plain) if data else {"died": True}
        )
        if "note" in answer:
            if os.isatty(2) or not answer.get("at_terminal"):
                self._note(answer["note"])
        elif "watch" in answer:
            ip, port = answer["watch"]
            self._tell({"outside": [(ip, port), self.reach.watch((ip, port))]})
        elif "connect" in answer:
            ip, port = answer["connect"]
            self.reach.connect((ip, port), socket.socket(fileno=fds[0]))
        else:
            return answer
        return None

    def _look_outside(self) -> None:
        """Tell whether controllers outside have come or gone."""
        for address, state in self.reach.changes():
            self._tell({"outside": [address, state]})

    def _tell(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):
            self.channel.send(json.dumps(message).encode())

    def _note(self, text: str) -> None:
        """Show a note, on lines of its own where the command is at our terminal."""
        if self._settings is None:
            self.show(text)
            return
        termios.tcsetattr(0, termios.TCSADRAIN, self._settings)
        try:
            os.write(2, b"\n" if os.isatty(2) else b"")
            self.show(text)
        finally:
            tty.setraw(0, termios.TCSADRAIN)


def _copy(source: int, target: int) -> bool:
    """What can be read now; False at the end."""
    try:
        data = os.read(source, 65536)
    except OSError:  # EIO: the last process has closed the terminal
        data = b""
    view = memoryview(data)
    while view:
        view = view[os.write(target, view) :]
    return bool(data)
