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
from hoplab.story.conversation import Connection, Said
from hoplab.story.records import Remark, Step, Trip

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
    switches: Mapping[Connection, str], said: Sequence[Said], started_ns: int
) -> list[Change]:
    """All changes after the story's first frame, in order. switches: who is at the other end, as
    far as it is known."""
    others: set[Connection] = set()  # those that have spoken so far
    found: dict[Connection, Change] = {}
    for one in said:
        message, connection = one.message, one.connection
        node = switches.get(connection, "")
        if message.dpid is not None:
            older = {switches.get(other, node) for other in others - {connection}}
            if node in older and one.t_ns > started_ns:
                found[connection] = Change(one.t_ns, connection, node)
        elif message.role == "slave":
            found.pop(connection, None)
        elif message.role == "master" and one.t_ns > started_ns:
            change = found.setdefault(connection, Change(one.t_ns, connection, node))
            change.generation = message.generation
        others.add(connection)
    return sorted(found.values(), key=lambda change: change.t_ns)


def add_changes(
    steps: Sequence[Step], trips: Sequence[Trip], found: Sequence[Change], started_ns: int
) -> None:
    """Says each change once, in the step in whose time it fell."""
    begins = {trip.number: trip.t_ns for trip in trips}
    at: dict[int, list[Change]] = {}
    for change in found:
        step = max(
            (
                (begins[number], place)
                for place, one in enumerate(steps)
                for number in one.trips
                if begins[number] <= change.t_ns
            ),
            default=(0, 0),
        )[1]
        at.setdefault(step, []).append(change)
    for place, some in at.items():
        if place < len(steps):
            steps[place].remarks += _remarks(some, started_ns)


def _remarks(some: Sequence[Change], started_ns: int) -> list[Remark]:
    """One sentence for all switches that one controller took over."""
    by_port: dict[tuple[int, bool], list[Change]] = {}
    for change in some:
        by_port.setdefault((change.connection[2], change.generation is None), []).append(change)
    out = []
    for (port, plain), same in by_port.items():
        names = sorted({change.node for change in same if change.node}, key=natural)
        which = ", ".join(names) if names else "a switch"
        if len(names) > MOST_NAMED:
            which = f"{', '.join(names[:MOST_NAMED])} … {names[-1]} ({len(names)})"
        text = f"At +{(same[0].t_ns - started_ns) / 1e6:.2f} ms another controller (port {port}) "
        text += f"took charge of {which}"
        text += "." if plain else f" as its master (OpenFlow roles, generation {_last(same)})."
        out.append(Remark("controller-changed", text))
    return out


def _last(same: Sequence[Change]) -> int:
    return max(change.generation or 0 for change in same)
