# SPDX-License-Identifier: Apache-2.0
"""Frames that the queue in front of a cable dropped: counted, told of single frames where the
capture allows it, and never said of a frame that a flow dropped."""

from __future__ import annotations

import dataclasses
import struct
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from hoplab.capture import pcapng_format, pcapng_reader, pcapng_writer
from hoplab.follow.follow import follow
from hoplab.follow.wiring import Wiring
from hoplab.kernel import cable_queues, netlink
from hoplab.kernel.netlink import Qdisc
from hoplab.report import as_json, numbers, terminal
from hoplab.report.language import language
from hoplab.story.live import Live
from hoplab.story.records import Story
from tests.unit import frames
from tests.unit.playground import START_NS, Playground, wire_up
from tests.unit.test_losses import LAN, MS, edges, ping, told

T = START_NS
ROOT, INGRESS = 0xFFFFFFFF, 0xFFFFFFF1


# ------------------------------------------------------------------ what the kernel counts


def queues(*many: Qdisc) -> dict[tuple[int, int, str], Qdisc]:
    return {(queue.index, queue.handle, queue.kind): queue for queue in many}


@pytest.mark.parametrize(
    ("now", "before", "counted"),
    [
        ([Qdisc(7, "tbf", 0x50000, ROOT, 30)], [Qdisc(7, "tbf", 0x50000, ROOT, 10)], {7: 20}),
        ([Qdisc(7, "tbf", 0x50000, ROOT, 5)], [], {7: 5}),  # new
        ([Qdisc(7, "tbf", 0x50000, ROOT, 5)], [Qdisc(7, "htb", 0x50000, ROOT, 9)], {7: 5}),
        ([Qdisc(7, "tbf", 0x50000, ROOT, 5)], [Qdisc(7, "tbf", 0x50000, ROOT, 9)], {7: 5}),
        ([Qdisc(7, "noqueue", 0, ROOT, 0)], [], {}),
        ([Qdisc(7, "ingress", 0xFFFF0000, INGRESS, 4)], [], {}),
        # The root counts what its child refuses, and not what netem loses on purpose.
        ([Qdisc(7, "htb", 0x50000, ROOT, 6), Qdisc(7, "pfifo", 0x100000, 0x50001, 6)], [], {7: 6}),
        ([Qdisc(7, "htb", 0x50000, ROOT, 6), Qdisc(7, "netem", 0x100000, 0x50001, 9)], [], {7: 9}),
        ([Qdisc(7, "tbf", 0x50000, ROOT, 1), Qdisc(8, "tbf", 0x50000, ROOT, 2)], [], {7: 1, 8: 2}),
    ],
)
def test_a_chain_of_queues_counts_each_frame_once(
    now: list[Qdisc], before: list[Qdisc], counted: dict[int, int]
) -> None:
    assert cable_queues.dropped(queues(*now), queues(*before)) == counted


def attribute(kind: int, data: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(data), kind) + data + b"\0" * (-len(data) % 4)


@pytest.mark.parametrize(
    "statistics",
    [
        attribute(7, attribute(3, struct.pack("=IIIII", 2, 3000, 279, 0, 818))),
        attribute(3, struct.pack("=QIIIIIII", 9000, 6, 279, 818, 0, 0, 2, 3000)),
    ],
)
def test_what_the_kernel_says_of_a_queue_is_read(statistics: bytes) -> None:
    head = struct.pack("=BBHiIII", 0, 0, 0, 1004, 0x50000, ROOT, 2)
    read = netlink.read_qdisc(head + attribute(1, b"tbf\0") + statistics)
    assert read == Qdisc(1004, "tbf", 0x50000, ROOT, 279)
    assert read.root and read.outgoing


def test_the_count_is_kept_in_the_file(tmp_path: Any) -> None:
    path = tmp_path / "x.pcapng"
    with open(path, "wb") as file:
        interfaces = [pcapng_format.InterfaceInfo(name) for name in ("a", "b", "c")]
        writer = pcapng_writer.Writer(file, interfaces)
        writer.write_statistics(0, T, 10, 0, T, None, 279)
        writer.write_statistics(1, T, 10, 0, T, 5, 0)
        writer.write_statistics(2, T, 10, 0, T)
    whole = pcapng_reader.read(path)
    assert (whole.queue_drops, whole.cable_drops) == ({1: 5}, {0: 279, 1: 0})
    with open(path, "wb") as file:
        pcapng_writer.write_all(file, whole)
    assert pcapng_reader.read(path).cable_drops == {0: 279, 1: 0}


