# SPDX-License-Identifier: Apache-2.0
"""scripts/sizes.py counts what it says."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Functions that may branch more than the limit, each with its reason. An entry that no longer does
# may stay.
ALLOWED: dict[str, str] = {}


@pytest.fixture(scope="module")
def sizes() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sizes", ROOT / "scripts" / "sizes.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["sizes"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("body", "complexity"),
    [
        ("pass", 1),
        ("if a:\n  pass\n elif b:\n  pass", 3),
        ("return a and b and c", 3),
        ("for x in y:\n  while z:\n   pass", 3),
        ("return [x for x in y if x]", 2),
        ("try:\n  pass\n except A:\n  pass\n except B:\n  pass", 3),
        ("return a if b else c", 2),
        ("match a:\n  case 1: pass\n  case _: pass", 3),
        ("def inner():\n  if a: pass", 1),
    ],
)
def test_ways_to_branch(sizes: ModuleType, body: str, complexity: int) -> None:
    assert sizes.complexity(ast.parse(f"def f():\n {body}").body[0]) == complexity


def test_names_that_say_nothing(sizes: ModuleType) -> None:
    source = "for one in rows:\n    size = one\ndef f(other, size): pass\n"
    counted = sizes.measure({"a.py": source})
    assert counted.empty == {"one": 1, "other": 1}
    assert counted.rows()["names that say nothing"] == "50.00%"
    assert counted.functions == [1] and counted.modules == [3]


@pytest.mark.long
def test_it_prints_a_table_beside_an_earlier_revision() -> None:
    command = [sys.executable, "scripts/sizes.py", "--names"]
    table = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert "modules" in table and "names that say nothing" in table
    wrong = subprocess.run([*command, "no-such"], cwd=ROOT, capture_output=True, text=True)
    assert wrong.returncode == 2 and wrong.stderr.startswith("sizes: ")


def test_no_function_branches_more_than_the_limit(sizes: ModuleType) -> None:
    """A function that does is cut along the ideas in it, or gets a reason above."""
    above = sizes.measure(sizes.work_tree(("hoplab",))).above
    # "hoplab/story/tell.py:84 tell": the line may change.
    by_name = {re.sub(r":\d+ ", ":", place): value for place, value in above.items()}
    unexcused = {place: value for place, value in by_name.items() if place not in ALLOWED}
    assert not unexcused, f"complexity above {sizes.LIMIT}: {unexcused}"
