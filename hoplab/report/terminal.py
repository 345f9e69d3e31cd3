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
packets; 'full' folds nothing but storms and shows every MAC and frame number.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from hoplab.report.cells import cells, ljust, rjust, wrap
from hoplab.report.folding import EVIDENCE_MOST, Fold, merged, parts
from hoplab.report.language import ENGLISH, Language
from hoplab.sentences import listed, say
from hoplab.story.faults import STRICT, Faults
from hoplab.story.live import News
from hoplab.story.records import Decision, Rewrite, Step, Story, Summary, Trip
from hoplab.story.storms import DROWNED, kind_of, storming
from hoplab.story.titles import capture_faults, capture_remarks, count_kind, plural, queue_loss

DETAILS = ("brief", "normal", "full")
QUEUES_MOST = 2  # of which each has a sentence of its own
PATH_AT = 47  # width of the title column where the path stands on the same line

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_MARKED = {True: "green", False: "red", None: "yellow"}  # a verdict's colour
_ASCII = str.maketrans(
    {
        "→": "->",
        "←": "<-",
        "⇒": "=>",
        "─": "-",
        "═": "=",
        "█": "#",
        "▌": "#",
        "…": "...",
        "·": "*",
        "✗": "!",
        "✓": "+",
        "–": "-",  # noqa: RUF001
    }
)


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
    longest = max((len(_ms(trip.ms)) for trip in story.trips), default=0)
    digits = len(str(story.trips[-1].number)) if story.trips else 1
    tr = ENGLISH if ascii else tr
    page = _Page(max(60, width), color, ascii, detail, digits, 6 + digits + longest, tr)
    page.faults = faults
    page.storming = storming(story.trips)
    steps = merged(story.steps) if page.stormy else story.steps
    with page.part("the head of the story"):
        _header(page, story)
    for step in steps if story.trips else ():
        with page.part(f"the step {step.heading}"):
            _step(page, story, step)
    with page.part("how it ended"):
        _outcome(page, story)
    with page.part("the numbers"):
        _summary(page, story.summary)
    return page.text()


def live_lines(
    news: News,
    told: set[str] | None = None,
    *,
    width: int = 100,
    color: bool = False,
    ascii: bool = False,
    tr: Language = ENGLISH,
) -> list[str]:
    """A packet as far as it has come, and what is newly known of it. told: which switch's
    decisions have been explained; it grows."""
    digits, times = 3, 11
    tr = ENGLISH if ascii else tr
    page = _Page(max(60, width), color, ascii, "normal", digits, 6 + digits + times, tr)
    page.told = told if told is not None else set()
    trip = news.trip
    if not news.more:
        title = trip.title
    elif news.moved:
        title = "… went on"
    elif news.ended and not (news.cause or news.decisions or news.notes):
        title = "… went no further"
    else:
        title = "… now it is known"
    _head_line(page, trip, page.tr(title), _path(trip) if news.moved else "")
    if news.moved:
        _spread(page, trip)
    if news.cause:
        page.wrap(page.tr.label("why:", page.tr(news.cause)), page.indent, "dim", hang=5)
    _decisions(page, news.decisions)
    for note in news.notes:
        page.wrap(page.tr.label("note:", page.tr(note)), page.indent, "yellow", hang=6)
    if news.moved or news.ended:
        _end(page, trip, news.ended)
    return page.lines


