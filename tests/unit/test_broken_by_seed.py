# SPDX-License-Identifier: Apache-2.0
"""Faults to be put into a lab: which fit, and that a seed chooses the same one again."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from hoplab.client.changes import understood
from hoplab.errors import LabError
from hoplab.faults import breaking
from hoplab.faults.kinds import KINDS, LAB
from hoplab.faults.network import Network
from tests.unit.hostnet import GATEWAYS, healthy, network
from tests.unit.playground import CABLE, wire_up


def routed(**state: Any) -> Network:
    wiring = network()
    facts = healthy(wiring)
    return Network({**wiring.as_dict(), "shards": [], **state}, facts)


def served(**changed: dict[str, Any]) -> Network:
    """The same with a name server, a resolver and a web server, and a client that uses them.
    changed: by host, the addresses or the routes that it has instead."""
    wiring, facts = network(), healthy(network())
    for name, change in changed.items():
        host = facts["now"]["hosts"][name]
        host["cards"][0]["addresses"] = change.get("addresses", host["cards"][0]["addresses"])
        host["routes"] = change.get("routes", host["routes"])

    def serve(node: str, protocol: str, port: int, *argv: str) -> None:
        listener = {"protocol": protocol, "address": "", "port": port, "pid": 9, "argv": argv}
        for state in ("built", "now"):
            facts[state]["hosts"][node]["listeners"].append(copy.deepcopy(listener))

    zones = ("--zone", "/zones/lab.com.zone", "--zone", "/zones/arpa.zone", "--background")
    serve("h3", "udp", 53, "dns_server", *zones)
    serve("h2", "udp", 53, "dns_resolver", "--background")
    serve("h4", "tcp", 80, "web_server", "--background")
    facts["now"]["hosts"]["h1"]["etc"]["resolv.conf"] = "nameserver 10.0.1.11\n"
    shards = [{"port": 6653, "switches": ["s1", "s2"]}]
    state = {**wiring.as_dict(), "shards": shards, "url": "http://www.lab.com/", "client": "h1"}
    return Network(state, facts)


def test_a_seed_chooses_the_same_fault_again() -> None:
    first = [breaking.choose(routed(), seed) for seed in range(30)]
    assert first == [breaking.choose(routed(), seed) for seed in range(30)]
    assert len({fault.kind for fault in first}) > 10, "kinds are as likely as each other"


def test_every_kind_but_a_loop_fits_a_lab_with_all_that_there_is() -> None:
    fitting = breaking.faults_of(served())
    missing = {kind.name for kind in KINDS} - set(fitting)
    assert missing == {"no-route", "routing-loop"}, "these want two routers"
    assert len(KINDS) >= 20


def test_a_fault_says_what_it_does_and_how_it_is_undone() -> None:
    for faults in breaking.faults_of(served()).values():
        for fault in faults:
            assert fault.says and fault.do and fault.undo and fault.command
            assert fault.node in served().wiring.nodes and fault.try_on in served().wiring.nodes
            assert {node for node, _ in fault.do} - {LAB} <= set(served().wiring.nodes)
            assert all(understood(line) for node, line in fault.do + fault.undo if node == LAB)


@pytest.mark.parametrize("host", sorted(GATEWAYS))
@pytest.mark.parametrize("length", ["", "/30", "/31", "/32"])
def test_a_host_with_a_wrong_address_hinders_no_fault_elsewhere(host: str, length: str) -> None:
    """A lab that somebody has left half mended is broken further, or not, and never dies of it."""
    right = {"h1": "10.0.1.10", "h2": "10.0.1.11", "h3": "10.0.2.10", "h4": "10.0.2.11"}[host]
    lab = served(**{host: {"addresses": [right + length] if length else [], "routes": []}})
    fitting = breaking.faults_of(lab, among=breaking.ALL_KINDS)
    assert {"filter", "mtu"} <= set(fitting)
    assert all(host != fault.try_on for faults in fitting.values() for fault in faults)


def test_a_default_route_without_a_gateway_is_put_back_as_it_was() -> None:
    routes = [{"to": "10.0.1.0/24", "card": "h1-eth0"}, {"to": "0.0.0.0/0", "card": "h1-eth0"}]
    lab = served(h1={"routes": routes})
    lines = [line for faults in breaking.faults_of(lab, among=breaking.ALL_KINDS).values()
             for fault in faults for _, line in fault.do + fault.undo]  # fmt: skip
    assert not [line for line in lines if "None" in line]
    assert any(line.endswith("default dev h1-eth0") for line in lines)


def test_of_a_kind_that_is_named_only_that_is_chosen() -> None:
    kinds = {breaking.choose(routed(), seed, ["filter"]).cause for seed in range(20)}
    assert kinds == {"filter-input", "filter-output", "filter-forward"}


def test_of_a_node_that_is_named_only_that_is_broken() -> None:
    kinds = ["no-gateway", "wrong-gateway"]
    faults = [breaking.choose(served(), seed, kinds, node="h3") for seed in range(8)]
    assert {fault.node for fault in faults} == {"h3"}
    assert len({fault.kind for fault in faults}) > 1
    with pytest.raises(LabError):
        breaking.choose(served(), 1, ["not-forwarding"], node="h3")


def test_a_duplicate_address_is_one_whose_owner_does_something_else() -> None:
    """A neighbour who has the address of another host would answer its pings."""
    faults = breaking.faults_of(served(), ["duplicate-address"])["duplicate-address"]
    taken = {(fault.node, fault.do[0][1].split()[3]) for fault in faults}
    assert taken == {("h2", "10.0.1.1/24"), ("h1", "10.0.1.1/24"), ("h4", "10.0.2.1/24"),
                     ("h3", "10.0.2.1/24"), ("h3", "10.0.2.11/24")}  # fmt: skip
    (web,) = [fault for fault in faults if "10.0.2.11/24" in fault.do[0][1]]
    assert web.command[0] == "curl" and web.do[0][1].split("; ")[1].endswith("10.0.2.1")
    wiring, facts = network(), healthy(network())
    entry = {"card": "h1-eth0", "ip": "10.0.1.1", "mac": "02:00:00:00:00:01", "permanent": True}
    facts["now"]["hosts"]["h1"]["neighbours"].append(entry)
    lab = Network({**wiring.as_dict(), "shards": []}, facts)
    nodes = [fault.node for fault in breaking.faults_of(lab)["duplicate-address"]]
    assert sorted(nodes) == ["h1", "h3", "h4"], "h1 was told the MAC of its gateway for good"


def test_a_cable_has_no_router_to_break() -> None:
    wiring = wire_up(CABLE)
    lab = Network({**wiring.as_dict(), "shards": []}, healthy(wiring, {}))
    fitting = breaking.faults_of(lab)
    assert "interface-down" in fitting and "not-forwarding" not in fitting


def test_where_nobody_reaches_anybody_nothing_can_be_broken() -> None:
    wiring = network()
    facts = healthy(wiring, {key: "" for key in GATEWAYS})
    for node in ("h1", "h2", "h3", "h4"):
        facts["now"]["hosts"][node]["routes"] = []
    with pytest.raises(LabError):
        breaking.choose(Network({**wiring.as_dict(), "shards": []}, facts), 1)


def test_a_kind_that_does_not_fit_is_answered_with_those_that_do() -> None:
    with pytest.raises(LabError, match="of the kind routing-loop does not fit") as raised:
        breaking.choose(routed(), 1, ["routing-loop"])
    assert "wrong-gateway" in raised.value.hint and "routing-loop" not in raised.value.hint
