# SPDX-License-Identifier: Apache-2.0
"""A story as text for a terminal, 80 columns or more, readable without colour.

What lives here: layout alone. What must not: protocols, and any statement that is not in the
story.

The layout of one trip:

    #3  +0.31 ms  DNS question A www.itheima.com   client → s1 → r1 → r2 → s2 → resolver
                 r1: MAC client 02:00:00:00:00:01 → r1 02:00:00:00:00:05
                   ⇒ MAC r1 02:00:00:00:00:07 → r2 02:00:00:00:00:08
                     IP  10.1.0.10 → 10.53.0.53 unchanged, TTL 64 → 63

`detail`: 'brief' leaves out what happened at routers and why; 'normal' shows real MACs when a
pair of them occurs for the first time, then the owners' names, and folds long runs of alike
packets and connections that are the same again; 'full' folds nothing but storms and shows every
MAC and frame number.
"""

from __future__ import annotations

from collections.abc import Sequence

from hoplab.report import phrases
from hoplab.report.cells import cells, ljust
from hoplab.report.folding import EVIDENCE_MOST, Fold, merged, parts
from hoplab.report.language import ENGLISH, Language
from hoplab.report.lines import Page, time_since_start
from hoplab.report.summary_lines import summary_lines
from hoplab.report.trip_lines import (
    cause_line,
    decision_lines,
    end_lines,
    head_line,
    note_line,
    path_text,
    spread_lines,
    trip_lines,
)
from hoplab.sentences import listed, say, term
from hoplab.story import fidelity_sentences, tcp_sentences
from hoplab.story.faults import STRICT, Faults
from hoplab.story.live import News
from hoplab.story.records import Repeats, Step, Story
from hoplab.story.storms import storming
from hoplab.story.trip_records import Trip

DETAILS = ("brief", "normal", "full")
MAPPING_MOST = 16  # rows of a table beside the textbook, unless everything is wanted
_MARKED = {True: "green", False: "red", None: "yellow"}  # a verdict's colour


def render(
    story: Story,
    *,
    width: int = 100,
    color: bool = False,
    detail: str = "normal",
    ascii: bool = False,
    tr: Language = ENGLISH,
    faults: Faults = STRICT,
) -> str:
    """The whole story as lines of text, ending in a newline. `ascii` is for English alone: what
    another language is written in does not survive it. faults: takes what could not be told."""
    if detail not in DETAILS:
        raise ValueError(f"detail is {detail!r}; known are {', '.join(DETAILS)}")
    page = _page(story, width, color, ascii, detail, tr)
    page.faults = faults
    with page.part(term("the head of the story")):
        _header(page, story)
    if story.trips:
        _steps(page, story)
    if detail == "full" and not page.stormy:
        with page.part(term("the figures of TCP connections")):
            _connections(page, story)
    with page.part(term("how it ended")):
        _outcome(page, story)
    with page.part(term("the numbers")):
        summary_lines(page, story.summary)
    if detail == "full" and story.trips:
        with page.part(term("whether times are to be trusted")):
            _fidelity(page, story)
    return page.text()


def packet_list(
    story: Story,
    trips: Sequence[Trip],
    *,
    width: int = 100,
    color: bool = False,
    detail: str = "brief",
    ascii: bool = False,
    tr: Language = ENGLISH,
) -> str:
    """Some packets of a story, each by itself: its number, time, title and path, and with `detail`
    what else a story tells of it."""
    page = _page(story, width, color, ascii, detail, tr)
    for trip in trips:
        if detail == "brief":
            head_line(page, trip, page.tr(trip.title), path_text(trip))
            end_lines(page, trip, trip.ended)
        else:
            trip_lines(page, trip)
    return page.text() if trips else ""


def _page(story: Story, width: int, color: bool, ascii: bool, detail: str, tr: Language) -> Page:
    """An empty page, its columns as wide as the numbers and times of the story."""
    longest = max((len(time_since_start(trip.ms)) for trip in story.trips), default=0)
    digits = len(str(story.trips[-1].number)) if story.trips else 1
    tr = ENGLISH if ascii else tr
    page = Page(max(60, width), color, ascii, detail, digits, 6 + digits + longest, tr)
    page.storming = storming(story.trips)
    return page


def _steps(page: Page, story: Story) -> None:
    """The steps in order; those that are the same again are told together, where the first is."""
    steps = merged(story.steps) if page.stormy else story.steps
    folds = not page.stormy and page.detail != "full"
    repeats = story.repeats if folds else None
    for place, step in enumerate(steps):
        if repeats is None or place not in repeats.steps:
            with page.part(say("the step {heading}", heading=step.heading)):
                _step(page, story, step)
        elif place == min(repeats.steps):
            _repeats(page, repeats)


def live_lines(
    news: News,
    explained: set[str] | None = None,
    *,
    width: int = 100,
    color: bool = False,
    ascii: bool = False,
    tr: Language = ENGLISH,
) -> list[str]:
    """A packet as far as it has come, and what is newly known of it. explained: which switches'
    decisions have been told at length; it grows."""
    digits, times = 3, 11
    tr = ENGLISH if ascii else tr
    page = Page(max(60, width), color, ascii, "normal", digits, 6 + digits + times, tr)
    page.explained = explained if explained is not None else set()
    trip = news.trip
    if not news.more:
        title = trip.title
    elif news.moved:
        title = term("… went on")
    elif news.ended and not (news.cause or news.decisions or news.notes):
        title = term("… went no further")
    else:
        title = term("… now it is known")
    head_line(page, trip, page.tr(title), path_text(trip) if news.moved else "")
    if news.moved:
        spread_lines(page, trip)
    if news.cause:
        cause_line(page, news.cause)
    decision_lines(page, news.decisions, every_flow=True)
    for note in news.notes:
        note_line(page, note)
    if news.moved or news.ended:
        end_lines(page, trip, news.ended)
    return page.lines


