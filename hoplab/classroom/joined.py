# SPDX-License-Identifier: Apache-2.0
"""The key files on this account: whose sheets are done here.

What lives here: that folder, and which student `--student` means. What must not: what a key holds.
"""

from __future__ import annotations

from pathlib import Path

from hoplab.classroom import course
from hoplab.classroom.course import SUFFIX, Student
from hoplab.client import labs
from hoplab.errors import Exit, LabError, cannot_write
from hoplab.nearest import did_you_mean
from hoplab.sentences import say, together


def folder() -> Path:
    """Where key files are kept."""
    return labs.state_folder() / "students"


def ids() -> list[str]:
    """The students whose keys are here."""
    return sorted(path.stem for path in folder().glob(f"*{SUFFIX}"))


def join(path: Path) -> Student:
    """Keep a key file, in the place of one of the same student. Raises LabError."""
    student = course.open_key(path)
    try:
        folder().mkdir(parents=True, exist_ok=True, mode=0o700)
        course.write_secret(folder() / f"{student.id}{SUFFIX}", student.as_text())
    except OSError as error:
        raise cannot_write(error, folder()) from error
    return student


def find(word: str) -> Student:
    """The student of an ID whose key is here, or of a key file. Raises LabError."""
    if "/" in word or word.endswith(SUFFIX):
        return course.open_key(Path(word).expanduser())
    if word not in ids():
        raise LabError(
            say("the key of {student} is not here", student=word),
            together(
                did_you_mean(word, ids()),
                say("take it from your teacher, and: {command}",
                    command=f"hoplab class join {word}{SUFFIX}"),
            ), Exit.NO_SUCH,
        )  # fmt: skip
    return course.open_key(folder() / f"{word}{SUFFIX}")
