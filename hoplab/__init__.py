# SPDX-License-Identifier: Apache-2.0
"""hoplab: a network lab that follows one real packet across every hop.

The engine. What users read, copy and change lives beside it, in topologies/, controllers/ and
apps/; the engine loads those files by path and they never import it. `docs/architecture.md`
draws the rooms and says which may import which.

For Python programs the names of `__all__` are what is promised; docs/api.md describes them. They
are loaded when they are asked for, so that `import hoplab` costs nothing.

>>> import hoplab
>>> with hoplab.Lab("web", controller="learning_switch") as lab:
...     run = lab.trace("client", ["ping", "-c", "1", "10.80.0.80"])
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hoplab.api.async_lab import AsyncLab
    from hoplab.api.lab import Answer, Host, Lab, Link
    from hoplab.api.packets import Packet, Packets
    from hoplab.api.recorded import Recorded, open_capture, open_run
    from hoplab.errors import Exit, LabError

__version__ = "0.1.0"

__all__ = [
    "Answer", "AsyncLab", "Exit", "Host", "Lab", "LabError", "Link", "Packet", "Packets",
    "Recorded", "open_capture", "open_run",
]  # fmt: skip

_WHERE = {
    "Answer": "api.lab",
    "AsyncLab": "api.async_lab",
    "Exit": "errors",
    "Host": "api.lab",
    "Lab": "api.lab",
    "LabError": "errors",
    "Link": "api.lab",
    "Packet": "api.packets",
    "Packets": "api.packets",
    "Recorded": "api.recorded",
    "open_capture": "api.recorded",
    "open_run": "api.recorded",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"hoplab.{name}", name=name)
    return getattr(importlib.import_module(f"hoplab.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
