# SPDX-License-Identifier: Apache-2.0
"""All pairs pinged at once: raw echo requests (RFC 792) from every host to every other.

One socket a host, opened in its namespace. A window of requests is in flight, so that ARP and a
controller are not flooded; a request without a reply is repeated before it counts as lost, and does
not hold up the others.

ARP limits the size: the kernel keeps the entries of all namespaces in one table of 1,024 (arp(7),
gc_thresh3), which 33 hosts that all talk to each other fill, and each request is copied to every
port. So in larger labs every host finds two others by ARP, which shows that it can, and is told
the MAC addresses of the rest; when the round is over it is as if it had never been told. What
somebody told it before, as by `arp -s`, right or wrong, stays and counts.
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
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from hoplab.kernel import netlink
from hoplab.kernel.namespaces import Namespace, in_thread
from hoplab.kernel.system_calls import CLONE_NEWNET, setns, unshare
from hoplab.wait import patience

WINDOW = 64  # requests in flight
GROUP = 20_000  # pairs of hosts, both ways: 40,000 entries of about 400 bytes of kernel memory
ARP_GROUP = 64  # pairs that use ARP, both ways, hence up to 256 entries in the common table
FEW = 20  # up to so many hosts find all others by ARP
SLOW_S = 0.1  # a request without a reply for so long leaves its place in the window to another
TRIES = 3
# How long a reply may take at least: ARP asks again after one second (RFC 1122, 2.3.2.1). A hundred
# switches in a row, on a busy machine, need longer: the rest is learned from those that came. (What
# has not come before its request is given up teaches nothing; HOPLAB_PATIENCE is for such a case.)
REPLY_S, LONGEST_S = 1.0, 30.0
LATE_S = 2.0  # replies that take so long are queueing: fewer requests at a time
PATIENCE = 3  # so many times as long after the last try
NARROW = 16  # what the window shrinks to when replies stay away: they may be queueing
_ECHO_REPLY, _ECHO_REQUEST = 0, 8
_PACKET = struct.Struct("!BBHHH8sHH")  # type, code, checksum, source, target; word, source, target


@dataclass(eq=False)
class Host:
    """Who pings: a name, an address with its prefix length, the index and MAC address of the
    interface that has it, where it lives, and a raw ICMP socket there."""

    name: str
    address: str
    prefix: int
    index: int
    mac: str
    space: Namespace
    socket: socket.socket | None = None
    network: ipaddress.IPv4Network | ipaddress.IPv6Network = field(init=False)

    def __post_init__(self) -> None:
        self.network = ipaddress.ip_interface(f"{self.address}/{self.prefix}").network


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
    hosts = []
    for node in network.hosts:
        place = network.place(node.name)
        intf = node.defaultIntf()
        if intf is not None and intf.IP() and place.space is not None and intf.name in place.index:
            index = place.index[intf.name]
            prefix = int(intf.prefixLen)
            hosts.append(Host(node.name, intf.IP(), prefix, index, intf.MAC(), place.namespace))
    return hosts


def checksum(data: bytes) -> int:
    """The Internet checksum of an even number of bytes (RFC 1071)."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def echo(kind: int, ident: int, sequence: int, payload: bytes) -> bytes:
    """An ICMP echo message with its checksum."""
    head = struct.pack("!BBHHH", kind, 0, 0, ident, sequence)
    return head[:2] + struct.pack("!H", checksum(head + payload)) + head[4:] + payload


