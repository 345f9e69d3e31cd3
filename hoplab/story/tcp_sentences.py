# SPDX-License-Identifier: Apache-2.0
"""The figures of TCP connections in words: one line of each in which something is remarkable, and
all of them for those who want to know.

What lives here: sentences. What must not: how figures are found (`tcp_figures.py`), layout.
"""

from __future__ import annotations

from collections.abc import Callable

from hoplab.sentences import Sentence, listed, number_of, say, term
from hoplab.story.costs import rate
from hoplab.story.counts import byte_count, packet_numbers
from hoplab.story.tcp_records import (
    FAST,
    PROBE,
    TIMEOUT,
    UNKNOWN,
    ConnectionFigures,
    Direction,
    Full,
    Options,
    Repeat,
    SegmentTiming,
    Spread,
    Throughput,
)

HEADING = term("TCP connections, as engineers read them")
SLICES_TOLD = 10  # of the throughput; `trace.json` has them all

_COUNTED: dict[str, Callable[[int], Sentence]] = {
    TIMEOUT: lambda n: say("{n:,} after a timeout", n=n),
    FAST: lambda n: say("{n:,} since ACKs showed that later bytes had come", n=n),
    PROBE: lambda n: say("{n:,} likely as a tail loss probe", n=n),
    UNKNOWN: lambda n: say("{n:,} for a reason that the frames do not show", n=n),
}


def heading(figures: ConnectionFigures) -> Sentence:
    """Who is connected with whom."""
    return say(
        "TCP from {client}, port {port}, to {server}, port {port2}",
        client=figures.client, port=figures.client_port,
        server=figures.server, port2=figures.server_port,
    )  # fmt: skip


def remarkable(figures: ConnectionFigures) -> bool:
    """There is something to say beyond the textbook."""
    return any(
        way.repeats or way.overtaken or way.delayed_acks or way.full for way in figures.directions
    )


def in_one_line(figures: ConnectionFigures) -> Sentence:
    """What is remarkable about the connection, with what one must know to judge it."""
    parts: list[str] = []
    main = max(figures.directions, key=lambda way: way.segments)
    if main.rtt is not None:
        ms, most = main.rtt.median_ns / 1e6, main.rtt.most_ns / 1e6
        parts.append(say("RTT {ms:,.2f} ms (up to {most:,.2f})", ms=ms, most=most))
    if figures.agreed is not None:
        parts.append(say("MSS {size:,}", size=figures.agreed.mss))
    if main.window_most is not None:
        parts.append(say("window up to {size}", size=_size(main.window_most)))
    for way in figures.directions:
        parts += _remarkable_of(way)
    return say("{connection}: {figures}.", connection=heading(figures), figures=listed(parts))


def _remarkable_of(way: Direction) -> list[str]:
    parts: list[str] = []
    if way.repeats:
        parts.append(
            number_of(
                "{n:,} segment of {sender} sent again ({why})",
                "{n:,} segments of {sender} sent again ({why})",
                len(way.repeats), sender=way.sender, why=listed(_reasons(way)),
            )
        )  # fmt: skip
    if way.overtaken:
        parts.append(
            number_of(
                "{n:,} segment of {sender} overtaken on the way",
                "{n:,} segments of {sender} overtaken on the way",
                len(way.overtaken), sender=way.sender,
            )
        )  # fmt: skip
    if way.delayed_acks:
        parts.append(
            number_of(
                "{n:,} ACK of {receiver} held back, by {ms:,.0f} ms",
                "{n:,} ACKs of {receiver} held back, by {ms:,.0f} ms at most",
                len(way.delayed_acks), receiver=way.receiver, ms=way.delay_most_ns / 1e6,
            )
        )  # fmt: skip
    if way.full:
        parts.append(
            number_of(
                "{n:,} time no room at {receiver}", "{n:,} times no room at {receiver}",
                len(way.full), receiver=way.receiver,
            )
        )  # fmt: skip
    return parts


def _reasons(way: Direction) -> list[Sentence]:
    """How many were sent again for which reason, and how many of them needlessly."""
    reasons = [count(n) for cause, count in _COUNTED.items() if (n := way.caused_by(cause))]
    if way.needless:
        reasons.append(say("{n:,} of them needless", n=way.needless))
    return reasons


def in_full(figures: ConnectionFigures) -> list[Sentence]:
    """Everything about a connection, a sentence a line."""
    sentences = [
        _options(node, options)
        for node, options in (
            (figures.client, figures.client_options),
            (figures.server, figures.server_options),
        )
        if options is not None
    ]
    sentences.append(_agreed(figures))
    if figures.handshake_rtt_ns is not None:
        ms = figures.handshake_rtt_ns / 1e6
        sentences.append(say("From the SYN to the SYN + ACK: {ms:,.3f} ms.", ms=ms))
    for way in figures.directions:
        sentences += _of_direction(way)
    sentences.append(_ending(figures))
    return sentences


