# SPDX-License-Identifier: Apache-2.0
"""One packet as lines of text: its head, how it spread, what routers made of it, why, and its end.

The layout stands in `hoplab.report.terminal`, which calls this.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from hoplab.report import phrases
from hoplab.report.cells import cells, ljust, wrap
from hoplab.report.lines import Page, time_since_start
from hoplab.sentences import Sentence, listed, number_of, say, term
from hoplab.story.tcp_sentences import of_segment
from hoplab.story.trip_records import Decision, Rewrite, Trip

PATH_AT = 47  # width of the title column where the path stands on the same line

_MOST_FLOWS = 3  # of one packet, in the normal story
_FIELDS = re.compile(r"(\w+)=")
_LEARNED = {"in_port", "eth_dst", "eth_src"}  # what a flow of a learning switch looks at


def trip_lines(page: Page, trip: Trip) -> None:
    """Everything of a packet that the level of detail asks for."""
    head_line(page, trip, page.tr(trip.title), path_text(trip))
    spread_lines(page, trip)
    if page.detail != "brief":
        _rewrites(page, trip)
        if trip.cause:
            cause_line(page, trip.cause)
        decision_lines(page, trip.decisions)
    for note in trip.notes:
        note_line(page, note)
    end_lines(page, trip, trip.ended)
    if page.detail == "full":
        _timing(page, trip)
        _frame_numbers(page, trip)


def cause_line(page: Page, cause: str) -> None:
    """What made the packet necessary."""
    page.tell(say("why: {cause}", cause=page.tr(cause)), page.indent, "dim", hang=5)


def note_line(page: Page, note: str) -> None:
    """What is remarkable about the packet."""
    page.tell(say("note: {note}", note=page.tr(note)), page.indent, "yellow", hang=6)


def head_line(page: Page, trip: Trip, title: str, path: str) -> None:
    """Number, time, title and path: one line where they fit."""
    number = f"#{trip.number}"
    ms_width = page.indent - page.digits - 6
    start = f" {number:<{page.digits + 1}}  {time_since_start(trip.ms):>{ms_width}}  "
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


def end_lines(page: Page, trip: Trip, ended: str) -> None:
    """Where it was lost, or came to its end."""
    for leg in trip.lost:
        if leg.head_interface:
            ends = (leg.tail_interface, leg.head_interface)
            lost = say("lost between {port} and {port2}", port=ends[0], port2=ends[1])
        else:
            lost = say("lost between {port} and nothing", port=leg.tail_interface)
        page.wrap(f"✗ {page.tr(lost)}", page.indent, "red", hang=2)
    if ended and trip.fate == "cut":
        page.wrap(f"… {page.tr(ended)}", page.indent, "dim", hang=2)
    elif ended and not (trip.lost and trip.fate == "lost"):
        page.wrap(f"✗ {page.tr(ended)}", page.indent, "red", hang=2)


def decision_lines(
    page: Page, decisions: Iterable[Decision], *, every_flow: bool = False
) -> None:
    """What the controller was asked, at length the first time that a switch does; a flow that
    floods by itself is told once a switch, one that changes frames once. every_flow: a flow that
    does no more than send a frame on is told as well, the first time that it does."""
    alike: dict[str, list[str]] = {}
    if page.stormy:
        decisions, alike = _first_of_each(page, decisions)
    for decision in decisions:
        if decision.plain and page.detail != "full":
            if every_flow and page.once(f"{decision.node} {decision.flow}"):
                page.tell(decision.sentence, page.indent, "dim", hang=2)
            continue
        first = page.once(f"{decision.by} {decision.node}") or page.detail == "full"
        if first or _worth_its_line(page, decision):
            page.tell(decision.sentence, page.indent, "dim", hang=2)
        elif decision.by == "controller":
            page.tell(_in_few_words(page, decision), page.indent, "dim", hang=2)
        for flow in _new_flows(page, decision):
            page.wrap(f"+ {page.tr(flow)}", page.indent + 2, "dim", hang=2)
        if alike.get(decision.by):
            likewise = say("the same at {switches}", switches=listed(alike[decision.by]))
            page.tell(likewise, page.indent, "dim", hang=2)


def _new_flows(page: Page, decision: Decision) -> Sequence[str]:
    """The flows that came of it, as far as they are told one by one: those that look at more than
    Ethernet addresses and ports. Of the others the packet's own line tells as much."""
    if page.detail == "full":
        return decision.installed
    if page.stormy:
        return ()
    more = [flow for flow in decision.installed if set(_FIELDS.findall(flow)) - _LEARNED]
    return more[:_MOST_FLOWS]


