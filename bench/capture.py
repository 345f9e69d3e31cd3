# SPDX-License-Identifier: Apache-2.0
"""How much CPU a capture costs and what it loses, beside tcpdump, dumpcap and scapy.

    sudo python3 bench/capture.py [--quick] [--json]

Twelve interfaces, each in a network namespace of its own inside a private sandbox (as an ordinary
user: `unshare -Urnmpf python3 bench/capture.py`). A sender in a process of its own puts the same
400-byte frames onto all of them, at a steady rate, while one contender after the other listens on
all twelve. What is printed is the CPU time of the contender's processes and the frames that did
not get into its files, out of those that were sent; the ratio says how many times our CPU time the
others take. The others write a file an interface; ours is one file in order of time.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from peers import left_out  # noqa: E402

from hoplab.capture import pcapng_format  # noqa: E402
from hoplab.capture.capture import Capture, Tap, open_socket, ring_size  # noqa: E402
from hoplab.kernel.namespaces import Namespace, in_thread  # noqa: E402
from hoplab.kernel.netlink import End, Socket, link_up, veth  # noqa: E402

INTERFACES = 12
FRAME = bytes.fromhex("020000000002 020000000001 88b5") + bytes(386)  # 88b5: for experiments
BURST_S = 0.002


@dataclass
class Result:
    """What a contender did. lost: of the frames sent. cpu_s: user and system time together."""

    name: str
    rate: int
    sent: int
    held: int
    cpu_s: float
    took_s: float

    @property
    def lost(self) -> int:
        return self.sent - self.held


@dataclass
class Wire:
    """One interface that hears, in a namespace, and the name of the one that sends, outside."""

    space: Namespace
    inside: str
    outside: str


def wires() -> list[Wire]:
    """Twelve veth pairs, one end here and one in a namespace of its own."""
    route = Socket()
    spaces = Namespace.create([f"n{i}" for i in range(INTERFACES)])
    here = os.open("/proc/self/ns/net", os.O_RDONLY)
    made, messages = [], []
    for i, space in enumerate(spaces):
        outside, inside = f"out{i}", f"in{i}"
        outer_end = End(outside, f"02:00:00:00:01:{i:02x}", 1000 + i, here)
        inner_end = End(inside, f"02:00:00:00:02:{i:02x}", 2, space.net)
        messages.append(veth(outer_end, inner_end))
        made.append(Wire(space, inside, outside))
    route.send(messages)
    route.send([link_up(1000 + i, wire.outside) for i, wire in enumerate(made)])
    for wire in made:
        wire.space.route.send([link_up(2, wire.inside)])
    return made


def send(all_wires: list[Wire], rate: int, seconds: float) -> int:
    """Put frames onto every wire in turn, `rate` a second in all. Returns how many."""
    socks = []
    for wire in all_wires:
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        sock.bind((wire.outside, 0))
        with contextlib.suppress(OSError):
            sock.setsockopt(263, 20, 1)  # PACKET_QDISC_BYPASS: nothing waits, nothing is dropped
        socks.append(sock)
    sent = 0
    began = time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        due = int(passed * rate) - sent
        for _ in range(max(0, due)):
            with contextlib.suppress(OSError):
                socks[sent % INTERFACES].send(FRAME)
            sent += 1
        time.sleep(BURST_S)
    for sock in socks:
        sock.close()
    return sent


def flood(all_wires: list[Wire], rate: int, seconds: float) -> int:
    """`send`, in a process of its own."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write_end, struct.pack("=q", send(all_wires, rate, seconds)))
        os._exit(0)
    os.waitpid(child, 0)
    with os.fdopen(read_end, "rb") as pipe:
        sent: int = struct.unpack("=q", pipe.read(8))[0]
    os.close(write_end)
    return sent


def process_cpu(pid: int) -> float:
    """Seconds on a processor so far, of all its threads: to the nanosecond where the kernel keeps
    schedstat, else in clock ticks (proc(5), fields 14 and 15 of stat)."""
    with contextlib.suppress(OSError):
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def count_pcap(path: Path) -> int:
    """Frames of ours in a pcap or pcapng file of another program."""
    data = path.read_bytes()
    return data.count(FRAME[:14] + bytes(64))


# ------------------------------------------------------------------------------- the contenders


def ours(all_wires: list[Wire], folder: Path, rate: int, seconds: float) -> Result:
    path = folder / "ours.pcapng"
    capture = Capture(path)
    size = ring_size(INTERFACES)
    for wire in all_wires:
        sock = wire.space.run(lambda wire=wire: open_socket(wire.inside, size))  # type: ignore[misc]
        capture.add(Tap(pcapng_format.InterfaceInfo(wire.inside), sock, size))
    capture.quiet()
    pid = capture._process.pid
    before = process_cpu(pid)
    began = time.monotonic()
    sent = flood(all_wires, rate, seconds)
    took = time.monotonic() - began
    while capture.quiet()[0] < 0.2:
        time.sleep(0.05)
    cpu = process_cpu(pid) - before
    capture.stop()
    held = count_pcap(path)
    return Result("hoplab", rate, sent, held, cpu, took)


