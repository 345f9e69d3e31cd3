# SPDX-License-Identifier: Apache-2.0
"""The player in Firefox: the same page, the same moments, no complaint."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hoplab import runs
from hoplab.report.language import language
from hoplab.web.player import player
from tests.web.firefox import Firefox, firefox
from tests.web.test_player import RUNS, SHADOW

LEFT, END = "\ue012", "\ue010"  # WebDriver, 17.4.2: codes of keys


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firefox]:
    if firefox() is None:
        pytest.skip("firefox-esr is not installed: the player was not tried in Firefox")
    with Firefox(tmp_path_factory.mktemp("profile")) as started:
        yield started


def test_a_visit_in_firefox(browser: Firefox, tmp_path: Path) -> None:
    """Opened at a moment, by keyboard to the end, a filter, the other language, back and forth."""
    file = tmp_path / "visit.html"
    run = runs.reopen(RUNS / "web-cold")
    file.write_text(player([run], language("en")))
    page = browser.open(f"{file.as_uri()}#3@r1")
    page.until("Boolean(window.hoplab && hoplab.ready && hoplab.map.curves)", "the player")
    caption = f"{SHADOW}.querySelector('.caption').textContent"
    assert page.run(caption).startswith("r1 makes a new frame for #3: MAC client→r1 becomes r1→r2")
    changed = f"{SHADOW}.querySelectorAll('.layers .changed').length"
    page.until(f"{changed} === 4", "the fields that changed")
    at = page.run("hoplab.clock.at")
    page.press(LEFT)
    assert page.run("hoplab.clock.at") == at - 1
    page.press(END)
    assert page.run("hoplab.clock.at === hoplab.clock.end")
    for key in "/dns":
        page.press(key)
    page.until("hoplab.filter.value === 'dns'", "letters in the field")
    dns = [trip for trip in run.story.trips if trip.kind.startswith("dns")]
    assert page.run("hoplab.list.shown.length") == len(dns)
    page.run("hoplab.speak(1)")
    assert page.run("hoplab.options.host.lang") == "zh-CN"
    pixels = "hoplab.map.canvas.toDataURL()"
    page.run("hoplab.jump(40)")
    before = page.run(pixels)
    page.run("[47, 3, 40].forEach((at) => hoplab.jump(at))")
    assert page.run(pixels) == before
    assert page.complaints == []
    # A font of Firefox's own, in a data: URL, is no request to anybody.
    assert [url for url in page.requests if not url.startswith(("data:", file.as_uri()))] == []
