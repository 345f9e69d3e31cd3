# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium on a pair of pipes: open a page, look at it, ask it, and hear it complain.

The protocol (DevTools, `--remote-debugging-pipe`) is JSON with a NUL behind each message: commands
go to the browser's descriptor 3, answers and events come from its descriptor 4.

>>> with Browser(folder) as browser:
...     page = browser.open("file:///tmp/report.html")
...     page.run("document.title"), page.complaints, page.requests
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--remote-debugging-pipe", "--font-render-hinting=none",
)  # fmt: skip
PATIENCE_S = 60.0


def chromium() -> str | None:
    """The browser's path, None if there is none."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


class Browser:
    """One process, ended with the `with` block. `folder` takes its profile."""

    def __init__(self, folder: Path) -> None:
        program = chromium()
        assert program is not None, "ask chromium() first"
        ours_out, theirs_in = os.pipe()[::-1]
        theirs_out, ours_in = os.pipe()[::-1]
        # The shell gives the pipes the numbers that the browser expects.
        script = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'
        self.process = subprocess.Popen(
            ["bash", "-c", script, "browser", program, *FLAGS, f"--user-data-dir={folder}"],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._in, self._out = ours_in, ours_out
        self._buffer = b""
        self._number = 0
        self.hear: Callable[[dict[str, Any]], None] = lambda event: None

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._out)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self._in)

    def call(self, method: str, session: str = "", **parameters: Any) -> dict[str, Any]:
        """A command and its answer; events that come in between go to `hear`."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            found = self.receive()
            if found.get("id") == self._number:
                assert "error" not in found, (method, found["error"])
                answer: dict[str, Any] = found["result"]
                return answer
            self.hear(found)

    def receive(self) -> dict[str, Any]:
        """The next message of the browser."""
        deadline = time.monotonic() + PATIENCE_S
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"the browser has been silent for {PATIENCE_S:g} s"
            more = os.read(self._in, 1 << 20)
            assert more, "the browser has died"
            self._buffer += more
        raw, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(raw)
        return message

    def open(
        self, url: str, width: int = 1280, height: int = 900, dark: bool = False, media: str = ""
    ) -> Page:
        """A page, loaded. `media` "print" shows it as it would be on paper."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session)
        self.hear = page.take
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.call(f"{domain}.enable")
        page.size(width, height)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        page.call("Emulation.setEmulatedMedia", media=media, features=[scheme])
        page.call("Page.navigate", url=url)
        while not page.loaded:
            page.take(self.receive())
        return page


class Page:
    """A loaded page. complaints: errors and warnings of its console. requests: every URL that it
    asked for, itself included."""

    def __init__(self, browser: Browser, session: str) -> None:
        self.browser, self.session = browser, session
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.loaded = False

    def take(self, event: dict[str, Any]) -> None:
        """What the browser tells unasked."""
        method, data = event.get("method", ""), event.get("params", {})
        if event.get("sessionId") != self.session:
            return
        if method == "Page.loadEventFired":
            self.loaded = True
        elif method == "Network.requestWillBeSent":
            self.requests.append(data["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(data["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and data["type"] in ("error", "warning"):
            self.complaints.append(json.dumps(data["args"]))
        elif method == "Log.entryAdded" and data["entry"]["level"] in ("error", "warning"):
            self.complaints.append(data["entry"]["text"])

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A command for this page."""
        return self.browser.call(method, self.session, **parameters)

    def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        """A key, down and up."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key)

    def size(self, width: int, height: int) -> None:
        """The window's size in pixels."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip

    def picture(self, path: Path, whole: bool = True) -> None:
        """A PNG of the whole page or of the window."""
        answer = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(answer["data"]))

    def part(self, path: Path, x: int, y: int, width: int, height: int, scale: float = 1) -> None:
        """A PNG of a part of the page."""
        clip = {"x": x, "y": y, "width": width, "height": height, "scale": scale}
        answer = self.call(
            "Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip
        )
        path.write_bytes(base64.b64decode(answer["data"]))

    def paper(self, path: Path) -> None:
        """A PDF, as the page would be printed."""
        answer = self.call("Page.printToPDF", preferCSSPageSize=False)
        path.write_bytes(base64.b64decode(answer["data"]))
