# SPDX-License-Identifier: Apache-2.0
"""The programs that serve on the hosts of a running lab: begun, ended, begun again.

A service is a process that waits for somebody at a port. It is called after its program (web for
web_server.py), or by a port. What is ended is known by its command line, so that it can be begun
again as it was; so is what has ended by itself, as the lab knows what ran when it came up.

What lives here: those processes. What must not: which of them a topology begins.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hoplab import content, programs, wait
from hoplab.errors import Exit, LabError
from hoplab.nearest import did_you_mean
from hoplab.sentences import listed, say, term, together

if TYPE_CHECKING:
    from hoplab.service.lab import Lab
    from hoplab.service.members import Answer, Wanted

ACTIONS = ("stop", "start", "restart")
_LISTENS_S, _ENDS_S = 20.0, 5.0
_INTERPRETERS = re.compile(r"(python|bash|sh|perl|ruby|node)[\d.]*")
_BACKGROUND = "--background"  # of our apps: return when it listens


@dataclass(frozen=True)
class Service:
    """A program that serves. pid: 0 if it does not run now. ports: as "tcp 80"."""

    argv: tuple[str, ...]
    ports: tuple[str, ...]
    pid: int = 0
    cwd: str = "/"
    environment: tuple[tuple[str, str], ...] | None = None

    @property
    def program(self) -> str:
        return program_of(self.argv)

    @property
    def names(self) -> list[str]:
        """What it may be called, the usual name first."""
        stem = self.program.rpartition(".")[0] or self.program
        numbers = [port.partition(" ")[2] for port in self.ports]
        return list(dict.fromkeys([stem.split("_")[0], stem, self.program, *numbers]))


def program_of(argv: Sequence[str]) -> str:
    """What a program is called: its script, where an interpreter runs one."""
    words = [word for word in argv if not word.startswith("-")]
    if len(words) > 1 and _INTERPRETERS.fullmatch(os.path.basename(words[0])):
        return os.path.basename(words[1])
    return os.path.basename(words[0]) if words else ""


def grouped(listeners: Sequence[Mapping[str, Any]]) -> list[Service]:
    """The services behind sockets that wait, a process each."""
    by_pid: dict[int, list[Mapping[str, Any]]] = {}
    for listener in listeners:
        if listener.get("pid") and listener.get("argv"):
            by_pid.setdefault(listener["pid"], []).append(listener)
    return [
        Service(
            tuple(own[0]["argv"]),
            tuple(dict.fromkeys(f"{each['protocol']} {each['port']}" for each in own)),
            pid,
        )
        for pid, own in by_pid.items()
    ]


def ended_among(past: Iterable[Service], running: Iterable[Service]) -> list[Service]:
    """Those that ran, and do not now, nor has the same program taken one of their ports since."""
    commands = {each.argv for each in running}
    taken = {(each.program, port) for each in running for port in each.ports}
    ended = []
    for each in past:
        if each.argv in commands or any((each.program, port) in taken for port in each.ports):
            continue
        commands.add(each.argv)
        ended.append(Service(each.argv, each.ports, 0, each.cwd, each.environment))
    return ended


class Services:
    """Of all hosts of a lab."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._ended: dict[str, list[Service]] = {}  # by host; what was ended here

    def forget(self, host: str) -> None:
        """It goes."""
        self._ended.pop(host, None)

    # ------------------------------------------------------------------ beginning

    def begin(self, host: Any, words: Sequence[str], wanted: Wanted = lambda: None) -> str:
        """Run a command line that serves, until it listens: an app of ours by its name, a file, a
        program. Returns what it is called. Raises LabError."""
        argv = command_of(words)
        self._run(host.name, Service(tuple(argv), ()), wanted)
        return program_of(argv)

    def _run(self, host: str, service: Service, wanted: Wanted) -> None:
        """Raises LabError where it ends, or does not listen."""
        place = self._lab.network.place(host)
        environment = dict(service.environment or os.environ.items())
        environment["PATH"] = programs.search_path(environment.get("PATH"))
        log = self._lab.spec.logs / f"{host}-{service.program}.log"
        before = {each.pid for each in self.running(host)}
        try:
            with open(log, "ab") as output:
                process = place.namespace.popen(
                    list(service.argv), stdin=subprocess.DEVNULL, stdout=output,
                    stderr=output, env=environment, start_new_session=True,
                    cwd=service.cwd if os.path.isdir(service.cwd) else "/",
                )  # fmt: skip
        except OSError as error:
            raise LabError(
                say("{command}: {reason}", command=service.argv[0], reason=error.strerror),
                term("is it installed? a host sees the same programs as your machine"),
                Exit.NO_SUCH,
            ) from error

        def listens() -> bool:
            wanted()
            code = process.poll()
            if code or (code == 0 and _BACKGROUND not in service.argv):
                raise self._failed(host, service, log)
            if _BACKGROUND in service.argv:
                return code == 0
            return any(each.pid not in before for each in self.running(host))

        try:
            wait.until(
                listens, say("{program} on {host} to listen", program=service.program, host=host),
                within_s=_LISTENS_S, hint=term("what it said is in the lab's logs"),
                longest_s=0.1,
            )  # fmt: skip
        except BaseException:
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            raise

    @staticmethod
    def _failed(host: str, service: Service, log: Path) -> LabError:
        with contextlib.suppress(OSError):
            lines = log.read_text(errors="replace").splitlines()[-5:]
            return LabError(
                say("{program} did not start on {host}", program=service.program, host=host),
                term("its own words are below"),
                Exit.FAILED,
                "\n".join(lines),
            )
        return LabError(
            say("{program} did not start on {host}", program=service.program, host=host)
        )

    # ------------------------------------------------------------------ looking

    def running(self, host: str) -> list[Service]:
        """Those that run on a host now."""
        return grouped(self._lab.facts.listeners(host))

    def known(self, host: str) -> list[Service]:
        """Those that run, and those that ran and have ended. The same program at the same port, by
        another command line, runs in the place of one that has ended."""
        running = self.running(host)
        built = ((self._lab.facts.built or {}).get("hosts") or {}).get(host) or {}
        past = [*self._ended.get(host, ()), *grouped(built.get("listeners", ()))]
        return running + ended_among(past, running)

    def _named(self, host: str, name: str) -> list[Service]:
        every = self.known(host)
        fitting = [each for each in every if name in each.names]
        if not fitting:
            names = list(dict.fromkeys(word for each in every for word in each.names))
            usual = list(dict.fromkeys(each.names[0] for each in every))
            raise LabError(
                say("{host} has no service {name}", host=host, name=name),
                together(
                    did_you_mean(name, names),
                    say("it has: {names}", names=listed(usual))
                    if usual else term("no program waits for anybody there"),
                ),
                Exit.NO_SUCH,
            )  # fmt: skip
        return fitting

    # ------------------------------------------------------------------ changing

    def change_all(
        self, host: str, wishes: Mapping[str, str], wanted: Wanted = lambda: None
    ) -> Answer:
        """Stop, start or restart services, by their names. Raises LabError."""
        lab = self._lab
        lab.network.place(host)
        with lab.members.turn:
            for name, action in wishes.items():
                if action not in ACTIONS:
                    raise LabError(
                        say("{action} is nothing that is done to a service", action=action),
                        say("write {name}=stop, {name}=start or {name}=restart", name=name),
                        Exit.USAGE,
                    )
                self._named(host, name)
            sentences: list[str] = []
            for name, action in wishes.items():
                begun_ns = lab.moment()
                for service in self._named(host, name):
                    wanted()
                    sentences.append(self._change(host, service, action, wanted))
                lab.note_change(sentences[-1], begun_ns)
        return {
            "host": host,
            "services": [
                {"name": each.names[0], "program": each.program, "ports": list(each.ports),
                 "running": bool(each.pid)}
                for each in self.known(host)
            ],
            "sentences": sentences,
        }  # fmt: skip

    def _change(self, host: str, service: Service, action: str, wanted: Wanted) -> str:
        values = {"program": service.program, "host": host}
        if action == "stop" and not service.pid:
            return say("{program} on {host} does not run", **values)
        if action == "start" and service.pid:
            return say("{program} on {host} runs already", **values)
        whole = _with_surroundings(service)
        if service.pid:
            self._end(host, whole)
        if action == "stop":
            return say("{program} on {host} has been stopped", **values)
        self._run(host, whole, wanted)
        self._ended[host] = [
            each for each in self._ended.get(host, ()) if each.argv != service.argv
        ]  # fmt: skip
        if action == "start":
            return say("{program} on {host} has been started", **values)
        return say("{program} on {host} has been started again", **values)

    def _end(self, host: str, service: Service) -> None:
        """End its process, and keep what it was."""
        kept = [each for each in self._ended.get(host, ()) if each.argv != service.argv]
        self._ended[host] = [*kept, service]
        with contextlib.suppress(ProcessLookupError):
            descriptor = os.pidfd_open(service.pid)
            try:
                for number in (signal.SIGTERM, signal.SIGKILL):
                    signal.pidfd_send_signal(descriptor, number)
                    if wait.readable([descriptor], _ENDS_S * wait.patience()):
                        return
            finally:
                os.close(descriptor)


