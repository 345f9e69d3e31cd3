# SPDX-License-Identifier: Apache-2.0
"""A lab is written for Kathará and containerlab, and is the same network when it is read again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hoplab import content, network
from hoplab.kernel.shaping import Limits
from hoplab.network.planned import plan_of
from hoplab.plans.as_containers import files_of
from hoplab.plans.plan import Plan, from_data


def ours(name: str, arguments: str = "") -> Plan:
    return from_data(plan_of(network.load_topo(content.find("topologies", name), arguments)))


def read(files: dict[str, str], folder: Path) -> Any:
    for name, text in files.items():
        (folder / name).write_text(text)
    first = next(name for name in files if name.startswith("lab.conf") or name.endswith(".yml"))
    return network.load_topo(folder / first, "without=all")


@pytest.mark.parametrize("program", ["kathara", "containerlab"])
@pytest.mark.parametrize(("name", "arguments"), [("routed", "subnets=3"), ("cable", ""),
                                                 ("switch", "n=5"), ("linear", "3")])  # fmt: skip
def test_it_is_the_same_network(program: str, name: str, arguments: str, tmp_path: Path) -> None:
    plan = ours(name, arguments)
    files, _ = files_of(plan, program, "mine")
    topo = read(files, tmp_path)
    assert set(topo.hosts()) == {*plan.hosts, *plan.switches} and not topo.switches()
    assert sorted(map(sorted, topo.links())) == sorted(sorted(each.nodes) for each in plan.cables)
    commands = "".join(text for _, text in topo.nodeInfo("h1")["startup"])
    address = next(iter(plan.hosts["h1"].cards.values()))[0]
    assert f"ip address add {address} dev eth{0 if program == 'kathara' else 1}" in commands


def test_a_hub_is_a_collision_domain(tmp_path: Path) -> None:
    files, remarks = files_of(ours("hub"), "kathara", "mine")
    assert not remarks and [*files] == ["lab.conf", *(f"h{n}.startup" for n in (1, 2, 3, 4))]
    topo = read(files, tmp_path)
    assert topo.hosts() == ["h1", "h2", "h3", "h4"] and topo.switches() == ["s1"]


def test_what_cables_do_stands_in_the_startup(tmp_path: Path) -> None:
    plan = ours("cable")
    limits = Limits(2_000_000, 20.0, 2.0, 1.0, 50)
    plan = replace(plan, cables=(replace(plan.cables[0], limits=(limits, Limits())),))
    topo = read(files_of(plan, "kathara", "mine")[0], tmp_path)
    ((_, _, info),) = topo.links(withInfo=True)
    shape = {"bw": 2.0, "delay": "20ms", "jitter": "2ms", "loss": 1.0, "max_queue_size": 50}
    assert {**info["params1"], **info["params2"]} == {"ip": None, **shape}


def test_what_cannot_be_said_is_named() -> None:
    _, remarks = files_of(ours("web"), "containerlab", "mine")
    texts = list(map(str, remarks))
    assert any("what serves there" in text for text in texts)
    assert any("bridges that learn" in text for text in texts)
