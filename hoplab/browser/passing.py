# SPDX-License-Identifier: Apache-2.0
"""A response on its way from the lab's server to the browser.

What lives here: which headers are passed on, which are put in, and pages whose links are turned to
the proxy. What must not: connections, and who asked for what.
"""

from __future__ import annotations

import re
from typing import Any

import h11

from hoplab.browser.http_peer import Fields, Peer, fields, options, response_head, value
from hoplab.browser.origins import Names, Origin, with_links

MAX_REWRITTEN = 4 << 20

# Meant for the next hop alone (RFC 9110 section 7.6.1), or set by us.
HOP_BY_HOP = {
    "connection", "keep-alive", "proxy-connection", "proxy-authorization", "proxy-authenticate",
    "te", "trailer", "transfer-encoding", "upgrade", "content-length", "host", "expect",
}  # fmt: skip
# Would lead the browser past the proxy.
UNWANTED = {"strict-transport-security", "alt-svc", "content-security-policy"}


class Passing:
    """One response. names: those of the proxy, for links. origin: the server that it comes from.
    as_proxy: the browser knows that there is a proxy, so nothing is rewritten."""

    def __init__(
        self,
        browser: Peer,
        names: Names,
        request: Any,
        response: Any,
        origin: Origin,
        as_proxy: bool,
    ) -> None:
        self.browser, self.names = browser, names
        self.request, self.response = request, response
        self.origin, self.as_proxy = origin, as_proxy
        self.status = int(response.status_code)
        self.begun = False
        self._text: bytearray | None = None  # of a page that is to be rewritten

    def take(self, data: bytes) -> None:
        """A piece of the response's body, which goes on to the browser or is kept to be
        rewritten."""
        self._begin()
        if self._text is not None:
            self._text += data
            if len(self._text) <= MAX_REWRITTEN:
                return
            data, self._text = bytes(self._text), None
            self._head(None)
        self.browser.send(h11.Data(data=data))

    def finish(self) -> None:
        """The response's body has ended: what was kept of it is rewritten and sent."""
        self._begin()
        if self._text is not None:
            data = with_links(bytes(self._text), self.names.outside, self.origin.secure)
            self._head(len(data))
            self.browser.send(h11.Data(data=data))
        self.browser.send(h11.EndOfMessage())

    def _begin(self) -> None:
        if self.begun:
            return
        self.begun = True
        response = self.response
        kind = value(response, "content-type").partition(";")[0].strip().lower()
        packed = value(response, "content-encoding", "identity") != "identity"
        whole = self.request.method != b"HEAD" and self.status not in (204, 206, 304)
        if not self.as_proxy and kind in ("text/html", "text/css") and whole and not packed:
            self._text = bytearray()
            return
        chunked = value(response, "transfer-encoding")  # wins over a length (RFC 9112, 6.3)
        length = "" if chunked else value(response, "content-length")
        self._head(int(length) if re.fullmatch("[0-9]{1,18}", length) else None)

    def _head(self, length: int | None) -> None:
        """Status line and headers, with a LENGTH or as h11 sees fit for this browser: in chunks, or
        up to the end of the connection."""
        headers = self._headers()
        if length is not None:
            headers.append(("Content-Length", str(length)))
        self.browser.send(response_head(self.status, self._reason(), headers))

    def switch(self) -> Any:
        """The head of a response 101, with which a WebSocket begins."""
        headers = [*self._headers(), ("Connection", "Upgrade"), ("Upgrade", "websocket")]
        return response_head(101, self._reason(), headers)

    def _reason(self) -> str:
        return str(self.response.reason.decode("latin-1"))

    def _headers(self) -> Fields:
        """The response's headers that are passed on to the browser."""
        names, headers = self.names, Fields()
        left_out = HOP_BY_HOP | options(self.response)
        for name, text in fields(self.response):
            key = name.lower()
            if key in left_out or (not self.as_proxy and key in UNWANTED):
                continue
            if not self.as_proxy and key in ("location", "refresh"):
                there = with_links(text.encode("latin-1"), names.outside, self.origin.secure)
                text = there.decode("latin-1")
            if not self.as_proxy and key == "set-cookie":
                text = re.sub(r"(?i);\s*domain=[^;]*", "", text)
            headers.append((name, text))
        if not self.as_proxy:
            lab = f"*.{names.token}.localhost:{names.port}"
            policy = f"default-src 'self' http://{lab} ws://{lab} data: blob: "
            headers.append(("Content-Security-Policy", policy + "'unsafe-inline' 'unsafe-eval'"))
            # The token stands in the address: it must not be told to anybody.
            headers.append(("Referrer-Policy", "same-origin"))
        return headers
