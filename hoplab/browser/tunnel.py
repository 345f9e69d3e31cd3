# SPDX-License-Identifier: Apache-2.0
"""Bytes both ways between two connected sockets, unread: what CONNECT and WebSocket need.

One thread serves both directions and waits in one place, because a TLS connection must not be read
and written by two threads at once. A side that does not read is not sent more than one piece, and
its other side is not read meanwhile, so memory stays bounded whoever is slow.
"""

from __future__ import annotations

import select
import socket
import ssl

QUIET_S = 600.0  # a chat may be silent for long
PIECE = 65_536
_TURNS = 8  # pieces of one direction before the other has its turn

Wait = tuple[socket.socket, int]  # a socket, and what of it to wait for


class Way:
    """One of the two directions. `count` is how many bytes have gone it."""

    def __init__(self, source: socket.socket, target: socket.socket, early: bytes = b"") -> None:
        self.source, self.target = source, target
        self.waiting = early
        self.count = 0
        self.ended = False

    def move(self) -> Wait | None:
        """Carry what there is; what to wait for then, or None: go on at once. Sets `ended` when
        the source has ended and all is delivered. Raises OSError when either side breaks."""
        at, event = self.source, select.POLLIN
        try:
            for _ in range(_TURNS):
                if not self.waiting:
                    at, event = self.source, select.POLLIN
                    self.waiting = self.source.recv(PIECE)
                    if not self.waiting:
                        self.ended = True
                        return None
                at, event = self.target, select.POLLOUT
                sent = self.target.send(self.waiting)
                self.count += sent
                self.waiting = self.waiting[sent:]
        except BlockingIOError:
            return at, event
        except ssl.SSLWantReadError:  # TLS may have to read in order to write, and vice versa
            return at, select.POLLIN
        except ssl.SSLWantWriteError:
            return at, select.POLLOUT
        return None


def carry(
    near: socket.socket, far: socket.socket, early: tuple[bytes, bytes] = (b"", b""),
    quiet_s: float = QUIET_S,
) -> tuple[int, int]:  # fmt: skip
    """Until both sides have ended, one has broken, or both are silent for QUIET_S seconds.

    early: what has been read of each side already. Gives how many bytes went from ONE to TWO, and
    from TWO to ONE. The sockets are left open, and do not block.
    """
    ways = (Way(near, far, early[0]), Way(far, near, early[1]))
    secure = isinstance(near, ssl.SSLSocket) or isinstance(far, ssl.SSLSocket)
    near.setblocking(False)
    far.setblocking(False)
    try:
        while not all(way.ended for way in ways):
            waits: dict[socket.socket, int] = {}
            again = False
            for way in ways:
                if way.ended:
                    continue
                wait = way.move()
                if way.ended:
                    if secure:
                        return ways[0].count, ways[1].count  # few TLS programs end one way alone
                    way.target.shutdown(socket.SHUT_WR)
                elif wait is None:
                    again = True
                else:
                    waits[wait[0]] = waits.get(wait[0], 0) | wait[1]
            if again or not waits:
                continue
            poll = select.poll()
            for sock, events in waits.items():
                poll.register(sock, events)
            if not poll.poll(quiet_s * 1000):
                break
    except OSError:
        pass  # the other side hears of it when its socket is closed
    return ways[0].count, ways[1].count
