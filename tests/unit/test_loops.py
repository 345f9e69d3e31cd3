# SPDX-License-Identifier: Apache-2.0
"""Which switches stand in a loop, and when that is said."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from hoplab import content
from hoplab.follow.wiring import Interface, Node, Wiring
from hoplab.service import loops, server
from hoplab.story.silence import loop_of_switches


def lab(*cables: str, controller: str = "hub", guarded: tuple[str, ...] = ()) -> dict[str, Any]:
    """A lab.json of cables like 's1-s2'; names tell the kind."""
    nodes: dict[str, dict[str, str]] = {}
    interfaces = []
    for number, cable in enumerate(cables):
        end, far_end = cable.split("-")
        for node, peer in ((end, 1), (far_end, 0)):
            kind = {"s": "switch", "r": "router"}.get(node[0], "host")
            nodes[node] = {"name": node, "kind": kind}
            interfaces.append(
                {"name": f"{number}.{1 - peer}", "node": node, "peer": f"{number}.{peer}"}
            )
    wiring: dict[str, Any] = {"nodes": list(nodes.values()), "interfaces": interfaces}
    ours = content.folder("controllers") / f"{controller}.py"
    return {
        "name": "lab",
        "controller": controller,
        "controller_file": str(ours) if ours.exists() else f"/home/me/{controller}.py",
        "loops": loops.find(wiring, guarded),
        **wiring,
    }


RING = ("s1-s2", "s2-s3", "s3-s1", "h1-s1", "h2-s2")


@pytest.mark.parametrize(
    ("cables", "circles"),
    [
        (RING, [["s1", "s2", "s3"]]),
        (("s1-s2", "s1-s2"), [["s1", "s2"]]),
        (("s1-s1",), [["s1"]]),
        (("s1-s2", "s2-s3", "h1-s1", "h1-s3"), []),
        (("s1-s2", "s2-r1", "r1-s1"), []),
        ((*RING, "s3-s4", "s4-s5"), [["s1", "s2", "s3"]]),
        ((*RING, "s3-s4", "s4-s5", "s5-s6", "s6-s4"), [["s1", "s2", "s3"], ["s4", "s5", "s6"]]),
        (("s1-s2", "s2-s3", "s3-s4", "s4-s1", "s1-s3"), [["s1", "s2", "s3", "s4"]]),
        (tuple(f"s{n}-s{n + 1}" for n in range(3000)), []),
    ],
)
def test_loops_are_circles_of_switches_alone(cables: tuple[str, ...], circles: list[Any]) -> None:
    built = lab(*cables)
    assert built["loops"] == circles
    ports = [
        Interface(port["name"], port["node"], "", (), port["peer"]) for port in built["interfaces"]
    ]
    wiring = Wiring([Node(node["name"], node["kind"]) for node in built["nodes"]], ports)
    assert loop_of_switches(wiring) == [name for loop in circles for name in loop], "as in a story"


def test_a_loop_is_said_with_what_to_do() -> None:
    remark = loops.remark(lab(*RING))
    assert remark.startswith("s1, s2 and s3 stand in a loop: a broadcast goes round it for ever")
    assert "--controller spanning_tree" in remark and "unless" not in remark
    assert "unless mine prevents that" in loops.remark(lab(*RING, controller="mine"))
    assert "unless" in loops.remark({**lab(*RING), "controller_file": "/home/me/hub.py"})
    many = [f"s{n}-s{(n + 1) % 40}" for n in range(40)]
    assert "and 35 more switches stand in a loop" in loops.remark(lab(*many))


def test_a_loop_without_a_controller_is_opened_by_its_switches() -> None:
    remark = loops.remark({**lab(*RING), "controller": None, "controller_file": None})
    assert "stp=True" in remark and "swap" not in remark and "None" not in remark


class Clock:
    """A clock that goes on when somebody sleeps, and what a capture of a busy wire says by it."""

    def __init__(self, frames_a_second: int) -> None:
        self.now_s, self.frames_a_second = 0.0, frames_a_second

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds

    def quiet(self) -> tuple[float, int]:
        return 0.0, round(self.now_s * self.frames_a_second)


@pytest.mark.parametrize(
    ("circles", "frames_a_second", "whole"),
    [([["s1", "s2"]], 50_000, False), ([["s1", "s2"]], 100, True), ([], 50_000, True)],
)
def test_the_end_of_a_storm_is_not_waited_for(
    circles: list[Any], frames_a_second: int, whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where switches stand in a loop it never comes, and each second brings more to be read."""
    clock = Clock(frames_a_second)
    monkeypatch.setattr(server, "time", clock)
    service: Any = SimpleNamespace(
        lab=SimpleNamespace(loops=circles, cables=SimpleNamespace(longest_ms=0.0))
    )
    capture: Any = clock
    order = {"quiet_s": 0.25, "within_s": 4.0}
    answer = server.Service._until_quiet(service, capture, order)
    assert not answer["quiet"] and (clock.now_s >= 4.0) == whole


def test_nothing_is_said_where_it_is_dealt_with() -> None:
    assert loops.remark(lab(*RING, controller="spanning_tree")) == ""
    assert loops.remark(lab("s1-s2", "h1-s1")) == ""
    assert loops.remark(lab(*RING, guarded=("s1", "s2", "s3"))) == ""
    assert loops.remark(lab(*RING, guarded=("s1", "s2"))), "two of three do not open it"
    assert loops.remark({"name": "old", "controller": "hub", "controller_file": ""}) == ""
