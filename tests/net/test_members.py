# SPDX-License-Identifier: Apache-2.0
"""Hosts, switches and cables added to a running lab and taken away, and hosts that are set
otherwise: what follows from it, what is undone, what is refused.
"""

from __future__ import annotations

import json
import re
import shlex
import threading
from typing import Any

import pytest

from tests.conftest import World

pytestmark = pytest.mark.net

# Asks for the page of a host that is not there yet, until it comes.
FETCH = (
    "for i in $(seq 100); do curl -s -o /dev/null -m 1 http://10.0.1.12:8080/ && exit 0;"
    " sleep 0.1; done; exit 1"
)
SET = "ip -o -4 addr show scope global; ip route; ip neigh show nud permanent; cat /etc/resolv.conf"
NODES = ("r1", "h1")


def settings(lab: World) -> dict[str, Any]:
    """What somebody has set: of hosts by the kernel's own words, of switches their ports."""
    inventory = lab("ls", "lab", "--json").json
    cables = {frozenset(end["interface"] for end in each["ends"]) for each in inventory["cables"]}
    for each in inventory["hosts"]:
        each.pop("services")
    return {
        "cables": cables,
        "ports": {each["name"]: each["ports"] for each in inventory["switches"]},
        "hosts": inventory["hosts"],
        **{node: lab("exec", node, "--", "sh", "-c", SET).out for node in NODES},
    }


def refusals(lab: World) -> None:
    """What is refused changes nothing."""
    before = settings(lab)
    for words, code, reason in (
        ("add host h1 --to s1", 5, "there is a node h1 already"),
        ("add host h6 --to s33", 4, "did you mean s3?"),
        ("add host h6 --to r1", 3, "r1 is no switch"),
        ("add host h6 --to s1 --ip 10.0.1.10/24", 5, "10.0.1.10 is the address of h1"),
        ("add host twelve-letters --to s1", 3, "too long"),
        ("add host h6 --to s1 --serve 'web --no-such'", 1, "unrecognized arguments"),
        ("add cable h1 s1", 5, "--force adds it"),
        ("remove r1", 5, "it is the gateway of h1"),
        ("set r1 --ip 10.0.1.2/24", 2, "r1 has several interfaces: r1-eth0, r1-eth1"),
        ("set h1 --gateway 10.7.0.1", 3, "none of the host's own subnets"),
    ):
        assert reason in lab(*shlex.split(words), code=code).err, words
    assert settings(lab) == before


def test_a_lab_is_added_to_and_is_as_before(anybody: Any, request: pytest.FixtureRequest) -> None:
    anybody("up", "routed")
    before = settings(anybody)

    # Beside all that follows a ping runs, on which nothing of it may tell.
    beside: list[str] = []
    ping = threading.Thread(
        target=lambda: beside.append(
            anybody("exec", "h3", "--", "ping", "-q", "-i", "0.005", "-c", "600", "10.0.2.11").out
        )
    )
    ping.start()

    # A story begins before the host is there that it is about.
    stories: list[Any] = []
    tracing = threading.Thread(
        target=lambda: stories.append(
            anybody("trace", "--json", "--save", "run", "h1", "--", "sh", "-c", FETCH).json
        )
    )
    tracing.start()
    saved = anybody.home / "run"
    while not (saved / "capture.pcapng").exists() and not list(
        (anybody.state / "hoplab/labs/lab").glob("run-*/capture.pcapng")
    ):
        tracing.join(0.05)
    assert "under the controller learning_switch" in anybody("add", "switch", "s3").out
    added = anybody("add", "cable", "s3", "s1", "--delay", "1ms", "--json").json
    assert added["cable"] == ["s3-eth1", "s1-eth4"]
    host = anybody("add", "host", "h5", "--to", "s3", "--serve", "web --port 8080", "--json").json
    assert (host["ip"], host["gateway"], host["dns"]) == ("10.0.1.12/24", "10.0.1.1", None)
    tracing.join()
    (story,) = stories
    assert story["exit_code"] == 0 and story["summary"]["lost"] == 0
    answer = [trip for trip in story["trips"] if "200 OK" in trip["title"]]
    assert [leg["head"] for leg in answer[0]["legs"]] == ["s3", "s1", "h1"]
    remarks = json.dumps(story["steps"])
    assert "s3 and s1 are joined" in remarks and "h5 is joined to s3" in remarks
    wired = json.loads((saved / "lab.json").read_text())
    assert {"h5", "s3"} <= {node["name"] for node in wired["nodes"]}

    # It is a host as any other, behind a switch as any other.
    inventory = anybody("ls", "lab", "--json").json
    (new,) = [each for each in inventory["hosts"] if each["name"] == "h5"]
    assert [service["port"] for service in new["services"]] == [8080]
    assert {each["name"] for each in inventory["switches"] if each["connected"]} >= {"s3"}
    assert "h5" in anybody("completion", "--words", "hosts").out
    anybody("swap", "hub")
    assert "30 of 30 pairs" in anybody("pingall").out

    # What it serves, and what it is set to.
    assert "has been stopped" in anybody("set", "h5", "--service", "web=stop").out
    anybody("exec", "h1", "--", "curl", "-s", "-m", "2", "http://10.0.1.12:8080/", code=7)
    anybody("set", "h5", "--service", "8080=start")
    anybody("exec", "h1", "--", "curl", "-sf", "-o", "/dev/null", "http://10.0.1.12:8080/")
    assert "did you mean web?" in anybody("set", "h5", "--service", "wed=stop", code=4).err
    moved = anybody("set", "h5", "--ip", "10.0.1.99", "--dns", "10.0.1.1", "--json").json
    assert (moved["addresses"], moved["gateway"], moved["dns"]) == (
        {"h5-eth0": ["10.0.1.99/24"]}, "10.0.1.1", ["10.0.1.1"],
    )  # fmt: skip
    anybody("exec", "h4", "--", "ping", "-c", "1", "-W", "5", "10.0.1.99")

    if "user" in request.node.name:
        refusals(anybody)

    # A cable that is put back has its settings, what was added is gone without a trace.
    anybody("remove", "h1", "s1")
    assert "has 10.0.1.10/24 again" in anybody("add", "cable", "h1", "s1").out
    anybody("set", "h2", "--ip", "10.0.1.77/24", "--gateway", "none", "--dns", "10.0.1.1")
    anybody("set", "h2", "--ip", "10.0.1.11", "--gateway", "10.0.1.1", "--dns", "none")
    assert "h5 has no cable any more" in anybody("remove", "s3").out
    anybody("remove", "h5")
    ping.join()
    assert " 600 received" in beside[0], re.sub(r"\s+", " ", beside[0])
    anybody("swap", "learning_switch")
    assert settings(anybody) == before
    anybody("down")


def test_a_cable_becomes_a_network_with_a_switch(hoplab: World) -> None:
    """Nothing in it has run a switch or a controller until then."""
    hoplab("up", "cable")
    hoplab("add", "switch", "s1")
    hoplab("remove", "h1", "h2")
    for host in ("h1", "h2"):
        assert "again" in hoplab("add", "cable", host, "s1").out
    hoplab("add", "host", "h3", "--to", "s1")
    assert "6 of 6 pairs" in hoplab("pingall").out
    hoplab("down")
