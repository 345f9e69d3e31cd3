# SPDX-License-Identifier: Apache-2.0
"""Control groups of a lab's own (version 1), for Mininet's CPULimitedHost.

Mininet makes them by plain names, /h1, which are the whole machine's: labs that run at the same
time would share them, and those of a lab that was killed would stay. So a lab gets one group of its
own where CPULimitedHost looks, and what is made there lies below it. The lab's process is in that
group for as long as it lives: one without any process is nobody's any more, and whoever comes next
takes it away.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import secrets
import time
from pathlib import Path

from hoplab.kernel.system_calls import MS_BIND, mount

ROOT = Path("/sys/fs/cgroup")
CONTROLLERS = ("cpu", "cpuacct", "cpuset")
PREFIX = "hoplab-"
_INHERITED = ("cpuset.cpus", "cpuset.mems")  # without which no process may be in a group
_ENDING_S = 2.0  # for processes to go that the kernel has been told to end
_TRIES = 5  # somebody may take the group away before this process is in it


@functools.cache
def enter() -> None:
    """Give this process, and whoever sees the mounts that it sees, groups of its own in the place
    of the machine's; once, however often it is asked for. Nothing changes where it may make none.
    """
    name = f"{PREFIX}{secrets.token_hex(4)}"
    for folder in _hierarchies():
        with contextlib.suppress(OSError):
            mount(str(_joined(folder, name)), str(folder), None, MS_BIND)


def sweep() -> None:
    """Take away the groups of labs that have ended."""
    for folder in _hierarchies():
        for own in folder.glob(f"{PREFIX}*"):
            with contextlib.suppress(OSError):
                if not (own / "cgroup.procs").read_text():
                    _remove(own)


def of_lab(init: int) -> str:
    """The name of the group of the lab with this first process, as it is numbered here; "" if it
    has none."""
    with contextlib.suppress(OSError):
        for child in Path(f"/proc/{init}/task/{init}/children").read_text().split():
            for line in Path(f"/proc/{child}/cgroup").read_text().splitlines():
                name = os.path.basename(line)
                if name.startswith(PREFIX):
                    return name
    return ""


def remove(name: str) -> None:
    """Take away the groups of a lab whose processes are about to end; "" is none. Those that are
    not empty in time `sweep` finds."""
    deadline = time.monotonic() + _ENDING_S
    for folder in _hierarchies() if name else ():
        while (folder / name).exists() and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                _remove(folder / name)
                break
            time.sleep(0.01)


def _hierarchies() -> list[Path]:
    """Where the controllers' groups of version 1 are; several may share one."""
    folders = [Path(os.path.realpath(ROOT / name)) for name in CONTROLLERS]
    return [each for each in dict.fromkeys(folders) if (each / "cgroup.clone_children").exists()]


def _joined(folder: Path, name: str) -> Path:
    """A group there, with this process in it. Raises OSError."""
    own = folder / name
    for turn in range(_TRIES):
        try:
            own.mkdir(exist_ok=True)
            for each in _INHERITED:
                if (folder / each).exists():
                    (own / each).write_text((folder / each).read_text())
            (own / "cgroup.procs").write_text(str(os.getpid()))
            break
        except FileNotFoundError:
            if turn + 1 == _TRIES:
                raise
    return own


def _remove(own: Path) -> None:
    """A group with all below it. Raises OSError where a process is in one of them."""
    for place, _, _ in os.walk(own, topdown=False):
        try:
            os.rmdir(place)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
