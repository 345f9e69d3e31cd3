# SPDX-License-Identifier: Apache-2.0
"""What is on the map: fabrics that fit, a switch's flows beside it, fates without colours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hoplab import runs
from hoplab.openvswitch.shadow import missing
from hoplab.replay.explain import Explainer
from hoplab.report.language import language
from hoplab.web.player import player
from tests.unit.fabrics import fat_tree, lab
from tests.web.browser import Browser, Page, chromium
from tests.web.test_player import RUNS, SHADOW, caption, hub_run

REPLAY = RUNS.parent / "replay"
TEXTS = (
    f"Math.min(...[...{SHADOW}.querySelectorAll('svg.net text')].map((text) =>"
    "parseFloat(getComputedStyle(text).fontSize) * hoplab.map.view.k))"
)
OUTSIDE = f"""
(() => {{
  const area = {SHADOW}.querySelector('.map').getBoundingClientRect();
  return [...{SHADOW}.querySelectorAll('g.node')].filter((node) => {{
    const box = node.getBoundingClientRect();
    return box.left < area.left - 1 || box.right > area.right + 1
      || box.top < area.top - 1 || box.bottom > area.bottom - 30;
  }}).length;
}})()
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if chromium() is None:
        pytest.skip("chromium is not installed")
    with Browser(tmp_path_factory.mktemp("profile")) as started:
        yield started


def show(browser: Browser, run: runs.Run, file: Path, **options: Any) -> Page:
    file.write_text(player([run], language("en")))
    page = browser.open(file.as_uri(), reduced_motion="reduce", **options)
    page.until("window.hoplab && hoplab.ready && Boolean(hoplab.map.curves)", "the player")
    return page


def test_a_fat_tree_fits_and_can_be_read(browser: Browser, tmp_path: Path) -> None:
    """20 switches and 16 hosts at once, in text of 11 pixels on a small screen, 14 on a large."""
    run = RUNS / "switch" / runs.CAPTURE  # its frames are of interfaces that this lab has not
    (tmp_path / runs.CAPTURE).write_bytes(run.read_bytes())
    (tmp_path / runs.STATE).write_text(json.dumps(lab(fat_tree(4))))
    page = show(browser, runs.reopen(tmp_path), tmp_path / "a.html", width=1280, height=800)
    for width, height, least in ((1280, 800, 11), (1920, 1080, 14)):
        page.size(width, height)
        page.until(f"hoplab.map.element.clientWidth > {width // 2}", "the new size")
        page.run("hoplab.map.fit()")
        assert page.run(f"{SHADOW}.querySelectorAll('g.node').length") >= 36
        assert page.run(OUTSIDE) == 0
        assert page.run(TEXTS) >= least - 0.01


@pytest.mark.skipif(bool(missing()), reason="Open vSwitch is not installed")
def test_a_switch_shows_its_flow_beside_it(browser: Browser, tmp_path: Path) -> None:
    """Table, priority, match, group: as `ofproto/trace` says, on the map, where nothing is covered;
    and gone at the press of a button. What a switch changes is not called the same bytes."""
    with Explainer() as explain:
        groups, tags = (runs.reopen(REPLAY / name, explain=explain) for name in ("grp", "vlan"))
    page = show(browser, groups, tmp_path / "groups.html", width=1280, height=800)
    page.run("hoplab.go('#2@s1')")
    shown = page.run("hoplab.map.shownCard")
    assert shown["texts"][:4] == [
        "table 0, priority 5", "any frame", "→ group:7", "group 7 (all): bucket 1, 2, 3, 4 of 4",
    ]  # fmt: skip
    left, top, right, bottom = shown["place"]
    walls = page.run("hoplab.map.walls")
    assert not [w for w in walls if left < w[2] and right > w[0] and top < w[3] and bottom > w[1]]
    button = f"[...{SHADOW}.querySelectorAll('.zooms button')].at(-1)"
    page.run(f"{button}.click()")
    assert page.run("hoplab.map.shownCard") is None
    assert page.run(f"{button}.getAttribute('aria-pressed')") == "false"
    page.run(f"{button}.click()")
    assert page.run("hoplab.map.shownCard !== null")

    page = show(browser, tags, tmp_path / "tags.html", width=1280, height=800)
    page.run("hoplab.go('#1@s1')")
    assert "same bytes" not in caption(page)
    assert "+ 802.1Q, VLAN: 100" in caption(page)


