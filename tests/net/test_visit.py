# SPDX-License-Identifier: Apache-2.0
"""The main job on real networks: one fetch, every frame, judged by tshark."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import need

pytestmark = pytest.mark.net

# What tshark calls a frame, by display filter; each frame of the file is in at most one class.
CLASSES = {
    "arp-request": "arp.opcode == 1",
    "arp-reply": "arp.opcode == 2",
    "dns-question": "dns.flags.response == 0",
    "dns-answer": "dns.flags.response == 1",
    "tcp-syn": "tcp.flags.syn == 1 && tcp.flags.ack == 0",
    "tcp-syn-ack": "tcp.flags.syn == 1 && tcp.flags.ack == 1",
    "tcp-fin": "tcp.flags.fin == 1",
    "http-request": "http.request",
    "http-response": 'tcp.payload contains "HTTP/1.1 "  && !http.request',
}


def frames_by_tshark(file: Path) -> dict[str, set[int]]:
    """The numbers of the frames of each class."""
    tshark = need("tshark")
    by_interface = {}
    for name, expression in CLASSES.items():
        result = subprocess.run(
            [tshark, "-n", "-r", str(file), "-o", "tcp.desegment_tcp_streams:FALSE",
             "-o", "tcp.analyze_sequence_numbers:FALSE",
             "-Y", f'({expression}) && frame.interface_name != "openflow"',
             "-T", "fields", "-e", "frame.number"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        by_interface[name] = {int(word) for word in result.stdout.split()}
    return by_interface


def legs(story: dict[str, Any]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Every packet of the story with each of its frames on a link."""
    return [(trip, leg) for trip in story["trips"] for leg in trip["legs"]]


def frame_numbers(story: dict[str, Any], kind: str) -> set[int]:
    """The numbers of all frames, at all interfaces, of the packets of a kind."""
    return {
        number
        for trip, leg in legs(story)
        if trip["kind"] == kind
        for number in (leg["sent"], leg["received"])
        if number is not None
    }


@pytest.mark.parametrize(
    "controller", [pytest.param("hub", marks=pytest.mark.long), "learning_switch"]
)
def test_tshark_agrees_on_every_frame(hoplab: Any, controller: str) -> None:
    story = hoplab("visit", "--json", "--save", "run", "--controller", controller).json
    assert story["outcome"]["ok"] is True and story["exit_code"] == 0
    seen = frames_by_tshark(hoplab.home / "run" / "capture.pcapng")
    for name, numbers in seen.items():
        assert numbers, f"no {name} in the capture"
        assert frame_numbers(story, name) == numbers, name
    kept = json.loads((hoplab.home / "run" / "trace.json").read_text())
    assert kept["trips"] == story["trips"]
    assert json.loads((hoplab.home / "run" / "lab.json").read_text())["topology"] == "web"


