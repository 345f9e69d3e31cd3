# SPDX-License-Identifier: Apache-2.0
"""A file that a user asked to have written.

It is taken in hand before the work begins, so that a fault shows first, and emptied only when there
is something to put into it: a command that was mistyped loses nothing of anybody's.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from hoplab.errors import Exit, LabError, is_full, limited, reason_of
from hoplab.sentences import say

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC


class OutFile:
    """An open file, as it was; `discard` takes it away again if there was none. Raises LabError,
    which names `option` as the way to choose another one."""

    def __init__(self, path: Path, option: str) -> None:
        self.path = path
        try:
            try:
                self.fd = os.open(path, _FLAGS | os.O_EXCL, 0o644)
                self.new = True
            except FileExistsError:
                self.fd = os.open(path, _FLAGS, 0o644)
                self.new = False
        except (OSError, ValueError) as error:
            raise unwritable(error, path, option) from error

    def discard(self) -> None:
        """The work did not begin, or left nothing."""
        with contextlib.suppress(FileNotFoundError):
            if self.new and self.path.stat().st_size == 0:
                self.path.unlink()


def empty(fd: int) -> None:
    """Take away what was in a file; a pipe or a terminal has nothing."""
    with contextlib.suppress(OSError):
        os.ftruncate(fd, 0)


def unwritable(error: Exception, output: object, option: str) -> LabError:
    """The error to show for a file of the user's choice."""
    full = is_full(error)
    return limited(error) or LabError(
        say("{output} cannot be written: {reason}", output=output, reason=reason_of(error)),
        say("free some space, or choose another place with {option}", option=option)
        if full
        else say("choose another place with {option}", option=option),
        Exit.NO_SPACE if full else Exit.NO_SUCH,
    )
