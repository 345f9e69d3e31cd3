# SPDX-License-Identifier: Apache-2.0
"""The report as Markdown, with its pictures as Mermaid, which code hosts draw by themselves.

Text from the wire is escaped twice over: for Markdown (no markup, no HTML, no table cell can be
opened or closed by it) and for Mermaid (every character that its grammar knows as an entity).
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from hoplab.report import numbers
from hoplab.report.folding import EVIDENCE_MOST, Fold, chosen
from hoplab.report.language import Language, arrows
from hoplab.report.layout import arrange
from hoplab.report.page import (
    MOST_PACKETS,
    MOST_ROWS,
    MOST_STEPS,
    flooded_by,
    ignored_by,
    where,
)
from hoplab.report.sequence import involved
from hoplab.report.topology import kind_word
from hoplab.runs import Run
from hoplab.sentences import say
from hoplab.story.records import LinkCount, Rewrite, Step, Story, Summary, Trip

MOST_MESSAGES = 250  # of one diagram; code hosts refuse much longer ones

_MARKDOWN = re.compile(r"([\\`*_{}\[\]|~#!])")
_PLAIN = re.compile(r"[^\w .,:/()+?=&'→-]")


def markdown(runs: Sequence[Run], tr: Language) -> str:
    """The whole file, for one run or for two side by side."""
    out: list[str] = []
    called = numbers.names([run.story for run in runs], [run.folder.name for run in runs])
    if len(runs) == 2:
        _compare(out, runs, called, tr)
    for place, run in enumerate(runs):
        _run(out, run, called[place] if len(runs) == 2 else "", tr)
    return "\n".join(out).rstrip() + "\n"


def text(raw: str) -> str:
    """Text that Markdown shows as it is. '#' stays in "#3", which is no heading inside a line."""
    flat = "".join(c if c.isprintable() else "\ufffd" for c in " ".join(raw.split()))
    escaped = _MARKDOWN.sub(r"\\\1", html.escape(flat, quote=False))
    return re.sub(r"(?<!^)\\#(?=\d)", "#", escaped)


def _mermaid(raw: str) -> str:
    """Text for a label: what is neither a letter nor harmless becomes an entity by number."""
    return _PLAIN.sub(lambda found: f"#{ord(found[0])};", raw)


def _run(out: list[str], run: Run, name: str, tr: Language) -> None:
    story = run.story
    title = text(numbers.title(story, tr))
    out += [f"# {text(name)}: {title}" if name else f"# {title}", "", text(where(story, tr)), ""]
    verdict = text(arrows(tr(story.outcome.sentence)))
    out += [f"> **{story.outcome.mark} {verdict}**", *_quoted(story, tr), ""]
    for alert in story.alerts:
        out += [text(tr(alert)), ""]
    out += [f"## {text(tr('Topology'))}", ""]
    _topology(out, run, tr)
    out += [f"## {text(tr('What happened, step by step'))}", ""]
    order = arrange(run.wiring, story.setting.host).order()
    told = chosen(story, MOST_PACKETS) if story.trips else []
    for step, part in zip(story.steps[:MOST_STEPS], told, strict=False):
        _step(out, step, part, order, tr)
    rest = story.steps[MOST_STEPS:]
    if rest:
        packets = sum(len(step.trips) for step in rest)
        out += [text(tr(f"and {len(rest):,} more steps with {packets:,} packets")), ""]
    if not story.trips:
        out += [text(tr("Not one frame on any link.")), ""]
    if run.waterfall:
        # indented by four: nothing in it ends the block
        picture = ["    " + "".join(c if c.isprintable() else "\ufffd" for c in line)
                   for line in run.waterfall]  # fmt: skip
        out += [text(tr("What the client waited for, by its own clock:")), "", *picture, ""]
    out += [f"## {text(tr('In numbers'))}", ""]
    _numbers(out, story.summary, tr)


def _quoted(story: Story, tr: Language) -> list[str]:
    lines = [f">\n> {text(arrows(tr(reason)))}" for reason in story.outcome.why]
    if story.outcome.evidence:
        seen = ", ".join(f"#{number}" for number in story.outcome.evidence[:EVIDENCE_MOST])
        more = len(story.outcome.evidence) - EVIDENCE_MOST
        seen += " " + tr(say("and {n:,} more", n=more)) if more > 0 else ""
        lines.append(f">\n> {text(tr('Seen in'))} {seen}")
    return lines


def _topology(out: list[str], run: Run, tr: Language) -> None:
    wiring = run.wiring
    hub = wiring.controller == "hub"
    ids = {name: f"n{place}" for place, name in enumerate(wiring.nodes)}
    out += ["```mermaid", "flowchart LR"]
    for name, node in wiring.nodes.items():
        interfaces = [wiring.interface(port) for port in wiring.ports(name)]
        lines = [name, kind_word(node.kind, hub, tr)]
        lines += [address for one in interfaces for address in one.addresses]
        label = "<br>".join(_mermaid(line) for line in lines)
        left, right = {"host": ("(", ")"), "switch": ("[[", "]]")}.get(node.kind, ("{{", "}}"))
        out.append(f'  {ids[name]}{left}"{label}"{right}')
    for link in run.story.summary.links:
        edge = f"{ids[link.a]} ---|{link.frames}| {ids[link.b]}"
        out.append(f"  {edge}")
    out += ["```", "", text(tr("The number on a cable counts its frames.")), ""]


def _step(
    out: list[str], step: Step, told: list[Trip | Fold], order: list[str], tr: Language
) -> None:
    number = f"{step.number}. " if step.number else ""
    out += [f"### {number}{text(tr(step.heading))}", "", text(tr(step.lesson)), ""]
    if told:
        _sequence(out, [one for one in told if isinstance(one, Trip)], order, tr)
        for one in told:
            if isinstance(one, Fold):
                out.append(f"- … {text(one.said(tr))}")
            else:
                _packet(out, one, tr)
        out.append("")
    if step.mapping:
        heads = [text(tr(head)) for head in ("textbook", "packets", "really")]
        rows = [
            [
                text(tr(one.textbook)),
                ", ".join(f"#{trip}" for trip in one.trips) or text(tr("none")),
                text(tr(one.real)),
            ]
            for one in step.mapping[:MOST_ROWS]
        ]
        out += _table(heads, rows)
        if len(step.mapping) > MOST_ROWS:
            out += [text(tr(f"and {len(step.mapping) - MOST_ROWS} more")), ""]
    for remark in step.remarks:
        out += [f"> {text(tr(remark.text))}", ""]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    return [*lines, *("| " + " | ".join(row) + " |" for row in rows), ""]


def _sequence(out: list[str], trips: list[Trip], order: list[str], tr: Language) -> None:
    """Solid: it arrived. Dotted: a copy that was ignored. Cross: lost."""
    nodes = involved(trips, order)
    ids = {name: f"n{place}" for place, name in enumerate(nodes)}
    out += ["```mermaid", "sequenceDiagram"]
    out += [f"  participant {ids[name]} as {_mermaid(name)}" for name in nodes]
    told = 0
    for place, trip in enumerate(trips):
        if told and told + len(trip.legs) > MOST_MESSAGES:
            rest = tr(f"and {len(trips) - place:,} more packets")
            out.append(f"  Note over {ids[nodes[0]]}: {_mermaid(rest)}")
            break
        ignored = {one.leg for one in trip.ignored}
        ttl = {one.leg: one.ttl_after for one in trip.rewrites}
        for leg in trip.legs:
            said = f"#{trip.number} {tr(trip.title)}" if leg.index == 0 else f"#{trip.number}"
            if ttl.get(leg.index) is not None:
                said += f" TTL {ttl[leg.index]}"
            if leg.index in ignored:
                said += tr.aside(tr("ignored"))
            arrow = "-x" if leg.lost else "--)" if leg.index in ignored else "->>"
            head = ids.get(leg.head, ids.get(leg.tail, ""))
            out.append(f"  {ids[leg.tail or leg.head]}{arrow}{head}: {_mermaid(said)}")
        told += len(trip.legs)
        if trip.frames > len(trip.legs):
            rest = tr(f"and {trip.frames - len(trip.legs):,} more frames of the storm")
            out.append(f"  Note over {ids[nodes[0]]}: {_mermaid(rest)}")
    out += ["```", ""]


def _packet(out: list[str], trip: Trip, tr: Language) -> None:
    path = " → ".join(trip.path) + (f" → {{{', '.join(trip.fan)}}}" if trip.fan else "")
    out.append(f"- **#{trip.number}** +{trip.ms:,.2f} ms **{text(tr(trip.title))}** {text(path)}")
    floods = flooded_by(trip, tr)
    out += [f"  - {text(line)}" for line in ([floods] if floods else []) + ignored_by(trip, tr)]
    out += [f"  - {_rewrite(one)}" for one in trip.rewrites]
    if trip.cause:
        out.append(f"  - {text(tr.label('why:', tr(trip.cause)))}")
    said = list(dict.fromkeys(one.sentence for one in trip.decisions))
    out += [f"  - {text(tr(sentence))}" for sentence in said]
    out += [f"  - {text(tr(note))}" for note in trip.notes]
    if trip.ended:
        out.append(f"  - **✗ {text(tr(trip.ended))}**")


def _rewrite(one: Rewrite) -> str:
    """What a router did: MACs, TTL, and the IP addresses where they changed."""
    before = f"{one.src_mac_before} → {one.dst_mac_before}"
    after = f"{one.src_mac_after} → {one.dst_mac_after}"
    said = f"{one.node}: MAC {before} ⇒ {after}, TTL {one.ttl_before} → {one.ttl_after}"
    if one.translated:
        said += f", IP {one.src_before} → {one.dst_before} ⇒ {one.src_after} → {one.dst_after}"
    return text(said)


def _numbers(out: list[str], summary: Summary, tr: Language) -> None:
    if not summary.frames:
        out += [text(tr("Not one frame on any link.")), ""]
        return
    share = summary.ignored_percent
    out += [
        f"- {text(tr('packets'))}: {summary.trips:,}",
        f"- {text(tr('frames on links'))}: {summary.frames:,}",
        f"- {text(tr('frames that arrived at hosts and routers'))}: {summary.arrivals:,}",
        f"- {text(tr('of them not for the one that got it'))}: {summary.ignored:,} ({share})",
        f"- {text(tr('frames lost on the way'))}: {summary.lost:,}",
        *(f"  - {text(said)}" for said in numbers.losses(summary, tr)),
        f"- {text(tr.label('By kind:', numbers.kinds(summary, tr)))}",
        "",
    ]
    heads = [text(tr(head)) for head in ("link", "→", "←", "frames", "of them ignored")]
    heads += [text(tr.label("bytes", arrow)) for arrow in "→←"]
    rows = [
        [
            text(f"{link.a_interface} ─ {link.b_interface}"),
            *(
                f"{count:,}"
                for count in (
                    *(link.forth, link.back, link.frames, link.ignored),
                    *(link.forth_bytes, link.back_bytes),
                )
            ),
        ]
        for link in summary.links
    ]
    out += [*_table(heads, rows), text(numbers.health(summary, tr)), ""]


def _aside(link: LinkCount, tr: Language) -> str:
    """(52% no use), for the bytes of a cable."""
    share = link.unwanted_percent
    return tr.aside(tr(f"{share} no use")).strip() if share else ""


def _compare(out: list[str], runs: Sequence[Run], called: Sequence[str], tr: Language) -> None:
    one, other = (run.story.summary for run in runs)
    out += [f"# {text(tr(f'{called[0]} and {called[1]}, side by side'))}", ""]
    sentence = numbers.sentence(one, other, called)
    if sentence:
        out += [text(tr(sentence)), ""]
    told, unlike = numbers.sentences(runs, called)
    for sentence in told:
        out += [text(tr(sentence)), ""]
    for sentence in unlike:
        out += [f"> **✗ {text(tr.label('Not alike:', tr(sentence)))}**", ""]
    rows = [
        [text(tr.label("throughput", pair)), first, second]
        for pair, first, second in numbers.throughputs(one, other)
    ]
    rows += [
        [text(tr(name)), f"{first:,}", f"{second:,}"]
        for name, first, second in numbers.totals(one, other)
    ]
    for link, *pair in numbers.links_paired(one, other):
        name = text(f"{link.a_interface} ─ {link.b_interface}")
        rows.append([name, *(f"{found.frames:,}" if found else "-" for found in pair)])
        octets = [f"{found.bytes:,} {_aside(found, tr)}" if found else "-" for found in pair]
        rows.append([f"{name}, {text(tr('bytes'))}", *(text(each) for each in octets)])
    out += _table(["", text(called[0]), text(called[1])], rows)
