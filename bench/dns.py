# SPDX-License-Identifier: Apache-2.0
"""How many DNS questions a server answers for a second of its CPU time: ours beside its peers.

    python3 bench/dns.py
    python3 bench/dns.py --seconds 2 --only ours --only dnsmasq
    python3 bench/dns.py --only ours --profile

The load is dnsperf's, over loopback, in a network namespace of its own. Two loads: `same`, a
thousand names that exist, over and over, as clients ask; and `new`, names that do not exist and
that nobody has asked before, so that every answer must be worked out. p99 is that of a thousand
questions a second of the first kind, which all of them can take.

The peers: NSD and BIND's named with the same zone, dnsmasq with the same names from a hosts file,
and the server that comes with the Python library dnslib, with its resolver that gives one fixed
answer (its quickest). Peers that are not installed are named and left out: apt install dnsperf nsd
bind9 dnsmasq-base, and `--python` an interpreter that has dnslib.

Ratios tell more than figures: machines differ, and what else they do.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from peers import left_out

from hoplab import programs

ROOT = Path(__file__).resolve().parents[1]
APP = ROOT / "apps" / "dns_server.py"
NAMES = ["ours", "ours, with a log", "dnsmasq", "dnsmasq, with a log", "nsd", "named", "dnslib"]
BASE = "dnsmasq"
PORT = 5300
SITES = 1000
START_S = 20
P99_RATE = 1000
DNSLIB = """
import sys
from dnslib.server import DNSServer, DNSLogger
from dnslib.fixedresolver import FixedResolver
from dnslib import RR
quiet = DNSLogger("-request,-reply,-truncated,-error,-recv,-send,-data", prefix=False)
resolver = FixedResolver(". 60 IN A 10.0.0.1")
DNSServer(resolver, port=int(sys.argv[1]), address="127.0.0.1", logger=quiet).start()
"""


@dataclass
class Result:
    """Of one load: answers for a second of the server's CPU, and for a second."""

    per_cpu_s: float
    per_s: float
    lost: int


def write_inputs(folder: Path) -> None:
    """The zone in each server's own form, and the questions."""
    zone = "$ORIGIN bench.lab.\n$TTL 60\n@ IN SOA ns me 1 2 3 4 60\n@ IN NS ns\nns IN A 10.0.0.1\n"
    hosts = ""
    for n in range(SITES):
        address = f"10.1.{n // 250}.{n % 250 + 1}"
        zone += f"www{n} IN A {address}\n"
        hosts += f"{address} www{n}.bench.lab\n"
    (folder / "bench.zone").write_text(zone)
    (folder / "hosts").write_text(hosts)
    (folder / "same").write_text("".join(f"www{n}.bench.lab A\n" for n in range(SITES)))
    (folder / "new").write_text("".join(f"no{n}.bench.lab A\n" for n in range(2_000_000)))
    (folder / "named.conf").write_text(
        f'options {{ directory "{folder}"; listen-on port {PORT} {{ 127.0.0.1; }};\n'
        "listen-on-v6 { none; }; recursion no; pid-file none; session-keyfile none;\n"
        "notify no; }; controls { };\n"
        f'zone "bench.lab" {{ type primary; file "{folder}/bench.zone"; }};\n'
    )
    (folder / "nsd.conf").write_text(
        f'server:\n ip-address: 127.0.0.1@{PORT}\n username: ""\n chroot: ""\n database: ""\n'
        f' zonesdir: "{folder}"\n pidfile: "{folder}/nsd.pid"\n xfrdfile: "{folder}/xfrd"\n'
        f' xfrdir: "{folder}"\n zonelistfile: "{folder}/zone.list"\n server-count: 1\n'
        " rrl-ratelimit: 0\nremote-control:\n control-enable: no\n"
        f'zone:\n name: "bench.lab"\n zonefile: "{folder}/bench.zone"\n'
    )


