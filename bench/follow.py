# SPDX-License-Identifier: Apache-2.0
"""How fast frames are followed, read and decoded, on one core.

    python3 bench/follow.py [--frames N] [--run DIR] [--json]

The input is made by the tests' network model: five subnets in a row, switches and hubs, ARP, UDP
and TCP, and beside it a bulk transfer of full-size TCP segments through two routers. Nothing needs
root. Decoding is done beside `tshark -T fields` (the same file, the same fields, minus its
start-up), dpkt and scapy, each if installed; the ratio says how many times faster ours is.

What it costs to tell a packet while frames fly, and to tell a whole run at its end, is measured
with a real capture: a run that was kept (`--run`), or pages fetched and pings in a lab that is
brought up for it.
"""

from __future__ import annotations

import argparse
import importlib
import io
import itertools
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import types
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
# Ours, though a package of somebody else's may be called `tests`.
sys.modules["tests"] = types.ModuleType("tests")
sys.modules["tests"].__path__ = [str(ROOT / "tests")]

from peers import left_out  # noqa: E402

from hoplab import runs  # noqa: E402
from hoplab.capture.collector import gc_seldom  # noqa: E402
from hoplab.capture.observation import Observation  # noqa: E402
from hoplab.capture.pcapng_format import InterfaceInfo  # noqa: E402
from hoplab.capture.pcapng_reader import read  # noqa: E402
from hoplab.capture.pcapng_writer import Writer  # noqa: E402
from hoplab.decode import dns, http  # noqa: E402
from hoplab.decode.packet import decode  # noqa: E402
from hoplab.follow.follow import Follower, follow  # noqa: E402
from hoplab.follow.wiring import Wiring  # noqa: E402
from hoplab.openflow_channel import INTERFACE as OPENFLOW  # noqa: E402
from hoplab.report import as_json  # noqa: E402
from hoplab.story.live import Live  # noqa: E402
from tests.unit import netmodel as nm  # noqa: E402

FIELDS = ("eth.src", "eth.dst", "ip.src", "ip.dst", "ip.ttl", "tcp.srcport", "tcp.seq", "dns.id")
Case = tuple[Wiring, list[Observation]]


