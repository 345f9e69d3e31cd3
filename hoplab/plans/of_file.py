# SPDX-License-Identifier: Apache-2.0
"""The plan of a topology's file: what a network of its Topo would be.

The file is Python of a user's, so it is read by a process of its own (`hoplab.network.planned`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from hoplab.errors import Exit, LabError
from hoplab.plans.plan import Plan, from_data
from hoplab.sentences import from_plain, say, term

WITHIN_S = 60.0


def plan_of(
    path: Path, arguments: str = "", chosen: str = "", words: Sequence[str] = ()
) -> Plan:
    """The plan of a file's Topo, found as `up` finds it. Raises LabError."""
    beside = Path(__file__).resolve().parents[2]
    python = os.pathsep.join(filter(None, (str(beside), os.environ.get("PYTHONPATH", ""))))
    try:
        reader = subprocess.run(
            [sys.executable, "-m", "hoplab.network.planned", str(path), arguments, chosen, *words],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=WITHIN_S,
            env={**os.environ, "PYTHONPATH": python}, check=False,
        )  # fmt: skip
        printed = json.loads(reader.stdout, object_hook=from_plain)
    except (subprocess.TimeoutExpired, ValueError):
        raise LabError(
            say("{file}: its topology could not be read", file=path),
            term("does it come up? try `hoplab up` with it"),
            Exit.BAD_INPUT,
        ) from None
    if "error" in printed:
        raise LabError.from_dict(printed)
    return from_data(printed)
