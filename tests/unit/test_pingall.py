# SPDX-License-Identifier: Apache-2.0
"""Every pair is met once in each direction, and lost ones do not hold up the others."""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoplab.service import pingall


@given(st.binary(max_size=64).map(lambda data: data + b"\0" * (len(data) % 2)))
def test_a_packet_with_its_checksum_sums_to_zero(payload: bytes) -> None:
    assert pingall.checksum(pingall.echo(8, 1, 2, payload)) == 0


class Quiet(pingall._Round):
    """A round on no network: `answer` says who replies."""

    def __init__(self, n: int, answer: Any) -> None:
        ends = [socket.socketpair() for _ in range(n)]
        self.others = [target for _, target in ends]
        hosts = [
            pingall.Host(f"h{i}", f"10.0.0.{i}", 24, 2, "", None, end)  # type: ignore[arg-type]
            for i, (end, _) in enumerate(ends)
        ]
        super().__init__(hosts, pingall.WINDOW)
        self.asked: list[tuple[int, int]] = []
        self.answer = answer

    def _send(self, source: int, target: int, tries: int) -> None:
        self.asked.append((source, target))
        if self.answer(source, target):
            self.result.received += 1
        else:
            self.flying[(source, target)] = (time.monotonic(), tries)

    def _neighbours(self, group: list[tuple[int, int]], message: Any) -> None:
        pass


def test_a_request_is_an_echo_message(monkeypatch: pytest.MonkeyPatch) -> None:
    round_ = Quiet(3, None)
    sent: list[tuple[bytes, Any]] = []

    class Socket:
        def sendto(self, packet: bytes, to: Any) -> None:
            sent.append((packet, to))

    round_.hosts[1].socket = Socket()  # type: ignore[assignment]
    for target in (0, 2):
        pingall._Round._send(round_, 1, target, 1)
    assert sent == [
        (pingall.echo(8, 1, n, round_.word + bytes([0, 1, 0, n])), (f"10.0.0.{n}", 0))
        for n in (0, 2)
    ]


@pytest.mark.parametrize("n", [2, 3, 4, 5, 16, 17, 40])
def test_every_ordered_pair_once(n: int) -> None:
    quiet = Quiet(n, lambda source, target: True)
    result = quiet.run()
    assert len(quiet.asked) == len(set(quiet.asked)) == n * (n - 1) == result.received
    assert all(source != target for source, target in quiet.asked)


def test_what_is_lost_is_asked_again_and_then_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pingall, "REPLY_S", 0.05)
    quiet = Quiet(4, lambda source, target: target != 3)
    result = quiet.run()
    assert result.lost == [("h0", "h3"), ("h1", "h3"), ("h2", "h3")]
    assert result.received == 9 and len(quiet.asked) == 9 + 3 * pingall.TRIES


def test_while_more_come_the_rest_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each try finds one more switch on the way that has learned: the last needs six."""
    monkeypatch.setattr(pingall, "REPLY_S", 0.02)
    asked: dict[tuple[int, int], int] = {}

    def answer(source: int, target: int) -> bool:
        tries = asked[source, target] = asked.get((source, target), 0) + 1
        return target > 5 or tries > pingall.TRIES + target

    quiet = Quiet(pingall.FEW + 1, answer)
    assert quiet.run().lost == []
    assert max(asked.values()) == pingall.TRIES + 6


def test_a_patient_round_waits_longer_for_the_first_reply(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reply that is later than its request's last try would be lost, and teach nothing."""
    monkeypatch.setenv("HOPLAB_PATIENCE", "8")
    quiet = Quiet(2, lambda source, target: True)
    assert quiet.reply_s == 8 * pingall.REPLY_S
    quiet._took(0.001)  # a quick one does not shorten it
    assert quiet.reply_s == 8 * pingall.REPLY_S
