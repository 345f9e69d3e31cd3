# SPDX-License-Identifier: Apache-2.0
"""Rings: frames that the kernel lays into memory shared with us (packet(7), TPACKET_V3).

A ring is a circle of blocks. The kernel fills one with as many frames as fit, or as come within
`RETIRE_MS`, and hands it over by one word, its status; we read the frames where they lie and hand
the block back by the same word. No system call a frame, and a queue that is not taken from the
socket's buffer limit, which is small for an ordinary user.

What lives here: making a ring and reading its blocks (linux/if_packet.h). What must not: files,
threads, what the interfaces are for.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import socket
import struct

from hoplab.capture import pcapng_writer
from hoplab.capture.observation import Reception

SOL_PACKET = 263
PACKET_RX_RING, PACKET_STATISTICS, PACKET_VERSION = 5, 6, 10
TPACKET_V3 = 2
TP_STATUS_KERNEL, TP_STATUS_USER = 0, 1
TP_STATUS_VLAN_VALID, TP_STATUS_VLAN_TPID_VALID = 1 << 4, 1 << 6

# Small blocks: one that has held a single frame for RETIRE_MS is handed over and counts as full
# until it is read, so their number is how long a reader may be away.
BLOCK = 1 << 16
RETIRE_MS = 16
_FRAME = 2048  # V3 packs frames of any length; the kernel still wants a divisor of the block

_status = struct.Struct("=I")
_block = struct.Struct("=II")  # num_pkts, offset_to_first_pkt of tpacket_hdr_v1
_AT_STATUS, _AT_BLOCK, _AT_OPENED = 8, 12, 32
# tpacket3_hdr: next offset, seconds, nanoseconds, bytes kept, bytes on the wire, status, offset of
# the Ethernet header, of the network header, hash, VLAN tag, VLAN type; sockaddr_ll stands behind.
_frame = struct.Struct("=IIIIIIHHIIH")
_AT_KIND = 48 + 10  # sll_pkttype
_libc = ctypes.CDLL(None, use_errno=True)


def attach(sock: socket.socket, size: int) -> None:
    """Give a packet socket that is not yet bound a ring of `size` bytes. Raises OSError."""
    sock.setsockopt(SOL_PACKET, PACKET_VERSION, struct.pack("=I", TPACKET_V3))
    count = size // BLOCK
    wish = struct.pack("=7I", BLOCK, count, _FRAME, BLOCK // _FRAME * count, RETIRE_MS, 0, 0)
    # Not sock.setsockopt: the kernel waits for a grace period here, some 16 ms, and Python would
    # keep all other threads, which open the other interfaces' rings, waiting with it.
    if _libc.setsockopt(sock.fileno(), SOL_PACKET, PACKET_RX_RING, wish, len(wish)):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


class Ring:
    """The reader's side of a socket's ring. `port` is the interface's index in the file."""

    def __init__(self, sock: socket.socket, size: int, port: int) -> None:
        self.memory = mmap.mmap(sock.fileno(), size)
        self.blocks = size // BLOCK
        self.port = port
        self._next = 0

    def take(self, into: list[tuple[int, bytes]]) -> int:
        """Move all frames that are ready into the list, as (time in ns, pcapng block), and hand
        their memory back. Returns how many."""
        memory = self.memory
        before = len(into)
        for _ in range(self.blocks):
            at = self._next * BLOCK
            # The kernel writes the frames first and this word last, with a barrier between.
            if not _status.unpack_from(memory, at + _AT_STATUS)[0] & TP_STATUS_USER:
                break
            read_block(memory, at, self.port, into)
            _status.pack_into(memory, at + _AT_STATUS, TP_STATUS_KERNEL)
            self._next = (self._next + 1) % self.blocks
        return len(into) - before

    def open_since_ns(self) -> int | None:
        """When the kernel opened the block that it is filling; None if nothing is in it yet. No
        frame that is still to come from it is older."""
        at = self._next * BLOCK
        if _block.unpack_from(self.memory, at + _AT_BLOCK)[0] == 0:
            return None
        seconds, nanoseconds = _block.unpack_from(self.memory, at + _AT_OPENED)
        opened: int = seconds * 1_000_000_000 + nanoseconds
        return opened


def read_block(
    memory: mmap.mmap | bytes, at: int, port: int, into: list[tuple[int, bytes]]
) -> None:
    """The frames of the block that begins at byte `at`. This is the path of every frame under
    load, hence the local names."""
    unpack, pack, append = _frame.unpack_from, pcapng_writer.pack_frame, into.append
    count, first = _block.unpack_from(memory, at + _AT_BLOCK)
    at += first
    for _ in range(count):
        step, seconds, nanoseconds, kept, length, status, start, _, _, tag, kind_of_tag = unpack(
            memory, at
        )
        kind = memory[at + _AT_KIND]
        if kind <= Reception.OUTGOING:  # above are copies that the kernel made for itself
            begin = at + start
            data = memory[begin : begin + kept]
            if status & TP_STATUS_VLAN_VALID:
                data = with_vlan(data, status, tag, kind_of_tag)
                length += 4
            t_ns = seconds * 1_000_000_000 + nanoseconds
            append((t_ns, pack(port, t_ns, kind, data, length)))
        if not step:
            break
        at += step


def with_vlan(data: bytes, status: int, tag: int, kind: int) -> bytes:
    """The frame as it was on the wire: the kernel takes an 802.1Q tag out and hands it over beside
    the frame."""
    if not status & TP_STATUS_VLAN_TPID_VALID:
        kind = 0x8100
    return data[:12] + struct.pack("!HH", kind, tag & 0xFFFF) + data[12:]
