# SPDX-License-Identifier: Apache-2.0
"""A real lab whose ovs-vswitchd is stopped while frames are on their way."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

pytestmark = pytest.mark.net

# Stops the lab's ovs-vswitchd and sends a datagram at once; the lab lets it go on when it sees
# that. Several times, since a busy machine may let the lab be quicker than the datagram.
STOP = """
import os, signal, socket, time
for name in filter(str.isdigit, os.listdir("/proc")):
    with open(f"/proc/{name}/comm") as file:
        if file.read().strip() == "ovs-vswitchd":
            pid = int(name)
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(5):
    os.kill(pid, signal.SIGSTOP)
    out.sendto(b"x", ("10.0.0.2", 9))
    while True:
        with open(f"/proc/{pid}/stat", "rb") as file:
            if file.read().rpartition(b")")[2].split()[0] != b"T":
                break
        time.sleep(0.001)
"""


def test_a_stopped_switch_is_told_and_the_run_is_judged_again_anywhere(hoplab: Any) -> None:
    hoplab("up", "switch")
    hoplab("exec", "h1", "--", "ping", "-c1", "10.0.0.2")
    traced = hoplab("trace", "--save", "run", "h1", "--", sys.executable, "-c", STOP)
    text = " ".join(traced.out.split())
    hoplab("down")
    assert "the machine delayed frames" in text and "was stopped by a signal for" in text
    report = hoplab("report", "run", "--md", "-o", "-").out
    assert "the machine delayed frames" in report
    fidelity = json.loads((hoplab.home / "run" / "trace.json").read_text())["fidelity"]
    assert fidelity["verdict"] == "distorted" and fidelity["from"]
    causes = [cause for spell in fidelity["spells"] for cause in spell["causes"]]
    assert ("stopped", "ovs-vswitchd") in {(each["code"], each["process"]) for each in causes}
