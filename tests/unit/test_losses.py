# SPDX-License-Identifier: Apache-2.0
"""What is a loss, and what is none: edges of a capture, queues of switches, gaps of a capture."""

from __future__ import annotations

import dataclasses
import os
import random
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hoplab.capture import pcapng_format, pcapng_reader, pcapng_writer, recorder
from hoplab.capture.observation import Observation, Reception
from hoplab.decode import packet
from hoplab.follow.follow import follow
from hoplab.report import as_json, terminal
from hoplab.report.language import language
from hoplab.report.numbers import totals
from hoplab.story.channel_state import ChannelState
from hoplab.story.coverage import Coverage, Evidence
from hoplab.story.flow_decisions import flow_decision
from hoplab.story.flow_tables import FlowTables
from hoplab.story.live import Live
from hoplab.story.records import Request, Story
from hoplab.story.tell import tell
from tests.unit import frames, scenarios
from tests.unit.playground import START_NS, Playground, Talk, wire_up

MS = 1_000_000
T = START_NS
LAN = [(f"h{i}", f"10.0.0.{i}/24", "s1", "") for i in (1, 2, 3)]


# ------------------------------------------------------------------ the recorder


def frame(t_ns: int) -> tuple[int, bytes]:
    return t_ns, pcapng_writer.pack_frame(0, t_ns, Reception.OUTGOING, b"x" * 60, 60)


class Ring:
    """A ring that hands over what a test puts into it."""

    def __init__(self) -> None:
        self.ready: list[tuple[int, bytes]] = []

    def take(self, into: list[tuple[int, bytes]]) -> int:
        taken, self.ready = self.ready, []
        into.extend(taken)
        return len(taken)

    def open_since_ns(self) -> None:
        return None


@pytest.fixture
def recording(tmp_path: Path) -> Any:
    """A recorder with one interface, listened to since T, and what its ring hands over."""
    path = tmp_path / "x.pcapng"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    with open(fd, "wb", buffering=0, closefd=False) as file:
        pcapng_writer.Writer(file)
    channel = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)[0]
    recording, ring = recorder.Recorder(channel, fd), Ring()
    heard = socket.socket()
    info = {"name": "s1-eth1", "addresses": []}
    recording._add({"add": info, "ring": 0, "wire": True, "since": T}, heard)
    recording.taps[heard.fileno()].ring = ring  # type: ignore[assignment]
    yield SimpleNamespace(one=recording, ring=ring, path=path, fd=heard.fileno())
    os.close(fd)


def times(path: Path) -> list[int]:
    return [seen.t_ns - T for seen in pcapng_reader.read(path).observations]


def test_frames_count_from_the_moment_when_the_last_interface_listens(recording: Any) -> None:
    recording.ring.ready = [frame(T - 5), frame(T - 1), frame(T), frame(T + 5)]
    recording.one._pass([recording.fd], T)
    recording.ring.ready = [frame(T - 1), frame(T + 6)]  # of another processor, handed over late
    recording.one._pass([recording.fd], T)
    recording.one._flush(None)
    assert times(recording.path) == [0, 5, 6]
    assert pcapng_reader.read(recording.path).begun_ns == {0: T}


def test_a_clock_that_is_set_back_ends_the_wait_for_the_beginning(
    recording: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording.one._clock, "jumped", lambda: True)
    recording.one._pass([], T)
    recording.ring.ready = [frame(T - 3_600_000 * MS)]
    recording.one._pass([recording.fd], T)
    recording.one._flush(None)
    assert recording.one.frames == 1


def test_frames_count_until_the_order_to_stop(recording: Any) -> None:
    recording.ring.ready = [frame(T + t) for t in (1, 2, 3, 4)]
    recording.one._pass([recording.fd], T)
    recording.one._stop(T + 3, {"s1-eth1": 621, "not captured": 5}, {"s1-eth1": 3})
    recording.one._flush(None)
    assert times(recording.path) == [1, 2, 3]
    assert recording.one.frames == 3


