# SPDX-License-Identifier: Apache-2.0
"""The report: one HTML file that needs nothing but a browser, and no network.

What lives here: the order of the page. Steps, pictures, packets and numbers are made in
`page_step.py`, `topology.py`, `sequence.py`, `frames.py` and `numbers.py`; looks and comfort are in
`static/`.

Rules:
1. Everything that came from a wire, a file or a user is escaped, because `markup.tag` escapes all
   text. The page's own content security policy forbids every fetch and every script but its own,
   so even a mistake here could not send anything anywhere.
2. The page reads the same without its script, without colours, and on paper.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.resources import files

from hoplab import __version__
from hoplab.report import numbers, phrases
from hoplab.report import sequence as lines
from hoplab.report import topology as picture
from hoplab.report.folding import EVIDENCE_MOST, Fold, chosen
from hoplab.report.language import Language, arrows
from hoplab.report.layout import Picture, arrange
from hoplab.report.markup import Child, Markup, join, tag
from hoplab.report.page_step import Links, step_section
from hoplab.runs import Run
from hoplab.sentences import say, term
from hoplab.story import fidelity_sentences, tcp_sentences
from hoplab.story.faults import STRICT, Faults
from hoplab.story.records import Step, Story
from hoplab.story.trip_records import Trip

MOST_PACKETS = 1000  # about; of more, runs of alike ones are folded, and the rest is counted
MOST_STEPS = 60
MOST_CONNECTIONS = 60
MOST_BESIDE = 760  # width of a picture that can stand beside another one
LANGUAGE = term("en")  # the tag of the language that a page is written in (BCP 47)


def asset(name: str) -> str:
    """A file of `static/`."""
    return (files("hoplab.report") / "static" / name).read_text(encoding="utf-8")


@dataclass(frozen=True)
class Overlay:
    """What is laid over a page, and the script that shows it; without scripts it stays unseen."""

    markup: Markup
    script: str


def page(
    runs: Sequence[Run], tr: Language, overlay: Overlay | None = None, faults: Faults = STRICT
) -> str:
    """The whole file, for one run or for two side by side. faults: takes what could not be shown;
    a line stands in its place."""
    sections: list[Child] = []
    called = numbers.names([run.story for run in runs], [run.folder.name for run in runs])
    links: list[tuple[str, str]] = []
    if len(runs) == 2:
        with_both = guarded(faults, phrases.side_by_side(called), tr)
        sections.append(with_both(lambda: _side_by_side(runs, called, tr)))
        links.append(("#compare", tr(term("Side by side"))))
    for place, run in enumerate(runs):
        prefix = "" if len(runs) == 1 else "ab"[place] + "-"
        name = "" if len(runs) == 1 else called[place]
        whole = guarded(faults, phrases.title(run.story), tr)
        sections.append(whole(partial(_run, run, prefix, name, tr, faults)))
        links += _links(run.story, prefix, name, tr)
    title = " / ".join(dict.fromkeys(tr.value(phrases.title(run.story)) for run in runs))
    style = asset("diagram.css") + asset("page.css")
    script = asset("page.js")
    scripts = [script, overlay.script] if overlay is not None else [script]
    allowed = " ".join(f"'{_hash(each)}'" for each in scripts)
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src {allowed}; base-uri 'none'; "
        "form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
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
        None if overlay is None else overlay.markup,
        None if overlay is None else tag("script", Markup(overlay.script)),
        tag("a", tr(term("Skip to the content")), href="#content", cls="skip"),
        _menu(links, tr),
        tag("main", sections, _footer(tr), id="content"),
        tag("script", Markup(script)),
    )
    return f"<!doctype html>\n{tag('html', head, body, lang=tr(LANGUAGE))}\n"


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
            data_dark=tr(term("Dark")),
            data_light=tr(term("Light")),
            data_open=tr(term("Open all packets")),
            data_close=tr(term("Close all packets")),
        ),
        cls="menu",
        aria_label=tr(term("Contents")),
    )


def _links(story: Story, prefix: str, name: str, tr: Language) -> list[tuple[str, str]]:
    before = f"{name}: " if name else ""
    if name:
        return [(f"#{prefix}top", before + tr(term("Story")))]
    out = [(f"#{prefix}map", tr(term("Topology")))]
    for place, step in enumerate(story.steps[: MOST_STEPS // 4] if story.trips else ()):
        out.append((f"#{prefix}step{place}", _short(step, tr)))
    out.append((f"#{prefix}numbers", tr(term("In numbers"))))
    return out


_MENU = {
    "arp": "ARP",
    "dns": "DNS",
    "handshake": term("Handshake"),
    "http": "HTTP",
    "tls": "TLS",
    "close": term("Close"),
    "tcp": "TCP",
    "ping": "Ping",
    "udp": "UDP",
    "icmp": "ICMP",
    "nd": term("Neighbours"),
    "other": term("Other"),
}


def _short(step: Step, tr: Language) -> str:
    """A word for the menu."""
    text = tr.value(_MENU[step.key])
    return f"{step.number} {text}" if step.number else text


def _footer(tr: Language) -> Markup:
    maker = say("Made by hoplab {version}.", version=__version__)
    return tag("footer", tr(phrases.LEGEND), " ", tr(maker))


def guarded(
    faults: Faults, part: str, tr: Language
) -> Callable[[Callable[[], Markup | None]], Markup | None]:
    """What makes a part of the page; where a fault of ours keeps it from that, a line that says
    so."""

    def make(content: Callable[[], Markup | None]) -> Markup | None:
        with faults.part(part):
            return content()
        return tag("p", tr(phrases.untold(part)), cls="legend")

    return make


def _run(run: Run, prefix: str, name: str, tr: Language, faults: Faults) -> Markup:
    story = run.story

    def part(title: str, content: Callable[[], Markup | None]) -> Markup | None:
        return guarded(faults, title, tr)(content)

    def step(place: int, parts: list[Trip | Fold]) -> Markup | None:
        title = say("the step {heading}", heading=story.steps[place].heading)
        return part(title, lambda: step_section(run, place, parts, drawn, links, tr))

    drawn = arrange(run.wiring, story.setting.host)
    steps = chosen(story, MOST_PACKETS)[:MOST_STEPS] if story.trips else []
    shown = {part.number for parts in steps for part in parts if isinstance(part, Trip)}
    links = Links(prefix, shown)
    return join(
        tag("h1", f"{name}: " if name else None, tr.value(phrases.title(story)), id=f"{prefix}top"),
        tag("p", where(story, tr), cls="where"),
        part(term("how it ended"), lambda: _verdict(story, links, tr)),
        None if name else tag("h2", tr(term("Topology")), id=f"{prefix}map"),
        None if name else part(term("Topology"), lambda: _figure(run, drawn, tr)),
        tag("h2", tr(term("What happened, step by step"))),
        tag("p", tr(lines.LEGEND), cls="legend") if story.trips else None,
        [step(place, parts) for place, parts in enumerate(steps)],
        _more_steps(story.steps[MOST_STEPS:], tr),
        None if story.trips else tag("p", tr(phrases.NOTHING_SEEN)),
        part(phrases.WATERFALL, lambda: _waterfall(run, tr)),
        part(tcp_sentences.HEADING, lambda: _connections(story, prefix, tr)),
        tag("h2", tr(term("In numbers")), id=f"{prefix}numbers"),
        part(term("the numbers"), lambda: _numbers(story, tr)),
    )  # fmt: skip


def _waterfall(run: Run, tr: Language) -> Markup | None:
    if not run.waterfall:
        return None
    words = tr(phrases.WATERFALL)
    # can be scrolled, hence reached by the keyboard
    text = "\n".join(map(tr.value, phrases.waterfall(run.waterfall)))
    lines = tag("pre", text, tabindex="0", role="region", aria_label=words)
    return tag("section", tag("h3", words), lines, cls="waterfall")


def _connections(story: Story, prefix: str, tr: Language) -> Markup | None:
    """Each TCP connection as engineers read it, the remarkable ones open."""
    if not story.connections:
        return None
    shown = story.connections[:MOST_CONNECTIONS]
    more = len(story.connections) - len(shown)
    return join(
        tag("h2", tr(tcp_sentences.HEADING), id=f"{prefix}tcp"),
        tag(
            "section",
            [
                tag(
                    "details",
                    tag("summary", tr(tcp_sentences.heading(figures))),
                    tag("ul", [tag("li", tr(line)) for line in tcp_sentences.in_full(figures)]),
                    open=tcp_sentences.remarkable(figures) or None,
                )
                for figures in shown
            ],
            tag("p", tr(say("and {n:,} more", n=more)), cls="legend") if more else None,
            cls="card",
            aria_labelledby=f"{prefix}tcp",
        ),
    )


def _more_steps(steps: Sequence[Step], tr: Language) -> Markup | None:
    if not steps:
        return None
    packets = sum(len(step.trips) for step in steps)
    return tag("p", tr(phrases.more_steps(len(steps), packets)), cls="legend")


def where(story: Story, tr: Language) -> str:
    """'topology web | controller hub | datapath user'."""
    return " | ".join(map(tr, phrases.places(story.setting)))


def _figure(run: Run, drawn: Picture, tr: Language) -> Markup:
    drawing = picture.topology(drawn, run.wiring, run.story.summary, tr)
    title = tr(term("Topology"))
    return tag(
        "div",
        tag("div", drawing, cls="scroll", tabindex=0, role="region", aria_label=title),
        tag("p", tr(picture.LEGEND), cls="legend"),
        cls="card",
    )


_VERDICTS = {True: "", False: " failed", None: " open"}


def _verdict(story: Story, links: Links, tr: Language) -> Markup:
    outcome = story.outcome
    distorted = tr(fidelity_sentences.distortion(story.fidelity, story.started_ns))
    seen: Child = None
    if outcome.evidence:
        shown = outcome.evidence[:EVIDENCE_MOST]
        spaced = [part for number in shown for part in (" ", links.to(number))]
        if len(outcome.evidence) > EVIDENCE_MOST:
            more = len(outcome.evidence) - EVIDENCE_MOST
            spaced += [" ", tr(say("and {n:,} more", n=more))]
        seen = tag("p", tr(term("Seen in")), spaced, cls="seen")
    return tag(
        "section",
        tag("p", tag("b", outcome.mark), " ", arrows(tr(outcome.sentence)), cls="sentence"),
        [tag("p", tag("b", arrows(tr(alert)))) for alert in story.alerts],
        tag("p", tag("b", distorted)) if distorted else None,
        [tag("p", arrows(tr(reason))) for reason in outcome.why],
        [tag("p", tr(phrases.MEND)) if outcome.mend else ""],
        [tag("p", tag("code", command)) for command in outcome.mend],
        seen,
        cls=f"card verdict{_VERDICTS[outcome.ok]}",
        aria_label=tr(term("How it ended")),
    )


def _numbers(story: Story, tr: Language) -> Markup:
    summary, fidelity = story.summary, story.fidelity
    if not summary.frames:
        return tag("div", tag("p", tr(phrases.NOTHING_SEEN)), cls="card")
    return tag(
        "div",
        numbers.cards(summary, tr),
        tag("p", tr(numbers.kinds(summary))),
        tag("h3", tr(term("Frames per link"))),
        numbers.links(summary, tr),
        tag("p", tr(numbers.HOLLOW), cls="legend") if summary.ignored else None,
        [tag("p", text) for text in numbers.losses(summary, tr)],
        tag("p", numbers.health(summary, tr), cls="legend"),
        tag("p", tr(fidelity_sentences.verdict(fidelity, story.started_ns)), cls="legend")
        if fidelity.readings or fidelity.distorted
        else None,
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
    text = phrases.side_by_side(called)
    return tag(
        "section",
        tag("h1", tr(text), id="compare"),
        tag("div", numbers.compare(runs, called, tr), cls="card"),
        tag("div", pictures, cls="card side" if narrow else "card"),
        tag("p", tr(picture.LEGEND), cls="legend"),
    )
