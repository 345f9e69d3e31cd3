# SPDX-License-Identifier: Apache-2.0
"""What the kernel tells unasked: interfaces that come, change and go, and queues that are taken
away. rtnetlink(7): its multicast groups.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from hoplab.kernel.netlink import (
    IFLA_ADDRESS,
    IFLA_IFNAME,
    LARGEST,
    NLM_F_DUMP,
    NLM_F_REQUEST,
    RTM_DELLINK,
    RTM_DELQDISC,
    RTM_GETLINK,
    RTM_NEWLINK,
    Qdisc,
    interface_info,
    messages_in,
    read_attributes,
    read_qdisc,
    request,
)

_RTMGRP_LINK, _RTMGRP_TC = 1, 8  # the groups that are told of interfaces, and of queues


class QdiscNews:
    """Tells of the queues that are taken away in the network namespace of the thread that opens it,
    each with what it had dropped until then: afterwards nobody can ask it. Raises OSError."""

    def __init__(self) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
        )
        self._socket.bind((0, _RTMGRP_TC))

    def close(self) -> None:
        self._socket.close()

    def gone(self) -> list[Qdisc]:
        """Those that were taken away since it was asked last."""
        taken: list[Qdisc] = []
        while True:
            try:
                data = self._socket.recv(LARGEST, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return taken
            except OSError:  # more than its buffer holds was told at once
                continue
            taken += [
                read_qdisc(body) for kind, _, body in messages_in(data) if kind == RTM_DELQDISC
            ]


@dataclass(frozen=True, slots=True)
class Link:
    """An interface: its name and its MAC address."""

    name: str
    mac: bytes


class LinkNews:
    """Tells of the interfaces in the network namespace of the thread that opens it: of those that
    are there, and from then on of each that comes, changes or goes."""

    def __init__(self) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
        )
        self._socket.bind((0, _RTMGRP_LINK))
        self._ask()

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def _ask(self) -> None:
        """What is there already is told as if it were new."""
        flags = NLM_F_REQUEST | NLM_F_DUMP
        self._socket.send(request(RTM_GETLINK, flags, 1, interface_info()))

    def read(self) -> Iterator[tuple[int, Link | None]]:
        """What has been told by now: an interface's index, and what it is, or None if it went."""
        while True:
            try:
                data = self._socket.recv(LARGEST, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError:  # more than its buffer holds was told at once: look at all again
                self._ask()
                continue
            for kind, _, body in messages_in(data):
                if kind in (RTM_NEWLINK, RTM_DELLINK):
                    index = struct.unpack_from("=i", body, 4)[0]
                    yield index, _link(body) if kind == RTM_NEWLINK else None


def _link(body: bytes) -> Link:
    attributes = read_attributes(body, len(interface_info()))
    name = attributes.get(IFLA_IFNAME, b"").rstrip(b"\0").decode(errors="replace")
    return Link(name, attributes.get(IFLA_ADDRESS, b""))
