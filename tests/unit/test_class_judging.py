# SPDX-License-Identifier: Apache-2.0
"""What is handed in, judged again from the files alone; each bad kind is named, and none passes."""

from __future__ import annotations

import csv
import io
import json
import os
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import pytest

from hoplab.classroom import copies, course, marking, results, submission
from hoplab.classroom.course import Course
from hoplab.classroom.marking import Marked
from hoplab.cli.main import main
from hoplab.sheets import sheet_file
from tests.unit import handed_in
from tests.unit.handed_in import SHEET, made, packed

HELD = handed_in.course()
FIRST, SECOND, THIRD = HELD.students


def judged(folder: Path, held: Course = HELD, jobs: int = 1) -> dict[str, Marked]:
    task = marking.task_for(held, [sheet_file.find(SHEET)])
    marked = copies.with_remarks(marking.mark_all(task, folder, jobs))
    return {each.file: each for each in marked}


def one(folder: Path, data: bytes) -> Marked:
    """A file in this process, which is quicker."""
    (folder / "x.zip").write_bytes(data)
    return marking.mark(marking.task_for(HELD, [sheet_file.find(SHEET)]), folder, "x.zip")


def verdicts(marked: Marked) -> dict[str, str]:
    return {check.id: check.verdict for check in marked.checks}


def test_what_is_right_passes_and_says_what_it_was_judged_by(tmp_path: Path) -> None:
    marked = one(tmp_path, packed(HELD, FIRST))
    assert (marked.problem, marked.student, marked.sheet) == ("", FIRST, SHEET)
    assert set(verdicts(marked).values()) == {"passed"} and marked.passed == 10
    origins = {check.id: check.origin for check in marked.checks}
    assert origins["talks"] == "frames" and origins["cable"] == "as recorded"
    assert origins["q-mask"] == "answer" and not marked.remarks


def test_the_verdict_is_that_of_the_frames_and_not_what_the_file_says(tmp_path: Path) -> None:
    marked = one(tmp_path, packed(HELD, FIRST, answered=False, answers={"q-hosts": "128"}))
    failed = {name for name, verdict in verdicts(marked).items() if verdict != "passed"}
    assert failed == {"talks", "q-hosts"}
    assert {check.own for check in marked.checks} == {"passed"}
    assert any("which fail" in remark for remark in marked.remarks)


def test_a_capture_that_was_cut_before_it_was_signed_passes_nothing(tmp_path: Path) -> None:
    whole = made(HELD, FIRST)
    name = "runs/talks.h1/capture.pcapng"
    for kept in (0, 9, len(whole.parts[name]) - 30):
        short = handed_in.with_part(whole, name, whole.parts[name][:kept])
        marked = one(tmp_path, submission.pack(short, HELD.student(FIRST)))
        assert verdicts(marked).get("talks", "") in ("unjudged", "failed"), kept
    missing = replace(whole, parts={})
    marked = one(tmp_path, submission.pack(missing, HELD.student(FIRST)))
    assert not marked.passed or verdicts(marked)["talks"] == "unjudged"


@pytest.mark.parametrize("name", sorted(handed_in.bad(HELD)))
def test_what_is_wrong_is_named_and_never_passes(name: str, tmp_path: Path) -> None:
    data, problem = handed_in.bad(HELD)[name]
    marked = one(tmp_path, data)
    if name == "lab-is-no-json":
        assert marked.problem in ("damaged", "other variant")
    else:
        assert marked.problem == problem
    assert marked.reason and not marked.checks and not marked.passed
    assert [path.name for path in tmp_path.iterdir()] == ["x.zip"]


def test_a_file_handed_in_under_anothers_name_is_told(tmp_path: Path) -> None:
    place = tmp_path / f"{SECOND}_4711_assignsubmission"
    place.mkdir()
    (place / "x.zip").write_bytes(packed(HELD, FIRST))
    (tmp_path / f"{SHEET}-{FIRST}.zip").write_bytes(packed(HELD, FIRST, number=2))
    marks = judged(tmp_path)
    assert marks[f"{place.name}/x.zip"].problem == "other student"
    assert marks[f"{SHEET}-{FIRST}.zip"].passed == 10


