# SPDX-License-Identifier: Apache-2.0
"""All pairs pinged at once: raw echo requests (RFC 792) from every host to every other.

One socket a host, opened in its namespace; a window of requests is kept in flight, so that ARP
and a controller are not flooded; a request without a reply is repeated before it counts as lost.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from hoplab.namespaces import in_thread
from hoplab.sandbox import CLONE_NEWNET, setns, unshare

WINDOW = 64  # requests in flight
TRIES = 3
REPLY_S = 1.0  # ARP asks again after one second (RFC 1122, 2.3.2.1), so a reply may take as long
_ECHO_REPLY, _ECHO_REQUEST = 0, 8


@dataclass(eq=False)
class Host:
    """Who pings: a name, an address, a raw ICMP socket in its namespace."""

    name: str
    address: str
    net: int
    socket: socket.socket | None = None


@dataclass
class Result:
    """sent and received count pairs, not packets. `lost` names the pairs that did not talk."""

    hosts: list[str] = field(default_factory=list)
    sent: int = 0
    received: int = 0
    lost: list[tuple[str, str]] = field(default_factory=list)
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Plain data; of very many lost pairs only the first thousand are named."""
        return {
            "hosts": self.hosts,
            "pairs": self.sent,
            "reached": self.received,
            "lost": self.lost[:1000],
            "seconds": round(self.seconds, 3),
        }


def hosts_of(network: Any) -> list[Host]:
    """The hosts of a network that have an address."""
    found = []
    for node in network.hosts:
        place = network.place(node.name)
        if node.IP() and place.space is not None:
            found.append(Host(node.name, node.IP(), place.namespace.net))
    return found


def checksum(data: bytes) -> int:
    """The Internet checksum of an even number of bytes (RFC 1071)."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def echo(kind: int, ident: int, sequence: int, payload: bytes) -> bytes:
    """An ICMP echo message with its checksum."""
    head = struct.pack("!BBHHH", kind, 0, 0, ident, sequence)
    return head[:2] + struct.pack("!H", checksum(head + payload)) + head[4:] + payload


def ping_all(hosts: list[Host], *, window: int = WINDOW) -> Result:
    """Ping every ordered pair of hosts. Raises OSError if a socket cannot be opened."""
    _open(hosts)
    try:
        return _Round(hosts, window).run()
    finally:
        for host in hosts:
            if host.socket is not None:
                host.socket.close()


def _open(hosts: list[Host]) -> None:
    def work() -> None:
        unshare(0x200)
        for host in hosts:
            setns(host.net, CLONE_NEWNET)
            host.socket = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
            host.socket.setblocking(False)

    in_thread(work)


class _Round:
    """The state of one all-pairs round. A request is known by the indexes of its two hosts, which
    travel in its payload, and by a word that tells this round from all others."""

    def __init__(self, hosts: list[Host], window: int) -> None:
        self.hosts = hosts
        self.window = window
        self.word = os.urandom(8)
        # Neighbours in this order differ in source and destination, so that no host and no
        # ARP queue (three packets, say) gets many requests at once.
        n = len(hosts)
        self.todo = deque((i, (i + step) % n, TRIES) for step in range(1, n) for i in range(n))
        self.flying: dict[tuple[int, int], tuple[float, int]] = {}
        self.result = Result([h.name for h in hosts], sent=n * (n - 1))
        self.epoll = select.epoll()
        self.by_fd: dict[int, int] = {}
        for index, host in enumerate(hosts):
            assert host.socket is not None
            self.epoll.register(host.socket.fileno(), select.EPOLLIN)
            self.by_fd[host.socket.fileno()] = index

    def run(self) -> Result:
        began = time.monotonic()
        while self.todo or self.flying:
            while self.todo and len(self.flying) < self.window:
                self._send(*self.todo.popleft())
            for fd, _ in self.epoll.poll(0.02 if self.flying else 0):
                self._receive(self.by_fd[fd])
            self._expire()
        self.epoll.close()
        self.result.lost.sort()
        self.result.seconds = time.monotonic() - began
        return self.result

    def _send(self, source: int, target: int, tries: int) -> None:
        payload = self.word + struct.pack("!HH", source, target)
        packet = echo(_ECHO_REQUEST, source & 0xFFFF, target & 0xFFFF, payload)
        sock = self.hosts[source].socket
        assert sock is not None
        self.flying[(source, target)] = (time.monotonic() + REPLY_S, tries)
        try:
            sock.sendto(packet, (self.hosts[target].address, 0))
        except OSError:  # no route: it will not fly at the next try either
            del self.flying[(source, target)]
            self.result.lost.append((self.hosts[source].name, self.hosts[target].name))

    def _receive(self, index: int) -> None:
        sock = self.hosts[index].socket
        assert sock is not None
        with contextlib.suppress(BlockingIOError):
            while True:
                data = sock.recv(2048)
                start = (data[0] & 15) * 4  # the IP header's length
                if len(data) < start + 20 or data[start] != _ECHO_REPLY:
                    continue
                if data[start + 8 : start + 16] != self.word:
                    continue
                pair = struct.unpack_from("!HH", data, start + 16)
                if self.flying.pop(pair, None) is not None:
                    self.result.received += 1

    def _expire(self) -> None:
        now = time.monotonic()
        # Requests fly in the order in which they were sent, and so do their deadlines.
        for pair, (deadline, tries) in list(self.flying.items()):
            if deadline > now:
                break
            del self.flying[pair]
            if tries > 1:
                self.todo.append((*pair, tries - 1))
            else:
                names = (self.hosts[pair[0]].name, self.hosts[pair[1]].name)
                self.result.lost.append(names)
