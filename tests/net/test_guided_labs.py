# SPDX-License-Identifier: Apache-2.0
"""The guided labs of labs/: every command is run as it stands there, and what the page says will
be seen is seen, whatever lab is up when the reader begins."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.net

LABS = Path(__file__).resolve().parents[2] / "labs"


def number(page: str) -> int:
    """The place of a page among the others: 1 for 1-cable.md."""
    return int(page.split("-")[0])


PAGES = sorted((path.name for path in LABS.glob("[0-9]*.md")), key=number)
FAILS = "# fails, as it should"


@dataclass
class Step:
    """The commands of a block, and the lines that the block below it announces."""

    commands: list[str]
    seen: list[str] = field(default_factory=list)


def steps(page: str) -> list[Step]:
    parsed: list[Step] = []
    for kind, body in re.findall(r"^```(\w+)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        assert kind in ("sh", "text"), f"a block of kind {kind}"
        if kind == "sh":
            parsed.append(Step(body.splitlines()))
        else:
            parsed[-1].seen = body.splitlines()
    return parsed


def flat(text: str) -> str:
    """In one line, with one space where there are many: pages and terminals break lines."""
    return " ".join(text.split())


def missing(announced: list[str], out: str) -> list[str]:
    """The announced lines that do not come, each after the one before."""
    rest, lost = flat(out), []
    for line in announced:
        parts = [re.escape(flat(part)) for part in line.split("…")]
        match = re.search(".*?".join(parts), rest)
        if match is None:
            lost.append(line)
        else:
            rest = rest[match.end() :]
    return lost


def test_the_pages_are_read_as_they_are_meant() -> None:
    page = "```sh\nhoplab up x\n```\nand\n```text\na … c\nd\n```\n```sh\nhoplab down\n```\n"
    first, second = steps(page)
    assert (first.commands, first.seen, second.seen) == (["hoplab up x"], ["a … c", "d"], [])
    assert missing(first.seen, "x a b\n  c\nd") == []
    assert missing(first.seen, "d a b c") == ["d"], "in this order"
    assert missing(first.seen, "a b\nd") == ["a … c"]
    assert [number(name) for name in PAGES] == [*range(1, len(PAGES) + 1)]
    index = (LABS / "README.md").read_text(encoding="utf-8")
    assert all(f"]({name})" in index for name in PAGES)


@pytest.mark.long
@pytest.mark.parametrize("name", PAGES)
def test_every_command_does_what_the_page_says(hoplab: Any, name: str) -> None:
    # The reader comes from a lab that was left in the middle, and has one more for another purpose.
    hoplab("up", "cable,ip1=10.9.0.1/24,ip2=10.9.0.2/24")
    hoplab("up", "cable", "--name", "mine")
    env = hoplab.with_command()
    for step in steps((LABS / name).read_text(encoding="utf-8")):
        out = ""
        for command in step.commands:
            result = subprocess.run(
                ["bash", "-c", command], cwd=hoplab.home, env=env, capture_output=True, text=True
            )
            out += result.stdout + result.stderr
            assert (result.returncode != 0) == command.endswith(FAILS), f"{command}\n{out}"
        lost = missing(step.seen, out)
        assert not lost, f"{step.commands}: {lost} is not in\n{out}"
    assert [lab["name"] for lab in hoplab("ls", "--json").json] == ["mine"]
