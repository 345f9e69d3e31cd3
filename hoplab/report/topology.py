# SPDX-License-Identifier: Apache-2.0
"""The picture of a lab as SVG: who is wired to whom, and how many frames each cable carried.

Kinds differ by shape and by a word, not by colour alone: hosts are rounded boxes, switches have a
double bar, routers are cut at the corners. The thicker a cable, the more frames went over it.
"""

from __future__ import annotations

from hoplab.follow.wiring import Wiring
from hoplab.report.language import Language
from hoplab.report.layout import LINE, Box, Picture, Wire, short
from hoplab.report.markup import Markup, tag
from hoplab.sentences import number_of, say, term
from hoplab.story.summary_records import LinkCount, Summary

PORTS_SHOWN = 24  # beyond that many cables at a box their port names would overlap


def topology(
    picture: Picture, wiring: Wiring, summary: Summary, tr: Language, title: str = ""
) -> Markup:
    """The `<svg>` of a picture. `wiring` says what else a switch is called (a hub)."""
    counts = {
        frozenset((link.a_interface, link.b_interface)): link for link in summary.links
    }
    most = max((link.frames for link in summary.links), default=0)
    busy: dict[str, int] = {}
    for wire in picture.wires:
        for node in (wire.left, wire.right):
            busy[node] = busy.get(node, 0) + 1
    hub = wiring.controller == "hub"
    return tag(
        "svg",
        tag("title", title or tr(term("Topology"))),
        tag("g", [_wire(w, counts, most, tr) for w in picture.wires], cls="wires"),
        tag("g", [_ports(w, busy) for w in picture.wires], cls="ports"),
        tag("g", [_box(box, hub, tr) for box in picture.boxes.values()], cls="boxes"),
        tag("g", [_count(w, counts, tr) for w in picture.wires], cls="counts"),
        viewBox=f"0 0 {round(picture.width)} {round(picture.height)}",
        width=round(picture.width),
        height=round(picture.height),
        cls="topology wide" if picture.width > 740 else "topology",
        role="img",
        xmlns="http://www.w3.org/2000/svg",
    )


_KINDS = {"host": term("host"), "switch": term("switch"), "router": term("router")}


def kind_word(kind: str, hub: bool) -> str:
    """'host', 'switch', 'hub' or 'router'."""
    return term("hub") if kind == "switch" and hub else _KINDS.get(kind, kind)


def _curve(wire: Wire) -> tuple[str, float, float]:
    """The path of a cable, and the middle of it."""
    reach = max(40.0, abs(wire.x2 - wire.x1) / 2)
    c1, c2 = wire.x1 + wire.side1 * reach, wire.x2 + wire.side2 * reach
    path = (
        f"M{wire.x1:.1f} {wire.y1:.1f}C{c1:.1f} {wire.y1:.1f} {c2:.1f} {wire.y2:.1f} "
        f"{wire.x2:.1f} {wire.y2:.1f}"
    )
    # The point of a cubic Bézier curve at one half.
    x = (wire.x1 + 3 * c1 + 3 * c2 + wire.x2) / 8
    return path, x, (wire.y1 + wire.y2) / 2


def _wire(
    wire: Wire,
    counts: dict[frozenset[str], LinkCount],
    most: int,
    tr: Language,
) -> Markup:
    link = counts.get(frozenset((wire.left_interface, wire.right_interface)))
    frames = link.frames if link else 0
    path, _, _ = _curve(wire)
    wide = 1.2 + (4.3 * frames / most if most else 0)
    count = number_of("{n:,} frame", "{n:,} frames", frames)
    ends = (wire.left_interface, wire.right_interface)
    hint = say("{port} ─ {port2}: {frames}", port=ends[0], port2=ends[1], frames=count)
    return tag(
        "g",
        tag("title", tr(hint)),
        tag("path", d=path, stroke_width=wide, cls="wire" if frames else "wire idle"),
    )


def _ports(wire: Wire, busy: dict[str, int]) -> list[Markup]:
    """The interfaces' names at both ends, on the side to which the cable does not bend."""
    ends = []
    bends = wire.y2 - wire.y1
    for node, name, x, y, side in (
        (wire.left, wire.left_interface, wire.x1, wire.y1, wire.side1),
        (wire.right, wire.right_interface, wire.x2, wire.y2, wire.side2),
    ):
        if busy[node] <= PORTS_SHOWN:
            anchor = "start" if side > 0 else "end"
            away = bends if (x, y) == (wire.x1, wire.y1) else -bends
            at = y + 11 if away < -12 else y - 4
            label = short(name, node)
            ends.append(tag("text", label, x=x + side * 5, y=at, cls="port", text_anchor=anchor))
    return ends


def _count(wire: Wire, counts: dict[frozenset[str], LinkCount], tr: Language) -> Markup | None:
    link = counts.get(frozenset((wire.left_interface, wire.right_interface)))
    if link is None or not link.frames:
        return None
    _, x, y = _curve(wire)
    text = f"{link.frames:,}"
    half = len(text) * 3.6 + 6
    return tag(
        "g",
        tag("rect", x=x - half, y=y - 9, width=half * 2, height=18.0, rx=9, cls="badge"),
        tag("text", text, x=x, y=y + 4, text_anchor="middle", cls="badge-text"),
    )


def _box(box: Box, hub: bool, tr: Language) -> Markup:
    x, y = box.x - box.width / 2, box.y - box.height / 2
    shapes: list[Markup] = []
    if box.kind == "router":
        cut = 10
        points = (
            (x + cut, y), (x + box.width - cut, y), (x + box.width, y + cut),
            (x + box.width, y + box.height - cut), (x + box.width - cut, y + box.height),
            (x + cut, y + box.height), (x, y + box.height - cut), (x, y + cut),
        )  # fmt: skip
        text = " ".join(f"{px:.1f},{py:.1f}" for px, py in points)
        shapes.append(tag("polygon", points=text, cls="box"))
    else:
        radius = 9 if box.kind == "host" else 2
        shapes.append(
            tag("rect", x=x, y=y, width=box.width, height=box.height, rx=radius, cls="box")
        )
    if box.kind == "switch":
        for left in (x + 4, x + box.width - 7):
            shapes.append(
                tag("rect", x=left, y=y + 4, width=3.0, height=box.height - 8, cls="bar")
            )
    word = kind_word(box.kind, hub)
    lines = [*box.lines[:1], tr(word), *box.lines[1:]]
    if box.kind == "host":
        lines = box.lines
    top = box.y - (len(lines) - 1) * LINE / 2 + 4
    texts = [
        tag(
            "text",
            line,
            x=box.x,
            y=top + place * LINE,
            text_anchor="middle",
            cls="name" if place == 0 else "detail",
        )
        for place, line in enumerate(lines)
    ]
    hint = say("{node}: {kind}", node=box.node, kind=word)
    return tag("g", tag("title", tr(hint)), *shapes, *texts, cls=f"node {box.kind}")


LEGEND = term(
    "Rounded: hosts. Two bars: switches or hubs. Cut corners: routers. The number on a "
    "cable counts its frames; a thick cable carried many."
)
