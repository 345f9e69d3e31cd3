# SPDX-License-Identifier: Apache-2.0
"""The verb that courses are held with: `class`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hoplab.classroom import copies, course, joined, marking, results
from hoplab.classroom.course import Course
from hoplab.classroom.handed_out import of_student
from hoplab.cli.options_class import ACTIONS
from hoplab.cli.output import Progress, print_json, table, tr
from hoplab.errors import Exit, LabError, reason_of
from hoplab.nearest import did_you_mean
from hoplab.sentences import listed, number_of, say, term, together
from hoplab.sheets import sheet_file
from hoplab.sheets.findings import NO_TESTS
from hoplab.sheets.records import Sheet

SHOW_HEAD: list[str] = [term("SHEET"), term("IN THE SHEET"), term("FOR THIS STUDENT")]

JUDGE_HEAD: list[str] = [
    term("STUDENT"), term("SHEET"), term("PASSED"), term("FILE"), term("REMARKS"),
]  # fmt: skip


def class_(arguments: argparse.Namespace) -> int:
    """`hoplab class ACTION COURSE …`"""
    action = arguments.action
    if action not in ACTIONS:
        raise LabError(
            say("{verb} does not know {word}", verb="class", word=action)
            if action else term("what is to be done with a course?"),
            together(did_you_mean(action or "", ACTIONS),
                     say("it has: {names}", names=listed(ACTIONS))),
            Exit.USAGE,
        )  # fmt: skip
    if not arguments.folder:
        raise LabError(
            term("which key file?") if action == "join" else term("which course?"),
            say("as in {command}",
                command="hoplab class join 4711.key" if action == "join"
                else f"hoplab class {action} NET101 …"),
            Exit.USAGE,
        )  # fmt: skip
    actions: dict[str, Callable[[argparse.Namespace, Path], int]] = {
        "new": _new, "keys": _keys, "show": _show, "judge": _judge, "join": _join,
    }  # fmt: skip
    return actions[action](arguments, Path(arguments.folder).expanduser())


# ------------------------------------------------------------------------ new, keys, join


def _students(arguments: argparse.Namespace) -> list[str]:
    listed_ones = course.read_ids(Path(arguments.students).expanduser()) \
        if arguments.students else []
    return [*listed_ones, *arguments.words]


def _new(arguments: argparse.Namespace, folder: Path) -> int:
    if (folder / course.FILE).exists():
        raise LabError(
            say("there is a course in {folder} already", folder=str(folder)),
            say("add students to it: {command}", command=f"hoplab class keys {folder} ID …"),
            Exit.TAKEN,
        )
    return _kept(arguments, course.new(folder.absolute().name), folder)


def _keys(arguments: argparse.Namespace, folder: Path) -> int:
    return _kept(arguments, course.open_course(folder), folder)


def _kept(arguments: argparse.Namespace, held: Course, folder: Path) -> int:
    held = held.with_students(_students(arguments))
    files = course.keep(held, folder)
    if arguments.json:
        print_json({"course": held.name, "course_id": held.id, "folder": str(folder),
                    "students": list(held.students), "keys": [str(file) for file in files]})
        return Exit.OK  # fmt: skip
    print(tr(say("the course {course} has {students}", course=held.name,
                 students=number_of("{n:,} student", "{n:,} students", len(files)))))  # fmt: skip
    print(tr(say("hand out to each student his or her own file: {folder}",
                 folder=str(folder / course.KEYS))))  # fmt: skip
    print(tr(say("keep this to yourself, whoever has it can sign as anybody: {file}",
                 file=str(folder / course.FILE))))  # fmt: skip
    return Exit.OK


def _join(arguments: argparse.Namespace, path: Path) -> int:
    student = joined.join(path)
    if arguments.json:
        print_json({"student": student.id, "course": student.course,
                    "course_id": student.course_id})
        return Exit.OK  # fmt: skip
    print(tr(say("{student} of the course {course} can work here: {command}", student=student.id,
                 course=student.course,
                 command=f"hoplab lab start 02 --student {student.id}")))  # fmt: skip
    return Exit.OK


# ------------------------------------------------------------------------ show


def _show(arguments: argparse.Namespace, folder: Path) -> int:
    held = course.open_course(folder)
    if not arguments.words:
        if arguments.json:
            print_json({"course": held.name, "course_id": held.id,
                        "students": list(held.students)})  # fmt: skip
        else:
            print("\n".join(held.students))
        return Exit.OK
    student = held.member(arguments.words[0])
    places = [sheet_file.find(word) for word in arguments.words[1:]] or sheet_file.folders()
    sheets = [of_student(place, student) for place in places]
    if arguments.json:
        print_json({"student": student.id, "sheets": [_as_json(sheet) for sheet in sheets]})
        return Exit.OK
    rows = [
        [sheet.name, text, value] for sheet in sheets for text, value in sheet.varied.items()
    ]  # fmt: skip
    if rows:
        print(table(rows, SHOW_HEAD))
    same = [sheet.name for sheet in sheets if not sheet.varied]
    if same:
        print(tr(say("the same for everybody: {names}", names=listed(same))))
    if len(sheets) == 1:
        for name, words in _answers(sheets[0]).items():
            print(f"  {name}  {words}")
    return Exit.OK


def _answers(sheet: Sheet) -> dict[str, str]:
    """By question the first right answer, or all that belong to it."""
    answers = {}
    for check in sheet.checks.values():
        if check.answer is not None:
            expected = check.answer
            words = listed(expected.together) if expected.together else expected.accepted[:1]
            answers[check.id] = str(words) if expected.together else "".join(words)
            if expected.unit and answers[check.id]:
                answers[check.id] += f" {expected.unit}"
            if check.count:
                answers[check.id] = f"count: {check.count}"
    return answers


# ------------------------------------------------------------------------ judge


def _judge(arguments: argparse.Namespace, folder: Path) -> int:
    held = course.open_course(folder)
    if len(arguments.words) != 1:
        raise LabError(
            term("where is what was handed in?"),
            say("as in {command}", command="hoplab class judge NET101 handed-in"), Exit.USAGE,
        )  # fmt: skip
    place = Path(arguments.words[0]).expanduser()
    if not place.exists():
        raise LabError(say("there is no file or folder {path}", path=str(place)), "", Exit.NO_SUCH)
    sheets = [sheet_file.find(word) for word in arguments.sheet or ()] or sheet_file.folders()
    task = marking.task_for(held, sheets)
    jobs = arguments.jobs or marking.default_jobs()
    with Progress(arguments.json) as progress:
        marked = copies.with_remarks(marking.mark_all(
            task, place, max(1, jobs),
            lambda n, of: progress(say("{n:,} of {of:,} judged", n=n, of=of)),
        ))  # fmt: skip
    output = Path(arguments.output).expanduser() if arguments.output else None
    if output is not None:
        _write(output, held, marked)
    if arguments.json:
        print_json({"course": held.name, "submissions": [marking.as_data(each) for each in marked]})
    else:
        _tell(marked, output)
    if not marked:
        return NO_TESTS
    whole = all(each.checks and each.passed == len(each.checks) for each in marked)
    return Exit.OK if whole else Exit.FAILED


def _write(output: Path, held: Course, marked: list[marking.Marked]) -> None:
    try:
        results.write_all(output, held.name, held.students, marked, tr)
    except OSError as error:
        raise LabError(
            say("{output} cannot be written: {reason}", output=str(output),
                reason=reason_of(error)),
            say("choose another place with {option}", option="-o"), Exit.REFUSED,
        ) from error  # fmt: skip


def _tell(marked: list[marking.Marked], output: Path | None) -> None:
    rows = [
        [each.student, each.sheet, f"{each.passed}/{len(each.checks)}" if each.checks else "✗",
         each.file, " ".join(tr(words) for words in (each.reason, *each.remarks) if words)]
        for each in marked
    ]  # fmt: skip
    if rows:
        print(table(rows, JUDGE_HEAD))
    refused = sum(not each.checks for each in marked)
    print(tr(say("{files}, {refused} not judged",
                 files=number_of("{n:,} file", "{n:,} files", len(marked)), refused=refused)))
    if output is not None:
        print(tr(say("the page: {file}", file=str(output / "index.html"))))


def _as_json(sheet: Sheet) -> dict[str, Any]:
    return {"sheet": sheet.name, "varied": dict(sheet.varied), "answers": _answers(sheet)}
