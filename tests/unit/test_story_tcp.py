# SPDX-License-Identifier: Apache-2.0
"""TCP as Linux really speaks it: joined retransmissions, split heads, frames that are missing."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoplab.decode.packet import Packet, decode
from hoplab.follow.follow import follow
from hoplab.story.http_messages import CLIENT as CLIENT_SIDE
from hoplab.story.http_messages import SERVER, Dialogue, Sending
from hoplab.story.records import Request, Story
from hoplab.story.remarks import add_remarks
from hoplab.story.steps import Facts, make_steps
from hoplab.story.summary_records import Health
from hoplab.story.tcp import connections
from hoplab.story.tell import tell
from hoplab.story.trip_records import Trip
from tests.unit import frames
from tests.unit.frames import ACK, FIN, PSH
from tests.unit.playground import WEB, Playground, Talk, wire_up
from tests.unit.scenarios import CLIENT, GET, PAGE, URL, WWW, fetch, resolve_cached, response, web
from tests.unit.test_runs import untranslated

KEEP = GET.replace(b"close", b"keep-alive")
OTHER = GET.replace(b"GET / ", b"GET /b ")
WHOLE = response(PAGE)
HEAD = WHOLE[: -len(PAGE)]
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Line:
    """An open connection whose frames can be lost at either end's card."""

    def __init__(self, dport: int = 80) -> None:
        self.net: Playground = web(warm=True)
        resolve_cached(self.net)
        self.talk = Talk(self.net, CLIENT, WWW, dport=dport)
        self.talk.open()
        self.say = self.talk.say

    def lose(self, speaker: str, flags: int, data: bytes = b"", again: bool = False) -> None:
        """Says what never arrives."""
        card = "client-eth0" if speaker == "c" else "www-eth0"
        self.net.drop = lambda interface, packet: interface == card
        self.say(speaker, flags, data, again)
        self.net.drop = lambda interface, packet: False

    def story(self) -> Story:
        return self.net.story(URL)


def remarks(story: Story) -> dict[str, str]:
    return {remark.code: remark.text for step in story.steps for remark in step.remarks}


def rows(story: Story) -> list[tuple[str, tuple[int, ...]]]:
    """The HTTP lines of the table, with their trips."""
    [step] = [step for step in story.steps if step.key == "http"]
    return [(row.real, row.trips) for row in step.mapping]


def without(net: Playground, missing: Callable[[Packet], bool]) -> Story:
    """The story of a capture that lacks some frames."""
    seen = [
        observation for observation in net.observations() if not missing(decode(observation.data))
    ]
    journeys = follow(net.wiring, seen, lossy=True)
    return tell(net.wiring, journeys, request=Request(URL, "client"), health=Health(dropped=1))


# --- retransmissions ------------------------------------------------------------------------


def test_small_segments_joined_in_a_retransmission_are_no_new_data() -> None:
    line = Line()
    line.say("c", PSH | ACK, GET)
    line.lose("s", PSH | ACK, HEAD)
    line.lose("s", PSH | ACK, PAGE)
    line.say("s", PSH | ACK, WHOLE, again=True)
    line.say("c", ACK)
    story = line.story()
    assert story.outcome.bytes == len(PAGE)
    assert rows(story)[1] == (f"200 OK, {len(PAGE)} bytes of content", (7,))
    joined = story.trip(9)
    assert joined.title.endswith("(again)")
    assert joined.notes == ("retransmission: the same bytes as #7 to #8, sent again",)
    assert "lost (#7, #8)" in remarks(story)["retransmission"]
    assert untranslated(story) == set()


def test_a_fin_that_rides_on_a_retransmission() -> None:
    line = Line()
    line.say("c", PSH | ACK, GET)
    line.lose("s", PSH | ACK, WHOLE)
    line.lose("s", FIN | ACK)
    line.say("s", FIN | PSH | ACK, WHOLE, again=True)
    line.say("c", ACK)
    line.say("c", FIN | ACK)
    line.say("s", ACK)
    story = line.story()
    assert story.outcome.bytes == len(PAGE)
    assert "fin-on-data" not in remarks(story)  # it had a frame of its own, which was lost
    [close] = [step for step in story.steps if step.key == "close"]
    assert close.mapping[0].trips == (8,)


def test_a_fin_that_is_new_on_old_data() -> None:
    line = Line()
    line.say("c", PSH | ACK, GET)
    line.lose("s", PSH | ACK, WHOLE)
    line.talk.seq["s"] += 1  # for the FIN
    line.say("s", FIN | PSH | ACK, WHOLE, again=True)
    line.say("c", FIN | ACK)
    line.say("s", ACK)
    story = line.story()
    assert story.outcome.bytes == len(PAGE)
    assert story.trip(8).title.endswith("+ FIN (again)")
    assert "(#8)" in remarks(story)["fin-on-data"]