GREY = """
(() => {
  const { map, scene } = hoplab, { pen } = map;
  const leg = scene.membersOf(hoplab.moment)[0], real = scene.legs.flags[leg];
  const [hitX, hitY] = map.hits.at(-1), { view, ratio } = map;
  const x = (hitX * view.k + view.x) * ratio, y = (hitY * view.k + view.y) * ratio;
  const grey = () => {
    const { data } = pen.getImageData(x - 150, y - 60, 300, 120);
    return Float32Array.from({ length: data.length / 4 }, (_, at) => {
      const [r, g, b, a] = data.subarray(4 * at, 4 * at + 4);
      return (a / 255) * (0.2126 * r + 0.7152 * g + 0.0722 * b) + (1 - a / 255) * GROUND;
    });
  };
  const pictures = FATES.map((bit) => {
    scene.legs.flags[leg] = bit;
    map.draw(map.at);
    return grey();
  });
  scene.legs.flags[leg] = real;
  map.draw(map.at);
  let least = Infinity;
  pictures.forEach((one, at) => pictures.slice(at + 1).forEach((two) => {
    let apart = 0;
    one.forEach((value, pixel) => { if (Math.abs(value - two[pixel]) > 48) apart++; });
    least = Math.min(least, apart);
  }));
  return least;
})()
"""


