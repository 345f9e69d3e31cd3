# SPDX-License-Identifier: Apache-2.0
"""One command on one host, with every frame of the lab captured around it.

Capture first, tell later: listen everywhere, run the command, wait until the network is quiet,
stop. What is left is a run folder: `lab.json` (who is wired to whom), `capture.pcapng` (all
interfaces), `trace.json` (the story as data). Telling reads nothing but that folder.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import select
import shutil
import signal
import socket
import sys
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hoplab import client, content, wait
from hoplab.errors import LabError, cannot_write
from hoplab.runs import CAPTURE, HELD_MOST, STATE, TRACE
from hoplab.spec import LARGEST_MESSAGE
from hoplab.trace.narrative import Leg
from hoplab.trace.story import Story
from hoplab.wire import pcapng

QUIET_S = 0.25  # longer than a delayed ACK (RFC 9293, 3.8.6.3) and than a switch's detour
QUIET_WITHIN_S = 4.0
STOP_S = 5.0  # for a capture to end, where somebody is in a hurry
MOST_OUTPUT = 1 << 20  # bytes of a command's output that are kept: half of them its first ones

__all__ = ["CAPTURE", "STATE", "TRACE", "Run", "fetch_command", "record"]


LATE = 124  # the exit code of a command that was ended because it took too long, as timeout(1) has


class TimedOut(LabError):
    """The command had not ended in time; `output` is what it printed."""

    output = ""


@dataclass(frozen=True)
class Run:
    """What was recorded. `folder` holds the files; `code` and `output` are the command's. late: it
    had to be ended. interrupted: somebody pressed Ctrl-C, and the command was told."""

    folder: Path
    code: int
    output: str
    quiet: bool
    frames: int
    dropped: int
    late: TimedOut | None = None
    interrupted: bool = False


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
        for number in client.heeded((signal.SIGINT, signal.SIGTERM)):
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
            client.send(self._command, {"signal": number})  # read once the command has started


@contextlib.contextmanager
def _listening(handle: client.Handle, path: Path) -> Any:
    with handle.connect() as sock:
        client.send(sock, {"op": "capture", "path": str(path)})
        client.receive(sock, handle.name)
        yield sock


def record(
    handle: client.Handle,
    host: str,
    argv: Sequence[str],
    folder: Path,
    *,
    show: bool = False,
    timeout_s: float = 120,
) -> Run:
    """Run `argv` on `host` with everything captured into `folder`, which exists.

    show: what the command prints goes to our own stdout and stderr, as it comes. A command that
    does not end is ended after `timeout_s`; what its frames did until then is recorded all the
    same. A KeyboardInterrupt leaves what was captured in `folder`. Raises LabError.
    """
    with _listening(handle, folder / CAPTURE) as capture, Interrupts() as interrupts:
        try:
            late = None
            try:
                code, output = run_on(
                    handle, host, argv, show=show, timeout_s=timeout_s, interrupts=interrupts
                )
            except TimedOut as error:
                code, output, late = LATE, error.output, error
            run = _end(handle, capture, folder, code, output)
        except KeyboardInterrupt:
            client.hold_interrupts()  # whoever pressed it twice presses it again
            with contextlib.suppress(LabError, OSError):
                client.send(capture, {"stop": True})
                client.receive(capture, handle.name, STOP_S)
                shutil.copyfile(handle.folder / STATE, folder / STATE)
            raise
        return replace(run, late=late, interrupted=interrupts.count > 0)


def _end(
    handle: client.Handle, capture: socket.socket, folder: Path, code: int, output: str
) -> Run:
    """Wait until the network is quiet, and stop."""
    client.send(capture, {"quiet_s": QUIET_S, "within_s": QUIET_WITHIN_S})
    calm = client.receive(capture, handle.name)["ok"]
    client.send(capture, {"stop": True})
    held = client.receive(capture, handle.name)["ok"]
    try:
        shutil.copyfile(handle.folder / STATE, folder / STATE)
    except OSError as error:
        raise cannot_write(error, folder) from error
    return Run(folder, code, output, calm["quiet"], held["frames"], held["dropped"])


def watch(handle: client.Handle, folder: Path, until: Callable[[], None]) -> Run:
    """Capture everything into `folder`, which exists, while `until` runs. Raises LabError."""
    with _listening(handle, folder / CAPTURE) as capture:
        until()
        return _end(handle, capture, folder, 0, "")


def run_on(
    handle: client.Handle,
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
            client.send(sock, request, (null.fileno(), *printed.write_ends))
        finally:
            printed.begin()
        client.receive(sock, handle.name)
        try:
            code = client.receive(sock, handle.name, timeout_s)["exit"]
        except LabError as error:
            if timeout_s is None or "has not answered" not in error.message:
                raise
            client.send(sock, {"signal": int(signal.SIGKILL)})
            late = TimedOut(
                f"the command on {host} has not ended after {timeout_s:g} s",
                "give it more time with --timeout, or a command that ends by itself (ping -c 3)",
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
                f"{self._first.decode(errors='replace')}\n… {left_out:,} bytes left out …\n"
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


def _same_file(one: int, other: int) -> bool:
    """Whether two descriptors lead to the same place."""
    try:
        return os.path.samestat(os.fstat(one), os.fstat(other))
    except OSError:
        return False


def request_for(host: str, argv: Sequence[str]) -> dict[str, Any]:
    """The request to run a command with this process's environment and working directory."""
    return {
        "op": "exec",
        "host": host,
        "argv": list(argv),
        "env": dict(os.environ),
        "cwd": client.here(),
    }


