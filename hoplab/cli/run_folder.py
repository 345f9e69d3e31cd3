# SPDX-License-Identifier: Apache-2.0
"""Where a run is kept: beside the lab while it is told, in the folder of --save, or put aside where
it would be lost.

What lives here: folders and files of one run. What must not: what is in them (`recording.py`,
`as_json.py`), what is printed (`lab_recorder.py`).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from pathlib import Path

from hoplab.client import labs
from hoplab.errors import Exit, LabError, cannot_write
from hoplab.outfile import unwritable
from hoplab.runs import CAPTURE, HOSTS, STATE, TRACE
from hoplab.sentences import say, term


class RunFolder:
    """save: the folder of --save, None without it. folder: where the run is recorded. kept: where
    it stays, None as long as it stays nowhere."""

    def __init__(self, save: Path | None, folder: Path) -> None:
        self.save = save
        self.folder = folder
        self.kept: Path | None = None

    def keep_frames(self) -> LabError | None:
        """Copy what was captured to the --save folder, before anything is told of it: all of it or
        nothing. The error to end with, if that fails."""
        if self.save is None:
            return None
        try:
            for file in (CAPTURE, STATE, HOSTS):
                if file != HOSTS or (self.folder / file).exists():
                    shutil.copyfile(self.folder / file, self.save / file)
        except OSError as error:
            return self.unkept(error)
        self.kept = self.save
        return None

    def unkept(self, error: OSError) -> LabError:
        """The error to end with when the run cannot be kept where it was to be."""
        if self.save is None:
            return cannot_write(error, self.folder)
        for file in (CAPTURE, TRACE, STATE, HOSTS):
            with contextlib.suppress(OSError):
                (self.save / file).unlink()
        failure = unwritable(error, self.save, "--save")
        with contextlib.suppress(OSError):
            self.save.rmdir()
        self.kept = None
        return failure

    def put_aside(self) -> Path | None:
        """Where the run is kept though nobody has asked for that, because it would be lost else:
        beside what the user works on, or where labs have their folders. None: it cannot be."""
        if self.kept is not None:
            return self.kept
        for base in (Path(), labs.state_folder() / "runs"):
            try:
                folder = _fresh_folder(base)
            except OSError:
                continue
            try:
                for entry in sorted(self.folder.iterdir()):
                    # A rename takes no room, where it can be one.
                    shutil.move(entry, folder / entry.name)
            except OSError:
                with contextlib.suppress(OSError):
                    for entry in folder.iterdir():
                        shutil.move(entry, self.folder / entry.name)
                    folder.rmdir()
                continue
            self.kept = folder
            return folder
        return None


def save_folder(wish: str | None) -> Path | None:
    """The folder to keep the run in, made now, so that a fault shows before the work is done."""
    if wish is None:
        return None
    folder = Path(wish or _dated())
    if os.path.exists(folder) and (not os.path.isdir(folder) or any(folder.iterdir())):
        raise LabError(
            say("{folder} exists and is not empty", folder=str(folder)),
            term("choose another folder for --save"),
            Exit.TAKEN,
        )
    folder.mkdir(parents=True, exist_ok=True)
    return folder.absolute()


def _dated() -> str:
    return time.strftime("hoplab-%Y%m%d-%H%M%S")


def _fresh_folder(base: Path) -> Path:
    """A new folder in `base`, named by the date. Raises OSError."""
    base.mkdir(parents=True, exist_ok=True)
    name = _dated()
    for more in ("", *(f"-{number}" for number in range(2, 100))):
        with contextlib.suppress(FileExistsError):
            folder = (base / f"{name}{more}").absolute()
            folder.mkdir()
            return folder
    raise FileExistsError(name)