@dataclass(slots=True)
class _Page:
    """Lines so far, and how to write one."""

    width: int
    color: bool
    ascii: bool
    detail: str
    digits: int  # of the longest trip number
    indent: int  # where the text of a trip begins
    tr: Language
    lines: list[str] = field(default_factory=list)
    shown_macs: set[tuple[str, ...]] = field(default_factory=set)
    told: set[str] = field(default_factory=set)  # lessons, remarks, and by whom switches decided
    faults: Faults = STRICT
    storming: set[str] = field(default_factory=set)  # the kinds of packets that go round

    @property
    def stormy(self) -> bool:
        """There is a storm in the story."""
        return bool(self.storming)

    def drowned(self, trips: Iterable[Trip]) -> bool:
        """All of them go round, or were on their way when the capture began."""
        return self.stormy and all(kind_of(trip, self.storming)[0] in DROWNED for trip in trips)

    @contextlib.contextmanager
    def part(self, part: str) -> Iterator[None]:
        """A part that is missing as a whole if it cannot be told."""
        before, untold = len(self.lines), len(self.faults)
        with self.faults.part(part):
            yield
        if len(self.faults) > untold and self.faults.all[-1].part == part:
            del self.lines[before:]
            self.line(f"   … {self.tr('a part of the story that could not be told')}", "red")

    def once(self, text: str) -> bool:
        """Whether this has not been asked for the same text before."""
        news = text not in self.told
        self.told.add(text)
        return news

    def paint(self, text: str, *styles: str) -> str:
        """Text in colour, where colour is wanted."""
        if not self.color or not text:
            return text
        codes = ";".join(_CODES[style] for style in styles)
        return f"\x1b[{codes}m{text}\x1b[0m"

    def line(self, text: str = "", *styles: str) -> None:
        """One line as it is."""
        self.lines.append(self.paint(self.fit(text), *styles))

    def wrap(self, text: str, indent: int, *styles: str, hang: int = 0) -> None:
        """A sentence, broken at words; `hang` indents the lines after the first more."""
        lines = wrap(
            self.fit(text),
            self.width,
            initial_indent=" " * indent,
            subsequent_indent=" " * (indent + hang),
        )
        self.lines.extend(self.paint(line, *styles) for line in lines)

    def rule(self, text: str) -> None:
        """A heading with a line to the right edge."""
        self.lines.append("")
        bar = self.fit("─")
        head = self.fit(f"── {text} ")
        self.lines.append(self.paint(head + bar * (self.width - cells(head)), "bold", "cyan"))

    def fit(self, text: str) -> str:
        """The text in the characters that the terminal has."""
        if not self.ascii:
            return text.replace(" -> ", " → ")
        return text.translate(_ASCII).encode("ascii", "replace").decode("ascii")

    def text(self) -> str:
        """Everything."""
        return "\n".join(line.rstrip() for line in self.lines) + "\n"


def _header(page: _Page, story: Story) -> None:
    setting = story.setting
    if story.request is not None:
        page.wrap(page.tr(f"{story.request.client} fetches {story.request.url}"), 0, "bold")
    elif setting.command:
        page.wrap(f"{setting.host}: {setting.command}", 0, "bold")
    else:
        page.line(page.tr("What the frames tell"), "bold")
    places = [
        f"{page.tr(name)} {value}"
        for name, value in (
            ("topology", setting.topology),
            ("controller", setting.controller),
            ("datapath", setting.datapath),
        )
        if value
    ]
    if places:
        page.line(" | ".join(places), "dim")
    outcome = story.outcome
    page.wrap(f"{outcome.mark} {page.tr(outcome.sentence)}", 0, _MARKED[outcome.ok], hang=2)
    for alert in story.alerts:
        page.wrap(page.tr(alert), 2, "yellow", "bold")
    page.line()
    text = (
        "Every line is read from captured frames. #n is a packet, at +ms after the first; on every "
        "link it travels in a frame of its own."
    )
    page.wrap(page.tr(text), 0, "dim")
    if any(one.flooded for trip in story.trips for one in trip.fanouts):
        text = "Flooded (2/3 ports): it left by 2 of the 3 ports other than the one it came in by."
        page.wrap(page.tr(text), 0, "dim")


