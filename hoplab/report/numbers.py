# SPDX-License-Identifier: Apache-2.0
"""The numbers of a run as HTML, and two runs side by side: what a hub costs, link by link."""

from __future__ import annotations

from collections.abc import Sequence

from hoplab.report.language import Language
from hoplab.report.markup import Child, Markup, join, tag
from hoplab.runs import Run
from hoplab.story import costs, same_start
from hoplab.story.records import LinkCount, Story, Summary
from hoplab.story.titles import capture_faults, capture_remarks, count_kind, queue_loss

BAR = 220.0
HOLLOW = "The hollow end of a bar: frames that nobody at that link needed."


def cards(summary: Summary, tr: Language) -> Markup:
    """The few numbers that matter, large."""
    share = summary.ignored_percent
    shown: list[tuple[str, str]] = [
        (f"{summary.trips:,}", "packets"),
        (f"{summary.frames:,}", "frames on links"),
        (f"{summary.arrivals:,}", "frames that arrived at hosts and routers"),
        (f"{summary.ignored:,} ({share})", "of them not for the one that got it"),
        (f"{summary.lost:,}", "frames lost on the way"),
    ]
    return tag(
        "div", [tag("div", tag("b", value), tag("span", tr(name))) for value, name in shown],
        cls="cards",
    )  # fmt: skip


def kinds(summary: Summary, tr: Language) -> str:
    """'3 ARP requests, 1 SYN', in the reader's language."""
    return tr.comma.join(tr(count_kind(kind, count)) for kind, count in summary.kinds.items())


def health(summary: Summary, tr: Language) -> str:
    """Whether the capture is whole."""
    found = summary.health
    faults = [tr(fault) for fault in capture_faults(found)]
    if faults:
        low = tr("the numbers may be a little low.")
        text = tr.label("Capture:", f"{tr.comma.join(faults)}; {low}")
    else:
        text = tr("Capture: complete, every frame found its place.")
    return " ".join([text, *(tr(line) for line in capture_remarks(found))])


def losses(summary: Summary, tr: Language) -> list[str]:
    """What switches dropped for want of room, a sentence a port."""
    return [tr(queue_loss(loss)) for loss in summary.queue_losses]


def _bar(frames: int, ignored: int, most: int, cls: str = "") -> Markup:
    """A bar for the frames of a link; the part that was ignored is its hollow end, and stands as a
    number beside it."""
    whole = BAR * frames / most if most else 0.0
    part = min(whole, BAR * ignored / most if most else 0.0)
    parts: list[Child] = [
        tag("rect", x=0.0, y=3.0, width=max(whole - part, 0.0), height=11.0, cls=cls or None)
    ]
    if part:
        left = max(whole - part, 0.0) + (1.5 if whole > part else 0)
        parts.append(
            tag("rect", x=left + 0.8, y=3.8, width=max(part - 2.5, 1.0), height=9.4, cls="part")
        )
    return tag("svg", parts, width=round(BAR), height=17, cls="bars", aria_hidden="true")


def links(summary: Summary, tr: Language) -> Markup:
    """Frames on each link, by direction."""
    most = max((link.frames for link in summary.links), default=0)
    rows = [
        tag(
            "tr",
            tag("th", _name(link), scope="row", cls="mono"),
            tag("td", f"{link.forth:,}", cls="num"),
            tag("td", f"{link.back:,}", cls="num"),
            tag("td", tag("b", f"{link.frames:,}"), cls="num"),
            tag("td", f"{link.ignored:,}" if link.ignored else "", cls="num"),
            tag("td", _bar(link.frames, link.ignored, most)),
            tag("td", f"{link.forth_bytes:,}", cls="num"),
            tag("td", f"{link.back_bytes:,}", cls="num"),
        )
        for link in summary.links
    ]
    heads = [tr("link"), "→", "←", tr("frames"), tr("of them ignored"), ""]
    heads += [tr.label("bytes", "→"), tr.label("bytes", "←")]
    return _table(heads, rows, numeric=(1, 2, 3, 4, 6, 7))


def _name(link: LinkCount) -> str:
    return f"{link.a_interface} ─ {link.b_interface}"


def _table(heads: Sequence[str], rows: list[Markup], numeric: Sequence[int]) -> Markup:
    head = [
        tag("th", text, scope="col", cls="num" if place in numeric else None)
        for place, text in enumerate(heads)
    ]
    return tag("div", tag("table", tag("thead", tag("tr", head)), tag("tbody", rows)), cls="scroll")


def title(story: Story, tr: Language) -> str:
    """What was done: 'client fetches http://…', or the command."""
    if story.request is not None:
        return tr(f"{story.request.client} fetches {story.request.url}")
    if story.setting.command:
        return f"{story.setting.host}: {story.setting.command}"
    return tr("What the frames tell")


def names(stories: Sequence[Story], folders: Sequence[str]) -> list[str]:
    """What to call the runs beside each other: their controllers, if these differ."""
    controllers = [story.setting.controller for story in stories]
    if all(controllers) and len(set(controllers)) == len(controllers):
        return controllers
    if len(set(folders)) == len(folders):
        return list(folders)
    return [f"{folder} ({place})" for place, folder in enumerate(folders, 1)]


