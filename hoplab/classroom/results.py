# SPDX-License-Identifier: Apache-2.0
"""Marks as files: a page, tables for spreadsheets, what Gradescope reads, JUnit.

What lives here: these formats. What must not: how marks come about, languages (whoever calls says
how a sentence becomes text).

    index.html          all submissions, why each check failed, and what looks like a copy
    course.csv          a line a student, a column a sheet: checks passed
    submissions.csv     a line a submission
    checks.csv          a line a check
    junit.xml           a suite a submission, a case a check
    results/FILE.json   Gradescope's results.json of each submission; results.json beside these
                        where there was one alone

What students wrote is escaped everywhere; the page has no script and says that it may have none. A
cell that a spreadsheet would take for a formula begins with an apostrophe.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Sequence
from html import escape
from pathlib import Path
from xml.sax.saxutils import quoteattr

from hoplab.classroom.marking import CheckMark, Marked
from hoplab.sentences import say, term
from hoplab.sheets.findings import Verdict

Words = Callable[[str], str]
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NO_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:75rem;margin:2rem auto;padding:0 1rem;"
    "color:#1a1a1a;background:#fff}table{border-collapse:collapse;margin:1rem 0}"
    "th,td{border:1px solid #bbb;padding:.3rem .6rem;text-align:left;vertical-align:top}"
    "th{background:#f0f0f0}.bad{color:#a40000}.good{color:#006400}.open{color:#6b4e00}"
    "summary{cursor:pointer;padding:.3rem 0}@media(prefers-color-scheme:dark){body{color:#eee;"
    "background:#161616}th{background:#2a2a2a}th,td{border-color:#555}.bad{color:#ff9a9a}"
    ".good{color:#8fdc8f}.open{color:#f0cf7a}}"
)
_SIGNS = {"passed": "✓", "failed": "✗", "warning": "!", "unjudged": "?", "skipped": "-"}
_CLASSES = {"passed": "good", "failed": "bad"}
COURSE_HEAD: list[str] = [term("STUDENT"), term("ALL SHEETS")]
FILE_HEAD: list[str] = [
    term("STUDENT"), term("SHEET"), term("PASSED"), term("OF"), term("FILE"), term("NOT JUDGED"),
    term("REMARKS"),
]  # fmt: skip
CHECK_HEAD: list[str] = [
    "", term("CHECK"), term("WHAT IS CHECKED"), term("JUDGED BY"), term("SEEN"),
]  # fmt: skip
ORIGINS: dict[str, str] = {
    "frames": term("frames"), "as recorded": term("as recorded"), "answer": term("the answer"),
    "not judged": term("not judged here"),
}  # fmt: skip


def write_all(
    folder: Path, course: str, students: Sequence[str], marked: Sequence[Marked], words: Words
) -> list[Path]:
    """All of these files; which. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results").mkdir(exist_ok=True)
    texts = {
        "index.html": page(course, students, marked, words),
        "course.csv": _csv(course_table(students, marked)),
        "submissions.csv": _csv(_submission_rows(marked)),
        "checks.csv": _csv(_check_rows(marked)),
        "junit.xml": junit(course, marked),
    }
    names = set()
    for number, each in enumerate(marked, 1):
        stem = re.sub(r"[^A-Za-z0-9._-]+", "_", each.file.removesuffix(".zip")).strip("._")[:120]
        name = stem if stem and stem not in names else f"{stem or 'file'}-{number}"
        names.add(name)
        texts[f"results/{name}.json"] = gradescope(each)
    if len(marked) == 1:
        texts["results.json"] = gradescope(marked[0])
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in texts]


# ------------------------------------------------------------------------ tables


def _csv(rows: Iterable[Sequence[object]]) -> str:
    file = io.StringIO()
    # What begins a file for programs that do not know UTF-8 otherwise.
    file.write("\ufeff")
    csv.writer(file, lineterminator="\n").writerows([_cell(each) for each in row] for row in rows)
    return file.getvalue()


def _cell(value: object) -> object:
    text = str(value)
    return f"'{text}" if text.startswith(_FORMULA) else value


def course_table(students: Sequence[str], marked: Sequence[Marked]) -> list[list[str]]:
    """A heading, and for each student the checks that passed in each sheet: of several files for
    one sheet those of the best; "" where none was judged."""
    sheets = sorted({each.sheet for each in marked if each.checks})
    best: dict[tuple[str, str], int] = {}
    for each in marked:
        if each.checks:
            key = (each.student, each.sheet)
            best[key] = max(best.get(key, 0), each.passed)
    rows = [["student", *sheets, "all"]]
    for student in students:
        own = [best.get((student, sheet)) for sheet in sheets]
        done = [points for points in own if points is not None]
        rows.append([student, *("" if points is None else str(points) for points in own),
                     str(sum(done)) if done else ""])  # fmt: skip
    return rows


