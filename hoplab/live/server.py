# SPDX-License-Identifier: Apache-2.0
"""The server of `hoplab web`: an ordinary process outside of all labs, which asks them at their
sockets, as the command line does.

What lives here: addresses and what stands at them, the socket that is listened to, beginning and
end. What must not: who may ask (`guard.py`), what a page says (`pages.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import re
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from hoplab import runs
from hoplab.client import kept_runs, labs
from hoplab.errors import Exit, LabError
from hoplab.live.acts import captures_folder
from hoplab.live.feed import Feeds
from hoplab.live.guard import NONCE, SUBPROTOCOL, VIEW, Guard
from hoplab.live.pages import Page
from hoplab.replay.explain import Explainer
from hoplab.report.language import Language, language, languages
from hoplab.runs import CAPTURE
from hoplab.story.faults import Faults
from hoplab.web import player
from hoplab.web.live_words import WORDS as LIVE_WORDS
from hoplab.web.scene import inside, scene, speech_of
from hoplab.web.words import WORDS

PORT = 8643
PORTS_TRIED = 100  # sixty people may share a machine
LABS_S = 1.0  # how often it is looked which labs there are
MESSAGE_MOST = 1 << 20  # bytes of a page's message
_ASSET = re.compile(r"(vendor/)?[a-z0-9_-]+(\.[a-z0-9_-]+)*\.(js|mjs|css|svg|txt)", re.ASCII)
_CAPTURE = re.compile(r"capture-[0-9-]+\.pcapng", re.ASCII)
_KINDS = {
    "js": "text/javascript", "mjs": "text/javascript", "css": "text/css", "svg": "image/svg+xml",
    "txt": "text/plain",
}  # fmt: skip
SHELL = "live.html"
DIAGRAM = "diagram.css"  # the colours of both themes, which the printable page has, too


def new_token() -> str:
    """What a page proves by that it is the user's."""
    return secrets.token_urlsafe(24)


@dataclass
class Server:
    """What all pages have. token, view: as in `Guard`. labs: the message that lists the labs."""

    token: str = field(default_factory=new_token)
    view: str = field(default_factory=new_token)
    hosts: Collection[str] = ()
    labs: str = ""

    def __post_init__(self) -> None:
        self.spoken: list[Language] = [language(code) for code in languages()]
        self.pages: set[Page] = set()
        self.feeds = Feeds(self.spoken, self.news)

    def news(self, lab: str) -> None:
        """There is something new of a lab."""
        for page in self.pages:
            if page.lab == lab:
                page.wake()

    def app(self) -> Any:
        """The ASGI application, with the guard in front of it."""
        inner = Starlette(
            routes=[
                Route("/", self._shell),
                Route("/static/{name:path}", self._asset),
                Route("/words.json", self._words),
                Route("/api/runs", self._list_runs),
                Route("/api/runs/{id}", self._remove_run, methods=["DELETE"]),
                Route("/api/runs/{id}/{part}", self._run),
                Route("/api/captures/{name}", self._capture),
                WebSocketRoute("/ws", self._page),
            ],
            lifespan=self._living,
            exception_handlers={LabError: self._lab_error},
        )
        inner.add_middleware(GZipMiddleware, minimum_size=2000)
        return Guard(inner, self.token, self.view, self.hosts, self.spoken)

    @contextlib.asynccontextmanager
    async def _living(self, app: Starlette) -> AsyncIterator[None]:
        looking = asyncio.create_task(self._look_for_labs())
        try:
            yield
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
            await self.feeds.close()

    async def _look_for_labs(self) -> None:
        while True:
            listed = await asyncio.to_thread(_labs)
            text = json.dumps({"type": "labs", "labs": listed}, ensure_ascii=False)
            if text != self.labs:
                self.labs = text
                for page in self.pages:
                    page.wake()
            await asyncio.sleep(LABS_S)

    async def _lab_error(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, LabError)
        status = 404 if error.code == Exit.NO_SUCH else 409
        words = {each.code: each(error.message) for each in self.spoken}
        return JSONResponse({"error": words}, status)

    # ------------------------------------------------------------------ files

    async def _shell(self, request: Request) -> Response:
        text = _asset_text(SHELL).replace("{{nonce}}", request.scope[NONCE])
        return Response(text, media_type="text/html")

    async def _asset(self, request: Request) -> Response:
        name = request.path_params["name"]
        try:
            if not _ASSET.fullmatch(name):
                raise FileNotFoundError
            text = _asset_text(name, "hoplab.report" if name == DIAGRAM else "hoplab.web")
        except FileNotFoundError:
            return Response(status_code=404)
        return Response(text, media_type=_KINDS[name.rpartition(".")[2]])

    async def _words(self, request: Request) -> Response:
        return JSONResponse({
            "languages": [each.code for each in self.spoken],
            "names": player.NAMES,
            "commas": [each.comma for each in self.spoken],
            "joints": [each.joint for each in self.spoken],
            "words": speech_of({**WORDS, **LIVE_WORDS}, self.spoken),
        })  # fmt: skip

    # ------------------------------------------------------------------ kept runs; in threads

    def _list_runs(self, request: Request) -> Response:
        kept = [
            {"id": run.id, "name": run.name, "folder": str(run.folder), "size": run.size,
             "when": run.made_s, "title": run.about()}
            for run in kept_runs.kept_runs()
        ]  # fmt: skip
        return JSONResponse({"runs": kept})

    def _remove_run(self, request: Request) -> Response:
        kept_runs.remove(kept_runs.find(request.path_params["id"]))
        return Response(status_code=204)

    def _run(self, request: Request) -> Response:
        kept = kept_runs.find(request.path_params["id"])
        part = request.path_params["part"]
        if part == CAPTURE:
            return FileResponse(
                kept.folder / CAPTURE, media_type="application/octet-stream",
                filename=f"{kept.name}.pcapng",
            )  # fmt: skip
        if part not in ("scene", "inside", "page"):
            return Response(status_code=404)
        with Explainer() as explain:
            run = runs.reopen(kept.folder, Faults(), explain)
        if part == "scene":
            return _json([scene(run, self.spoken)])
        if part == "inside":
            return _json([inside(run, self.spoken)])
        chosen = language(request.query_params.get("lang", "en"))
        headers = {"Content-Disposition": 'attachment; filename="report.html"'}
        return Response(player.player([run], chosen), media_type="text/html", headers=headers)

    def _capture(self, request: Request) -> Response:
        """A capture that a page began, as far as it is written."""
        name = request.path_params["name"]
        file = captures_folder() / name
        if not _CAPTURE.fullmatch(name) or not file.is_file():
            return Response(status_code=404)
        return FileResponse(file, media_type="application/octet-stream", filename=name)

    # ------------------------------------------------------------------ pages

    async def _page(self, socket: WebSocket) -> None:
        await socket.accept(subprotocol=SUBPROTOCOL)
        page = Page(socket, self, view=socket.scope[VIEW])
        self.pages.add(page)
        try:
            await page.serve()
        finally:
            self.pages.discard(page)


