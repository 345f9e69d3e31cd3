# SPDX-License-Identifier: Apache-2.0
"""Frames from packet sockets to a pcapng file, while they fly.

One AF_PACKET socket an interface, opened by whoever can enter its namespace (`open_socket`), all
read by one thread (`Capture`). Time is the kernel's, taken when the frame passes the interface, on
one clock for all namespaces; direction is the kernel's too (packet(7), `sll_pkttype`). Frames lost
for want of room are counted by the kernel and end up in the file. Nothing here knows what the
interfaces are for.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import struct
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from hoplab.wire import pcapng
from hoplab.wire.observation import Reception

ETH_P_ALL = 3
SOL_PACKET, PACKET_STATISTICS, PACKET_AUXDATA = 263, 6, 8
SO_TIMESTAMPNS = 35
TP_STATUS_VLAN_VALID, TP_STATUS_VLAN_TPID_VALID = 1 << 4, 1 << 6
BUFFER_BYTES = 8 << 20  # a socket's queue, so that a burst waits instead of being lost
LONGEST = 1 << 18
_ANCILLARY = socket.CMSG_SPACE(16) + socket.CMSG_SPACE(20)
_AT_A_TIME = 64  # frames read from one socket before the others have their turn


def open_socket(interface: str) -> socket.socket:
    """A socket that hears every frame of one interface of the calling thread's network namespace,
    from now on. Raises OSError."""
    # Protocol 0 hears nothing; bind then sets interface and protocol together, so no frame of
    # another interface is ever in the queue (packet(7)).
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, 33, BUFFER_BYTES)  # SO_RCVBUFFORCE, for root
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    sock.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    sock.setblocking(False)
    sock.bind((interface, ETH_P_ALL))
    return sock


@dataclass(frozen=True)
class Tap:
    """An interface and the socket that listens to it."""

    info: pcapng.InterfaceInfo
    socket: socket.socket


class Capture:
    """A thread that writes what the taps hear to `path`, until `stop`.

    The file can be read at any moment, and after a kill; `stop` puts it in time order.
    `problem` says why frames are no longer written (a full disk), or "".
    """

    def __init__(self, path: Path, comment: str = "") -> None:
        """Raises OSError when the file cannot be made."""
        self.path = path
        self.comment = comment
        self.frames = 0
        self.problem = ""
        self.names: dict[str, str] = {}
        self._taps: list[Tap] = []
        self._received: dict[int, int] = {}
        self._dropped: dict[int, int] = {}
        self._last = time.monotonic()
        self._file: BinaryIO = open(path, "wb", buffering=1 << 16)  # noqa: SIM115 (held by the thread)
        self._writer = pcapng.Writer(self._file, (), comment)
        self._file.flush()
        self._epoll = select.epoll()
        self._wake_read, self._wake_write = os.pipe()
        self._epoll.register(self._wake_read, select.EPOLLIN)
        self._by_fd: dict[int, int] = {}
        self._ending = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)
        self._thread.start()

    def add(self, tap: Tap) -> None:
        """Listen to one more interface."""
        with self._lock:
            port = self._writer.add_interface(tap.info)
            self._taps.append(tap)
            self._by_fd[tap.socket.fileno()] = port
        self._epoll.register(tap.socket.fileno(), select.EPOLLIN)

    def quiet_for_s(self) -> float:
        """Seconds since the last frame (or since the start)."""
        return time.monotonic() - self._last

    def stop(self) -> pcapng.Capture:
        """End the thread, sort the file, return what it holds. Raises OSError (a full disk): the
        unsorted file is kept then."""
        self._ending = True
        os.write(self._wake_write, b"x")
        self._thread.join()
        for port, tap in enumerate(self._taps):
            self._count(port, tap.socket)
            tap.socket.close()
        self._epoll.close()
        os.close(self._wake_read)
        os.close(self._wake_write)
        with contextlib.suppress(OSError):
            self._file.close()
        if self.problem:
            raise OSError(errno.ENOSPC, self.problem)
        capture = pcapng.read(self.path)
        capture.comment = self.comment
        capture.names = self.names
        capture.received, capture.dropped = dict(self._received), dict(self._dropped)
        whole = self.path.with_suffix(".sorted")
        try:
            with open(whole, "wb") as file:
                pcapng.write_all(file, capture)
            os.replace(whole, self.path)
        except OSError:
            whole.unlink(missing_ok=True)
            raise
        return capture

    # ------------------------------------------------------------------ the thread

    def _run(self) -> None:
        while True:
            ready = self._epoll.poll()
            for fd, _ in ready:
                if fd == self._wake_read:
                    continue
                self._drain(fd)
            if self._ending:
                for fd in list(self._by_fd):
                    self._drain(fd, every=True)
                return

    def _drain(self, fd: int, every: bool = False) -> None:
        with self._lock:
            port = self._by_fd[fd]
            sock = self._taps[port].socket
            for _ in range(LONGEST if every else _AT_A_TIME):
                try:
                    data, ancillary, _, address = sock.recvmsg(LONGEST, _ANCILLARY)
                except BlockingIOError:
                    break
                except OSError as error:
                    # An interface that goes down, or away, says so once; the socket lives on.
                    if error.errno in (errno.ENETDOWN, errno.ENXIO, errno.ENODEV):
                        continue
                    break
                self._last = time.monotonic()
                self._keep(port, data, ancillary, address[2])
            if not self.problem:
                try:
                    self._file.flush()
                except OSError as error:
                    self.problem = f"{self.path}: {error.strerror}"

    def _keep(
        self, port: int, data: bytes, ancillary: list[tuple[int, int, bytes]], kind: int
    ) -> None:
        t_ns = 0
        for level, number, value in ancillary:
            if level == socket.SOL_SOCKET and number == SO_TIMESTAMPNS:
                seconds, nanoseconds = struct.unpack_from("=qq", value)
                t_ns = seconds * 1_000_000_000 + nanoseconds
            elif level == SOL_PACKET and number == PACKET_AUXDATA:
                data = _with_vlan(data, value)
        if kind > Reception.OUTGOING:
            return  # a copy that the kernel made for itself (PACKET_LOOPBACK and such)
        self.frames += 1
        if self.problem:
            return
        try:
            block = pcapng.pack_frame(
                port, t_ns or time.time_ns(), Reception(kind), data, len(data)
            )
            self._file.write(block)
        except OSError as error:
            self.problem = f"{self.path}: {error.strerror}"

    def _count(self, port: int, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            packets, drops = struct.unpack("=II", sock.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
            self._received[port] = self._received.get(port, 0) + packets
            self._dropped[port] = self._dropped.get(port, 0) + drops


def _with_vlan(data: bytes, auxiliary: bytes) -> bytes:
    """The frame as it was on the wire: the kernel takes an 802.1Q tag out and hands it over beside
    the frame (packet(7), PACKET_AUXDATA)."""
    status, _, _, _, _, tci, tpid = struct.unpack("=IIIHHHH", auxiliary[:20])
    if not status & TP_STATUS_VLAN_VALID:
        return data
    if not status & TP_STATUS_VLAN_TPID_VALID:
        tpid = 0x8100
    return data[:12] + struct.pack("!HH", tpid, tci) + data[12:]