def _step(page: _Page, story: Story, step: Step) -> None:
    heading = page.tr(step.heading)
    page.rule(f"{page.tr(f'Step {step.number}')}  {heading}" if step.number else heading)
    trips = [story.trip(number) for number in step.trips]
    # Where all is left over from an older storm, nothing is done as in the lesson.
    drowned = bool(trips) and trips[0].under_way and page.drowned(trips)
    if page.detail != "brief" and trips and not drowned and page.once(step.lesson):
        page.wrap(page.tr(step.lesson), 3, "dim")
        page.line()
    elif trips and not page.stormy:
        page.line()
    every = page.detail == "full" and not page.stormy
    for part in trips if every else parts(trips, stormy=page.stormy):
        number = part.trips[0].number if isinstance(part, Fold) else part.number
        with page.part(f"packet #{number}"):
            if isinstance(part, Fold):
                page.wrap(f"… {part.said(page.tr)}", page.indent, "dim", hang=2)
            else:
                _trip(page, part)
    if step.mapping:
        page.line()
        _mapping(page, step)
    remarks = [
        remark
        for remark in step.remarks
        if not page.stormy or (remark.code != "storm" and page.once(remark.text))
    ]
    if remarks and step.trips and not step.mapping:
        page.line()
    for remark in remarks:
        page.wrap(f"· {page.tr(remark.text)}", 3, "yellow", hang=2)


def _trip(page: _Page, trip: Trip) -> None:
    _head_line(page, trip, page.tr(trip.title), _path(trip))
    _spread(page, trip)
    if page.detail != "brief":
        _rewrites(page, trip)
        if trip.cause:
            page.wrap(page.tr.label("why:", page.tr(trip.cause)), page.indent, "dim", hang=5)
        _decisions(page, trip.decisions)
    for note in trip.notes:
        page.wrap(page.tr.label("note:", page.tr(note)), page.indent, "yellow", hang=6)
    _end(page, trip, trip.ended)
    if page.detail == "full":
        _frame_numbers(page, trip)


def _head_line(page: _Page, trip: Trip, title: str, path: str) -> None:
    """Number, time, title and path: one line where they fit."""
    number = f"#{trip.number}"
    ms_width = page.indent - page.digits - 6
    start = f" {number:<{page.digits + 1}}  {_ms(trip.ms):>{ms_width}}  "
    title = page.fit(title)
    fitted = page.fit(path)
    head = page.paint(start, "dim")
    if cells(title) < PATH_AT and page.indent + PATH_AT + cells(fitted) <= page.width:
        gap = " " * (PATH_AT - cells(title))
        page.lines.append(head + page.paint(title, _style(trip)) + gap + fitted)
    else:
        room = page.width - page.indent
        first, *more = wrap(title, room) or [""]
        page.lines.append(head + page.paint(first, _style(trip)))
        for line in more:
            page.line(" " * page.indent + line)
        if path:
            page.wrap(path, page.indent, hang=2)


def _end(page: _Page, trip: Trip, ended: str) -> None:
    """Where it was lost, or came to its end."""
    for leg in trip.lost:
        ends = f"{leg.tail_interface} and {leg.head_interface or 'nothing'}"
        page.wrap(f"✗ {page.tr(f'lost between {ends}')}", page.indent, "red", hang=2)
    if ended and trip.fate == "cut":
        page.wrap(f"… {page.tr(ended)}", page.indent, "dim", hang=2)
    elif ended and not (trip.lost and trip.fate == "lost"):
        page.wrap(f"✗ {page.tr(ended)}", page.indent, "red", hang=2)


def _decisions(page: _Page, decisions: Iterable[Decision]) -> None:
    """What the controller was asked, at length the first time that a switch does; a flow that
    floods by itself is told once a switch."""
    decisions = list(decisions)
    if page.stormy:
        decisions, alike = _first_of_each(page, decisions)
    for one in decisions:
        known = f"{one.by} {one.node}" in page.told and page.detail != "full"
        page.told.add(f"{one.by} {one.node}")
        news = not known or one.by == "nobody" or one.missed
        if not news and one.by == "controller":
            page.wrap(page.tr(_again(one)), page.indent, "dim", hang=2)
        elif news:
            page.wrap(page.tr(one.sentence), page.indent, "dim", hang=2)
        if page.detail == "full":
            for flow in one.installed:
                page.wrap(f"+ {flow}", page.indent + 2, "dim", hang=2)
        if page.stormy and alike[one.by]:
            likewise = say("the same at {switches}", switches=listed(alike[one.by]))
            page.wrap(page.tr(likewise), page.indent, "dim", hang=2)


