# SPDX-License-Identifier: Apache-2.0
"""The network: a real `mininet.net.Mininet`, built in batches. The only importer of Mininet.

Users' Topo, Node, Link and Intf classes, `net.get('h1').cmd(...)` and the rest of Mininet's API
work unchanged; what changes is when the kernel is asked. `install` replaces the few methods of
Mininet's base classes that touch the kernel, so that they queue into a `Batch`; the queue is
flushed at the end of `build`, and before anything that needs the real thing (a shell, a process, a
pid). The lab is a process of its own, so nobody else's Mininet is changed.

Lives here: everything that imports Mininet, and users' topology files as they are loaded.
Must not: the running lab's life (`hoplab.service`), how the kernel is asked (`hoplab.kernel`).
Begin with `net.py`, then `queued.py`.
"""

from __future__ import annotations

import re
import sys
import types

from hoplab.errors import Exit, LabError
from hoplab.sentences import say


def _distutils_shim() -> None:
    """Mininet wants one class of distutils, which takes 0.1 s to import and is gone in Python
    3.12; here is that class."""
    if "distutils" in sys.modules:
        return
    distutils = types.ModuleType("distutils")
    version = types.ModuleType("distutils.version")

    class StrictVersion(tuple):  # type: ignore[type-arg]
        """Dotted numbers that compare by value."""

        def __new__(cls, text: str) -> StrictVersion:
            return super().__new__(cls, [int(part) for part in re.findall(r"\d+", text)])

    version.StrictVersion = StrictVersion  # type: ignore[attr-defined]
    distutils.version = version  # type: ignore[attr-defined]
    sys.modules["distutils"] = distutils
    sys.modules["distutils.version"] = version


_distutils_shim()

try:
    import mininet.net  # noqa: F401  (the first import of it, told by an error of ours)
except ImportError as error:  # told as what it is: something to install
    raise LabError(
        say("Mininet cannot be imported: {error}", error=str(error)),
        say(
            "hoplab doctor knows how; most likely: {command}",
            command="sudo apt-get install mininet",
        ),
        Exit.REFUSED,
    ) from error

from hoplab.network.net import Network  # noqa: E402  (Mininet must have been imported)
from hoplab.network.queued import install  # noqa: E402
from hoplab.network.remarks import remarks  # noqa: E402
from hoplab.network.switches import patched  # noqa: E402
from hoplab.network.topofile import load_topo  # noqa: E402

__all__ = ["Network", "install", "load_topo", "patched", "remarks"]
