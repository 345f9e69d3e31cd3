# SPDX-License-Identifier: Apache-2.0
"""The filter in the page and the one in Python: the same answers, line by line."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

import pytest

from hoplab import runs
from hoplab.packet_filter import vocabulary
from hoplab.packet_filter.grammar import FilterError
from hoplab.packet_filter.matching import compile_filter
from hoplab.report.language import language
from hoplab.web.player import player
from tests.web.browser import Browser, chromium
from tests.web.test_player import RUNS, SHADOW

LINES = 300  # of each run, made by chance from words of the language
SIGNS = ("==", "=", "!=", "<", ">", "<=", ">=")
STRANGE = (
    '"who has" " "" constructor __proto__ toString 1e9 1e999 0x10 NaN . .. tcp. # @ % [ 中文 '
    "dns.question -1 www.itheima.com 4.5 .5 5. TCP.SYN #3..#7 #0 9..2 İ ß"
).split(" ")  # fmt: skip


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if chromium() is None:
        pytest.skip("chromium is not installed")
    with Browser(tmp_path_factory.mktemp("profile")) as started:
        yield started


def lines(run: runs.Run) -> list[str]:
    """Each word of the language once, with names of the run; then words in any order."""
    dice = random.Random(run.folder.name)
    trips, wiring = run.story.trips, run.wiring
    legs = [leg for trip in trips for leg in trip.legs]
    names = [
        *wiring.nodes, *dice.choices([each.name for each in wiring.interfaces], k=6),
        *{trip.src for trip in trips[:9]}, *{leg.dst_mac for leg in legs[:20]}, "nobody",
    ]  # fmt: skip
    numbers = [
        str(value) for trip in dice.sample(trips, min(5, len(trips)))
        for value in (trip.number, trip.length, trip.frames, trip.legs[0].sent,
                      (trip.legs[0].t_ns - run.story.started_ns) // 100 * 100 / 1e6)
    ]  # fmt: skip
    kinds = sorted({trip.kind.replace("-", ".") for trip in trips})
    alone = [*vocabulary.STATES, *vocabulary.PROTOCOLS, *kinds, *names, *numbers, *STRANGE]
    out = ["", "(" * 5000, "not " * 5000, *alone]
    for field in vocabulary.FIELDS:
        out += [f"{field} {sign} {dice.choice([*names, *numbers])}" for sign in SIGNS]
    for relation in vocabulary.RELATIONS:
        out += [f"{relation} {name}" for name in [*names, "3", "dns", "TCP"]]
    words = [*alone, *vocabulary.FIELDS, *vocabulary.RELATIONS, *SIGNS]
    joints = ["and", "or", "not", "(", ")", "&&", "||", "!", "AND", ""]
    for _ in range(LINES):
        parts = []
        for _ in range(dice.randint(1, 6)):
            parts += [dice.choice(joints), dice.choice(dice.choice((alone, words, out[3:])))]
        out.append(dice.choice((" ", "  ")).join(parts))
    return out


def answers(run: runs.Run, text: str) -> list[int] | str:
    """Numbers of packets, or the word that cannot stand where it stands."""
    try:
        test = compile_filter(text, run)
    except FilterError as error:
        return error.word
    return [trip.number for trip in run.story.trips if test(trip)]


ASK = """
(async () => {
  const out = [];
  for (const text of LINES) {
    hoplab.filter.value = text;
    try { hoplab.applyFilter(); } catch (error) { out.push(`an error: ${error}`); continue; }
    const bad = hoplab.filter.getAttribute("aria-invalid");
    const { trips } = hoplab.scene;
    const found = hoplab.list.shown.map((at) => trips.number[at]);
    out.push(bad ? hoplab.filterSays.dataset.word : found);
  }
  return out;
})()
"""


@pytest.mark.parametrize("name", ["web-cold", "nat", "ipv6", "loop-storm"])
def test_both_give_the_same_answers(browser: Browser, tmp_path_factory: pytest.TempPathFactory,
                                    name: str) -> None:  # fmt: skip
    run = runs.reopen(RUNS / name)
    file = tmp_path_factory.mktemp("filter") / f"{name}.html"
    file.write_text(player([run], language("en")))
    page = browser.open(file.as_uri())
    page.until("window.hoplab && hoplab.ready", "the player")
    asked = lines(run)
    in_page = page.run(ASK.replace("LINES", json.dumps(asked)))
    differing = [
        (text[:80], here, there) for text, here, there in
        zip(asked, [answers(run, text) for text in asked], in_page, strict=True) if here != there
    ]  # fmt: skip
    assert differing[:5] == []
    lists = [each for each in in_page if isinstance(each, list)]
    assert 0.2 < len(lists) / len(in_page) < 0.95
    assert len({tuple(each) for each in lists}) > min(20, len(run.story.trips))
    complaint = f"{SHADOW}.querySelector('.says').textContent"
    page.run("hoplab.filter.value = 'via nobody'; hoplab.applyFilter()")
    assert page.run(complaint) == "nobody cannot stand there"
