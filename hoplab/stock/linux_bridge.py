# SPDX-License-Identifier: Apache-2.0
"""What a Linux bridge of a script's (Mininet's LinuxBridge) has learned, as the kernel tells it.

It has no flows and no controller; what it knows of addresses is shown as of any other switch.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from typing import Any

from hoplab.errors import Exit, LabError
from hoplab.kernel.batch import Place
from hoplab.sentences import say, term

_TICKS = 100  # a second, in what ip-link(8) says of a bridge's times


def _asked(place: Place, *command: str) -> list[dict[str, Any]]:
    """What a program of iproute2 says as JSON, where the bridge is. Raises LabError."""
    pipe = subprocess.PIPE
    call = place.namespace.popen(list(command), stdout=pipe, stderr=pipe, text=True, cwd="/")
    printed, said = call.communicate()
    if call.returncode:
        raise LabError(
            say("the bridge {bridge} does not answer: {reason}",
                bridge=command[-1], reason=said.strip()),
            term("the script has stopped its network, or has not built it yet"),
            Exit.FAILED,
        )  # fmt: skip
    return list(json.loads(printed or "[]"))


def has_spanning_tree(place: Place, bridge: str) -> bool:
    """Whether it opens loops by itself. Raises LabError."""
    (link,) = _asked(place, "ip", "-d", "-j", "link", "show", bridge)
    return bool(link.get("linkinfo", {}).get("info_data", {}).get("stp_state"))


def table(
    place: Place, bridge: str, ports: Mapping[str, Mapping[str, Any]], node_of: Mapping[str, str]
) -> dict[str, Any]:
    """Its table as `hoplab table` shows one. ports: its interfaces as lab.json has them, by name;
    node_of: whose a MAC address is. Raises LabError."""
    (link,) = _asked(place, "ip", "-d", "-j", "link", "show", bridge)
    kept_s = link.get("linkinfo", {}).get("info_data", {}).get("ageing_time", 0) / _TICKS
    entries = []
    for row in _asked(place, "bridge", "-j", "-s", "fdb", "show", "br", bridge):
        port = ports.get(row.get("ifname", ""))
        if port is None or row.get("state") == "permanent":  # its own addresses
            continue
        entries.append(
            {
                "mac": row["mac"], "who": node_of.get(row["mac"]), "port": str(port["port"]),
                "interface": port["name"], "towards": port["peer"], "age_s": None,
                "idle_s": float(row.get("updated", 0)), "kept_s": kept_s, "packets": None,
                "counted": None, "flows": 0,
            }
        )  # fmt: skip
    return {
        "name": bridge, "kind": "bridge", "shard": None, "flows": [], "groups": [], "meters": [],
        "rates": {}, "addresses": sorted(entries, key=lambda entry: entry["mac"]),
    }  # fmt: skip
