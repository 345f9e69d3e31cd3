# SPDX-License-Identifier: Apache-2.0
"""A small part of `make test-truth`: runs of unlike kinds, and nothing in them is false."""

from __future__ import annotations

import pytest

from tests.conftest import need
from truth import campaign
from truth.kinds import FEW, KINDS

pytestmark = pytest.mark.net


@pytest.mark.parametrize("name", FEW)
def test_an_independent_oracle_finds_nothing_false(name: str) -> None:
    need("tshark")
    kind = next(kind for kind in KINDS if kind.name == name)
    for result in campaign.session(kind, seed=1, keep=False):
        assert (result.fault, result.false) == ("", []), result.command
        assert result.judged > 50
