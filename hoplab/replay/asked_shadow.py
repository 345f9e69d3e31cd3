# SPDX-License-Identifier: Apache-2.0
"""A shadow of the switches, from when it begins to start until it ends.

What lives here: that it is opened once, closed once, and why there is none. What must not: what it
is asked (`player.py`), and when (`explain.py`, `live.py`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from hoplab.openvswitch.shadow import Shadow, Unavailable

_Asker = TypeVar("_Asker", bound="AskedShadow")


def ports_of(state: Mapping[str, Any]) -> dict[str, list[int]]:
    """The ports of each switch, as lab.json has them."""
    ports: dict[str, list[int]] = {}
    names = {node["name"] for node in state["nodes"] if node.get("dpid")}
    for interface in state["interfaces"]:
        if interface["node"] in names and isinstance(interface.get("port"), int):
            ports.setdefault(interface["node"], []).append(interface["port"])
    return ports


class AskedShadow:
    """Whoever asks a shadow; it is closed by whoever makes this. problem: why nothing can be asked,
    or ""."""

    def __init__(self) -> None:
        self.problem = ""
        self._shadow: Shadow | None = None

    def __enter__(self: _Asker) -> _Asker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the shadow."""
        shadow, self._shadow = self._shadow, None
        if shadow is not None:
            shadow.close()

    def _start(self, switches: Mapping[str, Sequence[int]] | None = None) -> Shadow | None:
        """The shadow, which begins to start now if it has not; None where there is none. switches:
        those that will be asked for, with their ports."""
        if self._shadow is None and not self.problem:
            with self._asking():
                self._shadow = Shadow(switches)
        return self._shadow

    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        """While it is asked: should it end meanwhile, that is the problem."""
        try:
            yield
        except (Unavailable, OSError) as error:
            self.problem = str(error)
