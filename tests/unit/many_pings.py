# SPDX-License-Identifier: Apache-2.0
"""A run folder with as many pings as one likes, from end to end of a row with two routers: five
frames on links for a request, five for its reply."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

from hoplab import runs
from hoplab.capture import pcapng_format, pcapng_writer
from hoplab.capture.observation import Observation, Reception
from tests.unit import frames

ROW = (("client", "host"), ("s1", "switch"), ("r1", "router"), ("r2", "router"),
       ("s2", "switch"), ("www", "host"))  # fmt: skip
# Interface, MAC, address; in the order of the row, two for each cable.
ENDS = (
    ("client-eth0", "02:00:00:00:00:01", "10.0.0.1/24"), ("s1-eth1", "", ""),
    ("s1-eth2", "", ""), ("r1-eth0", "02:00:00:00:00:02", "10.0.0.254/24"),
    ("r1-eth1", "02:00:00:00:00:03", "10.1.0.1/30"),
    ("r2-eth0", "02:00:00:00:00:04", "10.1.0.2/30"),
    ("r2-eth1", "02:00:00:00:00:05", "10.2.0.254/24"), ("s2-eth1", "", ""),
    ("s2-eth2", "", ""), ("www-eth0", "02:00:00:00:00:06", "10.2.0.1/24"),
)  # fmt: skip
HOP_NS, GAP_NS = 60_000, 2_000_000


def many_pings(folder: Path, packets: int) -> Path:
    """Requests and replies, `packets` in all."""
    folder.mkdir()
    interfaces: list[dict[str, Any]] = []
    for place, (name, mac, address) in enumerate(ENDS):
        peer = ENDS[place ^ 1][0]
        interfaces.append({"name": name, "node": name.split("-")[0], "mac": mac,
                           "addresses": [address] if address else [], "peer": peer})  # fmt: skip
    lab = {"format": 1, "topology": "row", "controller": "learning_switch", "datapath": "user",
           "nodes": [{"name": name, "kind": kind} for name, kind in ROW],
           "interfaces": interfaces}  # fmt: skip
    (folder / runs.STATE).write_text(json.dumps(lab))
    command = {"host": "client", "command": f"ping -c {packets // 2} 10.2.0.1", "exit_code": 0}
    (folder / runs.TRACE).write_text(json.dumps(command))
    numbers = itertools.count(1)
    with open(folder / runs.CAPTURE, "wb") as file:
        infos = [pcapng_format.InterfaceInfo(each["name"]) for each in interfaces]
        writer = pcapng_writer.Writer(file, infos)
        for packet in range(packets):
            for t_ns, port, reception, data in _way(packet):
                number = next(numbers)
                writer.write(Observation(number, t_ns, port, reception, data, len(data)))
    return folder


def _way(packet: int) -> list[tuple[int, int, Reception, bytes]]:
    """The frames of one packet: time, port, direction, bytes."""
    sequence, back = divmod(packet, 2)
    ports = list(range(len(ENDS)))[:: -1 if back else 1]
    source, target = ("10.2.0.1", "10.0.0.1") if back else ("10.0.0.1", "10.2.0.1")
    echo = frames.echo(not back, 7, sequence & 0xFFFF)
    t_ns = 1_000_000_000 + sequence * GAP_NS + back * GAP_NS // 2
    ttl, seen = 64, []
    for out, into in zip(ports[::2], ports[1::2], strict=True):
        if ENDS[out][0].startswith("r"):
            ttl -= 1
        header = frames.ipv4(source, target, 1, echo, ident=packet & 0xFFFF, ttl=ttl)
        data = frames.eth(_mac(ports, into, 1), _mac(ports, out, -1), 0x0800, header)
        seen.append((t_ns, out, Reception.OUTGOING, data))
        seen.append((t_ns + 1000, into, Reception.HOST, data))
        t_ns += HOP_NS
    return seen


def _mac(ports: list[int], port: int, step: int) -> str:
    """The MAC at or behind a port on the way: a switch has none, the next node in line has."""
    at = ports.index(port)
    while not ENDS[ports[at]][1]:
        at += step
    return ENDS[ports[at]][1]
