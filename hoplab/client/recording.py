# SPDX-License-Identifier: Apache-2.0
"""One command on one host, with every frame of the lab captured around it.

Capture first, tell later: listen everywhere, run the command, wait until the network is quiet,
stop. What is left is a run folder: `lab.json` (who is wired to whom), `capture.pcapng` (all
interfaces), `hosts.json` (what hosts were set to), `trace.json` (the story as data). Telling reads
nothing but that folder.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import socket
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hoplab import content
from hoplab.capture import pcapng_reader, pcapng_writer
from hoplab.client import labs
from hoplab.client.commands import Interrupts, TimedOut, run_on
from hoplab.client.interrupts import hold_interrupts
from hoplab.client.schedule import Planned, Schedule
from hoplab.errors import LabError, cannot_write
from hoplab.runs import CAPTURE, HELD_MOST, HOSTS, STATE, TRACE
from hoplab.sentences import Sentence, say
from hoplab.story.tell import Story
from hoplab.story.trip_records import Leg

QUIET_S = 0.25  # longer than a delayed ACK (RFC 9293, 3.8.6.3) and than a switch's detour
QUIET_WITHIN_S = 4.0
STOP_S = 5.0  # for a capture to end, where somebody is in a hurry

__all__ = ["CAPTURE", "HOSTS", "STATE", "TRACE", "Run", "fetch_command", "record"]


LATE = 124  # the exit code of a command that was ended because it took too long, as timeout(1) has


@dataclass(frozen=True)
class Run:
    """What was recorded. `folder` holds the files; `code` and `output` are the command's, None and
    "" where there was none. late: it had to be ended. interrupted: somebody pressed Ctrl-C, and the
    command was told."""

    folder: Path
    code: int | None
    output: str
    quiet: bool
    frames: int
    dropped: int
    late: TimedOut | None = None
    interrupted: bool = False
    remarks: tuple[str, ...] = ()


class _Facts:
    """What the lab's hosts are set to, counted from the beginning of a recording on."""

    def __init__(self, handle: labs.Handle) -> None:
        self._name = handle.name
        self._sock = handle.connect()
        labs.send(self._sock, {"op": "facts"})

    def begin(self) -> None:
        """Wait until the lab has read its hosts' counters, so that later readings show a
        difference."""
        with contextlib.suppress(LabError):  # then there are none to keep
            labs.receive(self._sock, self._name)

    def ask(self, *, failed: bool) -> None:
        """Have them read, while the network becomes quiet."""
        labs.send(self._sock, {"now": True, "failed": failed})

    def keep(self, folder: Path) -> None:
        """Write them down beside the capture. Without them the frames alone tell."""
        with contextlib.suppress(LabError, OSError):
            facts = labs.receive(self._sock, self._name)["ok"]
            if facts:
                (folder / HOSTS).write_text(json.dumps({"format": 1, **facts}))

    def close(self) -> None:
        self._sock.close()


@dataclass(frozen=True)
class _Recording:
    """A capture that runs, at the lab's socket, and the facts of its hosts."""

    capture: socket.socket
    facts: _Facts


@contextlib.contextmanager
def _listening(handle: labs.Handle, path: Path) -> Iterator[_Recording]:
    # At once, for it needs little room, and without it nobody can tell what the frames are: the
    # disk may be full at the end.
    _keep_state(handle, path.parent)
    with handle.connect() as sock, contextlib.closing(_Facts(handle)) as facts:
        labs.send(sock, {"op": "capture", "path": str(path)})
        labs.receive(sock, handle.name)
        facts.begin()
        yield _Recording(sock, facts)


