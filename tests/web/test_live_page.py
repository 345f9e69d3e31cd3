# SPDX-License-Identifier: Apache-2.0
"""The page of `hoplab web` in a real browser, by the steps of a person: a lab that runs, what flies
in it and is done to it, a terminal, the lab's end, and the run that was kept."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from tests.conftest import World
from tests.web.browser import PATIENCE_S, Browser, Page, chromium
from tests.web.test_player import axe_core

pytestmark = [pytest.mark.net, pytest.mark.skipif(chromium() is None, reason="needs chromium")]

CABLES = "[...hoplab.map.states.values()].join()"
expect.set_options(timeout=PATIENCE_S * 1000)


@pytest.mark.timeout(600)  # it waits for what it sees, however busy the machine is
def test_a_person_works_with_a_lab(make_world: Callable[..., World], tmp_path: Path) -> None:
    world = make_world(as_user=True)
    world("up", "switch")
    with world.popen("web", "--json", "--no-browser") as server, Browser(tmp_path) as browser:
        assert server.stdout is not None
        printed = ""
        while not printed.endswith("}\n"):
            printed += server.stdout.readline()
        urls = json.loads(printed)
        try:
            page = browser.open(urls["url"], accept_downloads=True)
            _home(page)
            _hosts(page)
            _acts(page)
            _packets(page)
            _tables(page)
            _capture(page)
            _cable(page)
            _terminal(page)
            _looking(browser, urls["view"])
            _accessible(browser, urls["url"])
            world("down")
            chip = page.shown.locator("header .chip")
            expect(chip).to_contain_text("Ended")
            assert page.run("hoplab.scene.packets") >= 6, "what came stays"
            _kept(page)
            assert page.complaints == []
        finally:
            server.send_signal(signal.SIGINT)
        assert server.wait(30) == 0


def _home(page: Page) -> None:
    """From the list of labs into the lab; the token has gone from the address."""
    assert "token" not in page.run("location.href")
    page.shown.get_by_role("button", name="lab switch, controller learning_switch").click()
    expect(page.shown.locator(".chip")).to_have_text("Live")
    assert page.run("location.search") == "?lab=lab"


def _form(page: Page, act: str) -> Locator:
    page.shown.get_by_role("tab", name="Do").click()
    return page.shown.locator(f"form[data-act={act}]")


def _done(page: Page, act: str) -> Locator:
    """The newest result of an act, once it has ended well."""
    result = page.shown.locator(f"article[data-act={act}]").first
    expect(result).to_have_attribute("data-state", "done")
    return result


def _acts(page: Page) -> None:
    """A ping: its line before and after, its output; then another controller, and back."""
    form = _form(page, "ping")
    expect(form.locator("code")).to_have_text("hoplab trace --name lab h1 -- ping -c 3 h2")
    form.get_by_role("button", name="Run").click()
    result = _done(page, "ping")
    expect(result.locator("code")).to_contain_text("-- ping -c 3 10.0.0.2")
    expect(result.locator("pre")).to_contain_text("0% packet loss")
    form = _form(page, "swap")
    form.get_by_role("combobox").select_option("hub")
    form.get_by_role("button", name="Run").click()
    _done(page, "swap").get_by_role("button", name="Undo").click()
    expect(_done(page, "swap").locator("code")).to_contain_text("learning_switch")


def _packets(page: Page) -> None:
    """The packets of the ping are listed as they were told; the frame of one in full; and back."""
    page.shown.get_by_role("tab", name="Packets").click()
    row = page.shown.get_by_role("option").filter(has_text="echo request").first
    row.click()
    expect(page.shown.locator(".chip")).to_have_text("Paused")
    detail = page.shown.locator(".detail")
    expect(detail.locator("h2")).to_contain_text(re.compile(r"#\d+ h1-eth0 → s1-eth1"))
    expect(detail).to_contain_text("Ethernet")
    page.press("Space")
    page.shown.get_by_role("button", name="Back to live").click()
    expect(page.shown.locator(".chip")).to_have_text("Live")
    expect(page.shown.locator(".where")).to_contain_text(re.compile(r"^(\d+) of \1 frames"))
    page.shown.get_by_role("tab", name="Story").click()
    expect(page.shown.locator(".told")).to_contain_text("ICMP echo reply")


def _tables(page: Page) -> None:
    """The tables of a switch and of a host, and the packet that made an entry."""
    page.shown.get_by_role("tab", name="Tables").click()
    tables = page.shown.locator(".tables")
    flows = tables.locator("table[data-table=flows] tbody tr")
    expect(flows.filter(has_text="CONTROLLER")).to_be_visible()
    page.shown.get_by_label("Tables of").select_option("h1")
    arp = tables.locator("table[data-table=arp] tbody tr").filter(has_text="10.0.0.2")
    arp.get_by_role("button", name="Show packet").click()
    expect(page.shown.locator(".detail")).to_contain_text("ARP")
    page.shown.get_by_role("button", name="Back to live").click()


def _capture(page: Page) -> None:
    """A capture, stopped and downloaded; and the last minutes kept as a run."""
    form = _form(page, "capture")
    form.get_by_role("button", name="Run").click()
    result = page.shown.locator("article[data-act=capture]").first
    expect(result.locator("code")).to_contain_text("hoplab capture -w capture-")
    expect(result.locator("pre")).to_contain_text("capturing into")
    page.shown.get_by_role("button", name="Keep the last minutes").click()
    expect(page.shown.locator(".kept")).to_contain_text("Kept as kept-")
    result.get_by_role("button", name="Stop").click()
    with page.shown.expect_download() as download:
        _done(page, "capture").get_by_role("button", name="Download").click()
    assert download.value.suggested_filename.endswith(".pcapng")
    assert download.value.path().read_bytes()[:4] == b"\x0a\x0d\x0d\x0a"


def _cable(page: Page) -> None:
    """A click on a cable: it is cut, mended by taking that back, and slowed."""
    box = page.shown.locator("path.grip").first.bounding_box()
    assert box is not None
    page.shown.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    detail = page.shown.locator(".detail")
    detail.get_by_role("button", name="Cut").click()
    expect(detail.get_by_role("button", name="Mend")).to_be_visible()
    assert page.until(CABLES, "the cable to be cut") == "is-cut"
    _done(page, "link").get_by_role("button", name="Undo").click()
    expect(detail.get_by_role("button", name="Cut")).to_be_visible()
    detail.get_by_label("Delay").fill("20ms")
    detail.get_by_role("button", name="Apply").click()
    expect(detail).to_contain_text("delay 20 ms")
    assert page.until(CABLES, "the cable to be slowed") == "is-shaped"


def _terminal(page: Page) -> None:
    page.shown.locator("g.node").filter(has_text="h1").click()
    page.shown.locator(".detail").get_by_role("button", name="Open a terminal").click()
    rows = page.shown.locator(".xterm-rows")
    expect(rows).to_contain_text("h1:")
    page.shown.keyboard.type("echo $((6*7))\n")
    expect(rows).to_contain_text(re.compile(r"\D42\D"))
    page.press("Control+Shift+Escape")
    page.press("Enter")
    expect(page.shown.locator(".xterm")).to_have_count(0)


def _hosts(page: Page) -> None:
    """A host comes, is on the map, and goes when its button was pressed twice."""
    form = _form(page, "add")
    form.get_by_label("Name").fill("h9")
    form.get_by_role("button", name="Run").click()
    _done(page, "add")
    added = page.shown.locator("g.node").filter(has_text="h9")
    added.click()
    page.shown.get_by_role("button", name="Remove h9").click()
    page.shown.get_by_role("button", name="Really remove h9?").click()
    _done(page, "remove")
    expect(added).to_have_count(0)
    form = _form(page, "save")
    form.get_by_role("button", name="Run").click()
    with page.shown.expect_download() as download:
        _done(page, "save").get_by_role("button", name="Download").click()
    assert "class" in download.value.path().read_text()


def _looking(browser: Browser, url: str) -> None:
    """Somebody who may only look sees the lab and can do nothing to it."""
    page = browser.open(f"{url}&lab=lab")
    expect(page.shown.locator("header")).to_contain_text("View only")
    assert page.shown.get_by_role("tab").all_inner_texts() == [
        "Story", "Packets", "Sequence", "Tables"
    ]  # fmt: skip
    page.shown.context.close()


def _accessible(browser: Browser, url: str) -> None:
    """Both themes and both languages, without a serious finding of axe."""
    program = axe_core()
    for dark, locale, title in ((False, "en-US", "Visit a page"), (True, "zh-CN", "访问网页")):
        page = browser.open(f"{url}&lab=lab", dark=dark, locale=locale, bypass_csp=True)
        expect(page.shown.locator("form[data-act=visit]")).to_contain_text(title)
        findings = page.axe(program)
        assert [each for each in findings if each.startswith(("serious", "critical"))] == []
        assert page.run("document.documentElement.scrollWidth") <= 1280
        page.shown.context.close()


def _kept(page: Page) -> None:
    """The run of the ping plays in the same page, and is removed."""
    page.shown.get_by_role("button", name="hoplab").click()
    expect(page.shown.locator(".home")).to_contain_text("No lab runs")
    page.shown.get_by_role("button", name="ping -c 3 10.0.0.2").click()
    expect(page.shown.locator("h1")).to_contain_text("ping")
    page.shown.get_by_role("tab", name="Packets").click()
    expect(page.shown.locator(".list .row").first).to_be_visible()
    page.shown.get_by_role("button", name="hoplab").click()
    for left in (1, 0):
        page.shown.get_by_role("button", name="Delete").first.click()
        page.shown.get_by_role("button", name="Delete for good?").click()
        expect(page.shown.get_by_role("button", name="Delete")).to_have_count(left)
