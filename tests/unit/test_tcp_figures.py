# SPDX-License-Identifier: Apache-2.0
"""What engineers read in a TCP connection; judged by tshark's own analysis of the same
interface."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from hoplab.story.records import Story
from hoplab.story.trip_records import Trip
from tests.conftest import need
from tests.unit.test_runs import RUNS, kept

A = "tcp.analysis."
FIELDS = (
    "frame.interface_name", "tcp.len", "tcp.flags.syn", "tcp.window_size",
    A + "ack_rtt", A + "bytes_in_flight", A + "initial_rtt", A + "retransmission",
    A + "fast_retransmission", A + "spurious_retransmission", A + "out_of_order",
    A + "duplicate_ack_num", A + "zero_window", A + "zero_window_probe", A + "keep_alive",
    "tcp.options.mss_val", "tcp.options.wscale.multiplier", "tcp.options.sack_perm",
)  # fmt: skip
Row = dict[str, str]


@cache
def analysed(name: str) -> list[tuple[Row, Trip, str, bool]]:
    """Of each TCP frame what tshark says where it sees that interface alone, its packet, the
    interface, and whether the frame left there."""
    run = kept(name)
    file = RUNS / name / "capture.pcapng"
    places: dict[int, tuple[Trip, str, bool]] = {}
    for trip in run.story.trips:
        for leg in trip.legs:
            if leg.sent is not None:
                places[leg.sent] = (trip, leg.tail_interface, True)
            if leg.received is not None:
                places[leg.received] = (trip, leg.head_interface, False)
    rows = []
    for interface in sorted({place[1] for place in places.values() if place[0].packet.tcp}):
        frames = [n for n, place in sorted(places.items())
                  if place[1] == interface and place[0].packet.tcp is not None]  # fmt: skip
        # What ICMP quotes of a segment is TCP to tshark, too.
        only = f'tcp && !icmp && !icmpv6 && frame.interface_name == "{interface}"'
        analysed_rows = list(_tshark(file, only))
        assert len(analysed_rows) == len(frames)
        rows += [(row, *places[number]) for row, number in zip(analysed_rows, frames, strict=True)]
    return rows


def _tshark(file: Path, only: str) -> Iterator[Row]:
    """In two passes, so that tshark's analysis sees the frames of one interface alone."""
    program = need("tshark")
    picked = subprocess.run(
        [program, "-n", "-r", file, "-Y", only, "-F", "pcapng", "-w", "-"],
        capture_output=True, check=True,
    )  # fmt: skip
    command = [program, "-n", "-r", "-", "-T", "fields", "-E", "occurrence=f"]
    for name in FIELDS:
        command += ["-e", name]
    read = subprocess.run(command, input=picked.stdout, capture_output=True, check=True)
    for line in read.stdout.decode().splitlines():
        yield dict(zip(FIELDS, line.split("\t"), strict=True))


LOSSES = ["tcp-full-queue", "tcp-no-room", "tcp-timeouts"]
NAMES = [*LOSSES, "refused"]


def at_sender(name: str) -> list[tuple[Row, Trip]]:
    """Frames where they left the card of the node that made them."""
    return [(row, trip) for row, trip, interface, left in analysed(name)
            if left and interface == trip.legs[0].tail_interface]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_windows_and_options_are_those_of_tshark(name: str) -> None:
    for row, trip in at_sender(name):
        timing, tcp = trip.timing, trip.packet.tcp
        assert timing is not None and tcp is not None
        if not tcp.rst:
            assert str(timing.window) == row["tcp.window_size"]
        if tcp.syn:
            assert str(tcp.mss) == row["tcp.options.mss_val"]
            assert str(1 << (tcp.window_scale or 0)) == row["tcp.options.wscale.multiplier"]
            assert tcp.sack_permitted == bool(row["tcp.options.sack_perm"])


