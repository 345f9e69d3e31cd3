# SPDX-License-Identifier: Apache-2.0
"""Journeys to a story: `tell`.

What lives here: the order of work and the counting. What must not: sockets, labs, layout.

1. What each journey alone tells becomes a record (`trips.py`), by what the capture could see
   (`coverage.py`; what that changes in the end, `gaps.py`).
2. They are put in relation: TCP connections (`tcp.py`), answers and causes (`causes.py`), what
   switches asked their controller (`decisions.py`). Each of these gives records of its
   own, by the packets' numbers; a `Trip` is all records of one packet, and nobody changes it.
3. They are gathered under headings (`steps.py`), with honest remarks (`remarks.py`,
   `controller_changes.py`).
4. What failed is looked for in the hosts (`diagnosis.py`), the end is found (`outcome.py`), and
   the frames are counted (here).

Every sentence comes from captured frames, and from what hosts and switches were set to; nothing is
filled in from what should have happened.

>>> story = tell(wiring, follow(wiring, observations), request=Request(url, "client"))
>>> print(hoplab.report.terminal.render(story))
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from hoplab.capture.load import Load
from hoplab.capture.observation import Observation
from hoplab.follow.model import Journey
from hoplab.follow.passages import Passage
from hoplab.follow.wiring import Wiring, natural
from hoplab.sentences import say, term, together
from hoplab.story import quic
from hoplab.story.causes import find_causes
from hoplab.story.claims import find_claims, tell_claims
from hoplab.story.controller_changes import add_changes, changes
from hoplab.story.conversation import ChannelMessage, conversation
from hoplab.story.coverage import Coverage, Evidence
from hoplab.story.decisions import Decisions, find_decisions, with_named_ports
from hoplab.story.diagnosis import find_reasons, tell_reasons
from hoplab.story.drops import not_sent_on
from hoplab.story.exit_status import ExitStatus
from hoplab.story.faults import STRICT, Faults
from hoplab.story.fidelity import find_fidelity
from hoplab.story.fidelity_records import Fidelity
from hoplab.story.gaps import hedge_remarks, prove_arrivals
from hoplab.story.host_state import HostFacts
from hoplab.story.lab_changes import LabChange, add_lab_changes
from hoplab.story.leases import Exchange, find_exchanges
from hoplab.story.lookups import Lookup
from hoplab.story.outcome import find_outcome
from hoplab.story.places import Places
from hoplab.story.records import Cause, Outcome, Repeats, Request, Setting, Step, Story
from hoplab.story.remarks import add_remarks
from hoplab.story.repeats import find_repeats
from hoplab.story.same_route import Routes
from hoplab.story.steps import Facts, make_steps, plain_steps
from hoplab.story.storms import storm_alerts
from hoplab.story.summary_records import Health, LinkCount, Summary
from hoplab.story.table_decisions import Raised, TableDecisions
from hoplab.story.tcp import connections
from hoplab.story.tcp_connection import Connection
from hoplab.story.tcp_figures import find_figures
from hoplab.story.tcp_records import ConnectionFigures, SegmentTiming
from hoplab.story.transfers import transfers
from hoplab.story.trip_records import UNRELATED, Proof, Relation, Segment, Storm, Trip, Way
from hoplab.story.trips import tell_way

__all__ = ["Coverage", "Health", "Request", "Story", "tell"]


def tell(
    wiring: Wiring,
    journeys: Iterable[Journey],
    *,
    request: Request | None = None,
    host: str = "",
    command: str = "",
    complaint: str = "",
    exit_code: int | None = None,
    late: bool = False,
    interrupted: bool = False,
    health: Health | None = None,
    channel: Iterable[Observation] | None = None,
    coverage: Coverage | None = None,
    hosts: HostFacts | None = None,
    passages: Iterable[Passage] = (),
    raised: Sequence[Raised] = (),
    changed: Sequence[LabChange] = (),
    channel_messages: Sequence[ChannelMessage] | None = None,
    load: Load | None = None,
    names: Mapping[str, str] | None = None,
    faults: Faults = STRICT,
) -> Story:
    """The story of these journeys.

    request: the fetch it is about; without it `host` and `command` say who ran what, and the
    story is told without the lesson's numbered steps. `complaint` is what that command
    printed, if it failed.
    exit_code, late, interrupted: the exit status of the command or the fetch, None if it is not
    known; whether it had to be ended because its time was over; whether somebody pressed Ctrl-C.
    channel: what switches and controller said to each other, None if it was not captured.
    channel_messages: the same as messages, where somebody has read them already.
    coverage: what the capture could see; without it, everything.
    hosts: what hosts and switches were set to, None if nobody read it.
    passages: what switches did with frames, by their own tables, as far as that is known.
    raised: exceptions of the controller's that nobody caught.
    load: how busy the machine was, None if nobody read that.
    changed: what somebody changed in the network meanwhile.
    names: node by IP address, as the capture says who had which when it began.
    faults: takes what could not be told; without it a fault is raised.
    """
    health = health or Health()
    ordered = sorted(journeys, key=lambda journey: journey.number)
    started_ns = min((journey.root.t_ns for journey in ordered), default=0)
    places = Places(wiring)
    with faults.part(term("whose address is whose")):
        places.add_names(names)
        places.learn(ordered)
    evidence = Evidence(wiring, None, [])
    with faults.part(term("what the capture could see")):
        evidence = Evidence(wiring, coverage, ordered)
    lossy, missed_frames = evidence.coverage.lossy, evidence.coverage.missed_frames
    ways, of_ways = _tell_ways(places, ordered, started_ns, evidence, faults)
    over_tcp: list[Connection] = []
    segments: dict[int, Segment] = {}
    proofs: dict[int, Proof] = {}
    relations: dict[int, Relation] = {}
    lookups: list[Lookup] = []
    leases: list[Exchange] = []
    messages: Sequence[ChannelMessage] = channel_messages or ()
    decisions = Decisions({})
    source = TableDecisions(wiring, passages, raised)
    with faults.part(term("TCP connections")):
        over_tcp, segments = connections(ways, lossy=lossy)
        if lossy:
            proofs = prove_arrivals(over_tcp, ways)
    with faults.part(term("QUIC connections")):
        segments |= quic.segments(ways)
    trips = [Trip(way, segments.get(way.number), proofs.get(way.number)) for way in ways]
    with faults.part(term("why packets came")):
        begun_ns = max(evidence.coverage.begun_ns.values(), default=started_ns)
        relations, lookups = find_causes(places, trips, begun_ns=None if lossy else begun_ns)
        leases = find_exchanges(trips)
    if channel is not None:
        with faults.part(term("what switches asked their controller")):
            if channel_messages is None:
                messages = conversation(channel)
            decisions = find_decisions(wiring, of_ways, trips, messages, source)
    figures: tuple[ConnectionFigures, ...] = ()
    timings: dict[int, SegmentTiming] = {}
    with faults.part(term("the figures of TCP connections")):
        by_number = {trip.number: trip for trip in trips}
        figures, timings = find_figures(over_tcp, by_number, lossy=lossy)
    trips = _with_relations(trips, relations, decisions, source, timings)
    facts = Facts(
        trips, over_tcp, lookups, {trip.number: trip for trip in trips}, wiring, leases,
        figures=figures, place=evidence.coverage.place,
    )  # fmt: skip
    steps = plain_steps(trips)
    with faults.part(term("the steps")):
        steps = make_steps(facts, lesson=request is not None)
    with faults.part(term("remarks")):
        add_remarks(facts, steps, request)
    with faults.part(term("what was changed in the network")):
        add_lab_changes(steps, trips, changed, started_ns)
    if messages:
        with faults.part(term("who was in charge of the switches")):
            add_changes(steps, trips, changes(decisions.switches, messages, started_ns), started_ns)
    client, program = host, command
    if request is not None:
        client, program, complaint = request.client, "fetch", request.client_report
    setting = Setting(wiring.topology, wiring.controller, wiring.datapath, client, command)
    ended = ExitStatus(exit_code, program, late, complaint, interrupted)
    if lossy:
        with faults.part(term("remarks")):
            hedge_remarks(steps, missed_frames, evidence.coverage.place)
    causes: list[Cause] = []
    with faults.part(term("what hosts were set to")):
        url = request.url if request is not None else ""
        causes = find_reasons(facts, hosts, client, ended, url)
        facts.explained = bool(causes)
    outcome = _find_end(facts, steps, request, client, ended, evidence.coverage, faults)
    tell_reasons(outcome, causes)
    summary = Summary(trips=len(trips), health=health)
    with faults.part(term("the numbers")):
        summary = _count(wiring, trips, health, missed_frames)
        summary.queue_losses = evidence.drops.losses
        summary.transfers = transfers(over_tcp, facts.by_number)
    fidelity = Fidelity()
    with faults.part(term("whether times are to be trusted")):
        asked_ns = _times(messages, channel)
        fidelity = find_fidelity(wiring, ordered, trips, evidence.drops, load, asked_ns)
    alerts: list[str] = []
    with faults.part(term("what went round a loop of switches")):
        alerts = storm_alerts(trips, wiring, summary.frames)
    repeats: Repeats | None = None
    with faults.part(term("what was the same again")):
        repeats = find_repeats(facts, steps)
    return Story(
        setting, request, started_ns, trips, steps, outcome, summary, alerts, repeats, figures,
        fidelity,
    )  # fmt: skip


def _times(
    messages: Iterable[ChannelMessage], channel: Iterable[Observation] | None
) -> dict[int, int] | None:
    """When each message on the OpenFlow channel was seen, by its frame's number; None where that
    was not captured."""
    return {each.number: each.t_ns for each in messages} if channel is not None else None


def _tell_ways(
    places: Places, journeys: Sequence[Journey], started_ns: int, evidence: Evidence, faults: Faults
) -> tuple[list[Way], list[Journey]]:
    """What each journey alone tells, and the journey of each of these ways: one that cannot be
    told is in neither."""
    ways: list[Way] = []
    of_ways: list[Journey] = []
    routes = Routes(places)
    for journey in journeys:
        with faults.part(say("packet #{packet}", packet=journey.number)):
            ways.append(tell_way(places, journey, started_ns, evidence, routes))
            of_ways.append(journey)
    return ways, of_ways


def _with_relations(
    trips: Sequence[Trip],
    relations: Mapping[int, Relation],
    decisions: Decisions,
    source: TableDecisions,
    timings: Mapping[int, SegmentTiming],
) -> list[Trip]:
    """The trips, each with the records that others have of it by its number."""
    return [
        trip._replace(
            way=source.made_by_controller(
                with_named_ports(trip.way, decisions.about(trip.number)), decisions
            ),
            relation=relations.get(trip.number, UNRELATED),
            decisions=decisions.about(trip.number),
            timing=timings.get(trip.number),
        )
        for trip in trips
    ]


def _find_end(
    facts: Facts,
    steps: list[Step],
    request: Request | None,
    client: str,
    ended: ExitStatus,
    coverage: Coverage,
    faults: Faults,
) -> Outcome:
    """How it ended, with what switches dropped and who claimed an address of somebody else's."""
    outcome = Outcome(False, "untold", term("How it ended could not be told."))
    missed_frames = coverage.missed_frames if coverage.lossy else None
    with faults.part(term("how it ended")):
        outcome = find_outcome(
            facts, request, client, ended, missed_frames, coverage.place
        )
    if not outcome.ok:
        with faults.part(term("what switches dropped")):
            outcome.why += not_sent_on(facts.trips)
    with faults.part(term("whose address is whose")):
        claims = find_claims(facts.trips, facts.wiring)
        first = tell_claims(claims, steps, outcome, facts.trips)
        outcome.sentence = together(*first, outcome.sentence) if first else outcome.sentence
    return outcome


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
        uncounted=sum(trip.fate == "stopped" for trip in trips if wiring.datapath == "kernel"),
    )
    summary = Summary(trips=len(trips), health=health)
    counts = _Counts(wiring, summary)
    for trip in trips:
        counts.add(trip)
        if trip.storm is not None:
            counts.add_rest(trip, trip.storm)
    ignored_by = counts.ignored_by
    summary.ignored_by_node = {node: ignored_by[node] for node in sorted(ignored_by, key=natural)}
    summary.kinds = dict(Counter(trip.kind for trip in trips).most_common())
    for port in range(len(wiring.interfaces)):
        peer = wiring.peer(port)
        if peer is not None and peer > port:
            summary.links.append(counts.link(port, peer))
    if health.place:
        _count_at_place(summary, trips)
    return summary


