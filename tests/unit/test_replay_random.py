# SPDX-License-Identifier: Apache-2.0
"""hoplab.replay against tables made at random: what left the switch is the oracle.

One Open vSwitch with the dummy datapath is the switch: it forwards frames, while its flows change,
and tells of its tables as a switch of a lab does. What it sent is in files of its own (tx_pcap).
Another one is the shadow, which is asked afterwards.
"""

from __future__ import annotations

import random
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hoplab.capture import notes
from hoplab.capture.observation import Observation, Reception
from hoplab.capture.pcapng_format import Note
from hoplab.follow.wiring import Wiring
from hoplab.openvswitch import monitor, ovsdb
from hoplab.openvswitch.shadow import Shadow, missing
from hoplab.replay.player import play
from tests.unit import frames

pytestmark = pytest.mark.skipif(
    bool(missing()) or shutil.which("ovs-ofctl") is None, reason="Open vSwitch is not installed"
)

PORTS = (1, 2, 3, 4, 5)
MACS = [f"02:00:00:00:00:{number:02x}" for number in range(1, 7)]
IPS = [f"10.0.0.{number}" for number in range(1, 7)]
GROUPS = ("all", "indirect", "ff", "select")

LAB = {
    "format": 1,
    "topology": "random",
    "nodes": [{"name": "s1", "kind": "switch", "dpid": "1"}],
    "interfaces": [
        {"node": "s1", "name": f"s1-eth{port}", "port": port, "mac": f"02:00:00:00:05:{port:02x}",
         "addresses": [], "peer": None}
        for port in PORTS
    ],
}  # fmt: skip