def mixed(count: int) -> Case:
    """Random traffic in a random network of four subnets."""
    seed = 0
    while True:  # the first seed whose network has four subnets
        net = nm.random_net(random.Random(seed))
        if sum(kind != "switch" for kind in net.kinds.values()) >= 12:
            break
        seed += 1
    nm.random_traffic(net, count // 10, spread_ns=count * 2000, repeat_gap_ns=nm.S, repeats=0.02)
    net.run(limit=10**9)
    case = net.case()
    return case.wiring, case.observations[:count]


def bulk(count: int) -> Case:
    """Full-size segments and their acknowledgements from end to end of a row."""
    net = nm.Net(random.Random(1))
    row = ["a", "s1", "r1", "r2", "s2", "b"]
    for name in row:
        net.node(name, {"s": "switch", "r": "router"}.get(name[0], "host"))
    cables = [net.join(one, two) for one, two in itertools.pairwise(row)]
    a, b = cables[0][0], cables[4][1]
    for port, address in ((a, "10.0.0.1/24"), (b, "10.1.0.1/24")):
        port.address = address
    ra, rab, rba, rb = cables[1][1], cables[2][0], cables[2][1], cables[3][0]
    net.routes["r1"] = lambda dst: (rab.name, rba.mac) if dst[1] else (ra.name, a.mac)
    net.routes["r2"] = lambda dst: (rb.name, b.mac) if dst[1] else (rba.name, rab.mac)
    ia, ib = nm.ip("10.0.0.1"), nm.ip("10.1.0.1")
    for n in range(count // 20):
        data = nm.tcp(5001, 80, n * 1400, 1, 0x18, random.Random(n).randbytes(1400), n & 0xFFFF)
        acks = nm.tcp(80, 5001, 1, n * 1400, 0x10, b"", n & 0xFFFF)
        there = nm.eth(ra.mac, a.mac, 0x0800, nm.ipv4(ia, ib, data, proto=6, ident=n & 0xFFFF))
        back = nm.eth(rb.mac, b.mac, 0x0800, nm.ipv4(ib, ia, acks, proto=6, ident=n & 0xFFFF))
        net.bear(n * 20 * nm.US, a.name, there)
        net.bear(n * 20 * nm.US + 9, b.name, back)
    net.run(limit=10**9)
    case = net.case()
    return case.wiring, case.observations


def best(action: Callable[[], object], rounds: int = 3) -> float:
    """The least CPU seconds of some runs, those of child processes included.

    CPU time, because the statement is about one core and other programs may be using it too.
    """
    times = []
    for _ in range(rounds):
        before = os.times()
        action()
        after = os.times()
        times.append(sum(after[:4]) - sum(before[:4]))
    return min(times)


def stream(case: Case) -> None:
    """As a live view follows: journeys are handed out while frames come."""
    follower = Follower(case[0])
    for first in range(0, len(case[1]), 20_000):
        follower.feed(case[1][first : first + 20_000])
        follower.ready()
    follower.finish()


@dataclass
class Long:
    """A stream of `count` observations. memory: MB of this process after each tenth of it."""

    count: int
    rate: float
    memory: list[float]


def long(case: Case, count: int) -> Long:
    """A stream much longer than memory: the case again and again, a second apart, each frame in
    new bytes as from a reader. Only the follower's own time is counted."""
    wiring, observations = case
    follower = Follower(wiring)
    spent, number = 0.0, 0
    memory: list[float] = []
    for turn in range(count // len(observations)):
        shift = turn * nm.S
        for first in range(0, len(observations), 20_000):
            chunk = [
                Observation(
                    one.number + turn * len(observations), one.t_ns + shift, one.port,
                    one.reception, bytes(bytearray(one.data)), one.length,
                )
                for one in observations[first : first + 20_000]
            ]  # fmt: skip
            before = time.process_time()
            follower.feed(chunk)
            journeys = follower.ready()
            del journeys
            spent += time.process_time() - before
            number += len(chunk)
        if len(memory) * count < number * 10:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            memory.append(pages * os.sysconf("SC_PAGE_SIZE") / 1e6)
    follower.finish()
    return Long(number, number / spent, memory)


# Frames lost on cables, observations lost by the capture, microseconds that clocks disagree.
FAULTS = ((0, 0, 0), (0.05, 0, 0), (0.2, 0, 0), (0.05, 0, 300), (0, 0.02, 0), (0.05, 0.1, 300))
GAPS_MS = (0.02, 0.2, 2, 20, 200, 1000)


def mistakes(nets: int) -> list[str]:
    """What the follower gets wrong, or leaves in doubt, where half of all frames are repeated byte
    for byte: by fault, and by how close the repeats are."""
    lines = [
        "of 100 hops: wrong and said for certain / in doubt",
        f"{'lost, not captured, clocks':28}" + "".join(f"{gap:>10g} ms" for gap in GAPS_MS),
    ]
    for loss, drop, skew in FAULTS:
        line = f"{loss:4.0%} {drop:8.0%} {skew:10d} us    "
        for gap in GAPS_MS:
            total: Counter[str] = Counter()
            for seed in range(nets):
                net = nm.random_net(random.Random(seed), nat=bool(seed & 1))
                net.loss = loss
                gap_ns = round(gap * nm.MS)
                nm.random_traffic(net, 30, spread_ns=300 * nm.MS, repeat_gap_ns=gap_ns, repeats=0.5)
                net.run()
                case = net.case(drop=drop, skew_ns=skew * nm.US)
                found = follow(case.wiring, case.observations, lossy=drop > 0)
                total.update(nm.judge(case, found, complete=False, strict=False))
            false, doubt = (100 * total[key] / total["hops"] for key in ("false", "doubtful"))
            line += f"{false:6.2f} / {doubt:4.1f}"
        lines.append(line)
    return lines


ROUNDS = 100  # of a page fetched by name and three pings, about 33 packets each
ROUND = "{python} {fetch} http://www.itheima.com/; ping -q -c 3 -i 0.05 www.itheima.com"


def record(state: Path) -> Path | None:
    """A run of a few thousand packets, kept; None where no lab comes up."""
    words = {"python": sys.executable, "fetch": ROOT / "apps" / "fetch.py"}
    script = f"for n in $(seq {ROUNDS}); do {ROUND.format(**words)}; done"
    argv = [
        sys.executable, "-m", "hoplab.cli.main", "trace", "--topology", "web", "--save", "run",
        "--quiet", "--detail", "brief", "--down", "client", "--", "sh", "-c", script,
    ]  # fmt: skip
    env = {**os.environ, "XDG_STATE_HOME": str(state), "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(argv, env=env, cwd=state, capture_output=True, text=True, timeout=600)
    if not (state / "run" / runs.CAPTURE).exists():
        print(f"no lab, so nothing is told live: {ended.stderr[-500:]}", file=sys.stderr)
        return None
    return state / "run"


@dataclass
class Told:
    """Processor time of telling a kept run, best of some times.

    ms, with_decisions_ms: what a live story takes for a packet, without and with what switches
    decided about it. In it: following its frames, reading them, its way, its segment, relations to
    other packets, and the record that is handed out (`News`). Not in it: reading the capture, and
    the lines of text. Each look at the story is timed by itself, and the least of its times counts,
    since on a machine that does other work as well a whole round is never undisturbed.

    whole_s, json_s: telling the whole run at its end (files read, followed, told), and its JSON.
    """

    packets: int
    hops: int
    ms: float
    with_decisions_ms: float
    whole_s: float
    json_s: float


LOOK_NS = 100_000_000  # as often as `hoplab trace --live` looks
TELLINGS = 5


class AsItCame:
    """A kept run, told as it came: after each stretch of its time somebody looks."""

    def __init__(self, folder: Path) -> None:
        capture = read(folder / runs.CAPTURE)
        self.packets = 0
        self._wiring = Wiring.load(folder / runs.STATE)
        self._ports = self._wiring.port_map(capture.interfaces)
        self._spoken = [interface.name == OPENFLOW for interface in capture.interfaces]
        self._begun_ns = capture.observations[0].t_ns
        last = (capture.observations[-1].t_ns - self._begun_ns) // LOOK_NS
        self._stretches: list[list[Observation]] = [[] for _ in range(last + 1)]
        for observation in capture.observations:
            place = (observation.t_ns - self._begun_ns) // LOOK_NS
            self._stretches[place].append(observation)

    @gc_seldom()  # as `hoplab trace --live` does
    def tell(self, channel: bool) -> list[float]:
        """Seconds of processor time that each stretch and the look after it took, and the end."""
        live = Live(self._wiring, self._ports)
        live.channel = channel
        times = [time.process_time()]
        for place, observations in enumerate(self._stretches, 1):
            if channel:
                for observation in observations:
                    if self._spoken[observation.port]:
                        live.hear(observation)
            live.feed(*[seen for seen in observations if not self._spoken[seen.port]])
            live.poll(self._begun_ns + place * LOOK_NS)
            times.append(time.process_time())
        live.finish()
        times.append(time.process_time())
        self.packets = live.packets
        return [after - before for before, after in itertools.pairwise(times)]

    def least_ms(self, channel: bool) -> float:
        """Milliseconds for a packet."""
        rounds = [self.tell(channel) for _ in range(TELLINGS)]
        return sum(map(min, zip(*rounds, strict=True))) * 1e3 / self.packets


def tell_run(folder: Path) -> Told:
    """What a kept run costs, told as it came and told at its end."""
    came = AsItCame(folder)
    alone_ms, all_ms = came.least_ms(channel=False), came.least_ms(channel=True)
    story = runs.reopen(folder).story
    whole_s = best(lambda: runs.reopen(folder))
    json_s = best(lambda: json.dumps(as_json.to_dict(story)))
    hops = sum(trip.frames for trip in story.trips)
    return Told(came.packets, hops, alone_ms, all_ms, whole_s, json_s)


def write(case: Case) -> bytes:
    """The case as a pcapng file."""
    file = io.BytesIO()
    writer = Writer(file, [InterfaceInfo(i.name, "", i.mac) for i in case[0].interfaces])
    for observation in case[1]:
        writer.write(observation)
    return file.getvalue()


def ours(frames: list[bytes]) -> None:
    """Everything that the story asks of a frame."""
    for data in frames:
        packet = decode(data)
        dns.read(packet)
        http.read(packet)


def peers(frames: list[bytes], path: Path) -> dict[str, float]:
    """Frames per second of the other decoders that are installed."""
    rates = {}
    tshark = shutil.which("tshark")
    if tshark:
        command = [tshark, "-n", "-r", str(path), "-T", "fields"]
        for name in FIELDS:
            command += ["-e", name]

        def run(*extra: str) -> Callable[[], object]:
            return lambda: subprocess.run([*command, *extra], capture_output=True, check=True)

        rates["tshark -T fields"] = (len(frames) - 1) / (best(run(), 2) - best(run("-c", "1"), 2))
    else:
        left_out("tshark")
    for name, module, unpack in (
        ("dpkt", "dpkt.ethernet", "Ethernet"),
        ("scapy", "scapy.layers.all", "Ether"),
    ):
        try:
            make = getattr(importlib.import_module(module), unpack)
        except ImportError:
            left_out(name)
            continue
        some = frames if name == "dpkt" else frames[: len(frames) // 10]

        def decode_all(make: Callable[[bytes], object] = make, some: list[bytes] = some) -> None:
            for data in some:
                make(data)

        rates[name] = len(some) / best(decode_all, 1)
    return rates


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--frames", type=int, default=200_000, help="observations (200000)")
    parser.add_argument("--long", type=int, default=2_000_000, help="of the long stream (2000000)")
    mistakes_help = "measure mistakes in so many random networks, and nothing else"
    parser.add_argument("--mistakes", type=int, metavar="NETS", help=mistakes_help)
    run_help = "a run that hoplab kept, to be told live (default: one that is made now)"
    parser.add_argument("--run", type=Path, metavar="DIR", help=run_help)
    parser.add_argument("--json", action="store_true", help="print the rates as JSON")
    options = parser.parse_args()
    if options.mistakes:
        print("\n".join(mistakes(options.mistakes)))
        return
    rates: dict[str, float] = {}
    cases = {"mixed": mixed(options.frames), "bulk": bulk(options.frames)}
    for name, case in cases.items():
        count = len(case[1])
        rates[f"follow {name}"] = count / best(lambda case=case: follow(*case))  # type: ignore[misc]
        rates[f"stream {name}"] = count / best(lambda case=case: stream(case))  # type: ignore[misc]
        raw = write(case)
        rates[f"write pcapng {name}"] = count / best(lambda case=case: write(case))  # type: ignore[misc]
        rates[f"read pcapng {name}"] = count / best(lambda raw=raw: read(io.BytesIO(raw)))  # type: ignore[misc]
    streamed = long(mixed(100_000), options.long)
    rates["long stream"] = streamed.rate
    frames = [observation.data for observation in cases["mixed"][1]]
    rates["decode"] = len(frames) / best(lambda: ours(frames))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mixed.pcapng"
        path.write_bytes(write(cases["mixed"]))
        others = peers(frames, path)
        run = options.run or record(Path(folder))
        told = tell_run(run) if run is not None else None
    if options.json:
        memory = {"long stream, MB": streamed.memory}
        live = {"told": vars(told)} if told is not None else {}
        print(json.dumps({**rates, **others, **memory, **live}, indent=1))
        return
    for name, rate in rates.items():
        print(f"{name:24} {rate:12,.0f} /s")
    print(
        f"memory over {streamed.count:,} observations, 100,000 a second: "
        + " ".join(f"{one:.0f}" for one in streamed.memory)
        + " MB"
    )
    if told is not None:
        print(
            f"live: {told.ms:.3f} ms a packet, with what switches decided "
            f"{told.with_decisions_ms:.3f} ms ({told.packets:,} packets)"
        )
        print(
            f"whole: {told.whole_s:.2f} s for {told.hops:,} hops, with what switches decided; "
            f"as JSON {told.json_s:.2f} s"
        )
    for name, rate in others.items():
        ratio = rates["decode"] / rate
        print(f"decode beside {name:17} {rate:9,.0f} /s: ours is {ratio:.1f} times as fast")


if __name__ == "__main__":
    main()
