# SPDX-License-Identifier: Apache-2.0
"""One page at its WebSocket: what it asks for, and what it is sent.

What lives here: the messages, in both directions (`docs/web.md` has all of them). What must not:
how things are done (`acts.py`, `terminals.py`, `feed.py`).

1. Nobody waits for a page but what works for it alone. What all pages are told is kept as it was
   said last, and each page's own task sends what the page does not have yet.
2. A batch of frames is sent for each credit of the page's, and none without.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shlex
import struct
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from hoplab import __version__, content
from hoplab.client import kept_runs, labs
from hoplab.errors import LabError
from hoplab.live.acts import VERBS, Act, Running, act_of, fresh, undo_of
from hoplab.live.feed import Feed, about_tables
from hoplab.live.follower import in_all
from hoplab.live.terminals import Terminal, asked
from hoplab.sentences import say, sentence_of, term

VERSION = 1
TERMINALS_MOST = 16
LOOKING = term("this address is for looking only")
MESSAGE_MOST = 1 << 20
TABLES_MOST = 8  # nodes whose tables a page shows at the same time
KEPT_S = 300.0  # of which a run can be kept


class Page:
    """A page that is connected. view: it may only look."""

    def __init__(self, socket: WebSocket, server: Any, *, view: bool) -> None:
        """server: what all pages have (`hoplab.live.server.Server`)."""
        self._socket = socket
        self._server = server
        self.view = view
        self._turn = asyncio.Lock()
        self._news = asyncio.Event()
        self._credit = False
        self._batch = 0
        self._feed: Feed | None = None
        self._sent: dict[str, int] = {}  # versions of what was said of the lab
        self._labs = ""
        self.lab = ""  # that it looks at
        self._handlers: dict[str, Callable[[dict[str, Any]], Awaitable[None]]] = {
            "watch": self._watch, "credit": self._take_credit, "inside": self._inside,
            "act": self._act, "act.stop": self._stop_act, "terminal.open": self._open_terminal,
            "terminal.resize": self._resize, "terminal.credit": self._pay,
            "terminal.close": self._close_terminal, "keep": self._keep,
            "tables": self._show_tables,
        }  # fmt: skip
        self._running = Running()
        self._terminals: dict[int, Terminal] = {}
        self._tasks: dict[tuple[str, int], asyncio.Task[None]] = {}

    async def serve(self) -> None:
        """Until it is closed."""
        sender = asyncio.create_task(self._send_news())
        try:
            await self.send({
                "type": "hello", "version": VERSION, "hoplab": __version__, "view": self.view,
                "acts": [] if self.view else list(VERBS), "terminals": not self.view,
                "tables": True,
                "controllers": content.names("controllers"),
            })  # fmt: skip
            while True:
                message = await self._socket.receive()
                if message["type"] == "websocket.disconnect":
                    break
                if message.get("text") is not None:
                    await self._understand(message["text"])
                elif message.get("bytes") is not None:
                    self._type(message["bytes"])
        except (WebSocketDisconnect, OSError):
            pass
        finally:
            self._running.close()
            tasks = [sender, *self._tasks.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for terminal in self._terminals.values():
                terminal.close()
            self._leave()

    async def _understand(self, text: str) -> None:
        try:
            message = json.loads(text)
            handler = self._handlers[message["type"]]
        except (ValueError, TypeError, KeyError):
            await self.trouble(term("this page speaks another version: load it again"))
            return
        try:
            await handler(message)
        except LabError as error:
            await self.trouble(error.message)
        except (KeyError, TypeError, ValueError):
            await self.trouble(term("this page speaks another version: load it again"))

    async def trouble(self, text: str) -> None:
        """Say that something was not done."""
        words = in_all(text, self._server.spoken)
        await self.send({"type": "trouble", "lab": self.lab, "sentence": words})

    async def send(self, message: dict[str, Any]) -> None:
        """Send it, as soon as the page takes it."""
        await self.send_text(json.dumps(message, ensure_ascii=False, separators=(",", ":")))

    async def send_text(self, text: str) -> None:
        """The same for what is text already."""
        async with self._turn:
            if self._socket.application_state is WebSocketState.CONNECTED:
                await self._socket.send_text(text)

    async def send_bytes(self, data: bytes) -> None:
        """The same for bytes."""
        async with self._turn:
            if self._socket.application_state is WebSocketState.CONNECTED:
                await self._socket.send_bytes(data)

    # ------------------------------------------------------------------ what it is told

    def wake(self) -> None:
        """There may be something new for it."""
        self._news.set()

    async def _send_news(self) -> None:
        with contextlib.suppress(WebSocketDisconnect, OSError, RuntimeError):
            while True:
                await self._send_labs()
                await self._send_said()
                await self._send_batch()
                await self._news.wait()
                self._news.clear()

    async def _send_labs(self) -> None:
        text = self._server.labs
        if text and text != self._labs:
            self._labs = text
            await self.send_text(text)

    async def _send_said(self) -> None:
        """What was said of the lab and this page has not heard, the scene before all: cables
        and state are told of what is on it."""
        feed = self._feed
        if feed is None:
            return
        shown = map(about_tables, sorted(feed.wanted.get(self, ())))
        scened = ("cables", "state", *shown) if feed.versions.get("scene") else ()
        for about in ("scene", *scened, "beat", "trouble", "dead"):
            version = feed.versions.get(about, 0)
            if version > self._sent.get(about, 0) and feed is self._feed:
                self._sent[about] = version
                text = feed.messages[about]
                if about == "scene":
                    counts = json.dumps(feed.totals(), separators=(",", ":"))
                    text = f'{text[:-1]},"counts":{counts}}}'
                await self.send_text(text)

    async def _send_batch(self) -> None:
        feed = self._feed
        if feed is None or not self._credit:
            return
        if not self._sent.get("scene") or self._sent["scene"] != feed.versions["scene"]:
            return  # what waits is of a scene that it does not have yet
        waiting = feed.waiting.get(self)
        if not waiting:
            return
        self._credit = False
        self._batch += 1
        text = waiting.batch(feed.name, feed.revision, self._batch)
        feed.join_again(self)
        await self.send_text(text)

    # ------------------------------------------------------------------ what it asks for

    def _leave(self) -> None:
        if self._feed is not None:
            self._server.feeds.leave(self._feed, self)
        self._feed = None

    async def _watch(self, message: dict[str, Any]) -> None:
        self._leave()
        self.lab = str(message["lab"])
        self._sent = {}
        self._credit = True
        if self.lab:
            self._feed = self._server.feeds.watch(self.lab, self)
        self.wake()

    async def _show_tables(self, message: dict[str, Any]) -> None:
        """The nodes whose tables it shows from now on."""
        nodes = frozenset(str(node) for node in message["nodes"][:TABLES_MOST])
        if self._feed is not None:
            self._feed.wanted[self] = nodes
            for node in nodes:  # it is told anew what it may have forgotten
                self._sent.pop(about_tables(node), None)
            self._feed.look()
            self.wake()

    async def _take_credit(self, message: dict[str, Any]) -> None:
        if int(message["batch"]) == self._batch:
            self._credit = True
            self.wake()

    async def _inside(self, message: dict[str, Any]) -> None:
        inside = await self._feed.inside(int(message["packet"])) if self._feed else None
        answer: dict[str, Any] = {"type": "inside", "id": message["id"]}
        if inside is None:
            text = say("packet {packet} was too long ago", packet=int(message["packet"]))
            answer["error"] = in_all(text, self._server.spoken)
        else:
            answer["inside"] = inside
        await self.send(answer)

    # ------------------------------------------------------------------ what it does

    def _begin(self, kind: str, number: int, work: Coroutine[Any, Any, None]) -> None:
        """Do something beside what else it asks for, until it has ended or the page has."""
        task = self._tasks[kind, number] = asyncio.create_task(work)
        task.add_done_callback(lambda _: self._tasks.pop((kind, number), None))

    async def _refuse(self, kind: str, number: Any, text: str) -> None:
        words = in_all(text, self._server.spoken)
        await self.send({"type": f"{kind}.refused", "id": number, "error": words})

    async def _act(self, message: dict[str, Any]) -> None:
        number = int(message["id"])
        if self.view:
            await self._refuse("act", number, LOOKING)
            return
        args = list(message.get("args") or ())
        try:
            act = act_of(
                str(message["lab"]), str(message["act"]), args, str(message.get("language"))
            )
        except LabError as error:
            await self._refuse("act", number, error.message)
            return
        before = ""
        if act.verb == "swap":
            state = await asyncio.to_thread(labs.find(str(message["lab"])).state)
            before = str(state.get("controller") or "")
        undo = undo_of(act, args, before)
        self._begin("act", number, self._do(number, act, undo))

    async def _do(self, number: int, act: Act, undo: dict[str, Any] | None) -> None:
        await self._running.run(number, act, undo, self.send)
        if self._feed is not None:
            self._feed.look()

    async def _keep(self, message: dict[str, Any]) -> None:
        """The last minutes as a run."""
        number = int(message["id"])
        if self.view:
            await self._not_kept(number, LOOKING)
        elif self._feed is not None:
            seconds = min(max(float(message.get("seconds", KEPT_S)), 1.0), KEPT_S)
            self._begin("keep", number, self._keep_run(self._feed, number, seconds))

    async def _keep_run(self, feed: Feed, number: int, seconds: float) -> None:
        folder = fresh(kept_runs.put_aside_folder(), "kept")
        try:
            frames = await feed.keep(folder, seconds)
        except LabError as error:
            await self._not_kept(number, error.message)
        except OSError as error:
            await self._not_kept(number, sentence_of(error))
        else:
            run = kept_runs.KeptRun(folder.absolute(), 0, 0)
            answer = {"type": "kept", "id": number, "run": run.id, "name": run.name}
            await self.send({**answer, "frames": frames})

    async def _not_kept(self, number: int, text: str) -> None:
        words = in_all(text, self._server.spoken)
        await self.send({"type": "kept", "id": number, "error": words})

    async def _stop_act(self, message: dict[str, Any]) -> None:
        self._running.stop(int(message["id"]))

    async def _open_terminal(self, message: dict[str, Any]) -> None:
        number = int(message["id"])
        try:
            if self.view:
                raise LabError(LOOKING)
            if number in self._terminals or len(self._terminals) >= TERMINALS_MOST:
                raise LabError(term("a page has a few terminals, and no more"))
            terminal = asked(message)
            await asyncio.to_thread(terminal.open)
        except LabError as error:
            await self._refuse("terminal", number, error.message)
            return
        self._terminals[number] = terminal
        name = [] if message["lab"] == labs.DEFAULT_NAME else ["--name", str(message["lab"])]
        line = shlex.join(["hoplab", "shell", *name, str(message["host"])])
        await self.send({"type": "terminal.opened", "id": number, "line": line})
        self._begin("terminal", number, self._show_terminal(terminal))

    async def _show_terminal(self, terminal: Terminal) -> None:
        try:
            code = await terminal.pass_on(self.send_bytes)
        finally:
            self._terminals.pop(terminal.number, None)
            terminal.close()
        message = {"type": "terminal.closed", "id": terminal.number, "exit_code": code}
        await self.send(message)

    def _type(self, data: bytes) -> None:
        if len(data) > 4:
            terminal = self._terminals.get(struct.unpack(">I", data[:4])[0])
            if terminal is not None:
                terminal.type(data[4:])

    async def _resize(self, message: dict[str, Any]) -> None:
        terminal = self._terminals.get(int(message["id"]))
        if terminal is not None:
            terminal.resize(int(message["rows"]), int(message["cols"]))

    async def _pay(self, message: dict[str, Any]) -> None:
        terminal = self._terminals.get(int(message["id"]))
        if terminal is not None:
            terminal.pay(int(message["bytes"]))

    async def _close_terminal(self, message: dict[str, Any]) -> None:
        task = self._tasks.get(("terminal", int(message["id"])))
        if task is not None:
            task.cancel()
