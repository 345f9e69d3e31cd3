# SPDX-License-Identifier: Apache-2.0
"""The report in a real browser: no complaint, no request, and what a reader can do with it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from hoplab import runs
from hoplab.report.drawing import drawing
from hoplab.report.language import language
from hoplab.report.page import page
from tests.unit.test_report import hostile_run
from tests.web.browser import Browser, Page, chromium

RUNS = Path(__file__).parent.parent / "data" / "runs"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if chromium() is None:
        pytest.skip("chromium is not installed")
    with Browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Reports: one run, two runs, a hostile one, and the pictures alone."""
    folder = tmp_path_factory.mktemp("reports")
    web, hub, switch = (runs.reopen(RUNS / name) for name in ("web-hub", "hub", "switch"))
    evil = folder / "evil"
    evil.mkdir()
    hostile = runs.reopen(hostile_run(evil))
    for code in ("en", "zh"):
        tr = language(code)
        (folder / f"web.{code}.html").write_text(page([web], tr))
        (folder / f"two.{code}.html").write_text(page([hub, switch], tr))
        (folder / f"evil.{code}.html").write_text(page([hostile], tr))
        (folder / f"web.{code}.svg").write_text(drawing([web], tr))
    return folder


def show(browser: Browser, file: Path, **options: Any) -> Page:
    return browser.open(file.as_uri(), **options)


CONTRAST = """
(() => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (c) => {
    const [r, g, b] = c.slice(0, 3).map((v) => {
      v /= 255;
      return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (one) => {
    for (; one; one = one.parentElement) {
      const c = rgb(getComputedStyle(one).backgroundColor);
      if (c.length < 4 || c[3] > 0) return c;
    }
    return [255, 255, 255];
  };
  let least = 99;
  for (const one of document.querySelectorAll(SELECTOR)) {
    const style = getComputedStyle(one);
    const svg = one.namespaceURI.includes("svg");
    const [a, b] = [light(rgb(svg ? style.fill : style.color)), light(behind(one))];
    least = Math.min(least, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05));
  }
  return least;
})()
"""


def contrast(shown: Page, selector: str) -> float:
    """The smallest contrast of text and what is behind it (WCAG 2.1), over all that match."""
    return float(shown.run(CONTRAST.replace("SELECTOR", json.dumps(selector))))


