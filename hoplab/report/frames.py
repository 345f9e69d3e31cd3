# SPDX-License-Identifier: Apache-2.0
"""One packet in full, as HTML: each frame at each hop, what each node changed, and the bytes.

What lives here: the inside of a packet's `<details>`. Copies that switches made are the same bytes,
so bytes are shown once for each different frame, and the links that bore it are named.
"""

from __future__ import annotations

from collections.abc import Mapping

from hoplab.capture.observation import Observation
from hoplab.decode import packet as wire
from hoplab.report.cutter import Field
from hoplab.report.fields import changes, fields
from hoplab.report.language import Language
from hoplab.report.markup import Child, Markup, join, tag
from hoplab.runs import data_of
from hoplab.sentences import listed, number_of, say, term
from hoplab.story.tcp_sentences import of_segment
from hoplab.story.trip_records import Leg, Trip

Frames = Mapping[int, Observation]
_LAYERS = {"Ethernet": "eth", "ARP": "net", "IPv4": "net", "IPv6": "net"}
_APPLICATION = ("DNS", "HTTP", "data")
LONGEST = 4096  # bytes of one frame that are shown; an offloaded segment may have 64 KB


def packet(trip: Trip, frames: Frames, tr: Language, *, bytes_too: bool = True) -> Markup:
    """Everything about a packet below its title. Without `bytes_too` the hex views are left out."""
    return join(
        tag("p", tr(say("why: {cause}", cause=tr(trip.cause))), cls="why") if trip.cause else None,
        _decisions(trip, tr),
        [tag("p", tr(note), cls="note") for note in trip.notes],
        tag("p", "✗ ", tr(trip.ended), cls="bad") if trip.ended else None,
        _timing(trip, tr),
        tag("h4", tr(term("Frame by frame"))),
        _table(trip, frames, tr),
        _nodes(trip, frames, tr),
        _bytes(trip, frames, tr) if bytes_too else None,
    )


def _timing(trip: Trip, tr: Language) -> Markup | None:
    """What the numbers and times of a TCP segment tell."""
    sentences = of_segment(trip.timing) if trip.timing is not None else []
    if not sentences:
        return None
    return tag("p", tr(say("TCP: {figures}", figures=listed(sentences))), cls="why")


def _decisions(trip: Trip, tr: Language) -> Markup | None:
    """Why switches did what they did; of a flow that floods by itself once a switch."""
    parts: list[Child] = []
    explained = set()
    for decision in trip.decisions:
        if decision.by != "controller" and decision.node in explained:
            continue
        explained.add(decision.node)
        parts.append(tag("p", tr(decision.sentence), cls="why"))
        inside: list[Child] = []
        if decision.by == "controller" and decision.flow:
            inside.append(_flow(tr(term("asked by the flow:")), decision.flow))
        inside += [_flow(tr(term("installed:")), flow) for flow in decision.installed]
        if decision.packet_in:
            numbers = say(
                "frames in the capture: {sent} → {received}",
                sent=decision.packet_in,
                received=decision.packet_out or "-",
            )
            inside.append(tag("li", tr(numbers)))
        if inside:
            parts.append(tag("ul", inside, cls="flows"))
    return join(*parts) if parts else None


def _flow(label: str, flow: str) -> Markup:
    return tag("li", label, " ", tag("code", flow))


def _table(trip: Trip, frames: Frames, tr: Language) -> Markup:
    ignored = {copy.leg: copy.by for copy in trip.ignored}
    parents = {leg.parent for leg in trip.legs}
    rows = []
    for leg in trip.legs:
        ttl = wire.decode(data_of(leg, frames)).ttl
        rows.append(
            tag(
                "tr",
                tag("td", f"{leg.tail_interface} → {leg.head_interface or '-'}", cls="mono"),
                tag("td", f"{leg.sent or '-'} → {leg.received or '-'}", cls="mono num"),
                tag("td", leg.src_mac, cls="mono"),
                tag("td", leg.dst_mac, cls="mono"),
                tag("td", "" if ttl is None else str(ttl), cls="mono num"),
                tag("td", f"{leg.length:,}", cls="mono num"),
                tag("td", _fate(trip, leg, ignored.get(leg.index), leg.index in parents, tr)),
                cls="dim" if leg.index in ignored else None,
            )
        )
    heads = (
        (term("link"), False),
        (term("frames in the capture"), True),
        (term("source MAC"), False),
        (term("destination MAC"), False),
        (term("TTL"), True),
        (term("bytes"), True),
        (term("what became of it"), False),
    )
    cells = [
        tag("th", tr(head), scope="col", cls="num" if numeric else None)
        for head, numeric in heads
    ]
    head = tag("thead", tag("tr", cells))
    return tag("div", tag("table", head, tag("tbody", rows)), cls="scroll")