def record(
    handle: labs.Handle,
    host: str,
    argv: Sequence[str],
    folder: Path,
    *,
    show: bool = False,
    timeout_s: float = 120,
    planned: Sequence[Planned] = (),
) -> Run:
    """Run `argv` on `host` with everything captured into `folder`, which exists.

    show: what the command prints goes to our own stdout and stderr, as it comes. A command that
    does not end is ended after `timeout_s`; what its frames did until then is recorded all the
    same. planned: changes of the lab meanwhile. A KeyboardInterrupt leaves what was captured in
    `folder`. Raises LabError.
    """
    with _listening(handle, folder / CAPTURE) as recording, Interrupts() as interrupts:
        try:
            late = None
            schedule = Schedule(handle, planned)
            try:
                with schedule:
                    code, output = run_on(
                        handle, host, argv, show=show, timeout_s=timeout_s, interrupts=interrupts
                    )
            except TimedOut as error:
                code, output, late = LATE, error.output, error
            run = _end(handle, recording, folder, code, output)
        except KeyboardInterrupt:
            hold_interrupts()  # whoever pressed it twice presses it again
            with contextlib.suppress(LabError, OSError):
                labs.send(recording.capture, {"stop": True})
                labs.receive(recording.capture, handle.name, STOP_S)
                _keep_state(handle, folder)
            raise
        interrupted = interrupts.count > 0
        remarks = tuple(schedule.remarks)
        return replace(run, late=late, interrupted=interrupted, remarks=remarks)


def _end(
    handle: labs.Handle, recording: _Recording, folder: Path, code: int | None, output: str
) -> Run:
    """Wait until the network is quiet, and stop."""
    capture = recording.capture
    recording.facts.ask(failed=bool(code))
    labs.send(capture, {"quiet_s": QUIET_S, "within_s": QUIET_WITHIN_S})
    calm = labs.receive(capture, handle.name)["ok"]
    labs.send(capture, {"stop": True})
    held = labs.receive(capture, handle.name)["ok"]
    recording.facts.keep(folder)
    _keep_state(handle, folder)
    if held.get("gone"):
        _keep_gone(folder, held["gone"])
    return Run(folder, code, output, calm["quiet"], held["frames"], held["dropped"])


def _keep_state(handle: labs.Handle, folder: Path) -> None:
    """What the lab is, beside its capture; what stood there stays if there is no room for this.
    Raises LabError."""
    fresh = folder / f"{STATE}.new"
    try:
        shutil.copyfile(handle.folder / STATE, fresh)
        os.replace(fresh, folder / STATE)
    except OSError as error:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise cannot_write(error, folder) from error


def keep_lab(handle: labs.Handle, folder: Path) -> None:
    """What the lab is, and what its hosts are set to, beside a capture that somebody else made.
    Raises LabError."""
    _keep_state(handle, folder)
    with contextlib.closing(_Facts(handle)) as facts:
        facts.begin()
        facts.ask(failed=True)
        facts.keep(folder)


def _keep_gone(folder: Path, gone: dict[str, list[dict[str, Any]]]) -> None:
    """Beside what the lab is now, what else it was while it was captured: nodes and interfaces that
    were taken away meanwhile. Raises LabError."""
    try:
        state = json.loads((folder / STATE).read_text())
        (folder / STATE).write_text(json.dumps(with_gone(state, gone)))
    except OSError as error:
        raise cannot_write(error, folder) from error


def with_gone(
    state: dict[str, Any], gone: dict[str, list[dict[str, Any]]]
) -> dict[str, Any]:
    """A lab.json, with what it does not have any more. A cable of which one end is another's now
    has no other end."""
    whole = dict(state)
    for kind in ("nodes", "interfaces"):
        there = {each["name"] for each in state[kind]}
        whole[kind] = [*state[kind], *(each for each in gone[kind] if each["name"] not in there)]
    peers = {each["name"]: each["peer"] for each in whole["interfaces"]}
    whole["interfaces"] = [
        each if peers.get(each["peer"]) == each["name"] else {**each, "peer": None}
        for each in whole["interfaces"]
    ]
    return whole


def watch(handle: labs.Handle, folder: Path, until: Callable[[], None]) -> Run:
    """Capture everything into `folder`, which exists, while `until` runs. Raises LabError."""
    with _listening(handle, folder / CAPTURE) as recording:
        until()
        return _end(handle, recording, folder, None, "")


def fetch_command(url: str, timeout_s: float = 30, *, every: bool = False) -> list[str]:
    """The command line that fetches a URL with the lab's own client; `every`: and what it shows."""
    fetch = content.folder("apps") / "fetch.py"
    command = [sys.executable, str(fetch), url, "--timeout", f"{timeout_s:g}"]
    return [*command, "--all"] if every else command


