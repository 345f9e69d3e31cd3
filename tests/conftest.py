# SPDX-License-Identifier: Apache-2.0
"""What all tests share: the command under test, run as a user would, in a world of its own."""

from __future__ import annotations

import functools
import inspect
import json
import logging
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from hoplab import programs
from hoplab.wait import patience

PROJECT = Path(__file__).resolve().parent.parent
UNIT = PROJECT / "tests" / "unit"
NOBODY = 65534

# Whoever starts the tests in the background, or by nohup(1), has them begin with these ignored, and
# so would every command of theirs that is sent one.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_configure(config: pytest.Config) -> None:
    """What the program reads of the catalogues is as new as they are."""
    if hasattr(config, "workerinput"):
        return  # whoever started this worker has seen to it
    for source in PROJECT.glob("*/**/locale/*/LC_MESSAGES/*.po"):
        compiled = source.with_suffix(".mo")
        if not compiled.exists() or compiled.stat().st_mtime < source.stat().st_mtime:
            command = [sys.executable, "scripts/messages.py", "compile"]
            subprocess.run(command, cwd=PROJECT, check=True)


@pytest.hookimpl(trylast=True)  # after those that nobody asked for were taken out
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Among several workers, each begins with its share of the network tests.

    Each worker gets as many tests in a row as the next one and, when these are done, takes some
    from the end of another's. In the order of their names nearly all tests that run a network
    would be in the first worker's row and, being taken over last, would run when most have ended.
    """
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    if workers > 1:
        items[:] = shared_out(items, workers)


def shared_out(items: Sequence[pytest.Item], workers: int) -> list[pytest.Item]:
    """`items` as rows of equal length, one behind the other, for `workers` workers: network tests
    first and those of a file together (they share a lab), then the short tests, to fill the row.
    """
    files: dict[Path, list[pytest.Item]] = {}
    short: list[pytest.Item] = []
    for item in items:
        if item.path.is_relative_to(UNIT):
            short.append(item)
        else:
            files.setdefault(item.path, []).append(item)
    rows: list[list[pytest.Item]] = [[] for _ in range(workers)]
    for file in sorted(files.values(), key=len, reverse=True):  # stable: as they were collected
        min(rows, key=len).extend(file)
    length = max(-(-len(items) // workers), *(len(row) for row in rows))
    shared = []
    for row in rows:
        filling = length - len(row)
        shared += row + short[:filling]
        del short[:filling]
    return shared + short


# Everybody's run tries the same examples, so that a red test is the change's doing and no luck of
# the draw; `make test-long` looks for new ones. A busy machine is no fault of the code.
settings.register_profile(
    "same",
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("new", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("same")


def _patient(waits: Callable[..., Any]) -> Callable[..., Any]:
    """`waits` of a process, waiting HOPLAB_PATIENCE times as long as the test says."""

    @functools.wraps(waits)
    def wait(*arguments: Any, **named: Any) -> Any:
        call = inspect.signature(waits).bind(*arguments, **named)
        if call.arguments.get("timeout") is not None:
            call.arguments["timeout"] *= patience()
        return waits(*call.args, **call.kwargs)

    return wait


# The tests' own deadlines are meant for a processor that is not emulated. Every run() ends here.
if patience() > 1:
    for _name in ("communicate", "wait"):
        setattr(subprocess.Popen, _name, _patient(getattr(subprocess.Popen, _name)))


@dataclass
class Done:
    """A finished command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def without_steps(err: str) -> str:
    """What a command said on stderr but for the steps that took long, which a busy machine adds."""
    return "".join(line for line in err.splitlines(True) if not line.startswith("… "))


