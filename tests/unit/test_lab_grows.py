# SPDX-License-Identifier: Apache-2.0
"""A lab that is added to, and taken from, while somebody follows its packets; what is asked of it,
and what serves on its hosts."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Any

import pytest

from hoplab import runs
from hoplab.capture import pcapng_reader
from hoplab.cli import verbs_change
from hoplab.cli.parser import build_parser
from hoplab.client import changes
from hoplab.client.recording import with_gone
from hoplab.errors import Exit, LabError
from hoplab.follow.wiring import Wiring
from hoplab.openflow_channel import INTERFACE as OPENFLOW
from hoplab.service.services import Service, command_of, ended_among, grouped, program_of
from hoplab.story.live import Live
from tests.unit.test_live import MS, finished, last_words, shape

RUNS = Path(__file__).parent.parent / "data" / "runs"


def without(wiring: Wiring, node: str) -> Wiring:
    """The same lab before a node and its cables were added."""
    data = wiring.as_dict()
    ports = {each["name"]: each for each in data["interfaces"]}
    gone = {name for name, each in ports.items() if each["node"] == node}
    gone |= {ports[name]["peer"] for name in gone if ports[name]["peer"]}
    data["nodes"] = [each for each in data["nodes"] if each["name"] != node]
    data["interfaces"] = [each for each in data["interfaces"] if each["name"] not in gone]
    return Wiring.from_dict(data)


@pytest.mark.parametrize("node", ["www", "s3", "r2"])
def test_what_is_added_is_followed_as_if_it_had_always_been_there(node: str) -> None:
    run = "web-cold"
    capture = pcapng_reader.read(RUNS / run / runs.CAPTURE)
    whole = Wiring.load(RUNS / run / runs.STATE)
    wiring = without(whole, node)
    ports = wiring.port_map(capture.interfaces)
    live = Live(wiring, ports)
    assert wiring.grow(whole) and not wiring.grow(whole)
    live.grow()
    ports[:] = wiring.port_map(capture.interfaces)
    assert {name: wiring.port_name(peer) for name, peer in peers(wiring)} == {
        name: whole.port_name(peer) for name, peer in peers(whole)
    }
    spoken = [interface.name == OPENFLOW for interface in capture.interfaces]
    live.channel = any(spoken)
    news = []
    for number, observation in enumerate(capture.observations):
        (live.hear if spoken[observation.port] else live.feed)(observation)
        if number % 20 == 0:
            news += live.poll(observation.t_ns - 400 * MS)
    news += live.finish()
    assert shape(last_words(news)) == shape(finished(run).trips)


def peers(wiring: Wiring) -> list[tuple[str, int]]:
    return [
        (interface.name, peer) for port, interface in enumerate(wiring.interfaces)
        if (peer := wiring.peer(port)) is not None
    ]  # fmt: skip


def test_what_was_taken_away_stays_in_the_run_that_has_heard_it() -> None:
    state = {
        "nodes": [{"name": "h1", "kind": "host"}, {"name": "s1", "kind": "switch"}],
        "interfaces": [
            {"name": "h1-eth0", "node": "h1", "peer": "s1-eth1"},
            {"name": "s1-eth1", "node": "s1", "peer": "h1-eth0"},
        ],
    }
    gone = {
        "nodes": [{"name": "h5", "kind": "host"}],
        "interfaces": [
            {"name": "h5-eth0", "node": "h5", "peer": "s1-eth2"},
            {"name": "s1-eth2", "node": "s1", "peer": "h5-eth0"},
            {"name": "h1-eth0", "node": "h1", "peer": "s1-eth9"},  # it is there again
            {"name": "s1-eth9", "node": "s1", "peer": "h1-eth0"},
        ],
    }
    wiring = Wiring.from_dict({"format": 1, **with_gone(state, gone)})
    assert list(wiring.nodes) == ["h1", "s1", "h5"]
    found = {name: wiring.port_name(peer) for name, peer in peers(wiring)}
    assert found == {"h1-eth0": "s1-eth1", "s1-eth1": "h1-eth0", "h5-eth0": "s1-eth2",
                     "s1-eth2": "h5-eth0"}  # fmt: skip


# ------------------------------------------------------------------------------- what is asked


def parsed(*words: str) -> argparse.Namespace:
    return build_parser().parse_args(list(words))


def test_words_become_requests() -> None:
    host = verbs_change.add_request(
        parsed("add", "host", "h5", "--to", "s1", "--gateway", "none", "--serve", "web --port 81")
    )
    assert host == {
        "op": "add", "what": "host", "names": ["h5"],
        "options": {"to": "s1", "ip": None, "gateway": None, "serve": [["web", "--port", "81"]],
                    "force": False},
    }  # fmt: skip
    cable = verbs_change.add_request(parsed("add", "cable", "s4", "--delay", "20ms", "s1"))
    assert cable["names"] == ["s4", "s1"] and cable["options"]["limits"] == {"delay_ms": 20.0}
    assert changes.remove_request("h1", "s1")["names"] == ["h1", "s1"]
    assert changes.set_request("h1", ip="10.0.0.9", dns=None)["options"] == {
        "ip": "10.0.0.9", "force": False,
    }  # fmt: skip
    assert verbs_change.services(["web=stop", "53=restart"]) == {"web": "stop", "53": "restart"}


@pytest.mark.parametrize(
    "words",
    [
        "add host h5 --to s1 --gateway none --serve 'web --port 81'",
        "add host h6 --ip=10.0.0.9/24 --dns 10.0.0.1 --force",
        "add switch s4",
        "add cable s4 s1 --delay 20ms --loss 1%",
        "remove s4",
        "remove h1 s1 --force",
        "set h1 --ip 10.0.0.9 --gateway none",
        "set www --service web=stop --service 53=start",
    ],
)
def test_a_schedule_and_the_command_line_understand_the_same(
    words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[changes.Request] = []
    monkeypatch.setattr(verbs_change, "_change", lambda _, request, step: asked.append(request))
    arguments = parsed(*shlex.split(words))
    verb = {"add": verbs_change.add, "remove": verbs_change.remove, "set": verbs_change.set_}
    verb[words.split()[0]](arguments)
    assert asked == [changes.understood(words)]


@pytest.mark.parametrize("words", ["add", "add host", "add cable s1", "remove", "set h1",
                                   "set h1 --ip 10.0.0.1 --service web=stop"])  # fmt: skip
def test_what_is_no_change_of_a_node(words: str) -> None:
    with pytest.raises(LabError, match="is no change of a lab"):
        changes.understood(words)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["add", "cable", "s1"], "a cable has two ends"),
        (["add", "host", "h5", "h6"], "one name at a time"),
        (["add", "switch", "s4", "--ip", "10.0.0.1/24"], "--ip says nothing of a switch"),
        (["add", "host", "h5", "--delay", "5ms"], "--delay says nothing of a host"),
    ],
)
def test_what_makes_no_sense_is_told_with_an_example(words: list[str], reason: str) -> None:
    with pytest.raises(LabError) as caught:
        verbs_change.add_request(parsed(*words))
    assert caught.value.code == Exit.USAGE and reason in caught.value.message
    assert f"hoplab add {words[1]}" in caught.value.hint


def test_a_service_is_stopped_started_or_restarted() -> None:
    for wish in ("web", "web=off", "=stop"):
        with pytest.raises(LabError, match="is nothing that is done to a service"):
            verbs_change.services([wish])


# ------------------------------------------------------------------------------- what serves


@pytest.mark.parametrize(
    ("argv", "program"),
    [
        (["/usr/bin/python3", "/opt/apps/web_server.py", "--port", "80"], "web_server.py"),
        (["/usr/sbin/dnsmasq", "--no-daemon"], "dnsmasq"),
        (["python3.11", "-u", "x.py"], "x.py"),
        ([], ""),
    ],
)
def test_a_program_is_called_after_its_script(argv: list[str], program: str) -> None:
    assert program_of(argv) == program


def test_a_process_is_one_service_by_whatever_name() -> None:
    resolver = ["/usr/bin/python3", "/opt/apps/dns_resolver.py"]
    listeners: list[dict[str, Any]] = [
        {"protocol": "udp", "port": 53, "pid": 7, "argv": resolver},
        {"protocol": "tcp", "port": 53, "pid": 7, "argv": resolver},
        {"protocol": "tcp", "port": 22},  # whose it is, is not known
    ]
    (service,) = grouped(listeners)
    assert service == Service(tuple(resolver), ("udp 53", "tcp 53"), 7)
    assert service.names == ["dns", "dns_resolver", "dns_resolver.py", "53"]


def test_an_app_is_meant_by_its_short_name() -> None:
    for name in ("web", "web_server", "web_server.py"):
        _, app, option, background = command_of([name, "--port=81"])
        assert app.endswith("/apps/web_server.py") and (option, background) == (
            "--port=81", "--background",
        )  # fmt: skip
    assert command_of(["sleep", "9"])[1:] == ["9"]
    with pytest.raises(LabError) as caught:
        command_of(["web_sever"])
    assert "did you mean web_server?" in caught.value.hint


def test_a_server_that_was_begun_otherwise_stands_in_the_place_of_the_one_before() -> None:
    """Started again, the one before would find its port taken."""
    built = Service(("dns_server.py", "--zone", "a"), ("udp 53", "tcp 53"))
    web = Service(("web_server.py",), ("tcp 80",))
    now = Service(("dns_server.py", "--zone", "b"), ("udp 53", "tcp 53"), 7)
    assert ended_among([built, web], [now]) == [web]
    assert ended_among([built, web], []) == [built, web]
    beside = Service(("dns_server.py", "--port", "5353"), ("udp 5353",), 8)
    assert ended_among([built], [beside]) == [built]