def test_of_a_segment_that_repeats_in_part_only_the_rest_counts() -> None:
    line = Line()
    line.say("c", PSH | ACK, GET)
    line.lose("s", PSH | ACK, WHOLE[:-10])
    line.talk.seq["s"] -= len(WHOLE) - 10
    line.say("s", PSH | ACK, WHOLE)
    story = line.story()
    assert story.outcome.bytes == len(PAGE)
    size = len(WHOLE) - 10
    assert story.trip(8).notes == (f"its first {size} bytes were sent before, in #7",)
    assert untranslated(story) == set()


def test_a_segment_lost_three_times_is_named_once() -> None:
    line = Line()
    line.say("c", PSH | ACK, GET)
    line.lose("s", PSH | ACK, WHOLE)
    line.lose("s", PSH | ACK, WHOLE, again=True)
    line.lose("s", PSH | ACK, WHOLE, again=True)
    line.say("s", PSH | ACK, WHOLE, again=True)
    assert remarks(line.story())["retransmission"].endswith("The first sending was lost (#7).")


def test_one_byte_that_was_lost_is_no_keep_alive() -> None:
    line = Line(9)
    line.say("c", PSH | ACK, b"x")
    line.say("s", ACK)
    line.lose("c", PSH | ACK, b"y")
    line.say("c", PSH | ACK, b"y", again=True)
    line.say("s", ACK)
    line.say("c", ACK, b"y", again=True)
    story = line.net.story(host="client")
    assert story.trip(9).notes == ("retransmission: the same bytes as #8, sent again",)
    assert [trip.kind for trip in story.trips].count("tcp-keepalive") == 1
    assert story.trips[-1].kind == "tcp-keepalive"


# --- where HTTP messages begin and end ------------------------------------------------------


def test_a_head_in_two_segments() -> None:
    for cut in (3, 12, 30, len(HEAD) - 1):
        line = Line()
        line.say("c", PSH | ACK, GET[:cut])
        line.say("c", PSH | ACK, GET[cut:])
        line.say("s", PSH | ACK, WHOLE[:cut])
        line.say("s", PSH | ACK, WHOLE[cut:-10])
        story = line.story()
        assert rows(story) == [
            ("GET /", (6,)),
            (f"200 OK, {len(PAGE) - 10} bytes of content", (8,)),
        ]
        assert story.outcome.code == "cut-short"  # so the length was read


def test_the_framing_of_chunks_is_no_content() -> None:
    body = b"a;x=y\r\n0123456789\r\n" * 5 + b"0\r\nTrailer: x\r\n\r\n"
    for size in (1, 7, 1000):
        line = Line()
        line.say("c", PSH | ACK, KEEP)
        line.say("s", PSH | ACK, CHUNKED)
        for at in range(0, len(body), size):
            line.say("s", PSH | ACK, body[at : at + size])
        line.say("c", PSH | ACK, OTHER)
        line.say("s", PSH | ACK, response(b"no", "404 Not Found"))
        story = line.story()
        assert [real for real, _ in rows(story)] == [
            "GET /",
            "200 OK, 50 bytes of content",
            "GET /b",
            "404 Not Found, 2 bytes of content",
        ]


@pytest.mark.parametrize("left", [1, 4, 5, 9, 12, 30])
def test_chunks_that_break_off(left: int) -> None:
    """The last five bytes are framing: the chunk of size 0, and an empty trailer."""
    body = b"a\r\n0123456789\r\n" * 3 + b"0\r\n\r\n"
    line = Line()
    line.say("c", PSH | ACK, GET)
    line.say("s", PSH | ACK, CHUNKED)
    line.say("s", PSH | ACK | FIN, body[:-left])
    story = line.story()
    assert story.outcome.code == ("fetched" if left < 3 else "cut-short")
    assert untranslated(story) == set()


def test_chunks_whose_framing_nobody_can_read_are_not_said_to_break_off() -> None:
    line = Line()
    line.say("c", PSH | ACK, GET)
    line.say("s", PSH | ACK, CHUNKED)
    line.say("s", PSH | ACK | FIN, b"no size\r\n0123456789\r\n")
    assert line.story().outcome.code == "fetched"


def test_two_requests_or_two_responses_in_one_segment() -> None:
    no = response(b"no", "404 Not Found")
    for asked, answered in (
        ([KEEP + OTHER], [WHOLE, no]),
        ([KEEP, OTHER], [WHOLE + no]),
        ([KEEP + OTHER], [WHOLE + no]),
        ([KEEP + OTHER[:20], OTHER[20:]], [WHOLE[:60], WHOLE[60:] + no[:9], no[9:]]),
    ):
        line = Line()
        for data in asked:
            line.say("c", PSH | ACK, data)
        for data in answered:
            line.say("s", PSH | ACK, data)
        story = line.story()
        assert [real for real, _ in rows(story)] == [
            "GET /",
            f"200 OK, {len(PAGE)} bytes of content",
            "GET /b",
            "404 Not Found, 2 bytes of content",
        ]
        assert story.outcome.code == "fetched" and story.outcome.bytes == len(PAGE)


