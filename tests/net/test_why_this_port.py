# SPDX-License-Identifier: Apache-2.0
"""Why a switch sent a frame where it did, in real labs: its own tables against the wire."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hoplab.openvswitch.shadow import missing

pytestmark = [
    pytest.mark.net,
    pytest.mark.skipif(bool(missing()), reason="Open vSwitch is not installed"),
]


def passages(run: Path) -> list[dict[str, Any]]:
    answers: list[dict[str, Any]] = json.loads((run / "trace.json").read_text())["switches"][
        "passages"
    ]
    return answers


def test_every_hop_did_what_the_tables_say(anybody: Any) -> None:
    """A hub, a port of which has no link; then another controller in the same lab."""
    anybody("up", "switch", "--controller", "hub")
    anybody("exec", "h3", "--", "ip", "link", "set", "h3-eth0", "down")
    first = anybody("trace", "--json", "--save", "first", "h1", "--", "ping", "-c1", "10.0.0.2")
    answers = passages(anybody.home / "first")
    assert answers and all(answer.get("fits", True) for answer in answers)
    sentences = {
        decision["sentence"] for trip in first.json["trips"] for decision in trip["decisions"]
    }
    assert any("it floods this by table 0" in sentence for sentence in sentences), sentences
    anybody("swap", "learning_switch")
    anybody("trace", "--json", "--save", "second", "h1", "--", "ping", "-c2", "10.0.0.2")
    answers = passages(anybody.home / "second")
    assert answers and all(answer.get("fits", True) for answer in answers)
    assert any(answer.get("asked") for answer in answers)
