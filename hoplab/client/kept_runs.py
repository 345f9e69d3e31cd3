# SPDX-License-Identifier: Apache-2.0
"""Runs that were kept: in the folder where somebody works, and where runs are put aside.

What lives here: which folders are runs, how large they are, that one is removed. What must not:
what happened in them.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hoplab.client import labs
from hoplab.errors import Exit, LabError, cannot_write
from hoplab.nearest import did_you_mean
from hoplab.runs import CAPTURE, HOSTS, STATE, TRACE, head_of
from hoplab.sentences import say, together

PAGE = "report.html"
# What `--save`, `report` and `visit --play` write into a run's folder. Nothing else is removed.
FILES = (CAPTURE, TRACE, STATE, HOSTS, PAGE)
HEAD_MOST = 64 << 20  # of a trace.json that is read for its title


@dataclass(frozen=True)
class KeptRun:
    """size: of all files in it, in bytes. made_s: when its capture was written."""

    folder: Path
    size: int
    made_s: float

    @property
    def name(self) -> str:
        """The folder's own."""
        return self.folder.name

    @property
    def id(self) -> str:
        """Tells it from all others, also from one of the same name somewhere else."""
        return hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:12]

    def about(self) -> str:
        """What was done in it: a command line or a URL, "" where that is not known."""
        path = self.folder / TRACE
        try:
            if path.stat().st_size > HEAD_MOST:
                return ""
            return what_was_done(head_of(path))
        except (OSError, LabError):
            return ""


def what_was_done(head: Mapping[str, Any]) -> str:
    """The URL that was fetched in a run, or the command line that was run, by its trace.json."""
    request = head.get("request")
    if isinstance(request, dict) and isinstance(request.get("url"), str):
        return str(request["url"])
    return str(head.get("command") or "")


def kept_folder(name: str | Path) -> Path:
    """A folder that somebody names as a kept run. Raises LabError (NO_SUCH)."""
    folder = Path(name)
    if not os.path.isdir(folder):
        raise LabError(
            say("{folder} is no folder", folder=folder),
            say(
                "give one that was kept: {command}",
                command="hoplab visit --save my-run && hoplab report my-run",
            ),
            Exit.NO_SUCH,
        )
    return folder


def put_aside_folder() -> Path:
    """Where runs are kept that nobody named a folder for."""
    return labs.state_folder() / "runs"


def kept_runs(*places: Path) -> list[KeptRun]:
    """The runs in these folders (default: where somebody works, and where runs are put aside), the
    newest first."""
    found: dict[Path, KeptRun] = {}
    for place in places or (Path.cwd(), put_aside_folder()):
        for run in _in(place):
            found[run.folder] = run
    return sorted(found.values(), key=lambda run: (-run.made_s, run.name))


def _in(place: Path) -> Iterator[KeptRun]:
    with contextlib.suppress(OSError), os.scandir(place) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                folder = Path(entry.path)
                if not entry.is_dir(follow_symlinks=False) or not (folder / STATE).is_file():
                    continue
                made_s = (folder / CAPTURE).stat().st_mtime
                sizes = [each.stat().st_size for each in folder.iterdir() if each.is_file()]
                yield KeptRun(folder.absolute(), sum(sizes), made_s)


def find(word: str) -> KeptRun:
    """A kept run by its name, or by a path. Raises LabError."""
    runs = kept_runs()
    path = Path(word).absolute()
    fitting = [run for run in runs if run.folder == path] or [
        run for run in runs if word in (run.name, run.id)
    ]
    if not fitting and path.is_dir():
        fitting = [run for run in _in(path.parent) if run.folder == path]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise LabError(
            say("several runs are called {run}", run=word),
            say("name the folder of one: {folder}", folder=str(fitting[0].folder)),
            Exit.USAGE,
        )
    raise LabError(
        say("no run called {run} is kept", run=word),
        together(
            did_you_mean(word, [run.name for run in runs]),
            say("{command} lists them", command="hoplab ls --runs"),
        ),
        Exit.NO_SUCH,
    )


def remove(run: KeptRun) -> None:
    """Take a run away: its own files, and its folder if nothing else is in it. Raises LabError."""
    try:
        for name in FILES:
            (run.folder / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            run.folder.rmdir()
    except OSError as error:
        raise cannot_write(error, run.folder) from error
