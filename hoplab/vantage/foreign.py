# SPDX-License-Identifier: Apache-2.0
"""A capture file of anybody's as a run folder, which all that tells runs can read.

What lives here: which interface of a file is told, by which wiring, and the two files of the
folder. What must not: what is told.

1. With a lab.json (a kept run's capture has one beside it), the interfaces that it names are told
   by it; those that are missing from the capture make it a part of the whole (`Coverage.partial`).
2. Without, one interface is told, by what its own frames show (`one_place.py`).
"""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

from hoplab.capture import pcap_reader, pcapng_writer
from hoplab.capture.pcapng_format import Capture, InterfaceInfo, PcapngError
from hoplab.errors import Exit, LabError
from hoplab.follow.wiring import Wiring
from hoplab.nearest import did_you_mean
from hoplab.openflow_channel import INTERFACE as OPENFLOW
from hoplab.sentences import listed, number_of, say, sentence_of, term, together
from hoplab.vantage import one_place

_CAPTURE, _STATE = "capture.pcapng", "lab.json"  # as `hoplab.runs` reads them
_SHOWN_MOST = 8  # interfaces that an error lists


def make_run(
    file: Path, folder: Path, *, interface: str = "", wiring: Wiring | None = None
) -> Wiring:  # fmt: skip
    """Writes the capture and the wiring of a run into a folder; gives the wiring. interface: the
    one to tell, "" for the only one. Raises LabError, OSError of the folder."""
    capture = _read(file)
    if wiring is None and not interface:
        wiring = _beside(file, capture)
    if wiring is not None:
        described = _part_of(wiring, capture, file)
    else:
        capture = _one(capture, file, interface)
        described = one_place.describe(
            capture.observations if capture.interfaces[0].ethernet else (),
            capture.interfaces[0].name,
        )
    with (folder / _CAPTURE).open("wb") as out:
        pcapng_writer.write_all(out, capture)
    text = json.dumps(described.as_dict(), indent=1, ensure_ascii=False)
    (folder / _STATE).write_text(text, encoding="utf-8")
    return described


def _read(file: Path) -> Capture:
    try:
        capture = pcap_reader.read_any(file)
    except (OSError, PcapngError) as error:
        missing = isinstance(error, FileNotFoundError)
        why = (
            say("there is no file {file}", file=str(file)) if missing
            else say("{file} cannot be read: {error}", file=str(file), error=sentence_of(error))
        )  # fmt: skip
        raise LabError(
            why,
            term("a capture is a pcap or pcapng file, as tcpdump, Wireshark and hoplab write it"),
            Exit.NO_SUCH if missing else Exit.BAD_INPUT,
        ) from error
    if not capture.observations:
        raise LabError(
            say("{file} has no frame in it", file=str(file)),
            term("was the capture ended before anything passed, or did its filter keep all out?"),
            Exit.BAD_INPUT,
        )
    return capture


def _beside(file: Path, capture: Capture) -> Wiring | None:
    """The wiring that stands beside the capture of a kept run; None where it is of no run."""
    try:
        wiring = Wiring.load(file.parent / _STATE)
    except (OSError, ValueError):
        return None
    names = {interface.name for interface in capture.interfaces} - {OPENFLOW}
    of_run = len(names) > 1 and all(wiring.port(name) is not None for name in names)
    return wiring if of_run else None


def _one(capture: Capture, file: Path, wish: str) -> Capture:
    """The capture of one interface. Raises LabError where it is not clear which one."""
    channel = {
        port for port, each in enumerate(capture.interfaces) if each.name == OPENFLOW
    }  # of a lab of ours: what switches and their controller say is no wire of the network
    counts = Counter(seen.port for seen in capture.observations if seen.port not in channel)
    names = {port: _name(capture.interfaces[port], port, file) for port in sorted(counts)}
    chosen = [port for port, name in names.items() if wish in ("", name)]
    if not chosen:
        raise LabError(
            say("no frame of {file} was captured at {interface}", file=str(file), interface=wish),
            together(
                did_you_mean(wish, names.values()),
                say("its interfaces are {interfaces}", interfaces=_list(names, counts)),
            ),
            Exit.NO_SUCH,
        )
    if len(chosen) > 1:
        raise LabError(
            number_of(
                "{file} is of {n} interface: one place is told at a time, unless a lab.json says "
                "how they are wired",
                "{file} is of {n} interfaces: one place is told at a time, unless a lab.json says "
                "how they are wired",
                len(chosen), file=str(file),
            ),
            say(
                "choose one with {option}, or give {wiring}; they are {interfaces}",
                option="--interface NAME", wiring="--wiring lab.json",
                interfaces=_list(names, counts),
            ),
            Exit.USAGE,
        )  # fmt: skip
    port = chosen[0]
    frames = [replace(seen, port=0) for seen in capture.observations if seen.port == port]
    if len(frames) < len(capture.observations):
        # Frames keep the order, not the numbers, that they have among those of all interfaces.
        frames = [replace(seen, number=number) for number, seen in enumerate(frames, 1)]
    info = replace(capture.interfaces[port], name=names[port])
    return replace(
        capture, interfaces=[info], observations=frames, comments={}, notes=[], received={},
        dropped={0: capture.dropped[port]} if port in capture.dropped else {}, begun_ns={},
        queue_drops={}, cable_drops={},
    )  # fmt: skip


def _name(interface: InterfaceInfo, port: int, file: Path) -> str:
    """What the interface is called: as the file says, else by the file."""
    return interface.name or interface.description or (file.stem if port == 0 else f"#{port}")


def _list(names: dict[int, str], counts: Counter[int]) -> str:
    """The interfaces of a file, the busiest first."""
    ports = sorted(names, key=lambda port: (-counts[port], port))
    return listed(
        [
            say("{interface} ({frames})", interface=names[port],
                frames=number_of("{n:,} frame", "{n:,} frames", counts[port]))
            for port in ports
        ],
        most=_SHOWN_MOST,
    )  # fmt: skip


def _part_of(wiring: Wiring, capture: Capture, file: Path) -> Wiring:
    """The wiring, marked where the capture is of a part of it. Raises LabError for one of none."""
    heard = {port for port in wiring.port_map(capture.interfaces) if port is not None}
    if not heard:
        raise LabError(
            say(
                "no interface of {file} is one of the lab's: {theirs} there, {ours} here",
                file=str(file),
                theirs=listed([each.name or "?" for each in capture.interfaces], _SHOWN_MOST),
                ours=listed([each.name for each in wiring.interfaces], _SHOWN_MOST),
            ),
            term("without the lab.json, the file is told as a capture of one place"),
            Exit.BAD_INPUT,
        )
    if len(heard) < len(wiring.interfaces):
        wiring.extra["partial"] = True
    return wiring


def wiring_in(path: Path) -> Wiring:
    """The wiring in a lab.json, or in the lab.json of a run's folder. Raises LabError."""
    file = path / _STATE if os.path.isdir(path) else path
    try:
        return Wiring.load(file)
    except (OSError, ValueError) as error:
        raise LabError(
            say("the wiring in {file} cannot be read: {error}", file=str(file),
                error=sentence_of(error)),
            term("give the lab.json of a lab (hoplab ls says where it is) or of a kept run"),
            Exit.NO_SUCH if isinstance(error, FileNotFoundError) else Exit.BAD_INPUT,
        ) from error  # fmt: skip
