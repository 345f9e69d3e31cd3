# SPDX-License-Identifier: Apache-2.0
"""A controller outside of a lab: which one may be reached, by whom, and with what."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hoplab.client import outside
from hoplab.control import relay
from hoplab.network import script
from hoplab.stock import guest
from hoplab.story import conversation

HELLO = bytes([4, 0, 0, 8, 0, 0, 0, 1])
REQUEST = bytes([4, 5, 0, 8, 0, 0, 0, 2])


@contextlib.contextmanager
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        yield server


def carried(server: socket.socket) -> socket.socket:
    """The switch's end of a connection that is carried to `server`."""
    switch, inside = socket.socketpair()
    address = ("127.0.0.1", server.getsockname()[1])
    threading.Thread(target=relay.carry, args=(inside, address), daemon=True).start()
    switch.settimeout(10)
    return switch


def ended(sock: socket.socket) -> bool:
    """Whether the other end has closed it, having said nothing."""
    with contextlib.suppress(ConnectionResetError):
        return sock.recv(100) == b""
    return True


def test_openflow_goes_both_ways() -> None:
    with listener() as server, carried(server) as switch:
        switch.sendall(HELLO + REQUEST)
        controller, _ = server.accept()
        with controller:
            controller.settimeout(10)
            assert controller.recv(8, socket.MSG_WAITALL) == HELLO
            controller.sendall(HELLO)
            assert switch.recv(8, socket.MSG_WAITALL) == HELLO
            assert controller.recv(8, socket.MSG_WAITALL) == REQUEST
            controller.sendall(REQUEST)
            assert switch.recv(8, socket.MSG_WAITALL) == REQUEST
        assert switch.recv(8) == b""


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH_9\r\n", b"HTTP/1.1 400 Bad\r\n\r\n"])
def test_another_service_hears_a_greeting_and_nothing_more(answer: bytes) -> None:
    with listener() as server, carried(server) as switch:
        switch.sendall(HELLO + b"GET / HTTP/1.0\r\n\r\n")
        service, _ = server.accept()
        with service:
            service.settimeout(10)
            assert service.recv(8, socket.MSG_WAITALL) == HELLO
            service.sendall(answer)
            assert ended(switch) and ended(service)


@pytest.mark.parametrize("first", [b"GET / HTTP/1.0\r\n\r\n", bytes([4, 0, 255, 255]) + bytes(99)])
def test_what_does_not_begin_as_openflow_goes_nowhere(first: bytes) -> None:
    with listener() as server, carried(server) as switch:
        switch.sendall(first)
        service, _ = server.accept()
        with service:
            service.settimeout(10)
            assert ended(service) and ended(switch)


@pytest.mark.parametrize("mine", [True, False])
def test_a_door_is_open_for_switches_alone(mine: bool) -> None:
    taken: list[socket.socket] = []
    accepted = threading.Event()

    def take(connection: socket.socket) -> None:
        taken.append(connection.dup())
        accepted.set()

    door = relay.Door("127.0.0.1", 0, lambda: [os.getpid()] if mine else [1 << 22], take)
    with socket.create_connection(door.listener.getsockname(), 10) as asker:
        asker.settimeout(10)
        if mine:
            assert accepted.wait(10)
        else:
            assert asker.recv(1) == b""
    door.listener.close()
    assert len(taken) == mine


def test_which_may_be_reached() -> None:
    with listener() as server:
        own = server.getsockname()
        assert outside.Outside().state(own) == outside.THERE
        assert outside.Outside(shut=True).state(own) == outside.SHUT
    assert outside.Outside().state(own) == outside.NOBODY
    far = ("192.0.2.7", 6653)
    assert outside.Outside().state(far) == outside.SHUT
    assert outside.Outside(far=frozenset({far})).state(far) == outside.THERE
    assert outside.Outside(shut=True, far=frozenset({far})).state(far) == outside.SHUT


def test_another_users_may_not(monkeypatch: pytest.MonkeyPatch) -> None:
    with listener() as server:
        monkeypatch.setattr(os, "getuid", lambda: os.geteuid() + 1)
        assert outside.Outside().state(server.getsockname()) == outside.ANOTHERS


@pytest.mark.parametrize(
    "port, peer, controller",
    [(6653, 40000, True), (40000, 6653, False), (6633, 40000, True), (40000, 6700, False)],
)
def test_the_controllers_end_of_a_connection(port: int, peer: int, controller: bool) -> None:
    assert conversation._controllers(port, peer) is controller


@pytest.mark.parametrize(
    "call, remote",
    [
        ("Mininet(T(), controller=RemoteController)", ("c0", "127.0.0.1", (6653, 6633))),
        ("net.addController('c1', controller=RemoteController, ip='192.0.2.7', port=6633)",
         ("c1", "192.0.2.7", (6633,))),
        ("net.addController(RemoteController('c2', 'localhost', 6700))",
         ("c2", "127.0.0.1", (6700,))),
        ("Mininet(controller=lambda name: RemoteController(name, port=6634))",
         ("c0", "127.0.0.1", (6634,))),
        ("Mininet(controller=partial(RemoteController, ip='10.0.0.9'))",
         ("c0", "10.0.0.9", (6653, 6633))),
        ("RemoteController('c0', ip=sys.argv[1])", None),
        ("Mininet(controller=Controller)", None),
    ],
)  # fmt: skip
def test_the_controller_that_a_file_names(tmp_path: Path, call: str, remote: Any) -> None:
    file = tmp_path / "mine.py"
    file.write_text(f"\n{call}\n")
    remotes = [(each.name, each.ip, each.ports) for each in script.remotes(file)]
    assert remotes == ([remote] if remote else [])


@pytest.mark.parametrize(
    "command, name",
    [
        ("python3 my_script.py 4", "my_script"),
        ("sudo ./fat tree.py", "tree"),
        ("mn --custom ~/labs/ring.py --topo ring", "ring"),
        ("mn --topo tree,2", "mn"),
        ("sh -c 'ryu-manager app &'", "sh"),
    ],
)
def test_a_lab_is_named_after_its_script(command: str, name: str) -> None:
    assert guest.name_of(command.split()) == name