def test_a_capture_rewritten_keeps_its_edges_and_counts(tmp_path: Path) -> None:
    path = tmp_path / "x.pcapng"
    with open(path, "wb") as file:
        interfaces = [pcapng_format.InterfaceInfo(name) for name in ("s1-eth1", "lo")]
        writer = pcapng_writer.Writer(file, interfaces)
        writer.write_start(0, T)
        writer.write_start(1, T + 7)
        writer.write_statistics(0, T + 99, 10, 0, T, 621)
        writer.write_statistics(1, T + 99, 4, 0, T + 7)
    whole = pcapng_reader.read(path)
    assert (whole.begun_ns, whole.ended_ns) == ({0: T, 1: T + 7}, T + 99)
    assert whole.queue_drops == {0: 621}  # of the other one it is not known
    with open(path, "wb") as file:
        pcapng_writer.write_all(file, whole)
    assert dataclasses.asdict(pcapng_reader.read(path)) == dataclasses.asdict(whole)


# ------------------------------------------------------------------ edges


def told(net: Playground, seen: list[Observation], coverage: Coverage, **how: Any) -> Story:
    journeys = follow(net.wiring, seen, lossy=coverage.lossy)
    return tell(net.wiring, journeys, coverage=coverage, **how)


def ping(net: Playground, source: str = "10.0.0.1", to: str = "10.0.0.2", seq: int = 1) -> None:
    net.ip(source, to, 1, frames.echo(True, 9, seq))


def lan(controller: str = "learning_switch") -> Playground:
    net = Playground(wire_up(LAN, controller, "switch"))
    net.warm()
    return net


def edges(net: Playground, begun_ns: int, ended_ns: int | None) -> Coverage:
    return Coverage({port: begun_ns for port in range(len(net.wiring.interfaces))}, ended_ns)


@pytest.mark.parametrize("controller", ["learning_switch", "hub"])
def test_a_stream_photographed_at_any_moment_lost_nothing(controller: str) -> None:
    """Every pair of a beginning and an end of the capture, at every frame seen anywhere."""
    net = lan(controller)
    for seq in range(2):
        ping(net, seq=seq)
    seen = net.observations()
    moments = [observed.t_ns for observed in seen]
    for begun_ns in moments:
        for ended_ns in [t for t in moments if t > begun_ns]:
            part = [observed for observed in seen if begun_ns <= observed.t_ns <= ended_ns]
            story = told(net, part, edges(net, begun_ns, ended_ns))
            assert story.summary.lost == 0
            assert story.summary.health.healed == 0
            assert {trip.fate for trip in story.trips} <= {"", "cut"}
            first = story.trips[0]
            whole = first.sender == "h1" and first.legs[0].sent is not None
            assert whole or first.under_way


def test_what_was_under_way_is_said_and_the_rest_is_lost() -> None:
    net = lan()
    net.drop = lambda interface, packet: interface == "s1-eth2"
    ping(net)
    seen = net.observations()
    arrived_ns = next(
        observed.t_ns for observed in seen if observed.port == net.wiring.port("s1-eth1")
    )
    story = told(
        net,
        [observed for observed in seen if observed.t_ns >= arrived_ns],
        edges(net, arrived_ns, arrived_ns + 50 * MS),
    )
    assert story.trips[0].notes[0] == "it was on its way to s1 when the capture began"
    assert story.trips[0].under_way and story.summary.lost == 1  # on the last link, for certain
    left = seen[-1].t_ns
    story = told(
        net,
        [observed for observed in seen if observed.t_ns >= left],
        edges(net, left, left + 50 * MS),
    )
    assert story.trips[0].notes[0] == "s1 had it when the capture began"
    assert story.trips[0].sender == "h1", "by its address: the switch did not make it"
    assert story.trips[0].path[0] == "s1"
    story = told(net, seen, edges(net, T, left + 4 * MS))
    assert story.summary.lost == 0 and story.summary.health.under_way == 1
    text = "1 packet under way when the capture began or ended"
    assert text in terminal.render(story)


