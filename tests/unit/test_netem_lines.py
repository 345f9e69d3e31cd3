# SPDX-License-Identifier: Apache-2.0
"""What a script asks `tc` for where the kernel has no netem: lines, and what is made of them."""

from __future__ import annotations

import pytest

from hoplab.kernel import shaping
from hoplab.kernel.shaping import Limits
from hoplab.stock import netem


@pytest.mark.parametrize(
    ("words", "line"),
    [
        # As Mininet's TCIntf asks, and as one types it.
        ("qdisc add dev h1-eth0 parent 5:1 handle 10: netem delay 5ms loss 1.00000",
         netem.Line("add", "h1-eth0", "parent 5:1", 0x10, ("delay", "5ms", "loss", "1.00000"))),
        ("qdisc add dev h1-eth0 root netem limit 20",
         netem.Line("add", "h1-eth0", "root", 0, ("limit", "20"))),
        ("-s q change root dev h1-eth0 handle 1: netem",
         netem.Line("change", "h1-eth0", "root", 1, ())),
        ("qdisc del dev h1-eth0 root", netem.Line("del", "h1-eth0", "root", 0)),
        ("qdisc add dev h1-eth0 root htb default 1", netem.Line("add", "h1-eth0", "root", 0)),
    ],
)  # fmt: skip
def test_a_line_is_read(words: str, line: netem.Line) -> None:
    assert netem.read(words.split()) == line


@pytest.mark.parametrize(
    "words", ["class add dev h1-eth0 parent 5: classid 5:1 htb rate 1mbit", "-batch -", "", "qdisc"]
)
def test_other_lines_are_for_the_machines_own(words: str) -> None:
    assert netem.read(words.split()) is None


@pytest.mark.parametrize(
    ("options", "limits"),
    [
        ("delay 100ms", Limits(delay_ms=100)),
        ("delay 100ms 10ms 25% distribution normal loss random 0.1%",
         Limits(delay_ms=100, jitter_ms=10, loss=0.1)),
        ("delay 1s loss 5% 25% limit 30", Limits(delay_ms=1000, loss=5, queue=30)),
        ("latency 2500 rate 1mbit", Limits(delay_ms=2.5, rate=1_000_000)),
        ("", Limits()),
    ],
)  # fmt: skip
def test_what_netem_is_asked_for(options: str, limits: Limits) -> None:
    assert netem.limits_of(options.split()) == limits


@pytest.mark.parametrize(
    "options", ["duplicate 1%", "delay 1ms reorder 25%", "loss gemodel 1%", "loss 101%", "limit x"]
)
def test_what_is_not_done_is_said(options: str) -> None:
    with pytest.raises(ValueError, match=r"netem|no share|no number"):
        netem.limits_of(options.split())


def test_it_stands_where_netem_would_and_what_stands_below_it_fits() -> None:
    limits = Limits(delay_ms=5, loss=1, queue=20)
    lines = shaping.in_place_of_netem("h1-eth0", "parent 5:1", 0x10, limits, "wire0")
    assert lines[0] == "qdisc add dev h1-eth0 parent 5:1 handle 10: htb default 1"
    assert lines[1].startswith("class add dev h1-eth0 parent 10: classid 10:1 ")
    assert "qdisc add dev h1-eth0 parent 10:1 pfifo limit 20" in lines
    # What is lost is counted where the story looks for it; only the rest is held back.
    lost, held = (number for number, line in enumerate(lines) if line.startswith("filter"))
    assert "flowid 10:2" in lines[lost] and lines[held].endswith("redirect dev wire0")
