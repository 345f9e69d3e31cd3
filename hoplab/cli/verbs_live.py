# SPDX-License-Identifier: Apache-2.0
"""`hoplab trace --live`: the story grows while frames fly.

The lab captures into a pipe, as for `hoplab capture`. A thread of ours reads it, follows and
prints; the main thread runs the command, or waits, so that Ctrl-C reaches it at once.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import socket
import sys
import threading
import time
from dataclasses import replace
from typing import Any

from hoplab import runs, wait
from hoplab.capture import pcapng
from hoplab.capture.clock import Clock
from hoplab.cli import output
from hoplab.client import labs
from hoplab.errors import Exit, LabError
from hoplab.follow.wiring import Wiring
from hoplab.openflow_channel import INTERFACE as OPENFLOW
from hoplab.report.as_json import decision, queue_loss_data
from hoplab.report.language import Language, code_from, language
from hoplab.report.terminal import live_lines
from hoplab.service.spec import LARGEST_MESSAGE
from hoplab.story.exit_status import ExitStatus
from hoplab.story.live import Live, News
from hoplab.story.titles import plural, queue_loss

LOOK_S = 0.1
QUIET_S = 0.4  # after the command: as long as a packet may rest before it counts as told
QUIET_WITHIN_S = 4.0
STOP_S = 30


def follow(handle: labs.Handle, arguments: argparse.Namespace, command: list[str]) -> int:
    """Tell what happens in the lab: while `command` runs on a host, or until Ctrl-C without one.
    Returns an exit code."""
    host = arguments.host
    told = _Printer(arguments)
    wiring = Wiring.load(handle.folder / "lab.json")
    read_end, write_end = os.pipe()
    code: int = Exit.OK
    reader: _Reader | None = None
    try:
        with handle.connect() as sock:
            request: dict[str, Any] = {"op": "listen", "interfaces": [], "filter": None, "count": 0}
            labs.send(sock, request, (write_end,))
            os.close(write_end)  # the lab has it; so the pipe ends when the lab's capture ends
            write_end = -1
            labs.receive(sock, handle.name)
            reader = _Reader(read_end, wiring, told)
            told.head(host, command)
            reader.start()
            try:
                if command:
                    code = _run(handle, host, command, arguments.timeout, told)
                    reader.quiet(QUIET_S, QUIET_WITHIN_S)
                else:
                    _until_it_ends(sock, handle.name)
            except KeyboardInterrupt:
                # Without a command this is how it ends; a command that runs is ended by it.
                code = Exit.INTERRUPTED if command else Exit.OK
            totals = _stop(sock, handle.name)
            reader.join(STOP_S)
    finally:
        if write_end != -1:
            os.close(write_end)
        if reader is None:
            os.close(read_end)
    told.end(reader.live, totals, int(code))
    if reader.failure is not None:
        raise reader.failure
    return code


def _run(
    handle: labs.Handle, host: str, command: list[str], timeout_s: float, told: _Printer
) -> int:
    from hoplab.client import commands

    code, _ = commands.run_on(handle, host, command, echo=told.said, timeout_s=timeout_s)
    told.ended(ExitStatus(code, shlex.join(command)))
    return Exit.OK if code == 0 else Exit.FAILED


def _until_it_ends(sock: socket.socket, name: str) -> None:
    """Wait for Ctrl-C. Raises LabError if the lab ends before."""
    wait.readable([sock.fileno()])
    data = sock.recv(LARGEST_MESSAGE, socket.MSG_PEEK)
    if not data:
        raise LabError(f"the lab {name} ended, and the story with it", "", Exit.LAB_DIED)


def _stop(sock: socket.socket, name: str) -> dict[str, Any]:
    """End the capture; its totals. One that has ended by itself has said them already."""
    labs.send(sock, {"stop": True})
    totals: dict[str, Any] = labs.receive(sock, name, STOP_S)["ok"]
    return totals


class _Reader(threading.Thread):
    """From the pipe to the printer."""

    def __init__(self, pipe: int, wiring: Wiring, told: _Printer) -> None:
        super().__init__(daemon=True)
        self.pipe = pipe
        self.wiring = wiring
        self.told = told
        self.ports: list[int | None] = []
        self.live = Live(wiring, self.ports)
        self.failure: BaseException | None = None
        self._heard = threading.Event()

    def run(self) -> None:
        """Until the pipe ends."""
        try:
            self._read()
        except BaseException as error:  # the main thread reports it
            self.failure = error
        finally:
            os.close(self.pipe)

    def _read(self) -> None:
        stream, clock = pcapng.Stream(), Clock()
        looked = 0.0
        while True:
            if wait.readable([self.pipe], LOOK_S):
                piece = os.read(self.pipe, 1 << 18)
                if not piece:
                    break
                self._take(stream, piece)
            now = time.monotonic()
            if now - looked >= LOOK_S:
                looked = now
                # After the machine's clock was set, no age means anything: all is told at once.
                self.told.news(self.live.poll(1 << 62 if clock.jumped() else time.time_ns()))
        covered = runs.coverage(self.wiring, stream.capture, self.ports)
        self.live.cover(replace(covered, ended_ns=stream.capture.ended_ns or None))
        self.told.news(self.live.finish())

    def _take(self, stream: pcapng.Stream, piece: bytes) -> None:
        observations = stream.feed(piece)
        interfaces = stream.capture.interfaces
        if len(interfaces) > len(self.ports):  # the follower has this very list
            self.ports[:] = self.wiring.port_map(interfaces)
            self.live.cover(runs.coverage(self.wiring, stream.capture, self.ports))
        spoken = [interface.name == OPENFLOW for interface in interfaces]
        self.live.channel = any(spoken)
        wired = False
        for observation in observations:
            if spoken[observation.port]:
                self.live.hear(observation)
            else:
                self.live.feed(observation)
                wired = True
        if wired:
            self._heard.set()

    def quiet(self, for_s: float, within_s: float) -> None:
        """Wait until no frame has come for a while, at most `within_s`."""
        end = time.monotonic() + within_s
        while time.monotonic() < end and self.is_alive():
            self._heard.clear()
            if not self._heard.wait(for_s):
                return


class _Printer:
    """Lines to stdout, whole ones, from two threads."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.json: bool = arguments.json
        self.tr: Language = language(arguments.lang or code_from(os.environ))
        self.ascii = not output.is_utf8()
        self.colour = output.colour_wanted()
        self._lock = threading.Lock()
        self._frames: dict[int, int] = {}  # of the packets that may still go on
        self._legs = 0
        self._told: set[str] = set()  # switches whose flooding has been explained

    def _print(self, *lines: str) -> None:
        with self._lock:
            sys.stdout.write("".join(line + "\n" for line in lines))
            sys.stdout.flush()

    def _object(self, **data: Any) -> None:
        self._print(json.dumps(data, ensure_ascii=False))

    def head(self, host: str | None, command: list[str]) -> None:
        """What is run; every interface is listened to by now."""
        if self.json:
            self._object(event="listening", host=host or "", command=shlex.join(command))
        elif command:
            self._print(f"{host}: {shlex.join(command)}")
        else:
            self._print(self._word("Following every packet; Ctrl-C ends it."))

    def _word(self, text: str) -> str:
        return text if self.ascii else self.tr(text)

    def said(self, line: str) -> None:
        """A line that the command printed."""
        if self.json:
            self._object(event="output", line=line)
        else:
            self._print(f" | {line}")

    def ended(self, status: ExitStatus) -> None:
        """The command has ended; a status of 0 needs no words."""
        if self.json:
            self._object(event="ended", exit_code=status.code, sentence=status.sentence)
        elif status.code:
            self._print(self._word(status.sentence))

    def news(self, news: list[News]) -> None:
        """Packets, as far as they have come."""
        for one in news:
            trip = one.trip
            self._legs += trip.frames - self._frames.pop(trip.number, 0)
            self._frames[trip.number] = trip.frames
            if len(self._frames) > 10_000:  # older ones are settled
                del self._frames[next(iter(self._frames))]
            if self.json:
                self._object(**_plain(one))
                continue
            self._print(
                *live_lines(
                    one,
                    self._told,
                    width=output.terminal_width(),
                    color=self.colour,
                    ascii=self.ascii,
                    tr=self.tr,
                )
            )

    def end(self, live: Live, totals: dict[str, Any], code: int) -> None:
        """The counts."""
        packets, orphans, dropped = live.packets, live.orphans, int(totals["dropped"])
        losses = live.queue_losses
        if self.json:
            self._object(
                event="end",
                packets=packets,
                frames=self._legs,
                orphans=orphans,
                dropped=dropped,
                lost_in_switches=[queue_loss_data(loss) for loss in losses],
                exit_code=code,
            )
            return
        text = f"{plural(packets, 'packet')} told, {plural(self._legs, 'frame')} on the links."
        self._print("", self._word(text))
        if dropped:
            few = plural(dropped, "frame")
            self._print(self._word(f"The capture missed {few}: what seems lost may have passed."))
        if orphans:
            text = f"{plural(orphans, 'frame')} that fit no known way"
            self._print(self._word(text))
        for loss in losses:
            self._print(self._word(queue_loss(loss)))


def _plain(one: News) -> dict[str, Any]:
    """A packet as one JSON object."""
    trip = one.trip
    return {
        "event": "more" if one.more else "packet",
        "number": trip.number,
        "ms": round(trip.ms, 6),
        "kind": trip.kind,
        "title": trip.title,
        "sender": trip.sender,
        "path": trip.path,
        "fan": trip.fan,
        "delivered": trip.delivered,
        "ignored": list(dict.fromkeys(end.node for end in trip.ignored)),
        "frames": trip.frames,
        "lost": len(trip.lost),
        "notes": trip.notes,
        "cause": trip.cause,
        "causes": trip.causes,
        "decisions": [decision(each) for each in trip.decisions],
        "ended": one.ended,
    }
