# SPDX-License-Identifier: Apache-2.0
"""Run folders that nobody expects: frames of 64 kB, clocks that go back, names that are none."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

from hoplab import runs
from hoplab.capture import pcapng_format, pcapng_writer
from hoplab.capture.observation import Observation, Reception
from tests.unit import frames

NAMES = (
    "\u202eevil", "nul\0l", "x" * 3000, "__proto__", "constructor", "</script><!--<script>",
    "line\nline", "🦉 owl", "'\"`${1}", "h1 or h2",
)  # fmt: skip
MAC = "02:00:00:00:00:{:02x}"
Seen = tuple[int, int, Reception, bytes]  # time, place of the interface, how it came, bytes


def keep(folder: Path, lab: dict[str, Any], seen: Iterable[Seen], command: str = "") -> Path:
    """A run folder with these frames."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / runs.STATE).write_text(json.dumps(lab))
    host = lab["nodes"][0]["name"] if lab["nodes"] else ""
    (folder / runs.TRACE).write_text(json.dumps({"host": host, "command": command}))
    with open(folder / runs.CAPTURE, "wb") as file:
        infos = [pcapng_format.InterfaceInfo(each["name"]) for each in lab["interfaces"]]
        writer = pcapng_writer.Writer(file, infos)
        for number, (t_ns, port, reception, data) in enumerate(seen, 1):
            writer.write(Observation(number, t_ns, port, reception, data, len(data)))
    return folder


def hub_of(names: Sequence[str], addresses: Callable[[int], list[str]]) -> dict[str, Any]:
    """A lab of hosts on one switch, which is the last node. Interfaces: those of the hosts, then
    those of the switch."""
    near = [
        {"name": f"{name}-eth0", "node": name, "mac": MAC.format(place),
         "addresses": addresses(place), "peer": f"s-eth{place}"}
        for place, name in enumerate(names, 1)
    ]  # fmt: skip
    far = [
        {"name": f"s-eth{place}", "node": "s", "mac": "", "addresses": [], "port": place,
         "peer": f"{name}-eth0"}
        for place, name in enumerate(names, 1)
    ]  # fmt: skip
    nodes = [*({"name": name, "kind": "host"} for name in names), {"name": "s", "kind": "switch"}]
    return {"format": 1, "topology": names[0], "controller": names[-1], "datapath": "user",
            "nodes": nodes, "interfaces": [*near, *far]}  # fmt: skip


def across(lab: dict[str, Any], data: bytes, times: Sequence[int]) -> list[Seen]:
    """A frame of the first host's to the second, through the switch: seen at four places."""
    hosts = len(lab["interfaces"]) // 2
    ports = (0, hosts, hosts + 1, 1)
    receptions = (Reception.OUTGOING, Reception.OTHERHOST, Reception.OUTGOING, Reception.HOST)
    return list(zip(times, ports, receptions, [data] * 4, strict=True))


def udp(payload: bytes) -> bytes:
    """A frame of UDP from the first host to the second."""
    packet = frames.ipv4("10.0.0.1", "10.0.0.2", 17, frames.udp(4000, 99, payload))
    return frames.eth(MAC.format(2), MAC.format(1), 0x0800, packet)


def four(place: int) -> list[str]:
    """An IPv4 address."""
    return [f"10.0.0.{place}/24"]


def strange_names(folder: Path) -> Path:
    """Hosts, topology and controller with names that try everything."""
    lab = hub_of(NAMES, four)
    return keep(folder, lab, across(lab, udp(NAMES[5].encode()), [1, 2, 3, 4]), NAMES[0])


def jumbo(folder: Path, count: int = 17) -> Path:
    """Frames of 64 kB that nothing can compress: more than a page takes."""
    lab, dice = hub_of(("h1", "h2"), four), random.Random(1)
    seen: list[Seen] = []
    for place in range(count):
        data = udp(dice.randbytes(65_000))
        seen += across(lab, data, [place * 1000 + at for at in range(4)])
    return keep(folder, lab, seen)


def clocks(folder: Path) -> Path:
    """The second frame is older than the first, and arrives before it was sent."""
    lab = hub_of(("h1", "h2"), four)
    seen = across(lab, udp(b"first"), [5_000_000_000, 5_000_000_100, 4_000_000_000, 9])
    seen += across(lab, udp(b"second"), [3_000_000_000, 2_000_000_000, 1, (1 << 62)])
    return keep(folder, lab, seen)


def nothing(folder: Path) -> Path:
    """A lab in which not one frame was seen."""
    return keep(folder, hub_of(("h1", "h2"), four), [])


def one_host(folder: Path) -> Path:
    """A host without a card."""
    lab = {"format": 1, "topology": "alone", "controller": "", "datapath": "user",
           "nodes": [{"name": "h1", "kind": "host"}], "interfaces": []}  # fmt: skip
    return keep(folder, lab, [])


def six(folder: Path) -> Path:
    """Hosts that have IPv6 alone, and a hop limit."""
    lab = hub_of(("h1", "h2"), lambda place: [f"fd00::{place}/64"])
    payload = frames.udp(4000, 99, b"six")
    head = struct.pack("!IHBB", 6 << 28, len(payload), 17, 64)  # RFC 8200, 3
    packet = head + IPv6Address("fd00::1").packed + IPv6Address("fd00::2").packed + payload
    data = frames.eth(MAC.format(2), MAC.format(1), 0x86DD, packet)
    return keep(folder, lab, across(lab, data, [1, 2, 3, 4]))


ODD: dict[str, Callable[[Path], Path]] = {
    "strange_names": strange_names, "jumbo": jumbo, "clocks": clocks, "nothing": nothing,
    "one_host": one_host, "six": six,
}  # fmt: skip
