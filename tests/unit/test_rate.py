# SPDX-License-Identifier: Apache-2.0
"""The parameter `rate` of the topologies, before any of it is built; and a rate in lab.json."""

from __future__ import annotations

import importlib
import shutil
from types import ModuleType
from typing import Any

import pytest

from hoplab import content
from hoplab.errors import Exit, LabError
from hoplab.follow.wiring import Wiring, WiringError

pytest.importorskip("mininet")

TOPOLOGIES = content.folder("topologies")


@pytest.fixture
def cables(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """topologies/cables.py, which knows nothing of the engine."""
    monkeypatch.syspath_prepend(str(TOPOLOGIES))
    return importlib.import_module("cables")


def build(name: str, arguments: str) -> Any:
    from hoplab.network import topofile

    return topofile.load_topo(TOPOLOGIES / f"{name}.py", arguments)


@pytest.mark.parametrize(
    ("written", "bits"),
    [
        ("10M", 10e6), ("1G", 1e9), ("500k", 500e3), ("10Mbit", 10e6), ("10 mbit/s", 10e6),
        ("0.5M", 500e3), ("2.5mbit", 2.5e6), ("100Kbit", 100e3), ("10k", 10e3), ("5Mbps", 5e6),
    ],
)  # fmt: skip
def test_a_rate_is_read_as_people_write_it(cables: ModuleType, written: str, bits: float) -> None:
    assert cables.bits(written) == bits
    assert cables.cable(written)["bw"] == bits / 1e6


@pytest.mark.parametrize(
    "written", [10, 10_000_000, 1e7, "10MB", "10MBps", "10MB/s", "fast", "M", "1T", "-1M", "1,5M"]
)
def test_a_rate_without_a_unit_or_in_bytes_is_refused(cables: ModuleType, written: object) -> None:
    with pytest.raises(ValueError, match="k, M or G for bits a second, as in rate=10M"):
        cables.cable(written)


@pytest.mark.parametrize("written", ["9k", "2G", "0M", "1001M"])
def test_a_rate_that_mininet_would_ignore_is_refused(cables: ModuleType, written: str) -> None:
    with pytest.raises(ValueError, match="give 10k to 1G bits a second"):
        cables.cable(written)


def test_without_a_rate_a_cable_is_as_it_was(cables: ModuleType) -> None:
    assert cables.cable() == cables.cable("") == cables.cable(None) == {}


@pytest.mark.parametrize("name", content.names("topologies"))
def test_every_cable_of_every_topology_takes_the_rate(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda program, **_: program)  # whatever they need is here
    limits = [options.get("bw") for *_, options in build(name, "rate=2M").links(withInfo=True)]
    assert limits
    assert set(limits) == {2.0}, "every cable"
    free = {options.get("bw") for *_, options in build(name, "").links(withInfo=True)}
    assert free == ({None, 0.5} if name == "loop" else {None})
    assert "rate" in (TOPOLOGIES / f"{name}.py").read_text(encoding="utf-8").split('"""')[1]


def test_of_a_bad_rate_the_error_says_how_to_write_one() -> None:
    with pytest.raises(LabError) as raised:
        build("switch", "rate=10MB")
    assert raised.value.code == Exit.BAD_INPUT
    assert "rate is 10MB: write a number and k, M or G" in raised.value.message
    assert "it takes n=4, rate=''" in raised.value.hint


def test_a_rate_stands_in_lab_json() -> None:
    data: dict[str, Any] = {
        "format": 1,
        "nodes": [{"name": "a", "kind": "host"}, {"name": "b", "kind": "host"}],
        "interfaces": [
            {"name": "a0", "node": "a", "peer": "b0", "rate": 500_000, "port": 0},
            {"name": "b0", "node": "b", "peer": "a0"},
        ],
    }
    wiring = Wiring.from_dict(data)
    assert [each.rate for each in wiring.interfaces] == [500_000, 0]
    again = Wiring.from_dict(wiring.as_dict())
    assert [each.rate for each in again.interfaces] == [500_000, 0]
    assert "rate" not in wiring.as_dict()["interfaces"][1]
    for bad in ("10M", -1, True, 1.5):
        data["interfaces"][0]["rate"] = bad
        with pytest.raises(WiringError, match="no number of bits a second"):
            Wiring.from_dict(data)
