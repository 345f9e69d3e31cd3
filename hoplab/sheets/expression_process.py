# SPDX-License-Identifier: Apache-2.0
"""The process that evaluates expressions of a sheet's author: `python -I -S expression_process.py`.

What lives here: the process, whole: it is started by its path and imports nothing of ours. What
must not: anything that needs a file, a socket or another process.

The expression may be anything at all, for whoever wrote it is a stranger. So no words are
forbidden: the kernel is told, before the first byte of it is compiled, that this process makes no
system call any more but those that memory, time and its two pipes need (seccomp(2)). All others
fail: there is no file, no network, no process, no signal. Limits end what computes or grows for
ever; processor time is counted, and not the clock's, so that a busy machine changes no verdict.

On stdin comes one object of JSON:
    {"source": "def valid_x(): …", "variables": {…}, "expression": "…"}
and on stdout goes one: {"value": …, "true": BOOL} or {"error": "TypeError: …"}.
"""

from __future__ import annotations

import collections
import ctypes
import functools
import ipaddress
import itertools
import json
import math
import os
import platform
import re
import resource
import string
import struct
import sys

# What expressions may use is imported by now: later no file opens.
MODULES = (collections, functools, ipaddress, itertools, json, math, re, string)

SECONDS = 1
BYTES = 512 << 20
LONGEST = 1 << 16  # of a value's text

# System calls by machine: read, write, mmap, munmap, mremap, madvise, brk, rt_sigaction,
# rt_sigprocmask, rt_sigreturn, sigaltstack, futex, exit, exit_group, clock_gettime, getrandom.
_ALLOWED = {
    "x86_64": (0xC000003E, (0, 1, 9, 11, 25, 28, 12, 13, 14, 15, 131, 202, 60, 231, 228, 318)),
    "aarch64": (0xC00000B7, (63, 64, 222, 215, 216, 233, 214, 134, 135, 139, 132, 98, 93, 94, 113,
                             278)),
}  # fmt: skip
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _FILTER = 38, 22, 2
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06  # BPF_LD|W|ABS, BPF_JMP|JEQ|K, BPF_RET|K
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050001, 0x80000000  # the second: EPERM


def shut() -> None:
    """From now on nothing but computing. Raises OSError where the kernel does not do it."""
    for what, limit in (
        (resource.RLIMIT_CPU, SECONDS), (resource.RLIMIT_AS, BYTES), (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0), (resource.RLIMIT_NOFILE, 0),
    ):  # fmt: skip
        resource.setrlimit(what, (limit, limit))
    machine = platform.machine()
    if machine not in _ALLOWED or sys.maxsize < 1 << 32:
        raise OSError(f"no list of system calls for {machine}")
    architecture, numbers = _ALLOWED[machine]
    lines = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, architecture), (_RETURN, 0, 0, _KILL),
             (_LOAD, 0, 0, 0)]  # fmt: skip
    for place, number in enumerate(numbers):
        lines.append((_EQUAL, len(numbers) - place, 0, number))
    lines += [(_RETURN, 0, 0, _REFUSE), (_RETURN, 0, 0, _ALLOW)]
    code = b"".join(struct.pack("HBBI", *line) for line in lines)
    kept = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("HxxxxxxP", len(lines), ctypes.addressof(kept))
    held = ctypes.create_string_buffer(program, len(program))
    libc = ctypes.CDLL(None, use_errno=True)
    none = ctypes.c_ulong(0)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), none, none, none):
        raise OSError(ctypes.get_errno(), "PR_SET_NO_NEW_PRIVS")
    pointer = ctypes.c_void_p(ctypes.addressof(held))
    if libc.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_FILTER), pointer, none, none):
        raise OSError(ctypes.get_errno(), "PR_SET_SECCOMP")


class Dotted(dict):  # type: ignore[type-arg]
    """A dictionary whose entries can be written a.b, as in netlab's expressions."""

    def __getattr__(self, name: str) -> object:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class Node(str):
    """A node as netlab's expressions have it, `node.name`, and as its name."""

    @property
    def name(self) -> str:
        return str(self)


def dotted(data: object) -> object:
    """Dictionaries at any depth, made so."""
    if isinstance(data, dict):
        return Dotted({key: dotted(value) for key, value in data.items()})
    return [dotted(each) for each in data] if isinstance(data, list) else data


def evaluate(task: dict[str, object]) -> dict[str, object]:
    """What the expression is, or what was wrong with it."""
    variables = dotted(task.get("variables") or {})
    assert isinstance(variables, dict)
    if isinstance(variables.get("node"), dict):
        variables["node"] = Node(variables["node"].get("name", ""))
    names = {module.__name__: module for module in MODULES} | {"Box": Dotted, **variables}
    try:
        source = str(task.get("source") or "")
        if source:
            exec(compile(source, "validate.py", "exec"), names)
            names.update(variables)
        value = eval(compile(str(task["expression"]).strip(), "valid", "eval"), names)
        truth = bool(value)
        text = value if isinstance(value, str) else repr(value)
        return {"value": text[:LONGEST], "true": truth}
    except BaseException as error:
        return {"error": f"{type(error).__name__}: {error}"[:LONGEST]}


def main() -> int:
    data = sys.stdin.buffer.read()
    task = json.loads(data)
    # Whatever of Python's own opens a file when it is used first is used once.
    re.compile("a(b|c)+[^d]").search("abc")
    repr(1.5), str(ipaddress.ip_network("10.0.0.0/8")), json.dumps({"a": [1.5]})
    try:
        shut()
    except (OSError, ValueError) as error:
        os.write(1, json.dumps({"refused": str(error)}).encode())
        return 1
    answer = json.dumps(evaluate(task)).encode()
    while answer:
        answer = answer[os.write(1, answer) :]
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
