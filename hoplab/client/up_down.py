# SPDX-License-Identifier: Apache-2.0
"""How a lab begins and ends, from outside: its name taken, its first process started, awaited, and
ended with all that it has.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hoplab import wait
from hoplab.client import labs, outside
from hoplab.client.interrupts import hold_interrupts, release_interrupts
from hoplab.client.labs import Handle
from hoplab.control import preloaded
from hoplab.errors import Exit, LabError, cannot_write
from hoplab.kernel import cgroups, refusals, sandbox
from hoplab.sentences import from_plain, say, term
from hoplab.service.spec import LARGEST_MESSAGE, LOCK, SCRIPT, SOCKET, WAITING, Spec

UP_S = 120

Progress = Callable[[str], None]


@dataclass
class Claim:
    """A name taken for a lab that is about to be: an empty folder with its lock held."""

    handle: Handle
    lock: int

    def give_up(self, *, keep_logs: bool = False) -> None:
        """Release the name; the folder goes, unless its logs are still to be read."""
        if not keep_logs:
            _remove(self.handle.folder)
        else:
            for entry in self.handle.folder.iterdir():
                if not entry.is_dir():
                    entry.unlink(missing_ok=True)
        os.close(self.lock)


def claim(name: str) -> Claim:
    """Take the name. Raises LabError: TAKEN, or that the folder cannot be written."""
    labs.check_name(name)
    handle = Handle(name)
    deadline = time.monotonic() + 1
    try:
        labs.labs_folder().mkdir(parents=True, exist_ok=True, mode=0o700)
        while True:
            handle.folder.mkdir(exist_ok=True, mode=0o700)
            try:
                fd = os.open(handle.folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except FileNotFoundError:  # somebody has swept it
                continue
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                same = os.fstat(fd).st_ino == os.stat(handle.folder / LOCK).st_ino
            except BlockingIOError:
                lab = not labs.take_lock(fd, fcntl.LOCK_SH) and any(
                    (handle.folder / name).exists() for name in (SOCKET, WAITING)
                )
                os.close(fd)
                # Somebody who only looks holds it for a moment; a lab holds it for good.
                if lab or time.monotonic() > deadline:
                    raise LabError(
                        say("a lab called {lab} is up already", lab=name),
                        say(
                            "end it with `hoplab down --name {lab}`, put the new one into its "
                            "place with `hoplab up --replace`, or choose another --name",
                            lab=name,
                        ),
                        Exit.TAKEN,
                    ) from None
                time.sleep(0.01)
                continue
            except FileNotFoundError:
                same = False
            if same:
                handle.folder.chmod(0o700)  # also one that was there before
                break
            os.close(fd)  # the folder was replaced under our hands
        for entry in handle.folder.iterdir():
            if entry.name != LOCK:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    except OSError as error:
        raise cannot_write(error, handle.folder) from error
    return Claim(handle, fd)


def up(spec: Spec, progress: Progress) -> Handle:
    """Bring a lab up and return when it is ready. `spec.folder` is filled in here.

    Raises LabError; nothing is left then but the logs. Must be called while this process has one
    thread. Whatever ends this process before the end of the call ends the lab too. Returns with
    interrupts held, for the lab would outlive one that comes before the caller has the handle:
    `release_interrupts` when it can be ended.
    """
    hold_interrupts()  # until it is known what there is to end
    try:
        claimed = claim(spec.name)
    except BaseException:
        release_interrupts()
        raise
    started = None
    carrier, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        spec = replace(spec, folder=claimed.handle.folder)
        progress(term("making namespaces"))
        started = _start(spec, claimed, theirs)
        theirs.close()
        release_interrupts()
        (spec.folder / "init.pid").write_text(str(started.pid))
        _await_ready(started, spec, progress, carrier)
        hold_interrupts()
        started.commit()
    except BaseException as error:
        hold_interrupts()  # a second Ctrl-C does not stop what the first began
        if started is not None:
            end_process(started.pid)
        died = isinstance(error, LabError) and error.code == Exit.LAB_DIED
        claimed.give_up(keep_logs=died)
        release_interrupts()
        if isinstance(error, OSError):
            raise cannot_write(error, spec.folder) from error
        tun = spec.datapath != "kernel"
        if died and started is None and any(refusals.find(tun=tun)):
            raise refusals.refused(OSError(errno.EPERM, str(error)), tun=tun) from error
        raise
    finally:
        carrier.close()
        theirs.close()
    os.close(claimed.lock)  # the lab's own processes hold it on
    return claimed.handle


def check(spec: Spec) -> None:
    """Whether a lab could be brought up, as far as that can be told without its making: in a
    machine of its own that goes again. Raises LabError. As for `up`, this process has one thread.
    """
    from hoplab.service import server

    try:
        labs.state_folder().mkdir(parents=True, exist_ok=True, mode=0o700)
        folder = Path(tempfile.mkdtemp(prefix="check-", dir=labs.state_folder()))
    except OSError as error:
        raise cannot_write(error, labs.state_folder()) from error
    spec = replace(spec, folder=folder)
    started = None
    hold_interrupts()  # until it is known what there is to end
    try:
        started = _machine(spec, lambda channel: server.check(spec, channel), [])
        release_interrupts()
        _await_ready(started, spec, lambda step: None, None)
    finally:
        hold_interrupts()
        if started is not None:
            end_process(started.pid)
        _remove(folder)
        release_interrupts()


def _start(spec: Spec, claimed: Claim, carrier: socket.socket) -> sandbox.Started:
    """The lab's process, in a machine of its own. carrier: where it sends connections that are to
    be carried on outside."""

    def run(channel: socket.socket) -> int:
        os.set_inheritable(claimed.lock, False)
        # Before all else, for it takes longest.
        first = None
        if spec.platform == "ryu" and preloaded.worth_it(spec.topology):
            first = preloaded.start(spec.logs / f"controller-{preloaded.PORT}.log")
        from hoplab.service import server

        return server.main(spec, channel, first, carrier)

    return _machine(spec, run, [claimed.lock, carrier.fileno()])


def _machine(
    spec: Spec, run: Callable[[socket.socket], int], fds: list[int]
) -> sandbox.Started:
    """A machine that sees of this one's folders what the lab needs."""
    keep = [str(spec.topology.parent), labs.here()]
    keep += [str(file.parent) for file in spec.controller.files]
    keep += spec.controller.folders
    # Other labs' folders, hence their sockets, are not for what runs in this one.
    hide, own = [str(labs.labs_folder())], [str(spec.folder)]
    return sandbox.start(spec.name, keep, run, hide=hide, own=own, fds=fds)


