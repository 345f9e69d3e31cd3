# SPDX-License-Identifier: Apache-2.0
"""The lab's bridges, in the databases of its Open vSwitch: made, found, given their controllers.

A bridge is known to one daemon of `daemons.py` alone; here is which, so nobody else needs to ask.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from hoplab.kernel.namespaces import Background
from hoplab.kernel.threads import shares
from hoplab.openvswitch import daemons, ovsdb

BACKOFF_MS = 1000  # the longest pause before a switch tries its controller again


class Bridges:
    """The bridges of a network, given to Open vSwitch a part at a time: it opens the ports of one
    part while whoever makes their interfaces makes the next."""

    def __init__(self) -> None:
        self._open: dict[Path, ovsdb.Database] = {}  # those that something was begun in
        self._where: dict[str, Path] = {}  # bridge -> which database; neighbours are together
        self._begun: dict[str, set[str]] = {}  # bridge -> the ports that it was given

    def divide(self, names: Sequence[str], *, together: bool) -> None:
        """Say which daemon has which of all the bridges there will be: each as many as the others,
        neighbours together. `together`: the first has all, as patch ports want it, whose ends must
        be in one datapath. Once it was said, it stays."""
        if not self._where:
            paths = databases()
            parts = [list(names)] if together else shares(names, len(paths))
            for path, part in zip(paths, parts, strict=not together):
                self._where |= dict.fromkeys(part, path)

    def begin(self, bridges: Sequence[ovsdb.Bridge]) -> None:
        """Hand over what of these bridges and their ports there is by now, and wait for nothing.
        Raises LabError."""
        for path, operations in self._missing(bridges):
            if operations:
                self._database(path).begin(operations)

    def finish(
        self, bridges: Sequence[ovsdb.Bridge], only: Collection[str] | None = None
    ) -> None:
        """Hand over the rest, and wait until all of them forward. only: names of ports, where it
        does not matter that others may have a fault. Raises LabError."""
        works = []
        for path, operations in self._missing(bridges):
            database = self._database(path)
            del self._open[path]  # `_finish` closes it
            works.append(functools.partial(_finish, database, operations, only))
        if len(works) == 1:
            works[0]()
            return
        for work in [Background(work) for work in works]:
            work.result()

    def remove_port(self, bridge: str, port: str) -> None:
        """Take a port from a bridge, and wait until the interface is let go of. Raises LabError."""
        with ovsdb.Database(database_of(bridge)) as database:
            uuids = [row["_uuid"] for row in database.rows("Port", ["name"]) if row["name"] == port]
            if uuids:
                database.apply([ovsdb.remove_port(bridge, uuids[0])], only=())
        self._begun.get(bridge, set()).discard(port)

    def remove(self, bridge: str) -> None:
        """Take a bridge away. Raises LabError."""
        with ovsdb.Database(database_of(bridge)) as database:
            rows = database.rows("Bridge", ["name"])
            uuids = [row["_uuid"] for row in rows if row["name"] == bridge]
            if uuids:
                database.apply([ovsdb.remove_bridge(uuids[0])], only=())
        self._begun.pop(bridge, None)
        self._where.pop(bridge, None)

    def _database(self, path: Path) -> ovsdb.Database:
        if path not in self._open:
            self._open[path] = ovsdb.Database(path)
        return self._open[path]

    def _missing(self, bridges: Sequence[ovsdb.Bridge]) -> list[tuple[Path, list[ovsdb.Operation]]]:
        """Of each database concerned what it does not have yet; it counts as given now."""
        found = []
        known = set(self._begun)
        for bridge in bridges:  # the first daemon takes a bridge that was assigned to none
            self._where.setdefault(bridge.name, databases()[0])
        for path in dict.fromkeys(self._where[bridge.name] for bridge in bridges):
            new = []
            for bridge in bridges:
                if self._where[bridge.name] != path:
                    continue
                given = self._begun.setdefault(bridge.name, set())
                ports = [port for port in bridge.ports if port.name not in given]
                given.update(port.name for port in ports)
                if ports or bridge.name not in known:
                    new.append(ovsdb.Bridge(bridge.name, bridge.columns, ports))
            found.append((path, ovsdb.add_bridges(new, known)))
        return found


def _finish(
    database: ovsdb.Database,
    operations: Sequence[ovsdb.Operation],
    only: Collection[str] | None = None,
) -> None:
    with database:
        database.apply(operations, only=only)
        held = [
            row["_uuid"]
            for row in database.rows("Bridge", ["name"])
            if str(row["name"]).startswith(daemons.HOLD)
        ]
        if held:  # after the others: a datapath without bridges would be gone
            database.transact([ovsdb.remove_bridge(held[0])])


def database_of(bridge: str) -> Path:
    """The socket of the database that has a bridge, or the first one's. Raises LabError."""
    paths = databases()
    for path in paths if len(paths) > 1 else ():
        with ovsdb.Database(path) as database:
            if any(row["name"] == bridge for row in database.rows("Bridge", ["name"])):
                return path
    return ovsdb.SOCKET


