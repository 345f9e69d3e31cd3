# SPDX-License-Identifier: Apache-2.0
"""Labs that are broken on purpose: the story names what was broken, the line that it prints mends
it, and a lab in which nothing is wrong gets no diagnosis."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from hoplab.client import labs
from hoplab.faults import breaking
from hoplab.faults.kinds import Fault
from tests.conftest import World, need

pytestmark = pytest.mark.net
FEW = ("mask-narrow", "wrong-gateway", "filter", "port-down")
# Each lab is broken so many times, by seed. What a cause may be told beside: all that is wrong.
MANY = [
    ("switch", 1, 16), ("routed", 101, 18), ("routed,subnets=3", 201, 10), ("web", 301, 26),
    ("linear", 401, 6),
]  # fmt: skip


@dataclass
class Row:
    """How one broken lab was told."""

    topology: str
    seed: int
    fault: Fault
    named: list[tuple[str, str]]
    failed: bool
    mended: bool

    @property
    def right(self) -> bool:
        """It is among the causes, and no other node is blamed for anything."""
        own = (self.fault.cause, self.fault.node)
        return self.failed and own in self.named and {node for _, node in self.named} == {own[1]}

    def __str__(self) -> str:
        verdict = "right" if self.right else "WRONG"
        mended = "mended" if self.mended else "NOT MENDED"
        causes = ", ".join(f"{code} at {node or '-'}" for code, node in self.named) or "nothing"
        return (
            f"{self.topology:<18}{self.seed:>4}  {self.fault.kind:<18}{self.fault.node:<9}"
            f"{verdict:<6}{mended:<11}{causes}"
        )


@pytest.fixture
def broken(hoplab: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Broken]:
    monkeypatch.setenv("XDG_STATE_HOME", str(hoplab.state))
    yield Broken(hoplab)


class Broken:
    """A lab that is broken, told, mended by the lines that are printed, and made whole."""

    def __init__(self, hoplab: World) -> None:
        self.hoplab = hoplab
        self.topology = ""

    def up(self, topology: str) -> None:
        self.topology = topology
        self.hoplab("up", topology)

    def told(self, fault: Fault) -> dict[str, Any]:
        arguments = ("trace", "--json", "--timeout", "20", fault.try_on, "--", *fault.command)
        data: dict[str, Any] = self.hoplab(*arguments, code=None).json
        return data

    def paste(self, lines: Iterable[str]) -> None:
        """As a user would: into a shell, one after the other."""
        env = self.hoplab.with_command()
        for line in lines:
            subprocess.run(
                ["bash", "-c", line], env=env, check=True, timeout=60,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip

    def try_out(self, seed: int, kinds: tuple[str, ...] = ()) -> Row:
        handle = labs.find(None)
        fault = breaking.choose(breaking.look_at(handle), seed, kinds)
        breaking.put_in(handle, fault)
        try:
            breaking.wait_until_felt(handle, fault)
            data = self.told(fault)
            causes = data["outcome"].get("causes", [])
            named = [(cause["code"], cause["node"]) for cause in causes]
            self.paste(line for cause in causes for line in cause["mend"])
            mended = breaking.wait_until_it_works(handle, fault)
        finally:
            breaking.take_out(handle, fault)
        assert breaking.wait_until_it_works(handle, fault), f"{fault.undo} does not undo {fault.do}"
        return Row(self.topology, seed, fault, named, bool(data["exit_code"]), mended)


def test_each_of_a_few_faults_is_named_and_mended(broken: Broken) -> None:
    need("iptables")
    broken.up("routed")
    network = breaking.look_at(labs.find(None))
    healthy = next(iter(breaking.faults_of(network, ["no-gateway"])["no-gateway"]))
    assert "causes" not in broken.told(healthy)["outcome"], "nothing is wrong yet"
    rows = [broken.try_out(seed, (kind,)) for seed, kind in enumerate(FEW, 1)]
    bad = [str(row) for row in rows if not (row.right and row.mended)]
    assert not bad, "\n".join(bad)


def test_two_faults_are_both_named(broken: Broken) -> None:
    broken.up("routed")
    handle = labs.find(None)
    network = breaking.look_at(handle)
    faults = breaking.faults_of(network, ["no-gateway", "not-forwarding"])
    first = next(fault for fault in faults["no-gateway"] if fault.node == fault.try_on)
    second = next(f for f in faults["not-forwarding"] if f.try_on == first.try_on)
    breaking.put_in(handle, first)
    breaking.put_in(handle, second)
    outcome = broken.told(first)["outcome"]
    named = [(cause["code"], cause["node"]) for cause in outcome["causes"]]
    assert named == [(first.cause, first.node), (second.cause, second.node)]
    broken.paste(line for cause in outcome["causes"] for line in cause["mend"])
    assert breaking.wait_until_it_works(handle, first)


def test_nothing_is_wrong_where_all_that_fails_is_the_wish(hoplab: World) -> None:
    """A lab with NAT that works: what is asked for is there, or is nobody's, and no host is blamed
    for more than that."""
    hoplab("up", "internet,nat=1,routers=3,lans=1")

    def causes(host: str, *command: str) -> list[str]:
        outcome = hoplab("trace", "--json", host, "--", *command, code=None).json["outcome"]
        return [f"{cause['code']} {cause['node']}".strip() for cause in outcome.get("causes", [])]

    assert causes("home1", "ping", "-c1", "-W1", "10.61.0.2") == []
    assert causes("pc1", "ping", "-c1", "-W1", "10.61.0.77") == ["nobody-has-it"]
    closed = (sys.executable, "-c", "import socket; socket.create_connection(('10.61.0.2', 81))")
    assert causes("home1", *closed) == ["port-closed site1"]
    hoplab("exec", "site1", "--", "ip", "route", "del", "default")
    assert causes("home1", "ping", "-c1", "-W1", "10.61.0.2") == ["no-return-route site1"]


def test_a_user_without_root_is_told_as_well(anybody: World) -> None:
    need("iptables")
    anybody("up", "routed")
    anybody("exec", "h3", "--", "sh", "-c",
            "ip route del default; iptables -A INPUT -p icmp -j DROP")  # fmt: skip
    result = anybody(
        "trace", "--save", "run", "h1", "--", "ping", "-c1", "-W1", "10.0.2.10", code=1
    )
    lines = "hoplab exec h3 -- ip route add default via 10.0.2.1"
    assert lines in result.out
    words = " ".join(result.out.split())
    assert "h3 has no route back to 10.0.1.10" in words and "A filter of h3 drops it" in words
    anybody("down")
    again = anybody("report", "run", "--md", "-o", "-").out  # by the folder alone
    assert lines in again and "has no route back" in again


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("topology", "first", "number"), MANY)
def test_many_labs_broken_by_seed_are_all_told_right(
    broken: Broken, topology: str, first: int, number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    need("iptables")
    need("curl")
    rows: list[Row] = []
    broken.up(topology)
    for seed in range(first, first + number):
        rows.append(broken.try_out(seed))
        with capsys.disabled():
            print(f"\n{rows[-1]}", end="", flush=True)
    kinds = {row.fault.kind for row in rows}
    right, mended = sum(row.right for row in rows), sum(row.mended for row in rows)
    with capsys.disabled():
        print(f"\n{len(rows)} broken labs, {len(kinds)} kinds: {right} told right, {mended} mended")
    bad = [str(row) for row in rows if not (row.right and row.mended)]
    assert not bad, "\n".join(bad)


@pytest.mark.long
@pytest.mark.parametrize("kind", [kind.name for kind in breaking.JUDGED_KINDS])
def test_every_kind_is_told_right(broken: Broken, kind: str) -> None:
    need("iptables")
    need("curl")
    broken.up("tree" if kind == "loop" else "web")  # where no two switches are on one link
    rows = [broken.try_out(seed, (kind,)) for seed in range(2)]
    bad = [str(row) for row in rows if not (row.right and row.mended)]
    assert not bad, "\n".join(bad)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("topology", ["routed", "tree", "web", "internet"])
def test_cables_in_a_wrong_place_and_small_mtus_are_told_right(
    broken: Broken, topology: str
) -> None:
    broken.up(topology)
    fitting = breaking.faults_of(breaking.look_at(labs.find(None)),
                                 ("exchanged-cables", "loop", "mtu"))  # fmt: skip
    rows = [broken.try_out(seed, (kind,)) for kind in fitting for seed in range(3)]
    bad = [str(row) for row in rows if not (row.right and row.mended)]
    assert rows and not bad, "\n".join(bad)
