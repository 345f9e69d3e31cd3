# SPDX-License-Identifier: Apache-2.0
"""A student's own sheet: what varies follows from the course's key and the ID, and is put in
everywhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hoplab.classroom import course, joined
from hoplab.classroom.course import Course
from hoplab.classroom.handed_out import of_student, page_of
from hoplab.cli.main import main
from hoplab.errors import LabError
from hoplab.sheets import sheet_file, variants
from hoplab.sheets.sheet_file import load
from hoplab.sheets.variants import NoRule, Rule

NETMASK = sheet_file.find("02")
FIXED = Course("NET101", bytes(range(32)), ("4711", "4712"))


def test_the_same_seed_gives_the_same_on_every_machine() -> None:
    rules = (
        Rule("10.0.0.", ("10.{net 1-250}.{sub 0-250}.",)),
        Rule("--seed 59", ("--seed 59", "--seed 60", "--seed 61")),
        Rule("bits", ("{sub bits}",)),
    )
    values = variants.choose(rules, b"seed")
    assert values == variants.choose(tuple(reversed(rules)), b"seed")
    # Written down, since a student's sheet may not change with a release of ours or of Python's.
    assert values == {"10.0.0.": "10.120.33.", "--seed 59": "--seed 60", "bits": "00100001"}
    assert variants.choose(rules, b"tree") != values


def test_texts_are_put_in_everywhere_at_once_and_not_within_longer_numbers() -> None:
    values = {"10.0.0.": "10.1.2.", "10.1.2.": "10.3.4.", "59": "7"}
    data = {"icmp to 10.0.0.5": ["110.0.0.5 10.0.0.130/25", {"en": "10.1.2.9"}], "n": 59,
            "seed": "--seed 59, 590"}  # fmt: skip
    assert variants.put_in(data, values) == {
        "icmp to 10.1.2.5": ["110.0.0.5 10.1.2.130/25", {"en": "10.3.4.9"}], "n": 59,
        "seed": "--seed 7, 590",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("into", "what"),
    [("10.{net}.", "net"), ("{net 9-3}", "net"), ("{net 1-3}{net 1-4}", "net"), ("{Net}", "Net")],
)
def test_a_rule_that_cannot_be_done_is_told(into: str, what: str) -> None:
    with pytest.raises(NoRule, match=what):
        variants.check((Rule("10.0.0.", (into,)),))


def test_a_sheet_is_another_for_each_student_and_the_same_for_nobody() -> None:
    plain, ada, bob = (
        load(NETMASK), *(of_student(NETMASK, FIXED.student(each)) for each in FIXED.students)
    )  # fmt: skip
    assert plain.topology == "cable,ip1=10.0.0.130/25,ip2=10.0.0.5/25" and not plain.varied
    assert len({plain.topology, ada.topology, bob.topology}) == 3
    assert ada == of_student(NETMASK, FIXED.student("4711"))
    prefix = ada.varied["10.0.0."]
    answer = ada.checks["q-network"].answer
    assert answer is not None and answer.accepted == (f"{prefix}128/25",)
    assert ada.checks["talks"].command == f"ping -c 1 -W 2 {prefix}5"
    assert ada.own_name == "02-netmask-4711" and ada.called == "02-netmask --student 4711"


def test_every_sheet_that_varies_can_be_read_for_many_students() -> None:
    varying = [place for place in sheet_file.folders() if load(place).varies]
    assert len(varying) >= 2
    for place in varying:
        sheets = [of_student(place, FIXED.student(f"s{n}")) for n in range(20)]
        assert len({sheet.topology for sheet in sheets}) > 15
        text = (place / "lab.yml").read_text() + (place / "README.md").read_text()
        for varied in load(place).varies:
            assert varied in text.partition("vary:")[0] + text.partition("validate:")[2]


def test_the_page_has_the_students_own_and_its_links_still_lead_somewhere(tmp_path: Path) -> None:
    sheet = of_student(NETMASK, FIXED.student("4711"))
    page = page_of(sheet, "README.md", tmp_path)
    assert page == tmp_path / "README.md"
    text = page.read_text()
    assert "10.0.0." not in text and sheet.varied["10.0.0."] + "130/25" in text
    assert "hoplab lab start 02 --student 4711" in text
    assert f"]({NETMASK.parent}/03-hub/README.md)" in text
    assert page_of(load(NETMASK), "README.md", tmp_path) == NETMASK / "README.md"


def test_a_course_writes_the_same_key_files_again_and_nobody_else_may_read_them(
    tmp_path: Path,
) -> None:
    files = course.keep(FIXED, tmp_path)
    before = [file.read_bytes() for file in files]
    held = course.open_course(tmp_path)
    assert held == FIXED
    course.keep(held.with_students(["4713"]), tmp_path)
    assert [file.read_bytes() for file in files] == before
    assert all(file.stat().st_mode & 0o077 == 0 for file in (*files, tmp_path / course.FILE))
    student = course.open_key(files[0])
    assert student == FIXED.student("4711") and student.course_id == FIXED.id
    assert student.seed != student.private != FIXED.key


@pytest.mark.parametrize("name", ["../x", "", "a b", "x" * 21, "-a", "ä"])
def test_what_is_no_id_is_refused(name: str) -> None:
    with pytest.raises(LabError):
        FIXED.with_students([name])


def test_lists_of_students_are_read_as_they_come(tmp_path: Path) -> None:
    file = tmp_path / "ids.csv"
    file.write_text("﻿id;name\n4711;Ada\n\n# left\n4712;Bob\n", encoding="utf-8")
    assert course.read_ids(file) == ["4711", "4712"]
    file.write_text("4711\n4712\n")
    assert course.read_ids(file) == ["4711", "4712"]


def test_the_verb_makes_shows_and_joins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    folder = tmp_path / "NET101"
    assert main(["class", "new", str(folder), "4711", "4712", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["students"] == ["4711", "4712"]
    assert main(["class", "new", str(folder), "4711"]) == 5
    assert main(["class", "join", made["keys"][0], "--json"]) == 0
    assert joined.ids() == ["4711"]
    capsys.readouterr()
    assert main(["class", "show", str(folder), "4711", "02", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)["sheets"][0]
    assert shown["varied"] == dict(of_student(NETMASK, joined.find("4711")).varied)
    assert shown["answers"]["q-network"] == shown["varied"]["10.0.0."] + "128/25"
    assert main(["class", "show", str(folder), "4713"]) == 4
    assert main(["lab", "answer", "02", "--student", "4712", "q-mask", "1"]) == 4
    assert "class join" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "{", "[]", '{"student": "x"}', '{"student": 1, "seed": 2}'])
def test_a_key_file_that_is_none_is_told(tmp_path: Path, text: str) -> None:
    file = tmp_path / "x.key"
    file.write_text(text)
    with pytest.raises(LabError):
        joined.find(str(file))
    (tmp_path / course.FILE).write_text(text)
    with pytest.raises(LabError):
        course.open_course(tmp_path)
