# SPDX-License-Identifier: Apache-2.0
"""The launcher of Ryu as a process: it starts, listens where told, and fails loudly."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hoplab.control import endings, ryu_main
from hoplab.control.ryu_main import LooseVersion, last_line

ROOT = Path(__file__).resolve().parents[2]
BY_MODULE = ("-m", "hoplab.control.ryu_main")
BY_PATH = (str(ROOT / "hoplab" / "control" / "ryu_main.py"),)
DEADLINE_S = 60  # generous: the machine may be busy; passing takes a third of a second


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def command(how: tuple[str, ...], port: int, controller: str | Path) -> list[str]:
    return [sys.executable, *how, "--ofp-listen-host", "127.0.0.1",
            "--ofp-tcp-listen-port", str(port), str(controller)]  # fmt: skip


@contextmanager
def started(words: list[str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def wait_for_listener(process: subprocess.Popen[str], port: int) -> socket.socket:
    end_s = time.monotonic() + DEADLINE_S
    while time.monotonic() < end_s:
        assert process.poll() is None, process.communicate()[0]
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)
        except ConnectionRefusedError:
            time.sleep(0.01)
    raise AssertionError("no listener in time")


@pytest.mark.parametrize("how", [BY_MODULE, BY_PATH], ids=["module", "path"])
@pytest.mark.parametrize("name", ["hub", "learning_switch"])
def test_it_listens_and_greets_in_openflow(how: tuple[str, ...], name: str) -> None:
    port = free_port()
    with started(command(how, port, ROOT / "controllers" / f"{name}.py")) as process:
        with wait_for_listener(process, port) as connection:
            assert connection.recv(2) == b"\x04\x00"  # version 1.3, type HELLO
        process.terminate()
        assert process.stdout is not None
        output = process.stdout.read()
        assert "deprecated" not in output.lower()


def test_it_listens_on_loopback_alone() -> None:
    port = free_port()
    with (
        started(command(BY_MODULE, port, ROOT / "controllers" / "hub.py")) as process,
        wait_for_listener(process, port),
    ):
        listening = [
            line.split()[1]
            for name in ("tcp", "tcp6")
            for line in Path(f"/proc/{process.pid}/net/{name}").read_text().splitlines()[1:]
            if line.split()[3] == "0A" and line.split()[1].endswith(f":{port:04X}")
        ]
        assert listening == [f"0100007F:{port:04X}"]


BAD = {
    "raises at import": ("x = 1\n1 / 0\n", 2, "ZeroDivisionError: division by zero"),
    "imports what is not there": ("import nobody_has_this\n", 1, "ModuleNotFoundError: No module"),
    "does not parse": ("x = 1\ny = (\n", 2, "SyntaxError: "),
    "raises in a library": ("import json\n\njson.loads('{')\n", 3, "json.decoder.JSONDecodeErr"),
    "raises when made": (
        "from ryu.base import app_manager\n"
        "class App(app_manager.RyuApp):\n"
        "    def __init__(self, *args, **kwargs):\n"
        "        super().__init__(*args, **kwargs)\n"
        "        self.missing\n",
        5,
        "AttributeError: 'App' object",
    ),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_controller_ends_it_with_file_and_line(fault: str, tmp_path: Path) -> None:
    source, line, error = BAD[fault]
    path = tmp_path / "my controller.py"
    path.write_text(source)
    result = subprocess.run(
        command(BY_MODULE, free_port(), path), cwd=ROOT, capture_output=True, text=True,
        timeout=DEADLINE_S,
    )  # fmt: skip
    assert result.returncode == 1
    assert "Traceback (most recent call last):" in result.stderr
    assert result.stderr.splitlines()[-1].startswith(f"{path}:{line}: {error}")


def test_an_app_may_register_options_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "counting.py"
    path.write_text(
        "from ryu import cfg\n"
        "from ryu.base import app_manager\n"
        "cfg.CONF.register_cli_opts([cfg.IntOpt('fanout', default=7), cfg.StrOpt('weight')])\n"
        "class App(app_manager.RyuApp):\n"
        "    def __init__(self, *args, **kwargs):\n"
        "        super().__init__(*args, **kwargs)\n"
        "        conf = self.CONF\n"
        "        raise SystemExit(f'{conf.fanout} {conf.weight} {conf.ofp_tcp_listen_port}')\n"
    )
    port = free_port()
    result = subprocess.run(
        command(BY_MODULE, port, path), cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE_S
    )
    assert result.stderr.splitlines()[-1] == f"7 None {port}"


def test_a_file_without_an_app_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "nothing.py"
    path.write_text("x = 1\n")
    result = subprocess.run(
        command(BY_MODULE, free_port(), path), cwd=ROOT, capture_output=True, text=True,
        timeout=DEADLINE_S,
    )  # fmt: skip
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith(f"{path}: no class in it is a ryu")


def test_a_taken_port_ends_it() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = subprocess.run(
            command(BY_MODULE, port, ROOT / "controllers" / "hub.py"),
            cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE_S,
        )  # fmt: skip
    assert result.returncode == ryu_main.NO_LISTENER
    assert "Address already in use" in result.stderr
    assert result.stderr.splitlines()[-1] == endings.reason(result.returncode, {})


def test_a_controllers_siblings_can_be_imported(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("VALUE = 1\n")
    path = tmp_path / "uses_helper.py"
    path.write_text(
        "import helper\nfrom ryu.base import app_manager\n"
        "class App(app_manager.RyuApp):\n    pass\n"
    )
    port = free_port()
    with started([*command(BY_MODULE, port, path), "ryu.controller.ofp_handler"]) as process:
        wait_for_listener(process, port).close()


def test_versions_compare_as_distutils_did() -> None:
    assert LooseVersion("2.0") < LooseVersion("3.0") <= LooseVersion("3.0")
    assert LooseVersion("10.1") > LooseVersion("9.9")
    assert LooseVersion("2.0") == LooseVersion("2.0") == "2.0"
    assert LooseVersion("1.2a") >= LooseVersion("1.2") and str(LooseVersion("1.2a")) == "1.2a"
    assert len({LooseVersion("1.0"), LooseVersion("1.0")}) == 1
    assert LooseVersion("1.a") != LooseVersion("1.1") and repr(LooseVersion("1"))


def test_last_line_without_a_place_of_its_own() -> None:
    assert last_line(ValueError("no"), ["a.py"]) == "a.py: ValueError: no"
    assert last_line(ValueError("no"), []) == "ValueError: no"
    assert last_line(ValueError("no"), [os.devnull]) == f"{os.devnull}: ValueError: no"


def test_the_environments_ryu_manager_is_ours(tmp_path: Path) -> None:
    """Ryu's own script does not start on today's eventlet; scripts/install.sh puts ours there."""
    script = Path(sys.executable).parent / "ryu-manager"
    if not script.exists():
        pytest.skip(f"{script} is missing: this environment was not made by scripts/install.sh")
    linked = tmp_path / "ryu-manager"
    linked.symlink_to(script)  # as provisioning puts it into /usr/local/bin
    for path in (script, linked):
        result = subprocess.run([path, "--version"], capture_output=True, text=True, cwd=ROOT)
        assert (result.returncode, result.stdout.strip()) == (0, "ryu-manager 4.34"), result.stderr


def test_a_copied_controller_runs_with_its_kit_beside_it(tmp_path: Path) -> None:
    """As docs/controllers.md says: these two files are all that ryu-manager needs."""
    for name in ("kit.py", "two_table_switch.py"):
        (tmp_path / name).write_bytes((ROOT / "controllers" / name).read_bytes())
    port = free_port()
    words = command(BY_PATH, port, tmp_path / "two_table_switch.py")
    with started(words) as process:
        wait_for_listener(process, port).close()


def test_an_app_that_never_hears_of_openflow_ends_it_at_once(tmp_path: Path) -> None:
    """Its thread would run on, and nobody would ever listen for switches."""
    path = tmp_path / "station.py"
    path.write_text(
        "from ryu.base import app_manager\n"
        "from ryu.lib import hub\n"
        "class Station(app_manager.RyuApp):\n"
        "    def start(self):\n"
        "        super().start()\n"
        "        return hub.spawn(hub.sleep, 600)\n"
    )
    result = subprocess.run(
        command(BY_MODULE, free_port(), path), cwd=ROOT, capture_output=True, text=True,
        timeout=DEADLINE_S,
    )  # fmt: skip
    assert result.returncode == ryu_main.NO_EVENTS


def test_ryu_can_be_imported_beside_mininet() -> None:
    """Mininet's class of distutils stands in the place of the whole: Ryu finds its own there."""
    source = "import hoplab.network\nfrom hoplab.control import ryu_main\n"
    source += "ryu_main.prepare(alone=False)\nimport ryu.base.app_manager\n"
    source += "from distutils.version import LooseVersion, StrictVersion"
    command = [sys.executable, "-W", "ignore", "-c", source]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (result.returncode, result.stderr) == (0, "")
