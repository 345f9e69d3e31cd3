# SPDX-License-Identifier: Apache-2.0
"""The numbers of a run as HTML, and two runs side by side: what a hub costs, link by link."""

from __future__ import annotations

from collections.abc import Sequence

from hoplab.report.language import Language
from hoplab.report.markup import Child, Markup, join, tag
from hoplab.report.phrases import capture_told
from hoplab.runs import Run
from hoplab.sentences import Sentence, listed, say, term
from hoplab.story import costs, same_start
from hoplab.story.queue_losses import queue_loss
from hoplab.story.records import Story
from hoplab.story.summary_records import LinkCount, Summary
from hoplab.story.titles import count_kind

BAR = 220.0
HOLLOW = term("The hollow end of a bar: frames that nobody at that link needed.")


def cards(summary: Summary, tr: Language) -> Markup:
    """The few numbers that matter, large."""
    return tag(
        "div",
        [tag("div", tag("b", value), tag("span", tr(name))) for value, name in totals_of(summary)],
        cls="cards",
    )


def totals_of(summary: Summary) -> list[tuple[str, Sentence]]:
    """(how many, of what), the few that matter."""
    share = summary.ignored_percent
    return [
        (f"{summary.trips:,}", term("packets")),
        (f"{summary.frames:,}", term("frames on links")),
        (f"{summary.arrivals:,}", term("frames that arrived at hosts and routers")),
        (f"{summary.ignored:,} ({share})", term("of them not for the one that got it")),
        (f"{summary.lost:,}", term("frames lost on the way")),
    ]


def kinds(summary: Summary) -> Sentence:
    """'By kind: 3 ARP requests, 1 SYN'."""
    counts = listed(count_kind(kind, count) for kind, count in summary.kinds.items())
    return say("By kind: {counts}", counts=counts)


def health(summary: Summary, tr: Language) -> str:
    """Whether the capture is whole."""
    return tr(capture_told(summary.health))


def losses(summary: Summary, tr: Language) -> list[str]:
    """What was dropped for want of room, a sentence a queue."""
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
    heads = link_heads(tr)
    heads.insert(5, "")  # the bars
    return _table(heads, rows, numeric=(1, 2, 3, 4, 6, 7))


def link_heads(tr: Language) -> list[str]:
    """Of a table of links: frames by direction, in all and ignored; bytes by direction."""
    heads = [tr(term("link")), "→", "←", tr(term("frames")), tr(term("of them ignored"))]
    return [*heads, tr(term("bytes →")), tr(term("bytes ←"))]


def _name(link: LinkCount) -> str:
    return f"{link.a_interface} ─ {link.b_interface}"


def _table(heads: Sequence[str], rows: list[Markup], numeric: Sequence[int]) -> Markup:
    head = [
        tag("th", text, scope="col", cls="num" if place in numeric else None)
        for place, text in enumerate(heads)
    ]
    return tag("div", tag("table", tag("thead", tag("tr", head)), tag("tbody", rows)), cls="scroll")


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
    first, second = (run.story.summary for run in runs)
    costs_told, doubts = sentences(runs, called)
    average = sentence(first, second, called)
    rows = [
        tag(
            "tr",
            tag("th", tr(name), scope="row"),
            tag("td", rate, cls="num"),
            tag("td", second_rate, cls="num"),
            tag("td", ""),
        )
        for name, rate, second_rate in throughputs(first, second)
    ]
    rows += [
        tag(
            "tr",
            tag("th", tr(name), scope="row"),
            tag("td", f"{count:,}", cls="num"),
            tag("td", f"{second_count:,}", cls="num"),
            tag("td", _ratio(count, second_count), cls="num"),
        )
        for name, count, second_count in totals(first, second)
    ]
    heads = ["", called[0], called[1], f"{called[0]} : {called[1]}"]
    return join(
        tag("p", tr(average)) if average else None,
        [tag("p", tr(text)) for text in costs_told],
        [tag("p", tag("b", tr(text))) for text in doubts],
        _table(heads, rows, numeric=range(1, 4)),
        tag("h2", tr(term("Frames per link"))),
        _links_compared(first, second, called, tr),
        tag("p", tr(HOLLOW), cls="legend"),
    )  # fmt: skip


def not_alike(difference: str) -> Sentence:
    """A sentence on what differs between two runs that are compared, marked as that."""
    return say("Not alike: {difference}", difference=difference)


