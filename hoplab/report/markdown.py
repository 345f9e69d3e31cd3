# SPDX-License-Identifier: Apache-2.0
"""The report as Markdown, with its pictures as Mermaid, which code hosts draw by themselves.

Text from the wire is escaped twice over: for Markdown (no markup, no HTML, no table cell can be
opened or closed by it) and for Mermaid (every character that its grammar knows as an entity).
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from hoplab.report import numbers, phrases
from hoplab.report.folding import EVIDENCE_MOST, Fold, chosen
from hoplab.report.language import Language, arrows
from hoplab.report.layout import arrange
from hoplab.report.page import MOST_CONNECTIONS, MOST_PACKETS, MOST_STEPS, where
from hoplab.report.page_step import MOST_ROWS
from hoplab.report.sequence import involved
from hoplab.report.topology import kind_word
from hoplab.runs import Run
from hoplab.sentences import listed, say, term
from hoplab.story import fidelity_sentences, tcp_sentences
from hoplab.story.faults import STRICT, Faults
from hoplab.story.records import Step, Story
from hoplab.story.summary_records import LinkCount, Summary
from hoplab.story.trip_records import Rewrite, Trip

MOST_MESSAGES = 250  # of one diagram; code hosts refuse much longer ones

_MARKDOWN = re.compile(r"([\\`*_{}\[\]|~#!])")
_PLAIN = re.compile(r"[^\w .,:/()+?=&'→-]")


def markdown(runs: Sequence[Run], tr: Language, faults: Faults = STRICT) -> str:
    """The whole file, for one run or for two side by side. faults: takes what could not be shown;
    a line stands in its place."""
    out: list[str] = []
    called = numbers.names([run.story for run in runs], [run.folder.name for run in runs])
    if len(runs) == 2:
        part = _guarded(out, tr, faults)
        part(phrases.side_by_side(called), lambda lines: _compare(lines, runs, called, tr))
    for place, run in enumerate(runs):
        _run(out, run, called[place] if len(runs) == 2 else "", tr, faults)
    return "\n".join(out).rstrip() + "\n"


_Lines = Callable[[list[str]], object]


def _guarded(out: list[str], tr: Language, faults: Faults) -> Callable[[str, _Lines], None]:
    """What adds the lines of a part; where a fault of ours keeps it from that, one that says so."""

    def add(part: str, content: _Lines) -> None:
        lines: list[str] = []
        with faults.part(part):
            content(lines)
            out.extend(lines)
            return
        out.extend([text(tr(phrases.untold(part))), ""])

    return add


def text(raw: str) -> str:
    """Text that Markdown shows as it is. '#' stays in "#3", which is no heading inside a line."""
    flat = "".join(c if c.isprintable() else "\ufffd" for c in " ".join(raw.split()))
    escaped = _MARKDOWN.sub(r"\\\1", html.escape(flat, quote=False))
    return re.sub(r"(?<!^)\\#(?=\d)", "#", escaped)


def _mermaid(raw: str) -> str:
    """Text for a label: what is neither a letter nor harmless becomes an entity by number."""
    return _PLAIN.sub(lambda match: f"#{ord(match[0])};", raw)


def _run(out: list[str], run: Run, name: str, tr: Language, faults: Faults) -> None:
    story = run.story
    part = _guarded(out, tr, faults)
    head = text(tr.value(phrases.title(story)))
    out += [f"# {text(name)}: {head}" if name else f"# {head}", "", text(where(story, tr)), ""]
    part(term("how it ended"), lambda lines: lines.extend(_verdict(story, tr)))
    for alert in story.alerts:
        out += [text(tr(alert)), ""]
    if story.fidelity.readings or story.fidelity.distorted:
        out += [text(tr(fidelity_sentences.verdict(story.fidelity, story.started_ns))), ""]
    out += [f"## {text(tr(term('Topology')))}", ""]
    part(term("Topology"), lambda lines: _topology(lines, run, tr))
    out += [f"## {text(tr(term('What happened, step by step')))}", ""]
    order = arrange(run.wiring, story.setting.host).order()
    chosen_parts = chosen(story, MOST_PACKETS) if story.trips else []
    for step, parts in zip(story.steps[:MOST_STEPS], chosen_parts, strict=False):
        title = say("the step {heading}", heading=step.heading)
        part(title, partial(_step, step=step, parts=parts, order=order, tr=tr))
    rest = story.steps[MOST_STEPS:]
    if rest:
        packets = sum(len(step.trips) for step in rest)
        out += [text(tr(phrases.more_steps(len(rest), packets))), ""]
    if not story.trips:
        out += [text(tr(phrases.NOTHING_SEEN)), ""]
    part(phrases.WATERFALL, lambda lines: _waterfall(lines, run, tr))
    part(tcp_sentences.HEADING, lambda lines: _connections(lines, story, tr))
    out += [f"## {text(tr(term('In numbers')))}", ""]
    part(term("the numbers"), lambda lines: _numbers(lines, story.summary, tr))


def _verdict(story: Story, tr: Language) -> list[str]:
    verdict = text(arrows(tr(story.outcome.sentence)))
    return [f"> **{story.outcome.mark} {verdict}**", *_quoted(story, tr), ""]


def _waterfall(out: list[str], run: Run, tr: Language) -> None:
    if run.waterfall:
        # indented by four: nothing in it ends the block
        picture = ["    " + "".join(c if c.isprintable() else "\ufffd" for c in line)
                   for line in map(tr.value, phrases.waterfall(run.waterfall))]  # fmt: skip
        out += [text(tr(phrases.WATERFALL)), "", *picture, ""]


def _connections(out: list[str], story: Story, tr: Language) -> None:
    """Each TCP connection as engineers read it."""
    if story.connections:
        out += [f"## {text(tr(tcp_sentences.HEADING))}", ""]
    for figures in story.connections[:MOST_CONNECTIONS]:
        out += [f"**{text(tr(tcp_sentences.heading(figures)))}**", ""]
        out += [f"- {text(tr(line))}" for line in tcp_sentences.in_full(figures)]
        out.append("")
    more = len(story.connections) - MOST_CONNECTIONS
    if more > 0:
        out += [text(tr(say("and {n:,} more", n=more))), ""]


def _quoted(story: Story, tr: Language) -> list[str]:
    lines = [f">\n> {text(arrows(tr(reason)))}" for reason in story.outcome.why]
    if story.outcome.mend:
        lines.append(f">\n> {text(tr(phrases.MEND))}")
    lines += [f">\n>     {command}" for command in story.outcome.mend]
    if story.outcome.evidence:
        evidence = story.outcome.evidence
        packets = tr(listed(f"#{number}" for number in evidence[:EVIDENCE_MOST]))
        if len(evidence) > EVIDENCE_MOST:
            more = tr(say("and {n:,} more", n=len(evidence) - EVIDENCE_MOST))
            packets = f"{packets} {more}"
        lines.append(f">\n> {text(tr(term('Seen in')))} {packets}")
    return lines


def _topology(out: list[str], run: Run, tr: Language) -> None:
    wiring = run.wiring
    hub = wiring.controller == "hub"
    ids = {name: f"n{place}" for place, name in enumerate(wiring.nodes)}
    out += ["```mermaid", "flowchart LR"]
    for name, node in wiring.nodes.items():
        interfaces = [wiring.interface(port) for port in wiring.ports(name)]
        lines = [name, tr.value(kind_word(node.kind, hub))]
        lines += [address for interface in interfaces for address in interface.addresses]
        label = "<br>".join(_mermaid(line) for line in lines)
        left, right = {"host": ("(", ")"), "switch": ("[[", "]]")}.get(node.kind, ("{{", "}}"))
        out.append(f'  {ids[name]}{left}"{label}"{right}')
    for link in run.story.summary.links:
        edge = f"{ids[link.a]} ---|{link.frames}| {ids[link.b]}"
        out.append(f"  {edge}")
    out += ["```", "", text(tr(term("The number on a cable counts its frames."))), ""]


def _step(
    out: list[str], step: Step, parts: list[Trip | Fold], order: list[str], tr: Language
) -> None:
    number = f"{step.number}. " if step.number else ""
    out += [f"### {number}{text(tr(step.heading))}", "", text(tr(step.lesson)), ""]
    if parts:
        _sequence(out, [part for part in parts if isinstance(part, Trip)], order, tr)
        for part in parts:
            if isinstance(part, Fold):
                out.append(f"- … {text(tr(part.sentence()))}")
            else:
                _packet(out, part, tr)
        out.append("")
    if step.mapping:
        heads = [text(tr(head)) for head in phrases.MAPPING]
        rows = [
            [
                text(tr(row.textbook)),
                tr(listed(f"#{trip}" for trip in row.trips)) or text(tr(term("none"))),
                text(tr(row.real)),
            ]
            for row in step.mapping[:MOST_ROWS]
        ]
        out += _table(heads, rows)
        if len(step.mapping) > MOST_ROWS:
            out += [text(tr(say("and {n:,} more", n=len(step.mapping) - MOST_ROWS))), ""]
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
    drawn = 0
    for place, trip in enumerate(trips):
        if drawn and drawn + len(trip.legs) > MOST_MESSAGES:
            rest = tr(phrases.more_packets(len(trips) - place))
            out.append(f"  Note over {ids[nodes[0]]}: {_mermaid(rest)}")
            break
        _messages(out, trip, ids, tr)
        drawn += len(trip.legs)
        if trip.frames > len(trip.legs):
            rest = tr(phrases.more_frames_of_storm(trip.frames - len(trip.legs)))
            out.append(f"  Note over {ids[nodes[0]]}: {_mermaid(rest)}")
    out += ["```", ""]


def _messages(out: list[str], trip: Trip, ids: Mapping[str, str], tr: Language) -> None:
    """A packet's frames, each as a message of the diagram, which calls the nodes by `ids`."""
    ignored = {copy.leg for copy in trip.ignored}
    ttl = {rewrite.leg: rewrite.ttl_after for rewrite in trip.rewrites}
    for leg in trip.legs:
        label = f"#{trip.number} {tr(trip.title)}" if leg.index == 0 else f"#{trip.number}"
        if ttl.get(leg.index) is not None:
            label += f" TTL {ttl[leg.index]}"
        if leg.index in ignored:
            label = tr(say("{label} (ignored)", label=label))
        arrow = "-x" if leg.lost else "--)" if leg.index in ignored else "->>"
        head = ids.get(leg.head, ids.get(leg.tail, ""))
        out.append(f"  {ids[leg.tail or leg.head]}{arrow}{head}: {_mermaid(label)}")


