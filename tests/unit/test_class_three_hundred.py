# SPDX-License-Identifier: Apache-2.0
"""300 submissions and one of each bad kind, judged twice, the second time beside four
processes that only compute: the same verdicts, and nothing bad passes. `-s` shows the times."""

from __future__ import annotations

import multiprocessing
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from hoplab.classroom import copies, marking, results
from hoplab.sheets import sheet_file
from tests.unit import handed_in

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]
STUDENTS, LOAD = 300, 4


def compute() -> None:
    while True:
        sum(range(100_000))


def judged(folder: Path, output: Path, load: int) -> tuple[list[dict[str, Any]], float]:
    held = handed_in.course(STUDENTS)
    task = marking.task_for(held, [sheet_file.find(handed_in.SHEET)])
    busy = [multiprocessing.Process(target=compute, daemon=True) for _ in range(load)]
    for process in busy:
        process.start()
    try:
        begun = time.monotonic()
        marked = copies.with_remarks(marking.mark_all(task, folder, marking.default_jobs()))
        results.write_all(output, held.name, held.students, marked, str)
        return [marking.as_data(each) for each in marked], time.monotonic() - begun
    finally:
        for process in busy:
            process.kill()
            process.join()


def test_three_hundred_are_judged_alike_under_load(tmp_path: Path) -> None:
    held = handed_in.course(STUDENTS)
    folder = tmp_path / "in"
    folder.mkdir()
    wrong = set(held.students[::10])
    for student in held.students:
        data = handed_in.packed(held, student, answered=student not in wrong)
        (folder / f"{student}.zip").write_bytes(data)
    bad = handed_in.bad(held)
    for name, (data, _) in bad.items():
        (folder / f"bad-{name}.zip").write_bytes(data)
    calm, calm_s = judged(folder, tmp_path / "out", 0)
    busy, busy_s = judged(folder, tmp_path / "out", LOAD)
    print(f"\n{len(calm)} files: {calm_s:.1f} s, beside {LOAD} processes {busy_s:.1f} s,"
          f" {marking.default_jobs()} at a time")  # fmt: skip
    assert calm == busy
    by_file = {each["file"]: each for each in calm}
    for student in held.students:
        assert by_file[f"{student}.zip"]["passed"] == (9 if student in wrong else 10)
    problems = Counter(by_file[f"bad-{name}.zip"]["problem"] for name in bad)
    assert "" not in problems and not any(by_file[f"bad-{name}.zip"]["passed"] for name in bad)
