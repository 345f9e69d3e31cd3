# SPDX-License-Identifier: Apache-2.0
"""Hosts, switches and cables added to a running lab and taken away, and hosts that are set
otherwise: what follows from it, what is undone, what is refused.
"""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from hoplab.client import changes, labs
from hoplab.errors import LabError
from hoplab.faults import kept
from tests.conftest import World

pytestmark = pytest.mark.net

# Asks for the page of a host that is not there yet, until it comes.
FETCH = (
    "for i in $(seq 100); do curl -s -o /dev/null -m 1 http://10.0.1.12:8080/ && exit 0;"
    " sleep 0.1; done; exit 1"
)


def made(lab: World) -> dict[str, Any]:
    """What somebody has made and set, but for what runs and what is counted."""
    inventory = lab("ls", "lab", "--json").json
    return {
        "cables": {frozenset(end["interface"] for end in each["ends"])
                   for each in inventory["cables"]},
        "ports": {each["name"]: each["ports"] for each in inventory["switches"]},
        "hosts": inventory["hosts"],
    }  # fmt: skip


def test_a_story_is_told_of_a_host_that_was_added_meanwhile(anybody: Any) -> None:
    anybody("up", "routed")
    before = made(anybody)
    told: dict[str, Any] = {}

    def run(name: str, *words: str) -> None:
        told[name] = anybody(*words, code=None)

    # Beside all that follows a ping runs, on which nothing of it may tell.
    beside = ["exec", "h3", "--", "ping", "-q", "-i", "0.005", "-c", "400", "10.0.2.11"]
    story = ["trace", "--json", "--timeout", "120", "--save", "run", "h1", "--", "sh", "-c", FETCH]
    works = [threading.Thread(target=run, args=("ping", *beside)),
             threading.Thread(target=run, args=("story", *story))]  # fmt: skip
    for work in works:
        work.start()
    folder = anybody.state / "hoplab/labs/lab"
    while works[1].is_alive() and not list(folder.glob("run-*/capture.pcapng")):
        works[1].join(0.05)
    assert "under the controller learning_switch" in anybody("add", "switch", "s3").out
    added = anybody("add", "cable", "s3", "s1", "--delay", "1ms", "--json").json
    assert added["cable"] == ["s3-eth1", "s1-eth4"]
    host = anybody("add", "host", "h5", "--to", "s3", "--serve", "web --port 8080", "--json").json
    assert (host["ip"], host["gateway"], host["dns"]) == ("10.0.1.12/24", "10.0.1.1", None)
    for work in works:
        work.join()
    assert " 400 received" in told["ping"].out
    trace = told["story"].json
    assert trace["exit_code"] == 0 and trace["summary"]["lost"] == 0
    answer = [trip for trip in trace["trips"] if "200 OK" in trip["title"]]
    assert [leg["head"] for leg in answer[0]["legs"]] == ["s3", "s1", "h1"]
    remarks = json.dumps(trace["steps"])
    assert "s3 and s1 are joined" in remarks and "h5 is joined to s3" in remarks
    wired = json.loads((anybody.home / "run" / "lab.json").read_text())
    assert {"h5", "s3"} <= {node["name"] for node in wired["nodes"]}

    # It is a host as any other; and is gone without a trace.
    assert "30 of 30 pairs" in anybody("pingall").out
    assert "h5 has no cable any more" in anybody("remove", "s3").out
    anybody("remove", "h5")
    assert made(anybody) == before
    anybody("down")


def test_a_cable_becomes_a_network_and_a_cable_again(
    hoplab: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing in it has run a switch or a controller until then."""
    hoplab("up", "cable")
    monkeypatch.setenv("XDG_STATE_HOME", str(hoplab.state))
    lab = labs.find(None)

    def do(line: str) -> dict[str, Any]:
        answer: dict[str, Any] = lab.ask(changes.understood(line))
        return answer

    before = kept.state_of(lab)
    assert do("add switch s1")["dpid"].endswith("01")
    do("remove h1 h2")
    for host in ("h1", "h2"):
        (_, again) = do(f"add cable {host} s1")["sentences"]
        assert again.startswith(f"{host}-eth0 has 192.168.1.") and again.endswith("again")
    added = do("add host h3 --to s1 --serve 'web --port 81'")
    assert added["ip"] == "192.168.1.3/24" and added["gateway"] is None
    assert lab.ask({"op": "pingall"})["reached"] == 6

    # What it serves, and what it is set to.
    def running() -> list[bool]:
        services = do("set h3 --service web=start")["services"]
        return [each["running"] for each in services]

    (stopped,) = do("set h3 --service 81=stop")["services"]
    assert (stopped["name"], stopped["running"]) == ("web", False)
    assert running() == [True] == running()
    moved = do("set h3 --ip 192.168.1.99 --gateway 192.168.1.1 --dns 192.168.1.2")
    assert moved["addresses"] == {"h3-eth0": ["192.168.1.99/24"]}
    assert (moved["gateway"], moved["dns"]) == ("192.168.1.1", ["192.168.1.2"])
    assert lab.ask({"op": "pingall"})["reached"] == 6

    # What is refused changes nothing.
    network = kept.state_of(lab)
    for line, reason in (
        ("add host h1 --to s1", "there is a node h1 already"),
        ("add host h6 --to s11", "this lab has no switch s11"),
        ("add host h6 --to h1", "h1 is no switch"),
        ("add host h6 --to s1 --ip 192.168.1.1/24", "192.168.1.1 is the address of h1 already"),
        ("add host h6 --to s1 --ip 10.9.0.1/24", "in none of the subnets that are on this link"),
        ("add host twelve-letters --to s1", "too long for the name of an interface"),
        ("add host h6 --to s1 --serve 'web --no-such'", "web_server.py did not start on h6"),
        ("add cable h1 s1", "a cable joins h1 and s1 already"),
        ("remove h1", "h1 is needed: it is the gateway of h3"),
        ("remove h9", "this lab has no node h9"),
        ("set h1 --gateway 10.7.0.1", "in none of the host's own subnets"),
        ("set h3 --ip 192.168.1.50 --gateway 10.7.0.1", "in none of the host's own subnets"),
        ("set h3 --service wed=stop", "h3 has no service wed"),
    ):
        with pytest.raises(LabError) as error:
            do(line)
        assert reason in error.value.message and error.value.hint, line
    assert kept.state_of(lab) == network

    do("remove h3")
    do("remove s1")
    do("add cable h1 h2")
    assert kept.state_of(lab) == before
    hoplab("down")