class Live:
    """The switch."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.daemons = Shadow()
        self.daemons.open({"s1": PORTS}, stopped=False)
        with ovsdb.Database(self.daemons.folder / "db.sock") as database:
            database.apply(
                [
                    {"op": "update", "table": "Interface",
                     "where": [["name", "==", f"sh0x{port}"]],
                     "row": {"options": ovsdb.words({"tx_pcap": str(folder / f"{port}.pcap")})}}
                    for port in PORTS
                ]
            )  # fmt: skip
        self.target = f"unix:{self.daemons.folder}/sh0.mgmt"
        self.notes: list[Note] = []
        self.came: list[tuple[int, int, bytes]] = []
        self._rest = b""

    def watch(self) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(self.daemons.folder / "sh0.mgmt"))
        self.notes.append(Note(time.time_ns(), notes.TABLES, "s1", b""))
        self.socket.sendall(monitor.requests())
        self.socket.settimeout(20)
        self.hear(21)

    def hear(self, last: int) -> None:
        """Takes in what the switch tells, until the answer to a barrier."""
        while True:
            while len(self._rest) >= 8:
                kind, length = struct.unpack_from("!xBH", self._rest)
                if len(self._rest) < length:
                    break
                message, self._rest = self._rest[:length], self._rest[length:]
                self.notes.append(Note(time.time_ns(), notes.TABLES, "s1", message))
                if kind == last:
                    return
            self._rest += self.socket.recv(1 << 18)

    def tell(self, *arguments: str) -> None:
        """A change by a tool; a flow that is refused is one less."""
        command = ["ovs-ofctl", "-O", "OpenFlow13", arguments[0], self.target, *arguments[1:]]
        subprocess.run(command, capture_output=True)
        self.socket.sendall(struct.pack("!BBHI", 4, 20, 8, 99))
        self.hear(21)
        self.daemons.ask("revalidator/wait")

    def send(self, port: int, frame: bytes) -> None:
        self.came.append((time.time_ns(), port, frame))
        self.daemons.ask("netdev-dummy/receive", f"sh0x{port}", frame.hex())

    def sent(self) -> Iterator[tuple[int, int, bytes]]:
        """What left: when, by which port, what."""
        for port in PORTS:
            data = (self.folder / f"{port}.pcap").read_bytes()
            at = 24
            while at + 16 <= len(data):
                seconds, micros, size, _ = struct.unpack_from("=IIII", data, at)
                yield (
                    seconds * 10**9 + micros * 1000, port, data[at + 16 : at + 16 + size],
                )  # fmt: skip
                at += 16 + size


def a_frame(chance: random.Random) -> bytes:
    source, target = chance.sample(range(6), 2)
    kind = chance.choice(["tcp", "udp", "icmp", "arp"])
    if kind == "arp":
        return frames.eth(
            MACS[target], MACS[source], 0x0806,
            struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + frames.mac(MACS[source])
            + frames.ip(IPS[source]) + bytes(6) + frames.ip(IPS[target]),
        )  # fmt: skip
    if kind == "icmp":
        body, protocol = frames.icmp(8, 0, chance.randrange(1 << 16), b"ping"), 1
    else:
        ports = struct.pack("!HH", chance.choice([80, 443, 5000]), chance.choice([80, 443, 5000]))
        body, protocol = ports + bytes(8 if kind == "udp" else 16), 17 if kind == "udp" else 6
        if kind == "udp":
            body = ports + struct.pack("!HH", 12, 0) + chance.randbytes(4)
        else:
            body = ports + struct.pack("!IIBBHHH", chance.randrange(1 << 30), 0, 80, 16, 9, 0, 0)
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), chance.randrange(1 << 16), 0,
                       chance.choice([1, 2, 64]), protocol, 0)  # fmt: skip
    head += socket.inet_aton(IPS[source]) + socket.inet_aton(IPS[target])
    return frames.eth(MACS[target], MACS[source], 0x0800, head + body)


def a_match(chance: random.Random) -> tuple[str, bool]:
    """A match, and whether it is of IPv4."""
    parts = []
    if chance.random() < 0.3:
        parts.append(f"in_port={chance.choice(PORTS)}")
    if chance.random() < 0.3:
        parts.append(f"dl_dst={chance.choice(MACS)}")
    if chance.random() < 0.2:
        parts.append(f"dl_src={chance.choice(MACS)}")
    kind = chance.choice(["", "arp", "ip", "tcp", "udp", "icmp", "ip", "tcp"])
    if kind:
        parts.append(kind)
    if kind in ("ip", "tcp", "udp", "icmp"):
        if chance.random() < 0.4:
            parts.append(f"nw_dst={chance.choice(IPS)}/{chance.choice([32, 31, 30])}")
        if kind in ("tcp", "udp") and chance.random() < 0.4:
            parts.append(f"tp_dst={chance.choice([80, 443])}")
    return ",".join(parts), kind in ("ip", "tcp", "udp", "icmp")


def some_actions(chance: random.Random, table: int, *, ip: bool) -> str:
    actions: list[str] = []
    if chance.random() < 0.2:
        actions.append("meter:1")
    for _ in range(chance.choice([0, 1, 1, 2, 3])):
        kind = chance.random()
        if kind < 0.45:
            actions.append(f"output:{chance.choice([*PORTS, 9])}")
        elif kind < 0.55:
            actions.append(chance.choice(["FLOOD", "ALL", "IN_PORT", "NORMAL"]))
        elif kind < 0.7:
            actions.append(f"group:{chance.randint(1, len(GROUPS))}")
        elif kind < 0.8:
            actions.append(f"set_field:{chance.choice(MACS)}->eth_dst")
        elif kind < 0.85:
            actions += ["push_vlan:0x8100", f"set_field:{4096 + chance.randint(1, 9)}->vlan_vid",
                        f"output:{chance.choice(PORTS)}", "pop_vlan"]  # fmt: skip
        elif ip:
            actions.append(
                chance.choice(["dec_ttl", f"set_field:{chance.choice(IPS)}->ip_dst"])
            )
    if chance.random() < 0.15:
        actions.append(f"write_actions(output:{chance.choice(PORTS)})")
    if table < 3 and chance.random() < 0.4:
        actions.append(f"goto_table:{chance.randint(table + 1, 3)}")
    return ",".join(actions) or "drop"


def a_flow(chance: random.Random) -> str:
    table = chance.choice([0, 0, 0, 1, 2, 3])
    match, ip = a_match(chance)
    priority = f"priority={chance.randint(1, 9)}"
    actions = some_actions(chance, table, ip=ip)
    return ",".join(filter(None, [f"table={table}", priority, match, f"actions={actions}"]))


def played(seed: int, folder: Path, changes: int, each: int) -> tuple[int, list[object]]:
    """How many frames were explained, and what of those that do not fit."""
    chance = random.Random(seed)
    live = Live(folder)
    try:
        live.watch()
        live.tell("add-meter", "meter=1,kbps,band=type=drop,rate=10000000")
        for number, kind in enumerate(GROUPS, 1):
            buckets = chance.sample(PORTS, 1 if kind == "indirect" else 3)
            watch = "watch_port:{0}," if kind == "ff" else ""
            text = ",".join(f"bucket={watch.format(port)}actions=output:{port}" for port in buckets)
            live.tell("add-group", f"group_id={number},type={kind},{text}")
        for _ in range(12):
            live.tell("add-flow", a_flow(chance))
        live.notes.clear()
        live.socket.close()
        live._rest = b""
        live.watch()  # now the capture begins
        for _ in range(changes):
            for _ in range(each):
                live.send(chance.choice(PORTS), a_frame(chance))
            if chance.random() < 0.75:
                live.tell("add-flow", a_flow(chance))
            else:
                match, _ = a_match(chance)
                live.tell("del-flows", match or "table=2")
        live.socket.sendall(monitor.meter_counts())
        live.tell("del-flows", "table=99")  # as a capture ends: by then all has been told
        live.socket.close()
        sent = list(live.sent())
    finally:
        live.daemons.close()
    wiring = Wiring.from_dict(LAB)
    events = [(t_ns, Reception.OTHERHOST, port, data) for t_ns, port, data in live.came]
    events += [(t_ns, Reception.OUTGOING, port, data) for t_ns, port, data in sent]
    events.sort(key=lambda event: event[0])
    observations = [
        Observation(number, t_ns, PORTS.index(port), reception, data, len(data))
        for number, (t_ns, reception, port, data) in enumerate(events, 1)
    ]
    ports = [wiring.port(f"s1-eth{port}") for port in PORTS]
    with Shadow() as shadow:
        answers = play(wiring, ports, live.notes, observations, [], shadow)
    return len(answers), [passage for passage in answers if not passage.fits]


def test_a_few_random_tables(tmp_path: Path) -> None:
    count, wrong = played(4, tmp_path, changes=6, each=10)
    assert count == 60
    assert not wrong, wrong[0]


@pytest.mark.long
@pytest.mark.timeout(3000)
def test_many_random_tables(tmp_path: Path) -> None:
    """At least 999 of 1,000 hops are explained."""
    total, misfits = 0, 0
    for seed in range(100, 140):
        folder = tmp_path / str(seed)
        folder.mkdir()
        count, wrong = played(seed, folder, changes=40, each=15)
        total, misfits = total + count, misfits + len(wrong)
    assert misfits <= total / 1000, (misfits, total)
