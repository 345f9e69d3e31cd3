# SPDX-License-Identifier: Apache-2.0
"""Control groups of a lab's own, for Mininet's CPULimitedHost.

Mininet makes them by plain names, /h1, which are the whole machine's: labs that run at the same
time would share them, and those of a lab that was killed would stay. So a lab gets one group of its
own, and what is made for its hosts lies below it: where CPULimitedHost looks (version 1), or where
this process may make one (version 2, which `network/cpu_limited.py` writes to). The lab's process
is in that group for as long as it lives: one without any process is nobody's any more, and whoever
comes next takes it away.

Version 2 lets processes be in the leaves alone, and moves one only for who may write to the group
that both places have in common: root may anywhere, and an ordinary user below what systemd has
delegated to them (cgroups(7), "Delegation").
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import re
import secrets
import time
from pathlib import Path

from hoplab.kernel.system_calls import MS_BIND, mount
from hoplab.sentences import Sentence, number_of

ROOT = Path("/sys/fs/cgroup")
CONTROLLERS = ("cpu", "cpuacct", "cpuset")
PREFIX = "hoplab-"
_INHERITED = ("cpuset.cpus", "cpuset.mems")  # without which no process may be in a group
_NO_CGCREATE = re.compile(r"cgcreate: (?:command )?not found|No such file.*cgcreate")
_ENDING_S = 2.0  # for processes to go that the kernel has been told to end
_OFFERED, _GIVEN = "cgroup.controllers", "cgroup.subtree_control"  # of version 2
_TRIES = 5  # somebody may take the group away before this process is in it


@functools.cache
def enter() -> str:
    """Give this process, and whoever sees the mounts that it sees, groups of its own; once, however
    often it is asked for. Returns the folder below which they are made, with version 2; "" where
    they are in the place of the machine's (version 1), or where it may make none.
    """
    name = f"{PREFIX}{secrets.token_hex(4)}"
    hierarchies = _hierarchies()
    for folder in hierarchies:
        with contextlib.suppress(OSError):
            mount(str(_joined(folder, name)), str(folder), None, MS_BIND)
    if hierarchies:
        return ""
    places = _places()
    for folder in sorted(places, key=lambda each: not _gives_cpu(each)):  # as they are, if possible
        with contextlib.suppress(OSError):
            return str(_divided(folder, name))
    return ""


def is_version_2() -> bool:
    """Whether the processor is limited by groups of version 2 here, whoever may make them."""
    return not _hierarchies() and (ROOT / _OFFERED).exists()


def sweep() -> None:
    """Take away the groups of labs that have ended."""
    for folder in (*_hierarchies(), *_places()):
        for own in folder.glob(f"{PREFIX}*"):
            with contextlib.suppress(OSError):
                if not _is_populated(own):
                    _remove(own)


def of_lab(init: int) -> str:
    """The name of the group of the lab with this first process, as it is numbered here; "" if it
    has none."""
    with contextlib.suppress(OSError):
        for child in Path(f"/proc/{init}/task/{init}/children").read_text().split():
            for line in Path(f"/proc/{child}/cgroup").read_text().splitlines():
                for name in line.split("/"):
                    if name.startswith(PREFIX):
                        return name
    return ""


def remove(name: str) -> None:
    """Take away the groups of a lab whose processes are about to end; "" is none. Those that are
    not empty in time `sweep` finds."""
    deadline = time.monotonic() + _ENDING_S
    for folder in (*_hierarchies(), *_places()) if name else ():
        while (folder / name).exists() and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                _remove(folder / name)
                break
            time.sleep(0.01)


def without(nodes: str, count: int, reason: str, command: str) -> Sentence:
    """Why these CPULimitedHosts have no limit, and what to do. reason: Mininet's own words, or the
    kernel's. command: what brings them up."""
    if _NO_CGCREATE.search(reason):
        return number_of(
            "{nodes} runs without its CPU limit, for which Mininet wants cgcreate: {install}",
            "{nodes} run without their CPU limit, for which Mininet wants cgcreate: {install}",
            count,
            nodes=nodes,
            install="sudo apt-get install cgroup-tools",
        )
    values = {"nodes": nodes, "root": f"sudo {command}"}
    if _is_root():
        return number_of(
            "{nodes} runs without its CPU limit: not even root may make control groups (cgroups) "
            "here, as in most containers",
            "{nodes} run without their CPU limit: not even root may make control groups (cgroups) "
            "here, as in most containers",
            count,
            nodes=nodes,
        )
    if is_version_2():
        return number_of(
            "{nodes} runs without its CPU limit: you may make no control groups (cgroups) where "
            "this was started; {delegated} starts it where systemd lets you, and root has the "
            "limit, too: {root}",
            "{nodes} run without their CPU limit: you may make no control groups (cgroups) where "
            "this was started; {delegated} starts it where systemd lets you, and root has the "
            "limit, too: {root}",
            count,
            delegated=f"systemd-run --user --scope -p Delegate=yes {command}",
            **values,
        )
    return number_of(
        "{nodes} runs without its CPU limit: an ordinary user may make no control groups "
        "(cgroups) here; as root it has it: {root}",
        "{nodes} run without their CPU limit: an ordinary user may make no control groups "
        "(cgroups) here; as root they have it: {root}",
        count,
        **values,
    )