def set_controllers(targets: Mapping[str, Sequence[str]]) -> None:
    """Point each bridge at its controllers, all in one transaction a database: no frame is lost,
    because no bridge is ever without one (a removed controller would make Open vSwitch flush). A
    controller that a bridge has already stays connected."""
    columns = {"max_backoff": BACKOFF_MS, "connection_mode": "out-of-band"}
    if not targets:
        return
    for path in databases():
        with ovsdb.Database(path) as database:
            names = {row["name"] for row in database.rows("Bridge", ["name"])}
            own = {name: wanted for name, wanted in targets.items() if name in names}
            database.transact(ovsdb.set_controllers(own, columns))


def controllers() -> dict[str, list[str]]:
    """Bridge -> the addresses of the controllers that it connects to, as somebody has set them;
    where it waits for one to come (ptcp:) is none."""
    targets: dict[str, list[str]] = {}
    for path in databases():
        with ovsdb.Database(path) as database:
            by_row = {
                str(row["_uuid"]): str(row["target"])
                for row in database.rows("Controller", ["target"])
            }
            for row in database.rows("Bridge", ["name", "controller"]):
                value = row["controller"]
                rows = value[1] if value[:1] == ["set"] else [value]
                known = [by_row[str(each)] for each in rows if str(each) in by_row]
                active = [target for target in known if not target.startswith(("ptcp", "pssl"))]
                targets[str(row["name"])] = active
    return targets


def ask_soon(target: str) -> None:
    """Have the switches that look for a controller at this address in vain look again within a
    second."""
    for path in databases():
        with ovsdb.Database(path) as database:
            database.transact([ovsdb.set_backoff(target, BACKOFF_MS)])


def all_connected(bridges: Sequence[str]) -> bool:
    """Whether each of these bridges has finished its OpenFlow handshake with all its controllers.
    """
    global _interval_ms
    if not bridges:
        return True
    _interval_ms = 5000 + (_interval_ms + 1) % 100
    states: list[Any] = []
    wanted = set(bridges)
    for path in databases():
        with ovsdb.Database(path) as database:
            database.write_statistics(_interval_ms)
            connected = {
                str(row["_uuid"]): row["is_connected"]
                for row in database.rows("Controller", ["is_connected"])
            }
            for row in database.rows("Bridge", ["name", "controller"]):
                if row["name"] in wanted:
                    value = row["controller"]
                    own = value[1] if value[:1] == ["set"] else [value]
                    states += [connected.get(str(each)) for each in own] or [None]
    return len(states) >= len(bridges) and all(state is True for state in states)


_interval_ms = 5000


def with_spanning_tree() -> set[str]:
    """The switches that run one by themselves (IEEE 802.1D), as their topology asked for."""
    bridges = set()
    for path in databases():
        with ovsdb.Database(path) as database:
            for row in database.rows("Bridge", ["name", "stp_enable", "rstp_enable"]):
                if row["stp_enable"] or row["rstp_enable"]:
                    bridges.add(str(row["name"]))
    return bridges


def datapath_ids() -> dict[str, int]:
    """Bridge -> the number by which its controller knows it."""
    numbers: dict[str, int] = {}
    for path in databases():
        with ovsdb.Database(path) as database:
            for row in database.rows("Bridge", ["name", "datapath_id"]):
                if isinstance(row["datapath_id"], str):
                    numbers[str(row["name"])] = int(row["datapath_id"], 16)
    return numbers


def databases() -> list[Path]:
    """The sockets of all database servers, in their order."""
    return [ovsdb.SOCKET, *sorted(ovsdb.RUN.glob("db-*.sock"))]
