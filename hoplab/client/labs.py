# SPDX-License-Identifier: Apache-2.0
"""Labs seen from outside: their folders, whether they live, and the other end of their socket.

A lab's folder is `$XDG_STATE_HOME/hoplab/labs/NAME`. Its file `lock` is locked (flock(2)) by the
lab's first two processes, so the kernel itself says whether a lab lives: no pid file can lie.
A folder whose lock is free is what a dead lab left to read; the next `up` of that name replaces it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import signal
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hoplab import wait
from hoplab.client.interrupts import INTERRUPTS, heeded, hold_interrupts, release_interrupts
from hoplab.errors import Exit, LabError
from hoplab.sentences import from_plain, listed, say, term
from hoplab.service.spec import LARGEST_MESSAGE, LOCK, SOCKET, STATE, WAITING

DEFAULT_NAME = "lab"
PREFERRED = "preferred"  # a file beside the labs' folder
ANSWER_S = 60


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
            return not take_lock(fd, fcntl.LOCK_SH)
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
    Ctrl-C too late to stop it. Raises as `change` does."""
    unsaid = LabError(
        term("interrupted twice, before the lab said which controller is in charge"),
        say("hoplab ls tells it, and hoplab table --name {lab}", lab=handle.name),
        Exit.INTERRUPTED,
    )
    return change(handle, {"op": "swap", **request}, unsaid)


def change(
    handle: Handle, request: dict[str, Any], unsaid: LabError | None = None
) -> tuple[dict[str, Any], bool]:
    """Have a lab changed: what it says of that, and whether somebody has pressed Ctrl-C (or asked
    us to end) too late to stop it.

    Such a request goes to the lab, which alone knows how far it is: either it answers with an
    error, and all is as before, or with what has happened. unsaid: what is raised where somebody
    does not wait for that. Raises LabError, KeyboardInterrupt before anything was asked for.
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
            send(sock, request)
            release_interrupts()
            answer: dict[str, Any] = receive(sock, handle.name)["ok"]
            hold_interrupts()  # until it is said; nothing can be stopped any more
            return answer, pressed > 0
        except KeyboardInterrupt:
            raise (unsaid or _unsaid(handle.name)) from None
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _unsaid(name: str) -> LabError:
    return LabError(
        term("interrupted twice, before the lab said whether it has changed"),
        say("{command} tells it", command=f"hoplab ls {name}"),
        Exit.INTERRUPTED,
    )


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
    return [
        handle
        for handle in map(Handle, names)
        if not (handle.folder / WAITING).exists() and handle.alive()
    ]


def find(name: str | None) -> Handle:
    """The lab of this name; without a name the default one, or the only one there is, or that
    which is preferred. Raises LabError (NO_SUCH)."""
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
    preferred = next((handle for handle in alive if handle.name == _preferred()), None)
    if preferred is not None:
        return preferred
    raise LabError(
        say("several labs are up: {labs}", labs=listed(lab.name for lab in alive)),
        term("choose one with --name"),
        Exit.NO_SUCH,
    )


def prefer(name: str) -> None:
    """Have this lab meant by whoever names none, when several are up and none is called lab. That
    it could not be written down is no fault: a name says it then."""
    with contextlib.suppress(OSError):
        state_folder().mkdir(parents=True, exist_ok=True, mode=0o700)
        (state_folder() / PREFERRED).write_text(name, encoding="utf-8")


def _preferred() -> str:
    try:
        return (state_folder() / PREFERRED).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return ""


def take_lock(lock: int, how: int) -> bool:
    """Take it, if it is to be had now: shared (beside others who look) or exclusive."""
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
