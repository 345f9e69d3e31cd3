# SPDX-License-Identifier: Apache-2.0
"""A course and its students: one secret key, and all that follows from it.

What lives here: the course's folder, the students' key files, the seeds of their sheets. What must
not: sheets, labs, what is handed in.

    NET101/course.json          the course's key and its students: the teacher's alone
    NET101/keys/4711.key        for student 4711: who that is, how to sign, what varies

Everything of a student is HMAC-SHA256(the course's key, what it is for, the student's ID): a key
file that was lost is written again, the same, and a teacher knows each student's sheet without
asking. Whoever has the course's key can sign as anybody in it.
"""

from __future__ import annotations

import csv
import hashlib
import hmac
import json
import os
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hoplab.classroom import signatures
from hoplab.errors import Exit, LabError, reason_of
from hoplab.nearest import did_you_mean
from hoplab.sentences import say, term

FILE, KEYS, SUFFIX = "course.json", "keys", ".key"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,19}")
_LARGEST = 4 << 20


def check_id(student: str) -> str:
    """The ID itself. Raises LabError for what cannot be one: it becomes part of names of files and
    labs."""
    if _ID.fullmatch(student) is None:
        raise LabError(
            say("{name} is no student's ID", name=repr(student)),
            term("an ID has up to 20 letters, digits, - and _, such as a matriculation number"),
            Exit.BAD_INPUT,
        )
    return student


def _derived(key: bytes, purpose: str, student: str) -> bytes:
    return hmac.new(key, f"hoplab {purpose}\0{student}".encode(), hashlib.sha256).digest()


@dataclass(frozen=True)
class Student:
    """What a student's key file holds. course: the course's name; course_id: tells it from others
    of that name. seed: of which what varies follows. private: signs what is handed in."""

    id: str
    course: str
    course_id: str
    seed: bytes
    private: bytes

    def sheet_seed(self, sheet: str) -> bytes:
        """The seed of what varies in the sheet of this name."""
        return _derived(self.seed, "sheet", sheet)

    def as_text(self) -> str:
        """The key file."""
        data = {
            "format": 1, "course": self.course, "course_id": self.course_id, "student": self.id,
            "seed": self.seed.hex(), "private": self.private.hex(),
        }  # fmt: skip
        return json.dumps(data, indent=1, ensure_ascii=False) + "\n"


@dataclass(frozen=True)
class Course:
    """A course. key: its secret. students: their IDs, in the order in which they came."""

    name: str
    key: bytes
    students: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return _derived(self.key, "course", "").hex()[:16]

    def student(self, student: str) -> Student:
        """All of a student's that follows from the course's key."""
        return Student(
            student, self.name, self.id, _derived(self.key, "seed", student),
            _derived(self.key, "sign", student),
        )  # fmt: skip

    def member(self, student: str) -> Student:
        """The same, of one who is in the course. Raises LabError."""
        if student not in self.students:
            raise LabError(
                say("{student} is not in the course {course}", student=student, course=self.name),
                did_you_mean(student, self.students), Exit.NO_SUCH,
            )  # fmt: skip
        return self.student(student)

    def public_key(self, student: str) -> bytes:
        return signatures.public_key(self.student(student).private)

    def with_students(self, students: Iterable[str]) -> Course:
        """The course, with these in it, too. Raises LabError."""
        added = [check_id(each) for each in students]
        return replace(self, students=tuple(dict.fromkeys([*self.students, *added])))


# ------------------------------------------------------------------------ files


def new(name: str) -> Course:
    """A course with a key that nobody else has."""
    return Course(name, secrets.token_bytes(signatures.KEY_BYTES))


def keep(course: Course, folder: Path) -> list[Path]:
    """Write a course down, and a key file for each student; those files. Raises LabError."""
    data = {
        "format": 1, "name": course.name, "key": course.key.hex(),
        "students": list(course.students),
    }  # fmt: skip
    try:
        folder.mkdir(parents=True, exist_ok=True)
        os.chmod(folder, 0o700)
        (folder / KEYS).mkdir(exist_ok=True, mode=0o700)
        write_secret(folder / FILE, json.dumps(data, indent=1, ensure_ascii=False) + "\n")
        files = []
        for student in course.students:
            files.append(folder / KEYS / f"{student}{SUFFIX}")
            write_secret(files[-1], course.student(student).as_text())
    except OSError as error:
        raise LabError(
            say("{output} cannot be written: {reason}", output=str(folder),
                reason=reason_of(error)),
            "", Exit.REFUSED,
        ) from error  # fmt: skip
    return files


def write_secret(path: Path, text: str) -> None:
    """A file that nobody else may read, there as a whole or not at all. Raises OSError."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w",
                   encoding="utf-8") as file:  # fmt: skip
        file.write(text)
    os.replace(fresh, path)


def open_course(folder: Path) -> Course:
    """The course in a folder. Raises LabError."""
    data = _read(folder / FILE, say("a course is made by {command}",
                                    command="hoplab class new FOLDER --students FILE"))  # fmt: skip
    try:
        key = bytes.fromhex(data["key"])
        if len(key) != signatures.KEY_BYTES:
            raise ValueError
        return Course(str(data["name"]), key).with_students(map(str, data["students"]))
    except (KeyError, TypeError, ValueError):
        raise _not_one(folder / FILE, term("a course")) from None


def open_key(path: Path) -> Student:
    """The student whose key file that is. Raises LabError."""
    data = _read(path, term("a teacher makes it with `hoplab class new` and hands it out"))
    try:
        student = Student(
            check_id(str(data["student"])), str(data["course"]), str(data["course_id"]),
            bytes.fromhex(data["seed"]), bytes.fromhex(data["private"]),
        )  # fmt: skip
        if len(student.seed) != 32 or len(student.private) != signatures.KEY_BYTES:
            raise ValueError
    except (KeyError, TypeError, ValueError):
        raise _not_one(path, term("a student's key file")) from None
    return student


def _read(path: Path, hint: str) -> Any:
    try:
        with open(path, "rb") as file:
            return json.loads(file.read(_LARGEST))
    except OSError as error:
        raise LabError(
            say("{file} cannot be read: {reason}", file=str(path), reason=reason_of(error)),
            hint, Exit.NO_SUCH,
        ) from error  # fmt: skip
    except (ValueError, RecursionError):
        raise _not_one(path, term("a course or a key")) from None


def _not_one(path: Path, kind: str) -> LabError:
    return LabError(
        say("{file} is not {kind}", file=str(path), kind=kind),
        term("was it changed, or cut by a transfer?"), Exit.BAD_INPUT,
    )  # fmt: skip


def read_ids(path: Path) -> list[str]:
    """The first column of a list of students: a line each, or CSV; lines with # and a heading that
    says so are left out. Raises LabError."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise LabError(
            say("{file} cannot be read: {reason}", file=str(path), reason=reason_of(error)),
            "", Exit.NO_SUCH,
        ) from error  # fmt: skip
    delimiter = ";" if ";" in text.partition("\n")[0] else ","
    rows = [row[0].strip() for row in csv.reader(text.splitlines(), delimiter=delimiter) if row]
    if rows and rows[0].lower() in ("id", "student", "student id", "matriculation", "学号"):
        rows = rows[1:]
    return [check_id(each) for each in rows if each and not each.startswith("#")]
