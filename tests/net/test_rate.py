# SPDX-License-Identifier: Apache-2.0
"""Cables with a rate: limited at both ends, as root, as an ordinary user and under stock Mininet.

That a transfer is not too fast holds on any machine, however busy it is.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
import time
from typing import Any

import pytest

from tests.conftest import PROJECT
from tests.net.test_stock import Box, custom
from tests.net.test_stock import stock as stock

pytestmark = pytest.mark.net

TRANSFER = str(PROJECT / "apps" / "transfer.py")
# 400 kB at 4 Mbit/s, but for the 15 kB that each of two token buckets on the way lets pass at once.
# By the sender's clock: a busy receiver looks at its own when much has come already.
LEAST_S = (400_000 - 2 * 15_000) * 8 / 4e6


def test_both_ends_of_a_cable_have_the_rate(anybody: Any) -> None:
    anybody("up", "switch,n=2,rate=4M")
    state = json.loads((anybody.state / "hoplab/labs/lab/lab.json").read_text())
    assert {each["rate"] for each in state["interfaces"]} == {4_000_000}
    for node, interface in (("h1", "h1-eth0"), ("s1", "s1-eth1")):
        shown = anybody("exec", node, "--", "tc", "qdisc", "show", "dev", interface).out
        assert "tbf" in shown and "rate 4Mbit" in shown
    receiver = anybody.popen("exec", "h2", "--", sys.executable, TRANSFER, "receive")
    assert "listening" in receiver.stdout.readline()
    began = time.monotonic()
    sent = anybody("exec", "h1", "--", sys.executable, TRANSFER, "send", "10.0.0.2",
                   "--bytes", "400k").out  # fmt: skip
    assert time.monotonic() - began > LEAST_S
    assert "received 400000 bytes" in sent
    receiver.communicate(timeout=20)


def test_a_bad_rate_leaves_no_lab(hoplab: Any) -> None:
    failed = hoplab("up", "cable,rate=10", code=3)
    assert "write a number and k, M or G for bits a second, as in rate=10M" in failed.err
    assert "Next: " in failed.err
    assert hoplab("ls").out.startswith("no lab is up")


def test_mn_takes_the_rate_too(stock: Box) -> None:
    lines = [
        "h1 tc qdisc show dev h1-eth0",
        "sh tc qdisc show dev s1-eth1",
        f"h2 python3 {shlex.quote(TRANSFER)} receive > /tmp/receiver &",
        "h2 until grep -q listening /tmp/receiver; do sleep 0.05; done",
        "h1 date +began=%s.%N",
        f"h1 python3 {shlex.quote(TRANSFER)} send 10.0.0.2 --bytes 400k",
        "h1 date +ended=%s.%N",
    ]
    out = stock(
        "mn", "--custom", custom("switch"), "--topo", "switch,n=2,rate=4M",
        "--switch", "ovsbr,datapath=user", "--controller", "none", stdin="\n".join(lines) + "\n",
    )  # fmt: skip
    assert len(re.findall(r"tbf .* rate 4Mbit", out)) == 2
    assert "received 400000 bytes" in out
    began, ended = (float(at) for at in re.findall(r"(?:began|ended)=([\d.]+)", out))
    assert ended - began > LEAST_S
