# SPDX-License-Identifier: Apache-2.0
"""What all of apps/ has in common: it stands alone, explains itself, starts and ends cleanly.

Here too: the helpers of the other test_apps_*.py files. `running` starts a server as a child and
ends that child alone; ports come from the kernel, so that tests can run side by side.
"""

from __future__ import annotations

import ast
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

APPS = Path(__file__).resolve().parents[2] / "apps"
ZONES = APPS / "zones"
SERVERS = {
    "dns_server.py": ["--zone", str(ZONES / "itheima.com.zone")],
    "dns_resolver.py": ["--hints", str(ZONES / "root.hints")],
    "web_server.py": [],
}
SCRIPTS = [*SERVERS, "fetch.py", "lab_ca.py", "transfer.py"]


def eventually(condition: Callable[[], object], within_s: float = 10.0) -> None:
    """Wait until CONDITION holds; fail at the deadline."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s} s"
        time.sleep(0.005)


@dataclass
class Running:
    """A server that a test started."""

    address: str
    port: int
    process: subprocess.Popen[str]
    log: Path

    @property
    def lines(self) -> list[str]:
        return self.log.read_text(encoding="utf-8").splitlines() if self.log.exists() else []


@contextmanager
def running(
    script: str, log: Path, *args: str, address: str = "127.0.0.1", port: int = 0
) -> Iterator[Running]:
    """SCRIPT (a name in apps/, or a path) in the foreground, listening, until the block ends."""
    command = [sys.executable, str(APPS / script), "--listen", address, "--port", str(port)]
    process = subprocess.Popen(
        [*command, "--log", str(log), *args], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        ready = process.stdout.readline()
        match = re.search(r"listening on (\S+) port (\d+)", ready)
        assert match is not None, f"{script} did not start: {ready!r}"
        yield Running(match[1], int(match[2]), process, log)
        assert process.poll() is None, f"{script} has died"
    finally:
        end(process)
        if process.stdout is not None:
            process.stdout.close()


def end(process: subprocess.Popen[Any]) -> None:
    """Ask it to end, and make it where it does not."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def run_app(script: str, *args: str, timeout: float = 30) -> subprocess.CompletedProcess[str]:
    """Run a script of apps/ to its end."""
    command = [sys.executable, str(APPS / script), *args]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=timeout, check=False,
        env={**os.environ, "HOPLAB_LANG": "en"},
    )  # fmt: skip


def gone(pid: int) -> bool:
    """Has the process ended (even if nobody has waited for it yet)?"""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state in "ZX"


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_has_examples_and_exit_codes(script: str) -> None:
    result = run_app(script, "--help")
    assert result.returncode == 0
    assert f"python3 apps/{script}" in result.stdout
    assert "exit codes:" in result.stdout


