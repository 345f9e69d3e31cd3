# SPDX-License-Identifier: Apache-2.0
"""The scene of a run: everything that the player draws and says, as columns and tables.

What lives here: what of a story goes into the page, and in which shape. What must not: drawing,
markup, any statement that is not in the story or in a captured frame.

    languages   codes, English first; the order of each row of `templates` and of each word.
                commas, joints: what stands between the items of a list, and between sentences
    templates   see `texts.py`; words: what the page itself says, by key, a row each
    maps        geometry for each level of detail (`geometry.py`): boxes, cables, the controller
    nodes       name and kind; "hub" for a switch while the hub's controller rules
    ports       name, node, MAC, addresses, OpenFlow's number; an interface is a place in this list
    trips       a column for each thing that is known of a packet; `first`: its first leg
    legs        a frame on a link each, as typed arrays in base64 (`ARRAYS`)
    asks        questions of switches to their controller, with the answers
    changes     what a switch changed in a frame, by the place of the leg that it made
    filter      the words of the list's filter
    left_out    packets and frames for which there is no room in a page
    cards       lines about a switch's decision (`flow_card.py`), once each
    steps       the steps of the lesson, with their remarks

Times are in ticks of `tick_ns` nanoseconds since the first frame.
"""

from __future__ import annotations

import base64
from array import array
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from hoplab.capture.observation import Observation
from hoplab.follow.wiring import Wiring
from hoplab.packet_filter import vocabulary
from hoplab.packet_filter.fates import CHANGED, fates
from hoplab.packet_filter.matching import ttl, words
from hoplab.report import numbers
from hoplab.report.fields import fields
from hoplab.report.language import Language
from hoplab.report.phrases import title
from hoplab.report.sequence import family
from hoplab.runs import Run, data_of
from hoplab.sentences import Sentence
from hoplab.story import fidelity_sentences
from hoplab.story.records import Step, Story
from hoplab.story.trip_records import Leg, Trip
from hoplab.web.changes import changed, changes
from hoplab.web.flow_card import flow_card
from hoplab.web.geometry import LEVELS, Map, draw_map
from hoplab.web.texts import Texts
from hoplab.web.words import WORDS

FORMAT = 1
LEAST_TICK_NS = 100
NOWHERE = 65_535  # the port at the far end of an interface that is wired to nothing
# Columns of `legs` and their types, as `array` and JavaScript's typed arrays know them.
ARRAYS = {
    "trip": "I", "parent": "i", "tail": "H", "head": "H", "t": "I", "came": "I", "sent": "I",
    "received": "I", "src": "H", "dst": "H", "ttl": "B", "length": "H", "flags": "H",
}  # fmt: skip
MOST_FRAMES = 100_000  # on links, in a page; the packets after those are left out
MOST_FIELDS = 400  # packets whose fields and bytes are in the page
MOST_CHANGES = 4000  # legs of which it is told what a switch changed
MOST_BYTES = 512  # of a frame that are shown


def scenes(kept: Sequence[Run], languages: Sequence[Language]) -> list[dict[str, Any]]:
    """The scenes of one run or of two, ready for `json.dumps`. Of two each has the name that it is
    called by, and what the two cost, in numbers."""
    if len(kept) != 2:
        return [scene(run, languages) for run in kept]
    called = numbers.names([run.story for run in kept], [run.folder.name for run in kept])
    made = []
    for run, name in zip(kept, called, strict=True):
        texts = Texts(languages, frozenset(run.wiring.nodes))
        each = scene(run, languages, texts)
        each |= {"called": name, "comparison": _comparison(kept, called, texts)}
        made.append(each)
    return made


def _comparison(kept: Sequence[Run], called: Sequence[str], texts: Texts) -> dict[str, Any]:
    first, second = (run.story.summary for run in kept)
    costs, differences = numbers.sentences(kept, called)
    average = numbers.sentence(first, second, called)
    rows = [[texts(name), *rates] for name, *rates in numbers.throughputs(first, second)]
    rows += [
        [texts(name), *(f"{count:,}" for count in counts)]
        for name, *counts in numbers.totals(first, second)
    ]
    every = [*([average] if average else []), *costs, *differences]
    return {"sentences": [texts(text) for text in every], "rows": rows}


