# SPDX-License-Identifier: Apache-2.0
"""The player in a real browser: what flies is what was captured, and everybody can use it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hoplab import runs
from hoplab.capture import pcapng_format, pcapng_writer
from hoplab.capture.observation import Observation, Reception
from hoplab.report.as_json import to_dict
from hoplab.report.language import language
from hoplab.web.player import player
from tests.unit import frames
from tests.unit.test_report import hostile_run
from tests.web.browser import Browser, Page, chromium

RUNS = Path(__file__).parent.parent / "data" / "runs"
HOSTS = 200
SHADOW = "document.getElementById('player').shadowRoot"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if chromium() is None:
        pytest.skip("chromium is not installed")
    with Browser(tmp_path_factory.mktemp("profile")) as browser_:
        yield browser_


def hub_run(folder: Path) -> Path:
    """An ARP request in a hub of 200 hosts: one frame in, 199 out."""
    folder.mkdir()
    macs = [f"02:00:00:00:{place >> 8:02x}:{place & 255:02x}" for place in range(1, HOSTS + 1)]
    interfaces: list[dict[str, Any]] = []
    for place, mac in enumerate(macs, 1):
        address = f"10.0.0.{place}/24"
        interfaces.append({"name": f"h{place}-eth0", "node": f"h{place}", "mac": mac,
                           "addresses": [address], "peer": f"s1-eth{place}"})  # fmt: skip
        interfaces.append({"name": f"s1-eth{place}", "node": "s1", "mac": "", "addresses": [],
                           "peer": f"h{place}-eth0", "port": place})  # fmt: skip
    nodes = [{"name": f"h{place}", "kind": "host"} for place in range(1, HOSTS + 1)]
    nodes.append({"name": "s1", "kind": "switch"})
    lab = {"format": 1, "topology": "switch", "controller": "hub", "datapath": "user",
           "nodes": nodes, "interfaces": interfaces}  # fmt: skip
    (folder / runs.STATE).write_text(json.dumps(lab))
    (folder / runs.TRACE).write_text(json.dumps({"host": "h1", "command": "ping -c 1 10.0.0.2"}))
    question = frames.arp(1, macs[0], "10.0.0.1", "00:00:00:00:00:00", "10.0.0.2")
    data = frames.eth("ff:ff:ff:ff:ff:ff", macs[0], 0x0806, question)
    ports = [(0, Reception.OUTGOING), (1, Reception.BROADCAST)]
    for place in range(1, HOSTS):
        ports += [(2 * place + 1, Reception.OUTGOING), (2 * place, Reception.BROADCAST)]
    with open(folder / runs.CAPTURE, "wb") as file:
        writer = pcapng_writer.Writer(
            file, [pcapng_format.InterfaceInfo(each["name"]) for each in interfaces]
        )
        for number, (port, reception) in enumerate(ports, 1):
            seen = Observation(number, number * 1000, port, reception, data, len(data))
            writer.write(seen)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Players: a visit, one through hubs, both, a loss, a storm, a hub of 200, a hostile one."""
    made = tmp_path_factory.mktemp("players")
    hub_run(made / "hub200")
    (made / "evil").mkdir()
    hostile_run(made / "evil")
    for name in ("web-cold", "reply-lost", "loop-storm"):
        shutil.copytree(RUNS / name, made / name)
    for name in ("web-cold", "hub200", "evil", "reply-lost", "loop-storm"):
        page = player([runs.reopen(made / name)], language("en"))
        (made / f"{name}.html").write_text(page)
    both = [runs.reopen(RUNS / name) for name in ("web-hub", "web-cold")]
    (made / "two.html").write_text(player(both, language("en")))
    return made


def show(browser: Browser, file: Path, fragment: str = "", **options: Any) -> Page:
    page = browser.open(file.as_uri() + fragment, **options)
    page.until("window.hoplab && hoplab.ready", "the player")
    return page


def caption(page: Page) -> str:
    return str(page.run(f"{SHADOW}.querySelector('.caption').textContent"))