def _options(node: str, options: Options) -> Sentence:
    parts: list[str] = [term("no MSS")]
    if options.mss is not None:
        parts = [say("MSS {size:,}", size=options.mss)]
    if options.window_scale is not None:
        parts.append(say("window scale {n} (times {factor:,})",
                         n=options.window_scale, factor=1 << options.window_scale))  # fmt: skip
    if options.sack_permitted:
        parts.append(term("SACK permitted"))
    if options.timestamps:
        parts.append(term("timestamps"))
    return say("The SYN of {node} says: {options}.", node=node, options=listed(parts))


def _agreed(figures: ConnectionFigures) -> Sentence:
    agreed = figures.agreed
    if agreed is None:
        return term(
            "Not both SYNs are in the capture: what was agreed is not known, nor by how much "
            "windows are scaled."
        )
    parts: list[str] = []
    if agreed.window_scale:
        parts.append(term("scaled windows"))
    if agreed.sack:
        parts.append(term("SACK"))
    if agreed.timestamps:
        parts.append(term("timestamps"))
    if not parts:
        parts.append(term("no option of these"))
    return say(
        "Agreed: {options}; up to {size:,} bytes of payload in a segment.",
        options=listed(parts), size=agreed.payload,
    )  # fmt: skip


def _of_direction(way: Direction) -> list[Sentence]:
    """What one side sent, and how the other took it."""
    if not (way.segments or way.rtt or way.repeats or way.full):
        return []
    sentences: list[Sentence] = []
    names = {"sender": way.sender, "receiver": way.receiver}
    if way.rtt is not None:
        sentences.append(
            say("RTT from {sender} to {receiver} and back: {rtt}.", rtt=_spread(way.rtt), **names)
        )
    if len(way.hops) > 1:
        hops = [
            say("{port} {ms:,.3f} ms", port=hop.interface, ms=hop.rtt.median_ns / 1e6)
            for hop in way.hops
        ]
        sentences.append(
            say("From each card on to {receiver} and back, in the middle: {hops}.",
                hops=listed(hops), **names)
        )  # fmt: skip
    if way.segments and way.window_most is not None:
        sentences.append(
            say(
                "{receiver} announced room for {least:,} to {most:,} bytes; at most {size:,} bytes "
                "of {sender} were under way.",
                least=way.window_least, most=way.window_most, size=way.in_flight, **names,
            )
        )  # fmt: skip
    elif way.segments:
        sentences.append(
            say("At most {size:,} bytes of {sender} were under way.", size=way.in_flight, **names)
        )
    sentences += _of_losses(way)
    sentences += [_full(way, full) for full in way.full]
    if way.throughput is not None and len(way.throughput.bytes) > 1:
        sentences.append(_throughput(way, way.throughput))
    return sentences


def _of_losses(way: Direction) -> list[Sentence]:
    """What was sent again, overtaken, or acknowledged late."""
    sentences: list[Sentence] = []
    if way.repeats:
        sentences.append(
            number_of(
                "{sender} sent {n:,} segment again {packets}: {why}.",
                "{sender} sent {n:,} segments again {packets}: {why}.",
                len(way.repeats),
                sender=way.sender, packets=packet_numbers([number for number, _ in way.repeats]),
                why=listed(_reasons(way)),
            )
        )  # fmt: skip
    if way.overtaken:
        sentences.append(
            number_of(
                "{n:,} segment of {sender} was overtaken on the way {packets}: it was sent once.",
                "{n:,} segments of {sender} were overtaken on the way {packets}: each was sent "
                "once.",
                len(way.overtaken), sender=way.sender, packets=packet_numbers(list(way.overtaken)),
            )
        )  # fmt: skip
    if way.delayed_acks:
        sentences.append(
            number_of(
                "{receiver} held back {n:,} ACK {packets}, by {ms:,.1f} ms: likely a delayed ACK, "
                "which waits for data to ride on.",
                "{receiver} held back {n:,} ACKs {packets}, by {ms:,.1f} ms at most: likely "
                "delayed ACKs, which wait for data to ride on.",
                len(way.delayed_acks),
                receiver=way.receiver, packets=packet_numbers(list(way.delayed_acks)),
                ms=way.delay_most_ns / 1e6,
            )
        )  # fmt: skip
    return sentences


def _full(way: Direction, full: Full) -> Sentence:
    """A receiver without room: its program did not read."""
    names = {"sender": way.sender, "receiver": way.receiver, "packet": full.first}
    probes = number_of("{n:,} probe", "{n:,} probes", len(full.probes))
    if full.lasted_ns is None:
        return say(
            "Window 0 from #{packet} to the end of the capture: the program on {receiver} did not "
            "read; {sender} sent {probes}.",
            probes=probes, **names,
        )  # fmt: skip
    return say(
        "Window 0 from #{packet} to #{last}, {ms:,.1f} ms: the program on {receiver} did not read; "
        "{sender} sent {probes}.",
        last=full.last, ms=full.lasted_ns / 1e6, probes=probes, **names,
    )  # fmt: skip


