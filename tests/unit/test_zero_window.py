# SPDX-License-Identifier: Apache-2.0
"""A receiver that stops reading: who held the bytes up, and probes that are no keep-alives."""

from __future__ import annotations

from hoplab.story.records import Story
from hoplab.story.trip_records import Trip
from tests.unit.frames import ACK, PSH, RST
from tests.unit.playground import Talk
from tests.unit.scenarios import CLIENT, WWW, web
from tests.unit.test_runs import untranslated

S = 1_000_000_000


def line() -> Talk:
    talk = Talk(web(warm=True), CLIENT, WWW, dport=5001)
    talk.open()
    return talk


def probe(talk: Talk, data: bytes = b"") -> None:
    """The client asks as Linux does: by the last number that was acknowledged, without a byte."""
    talk.net.now_ns += S // 2
    talk.seq["c"] -= 1
    talk.say("c", ACK, data)
    talk.seq["c"] += 1 - len(data)


def told(talk: Talk) -> tuple[Story, dict[str, str]]:
    story = talk.net.story(host="client", command="send")
    assert untranslated(story) == set()
    remarks = {each.code: each.text for step in story.steps for each in step.remarks}
    return story, remarks


def last(story: Story, back: int) -> Trip:
    return story.trips[-back]


def test_zero_window_probes_are_told_as_such() -> None:
    talk = line()
    talk.say("c", PSH | ACK, bytes(1000))
    talk.say("s", ACK, window=0)
    full = len(told(talk)[0].trips)
    for _ in range(3):
        probe(talk)
        talk.say("s", ACK, window=0)
    talk.net.now_ns += S
    talk.say("s", ACK)  # there is room again
    talk.say("c", PSH | ACK, bytes(1000))
    story, remarks = told(talk)
    kinds = story.summary.kinds
    assert kinds["tcp-window-probe"] == 3 and "tcp-keepalive" not in kinds
    assert story.trip(full).title == "TCP ACK of 1,000 bytes; no room for more (window 0)"
    assert story.trip(full + 1).title == "TCP zero-window probe: is there room again?"
    assert last(story, 2).title == "TCP ACK; room for more again"
    text = remarks["zero-window"]
    assert text.startswith(f"www said in #{full} that it had no room for more (window 0); it last")
    assert "The program on www did not read what had come" in text
    assert "the network did not hold it up" in text and "client asked 3 times" in text
    assert "retransmission" not in remarks
    # What asks is no data, and nothing that was sent twice.
    assert story.summary.retransmissions == 0


def test_a_probe_with_a_byte_that_was_acknowledged_or_is_new() -> None:
    talk = line()
    talk.say("c", PSH | ACK, bytes(100))
    talk.say("s", ACK, window=0)
    probe(talk, b"x")
    talk.say("s", ACK, window=0)
    talk.say("c", ACK, b"y")
    story, _ = told(talk)
    assert story.summary.kinds["tcp-window-probe"] == 2


def test_a_keep_alive_stays_one() -> None:
    talk = line()
    talk.say("c", PSH | ACK, bytes(100))
    talk.say("s", ACK)
    probe(talk)
    talk.say("s", ACK)
    story, remarks = told(talk)
    assert last(story, 2).kind == "tcp-keepalive" and "zero-window" not in remarks


def test_no_room_until_the_end_and_several_times() -> None:
    talk = line()
    talk.say("c", PSH | ACK, bytes(100))
    talk.say("s", ACK, window=0)
    talk.say("s", ACK)
    talk.say("c", PSH | ACK, bytes(100))
    talk.say("s", ACK, window=0)
    talk.say("s", ACK)
    assert "www said 2 times that it had no room" in told(talk)[1]["zero-window"]
    talk.say("c", PSH | ACK, bytes(100))
    talk.say("s", ACK, window=0)
    assert "until the capture ended it never had" in told(talk)[1]["zero-window"]


def test_a_reset_has_no_window() -> None:
    talk = line()
    talk.say("c", PSH | ACK, bytes(100))
    talk.say("s", RST | ACK, window=0)
    assert "zero-window" not in told(talk)[1]
