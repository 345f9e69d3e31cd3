# SPDX-License-Identifier: Apache-2.0
"""A story as plain data: `trace.json`.

What lives here: the keys, which stay the same within one `format`. What must not: layout, and any
statement that is not in the story.

Numbers of trips ("#n") are places in `trips`, from 1. `sent` and `received` of a leg are frame
numbers of `capture.pcapng`, as Wireshark shows them in `frame.number`. Times: `*_ns` since the
Unix epoch, `ms` since the first frame.

Where frames went round a loop of switches there may be tens of thousands of packets. Then `trips`
has the first of each kind alone, and so have the lists of trips elsewhere; a trip is found by its
`number`, and `left_out` says how many are missing. `summary` counts all of them.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from hoplab.capture.collector import gc_paused
from hoplab.report import fidelity_as_json, tcp_as_json
from hoplab.report.sentence_parts import with_parts
from hoplab.sentences import say, term
from hoplab.story.faults import STRICT, Faults
from hoplab.story.records import Cause, Outcome, Step, Story
from hoplab.story.storms import firsts, storming
from hoplab.story.summary_records import QueueLoss, Summary
from hoplab.story.trip_records import Decision, Leg, Rewrite, Storm, Trip

FORMAT = 2  # since 2 there are the parts of sentences
STORM_KEPT_OF_EACH = 50  # packets of a kind, in a run with a storm; `storms.kind_of` has the kinds
STORM_KEPT = 500  # packets in all, there


@gc_paused()
def to_dict(story: Story, faults: Faults = STRICT) -> dict[str, Any]:
    """The whole story as dicts, lists, text and numbers, ready for `json.dump`; beside a sentence
    under `title` stand its parts under `title_parts` (`sentence_parts.py`). faults: takes what
    could not be told; `untold` names that."""
    request = story.request
    trips, steps = [], []
    steps_of_trips = story.steps_of_trips()
    kept = {trip.number for trip in story.trips}
    if storming(story.trips):
        kept = firsts(story.trips, STORM_KEPT_OF_EACH, STORM_KEPT)
    left_out = [trip for trip in story.trips if trip.number not in kept]
    for trip in story.trips:
        if trip.number in kept:
            with faults.part(say("packet #{packet} in JSON", packet=trip.number)):
                trips.append(trip_data(trip, steps_of_trips.get(trip.number, -1)))
    for step in story.steps:
        with faults.part(say("the step {step} in JSON", step=step.key)):
            steps.append(_step(step, kept))
    connections: list[dict[str, Any]] = []
    with faults.part(term("the figures of TCP connections in JSON")):
        connections = [tcp_as_json.connection(each, kept) for each in story.connections]
    outcome: dict[str, Any] = {"ok": False, "code": "untold"}
    with faults.part(term("how it ended in JSON")):
        outcome = _outcome(story.outcome, kept)
    summary: dict[str, Any] = {}
    with faults.part(term("the numbers in JSON")):
        summary = _summary(story.summary)
    fidelity: dict[str, Any] = {}
    with faults.part(term("whether times are to be trusted, in JSON")):
        fidelity = fidelity_as_json.to_dict(story.fidelity, story.started_ns)
    data = {
        "format": FORMAT,
        "topology": story.setting.topology,
        "controller": story.setting.controller,
        "datapath": story.setting.datapath,
        "host": story.setting.host,
        "command": story.setting.command,
        "request": None
        if request is None
        else {"url": request.url, "client": request.client, "said": request.client_report},
        "started_ns": story.started_ns,
        "outcome": outcome,
        "steps": steps,
        "trips": trips,
        **({"connections": connections} if connections else {}),
        **({"left_out": _left_out(left_out)} if left_out else {}),
        **({"alerts": story.alerts} if story.alerts else {}),
        "summary": summary,
        "fidelity": fidelity,
        **({"untold": faults.as_data()} if len(faults) else {}),
    }
    made: dict[str, Any] = with_parts(data, _nodes(story))
    return made


def _nodes(story: Story) -> frozenset[str]:
    """The names of the lab's nodes: every one that a cable ends at, and the host of the story."""
    ends = {node for link in story.summary.links for node in (link.a, link.b)}
    return frozenset(ends | {story.setting.host} - {""})