def command(name: str, folder: Path, options: argparse.Namespace) -> list[str] | None:
    """The command line of a server in the foreground; None if it is not installed."""
    listen = ["--listen", "127.0.0.1", "--port", str(PORT)]
    if name.startswith("ours"):
        words = [sys.executable, str(APP), "--zone", str(folder / "bench.zone"), *listen]
        words.append("--background")  # where it is quiet unless told otherwise
        return [*words, "--log", str(folder / "log")] if "log" in name else words
    if name == "dnslib":
        result = subprocess.run([options.python, "-c", "import dnslib"], capture_output=True)
        return None if result.returncode else [options.python, "-c", DNSLIB, str(PORT)]
    binary = programs.find(name.partition(",")[0])
    if binary is None:
        return None
    log = ["--log-queries", f"--log-facility={folder}/log"] if "log" in name else []
    return {
        "dnsmasq": [binary, "--no-daemon", "--conf-file=/dev/null", f"--port={PORT}",
                    "--listen-address=127.0.0.1", "--bind-interfaces", "--no-resolv", "--no-hosts",
                    f"--addn-hosts={folder}/hosts", "--local=/bench.lab/", "--local-ttl=60",
                    *(log or ["--log-facility=-"]), "--cache-size=2000", "--pid-file"],
        "nsd": [binary, "-d", "-c", str(folder / "nsd.conf")],
        "named": [binary, "-g", "-n", "1", "-c", str(folder / "named.conf")],
    }[name.partition(",")[0]]  # fmt: skip


@contextmanager
def running(words: list[str]) -> Iterator[int]:
    """A server from when it answers until the block ends; gives the id of its process."""
    null = subprocess.DEVNULL
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=null, text=True)
    pid = process.pid
    if "--background" in words:
        out, _ = process.communicate(timeout=START_S)
        pid = int(re.findall(r"(\d+)\D*$", out)[0])
    try:
        end = time.monotonic() + START_S
        query = bytes.fromhex("123401000001000000000000") + b"\4www0\5bench\3lab\0\0\1\0\1"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(0.2)
            sock.connect(("127.0.0.1", PORT))
            while True:
                try:
                    sock.send(query)
                    sock.recv(512)
                    break
                except OSError:
                    if time.monotonic() > end:
                        raise SystemExit(f"does not start: {' '.join(words)}") from None
                    time.sleep(0.05)
        yield pid
    finally:
        if pid == process.pid:
            process.terminate()
            process.communicate()
        else:
            os.kill(pid, 15)
            while Path(f"/proc/{pid}").exists():  # not our child: it cannot be waited for
                time.sleep(0.02)


def family(pid: int) -> list[int]:
    """A process and all below it."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    pids = [pid]
    for each in pids:
        pids += [child for child, parent in parents.items() if parent == each]
    return pids


def cpu_s(pid: int) -> float:
    """CPU time of a process and its children so far (proc(5), stat, fields 14 and 15)."""
    ticks = 0
    for each in family(pid):
        words = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        ticks += int(words[11]) + int(words[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def dnsperf(questions: Path, seconds: float, *more: str) -> str:
    words = ["dnsperf", "-s", "127.0.0.1", "-p", str(PORT), "-d", str(questions), "-c", "4"]
    words += ["-l", str(seconds), "-t", "2", *more]
    result = subprocess.run(words, capture_output=True, text=True, check=False)
    if result.returncode:
        raise SystemExit(f"{' '.join(words)}\n{result.stderr}")
    return result.stdout


def load(pid: int, questions: Path, seconds: float) -> Result:
    """All that it can take: a hundred questions are always under way."""
    dnsperf(questions, 0.5)  # warm
    before = cpu_s(pid)
    text = dnsperf(questions, seconds)
    used = cpu_s(pid) - before
    numbers = {
        key: float(re.findall(rf"{key}:\s+([\d.]+)", text)[0])
        for key in ("Queries completed", "Queries per second", "Queries lost")
    }
    return Result(
        numbers["Queries completed"] / max(used, 0.01),
        numbers["Queries per second"],
        int(numbers["Queries lost"]),
    )


def p99_us(questions: Path, seconds: float) -> float:
    """The 99th percentile of the times from question to answer, in microseconds."""
    text = dnsperf(questions, seconds, "-v", "-Q", str(P99_RATE))
    times = sorted(float(word) for word in re.findall(r"^> .* ([\d.]+)$", text, re.MULTILINE))
    if not times:
        raise SystemExit("dnsperf -v shows no times")
    return times[int(len(times) * 0.99)] * 1e6


def profile(folder: Path, seconds: float) -> None:
    """Where the time goes: cProfile around the loop, for both loads."""
    script = f"""
