# SPDX-License-Identifier: Apache-2.0
"""Whether the machine distorted a run: told where frames were late and the machine had a reason,
and never where only one of the two is so."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from hoplab.capture import load, notes, pcapng_reader, pcapng_writer
from hoplab.capture.load import Load, Process, Reading, Share
from hoplab.capture.load_sampler import Sampler, look_first
from hoplab.capture.observation import Observation, Reception
from hoplab.capture.pcapng_format import Note
from hoplab.follow.wiring import Wiring
from hoplab.kernel import cable_queues
from hoplab.kernel.netlink import Qdisc
from hoplab.report import as_json, comparison
from hoplab.report.language import language
from hoplab.report.terminal import render
from hoplab.service import captures
from hoplab.story import same_start
from hoplab.story.fidelity import find_fidelity
from hoplab.story.fidelity_records import CONTROLLER, ROUTER, SWITCH, Fidelity
from hoplab.story.full_queues import Drops
from hoplab.story.hop_times import find_times
from hoplab.story.records import Story
from hoplab.story.summary_records import QueueLoss
from hoplab.story.trip_records import Decision
from tests.unit.playground import START_NS, Playground, wire_up
from tests.unit.test_losses import LAN, edges, ping, told

MS = 1_000_000
APART_MS, PINGS = 20, 10
PROCESSES = (
    Process("recorder", load.RECORDER),
    Process("ovs-vswitchd", load.SWITCH),
    Process("learning_switch", load.CONTROLLER),
)
QUIET = (Share("S", 0, 0),) * 3


def run(
    late_ms: Mapping[int, float] = {}, read: Load | None = None, limits: Mapping[str, Any] = {}
) -> Story:
    """Pings from h1 to h2, every 20 ms; late_ms: for how long s1 keeps the request of each of
    these, by its place. limits: what h2's port of the switch is asked to take."""
    net = Playground(shaped(wire_up(LAN, "learning_switch", "switch"), limits))
    net.warm()
    seen: list[tuple[int, int, Reception, bytes]] = []
    for place in range(PINGS):
        net.now_ns = START_NS + place * APART_MS * MS
        ping(net, seq=place)
        added, net.seen = net.seen, []
        shift_ns = 0
        for t_ns, port, reception, data in sorted(added, key=lambda each: each[0]):
            if reception is Reception.OUTGOING and net.wiring.is_switch(port) and not shift_ns:
                shift_ns = round(late_ms.get(place, 0) * MS)
            seen.append((t_ns + shift_ns, port, reception, data))
    ordered = sorted(seen, key=lambda each: each[0])
    observations = [
        Observation(number, t_ns, port, reception, data, len(data))
        for number, (t_ns, port, reception, data) in enumerate(ordered, 1)
    ]
    return told(net, observations, edges(net, START_NS, None), channel=[], load=read)


def shaped(wiring: Wiring, limits: Mapping[str, Any]) -> Wiring:
    data = wiring.as_dict()
    for interface in data["interfaces"]:
        if interface["name"] == "s1-eth2":
            interface.update(limits)
    return Wiring.from_dict(data)


def machine(
    *,
    pressed: tuple[int, int] = (0, 0),
    share: float = 1.0,
    waited: tuple[int, int] = (0, 0),
    waited_share: float = 1.0,
    stopped: tuple[int, int] = (0, 0),
    process: int = 1,
    **more: Any,
) -> Load:
    """Readings each 10 ms, for a second. pressed, waited, stopped: from when until when (in ms)
    some task, or that process, waited for a processor (a share of that time), or a signal had
    stopped it."""

    def part(span: tuple[int, int], now_ms: int) -> int:
        return max(0, min(span[1], now_ms) - span[0])

    readings = []
    for now_ms in range(-100, 1000, 10):
        shares = list(QUIET)
        waited_us = round(part(waited, now_ms) * 1000 * waited_share)
        state = "T" if stopped[0] <= now_ms < stopped[1] else "S"
        shares[process] = Share(state, 0, waited_us)
        pressed_us = round(part(pressed, now_ms) * 1000 * share)
        readings.append(Reading(START_NS + now_ms * MS, pressed_us, 0, 0, now_ms, tuple(shares)))
    return Load(2, True, PROCESSES, tuple(readings), **more)


