# SPDX-License-Identifier: Apache-2.0
"""The controllers outside of a lab that its switches may be carried to, seen from outside.

Which: one at the user's own 127.0.0.1, where a script or a topology names a RemoteController, and
only if the listener is the user's; and one at another address if the command line names it.
"""

from __future__ import annotations

import ipaddress
import json
import os
import socket
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

from hoplab.control import relay
from hoplab.kernel import tcp_table

THERE, NOBODY, ANOTHERS, SHUT = "there", "nobody", "another's", "shut"

Address = tuple[str, int]


def loopback(ip: str) -> bool:
    """Whether an address is this machine's own, and nobody else's."""
    try:
        return ipaddress.ip_address(ip).is_loopback
    except ValueError:
        return False


@dataclass
class Outside:
    """shut: none may be reached. far: addresses elsewhere that may be."""

    shut: bool = False
    far: frozenset[Address] = frozenset()
    _watched: dict[Address, str] = field(default_factory=dict)

    def state(self, address: Address) -> str:
        """Whether a controller may be reached there now."""
        ip, port = address
        if self.shut:
            return SHUT
        if not loopback(ip):
            return THERE if address in self.far else SHUT
        owners = {listener.uid for listener in tcp_table.listeners(port)}
        if not owners:
            return NOBODY
        return THERE if owners == {os.getuid()} else ANOTHERS

    def watch(self, address: Address) -> str:
        """The state now; `changes` tells of others."""
        self._watched[address] = self.state(address)
        return self._watched[address]

    def changes(self) -> Iterable[tuple[Address, str]]:
        """The states that have changed since somebody asked last."""
        for address, before in list(self._watched.items()):
            now = self.state(address)
            if now != before:
                self._watched[address] = now
                yield address, now

    def serve(self, carrier: socket.socket) -> None:
        """Carry on each connection that comes as (address, descriptor), until nobody can send any
        more. For a process of its own, which ends with the lab."""
        while True:
            data, fds, _, _ = socket.recv_fds(carrier, 4096, 1)
            if not data:
                return
            ip, port = json.loads(data)["connect"]
            self.connect((ip, port), socket.socket(fileno=fds[0]))

    def connect(self, address: Address, inside: socket.socket) -> None:
        """Carry a switch's connection there, if that is still allowed."""
        if self.state(address) != THERE:
            inside.close()
            return
        target = ("127.0.0.1", address[1]) if loopback(address[0]) else address
        threading.Thread(target=relay.carry, args=(inside, target), daemon=True).start()