def test_how_long_a_frame_may_be_under_way_is_measured() -> None:
    """A frame took 30 ms on a link, so another may take as long at the end."""
    net = lan()
    ping(net)
    ping(net, seq=2)
    seen = net.observations()
    slow = next(i for i, observed in enumerate(seen) if observed.port == net.wiring.port("s1-eth1"))
    later = [
        dataclasses.replace(observed, t_ns=observed.t_ns + 30 * MS) for observed in seen[slow:-1]
    ]
    part = [*seen[:slow], *later]  # the second was not seen to arrive
    end = part[-1].t_ns
    assert told(net, part, edges(net, T, end + 29 * MS)).summary.lost == 0
    assert told(net, part, edges(net, T, end + 31 * MS)).summary.lost == 1


def test_an_interface_that_was_added_later_lost_nothing_before() -> None:
    net = lan()
    ping(net)
    seen = [
        observation
        for observation in net.observations()
        if observation.port != net.wiring.port("h2-eth0")
    ]
    late = {net.wiring.port("h2-eth0"): seen[-1].t_ns + 1}
    story = told(net, seen, Coverage({0: T, **late}, seen[-1].t_ns + 900 * MS))
    assert story.summary.lost == 0
    assert story.trips[0].ended == "it was on its way to h2 when the capture began there"


def test_an_interface_that_nobody_listened_to_lost_nothing() -> None:
    net = lan()
    ping(net)
    port = net.wiring.port("h2-eth0")
    seen = [observation for observation in net.observations() if observation.port != port]
    story = told(net, seen, Coverage(unheard=frozenset((port,))))
    assert (story.summary.lost, story.summary.health.unseen) == (0, 1)


def test_live_knows_the_edges_too() -> None:
    net = lan()
    ping(net)
    seen = net.observations()[:-1]
    for after_ms, ended in ((4, "the capture ended while it was on its way to h2"), (6, "lost")):
        live = Live(net.wiring)
        for observed in seen:
            live.feed(observed)
        live.cover(edges(net, T, seen[-1].t_ns + after_ms * MS))
        (news,) = live.finish()
        assert (news.ended == ended) if after_ms == 4 else news.trip.lost


# ------------------------------------------------------------------ queues of switches


def flooded(vanish: int, drops: int, of: int = 5) -> Story:
    """So many pings over a hub, of which the last ones vanish in it, and the kernel's count."""
    net = lan("hub")
    for seq in range(of):
        if seq == of - vanish:
            net._switch = lambda port, data: None  # type: ignore[method-assign]
        ping(net, seq=seq)
    coverage = dataclasses.replace(
        edges(net, T, net.now_ns + 1000 * MS),
        queue_drops={net.wiring.port("s1-eth1"): drops, net.wiring.port("s1-eth2"): 0},
    )
    return told(net, net.observations(), coverage)


def test_a_full_queue_is_where_the_frames_went() -> None:
    story = flooded(vanish=2, drops=2)
    assert (story.summary.lost, story.summary.lost_on_links) == (2, 0)
    assert [trip.ended for trip in story.trips[-2:]] == [
        "s1 dropped it at s1-eth1: its queue there was full"
    ] * 2
    text = terminal.render(story, width=400)
    assert "2 frames lost on the way." in text
    assert "s1 dropped 2 frames at s1-eth1, by the kernel's count" in text
    assert "As many came in there and went out of no port." in text
    data = as_json.to_dict(story)["summary"]
    assert data["lost"] == 2 and data["missed"] == 0
    assert data["lost_in_switches"] == [
        {"node": "s1", "interface": "s1-eth1", "reason": "queue-full", "frames": 2,
         "vanished": 2, "open": 0}
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("drops", "lost", "word"),
    [
        (1, 1, "3 came in there and went out of no port: 2 of them for another reason."),
        (7, 7, "Of these 3 are seen to come in and go out of no port; the frames do not show the "
               "other 4."),
    ],
)  # fmt: skip
def test_where_frames_and_count_disagree_both_are_said(drops: int, lost: int, word: str) -> None:
    story = flooded(vanish=3, drops=drops)
    assert story.summary.lost == lost
    assert story.trips[-1].ended == "s1 likely dropped it at s1-eth1: its queue there was full"
    assert word in terminal.render(story, width=400)


