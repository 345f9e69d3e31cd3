# SPDX-License-Identifier: Apache-2.0
"""A script's network as a lab: its name and folder, the service that answers for it, its end.

Outside: a name is claimed before the script begins (`claim`), and no lab until its network is
there. Inside: `Guest` hears from the script's Python (`sitecustomize.py`) what the network consists
of, on a socket that hosts do not reach, and lets a service answer for it beside the script, which
may be busy. Commands enter namespaces; no shell of the script's is used.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import shlex
import signal
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hoplab.capture.capture import Capture
from hoplab.client import labs, up_down
from hoplab.control.process import Controller
from hoplab.errors import Exit, LabError, cannot_write
from hoplab.kernel import cgroups, shaping
from hoplab.kernel.wires import Wires
from hoplab.openvswitch.daemons import Switchd
from hoplab.ryu_apps import NO_APPS, Apps
from hoplab.sentences import say
from hoplab.service import loops
from hoplab.service.server import Service
from hoplab.service.spec import SCRIPT, WAITING, Spec
from hoplab.stock.lab import ScriptLab
from hoplab.stock.lacking import Lacking
from hoplab.stock.netem import Hooks, Netem
from hoplab.stock.network import Places
from hoplab.stock.remote import Remotes

DOOR = Path("/run/hoplab/network")  # in the private machine: where the script's Python speaks
_LONGEST_NAME = 36  # of a lab whose script names it; a number may follow
_MOST_OF_A_NAME = 20


@dataclass(frozen=True)
class Wish:
    """What is wished of the lab. name: None for one after the script. save: the folder where all
    of it is kept. controller: apps that are to be in charge; platform: what runs them. workplace:
    the folder where they work."""

    name: str | None = None
    save: Path | None = None
    controller: Apps = NO_APPS
    platform: str = "ryu"
    workplace: Path = Path("/")

    def folders(self) -> list[str]:
        """What has to be seen inside."""
        own = [str(self.save)] if self.save is not None else []
        return [*own, *(str(f.parent) for f in self.controller.files), *self.controller.folders]


# ------------------------------------------------------------------------------- outside


@dataclass
class Claimed:
    """A name that is the script's. problem: why it has none."""

    handle: labs.Handle | None = None
    lock: int = -1
    problem: LabError | None = None

    @property
    def folder(self) -> Path | None:
        return None if self.handle is None else self.handle.folder

    def fds(self) -> list[int]:
        return [self.lock] if self.lock >= 0 else []

    def hand_over(self, pid: int) -> None:
        """The machine holds the name now. pid: of its first process."""
        if self.handle is not None:
            with contextlib.suppress(OSError):  # `hoplab down` asks first, and ends it by force
                (self.handle.folder / "init.pid").write_text(str(pid))
            os.close(self.lock)
            self.lock = -1

    def inside(self) -> None:
        """The machine's second process has it; what that starts does not."""
        if self.lock >= 0:
            os.set_inheritable(self.lock, False)

    def give_up(self) -> None:
        """The machine has ended, or never began."""
        if self.handle is not None:
            if self.lock >= 0:
                os.close(self.lock)
                self.lock = -1
            up_down.remove_free(self.handle)


def claim(argv: Sequence[str], wish: Wish) -> Claimed:
    """Take a name: the one wished for, else one after the script that is free. Where labs cannot
    have folders a script runs all the same. Raises LabError for a name that is wished for."""
    up_down.sweep()
    name, number = wish.name or name_of(argv), 1
    while True:
        try:
            taken = up_down.claim(name if number == 1 else f"{name_of(argv)}-{number}")
            for mark in (SCRIPT, WAITING):
                (taken.handle.folder / mark).touch()
            return Claimed(taken.handle, taken.lock)
        except OSError as error:
            return Claimed(problem=cannot_write(error, labs.labs_folder()))
        except LabError as error:
            if wish.name is not None:
                raise
            if error.code != Exit.TAKEN:
                return Claimed(problem=error)
            number += 1


def name_of(argv: Sequence[str]) -> str:
    """A name for the lab that a command makes: that of the script in it, else of the program."""
    files = re.findall(r"[^\s'\"=;&|]+\.py\b", " ".join(argv))
    stem = Path(files[0] if files else argv[0]).stem
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", stem)[:_LONGEST_NAME].strip("-_.")
    return name or "script"


# -------------------------------------------------------------------------------- inside

Note = Callable[..., None]
Send = Callable[[dict[str, Any], Sequence[int]], None]


