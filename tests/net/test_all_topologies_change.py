# SPDX-License-Identifier: Apache-2.0
"""Each topology of ours, changed in every way while it runs, saved, and made of its file again."""

from __future__ import annotations

import re
from typing import Any

import pytest

from hoplab import content
from tests.conftest import World, need
from tests.net.test_save import WITH_MUCH, described

pytestmark = [pytest.mark.net, pytest.mark.long]


def kept(lab: World) -> dict[str, Any]:
    """What is in a lab but MAC addresses, which a file leaves to be numbered."""
    data = described(lab, "lab")
    for host in data["hosts"]:
        for interface in host["interfaces"]:
            interface.pop("mac")
    data["hosts"].sort(key=lambda host: host["name"])
    return data


def interfaces_of(printed: str) -> set[frozenset[str]]:
    """The cables that Mininet's `links` prints."""
    pairs = re.findall(r"([\w-]+-eth\d+)<->([\w-]+-eth\d+)", printed)
    return {frozenset(pair) for pair in pairs}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("topology", content.names("topologies"))
def test_it_is_changed_saved_and_made_again(hoplab: World, topology: str) -> None:
    wanted = f"{topology},{WITH_MUCH.get(topology, '')}"
    hoplab("up", wanted)
    nodes = hoplab("ls", "lab", "--json").json
    switches = [each["name"] for each in nodes["switches"]]
    host = next(each["name"] for each in nodes["hosts"] if each["kind"] == "host")

    at = switches[0] if switches else host
    if not switches:
        hoplab("add", "switch", "s1")
        hoplab("add", "cable", "s1", host)
        at = "s1"
    hoplab("add", "host", "hnew", "--to", at)
    hoplab("add", "switch", "s77")
    hoplab("add", "cable", "s77", at, "--rate", "10M", "--delay", "5ms")
    hoplab("add", "host", "hfar", "--to", "s77", "--serve", "web")
    hoplab("set", "hnew", "--dns", "10.9.9.9")
    hoplab("link", "hnew", at, "--rate", "20M", "--loss", "1%", "--queue", "70")
    hoplab("save", "changed.py")
    was = kept(hoplab)

    plain = hoplab("apply", "--dry-run", "--json", wanted).json
    assert plain["changes"] and not plain["done"] and not plain["not_changed"]
    assert kept(hoplab) == was, "nothing was done yet"
    hoplab("apply", wanted)
    assert hoplab("apply", wanted, "--json").json["changes"] == []
    assert {each["name"] for each in kept(hoplab)["hosts"]} == {
        each["name"] for each in nodes["hosts"]
    }
    hoplab("apply", "changed.py")
    assert hoplab("apply", "changed.py", "--json").json["changes"] == []
    after = kept(hoplab)
    assert [each["name"] for each in after["hosts"]] == [each["name"] for each in was["hosts"]]
    hoplab("down")

    hoplab("up", "changed.py")
    assert kept(hoplab) == was
    hoplab("down")
    need("mn")
    mn = hoplab("mn", "--", "--custom", "changed.py", "--topo", "changed", "--controller", "none",
                input="links\nexit\n", timeout=200)  # fmt: skip
    assert interfaces_of(mn.out + mn.err) == {
        frozenset(end["interface"].partition(":")[2] or end["interface"] for end in ends)
        for ends in was["cables"]
    }
