# SPDX-License-Identifier: Apache-2.0
"""The report: one HTML file that needs nothing but a browser, and no network.

What lives here: the order of the page. The pictures, the packets and the numbers are made in
`topology.py`, `sequence.py`, `frames.py` and `numbers.py`; looks and comfort are in `static/`.

Rules:
1. Everything that came from a wire, a file or a user is escaped, because `markup.tag` escapes all
   text. The page's own content security policy forbids every fetch and every script but its own,
   so even a mistake here could not send anything anywhere.
2. The page reads the same without its script, without colours, and on paper.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from hoplab import __version__
from hoplab.report import frames, numbers
from hoplab.report import sequence as lines
from hoplab.report import topology as picture
from hoplab.report.folding import EVIDENCE_MOST, Fold, chosen
from hoplab.report.language import Language, arrows
from hoplab.report.layout import Picture, arrange
from hoplab.report.markup import Child, Markup, join, tag
from hoplab.runs import Run
from hoplab.sentences import say
from hoplab.story.records import Step, Story, Trip
from hoplab.story.titles import plural

MOST_WITH_BYTES = 400  # packets; a page with the bytes of more would be slow to open
MOST_PACKETS = 1000  # about; of more, runs of alike ones are folded, and the rest is counted
MOST_STEPS = 60
MOST_BESIDE = 760  # width of a picture that can stand beside another one
MOST_ROWS = 100  # of a table beside the textbook


def asset(name: str) -> str:
    """A file of `static/`."""
    return (files("hoplab.report") / "static" / name).read_text(encoding="utf-8")


def page(runs: Sequence[Run], tr: Language) -> str:
    """The whole file, for one run or for two side by side."""
    sections: list[Child] = []
    called = numbers.names([run.story for run in runs], [run.folder.name for run in runs])
    links: list[tuple[str, str]] = []
    if len(runs) == 2:
        sections.append(_side_by_side(runs, called, tr))
        links.append(("#compare", tr("Side by side")))
    for place, run in enumerate(runs):
        prefix = "" if len(runs) == 1 else "ab"[place] + "-"
        name = "" if len(runs) == 1 else called[place]
        sections.append(_run(run, prefix, name, tr))
        links += _links(run.story, prefix, name, tr)
    title = " / ".join(dict.fromkeys(numbers.title(run.story, tr) for run in runs))
    style = asset("diagram.css") + asset("page.css")
    script = asset("page.js")
    policy = f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="generator", content=f"hoplab {__version__}"),
        tag("title", f"{title} · hoplab"),
        tag("style", Markup(style)),
    )
    body = tag(
        "body",
        tag("a", tr("Skip to the content"), href="#content", cls="skip"),
        _menu(links, tr),
        tag("main", sections, _footer(tr), id="content"),
        tag("script", Markup(script)),
    )
    language = "zh-CN" if tr.code == "zh" else "en"
    return f"<!doctype html>\n{tag('html', head, body, lang=language)}\n"


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


def _menu(links: list[tuple[str, str]], tr: Language) -> Markup:
    return tag(
        "nav",
        tag("strong", "hoplab"),
        [tag("a", text, href=target) for target, text in links],
        tag(
            "span",
            cls="tools",
            data_dark=tr("Dark"),
            data_light=tr("Light"),
            data_open=tr("Open all packets"),
            data_close=tr("Close all packets"),
        ),
        cls="menu",
        aria_label=tr("Contents"),
    )


def _links(story: Story, prefix: str, name: str, tr: Language) -> list[tuple[str, str]]:
    before = f"{name}: " if name else ""
    if name:
        return [(f"#{prefix}top", before + tr("Story"))]
    out = [(f"#{prefix}map", tr("Topology"))]
    for place, step in enumerate(story.steps[: MOST_STEPS // 4] if story.trips else ()):
        out.append((f"#{prefix}step{place}", _short(step, tr)))
    out.append((f"#{prefix}numbers", tr("In numbers")))
    return out


_MENU = {
    "arp": "ARP",
    "dns": "DNS",
    "handshake": "Handshake",
    "http": "HTTP",
    "tls": "TLS",
    "close": "Close",
    "tcp": "TCP",
    "ping": "Ping",
    "udp": "UDP",
    "icmp": "ICMP",
    "nd": "Neighbours",
    "other": "Other",
}


def _short(step: Step, tr: Language) -> str:
    """A word for the menu."""
    text = tr(_MENU[step.key])
    return f"{step.number} {text}" if step.number else text


def _footer(tr: Language) -> Markup:
    text = (
        "Every line is read from captured frames. #n is a packet, at +ms after the first; on every "
        "link it travels in a frame of its own."
    )
    return tag("footer", tr(text), " ", tr(f"Made by hoplab {__version__}."))


def _run(run: Run, prefix: str, name: str, tr: Language) -> Markup:
    story = run.story
    drawn = arrange(run.wiring, story.setting.host)
    told = chosen(story, MOST_PACKETS)[:MOST_STEPS] if story.trips else []
    known = Links(prefix, {one.number for part in told for one in part if isinstance(one, Trip)})
    return join(
        tag("h1", f"{name}: " if name else None, numbers.title(story, tr), id=f"{prefix}top"),
        tag("p", where(story, tr), cls="where"),
        _verdict(story, known, tr),
        None if name else tag("h2", tr("Topology"), id=f"{prefix}map"),
        None if name else _figure(run, drawn, tr),
        tag("h2", tr("What happened, step by step")),
        tag("p", lines.legend(tr), cls="legend") if story.trips else None,
        [_step(run, place, part, drawn, known, tr) for place, part in enumerate(told)],
        _more_steps(story.steps[MOST_STEPS:], tr),
        None if story.trips else tag("p", tr("Not one frame on any link.")),
        _waterfall(run, tr),
        tag("h2", tr("In numbers"), id=f"{prefix}numbers"),
        _numbers(story, tr),
    )  # fmt: skip


def _waterfall(run: Run, tr: Language) -> Markup | None:
    if not run.waterfall:
        return None
    words = tr("What the client waited for, by its own clock:")
    # can be scrolled, hence reached by the keyboard
    lines = tag("pre", "\n".join(run.waterfall), tabindex="0", role="region", aria_label=words)
    return tag("section", tag("h3", words), lines, cls="waterfall")


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


def _more_steps(steps: Sequence[Step], tr: Language) -> Markup | None:
    if not steps:
        return None
    packets = sum(len(step.trips) for step in steps)
    return tag("p", tr(f"and {len(steps):,} more steps with {packets:,} packets"), cls="legend")


def where(story: Story, tr: Language) -> str:
    """'topology web | controller hub | datapath user'."""
    setting = story.setting
    named = (
        ("topology", setting.topology),
        ("controller", setting.controller),
        ("datapath", setting.datapath),
    )
    return " | ".join(f"{tr(name)} {value}" for name, value in named if value)


def _figure(run: Run, drawn: Picture, tr: Language) -> Markup:
    drawing = picture.topology(drawn, run.wiring, run.story.summary, tr)
    return tag(
        "div",
        tag("div", drawing, cls="scroll", tabindex=0, role="region", aria_label=tr("Topology")),
        tag("p", picture.legend(tr), cls="legend"),
        cls="card",
    )


_VERDICTS = {True: "", False: " failed", None: " open"}


def _verdict(story: Story, known: Links, tr: Language) -> Markup:
    outcome = story.outcome
    seen: Child = None
    if outcome.evidence:
        named = outcome.evidence[:EVIDENCE_MOST]
        spaced = [part for one in named for part in (" ", known.to(one))]
        if len(outcome.evidence) > EVIDENCE_MOST:
            more = len(outcome.evidence) - EVIDENCE_MOST
            spaced += [" ", tr(say("and {n:,} more", n=more))]
        seen = tag("p", tr("Seen in"), spaced, cls="seen")
    return tag(
        "section",
        tag("p", tag("b", outcome.mark), " ", arrows(tr(outcome.sentence)), cls="sentence"),
        [tag("p", tag("b", arrows(tr(alert)))) for alert in story.alerts],
        [tag("p", arrows(tr(reason))) for reason in outcome.why],
        seen,
        cls=f"card verdict{_VERDICTS[outcome.ok]}",
        aria_label=tr("How it ended"),
    )


def _step(
    run: Run,
    place: int,
    told: Sequence[Trip | Fold],
    drawn: Picture,
    known: Links,
    tr: Language,
) -> Markup:
    step = run.story.steps[place]
    prefix = known.prefix
    heading = tag(
        "h3",
        tag("span", str(step.number), cls="step-number") if step.number else None,
        tr(step.heading),
        id=f"{prefix}step{place}",
    )
    diagram: Child = None
    if told:
        label = tr("Sequence diagram") + ": " + tr(step.heading)
        made = lines.sequence(told, drawn.order(), tr, target=f"#{prefix}p", title=label)
        diagram = tag("div", made, cls="scroll", tabindex=0, role="region", aria_label=label)
    return tag(
        "section",
        heading,
        tag("p", tr(step.lesson), cls="lesson"),
        diagram,
        tag(
            "div",
            [
                tag("p", f"… {one.said(tr)}", cls="fold")
                if isinstance(one, Fold)
                else _packet(run, one, prefix, tr)
                for one in told
            ],
            cls="packets",
        )
        if told
        else None,
        _mapping(step, known, tr),
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


def flooded_by(trip: Trip, tr: Language) -> str:
    """Which switches sent it out of several ports, and of how many; "" if none did."""
    switches = [tr(f"{one.node} ({one.out}/{one.of} ports)") for one in trip.fanouts if one.flooded]
    if not switches:
        return ""
    # In a loop a switch floods it many times.
    return tr.label("flooded by", tr.comma.join(dict.fromkeys(switches)))


def ignored_by(trip: Trip, tr: Language) -> list[str]:
    """Who got it and left it alone, a line for each reason."""
    lines = []
    for by, why in (("card", "another card's MAC"), ("software", "not its address")):
        who = list(dict.fromkeys(one.node for one in trip.ignored if one.by == by))
        if by == "software" and len(who) > 1:
            why = "not their address"
        if who:
            lines.append(tr.label("ignored by:", tr.comma.join(who) + tr.aside(tr(why))))
    return lines


def _tags(trip: Trip, tr: Language) -> Markup | None:
    """What is remarkable about the way: floods, who ignored it, where it ended."""
    out: list[Child] = []
    floods = flooded_by(trip, tr)
    if floods:
        out.append(tag("span", floods, cls=None if trip.group else "warn"))
    out += [tag("span", line) for line in ignored_by(trip, tr)]
    asked = list(dict.fromkeys(one.node for one in trip.decisions if one.by == "controller"))
    if asked:
        out.append(tag("span", tr.label("asked the controller:", tr.comma.join(asked))))
    if any(one.by == "nobody" for one in trip.decisions):
        out.append(tag("span", tr("no controller at that moment"), cls="warn"))
    if trip.storm is not None:
        out.append(tag("b", "⟳ ", tr(f"a storm of {plural(trip.frames, 'frame')}"), cls="bad"))
    elif trip.lost and trip.fate in ("", "lost"):
        out.append(tag("b", "✗ ", tr("lost"), cls="bad"))
    elif trip.fate == "cut":
        out.append(tag("span", "… ", tr("the capture ended")))
    elif trip.ended:
        out.append(tag("b", "✗ ", tr("went no further"), cls="bad"))
    if not out:
        return None
    return tag("span", [part for one in out for part in (one, " · ")][:-1], cls="tags")


def _mapping(step: Step, known: Links, tr: Language) -> Markup | None:
    if not step.mapping:
        return None
    rows = []
    for one in step.mapping[:MOST_ROWS]:
        packets: list[Child] = []
        for number in one.trips:
            packets += [known.to(number), " "]
        rows.append(
            tag(
                "tr",
                tag("td", tag("b", tr(one.textbook))),
                tag("td", packets or tr("none")),
                tag("td", tr(one.real)),
            )
        )
    heads = [tag("th", tr(text), scope="col") for text in ("textbook", "packets", "really")]
    table = tag("table", tag("thead", tag("tr", heads)), tag("tbody", rows), cls="mapping")
    more = len(step.mapping) - MOST_ROWS
    rest = tag("p", tr(f"and {more} more"), cls="legend") if more > 0 else None
    return tag("div", table, rest, cls="scroll")


def _remarks(step: Step, tr: Language) -> Markup | None:
    if not step.remarks:
        return None
    return tag(
        "ul", [tag("li", tag("span", tr(one.text))) for one in step.remarks], cls="remarks"
    )


def _numbers(story: Story, tr: Language) -> Markup:
    summary = story.summary
    if not summary.frames:
        return tag("div", tag("p", tr("Not one frame on any link.")), cls="card")
    return tag(
        "div",
        numbers.cards(summary, tr),
        tag("p", tr.label("By kind:", numbers.kinds(summary, tr))),
        tag("h3", tr("Frames per link")),
        numbers.links(summary, tr),
        tag("p", tr(numbers.HOLLOW), cls="legend") if summary.ignored else None,
        [tag("p", said) for said in numbers.losses(summary, tr)],
        tag("p", numbers.health(summary, tr), cls="legend"),
        cls="card",
    )


def _side_by_side(runs: Sequence[Run], called: Sequence[str], tr: Language) -> Markup:
    pictures: list[Child] = []
    narrow = True
    for place, run in enumerate(runs):
        drawn = arrange(run.wiring, run.story.setting.host)
        narrow = narrow and drawn.width < MOST_BESIDE
        svg = picture.topology(drawn, run.wiring, run.story.summary, tr, title=called[place])
        target = f"#{'ab'[place]}-top"
        head = tag("h2", tag("a", called[place], href=target))
        area = tag("div", svg, cls="scroll", tabindex=0, role="region", aria_label=called[place])
        pictures.append(tag("div", head, area))
    text = f"{called[0]} and {called[1]}, side by side"
    return tag(
        "section",
        tag("h1", tr(text), id="compare"),
        tag("div", numbers.compare(runs, called, tr), cls="card"),
        tag("div", pictures, cls="card side" if narrow else "card"),
        tag("p", picture.legend(tr), cls="legend"),
    )
