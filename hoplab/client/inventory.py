# SPDX-License-Identifier: Apache-2.0
"""What is in a running lab: hosts with addresses, gateways, DNS and services, switches with their
controllers, cables. As plain data, read from the lab as it is now.
"""

from __future__ import annotations

import os
import re
from typing import Any

from hoplab.client import labs

_INTERPRETERS = re.compile(r"(python|bash|sh|perl|ruby|node)[\d.]*")


def facts_of(handle: labs.Handle) -> dict[str, Any]:
    """What hosts and switches are set to now, as `hosts.json` has it. Raises LabError."""
    with handle.connect() as sock:
        labs.send(sock, {"op": "facts"})
        labs.receive(sock, handle.name)
        labs.send(sock, {"now": True, "failed": True})
        facts: dict[str, Any] = labs.receive(sock, handle.name)["ok"]
        return facts


def inventory(handle: labs.Handle) -> dict[str, Any]:
    """All that `hoplab ls LAB` tells. Raises LabError."""
    state = handle.state()
    facts = facts_of(handle).get("now", {})
    cables = handle.ask({"op": "links"})
    controllers = {name: shard for shard in state["shards"] for name in shard["switches"]}
    hosts, switches = [], []
    for node in state["nodes"]:
        own = [each for each in state["interfaces"] if each["node"] == node["name"]]
        if node["kind"] == "switch" or "dpid" in node:
            entry = facts.get("switches", {}).get(node["name"], {})
            switches.append(
                {
                    "name": node["name"],
                    "kind": node["kind"],
                    "dpid": node.get("dpid"),
                    "ports": [each["name"] for each in own],
                    "controller": state["controller"] if node["name"] in controllers else None,
                    "connected": entry.get("connected"),
                    "flows": entry.get("flows"),
                }
            )
        if node["kind"] != "switch":
            hosts.append(_host(node, own, facts.get("hosts", {}).get(node["name"], {})))
    return {
        "name": state["name"],
        "topology": state["topology"] + (f",{state['arguments']}" if state["arguments"] else ""),
        "controller": state["controller"],
        "datapath": state["datapath"],
        "url": state["url"],
        "hosts": hosts,
        "switches": switches,
        "cables": cables,
    }


def _host(node: dict[str, Any], own: list[dict[str, Any]], facts: dict[str, Any]) -> dict[str, Any]:
    cards = {card["name"]: card for card in facts.get("cards", [])}
    interfaces = []
    for each in own:
        card = cards.get(each["ifname"])
        others = [a for a in each["addresses"] if ":" in a]  # the facts have IPv4 alone
        interfaces.append(
            {
                "name": each["name"],
                "mac": card["mac"] if card else each["mac"],
                "addresses": [*card["addresses"], *others] if card else each["addresses"],
                "up": card["up"] if card else True,
                "peer": each["peer"],
            }
        )
    gateways = [
        route["via"] for route in facts.get("routes", ())
        if route["to"] == "0.0.0.0/0" and route.get("via") and route.get("table") in (254, None)
    ]  # fmt: skip
    return {
        "name": node["name"],
        "kind": node["kind"],
        "interfaces": interfaces,
        "gateway": gateways[0] if gateways else None,
        "dns": re.findall(r"^\s*nameserver\s+(\S+)", facts.get("etc", {}).get("resolv.conf", ""),
                          re.MULTILINE),
        "services": services_of(facts),
    }  # fmt: skip


def services_of(facts: dict[str, Any]) -> list[dict[str, Any]]:
    """What waits for others at a host's ports, by its facts."""
    return [
        {
            "protocol": listener["protocol"],
            "address": listener["address"],
            "port": listener["port"],
            "program": _program(listener.get("argv") or []),
            "pid": listener.get("pid"),
        }
        for listener in facts.get("listeners", ())
    ]


def _program(argv: list[str]) -> str:
    """What a listener is called: its script, where an interpreter runs one."""
    words = [word for word in argv if not word.startswith("-")]
    if len(words) > 1 and _INTERPRETERS.fullmatch(os.path.basename(words[0])):
        return os.path.basename(words[1])
    return os.path.basename(words[0]) if words else ""