# ------------------------------------------------------------------ what is told of it

Full = Callable[[int], Iterable[str]]  # ping's number -> the ports that are full at that moment


def lan(controller: str, full: Full, of: int = 6) -> Playground:
    """So many pings from h1 to h2, where a switch's copies for full ports are dropped unseen."""
    net = Playground(wire_up(LAN, controller, "switch"))
    net.warm()
    send, now = net.send, set[str]()

    def squeezed(port: int, data: bytes) -> None:
        if net.wiring.port_name(port) not in now:
            send(port, data)

    net.send = squeezed  # type: ignore[method-assign]
    for seq in range(of):
        now = set(full(seq))
        ping(net, seq=seq)
    return net


def story(
    net: Playground, counts: dict[str, int], behind: dict[str, int] | None = None, **how: Any
) -> Story:
    """What is told of it, with what the kernel counted."""

    def by_port(names: dict[str, int]) -> dict[int, int]:
        return {port: n for name, n in names.items() if (port := net.wiring.port(name)) is not None}

    coverage = dataclasses.replace(
        edges(net, T, net.now_ns + 1000 * MS),
        cable_drops=by_port(counts),
        queue_drops=by_port(behind or {}),
    )
    return told(net, net.observations(), coverage, **how)


def ends(of: Story) -> Counter[str]:
    return Counter(str(trip.ended) for trip in of.trips if trip.ended)


def after(first: int, *ports: str) -> Full:
    return lambda seq: ports if first <= seq < 5 else ()


def test_a_frame_that_met_a_full_queue_is_told_as_dropped_there() -> None:
    lossy = story(lan("learning_switch", after(3, "s1-eth2")), {"s1-eth2": 2})
    where = "s1 dropped it in front of the cable at s1-eth2: the queue there was full"
    assert ends(lossy) == {where: 2}
    assert {trip.fate for trip in lossy.trips} == {"", "dropped"}
    assert (lossy.summary.lost, lossy.summary.lost_in_switches, lossy.summary.lost_on_links) == (
        2,
        2,
        0,
    )
    text = terminal.render(lossy, width=400)
    assert "2 frames lost on the way." in text
    assert "s1 dropped 2 frames in front of the cable at s1-eth2, by the kernel's count" in text
    assert "As many came in and are missing there." in text
    data = as_json.to_dict(lossy)["summary"]
    assert data["lost_in_queues"] == data["lost_in_switches"] == [
        {"node": "s1", "interface": "s1-eth2", "reason": "cable-full", "frames": 2,
         "vanished": 2, "open": 0}
    ]  # fmt: skip
    assert "in front of the cable at s1-eth2" in numbers.losses(lossy.summary, language("en"))[0]
    chinese = language("zh")
    assert "s1 在 s1-eth2 的网线前丢弃了 2 个帧" in terminal.render(lossy, tr=chinese)
    assert not [text for text in chinese.unknown if "cable" in text or "missing" in text]


@pytest.mark.parametrize("counted", [1, 3, 5])
def test_where_count_and_frames_disagree_it_is_likely(counted: int) -> None:
    lossy = story(lan("learning_switch", after(3, "s1-eth2")), {"s1-eth2": counted})
    where = "s1 likely dropped it in front of the cable at s1-eth2: the queue there was full"
    assert ends(lossy) == {where: 2}
    assert lossy.summary.lost == counted
    text = terminal.render(lossy, width=400)
    assert ("2 are missing there, 1 more than were counted: with a frame" in text) is (counted == 1)
    assert ("The other 1 may be the same frames, counted again" in text) is (counted == 3)
    assert ("the frames do not show the other 3." in text) is (counted == 5)


def test_without_drops_no_queue_was_full() -> None:
    lossy = story(lan("learning_switch", after(3, "s1-eth2")), {"s1-eth2": 0})
    assert ends(lossy) == {"s1 took it in by s1-eth1 and sent it out of no port": 2}
    assert lossy.summary.lost == 0 and "queue" not in terminal.render(lossy)


def test_what_a_flow_drops_no_full_queue_dropped() -> None:
    """h3's pings never pass, h1's do: the queue at the same port is no reason for h3's."""
    net = lan("learning_switch", after(3, "s1-eth2"))
    net._switch = lambda port, data: None  # type: ignore[method-assign]
    for seq in range(2):
        net.ip("10.0.0.3", "10.0.0.2", 1, frames.echo(True, 8, seq))
    lossy = story(net, {"s1-eth2": 2})
    assert ends(lossy) == {
        "s1 dropped it in front of the cable at s1-eth2: the queue there was full": 2,
        "s1 took it in by s1-eth3 and sent it out of no port": 2,
    }


