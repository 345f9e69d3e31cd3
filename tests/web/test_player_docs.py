# SPDX-License-Identifier: Apache-2.0
"""docs/player.md: each line of its table of the lesson, opened and read off the page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from hoplab import runs
from hoplab.report.language import language
from hoplab.web.player import player
from tests.web.browser import Browser, Page, chromium
from tests.web.test_player import RUNS, SHADOW

PAGE = Path(__file__).parent.parent.parent / "docs" / "player.md"
# A kept run for each that the table names by what makes it.
KEPT = {
    "cable": "cable-one-subnet", "cable, with ip2": "cable-two-subnets", "hub": "hub",
    "switch": "switch", "routed": "routed-cold", "visit": "web-cold",
    "routed, after hoplab exec h1 -- ip route del": "missing-gateway",
    "routed, after hoplab exec h1 -- ip addr add": "wrong-netmask",
}  # fmt: skip
SHOWN = f"""
['.caption', '.detail', '.step.now, .story > .reason, .headline'].flatMap((each) =>
  [...{SHADOW}.querySelectorAll(each)].map((element) => element.textContent)).join(' ')
"""


def rows() -> list[tuple[str, str, str, list[str]]]:
    """What the lesson says, the kept run, where, and what is to stand there."""
    text = PAGE.read_text(encoding="utf-8").split("## Where to see what")[1].split("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("| ") and "`#" in line]
    out = []
    for line in lines:
        promise, run, where, words = (cell.strip() for cell in line.strip("|").split(" | "))
        named = run.replace("`", "")
        kept = max((name for name in KEPT if named.startswith(name)), key=len)
        out.append((promise, KEPT[kept], where.strip("`"), re.findall("`([^`]+)`", words)))
    return out


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Page]]:
    """A page for each run."""
    if chromium() is None:
        pytest.skip("chromium is not installed")
    folder = tmp_path_factory.mktemp("docs")
    with Browser(folder) as browser:
        made = {}
        for name in {run for _, run, _, _ in rows()}:
            file = folder / f"{name}.html"
            file.write_text(player([runs.reopen(RUNS / name)], language("en")))
            made[name] = browser.open(file.as_uri(), width=1280, height=800)
        for page in made.values():
            page.until("window.hoplab && hoplab.ready && Boolean(hoplab.map.curves)", "the player")
        yield made


def test_every_run_of_the_table_is_opened() -> None:
    assert {run for _, run, _, _ in rows()} == set(KEPT.values())
    assert len(rows()) > 20


@pytest.mark.parametrize(
    ("run", "where", "words"),
    [row[1:] for row in rows()], ids=[promise[:50] for promise, *_ in rows()],
)  # fmt: skip
def test_what_the_lesson_says_is_seen(
    pages: dict[str, Page], run: str, where: str, words: list[str]
) -> None:
    page = pages[run]
    page.run(f"location.hash = '{where}', hoplab.go('{where}')")
    assert words
    for each in words:
        page.until(f"({SHOWN}).includes({each!r})", each)