def test_links_are_named_and_not_followed_and_copies_are_told(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    folder = tmp_path / "in"
    outside.mkdir(), folder.mkdir()
    (outside / "good.zip").write_bytes(packed(HELD, THIRD))
    (folder / "link.zip").symlink_to(outside / "good.zip")
    (folder / "loop").symlink_to(folder)
    os.mkfifo(folder / "pipe.zip")
    own = {"q-guilty": "the second host, I think"}
    (folder / "a.zip").write_bytes(packed(HELD, FIRST, answers=own))
    thief = made(HELD, SECOND)
    runs = handed_in.capture(thief.variant["10.0.0."],
                             int.from_bytes(HELD.student(FIRST).seed[:2], "big") + 1)
    theirs = made(HELD, FIRST).answers["q-network"]
    copied = replace(
        handed_in.with_part(thief, "runs/talks.h1/capture.pcapng", runs),
        answers={**thief.answers, "q-network": theirs},
    )
    (folder / "b.zip").write_bytes(submission.pack(copied, HELD.student(SECOND)))
    (folder / "b2.zip").write_bytes(packed(HELD, SECOND, number=3))
    marks = judged(folder, jobs=2)
    assert marks["link.zip"].problem == marks["loop"].problem == "link"
    assert marks["pipe.zip"].problem == "not a file"
    told = " ".join(map(str, marks["b.zip"].remarks))
    assert f"a run in it is also in what {FIRST} handed in" in told
    assert f"is right in the sheet of {FIRST}" in told and "b2.zip" in told
    assert any(SECOND in remark for remark in marks["a.zip"].remarks)


def test_answers_letter_for_letter_are_told_and_right_ones_are_not(tmp_path: Path) -> None:
    words = {"q-guilty": "must be teh second one", "q-network": "x", "q-broadcast": "x",
             "q-twenty": "x"}  # fmt: skip
    for student in (FIRST, SECOND):
        (tmp_path / f"{student}.zip").write_bytes(packed(HELD, student, answers=words))
    (tmp_path / f"{THIRD}.zip").write_bytes(packed(HELD, THIRD))
    marks = judged(tmp_path)
    assert "letter for letter" in marks[f"{FIRST}.zip"].remarks[-1]
    assert not any("letter" in remark for remark in marks[f"{THIRD}.zip"].remarks)


def test_the_same_content_makes_the_same_file() -> None:
    assert packed(HELD, FIRST) == packed(HELD, FIRST) != packed(HELD, FIRST, number=2)


def test_tables_and_pages_hold_what_strangers_write(tmp_path: Path) -> None:
    evil = Marked('=cmd|"<script>&\x00.zip', FIRST, SHEET, "path", "<b>&\x01")
    right = replace(one(tmp_path, packed(HELD, SECOND)), file="b.zip")
    files = results.write_all(tmp_path / "out", "<i>", HELD.students, [evil, right], str)
    page = (tmp_path / "out" / "index.html").read_text()
    assert "<script" not in page and "<b>" not in page and "default-src 'none'" in page
    root = ElementTree.fromstring((tmp_path / "out" / "junit.xml").read_text())
    assert len(root.findall(".//testcase")) == 11 and len(root.findall(".//error")) == 1
    rows = list(csv.reader(io.StringIO(
        (tmp_path / "out" / "submissions.csv").read_text(encoding="utf-8-sig"))))  # fmt: skip
    assert rows[1][4].startswith("'=") and rows[2][2] == "10"
    table = list(csv.reader(io.StringIO(
        (tmp_path / "out" / "course.csv").read_text(encoding="utf-8-sig"))))  # fmt: skip
    assert table == [["student", SHEET, "all"], [FIRST, "", ""], [SECOND, "10", "10"],
                     [THIRD, "", ""]]  # fmt: skip
    scores = [json.loads(file.read_text()) for file in files if file.parent.name == "results"]
    assert [each["score"] for each in scores] == [0.0, 10.0]
    assert len(scores[1]["tests"]) == 10 and scores[1]["tests"][0]["max_score"] == 1.0


def test_the_verb_judges_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    course.keep(HELD, tmp_path / "NET101")
    folder = tmp_path / "in"
    folder.mkdir()
    words = ["class", "judge", str(tmp_path / "NET101"), str(folder)]
    assert main([*words, "--json"]) == 2
    (folder / "a.zip").write_bytes(packed(HELD, FIRST))
    assert main([*words, "--jobs", "1", "-o", str(tmp_path / "out")]) == 0
    assert "10/10" in capsys.readouterr().out
    assert (tmp_path / "out" / "results.json").is_file()
    (folder / "b.zip").write_bytes(b"")
    assert main([*words, "--json"]) == 1
    assert len(json.loads(capsys.readouterr().out)["submissions"]) == 2
    assert main([*words[:3], str(folder / "none")]) == 4
