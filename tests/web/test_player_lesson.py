# SPDX-License-Identifier: Apache-2.0
"""What a learner sees in the player at once, and that nothing a page is given makes it stumble."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hoplab import runs
from hoplab.report.language import language
from hoplab.web.player import player, script
from tests.web.browser import Browser, Page, chromium
from tests.web.test_player import RUNS, SHADOW, hub_run

NAMES = ("cable-two-subnets", "switch", "web-cold", "loop-storm", "ipv6", "hub")


class Players:
    """A page for each run, opened once; `page(name)` is that of a run, before its first moment."""

    def __init__(self, browser: Browser, folder: Path) -> None:
        self._browser, self._folder = browser, folder
        self._pages: dict[str, Page] = {}

    def file(self, name: str) -> Path:
        made = self._folder / f"{name}.html"
        if not made.exists():
            kept = [runs.reopen(self._run(part)) for part in name.split("+")]
            made.write_text(player(kept, language("en")))
        return made

    def _run(self, name: str) -> Path:
        folder = self._folder / name
        if name == "hub200":
            return hub_run(folder)
        return RUNS / name

    def open(self, name: str, fragment: str = "", **options: Any) -> Page:
        page = self._browser.open(self.file(name).as_uri() + fragment, **options)
        page.until("window.hoplab && hoplab.ready && Boolean(hoplab.map.curves)", "the player")
        return page

    def page(self, name: str) -> Page:
        if name not in self._pages:
            self._pages[name] = self.open(name, width=1280, height=800, reduced_motion="reduce")
        self._pages[name].run("hoplab.jump(0)")
        return self._pages[name]


@pytest.fixture(scope="module")
def players(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Players]:
    if chromium() is None:
        pytest.skip("chromium is not installed")
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        yield Players(browser, tmp_path_factory.mktemp("players"))


def detail(page: Page, wanted: str) -> str:
    """The text of the panel of frames and nodes, once it holds what is waited for."""
    text = f"{SHADOW}.querySelector('.detail').textContent"
    page.until(f"{text}.includes({json.dumps(wanted)})", wanted)
    return str(page.run(text))


def test_a_netmask_is_seen_to_split_an_address(players: Players) -> None:
    """Where not one frame left, the sender stands there with both parts of its address."""
    page = players.page("cable-two-subnets")
    text = detail(page, "network: 24 bits")
    assert "host: 8 bits" in text
    assert "Nobody else is in this network." in text
    parts = page.run(f"[...{SHADOW}.querySelectorAll('.bits .part')].map((b) => b.textContent)")
    assert parts == ["11000000.10101000.00000001", "11111111.11111111.11111111"]
    page.run("hoplab.select('node', 'h2')")
    assert "192.168.2.2" in detail(page, "h2")


def test_what_a_switch_learns_and_from_whom(players: Players) -> None:
    """Computed from trace.json: the sender and port of each frame that came to the switch."""
    story = runs.reopen(RUNS / "switch").story
    page = players.page("switch")
    page.run("hoplab.jump(hoplab.clock.end); hoplab.select('node', 's1')")
    detail(page, "Senders seen")
    rows = page.run(
        f"[...{SHADOW}.querySelectorAll('.senders tr')].map((row) =>"
        "[...row.children].map((cell) => cell.textContent))"
    )
    wanted: dict[str, tuple[str, str]] = {}
    legs = [(leg.t_ns, leg, trip.number) for trip in story.trips for leg in trip.legs]
    for _, leg, number in sorted(legs, key=lambda item: item[0]):
        if leg.head == "s1":
            wanted[leg.src_mac] = (leg.head_interface.replace("s1-eth", "port "), f"#{number}")
    assert {mac: (port, number) for mac, _, port, number, _ in rows} == wanted
    assert all(ago.endswith(" ms ago") for *_, ago in rows)
    page.run("hoplab.jump(1)")
    page.until(f"{SHADOW}.querySelectorAll('.senders tr').length === 1", "one sender")


def test_how_much_came_to_a_host_of_a_hub_and_was_not_for_it(players: Players) -> None:
    story = runs.reopen(RUNS / "hub").story
    page = players.page("hub")
    page.run("hoplab.jump(hoplab.clock.end); hoplab.select('node', 'h3')")
    legs = [(trip, leg) for trip in story.trips for leg in trip.legs if leg.head == "h3"]
    idle = sum(leg.index in {copy.leg for copy in trip.ignored} for trip, leg in legs)
    assert f"{len(legs)} in, {idle} of them ignored" in detail(page, "Frames up to now")
    assert idle == len(legs) > 2


def test_the_step_of_a_moment_is_open_and_its_packet_marked(players: Players) -> None:
    page = players.page("web-cold")
    page.run("hoplab.select('packet', 22)")
    marked = f"{SHADOW}.querySelector('details.step[open] [aria-current]')?.textContent"
    page.until(f"({marked} ?? '').startsWith('#22 ')", "the packet's mark")
    bands = page.run(f"[...{SHADOW}.querySelectorAll('.band')].map((band) => band.textContent)")
    assert bands == ["1 ARP", "2 DNS", "3 TCP", "4 HTTP", "5 TCP"]


def test_the_last_frame_of_a_storm_that_is_told_did_not_end(players: Players) -> None:
    """Its copies were counted only: that it went no further is not so."""
    page = players.page("loop-storm")
    flags = page.run("Array.from(hoplab.scene.legs.flags)")
    assert not any(each & 512 for each in flags)
    assert any(each & 2048 for each in flags)


def test_neighbour_discovery_is_not_called_arp(players: Players) -> None:
    page = players.page("ipv6")
    labels = page.run("[0, 2].map((packet) => hoplab.map.label(hoplab.scene.trips.first[packet]))")
    assert labels == ["#1 NDP", "#3 ICMP"]


@pytest.mark.parametrize("name", ["web-cold", "switch", "hub"])
def test_no_text_beside_a_frame_lies_on_a_box(players: Players, name: str) -> None:
    """At the end of every moment, for every line that `beside` placed."""
    page = players.page(name)
    covered = page.run("""
      Array.from({ length: hoplab.clock.end }, (_, moment) => {
        const { map } = hoplab, placed = [];
        const real = map.outlined;
        map.outlined = function (text, x, y, ...rest) {
          const half = this.pen.measureText(text).width / 2;
          if (text.length > 1) placed.push([x - half, y - 9, x + half, y]);
          return real.call(this, text, x, y, ...rest);
        };
        hoplab.jump(moment + 1);
        map.outlined = real;
        return placed.filter(([left, top, right, bottom]) => map.walls.some((wall) =>
          left < wall[2] && right > wall[0] && top < wall[3] && bottom > wall[1])).length;
      }).reduce((sum, each) => sum + each, 0)
    """)
    assert covered == 0


def test_the_pages_are_small(players: Players) -> None:
    assert len(script()) < 200_000
    for name in (*NAMES, "hub200", "web-hub+web-cold"):
        elements = players.page(name).run(
            f"document.querySelectorAll('*').length +{SHADOW}.querySelectorAll('*').length"
        )
        assert elements < 2000, name
