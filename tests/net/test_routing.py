# SPDX-License-Identifier: Apache-2.0
"""Routers that learn their routes: a lab is up when they have, and finds another way."""

from __future__ import annotations

import pytest

from tests.conftest import World, need

pytestmark = [pytest.mark.net, pytest.mark.long]


@pytest.mark.parametrize(("topology", "protocol"), [("ospf", "ospf"), ("rip", "rip"),
                                                    ("bgp", "bgp"), ("ospf,routers=5", "ospf"),
                                                    ("ospf,hello=1", "ospf")])  # fmt: skip
def test_the_lab_is_up_when_routes_are_learned(
    anybody: World, topology: str, protocol: str
) -> None:
    need("/usr/lib/frr/zebra")
    up = anybody("up", topology, "--json").json
    assert up["events"] == [] and up["routers"] >= 3
    routes = anybody("exec", "r1", "--", "ip", "route", "show", "proto", protocol).out
    assert "10.2.0.0/24" in routes and "10.3.0.0/24" in routes
    assert " 0% packet loss" in anybody("exec", "h1", "--", "ping", "-c", "2", "10.2.0.10").out
    if protocol == "ospf":
        anybody("link", "r1", "r2", "down")
        told = anybody("exec", "h1", "--", "ping", "-c", "20", "-i", "0.2", "10.2.0.10", code=None)
        assert told.code == 0
    anybody("down")
