# SPDX-License-Identifier: Apache-2.0
"""System calls that Python's own library lacks (`os.unshare` and `os.setns` come with 3.12).

Nothing here knows what they are good for.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterable

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY, MS_REMOUNT = 1, 32
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 8, 4096, 16384, 1 << 18

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, step: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        # Its filename is the step.
        raise OSError(number, f"{step}: {os.strerror(number)}", step)


def unshare(flags: int) -> None:
    """unshare(2). Raises OSError."""
    _check(_libc.unshare(flags), "unshare")


def setns(fd: int, kind: int) -> None:
    """setns(2): move the calling thread into the namespace behind `fd`. Raises OSError."""
    _check(_libc.setns(fd, kind), "setns")


def sethostname(name: str) -> None:
    """sethostname(2) for the calling thread's UTS namespace. Raises OSError, but not where a
    container's runtime forbids this one call: a lab does as well with the machine's name."""
    raw = name.encode()
    with contextlib.suppress(PermissionError):
        _check(_libc.sethostname(raw, len(raw)), "sethostname")


def mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    """mount(2). Raises OSError naming the target."""
    result = _libc.mount(
        os.fsencode(source),
        os.fsencode(target),
        kind.encode() if kind else None,
        ctypes.c_ulong(flags),
        data.encode() if data else None,
    )
    _check(result, f"mount {kind or 'bind'} on {target}")


def drop_capabilities(numbers: Iterable[int]) -> None:
    """Lose these capabilities, for this process and all that it starts. Raises OSError."""
    numbers = tuple(numbers)
    for number in numbers:
        _libc.prctl(24, number, 0, 0, 0)  # PR_CAPBSET_DROP; a kernel may not know the newest
    # capset(2) with header version 3: effective, permitted, inheritable, lower and upper 32 bits.
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    data = (ctypes.c_uint32 * 6)()
    _check(_libc.capget(header, data), "capget")
    for number in numbers:
        for kind in range(3):
            data[kind + 3 * (number // 32)] &= ~(1 << number % 32) & 0xFFFFFFFF
    _check(_libc.capset(header, data), "capset")