def _packet(out: list[str], trip: Trip, tr: Language) -> None:
    path = " → ".join(trip.path) + (f" → {{{', '.join(trip.fan)}}}" if trip.fan else "")
    out.append(f"- **#{trip.number}** +{trip.ms:,.2f} ms **{text(tr(trip.title))}** {text(path)}")
    floods = phrases.flooded_by(trip)
    spread = [*([floods] if floods else []), *phrases.ignored_by(trip)]
    out += [f"  - {text(tr(line))}" for line in spread]
    out += [f"  - {_rewrite(rewrite)}" for rewrite in trip.rewrites]
    if trip.cause:
        out.append(f"  - {text(tr(say('why: {cause}', cause=tr(trip.cause))))}")
    sentences = dict.fromkeys(
        decision.sentence for decision in trip.decisions if not decision.plain
    )
    out += [f"  - {text(tr(sentence))}" for sentence in sentences]
    out += [f"  - {text(tr(note))}" for note in trip.notes]
    if trip.ended:
        out.append(f"  - **✗ {text(tr(trip.ended))}**")


def _rewrite(rewrite: Rewrite) -> str:
    """What a router did: MACs, TTL, and the IP addresses where they changed."""
    before = f"{rewrite.src_mac_before} → {rewrite.dst_mac_before}"
    after = f"{rewrite.src_mac_after} → {rewrite.dst_mac_after}"
    ttl = f"TTL {rewrite.ttl_before} → {rewrite.ttl_after}"
    line = f"{rewrite.node}: MAC {before} ⇒ {after}, {ttl}"
    if rewrite.translated:
        addresses = f"{rewrite.src_before} → {rewrite.dst_before}"
        translated = f"{rewrite.src_after} → {rewrite.dst_after}"
        line = f"{line}, IP {addresses} ⇒ {translated}"
    return text(line)


