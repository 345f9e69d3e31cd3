# SPDX-License-Identifier: Apache-2.0
"""A running lab that was changed, written as a file: brought up from it, it is the same lab, and
stock Mininet makes the same network of it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from hoplab import content
from tests.conftest import World, need

pytestmark = pytest.mark.net

WITH_MUCH = {"internet": "nat=1,dhcp=1", "web": "tls=1", "tree": "2,2", "linear": "3,k=2"}


def described(lab: World, name: str) -> dict[str, Any]:
    """What is in a lab, without what counts and what is numbered anew."""
    data = lab("ls", name, "--json").json
    for host in data["hosts"]:
        for service in host["services"]:
            service.pop("pid")
        host["services"].sort(key=lambda each: (each["port"], each["protocol"]))
    ends = [
        sorted(
            ({key: end[key] for key in end if key not in ("sent", "sent_bytes", "dropped")}
             for end in cable["ends"]), key=lambda end: end["interface"],
        )
        for cable in data["cables"]
    ]  # fmt: skip
    return {
        "hosts": data["hosts"], "controller": data["controller"], "url": data["url"],
        "switches": [(each["name"], each["dpid"], each["ports"]) for each in data["switches"]],
        "cables": sorted(ends, key=lambda both: both[0]["interface"]),
    }  # fmt: skip


def test_a_changed_lab_is_saved_and_is_the_same_again(hoplab: World) -> None:
    hoplab("up", "routed", "--name", "first")
    hoplab("link", "--name", "first", "h1", "s1", "--rate", "10M", "--delay", "5ms", "--loss",
            "1%", "--queue", "90")  # fmt: skip
    line = "ip route add 10.9.0.0/16 via 10.0.1.10; ip addr add 10.0.1.77/24 dev h2-eth0"
    hoplab("exec", "--name", "first", "h2", "--", "sh", "-c", line)
    line = "ip addr flush dev h4-eth0; ip addr add 10.0.2.44/25 dev h4-eth0"
    hoplab("exec", "--name", "first", "h4", "--", "sh", "-c", line)
    saved = hoplab("save", "--name", "first", "lab.py", "--json").json
    assert saved["topology"] == "lab" and saved["up"] == "hoplab up lab.py"
    (remark,) = saved["left_out"]
    assert "h2" in remark and "10.0.1.77/24" in remark
    assert "is there already" in hoplab("save", "--name", "first", "lab.py", code=5).err
    hoplab("exec", "--name", "first", "h2", "--", "ip", "addr", "del", "10.0.1.77/24", "dev",
            "h2-eth0")  # fmt: skip
    was = described(hoplab, "first")
    hoplab("down", "--name", "first")

    hoplab("up", "lab.py", "--name", "second")
    assert described(hoplab, "second") == was
    text = (hoplab.home / "lab.py").read_text()
    again = hoplab("save", "--name", "second", "-").out
    assert again.partition("\nclass ")[2].partition("Topo(Topo)")[2] == (
        text.partition("\nclass ")[2].partition("Topo(Topo)")[2].replace('"lab": LabTopo',
                                                                         '"second": SecondTopo')
    )  # fmt: skip

    # Made what another file says, and back again: each host and cable that differs, no other.
    plan = hoplab("apply", "--name", "second", "routed,rate=10M", "--dry-run", "--json").json
    assert len(plan["changes"]) == 8 and plan["done"] is False and plan["not_changed"] == []
    assert described(hoplab, "second") == was, "nothing was done yet"
    hoplab("apply", "--name", "second", "routed,subnets=3")
    hoplab("exec", "--name", "second", "h5", "--", "ping", "-c", "1", "-W", "5", "10.0.1.11")
    assert "is what routed.py says" in hoplab("apply", "--name", "second", "routed,subnets=3").out
    again = hoplab("apply", "--name", "second", "lab.py").out
    assert "remove --name second h5" in again and "10.0.2.44/25" in again
    assert hoplab("apply", "--name", "second", "lab.py", "--json").json["changes"] == []
    after = described(hoplab, "second")
    assert (after["hosts"], after["switches"]) == (was["hosts"], was["switches"])
    # What fails half-way is taken back.
    own = text.replace("h2", "h2x").replace('"h2x",\n', '"h2x",\n serves=[["no_app.py"]],\n', 1)
    (hoplab.home / "broken.py").write_text(own)
    failed = hoplab("apply", "--name", "second", "broken.py", code=None)
    assert failed.code and "nothing of it was done" in failed.err
    (hoplab.home / "broken.py").write_text(text.replace("10.0.1.11/24", "10.0.1.300/24"))
    assert "10.0.1.300/24" in hoplab("apply", "--name", "second", "broken.py", code=3).err
    assert described(hoplab, "second")["hosts"] == was["hosts"]
    hoplab("down", "--name", "second")

    need("mn")
    typed = "links\nh1 ip -4 -o addr\nh4 ip -4 -o addr\nr1 ip -4 -o addr\nexit\n"
    mn = hoplab("mn", "--", "--custom", "lab.py", "--topo", "lab", "--controller", "none",
                 input=typed)  # fmt: skip
    cables = {frozenset(pair) for pair in re.findall(r"(\w+-eth\d)<->(\w+-eth\d)", mn.out + mn.err)}
    assert cables == {frozenset(end["interface"] for end in ends) for ends in was["cables"]}
    for address in ("10.0.1.10/24", "10.0.2.44/25", "10.0.1.1/24", "10.0.2.1/24"):
        assert f"inet {address} " in mn.out + mn.err


@pytest.mark.long
@pytest.mark.parametrize("topology", content.names("topologies"))
def test_every_topology_of_ours_is_the_same_again(hoplab: World, topology: str) -> None:
    if topology in ("ospf", "rip", "bgp"):
        need("/usr/lib/frr/zebra")
    parameters = WITH_MUCH.get(topology, "")
    hoplab("up", f"{topology},{parameters}", "--name", "first")
    was = described(hoplab, "first")
    saved = hoplab("save", "--name", "first", "again.py", "--json").json
    hoplab("down", "--name", "first")
    assert saved["left_out"] == []
    hoplab("up", "again.py", "--name", "second")
    assert described(hoplab, "second") == was
    hoplab("down", "--name", "second")
