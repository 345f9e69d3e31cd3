# SPDX-License-Identifier: Apache-2.0
"""What a page does to a lab: the verbs of the command line, run as somebody would type them.

What lives here: which verbs, their command line, their process. What must not: what they do.

An act is the verb itself in a process of its own, so that a page and a terminal do the same, say
the same and fail alike, and the line that is shown is the one that was run.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hoplab.client import kept_runs, labs
from hoplab.errors import Exit, LabError
from hoplab.report.language import languages
from hoplab.sentences import say, term

# The verbs, and whether a run is kept of what they do.
VERBS = {
    "visit": True, "ping": True, "trace": True, "swap": False, "link": False, "add": False,
    "remove": False, "set": False, "break": False, "save": False, "capture": False,
    "wireshark": False,
}  # fmt: skip
# What the server says itself.
OWN_OPTIONS = ("--name", "--save", "--json", "--lang", "--play", "--down", "--debug", "--live")
PINGS = "3"
PIECE = 1 << 14  # bytes of output in a message
ERRORS_MOST = 1 << 16

Send = Callable[[dict[str, Any]], Awaitable[None]]


@dataclass(frozen=True)
class Act:
    """A verb for one lab. words: as they are run, behind `hoplab`. run: the folder of the run that
    is kept of it, None where none is. capture: the file that a capture is written to."""

    verb: str
    words: list[str]
    line: str
    run: Path | None
    capture: Path | None = None


def act_of(lab: str, verb: str, args: Sequence[str], language: str) -> Act:
    """What is to be run. Raises LabError (USAGE)."""
    if verb not in VERBS or not all(isinstance(arg, str) and "\0" not in arg for arg in args):
        raise LabError(say("a page cannot do {verb}", verb=verb), "", Exit.USAGE)
    args = list(args)
    before = args[: args.index("--")] if "--" in args else args
    for arg in before:
        if arg.partition("=")[0] in OWN_OPTIONS:
            raise LabError(
                say("a page says {option} itself", option=arg.partition("=")[0]), "", Exit.USAGE
            )
    typed = verb
    if verb == "ping":
        typed, args = "trace", _ping(lab, args)
    if verb == "wireshark":
        return _wireshark(lab, args, language)
    if verb == "capture":
        return _capture(lab, args, language)
    name = [] if lab == labs.DEFAULT_NAME else ["--name", lab]
    run = _fresh_run(verb) if VERBS[verb] else None
    shown = [typed, *name, *(["--save", run.name] if run else []), *args]
    words = [typed, "--lang", _spoken(language), "--name", lab]
    words += ["--save", str(run)] if run else []
    line = shlex.join(["hoplab", *shown])
    return Act(verb, [*words, *args], line, run)


def _spoken(language: str) -> str:
    return language if language in languages() else "en"


def _wireshark(lab: str, args: Sequence[str], language: str) -> Act:
    """Wireshark on the lab; where there is no display, what to type elsewhere. Raises LabError."""
    if args:
        raise LabError(say("a page says {option} itself", option=args[0]), "", Exit.USAGE)
    words = ["wireshark", "--lang", _spoken(language), lab]
    return Act("wireshark", words, shlex.join(["hoplab", "wireshark", lab]), None)


def _capture(lab: str, args: Sequence[str], language: str) -> Act:
    """A capture into a file of ours, until it is stopped. Raises LabError."""
    for arg in args:
        if arg.startswith("-w"):
            raise LabError(say("a page says {option} itself", option="-w"), "", Exit.USAGE)
    file = fresh(captures_folder(), "capture", ".pcapng")
    file.parent.mkdir(parents=True, exist_ok=True)
    name = [] if lab == labs.DEFAULT_NAME else ["--name", lab]
    line = shlex.join(["hoplab", "capture", *name, "-w", file.name, *args])
    words = ["capture", "--lang", _spoken(language), "--name", lab, "-w", str(file), *args]
    return Act("capture", words, line, None, file)


def captures_folder() -> Path:
    """Where the captures are that pages began."""
    return labs.state_folder() / "captures"


def _ping(lab: str, args: Sequence[str]) -> list[str]:
    """`ping A B` as the command of a trace; B may be a node or an address. Raises LabError."""
    if len(args) != 2:
        raise LabError(term("a ping has a sender and a target"), "", Exit.USAGE)
    sender, target = args
    interfaces = labs.find(lab).state()["interfaces"]
    addresses = [
        address.partition("/")[0] for each in interfaces if each["node"] == target
        for address in each["addresses"]
    ]  # fmt: skip
    return [sender, "--", "ping", "-c", PINGS, addresses[0] if addresses else target]


def _fresh_run(verb: str) -> Path:
    """A folder for a run, which is not there yet."""
    return fresh(kept_runs.put_aside_folder(), verb)


def fresh(folder: Path, stem: str, ending: str = "") -> Path:
    """A name in a folder, which is not there yet."""
    stem = time.strftime(f"{stem}-%Y%m%d-%H%M%S")
    names = [f"{stem}{ending}", *(f"{stem}-{number}{ending}" for number in range(2, 1000))]
    return next(folder / name for name in names if not (folder / name).exists())


def undo_of(act: Act, args: Sequence[str], before: str) -> dict[str, Any] | None:
    """The act that takes it back, where there is one. before: the controller that was in charge."""
    if act.verb == "link" and list(args[2:]) in (["up"], ["down"]):
        return {"act": "link", "args": [*args[:2], "up" if args[2] == "down" else "down"]}
    if act.verb == "add" and list(args[:1]) in (["host"], ["switch"]) and len(args) > 1:
        return {"act": "remove", "args": [args[1]]}
    if act.verb == "add" and list(args[:1]) == ["cable"] and len(args) > 2:
        return {"act": "remove", "args": list(args[1:3])}
    if act.verb == "swap" and before:
        return {"act": "swap", "args": [before]}
    if act.verb == "break" and not any(arg.startswith("--mend") for arg in args):
        return {"act": "break", "args": ["--mend"]}
    return None


class Running:
    """The acts of one page that run, by the page's own numbers."""

    def __init__(self) -> None:
        self._processes: dict[int, asyncio.subprocess.Process] = {}

    async def run(self, number: int, act: Act, undo: dict[str, Any] | None, send: Send) -> None:
        """Run it, and send what it says, and how it ended."""
        environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1", "PYTHONUNBUFFERED": "1",
                       "PYTHONIOENCODING": "utf-8"}  # fmt: skip
        # What a capture says while it runs, it says there.
        together = act.verb == "capture"
        errors_to = asyncio.subprocess.STDOUT if together else asyncio.subprocess.PIPE
        process = self._processes[number] = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "hoplab.cli.main", *act.words, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=errors_to, env=environment,
            start_new_session=True, preexec_fn=_hold_interrupts,
        )  # fmt: skip
        try:
            await send({"type": "act.begun", "id": number, "line": act.line})
            assert process.stdout is not None
            errors = asyncio.create_task(_all_of(process.stderr))
            printed = await self._pass_on(number, process.stdout, act, send)
            code = await process.wait()
            file = {"name": "lab.py", "text": printed} if act.verb == "save" else None
            await send({
                "type": "act.done", "id": number, "ok": code == 0, "exit_code": code,
                "line": act.line, "error": (await errors).strip(),
                "run": _kept(act), "download": _download(act), "undo": undo if code == 0 else None,
                "file": file if code == 0 else None,
            })  # fmt: skip
        finally:
            self._processes.pop(number, None)
            _end(process)

    async def _pass_on(
        self, number: int, stream: asyncio.StreamReader, act: Act, send: Send
    ) -> str:
        """Send what is printed as it comes; all of it where it is a file."""
        whole, rest = [], b""
        while piece := await stream.read(PIECE):
            if act.verb == "save":
                whole.append(piece)
                continue
            text, rest = _cut(rest + piece)
            await send({"type": "act.output", "id": number, "text": text})
        return b"".join(whole).decode(errors="replace")

    def stop(self, number: int) -> None:
        """As Ctrl-C."""
        process = self._processes.get(number)
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGINT)

    def close(self) -> None:
        """The page has gone: what runs goes on by itself or ends."""
        for process in self._processes.values():
            _end(process)


def _hold_interrupts() -> None:
    """In the process that is to run an act: "Stop" waits until the verb can answer it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)


def _kept(act: Act) -> str | None:
    """The run that was kept, if it was."""
    if act.run is None or not (act.run / "lab.json").exists():
        return None
    return kept_runs.KeptRun(act.run.absolute(), 0, 0).id


def _download(act: Act) -> str | None:
    """Where the capture that was written is fetched."""
    if act.capture is None or not act.capture.exists():
        return None
    return f"/api/captures/{act.capture.name}"


def _cut(data: bytes) -> tuple[str, bytes]:
    """Bytes as text, without a letter at the end that is not whole yet."""
    for end in range(len(data), max(len(data) - 4, 0), -1):
        with contextlib.suppress(UnicodeDecodeError):
            return data[:end].decode(), data[end:]
    return data.decode(errors="replace"), b""


async def _all_of(stream: asyncio.StreamReader | None) -> str:
    """What a stream says until its end; of very much the beginning."""
    kept = b""
    while stream is not None and (piece := await stream.read(PIECE)):
        kept = (kept + piece)[:ERRORS_MOST]
    return kept.decode(errors="replace")
