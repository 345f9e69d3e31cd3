# SPDX-License-Identifier: Apache-2.0
"""Sequence diagrams as SVG: nodes as lifelines, every frame of every packet as an arrow.

Time runs downwards. A packet is a line of text and below it its frames, hop by hop, so that a
packet on its way looks like a staircase. How an arrow ended is told by its form:

    ─────▶  it arrived, at a node on its way or at its end
    ┄┄┄┄○  a copy for which the node had no use: its card or its software ignored it
    ────✗   it was lost on the way

A frame that a router made bears the packet's new TTL, because its MAC addresses are new too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hoplab.report.cells import cells
from hoplab.report.folding import Fold
from hoplab.report.language import Language
from hoplab.report.markup import Markup, tag
from hoplab.report.phrases import more_frames_of_storm, more_packets
from hoplab.sentences import listed, say, term
from hoplab.story.trip_records import Leg, Trip

HEAD, TITLE, ROW, PAD = 34.0, 23.0, 15.0, 10.0
COLUMN, CHAR = 92.0, 6.6
TALL = 1400.0  # more than one sheet of paper can hold
MOST_FRAMES = 600  # of one diagram; a picture of more is no help to anybody


@dataclass
class _Canvas:
    """Elements so far, and the height reached."""

    lifelines: dict[str, float]
    tr: Language
    target: str
    y: float = HEAD + 6
    parts: list[Markup] = field(default_factory=list)


def involved(trips: Sequence[Trip], order: Sequence[str]) -> list[str]:
    """The nodes that sent or got a frame of these trips: along the longest path among them, so that
    it goes straight on, and then the others in the order of the picture."""
    seen = {
        node for trip in trips for leg in trip.legs for node in (leg.tail, leg.head) if node
    }
    place = {node: number for number, node in enumerate(order)}
    spine: list[str] = []
    for trip in trips:
        path = list(dict.fromkeys(trip.path))
        if len(path) > len(spine):
            spine = path
    if spine and place.get(spine[-1], 0) < place.get(spine[0], 0):
        spine.reverse()
    spine = [node for node in spine if node in seen]
    return [*spine, *(node for node in order if node in seen and node not in spine)]


def family(trip: Trip) -> str:
    """The word by which a packet is coloured: its protocol as the lesson names it."""
    kind = trip.kind
    for prefix, name in (
        ("arp", "arp"), ("nd-", "arp"), ("dns", "dns"), ("http", "http"), ("tls", "http"),
        ("icmp", "icmp"),
        ("tcp", "tcp"),
    ):  # fmt: skip
        if kind.startswith(prefix):
            return name
    return "other"


def sequence(
    parts: Sequence[Trip | Fold],
    order: Sequence[str],
    tr: Language,
    *,
    target: str = "",
    title: str = "",
) -> Markup:
    """The `<svg>` of these trips. `target` begins the link of a packet ("#a-p"), "" for none."""
    trips = [part for part in parts if not isinstance(part, Fold)]
    nodes = involved(trips, order)
    column = max([COLUMN, *(cells(node) * CHAR + 34 for node in nodes)])
    lifelines = {node: PAD + column / 2 + place * column for place, node in enumerate(nodes)}
    canvas = _Canvas(lifelines, tr, target)
    shown = 0
    for place, part in enumerate(parts):
        if isinstance(part, Fold):
            _line(canvas, tr(part.sentence()))
            continue
        if shown and shown + len(part.legs) > MOST_FRAMES:
            rest = parts[place:]
            count = sum(len(part.trips) if isinstance(part, Fold) else 1 for part in rest)
            _line(canvas, tr(more_packets(count)))
            break
        _trip(canvas, part)
        shown += len(part.legs)
    height = canvas.y + 8
    titles = max((cells(_heading(trip, tr)) * CHAR + 2 * PAD for trip in trips), default=0.0)
    width = max(2 * PAD + column * len(nodes), min(titles, 1200.0))
    return tag(
        "svg",
        tag("title", title or tr(term("Sequence diagram"))),
        [
            tag("line", x1=x, x2=x, y1=HEAD - 6, y2=height - 4, cls="lifeline")
            for x in lifelines.values()
        ],
        [_head(node, x, column) for node, x in lifelines.items()],
        canvas.parts,
        viewBox=f"0 0 {round(width)} {round(height)}",
        width=round(width),
        height=round(height),
        cls="sequence tall" if height > TALL else "sequence",
        role="group",
        xmlns="http://www.w3.org/2000/svg",
    )


def _line(canvas: _Canvas, text: str) -> None:
    """A line about what is not drawn."""
    canvas.parts.append(tag("text", f"… {text}", x=PAD, y=canvas.y + 14, cls="mark"))
    canvas.y += TITLE


def _head(node: str, x: float, column: float) -> Markup:
    half = column / 2 - 6
    return tag(
        "g",
        tag("rect", x=x - half, y=4.0, width=half * 2, height=22.0, rx=5, cls="life-box"),
        tag("text", node, x=x, y=19.5, text_anchor="middle", cls="name"),
    )


def _heading(trip: Trip, tr: Language) -> str:
    return f"#{trip.number}  +{trip.ms:,.2f} ms  {tr(trip.title)}"


def _trip(canvas: _Canvas, trip: Trip) -> None:
    tr = canvas.tr
    text = tag("text", _heading(trip, tr), x=PAD, y=canvas.y + 15, cls="packet-title")
    if canvas.target:
        text = tag("a", text, href=f"{canvas.target}{trip.number}")
    canvas.y += TITLE
    ignored = {copy.leg for copy in trip.ignored}
    parents = {leg.parent for leg in trip.legs}
    ttl = {rewrite.leg: rewrite.ttl_after for rewrite in trip.rewrites}
    arrows = []
    for leg in trip.legs:
        final = leg.index not in parents
        new_ttl = ttl.get(leg.index)
        label = f"TTL {new_ttl}" if new_ttl is not None else ""
        arrows.append(_arrow(canvas, leg, leg.index in ignored, final, label))
        canvas.y += ROW
    canvas.parts.append(tag("g", text, arrows, cls=f"trip {family(trip)}"))
    if trip.frames > len(trip.legs):
        _line(canvas, tr(more_frames_of_storm(trip.frames - len(trip.legs))))


def _arrow(canvas: _Canvas, leg: Leg, ignored: bool, final: bool, label: str) -> Markup:
    tr, y = canvas.tr, canvas.y + 6
    x1 = canvas.lifelines[leg.tail or leg.head]
    x2 = canvas.lifelines.get(leg.head, x1 + 40)
    away = 1 if x2 >= x1 else -1
    hint = say(
        "{sender} → {receiver}, frames {sent} → {received}",
        sender=leg.tail_interface,
        receiver=leg.head_interface or "-",
        sent=leg.sent or "-",
        received=leg.received or "-",
    )
    parts = [tag("title", tr(listed([hint, term("ignored")]) if ignored else hint))]
    if leg.lost:
        return tag("g", *parts, *_lost(x1, x2, y, tr), cls="frame lost")
    if leg.unseen:
        parts.append(
            tag("text", "?", x=x2 - away * 14, y=y - 3.5, cls="mark", text_anchor="middle")
        )
    tip = x2 - away * (5.5 if ignored else 1.5)
    parts.append(tag("line", x1=x1, y1=y, x2=tip, y2=y, cls="arrow"))
    if ignored:
        parts.append(tag("circle", cx=x2 - away * 3, cy=y, r=3, cls="ring"))
    else:
        back = x2 - away * 8
        points = f"{x2 - away:.1f},{y} {back:.1f},{y - 4} {back:.1f},{y + 4}"
        parts.append(tag("polygon", points=points, cls="tip" if final else "tip passing"))
    if label:
        parts.append(
            tag("text", label, x=x1 + away * 7, y=y - 3.5, cls="mark",
                text_anchor="start" if away > 0 else "end")
        )  # fmt: skip
    return tag("g", *parts, cls="frame ignored" if ignored else "frame")


def _lost(x1: float, x2: float, y: float, tr: Language) -> list[Markup]:
    """An arrow from x1 that ends in a cross half-way to x2."""
    away = 1 if x2 >= x1 else -1
    middle = (x1 + x2) / 2
    cross = f"M{middle - 4:.1f} {y - 4}l8 8M{middle + 4:.1f} {y - 4}l-8 8"
    return [
        tag("line", x1=x1, y1=y, x2=middle, y2=y, cls="arrow"),
        tag("path", d=cross, cls="cross"),
        tag("text", tr(term("lost")), x=middle + away * 10, y=y + 4, cls="mark bad",
            text_anchor="start" if away > 0 else "end"),
    ]  # fmt: skip


LEGEND = term(
    "Filled tip: the frame arrived. Dashed with a ring: a copy that the node ignored. Cross: "
    "lost. A frame that a router made bears the new TTL."
)