@dataclass
class World:
    """A place to run `hoplab`: its own state folder, as root or as an ordinary user.

    `home` is the folder to put files into; it is the working directory of every command.
    """

    home: Path
    as_user: bool = False
    project: Path = PROJECT
    env: dict[str, str] = field(default_factory=dict)

    @property
    def state(self) -> Path:
        return self.home / "state"

    def environment(self) -> dict[str, str]:
        env = {
            k: v
            for k, v in os.environ.items()
            if not k.startswith(("HOPLAB_", "XDG_")) or k == "HOPLAB_PATIENCE"
        }
        env.update(
            HOME=str(self.home),
            XDG_STATE_HOME=str(self.state),
            PYTHONPATH=str(self.project),
            COLUMNS="100",
            LC_ALL="C.UTF-8",
        )
        return {**env, **self.env}

    def argv(self, arguments: Sequence[str]) -> list[str]:
        """The command line of `hoplab ARGUMENTS` in this world."""
        python = Path(sys.executable)
        platform = os.environ.get("HOPLAB_TEST_PLATFORM")  # the same suite on Ryu's fork
        if platform and arguments[0] in ("up", "visit", "trace") and "--platform" not in arguments:
            arguments = [arguments[0], "--platform", platform, *arguments[1:]]
        if self.as_user and python.is_relative_to(PROJECT):
            python = self.project / python.relative_to(PROJECT)
        return [*self.wrap(), str(python), "-m", "hoplab.cli.main", *arguments]

    def with_command(self) -> dict[str, str]:
        """An environment in which `hoplab`, typed in a shell, is this world's."""
        tools = self.home / "bin"
        tools.mkdir(exist_ok=True)
        command = shlex.join(self.argv(["ls"])[:-1])
        (tools / "hoplab").write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        (tools / "hoplab").chmod(0o755)
        env = self.environment()
        return {**env, "PATH": f"{tools}:{env['PATH']}"}

    def wrap(self) -> list[str]:
        """What makes an ordinary user of root: a mount namespace with a /dev/net/tun for all and
        the project in a place that everybody may read; then the user's id, no capability."""
        if not self.as_user or os.geteuid() != 0:
            return []
        script = (
            "set -e; mount -t tmpfs tmpfs /mnt; mkdir /mnt/project; "
            f"mount --bind '{PROJECT}' /mnt/project; "
            "mount -t tmpfs tmpfs /dev/net; mknod /dev/net/tun c 10 200; chmod 666 /dev/net/tun; "
            f"exec setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups --no-new-privs "
            '--inh-caps=-all "$@"'
        )
        return ["unshare", "-m", "--propagation", "private", "bash", "-c", script, "hoplab"]

    def popen(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """`hoplab ARGUMENTS`, started."""
        options = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "text": True,
            "env": self.environment(),
            "cwd": self.home,
            **options,
        }
        return subprocess.Popen(self.argv(arguments), **options)

    def __call__(
        self, *arguments: str, code: int | None = 0, timeout: float = 120, **options: Any
    ) -> Done:
        """`hoplab ARGUMENTS`, run to its end; `code` is the exit code to insist on."""
        text = options.pop("input", None)
        if text is not None:
            options["stdin"] = subprocess.PIPE
        process = self.popen(*arguments, **options)
        try:
            out, err = process.communicate(text, timeout=timeout)
            err = without_steps(err or "")
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise AssertionError(f"hoplab {arguments} hangs: {out}\n{err}") from None
        ended = Done(process.returncode, out, err)
        if code is not None:
            assert ended.code == code, (
                f"hoplab {arguments}: {ended.code}\n{out}\n{err}\n{self.logs()}"
            )
        return ended

    def logs(self) -> str:
        """The labs' own logs, for a failing test's message."""
        texts = []
        for log in sorted(self.state.glob("hoplab/labs/*/logs/*.log")):
            if "ovs" not in log.name:
                texts.append(f"--- {log}\n{log.read_text(errors='replace')[-2000:]}")
        return "\n".join(texts)

    def close(self) -> None:
        """End what a test left up."""
        if (self.state / "hoplab" / "labs").is_dir():
            self("down", "--all", code=None)


def _make_world(as_user: bool) -> World:
    # Not pytest's tmp_path: its parents are closed to other users.
    home = Path(tempfile.mkdtemp(prefix="hoplab-test-"))
    project = PROJECT
    if as_user and os.geteuid() == 0:
        os.chown(home, NOBODY, NOBODY)
        project = Path("/mnt/project")
    return World(home, as_user, project)


@pytest.fixture
def make_world() -> Iterator[Callable[..., World]]:
    """Makes worlds, and takes them away at the end of the test."""
    worlds: list[World] = []

    def make(as_user: bool = False) -> World:
        worlds.append(_make_world(as_user))
        return worlds[-1]

    yield make
    for world in worlds:
        world.close()
        shutil.rmtree(world.home, ignore_errors=True)


@pytest.fixture(autouse=True)
def plain_loggers() -> None:
    """Mininet, once imported, makes its own logger everybody's, and that keeps INFO back."""
    logging.setLoggerClass(logging.Logger)


@pytest.fixture
def hoplab(make_world: Callable[..., World]) -> World:
    """`hoplab("up", "web")` in a world of its own."""
    return make_world()


@pytest.fixture(params=[pytest.param("root", marks=pytest.mark.long), "user"])
def anybody(request: pytest.FixtureRequest, make_world: Callable[..., World]) -> World:
    """The same as root and as an ordinary user (as the latter only, where the tests are one). As
    root with the long tests alone: what has no fixture of its own runs as whoever runs the tests,
    which is root where it matters."""
    if request.param == "root" and os.geteuid() != 0:
        pytest.skip("the tests run as an ordinary user; root's half needs root")
    return make_world(as_user=request.param == "user")


def need(program: str) -> str:
    """The path of a peer program; skips the test, naming it, where it is not installed."""
    path = programs.find(program)
    if not path:
        pytest.skip(f"{program} is not installed")
    return path
