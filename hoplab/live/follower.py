# SPDX-License-Identifier: Apache-2.0
"""The process that follows one lab for all pages that look at it.

    python -m hoplab.live.follower LAB

What lives here: its lines. What must not: pages, sockets of theirs.

It is a process of its own, so that pages are answered at once however much there is to follow, and
nicer than others, since it shares the machine with the lab. It writes a JSON object a line:

    {"is": "scene", "grown": BOOL}                   first, and when the lab has become another one;
        the next line is the scene
    {"is": "counts", "ports": [[PORT, OUT, OUT_BYTES, IN, IN_BYTES], ...], "seen": FRAMES,
        "seconds": S, "late": BOOL}                  ten times a second, as long as frames come
    {"is": "told", "packets": N, "shown": M, "frames": FRAMES}   N packets were told meanwhile; the
        next line is the piece with the M of them that are shown, and so many new frames
    {"is": "alive", "late": BOOL}                    twice a second: there is time to follow the lab
    {"is": "inside", "id": ID, "inside": ... or null}               an answer
    {"is": "origins", "id": ID, "origins": {NODE: ...}}             an answer (`origins.py`)
    {"is": "kept", "id": ID, "frames": N, "error": [ERRNO, TEXT, FILE] or null}     an answer
    {"is": "trouble", "sentence": WORDS}             what is not told
    {"is": "ended"}                                  last: the lab has

and reads {"inside": PACKET, "id": ID}, {"keep": FILE, "seconds": S, "id": ID} and {"origins":
[NODE, ...], "id": ID} from its stdin, whose end is its own.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hoplab import wait
from hoplab.client import labs
from hoplab.errors import LabError
from hoplab.follow.wiring import Wiring, WiringError
from hoplab.live.following import Following
from hoplab.live.pieces import Shown, inside, numbers_of, piece
from hoplab.report.language import Language, language, languages
from hoplab.runs import STATE
from hoplab.sentences import say, sentence_of
from hoplab.story.live import News
from hoplab.story.trip_records import Trip
from hoplab.web.player import plain
from hoplab.web.scene import empty_scene

NICE = 5
COUNTED_S = 0.1
TOLD_S = 0.2  # packets are written so often at the most
ALIVE_S = 0.5
LOOK_AGAIN_S = 0.3  # whether the lab has become another one


class Follower:
    """A lab, its pages' lines, and what was written of it."""

    def __init__(self, handle: labs.Handle, spoken: Sequence[Language]) -> None:
        self._handle = handle
        self._spoken = spoken
        self._started_ns = time.time_ns()
        self._shown = Shown()
        self._waiting: dict[int, Trip] = {}  # to be written
        self._wrote_s = self._counted_s = self._looked_s = self._alive_s = 0.0
        self._stamp: tuple[int, int] | None = None
        self._problem = ""
        self._orders = b""
        self._following = self._begin(0)

    def _begin(self, packets: int) -> Following:
        self._stamp = self._stamped()
        following = Following(self._handle, packets=packets)
        self._say_scene(following.wiring, grown=False)
        return following

    def _stamped(self) -> tuple[int, int] | None:
        """When the description of the lab was written last."""
        try:
            status = os.stat(self._handle.folder / STATE)
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino

    def run(self) -> None:
        """Until the lab ends, or whoever listens."""
        try:
            while self._step():
                pass
        finally:
            self._following.close()

    def _step(self) -> bool:
        following = self._following
        size = len(following.wiring.interfaces)
        ready = wait.readable([0, *following.descriptors()], COUNTED_S)
        if 0 in ready and not self._take_orders():
            return False
        self._take(following.step(0))
        if len(following.wiring.interfaces) != size:
            self._say_scene(following.wiring, grown=True)
        now_s = time.monotonic()
        if now_s - self._counted_s >= COUNTED_S:
            self._counted_s = now_s
            self._say_counts()
        if now_s - self._alive_s >= ALIVE_S:
            self._alive_s = now_s
            write(**{"is": "alive", "late": following.late})
        if self._waiting and (following.ended or now_s - self._wrote_s >= TOLD_S):
            self._wrote_s = now_s
            self._say_packets()
        if following.ended:
            self._say_counts()
            write(**{"is": "ended"})
            return False
        if now_s - self._looked_s >= LOOK_AGAIN_S:
            self._looked_s = now_s
            self._look_again()
        return True

    def _take(self, news: Iterable[News]) -> None:
        for message in news:
            self._waiting[message.trip.number] = message.trip
            self._following.origins.tell([message.trip])

    def _look_again(self) -> None:
        """Whether something was taken away from the lab, so that what is followed is another one;
        and whether its switches can be asked."""
        problem = self._following.problem
        if problem and problem != self._problem:
            text = say("switches are not asked why they did what they did: {why}", why=problem)
            write(**{"is": "trouble", "sentence": in_all(text, self._spoken)})
        self._problem = problem
        stamp = self._stamped()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            fresh = Wiring.load(self._handle.folder / STATE)
        except (OSError, WiringError):
            return  # it has ended, or is written at this moment
        wiring = self._following.wiring
        if became_another(wiring, fresh):
            before = self._following
            self._say_packets()
            self._following = self._begin(before.packets)
            before.close()
        elif wiring.controller != fresh.controller:
            wiring.controller = fresh.controller
            self._say_scene(wiring, grown=True)

    def _take_orders(self) -> bool:
        """What pages want to know; whether somebody still listens."""
        data = os.read(0, 1 << 16)
        *lines, self._orders = (self._orders + data).split(b"\n")
        for line in lines:
            order = json.loads(line)
            if "keep" in order:
                self._keep(order)
            elif "origins" in order:
                nodes = [node for node in order["origins"] if node in self._following.wiring.nodes]
                told = {node: self._following.origins_of(node) for node in nodes}
                write(**{"is": "origins", "id": order["id"], "origins": told})
            else:
                self._say_inside(order)
        return bool(data)

    def _say_inside(self, order: dict[str, Any]) -> None:
        trip = self._shown.packet(int(order["inside"]))
        found = None
        if trip is not None:
            frames = self._following.frames.of(numbers_of([trip]))
            found = inside(trip, frames, self._following.wiring, self._spoken)
        write(**{"is": "inside", "id": order["id"], "inside": found})

    def _keep(self, order: dict[str, Any]) -> None:
        """Write the last minutes as a capture."""
        begun_ns = time.time_ns() - int(float(order["seconds"]) * 1e9)
        answer: dict[str, Any] = {"is": "kept", "id": order["id"], "frames": 0, "error": None}
        try:
            answer["frames"] = self._following.keep(Path(order["keep"]), begun_ns)
        except OSError as error:
            answer["error"] = [error.errno, error.strerror, order["keep"]]
        write(**answer)

    def _say_scene(self, wiring: Wiring, *, grown: bool) -> None:
        first = next((name for name in wiring.nodes if wiring.kind(name) == "host"), "")
        host = str(wiring.extra.get("client") or first)
        write(**{"is": "scene", "grown": grown})
        write(**empty_scene(wiring, host, self._spoken))

    def _say_counts(self) -> None:
        counts = self._following.take_counts()
        if counts.ports or self._following.late:
            ports = [[port, *numbers] for port, numbers in sorted(counts.ports.items())]
            seconds = (time.time_ns() - self._started_ns) / 1e9
            write(**{"is": "counts", "ports": ports, "seen": counts.seen,
                     "seconds": round(seconds, 3), "late": self._following.late})  # fmt: skip

    def _say_packets(self) -> None:
        trips = [self._waiting[number] for number in sorted(self._waiting)]
        if not trips:
            return
        self._waiting.clear()
        chosen, shown_frames = self._shown.choose(trips)
        wiring = self._following.wiring
        frames = self._following.frames.of(numbers_of(chosen))
        made = piece(chosen, frames, wiring, self._started_ns, self._spoken)
        write(**{"is": "told", "packets": len(trips), "shown": len(chosen),
                 "frames": shown_frames})  # fmt: skip
        write(**made)


def became_another(wiring: Wiring, fresh: Wiring) -> bool:
    """Whether something was taken away, or joined otherwise, so that places do not hold."""
    if wiring.nodes.keys() - fresh.nodes.keys():
        return True
    peers = {interface.name: interface.peer for interface in fresh.interfaces}
    return any(
        interface.name not in peers or peers[interface.name] != interface.peer
        for interface in wiring.interfaces
    )


def in_all(text: str, spoken: Sequence[Language]) -> dict[str, str]:
    """A sentence in every language."""
    return {each.code: each(text) for each in spoken}


def write(**line: Any) -> None:
    """A line of ours."""
    sys.stdout.write(plain(line) + "\n")
    sys.stdout.flush()


def main(name: str) -> int:
    """Follow the lab of this name until it ends."""
    os.nice(NICE)
    spoken = [language(code) for code in languages()]
    try:
        Follower(labs.Handle(name), spoken).run()
    except BrokenPipeError:
        return 0  # nobody reads
    except (LabError, OSError, ValueError) as error:
        text = error.message if isinstance(error, LabError) else sentence_of(error)
        write(**{"is": "trouble", "sentence": in_all(text, spoken)})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
