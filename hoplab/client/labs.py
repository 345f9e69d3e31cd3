# SPDX-License-Identifier: Apache-2.0
"""Labs seen from outside: their folders, whether they live, and the other end of their socket.

A lab's folder is `$XDG_STATE_HOME/hoplab/labs/NAME`. Its file `lock` is locked (flock(2)) by the
lab's first two processes, so the kernel itself says whether a lab lives: no pid file can lie.
A folder whose lock is free is what a dead lab left to read; the next `up` of that name replaces it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
import shutil
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hoplab import wait
from hoplab.client.interrupts import INTERRUPTS, heeded, hold_interrupts, release_interrupts
from hoplab.control import preloaded
from hoplab.errors import Exit, LabError, cannot_write
from hoplab.kernel import sandbox
from hoplab.sentences import from_plain, listed, say, term
from hoplab.service.spec import LARGEST_MESSAGE, LOCK, SOCKET, STATE, Spec

DEFAULT_NAME = "lab"
UP_S = 120
ANSWER_S = 60

Progress = Callable[[str], None]


def state_folder() -> Path:
    """Where labs keep their folders (XDG Base Directory Specification)."""
    home = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    try:
        return Path(home).expanduser() / "hoplab"
    except RuntimeError:
        raise LabError(
            say(
                "labs are kept in your home, and nobody knows where it is: HOME is not set, and "
                "user {uid} has no account here",
                uid=os.getuid(),
            ),
            term("export HOME=/tmp/me, or XDG_STATE_HOME, a folder that you may write"),
            Exit.REFUSED,
        ) from None


def labs_folder() -> Path:
    return state_folder() / "labs"


def here() -> str:
    """The working directory. Raises LabError if it has been deleted."""
    try:
        return os.getcwd()
    except OSError as error:
        raise LabError(
            term("the folder that you are in is not there any more"),
            term("cd into another one"),
            Exit.NO_SUCH,
        ) from error


def check_name(name: str) -> None:
    """Raises LabError for what cannot be a lab's name."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,40}", name):
        raise LabError(
            say("{name!r} is no name for a lab", name=name),
            term("use up to 41 letters, digits and - _ ."),
            Exit.USAGE,
        )


# -------------------------------------------------------------------------------- one lab


class NoAnswer(LabError):
    """A lab that lives has not answered in time."""


