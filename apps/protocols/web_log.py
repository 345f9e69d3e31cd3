# SPDX-License-Identifier: Apache-2.0
"""The access log of the web server.

The cast
    `AccessLog`   a line for each answer, in three formats
"""

from __future__ import annotations

import time

from protocols import service
from protocols.http1 import Request


class AccessLog:
    """A line for each request: "short" has the time of day in front; "common" and "combined" are
    the formats that programs such as goaccess read."""

    FORMATS = ("short", "common", "combined")

    def __init__(self, log: service.Log, form: str = "short") -> None:
        self._log = log
        self._form = form
        self._second = 0
        self._stamp = ""

    def __call__(self, peer: str, request: Request | None, status: int, size: int) -> None:
        """Log one answer; REQUEST is None if there was none that could be read."""
        line, agent, referer = "-", "-", "-"
        if request is not None:
            line = f"{request.method} {request.target} HTTP/1.{request.version[1]}"
            agent = request.headers.get("user-agent", "-")
            referer = request.headers.get("referer", "-")
        line = _quoted(line)
        if self._form == "short":
            self._log.gather(f'{peer} "{line}" {status} {size}')
            return
        now = int(time.time())
        if now != self._second:
            self._second = now
            self._stamp = time.strftime("%d/%b/%Y:%H:%M:%S %z", time.localtime(now))
        text = f'{peer} - - [{self._stamp}] "{line}" {status} {size or "-"}'
        if self._form == "combined":
            text += f' "{_quoted(referer)}" "{_quoted(agent)}"'
        self._log.gather(text, timed=False)


def _quoted(text: str) -> str:
    """TEXT as it may stand between quotes."""
    return text.replace("\\", "\\\\").replace('"', '\\"') if '"' in text or "\\" in text else text