def scene(run: Run, languages: Sequence[Language], texts: Texts | None = None) -> dict[str, Any]:
    """The scene of a run. texts: takes its sentences, where somebody has others for its table."""
    run, left_out = _bounded(run)
    wiring, story = run.wiring, run.story
    texts = texts or Texts(languages, frozenset(wiring.nodes))
    told = Told(story.trips, run.frames, wiring, story.started_ns)
    step_of = {number: at for at, step in enumerate(story.steps) for number in step.trips}
    tick_ns = _tick(run)
    packets = columns(told, tick_ns, texts, step_of)
    return {
        **_speech(languages),
        "title": texts(title(story)),
        "host": story.setting.host,
        "outcome": _outcome(story, texts),
        "tick_ns": tick_ns,
        **network(wiring, story.setting.host, controller=bool(packets["asks"])),
        "steps": [_step(step, texts) for step in story.steps],
        **packets,
        "counts": [
            [link.a_interface, link.b_interface, link.forth, link.back, link.forth_bytes,
             link.back_bytes]
            for link in story.summary.links
        ],
        "filter": vocabulary.for_page(),
        "left_out": left_out,
        "templates": texts.templates,
    }  # fmt: skip


def empty_scene(wiring: Wiring, host: str, languages: Sequence[Language]) -> dict[str, Any]:
    """The scene of a lab of which nothing is told yet. host: that the map begins with."""
    texts = Texts(languages, frozenset(wiring.nodes))
    nothing = Told((), {}, wiring, 0)
    return {
        **_speech(languages),
        "title": texts(wiring.name),
        "host": host,
        "outcome": {
            "ok": None, "mark": "", "sentence": "", "why": [], "alerts": [], "distorted": False,
            "fidelity": "",
        },
        "tick_ns": LEAST_TICK_NS,
        **network(wiring, host, controller=bool(wiring.controller)),
        "steps": [],
        **columns(nothing, LEAST_TICK_NS, texts, {}),
        "counts": [],
        "filter": vocabulary.for_page(),
        "left_out": [0, 0],
        "templates": texts.templates,
    }  # fmt: skip


def _speech(languages: Sequence[Language]) -> dict[str, Any]:
    """What a page speaks, beside the templates of what it tells."""
    return {
        "format": FORMAT,
        "languages": [language.code for language in languages],
        "commas": [language.comma for language in languages],
        "joints": [language.joint for language in languages],
        "words": speech_of(WORDS, languages),
    }


def speech_of(
    words: Mapping[str, Sentence], languages: Sequence[Language]
) -> dict[str, list[str]]:
    """Templates by their keys, in every language."""
    return {
        key: [language.template(word) or word.template for language in languages]
        for key, word in words.items()
    }


def network(wiring: Wiring, host: str, *, controller: bool) -> dict[str, Any]:
    """Nodes and ports, and where they stand. host: that the map begins with. controller: it stands
    on the map, too."""
    place = {name: at for at, name in enumerate(wiring.nodes)}
    maps = [draw_map(wiring, host, level, controller=controller) for level in range(LEVELS)]
    return {
        "topology": wiring.topology,
        "controller": wiring.controller,
        **_network(wiring, place),
        "maps": [_map(drawn, wiring) for drawn in maps],
    }


@dataclass(frozen=True)
class Told:
    """Packets, and the captured frames that tell of them, by their numbers. started_ns: when the
    time of the scene begins."""

    trips: Sequence[Trip]
    frames: Mapping[int, Observation]
    wiring: Wiring
    started_ns: int


def columns(
    told: Told, tick_ns: int, texts: Texts, step_of: Mapping[int, int]
) -> dict[str, Any]:
    """What is known of packets, and of their frames. step_of: the place of the step that a packet
    belongs to, by its number."""
    macs: _Places[str] = _Places()
    cards: _Places[tuple[str, ...]] = _Places()
    return {
        "trips": _trips(told, step_of, texts, cards),
        "legs": _legs(told, tick_ns, macs),
        "changes": _changes(told, texts),
        "asks": list(_asks(told, texts)),
        "macs": macs.texts,
        "cards": [[texts(line) for line in card] for card in cards.texts],
    }


def _bounded(run: Run) -> tuple[Run, list[int]]:
    """The run with as many packets as a page can take, and how many packets and frames of its
    others are left out."""
    frames = 0
    for place, trip in enumerate(run.story.trips):
        frames += len(trip.legs)
        if frames > MOST_FRAMES:
            rest = run.story.trips[place:]
            story = replace(run.story, trips=run.story.trips[:place])
            return replace(run, story=story), [len(rest), sum(trip.frames for trip in rest)]
    return run, [0, 0]