def _header(page: Page, story: Story) -> None:
    page.wrap(page.tr.value(phrases.title(story)), 0, "bold")
    places = [page.tr(place) for place in phrases.places(story.setting)]
    if places:
        page.line(" | ".join(places), "dim")
    outcome = story.outcome
    page.wrap(f"{outcome.mark} {page.tr(outcome.sentence)}", 0, _MARKED[outcome.ok], hang=2)
    for alert in story.alerts:
        page.tell(alert, 2, "yellow", "bold")
    distorted = fidelity_sentences.distortion(story.fidelity, story.started_ns)
    if distorted:
        page.tell(distorted, 2, "yellow")
    page.line()
    page.tell(phrases.LEGEND, 0, "dim")
    if any(copies.flooded for trip in story.trips for copies in trip.fanouts):
        flooded = term(
            "Flooded (2/3 ports): it left by 2 of the 3 ports other than the one it came in by."
        )
        page.tell(flooded, 0, "dim")


def _repeats(page: Page, repeats: Repeats) -> None:
    """What stands for the steps that are like those above."""
    page.rule(page.tr(term("The same again")))
    for sentence in repeats.sentences:
        page.wrap(f"… {page.tr(sentence)}", 3, hang=2)


def _step(page: Page, story: Story, step: Step) -> None:
    heading = page.tr(step.heading)
    if step.number:
        heading = page.tr(say("Step {n}  {heading}", n=step.number, heading=heading))
    page.rule(heading)
    trips = [story.trip(number) for number in step.trips]
    # Where all is left over from an older storm, nothing is done as in the lesson.
    drowned = bool(trips) and trips[0].under_way and page.drowned(trips)
    if page.detail != "brief" and trips and not drowned and page.once(step.lesson):
        page.tell(step.lesson, 3, "dim")
        page.line()
    elif trips and not page.stormy:
        page.line()
    every = page.detail == "full" and not page.stormy
    for part in trips if every else parts(trips, stormy=page.stormy):
        _part(page, part)
    if step.mapping:
        page.line()
        _mapping(page, step)
    _remarks(page, step)


def _part(page: Page, part: Trip | Fold) -> None:
    """A packet, or a line that counts several."""
    number = part.trips[0].number if isinstance(part, Fold) else part.number
    with page.part(say("packet #{packet}", packet=number)):
        if isinstance(part, Fold):
            page.wrap(f"… {page.tr(part.sentence())}", page.indent, "dim", hang=2)
        else:
            trip_lines(page, part)


def _remarks(page: Page, step: Step) -> None:
    """What is remarkable about a step; in a storm once for all steps."""
    remarks = [
        remark
        for remark in step.remarks
        if not page.stormy or (remark.code != "storm" and page.once(remark.text))
    ]
    if remarks and step.trips and not step.mapping:
        page.line()
    for remark in remarks:
        page.wrap(f"· {page.tr(remark.text)}", 3, "yellow", hang=2)


def _mapping(page: Page, step: Step) -> None:
    """The textbook's frames and the real ones side by side."""
    rows = [
        (
            page.tr(row.textbook),
            page.tr(listed(f"#{number}" for number in row.trips)) or page.tr(term("none")),
            page.tr(row.real),
        )
        for row in step.mapping
    ]
    limit = len(rows) if page.detail == "full" else MAPPING_MOST
    first = max(cells(row[0]) for row in rows[:limit])
    second = min(24, max(cells(row[1]) for row in rows[:limit]))
    for textbook, trips, real in rows[:limit]:
        text = f"{ljust(textbook, first)}  {ljust(trips, second)}  {real}"
        page.wrap(text, 3, hang=first + second + 4)
    if len(rows) > limit:
        more = say("and {n:,} more", n=len(rows) - limit)
        page.line(f"   … {page.tr(more)}", "dim")


def _connections(page: Page, story: Story) -> None:
    """Each TCP connection as engineers read it."""
    if story.connections:
        page.rule(page.tr(tcp_sentences.HEADING))
    for figures in story.connections:
        page.tell(tcp_sentences.heading(figures), 3, "bold")
        for sentence in tcp_sentences.in_full(figures):
            page.tell(sentence, 5, hang=2)


def _fidelity(page: Page, story: Story) -> None:
    """Whether the machine distorted times, and what each node took."""
    page.rule(page.tr(phrases.TIMES))
    page.tell(fidelity_sentences.verdict(story.fidelity, story.started_ns), 3)
    for sentence in fidelity_sentences.places(story.fidelity):
        page.tell(sentence, 5, hang=2)


def _outcome(page: Page, story: Story) -> None:
    outcome = story.outcome
    failed, ended = term("Where it ended, and why"), term("How it ended")
    page.rule(page.tr(failed if outcome.ok is False else ended))
    style = _MARKED[outcome.ok]
    page.wrap(f"{outcome.mark} {page.tr(outcome.sentence)}", 3, style, "bold", hang=2)
    for reason in outcome.why:
        page.tell(reason, 5)
    if outcome.mend:
        page.tell(phrases.MEND, 5)
    for command in outcome.mend:  # in one piece, however long it is
        page.line(f"       {command}", "bold")
    if outcome.evidence:
        named = outcome.evidence[:EVIDENCE_MOST]
        packets = listed(say("#{packet}", packet=number) for number in named)
        more = len(outcome.evidence) - len(named)
        if more:
            page.tell(say("Seen in {packets} and {n:,} more.", packets=packets, n=more), 5, "dim")
        else:
            page.tell(say("Seen in {packets}.", packets=packets), 5, "dim")
