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
from hoplab.report.phrases import WATERFALL_HEADS, WATERFALL_LEGEND

ROOT = Path(__file__).resolve().parents[2]


def test_heads_and_legend_are_the_clients_own() -> None:
    program = (ROOT / "apps" / "fetch.py").read_text(encoding="utf-8")
    assert re.search(re.escape(f'"{WATERFALL_LEGEND}"'), program)
    assert re.search(re.escape(f'"{WATERFALL_HEADS}"'), program)


def test_the_legend_is_in_the_readers_language() -> None:
    run = runs.reopen(ROOT / "tests" / "data" / "runs" / "hub")
    run = replace(run, waterfall=("  a  b  |--9.1 ms|", "   1   200 |##| /", "  . + * - #"))
    for code, heads, legend in (
        ("en", "on  code    bytes  |--9.1 ms|", "which connection"),
        ("zh", "连接  状态     字节  |--9.1 ms|", "第几个连接"),
    ):
        tr = language(code)
        for made in (page([run], tr), markdown([run], tr)):
            assert heads in made and legend in made and "|##| /" in made


def test_the_picture_is_found_by_its_ruler() -> None:
    """Not by words: whatever a client calls its columns."""
    lines = ["  0.1 ms  resolve", "  nr  |---12.5 ms|", "   1  |##| /", "  . name", "  9 ms"]
    assert runs.waterfall("\n".join(lines)) == tuple(lines[1:4])
    assert runs.waterfall("PING 10.0.0.2 | rtt 12.5 ms | no ruler") == ()
