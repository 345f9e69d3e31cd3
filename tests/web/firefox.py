# SPDX-License-Identifier: Apache-2.0
"""A headless Firefox, the distribution's own, asked by WebDriver BiDi over its own WebSocket.

>>> with Firefox(folder) as browser:
...     page = browser.open("file:///tmp/report.html")
...     page.run("document.title"), page.complaints, page.requests

W3C WebDriver BiDi; of RFC 6455 as much as one client needs that masks and takes texts.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import time
from pathlib import Path
from typing import Any

PATIENCE_S = 60.0
ANSWER = re.compile(rb"HTTP/1\.1 101 ")
LISTENING = re.compile(r"WebDriver BiDi listening on ws://127\.0\.0\.1:(\d+)")


def firefox() -> str | None:
    """The browser's path, None if there is none."""
    return shutil.which("firefox-esr") or shutil.which("firefox")


class Firefox:
    """One process, ended with the `with` block. `folder` takes its profile."""

    def __init__(self, folder: Path) -> None:
        program = firefox()
        assert program is not None, "ask firefox() first"
        self._said = open(folder / "said", "w+")  # noqa: SIM115 - closed with the browser
        self._process = subprocess.Popen(
            [program, "--headless", "--no-remote", "--profile", folder,
             "--remote-debugging-port", "0"],
            stdout=self._said, stderr=self._said, start_new_session=True,
            env={**os.environ, "HOME": str(folder), "MOZ_DISABLE_CONTENT_SANDBOX": "1"},
        )  # fmt: skip
        self._numbers = itertools.count(1)
        self.events: list[dict[str, Any]] = []
        self._socket = _WebSocket(self._port(folder / "said"), "/session")
        self.ask("session.new", capabilities={})
        self.ask("session.subscribe", events=["log.entryAdded", "network.beforeRequestSent"])

    def _port(self, errors: Path) -> int:
        deadline = time.monotonic() + PATIENCE_S
        while (match := LISTENING.search(errors.read_text(errors="replace"))) is None:
            assert self._process.poll() is None, errors.read_text(errors="replace")
            assert time.monotonic() < deadline, "Firefox does not listen"
            time.sleep(0.05)
        return int(match[1])

    def __enter__(self) -> Firefox:
        return self

    def __exit__(self, *_: object) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._socket.close()
        self._said.close()

    def ask(self, method: str, **parameters: Any) -> Any:
        """A command and its result; events that come meanwhile are kept."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            reply = json.loads(self._socket.receive())
            if reply.get("id") == number:
                assert reply["type"] == "success", reply
                return reply["result"]
            self.events.append(reply)

    def open(self, url: str, width: int = 1280, height: int = 800) -> Page:
        """A page, loaded."""
        context = self.ask("browsingContext.create", type="tab")["context"]
        self.ask("browsingContext.setViewport", context=context,
                 viewport={"width": width, "height": height})  # fmt: skip
        self.ask("browsingContext.navigate", context=context, url=url, wait="complete")
        return Page(self, context)


class Page:
    """A loaded page."""

    def __init__(self, browser: Firefox, context: str) -> None:
        self._browser, self._context = browser, context

    def _events(self, method: str) -> list[dict[str, Any]]:
        events = [each["params"] for each in self._browser.events if each.get("method") == method]
        return [
            each for each in events
            if self._context in (each.get("context"), each.get("source", {}).get("context"))
        ]  # fmt: skip

    @property
    def complaints(self) -> list[str]:
        """Errors and warnings of the console."""
        entries = self._events("log.entryAdded")
        return [each["text"] for each in entries if each["level"] in ("error", "warn")]

    @property
    def requests(self) -> list[str]:
        """Every URL that was asked for."""
        return [each["request"]["url"] for each in self._events("network.beforeRequestSent")]

    def run(self, script: str) -> Any:
        """The value of an expression in the page, as JSON has it."""
        reply = self._browser.ask(
            "script.evaluate", awaitPromise=True, target={"context": self._context},
            expression=f"Promise.resolve({script}).then((value) => JSON.stringify(value ?? null))",
        )  # fmt: skip
        assert reply["type"] == "success", reply
        return json.loads(reply["result"]["value"])

    def until(self, script: str, state: str) -> None:
        """Waits for an expression to be true."""
        deadline = time.monotonic() + PATIENCE_S
        while not self.run(script):
            assert time.monotonic() < deadline, f"waited {PATIENCE_S:g} s for {state}"
            time.sleep(0.02)

    def press(self, key: str) -> None:
        """A key, down and up."""
        actions = [{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]
        self._browser.ask("input.performActions", context=self._context,
                          actions=[{"type": "key", "id": "keys", "actions": actions}])  # fmt: skip

    def picture(self, path: Path) -> None:
        """A PNG of the window."""
        reply = self._browser.ask("browsingContext.captureScreenshot", context=self._context)
        path.write_bytes(base64.b64decode(reply["data"]))


class _WebSocket:
    """Texts to a server on this machine, and back."""

    def __init__(self, port: int, path: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = (
            f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Upgrade: websocket",
            "Connection: Upgrade", f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", "", "",
        )  # fmt: skip
        self._socket.sendall("\r\n".join(lines).encode())
        self._held = b""
        while b"\r\n\r\n" not in self._held:
            self._held += self._read()
        head, self._held = self._held.split(b"\r\n\r\n", 1)
        assert ANSWER.match(head), head

    def _read(self) -> bytes:
        data = self._socket.recv(1 << 16)
        assert data, "the browser closed the connection"
        return data

    def _take(self, size: int) -> bytes:
        while len(self._held) < size:
            self._held += self._read()
        taken, self._held = self._held[:size], self._held[size:]
        return taken

    def send(self, text: str) -> None:
        """One frame; what a client sends is masked (5.3)."""
        data = text.encode()
        mask, size = os.urandom(4), len(data)
        if size < 126:
            head = struct.pack("!BB", 0x81, 0x80 | size)
        elif size < 1 << 16:
            head = struct.pack("!BBH", 0x81, 0x80 | 126, size)
        else:
            head = struct.pack("!BBQ", 0x81, 0x80 | 127, size)
        masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))
        self._socket.sendall(head + mask + masked)

    def receive(self) -> str:
        """The next text; a long one may come in several frames."""
        text = b""
        while True:
            first, size = self._take(2)
            if size == 126:
                (size,) = struct.unpack("!H", self._take(2))
            elif size == 127:
                (size,) = struct.unpack("!Q", self._take(8))
            data = self._take(size)
            if first & 0x0F in (0, 1):
                text += data
                if first & 0x80:
                    return text.decode()

    def close(self) -> None:
        self._socket.close()