def test_of_a_flood_the_copy_for_the_full_port_is_missing() -> None:
    lossy = story(lan("hub", after(3, "s1-eth2")), {"s1-eth2": 2})
    missing = "s1 dropped the copy for s1-eth2: the queue in front of the cable there was full"
    assert ends(lossy) == {missing: 2}
    assert [trip.fate for trip in lossy.trips if trip.ended] == ["dropped"] * 2
    assert lossy.summary.lost == 2
    # The copy of somebody for whom it was not is no end of the packet.
    lossy = story(lan("hub", after(3, "s1-eth3")), {"s1-eth3": 2})
    missing = "s1 dropped the copy for s1-eth3: the queue in front of the cable there was full"
    assert not ends(lossy)
    assert [trip.notes for trip in lossy.trips if trip.notes] == [(missing,)] * 2


def test_several_ports_may_be_full_in_turn() -> None:
    """Each frame lacks a copy that the next one has, and one frame lacks both."""
    ports = {1: ("s1-eth2",), 2: ("s1-eth3",), 3: ("s1-eth2", "s1-eth3")}
    net = lan("hub", lambda seq: ports.get(seq, ()))
    lossy = story(net, {"s1-eth2": 2, "s1-eth3": 2})
    assert {loss.interface: loss.vanished for loss in lossy.summary.queue_losses} == {
        "s1-eth2": 2, "s1-eth3": 2,
    }  # fmt: skip
    both = "s1 dropped it in front of the cable at s1-eth2, s1-eth3: the queue there was full"
    assert ends(lossy)[both] == 1
    assert lossy.summary.lost == 4


def test_a_copy_that_a_switch_never_made_is_not_missing() -> None:
    """The first frame was flooded, then the switch had learned: no copy for s1-eth3 was due."""
    net = Playground(wire_up(LAN, "learning_switch", "switch"))
    net.warm()
    net.tables.clear()
    for seq in range(6):
        ping(net, seq=seq)
    lossy = story(net, {"s1-eth3": 1})
    assert not ends(lossy)
    assert not [note for trip in lossy.trips for note in trip.notes if "full" in note]
    assert "s1 dropped 1 frame in front of the cable at s1-eth3" in terminal.render(
        lossy, width=400
    )


def test_frames_that_two_queues_may_have_dropped_are_counted_together() -> None:
    net = lan("learning_switch", after(2, "s1-eth2"))
    lossy = story(net, {"s1-eth2": 2}, {"s1-eth1": 1})
    where = (
        "s1 dropped it where a queue was full: at s1-eth1, where it came in, or in front of the "
        "cable at s1-eth2"
    )
    assert ends(lossy) == {where: 3}
    assert lossy.summary.lost == 3
    text = terminal.render(lossy, width=400)
    assert "Together with s1-eth2 as many frames are missing as were counted." in text
    lossy = story(net, {"s1-eth2": 1}, {"s1-eth1": 1})
    assert ends(lossy) == {where.replace("s1 dropped", "s1 likely dropped"): 3}
    text = terminal.render(lossy, width=400)
    assert "3 that came in may have been dropped here or at s1-eth2" in text


def test_of_many_queues_each_kind_is_one_line() -> None:
    cables = {f"s1-eth{i}": i for i in (1, 2, 3)} | {f"h{i}-eth0": 1 for i in (1, 2, 3)}
    lossy = story(lan("hub", lambda seq: ()), cables, {"s1-eth1": 5})
    text = terminal.render(lossy, width=400)
    assert "In front of cables 9 were dropped by the kernel's count" in text
    assert "Switches dropped 5 by the kernel's count" in text
    assert lossy.summary.lost == 14


def test_a_hosts_own_queue_is_said_of_the_host() -> None:
    lossy = story(lan("hub", lambda seq: ()), {"h1-eth0": 12})
    assert not ends(lossy)
    text = terminal.render(lossy, width=400)
    assert "h1 sent faster than its cable takes: its own queue in front of h1-eth0 was full" in text
    data = as_json.to_dict(lossy)["summary"]
    assert (data["lost"], data["lost_in_switches"]) == (12, [])
    assert data["lost_in_queues"][0]["node"] == "h1"


