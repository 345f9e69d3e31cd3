# SPDX-License-Identifier: Apache-2.0
"""What is in a lab, what somebody broke in it, and cables that change while a command runs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hoplab import wait
from hoplab.client import labs
from hoplab.faults import breaking, kept
from tests.conftest import World

pytestmark = pytest.mark.net


def test_a_lab_is_shown_broken_and_mended(hoplab: World) -> None:
    up = hoplab("up", "routed").out
    assert "  └─ r1  10.0.1.1/24, 10.0.2.1/24" in up and "h3  10.0.2.10/24" in up
    data = hoplab("ls", "lab", "--json").json
    (h1,) = [host for host in data["hosts"] if host["name"] == "h1"]
    assert h1["interfaces"][0]["addresses"] == ["10.0.1.10/24"] and h1["gateway"] == "10.0.1.1"
    assert [switch["name"] for switch in data["switches"]] == ["s1", "s2"]
    assert len(data["cables"]) == 6
    shown = hoplab("ls", "lab").out
    assert "h1    h1-eth0    10.0.1.10/24  10.0.1.1  -    -" in shown
    hoplab("ls", "lab", "--svg", "lab.svg")
    assert (hoplab.home / "lab.svg").read_text().startswith("<?xml")

    before = hoplab("break", "--tell", code=4)
    assert "nothing was broken" in before.err
    first = hoplab("break", "--seed", "11", "--json", "wrong-gateway").json
    assert hoplab("exec", first["on"], "--", *first["command"], code=None).code
    assert "already" in hoplab("break", code=5).err
    solution = hoplab("break", "--tell", "--json").json
    assert (
        solution["seed"] == 11
        and "gateway" in solution["kind"]
        and solution["says"]
        and solution["done"]
    )
    assert hoplab("break", "--mend", "--json").json["differences"] == []
    hoplab("exec", first["on"], "--", *first["command"])
    again = hoplab("break", "--seed", "11", "--json", "wrong-gateway").json
    assert again == first
    hoplab("break", "--mend")
    assert "did you mean wrong-gateway?" in hoplab("break", "wrong-gatway", code=4).err
    # Something that the undoing leaves otherwise is told.
    cut = hoplab("break", "cut-cable", "--json").json
    assert hoplab("exec", cut["on"], "--", *cut["command"], code=None).code
    hoplab("exec", "h1", "--", "ip", "route", "add", "10.7.0.0/16", "via", "10.0.1.1")
    assert "hosts/h1/routes" in hoplab("break", "--mend", code=1).out
    # ARP that began while the cable was cut still fails: what waits for it is refused.
    wait.until(
        lambda: not hoplab("exec", cut["on"], "--", *cut["command"], code=None).code,
        "the mended cable to carry a ping",
        within_s=20,
    )

    # What answers nothing, or in another's name, is named by the story, and undone.
    for kind, code in (("hung-controller",) * 2, ("duplicate-address",) * 2,
                       ("exchanged-cables", "moved-cable")):  # fmt: skip
        broken = hoplab("break", "--seed", "1", kind, "--json").json
        story: dict[str, Any] = {}

        def felt(on: str = broken["on"], command: list[str] = broken["command"]) -> bool:
            """Whoever answers first decides whether a command feels two cards with one address."""
            nonlocal story
            story = hoplab("trace", "--json", on, "--", *command, code=None).json
            return bool(story["outcome"].get("causes"))

        wait.until(felt, f"{kind} to be felt and told", within_s=30)
        fault = hoplab("break", "--tell", "--json").json
        causes = [(cause["code"], cause["node"]) for cause in story["outcome"]["causes"]]
        assert causes == [(code, fault["node"])] and story["exit_code"]
        mended = hoplab("break", "--mend", "--json").json
        assert (mended["differences"], mended["works"]) == ([], True)

    # At its time, the story tells it; nothing of it is left when the lab asks for it back.
    story = hoplab("trace", "--json", "--at", "300ms", "link h1 s1 down", "--at", "700ms",
                   "link h1 s1 up", "--at", "50s", "link h1 s1 --loss 1%",
                   "h1", "--", "ping", "-c", "6", "-i", "0.25", "-W", "2", "10.0.1.11",
                   code=None)  # fmt: skip
    remarks = [remark for step in story.json["steps"] for remark in step["remarks"]]
    changes = [remark["text"] for remark in remarks if remark["code"] == "lab-changed"]
    assert ["is cut" in changes[0], "is up" in changes[1], len(changes)] == [True, True, 2]
    assert "link h1 s1 --loss 1% was not done" in story.err
    state = json.loads((hoplab.state / "hoplab/labs/lab/lab.json").read_text())
    assert not any("loss" in each for each in state["interfaces"])
    assert "no change" in hoplab("trace", "--at", "1s", "swap hub", "h1", "--", "true", code=2).err
    hoplab("down")


@pytest.mark.long
@pytest.mark.parametrize("topology", ["switch", "routed", "web", "linear"])
def test_every_fault_is_undone_exactly(
    hoplab: World, topology: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(hoplab.state))
    hoplab("up", topology)
    handle: Any = labs.Handle("lab")
    for number in range(3):
        for kind in breaking.ALL_KINDS:
            network = breaking.look_at(handle)
            if not breaking.faults_of(network, [kind.name], breaking.ALL_KINDS):
                continue
            fault = breaking.choose(network, number, [kind.name], breaking.ALL_KINDS)
            before = kept.state_of(handle)
            breaking.put_in(handle, fault)
            breaking.take_out(handle, fault)
            assert list(kept.differences(before, kept.state_of(handle))) == [], fault
    hoplab("down")


@pytest.mark.long
@pytest.mark.parametrize(
    "topology",
    ["cable", "switch", "hub", "tree", "linear", "loop", "routed", "routed,subnets=3", "web",
     "web_openflow", "internet"],
)  # fmt: skip
def test_each_cable_is_cut_and_mended_exactly(
    hoplab: World, topology: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Addresses, routes, neighbours and what cables do are as before, of every node."""
    monkeypatch.setenv("XDG_STATE_HOME", str(hoplab.state))
    hoplab("up", topology)
    handle: Any = labs.Handle("lab")
    before = kept.state_of(handle)
    for cable in hoplab("link", "--json").json:
        ends = [end["interface"] for end in cable["ends"]]
        assert hoplab("link", "--json", *ends, "down").json["state"] == "down"
        assert hoplab("link", "--json", *ends, "up").json["state"] == "up"
        assert list(kept.differences(before, kept.state_of(handle))) == [], ends
    hoplab("down")
