# SPDX-License-Identifier: Apache-2.0
"""Open vSwitch's database, spoken to directly: one transaction instead of one program a change.

The OVSDB management protocol (RFC 7047) is JSON-RPC over a unix socket; the tables and columns are
those of ovs-vswitchd.conf.db(5). What is here is what a lab needs: bridges with their ports and
controllers made in one transaction, and waiting until ovs-vswitchd has carried it out.
"""

from __future__ import annotations

import codecs
import json
import select
import socket
import time
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hoplab.errors import Exit, LabError, reason_of
from hoplab.sentences import say, term
from hoplab.wait import patience

NAME = "Open_vSwitch"
RUN = Path("/run/openvswitch")  # where the lab's own Open vSwitch has its sockets
SOCKET = RUN / "db.sock"

Operation = dict[str, Any]


@dataclass(frozen=True)
class Port:
    """A port to add. `number` is the OpenFlow port number asked for; `peer` is the other end's
    name if it is a patch port, and an existing network interface is taken if not, in the way that
    `kind` says (the Interface table's `type`)."""

    name: str
    number: int | None = None
    peer: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Bridge:
    """A bridge to add. `columns` are the Bridge table's, as OVSDB has them (see `words`)."""

    name: str
    columns: dict[str, Any]
    ports: list[Port] = field(default_factory=list)


def words(pairs: dict[str, str]) -> list[Any]:
    """A map of text to text, as RFC 7047, 5.1, writes one."""
    return ["map", [[key, value] for key, value in pairs.items()]]


def several(values: Sequence[Any]) -> list[Any]:
    """A set of values, as RFC 7047, 5.1, writes one."""
    return ["set", list(values)]


def add_bridges(bridges: Sequence[Bridge], known: Container[str] = ()) -> list[Operation]:
    """The operations that add all of them. Every bridge gets an internal port of its own name.
    Those whose names are in `known` are there already: their ports are added."""
    operations: list[Operation] = []
    made = []
    for place, bridge in enumerate(bridges):
        ports = []
        own = [] if bridge.name in known else [Port(bridge.name, kind="internal")]
        for number, port in enumerate([*own, *bridge.ports]):
            interface: dict[str, Any] = {"name": port.name}
            if port.kind:
                interface["type"] = port.kind
            if port.peer:
                interface |= {"type": "patch", "options": words({"peer": port.peer})}
            if port.number is not None:
                interface["ofport_request"] = port.number
            ident = f"i{place}_{number}"
            operations.append(_insert("Interface", ident, interface))
            row = {"name": port.name, "interfaces": ["named-uuid", ident]}
            operations.append(_insert("Port", f"p{place}_{number}", row))
            ports.append(["named-uuid", f"p{place}_{number}"])
        if bridge.name in known:
            where = [["name", "==", bridge.name]]
            operations.append(_mutate("Bridge", where, ["ports", "insert", several(ports)]))
            continue
        row = {"name": bridge.name, "ports": several(ports), **bridge.columns}
        operations.append(_insert("Bridge", f"b{place}", row))
        made.append(["named-uuid", f"b{place}"])
    if made:
        operations.append(_mutate(NAME, [], ["bridges", "insert", several(made)]))
    return operations


def remove_bridges() -> list[Operation]:
    """The operation that removes all bridges; their rows go when nothing names them any more."""
    return [_update(NAME, [], {"bridges": several([])})]


def remove_bridge(uuid: Any) -> Operation:
    """The operation that removes one, by the number of its row (`_uuid`)."""
    return _mutate(NAME, [], ["bridges", "delete", several([uuid])])


def remove_port(bridge: str, uuid: Any) -> Operation:
    """The operation that removes one port of a bridge, by the number of its row (`_uuid`)."""
    return _mutate("Bridge", [["name", "==", bridge]], ["ports", "delete", several([uuid])])


def set_controllers(
    targets: Mapping[str, Sequence[str]], columns: dict[str, Any]
) -> list[Operation]:
    """The operations that give each bridge (by name) the controllers at these addresses, in place
    of those that it has."""
    operations = []
    for place, (bridge, wanted) in enumerate(targets.items()):
        made = []
        for number, target in enumerate(wanted):
            ident = f"c{place}_{number}"
            operations.append(_insert("Controller", ident, {"target": target, **columns}))
            made.append(["named-uuid", ident])
        row = {"controller": several(made)}
        operations.append(_update("Bridge", [["name", "==", bridge]], row))
    return operations