@pytest.mark.parametrize("name", ["web-cold", "hub200", "evil", "loop-storm", "two"])
def test_it_needs_nothing_and_nothing_runs(browser: Browser, folder: Path, name: str) -> None:
    """No request but the file, no complaint of the policy, whatever names and payloads say."""
    file = folder / f"{name}.html"
    page = show(browser, file)
    page.run("hoplab.jump(hoplab.clock.end)")
    for tab in ("packets", "sequence", "story"):
        page.run(f"hoplab.showTab('{tab}')")
    page.run("hoplab.clock.end > 3 && hoplab.speak(1)")
    assert page.complaints == []
    assert page.requests == [file.as_uri()]
    assert page.run(f"{SHADOW}.querySelectorAll('script, img, iframe, [onerror]').length") == 0
    assert page.run("document.title").count("hoplab") >= 1


def moments_of(run: runs.Run) -> list[set[tuple[int, str, str]]]:
    """Computed from trace.json alone: the frames that a node makes of one frame, by time."""
    groups: dict[tuple[int, int], list[dict[str, Any]]] = defaultdict(list)
    for trip in to_dict(run.story)["trips"]:
        for leg in trip["legs"]:
            parent = -1 - leg["index"] if leg["parent"] is None else leg["parent"]
            groups[trip["number"], parent].append({**leg, "trip": trip["number"]})
    every = sorted(groups.values(), key=lambda legs: min(leg["t_ns"] for leg in legs))
    return [
        {(leg["trip"], leg["tail_interface"], leg["head_interface"]) for leg in legs}
        for legs in every
    ]


def test_what_flies_is_what_was_captured(browser: Browser, folder: Path) -> None:
    """At every moment of a visit the frames that fly are those of trace.json, in their order;
    questions to the controller come between them, each once, each with its answer."""
    page = show(browser, folder / "web-cold.html")
    flying = page.run("""
      Array.from({ length: hoplab.scene.moments }, (_, moment) => {
        const { scene } = hoplab, { legs, trips, ports } = scene;
        return [scene.kind[moment], Array.from(scene.membersOf(moment), (leg) =>
          [trips.number[legs.trip[leg]], ports[legs.tail[leg]].name, ports[legs.head[leg]].name])];
      })
    """)
    run = runs.reopen(RUNS / "web-cold")
    drawn = [{tuple(frame) for frame in members} for kind, members in flying if kind == 0]
    assert drawn == moments_of(run)
    asked = sum(
        each.by == "controller" and each.packet_in > 0
        for trip in run.story.trips for each in trip.decisions
    )  # fmt: skip
    assert asked > 10
    assert [kind for kind, _ in flying].count(1) == asked
    assert [kind for kind, _ in flying].count(2) == asked
    hits = page.run("""
      Array.from({ length: hoplab.scene.moments }, (_, moment) => {
        hoplab.jump(moment + 1);
        const waits = new Set(hoplab.scene.waitingAt(moment));
        return hoplab.map.hits.map((hit) => hit[4]).filter((leg) => !waits.has(leg)).length;
      })
    """)
    for count, (kind, members) in zip(hits, flying, strict=True):
        if kind == 0:
            assert count == len(members), "each frame is drawn, and can be picked, once"


def test_a_question_waits_while_its_router_asks_for_a_mac(browser: Browser, folder: Path) -> None:
    page = show(browser, folder / "web-cold.html", "#4@r1")
    assert caption(page).startswith("r1 makes #4 and sends it to r2: ARP request: who has")
    assert "Waiting in r1: #3" in caption(page)
    waiting = page.run(
        "hoplab.scene.waitingAt(hoplab.moment).map("
        "(leg) => hoplab.scene.trips.number[hoplab.scene.legs.trip[leg]])"
    )
    assert waiting == [3]


def test_forward_and_back_gives_the_same_pixels(browser: Browser, folder: Path) -> None:
    page = show(browser, folder / "web-cold.html", reduced_motion="reduce")
    pixels = "hoplab.map.canvas.toDataURL()"
    for at in (0, 1, 9, 40, 41.5, 154):
        page.run(f"hoplab.jump({at})")
        before = page.run(pixels)
        page.run(f"hoplab.jump({at} + 7); hoplab.jump(3); hoplab.jump({at})")
        assert page.run(pixels) == before