def _worth_its_line(page: Page, decision: Decision) -> bool:
    """It is told at length though the switch has had one: each time, or once."""
    return _is_special(decision) and (_ends(decision) or page.once(decision.sentence))


def _ends(decision: Decision) -> bool:
    """The packet went no further because of it: that is worth its line each time."""
    return decision.by != "flow" or decision.passage is None or not decision.passage.sent


def _is_special(decision: Decision) -> bool:
    """More came of it than of the one before: each such decision is worth its line."""
    if decision.by == "nobody" or decision.missed or decision.refused or decision.failed:
        return True
    passage = decision.passage
    if decision.by != "flow" or passage is None:
        return False
    changed = any(copy.data is not None for copy in passage.sent)
    return not passage.sent or changed or bool(passage.groups or passage.meters or passage.cached)


def _first_of_each(
    page: Page, decisions: Iterable[Decision]
) -> tuple[list[Decision], dict[str, list[str]]]:
    """In a storm each copy is a question: what is told of it is the first decision of each sort,
    and which other switches decided so."""
    firsts: dict[str, Decision] = {}
    alike: dict[str, list[str]] = {}
    for decision in decisions:
        names = alike.setdefault(decision.by, [])
        if decision.by in firsts:
            if decision.node != firsts[decision.by].node and decision.node not in names:
                names.append(decision.node)
        elif page.once(f"in a storm, {decision.by}"):
            firsts[decision.by] = decision
    return list(firsts.values()), alike


def _in_few_words(page: Page, decision: Decision) -> Sentence:
    """A question to the controller, where one of the same switch has been told at length."""
    switch, answer = decision.node, page.tr(decision.answer)
    flows = number_of("{n:,} flow", "{n:,} flows", len(decision.installed))
    if decision.wait_ms is None and decision.installed:
        return say(
            "{switch} asked the controller: {flows} installed, no frame sent back",
            switch=switch,
            flows=flows,
        )
    if decision.wait_ms is None and decision.answer:
        return say("{switch} handed it to the controller", switch=switch)
    if decision.wait_ms is None:
        return say("{switch} asked the controller and got no answer", switch=switch)
    if decision.installed:
        return say(
            "{switch} asked the controller: {flows} installed, {answer} after {ms:.2f} ms",
            switch=switch,
            flows=flows,
            answer=answer,
            ms=decision.wait_ms,
        )
    return say(
        "{switch} asked the controller: {answer} after {ms:.2f} ms",
        switch=switch,
        answer=answer,
        ms=decision.wait_ms,
    )


def path_text(trip: Trip) -> str:
    """'h1 → s1 → {h2, h3}'."""
    path = " → ".join(trip.path)
    return f"{path} → {{{', '.join(trip.fan)}}}" if trip.fan else path


def spread_lines(page: Page, trip: Trip) -> None:
    """Where switches copied the frame, and who got a copy that was not meant for it."""
    floods = phrases.flooded_by(trip)
    spread: Sentence | None = floods
    for ignored in phrases.ignored_by(trip):
        if spread is None:
            spread = ignored
        else:
            spread = say("{first}; {second}", first=spread, second=ignored)
    if spread is not None:
        style = "yellow" if floods and not trip.group else "dim"
        page.tell(spread, page.indent, style, hang=2)


