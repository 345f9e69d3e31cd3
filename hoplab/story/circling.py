# SPDX-License-Identifier: Apache-2.0
"""A frame that went in circles, because switches stand in a loop: how often it came back, and how
many copies of it there were.

What lives here: the copies of one frame, told one by one or only counted. What must not: what all
that went round a loop cost (`storms.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from hoplab.follow.model import Hop, Origin, Tally
from hoplab.sentences import say, term
from hoplab.story.counts import frame_count, times
from hoplab.story.places import Places
from hoplab.story.silence import loop_of_switches
from hoplab.story.trip_records import Rest, Storm


def find_storm(places: Places, hops: list[Hop]) -> Storm | None:
    """What the tallies say, if the frame left a port more than once, and not only because a switch
    made several copies for the same port."""
    of_storm = [hop for hop in hops if _more_than_once(hop)]
    if not of_storm:
        return None
    tallies = {id(hop.tally.top): hop.tally.top for hop in of_storm if hop.tally is not None}
    counted = any(tally.counted for tally in tallies.values())
    circles = any(_comes_back(places, hop) for hop in of_storm)
    circles = circles or (counted and bool(loop_of_switches(places.wiring)))
    if not circles and not counted:
        return None
    node, back = places.node(hops[0].head), 0
    if circles:
        node, back = _came_back(places, node, of_storm, tallies.values())
    last_ns = _last_seen_ns(hops[0], of_storm, tallies.values())
    rest = [part for tally in tallies.values() for part in _rest(places, tally)]
    frames = len(hops) + sum(part.frames for part in rest)
    return Storm(node, back, (last_ns - hops[0].t_ns) / 1e6, frames, tuple(rest))


def _more_than_once(hop: Hop) -> bool:
    """Whether the frame, or a copy of it, left some port more than once."""
    return hop.tally is not None and max(hop.tally.top.left.values()) > 1


def _comes_back(places: Places, hop: Hop) -> bool:
    """The frame that this one is a copy of has been at the same switch before."""
    node, above = places.node(hop.head), hop
    if not places.switch(node):
        return False
    while above.origin == Origin.SWITCHED and (parent := above.parent) is not None:
        if places.node(parent.head) == node:
            return True
        above = parent
    return False


def _came_back(
    places: Places, entry: str, of_storm: list[Hop], tallies: Iterable[Tally]
) -> tuple[str, int]:
    """The switch that the frame came back to most often, and how often. entry: where it came in."""
    arrived: Counter[str] = Counter()
    for hop in of_storm:
        if hop.received is not None:
            arrived[places.node(hop.head)] += 1
    for tally in tallies:
        for port, count in tally.came.items():
            arrived[places.node(port)] += count
    back = {node: count - 1 for node, count in arrived.items() if places.switch(node)}
    # The switch where the frame came in is the one to look at, unless the loop is elsewhere.
    node = max(back, key=lambda switch: (back[switch], switch == entry), default="")
    if back.get(entry, 0) * 2 >= back.get(node, 0):
        node = entry
    return node, back.get(node, 0)


def _last_seen_ns(first: Hop, of_storm: list[Hop], tallies: Iterable[Tally]) -> int:
    seen_ns = [(hop.received or hop.seen).t_ns for hop in of_storm]
    return max([first.t_ns, *seen_ns, *(tally.last_ns for tally in tallies)])


def _rest(places: Places, tally: Tally) -> Iterator[Rest]:
    """The copies that are only counted, by the link that they went over."""
    for tail, count in tally.counted.items():
        head = places.wiring.peer(tail) if tail is not None else None
        names = places.name(tail), places.node(head), places.name(head)
        yield Rest(*names, count, tally.came.get(head, 0))


def storm_notes(storm: Storm | None, hops: list[Hop]) -> list[str]:
    if storm is None and any(hop.more for hop in hops):
        note = term(
            "the same bytes go round already: its copies are counted among those of that storm"
        )
        return [note]
    if storm is None:
        return []
    shown = len(hops)
    if not storm.back:
        note = say(
            "switches made {frames} of it; the first {shown:,} are told one by one",
            frames=frame_count(storm.frames), shown=shown,
        )  # fmt: skip
    elif storm.frames == shown:
        note = say(
            "this frame came back to {switch} {times} in {ms:,.1f} ms: a storm of {frames}",
            switch=storm.node, times=times(storm.back), ms=storm.ms,
            frames=frame_count(storm.frames),
        )  # fmt: skip
    else:
        note = say(
            "this frame came back to {switch} {times} in {ms:,.1f} ms: a storm of {frames}; the "
            "first {shown:,} are told one by one, the others counted",
            switch=storm.node, times=times(storm.back), ms=storm.ms,
            frames=frame_count(storm.frames), shown=shown,
        )  # fmt: skip
    return [note]
