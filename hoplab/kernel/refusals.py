# SPDX-License-Identifier: Apache-2.0
"""What a machine may refuse to a lab of this user: the settings that stand in the way, and the
line that mends each.

What lives here: reading settings, and the sentences. What must not: changing anything.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hoplab.errors import Exit, LabError, reason_of
from hoplab.sentences import say, term

APPARMOR = "kernel.apparmor_restrict_unprivileged_userns"
TUN = "/dev/net/tun"
_MOUNT_PROC = "mount proc on /proc"  # the name of a step, as `system_calls.mount` gives it


@dataclass(frozen=True)
class Refusal:
    """Something this machine does not allow, and the line that allows it. setting: the sysctl or
    the file that stands in the way, where somebody asks for it."""

    message: str
    fix: str
    setting: str = ""


def _sysctl(name: str) -> str | None:
    try:
        return Path("/proc/sys", *name.split(".")).read_text().strip()
    except OSError:
        return None


def find(*, tun: bool = True) -> Iterator[Refusal]:
    """The settings of this machine that stand in the way of a lab for this user."""
    if os.geteuid() != 0:
        if _sysctl("kernel.unprivileged_userns_clone") == "0":
            yield Refusal(
                term("kernel.unprivileged_userns_clone is 0: only root may make user namespaces"),
                "sudo sysctl -w kernel.unprivileged_userns_clone=1",
            )
        if _sysctl(APPARMOR) == "1":
            yield Refusal(
                say(
                    "{setting} is 1: AppArmor takes the capabilities away inside user namespaces "
                    "(Ubuntu 23.10 and later)",
                    setting=APPARMOR,
                ),
                f"sudo sysctl -w {APPARMOR}=0",
                APPARMOR,
            )
    if _sysctl("user.max_user_namespaces") == "0" and os.geteuid() != 0:
        yield Refusal(
            term("user.max_user_namespaces is 0: no user namespaces at all"),
            "sudo sysctl -w user.max_user_namespaces=15000",
        )
    for kind in ("net", "pid", "mnt"):
        if _sysctl(f"user.max_{kind}_namespaces") == "0":
            yield Refusal(
                say("user.max_{kind}_namespaces is 0: no such namespaces at all", kind=kind),
                f"sudo sysctl -w user.max_{kind}_namespaces=15000",
            )
    if tun:
        if not os.path.exists(TUN):
            yield Refusal(
                say("{file} is missing: Open vSwitch in user space needs it", file=TUN),
                "sudo modprobe tun",
                TUN,
            )
        elif not os.access(TUN, os.R_OK | os.W_OK):
            yield Refusal(
                say("{file} is closed to you: Open vSwitch in user space needs it", file=TUN),
                f"sudo chmod 666 {TUN}",
                TUN,
            )


def refused(error: OSError, *, tun: bool = True) -> LabError:
    """The error to show when a step of the sandbox failed with `error`."""
    first = next(find(tun=tun), None)
    if first is not None:
        return LabError(
            say("this machine refuses a lab to you: {reason}", reason=first.message),
            say(
                "run: {command}   (or run hoplab as root; `hoplab doctor` shows all checks)",
                command=first.fix,
            ),
            Exit.REFUSED,
        )
    hint = term("run hoplab as root, or see `hoplab doctor`")
    if error.errno == errno.ENOSPC:
        hint = term(
            "the kernel's limit on namespaces is reached: see `sysctl user` and end other labs"
        )
    if error.errno == errno.EPERM and error.filename == _MOUNT_PROC:
        # mount_namespaces(7): a new proc must not show what the container's runtime has covered.
        hint = term(
            "in a container, /proc must not be masked: podman run --security-opt unmask=ALL, or "
            "docker run --security-opt systempaths=unconfined (see docs/install.md)"
        )
    elif error.errno in (errno.EPERM, errno.ENOSYS) and _filtered():
        hint = term(
            "in a container, its filter of system calls may forbid this: podman run or docker run "
            "--security-opt seccomp=unconfined (see docs/install.md)"
        )
    message = say("this machine refuses a lab to you: {reason}", reason=reason_of(error))
    return LabError(message, hint, Exit.REFUSED)


def _filtered() -> bool:
    """Is this process under a filter of system calls (seccomp(2), proc(5): Seccomp)?"""
    with contextlib.suppress(OSError):
        return "\nSeccomp:\t2" in Path("/proc/self/status").read_text()
    return False
