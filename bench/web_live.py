# SPDX-License-Identifier: Apache-2.0
"""The page of `hoplab web` on a busy lab: pictures a second, how late it is, and 300 who look.

    python3 bench/web_live.py [--frames N] [--seconds S] [--viewers N] [--json]

A lab of one switch is brought up in which a host sends datagrams to another: N frames a second on
its two cables (default 20,000). Measured are

- the page in headless Chromium: pictures a second while frames come, and how long after the last
  datagram its counts stand still (its lag; they do when they are the same for `STILL_S`); the same
  after the page hung for six seconds: how long until it has counted what came meanwhile;
- frames offered, and frames that the page counted;
- memory (Rss) of the server and of whoever follows the lab, before and after;
- with --viewers (default 300) connections to the address for looking, each of which takes every
  batch at once: batches a second of the slowest and of the median, and the server's share of a
  core.

The machine is the lab's, the server's, the browser's and the viewers' at once. Where it has
no time for one of them for longer than `STILL_S`, less is counted than will be; so it is told how
busy it was before.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import types
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
# Ours, though a package of somebody else's may be called `tests`.
sys.modules["tests"] = types.ModuleType("tests")
sys.modules["tests"].__path__ = [str(ROOT / "tests")]

from tests.web.browser import Browser, Page, chromium  # noqa: E402
from tests.web.socket_client import SocketClient  # noqa: E402

NAME = "bench-web-live"
STILL_S = 4.0
ALL_THERE_S = 90.0
TICK = os.sysconf("SC_CLK_TCK")
SENDER = """
import signal, socket, sys, time
signal.signal(signal.SIGINT, signal.SIG_DFL)
rate, seconds = float(sys.argv[1]), float(sys.argv[2])
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
began, sent = time.monotonic(), 0
while (passed := time.monotonic() - began) < seconds:
    while sent < rate * passed:
        sock.sendto(b"x" * 64, ("10.0.0.2", 9))
        sent += 1
    time.sleep(0.002)
print(sent)
"""
PICTURES = """
new Promise((done) => {
  const began = performance.now();
  let pictures = 0;
  const next = () => {
    pictures++;
    if (performance.now() - began < MS) requestAnimationFrame(next);
    else done((1000 * pictures) / (performance.now() - began));
  };
  requestAnimationFrame(next);
})
"""
COUNTED = "hoplab.live.rates.totals.reduce((sum, port) => sum + port[0], 0)"
HANG = "(() => { const end = performance.now() + 6000; while (performance.now() < end); })()"


def hoplab(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hoplab.cli.main", *words]
    return subprocess.run(command, check=True, text=True, capture_output=True, cwd=ROOT)


def sender(rate: float, seconds: float) -> subprocess.Popen[str]:
    """Datagrams from h1 to h2, each of which is two frames on cables."""
    words = ["exec", "--name", NAME, "h1", "--", "python3", "-c", SENDER, str(rate), str(seconds)]
    command = [sys.executable, "-m", "hoplab.cli.main", *words]
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, cwd=ROOT)


def rss_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def still_s(page: Page) -> float:
    """How long until the page's counts stand still."""
    began, before = time.monotonic(), -1
    last = began
    while (counted := page.run(COUNTED)) != before or time.monotonic() - last < STILL_S:
        if counted != before:
            before, last = counted, time.monotonic()
        time.sleep(0.02)
    return last - began


def busy(page: Page, options: argparse.Namespace) -> dict[str, float]:
    """A page that follows while frames come."""
    before = page.run(COUNTED)
    process = sender(options.frames / 2, options.seconds)
    time.sleep(1)
    pictures = page.run(PICTURES.replace("MS", str(1000 * max(1, options.seconds - 2))))
    sent = int(process.communicate()[0])
    late = still_s(page)
    return {
        "offered": 2 * sent, "counted": page.run(COUNTED) - before,
        "pictures_s": pictures, "late_s": late,
    }  # fmt: skip


def hung(page: Page, options: argparse.Namespace) -> float:
    """How late a page is that hung for six seconds while frames came."""
    process = sender(options.frames / 2, 8)
    time.sleep(1)
    page.run(HANG)
    process.communicate()
    return still_s(page)