def fetch_command(url: str, timeout_s: float = 30, *, every: bool = False) -> list[str]:
    """The command line that fetches a URL with the lab's own client; `every`: and what it shows."""
    fetch = content.folder("apps") / "fetch.py"
    command = [sys.executable, str(fetch), url, "--timeout", f"{timeout_s:g}"]
    return [*command, "--all"] if every else command


def pass_through(handle: client.Handle, host: str, argv: Sequence[str]) -> int:
    """Run a command on a host with this process's own stdin, stdout and stderr. Signals that reach
    us reach it; returns its exit code."""
    with handle.connect() as sock:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()

        def forward(number: int, frame: object) -> None:
            client.send(sock, {"signal": number})  # read once the command has started

        # In place before the command can print anything that makes somebody signal us; a signal
        # that comes before the request waits for it.
        caught = client.heeded((signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT))
        unheld = signal.pthread_sigmask(signal.SIG_BLOCK, caught)
        before = {number: signal.signal(number, forward) for number in caught}
        try:
            try:
                client.send(sock, request_for(host, argv), (0, 1, 2))
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, unheld)
            client.receive(sock, handle.name)
            return int(client.receive(sock, handle.name, None)["exit"])
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def terminal(handle: client.Handle, host: str, argv: Sequence[str]) -> int:
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
        request = {**request_for(host, argv), "op": "pty", "size": size()}
        client.send(sock, request)
        client.await_answer(sock, handle.name)
        try:
            data, fds, _, _ = socket.recv_fds(sock, LARGEST_MESSAGE, 1)
        except OSError:
            data, fds = b"", []
        client.understood(data, handle.name)
        master = fds[0]

        def resize(number: int = 0, frame: object = None) -> None:
            fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", *size(), 0, 0))
            with contextlib.suppress(OSError):
                client.send(sock, {"signal": int(signal.SIGWINCH)})

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
        return int(client.receive(sock, handle.name, 10)["exit"])


def annotate(folder: Path, story: Story) -> None:
    """Put the story's own line into the capture, as a comment of every frame that it tells of.
    Raises OSError; the capture is as it was then."""
    path = folder / CAPTURE
    fresh = path.with_suffix(".new")
    try:
        _annotate(path, fresh, story)
    except BaseException:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise


def _annotate(path: Path, fresh: Path, story: Story) -> None:
    with open(fresh, "wb") as file:
        if path.stat().st_size <= HELD_MOST:
            pcapng.write_all(file, pcapng.read(path), _comments(story))
        else:
            pieces = pcapng.read_pieces(path)
            capture, frames = next(pieces)
            rest = itertools.chain.from_iterable(more for _, more in pieces)
            pcapng.write_all(file, capture, _comments(story), itertools.chain(frames, rest))
    os.replace(fresh, path)


def _fate(leg: Leg) -> str:
    """What is to be said of a frame that was not seen to arrive."""
    if leg.lost:
        return ", lost there"
    if leg.cut:
        return ", cut by the capture's end"
    return ", not seen to arrive" if leg.unseen else ""


def _comments(story: Story) -> dict[int, str]:
    """Frame number -> '#3 DNS question A www.itheima.com, hop 2 of 5: s1-eth3 to r1-eth0'."""
    comments: dict[int, str] = {}
    for trip in story.trips:
        unwanted = {one.leg for one in trip.ignored}
        hops: list[int] = []  # of each leg, from the sender on: copies have the same
        for leg in trip.legs:
            hops.append(1 if leg.parent is None else hops[leg.parent] + 1)
        copies, most = Counter(hops), max(hops, default=0)
        for leg, hop in zip(trip.legs, hops, strict=True):
            way = f"{leg.tail_interface} to {leg.head_interface or 'nothing'}"
            place = f"hop {hop} of {most}"
            if copies[hop] > 1:
                place += f", one of {copies[hop]} copies"
            text = f"#{trip.number} {trip.title}, {place}: {way}"
            if leg.sent is not None:
                comments[leg.sent] = text + _fate(leg)
            if leg.received is not None:
                ignored = f", ignored by {leg.head}" if leg.index in unwanted else ""
                comments[leg.received] = text + ignored
        for one in trip.decisions:
            for number, what in ((one.packet_in, "the question"), (one.packet_out, "the answer")):
                if number:
                    comments[number] = f"#{trip.number} {what} about it: {one.sentence}"
    return comments