@pytest.mark.parametrize("name", ["web.en", "web.zh", "two.en", "two.zh", "evil.en", "evil.zh"])
@pytest.mark.parametrize("dark", [pytest.param(False, marks=pytest.mark.long), True])
def test_no_complaint_and_no_request(browser: Browser, files: Path, name: str, dark: bool) -> None:
    file = files / f"{name}.html"
    shown = show(browser, file, dark=dark)
    shown.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert shown.complaints == []
    assert shown.requests == [file.as_uri()]
    assert shown.run("document.querySelectorAll('script').length") == 1
    assert shown.run("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("dark", [False, True])
def test_text_can_be_read(browser: Browser, files: Path, dark: bool) -> None:
    shown = show(browser, files / "web.en.html", dark=dark)
    shown.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    selectors = "p, h1, h2, h3, h4, td, th, li span, summary span, dd span, dt, .hex span"
    assert contrast(shown, selectors) >= 4.5
    assert contrast(shown, "svg text:not(.badge-text)") >= 4.5


@pytest.mark.parametrize("width", [360, 800, 1600])
def test_nothing_sticks_out_at_the_side(browser: Browser, files: Path, width: int) -> None:
    for name in ("web.en.html", "two.zh.html"):
        shown = show(browser, files / name, width=width)
        assert shown.run("document.documentElement.scrollWidth") <= width


def test_a_link_opens_its_packet(browser: Browser, files: Path) -> None:
    shown = show(browser, files / "web.en.html")
    assert not shown.run("document.getElementById('p3').open")
    shown.run("document.querySelector('svg.sequence a[href=\"#p3\"]').dispatchEvent("
              "new MouseEvent('click', { bubbles: true }))")  # fmt: skip
    deadline = time.monotonic() + 10
    while not shown.run("document.getElementById('p3').open"):
        assert time.monotonic() < deadline, "the packet stayed closed"
    assert shown.run("location.hash") == "#p3"


def test_the_theme_can_be_changed(browser: Browser, files: Path) -> None:
    shown = show(browser, files / "web.en.html")
    ground = "getComputedStyle(document.body).backgroundColor"
    before = shown.run(ground)
    shown.run("[...document.querySelectorAll('.tools button')].at(-1).click()")
    assert shown.run(ground) != before
    assert shown.run("[...document.querySelectorAll('.tools button')].at(-1).textContent") == (
        "Light"
    )


def test_a_field_lights_up_with_its_bytes_by_keyboard(browser: Browser, files: Path) -> None:
    shown = show(browser, files / "web.en.html")
    shown.run("document.getElementById('p1').open = true")
    shown.run("document.querySelector('#p1 details').open = true")
    shown.run("document.querySelector('#p1 dd').focus()")
    now = "document.querySelector('#p1 .field-now').textContent"
    assert shown.run(now).startswith("Ethernet destination: 02:00:00:")
    lit = "[...document.querySelectorAll('#p1 .codes .on')].map((one) => one.textContent).join(' ')"
    assert len(shown.run(lit).split()) == 6
    shown.press("ArrowDown")
    assert shown.run(now).startswith("Ethernet source: ")


def test_all_packets_open_and_close(browser: Browser, files: Path) -> None:
    shown = show(browser, files / "web.zh.html")
    count = "document.querySelectorAll('details.packet[open]').length"
    press = "document.querySelector('.tools button').click()"
    shown.run(press)
    assert shown.run(count) == 14
    shown.run(press)
    assert shown.run(count) == 0


def test_paper_is_light_and_without_menu(browser: Browser, files: Path) -> None:
    shown = show(browser, files / "web.en.html", dark=True, media="print", width=720)
    assert shown.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert shown.run("getComputedStyle(document.querySelector('.menu')).display") == "none"
    wide = "Math.max(...[...document.querySelectorAll('svg')].map((one) => one.clientWidth))"
    assert shown.run(wide) <= 720
    assert contrast(shown, "svg text:not(.badge-text), p, td, th, summary span") >= 4.5


@pytest.mark.parametrize("code", ["en", "zh"])
def test_the_picture_alone(browser: Browser, files: Path, code: str) -> None:
    shown = show(browser, files / f"web.{code}.svg")
    assert shown.complaints == []
    assert shown.run("document.documentElement.tagName") == "svg"
    assert shown.run("document.querySelectorAll('svg.topology, svg.sequence').length") == 5


@pytest.mark.parametrize("name", ["web.en", "two.zh"])
def test_what_a_screen_reader_is_given(browser: Browser, files: Path, name: str) -> None:
    """By the browser's own accessibility tree: everything one can go to has a name, and headings
    leave no level out."""
    shown = show(browser, files / f"{name}.html")
    shown.call("Accessibility.enable")
    nodes = shown.call("Accessibility.getFullAXTree")["nodes"]
    exposed = [node for node in nodes if not node.get("ignored")]
    named = {"button", "link", "heading", "image", "region", "navigation", "rowheader",
             "DisclosureTriangle"}  # fmt: skip
    for node in exposed:
        if node["role"]["value"] in named:
            assert node.get("name", {}).get("value", "").strip(), node
    assert (named - {"image"}) | {"main"} <= {node["role"]["value"] for node in exposed}
    levels = shown.run(
        "[...document.querySelectorAll('main h1, main h2, main h3, main h4')]"
        ".filter((one) => !one.closest('details')).map((one) => +one.tagName[1])"
    )
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels)), levels
    assert shown.run("document.documentElement.lang") == ("en" if name == "web.en" else "zh-CN")


def test_the_keyboard_reaches_everything(browser: Browser, files: Path) -> None:
    """The first stop skips the menu, packets open by a summary, what scrolls can be reached."""
    shown = show(browser, files / "web.en.html", width=400)
    first = "document.querySelector('a, button, summary, [tabindex]')"
    assert shown.run(f"{first}.className") == "skip"
    assert shown.run(f"{first}.focus(); {first}.getBoundingClientRect().x >= 0")
    assert shown.run("document.querySelectorAll('details > :first-child:not(summary)').length") == 0
    deaf = """
    [...document.querySelectorAll(".scroll")].filter((one) =>
      one.scrollWidth > one.clientWidth + 1 && one.querySelector("svg.topology, svg.sequence")
      && one.tabIndex !== 0).length
    """
    assert shown.run(deaf) == 0
    hidden = "[...document.querySelectorAll('[tabindex]')].filter((one) => one.tabIndex > 0).length"
    assert shown.run(hidden) == 0  # no order but the page's own


@pytest.mark.long
def test_labels_do_not_lie_on_each_other(browser: Browser, files: Path) -> None:
    """Texts of the topology, by the boxes that the browser gives them."""
    shown = show(browser, files / "web.en.html", width=1400)
    script = """
    (() => {
      const texts = [...document.querySelectorAll("svg.topology text")];
      const boxes = texts.map((one) => [one.textContent, one.getBBox()]);
      const found = [];
      boxes.forEach(([a, p], i) => boxes.slice(i + 1).forEach(([b, q]) => {
        const x = Math.min(p.x + p.width, q.x + q.width) - Math.max(p.x, q.x);
        const y = Math.min(p.y + p.height, q.y + q.height) - Math.max(p.y, q.y);
        if (x > 1 && y > 4) found.push([a, b, x, y]);
      }));
      return found;
    })()
    """
    assert shown.run(script) == []
