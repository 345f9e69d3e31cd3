# SPDX-License-Identifier: Apache-2.0
"""Flows over a switch's management socket, against a switch that says what each test wants."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hoplab.errors import LabError
from hoplab.openvswitch import flows
from hoplab.openvswitch.flows import Flow

NOTHING = struct.pack("!HH4x", 1, 4)
PORT = bytes.fromhex("0001000c 80000004 00000003 00000000")  # in_port=3: 12 bytes and padding
Messages = Callable[[int, int, bytes], bytes]


def message(kind: int, number: int, body: bytes = b"") -> bytes:
    return struct.pack("!BBHI", 4, kind, 8 + len(body), number) + body


def entry(match: bytes, *, table: int = 0, priority: int = 0, age_s: float = 1.5) -> bytes:
    whole, nano = int(age_s), int(age_s % 1 * 1e9)
    fixed = struct.pack("!HBxIIHHHH4xQQQ", 48 + len(match) + 8, table, whole, nano, priority,
                        0, 0, 0, 0, 12, 900)  # fmt: skip
    return fixed + match + struct.pack("!HH4x", 4, 8)  # and an empty instruction


def reply(number: int, *entries: bytes, more: bool = False) -> bytes:
    return message(19, number, struct.pack("!HH4x", 1, int(more)) + b"".join(entries))


@pytest.fixture
def switch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Messages], list]]:
    """Starts a switch s1 that answers each message by a function; returns what it has heard."""
    monkeypatch.setattr(flows, "RUN", tmp_path)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "s1.mgmt"))
    listener.listen()
    threads = []

    def serve(answer: Messages, heard: list[tuple[int, bytes]]) -> None:
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as stream:
            while head := stream.read(8):
                _, kind, length, number = struct.unpack("!BBHI", head)
                body = stream.read(length - 8)
                heard.append((kind, body))
                reply_bytes = answer(kind, number, body)
                if reply_bytes == b"bye":
                    return
                with contextlib.suppress(BrokenPipeError):
                    connection.sendall(reply_bytes)

    def start(answer: Messages) -> list[tuple[int, bytes]]:
        heard: list[tuple[int, bytes]] = []
        threads.append(threading.Thread(target=serve, args=(answer, heard), daemon=True))
        threads[-1].start()
        return heard

    yield start
    listener.close()
    for thread in threads:
        thread.join(5)


@pytest.mark.parametrize(
    ("actions", "forwards"),
    [("", False), ("0000 0010 00000002 ffff 000000000000", True), ("0016 0008 00000007", True),
     ("0000 0010 fffffffd ffff 000000000000", False),
     ("0000 0010 fffffffd ffff 000000000000 0000 0010 fffffffb ffff 000000000000", True)],
)  # fmt: skip
def test_a_flow_that_asks_the_controller_forwards_nothing(actions: str, forwards: bool) -> None:
    body = bytes.fromhex(actions)
    own = entry(PORT)[:-8] + struct.pack("!HH4x", 4, 8 + len(body)) + body
    assert flows._parse(own).forwards is forwards


def test_flows_come_in_several_parts_between_other_messages(switch: Callable) -> None:
    def answer(kind: int, number: int, body: bytes) -> bytes:
        if kind != 18:
            return message(0, 99) if kind == 0 else b""
        first_part = reply(
            number, entry(NOTHING), entry(PORT, table=1, priority=7, age_s=60), more=True
        )
        return message(2, 5, b"you?") + first_part + reply(number + 50) + reply(number, entry(PORT))

    heard = switch(answer)
    assert flows.flows("s1") == [
        Flow(1.5, 0, 0, 12, NOTHING),
        Flow(60.0, 1, 7, 12, PORT),
        Flow(1.5, 0, 0, 12, PORT),
    ]
    assert [kind for kind, _ in heard][:2] == [0, 18]


def test_a_flow_is_removed_by_table_priority_and_match(switch: Callable) -> None:
    heard = switch(lambda kind, number, _: message(21, number) if kind == 20 else b"")
    flows.remove("s1", [Flow(1.0, 3, 7, 0, PORT)])
    kind, body = heard[1]
    assert kind == 14
    assert body[16:18] == bytes([3, 4]) and body[22:24] == b"\0\7" and body[40:] == PORT


@pytest.mark.parametrize("last_bytes", [b"bye", message(1, 2, struct.pack("!HH", 5, 1))])
def test_a_switch_that_refuses_or_goes_is_named(switch: Callable, last_bytes: bytes) -> None:
    switch(lambda kind, *_: b"" if kind == 0 else last_bytes)
    with pytest.raises(LabError, match="s1 refused an OpenFlow request"):
        flows.flows("s1")


def test_no_switch_at_all(switch: Callable) -> None:
    with pytest.raises(LabError, match="the switch s9 refused"):
        flows.flows("s9")


def test_an_entry_of_length_zero_does_not_hang(switch: Callable) -> None:
    endless = struct.pack("!H", 0) + entry(NOTHING)[2:]
    switch(lambda kind, number, _: reply(number, endless) if kind == 18 else b"")
    assert flows.flows("s1") == []  # no entry is so short, and where the next begins is not known


@pytest.mark.parametrize("kind_of_error", [0, 1])
def test_a_switch_that_speaks_no_openflow_1_3_is_asked_by_ovs_ofctl(
    kind_of_error: int, switch: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, ...]] = []

    def ask(bridge: str, *question: str, after: tuple[str, ...] = ()) -> str:
        asked.append((*question, bridge, *after))
        return " cookie=0x0, duration=2.5s, table=0, n_packets=3, n_bytes=9, priority=7,in_port=1 actions=drop"  # noqa: E501

    monkeypatch.setattr(flows.tables, "ask", ask)
    monkeypatch.setattr(flows, "_by_program", set())
    refusal = struct.pack("!HH", kind_of_error, 0)
    switch(lambda kind, number, _: message(1, number, refusal) if kind == 18 else b"")
    (flow,) = flows.flows("s1")
    assert flow == Flow(2.5, 0, 7, 3, b"in_port=1")
    flows.remove("s1", [flow])
    assert asked[-1] == ("--strict", "del-flows", "s1", "table=0,priority=7,in_port=1")


def port(number: int, config: int) -> bytes:
    """An ofp_port of OpenFlow 1.3 (7.2.1)."""
    head = struct.pack("!I4x6s2x16s", number, bytes([2, 0, 0, 0, 0, number]), b"s1-eth")
    return head + struct.pack("!8I", config, 0, 0, 0, 0, 0, 0, 0)


def test_ports_that_a_controller_closed_are_opened_and_closed_again(switch: Callable) -> None:
    """But not one that somebody has taken down."""
    ports = port(1, 0) + port(2, 32 | 64) + port(3, 1) + port(4, 4 | 1)

    def answer(kind: int, number: int, body: bytes) -> bytes:
        if kind == 18:
            assert body[:2] == struct.pack("!H", 13)
            return message(19, number, struct.pack("!HH4x", 13, 0) + ports)
        return message(21, number) if kind == 20 else b""

    heard = switch(answer)
    closed = flows.open_ports("s1")
    assert sorted(closed) == [2, 4]
    changes = [struct.unpack("!I4x6s2xIII4x", body) for kind, body in heard if kind == 16]
    assert changes == [
        (2, bytes([2, 0, 0, 0, 0, 2]), 0, 100, 0),
        (4, bytes([2, 0, 0, 0, 0, 4]), 0, 100, 0),
    ]
    heard = switch(answer)
    flows.open_ports("s1", closed)
    assert [struct.unpack_from("!16xI", body)[0] for kind, body in heard if kind == 16] == [96, 4]
