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
from collections.abc import Callable, Iterable

from hoplab.kernel.netlink_questions import packet_sockets


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

    def look(self) -> bool:
        """Count from now on. Whether nothing has been dropped since the last look."""
        before = self._before
        if before is not None:
            with contextlib.suppress(OSError):
                self._before = packet_sockets()
        return self._before == before

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
