# SPDX-License-Identifier: Apache-2.0
"""`hoplab trace --live` on real labs; the judge is the story of a capture taken beside it."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from hoplab import runs
from hoplab.replay.explain import Explainer

pytestmark = pytest.mark.net


def kept(world: Any, capture: Path) -> runs.Run:
    """A run folder of that capture, read as any other."""
    folder = world.home / "kept"
    folder.mkdir()
    shutil.copyfile(capture, folder / runs.CAPTURE)
    (state,) = world.state.glob(f"hoplab/labs/*/{runs.STATE}")
    shutil.copyfile(state, folder / runs.STATE)
    with Explainer() as explain:
        return runs.reopen(folder, explain=explain)


def beside(world: Any, *live: str) -> tuple[list[dict[str, Any]], runs.Run]:
    """What `trace --live --json` tells, and what a capture of the same frames tells."""
    process = world.popen("capture", "-w", "all.pcapng")
    assert process.stderr.readline().startswith("capturing into")
    events = [
        json.loads(line) for line in world("trace", "--live", "--json", *live).out.splitlines()
    ]
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    return events, kept(world, world.home / "all.pcapng")


def of_kind(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event for event in events if event["event"] == kind]


def last_words(events: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Of each packet what was told last: a continuation replaces what it continues."""
    latest = {event["number"]: event for event in events if event["event"] in ("packet", "more")}
    keys = ("number", "kind", "title", "path", "fan", "delivered", "ignored", "frames", "lost",
            "cause", "causes", "notes")  # fmt: skip
    return [
        (
            *(latest[number][key] for key in keys),
            {
                (event["node"], event["by"], event["answer"])
                for event in latest[number]["decisions"]
            },
        )
        for number in sorted(latest)
    ]


def as_told(run: runs.Run) -> list[tuple[Any, ...]]:
    return [
        (
            t.number, t.kind, t.title, list(t.path), list(t.fan), list(t.delivered),
            list(dict.fromkeys(each.node for each in t.ignored)), len(t.legs), len(t.lost),
            t.cause, list(t.causes), list(t.notes),
            {(each.node, each.by, each.answer) for each in t.decisions},
        )
        for t in run.story.trips
    ]  # fmt: skip


def agree(events: list[dict[str, Any]], run: runs.Run) -> None:
    """The same of every packet. The capture ends a moment after the live story; on a slow machine
    that is long enough for the kernel to look whether its neighbours are still there."""
    live, finished = last_words(events), as_told(run)
    assert live == finished[: len(live)]
    assert all(kind.startswith("arp-") for _, kind, *_ in finished[len(live) :])


def test_the_same_packets_as_the_finished_story(anybody: Any) -> None:
    anybody("up", "routed")
    events, run = beside(anybody, "h1", "--", "ping", "-c", "3", "-i", "0.2", "10.0.2.10")
    agree(events, run)
    assert len(run.story.trips) >= 10
    assert events[0]["event"] == "listening" and events[-1]["event"] == "end"
    end = events[-1]
    assert (end["packets"], end["exit_code"], end["dropped"]) == (len(last_words(events)), 0, 0)
    assert 0 < end["frames"] <= run.story.summary.frames
    assert any("3 received" in event.get("line", "") for event in events)

    # Beside the packets: every frame counted, and what the lab is.
    assert events[0]["version"] == 1
    sent = [port["sent"] for event in of_kind(events, "frames") for port in event["ports"]]
    assert sum(sent) >= end["frames"]
    (controller,) = of_kind(events, "controller")
    assert controller["controller"] == "learning_switch"
    (links,) = of_kind(events, "links")
    assert {cable["state"] for cable in links["cables"]} == {"up"}


def test_a_page_over_a_hub(hoplab: Any) -> None:
    hoplab("up", "web", "--controller", "hub")
    fetch = hoplab.project / "apps" / "fetch.py"
    events, run = beside(hoplab, "client", "--", "python3", str(fetch), "http://www.itheima.com/")
    agree(events, run)
    assert "http-response" in {event.get("kind") for event in events}


def test_a_page_over_learning_switches_and_why(hoplab: Any) -> None:
    """The controller is asked, routers hold packets: the reasons of the finished story."""
    hoplab("up", "web", "--controller", "learning_switch")
    fetch = hoplab.project / "apps" / "fetch.py"
    events, run = beside(hoplab, "client", "--", "python3", str(fetch), "http://www.itheima.com/")
    agree(events, run)
    whys = [event["cause"] for event in events if event.get("cause")]
    assert any("before it could pass on" in why for why in whys)
    assert sum(len(event.get("decisions", ())) for event in events) > 10
    flows = of_kind(events, "table")
    assert any(flow["change"] == "there" and "CONTROLLER" in flow["sends_to"] for flow in flows)
    assert any(flow["change"] == "added" and "eth_dst=" in flow["match"] for flow in flows)


def test_a_packet_is_told_while_the_command_runs(hoplab: Any) -> None:
    hoplab("up", "switch")
    process = hoplab.popen("trace", "--live", "--json", "h1", "--", "sh", "-c",
                           "ping -c 1 10.0.0.2; sleep 60")  # fmt: skip
    for line in process.stdout:
        if json.loads(line).get("kind") == "icmp-echo-reply":
            break
    assert process.poll() is None  # the command still sleeps
    hoplab("link", "h3", "s1", "down")
    hoplab("swap", "hub")
    missing = {("cable", "down"), ("controller", "hub")}
    for line in process.stdout:
        event = json.loads(line)
        missing -= {("controller", event.get("controller"))}
        missing -= {("cable", cable["state"]) for cable in event.get("cables", ())}
        if not missing:
            break
    process.send_signal(signal.SIGINT)
    rest = [json.loads(line) for line in process.communicate(timeout=30)[0].splitlines()]
    assert rest[-1]["event"] == "end" and rest[-1]["packets"] >= 4
    assert process.returncode == 130


def test_everything_until_ctrl_c(hoplab: Any) -> None:
    hoplab("up", "switch")
    process = hoplab.popen("trace", "--live", "--lang", "zh")
    assert process.stdout.readline() == "正在跟踪每一个数据包；按 Ctrl-C 结束。\n"  # noqa: RUF001
    hoplab("exec", "h2", "--", "ping", "-c", "1", "10.0.0.3")
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "回显应答" in line:
            break
    process.send_signal(signal.SIGINT)
    rest, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert "4 个数据包" in rest and "h2 → s1 → h3" in "".join(lines)


def test_a_lab_that_ends_is_told(hoplab: Any) -> None:
    hoplab("up", "cable")
    process = hoplab.popen("trace", "--live")
    assert process.stdout.readline()
    hoplab("down")
    _, err = process.communicate(timeout=30)
    assert process.returncode not in (0, 130) and "ended" in err


def test_what_makes_no_sense_is_refused(hoplab: Any) -> None:
    hoplab("up", "cable")
    assert "no command" in hoplab("trace", "--live", "h1", code=2).err
    assert "no host" in hoplab("trace", code=2).err
    refused = hoplab("trace", "--live", "--save", "here", "h1", "--", "true", code=2)
    assert "keeps nothing" in refused.err and not (hoplab.home / "here").exists()
    refused = hoplab("trace", "--live", "nobody", "--", "true", code=None)
    assert refused.code not in (0, 2) and "nobody" in refused.err
