# SPDX-License-Identifier: Apache-2.0
"""How fast the player opens and draws, in headless Chromium on this machine.

    python3 bench/player.py [--packets N] [--json]

Three pages: a visit (154 moments), a frame in a hub of 200 hosts, and 50,000 frames of pings
through two routers. Of each: what it weighs; how long it took to make; from opening it to the
first paint (the median of five); pictures a second while it plays, at a moment a second and at 64;
how long it takes to go to any moment; and how many elements the page has. Beside each stands the
printable page of the same run (`hoplab report --print`), which is what there was before, as a
ratio of weights and of times to the first paint.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
import types
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
# Ours, though a package of somebody else's may be called `tests`.
sys.modules["tests"] = types.ModuleType("tests")
sys.modules["tests"].__path__ = [str(ROOT / "tests")]

from hoplab import runs  # noqa: E402
from hoplab.report.language import language  # noqa: E402
from hoplab.report.page import page  # noqa: E402
from hoplab.web.player import player, script  # noqa: E402
from tests.unit.many_pings import many_pings  # noqa: E402
from tests.web.browser import Browser, chromium  # noqa: E402
from tests.web.test_player import hub_run  # noqa: E402

PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0"
PLAY = """
(async () => {
  const { clock } = hoplab;
  clock.pause();
  clock.set(0);
  hoplab.setSpeed(SPEED);
  clock.play();
  const began = performance.now();
  let pictures = 0;
  await new Promise((done) => {
    const next = () => {
      pictures++;
      if (performance.now() - began < 2000 && clock.playing) requestAnimationFrame(next);
      else done();
    };
    requestAnimationFrame(next);
  });
  clock.pause();
  return (1000 * pictures) / (performance.now() - began);
})()
"""
SEEK = """
(() => {
  const times = [];
  for (let n = 1; n <= 60; n++) {
    const began = performance.now();
    hoplab.clock.set(Math.round((hoplab.clock.end * ((n * 37) % 60)) / 60));
    times.push(performance.now() - began);
  }
  times.sort((a, b) => a - b);
  return [times[30], times[59]];
})()
"""
ELEMENTS = (
    "document.querySelectorAll('*').length + "
    "document.getElementById('player').shadowRoot.querySelectorAll('*').length"
)


def measure(browser: Browser, folder: Path, work: Path) -> dict[str, Any]:
    """All figures of one run's page."""
    run = runs.reopen(folder)
    english = language("en")
    began = time.perf_counter()
    text = player([run], english)
    made_s = time.perf_counter() - began
    plain = page([run], english)
    files = [work / f"{folder.name}.html", work / f"{folder.name}.print.html"]
    for file, content in zip(files, (text, plain), strict=True):
        file.write_text(content, encoding="utf-8")
    paints: list[list[float]] = [[], []]
    for _ in range(5):
        for file, times in zip(files, paints, strict=True):
            shown = browser.open(file.as_uri())
            times.append(shown.until(PAINT, "the first paint"))
            shown.shown.context.close()
    shown = browser.open(files[0].as_uri())
    shown.until("window.hoplab && hoplab.ready", "the player")
    frames = sum(len(trip.legs) for trip in run.story.trips)
    first, second = (statistics.median(times) for times in paints)
    figures = {
        "frames": frames,
        "kB": len(text) / 1000,
        "made_s": made_s,
        "first_paint_ms": first,
        "elements": shown.run(ELEMENTS),
        "seek_ms": shown.run(SEEK),
        "fps": {speed: shown.run(PLAY.replace("SPEED", str(speed))) for speed in (1, 64)},
        "weight_ratio": len(text) / len(plain),
        "paint_ratio": first / second,
    }
    shown.shown.context.close()
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--packets", type=int, default=10_000, help="pings and their answers")
    parser.add_argument("--json", action="store_true", help="the figures as JSON")
    arguments = parser.parse_args()
    if chromium() is None:
        sys.exit("chromium is not installed: scripts/install.sh --with-tests")
    with tempfile.TemporaryDirectory() as name, Browser(Path(name)) as browser:
        work = Path(name)
        folders = [
            ROOT / "tests" / "data" / "runs" / "web-cold",
            hub_run(work / "hub200"),
            many_pings(work / "pings", arguments.packets),
        ]
        figures = {folder.name: measure(browser, folder, work) for folder in folders}
    if arguments.json:
        print(json.dumps({"script_kB": len(script()) / 1000, "pages": figures}, indent=1))
        return
    print(f"own scripts: {len(script()) / 1000:.0f} kB")
    print(f"{'':12}{'frames':>8}{'kB':>7}{'made':>8}{'first paint':>13}{'elements':>10}"
          f"{'seek, worst':>17}{'1/s':>6}{'64/s':>6}   beside the printable page")  # fmt: skip
    for run_name, figure in figures.items():
        middle, worst = figure["seek_ms"]
        print(
            f"{run_name:12}{figure['frames']:>8,}{figure['kB']:>7,.0f}{figure['made_s']:>6.2f} s"
            f"{figure['first_paint_ms']:>10.0f} ms{figure['elements']:>10}"
            f"{middle:>8.1f} {worst:>5.1f} ms{figure['fps'][1]:>6.0f}{figure['fps'][64]:>6.0f}"
            f"   weight x {figure['weight_ratio']:.2f}, paint x {figure['paint_ratio']:.2f}"
        )


if __name__ == "__main__":
    main()