def test_every_interface_is_in_one_file_by_name(hoplab: Any) -> None:
    tshark = need("tshark")
    hoplab("visit", "--save", "run")
    lab = json.loads((hoplab.home / "run" / "lab.json").read_text())
    result = subprocess.run(
        [tshark, "-r", str(hoplab.home / "run" / "capture.pcapng"), "-T", "fields",
         "-e", "frame.interface_name", "-e", "frame.time_epoch"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert result.stderr == "" or "root" in result.stderr
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert {row[0] for row in rows} == {*(i["name"] for i in lab["interfaces"]), "openflow"}
    times = [float(row[1]) for row in rows]
    assert times == sorted(times)


def test_every_frame_carries_its_line_of_the_story(hoplab: Any) -> None:
    tshark = need("tshark")
    story = hoplab("visit", "--json", "--save", "run").json
    result = subprocess.run(
        [tshark, "-r", str(hoplab.home / "run" / "capture.pcapng"), "-T", "fields",
         "-e", "frame.number", "-e", "frame.interface_name", "-e", "frame.comment"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    rows = {
        int(row[0]): row[1:] for line in result.stdout.splitlines() for row in [line.split("\t")]
    }
    for trip, leg in legs(story):
        for number, end in ((leg["sent"], "tail"), (leg["received"], "head")):
            interface, comment = rows[number]
            assert interface == leg[f"{end}_interface"]
            way = f": {leg['tail_interface']} to {leg['head_interface']}"
            assert comment.startswith(f"#{trip['number']} {trip['title']}, hop ") and way in comment
    wires = [row for row in rows.values() if row[0] != "openflow"]
    assert all(comment for _, comment in wires)


def test_why_a_frame_was_flooded(hoplab: Any) -> None:
    """What the controller was asked and said, by the captured channel; tshark reads it too."""
    tshark = need("tshark")
    story = hoplab("visit", "--json", "--save", "run", "--controller", "two_table_switch").json
    request = next(t for t in story["trips"] if t["kind"] == "arp-request")
    asked = request["decisions"][0]
    assert (asked["node"], asked["by"], asked["answer"]) == ("s1", "controller", "flood")
    assert asked["wait_ms"] > 0 and len(asked["installed"]) == 2
    result = subprocess.run(
        [tshark, "-r", str(hoplab.home / "run" / "capture.pcapng"), "-Y",
         "openflow_v4.type == 10 || openflow_v4.type == 13",
         "-T", "fields", "-e", "frame.number", "-e", "openflow_v4.type"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    kinds = {
        int(row[0]): row[1] for line in result.stdout.splitlines() for row in [line.split("\t")]
    }
    decisions = [
        decision
        for trip in story["trips"]
        for decision in trip["decisions"]
        if decision["packet_in"]
    ]
    assert decisions
    for decision in decisions:
        assert "10" in kinds[decision["packet_in"]] and "13" in kinds[decision["packet_out"]]
    # Every question of the switches, and only those, is in the story.
    questions = [number for number, kind in kinds.items() if "10" in kind]
    assert sorted(questions) == sorted(decision["packet_in"] for decision in decisions)
    hub = hoplab("visit", "--json", "--controller", "hub", "--down").json
    why = [decision for trip in hub["trips"] for decision in trip["decisions"]]
    assert why and {decision["by"] for decision in why} == {"flow"}


def test_hub_and_switch_tell_different_stories(hoplab: Any) -> None:
    def counts(story: dict[str, Any]) -> Counter[str]:
        return Counter({link["a"]: link["frames"] for link in story["summary"]["links"]})

    switch = hoplab("visit", "--json", "--down").json
    hub = hoplab("visit", "--json", "--down", "--controller", "hub").json
    assert switch["outcome"]["ok"] and hub["outcome"]["ok"]
    # pc is on the client's segment: on the switch it gets the broadcast only.
    assert counts(switch)["pc"] == 1
    # On the hub it gets a copy of every frame of the client's link, both ways.
    assert counts(hub)["pc"] == counts(hub)["client"] > 10
    assert hub["summary"]["ignored"] > switch["summary"]["ignored"]


def test_at_each_router_macs_change_ips_stay_and_ttl_falls(hoplab: Any) -> None:
    story = hoplab("visit", "--json").json
    request = next(t for t in story["trips"] if t["kind"] == "http-request")
    assert request["path"] == ["client", "s1", "r1", "r2", "s3", "www"]
    passages = request["routers"]
    assert [p["node"] for p in passages] == ["r1", "r2"]
    for passage in passages:
        before, after = passage["before"], passage["after"]
        assert before["src_mac"] != after["src_mac"] and before["dst_mac"] != after["dst_mac"]
        assert (before["src"], before["dst"]) == ("10.1.0.10", "10.80.0.80")
        assert (after["src"], after["dst"]) == ("10.1.0.10", "10.80.0.80")
        assert after["ttl"] == before["ttl"] - 1


FAILURES = {
    "http://no-such-host.itheima.com/": ("no-such-host.itheima.com", 6),
    "http://closed.itheima.com/": ("RST", 7),
    "http://down.itheima.com/": ("10.80.0.99", 7),
    "http://www.itheima.com/no-such-page": ("404", 1),
}


@pytest.mark.parametrize("url", FAILURES)
def test_a_failure_is_a_story(hoplab: Any, url: str) -> None:
    text, code = FAILURES[url]
    result = hoplab("visit", url, "--json", "--timeout", "20", code=1)
    story = result.json
    assert story["exit_code"] == code
    assert story["outcome"]["ok"] is False
    whole = " ".join([story["outcome"]["sentence"], *story["outcome"]["why"]])
    assert text in whole, whole


def test_without_a_route_not_one_frame_leaves(hoplab: Any) -> None:
    topology = "cable,ip2=192.168.2.2/24"
    story = hoplab(
        "trace", "--topology", topology, "--json", "h1", "--", "ping", "-c1", "192.168.2.2", code=1
    ).json
    assert story["trips"] == []
    assert "Network is unreachable" in story["output"]
    assert story["summary"]["frames"] == 0


def test_ping_on_a_cable(anybody: Any) -> None:
    story = anybody(
        "trace", "--topology", "cable", "--json", "--down", "h1", "--", "ping", "-c1", "192.168.1.2"
    ).json
    kinds = [trip["kind"] for trip in story["trips"][:4]]
    assert kinds == ["arp-request", "arp-reply", "icmp-echo-request", "icmp-echo-reply"]
    assert story["outcome"]["ok"] is True
    assert anybody("ls", "--json").json == []


def test_as_an_ordinary_user(make_world: Any) -> None:
    hoplab = make_world(as_user=True)
    result = hoplab("visit", "--down")
    assert "www answered 200 OK" in result.out
    assert "Capture: complete" in result.out
    assert "MAC client" in result.out and "unchanged" in result.out


def test_a_second_visit_finds_warm_caches(hoplab: Any) -> None:
    first = hoplab("visit", "--json").json
    second = hoplab("visit", "--json").json
    asked = [
        # A slow machine may ask again what it has asked: that is no other question.
        {(t["sender"], t["dst"]) for t in story["trips"] if t["kind"] == "dns-question"}
        for story in (first, second)
    ]
    assert [len(each) for each in asked] == [4, 1]
    assert hoplab("visit", "http://www.itheima.com/courses.html", "--from", "pc").code == 0


def test_output_into_a_closed_pipe_is_no_error(hoplab: Any) -> None:
    hoplab("up", "web")
    result = subprocess.run(
        ["bash", "-c", '"$@" | head -1; echo "${PIPESTATUS[0]}"', "x", *hoplab.argv(["visit"])],
        capture_output=True, text=True, env=hoplab.environment(), cwd=hoplab.home, timeout=60,
    )  # fmt: skip
    assert result.stdout.splitlines()[-1] == "0" and "Traceback" not in result.stderr