def each(
    name: str, argv: Callable[[Wire, Path], list[str]]
) -> Callable[[list[Wire], Path, int, float], Result]:
    """A contender that is a process an interface."""

    def run(all_wires: list[Wire], folder: Path, rate: int, seconds: float) -> Result:
        files = [folder / f"{name}-{i}" for i in range(INTERFACES)]
        processes = []
        for wire, file in zip(all_wires, files, strict=True):
            options = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": "/"}
            processes.append(wire.space.popen(argv(wire, file), **options))
        listening(processes)
        cpu_before = sum(process_cpu(p.pid) for p in processes)
        began = time.monotonic()
        sent = flood(all_wires, rate, seconds)
        took = time.monotonic() - began
        time.sleep(1.0)  # their buffers
        cpu = sum(process_cpu(p.pid) for p in processes) - cpu_before
        for process in processes:
            process.send_signal(signal.SIGINT)
        for process in processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
        held = sum(count_pcap(file) for file in files if file.exists())
        for file in files:
            file.unlink(missing_ok=True)
        return Result(name, rate, sent, held, cpu, took)

    return run


def listening(processes: list[subprocess.Popen[bytes]]) -> None:
    """Until each has its packet socket open (proc: net/packet of its namespace)."""
    deadline = time.monotonic() + 30
    for process in processes:
        while True:
            lines = Path(f"/proc/{process.pid}/net/packet").read_text().splitlines()[1:]
            if any(int(line.split()[3], 16) == 3 for line in lines):
                break
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{process.args!r} does not listen")
            time.sleep(0.05)
    time.sleep(0.3)


SCAPY = """
import signal, sys, threading, time
from scapy.all import AsyncSniffer, PcapWriter, conf
conf.use_pcap = False
out = PcapWriter(sys.argv[2])
sniffer = AsyncSniffer(iface=sys.argv[1], store=False, prn=out.write)
sniffer.start()
done = threading.Event()
signal.signal(signal.SIGINT, lambda *_: done.set())
done.wait()
sniffer.stop()
out.close()
"""


def contenders() -> dict[str, Callable[[list[Wire], Path, int, float], Result]]:
    by_name: dict[str, Callable[[list[Wire], Path, int, float], Result]] = {"hoplab": ours}
    tcpdump, dumpcap = shutil.which("tcpdump"), shutil.which("dumpcap")
    if tcpdump:
        as_root = ["-Z", "root"]
        by_name["tcpdump"] = each(
            "tcpdump",
            lambda wire, file: [tcpdump, "-i", wire.inside, "-w", str(file), "-s", "0", *as_root],
        )
    if dumpcap:
        by_name["dumpcap"] = each(
            "dumpcap", lambda wire, file: [dumpcap, "-q", "-i", wire.inside, "-w", str(file)]
        )
    if importlib.util.find_spec("scapy"):
        by_name["scapy"] = each(
            "scapy", lambda wire, file: [sys.executable, "-c", SCAPY, wire.inside, str(file)]
        )
    for peer in ("tcpdump", "dumpcap", "scapy"):
        if peer not in by_name:
            left_out(peer)
    return by_name


# ------------------------------------------------------------------------------------- the table


def private() -> None:
    """Into namespaces of our own, so that nothing outside sees the interfaces."""
    from hoplab.kernel import system_calls

    system_calls.unshare(system_calls.CLONE_NEWNET | system_calls.CLONE_NEWNS)
    system_calls.mount("none", "/", None, 0x4000 | 0x40000)  # MS_REC | MS_PRIVATE


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="hoplab-bench-") as name:
        Path(name).chmod(0o777)
        yield Path(name)


def table(results: list[Result]) -> str:
    lines = []
    for rate in dict.fromkeys(result.rate for result in results):
        lines.append(f"{rate:,} frames/s onto {INTERFACES} interfaces")
        lines.append(f"  {'':10} {'CPU, % of a core':>17} {'times ours':>11} {'lost':>18}")
        of_rate = [result for result in results if result.rate == rate]
        base = of_rate[0].cpu_s / of_rate[0].sent
        for result in of_rate:
            share = 100 * result.cpu_s / result.took_s
            ratio = result.cpu_s / result.sent / base if base else float("nan")
            lost = f"{result.lost:,} of {result.sent:,}"
            lines.append(f"  {result.name:10} {share:17.1f} {ratio:11.1f} {lost:>18}")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one second each, one rate")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", help="one contender")
    arguments = parser.parse_args()
    private()
    made = in_thread(wires)
    results, by_name = [], contenders()
    for rate in (20_000,) if arguments.quick else (20_000, 100_000):
        for name, contender in by_name.items():
            if arguments.only and name != arguments.only:
                continue
            with scratch() as folder:
                seconds = 1.0 if arguments.quick else 5.0
                results.append(contender(made, folder, rate, seconds))
    if arguments.json:
        print(json.dumps([result.__dict__ for result in results], indent=1))
    else:
        print(table(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
