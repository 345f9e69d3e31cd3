# SPDX-License-Identifier: Apache-2.0
"""Frames that a switch in user space had no room for, as the kernel counts them.

Open vSwitch takes a port's frames from a packet socket. When it does not come to it in time, the
socket's queue is full, and what comes then is dropped: by the kernel, which counts it in that
socket and nowhere else. No counter of Open vSwitch, no flow, no interface knows of it. Whoever may
look into the network namespace may read the count (sock_diag(7), NETLINK_SOCK_DIAG for packet
sockets), and reading does not reset it.

What lives here: the reading of those counts. What must not: captures, words.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Callable, Iterable

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP = 20, 0x301
_ERROR, _DONE = 2, 3
_SHOW_INFO, _SHOW_MEMINFO = 0x1, 0x10  # linux/packet_diag.h
_ATTR_INFO, _ATTR_MEMINFO = 0, 6
_MEMINFO_DROPS = 8  # SK_MEMINFO_DROPS of linux/sock_diag.h: which of the words it is
_ANSWER_S = 2.0


def packet_sockets() -> dict[int, tuple[int, int]]:
    """The packet sockets of the calling thread's network namespace: inode -> (index of the
    interface that it is bound to, frames dropped so far). Raises OSError."""
    body = struct.pack(
        "=BBHIIII", socket.AF_PACKET, 0, 0, 0, _SHOW_INFO | _SHOW_MEMINFO, 0, 0
    )
    head = struct.pack("=IHHII", 16 + len(body), _SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP, 1, 0)
    sockets: dict[int, tuple[int, int]] = {}
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
    with socket.socket(socket.AF_NETLINK, kind, _NETLINK_SOCK_DIAG) as diag:
        diag.settimeout(_ANSWER_S)
        diag.send(head + body)
        while True:
            data = diag.recv(1 << 17)
            at = 0
            while at + 16 <= len(data):
                length, message = struct.unpack_from("=IH", data, at)
                if message == _DONE:
                    return sockets
                if message == _ERROR:
                    number = -struct.unpack_from("=i", data, at + 16)[0]
                    raise OSError(number, os.strerror(number))
                inode = struct.unpack_from("=I", data, at + 20)[0]
                sockets[inode] = _attributes(data[at + 32 : at + length])
                at += (length + 3) & ~3


def _attributes(data: bytes) -> tuple[int, int]:
    """(interface's index, drops) of the attributes behind a packet_diag_msg."""
    index = drops = at = 0
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, at)
        if length < 4:
            break
        if kind == _ATTR_INFO and length >= 8:
            index = struct.unpack_from("=I", data, at + 4)[0]
        elif kind == _ATTR_MEMINFO and length >= 4 + 4 * (_MEMINFO_DROPS + 1):
            drops = struct.unpack_from("=I", data, at + 4 + 4 * _MEMINFO_DROPS)[0]
        at += (length + 3) & ~3
    return index, drops


def held_by(pids: Iterable[int]) -> set[int]:
    """The inodes of the sockets that these processes have."""
    inodes = set()
    for pid in pids:
        folder = f"/proc/{pid}/fd"
        with contextlib.suppress(OSError):  # it has ended
            for name in os.listdir(folder):
                with contextlib.suppress(OSError):  # closed meanwhile
                    target = os.readlink(f"{folder}/{name}")
                    if target.startswith("socket:["):
                        inodes.add(int(target[8:-1]))
    return inodes


class QueueDrops:
    """What the switches of these processes drop from now on, by the name of the port's interface:
    `counted`. Our own captures have packet sockets at the same interfaces, which do not count.

    A port that was taken out and put in again has a new socket, which begins at 0; what the old
    one dropped is not known.
    """

    def __init__(self, pids: Callable[[], Iterable[int]]) -> None:
        self._pids = pids
        self._before: dict[int, tuple[int, int]] | None = None
        with contextlib.suppress(OSError):  # a kernel without packet_diag
            self._before = packet_sockets()

    def counted(self) -> dict[str, int]:
        """Frames dropped since, by interface; one that is missing has no such queue. Raises OSError
        if it cannot be known."""
        before = self._before
        if before is None:
            raise OSError("the kernel does not tell of packet sockets")
        counts: dict[str, int] = {}
        theirs = held_by(self._pids())
        now = packet_sockets() if theirs else {}
        for inode, (index, drops) in now.items():
            if inode in theirs and index:
                with contextlib.suppress(OSError):  # the interface has gone
                    name = socket.if_indextoname(index)
                    since = before.get(inode, (index, 0))[1]
                    counts[name] = counts.get(name, 0) + ((drops - since) & 0xFFFFFFFF)
        return counts
