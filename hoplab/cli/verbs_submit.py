# SPDX-License-Identifier: Apache-2.0
"""`hoplab lab submit`: the one file that a learner hands in."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from hoplab.classroom import joined, submission
from hoplab.classroom.marking import sheet_digest
from hoplab.classroom.submission import Submission
from hoplab.cli.output import print_json, tr
from hoplab.client import labs
from hoplab.errors import Exit, LabError, reason_of
from hoplab.sentences import number_of, say, term
from hoplab.sheets.findings import Judgement, Verdict
from hoplab.sheets.records import Sheet
from hoplab.sheets.sources import Recording, Source


def submit(
    arguments: argparse.Namespace,
    sheet: Sheet,
    handle: labs.Handle | None,
    answers: Mapping[str, str],
    judge: Callable[[Source | None], list[Judgement]],
) -> int:
    """Write the file. judge: judges all checks with this source in the place of the lab."""
    if not arguments.student:
        raise LabError(
            term("whose is it?"),
            say("as in {command}", command=f"hoplab lab submit {sheet.called} --student ID"),
            Exit.USAGE,
        )
    student = joined.find(arguments.student)
    arguments.only = None  # all is handed in
    with tempfile.TemporaryDirectory(prefix="hoplab-submit-") as scratch:
        source = Recording(handle, Path(scratch)) if handle is not None else None
        judgements = judge(source)
        parts = submission.read_parts(Path(scratch))
    if source is not None:
        source.state()
        parts[submission.EVIDENCE] = json.dumps(
            source.as_data(), ensure_ascii=False, sort_keys=True
        ).encode()
    made = Submission(
        student=student.id, course=student.course, course_id=student.course_id, sheet=sheet.name,
        sheet_sha256=sheet_digest(sheet), variant=sheet.varied,
        answers={name: text for name, text in answers.items() if name in sheet.checks},
        verdicts={each.check: each.verdict.value for each in judgements}, parts=parts,
    )  # fmt: skip
    data = submission.pack(made, student)
    file = Path(arguments.output or f"{sheet.own_name}.zip")
    _check_size(data, parts)
    try:
        file.write_bytes(data)
    except OSError as error:
        raise LabError(
            say("{output} cannot be written: {reason}", output=str(file), reason=reason_of(error)),
            say("choose another place with {option}", option="-o"), Exit.REFUSED,
        ) from error  # fmt: skip
    passed = sum(each.verdict == Verdict.PASSED for each in judgements)
    if arguments.json:
        print_json({"file": str(file.absolute()), "bytes": len(data), "student": student.id,
                    "sheet": sheet.name, "passed": passed, "of": len(judgements)})
        return Exit.OK  # fmt: skip
    print(tr(say("{file}: {passed} of {of} checks pass, signed by {student}, {size}",
                 file=str(file), passed=passed, of=len(judgements), student=student.id,
                 size=number_of("{n:,} byte", "{n:,} bytes", len(data)))))  # fmt: skip
    return Exit.OK


def _check_size(data: bytes, parts: Mapping[str, bytes]) -> None:
    """Raises LabError for a file that would not be taken."""
    if len(data) > submission.LARGEST_FILE or sum(map(len, parts.values())) > (
        submission.LARGEST_WHOLE
    ):
        raise LabError(
            say("the file would have {n:,} bytes, which is too large to be taken", n=len(data)),
            term("is something in the lab sending all the time?"), Exit.FAILED,
        )  # fmt: skip
