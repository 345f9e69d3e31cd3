# SPDX-License-Identifier: Apache-2.0
"""The pytest plugin: a project's tests, run by a pytest of their own with two workers, as an
ordinary user."""

from __future__ import annotations

import json
import re
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import PROJECT, Done, World

pytestmark = pytest.mark.net

TESTS = """
import pytest

NAMES = []

@pytest.mark.topology("mine.py:pair")
@pytest.mark.parametrize("number", range(3))
def test_a_file_beside_the_test(lab, hosts, number):
    assert set(hosts) == {"a", "b"} and lab.name not in NAMES
    NAMES.append(lab.name)
    hosts["a"].run("touch /run/mark", check=True)
    assert hosts["a"].run("ls /run/mark").ok

def test_one_packet(lab):
    run = lab.trace("h1", ["ping", "-c", "1", lab["h2"].ip])
    assert run.packets.one("icmp echo from h1 to h2").seen_at("s1-eth2")

@pytest.mark.topology("mine.py:pair")
def test_that_fails(lab):
    lab.link("a", "b").down()
    run = lab.trace("a", "ping -c 1 -W 1 10.0.0.2")
    assert run.outcome.ok

@pytest.mark.topology("mine.py:pair")
def test_that_asks_for_nothing(lab):
    lab.trace("a", "true").packets.find("tcp")

@pytest.mark.topology("nowhere")
def test_without_a_network(lab):
    pass

def test_without_a_lab():
    pass
"""
TOPOLOGY = """
from mininet.topo import Topo

class Pair(Topo):
    def build(self):
        self.addLink(self.addHost("a", ip="10.0.0.1/24"), self.addHost("b", ip="10.0.0.2/24"))

topos = {"pair": Pair}
"""


def run_pytest(world: World, *options: str, timeout: float = 170) -> Done:
    """pytest with this plugin alone, as whoever the world is."""
    python = world.argv(["ls"])[:-3]
    ended = subprocess.run(
        [*python, "-m", "pytest", "-p", "hoplab.api.pytest_plugin", "-p", "no:cacheprovider",
         "--rootdir", str(world.home), "-q", *options],
        cwd=world.home, env={**world.environment(), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True, text=True, timeout=timeout,
    )  # fmt: skip
    return Done(ended.returncode, ended.stdout, ended.stderr)


@pytest.fixture
def user(make_world: Any) -> World:
    world: World = make_world(as_user=True)
    return world


def test_a_projects_tests(user: World) -> None:
    (user.home / "test_project.py").write_text(TESTS)
    (user.home / "mine.py").write_text(TOPOLOGY)
    ended = run_pytest(user, "-p", "xdist", "-n", "2", "--junit-xml", "report.xml", "-rA",
                       "--strict-markers")  # fmt: skip
    assert ended.code == 1, ended.out + ended.err
    assert "2 failed, 5 passed, 1 error" in ended.out, ended.out + ended.err
    cases = {
        case.get("name"): case
        for case in ElementTree.parse(user.home / "report.xml").iter("testcase")
    }
    failed = str(cases["test_that_fails"].findtext("failure"))
    assert "assert False is True" in failed or "assert run.outcome.ok" in failed
    # The story up to where it ended, and the command that mends it.
    assert re.search(r"hoplab link --name \S+ \w+ \w+ up", ended.out)
    assert "Next: nobody sent anything" in ended.out
    assert "there is no topology 'nowhere'" in ended.out and "Next: hoplab has:" in ended.out
    # What is kept of it, for Wireshark and a browser; of a test that passes nothing is.
    kept = user.home / "hoplab-failed" / "test_project.py-test_that_fails" / "run-1"
    assert {"capture.pcapng", "lab.json", "report.html"} <= {file.name for file in kept.iterdir()}
    assert json.loads((kept / "trace.json").read_text())["outcome"]["ok"] is False
    assert len(list((user.home / "hoplab-failed").iterdir())) == 2
    names = {each.get("name"): each.get("value")
             for each in cases["test_that_fails"].iter("property")}  # fmt: skip
    assert Path(str(names["hoplab_capture"])) == kept / "capture.pcapng"
    assert user("ls", "--json").json == []


@pytest.mark.long
def test_the_students_project(user: World) -> None:
    for file in (PROJECT / "examples" / "port_guard").glob("*.py"):
        (user.home / file.name).write_bytes(file.read_bytes())
    ended = run_pytest(user)
    assert ended.code == 0 and "7 passed" in ended.out, ended.out + ended.err
    guard = user.home / "guard.py"
    guard.write_text(guard.read_text().replace("return bound[port] == address", "return True"))
    ended = run_pytest(user)
    assert ended.code == 1 and "test_another_computer_on_the_port_is_kept_out" in ended.out
