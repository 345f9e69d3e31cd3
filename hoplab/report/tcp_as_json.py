# SPDX-License-Identifier: Apache-2.0
"""What TCP connections were like, as plain data: `connections` of `trace.json`, and `tcp` of a
trip.

What lives here: the keys, which stay the same within one `format`. `docs/report.md` explains them.
"""

from __future__ import annotations

from typing import Any

from hoplab.story.tcp_records import (
    ConnectionFigures,
    Direction,
    Options,
    SegmentTiming,
    Spread,
)
from hoplab.story.tcp_sentences import why_again


def connection(figures: ConnectionFigures, kept: set[int]) -> dict[str, Any]:
    """One connection. kept: numbers of the trips that the data has."""
    agreed = figures.agreed
    return {
        "client": figures.client,
        "client_port": figures.client_port,
        "server": figures.server,
        "server_port": figures.server_port,
        "first": figures.packets[0],
        "last": figures.packets[1],
        "options": {
            "client": _options(figures.client_options),
            "server": _options(figures.server_options),
        },
        "agreed": None
        if agreed is None
        else {
            "mss": agreed.mss,
            "payload": agreed.payload,
            "window_scale": agreed.window_scale,
            "sack": agreed.sack,
            "timestamps": agreed.timestamps,
        },
        "handshake_rtt_ms": _ms(figures.handshake_rtt_ns),
        "directions": [_direction(way, kept) for way in figures.directions],
        "ended": {
            "code": figures.ending.code,
            "node": figures.ending.node,
            "trip": figures.ending.packet or None,
        },
    }


def _options(options: Options | None) -> dict[str, Any] | None:
    if options is None:
        return None
    return {
        "mss": options.mss,
        "window_scale": options.window_scale,
        "sack_permitted": options.sack_permitted,
        "timestamps": options.timestamps,
    }


def _direction(way: Direction, kept: set[int]) -> dict[str, Any]:
    through = way.throughput
    causes = dict.fromkeys(repeat.cause for _, repeat in way.repeats)
    return {
        "from": way.sender,
        "to": way.receiver,
        "segments": way.segments,
        "rtt_ms": _spread(way.rtt),
        "hops": [
            {"node": hop.node, "interface": hop.interface, "rtt_ms": _spread(hop.rtt)}
            for hop in way.hops
        ],
        "window": {"least": way.window_least, "most": way.window_most},
        "in_flight_most": way.in_flight,
        "again": {
            "segments": len(way.repeats),
            "causes": {cause: way.caused_by(cause) for cause in causes},
            "needless": way.needless,
            "trips": [number for number, _ in way.repeats if number in kept],
        },
        "overtaken": [number for number in way.overtaken if number in kept],
        "delayed_acks": {
            "trips": [number for number in way.delayed_acks if number in kept],
            "most_ms": _ms(way.delay_most_ns),
        },
        "zero_window": [
            {
                "from": full.first,
                "to": full.last or None,
                "ms": _ms(full.lasted_ns),
                "probes": list(full.probes),
            }
            for full in way.full
        ],
        "throughput": None
        if through is None
        else {
            "first_ns": through.first_ns,
            "slice_ms": _ms(through.slice_ns),
            "bytes": list(through.bytes),
        },
    }


def segment(timing: SegmentTiming) -> dict[str, Any]:
    """One segment: of what does not apply there is no key."""
    again = timing.again
    data = {
        "window": timing.window,
        "in_flight": timing.in_flight,
        "rtt_ms": _ms(timing.rtt_ns),
        "rtt_of": timing.rtt_of or None,
        "duplicate_ack": timing.duplicate or None,
        "ack_delay_ms": _ms(timing.ack_delay_ns),
        "overtaken": timing.overtaken or None,
        "again": None
        if again is None
        else {
            "cause": again.cause,
            "likely": again.likely,
            "waited_ms": _ms(again.waited_ns),
            "duplicate_acks": again.duplicates,
            "needless": again.needless,
            "proof": again.proof or None,
            "sentences": list(why_again(again)),
        },
    }
    return {key: value for key, value in data.items() if value is not None}


def _spread(times: Spread | None) -> dict[str, Any] | None:
    if times is None:
        return None
    return {
        "n": times.n,
        "least": _ms(times.least_ns),
        "median": _ms(times.median_ns),
        "most": _ms(times.most_ns),
    }


def _ms(ns: int | None) -> float | None:
    return None if ns is None else round(ns / 1e6, 6)