def test_100_continue_is_not_the_answer() -> None:
    line = Line()
    head = GET.replace(b"GET", b"POST").replace(b"\r\n\r\n", b"\r\nContent-Length: 4\r\n\r\n")
    line.say("c", PSH | ACK, head)
    line.say("s", PSH | ACK, b"HTTP/1.1 100 Continue\r\n\r\n")
    line.say("c", PSH | ACK, b"GET ")
    line.say("s", PSH | ACK, WHOLE)
    assert rows(line.story()) == [
        ("POST /", (6,)),
        (f"200 OK, {len(PAGE)} bytes of content", (9,)),
    ]


def test_an_answer_to_head_has_no_content() -> None:
    line = Line()
    line.say("c", PSH | ACK, KEEP.replace(b"GET", b"HEAD"))
    line.say("s", PSH | ACK, HEAD)
    line.say("c", PSH | ACK, OTHER)
    line.say("s", PSH | ACK, WHOLE)
    assert [real for real, _ in rows(line.story())][1::2] == [
        "200 OK, 0 bytes of content",
        f"200 OK, {len(PAGE)} bytes of content",
    ]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_what_the_client_acknowledged_came_though_the_capture_lacks_it(number: int) -> None:
    line = Line()
    line.say("c", PSH | ACK, GET)
    whole = response(b"q" * 5000)
    begins = [line.talk.seq["s"] + at for at in range(0, len(whole), 1400)]
    for at in range(0, len(whole), 1400):
        line.say("s", PSH | ACK, whole[at : at + 1400])
        line.say("c", ACK)
    line.talk.close_four()
    assert line.story().outcome.code == "fetched"

    def missing(packet: Packet) -> bool:
        tcp = packet.tcp
        return tcp is not None and tcp.payload_length > 0 and tcp.seq == begins[number]

    outcome = without(line.net, missing).outcome
    assert (outcome.code, outcome.bytes) == ("fetched", 5000)


def test_what_nobody_acknowledged_did_not_come() -> None:
    line = Line()
    line.say("c", PSH | ACK, GET)
    line.say("s", PSH | ACK, WHOLE[:-20])
    line.say("c", ACK)
    line.talk.seq["s"] += 10
    line.say("s", PSH | ACK | FIN, WHOLE[-10:])
    outcome = line.story().outcome
    assert (outcome.code, outcome.bytes) == ("cut-short", len(PAGE) - 20)


@given(st.lists(st.integers(1, 700), max_size=30), st.lists(st.integers(1, 200), max_size=9))
def test_messages_are_the_same_however_the_bytes_are_cut(back: list[int], there: list[int]) -> None:
    chunks = b"1a\r\n" + b"HTTP/1.1 200 OK\r\n\r\n1\r\n2\r\n" + b"\r\n0\r\n\r\n"
    parts = [
        (CLIENT_SIDE, KEEP + b"\r\n" + KEEP.replace(b"GET", b"HEAD") + OTHER + KEEP, there),
        (SERVER, WHOLE + HEAD + CHUNKED + chunks + b"HTTP/1.0 404 No\n\n" + WHOLE, back),
    ]
    dialogue = Dialogue()
    for connection, data, cuts in parts:
        at = 0
        for size in [*cuts, len(data)]:
            piece = data[at : at + size]
            sending = Sending(at, at + len(piece), at + 1, 0, 0)
            dialogue.take(connection, at, len(piece), piece, sending)
            at += len(piece)
    assert [
        (exchange.method, exchange.target, exchange.status, exchange.body_bytes)
        for exchange in dialogue.exchanges
    ] == [
        ("GET", "/", 200, len(PAGE)),
        ("HEAD", "/", 200, 0),
        ("GET", "/b", 200, 26),
        ("GET", "/", 404, len(WHOLE)),
    ]


@given(st.binary(max_size=60), st.booleans())
def test_any_bytes_after_a_head_are_read(data: bytes, chunked: bool) -> None:
    dialogue = Dialogue()
    dialogue.take(CLIENT_SIDE, 0, len(KEEP), KEEP, Sending(0, len(KEEP), 1, 0, 0))
    whole = (CHUNKED if chunked else b"") + data
    for at in range(0, len(whole), 9):
        piece = whole[at : at + 9]
        # The capture cut some frames, lacks some, and has some twice.
        dialogue.take(SERVER, at, len(piece), piece[: 9 - at % 2], Sending(at, at + 9, 2, 0, 0))
        dialogue.acknowledged(SERVER, at + at % 5, 7)
    assert len(dialogue.exchanges) == 1


