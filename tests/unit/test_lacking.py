# SPDX-License-Identifier: Apache-2.0
"""What a script wants and the machine does not have: recognised in what shells print, and said."""

from __future__ import annotations

import re

import pytest

from hoplab.stock.lacking import Lacking


def said(kind: str, *words: str) -> str:
    notes: list[str] = []
    Lacking(notes.append).met(kind, words)
    return "\n".join(notes)


@pytest.mark.parametrize(
    ("line", "command", "sentence"),
    [
        ("bash: iperf3: command not found", "iperf3 -s", "h1 wants iperf3, .* install iperf3$"),
        ("bash: line 7: arpspoof: command not found", "", "wants arpspoof, .* install dsniff$"),
        ("/bin/sh: 1: ripd: not found", "", "wants ripd, .* install frr .*/usr/lib/frr/ripd"),
        ("bash: /usr/sbin/sshd: No such file or directory", "", "sshd, .* openssh-server$"),
        ("bash: ITGSend: command not found", "", "wants ITGSend, .* install d-itg$"),
        ("env: \u2018pox.py\u2019: No such file or directory", "", "wants pox.py, .*noxrepo"),
        ("sudo: ./mine: command not found", "", "wants ./mine, .*: install it there"),
        ("tcpdump: Couldn't change to 'tcpdump' uid=102", "", "hoplab capture h1 -w h1.pcapng"),
        ("Error: Unknown device type.", "vconfig add h1-eth0 7", "VLANs .*modprobe 8021q"),
        ("Error: Unknown device type.", "ip link add g type gre remote 10.0.0.2", "kind gre: "),
        ("Error: Specified qdisc kind is unknown.", "tc qdisc add dev h1-eth0 root fq_codel",
         "kind fq_codel: .*modprobe sch_fq_codel"),
    ],
)  # fmt: skip
def test_what_a_shell_says(line: str, command: str, sentence: str) -> None:
    text = said("line", "h1", line, command)
    assert re.search(sentence, text) and "\n" not in text, text


@pytest.mark.parametrize(
    "line",
    [
        "cat: /nowhere: No such file or directory",
        "bash: cd: /nowhere: No such file or directory",
        "404 not found",
        "Host h7 not found: 3(NXDOMAIN)",
    ],
)
def test_what_says_nothing_of_a_program(line: str) -> None:
    assert said("line", "h1", line, "") == ""


def test_modules_and_limits() -> None:
    assert re.search(r"no module yaml: .*python3-yaml", said("module", "yaml", "/usr/bin/python3"))
    assert "/venv/bin/python -m pip install net" in said("module", "net.x", "/venv/bin/python")
    assert "Containernet, which is not Mininet" in said("module", "containernet.net", "/usr/bin/x")
    assert "pip install" not in said("module", "mn_wifi.net", "/venv/bin/python")
    assert "h1 and its like run without" in said("limit", "h1", "cgcreate failed, code 96")
    assert "cgroup-tools" in said("limit", "h1", "bash: cgcreate: command not found")
    assert "no cpuset" in said("cores", "h1", "Permission denied")
    assert "sched='cfs'" in said("realtime", "h1", "")


def test_each_is_said_once() -> None:
    notes: list[str] = []
    lacking = Lacking(notes.append)
    for node in ("h1", "h2"):
        lacking.met("line", [node, "bash: nmap: command not found", "nmap"])
        lacking.met("limit", [node, "no"])
        lacking.met("something else", [node])
    assert len(notes) == 2