@pytest.mark.parametrize("name", NAMES)
def test_round_trips_are_those_of_tshark_at_each_interface(name: str) -> None:
    """Differs on purpose: tshark also measures what was sent twice, where nobody can tell which
    sending was acknowledged (Karn's rule), and ACKs that leave the interface, by which it measures
    how long the node took."""
    story = kept(name).story
    seen = {}
    twice = {number for each in story.connections for way in each.directions
             for number, _ in way.repeats}  # fmt: skip
    for row, trip, interface, left in analysed(name):
        if not left and row[A + "ack_rtt"] and trip.timing is not None and trip.timing.rtt_ns:
            node = story.trip(trip.timing.rtt_of).legs[0].tail_interface
            assert trip.timing.rtt_of not in twice
            seen.setdefault((trip.src, trip.dst, interface), []).append(row[A + "ack_rtt"])
            if interface == node:
                assert float(row[A + "ack_rtt"]) == pytest.approx(trip.timing.rtt_ns / 1e9)
    medians = {tuple(sorted(values))[(len(values) - 1) // 2]
               for values in ([float(v) for v in texts] for texts in seen.values())}  # fmt: skip
    for connection in story.connections:
        for way in connection.directions:
            for hop in way.hops:
                assert any(hop.rtt.median_ns / 1e9 == pytest.approx(v) for v in medians)


def test_what_comes_after_a_segment_that_was_sent_twice_measures_nothing() -> None:
    rows = [(row, trip) for row, trip, interface, left in analysed("tcp-full-queue")
            if interface == "h1-eth0" and not left and row[A + "ack_rtt"]]  # fmt: skip
    unmeasured = [trip for _, trip in rows if trip.timing and trip.timing.rtt_ns is None]
    assert unmeasured and len(unmeasured) < len(rows)


@pytest.mark.parametrize("name", NAMES)
def test_bytes_in_flight_are_those_of_tshark(name: str) -> None:
    """Differs on purpose: tshark takes away only what the last ACK reports by SACK, which has room
    for three blocks, and takes a D-SACK for bytes that came early: of what was reported before it
    forgets. Ours never exceeds it. A keep-alive puts nothing under way."""
    compared = 0
    for row, trip in at_sender(name):
        timing = trip.timing
        if timing is None or not row[A + "bytes_in_flight"] or trip.kind == "tcp-keepalive":
            continue
        compared += 1
        theirs = int(row[A + "bytes_in_flight"])
        assert timing.in_flight is not None
        if name == "tcp-full-queue" and timing.in_flight != theirs:
            assert 0 <= timing.in_flight < theirs and _sacked_much(kept(name).story, trip)
        else:
            assert timing.in_flight == theirs
    assert compared or name not in LOSSES


def _sacked_much(story: Story, trip: Trip) -> bool:
    """An ACK before it reports bytes by SACK."""
    return any(earlier.packet.tcp.sack for earlier in story.trips[: trip.number]
               if earlier.packet.tcp is not None)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_what_was_sent_again_is_what_tshark_says(name: str) -> None:
    """tshark calls a retransmission fast after two duplicate ACKs within 20 ms, and guesses by the
    time whether it was out of order; ours goes by what the sender knew, so that SACK counts, too.
    So what tshark calls fast must be fast with us, and not the other way round."""
    for row, trip in at_sender(name):
        assert trip.timing is not None
        again = trip.timing.again
        theirs = any(row[A + key] for key in (
            "retransmission", "fast_retransmission", "spurious_retransmission", "out_of_order",
        ))  # fmt: skip
        assert (again is not None) == theirs
        if again is not None and row[A + "fast_retransmission"]:
            assert again.cause == "fast"
        if again is not None and row[A + "spurious_retransmission"]:
            assert again.needless


@pytest.mark.parametrize("name", NAMES)
def test_duplicate_acks_are_those_of_tshark(name: str) -> None:
    for row, trip, interface, left in analysed(name):
        receiver = trip.legs[-1].head_interface
        if left or interface != receiver or trip.timing is None or not trip.delivered:
            continue
        assert str(trip.timing.duplicate or "") == row[A + "duplicate_ack_num"]


@pytest.mark.parametrize("name", NAMES)
def test_no_room_is_what_tshark_calls_zero_window(name: str) -> None:
    """Differs on purpose: a probe without data looks like a keep-alive to tshark, whatever the
    window; ours knows that its receiver had no room."""
    probes = [number for each in kept(name).story.connections for way in each.directions
              for full in way.full for number in full.probes]  # fmt: skip
    for row, trip in at_sender(name):
        if row[A + "zero_window"]:
            assert trip.timing is not None and trip.timing.window == 0
        if row[A + "zero_window_probe"] or trip.number in probes:
            assert trip.number in probes and trip.kind == "tcp-window-probe"


@pytest.mark.parametrize("name", NAMES)
def test_the_handshake_takes_as_long_as_tshark_says(name: str) -> None:
    """tshark's initial RTT goes on to the client's ACK; up to the SYN + ACK it is an ack_rtt."""
    for connection in kept(name).story.connections:
        if connection.handshake_rtt_ns is None:
            continue
        rows = [row for row, trip, interface, left in analysed(name)
                if not left and row["tcp.flags.syn"] in ("1", "True")
                and trip.kind == "tcp-syn-ack" and trip.timing
                and trip.timing.rtt_ns == connection.handshake_rtt_ns
                and interface == trip.legs[-1].head_interface]  # fmt: skip
        (row,) = rows
        assert float(row[A + "ack_rtt"]) == pytest.approx(connection.handshake_rtt_ns / 1e9)


def test_a_receiver_that_stops_reading_for_three_seconds() -> None:
    (connection,) = kept("tcp-no-room").story.connections
    (full,) = connection.forth.full
    assert full.lasted_ns is not None and 2.5e9 < full.lasted_ns < 3e9 and len(full.probes) >= 2
    assert connection.forth.window_least == 0
    assert connection.ending.code == "closed" and connection.ending.node == "h1"


def test_timeouts_of_a_real_sender() -> None:
    """A filter behind the card drops what came to it: that a segment arrived at the card does not
    make it needless to send it again."""
    (connection,) = kept("tcp-timeouts").story.connections
    repeats = [repeat for _, repeat in connection.forth.repeats]
    assert repeats and {repeat.cause for repeat in repeats} == {"timeout"}
    assert all(repeat.waited_ns and repeat.waited_ns >= 190e6 for repeat in repeats)
    assert not any(repeat.needless for repeat in repeats)
