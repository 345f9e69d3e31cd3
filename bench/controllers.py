# SPDX-License-Identifier: Apache-2.0
"""How many packet-ins a controller answers for a second of its CPU time: ours beside two peers.

    python3 bench/controllers.py
    python3 bench/controllers.py --seconds 2 --window 1 --only learning_switch

Ours run on Ryu and on its maintained fork, os-ken, where that is installed. The peers are the
learning switch that comes with Ryu (simple_switch_13, with its log of every packet turned off) and
Open vSwitch's ovs-testcontroller, which is written in C. The load is made
here: emulated switches that speak OpenFlow 1.3, each with so many hosts, each with so many
packet-ins under way (`--window 1` measures what one answer takes, a large one what batching
gives). All of it runs in a network namespace of its own, over its loopback interface.

Every packet-in of this load is due exactly one packet-out, so those are counted. Ratios tell more
than figures: machines differ, and what else they do. So each round measures simple_switch_13 again,
and the ratio is the median over the rounds.

`--shards` measures instead what two processes with half the switches each answer, beside one.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import random
import selectors
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from peers import left_out

from hoplab import programs

ROOT = Path(__file__).resolve().parents[1]
OURS = ["learning_switch", "two_table_switch", "fast_switch"]
BASE = "simple_switch_13"
PEER = "ovs-testcontroller"
FORK = " on os-ken"
PORT = 6653
START_S = 30

HEADER = struct.Struct("!BBHI")  # OpenFlow 1.3.5, 7.1
HELLO, ECHO_REQUEST, ECHO_REPLY, FEATURES_REQUEST, FEATURES_REPLY = 0, 2, 3, 5, 6
GET_CONFIG_REQUEST, GET_CONFIG_REPLY, PACKET_IN, PACKET_OUT = 7, 8, 10, 13
MULTIPART_REQUEST, MULTIPART_REPLY, BARRIER_REQUEST, BARRIER_REPLY = 18, 19, 20, 21
PORT_DESC = 13
PORTS = 4  # hosts of a switch are a multiple of this


def message(kind: int, body: bytes = b"", xid: int = 0) -> bytes:
    return HEADER.pack(4, kind, HEADER.size + len(body), xid) + body


def packet_in(source: bytes, to: bytes, port: int) -> bytes:
    """A packet-in with a frame of 60 bytes in it (7.4.1)."""
    frame = to + source + b"\x08\x00" + bytes(46)
    match = struct.pack("!HHII4x", 1, 12, 0x80000004, port)
    body = struct.pack("!IHBBQ", 0xFFFFFFFF, len(frame), 0, 0, 0) + match + bytes(2) + frame
    return message(PACKET_IN, body)


class Switch:
    """One emulated switch: its connection, and a supply of packet-ins."""

    def __init__(self, number: int, hosts: int, port: int = PORT) -> None:
        self.number = number
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=START_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.rest = b""
        self.ready = False
        macs = [struct.pack("!BBI", 2, number, host) for host in range(hosts)]
        chance = random.Random(number)
        self.supply = []
        for host in range(hosts):
            # To one who has sent before; never at the sender's own port: that is due no packet-out.
            peer = (host - chance.randrange(1, PORTS)) % hosts
            self.supply.append(packet_in(macs[host], macs[peer], 1 + host % PORTS))
        self.next = 0
        self.send(message(HELLO))

    def send(self, data: bytes) -> None:
        """All of it; the other side reads, so this ends."""
        view = memoryview(data)
        while view:
            try:
                view = view[self.socket.send(view) :]
            except BlockingIOError:
                time.sleep(0.0005)

    def offer(self, count: int) -> None:
        """So many new packet-ins."""
        taken = [self.supply[(self.next + i) % len(self.supply)] for i in range(count)]
        self.next += count
        self.send(b"".join(taken))

    def read(self) -> int:
        """Takes what has come; the number of packet-outs in it."""
        try:
            data = self.rest + self.socket.recv(1 << 18)
        except BlockingIOError:
            return 0
        at, answers = 0, 0
        while len(data) - at >= HEADER.size:
            _, kind, length, xid = HEADER.unpack_from(data, at)
            if len(data) - at < length:
                break
            if kind == PACKET_OUT:
                answers += 1
            else:
                self.greet(kind, xid, data[at + HEADER.size : at + length])
            at += length
        self.rest = data[at:]
        return answers

    def greet(self, kind: int, xid: int, body: bytes) -> None:
        """Whatever a controller wants to hear before it works."""
        if kind == ECHO_REQUEST:
            self.send(message(ECHO_REPLY, body, xid))
        elif kind == FEATURES_REQUEST:
            self.send(message(FEATURES_REPLY, struct.pack("!QIBB2xII", self.number, 0, 254, 0, 0,
                                                          0), xid))  # fmt: skip
            self.ready = True
        elif kind == GET_CONFIG_REQUEST:
            self.send(message(GET_CONFIG_REPLY, struct.pack("!HH", 0, 128), xid))
        elif kind == BARRIER_REQUEST:
            self.send(message(BARRIER_REPLY, b"", xid))
        elif kind == MULTIPART_REQUEST and struct.unpack_from("!H", body)[0] == PORT_DESC:
            ports = b"".join(
                struct.pack("!I4x6s2x16s8I", port, bytes(5) + bytes([port]), b"eth", *[0] * 8)
                for port in range(1, PORTS + 1)
            )
            self.send(message(MULTIPART_REPLY, struct.pack("!HH4x", PORT_DESC, 0) + ports, xid))


def command(name: str, port: int) -> list[str] | None:
    """How to start a controller; None where it is not installed."""
    if name == PEER:
        tool = programs.find(PEER)
        words = [f"ptcp:{port}:127.0.0.1", "--max-idle=permanent", "--unixctl=none"]
        return [tool, *words] if tool else None
    bare, fork, _ = name.partition(FORK)
    if fork and importlib.util.find_spec("os_ken") is None:
        return None
    file = "ryu.app.simple_switch_13" if name == BASE else str(ROOT / "controllers" / f"{bare}.py")
    module = "hoplab.control.osken_main" if fork else "hoplab.control.ryu_main"
    launcher = [sys.executable, "-m", module, "--default-log-level", "40"]
    return [*launcher, "--ofp-listen-host", "127.0.0.1", "--ofp-tcp-listen-port", str(port), file]


@contextlib.contextmanager
def running(name: str, port: int) -> Iterator[subprocess.Popen[bytes] | None]:
    words = command(name, port)
    if words is None:
        yield None
        return
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env
    )
    try:
        end = time.monotonic() + START_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > end:
                    raise SystemExit(f"{name} does not start: {' '.join(words)}") from None
                time.sleep(0.02)
        yield process
    finally:
        process.kill()
        process.wait()


def cpu_s(pid: int) -> float:
    """CPU time of a process so far (proc(5), stat, fields 14 and 15)."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def measure(
    name: str, options: argparse.Namespace, shards: int = 1
) -> dict[str, float] | None:
    """Packet-ins answered a CPU second, and a second; by so many processes that divide the
    switches."""
    with contextlib.ExitStack() as stack:
        every = [stack.enter_context(running(name, PORT + n)) for n in range(shards)]
        processes = [process for process in every if process is not None]
        if not processes:
            return None
        switches = [
            Switch(n, options.hosts, PORT + n % shards) for n in range(1, options.switches + 1)
        ]
        chooser = selectors.DefaultSelector()
        for switch in switches:
            chooser.register(switch.socket, selectors.EVENT_READ, switch)

        def turn(window_open: bool) -> int:
            answers_read = 0
            for key, _ in chooser.select(0.1):
                answers = key.data.read()
                answers_read += answers
                if answers and window_open:
                    key.data.offer(answers)
            return answers_read

        end = time.monotonic() + START_S
        while not all(switch.ready for switch in switches):
            turn(False)
            if time.monotonic() > end:
                raise SystemExit(f"{name} does not greet every switch")
        settle = time.monotonic() + 0.3  # for what it says after the greeting
        while time.monotonic() < settle:
            turn(False)
        for switch in switches:
            switch.offer(options.window)
        # Once round, so that every address is known: then every answer has its flows.
        end, answered = time.monotonic() + START_S, 0
        while answered < 1.2 * options.switches * options.hosts and time.monotonic() < end:
            answered += turn(True)
        began, answered = time.monotonic(), 0
        used = sum(cpu_s(process.pid) for process in processes)
        while time.monotonic() - began < options.seconds:
            answered += turn(True)
        passed = time.monotonic() - began
        used = sum(cpu_s(process.pid) for process in processes) - used
        for switch in switches:
            switch.socket.close()
        if not answered:
            raise SystemExit(f"{name} answers nothing")
        return {"per_cpu_s": answered / max(used, 0.01), "per_s": answered / passed}


