# SPDX-License-Identifier: Apache-2.0
"""Which controller was in charge of a switch, and when that changed: from the OpenFlow channel.

What lives here: connections that begin while a story runs, and roles (OpenFlow 1.3.5, 6.3.5). What
must not: why a controller ended, for no frame shows it.

1. A switch that says its features to a controller, while another one is at the other end of an
   older connection, has a new controller; unless that one claims to be a slave.
2. Who claims to be master of a switch is in charge of it.
3. What happened before the story's first frame is how the network came up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hoplab.follow.wiring import natural
from hoplab.sentences import listed, say, term
from hoplab.story.conversation import ChannelMessage, Connection
from hoplab.story.records import Remark, Step
from hoplab.story.trip_records import Trip

MOST_NAMED = 5  # switches


@dataclass(slots=True)
class Change:
    """A switch has another controller from then on. generation: of its claim to be master, if it
    made one."""

    t_ns: int
    connection: Connection
    node: str
    generation: int | None = None


def changes(
    switches: Mapping[Connection, str], messages: Sequence[ChannelMessage], started_ns: int
) -> list[Change]:
    """All changes after the story's first frame, in order. switches: who is at the other end, as
    far as it is known."""
    older: set[Connection] = set()  # those that have spoken so far
    by_connection: dict[Connection, Change] = {}
    for heard in messages:
        message, connection = heard.message, heard.connection
        node = switches.get(connection, "")
        if message.dpid is not None:
            connected = {switches.get(earlier, node) for earlier in older - {connection}}
            if node in connected and heard.t_ns > started_ns:
                by_connection[connection] = Change(heard.t_ns, connection, node)
        elif message.role == "slave":
            by_connection.pop(connection, None)
        elif message.role == "master" and heard.t_ns > started_ns:
            change = by_connection.setdefault(connection, Change(heard.t_ns, connection, node))
            change.generation = message.generation
        older.add(connection)
    return sorted(by_connection.values(), key=lambda change: change.t_ns)


def add_changes(
    steps: Sequence[Step], trips: Sequence[Trip], all_changes: Sequence[Change], started_ns: int
) -> None:
    """Says each change once, in the step in whose time it fell."""
    begins = {trip.number: trip.t_ns for trip in trips}
    by_step: dict[int, list[Change]] = {}
    for change in all_changes:
        place = max(
            (
                (begins[number], place)
                for place, step in enumerate(steps)
                for number in step.trips
                if begins[number] <= change.t_ns
            ),
            default=(0, 0),
        )[1]
        by_step.setdefault(place, []).append(change)
    for place, in_step in by_step.items():
        if place < len(steps):
            steps[place].remarks += _remarks(in_step, started_ns)


def _remarks(in_step: Sequence[Change], started_ns: int) -> list[Remark]:
    """One sentence for all switches that one controller took over."""
    by_port: dict[tuple[int, bool], list[Change]] = {}
    for change in in_step:
        key = (change.connection[2], change.generation is None)
        by_port.setdefault(key, []).append(change)
    remarks = []
    for (port, plain), alike in by_port.items():
        names = sorted({change.node for change in alike if change.node}, key=natural)
        values = {
            "ms": (alike[0].t_ns - started_ns) / 1e6, "port": port, "switches": _switches(names),
        }  # fmt: skip
        if plain:
            text = say(
                "At +{ms:.2f} ms another controller (port {port}) took charge of {switches}.",
                **values,
            )
        else:
            generation = max(change.generation or 0 for change in alike)
            text = say(
                "At +{ms:.2f} ms another controller (port {port}) took charge of {switches} as its "
                "master (OpenFlow roles, generation {generation}).",
                generation=generation, **values,
            )  # fmt: skip
        remarks.append(Remark("controller-changed", text))
    return remarks


def _switches(names: Sequence[str]) -> str:
    """'s1, s2'; of many the first and the last, and how many they are."""
    if not names:
        return term("a switch")
    if len(names) > MOST_NAMED:
        first = listed(names[:MOST_NAMED])
        return say("{first} … {last} ({n})", first=first, last=names[-1], n=len(names))
    return listed(names)