def _left_out(trips: list[Trip]) -> dict[str, Any]:
    """What a run with a storm had more than it has room for here."""
    return {
        "reason": "storm",
        "kept_of_each_kind": STORM_KEPT_OF_EACH,
        "kept_at_most": STORM_KEPT,
        "trips": len(trips),
        "frames": sum(trip.frames for trip in trips),
        "kinds": dict(Counter(trip.kind for trip in trips).most_common()),
    }


def _outcome(outcome: Outcome, kept: set[int]) -> dict[str, Any]:
    return {
        "ok": outcome.ok,
        "code": outcome.code,
        "sentence": outcome.sentence,
        "why": outcome.why,
        "where": outcome.where,
        "evidence": [number for number in outcome.evidence if number in kept],
        "status": outcome.status,
        "bytes": outcome.bytes,
        "ms": _ms(outcome.ms),
        **({"causes": [_cause(cause) for cause in outcome.causes]} if outcome.causes else {}),
    }


def _cause(cause: Cause) -> dict[str, Any]:
    return {
        "code": cause.code,
        "node": cause.node,
        "sentence": cause.sentence,
        "evidence": cause.evidence,
        "mend": list(cause.mend),
        "likely": cause.likely,
    }


def _step(step: Step, kept: set[int]) -> dict[str, Any]:
    return {
        "key": step.key,
        "number": step.number,
        "heading": step.heading,
        "lesson": step.lesson,
        "trips": [number for number in step.trips if number in kept],
        "mapping": [
            {
                "textbook": row.textbook,
                "trips": [number for number in row.trips if number in kept],
                "real": row.real,
            }
            for row in step.mapping
        ],
        "remarks": [{"code": remark.code, "text": remark.text} for remark in step.remarks],
    }


def trip_data(trip: Trip, step: int) -> dict[str, Any]:
    """One packet. step: its place among the steps, -1 for none."""
    eth = trip.packet.eth
    return {
        "number": trip.number,
        "t_ns": trip.t_ns,
        "ms": _ms(trip.ms),
        "arrived_ns": trip.arrived_ns,
        "kind": trip.kind,
        "title": trip.title,
        "step": step,
        "sender": trip.sender,
        "target": trip.target,
        "src": trip.src,
        "dst": trip.dst,
        "src_mac": eth.src if eth else "",
        "dst_mac": eth.dst if eth else "",
        "length": trip.length,
        "path": list(trip.path),
        "fan": list(trip.fan),
        "delivered": list(trip.delivered),
        "ignored": [{"node": copy.node, "by": copy.by, "leg": copy.leg} for copy in trip.ignored],
        "switches": [
            {
                "node": copies.node,
                "leg": copies.leg,
                "out": copies.out,
                "of": copies.of,
                "flooded": copies.flooded,
                "due": copies.due,
            }
            for copies in trip.fanouts
        ],
        "routers": [_rewrite(rewrite) for rewrite in trip.rewrites],
        "lost": [leg.index for leg in trip.lost],
        "ended": trip.ended,
        "cause": trip.cause,
        "causes": list(trip.causes),
        "answered_by": trip.answered_by or None,
        "notes": list(trip.notes),
        **({"under_way": True} if trip.under_way else {}),
        **({"proved": True} if trip.proved else {}),
        **({"storm": _storm(trip.storm)} if trip.storm is not None else {}),
        **({"tcp": tcp_as_json.segment(trip.timing)} if trip.timing is not None else {}),
        "decisions": [decision(each) for each in trip.decisions],
        "legs": [_leg(leg) for leg in trip.legs],
    }


def _storm(storm: Storm) -> dict[str, Any]:
    return {
        "node": storm.node,
        "back": storm.back,
        "ms": _ms(storm.ms),
        "frames": storm.frames,
        "untold": [
            {
                "from": rest.tail_interface,
                "to": rest.head_interface,
                "frames": rest.frames,
                "arrived": rest.arrived,
            }
            for rest in storm.rest
        ],
    }


def decision(made: Decision) -> dict[str, Any]:
    """What a switch was told, or did by itself."""
    return {
        "node": made.node,
        "leg": made.leg,
        "by": made.by,
        "sentence": made.sentence,
        "answer": made.answer,
        "wait_ms": _ms(made.wait_ms),
        "packet_in": made.packet_in or None,
        "packet_out": made.packet_out or None,
        "flow": made.flow,
        "installed": list(made.installed),
        "missed": made.missed,
        "refused": list(made.refused),
        "frame": made.passage.number if made.passage is not None else None,
    }


