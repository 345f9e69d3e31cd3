# SPDX-License-Identifier: Apache-2.0
"""What was handed in, judged again: without a lab, without root, from the files alone.

What lives here: from files to marks, one process for each core. What must not: the format of a
submission, what checks claim, tables and pages.

A stranger's file is judged in a process that has a share of processor and memory; one that takes
more, or brings the process down, is told so by name and changes nothing for the others. Of two
files with the same content the verdicts are the same: nothing is waited for, and the clock is
asked nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import multiprocessing
import os
import re
import resource
import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hoplab.capture import pcapng_reader
from hoplab.classroom import submission
from hoplab.classroom.course import Course
from hoplab.classroom.handed_out import of_student
from hoplab.classroom.submission import Refused, Submission
from hoplab.errors import LabError
from hoplab.sentences import say, term
from hoplab.sheets import sheet_file
from hoplab.sheets.findings import Verdict
from hoplab.sheets.judging import Judging
from hoplab.sheets.records import Sheet
from hoplab.sheets.sources import NoEvidence, Recorded, read_evidence

SECONDS, BYTES = 30, 4 << 30  # of processor and memory, for one submission
_ID_LEAST = 4  # characters of an ID that is looked for in names of files
# How a check is judged here: from frames, from what was recorded, by the answer alone.
_FROM = {"frames": "frames", "answer": "answer", "flow": "not judged"}


@dataclass(frozen=True)
class CheckMark:
    """A check's verdict. origin: what it was judged by: 'frames', 'as recorded', 'answer', 'not
    judged'. own: the learner's own verdict, when it was handed in."""

    id: str
    verdict: str
    origin: str
    own: str = ""
    seen: str = ""
    description: str = ""


@dataclass(frozen=True)
class Marked:
    """A file, judged. file: its path in the folder. problem: a word for why it was not judged, ""
    if it was; reason: the same as a sentence. prints: what no two runs have in common; rights: the
    right answers of this student's sheet. remarks: sentences."""

    file: str
    student: str = ""
    sheet: str = ""
    problem: str = ""
    reason: str = ""
    checks: tuple[CheckMark, ...] = ()
    answers: Mapping[str, str] = field(default_factory=dict)
    rights: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    prints: frozenset[str] = frozenset()
    remarks: tuple[str, ...] = ()

    @property
    def passed(self) -> int:
        return sum(check.verdict == Verdict.PASSED.value for check in self.checks)


@dataclass(frozen=True)
class Task:
    """All that is needed to judge. keys: by ID the public keys. sheets: by name, where they are."""

    course: Course
    keys: Mapping[str, bytes]
    sheets: Mapping[str, Path]


def task_for(course: Course, places: Sequence[Path]) -> Task:
    """places: of the sheets that are taken. Raises LabError."""
    keys = {student: course.public_key(student) for student in course.students}
    return Task(course, keys, {_name_of(place): place for place in places})


def _name_of(place: Path) -> str:
    return place.name if place.is_dir() else place.parent.name


# ------------------------------------------------------------------------ a folder


def files_in(folder: Path) -> list[Path]:
    """What was handed in: the zip files of a folder and of those below it, and links, which are
    named and not followed."""
    if not folder.is_dir():
        return [folder]
    found = []
    for place, folders, files in os.walk(folder, followlinks=False):
        folders.sort()
        names = [*files, *(name for name in folders if os.path.islink(os.path.join(place, name)))]
        found += [Path(place, name) for name in sorted(names)
                  if name.lower().endswith(".zip") or os.path.islink(os.path.join(place, name))]
    return sorted(found)  # fmt: skip


def mark_all(
    task: Task, folder: Path, jobs: int, progress: Callable[[int, int], None] = lambda n, of: None
) -> list[Marked]:
    """Each file of the folder judged, in the order of their names."""
    files = files_in(folder)
    base = folder if folder.is_dir() else folder.parent
    names = [str(file.relative_to(base)) for file in files]
    marked: dict[str, Marked] = {}
    for name, mark in _in_processes(task, base, names, jobs):
        marked[name] = mark
        progress(len(marked), len(names))
    return [marked[name] for name in names]