def codes(fidelity: Fidelity) -> list[str]:
    return [cause.code for cause in fidelity.causes]


# ------------------------------------------------------------------ frames and the machine


def test_frames_in_time_on_an_idle_machine_are_to_be_trusted() -> None:
    story = run(read=machine())
    assert story.fidelity.verdict == "trusted" and story.fidelity.judged == 3 * PINGS
    assert "distorted" not in render(story) and "delayed frames" not in render(story)
    assert "Times are to be trusted: the machine kept no frame waiting." in render(
        story, detail="full"
    )


def test_a_busy_machine_that_kept_no_frame_has_distorted_nothing() -> None:
    story = run(read=machine(pressed=(0, 1000), waited=(0, 1000), share=0.4))
    assert story.fidelity.verdict == "trusted"
    text = " ".join(render(story, detail="full").split())
    assert "some task waited for a processor" in text and "delayed frames" not in text


def test_a_machine_with_too_much_to_do_is_told_though_no_frame_was_late() -> None:
    story = run(read=machine(pressed=(60, 900), share=0.9))
    assert story.fidelity.verdict == "trusted"
    (crush,) = story.fidelity.crushes
    first = next(trip for trip in story.trips if trip.t_ns >= START_NS + 60 * MS)
    assert crush.packet == first.number and crush.share > 0.85
    text = " ".join(render(story, detail="full").split())
    assert f"too much to do, though: from #{first.number} (t = 0.06 s) on tasks waited" in text
    assert as_json.to_dict(story)["fidelity"]["machine"]["crushes"][0]["from"] == first.number
    for short in (machine(pressed=(60, 260)), machine(pressed=(0, 1000), share=0.4)):
        assert not run(read=short).fidelity.crushes


def test_late_frames_on_an_idle_machine_are_not_the_machines_doing() -> None:
    story = run({4: 30, 5: 11}, machine())
    assert story.fidelity.verdict == "unclear"
    assert "delayed frames" not in render(story)
    assert "2 frames were kept longer than they should on their way, by up to 30.0 ms" in (
        " ".join(render(story, detail="full").split())
    )


def test_without_readings_nothing_is_said_of_the_machine() -> None:
    story = run({4: 30})
    assert story.fidelity.verdict == "unknown" and "delayed" not in render(story)
    assert "is not known" in render(story, detail="full")


def test_a_stopped_switch_is_told_from_the_first_frame_that_waited() -> None:
    story = run({4: 90, 5: 70, 6: 50, 7: 30, 8: 10}, machine(stopped=(80, 170)))
    fidelity = story.fidelity
    first = next(trip for trip in story.trips if trip.ms >= 4 * APART_MS)
    assert (fidelity.verdict, fidelity.packet) == ("distorted", first.number)
    assert codes(fidelity) == ["stopped"] and round(fidelity.most_ns / MS) == 90
    assert [spell.passages for spell in fidelity.spells] == [5]
    text = " ".join(render(story).split())
    assert (
        f"From #{first.number} (t = 0.08 s) on the machine delayed frames, by up to 90 ms" in text
    )
    assert "ovs-vswitchd was stopped by a signal for" in text


def test_a_process_that_nobody_has_looked_at_yet_was_not_stopped() -> None:
    read = machine(pressed=(-100, 400), share=0.8, waited=(50, 200))
    first = [reading._replace(shares=reading.shares[:1]) for reading in read.readings[:20]]
    story = run({4: 20.0}, dataclasses.replace(read, readings=(*first, *read.readings[20:])))
    assert story.fidelity.distorted and "stopped" not in codes(story.fidelity)