def _first_of_each(
    page: _Page, decisions: list[Decision]
) -> tuple[list[Decision], dict[str, list[str]]]:
    """In a storm each copy is a question: what is told of it is the first decision of each sort,
    and which other switches decided so."""
    firsts: dict[str, Decision] = {}
    alike: dict[str, list[str]] = {}
    for one in decisions:
        names = alike.setdefault(one.by, [])
        if one.by in firsts:
            if one.node != firsts[one.by].node and one.node not in names:
                names.append(one.node)
        elif page.once(f"in a storm, {one.by}"):
            firsts[one.by] = one
    return list(firsts.values()), alike


def _again(one: Decision) -> str:
    """A question to the controller in few words."""
    flows = f"{plural(len(one.installed), 'flow')} installed, " if one.installed else ""
    if one.wait_ms is None and one.installed:
        return f"{one.node} asked the controller: {flows}no frame sent back"
    if one.wait_ms is None and one.answer:
        return f"{one.node} handed it to the controller"
    if one.wait_ms is None:
        return f"{one.node} asked the controller and got no answer"
    return f"{one.node} asked the controller: {flows}{one.answer} after {one.wait_ms:.2f} ms"


def _path(trip: Trip) -> str:
    path = " → ".join(trip.path)
    return f"{path} → {{{', '.join(trip.fan)}}}" if trip.fan else path


def _spread(page: _Page, trip: Trip) -> None:
    """Where switches copied the frame, and who got a copy that was not meant for it."""
    parts = []
    floods = [one for one in trip.fanouts if one.flooded]
    if floods:
        said = [page.tr(f"{one.node} ({one.out}/{one.of} ports)") for one in floods]
        where = page.tr.comma.join(dict.fromkeys(said))  # in a loop a switch floods it many times
        parts.append(page.tr.label("flooded by", where))
    for by, why in (("card", "another card's MAC"), ("software", "not their address")):
        names = list(dict.fromkeys(one.node for one in trip.ignored if one.by == by))
        if names:
            if by == "software" and len(names) == 1:
                why = "not its address"
            who = page.tr.comma.join(names)
            parts.append(page.tr.label("ignored by:", who + page.tr.aside(page.tr(why))))
    if parts:
        page.wrap(
            ("；" if page.tr.code == "zh" else "; ").join(parts),  # noqa: RUF001
            page.indent,
            "yellow" if floods and not trip.group else "dim",
            hang=2,
        )


def _rewrites(page: _Page, trip: Trip) -> None:
    short = [_rewrite_short(page, one) for one in trip.rewrites]
    widest = max((len(text) for text in short), default=0)
    for one, text in zip(trip.rewrites, short, strict=True):
        macs = (one.src_mac_before, one.dst_mac_before, one.src_mac_after, one.dst_mac_after)
        if page.detail != "full" and macs in page.shown_macs:
            ips = _ips(page, one)
            if page.indent + widest + cells(ips) + 5 > page.width and not one.translated:
                ips = page.tr("unchanged")
            page.wrap(f"{text:<{widest}}  IP {ips}", page.indent, hang=6)
        else:
            page.shown_macs.add(macs)
            _rewrite_long(page, one)