def test_a_router_in_sentence_card_and_table(browser: Browser, folder: Path) -> None:
    """The three agree, and with the captured frames."""
    page = show(browser, folder / "web-cold.html", "#3@r1")
    text = caption(page)
    assert text == (
        "r1 makes a new frame for #3: MAC client→r1 becomes r1→r2, TTL 64→63; "
        "IP 10.1.0.10→10.53.0.53 stays"
    )
    assert page.run("location.hash") == "#3@r1"
    page.until(f"{SHADOW}.querySelectorAll('.changed').length", "the table")
    changed = page.run(
        f"[...{SHADOW}.querySelectorAll('.layers .changed')].map((row) =>"
        "[...row.children].slice(0, 3).map((cell) => cell.textContent))"
    )
    assert [row[0] for row in changed] == ["destination", "source", "TTL", "header checksum"]
    assert changed[2][1:] == ["64", "63"]
    leg = page.run("[hoplab.leg, hoplab.scene.legs.ttl[hoplab.leg]]")
    assert leg[1] == 63


def test_a_hub_in_numbers(browser: Browser, folder: Path) -> None:
    page = show(browser, folder / "hub200.html", "#1@s1")
    assert "out of 199 ports" in caption(page)
    assert "198 of them ignore it" in caption(page)
    fates = page.run("""
      Array.from(hoplab.scene.membersOf(hoplab.moment), (leg) => hoplab.scene.legs.flags[leg] & 12)
    """)
    assert len(fates) == 199
    assert sum(map(bool, fates)) == 198
    width, height = page.run(
        "(({ width, height }) => [width, height])("
        f"{SHADOW}.querySelector('svg.net').getBoundingClientRect())"
    )
    outside = page.run(
        f"[...{SHADOW}.querySelectorAll('g.node')].filter((node) => {{"
        "const a = node.getBoundingClientRect();"
        f"const b = {SHADOW}.querySelector('.map').getBoundingClientRect();"
        "return a.left < b.left - 1 || a.right > b.right + 1 || a.bottom > b.bottom + 1; }).length"
    )
    assert (width > 600, height > 300, outside) == (True, True, 0)


def test_a_loss_is_shown_where_it_was_lost(browser: Browser, folder: Path) -> None:
    page = show(browser, folder / "reply-lost.html", "#2@s2")
    assert caption(page).endswith("lost on its way to r1")
    assert page.run("hoplab.scene.legs.flags[hoplab.leg] & 1") == 1


@pytest.mark.parametrize("size", [(1280, 800, 11), (1920, 1080, 14)])
def test_text_can_be_read_from_the_back(
    browser: Browser, folder: Path, size: tuple[int, int, int]
) -> None:
    width, height, least = size
    for name in ("web-cold", "hub200"):
        page = show(browser, folder / f"{name}.html", width=width, height=height)
        smallest = page.run(
            f"Math.min(...[...{SHADOW}.querySelectorAll('svg.net text')].map((text) =>"
            "parseFloat(getComputedStyle(text).fontSize) * hoplab.map.view.k))"
        )
        assert smallest >= least - 0.01, name


def test_each_press_of_a_key_is_a_step_while_frames_fly(browser: Browser, folder: Path) -> None:
    page = show(browser, folder / "web-cold.html")
    at = "hoplab.clock.at"
    page.run("hoplab.setSpeed(1)")
    page.press("Home")
    for _ in range(6):
        page.press("ArrowRight")
    assert 5 <= page.run(at) <= 6
    page.press("ArrowLeft")
    assert page.run(at) <= 5


def test_the_whole_visit_by_keyboard(browser: Browser, folder: Path) -> None:
    page = show(browser, folder / "web-cold.html", reduced_motion="reduce")
    at = "hoplab.clock.at"
    page.press("Home")
    assert page.run(at) == 0
    page.run("hoplab.setSpeed(2048)")
    for place in range(1, 6):
        page.press("ArrowRight")
        page.until(f"{at} === {place} && !hoplab.clock.playing", f"moment {place}")
    page.press("ArrowLeft")
    assert page.run(at) == 4
    packet = page.run("hoplab.packet()")
    page.press("Shift+ArrowRight")
    assert page.run("hoplab.packet()") == packet + 1
    step = "hoplab.steps[hoplab.scene.trips.step[hoplab.packet()]].number"
    before = page.run(step)
    page.press("]")
    assert page.run(step) == before + 1
    page.press("[")
    assert page.run(step) == before
    page.press("4")
    assert page.run(step) == 4
    page.press("End")
    assert page.run(at) == page.run("hoplab.clock.end")
    page.press("Home")
    page.press("Space")
    page.until(f"{at} === hoplab.clock.end", "the end of the visit")
    page.press("?")
    assert page.run(f"{SHADOW}.querySelector('dialog').open")
    page.press("Escape")
    assert not page.run(f"{SHADOW}.querySelector('dialog').open")