def _is_root() -> bool:
    """Whether this is root outside, too (user_namespaces(7))."""
    return Path("/proc/self/uid_map").read_text().split()[:2] == ["0", "0"]


def _hierarchies() -> list[Path]:
    """Where the controllers' groups of version 1 are; several may share one."""
    folders = [Path(os.path.realpath(ROOT / name)) for name in CONTROLLERS]
    return [each for each in dict.fromkeys(folders) if (each / "cgroup.clone_children").exists()]


def _places(of_process: str | None = None) -> list[Path]:
    """Where a group of version 2 may be made that this process can move into: above its own, the
    nearest first; below its own only in the root, where processes and groups may be together.
    of_process: the groups that it is in, as /proc/self/cgroup has them."""
    if not (ROOT / _OFFERED).exists():
        return []
    lines = (of_process or Path("/proc/self/cgroup").read_text()).splitlines()
    own = next((line[3:] for line in lines if line.startswith("0::/")), "/")
    folder = ROOT / own.strip("/")
    if ".." in folder.parts:
        return []
    return [each for each in folder.parents if each.is_relative_to(ROOT)] or [ROOT]


def _gives_cpu(folder: Path) -> bool:
    """Whether groups below it can limit the processor as it is."""
    with contextlib.suppress(OSError):
        return "cpu" in (folder / _GIVEN).read_text().split()
    return False


def _divided(folder: Path, name: str) -> Path:
    """A group of version 2 there whose own groups can limit the processor, with this process in a
    leaf. Raises OSError."""
    own = folder / name
    for turn in range(_TRIES):
        try:
            if not _gives_cpu(folder):
                (folder / _GIVEN).write_text("+cpu")
            with contextlib.suppress(OSError):
                (folder / _GIVEN).write_text("+cpuset")
            leaf = own / "lab"
            leaf.mkdir(parents=True, exist_ok=True)
            (leaf / "cgroup.procs").write_text(str(os.getpid()))
            (own / _GIVEN).write_text("+cpu")
            with contextlib.suppress(OSError):  # it may not be delegated
                (own / _GIVEN).write_text("+cpuset")
            break
        except OSError as error:
            if not isinstance(error, FileNotFoundError) or turn + 1 == _TRIES:
                with contextlib.suppress(OSError):
                    _remove(own)
                raise
    return own


def _is_populated(own: Path) -> bool:
    """Whether a process is in the group, or in one below it (version 2). Raises OSError."""
    events = own / "cgroup.events"
    if events.exists():
        return "populated 1" in events.read_text()
    return bool((own / "cgroup.procs").read_text())


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
