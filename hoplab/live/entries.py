# SPDX-License-Identifier: Apache-2.0
"""The tables of switches, hosts and routers for a page: what they hold at this moment, each entry
with the packet that made it, where that is known.

What lives here: columns and rows. What must not: which packet made an entry (`origins.py`), words.

A table is {"table": NAME, "columns": [NAME, ...], "rows": [[CELL, ...], ...], "packets": [N, ...]};
N is the number of a packet, 0 where none is known. What counts up all the time is in no row, so a
row that changes has changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hoplab.client import labs
from hoplab.client.inventory import services_of

Table = dict[str, Any]
Row = tuple[list[str], int]


def held_by(handle: labs.Handle, switches: Sequence[str], hosts: Sequence[str]) -> dict[str, Any]:
    """What these hold, as the lab says it. Raises LabError."""
    held: dict[str, Any] = handle.ask({"op": "look", "hosts": list(hosts)}) if hosts else {}
    if switches:
        read = handle.ask({"op": "table", "switches": list(switches)})
        held |= {switch["name"]: switch for switch in read["switches"]}
    return held


def tables_of(held: Mapping[str, Any], origins: Mapping[str, Any]) -> list[Table]:
    """The tables of one node. held: from `held_by`; origins: what packets told (`Origins.of`)."""
    return _of_switch(held, origins) if "flows" in held else _of_host(held, origins)


def _table(name: str, columns: Sequence[str], rows: Iterable[Row]) -> Table:
    ordered = list(rows)
    return {
        "table": name,
        "columns": list(columns),
        "rows": [cells for cells, _ in ordered],
        "packets": [packet for _, packet in ordered],
    }


def _of_switch(held: Mapping[str, Any], origins: Mapping[str, Any]) -> list[Table]:
    learned = origins.get("macs", {})

    def address(entry: Mapping[str, Any]) -> Row:
        port = entry["interface"] or entry["port"]
        seen_at, packet = learned.get(entry["mac"], ("", 0))
        cells = [entry["mac"], entry["who"] or "?", port]
        return cells, packet if seen_at == entry["interface"] else 0

    def flow(told: Mapping[str, Any]) -> Row:
        there = list(told["sends_to"])
        if told["next_table"] is not None:
            there.append(f"goto_table:{told['next_table']}")
        cells = [
            str(told["table"]), str(told["priority"]), told["match"] or "*",
            ", ".join(there) or "drop",
        ]  # fmt: skip
        return cells, told["packet"]

    flows = sorted(
        origins.get("flows", ()), key=lambda told: (told["table"], -told["priority"], told["match"])
    )
    groups = [
        ([str(group["group"]), group["type"], str(place), bucket["actions"]], 0)
        for group in held["groups"]
        for place, bucket in enumerate(group["buckets"], 1)
    ]
    tables = [
        _table("macs", ("mac", "who", "port"), map(address, held["addresses"])),
        _table("flows", ("table", "priority", "match", "sends_to"), map(flow, flows)),
    ]
    if groups:
        tables.append(_table("groups", ("group", "type", "bucket", "actions"), groups))
    return tables


def _of_host(held: Mapping[str, Any], origins: Mapping[str, Any]) -> list[Table]:
    came = origins.get("neighbours", {})

    def neighbour(entry: Mapping[str, Any]) -> Row:
        mac, packet = came.get(entry["ip"], ("", 0))
        known = bool(entry.get("mac")) and not entry.get("permanent") and mac == entry["mac"]
        return [entry["ip"], entry.get("mac") or "-", entry["card"]], packet if known else 0

    def route(entry: Mapping[str, Any]) -> Row:
        return [entry["to"], entry.get("via") or "-", entry["card"]], 0

    waiting = [
        ([each["protocol"], f"{each['address'] or '*'}:{each['port']}", each["program"] or "?"], 0)
        for each in services_of(dict(held))
    ]
    connected = [([each["local"], each["peer"], each["state"]], 0) for each in held["connections"]]
    tables = [
        _table("arp", ("ip", "mac", "card"), map(neighbour, held["neighbours"])),
        _table("routes", ("to", "via", "card"), map(route, held["routes"])),
        _table("connections", ("local", "peer", "state"), connected),
        _table("sockets", ("protocol", "local", "program"), waiting),
    ]
    answers = [(row[:-1], row[-1]) for row in origins.get("answers", ())]
    if answers:
        tables.append(_table("answers", ("name", "type", "value"), answers))
    leases = [(row[:-1], row[-1]) for row in origins.get("leases", ())]
    if leases:
        tables.append(_table("leases", ("ip", "server"), leases))
    return tables
