# SPDX-License-Identifier: Apache-2.0
"""`hoplab lab` on a real network: a sheet is started, judged, mended and judged again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import World, _make_world

pytestmark = pytest.mark.net

SHEET = """
title: {en: A router, zh: 路由器}
lab: {topology: routed}
setup:
  - h1: ip route del default
score: 2
moments:
  rewritten:
    {nodes: [h1], trace: ping -c 1 10.0.2.10, at: icmp.echo.request @r1, says: {en: New MACs}}
validate:
  near:
    nodes: [h1, h2]
    exec: ping -c 1 -W 2 10.0.1.1
    valid: "' 0% packet loss' in stdout"
  address:
    nodes: [h1]
    show: ip -j -4 addr show h1-eth0
    valid: _result[0].addr_info[0].local == '10.0.1.10'
  gateway:
    description: {en: h1 has a gateway, zh: h1 有网关}
    table: {h1: [gateway r1]}
    hint: [{en: "whose address?", zh: 谁的地址}, ip route add default via 10.0.1.1]
  far:
    nodes: [h1]
    trace: ping -c 1 -W 2 10.0.2.10
    fresh: [arp, switches]
    frames:
      - icmp.echo.request: [1 packet, ttl 64 -> 63, source MAC changes 1 time between h1 and h3]
      - icmp.echo.reply: seen at h1 and nowhere else
      - arp.request from h1: [seen at h2, before icmp]
    moment: rewritten
  told: {nodes: [h1], exec: ping -c 1 -W 1 10.0.2.10, valid: code == 0}
  learned: {table: {s1: [h1 at s1-eth2, no h3, at least 1 flow], s2: [h3 at port 2]}}
  goes:
    flow:
      s1: [from h1 to h3: out of s1-eth1]
      s2: [from h1 to h3: out of s2-eth2]
  q-ttl: {answer: 63}
  q-heard: {answer: {count: icmp at h2}, nodes: [h1], trace: ping -c 1 10.0.2.10}
"""
KATHARA = {
    "ip_mapping": {"h1": {"0": "10.0.1.10/24"}, "r1": {"1": "10.0.2.1/24"}},
    "kernel_routes": {"h1": [["0.0.0.0/0", ["10.0.1.1"]], "!10.0.2.0/24"]},
    "reachability": {"h1": ["10.0.2.10", "!10.0.2.99"]},
    "custom_commands": {"h3": [{"command": "echo ok", "output": "ok", "exit_code": 0}]},
}


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    made = _make_world(as_user=False)
    yield made
    made.close()
    shutil.rmtree(made.home, ignore_errors=True)


def verdicts(done: Any) -> dict[str, str]:
    return {check["id"]: check["verdict"] for check in done.json["checks"]}


@pytest.mark.timeout(600)
def test_a_sheet_from_its_start_to_its_end(world: World) -> None:
    folder = world.home / "07-router"
    folder.mkdir()
    (folder / "lab.yml").write_text(SHEET, encoding="utf-8")
    world("up", "cable", "--name", "mine")
    started = world("lab", "start", "./07-router")
    assert "2 of 9 checks pass: the rest is your work" in started.out
    assert "lab 07-router is up" in started.out

    first = world("lab", "check", "./07-router", "--json", code=1)
    assert first.json["passed"] == 2
    assert {"near", "address"} == {
        name for name, verdict in verdicts(first).items() if verdict == "passed"
    }
    findings = {check["id"]: check.get("finding") for check in first.json["checks"]}
    for name in ("far", "told"):
        assert findings[name]["where"] == "h1"
        assert any("no default gateway" in why for why in findings[name]["why"]), findings[name]

    hint = world("lab", "hint", "./07-router", env={**world.environment(), "HOPLAB_LANG": "zh"})
    assert "谁的地址" in hint.out
    assert "ip route add" in world("lab", "hint", "./07-router").out
    assert world("lab", "answer", "./07-router", "q-ttl", "64", code=1).out.startswith("✗")
    assert world("lab", "answer", "./07-router", "q-ttl", "63").out.startswith("✓")
    # Commands without a name go to the sheet's lab, though another one is up.
    world("exec", "h1", "--", "ip", "route", "add", "default", "via", "10.0.1.1")
    world("lab", "answer", "./07-router", "q-heard", "none")

    last = world("lab", "check", "./07-router", "--json")
    assert set(verdicts(last).values()) == {"passed"}

    shown = world("lab", "show", "./07-router", "far")
    assert "New MACs" in shown.out
    assert "@r1" in shown.out
    page = Path(shown.out.splitlines()[-1])
    assert page.name == "report.html" and page.is_file()

    file = world.home / "correction.json"
    file.write_text(json.dumps({"convergence_time": 2, "test": KATHARA}))
    done = world("lab", "check", "--kathara", str(file), "--name", "07-router", "--json")
    assert (done.json["passed"], done.json["of"]) == (7, 7)

    world("lab", "reset", "./07-router", "--json")
    after = world("lab", "check", "./07-router", "--only", "gateway", "--only", "q-ttl", "--json",
                  code=1)  # fmt: skip
    assert set(verdicts(after).values()) == {"failed"}
    world("down", "--name", "07-router")
    world("lab", "check", "./07-router", code=4)
