# SPDX-License-Identifier: Apache-2.0
"""All pairs pinged at once: raw echo requests (RFC 792) from every host to every other.

One socket a host, opened in its namespace. Requests go out in groups with a window in flight, so
that ARP and a controller are not flooded; a request without a reply is repeated before it counts as
lost, and does not hold up the others. The kernel keeps the ARP entries of all namespaces in one
table of 1,024 (arp(7), gc_thresh3), which 33 hosts that all talk to each other fill: in larger labs
the entries that a group has made are removed after it.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import select
import socket
import struct
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from hoplab import netlink
from hoplab.namespaces import Namespace, in_thread
from hoplab.sandbox import CLONE_NEWNET, setns, unshare

WINDOW = 64  # requests in flight
GROUP = 128  # pairs of hosts, both ways, hence up to 512 ARP entries
FEW = 20  # up to so many hosts their ARP entries may stay
SLOW_S = 0.1  # a request without a reply for so long leaves its place in the window to another
TRIES = 3
REPLY_S = 1.0  # ARP asks again after one second (RFC 1122, 2.3.2.1), so a reply may take as long
LAST_REPLY_S = 3.0  # after the last try: a busy machine's long row of switches takes its time
NARROW = 16  # what the window shrinks to when replies stay away: they may be queueing
_ECHO_REPLY, _ECHO_REQUEST = 0, 8


@dataclass(eq=False)
class Host:
    """Who pings: a name, an address with its prefix length, the index of the interface that has
    it, where it lives, and a raw ICMP socket there."""

    name: str
    address: str
    prefix: int
    index: int
    space: Namespace
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
        intf = node.defaultIntf()
        if intf is not None and intf.IP() and place.space is not None and intf.name in place.index:
            index = place.index[intf.name]
            prefix = int(intf.prefixLen)
            found.append(Host(node.name, intf.IP(), prefix, index, place.namespace))
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
            setns(host.space.net, CLONE_NEWNET)
            host.socket = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
            host.socket.setblocking(False)

    in_thread(work)


class _Round:
    """The state of one all-pairs round. A request is known by the indexes of its two hosts, which
    travel in its payload, and by a word that tells this round from all others."""

    def __init__(self, hosts: list[Host], window: int) -> None:
        self.hosts = hosts
        self.window = window
        self.widest = window
        self.word = os.urandom(8)
        n = len(hosts)
        self.result = Result([h.name for h in hosts], sent=n * (n - 1))
        self.todo: deque[tuple[int, int, int]] = deque()
        # (source, target) -> (when sent, tries left); in the order of sending
        self.flying: dict[tuple[int, int], tuple[float, int]] = {}
        self.epoll = select.epoll()
        self.by_fd: dict[int, int] = {}
        for index, host in enumerate(hosts):
            assert host.socket is not None
            self.epoll.register(host.socket.fileno(), select.EPOLLIN)
            self.by_fd[host.socket.fileno()] = index

    def run(self) -> Result:
        began = time.monotonic()
        n = len(self.hosts)
        # Neighbours in this order have no host in common, so that no host gets many requests at
        # once; both directions of a pair share a group, because they share ARP entries.
        pairs = [(i, (i + step) % n) for step in range(1, n // 2 + 1) for i in range(n)]
        if n % 2 == 0:
            pairs = pairs[: len(pairs) - n // 2]  # the last step meets every pair twice
        for start in range(0, len(pairs), GROUP):
            group = pairs[start : start + GROUP]
            self.todo.extend((i, j, TRIES) for i, j in group)
            self.todo.extend((j, i, TRIES) for i, j in group)
            self._fly()
            if n > FEW:
                self._forget(group)
        self.epoll.close()
        self.result.lost.sort()
        self.result.seconds = time.monotonic() - began
        return self.result

    def _fly(self) -> None:
        """Until every request of the group is answered or given up."""
        while self.todo or self.flying:
            room = self.window - self._young()
            while self.todo and room > 0:
                self._send(*self.todo.popleft())
                room -= 1
            for fd, _ in self.epoll.poll(0.02 if self.flying else 0):
                self._receive(self.by_fd[fd])
            self._expire()

    def _young(self) -> int:
        """How many requests are in flight that may well be answered soon."""
        since = time.monotonic() - SLOW_S
        count = 0
        for sent, _ in reversed(self.flying.values()):
            if sent < since:
                break
            count += 1
        return count

    def _send(self, source: int, target: int, tries: int) -> None:
        payload = self.word + struct.pack("!HH", source, target)
        packet = echo(_ECHO_REQUEST, source & 0xFFFF, target & 0xFFFF, payload)
        sock = self.hosts[source].socket
        assert sock is not None
        self.flying[(source, target)] = (time.monotonic(), tries)
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
                    self.window = min(self.window + 1, self.widest)

    def _expire(self) -> None:
        now = time.monotonic()
        for pair, (sent, tries) in list(self.flying.items()):
            if now - sent < REPLY_S:
                break
            if tries == 1 and now - sent < LAST_REPLY_S:
                continue
            del self.flying[pair]
            self.window = min(self.window, NARROW)
            if tries > 1:
                self.todo.append((*pair, tries - 1))
            else:
                names = (self.hosts[pair[0]].name, self.hosts[pair[1]].name)
                self.result.lost.append(names)

    def _forget(self, group: list[tuple[int, int]]) -> None:
        """Remove the ARP entries that these pairs have made, where they share a link."""
        messages: dict[int, list[netlink.Message]] = {}
        for one, other in (*group, *((j, i) for i, j in group)):
            host, address = self.hosts[one], self.hosts[other].address
            network = ipaddress.ip_interface(f"{host.address}/{host.prefix}").network
            if ipaddress.ip_address(address) in network:
                gone = netlink.neighbour_gone(host.index, address)
                messages.setdefault(one, []).append(gone)
        for one, some in messages.items():
            self.hosts[one].space.route.send(some)