@pytest.mark.parametrize("path", sorted(APPS.rglob("*.py")), ids=lambda path: path.name)
def test_file_needs_the_standard_library_and_its_parts_alone(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# SPDX-License-Identifier: Apache-2.0\n")
    tree = ast.parse(text)
    parts = {"protocols", *(program.stem for program in APPS.glob("*.py"))}
    assert "The cast" in (ast.get_docstring(tree) or "")
    assert path.stem not in sys.stdlib_module_names and path.stem != "dns"
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        for name in names:
            top = name.partition(".")[0]
            assert top in sys.stdlib_module_names or top in parts, name


@pytest.mark.parametrize("script", SCRIPTS)
def test_needs_the_standard_library_alone(script: str) -> None:
    command = [sys.executable, "-S", str(APPS / script), "--help"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("script", SERVERS)
def test_background_returns_when_the_port_is_open_and_sigterm_ends_it(
    script: str, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    # A relative name: the server leaves this folder.
    command = [sys.executable, str(APPS / script), *SERVERS[script], "--background"]
    command += ["--listen", "127.0.0.1", "--port", "0", "--log", "log"]
    # capture_output reads until the end of file: the server must have let go of the pipes.
    try:
        result = subprocess.run(
            command, capture_output=True, text=True, timeout=30, check=False, cwd=tmp_path
        )
    except subprocess.TimeoutExpired as late:
        for pid in re.findall(rb"pid (\d+)", late.stdout or b""):
            os.kill(int(pid), signal.SIGKILL)
        raise
    match = re.search(r"port (\d+) \(pid (\d+)\)", result.stdout)
    assert match is not None, result
    port, pid = int(match[1]), int(match[2])
    try:
        assert result.returncode == 0 and result.stderr == ""
        # No waiting, no second attempt: this is the promise.
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        assert os.getsid(pid) == pid
        assert os.readlink(f"/proc/{pid}/cwd") == "/"
        assert os.readlink(f"/proc/{pid}/fd/0") == "/dev/null"
    finally:
        os.kill(pid, signal.SIGTERM)
    eventually(lambda: gone(pid))
    assert "Traceback" not in log.read_text(encoding="utf-8")
    # A thread of the dying process may hold the socket for a moment longer than its leader lives.
    eventually(lambda: refused(port))


def refused(port: int) -> bool:
    """Does nobody listen on this port of 127.0.0.1?"""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.parametrize("background", [[], ["--background"]], ids=["foreground", "background"])
@pytest.mark.parametrize("script", SERVERS)
def test_taken_port_is_a_sentence_and_exit_code_1(script: str, background: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        options = ["--listen", "127.0.0.1", "--port", port, *background]
        result = run_app(script, *SERVERS[script], *options)
    assert result.returncode == 1
    assert "cannot listen on 127.0.0.1" in result.stderr and "already in use" in result.stderr
    assert f"sport = :{port}" in result.stderr
    assert result.stdout == ""


def test_taken_udp_port_alone_is_an_error_too() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        options = ["--listen", "127.0.0.1", "--port", str(taken.getsockname()[1])]
        result = run_app("dns_server.py", *SERVERS["dns_server.py"], *options)
    assert result.returncode == 1 and "already in use" in result.stderr


@pytest.mark.parametrize("script", SERVERS)
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_ends_quietly_in_the_foreground(script: str, signum: int, tmp_path: Path) -> None:
    command = [sys.executable, str(APPS / script), *SERVERS[script]]
    command += ["--listen", "127.0.0.1", "--port", "0"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        try:
            assert "listening" in process.stdout.readline()
            process.send_signal(signum)
            out, err = process.communicate(timeout=10)
        finally:
            process.kill()  # does nothing to a process that has ended
    assert (process.returncode, out, err) == (0, "", "")


@pytest.mark.parametrize(
    ("script", "options", "sentence"),
    [
        ("dns_server.py", ["--zone", "/nonexistent/x.zone"], "No such file"),
        ("dns_resolver.py", [], "--root NAME=ADDRESS"),
        ("dns_resolver.py", ["--root", "a"], "NAME=ADDRESS"),
        ("dns_resolver.py", ["--hints", "/nonexistent/hints"], "No such file"),
        ("web_server.py", ["--site", "/nonexistent"], "there is no folder"),
        ("web_server.py", ["--port", "65536"], "0 to 65535"),
        ("web_server.py", ["--idle", "soon"], "'soon' is no time: give seconds"),
        ("web_server.py", ["--max-body", "-1"], "'-1' is no number from 0"),
        ("dns_resolver.py", ["--timeout", "0"], "'0' is no time: give seconds"),
        ("web_server.py", ["--port", "0", "--log", "/nonexistent/log"], "cannot write the log"),
    ],
)
def test_bad_options_are_a_sentence_and_exit_code_2(
    script: str, options: list[str], sentence: str
) -> None:
    result = run_app(script, "--listen", "127.0.0.1", *options)
    assert result.returncode == 2
    assert sentence in result.stderr and "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("address", "sentence"), [("no-address", "not a name"), ("192.0.2.1", "no such address")]
)
def test_address_that_is_none_of_ours(address: str, sentence: str) -> None:
    result = run_app("web_server.py", "--listen", address, "--port", "0")
    assert result.returncode == 1 and sentence in result.stderr


def test_server_that_dies_says_so_and_leaves(tmp_path: Path) -> None:
    script = tmp_path / "broken.py"
    script.write_text(
        "import argparse\nfrom protocols import service\n"
        "parser = argparse.ArgumentParser()\n"
        "service.add_options(parser, 0)\n"
        "args = parser.parse_args()\n"
        "listener = service.listen_tcp('127.0.0.1', 0)\n"
        "service.run('broken', lambda log: 1 / 0, listener, args)\n",
        encoding="ascii",
    )
    command = [sys.executable, str(script)]
    environment = {**os.environ, "PYTHONPATH": str(APPS)}
    result = subprocess.run(
        command, capture_output=True, text=True, timeout=30, check=False, env=environment
    )
    assert result.returncode == 3 and "ZeroDivisionError" in result.stderr


def test_log_lines_cannot_be_forged() -> None:
    sys.path.insert(0, str(APPS))
    from protocols import service

    read, write = os.pipe()
    service.Log(write)("GET /\n00:00:00 forged \x1b[31m 中文")
    os.close(write)
    with os.fdopen(read, encoding="utf-8") as pipe:
        lines = pipe.readlines()
    assert len(lines) == 1
    assert lines[0].endswith("GET /\\x0a00:00:00 forged \\x1b[31m 中文\n")


def test_what_is_sent_is_received_and_both_say_so() -> None:
    command = [sys.executable, str(APPS / "transfer.py"), "--port", "0", "receive"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as receiver:
        assert receiver.stdout is not None
        port = receiver.stdout.readline().split()[-1]
        sent = run_app("transfer.py", "--port", port, "send", "127.0.0.1", "--bytes", "150k")
        assert sent.returncode == 0
        receipt = receiver.stdout.readline()
        assert re.fullmatch(r"received 150000 bytes in \S+ s\n", receipt)
        assert sent.stdout == f"sent 150000 bytes; 127.0.0.1 {receipt}"
    refused = run_app("transfer.py", "--port", port, "send", "127.0.0.1")
    assert refused.returncode == 1
    assert refused.stderr.startswith("transfer: ")
    assert run_app("transfer.py", "send", "127.0.0.1", "--bytes", "1.5").returncode == 2