def _submission_rows(marked: Sequence[Marked]) -> list[list[object]]:
    rows: list[list[object]] = [
        [each.student, each.sheet, each.passed if each.checks else "", len(each.checks) or "",
         each.file, each.problem, each.reason, " ".join(map(str, each.remarks))]
        for each in marked
    ]  # fmt: skip
    return [["student", "sheet", "passed", "of", "file", "problem", "reason", "remarks"], *rows]


def _check_rows(marked: Sequence[Marked]) -> list[list[object]]:
    rows: list[list[object]] = [
        [each.student, each.sheet, check.id, check.verdict, check.origin, check.own, check.seen]
        for each in marked for check in each.checks
    ]  # fmt: skip
    return [["student", "sheet", "check", "verdict", "judged by", "own verdict", "seen"], *rows]


# ------------------------------------------------------------------------ programs


def gradescope(each: Marked) -> str:
    """A results.json, as https://gradescope-autograders.readthedocs.io/ describes it."""
    tests = [
        {
            "name": f"{check.id}: {check.description}" if check.description else check.id,
            "score": float(check.verdict == Verdict.PASSED.value), "max_score": 1.0,
            "status": "passed" if check.verdict == Verdict.PASSED.value else "failed",
            "output": f"{check.verdict} ({check.origin}) {check.seen}".strip(),
        }
        for check in each.checks
    ]  # fmt: skip
    said = " ".join(map(str, filter(None, [each.reason, *each.remarks])))
    return json.dumps(
        {"score": float(each.passed), "output": said, "stdout_visibility": "hidden",
         "tests": tests},
        indent=1,
    )  # fmt: skip


def junit(course: str, marked: Sequence[Marked]) -> str:
    """JUnit's XML: what was not judged is an error, a check that failed a failure."""
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', f"<testsuites name={_quoted(course)}>"]
    for each in marked:
        failed = sum(check.verdict in ("failed", "warning") for check in each.checks)
        skipped = sum(check.verdict in ("unjudged", "skipped") for check in each.checks)
        lines.append(
            f'<testsuite name={_quoted(each.file)} tests="{len(each.checks) or 1}" '
            f'failures="{failed}" skipped="{skipped}" errors="{int(bool(each.problem))}">'
        )
        if each.problem:
            lines.append(f"<testcase name={_quoted(each.problem)}>"
                         f"<error message={_quoted(each.reason)}/></testcase>")  # fmt: skip
        lines += [_junit_case(each, check) for check in each.checks]
        lines.append("</testsuite>")
    return "\n".join([*lines, "</testsuites>", ""])


def _junit_case(each: Marked, check: CheckMark) -> str:
    head = f"<testcase classname={_quoted(f'{each.sheet}.{each.student}')} name={_quoted(check.id)}"
    if check.verdict == Verdict.PASSED.value:
        return f"{head}/>"
    kind = "skipped" if check.verdict in ("unjudged", "skipped") else "failure"
    return f"{head}><{kind} message={_quoted(check.seen or check.verdict)}/></testcase>"


def _quoted(text: str) -> str:
    return quoteattr(_NO_XML.sub("?", text))


# ------------------------------------------------------------------------ the page


def page(course: str, students: Sequence[str], marked: Sequence[Marked], words: Words) -> str:
    """All of it for a person, in his or her language."""

    def html(text: str) -> str:
        return escape(words(text))

    heading = html(say("What was handed in: {course}", course=course))
    table = course_table(students, marked)
    head = [html(COURSE_HEAD[0]), *map(escape, table[0][1:-1]), html(COURSE_HEAD[1])]
    parts = [
        '<!doctype html><html><head><meta charset="utf-8">',
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
        "style-src 'unsafe-inline'\">",
        '<meta name="viewport" content="width=device-width">',
        f"<title>{heading}</title><style>{_STYLE}</style></head><body><main><h1>{heading}</h1>",
        _table(head, [[escape(cell) for cell in row] for row in table[1:]]),
        f"<h2>{html(term('Submissions'))}</h2>",
        _table(
            [html(text) for text in FILE_HEAD],
            [[escape(each.student), escape(each.sheet), str(each.passed) if each.checks else "",
              str(len(each.checks) or ""), escape(each.file),
              f'<span class="bad">{html(each.reason)}</span>',
              "<br>".join(html(remark) for remark in each.remarks)] for each in marked],
        ),
        f"<h2>{html(term('Checks'))}</h2>",
    ]  # fmt: skip
    for each in marked:
        if each.checks:
            title = escape(f"{each.student} {each.sheet}: {each.passed}/{len(each.checks)}")
            rows = [
                [f'<span class="{_CLASSES.get(check.verdict, "open")}">'
                 f"{_SIGNS.get(check.verdict, '?')}</span>", escape(check.id),
                 escape(check.description), html(ORIGINS.get(check.origin, check.origin)),
                 html(check.seen)]
                for check in each.checks
            ]  # fmt: skip
            inner = _table([html(text) for text in CHECK_HEAD], rows)
            parts.append(f"<details><summary>{title}</summary>{inner}</details>")
    return "\n".join([*parts, "</main></body></html>", ""])


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th scope=col>{cell}</th>" for cell in head)
    body = "\n".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