def _fate(trip: Trip, leg: Leg, ignored_by: str | None, passed_on: bool, tr: Language) -> Markup:
    """What became of a frame, and how sure that is. ignored_by: the card or the software of the
    node that it reached, None if neither ignored it."""
    fate = _end(trip, leg, ignored_by, passed_on, tr)
    if leg.healed:
        fate = join(fate, " ", tag("small", tr(term("seen at one end only"))))
    if leg.uncertain:
        fate = join(fate, " ", tag("small", tr(term("one of several like it"))))
    return fate


def _end(trip: Trip, leg: Leg, ignored_by: str | None, passed_on: bool, tr: Language) -> Markup:
    if leg.lost:
        return tag("b", "✗ ", tr(term("lost")), cls="bad")
    if leg.cut:
        return join("… ", tr(term("the capture ended")))
    if leg.unseen and not trip.proved:
        return join("? ", tr(term("not seen to arrive")))
    if ignored_by == "card":
        return join("○ ", tr(term("ignored (another card's MAC)")))
    if ignored_by is not None:
        return join("○ ", tr(term("ignored (not its address)")))
    if passed_on:
        return join("→ ", tr(term("passed on")))
    if leg.head in trip.delivered:
        return join("✓ ", tr(term("arrived")))
    if trip.fate == "cut":
        return join("… ", tr(term("the capture ended")))
    if trip.doubt and not trip.proved:
        return join("? ", tr(term("not seen to go on")))
    return tag("b", "✗ ", tr(term("went no further")), cls="bad")


def _nodes(trip: Trip, frames: Frames, tr: Language) -> Markup | None:
    """In and out of each node on the way, field by field."""
    by_parent: dict[int, list[Leg]] = {}
    for leg in trip.legs:
        if leg.parent is not None:
            by_parent.setdefault(leg.parent, []).append(leg)
    if not by_parent:
        return None
    parts: list[Child] = [tag("h4", tr(term("In and out of each node")))]
    for parent, children in sorted(by_parent.items(), key=lambda item: item[1][0].t_ns):
        before = data_of(trip.legs[parent], frames)
        node = children[0].tail
        if all(wire.strip_padding(data_of(leg, frames)) == wire.strip_padding(before)
               for leg in children):  # fmt: skip
            passed = say(
                "in by {port}, out by {ports}: not one byte changed",
                port=trip.legs[parent].head_interface,
                ports=listed(leg.tail_interface for leg in children),
            )
            parts.append(tag("p", tag("b", node), " ", tr(passed), cls="passed"))
            continue
        for leg in children:
            parts.append(_change(node, trip.legs[parent], leg, before, frames, tr))
    return join(parts)


def _change(node: str, into: Leg, out: Leg, before: bytes, frames: Frames, tr: Language) -> Markup:
    changed, same = changes(before, data_of(out, frames))
    rows = [
        tag(
            "tr",
            tag("th", tr.value(change.layer), " ", tr(change.name), scope="row"),
            tag("td", tr.value(change.before) or "-", cls="mono"),
            tag("td", "→", cls="arrow-cell"),
            tag("td", tr.value(change.after) or "-", cls="mono"),
        )
        for change in changed
    ]
    ports = say("in by {port}, out by {port2}", port=into.head_interface, port2=out.tail_interface)
    caption = tag("caption", tag("b", node), " ", tr(ports))
    rest = tr(number_of("{n:,} other field unchanged", "{n:,} other fields unchanged", same))
    foot = tag("tfoot", tag("tr", tag("td", rest, colspan=4)))
    return tag("div", tag("table", caption, tag("tbody", rows), foot, cls="change"), cls="scroll")