def _rewrite(rewrite: Rewrite) -> dict[str, Any]:
    return {
        "node": rewrite.node,
        "leg": rewrite.leg,
        "before": {
            "src_mac": rewrite.src_mac_before,
            "dst_mac": rewrite.dst_mac_before,
            "src_owner": rewrite.src_owner_before,
            "dst_owner": rewrite.dst_owner_before,
            "src": rewrite.src_before,
            "dst": rewrite.dst_before,
            "ttl": rewrite.ttl_before,
        },
        "after": {
            "src_mac": rewrite.src_mac_after,
            "dst_mac": rewrite.dst_mac_after,
            "src_owner": rewrite.src_owner_after,
            "dst_owner": rewrite.next_hop,
            "src": rewrite.src_after,
            "dst": rewrite.dst_after,
            "ttl": rewrite.ttl_after,
        },
        "translated": rewrite.translated,
    }


def _leg(leg: Leg) -> dict[str, Any]:
    return {
        "index": leg.index,
        "parent": leg.parent,
        "origin": leg.origin,
        "tail": leg.tail,
        "tail_interface": leg.tail_interface,
        "head": leg.head,
        "head_interface": leg.head_interface,
        "t_ns": leg.t_ns,
        "sent": leg.sent,
        "received": leg.received,
        "src_mac": leg.src_mac,
        "dst_mac": leg.dst_mac,
        "length": leg.length,
        "lost": leg.lost,
        "healed": leg.healed,
        "cut": leg.cut,
        "uncertain": leg.uncertain,
        **({"unseen": True} if leg.unseen else {}),
        **({"vlan": leg.vlan} if leg.vlan is not None else {}),
    }


def _summary(summary: Summary) -> dict[str, Any]:
    return {
        "trips": summary.trips,
        "frames": summary.frames,
        "arrivals": summary.arrivals,
        "ignored": summary.ignored,
        "ignored_share": round(summary.ignored_share, 4),
        "ignored_by_node": summary.ignored_by_node,
        "lost": summary.lost,
        "lost_on_links": summary.lost_on_links,
        "lost_in_switches": [
            queue_loss_data(loss) for loss in summary.queue_losses if loss.kind == "switch"
        ],
        "lost_in_queues": [queue_loss_data(loss) for loss in summary.queue_losses],
        "missed": summary.health.dropped,
        "unseen": summary.health.unseen,
        "under_way": summary.health.under_way,
        "unicast_flooded": summary.unicast_flooded,
        "kinds": summary.kinds,
        "links": [
            {
                "a": link.a,
                "a_interface": link.a_interface,
                "b": link.b,
                "b_interface": link.b_interface,
                "forth": link.forth,
                "back": link.back,
                "frames": link.frames,
                "ignored": link.ignored,
                "forth_bytes": link.forth_bytes,
                "back_bytes": link.back_bytes,
                "arrived_bytes": link.arrived_bytes,
                "ignored_bytes": link.ignored_bytes,
                "rate": link.rate or None,
            }
            for link in summary.links
        ],
        "bytes": summary.bytes,
        "arrived_bytes": summary.arrived_bytes,
        "ignored_bytes": summary.ignored_bytes,
        "transfers": [
            {
                "from": one.sender,
                "to": one.receiver,
                "connections": one.connections,
                "bytes": one.bytes,
                "segments": one.segments,
                "retransmissions": one.retransmissions,
                "busy_ms": _ms(one.busy_ns / 1e6),
                "bits_per_s": None if one.bits_per_s is None else round(one.bits_per_s),
            }
            for one in summary.transfers
        ],
        "capture": {
            "orphans": summary.health.orphans,
            "healed": summary.health.healed,
            "uncertain": summary.health.uncertain,
            "dropped": summary.health.dropped,
            "cut": summary.health.cut,
            "foreign": summary.health.foreign,
            "untimed": summary.health.untimed,
        },
    }


def queue_loss_data(loss: QueueLoss) -> dict[str, Any]:
    """What a node dropped at one port."""
    return {
        "node": loss.node,
        "interface": loss.interface,
        "reason": _reason(loss),
        "frames": loss.frames,
        **({"lost_on_purpose": loss.meant} if loss.meant else {}),
        "vanished": loss.vanished,
        "open": loss.open,
    }


def _reason(loss: QueueLoss) -> str:
    if loss.lossy:
        return "cable-lossy"
    return "cable-full" if loss.cable else "queue-full"


def _ms(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
