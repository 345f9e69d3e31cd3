# SPDX-License-Identifier: Apache-2.0
"""What a cable does to frames: the lines that make it, what people write, what is told of it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from hoplab import quantities
from hoplab.client.changes import understood
from hoplab.errors import LabError
from hoplab.follow.wiring import Wiring
from hoplab.kernel.cable_queues import dropped, lost
from hoplab.kernel.netlink import Qdisc
from hoplab.kernel.shaping import Limits, lines
from hoplab.story.queue_losses import queue_loss
from hoplab.story.summary_records import QueueLoss

ROOT = 0xFFFFFFFF


def test_only_what_is_wanted_is_made() -> None:
    assert lines("h1-eth0", Limits()) == []
    (root, *loss) = lines("h1-eth0", Limits(loss=25.0))
    assert root.endswith("htb default 0")  # what is not lost passes unshaped
    assert "bpf bytecode '4,32 0 0 4294963256,53 1 0 1073741824," in loss[-1]
    rate = lines("h1-eth0", Limits(rate=10_000_000, queue=50))
    assert any("rate 10000000bit" in line for line in rate)
    assert rate[-1].endswith("pfifo limit 50")


def test_a_delay_is_netem_s_or_a_wire_s_and_the_rate_comes_first() -> None:
    wish = Limits(rate=10_000_000, delay_ms=20.0, jitter_ms=2.0)
    netem = lines("h1-eth0", wish, netem=True)
    assert netem[-1].endswith("delay 20ms 2ms") and not any("mirred" in line for line in netem)
    wire = lines("h1-eth0", wish, wire="wire0")
    assert next(line for line in wire if "rate" in line).split()[3] == "wire0"
    assert wire[-1].endswith("action mirred egress redirect dev wire0")
    # Every frame goes there: what comes back passes by its priority alone.
    assert "qdisc add dev h1-eth0 root handle 1: htb default 0" in wire


def test_limits_are_changed_one_by_one() -> None:
    limits = Limits(rate=10_000_000, loss=1.0).changed({"loss": 0.0, "delay_ms": 5.0})
    assert limits == Limits(rate=10_000_000, delay_ms=5.0)
    entry = {"name": "h1-eth0", "loss": 1.0, "peer": None}
    assert limits.put_into(entry) == {
        "name": "h1-eth0", "peer": None, "rate": 10_000_000, "delay_ms": 5.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (quantities.bits_per_second, "10M", 10_000_000),
        (quantities.bits_per_second, "1.5Gbit/s", 1_500_000_000),
        (quantities.bits_per_second, "none", 0),
        (quantities.milliseconds, "20ms", 20.0),
        (quantities.milliseconds, "1.5s", 1500.0),
        (quantities.milliseconds, "250us", 0.25),
        (quantities.moment, "90s", 90.0),  # later than any delay may be
        (quantities.percent, "1%", 1.0),
        (quantities.percent, "0.5", 0.5),
        (quantities.frames, "50", 50),
        (quantities.frames, "none", 0),
    ],
)
def test_what_people_write(read: Any, text: str, value: float) -> None:
    assert read(text) == value


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (quantities.bits_per_second, "10"), (quantities.bits_per_second, "10MB"),
        (quantities.bits_per_second, "1T"), (quantities.milliseconds, "20"),
        (quantities.milliseconds, "-1ms"), (quantities.milliseconds, "2h"),
        (quantities.percent, "101%"), (quantities.percent, "nan"), (quantities.frames, "0.5"),
        (quantities.frames, "-3"), (quantities.frames, "1000001"),
    ],
)  # fmt: skip
def test_what_is_no_quantity(read: Any, text: str) -> None:
    with pytest.raises(ValueError, match=r"give|write|minute"):
        read(text)


def test_a_change_in_words() -> None:
    request = understood("link r1 r2 --delay=20ms --loss 1% down")
    assert request == {
        "op": "link", "ends": ["r1", "r2"], "up": False, "clear": False,
        "limits": {"delay_ms": 20.0, "loss": 1.0},
    }  # fmt: skip
    assert understood("hoplab link s1 h1 --clear")["clear"] is True


@pytest.mark.parametrize(
    "words", ["", "link", "link h1", "link h1 s1", "link h1 s1 sideways", "ping h1 s1",
              "link h1 s1 --delay", "link h1 s1 --delay 20", "link h1 s1 --colour red", "link 'h1"]
)  # fmt: skip
def test_what_is_no_change(words: str) -> None:
    with pytest.raises(LabError) as error:
        understood(words)
    assert "link h1 s1 --delay 20ms" in error.value.hint


def test_what_is_lost_on_purpose_is_counted_apart() -> None:
    queues = [Qdisc(7, "htb", 0x10000, ROOT, 12), Qdisc(7, "blackhole", 0x120000, 0x10002, 9),
              Qdisc(8, "htb", 0x10000, ROOT, 3)]  # fmt: skip
    now = {(each.index, each.handle, each.kind): each for each in queues}
    assert dropped(now, {}) == {7: 12, 8: 3} and lost(now, {}) == {7: 9}
    earlier = {key: dataclasses.replace(each, drops=2) for key, each in now.items()}
    assert lost(now, earlier) == {7: 7}


def test_a_loss_on_purpose_is_told_as_one() -> None:
    loss = QueueLoss("s1", "s1-eth2", 9, 9, cable=True, certain=True, meant=9)
    text = queue_loss(loss)
    assert text.startswith("The cable at s1-eth2 lost 9 frames that s1 sent, as it was asked to")
    assert "full" not in text and "As many came in and are missing there." in text
    both = queue_loss(dataclasses.replace(loss, frames=12, vanished=12))
    assert "For 3 more there was no room" in both


def test_the_longest_delay_outlives_the_cable_that_had_it() -> None:
    """It was cleared while somebody listened: frames before that were held for so long."""
    data: dict[str, Any] = {
        "format": 1, "nodes": [{"name": "h1", "kind": "host"}],
        "interfaces": [{"name": "h1-eth0", "node": "h1", "delay_ms": 5.0, "peer": None}],
    }  # fmt: skip
    assert Wiring.from_dict(data).longest_delay_ns() == 5_000_000
    assert Wiring.from_dict({**data, "longest_delay_ms": 150.0}).longest_delay_ns() == 150_000_000