def test_letters_in_a_field_are_letters(browser: Browser, folder: Path) -> None:
    page = show(browser, folder / "web-cold.html")
    page.press("/")
    before = page.run("[hoplab.clock.at, hoplab.language, document.documentElement.dataset.theme]")
    for key in "dns from client":
        page.press("Space" if key == " " else key)
    assert page.run("hoplab.filter.value") == "dns from client"
    assert (
        page.run("[hoplab.clock.at, hoplab.language, document.documentElement.dataset.theme]")
        == before
    )
    assert page.run("hoplab.filterSays.textContent") == "1 of 34"


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_wireshark_finds_exactly_these_frames(browser: Browser, folder: Path) -> None:
    """The display filter that the page names, given to tshark with the capture of the page."""
    page = show(browser, folder / "web-cold.html", "#14@r2")
    with page.shown.expect_download() as download:
        page.run("hoplab.options.download()")
    capture = folder / "saved.pcapng"
    download.value.save_as(capture)
    assert capture.read_bytes() == (RUNS / "web-cold" / "capture.pcapng").read_bytes()
    text = page.until(f"[...{SHADOW}.querySelectorAll('.wireshark code')].at(-1)?.textContent",
                      "the filter")  # fmt: skip
    listed = subprocess.run(
        ["tshark", "-r", capture, "-Y", text, "-T", "fields", "-e", "frame.number"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    trip = next(t for t in runs.reopen(RUNS / "web-cold").story.trips if t.number == 14)
    numbers = {n for leg in trip.legs for n in (leg.sent, leg.received) if n is not None}
    assert set(map(int, listed.stdout.split())) == numbers


def test_two_runs_under_one_clock(browser: Browser, folder: Path) -> None:
    """The same packet flies on both maps at once; a run that has nothing like it stands still."""
    page = show(browser, folder / "two.html")
    kinds = page.run("""
      hoplab.timeline.pairs.filter(([a, b]) => a >= 0 && b >= 0).map(([a, b]) =>
        [a, b].map((moment, side) => {
          const scene = hoplab.scenes[side];
          return [scene.trips.kind[scene.packetAt(moment)], scene.kind[moment]];
        }))
    """)
    assert len(kinds) > 30
    assert all(first == second for first, second in kinds)
    for side in (0, 1):
        pairs = f"hoplab.timeline.pairs.map((pair) => pair[{side}])"
        moments = page.run(f"{pairs}.filter((moment) => moment >= 0)")
        assert moments == list(range(page.run(f"hoplab.scenes[{side}].moments")))
    text = page.run(f"{SHADOW}.getElementById('panel-comparison').textContent")
    assert "A packet took" in text
    assert "Bytes on every cable" in text
    assert "Not alike: Not alike" not in text


def axe_core() -> str:
    import axe_playwright_python

    return (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()


@pytest.mark.parametrize("width", [390, 1280, 1920])
@pytest.mark.parametrize("dark", [False, True])
def test_no_serious_finding_of_axe(
    browser: Browser, folder: Path, width: int, dark: bool
) -> None:
    page = show(browser, folder / "web-cold.html", "#3@r1", width=width, dark=dark)
    program = axe_core()
    for place in range(page.run("hoplab.scene.languages.length")):
        page.run(f"hoplab.speak({place})")
        findings = page.axe(program)
        assert [each for each in findings if each.startswith(("serious", "critical"))] == []
    assert page.run("document.documentElement.scrollWidth") <= width


def test_the_page_for_print(browser: Browser, folder: Path) -> None:
    """Kept aside while the player is shown, there at a press, and for the printer."""
    page = show(browser, folder / "web-cold.html")
    assert page.run("document.querySelectorAll('*').length") < 100
    page.run("hoplab.options.print()")
    assert page.run("document.querySelectorAll('details.packet').length") == 34
    page.run("document.querySelector('.to-player').click()")
    assert page.run("document.querySelectorAll('details.packet').length") == 0
    page.run("dispatchEvent(new Event('beforeprint'))")
    assert page.run("document.querySelectorAll('details.packet').length") == 34


def test_without_scripts_the_page_reads(browser: Browser, folder: Path) -> None:
    page = browser.open((folder / "web-cold.html").as_uri(), java_script_enabled=False)
    assert "www answered 200 OK" in page.shown.inner_text("main")
