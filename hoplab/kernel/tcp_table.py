# SPDX-License-Identifier: Apache-2.0
"""The TCP sockets of a network namespace, as /proc/net/tcp shows them (proc_net(5))."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass

_LISTEN = 0x0A


@dataclass(frozen=True)
class TcpSocket:
    """One of them. uid: whose it is. inode: by which a process's descriptor is known."""

    address: str
    port: int
    peer: str
    peer_port: int
    listens: bool
    uid: int
    inode: int


def sockets() -> Iterator[TcpSocket]:
    """Those of the namespace that the calling thread is in."""
    for name in ("tcp", "tcp6"):
        with contextlib.suppress(FileNotFoundError), open(f"/proc/thread-self/net/{name}") as file:
            for line in file.read().splitlines()[1:]:
                words = line.split()
                (address, port), (peer, peer_port) = _end(words[1]), _end(words[2])
                state = int(words[3], 16)
                yield TcpSocket(
                    address, port, peer, peer_port, state == _LISTEN, int(words[7]), int(words[9])
                )


def _end(text: str) -> tuple[str, int]:
    """An address as the kernel prints it, in words of four bytes as this machine stores them."""
    digits, _, port = text.partition(":")
    words = [int(digits[at : at + 8], 16) for at in range(0, len(digits), 8)]
    raw = b"".join(word.to_bytes(4, sys.byteorder) for word in words)
    address = ipaddress.ip_address(raw)
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address), int(port, 16)


def listeners(port: int) -> list[TcpSocket]:
    """Who listens on a port at 127.0.0.1: there alone or everywhere."""
    here = ("127.0.0.1", "0.0.0.0", "::")
    return [each for each in sockets() if each.listens and each.port == port
            and each.address in here]  # fmt: skip


def holds(pid: int, inode: int) -> bool:
    """Whether a process has that socket open."""
    wanted = f"socket:[{inode}]"
    with contextlib.suppress(OSError):
        for entry in os.scandir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                if os.readlink(entry.path) == wanted:
                    return True
    return False