def looked_at(port: int, token: str, viewers: int, pid: int, frames: float) -> dict[str, float]:
    """Many who only look."""
    batches = [0] * viewers
    over, failed = threading.Event(), [0]

    def look(place: int) -> None:
        try:
            with SocketClient(port, token) as client:
                client.until("hello")
                client.send(type="watch", lab=NAME)
                while not over.is_set():
                    client.until("batch")
                    client.messages.clear()
                    batches[place] += 1
        except (OSError, AssertionError):
            failed[0] += 1

    threads = [threading.Thread(target=look, args=(place,), daemon=True) for place in
               range(viewers)]  # fmt: skip
    for thread in threads:
        thread.start()
    process = sender(frames / 2, ALL_THERE_S + 10)
    deadline = time.monotonic() + ALL_THERE_S
    while time.monotonic() < deadline and batches.count(0) > failed[0]:
        time.sleep(0.5)
    begun, spent, counted = time.monotonic(), cpu_s(pid), [*batches]
    time.sleep(5)
    took = time.monotonic() - begun
    rates = sorted((now - then) / took for now, then in zip(batches, counted, strict=True))
    share = (cpu_s(pid) - spent) / took
    over.set()
    process.send_signal(signal.SIGINT)
    process.communicate()
    return {
        "viewers": viewers, "lost": failed[0], "without_a_batch": batches.count(0),
        "batches_s_slowest": rates[0], "batches_s_median": statistics.median(rates),
        "server_cores": share,
    }  # fmt: skip


def measured(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    web = subprocess.Popen(
        [sys.executable, "-m", "hoplab.cli.main", "web", NAME, "--json", "--no-browser"],
        text=True, stdout=subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    assert web.stdout is not None
    said = ""
    while not said.endswith("}\n"):
        said += web.stdout.readline()
    urls = json.loads(said)
    figures: dict[str, Any] = {"load_before": os.getloadavg()[0]}
    try:
        with Browser(folder) as browser:
            page = browser.open(urls["url"])
            page.until("Boolean(globalThis.hoplab?.live)", "the lab")
            hoplab("exec", "--name", NAME, "h1", "--", "ping", "-c", "1", "10.0.0.2")
            still_s(page)
            figures["idle_pictures_s"] = page.run(PICTURES.replace("MS", "2000"))
            (follower,) = children(web.pid)
            memory = {"server": rss_mib(web.pid), "follower": rss_mib(follower)}
            figures["page"] = busy(page, options)
            figures["late_after_hanging_s"] = hung(page, options)
            figures["mib"] = {
                "server": [memory["server"], rss_mib(web.pid)],
                "follower": [memory["follower"], rss_mib(follower)],
            }
        if options.viewers:
            token = re.search(r"#token=([\w-]+)", urls["view"])
            assert token is not None
            figures["looking"] = looked_at(
                urls["port"], token[1], options.viewers, web.pid, min(options.frames, 2000)
            )
    finally:
        web.send_signal(signal.SIGINT)
        web.wait(30)
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description="The page of `hoplab web` on a busy lab.")
    parser.add_argument("--frames", type=float, default=20_000, help="a second, on both cables")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--viewers", type=int, default=300)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if chromium() is None:
        print("chromium is not installed; left out: everything", file=sys.stderr)
        return 0
    hoplab("up", "switch", "--name", NAME)
    try:
        with tempfile.TemporaryDirectory() as folder:
            figures = measured(options, Path(folder))
    finally:
        hoplab("down", "--name", NAME)
    if options.json:
        print(json.dumps(figures, indent=1))
        return 0
    page = figures["page"]
    print(f"load average before: {figures['load_before']:.1f}, cores: {os.cpu_count()}")
    print(f"frames offered {page['offered']:,}, counted by the page {page['counted']:,}")
    print(f"pictures a second {page['pictures_s']:.0f} (idle {figures['idle_pictures_s']:.0f}), "
          f"late by {page['late_s']:.2f} s; after it hung for six seconds "
          f"{figures['late_after_hanging_s']:.2f} s")  # fmt: skip
    for name, (before, after) in figures["mib"].items():
        print(f"memory of the {name}: {before:.0f} MiB before, {after:.0f} MiB after")
    if "looking" in figures:
        looking = figures["looking"]
        print(f"{looking['viewers']} who look ({looking['lost']} lost, "
              f"{looking['without_a_batch']} without a batch): batches a second "
              f"{looking['batches_s_median']:.1f} (slowest {looking['batches_s_slowest']:.1f}), "
              f"server {looking['server_cores']:.2f} of a core")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
