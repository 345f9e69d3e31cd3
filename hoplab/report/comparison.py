# SPDX-License-Identifier: Apache-2.0
"""Runs side by side as text for a terminal of 80 columns or more.

What lives here: layout alone. What must not: which figures belong together (`hoplab.story.costs`)
and whether the runs may be compared (`hoplab.story.same_start`).
"""

from __future__ import annotations

from collections.abc import Sequence

from hoplab.report.cells import cells, ljust, rjust
from hoplab.report.language import ENGLISH, Language
from hoplab.report.lines import Page
from hoplab.report.numbers import health, not_alike
from hoplab.sentences import listed, say, term
from hoplab.story import costs
from hoplab.story.summary_records import LinkCount, Summary, Transfer

MOST_LINKS = 24
MOST_BESIDE = 3  # runs in one table of 80 columns
GAP = 2


def render(
    sides: Sequence[tuple[str, Summary]],
    commands: Sequence[str],
    place: str,
    differences: Sequence[str],
    faults: Sequence[str] = (),
    *,
    distorted: Sequence[str] = (),
    width: int = 100,
    color: bool = False,
    ascii: bool = False,
    brief: bool = False,
    tr: Language = ENGLISH,
) -> str:
    """The comparison as lines of text, ending in a newline. sides: what each run is called and its
    numbers. place: where it was done, a line. differences: sentences on what was not alike,
    faults: on what went wrong with all; distorted: on what the machine did to a run. brief: without
    the cables."""
    tr = ENGLISH if ascii else tr
    page = Page(max(60, width), color, ascii, "normal", 1, 3, tr)
    page.wrap(tr(listed(name for name, _ in sides)), 0, "bold")
    page.line(place, "dim")
    for sentence in costs.sentences(sides):
        page.wrap(tr(sentence), 0)
    for sentence in faults:
        page.wrap(f"✗ {tr(sentence)}", 0, "red", hang=2)
    for sentence in differences:
        page.wrap(f"✗ {tr(not_alike(tr(sentence)))}", 0, "red", hang=2)
    for sentence in distorted:
        page.wrap(f"✗ {tr(sentence)}", 0, "red", hang=2)
    page.line()
    page.wrap(tr(HOW), 0, "dim")
    for command in commands:
        page.wrap(command, 2, "dim", hang=4)
    for first in range(0, len(sides), MOST_BESIDE):
        some = sides[first : first + MOST_BESIDE]
        _transfers(page, some)
        if not brief:
            _links(page, some)
    page.line()
    for name, summary in sides:
        line = say("{run}: {capture}", run=name, capture=health(summary, tr))
        page.wrap(tr(line), 3, "dim", hang=2)
    return page.text()


HOW = term(
    "Each ran on a fresh lab of its own, one after the other. Every figure is counted in captured "
    "frames."
)


def _transfers(page: Page, sides: Sequence[tuple[str, Summary]]) -> None:
    tr = page.tr
    summaries = [summary for _, summary in sides]
    transfers = [
        {(transfer.sender, transfer.receiver): transfer for transfer in summary.transfers}
        for summary in summaries
    ]
    pairs = costs.paired(summaries)
    page.rule(tr(term("Throughput and what was sent again")))
    rows: list[list[str]] = []
    for pair, rates in pairs:
        every = [of_side.get(pair) for of_side in transfers]
        rows += [
            [" → ".join(pair), *("-" if rate is None else costs.rate(rate) for rate in rates)],
            [f"  {tr(term('duration'))}", *map(_seconds, every)],
            [f"  {tr(term('segments sent again'))}", *(_again(each, tr) for each in every)],
        ]
    if not pairs:
        page.wrap(
            tr(term("No host sent so much to another by TCP that a throughput can be told.")), 3
        )
    totals = [
        (term("bytes on all cables"), [f"{each.bytes:,}" for each in summaries]),
        (term("arrived at hosts and routers"), [f"{each.arrived_bytes:,}" for each in summaries]),
        (term("of no use there"), [f"{each.ignored_bytes:,}" for each in summaries]),
    ]
    rows += [[tr(name), *cols] for name, cols in totals]
    _table(page, ["", *(name for name, _ in sides)], rows)


