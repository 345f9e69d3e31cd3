# SPDX-License-Identifier: Apache-2.0
"""The words of the filter language, once for all who speak it.

What lives here: tables. What must not: what the words mean for a packet (`matching.py`; for the
player's page `web/static/filter.js`, which is given `for_page()`).
"""

from __future__ import annotations

from typing import Any

# What can be compared: the name of a reading, and whether it is a number. A reading has a value for
# the packet, or one for each of its frames.
READINGS: dict[str, bool] = {
    "length": True, "ttl": True, "time": True, "packet": True, "copies": True,
    "frame_number": True, "source": False, "destination": False, "address": False,
    "source_mac": False, "destination_mac": False, "mac": False,
}  # fmt: skip
# Names of readings: ours, and those of Wireshark's that mean the same.
FIELDS: dict[str, str] = {
    "length": "length", "frame.len": "length",
    "ttl": "ttl", "ip.ttl": "ttl", "ipv6.hlim": "ttl",
    "time": "time", "packet": "packet", "copies": "copies",
    "frame.number": "frame_number",
    "ip.src": "source", "ipv6.src": "source",
    "ip.dst": "destination", "ipv6.dst": "destination",
    "ip.addr": "address", "ipv6.addr": "address",
    "eth.src": "source_mac", "eth.dst": "destination_mac", "eth.addr": "mac",
}  # fmt: skip
# Words that take the next one.
RELATIONS = ("from", "to", "via", "at", "on", "step")
# Words about what became of a packet.
STATES = (
    "lost", "vanished", "flooded", "ignored", "routed", "ended", "translated", "answered", "asked",
)  # fmt: skip
# Protocols: words for a packet by what it is and by what it was carried in.
PROTOCOLS = (
    "arp", "ip", "ipv4", "ipv6", "icmp", "nd", "mld", "udp", "tcp", "dns", "dhcp", "http", "tls",
    "quic", "ospf", "rip", "lldp", "vxlan", "gre", "geneve", "pppoe", "fragment", "other",
)  # fmt: skip
# A number as it is written after a sign, for both languages' regular expressions.
NUMBER = r"[-+]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][-+]?[0-9]{1,3})?"


def for_page() -> dict[str, Any]:
    """The vocabulary as data."""
    return {
        "fields": {name: [reading, READINGS[reading]] for name, reading in FIELDS.items()},
        "relations": list(RELATIONS),
        "states": list(STATES),
        "protocols": list(PROTOCOLS),
        "number": NUMBER,
    }
