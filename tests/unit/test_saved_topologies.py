# SPDX-License-Identifier: Apache-2.0
"""Topologies written down as files: what is read of such a file is what was written."""

from __future__ import annotations

import ast
import dataclasses
from pathlib import Path

import pytest

from hoplab import content, network
from hoplab.kernel.shaping import Limits
from hoplab.network.planned import plan_of
from hoplab.plans.as_file import text_of
from hoplab.plans.plan import Cable, Class_, Host, Plan, Switch, from_data

OURS = [
    ("cable", "rate=10M"), ("hub", "n=3"), ("internet", "nat=1,ipv6=1"), ("linear", "3,k=2"),
    ("loop", ""), ("routed", "3"), ("switch", "n=12"), ("tree", "2,3"), ("web", "3,tls=1"),
    ("web", "variant=slow,rate=500k"), ("web_openflow", ""),
]  # fmt: skip


def again(plan: Plan, folder: Path) -> tuple[Plan, list[str]]:
    """What is read of the file that is written of a plan, and what is not in it."""
    path = folder / "saved.py"
    text, remarks = text_of(plan, path)
    assert all(len(line) <= 100 for line in text.splitlines() if line.startswith("    "))
    path.write_text(text)
    return from_data(plan_of(network.load_topo(path))), remarks


@pytest.mark.parametrize(("name", "arguments"), OURS)
def test_each_topology_of_ours_is_read_as_it_was_written(
    tmp_path: Path, name: str, arguments: str
) -> None:
    plan = from_data(plan_of(network.load_topo(content.find("topologies", name), arguments)))
    read, remarks = again(plan, tmp_path)
    assert remarks == [] and read.hosts == plan.hosts and read.switches == plan.switches
    assert set(map(ends, read.cables)) == set(map(ends, plan.cables))
    assert (read.controller, read.url, read.client) == (plan.controller, plan.url, plan.client)


def ends(cable: Cable) -> frozenset[object]:
    """A cable, whichever end is first. The class that limits have made of it is no matter."""
    kind = cable.kind if cable.kind.name == "OVSLink" else None
    return frozenset([*zip(cable.ends, cable.limits, cable.names, strict=True), kind])


def lab(**hosts: Host) -> Plan:
    cables = tuple(
        Cable(((name, 0), ("s1", number))) for number, name in enumerate(hosts, 1)
    )
    return Plan(hosts, {"s1": Switch("s1", 1)}, cables)


def test_a_plain_lab_is_written_as_a_plain_topology(tmp_path: Path) -> None:
    plan = lab(h1=Host("h1", cards={0: ("10.0.0.1/8",)}), h2=Host("h2", cards={0: ()}))
    text, remarks = text_of(plan, tmp_path / "two hosts.py")
    tree = ast.parse(text)
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert remarks == [] and [node.module for node in imports] == ["mininet.topo"]  # type: ignore
    assert 'self.addHost("h1", ip="10.0.0.1/8")' in text and "ip=None" in text
    assert 'self.addLink("h1", "s1")' in text and "topos = {\"two_hosts\": TwoHostsTopo}" in text


def test_ends_ports_and_numbers_that_are_not_usual_are_written(tmp_path: Path) -> None:
    cables = (
        Cable((("h1", 3), ("s1", 7)), (Limits(rate=2_500_000), Limits(delay_ms=5, jitter_ms=0.5))),
        Cable((("s1", 1), ("core", 2)), (Limits(loss=0.5, queue=9),) * 2),
        Cable((("h1", 4), ("s1", 2)), names=("wan", "")),
    )
    host = Host("h1", cards={3: ("10.0.0.1/24",), 4: ("10.1.0.1/16",)}, gateway="10.0.0.9",
                dns=("10.0.0.8",), routes=(("10.7.0.0/16", "10.0.0.7"),), params={"mac": "02::1"})
    plan = Plan({"h1": host}, {"s1": Switch("s1", 0x2A), "core": Switch("core", 9, params={
        "stp": True, "failMode": "standalone"})}, cables)  # fmt: skip
    read, remarks = again(plan, tmp_path)
    assert remarks == [] and read.switches == plan.switches
    assert read.hosts["h1"] == dataclasses.replace(host, kind=Class_("Computer", "nodes"))
    assert set(map(ends, read.cables)) == set(map(ends, cables))


def test_what_no_topology_says_is_said(tmp_path: Path) -> None:
    router = Host("r1", forwards=True, serves=(("web_server.py",),), opaque=("intf",),
                  cards={0: ("10.0.0.1/24",)})  # fmt: skip
    plan = lab(r1=router)
    fast = dataclasses.replace(plan.cables[0], limits=(Limits(rate=10**10), Limits(rate=10**10)))
    plan = dataclasses.replace(plan, cables=(fast,), remarks=('h1: its "filters" \\ """',))
    read, remarks = again(plan, tmp_path)
    assert len(remarks) == 4 and read.hosts["r1"].forwards
    assert (tmp_path / "saved.py").read_text().count("\n- ") == 4