def _look_outside(spec: Spec, wanted: list[list[Any]], carrier: socket.socket) -> list[str]:
    """Whether controllers may be reached at these addresses. Once one may, a process of its own
    carries connections there for as long as the lab lives."""
    reach = outside.Outside(not spec.outside, frozenset(spec.far))
    states = [reach.state((ip, port)) for ip, port in wanted]
    if outside.THERE in states and os.fork() == 0:
        try:
            os.setsid()
            with open(os.devnull, "r+b", buffering=0) as null:
                for fd in (0, 1, 2):
                    os.dup2(null.fileno(), fd)
            sandbox.close_all_but(carrier.fileno())
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            release_interrupts()
            reach.serve(carrier)
        finally:
            os._exit(0)
    return states


def _await_ready(
    started: sandbox.Started,
    spec: Spec,
    progress: Progress,
    carrier: socket.socket | None,
) -> None:
    """carrier: where the lab sends connections that are to be carried on outside."""
    within_s = UP_S * wait.patience()
    while True:
        if not wait.readable([started.channel.fileno()], within_s):
            raise LabError(
                say("the lab is not up after {s:g} s", s=within_s),
                term("see `hoplab doctor`"),
                Exit.LAB_DIED,
            )
        data = started.channel.recv(LARGEST_MESSAGE)
        if not data:
            raise LabError(
                term("the lab ended while it was brought up"),
                say("why may be in {folder}; was one of its processes killed?", folder=spec.logs),
                Exit.LAB_DIED,
            )
        message = json.loads(data, object_hook=from_plain)
        if "progress" in message:
            progress(message["progress"])
        elif "look" in message and carrier is not None:
            states = _look_outside(spec, message["look"], carrier)
            started.channel.send(json.dumps({"states": states}).encode())
        elif "error" in message:
            raise LabError.from_dict(message)
        else:
            return