@pytest.fixture(scope="module")
def visit(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Page:
    """A page for all tests that only look at it."""
    file = tmp_path_factory.mktemp("visit") / "visit.html"
    return show(browser, runs.reopen(RUNS / "web-cold"), file, width=1280, height=800)


@pytest.mark.parametrize("ground", [255, 24], ids=["light", "dark"])
def test_fates_are_told_apart_without_colours(visit: Page, ground: int) -> None:
    """The same frame with each of the fates that a frame can have, in shades of grey: any two of
    these pictures differ in many pixels, and by much."""
    visit.run("hoplab.go('#3@r1')")
    fates = [1, 2, 4, 8, 16, 512, 1024, 2048]
    script = GREY.replace("FATES", json.dumps(fates)).replace("GROUND", str(ground))
    assert visit.run(script) > 60
    visit.run("hoplab.theme()")


def test_no_field_is_cut_off_beside_its_neighbours(visit: Page) -> None:
    """The table of a frame is no wider than its panel, in both languages, for any packet."""
    for tongue in (1, 0):
        visit.run(f"hoplab.speak({tongue})")
        for place in ("#1@s1", "#3@r1", "#21@r1", "#21@s3"):
            visit.run(f"hoplab.go('{place}')")
            sides = f"{SHADOW}.querySelectorAll('.layers .sign').length"
            visit.until(sides, "both sides of the table")
            panel = f"{SHADOW}.querySelector('.detail')"
            assert visit.run(f"{panel}.scrollWidth - {panel}.clientWidth") <= 0, place


def test_a_packets_number_stays_with_its_sign(visit: Page) -> None:
    """"#" and the number behind it are one thing to press, and one where a line breaks."""
    texts = visit.run(f"[...{SHADOW}.querySelectorAll('.pick-packet')].map((b) => b.textContent)")
    assert texts
    assert all(text.startswith("#") for text in texts)


FOCUSED = f"""
(() => {{
  const element = {SHADOW}.activeElement;
  if (!element) return null;
  const style = getComputedStyle(element.querySelector?.(":scope > .shape") ?? element);
  const ring = style.outlineStyle !== "none" || parseFloat(style.strokeWidth) > 3;
  return [element.dataset?.node ? "node" : element.className.baseVal ?? element.className,
          element.getAttribute("aria-label") ?? element.textContent.slice(0, 20), ring];
}})()
"""


def test_the_keyboard_reaches_everything_and_shows_where(visit: Page) -> None:
    """By Tab alone: head, nodes, buttons, clock, tabs, panels; each with a ring around it."""
    visit.run("hoplab.jump(9), document.activeElement.blur()")
    stops = []
    for _ in range(70):
        visit.press("Tab")
        stop = visit.run(FOCUSED)
        if stop is None:
            break
        stops.append(stop)
    assert [stop for stop in stops if not stop[2]] == []
    names = [name for _, name, _ in stops]
    for name in ("Skip to the player", "Language", "Dark", "Page for print", "Keys", "Fit",
                 "Full screen", "To the start", "Back", "Play", "Forward", "To the end", "Speed",
                 "Follow this packet", "Moments of the run", "Story", "Frame"):  # fmt: skip
        assert name in names, name
    assert sum(kind == "node" for kind, *_ in stops) == visit.run("hoplab.scene.nodes.length")
    visit.run(f"{SHADOW}.querySelector('[data-node]').focus()")
    visit.press("Enter")
    assert visit.run("hoplab.scene.nodes[hoplab.node].name") == visit.run(
        f"{SHADOW}.activeElement.getAttribute('aria-label').split(' ')[0]"
    )
    visit.run(f"{SHADOW}.activeElement.blur(), hoplab.go('#3@r1')")
    for key, state, before, after in (
        ("f", "hoplab.following >= 0", False, True), ("f", "hoplab.following >= 0", True, False),
        ("+", "hoplab.clock.speed", 1, 2), ("-", "hoplab.clock.speed", 2, 1),
        ("l", "hoplab.language", 0, 1), ("l", "hoplab.language", 1, 0),
    ):  # fmt: skip
        assert visit.run(state) == before
        visit.press(key)
        assert visit.run(state) == after, key


def test_motion_that_is_not_wanted_is_left_out(visit: Page) -> None:
    """Reduced motion: a frame stands at its end, its way behind it, from the first instant on."""
    at = "hoplab.map.hits.map((hit) => hit.slice(0, 2).map(Math.round))"
    visit.run("hoplab.jump(8.05)")
    early = visit.run(at)
    visit.run("hoplab.jump(9)")
    assert early == visit.run(at) != []


FLOWS = """
(() => {
  const { map } = hoplab, sizes = [];
  const { moveTo } = map.pen;
  map.pen.moveTo = function (x, y) { if (!y) sizes.push(x); return moveTo.call(this, x, y); };
  map.speed = 64;
  map.draw(hoplab.clock.end);
  map.speed = 0;
  delete map.pen.moveTo;
  map.draw(map.at);
  return [sizes.length, Math.max(...sizes) > Math.min(...sizes)];
})()
"""


def test_many_copies_and_many_moments(browser: Browser, visit: Page, tmp_path: Path) -> None:
    """Above 60 copies those that are ignored are small squares and the one of use is a card; too
    fast for single frames, cables show arrows, the larger the more they carried."""
    arrows, differ = visit.run(FLOWS)
    assert (arrows > 3, differ) == (True, True)
    run = runs.reopen(hub_run(tmp_path / "hub200"))
    page = show(browser, run, tmp_path / "hub.html", width=1280, height=800)
    page.run("hoplab.go('#1@s1')")
    halves = page.run("hoplab.map.hits.map((hit) => hit[2])")
    assert halves.count(5) == 198
    assert len([half for half in halves if half > 8]) == 1
    page.run("""
      (() => {
        const box = hoplab.map.element.closest(".mapbox");
        box.requestFullscreen = () => { window.asked = true; };
        hoplab.fullScreen();
      })()
    """)
    assert page.run("window.asked")
