# SPDX-License-Identifier: Apache-2.0
"""Which flows a new controller must get rid of."""

from __future__ import annotations

import pytest

from hoplab.control import process
from hoplab.openvswitch import flows
from hoplab.openvswitch.flows import Flow


def test_only_what_is_older_than_the_change_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = Flow(50.0, 0, 7, 0, b"old"), Flow(0.01, 0, 0, 0, b"new")
    gone: list[Flow] = []
    monkeypatch.setattr(flows, "flows", lambda _: [old, new])
    monkeypatch.setattr(flows, "remove", lambda _, some: gone.extend(some))
    monkeypatch.setattr(process.time, "monotonic", lambda: 100.0)
    process._drop_older("s1", began=99.0)
    assert gone == [old]