class Guest:
    """The lab beside its script, from the script's beginning to its end."""

    def __init__(
        self,
        claimed: Claimed,
        wish: Wish,
        argv: list[str],
        switchd: Switchd | None,
        datapath: str,
        note: Note,
        send: Send,
    ) -> None:
        """note: says something to the user. send: a message to whoever is outside."""
        self._claimed, self._wish, self._argv = claimed, wish, argv
        self._switchd, self._datapath, self._note = switchd, datapath, note
        self.remotes = Remotes(
            note,
            send,
            lambda: switchd.vswitchds() if switchd is not None else [],
            self._start_controller if wish.controller.apps else None,
        )
        self.lab: ScriptLab | None = None
        self._service: Service | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._whole: Capture | None = None  # what --save keeps
        self._facts: dict[str, Any] = {}
        self._controllers: list[Controller] = []
        self._turn = threading.RLock()
        self._lacking = Lacking(note)
        self._places = Places()
        self._netem = Netem(
            lambda pid: self._places.of_process(pid, "script"),
            Wires(self._places),
            functools.cache(lambda: shaping.has_netem(self._places.maker.popen)),
        )
        self._places.asked, self._places.gone = self._netem.places, self._netem.forget
        self._over = self._ended = self._told = self._swapped = False
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(DOOR))
        self._listener.listen(64)

    def accompany(self, process: subprocess.Popen[bytes]) -> None:
        """From now on the script may speak."""
        self._process = process
        threading.Thread(target=self._accept, daemon=True).start()

    # ------------------------------------------------------------------ what the script says

    def _accept(self) -> None:
        number = 0
        while True:
            connection, _ = self._listener.accept()
            number += 1
            threading.Thread(target=self._hear, args=(connection, number), daemon=True).start()

    def _hear(self, connection: socket.socket, who: int) -> None:
        """One process of the script's, until it ends."""
        with connection:
            pid = _peer(connection)
            ours = _is_no_hosts(pid)
            try:
                with connection.makefile("rwb") as lines:
                    for line in lines:
                        message = json.loads(line)
                        answer: dict[str, Any] = {}
                        if "tc" in message:
                            answer = self._shape(pid, **message["tc"])
                        elif not ours:
                            return
                        else:
                            answer = self._understand(who, message)
                        lines.write(json.dumps(answer).encode() + b"\n")
                        lines.flush()
            except (OSError, ValueError, TypeError):
                pass
        if ours and not self._over:
            self._draw(who, None)

    def _shape(self, pid: int, words: list[str], tc: str, parent: int) -> dict[str, Any]:
        """A `tc` asks, in its own network namespace, be it a host's."""
        return self._netem.ask(pid, int(parent), list(map(str, words)), str(tc)).as_data()

    def _understand(self, who: int, message: dict[str, Any]) -> dict[str, Any]:
        """What a process of the script's says; returns the answer to it."""
        if "picture" in message:
            self._draw(who, message["picture"])
        elif "lacking" in message:
            kind, *words = message["lacking"]
            self._lacking.met(kind, words)
        elif "cgroups" in message:
            return {"folder": cgroups.enter()}
        elif "remote" in message:
            self.remotes.wanted(**message["remote"])
        elif "started" in message:
            self._has_started()
        elif "stopping" in message and self.lab is not None:
            self.lab.refresh()
            self._note_facts()
        return {}

    def _draw(self, who: int, picture: dict[str, Any] | None) -> None:
        with self._turn:
            if self.lab is None:
                if picture is None or not picture["nodes"] or self._told:
                    return
                self._become_lab()
            if self.lab is not None:
                self.lab.draw(who, picture)
                if self._whole is None and self._wish.save is not None:
                    self._keep_all(self._wish.save)

    def _become_lab(self) -> None:
        """There is a network: answer for it."""
        folder = self._claimed.folder
        try:
            if folder is None:
                assert self._claimed.problem is not None
                raise self._claimed.problem
            spec = Spec(
                folder.name, folder, self._script(), workplace=self._wish.workplace,
                platform=self._wish.platform,
            )  # fmt: skip
            spec.logs.mkdir(exist_ok=True)
            lab = ScriptLab(
                spec, self._argv, self._switchd, self._datapath, self._netem, self._places
            )
            service = Service(lab)
        except (LabError, OSError) as error:
            self._told = True
            reason = error.message if isinstance(error, LabError) else str(error)
            self._note(say("the script's network is no lab: {reason}", reason=reason))
            return
        lab.fresh = service.facts.forget
        self._netem.hooks = Hooks(lab.queue_goes, lab.queue_came)
        self.lab, self._service = lab, service
        (folder / WAITING).unlink(missing_ok=True)
        threading.Thread(target=self._serve, args=(service,), daemon=True).start()

    def _script(self) -> Path:
        for word in self._argv:
            if word.endswith(".py") and os.path.isfile(word):
                return Path(os.path.abspath(word))
        return Path(name_of(self._argv))

    def _serve(self, service: Service) -> None:
        """Until `down`, which ends the script, too."""
        process = self._process
        if service.serve() or self._over or process is None or process.poll() is not None:
            return
        self._ended = True
        self._note(say("the lab {lab} was ended, and its script with it",
                       lab=service.lab.spec.name))  # fmt: skip
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    def _has_started(self) -> None:
        lab = self.lab
        if lab is None:
            return
        lab.refresh()
        for host in lab.network.hosts:
            if "NAT" in host.classes:
                self._lacking.met("nat", [host.name])
        loop = loops.remark(lab.state())
        if loop:
            self._note(loop)
        apps = self._wish.controller
        if apps.apps and not self.remotes.any and not self._swapped and lab.network.bridges():
            self._swapped = True
            try:
                lab.swap(apps, self._wish.workplace, lambda: None)
            except LabError as error:
                self._note(say("{reason}; {hint}", reason=error.message, hint=error.hint))
        if not self._told:
            self._told = True
            self._note(_how_to_ask(lab), at_terminal=True)

    def _start_controller(self, port: int) -> None:
        """The controller that the command line names. Raises LabError."""
        folder = self._claimed.folder or DOOR.parent
        (folder / "logs").mkdir(exist_ok=True)
        wish = self._wish
        new = Controller(
            wish.controller, port, folder, wish.platform, workplace=wish.workplace
        )
        new.start()
        self._controllers.append(new)
        new.ready()

    @property
    def built(self) -> bool:
        """Whether the script has built a network, be it a lab or not."""
        return self.lab is not None or self._told

    # ------------------------------------------------------------------ what is kept

    def _keep_all(self, folder: Path) -> None:
        """Capture everything from now to the end."""
        from hoplab.client import recording

        assert self.lab is not None and self._service is not None
        try:
            self._whole = self.lab.capture(folder / recording.CAPTURE)
            self._facts["before"] = self._service.facts.counts()
        except (LabError, OSError) as error:
            self._note(say("nothing is kept: {reason}", reason=str(error)))

    def _note_facts(self) -> None:
        if self._whole is not None and self._service is not None:
            facts = self._service.facts
            facts.note_built()
            self._facts |= {"built": facts.built, "now": facts.now()}

    def _keep_end(self) -> None:
        """Write what the capture has no place for, and end it."""
        from hoplab.client import recording

        folder, lab = self._wish.save, self.lab
        if self._whole is None or lab is None or folder is None:
            return
        if "now" not in self._facts:
            lab.refresh()
            self._note_facts()
        try:
            (folder / recording.STATE).write_text(json.dumps(lab.state(), indent=1))
            facts = {"format": 1, **self._facts}
            (folder / recording.HOSTS).write_text(json.dumps(facts))
            self._whole.stop()
        except OSError as error:
            self._note(cannot_write(error, folder).message)
            return
        page = shlex.quote(min(os.path.relpath(folder), str(folder), key=len))
        self._note(
            say("kept in {folder}; a page to look at it: {command}",
                folder=str(folder), command=f"hoplab report {page}")
        )  # fmt: skip

    # ------------------------------------------------------------------ the end

    def end(self, code: int) -> int:
        """The script has ended: so has the lab. Returns the exit code, which is another one if
        somebody ended it."""
        self._over = True
        if self._service is not None:
            self._keep_end()
            self._service.part(
                LabError(
                    say("the lab {lab} ended with its script", lab=self._service.lab.spec.name),
                    say("run it again: {command}", command=self._service.lab.command()),
                    Exit.LAB_DIED,
                )
            )
        return 128 + signal.SIGTERM if self._ended else code


def _peer(connection: socket.socket) -> int:
    """The process that speaks (unix(7), SO_PEERCRED)."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    pid, _, _ = struct.unpack("=iII", raw)
    return int(pid)


def _is_no_hosts(pid: int) -> bool:
    """Whether a process is in no namespace of a host's."""
    try:
        own, theirs = (os.stat(f"/proc/{each}/ns/net").st_ino for each in (os.getpid(), pid))
    except OSError:
        return False
    return own == theirs


def _how_to_ask(lab: ScriptLab) -> str:
    """What one may type in another terminal."""
    name, hosts = lab.spec.name, lab.network.hosts
    command = f"hoplab ls, hoplab exec --name {name} HOST -- COMMAND"
    addressed = [host for host in hosts if host.defaultIntf() is not None]
    last = addressed[-1].defaultIntf() if len(addressed) > 1 else None
    if last is not None and last.IP():
        command = f"hoplab trace --name {name} {addressed[0].name} -- ping -c 1 {last.IP()}"
    return say("lab {lab} is up; in another terminal: {command}", lab=name, command=command)