def test_one_that_stood_between_two_readings_is_known_by_the_lab_that_woke_it() -> None:
    woken = (("ovs-vswitchd", START_NS + 88 * MS),)
    assert run({4: 7.9}, machine(woken_ns=woken)).fidelity.verdict == "distorted"
    elsewhere = (("ovs-vswitchd", START_NS + 400 * MS),)
    assert run({4: 7.9}, machine(woken_ns=elsewhere)).fidelity.verdict == "trusted"
    wakings = (("ovsdb-server", START_NS + 88 * MS),)
    assert run({4: 7.9}, machine(woken_ns=wakings)).fidelity.verdict == "trusted"


def test_a_switch_that_waited_for_a_processor_is_told_where_all_had_to() -> None:
    late = {3: 4.0, 4: 6.0, 7: 3.0}
    waits: Any = {"waited": (50, 200), "waited_share": 0.35}
    story = run(late, machine(pressed=(0, 400), share=0.8, **waits))
    fidelity = story.fidelity
    assert fidelity.distorted and set(codes(fidelity)) == {"waited", "pressed"}
    assert "ovs-vswitchd waited" in render(story) and "80% of the time" in render(story)
    # The same waits, and nobody else waited: moments such as every machine has.
    assert run(late, machine(**waits)).fidelity.verdict == "trusted"
    assert run({4: 20.0}, machine(waited=(50, 200))).fidelity.distorted, "a long one counts"


def test_one_short_wait_is_no_spell() -> None:
    busy = machine(pressed=(0, 400), waited=(50, 200))
    assert run({4: 2.0}, busy).fidelity.verdict == "trusted"
    assert run({4: 2.0, 5: 2.0}, busy).fidelity.verdict == "distorted"


def test_frames_that_were_slightly_late_count_where_tasks_waited_for_long() -> None:
    late = {5: 0.4, 6: 0.6, 8: 0.5}
    story = run(late, machine(pressed=(0, 1000), share=0.6))
    assert story.fidelity.distorted and codes(story.fidelity) == ["pressed"]
    assert "on the machine delayed frames, by up to 0.6 ms: tasks waited" in (
        " ".join(render(story).split())
    )
    assert run({5: 0.4, 6: 0.6}, machine(pressed=(0, 1000))).fidelity.verdict == "trusted", "two"
    short = machine(pressed=(80, 180))
    assert run(late, short).fidelity.verdict == "trusted", "no machine is idle all the time"
    assert run(late, machine()).fidelity.verdict == "trusted"
    # What all frames take there is how long it takes there.
    everyone = dict.fromkeys(range(PINGS), 0.5)
    assert run(everyone, machine(pressed=(0, 1000))).fidelity.verdict == "trusted"


def test_a_process_that_has_nothing_to_do_with_it_explains_nothing() -> None:
    controller = machine(stopped=(80, 170), process=2)
    assert run({4: 90, 5: 70}, controller).fidelity.verdict == "unclear"


# ------------------------------------------------------------------ what was asked for


def test_a_cable_that_is_slow_on_purpose_is_no_fault_of_the_machine() -> None:
    late = {place: 90.0 - 10 * place for place in range(9)}
    busy = machine(pressed=(0, 1000), waited=(0, 1000))
    assert run(late, busy).fidelity.distorted
    assert not run({4: 60.0}, busy, {"delay_ms": 60}).fidelity.distorted
    assert run({4: 90.0, 5: 70}, busy, {"delay_ms": 60}).fidelity.distorted
    # Frames of 42 bytes at 4.2 kbit/s: one in 80 ms, so each waits for the one before it.
    queue = {0: 80.0, 1: 140.0, 2: 200.0, 3: 260.0}
    assert not run(queue, busy, {"rate": 4_200}).fidelity.distorted
    assert run(queue, busy, {"rate": 42_000}).fidelity.distorted