def _seconds(transfer: Transfer | None) -> str:
    return "-" if transfer is None else f"{transfer.busy_ns / 1e9:,.2f} s"


def _again(transfer: Transfer | None, tr: Language) -> str:
    if transfer is None:
        return "-"
    again, segments = transfer.retransmissions, transfer.segments
    return tr(say("{n:,} of {total:,}", n=again, total=segments))


def _links(page: Page, sides: Sequence[tuple[str, Summary]]) -> None:
    tr = page.tr
    every = [{_ends(link): link for link in summary.links} for _, summary in sides]
    ends = _used(every)
    if not ends:
        return
    page.rule(tr(term("Bytes on every cable, and the part that its host had no use for")))
    names = _names([next(links[key] for links in every if key in links) for key in ends])
    directions = len(sides) == 2
    counted = ["→", "←"] if directions else [tr(term("bytes"))]
    heads = ["", *[*counted, tr(term("no use"))] * len(sides)]
    rows = [
        [name, *(cell for links in every for cell in _cells(links.get(key), directions))]
        for key, name in zip(ends[:MOST_LINKS], names, strict=False)
    ]
    page.line(_over(page, rows, heads, [name for name, _ in sides]), "dim")
    _table(page, heads, rows)
    if len(ends) > MOST_LINKS:
        page.wrap(tr(say("and {n:,} more", n=len(ends) - MOST_LINKS)), 3)


def _used(every: Sequence[dict[tuple[str, str], LinkCount]]) -> list[tuple[str, str]]:
    """The ends of the cables over which something went in any of the runs."""
    ends = dict.fromkeys(key for links in every for key in links)
    return [key for key in ends if any(key in links and links[key].bytes for links in every)]


def _cells(link: LinkCount | None, directions: bool) -> list[str]:
    if link is None:
        return ["-"] * (3 if directions else 2)
    counts = [link.forth_bytes, link.back_bytes] if directions else [link.bytes]
    return [*(f"{count:,}" for count in counts), link.unwanted_percent]


def _ends(link: LinkCount) -> tuple[str, str]:
    return link.a_interface, link.b_interface


def _names(links: Sequence[LinkCount]) -> list[str]:
    """By the nodes, which is short; by the interfaces where cables lie beside each other."""
    short = [f"{link.a} ─ {link.b}" for link in links]
    if len(set(short)) == len(short):
        return short
    return [f"{link.a_interface} ─ {link.b_interface}" for link in links]


def _widths(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(cells(row[i]) for row in [heads, *rows]) for i in range(len(heads))]


def _over(
    page: Page, rows: Sequence[Sequence[str]], heads: Sequence[str], names: Sequence[str]
) -> str:
    """Whose the columns are: each name over its own, at their right end."""
    widths = _widths(heads, rows)
    each = (len(heads) - 1) // len(names)
    line = " " * (3 + widths[0])
    for place, name in enumerate(names):
        own = widths[1 + place * each : 1 + (place + 1) * each]
        room = sum(own) + GAP * len(own)
        line += rjust(name if cells(name) < room else name[: room - 3] + "…", room)
    return line


def _table(page: Page, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """The first column to the left, the others to the right. Where a first column is too long for
    the page, its row takes two lines."""
    widths = _widths(heads, rows)
    room = page.width - 3 - sum(widths[1:]) - GAP * len(widths[1:])
    widths[0] = min(widths[0], max(room, 12))
    for number, row in enumerate([heads, *rows]):
        values = "".join(
            " " * GAP + rjust(value, width)
            for value, width in zip(row[1:], widths[1:], strict=True)
        )
        styles = () if number else ("dim",)
        if cells(row[0]) > widths[0]:
            page.line("   " + row[0], *styles)
            page.line("   " + ljust("", widths[0]) + values, *styles)
        else:
            page.line("   " + ljust(row[0], widths[0]) + values, *styles)
