# SPDX-License-Identifier: Apache-2.0
"""A real client asks a real server for an address."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import need

pytestmark = pytest.mark.net

CLIENT = "udhcpc -f -n -q -t 2 -T 2 -i h3-eth0 -s /bin/true"


def test_a_client_that_gets_an_address_and_one_that_does_not(anybody: Any) -> None:
    server, _ = need("dnsmasq"), need("udhcpc")
    anybody("up", "switch")
    alone = anybody("trace", "--json", "h3", "--", *CLIENT.split(), code=1).json
    assert "no offer came" in alone["outcome"]["sentence"]
    options = "--port=0 --no-ping --bind-interfaces --interface=h1-eth0 --pid-file= --user=root"
    ranges = "--dhcp-range=10.0.0.50,10.0.0.60,600 --no-hosts"
    ranges += f" --dhcp-leasefile={anybody.home}/leases"
    command = f"exec {server} -d -C /dev/null {options} {ranges} 2>&1"
    dnsmasq = anybody.popen("exec", "h1", "--", "sh", "-c", command)
    line = ""
    while "bound exclusively" not in line:
        line = dnsmasq.stdout.readline()
        assert line, "dnsmasq ended"
    story = anybody("trace", "--json", "h3", "--", *CLIENT.split()).json
    sentence = story["outcome"]["sentence"]
    assert sentence.startswith("h3 got 10.0.0.") and sentence.endswith("from 10.0.0.1 for 600 s.")
    assert story["steps"][0]["key"] == "dhcp"
    kinds = [trip["kind"] for trip in story["trips"] if trip["kind"].startswith("dhcp-")]
    assert kinds == ["dhcp-discover", "dhcp-offer", "dhcp-request", "dhcp-ack"]
    assert not [trip["ended"] for trip in story["trips"] if trip["ended"]]
    dnsmasq.terminate()
    dnsmasq.communicate(timeout=30)