def compare(runs: Sequence[Run], called: Sequence[str], tr: Language) -> Markup:
    """Two runs side by side: the totals, then every link."""
    one, other = (run.story.summary for run in runs)
    told, unlike = sentences(runs, called)
    rows = [
        tag(
            "tr",
            tag("th", tr.label("throughput", pair), scope="row"),
            tag("td", first, cls="num"),
            tag("td", second, cls="num"),
            tag("td", ""),
        )
        for pair, first, second in throughputs(one, other)
    ]
    rows += [
        tag(
            "tr",
            tag("th", tr(name), scope="row"),
            tag("td", f"{first:,}", cls="num"),
            tag("td", f"{second:,}", cls="num"),
            tag("td", _ratio(first, second), cls="num"),
        )
        for name, first, second in totals(one, other)
    ]
    heads = ["", called[0], called[1], f"{called[0]} : {called[1]}"]
    return join(
        tag("p", tr(said)) if (said := sentence(one, other, called)) else None,
        [tag("p", tr(said)) for said in told],
        [tag("p", tag("b", tr.label("Not alike:", tr(said)))) for said in unlike],
        _table(heads, rows, numeric=range(1, 4)),
        tag("h2", tr("Frames per link")),
        _links_compared(one, other, called, tr),
        tag("p", tr(HOLLOW), cls="legend"),
    )  # fmt: skip


def totals(one: Summary, other: Summary) -> list[tuple[str, int, int]]:
    """What is counted, in both runs; what seldom happens only where it did."""
    seldom = [
        ("of them dropped by switches", one.lost_in_switches, other.lost_in_switches),
        ("frames that the capture missed", one.health.dropped, other.health.dropped),
    ]
    return [
        ("packets", one.trips, other.trips),
        ("frames on links", one.frames, other.frames),
        ("frames that arrived at hosts and routers", one.arrivals, other.arrivals),
        ("of them not for the one that got it", one.ignored, other.ignored),
        (
            "packets for one card that left by several ports",
            one.unicast_flooded,
            other.unicast_flooded,
        ),
        ("frames lost on the way", one.lost, other.lost),
        *(row for row in seldom if row[1] or row[2]),
        ("bytes of all frames on links", one.bytes, other.bytes),
        ("bytes that arrived at hosts and routers", one.arrived_bytes, other.arrived_bytes),
        ("bytes not for the one that got them", one.ignored_bytes, other.ignored_bytes),
        ("TCP segments sent again", one.retransmissions, other.retransmissions),
    ]


def throughputs(one: Summary, other: Summary) -> list[tuple[str, str, str]]:
    """('h1 → h2', '4.9 Mbit/s', '9.5 Mbit/s') for each that sent enough to another by TCP."""
    rows = []
    for pair, values in costs.paired((one, other)):
        first, second = ("-" if value is None else costs.rate(value) for value in values)
        rows.append((" → ".join(pair), first, second))
    return rows


def sentences(runs: Sequence[Run], called: Sequence[str]) -> tuple[list[str], list[str]]:
    """What the two cost, and what was not alike."""
    sides = [
        same_start.Side(name, run.wiring, run.story, run.began_ns, run.failed)
        for name, run in zip(called, runs, strict=True)
    ]
    told = costs.sentences([(side.name, side.story.summary) for side in sides])
    return told, same_start.all_differences(sides)


def sentence(one: Summary, other: Summary, called: Sequence[str]) -> str:
    """The comparison in one sentence, "" where there is nothing to compare."""
    if not one.trips or not other.trips:
        return ""
    first, second = one.frames / one.trips, other.frames / other.trips
    return (
        f"A packet took {first:.1f} frames with {called[0]} and {second:.1f} with {called[1]}; "
        f"{one.ignored_percent} and {other.ignored_percent} of what arrived was not for the "
        "one that got it."
    )


def _ratio(first: int, second: int) -> str:
    return f"{first / second:.2f}" if second else "-"


def links_paired(
    one: Summary, other: Summary
) -> list[tuple[LinkCount, LinkCount | None, LinkCount | None]]:
    """(the link, as it was in one, as in the other) for every link that either run has."""
    mine = {frozenset((link.a_interface, link.b_interface)): link for link in one.links}
    theirs = {frozenset((link.a_interface, link.b_interface)): link for link in other.links}
    both = {**theirs, **mine}
    return [(both[key], mine.get(key), theirs.get(key)) for key in {**mine, **theirs}]


def _links_compared(one: Summary, other: Summary, called: Sequence[str], tr: Language) -> Markup:
    most = max((link.frames for link in (*one.links, *other.links)), default=0)
    rows = []
    for link, *pair in links_paired(one, other):
        cells: list[Child] = [tag("th", _name(link), scope="row", cls="mono")]
        for place, found in enumerate(pair):
            if found is None:
                cells += [tag("td", "-", cls="num"), *(tag("td", "") for _ in range(4))]
                continue
            cells += [
                tag("td", tag("b", f"{found.frames:,}"), cls="num"),
                tag("td", f"{found.ignored:,}" if found.ignored else "", cls="num"),
                tag("td", _bar(found.frames, found.ignored, most, "second" if place else "")),
                tag("td", f"{found.bytes:,}", cls="num"),
                tag("td", found.unwanted_percent, cls="num"),
            ]
        rows.append(tag("tr", cells))
    heads = [tr("link")]
    for name in called:
        heads += [name, tr("of them ignored"), "", tr("bytes"), tr("no use")]
    return _table(heads, rows, numeric=(1, 2, 4, 5, 6, 7, 9, 10))
