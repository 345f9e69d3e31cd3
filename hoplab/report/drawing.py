# SPDX-License-Identifier: Apache-2.0
"""The pictures of a run in one SVG file of its own: the topology, and below it every step."""

from __future__ import annotations

from collections.abc import Sequence

from hoplab.follow.wiring import Wiring
from hoplab.report import numbers, phrases
from hoplab.report.folding import chosen
from hoplab.report.language import Language
from hoplab.report.layout import arrange
from hoplab.report.markup import Child, Markup, tag
from hoplab.report.page import MOST_PACKETS, MOST_STEPS, asset
from hoplab.report.sequence import sequence
from hoplab.report.topology import topology
from hoplab.runs import Run
from hoplab.story.summary_records import Summary

GAP = 18


def drawing(runs: Sequence[Run], tr: Language) -> str:
    """The file's text. Two runs stand below each other."""
    placed = _Sheet()
    called = numbers.names([run.story for run in runs], [run.folder.name for run in runs])
    for place, run in enumerate(runs):
        story = run.story
        name = f"{called[place]}: " if len(runs) == 2 else ""
        drawn = arrange(run.wiring, story.setting.host)
        placed.heading(name + tr.value(phrases.title(story)))
        placed.put(topology(drawn, run.wiring, story.summary, tr), drawn.width, drawn.height)
        chosen_parts = chosen(story, MOST_PACKETS)
        for step, parts in zip(story.steps[:MOST_STEPS], chosen_parts, strict=False):
            if parts:
                number = f"{step.number}  " if step.number else ""
                placed.heading(number + tr(step.heading))
                made = sequence(parts, drawn.order(), tr, title=tr(step.heading))
                placed.put(made, *_size(made))
    return _file(placed)


def _file(placed: _Sheet) -> str:
    width, height = round(placed.width) + GAP, round(placed.y)
    sheet = tag("rect", width=width, height=height, cls="sheet")
    svg = tag(
        "svg",
        tag("style", Markup(asset("diagram.css"))),
        sheet,
        placed.parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width} {height}",
        width=width,
        height=height,
    )
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{svg}\n'


def network(wiring: Wiring, tr: Language) -> str:
    """The file's text for a lab that nothing has been captured of: the network alone."""
    drawn = arrange(wiring)
    placed = _Sheet()
    placed.put(topology(drawn, wiring, Summary(), tr), drawn.width, drawn.height)
    return _file(placed)


class _Sheet:
    """Pictures one below the other."""

    def __init__(self) -> None:
        self.parts: list[Child] = []
        self.y = float(GAP)
        self.width = 400.0

    def heading(self, text: str) -> None:
        self.parts.append(tag("text", text, x=GAP, y=self.y + 16, cls="heading"))
        self.y += 30

    def put(self, drawn: Markup, width: float, height: float) -> None:
        self.parts.append(tag("g", drawn, transform=f"translate({GAP} {round(self.y)})"))
        self.width = max(self.width, width + GAP)
        self.y += height + GAP


def _size(drawn: Markup) -> tuple[float, float]:
    """Width and height that a diagram says of itself."""
    head = drawn[: drawn.index(">")]
    width, height = (head.split(f' {name}="')[1].split('"')[0] for name in ("width", "height"))
    return float(width), float(height)
