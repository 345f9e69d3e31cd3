# SPDX-License-Identifier: Apache-2.0
"""Why a sender sends again, by what it knew: numbers and times, and no frames."""

from __future__ import annotations

from hoplab.story.tcp_loss_causes import Scoreboard
from hoplab.story.tcp_options import agree
from hoplab.story.tcp_records import Options, Repeat
from hoplab.story.tcp_timing import overtaken, spread

MS = 1_000_000


def sending(pieces: int, *, size: int = 100, every_ms: int = 1, lossy: bool = False) -> Scoreboard:
    """A sender that has sent so many pieces, from number 1 on, and heard nothing of them."""
    board = Scoreboard(lossy)
    board.send(0, 1, 0)
    hear(board, 1, 1)
    for piece in range(pieces):
        start = 1 + piece * size
        assert board.send(start, start + size, (10 + piece * every_ms) * MS) is None
    return board


def hear(
    board: Scoreboard, upto: int, ms: float, *blocks: tuple[int, int]
) -> tuple[bool, tuple[int, int] | None]:
    return board.hear(upto, blocks, round(ms * MS), 1000, empty=True)


def again(board: Scoreboard, start: int, ms: float, size: int = 100) -> Repeat:
    repeat = board.send(start, start + size, round(ms * MS))
    assert repeat is not None
    return repeat


def test_no_ack_in_time_is_a_timeout_and_so_is_what_follows_it() -> None:
    board = sending(3)
    first = again(board, 1, 220)
    assert (first.cause, first.likely, first.waited_ns) == ("timeout", False, 210 * MS)
    hear(board, 101, 221)
    assert again(board, 101, 221).cause == "timeout"


def test_three_duplicates_are_fast_and_one_makes_it_likely() -> None:
    board = sending(5)
    for number in range(3):
        hear(board, 1, 20 + number)
    repeat = again(board, 1, 24)
    assert (repeat.cause, repeat.likely, repeat.duplicates) == ("fast", False, 3)
    board = sending(5)
    hear(board, 1, 20)
    hear(board, 1, 21)
    repeat = again(board, 1, 24)
    assert (repeat.cause, repeat.likely, repeat.duplicates) == ("fast", True, 2)


def test_sack_of_later_bytes_is_enough() -> None:
    board = sending(5)
    hear(board, 1, 20, (201, 301))
    assert board.in_flight == 400
    assert again(board, 1, 21).cause == "fast"
    assert again(board, 101, 21).cause == "fast"
    hear(board, 301, 22)
    assert again(board, 301, 23).cause == "fast", "all that had been sent then is not there"


def test_what_was_sent_later_came_though_it_has_lower_numbers() -> None:
    """RFC 8985: the second sending of the first piece left after the last piece had."""
    board = sending(2)
    hear(board, 1, 20, (101, 201))
    again(board, 1, 30)
    board.send(201, 301, 29 * MS)
    hear(board, 201, 40)
    assert again(board, 201, 41).cause == "fast"


def test_the_last_piece_soon_after_it_is_likely_a_probe() -> None:
    board = sending(3)
    hear(board, 201, 15)
    repeat = again(board, 201, 25)
    assert (repeat.cause, repeat.likely) == ("probe", True)
    board = sending(3, lossy=True)
    hear(board, 201, 15)
    assert again(board, 201, 25).cause == "unknown", "ACKs may have come that nobody saw"


def test_where_the_capture_lacks_frames_a_timeout_is_likely() -> None:
    assert again(sending(1, lossy=True), 1, 300).likely


def test_what_came_twice_is_no_later_byte() -> None:
    board = sending(3)
    measures, twice = hear(board, 101, 20, (1, 101))
    assert measures and twice == (1, 101) and board.in_flight == 200
    assert hear(board, 101, 21, (201, 251), (201, 301))[1] == (201, 251)


def test_nothing_is_measured_by_what_was_sent_twice() -> None:
    board = sending(3)
    again(board, 1, 220)
    assert hear(board, 201, 221)[0] is False
    assert hear(board, 301, 222)[0] is True


def test_of_both_syns_holds_what_both_can() -> None:
    able = Options(1460, 7, True, True)
    agreed = agree(able, Options(None, None, True, False))
    assert agreed is not None
    assert (agreed.mss, agreed.window_scale, agreed.sack, agreed.timestamps, agreed.payload) == (
        536, False, True, False, 536,
    )  # fmt: skip
    assert agree(able, None) is None


def test_overtaken_is_what_comes_after_something_that_left_later() -> None:
    assert overtaken([(1, 10), (2, 30), (3, 20), (4, 40)]) == {2}
    assert overtaken([]) == set()


def test_the_middle_of_some_times() -> None:
    times = spread([5, 1, 9, 3])
    assert times is not None and (times.n, times.least_ns, times.median_ns) == (4, 1, 3)
    assert times.most_ns == 9 and spread([]) is None