def test_a_frame_that_a_flow_dropped_is_no_loss() -> None:
    story = flooded(vanish=3, drops=0)
    assert story.summary.lost == 0
    assert story.trips[-1].ended == "s1 took it in by s1-eth1 and sent it out of no port"


def test_a_full_queue_is_not_the_doing_of_a_flow() -> None:
    def decision(story: Story) -> Any:
        trip = story.trips[-1]
        arrival = SimpleNamespace(trip=trip, leg=0, node="s1", in_port=1, fan=trip.fanouts[0])
        state = ChannelState(open={("10.0.0.1", 40000, 6653): False})
        return flow_decision(lan().wiring, arrival, FlowTables(), state)  # type: ignore[arg-type]

    assert decision(flooded(vanish=2, drops=2)) is None
    assert decision(flooded(vanish=2, drops=1)) is None
    assert decision(flooded(vanish=2, drops=0)).answer == "drop"


def test_what_came_just_before_the_end_may_still_be_in_the_switch() -> None:
    net = lan("hub")
    net._switch = lambda port, data: None  # type: ignore[method-assign]
    ping(net)
    drops = {net.wiring.port("s1-eth1"): 1}
    coverage = dataclasses.replace(edges(net, T, net.now_ns + MS), queue_drops=drops)
    story = told(net, net.observations(), coverage)
    assert story.trips[0].ended == "the capture ended while s1 had it"
    assert story.summary.queue_losses[0].open == 1
    assert "1 more came in just before the capture ended" in terminal.render(story, width=400)


def test_a_comparison_counts_them() -> None:
    rows = {name: values for name, *values in totals(flooded(2, 2).summary, flooded(0, 0).summary)}
    assert rows["frames lost on the way"] == rows["of them dropped by switches"] == [2, 0]
    rows = {name: values for name, *values in totals(flooded(0, 0).summary, flooded(0, 0).summary)}
    assert "of them dropped by switches" not in rows


# ------------------------------------------------------------------ gaps of the capture

BIG = b"<html>" + b"hoplab " * 3000


def long_fetch(net: Playground) -> None:
    """Ten segments of the server, each acknowledged."""
    talk = Talk(net, "10.0.0.1", "10.0.0.2")
    talk.open()
    talk.say("c", frames.PSH | frames.ACK, b"GET / HTTP/1.1\r\nHost: h2\r\n\r\n")
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BIG)
    whole = head + BIG
    for at in range(0, len(whole), 1400):
        talk.say("s", frames.PSH | frames.ACK, whole[at : at + 1400])
        talk.say("c", frames.ACK)
    talk.close_four()


def gappy(net: Playground, seed: int, keep: float = 0.67) -> tuple[list[Observation], Coverage]:
    """A capture that missed each frame with some chance, and its counts."""
    rng = random.Random(seed)
    kept, missed = [], dict.fromkeys(range(len(net.wiring.interfaces)), 0)
    for observation in net.observations():
        if rng.random() < keep:
            kept.append(observation)
        else:
            missed[observation.port] += 1
    coverage = edges(net, T, net.now_ns + 1000 * MS)
    return kept, dataclasses.replace(coverage, missed=missed)


@pytest.mark.parametrize("seed", range(12))
def test_what_the_capture_missed_is_not_lost_and_no_verdict_says_never(seed: int) -> None:
    net = lan()
    long_fetch(net)
    seen, coverage = gappy(net, seed)
    code = seed % 3 if seed % 3 < 2 else None
    request = Request("http://10.0.0.2/", "h1", "timed out" if code else "")
    story = told(net, seen, coverage, request=request, exit_code=code)
    missed = coverage.missed_frames
    assert story.summary.lost == 0
    assert story.summary.health.dropped == missed
    assert story.outcome.ok is {0: True, 1: False, None: None}[code] or (
        story.outcome.code == "fetched" and story.outcome.ok
    )
    texts = [story.outcome.sentence, *story.outcome.why]
    texts += [remark.text for step in story.steps for remark in step.remarks]
    texts += [trip.ended for trip in story.trips if trip.kind.startswith(("tcp", "http"))]
    for text in texts:
        assert not {"never", "lost", "silent", "nobody"} & set(text.replace(".", " ").split()), text
    chinese = language("zh")
    terminal.render(story, tr=chinese)
    assert not [text for text in chinese.unknown if "capture" in text or "acknowledged" in text]


