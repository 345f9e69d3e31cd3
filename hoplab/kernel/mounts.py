# SPDX-License-Identifier: Apache-2.0
"""What a lab sees of the machine's folders: its own /run, /proc and /sys, and nothing of others.

Called inside a mount namespace of its own (`sandbox.py`): nothing mounted here is seen outside.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from hoplab.kernel.system_calls import (
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    MS_REMOUNT,
    mount,
)

# Parts of /proc that are the machine's. /proc/sys/net is the network namespace's own.
_OF_THE_MACHINE = ("/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs")


def make_private(
    keep: Sequence[str], hide: Sequence[str], own: Sequence[str], own_tmp: bool
) -> None:
    """Puts folders of the lab's own over the machine's; the parameters are those of
    `sandbox.start`. Raises OSError."""
    before = "/"
    with contextlib.suppress(FileNotFoundError):  # it may have been deleted
        before = os.getcwd()
    mount("none", "/", None, MS_REC | MS_PRIVATE)  # nothing mounted here is seen outside
    for folder in hide:
        _cover(folder, own)
    if own_tmp and "/tmp" not in map(os.path.realpath, keep):
        _cover("/tmp", keep, "1777")
    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    for part in _OF_THE_MACHINE:
        with contextlib.suppress(OSError):  # a kernel may lack it
            _read_only(part, but="/proc/sys/net" if part == "/proc/sys" else None)
    resolv = os.path.realpath("/etc/resolv.conf")
    _cover("/run", [*keep, *own])
    os.makedirs("/run/openvswitch", exist_ok=True)
    os.makedirs("/run/lock", exist_ok=True)
    if not os.path.exists(resolv):
        # A link into /run (systemd-resolved): give each host a file to bind its own over.
        os.makedirs(os.path.dirname(resolv), exist_ok=True)
        Path(resolv).touch()
    with contextlib.suppress(OSError):
        # /sys/class/net of the lab's own interfaces; a container may forbid it, and only
        # tools that read /sys miss it then.
        cgroup = os.open("/sys/fs/cgroup", os.O_PATH | os.O_DIRECTORY)
        mount_sys()
        mount(f"/proc/self/fd/{cgroup}", "/sys/fs/cgroup", None, MS_BIND | MS_REC)
        os.close(cgroup)
    # Who is in a folder that is covered now still sees it, and what lies above one that is kept.
    try:
        os.chdir(before)
    except OSError:
        os.chdir("/")


def _cover(target: str, keep: Sequence[str], mode: str = "755") -> None:
    """Mount an empty tmpfs on `target`; the folders of `keep` that lie below stay visible."""
    real = os.path.realpath(target)
    held = {}
    for path in map(os.path.realpath, keep):
        if path.startswith(real + "/") and os.path.isdir(path):
            held[path] = os.open(path, os.O_PATH | os.O_DIRECTORY)
    mount("tmpfs", real, "tmpfs", MS_NOSUID | MS_NODEV, f"mode={mode}")
    for path, fd in held.items():
        os.makedirs(path, exist_ok=True)
        mount(f"/proc/self/fd/{fd}", path, None, MS_BIND | MS_REC)
        os.close(fd)


def _read_only(path: str, *, but: str | None = None) -> None:
    """What is below `path` can only be read, except below `but`."""
    mount(path, path, None, MS_BIND)
    if but is not None:
        mount(but, but, None, MS_BIND)
    mount("none", path, None, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)


def mount_sys() -> None:
    """A /sys that shows the calling thread's network namespace; what is not the network's can only
    be read. Raises OSError where a container forbids it."""
    mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    if os.path.isdir("/sys/devices/virtual/net"):
        _read_only("/sys", but="/sys/devices/virtual/net")