def _bytes(trip: Trip, frames: Frames, tr: Language) -> Markup:
    """A hex view for each different frame of the packet."""
    different: dict[bytes, list[Leg]] = {}
    for leg in trip.legs:
        data = data_of(leg, frames)
        if data:
            different.setdefault(wire.strip_padding(data), []).append(leg)
    parts: list[Child] = [tag("h4", tr(term("Bytes")))]
    for data, legs in different.items():
        first = f"{legs[0].tail_interface} → {legs[0].head_interface or '-'}"
        size = tr(number_of("{n:,} byte", "{n:,} bytes", len(data)))
        links = number_of("and on {n:,} more link", "and on {n:,} more links", len(legs) - 1)
        also = f" · {tr(links)}" if len(legs) > 1 else ""
        summary = tag("summary", tag("span", first, cls="mono"), f" · {size}", also)
        parts.append(tag("details", summary, hex_view(data, tr), cls="bytes"))
    return join(parts)


def hex_view(data: bytes, tr: Language) -> Markup:
    """Offset, hex and text in rows of sixteen, each field a piece of its own; and all fields by
    name. A piece and its name share `data-f`, by which the page joins them."""
    shown = data[:LONGEST]
    pieces = [piece for piece in fields(data) if piece.start < len(shown)]
    owner: list[int] = [0] * len(shown)
    for place, piece in enumerate(pieces):
        for at in range(piece.start, min(piece.end, len(shown))):
            owner[at] = place
    rows = [_row(shown, at, owner, pieces, tr) for at in range(0, len(shown), 16)]
    cut = None
    if len(data) > len(shown):
        n = len(data) - len(shown)
        rest = number_of("{n:,} more byte is not shown", "{n:,} more bytes are not shown", n)
        cut = tag("p", tr(rest), cls="note")
    names, layer = [], ""
    for place, piece in enumerate(pieces):
        if piece.layer != layer:
            layer = piece.layer
            names.append(tag("dt", tr.value(layer), cls=_layer(layer)))
        value = tag("span", tr.value(piece.value), cls="mono")
        text = join(tag("span", tr(piece.name)), " ", value)
        names.append(tag("dd", text, data_f=place, tabindex=0))
    return tag(
        "div",
        tag("div", rows, cls="hex"),
        tag("p", " ", cls="field-now", aria_live="polite"),
        cut,
        tag("dl", names, cls="fields"),
        cls="hexview",
    )


def _layer(name: str) -> str:
    if name.startswith("802.1Q"):
        return "layer-eth"
    if name in _APPLICATION:
        return "layer-app"
    return f"layer-{_LAYERS.get(name, 'transport')}"


def _row(data: bytes, at: int, owner: list[int], pieces: list[Field], tr: Language) -> Markup:
    codes: list[Child] = []
    texts: list[Child] = []
    end = min(at + 16, len(data))
    start = at
    while start < end:
        place = owner[start]
        stop = start
        while stop < end and owner[stop] == place:
            stop += 1
        piece = pieces[place]
        raw = data[start:stop]
        hint = say("{layer} {name}: {value}", layer=piece.layer, name=piece.name, value=piece.value)
        title = tr(hint)
        cls = f"{_layer(piece.layer)} {'odd' if place % 2 else 'even'}"
        codes += [tag("span", raw.hex(" "), data_f=place, title=title, cls=cls), " "]
        text = "".join(chr(byte) if 32 <= byte < 127 else "·" for byte in raw)
        texts.append(tag("span", text, data_f=place, cls=cls))
        start = stop
    gap = "   " * (at + 16 - end)
    return tag(
        "div",
        tag("span", f"{at:04x}", cls="offset"),
        tag("span", codes, gap, cls="codes"),
        tag("span", texts, cls="texts"),
    )