def test_a_router_that_asks_for_an_address_is_not_late() -> None:
    spec = [("a", "10.1.0.2/24", "r1", "10.1.0.1/24"), ("r1", "10.2.0.1/24", "b", "10.2.0.2/24")]
    net = Playground(wire_up(spec), {"a": "10.1.0.1", "b": "10.2.0.1"})
    net.ip("10.1.0.2", "10.2.0.2", 17, bytes(20))
    net.ip("10.1.0.2", "10.2.0.2", 17, bytes(20))
    seen = net.observations()
    asked = next(observed for observed in seen if net.wiring.port_name(observed.port) == "r1-eth1"
                 and observed.data[12:14] == b"\x08\x06")  # fmt: skip
    answered_ns = asked.t_ns + MS // 50  # not before: a cable takes a hundredth
    stretched = [
        dataclasses.replace(observed, t_ns=observed.t_ns + 50 * MS)
        if observed.t_ns > answered_ns
        else observed
        for observed in seen
    ]
    story = told(net, stretched, edges(net, START_NS, None), channel=[])
    times = find_times(net.wiring, story.trips, {})
    assert max(times.took_ns[ROUTER, "r1"]) > 50 * MS
    assert not times.slow


def test_a_controller_is_late_only_by_what_it_waited_for() -> None:
    story = run({4: 30})
    trip = next(trip for trip in story.trips if trip.ms >= 4 * APART_MS)
    came_ns = trip.legs[0].received_ns
    decision = Decision("s1", 0, "controller", "", packet_in=901, packet_out=902)
    trips = [trip._replace(decisions=(decision,))]
    asked_ns = {901: came_ns + MS // 10, 902: came_ns + 29 * MS + MS // 2}
    wiring = wire_up(LAN, "learning_switch", "switch")
    times = find_times(wiring, trips, asked_ns)
    assert [passage.what for passage in times.slow] == [CONTROLLER]
    assert len(times.took_ns[SWITCH, "s1"]) == 2

    def judged(read: Load) -> Fidelity:
        return find_fidelity(wiring, [], trips, Drops(), read, asked_ns)

    assert judged(machine()).verdict == "trusted"
    assert judged(machine(stopped=(80, 170))).verdict == "trusted", "that is the switch"
    stopped = judged(machine(stopped=(80, 170), process=2))
    assert stopped.distorted and stopped.causes[0].who == "learning_switch"
    # An answer that is not known tells of nobody.
    assert not find_times(wiring, trips, {901: came_ns}).took_ns[SWITCH, "s1"]


# ------------------------------------------------------------------ queues


@pytest.mark.parametrize(
    ("cable", "queues", "standing", "distorted"),
    [
        (True, {"s1-eth2"}, set(), True),
        (True, set(), {"s1-eth2"}, True),
        (True, {"s1-eth1"}, {"s1-eth3"}, False),
        (False, set(), set(), True),
    ],
)
def test_a_full_queue_is_told_unless_the_network_had_it(
    cable: bool, queues: set[str], standing: set[str], distorted: bool
) -> None:
    story = run({4: 30})
    drops = Drops([QueueLoss("s1", "s1-eth2", 7, None, cable=cable)])
    read = machine(queues=frozenset(queues), standing=frozenset(standing))
    wiring = wire_up(LAN, "learning_switch", "switch")
    fidelity = find_fidelity(wiring, [], story.trips, drops, read, {})
    assert fidelity.distorted is distorted
    if distorted:
        text = render(dataclasses.replace(story, fidelity=fidelity), width=300)
        assert "7 frames" in text and "s1-eth2" in text
        # A frame that it held back is the first that shows it.
        assert (f"From #{fidelity.packet} " in text) is (cable and not standing)
        assert ("was there before, and that the lab did not make" in text) is bool(standing)


def test_a_queue_that_the_lab_did_not_make_is_known_even_when_it_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def queue(index: int, drops: int, handle: int = 0x50000) -> Qdisc:
        return Qdisc(index, "tbf", handle, 0xFFFFFFFF, drops)

    told_of: list[Qdisc] = []
    news = SimpleNamespace(gone=lambda: [told_of.pop() for _ in told_of[:]], close=lambda: None)
    monkeypatch.setattr(cable_queues, "QdiscNews", lambda: news)
    there = [queue(1, 4)]
    route = SimpleNamespace(qdiscs=lambda _index=0: list(there))
    root: Any = HashablePlace(SimpleNamespace(route=route))
    names = {1: "s1-eth1", 2: "s1-eth2", 3: "s1-eth3"}
    drops = cable_queues.CableDrops(
        lambda: [(root, index, name) for index, name in names.items()], root=root
    )
    assert drops.made() == []
    there.append(queue(2, 9))
    assert drops.counted() == {"s1-eth1": 0, "s1-eth2": 9} and drops.made() == ["s1-eth2"]
    told_of.append(there.pop())
    assert drops.counted() == {"s1-eth1": 0, "s1-eth2": 9}, "it is gone, its count is not"
    assert drops.counted()["s1-eth2"] == 9 and drops.made() == ["s1-eth2"]
    # What the lab itself replaces belongs to it, and is counted once.
    drops.settle(root, 1, "s1-eth1")
    told_of.append(there.pop())
    there.append(queue(1, 2, 0x60000))
    assert drops.counted() == {"s1-eth1": 2, "s1-eth2": 9} and drops.made() == ["s1-eth2"]
    drops.begin()
    assert drops.made() == []


class HashablePlace:
    """As much of a place as is asked for."""

    def __init__(self, namespace: Any) -> None:
        self.namespace = namespace


def test_a_queue_from_before_the_capture_is_the_labs_where_its_network_says_so() -> None:
    interfaces = [{"name": "s1-eth1", "rate": 10_000_000}, {"name": "s1-eth2"}, {"name": "s1-eth3"}]
    kept: list[tuple[str, str, str]] = []
    lab: Any = SimpleNamespace(
        network=SimpleNamespace(wiring=lambda: {"interfaces": interfaces})
    )
    capture: Any = SimpleNamespace(
        cables=SimpleNamespace(standing=lambda: ["s1-eth1", "s1-eth2"]),
        add_note=lambda *note: kept.append(note),
    )
    captures._tell_standing(lab, capture)
    assert kept == [(notes.STANDING, "", '["s1-eth2"]')]
    read = load.unpack([
        Note(START_NS, notes.LOAD, "", load.pack(2, True, PROCESSES, [Reading(START_NS)])),
        Note(START_NS, notes.STANDING, "", kept[0][2].encode()),
    ])  # fmt: skip
    assert read is not None and read.standing == {"s1-eth2"} and not read.queues


def test_a_backlog_explains_frames_that_are_missing_and_no_others() -> None:
    read = machine()
    dropped = read.readings[-1]._replace(dropped=3)
    read = dataclasses.replace(read, readings=(*read.readings[:-1], dropped))
    assert not run(read=read).fidelity.queues
    net = Playground(wire_up(LAN, "learning_switch", "switch"))
    net.warm()
    net.drop = lambda interface, packet: interface == "s1-eth2"
    ping(net)
    story = told(net, net.observations(), edges(net, START_NS, None), channel=[], load=read)
    assert [(queue.frames, queue.packet) for queue in story.fidelity.queues] == [(3, 1)]


# ------------------------------------------------------------------ where it is told


def test_every_form_tells_it_and_a_comparison_says_which_run_it_was() -> None:
    late, read = {4: 90, 5: 70}, machine(stopped=(80, 170))
    distorted, quiet = run(late, read), run(read=machine())
    data = as_json.to_dict(distorted)["fidelity"]
    assert (data["verdict"], data["spells"][0]["causes"][0]["code"]) == ("distorted", "stopped")
    assert data["sentence"].startswith(f"From #{data['from']} ") and data["sentence_parts"]
    assert data["machine"]["pressure"] == 0 and data["machine"]["readings"] == 110
    assert {each["place"] for each in data["took"]} >= {"s1"}
    assert as_json.to_dict(quiet)["fidelity"]["verdict"] == "trusted"
    wiring = wire_up(LAN, "learning_switch", "switch")
    sides = [same_start.Side("a", wiring, distorted), same_start.Side("b", wiring, quiet)]
    told_of = same_start.distorted(sides)
    assert [sentence.split()[1] for sentence in told_of] == ["a"]
    summaries = [(side.name, side.story.summary) for side in sides]
    page = comparison.render(summaries, [], "", [], distorted=told_of)
    assert "these figures cannot be compared" in " ".join(page.split())


def test_it_is_told_in_chinese() -> None:
    story = run({4: 90, 5: 70}, machine(stopped=(80, 170)))
    text = render(story, tr=language("zh"))
    assert "这台计算机使帧延迟" in text and "被信号暂停了" in text


# ------------------------------------------------------------------ kept beside the frames


def test_readings_are_read_as_they_were_written() -> None:
    read = machine(pressed=(0, 400), stopped=(80, 170))
    half = len(read.readings) // 2
    kept = [
        Note(0, notes.LOAD, "machine", load.pack(2, True, PROCESSES, part))
        for part in (read.readings[:half], read.readings[half:])
    ]
    kept.append(Note(7, notes.WOKEN, "ovs-vswitchd", b""))
    kept.append(Note(8, notes.QUEUES, "machine", b'["s1-eth2"]'))
    assert load.unpack(kept) == dataclasses.replace(
        read, woken_ns=(("ovs-vswitchd", 7),), queues=frozenset({"s1-eth2"})
    )


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b'{"rows": 3}', b'{"first_ns": "x", "rows": [[1]]}', b"\xff"]
)
def test_nonsense_is_as_if_nobody_had_read(data: bytes) -> None:
    assert load.unpack([Note(0, notes.LOAD, "machine", data)]) is None


