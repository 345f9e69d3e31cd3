# SPDX-License-Identifier: Apache-2.0
"""hoplab.story.live: what switches decided, long after it is looked at no more."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hoplab import runs
from hoplab.capture import pcapng_reader
from hoplab.capture.observation import Observation
from hoplab.follow.follow import follow
from hoplab.follow.wiring import Wiring
from hoplab.openflow_channel import INTERFACE as OPENFLOW
from hoplab.story import live as live_module
from hoplab.story.arrivals import Arrival
from hoplab.story.conversation import conversation
from hoplab.story.decisions import Decisions, find_decisions
from hoplab.story.live import WINDOW_NS, Live
from hoplab.story.open_questions import AT_MOST_NS
from hoplab.story.places import Places
from hoplab.story.trip_records import Decision, Trip
from hoplab.story.trips import tell_way

RUNS = Path(__file__).parent.parent / "data" / "runs"
SECOND = 1_000_000_000
LOOK_NS = SECOND // 10


def with_pauses(
    observations: Iterable[Observation], pauses: int, pause_ns: int
) -> list[Observation]:
    """The same, with pauses where it was silent for longest anyway."""
    seen = sorted(observations, key=lambda observation: observation.t_ns)
    silent = sorted(
        range(1, len(seen)), key=lambda place: seen[place - 1].t_ns - seen[place].t_ns
    )[:pauses]
    return [
        replace(observation, t_ns=observation.t_ns + pause_ns * sum(at <= place for at in silent))
        for place, observation in enumerate(seen)
    ]


class Run:
    """A kept run with pauses, and which of its ports the OpenFlow channel was heard at."""

    def __init__(self, name: str, pauses: int, pause_ns: int) -> None:
        capture = pcapng_reader.read(RUNS / name / runs.CAPTURE)
        self.wiring = Wiring.load(RUNS / name / runs.STATE)
        self.ports = self.wiring.port_map(capture.interfaces)
        self.spoken = [interface.name == OPENFLOW for interface in capture.interfaces]
        self.observations = with_pauses(capture.observations, pauses, pause_ns)

    def decided_live(self) -> dict[int, tuple[Decision, ...]]:
        """What is told live of each packet at last, by number; nothing where that is nothing."""
        live = Live(self.wiring, self.ports)
        live.channel = True
        decisions: dict[int, tuple[Decision, ...]] = {}
        look = self.observations[0].t_ns
        for observation in self.observations:
            while look < observation.t_ns:
                decisions |= {news.trip.number: news.trip.decisions for news in live.poll(look)}
                look += LOOK_NS
            (live.hear if self.spoken[observation.port] else live.feed)(observation)
        decisions |= {news.trip.number: news.trip.decisions for news in live.finish()}
        return {number: made for number, made in decisions.items() if made}

    def decided(self) -> dict[int, tuple[Decision, ...]]:
        """What the whole capture shows, in the same form."""
        frames = [seen for seen in self.observations if not self.spoken[seen.port]]
        channel = [seen for seen in self.observations if self.spoken[seen.port]]
        journeys, places = follow(self.wiring, frames, ports=self.ports), Places(self.wiring)
        places.learn(journeys)
        begun_ns = journeys[0].root.t_ns
        trips = [Trip(tell_way(places, journey, begun_ns)) for journey in journeys]
        found = find_decisions(self.wiring, journeys, trips, conversation(channel))
        return {number: found.about(number) for number in found.by_packet}


@pytest.mark.parametrize("name", ["routed-cold", "web-cold", "web-hub", "controller-killed"])
def test_pauses_change_nothing_in_what_was_decided(name: str) -> None:
    run = Run(name, pauses=3, pause_ns=AT_MOST_NS + 2 * SECOND)
    expected = run.decided()
    assert expected and run.decided_live() == expected


def test_what_is_decided_is_not_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """As soon as nothing can answer any more: not only when it is out of the window."""
    decide, ages = live_module.decide, list[int]()

    def noted(wiring: Wiring, arrivals: list[Arrival], messages: Any, *more: Any) -> Decisions:
        now_ns = more[1]
        if now_ns is not None and arrivals:
            ages.append(now_ns - min(arrival.t_ns for arrival in arrivals))
        return decide(wiring, arrivals, messages, *more)

    monkeypatch.setattr(live_module, "decide", noted)
    Run("web-cold", pauses=12, pause_ns=2 * SECOND).decided_live()
    assert AT_MOST_NS < max(ages) < AT_MOST_NS + 3 * SECOND < WINDOW_NS
