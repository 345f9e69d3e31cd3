# SPDX-License-Identifier: Apache-2.0
"""What queues in front of cables drop in real labs; judged by tc and by tshark."""

from __future__ import annotations

import re
import sys
from collections import Counter
from typing import Any

import pytest

from tests.net.test_capture import fields

pytestmark = pytest.mark.net

# Sends more than any queue holds: forty datagrams at a time, for which a switch has room that does
# not get to run just then, and then forty more.
SEND = """
import socket, sys, time
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for number in range(int(sys.argv[1])):
    out.sendto(number.to_bytes(4, "big") + bytes(996), ("10.0.0.2", 5001))
    if number % 40 == 39:
        time.sleep(0.02)
"""


def drops(lab: Any) -> Counter[str]:
    """What tc says that the queue of each interface dropped."""
    dropped = Counter[str]()
    for node in ("s1", "h1"):
        listing = lab("exec", node, "--", "tc", "-s", "qdisc", "show").out
        for name, count in re.findall(r"dev (\S+) root.*\n.*dropped (\d+)", listing):
            dropped[name] += int(count)
    return dropped


def send(lab: Any, many: int, folder: str) -> Any:
    """The story of so many datagrams from h1 to h2."""
    command = ("h1", "--", sys.executable, "-c", SEND, str(many))
    return lab("trace", "--json", "--save", folder, *command).json


def test_what_full_ports_of_a_hub_drop_is_counted_and_told(anybody: Any) -> None:
    anybody("up", "switch,rate=400k", "--controller", "hub")
    anybody("link", "h1", "s1", "--rate", "1G")  # so the host's own queue has always room
    anybody("exec", "h1", "--", "ping", "-c1", "10.0.0.2")
    summary = send(anybody, 10, "few")["summary"]
    assert summary["lost_in_queues"] == [] and summary["lost"] == 0 == drops(anybody).total()

    story = send(anybody, 600, "many")
    dropped = drops(anybody)
    summary = story["summary"]
    losses = {
        loss["interface"]: loss
        for loss in summary["lost_in_queues"]
        if loss["reason"] == "cable-full"
    }
    assert {name: loss["frames"] for name, loss in losses.items()} == +dropped
    assert dropped["s1-eth2"] > 0
    assert summary["lost"] >= dropped.total()
    # tshark sees in the file what is missing: sent by the host, gone out of the port to the other.
    path = "/sys/class/net/h1-eth0/address"
    mac = anybody("exec", "h1", "--", "cat", path).out.strip()
    rows = fields(anybody.home / "many/capture.pcapng", "frame.interface_name", "eth.src")
    seen = Counter(map(tuple, rows))
    missing = seen["h1-eth0", mac] - seen["s1-eth2", mac]
    if not summary["missed"]:
        # Where Open vSwitch sends several frames in one go, and the queue refuses one, it tries
        # that one again, which is counted twice, and throws away the rest, which nobody counts.
        assert dropped["s1-eth2"] <= 2 * missing
        # A frame that came shortly before the end may have been in the queue then, for all we know.
        vanished, held = losses["s1-eth2"]["vanished"], losses["s1-eth2"]["open"]
        assert vanished <= missing and 0.9 * missing <= vanished + held
    ends = [trip["ended"] or "" for trip in story["trips"]]
    assert any("dropped" in text and "s1-eth2" in text for text in ends)