def test_a_router_drops_in_front_of_a_cable_too() -> None:
    cables = [("h1", "10.1.0.1/24", "r1", "10.1.0.254/24"), ("r1", "10.2.0.254/24", "h2",
               "10.2.0.1/24")]  # fmt: skip
    net = Playground(wire_up(cables, "", "routed"), {"h1": "10.1.0.254", "h2": "10.2.0.254"})
    net.warm()
    for seq in range(5):
        if seq == 3:
            net._forward = lambda *frame: None  # type: ignore[method-assign]
        net.ip("10.1.0.1", "10.2.0.1", 1, frames.echo(True, 9, seq))
    lossy = story(net, {"r1-eth1": 2})
    assert ends(lossy) == {
        "r1 dropped it in front of the cable at r1-eth1: the queue there was full": 2
    }
    assert lossy.summary.lost == 2 and lossy.summary.lost_in_switches == 0


def test_a_comparison_and_the_live_story_count_them() -> None:
    net = lan("hub", after(3, "s1-eth2"))
    full, free = story(net, {"s1-eth2": 2}).summary, story(net, {}).summary
    rows = {name: values for name, *values in numbers.totals(full, free)}
    assert rows["frames lost on the way"] == rows["of them dropped in front of cables"] == [2, 0]
    assert "of them dropped in front of cables" not in dict.fromkeys(
        name for name, *_ in numbers.totals(free, free)
    )
    live = Live(net.wiring)
    port = net.wiring.port("s1-eth2")
    assert port is not None
    live.cover(dataclasses.replace(edges(net, T, net.now_ns), cable_drops={port: 2}))
    assert [(loss.interface, loss.frames, loss.vanished) for loss in live.queue_losses] == [
        ("s1-eth2", 2, None)
    ]


# ------------------------------------------------------------------ a delay on purpose


@pytest.mark.parametrize(
    ("written", "ms"),
    [("5ms", 5), ("1s", 1000), ("250us", 0.25), ("300", 0.3), (2000, 2), (None, 0), ("soon", 0)],
)
def test_a_delay_is_read_as_tc_reads_it(written: object, ms: float) -> None:
    pytest.importorskip("mininet")
    from hoplab.kernel.shaping import milliseconds

    assert milliseconds(written) == pytest.approx(ms)


def delayed(net: Playground, port: str, delay_ms: float) -> Wiring:
    """The wiring of a lab in which an interface holds frames back."""
    data = net.wiring.as_dict()
    for interface in data["interfaces"]:
        if interface["name"] == port:
            interface["delay_ms"] = delay_ms
    return Wiring.from_dict(data)


def test_a_capture_waits_as_long_as_a_links_delay() -> None:
    """A frame that s1 has had for 300 ms at the end may still wait for its delay of 400 ms."""
    net = lan("learning_switch", lambda seq: ("s1-eth2",) if seq == 5 else ())
    ended_ns = net.now_ns + 300 * MS
    plain = told(net, net.observations(), edges(net, T, ended_ns))
    assert ends(plain) == {"s1 took it in by s1-eth1 and sent it out of no port": 1}
    net.wiring = delayed(net, "s1-eth2", 400)
    slow = told(net, net.observations(), edges(net, T, ended_ns))
    assert ends(slow) == {"the capture ended while s1 had it": 1}


def test_a_frame_that_comes_out_after_a_long_delay_is_followed() -> None:
    net = lan("learning_switch", lambda seq: (), of=1)
    out = net.wiring.port("s1-eth2")
    seen = net.observations()
    late = next(place for place, observed in enumerate(seen) if observed.port == out)
    seen[late:] = [
        dataclasses.replace(observed, t_ns=observed.t_ns + 1500 * MS) for observed in seen[late:]
    ]
    assert len(follow(net.wiring, seen)) == 2
    assert len(follow(delayed(net, "s1-eth2", 1500), seen)) == 1


# ------------------------------------------------------------------ the kernel's datapath


def test_what_the_kernels_datapath_drops_is_said_not_to_be_known() -> None:
    word = "2 packets came into a switch and went out of no port: by a flow, or for want of room."
    cases = ("kernel", 3, True), ("kernel", 9, False), ("user", 3, False)
    for datapath, vanished, there in cases:
        net = lan("learning_switch", after(vanished, "s1-eth2"))
        net.wiring.datapath = datapath
        text = terminal.render(story(net, {}), width=400)
        assert (word in text) is there
        assert ("What the kernel's datapath drops itself is not counted here." in text) is there
