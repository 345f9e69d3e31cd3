# SPDX-License-Identifier: Apache-2.0
"""`hoplab trace --live`: the story grows while frames fly.

The lab captures into a pipe, as for `hoplab capture`. A thread of ours reads it, follows and
prints; the main thread runs the command, or waits, so that Ctrl-C reaches it at once.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import socket
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from hoplab import wait
from hoplab.capture.clock import Clock
from hoplab.capture.collector import gc_seldom
from hoplab.cli import output
from hoplab.client import labs
from hoplab.errors import Exit, LabError
from hoplab.follow.passages import FlowTaken, flow_to_plain
from hoplab.follow.wiring import Wiring
from hoplab.live.following import Counts
from hoplab.live.heard import Heard, Piece
from hoplab.live.listening import listen
from hoplab.live.looks import Looks
from hoplab.replay.explain import unasked
from hoplab.replay.live import LiveTables
from hoplab.replay.table_changes import table_changes
from hoplab.report.as_json import decision, queue_loss_data
from hoplab.report.terminal import live_lines
from hoplab.sentences import listed, number_of, say, term
from hoplab.service.spec import LARGEST_MESSAGE
from hoplab.story.exit_status import ExitStatus
from hoplab.story.live import Live, News
from hoplab.story.queue_losses import queue_loss
from hoplab.story.storms import Kind, kind_of
from hoplab.story.titles import count_kind
from hoplab.story.trip_records import Decision, Trip

EVENTS_VERSION = 1  # of what `--json` prints: docs/events.md
LOOK_S = 0.1
LOOK_SHARE = 3  # times as long as a look took, frames are followed before the next one
QUIET_S = 0.4  # after the command: as long as a packet may rest before it counts as told
QUIET_WITHIN_S = 4.0
STOP_S = 30
BEHIND_MOST = 16 << 20  # bytes that wait to be told, before the recorder has to wait
BEHIND_S = 3.0  # at the end: what takes longer to be told is counted
COUNTED_S = 1.0  # what is only counted is told so often
WATCHED_S = 0.5  # how often it is looked whether the lab itself has changed
ALIKE_MOST = 10  # equal packets within that time that are told one by one
STORM_TOLD = 5  # packets within that time while something goes round
STORM_OVER_S = 20.0  # none of a kind was seen to go round for so long: it is told as others are


@gc_seldom()
def follow(
    handle: labs.Handle,
    arguments: argparse.Namespace,
    host: str | None,
    command: list[str],
    name: str = "",
) -> int:
    """Tell what happens in the lab: while `command` runs on `host`, or until Ctrl-C without one.
    name: of the command, for a reader who has not typed it. Returns an exit code."""
    name = name or shlex.join(command)
    printer = _Printer(arguments)
    wiring = Wiring.load(handle.folder / "lab.json")
    read_end = -1
    code: int = Exit.OK
    reader: _Reader | None = None
    ports: list[int | None] = []
    state = handle.state()
    tables = LiveTables(wiring, ports, state) if state.get("controller") else None
    try:
        read_end, sock = listen(handle)
        with sock, _Watch(handle, printer) as watch:
            live = Live(wiring, ports, tables)
            heard = Heard(wiring, ports, handle.folder / "lab.json")
            reader = _Reader(read_end, heard, printer, live)
            if tables is not None:
                tables.wait()
            printer.head(host, name)
            watch.begin()
            reader.start()
            try:
                if command and host is not None:
                    code = _run(handle, host, command, name, arguments.timeout, printer)
                    reader.quiet(QUIET_S, QUIET_WITHIN_S)
                else:
                    _until_it_ends(sock, handle.name)
            except KeyboardInterrupt:
                # Without a command this is how it ends; with one it is the second Ctrl-C.
                code = Exit.INTERRUPTED if command else Exit.OK
            reader.stop()
            totals = _stop(sock, handle.name)
            reader.join(STOP_S)
    finally:
        if reader is None and read_end != -1:
            os.close(read_end)
        if tables is not None:
            tables.close()
    printer.end(reader.live, totals, int(code), reader.untold, tables.problem if tables else "")
    if reader.failure is not None:
        raise reader.failure
    return code


def _run(
    handle: labs.Handle,
    host: str,
    command: list[str],
    name: str,
    timeout_s: float,
    printer: _Printer,
) -> int:
    from hoplab.client import commands

    with commands.Interrupts() as interrupts:
        code, _ = commands.run_on(
            handle, host, command, echo=printer.printed, timeout_s=timeout_s, interrupts=interrupts
        )
    interrupted = interrupts.count > 0
    printer.ended(ExitStatus(code, name, interrupted=interrupted))
    if interrupted:
        return Exit.INTERRUPTED
    return Exit.OK if code == 0 else Exit.FAILED


def _until_it_ends(sock: socket.socket, name: str) -> None:
    """Wait for Ctrl-C. Raises LabError if the lab ends before."""
    wait.readable([sock.fileno()])
    data = sock.recv(LARGEST_MESSAGE, socket.MSG_PEEK)
    if not data:
        raise LabError(
            say("the lab {lab} ended, and the story with it", lab=name), "", Exit.LAB_DIED
        )


def _stop(sock: socket.socket, name: str) -> dict[str, Any]:
    """End the capture; its totals. One that has ended by itself has said them already."""
    labs.send(sock, {"stop": True})
    totals: dict[str, Any] = labs.receive(sock, name, STOP_S)["ok"]
    return totals


class _Watch:
    """How the lab itself changes, told to a program that reads: its cables, its controller. People
    see what they do."""

    def __init__(self, handle: labs.Handle, printer: _Printer) -> None:
        self._looks = Looks(handle)
        self._printer = printer
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> _Watch:
        return self

    def begin(self) -> None:
        """Tell how it is, and from now on what changes."""
        if self._printer.json:
            self._look()
            self._thread.start()

    def _look(self) -> None:
        with contextlib.suppress(LabError, OSError):  # its end is told by whoever waits for it
            self._printer.changes(self._looks.news())

    def _run(self) -> None:
        while not self._over.wait(WATCHED_S):
            self._look()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(STOP_S)


class _Reader(threading.Thread):
    """The thread that reads frames from the capture's pipe and hands packets to the printer."""

    def __init__(self, pipe: int, heard: Heard, printer: _Printer, live: Live) -> None:
        super().__init__(daemon=True)
        self.pipe = pipe
        self.heard = heard
        self.printer = printer
        self.live = live
        self.failure: BaseException | None = None
        self.untold = 0  # frames that came too late to be followed
        self._heard = threading.Event()
        self._pieces: deque[bytes] = deque()  # read, and not looked at yet
        self._waiting = 0  # bytes of them
        self._last_ns = 0  # of the last frame that was looked at
        self._counts = Counts()
        self._counted_s = time.monotonic()
        self._stopping_s = 0.0  # when the capture was to end

    def run(self) -> None:
        """Read until the capture closes its end of the pipe."""
        try:
            self._read()
        except BaseException as error:  # the main thread reports it
            self.failure = error
        finally:
            os.close(self.pipe)

    def _read(self) -> None:
        """Reading goes before telling: a recorder that waits for us loses frames, and one that is
        to stop would seem dead."""
        clock = Clock()
        looked, cost_s = 0.0, 0.0
        ended = False
        while not ended or (self._pieces and not self._too_late()):
            ended = ended or self._fetch()
            if self._pieces:
                piece = self._pieces.popleft()
                self._waiting -= len(piece)
                self._take(piece)
            now = time.monotonic()
            if now - looked >= max(LOOK_S, LOOK_SHARE * cost_s):
                self.printer.news(self.live.poll(self._now_ns(clock)))
                looked = time.monotonic()
                cost_s = looked - now
            if now - self._counted_s >= COUNTED_S:
                self._tell_counts(now)
        self._close()

    def _fetch(self) -> bool:
        """Take what is in the pipe, as much as may wait to be told; whether the pipe has ended."""
        while self._waiting < BEHIND_MOST or self._stopping_s:
            if not wait.readable([self.pipe], 0 if self._pieces else LOOK_S):
                return False
            piece = os.read(self.pipe, 1 << 16)
            if not piece:
                return True
            self._pieces.append(piece)
            self._waiting += len(piece)
        return False

    def _close(self) -> None:
        """Count what came too late to be told, and end the story."""
        last_ns = self._last_ns
        for data in self._pieces:
            piece = self.heard.read(data)
            self._count(piece)
            self.untold += sum(map(self.heard.wired, piece.frames))
        ended_ns = last_ns if self.untold else self.heard.ended_ns
        self.live.cover(replace(self.heard.coverage(), ended_ns=ended_ns))
        self.printer.news(self.live.finish())
        self._tell_counts(time.monotonic())

    def _count(self, piece: Piece) -> None:
        """Frames by port, and what switches tell of their tables: as they come."""
        if not self.printer.json:
            return
        for frame in piece.frames:
            port = self.heard.ports[frame.port] if self.heard.wired(frame) else None
            if port is not None:
                self._counts.add(port, frame)
        self.printer.changes({"event": "table", **each} for each in table_changes(piece.notes))

    def _tell_counts(self, now_s: float) -> None:
        """What was counted since this was done last."""
        self._counted_s = now_s
        if self._counts.ports:
            self.printer.changes([_counted(self._counts, self.heard.wiring)])
            self._counts = Counts()

    def stop(self) -> None:
        """The capture is about to be ended: what has come by now is told, if it is not too much."""
        self._stopping_s = time.monotonic()

    def _too_late(self) -> bool:
        return bool(self._stopping_s) and time.monotonic() - self._stopping_s > BEHIND_S

    def _now_ns(self, clock: Clock) -> int:
        """What time it is in the story. What waits to be read may be news of any packet."""
        if clock.jumped():  # no age means anything: all is told at once
            return 1 << 62
        return self._last_ns if self._pieces else time.time_ns()

    def _take(self, data: bytes) -> None:
        piece = self.heard.read(data)
        self._count(piece)
        if piece.frames:
            self._last_ns = max(self._last_ns, piece.frames[-1].t_ns)
        if self.heard.tell(self.live, piece):
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
        self.tr = output.spoken()
        self.ascii = not output.is_utf8()
        self.colour = output.colour_wanted()
        self._lock = threading.Lock()
        self._frames: dict[int, int] = {}  # of the packets that may still go on
        self._legs = 0
        self._explained: set[str] = set()  # switches whose flooding has been explained
        self._crowd = Crowd()

    def _print(self, *lines: str) -> None:
        with self._lock:
            sys.stdout.write("".join(line + "\n" for line in lines))
            sys.stdout.flush()

    def _object(self, **data: Any) -> None:
        self._print(json.dumps(data, ensure_ascii=False))

    def head(self, host: str | None, command: str) -> None:
        """What is run; every interface is listened to by now."""
        if self.json:
            self._object(
                event="listening", version=EVENTS_VERSION, host=host or "", command=command
            )
        elif command:
            self._print(f"{host}: {command}")
        else:
            self._print(self.tr(term("Following every packet; Ctrl-C ends it.")))

    def changes(self, events: Iterable[dict[str, Any]]) -> None:
        """What a program is told beside the packets."""
        for event in events:
            self._object(**event)

    def printed(self, line: str) -> None:
        """A line that the command printed."""
        if self.json:
            self._object(event="output", line=line)
        else:
            self._print(f" | {line}")

    def ended(self, status: ExitStatus) -> None:
        """The command has ended; a status of 0 needs no words."""
        if self.json:
            self._object(event="ended", exit_code=status.code, sentence=status.sentence)
        elif status.code or status.interrupted:
            self._print(self.tr(status.sentence))

    def news(self, news: list[News]) -> None:
        """Packets, as far as they have come."""
        for message in news:
            trip = message.trip
            new_frames = trip.frames - self._frames.pop(trip.number, 0)
            self._legs += new_frames
            self._frames[trip.number] = trip.frames
            if len(self._frames) > 10_000:  # older ones are settled
                del self._frames[next(iter(self._frames))]
            if self._crowd.takes(trip, new_frames, time.monotonic()):
                continue
            if self.json:
                self._object(**_plain(message))
                continue
            self._print(
                *live_lines(
                    message,
                    self._explained,
                    width=output.terminal_width(),
                    color=self.colour,
                    ascii=self.ascii,
                    tr=self.tr,
                )
            )

        if self._crowd.due(time.monotonic()):
            self._tell_crowd()

    def _tell_crowd(self) -> None:
        """A line for all that is like what was told before."""
        packets, frames, kinds = self._crowd.take_out()
        if not (packets or frames):
            return
        if self.json:
            self._object(event="alike", packets=packets, frames=frames, kinds=kinds)
            return
        text = say(
            "… like those above: {kinds}, {frames}",
            kinds=listed(count_kind(kind, n) for kind, n in kinds.items()),
            frames=number_of("{n:,} frame", "{n:,} frames", frames),
        )
        line = self.tr(text)
        self._print(line.replace("…", "...") if self.ascii else line)

    def end(
        self, live: Live, totals: dict[str, Any], code: int, untold: int, problem: str
    ) -> None:
        """The counts. problem: why the switches' own tables could not be asked, or ""."""
        self._tell_crowd()
        packets, orphans, dropped = live.packets, live.orphans, int(totals["dropped"])
        losses = live.queue_losses
        if self.json:
            self._object(
                event="end",
                packets=packets,
                frames=self._legs,
                orphans=orphans,
                dropped=dropped,
                untold=untold,
                unexplained=live.unexplained,
                not_asked=problem,
                lost_in_switches=[
                    queue_loss_data(loss) for loss in losses if loss.kind == "switch"
                ],
                lost_in_queues=[queue_loss_data(loss) for loss in losses],
                exit_code=code,
            )
            return
        count: str = say(
            "{packets} told, {frames} on the links.",
            packets=number_of("{n:,} packet", "{n:,} packets", packets),
            frames=number_of("{n:,} frame", "{n:,} frames", self._legs),
        )
        self._print("", self.tr(count))
        for fault in _faults(untold, live.unexplained, dropped, orphans):
            self._print(self.tr(fault))
        if problem:
            self._print(self.tr(unasked(problem)))
        for loss in losses:
            self._print(self.tr(queue_loss(loss)))


