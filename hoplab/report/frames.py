# SPDX-License-Identifier: Apache-2.0
"""One packet in full, as HTML: each frame at each hop, what each node changed, and the bytes.

What lives here: the inside of a packet's `<details>`. Copies that switches made are the same bytes,
so bytes are shown once for each different frame, and the links that bore it are named.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from hoplab.capture.observation import Observation
from hoplab.decode import packet as wire
from hoplab.report.fields import Field, changes, fields
from hoplab.report.language import Language
from hoplab.report.markup import Child, Markup, join, tag
from hoplab.story.records import Leg, Trip
from hoplab.story.titles import plural

Frames = Mapping[int, Observation]
_LAYERS = {"Ethernet": "eth", "ARP": "net", "IPv4": "net", "IPv6": "net"}
_APPLICATION = ("DNS", "HTTP", "data")
_SIZE = re.compile(r"[\d,]+ bytes?|.*, but other bytes")
LONGEST = 4096  # bytes of one frame that are shown; an offloaded segment may have 64 KB


def packet(trip: Trip, frames: Frames, tr: Language, *, bytes_too: bool = True) -> Markup:
    """Everything about a packet below its title. Without `bytes_too` the hex views are left out."""
    return join(
        tag("p", tr.label("why:", tr(trip.cause)), cls="why") if trip.cause else None,
        _decisions(trip, tr),
        [tag("p", tr(note), cls="note") for note in trip.notes],
        tag("p", "✗ ", tr(trip.ended), cls="bad") if trip.ended else None,
        tag("h4", tr("Frame by frame")),
        _table(trip, frames, tr),
        _nodes(trip, frames, tr),
        _bytes(trip, frames, tr) if bytes_too else None,
    )


def _decisions(trip: Trip, tr: Language) -> Markup | None:
    """Why switches did what they did; of a flow that floods by itself once a switch."""
    told: list[Child] = []
    said = set()
    for one in trip.decisions:
        if one.by != "controller" and one.node in said:
            continue
        said.add(one.node)
        told.append(tag("p", tr(one.sentence), cls="why"))
        inside: list[Child] = []
        if one.by == "controller" and one.flow:
            inside.append(tag("li", tr.label("asked by the flow:", ""), tag("code", one.flow)))
        inside += [
            tag("li", tr.label("installed:", ""), tag("code", flow)) for flow in one.installed
        ]
        if one.packet_in:
            numbers = f"frames in the capture: {one.packet_in} → {one.packet_out or '-'}"
            inside.append(tag("li", tr(numbers)))
        if inside:
            told.append(tag("ul", inside, cls="flows"))
    return join(*told) if told else None


def data_of(leg: Leg, frames: Frames) -> bytes:
    """The frame on a link, as sent if that was seen, else as received."""
    seen = frames.get(leg.sent or 0) or frames.get(leg.received or 0)
    return seen.data if seen is not None else b""


def _table(trip: Trip, frames: Frames, tr: Language) -> Markup:
    ignored = {one.leg: one.by for one in trip.ignored}
    parents = {leg.parent for leg in trip.legs}
    heads = ("link", "frames in the capture", "source MAC", "destination MAC", "TTL", "bytes",
             "what became of it")  # fmt: skip
    rows = []
    for leg in trip.legs:
        if leg.lost:
            fate = tag("b", "✗ ", tr("lost"), cls="bad")
        elif leg.cut:
            fate = join("… ", tr("the capture ended"))
        elif leg.unseen and not trip.proved:
            fate = join("? ", tr("not seen to arrive"))
        elif leg.index in ignored:
            why = "another card's MAC" if ignored[leg.index] == "card" else "not its address"
            fate = join("○ ", tr("ignored"), tr.aside(tr(why)))
        elif leg.index in parents:
            fate = join("→ ", tr("passed on"))
        elif leg.head in trip.delivered:
            fate = join("✓ ", tr("arrived"))
        elif trip.fate == "cut":
            fate = join("… ", tr("the capture ended"))
        elif trip.doubt and not trip.proved:
            fate = join("? ", tr("not seen to go on"))
        else:
            fate = tag("b", "✗ ", tr("went no further"), cls="bad")
        if leg.healed:
            fate = join(fate, " ", tag("small", tr("seen at one end only")))
        if leg.uncertain:
            fate = join(fate, " ", tag("small", tr("one of several like it")))
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
                tag("td", fate),
                cls="dim" if leg.index in ignored else None,
            )
        )
    numeric = ("frames in the capture", "TTL", "bytes")
    cells = [
        tag("th", tr(one), scope="col", cls="num" if one in numeric else None) for one in heads
    ]
    head = tag("thead", tag("tr", cells))
    return tag("div", tag("table", head, tag("tbody", rows)), cls="scroll")


def _nodes(trip: Trip, frames: Frames, tr: Language) -> Markup | None:
    """In and out of each node on the way, field by field."""
    by_parent: dict[int, list[Leg]] = {}
    for leg in trip.legs:
        if leg.parent is not None:
            by_parent.setdefault(leg.parent, []).append(leg)
    if not by_parent:
        return None
    parts: list[Child] = [tag("h4", tr("In and out of each node"))]
    for parent, children in sorted(by_parent.items(), key=lambda one: one[1][0].t_ns):
        before = data_of(trip.legs[parent], frames)
        node = children[0].tail
        if all(wire.strip_padding(data_of(leg, frames)) == wire.strip_padding(before)
               for leg in children):  # fmt: skip
            out = ", ".join(leg.tail_interface for leg in children)
            said = f"in by {trip.legs[parent].head_interface}, out by {out}: not one byte changed"
            parts.append(tag("p", tag("b", node), " ", tr(said), cls="passed"))
            continue
        for leg in children:
            parts.append(_change(node, trip.legs[parent], leg, before, frames, tr))
    return join(parts)


def _change(node: str, into: Leg, out: Leg, before: bytes, frames: Frames, tr: Language) -> Markup:
    found, same = changes(before, data_of(out, frames))
    rows = [
        tag(
            "tr",
            tag("th", layer_name(one.layer, tr), " ", tr(one.name), scope="row"),
            tag("td", value(one.name, one.before, tr) or "-", cls="mono"),
            tag("td", "→", cls="arrow-cell"),
            tag("td", value(one.name, one.after, tr) or "-", cls="mono"),
        )
        for one in found
    ]
    said = f"in by {into.head_interface}, out by {out.tail_interface}"
    caption = tag("caption", tag("b", node), " ", tr(said))
    rest = tr(f"{plural(same, 'other field')} unchanged")
    foot = tag("tfoot", tag("tr", tag("td", rest, colspan=4)))
    return tag("div", tag("table", caption, tag("tbody", rows), foot, cls="change"), cls="scroll")


def _bytes(trip: Trip, frames: Frames, tr: Language) -> Markup:
    """A hex view for each different frame of the packet."""
    different: dict[bytes, list[Leg]] = {}
    for leg in trip.legs:
        data = data_of(leg, frames)
        if data:
            different.setdefault(wire.strip_padding(data), []).append(leg)
    parts: list[Child] = [tag("h4", tr("Bytes"))]
    for data, legs in different.items():
        first = f"{legs[0].tail_interface} → {legs[0].head_interface or '-'}"
        size = tr(plural(len(data), "byte"))
        more = tr(f"and on {plural(len(legs) - 1, 'more link')}") if len(legs) > 1 else ""
        summary = tag("summary", tag("span", first, cls="mono"), f" · {size}",
                      f" · {more}" if more else "")  # fmt: skip
        parts.append(tag("details", summary, hex_view(data, tr), cls="bytes"))
    return join(parts)


def hex_view(data: bytes, tr: Language) -> Markup:
    """Offset, hex and text in rows of sixteen, each field a piece of its own; and all fields by
    name. A piece and its name share `data-f`, by which the page joins them."""
    shown = data[:LONGEST]
    found = [one for one in fields(data) if one.start < len(shown)]
    owner: list[int] = [0] * len(shown)
    for place, one in enumerate(found):
        for at in range(one.start, min(one.end, len(shown))):
            owner[at] = place
    rows = [_row(shown, at, owner, found, tr) for at in range(0, len(shown), 16)]
    cut = None
    if len(data) > len(shown):
        cut = tag("p", tr(f"{len(data) - len(shown):,} more bytes are not shown"), cls="note")
    names, layer = [], ""
    for place, one in enumerate(found):
        if one.layer != layer:
            layer = one.layer
            names.append(tag("dt", layer_name(layer, tr), cls=_layer(layer)))
        said = value(one.name, one.value, tr)
        text = join(tag("span", tr(one.name)), " ", tag("span", said, cls="mono"))
        names.append(tag("dd", text, data_f=place, tabindex=0))
    return tag(
        "div",
        tag("div", rows, cls="hex"),
        tag("p", " ", cls="field-now", aria_live="polite"),
        cut,
        tag("dl", names, cls="fields"),
        cls="hexview",
    )


def layer_name(layer: str, tr: Language) -> str:
    """Protocols are called the same everywhere."""
    return tr(layer) if layer == "data" else layer


def value(name: str, text: str, tr: Language) -> str:
    """A field's value. Values are data, never sentences, but for the few words that `fields` puts
    beside them."""
    if name == "header checksum":
        for word in ("right", "wrong"):
            text = text.replace(f"({word})", f"({tr(word)})")
    elif _SIZE.fullmatch(text):
        return tr(text)
    return text


def _layer(name: str) -> str:
    if name.startswith("802.1Q"):
        return "layer-eth"
    if name in _APPLICATION:
        return "layer-app"
    return f"layer-{_LAYERS.get(name, 'transport')}"


def _row(data: bytes, at: int, owner: list[int], found: list[Field], tr: Language) -> Markup:
    codes: list[Child] = []
    texts: list[Child] = []
    end = min(at + 16, len(data))
    start = at
    while start < end:
        place = owner[start]
        stop = start
        while stop < end and owner[stop] == place:
            stop += 1
        one = found[place]
        raw = data[start:stop]
        said = value(one.name, one.value, tr)
        title = f"{layer_name(one.layer, tr)} {tr(one.name)}: {said}"
        cls = f"{_layer(one.layer)} {'odd' if place % 2 else 'even'}"
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
