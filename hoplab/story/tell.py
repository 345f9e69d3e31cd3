# SPDX-License-Identifier: Apache-2.0
"""Journeys to a story: `tell`.

What lives here: the order of work and the counting. What must not: sockets, labs, layout.

1. Each journey becomes a trip (`trips.py`), by what the capture could see (`coverage.py`; what
   that changes in the end, `gaps.py`).
2. Trips are put in relation: TCP connections (`tcp.py`), answers and causes (`causes.py`), what
   switches asked their controller (`controller_answers.py`).
3. They are gathered under headings (`steps.py`), with honest remarks (`remarks.py`,
   `controller_changes.py`).
4. The end is found (`outcome.py`) and the frames are counted (here).

Every sentence comes from captured frames; nothing is filled in from what should have happened.

>>> story = tell(wiring, follow(wiring, observations), request=Request(url, "client"))
>>> print(hoplab.report.terminal.render(story))
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from hoplab.capture.observation import Observation
from hoplab.follow.model import Journey
from hoplab.follow.wiring import Wiring, natural
from hoplab.sentences import together
from hoplab.story.causes import Lookup, find_causes
from hoplab.story.claims import find_claims, tell_claims
from hoplab.story.controller_answers import add_decisions
from hoplab.story.controller_changes import add_changes, changes
from hoplab.story.conversation import ChannelMessage, conversation
from hoplab.story.conversation import Connection as ChannelConnection
from hoplab.story.coverage import Coverage, Evidence
from hoplab.story.exit_status import ExitStatus
from hoplab.story.faults import STRICT, Faults
from hoplab.story.gaps import hedge_remarks, prove_arrivals
from hoplab.story.outcome import find_outcome
from hoplab.story.records import Health, LinkCount, Outcome, Request, Setting, Story, Summary, Trip
from hoplab.story.remarks import add_remarks
from hoplab.story.steps import Facts, make_steps, plain_steps
from hoplab.story.storms import storm_alerts
from hoplab.story.tcp import Connection, connections
from hoplab.story.transfers import transfers
from hoplab.story.trips import Places, tell_trip

__all__ = ["Coverage", "Health", "Request", "Story", "tell"]


def tell(
    wiring: Wiring,
    journeys: Iterable[Journey],
    *,
    request: Request | None = None,
    host: str = "",
    command: str = "",
    said: str = "",
    exit_code: int | None = None,
    late: bool = False,
    interrupted: bool = False,
    health: Health | None = None,
    channel: Iterable[Observation] | None = None,
    coverage: Coverage | None = None,
    faults: Faults = STRICT,
) -> Story:
    """The story of these journeys.

    request: the fetch it is about; without it `host` and `command` say who ran what, and the
    story is told without the lesson's numbered steps. `said` is what that command printed, if it
    failed.
    exit_code, late, interrupted: the exit status of the command or the fetch, None if it is not
    known; whether it had to be ended because its time was over; whether somebody pressed Ctrl-C.
    channel: what switches and controller said to each other, None if it was not captured.
    coverage: what the capture could see; without it, everything.
    faults: takes what could not be told; without it a fault is raised.
    """
    health = health or Health()
    known = sorted(journeys, key=lambda journey: journey.number)
    started_ns = min((journey.root.t_ns for journey in known), default=0)
    places = Places(wiring)
    with faults.part("whose address is whose"):
        places.learn(known)
    evidence = Evidence(wiring, None, [])
    with faults.part("what the capture could see"):
        evidence = Evidence(wiring, coverage, known)
    lossy, missed_frames = evidence.coverage.lossy, evidence.coverage.missed_frames
    trips, told = [], []
    for journey in known:
        with faults.part(f"packet #{journey.number}"):
            trips.append(tell_trip(places, journey, started_ns, evidence))
            told.append(journey)
    found: list[Connection] = []
    lookups: list[Lookup] = []
    said_there: list[ChannelMessage] = []
    switches: dict[ChannelConnection, str] = {}
    with faults.part("TCP connections"):
        found = connections(trips, lossy=lossy)
        if lossy:
            prove_arrivals(found, trips)
    with faults.part("why packets came"):
        begun_ns = max(evidence.coverage.begun_ns.values(), default=started_ns)
        lookups = find_causes(places, trips, begun_ns=None if lossy else begun_ns)
    if channel is not None:
        with faults.part("what switches asked their controller"):
            said_there = conversation(channel)
            switches = add_decisions(wiring, told, trips, said_there)
    facts = Facts(trips, found, lookups, {trip.number: trip for trip in trips}, wiring)
    steps = plain_steps(trips)
    with faults.part("the steps"):
        steps = make_steps(facts, lesson=request is not None)
    with faults.part("remarks"):
        add_remarks(facts, steps, request)
    if said_there:
        with faults.part("who was in charge of the switches"):
            add_changes(steps, trips, changes(switches, said_there, started_ns), started_ns)
    for place, step in enumerate(steps):
        for number in step.trips:
            facts.by_number[number].step = place
    who = request.client if request is not None else host
    setting = Setting(wiring.topology, wiring.controller, wiring.datapath, who, command)
    complaint = request.said if request is not None else said
    program = command if request is None else "fetch"
    ended = ExitStatus(exit_code, program, late, complaint, interrupted)
    if lossy:
        with faults.part("remarks"):
            hedge_remarks(steps, missed_frames)
    outcome = Outcome(False, "untold", "How it ended could not be told.")
    with faults.part("how it ended"):
        outcome = find_outcome(facts, request, who, ended, missed_frames if lossy else None)
    with faults.part("whose address is whose"):
        first = tell_claims(find_claims(trips, wiring), steps, outcome, trips)
        outcome.sentence = together(*first, outcome.sentence) if first else outcome.sentence
    summary = Summary(trips=len(trips), health=health)
    with faults.part("the numbers"):
        summary = _count(wiring, trips, health, missed_frames)
        summary.queue_losses = list(evidence.queue_losses.values())
        summary.transfers = transfers(found, facts.by_number)
    alerts: list[str] = []
    with faults.part("what went round a loop of switches"):
        alerts = storm_alerts(trips, wiring, summary.frames)
    return Story(setting, request, started_ns, trips, steps, outcome, summary, alerts)


def _count(wiring: Wiring, trips: list[Trip], health: Health, missed_frames: int) -> Summary:
    """The numbers: frames and bytes per link and direction, copies that were ignored, packets by
    kind."""
    # A frame that was on its way at the start has one end in the capture, and that is no fault.
    halves = sum(trip.under_way and trip.legs[0].sent is None for trip in trips)
    health = replace(
        health,
        healed=health.healed - min(halves, health.healed),
        dropped=health.dropped or missed_frames,
        unseen=sum(len(trip.unseen) for trip in trips),
        under_way=sum(trip.under_way for trip in trips),
    )
    summary = Summary(trips=len(trips), health=health)
    on_link: Counter[tuple[str, str]] = Counter()
    octets: Counter[tuple[str, str]] = Counter()
    arrived_octets: Counter[str] = Counter()  # by the interface that they came to
    ignored_octets: Counter[str] = Counter()
    ignored_by: Counter[str] = Counter()
    ignored_on: Counter[str] = Counter()  # by the interface that it came to
    for trip in trips:
        summary.frames += trip.frames
        summary.lost_on_links += len(trip.lost)
        summary.ignored += len(trip.ignored)
        for one in trip.ignored:
            ignored_by[one.node] += 1
            last_leg = trip.legs[one.leg]
            ignored_on[last_leg.head_interface] += 1
            ignored_octets[last_leg.head_interface] += last_leg.length
        summary.unicast_flooded += any(one.flooded and not one.due for one in trip.fanouts)
        for leg in trip.legs:
            on_link[leg.tail_interface, leg.head_interface] += 1
            octets[leg.tail_interface, leg.head_interface] += leg.length
            if leg.head and wiring.kind(leg.head) != "switch" and not leg.lost:
                summary.arrivals += 1
                arrived_octets[leg.head_interface] += leg.length
        if trip.storm is None:
            continue
        unwanted = {one.node for one in trip.ignored}
        lengths = {leg.tail_interface: leg.length for leg in trip.legs}
        for rest in trip.storm.rest:  # the same frame again, so each node did the same with it
            length = lengths.get(rest.tail_interface, trip.length)
            on_link[rest.tail_interface, rest.head_interface] += rest.frames
            octets[rest.tail_interface, rest.head_interface] += rest.frames * length
            if rest.head and wiring.kind(rest.head) != "switch":
                summary.arrivals += rest.arrived
                arrived_octets[rest.head_interface] += rest.arrived * length
                if rest.head in unwanted:
                    summary.ignored += rest.arrived
                    ignored_by[rest.head] += rest.arrived
                    ignored_on[rest.head_interface] += rest.arrived
                    ignored_octets[rest.head_interface] += rest.arrived * length
    summary.ignored_by_node = dict(sorted(ignored_by.items(), key=lambda one: natural(one[0])))
    summary.kinds = dict(Counter(trip.kind for trip in trips).most_common())
    for port, interface in enumerate(wiring.interfaces):
        peer = wiring.peer(port)
        if peer is None or peer < port:
            continue
        other = wiring.interfaces[peer]
        way_forth, way_back = (interface.name, other.name), (other.name, interface.name)
        summary.links.append(
            LinkCount(
                a=interface.node,
                a_interface=interface.name,
                b=other.node,
                b_interface=other.name,
                forth=on_link[way_forth],
                back=on_link[way_back],
                ignored=sum(ignored_on[name] for name in way_forth),
                forth_bytes=octets[way_forth],
                back_bytes=octets[way_back],
                arrived_bytes=sum(arrived_octets[name] for name in way_forth),
                ignored_bytes=sum(ignored_octets[name] for name in way_forth),
                rate=min(interface.rate, other.rate),
            )
        )
    return summary
