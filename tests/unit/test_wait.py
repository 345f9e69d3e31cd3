# SPDX-License-Identifier: Apache-2.0
"""Patience: what a slow machine asks for, and nothing less."""

from __future__ import annotations

import pytest

from hoplab import wait
from hoplab.errors import LabError
from tests.conftest import _patient


@pytest.mark.parametrize(
    ("said", "factor"), [("5", 5), ("0.1", 1), ("-3", 1), ("much", 1), ("inf", 1), ("nan", 1)]
)
def test_patience_only_ever_lengthens(
    monkeypatch: pytest.MonkeyPatch, said: str, factor: float
) -> None:
    monkeypatch.setenv("HOPLAB_PATIENCE", said)
    assert wait.patience() == factor
    with pytest.raises(LabError, match=f"waited {0.001 * factor:g} s for nothing"):
        wait.until(lambda: False, "nothing", within_s=0.001)


def test_the_tests_own_deadlines_are_patient_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def communicate(process: None, input: str = "", timeout: float | None = None) -> float | None:
        return timeout

    monkeypatch.setenv("HOPLAB_PATIENCE", "8")
    patient = _patient(communicate)
    assert patient(None, timeout=30) == patient(None, "", 30) == 240
    assert patient(None) is None
