# SPDX-License-Identifier: Apache-2.0
"""The private machine that a lab lives in: namespaces, mounts, and its process 1.

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
import ctypes
import errno
import gc
import os
import select
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hoplab.errors import Exit, LabError
from hoplab.sentences import say, term

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY, MS_REMOUNT = 1, 32
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 8, 4096, 16384, 1 << 18

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
# Parts of /proc that are the machine's. /proc/sys/net is the network namespace's own.
_OF_THE_MACHINE = ("/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs")

APPARMOR = "kernel.apparmor_restrict_unprivileged_userns"
_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
TUN = "/dev/net/tun"

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, step: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{step}: {os.strerror(number)}")


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


# ----------------------------------------------------------------- what a machine may refuse


@dataclass(frozen=True)
class Refusal:
    """Something this machine does not allow, and the line that allows it. setting: the sysctl or
    the file that stands in the way, where somebody asks for it."""

    what: str
    fix: str
    setting: str = ""


def _sysctl(name: str) -> str | None:
    try:
        return Path("/proc/sys", *name.split(".")).read_text().strip()
    except OSError:
        return None


def refusals(*, tun: bool = True) -> Iterator[Refusal]:
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
    first = next(refusals(tun=tun), None)
    if first is not None:
        return LabError(
            say("this machine refuses a lab to you: {reason}", reason=first.what),
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
    if error.errno == errno.EPERM and "mount proc" in str(error.strerror):
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
    message = say("this machine refuses a lab to you: {reason}", reason=error.strerror)
    return LabError(message, hint, Exit.REFUSED)


def _filtered() -> bool:
    """Is this process under a filter of system calls (seccomp(2), proc(5): Seccomp)?"""
    with contextlib.suppress(OSError):
        return "\nSeccomp:\t2" in Path("/proc/self/status").read_text()
    return False


# ------------------------------------------------------------------------- the lab's machine


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


def _new_namespaces() -> None:
    uid, gid = os.geteuid(), os.getegid()
    flags = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC
    if uid == 0:
        unshare(flags)
        return
    unshare(flags | CLONE_NEWUSER)
    # An ordinary user may map one id: to root inside. setgroups must be given up first
    # (user_namespaces(7), "The /proc/[pid]/setgroups file").
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"0 {uid} 1")
    _write("/proc/self/gid_map", f"0 {gid} 1")


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


def give_up_capabilities() -> None:
    """Lose what `NOT_NEEDED` names, for this process and all that it starts."""
    for number in NOT_NEEDED.values():
        _libc.prctl(24, number, 0, 0, 0)  # PR_CAPBSET_DROP; a kernel may not know the newest
    # capset(2) with header version 3: effective, permitted, inheritable, lower and upper 32 bits.
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    data = (ctypes.c_uint32 * 6)()
    _check(_libc.capget(header, data), "capget")
    for number in NOT_NEEDED.values():
        for kind in range(3):
            data[kind + 3 * (number // 32)] &= ~(1 << number % 32) & 0xFFFFFFFF
    _check(_libc.capset(header, data), "capset")


def _private_mounts(
    keep: Sequence[str], hide: Sequence[str], own: Sequence[str], own_tmp: bool
) -> None:
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
                lambda: _private_mounts(keep, hide, own, own_tmp),
                run,
                inner,
                leash_inner,
                answer_write,
                fds,
            )
        except OSError as error:
            os.write(answer_write, f"E{error.errno or 0} {error.strerror}".encode())
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
        number, _, text = words[words.index("E") + 1 :].partition(" ")
        raise refused(OSError(int(number), text))
    if not words:
        raise LabError(
            term("the lab's first process ended before it could start"),
            term("was it killed? run the command again"),
            Exit.LAB_DIED,
        )
    return Started(int(words.split()[0]), outer, leash_outer)


def _close_all_but(*fds: int) -> None:
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
    _close_all_but(channel.fileno(), leash.fileno(), told, *fds)
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
    sethostname(name)
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
