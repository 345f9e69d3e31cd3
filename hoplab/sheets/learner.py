# SPDX-License-Identifier: Apache-2.0
"""What a learner has done in a sheet so far: answers, hints that were given, the last verdicts, and
the runs of its checks.

What lives here: that folder, `$XDG_STATE_HOME/hoplab/sheets/NAME`. What must not: verdicts.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from hoplab.client import labs
from hoplab.errors import cannot_write

_FILE = "learner.json"


@dataclass
class Learner:
    """answers: by check, as they were given. hints: by check, how many were given. verdicts: by
    check, of the last time that it was judged."""

    folder: Path
    answers: dict[str, str] = field(default_factory=dict)
    hints: dict[str, int] = field(default_factory=dict)
    verdicts: dict[str, str] = field(default_factory=dict)

    @property
    def runs(self) -> Path:
        """Where the runs of checks and moments are kept."""
        return self.folder / "runs"

    def keep(self) -> None:
        """Write it down. Raises LabError."""
        data = {"answers": self.answers, "hints": self.hints, "verdicts": self.verdicts}
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            fresh = self.folder / f"{_FILE}.new"
            fresh.write_text(json.dumps(data, indent=1, ensure_ascii=False), encoding="utf-8")
            os.replace(fresh, self.folder / _FILE)
        except OSError as error:
            raise cannot_write(error, self.folder) from error

    def forget(self) -> None:
        """Begin anew."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.answers, self.hints, self.verdicts = {}, {}, {}


def learner_of(name: str) -> Learner:
    """What was kept for the sheet of this name; a file that cannot be read counts as none."""
    learner = Learner(labs.state_folder() / "sheets" / name)
    with contextlib.suppress(OSError, ValueError, AttributeError, TypeError):
        data = json.loads((learner.folder / _FILE).read_text(encoding="utf-8"))
        learner.answers = {str(key): str(value) for key, value in data["answers"].items()}
        learner.hints = {str(key): int(value) for key, value in data["hints"].items()}
        learner.verdicts = {str(key): str(value) for key, value in data["verdicts"].items()}
    return learner
