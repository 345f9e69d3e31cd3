# SPDX-License-Identifier: Apache-2.0
"""Connections that are the same again and again: the first is told whole, the others counted."""

from __future__ import annotations

from hoplab.report.language import language
from hoplab.report.terminal import render
from hoplab.story.records import Story
from tests.unit import frames
from tests.unit.playground import Talk
from tests.unit.test_transfers import lab, send


def fifty(*, reset: int | None = None, times: int = 50) -> Story:
    """Equal connections, of which one may end otherwise."""
    net = lab()
    for number in range(times):
        talk = Talk(net, "10.0.0.1", "10.0.0.2", 20000 + number, 5001)
        if number == reset:
            talk.open()
            talk.say("s", frames.RST | frames.ACK)
        else:
            send(talk, 2)
    return net.story(host="h1", command="fifty")


def test_the_others_are_a_line() -> None:
    text = render(fifty())
    assert len(text.splitlines()) < 100, text
    flat = " ".join(text.split())
    assert "49 more connections from" in flat and "went as connection 1 did" in flat
    assert text.count("three-way handshake") == 1
    assert "还有 49 个连接" in render(fifty(), tr=language("zh"), width=200)
    assert render(fifty(), detail="full").count("three-way handshake") == 50


def test_one_that_ended_otherwise_is_told_by_itself() -> None:
    text = render(fifty(reset=20))
    flat = " ".join(text.split())
    assert "48 more connections from" in flat
    assert "(connection 21, port 5001)" in text and text.count("three-way handshake") == 2


def test_a_few_are_told_one_by_one() -> None:
    assert render(fifty(times=3)).count("three-way handshake") == 3
