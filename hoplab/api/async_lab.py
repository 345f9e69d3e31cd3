# SPDX-License-Identifier: Apache-2.0
"""A lab for programs that use asyncio: the same calls, each in a thread of its own.

>>> async with AsyncLab("cable") as lab:
...     first, second = await asyncio.gather(
...         lab.run("h1", "ping -c 1 192.168.1.2"), lab.run("h2", "ping -c 1 192.168.1.1")
...     )
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hoplab.api.lab import Answer, Command, Lab
from hoplab.api.recorded import Recorded


class AsyncLab:
    """A `Lab`, awaited. `lab` is the lab itself, for what takes no time. A call that is cancelled
    goes on in its thread until it ends."""

    def __init__(
        self, topology: str | Path = "web", controller: str | Path = "", **options: Any
    ) -> None:
        """As for `Lab`."""
        self.lab = Lab(topology, controller, **options)

    async def __aenter__(self) -> AsyncLab:
        await asyncio.to_thread(self.lab.up)
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.lab.down)

    async def run(
        self, host: str, command: Command, *, timeout_s: float = 120, check: bool = False
    ) -> Answer:
        """`Host.run`."""
        node = self.lab[host]
        return await asyncio.to_thread(node.run, command, timeout_s=timeout_s, check=check)

    async def trace(
        self,
        host: str,
        command: Command,
        *,
        timeout_s: float = 120,
        at: Sequence[tuple[str, str]] = (),
    ) -> Recorded:
        """`Lab.trace`."""
        return await asyncio.to_thread(self.lab.trace, host, command, timeout_s=timeout_s, at=at)

    async def visit(self, url: str = "", client: str = "", *, timeout_s: float = 30) -> Recorded:
        """`Lab.visit`."""
        return await asyncio.to_thread(self.lab.visit, url, client, timeout_s=timeout_s)

    async def swap(self, controller: str | Path) -> dict[str, Any]:
        """`Lab.swap`."""
        return await asyncio.to_thread(self.lab.swap, controller)

    async def change(self, line: str) -> Any:
        """`Lab.change`."""
        return await asyncio.to_thread(self.lab.change, line)

    async def pingall(self, *hosts: str) -> dict[str, Any]:
        """`Lab.pingall`."""
        return await asyncio.to_thread(self.lab.pingall, *hosts)