def _faults(untold: int, unexplained: int, dropped: int, orphans: int) -> list[str]:
    """What the counts lack: frames that were not told, not captured, or not understood, and packets
    told without their why."""
    faults: list[str] = []
    if untold:
        faults.append(
            number_of(
                "{n:,} more frame came faster than it could be told.",
                "{n:,} more frames came faster than they could be told.",
                untold,
            )
        )
    if unexplained:
        faults.append(
            number_of(
                "Of {n:,} packet it is not told why a switch did what it did: frames came faster "
                "than its tables could be asked.",
                "Of {n:,} packets it is not told why a switch did what it did: frames came faster "
                "than its tables could be asked.",
                unexplained,
            )
        )
    if dropped:
        faults.append(
            number_of(
                "The capture missed {n:,} frame: what seems lost may have passed.",
                "The capture missed {n:,} frames: what seems lost may have passed.",
                dropped,
            )
        )
    if orphans:
        faults.append(
            number_of(
                "{n:,} frame that fit no known way",
                "{n:,} frames that fit no known way",
                orphans,
            )
        )
    return faults


class Crowd:
    """Packets that are counted, since they are like others that were told: of those that go round
    a loop of switches one shows how, and nobody reads thousands of equal lines in a second."""

    def __init__(self) -> None:
        self._begun_s = 0.0  # of the second that is counted
        self._storms: dict[str, float] = {}  # kinds of packets that go round, when last seen so
        self._seen: Counter[Kind] = Counter()
        self._numbers: dict[int, str] = {}  # of the packets, with their kinds
        self._frames = 0
        self._told = 0  # in this second

    def takes(self, trip: Trip, frames: int, now_s: float) -> bool:
        """Whether this one is only counted. frames: those that are new."""
        if trip.storm is not None and trip.storm.back:
            self._storms[trip.kind] = now_s
        kind = kind_of(trip, set(self._storms))
        self._seen[kind] += 1
        at_most = ALIKE_MOST if not self._storms else 1
        if self._seen[kind] <= at_most and (not self._storms or self._told < STORM_TOLD):
            self._told += 1
            return False
        self._numbers[trip.number] = trip.kind
        self._frames += frames
        return True

    def due(self, now_s: float) -> bool:
        """Whether a second is over, and what was counted in it is to be told."""
        if now_s - self._begun_s < COUNTED_S:
            return False
        self._begun_s = now_s
        self._storms = {
            kind: at_s for kind, at_s in self._storms.items() if now_s - at_s < STORM_OVER_S
        }
        storms = [kind for kind in self._seen if kind[0] == "storm" and kind[1] in self._storms]
        self._seen = Counter(dict.fromkeys(storms, 1))
        self._told = 0
        return True

    def take_out(self) -> tuple[int, int, dict[str, int]]:
        """Packets, their frames, and packets by kind, that have not been told."""
        counted = len(self._numbers), self._frames, dict(Counter(self._numbers.values()))
        self._numbers, self._frames = {}, 0
        return counted


def _counted(counts: Counts, wiring: Wiring) -> dict[str, Any]:
    """Frames that were counted, by port, as one JSON object."""
    names = ("sent", "sent_bytes", "received", "received_bytes")
    ports = [
        {"port": wiring.interfaces[port].name, **dict(zip(names, numbers, strict=True))}
        for port, numbers in sorted(counts.ports.items())
    ]
    return {"event": "frames", "ports": ports}


def _flows(made: Decision) -> tuple[FlowTaken, ...]:
    """The flows that took the frame, where the switch's tables were asked."""
    return made.passage.flows if made.passage is not None else ()


def _plain(message: News) -> dict[str, Any]:
    """A packet as one JSON object."""
    trip = message.trip
    return {
        "event": "more" if message.more else "packet",
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
        "decisions": [
            {**decision(each), "flows": [flow_to_plain(flow) for flow in _flows(each)]}
            for each in trip.decisions
        ],
        "ended": message.ended,
    }
