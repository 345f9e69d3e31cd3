# SPDX-License-Identifier: Apache-2.0
"""The numbers of a run as lines of text: what went over the links, and how good the capture is.

The layout stands in `hoplab.report.terminal`, which calls this.
"""

from __future__ import annotations

from dataclasses import replace

from hoplab.report import phrases
from hoplab.report.cells import cells, ljust, rjust
from hoplab.report.lines import Page
from hoplab.sentences import Listing, listed, number_of, say, term
from hoplab.story.capture_quality import capture_faults, capture_remarks
from hoplab.story.queue_losses import queue_loss
from hoplab.story.summary_records import QueueLoss, Summary
from hoplab.story.titles import count_kind

QUEUES_MOST = 2  # of which each has a sentence of its own


def summary_lines(page: Page, summary: Summary) -> None:
    """Everything that is counted."""
    page.rule(page.tr(term("In numbers")))
    if not summary.frames:
        page.line("   " + page.tr(phrases.NOTHING_SEEN))
        return
    made = say(
        "{packets} made {frames} on {links}.",
        packets=number_of("{n:,} packet", "{n:,} packets", summary.trips),
        frames=number_of("{n:,} frame", "{n:,} frames", summary.frames),
        links=number_of(
            "{n:,} link", "{n:,} links", sum(1 for link in summary.links if link.frames)
        ),
    )
    place = summary.health.place
    if place:
        made = number_of(
            "{n:,} frame passed {place}, from or for {cards}.",
            "{n:,} frames passed {place}, from or for {cards}.",
            summary.frames,
            place=place,
            cards=number_of(
                "{n:,} card", "{n:,} cards", sum(1 for link in summary.links if link.frames)
            ),
        )
    page.tell(made, 3)
    if not place:
        _arrivals(page, summary)
    if summary.unicast_flooded and not page.stormy:
        flooded = number_of(
            "{n:,} packet for one card went out of several ports of a switch: so works a hub, and "
            "a switch that has not yet learned where a card is.",
            "{n:,} packets for one card went out of several ports of a switch: so works a hub, and "
            "a switch that has not yet learned where a card is.",
            summary.unicast_flooded,
        )
        page.tell(flooded, 3, hang=2)
    if summary.lost:
        lost = number_of(
            "{n:,} frame lost on the way.", "{n:,} frames lost on the way.", summary.lost
        )
        page.tell(lost, 3, "red")
    _queue_losses(page, summary)
    if summary.kinds:
        counts = listed(count_kind(kind, count) for kind, count in summary.kinds.items())
        page.tell(say("By kind: {counts}.", counts=counts), 3, hang=2)
    _links(page, summary)
    _health(page, summary)


def _arrivals(page: Page, summary: Summary) -> None:
    """How many frames came to hosts and routers, and how many of them were for others."""
    if not summary.arrivals:
        return
    frames = number_of("{n:,} frame", "{n:,} frames", summary.arrivals)
    if summary.ignored:
        counts = summary.ignored_by_node.items()
        arrived = say(
            "{frames} arrived at hosts and routers, {n:,} of them ({share}) not for the one that "
            "got it: {nodes}.",
            frames=frames,
            n=summary.ignored,
            share=summary.ignored_percent,
            nodes=listed(say("{node} {n:,}", node=node, n=count) for node, count in counts),
        )
    else:
        arrived = say(
            "{frames} arrived at hosts and routers, each at one that it was for.", frames=frames
        )
    page.tell(arrived, 3, hang=2)


def _queue_losses(page: Page, summary: Summary) -> None:
    """What was dropped for want of room."""
    losses = summary.queue_losses
    if len(losses) <= QUEUES_MOST or (page.detail == "full" and not page.stormy):
        for loss in losses:
            page.tell(queue_loss(loss), 5, "red")
        return
    behind, before = (
        [loss for loss in losses if loss.cable is cable] for cable in (False, True)
    )
    if behind:
        dropped = say(
            "Switches dropped {n:,} by the kernel's count: queues of theirs were full, and they "
            "did not come to them in time: {ports}.",
            n=sum(loss.frames for loss in behind),
            ports=_by_port(behind),
        )
        page.tell(dropped, 5, "red")
    if before:
        dropped = say(
            "In front of cables {n:,} were dropped by the kernel's count: more was to be sent than "
            "they take: {ports}.",
            n=sum(loss.frames for loss in before),
            ports=_by_port(before),
        )
        page.tell(dropped, 5, "red")


def _by_port(losses: list[QueueLoss]) -> Listing:
    """How much each queue dropped."""
    return listed(say("{port} {n:,}", port=loss.interface, n=loss.frames) for loss in losses)


def _links(page: Page, summary: Summary) -> None:
    """Frames on each link, with a bar; the numbers by which hub and switch are compared."""
    if not summary.links:
        return
    page.line()
    names = [f"{link.a_interface} ─ {link.b_interface}" for link in summary.links]
    wide = max(cells(name) for name in names)
    most = max(link.frames for link in summary.links)
    digits = max(6, len(f"{most:,}"))
    room = max(8, min(40, page.width - wide - 4 * digits - 12))
    columns = ("→", "←", page.tr(term("frames")))
    heads = "".join(" " + rjust(page.fit(column), digits) for column in columns)
    link_word = ljust(page.tr(term("link")), wide)
    page.line(f"   {link_word} {heads}  {page.tr(term('of them ignored'))}", "dim")
    for name, link in zip(names, summary.links, strict=True):
        bar = "█" * round(room * link.frames / most) if most else ""
        bar = bar or ("▌" if link.frames else "")
        counts = f"{link.forth:>{digits},} {link.back:>{digits},} {link.frames:>{digits},}"
        ignored = f"{link.ignored:,}" if link.ignored else ""
        page.line(f"   {ljust(name, wide)}  {counts}  {ignored:>{digits}}  {bar}")


def _health(page: Page, summary: Summary) -> None:
    health = summary.health
    page.line()
    if capture_faults(health):
        page.tell(phrases.capture_quality(health), 3, "yellow")
    else:
        page.line("   " + page.tr(phrases.capture_quality(health)), "dim")
    if page.stormy:  # each has others with the same bytes beside it
        health = replace(health, uncertain=0)
    for remark in capture_remarks(health):
        page.tell(remark, 3, "yellow")