def test_a_port_where_the_capture_missed_nothing_proves_a_loss() -> None:
    """Frames were missed at h3 alone: what does not arrive at h2 is lost all the same."""
    net = lan()
    net.drop = lambda interface, packet: interface == "s1-eth2"
    ping(net)
    coverage = edges(net, T, net.now_ns + 1000 * MS)
    elsewhere = dataclasses.replace(coverage, missed={net.wiring.port("h3-eth0"): 9})
    assert told(net, net.observations(), elsewhere).summary.lost == 1
    there = dataclasses.replace(coverage, missed={net.wiring.port("h2-eth0"): 9})
    story = told(net, net.observations(), there)
    assert (story.summary.lost, story.summary.health.unseen) == (0, 1)
    doubt = "whether it arrived at h2 cannot be told: the capture missed frames there"
    assert story.trips[0].ended == "" and story.trips[0].notes == (doubt,)


def without(net: Playground, port: str, number: int) -> list[Observation]:
    """The capture without the n-th frame with data that was seen at a port."""
    data = [
        observation for observation in net.observations()
        if observation.port == net.wiring.port(port) and packet.decode(observation.data).payload
    ]  # fmt: skip
    return [observed for observed in net.observations() if observed != data[number]]


def test_an_acknowledgement_proves_that_a_segment_came() -> None:
    net = lan()
    long_fetch(net)
    coverage = edges(net, T, net.now_ns + 1000 * MS)
    coverage = dataclasses.replace(coverage, missed={net.wiring.port("h1-eth0"): 1})
    story = told(net, without(net, "h1-eth0", 4), coverage)
    (trip,) = [trip for trip in story.trips if trip.proved]
    assert trip.delivered == ("h1",) and trip.ended == "" and story.summary.health.unseen == 0
    assert trip.notes[-1].startswith("not seen to arrive, but it did: h1 acknowledged it (#")


def test_it_proves_what_a_switch_was_not_seen_to_send_on() -> None:
    net = lan()
    long_fetch(net)
    ports = [net.wiring.port(name) for name in ("s1-eth1", "h1-eth0")]
    coverage = dataclasses.replace(
        edges(net, T, net.now_ns + 1000 * MS), missed=dict.fromkeys(ports, 1)
    )
    gone = [
        observed for port in ("s1-eth1", "h1-eth0")
        for observed in set(net.observations()) - set(without(net, port, 4))
    ]  # fmt: skip
    story = told(
        net,
        [observation for observation in net.observations() if observation not in gone],
        coverage,
    )
    (trip,) = [trip for trip in story.trips if trip.proved]
    assert (trip.delivered, trip.doubt in trip.notes) == (("h1",), False)
    assert trip.doubt == "whether s1 sent it on cannot be told: the capture missed frames there"


def test_of_a_segment_that_was_sent_twice_an_acknowledgement_proves_neither() -> None:
    net = lan()
    talk = Talk(net, "10.0.0.1", "10.0.0.2")
    talk.open()
    talk.say("c", frames.PSH | frames.ACK, b"hello")
    talk.say("c", frames.PSH | frames.ACK, b"hello", again=True)
    talk.say("s", frames.ACK)
    coverage = edges(net, T, net.now_ns + 1000 * MS)
    coverage = dataclasses.replace(coverage, missed={net.wiring.port("h2-eth0"): 1})
    story = told(net, without(net, "h2-eth0", 0), coverage)
    assert not any(trip.proved for trip in story.trips)
    assert (story.summary.lost, story.summary.health.unseen) == (0, 1)


