# SPDX-License-Identifier: Apache-2.0
"""Pages of runs that nobody expects, and browsers that may not do everything."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from hoplab import runs
from hoplab.report.language import language
from hoplab.web import scene
from hoplab.web.player import player
from tests.unit.odd_runs import NAMES, ODD
from tests.web.browser import Browser, Page, chromium
from tests.web.test_player import RUNS, SHADOW, caption

READY = "window.hoplab && hoplab.ready && Boolean(hoplab.map.curves)"
LIVE = "/[\\u202a-\\u202e\\u2066-\\u2069\\0]/"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if chromium() is None:
        pytest.skip("chromium is not installed")
    with Browser(tmp_path_factory.mktemp("profile")) as started:
        yield started


def kept(name: str, folder: Path) -> Path:
    if name == "format-1":
        return RUNS.parent / name
    return ODD[name](folder / name)


@pytest.mark.parametrize("name", [*ODD, "format-1"])
def test_any_run_can_be_watched(browser: Browser, tmp_path: Path, name: str) -> None:
    """Every moment, tab, node and packet, in both languages: nothing stumbles, nothing runs."""
    file = tmp_path / "a.html"
    file.write_text(player([runs.reopen(kept(name, tmp_path))], language("en")))
    page = browser.open(file.as_uri(), width=1280, height=800, reduced_motion="reduce")
    page.until(READY, "the player")
    page.run("""
      (async () => {
        const next = () => new Promise(requestAnimationFrame);
        for (const tongue of [1, 0]) {
          hoplab.speak(tongue);
          for (let at = 0; at <= Math.min(hoplab.clock.end, 40); at++) hoplab.jump(at);
          for (const tab of ["packets", "sequence", "story"]) hoplab.showTab(tab);
          for (const { name } of hoplab.scene.nodes) { hoplab.select("node", name); await next(); }
          for (let packet = 0; packet < Math.min(hoplab.scene.packets, 5); packet++) {
            hoplab.choosePacket(packet);
            await next();
          }
        }
      })()
    """)
    assert page.complaints == []
    assert page.requests == [file.as_uri()]
    assert page.run(f"{LIVE}.test({SHADOW}.textContent)") is False
    assert page.run(f"{SHADOW}.querySelectorAll('script, img, iframe').length") == 0
    wide = page.run("hoplab.map.plan.width")
    assert wide < 2000, "no name makes a box as wide as it is long"
    if name == "strange_names":
        names = page.run("hoplab.scene.nodes.map((node) => node.name)")
        assert len(names) == len(NAMES) + 1
        assert page.run("hoplab.scene.nodeOf.get('__proto__')") == names.index("__proto__")
    if name == "jumbo":
        where = page.run(f"{SHADOW}.querySelector('.wireshark').textContent")
        assert str(tmp_path / name / runs.CAPTURE) in where, "the file beside it is named"
        text = page.run(f"{SHADOW}.querySelector('.bytes').textContent")
        assert text.startswith("Bytes · 65,042")
        assert "The first 512 are shown" in text
        fields = page.run(f"{SHADOW}.querySelector('.layers').textContent")
        assert "65,000 bytes" in fields or "65000 bytes" in fields


def test_what_there_is_no_room_for_is_said(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page holds so many frames, and says how many more there are."""
    monkeypatch.setattr(scene, "MOST_FRAMES", 50)
    run = runs.reopen(RUNS / "web-cold")
    file = tmp_path / "a.html"
    file.write_text(player([run], language("en")))
    page = browser.open(file.as_uri())
    page.until(READY, "the player")
    packets = page.run("hoplab.scene.packets")
    rest = run.story.trips[packets:]
    assert page.run("hoplab.scene.count") <= 50
    note = page.run(f"{SHADOW}.querySelector('.left-out').textContent")
    assert f"{len(rest)} more, of {sum(trip.frames for trip in rest)} frames" in note
    assert page.complaints == []


def blocked(browser: Browser, file: Path, script: str) -> Page:
    """A page in a browser in which something is missing."""
    page = browser.open("about:blank", reduced_motion="reduce", width=1280, height=800)
    page.shown.add_init_script(script)
    page.shown.goto(file.as_uri())
    return page


def test_a_browser_without_storage_and_one_that_remembers(
    browser: Browser, tmp_path: Path
) -> None:
    """A node is dragged: it stays where it was put, next time too if that can be remembered."""
    file = tmp_path / "a.html"
    file.write_text(player([runs.reopen(RUNS / "switch")], language("en")))
    forbidden = "Object.defineProperty(window, 'localStorage', { get() { throw new Error(); } })"
    place = f"{SHADOW}.querySelector('[data-node=\"0\"]').getBoundingClientRect().toJSON()"
    for script, remembers in ((forbidden, False), ("", True)):
        page = blocked(browser, file, script)
        page.until(READY, "the player")
        before = page.run(place)
        x, y = before["x"] + before["width"] / 2, before["y"] + before["height"] / 2
        mouse = page.shown.mouse
        mouse.move(x, y)
        mouse.down()
        mouse.move(x + 30, y + 40)
        mouse.up()
        moved = page.run(place)
        assert (round(moved["x"] - before["x"]), round(moved["y"] - before["y"])) == (30, 40)
        page.shown.reload()
        page.until(READY, "the player again")
        assert round(page.run(place)["y"] - before["y"]) == (40 if remembers else 0)
        assert page.complaints == []
    page.run("localStorage.setItem(`hoplab ${hoplab.map.storedAs}`, '{\"h1\": [\"x\"]}')")
    page.shown.reload()
    page.until(READY, "the player, whatever is remembered")
    assert page.run(place)["y"] == before["y"]


def test_a_browser_that_cannot_unpack_shows_the_page_for_print(
    browser: Browser, tmp_path: Path
) -> None:
    file = tmp_path / "a.html"
    file.write_text(player([runs.reopen(RUNS / "switch")], language("zh")))
    page = blocked(browser, file, "delete window.DecompressionStream")
    page.until("Boolean(document.querySelector('.cannot'))", "the page for print")
    assert page.shown.inner_text(".cannot").startswith("这个浏览器版本太旧")
    assert page.shown.locator("details.packet").count() > 2
    assert page.shown.locator("main").is_visible()


def test_a_fragment_can_be_anything(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "a.html"
    file.write_text(player([runs.reopen(RUNS / "switch")], language("en")))
    page = browser.open(file.as_uri() + "#2@s1")
    page.until(READY, "the player")
    assert caption(page)
    for fragment in ("", "#", "#m", "#m999999999999", "#-1", "#99@s1", "#1@nobody", "#%E0%A4%A",
                     "#1@__proto__", "#<img>"):  # fmt: skip
        page.run(f"hoplab.go({json.dumps(fragment)})")
    assert page.run("hoplab.clock.at <= hoplab.clock.end")
    assert page.complaints == []
