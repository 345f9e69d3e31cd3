# SPDX-License-Identifier: Apache-2.0
"""Captures read from classic pcap files, and a reader for either kind.

What lives here: the file format pcap (draft-ietf-opsawg-pcap) to `Observation`. What must not:
pcapng (`pcapng_reader.py`), labs, and any reading of a frame's inside.

A pcap file has one interface, without a name, and says of no frame whether it was sent or received.
Both byte orders are read, times in microseconds and in nanoseconds, and the records of 24 bytes of
Alexey Kuznetzov's patches. A file whose end is cut or broken gives what stands before.
"""

from __future__ import annotations

import gzip
import os
import zlib
from struct import Struct

from hoplab.capture import pcapng_reader
from hoplab.capture.collector import gc_paused
from hoplab.capture.observation import Observation, Reception
from hoplab.capture.pcapng_format import Capture, InterfaceInfo, PcapngError
from hoplab.sentences import say

# By how a file begins, read in the byte order of the file: nanoseconds in a unit of time, and how
# much longer a record's head is than 16 bytes.
_KINDS = {0xA1B2C3D4: (1000, 0), 0xA1B23C4D: (1, 0), 0xA1B2CD34: (1000, 8)}
_HEAD = 24
_GZIP = b"\x1f\x8b"
_UNPACKED_MOST = 4 << 30  # bytes; a small file can unpack to more than any memory holds


def read_any(path: str | os.PathLike[str]) -> Capture:
    """A capture from a pcap or pcapng file, compressed by gzip or not.

    Raises PcapngError if the file is neither, OSError if it cannot be read.
    """
    label = os.fspath(path)
    with open(path, "rb") as file:
        begin = file.read(4)
        file.seek(0)
        data = file.read()
    if begin[:2] == _GZIP:
        data = _unpacked(data, label)
    with gc_paused():
        kind = _kind(data)
        return pcapng_reader.parse(data, label) if kind is None else _read(data, *kind)


def _unpacked(packed: bytes, label: str) -> bytes:
    """What gzip has packed, as far as it is whole. Raises PcapngError."""
    unpacker = zlib.decompressobj(wbits=31)
    try:
        data = unpacker.decompress(packed, _UNPACKED_MOST)
    except (zlib.error, gzip.BadGzipFile) as error:
        raise PcapngError(
            say("{file} cannot be unpacked: {error}", file=label, error=str(error))
        ) from None
    if unpacker.unconsumed_tail:
        raise PcapngError(
            say(
                "{file} unpacks to more than {n} GiB: unpack it and cut it, as by editcap -c",
                file=label, n=_UNPACKED_MOST >> 30,
            )
        )  # fmt: skip
    return data


def _kind(data: bytes) -> tuple[str, int, int] | None:
    """Byte order, nanoseconds in a unit of time, and how much longer records' heads are."""
    for order in "<>":
        if len(data) >= _HEAD:
            kind = _KINDS.get(Struct(order + "I").unpack_from(data)[0])
            if kind is not None:
                return order, *kind
    return None


def _read(data: bytes, order: str, unit_ns: int, longer: int) -> Capture:
    """The frames of a file; the rest as `_kind` gives it."""
    linktype = Struct(order + "I").unpack_from(data, 20)[0] & 0x0FFFFFFF  # the rest is of the FCS
    capture = Capture(interfaces=[InterfaceInfo("", linktype=linktype)])
    unpack = Struct(order + "IIII").unpack_from
    at, size = _HEAD, len(data)
    records: list[tuple[int, bytes, int]] = []
    while at < size:
        start = at + 16 + longer
        if start > size:
            capture.problem = f"the last record is cut at byte {at}"
            break
        seconds, fraction, captured, length = unpack(data, at)
        if start + captured > size:
            capture.problem = f"the last record is cut at byte {at}"
            break
        t_ns = seconds * 10**9 + fraction * unit_ns
        records.append((t_ns, data[start : start + captured], length))
        at = start + captured
    records.sort(key=_by_time)  # stable: equal times keep the file's order
    capture.observations = [
        Observation(number, t_ns, 0, _reception(frame), frame, max(length, len(frame)))
        for number, (t_ns, frame, length) in enumerate(records, 1)
    ]
    return capture


def _by_time(record: tuple[int, bytes, int]) -> int:
    return record[0]


def _reception(frame: bytes) -> Reception:
    """What the destination MAC address alone tells."""
    if frame[:6] == b"\xff" * 6:
        return Reception.BROADCAST
    return Reception.MULTICAST if frame[:1] and frame[0] & 1 else Reception.HOST