def _count_at_place(summary: Summary, trips: Iterable[Trip]) -> None:
    """Puts right what a capture of one place counts otherwise: a frame is one frame on both sides
    of the place, and nobody saw it arrive."""
    summary.frames = sum(len({leg.sent or leg.received for leg in trip.legs}) for trip in trips)
    summary.arrivals = 0
    summary.links = [link for link in summary.links if link.frames]


class _Counts:
    """Frames and bytes, counted trip by trip: those of all links in `summary`, and by interface.

    frames, octets: by the interface that they left and the one that they were sent to. arrived:
    octets by the interface that they came to; ignored, ignored_octets: those that were not for it.
    """

    def __init__(self, wiring: Wiring, summary: Summary) -> None:
        self._wiring = wiring
        self._summary = summary
        self.frames: Counter[tuple[str, str]] = Counter()
        self.octets: Counter[tuple[str, str]] = Counter()
        self.arrived: Counter[str] = Counter()
        self.ignored: Counter[str] = Counter()
        self.ignored_octets: Counter[str] = Counter()
        self.ignored_by: Counter[str] = Counter()  # by node

    def add(self, trip: Trip) -> None:
        """Counts the legs of a trip, and what its copies were to those who got them."""
        summary = self._summary
        summary.frames += trip.frames
        summary.lost_on_links += len(trip.lost)
        for copy in trip.ignored:
            leg = trip.legs[copy.leg]
            self._ignore(copy.node, leg.head_interface, 1, leg.length)
        summary.unicast_flooded += any(fan.flooded and not fan.due for fan in trip.fanouts)
        for leg in trip.legs:
            self.frames[leg.tail_interface, leg.head_interface] += 1
            self.octets[leg.tail_interface, leg.head_interface] += leg.length
            if leg.head and self._wiring.kind(leg.head) != "switch" and not leg.lost:
                summary.arrivals += 1
                self.arrived[leg.head_interface] += leg.length

    def add_rest(self, trip: Trip, storm: Storm) -> None:
        """Counts the copies of a storm that are no legs: the same frame again, so each node did the
        same with it."""
        ignoring = {copy.node for copy in trip.ignored}
        lengths = {leg.tail_interface: leg.length for leg in trip.legs}
        for rest in storm.rest:
            length = lengths.get(rest.tail_interface, trip.length)
            self.frames[rest.tail_interface, rest.head_interface] += rest.frames
            self.octets[rest.tail_interface, rest.head_interface] += rest.frames * length
            if rest.head and self._wiring.kind(rest.head) != "switch":
                self._summary.arrivals += rest.arrived
                self.arrived[rest.head_interface] += rest.arrived * length
                if rest.head in ignoring:
                    self._ignore(rest.head, rest.head_interface, rest.arrived, length)

    def _ignore(self, node: str, interface: str, frames: int, length: int) -> None:
        self._summary.ignored += frames
        self.ignored_by[node] += frames
        self.ignored[interface] += frames
        self.ignored_octets[interface] += frames * length

    def link(self, port: int, peer: int) -> LinkCount:
        """What went over the link between two ports."""
        near, far = self._wiring.interfaces[port], self._wiring.interfaces[peer]
        forth, back = (near.name, far.name), (far.name, near.name)
        return LinkCount(
            a=near.node,
            a_interface=near.name,
            b=far.node,
            b_interface=far.name,
            forth=self.frames[forth],
            back=self.frames[back],
            ignored=sum(self.ignored[name] for name in forth),
            forth_bytes=self.octets[forth],
            back_bytes=self.octets[back],
            arrived_bytes=sum(self.arrived[name] for name in forth),
            ignored_bytes=sum(self.ignored_octets[name] for name in forth),
            rate=min(near.rate, far.rate),
        )