def _rewrite_long(page: _Page, one: Rewrite) -> None:
    before = (
        f"{_who(one.src_owner_before)}{one.src_mac_before} → "
        f"{_who(one.dst_owner_before)}{one.dst_mac_before}"
    )
    after = (
        f"{_who(one.src_owner_after)}{one.src_mac_after} → {_who(one.next_hop)}{one.dst_mac_after}"
    )
    label = f"{one.node}: "
    gap = len(label)
    page.wrap(f"{label}MAC {before}", page.indent, hang=gap + 4)
    page.wrap(f"⇒ MAC {after}", page.indent + gap - len(page.fit("⇒ ")), hang=6)
    ttl = f"TTL {_ttl(one.ttl_before)} → {_ttl(one.ttl_after)}"
    page.wrap(f"IP  {_ips(page, one)}, {ttl}", page.indent + gap, hang=4)


def _rewrite_short(page: _Page, one: Rewrite) -> str:
    before = f"{one.src_owner_before or one.src_mac_before} → {one.dst_owner_before or '?'}"
    after = f"{one.src_owner_after or one.src_mac_after} → {one.next_hop or one.dst_mac_after}"
    ttl = f"TTL {_ttl(one.ttl_before)} → {_ttl(one.ttl_after)}"
    return page.fit(f"{one.node}: MAC {before} ⇒ {after}  {ttl}")


def _ips(page: _Page, one: Rewrite) -> str:
    before = f"{one.src_before} → {one.dst_before}"
    if one.translated:
        return f"{before} {page.tr('translated to')} {one.src_after} → {one.dst_after}"
    return f"{before} {page.tr('unchanged')}"


def _who(name: str) -> str:
    return f"{name} " if name else ""


def _ttl(value: int | None) -> str:
    return "?" if value is None else str(value)


def _frame_numbers(page: _Page, trip: Trip) -> None:
    """Every frame with its numbers in the capture, as Wireshark counts them."""
    for leg in trip.legs:
        ends = page.fit(f"{leg.tail_interface} → {leg.head_interface or page.tr('nothing')}")
        seen = page.tr(f"frame {leg.sent or '-'} sent, {leg.received or '-'} received")
        page.line(" " * page.indent + f"{ljust(ends, 24)} {seen}", "dim")


def _mapping(page: _Page, step: Step) -> None:
    """The textbook's frames and the real ones side by side."""
    rows = [
        (
            page.tr(one.textbook),
            ", ".join(f"#{number}" for number in one.trips) or page.tr("none"),
            page.tr(one.real),
        )
        for one in step.mapping
    ]
    limit = len(rows) if page.detail == "full" else 16
    first = max(cells(row[0]) for row in rows[:limit])
    second = min(24, max(cells(row[1]) for row in rows[:limit]))
    for textbook, trips, real in rows[:limit]:
        text = f"{ljust(textbook, first)}  {ljust(trips, second)}  {real}"
        page.wrap(text, 3, hang=first + second + 4)
    if len(rows) > limit:
        page.line(f"   … {page.tr(f'and {len(rows) - limit} more')}", "dim")


def _outcome(page: _Page, story: Story) -> None:
    outcome = story.outcome
    page.rule(page.tr("Where it ended, and why" if outcome.ok is False else "How it ended"))
    style = _MARKED[outcome.ok]
    page.wrap(f"{outcome.mark} {page.tr(outcome.sentence)}", 3, style, "bold", hang=2)
    for reason in outcome.why:
        page.wrap(page.tr(reason), 5)
    if outcome.evidence:
        packets = ", ".join(f"#{number}" for number in outcome.evidence[:EVIDENCE_MOST])
        more = len(outcome.evidence) - EVIDENCE_MOST
        text = f"Seen in {packets}."
        if more > 0:
            text = say("Seen in {packets} and {n:,} more.", packets=packets, n=more)
        page.wrap(page.tr(text), 5, "dim")