def _rewrites(page: Page, trip: Trip) -> None:
    short = [_rewrite_short(page, rewrite) for rewrite in trip.rewrites]
    widest = max((len(text) for text in short), default=0)
    for rewrite, text in zip(trip.rewrites, short, strict=True):
        macs = (
            rewrite.src_mac_before,
            rewrite.dst_mac_before,
            rewrite.src_mac_after,
            rewrite.dst_mac_after,
        )
        if page.detail != "full" and macs in page.shown_macs:
            ips = page.tr(_ips(rewrite))
            if page.indent + widest + cells(ips) + 5 > page.width and not rewrite.translated:
                ips = page.tr(term("unchanged"))
            page.wrap(f"{text:<{widest}}  IP {ips}", page.indent, hang=6)
        else:
            page.shown_macs.add(macs)
            _rewrite_long(page, rewrite)


def _rewrite_long(page: Page, rewrite: Rewrite) -> None:
    before = (
        f"{_owner(rewrite.src_owner_before)}{rewrite.src_mac_before} → "
        f"{_owner(rewrite.dst_owner_before)}{rewrite.dst_mac_before}"
    )
    after = (
        f"{_owner(rewrite.src_owner_after)}{rewrite.src_mac_after} → "
        f"{_owner(rewrite.next_hop)}{rewrite.dst_mac_after}"
    )
    label = f"{rewrite.node}: "
    gap = len(label)
    page.wrap(f"{label}MAC {before}", page.indent, hang=gap + 4)
    page.wrap(f"⇒ MAC {after}", page.indent + gap - len(page.fit("⇒ ")), hang=6)
    ttl = f"TTL {_ttl(rewrite.ttl_before)} → {_ttl(rewrite.ttl_after)}"
    line = say("IP  {addresses}, {ttl}", addresses=_ips(rewrite), ttl=ttl)
    page.wrap(page.tr(line), page.indent + gap, hang=4)


def _rewrite_short(page: Page, rewrite: Rewrite) -> str:
    source = rewrite.src_owner_before or rewrite.src_mac_before
    target = rewrite.dst_owner_before or "?"
    new_source = rewrite.src_owner_after or rewrite.src_mac_after
    new_target = rewrite.next_hop or rewrite.dst_mac_after
    macs = f"MAC {source} → {target} ⇒ {new_source} → {new_target}"
    ttl = f"TTL {_ttl(rewrite.ttl_before)} → {_ttl(rewrite.ttl_after)}"
    return page.fit(f"{rewrite.node}: {macs}  {ttl}")


def _ips(rewrite: Rewrite) -> Sentence:
    before = f"{rewrite.src_before} → {rewrite.dst_before}"
    if not rewrite.translated:
        return say("{addresses} unchanged", addresses=before)
    after = f"{rewrite.src_after} → {rewrite.dst_after}"
    return say("{before} translated to {after}", before=before, after=after)


def _owner(name: str) -> str:
    return f"{name} " if name else ""


def _ttl(value: int | None) -> str:
    return "?" if value is None else str(value)


def _timing(page: Page, trip: Trip) -> None:
    """What the numbers and times of a TCP segment tell."""
    if trip.timing is not None:
        sentences = of_segment(trip.timing)
        if sentences:
            page.tell(say("TCP: {figures}", figures=listed(sentences)), page.indent, "dim", hang=2)


def _frame_numbers(page: Page, trip: Trip) -> None:
    """Every frame with its numbers in the capture, as Wireshark counts them."""
    nothing = page.tr(term("nothing"))
    for leg in trip.legs:
        ends = page.fit(f"{leg.tail_interface} → {leg.head_interface or nothing}")
        numbers = say(
            "frame {sent} sent, {received} received",
            sent=leg.sent or "-",
            received=leg.received or "-",
        )
        page.line(" " * page.indent + f"{ljust(ends, 24)} {page.tr(numbers)}", "dim")


def _style(trip: Trip) -> str:
    if trip.ended and trip.fate == "cut":
        return "bold"
    if trip.ended or trip.kind in ("tcp-rst", "icmp-unreachable", "icmp-time-exceeded"):
        return "red"
    return "bold"
