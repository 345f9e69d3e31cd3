# SPDX-License-Identifier: Apache-2.0
"""One frame seen at one interface: the unit that capture makes and everything later reads."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Reception(IntEnum):
    """How the kernel classed the frame: `sll_pkttype` of packet(7)."""

    HOST = 0  # unicast to this interface's own address
    BROADCAST = 1
    MULTICAST = 2
    OTHERHOST = 3  # unicast to somebody else's address: at a host, "saw it and ignored it"
    OUTGOING = 4  # sent by this interface


@dataclass(slots=True, unsafe_hash=True)
class Observation:
    """A frame at an interface. Nobody changes one; it is not frozen, since to make a frozen one
    takes three times as long, and a capture makes a million of them.

    number: place in time order over the whole capture, from 1, as Wireshark's `frame.number`.
    t_ns: time in nanoseconds since the Unix epoch, from the kernel, one clock for all interfaces.
    port: index into the capture's list of interfaces.
    data: the captured bytes from the destination MAC on, without frame check sequence.
    length: bytes on the wire; larger than len(data) only if the frame was cut.
    """

    number: int
    t_ns: int
    port: int
    reception: Reception
    data: bytes
    length: int

    @property
    def outgoing(self) -> bool:
        """True when the interface sent the frame, False when it received it."""
        return self.reception == Reception.OUTGOING
