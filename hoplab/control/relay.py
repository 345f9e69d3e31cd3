# SPDX-License-Identifier: Apache-2.0
"""Switches of a lab and a controller outside of it: connections handed from one side to the other.

A lab has a loopback interface of its own, so a controller that runs in another terminal is not at
127.0.0.1 there. A `Door` listens in the lab where the controller is expected. It takes connections
of the lab's ovs-vswitchd, and of nobody else: any other program of the lab, a host's above all,
finds it shut. Whoever brought the lab up carries them on from outside (`carry`), and looks at them
once more: nothing but a greeting of OpenFlow goes out before a greeting of OpenFlow has come back,
so no other service hears more than that, whatever somebody in the lab may do to Open vSwitch.
"""

from __future__ import annotations

import contextlib
import ipaddress
import select
import socket
import threading
from collections.abc import Callable, Collection

from hoplab.kernel import netlink, tcp_table

GREETING_S = 10.0  # for either side to greet
_HEADER = 8  # version, type, length, number (OpenFlow 1.3.5, 7.1)
_HELLO = 0
_VERSIONS = range(1, 7)
_LONGEST_HELLO = 64  # with its bitmap of versions (7.5.1) it has 16
_PIECE = 1 << 16

Pass = Callable[[socket.socket], None]


class Door:
    """Where a lab's switches find a controller that is outside. Raises OSError where somebody
    listens already."""

    def __init__(self, ip: str, port: int, switches: Callable[[], Collection[int]],
                 take: Pass) -> None:  # fmt: skip
        """switches: the process ids of those who may. take: is given each connection of theirs."""
        self._switches, self._take = switches, take
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self.listener.bind((ip, port))
            self.listener.listen(64)
        except OSError:
            self.listener.close()
            raise
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                if self._is_a_switchs(connection):
                    with contextlib.suppress(OSError):
                        self._take(connection)

    def _is_a_switchs(self, connection: socket.socket) -> bool:
        own, peer = connection.getsockname(), connection.getpeername()
        inodes = [
            each.inode
            for each in tcp_table.sockets()
            if (each.address, each.port) == peer[:2] and (each.peer, each.peer_port) == own[:2]
        ]
        return any(tcp_table.holds(pid, inode) for pid in self._switches() for inode in inodes)


def lead_outside(
    address: tuple[str, int],
    switches: Callable[[], Collection[int]],
    carry_on: Callable[[tuple[str, int], socket.socket], None],
    port: int | None = None,
) -> None:
    """Let switches that look for a controller at an address find the one that is outside there.
    port: where they look, if that is another one than outside. Raises OSError where somebody
    listens already."""
    ip, port_outside = address
    if not ipaddress.ip_address(ip).is_loopback:
        give_address(ip)
    Door(ip, port or port_outside, switches, lambda switch: carry_on(address, switch))


def give_address(ip: str) -> None:
    """Let an address be the lab's own loopback's, so that switches which look there come to us.
    Raises OSError."""
    route = netlink.Socket()
    try:
        route.send([netlink.address(netlink.LOOPBACK, "lo", f"{ip}/32")])
    finally:
        route.close()


def carry(inside: socket.socket, address: tuple[str, int]) -> None:
    """Carry a connection of a switch on to a controller, until either side ends it."""
    with inside, contextlib.suppress(OSError, ValueError):
        outside = socket.create_connection(address, GREETING_S)
        with outside:
            inside.settimeout(GREETING_S)
            outside.sendall(_greeting(inside))
            inside.sendall(_greeting(outside))
            _carry_on(inside, outside)


def _greeting(sock: socket.socket) -> bytes:
    """The HELLO that a connection begins with. Raises ValueError for anything else, OSError."""
    data = _exactly(sock, _HEADER)
    size = int.from_bytes(data[2:4], "big")
    if data[0] not in _VERSIONS or data[1] != _HELLO or not _HEADER <= size <= _LONGEST_HELLO:
        raise ValueError("this is no OpenFlow")
    return data + _exactly(sock, size - _HEADER)


def _exactly(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        if not piece:
            raise ValueError("it has ended")
        data += piece
    return data


def _carry_on(one_end: socket.socket, far_end: socket.socket) -> None:
    ends = {one_end: far_end, far_end: one_end}
    for end in ends:
        end.settimeout(None)
    while True:
        ready, _, _ = select.select(list(ends), [], [])
        for end in ready:
            data = end.recv(_PIECE)
            if not data:
                return
            ends[end].sendall(data)