def _with_surroundings(service: Service) -> Service:
    """With its folder and its environment, while it runs."""
    with contextlib.suppress(OSError):
        process = Path("/proc", str(service.pid))
        if service.pid:
            pairs = (process / "environ").read_bytes().decode(errors="surrogateescape")
            words = [word.partition("=") for word in pairs.split("\0") if "=" in word]
            environment = tuple((key, value) for key, _, value in words)
            cwd = os.readlink(process / "cwd")
            return Service(service.argv, service.ports, service.pid, cwd, environment)
    return service


def command_of(words: Sequence[str]) -> list[str]:
    """The command line that somebody means: 'web', 'web_server', 'web_server.py', a file of the
    user's, a program. Raises LabError."""
    first, *rest = words or [""]
    apps = content.folder("apps")
    every = [name for name in content.names("apps") if not name.startswith("_")]
    stem = first.removesuffix(".py")
    if "/" not in first:
        fitting = [name for name in every if stem == name] or [
            name for name in every if name.split("_")[0] == stem and name.endswith("_server")
        ]
        if fitting:
            return [sys.executable, str(apps / f"{fitting[0]}.py"), *rest, _BACKGROUND]
        program = programs.find(first) if first else None
        if program is not None:
            return [program, *rest]
    path = Path(first)
    if "/" in first and path.is_file():
        return [sys.executable, first, *rest] if path.suffix == ".py" else [first, *rest]
    serving = [name for name in every if name.endswith(("_server", "_resolver"))]
    raise LabError(
        say("there is no app or program {name}", name=first),
        together(
            did_you_mean(first, every),
            say("hoplab has: {names}; a file of your own is given by its path, as in ./my{suffix}",
                names=listed(serving), suffix=".py"),
        ),
        Exit.NO_SUCH,
    )  # fmt: skip