@dataclass(frozen=True)
class Handle:
    """A lab by name. It may have died since it was found: then every request says so."""

    name: str

    @property
    def folder(self) -> Path:
        return labs_folder() / self.name

    def alive(self) -> bool:
        """Whether a process of the lab holds its lock."""
        try:
            fd = os.open(self.folder / LOCK, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            # A shared lock, so that two who look at once do not see each other.
            return not _locked(fd, fcntl.LOCK_SH)
        finally:
            os.close(fd)

    def state(self) -> dict[str, Any]:
        """What lab.json says. Raises LabError when it cannot be read."""
        try:
            data: dict[str, Any] = json.loads((self.folder / STATE).read_text())
        except FileNotFoundError as error:
            raise self.unready() from error
        except (OSError, ValueError) as error:
            raise LabError(
                say(
                    "the lab {lab} has no readable {file}: {reason}",
                    lab=self.name,
                    file=STATE,
                    reason=str(error),
                ),
                say("bring it up anew: hoplab down --name {lab}; hoplab up …", lab=self.name),
                Exit.LAB_DIED,
            ) from error
        return data

    def connect(self) -> socket.socket:
        """A connection for one request. Raises LabError (NO_SUCH) when the lab is not up."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            folder = os.open(self.folder, os.O_PATH | os.O_DIRECTORY)
            try:
                sock.connect(f"/proc/self/fd/{folder}/{SOCKET}")
            finally:
                os.close(folder)
        except OSError:
            sock.close()
            raise (self.unready() if self.alive() else no_lab(self.name)) from None
        return sock

    def unready(self) -> LabError:
        """The error for a lab that somebody is bringing up or down at this moment."""
        return LabError(
            say("the lab {lab} is coming up or going down", lab=self.name),
            term("ask again in a moment; `hoplab ls` lists it when it is up"),
            Exit.TAKEN,
        )

    def ask(
        self, request: dict[str, Any], fds: tuple[int, ...] = (), within_s: float = ANSWER_S
    ) -> Any:
        """One request, one answer. Raises the LabError that the lab answers."""
        with self.connect() as sock:
            send(sock, request, fds)
            return receive(sock, self.name, within_s)["ok"]


def swap(handle: Handle, request: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """Put another controller in charge: what the lab says of it, and whether somebody has pressed
    Ctrl-C (or asked us to end) too late to stop it.

    Such a request goes to the lab, which alone knows whether the switches have gone over: either it
    answers with an error, and the old controller is in charge, or with what has happened. Raises
    LabError, KeyboardInterrupt before anything was asked for.
    """
    pressed = 0

    def caught(number: int, frame: object) -> None:
        nonlocal pressed
        pressed += 1
        if pressed == 1:
            send(sock, {"stop": True})
        else:
            raise KeyboardInterrupt

    with handle.connect() as sock:
        hold_interrupts()
        before = {number: signal.signal(number, caught) for number in heeded(INTERRUPTS)}
        try:
            send(sock, {"op": "swap", **request})
            release_interrupts()
            change: dict[str, Any] = receive(sock, handle.name)["ok"]
            hold_interrupts()  # until it is said; nothing can be stopped any more
            return change, pressed > 0
        except KeyboardInterrupt:
            raise LabError(
                term("interrupted twice, before the lab said which controller is in charge"),
                say("hoplab ls tells it, and hoplab table --name {lab}", lab=handle.name),
                Exit.INTERRUPTED,
            ) from None
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def send(sock: socket.socket, request: dict[str, Any], fds: tuple[int, ...] = ()) -> None:
    """One message. Raises LabError if it is too long (a command line of 200,000 bytes). That the
    lab has just died is for `receive` to tell."""
    data = json.dumps(request).encode()
    if len(data) > LARGEST_MESSAGE:
        raise LabError(
            term("this command line is too long"), term("put it into a script"), Exit.USAGE
        )
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        socket.send_fds(sock, [data], list(fds))


def receive(sock: socket.socket, name: str, within_s: float | None = ANSWER_S) -> dict[str, Any]:
    """The next message. Raises LabError: the lab's own, or that it died or does not answer."""
    await_answer(sock, name, within_s)
    try:
        try:
            data = _whole(sock)
        except ConnectionResetError:
            # The lab has closed its end without reading our last word; its answer is there.
            data = _whole(sock)
    except OSError:
        data = b""
    return understood(data, name)


def await_answer(sock: socket.socket, name: str, within_s: float | None = ANSWER_S) -> None:
    """Until there is something to read. Raises LabError."""
    if within_s is not None:
        within_s *= wait.patience()
    if not wait.readable([sock.fileno()], within_s):
        raise NoAnswer(
            say("the lab {lab} has not answered for {s:g} s", lab=name, s=within_s),
            say("end it: hoplab down --name {lab}", lab=name),
            Exit.LAB_DIED,
        )


def understood(data: bytes, name: str) -> dict[str, Any]:
    """A message, once it is here, with the templates of its sentences. Raises LabError: the lab's
    own, or that it died."""
    if not data:
        raise _gone(name)
    message: dict[str, Any] = json.loads(data, object_hook=from_plain)
    if "error" in message:
        raise LabError.from_dict(message)
    return message


def _gone(name: str) -> LabError:
    """The error for a lab that went away while it was asked."""
    with contextlib.suppress(LabError):
        folder = labs_folder() / name
        # `hoplab down` takes the folder away when the last process has ended.
        wait.until(lambda: not folder.exists(), term("the folder to go"), within_s=0.5)
        return LabError(
            say("the lab {lab} was ended", lab=name),
            term("bring it up again with `hoplab up`"),
            Exit.LAB_DIED,
        )
    return LabError(
        say("the lab {lab} died while it was asked", lab=name),
        say(
            "why is in {folder}/logs; bring it up again with `hoplab up`",
            folder=labs_folder() / name,
        ),
        Exit.LAB_DIED,
    )


def _whole(sock: socket.socket) -> bytes:
    """One answer, from its pieces if it is long; b"" if the lab has gone. Raises OSError."""
    data = sock.recv(LARGEST_MESSAGE)
    if not data.startswith(b'{"bytes": '):
        return data
    whole, size = b"", int(json.loads(data)["bytes"])
    while len(whole) < size:
        piece = sock.recv(LARGEST_MESSAGE)
        if not piece:
            return b""
        whole += piece
    return whole


def no_lab(name: str) -> LabError:
    """The error for a lab that is not up."""
    alive = [handle.name for handle in live()]
    option = "" if name == DEFAULT_NAME else f" --name {name}"
    hint = say("bring one up: {command}", command=f"hoplab up web{option}")
    if alive:
        hint = say(
            "up now: {labs}; choose one with --name {first}", labs=listed(alive), first=alive[0]
        )
    return LabError(say("no lab called {lab} is up", lab=name), hint, Exit.NO_SUCH)


def live() -> list[Handle]:
    """The labs that live, by name."""
    try:
        names = sorted(os.listdir(labs_folder()))
    except OSError:
        return []
    return [handle for handle in map(Handle, names) if handle.alive()]


def find(name: str | None) -> Handle:
    """The lab of this name; without a name the default one, or the only one there is.
    Raises LabError (NO_SUCH)."""
    if name is not None:
        check_name(name)
        handle = Handle(name)
        if not handle.alive():
            raise no_lab(name)
        return handle
    if Handle(DEFAULT_NAME).alive():
        return Handle(DEFAULT_NAME)
    alive = live()
    if len(alive) == 1:
        return alive[0]
    if not alive:
        hint = say("bring one up: {command}", command="hoplab up web")
        raise LabError(term("no lab is up"), hint, Exit.NO_SUCH)
    raise LabError(
        say("several labs are up: {labs}", labs=listed(lab.name for lab in alive)),
        term("choose one with --name"),
        Exit.NO_SUCH,
    )


# ------------------------------------------------------------------------------- up and down


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
    check_name(name)
    handle = Handle(name)
    deadline = time.monotonic() + 1
    try:
        labs_folder().mkdir(parents=True, exist_ok=True, mode=0o700)
        while True:
            handle.folder.mkdir(exist_ok=True, mode=0o700)
            fd = os.open(handle.folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                same = os.fstat(fd).st_ino == os.stat(handle.folder / LOCK).st_ino
            except BlockingIOError:
                lab = not _locked(fd, fcntl.LOCK_SH) and (handle.folder / SOCKET).exists()
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


def _locked(lock: int, how: int) -> bool:
    """Take it, if it is to be had now: shared (beside others who look) or exclusive."""
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


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
    try:
        spec = replace(spec, folder=claimed.handle.folder)
        progress(term("making namespaces"))
        started = _start(spec, claimed)
        release_interrupts()
        (spec.folder / "init.pid").write_text(str(started.pid))
        _await_ready(started, spec, progress)
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
        if died and started is None and any(sandbox.refusals(tun=tun)):
            raise sandbox.refused(OSError(errno.EPERM, str(error)), tun=tun) from error
        raise
    os.close(claimed.lock)  # the lab's own processes hold it on
    return claimed.handle


def _start(spec: Spec, claimed: Claim) -> sandbox.Started:
    """The lab's process, in a machine of its own."""

    def run(channel: socket.socket) -> int:
        os.set_inheritable(claimed.lock, False)
        # Before all else, for it takes longest.
        first = None
        if spec.platform == "ryu" and preloaded.worth_it(spec.topology):
            first = preloaded.start(spec.logs / f"controller-{preloaded.PORT}.log")
        from hoplab.service import server

        return server.main(spec, channel, first)

    keep = [str(spec.topology.parent), here()]
    keep += [str(file.parent) for file in spec.controller]
    # Other labs' folders, hence their sockets, are not for what runs in this one.
    hide, own = [str(labs_folder())], [str(spec.folder)]
    return sandbox.start(spec.name, keep, run, hide=hide, own=own, fds=[claimed.lock])


def _await_ready(started: sandbox.Started, spec: Spec, progress: Progress) -> None:
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
    if not keep:
        _remove_free(handle)


def _remove_free(handle: Handle) -> None:
    """Remove the folder of a lab that has ended, but not if the name is another's by now."""
    with contextlib.suppress(LabError, OSError):
        fd = os.open(handle.folder / LOCK, os.O_RDWR | os.O_CLOEXEC)
        try:
            state = term("the lock of the lab's folder")
            wait.until(lambda: _locked(fd, fcntl.LOCK_EX), state, within_s=1)
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
