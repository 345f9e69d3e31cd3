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
from ipaddress import ip_address, ip_interface
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
    plan = from_data(printed)
    _check(path, plan)
    return plan


def _check(path: Path, plan: Plan) -> None:
    """Raises LabError for addresses that are none."""
    for host in plan.hosts.values():
        hops = [via for _, via in host.routes]
        for read, texts in (
            (ip_interface, [own for owns in host.cards.values() for own in owns]),
            (ip_address, [*filter(None, (host.gateway, *host.dns)), *hops]),
        ):
            for text in texts:
                try:
                    read(text)
                except ValueError:
                    raise LabError(
                        say("{file}: {node}: {address} is no IP address", file=path,
                            node=host.name, address=text),
                        term("write it as in 10.0.0.1, with /24 behind a host's own"),
                        Exit.BAD_INPUT,
                    ) from None  # fmt: skip
