# SPDX-License-Identifier: Apache-2.0
"""`hoplab web` on a lab that runs, by a WebSocket as a page has it: counts and packets, what is
done to the lab, a terminal, and the lab's end."""

from __future__ import annotations

import json
import re
import signal
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import World
from tests.web.socket_client import SocketClient

pytestmark = pytest.mark.net


def _act(page: SocketClient, number: int, verb: str, *args: str) -> dict[str, Any]:
    """How an act ended."""
    page.send(type="act", id=number, lab="lab", act=verb, args=args, language="en")
    return page.until("act.done", lambda message: message["id"] == number)


def _fetched(port: int, token: str, path: str) -> bytes:
    request = urllib.request.Request(
        f"http://localhost:{port}{path}", headers={"Authorization": f"Bearer {token}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        assert error.code == 404  # it is not there yet
        return b""


def _plays(port: int, token: str, run: str) -> None:
    """A kept run has the ping."""
    scene = json.loads(_fetched(port, token, f"/api/runs/{run}/scene"))[0]
    assert "icmp-echo-reply" in scene["trips"]["kind"]


def _tables(
    page: SocketClient, node: str, fits: Callable[[dict[str, dict[str, Any]]], Any]
) -> dict[str, dict[str, Any]]:
    """The tables of a node by name, once they fit."""

    def named(message: dict[str, Any]) -> dict[str, dict[str, Any]]:
        return {table["table"]: table for table in message["tables"]}

    return named(page.until(
        "tables", lambda message: message["node"] == node and fits(named(message))
    ))  # fmt: skip


def _made_by(table: dict[str, Any], word: str) -> set[int]:
    """The packets that made entries with this word in them, as far as they are known."""
    rows = zip(table["rows"], table["packets"], strict=True)
    return {number for row, number in rows if number and any(word in cell for cell in row)}


def _told(page: SocketClient, batches: list[dict[str, Any]], wanted: set[int]) -> dict[int, str]:
    """The kinds of packets by number, once these have been told."""
    while True:
        kinds = {
            number: kind for message in batches for piece in message["pieces"]
            for number, kind in zip(piece["trips"]["number"], piece["trips"]["kind"], strict=True)
        }  # fmt: skip
        if wanted <= kinds.keys():
            return kinds
        batches.append(page.until("batch"))


def _kinds(message: dict[str, Any]) -> set[str]:
    return {kind for piece in message["pieces"] for kind in piece["trips"]["kind"]}


def test_a_page_sees_a_lab_and_changes_it(make_world: Callable[..., World]) -> None:
    world = make_world(as_user=True)
    world("up", "switch")
    with world.popen("web", "lab", "--json", "--no-browser") as server:
        assert server.stdout is not None
        said = ""
        while not said.endswith("}\n"):
            said += server.stdout.readline()
        urls = json.loads(said)
        token = re.search(r"#token=([\w-]+)&lab=lab$", urls["url"])
        view = re.search(r"#token=([\w-]+)", urls["view"])
        assert token and view
        try:
            with SocketClient(urls["port"], token[1]) as page:
                _whole(page, world, urls["port"], token[1], view[1])
        finally:
            server.send_signal(signal.SIGINT)
        assert server.wait(30) == 0


def _whole(page: SocketClient, world: World, port: int, token: str, view: str) -> None:
    hello = page.until("hello")
    assert not hello["view"] and "swap" in hello["acts"]
    page.send(type="watch", lab="lab")
    scene = page.until("scene")["scene"]
    assert [node["name"] for node in scene["nodes"]][:2] == ["h1", "h2"]
    assert {cable["state"] for cable in page.until("cables")["cables"]} == {"up"}

    # A ping: frames are counted at each port, and the packets told; the run is kept.
    ping = _act(page, 1, "ping", "h1", "h2")
    assert ping["ok"] and re.fullmatch(
        r"hoplab trace --save ping-\S+ h1 -- ping -c 3 10\.0\.0\.2", ping["line"]
    )
    sent: dict[str, int] = {}
    kinds: set[str] = set()
    batches = []
    while "icmp-echo-reply" not in kinds or sent.get("h1-eth0", 0) < 3:
        batch = page.until("batch")
        batches.append(batch)
        kinds |= _kinds(batch)
        for place, out, *_ in batch["counts"]:
            name = scene["ports"][place]["name"]
            sent[name] = sent.get(name, 0) + out
    _plays(port, token, ping["run"])

    # The last minutes are kept as a run, which plays as any other; a capture runs until it is
    # stopped, and is fetched.
    page.send(type="keep", id=20)
    kept = page.until("kept")
    assert kept["frames"] >= 12 and kept["name"].startswith("kept-")
    _plays(port, token, kept["run"])
    page.send(type="act", id=21, lab="lab", act="capture", args=["h1"], language="en")
    begun = page.until("act.begun", lambda message: message["id"] == 21)["line"]
    assert re.fullmatch(r"hoplab capture -w capture-[\d-]+\.pcapng h1", begun)
    page.send(type="act", id=22, lab="lab", act="capture", args=["-w", "/x"], language="en")
    assert "itself" in page.until("act.refused")["error"]["en"]
    file = begun.split()[3]
    while len(_fetched(port, token, f"/api/captures/{file}")) < 1000:
        _act(page, 23, "trace", "h1", "--", "ping", "-c", "3", "-i", "0.2", "10.0.0.2")
    page.send(type="act.stop", id=21)
    done = page.until("act.done", lambda message: message["id"] == 21)
    assert done["ok"] and done["download"] == f"/api/captures/{file}"
    assert _fetched(port, token, done["download"]).startswith(b"\x0a\x0d\x0d\x0a")
    assert page.until("beat")["late"] is False
    shark = _act(page, 24, "wireshark")
    assert shark["line"] == "hoplab wireshark lab"

    # The tables of a switch and of a host, each entry with the packet that made it.
    page.send(type="tables", nodes=["s1", "h1"])
    assert _act(page, 25, "trace", "h1", "--", "ping", "-c", "1", "10.0.0.2")["ok"]
    switch = _tables(page, "s1", lambda tables: _made_by(tables["flows"], "eth_dst=") and {
        "h1", "h2"} <= {row[1] for row in tables["macs"]["rows"]})  # fmt: skip
    made_by = _made_by(switch["flows"], "eth_dst=")
    kinds = _told(page, batches, made_by)
    assert {kinds[number] for number in made_by} & {"arp-reply", "icmp-echo-request"}
    assert all(row[2].startswith("s1-eth") for row in switch["macs"]["rows"])
    assert not _made_by(switch["flows"], "*"), "the controller put it in unasked"
    host = _tables(page, "h1", lambda tables: _made_by(tables["arp"], "10.0.0.2"))
    (number,) = _made_by(host["arp"], "10.0.0.2")
    assert _told(page, batches, {number})[number] in ("arp-reply", "arp-request")
    page.send(type="tables", nodes=[])

    # Another controller, and a cable cut and mended: told to all who look.
    swap = _act(page, 2, "swap", "hub")
    assert swap["ok"] and swap["undo"] == {"act": "swap", "args": ["learning_switch"]}
    page.until("state", lambda message: message["state"]["controller"] == "hub")
    with SocketClient(port, view) as looking:
        assert looking.until("hello")["acts"] == []
        looking.send(type="act", id=1, lab="lab", act="link", args=["h1", "s1", "down"])
        assert "looking" in looking.until("act.refused")["error"]["en"]
        looking.send(type="keep", id=2)
        assert "looking" in looking.until("kept")["error"]["en"]
        looking.send(type="terminal.open", id=1, lab="lab", host="h1", rows=24, cols=80)
        assert looking.until("terminal.refused")
        looking.send(type="watch", lab="lab")
        looking.until("cables")
        cut = _act(page, 3, "link", "h1", "s1", "down")
        assert cut["undo"] == {"act": "link", "args": ["h1", "s1", "up"]}
        for each in (page, looking):
            each.until("cables", lambda message: "down" in
                       [cable["state"] for cable in message["cables"]])  # fmt: skip
    assert _act(page, 4, "link", "h1", "s1", "up")["ok"]
    wrong = _act(page, 5, "link", "h1", "h9", "up")
    assert not wrong["ok"] and "no node or interface h9" in wrong["error"]
    for args in (["--name", "other", "h1"], ["--save", "/tmp/x", "h1", "--", "true"]):
        page.send(type="act", id=6, lab="lab", act="trace", args=args, language="en")
        assert "itself" in page.until("act.refused")["error"]["en"]

    # What is added is on the map, with the places of all others as they were.
    assert _act(page, 7, "add", "host", "h9", "--to", "s1")["ok"]
    grown = page.until("scene", lambda message: message["grown"]
                       and len(message["scene"]["nodes"]) > len(scene["nodes"]))  # fmt: skip
    assert grown["scene"]["nodes"][: len(scene["nodes"])] == [
        {**node, "kind": "hub" if node["kind"] == "switch" else node["kind"]}
        for node in scene["nodes"]
    ]

    # A terminal: its size, its bytes, its end.
    page.send(type="terminal.open", id=8, lab="lab", host="h1", rows=24, cols=80)
    assert page.until("terminal.opened")["line"] == "hoplab shell h1"
    page.type(8, "stty size; echo $((6*7))\n")
    assert "24 80\r\n42\r\n" in page.shown(8, "42\r\n")
    page.send(type="terminal.resize", id=8, rows=30, cols=100)
    page.type(8, "stty size\n")
    page.shown(8, "30 100\r\n")
    page.type(8, "exit 3\n")
    assert page.until("terminal.closed")["exit_code"] == 3

    world("down")
    assert "lab" in page.until("dead")["sentence"]["en"]