def set_backoff(target: str, backoff_ms: int) -> Operation:
    """The operation that sets the longest pause before a controller is tried again."""
    return _update("Controller", [["target", "==", target]], {"max_backoff": backoff_ms})


def _insert(table: str, ident: str, row: dict[str, Any]) -> Operation:
    return {"op": "insert", "table": table, "uuid-name": ident, "row": row}


def _update(table: str, where: list[Any], row: dict[str, Any]) -> Operation:
    return {"op": "update", "table": table, "where": where, "row": row}


def _mutate(table: str, where: list[Any], *changes: list[Any]) -> Operation:
    return {"op": "mutate", "table": table, "where": where, "mutations": list(changes)}


def _select(table: str, columns: Sequence[str]) -> Operation:
    # with the row's own number, or rows that are alike would be one (RFC 7047, 5.2.2)
    return {"op": "select", "table": table, "where": [], "columns": ["_uuid", *columns]}


_DECODER = json.JSONDecoder()
_ANSWER = term("Open vSwitch's database to answer")


class Database:
    """A connection to the database server, for one thread."""

    def __init__(self, path: Path = SOCKET) -> None:
        """Raises LabError."""
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.connect(str(path))
        except OSError as error:
            self._socket.close()
            raise LabError(
                say(
                    "Open vSwitch's database does not take a connection: {reason}",
                    reason=reason_of(error),
                ),
                term("see `hoplab doctor`"),
                Exit.LAB_DIED,
            ) from error
        self._received = ""
        self._text = codecs.getincrementaldecoder("utf-8")()
        self._id = 0
        self._done = -1  # the newest configuration that ovs-vswitchd has carried out
        self._watching = False
        self._begun: list[int] = []  # requests whose answers nobody has waited for yet
        self._answers: dict[int, dict[str, Any]] = {}  # those that came while another was awaited

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def begin(self, operations: Sequence[Operation]) -> None:
        """The same as `transact` without waiting: it, or `apply`, tells later what went wrong.
        Raises LabError."""
        self._begun.append(self._send("transact", [NAME, *operations], 30))

    def transact(self, operations: Sequence[Operation], within_s: float = 30) -> list[Any]:
        """All of the operations or none of them (RFC 7047, 4.1.3); their results, in their order.
        Raises LabError with what the server said."""
        for begun in self._begun:
            _check(self._answer(begun, within_s))
        self._begun = []
        results = self._call("transact", [NAME, *operations], within_s)
        _check(results)
        return list(results)

    def apply(
        self,
        operations: Sequence[Operation],
        within_s: float = 120,
        *,
        only: Container[str] | None = None,
    ) -> None:
        """The same, and wait until ovs-vswitchd has carried it out. Raises LabError, also for a
        port that it could not open: any, or one of those that `only` names."""
        self._watch()
        count = _mutate(NAME, [], ["next_cfg", "+=", 1])
        results = self.transact([*operations, count, _select(NAME, ["next_cfg"])], within_s)
        number = results[-1]["rows"][0]["next_cfg"]
        deadline = time.monotonic() + within_s * patience()
        while self._done < number:
            message = self._read(deadline, term("ovs-vswitchd to carry out a change"))
            if message.get("method") == "update":
                self._note(message["params"][1])
        rows = self.transact([_select("Interface", ["name", "error"])])[0]["rows"]
        wrong = [
            (row["name"], row["error"]) for row in rows
            if isinstance(row["error"], str) and (only is None or row["name"] in only)
        ]  # fmt: skip
        if wrong:
            raise refused_change("\n".join(f"{name}: {text}" for name, text in wrong[:5]))

    def rows(self, table: str, columns: Sequence[str]) -> list[dict[str, Any]]:
        """These columns of all rows. Raises LabError."""
        result: list[dict[str, Any]] = self.transact([_select(table, columns)])[0]["rows"]
        return result

    def write_statistics(self, interval_ms: int) -> None:
        """Make ovs-vswitchd write what it knows of connections now: it does so when the interval
        changes, and else only every five seconds."""
        column = "other_config"
        old = [column, "delete", several(["stats-update-interval"])]
        new = [column, "insert", words({"stats-update-interval": str(interval_ms)})]
        self.transact([_mutate(NAME, [], old, new)])

    def _watch(self) -> None:
        """Hear of every configuration that ovs-vswitchd has finished."""
        if not self._watching:
            wish = {NAME: {"columns": ["cur_cfg"]}}
            self._note(self._call("monitor", [NAME, "cfg", wish], 30))
            self._watching = True

    def _note(self, updates: dict[str, Any]) -> None:
        for row in updates.get(NAME, {}).values():
            self._done = max(self._done, row.get("new", {}).get("cur_cfg", -1))

    def _call(self, method: str, params: list[Any], within_s: float) -> Any:
        return self._answer(self._send(method, params, within_s), within_s)

    def _send(self, method: str, params: list[Any], within_s: float) -> int:
        self._id += 1
        request = {"method": method, "params": params, "id": self._id}
        self._transmit(request, time.monotonic() + within_s * patience())
        return self._id

    def _transmit(self, message: dict[str, Any], deadline: float) -> None:
        rest = memoryview(json.dumps(message).encode())
        while rest:
            # A server reads no further requests from a client that does not read its answers.
            events = self._wait(select.POLLIN | select.POLLOUT, deadline, _ANSWER)
            try:
                if events & ~select.POLLOUT:
                    self._take_in()
                elif events:
                    rest = rest[self._socket.send(rest, socket.MSG_DONTWAIT) :]
            except BlockingIOError:
                continue  # the socket takes less than all of it at once
            except OSError as error:
                raise _silent(error) from error

    def _answer(self, number: int, within_s: float) -> Any:
        deadline = time.monotonic() + within_s * patience()
        while number not in self._answers:
            message = self._read(deadline, _ANSWER)
            if message.get("method") == "update":
                self._note(message["params"][1])
            elif "result" in message:
                self._answers[message["id"]] = message
        message = self._answers.pop(number)
        if message.get("error"):
            raise refused_change(str(message["error"]))
        return message["result"]

    def _read(self, deadline: float, state: str) -> dict[str, Any]:
        """The next message. Raises LabError after the deadline, or when the server is gone."""
        while True:
            self._received = self._received.lstrip()
            if self._received:
                try:
                    message, end = _DECODER.raw_decode(self._received)
                except ValueError:
                    pass  # not whole yet
                else:
                    self._received = self._received[end:]
                    if message.get("method") == "echo":  # RFC 7047, 4.1.11
                        reply = {"id": message["id"], "result": message["params"], "error": None}
                        self._transmit(reply, deadline)
                        continue
                    answer: dict[str, Any] = message
                    return answer
            self._wait(select.POLLIN, deadline, state)
            try:
                self._take_in()
            except OSError as error:
                raise _silent(error) from error

    def _wait(self, events: int, deadline: float, state: str) -> int:
        """Until the socket is ready for one of the events; those it is ready for."""
        poll = select.poll()
        poll.register(self._socket, events)
        ready = poll.poll(max(deadline - time.monotonic(), 0.001) * 1000)
        if not ready:
            raise LabError(
                say("waited too long for {state}", state=state),
                term("see `hoplab doctor`"),
                Exit.LAB_DIED,
            )
        return ready[0][1]

    def _take_in(self) -> None:
        data = self._socket.recv(1 << 20)
        if not data:
            raise refused_change(term("its database server has ended"))
        self._received += self._text.decode(data)


def _check(results: list[Any]) -> None:
    """Raises LabError for the operation of a transaction that was refused."""
    for result in results:
        if isinstance(result, dict) and result.get("error"):
            raise refused_change(f"{result['error']}: {result.get('details', '')}")


def _silent(error: OSError) -> LabError:
    return refused_change(say("its database does not answer: {reason}", reason=reason_of(error)))


def refused_change(text: str) -> LabError:
    """What to say of a change that Open vSwitch did not make."""
    message, hint = term("Open vSwitch refused a change"), term("its words are below")
    return LabError(message, hint, Exit.LAB_DIED, text)
