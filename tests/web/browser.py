# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium, the distribution's own, driven by Playwright: open a page, look at it, ask
it, and hear it complain.

>>> with Browser(folder) as browser:
...     page = browser.open("file:///tmp/report.html")
...     page.run("document.title"), page.complaints, page.requests

`page.shown` is Playwright's own page, for what is not here.
"""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, CDPSession, sync_playwright
from playwright.sync_api import Page as Shown

FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--font-render-hinting=none",
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
        self._playwright = sync_playwright().start()
        self._browser = self._playwright.chromium.launch(
            executable_path=program,
            args=list(FLAGS),
            downloads_path=folder,
            timeout=PATIENCE_S * 1000,
        )

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self._browser.close()
        self._playwright.stop()

    def open(
        self,
        url: str,
        width: int = 1280,
        height: int = 900,
        dark: bool = False,
        media: str = "",
        **options: Any,
    ) -> Page:
        """A page in a context of its own, loaded. `media` "print" shows it as it would be on
        paper; options: more of Playwright's for the context."""
        context = self._browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            **options,
        )
        context.set_default_timeout(PATIENCE_S * 1000)
        page = Page(context)
        page.shown.goto(url)
        if media:
            scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
            page.call("Emulation.setEmulatedMedia", media=media, features=[scheme])
        return page


class Page:
    """A loaded page. complaints: errors and warnings of its console. requests: every URL that it
    asked for, itself included."""

    def __init__(self, context: BrowserContext) -> None:
        self.shown: Shown = context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.shown.on("request", lambda request: self.requests.append(request.url))
        self.shown.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.shown.on("console", self._console)
        self._session: CDPSession = context.new_cdp_session(self.shown)

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A command of the DevTools protocol for this page."""
        answer: dict[str, Any] = self._session.send(method, parameters)
        return answer

    def run(self, script: str) -> Any:
        """The value of an expression in the page; a policy against eval does not concern it."""
        answer = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def until(self, script: str, state: str) -> Any:
        """The first value of an expression that is true; `state` names what is waited for."""
        deadline = time.monotonic() + PATIENCE_S
        while not (value := self.run(script)):
            assert time.monotonic() < deadline, f"waited {PATIENCE_S:g} s for {state}"
            self.shown.wait_for_timeout(20)
        return value

    def press(self, key: str) -> None:
        """A key, down and up; 'Shift+ArrowRight' for two."""
        self.shown.keyboard.press(key)

    def size(self, width: int, height: int) -> None:
        """The window's size in pixels."""
        self.shown.set_viewport_size({"width": width, "height": height})

    def picture(self, path: Path, whole: bool = True) -> bytes:
        """A PNG of the whole page or of the window."""
        return self.shown.screenshot(path=path, full_page=whole)

    def axe(self, program: str) -> list[str]:
        """What axe-core finds against WCAG 2.2 AA: a line for each rule and element."""
        self.run(program)
        tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
        violations = self.run(
            f"axe.run({{runOnly: {json.dumps(tags)}}}).then((out) => out.violations)"
        )
        return [
            f"{rule['impact']}: {rule['id']}: {node['target']}"
            for rule in violations for node in rule["nodes"]
        ]  # fmt: skip
