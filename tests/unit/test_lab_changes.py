# SPDX-License-Identifier: Apache-2.0
"""Changes of a lab, told in the step in whose time they fell."""

from __future__ import annotations

import pytest

from hoplab.story.lab_changes import LabChange, add_lab_changes
from hoplab.story.records import Step


@pytest.mark.parametrize(
    ("t_ns", "when"),
    [(3_500_000, "At +2.50 ms somebody"), (1_000_000, "At +0.00 ms somebody"),
     (400_000, "0.60 ms before the first packet somebody")],
)  # fmt: skip
def test_no_change_is_told_at_a_time_below_zero(t_ns: int, when: str) -> None:
    step = Step("other", 0, "", "", [], [])
    add_lab_changes([step], [], [LabChange(t_ns, "the cable is cut")], 1_000_000)
    assert str(step.remarks[0].text) == f"{when} changed the network: the cable is cut."
