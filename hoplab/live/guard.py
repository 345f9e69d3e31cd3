# SPDX-License-Identifier: Apache-2.0
"""Who may ask the server of `hoplab web`: this user's own page, and nobody else.

What lives here: what is refused, and the headers of every answer. What must not: what is answered.

Everybody on this machine reaches 127.0.0.1, and so does every page that the user's browser shows.
So a request is answered where

1. its Host is a name of this machine's loopback, at any port (`ssh -L`), or was given by
   --allow-host: a name of somebody else's that leads here (DNS rebinding) is none;
2. it comes from no page, or from one of this server's (Origin, Sec-Fetch-Site);
3. and, where it is about labs or runs, it bears the token: as a header, or as a subprotocol of a
   WebSocket. Browsers send neither by themselves, as they would a cookie, which goes to every port.

What is answered runs scripts of this server alone, and no text becomes markup in it.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Collection, Sequence
from typing import Any

from hoplab.report.language import Language
from hoplab.sentences import Sentence, say, term

SUBPROTOCOL = "hoplab.v1"
TOKEN_PREFIX = "token."
VIEW = "hoplab.view"  # keys of a request's scope: whether its token is one for looking only
NONCE = "hoplab.nonce"  # and the number used once that its styles may bear
_LOOPBACK = re.compile(r"(localhost|127(\.\d{1,3}){3}|\[::1\])", re.ASCII | re.IGNORECASE)
_OWN_SITE = ("same-origin", "none")
_METHODS = ("GET", "HEAD", "DELETE")
_NEEDS_TOKEN = ("/api/", "/ws")
_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def policy(nonce: str) -> str:
    """The Content-Security-Policy of an answer."""
    return (
        f"default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; "
        "img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )


class Guard:
    """Stands in front of an ASGI application. token: for everything; view: for looking only.
    hosts: names beside those of the loopback."""

    def __init__(
        self,
        app: Any,
        token: str,
        view: str,
        hosts: Collection[str],
        spoken: Sequence[Language],
    ) -> None:
        self._app = app
        self._token, self._view = token.encode(), view.encode()
        self._hosts = frozenset(host.lower() for host in hosts)
        self._spoken = spoken

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1")
                   for name, value in scope["headers"]}  # fmt: skip
        reason = self._refusal(scope, headers)
        if scope["type"] == "websocket":
            if reason:
                await receive()  # the greeting
                await send({"type": "websocket.close", "code": 1008, "reason": ""})
            else:
                await self._app(scope, receive, send)
            return
        nonce = scope[NONCE] = secrets.token_urlsafe(16)

        async def guarded(message: Any) -> None:
            if message["type"] == "http.response.start":
                extra = {**_HEADERS, "Content-Security-Policy": policy(nonce)}
                message["headers"] = [
                    *message.get("headers", ()),
                    *((name.lower().encode(), value.encode()) for name, value in extra.items()),
                ]
            await send(message)

        if reason:
            await _refuse(guarded, {each.code: each(reason) for each in self._spoken})
        else:
            await self._app(scope, receive, guarded)

    def _refusal(self, scope: Any, headers: dict[str, str]) -> Sentence | None:
        """Why a request is refused, None where it is not."""
        host = headers.get("host", "")
        if not self._is_ours(host):
            return say("no name of this server: {host!r}; see --allow-host", host=host[:100])
        if headers.get("origin", f"http://{host}") != f"http://{host}":
            return term("another page may not ask here")
        if headers.get("sec-fetch-site", "none") not in _OWN_SITE:
            return term("another page may not ask here")
        if scope["type"] == "http" and scope["method"] not in _METHODS:
            return term("here one may only look, and remove a run")
        if not scope["path"].startswith(_NEEDS_TOKEN):
            return None
        offered = _offered(scope, headers).encode()
        scope[VIEW] = secrets.compare_digest(offered, self._view)
        if secrets.compare_digest(offered, self._token):
            return None
        if scope[VIEW] and scope.get("method") != "DELETE":
            return None
        return term("the token is missing or wrong: open the address that `hoplab web` printed")

    def _is_ours(self, host: str) -> bool:
        name = re.sub(r":\d{1,5}$", "", host.lower(), flags=re.ASCII)
        return _LOOPBACK.fullmatch(name) is not None or name in self._hosts


def _offered(scope: Any, headers: dict[str, str]) -> str:
    """The token that a request bears, "" for none."""
    if scope["type"] == "websocket":
        # uvicorn takes them out of the headers.
        offers = scope.get("subprotocols") or ()
        return next(
            (each[len(TOKEN_PREFIX) :] for each in offers if each.startswith(TOKEN_PREFIX)), ""
        )
    kind, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""


async def _refuse(send: Any, words: dict[str, str]) -> None:
    body = json.dumps({"error": words}, ensure_ascii=False).encode()
    kind = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 403, "headers": kind})
    await send({"type": "http.response.body", "body": body})
