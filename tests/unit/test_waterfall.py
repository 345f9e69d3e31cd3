# SPDX-License-Identifier: Apache-2.0
"""The picture that the lab's client draws of its waiting, in a report: its signs are explained in
the reader's language."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from hoplab import runs
from hoplab.report.language import language
from hoplab.report.markdown import markdown
from hoplab.report.page import page
from hoplab.report.phrases import WATERFALL_LEGEND

ROOT = Path(__file__).resolve().parents[2]


def test_the_legend_is_the_clients_own() -> None:
    program = (ROOT / "apps" / "fetch.py").read_text(encoding="utf-8")
    assert re.search(re.escape(f'"{WATERFALL_LEGEND}"'), program)


def test_the_legend_is_in_the_readers_language() -> None:
    run = runs.reopen(ROOT / "tests" / "data" / "runs" / "hub")
    run = replace(run, waterfall=("  on  code", "   1   200 |##| /", str(WATERFALL_LEGEND)))
    for code, word in (("en", "which connection"), ("zh", "第几个连接")):
        tr = language(code)
        for made in (page([run], tr), markdown([run], tr)):
            assert word in made and "|##| /" in made
