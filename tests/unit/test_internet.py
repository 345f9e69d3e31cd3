# SPDX-License-Identifier: Apache-2.0
"""The plan of topologies/internet.py, before any of it is built: routes, names, zones."""

from __future__ import annotations

import importlib.util
import ipaddress
import logging
import shutil
import subprocess
import sys
from collections import deque
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "apps"))

from protocols import dns_zone
from protocols.dns_records import AAAA, PTR, A, name_text

from tests.conftest import need

PROJECT = Path(__file__).resolve().parents[2]


def load() -> Any:
    kind = logging.getLoggerClass()
    pytest.importorskip("mininet.topo")
    logging.setLoggerClass(kind)  # Mininet makes its own everybody's, which says less
    path = PROJECT / "topologies" / "internet.py"
    spec = importlib.util.spec_from_file_location("internet_topology", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


internet = load()
SIZES = [{}, {"routers": 3, "lans": 1, "sites": 1}, {"routers": 8, "lans": 8, "sites": 8}]
SIZES += [{"routers": 5, "lans": 3, "nat": 1, "ipv6": 1}]


REQUIRE = internet.require


@pytest.fixture(autouse=True)
def all_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan does not depend on what this machine has; nothing is started here."""
    monkeypatch.setattr(internet, "require", lambda *programs, package: None)


def distance(plan: Any, start: str, goals: set[str]) -> int:
    """How many cables away the nearest of GOALS is."""
    seen, queue = {start: 0}, deque([start])
    while queue:
        here = queue.popleft()
        if here in goals:
            return seen[here]
        for neighbour, _, _ in plan.neighbours(here):
            if neighbour not in seen:
                seen[neighbour] = seen[here] + 1
                queue.append(neighbour)
    raise AssertionError("no way")


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_routes_lead_everywhere_by_a_shortest_way(size: dict[str, int]) -> None:
    plan = internet.InternetTopo(**size).plan
    owner = {
        subnet.ip(last): router
        for subnet in plan.subnets.values()
        for router, last in subnet.routers.items()
    }
    tables = {router: dict(plan.routes(router)[0]) for router in plan.routers}
    for start in plan.routers:
        for subnet in plan.subnets.values():
            network = f"{subnet.prefix}.0/{subnet.length}"
            here, steps = start, 0
            while here not in subnet.routers:
                here = owner[tables[here][network]]
                steps += 1
                assert steps <= len(plan.routers), "in a circle"
            assert steps == distance(plan, start, set(subnet.routers))
        v4, v6 = plan.routes(start)
        assert [owner[hop] for _, hop in v4] == [
            next(r for s in plan.subnets.values() for r, n in s.routers.items() if s.ip6(n) == hop)
            for _, hop in v6
        ]


def zones_of(topo: Any, folder: Path) -> dict[str, dns_zone.Zone]:
    zones = {}
    for server in ("root", "com", "org", "ns1", "ns2"):
        for file, text in topo.files(server).items():
            (folder / file).write_text(text)
            zones[file] = dns_zone.load_zone(folder / file)
    return zones


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_every_interface_has_a_name_and_every_name_its_way_back(
    size: dict[str, int], tmp_path: Path
) -> None:
    topo = internet.InternetTopo(**size)
    zones = zones_of(topo, tmp_path)
    forward: dict[str, set[str]] = {}
    for zone in zones.values():
        for rrset in zone.all():
            if rrset.rtype in (A, AAAA):
                addresses = {str(ipaddress.ip_address(raw)) for raw in rrset.datas}
                forward.setdefault(name_text(rrset.name).lower(), set()).update(addresses)
    back = {
        name_text(rrset.name): name_text(rrset.target())
        for zone in zones.values()
        for rrset in zone.all()
        if rrset.rtype == PTR
    }
    used: set[str] = set()
    for node in topo.hosts():
        info = topo.nodeInfo(node)
        used.update(a.split("/")[0] for a in [info.get("ip"), *info.get("ip6", ())] if a)
    for _, _, params in topo.links(withInfo=True):
        used.update(params[k]["ip"].split("/")[0] for k in ("params1", "params2") if k in params)
    for text in used:
        address = ipaddress.ip_address(text)
        if text.startswith("192.168.1."):
            continue  # the home's own business
        name = back[address.reverse_pointer + "."]
        assert str(address) in forward[name], (text, name)


def test_bind_takes_the_zones(tmp_path: Path) -> None:
    check = need("named-checkzone")
    topo = internet.InternetTopo(nat=1, ipv6=1, sites=8)
    for file, zone in zones_of(topo, tmp_path).items():
        command = [check, "-i", "none", name_text(zone.origin), str(tmp_path / file)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("wrong", [{"routers": 2}, {"lans": 9}, {"clients": 0}, {"sites": 9}])
def test_sizes_that_do_not_work_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="give 3 to 8 routers"):
        internet.InternetTopo(**wrong)


def test_a_missing_program_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(internet, "require", REQUIRE)
    monkeypatch.setattr(shutil, "which", lambda program, path=None: program == "nft" or None)
    internet.InternetTopo(nat=1)
    with pytest.raises(RuntimeError, match="is not installed: apt install dnsmasq-base") as caught:
        internet.InternetTopo(dhcp=1)
    assert caught.value.hint == "apt install dnsmasq-base"
    monkeypatch.setattr(shutil, "which", lambda program, path=None: None)
    with pytest.raises(RuntimeError, match="nft or iptables is not installed"):
        internet.InternetTopo(nat=1)
