# SPDX-License-Identifier: Apache-2.0
"""The role between framework and apps: what a slave's apps hear of a switch, and when."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import pytest

from hoplab.control import roles
from tests.unit.fake_table import FakeSwitch, ofp, ofp_event, port_description


class Switch(FakeSwitch):
    """One that writes down which roles it was told, among what its apps were told."""

    def __init__(self, log: list[Any]) -> None:
        super().__init__()
        self.log = log

    def send_msg(self, msg: Any) -> None:
        assert type(msg).__name__ == "OFPRoleRequest"
        self.log.append((msg.role, msg.generation_id))


def change(switch: Switch, state: str) -> Any:
    event = ofp_event.EventOFPStateChange(switch)
    event.state = state
    return event


def port_status(switch: Switch, port: int, state: int) -> Any:
    desc = port_description(1, port, state)
    return ofp_event.EventOFPPortStatus(
        SimpleNamespace(datapath=switch, reason=ofp.OFPPR_MODIFY, desc=desc)
    )


@pytest.fixture
def log() -> list[Any]:
    return []


def make(log: list[Any], words: str) -> roles.Role:
    return roles.Role(lambda brick, event, state: log.append((event, state)), words)


def connect(role: roles.Role, switch: Switch) -> list[tuple[Any, str]]:
    """What the framework tells apps of a switch that connects."""
    message = SimpleNamespace(datapath=switch, datapath_id=1)
    events = [
        (change(switch, "config"), "config"),
        (ofp_event.EventOFPSwitchFeatures(message), "config"),
        (ofp_event.EventOFPPortDescStatsReply(SimpleNamespace(datapath=switch)), "config"),
        (ofp_event.EventOFPPortDescStatsReply(SimpleNamespace(datapath=switch)), "config"),
        (change(switch, "main"), "main"),
    ]
    for event, state in events:
        role.tell(None, event, state)
    return events


def test_a_master_says_so_before_any_app_hears_of_the_switch(log: list[Any]) -> None:
    role = make(log, "master 7")
    events = connect(role, Switch(log))
    assert log == [events[0], (ofp.OFPCR_ROLE_MASTER, 7), *events[1:]]


def test_a_slaves_apps_hear_nothing_until_it_takes_over(log: list[Any]) -> None:
    role, switch = make(log, "slave 1"), Switch(log)
    events = connect(role, switch)
    flapping = [port_status(switch, 2, state) for state in (1, 0, 1)]
    for event in flapping:
        role.tell(None, event, "main")
    role.tell(None, ofp_event.EventOFPErrorMsg(SimpleNamespace(datapath=switch, type=1)), "main")
    assert log == [(ofp.OFPCR_ROLE_SLAVE, 1)]
    log.clear()
    role.become("master 3")
    assert log == [(ofp.OFPCR_ROLE_MASTER, 3), *events, (flapping[-1], "main")]
    log.clear()
    role.tell(None, flapping[0], "main")
    assert log == [(flapping[0], "main")]
    connect(role, Switch(log))  # one that comes afterwards
    assert (ofp.OFPCR_ROLE_MASTER, 3) in log


def test_a_switch_that_has_gone_is_not_told_of(log: list[Any]) -> None:
    role, switch = make(log, "slave 1"), Switch(log)
    connect(role, switch)
    role.tell(None, change(switch, "dead"), "dead")
    log.clear()
    role.become("master 1")
    assert log == []


def test_a_connection_without_features_yet_is_claimed_later(log: list[Any]) -> None:
    role, switch = make(log, "slave 1"), Switch(log)
    role.tell(None, change(switch, "config"), "config")
    role.become("master 2")
    assert [state for _, state in log] == ["config"]
    log.clear()
    connect(role, switch)
    assert (ofp.OFPCR_ROLE_MASTER, 2) in log


def test_the_order_comes_by_the_pipe_whole_or_in_pieces(log: list[Any]) -> None:
    role = make(log, "slave 1")
    connect(role, Switch(log))
    log.clear()
    read_end, write_end = os.pipe()
    os.write(write_end, b"slave 40\nmaster 41\nmast")
    os.close(write_end)
    role.listen(read_end)
    os.close(read_end)
    assert log[:2] == [(ofp.OFPCR_ROLE_SLAVE, 40), (ofp.OFPCR_ROLE_MASTER, 41)]
    assert str(role) == "master 41" and len(log) > 2


def test_a_refused_role_is_said(log: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    role, switch = make(log, "slave 1"), Switch(log)
    connect(role, switch)
    error = SimpleNamespace(
        datapath=switch, type=ofp.OFPET_ROLE_REQUEST_FAILED, code=ofp.OFPRRFC_STALE
    )
    role.tell(None, ofp_event.EventOFPErrorMsg(error), "main")
    assert capsys.readouterr().err == "switch 1 refuses the role slave 1, code 0\n"


def test_without_a_wish_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(roles.VARIABLE, raising=False)
    roles.install(None, None)  # type: ignore[arg-type]