def totals(first: Summary, second: Summary) -> list[tuple[str, int, int]]:
    """What is counted, in both runs; what seldom happens only where it did."""
    seldom = [
        (term("of them dropped by switches"), first.lost_in_switches, second.lost_in_switches),
        (
            term("of them dropped in front of cables"),
            first.lost_before_cables,
            second.lost_before_cables,
        ),
        (term("frames that the capture missed"), first.health.dropped, second.health.dropped),
    ]
    return [
        (term("packets"), first.trips, second.trips),
        (term("frames on links"), first.frames, second.frames),
        (term("frames that arrived at hosts and routers"), first.arrivals, second.arrivals),
        (term("of them not for the one that got it"), first.ignored, second.ignored),
        (
            term("packets for one card that left by several ports"),
            first.unicast_flooded,
            second.unicast_flooded,
        ),
        (term("frames lost on the way"), first.lost, second.lost),
        *(row for row in seldom if row[1] or row[2]),
        (term("bytes of all frames on links"), first.bytes, second.bytes),
        (
            term("bytes that arrived at hosts and routers"),
            first.arrived_bytes,
            second.arrived_bytes,
        ),
        (
            term("bytes not for the one that got them"),
            first.ignored_bytes,
            second.ignored_bytes,
        ),
        (term("TCP segments sent again"), first.retransmissions, second.retransmissions),
    ]


def throughputs(first: Summary, second: Summary) -> list[tuple[str, str, str]]:
    """('throughput h1 → h2', '4.9 Mbit/s', '9.5 Mbit/s') for each that sent enough to another by
    TCP."""
    rows: list[tuple[str, str, str]] = []
    for (sender, receiver), rates in costs.paired((first, second)):
        name = say("throughput {sender} → {receiver}", sender=sender, receiver=receiver)
        before, after = ("-" if rate is None else costs.rate(rate) for rate in rates)
        rows.append((name, before, after))
    return rows


def sentences(runs: Sequence[Run], called: Sequence[str]) -> tuple[list[str], list[str]]:
    """What the two cost, and what was not alike, or the machine's doing."""
    sides = [
        same_start.Side(name, run.wiring, run.story, run.began_ns, run.failed)
        for name, run in zip(called, runs, strict=True)
    ]
    costs_told = costs.sentences([(side.name, side.story.summary) for side in sides])
    unlike = [not_alike(text) for text in same_start.all_differences(sides)]
    return costs_told, [*unlike, *same_start.distorted(sides)]


def sentence(first: Summary, second: Summary, called: Sequence[str]) -> str:
    """The comparison in one sentence, "" where there is nothing to compare."""
    if not first.trips or not second.trips:
        return ""
    return say(
        "A packet took {frames:.1f} frames with {name} and {frames2:.1f} with {name2}; "
        "{share} and {share2} of what arrived was not for the one that got it.",
        frames=first.frames / first.trips,
        name=called[0],
        frames2=second.frames / second.trips,
        name2=called[1],
        share=first.ignored_percent,
        share2=second.ignored_percent,
    )


def _ratio(first: int, second: int) -> str:
    return f"{first / second:.2f}" if second else "-"


def links_paired(
    first: Summary, second: Summary
) -> list[tuple[LinkCount, LinkCount | None, LinkCount | None]]:
    """(the link, as it was in the first, as in the second) for every link that either run has."""
    earlier = {frozenset((link.a_interface, link.b_interface)): link for link in first.links}
    later = {frozenset((link.a_interface, link.b_interface)): link for link in second.links}
    either = {**later, **earlier}
    return [(either[key], earlier.get(key), later.get(key)) for key in {**earlier, **later}]


def _links_compared(
    first: Summary, second: Summary, called: Sequence[str], tr: Language
) -> Markup:
    most = max((link.frames for link in (*first.links, *second.links)), default=0)
    rows = []
    for link, *pair in links_paired(first, second):
        cells: list[Child] = [tag("th", _name(link), scope="row", cls="mono")]
        for place, count in enumerate(pair):
            if count is None:
                cells += [tag("td", "-", cls="num"), *(tag("td", "") for _ in range(4))]
                continue
            cells += [
                tag("td", tag("b", f"{count.frames:,}"), cls="num"),
                tag("td", f"{count.ignored:,}" if count.ignored else "", cls="num"),
                tag("td", _bar(count.frames, count.ignored, most, "second" if place else "")),
                tag("td", f"{count.bytes:,}", cls="num"),
                tag("td", count.unwanted_percent, cls="num"),
            ]
        rows.append(tag("tr", cells))
    heads = [tr(term("link"))]
    of_each = [tr(term("of them ignored")), "", tr(term("bytes")), tr(term("no use"))]
    for name in called:
        heads += [name, *of_each]
    return _table(heads, rows, numeric=(1, 2, 4, 5, 6, 7, 9, 10))
