# SPDX-License-Identifier: Apache-2.0
"""One command on one host, with every frame of the lab captured around it.

Capture first, tell later: listen everywhere, run the command, wait until the network is quiet,
stop. What is left is a run folder: `lab.json` (who is wired to whom), `capture.pcapng` (all
interfaces), `trace.json` (the story as data). Telling reads nothing but that folder.
"""

from __future__ import annotations

import contextlib
import os
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
from hoplab.runs import CAPTURE, STATE, TRACE
from hoplab.spec import LARGEST_MESSAGE
from hoplab.trace.narrative import Leg
from hoplab.trace.story import Story
from hoplab.wire import pcapng

QUIET_S = 0.25  # longer than a delayed ACK (RFC 9293, 3.8.6.3) and than a switch's detour
QUIET_WITHIN_S = 4.0

__all__ = ["CAPTURE", "STATE", "TRACE", "Run", "fetch_command", "record"]


LATE = 124  # the exit code of a command that was ended because it took too long, as timeout(1) has


class TimedOut(LabError):
    """The command had not ended in time; `output` is what it printed."""

    output = ""


@dataclass(frozen=True)
class Run:
    """What was recorded. `folder` holds the files; `code` and `output` are the command's. late: it
    had to be ended."""

    folder: Path
    code: int
    output: str
    quiet: bool
    frames: int
    dropped: int
    late: TimedOut | None = None


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
    echo: Callable[[str], None] | None = None,
    timeout_s: float = 120,
) -> Run:
    """Run `argv` on `host` with everything captured into `folder`, which exists.

    echo: called with each line that the command prints. A command that does not end is ended after
    `timeout_s`; what its frames did until then is recorded all the same. Raises LabError.
    """
    with _listening(handle, folder / CAPTURE) as capture:
        try:
            code, output = run_on(handle, host, argv, echo=echo, timeout_s=timeout_s)
        except TimedOut as late:
            run = _end(handle, capture, folder, LATE, late.output)
            return replace(run, late=late)
        return _end(handle, capture, folder, code, output)


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
    timeout_s: float | None = None,
) -> tuple[int, str]:
    """Run a command on a host; its exit code and what it printed on stdout and stderr together.
    Raises TimedOut when it does not end within `timeout_s`."""
    read_end, write_end = os.pipe()
    lines: list[str] = []

    def listen() -> None:
        with os.fdopen(read_end, errors="replace") as pipe:
            for line in pipe:
                lines.append(line)
                if echo is not None:
                    echo(line.rstrip("\n"))

    with open(os.devnull, "rb") as null, handle.connect() as sock:
        request = request_for(host, argv)
        client.send(sock, request, (null.fileno(), write_end, write_end))
        os.close(write_end)
        reader = threading.Thread(target=listen, daemon=True)
        reader.start()
        client.receive(sock, handle.name)
        try:
            code = client.receive(sock, handle.name, timeout_s)["exit"]
        except LabError as error:
            if timeout_s is None or "has not answered" not in error.message:
                raise
            client.send(sock, {"signal": int(signal.SIGKILL)})
            reader.join(timeout=2)
            late = TimedOut(
                f"the command on {host} has not ended after {timeout_s:g} s",
                "give it more time with --timeout, or a command that ends by itself (ping -c 3)",
            )
            late.output = "".join(lines)
            raise late from None
        reader.join(timeout=2)
    return int(code), "".join(lines)


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
    Raises OSError."""
    path = folder / CAPTURE
    fresh = path.with_suffix(".new")
    with open(fresh, "wb") as file:
        pcapng.write_all(file, pcapng.read(path), _comments(story))
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
