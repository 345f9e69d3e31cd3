# SPDX-License-Identifier: Apache-2.0
"""How one plan becomes another: which command lines, and none where nothing differs."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from hoplab import content, network
from hoplab.kernel.shaping import Limits
from hoplab.network.planned import plan_of
from hoplab.plans.differences import differences
from hoplab.plans.plan import Cable, Class_, Host, Plan, from_data


def plan(name: str, arguments: str = "") -> Plan:
    return from_data(plan_of(network.load_topo(content.find("topologies", name), arguments)))


def lines(now: Plan, wanted: Plan) -> list[str]:
    made, left = differences(now, wanted)
    assert left == []
    return [" ".join(change.words) for change in made]


def with_host(base: Plan, name: str, **changed: object) -> Plan:
    return replace(base, hosts={**base.hosts, name: replace(base.hosts[name], **changed)})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["cable", "internet", "linear", "loop", "routed", "web"])
def test_what_is_the_same_is_not_touched(name: str) -> None:
    base = plan(name)
    assert lines(base, base) == []
    turned = tuple(replace(each, ends=each.ends[::-1], limits=each.limits[::-1])
                   for each in base.cables)  # fmt: skip
    assert lines(base, replace(base, cables=turned[::-1])) == []


def test_hosts_are_added_and_taken_away_last() -> None:
    assert lines(plan("switch", "n=3"), plan("switch", "n=4")) == [
        "add host h4 --to s1 --ip 10.0.0.4/24 --gateway none --dns none --force"
    ]
    assert lines(plan("switch", "n=4"), plan("switch", "n=3")) == ["remove h4"]
    routed = lines(plan("switch", "n=4"), plan("routed"))
    assert routed[:3] == [
        "remove h3-eth0 s1-eth3", "remove h4-eth0 s1-eth4", "add switch s2"
    ]  # fmt: skip
    assert "add cable r1 s2 --force" in routed and "set r1-eth1 --ip 10.0.2.1/24 --force" in routed
    assert "set h3 --gateway 10.0.2.1 --force" in routed


def test_a_host_that_moves_from_a_switch_that_goes_has_its_interface_for_the_new_cable() -> None:
    moved = lines(plan("routed"), plan("switch", "n=4"))
    assert [line for line in moved if re.search(r"\bh3\b", line)] == [
        "remove h3-eth0 s2-eth2", "add cable h3 s1 --force",
        "set h3-eth0 --ip 10.0.0.3/24 --force", "set h3 --gateway none --force",
    ]  # fmt: skip
    assert moved[-2:] == ["remove r1", "remove s2"]  # with their cable


def test_a_host_is_set_to_what_the_plan_says_by_one_command() -> None:
    base = plan("web")
    moved = with_host(base, "pc", cards={0: ("10.1.0.99/24",)}, dns=("10.53.0.4",))
    assert lines(base, moved) == [
        "set pc --ip 10.1.0.99/24 --gateway 10.1.0.1 --dns 10.53.0.4 --force"
    ]
    assert lines(base, with_host(base, "pc", gateway=None)) == ["set pc --gateway none --force"]
    routes = (("10.9.0.0/16", "10.1.0.10"),)
    assert lines(base, with_host(base, "pc", routes=routes)) == [
        "exec pc -- ip route replace 10.9.0.0/16 via 10.1.0.10"
    ]
    assert lines(with_host(base, "pc", routes=routes), base) == [
        "exec pc -- ip route flush exact 10.9.0.0/16 via 10.1.0.10"
    ]
    (r2_s3,) = [each for each in base.cables if each.nodes == ("r2", "s3")]
    port = dict(r2_s3.ends)["r2"]
    cards = {**base.hosts["r2"].cards, port: ("10.80.0.2/24",)}
    assert lines(base, with_host(base, "r2", cards=cards)) == [
        f"set r2-eth{port} --ip 10.80.0.2/24 --force"
    ]


def test_services_end_and_begin() -> None:
    base = plan("web")
    slow = with_host(base, "www", serves=(("web_server.py", "--variant", "slow"),))
    stopped, started = lines(base, slow)
    assert stopped == "set www --service web_server=stop"
    assert started.startswith("exec www -- ") and started.endswith(
        "apps/web_server.py --variant slow --background"
    )


def test_cables_do_what_the_plan_says() -> None:
    base, slow = plan("switch", "n=2"), plan("switch", "n=2,rate=10M")
    assert lines(base, slow) == [
        "link h1-eth0 s1-eth1 --rate 10M", "link h2-eth0 s1-eth2 --rate 10M"
    ]  # fmt: skip
    assert lines(slow, base)[0] == "link h1-eth0 s1-eth1 --rate none"
    cut = replace(base, cables=tuple(replace(each, up=False) for each in base.cables))
    assert lines(cut, base) == ["link h1-eth0 s1-eth1 up", "link h2-eth0 s1-eth2 up"]
    uneven = replace(base.cables[0], limits=(Limits(rate=1), Limits()))
    made, left = differences(base, replace(base, cables=(uneven, base.cables[1])))
    assert made == [] and len(left) == 1


def test_a_cable_more_between_the_same_two_is_one_more() -> None:
    base = plan("linear", "2")
    second = Cable((("s1", 3), ("s2", 3)), (Limits(delay_ms=5.0),) * 2)
    twice = replace(base, cables=(*base.cables, second))
    assert lines(base, twice) == ["add cable s1 s2 --delay 5ms --force"]
    (gone,) = lines(twice, base)
    assert gone == "remove s1-eth3 s2-eth3", "which of both is told by its ports"


def test_what_no_command_changes_is_told() -> None:
    base = plan("switch", "n=2")
    own = replace(base.hosts["h1"], kind=Class_("Mine", "/home/me/mine.py"), routes=(("x", "y"),))
    zone = Host("h2", cards=base.hosts["h2"].cards, params={"files": {"a": "b"}})
    switches = {"s1": replace(base.switches["s1"], dpid=9, params={"stp": True})}
    made, left = differences(base, Plan({"h1": own, "h2": zone}, switches, base.cables))
    assert made == [] and len(left) == 4
