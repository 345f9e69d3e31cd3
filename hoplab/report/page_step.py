# SPDX-License-Identifier: Apache-2.0
"""A step as a section of the page: its packets, their diagram, the textbook beside, remarks.

What lives here: what a step and a packet look like there. What must not: the page around them
(`page.py`), the bytes of a packet (`frames.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hoplab.report import frames, phrases
from hoplab.report import sequence as lines
from hoplab.report.folding import Fold
from hoplab.report.language import Language
from hoplab.report.layout import Picture
from hoplab.report.markup import Child, Markup, tag
from hoplab.runs import Run
from hoplab.sentences import listed, number_of, say, term
from hoplab.story.records import Step
from hoplab.story.trip_records import Trip

MOST_WITH_BYTES = 400  # packets; a page with the bytes of more would be slow to open
MOST_ROWS = 100  # of a table beside the textbook


@dataclass(frozen=True)
class Links:
    """Links to the packets that the page shows; `prefix` begins their names."""

    prefix: str
    shown: set[int]

    def to(self, number: int) -> Child:
        """'#3', as a link if there is something to go to."""
        if number not in self.shown:
            return f"#{number}"
        return tag("a", f"#{number}", href=f"#{self.prefix}p{number}")


def step_section(
    run: Run,
    place: int,
    parts: Sequence[Trip | Fold],
    drawn: Picture,
    links: Links,
    tr: Language,
) -> Markup:
    step = run.story.steps[place]
    prefix = links.prefix
    heading = tag(
        "h3",
        tag("span", str(step.number), cls="step-number") if step.number else None,
        tr(step.heading),
        id=f"{prefix}step{place}",
    )
    diagram: Child = None
    if parts:
        label = tr(say("Sequence diagram: {heading}", heading=tr(step.heading)))
        made = lines.sequence(parts, drawn.order(), tr, target=f"#{prefix}p", title=label)
        diagram = tag("div", made, cls="scroll", tabindex=0, role="region", aria_label=label)
    return tag(
        "section",
        heading,
        tag("p", tr(step.lesson), cls="lesson"),
        diagram,
        tag(
            "div",
            [
                tag("p", f"… {tr(part.sentence())}", cls="fold")
                if isinstance(part, Fold)
                else _packet(run, part, prefix, tr)
                for part in parts
            ],
            cls="packets",
        )
        if parts
        else None,
        _mapping(step, links, tr),
        _remarks(step, tr),
        cls="card",
        aria_labelledby=f"{prefix}step{place}",
    )


def _packet(run: Run, trip: Trip, prefix: str, tr: Language) -> Markup:
    path = " → ".join(trip.path) + (f" → {{{', '.join(trip.fan)}}}" if trip.fan else "")
    summary = tag(
        "summary",
        tag("span", f"#{trip.number}", cls="no"),
        tag("span", f"+{trip.ms:,.2f} ms", cls="ms"),
        tag("span", tr(trip.title), cls="what"),
        tag("span", path, cls="path"),
        _tags(trip, tr),
    )
    bytes_too = trip.number - run.story.trips[0].number < MOST_WITH_BYTES
    inside = frames.packet(trip, run.frames, tr, bytes_too=bytes_too)
    return tag(
        "details",
        summary,
        tag("div", inside, cls="inside"),
        id=f"{prefix}p{trip.number}",
        cls=f"packet {lines.family(trip)}",
    )


def _tags(trip: Trip, tr: Language) -> Markup | None:
    """What is remarkable about the way: floods, who ignored it, where it ended."""
    out: list[Child] = []
    floods = phrases.flooded_by(trip)
    if floods:
        out.append(tag("span", tr(floods), cls=None if trip.group else "warn"))
    out += [tag("span", tr(line)) for line in phrases.ignored_by(trip)]
    asked = dict.fromkeys(each.node for each in trip.decisions if each.by == "controller")
    if asked:
        text = say("asked the controller: {switches}", switches=listed(asked))
        out.append(tag("span", tr(text)))
    if any(each.by == "nobody" for each in trip.decisions):
        out.append(tag("span", tr(term("no controller at that moment")), cls="warn"))
    fate = _fate(trip, tr)
    if fate is not None:
        out.append(fate)
    if not out:
        return None
    return tag("span", [part for piece in out for part in (piece, " · ")][:-1], cls="tags")


def _fate(trip: Trip, tr: Language) -> Markup | None:
    """What became of a packet that did not simply arrive."""
    if trip.storm is not None:
        storm = number_of("a storm of {n:,} frame", "a storm of {n:,} frames", trip.frames)
        return tag("b", "⟳ ", tr(storm), cls="bad")
    if trip.lost and trip.fate in ("", "lost"):
        return tag("b", "✗ ", tr(term("lost")), cls="bad")
    if trip.fate == "cut":
        return tag("span", "… ", tr(term("the capture ended")))
    if trip.ended:
        return tag("b", "✗ ", tr(term("went no further")), cls="bad")
    return None


def _mapping(step: Step, links: Links, tr: Language) -> Markup | None:
    if not step.mapping:
        return None
    rows = []
    for row in step.mapping[:MOST_ROWS]:
        packets: list[Child] = []
        for number in row.trips:
            packets += [links.to(number), " "]
        rows.append(
            tag(
                "tr",
                tag("td", tag("b", tr(row.textbook))),
                tag("td", packets or tr(term("none"))),
                tag("td", tr(row.real)),
            )
        )
    heads = [tag("th", tr(head), scope="col") for head in phrases.MAPPING]
    table = tag("table", tag("thead", tag("tr", heads)), tag("tbody", rows), cls="mapping")
    more = len(step.mapping) - MOST_ROWS
    rest = tag("p", tr(say("and {n:,} more", n=more)), cls="legend") if more > 0 else None
    return tag("div", table, rest, cls="scroll")


def _remarks(step: Step, tr: Language) -> Markup | None:
    if not step.remarks:
        return None
    return tag(
        "ul", [tag("li", tag("span", tr(remark.text))) for remark in step.remarks], cls="remarks"
    )