def ping_all(hosts: list[Host], *, window: int = WINDOW, macs_known: bool = False) -> Result:
    """Ping every ordered pair of hosts. macs_known: they know all MAC addresses already, and are to
    know them afterwards. Raises OSError if a socket cannot be opened."""
    _open(hosts)
    try:
        return _Round(hosts, window, macs_known).run()
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

    def __init__(self, hosts: list[Host], window: int, macs_known: bool = False) -> None:
        self.hosts = hosts
        self.macs_known = macs_known
        self.window = window
        self.widest = window
        self.word = os.urandom(8)
        self.sum = (_ECHO_REQUEST << 8) + sum(struct.unpack("!4H", self.word))
        n = len(hosts)
        self.result = Result([h.name for h in hosts], sent=n * (n - 1))
        self.todo: deque[tuple[int, int, int]] = deque()
        # (source, target) -> (when sent, tries left); in the order of sending
        self.flying: dict[tuple[int, int], tuple[float, int]] = {}
        self.given_up: list[tuple[int, int]] = []
        self.srtt_s = self.rttvar_s = 0.0
        self.least_s = self.reply_s = REPLY_S * patience()
        self.narrowed = 0.0  # when the window last was, for late replies
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
        if n <= FEW:
            self._fly(pairs)
            pairs = []
        for start in range(0, min(n, len(pairs)), ARP_GROUP):
            group = pairs[start : min(start + ARP_GROUP, n)]
            self._fly(group)
            self._forget(group)
        # No ARP from here on, so nothing is flooded; with hundreds of ports a switch is faster the
        # more it finds at once.
        self.window = self.widest = max(self.widest, n)
        for start in range(n, len(pairs), GROUP):
            group = pairs[start : start + GROUP]
            self._introduce(group)
            self._fly(group)
            self._forget(group)
        while n > FEW and self.given_up:
            # What was lost among so many may have been lost for being among so many. Where switches
            # learn on the way, each try comes some switches further than the one before: go on for
            # as long as that brings anything.
            again, self.given_up = self.given_up, []
            self.window = self.widest = NARROW
            self._fly(again, both=False, tries=1)
            if len(self.given_up) == len(again):
                break
        self.epoll.close()
        names = self.result.hosts
        self.result.lost = sorted((names[i], names[j]) for i, j in self.given_up)
        self.result.seconds = time.monotonic() - began
        return self.result

    def _fly(
        self, group: list[tuple[int, int]], *, both: bool = True, tries: int = TRIES
    ) -> None:
        """Until every request of the group, in both directions, is answered or given up."""
        for i, j in group:
            self.todo.append((i, j, tries))
            if both:
                self.todo.append((j, i, tries))
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
        # As echo() makes it; the sum of the word, which never changes, is not taken again.
        total = self.sum + 2 * (source + target)
        total = (total >> 16) + (total & 0xFFFF)
        total = ~(total + (total >> 16)) & 0xFFFF
        fields = (_ECHO_REQUEST, 0, total, source, target, self.word, source, target)
        packet = _PACKET.pack(*fields)
        sock = self.hosts[source].socket
        assert sock is not None
        self.flying[(source, target)] = (time.monotonic(), tries)
        try:
            sock.sendto(packet, (self.hosts[target].address, 0))
        except OSError:  # no route: it will not fly at the next try either
            del self.flying[(source, target)]
            self.given_up.append((source, target))

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
                flew = self.flying.pop(pair, None)
                if flew is not None:
                    sent, tries = flew
                    self.result.received += 1
                    if self.srtt_s < LATE_S:
                        self.window = min(self.window + 1, self.widest)
                    if tries == TRIES:  # of a repeated request nobody knows which was answered
                        self._took(time.monotonic() - sent)

    def _took(self, rtt_s: float) -> None:
        """Learn how long to wait, as TCP does (RFC 6298, 2)."""
        if self.srtt_s == 0:
            self.srtt_s, self.rttvar_s = rtt_s, rtt_s / 2
        self.rttvar_s += (abs(self.srtt_s - rtt_s) - self.rttvar_s) / 4
        self.srtt_s += (rtt_s - self.srtt_s) / 8
        learned_s = min(self.srtt_s + 4 * self.rttvar_s, LONGEST_S)
        self.reply_s = max(self.least_s, learned_s)
        now = time.monotonic()
        if self.srtt_s > LATE_S and now - self.narrowed > self.srtt_s:
            self.narrowed, self.window = now, max(NARROW, self.window // 2)

    def _expire(self) -> None:
        now = time.monotonic()
        for pair, (sent, tries) in list(self.flying.items()):
            if now - sent < self.reply_s:
                break
            if tries == 1 and now - sent < PATIENCE * self.reply_s:
                continue
            del self.flying[pair]
            self.window = min(self.window, NARROW)
            if tries > 1:
                self.todo.append((*pair, tries - 1))
            else:
                self.given_up.append(pair)

    def _introduce(self, group: list[tuple[int, int]]) -> None:
        """Tell both hosts of each pair the other's MAC address."""
        self._neighbours(group, lambda host, peer: netlink.neighbour(
            host.index, peer.address, peer.mac))  # fmt: skip

    def _forget(self, group: list[tuple[int, int]]) -> None:
        """Let both forget it, whether they were told or found out."""
        self._neighbours(group, lambda host, peer: netlink.neighbour_gone(
            host.index, peer.address))  # fmt: skip

    @cached_property
    def _told(self) -> list[set[str]]:
        """What each host had been told before we tell it anything."""
        return [host.space.route.permanent_neighbours() for host in self.hosts]

    def _neighbours(
        self, group: list[tuple[int, int]], message: Callable[[Host, Host], netlink.Message]
    ) -> None:
        """Send such a message to each host about each other one that shares its link."""
        if self.macs_known:
            return
        messages: dict[int, list[netlink.Message]] = {}
        for i, j in group:
            host, peer = self.hosts[i], self.hosts[j]
            if host.network == peer.network:
                if peer.address not in self._told[i]:
                    messages.setdefault(i, []).append(message(host, peer))
                if host.address not in self._told[j]:
                    messages.setdefault(j, []).append(message(peer, host))
        for index, some in messages.items():
            self.hosts[index].space.route.send(some)
