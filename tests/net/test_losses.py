# SPDX-License-Identifier: Apache-2.0
"""What is told as lost on real labs; judged by ping, by `ss` and by tshark."""

from __future__ import annotations

import re
import signal
from collections import Counter
from typing import Any

import pytest

from tests.conftest import need
from tests.net.test_capture import fields

pytestmark = pytest.mark.net

# More than a switch in user space can take in so short a time, less than a capture's ring holds.
BURST = """
import socket
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for number in range(1500):
    out.sendto(number.to_bytes(4, "big") + bytes(1396), ("10.0.0.2", 5001))
"""


def queue_drops(lab: Any) -> dict[str, int]:
    """What `ss` says of Open vSwitch's packet sockets: interface -> frames dropped."""
    need("ss")
    text = lab("exec", "h1", "--", "nsenter", "-t", "1", "-n", "ss", "-0", "-m").out
    rows = re.findall(r":(s1-eth\d)\s.*?,d(\d+)\)", text, re.S)
    return {name: int(count) for name, count in rows}


@pytest.mark.long
def test_a_stream_that_flows_already_loses_nothing(hoplab: Any) -> None:
    """The capture begins and ends in the middle of 200 pings a second."""
    hoplab("up", "switch")
    stream = hoplab.popen("exec", "h1", "--", "ping", "-q", "-i", "0.005", "-w", "60", "10.0.0.2")
    hoplab("exec", "h1", "--", "true")
    hoplab("swap", "hub")  # takes long enough for the stream to flow
    result = hoplab("trace", "--json", "--save", "run", "h3", "--", "ping", "-c1", "10.0.0.4")
    summary = result.json["summary"]
    stream.send_signal(signal.SIGINT)
    out, _ = stream.communicate(timeout=30)
    sent, received = map(int, re.search(r"(\d+) packets transmitted, (\d+) received", out).groups())  # type: ignore[union-attr]
    assert summary["trips"] > 100  # the stream is in it
    assert summary["capture"]["healed"] == summary["missed"] == summary["lost_on_links"] == 0
    assert summary["lost"] <= 2 * (sent - received)  # on a machine that can keep up, both are 0
    file = hoplab.home / "run/capture.pcapng"
    names = Counter(row[0] for row in fields(file, "frame.interface_name"))
    for link in summary["links"]:
        halves = names[link["a_interface"]] + names[link["b_interface"]]
        # Every frame twice, but for those under way at either edge.
        assert 0 <= 2 * link["frames"] - halves <= summary["under_way"]


def test_what_a_switch_has_no_room_for_is_lost_in_it(anybody: Any) -> None:
    anybody("up", "switch")
    anybody("exec", "h1", "--", "ping", "-c1", "10.0.0.2")
    before = queue_drops(anybody)
    result = anybody("trace", "--json", "--save", "run", "h1", "--", "python3", "-c", BURST)
    after = queue_drops(anybody)
    summary = result.json["summary"]
    dropped = {name: after[name] - before[name] for name in after if after[name] > before[name]}
    losses = {loss["interface"]: loss for loss in summary["lost_in_switches"]}
    assert {name: loss["frames"] for name, loss in losses.items()} == dropped
    assert summary["lost"] == sum(dropped.values()) + summary["lost_on_links"] > 0
    if not summary["missed"]:
        assert losses["s1-eth1"]["vanished"] == dropped["s1-eth1"]
        ends = Counter(trip["ended"] for trip in result.json["trips"] if trip["ended"])
        assert ends["s1 dropped it at s1-eth1: its queue there was full"] == dropped["s1-eth1"]
        # tshark sees the same in the file: into s1 by one port, out of it by the other.
        file = anybody.home / "run/capture.pcapng"
        seen = Counter(
            row[0] for row in fields(file, "frame.interface_name", only="udp.dstport==5001")
        )
        assert seen["s1-eth1"] - seen["s1-eth2"] == dropped["s1-eth1"]