def _pool(jobs: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(jobs, multiprocessing.get_context("fork"), _confine)


def _confine() -> None:
    """In a process that judges: no more memory than this, whatever a file asks for."""
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started it ends it


def _in_processes(
    task: Task, base: Path, names: Sequence[str], jobs: int
) -> Iterator[tuple[str, Marked]]:
    done: set[str] = set()
    try:
        with _pool(jobs) as pool:
            futures: dict[str, Future[Marked]] = {
                name: pool.submit(mark, task, base, name) for name in names
            }
            for name, future in futures.items():
                yield name, future.result()
                done.add(name)
    except BrokenProcessPool:
        # One of them brought its process down, and nobody knows which: each alone, then.
        for name in names:
            if name not in done:
                yield name, _alone(task, base, name)


def _alone(task: Task, base: Path, name: str) -> Marked:
    try:
        with _pool(1) as pool:
            return pool.submit(mark, task, base, name).result()
    except BrokenProcessPool:
        return Marked(name, problem="too costly",
                      reason=term("judging it brought a process down"))  # fmt: skip


# ------------------------------------------------------------------------ a file


class TooLong(BaseException):
    """A submission has had its share of a processor. No handler for exceptions is to catch it."""


def _stop(*_: object) -> None:
    raise TooLong


def mark(task: Task, base: Path, name: str) -> Marked:
    """One file judged. Whatever it holds, this returns."""
    before = signal.signal(signal.SIGPROF, _stop)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    made: Submission | None = None
    try:
        made = submission.unpack(
            submission.open_bounded(base / name), task.keys, task.course.id
        )
        return _mark(task, made, name)
    except Refused as error:
        return _not_judged(name, made, error.kind, error.reason)
    except TooLong:
        return _not_judged(
            name, made, "too costly",
            say("judging it took more than {n} seconds of a processor", n=SECONDS),
        )  # fmt: skip
    except MemoryError:
        return _not_judged(name, made, "too costly", term("judging it took too much memory"))
    except Exception as error:
        # Signed by a student, and yet such that a program of ours cannot follow it.
        reason = error.message if isinstance(error, LabError) else type(error).__name__
        return _not_judged(
            name, made, "damaged", say("what it holds cannot be read: {reason}", reason=reason)
        )
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _not_judged(name: str, made: Submission | None, problem: str, reason: str) -> Marked:
    student, sheet = (made.student, made.sheet) if made is not None else ("", "")
    return Marked(name, student, sheet, problem, reason)


def _mark(task: Task, made: Submission, name: str) -> Marked:
    place = task.sheets.get(made.sheet)
    if place is None:
        raise Refused("no sheet", say("its sheet is not judged here: {sheet}",
                                      sheet=repr(made.sheet[:60])))  # fmt: skip
    _check_who(task, made, name)
    sheet = of_student(place, task.course.student(made.student))
    _check_variant(task, made, place, sheet)
    remarks = []
    if made.sheet_sha256 != sheet_digest(sheet):
        remarks.append(term("it was done with another edition of the sheet"))
    with tempfile.TemporaryDirectory(prefix="hoplab-mark-") as scratch:
        folder = Path(scratch)
        submission.write_parts(made, folder)
        try:
            source = Recorded(read_evidence(made.parts.get(submission.EVIDENCE, b"{}")), folder)
        except NoEvidence as error:
            raise Refused("damaged", str(error)) from None
        _check_labs(sheet, made, source)
        with Judging(sheet, None, made.answers, folder, source=source) as judging:
            judgements = list(judging.judge())
    checks = tuple(
        CheckMark(
            each.check, each.verdict.value, _origin(sheet, each.check),
            made.verdicts.get(each.check, ""),
            each.finding.seen if each.finding is not None
            else term("frames are missing in its capture, so nothing can be said")
            if each.verdict == Verdict.UNJUDGED else "",
            sheet.checks[each.check].description.into("en"),
        )
        for each in judgements
    )  # fmt: skip
    if any(check.own == "passed" and check.verdict == "failed" for check in checks):
        remarks.append(term("it says of checks that they passed, which fail"))
    return Marked(
        name, made.student, made.sheet, checks=checks, answers=made.answers,
        rights={each.id: each.answer.accepted for each in sheet.checks.values()
                if each.answer is not None},
        prints=_prints(made), remarks=tuple(remarks),
    )  # fmt: skip


def _origin(sheet: Sheet, check: str) -> str:
    each = sheet.checks[check]
    return "frames" if each.count else _FROM.get(each.kind, "as recorded")


def sheet_digest(sheet: Sheet) -> str:
    """Tells one edition of a sheet from another."""
    return hashlib.sha256((sheet.folder / sheet_file.FILE).read_bytes()).hexdigest()


def _check_who(task: Task, made: Submission, name: str) -> None:
    """A learning platform names folders and files after whoever handed in: that is to be the one
    who signed. Raises Refused."""
    rest = name.replace(made.sheet, " ")
    words = {word.strip("-_") for word in re.findall(r"[A-Za-z0-9_-]+", rest)}
    words |= set(re.findall(r"[A-Za-z0-9]+", rest))
    # Shorter ones stand in such names for other reasons.
    named = {word for word in words & set(task.keys) if len(word) >= _ID_LEAST}
    if named and made.student not in named:
        raise Refused("other student", say("it was handed in as {student}, and {signer} signed it",
                                           student=min(named), signer=made.student))  # fmt: skip


def _check_variant(task: Task, made: Submission, place: Path, sheet: Sheet) -> None:
    """Raises Refused for a sheet that is another student's."""
    if dict(made.variant) == dict(sheet.varied):
        return
    for student in task.course.students:
        if dict(of_student(place, task.course.student(student)).varied) == dict(made.variant):
            raise Refused("other variant", say("it is about the sheet of {student}",
                                               student=student))  # fmt: skip
    raise Refused("other variant", term("it is about a sheet that varies in another way"))


def _check_labs(sheet: Sheet, made: Submission, source: Recorded) -> None:
    """Where the topology varies, each run has to be of this student's. Raises Refused."""
    if not sheet.varied or sheet.topology.startswith("./"):
        return
    name, _, arguments = sheet.topology.partition(",")
    labs = [data for part, data in made.parts.items() if part.endswith("/lab.json")]
    for lab in [read_evidence(data) for data in labs] + ([source.lab] if source.lab else []):
        own = (lab.get("topology"), lab.get("arguments")) if isinstance(lab, dict) else ()
        if own != (name, arguments):
            words = ",".join(str(word)[:80] for word in own)
            raise Refused("other variant", say("a run in it is of another lab: {topology}",
                                               topology=repr(words)))  # fmt: skip


# ------------------------------------------------------------------------ prints


def _prints(made: Submission) -> frozenset[str]:
    """What two runs do not have in common, unless one is a copy of the other: whole captures, and
    of their frames what is chosen anew each time: the number, time and data of an echo request, the
    first number of a TCP connection. Addresses are not in them, for they can be rewritten."""
    prints = set()
    for part, data in made.parts.items():
        if not part.endswith(".pcapng"):
            continue
        prints.add(hashlib.sha256(data).hexdigest()[:32])
        with tempfile.NamedTemporaryFile(suffix=".pcapng") as file:
            file.write(data)
            file.flush()
            with contextlib.suppress(OSError, ValueError):
                for seen in pcapng_reader.read(Path(file.name)).observations:
                    prints.update(_print_of(seen.data))
    return frozenset(prints)


def _print_of(frame: bytes) -> list[str]:
    if frame[12:14] != b"\x08\x00" or len(frame) < 34:
        return []
    start = 14 + (frame[14] & 0xF) * 4
    rest = frame[start:]
    if frame[23] == 1 and rest[:1] == b"\x08" and len(rest) >= 32:
        return [hashlib.sha256(b"echo" + rest[4:]).hexdigest()[:32]]
    if frame[23] == 6 and len(rest) >= 20 and rest[13] & 0x12 == 0x02:
        return [hashlib.sha256(b"syn" + rest[4:8] + rest[20:]).hexdigest()[:32]]
    return []


def default_jobs() -> int:
    """A process for each core that we may use."""
    return len(os.sched_getaffinity(0)) or 1


def as_data(marked: Marked) -> dict[str, Any]:
    """For `--json`."""
    return {
        "file": marked.file, "student": marked.student, "sheet": marked.sheet,
        "problem": marked.problem, "reason": str(marked.reason), "passed": marked.passed,
        "of": len(marked.checks),
        "checks": [
            {"id": each.id, "verdict": each.verdict, "judged": each.origin, "own": each.own,
             "seen": str(each.seen)}
            for each in marked.checks
        ],
        "remarks": [str(remark) for remark in marked.remarks],
    }  # fmt: skip
