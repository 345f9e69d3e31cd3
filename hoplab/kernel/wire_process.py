# SPDX-License-Identifier: Apache-2.0
"""Frames held back: the process that does it, for all cables of a lab.

It is started by `wires.py`, which also hands it sockets: of each wire one that hears what is to be
delayed, and one that sends it on. Nothing here knows interfaces or labs. A frame is sent when its
time has come, in the order in which it came; jitter changes times and never the order. Sleeping is
a timer of the kernel's (timerfd_create(2)), precise to some hundredths of a millisecond.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import heapq
import json
import os
import random
import select
import socket
import struct
import sys
import time
from dataclasses import dataclass
from typing import Any

MOST_BYTES = 64 << 20  # held back by one wire; what comes then is dropped, and counted
AT_A_TIME = 64  # frames read from one wire before the others have their turn
LONGEST = 1 << 16
_SOL_PACKET, _PACKET_AUXDATA, _PACKET_STATISTICS = 263, 8, 6
_VLAN_VALID, _VLAN_TPID_VALID = 0x10, 0x40
_ROOM = socket.CMSG_SPACE(20)
_auxiliary = struct.Struct("=IIIHHHH")
_PR_SET_TIMERSLACK, _CLOCK_MONOTONIC, _TFD_TIMER_ABSTIME = 29, 1, 1
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(slots=True)
class _Wire:
    """One direction of a cable. last_ns: when the youngest frame is to leave; lost: frames for
    which there was no room."""

    hears: socket.socket
    sends: socket.socket
    delay_ns: int
    jitter_ns: int
    last_ns: int = 0
    held: int = 0
    lost: int = 0


class Holder:
    """Holds frames back for all delayed cables of a lab; `run` does so until the channel closes."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._wires: dict[str, _Wire] = {}
        self._by_number: dict[int, _Wire] = {}
        self._waiting: list[tuple[int, int, _Wire, bytes]] = []  # a heap: when, which came first
        self._came = 0
        self._timer = _libc.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        self._epoll = select.epoll()
        for number in (channel.fileno(), self._timer):
            self._epoll.register(number, select.EPOLLIN)
        self._set_for = 0

    def run(self) -> None:
        """Serve until nobody wants it any more."""
        while True:
            for number, _ in self._epoll.poll():
                wire = self._by_number.get(number)
                if wire is not None:
                    self._take(wire)
                elif number == self._timer:
                    with contextlib.suppress(BlockingIOError):
                        os.read(self._timer, 8)
                    self._set_for = 0
                elif not self._listen():
                    return
            self._send_due()

    def _listen(self) -> bool:
        data, numbers, _, _ = socket.recv_fds(self._channel, 1 << 16, 2)
        if not data:
            return False
        order: dict[str, Any] = json.loads(data)
        if "lost" in order:
            for wire in self._wires.values():
                self._count_unheard(wire)
            lost = {name: wire.lost for name, wire in self._wires.items()}
            self._channel.send(json.dumps(lost).encode())
            return True
        name = order["wire"]
        if "delay_ns" not in order:
            self._remove(name)
        elif numbers:
            self._remove(name)
            hears, sends = (socket.socket(fileno=number) for number in numbers)
            wire = _Wire(hears, sends, order["delay_ns"], order["jitter_ns"])
            self._wires[name] = self._by_number[hears.fileno()] = wire
            self._epoll.register(hears.fileno(), select.EPOLLIN)
        elif name in self._wires:
            self._wires[name].delay_ns = order["delay_ns"]
            self._wires[name].jitter_ns = order["jitter_ns"]
        return True

    def _remove(self, name: str) -> None:
        """What a wire still holds leaves in its time."""
        wire = self._wires.pop(name, None)
        if wire is not None:
            del self._by_number[wire.hears.fileno()]
            self._epoll.unregister(wire.hears.fileno())
            wire.hears.close()

    def _take(self, wire: _Wire) -> None:
        for _ in range(AT_A_TIME):
            try:
                data, ancillary, _, _ = wire.hears.recvmsg(LONGEST, _ROOM)
            except BlockingIOError:
                return
            except OSError:  # the interface goes down, or away: it says so once
                return
            now_ns = time.monotonic_ns()
            if wire.held + len(data) > MOST_BYTES:
                wire.lost += 1
                continue
            at_ns = now_ns + wire.delay_ns
            if wire.jitter_ns:
                at_ns += int((2 * random.random() - 1) * wire.jitter_ns)
            wire.last_ns = at_ns = max(at_ns, wire.last_ns, now_ns)
            wire.held += len(data)
            self._came += 1
            heapq.heappush(self._waiting, (at_ns, self._came, wire, _tagged(data, ancillary)))

    def _send_due(self) -> None:
        waiting = self._waiting
        now_ns = time.monotonic_ns()
        while waiting and waiting[0][0] <= now_ns:
            _, _, wire, data = heapq.heappop(waiting)
            wire.held -= len(data)
            with contextlib.suppress(OSError):  # the cable is cut: the frame is gone with it
                wire.sends.send(data)
        if waiting and waiting[0][0] != self._set_for:
            self._set_for = waiting[0][0]
            seconds, rest = divmod(self._set_for, 1_000_000_000)
            wish = struct.pack("=qqqq", 0, 0, seconds, rest)
            _libc.timerfd_settime(self._timer, _TFD_TIMER_ABSTIME, wish, None)

    def _count_unheard(self, wire: _Wire) -> None:
        """Frames that came faster than they were read (packet(7), PACKET_STATISTICS)."""
        with contextlib.suppress(OSError):
            counts = wire.hears.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 12)
            wire.lost += struct.unpack_from("=II", counts)[1]


def _tagged(data: bytes, ancillary: list[tuple[int, int, bytes]]) -> bytes:
    """The frame as it was: the kernel takes an 802.1Q tag out and hands it over beside it."""
    for level, number, value in ancillary:
        if level == _SOL_PACKET and number == _PACKET_AUXDATA:
            status, _, _, _, _, tag, kind = _auxiliary.unpack_from(value)
            if status & _VLAN_VALID:
                kind = kind if status & _VLAN_TPID_VALID else 0x8100
                return data[:12] + struct.pack("!HH", kind, tag) + data[12:]
    return data


def main() -> None:
    """wire_process CHANNEL: the descriptor over which orders come."""
    gc.disable()  # nothing here makes cycles
    _libc.prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
    with contextlib.suppress(OSError):  # root's frames are not late because others compute
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    with contextlib.suppress(KeyboardInterrupt, ConnectionError):
        Holder(socket.socket(fileno=int(sys.argv[1]))).run()
    os._exit(0)


if __name__ == "__main__":
    main()