def _summary(page: _Page, summary: Summary) -> None:
    page.rule(page.tr("In numbers"))
    links = sum(1 for link in summary.links if link.frames)
    text = f"{plural(summary.trips, 'packet')} made {plural(summary.frames, 'frame')}"
    if not summary.frames:
        page.line("   " + page.tr("Not one frame on any link."))
        return
    page.wrap(page.tr(f"{text} on {plural(links, 'link')}."), 3)
    if summary.arrivals:
        share = summary.ignored_percent
        text = f"{plural(summary.arrivals, 'frame')} arrived at hosts and routers"
        if summary.ignored:
            who = ", ".join(f"{node} {count:,}" for node, count in summary.ignored_by_node.items())
            text += f", {summary.ignored:,} of them ({share}) not for the one that got it: {who}."
        else:
            text += ", each at one that it was for."
        page.wrap(page.tr(text), 3, hang=2)
    if summary.unicast_flooded and not page.stormy:
        text = f"{plural(summary.unicast_flooded, 'packet')} for one card went out of several ports"
        text += (
            " of a switch: so works a hub, and a switch that has not yet learned where a card is."
        )
        page.wrap(page.tr(text), 3, hang=2)
    if summary.lost:
        page.wrap(page.tr(f"{plural(summary.lost, 'frame')} lost on the way."), 3, "red")
    if len(summary.queue_losses) > QUEUES_MOST and (page.stormy or page.detail != "full"):
        where = listed(f"{one.interface} {one.frames:,}" for one in summary.queue_losses)
        text = say(
            "Switches dropped {n:,} by the kernel's count: queues of theirs were full, and they "
            "did not come to them in time: {where}.",
            n=summary.lost_in_switches,
            where=where,
        )
        page.wrap(page.tr(text), 5, "red")
    else:
        for loss in summary.queue_losses:
            page.wrap(page.tr(queue_loss(loss)), 5, "red")
    kinds = page.tr.comma.join(page.tr(count_kind(*one)) for one in summary.kinds.items())
    if kinds:
        page.wrap(page.tr.label("By kind:", kinds + page.tr(".")), 3, hang=2)
    _links(page, summary)
    _health(page, summary)


def _links(page: _Page, summary: Summary) -> None:
    """Frames on each link, with a bar; the numbers by which hub and switch are compared."""
    if not summary.links:
        return
    page.line()
    names = [f"{link.a_interface} ─ {link.b_interface}" for link in summary.links]
    wide = max(cells(name) for name in names)
    most = max(link.frames for link in summary.links)
    digits = max(6, len(f"{most:,}"))
    room = max(8, min(40, page.width - wide - 4 * digits - 12))
    heads = "".join(" " + rjust(page.fit(head), digits) for head in ("→", "←", page.tr("frames")))
    link_word = ljust(page.tr("link"), wide)
    page.line(f"   {link_word} {heads}  {page.tr('of them ignored')}", "dim")
    for name, link in zip(names, summary.links, strict=True):
        bar = "█" * round(room * link.frames / most) if most else ""
        bar = bar or ("▌" if link.frames else "")
        counts = f"{link.forth:>{digits},} {link.back:>{digits},} {link.frames:>{digits},}"
        ignored = f"{link.ignored:,}" if link.ignored else ""
        page.line(f"   {ljust(name, wide)}  {counts}  {ignored:>{digits}}  {bar}")


def _health(page: _Page, summary: Summary) -> None:
    health = summary.health
    faults = [page.tr(fault) for fault in capture_faults(health)]
    page.line()
    if faults:
        low = page.tr("the numbers may be a little low.")
        said = f"{page.tr.comma.join(faults)}; {low}"
        page.wrap(page.tr.label("Capture:", said), 3, "yellow")
    else:
        page.line("   " + page.tr("Capture: complete, every frame found its place."), "dim")
    if page.stormy:  # each has others with the same bytes beside it
        health = replace(health, uncertain=0)
    for line in capture_remarks(health):
        page.wrap(page.tr(line), 3, "yellow")


def _style(trip: Trip) -> str:
    if trip.ended and trip.fate == "cut":
        return "bold"
    if trip.ended or trip.kind in ("tcp-rst", "icmp-unreachable", "icmp-time-exceeded"):
        return "red"
    return "bold"


def _ms(value: float) -> str:
    return f"+{value:,.2f} ms" if value < 100_000 else f"+{value / 1000:,.1f} s"
