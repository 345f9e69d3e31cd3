# SPDX-License-Identifier: Apache-2.0
"""Flows as ovs-ofctl lists them, and which of them a new controller must get rid of."""

from __future__ import annotations

import pytest

from hoplab import control, switchd

# Lines as Open vSwitch 3.1 prints them; each with the words that name the flow to del-flows.
LISTED = {
    " cookie=0x0, duration=0.324s, table=0, n_packets=2, n_bytes=108, priority=0 actions=FLOOD": (
        0.324, 0, "priority=0",
    ),
    " cookie=0x5, duration=12s, table=1, n_packets=2, n_bytes=108, idle_timeout=300, "
    "send_flow_rem priority=1,in_port=3,dl_src=02:00:00:00:03:00 actions=goto_table:1": (
        12.0, 1, "priority=1,in_port=3,dl_src=02:00:00:00:03:00",
    ),
    " cookie=0x0, duration=1.5s, table=0, n_packets=0, n_bytes=0, hard_timeout=9, idle_age=3, "
    "priority=5,tcp,nw_src=10.0.0.0/8,tp_dst=80 actions=drop": (
        1.5, 0, "priority=5,tcp,nw_src=10.0.0.0/8,tp_dst=80",
    ),
    " cookie=0x0, duration=7.1s, table=0, n_packets=0, n_bytes=0, ip actions=NORMAL": (
        7.1, 0, "ip",
    ),
    " cookie=0x0, duration=7.1s, table=0, n_packets=0, n_bytes=0, send_flow_rem actions=NORMAL": (
        7.1, 0, "",
    ),
    " cookie=0x0, duration=7.1s, table=0, n_packets=0, n_bytes=0, actions=NORMAL": (7.1, 0, ""),
}  # fmt: skip


@pytest.mark.parametrize("line", LISTED)
def test_a_listed_flow(monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    monkeypatch.setattr(switchd, "ofctl", lambda *_: f"OFPST_FLOW reply (OF1.3) (xid=0x2):\n{line}")
    (flow,) = control.flows("s1")
    assert (flow.age_s, flow.table, flow.match) == LISTED[line]


def test_only_what_is_older_than_the_change_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, ...]] = []
    text = (
        " cookie=0x0, duration=50.0s, table=0, n_packets=0, n_bytes=0, priority=7 actions=drop\n"
        " cookie=0x0, duration=0.01s, table=0, n_packets=0, n_bytes=0, priority=0 actions=FLOOD\n"
    )

    def ofctl(*arguments: str) -> str:
        calls.append(arguments)
        return text if arguments[0] == "dump-flows" else ""

    monkeypatch.setattr(switchd, "ofctl", ofctl)
    monkeypatch.setattr(control.time, "monotonic", lambda: 100.0)
    control._drop_older("s1", began=99.0)
    assert calls[1:] == [("--strict", "del-flows", "s1", "table=0,priority=7")]
