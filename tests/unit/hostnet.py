# SPDX-License-Identifier: Apache-2.0
"""What the hosts of a toy network are set to, as a run's `hosts.json` has it: a healthy network,
for tests to break.

    h1 .10  h2 .11                        h3 .10  h4 .11
       -+-------+--- s1 --- r1 --- s2 ---+-------+-
    10.0.1.0/24         .1      .1        10.0.2.0/24
"""

from __future__ import annotations

import copy
import ipaddress
from typing import Any

from hoplab.follow.wiring import Wiring
from tests.unit.playground import Spec, wire_up

ROUTED: Spec = [
    ("r1", "10.0.1.1/24", "s1", ""),
    ("h1", "10.0.1.10/24", "s1", ""),
    ("h2", "10.0.1.11/24", "s1", ""),
    ("r1", "10.0.2.1/24", "s2", ""),
    ("h3", "10.0.2.10/24", "s2", ""),
    ("h4", "10.0.2.11/24", "s2", ""),
]
GATEWAYS = {"h1": "10.0.1.1", "h2": "10.0.1.1", "h3": "10.0.2.1", "h4": "10.0.2.1"}


def network() -> Wiring:
    return wire_up(ROUTED, topology="routed")


def healthy(wiring: Wiring, gateways: dict[str, str] | None = None) -> dict[str, Any]:
    """The facts of a network in which nothing is wrong, and nothing was when it came up."""
    gateways = GATEWAYS if gateways is None else gateways
    hosts: dict[str, Any] = {}
    switches: dict[str, Any] = {}
    for each in wiring.interfaces:
        if wiring.kind(each.node) == "switch":
            switch = switches.setdefault(
                each.node, {"ports": {}, "controllers": 1, "connected": True, "flows": 3}
            )
            switch["ports"][each.name] = {"up": True, "carrier": True, "mtu": 1500}
            continue
        host = hosts.setdefault(
            each.node,
            {
                "cards": [], "routes": [], "neighbours": [], "listeners": [], "counters": {},
                "settings": {
                    "ip_forward": int(wiring.kind(each.node) == "router"), "rp_filter": {},
                },
                "etc": {"hosts": "", "resolv.conf": ""},
            },
        )  # fmt: skip
        card = {"name": each.name, "mac": each.mac, "mtu": 1500, "up": True, "carrier": True}
        host["cards"].append({**card, "addresses": list(each.addresses)})
        for address in each.addresses:
            to = str(ipaddress.ip_interface(address).network)
            host["routes"].append({"to": to, "card": each.name})
        gateway = gateways.get(each.node)
        if gateway and len(host["cards"]) == 1:
            host["routes"].append({"to": "0.0.0.0/0", "via": gateway, "card": each.name})
    state = {"hosts": hosts, "switches": switches}
    counted = {name: {"counters": {}} for name in hosts}
    return {
        "format": 1, "built": copy.deepcopy(state), "before": {"hosts": counted}, "now": state,
    }  # fmt: skip


class Hosts:
    """The facts, with words for what tests do to them."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data

    def __getitem__(self, node: str) -> dict[str, Any]:
        host: dict[str, Any] = self.data["now"]["hosts"][node]
        return host

    def card(self, node: str, number: int = 0) -> dict[str, Any]:
        card: dict[str, Any] = self[node]["cards"][number]
        return card

    def switch(self, name: str) -> dict[str, Any]:
        switch: dict[str, Any] = self.data["now"]["switches"][name]
        return switch

    def set_down(self, node: str, number: int = 0) -> None:
        """As `ip link set down`: the routes of the card go."""
        card = self.card(node, number)
        card["up"] = card["carrier"] = False
        self.drop_routes(node, card["name"])

    def drop_routes(self, node: str, card: str, *, default_only: bool = False) -> Hosts:
        self[node]["routes"] = [
            route for route in self[node]["routes"]
            if route["card"] != card or (default_only and not route.get("via"))
        ]  # fmt: skip
        return self

    def readdress(self, node: str, cidr: str, *, gateway: str = "") -> Hosts:
        """As `ip addr flush` and `ip addr add`, with a default route or none."""
        card = self.card(node)
        self.drop_routes(node, card["name"])
        card["addresses"] = [cidr] if cidr else []
        if cidr:
            network = str(ipaddress.ip_interface(cidr).network)
            self[node]["routes"].append({"to": network, "card": card["name"]})
        if gateway:
            self.route(node, "0.0.0.0/0", gateway)
        return self

    def route(self, node: str, to: str, via: str = "", **more: Any) -> Hosts:
        """As `ip route replace`."""
        routes = [route for route in self[node]["routes"] if route["to"] != to]
        card = self.card(node)["name"] if more.get("kind") is None else ""
        self[node]["routes"] = [*routes, {"to": to, "via": via, "card": card, **more}]
        return self

    def saved(self, node: str, rule: str, *, rose: int = 1, policy: str = "ACCEPT") -> None:
        """A rule of iptables that counted 5 packets before, and so many more since."""
        chains = ":INPUT {p} [{n}:84]\n:FORWARD {p} [{n}:84]\n:OUTPUT ACCEPT [0:0]\n"
        text = f"*filter\n{chains}{{r}}COMMIT"
        for state, packets in (("before", 5), ("now", 5 + rose)):
            line = f"[{packets}:84] -A {rule}\n" if rule else ""
            printed = text.format(p=policy, n=packets if policy != "ACCEPT" else 0, r=line)
            self.data[state]["hosts"][node]["filters"] = {"iptables-nft-save": printed}