# --- who was slow ---------------------------------------------------------------------------


def test_time_that_the_network_took_is_not_the_servers() -> None:
    line = Line()
    line.lose("c", PSH | ACK, GET)
    line.net.now_ns += 210_000_000
    line.say("c", PSH | ACK, GET, again=True)
    line.say("s", PSH | ACK, WHOLE)
    assert "http-slow" not in remarks(line.story())

    net = web(warm=True)
    resolve_cached(net)
    send = net.send

    def late(port: int, data: bytes) -> None:
        """Between the routers every frame takes 60 ms."""
        far = net.wiring.port_name(port) in ("r1-eth1", "r2-eth0")
        net.at(60_000 if far else 0, lambda: send(port, data))

    net.send = late  # type: ignore[method-assign]
    fetch(net)
    assert "http-slow" not in remarks(net.story(URL))


def test_time_that_the_server_took_is() -> None:
    line = Line()
    line.say("c", PSH | ACK, GET[:20])
    line.net.now_ns += 300_000_000
    line.say("c", PSH | ACK, GET[20:])
    line.net.now_ns += 200_000_000
    line.say("s", PSH | ACK, WHOLE)
    assert remarks(line.story())["http-slow"].startswith("www took 200.")


# --- how the frames differ from the textbook's ----------------------------------------------


def test_a_response_that_the_server_wrote_in_parts_filled_no_frame() -> None:
    line = Line()
    line.say("c", PSH | ACK, GET)
    line.say("s", PSH | ACK, HEAD)
    line.say("s", PSH | ACK, PAGE)
    assert "http-segments" not in remarks(line.story())


@pytest.mark.parametrize(("mss", "full"), [(1000, True), (1460, False)])
def test_a_frame_is_full_by_what_the_syns_allow(
    mss: int, full: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = web(warm=True)
    talk = Talk(net, CLIENT, WWW)
    plain = frames.tcp

    def offers(*args: object, **more: object) -> bytes:
        """A segment with the MSS as its only option, four bytes."""
        made = plain(*args, **more)  # type: ignore[arg-type]
        option = b"\2\4" + mss.to_bytes(2, "big")
        return made[:12] + b"\x60" + made[13:20] + option + made[20:]

    with monkeypatch.context() as patch:
        patch.setattr(frames, "tcp", offers)
        talk.open()
    talk.say("c", PSH | ACK, GET)
    whole = response(b"x" * 3000)
    for at in range(0, len(whole), 1000):
        talk.say("s", PSH | ACK, whole[at : at + 1000])
    assert ("http-segments" in remarks(net.story(URL))) == full


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (b"", b"", "as in the textbook"),
        (b"x", b"", "the first of them shared with data"),
        (b"", b"x", "the third of them shared with data"),
        (b"x", b"x", "the first and the third of them shared with data"),
    ],
)
def test_four_frames_of_a_close_say_which_bore_data(
    first: bytes, second: bytes, words: str
) -> None:
    line = Line(9)
    line.say("s", FIN | ACK, first)
    line.say("c", ACK)
    line.say("c", FIN | ACK, second)
    line.say("s", ACK)
    story = line.story()
    assert remarks(story)["close-four"].endswith(f", {words}.")
    assert untranslated(story) == set()


# --- long captures --------------------------------------------------------------------------


def fetches(connections: int, requests: int) -> list[Trip]:
    net = web(warm=True)
    for place in range(connections):
        talk = Talk(net, CLIENT, WWW, 20000 + place)
        talk.open()
        for _ in range(requests):
            talk.say("c", PSH | ACK, KEEP)
            talk.say("s", PSH | ACK, WHOLE)
        talk.close_four()
    return net.story(URL).trips


def work(trips: list[Trip]) -> int:
    """How many instructions of Python the steps and remarks of these trips take."""
    count = 0

    def trace(frame: FrameType, event: str, arg: object) -> Callable[..., object]:
        nonlocal count
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        by_connection, _ = connections(trip.way for trip in trips)
        facts = Facts(trips, by_connection, [], {trip.number: trip for trip in trips}, wire_up(WEB))
        add_remarks(facts, make_steps(facts, lesson=True), None)
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("shape", [(1, 0), (0, 1)])
def test_four_times_the_capture_is_four_times_the_work(shape: tuple[int, int]) -> None:
    many, long = shape
    few = work(fetches(1 + 40 * many, 1 + 100 * long))
    more = work(fetches(1 + 160 * many, 1 + 400 * long))
    assert more < 4.5 * few