def annotate(folder: Path, story: Story, tr: Callable[[str], str] = str) -> None:
    """Put the story's own line into the capture, as a comment of every frame that it tells of.
    tr: makes of a sentence that of the reader's language. Raises OSError; the capture is as it was
    then."""
    path = folder / CAPTURE
    fresh = path.with_suffix(".new")
    try:
        comments = {number: tr(text) for number, text in _comments(story).items()}
        _annotate(path, fresh, comments)
    except BaseException:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise


def _annotate(path: Path, fresh: Path, comments: dict[int, str]) -> None:
    with open(fresh, "wb") as file:
        if path.stat().st_size <= HELD_MOST:
            pcapng_writer.write_all(file, pcapng_reader.read(path), comments)
        else:
            pieces = pcapng_reader.read_pieces(path)
            capture, frames = next(pieces)
            rest = itertools.chain.from_iterable(more for _, more in pieces)
            pcapng_writer.write_all(file, capture, comments, itertools.chain(frames, rest))
    os.replace(fresh, path)


def frame_comment(
    packet: int | str, title: str, place: str, from_port: str, to_port: str
) -> Sentence:
    """What a frame's comment says: of which packet it is, and on which link of its way it was. The
    plugin for Wireshark (`hoplab.wireshark.dissector`) reads it by the same template."""
    way = say("{port} to nothing", port=from_port)
    if to_port:
        way = say("{port} to {port2}", port=from_port, port2=to_port)
    return say(
        "#{packet} {title}, {place}: {way}", packet=packet, title=title, place=place, way=way
    )


def place(hop: int | str, hops: int | str, copies: int | str = 1) -> Sentence:
    """Which link of its way a frame was on, and of how many copies it was one."""
    if copies != 1:
        return say("hop {hop} of {total}, one of {n} copies", hop=hop, total=hops, n=copies)
    return say("hop {hop} of {total}", hop=hop, total=hops)


def fates(comment: Sentence, node: str) -> dict[str, Sentence]:
    """A comment with what became of the frame, by a word for that. node: who ignored it."""
    return {
        "lost": say("{comment}, lost there", comment=comment),
        "cut": say("{comment}, cut by the capture's end", comment=comment),
        "unseen": say("{comment}, not seen to arrive", comment=comment),
        "ignored": say("{comment}, ignored by {node}", comment=comment, node=node),
    }


def channel_comments(packet: int | str, sentence: str) -> dict[str, Sentence]:
    """The comments of the messages in which a switch and its controller speak of a packet."""
    return {
        "question": say(
            "#{packet} the question about it: {sentence}", packet=packet, sentence=sentence
        ),
        "answer": say(
            "#{packet} the answer about it: {sentence}", packet=packet, sentence=sentence
        ),
    }


def _comments(story: Story) -> dict[int, str]:
    """Frame number -> '#3 DNS question A www.itheima.com, hop 2 of 5: s1-eth3 to r1-eth0'."""
    comments: dict[int, str] = {}
    for trip in story.trips:
        unwanted = {copy.leg for copy in trip.ignored}
        hops: list[int] = []  # of each leg, from the sender on: copies have the same
        for leg in trip.legs:
            hops.append(1 if leg.parent is None else hops[leg.parent] + 1)
        copies, total = Counter(hops), max(hops, default=0)
        for leg, hop in zip(trip.legs, hops, strict=True):
            comment = frame_comment(
                trip.number, trip.title, place(hop, total, copies[hop]), leg.tail_interface,
                leg.head_interface,
            )  # fmt: skip
            ends = fates(comment, leg.head)
            if leg.sent is not None:
                comments[leg.sent] = ends.get(_fate(leg), comment)
            if leg.received is not None:
                comments[leg.received] = ends["ignored"] if leg.index in unwanted else comment
        for decision in trip.decisions:
            spoken = channel_comments(trip.number, decision.sentence)
            if decision.packet_in:
                comments[decision.packet_in] = spoken["question"]
            if decision.packet_out:
                comments[decision.packet_out] = spoken["answer"]
    return comments


def _fate(leg: Leg) -> str:
    """What became of a frame that was not seen to arrive; "" of any other."""
    return "lost" if leg.lost else "cut" if leg.cut else "unseen" if leg.unseen else ""
