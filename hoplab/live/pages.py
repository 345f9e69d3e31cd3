# SPDX-License-Identifier: Apache-2.0
"""One page at its WebSocket: what it asks for, and what it is sent.

What lives here: the messages, in both directions (`docs/web.md` has all of them). What must not:
how things are done (`feed.py`).

1. Nobody waits for a page but what works for it alone. What all pages are told is kept as it was
   said last, and each page's own task sends what the page does not have yet.
2. A batch of frames is sent for each credit of the page's, and none without.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from hoplab import __version__
from hoplab.errors import LabError
from hoplab.live.feed import Feed
from hoplab.live.follower import in_all
from hoplab.sentences import say, term

VERSION = 1
MESSAGE_MOST = 1 << 20


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
        }  # fmt: skip

    async def serve(self) -> None:
        """Until it is closed."""
        sender = asyncio.create_task(self._send_news())
        try:
            await self.send({
                "type": "hello", "version": VERSION, "hoplab": __version__, "view": self.view,
                "acts": [],
            })  # fmt: skip
            while True:
                message = await self._socket.receive()
                if message["type"] == "websocket.disconnect":
                    break
                if message.get("text") is not None:
                    await self._understand(message["text"])
        except (WebSocketDisconnect, OSError):
            pass
        finally:
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)
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
        """What was said of the lab and this page has not heard, the scene before all."""
        feed = self._feed
        if feed is None:
            return
        for about in ("scene", "cables", "state", "trouble", "dead"):
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