def _numbers(out: list[str], summary: Summary, tr: Language) -> None:
    if not summary.frames:
        out += [text(tr(phrases.NOTHING_SEEN)), ""]
        return
    out += [
        *(
            f"- {text(tr(say('{figure}: {value}', figure=name, value=value)))}"
            for value, name in numbers.totals_of(summary)
        ),
        *(f"  - {text(loss)}" for loss in numbers.losses(summary, tr)),
        f"- {text(tr(numbers.kinds(summary)))}",
        "",
    ]
    heads = [text(head) for head in numbers.link_heads(tr)]
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
    return tr(say("({share} no use)", share=share)) if share else ""


def _compare(out: list[str], runs: Sequence[Run], called: Sequence[str], tr: Language) -> None:
    first, second = (run.story.summary for run in runs)
    out += [f"# {text(tr(phrases.side_by_side(called)))}", ""]
    sentence = numbers.sentence(first, second, called)
    if sentence:
        out += [text(tr(sentence)), ""]
    costs, doubts = numbers.sentences(runs, called)
    for sentence in costs:
        out += [text(tr(sentence)), ""]
    for sentence in doubts:
        out += [f"> **✗ {text(tr(sentence))}**", ""]
    rows = [[text(tr(name)), *rates] for name, *rates in numbers.throughputs(first, second)]
    rows += [
        [text(tr(name)), f"{count:,}", f"{second_count:,}"]
        for name, count, second_count in numbers.totals(first, second)
    ]
    for link, *pair in numbers.links_paired(first, second):
        name = f"{link.a_interface} ─ {link.b_interface}"
        rows.append([text(name), *(f"{count.frames:,}" if count else "-" for count in pair)])
        octets = [f"{count.bytes:,} {_aside(count, tr)}" if count else "-" for count in pair]
        rows.append([text(tr(say("{name}, bytes", name=name))), *map(text, octets)])
    out += _table(["", text(called[0]), text(called[1])], rows)
