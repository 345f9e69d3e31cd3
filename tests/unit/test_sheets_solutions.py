# SPDX-License-Identifier: Apache-2.0
"""Wrong solutions, made by seed from a right one."""

from __future__ import annotations

from pathlib import Path

from hoplab.sheets import sheet_file, solutions
from hoplab.sheets.answers import accepts

LAB = """
lab: {topology: routed, controller: learning_switch}
validate:
  q-mask: {answer: [255.255.255.0, 16777216]}
  q-n: {answer: 3}
  near: {nodes: [h1], exec: ping -c 1 10.0.1.1}
"""
SOLUTIONS = """
right:
  best:
    do:
      - h1: ip addr add 10.0.1.10/24 dev h1-eth0
      - h1: ip route add default via 10.0.1.1
      - h3: python3 server.py --port 8080 &
      - hoplab: swap learning_switch
    answers: {q-mask: /24, q-n: 3}
harmless: {order 1: "either order is right"}
faults: [wrong-gateway]
wrong:
  own: {do: [{h1: "true"}], answers: {}}
"""


def made(folder: Path, seed: int = 1) -> dict[str, solutions.Solution]:
    (folder / sheet_file.FILE).write_text(LAB)
    (folder / solutions.FILE).write_text(SOLUTIONS)
    every = solutions.load(folder)
    wrong = solutions.wrong_solutions(sheet_file.load(folder), every, seed)
    return {each.name: each for each in wrong}


def test_each_change_is_one_that_somebody_makes(tmp_path: Path) -> None:
    wrong = made(tmp_path)
    lines = {name: [line for _, line in each.lines] for name, each in wrong.items()}
    assert [name for name in wrong if name.startswith("leave-out")] == [
        f"leave-out {n}" for n in (1, 2, 3, 4)
    ]
    assert len(lines["leave-out 3"]) == 3
    assert "order 1" not in wrong, "it is harmless"
    assert lines["mask 1"][0] == "ip addr add 10.0.1.10/31 dev h1-eth0"
    assert lines["address 1"][0] != "ip addr add 10.0.1.10/24 dev h1-eth0"
    assert lines["address 1"][1] == "ip route add default via 10.0.1.1"
    assert lines["gateway 1"][1].startswith("ip route add default via 10.0.1.2")
    assert "--port 8080" not in lines["port 1"][2]
    assert lines["controller 1"][3] == "swap hub"
    assert wrong["break wrong-gateway"].fault == "wrong-gateway"
    assert wrong["own"].answers == {}


def test_wrong_answers_are_wrong_and_few(tmp_path: Path) -> None:
    wrong = made(tmp_path)
    sheet = sheet_file.load(tmp_path)
    for question in ("q-mask", "q-n"):
        answers = [each.answers[question] for name, each in wrong.items()
                   if name.startswith(f"{question}: ")]  # fmt: skip
        expected = sheet.checks[question].answer
        assert expected is not None
        assert 1 < len(answers) <= solutions.ANSWERS_MOST
        assert not any(accepts(expected, answer) for answer in answers), answers


def test_the_same_seed_makes_the_same(tmp_path: Path) -> None:
    assert made(tmp_path, 1) == made(tmp_path, 1)
    assert made(tmp_path, 1) != made(tmp_path, 2)


def test_every_sheet_of_ours_has_right_and_wrong_ones() -> None:
    for folder in sheet_file.folders():
        sheet, every = sheet_file.load(folder), solutions.load(folder)
        questions = {name for name, check in sheet.checks.items() if check.kind == "answer"}
        for solution in every.right:
            assert set(solution.answers) == questions, (folder.name, solution.name)
            for name, answer in solution.answers.items():
                check = sheet.checks[name]
                assert check.answer is not None
                assert check.count or accepts(check.answer, answer), (folder.name, name, answer)
        wrong = solutions.wrong_solutions(sheet, every)
        assert len(wrong) > 4, folder.name
        unknown = set(every.harmless) & {each.name for each in wrong}
        assert not unknown, folder.name
