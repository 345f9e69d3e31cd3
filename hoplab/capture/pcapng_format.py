# SPDX-License-Identifier: Apache-2.0
"""The capture file format pcapng (draft-ietf-opsawg-pcapng): its numbers, and what a file holds.

What lives here: what the writer (`pcapng_writer.py`) and the reader (`pcapng_reader.py`) share.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hoplab.capture.observation import Observation

# Block types (section 4).
SECTION, INTERFACE, NAMES, STATISTICS, PACKET = 0x0A0D0D0A, 1, 4, 5, 6
NOTE = 0x80686F70  # of the range for local use (section 10.1): other readers pass over it
# Blocks of frames that other programs write: without a time or flags, and as before 2009.
SIMPLE_PACKET, OLD_PACKET = 3, 2
MAGIC = 0x1A2B3C4D

# No option of the format counts what a switch dropped: a comment on a port's statistics does.
QUEUE_DROPS = "hoplab: frames dropped by the switch for want of room in its queue: "
CABLE_DROPS = "hoplab: frames dropped by the queue in front of the cable: "
LINKTYPE_ETHERNET = 1

# Options (sections 3.5 and 4.1 to 4.6).
COMMENT = 1
SHB_HARDWARE, SHB_OS, SHB_USERAPPL = 2, 3, 4
IF_NAME, IF_DESCRIPTION, IF_IPV4, IF_IPV6, IF_MAC = 2, 3, 4, 5, 6
IF_TSRESOL, IF_TSOFFSET = 9, 14
EPB_FLAGS = 2
ISB_START, ISB_END, ISB_RECEIVED, ISB_DROPPED, ISB_OSDROP = 2, 3, 4, 5, 7


class PcapngError(ValueError):
    """The file is no pcapng; the message says what it looks like."""


class Unordered(PcapngError):
    """A capture whose frames stand in no order, so that it cannot be read in pieces."""


@dataclass(frozen=True, slots=True)
class InterfaceInfo:
    """An interface as the file names it.

    mac: 'aa:bb:cc:dd:ee:ff' or "" if unknown. addresses: with prefix length, '10.0.0.1/24'.
    """

    name: str
    description: str = ""
    mac: str = ""
    addresses: tuple[str, ...] = ()
    linktype: int = LINKTYPE_ETHERNET

    @property
    def ethernet(self) -> bool:
        """Its frames begin with an Ethernet header, which all that follows frames goes by."""
        return self.linktype == LINKTYPE_ETHERNET


@dataclass(frozen=True, slots=True)
class Note:
    """Something that is no frame and belongs to the capture all the same, such as what a switch
    said of its tables. topic: what kind of thing it is (`notes.py`); source: whose."""

    t_ns: int
    topic: str
    source: str
    data: bytes


@dataclass(slots=True)
class Capture:
    """What a file holds.

    observations: in time order (equal times keep the file's order), numbered from 1; `port` is an
        index into `interfaces`.
    comment: of the file, `comments`: of frames, by number.
    received, dropped: the kernel's counts by port, where the file has them.
    begun_ns: from when on all of a port's frames are in the file, by port, where the file says so.
    ended_ns: when the counts were taken: the end of a capture that was stopped; 0 if not in the
        file.
    queue_drops: frames that found no room in a switch's own queue behind the port, while the
        capture ran, by port; only where they were counted.
    cable_drops: the same of the queue in front of the cable (tc(8)), where the port has one.
    names: IP address -> host name.
    notes: in the order of the file.
    untimed: frames of which the file does not say when they were seen: they bear the time of the
        frame before them.
    problem: "" or a sentence on why the end of the file is missing.
    """

    interfaces: list[InterfaceInfo] = field(default_factory=list)
    observations: list[Observation] = field(default_factory=list)
    comment: str = ""
    comments: dict[int, str] = field(default_factory=dict)
    received: dict[int, int] = field(default_factory=dict)
    dropped: dict[int, int] = field(default_factory=dict)
    begun_ns: dict[int, int] = field(default_factory=dict)
    ended_ns: int = 0
    queue_drops: dict[int, int] = field(default_factory=dict)
    cable_drops: dict[int, int] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    hardware: str = ""
    os: str = ""
    userappl: str = ""
    untimed: int = 0
    problem: str = ""
