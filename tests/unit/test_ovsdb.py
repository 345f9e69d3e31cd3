# SPDX-License-Identifier: Apache-2.0
"""Open vSwitch's database, spoken to by us: what is begun is not forgotten."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hoplab.errors import LabError
from hoplab.openvswitch import bridges, ovsdb


class Server:
    """A database server that answers every request as `answer` says; by default, with done."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.heard: list[list[Any]] = []
        self.refuse: set[int] = set()  # transactions, counted from 1
        self.late = False  # hold back the first answer until there is a second
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(path))
        self._listening.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(client,), daemon=True).start()

    def _talk(self, client: socket.socket) -> None:
        text, held = "", b""
        while data := client.recv(65536).decode():
            text += data
            while text:
                try:
                    request, end = json.JSONDecoder().raw_decode(text)
                except ValueError:
                    break
                text = text[end:]
                answer = json.dumps(self._answer(request)).encode()
                if self.late:
                    self.late, held = False, answer
                    continue
                client.sendall(answer + held)
                held = b""

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        result: Any = {"Open_vSwitch": {"1": {"new": {"cur_cfg": 99}}}}
        if request["method"] == "transact":
            operations = request["params"][1:]
            self.heard.append(operations)
            result = [self._done(operation) for operation in operations]
            if len(self.heard) in self.refuse:
                result[-1] = {"error": "constraint violation", "details": "two ports of one name"}
        return {"id": request["id"], "result": result, "error": None}

    def _done(self, operation: dict[str, Any]) -> dict[str, Any]:
        if operation["op"] != "select":
            return {}
        return {"rows": [{"next_cfg": 1}] if operation["columns"] == ["_uuid", "next_cfg"] else []}

    def added(self) -> list[tuple[str, str]]:
        """(table, name) of every bridge and port that was added, in order."""
        return [
            (operation["table"], operation["row"]["name"])
            for operations in self.heard
            for operation in operations
            if operation["op"] == "insert" and operation["table"] in ("Bridge", "Port")
        ]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    made = Server(tmp_path / "db.sock")
    monkeypatch.setattr(bridges, "databases", lambda: [made.path])
    yield made
    made.close()


def bridge(name: str, *ports: str) -> ovsdb.Bridge:
    return ovsdb.Bridge(name, {}, [ovsdb.Port(port) for port in ports])


def test_bridges_in_parts_are_the_same_bridges(server: Server) -> None:
    made = bridges.Bridges()
    made.begin([bridge("s1", "a"), bridge("s2")])
    made.begin([bridge("s1"), bridge("s2")])  # nothing new
    made.begin([bridge("s1", "b"), bridge("s2", "c")])
    made.finish([bridge("s1", "a", "b", "d"), bridge("s2", "c")])
    added = server.added()
    assert len(added) == len(set(added))
    assert {name for table, name in added if table == "Bridge"} == {"s1", "s2"}
    assert {name for table, name in added if table == "Port"} == {"s1", "s2", *"abcd"}
    where = [
        (operation["where"], len(operation["mutations"][0][2][1]))
        for operations in server.heard
        for operation in operations
        if operation["op"] == "mutate" and operation["table"] == "Bridge"
    ]
    assert where == [([["name", "==", n]], 1) for n in ("s1", "s2", "s1")]


def test_a_switch_that_comes_later(server: Server) -> None:
    made = bridges.Bridges()
    made.finish([bridge("s1", "a")])
    made.finish([bridge("s2", "b")])
    assert [name for table, name in server.added() if table == "Bridge"] == ["s1", "s2"]


def test_which_daemon_has_which_bridge(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where each comes alone, as those of a class with a `start` of its own do."""
    second_server = Server(tmp_path / "db-2.sock")
    monkeypatch.setattr(bridges, "databases", lambda: [server.path, second_server.path])
    names = ["s1", "s2", "s3", "s4", "s5"]
    for together, second in ((False, ["s4", "s5"]), (True, [])):
        server.heard, second_server.heard = [], []
        made = bridges.Bridges()
        made.divide(names, together=together)
        for name in names:
            made.finish([bridge(name)])
        assert [n for table, n in second_server.added() if table == "Bridge"] == second
        first = [name for name in names if name not in second]
        assert [n for table, n in server.added() if table == "Bridge"] == first
    second_server.close()


def test_a_refusal_is_told_though_others_finish_first(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second_server = Server(tmp_path / "db-2.sock")
    second_server.refuse = {1}
    monkeypatch.setattr(bridges, "databases", lambda: [server.path, second_server.path])
    made = bridges.Bridges()
    made.divide(["s1", "s2"], together=False)
    made.begin([bridge("s1", "a"), bridge("s2", "b")])
    made.finish([bridge("s1", "a")])
    made.finish([])
    with pytest.raises(LabError):
        made.finish([bridge("s2", "b")])
    second_server.close()


def test_a_server_that_is_full_of_answers_is_relieved(tmp_path: Path) -> None:
    """As ovsdb-server is: it takes no request while nobody takes its answers."""
    near, far = socket.socketpair()
    path = tmp_path / "db.sock"
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen()
    database = ovsdb.Database(path)
    far, _ = listening.accept()
    near.close()
    heard: list[int] = []

    def serve() -> None:
        answers = json.dumps({"id": 0, "result": [], "error": None}).encode() * 100_000
        far.sendall(answers)  # more than both sockets hold
        while data := far.recv(65536):
            heard.append(len(data))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    operation = {"op": "comment", "comment": "x" * 10_000_000}
    sending = threading.Thread(target=database.begin, args=([operation],), daemon=True)
    sending.start()
    sending.join(60)
    assert not sending.is_alive(), "each waits for the other"
    far.shutdown(socket.SHUT_RDWR)
    thread.join(60)
    assert sum(heard) > 10_000_000
    far.close(), listening.close()


def test_what_was_begun_and_refused_is_told(server: Server) -> None:
    server.refuse = {1}
    made = bridges.Bridges()
    made.begin([bridge("s1", "a")])
    with pytest.raises(LabError) as caught:
        made.finish([bridge("s1", "a")])
    assert "two ports of one name" in caught.value.detail


def test_answers_in_any_order(server: Server) -> None:
    server.late = True
    with ovsdb.Database(server.path) as database:
        database.begin([{"op": "comment"}])
        database.apply([{"op": "abort"}])  # asks to be told of changes first
    assert [operations[0]["op"] for operations in server.heard] == ["comment", "abort", "select"]
