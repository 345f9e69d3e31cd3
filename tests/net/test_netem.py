# SPDX-License-Identifier: Apache-2.0
"""Links that are shaped, as Mininet's TCLink asks for it: bandwidth by the kernel's HTB, delay and
loss by its netem, or by hoplab where the kernel has none (`make test-vm` boots one that has).
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from typing import Any

import pytest

pytestmark = pytest.mark.net

SLOW = """
from mininet.link import TCLink
from mininet.topo import Topo

class Slow(Topo):
    def build(self, delay="0ms", loss=0):
        switch = self.addSwitch("s1")
        self.addLink(self.addHost("h1"), switch, cls=TCLink, delay=delay, loss=int(loss))
        self.addLink(self.addHost("h2"), switch)

topos = {"slow": Slow}
"""


@functools.cache
def lacking() -> str:
    """What the kernel says that has no netem, asked in a network namespace that is gone afterwards;
    "" for one that has it."""
    asked = subprocess.run(
        ["unshare", "-rn", "tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        capture_output=True,
        text=True,
    )
    return asked.stderr.strip() if asked.returncode else ""


def test_a_delay_is_in_every_ping(anybody: Any) -> None:
    (anybody.home / "slow.py").write_text(SLOW)
    anybody("up", "./slow.py,delay=40ms")
    if not lacking():
        text = anybody("exec", "h1", "--", "tc", "qdisc", "show", "dev", "h1-eth0").out
        assert re.search(r"netem .*delay 40(\.0)?ms", text), text
    pings = anybody("exec", "h1", "--", "ping", "-c", "4", "-i", "0.2", "10.0.0.2").out
    times = [float(ms) for ms in re.findall(r"time=([\d.]+) ms", pings)]
    # 40 ms there, as h1 sends, and 40 ms back, as the switch does: never less.
    assert len(times) == 4 and min(times) >= 80, pings
    there = anybody("trace", "h1", "--", "ping", "-c", "1", "10.0.0.2")
    assert "echo request" in there.out
    cable = anybody("link", "h1", "s1", "--json").json[0]
    assert [end["delay_ms"] for end in cable["ends"]] == [40.0, 40.0]
    anybody("down")


def test_a_loss_is_in_the_count(anybody: Any) -> None:
    (anybody.home / "slow.py").write_text(SLOW)
    anybody("up", "./slow.py,loss=40", "--static-arp")  # ARP is lost as well
    if not lacking():
        text = anybody("exec", "h1", "--", "tc", "qdisc", "show", "dev", "h1-eth0").out
        assert re.search(r"netem .*loss 40%", text), text
    # Both directions lose 40 of 100: about 36 of 100 pings come back. Fewer than 5 or more than
    # 80 of 120 happen less than once in ten million runs.
    pings = anybody("exec", "h1", "--", "ping", "-q", "-c", "120", "-i", "0.02", "10.0.0.2",
                    code=None).out  # fmt: skip
    received = re.search(r"120 packets transmitted, (\d+) received", pings)
    assert received and 5 <= int(received[1]) <= 80, pings
    anybody("down")


def test_a_bandwidth_outlives_the_opening_of_the_ports(hoplab: Any) -> None:
    """Open vSwitch takes an HTB that has no class yet for one of its own, and away."""
    hoplab("up", "loop,n=8")
    text = hoplab("exec", "s1", "--", "sh", "-c",
                  "for i in 1 2 3 4 5 6 7 8; do for n in 2 3; do"
                  " tc class show dev s$i-eth$n; done; done").out  # fmt: skip
    assert text.count("rate 500Kbit") == 16, text
    hoplab("down")


def test_a_warning_of_tc_is_no_refusal(hoplab: Any) -> None:
    """As when another program changes what tc is just reading."""
    tc = hoplab.home / "bin" / "tc"
    tc.parent.mkdir()
    real = shutil.which("tc", path="/usr/sbin:/usr/bin:/sbin:/bin")
    tc.write_text(f'#!/bin/sh\necho "Dump was interrupted." >&2\nexec {real} "$@"\n')
    tc.chmod(0o755)
    hoplab.env["PATH"] = f"{tc.parent}:{os.environ['PATH']}"
    hoplab("up", "loop,n=3")
    result = hoplab("exec", "s1", "--", "tc", "class", "show", "dev", "s1-eth2")
    assert (
        "rate 500Kbit" in result.out and "interrupted" in result.err
    )  # and it was this tc that ran
    hoplab("down")