def _throughput(way: Direction, through: Throughput) -> Sentence:
    """What came, slice by slice; several slices together where there are many."""
    step = -(-len(through.bytes) // SLICES_TOLD)
    counts = [
        sum(through.bytes[place : place + step]) for place in range(0, len(through.bytes), step)
    ]
    return say(
        "To {receiver} came, in slices of {ms:,.0f} ms: {rates}.",
        receiver=way.receiver, ms=through.slice_ns * step / 1e6,
        rates=listed(rate(count * 8e9 / (through.slice_ns * step)) for count in counts),
    )  # fmt: skip


def _ending(figures: ConnectionFigures) -> Sentence:
    ending = figures.ending
    values = {"node": ending.node, "packet": ending.packet}
    if ending.code == "closed":
        return say("Closed by both sides with FIN, {node} first (#{packet}).", **values)
    if ending.code == "closing":
        return say("Both sent FIN, {node} first (#{packet}); an ACK of one was not seen.", **values)
    if ending.code == "half":
        return say("Only {node} closed its direction (#{packet}).", **values)
    if ending.code == "reset":
        return say("Broken off by an RST of {node} (#{packet}).", **values)
    if ending.code == "refused":
        return say("Refused by an RST of {node} (#{packet}).", **values)
    if ending.code == "unanswered":
        return say("No SYN + ACK was seen for the SYN of {node} (#{packet}).", **values)
    return term("Still open when the capture ended.")


def of_segment(timing: SegmentTiming) -> list[Sentence]:
    """What the numbers and times of one segment tell."""
    sentences: list[Sentence] = []
    if timing.window is not None:
        sentences.append(say("its sender has room for {size:,} bytes", size=timing.window))
    if timing.in_flight is not None:
        size = byte_count(timing.in_flight)
        sentences.append(say("{size} under way once it had left", size=size))
    if timing.rtt_ns is not None:
        sentences.append(
            say("RTT of #{packet}: {ms:,.3f} ms", packet=timing.rtt_of, ms=timing.rtt_ns / 1e6)
        )
    if timing.duplicate:
        sentences.append(say("duplicate ACK, number {n:,} of its kind", n=timing.duplicate))
    if timing.ack_delay_ns is not None:
        ms = timing.ack_delay_ns / 1e6
        sentences.append(say("{ms:,.3f} ms after what it acknowledges had come", ms=ms))
    if timing.overtaken:
        sentences.append(term("overtaken on the way by what was sent later; it was sent once"))
    if timing.again is not None:
        sentences += why_again(timing.again)
    return sentences


def why_again(repeat: Repeat) -> list[Sentence]:
    """Why a segment was sent again, and whether it had to be."""
    cause = _cause(repeat)
    sentences = [say("likely: {cause}", cause=cause) if repeat.likely else cause]
    if repeat.needless == "acknowledged":
        sentences.append(term("needless: its sender had the ACK of it already"))
    elif repeat.needless == "d-sack":
        sentences.append(
            say("needless: the receiver says that it came twice (D-SACK in #{packet})",
                packet=repeat.proof)
        )  # fmt: skip
    elif repeat.needless == "crossed":
        sentences.append(
            say("needless: the ACK of it had left the receiver already (#{packet})",
                packet=repeat.proof)
        )  # fmt: skip
    return sentences


def _cause(repeat: Repeat) -> Sentence:
    ms = (repeat.waited_ns or 0) / 1e6
    if repeat.cause == TIMEOUT and repeat.waited_ns is None:
        return term("sent again after a timeout")
    if repeat.cause == TIMEOUT:
        return say("sent again after a timeout, {ms:,.1f} ms after the last time", ms=ms)
    if repeat.cause == FAST and repeat.duplicates:
        return number_of(
            "sent again at once, since {n:,} duplicate ACK had come",
            "sent again at once, since {n:,} duplicate ACKs had come",
            repeat.duplicates,
        )
    if repeat.cause == FAST:
        return term("sent again at once, since ACKs showed that later bytes had come")
    if repeat.cause == PROBE:
        return say("tail loss probe, {ms:,.1f} ms after the last time", ms=ms)
    return term("why it was sent again the frames do not show")


def _spread(times: Spread) -> Sentence:
    return number_of(
        "{ms:,.3f} ms, measured once",
        "{least:,.3f} ms at least, {ms:,.3f} in the middle, {most:,.3f} at most, of {n:,}",
        times.n, least=times.least_ns / 1e6, ms=times.median_ns / 1e6, most=times.most_ns / 1e6,
    )  # fmt: skip


def _size(size: int) -> Sentence:
    """A size to remember: '64 KiB'."""
    if size < 1024:
        return byte_count(size)
    return say("{size:,.0f} KiB", size=size / 1024)