def main() -> int:
    parser = argparse.ArgumentParser(description="Packet-ins answered for a CPU second.")
    parser.add_argument("--switches", type=int, default=16)
    parser.add_argument("--hosts", type=int, default=200, help="of each switch")
    parser.add_argument("--window", type=int, default=32, help="packet-ins under way, each switch")
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", action="append", choices=OURS, help="of ours")
    parser.add_argument("--shards", action="store_true", help="one process beside two")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.hosts = max(PORTS, options.hosts // PORTS * PORTS)
    options.switches = min(options.switches, 16)  # ovs-testcontroller takes no more
    if not options.inside:
        flags = "-n" if os.geteuid() == 0 else "-Urn"
        script = 'ip link set lo up && exec "$@"'
        again = [sys.executable, __file__, *sys.argv[1:], "--inside"]
        return subprocess.run(["unshare", flags, "sh", "-c", script, "sh", *again]).returncode
    if options.shards:
        results = shards(options)
    else:
        ours = options.only or OURS
        names = [BASE, *ours, *(f"{name}{FORK}" for name in ours), PEER]
        results = rounds(names, options)
    if options.json:
        print(json.dumps(results, indent=1))
        return 0
    print(f"{'controller':26} {'per CPU s':>10} {'per s':>10} {'ratio':>7}   of each round")
    for name, result in results.items():
        if result is None:
            left_out("os-ken" if FORK in name else name, name)
            continue
        each = " ".join(f"{ratio:.1f}" for ratio in result["ratios"])
        print(
            f"{name:26} {result['per_cpu_s']:10,.0f} {result['per_s']:10,.0f} "
            f"{result['ratio']:7.1f}   {each}"
        )
    return 0


def rounds(names: list[str], options: argparse.Namespace) -> dict[str, Any]:
    """Medians over the rounds; the ratio is of packet-ins a CPU second to the base's."""
    results: dict[str, list[dict[str, float] | None]] = {name: [] for name in names}
    for _ in range(options.rounds):
        for name in names:
            results[name].append(measure(name, options))
    return {
        name: summary(mine, results[BASE], "per_cpu_s") for name, mine in results.items()
    }


def shards(options: argparse.Namespace) -> dict[str, Any]:
    """One process and two, in turn; the ratio is of packet-ins a second. The load takes CPU time,
    too: on two cores that are not idle two processes have less than twice of one."""
    results: dict[str, Any] = {}
    for name in options.only or OURS:
        single, double = [], []
        for _ in range(options.rounds):
            single.append(measure(name, options))
            double.append(measure(name, options, shards=2))
        results[name] = summary(single, single, "per_s")
        results[f"{name}, 2 shards"] = summary(double, single, "per_s")
    return results


def summary(
    mine: list[dict[str, float] | None], base: list[dict[str, float] | None], figure: str
) -> dict[str, Any] | None:
    """Medians, and the ratios to the base, which was measured in the same rounds."""
    pairs = [(a, b) for a, b in zip(mine, base, strict=True) if a is not None and b is not None]
    if not pairs:
        return None
    ratios = [a[figure] / b[figure] for a, b in pairs]
    medians = {key: median(a[key] for a, _ in pairs) for key in ("per_cpu_s", "per_s")}
    return {**medians, "ratio": median(ratios), "ratios": ratios}


if __name__ == "__main__":
    sys.exit(main())