def _outcome(story: Story, texts: Texts) -> dict[str, Any]:
    return {
        "ok": story.outcome.ok,
        "mark": story.outcome.mark,
        "sentence": texts(story.outcome.sentence),
        "why": [texts(reason) for reason in story.outcome.why],
        "alerts": [texts(alert) for alert in story.alerts],
        "distorted": story.fidelity.distorted,
        "fidelity": texts(fidelity_sentences.verdict(story.fidelity, story.started_ns)),
    }


def _step(step: Step, texts: Texts) -> dict[str, Any]:
    return {
        "key": step.key,
        "number": step.number,
        "heading": texts(step.heading),
        "lesson": texts(step.lesson),
        "remarks": [texts(remark.text) for remark in step.remarks],
    }


def _network(wiring: Wiring, place: dict[str, int]) -> dict[str, Any]:
    """Nodes, and ports in the order of the wiring."""
    hub = wiring.controller == "hub"
    return {
        "nodes": [
            {"name": node.name, "kind": "hub" if hub and node.kind == "switch" else node.kind}
            for node in wiring.nodes.values()
        ],
        "ports": [
            {
                "name": interface.name,
                "node": place[interface.node],
                "mac": interface.mac,
                "addresses": list(interface.addresses),
                "port": interface.extra.get("port"),
            }
            for interface in wiring.interfaces
        ],
    }


Entry = TypeVar("Entry", bound=Hashable)


class _Places(dict[Entry, int]):
    """Texts, or several together, by their place in `texts`."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[Entry] = []

    def __missing__(self, text: Entry) -> int:
        self[text] = len(self.texts)
        self.texts.append(text)
        return self[text]


def _tick(run: Run) -> int:
    """Nanoseconds of a tick: 100, or what lets the last frame be counted in 32 bits."""
    start = run.story.started_ns
    last = max((leg.t_ns for trip in run.story.trips for leg in trip.legs), default=start)
    return max(LEAST_TICK_NS, -(-(last - start + 10_000_000_000) // (1 << 32)))


def _map(drawn: Map, wiring: Wiring) -> dict[str, Any]:
    boxes = [drawn.boxes[name] for name in wiring.nodes]
    port = {interface.name: at for at, interface in enumerate(wiring.interfaces)}
    return {
        "width": round(drawn.width),
        "height": round(drawn.height),
        "boxes": [
            [round(box.x, 1), round(box.y, 1), round(box.width, 1), round(box.height, 1),
             box.lines, box.plain]
            for box in boxes
        ],
        "cables": [
            [port[cable.left], port[cable.right], *(round(value, 1) for value in cable.curve)]
            for cable in drawn.cables
        ],
        "controller": drawn.controller,
    }  # fmt: skip


def _trips(
    told: Told, step_of: Mapping[int, int], texts: Texts, cards: _Places[tuple[str, ...]]
) -> dict[str, Any]:
    """A column for each thing that is known of packets, all of the same length."""
    place = {name: at for at, name in enumerate(told.wiring.nodes)}
    rows, first = [], 0
    for trip in told.trips:
        rows.append({
            "first": first,
            "step": step_of.get(trip.number, -1),
            "sender": place.get(trip.sender, -1),
            "target": place.get(trip.target, -1),
            **_trip(trip, texts, cards),
        })  # fmt: skip
        first += len(trip.legs)
    return {name: [row[name] for row in rows] for name in rows[0]} if rows else _NO_TRIPS


def _trip(trip: Trip, texts: Texts, cards: _Places[tuple[str, ...]]) -> dict[str, Any]:
    """What a packet's own records say of it."""
    return {
        "number": trip.number,
        "kind": trip.kind,
        "family": family(trip),
        "words": " ".join(sorted(words(trip))),
        "port": _client_port(trip),
        "title": texts(trip.title),
        "src": trip.src,
        "dst": trip.dst,
        "length": trip.length,
        "cause": texts(trip.cause),
        "answered_by": trip.answered_by,
        "ended": texts(trip.ended),
        "notes": [texts(note) for note in trip.notes],
        "decisions": [
            [each.leg, texts(each.sentence), cards[flow_card(each)]] for each in trip.decisions
        ],
        "translated": [
            [each.leg, each.src_before, each.dst_before, each.src_after, each.dst_after]
            for each in trip.rewrites if each.translated
        ],
        "more": trip.frames - len(trip.legs),
    }  # fmt: skip