def _json(data: Any) -> Response:
    return Response(player.plain(data), media_type="application/json")


def _asset_text(name: str, package: str = "hoplab.web") -> str:
    return (files(package) / "static" / name).read_text(encoding="utf-8")


def _labs() -> list[dict[str, Any]]:
    """The labs that are up."""
    listed = []
    for handle in labs.live():
        with contextlib.suppress(LabError, KeyError):
            state = handle.state()
            kinds = [node["kind"] for node in state["nodes"]]
            listed.append({
                "name": handle.name,
                "topology": state["topology"],
                "controller": state["controller"],
                "url": state.get("url", ""),
                "hosts": len(kinds) - kinds.count("switch"),
                "switches": kinds.count("switch"),
            })  # fmt: skip
    return listed


# ------------------------------------------------------------------ the socket


def listening(address: str, port: int | None) -> socket.socket:
    """A socket at this port; at the usual one or the next that is free, where none is asked for.
    Raises OSError."""
    wanted = [port] if port is not None else [*range(PORT, PORT + PORTS_TRIED), 0]
    for number in wanted:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((address, number))
            sock.listen(128)
        except OSError as error:
            sock.close()
            if error.errno != errno.EADDRINUSE or number == wanted[-1]:
                raise
        else:
            return sock
    raise OSError(errno.EADDRINUSE, "")


def serve(
    server: Server,
    sock: socket.socket,
    ready: Callable[[], None],
    hand: Callable[[Callable[[], None]], None] | None = None,
) -> None:
    """Serve until Ctrl-C, or until what is handed to `hand` is called. ready: is called when pages
    can come."""

    class Serving(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready()

    config = uvicorn.Config(
        server.app(), log_level="critical", access_log=False, ws="wsproto", http="h11",
        loop="asyncio", ws_max_size=MESSAGE_MOST, server_header=False,
        timeout_graceful_shutdown=1, limit_concurrency=1000,
    )  # fmt: skip
    serving = Serving(config)
    if hand is not None:
        hand(lambda: setattr(serving, "should_exit", True))
    with contextlib.suppress(KeyboardInterrupt):
        serving.run(sockets=[sock])
