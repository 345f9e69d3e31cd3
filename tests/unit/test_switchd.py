# SPDX-License-Identifier: Apache-2.0
"""The lab's Open vSwitch: which daemon has which switches, and how one that hangs is found."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from hoplab.kernel.threads import shares
from hoplab.openvswitch import daemons


def test_how_switches_are_divided() -> None:
    names = [f"s{number}" for number in range(1, 6)]
    assert shares(names, 2) == [["s1", "s2", "s3"], ["s4", "s5"]]
    assert shares(names, 7) == [["s1"], ["s2"], ["s3"], ["s4"], ["s5"], [], []]
    assert [daemons.pairs_for(count) for count in (1, 32, 33, 50, 100, 1000)] == [1, 1, 2, 3, 4, 4]


def test_afxdp_ports_for_which_there_is_no_room_are_not_even_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemons, "memory_mib", lambda: 1000)
    why = daemons.Switchd(tmp_path).try_afxdp(7)
    assert why == "7 of them take 532 MiB of memory, and 1000 are free"


def test_a_daemon_that_misses_its_beats_is_silent_until_it_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemons.Version, "BEAT_S", 0.0)
    with socket.socket(socket.AF_UNIX) as daemon:
        daemon.bind(str(tmp_path / "ctl"))
        daemon.listen()
        pulse = daemons.Version(tmp_path / "ctl")
        beats = [pulse.stopped() for _ in range(daemons.Version.BEATS + 2)]
        assert beats == [False] * daemons.Version.BEATS + [True] * 2
        first, _ = daemon.accept()
        with first:
            assert b'"version"' in first.recv(4096)
            first.send(b'{"id": 0, "result": "9.9", "error": null}')
            assert not pulse.stopped()  # and it is asked again, by another connection
        second, _ = daemon.accept()
        with second:
            assert b'"version"' in second.recv(4096)
            assert [pulse.stopped() for _ in range(daemons.Version.BEATS)] == [False] * 4 + [True]
        pulse.close()


def test_a_daemon_that_answers_is_left_alone_between_beats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemons.Version, "BEAT_S", 3600.0)
    pulse = daemons.Version(tmp_path / "nobody")
    assert not any(pulse.stopped() for _ in range(20))