import cProfile, pstats, signal, sys, threading
sys.path.insert(0, {str(APP.parent)!r})
import dns_server
from protocols import dns_service, service
source = dns_server.Authority(dns_server.Files([{str(folder / "bench.zone")!r}]).load())
udp, tcp = service.listen_udp_and_tcp("127.0.0.1", {PORT})
class End(Exception): pass
def end(*_): raise End
signal.signal(signal.SIGTERM, end)
profiler = cProfile.Profile()
try:
    profiler.runcall(dns_service.serve, udp, tcp, source, lambda text: None)
except End:
    pass
pstats.Stats(profiler).sort_stats("tottime").print_stats(14)
"""
    for name in ("same", "new"):
        process = subprocess.Popen(
            [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True
        )
        time.sleep(1)
        dnsperf(folder / name, seconds)
        process.terminate()
        print(f"== {name}\n{process.communicate()[0]}")


def main() -> int:
    parser = argparse.ArgumentParser(description="DNS questions answered for a CPU second.")
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--only", action="append", choices=NAMES)
    parser.add_argument("--python", default=sys.executable, help="an interpreter with dnslib")
    parser.add_argument("--profile", action="store_true", help="of ours: where the time goes")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if programs.find("dnsperf") is None:
        left_out("dnsperf", "everything, as it makes the load")
        return 0
    if not options.inside:
        flags = "-n" if os.geteuid() == 0 else "-Urn"
        script = 'ip link set lo up && exec "$@"'
        again = [sys.executable, __file__, *sys.argv[1:], "--inside"]
        return subprocess.run(["unshare", flags, "sh", "-c", script, "sh", *again]).returncode
    results: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(prefix="hoplab-bench-") as text:
        folder = Path(text)
        write_inputs(folder)
        if options.profile:
            profile(folder, options.seconds)
            return 0
        for name in options.only or NAMES:
            words = command(name, folder, options)
            if words is None:
                left_out(name.partition(",")[0], name)
                continue
            with running(words) as pid:
                same = load(pid, folder / "same", options.seconds)
                new = load(pid, folder / "new", options.seconds)
                results[name] = {
                    "same_per_cpu_s": same.per_cpu_s, "same_per_s": same.per_s,
                    "new_per_cpu_s": new.per_cpu_s, "new_per_s": new.per_s,
                    "lost": same.lost + new.lost,
                    "p99_us": p99_us(folder / "same", min(options.seconds, 3)),
                }  # fmt: skip
    base = results.get(BASE)
    for result in results.values():
        for kind in ("same", "new"):
            key = f"{kind}_per_cpu_s"
            result[f"{kind}_ratio"] = result[key] / base[key] if base else float("nan")
    if options.json:
        print(json.dumps(results, indent=1))
        return 0
    print(f"{'':20} {'same names':>31} {'new names':>31}")
    head = f"{'per CPU s':>11} {'per s':>9} {'ratio':>9}"
    print(f"{'server':20} {head} {head} {'p99 us':>8} {'lost':>5}")
    for name, result in results.items():
        row = " ".join(
            f"{result[k + '_per_cpu_s']:11,.0f} {result[k + '_per_s']:9,.0f} "
            f"{result[k + '_ratio']:9.2f}"
            for k in ("same", "new")
        )
        print(f"{name:20} {row} {result['p99_us']:8,.0f} {result['lost']:5.0f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
