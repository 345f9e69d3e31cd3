# SPDX-License-Identifier: Apache-2.0
"""One running lab, as all pages see it that look at it: one follower, whose lines go to each.

What lives here: the follower's process, what was said of the lab last, what waits for each page.
What must not: WebSockets (`pages.py`), what is in a line (`follower.py`).

A page is sent a batch when it has asked for one. What comes meanwhile is summed: counts are added
up, and of the packets the last `MOST_PIECES` pieces are kept. So however long a page hangs, it is
late by one batch, and no memory grows.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hoplab.client import labs
from hoplab.client.inventory import facts_of, services_of
from hoplab.client.recording import keep_lab
from hoplab.errors import LabError
from hoplab.live.entries import held_by, tables_of
from hoplab.live.follower import in_all
from hoplab.live.looks import cables_of
from hoplab.report.language import Language
from hoplab.runs import CAPTURE
from hoplab.sentences import say
from hoplab.wait import patience

MOST_PIECES = 6
HISTORY = 40  # pieces that a page is sent which comes later
LINE_MOST = 64 << 20
LOOK_S = 1.0  # how often a lab is asked how it is
SERVICES_LOOKS = 4  # once in so many times also what serves on its hosts
AGAIN_S = 1.0  # before a follower is started again that ended while its lab lives
INSIDE_S, KEEP_WITHIN_S = 5.0, 30.0  # for the follower's answers
LINGER_S = 5.0  # for so long a lab is followed that nobody looks at


def about_tables(node: str) -> str:
    """What the tables of a node are told under (`Feed.publish`)."""
    return f"tables {node}"


@dataclass
class Told:
    """Packets that the follower has told: its piece as it was written, how many packets and new
    frames are in it, and how many packets these were chosen from."""

    piece: str
    shown: int
    frames: int
    packets: int


@dataclass
class Waiting:
    """What waits for one page. counts: by port, since its last batch."""

    counts: dict[int, list[int]] = field(default_factory=dict)
    seen: int = 0
    seconds: float = 0.0
    packets: int = 0
    told: deque[Told] = field(default_factory=lambda: deque(maxlen=MOST_PIECES))

    def __bool__(self) -> bool:
        return bool(self.counts or self.told or self.seen)

    def count(self, line: dict[str, Any]) -> None:
        """Add what was counted."""
        for port, *numbers in line["ports"]:
            sums = self.counts.setdefault(port, [0, 0, 0, 0])
            for place, number in enumerate(numbers):
                sums[place] += number
        self.seen += line["seen"]
        self.seconds = line["seconds"]

    def add(self, told: Told) -> None:
        """Add packets; older ones make room."""
        self.packets += told.packets
        self.told.append(told)

    def batch(self, lab: str, revision: int, number: int) -> str:
        """All of it as one message."""
        head = {
            "type": "batch",
            "lab": lab,
            "revision": revision,
            "batch": number,
            "seconds": self.seconds,
            "counts": [[port, *numbers] for port, numbers in sorted(self.counts.items())],
            "frames": [sum(told.frames for told in self.told), self.seen],
            "packets": [sum(told.shown for told in self.told), self.packets],
        }
        text = json.dumps(head, separators=(",", ":"))
        return f'{text[:-1]},"pieces":[{",".join(told.piece for told in self.told)}]}}'


class Feed:
    """A lab that is looked at. waiting: what waits for each page."""

    def __init__(self, name: str, spoken: Sequence[Language], changed: Callable[[], None]) -> None:
        """changed: is called when there is something new for the pages."""
        self.name = name
        self.revision = 0
        self.waiting: dict[object, Waiting] = {}
        self.wanted: dict[object, frozenset[str]] = {}  # whose tables each page shows
        self.messages: dict[str, str] = {}  # said last, by what it is about: scene, cables, state
        self.versions: dict[str, int] = {}  # how often each was said
        self.dead = False
        self._handle = labs.Handle(name)
        self._spoken = spoken
        self._changed = changed
        self._totals: dict[int, list[int]] = {}
        self._history: deque[Told] = deque(maxlen=HISTORY)
        self._process: asyncio.subprocess.Process | None = None
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._next_id = 0
        self._beats = 0
        self._look = asyncio.Event()  # somebody has changed something
        self._looks = 0
        self._services: dict[str, dict[str, bool]] = {}
        self._tasks = [
            asyncio.create_task(self._follow()), asyncio.create_task(self._look_after()),
        ]  # fmt: skip

    def join(self, page: object) -> None:
        """A page looks at it from now on. It is sent the last packets, too."""
        waiting = self.waiting[page] = Waiting()
        for told in list(self._history)[-MOST_PIECES:]:
            waiting.add(told)

    def join_again(self, page: object) -> None:
        """A page has been sent what waited for it."""
        seconds = self.waiting[page].seconds
        self.waiting[page] = Waiting(seconds=seconds)

    def leave(self, page: object) -> None:
        """A page looks at it no more."""
        self.waiting.pop(page, None)
        self.wanted.pop(page, None)

    def totals(self) -> list[list[int]]:
        """Counts by port since the follower began."""
        return [[port, *numbers] for port, numbers in sorted(self._totals.items())]

    async def close(self) -> None:
        """Follow it no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._end_process()

    async def _end_process(self) -> None:
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(process.wait(), 2)
            return
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()

    def publish(self, about: str, message: dict[str, Any]) -> None:
        """Say something to all pages, unless it was said last."""
        text = json.dumps({**message, "lab": self.name}, ensure_ascii=False)
        if self.messages.get(about) != text:
            self.messages[about] = text
            self.versions[about] = self.versions.get(about, 0) + 1
            self._changed()

    # ------------------------------------------------------------------ its follower

    async def _follow(self) -> None:
        """Until the lab has ended: a follower that ends before is started again."""
        while not self.dead:
            with contextlib.suppress(OSError, ValueError):
                await self._run_follower()
            await self._end_process()
            alive = await asyncio.to_thread(self._handle.alive)
            if not alive:
                self._die()
                return
            await asyncio.sleep(AGAIN_S)

    def _die(self) -> None:
        if not self.dead:
            self.dead = True
            sentence = in_all(say("the lab {lab} has ended", lab=self.name), self._spoken)
            self.publish("dead", {"type": "dead", "sentence": sentence})

    async def _run_follower(self) -> None:
        self._totals.clear()
        process = self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "hoplab.live.follower", self.name,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=LINE_MOST,
            start_new_session=True,
        )  # fmt: skip
        assert process.stdout is not None
        while line := await process.stdout.readline():
            head = json.loads(line)
            kind = head["is"]
            text = ""
            if kind in ("scene", "told"):
                text = (await process.stdout.readline()).decode().rstrip("\n")
            if kind == "ended":
                return
            self._take(kind, head, text)

    def _take(self, kind: str, head: dict[str, Any], text: str) -> None:
        if kind == "counts":
            for waiting in self.waiting.values():
                waiting.count(head)
            totals = Waiting(self._totals)
            totals.count(head)
        elif kind == "told":
            told = Told(text, head["shown"], head["frames"], head["packets"])
            self._history.append(told)
            for waiting in self.waiting.values():
                waiting.add(told)
        elif kind == "scene":
            self._take_scene(text, grown=head["grown"])
            return
        elif kind in ("inside", "kept", "origins"):
            future = self._asked.pop(head["id"], None)
            if future is not None and not future.done():
                future.set_result(head if kind == "kept" else head[kind])
            return
        elif kind == "alive":
            self._beats += 1
            self.publish("beat", {"type": "beat", "beat": self._beats, "late": head["late"]})
            return
        elif kind == "trouble":
            self.publish("trouble", {"type": "trouble", "sentence": head["sentence"]})
        self._changed()

    def _take_scene(self, text: str, *, grown: bool) -> None:
        """What the lab is now. Where places do not hold any more, what was told is of another."""
        self.revision += 1
        if not grown:
            self._history.clear()
            self._totals.clear()
            for page in self.waiting:
                self.waiting[page] = Waiting()
        head = json.dumps(
            {"type": "scene", "lab": self.name, "revision": self.revision, "grown": grown}
        )
        self.messages["scene"] = f'{head[:-1]},"scene":{text}}}'
        self.versions["scene"] = self.versions.get("scene", 0) + 1
        self._changed()

    async def inside(self, packet: int) -> Any:
        """What is inside of a packet's frames, None if that is too long ago."""
        return await self._order({"inside": packet}, INSIDE_S)

    async def keep(self, folder: Path, seconds: float) -> int:
        """The last so many seconds as a run, in a folder that is made; how many frames are in it.
        Raises LabError, OSError."""
        folder.mkdir(parents=True)
        try:
            answer = await self._order(
                {"keep": str(folder / CAPTURE), "seconds": seconds}, KEEP_WITHIN_S
            )
            if answer is None:
                raise LabError(say("the lab {lab} is not followed any more", lab=self.name))
            if answer["error"]:
                raise OSError(*answer["error"])
            await asyncio.to_thread(keep_lab, self._handle, folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return int(answer["frames"])

    async def _order(self, order: dict[str, Any], within_s: float) -> Any:
        """What the follower answers, None if it does not."""
        process = self._process
        if process is None or process.stdin is None or self.dead:
            return None
        self._next_id += 1
        future = self._asked[self._next_id] = asyncio.get_running_loop().create_future()
        order = {**order, "id": self._next_id}
        with contextlib.suppress(OSError):
            process.stdin.write(json.dumps(order).encode() + b"\n")
            await process.stdin.drain()
            with contextlib.suppress(asyncio.TimeoutError):
                return await asyncio.wait_for(future, within_s * patience())
        return None

    # ------------------------------------------------------------------ how the lab is

    async def _look_after(self) -> None:
        """Ask the lab how it is, again and again, until it has ended."""
        while not self.dead:
            try:
                cables, state = await asyncio.to_thread(self._ask)
            except LabError:
                if not await asyncio.to_thread(self._handle.alive):
                    self._die()
            else:
                self.publish("cables", {"type": "cables", "cables": cables})
                self.publish("state", {"type": "state", "state": state})
                await self._tell_tables()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._look.wait(), LOOK_S)
                self._looks = 0
            self._look.clear()

    async def _tell_tables(self) -> None:
        """The tables that pages show, where they are otherwise than they were told last."""
        nodes = sorted(frozenset[str]().union(*self.wanted.values()))
        if not nodes:
            return
        with contextlib.suppress(LabError, KeyError):
            held = await asyncio.to_thread(self._held, nodes)
            origins = await self._order({"origins": list(held)}, INSIDE_S) or {}
            for node, entries in held.items():
                tables = tables_of(entries, origins.get(node, {}))
                self.publish(about_tables(node), {"type": "tables", "node": node, "tables": tables})

    def _held(self, nodes: Sequence[str]) -> dict[str, Any]:
        kinds = {each["name"]: each["kind"] for each in self._handle.state()["nodes"]}
        switches = [node for node in nodes if kinds.get(node) == "switch"]
        hosts = [node for node in nodes if kinds.get(node) in ("host", "router")]
        return held_by(self._handle, switches, hosts)

    def look(self) -> None:
        """Ask the lab at once: it is another one now."""
        self._look.set()

    def _ask(self) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Cables without what they count, which batches tell, and the rest of the lab."""
        cables = cables_of(self._handle)
        state = self._handle.ask({"op": "status"})
        kept = ("name", "topology", "arguments", "controller", "datapath", "platform", "url",
                "client", "remarks", "controller_ports", "loops")  # fmt: skip
        plain = {key: state.get(key) for key in kept}
        plain["remarks"] = [in_all(each, self._spoken) for each in state.get("remarks", ())]
        if self._looks % SERVICES_LOOKS == 0:
            hosts = facts_of(self._handle).get("now", {}).get("hosts", {})
            self._services = services_now(self._services, hosts)
        self._looks += 1
        return cables, {**plain, "services": self._services}


def services_now(
    before: Mapping[str, Mapping[str, bool]], hosts: Mapping[str, dict[str, Any]]
) -> dict[str, dict[str, bool]]:
    """The programs that serve on each host, and those that did before: whether each runs."""
    now = dict[str, dict[str, bool]]()
    for name, facts in hosts.items():
        programs = dict.fromkeys(before.get(name, ()), False)
        programs |= {each["program"]: True for each in services_of(facts) if each["program"]}
        if programs:
            now[name] = dict(sorted(programs.items()))
    return now


class Feeds:
    """The labs that pages look at, each followed once."""

    def __init__(self, spoken: Sequence[Language], changed: Callable[[str], None]) -> None:
        """changed: is called with a lab's name when there is something new of it."""
        self._spoken = spoken
        self._changed = changed
        self._feeds: dict[str, Feed] = {}
        self._ending: dict[str, asyncio.Task[None]] = {}

    def get(self, name: str) -> Feed | None:
        """A lab that is followed."""
        return self._feeds.get(name)

    def watch(self, name: str, page: object) -> Feed:
        """Follow a lab for a page. Raises LabError where it is not up."""
        labs.check_name(name)
        feed = self._feeds.get(name)
        if feed is None or feed.dead:
            labs.find(name)
            if feed is not None:
                self._ending[name] = asyncio.create_task(feed.close())
            feed = self._feeds[name] = Feed(name, self._spoken, lambda: self._changed(name))
        feed.join(page)
        return feed

    def leave(self, feed: Feed, page: object) -> None:
        """A page looks at a lab no more; it is followed no more when nobody does for a while."""
        feed.leave(page)
        if not feed.waiting:
            self._ending[feed.name] = asyncio.create_task(self._end_later(feed))

    async def _end_later(self, feed: Feed) -> None:
        await asyncio.sleep(LINGER_S)
        if not feed.waiting and self._feeds.get(feed.name) is feed:
            del self._feeds[feed.name]
            await feed.close()

    async def close(self) -> None:
        """Follow nothing any more."""
        feeds, self._feeds = list(self._feeds.values()), {}
        for task in self._ending.values():
            task.cancel()
        await asyncio.gather(*(feed.close() for feed in feeds), return_exceptions=True)
