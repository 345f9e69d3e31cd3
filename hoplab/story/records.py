# SPDX-License-Identifier: Apache-2.0
"""The shape of a story: what `story.tell` returns and what `hoplab.report` shows.

What lives here: plain records. What must not: any rule about protocols (`tell.py`, `steps.py`,
`outcome.py`), any layout (`hoplab.report`), the packets (`trip_records.py`) and the numbers
(`summary_records.py`) that a story holds.

- A *step* gathers the trips that do one thing of the lesson: resolve the name, shake hands, ….
- A *remark* says how the real frames differ from the textbook, or why they came.
- The *outcome* says how it ended, and for what cause.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hoplab.story.fidelity_records import Fidelity
from hoplab.story.summary_records import Summary
from hoplab.story.tcp_records import ConnectionFigures
from hoplab.story.trip_records import Trip


@dataclass(slots=True, frozen=True)
class Request:
    """The fetch that the story is about.

    client_report: what the client program itself reported, "" if nothing; quoted, never taken as
    proof.
    """

    url: str
    client: str
    client_report: str = ""


@dataclass(slots=True, frozen=True)
class Setting:
    """Where it happened. `command` is what `hoplab trace` ran on `host`, "" for a fetch."""

    topology: str = ""
    controller: str = ""
    datapath: str = ""
    host: str = ""
    command: str = ""


@dataclass(slots=True, frozen=True)
class Mapping:
    """One frame of the textbook and the real trips that did its work (none: it did not come)."""

    textbook: str
    trips: tuple[int, ...]
    real: str


@dataclass(slots=True, frozen=True)
class Remark:
    """One honest sentence on how reality and textbook differ. `code` is stable, for tests."""

    code: str
    text: str


@dataclass(slots=True)
class Step:
    """One heading and its trips in time order.

    key: 'arp', 'dns', 'handshake', 'http', 'close', 'tcp', 'ping', 'dhcp', 'udp', 'icmp',
        'nd', 'other'.
    number: place in the lesson (ARP 1, DNS 2, handshake 3, HTTP 4, close 5), 0 outside it.
    lesson: what a learner should know before reading on.
    """

    key: str
    number: int
    heading: str
    lesson: str
    trips: list[int] = field(default_factory=list)
    mapping: list[Mapping] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)


@dataclass(slots=True)
class Cause:
    """Why something could not be reached, by what hosts and switches were set to. `code` is stable.

    node: where it is mended, "" for nowhere. evidence: sentences. mend: commands that mend it, for
    a shell outside of the lab. likely: inferred, and not shown by a counter or a table.
    """

    code: str
    node: str
    sentence: str
    evidence: list[str] = field(default_factory=list)
    mend: tuple[str, ...] = ()
    likely: bool = False


@dataclass(slots=True)
class Outcome:
    """How it ended. `code` is stable; `evidence` are the trips that prove the sentences.

    ok: None if it neither succeeded nor failed: somebody ended it before. causes: what hosts and
    switches were set to that explains it.
    """

    ok: bool | None
    code: str
    sentence: str
    why: list[str] = field(default_factory=list)
    where: str = ""
    evidence: list[int] = field(default_factory=list)
    status: int | None = None
    bytes: int | None = None
    ms: float | None = None
    causes: list[Cause] = field(default_factory=list)

    @property
    def mend(self) -> list[str]:
        """The commands that mend what stood in the way, each once."""
        return list(dict.fromkeys(line for cause in self.causes for line in cause.mend))

    @property
    def mark(self) -> str:
        """The sign before the sentence."""
        return "–" if self.ok is None else "✓" if self.ok else "✗"  # noqa: RUF001


@dataclass(slots=True, frozen=True)
class Repeats:
    """What a reader who does not ask for everything is spared. steps: places in `Story.steps` of
    those that are like earlier ones; sentences: what to say instead of them."""

    steps: frozenset[int]
    sentences: list[str]


@dataclass(slots=True)
class Story:
    """Everything that a reader is told, in the order of telling. alerts: sentences that stand above
    all else, since the rest is hard to read without them: what went round a loop of switches."""

    setting: Setting
    request: Request | None
    started_ns: int
    trips: list[Trip]
    steps: list[Step]
    outcome: Outcome
    summary: Summary
    alerts: list[str] = field(default_factory=list)
    repeats: Repeats | None = None
    connections: tuple[ConnectionFigures, ...] = ()
    fidelity: Fidelity = field(default_factory=Fidelity)

    def steps_of_trips(self) -> dict[int, int]:
        """Of each trip the place in `steps` of the one that it is in."""
        return {
            number: place for place, step in enumerate(self.steps) for number in step.trips
        }  # fmt: skip

    def trip(self, number: int) -> Trip:
        """The trip of that number."""
        place = number - self.trips[0].number  # journeys are numbered without gaps, as a rule
        if 0 <= place < len(self.trips) and self.trips[place].number == number:
            return self.trips[place]
        return next(trip for trip in self.trips if trip.number == number)
