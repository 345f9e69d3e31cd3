# SPDX-License-Identifier: Apache-2.0
"""Our web server beside its peers: nginx, Python's http.server, uvicorn with httptools.

    python3 bench/web.py [--seconds S] [--rounds N] [--connections N] [--json] [--profile]

wrk asks over keep-alive connections on loopback, one server after the other, in rounds, so that a
busy machine is busy for all of them. Nobody writes a log, but for ours in a line of its own. What
counts is answers for each CPU second of the server, and the ratio to http.server; p99 is wrk's.
Loads:

    small    a page of 1.5 KB, the same request again and again (ours remembers heads)
    varied   the same page, every request with another header: nothing to remember
    large    a file of 1 MiB

wrk is Debian's package. nginx is taken from the PATH or HOPLAB_NGINX, uvicorn and httptools from
this Python or the one that HOPLAB_BENCH_PYTHON names; who is absent is named. uvicorn serves the
page from memory by a bare ASGI function, the fastest it can do.

(The file is not called http.py: a script's folder comes first on Python's path, and the other
benchmarks need Python's own module of that name.)
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from peers import HOW, left_out

ROOT = Path(__file__).resolve().parent.parent
TICK = os.sysconf("SC_CLK_TCK")

HTTP_SERVER = """
import functools, http.server, sys
class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *args): pass
handler = functools.partial(Handler, directory=sys.argv[2])
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), handler).serve_forever()
"""
ASGI = """
import os
FOLDER = os.environ["FOLDER"]
BODIES = {"/" + n: open(os.path.join(FOLDER, n), "rb").read() for n in os.listdir(FOLDER)}
async def app(scope, receive, send):
    body = BODIES[scope["path"]]
    headers = [(b"content-type", b"text/html"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
"""
VARIED = """
local n = 0
request = function()
  n = n + 1
  return wrk.format("GET", nil, {["X-Number"] = tostring(n)})
end
"""
NGINX = """
daemon off; master_process off; worker_processes 1; pid {folder}/pid; error_log {folder}/log;
events {{ worker_connections 4096; }}
http {{ access_log off; sendfile on; keepalive_requests 1000000000; types {{ text/html html; }}
client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
server {{ listen 127.0.0.1:{port}; root {site}; }} }}
"""
LOADS = {"small": "/index.html", "varied": "/index.html", "large": "/large.bin"}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def commands(folder: Path, site: Path) -> dict[str, tuple[list[str], int] | str]:
    """Of each server how it is started, and its port; or why it is not there."""
    by_name: dict[str, tuple[list[str], int] | str] = {}
    ours = [sys.executable, str(ROOT / "apps" / "web_server.py"), "--listen", "127.0.0.1"]
    ours += ["--site", str(site), "--background"]  # where it is quiet unless told otherwise
    for name, more in (("hoplab", []), ("hoplab, with a log", ["--log", str(folder / "log")])):
        port = free_port()
        by_name[name] = ([*ours, "--port", str(port), *more], port)
    port = free_port()
    script = folder / "server.py"
    script.write_text(HTTP_SERVER)
    by_name["http.server"] = ([sys.executable, str(script), str(port), str(site)], port)
    python = os.environ.get("HOPLAB_BENCH_PYTHON") or sys.executable
    probe = subprocess.run([python, "-c", "import uvicorn, httptools"], capture_output=True)
    if probe.returncode:
        by_name["uvicorn"] = f"not installed: {HOW['uvicorn']}"
    else:
        port = free_port()
        (folder / "asgi.py").write_text(ASGI)
        uvloop = subprocess.run([python, "-c", "import uvloop"], capture_output=True)
        loop = "asyncio" if uvloop.returncode else "uvloop"
        command = [python, "-m", "uvicorn", "asgi:app", "--app-dir", str(folder), "--http"]
        command += ["httptools", "--loop", loop, "--no-access-log", "--log-level", "error"]
        by_name[f"uvicorn+httptools ({loop})"] = ([*command, "--port", str(port)], port)
    nginx = os.environ.get("HOPLAB_NGINX") or shutil.which("nginx")
    if nginx is None:
        by_name["nginx"] = f"not installed: {HOW['nginx']}"
    else:
        port = free_port()
        conf = folder / "nginx.conf"
        conf.write_text(NGINX.format(folder=folder, site=site, port=port))
        by_name["nginx"] = ([nginx, "-p", str(folder), "-c", str(conf)], port)
    return by_name


@contextmanager
def started(command: list[str], port: int, site: Path) -> Iterator[int]:
    """The server, on the last core if there are several; its pid."""
    cores = sorted(os.sched_getaffinity(0))

    def pin() -> None:
        os.sched_setaffinity(0, {cores[-1]})

    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, preexec_fn=pin, text=True,
        env={**os.environ, "FOLDER": str(site)},
    )  # fmt: skip
    pid = process.pid
    if "--background" in command:
        match = re.search(r"(\d+)\D*$", process.communicate(timeout=20)[0])
        assert match is not None, command
        pid = int(match[1])
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=5).close()
                break
            except ConnectionRefusedError:
                if (
                    pid == process.pid and process.poll() is not None
                ) or time.monotonic() > deadline:
                    raise SystemExit(f"{command[0]} did not start") from None
                time.sleep(0.05)
        yield pid
    finally:
        os.kill(pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def cpu_s(pid: int) -> float:
    """CPU seconds of a process, of all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def ask(
    port: int, pid: int, load: str, folder: Path, options: argparse.Namespace
) -> dict[str, float]:
    """One run of wrk."""
    command = ["wrk", "-t1", f"-c{options.connections}", f"-d{options.seconds}s", "--latency"]
    if load == "varied":
        (folder / "varied.lua").write_text(VARIED)
        command += ["-s", str(folder / "varied.lua")]
    cores = sorted(os.sched_getaffinity(0))
    before = cpu_s(pid)
    out = subprocess.run(
        [*command, f"http://127.0.0.1:{port}{LOADS[load]}"], capture_output=True, text=True,
        check=True, preexec_fn=lambda: os.sched_setaffinity(0, {cores[0]}),
    ).stdout  # fmt: skip
    spent = cpu_s(pid) - before
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)|Socket errors: (.*)", out)
    if bad:
        raise SystemExit(f"wrk: {bad[0]}")
    count = re.search(r"(\d+) requests in ([\d.]+)s", out)
    late = re.search(r"99%\s+([\d.]+)(us|ms|s)", out)
    assert count and late, out
    unit = {"us": 0.001, "ms": 1.0, "s": 1000.0}[late[2]]
    return {
        "per_s": int(count[1]) / float(count[2]),
        "per_cpu_s": int(count[1]) / max(spent, 1 / TICK),
        "p99_ms": float(late[1]) * unit,
    }


def profile(seconds: float) -> None:
    """Where our time goes, by cProfile around the loop, which itself slows Python's part."""
    import cProfile
    import pstats
    import threading

    sys.path.insert(0, str(ROOT / "apps"))
    import web_server
    from protocols import service

    server = web_server.Server(web_server.Site(str(ROOT / "apps" / "site")))
    listener = service.listen_tcp("127.0.0.1", 0)
    port = listener.getsockname()[1]
    profiler = cProfile.Profile()

    def serve() -> None:
        profiler.enable()
        server.serve(listener)
        profiler.disable()

    thread = threading.Thread(target=serve)
    thread.start()
    command = ["wrk", "-t1", "-c32", f"-d{seconds}s", f"http://127.0.0.1:{port}/index.html"]
    subprocess.run(command, capture_output=True, check=True)
    server.stop()
    thread.join()
    pstats.Stats(profiler).sort_stats("tottime").print_stats(14)


def main() -> int:
    parser = argparse.ArgumentParser(description="Web servers: answers for a CPU second, and p99.")
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--load", action="append", choices=LOADS)
    parser.add_argument("--profile", action="store_true", help="where our time goes, instead")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    options.seconds = max(1, round(options.seconds))
    if shutil.which("wrk") is None:
        left_out("wrk", "everything, as it makes the load")
        return 0
    if options.profile:
        profile(options.seconds)
        return 0
    results: dict[str, dict[str, dict[str, float]]] = {}
    absent = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        site = folder / "site"
        site.mkdir()
        shutil.copyfile(ROOT / "apps" / "site" / "index.html", site / "index.html")
        (site / "large.bin").write_bytes(os.urandom(1 << 20))
        servers = commands(folder, site)
        for load in options.load or LOADS:
            runs: dict[str, list[dict[str, float]]] = {}
            for _ in range(options.rounds):
                for server, how in servers.items():
                    if isinstance(how, str):
                        absent[server] = how
                        continue
                    with started(*how, site) as pid:
                        runs.setdefault(server, []).append(ask(how[1], pid, load, folder, options))
            results[load] = {
                server: {key: statistics.median(run[key] for run in figures) for key in figures[0]}
                for server, figures in runs.items()
            }
            base = results[load]["http.server"]["per_cpu_s"]
            for figures in results[load].values():
                figures["ratio"] = figures["per_cpu_s"] / base
    if options.json:
        print(json.dumps({"results": results, "absent": absent}, indent=1))
        return 0
    for load, servers_ in results.items():
        title = f"{load} {LOADS[load]}"
        print(f"{title:28} {'per CPU s':>10} {'per s':>9} {'p99 ms':>8} {'ratio':>7}")
        for server, figures in servers_.items():
            rates = f"{figures['per_cpu_s']:>10,.0f} {figures['per_s']:>9,.0f}"
            print(f"  {server:26} {rates} {figures['p99_ms']:>8.2f} {figures['ratio']:>7.2f}")
    for server, why in absent.items():
        print(f"  absent: {server}: {why}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
