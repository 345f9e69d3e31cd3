# SPDX-License-Identifier: Apache-2.0
"""Faults of the machine and of a lab's own parts: a clear error or a healed lab, nothing left.

What is seen is a row of the table in docs/reliability.md, and compared with it;
HOPLAB_UPDATE_GOLDEN=1 writes the rows anew, to be read before they are kept.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hoplab import wait
from tests.conftest import PROJECT, World, without_steps
from tests.net.test_bad_input import nothing_left, processes_of

pytestmark = pytest.mark.net

TABLE = PROJECT / "docs" / "reliability.md"
GROUPS = Path("/sys/fs/cgroup")


def row(fault: str, outcome: str) -> None:
    """Compare a row of the table with what was seen, or write it."""
    page = TABLE.read_text()
    line = f"| {fault} | {outcome} |"
    if os.environ.get("HOPLAB_UPDATE_GOLDEN"):
        old = re.search(rf"^\| {re.escape(fault)} \|.*$", page, re.M)
        if old:
            page = page.replace(old[0], line)
        else:
            page = page.replace("\n<!-- end of faults -->", f"{line}\n\n<!-- end of faults -->")
            page = page.replace("|\n\n| ", "|\n| ")
        TABLE.write_text(page)
    assert line in page.splitlines(), f"docs/reliability.md does not have: {line}"


def said(world: World, code: int, err: str) -> str:
    """An error as the table tells it: its sentence, its next step and its code."""
    err = without_steps(err)
    assert err.startswith("hoplab: ") and "Traceback" not in err, err
    sentence = err.splitlines()[0].removeprefix("hoplab: ")
    step = next(line for line in err.splitlines() if line.startswith("  Next: "))[8:]
    text = f"“{sentence}” Next: “{step}” (exit code {code})".replace(str(world.home), "~")
    return re.sub(r"\d+\.\d+ s", "N s", text).replace("|", "/")


# ------------------------------------------------------------------ too little of something

SCARCE = (
    "an error that says so, or which part of the lab ended of it (exit code 6 or 7); nothing is "
    "left but the logs"
)


def told(world: World, code: int, err: str) -> None:
    """An error of ours. Who meets the limit first is a matter of chance."""
    said(world, code, err)
    assert code in (6, 7), err


@contextlib.contextmanager
def group(controller: str, limits: dict[str, str]) -> Iterator[Callable[[], None]]:
    """A control group with these limits; what is yielded puts the calling process into it."""
    parent = GROUPS / controller if (GROUPS / controller).is_dir() else GROUPS
    place = parent / f"hoplab-test-{os.getpid()}"
    try:
        place.mkdir()
        for name, value in limits.items():
            if (place / name).exists():
                (place / name).write_text(value)
        if not any((place / name).exists() for name in limits):
            raise OSError(f"no {controller} controller")
    except OSError as error:
        with contextlib.suppress(OSError):
            place.rmdir()
        pytest.skip(f"a control group for {controller} cannot be made here: {error}")
    try:

        def join() -> None:
            (place / "cgroup.procs").write_text(str(os.getpid()))

        yield join
    finally:

        def gone() -> bool:
            with contextlib.suppress(OSError):
                place.rmdir()
            return not place.exists()

        wait.until(gone, "the control group to be empty", within_s=20)


def test_out_of_memory_while_it_comes_up(hoplab: World) -> None:
    limits = {"memory.limit_in_bytes": "24M", "memory.max": "24M"}
    with nothing_left(hoplab, logs=True), group("memory", limits) as join:
        process = hoplab.popen("up", "switch", preexec_fn=join)
        _, err = process.communicate(timeout=100)
        # Whom the kernel kills is the kernel's choice: the command line, or a part of the lab.
        if process.returncode == -signal.SIGKILL:
            assert err == "" or "Traceback" not in err, err
        else:
            assert process.returncode in (6, 7) and "Traceback" not in err, err
        hoplab("up", "cable")  # with room again, over what the dead one left to read
        hoplab("down")
    row(
        "No memory left while a lab comes up (control group of 24 MB)",
        "the kernel kills the command line, and the lab goes with it; or a part of the lab, and an "
        "error says so (exit code 6 or 7)",
    )


def test_a_host_takes_all_memory(hoplab: World) -> None:
    limits = {"memory.limit_in_bytes": "300M", "memory.max": "300M"}
    with nothing_left(hoplab), group("memory", limits) as join:
        hoplab("up", "cable", preexec_fn=join)
        hog = "x = [b'x' * (1 << 20)]\nwhile True: x.append(bytes([len(x) & 255]) * (1 << 20))"
        result = hoplab("exec", "h1", "--", "/usr/bin/python3", "-c", hog, code=None)
        assert result.code == 137
        assert hoplab("pingall", "--json").json["lost"] == []
        hoplab("down")
    row(
        "A program on a host takes all memory of the lab's control group",
        "the kernel kills that program (exit code 137); the lab goes on",
    )


def test_no_more_processes(hoplab: World) -> None:
    with nothing_left(hoplab, logs=True), group("pids", {"pids.max": "7"}) as join:
        process = hoplab.popen("up", "switch", preexec_fn=join)
        _, err = process.communicate(timeout=100)
    told(hoplab, process.returncode, err)
    row("No more processes allowed (control group of 7)", SCARCE)


def test_no_more_descriptors(make_world: Any) -> None:
    world = make_world(as_user=True)  # root may raise any limit, and then a lab comes up

    def few() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24))

    with nothing_left(world, logs=True):
        process = world.popen("up", "switch,n=12", preexec_fn=few)
        _, err = process.communicate(timeout=100)
    told(world, process.returncode, err)
    row("No more descriptors allowed (`ulimit -n 24`)", SCARCE)


def test_a_home_that_can_only_be_read(make_world: Any) -> None:
    world = make_world(as_user=True)
    locked = world.home / "locked"
    locked.mkdir(mode=0o500)
    world.env["XDG_STATE_HOME"] = str(locked)
    ended = world("up", "cable", code=6)
    row("A home that can only be read", said(world, ended.code, ended.err))
    assert processes_of(world) == {}


# ------------------------------------------------------------------------- parts that hang


def find(world: World, words: str) -> int:
    """The process of a lab whose command line begins with these words."""
    return next(pid for pid, line in processes_of(world).items() if words in line)


@pytest.mark.parametrize("part", ["ovs-vswitchd", "ovsdb-server"])
def test_a_part_of_open_vswitch_hangs(hoplab: World, part: str) -> None:
    with nothing_left(hoplab):
        hoplab("up", "switch")
        os.kill(find(hoplab, f"/{part} "), signal.SIGSTOP)
        hoplab("swap", "hub")
        assert hoplab("pingall", "--json").json["lost"] == []
        events = hoplab("ls", "--json").json[0]["events"]
        hoplab("down")
    (event,) = events
    row(f"{part} is stopped (SIGSTOP)", f"healed: “{event}”; a swap under way is done")


HOLD = """
import ctypes, os, sys, time
libc = ctypes.CDLL(None, use_errno=True)
PTRACE_ATTACH = 16
assert libc.ptrace(PTRACE_ATTACH, int(sys.argv[1]), 0, 0) == 0, os.strerror(ctypes.get_errno())
print("held", flush=True)
sys.stdin.read()
"""


@pytest.mark.long
def test_a_part_of_open_vswitch_hangs_though_nobody_stopped_it(hoplab: World) -> None:
    """As a debugger holds it: no signal wakes it, and its state is not that of one stopped."""

    def events_now() -> list[str]:
        return list(hoplab("ls", "--json").json[0]["events"])

    with nothing_left(hoplab):
        hoplab("up", "switch")
        pid = find(hoplab, "/ovs-vswitchd ")
        argv = [sys.executable, "-c", HOLD, str(pid)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with subprocess.Popen(argv, **pipes) as holder:  # type: ignore[call-overload]
            assert holder.stdout.readline() == b"held\n"
            (hung,) = wait.until(events_now, "an event", within_s=60)
        # The kernel leaves it stopped when its debugger is gone, which is told and mended as well.
        again = "ovs-vswitchd answers again"
        wait.until(lambda: again in events_now(), "the end of it to be told", within_s=60)
        assert hoplab("pingall", "--json").json["lost"] == []
        hoplab("down")
    assert hung.startswith("ovs-vswitchd has not answered for 10 s")
    row("ovs-vswitchd hangs", f"told: “{hung}”")


def test_the_controller_hangs(hoplab: World) -> None:
    with nothing_left(hoplab):
        hoplab("up", "switch")
        os.kill(find(hoplab, "hoplab.control.ryu_main"), signal.SIGSTOP)

        def events_now() -> list[str]:
            return list(hoplab("ls", "--json").json[0].get("events", []))

        events = wait.until(events_now, "an event", within_s=30)
        assert hoplab("pingall", "--json").json["lost"] == []
        hoplab("down")
    row("The controller is stopped (SIGSTOP)", f"healed: “{events[0]}”")


def test_the_lab_itself_hangs(hoplab: World) -> None:
    with nothing_left(hoplab):
        hoplab("up", "cable")
        init = int((hoplab.state / "hoplab/labs/lab/init.pid").read_text())
        (service,) = (
            pid
            for pid in processes_of(hoplab)
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1] == str(init)
        )
        os.kill(service, signal.SIGSTOP)
        assert hoplab("ls", "--json").json[0]["state"] == "coming up, or not answering"
        began = time.monotonic()
        hoplab("down")
        assert time.monotonic() - began < 60
    row(
        "The lab's own service is stopped (SIGSTOP)",
        "`hoplab ls` says “coming up, or not answering”; `hoplab down` ends it by force",
    )