def test_a_selective_acknowledgement_proves_it_too() -> None:
    """The first of two segments was lost on the link, the second is covered by SACK alone."""
    net = lan()
    talk = Talk(net, "10.0.0.1", "10.0.0.2")
    talk.open()
    net.drop = lambda interface, packet: interface == "h1-eth0"
    talk.say("c", frames.ACK, b"first")
    net.drop = lambda interface, packet: False
    first = talk.seq["c"]
    talk.say("c", frames.ACK, b"second")
    block = b"\x01\x01\x05\x0a" + first.to_bytes(4, "big") + talk.seq["c"].to_bytes(4, "big")
    segment = bytearray(frames.tcp(80, 40000, talk.seq["s"], first - 5, frames.ACK))
    segment[12] = (5 + len(block) // 4) << 4
    assert packet.decode(frames.eth("02:00:00:00:00:01", "02:00:00:00:00:02", 0x0800, frames.ipv4(
        "10.0.0.2", "10.0.0.1", 6, bytes(segment[:20]) + block))).tcp.sack == (  # type: ignore[union-attr]
            (first, talk.seq["c"]),)  # fmt: skip
    net.ip("10.0.0.2", "10.0.0.1", 6, bytes(segment[:20]) + block)
    coverage = edges(net, T, net.now_ns + 1000 * MS)
    missed = {net.wiring.port("h2-eth0"): 1}
    story = told(net, without(net, "h2-eth0", 0), dataclasses.replace(coverage, missed=missed))
    assert [trip.packet.payload for trip in story.trips if trip.proved] == [b"second"]
    assert story.summary.lost == 1


def test_without_any_of_that_all_is_as_it_was() -> None:
    """A capture that knows nothing of itself is told as one that saw everything."""
    story = scenarios.dead_host()
    evidence = Evidence(wire_up(LAN))
    assert evidence.edge_ns > 0 and not evidence.coverage.lossy
    assert story.summary.health.unseen == story.summary.health.under_way == 0


def test_a_frame_that_came_in_unseen_is_no_frame_without_a_cause() -> None:
    """The capture missed it on the link to the switch, at both ends, and saw it leave."""
    net = lan()
    ping(net)
    ports = [net.wiring.port("h1-eth0"), net.wiring.port("s1-eth1")]
    kept = [observation for observation in net.observations() if observation.port not in ports]
    coverage = edges(net, T - 1000 * MS, net.now_ns + 1000 * MS)
    whole = told(net, kept, coverage)
    assert whole.trips[0].cause == "s1 sent it, and no frame that came in explains it"
    missed = told(net, kept, dataclasses.replace(coverage, missed=dict.fromkeys(ports, 2)))
    assert missed.trips[0].cause == ""
    note = "how it came to s1 was not seen: the capture missed frames there"
    assert note in missed.trips[0].notes


def test_what_a_host_sends_first_is_its_own_whatever_address_it_gives() -> None:
    """Two hosts answer for one address right when the capture begins: neither of them can have had
    the frame of the other."""
    net = lan()
    for node in ("h2", "h3"):
        port = net.wiring.port(f"{node}-eth0")
        assert port is not None
        mac = net.wiring.interfaces[port].mac
        reply = frames.arp(2, mac, "10.0.0.2", "02:00:00:00:01:00", "10.0.0.1")
        pong = frames.ipv4("10.0.0.2", "10.0.0.1", 1, frames.echo(False, 9, 1))
        for kind, body in ((0x0806, reply), (0x0800, pong)):
            net.send(port, frames.eth("02:00:00:00:01:00", mac, kind, body))
    net.run()
    seen = net.observations()
    story = told(net, seen, edges(net, seen[0].t_ns, seen[-1].t_ns + 900 * MS))
    assert sorted(trip.sender for trip in story.trips) == ["h2", "h2", "h3", "h3"]
    assert not any(trip.under_way for trip in story.trips)
