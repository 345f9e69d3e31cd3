# SPDX-License-Identifier: Apache-2.0
"""What the port guard promises, each promise in a lab of its own.

    python -m pytest examples/port_guard

The lab is hoplab's fixture: fresh for each test, without root. Nothing is asserted of the
controller's variables: what counts is what became of each packet.
"""

import pytest

pytestmark = [pytest.mark.topology("switch,n=3"), pytest.mark.controller("guard.py")]

OTHER = "02:00:00:00:00:99"


def ping(lab, first, second):
    """One echo request from one host to another, and what became of it."""
    return lab.trace(first, ["ping", "-c", "1", "-W", "1", lab[second].ip])


def rename(lab, host, address):
    """The host's card gets another MAC address, as an intruder's computer would have."""
    lab[host].run(["ip", "link", "set", lab[host].interfaces[0], "address", address], check=True)


def test_who_comes_first_may_talk(lab):
    run = ping(lab, "h1", "h2")
    assert run.outcome.ok
    assert run.packets.one("icmp echo from h1 to h2").path == ["h1", "s1", "h2"]


def test_a_known_destination_is_not_flooded(lab):
    ping(lab, "h1", "h2")
    run = ping(lab, "h1", "h2")
    assert not run.packets.one("icmp echo from h1 to h2").seen_at("h3")


def test_the_second_ping_needs_no_controller(lab):
    ping(lab, "h1", "h2")
    flows = [flow for flow in lab.table("s1")[0]["flows"] if flow["priority"] == 1]
    assert len(flows) == 2


def test_another_computer_on_the_port_is_kept_out(lab):
    ping(lab, "h1", "h2")
    rename(lab, "h1", OTHER)
    run = ping(lab, "h1", "h3")
    assert run.outcome.ok is False
    question = run.packets.find("arp.request from h1")
    assert question.seen_at("s1") and not question.seen_at("h2") and not question.seen_at("h3")


def test_nobody_takes_a_bound_address(lab):
    ping(lab, "h1", "h2")
    stolen = lab["h1"].run(["cat", f"/sys/class/net/{lab['h1'].interfaces[0]}/address"]).output
    rename(lab, "h3", stolen.strip())
    run = ping(lab, "h3", "h2")
    assert run.outcome.ok is False
    assert ping(lab, "h1", "h2").outcome.ok


def test_the_others_are_not_disturbed(lab):
    ping(lab, "h1", "h2")
    rename(lab, "h1", OTHER)
    ping(lab, "h1", "h2")
    assert ping(lab, "h2", "h3").outcome.ok


def test_a_cable_that_was_out_binds_nobody(lab):
    ping(lab, "h1", "h2")
    lab.link("h1", "s1").down()
    rename(lab, "h1", OTHER)
    lab.link("h1", "s1").up()
    assert ping(lab, "h1", "h3").outcome.ok
