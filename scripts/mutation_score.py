# SPDX-License-Identifier: Apache-2.0
"""How well the checks of lab sheets tell right from wrong: `scripts/mutation_score.py [SHEET …]`.

For each sheet, on a lab of its own:

- how many checks pass right after the start, beside what the sheet says (`score`);
- whether each right solution passes;
- how many wrong solutions are caught: those that `solutions.yml` has, and those made from the
  first right one by seed (`hoplab/sheets/solutions.py`).

    scripts/mutation_score.py                       all sheets
    scripts/mutation_score.py 03 05 --seed 7        these, with other changes
    scripts/mutation_score.py 03 --repeat 100 --load 4      no mutants: one right and one wrong
                                                            solution, each judged so often beside
                                                            processes that only compute

Ends with 1 where a right solution fails, a score at the start is another, fewer than 95 of 100
wrong ones are caught, or a verdict changes.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from hoplab.cli.verbs_sheets import bring_up  # noqa: E402
from hoplab.client import labs, up_down  # noqa: E402
from hoplab.client.interrupts import release_interrupts  # noqa: E402
from hoplab.errors import LabError  # noqa: E402
from hoplab.sheets import hands, sheet_file, solutions  # noqa: E402
from hoplab.sheets.answers import accepts  # noqa: E402
from hoplab.sheets.findings import Judgement, Verdict  # noqa: E402
from hoplab.sheets.judging import Judging  # noqa: E402
from hoplab.sheets.records import Sheet  # noqa: E402
from hoplab.sheets.solutions import Solution, Solutions  # noqa: E402

ENOUGH = 0.95
# Wrong answers are many, and each is told by itself: counted with the others they would hide what
# of the network is missed.
KINDS = ("network", "answer")


@dataclass
class Score:
    """What was found of one sheet. start: how many checks pass at the start. failed: right
    solutions that did not pass; wrong: by kind, how many there are; missed: those that passed."""

    sheet: Sheet
    start: int = 0
    right: int = 0
    wrong: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    missed: list[tuple[str, str]] = field(default_factory=list)
    seconds: float = 0.0

    def caught(self, kind: str) -> int:
        return self.wrong[kind] - sum(missed == kind for missed, _ in self.missed)

    def share(self, kind: str) -> float:
        return self.caught(kind) / self.wrong[kind] if self.wrong[kind] else 1.0

    @property
    def good(self) -> bool:
        start_is_right = self.sheet.score in (None, self.start)
        enough = all(self.share(kind) >= ENOUGH for kind in KINDS)
        return start_is_right and not self.failed and enough

    def line(self) -> str:
        says = "-" if self.sheet.score is None else str(self.sheet.score)
        cells = [
            f"{self.caught(kind):>3} of {self.wrong[kind]:<3} {self.share(kind):>4.0%}"
            for kind in KINDS
        ]
        return (
            f"{self.sheet.name:<24} {self.start:>3} ({says:>2}) "
            f"{self.right - len(self.failed):>3} of {self.right:<3}   {'   '.join(cells)} "
            f"{self.seconds:>6.0f} s"
        )


@contextlib.contextmanager
def started(sheet: Sheet) -> Iterator[labs.Handle]:
    """The sheet's lab as it is at the start, under a name that nobody else has."""
    options = argparse.Namespace(debug=False, json=True)
    handle = bring_up(sheet, f"score-{os.getpid()}", options)
    release_interrupts()
    try:
        hands.apply(handle, sheet.setup, sheet.folder)
        yield handle
    finally:
        up_down.down(handle)


def do(handle: labs.Handle, sheet: Sheet, solution: Solution, seed: int) -> None:
    """What the solution does; a line that fails is what its author sees, and leaves so."""
    for line in solution.lines:
        with contextlib.suppress(LabError):
            hands.apply(handle, [line], sheet.folder, strict=False)
    if solution.fault:
        hands.break_(handle, ["--seed", str(seed), *solution.fault.split()])


def judged(
    handle: labs.Handle, sheet: Sheet, solution: Solution, *, until_failed: bool = False
) -> list[Judgement]:
    with Judging(sheet, handle, solution.answers) as judging:
        return list(judging.judge(until_failed=until_failed))


def not_passed(judgements: list[Judgement]) -> list[Judgement]:
    return [each for each in judgements if each.verdict is not Verdict.PASSED]


def kind_of(model: Solution, solution: Solution) -> str:
    """What is wrong with it: something in the network, or an answer alone."""
    same_network = solution.lines == model.lines and not solution.fault
    return "answer" if same_network and solution.answers != model.answers else "network"