def end_process(pid: int, within_s: float = 5) -> None:
    """End a sandbox's process 1, hence everything in it, and wait until it is gone."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        wait.readable([pidfd], within_s)
    finally:
        os.close(pidfd)


def down(handle: Handle, *, keep: bool = False) -> None:
    """End a lab, politely if it answers, by force if not; its folder goes unless `keep`.

    Returns when the lab's process 1 is on its way out: nothing can stop the kernel from ending the
    rest then, and the name is free. With hundreds of hosts the kernel is busy with that for
    seconds, in which nobody has to wait.
    """
    pid = _init_pid(handle)
    limits = cgroups.of_lab(pid) if pid is not None else ""
    asked = False
    with contextlib.suppress(LabError):
        handle.ask({"op": "down"}, within_s=3)
        asked = True
    if asked:
        with contextlib.suppress(LabError):
            _until_ended(handle, within_s=2)
    if pid is not None:
        end_process(pid, within_s=0)
    _until_ended(handle, within_s=10)
    cgroups.remove(limits)
    if not keep:
        remove_free(handle)


def sweep() -> None:
    """Remove what labs have left that were killed together with whoever should have done it: the
    folders of scripts, those of names that were just being taken, control groups."""
    cgroups.sweep()
    with contextlib.suppress(OSError):
        for name in os.listdir(labs.labs_folder()):
            handle = Handle(name)
            held = set(os.listdir(handle.folder))
            if (SCRIPT in held or held == {LOCK}) and not handle.alive():
                remove_free(handle)
            elif not held:
                os.rmdir(handle.folder)


def remove_free(handle: Handle) -> None:
    """Remove the folder of a lab that has ended, but not if the name is another's by now."""
    with contextlib.suppress(LabError, OSError):
        fd = os.open(handle.folder / LOCK, os.O_RDWR | os.O_CLOEXEC)
        try:
            state = term("the lock of the lab's folder")
            wait.until(lambda: labs.take_lock(fd, fcntl.LOCK_EX), state, within_s=1)
            if os.fstat(fd).st_ino == os.stat(handle.folder / LOCK).st_ino:
                (handle.folder / SOCKET).unlink(missing_ok=True)
                _remove(handle.folder)
        finally:
            os.close(fd)


def _remove(folder: Path) -> None:
    """Remove a lab's folder, also if a process of it that is about to end makes a last file."""

    def gone() -> bool:
        shutil.rmtree(folder, ignore_errors=True)
        return not folder.exists()

    with contextlib.suppress(LabError):
        wait.until(gone, say("{folder} to be empty", folder=folder), within_s=2)


def _until_ended(handle: Handle, within_s: float) -> None:
    wait.until(
        lambda: not handle.alive(),
        say("the lab {lab} to end", lab=handle.name),
        within_s=within_s,
        longest_s=0.01,
        hint=term("is one of its processes stuck? see `ps -ef | grep hoplab`"),
    )


def _init_pid(handle: Handle) -> int | None:
    """The pid of the lab's process 1, only if that is what the number still means: it is the
    process that has the lab's lock open."""
    try:
        pid = int((handle.folder / "init.pid").read_text())
        lock = os.stat(handle.folder / LOCK)
        for entry in os.scandir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                opened = entry.stat()
                if (opened.st_dev, opened.st_ino) == (lock.st_dev, lock.st_ino):
                    return pid
    except (OSError, ValueError):
        pass
    return None
