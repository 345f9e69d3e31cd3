# SPDX-License-Identifier: Apache-2.0
"""The guided labs of labs/: every command is run as it stands there, and what the page says will
be seen is seen, whatever lab is up when the reader begins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hoplab.sheets.pages import steps
from tests.net.printed_pages import missing, type_page

pytestmark = pytest.mark.net

LABS = Path(__file__).resolve().parents[2] / "labs"


def number(page: str) -> int:
    """The place of a page among the others: 1 for 1-cable.md."""
    return int(page.split("-")[0])


PAGES = sorted((path.name for path in LABS.glob("[0-9]*.md")), key=number)


def test_the_pages_are_read_as_they_are_meant() -> None:
    page = "```sh\nhoplab up x\n```\nand\n```text\na … c\nd\n```\n```sh\nhoplab down\n```\n"
    first, second = steps(page)
    assert (first.commands, first.seen, second.seen) == (["hoplab up x"], ["a … c", "d"], [])
    assert missing(first.seen, "x a b\n  c\nd") == []
    assert missing(first.seen, "d a b c") == ["d"], "in this order"
    assert missing(first.seen, "a b\nd") == ["a … c"]
    assert missing(["表里没有 h1 的地址", "泛洪"], "表里没有\n  h1 的\n  地址\n泛\n洪") == []
    assert [number(name) for name in PAGES] == [*range(1, len(PAGES) + 1)]
    index = (LABS / "README.md").read_text(encoding="utf-8")
    assert all(f"]({name})" in index for name in PAGES)


@pytest.mark.long
@pytest.mark.parametrize("name", PAGES)
def test_every_command_does_what_the_page_says(hoplab: Any, name: str) -> None:
    # The reader comes from a lab that was left in the middle, and has one more for another purpose.
    hoplab("up", "cable,ip1=10.9.0.1/24,ip2=10.9.0.2/24")
    hoplab("up", "cable", "--name", "mine")
    type_page(hoplab, (LABS / name).read_text(encoding="utf-8"), hoplab.with_command())
    assert [lab["name"] for lab in hoplab("ls", "--json").json] == ["mine"]