def wrong_by_answers(sheet: Sheet, model: Solution, solution: Solution) -> bool | None:
    """Whether its answers alone show that it is wrong; None where a lab has to be asked."""
    if solution.lines != model.lines or solution.fault:
        return None
    for name, answer in solution.answers.items():
        check = sheet.checks.get(name)
        if check is None or check.answer is None or check.count:
            continue
        if not accepts(check.answer, answer):
            return True
    return None


def score(sheet: Sheet, every: Solutions, seed: int, *, loud: bool, only: str = "") -> Score:
    result, began = Score(sheet), time.monotonic()
    with started(sheet) as handle:
        start = judged(handle, sheet, Solution("start"))
        result.start = len(start) - len(not_passed(start))
    for solution in every.right:
        result.right += 1
        with started(sheet) as handle:
            do(handle, sheet, solution, seed)
            bad = not_passed(judged(handle, sheet, solution))
        if bad:
            result.failed.append(f"{solution.name} ({', '.join(each.check for each in bad)})")
            if loud:
                print(f"    {sheet.name}: {solution.name}: {bad[0]}", file=sys.stderr)
    for solution in solutions.wrong_solutions(sheet, every, seed):
        if only not in solution.name:
            continue
        kind = kind_of(every.right[0], solution)
        result.wrong[kind] += 1
        caught = wrong_by_answers(sheet, every.right[0], solution)
        if caught is None:
            try:
                with started(sheet) as handle:
                    do(handle, sheet, solution, seed)
                    bad = not_passed(judged(handle, sheet, solution, until_failed=True))
            except LabError as error:
                print(f"    {sheet.name}: {solution.name}: {error.message}", file=sys.stderr)
                bad = []
            caught = bool(bad)
        if loud:
            print(f"    {solution.name}: {'caught' if caught else 'MISSED'}", file=sys.stderr)
        if not caught:
            result.missed.append((kind, solution.name))
    result.seconds = time.monotonic() - began
    return result


def repeated(sheet: Sheet, every: Solutions, times: int, load: int) -> bool:
    """Whether one right and one wrong solution get the same verdicts however often they are judged,
    beside so many processes that only compute."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(load)]
    try:
        for solution in (every.right[0], Solution("nothing done")):
            verdicts: Counter[tuple[tuple[str, str], ...]] = Counter()
            with started(sheet) as handle:
                do(handle, sheet, solution, 1)
                for _ in range(times):
                    made = judged(handle, sheet, solution)
                    verdicts[tuple((each.check, each.verdict.value) for each in made)] += 1
            most = verdicts.most_common()
            print(f"{sheet.name}: {solution.name}: {times} times, {len(most)} different: "
                  f"{[n for _, n in most]}")  # fmt: skip
            if len(most) > 1:
                first, second = dict(most[0][0]), dict(most[1][0])
                print(f"    {[name for name in first if first[name] != second.get(name)]}")
                return False
    finally:
        for process in busy:
            process.kill()
    return True


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sheets", nargs="*", metavar="SHEET")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--repeat", type=int, metavar="N", default=0)
    parser.add_argument("--load", type=int, metavar="N", default=2)
    parser.add_argument("--only", metavar="TEXT", default="",
                        help="of the wrong solutions only those whose name has it")  # fmt: skip
    parser.add_argument("-v", "--verbose", action="store_true", help="each solution")
    arguments = parser.parse_args()
    try:
        folders = [sheet_file.find(name) for name in arguments.sheets] or sheet_file.folders()
        sheets = [sheet_file.load(folder) for folder in folders]
        good = True
        if not arguments.repeat:
            print(f"{'sheet':<24} {'start':>8} {'right pass':>11}   {'wrong networks':<15}   "
                  f"{'wrong answers':<13} {'time':>9}")  # fmt: skip
        for sheet in sheets:
            every = solutions.load(sheet.folder)
            if arguments.repeat:
                good = repeated(sheet, every, arguments.repeat, arguments.load) and good
                continue
            result = score(
                sheet, every, arguments.seed, loud=arguments.verbose, only=arguments.only
            )
            print(result.line(), flush=True)
            for name in result.failed:
                print(f"    right, and failed: {name}")
            for _, name in result.missed:
                print(f"    wrong, and passed: {name}")
            good = good and result.good
    except LabError as error:
        print(f"{error.message}\n{error.detail}", file=sys.stderr)
        return 1
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
