# SPDX-License-Identifier: Apache-2.0
"""The private machine that a lab lives in: its namespaces, and its process 1.

Cast: the *launcher* (a fork of the command line) makes the namespaces and leaves at once; *init*
is process 1 of the new PID namespace; the *lab* is init's first child and runs whatever the caller
hands in. Rules:

- init ends when the lab ends, and when init ends the kernel ends everything else in the PID
  namespace and then takes down the network and mount namespaces. No clean-up code has to run, so
  nothing can be left behind, whoever is killed and when.
- Until the caller says `commit`, init also ends when the caller's end of the channel closes: a
  command line killed in the middle of `up` takes the half-built lab with it.
- What runs inside loses what no lab needs (`NOT_NEEDED`), for root's labs have no user namespace
  to hold them: modules, reboot, the clock, devices, raw I/O. What is the machine's in /proc and
  /sys can only be read. docs/security.md says what that is good for, and what it is not.
- Standard library only, and single-threaded up to the fork of the lab: the kernel refuses a new
  user namespace to a process with threads (user_namespaces(7)).

Nothing here knows Mininet, Open vSwitch or packets.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hoplab.errors import Exit, LabError
from hoplab.kernel import mounts, refusals, system_calls
from hoplab.kernel.system_calls import (
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
)  # fmt: skip
from hoplab.sentences import term

# capabilities(7) that neither Mininet, Open vSwitch nor the tools of a host use, by number.
NOT_NEEDED = {
    "CAP_DAC_READ_SEARCH": 2,  # open_by_handle_at(2): files that are covered by mounts
    "CAP_LINUX_IMMUTABLE": 9,
    "CAP_SYS_MODULE": 16,
    "CAP_SYS_RAWIO": 17,
    "CAP_SYS_PACCT": 20,
    "CAP_SYS_BOOT": 22,
    "CAP_SYS_TIME": 25,
    "CAP_SYS_TTY_CONFIG": 26,
    "CAP_MKNOD": 27,
    "CAP_AUDIT_CONTROL": 30,
    "CAP_MAC_OVERRIDE": 32,
    "CAP_MAC_ADMIN": 33,
    "CAP_SYSLOG": 34,
    "CAP_WAKE_ALARM": 35,
    "CAP_BLOCK_SUSPEND": 36,
    "CAP_AUDIT_READ": 37,
}

_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


def _new_namespaces() -> None:
    uid, gid = os.geteuid(), os.getegid()
    flags = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC
    if uid == 0:
        system_calls.unshare(flags)
        return
    system_calls.unshare(flags | CLONE_NEWUSER)
    # An ordinary user may map one id: to root inside. setgroups must be given up first
    # (user_namespaces(7), "The /proc/[pid]/setgroups file").
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"0 {uid} 1")
    _write("/proc/self/gid_map", f"0 {gid} 1")


def give_up_capabilities() -> None:
    """Lose what `NOT_NEEDED` names, for this process and all that it starts."""
    system_calls.drop_capabilities(NOT_NEEDED.values())


def _init(channel: socket.socket, lab: int) -> None:
    """Process 1: reap orphans; end with the lab, or with the caller as long as it has not said
    `commit`."""
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    watched = [wake_read, channel.fileno()]
    while True:
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                if pid == lab:
                    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
        ready, _, _ = select.select(watched, [], [])
        if wake_read in ready:
            os.read(wake_read, 4096)
        if channel.fileno() in ready:
            word = channel.recv(16)
            if not word:
                os._exit(1)
            if word == b"commit":
                watched.remove(channel.fileno())


@dataclass
class Started:
    """A lab's machine from outside. `pid` is init's, as the caller sees it; `channel` carries what
    the lab writes to the caller, one message a packet."""

    pid: int
    channel: socket.socket
    _leash: socket.socket

    def commit(self) -> None:
        """From now on the lab lives on when the caller ends."""
        self._leash.send(b"commit")

    def ended(self, within_s: float) -> bool:
        """Wait until process 1 has let go of all its files; the kernel ends the rest then."""
        self._leash.settimeout(within_s)
        try:
            return self._leash.recv(1) == b""
        except OSError:
            return False


def start(
    name: str,
    keep: list[str],
    run: Callable[[socket.socket], int],
    *,
    hide: Sequence[str] = (),
    own: Sequence[str] = (),
    own_tmp: bool = False,
    fds: Sequence[int] = (),
) -> Started:
    """Make a private machine called `name` and call `run(channel)` in its second process.

    keep: folders that stay visible even if they lie where the lab has private ones: in /run, and
    with `own_tmp` in /tmp, or /tmp itself.
    hide: folders in which nothing stays visible but those of `own`.
    fds: descriptors for `run`. All others end at the fork, or the lab would hold the caller's locks
    and pipes for as long as it lives.
    run: gets the inner end of a SOCK_SEQPACKET pair; what it returns ends the lab.
    Must be called while the process has one thread, and with interrupts held by whoever has to
    know what there is to end. Raises LabError (Exit.REFUSED).
    """
    outer, inner = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    leash_outer, leash_inner = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    answer_read, answer_write = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    # A Ctrl-C in the middle of a fork would be raised, printed and lost in Python's bookkeeping.
    unheld = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDINGS)
    try:
        launcher = os.fork()
        if launcher == 0:
            for ending in _ENDINGS:
                signal.signal(ending, signal.SIG_IGN)  # until setsid they are the caller's
            unheld = set()  # a caller may hold them, the lab does not
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, unheld)
    if launcher == 0:
        try:
            _launch(
                name,
                lambda: mounts.make_private(keep, hide, own, own_tmp),
                run,
                inner,
                leash_inner,
                answer_write,
                fds,
            )
        except OSError as error:
            words = f"E{error.errno or 0} {error.filename or ''}\n{error.strerror}"
            os.write(answer_write, words.encode())
        except Exception as error:
            os.write(answer_write, f"E0 {type(error).__name__}: {error}".encode(errors="replace"))
        finally:
            os._exit(1)
    for end in (inner, leash_inner):
        end.close()
    os.close(answer_write)
    answer = b""
    try:
        while chunk := os.read(answer_read, 4096):
            answer += chunk
    finally:
        os.close(answer_read)
        os.waitpid(launcher, 0)
    words = answer.decode(errors="replace")
    if "E" in words or not words:
        outer.close()
        leash_outer.close()
    if "E" in words:
        number, _, rest = words[words.index("E") + 1 :].partition(" ")
        step, _, text = rest.partition("\n")
        raise refusals.refused(OSError(int(number), text, step))
    if not words:
        raise LabError(
            term("the lab's first process ended before it could start"),
            term("was it killed? run the command again"),
            Exit.LAB_DIED,
        )
    return Started(int(words.split()[0]), outer, leash_outer)


def close_all_but(*fds: int) -> None:
    """Close every descriptor from 3 on, except these."""
    first = 3
    for fd in sorted(fds):
        os.closerange(first, fd)
        first = max(first, fd + 1)
    os.closerange(first, max(first, os.sysconf("SC_OPEN_MAX")))


def _launch(
    name: str,
    furnish: Callable[[], None],
    run: Callable[[socket.socket], int],
    channel: socket.socket,
    leash: socket.socket,
    told: int,
    fds: Sequence[int],
) -> None:
    """The launcher, init and the lab, each leaving by os._exit."""
    close_all_but(channel.fileno(), leash.fileno(), told, *fds)
    os.setsid()  # a Ctrl-C in the user's terminal is the command line's to handle
    _new_namespaces()
    init = os.fork()
    if init:
        os.write(told, f"{init} ".encode())
        os._exit(0)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN if number != signal.SIGTERM else signal.SIG_DFL)
    with open(os.devnull, "r+b", buffering=0) as null:
        for fd in (0, 1, 2):
            os.dup2(null.fileno(), fd)
    furnish()
    system_calls.sethostname(name)
    give_up_capabilities()
    os.close(told)  # the caller reads on: everything that can be refused has been granted
    # What init and the lab share stays shared: a full collection would write to every object.
    gc.freeze()
    lab = os.fork()
    if lab:
        channel.close()
        _init(leash, lab)
    leash.close()
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    code = 1
    try:
        code = run(channel)
    except Exception:
        import traceback  # here: it takes memory that init would have too

        traceback.print_exc()  # into the lab's log
    finally:
        os._exit(code)
