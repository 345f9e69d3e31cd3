# SPDX-License-Identifier: Apache-2.0
"""The ports and the patience of a crew of controllers, without a process."""

from __future__ import annotations

from pathlib import Path

import pytest

from hoplab import ryu_apps
from hoplab.control import process
from hoplab.control.process import Controller
from hoplab.control.supervisor import RESTARTS, Crew, _may_restart
from hoplab.errors import Exit, LabError
from hoplab.openflow_channel import CONTROLLER_PORTS
from tests.conftest import PROJECT

HUB = ryu_apps.of_files(PROJECT / "controllers" / "hub.py")


def crew(folder: Path, **options: object) -> Crew:
    heard: list[str] = []
    return Crew(HUB, folder, tell=heard.append, **options)  # type: ignore[arg-type]


def ports(controllers: Crew) -> list[int]:
    return [process.port for shard in controllers.shards for process in shard.processes()]


def test_no_two_processes_have_one_port(tmp_path: Path) -> None:
    controllers = crew(tmp_path, shards=8, standby=True)
    assert len(set(ports(controllers))) == 16


def test_there_is_a_port_for_every_new_process_however_many_swaps_failed(tmp_path: Path) -> None:
    controllers = crew(tmp_path, shards=8, standby=True)
    for _ in range(10):
        new = [controllers._next(shard, HUB, tmp_path).port for shard in controllers.shards]
        assert len(set(new)) == 8 and not set(new) & set(ports(controllers))


def test_an_address_is_not_used_again_soon(tmp_path: Path) -> None:
    controllers = crew(tmp_path)
    shard, used = controllers.shards[0], []
    for _ in range(100):
        shard.controller = controllers._next(shard, HUB, tmp_path)
        used.append(shard.controller.port)
    half = len(CONTROLLER_PORTS) // 2
    assert all(port not in used[max(0, n - half) : n] for n, port in enumerate(used))


def test_what_the_old_controller_failed_does_not_count_against_a_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    controllers = crew(tmp_path)
    for name in ("start", "ready", "stop"):
        monkeypatch.setattr(Controller, name, lambda *_: None)
    monkeypatch.setattr(process, "change_over", lambda *_, **__: [])
    restarts = controllers.shards[0].restarts
    assert [_may_restart(restarts) for _ in range(RESTARTS)][-2:] == [True, False]
    controllers.swap(HUB, lambda new: None)
    assert _may_restart(restarts)


@pytest.mark.parametrize("failures", [0, RESTARTS])
def test_what_the_second_one_failed_does_not_count_against_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failures: int
) -> None:
    """And as long as a second one is connected, it is not given up."""
    heard: list[str] = []
    controllers = Crew(HUB, tmp_path, tell=heard.append, standby=True)
    shard = controllers.shards[0]
    first, second = shard.controller, shard.standby
    assert second is not None
    for name in ("start", "ready", "stop"):
        monkeypatch.setattr(Controller, name, lambda *_: None)
    became: list[tuple[int, str]] = []
    monkeypatch.setattr(Controller, "become", lambda self, role: became.append((self.port, role)))
    monkeypatch.setattr(Controller, "ended", lambda self: self is first)
    monkeypatch.setattr("hoplab.control.supervisor.set_controllers", lambda targets: None)
    shard.joined, shard.bridges = True, ["s1"]
    for _ in range(RESTARTS):
        _may_restart(shard.second_restarts)
    for _ in range(failures):
        _may_restart(shard.restarts)
    assert controllers._mend(shard) and not shard.given_up
    assert shard.controller is second and became == [(second.port, "master 2")]
    assert (shard.standby is None) == bool(failures)
    assert "the second one takes over" in heard[0]


def test_a_replacement_that_cannot_be_started_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    controllers = crew(tmp_path)
    shard = controllers.shards[0]
    stopped: list[int] = []

    def start(controller: Controller, ready: object = None) -> None:
        raise LabError("no more processes", code=Exit.REFUSED)

    monkeypatch.setattr(Controller, "start", start)
    monkeypatch.setattr(Controller, "ended", lambda self: True)
    monkeypatch.setattr(Controller, "stop", lambda self: stopped.append(self.port))
    for _ in range(RESTARTS - 1):
        assert controllers.mend() and not shard.given_up
    assert controllers.mend() and shard.given_up and not controllers.mend()
    assert shard.controller.port in stopped


def test_a_workplace_that_is_gone_is_said_once(tmp_path: Path) -> None:
    heard: list[str] = []
    controllers = Crew(HUB, tmp_path, tell=heard.append, standby=True, workplace=tmp_path / "gone")
    shard = controllers.shards[0]
    assert [each.workplace for each in shard.processes()] == [tmp_path] * 2
    assert len(heard) == 1 and f"{tmp_path / 'gone'}" in heard[0] and f"mean {tmp_path}" in heard[0]
    assert controllers._next(shard, HUB, Path("/")).workplace == Path("/") and len(heard) == 1
