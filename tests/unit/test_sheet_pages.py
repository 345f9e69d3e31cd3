# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: RUF001
"""The lab sheets as texts: what both languages, the checks and the answers say of one another
agrees. That their commands do what they say, `tests/net/test_sheet_pages.py` tries."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.unit.test_typography import FAULTS

LABS = Path(__file__).resolve().parents[2] / "labs"
SHEETS = sorted(path.name for path in LABS.glob("[0-9][0-9]-*"))
FILES = {"README.md", "README.zh.md", "lab.yml", "solutions.yml", "answers.md", "answers.zh.md"}
BLOCK = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SCORE = {
    "README.md": r"(?P<passed>\d+) of (?P<n>\d+) checks pass: the rest is your work",
    "README.zh.md": r"(?P<n>\d+) 项检查中已通过 (?P<passed>\d+) 项：其余的由您来完成",
}
MARKS = {
    "README.md": ("Goal", "Predict", "Question", "Show"),
    "README.zh.md": ("目标", "预测", "问题", "演示"),
}


def read(sheet: str, name: str) -> str:
    return (LABS / sheet / name).read_text(encoding="utf-8")


def ids(section: str, lab: str) -> list[str]:
    """The keys right below a key at the top of a lab.yml."""
    body = lab.partition(f"\n{section}:\n")[2]
    body = re.split(r"^\S", body, maxsplit=1, flags=re.MULTILINE)[0]
    return re.findall(r"^  ([a-z0-9-]+):$", body, re.MULTILINE)


def commands(page: str) -> list[str]:
    return [body for kind, body in BLOCK.findall(page) if kind == "sh"]


def without_comments(code: str) -> list[str]:
    return [line.partition("#")[0].rstrip() for line in code.splitlines()]


def test_there_are_sheets_and_the_reading_of_them_reads() -> None:
    assert len(SHEETS) >= 8
    lab = (
        "title: x\nmoments:\n  seen:\n    at: y\nvalidate:\n  a-1:\n    answer: z\n  b:\n    x: 1\n"
    )
    assert (ids("validate", lab), ids("moments", lab)) == (["a-1", "b"], ["seen"])


@pytest.mark.parametrize("sheet", SHEETS)
def test_both_languages_have_the_same_commands_and_files(sheet: str) -> None:
    assert {path.name for path in (LABS / sheet).iterdir()} >= FILES
    english, chinese = read(sheet, "README.md"), read(sheet, "README.zh.md")
    assert commands(english) == commands(chinese)
    files = [
        [(kind, without_comments(body)) for kind, body in BLOCK.findall(page) if " " in kind]
        for page in (english, chinese)
    ]
    assert files[0] == files[1]
    kinds = [[kind for kind, _ in BLOCK.findall(page)] for page in (english, chinese)]
    assert kinds[0] == kinds[1]
    assert all(kind in ("sh", "text") or " " in kind for kind in kinds[0])


@pytest.mark.parametrize("sheet", SHEETS)
def test_a_printed_file_is_the_one_that_is_tried(sheet: str) -> None:
    """Where a file of a page lies in the sheet's folder too, solutions and the start use that."""
    for kind, body in BLOCK.findall(read(sheet, "README.md")):
        file = LABS / sheet / kind.partition(" ")[2]
        if file.is_file():
            code = without_comments(file.read_text(encoding="utf-8"))
            assert "".join(without_comments(body)) == "".join(code), file.name


@pytest.mark.parametrize("sheet", SHEETS)
@pytest.mark.parametrize("page", sorted(SCORE))
def test_a_page_and_its_checks_agree(sheet: str, page: str) -> None:
    text, lab = read(sheet, page), read(sheet, "lab.yml")
    goal, predict, question, show = MARKS[page]
    checks = ids("validate", lab)
    questions = [check for check in checks if check.startswith("q-")]
    asked = re.findall(rf"^> \*\*{question} (q-[a-z0-9-]+)[.。]\*\*", text, re.MULTILINE)
    assert sorted(asked) == sorted(questions), "questions asked, and answers in lab.yml"
    shown = re.findall(rf"^> \*\*{show} ([a-z0-9-]+)[.。]\*\*", text, re.MULTILINE)
    assert set(shown) == set(ids("moments", lab)), "what is shown, and moments in lab.yml"
    score = re.search(SCORE[page], text)
    assert score is not None
    assert score["passed"] == re.search(r"^score: (\d+)$", lab, re.MULTILINE)[1]  # type: ignore[index]
    assert score["n"] == str(len(checks))
    number, name = sheet.split("-")[0], sheet
    assert re.match(rf"# (Lab|实验) {number}[:：]", text)
    assert text.split("\n\n")[1].startswith(f"**{goal}"), "the goal comes first"
    assert f"> **{predict}" in text, "a prediction is asked"
    assert f"hoplab lab check {number}" in text and f"hoplab lab start {number}\n" in text
    assert name in text, "the lab is ended by name at the end"
    ending = f"{len(checks)} of {len(checks)}" if page == "README.md" else f"{len(checks)} 项全部"
    assert ending in text


@pytest.mark.parametrize("sheet", SHEETS)
@pytest.mark.parametrize("page", ["answers.md", "answers.zh.md"])
def test_every_question_is_answered_apart(sheet: str, page: str) -> None:
    answered = re.findall(r"^\*\*(q-[a-z0-9-]+)", read(sheet, page), re.MULTILINE)
    checks = ids("validate", read(sheet, "lab.yml"))
    assert sorted(answered) == sorted(c for c in checks if c.startswith("q-"))


def test_links_lead_somewhere() -> None:
    dead = []
    for page in sorted(LABS.rglob("*.md")):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            if not (page.parent / target).exists():
                dead.append(f"{page.relative_to(LABS)}: {target}")
    assert not dead


@pytest.mark.parametrize("sheet", SHEETS)
def test_chinese_is_set_as_chinese_is(sheet: str) -> None:
    wrong = []
    for page in ("README.zh.md", "answers.zh.md"):
        prose = re.sub(r"`[^`]*`", "X", BLOCK.sub("", read(sheet, page)))
        prose = re.sub(r"^    .*$", "", prose, flags=re.MULTILINE)
        for line in prose.replace("**", "").splitlines():
            for fault, pattern in FAULTS.items():
                # An exercise is 实验; the network in which it is done is 实验网络.
                if "space" in fault or fault == "a lab is 实验网络":
                    continue
                if re.search(pattern, line):
                    wrong.append(f"{page}: {fault}: {line}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("sheet", SHEETS)
def test_lines_fit_and_both_languages_stand_in_each_text(sheet: str) -> None:
    lab = read(sheet, "lab.yml")
    for line in lab.splitlines():
        if re.search(r"\ben: ", line) and "{en:" in line:
            assert ", zh: " in line, line
    assert lab.startswith("# SPDX-License-Identifier: Apache-2.0\n")


@pytest.mark.parametrize("sheet", SHEETS)
def test_a_fault_by_seed_names_its_kinds(sheet: str) -> None:
    """Among all kinds the same seed means another fault as soon as there is a new kind."""
    typed = "".join(commands(read(sheet, "README.md")))
    lines = [typed, read(sheet, "lab.yml"), read(sheet, "solutions.yml")]
    bare = [line for text in lines for line in re.findall(r"break --seed \d+ *$", text, re.M)]
    assert not bare
