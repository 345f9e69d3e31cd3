# SPDX-License-Identifier: Apache-2.0
"""Many labs at once: each comes up, is checked and visited, and goes, and none disturbs another."""

from __future__ import annotations

import threading
import time

import pytest

from tests.conftest import World
from tests.net.test_bad_input import nothing_left

pytestmark = [pytest.mark.net, pytest.mark.long]

LABS = 20


@pytest.mark.timeout(900)
def test_twenty_labs_at_once(anybody: World) -> None:
    topologies = ("switch", "routed", "web", "cable")
    names = [f"lab{number}" for number in range(LABS)]
    failed: list[str] = []
    all_up = threading.Barrier(LABS, timeout=500)

    def one(number: int) -> None:
        name, topology = names[number], topologies[number % len(topologies)]
        try:
            anybody("up", topology, "--name", name, timeout=400)
            all_up.wait()  # all twenty are up now
            pairs = anybody("pingall", "--name", name, "--json", timeout=400).json
            assert pairs["lost"] == [], f"{name}: {pairs['lost']}"
            if topology == "web":
                data = anybody("visit", "--name", name, "--json", timeout=400).json
                assert data["outcome"]["ok"] is True, name
            state = next(lab for lab in anybody("ls", "--json").json if lab["name"] == name)
            assert state["events"] == [], state["events"]
            all_up.wait()  # nobody goes before everybody was checked
            anybody("down", "--name", name, timeout=400)
        except BaseException as error:
            failed.append(f"{name}: {error}")
            all_up.abort()

    began = time.monotonic()
    with nothing_left(anybody):
        threads = [threading.Thread(target=one, args=(number,)) for number in range(LABS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failed == []
    print(f"{LABS} labs up, checked and down in {time.monotonic() - began:.1f} s")