_NO_TRIPS: dict[str, Any] = {
    name: []
    for name in (
        "first", "step", "sender", "target", "number", "kind", "family", "words", "port", "title",
        "src", "dst", "length", "cause", "answered_by", "ended", "notes", "decisions",
        "translated", "more",
    )
}  # fmt: skip


def _client_port(trip: Trip) -> int:
    """The port that tells a connection of TCP from others to the same server: the larger one,
    since servers listen on small ones; 0 where there is no connection."""
    tcp = trip.packet.tcp
    return max(tcp.sport, tcp.dport) if tcp is not None else 0


def _asks(told: Told, texts: Texts) -> Iterable[list[Any]]:
    """Packet, leg by which the frame came to the switch, wait in ms, packet-in, packet-out, what
    was answered."""
    for place, trip in enumerate(told.trips):
        for decision in trip.decisions:
            if decision.by == "controller" and decision.packet_in:
                yield [
                    place, decision.leg, decision.wait_ms, decision.packet_in, decision.packet_out,
                    texts(decision.answer),
                ]  # fmt: skip


def _changes(told: Told, texts: Texts) -> dict[int, Any]:
    """The first legs, by their places, whose bytes are not those that came to the switch."""
    out: dict[int, Any] = {}
    place = 0
    for trip in told.trips:
        for leg in trip.legs:
            if len(out) < MOST_CHANGES and _altered(trip, leg, told.frames):
                came = data_of(trip.legs[leg.parent or 0], told.frames)
                out[place + leg.index] = texts(changes(came, data_of(leg, told.frames)))
        place += len(trip.legs)
    return out


def _altered(trip: Trip, leg: Leg, frames: Mapping[int, Observation]) -> bool:
    """Whether a switch changed something in this frame."""
    if leg.origin != "switched" or leg.parent is None:
        return False
    came, went = data_of(trip.legs[leg.parent], frames), data_of(leg, frames)
    return bool(came and went) and changed(came, went)


def _legs(told: Told, tick_ns: int, macs: _Places[str]) -> dict[str, list[str]]:
    columns = {name: array(code) for name, code in ARRAYS.items()}
    port = {interface.name: at for at, interface in enumerate(told.wiring.interfaces)}
    start = told.started_ns

    def ticks(t_ns: int) -> int:
        return min(max(0, t_ns - start) // tick_ns, (1 << 32) - 1)

    for place, trip in enumerate(told.trips):
        for leg, fate in zip(trip.legs, fates(trip), strict=True):
            got = told.frames.get(leg.received or 0)
            row = (
                place,
                -1 if leg.parent is None else leg.parent,
                port.get(leg.tail_interface, NOWHERE),
                port.get(leg.head_interface, NOWHERE),
                ticks(leg.t_ns),
                ticks(got.t_ns if got is not None else leg.t_ns),
                leg.sent or 0,
                leg.received or 0,
                macs[leg.src_mac],
                macs[leg.dst_mac],
                ttl(data_of(leg, told.frames)),
                min(leg.length, NOWHERE),
                fate | (CHANGED if _altered(trip, leg, told.frames) else 0),
            )
            for column, value in zip(columns.values(), row, strict=True):
                column.append(value)
    return {
        name: [column.typecode, base64.b64encode(column.tobytes()).decode()]
        for name, column in columns.items()
    }


def inside(run: Run, languages: Sequence[Language]) -> dict[str, Any]:
    """What is inside of the frames of a run."""
    told = Told(run.story.trips, run.frames, run.wiring, run.story.started_ns)
    return inside_of(told, languages)


def inside_of(told: Told, languages: Sequence[Language]) -> dict[str, Any]:
    """The first bytes, the fields and the length of the frames of the first packets, by frame
    number: a frame that is the same as another one has the number of that one. A field: layer,
    name, start, end, value."""
    texts = Texts(languages, frozenset(told.wiring.nodes))
    frames: dict[int, Any] = {}
    same: dict[bytes, int] = {}
    for trip in told.trips[:MOST_FIELDS]:
        for leg in trip.legs:
            number = leg.sent or leg.received or 0
            data = data_of(leg, told.frames)
            if not data or number in frames:
                continue
            if data in same:
                frames[number] = same[data]
                continue
            same[data] = number
            frames[number] = [
                base64.b64encode(data[:MOST_BYTES]).decode(),
                [
                    [texts(each.layer), texts(each.name), each.start, each.end, texts(each.value)]
                    for each in fields(data)
                ],
                len(data),
            ]
    return {"frames": frames, "most": MOST_FIELDS, "templates": texts.templates}
