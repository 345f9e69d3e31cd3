# SPDX-License-Identifier: Apache-2.0
"""The small internet: all reach all sites, by name, by IPv6, through NAT, after DHCP."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from hoplab import programs
from tests.conftest import need

pytestmark = pytest.mark.net

CURL = "curl -sS --max-time 20 -o /dev/null -w '%{remote_ip} %{http_code} %{size_download}\\n' "


def need_nat() -> None:
    """Skip where a router has no way to do NAT."""
    if programs.find("nft") is None and programs.find("iptables") is None:
        pytest.skip("neither nft nor iptables is installed")


@pytest.mark.long
def test_every_client_visits_every_site_and_traceroute_reads_well(hoplab: Any) -> None:
    need_nat()
    hoplab("up", "internet,nat=1,ipv6=1")
    # The first visit, while nothing is in any cache: who asked whom.
    story = hoplab("visit", "--json", "http://www.green.org/").json
    asked = [
        (trip["legs"][0]["tail"], trip["legs"][-1]["head"])
        for trip in story["trips"]
        if trip["kind"] == "dns-question"
    ]
    # org has no address for ns1.isp.com, so root and com are asked on the way.
    assert asked[:3] == [("pc1", "resolver"), ("resolver", "root"), ("resolver", "org")]
    assert {("resolver", "com"), ("resolver", "ns1")} <= set(asked[3:])
    sites = ["www.blue.com", "www.red.com", "www.green.org", "www6.red.com", "blog.blue.com"]
    for client in ("pc1", "pc2", "pc3", "pc4", "home1", "home2"):
        wanted = [site for site in sites if client.startswith("pc") or "6" not in site]
        script = "; ".join(CURL + f"http://{site}/" for site in wanted)
        lines = hoplab("exec", client, "--", "sh", "-c", script).out.splitlines()
        # A name with both kinds of addresses: curl prefers IPv6 where it has it (RFC 6724).
        net = "fd00:{}::2" if client.startswith("pc") else "10.{}.0.2"
        places = {"www.blue.com": 61, "www.red.com": 62, "www.green.org": 63, "www6.red.com": 62,
                  "blog.blue.com": 61}  # fmt: skip
        assert [line.split()[:2] for line in lines] == [
            [net.format(places[site]), "200"] for site in wanted
        ]
    need("traceroute")
    for options, hops in (
        (["www.green.org"], ["to-s1.r1.isp.com", "to-r1.r3.isp.com", "www.green.org"]),
        (["-6", "fd00:63::2"], ["to-s1.r1.isp.com", "to-r1.r3.isp.com", "www.green.org"]),
    ):
        text = hoplab("exec", "pc1", "--", "traceroute", *options).out
        assert re.findall(r"^ *\d+  (\S+) \(", text, re.MULTILINE) == hops, text
    need("dig")
    text = hoplab("exec", "pc1", "--", "dig", "+trace", "+nodnssec", "-4", "www.blue.com", "A").out
    walk = re.findall(r"Received \d+ bytes from \S+\((\S+)\)", text)
    assert walk[1:3] == ["a.root-servers.lab", "a.gtld.lab"], text
    assert walk[3] in ("ns1.isp.com", "ns2.isp.com") and "10.61.0.2" in text
    story = hoplab("visit", "--json", "--from", "home1", "http://www.green.org/").json
    assert story["outcome"]["ok"] is True
    # By IPv6 too, and by a name that has nothing else. Whose addresses these are, the lab knows.
    hoplab("visit", "http://www6.red.com/", "--save", "run")
    story = json.loads((hoplab.home / "run" / "trace.json").read_text())
    assert story["outcome"]["ok"] is True
    wiring = json.loads((hoplab.home / "run" / "lab.json").read_text())
    addresses = {interface["name"]: interface["addresses"] for interface in wiring["interfaces"]}
    assert addresses["pc1-eth0"] == ["10.1.0.10/24", "fd00:1::10/64"]
    assert "fd00:255::1/64" in addresses["r1-eth0"]
    # The capture's own list of names, for Wireshark.
    named = ipaddress.ip_address("fd00:1::10").packed + b"pc1\0"
    assert named in (hoplab.home / "run" / "capture.pcapng").read_bytes()
    hoplab("down")


def test_home_gets_its_addresses_by_dhcp(make_world: Callable[..., Any]) -> None:
    need_nat()
    for tool in ("dnsmasq", "udhcpc"):
        if programs.find(tool) is None:
            pytest.skip(f"{tool} is not installed")
    hoplab = make_world()
    hoplab("up", "internet,routers=3,lans=1,clients=1,sites=1,dhcp=1")
    # They have them when `up` returns, and the lab knows them.
    text = hoplab("exec", "home1", "--", "ip", "-4", "addr").out
    lease = re.search(r"inet (192\.168\.1\.1\d\d/24)", text)
    assert lease, text
    wiring = json.loads((hoplab.state / "hoplab" / "labs" / "lab" / "lab.json").read_text())
    assert [lease[1]] in [i["addresses"] for i in wiring["interfaces"] if i["node"] == "home1"]
    assert hoplab("visit", "--from", "home1", "--json").json["outcome"]["ok"] is True
    hoplab("down")


@pytest.mark.long
def test_the_largest_one_that_stays_small(make_world: Callable[..., Any]) -> None:
    hoplab = make_world()
    hoplab("up", "internet,routers=8,lans=8,clients=1,sites=8")
    for number in range(1, 9):
        site = ["blue.com", "red.com", "green.org", "gold.org", "pink.com", "teal.org", "lime.com",
                "navy.org"]  # fmt: skip
        script = "; ".join(CURL + f"http://www.{name}/" for name in site)
        lines = hoplab("exec", f"pc{number}", "--", "sh", "-c", script).out.splitlines()
        assert [line.split()[0] for line in lines] == [f"10.{61 + k}.0.2" for k in range(8)]
    hoplab("down")