def test_the_machine_is_read_into_the_file(tmp_path: Any) -> None:
    sampler = Sampler()
    sampler.watch("parent", load.SWITCH, os.getppid())
    sampler.watch("parent again", load.SWITCH, os.getppid())
    sampler.watch("nobody", load.SWITCH, 0x7FFFFFFF)
    sampler.read()
    assert sampler.take() == b"", "a few readings wait for more"
    sampler.read(whole=True)
    path = tmp_path / "x.pcapng"
    with open(path, "wb") as file:
        pcapng_writer.Writer(file)
        file.write(sampler.take(everything=True))
    read = load.unpack(pcapng_reader.read(path).notes)
    assert read is not None and len(read.readings) == 2
    assert [process.name for process in read.processes] == ["recorder", "parent"]
    first, last = read.readings
    assert last.t_ns >= first.t_ns and last.shares[0].ran_us >= first.shares[0].ran_us
    assert last.shares[0].state == "R", "it reads itself"


def test_the_first_moments_count_though_the_recorder_came_late() -> None:
    first = look_first([os.getppid()])
    sampler = Sampler()
    sampler.read()
    late = sampler._readings[0]
    sampler.watch("parent", load.SWITCH, os.getppid(), first["times"][0])
    sampler.begun(first["t_ns"], first["pressed_us"] or 0)
    sampler.begun(first["t_ns"] + 5, 0)
    begun, again = sampler._readings
    assert (begun.t_ns, begun.pressed_us, len(begun.shares)) == (first["t_ns"], 0, 2)
    assert again.t_ns == late.t_ns and again.pressed_us >= late.pressed_us


def test_nobody_is_woken_to_read_where_no_frames_come(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("hoplab.capture.load_sampler.time.monotonic", lambda: now[0])
    sampler = Sampler()
    assert sampler.wait_s() is not None
    now[0] += 60
    assert sampler.wait_s() is None
    sampler.look(0)
    assert not sampler._readings
    sampler.look(1)
    assert len(sampler._readings) == 1 and sampler.wait_s() is not None
